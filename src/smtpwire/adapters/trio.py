"""A server and a client for trio (the extra ``smtpwire[trio]``)."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from socket import socket
from types import TracebackType
from typing import Final, Self, final

import trio

from smtpwire.adapters.client import AsyncClient, Dialled
from smtpwire.adapters.listening import GRACE, Listening, Service
from smtpwire.adapters.log import logger
from smtpwire.adapters.serving import StreamSession
from smtpwire.adapters.session import SessionFactory, attended, first_step
from smtpwire.adapters.stream import Interrupted
from smtpwire.adapters.tls import Tls
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.server_config import ServerConfig
from smtpwire.operations.serve import who
from smtpwire.service import Application, session_factory

__all__ = ["Client", "Server", "ServerSession", "connect", "start_server"]

INSTANT: Final = 0.001
"""Seconds to see what has come: trio cancels before it looks where there are none."""


@final
class _Transport:
    """A stream of trio's."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream
        self._woken = False
        self._sending, self._receiving = trio.CancelScope(), trio.CancelScope()

    async def send(self, octets: bytes, seconds: float | None) -> None:
        if octets:
            self._sending = self._limited(seconds)
            with _as_oserror(), self._sending:
                await self._stream.send_all(octets)
            self._check(self._sending)

    async def receive(self, size: int, seconds: float | None) -> bytes:
        self._receiving = self._limited(seconds)
        with _as_oserror(), self._receiving:
            return bytes(await self._stream.receive_some(size))
        self._check(self._receiving)
        raise Interrupted

    def _limited(self, seconds: float | None) -> trio.CancelScope:
        self._check_open()
        return trio.CancelScope(deadline=inf if seconds is None else trio.current_time() + seconds)

    def _check(self, scope: trio.CancelScope) -> None:
        if scope.cancelled_caught:
            self._check_open()
            if trio.current_time() >= scope.deadline:
                raise TimeoutError

    def _check_open(self) -> None:
        if self._woken:
            raise OSError("closed by the application")

    async def receive_now(self, size: int) -> bytes | None:
        with trio.move_on_after(INSTANT), _as_oserror():
            return bytes(await self._stream.receive_some(size))
        return None

    async def give_way(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        with _as_oserror():
            await self._stream.send_eof()

    def interrupt(self) -> None:
        self._receiving.cancel()

    def wake(self) -> None:
        self._woken = True
        self._receiving.cancel()
        self._sending.cancel()

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


@contextmanager
def _as_oserror() -> Iterator[None]:
    """What a stream raises, as sockets have it."""
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise OSError(str(error.__cause__ or error)) from error


@final
class ServerSession(StreamSession):
    """One connection of a server: ``conn``, ``flush()``, ``shutdown()`` …; ``run()`` serves it.

    Raises TypeError and ValueError as :func:`start_server`.
    """

    _nursery: trio.Nursery

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        session: SessionFactory,
        config: ServerConfig,
        tls: Tls | None = None,
        peer: Peer | None = None,
    ) -> None:
        super().__init__(_Transport(stream), trio.current_time, session, config, tls, peer)
        self._lock = trio.Lock()
        self._suspended = trio.Event()
        self._scope = trio.CancelScope()
        self._task: trio.lowlevel.Task | None = None

    async def run(self) -> None:
        """Serve the connection to its end."""
        self._task = trio.lowlevel.current_task()
        with self._scope:
            async with trio.open_nursery() as self._nursery:
                await self._run()

    @property
    def is_current(self) -> bool:
        """It is a handler of this session that asks."""
        return trio.lowlevel.current_task() is self._task

    async def flush(self) -> None:
        """Send what is queued."""
        await self._flush()

    async def _flush(self) -> None:
        async with self._lock:
            await super()._flush()

    async def _attend(self, awaitable: Awaitable[None]) -> None:
        """Where the handler suspends, read and write meanwhile."""
        if (begun := first_step(awaitable)) is None:
            return
        reading, over, done = trio.CancelScope(), trio.Event(), trio.Event()
        self._nursery.start_soon(self._work_meanwhile, reading, over, done)
        try:
            await attended(*begun, lambda: self._suspended.set())
        finally:
            over.set()
            self._suspended.set()
            reading.cancel()
            await done.wait()

    async def _work_meanwhile(
        self, reading: trio.CancelScope, over: trio.Event, done: trio.Event
    ) -> None:
        """While a handler is suspended: send what it has queued, and see what comes."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_meanwhile, reading)
                while not over.is_set():
                    await self._suspended.wait()
                    self._suspended = trio.Event()
                    await self._flush()
        finally:
            done.set()

    async def _read_meanwhile(self, scope: trio.CancelScope) -> None:
        with scope:
            while self._channel.wants_data and not self.conn.eof_received:
                await self._read(limited=False)

    def cut(self) -> None:
        """Drop the connection, and cancel its handler."""
        self._scope.cancel()


@final
class Server(Listening[ServerSession]):
    """A listening server, and all that it has begun: see :func:`start_server`.

    As an asynchronous context manager it serves meanwhile, and its end is :meth:`shutdown`.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._ended = trio.Event()
        self._serving = trio.open_nursery()
        self._begun = False

    async def serve_forever(self) -> None:
        """Take connections until :meth:`shutdown` has been called elsewhere, and is done.

        Where the server's block takes them already, wait for that alone.
        """
        if self._begun:
            await self._ended.wait()
            return
        self._begun = True
        try:
            async with trio.open_nursery() as sessions:
                for listener in self._listeners:
                    sessions.start_soon(self._accept, listener, sessions)
                await self._ended.wait()
        finally:
            self._listen_no_more(trio.lowlevel.notify_closing)
            self._ended.set()  # cancelled, too, for whoever else waits for it

    async def _accept(self, listener: socket, sessions: trio.Nursery) -> None:
        while listener in self._listeners:  # shutdown() may come before the first turn
            with suppress(trio.ClosedResourceError):
                await trio.lowlevel.wait_readable(listener)
            await trio.sleep(self._take(listener, sessions))

    def _take(self, listener: socket, sessions: trio.Nursery) -> float:
        """Seconds to wait then. (Here, lest the loop keep the last session while it waits.)"""
        if listener not in self._listeners:
            return 0.0
        taken = self._connections.accept(listener, self._session_of)
        if isinstance(taken, float):
            return taken
        sessions.start_soon(self._run, taken[0])
        return 0.0

    def _session_of(self, sock: socket, peer: Peer) -> ServerSession:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        return ServerSession(stream, *self._service.each, peer)

    async def _run(self, session: ServerSession) -> None:
        try:
            await session.run()
        except Exception:
            logger.exception("%s: the session failed", who(self._connections.peer_of(session)))
        finally:
            self._connections.leave(session)

    async def shutdown(self, grace: float = GRACE) -> tuple[Peer, ...]:
        """Listen no more, end each session with 421; return when nothing is left.

        Questions that are pending may still be answered meanwhile. After ``grace`` seconds what
        is left is dropped and its handlers are cancelled: their peers are what is returned.
        Cancelled, it does so at once. RuntimeError where it is a handler that asks: it would
        wait for itself. TypeError for a grace that is no number, ValueError for more than 31
        years, infinity and NaN: nothing has ended then. 0 and less are no grace.
        """
        grace = self._check_shutdown(grace)
        self._listen_no_more(trio.lowlevel.notify_closing)
        empty = trio.Event()
        self._end_sessions(empty.set)
        self._connections.when_empty(self._ended.set)
        try:
            with trio.move_on_after(grace):
                await empty.wait()
        finally:
            cut = self._cut()
        await empty.wait()
        return cut

    async def __aenter__(self) -> Self:
        nursery = await self._serving.__aenter__()
        nursery.start_soon(self.serve_forever)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        with trio.CancelScope(shield=True):
            await self.shutdown(GRACE if kind is None else 0)
        return await self._serving.__aexit__(kind, error, traceback)


async def start_server(
    session: Application,
    config: ServerConfig,
    host: str | None = None,
    port: int = 25,
    *,
    path: str | None = None,
    sock: socket | None = None,
    tls: Tls | None = None,
    reuse_port: bool = False,
    max_connections: int | None = None,
    max_connections_per_peer: int | None = None,
) -> Server:
    """Listen; every connection is served by ``session``.

    ``session``: a Service, a function of a session that returns the handler of its events, or a
    handler of a session and an event.

    That begins as soon as the server serves.

    At all addresses of ``host``, at a UNIX socket's ``path``, or at ``sock``. TLS is by STARTTLS,
    or from the first octet where the profile is SUBMISSIONS. With ``reuse_port`` several
    processes can share the port. Connections beyond the maximum are refused with 421; None: as
    many as the system has room for. Raises OSError where the address cannot be had, ValueError
    where the configuration needs ``tls``, TypeError for a ``session`` or a ``config`` that is none.
    """
    factory = session_factory(session, config)
    return Server(
        Service(
            factory,
            config,
            tls,
            host=host,
            port=port,
            path=path,
            sock=sock,
            reuse_port=reuse_port,
            max_connections=max_connections,
            max_connections_per_peer=max_connections_per_peer,
        )
    )


@final
class Client(AsyncClient):
    """A client; :func:`connect` makes one."""

    __slots__ = ()


async def connect(
    host: str = "",
    port: int = 25,
    config: ClientConfig | None = None,
    *,
    tls: Tls | None = None,
    server_name: str = "",
    timeout: float = 30.0,
    local_addr: str = "",
    path: str = "",
    sock: socket | None = None,
) -> Client:
    """Connect to ``host`` from ``local_addr``, to the UNIX socket ``path``, or take ``sock``.

    ``timeout`` in seconds is for this alone. ``server_name``: what TLS asks for and verifies, if it
    is not ``config.host`` or ``host``. Raises OSError, or TlsFailed where TLS is there from the
    first octet and does not come about; TypeError and ValueError for what cannot be dialled.
    """
    dialled = Dialled(host, port, config, tls, server_name, timeout, local_addr, path, sock)
    if sock is not None:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    else:
        try:
            with trio.fail_after(timeout):
                stream = await (
                    trio.open_tcp_stream(host, port, local_address=local_addr or None)
                    if host
                    else trio.open_unix_socket(path)
                )
        except trio.TooSlowError as error:
            raise TimeoutError(f"not connected in {timeout} s") from error
        except OSError as error:
            raise _the_last(error) from None
    return await Client(_Transport(stream), trio.current_time, dialled, stream.socket).begin()


def _the_last(error: BaseException) -> BaseException:
    """What the last of a host's addresses said, as the other adapters raise it."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[-1]
    return error if cause is None else cause
