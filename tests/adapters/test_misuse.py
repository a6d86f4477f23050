"""What applications do to a server that nobody planned for, and what holds all the same."""

import asyncio
import math
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
from tests.adapters.handlers import Mailbox, answer, pause
from tests.adapters.servers import SERVERS, Dialogue, serving

from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking, callbacks
from smtpwire.adapters import serving as serving_adapter
from smtpwire.adapters import trio as trio_adapter
from smtpwire.adapters.session import Handler, Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import Closed, CloseReason, ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.operations import verify
from smtpwire.testing import sink
from smtpwire.wire.command import Vrfy
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
LOOPS = sorted({*SERVERS} - {"blocking"})
PATIENCE = 60.0


@pytest.fixture(params=[*SERVERS, "fifth"])
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (callbacks, serving_adapter):
        monkeypatch.setattr(module, "LINGER", 0.3)


def run(loop: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in the loop, for a while at most."""

    async def limited() -> None:
        with anyio.fail_after(PATIENCE):
            await main()

    if loop == "trio":
        anyio.run(limited, backend="trio")
    else:
        options = {"use_uvloop": loop == "uvloop"}
        anyio.run(limited, backend="asyncio", backend_options=options)


async def start(loop: str, session: Callable[[Session], Handler]) -> Any:
    module: Any = trio_adapter if loop == "trio" else asyncio_adapter
    return await module.start_server(session, RELAY, "127.0.0.1", 0)


def port_of(server: Any) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def greeted(port: int) -> None:
    with Dialogue(port) as client:
        assert client.reply().startswith(b"220 ")
        assert client.say(b"QUIT").startswith(b"221 ")


def test_a_block_in_which_the_server_serves_for_ever(loop: str) -> None:
    """With trio the block takes connections already, and would have taken each twice."""

    async def main() -> None:
        async with await start(loop, Mailbox()) as server:

            async def end() -> None:
                await anyio.to_thread.run_sync(greeted, port_of(server))
                await server.shutdown(1)

            async with anyio.create_task_group() as group:
                group.start_soon(end)
                await server.serve_forever()

    run(loop, main)


def test_a_block_in_which_threads_serve_for_ever() -> None:
    with blocking.start_server(Mailbox(), RELAY, "127.0.0.1", 0) as server:

        def end() -> None:
            greeted(port_of(server))
            server.shutdown(1)

        thread = threading.Thread(target=end)
        thread.start()
        server.serve_forever()
        thread.join(PATIENCE)


def test_a_handlers_child_that_waits_for_the_servers_end(loop: str) -> None:
    """The handler waits for its child, and the child for the handler: up to the grace's end."""
    mailbox = Mailbox()
    made: list[Any] = []

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        async def wait() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(made[0].shutdown, 0.1)

        return lambda event: wait() if isinstance(event, Vrfy) else note(event)

    def ask(port: int) -> None:
        with Dialogue(port) as client:
            client.reply()
            client.send(b"EHLO c.example\r\nVRFY me\r\n")
            client.rest()

    async def main() -> None:
        made.append(await start(loop, factory))
        async with anyio.create_task_group() as group:
            group.start_soon(partial(anyio.to_thread.run_sync, ask, port_of(made[0])))
            await made[0].serve_forever()
        assert not made[0].sessions

    run(loop, main)
    assert len(mailbox.endings) == 1


def test_a_shutdown_that_is_cancelled_gives_no_more_grace(loop: str) -> None:
    mailbox = Mailbox()
    begun = threading.Event()

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        async def wait() -> None:
            begun.set()
            await anyio.sleep(60)

        return lambda event: wait() if isinstance(event, Vrfy) else note(event)

    def ask(client: Dialogue) -> None:
        client.reply()
        client.send(b"EHLO c.example\r\nVRFY me\r\n")
        assert begun.wait(PATIENCE)

    async def main() -> None:
        server = await start(loop, factory)

        async def end() -> None:
            with Dialogue(port) as client:
                await anyio.to_thread.run_sync(ask, client)
                with anyio.move_on_after(0.05):
                    await server.shutdown(60)

        port = port_of(server)
        async with anyio.create_task_group() as group:
            group.start_soon(end)
            await server.serve_forever()
        assert not server.sessions

    run(loop, main)
    assert len(mailbox.endings) == 1


@pytest.mark.parametrize("turns", range(6))
def test_a_shutdown_that_is_cancelled_as_its_last_session_ends(loop: str, turns: int) -> None:
    """Who has cancelled a task relies on its end: none goes on as if nothing had been."""
    if loop == "trio":
        return  # whose cancellation stays until it is seen

    async def main() -> None:
        running, mailbox = asyncio.get_running_loop(), Mailbox()
        begun, released = asyncio.Event(), asyncio.Event()

        def factory(session: Session) -> Handler:
            note = mailbox(session)

            async def handle(event: ServerEvent) -> None:
                if isinstance(event, Vrfy):
                    begun.set()
                    await released.wait()
                if isinstance(event, Closed):  # the peer has gone: nothing else is waited for
                    cancel(turns)
                note(event)

            return handle

        def cancel(turns: int) -> None:
            if turns:
                running.call_soon(cancel, turns - 1)
            else:
                ending.cancel()

        async def end() -> None:
            await server.shutdown(PATIENCE)
            await asyncio.Event().wait()

        server = await start(loop, factory)
        client = Dialogue(port_of(server))
        client.send(b"EHLO c.example\r\nVRFY me\r\n")
        await begun.wait()
        client.reset()
        while mailbox.sessions[0].conn.state is not State.CLOSED:
            await asyncio.sleep(0)
        ending = asyncio.ensure_future(end())
        while server.sockets:
            await asyncio.sleep(0)
        released.set()
        done, _ = await asyncio.wait({ending}, timeout=PATIENCE)
        assert done

    run(loop, main)


@pytest.mark.parametrize("at", ["listeners", "sessions"])
def test_a_shutdown_of_threads_that_ctrl_c_ends_gives_no_more_grace(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it waits: for who takes connections, or for who is served."""
    begun, released = threading.Event(), threading.Event()

    def wait(session: Session, event: ServerEvent) -> None:
        if isinstance(event, Vrfy):
            begun.set()
            released.wait(PATIENCE)

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None:
                return super().wait(PATIENCE)
            raise KeyboardInterrupt

    class Held:
        """A lock that another one has."""

        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None: ...

    mailbox = Mailbox(wait)
    with (
        blocking.start_server(mailbox, RELAY, "127.0.0.1", 0) as server,
        Dialogue(port_of(server)) as client,
    ):
        client.reply()
        client.send(b"EHLO c.example\r\nVRFY me\r\n")
        assert begun.wait(PATIENCE)
        try:
            with monkeypatch.context() as patches:
                if at == "listeners":
                    patches.setattr(server, "_serving", Held())
                else:
                    patches.setattr(blocking, "Event", Interrupted)
                with pytest.raises(KeyboardInterrupt):
                    server.shutdown(60)
            assert b"421" not in client.rest()  # it ends, while its handler is held up
        finally:
            released.set()
        assert mailbox.wait_for_end().reason is CloseReason.ABORTED


NO_TIMES: dict[Any, type[Exception]] = {
    "5": TypeError,
    None: TypeError,
    math.nan: ValueError,
    math.inf: ValueError,
}


def test_a_shutdown_that_is_given_no_time_ends_nothing(loop: str) -> None:
    async def main() -> None:
        async with await start(loop, Mailbox()) as server:
            with Dialogue(port_of(server)) as client:
                await anyio.to_thread.run_sync(client.reply)
                for grace, error in NO_TIMES.items():
                    with pytest.raises(error, match=r"^grace is .*: pass "):
                        await server.shutdown(grace)
                assert await anyio.to_thread.run_sync(client.say, b"NOOP") == b"250 2.0.0 OK\r\n"
                assert await server.shutdown(-1)  # its time is over already
                assert not server.sessions

    run(loop, main)


def test_a_shutdown_of_threads_that_is_given_no_time_ends_nothing() -> None:
    with (
        blocking.start_server(Mailbox(), RELAY, "127.0.0.1", 0) as server,
        Dialogue(port_of(server)) as client,
    ):
        client.reply()
        for grace, error in NO_TIMES.items():
            with pytest.raises(error, match=r"^grace is .*: pass "):
                server.shutdown(grace)
        assert client.say(b"NOOP") == b"250 2.0.0 OK\r\n"
        server.shutdown(-1)  # its time is over already
        assert not server.sessions


WRONG: Any = verify  # not called
NO_OPERATION = "^operation is a function: pass a Generator"


def wrongly() -> Any:
    """An operation that waits for nobody: it was gone on with at once, and without end."""
    for _ in range(1000):
        yield "data"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_that_is_to_run_what_is_no_operation(backend: str) -> None:
    module: Any = trio_adapter if backend == "trio" else asyncio_adapter

    async def main() -> None:
        async with await module.connect(mx.host, mx.port) as client:
            with pytest.raises(TypeError, match=NO_OPERATION):
                await client.run(WRONG)
            with pytest.raises(TypeError, match=r"^an operation yielded a str: yield a Need"):
                await client.run(wrongly())
            await client.open_session()

    with sink() as mx:
        run(backend, main)


def test_a_blocking_client_that_is_to_run_what_is_no_operation() -> None:
    with sink() as mx, blocking.connect(mx.host, mx.port) as client:
        with pytest.raises(TypeError, match=NO_OPERATION):
            client.run(WRONG)
        with pytest.raises(TypeError, match=r"^an operation yielded a str: yield a Need"):
            client.run(wrongly())
        client.open_session()


def real_coroutines_only(
    loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any
) -> "asyncio.Task[Any]":
    if not hasattr(coroutine, "cr_frame"):
        raise TypeError(coroutine)
    return asyncio.Task(coroutine, loop=loop, **named)


def none_at_all(*_: object, **__: object) -> "asyncio.Task[Any]":
    raise RuntimeError("no tasks")


FACTORIES: dict[str, Callable[..., Any]] = {
    "eager_task_factory": getattr(asyncio, "eager_task_factory", real_coroutines_only),
    "real_coroutines_only": real_coroutines_only,
    "none_at_all": none_at_all,
}


@pytest.mark.parametrize("loop", sorted({*SERVERS} & {"asyncio", "uvloop"}))
@pytest.mark.parametrize("name", FACTORIES)
def test_a_loop_that_makes_tasks_in_its_own_way(loop: str, name: str) -> None:
    """``eager_task_factory`` (Python 3.12) begins a task at once, in a context of its own."""

    def session(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Vrfy):
                async with asyncio.timeout(PATIENCE):
                    await asyncio.sleep(0.001)
            answer(session, event)

        return handle

    def ask(port: int) -> None:
        with Dialogue(port) as client:
            client.reply()
            for _ in range(2):
                assert client.say(b"VRFY me").startswith(b"252 ")

    async def main() -> None:
        running = asyncio.get_running_loop()
        running.set_task_factory(FACTORIES[name])
        async with await start(loop, session) as server:
            await anyio.to_thread.run_sync(ask, port_of(server))
            running.set_task_factory(None)  # the end of a loop makes some

    run(loop, main)


class Stop(BaseException):
    """No Exception, as a library's own signal may be."""


FAILURES = {"function": Stop, "at-once": Stop, "later": Stop, "by-hand": asyncio.CancelledError}


def test_what_is_no_exception_ends_the_connection(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler is told, once. What becomes of the error then is the loop's own affair."""
    if adapter == "trio":
        return  # which ends everything by it, as the next test has it
    monkeypatch.setattr(threading, "excepthook", lambda lost: None)
    mailbox = Mailbox()

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        async def fail(when: str) -> None:
            if when == "later":
                await (pause(adapter, 0.01) or nothing())
            raise FAILURES[when]

        def handle(event: ServerEvent) -> Awaitable[None] | None:
            if not isinstance(event, Vrfy):
                return note(event)
            if event.argument in ("function", "by-hand"):
                raise FAILURES[event.argument]
            return fail(event.argument)

        return handle

    with serving(adapter, factory, RELAY) as port:
        for count, when in enumerate(FAILURES, 1):
            with Dialogue(port) as client:
                client.reply()
                client.send(b"EHLO c.example\r\nVRFY %b\r\n" % when.encode())
                client.rest()
            wait_for(mailbox, count)
            assert mailbox.endings[-1].reason is CloseReason.ABORTED
        greeted(port)
    assert len(mailbox.endings) == len(FAILURES) + 1


@pytest.mark.parametrize("when", ["function", "at-once", "later"])
def test_a_handler_that_ends_the_process(loop: str, when: str) -> None:
    """Whoever is connected is told, and the server's block ends."""
    mailbox = Mailbox()

    def factory(session: Session) -> Handler:
        note = mailbox(session)

        async def leave() -> None:
            if when == "later":
                await anyio.sleep(0.01)
            raise SystemExit

        def handle(event: ServerEvent) -> Awaitable[None] | None:
            if not isinstance(event, Vrfy):
                return note(event)
            if when == "function":
                raise SystemExit
            return leave()

        return handle

    def ask(port: int) -> None:
        with Dialogue(port) as idle, Dialogue(port) as client:
            idle.reply()
            client.reply()
            client.send(b"VRFY me\r\n")
            client.rest()
            idle.rest()

    threads: list[threading.Thread] = []

    async def main() -> None:
        async with await start(loop, factory) as server:
            threads.append(threading.Thread(target=ask, args=(port_of(server),)))
            threads[0].start()
            await server.serve_forever()

    with pytest.raises(BaseException) as raised:
        run(loop, main)
    assert isinstance(raised.value, SystemExit | BaseExceptionGroup)
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    assert len(mailbox.endings) == 2


def session_of(name: str, *arguments: Any) -> Any:
    """A session of an application's own, without a server of ours."""
    if name in ("asyncio", "uvloop"):
        return asyncio_adapter.ServerProtocol(*arguments)
    near, far = socket.socketpair()
    far.close()
    with near:
        if name == "blocking":
            return blocking.ServerSession(near, *arguments)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(near))
        return trio_adapter.ServerSession(stream, *arguments)


@pytest.mark.parametrize("name", SERVERS)
def test_a_session_without_a_server_is_looked_at_as_well(
    name: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    """Its peer waited for a greeting that nobody could send, or was told to begin TLS in vain."""
    wrong: list[tuple[type[Exception], str, tuple[Any, ...]]] = [
        (TypeError, "session is an int: pass a function", (3, RELAY)),
        (TypeError, "config is a str: pass a ServerConfig", (Mailbox(), "mx.example.org")),
        (TypeError, "tls is a str: pass a TlsConfig", (Mailbox(), RELAY, "tls")),
        (ValueError, "a context for the other role", (Mailbox(), RELAY, client_context)),
        (ValueError, "with TLS needs tls=", (Mailbox(), replace(RELAY, starttls=True))),
        (ValueError, "with TLS needs tls=", (Mailbox(), ServerConfig.submissions("mx"))),
    ]

    async def main() -> None:
        for error, text, arguments in wrong:
            with pytest.raises(error, match=text):
                session_of(name, *arguments)
        assert session_of(name, Mailbox(), RELAY, None)
        for tls in (server_tls, server_tls.context):  # a context by itself will do
            assert session_of(name, Mailbox(), replace(RELAY, starttls=True), tls)

    if name == "blocking":
        with pytest.raises(StopIteration):
            main().send(None)
    else:
        run(name, main)


@pytest.mark.parametrize("word", [*Need, 5, "ok"])
def test_a_handler_that_returns_what_nobody_can_await(adapter: str, word: object) -> None:
    """A Need is the loop's own word to its driver: the connection was left to nobody."""
    mailbox = Mailbox()

    def factory(session: Session) -> Handler:
        note: Any = mailbox(session)

        def handle(event: ServerEvent) -> Any:
            return word if isinstance(event, Vrfy) else note(event)

        return handle

    with serving(adapter, factory, RELAY) as port, Dialogue(port) as client:
        client.reply()
        assert client.say(b"VRFY me").startswith(b"451 ")
        assert client.say(b"QUIT").startswith(b"221 ")
        mailbox.wait_for_end()
    assert len(mailbox.endings) == 1


@pytest.mark.parametrize("how", ["close", "abort", "shutdown"])
def test_a_handler_that_ends_its_own_session(adapter: str, how: str) -> None:
    """It may go on as it likes, and is told of the end, once."""
    mailbox = Mailbox()
    finished: list[str] = []

    def factory(session: Session) -> Handler:
        note = mailbox(session)
        end = {
            "close": session.close,
            "abort": lambda: session.conn.abort("by hand"),
            "shutdown": session.shutdown,
        }[how]

        async def handle(event: ServerEvent) -> None:
            if not isinstance(event, Vrfy):
                note(event)
                return
            end()
            if event.argument == "waits":
                for _ in range(3):
                    await (pause(adapter, 0.01) or nothing())
            finished.append(event.argument)
            if event.argument == "raises":
                raise ZeroDivisionError
            if event.argument == "answers":
                answer(session, event)

        return handle

    ways = ["returns", "waits", "raises", "answers"]
    with serving(adapter, factory, RELAY) as port:
        for way in ways:
            with Dialogue(port) as client:
                client.reply()
                client.send(b"EHLO c.example\r\nVRFY %b\r\n" % way.encode())
                client.rest()
    reason = CloseReason.SHUTDOWN if how == "shutdown" else CloseReason.ABORTED
    assert [ending.reason for ending in mailbox.endings] == [reason] * len(ways)
    assert sorted(finished) == sorted(ways)  # a connection may be over before its handler


def wait_for(mailbox: Mailbox, endings: int) -> None:
    end = time.monotonic() + PATIENCE
    while len(mailbox.endings) < endings:
        assert time.monotonic() < end
        time.sleep(0.01)


async def nothing() -> None:
    pass
