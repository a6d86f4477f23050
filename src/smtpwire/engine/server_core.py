"""What every part of a server needs: octets in and out, lines, refusals, answers, the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast

from smtpwire.engine.commands import BEGINNINGS, GROUPED
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Closed,
    CloseReason,
    Connected,
    Direction,
    EndOfMessage,
    Identity,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
    ServerRequest,
)
from smtpwire.engine.incoming import IncomingBody
from smtpwire.engine.input import Input
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_WRITE, Need, ServerNeed
from smtpwire.engine.offer_plan import OfferPlan
from smtpwire.engine.policy import Policy
from smtpwire.engine.quota import Quota
from smtpwire.engine.redaction import REDACTED, looks_like_auth, redacted, without_secrets
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.restrictions import OfferConditions
from smtpwire.engine.server_config import ServerConfig, complete, serialise
from smtpwire.engine.server_exchange import ServerExchange
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import (
    Burl,
    Profile,
)
from smtpwire.sasl import family
from smtpwire.wire.checked import checked
from smtpwire.wire.command import (
    PLAIN_LINE,
    VERBS,
    AnyVerb,
    Auth,
    Bdat,
    Command,
    CommandError,
    Hello,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    chunk_size,
    parse_command,
    plain_command,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

if TYPE_CHECKING:
    from smtpwire.wire.proxy import ProxyReader

__all__ = ["ServerCore"]

Item: TypeAlias = ServerEvent | ServerNeed
Step: TypeAlias = Callable[[Any], Item | None]
"""Reads on; None where it left its events in the queue, or there is more to be read."""
Handler: TypeAlias = Callable[[Any, Any], ServerRequest | None]
Trace: TypeAlias = Callable[[Direction, bytes], None]
Replies: TypeAlias = tuple[Reply, ...]
# Bound once: a member looked up on its enum costs as much as a small call on CPython 3.11.
GREETING: Final = State.GREETING
READY: Final = State.READY
HANDSHAKE: Final = State.TLS
CLOSED: Final = State.CLOSED
LMTP: Final = Profile.LMTP
BAD_SEQUENCE: Final = ReplyKind.BAD_SEQUENCE
UNKNOWN: Final = Peer()
LISTED_FOR_NOTHING: Final[frozenset[str]] = frozenset()
INSIDE_A_LINE: Final = "the stream ended inside a line"
EXCERPT: Final = 100
"""Octets of an over-long line that an event shows."""
# RFC 3207 §4, with LHLO for EHLO; and RFC 4954 §6 with STARTTLS, without which no AUTH may come.
EXEMPT_FROM_TLS: Final = frozenset({Noop, StartTls, Quit})
EXEMPT_FROM_AUTH: Final = frozenset({Auth, Hello, Noop, Rset, StartTls, Quit})
FOREIGN: Final = frozenset(
    # HTTP's methods and header fields a browser sends, other protocols' first words
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH HOST: USER-AGENT: CONTENT-LENGTH:"
    b" CONTENT-TYPE: REFERER: ORIGIN: PRI INVITE REGISTER".split()
)
FOREIGN_STARTS: Final = (b"SSH-", b"\x16\x03")  # SSH, and TLS where none is spoken
# How a command is refused that was sent in the hope of one before it.
FOLLOWING: Final = frozenset(
    {
        ReplyKind.BAD_SEQUENCE,
        ReplyKind.NO_RECIPIENTS,
        ReplyKind.BODY_FAILED,
        ReplyKind.AUTH_REQUIRED,
    }
)
ABORTED_BY: Final[Mapping[CloseReason, Aborted]] = {
    CloseReason.TIMEOUT: Aborted.TIMEOUT,
    CloseReason.SHUTDOWN: Aborted.SHUTDOWN,
}
IN_TRANSACTION: Final = frozenset({State.READY, State.MAIL, State.RCPT})
OUTSIDE_TRANSACTION: Final = frozenset({State.READY})


class ServerCore:
    """The state of a connection, and how it reads lines, refuses, asks, answers and ends."""

    __slots__ = (
        "_auth_failures",
        "_backlog",
        "_binary",
        "_body",
        "_body_octets",
        "_burl",
        "_commands",
        "_config",
        "_dropped",
        "_eof",
        "_errors",
        "_errors_forgiven",
        "_events",
        "_excess_recipients",
        "_exchange",
        "_excused",
        "_full",
        "_given",
        "_handlers",
        "_hello",
        "_identity",
        "_input",
        "_junk",
        "_line",
        "_listed",
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
        "_shutdown_reason",
        "_socket_peer",
        "_state",
        "_step",
        "_stray_follows",
        "_stray_left",
        "_stray_replies",
        "_stray_reply",
        "_suffix",
        "_tls",
        "_traced",
        "_trailing",
        "_unhindered",
        "_utf8",
        "_writing",
        "trace",
    )

    HANDLERS: ClassVar[Mapping[type[Command], Handler]]
    """What is done with a command, by its class; with others, :meth:`_on_extension`.

    Each returns the question that the command is; or None, having refused or answered it.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        tls: TlsInfo | None = None,
        peer: Peer | None = None,
        reply_suffix: str = "",
    ) -> None:
        checked("config", config, ServerConfig)
        checked("tls", tls, TlsInfo | None)
        checked("peer", peer, Peer | None)
        checked("reply_suffix", reply_suffix, str)
        if config.profile is Profile.SUBMISSIONS and tls is None:
            raise ValueError("this profile has TLS from the first octet: give tls= (RFC 8314 §3.3)")
        if reply_suffix:
            serialise(Reply(500, reply_suffix), enhanced=False)  # raises where it cannot be sent
        self.trace: Trace | None = None
        self._traced: list[tuple[Direction, bytes]] = []
        self._handlers = self.HANDLERS  # an attribute of the class is slower to read
        self._config = config
        self._ready = config.octets
        self._suffix = reply_suffix
        self._peer = self._socket_peer = UNKNOWN if peer is None else peer
        self._tls = tls
        self._input = Input()
        self._eof = False
        self._trailing = b""
        self._output: list[bytes] = []
        self._output_size = 0
        self._output_limit = config.limits.output
        self._backlog = config.limits.backlog  # octets that may wait to be read
        self._must_flush = False
        self._writing = False  # octets were handed out, and nobody has said that they left
        # where the session is
        self._state = GREETING
        self._step: Step = ServerCore._greet
        self._events: list[ServerEvent] = []
        self._pending: ServerRequest | None = None
        self._shutdown: Reply | None = None
        self._shutdown_reason = CloseReason.SHUTDOWN
        self._refused: Reply | None = None
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
        self._lmtp = config.profile is LMTP
        self._prdr = False
        self._binary = False
        self._quota: Quota | None = None
        self._owed = 0
        self._given: list[Reply] = []
        self._burl: Burl | None = None
        self._stray_left = 0
        self._stray_reply = config.texts[BAD_SEQUENCE]
        self._stray_replies = 0
        self._stray_follows = False
        self._dropped = 0
        # counts
        self._serial = 0  # what else starts a timer anew: answers, writes, the handshake
        self._body_octets = 0
        self._octets_received = 0  # before the input was cleared
        self._octets_sent = 0
        self._commands = 0
        self._replies = 0
        self._errors = 0
        self._errors_forgiven = 0  # those before the last accepted message
        self._excused = 0  # refusals still to come that may follow from one before them
        self._junk = 0
        self._excess_recipients = 0
        self._messages = 0
        self._refused_recipients = 0
        self._auth_failures = 0
        self._unhindered = False
        self._listed = self._trusted()
        self._plan = self._full = self._full_plan()
        self._proxy: ProxyReader | None = None
        if config.proxy and self._peer.proxy is None:
            from smtpwire.wire.proxy import ProxyReader

            self._proxy = ProxyReader()
            self._step = ServerCore._read_proxy_header
            if "PROXY" not in self._listed:
                self._close(CloseReason.VIOLATION, error="not a trusted proxy")

    # -- output

    def _text(self, kind: ReplyKind) -> Reply:
        return self._suffixed(self._config.texts[kind])

    def _suffixed(self, reply: Reply) -> Reply:
        if self._suffix and reply.code >= 400:
            return Reply(reply.code, f"{reply.text} {self._suffix}", reply.enhanced)
        return reply

    def _octets(self, kind: ReplyKind) -> bytes:
        if self._suffix or self._state is GREETING:
            return self._serialised(self._text(kind))
        return self._ready[kind]

    def _serialised(self, reply: Reply, *, utf8: bool = False) -> bytes:
        # RFC 2034 §4: no enhanced code in what stands in the greeting's place.
        enhanced = self._config.enhanced and self._state is not GREETING
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

    def shutdown(self, reply: Reply | None = None) -> None:
        """End the session with 421 as soon as no reply is owed (RFC 5321 §3.8).

        A pending question stays answerable, and the 421 follows its reply. A body that comes is
        aborted at once. It may be called at any time, also before the first ``next_event()`` and
        from outside a handler: then whoever pulls the events has to be told to call
        ``next_event()`` again, which gives what is to be told and ``Closed``. A second call, or one
        after the end, changes nothing. Raises LocalProtocolError for a reply other than 421.
        """
        reply = self._text(ReplyKind.SHUTDOWN) if reply is None else reply
        if reply.code != 421:
            raise LocalProtocolError("a server shuts down with 421 (RFC 5321 §3.8)")
        self._end_when_answered(complete(reply), CloseReason.SHUTDOWN)

    def _end_when_answered(self, reply: Reply, reason: CloseReason) -> None:
        """Say 421 and end: now, or behind the reply that is owed."""
        octets = self._serialised(reply)
        if self._state is CLOSED or self._shutdown is not None:
            return
        if self._pending is not None:
            self._shutdown, self._shutdown_reason = reply, reason
            return
        if self._state is not State.TLS:
            self._write(octets)
        self._close(reason, reply)

    def _close(self, reason: CloseReason, reply: Reply | None = None, error: str = "") -> None:
        """The session is over: this is told once, whatever else goes wrong behind it."""
        if self._state is CLOSED:
            return
        if self._body is not None and (self._body.open or self._end_is_untold()):
            aborted = ABORTED_BY.get(reason, Aborted.CLOSED)
            self._events.append(MessageAborted(aborted, reply))
        self._events.append(Closed(reason, reply, error))
        # What was not told yet cannot be answered any more.
        self._events = [event for event in self._events if not isinstance(event, Request)]
        self._state = CLOSED
        self._step = ServerCore._ended
        self._backlog = 0
        self._pending = None
        self._body = None
        self._exchange = None
        self._octets_received += self._input.received
        self._input.clear()

    def _end_is_untold(self) -> bool:
        """Whether a message has ended and nobody knows: a trace raised when it was to be told."""
        return any(isinstance(event, EndOfMessage) for event in self._events)

    def _ended(self) -> Item | None:
        return NEED_CLOSE

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

    def _more(self) -> Item | None:
        """More octets are needed: they are to be read, or there are none to come."""
        if not self._eof:
            return NEED_DATA
        self._close(CloseReason.EOF, error=INSIDE_A_LINE if self._input.waiting else "")
        return None

    def _drop(self, octets: int) -> bool:
        """Count what is dropped; past the limit close, and say False."""
        self._dropped += octets
        if self._dropped <= self._config.limits.swallow:
            return True
        self._violation(ViolationKind.TOO_MUCH, self._input.offset, ReplyKind.TOO_MUCH)
        return False

    # -- before the first command

    def _read_proxy_header(self) -> Item | None:
        """PROXY is required of those who may send it, and of nobody else (haproxy's §2)."""
        from smtpwire.wire.proxy import ProxyHeader

        if not self._input.waiting:
            return self._more()
        reader = cast("ProxyReader", self._proxy)
        header = reader.receive_data(self._input.take(reader.wanted))
        if header is None:
            return None
        self._proxy = None
        if not isinstance(header, ProxyHeader):
            self._close(CloseReason.VIOLATION, error=header.reason)
            return None
        self._socket_peer = self._peer = self._peer.behind(header)
        self._listed = self._trusted()
        self._plan = self._full = self._full_plan()
        self._step = ServerCore._greet
        if self._input.waiting:
            self._early_talk()
        return None

    def _greet(self) -> Item | None:
        return self._ask(Connected(self._peer))

    def _early_talk(self) -> None:
        # RFC 5321 §4.3.1: a client waits for the greeting; Exim's PIPECONNECT does not.
        if self._proxy is None and "PIPECONNECT" not in self._listed:
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

    def _trusted(self) -> frozenset[str]:
        """For what the configuration lists this client: looked up once a connection."""
        config = self._config
        return config.trusted(self._socket_peer.address) if config.trust else LISTED_FOR_NOTHING

    def _offer_conditions(self) -> OfferConditions:
        """What decides what may be offered now."""
        tls = self._tls
        if tls is None:
            return OfferConditions(listed=self._listed)
        return OfferConditions(True, bool(tls.bindings), tls.peer is not None, self._listed)

    def _full_plan(self) -> OfferPlan:
        if self._tls is None and not self._listed:
            return self._config.plain_plan
        return self._config.plan(self._offer_conditions())

    # -- reading commands

    def _read_command(self) -> Item | None:
        received = self._input
        if not received.waiting:
            return self._more() if self._eof else NEED_DATA
        if self._output and (self._must_flush or self._output_size >= self._output_limit):
            return NEED_WRITE  # RFC 2920 §3.2: this reply must not wait for more input
        plain = None
        if self._refused is None and self.trace is None:
            plain = received.take_match(PLAIN_LINE, self._plan.plain_limit)
        if plain is None:
            return self._read_line()
        self._commands += 1
        groups = plain.groups()
        self._line = groups[0]
        if (
            received.waiting
            and (groups[2] is None or not self._plan.pipelining)  # groups[2] is None for DATA
            and self._breaks_group()
        ):
            return None
        command = plain_command(groups)
        question = self._handlers[type(command)](self, command)
        if question is None or self._events:
            return self._ask(question)
        self._pending = question
        return question

    def _read_line(self) -> Item | None:
        """A command line of any kind."""
        raw = self._input.take_to_lf()
        if raw is None or len(raw) >= self._plan.read_limit:
            return self._no_line(raw)
        if not raw or raw.find(b"\r") != len(raw) - 1:
            return self._broken_line(raw)
        self._commands += 1
        self._line = line = raw[:-1]
        if self.trace is not None:
            self._traced.append(("received", self._shown(line) + b"\r\n"))
        if self._input.waiting and self._breaks_group():
            return None
        try:
            command = parse_command(line, self._plan.grammar, utf8=self._utf8)
        except CommandError as error:
            return self._refuse_line(error)
        if self._refused is not None and not isinstance(command, Quit | Bdat):
            self._refuse(self._service_refused(), follows=True)
            return None
        handler = self._handlers.get(type(command), ServerCore._on_extension)
        return self._ask(handler(self, command))

    def _no_line(self, raw: bytes | None) -> Item | None:
        """No line yet, or one longer than any may be."""
        if raw is not None:
            self._input.give_back(raw + b"\n")
        self._line = self._input.peek(EXCERPT)
        if foreign := self._foreign_word(self._line):
            return self._foreign(foreign, self._input.offset)
        if self._input.waiting < self._plan.read_limit:
            if self._eof and self.trace is not None:
                self._traced.append(("received", self._shown(self._line)))
            return self._more()
        reply = self._too_long(self._line)
        return self._refuse_broken(ViolationKind.LINE_TOO_LONG, self._input.offset, reply)

    def _broken_line(self, raw: bytes) -> Item | None:
        """CR or LF that is no line end: the line is answered once, and dropped up to CRLF."""
        self._line = raw
        start = self._input.offset - len(raw) - 1
        bare_cr = raw.find(b"\r")
        if raw.endswith(b"\r"):  # the line is whole
            self._input.give_back(b"\r\n")
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
            self._step = ServerCore._drop_line
            self._refuse(reply)
            self._close_if_unframed(self._line, offset)
            self._begin_to_drop(kind)
        return None

    def _begin_to_drop(self, kind: ViolationKind) -> None:
        """Behind a bare LF something begins that the client may take for a line; else nothing."""
        self._dropped = 0
        self._line = b"" if kind is ViolationKind.BARE_LF else REDACTED

    def _close_if_unframed(self, line: bytes, offset: int) -> None:
        """What follows a broken BDAT or DATA cannot be told from commands (RFC 3030 §2)."""
        announced = announced_body(line)
        if announced and self._state is not CLOSED:
            chunk = announced == b"BDAT"
            kind = ViolationKind.CHUNK_SIZE if chunk else ViolationKind.UNFRAMED_BODY
            self._violation(kind, offset)

    def _too_long(self, line: bytes) -> Reply:
        if line[:4].upper() == b"AUTH":
            return self._config.texts[ReplyKind.AUTH_TOO_LONG]
        return Reply(500, "Line too long", "5.5.2")

    def _drop_line(self) -> Item | None:
        """Drop what is left of a broken line, up to its CRLF.

        It may be a client's whole session with bare LFs, and its body may have CRLFs: what looks
        like a line that announces one ends the connection.
        """
        raw = self._input.take_to_lf()
        if raw is not None:
            start = (self._line + raw)[:EXCERPT]
            self._line = b""
            if raw.endswith(b"\r"):
                self._step = READ_COMMAND
            if self._drop(len(raw) + 1):
                self._close_if_unframed(start, self._input.offset)
            return None
        octets = self._input.take()
        if octets.endswith(b"\r"):
            self._input.give_back(b"\r")
            octets = octets[:-1]
        self._line = (self._line + octets)[:EXCERPT]
        return self._more() if self._drop(len(octets)) else None

    def _shown(self, line: bytes) -> bytes:
        """A line as an event or a trace may show it."""
        if line in FOREIGN_STARTS or line.upper() in FOREIGN:
            return line
        # An unknown line behind a refused AUTH may be its response.
        if self._redact and line.partition(b" ")[0].upper() not in VERBS:
            return redacted(line) if looks_like_auth(line) else REDACTED
        return without_secrets(line, self._config.open_verbs)

    def _refuse_line(self, error: CommandError) -> Item | None:
        offset = self._input.offset - len(self._line) - 2
        if foreign := self._foreign_word(self._line + b" "):
            self._input.give_back(b"\r\n")
            del self._traced[-1:]  # it is shown as it would be had only its word come
            return self._foreign(foreign, offset)
        reply = Reply(error.code, error.reason, error.enhanced)
        size = chunk_size(self._line)
        if error.code == 500 and error.enhanced == "5.5.2":
            size = None
            reply = self._too_long(self._line)
            if self._violation(ViolationKind.LINE_TOO_LONG, offset) is Policy.CLOSE:
                return None
        refused = self._refused is not None
        if refused:
            reply = self._service_refused()
        if size is not None:
            self._refuse_chunk(size, reply)
            return None
        self._refuse(reply, follows=refused)
        if announced_body(self._line) == b"BDAT":
            self._close_if_unframed(self._line, offset)
        return None

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

    # -- what follows a refused body: its octets are never commands

    def _fail_body(self, body: IncomingBody, reply: Reply, reason: Aborted) -> None:
        """The message will not be taken; its octets are read past and answered at their end."""
        body.refusal = reply
        body.open = False
        self._dropped = 0
        if body.decoder is not None:
            body.decoder.discard()
        self._tell(MessageAborted(reason, reply))

    def _refuse_chunk(self, size: int, reply: Reply) -> None:
        """A chunk whose line is no command, but tells its size: the message lacks it."""
        body = self._body
        if body is not None and body.open:
            self._fail_body(body, reply, Aborted.CONTENT)
            self._fail_chunks(body)
        self._read_past(size, reply)

    def _fail_chunks(self, body: IncomingBody) -> None:
        """A chunk has been refused: of those in the pipeline behind it none is an error of its own.

        RFC 3030 §2 has a server be prepared for them.
        """
        body.refused = True
        self._excused = self._config.limits.recipients

    def _read_past(
        self, size: int, reply: Reply, *, replies: int = 1, follows: bool = False
    ) -> None:
        """Drop a chunk's octets, then refuse it with so many replies (RFC 3030 §2).

        One that never could be dropped whole is refused before it comes, and that is the end.
        """
        if not (follows and self._excused):
            self._dropped = 0
        self._stray_reply, self._stray_replies, self._stray_follows = reply, replies, follows
        if size > self._config.limits.swallow - self._dropped:
            self._refuse_endless(reply, replies)
            return
        self._stray_left = size
        self._step = ServerCore._read_stray_chunk

    def _read_stray_chunk(self) -> Item | None:
        if self._stray_left:
            octets = self._input.take(self._stray_left)
            if not octets:
                return self._more()
            self._stray_left -= len(octets)
            self._body_octets += len(octets)
            self._drop(len(octets))
            return None
        self._step = READ_COMMAND
        self._refuse(self._stray_reply, follows=self._stray_follows, times=self._stray_replies)
        return None

    def _refuse_endless(self, reply: Reply, replies: int) -> None:
        """A chunk that is more than may come and be dropped: nobody waits for its end."""
        body = self._body
        if body is not None and body.open:
            self._fail_body(body, reply, Aborted.LIMIT)
        self._refuse(reply, times=replies)
        if self._state is not CLOSED:
            self._violation(ViolationKind.TOO_MUCH, self._input.offset, ReplyKind.TOO_MUCH)

    def _watch_for_body(self) -> None:
        """DATA is refused: its body may come all the same, from who does not wait (RFC 2920 §3.1).

        What has come before the refusal is handed out cannot be an answer to it.
        """
        waiting = self._input.waiting
        self._step = ServerCore._end_unframed if waiting else ServerCore._read_behind_data

    def _read_behind_data(self) -> Item | None:
        if not self._input.waiting:
            return self._more()
        self._step = ServerCore._end_unframed if self._output else READ_COMMAND
        return None

    def _end_unframed(self) -> Item | None:
        self._violation(ViolationKind.UNFRAMED_BODY, self._input.offset)
        return None

    # -- refusing

    def _refuse(
        self, reply: Reply, *, counts: bool = True, follows: bool = False, times: int = 1
    ) -> None:
        """Answer a command that cannot be taken; tell of it; count it, once.

        ``follows``: where a refusal stands before it from which it follows, that was the error, and
        this is none: a client that pipelines has sent both before it could know (RFC 2920 §3.1).
        ``times``: how many replies it has; in LMTP the last chunk has one a recipient, or none.
        """
        line = self._line
        verb = line[:4].upper()
        self._redact = self._redact or looks_like_auth(line)
        if follows and self._excused:
            self._excused -= 1
        else:
            self._errors += counts
            self._excuse_what_follows(verb)
        if self._errors - self._errors_forgiven > self._config.limits.errors:
            self._too_many()
            return
        if not times:
            return
        if verb not in GROUPED:
            self._must_flush = True
        reply = self._suffixed(reply)
        octets = self._serialised(reply)
        for _ in range(times):
            self._write(octets)
        self._events.append(InvalidCommand(self._shown(line), reply))
        if announced_body(line) == b"DATA":
            self._watch_for_body()

    def _refuse_kind(self, kind: ReplyKind) -> None:
        self._refuse(self._config.texts[kind], follows=kind in FOLLOWING)

    def _excuse_what_follows(self, verb: bytes) -> None:
        """The engine refuses this command, and so all that was sent in the hope of it."""
        if verb in BEGINNINGS or (verb == b"RCPT" and self._mail is not None):
            self._excuse()

    def _excuse(self) -> None:
        """All that one group has may be refused now because a command before it was.

        Its recipients, or the chunks of its body, which RFC 3030 §4.2 has come in a row. What is
        dropped of these is counted together, and anew for the next refusal.
        """
        self._dropped = 0
        self._excused = self._config.limits.recipients

    def _too_many(self, kind: ReplyKind = ReplyKind.TOO_MANY_ERRORS) -> None:
        """Over a budget: 421 instead of the reply."""
        reply = self._text(kind)
        self._write(self._octets(kind))
        self._events.append(InvalidCommand(self._shown(self._line), reply))
        self._close(CloseReason.ERRORS, reply)

    def _forbidden(self, command: Command, name: str) -> bool:
        """Refuse a command that cannot be taken now, and say so."""
        config = self._config
        kind = None
        if config.require_tls or config.require_auth:
            kind = self._required_first(command)
        if kind is None and name not in self._state.commands:
            kind = ReplyKind.BAD_SEQUENCE
        if kind is not None:
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
        """Note whether MAIL, RCPT and DATA need no more than their place in the table."""
        config = self._config
        self._unhindered = (
            self._plan.pipelining
            and self._quota is None
            and not (config.require_tls and self._tls is None)
            and not (config.require_auth and self._identity is None)
        )

    def _breaks_group(self) -> bool:
        """Tell of a command that ends its group, where more stands behind it (RFC 2920 §3.1).

        True where the policy is not to go on; it has been refused then, or all is over.
        """
        if not self._ends_group() or "PIPECONNECT" in self._listed:
            return False
        policy = self._violation(ViolationKind.PIPELINING, self._input.offset)
        if policy is Policy.NOTE:
            return False
        quits = self._line.rstrip(b" \t").upper() == b"QUIT"
        if policy is Policy.ANSWER and not quits:
            self._refuse_kind(BAD_SEQUENCE)
        return policy is Policy.CLOSE or not quits

    def _ends_group(self) -> bool:
        """Whether the verb says that nothing may stand behind this line, whatever becomes of it."""
        line = self._line
        verb = line.partition(b" ")[0].rstrip(b"\t").upper()
        if verb == b"BDAT":  # its chunk stands behind it
            return False
        if verb in GROUPED:
            return not self._plan.pipelining
        if verb == b"AUTH":  # RFC 4954 §4: not where an initial response is all of the exchange
            words = line.split()
            return len(words) != 3 or not _has_one_round_trip(words[1])
        if verb in VERBS:
            return True
        entry = self._plan.grammar.verbs.get(verb)
        return entry is not None and not (entry.grouped and self._plan.pipelining)

    def _is_junk(self) -> bool:
        """Count a command that moves no mail; over the budget, close."""
        self._junk += 1
        if self._junk <= self._config.limits.junk:
            return False
        self._too_many(ReplyKind.TOO_MANY_COMMANDS)
        return True

    def _wasted(self) -> None:
        """Count a refusal of the application's as junk; over the budget, close behind it."""
        self._junk += 1
        if self._junk > self._config.limits.junk:
            self._over_budget(ReplyKind.TOO_MANY_COMMANDS)

    def _over_budget(self, kind: ReplyKind) -> None:
        """421 behind the reply that was one too many."""
        if self._state is not CLOSED:
            self._write(self._octets(kind))
            self._close(CloseReason.ERRORS, self._text(kind))

    def _message_accepted(self) -> None:
        """Mail has moved: what a client may waste is counted anew."""
        self._messages += 1
        self._junk = 0
        self._excess_recipients = 0
        self._refused_recipients = 0
        self._errors_forgiven = self._errors

    def _on_extension(self, command: Command) -> ServerRequest | None:
        """A verb that an offered extension brings; without a line in the table, by its entry."""
        verb = self._line.rstrip(b" \t").partition(b" ")[0]
        entry = self._plan.grammar.verbs[verb.upper()]
        states = IN_TRANSACTION if entry.in_transaction else OUTSIDE_TRANSACTION
        kind = self._unlisted_or_required(command, entry)
        if kind is None and self._state not in states:
            kind = ReplyKind.BAD_SEQUENCE
        if kind is not None:
            self._refuse_kind(kind)
            return None
        if self._is_junk():
            return None
        question: ServerRequest = command  # type: ignore[assignment]  # every verb's command is one
        return question

    def _unlisted_or_required(self, command: Command, entry: AnyVerb) -> ReplyKind | None:
        """A listed client's verbs are its own, and come before TLS and AUTH; others need those."""
        keyword = self._plan.offer.listed_verbs.get(entry.name)
        if keyword is not None:
            return None if keyword in self._listed else ReplyKind.NOT_IMPLEMENTED
        return self._required_first(command)

    # -- asking and answering

    def _ask(self, question: ServerRequest | None) -> Item | None:
        if question is None:
            return None
        self._pending = question
        if not self._events:
            return question
        self._events.append(question)
        return None

    def _asked(self) -> ServerRequest | None:
        """The pending question; None as long as it waits behind other events to be told."""
        pending = self._pending
        told = not self._events or all(event is not pending for event in self._events)
        return pending if told else None

    def _ask_later(self, question: ServerRequest) -> None:
        """Ask, while the application answers another question."""
        self._pending = question
        self._tell(question)

    def _tell(self, event: ServerEvent) -> None:
        self._events.append(event)

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
        if self._shutdown is not None:
            self._settle(None)

    def _settle(self, reply: Reply | None) -> None:
        """After an answer: the 421 that waited, or that was the answer."""
        self._answered()
        if reply is not None and reply.code == 421:
            self._close(CloseReason.SHUTDOWN, reply)
        elif self._shutdown is not None and self._state is not State.TLS:
            self._write(self._serialised(self._shutdown))
            self._close(self._shutdown_reason, self._shutdown)
        elif self._shutdown is not None:
            self._close(self._shutdown_reason, self._shutdown)

    def _enter(self, command: str) -> None:
        self._state = self._state.commands[command]
        self._step = READ_COMMAND

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


def _has_one_round_trip(mechanism: bytes) -> bool:
    return family(mechanism.upper().decode("ascii", "replace")).one_round_trip


def announced_body(line: bytes) -> bytes:
    """``BDAT`` or ``DATA`` where a line, however damaged, looks like it; else nothing."""
    start = line.lstrip(b" \t")[:5].upper()
    if start[:4] == b"BDAT":
        return b"BDAT"
    return b"DATA" if start.rstrip(b" \t\r") == b"DATA" else b""


# Bound once, as above: what is looked up on a class at every message.
READ_COMMAND: Final = ServerCore._read_command
