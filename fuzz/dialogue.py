"""What both SASL targets need: users, configurations, and messages an input makes worse."""

from typing import Final

from fuzz.choices import Choices
from smtpwire.sasl import (
    Anonymous,
    BearerToken,
    ClientMechanism,
    ClientMechanismConfig,
    Credentials,
    ExternalIdentity,
    Password,
    Preparation,
    ServerMechanism,
    ServerMechanismConfig,
    StoredSecret,
    client_mechanism,
    derive_digest_md5,
    derive_scram,
    server_mechanism,
)

__all__ = ["SEPARATOR", "USER", "changed", "client", "messages", "server", "stored_secrets"]

USER: Final = "user"
SEPARATOR: Final = b"\x1e"
"""Stands between two messages of an input: ASCII's record separator."""
_BINDINGS: Final = {"tls-unique": b"finished", "tls-exporter": b"exported"}
_REALM: Final = "example.org"
_ITERATIONS: Final = 4096


def stored_secrets(password: str) -> dict[str, StoredSecret]:
    """What is stored of a password, by mechanism; derived once, since it is slow by intention."""
    names = ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")
    digest = derive_digest_md5(USER, _REALM, password)
    return {"DIGEST-MD5": digest} | {
        name: derive_scram(password, name, salt=b"saltsalt") for name in names
    }


def server(
    name: str, preparation: Preparation = Preparation.RAW, *, knows_secrets: bool = True
) -> ServerMechanism:
    """The server's side of an exchange; one without secrets has passwords, and no certificates."""
    config = ServerMechanismConfig(
        scram_secret=b"shared by all processes",
        stores_passwords=not knows_secrets,
        hosts=("mx.example.org",),
        realm=_REALM,
        bindings=_BINDINGS,
        external_identity=USER if knows_secrets else "",
        preparation=preparation,
        nonce=lambda: "s0",
    )
    return server_mechanism(name, config)


def client(name: str, secret: str, authzid: str) -> ClientMechanism:
    """The client's side, for ``USER``."""
    config = ClientMechanismConfig(
        host="mx.example.org",
        bindings=_BINDINGS,
        binding_type="tls-exporter" if name.endswith("-PLUS") else "",
        plus_offered=name.endswith("-PLUS"),
        maximum_iterations=_ITERATIONS,
        nonce=lambda: "c0",
    )
    return client_mechanism(name, _credentials(name, secret, authzid), config)


def _credentials(name: str, secret: str, authzid: str) -> Credentials:
    match name:
        case "OAUTHBEARER" | "XOAUTH2":
            return BearerToken(USER, secret)
        case "EXTERNAL":
            return ExternalIdentity(authzid)
        case "ANONYMOUS":
            return Anonymous("trace")
        case "CRAM-MD5" | "LOGIN":  # these know no other identity
            return Password(USER, secret)
        case _:
            return Password(USER, secret, authzid)


def messages(choices: Choices) -> list[Choices]:
    """The rest of an input, message by message."""
    return [Choices(message) for message in choices.rest().split(SEPARATOR)]


def changed(honest: bytes, message: Choices) -> bytes:
    """What is sent in place of an honest message; a message that is used up changes nothing."""
    if not message:
        return honest
    how = message.below(5)
    if how == 0:
        return honest
    if how == 1:
        return message.rest()
    at = message.octet() * (len(honest) + 1) // 256
    given = message.rest()
    if how == 2:  # put something in
        return honest[:at] + given + honest[at:]
    if how == 3:  # write over it
        return honest[:at] + given + honest[at + len(given) :]
    return honest[:at] + given  # cut it short
