"""A server at a loopback socket that collects the messages it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Self, final

from smtpwire.engine.events import (
    BodyChunk,
    EndOfMessage,
    Envelope,
    Identity,
    MessageAborted,
    ServerEvent,
)
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.sasl.questions import PasswordLogin, SecretRequest
from smtpwire.sasl.stored import PlainPassword
from smtpwire.testing.listener import Listener, in_thread
from smtpwire.wire.address import Address
from smtpwire.wire.checked import checked, type_of
from smtpwire.wire.command import Data, Hello, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, field, replace, value

if TYPE_CHECKING:
    from email.message import EmailMessage
    from socket import socket
    from ssl import SSLContext

    from smtpwire.operations.serve import Handler, Session
    from smtpwire.testing.certificates import Certificate

__all__ = ["ReceivedMessage", "Sink", "sink"]

TlsKind = Literal["none", "starttls", "implicit"]


@final
@value
class ReceivedMessage:
    """A message that was collected, and how it came.

    ``content``: header and body as octets, with CRLF. ``hello``, ``tls`` and ``identity``: what
    the connection had; None where there was none.

    ``envelope``: the transaction, with the recipients that were accepted.
    """

    envelope: Envelope
    content: bytes = field(repr=False)
    hello: Hello | None = None
    tls: TlsInfo | None = None
    identity: Identity | None = None

    @property
    def email(self) -> EmailMessage:
        """The content, parsed."""
        from email import message_from_bytes
        from email.policy import SMTP

        return message_from_bytes(self.content, policy=SMTP)


def sink(
    *,
    tls: TlsKind = "none",
    login: tuple[str, str] | None = None,
    lmtp: bool = False,
    refuse: Mapping[str, Reply] | None = None,
    verdicts: Mapping[str, Reply] | None = None,
    config: ServerConfig | None = None,
) -> Sink:
    """A server that collects messages, at a free loopback port: ``with sink() as mx``.

    ::

        with sink() as mx:
            smtplib.SMTP(mx.host, mx.port).sendmail("a@example.com", ["b@example.org"], text)
        assert mx.messages[0].email["Subject"] == "Hello"

    It serves in threads, so that blocking clients need none of their own, and is a context manager
    for ``async with``, too, with asyncio and with trio.

    tls: "none", "starttls", or "implicit", from the first octet; by ``mx.certificate``.
    login: user and password; who does not log in is refused. Outside TLS, too: it is for tests.
    lmtp: speak LMTP.
    refuse: what is answered to RCPT, by address, 4yz or 5yz; to all others 250.
    verdicts: what is answered to the message, by recipient's address: LMTP has a reply for each of
        them (RFC 2033 §4.2), SMTP one, which is that of the first recipient who has one here.
    config: a ServerConfig of your own, in place of what ``tls``, ``login`` and ``lmtp`` say of it.

    Raises ValueError and TypeError for what cannot be; ``with`` raises RuntimeError where no
    certificate can be made: see :func:`smtpwire.testing.certificate`.
    """
    if tls not in ("none", "starttls", "implicit"):
        raise ValueError(f'tls is {tls!r}: pass "none", "starttls" or "implicit"')
    if login is not None and not _is_login(login):
        raise TypeError('login: pass user and password, ("joe", "secret")')
    checked("lmtp", lmtp, bool)
    return Sink(
        _config(tls, login is not None, lmtp) if config is None else config,
        login,
        _by_address("refuse", refuse, _REFUSAL),
        _by_address("verdicts", verdicts, _VERDICT),
    )


def _is_login(given: object) -> bool:
    return (
        isinstance(given, tuple | list)
        and len(given) == 2
        and all(isinstance(word, str) for word in given)
    )


def _config(tls: TlsKind, login: bool, lmtp: bool) -> ServerConfig:
    host = "localhost"
    if lmtp:
        if tls == "implicit":
            raise ValueError("lmtp: there is no LMTP with TLS from the first octet")
        config = ServerConfig.lmtp(host)
    elif tls == "implicit":
        config = ServerConfig.submissions(host)
    else:
        config = ServerConfig.relay(host)
    return replace(
        config,
        limits=replace(config.limits, authentications=20),  # a test may log in as often as it likes
        starttls=tls == "starttls",
        require_auth=login,
        mechanisms=_MECHANISMS if login else (),
        cleartext_without_tls=True,
        scram_secret=b"a secret for tests" if login else b"",
    )


_MECHANISMS: Final = ("SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN")


_REFUSAL: Final = ("4yz", "5yz")
_VERDICT: Final = ("2yz", *_REFUSAL)


def _by_address(
    name: str, replies: Mapping[str, Reply] | None, legal: tuple[str, ...]
) -> dict[str, Reply]:
    found = {}
    for address, reply in checked(name, {} if replies is None else replies, Mapping).items():
        if not isinstance(reply, Reply):
            raise TypeError(f"{name}[{address!r}] is {type_of(reply)}: pass a Reply")
        if f"{reply.code // 100}yz" not in legal:
            raise ValueError(f"{name}[{address!r}] is {reply.code}: pass {' or '.join(legal)}")
        try:
            found[str(Address.parse(address))] = reply
        except ValueError as error:
            raise ValueError(f"{name}[{address!r}]: {error}") from None
    return found


@final
class Sink:
    """A server that collects messages; :func:`sink` makes one.

    ``host``: where it listens, loopback.
    """

    host: Final = "127.0.0.1"

    def __init__(
        self,
        config: ServerConfig,
        login: tuple[str, str] | None,
        refuse: Mapping[str, Reply],
        verdicts: Mapping[str, Reply],
    ) -> None:
        self.config: Final = checked("config", config, ServerConfig)
        self.messages: Final[list[ReceivedMessage]] = []
        """What has been accepted, in the order of the replies."""
        self._login = login
        self._refuse = refuse
        self._verdicts = verdicts
        self._listener: Listener | None = None
        self._listening = False
        self._tls_wanted = config.starttls or config.profile.value == "submissions"

    @property
    def port(self) -> int:
        """The port. Raises RuntimeError before the sink has been started."""
        if self._listener is None:
            raise RuntimeError("the sink has not been started: use it in a with block")
        return self._listener.port

    @property
    def certificate(self) -> Certificate:
        """The certificate; ``certificate.client_context()`` trusts it."""
        from smtpwire.testing.certificates import certificate

        return certificate()

    def clear(self) -> None:
        """Forget the messages."""
        self.messages.clear()

    def start(self) -> None:
        """Listen. ``with`` and ``async with`` do it. Raises RuntimeError where it listens."""
        if self._listening:
            raise RuntimeError("the sink listens already: stop() it first")
        tls = self.certificate.server_context() if self._tls_wanted else None
        self._listener = Listener(partial(self._serve, tls))
        self._listening = True

    def stop(self) -> None:
        """Listen no more, and drop what connections there are. Done twice it does no more."""
        if self._listener is not None and self._listening:
            self._listening = False
            self._listener.close(wait=False)

    def _serve(self, tls: SSLContext | None, sock: socket) -> None:
        from smtpwire.adapters.blocking import ServerSession
        from smtpwire.adapters.session import remote_peer
        from smtpwire.adapters.tls import TlsConfig

        layer = None if tls is None else TlsConfig(tls)
        ServerSession(sock, self._session, self.config, layer, remote_peer(sock)).run()

    def _session(self, session: Session) -> Handler:
        return _Handler(self, session.conn)

    def reply_to(self, address: Address) -> Reply:
        """What RCPT is answered for this address."""
        return self._refuse.get(str(address)) or Reply(250, "Recipient OK", "2.1.5")

    def verdict_on(self, recipients: Sequence[Address], owed: int) -> list[Reply]:
        """What the message is answered: as many replies as are owed."""
        found = [self._verdicts.get(str(each)) for each in recipients]
        ok = Reply(250, "Message collected", "2.0.0")
        if owed == len(recipients) and self.config.profile.value == "lmtp":
            return [reply or ok for reply in found]
        return [next((reply for reply in found if reply), ok)] * owed

    def admits(self, user: str, password: str) -> bool:
        """Whether these credentials are good."""
        return self._login == (user, password)

    def password_of(self, user: str) -> PlainPassword | None:
        """What is stored for a user, if he is known."""
        if self._login is None or self._login[0] != user:
            return None
        return PlainPassword(self._login[1])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await in_thread(self.stop)


@final
class _Handler:
    """The handler of one connection."""

    def __init__(self, sink: Sink, conn: ServerConnection) -> None:
        self._sink, self._conn = sink, conn
        self._body: list[bytes] = []

    def __call__(self, event: ServerEvent) -> None:
        conn, sink = self._conn, self._sink
        match event:
            case BodyChunk(data):
                self._body.append(data)
            case MessageAborted():
                self._body.clear()
            case Data():
                self._body.clear()
                conn.reply()
            case Rcpt(address):
                conn.reply(sink.reply_to(address))
            case EndOfMessage(envelope):
                self._end(envelope)
            case PasswordLogin(authcid, password):
                conn.reply(*[Reply(235, "Logged in", "2.7.0")] * sink.admits(authcid, password))
            case SecretRequest(authcid=authcid):
                conn.supply(sink.password_of(authcid))
            case Request():
                conn.reply()
            case _:
                pass

    def _end(self, envelope: Envelope) -> None:
        conn = self._conn
        replies = self._sink.verdict_on(envelope.forward_paths, conn.replies_owed)
        content = b"".join(self._body)
        self._body.clear()
        if any(reply.is_positive for reply in replies):
            message = ReceivedMessage(envelope, content, conn.hello, conn.tls, conn.identity)
            self._sink.messages.append(message)
        conn.reply(*replies)
