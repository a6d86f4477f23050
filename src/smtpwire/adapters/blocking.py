"""A server and a client for plain sockets: one thread a connection, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import Thread, current_thread
from time import monotonic
from typing import Final, Self, TypeVar, Unpack, final

from smtpwire.adapters.client import Dialled, Turn
from smtpwire.adapters.memory_tls import MemoryTls
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
from smtpwire.adapters.stream import why
from smtpwire.adapters.tls import Tls, TlsConfig, check_tls
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Peer, ServerEvent
from smtpwire.engine.need import NEED_DATA, NEED_TLS, Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import Profile
from smtpwire.operations import (
    Operation,
    OperationNeed,
    Recipient,
    Sender,
    SendOptions,
    SendResult,
    Stage,
    TlsFailed,
    open_session,
    quit,
    reset,
    send_mail,
    verify,
)
from smtpwire.sasl import ChoicePolicy, Credentials
from smtpwire.wire.reply import Reply

__all__ = ["Client", "Server", "ServerSession", "connect"]

R = TypeVar("R")

LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""
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
    """One connection of a server: ``conn``, ``flush()``, ``close()``; ``run()`` serves it.

    Raises OSError where TLS from the first octet (profile SUBMISSIONS) does not come about.
    """

    def __init__(
        self,
        sock: socket.socket,
        session: SessionFactory,
        config: ServerConfig,
        tls: TlsConfig | None = None,
    ) -> None:
        peer = Peer()
        with suppress(OSError):  # it may be gone already
            peer = peer_of(sock.getpeername())
        info: TlsInfo | None = None
        if proxy_in_front(config):
            reader = proxy_reader(config, peer)
            sock.settimeout(config.timeouts.handshake)
            while reader.result is None:
                reader.receive_data(sock.recv(reader.wanted))
            peer = behind_proxy(peer, reader.result)
        self._stream = _Stream(sock, config.timeouts.handshake)
        if tls is not None and config.profile is Profile.SUBMISSIONS:
            info = self._stream.shake_hands(tls)
        self.conn = ServerConnection(config, tls=info, peer=peer)
        self._stream.attach(self.conn)
        self._config, self._tls = config, tls
        self._stopping = False
        self._handler = session(self)

    def run(self) -> None:
        """Serve the connection to its end."""
        while (item := self.conn.next_event()) is not Need.CLOSE:
            if not isinstance(item, Need):
                self._handle(item)
                continue
            self._stream.flush()
            if item is Need.DATA:
                if not self._stopping:
                    self._stream.read()
                if self._stopping:
                    self.conn.shutdown()
            elif item is Need.TLS:
                self._stream.start_tls(self._tls)
        self._stream.flush()
        self._stream.end(LINGER)

    def _handle(self, event: ServerEvent) -> None:
        try:
            waiting = self._handler(event)
            if waiting is not None:
                for _ in waiting.__await__():
                    raise RuntimeError("the handler suspends, and a blocking server has no loop")
        except Exception as error:
            settle(self.conn, self._config, event, error)
        except BaseException:
            self.close()
            raise
        else:
            settle(self.conn, self._config, event)

    def flush(self) -> None:
        """Send what is queued."""
        self._stream.flush()

    def close(self) -> None:
        """Drop the connection as it stands."""
        self.conn.abort("closed by the application")

    def shutdown(self) -> None:
        """End the session with 421, once the pending question is answered; from any thread."""
        self._stopping = True
        self._stream.wake(socket.SHUT_RD)

    def cut(self) -> None:
        """Wake whoever reads or writes; from any thread."""
        self._stream.wake()


@final
class Server:
    """Listens and serves each connection in a thread of its own.

    TLS is by STARTTLS, or from the first octet where the profile is SUBMISSIONS. Raises OSError
    where the address cannot be had, ValueError where the configuration needs ``tls``.
    """

    def __init__(
        self,
        session: SessionFactory,
        config: ServerConfig,
        address: tuple[str, int] = ("127.0.0.1", 0),
        *,
        tls: TlsConfig | None = None,
    ) -> None:
        tls = check_tls(config, tls)
        self._session, self._config, self._tls = session, config, tls
        self._listener = socket.create_server(address, backlog=1024)
        self._listener.settimeout(POLL)
        self._stopping = False
        self._sessions: dict[Thread, ServerSession | None] = {}

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port, *_ = self._listener.getsockname()
        return host, port

    def serve_forever(self) -> None:
        """Take connections until :meth:`shutdown` is called in another thread."""
        while not self._stopping:
            with suppress(OSError):  # TimeoutError, or a client that has gone again
                sock, _ = self._listener.accept()
                thread = Thread(target=self._serve, args=(sock,), daemon=True)
                self._sessions[thread] = None
                thread.start()
        self._listener.close()

    def _serve(self, sock: socket.socket) -> None:
        thread = current_thread()
        try:
            session = ServerSession(sock, self._session, self._config, self._tls)
            self._sessions[thread] = session
            if self._stopping:
                session.shutdown()
            session.run()
        except OSError as error:
            logger.info("connection lost before it began: %s", error)
        except Exception:
            logger.exception("a session failed")
        finally:
            sock.close()
            del self._sessions[thread]

    def shutdown(self, grace: float = 30.0) -> None:
        """Listen no more and end each session with 421; cut off what is left after ``grace``."""
        self._stopping = True
        end = monotonic() + grace
        for session in tuple(self._sessions.values()):
            if session is not None:
                session.shutdown()
        for thread, session in tuple(self._sessions.items()):
            thread.join(max(end - monotonic(), 0))
            if session is not None and thread.is_alive():
                session.cut()


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

    def open_session(
        self, credentials: Credentials | None = None, *, policy: ChoicePolicy | None = None
    ) -> None:
        """Greeting, EHLO, TLS by ``config.security``, authentication."""
        self.run(open_session(self.conn, credentials, policy=policy))

    def send_mail(
        self,
        sender: Sender,
        recipients: Iterable[Recipient],
        content: bytes | Iterable[bytes],
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
