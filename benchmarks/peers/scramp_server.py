"""scramp's SCRAM-SHA-256 server, and the client's messages that both servers are given."""

from dataclasses import dataclass

# scramp ships no types.
from scramp import ScramClient, ScramMechanism  # type: ignore[import-untyped]

__all__ = ["ACCOUNT", "Account", "exchanges"]

MECHANISM = "SCRAM-SHA-256"
_PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Account:
    """What a server keeps of a password (RFC 5802 §3), and one client's way through it."""

    name: str
    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int
    server_nonce: str
    client_first: str
    server_first: str
    client_final: str
    server_final: str


def _account() -> Account:
    mechanism = ScramMechanism(MECHANISM)
    salt, stored_key, server_key, iterations = mechanism.make_auth_info(
        _PASSWORD, salt=b"sixteen octets.."
    )
    client = ScramClient([MECHANISM], "alice", _PASSWORD, c_nonce="clientnonceclientnonce")
    server = mechanism.make_server(
        lambda _: (salt, stored_key, server_key, iterations), s_nonce="servernonceservernonce"
    )
    client_first = client.get_client_first()
    server.set_client_first(client_first)
    server_first = server.get_server_first()
    client.set_server_first(server_first)
    client_final = client.get_client_final()
    server.set_client_final(client_final)
    return Account(
        name="alice",
        salt=salt,
        stored_key=stored_key,
        server_key=server_key,
        iterations=iterations,
        server_nonce="servernonceservernonce",
        client_first=client_first,
        server_first=server_first,
        client_final=client_final,
        server_final=server.get_server_final(),
    )


ACCOUNT = _account()


def exchanges(count: int) -> None:
    """Play the server's side so many times; the keys are derived already."""
    account = ACCOUNT
    mechanism = ScramMechanism(MECHANISM)
    information = (account.salt, account.stored_key, account.server_key, account.iterations)
    for _ in range(count):
        server = mechanism.make_server(lambda _: information, s_nonce=account.server_nonce)
        server.set_client_first(account.client_first)
        server.get_server_first()
        server.set_client_final(account.client_final)
        final = server.get_server_final()
    if final != account.server_final:
        raise RuntimeError("scramp did not accept the proof")
