"""A server and a client for plain sockets: one thread a connection, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Thread, get_ident
from time import monotonic, sleep
from typing import Final, Self, TypeVar, Unpack, final

from smtpwire.adapters.channel import Channel
from smtpwire.adapters.client import Dialled, Turn
from smtpwire.adapters.listening import GRACE, Connections, listen
from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.session import (
    Deadline,
    SessionFactory,
    logger,
    peer_of,
)
from smtpwire.adapters.stream import why
from smtpwire.adapters.tls import Tls, TlsConfig, check_service
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Peer
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_TLS, Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.operations import (
    Chunk,
    Operation,
    OperationNeed,
    Recipient,
    Sender,
    SendOptions,
    SendResult,
    Stage,
    TlsFailed,
    authenticate,
    open_session,
    quit,
    reset,
    send_mail,
    verify,
)
from smtpwire.operations.serve import serve, who
from smtpwire.sasl import ChoicePolicy, Credentials
from smtpwire.wire.reply import Reply

__all__ = ["Client", "Server", "ServerSession", "connect", "start_server"]

R = TypeVar("R")

LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""
LINGER_OCTETS: Final = 1 << 20
"""What it may send meanwhile."""
LAST_WORDS: Final = 0.1
"""Seconds for close_notify."""
POLL: Final = 0.1
"""Seconds after which a listening server looks whether it is to end."""
READ: Final = 65536


@final
class _Stream:
    """A socket with TLS where there is any, and ``conn``, which is given when it is made.

    ``broken``: a write has failed; nothing is written any more.
    """

    conn: ServerConnection | ClientConnection

    def __init__(self, sock: socket.socket, handshake: float) -> None:
        self.sock = sock
        self.broken = False
        self.receive: Callable[[int], bytes] = self._receive
        self._send_all: Callable[[bytes], None] = self._send
        self._layer: MemoryTls | None = None
        self._deadline = Deadline(monotonic)
        self._timeout: Callable[[], Timeout | None] = partial(Timeout, handshake, -1)
        self._waits = True

    def attach(self, conn: ServerConnection | ClientConnection) -> None:
        """From here on it is the engine that says how long a call may take."""
        self.conn = conn
        self._timeout = lambda: conn.timeout

    def flush(self) -> None:
        """Send what is queued, in the time that the engine gives for it."""
        octets = self.conn.data_to_send()
        if not octets or self.broken:
            return
        try:
            self._send_all(octets)
        except TimeoutError:
            self.broken = True
            if isinstance(self.conn, ServerConnection) or not self.poll():
                self.conn.timed_out()
            else:
                self.conn.receive_data(b"")  # it reads no more, but has said why
        except OSError as error:
            self.broken = True
            self._lost(error)

    def read(self) -> None:
        """Wait for what the peer says, in the time that the engine gives for it."""
        try:
            self.conn.receive_data(self.receive(READ))
        except TimeoutError:
            self.conn.timed_out()
        except OSError as error:
            self.conn.abort(why(error))

    def poll(self) -> bool:
        """Take what has come, without waiting for more; True where there was anything."""
        self._waits = came = False
        try:
            while self.conn.wants_data:
                self.conn.receive_data(self.receive(READ))
                came = True
        except BlockingIOError:
            pass
        except OSError as error:
            self.conn.abort(why(error))
        finally:
            self._waits = True
        return came

    def start_tls(self, tls: TlsConfig | None, server_name: str | None = None) -> None:
        """The handshake after STARTTLS; whatever goes wrong in it ends the connection."""
        try:
            if tls is None:
                raise OSError("no TLS is configured")
            info = self.shake_hands(tls, server_name)
        except TimeoutError:
            self.broken = True
            self.conn.timed_out()
        except Exception as error:
            self.broken = True
            self.conn.tls_failed(why(error))
        else:
            self.conn.tls_started(info)

    def shake_hands(self, tls: TlsConfig, server_name: str | None = None) -> TlsInfo:
        """As a server where no ``server_name`` is given. Raises OSError and what TLS raises."""
        layer = MemoryTls(self._receive, self._send, tls, server_name=server_name)
        info = layer.shake_hands()
        self._layer, self.receive, self._send_all = layer, layer.receive, layer.send
        return info

    def end(self, linger: float) -> None:
        """Close; the other side may still talk for so many seconds, and is not heard."""
        self._timeout = partial(Timeout, linger or LAST_WORDS, -2)
        try:
            if not self.broken:
                if self._layer is not None:
                    self._layer.close()
                self.sock.shutdown(socket.SHUT_WR)
                while linger and self._receive(READ):
                    pass
        except OSError:
            pass  # it was for politeness only
        finally:
            self.broken = True
            self.sock.close()

    def wake(self, how: int = socket.SHUT_RDWR) -> None:
        """End the connection in a direction, so that whoever waits goes on; from any thread."""
        with suppress(OSError):
            self.sock.shutdown(how)

    def _lost(self, error: OSError) -> None:
        """Nothing can be sent any more. What has come, a server's 421 above all, may be read."""
        if isinstance(self.conn, ServerConnection):
            self.conn.abort(why(error))
            return
        self.poll()
        self.conn.receive_data(b"")

    def _receive(self, size: int) -> bytes:
        while True:
            self._set_limit()
            with suppress(TimeoutError):  # there may be some left
                return self.sock.recv(size)

    def _send(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            self._set_limit()
            with suppress(TimeoutError):
                view = view[self.sock.send(view) :]

    def _set_limit(self) -> None:
        """The time the next call may take: roughly, since every change is a system call."""
        left = self._deadline.left(self._timeout()) if self._waits else 0.0
        if left == 0 and self._waits:
            raise TimeoutError
        last = self.sock.gettimeout()
        if not (last and left and left / 2 <= last <= left * 1.1):
            self.sock.settimeout(left)


@final
class ServerSession:
    """One connection of a server: ``conn``, ``flush()``, ``shutdown()`` …; ``run()`` serves it.

    ``shutdown()`` and ``close()`` may be called from any thread.
    """

    conn: ServerConnection

    def __init__(
        self,
        sock: socket.socket,
        session: SessionFactory,
        config: ServerConfig,
        tls: TlsConfig | None = None,
        peer: Peer | None = None,
    ) -> None:
        self._sock, self._session, self._config = sock, session, config
        self._channel = Channel(config, tls, peer or Peer())
        self._deadline = Deadline(monotonic)
        self._broken = False  # a write has failed: nothing is written any more
        self._thread = 0
        self._asked: Callable[[], object] | None = None  # of this session, by another thread

    def run(self) -> None:
        """Serve the connection to its end."""
        self._thread = get_ident()
        channel = self._channel
        try:
            with self._sock:
                while not (channel.open or channel.refused or self._asked):
                    self._read()
                    self.flush()
                if channel.open:
                    self._serve()
        except OSError as error:
            logger.info("%s: no session: %s", who(channel.peer), error)

    def _serve(self) -> None:
        self.conn = self._channel.conn
        self._deadline.begin_session(self.conn)
        serving = serve(self, self._session, self._config, logger, monotonic)
        step = next(serving)
        while step is not NEED_CLOSE:
            try:
                if isinstance(step, Need):
                    self._meet(step)
                else:
                    for _ in step.__await__():
                        raise RuntimeError(
                            "the handler suspends, and a blocking server has no loop"
                        )
            except BaseException as raised:
                step = serving.throw(raised)
            else:
                step = next(serving)
        self._end()

    def _meet(self, need: Need) -> None:
        """Flush, then do what the engine needs."""
        self.flush()
        if need is NEED_TLS:
            self._channel.start_tls()
            while self.conn.state is State.TLS and not self._asked:
                self.flush()
                self._read()
        elif need is NEED_DATA and not self._asked and not self._channel.decrypt():
            self._read()
        if self._asked is not None:
            self._asked()

    # -- the socket

    def flush(self) -> None:
        """Send what is queued."""
        octets = self._channel.data_to_send()
        if not octets or self._broken:
            return
        try:
            self._wait_for(self._deadline.left(self._channel.timeout, session=False))
            self._sock.sendall(octets)
        except TimeoutError:
            self._broken = True
            self._time_out()
        except OSError as error:
            self._fail(error)

    def _read(self) -> None:
        """Take what comes, in the time there is for it."""
        while self._channel.wants_data:
            try:
                self._wait_for(self._deadline.left(self._channel.timeout))
                octets = self._sock.recv(READ)
            except TimeoutError:
                if self._deadline.left(self._channel.timeout) == 0:
                    self._time_out()
                    return
            except OSError as error:
                self._fail(error)
                return
            else:
                self._channel.receive_data(octets)
                return

    def _wait_for(self, seconds: float | None) -> None:
        """The time a call may take: roughly, since every change is a system call."""
        if seconds == 0:
            raise TimeoutError
        last = self._sock.gettimeout()
        if not (last and seconds and seconds / 2 <= last <= seconds * 1.1):
            self._sock.settimeout(seconds)

    def _time_out(self) -> None:
        if not self._channel.open:
            raise TimeoutError("the handshake takes too long")
        self._deadline.tell(self._channel.conn)

    def _fail(self, error: OSError) -> None:
        self._broken = True
        if not self._channel.open:
            raise error
        self._channel.conn.abort(str(error))

    def _end(self) -> None:
        """Close; the other side may still talk for a while, and is not heard."""
        self.flush()
        end, dropped = monotonic() + LINGER, 0
        with suppress(OSError):
            if not self._broken:
                self._sock.settimeout(LINGER)
                self._sock.sendall(self._channel.finish())
                self._sock.shutdown(socket.SHUT_WR)
            while dropped < LINGER_OCTETS and not self._broken and (left := end - monotonic()) > 0:
                self._sock.settimeout(left)
                if not (octets := self._sock.recv(READ)):
                    break
                dropped += len(octets)

    # -- for its handler, and for its server

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered."""
        self._ask(lambda: self._channel.conn.shutdown(), socket.SHUT_RD)

    def close(self) -> None:
        """Drop the connection as it stands."""
        reason = "closed by the application"
        self._ask(lambda: self._channel.conn.abort(reason), socket.SHUT_RDWR)

    def _ask(self, what: Callable[[], object], how: int) -> None:
        """Do it in the session's own thread; wake that, where it reads or writes."""
        if get_ident() == self._thread and self._channel.open:
            what()
            return
        self._asked = what
        with suppress(OSError):
            self._sock.shutdown(how)


@final
class Server:
    """A listening server, each connection in a thread of its own: see :func:`start_server`.

    As a context manager it serves meanwhile, and its end is :meth:`shutdown`.
    """

    def __init__(
        self,
        make: Callable[[socket.socket, Peer], ServerSession],
        listeners: list[socket.socket],
        connections: Connections[ServerSession],
    ) -> None:
        self._make, self._listeners, self._connections = make, listeners, connections
        self._stopping, self._idle = Event(), Event()
        self._idle.set()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets: their addresses by ``getsockname()``."""
        return tuple(self._listeners)

    @property
    def sessions(self) -> tuple[ServerSession, ...]:
        """What is open, from accept to the end of the last handler."""
        return tuple(self._connections)

    def serve_forever(self) -> None:
        """Take connections until :meth:`shutdown` is called in another thread."""
        self._idle.clear()
        try:
            with DefaultSelector() as selector:
                for listener in self._listeners:
                    selector.register(listener, EVENT_READ, listener)
                while not self._stopping.is_set():
                    for key, _ in selector.select(POLL):
                        self._accept(key.data)
        finally:
            self._idle.set()

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            sleep(self._connections.pause_after(error))
            return
        with suppress(OSError):  # a UNIX socket has no Nagle
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = peer_of(address)
        session = self._make(sock, peer)
        if not self._connections.admit(session, peer, sock):
            return
        thread = Thread(target=copy_context().run, args=(self._run, session), daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no room for a thread
            self._connections.leave(session)
            self._connections.refuse(sock, peer, str(error))
            sleep(self._connections.pause_after(error))

    def _run(self, session: ServerSession) -> None:
        try:
            session.run()
        except Exception:
            logger.exception("%s: the session failed", who(self._connections.peer_of(session)))
        finally:
            self._connections.leave(session)

    def shutdown(self, grace: float = GRACE) -> tuple[Peer, ...]:
        """Listen no more, end each session with 421; return when nothing is left.

        Questions that are pending may still be answered meanwhile. After ``grace`` seconds the
        sockets of what is left are closed: their peers are what is returned. A handler cannot be
        interrupted in its thread: it is waited for.
        """
        self._stopping.set()
        self._idle.wait()
        while self._listeners:
            self._listeners.pop().close()
        empty = Event()
        self._connections.when_empty(empty.set)
        for session in self._connections:
            session.shutdown()
        empty.wait(grace)
        cut = tuple(map(self._connections.peer_of, self._connections))
        for session in self._connections:
            session.close()
        empty.wait()
        return cut

    def __enter__(self) -> Self:
        self._idle.clear()
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.shutdown(GRACE if kind is None else 0)


def start_server(
    session: SessionFactory,
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
    """Listen; every connection gets a handler from ``session``, as soon as the server serves.

    At all addresses of ``host``, at a UNIX socket's ``path``, or at ``sock``. TLS is by STARTTLS,
    or from the first octet where the profile is SUBMISSIONS. With ``reuse_port`` several
    processes can share the port. Connections beyond the maximum are refused with 421; None: as
    many as the system has room for. Raises OSError where the address cannot be had, ValueError
    where the configuration needs ``tls``, TypeError for a ``session`` or a ``config`` that is none.
    """
    checked = check_service(session, config, tls)
    listeners = listen(host, port, path=path, sock=sock, reuse_port=reuse_port)
    connections: Connections[ServerSession] = Connections(
        config, max_connections, max_connections_per_peer
    )
    return Server(
        lambda sock, peer: ServerSession(sock, session, config, checked, peer),
        listeners,
        connections,
    )


@final
class Client:
    """A client at a connected socket; :func:`connect` makes one.

    Every method raises SessionError as the operation of its name does. A context manager that
    quits; where its block is left by an exception, it closes at once instead. One operation runs at
    a time: LocalProtocolError for another, and the first is unharmed.
    """

    def __init__(self, sock: socket.socket, dialled: Dialled) -> None:
        config, info = dialled.config, None
        self._dialled = dialled
        self._turn = Turn()
        self._closing = False  # by another thread than that of the operation
        self._stream = _Stream(sock, config.timeouts.handshake)
        try:
            if config.security is Security.IMPLICIT:
                info = self._stream.shake_hands(dialled.tls, dialled.server_name)
        except BaseException as error:
            sock.close()
            if isinstance(error, Exception):
                raise TlsFailed(None, Stage.IMPLICIT_TLS, why(error)) from error
            raise
        self.conn = ClientConnection(config, tls=info)
        self._stream.attach(self.conn)

    @property
    def reusable(self) -> bool:
        """Idle, and nothing has come that says otherwise; ask :meth:`poll` first."""
        return self.conn.reusable

    def run(self, operation: Operation[R]) -> R:
        """Drive an operation of yours, or one of ``smtpwire.operations``."""
        with self._turn:
            try:
                return self._drive(operation)
            except BaseException as error:
                operation.close()
                if not isinstance(error, Exception):  # Ctrl-C: nobody knows what was said
                    self.conn.abort("interrupted")
                raise
            finally:
                if self.conn.state is State.CLOSED:
                    self._stream.end(0)

    def _drive(self, operation: Operation[R]) -> R:
        while True:
            try:
                need = next(operation)
            except StopIteration as stop:
                result: R = stop.value
                self._stream.flush()
                return result
            self._meet(need)

    def _meet(self, need: OperationNeed) -> None:
        self._stream.flush()
        if need is NEED_DATA and self.conn.wants_data:
            self._stream.read()
        elif need is NEED_TLS and self.conn.state is State.TLS:
            self._stream.start_tls(self._dialled.tls, self._dialled.server_name)
        if self._closing:
            self.conn.abort("closed by the application")

    def open_session(
        self, credentials: Credentials | None = None, *, policy: ChoicePolicy | None = None
    ) -> None:
        """Greeting, EHLO, TLS by ``config.security``, authentication."""
        self.run(open_session(self.conn, credentials, policy=policy))

    def authenticate(self, credentials: Credentials, *, policy: ChoicePolicy | None = None) -> None:
        """Log in on a session that stands; again, where credentials were refused."""
        self.run(authenticate(self.conn, credentials, policy=policy))

    def send_mail(
        self,
        sender: Sender,
        recipients: Iterable[Recipient],
        content: Chunk | Iterable[Chunk],
        **options: Unpack[SendOptions],
    ) -> SendResult:
        """Send a message: see :func:`smtpwire.operations.send_mail`."""
        return self.run(send_mail(self.conn, sender, recipients, content, **options))

    def verify(self, argument: str) -> Reply:
        """VRFY."""
        return self.run(verify(self.conn, argument))

    def reset(self) -> Reply:
        """RSET."""
        return self.run(reset(self.conn))

    def quit(self) -> Reply | None:
        """QUIT, and close."""
        reply = self.run(quit(self.conn))
        self.close()
        return reply

    def poll(self) -> bool:
        """Take what came unasked, without waiting; True where the session is still of use.

        For pools: before an idle session is used again.
        """
        with self._turn:
            self._stream.poll()
            while not isinstance(self.conn.next_event(), Need):
                pass
            return self.conn.reusable

    def close(self) -> None:
        """Close at once, without a word; in another thread an operation is lost by it."""
        try:
            with self._turn:
                self.conn.abort("closed by the application")
                self._stream.end(0)
        except LocalProtocolError:
            self._closing = True
            self._stream.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.quit()
        finally:
            self.close()


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
    first octet and does not come about.
    """
    dialled = Dialled(host, port, config, tls, server_name, path, sock, local_addr)
    if sock is None:
        sock = _dial(host, port, timeout, local_addr, path)
    return Client(sock, dialled)


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
