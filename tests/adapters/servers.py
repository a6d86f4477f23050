"""Every adapter's server in a thread of its own, and a plain socket to talk to it."""

import asyncio
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypedDict, Unpack

import trio
from tests.adapters.fifth import FifthServer

from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions.registry import Profile
from smtpwire.service import Application, session_factory

__all__ = ["PATIENCE", "SERVERS", "UVLOOP", "Dialogue", "Running", "serving"]

PATIENCE = 60.0
"""Seconds for what comes at once, but on a machine that has much else to do."""


@dataclass
class Running:
    """A server that listens."""

    port: int
    stop: Callable[[], object]
    """Ask for the shutdown; the thread's end is its end."""
    thread: threading.Thread
    server: object = None
    """The adapter's own."""


class Options(TypedDict, total=False):
    """What every server takes."""

    max_connections: int
    max_connections_per_peer: int


class Serve(Protocol):
    def __call__(
        self,
        session: Application,
        config: ServerConfig,
        tls: TlsConfig | None,
        grace: float,
        cut: list[Peer],
        **options: Unpack[Options],
    ) -> Running: ...


def serve_blocking(
    session: Application,
    config: ServerConfig,
    tls: TlsConfig | None,
    grace: float,
    cut: list[Peer],
    **options: Unpack[Options],
) -> Running:
    server = blocking.start_server(session, config, "127.0.0.1", 0, tls=tls, **options)
    port = server.sockets[0].getsockname()[1]

    def run() -> None:
        server.serve_forever()

    thread = threading.Thread(target=run)
    thread.start()
    return Running(port, lambda: cut.extend(server.shutdown(grace)), thread, server)


def serve_asyncio(
    session: Application,
    config: ServerConfig,
    tls: TlsConfig | None,
    grace: float,
    cut: list[Peer],
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    **options: Unpack[Options],
) -> Running:
    listening = threading.Event()
    found: list[tuple[int, Callable[[], None], object]] = []

    async def main() -> None:
        server = await asyncio_adapter.start_server(
            session, config, "127.0.0.1", 0, tls=tls, **options
        )
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask() -> None:
            loop.call_soon_threadsafe(stop.set)

        found.append((server.sockets[0].getsockname()[1], ask, server))
        listening.set()
        await stop.wait()
        cut.extend(await server.shutdown(grace))

    def run() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert listening.wait(PATIENCE)
    port, stop, server = found[0]
    return Running(port, stop, thread, server)


def serve_uvloop(
    session: Application,
    config: ServerConfig,
    tls: TlsConfig | None,
    grace: float,
    cut: list[Peer],
    **options: Unpack[Options],
) -> Running:
    import uvloop

    return serve_asyncio(session, config, tls, grace, cut, uvloop.new_event_loop, **options)


def serve_trio(
    session: Application,
    config: ServerConfig,
    tls: TlsConfig | None,
    grace: float,
    cut: list[Peer],
    **options: Unpack[Options],
) -> Running:
    listening = threading.Event()
    found: list[tuple[int, Callable[[], None], object]] = []

    async def main() -> None:
        stop = trio.Event()
        token = trio.lowlevel.current_trio_token()
        server = await trio_adapter.start_server(
            session, config, "127.0.0.1", 0, tls=tls, **options
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            port = server.sockets[0].getsockname()[1]
            found.append((port, partial(token.run_sync_soon, stop.set), server))
            listening.set()
            await stop.wait()
            cut.extend(await server.shutdown(grace))

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert listening.wait(PATIENCE)
    port, stop, server = found[0]
    return Running(port, stop, thread, server)


SERVERS: dict[str, Serve] = {
    "blocking": serve_blocking,
    "asyncio": serve_asyncio,
    "trio": serve_trio,
}
UVLOOP = sys.platform != "win32" and sys.implementation.name == "cpython"
"""Whether uvloop is to be had: pyproject.toml asks for it there."""
if UVLOOP:
    SERVERS["uvloop"] = serve_uvloop


def serve_fifth(
    session: Application,
    config: ServerConfig,
    tls: TlsConfig | None,
    grace: float,
    cut: list[Peer],
    **options: Unpack[Options],
) -> Running:
    server = FifthServer(session_factory(session, config), config, tls, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    return Running(server.port, lambda: cut.extend(server.shutdown(grace)), thread, server)


@contextmanager
def serving(
    adapter: str,
    session: Application,
    config: ServerConfig,
    tls: TlsConfig | None = None,
    grace: float = 5.0,
    cut: list[Peer] | None = None,
    made: list[Any] | None = None,
    **options: Unpack[Options],
) -> Iterator[int]:
    """Run an adapter's server; its port.

    ``cut`` takes whom the shutdown had to cut; ``made`` the server itself, before it is spoken to.
    ``tls`` is for a configuration that begins TLS, others do without.
    """
    if not (config.starttls or config.profile is Profile.SUBMISSIONS):
        tls = None
    cut = [] if cut is None else cut
    running = {**SERVERS, "fifth": serve_fifth}[adapter](
        session, config, tls, grace, cut, **options
    )
    if made is not None:
        made.append(running.server)
    try:
        yield running.port
    finally:
        running.stop()
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()


class Dialogue:
    """A client by hand: what is written here is what goes over the wire."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.received = b""

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def reply(self) -> bytes:
        """The next reply, all its lines; what there is of it where the stream ends."""
        reply = b""
        while True:
            line, found, rest = self.received.partition(b"\r\n")
            if found:
                self.received = rest
                reply += line + found
                if line[3:4] != b"-":
                    return reply
                continue
            if not (more := self.sock.recv(65536)):
                return reply + self.received
            self.received += more

    def say(self, line: bytes) -> bytes:
        """A command and its reply."""
        self.send(line + b"\r\n")
        return self.reply()

    def rest(self) -> bytes:
        """All that comes up to the end of the stream; a reset is an end as well."""
        try:
            while more := self.sock.recv(65536):
                self.received += more
        except ConnectionResetError:
            pass
        return self.received

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.sock.getpeername()  # raises if it has gone; wrap_socket() would leak the socket
        self.sock = tls = context.wrap_socket(
            self.sock, server_hostname="localhost", do_handshake_on_connect=False
        )
        tls.do_handshake()

    def reset(self) -> None:
        """Go without a farewell: RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "Dialogue":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
