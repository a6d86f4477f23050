"""Nothing of a connection outlives it: what is alive is counted, for memory is too coarse."""

import gc
import ssl
import sys
import time
from collections import Counter
from typing import Any

import pytest
from tests.adapters.handlers import answer
from tests.adapters.servers import Dialogue, serving

from smtpwire.adapters import callbacks
from smtpwire.adapters import serving as serving_adapter
from smtpwire.adapters.session import Handler, Session
from smtpwire.adapters.tls import TlsConfig, TlsLayer
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.value import replace

CONFIG = replace(ServerConfig.relay("mx.example.org"), starttls=True)
OPENING = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\ntext\r\n"
ROUND = 50
OURS = {
    *("smtpwire", "socket", "ssl", "_ssl", "threading", "_thread"),
    *("asyncio", "_asyncio", "uvloop", "trio", "outcome"),
}
"""The packages whose objects are counted, by their first name."""


def factory(session: Session) -> Handler:
    """Each second connection has coroutines for handlers."""

    async def handle(event: Any) -> None:
        answer(session, event)

    return handle if session.conn.peer.port % 2 else lambda event: answer(session, event)


def visit(port: int, number: int, context: ssl.SSLContext | None) -> None:
    """One connection, ended in one of five ways."""
    client = Dialogue(port)
    client.reply()
    client.say(b"EHLO client.example.com")
    if context is not None:
        client.say(b"STARTTLS")
        if number % 5 == 4:
            client.reset()
            return
        client.start_tls(context)
        client.say(b"EHLO client.example.com")
    match number % 5:
        case 0 | 1:
            client.say(b"QUIT")
        case 2:
            client.send(OPENING)
            client.reset()
            return
        case 3:
            client.send(OPENING)
    client.close()


def alive() -> Counter[type]:
    """How many objects of each type there are: of this package's, and of what adapters use.

    Not all types: what else lives in a process of many tests comes and goes as it likes.
    """
    gc.collect()
    found = Counter(map(type, gc.get_objects()))
    return Counter(
        {kind: n for kind, n in found.items() if str(kind.__module__).split(".")[0] in OURS}
    )


def settled(server: Any, before: Counter[type]) -> Counter[type]:
    """What is alive when every connection is over; its last thread or task may still end.

    No engine, no layer of TLS; and of nothing else an object more for each way to end than before.
    """
    end = time.monotonic() + 60
    while True:
        found = alive()
        kept = {kind: count for kind, count in found.items() if count >= before[kind] + ROUND / 5}
        left = found[ServerConnection] + found[TlsLayer] + len(server.sessions)
        if not left and not (before and kept):
            return found
        assert time.monotonic() < end, f"{left} sessions, engines and layers of TLS; {kept}"
        time.sleep(0.02)


@pytest.mark.skipif(
    sys.implementation.name != "cpython",
    reason="PyPy promises nothing about when an object goes",
)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_nothing_of_a_connection_outlives_it(
    adapter: str,
    secure: bool,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (callbacks, serving_adapter):
        monkeypatch.setattr(module, "LINGER", 0.1)
    made: list[Any] = []
    context = client_context if secure else None
    found: Counter[type] = Counter()
    with serving(adapter, factory, CONFIG, server_tls, made=made) as port:
        for _ in range(2):
            for number in range(ROUND):
                visit(port, number, context)
            found = settled(made[0], found)
