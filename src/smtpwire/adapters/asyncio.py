"""A server and a client for asyncio; they work with uvloop, too."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from math import inf
from socket import (
    AI_NUMERICHOST,
    IPPROTO_TCP,
    SHUT_RDWR,
    SOCK_STREAM,
    TCP_NODELAY,
    gaierror,
    getaddrinfo,
    socket,
)
from time import monotonic
from typing import Any, Final, Self, final

from smtpwire.adapters.callbacks import CallbackSession
from smtpwire.adapters.channel import Channel
from smtpwire.adapters.client import AsyncClient, Dialled
from smtpwire.adapters.eager import run_without_task
from smtpwire.adapters.listening import GRACE, Connections, Listening, Service
from smtpwire.adapters.log import logger
from smtpwire.adapters.session import Deadline, SessionFactory, peer_of, why
from smtpwire.adapters.tls import Tls, check_service
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_TLS
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.operations.serve import serve, who
from smtpwire.service import Application, session_factory

__all__ = ["Client", "Server", "ServerProtocol", "connect", "start_server"]

PARTING: Final = 1.0
"""Seconds between one cancellation of a handler and the next."""
LOST: Final = "the connection was lost in the handshake"
WAITING: Final = (NEED_DATA, NEED_TLS)
"""At these the peer's time runs."""


@final
class ServerProtocol(CallbackSession):
    """One connection of a server, and its session: ``conn``, ``flush()``, ``shutdown()`` …

    For ``loop.create_server(lambda: ServerProtocol(session, config, tls))``, which does no TLS of
    its own; :func:`start_server` does that and more. ``connections``: where it stands from accept
    to its end. Its handlers run in one context (contextvars), and where they suspend in one task.
    Raises TypeError and ValueError as :func:`start_server`.
    """

    __slots__ = ("_config", "_connections", "_deadline", "_session", "_tls")

    def __init__(
        self,
        session: SessionFactory,
        config: ServerConfig,
        tls: Tls | None = None,
        connections: Connections[ServerProtocol] | None = None,
    ) -> None:
        super().__init__()
        self._session, self._config = session, config
        self._tls = check_service(session, config, tls)
        self._connections = connections
        self._deadline = Deadline()

    def begin(self, sock: socket, peer: Peer) -> None:
        """Take a socket that was accepted, and whose it is."""

        def ended(error: OSError | None) -> None:
            if error is not None:
                _tell_why(peer, why(error))
            if not self._made:
                sock.close()
                self._leave()

        run_without_task(self._loop.connect_accepted_socket(lambda: self, sock), ended)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        known, name = self._connections, transport.get_extra_info("peername")
        peer = peer_of(name) if known is None else known.peer_of(self)
        try:
            self._wire = self._channel = channel = Channel(self._config, self._tls, peer)
        except Exception:  # the system has no room for it
            logger.exception("%s: the session failed", who(peer))
            self._linger()
            transport.close()
            return
        if self._unwanted or channel.refused:
            self._give_up(channel.refused or "the server ends")
        elif channel.open:
            self._begin_session()
        else:
            self._keep_time()

    def _prepare(self, data: bytes) -> None:
        try:
            self._channel.receive_data(data)
        except OSError as error:
            self.flush()  # an alert of TLS's
            self._give_up(why(error))
        else:
            self.flush()
            if self._channel.open:
                self._begin_session()

    def _begin_session(self) -> None:
        self.conn: ServerConnection = self._channel.conn
        if not self._channel.secure:
            self._wire = self.conn
        self._serving = serve(self, self._session, self._config, logger, monotonic)
        self._begun = True
        self._deadline.begin_session(self._loop.time(), self.conn)
        self._keep_time()
        self._go_on()

    def _give_up(self, reason: str) -> None:
        _tell_why(self._channel.peer, reason)
        self._linger()
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._begun:
            if exc is None and self._step is not NEED_TLS:
                self.conn.receive_data(b"")
            else:
                self.conn.abort(str(exc or LOST))
            self._wake()
        elif self._step is not NEED_CLOSE and not self._unwanted:
            _tell_why(self._channel.peer, str(exc or LOST))
        if not self._begun or self._step is NEED_CLOSE:
            self._leave()

    def _leave(self) -> None:
        super()._leave()
        if self._connections is not None:
            self._connections.leave(self)

    # -- its time

    def _keep_time(self) -> None:
        """Look now and then whether the peer is too slow: a twentieth late, and nearly free."""
        unwritten = self._unwritten
        waited_for = unwritten or self._step in WAITING or not self._begun
        timeout = self._channel.timeout if waited_for else None
        now = self._loop.time()
        if self._deadline.left(now, timeout) == 0:
            if not self._begun:
                self._give_up("the handshake takes too long")
                return
            self._deadline.tell(now, self.conn)
            self._wake()
            if unwritten:
                self._abort()
        times = self._config.timeouts
        seconds = min(times.command, times.block, inf if timeout is None else timeout.seconds) / 20
        left = self._deadline.left(now, None)  # of the whole session
        self._call_later(seconds if left is None else min(seconds, left), self._keep_time)


def _tell_why(peer: Peer, reason: str) -> None:
    logger.info("%s: no session: %s", who(peer), reason)


@final
class Server(Listening[ServerProtocol]):
    """A listening server, and all that it has begun. An asynchronous context manager.

    Its end is :meth:`shutdown`, which leaving the block calls.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        with ExitStack() as undoing:
            for listener in self._listeners:
                undoing.enter_context(listener)
            for listener in self._listeners:
                self._loop.add_reader(listener, self._accept, listener)
                undoing.callback(self._loop.remove_reader, listener)
            undoing.pop_all()

    def _accept(self, listener: socket) -> None:
        taken = self._connections.accept(listener, self._session_of)
        if not isinstance(taken, float):
            session, sock = taken
            session.begin(sock, self._connections.peer_of(session))
        elif taken:
            self._loop.remove_reader(listener)
            self._loop.call_later(taken, self._accept_again, listener)

    def _accept_again(self, listener: socket) -> None:
        if listener in self._listeners:
            try:
                self._loop.add_reader(listener, self._accept, listener)
            except OSError as error:  # the system has no room to watch it
                pause = self._connections.pause_after(error)
                self._loop.call_later(pause, self._accept_again, listener)

    def _session_of(self, *_: object) -> ServerProtocol:
        return ServerProtocol(*self._service.each, self._connections)

    async def serve_forever(self) -> None:
        """Wait until :meth:`shutdown` is done, which another task calls: it serves anyway.

        Cancelled, as by Ctrl-C, it shuts down without grace.
        """
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            await self.shutdown(0)
            raise

    async def shutdown(self, grace: float = GRACE) -> tuple[Peer, ...]:
        """Listen no more, end each session with 421; return when nothing is left.

        Questions that are pending may still be answered meanwhile. After ``grace`` seconds what
        is left is dropped and its handlers are cancelled: their peers are what is returned.
        Cancelled, it does so at once. RuntimeError where it is a handler that asks: it would
        wait for itself. TypeError for a grace that is no number, ValueError for more than 31
        years, infinity and NaN: nothing has ended then. 0 and less are no grace.
        """
        grace = self._check_shutdown(grace)
        self._listen_no_more(self._loop.remove_reader)
        empty: asyncio.Future[None] = self._loop.create_future()
        self._end_sessions(lambda: empty.set_result(None))
        self._connections.when_empty(self._ended.set)
        try:
            # CPython 3.11's wait_for() takes no notice of a cancellation that comes as it is over.
            await asyncio.wait({empty}, timeout=grace)
        finally:
            cut = self._cut()
        while self._connections:
            await asyncio.wait({empty}, timeout=PARTING)
            self._cut()
        return cut

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.shutdown(GRACE if kind is None else 0)


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
class _Transport:
    """A socket of the loop, which has a turn before each call but a sending behind a receiving.

    What is ready at once gives the loop none.
    """

    __slots__ = ("_loop", "_received", "_sock")

    def __init__(self, sock: socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._received = True  # the last call was a receiving

    async def send(self, octets: bytes, seconds: float | None) -> None:
        if not self._received:
            await asyncio.sleep(0)
        self._received = False
        with suppress(BlockingIOError):  # most often there is room for all, and no time to be kept
            octets = octets[self._sock.send(octets) :]
        if octets:
            async with asyncio.timeout(seconds):
                await self._loop.sock_sendall(self._sock, octets)

    async def receive(self, size: int, seconds: float | None) -> bytes:
        self._received = True
        async with asyncio.timeout(seconds):
            await asyncio.sleep(0)
            return await self._loop.sock_recv(self._sock, size)

    async def receive_now(self, size: int) -> bytes | None:
        with suppress(BlockingIOError):
            return self._sock.recv(size)
        return None

    def wake(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(SHUT_RDWR)

    async def close(self) -> None:
        self._sock.close()


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
    if sock is None:
        async with asyncio.timeout(timeout):
            sock = await _dial(host, port, local_addr, path)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    return await Client(_Transport(sock), loop.time, dialled, sock).begin()


async def _dial(host: str, port: int, local_addr: str, path: str) -> socket:
    """A connected socket: the first of the host's addresses that can be had."""
    loop = asyncio.get_running_loop()
    found: list[tuple[int, str | tuple[Any, ...]]]
    if host:
        try:  # an address is no name: nobody has to be asked, and no thread to wait for the answer
            infos = getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_NUMERICHOST)
        except gaierror:
            infos = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
        found = [(family, address) for family, _, _, _, address in infos]
    else:
        from socket import AF_UNIX  # not everywhere

        found = [(AF_UNIX, path)]
    failure = OSError(f"{host} has no address")
    try:
        for family, address in found:
            try:
                return await _dial_one(family, address, local_addr)
            except OSError as error:
                failure = error
        raise failure
    finally:
        del failure  # which knows this frame: a cycle would wait for the collector


async def _dial_one(family: int, address: str | tuple[Any, ...], local_addr: str) -> socket:
    sock = socket(family, SOCK_STREAM)
    try:
        sock.setblocking(False)
        if isinstance(address, tuple):
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        if local_addr:
            sock.bind((local_addr, 0))
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
