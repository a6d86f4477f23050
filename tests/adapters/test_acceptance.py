"""What every server holds, whatever its loop, its transport and its handlers' colour."""

import asyncio
import decimal
import errno
import logging
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
from tests.adapters import fifth
from tests.adapters.handlers import Mailbox, answer, pause
from tests.adapters.servers import SERVERS, Dialogue, serving

from smtpwire.adapters import blocking, callbacks
from smtpwire.adapters import serving as serving_adapter
from smtpwire.adapters.session import Handler, Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import (
    BodyChunk,
    Closed,
    CloseReason,
    Connected,
    EndOfMessage,
    MessageAborted,
    Peer,
    ServerEvent,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.wire.command import Hello, Mail, Vrfy
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
PATIENT = replace(RELAY, limits=Limits(junk=10**9, backlog=10**6))
OPENING = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
FUTURES = sorted({*SERVERS} & {"asyncio", "uvloop"})
"""The others cancel a handler with its server only: their handlers have no task to be cancelled."""
LOOPS = sorted({*SERVERS} - {"blocking"})
"""The others have none, so that no handler of theirs may suspend."""
ALL_FIVE = [*SERVERS, "fifth"]
"""With the one that is written from the contract alone."""
NAME: ContextVar[str] = ContextVar("NAME", default="nobody")

Talk = Callable[[int, bytes], Dialogue]
Config = Callable[[ServerConfig], ServerConfig]


@pytest.fixture(params=ALL_FIVE)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["plain", "TLS"])
def secure(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "TLS")


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def tls(secure: bool, server_tls: TlsConfig) -> TlsConfig | None:
    return server_tls if secure else None


@pytest.fixture
def with_tls(secure: bool) -> Config:
    return lambda config: replace(config, starttls=secure)


@pytest.fixture
def talk(secure: bool, client_context: ssl.SSLContext) -> Talk:
    """A session after EHLO, under TLS where it is to be."""

    def begin(port: int, name: bytes = b"client.example.com") -> Dialogue:
        client = Dialogue(port)
        assert client.reply().startswith(b"220 ")
        client.say(b"EHLO " + name)
        if secure:
            assert client.say(b"STARTTLS").startswith(b"220 ")
            client.start_tls(client_context)
            client.say(b"EHLO " + name)
        return client

    return begin


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (callbacks, serving_adapter):
        monkeypatch.setattr(module, "LINGER", 0.3)


def coloured(colour: str, handle: Callable[[ServerEvent], None]) -> Handler:
    if colour == "sync":
        return handle

    async def handler(event: ServerEvent) -> None:
        handle(event)

    return handler


def suspended(adapter: str) -> Awaitable[None]:
    """A short wait in the loop's own way; none where there is no loop."""

    async def nothing() -> None:
        pass

    return pause(adapter, 0.01) or nothing()


# -- 1: context variables


def test_what_one_connection_sets_no_other_reads(
    adapter: str, colour: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    def factory(session: Session) -> Handler:
        def handle(event: ServerEvent) -> None:
            if isinstance(event, Hello):
                NAME.set(event.name if event.name != "mallory.example" else NAME.get())
            if isinstance(event, Vrfy):
                session.conn.reply(Reply(252, NAME.get()))
            answer(session, event)

        return coloured(colour, handle)

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"alice.example") as alice,
        talk(port, b"mallory.example") as mallory,
    ):
        assert alice.say(b"VRFY me") == b"252 2.0.0 alice.example\r\n"
        assert mallory.say(b"VRFY me") == b"252 2.0.0 nobody\r\n"
        assert alice.say(b"VRFY me") == b"252 2.0.0 alice.example\r\n"


def test_factory_and_handlers_have_one_context(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    """Sync handlers, the first step of one that suspends, what follows it, and its children."""

    def factory(session: Session) -> Handler:
        NAME.set("factory")

        def handle(event: ServerEvent) -> Awaitable[None] | None:
            if isinstance(event, Vrfy):
                return verify(event)
            if isinstance(event, Mail):
                session.conn.reply(Reply(250, NAME.get()))
            answer(session, event)
            return None

        async def verify(event: Vrfy) -> None:
            seen = [NAME.get()]
            token = NAME.set("before")
            await suspended(adapter)
            seen.append(NAME.get())
            NAME.reset(token)
            seen.append(NAME.get())
            NAME.set("sync")
            await suspended(adapter)
            seen.append(NAME.get())
            session.conn.reply(Reply(252, " ".join(seen)))

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"c.example") as client,
    ):
        assert client.say(b"VRFY me") == b"252 2.0.0 factory before factory sync\r\n"
        assert client.say(b"MAIL FROM:<a@b.example>") == b"250 2.0.0 sync\r\n"


def test_a_decimal_context_holds_over_an_await(adapter: str) -> None:
    def factory(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Vrfy):
                with decimal.localcontext() as context:
                    context.prec = 3
                    await suspended(adapter)
                    session.conn.reply(Reply(252, str(decimal.Decimal(1) / 3)))
            answer(session, event)

        return handle

    with serving(adapter, factory, RELAY) as port, Dialogue(port) as client:
        client.reply()
        assert client.say(b"VRFY me") == b"252 2.0.0 0.333\r\n"


async def with_children(adapter: str) -> str:
    """What a loop has for handlers: groups of tasks, and limits of time."""
    seen: list[str] = []

    async def child() -> None:
        seen.append(NAME.get())

    if adapter == "trio":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        with trio.move_on_after(0.01):
            await trio.sleep(10)
        return seen[0]
    async with asyncio.TaskGroup() as group:
        group.create_task(child())
    for seconds in (0.01, 0):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(10)
    return seen[0]


@pytest.mark.parametrize("adapter", LOOPS)
def test_anyio_in_a_handler(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    """It finds the loop by the running task, and its scopes cancel the task they were made in."""

    def factory(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Vrfy):
                NAME.set("parent")
                seen: list[str] = []

                async def child() -> None:
                    await anyio.sleep(0)
                    seen.append(NAME.get())

                if event.argument == "later":
                    await anyio.sleep(0.01)
                async with anyio.create_task_group() as group:
                    group.start_soon(child)
                with anyio.move_on_after(0.01) as scope:
                    await anyio.sleep(10)
                seen.append(f"cancelled {scope.cancelled_caught}")
                with pytest.raises(TimeoutError):
                    with anyio.fail_after(0.01):
                        await anyio.Event().wait()
                seen.append(await anyio.to_thread.run_sync(NAME.get))
                session.conn.reply(Reply(252, ", ".join(seen)))
            answer(session, event)

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"c.example") as client,
    ):
        for word in (b"at-once", b"later"):
            reply = b"252 2.0.0 parent, cancelled True, parent\r\n"
            assert client.say(b"VRFY " + word) == reply


@pytest.mark.parametrize("adapter", LOOPS)
def test_groups_of_tasks_and_limits_of_time_in_a_handler(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    def factory(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Vrfy):
                NAME.set("parent")
                session.conn.reply(Reply(252, await with_children(adapter)))
            answer(session, event)

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"c.example") as client,
    ):
        for _ in range(3):
            assert client.say(b"VRFY me") == b"252 2.0.0 parent\r\n"


# -- 2: fairness


def test_who_pipelines_keeps_nobody_waiting(
    adapter: str, colour: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    """Of hundreds of messages few are begun between another's command and its reply."""
    begun = 0
    over = threading.Event()
    batch = b"MAIL FROM:<a@b.example>\r\nRSET\r\n" * 400

    def factory(session: Session) -> Handler:
        def handle(event: ServerEvent) -> None:
            nonlocal begun
            if isinstance(event, Mail):
                begun += 1
                time.sleep(0.001)
            answer(session, event)

        return coloured(colour, handle)

    with (
        serving(adapter, factory, with_tls(PATIENT), tls) as port,
        talk(port, b"flood.example") as flooder,
        talk(port, b"other.example") as other,
    ):

        def flood() -> None:
            while not over.is_set():
                flooder.send(batch)
                left = 800
                while left and (octets := flooder.sock.recv(65536)):
                    left -= octets.count(b"\n")

        thread = threading.Thread(target=flood)
        thread.start()
        meanwhile: list[int] = []
        while len(meanwhile) < 9:
            before = begun
            other.say(b"NOOP")
            if begun:
                meanwhile.append(begun - before)
                time.sleep(0.02)
        over.set()
        thread.join()
    assert sorted(meanwhile)[4] < 100


# -- 3: a stream whose write has failed


def numbered(session: Session) -> Handler:
    """Each VRFY is answered by its own argument, at length: few fill what the kernel holds."""

    def handle(event: ServerEvent) -> None:
        if isinstance(event, Vrfy):
            line = event.argument + " " + "x" * 400
            session.conn.reply(Reply(252, "\n".join([line] * 20)))
        answer(session, event)

    return handle


def test_who_does_not_read_gets_no_reply_of_another_command(
    adapter: str, colour: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    mailbox = Mailbox()

    def factory(session: Session) -> Handler:
        note, handle = mailbox(session), numbered(session)

        def both(event: ServerEvent) -> None:
            handle(event)
            note(event)

        return coloured(colour, both)

    config = replace(PATIENT, timeouts=Timeouts(command=0.4, quit=0.4))
    with serving(adapter, factory, with_tls(config), tls) as port:
        client = talk(port, b"c.example")
        # Through a smaller window what the kernel holds would come for minutes at the end.
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        client.sock.settimeout(0.2)
        sent = 0
        try:
            # Some at once: each call may have to wait for the server's thread.
            for first in range(0, 200_000, 20):
                sent = first + 20
                client.sock.sendall(b"".join(b"VRFY %d\r\n" % n for n in range(first, sent)))
        except OSError:
            pass  # the server reads no more, or has gone
        assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT
        handled = sum(isinstance(event, Vrfy) for event in mailbox.events)
        client.sock.settimeout(5)
        with client:
            try:
                lines = client.rest().split(b"\r\n")
            except OSError:
                lines = client.received.split(b"\r\n")
    numbers = [int(line.split()[2]) for line in lines[:-1] if line.startswith(b"252 ")]
    assert numbers == list(range(len(numbers)))
    if any(line.startswith(b"421") for line in lines):  # it was this client that had no turn
        assert len(numbers) == handled
    assert len(numbers) <= handled <= sent
    assert len(mailbox.endings) == 1


# -- 4: nothing leaves a connection without an end


@pytest.mark.parametrize("adapter", FUTURES)
def test_what_the_handler_awaits_is_cancelled_by_somebody_else(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    """That is a failure of this question, and no cancellation of the handler."""

    def factory(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Mail | Vrfy):
                future = asyncio.get_running_loop().create_future()
                if isinstance(event, Mail):
                    await asyncio.sleep(0)
                future.cancel()
                await future
            answer(session, event)

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"c.example") as client,
    ):
        assert client.say(b"VRFY me").startswith(b"451 ")
        assert client.say(b"MAIL FROM:<a@b.example>").startswith(b"451 ")
        assert client.say(b"QUIT").startswith(b"221 ")


@pytest.mark.parametrize("adapter", FUTURES)
@pytest.mark.parametrize("when", ["at its first step", "later"])
def test_a_handler_whose_task_is_cancelled_is_told_of_the_end(
    adapter: str, when: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    mailbox = Mailbox()
    unharmed: list[object] = []

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        async def handle(event: ServerEvent) -> None:
            if isinstance(event, EndOfMessage):
                if when == "later":
                    await asyncio.sleep(0.01)
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(10)
            if isinstance(event, Closed):
                await asyncio.sleep(0.01)
                unharmed.append(event)
            note(event)

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"c.example") as client,
    ):
        client.send(OPENING + b"text\r\n.\r\n")
        assert mailbox.wait_for_end().reason is CloseReason.ABORTED
    assert len(mailbox.endings) == len(unharmed) == 1


@pytest.mark.parametrize("when", ["sync", "at its first step", "later"])
def test_a_handler_that_raises_generator_exit_has_failed_like_any_other(
    adapter: str, when: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    """Python closes generators by it, and nobody has closed the server's loop."""
    mailbox = Mailbox()

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        def handle(event: ServerEvent) -> Awaitable[None] | None:
            if isinstance(event, Mail):
                if when == "sync":
                    raise GeneratorExit
                return fail()
            note(event)
            return None

        async def fail() -> None:
            if when == "later":
                await suspended(adapter)
            raise GeneratorExit

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"c.example") as client,
    ):
        assert client.say(b"MAIL FROM:<a@b.example>").startswith(b"451 ")
        assert client.say(b"QUIT").startswith(b"221 ")
        assert mailbox.wait_for_end().reason is CloseReason.QUIT
    assert len(mailbox.endings) == 1


def test_a_binding_that_raises_is_logged_and_left_out(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext, caplog: Any
) -> None:
    def bindings(_: object) -> dict[str, bytes]:
        raise ZeroDivisionError

    mailbox = Mailbox()
    config = ServerConfig.submissions("mx.example.org")
    tls = replace(server_tls, bindings=bindings)
    with serving(adapter, mailbox, config, tls) as port, Dialogue(port) as client:
        client.start_tls(client_context)
        assert client.reply().startswith(b"220 ")
    assert "bindings" in caplog.text


# -- 5: shutdown


def test_shutdown_waits_for_the_handler_that_stores_a_message(
    adapter: str, colour: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    begun = threading.Event()

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        async def store(event: ServerEvent) -> None:
            await (pause(adapter, 0.3) or suspended(adapter))
            note(event)

        def handle(event: ServerEvent) -> Awaitable[None] | None:
            if not isinstance(event, EndOfMessage):
                return note(event)
            begun.set()
            if colour == "async":
                return store(event)
            time.sleep(0.3)
            return note(event)

        return handle

    mailbox = Mailbox()
    with serving(adapter, factory, with_tls(RELAY), tls, grace=9) as port:
        client = talk(port, b"c.example")
        client.send(OPENING)
        client.send(b"text\r\n.\r\n")
        assert begun.wait(60)
    with client:
        assert b"250 2.0.0 Message accepted\r\n421 " in client.rest()
    assert mailbox.wait_for_end().reason is CloseReason.SHUTDOWN


def test_a_handler_outlives_the_peer_and_shutdown_waits_for_it(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None, caplog: Any
) -> None:
    """A peer that goes never cancels a handler (6), and what it began is in the registry (5)."""
    begun = threading.Event()
    stored: list[bytes] = []

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        async def store(event: ServerEvent) -> None:
            begun.set()
            for _ in range(20):
                await (pause(adapter, 0.02) or suspended(adapter))
            stored.append(b"")
            note(event)

        def handle(event: ServerEvent) -> Awaitable[None] | None:
            return store(event) if isinstance(event, EndOfMessage) else note(event)

        return handle

    mailbox = Mailbox()
    with serving(adapter, factory, with_tls(RELAY), tls, grace=9) as port:
        client = talk(port, b"c.example")
        client.send(OPENING)
        client.send(b"text\r\n.\r\n")
        assert begun.wait(60)
        client.reset()
    assert stored == [b""]
    assert len(mailbox.endings) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("where", ["TLS from the first octet", "PROXY header", "STARTTLS"])
def test_shutdown_ends_what_has_only_begun(adapter: str, where: str, server_tls: TlsConfig) -> None:
    config = {
        "TLS from the first octet": ServerConfig.submissions("mx.example.org"),
        "PROXY header": replace(
            ServerConfig.submissions("mx.example.org"), proxy=frozenset({"127.0.0.1"})
        ),
        "STARTTLS": replace(RELAY, starttls=True),
    }[where]
    mailbox = Mailbox()
    start = time.monotonic()
    with serving(adapter, mailbox, config, server_tls, grace=9) as port:
        client = Dialogue(port)
        if where == "STARTTLS":
            client.reply()
            client.say(b"EHLO client.example.com")
            client.say(b"STARTTLS")
        else:
            client.send(b"\x16\x03" if where != "PROXY header" else b"PROXY TCP4 ")
            time.sleep(0.1)
    assert time.monotonic() - start < 9
    with client:
        assert b"220" not in client.rest()
    assert len(mailbox.endings) == (where == "STARTTLS")


def test_shutdown_does_not_wait_for_a_peer_that_does_not_read(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    endless = Reply(252, "\n".join(["x" * 400] * 40_000))  # 16 MB: no buffers hold as much
    answered = threading.Event()

    def factory(session: Session) -> Handler:
        def handle(event: ServerEvent) -> None:
            if isinstance(event, Vrfy):
                session.conn.reply(endless)
                answered.set()
            answer(session, event)

        return handle

    cut: list[Peer] = []
    with serving(adapter, factory, with_tls(PATIENT), tls, grace=0.3, cut=cut) as port:
        client = talk(port, b"c.example")
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(b"VRFY me\r\n" * 1000)
        assert answered.wait(60)
    with client:
        assert len(cut) == 1


def test_shutdown_says_whom_it_had_to_cut(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        return pause(adapter, 0.8) if isinstance(event, Mail) else None

    mailbox = Mailbox(step)
    cut: list[Peer] = []
    with serving(adapter, mailbox, RELAY, grace=0.1, cut=cut) as port:
        idle, busy = Dialogue(port), Dialogue(port)
        idle.reply()
        busy.reply()
        busy.say(b"EHLO c.example")
        busy.send(b"MAIL FROM:<a@b.example>\r\n")
        address = busy.sock.getsockname()
        time.sleep(0.1)
    idle.close()
    busy.close()
    assert address in [(peer.address, peer.port) for peer in cut]
    assert len(mailbox.endings) == 2


def later(adapter: str, call: Callable[[], None]) -> None:
    """From outside of every handler."""
    match adapter:
        case "blocking" | "fifth":
            threading.Timer(0.05, call).start()
        case "trio":

            async def wait() -> None:
                await trio.sleep(0.05)
                call()

            trio.lowlevel.spawn_system_task(wait)
        case _:
            asyncio.get_running_loop().call_later(0.05, call)


@pytest.mark.parametrize("how", ["shutdown", "close"])
@pytest.mark.parametrize("place", ["factory", "handler", "outside"])
def test_a_session_is_ended_from_anywhere(
    adapter: str, how: str, place: str, colour: str, tls: TlsConfig | None, with_tls: Config
) -> None:
    mailbox = Mailbox()

    def factory(session: Session) -> Handler:
        end = session.shutdown if how == "shutdown" else session.close
        note = mailbox(session)

        def handle(event: ServerEvent) -> None:
            if isinstance(event, Hello) and place == "handler":
                end()
            if isinstance(event, Hello) and place == "outside":
                later(adapter, end)
            note(event)

        if place == "factory":
            end()
        return coloured(colour, handle)

    with serving(adapter, factory, with_tls(RELAY), tls) as port, Dialogue(port) as client:
        client.send(b"EHLO c.example\r\n" if place != "factory" else b"")
        said = client.rest()
        reason = mailbox.wait_for_end().reason
    assert reason is (CloseReason.SHUTDOWN if how == "shutdown" else CloseReason.ABORTED)
    assert said.endswith(b"\r\n421 4.3.2 Service shutting down\r\n") is (
        how == "shutdown" and place != "factory"
    )
    assert len(mailbox.endings) == 1


@pytest.mark.parametrize("calls", [("shutdown", "close"), ("close", "shutdown"), ("close",) * 3])
@pytest.mark.parametrize("at", [Connected, Hello, BodyChunk, EndOfMessage])
def test_a_session_that_its_handler_ends_twice_ends_once_and_says_nothing_more(
    adapter: str, calls: tuple[str, ...], at: type[ServerEvent]
) -> None:
    """``close()`` drops what is queued, a 421 that ``shutdown()`` has queued included."""

    def end(session: Session, event: ServerEvent) -> None:
        if isinstance(event, at):
            for call in calls:
                getattr(session, call)()

    mailbox = Mailbox(end)
    with serving(adapter, mailbox, RELAY) as port, Dialogue(port) as client:
        client.send(b"EHLO c.example\r\n" + OPENING + b"text\r\n.\r\nQUIT\r\n")
        assert b"421 " not in client.rest()
        mailbox.wait_for_end()
    assert len(mailbox.endings) == 1
    assert isinstance(mailbox.events[-1], Closed)


def test_who_goes_on_talking_when_a_session_is_shut_down_loses_no_reply(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None, monkeypatch: Any
) -> None:
    """A socket that is shut for reading answers what comes with a reset."""
    for module in (callbacks, serving_adapter, fifth):
        monkeypatch.setattr(module, "LINGER", 8.0)
    mailbox = Mailbox()

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        def handle(event: ServerEvent) -> None:
            if isinstance(event, Vrfy):
                later(adapter, session.shutdown)
            note(event)

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls) as port,
        talk(port, b"c.example") as client,
    ):
        assert client.say(b"VRFY me").startswith(b"252 ")
        assert client.reply() == b"421 4.3.2 Service shutting down\r\n"
        for _ in range(5):
            client.send(b"NOOP\r\n")
            time.sleep(0.02)
        assert client.rest() == b""
    assert mailbox.wait_for_end().reason is CloseReason.SHUTDOWN


def test_a_handler_cannot_wait_for_the_end_of_its_own_server(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    made: list[Any] = []

    def factory(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Vrfy):
                if event.argument == "later":
                    await suspended(adapter)
                try:
                    ended = made[0].shutdown(0)
                    await ended
                except RuntimeError as error:
                    session.conn.reply(Reply(252, str(error)))
            answer(session, event)

        return handle

    with (
        serving(adapter, factory, with_tls(RELAY), tls, made=made) as port,
        talk(port, b"c.example") as client,
    ):
        for word in (b"at-once", b"later"):
            assert b"cannot wait for its own server's end" in client.say(b"VRFY " + word)
        with talk(port, b"d.example") as other:  # nothing has changed
            assert other.say(b"NOOP").startswith(b"250 ")


# -- 7: overload


def test_too_many_connections(adapter: str) -> None:
    with serving(adapter, Mailbox(), RELAY, max_connections=2) as port:
        with Dialogue(port) as first, Dialogue(port) as second:
            assert first.reply().startswith(b"220 ")
            assert second.reply().startswith(b"220 ")
            with Dialogue(port) as third:
                assert third.rest() == b"421 Too many connections\r\n"
            assert first.say(b"QUIT").startswith(b"221 ")
            first.rest()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with Dialogue(port) as again:
                if again.reply().startswith(b"220 "):
                    return
        pytest.fail("nobody is let in again")


def test_too_many_connections_of_one_peer(adapter: str, server_tls: TlsConfig) -> None:
    """They are counted from accept on: before TLS, where there is nothing to say."""
    config = ServerConfig.submissions("mx.example.org")
    with (
        serving(adapter, Mailbox(), config, server_tls, max_connections_per_peer=1) as port,
        Dialogue(port),
        Dialogue(port) as second,
        socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.2", 0)) as other,
    ):
        assert second.rest() == b""
        other.settimeout(0.2)
        with pytest.raises(TimeoutError):
            other.recv(1)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_where_the_system_has_no_room_it_is_asked_now_and_then(
    adapter: str, number: int, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    calls = 0
    accept = socket.socket.accept

    def full(sock: socket.socket) -> Any:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise OSError(number, "no room")
        return accept(sock)

    with serving(adapter, Mailbox(), RELAY) as port:
        monkeypatch.setattr(socket.socket, "accept", full)
        start = time.monotonic()
        with Dialogue(port) as client:
            assert client.reply().startswith(b"220 ")
        assert time.monotonic() - start >= 0.3
    assert len([record for record in caplog.records if "no room" in record.getMessage()]) == 1


def test_a_thread_that_cannot_start_refuses_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    class Thread(threading.Thread):
        failures = 1

        def start(self) -> None:
            if Thread.failures:
                Thread.failures -= 1
                raise RuntimeError("can't start new thread")
            super().start()

    with serving("blocking", Mailbox(), RELAY) as port:
        monkeypatch.setattr(blocking, "Thread", Thread)
        with Dialogue(port) as refused:
            assert refused.rest() == b"421 Too many connections\r\n"
        with Dialogue(port) as client:
            assert client.reply().startswith(b"220 ")
    assert "can't start new thread" in caplog.text


# -- 9: after QUIT


def test_after_quit_a_peer_may_send_little(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None, monkeypatch: Any
) -> None:
    for module in (callbacks, serving_adapter):
        monkeypatch.setattr(module, "LINGER", 8.0)
    with serving(adapter, Mailbox(), with_tls(RELAY), tls) as port, talk(port, b"c") as client:
        assert client.say(b"QUIT").startswith(b"221 ")
        try:
            for _ in range(1000):
                socket.socket.send(client.sock, b"x" * 65536)
        except OSError:
            return
        pytest.fail("64 MiB are taken")


# -- 10: stalls


def test_a_client_that_stalls_in_the_body(
    adapter: str, talk: Talk, with_tls: Config, tls: TlsConfig | None
) -> None:
    mailbox = Mailbox()
    config = with_tls(replace(RELAY, timeouts=Timeouts(block=0.3)))
    with serving(adapter, mailbox, config, tls) as port, talk(port, b"c.example") as client:
        client.send(OPENING)
        client.send(b"half a mess")
        assert client.rest().endswith(b"421 4.4.2 Timeout\r\n")
        assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT
    assert [event for event in mailbox.events if isinstance(event, MessageAborted)]


# -- what the handler is told


def test_the_name_asked_for_by_sni_is_known(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, starttls=True)
    with serving(adapter, mailbox, config, server_tls) as port, Dialogue(port) as client:
        client.reply()
        client.say(b"EHLO client.example.com")
        client.say(b"STARTTLS")
        client.start_tls(client_context)
        client.say(b"EHLO client.example.com")
        tls = mailbox.sessions[0].conn.tls
        assert tls is not None
        assert tls.server_name == "localhost"


def test_connected_comes_first_and_closed_last(adapter: str) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY) as port, Dialogue(port) as client:
        client.reply()
    assert isinstance(mailbox.events[0], Connected)
    assert isinstance(mailbox.events[-1], Closed)
    assert len(mailbox.endings) == 1


def test_the_end_may_come_before_connected(adapter: str) -> None:
    """Who is no trusted proxy is not greeted; the handler, which was made, is told of the end."""
    mailbox = Mailbox()
    config = replace(RELAY, proxy=frozenset({"192.0.2.1"}))
    with serving(adapter, mailbox, config) as port, Dialogue(port) as client:
        assert client.rest() == b""
        assert mailbox.wait_for_end().reason is CloseReason.VIOLATION
    assert mailbox.events == mailbox.endings
    assert len(mailbox.sessions) == len(mailbox.endings) == 1
