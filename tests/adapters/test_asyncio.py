"""What only the asyncio adapter has: turns of the loop, tasks, transports."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from itertools import count

import pytest
from tests.adapters.handlers import Mailbox, answer

from smtpwire.adapters import asyncio as adapter
from smtpwire.adapters import callbacks
from smtpwire.adapters.asyncio import ServerProtocol, connect, start_server
from smtpwire.adapters.session import Handler, Session
from smtpwire.engine.events import Closed, CloseReason, Connected, EndOfMessage, ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.operations.serve import FREE, TURN
from smtpwire.wire.command import Mail
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
HELLO = b"EHLO client.example.com\r\n"


class Transport(asyncio.Transport):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 12345)})
        self.writes: list[bytes] = []
        self.asked: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return "abort" in self.asked or "close" in self.asked

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def __getattribute__(self, name: str) -> object:
        if name in ("pause_reading", "resume_reading", "close", "abort", "write_eof"):
            return lambda: self.asked.append(name)
        return super().__getattribute__(name)


class FakeClock(asyncio.SelectorEventLoop):
    """A loop whose time passes only when it has nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        ready: object = getattr(self, "_ready")  # noqa: B009
        scheduled: list[asyncio.TimerHandle] = getattr(self, "_scheduled")  # noqa: B009
        if not ready and scheduled:
            self.now = max(self.now, min(handle.when() for handle in scheduled))
        super()._run_once()  # type: ignore[misc]


def run(main: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(main())


def begin(
    handler: Callable[[Session], Handler], config: ServerConfig = RELAY
) -> tuple[ServerProtocol, Transport]:
    transport = Transport()
    protocol = ServerProtocol(handler, config)
    protocol.connection_made(transport)
    return protocol, transport


def plain(session: Session) -> Handler:
    return lambda event: answer(session, event)


def asynchronous(session: Session) -> Handler:
    async def handle(event: ServerEvent) -> None:
        answer(session, event)

    return handle


@pytest.mark.parametrize("handler", [plain, asynchronous])
def test_a_batch_is_one_write(
    handler: Callable[[Session], Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "monotonic", lambda: 0.0)  # within one turn

    async def main() -> None:
        protocol, transport = begin(handler)
        protocol.data_received(HELLO)
        transport.writes.clear()
        protocol.data_received(
            b"MAIL FROM:<a@example.com>\r\n" + b"RCPT TO:<b@example.org>\r\n" * 98 + b"DATA\r\n"
        )
        (batch,) = transport.writes
        assert batch.count(b"\r\n") == 100
        assert transport.asked == []  # reading was not paused and resumed
        protocol.connection_lost(None)

    run(main)


def steps_of(turn: float) -> Callable[[], float]:
    """A clock on which so many handlers fill a turn."""
    now = count(0.0, turn)
    return lambda: next(now)


@pytest.mark.parametrize("kind", ["plain", "asynchronous", "suspending"])
def test_a_peer_that_pipelines_has_its_turn_and_then_others_have_theirs(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = 0

    def handler(session: Session) -> Handler:
        def handle(event: ServerEvent) -> None:
            nonlocal handled
            handled += 1
            answer(session, event)

        async def later(event: ServerEvent) -> None:
            if kind == "suspending" and isinstance(event, Mail):
                await asyncio.sleep(0)
            handle(event)

        return handle if kind == "plain" else later

    async def main() -> None:
        monkeypatch.setattr(adapter, "monotonic", steps_of(TURN / 8))
        protocol, transport = begin(handler)
        protocol.data_received(HELLO)
        await asyncio.sleep(0)
        protocol.data_received(
            b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 0 LAST\r\n" * 50
        )
        turns, before = [], handled
        while handled < 200:
            turns.append(handled - before)
            before = handled
            await asyncio.sleep(0)
        assert max(turns) <= 8 + FREE
        assert len(turns) > 15
        assert b"".join(transport.writes).count(b"Message accepted") >= 49
        protocol.connection_lost(None)
        await asyncio.sleep(0)

    run(main)


def test_a_handler_ends_the_session_with_421() -> None:
    """By the session it was given, while its own question is still unanswered."""
    protocols: list[ServerProtocol] = []

    def handler(session: Session) -> Handler:
        def handle(event: ServerEvent) -> None:
            if isinstance(event, Mail):
                protocols[0].shutdown()
            answer(session, event)

        return handle

    async def main() -> None:
        protocol, transport = begin(handler)
        protocols.append(protocol)
        protocol.data_received(HELLO)
        transport.writes.clear()
        protocol.data_received(b"MAIL FROM:<a@example.com>\r\n")
        octets = b"".join(transport.writes)
        assert octets.startswith(b"250 2.1.0 Sender OK\r\n421 4.3.2 ")
        protocol.connection_lost(None)

    run(main)


def test_what_is_queued_leaves_when_the_handler_suspends() -> None:
    released = asyncio.Event()

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Mail):
                await released.wait()
            answer(session, event)

        return handle

    async def main() -> None:
        protocol, transport = begin(handler)
        transport.writes.clear()
        protocol.data_received(HELLO + b"NOOP\r\nMAIL FROM:<a@example.com>\r\n")
        await asyncio.sleep(0)
        assert b"".join(transport.writes).endswith(b"250 2.0.0 OK\r\n")
        protocol.data_received(b"RSET\r\n")  # it is read, and waits
        released.set()
        await asyncio.sleep(0.01)
        assert b"".join(transport.writes).endswith(b"250 2.1.0 Sender OK\r\n250 2.0.0 OK\r\n")
        protocol.connection_lost(None)

    run(main)


def test_time_limits_of_asyncio_work_in_a_handler() -> None:
    """Its first step runs before its task has had a turn, and sees it as the current one."""
    seen: list[object] = []

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Mail):
                seen.append(asyncio.current_task())
                try:
                    async with asyncio.timeout(0.01):
                        await asyncio.sleep(10)
                except TimeoutError:
                    seen.append(asyncio.current_task())
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(0))
            answer(session, event)

        return handle

    async def main() -> None:
        ours = asyncio.current_task()
        protocol, transport = begin(handler)
        protocol.data_received(HELLO + b"MAIL FROM:<a@example.com>\r\n")
        assert asyncio.current_task() is ours
        await asyncio.sleep(0.1)
        assert transport.writes[-1] == b"250 2.1.0 Sender OK\r\n"
        assert seen[0] is seen[1]
        assert seen[0] not in (None, ours)
        protocol.connection_lost(None)
        await asyncio.sleep(0)

    run(main)


def test_a_time_limit_that_is_already_over() -> None:
    """It cancels before the session's task has come to its turn."""

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Connected | Mail):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await asyncio.sleep(10)
            answer(session, event)

        return handle

    async def main() -> None:
        protocol, transport = begin(handler)
        await asyncio.sleep(0.05)
        protocol.data_received(HELLO + b"MAIL FROM:<a@example.com>\r\n")
        await asyncio.sleep(0.05)
        assert transport.writes[-1] == b"250 2.1.0 Sender OK\r\n"
        protocol.connection_lost(None)
        await asyncio.sleep(0)

    run(main)


def test_a_cancelled_handler_ends_its_session() -> None:
    events: list[ServerEvent] = []
    tasks: list[asyncio.Task[None] | None] = []

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            events.append(event)
            if isinstance(event, Mail):
                tasks.append(asyncio.current_task())
                await asyncio.sleep(10)
            answer(session, event)

        return handle

    async def main() -> None:
        protocol, transport = begin(handler)
        protocol.data_received(HELLO + b"MAIL FROM:<a@example.com>\r\n")
        await asyncio.sleep(0)
        (task,) = tasks
        assert task is not None
        task.cancel()
        await asyncio.sleep(0.01)
        assert transport.asked[0] == "abort"
        assert "write_eof" not in transport.asked
        assert protocol.conn.state is State.CLOSED
        protocol.connection_lost(None)

    run(main)


def test_a_loop_that_ends_cancels_the_handler_and_is_not_held_up() -> None:
    """``asyncio.run()`` cancels every task at its end, and waits for each."""
    events: list[ServerEvent] = []

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            events.append(event)
            if isinstance(event, Mail):
                await asyncio.sleep(100)
            answer(session, event)

        return handle

    async def main() -> None:
        protocol, _ = begin(handler)
        protocol.data_received(HELLO)
        await asyncio.sleep(0)
        protocol.data_received(b"MAIL FROM:<a@example.com>\r\n")
        await asyncio.sleep(0)

    async def in_time() -> None:
        await asyncio.wait_for(asyncio.to_thread(run, main), 5)

    run(in_time)
    assert isinstance(events[-1], Closed)


def test_a_server_that_is_cancelled_tells_its_sessions() -> None:
    mailbox = Mailbox()

    async def main() -> None:
        server = await start_server(mailbox, RELAY, "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve_forever())
        client = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
        await client.open_session()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert (server.sockets, server.sessions) == ((), ())
        await client.close()

    run(main)
    assert len(mailbox.endings) == 1


def test_a_handler_outlives_its_connection() -> None:
    """What it began, such as a delivery, it may finish; its answer then comes too late."""
    done: list[bool] = []
    begun = asyncio.Event()

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, EndOfMessage):
                begun.set()
                await asyncio.sleep(0.02)
                done.append(True)
            answer(session, event)

        return handle

    async def main() -> None:
        protocol, _ = begin(handler)
        protocol.data_received(
            HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\ntext\r\n.\r\n"
        )
        await begun.wait()
        protocol.connection_lost(ConnectionResetError("gone"))
        await asyncio.sleep(0.05)
        assert done == [True]
        assert protocol.conn.state is State.CLOSED

    run(main)


def test_reading_pauses_while_the_backlog_is_full() -> None:
    released = asyncio.Event()

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Mail):
                await released.wait()
            answer(session, event)

        return handle

    async def main() -> None:
        protocol, transport = begin(handler)
        protocol.data_received(HELLO + b"MAIL FROM:<a@example.com>\r\n")
        protocol.data_received(b"NOOP\r\n" * 50_000)
        assert transport.asked == ["pause_reading"]
        released.set()
        while transport.asked[-1] == "pause_reading":
            await asyncio.sleep(0)
        assert transport.asked[-1] in ("resume_reading", "write_eof")  # or too many NOOPs
        protocol.connection_lost(None)

    run(main)


def test_nothing_is_handled_while_the_peer_does_not_read() -> None:
    async def main() -> None:
        protocol, transport = begin(plain)
        protocol.data_received(HELLO)
        transport.writes.clear()
        protocol.pause_writing()
        protocol.data_received(b"NOOP\r\n")
        assert transport.writes == []
        protocol.resume_writing()
        await asyncio.sleep(0)
        assert transport.writes == [b"250 2.0.0 OK\r\n"]
        protocol.connection_lost(None)

    run(main)


def test_timeouts_by_phase() -> None:
    """Each phase has its own figure; the end comes within a twentieth of it, and never before."""
    timeouts = Timeouts(command=300.0, block=180.0)
    opening = HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
    for said, seconds in ((b"", 300.0), (opening, 300.0), (opening + b"DATA\r\ntext", 180.0)):
        mailbox = Mailbox()

        async def main(
            said: bytes = said, seconds: float = seconds, mailbox: Mailbox = mailbox
        ) -> None:
            protocol, transport = begin(mailbox, replace(RELAY, timeouts=timeouts))
            if said:
                protocol.data_received(said)
            loop = asyncio.get_running_loop()
            start = loop.time()
            while not mailbox.endings:
                await asyncio.sleep(1)
            assert seconds <= loop.time() - start <= seconds * 1.1 + 1
            assert transport.writes[-1].endswith(b"421 4.4.2 Timeout\r\n")
            protocol.connection_lost(None)

        with asyncio.Runner(loop_factory=FakeClock) as runner:
            runner.run(main())
        assert mailbox.endings[0].reason is CloseReason.TIMEOUT


@pytest.mark.parametrize("handler", [plain, asynchronous])
def test_a_session_that_begins_sets_one_timer(handler: Callable[[Session], Handler]) -> None:
    """One that is cancelled stays in the loop until its time would have come: it is memory."""

    async def main() -> None:
        protocol, _ = begin(handler)
        protocol.data_received(HELLO)
        scheduled: list[object] = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009
        assert len(scheduled) == 1
        protocol.connection_lost(None)

    run(main)


def test_a_client_that_does_not_read_is_cut_off() -> None:
    async def main() -> None:
        protocol, transport = begin(plain)
        protocol.pause_writing()
        protocol.data_received(HELLO)
        await asyncio.sleep(400)
        assert "abort" in transport.asked
        protocol.connection_lost(None)

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        runner.run(main())


def test_several_servers_share_a_port() -> None:
    async def main() -> None:
        first = await start_server(Mailbox(), RELAY, "127.0.0.1", 0, reuse_port=True)
        port = first.sockets[0].getsockname()[1]
        second = await start_server(Mailbox(), RELAY, "127.0.0.1", port, reuse_port=True)
        for _ in range(10):
            async with await connect("127.0.0.1", port) as client:
                await client.open_session()
        await first.shutdown(1)
        await second.shutdown(1)

    if hasattr(socket, "SO_REUSEPORT"):
        run(main)


def test_a_cancelled_client_ends_its_session() -> None:
    mailbox = Mailbox()

    async def endless() -> object:
        yield b"text\r\n"
        await asyncio.sleep(10)

    async def main() -> None:
        server = await start_server(mailbox, RELAY, "127.0.0.1", 0)
        client = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
        await client.open_session()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.send_mail("a@b.example", ["c@d.example"], endless())  # type: ignore[arg-type]
        assert client.conn.state is State.CLOSED
        await client.close()
        await server.shutdown(1)

    run(main)
    assert mailbox.messages == []


def test_a_slow_server_holds_the_content_back() -> None:
    """What the server does not take is not asked of the content."""
    handed = 0

    async def endless() -> object:
        nonlocal handed
        while True:
            yield b"x" * 65534 + b"\r\n"
            handed += 65536

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hi\r\n")
            for reply in (b"250 hi", b"250 ok", b"250 ok", b"354 go"):
                await reader.readline()
                writer.write(reply + b"\r\n")
            await asyncio.sleep(0.5)  # and reads no more
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
        client = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
        await client.open_session()
        result = await client.send_mail("a@b.example", ["c@d.example"], endless())  # type: ignore[arg-type]
        assert not result.accepted
        await client.close()
        server.close()

    run(main)
    assert handed < 32 * 1024 * 1024


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "LINGER", 0.2)
