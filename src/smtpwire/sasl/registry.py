"""The mechanisms by name. A family's module is loaded when one of it is first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from smtpwire.sasl.credentials import (
    Anonymous,
    BearerToken,
    Credentials,
    ExternalIdentity,
    Password,
)
from smtpwire.sasl.errors import (
    UnusableCredentialsError,
)
from smtpwire.sasl.mechanism import (
    ClientFactory,
    ClientMechanism,
    ClientMechanismConfig,
    ServerFactory,
    ServerMechanism,
    ServerMechanismConfig,
)

__all__ = ["CLEARTEXT", "MECHANISMS", "PROMPTED", "client_mechanism", "server_mechanism"]

MECHANISMS: Final = (
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "DIGEST-MD5",
    "CRAM-MD5",
    "OAUTHBEARER",
    "XOAUTH2",
    "PLAIN",
    "LOGIN",
    "EXTERNAL",
    "ANONYMOUS",
)
"""Every mechanism there is here, the strongest of each kind first."""

CLEARTEXT: Final = frozenset({"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"})
"""Those which hand the secret itself over: only inside TLS."""

PROMPTED: Final = frozenset({"PLAIN", "LOGIN", "EXTERNAL", "ANONYMOUS"})
"""Those where a challenge is but a prompt, whose words mean nothing: it need not be base64."""


SCRAM: Final = frozenset(name for name in MECHANISMS if name.startswith("SCRAM-"))


def server_mechanism(
    name: str,
    config: ServerMechanismConfig,
    *,
    mechanisms: Mapping[str, ServerFactory] | None = None,
) -> ServerMechanism:
    """Begin an exchange on the server.

    ``mechanisms`` are more of them by name, or others in place of those here. Raises KeyError
    for a name which nobody knows.
    """
    if mechanisms is not None and name in mechanisms:
        return mechanisms[name](config)
    if name in SCRAM:
        from smtpwire.sasl.scram import ScramServer

        return ScramServer(name, config)
    return _SERVERS[name](name, config)


def client_mechanism(
    name: str,
    credentials: Credentials,
    config: ClientMechanismConfig,
    *,
    mechanisms: Mapping[str, ClientFactory] | None = None,
) -> ClientMechanism:
    """Begin an exchange on the client.

    ``mechanisms`` are more of them by name, or others in place of those here. Raises KeyError
    for a name which nobody knows, and `UnusableCredentialsError` where the credentials are of the
    wrong kind for it or cannot be sent; nothing has been sent then.
    """
    if mechanisms is not None and name in mechanisms:
        return mechanisms[name](credentials, config)
    if name in SCRAM:
        from smtpwire.sasl.scram import ScramClient

        return ScramClient(name, _of(Password, credentials, name), config)
    return _CLIENTS[name](name, credentials, config)


C = TypeVar("C")


def _of(kind: type[C], credentials: Credentials, name: str) -> C:
    if not isinstance(credentials, kind):
        raise UnusableCredentialsError(f"{name} needs {kind.__name__} credentials")
    return credentials


# --- the families: imports inside, so that nothing is loaded which is not used -------------


def _plain_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.plain import PlainServer

    return PlainServer(name, config)


def _login_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.login import LoginServer

    return LoginServer(name, config)


def _external_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.external import ExternalServer

    return ExternalServer(name, config)


def _anonymous_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.anonymous import AnonymousServer

    return AnonymousServer(name, config)


def _cram_md5_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.cram_md5 import CramMD5Server

    return CramMD5Server(name, config)


def _digest_md5_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.digest_md5 import DigestMD5Server

    return DigestMD5Server(name, config)


def _oauthbearer_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.oauth import OAuthBearerServer

    return OAuthBearerServer(name, config)


def _xoauth2_server(name: str, config: ServerMechanismConfig) -> ServerMechanism:
    from smtpwire.sasl.oauth import XOAuth2Server

    return XOAuth2Server(name, config)


def _plain_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.plain import PlainClient

    return PlainClient(name, _of(Password, credentials, name))


def _login_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.login import LoginClient

    return LoginClient(name, _of(Password, credentials, name))


def _external_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.external import ExternalClient

    return ExternalClient(name, _of(ExternalIdentity, credentials, name))


def _anonymous_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.anonymous import AnonymousClient

    return AnonymousClient(name, _of(Anonymous, credentials, name))


def _cram_md5_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.cram_md5 import CramMD5Client

    return CramMD5Client(name, _of(Password, credentials, name), config)


def _digest_md5_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.digest_md5 import DigestMD5Client

    return DigestMD5Client(name, _of(Password, credentials, name), config)


def _oauthbearer_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.oauth import OAuthBearerClient

    return OAuthBearerClient(name, _of(BearerToken, credentials, name), config)


def _xoauth2_client(
    name: str, credentials: Credentials, config: ClientMechanismConfig
) -> ClientMechanism:
    from smtpwire.sasl.oauth import XOAuth2Client

    return XOAuth2Client(name, _of(BearerToken, credentials, name), config)


_SERVERS: Final[Mapping[str, Callable[[str, ServerMechanismConfig], ServerMechanism]]] = {
    "PLAIN": _plain_server,
    "LOGIN": _login_server,
    "EXTERNAL": _external_server,
    "ANONYMOUS": _anonymous_server,
    "CRAM-MD5": _cram_md5_server,
    "DIGEST-MD5": _digest_md5_server,
    "OAUTHBEARER": _oauthbearer_server,
    "XOAUTH2": _xoauth2_server,
}

_CLIENTS: Final[
    Mapping[str, Callable[[str, Credentials, ClientMechanismConfig], ClientMechanism]]
] = {
    "PLAIN": _plain_client,
    "LOGIN": _login_client,
    "EXTERNAL": _external_client,
    "ANONYMOUS": _anonymous_client,
    "CRAM-MD5": _cram_md5_client,
    "DIGEST-MD5": _digest_md5_client,
    "OAUTHBEARER": _oauthbearer_client,
    "XOAUTH2": _xoauth2_client,
}
