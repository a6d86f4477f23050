"""A server and a client for asyncio; they work with uvloop, too."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from socket import IPPROTO_TCP, SHUT_RDWR, SOCK_STREAM, TCP_NODELAY, socket
from typing import Any, Final, TypedDict, Unpack, cast, final

from smtpwire.adapters.client import AsyncClient, Dialled
from smtpwire.adapters.eager import EagerTask
from smtpwire.adapters.session import (
    Deadline,
    SessionFactory,
    behind_proxy,
    logger,
    peer_of,
    proxy_in_front,
    proxy_reader,
    settle,
)
from smtpwire.adapters.tls import Tls, TlsConfig, check_tls, tls_info
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer, ServerEvent
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_TLS, NEED_WRITE, Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.extensions import Profile

__all__ = ["Client", "Server", "ServerProtocol", "connect", "start_server"]

READ: Final = 65536
LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""


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
        sessions: set[ServerProtocol] | None = None,
        peer: Peer | None = None,
    ) -> None:
        self._session, self._config, self._tls, self._peer = session, config, tls, peer
        self._sessions = set() if sessions is None else sessions
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop.time)
        self._reading = self._writable = True
        self._eager = EagerTask(self.flush, self._awaited)
        self._early: bytes | None = None  # what comes under TLS before the handshake's task knows
        self._ended = False  # the engine's CLOSE was obeyed
        self._lost = False  # the transport is gone

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
        self._pump()

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
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
        if self._early is not None:
            return  # a handshake that fails tells it by itself, in one of two orders
        self._timer.cancel()
        self._sessions.discard(self)
        self._lost = self._writable = True
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

    # -- events and needs

    def _pump(self) -> None:
        """Pull and handle events until somebody else has to act."""
        conn, handler = self.conn, self._handler
        event: ServerEvent | None = None
        going = self._writable and not self._eager.busy
        while going:
            item = conn.next_event()
            if item is NEED_DATA and self._reading:
                self.flush()
                return
            if isinstance(item, Need):
                going = self._meet(item, event)
                continue
            event = item
            try:
                waiting = handler(event)
                going = waiting is None or not self._eager.begin(event, waiting)
            except Exception as error:
                settle(conn, self._config, event, error)
        wanted = conn.wants_data or self._ended
        if wanted is not self._reading and not self._transport.is_closing():
            self._reading = wanted
            transport = self._transport
            (transport.resume_reading if wanted else transport.pause_reading)()

    def _meet(self, need: Need, handled: ServerEvent | None) -> bool:
        """Flush, then do what the engine needs; True where it goes on at once."""
        self.flush()
        if handled is not None and handled is self.conn.pending:  # its handler gave no reply
            settle(self.conn, self._config, handled)
            return True
        if need is NEED_TLS:
            return not self._eager.begin(None, self._upgrade())
        if need is NEED_CLOSE:
            self._end()
        return need is NEED_WRITE and self._writable

    def _awaited(self, event: ServerEvent | None, error: BaseException | None) -> None:
        """A handler that had suspended, or else a handshake, is over."""
        if isinstance(error, asyncio.CancelledError):
            self.close()
        elif event is not None:
            settle(self.conn, self._config, event, error)
        self._pump()

    async def _upgrade(self) -> None:
        self._early = b""
        self._reading = False
        self._transport.pause_reading()
        self._transport = await start_tls(self, self._transport, self.conn, self._tls)
        early, self._early = self._early, None
        self._reading = True
        if early:
            self.conn.receive_data(early)
        if self.conn.state is State.CLOSED:
            self._transport.abort()
            self.connection_lost(None)

    def _end(self) -> None:
        """Close; where the peer may still talk, half, lest a reset overtake the last reply."""
        if self._lost:
            self._eager.stop()
        if self._ended:
            return
        self._ended = True
        half = self._transport.can_write_eof() and not self.conn.eof_received
        with suppress(OSError):  # it may be gone already
            if half and not self._transport.is_closing():
                self._transport.write_eof()
                return
        self._transport.close()

    def _keep_time(self) -> None:
        """Look now and then whether the peer is too slow: a twentieth late, and nearly free."""
        timeout = None if self._eager.busy else self.conn.timeout
        if self._deadline.left(timeout) == 0:
            self._writable = True  # nobody waits for the peer to read any longer
            self.conn.timed_out()
            self._pump()
        if self._ended:
            self._timer = self._loop.call_later(LINGER, self._transport.abort)
        else:
            seconds = self._config.timeouts.command if timeout is None else timeout.seconds
            self._timer = self._loop.call_later(seconds / 20, self._keep_time)


class _Implicit(TypedDict, total=False):
    """What asyncio wants to know for TLS from the first octet."""

    ssl: ssl.SSLContext
    ssl_handshake_timeout: float
    ssl_shutdown_timeout: float


def _implicit(tls: TlsConfig, seconds: float) -> _Implicit:
    return {
        "ssl": tls.context,
        "ssl_handshake_timeout": seconds,
        "ssl_shutdown_timeout": LINGER,
    }


async def start_tls(
    protocol: asyncio.Protocol,
    transport: asyncio.Transport,
    conn: ServerConnection | ClientConnection,
    tls: TlsConfig | None,
    server_name: str | None = None,
) -> asyncio.Transport:
    """TLS after STARTTLS, told to the engine; as a server where no ``server_name`` is given."""
    try:
        if tls is None:
            raise OSError("no TLS is configured")
        upgraded = await asyncio.get_running_loop().start_tls(
            transport,
            protocol,
            tls.context,
            server_side=server_name is None,
            server_hostname=server_name,
            ssl_handshake_timeout=conn.timeout and conn.timeout.seconds,
            ssl_shutdown_timeout=LINGER,
        )
        if upgraded is None:  # closed in the meantime
            raise OSError("the connection was lost in the handshake")
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: uvloop, if it is closed
        if conn.state is State.TLS:
            conn.tls_failed(str(error))
        return transport
    conn.tls_started(tls_info(upgraded.get_extra_info("ssl_object"), tls, server_name or ""))
    return upgraded


@final
class ProxyProtocol(asyncio.Protocol):
    """Reads a PROXY header in front of TLS and not an octet more, then makes way for a session."""

    def __init__(
        self, config: ServerConfig, make: Callable[[Peer], ServerProtocol], implicit: _Implicit
    ) -> None:
        self._config, self._make, self._implicit = config, make, implicit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A transport reads what comes, a socket what it is asked for.
        sock = transport.get_extra_info("socket").dup()
        cast(asyncio.Transport, transport).abort()
        self._task = asyncio.get_running_loop().create_task(self._begin(sock))

    async def _begin(self, sock: socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            peer = peer_of(sock.getpeername())
            reader = proxy_reader(self._config, peer)
            async with asyncio.timeout(self._config.timeouts.handshake):
                while reader.result is None:
                    reader.receive_data(await loop.sock_recv(sock, reader.wanted))
            peer = behind_proxy(peer, reader.result)
            await loop.connect_accepted_socket(partial(self._make, peer), sock, **self._implicit)
        except OSError as error:
            logger.info("connection lost before it began: %s", error)
            sock.close()


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
    tls = check_tls(config, tls)
    sessions: set[ServerProtocol] = set()
    implicit: _Implicit = {}
    if tls is not None and config.profile is Profile.SUBMISSIONS:
        implicit = _implicit(tls, config.timeouts.handshake)

    def make(peer: Peer | None = None) -> ServerProtocol:
        return ServerProtocol(session, config, tls, sessions, peer)

    async def listen(make: Callable[[], asyncio.Protocol], **implicit: Unpack[_Implicit]) -> Server:
        listener = await asyncio.get_running_loop().create_server(
            make, host, port, reuse_port=reuse_port or None, backlog=1024, **implicit
        )
        return Server(listener, sessions)

    if proxy_in_front(config):
        return await listen(lambda: ProxyProtocol(config, make, implicit))
    return await listen(make, **implicit)


@final
class _Transport:
    """A socket of the loop. It has its turn before each call: what is ready at once has none."""

    def __init__(self, sock: socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock

    async def send(self, octets: bytes) -> None:
        await asyncio.sleep(0)
        await self._loop.sock_sendall(self._sock, octets)

    async def receive(self, size: int) -> bytes:
        await asyncio.sleep(0)
        return await self._loop.sock_recv(self._sock, size)

    async def receive_now(self, size: int) -> bytes | None:
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None

    def within(self, seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(seconds)

    def wake(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(SHUT_RDWR)

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
    if sock is None:
        async with asyncio.timeout(timeout):
            sock = await _dial(host, port, local_addr, path)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    return await Client(_Transport(sock), loop.time, dialled).begin()


async def _dial(host: str, port: int, local_addr: str, path: str) -> socket:
    """A connected socket: the first of the host's addresses that can be had."""
    loop = asyncio.get_running_loop()
    found: list[tuple[int, str | tuple[Any, ...]]]
    if host:
        infos = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
        found = [(family, address) for family, _, _, _, address in infos]
    else:
        from socket import AF_UNIX  # not everywhere

        found = [(AF_UNIX, path)]
    failure = OSError(f"{host} has no address")
    for family, address in found:
        sock = socket(family, SOCK_STREAM)
        try:
            sock.setblocking(False)
            if host:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            if local_addr:
                sock.bind((local_addr, 0))
            await loop.sock_connect(sock, address)
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError):
                raise
            failure = error
        else:
            return sock
    raise failure
