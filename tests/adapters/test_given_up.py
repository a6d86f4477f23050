"""What is given up in the middle is over: a client that is closed, a write that is cancelled."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from tests.adapters.handlers import Mailbox, answer
from tests.adapters.loops import LOOPS
from tests.adapters.servers import serving

from smtpwire.adapters import trio as trio_adapter
from smtpwire.adapters.serving import now
from smtpwire.adapters.session import Handler, Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Closed, CloseReason, ServerEvent
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.operations import Operation, alone, ask
from smtpwire.wire.command import Noop, Vrfy
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")


@pytest.fixture(params=[Security.NONE, Security.STARTTLS])
def security(request: pytest.FixtureRequest) -> Security:
    found: Security = request.param
    return found


def last_step(conn: ClientConnection, close: Callable[[], object]) -> Operation[str]:
    """An operation in whose last step the client is closed, as by another task or thread."""
    yield from ask(conn, Noop())
    close()
    return "done"


@pytest.mark.parametrize("name", LOOPS)
def test_a_client_that_is_closed_in_the_last_step_of_an_operation(
    name: str, security: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    """The operation has its result, and then the client is closed: nobody else would do it."""
    loop = LOOPS[name]
    config = ClientConfig("client.example.com", host="localhost", security=security)

    async def main() -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        client: Any = await loop.connect(config=config, sock=sock, tls=client_context)
        await client.open_session()
        conn = client.conn
        operation = alone(conn, last_step(conn, lambda: now(client.close())))
        assert await client.run(operation) == "done"
        assert conn.state is State.CLOSED
        assert sock.fileno() == -1

    service = replace(RELAY, starttls=security is Security.STARTTLS)
    with serving("blocking", Mailbox(), service, server_tls) as port:
        loop.run(main)


def test_a_client_that_is_closed_while_it_polls(
    security: Security,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With trio, for the others never suspend in it."""
    monkeypatch.setattr(trio_adapter, "INSTANT", 0.5)
    loop = LOOPS["trio"]
    config = ClientConfig("client.example.com", host="localhost", security=security)
    found: list[bool] = []

    async def main() -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        client: Any = await loop.connect(config=config, sock=sock, tls=client_context)
        await client.open_session()

        async def poll() -> None:
            found.append(await client.poll())

        await loop.meanwhile(poll(), client.close())
        assert found == [False]
        assert client.conn.state is State.CLOSED
        assert sock.fileno() == -1

    service = replace(RELAY, starttls=security is Security.STARTTLS)
    with serving("blocking", Mailbox(), service, server_tls) as port:
        loop.run(main)


class Stalled(trio.abc.HalfCloseableStream):
    """A stream whose peer takes nothing while ``stalled`` says so."""

    def __init__(self, inner: trio.SocketStream) -> None:
        self.stalled = False
        self.inner = inner

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self.inner.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.stalled:
            await trio.sleep_forever()
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        await self.inner.aclose()


def test_a_write_that_a_handler_gives_up_is_the_last_one() -> None:
    """Nobody knows what of it has left, so that no other reply may follow: the session ends."""
    events: list[ServerEvent] = []
    streams: list[Stalled] = []

    def factory(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            events.append(event)
            answer(session, event)
            if isinstance(event, Vrfy) and event.argument == "first":
                streams[0].stalled = True
                with trio.move_on_after(0.01):
                    flushing: Awaitable[None] | None = session.flush()
                    assert flushing is not None
                    await flushing
                streams[0].stalled = False

        return handle

    async def main() -> None:
        near, far = socket.socketpair()
        streams.append(Stalled(trio.SocketStream(trio.socket.from_stdlib_socket(far))))
        client = trio.SocketStream(trio.socket.from_stdlib_socket(near))
        session = trio_adapter.ServerSession(streams[0], factory, RELAY)
        async with trio.open_nursery() as nursery, client:
            nursery.start_soon(session.run)
            with trio.fail_after(60):
                await client.send_all(b"EHLO c.example\r\nVRFY first\r\nVRFY second\r\n")
                said = b""
                while more := await client.receive_some():
                    said += more
        assert b"252" not in said

    trio.run(main)
    assert isinstance(events[-1], Closed)
    assert events[-1].reason is CloseReason.ABORTED
    assert [event.argument for event in events if isinstance(event, Vrfy)] == ["first"]
