"""Nothing of a connection outlives it: what is alive is counted, for memory is too coarse."""

import asyncio
import gc
import logging
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest
from tests.adapters.handlers import answer, pause
from tests.adapters.loops import LOOPS, Loop
from tests.adapters.servers import PATIENCE, Dialogue, serving

from smtpwire.adapters import blocking, callbacks
from smtpwire.adapters import serving as serving_adapter
from smtpwire.adapters.session import Handler, Session
from smtpwire.adapters.tls import TlsConfig, TlsLayer
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.command import Vrfy
from smtpwire.wire.value import replace

CPYTHON_ONLY = pytest.mark.skipif(
    sys.implementation.name != "cpython",
    reason="PyPy promises nothing about when an object goes",
)
RELAY = ServerConfig.relay("mx.example.org")
CONFIG = replace(RELAY, starttls=True)
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


@CPYTHON_ONLY
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


# -- nor is it left to the collector, which may come late where memory is what a message takes

WAYS = ["quit", "close", "shutdown", "fail", "wait", "cancel"]


class Way:
    """What a handler does at VRFY; of what it belongs to nothing is left behind."""

    def __init__(self, adapter: str, way: str) -> None:
        self.adapter, self.way = adapter, way

    def __call__(self, session: Session) -> Handler:
        def handle(event: Any) -> Awaitable[None] | None:
            if isinstance(event, Vrfy):
                match self.way:
                    case "close":
                        session.close()
                    case "shutdown":
                        session.shutdown()
                    case "fail":
                        raise ZeroDivisionError
                    case "wait" | "cancel":
                        return self.suspend(session, event)
            answer(session, event)
            return None

        return handle

    async def suspend(self, session: Session, event: Any) -> None:
        await (pause(self.adapter, 0.001) or nothing())
        if self.way == "cancel" and self.adapter in ("asyncio", "uvloop"):
            cancel_this_task()
            await asyncio.sleep(1)
        answer(session, event)


def cancel_this_task() -> None:
    """In a frame of its own, of which the CancelledError knows nothing."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def nothing() -> None:
    pass


def left() -> int:
    """How many engines and selectors of sessions are alive; nothing is collected."""
    return sum(type(each) in (ServerConnection, blocking.Selector) for each in gc.get_objects())


@CPYTHON_ONLY
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_connection_waits_for_the_collector(
    adapter: str,
    way: str,
    secure: bool,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (callbacks, serving_adapter):
        monkeypatch.setattr(module, "LINGER", 0.1)
    for name in ("smtpwire", "asyncio"):  # each of pytest's records would keep its exception
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)
    made: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        before = left()
        with serving(adapter, Way(adapter, way), CONFIG, server_tls, made=made) as port:
            for _ in range(3):
                with Dialogue(port) as client:
                    client.reply()
                    client.say(b"EHLO client.example.com")
                    if secure:
                        client.say(b"STARTTLS")
                        client.start_tls(client_context)
                        client.say(b"EHLO client.example.com")
                    client.send(b"VRFY me\r\nQUIT\r\n")
                    client.rest()
            end = time.monotonic() + PATIENCE
            while made[0].sessions or left() > before:
                assert time.monotonic() < end, f"{left() - before} are left"
                time.sleep(0.02)
    finally:
        gc.enable()


@CPYTHON_ONLY
def test_nothing_of_a_connection_that_is_cut_waits_for_the_collector(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handler is cancelled where it waits; a thread's is waited for."""
    monkeypatch.setattr(logging.getLogger("smtpwire"), "disabled", True)
    begun = threading.Semaphore(0)

    def factory(session: Session) -> Handler:
        def handle(event: Any) -> Awaitable[None] | None:
            if isinstance(event, Vrfy):
                begun.release()
                return pause(adapter, 0.5 if adapter == "blocking" else PATIENCE)
            answer(session, event)
            return None

        return handle

    gc.collect()
    gc.disable()
    try:
        before = left()
        with serving(adapter, factory, RELAY, grace=0.1) as port:
            clients = [Dialogue(port) for _ in range(3)]
            for client in clients:
                client.send(b"EHLO client.example.com\r\nVRFY me\r\n")
                assert begun.acquire(timeout=PATIENCE)
        for client in clients:
            client.close()
        end = time.monotonic() + PATIENCE
        while left() > before:
            assert time.monotonic() < end, f"{left() - before} are left"
            time.sleep(0.02)
    finally:
        gc.enable()


@CPYTHON_ONLY
@pytest.mark.parametrize("name", sorted({*LOOPS} - {"trio"}))  # trio itself leaves cycles behind
def test_nothing_of_a_client_that_reaches_nobody_waits_for_the_collector(name: str) -> None:
    loop: Loop = LOOPS[name]

    class Kept(str):
        """A host's name, of which one can see when it goes."""

        gone = False

        def __del__(self) -> None:
            Kept.gone = True

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        gc.disable()
        try:
            with pytest.raises(ConnectionRefusedError):
                await loop.connect(Kept("127.0.0.1"), port)
            await (pause(name, 0.001) or nothing())  # the loop's own turn ends
            assert Kept.gone
        finally:
            gc.enable()

    loop.run(scenario)
