"""A server and a client for plain sockets: one thread a connection, and nothing else."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread, current_thread
from time import monotonic
from typing import Final, Self, TypeVar, Unpack, final

from smtpwire.adapters.client import dialled
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
from smtpwire.adapters.tls import TlsConfig, check_tls, client_tls, tls_info
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer, ServerEvent
from smtpwire.engine.need import NEED_DATA, NEED_TLS, Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import Profile
from smtpwire.operations import (
    Operation,
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
PATIENCE: Final = 300.0
"""Seconds for a write where the engine names none."""
POLL: Final = 0.1
"""Seconds after which a listening server looks whether it is to end."""
READ: Final = 65536


class _Stream:
    """A socket with an engine at it: what both roles do at a Need."""

    def __init__(
        self, sock: socket.socket, conn: ServerConnection | ClientConnection, tls: TlsConfig | None
    ) -> None:
        self.conn = conn
        self.sock = sock
        self._tls = tls
        self._deadline = Deadline(monotonic)

    def flush(self) -> None:
        octets = self.conn.data_to_send()
        if not octets:
            return
        try:
            self._wait_for(self._deadline.left(self.conn.timeout) or PATIENCE)
            self.sock.sendall(octets)
        except OSError:
            self._take_last_words()

    def _wait_for(self, seconds: float | None) -> None:
        """The time a call may take: roughly, since every change is a system call."""
        last = self.sock.gettimeout()
        if not (last and seconds and seconds / 2 <= last <= seconds * 1.1):
            self.sock.settimeout(seconds)

    def _take_last_words(self) -> None:
        """Nothing can be sent any more, but what has come, such as a 421, may still be read."""
        with suppress(OSError):
            self.sock.settimeout(0)
            while self.conn.wants_data and (data := self.sock.recv(READ)):
                self.conn.receive_data(data)
        self.conn.receive_data(b"")

    def read(self) -> None:
        while (left := self._deadline.left(self.conn.timeout)) != 0:
            try:
                self._wait_for(left)
                self.conn.receive_data(self.sock.recv(READ))
            except TimeoutError:
                continue  # there may be some left
            except OSError as error:
                self.conn.abort(str(error))
            return
        self.conn.timed_out()

    def start_tls(self, server_name: str | None = None) -> None:
        """The handshake after STARTTLS."""
        try:
            if self._tls is None:
                raise ssl.SSLError("no TLS is configured")
            left = self._deadline.left(self.conn.timeout)
            self.sock = wrapped = shake_hands(self.sock, self._tls, left, server_name)
        except (OSError, ValueError) as error:  # ValueError: a name that none can have
            self.conn.tls_failed(str(error))
        else:
            self.conn.tls_started(tls_info(wrapped, self._tls, server_name or ""))

    def end(self, linger: float) -> None:
        """Close; the other side may still talk for a while, and is not heard."""
        self.flush()
        end = monotonic() + linger
        with suppress(OSError, ValueError):
            self.sock.settimeout(0)
            if isinstance(self.sock, ssl.SSLSocket):
                with suppress(OSError, ValueError):
                    self.sock.unwrap()  # sends close_notify and waits for no answer
            self.sock.shutdown(socket.SHUT_WR)
            while (left := end - monotonic()) > 0:
                self.sock.settimeout(left)
                if not self.sock.recv(READ):
                    break
        self.sock.close()


def shake_hands(
    sock: socket.socket, tls: TlsConfig, timeout: float | None, server_name: str | None = None
) -> ssl.SSLSocket:
    """TLS on a socket; as a server where no ``server_name`` is given."""
    sock.settimeout(timeout)
    sock.getpeername()  # raises if the peer is gone, where wrap_socket() would leak the socket
    wrapped = tls.context.wrap_socket(
        sock,
        server_side=server_name is None,
        server_hostname=server_name,
        do_handshake_on_connect=False,
    )
    try:
        wrapped.do_handshake()
    except BaseException:
        wrapped.close()
        raise
    return wrapped


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
        if tls is not None and config.profile is Profile.SUBMISSIONS:
            sock = wrapped = shake_hands(sock, tls, config.timeouts.handshake)
            info = tls_info(wrapped, tls)
        self.conn = ServerConnection(config, tls=info, peer=peer)
        self._config = config
        self._stream = _Stream(sock, self.conn, tls)
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
                self._stream.start_tls()
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
        self.cut(socket.SHUT_RD)

    def cut(self, how: int = socket.SHUT_RDWR) -> None:
        """Wake whoever reads or writes; from any thread."""
        with suppress(OSError):
            socket.socket.shutdown(self._stream.sock, how)


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
    """A client at a connected socket; :func:`connect` makes one. A context manager that quits.

    ``server_name``: the name to verify and to ask for by SNI; ``config.host`` by default.
    Every method raises SessionError as the operation of its name does.
    """

    def __init__(
        self,
        sock: socket.socket,
        config: ClientConfig,
        *,
        tls: TlsConfig | None = None,
        server_name: str = "",
    ) -> None:
        tls = tls or client_tls(config.security)
        self._server_name = server_name or config.host
        info: TlsInfo | None = None
        if config.security is Security.IMPLICIT:
            try:
                sock = wrapped = shake_hands(
                    sock, tls, config.timeouts.handshake, self._server_name
                )
            except (OSError, ValueError) as error:
                sock.close()
                raise TlsFailed(None, Stage.TLS, str(error)) from error
            info = tls_info(wrapped, tls, self._server_name)
        self.conn = ClientConnection(config, tls=info)
        self._stream = _Stream(sock, self.conn, tls)

    def run(self, operation: Operation[R]) -> R:
        """Drive an operation of yours, or one of ``smtpwire.operations``."""
        try:
            while True:
                need = next(operation)
                self._stream.flush()
                if need is NEED_DATA:
                    self._stream.read()
                elif need is NEED_TLS:
                    self._stream.start_tls(self._server_name)
        except StopIteration as stop:
            result: R = stop.value
            return result
        except Exception:
            raise
        except BaseException:  # Ctrl-C somewhere inside: nobody knows what has been said
            self.conn.abort("interrupted")
            raise
        finally:
            self._stream.flush()
            if self.conn.state is State.CLOSED:
                self._stream.end(0)

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
        try:
            self._stream.sock.settimeout(0)
            self.conn.receive_data(self._stream.sock.recv(READ))
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError as error:
            self.conn.abort(str(error))
        while not isinstance(self.conn.next_event(), Need):
            pass
        return self.conn.reusable

    def close(self) -> None:
        """Close without a word."""
        self.conn.abort("closed by the application")
        self._stream.end(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.quit()


def connect(
    host: str,
    port: int = 25,
    config: ClientConfig | None = None,
    *,
    tls: TlsConfig | None = None,
    timeout: float = 30.0,
) -> Client:
    """Connect; ``timeout`` in seconds is for this alone. Raises OSError; TlsFailed at port 465."""
    config = dialled(config, host, port)
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Client(sock, config, tls=tls)
