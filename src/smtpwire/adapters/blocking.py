"""A server and a client for plain sockets: one thread a connection, and nothing else."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, suppress
from contextvars import copy_context
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, Self, TypeVar, Unpack, final

from smtpwire import operations
from smtpwire.adapters.client import AsyncClient, Dialled
from smtpwire.adapters.kernel_time import timeval_layout, wait_a_moment
from smtpwire.adapters.listening import GRACE, Listening, Service
from smtpwire.adapters.log import logger
from smtpwire.adapters.serving import StreamSession, now
from smtpwire.adapters.session import SessionFactory, first_step
from smtpwire.adapters.stream import Interrupted, Transport
from smtpwire.adapters.tls import Tls
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.server_config import ServerConfig
from smtpwire.operations import (
    Chunk,
    MailObject,
    MessageOptions,
    Operation,
    Recipient,
    Sender,
    SendOptions,
    SendResult,
    authenticate,
    open_session,
    reset,
    send_mail,
    send_many,
    send_message,
    verify,
)
from smtpwire.operations.serve import TURN, who
from smtpwire.sasl import ChoicePolicy, Credentials
from smtpwire.service import Application, session_factory
from smtpwire.wire.command import Command
from smtpwire.wire.options import shows_options
from smtpwire.wire.reply import Reply

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["Client", "Server", "ServerSession", "connect", "start_server"]

R = TypeVar("R")

POLL: Final = 0.1
"""Seconds after which a listening server looks whether it is to end."""
REST: Final = 0.001
"""Seconds for others after a turn: they need the interpreter's lock for each call of the system."""
Selector: Final[type[selectors.BaseSelector]] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
"""What waits for one socket, and takes no descriptor itself."""


@final
class _Transport:
    """A socket that is waited for in its own thread: nothing here suspends."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._cut = False
        self._rested = monotonic()
        self._readable = Selector()
        self._readable.register(sock, EVENT_READ)
        self._pair: tuple[socket.socket, ...] = ()  # what wakes the thread, and by which it is

    def accept_interrupts(self) -> None:
        """From here on :meth:`interrupt` works: it takes two more descriptors. Raises OSError."""
        if not self._pair:
            self._pair = woken, waker = socket.socketpair()
            waker.setblocking(False)
            self._readable.register(woken, EVENT_READ)

    async def send(self, octets: bytes, seconds: float | None) -> None:
        _send_all(self._sock, octets, seconds)

    async def receive(self, size: int, seconds: float | None) -> bytes:
        while True:
            ready = self._readable.select(seconds)
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is not self._sock:
                    self._pair[0].recv(size)
                    raise Interrupted
            with suppress(BlockingIOError):
                octets = self._sock.recv(size)
                if self._cut:
                    raise OSError("closed by the application")
                return octets

    async def receive_now(self, size: int) -> bytes | None:
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None

    async def give_way(self) -> None:
        if monotonic() - self._rested >= TURN:
            sleep(REST)
            self._rested = monotonic()

    async def send_eof(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def interrupt(self) -> None:
        for waker in self._pair[1:]:
            with suppress(OSError):  # it is closed, or so many have come already
                waker.send(b"!")

    def wake(self) -> None:
        self._cut = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        self._readable.close()
        for sock in (self._sock, *self._pair):
            sock.close()


@final
class _Waiting:
    """A client's socket that waits in the kernel: most often one call of the system for a call."""

    __slots__ = ("_cut", "_sock")

    def __init__(self, sock: socket.socket, layout: str) -> None:
        sock.setblocking(True)
        wait_a_moment(sock, layout)
        self._sock = sock
        self._cut = False

    async def send(self, octets: bytes, seconds: float | None) -> None:
        _send_all(self._sock, octets, seconds, socket.MSG_DONTWAIT)

    async def receive(self, size: int, seconds: float | None) -> bytes:
        end, flags = _end(seconds), 0
        while True:
            with suppress(BlockingIOError):
                octets = self._sock.recv(size, flags)
                if self._cut:
                    raise OSError("closed by the application")
                return octets
            _wait_for(self._sock, EVENT_READ, end)
            flags = socket.MSG_DONTWAIT

    async def receive_now(self, size: int) -> bytes | None:
        try:
            return self._sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def wake(self) -> None:
        self._cut = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        self._sock.close()


def _send_all(sock: socket.socket, octets: bytes, seconds: float | None, flags: int = 0) -> None:
    """Send all of it by calls that do not wait; TimeoutError where it takes longer."""
    view, end = memoryview(octets), _end(seconds)
    while view:
        try:
            view = view[sock.send(view, flags) :]
        except BlockingIOError:
            _wait_for(sock, EVENT_WRITE, end)


def _end(seconds: float | None) -> float | None:
    """When so many seconds are over."""
    return None if seconds is None else monotonic() + seconds


def _wait_for(sock: socket.socket, event: int, end: float | None) -> None:
    """Wait until it can be read or written; TimeoutError where that is later than the end."""
    with Selector() as selector:
        selector.register(sock, event)
        if not selector.select(None if end is None else end - monotonic()):
            raise TimeoutError


@final
class ServerSession(StreamSession):
    """One connection of a server: ``conn``, ``flush()``, ``shutdown()`` …; ``run()`` serves it.

    ``shutdown()`` and ``close()`` may be called from any thread. Raises TypeError and ValueError as
    :func:`start_server`.
    """

    def __init__(
        self,
        sock: socket.socket,
        session: SessionFactory,
        config: ServerConfig,
        tls: Tls | None = None,
        peer: Peer | None = None,
    ) -> None:
        self._socket = _Transport(sock)
        super().__init__(self._socket, monotonic, session, config, tls, peer)

    def accept_interrupts(self) -> None:
        """From here on another thread can wake it: ``run()`` does so where nobody has."""
        self._socket.accept_interrupts()

    def abandon(self) -> None:
        """Close it, where nobody will serve it."""
        now(self._socket.close())

    def run(self) -> None:
        """Serve the connection to its end."""
        self.accept_interrupts()
        now(self._run())

    def flush(self) -> None:
        """Send what is queued."""
        now(self._flush())

    def cut(self) -> None:
        """Drop the connection; its handler cannot be cancelled."""
        self.close()

    async def _attend(self, awaitable: Awaitable[None]) -> None:
        if first_step(awaitable) is not None:
            raise RuntimeError("the handler suspends, and a blocking server has no loop")


@final
class Server(Listening[ServerSession]):
    """A listening server, each connection in a thread of its own: see :func:`start_server`.

    As a context manager it serves meanwhile, and its end is :meth:`shutdown`.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._stopping, self._serving = Event(), Lock()

    def serve_forever(self) -> None:
        """Take connections until :meth:`shutdown` is called in another thread.

        Where another one takes them already, as that of the server's block, wait for that alone.
        """
        self._serve(self._watching)

    def _watching(self) -> DefaultSelector:
        """What waits for those who connect. Raises OSError where the system has no room for it."""
        selector = DefaultSelector()
        for listener in self._listeners:
            selector.register(listener, EVENT_READ, listener)
        return selector

    def _serve(self, watching: Callable[[], DefaultSelector]) -> None:
        with self._serving, watching() as selector:
            while not self._stopping.is_set():
                for key, _ in selector.select(POLL):
                    self._accept(key.data)

    def _accept(self, listener: socket.socket) -> None:
        taken = self._connections.accept(listener, self._session_of)
        if isinstance(taken, float):
            sleep(taken)
            return
        session, sock = taken
        try:
            session.accept_interrupts()
            Thread(target=copy_context().run, args=(self._run, session), daemon=True).start()
        except BaseException as error:  # the system has no room for it, or Ctrl-C comes
            peer = self._connections.peer_of(session)
            self._connections.leave(session)
            self._connections.refuse(sock, peer, str(error))
            session.abandon()
            if not isinstance(error, Exception):
                raise
            sleep(self._connections.pause_after(error))

    def _session_of(self, sock: socket.socket, peer: Peer) -> ServerSession:
        return ServerSession(sock, *self._service.each, peer)

    def _run(self, session: ServerSession) -> None:
        try:
            session.run()
        except Exception:
            logger.exception("%s: the session failed", who(self._connections.peer_of(session)))
        finally:
            self._connections.leave(session)

    def shutdown(self, grace: float = GRACE) -> tuple[Peer, ...]:
        """Listen no more, end each session with 421; return when nothing is left.

        Questions that are pending may still be answered meanwhile. After ``grace`` seconds, or at
        Ctrl-C, the sockets of what is left are closed: their peers are what is returned. A handler
        cannot be interrupted in its thread: it is waited for. RuntimeError where it is a handler
        that asks: it would wait for itself. TypeError for a grace that is no number, ValueError for
        more than 31 years, infinity and NaN: nothing has ended then. 0 and less are no grace.
        """
        grace = self._check_shutdown(grace)
        self._stopping.set()
        empty = Event()
        try:
            with self._serving:
                self._listen_no_more(lambda _: None)
            self._end_sessions(empty.set)
            empty.wait(grace)
        finally:
            cut = self._cut()
        empty.wait()
        return cut

    def __enter__(self) -> Self:
        with ExitStack() as undoing:  # where it fails there is no block, whose end would end it
            undoing.callback(self.shutdown, 0)
            selector = undoing.enter_context(self._watching())
            Thread(target=self._serve, args=(lambda: selector,), daemon=True).start()
            undoing.pop_all()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.shutdown(GRACE if kind is None else 0)


def start_server(
    session: Application,
    config: ServerConfig,
    host: str | None = None,
    port: int = 25,
    *,
    path: str | None = None,
    sock: socket.socket | None = None,
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
    factory = session_factory(session, config, awaits=False)
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
class Client:
    """A client at a connected socket; :func:`connect` makes one.

    Every method raises SessionError as the operation of its name does. A context manager that
    quits; where its block is left by an exception, it closes at once instead. One operation runs at
    a time: LocalProtocolError for another, and the first is unharmed.
    """

    __slots__ = ("__weakref__", "_inner", "conn")

    def __init__(self, inner: AsyncClient) -> None:
        self._inner = inner  # which never suspends, over a socket that blocks
        self.conn: ClientConnection = inner.conn

    @property
    def reusable(self) -> bool:
        """Idle, and nothing has come that says otherwise; ask :meth:`poll` first."""
        return self.conn.reusable

    def run(self, operation: Operation[R]) -> R:
        """Drive an operation of yours, or one of ``smtpwire.operations``."""
        return now(self._inner.run(operation))

    def open_session(
        self, credentials: Credentials | None = None, *, policy: ChoicePolicy | None = None
    ) -> None:
        """Greeting, EHLO, TLS by ``config.security``, authentication."""
        self.run(open_session(self.conn, credentials, policy=policy))

    def authenticate(self, credentials: Credentials, *, policy: ChoicePolicy | None = None) -> None:
        """Log in on a session that stands; again, where credentials were refused."""
        self.run(authenticate(self.conn, credentials, policy=policy))

    @shows_options(SendOptions)
    def send_mail(
        self,
        sender: Sender,
        recipients: Iterable[Recipient],
        content: Chunk | Iterable[Chunk],
        **options: Unpack[SendOptions],
    ) -> SendResult:
        """Send a message: see :func:`smtpwire.operations.send_mail`."""
        return self.run(send_mail(self.conn, sender, recipients, content, **options))

    def send_many(
        self, messages: Iterable[MailObject], results: list[SendResult] | None = None
    ) -> list[SendResult]:
        """Send messages one behind the other: see :func:`smtpwire.operations.send_many`."""
        return self.run(send_many(self.conn, messages, results))

    @shows_options(MessageOptions)
    def send_message(
        self,
        message: Message,
        sender: Sender = None,
        recipients: Iterable[Recipient] | None = None,
        **options: Unpack[MessageOptions],
    ) -> SendResult:
        """Send an EmailMessage: see :func:`smtpwire.operations.send_message`."""
        return self.run(send_message(self.conn, message, sender, recipients, **options))

    def command(self, command: Command) -> Reply:
        """Send a command of your own making, and wait for its reply."""
        return self.run(operations.command(self.conn, command))

    def verify(self, argument: str) -> Reply:
        """VRFY."""
        return self.run(verify(self.conn, argument))

    def reset(self) -> Reply:
        """RSET."""
        return self.run(reset(self.conn))

    def quit(self) -> Reply | None:
        """QUIT, and close."""
        return now(self._inner.quit())

    def poll(self) -> bool:
        """Take what came unasked, without waiting; True where the session is still of use.

        For pools: before an idle session is used again.
        """
        return now(self._inner.poll())

    def close(self) -> None:
        """Close at once, without a word; in another thread an operation is lost by it."""
        now(self._inner.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        now(self._inner.__aexit__(kind))


def connect(
    host: str = "",
    port: int = 25,
    config: ClientConfig | None = None,
    *,
    tls: Tls | None = None,
    server_name: str = "",
    timeout: float = 30.0,
    local_addr: str = "",
    path: str = "",
    sock: socket.socket | None = None,
) -> Client:
    """Connect to ``host`` from ``local_addr``, to the UNIX socket ``path``, or take ``sock``.

    ``timeout`` in seconds is for this alone. ``server_name``: what TLS asks for and verifies, if it
    is not ``config.host`` or ``host``. Raises OSError, or TlsFailed where TLS is there from the
    first octet and does not come about; TypeError and ValueError for what cannot be dialled.
    """
    dialled = Dialled(host, port, config, tls, server_name, timeout, local_addr, path, sock)
    if sock is None:
        sock = _dial(host, port, timeout, local_addr, path)
    return Client(now(AsyncClient(_transport(sock), monotonic, dialled, sock).begin()))


def _transport(sock: socket.socket) -> Transport:
    try:
        layout = timeval_layout()
        return _Transport(sock) if layout is None else _Waiting(sock, layout)
    except BaseException:  # such as: no descriptor is left to find the layout out
        sock.close()
        raise


def _dial(host: str, port: int, timeout: float, local_addr: str, path: str) -> socket.socket:
    if host:
        source = (local_addr, 0) if local_addr else None
        sock = socket.create_connection((host, port), timeout, source)
    else:
        sock = socket.socket(socket.AF_UNIX)
    try:
        if host:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            sock.settimeout(timeout)
            sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock
