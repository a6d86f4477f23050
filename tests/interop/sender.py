"""Our client for server peers: opens sessions, and keeps what they said and showed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.interop.peers.server import PASSWORD, ServerPeer

from smtpwire.adapters import blocking
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.security import Security
from smtpwire.extensions import PIPELINING, REGISTRY
from smtpwire.sasl import ChoicePolicy, Credentials, Password

__all__ = ["CREDENTIALS", "Dialogue", "configuration", "connected", "session", "tls_of"]

TLS_AT_ONCE: Final = ("smtps", "submissions", "lmtps")
_VERBS: Final = ("VRFY", "EXPN", "ETRN", "XCLIENT", "XFORWARD")


@dataclass
class Dialogue:
    """What was said in a session, as ``conn.trace`` tells it."""

    conn: ClientConnection
    sent: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.conn.trace = self._note

    def _note(self, direction: str, octets: bytes) -> None:
        text = octets.decode(errors="backslashreplace")
        self.lines.append(f"{direction[0]}: {text}")
        if direction == "sent":
            self.sent += text.removesuffix("\r\n").split("\r\n")

    def features(self, listener: str) -> set[str]:
        """What the session has shown, by the words of the matrix."""
        shown = set()
        if listener in TLS_AT_ONCE:
            shown.add("implicit TLS")
        else:
            shown.add("plain" if self.conn.tls is None else "STARTTLS")
        if self.conn.config.lmtp:
            shown.add("LMTP")
        if self.conn.identity is not None:
            shown.add(f"AUTH {self.conn.identity.mechanism}")
        if PIPELINING in self.conn.extensions:
            shown.add("PIPELINING")
        for line in self.sent:
            shown |= _shown_by(line)
        return shown

    def __str__(self) -> str:
        return "".join(self.lines)


def _shown_by(line: str) -> set[str]:
    verb, _, rest = line.partition(" ")
    if verb == "BDAT":
        return {"CHUNKING"}
    if verb in _VERBS:
        return {verb}
    if verb not in ("MAIL", "RCPT") or not rest.startswith(("FROM:<", "TO:<")):
        return set()
    found = set()
    for word in rest.split(" ")[1:]:
        keyword = word.partition("=")[0]
        if keyword == "BODY":
            found.add("BINARYMIME" if word.endswith("BINARYMIME") else "8BITMIME")
        else:
            found.add(REGISTRY.parameters[(verb, keyword)].keyword)
    return found


def configuration(peer: ServerPeer, listener: str, *, starttls: bool = False) -> ClientConfig:
    """How a listener is to be spoken to."""
    security = Security.STARTTLS if starttls or listener == "submission" else Security.NONE
    return ClientConfig(
        hello_name="client.test",
        host="localhost",  # what the certificates and digest-uri name
        security=Security.IMPLICIT if listener in TLS_AT_ONCE else security,
        lmtp=listener.startswith("lmtp"),
        chunk_size=40_000,
    )


def tls_of(
    peer: ServerPeer, config: ClientConfig, *, certificate: bool = False
) -> TlsConfig | None:
    """None where no TLS is asked for."""
    if config.security is Security.NONE:
        return None
    return TlsConfig(peer.authority.client_context(certificate=certificate))


@contextmanager
def connected(
    peer: ServerPeer, listener: str, *, starttls: bool = False, certificate: bool = False
) -> Iterator[tuple[blocking.Client, Dialogue]]:
    """A connection on which nothing has been said; it ends with QUIT, which 221 must answer."""
    config = configuration(peer, listener, starttls=starttls)
    tls = tls_of(peer, config, certificate=certificate)
    client = blocking.connect("127.0.0.1", peer.ports[listener], config, tls=tls, timeout=10)
    dialogue = Dialogue(client.conn)
    try:
        yield client, dialogue
        reply = client.quit()
        assert reply is not None, str(dialogue)
        assert reply.code == 221, str(dialogue)
    finally:
        client.close()


CREDENTIALS: Final[dict[str, Credentials]] = {
    "chasquid": Password("user@example.test", PASSWORD),
    "dovecot": Password("user", PASSWORD),
}
"""For the listeners which take mail only from whom they know."""


@contextmanager
def session(
    peer: ServerPeer,
    listener: str,
    credentials: Credentials | None = None,
    mechanism: str = "",
    *,
    starttls: bool = False,
    certificate: bool = False,
) -> Iterator[tuple[blocking.Client, Dialogue]]:
    """An open session, authenticated where the listener needs it or ``credentials`` are given."""
    if listener.startswith("submission"):
        credentials = credentials or CREDENTIALS[peer.name]
    policy = ChoicePolicy(mechanisms=(mechanism,)) if mechanism else None
    opened = connected(peer, listener, starttls=starttls, certificate=certificate)
    with opened as (client, dialogue):
        client.open_session(credentials, policy=policy)
        yield client, dialogue
