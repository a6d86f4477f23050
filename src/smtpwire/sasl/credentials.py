"""What a client authenticates with. None of them shows its secret, in ``repr`` or in an error.

Each constructor raises TypeError for anything but text, bytes above all.
"""

from __future__ import annotations

from typing import final

from smtpwire.wire.value import value

__all__ = [
    "Anonymous",
    "BearerToken",
    "Credentials",
    "ExternalIdentity",
    "Password",
    "check_credentials",
]


@final
@value(checked=True)
class Password:
    """A user name and password; ``authzid`` names another user to act as (RFC 4422 §2).

    ``username``: the authcid. ``password``: never shown.
    """

    username: str
    password: str
    authzid: str = ""

    def __repr__(self) -> str:
        return f"Password({self.username!r}, <redacted>, authzid={self.authzid!r})"


@final
@value(checked=True)
class BearerToken:
    """An OAuth 2.0 access token for OAUTHBEARER (RFC 7628) or XOAUTH2.

    ``username`` may be empty for OAUTHBEARER.

    ``token``: never shown.
    """

    username: str
    token: str

    def __repr__(self) -> str:
        return f"BearerToken({self.username!r}, <redacted>)"


@final
@value(checked=True)
class ExternalIdentity:
    """Whom the channel proves, by a client certificate: EXTERNAL (RFC 4422 Appendix A).

    ``authzid`` names another user to act as; empty: the certificate's own.
    """

    authzid: str = ""


@final
@value(checked=True)
class Anonymous:
    """Nobody in particular: ANONYMOUS (RFC 4505). ``trace`` is shown to the server's operator."""

    trace: str = ""


Credentials = Password | BearerToken | ExternalIdentity | Anonymous
"""What ``authenticate()`` and ``open_session()`` take."""


def check_credentials(credentials: Credentials) -> None:
    """Raise TypeError for anything else: most callers have no type checker."""
    given: object = credentials
    if not isinstance(given, Credentials):
        raise TypeError(
            f"credentials are a {type(given).__name__}: pass Password(username, password), "
            "BearerToken(username, token), ExternalIdentity() or Anonymous()"
        )
