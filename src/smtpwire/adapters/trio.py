"""A server and a client for trio (the extra ``smtpwire[trio]``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from socket import socket
from time import monotonic
from types import TracebackType
from typing import Final, Self, final

import trio

from smtpwire.adapters.channel import Channel
from smtpwire.adapters.client import AsyncClient, Dialled
from smtpwire.adapters.listening import GRACE, Connections, listen
from smtpwire.adapters.session import (
    Deadline,
    SessionFactory,
    attended,
    logger,
    peer_of,
)
from smtpwire.adapters.tls import Tls, TlsConfig, check_service
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.need import NEED_CLOSE, NEED_TLS, NEED_WRITE, Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.operations.serve import serve, who

__all__ = ["Client", "Server", "ServerSession", "connect", "start_server"]

LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""
LINGER_OCTETS: Final = 1 << 20
"""What it may send meanwhile."""
READ: Final = 65536
INSTANT: Final = 0.001
"""Seconds to see what has come: trio cancels before it looks where there are none."""


@final
class ServerSession:
    """One connection of a server: ``conn``, ``flush()``, ``shutdown()`` …; ``run()`` serves it."""

    conn: ServerConnection
    _nursery: trio.Nursery

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        session: SessionFactory,
        config: ServerConfig,
        tls: TlsConfig | None = None,
        peer: Peer | None = None,
    ) -> None:
        self._stream, self._session, self._config = stream, session, config
        self._channel = Channel(config, tls, peer or Peer())
        self._deadline = Deadline(trio.current_time)
        self._lock = trio.Lock()
        self._broken = self._unwanted = False  # a write has failed: nothing is written any more
        self._suspended = trio.Event()
        self._scope, self._reading, self._writing = (trio.CancelScope() for _ in range(3))

    async def run(self) -> None:
        """Serve the connection to its end."""
        channel = self._channel
        try:
            with self._scope:
                while not (channel.open or channel.refused or self._unwanted):
                    await self._read()
                    await self.flush()
                if channel.open:
                    async with trio.open_nursery() as self._nursery:
                        await self._serve()
        except OSError as error:
            logger.info("%s: no session: %s", who(channel.peer), error)
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _serve(self) -> None:
        self.conn = self._channel.conn
        self._deadline.begin_session(self.conn)
        serving = serve(self, self._session, self._config, logger, monotonic)
        step = next(serving)
        while step is not NEED_CLOSE:
            try:
                await (self._meet(step) if isinstance(step, Need) else self._finish(step))
            except BaseException as raised:
                step = serving.throw(raised)
            else:
                step = next(serving)
        await self._end()

    async def _meet(self, need: Need) -> None:
        """Flush, then do what the engine needs."""
        await self.flush()
        if need is NEED_WRITE:
            await trio.lowlevel.checkpoint()
        elif need is NEED_TLS:
            self._channel.start_tls()
            while self.conn.state is State.TLS:
                await self.flush()
                await self._read()
        elif not self._channel.decrypt():
            await self._read()

    async def _finish(self, awaitable: Awaitable[None]) -> None:
        """Await what a handler has returned; where it suspends, read and write meanwhile."""
        steps = awaitable.__await__()
        try:
            waiting = next(steps)
        except StopIteration:
            return  # most never suspend
        reading, over, attended_to = trio.CancelScope(), trio.Event(), trio.Event()
        self._nursery.start_soon(self._attend, reading, over, attended_to)
        try:
            await attended(steps, waiting, lambda: self._suspended.set())
        finally:
            over.set()
            self._suspended.set()
            reading.cancel()
            await attended_to.wait()

    async def _attend(self, reading: trio.CancelScope, over: trio.Event, done: trio.Event) -> None:
        """While a handler is suspended: send what it has queued, and see what comes."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_meanwhile, reading)
                while not over.is_set():
                    await self._suspended.wait()
                    self._suspended = trio.Event()
                    await self.flush()
        finally:
            done.set()

    async def _read_meanwhile(self, scope: trio.CancelScope) -> None:
        with scope:
            while self._channel.wants_data and not self.conn.eof_received:
                await self._receive()

    # -- the stream

    async def flush(self) -> None:
        """Send what is queued."""
        async with self._lock:
            octets = self._channel.data_to_send()
            if not octets or self._broken:
                return
            left = self._deadline.left(self._channel.timeout, session=False)
            with trio.move_on_after(inf if left is None else left) as self._writing:
                try:
                    await self._stream.send_all(octets)
                    return
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    self._fail(str(error.__cause__ or error))
                except trio.Cancelled:
                    self._broken = True  # nobody knows what has been written
                    raise
            if self._writing.cancelled_caught and self._channel.open:
                self._channel.conn.timed_out()

    async def _read(self) -> None:
        """Take what comes, in the time there is for it."""
        if not self._channel.wants_data:
            return  # it was ended while something was written
        left = self._deadline.left(self._channel.timeout)
        end = inf if left is None else trio.current_time() + left
        with trio.CancelScope(deadline=end) as self._reading:
            await self._receive()
        if self._reading.cancelled_caught and trio.current_time() >= end:
            if not self._channel.open:
                raise TimeoutError("the handshake takes too long")
            self._deadline.tell(self._channel.conn)

    async def _receive(self) -> None:
        try:
            octets = await self._stream.receive_some(READ)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(str(error.__cause__ or error))
        else:
            self._channel.receive_data(bytes(octets))

    def _fail(self, reason: str) -> None:
        self._broken = True
        if not self._channel.open:
            raise OSError(reason)
        self._channel.conn.abort(reason)

    async def _end(self) -> None:
        """Close; the other side may still talk for a while, and is not heard."""
        dropped = 0
        await self.flush()
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            with trio.move_on_after(LINGER):
                if not self._broken:
                    await self._stream.send_all(self._channel.finish())
                    await self._stream.send_eof()
                while dropped < LINGER_OCTETS and not self._broken:
                    if not (octets := await self._stream.receive_some(READ)):
                        break
                    dropped += len(octets)

    # -- for its handler, and for its server

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered."""
        self._unwanted = True
        if self._channel.open:
            self._channel.conn.shutdown()
        self._reading.cancel()

    def close(self) -> None:
        """Drop the connection as it stands."""
        self._unwanted = True
        if self._channel.open:
            self._channel.conn.abort("closed by the application")
        self._reading.cancel()
        self._writing.cancel()

    def cut(self) -> None:
        """Drop the connection, and cancel its handler."""
        self._scope.cancel()


@final
class Server:
    """A listening server, and all that it has begun: see :func:`start_server`.

    As an asynchronous context manager it serves meanwhile, and its end is :meth:`shutdown`.
    """

    def __init__(
        self,
        make: Callable[[trio.SocketStream, Peer], ServerSession],
        listeners: list[socket],
        connections: Connections[ServerSession],
    ) -> None:
        self._make, self._listeners, self._connections = make, listeners, connections
        self._accepting = trio.CancelScope()
        self._ended = trio.Event()
        self._serving = trio.open_nursery()

    @property
    def sockets(self) -> tuple[socket, ...]:
        """The listening sockets: their addresses by ``getsockname()``."""
        return tuple(self._listeners)

    @property
    def sessions(self) -> tuple[ServerSession, ...]:
        """What is open, from accept to the end of the last handler."""
        return tuple(self._connections)

    async def serve_forever(self) -> None:
        """Take connections until :meth:`shutdown` has been called elsewhere, and is done."""
        async with trio.open_nursery() as sessions:
            try:
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for listener in self._listeners:
                            accepting.start_soon(self._accept, listener, sessions)
            finally:
                self._listen_no_more()
            await self._ended.wait()

    def _listen_no_more(self) -> None:
        self._accepting.cancel()
        while self._listeners:
            listener = self._listeners.pop()
            trio.lowlevel.notify_closing(listener)
            listener.close()

    async def _accept(self, listener: socket, sessions: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                await trio.sleep(self._connections.pause_after(error))
                continue
            peer = peer_of(address)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            session = self._make(stream, peer)
            if self._connections.admit(session, peer, sock):
                sessions.start_soon(self._run, session)

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
        """
        self._listen_no_more()
        empty = trio.Event()
        self._connections.when_empty(empty.set)
        for session in self._connections:
            session.shutdown()
        with trio.move_on_after(grace):
            await empty.wait()
        cut = tuple(map(self._connections.peer_of, self._connections))
        for session in self._connections:
            session.cut()
        await empty.wait()
        self._ended.set()
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
    session: SessionFactory,
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
    """Listen; every connection gets a handler from ``session``, as soon as the server serves.

    At all addresses of ``host``, at a UNIX socket's ``path``, or at ``sock``. TLS is by STARTTLS,
    or from the first octet where the profile is SUBMISSIONS. With ``reuse_port`` several
    processes can share the port. Connections beyond the maximum are refused with 421; None: as
    many as the system has room for. Raises OSError where the address cannot be had, ValueError
    where the configuration needs ``tls``, TypeError for a ``session`` or a ``config`` that is none.
    """
    configured = check_service(session, config, tls)
    listeners = listen(host, port, path=path, sock=sock, reuse_port=reuse_port)
    connections: Connections[ServerSession] = Connections(
        config, max_connections, max_connections_per_peer
    )
    return Server(
        lambda stream, peer: ServerSession(stream, session, config, configured, peer),
        listeners,
        connections,
    )


@final
class _Transport:
    """A socket of trio's."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock

    async def send(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            view = view[await self._sock.send(view) :]

    async def receive(self, size: int) -> bytes:
        return await self._sock.recv(size)

    async def receive_now(self, size: int) -> bytes | None:
        with trio.move_on_after(INSTANT):
            return await self._sock.recv(size)
        return None

    @asynccontextmanager
    async def within(self, seconds: float | None) -> AsyncIterator[None]:
        try:
            with trio.fail_after(inf if seconds is None else seconds):
                yield
        except trio.TooSlowError as error:
            raise TimeoutError from error

    def wake(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(trio.socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


@final
class Client(AsyncClient):
    """A client; :func:`connect` makes one."""


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
    first octet and does not come about.
    """
    dialled = Dialled(host, port, config, tls, server_name, path, sock, local_addr)
    if sock is not None:
        connected = trio.socket.from_stdlib_socket(sock)
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
        connected = stream.socket
    return await Client(_Transport(connected), trio.current_time, dialled).begin()
