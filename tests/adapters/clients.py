"""Every adapter's client, and servers that follow a script."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import trio
from tests.adapters.servers import UVLOOP

from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter
from smtpwire.adapters.client import AsyncClient
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.operations import SendOptions, SendResult
from smtpwire.sasl import Credentials

__all__ = ["CLIENTS", "Letter", "Visit", "scripted"]

Content = bytes | Callable[[], Iterable[bytes]]


@dataclass
class Letter:
    """One message of a visit; ``content`` as bytes, or as chunks made on demand.

    A client with an event loop gets the chunks from an asynchronous iterator.
    """

    content: Content = b"Subject: x\r\n\r\ntext\r\n"
    recipients: tuple[str, ...] = ("b@example.org",)
    sender: str = "a@example.com"
    options: SendOptions = field(default_factory=lambda: SendOptions())


@dataclass
class Visit:
    """What a client saw and did."""

    results: list[SendResult]
    conn: ClientConnection


class Go(Protocol):
    def __call__(
        self,
        port: int,
        config: ClientConfig,
        letters: Iterable[Letter],
        *,
        tls: TlsConfig | None = None,
        credentials: Credentials | None = None,
    ) -> Visit: ...


def visit_blocking(
    port: int,
    config: ClientConfig,
    letters: Iterable[Letter],
    *,
    tls: TlsConfig | None = None,
    credentials: Credentials | None = None,
) -> Visit:
    with blocking.connect("127.0.0.1", port, config, tls=tls) as client:
        client.open_session(credentials)
        assert client.verify("postmaster").is_positive
        assert client.reset().is_positive
        results = [
            client.send_mail(
                letter.sender,
                letter.recipients,
                letter.content if isinstance(letter.content, bytes) else letter.content(),
                **letter.options,
            )
            for letter in letters
        ]
        return Visit(results, client.conn)


async def handed_in(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def visit(
    client: AsyncClient, letters: Iterable[Letter], credentials: Credentials | None
) -> Visit:
    async with client:
        await client.open_session(credentials)
        assert (await client.verify("postmaster")).is_positive
        assert (await client.reset()).is_positive
        results = []
        for letter in letters:
            content = letter.content
            results.append(
                await client.send_mail(
                    letter.sender,
                    letter.recipients,
                    content if isinstance(content, bytes) else handed_in(content()),
                    **letter.options,
                )
            )
        return Visit(results, client.conn)


def visit_asyncio(
    port: int,
    config: ClientConfig,
    letters: Iterable[Letter],
    *,
    tls: TlsConfig | None = None,
    credentials: Credentials | None = None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Visit:
    async def main() -> Visit:
        client = await asyncio_adapter.connect("127.0.0.1", port, config, tls=tls)
        return await visit(client, letters, credentials)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


def visit_uvloop(
    port: int,
    config: ClientConfig,
    letters: Iterable[Letter],
    *,
    tls: TlsConfig | None = None,
    credentials: Credentials | None = None,
) -> Visit:
    import uvloop

    return visit_asyncio(
        port,
        config,
        letters,
        tls=tls,
        credentials=credentials,
        new_loop=uvloop.new_event_loop,
    )


def visit_trio(
    port: int,
    config: ClientConfig,
    letters: Iterable[Letter],
    *,
    tls: TlsConfig | None = None,
    credentials: Credentials | None = None,
) -> Visit:
    async def main() -> Visit:
        client = await trio_adapter.connect("127.0.0.1", port, config, tls=tls)
        return await visit(client, letters, credentials)

    return trio.run(main)


CLIENTS: dict[str, Go] = {
    "blocking": visit_blocking,
    "asyncio": visit_asyncio,
    "trio": visit_trio,
}
if UVLOOP:
    CLIENTS["uvloop"] = visit_uvloop


class Script:
    """A server by hand: what is written here is what the client gets."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(10)

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def expect(self, start: bytes) -> bytes:
        """Read one line, which starts like this."""
        line = b""
        while not line.endswith(b"\n"):
            octet = self.sock.recv(1)
            assert octet, f"the client went away instead of {start!r}"
            line += octet
        assert line.startswith(start), line
        return line

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def rest(self) -> bytes:
        """All the client still says."""
        octets = b""
        with contextlib.suppress(OSError):
            while more := self.sock.recv(65536):
                octets += more
        return octets


@contextmanager
def scripted(play: Callable[[Script], None]) -> Iterator[int]:
    """A server for one connection that plays a script; its port."""
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def run() -> None:
            try:
                sock, _ = listener.accept()
                script = Script(sock)
                try:
                    play(script)
                finally:
                    script.sock.close()
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(20)
    assert not thread.is_alive()
    if failures:
        raise failures[0]
