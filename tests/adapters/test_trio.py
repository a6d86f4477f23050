"""What only the trio adapter has: cancellation, its own clock, memory streams."""

from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from typing import TypeAlias

import pytest
import trio
import trio.testing
from tests.adapters.handlers import Mailbox, answer

from smtpwire.adapters import serving
from smtpwire.adapters import trio as adapter
from smtpwire.adapters.session import Handler, Session
from smtpwire.engine.events import CloseReason, EndOfMessage, MessageAborted, ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.operations.serve import FREE, TURN
from smtpwire.wire.command import Mail
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
HELLO = b"EHLO client.example.com\r\n"
Near: TypeAlias = (
    "trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]"
)


def run(main: Callable[[], Coroutine[object, object, None]], *, fake: bool = False) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01) if fake else None)


def begin(
    handler: Callable[[Session], Handler], config: ServerConfig = RELAY
) -> tuple[adapter.ServerSession, Near]:
    near, far = trio.testing.memory_stream_pair()
    return adapter.ServerSession(far, handler, config), near


def test_a_batch_is_one_write_with_handlers_that_do_not_suspend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "monotonic", lambda: 0.0)  # within one turn

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            answer(session, event)

        return handle

    async def main() -> None:
        session, near = begin(handler)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await near.receive_some()
            await near.send_all(HELLO)
            await near.receive_some()
            await near.send_all(
                b"MAIL FROM:<a@example.com>\r\n" + b"RCPT TO:<b@example.org>\r\n" * 98
            )
            await trio.testing.wait_all_tasks_blocked()
            assert (await near.receive_some()).count(b"\r\n") == 99
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize("suspending", [False, True])
def test_a_peer_that_pipelines_has_its_turn_and_then_others_have_theirs(
    suspending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = 0

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            nonlocal handled
            if suspending and isinstance(event, Mail):
                await trio.lowlevel.checkpoint()
            handled += 1
            answer(session, event)

        return handle

    async def main() -> None:
        now = count(0.0, TURN / 8)
        monkeypatch.setattr(serving, "monotonic", lambda: next(now))
        session, near = begin(handler)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await near.receive_some()
            await near.send_all(HELLO)
            await near.receive_some()
            await near.send_all(
                b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 0 LAST\r\n" * 50
            )
            turns, before = [], handled
            while handled < 200:
                turns.append(handled - before)
                before = handled
                await trio.lowlevel.checkpoint()
            assert max(turns) <= 8 + FREE
            assert len(turns) > 15
            nursery.cancel_scope.cancel()

    run(main)


def test_a_cancelled_session_is_told_of_its_end() -> None:
    mailbox = Mailbox()

    async def main() -> None:
        session, near = begin(mailbox)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await near.send_all(
                HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\ntext\r\n"
            )
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    run(main)
    assert [end.reason for end in mailbox.endings] == [CloseReason.ABORTED]
    assert any(isinstance(event, MessageAborted) for event in mailbox.events)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (b"", 300.0),
        (HELLO, 300.0),
        (HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nte", 180.0),
    ],
)
def test_timeouts_by_phase(said: bytes, seconds: float) -> None:
    mailbox = Mailbox()

    async def main() -> None:
        session, near = begin(mailbox, replace(RELAY, timeouts=Timeouts()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            if said:
                await near.send_all(said)
            start = trio.current_time()
            while not mailbox.endings:
                await trio.sleep(10)
            assert seconds <= trio.current_time() - start <= seconds + 10
            nursery.cancel_scope.cancel()

    run(main, fake=True)
    assert mailbox.endings[0].reason is CloseReason.TIMEOUT


def test_a_cancelled_server_drops_its_sessions() -> None:
    sessions: list[Session] = []

    def handler(session: Session) -> Handler:
        sessions.append(session)

        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Mail):
                await trio.sleep_forever()
            answer(session, event)

        return handle

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server = await adapter.start_server(handler, RELAY, "127.0.0.1", 0)
            nursery.start_soon(server.serve_forever)
            client = await trio.open_tcp_stream(*server.sockets[0].getsockname())
            async with client:
                await client.receive_some()
                await client.send_all(HELLO + b"MAIL FROM:<a@example.com>\r\n")
                while not (await client.receive_some()).endswith(b"SIZE 52428800\r\n"):
                    pass
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()

    run(main)
    assert sessions[0].conn.state is State.CLOSED


def test_the_end_of_the_stream_is_seen_while_a_handler_waits() -> None:
    seen: list[bool] = []

    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, EndOfMessage):
                with trio.move_on_after(5):
                    while not session.conn.eof_received:
                        await trio.sleep(0.01)
                seen.append(session.conn.eof_received)
            answer(session, event)

        return handle

    async def main() -> None:
        session, near = begin(handler)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await near.send_all(
                HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
            )
            await near.send_all(b"text\r\n.\r\n")
            await trio.testing.wait_all_tasks_blocked()
            await near.send_eof()

    run(main)
    assert seen == [True]


def test_a_handlers_own_scopes_and_nurseries_work() -> None:
    def handler(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Mail):
                with trio.move_on_after(0.01):
                    await trio.sleep_forever()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 0.01)
            answer(session, event)

        return handle

    async def main() -> None:
        session, near = begin(handler)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await near.send_all(HELLO + b"MAIL FROM:<a@example.com>\r\nQUIT\r\n")
            said = b""
            while more := await near.receive_some():
                said += more
            assert said.endswith(b"250 2.1.0 Sender OK\r\n221 2.0.0 Goodbye\r\n")
            await near.aclose()

    run(main)


@pytest.mark.parametrize("turns", range(5))
def test_a_server_that_is_shut_down_as_soon_as_it_serves(turns: int) -> None:
    async def main() -> None:
        server = await adapter.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            await server.shutdown(0)

    run(main)


def test_a_cancelled_client_ends_its_session() -> None:
    mailbox = Mailbox()

    async def endless() -> AsyncIterator[bytes]:
        yield b"text\r\n"
        await trio.sleep_forever()

    async def main() -> None:
        async with await adapter.start_server(mailbox, RELAY, "127.0.0.1", 0) as server:
            client = await adapter.connect(*server.sockets[0].getsockname())
            await client.open_session()
            with trio.move_on_after(0.1) as scope:
                await client.send_mail("a@b.example", ["c@d.example"], endless())
            assert scope.cancelled_caught
            assert client.conn.state is State.CLOSED

    run(main)
    assert mailbox.messages == []


def test_a_session_that_fails_does_not_end_the_server() -> None:
    def broken(session: Session) -> Handler:
        raise ZeroDivisionError

    async def main() -> None:
        async with await adapter.start_server(broken, RELAY, "127.0.0.1", 0) as server:
            for _ in range(2):
                client = await trio.open_tcp_stream(*server.sockets[0].getsockname())
                async with client:
                    assert (await client.receive_some()).startswith(b"421 ")

    run(main)
