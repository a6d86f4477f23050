"""A server and a client for asyncio; they work with uvloop, too."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from socket import socket
from typing import Final, TypeVar, cast, final

from smtpwire.adapters.client import AsyncClient, dialled
from smtpwire.adapters.session import (
    Deadline,
    SessionFactory,
    Steps,
    TlsConfig,
    attended,
    behind_proxy,
    check_tls,
    client_tls,
    logger,
    peer_of,
    proxy_reader,
    settle,
    tls_info,
)
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Closed, CloseReason, Peer, ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.extensions import Profile
from smtpwire.operations import Operation, Stage, TlsFailed
from smtpwire.wire.proxy import ProxyReader

__all__ = ["Client", "Server", "ServerProtocol", "connect", "start_server"]

R = TypeVar("R")

READ: Final = 65536
LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""

# Bound once: an attribute of an enum costs as much as a small function on CPython 3.11.
DATA: Final = Need.DATA
WRITE: Final = Need.WRITE
TLS: Final = Need.TLS


@final
class ServerProtocol(asyncio.Protocol):
    """One connection of a server, and its session: ``conn``, ``flush()``, ``close()``.

    For ``loop.create_server(lambda: ServerProtocol(session, config))``; :func:`start_server`
    does that and more. ``sessions``: a set in which the connection stands while it is open.
    """

    conn: ServerConnection

    def __init__(
        self,
        session: SessionFactory,
        config: ServerConfig,
        tls: TlsConfig | None = None,
        sessions: "set[ServerProtocol] | None" = None,
        peer: Peer | None = None,
    ) -> None:
        self._session, self._config, self._tls, self._peer = session, config, tls, peer
        self._sessions = set() if sessions is None else sessions
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop.time)
        self._reading = self._writable = True
        self._busy = False  # a handler is suspended, or a handshake under way
        self._ended = False  # the engine's CLOSE was obeyed
        self._lost = False  # the transport is gone
        # What comes while a handshake is under way; behind a proxy the first one is.
        self._under_tls: bytes | None = None if peer is None else b""
        self._task: asyncio.Task[None] | None = None
        self._suspended: tuple[ServerEvent, Steps, object] | None = None
        self._woken: asyncio.Future[None] | None = None

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        self.conn = ServerConnection(
            self._config,
            tls=tls_info(tls, self._tls) if tls and self._tls else None,
            peer=self._peer or peer_of(transport.get_extra_info("peername")),
        )
        self._sessions.add(self)
        try:
            self._handler = self._session(self)
        except Exception:
            logger.exception("no handler for %r", self.conn.peer)
            self._handler = lambda event: None
            self.close()
        self._keep_time()
        self._take_early()
        self._pump()

    def data_received(self, data: bytes) -> None:
        if self._under_tls is not None:
            self._under_tls += data  # it has succeeded, and its task does not know yet
        elif not self._ended:
            self.conn.receive_data(data)
            self._pump()

    def eof_received(self) -> bool:
        self.conn.receive_data(b"")
        self._pump()
        if self._ended:
            self._transport.close()
        return self.conn.tls is None  # who half-closes still reads; TLS has no half-close

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._under_tls is not None or self._lost:
            return  # a handshake that fails tells it by itself, in one of two orders
        self._lost = self._writable = True
        self._sessions.discard(self)
        if exc is None:
            self.conn.receive_data(b"")
        else:
            self.conn.abort(str(exc))
        self._pump()

    # -- the session

    def flush(self) -> None:
        """Send what is queued; the adapter does so itself whenever a handler suspends."""
        octets = self.conn.data_to_send()
        if octets and not self._transport.is_closing():
            self._transport.write(octets)

    def close(self) -> None:
        """Drop the connection as it stands."""
        self.conn.abort("closed by the application")
        self._transport.abort()

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered."""
        self.conn.shutdown()
        self._pump()

    # -- the engine's needs

    def _pump(self) -> None:
        """Pull and handle events until somebody else has to act."""
        conn = self.conn
        event: ServerEvent | None = None
        while not self._busy and self._writable:
            item = conn.next_event()
            if not isinstance(item, Need):
                event = item
                self._handle(item)
                continue
            self.flush()
            if item is WRITE:
                continue
            if item is TLS:
                self._busy, self._under_tls = True, b""
                self._upgrade_task = self._loop.create_task(self._upgrade())
            elif item is not DATA:
                self._end(event)
            break
        if conn.wants_data is not self._reading and not self._ended:
            self._reading = not self._reading
            if self._reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _keep_time(self) -> None:
        """Look now and then whether the peer is too slow: a twentieth late, and nearly free."""
        timeout = None if self._busy else self.conn.timeout
        if self._deadline.left(timeout) == 0:
            self._writable = True  # nobody waits for the peer to read any longer
            self.conn.timed_out()
            self._pump()
        if self._ended:
            self._timer = self._loop.call_later(LINGER, self._transport.abort)
        else:
            seconds = self._config.timeouts.command if timeout is None else timeout.seconds
            self._timer = self._loop.call_later(seconds / 20, self._keep_time)

    async def _upgrade(self) -> None:
        self._transport = await shake_hands(self, self._transport, self.conn, self._tls)
        self._reading = True
        self._busy = False
        self._take_early()
        if self.conn.state is State.CLOSED:
            self._transport.abort()
            self.connection_lost(None)
        self._pump()

    def _take_early(self) -> None:
        """The handshake is over: what came under TLS before anybody knew is the session's."""
        received, self._under_tls = self._under_tls, None
        if received:
            self.conn.receive_data(received)

    def _end(self, event: ServerEvent | None) -> None:
        """Close; where the peer may still talk, half, lest a reset overtake the last reply."""
        if not self._ended:
            self._ended = True
            done = isinstance(event, Closed) and event.reason is CloseReason.QUIT
            if done or self.conn.eof_received or not self._transport.can_write_eof():
                self._transport.close()
            else:
                self._transport.write_eof()
        if self._lost:
            self._timer.cancel()
            self._wake()

    # -- handlers

    def _handle(self, event: ServerEvent) -> None:
        try:
            waiting = self._handler(event)
            if waiting is not None and self._suspends(event, waiting):
                return
        except Exception as error:
            settle(self.conn, self._config, event, error)
        else:
            if self.conn.pending is event:
                settle(self.conn, self._config, event)

    def _suspends(self, event: ServerEvent, waiting: Awaitable[None]) -> bool:
        """Run a handler up to where it suspends, if it does: then the session's task goes on.

        Most never do, and a turn of the loop for each would cost more than all else here. From the
        start the handler sees that task as the current one, as ``asyncio.timeout()`` must.
        """
        if self._task is None:
            self._task = self._loop.create_task(self._go_on())
        steps = waiting.__await__()
        outer = asyncio.current_task()
        switch_task(self._loop, outer, self._task)
        try:
            self._suspended = event, steps, next(steps)
        except StopIteration:
            return False
        finally:
            switch_task(self._loop, self._task, outer)
        self._busy = True
        self._wake()
        return True

    def _wake(self) -> None:
        """Let the session's task look for what there is to do."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def _go_on(self) -> None:
        """The session's task: goes on with handlers that have suspended."""
        while True:
            while self._suspended is None:
                if self._lost and not self._busy:
                    return
                self._woken = self._loop.create_future()
                try:
                    await self._woken
                except asyncio.CancelledError:
                    if not self._busy or self._task is None:
                        raise
                    self._task.uncancel()
                    self._task.cancel()  # anew: it was meant for the handler, awaited below
            event, steps, waiting = self._suspended
            self._suspended = self._woken = None
            error: Exception | None = None
            try:
                await attended(steps, waiting, self.flush)
            except asyncio.CancelledError:
                self._busy = False
                self.close()
                raise
            except Exception as raised:
                error = raised
            settle(self.conn, self._config, event, error)
            self._busy = False
            self._pump()


def switch_task(
    loop: asyncio.AbstractEventLoop,
    left: "asyncio.Task[None] | None",
    entered: "asyncio.Task[None] | None",
) -> None:
    """Change the current task, by the functions documented for tasks of one's own."""
    if left is not None:
        asyncio.tasks._leave_task(loop, left)
    if entered is not None:
        asyncio.tasks._enter_task(loop, entered)


async def start_tls(
    protocol: asyncio.Protocol,
    transport: asyncio.Transport,
    tls: TlsConfig | None,
    timeout: float | None,
    server_name: str | None = None,
) -> asyncio.Transport:
    """TLS on a transport; as a server where no ``server_name`` is given. Raises OSError."""
    if tls is None:
        raise OSError("no TLS is configured")
    upgraded = await asyncio.get_running_loop().start_tls(
        transport,
        protocol,
        tls.context,
        server_side=server_name is None,
        server_hostname=server_name,
        ssl_handshake_timeout=timeout,
        ssl_shutdown_timeout=LINGER,
    )
    if upgraded is None:  # closed in the meantime
        raise OSError("the connection was lost in the handshake")
    return upgraded


async def shake_hands(
    protocol: asyncio.Protocol,
    transport: asyncio.Transport,
    conn: ServerConnection | ClientConnection,
    tls: TlsConfig | None,
    server_name: str | None = None,
) -> asyncio.Transport:
    """TLS after STARTTLS, told to the engine."""
    seconds = None if conn.timeout is None else conn.timeout.seconds
    try:
        upgraded = await start_tls(protocol, transport, tls, seconds, server_name)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: uvloop, if it is closed
        if conn.state is State.TLS:
            conn.tls_failed(str(error))
        return transport
    if tls is not None:
        conn.tls_started(tls_info(upgraded.get_extra_info("ssl_object"), tls, server_name or ""))
    return upgraded


@final
class ProxyProtocol(asyncio.BufferedProtocol):
    """Reads a PROXY header in front of TLS and not an octet more, then makes way for a session."""

    def __init__(
        self, config: ServerConfig, tls: TlsConfig, make: Callable[[Peer], ServerProtocol]
    ) -> None:
        self._config, self._tls, self._make = config, tls, make
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = peer_of(transport.get_extra_info("peername"))
        self._timer = asyncio.get_running_loop().call_later(
            self._config.timeouts.handshake, self._transport.abort
        )
        try:
            self._reader = proxy_reader(self._config, self._peer) or ProxyReader()
        except OSError as error:
            logger.info("connection refused: %s", error)
            self._reader = ProxyReader()
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        self._buffer = bytearray(self._reader.wanted)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._reader.receive_data(self._buffer[:nbytes]) is not None:
            self._transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._begin())

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()

    async def _begin(self) -> None:
        try:
            protocol = self._make(behind_proxy(self._peer, self._reader.result))
            secure = await start_tls(
                protocol, self._transport, self._tls, self._config.timeouts.handshake
            )
        except (OSError, RuntimeError) as error:
            logger.info("connection lost before it began: %s", error)
            self._transport.abort()
        else:
            protocol.connection_made(secure)
        self._timer.cancel()


@final
class Server:
    """A listening server: its ``sockets`` and open ``sessions``."""

    def __init__(self, listener: asyncio.Server, sessions: set[ServerProtocol]) -> None:
        self._listener = listener
        self.sessions = sessions

    @property
    def sockets(self) -> tuple[socket, ...]:
        """The listening sockets: their addresses by ``getsockname()``."""
        return tuple(self._listener.sockets)

    async def shutdown(self, grace: float = 30.0) -> None:
        """Listen no more, end each session with 421, cut off what is left after ``grace`` seconds.

        Questions that are pending may still be answered meanwhile.
        """
        self._listener.close()
        for session in tuple(self.sessions):
            session.shutdown()
        end = asyncio.get_running_loop().time() + grace
        while self.sessions and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        for session in tuple(self.sessions):
            session.close()


async def start_server(
    session: SessionFactory,
    config: ServerConfig,
    host: str | None = None,
    port: int = 25,
    *,
    tls: TlsConfig | None = None,
    reuse_port: bool = False,
) -> Server:
    """Listen; every connection gets a handler from ``session``.

    TLS is by STARTTLS, or from the first octet where the profile is SUBMISSIONS. With
    ``reuse_port`` several processes can share the port. Raises OSError where the address
    cannot be had, ValueError where the configuration needs ``tls``.
    """
    check_tls(config, tls)
    sessions: set[ServerProtocol] = set()
    implicit = tls if config.profile is Profile.SUBMISSIONS else None

    def make(peer: Peer | None = None) -> ServerProtocol:
        return ServerProtocol(session, config, tls, sessions, peer)

    def make_behind_proxy() -> ProxyProtocol:
        assert tls is not None  # noqa: S101 - check_tls() has seen to it
        return ProxyProtocol(config, tls, make)

    in_front = implicit is not None and bool(config.proxy)
    secure = implicit is not None and not in_front
    listener = await asyncio.get_running_loop().create_server(
        make_behind_proxy if in_front else make,
        host,
        port,
        reuse_port=reuse_port or None,
        backlog=1024,
        ssl=implicit.context if implicit and secure else None,
        ssl_handshake_timeout=config.timeouts.handshake if secure else None,
        ssl_shutdown_timeout=LINGER if secure else None,
    )
    return Server(listener, sessions)


@final
class Client(AsyncClient, asyncio.Protocol):
    """A client; :func:`connect` makes one."""

    def __init__(self, config: ClientConfig, tls: TlsConfig) -> None:
        self._config, self._tls = config, tls
        self._loop = asyncio.get_running_loop()
        self._lost = self._loop.create_future()
        self._deadline = Deadline(self._loop.time)
        self._arrived = False
        self._writable = True
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        info = tls_info(tls, self._tls, self._config.host) if tls else None
        self.conn = ClientConnection(self._config, tls=info)

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self._wake()
        if not self.conn.wants_data:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self.conn.receive_data(b"")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable = True
        self._lost.set_result(None)
        if exc is not None and self.conn.tls is None and self.conn.wants_data:
            # Writing has failed; what had come before, such as a 421, may still be unread.
            with suppress(OSError):
                descriptor = self._transport.get_extra_info("socket").fileno()
                self.conn.receive_data(os.read(descriptor, READ))
        self.eof_received()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    def _wake(self) -> None:
        self._arrived = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, ready: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(self._deadline.left(self.conn.timeout)):
                while not ready():
                    self._waiter = self._loop.create_future()
                    await self._waiter
        except TimeoutError:
            self.conn.timed_out()

    async def _flush(self) -> None:
        octets = self.conn.data_to_send()
        if octets and not self._transport.is_closing():  # uvloop would raise
            self._transport.write(octets)
        if not self._writable:
            await self._wait(lambda: self._writable)

    async def _read(self) -> None:
        if not self._transport.is_reading() and self.conn.wants_data:
            self._transport.resume_reading()
        await self._wait(lambda: self._arrived)
        self._arrived = False

    async def run(self, operation: Operation[R], content: AsyncIterator[bytes] | None = None) -> R:
        """Drive an operation of yours, or one of ``smtpwire.operations``."""
        value: bytes | None = None
        try:
            while True:
                need = operation.send(value)
                value = None
                await self._flush()
                if need is DATA:
                    await self._read()
                elif need is WRITE:
                    await asyncio.sleep(0)  # else nobody sees what the server says meanwhile
                elif need is TLS:
                    self._transport = await shake_hands(
                        self, self._transport, self.conn, self._tls, self._config.host
                    )
                elif need is Need.BODY and content is not None:
                    value = await anext(content, None)
        except StopIteration as stop:
            result: R = stop.value
            return result
        except BaseException as error:
            operation.close()
            if not isinstance(error, Exception):  # cancelled: nobody knows what has been said
                self.conn.abort("cancelled")
            raise
        finally:
            if not self._transport.is_closing():
                self._transport.write(self.conn.data_to_send())
                if self.conn.state is State.CLOSED:
                    self._transport.close()

    async def close(self) -> None:
        """Close without a word."""
        self.conn.abort("closed by the application")
        self._transport.close()
        if self.conn.tls is not None:
            self._transport.abort()  # close_notify is out; no answer to it is waited for
        await asyncio.wait([self._lost], timeout=1)


async def connect(
    host: str, port: int = 25, config: ClientConfig | None = None, *, tls: TlsConfig | None = None
) -> Client:
    """Connect. Raises OSError, or TlsFailed where TLS is there from the first octet."""
    config = dialled(config, host, port)
    tls = tls or client_tls(config.security)
    implicit = config.security is Security.IMPLICIT
    try:
        _, client = await asyncio.get_running_loop().create_connection(
            lambda: Client(config, tls),
            host,
            port,
            ssl=tls.context if implicit else None,
            server_hostname=config.host if implicit else None,
            ssl_handshake_timeout=config.timeouts.handshake if implicit else None,
            ssl_shutdown_timeout=LINGER if implicit else None,
        )
    except ssl.SSLError as error:
        raise TlsFailed(None, Stage.TLS, str(error)) from error
    return client
