"""smtplib's SMTP and LMTP, and smtpwire's client in them.

What is sent goes through the engine as commands, and what comes back are its events: it reads the
replies, the offer and the challenges, frames the body and knows when the connection has ended.
What smtplib builds upon that (sendmail, send_message, login) is left as it is. Every name that is
not here is smtplib's own.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from smtpwire.adapters.serving import now
from smtpwire.adapters.stream import AsyncStream
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError, UnwritableError
from smtpwire.engine.events import (
    AuthenticationEnded,
    Closed,
    CloseReason,
    Greeting,
    Peer,
    ReplyReceived,
)
from smtpwire.engine.need import Need
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.sasl import ClientMechanism
from smtpwire.wire.command import StartTls
from smtpwire.wire.reply import Reply

from .lines import any_command

Said = tuple[int, bytes]
AuthObject = Callable[..., str | None]

MOST_CHALLENGES: Final = 5
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


def __getattr__(name: str) -> object:
    """What is not here is smtplib's own: its errors and its helpers."""
    return getattr(smtplib, name)


class _Socket:
    """A transport: a socket with the time-out that smtplib gave it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def send(self, octets: bytes, seconds: float | None) -> None:
        self._sock.sendall(octets)

    async def receive(self, size: int, seconds: float | None) -> bytes:
        return self._sock.recv(size)

    async def receive_now(self, size: int) -> bytes | None:
        return None

    def wake(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        self._sock.close()


class _AuthObject:
    """A SASL mechanism made of what smtplib calls an authobject."""

    complete = mutual = server_proven = False
    error = ""

    def __init__(self, name: str, call: AuthObject, initial: str | None, smtp: "SMTP") -> None:
        self.name, self._call, self._smtp = name, call, smtp
        self._initial = None if initial is None else initial.encode("ascii")
        self.client_first = initial is not None
        smtp._auth_challenge_count = int(self.client_first)

    def initial(self) -> bytes | None:
        return self._initial

    def step(self, challenge: bytes) -> bytes:
        self._smtp._auth_challenge_count += 1
        if self._smtp._auth_challenge_count > MOST_CHALLENGES:
            raise smtplib.SMTPException(
                f"Server AUTH mechanism infinite loop. Last response: {(334, challenge)}"
            )
        return (self._call(challenge) or "").encode("ascii")

    def answer(self, data: bytes) -> bytes:
        raise NotImplementedError("an authobject never waits")


class _UnreadableError(Exception):
    """What came is no reply to what was sent: smtplib gives its code as -1."""


class _Session:
    """One connection, and the engine at it."""

    def __init__(self, sock: socket.socket, *, lmtp: bool) -> None:
        config = ClientConfig(lmtp=lmtp, cleartext_authentication_without_verified_tls=True)
        self.conn = ClientConnection(config)
        # Not who is there: a socket of smtplib's own tests has an address of two words.
        self._stream = AsyncStream(_Socket(sock), monotonic, config.timeouts.handshake, Peer())
        self._stream.attach(self.conn)

    def next_reply(self) -> Reply | AuthenticationEnded:
        """Wait for the reply that comes next; an AUTH has one in all."""
        while True:
            match self.conn.next_event():
                case Greeting(reply) | ReplyReceived(_, reply):
                    return reply
                case AuthenticationEnded() as ended:
                    return ended
                case ProtocolViolation(ViolationKind.LINE_TOO_LONG | ViolationKind.REPLY_TOO_LONG):
                    raise smtplib.SMTPResponseException(500, "Line too long.")
                case Need.DATA:
                    now(self._stream.flush())
                    now(self._stream.read())
                case Need.WRITE:
                    now(self._stream.flush())
                case Closed(CloseReason.VIOLATION, error=why):
                    raise _UnreadableError(why)
                case Need() as need:
                    closed = self.conn.closed
                    why = need.value if closed is None else closed.error or closed.reason.value
                    raise smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {why}")
                case _:
                    pass

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """The handshake behind the 220."""
        assert self.conn.next_event() is Need.TLS
        now(self._stream.start_tls(TlsConfig(context), host))
        while self.conn.next_event() not in (Need.COMMAND, Need.CLOSE):
            pass
        if self.conn.closed is not None:
            raise ssl.SSLError(self.conn.closed.error)

    def end(self) -> None:
        self.conn.abort("closed by the application")
        now(self._stream.end())


class SMTP(smtplib.SMTP):
    """smtplib.SMTP, spoken by the engine."""

    lmtp = False
    sock: Any
    _session: _Session | None = None
    _auth_challenge_count: int
    _host: str
    _print_debug: Callable[..., None]

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        if timeout is not None and not timeout:
            raise ValueError("Non-blocking socket (timeout=0) is not supported")
        if self.debuglevel > 0:
            self._print_debug("connect: to", (host, port), self.source_address)
        sock: socket.socket = self._begin(
            socket.create_connection((host, port), timeout, self.source_address)
        )
        return sock

    def _begin(self, sock: Any) -> Any:
        self._session = _Session(sock, lmtp=self.lmtp)
        return sock

    def send(self, s: Any) -> None:
        """Whatever is sent is a line, and goes through the engine."""
        if self.sock is None or self._session is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        octets = s.encode(self.command_encoding) if isinstance(s, str) else bytes(s)
        if self.debuglevel > 0:
            self._print_debug("send:", repr(octets))
        self._queue(lambda conn: conn.send(any_command(octets.removesuffix(b"\r\n"))))

    def _queue(self, call: Callable[[ClientConnection], object]) -> ClientConnection:
        if self._session is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        conn = self._session.conn
        try:
            call(conn)
        except UnwritableError as error:
            raise smtplib.SMTPNotSupportedError(str(error)) from error
        except LocalProtocolError as error:
            if conn.closed is None and conn.state is not State.CLOSED:
                raise smtplib.SMTPException(str(error)) from error
            self.close()
            raise smtplib.SMTPServerDisconnected("Server not connected") from error
        return conn

    def _next(self) -> Reply | AuthenticationEnded:
        if self._session is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        try:
            return self._session.next_reply()
        except smtplib.SMTPException:
            self.close()
            raise

    def getreply(self) -> Said:
        try:
            reply = self._next()
        except _UnreadableError as error:
            return -1, str(error).encode()
        assert isinstance(reply, Reply)
        said = _said(reply)
        if self.debuglevel > 0:
            self._print_debug("reply: retcode ({}); Msg: {!a}".format(*said))
        return said

    def ehlo(self, name: str = "") -> Said:
        """EHLO; what is offered is what the engine has read."""
        said = super().ehlo(name)
        if said[0] == 250 and self._session is not None:
            lines = [line.partition(" ") for line in self._session.conn.extensions.lines]
            self.esmtp_features = {keyword.lower(): rest for keyword, _, rest in lines}
        return said

    def data(self, msg: Any) -> Said:
        self.putcmd("data")
        said = self.getreply()
        if said[0] != 354:
            raise smtplib.SMTPDataError(*said)
        octets = msg.encode("ascii") if isinstance(msg, str) else bytes(msg)
        self._queue(lambda conn: conn.send_body(_LINE_END.sub(b"\r\n", octets)))
        self._queue(lambda conn: conn.end_body())
        return self.getreply()

    def auth(
        self, mechanism: str, authobject: AuthObject, *, initial_response_ok: bool = True
    ) -> Said:
        initial = authobject() if initial_response_ok else None
        played: ClientMechanism = _AuthObject(mechanism.upper(), authobject, initial, self)
        self._queue(lambda conn: conn.authenticate(played))
        ended = self._next()
        assert isinstance(ended, AuthenticationEnded)
        if ended.exception is not None:
            raise ended.exception
        if ended.reply is None:
            self.close()
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        said = _said(ended.reply)
        if said[0] in (235, 503):
            return said
        raise smtplib.SMTPAuthenticationError(*said)

    def starttls(self, *, context: ssl.SSLContext | None = None) -> Said:  # type: ignore[override]
        self.ehlo_or_helo_if_needed()
        self._queue(lambda conn: conn.send(StartTls()))
        said = self.getreply()
        if said[0] != 220 or self._session is None:
            raise smtplib.SMTPResponseException(*said)
        if context is None:  # as smtplib: nobody is verified
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._session.start_tls(context, self._host)
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        return said

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.end()
        super().close()


class LMTP(SMTP):
    """smtplib.LMTP, spoken by the engine."""

    ehlo_msg = "lhlo"
    lmtp = True

    def __init__(
        self,
        host: str = "",
        port: int = smtplib.LMTP_PORT,
        local_hostname: str | None = None,
        source_address: Any = None,
        timeout: Any = socket._GLOBAL_DEFAULT_TIMEOUT,  # type: ignore[attr-defined]
    ) -> None:
        super().__init__(host, port, local_hostname, timeout, source_address)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> Said:
        if not host.startswith("/"):
            return super().connect(host, port, source_address)
        if self.timeout is not None and not self.timeout:
            raise ValueError("Non-blocking socket (timeout=0) is not supported")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if self.timeout is not socket._GLOBAL_DEFAULT_TIMEOUT:  # type: ignore[attr-defined]
            sock.settimeout(self.timeout)
        sock.connect(host)
        self.sock = self._begin(sock)
        return self.getreply()


def _said(reply: Reply) -> Said:
    """A reply in smtplib's form."""
    status = "" if reply.enhanced is None else f"{reply.enhanced} "
    lines = [f"{status}{line}".strip(" \t") for line in reply.lines]
    return reply.code, "\n".join(lines).encode()
