"""What a mechanism asks on the server: is this login good, what is this user's secret?"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from smtpwire.wire.value import Request, value

if TYPE_CHECKING:
    from smtpwire.sasl.stored import StoredSecret

__all__ = [
    "AnonymousLogin",
    "AuthorizationRequest",
    "ExternalLogin",
    "PasswordLogin",
    "Question",
    "SecretRequest",
    "TokenLogin",
]


@final
@value
class PasswordLogin(Request):
    """Is this the user's password? PLAIN and LOGIN (RFC 4616).

    ``authcid`` and ``password`` are prepared as the configuration says and never empty.
    Check the password only: whether ``authcid`` may act as ``authzid`` (empty: no such
    claim) is asked afterwards, by an `AuthorizationRequest`.

    ``mechanism``: PLAIN or LOGIN.
    """

    authcid: str
    password: str
    authzid: str = ""
    mechanism: str = "PLAIN"

    def __repr__(self) -> str:
        return (
            f"PasswordLogin(authcid={self.authcid!r}, password=<redacted>, "
            f"authzid={self.authzid!r}, mechanism={self.mechanism!r})"
        )


@final
@value
class TokenLogin(Request):
    """Is this bearer token good, and is it this user's? OAUTHBEARER (RFC 7628) and XOAUTH2.

    ``authcid`` is the user that the client names (``a=`` or ``user=``), possibly empty:
    accepting says that the token was issued for that user. ``host`` and ``port`` are what
    the client says it connected to; empty and 0 where it says nothing.

    ``mechanism``: OAUTHBEARER or XOAUTH2.
    """

    authcid: str
    token: str
    mechanism: str = "OAUTHBEARER"
    host: str = ""
    port: int = 0

    def __repr__(self) -> str:
        return (
            f"TokenLogin(authcid={self.authcid!r}, token=<redacted>, "
            f"mechanism={self.mechanism!r}, host={self.host!r}, port={self.port})"
        )


@final
@value
class ExternalLogin(Request):
    """Does the channel itself (a client certificate) prove who this is? EXTERNAL (RFC 4422 App. A).

    ``authzid`` is the identity asked for; empty asks for the certificate's own.

    ``mechanism``: EXTERNAL.
    """

    authzid: str = ""
    mechanism: str = "EXTERNAL"


@final
@value
class AnonymousLogin(Request):
    """May anybody in? ANONYMOUS (RFC 4505). ``trace`` is the client's word, unproven.

    ``mechanism``: ANONYMOUS.
    """

    trace: str = ""
    mechanism: str = "ANONYMOUS"


@final
@value
class SecretRequest(Request):
    """Which secret is stored for this user? CRAM-MD5, DIGEST-MD5 and SCRAM.

    ``authcid`` is the prepared user name; ``realm`` is DIGEST-MD5's, else empty; ``accepts``
    are the types of stored secret which this mechanism can use. None is the answer for an
    unknown user: the exchange is played to its end and fails as for a wrong password.

    ``mechanism``: the name that the client gave, with -PLUS where it binds.
    """

    mechanism: str
    authcid: str
    realm: str
    accepts: tuple[type[StoredSecret], ...]


@final
@value
class AuthorizationRequest(Request):
    """May ``authcid``, who has proved himself, act as ``authzid``?

    Asked only where another identity is claimed, after any mechanism.

    ``mechanism``: by which ``authcid`` was proved.
    """

    authcid: str
    authzid: str
    mechanism: str


Question = (
    PasswordLogin
    | TokenLogin
    | ExternalLogin
    | AnonymousLogin
    | SecretRequest
    | AuthorizationRequest
)
"""What a mechanism asks the server's application; each is a :class:`Request`."""
