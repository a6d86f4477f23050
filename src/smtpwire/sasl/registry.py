"""The mechanisms by name: a row each, with all that is known before one is used.

A new mechanism is a file with its two classes and a row here. The file is loaded when the mechanism
is first used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, final

from smtpwire.sasl.credentials import (
    Anonymous,
    BearerToken,
    Credentials,
    ExternalIdentity,
    Password,
    check_credentials,
)
from smtpwire.wire.checked import checked
from smtpwire.wire.value import replace, value

if TYPE_CHECKING:
    from smtpwire.sasl.mechanism import (
        ClientFactory,
        ClientMechanism,
        ClientMechanismConfig,
        ServerFactory,
        ServerMechanism,
        ServerMechanismConfig,
    )

__all__ = [
    "FAMILIES",
    "MECHANISMS",
    "Family",
    "binds",
    "check_mechanism",
    "client_mechanism",
    "family",
    "server_mechanism",
]


@final
@value(kw_only=True)
class Family:
    """What is known of a mechanism by its name. The defaults hold for one that nobody knows here.

    module, classes: the file in this package, and what its classes ``…Server`` and ``…Client``
        begin with.
    credentials: what a client needs for it.
    cleartext: it hands the secret itself over: only inside TLS.
    guessable: what a listener hears lets him guess the password offline.
    authzid: it can carry an authorization identity.
    one_round_trip: with an initial response the client has said all (RFC 4954 §4).
    prompted: a challenge is but a prompt, whose words mean nothing: it need not be base64.
    salted: its server needs ``scram_secret``, for the salts of users who do not exist.
    certified: the client's certificate says who the user is.
    anonymous: it says nothing of who the user is.
    """

    module: str = ""
    classes: str = ""
    credentials: type[Credentials] = Password
    cleartext: bool = False
    guessable: bool = False
    authzid: bool = True
    one_round_trip: bool = False
    prompted: bool = False
    salted: bool = False
    certified: bool = False
    anonymous: bool = False

    def server(self, name: str, config: ServerMechanismConfig) -> ServerMechanism:
        """Begin an exchange on the server."""
        made: ServerMechanism = _loaded(self.module, self.classes + "Server")(name, config)
        return made

    def client(
        self, name: str, credentials: Credentials, config: ClientMechanismConfig
    ) -> ClientMechanism:
        """Begin an exchange on the client."""
        from smtpwire.sasl.errors import UnusableCredentialsError

        if not isinstance(credentials, self.credentials):
            needed = self.credentials.__name__
            raise UnusableCredentialsError(f"{name} needs {needed} credentials")
        made: ClientMechanism = _loaded(self.module, self.classes + "Client")(
            name, credentials, config
        )
        return made


@cache
def _loaded(module: str, name: str) -> type:
    """A mechanism's class for one role; its file is loaded the first time."""
    found: type = getattr(import_module(f"smtpwire.sasl.{module}"), name)
    return found


_SCRAM: Final = Family(module="scram", classes="Scram", salted=True)
_OAUTHBEARER: Final = Family(
    module="oauth", classes="OAuthBearer", credentials=BearerToken, cleartext=True
)

FAMILIES: Final[Mapping[str, Family]] = {
    "SCRAM-SHA-512-PLUS": _SCRAM,
    "SCRAM-SHA-256-PLUS": _SCRAM,
    "SCRAM-SHA-1-PLUS": _SCRAM,
    "SCRAM-SHA-512": _SCRAM,
    "SCRAM-SHA-256": _SCRAM,
    "SCRAM-SHA-1": _SCRAM,
    "DIGEST-MD5": Family(module="digest_md5", classes="DigestMD5", guessable=True),
    "CRAM-MD5": Family(module="cram_md5", classes="CramMD5", guessable=True, authzid=False),
    "OAUTHBEARER": _OAUTHBEARER,
    "XOAUTH2": replace(_OAUTHBEARER, classes="XOAuth2"),
    "PLAIN": Family(
        module="plain", classes="Plain", cleartext=True, one_round_trip=True, prompted=True
    ),
    "LOGIN": Family(module="login", classes="Login", cleartext=True, authzid=False, prompted=True),
    "EXTERNAL": Family(
        module="external",
        classes="External",
        credentials=ExternalIdentity,
        one_round_trip=True,
        prompted=True,
        certified=True,
    ),
    "ANONYMOUS": Family(
        module="anonymous",
        classes="Anonymous",
        credentials=Anonymous,
        prompted=True,
        anonymous=True,
    ),
}
"""Every mechanism there is here, the strongest of each kind first."""

MECHANISMS: Final = tuple(FAMILIES)
"""Their names."""

_NAMES: Final = tuple[str, ...]
_UNKNOWN: Final = Family()


def family(name: str) -> Family:
    """What is known of a mechanism; of one of your own nothing, unless it has a name from here."""
    return FAMILIES.get(checked("name", name, str), _UNKNOWN)


def binds(name: str) -> bool:
    """Whether a mechanism is bound to the TLS channel: its name says so (RFC 5801 §4)."""
    return checked("name", name, str).endswith("-PLUS")


def check_mechanism(name: str, known: Collection[str]) -> None:
    """Raise ValueError for an unknown name: the known ones are in upper case."""
    known = checked("known", known, _NAMES)
    if checked("mechanism", name, str) in known:
        return
    upper = name.upper()
    hint = f"pass {upper!r} (RFC 4422 §3.1)" if upper in known else f"known are {', '.join(known)}"
    raise ValueError(f"{name!r} is no mechanism known here: {hint}")


def server_mechanism(
    name: str,
    config: ServerMechanismConfig,
    *,
    mechanisms: Mapping[str, ServerFactory] | None = None,
) -> ServerMechanism:
    """Begin an exchange on the server.

    ``mechanisms`` are more of them by name, or others in place of those here. Raises ValueError
    for a name which nobody knows.
    """
    name = checked("mechanism", name, str)
    if mechanisms is not None and name in checked("mechanisms", mechanisms, Mapping):
        return mechanisms[name](config)
    if name not in FAMILIES:
        check_mechanism(name, tuple(FAMILIES))
    return FAMILIES[name].server(name, config)


def client_mechanism(
    name: str,
    credentials: Credentials,
    config: ClientMechanismConfig,
    *,
    mechanisms: Mapping[str, ClientFactory] | None = None,
) -> ClientMechanism:
    """Begin an exchange on the client.

    ``mechanisms`` are more of them by name, or others in place of those here. Raises ValueError
    for a name which nobody knows, TypeError for what are no credentials, and
    `UnusableCredentialsError` where the credentials are of the wrong kind for it or cannot be
    sent; nothing has been sent then.
    """
    name = checked("mechanism", name, str)
    if mechanisms is not None and name in checked("mechanisms", mechanisms, Mapping):
        return mechanisms[name](credentials, config)
    if name not in FAMILIES:
        check_mechanism(name, tuple(FAMILIES))
    check_credentials(credentials)
    return FAMILIES[name].client(name, credentials, config)
