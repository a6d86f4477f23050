"""What cannot begin leaves nothing behind: no socket, no session, nobody who waits for ever."""

import asyncio
import errno
import gc
import socket
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from selectors import DefaultSelector
from typing import Any, ClassVar, NoReturn

import anyio
import pytest
import trio
from tests.adapters.handlers import Mailbox, pause
from tests.adapters.loops import LOOPS, no_descriptor_left
from tests.adapters.servers import PATIENCE, SERVERS, Dialogue, serving

from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking, channel, listening
from smtpwire.adapters import trio as trio_adapter
from smtpwire.adapters.tls import TlsConfig, TlsLayer
from smtpwire.engine.events import CloseReason
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
WITH_EVENTS = sorted({*SERVERS} & {"asyncio", "uvloop"})


def no_room() -> OSError:
    """Anew each time: an exception that is kept keeps all whose frames it has come through."""
    return OSError(errno.EMFILE, "no room")


def no_thread() -> RuntimeError:
    return RuntimeError("can't start new thread")


def no_memory() -> MemoryError:
    return MemoryError("no memory")


class NoThread(threading.Thread):
    """One that cannot start."""

    errors: ClassVar[list[Callable[[], BaseException]]] = [no_thread]

    def start(self) -> None:
        raise self.errors[0]()


@pytest.fixture(autouse=True)
def no_socket_is_lost() -> Iterator[None]:
    """Each is closed, and not by the garbage collector."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(each.message) for each in found if each.category is ResourceWarning] == []


def failing(
    error: Callable[[], BaseException], times: int, then: Callable[..., Any]
) -> Callable[..., Any]:
    """A function that fails so often, and then does what it is to do."""
    left = [error] * times

    def call(*arguments: Any, **named: Any) -> Any:
        if left:
            raise left.pop()()
        return then(*arguments, **named)

    return call


def greeted(port: int) -> None:
    with Dialogue(port) as client:
        assert client.reply().startswith(b"220 ")
        assert client.say(b"QUIT").startswith(b"221 ")


# -- servers


def test_a_block_that_no_thread_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    server = blocking.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
    with monkeypatch.context() as patched:
        patched.setattr(blocking, "Thread", NoThread)
        with pytest.raises(RuntimeError, match="can't start new thread"), server:
            pytest.fail("the block begins")
    assert server.sockets == ()  # there is no block whose end would close them
    assert server.shutdown() == ()


@pytest.mark.parametrize("step", ["made", "told of a listener"])
def test_a_block_whose_listeners_nothing_can_watch(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoSelector(DefaultSelector):
        def __init__(self) -> None:
            super().__init__()
            if step == "made":
                self.close()
                raise no_room()

        def register(self, *_: Any) -> NoReturn:
            raise no_room()

    server = blocking.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
    with monkeypatch.context() as patched:
        patched.setattr(blocking, "DefaultSelector", NoSelector)
        with pytest.raises(OSError, match="no room"):
            server.serve_forever()
        with pytest.raises(OSError, match="no room"), server:
            pytest.fail("the block begins, and nobody is served in it")
    assert server.sockets == ()


@pytest.mark.parametrize("error", [no_thread, no_memory, KeyboardInterrupt])
def test_a_session_that_no_thread_can_serve(
    error: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = blocking.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(NoThread, "errors", [error])
    ends: list[type[BaseException]] = []

    def serve() -> None:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            ends.append(KeyboardInterrupt)

    thread = threading.Thread(target=serve)
    thread.start()
    with monkeypatch.context() as patched:
        patched.setattr(blocking, "Thread", NoThread)
        with Dialogue(port) as client:
            assert client.rest() == b"421 Too many connections\r\n"
    assert server.sessions == ()
    if error is KeyboardInterrupt:
        thread.join(PATIENCE)
        assert ends == [KeyboardInterrupt]
    else:
        greeted(port)
    server.shutdown(0)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_session_for_which_there_is_no_descriptor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It needs two besides its own, by which another thread wakes it."""
    with serving("blocking", Mailbox(), RELAY) as port:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socketpair", failing(no_room, 2, socket.socketpair))
            for _ in range(2):
                with Dialogue(port) as client:
                    assert client.rest() == b"421 Too many connections\r\n"
        greeted(port)
    assert len([record for record in caplog.records if "no room" in record.getMessage()]) == 1


def test_a_session_that_cannot_be_made(
    adapter: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server goes on: whoever comes next is served."""
    module, name = {
        "blocking": (blocking, "ServerSession"),
        "trio": (trio_adapter, "ServerSession"),
    }.get(adapter, (asyncio_adapter, "ServerProtocol"))
    with serving(adapter, Mailbox(), RELAY) as port:
        make = getattr(module, name)
        monkeypatch.setattr(module, name, failing(no_memory, 1, make))
        with Dialogue(port) as client:
            assert client.rest() == b"421 Too many connections\r\n"
        greeted(port)
    assert "no memory" in caplog.text


def test_threads_that_serve_and_shut_down_at_once() -> None:
    for _ in range(50):
        server = blocking.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
        failures: list[BaseException] = []

        def run(call: Callable[[], object], failures: list[BaseException] = failures) -> None:
            try:
                call()
            except BaseException as failure:
                failures.append(failure)

        calls = [server.serve_forever, server.shutdown, server.serve_forever, server.shutdown]
        threads = [threading.Thread(target=run, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert failures == []


class Full:
    """Mixed into a loop: there is no room to watch a socket, now and then."""

    fails: ClassVar[list[bool]] = []
    watched: ClassVar[list[object]] = []

    def add_reader(self, sock: object, *arguments: Any) -> None:
        if self.fails and self.fails.pop(0):
            raise no_room()
        self.watched.append(sock)
        super().add_reader(sock, *arguments)  # type: ignore[misc]

    def remove_reader(self, sock: object) -> bool:
        if sock in self.watched:
            self.watched.remove(sock)
        removed: bool = super().remove_reader(sock)  # type: ignore[misc]
        return removed


def run_full(name: str, main: Callable[[], Coroutine[Any, Any, None]], fails: list[bool]) -> None:
    base: Any = asyncio.SelectorEventLoop
    if name == "uvloop":
        import uvloop

        base = uvloop.Loop
    made = type("Loop", (Full, base), {"fails": fails, "watched": []})
    with asyncio.Runner(loop_factory=made) as runner:
        runner.run(main())


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("name", WITH_EVENTS)
def test_all_tasks_of_a_loop_are_cancelled_while_a_connection_is_taken(
    name: str, turns: int
) -> None:
    """As a loop does at its end: between accept and its first step nobody else knew the socket."""
    mailbox = Mailbox()

    async def serve(listening: asyncio.Future[Any]) -> None:
        async with await asyncio_adapter.start_server(mailbox, RELAY, "127.0.0.1", 0) as server:
            listening.set_result(server)
            await asyncio.Event().wait()

    async def main() -> None:
        found = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(serve(found))
        server = await found
        with socket.create_connection(server.sockets[0].getsockname(), PATIENCE) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
            done, _ = await asyncio.wait({serving}, timeout=PATIENCE)
            assert done == {serving}
            assert serving.cancelled()
            assert not server.sessions
            client.setblocking(False)
            with suppress(ConnectionResetError):  # it was never taken
                assert client.recv(100) == b"" or mailbox.sessions

    backend = {"use_uvloop": name == "uvloop"}
    anyio.run(main, backend="asyncio", backend_options=backend)
    assert len(mailbox.endings) == len(mailbox.sessions)


@pytest.mark.parametrize("which", range(2))
@pytest.mark.parametrize("name", WITH_EVENTS)
def test_listeners_of_which_a_loop_cannot_watch_one(
    name: str, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``epoll`` has a limit, and a loop of Windows watches none at all."""
    kept = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    monkeypatch.setattr(listening, "_listen_ip", lambda *_: list(kept))
    fails = [False] * which + [True]

    async def main() -> None:
        with pytest.raises(OSError, match="no room"):
            await asyncio_adapter.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
        loop: Any = asyncio.get_running_loop()
        assert loop.watched == []

    run_full(name, main, fails)
    assert [sock.fileno() for sock in kept] == [-1, -1]


@pytest.mark.parametrize("name", WITH_EVENTS)
def test_a_listener_that_is_watched_again_as_soon_as_there_is_room(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "PAUSE", 0.01)
    accept = failing(no_room, 1, socket.socket.accept)
    monkeypatch.setattr(socket.socket, "accept", accept)

    async def main() -> None:
        async with await asyncio_adapter.start_server(Mailbox(), RELAY, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with await asyncio_adapter.connect("127.0.0.1", port) as client:
                await client.open_session()

    run_full(name, main, [False, True, True])
    assert caplog.text.count("no room") == 1


@pytest.mark.parametrize("name", sorted({*SERVERS} - {"blocking"}))
def test_a_server_whose_serving_is_cancelled_while_another_task_waits_for_it(name: str) -> None:
    async def main() -> None:
        module: Any = trio_adapter if name == "trio" else asyncio_adapter
        server = await module.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
        scope = anyio.CancelScope()

        async def serve() -> None:
            with scope:
                await server.serve_forever()

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(serve)
                await anyio.wait_all_tasks_blocked()
                group.start_soon(server.serve_forever)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert server.sockets == ()

    if name == "trio":
        trio.run(main)
    else:
        anyio.run(main, backend_options={"use_uvloop": name == "uvloop"})


@pytest.mark.parametrize("header", [b"", b"PROXY UNKNOWN\r\n"], ids=["first", "behind-PROXY"])
def test_tls_from_the_first_octet_that_cannot_begin(
    adapter: str,
    header: bytes,
    server_tls: TlsConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends the connection at once, and not when its peer says something."""
    config = ServerConfig.submissions("mx.example.org")
    if header:
        config = replace(config, proxy=frozenset({"127.0.0.1"}))
    with serving(adapter, Mailbox(), config, server_tls) as port:
        monkeypatch.setattr(channel, "TlsLayer", failing(no_memory, 1, TlsLayer))
        with Dialogue(port) as client:
            client.send(header)
            assert client.rest() == b""
    assert "no memory" in caplog.text or "MemoryError" in caplog.text


@pytest.mark.parametrize("seconds", [None, 0.001], ids=["at-once", "later"])
def test_tls_that_cannot_begin_on_a_server(
    adapter: str,
    seconds: float | None,
    server_tls: TlsConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends the connection at once, and not when the time for the handshake is over."""
    mailbox = Mailbox(lambda session, event: pause(adapter, seconds) if seconds else None)
    config = replace(RELAY, starttls=True)
    with serving(adapter, mailbox, config, server_tls) as port, Dialogue(port) as client:
        client.reply()
        client.say(b"EHLO client.example.com")
        monkeypatch.setattr(channel, "TlsLayer", failing(no_memory, 1, TlsLayer))
        assert client.say(b"STARTTLS").startswith(b"220 ")
        assert client.rest() == b""
        assert mailbox.wait_for_end().reason is CloseReason.ABORTED
        peer = client.sock.getsockname()[1]
    assert f"127.0.0.1:{peer}: the session failed" in caplog.text


# -- clients


@pytest.mark.parametrize("name", WITH_EVENTS)
def test_a_family_of_addresses_that_this_machine_has_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next address is tried, as ``socket.create_connection()`` and trio do it."""

    def infos(host: str, port: int, **_: object) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)),
        ]

    def made(family: int, *arguments: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no such family")
        return socket.socket(family, *arguments)

    monkeypatch.setattr(asyncio_adapter, "getaddrinfo", infos)
    monkeypatch.setattr(asyncio_adapter, "socket", made)
    loop = LOOPS[name]

    async def main() -> None:
        client = await loop.connect("127.0.0.1", port)
        await client.open_session()
        await client.quit()

    with serving("blocking", Mailbox(), RELAY) as port:
        loop.run(main)


def test_a_client_for_which_there_is_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "timeval_layout", failing(no_room, 1, lambda: None))
    ours, theirs = socket.socketpair()
    with theirs, no_descriptor_left():
        with pytest.raises(OSError, match="no room"):
            blocking.connect(sock=ours)
        assert ours.fileno() == -1
