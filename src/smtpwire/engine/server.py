"""The server's side of a connection: octets in, events and replies out (RFC 5321, RFC 2033)."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Authenticated,
    AuthenticationFailed,
    BodyChunk,
    Closed,
    CloseReason,
    Connected,
    Direction,
    EndOfMessage,
    Envelope,
    Identity,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
    ServerRequest,
)
from smtpwire.engine.incoming import IncomingBody
from smtpwire.engine.input import Input
from smtpwire.engine.need import Need, ServerNeed
from smtpwire.engine.plan import Plan, Situation
from smtpwire.engine.policy import Policy
from smtpwire.engine.quota import Quota
from smtpwire.engine.redaction import REDACTED, looks_like_auth, redacted
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_config import ServerConfig, complete, hello_octets, serialise
from smtpwire.engine.server_exchange import ServerExchange, challenge_line
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import (
    AUTH,
    CHUNKING,
    EXPN,
    LIMITS,
    PIPELINING,
    SIZE,
    STARTTLS,
    Atrn,
    Burl,
    Etrn,
    Offer,
    Offered,
    Profile,
    Unavailable,
    XClient,
    XForward,
)
from smtpwire.extensions import parameters as p
from smtpwire.extensions.parameters import Body
from smtpwire.sasl import (
    AnonymousLogin,
    Ask,
    AuthorizationRequest,
    Challenge,
    ExternalLogin,
    PasswordLogin,
    SecretRequest,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    Succeeded,
    TokenLogin,
    server_mechanism,
)
from smtpwire.wire.body import DotDecoder
from smtpwire.wire.command import (
    NO_PARAMETERS,
    VERBS,
    Auth,
    Bdat,
    Command,
    CommandError,
    Data,
    Expn,
    ExtensionCommand,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
    parse_command,
)
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.proxy import ProxyHeader, ProxyReader, ProxyRefused
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

if TYPE_CHECKING:
    from smtpwire.engine.client import ClientConnection
    from smtpwire.engine.client_config import ClientConfig

__all__ = ["ServerConnection"]

Item: TypeAlias = ServerEvent | ServerNeed
Step: TypeAlias = "Callable[[ServerConnection], Item | None]"
"""Reads on; None where it left its events in the queue, or there is more to be read."""
Trace: TypeAlias = Callable[[Direction, bytes], None]
Replies: TypeAlias = tuple[Reply, ...]

# Bound once: a member looked up on its enum costs as much as a small call on CPython 3.11.
DATA: Final = Need.DATA
WRITE: Final = Need.WRITE
REPLY: Final = Need.REPLY
TLS: Final = Need.TLS
CLOSE: Final = Need.CLOSE
READY: Final = State.READY
HANDSHAKE: Final = State.TLS
CLOSED: Final = State.CLOSED
SENDER_OK: Final = ReplyKind.SENDER_OK
RECIPIENT_OK: Final = ReplyKind.RECIPIENT_OK
SEND_DATA: Final = ReplyKind.SEND_DATA
MESSAGE_OK: Final = ReplyKind.MESSAGE_OK

PROGRESS: Final = 4096
"""Octets of a body that count as a block (RFC 5321 §4.5.3.2.5 gives none)."""
BLOCK: Final = 65536
"""Octets of a body decoded at once: what stands behind its end is copied."""
EXCERPT: Final = 100
"""Octets of an over-long line that an event shows."""

# RFC 3207 §4, with LHLO for EHLO; and RFC 4954 §6 with STARTTLS, without which no AUTH may come.
EXEMPT_FROM_TLS: Final = frozenset({Noop, StartTls, Quit})
EXEMPT_FROM_AUTH: Final = frozenset({Auth, Hello, Noop, Rset, StartTls, Quit})
# RFC 5321 §3.2, RFC 2033 §4.1
GREETED_BY: Final[Mapping[bool, frozenset[str]]] = {
    False: frozenset({"EHLO", "HELO"}),
    True: frozenset({"LHLO"}),
}
FOREIGN: Final = frozenset(
    # HTTP's methods and header fields a browser sends, other protocols' first words
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH HOST: USER-AGENT: CONTENT-LENGTH:"
    b" CONTENT-TYPE: REFERER: ORIGIN: PRI INVITE REGISTER".split()
)
FOREIGN_STARTS: Final = (b"SSH-", b"\x16\x03")  # SSH, and TLS where none is spoken
# RFC 2920 §3.2: the replies to all others are not held back while input waits; RFC 3030 §2.
GROUPED: Final = frozenset({b"MAIL", b"RCPT", b"RSET", b"BDAT"})
ABORTED_BY: Final[Mapping[CloseReason, Aborted]] = {
    CloseReason.TIMEOUT: Aborted.TIMEOUT,
    CloseReason.SHUTDOWN: Aborted.SHUTDOWN,
}


@final
class ServerConnection:
    """One connection, seen from the server: feed it what arrives, answer what it asks.

    config: the service. tls: the TLS layer under it, where that was there from the first octet
    (port 465); the profile SUBMISSIONS needs it. peer: who connected. reply_suffix: added to the
    text of every refusal the engine makes by itself, as a session id or a help URL.

    Raises ValueError where the profile needs TLS and there is none, and for a suffix that no
    reply can have.
    """

    __slots__ = (
        "_auth_failures",
        "_backlog",
        "_binary",
        "_body",
        "_burl",
        "_commands",
        "_config",
        "_dropped",
        "_eof",
        "_errors",
        "_events",
        "_exchange",
        "_full",
        "_given",
        "_greeted",
        "_hello",
        "_identity",
        "_input",
        "_junk",
        "_line",
        "_lmtp",
        "_mail",
        "_messages",
        "_must_flush",
        "_octets_received",
        "_octets_sent",
        "_output",
        "_output_limit",
        "_output_size",
        "_owed",
        "_peer",
        "_pending",
        "_plan",
        "_prdr",
        "_progress",
        "_proxy",
        "_quota",
        "_ready",
        "_recipients",
        "_redact",
        "_refused",
        "_refused_recipients",
        "_replies",
        "_reversed",
        "_serial",
        "_shutdown",
        "_socket_peer",
        "_state",
        "_step",
        "_stray_left",
        "_stray_replies",
        "_stray_reply",
        "_suffix",
        "_tls",
        "_traced",
        "_trailing",
        "_unhindered",
        "_utf8",
        "trace",
    )

    def __init__(
        self,
        config: ServerConfig,
        *,
        tls: TlsInfo | None = None,
        peer: Peer | None = None,
        reply_suffix: str = "",
    ) -> None:
        if config.profile is Profile.SUBMISSIONS and tls is None:
            raise ValueError("this profile has TLS from the first octet: give tls= (RFC 8314 §3.3)")
        serialise(Reply(500, reply_suffix), enhanced=False)  # raises where it cannot be sent
        self.trace: Trace | None = None
        self._traced: list[tuple[Direction, bytes]] = []
        self._config = config
        self._ready = config.octets
        self._suffix = reply_suffix
        self._peer = self._socket_peer = Peer() if peer is None else peer
        self._tls = tls
        self._input = Input()
        self._eof = False
        self._trailing = b""
        self._output: list[bytes] = []
        self._output_size = 0
        self._output_limit = config.limits.output
        self._backlog = config.limits.backlog
        self._must_flush = False
        # where the session is
        self._state = State.GREETING
        self._step: Step = ServerConnection._greet
        self._events: list[ServerEvent] = []
        self._pending: ServerRequest | None = None
        self._shutdown: Reply | None = None
        self._refused: Reply | None = None
        self._greeted = False
        self._hello: Hello | None = None
        self._identity: Identity | None = None
        self._exchange: ServerExchange | None = None
        self._line = b""
        self._redact = False
        self._reversed = False
        # the transaction
        self._mail: Mail | None = None
        self._recipients: list[Rcpt] = []
        self._utf8 = False
        self._body: IncomingBody | None = None
        self._lmtp = config.profile is Profile.LMTP
        self._prdr = False
        self._binary = False
        self._quota: Quota | None = None
        self._owed = 0
        self._given: list[Reply] = []
        self._burl: Burl | None = None
        self._stray_left = 0
        self._stray_reply = config.texts[ReplyKind.BAD_SEQUENCE]
        self._stray_replies = 0
        self._dropped = 0
        # counts
        self._serial = 0
        self._progress = 0
        self._octets_received = 0
        self._octets_sent = 0
        self._commands = 0
        self._replies = 0
        self._errors = 0
        self._junk = 0
        self._messages = 0
        self._refused_recipients = 0
        self._auth_failures = 0
        self._unhindered = False
        self._plan = self._full = self._full_plan()
        self._proxy: ProxyReader | None = None
        if config.proxy and self._peer.proxy is None:
            self._proxy = ProxyReader()
            self._step = ServerConnection._read_proxy_header
            if self._peer.address not in config.proxy:
                self._close(CloseReason.VIOLATION, error="not a trusted proxy")

    # -- the kernel: what an adapter calls

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets from the peer; ``b""`` is the end of the stream, and may come twice.

        Never raises for what the peer sent. Raises LocalProtocolError where the backlog had
        already reached ``Limits.backlog``: see ``wants_data``; nothing has been taken then.
        """
        if not data:
            self._eof = True
            return
        if self._state is CLOSED:
            return
        if self._state is HANDSHAKE:
            self._octets_behind_starttls(data)
            return
        waiting = self._input.waiting
        if waiting >= self._backlog:
            raise LocalProtocolError("the backlog is full: read only while wants_data is True")
        self._octets_received += len(data)
        self._input.feed(data)
        if not self._greeted and not waiting:
            self._early_talk()

    def next_event(self) -> Item:
        """The next event, or who must act; at a Need, calling again gives the same Need."""
        item: Item | None = None
        while item is None:
            if self._events:
                item = self._events.pop(0)
            elif self._pending is not None:
                item = REPLY
            elif self._output_size >= self._output_limit:
                item = WRITE
            else:
                item = self._step(self)
        if self._traced:
            self._call_trace(item)
        return item

    def data_to_send(self) -> bytes:
        """Everything queued so far, to be written in order; it is handed out once."""
        if not self._output:
            return b""
        octets = self._output[0] if len(self._output) == 1 else b"".join(self._output)
        self._output.clear()
        self._output_size = 0
        self._must_flush = False
        self._greeted = True
        self._octets_sent += len(octets)
        return octets

    # -- what the application calls

    def reply(self, *replies: Reply, to: Request | None = None) -> None:
        """Answer the pending question; without an argument, as the engine does by default.

        The reply's class is the decision. ``to``: the question meant, so that a late answer
        cannot hit the next one. While a body comes and nothing is pending, a 4yz or 5yz is the
        early verdict on the message. A 421 is followed by shutdown. After the end of the data
        LMTP and PRDR take one reply a recipient, at once or one by one.

        Raises LocalProtocolError where nothing is pending, another question is, or the reply is
        not legal for it (the table stands in README); nothing has changed then.
        """
        pending = self._pending
        if pending is None:
            self._early_verdict(replies, to)
        elif to is not None and to is not pending:
            raise LocalProtocolError("that question is no longer pending")
        else:
            _ANSWERS.get(type(pending), ServerConnection._answer_extension)(self, pending, replies)

    def supply(self, secret: StoredSecret | None, *, to: Request | None = None) -> None:
        """Answer a SecretRequest with what is stored for the user; None: there is no such user.

        Raises LocalProtocolError where no SecretRequest is pending, another one is, or the
        mechanism cannot use this kind of secret; nothing has changed then.
        """
        pending = self._pending
        if not isinstance(pending, SecretRequest) or (to is not None and to is not pending):
            raise LocalProtocolError("no such SecretRequest is pending")
        exchange = self._running_exchange()
        try:
            step = exchange.mechanism.supply(secret)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error
        self._answered()
        self._exchange_step(step)

    def offer(self, *extensions: Offered) -> None:
        """Replace what this session offers, while Connected or Hello is pending (for proxies).

        STARTTLS and AUTH are offered only where named here. Holds until TLS starts.
        Raises LocalProtocolError at any other time, and for what this service cannot offer now.
        """
        if not isinstance(self._pending, Connected | Hello):
            raise LocalProtocolError("the offer can be replaced only in Connected and Hello")
        entries = {offered.extension.keyword: offered.extension for offered in extensions}
        if STARTTLS.keyword in entries and not (self._config.starttls and self._tls is None):
            raise LocalProtocolError("STARTTLS is not possible now")
        offer = Offer(extensions)
        mechanisms = offer.get(AUTH)
        try:
            self._config.check_offer(entries)
            self._config.check_mechanisms(mechanisms or ())
            plan = self._config.plan_for(offer)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error
        self._full = plan
        if isinstance(self._pending, Connected):
            self._plan = self._full  # a Hello may still be refused, and then changes nothing

    def shutdown(self, reply: Reply | None = None) -> None:
        """End the session with 421 as soon as no reply is owed (RFC 5321 §3.8).

        A pending question stays answerable, and the 421 follows its reply. A body that comes is
        aborted at once. Raises LocalProtocolError for a reply other than 421.
        """
        reply = self._text(ReplyKind.SHUTDOWN) if reply is None else reply
        if reply.code != 421:
            raise LocalProtocolError("a server shuts down with 421 (RFC 5321 §3.8)")
        reply = complete(reply)
        octets = self._serialised(reply)
        if self._state is CLOSED or self._shutdown is not None:
            return
        if self._pending is not None:
            self._shutdown = reply
            return
        if self._state is not State.TLS:
            self._write(octets)
        self._close(CloseReason.SHUTDOWN, reply)

    def abort(self, error: str = "") -> None:
        """End at once, sending nothing more: the transport is lost or the handler cancelled."""
        if self._state is CLOSED:
            return
        self._output.clear()
        self._output_size = 0
        self._close(CloseReason.ABORTED, error=error)

    def timed_out(self) -> None:
        """The time ``timeout`` named has passed: 421 4.4.2 and the end.

        Raises LocalProtocolError where no time was running.
        """
        if self.timeout is None:
            raise LocalProtocolError("no time-out is running")
        reply = self._text(ReplyKind.TIMEOUT)
        if self._state is not State.TLS:
            self._write(self._octets(ReplyKind.TIMEOUT))
        self._close(CloseReason.TIMEOUT, reply)

    def tls_started(self, tls: TlsInfo) -> None:
        """The handshake is done: everything said before is forgotten (RFC 3207 §4.2).

        Raises LocalProtocolError unless the Need is TLS and the 220 has been handed out.
        """
        if self._state is not State.TLS or self._output:
            raise LocalProtocolError("there is no TLS to be started")
        self._tls = tls
        self._trailing = b""
        self._input.clear()
        self._peer = self._socket_peer
        self._hello = None
        self._identity = None
        self._plan = self._full = self._full_plan()
        self._unhindered = False
        self._serial += 1
        self._state = self._state.commands["(handshake)"]
        self._step = ServerConnection._read_command

    def tls_failed(self, reason: str = "") -> None:
        """The handshake failed: the connection is over.

        Raises LocalProtocolError unless the Need is TLS.
        """
        if self._state is not State.TLS:
            raise LocalProtocolError("there is no TLS to fail")
        self._close(CloseReason.TLS_FAILED, error=reason)

    def reverse(self, config: "ClientConfig") -> "ClientConnection":
        """After an accepted ATRN: the engine of the opposite role, for the same connection.

        This one has ended, ``Closed(REVERSED)``; its output is to be sent first (RFC 2645 §5.3).
        Raises LocalProtocolError at any other time.
        """
        if not self._reversed:
            raise LocalProtocolError("roles are reversed after an accepted ATRN only")
        from smtpwire.engine.client import ClientConnection

        self._reversed = False
        client = ClientConnection(config, tls=self._tls, peer=self._peer)
        if self._trailing:
            client.receive_data(self._trailing)
        if self._eof:
            client.receive_data(b"")
        return client

    # -- what may be read at any time

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def pending(self) -> ServerRequest | None:
        """The question that waits for an answer."""
        return self._pending

    @property
    def replies_owed(self) -> int:
        """How many replies ``reply()`` still takes for the pending question."""
        if isinstance(self._pending, EndOfMessage):
            return self._owed
        return 0 if self._pending is None else 1

    @property
    def envelope(self) -> Envelope | None:
        """The transaction so far; None outside one."""
        return None if self._mail is None else Envelope(self._mail, tuple(self._recipients))

    @property
    def hello(self) -> Hello | None:
        """The EHLO, HELO or LHLO that was accepted last."""
        return self._hello

    @property
    def extensions(self) -> Offer:
        """What this session offers."""
        return self._plan.offer

    @property
    def tls(self) -> TlsInfo | None:
        """The TLS layer, if there is one."""
        return self._tls

    @property
    def identity(self) -> Identity | None:
        """Who authenticated; None until 235."""
        return self._identity

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._peer

    @property
    def wants_data(self) -> bool:
        """Whether the adapter may read; else it must pause."""
        if self._state is CLOSED or self._state is State.TLS:
            return False
        if isinstance(self._pending, StartTls):
            return False
        return self._input.waiting < self._backlog

    @property
    def reusable(self) -> bool:
        """Always False: a server does not choose what comes next."""
        return False

    @property
    def eof_received(self) -> bool:
        """The peer has closed its side."""
        return self._eof

    @property
    def trailing_data(self) -> bytes:
        """Octets for the TLS layer that came with what was read before it."""
        return self._trailing

    @property
    def timeout(self) -> Timeout | None:
        """How long to wait for the peer; None while the application or nobody is to act."""
        if self._pending is not None or self._state is CLOSED:
            return None
        timeouts = self._config.timeouts
        if self._state is State.TLS:
            seconds = timeouts.handshake
        elif self._state in (State.DATA, State.CHUNKS):
            seconds = timeouts.block
        else:
            seconds = timeouts.command
        return Timeout(seconds, self._serial)

    @property
    def stats(self) -> Stats:
        """What went through so far."""
        return Stats(
            self._octets_received,
            self._octets_sent,
            self._commands,
            self._replies,
            self._errors,
            self._messages,
            self._auth_failures,
        )

    def __repr__(self) -> str:
        return f"<ServerConnection {self._config.host} {self._state.value}>"

    # -- output

    def _text(self, kind: ReplyKind) -> Reply:
        return self._suffixed(self._config.texts[kind])

    def _suffixed(self, reply: Reply) -> Reply:
        if self._suffix and reply.code >= 400:
            return Reply(reply.code, f"{reply.text} {self._suffix}", reply.enhanced)
        return reply

    def _octets(self, kind: ReplyKind) -> bytes:
        if self._suffix or self._state is State.GREETING:
            return self._serialised(self._text(kind))
        return self._ready[kind]

    def _serialised(self, reply: Reply, *, utf8: bool = False) -> bytes:
        # RFC 2034 §4: no enhanced code in what stands in the greeting's place.
        enhanced = self._config.enhanced and self._state is not State.GREETING
        try:
            return serialise(reply, enhanced, utf8=utf8)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error

    def _write(self, octets: bytes) -> None:
        self._output.append(octets)
        self._output_size += len(octets)
        self._replies += 1
        if self.trace is not None:
            self._traced.append(("sent", octets))

    def _call_trace(self, item: Item) -> None:
        traced, self._traced = self._traced, []
        try:
            for direction, octets in traced:
                if self.trace is not None:
                    self.trace(direction, octets)
        except BaseException:
            # What a trace raises changes nothing: the event is still to come.
            if not isinstance(item, Need):
                self._events.insert(0, item)
            raise

    # -- the end

    def _close(self, reason: CloseReason, reply: Reply | None = None, error: str = "") -> None:
        if self._body is not None and self._body.open:
            aborted = ABORTED_BY.get(reason, Aborted.CLOSED)
            self._events.append(MessageAborted(aborted, reply))
        self._events.append(Closed(reason, reply, error))
        # What was not told yet cannot be answered any more.
        self._events = [event for event in self._events if not isinstance(event, Request)]
        self._state = CLOSED
        self._step = ServerConnection._ended
        self._pending = None
        self._body = None
        self._exchange = None
        self._input.clear()

    def _ended(self) -> Item | None:
        return CLOSE

    def _violation(
        self, kind: ViolationKind, offset: int, closing: ReplyKind | None = ReplyKind.CLOSING
    ) -> Policy:
        """Tell of a violation; where its policy is to close, say ``closing`` and do so."""
        policy = self._config.policy(kind)
        fatal = policy is Policy.CLOSE
        self._events.append(ProtocolViolation(kind, offset, fatal))
        if fatal:
            reply = None if closing is None else self._text(closing)
            if closing is not None:
                self._write(self._octets(closing))
            self._close(CloseReason.VIOLATION, reply)
        return policy

    # -- before the first command

    def _read_proxy_header(self) -> Item | None:
        """PROXY is required of those who may send it, and of nobody else (haproxy's §2)."""
        if not self._input.waiting:
            return self._more()
        reader = cast("ProxyReader", self._proxy)
        header = reader.receive_data(self._input.take(reader.wanted))
        if header is None:
            return None
        self._proxy = None
        if isinstance(header, ProxyRefused):
            self._close(CloseReason.VIOLATION, error=header.reason)
            return None
        self._socket_peer = self._peer = _behind_proxy(self._peer, header)
        self._plan = self._full = self._full_plan()
        self._step = ServerConnection._greet
        if self._input.waiting:
            self._early_talk()
        return None

    def _greet(self) -> Item | None:
        return self._ask(Connected(self._peer))

    def _early_talk(self) -> None:
        # RFC 5321 §4.3.1: a client waits for the greeting; Exim's PIPECONNECT does not.
        if self._proxy is None and self._socket_peer.address not in self._config.pipeconnect:
            self._violation(ViolationKind.EARLY_TALK, self._input.offset, ReplyKind.EARLY_TALK)

    def _octets_behind_starttls(self, data: bytes | bytearray | memoryview) -> None:
        if not self._output:  # the 220 has left: these are TLS's, never parsed
            room = self._config.limits.trailing - len(self._trailing)
            self._trailing += bytes(data[:room])
            return
        # The 220 has not left, so they came in plaintext: an attack (CVE-2011-0411), R89.
        self._output.clear()
        self._output_size = 0
        self._violation(ViolationKind.PLAINTEXT_BEHIND_STARTTLS, self._input.offset, None)

    def _full_plan(self) -> Plan:
        config = self._config
        address = self._socket_peer.address
        withheld = {
            keyword
            for keyword, trusted in (
                ("XCLIENT", config.xclient),
                ("XFORWARD", config.xforward),
                ("PIPECONNECT", config.pipeconnect),
                ("X_PIPE_CONNECT", config.pipeconnect),
            )
            if address not in trusted
        }
        tls = self._tls
        return config.plan(
            Situation(
                tls=tls is not None,
                bindings=tls is not None and bool(tls.bindings),
                certificate=tls is not None and tls.peer is not None,
                withheld=frozenset(withheld),
            )
        )

    # -- reading commands

    def _read_command(self) -> Item | None:
        if not self._input.waiting:
            return self._more() if self._eof else DATA
        if self._must_flush and self._output:
            return WRITE  # RFC 2920 §3.2: this reply must not wait for more input
        raw = self._input.take_to_lf()
        if raw is None or len(raw) >= self._plan.read_limit:
            return self._no_line(raw)
        if not raw or raw.find(b"\r") != len(raw) - 1:
            return self._broken_line(raw)
        self._serial += 1
        self._commands += 1
        self._line = line = raw[:-1]
        if self.trace is not None:
            self._traced.append(("received", self._shown(line) + b"\r\n"))
        try:
            command = parse_command(line, self._plan.grammar, utf8=self._utf8)
        except CommandError as error:
            return self._refuse_line(error)
        if self._refused is not None and not isinstance(command, Quit | Bdat):
            self._refuse(self._service_refused())
            return None
        return _HANDLERS.get(type(command), ServerConnection._on_extension)(self, command)

    def _no_line(self, raw: bytes | None) -> Item | None:
        """No line yet, or one longer than any may be."""
        if raw is not None:
            self._input.give_back(len(raw) + 1)
        self._line = self._input.peek(EXCERPT)
        if foreign := self._foreign_word(self._line):
            return self._foreign(foreign, self._input.offset)
        if self._input.waiting < self._plan.read_limit:
            return self._more()
        reply = self._too_long(self._line)
        return self._refuse_broken(ViolationKind.LINE_TOO_LONG, self._input.offset, reply)

    def _broken_line(self, raw: bytes) -> Item | None:
        """CR or LF that is no line end: the line is answered once, and dropped up to CRLF."""
        self._line = raw
        start = self._input.offset - len(raw) - 1
        bare_cr = raw.find(b"\r")
        if raw.endswith(b"\r"):  # the line is whole
            self._input.give_back(2)
        if foreign := self._foreign_word(raw):
            return self._foreign(foreign, start)
        if 0 <= bare_cr < len(raw) - 1:
            kind, offset = ViolationKind.BARE_CR, start + bare_cr
        else:
            kind, offset = ViolationKind.BARE_LF, start + len(raw)
        reply = Reply(500, "A line ends with CRLF and holds no other CR or LF", "5.5.2")
        return self._refuse_broken(kind, offset, reply)

    def _refuse_broken(self, kind: ViolationKind, offset: int, reply: Reply) -> Item | None:
        if self.trace is not None:
            self._traced.append(("received", self._shown(self._line) + b"\r\n"))
        if self._violation(kind, offset) is not Policy.CLOSE:
            self._dropped = 0
            self._step = ServerConnection._drop_line
            self._refuse(reply)
            self._close_if_unframed(offset)
        return None

    def _close_if_unframed(self, offset: int) -> None:
        """What follows an unreadable BDAT cannot be told from commands (RFC 3030 §2)."""
        if self._line.lstrip(b" \t")[:4].upper() == b"BDAT" and self._state is not CLOSED:
            self._violation(ViolationKind.CHUNK_SIZE, offset)

    def _too_long(self, line: bytes) -> Reply:
        if line[:4].upper() == b"AUTH":
            return self._config.texts[ReplyKind.AUTH_TOO_LONG]
        return Reply(500, "Line too long", "5.5.2")

    def _drop_line(self) -> Item | None:
        """Drop what is left of a broken line, up to its CRLF."""
        octets = self._input.take()
        end = octets.find(b"\r\n")
        if end >= 0:
            self._input.give_back(len(octets) - end - 2)
            self._step = ServerConnection._read_command
            return None
        dropped = len(octets)
        if octets.endswith(b"\r"):
            self._input.give_back(1)
            dropped -= 1
        return self._more() if self._drop(dropped) else None

    def _drop(self, octets: int) -> bool:
        """Count what is dropped; past the limit close, and say False."""
        self._dropped += octets
        if self._dropped <= self._config.limits.swallow:
            return True
        self._violation(ViolationKind.TOO_MUCH, self._input.offset, ReplyKind.TOO_MUCH)
        return False

    def _more(self) -> Item | None:
        """More octets are needed: they are to be read, or there are none to come."""
        if not self._eof:
            return DATA
        self._close(CloseReason.EOF)
        return None

    def _shown(self, line: bytes) -> bytes:
        """A line as an event or a trace may show it."""
        if looks_like_auth(line):
            return redacted(line)
        # An unknown line behind a refused AUTH may be its response.
        hidden = self._redact and line.partition(b" ")[0].upper() not in VERBS
        return REDACTED if hidden else line

    def _refuse_line(self, error: CommandError) -> Item | None:
        offset = self._input.offset - len(self._line) - 2
        if foreign := self._foreign_word(self._line + b" "):
            self._input.give_back(2)
            del self._traced[-1:]  # it is shown as it would be had only its word come
            return self._foreign(foreign, offset)
        reply = Reply(error.code, error.reason, error.enhanced)
        if error.code == 500 and error.enhanced == "5.5.2":
            reply = self._too_long(self._line)
            if self._violation(ViolationKind.LINE_TOO_LONG, offset) is Policy.CLOSE:
                return None
        self._refuse(reply if self._refused is None else self._service_refused())
        self._close_if_unframed(offset)
        return None

    def _refuse(self, reply: Reply, *, counts: bool = True) -> None:
        """Answer a command that cannot be taken; tell of it; count it."""
        line = self._line
        self._redact = self._redact or looks_like_auth(line)
        self._errors += counts
        if self._errors > self._config.limits.errors:
            self._too_many()
            return
        if line[:4].upper() not in GROUPED:
            self._must_flush = True
        reply = self._suffixed(reply)
        self._write(self._serialised(reply))
        self._events.append(InvalidCommand(self._shown(line), reply))

    def _refuse_kind(self, kind: ReplyKind) -> None:
        self._refuse(self._config.texts[kind])

    def _too_many(self) -> None:
        """Over a budget: 421 instead of the reply."""
        reply = self._text(ReplyKind.TOO_MANY_ERRORS)
        self._write(self._octets(ReplyKind.TOO_MANY_ERRORS))
        self._events.append(InvalidCommand(self._shown(self._line), reply))
        self._close(CloseReason.ERRORS, reply)

    def _foreign_word(self, line: bytes) -> bytes:
        """What a line before EHLO begins with, where that is another protocol's; else nothing.

        Of a line that is still to come, enough has come to tell, or it says nothing yet.
        """
        if self._state is not State.HELLO:
            return b""
        word, blank, _ = line.partition(b" ")
        verb = word.upper()
        if blank and verb in FOREIGN and verb not in self._plan.grammar.verbs:
            return word
        return next((start for start in FOREIGN_STARTS if line.startswith(start)), b"")

    def _foreign(self, word: bytes, offset: int) -> Item | None:
        self._line = word
        reply = Reply(500, "This is SMTP", "5.5.1")
        return self._refuse_broken(ViolationKind.FOREIGN_PROTOCOL, offset, reply)

    def _service_refused(self) -> Reply:
        # RFC 7504 §3: after 521 everything is 521; RFC 5321 §3.1: after 554, 503.
        if self._refused is not None and self._refused.code == 521:
            return self._refused
        return self._config.texts[ReplyKind.BAD_SEQUENCE]

    # -- commands: a handler returns the question the command is, or has queued what it told

    def _ask(self, question: ServerRequest) -> Item | None:
        self._pending = question
        if not self._events:
            return question
        self._events.append(question)
        return None

    def _tell(self, event: ServerEvent) -> None:
        self._events.append(event)

    def _forbidden(self, command: Command, name: str, *, last: bool = True) -> bool:
        """Refuse a command that cannot be taken now, and say so."""
        config = self._config
        kind = None
        if config.require_tls or config.require_auth:
            kind = self._required_first(command)
        if kind is None and name not in self._state.commands:
            kind = ReplyKind.BAD_SEQUENCE
        if kind is None and self._input.waiting and (last or PIPELINING not in self._plan.offer):
            kind = self._pipelined()
        if kind is not None and self._state is not CLOSED:
            self._refuse_kind(kind)
        return kind is not None

    def _required_first(self, command: Command) -> ReplyKind | None:
        """TLS or AUTH, where the service requires it before this command."""
        config = self._config
        kind = type(command)
        if config.require_tls and self._tls is None:
            hello = isinstance(command, Hello) and command.verb != "HELO"
            if not hello and kind not in EXEMPT_FROM_TLS:
                return ReplyKind.TLS_REQUIRED
        if config.require_auth and self._identity is None and kind not in EXEMPT_FROM_AUTH:
            return ReplyKind.AUTH_REQUIRED
        return None

    def _weigh_requirements(self) -> None:
        """Note whether MAIL and RCPT need no more than their place in the table."""
        config = self._config
        self._unhindered = (
            PIPELINING in self._plan.offer
            and not (config.require_tls and self._tls is None)
            and not (config.require_auth and self._identity is None)
        )

    def _pipelined(self) -> ReplyKind | None:
        """Something stands behind a command that must be last in its group (RFC 2920 §3.1)."""
        if self._socket_peer.address in self._config.pipeconnect:
            return None
        policy = self._violation(ViolationKind.PIPELINING, self._input.offset)
        return None if policy is Policy.NOTE else ReplyKind.BAD_SEQUENCE

    def _is_junk(self) -> bool:
        """Count a command that moves no mail; over the budget, close."""
        self._junk += 1
        if self._junk <= self._config.limits.junk:
            return False
        self._too_many()
        return True

    def _on_hello(self, command: Hello) -> Item | None:
        if command.verb not in GREETED_BY[self._lmtp]:
            self._refuse(Reply(500, "Command not recognized", "5.5.1"))
            return None
        if self._forbidden(command, command.verb) or self._is_junk():
            return None
        return self._ask(command)

    def _on_mail(self, command: Mail) -> Item | None:
        allowed = self._unhindered and "MAIL" in self._state.commands
        if not allowed and self._forbidden(command, "MAIL", last=False):
            return None
        if self._quota is not None and not self._quota.allows(command):
            self._refuse(self._config.texts[ReplyKind.TOO_MANY_MESSAGES], counts=False)
            return None
        if command.parameters is not NO_PARAMETERS and self._has_bad_parameters(command):
            return None
        return self._ask(command)

    def _on_rcpt(self, command: Rcpt) -> Item | None:
        allowed = self._unhindered and "RCPT" in self._state.commands
        if not allowed and self._forbidden(command, "RCPT", last=False):
            return None
        over = self._quota is not None and not self._quota.allows(command)
        if over or len(self._recipients) >= self._config.limits.recipients:
            reply = self._config.texts[ReplyKind.TOO_MANY_RECIPIENTS]
            self._refuse(reply, counts=False)  # the accepted ones stay (RFC 5321 §4.5.3.1.10)
            return None
        if command.parameters is not NO_PARAMETERS and self._has_bad_parameters(command):
            return None
        return self._ask(command)

    def _has_bad_parameters(self, command: Mail | Rcpt) -> bool:
        parameters = command.parameters
        offer = self._plan.offer
        limit = offer.get(SIZE)
        if limit and parameters.get(p.SIZE, 0) > limit:  # RFC 1870 §6.1
            self._refuse_kind(ReplyKind.TOO_LARGE)
            return True
        error = offer.check(parameters)
        if error is not None:
            self._refuse(Reply(error.code, error.reason, error.enhanced))
        return error is not None

    def _on_data(self, command: Data) -> Item | None:
        if self._state is State.MAIL:  # RFC 5321 §3.3, RFC 2033 §4.2
            self._refuse_kind(ReplyKind.NO_RECIPIENTS)
            return None
        allowed = self._unhindered and "DATA" in self._state.commands and not self._input.waiting
        if not allowed and self._forbidden(command, "DATA"):
            return None
        if self._binary:
            self._refuse_kind(ReplyKind.BAD_SEQUENCE)  # RFC 3030 §3
            return None
        return self._ask(command)

    def _on_rset(self, command: Rset) -> Item | None:
        idle = self._mail is None
        if self._forbidden(command, "RSET", last=False) or (idle and self._is_junk()):
            return None
        self._write(self._octets(ReplyKind.RESET))
        self._state = self._state.commands["RSET"]
        self._forget_transaction(Aborted.RESET)
        self._tell(command)
        return None

    def _on_noop(self, command: Noop) -> Item | None:
        return self._answer_at_once(command, "NOOP", ReplyKind.NOOP)

    def _on_help(self, command: Help) -> Item | None:
        return self._answer_at_once(command, "HELP", ReplyKind.HELP)

    def _answer_at_once(self, command: Noop | Help, verb: str, kind: ReplyKind) -> Item | None:
        if self._forbidden(command, verb) or self._is_junk():
            return None
        self._write(self._octets(kind))
        self._must_flush = True
        self._tell(command)
        return None

    def _on_vrfy(self, command: Vrfy) -> Item | None:
        if self._forbidden(command, "VRFY") or self._is_junk():
            return None
        return self._ask(command)

    def _on_expn(self, command: Expn) -> Item | None:
        if EXPN not in self._plan.offer:
            self._refuse_kind(ReplyKind.NOT_IMPLEMENTED)
            return None
        if self._forbidden(command, "EXPN") or self._is_junk():
            return None
        return self._ask(command)

    def _on_quit(self, command: Quit) -> Item | None:
        if self._input.waiting:
            self._pipelined()
        if self._state is CLOSED:
            return None
        self._write(self._octets(ReplyKind.GOODBYE))
        self._tell(command)
        reason = CloseReason.QUIT if self._refused is None else CloseReason.REFUSED
        self._close(reason, self._text(ReplyKind.GOODBYE))
        return None

    def _on_starttls(self, command: StartTls) -> Item | None:
        if self._tls is not None or self._identity is not None:  # RFC 3207 §4.2; R91
            self._refuse_kind(ReplyKind.TLS_ACTIVE)
        elif STARTTLS not in self._full.offer:
            self._refuse_kind(ReplyKind.TLS_NOT_AVAILABLE)
        elif "STARTTLS" not in self._state.commands:
            self._refuse_kind(ReplyKind.BAD_SEQUENCE)
        else:
            return self._ask(command)
        return None

    def _on_extension(self, command: Command) -> Item | None:
        """A verb that an offered extension brings; without a line in the table, by its entry."""
        verb = self._line.rstrip(b" \t").partition(b" ")[0]
        entry = self._plan.grammar.verbs[verb.upper()]
        states = IN_TRANSACTION if entry.in_transaction else OUTSIDE_TRANSACTION
        config = self._config
        kind = None
        if config.require_tls or config.require_auth:
            kind = self._required_first(command)
        if kind is None and self._state not in states:
            kind = ReplyKind.BAD_SEQUENCE
        if kind is None and entry.last_in_group and self._input.waiting:
            kind = self._pipelined()
        if self._state is CLOSED:
            return None
        if kind is not None:
            self._refuse_kind(kind)
            return None
        question: ServerRequest = command  # type: ignore[assignment]  # every verb's command is one
        return self._ask(question)

    def _on_xclient(self, command: XClient) -> Item | None:
        if command.login is not None and not self._config.xclient_login:
            self._refuse(Reply(550, "LOGIN is not taken", "5.7.0"))
            return None
        return self._on_extension(command)

    def _on_atrn(self, command: Atrn) -> Item | None:
        if self._identity is None:  # RFC 2645 §5.2.1
            self._refuse_kind(ReplyKind.AUTH_REQUIRED)
            return None
        return self._on_extension(command)

    # -- chunks (RFC 3030)

    def _on_bdat(self, command: Bdat) -> Item | None:
        """Frame the chunk whatever becomes of it: a body is never read as commands."""
        refusal = self._chunk_refusal(command)
        body = self._body
        if refusal is not None:
            self._stray_left, self._stray_reply = command.size, refusal
            self._stray_replies = self._replies_to_refused(command)
            self._dropped = 0
            self._step = ServerConnection._read_stray_chunk
            return None
        if body is not None:
            body.chunk_left, body.last = command.size, command.last
            self._step = ServerConnection._read_chunk
            return None
        self._begin_chunks(command.size, last=command.last)
        return self._ask(Data(chunking=True))

    def _chunk_refusal(self, command: Bdat) -> Reply | None:
        config, body = self._config, self._body
        kind = None
        if self._refused is not None:
            return self._service_refused()
        if CHUNKING not in self._plan.offer:
            kind = ReplyKind.NOT_IMPLEMENTED
        elif body is not None and body.refused:
            kind = ReplyKind.BODY_FAILED
        elif config.require_tls or config.require_auth:
            kind = self._required_first(command)
        if kind is None and self._state is State.MAIL:
            kind = ReplyKind.NO_RECIPIENTS
        if kind is None and "BDAT" not in self._state.commands:
            kind = ReplyKind.BAD_SEQUENCE
        return None if kind is None else config.texts[kind]

    def _replies_to_refused(self, command: Bdat) -> int:
        # RFC 2033 §4.3: LAST has a reply a recipient, and none where there is no recipient.
        per_recipient = self._lmtp and command.last and CHUNKING in self._plan.offer
        return len(self._recipients) if per_recipient else 1

    def _begin_chunks(self, size: int, *, last: bool) -> None:
        body = self._body = IncomingBody.of_chunks(check=self._config.check_chunks)
        body.chunk_left, body.last = size, last

    def _read_stray_chunk(self) -> Item | None:
        if self._stray_left:
            octets = self._input.take(self._stray_left)
            if not octets:
                return self._more()
            self._stray_left -= len(octets)
            self._drop(len(octets))
            return None
        self._step = ServerConnection._read_command
        for _ in range(self._stray_replies):
            self._refuse(self._stray_reply)
        return None

    def _read_chunk(self) -> Item | None:
        body = self._running_body()
        if not body.chunk_left:
            return self._end_of_chunk(body)
        octets = self._input.take(body.chunk_left)
        if not octets:
            return self._more()
        body.chunk_left -= len(octets)
        return self._content(body, octets)

    def _end_of_chunk(self, body: IncomingBody) -> Item | None:
        self._serial += 1
        if body.last:
            return self._end_of_body()
        self._step = ServerConnection._read_command
        if body.refusal is None:
            self._write(self._octets(ReplyKind.CHUNK_OK))
        else:
            body.refused = True
            self._write(self._serialised(body.refusal))
        return None

    def _on_burl(self, command: Burl) -> Item | None:
        """A chunk the application fetches itself (RFC 4468 §3.2)."""
        body = self._body
        if self._forbidden(command, "BURL", last=False):
            return None
        if body is None:
            self._begin_chunks(0, last=command.last)
            self._burl = command
            return self._ask(Data(chunking=True))
        if body.refused:
            self._refuse_kind(ReplyKind.BODY_FAILED)
            return None
        body.chunk_left, body.last = 0, command.last
        if body.refusal is not None:
            return self._end_of_chunk(body)
        return self._ask(command)

    # -- the body

    def _running_body(self) -> IncomingBody:
        return cast("IncomingBody", self._body)

    def _read_data(self) -> Item | None:
        if not self._input.waiting:
            return self._more() if self._eof else DATA
        if self._must_flush and self._output:
            return WRITE  # RFC 2920 §3.2: the 354 must not wait for the body
        octets = self._input.take(BLOCK)
        body = self._running_body()
        decoder = cast("DotDecoder", body.decoder)
        content = decoder.decode(octets)
        if decoder.finished:
            self._input.give_back(len(decoder.rest))
            self._step = ServerConnection._end_of_body
        elif body.refusal is not None:
            return self._content(body, octets)  # of which the decoder gives no more
        item = self._content(body, content) if content else None
        if decoder.violation is not None and body.refusal is None:
            if item is not None:
                self._tell(item)
            return self._bare_line_end(body, decoder)
        return item

    def _content(self, body: IncomingBody, octets: bytes) -> BodyChunk | None:
        """Hand on a piece of content, unless it no longer matters."""
        size = len(octets)
        self._progress += size
        if self._progress >= PROGRESS:
            self._progress = 0
            self._serial += 1
        if body.refusal is not None:
            self._drop(size)
            return None
        limit = self._plan.message
        if limit and body.size + size > limit:
            self._over_limit(body, octets[: limit - body.size])
            return None
        body.add(octets)
        return BodyChunk(octets)

    def _over_limit(self, body: IncomingBody, octets: bytes) -> None:
        """Hand on what still fits, so that it does not matter how the content was cut."""
        if octets:
            self._tell(BodyChunk(octets))
        self._fail_body(body, self._text(ReplyKind.TOO_LARGE), Aborted.LIMIT)

    def _bare_line_end(self, body: IncomingBody, decoder: DotDecoder) -> Item | None:
        kind = ViolationKind.BARE_CR if decoder.bare == b"\r" else ViolationKind.BARE_LF
        offset = body.start + (decoder.violation or 0)
        if self._violation(kind, offset) is not Policy.CLOSE:
            self._fail_body(body, self._text(ReplyKind.BARE_LINE_END), Aborted.CONTENT)
        return None

    def _fail_body(self, body: IncomingBody, reply: Reply, reason: Aborted) -> None:
        """The message will not be taken; its octets are read past and answered at their end."""
        body.refusal = reply
        body.open = False
        self._dropped = 0
        if body.decoder is not None:
            body.decoder.discard()
        self._tell(MessageAborted(reason, reply))

    def _early_verdict(self, replies: Replies, to: Request | None) -> None:
        body = self._body
        if body is None or not body.open or to is not None or len(replies) != 1:
            raise LocalProtocolError("no question is pending")
        reply = complete(replies[0])
        if reply.code < 400:
            raise LocalProtocolError("an early verdict is 4yz or 5yz")
        self._serialised(reply)
        self._fail_body(body, reply, Aborted.REFUSED)
        if reply.code == 421:
            self.shutdown(reply)

    def _end_of_body(self) -> Item | None:
        body = self._running_body()
        self._step = ServerConnection._read_command
        if body.refusal is not None:
            octets = self._serialised(body.refusal)
            for _ in range(len(self._recipients) if self._lmtp else 1):
                self._write(octets)
            self._end_transaction()
            return None
        body.open = False
        self._serial += 1
        envelope = Envelope(cast("Mail", self._mail), tuple(self._recipients))
        self._owed = self._replies_after_body()
        return self._ask(EndOfMessage(envelope, body.size, body.canonical))

    def _replies_after_body(self) -> int:
        recipients = len(self._recipients)
        if self._lmtp:
            return recipients  # RFC 2033 §4.2
        return recipients + 1 if self._prdr else 1

    def _end_transaction(self) -> None:
        """The message is answered: the transaction is over, whatever the answer (§4.1.1.4)."""
        self._state = READY
        self._mail = None
        self._recipients = []
        self._utf8 = False
        self._body = None

    def _forget_transaction(self, reason: Aborted) -> None:
        if self._body is not None and self._body.open:
            self._tell(MessageAborted(reason))
        self._mail = None
        self._recipients = []
        self._utf8 = False
        self._body = None

    # -- answers: each checks the replies before anything changes

    def _one(self, replies: Replies, positive: int | None, *, utf8: bool = False) -> Reply:
        """The one reply given: ``positive`` (None: any 2yz), 4yz or 5yz."""
        name = type(self._pending).__name__
        if len(replies) != 1:
            raise LocalProtocolError(f"{name} takes one reply")
        reply = replies[0]
        accepted = reply.is_positive if positive is None else reply.code == positive
        if not accepted and not reply.is_transient and not reply.is_permanent:
            raise LocalProtocolError(f"{reply.code} is no legal reply to {name}")
        self._serialised(reply, utf8=utf8)
        return reply

    def _answered(self) -> None:
        self._pending = None
        self._serial += 1

    def _say(self, reply: Reply, *, utf8: bool = False) -> None:
        """Queue the application's reply; the question is answered."""
        self._write(self._serialised(complete(reply), utf8=utf8))
        self._settle(reply)

    def _say_kind(self, kind: ReplyKind) -> None:
        """Queue a default reply; the question is answered."""
        octets = self._octets(kind) if self._suffix else self._ready[kind]
        self._output.append(octets)
        self._output_size += len(octets)
        self._replies += 1
        if self.trace is not None:
            self._traced.append(("sent", octets))
        self._pending = None
        self._serial += 1
        if self._shutdown is not None:
            self._settle(None)

    def _settle(self, reply: Reply | None) -> None:
        """After an answer: the 421 that waited, or that was the answer."""
        self._answered()
        if reply is not None and reply.code == 421:
            self._close(CloseReason.SHUTDOWN, reply)
        elif self._shutdown is not None and self._state is not State.TLS:
            self._write(self._serialised(self._shutdown))
            self._close(CloseReason.SHUTDOWN, self._shutdown)
        elif self._shutdown is not None:
            self._close(CloseReason.SHUTDOWN, self._shutdown)

    def _answer_connected(self, _: Connected, replies: Replies) -> None:
        reply = self._one(replies, 220) if replies else None
        self._must_flush = True
        self._enter("(greeting)")
        if reply is None:
            self._say_kind(ReplyKind.GREETING)
            return
        if not reply.is_positive:
            self._refused = reply
        self._write(serialise(reply, enhanced=False))  # RFC 2034 §4: none in the greeting
        self._settle(reply)

    def _enter(self, command: str) -> None:
        self._state = self._state.commands[command]
        self._step = ServerConnection._read_command

    def _answer_hello(self, hello: Hello, replies: Replies) -> None:
        reply = self._one(replies, 250) if replies else None
        self._must_flush = True
        if reply is not None and not reply.is_positive:
            self._write(serialise(reply, enhanced=False))  # RFC 2034 §4: none on EHLO
            self._settle(reply)
            return
        extended = hello.verb != "HELO"
        self._write(self._hello_octets(reply, extended=extended))
        self._hello = hello
        self._plan = self._full if extended else self._config.bare_plan
        limits = self._plan.offer.get(LIMITS)
        self._quota = None if limits is None else Quota(limits)
        self._weigh_requirements()
        self._state = self._state.commands[hello.verb]
        self._forget_transaction(Aborted.RESET)
        self._settle(None)

    def _hello_octets(self, reply: Reply | None, *, extended: bool) -> bytes:
        if reply is None:
            return self._full.hello if extended else self._octets(ReplyKind.HELLO)
        first = reply.lines[0] or self._config.host
        lines = self._full.offer.lines if extended else ()  # RFC 5321 §3.2: HELO gets one line
        return hello_octets(first, lines)

    def _answer_mail(self, mail: Mail, replies: Replies) -> None:
        parameters = mail.parameters
        utf8 = parameters is not NO_PARAMETERS and p.SMTPUTF8 in parameters
        reply = self._one(replies, None, utf8=utf8) if replies else None
        if reply is None or reply.is_positive:
            self._state = self._state.commands["MAIL"]
            self._mail = mail
            self._utf8 = utf8
            self._prdr = self._binary = False
            if parameters is not NO_PARAMETERS:
                self._prdr = p.PRDR in parameters
                self._binary = parameters.get(p.BODY) is Body.BINARYMIME
        if reply is None:
            self._say_kind(SENDER_OK)
        else:
            self._say(reply, utf8=utf8)

    def _answer_rcpt(self, rcpt: Rcpt, replies: Replies) -> None:
        reply = self._one(replies, None, utf8=self._utf8) if replies else None
        if reply is None or reply.is_positive:
            self._state = self._state.commands["RCPT"]
            self._recipients.append(rcpt)
        if reply is None:
            self._say_kind(RECIPIENT_OK)
            return
        self._say(reply, utf8=self._utf8)
        if not reply.is_positive:
            self._count_refused_recipient()

    def _count_refused_recipient(self) -> None:
        self._refused_recipients += 1
        limit = self._config.limits.refused_recipients
        if self._refused_recipients > limit and self._state is not CLOSED:
            self._write(self._octets(ReplyKind.TOO_MANY_ERRORS))
            self._close(CloseReason.ERRORS, self._text(ReplyKind.TOO_MANY_ERRORS))

    def _answer_data(self, data: Data, replies: Replies) -> None:
        reply = self._data_reply(replies, data)
        if data.chunking:
            self._answer_chunks(reply)
        elif reply is not None and not reply.is_intermediate:
            self._must_flush = True
            self._say(reply)
        else:
            self._enter("DATA")
            self._step = ServerConnection._read_data
            body = self._body = IncomingBody.of_data(self._config.line_endings, self._input.offset)
            body.open = True
            self._must_flush = True
            if reply is None:
                self._say_kind(SEND_DATA)
            else:
                self._say(reply)

    def _data_reply(self, replies: Replies, data: Data) -> Reply | None:
        if not replies:
            return None
        go_on = len(replies) == 1 and replies[0].is_positive and data.chunking
        return replies[0] if go_on else self._one(replies, 354)

    def _answer_chunks(self, reply: Reply | None) -> None:
        """Nothing is sent yet: a refusal is the answer to the chunk, once it has been read."""
        body = self._running_body()
        burl, self._burl = self._burl, None
        self._enter("BDAT")
        self._step = ServerConnection._read_chunk
        body.open = reply is None or reply.code < 400
        if reply is not None and not body.open:
            body.refusal = complete(reply)
            self._dropped = 0
        if reply is not None and reply.code == 421:
            self._say(reply)
        elif self._shutdown is not None:
            self._settle(None)
        else:
            self._answered()
            if burl is not None and body.open:
                self._ask_later(burl)

    def _answer_burl(self, _: Burl, replies: Replies) -> None:
        body = self._running_body()
        reply = self._one(replies, None) if replies else self._text(ReplyKind.REFUSED)
        if reply.is_positive and body.last:
            self._answered()
            self._step = ServerConnection._end_of_body
            return
        if not reply.is_positive:
            body.refused = True
            self._fail_body(body, complete(reply), Aborted.REFUSED)
            if body.last:
                self._end_transaction()
        self._step = ServerConnection._read_command
        self._say(reply)

    def _answer_end(self, _: EndOfMessage, replies: Replies) -> None:
        if self._lmtp or self._prdr:
            self._answer_recipients(replies)
            return
        reply = self._one(replies, None, utf8=self._utf8) if replies else None
        utf8 = self._utf8
        self._end_transaction()
        if reply is None or reply.is_positive:
            self._count_message()
        if reply is None:
            self._say_kind(MESSAGE_OK)
        else:
            self._say(reply, utf8=utf8)

    def _count_message(self) -> None:
        self._messages += 1
        self._junk = 0

    def _answer_recipients(self, replies: Replies) -> None:
        """LMTP and PRDR: a reply a recipient, in order (RFC 2033 §4.2)."""
        if len(replies) > self._owed:
            raise LocalProtocolError(f"{self._owed} replies are owed, not {len(replies)}")
        given = [complete(self._one((reply,), None, utf8=self._utf8)) for reply in replies]
        closing = next((reply for reply in given if reply.code == 421), None)
        if closing is not None:
            given = given[: given.index(closing) + 1]
        if not given:
            missing = len(self._recipients) - len(self._given)
            given = [self._text(MESSAGE_OK)] * missing
            if self._prdr:
                given.append(self._overall([*self._given, *given]))
        if self._prdr and not self._given:
            self._write(self._octets(ReplyKind.RECIPIENTS_FIRST))
        for reply in given:
            self._write(self._serialised(reply, utf8=self._utf8))
        self._given += given
        self._owed -= len(given)
        if self._owed and closing is None:
            return
        accepted = any(reply.is_positive for reply in self._given)
        self._given = []
        self._owed = 0
        self._end_transaction()
        if accepted:
            self._count_message()
        self._settle(closing)

    def _overall(self, given: Iterable[Reply]) -> Reply:
        """PRDR's final reply: good where any recipient's was, else the least lasting refusal."""
        given = list(given)
        if any(reply.is_positive for reply in given):
            return self._text(MESSAGE_OK)
        if any(reply.is_transient for reply in given):
            return Reply(450, "No recipient accepted the message", "4.0.0")
        return Reply(550, "No recipient accepted the message", "5.0.0")

    def _answer_starttls(self, _: StartTls, replies: Replies) -> None:
        reply = self._one(replies, 220) if replies else None
        if reply is not None and not reply.is_positive:
            if reply.is_transient and reply.code not in (421, 454):
                raise LocalProtocolError("STARTTLS is refused with 454 or 5yz (RFC 3207 §4)")
            self._must_flush = True
            self._say(reply)
            return
        if self._input.waiting:  # came in plaintext, would be taken as encrypted: R89
            kind = ViolationKind.PLAINTEXT_BEHIND_STARTTLS
            offset = self._input.offset
            self._answered()
            self._violation(kind, offset, ReplyKind.PLAINTEXT_BEHIND_STARTTLS)
            return
        self._forget_transaction(Aborted.RESET)
        self._enter("STARTTLS")
        self._step = ServerConnection._await_tls
        if reply is None:
            self._say_kind(ReplyKind.TLS_READY)
        else:
            self._say(reply)

    def _await_tls(self) -> Item | None:
        return TLS

    def _answer_vrfy(self, query: Vrfy, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.CANNOT_VERIFY, utf8=query.smtputf8)

    def _answer_expn(self, query: Expn, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.NOT_IMPLEMENTED, utf8=query.smtputf8)

    def _answer_query(self, replies: Replies, kind: ReplyKind, *, utf8: bool = False) -> None:
        reply = self._one(replies, None, utf8=utf8) if replies else None
        self._must_flush = True
        if reply is None:
            self._say_kind(kind)
        else:
            self._say(reply, utf8=utf8)

    def _answer_etrn(self, _: Etrn, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.QUEUE_REFUSED)

    def _answer_extension(self, _: ServerRequest, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.REFUSED)

    def _answer_atrn(self, _: Atrn, replies: Replies) -> None:
        accepted = bool(replies) and self._one(replies, None).is_positive
        self._answer_query(replies, ReplyKind.REFUSED)
        if accepted and self._state is not CLOSED:
            self._reversed = True
            self._trailing = self._input.take(self._config.limits.trailing)
            self._close(CloseReason.REVERSED)

    def _answer_xclient(self, client: XClient, replies: Replies) -> None:
        if not replies or not self._one(replies, 220).is_positive:
            self._answer_query(replies, ReplyKind.REFUSED)
            return
        self._answered()  # nothing is sent: the greeting that follows is the reply
        self._peer = _overridden(self._peer, client)
        self._hello = None
        self._identity = None
        if isinstance(client.login, str):
            self._identity = Identity(client.login, client.login, "XCLIENT")
        self._plan = self._full
        self._unhindered = False
        self._state = self._state.commands["XCLIENT"]
        self._step = ServerConnection._greet
        if self._shutdown is not None:
            self._settle(None)

    # -- AUTH (RFC 4954)

    def _on_auth(self, command: Auth) -> Item | None:
        self._redact = True  # until it succeeds: what follows may be its response
        last = command.initial_response is None or command.mechanism not in ONE_ROUND_TRIP
        offered = self._full.mechanisms
        if not offered:
            self._refuse_kind(ReplyKind.NOT_IMPLEMENTED)
            return None
        if self._identity is not None:
            self._refuse_kind(ReplyKind.BAD_SEQUENCE)
            return None
        if self._forbidden(command, "AUTH", last=last):
            return None
        if command.mechanism not in offered or command.mechanism not in self._plan.mechanisms:
            self._refuse_kind(ReplyKind.AUTH_NO_MECHANISM)
            return None
        return self._begin_exchange(command)

    def _begin_exchange(self, command: Auth) -> Item | None:
        mechanism = server_mechanism(
            command.mechanism,
            self._mechanism_config(),
            mechanisms=self._config.custom_mechanisms,
        )
        self._exchange = ServerExchange(mechanism)
        self._state = self._state.commands["AUTH"]
        self._step = ServerConnection._read_response
        given = command.initial_response
        if given is None:
            self._exchange_step(mechanism.start(None))
        elif not mechanism.client_first:
            self._end_exchange(self._text(ReplyKind.AUTH_NO_INITIAL_RESPONSE))
        else:
            initial = b"" if given == b"=" else decode_base64(given)
            if initial is None:
                self._end_exchange(self._text(ReplyKind.AUTH_MALFORMED))
            else:
                self._exchange_step(mechanism.start(initial))
        return None

    def _mechanism_config(self) -> ServerMechanismConfig:
        config, tls = self._config, self._tls
        return ServerMechanismConfig(
            scram_secret=config.scram_secret,
            iterations=config.scram_iterations,
            stores_passwords=config.stores_passwords,
            hosts=(config.host,),
            realm=config.realm,
            bindings={} if tls is None else tls.bindings,
            plus_offered=any(name.endswith("-PLUS") for name in self._plan.mechanisms),
            external_identity=_certified_name(tls),
        )

    def _read_response(self) -> Item | None:
        if self._must_flush and self._output and self._input.waiting:
            return WRITE
        raw = self._input.take_to_lf()
        limit = min(self._config.limits.sasl_line, self._backlog)
        if raw is None and self._input.waiting < limit:
            return self._more()
        self._line = REDACTED
        if raw is None or len(raw) >= limit:
            if raw is not None:
                self._input.give_back(len(raw) + 1)
            return self._break_exchange(ViolationKind.LINE_TOO_LONG, self._input.offset)
        start = self._input.offset - len(raw) - 1
        bare_cr = raw.find(b"\r")
        if raw[-1:] != b"\r":
            offset = start + len(raw)
            return self._break_exchange(ViolationKind.BARE_LF, offset)
        if bare_cr < len(raw) - 1:
            self._input.give_back(2)
            return self._break_exchange(ViolationKind.BARE_CR, start + bare_cr)
        self._serial += 1
        if self.trace is not None:
            self._traced.append(("received", REDACTED + b"\r\n"))
        line = raw[:-1]
        if line == b"*":  # RFC 4954 §4
            self._end_exchange(self._text(ReplyKind.AUTH_CANCELLED))
            return None
        response = decode_base64(line)
        if response is None:
            self._end_exchange(self._text(ReplyKind.AUTH_MALFORMED))
        else:
            self._exchange_step(self._running_exchange().mechanism.step(response))
        return None

    def _break_exchange(self, violation: ViolationKind, offset: int) -> Item | None:
        """A line too long or with a bare CR or LF ends the exchange; it is dropped up to CRLF."""
        if self._violation(violation, offset) is not Policy.CLOSE:
            self._dropped = 0
            too_long = violation is ViolationKind.LINE_TOO_LONG
            kind = ReplyKind.AUTH_TOO_LONG if too_long else ReplyKind.AUTH_MALFORMED
            self._end_exchange(self._text(kind))
        if self._state is not CLOSED:
            self._step = ServerConnection._drop_line
        return None

    def _running_exchange(self) -> ServerExchange:
        return cast("ServerExchange", self._exchange)

    def _exchange_step(self, step: ServerStep) -> None:
        match step:
            case Challenge(data):
                self._must_flush = True
                self._write(challenge_line(data))
                self._settle(None)
            case Ask(question):
                self._ask_later(question)
            case Succeeded(authcid, authzid) if authzid in ("", authcid):
                self._authenticated(authcid, authcid)
            case Succeeded(authcid, authzid):
                name = self._running_exchange().mechanism.name
                self._ask_later(AuthorizationRequest(authcid, authzid, name))
            case _:  # Failed
                kind = ReplyKind.AUTH_MALFORMED if step.malformed else ReplyKind.AUTH_FAILED
                verdict = self._running_exchange().verdict
                refused = verdict is not None and not verdict.is_positive
                self._end_exchange(verdict if verdict is not None and refused else self._text(kind))

    def _ask_later(self, question: ServerRequest) -> None:
        """Ask, while the application answers another question."""
        self._pending = question
        self._tell(question)

    def _answer_login(self, _: ServerRequest, replies: Replies) -> None:
        """A default lets nobody in; whatever refuses, the mechanism plays to its end."""
        exchange = self._running_exchange()
        reply = self._one(replies, 235) if replies else self._text(ReplyKind.AUTH_FAILED)
        exchange.verdict = complete(reply)
        self._answered()
        self._exchange_step(exchange.mechanism.answer(reply.is_positive))

    def _answer_secret(self, _: SecretRequest, replies: Replies) -> None:
        if not replies:
            self.supply(None)
            return
        reply = self._one(replies, 235)
        if reply.is_positive:
            raise LocalProtocolError("a SecretRequest is answered with supply(), 4yz or 5yz")
        self._answered()
        self._end_exchange(complete(reply))

    def _answer_authorization(self, request: AuthorizationRequest, replies: Replies) -> None:
        exchange = self._running_exchange()
        reply = self._one(replies, 235) if replies else self._text(ReplyKind.AUTH_FAILED)
        exchange.verdict = complete(reply)
        self._answered()
        if reply.is_positive:
            self._authenticated(request.authcid, request.authzid)
        else:
            self._end_exchange(exchange.verdict)

    def _authenticated(self, authcid: str, authzid: str) -> None:
        exchange = self._running_exchange()
        reply = exchange.verdict or self._text(ReplyKind.AUTH_OK)
        self._identity = Identity(authcid, authzid, exchange.mechanism.name)
        self._redact = False
        self._weigh_requirements()
        self._leave_exchange("(success)")
        self._write(self._serialised(reply))
        self._must_flush = True
        self._tell(Authenticated(self._identity))
        self._settle(None)

    def _end_exchange(self, reply: Reply) -> None:
        """Failed, cancelled or malformed: an attempt, however it ended (RFC 4954 §9)."""
        mechanism = self._running_exchange().mechanism.name
        self._auth_failures += 1
        self._leave_exchange("(failure)")
        self._write(self._serialised(reply))
        self._must_flush = True
        self._tell(AuthenticationFailed(mechanism, reply))
        self._settle(reply)
        if self._auth_failures >= self._config.limits.authentications and self._state is not CLOSED:
            self._write(self._octets(ReplyKind.TOO_MANY_ERRORS))
            self._close(CloseReason.ERRORS, self._text(ReplyKind.TOO_MANY_ERRORS))

    def _leave_exchange(self, outcome: str) -> None:
        self._exchange = None
        self._enter(outcome)


IN_TRANSACTION: Final = frozenset({State.READY, State.MAIL, State.RCPT})
OUTSIDE_TRANSACTION: Final = frozenset({State.READY})
# RFC 4954 §4: with these AUTH need not be the last of its group.
ONE_ROUND_TRIP: Final = frozenset({"PLAIN", "EXTERNAL"})


def _certified_name(tls: TlsInfo | None) -> str:
    if tls is None or tls.peer is None or not tls.peer.names:
        return ""
    return tls.peer.names[0]


def _behind_proxy(peer: Peer, header: ProxyHeader) -> Peer:
    """LOCAL and UNKNOWN keep the socket's address."""
    if header.source is None:
        return replace(peer, proxy=header)
    address, port = header.source
    to_address, to_port = header.destination or ("", 0)
    return replace(
        peer,
        address=address,
        port=port,
        destination_address=to_address,
        destination_port=to_port,
        proxy=header,
    )


def _overridden(peer: Peer, client: XClient) -> Peer:
    """What XCLIENT says over what was known; what it does not say stays."""
    said = {
        "name": client.name,
        "address": client.address,
        "port": client.port,
        "protocol": client.protocol,
        "hello": client.hello,
        "login": client.login,
        "destination_address": client.destination_address,
        "destination_port": client.destination_port,
    }
    unknown = {"port": 0, "destination_port": 0}
    changes: dict[str, Any] = {
        field: unknown.get(field, "") if isinstance(value, Unavailable) else value
        for field, value in said.items()
        if value is not None
    }
    return replace(peer, **changes)


_HANDLERS: Final[Mapping[type[Command], Callable[[ServerConnection, Any], Item | None]]] = {
    Hello: ServerConnection._on_hello,
    Mail: ServerConnection._on_mail,
    Rcpt: ServerConnection._on_rcpt,
    Data: ServerConnection._on_data,
    Bdat: ServerConnection._on_bdat,
    Rset: ServerConnection._on_rset,
    Noop: ServerConnection._on_noop,
    Help: ServerConnection._on_help,
    Quit: ServerConnection._on_quit,
    Vrfy: ServerConnection._on_vrfy,
    Expn: ServerConnection._on_expn,
    StartTls: ServerConnection._on_starttls,
    Auth: ServerConnection._on_auth,
    Etrn: ServerConnection._on_extension,
    Atrn: ServerConnection._on_atrn,
    Burl: ServerConnection._on_burl,
    XClient: ServerConnection._on_xclient,
    XForward: ServerConnection._on_extension,
    ExtensionCommand: ServerConnection._on_extension,
}

_ANSWERS: Final[Mapping[type[Request], Callable[[ServerConnection, Any, Replies], None]]] = {
    Connected: ServerConnection._answer_connected,
    Hello: ServerConnection._answer_hello,
    Mail: ServerConnection._answer_mail,
    Rcpt: ServerConnection._answer_rcpt,
    Data: ServerConnection._answer_data,
    EndOfMessage: ServerConnection._answer_end,
    StartTls: ServerConnection._answer_starttls,
    Vrfy: ServerConnection._answer_vrfy,
    Expn: ServerConnection._answer_expn,
    Etrn: ServerConnection._answer_etrn,
    Atrn: ServerConnection._answer_atrn,
    Burl: ServerConnection._answer_burl,
    XClient: ServerConnection._answer_xclient,
    XForward: ServerConnection._answer_extension,
    ExtensionCommand: ServerConnection._answer_extension,
    PasswordLogin: ServerConnection._answer_login,
    TokenLogin: ServerConnection._answer_login,
    ExternalLogin: ServerConnection._answer_login,
    AnonymousLogin: ServerConnection._answer_login,
    SecretRequest: ServerConnection._answer_secret,
    AuthorizationRequest: ServerConnection._answer_authorization,
}
