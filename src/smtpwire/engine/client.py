"""The client's side of a connection: commands out, octets in, events out (RFC 5321, RFC 2033)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, final

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.client_sasl import Exchange, encode_response
from smtpwire.engine.errors import LocalProtocolError, SessionLimitError
from smtpwire.engine.events import (
    AuthenticationEnded,
    AuthenticationOutcome,
    Cause,
    ClientEvent,
    Closed,
    CloseReason,
    Direction,
    EndOfData,
    Envelope,
    ExtensionsChanged,
    Greeting,
    Identity,
    Peer,
    ReplyReceived,
    ServiceClosing,
    Unanswered,
)
from smtpwire.engine.flight import (
    AUTH,
    BURL,
    BURL_LAST,
    CHUNK,
    DATA,
    DOT,
    GROUPED,
    HELLO,
    LAST,
    MAIL,
    OPEN,
    OTHER,
    PLACES,
    QUIT,
    RCPT,
    RESPONSE,
    RSET,
    STARTTLS,
    Held,
    Kind,
    Place,
    Written,
)
from smtpwire.engine.need import (
    NEED_BODY,
    NEED_CLOSE,
    NEED_COMMAND,
    NEED_DATA,
    NEED_TLS,
    NEED_WRITE,
    ClientNeed,
    Need,
)
from smtpwire.engine.redaction import REDACTED, redacted
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.terms import Terms
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import Offer
from smtpwire.extensions import parameters as p
from smtpwire.extensions.atrn import Atrn
from smtpwire.extensions.burl import Burl
from smtpwire.extensions.xclient import XClient
from smtpwire.sasl import CLEARTEXT, ClientMechanism, SaslError
from smtpwire.wire.body import BareLineEnding, DotEncoder
from smtpwire.wire.command import (
    COMMAND_LINE,
    NO_PARAMETERS,
    Auth,
    Bdat,
    Command,
    Data,
    Expn,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from smtpwire.wire.ehlo import parse_ehlo
from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import ReplyError, ReplyErrorKind, ReplyParser

if TYPE_CHECKING:
    from smtpwire.engine.server import ServerConnection
    from smtpwire.engine.server_config import ServerConfig

__all__ = ["ClientConnection"]

C = TypeVar("C", bound=Command)
Item: TypeAlias = ClientEvent | ClientNeed
Trace: TypeAlias = Callable[[Direction, bytes], None]


IN_GREETING: Final = PLACES[State.GREETING]
IN_HELLO: Final = PLACES[State.HELLO]
IN_READY: Final = PLACES[State.READY]
IN_MAIL: Final = PLACES[State.MAIL]
IN_RCPT: Final = PLACES[State.RCPT]
IN_DATA: Final = PLACES[State.DATA]
IN_CHUNKS: Final = PLACES[State.CHUNKS]
IN_AUTH: Final = PLACES[State.AUTH]
IN_TLS: Final = PLACES[State.TLS]
IN_CLOSED: Final = PLACES[State.CLOSED]

_VIOLATIONS: Final[Mapping[ReplyErrorKind, ViolationKind]] = {
    ReplyErrorKind.MALFORMED: ViolationKind.MALFORMED_REPLY,
    ReplyErrorKind.MIXED_CODES: ViolationKind.MIXED_CODES,
    ReplyErrorKind.LINE_TOO_LONG: ViolationKind.LINE_TOO_LONG,
    ReplyErrorKind.REPLY_TOO_LONG: ViolationKind.REPLY_TOO_LONG,
    ReplyErrorKind.BARE_LF: ViolationKind.BARE_LF,
    ReplyErrorKind.BARE_CR: ViolationKind.BARE_CR,
}
_DONE: Final = 250
_PRDR_FIRST: Final = 353
_CLOSING: Final = (221, 421)
"""The server ends the connection; 221 answers QUIT, and says so too where nobody asked for it."""
_NO_OFFER: Final = Offer()


@final
class ClientConnection:
    """One connection, seen from the client: feed it what arrives, send commands, pull events.

    config: the client. tls: the TLS layer under it where that was there from the first octet
    (port 465). peer: who was dialled.

    It sends nothing by itself but the lone dot after a 354 without an accepted recipient. What may
    be written before earlier replies have come, it writes (RFC 2920); the rest waits its turn.
    Every command ends in exactly one ReplyReceived or Unanswered, an AUTH in one
    AuthenticationEnded; the end of the data has one a recipient in LMTP and PRDR. Only
    ``Data(chunking=True)`` ends with neither once the body is open.
    """

    __slots__ = (
        "_accepted",
        "_answered",
        "_at",
        "_before_tls",
        "_blocked",
        "_chunking",
        "_commands",
        "_config",
        "_domains",
        "_early",
        "_encoder",
        "_eof",
        "_errors",
        "_events",
        "_exchange",
        "_failed_authentications",
        "_flight",
        "_guarded",
        "_held",
        "_hopeful",
        "_identity",
        "_initial",
        "_limits",
        "_lmtp",
        "_mail",
        "_mails_sent",
        "_messages",
        "_must_reset",
        "_octets_received",
        "_octets_sent",
        "_out",
        "_out_size",
        "_parser",
        "_parts",
        "_parts_size",
        "_peer",
        "_place",
        "_planned",
        "_planned_parameters",
        "_prdr",
        "_progress",
        "_rcpts_sent",
        "_received",
        "_refusal",
        "_replies",
        "_reversed",
        "_start",
        "_terms",
        "_tls",
        "_traced",
        "_trailing",
        "_transaction",
        "_untraced",
        "trace",
    )

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        tls: TlsInfo | None = None,
        peer: Peer | None = None,
    ) -> None:
        config = ClientConfig() if config is None else config
        self.trace: Trace | None = None
        """Called with the direction and the octets, secrets redacted, after they took effect."""
        self._config = config
        self._limits = config.limits
        self._peer = Peer() if peer is None else peer
        self._tls = tls
        self._guarded = tls is None and config.security in (Security.STARTTLS, Security.IMPLICIT)
        self._lmtp = config.lmtp
        # -- what came in
        self._parser = self._new_parser()
        self._received = 0  # octets given to this parser
        self._start = 0  # where in them the next reply starts
        self._at = 0  # where the last one started
        self._eof = False
        self._trailing = bytearray()
        self._untraced = bytearray()
        # -- what goes out
        self._out: list[bytes] = []
        self._out_size = 0  # of body octets queued
        self._held: deque[Held] = deque()
        self._flight: deque[Written] = deque()
        self._traced: deque[tuple[Direction, bytes]] = deque()
        # -- where the session is, and where it will be if all that is queued succeeds
        self._place = IN_GREETING
        self._planned = IN_GREETING
        self._events: deque[ClientEvent] = deque()
        self._blocked: Command | None = None
        self._refusal: Reply | None = None
        self._reversed = False
        self._terms = Terms(_NO_OFFER, config.registry)
        self._early = False
        self._before_tls: Offer | None = None
        self._exchange: Exchange | None = None
        self._initial: bytes | None = None
        self._identity: Identity | None = None
        # -- the transaction
        self._mail: Mail | None = None
        self._prdr = False
        self._accepted: list[Rcpt] = []
        self._answered = -1  # of the replies a recipient after the data; -1: none has come
        self._must_reset = False
        self._transaction = 0  # the number of the one being queued
        self._planned_parameters = NO_PARAMETERS  # of its MAIL
        self._hopeful = 0  # recipients of it accepted or not yet answered
        self._rcpts_sent = 0
        self._domains: set[str] = set()
        self._mails_sent = 0
        # -- its body
        self._encoder: DotEncoder | None = None
        self._chunking = False
        self._parts: list[bytes] = []
        self._parts_size = 0
        # -- counts
        self._progress = 0
        self._commands = 0
        self._replies = 0
        self._errors = 0
        self._messages = 0
        self._failed_authentications = 0
        self._octets_received = 0
        self._octets_sent = 0
        if config.cached_offer is not None:
            self._rely_on(config.cached_offer)

    def __repr__(self) -> str:
        return f"ClientConnection(state={self._place.state.value!r}, peer={self._peer!r})"

    # -- the three calls of the adapter

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets from the peer; ``b""`` is the end of the stream, and may come twice.

        Never raises for what the peer sent. Raises LocalProtocolError where the backlog had
        already reached ``Limits.backlog``: see ``wants_data``; nothing has been taken then.
        """
        size = len(data)
        if not size:
            self._eof = True
            return
        if self._place is IN_TLS or self._place is IN_CLOSED:
            if self._place is IN_TLS or self._reversed:
                self._trail(data)
            return
        if self._received - self._parser.offset >= self._limits.backlog:
            raise LocalProtocolError("the backlog is full: read only while wants_data is True")
        self._received += size
        self._octets_received += size
        if self.trace is not None:
            self._untraced += data
        self._parser.receive_data(data)

    def next_event(self) -> ClientEvent | ClientNeed:
        """The next event, or who must act; at a Need, calling again gives the same Need."""
        if self._events or self.trace is not None:
            return self._next_traced()
        return self._stand() if self._received == self._start else self._read()

    def data_to_send(self) -> bytes:
        """Everything that may be written now, in order; it is handed out once."""
        if self._held:
            self._release()
        out = self._out
        if not out:
            return b""
        if self._traced:
            self._trace_sent()
        octets = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._out_size = 0
        self._octets_sent += len(octets)
        return octets

    # -- what the application calls

    def send(self, command: C) -> C:
        """Queue a command and return it: its reply will come with the same object.

        It is checked against the state reached if every command queued before succeeds.
        Raises LocalProtocolError where the command is out of order, needs what the server does not
        offer or what ``ClientConfig`` forbids, or cannot be written; nothing has changed then.
        """
        if self._blocked is not None or self._refusal is not None or self._must_reset:
            self._check_not_blocked(command)
        if isinstance(command, Rcpt):
            self._queue_rcpt(command)
        elif isinstance(command, Mail):
            self._queue_mail(command)
        elif isinstance(command, Data):
            self._queue_data(command)
        else:
            self._queue_rare(command)
        return command

    def send_body(self, chunk: bytes | bytearray | memoryview) -> None:
        """Send a part of the content, in any cut; dots and framing are the engine's.

        Raises LocalProtocolError where no body is open, and, for DATA, where the chunk has CR or LF
        alone (RFC 5321 §2.3.8); nothing has changed then.
        """
        encoder = self._encoder
        if encoder is not None:
            try:
                octets = encoder.encode(chunk)
            except BareLineEnding as error:
                raise LocalProtocolError(str(error)) from error
            if octets:
                self._out.append(octets)
                self._out_size += len(octets)
                if self.trace is not None:
                    self._traced.append(("sent", octets))
        elif self._chunking:
            self._parts.append(bytes(chunk))
            self._parts_size += len(chunk)
            if self._parts_size > self._config.chunk_size:
                self._cut_chunks()
        else:
            raise LocalProtocolError("no body is open")
        self._progress += 1

    def end_body(self) -> EndOfData:
        """End the content: the final dot, or the last chunk. Returns the command it is.

        Raises LocalProtocolError where no body is open, or its last octet is a CR alone.
        """
        end = EndOfData()
        encoder = self._encoder
        if encoder is not None:
            try:
                octets = encoder.end()
            except BareLineEnding as error:
                raise LocalProtocolError(str(error)) from error
            self._held.append((end, DOT, octets, self._transaction))
            self._encoder = None
        elif self._chunking:
            self._queue_chunk(end, b"".join(self._parts))
            self._close_body()
        else:
            raise LocalProtocolError("no body is open")
        self._planned = IN_READY
        return end

    def authenticate(
        self, mechanism: ClientMechanism, *, authcid: str = "", authzid: str = ""
    ) -> Auth:
        """Begin a SASL exchange and let the mechanism play it (RFC 4954 §4).

        Returns the AUTH command that will end in an AuthenticationEnded. ``authcid`` and
        ``authzid`` are for ``identity``: who the credentials are of.
        Raises LocalProtocolError out of order, where the mechanism is not offered, and for one that
        hands its secret over without verified TLS; nothing has changed then.
        """
        name = mechanism.name
        self._check_not_blocked(Auth(name))
        target = self._target(AUTH)
        if self._identity is not None:
            raise LocalProtocolError("already authenticated (RFC 4954 §4)")
        if self._guarded:
            raise _before_tls("AUTH")
        if name not in self._terms.mechanisms:
            raise LocalProtocolError(f"AUTH {name}: the server does not offer this mechanism")
        if (
            name in CLEARTEXT
            and not (self._tls is not None and self._tls.verified)
            and not self._config.cleartext_authentication_without_verified_tls
        ):
            raise LocalProtocolError(f"AUTH {name} needs verified TLS (RFC 4954 §4, RFC 8314 §5)")
        try:
            initial = mechanism.initial() if mechanism.client_first else None
        except SaslError as error:
            raise LocalProtocolError(str(error)) from error
        auth = Auth(name)
        if initial is not None:
            # RFC 4954 §4: an empty one is "=", and a long one waits for an empty challenge.
            with_response = Auth(name, encode_response(initial) or b"=")
            if len(bytes(with_response)) + 2 <= COMMAND_LINE:
                auth, initial = with_response, None
        self._initial = initial
        self._exchange = Exchange(auth, mechanism, Identity(authcid, authzid or authcid, name))
        self._queue(auth, AUTH, self._line(auth), target)
        return auth

    def answer(self, data: bytes) -> None:
        """Go on with an exchange whose mechanism gave PENDING: it is given ``data``.

        Raises LocalProtocolError where none waits.
        """
        exchange = self._exchange
        if exchange is None or not exchange.waiting:
            raise LocalProtocolError("no mechanism waits for an answer")
        self._respond(exchange, exchange.answer(data))

    # -- what the adapter tells

    def tls_started(self, tls: TlsInfo) -> None:
        """The handshake has succeeded: all that was known of the server is forgotten.

        Raises LocalProtocolError where none was asked for.
        """
        if self._place is not IN_TLS:
            raise LocalProtocolError("no TLS handshake was asked for")
        self._tls = tls
        self._guarded = False
        self._before_tls = self._terms.offer
        self._parser = self._new_parser()
        self._received = self._start = 0
        self._untraced.clear()
        self._eof = False
        self._blocked = None
        self._forget_session()
        self._progress += 1

    def tls_failed(self, reason: str = "") -> None:
        """The handshake has failed: the connection ends. Raises LocalProtocolError as above."""
        if self._place is not IN_TLS:
            raise LocalProtocolError("no TLS handshake was asked for")
        self._end(CloseReason.TLS_FAILED, error=reason)

    def timed_out(self) -> None:
        """The time of ``timeout`` is over: the connection ends (RFC 5321 §4.5.3.2)."""
        if self._place is not IN_CLOSED:
            self._end(CloseReason.TIMEOUT)

    def abort(self, error: str = "") -> None:
        """End at once, in any state, and drop what is queued: the transport is lost."""
        if self._place is not IN_CLOSED:
            self._end(CloseReason.ABORTED, error=error)

    def reverse(self, config: ServerConfig) -> ServerConnection:
        """After an accepted ATRN: the engine of the opposite role, for the same connection.

        This one has ended, ``Closed(REVERSED)`` (RFC 2645 §5.3).
        Raises LocalProtocolError at any other time.
        """
        if not self._reversed:
            raise LocalProtocolError("roles are reversed after an accepted ATRN only")
        from smtpwire.engine.server import ServerConnection

        self._reversed = False
        server = ServerConnection(config, tls=self._tls, peer=self._peer)
        if self._trailing:
            server.receive_data(self._trailing)
        if self._eof:
            server.receive_data(b"")
        return server

    # -- read-only

    @property
    def state(self) -> State:
        """Where the session is, as far as replies have come."""
        return self._place.state

    @property
    def pending(self) -> Command | None:
        """The oldest command that waits for its reply."""
        return self._flight[0][0] if self._flight else None

    @property
    def replies_owed(self) -> int:
        """How many replies the server owes for what was written."""
        owed = len(self._flight)
        if self._flight and self._flight[0][1].ends_body and self._per_recipient():
            owed += len(self._unanswered_recipients()) - 1
        return owed

    @property
    def envelope(self) -> Envelope | None:
        """The open transaction with its accepted recipients."""
        return None if self._mail is None else Envelope(self._mail, tuple(self._accepted))

    @property
    def extensions(self) -> Offer:
        """What the latest EHLO reply offered; nothing before it, after HELO, and before EHLO under
        TLS."""
        return _NO_OFFER if self._early else self._terms.offer

    @property
    def extensions_before_tls(self) -> Offer | None:
        """What was offered before STARTTLS; None where it was not used."""
        return self._before_tls

    @property
    def tls(self) -> TlsInfo | None:
        """The TLS layer, or None."""
        return self._tls

    @property
    def identity(self) -> Identity | None:
        """Who is authenticated, from 235 on."""
        return self._identity

    @property
    def peer(self) -> Peer:
        """Who was dialled, as given at construction."""
        return self._peer

    @property
    def config(self) -> ClientConfig:
        """The configuration."""
        return self._config

    @property
    def wants_data(self) -> bool:
        """Whether the adapter should read: not during a handshake, with a full backlog, or after
        the end."""
        if self._place is IN_TLS or self._place is IN_CLOSED or self._eof:
            return False
        return self._received - self._parser.offset < self._limits.backlog

    @property
    def reusable(self) -> bool:
        """Idle, ready for a transaction, and nothing has come that says otherwise: for pools."""
        return (
            self._place is IN_READY
            and self._planned is IN_READY
            and not (self._events or self._flight or self._held or self._out)
            and not (self._eof or self._received != self._start)
        )

    @property
    def eof_received(self) -> bool:
        """The peer has ended its stream; what came before may still have to be pulled."""
        return self._eof

    @property
    def trailing_data(self) -> bytes:
        """Octets which came while TLS was due, or after the end: never parsed, bounded."""
        return bytes(self._trailing)

    @property
    def timeout(self) -> Timeout | None:
        """How long to wait now; None while it is the application's turn."""
        timeouts = self._config.timeouts
        if self._place is IN_GREETING:
            seconds = timeouts.greeting
        elif self._place is IN_TLS:
            seconds = timeouts.handshake
        elif self._out_size:
            seconds = timeouts.block
        elif self._flight or self._held:
            kind = self._flight[0][1] if self._flight else self._held[0][1]
            seconds = kind.timeout(timeouts)
        else:
            return None
        return Timeout(seconds, self._replies + self._progress)

    @property
    def stats(self) -> Stats:
        """Counts since the connection began."""
        return Stats(
            octets_received=self._octets_received,
            octets_sent=self._octets_sent,
            commands=self._commands,
            replies=self._replies,
            errors=self._errors,
            messages=self._messages,
            authentications_failed=self._failed_authentications,
        )

    # -- queueing commands

    def _target(self, kind: Kind) -> Place:
        """Where the command leads from the state planned; LocalProtocolError where it may not."""
        target = self._planned.moves.get(kind.word)
        if target is None:
            raise self._out_of_order(kind.word)
        return target

    def _out_of_order(self, verb: str) -> LocalProtocolError:
        if self._planned is IN_CLOSED:
            return LocalProtocolError("the connection has ended")
        state = self._planned.state.value
        return LocalProtocolError(f"{verb} is out of order: the state is {state} (RFC 5321 §4.1.4)")

    def _check_not_blocked(self, command: Command) -> None:
        if self._place is IN_CLOSED:
            raise LocalProtocolError("the connection has ended")
        if self._blocked is not None:
            name = type(self._blocked).__name__
            raise LocalProtocolError(f"nothing can be queued behind {name} before its reply")
        if self._refusal is not None and not isinstance(command, Quit):
            raise LocalProtocolError("the server refuses service: only Quit can be sent")
        if (
            self._must_reset
            and self._planned is IN_CHUNKS
            and not isinstance(command, Rset | Hello | Quit | Noop | Help | Vrfy | Expn)
        ):
            raise LocalProtocolError("a chunk was refused: Rset is needed (RFC 3030 §2)")

    def _line(self, command: Command) -> bytes:
        try:
            return command.__bytes__() + b"\r\n"  # bytes(command) costs one more call
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error

    def _queue(
        self, command: Command, kind: Kind, line: bytes, target: Place, transaction: int = 0
    ) -> None:
        self._held.append((command, kind, line, transaction))
        self._planned = target
        if kind.blocking:
            self._blocked = command

    def _queue_hello(self, command: Hello) -> None:
        if self._lmtp is not (command.verb == "LHLO"):
            raise LocalProtocolError(f"{command.verb} is not of this protocol (RFC 2033 §4.1)")
        if self._planned is IN_GREETING:
            target = IN_READY  # it is written when the greeting has come
        else:
            target = self._target(HELLO)
        line = self._line(command)
        self._terms.check_line(command.verb, line)
        self._drop_chunks()
        self._queue(command, HELLO, line, target)
        if self._early:
            self._blocked = None

    def _queue_mail(self, command: Mail) -> None:
        if self._planned is not IN_READY:
            raise self._out_of_order("MAIL")
        if self._guarded:
            raise _before_tls("MAIL")
        line = self._line(command)
        parameters = command.parameters
        if parameters is not NO_PARAMETERS or self._terms.limited or not _is_plain(line):
            self._check_mail(command, line)
        self._mails_sent += 1
        self._transaction += 1
        self._planned_parameters = parameters
        self._hopeful = 0
        self._rcpts_sent = 0
        self._held.append((command, MAIL, line, self._transaction))
        self._planned = IN_MAIL

    def _check_mail(self, command: Mail, line: bytes) -> None:
        terms = self._terms
        terms.check_mail(command.parameters)
        self._check_requiretls(command)
        if not line.isascii() and p.SMTPUTF8 not in command.parameters:
            raise LocalProtocolError("MAIL beyond ASCII needs SMTPUTF8 (RFC 6531 §3.4)")
        terms.check_line("MAIL", line)
        self._check_mailmax()

    def _check_mailmax(self) -> None:
        limit = self._terms.limits.mailmax
        if limit is not None and self._mails_sent >= limit:
            raise SessionLimitError(f"the server takes {limit} MAIL commands (RFC 9422 §4.1)")

    def _check_requiretls(self, command: Mail) -> None:
        if p.REQUIRETLS not in command.parameters:
            return
        if self._tls is None or not (
            self._tls.verified or self._config.requiretls_without_verified_tls
        ):
            raise LocalProtocolError("REQUIRETLS needs verified TLS (RFC 8689 §4.2.1)")

    def _queue_rcpt(self, command: Rcpt) -> None:
        if self._planned is not IN_MAIL and self._planned is not IN_RCPT:
            raise self._out_of_order("RCPT")
        line = self._line(command)
        parameters = command.parameters
        if parameters is not NO_PARAMETERS or self._terms.limited or not _is_plain(line):
            self._check_rcpt(command, line)
        self._rcpts_sent += 1
        self._hopeful += 1
        self._held.append((command, RCPT, line, self._transaction))
        self._planned = IN_RCPT

    def _check_rcpt(self, command: Rcpt, line: bytes) -> None:
        terms = self._terms
        terms.check_rcpt(command.parameters)
        if not line.isascii() and p.SMTPUTF8 not in self._planned_parameters:
            raise LocalProtocolError("RCPT beyond ASCII needs SMTPUTF8 on MAIL (RFC 6531 §3.4)")
        terms.check_line("RCPT", line)
        self._check_rcptmax(command)

    def _check_rcptmax(self, command: Rcpt) -> None:
        limits = self._terms.limits
        if limits.rcptmax is not None and self._rcpts_sent >= limits.rcptmax:
            raise SessionLimitError(
                f"the server takes {limits.rcptmax} RCPT commands a transaction (RFC 9422 §4.2)"
            )
        if limits.rcptdomainmax is not None:
            self._count_domain(command.address.domain, limits.rcptdomainmax)

    def _count_domain(self, domain: str, most: int) -> None:
        if domain not in self._domains and len(self._domains) >= most:
            raise SessionLimitError(f"the server takes {most} domains a session (RFC 9422 §4.3)")
        self._domains.add(domain)

    def _queue_data(self, command: Data) -> None:
        if command.chunking:
            self._queue_open(command)
            return
        if self._planned is not IN_RCPT:
            raise self._out_of_order("DATA")
        parameters = self._planned_parameters
        if parameters is not NO_PARAMETERS and parameters.get(p.BODY) is p.Body.BINARYMIME:
            raise LocalProtocolError("BODY=BINARYMIME needs Data(chunking=True) (RFC 3030 §3)")
        self._held.append((command, DATA, b"DATA\r\n", self._transaction))
        self._planned = IN_DATA

    def _queue_open(self, command: Data) -> None:
        if self._chunking or any(item[1] is OPEN for item in self._held):
            raise LocalProtocolError("the body is already open")
        target = self._target(OPEN)
        self._terms.check_offered("CHUNKING", "BDAT")
        self._held.append((command, OPEN, b"", self._transaction))
        self._planned = target

    def _queue_starttls(self, command: StartTls) -> None:
        target = self._target(STARTTLS)
        if self._tls is not None:
            raise LocalProtocolError("TLS is already active (RFC 3207 §4.2)")
        if self._identity is not None:
            raise LocalProtocolError("STARTTLS after AUTH is refused by servers, and rightly")
        self._terms.check_offered("STARTTLS", "STARTTLS")
        self._queue(command, STARTTLS, b"STARTTLS\r\n", target)

    def _queue_rset(self, command: Rset) -> None:
        target = self._target(RSET)
        self._drop_chunks()
        self._queue(command, RSET, b"RSET\r\n", target)

    def _queue_quit(self, command: Quit) -> None:
        target = self._target(QUIT)
        self._drop_chunks()
        self._queue(command, QUIT, b"QUIT\r\n", target)

    def _queue_other(self, command: Noop | Help) -> None:
        target = self._target(OTHER)
        line = self._line(command)
        self._terms.check_line(type(command).__name__.upper(), line)
        self._queue(command, OTHER, line, target)

    def _queue_query(self, command: Vrfy | Expn) -> None:
        target = self._target(OTHER)
        verb = type(command).__name__.upper()
        if command.smtputf8:
            self._terms.check_offered("SMTPUTF8", f"{verb} SMTPUTF8")
        line = self._line(command)
        self._terms.check_line(verb, line)
        self._queue(command, OTHER, line, target)

    def _queue_rare(self, command: Command) -> None:
        match command:
            case Rset():
                self._queue_rset(command)
            case Hello():
                self._queue_hello(command)
            case Quit():
                self._queue_quit(command)
            case StartTls():
                self._queue_starttls(command)
            case Noop() | Help():
                self._queue_other(command)
            case Vrfy() | Expn():
                self._queue_query(command)
            case Burl():
                self._queue_burl(command)
            case Auth() | Bdat() | EndOfData():
                name = type(command).__name__
                raise LocalProtocolError(
                    f"{name} is not sent as such: see authenticate(), send_body() and end_body()"
                )
            case _:
                self._queue_extension(command)

    def _queue_extension(self, command: Command) -> None:
        line = self._line(command)
        verb = line[:-2].partition(b" ")[0].decode().upper()
        grammar = self._terms.verb(verb)
        self._terms.check_line(verb, line)
        target = self._target(OTHER)
        if not grammar.in_transaction and self._planned is not IN_READY:
            raise self._out_of_order(verb)
        if not line.isascii() and not self._utf8_is_agreed():
            raise LocalProtocolError(f"{verb} beyond ASCII needs SMTPUTF8 on MAIL (RFC 6531 §3.3)")
        self._queue(command, OTHER if grammar.last_in_group else GROUPED, line, target)
        if isinstance(command, Atrn | XClient):
            self._blocked = command

    def _utf8_is_agreed(self) -> bool:
        return self._planned is not IN_READY and p.SMTPUTF8 in self._planned_parameters

    def _queue_burl(self, command: Burl) -> None:
        kind = BURL_LAST if command.last else BURL
        target = self._target(kind)
        line = self._line(command)
        self._terms.check_offered("BURL", "BURL")
        self._terms.check_line("BURL", line)
        if self._parts:  # the octets before it go as a chunk of their own (RFC 4468 §3.2)
            self._queue_chunk(Bdat(self._parts_size), b"".join(self._parts))
            self._parts, self._parts_size = [], 0
        if command.last:
            self._close_body()
        self._queue(command, kind, line, target, self._transaction)

    # -- the body

    def _cut_chunks(self) -> None:
        """Queue whole chunks, and keep at least one octet for the last."""
        size = self._config.chunk_size
        content = memoryview(b"".join(self._parts))
        end = (len(content) - 1) // size * size
        for start in range(0, end, size):
            self._queue_chunk(Bdat(size), content[start : start + size])
        self._parts = [bytes(content[end:])]
        self._parts_size = len(content) - end

    def _queue_chunk(self, command: Bdat | EndOfData, content: bytes | memoryview) -> None:
        last = isinstance(command, EndOfData)
        line = bytes(Bdat(len(content), last))
        octets = b"".join((line, b"\r\n", content))
        self._held.append((command, LAST if last else CHUNK, octets, self._transaction))

    def _close_body(self) -> None:
        self._encoder = None
        self._chunking = False
        self._parts = []
        self._parts_size = 0

    def _drop_chunks(self) -> None:
        """The application gives the body up: what has not been cut into chunks is dropped."""
        if self._chunking:
            self._close_body()

    # -- writing

    def _release(self) -> None:
        """Hand over to ``data_to_send`` what may be written now."""
        if self._place is IN_GREETING and not self._early:
            return  # RFC 5321 §4.3.1
        held, flight, out = self._held, self._flight, self._out
        received, trace = self._received, self.trace
        room = self._limits.flight - self._window() if flight else 0
        before = len(flight)
        while held:
            command, kind, octets, transaction = held[0]
            size = len(octets) if kind.counted else 0
            if flight:
                if not self._may_follow(kind, size, room):
                    break
            elif kind.gated and not self._is_in_turn(kind):
                break
            else:
                self._progress += 1
                room = self._limits.flight
            room -= size
            flight.append((command, kind, transaction, received, size))
            held.popleft()
            out.append(octets)
            if trace is not None:
                self._traced.append(("sent", _shown(kind, octets)))
        self._commands += len(flight) - before

    def _window(self) -> int:
        """The octets of the commands in flight."""
        return sum([size for _, _, _, _, size in self._flight])

    def _is_in_turn(self, kind: Kind) -> bool:
        """Whether a body may begin now: else next_event() opens it, or drops its command."""
        return kind is DATA and bool(self._accepted)

    def _may_follow(self, kind: Kind, size: int, room: int) -> bool:
        """Whether this may be written before the replies to what is in flight have come."""
        flight = self._flight
        return (
            self._terms.pipelining
            and flight[-1][1].name in kind.behind
            and len(flight) < self._limits.in_flight
            and (size <= room or not size)
            and not (kind is LAST and self._lmtp)  # RFC 2033 §4.3: it has a reply a recipient
        )

    # -- reading

    def _read(self) -> Item:
        """Match the next reply with the oldest command in flight, by counting (RFC 2920 §3.1)."""
        start = self._start
        parser = self._parser
        reply = parser.next_reply()
        if not isinstance(reply, Reply):
            return self._read_no_reply(reply)
        self._at = start
        self._start = parser.offset
        self._replies += 1
        flight = self._flight
        # What started to come before the command was handed out is no reply to it.
        if not flight or flight[0][3] > start or self._place is IN_GREETING:
            return self._unasked(reply)
        command, kind, transaction, _, _ = flight[0]
        code = reply.code
        if code != _DONE:  # which most replies are, and which fits every command
            if code in _CLOSING and kind is not QUIT:
                return self._service_closing(reply)
            # RFC 5321 §4.2: no such class, or a 3yz where none can be.
            if not 200 <= code < 600 or (300 <= code < 400 and not kind.intermediate):
                return self._violation(ViolationKind.WRONG_REPLY)
        flight.popleft()
        event = _REPLIES[kind](self, command, kind, transaction, reply)
        if event is not None:
            return event
        return self._stand() if self._received == self._start else self._read()

    def _read_no_reply(self, error: ReplyError | None) -> Item:
        if error is not None:
            self._at = error.offset
            self._take_turns()
            return self._violation(_VIOLATIONS[error.kind])
        return self._stand()

    def _stand(self) -> Item:
        """Nothing more can be read: who must act."""
        if self._place is IN_CLOSED:
            return NEED_CLOSE
        if self._place is IN_TLS:
            return NEED_TLS
        if self._eof:
            return self._stream_ended()
        held = self._held
        if held and self._in_turn() and (event := self._next_in_turn()):
            return event
        if self._out_size >= self._limits.output:
            return NEED_WRITE
        if self._encoder is not None or self._chunking:
            if self._out_size or (held and self._can_release()):
                return NEED_WRITE
            return NEED_DATA if held else NEED_BODY
        if self._flight or held or self._received != self._start or self._place is IN_GREETING:
            return NEED_DATA
        return NEED_COMMAND

    def _can_release(self) -> bool:
        _, kind, octets, _ = self._held[0]
        size = len(octets) if kind.counted else 0
        room = self._limits.flight - self._window()
        return not self._flight or self._may_follow(kind, size, room)

    def _in_turn(self) -> bool:
        """Whether a body is next, and nothing before it waits for its reply."""
        return not self._flight and self._held[0][1].gated

    def _take_turns(self) -> None:
        """Before the next thing that comes is judged: it may have come a moment later."""
        while self._held and self._in_turn() and (event := self._next_in_turn()):
            self._events.append(event)

    def _next_in_turn(self) -> ClientEvent | None:
        """With all replies in: open the body in chunks, or drop a body without recipients."""
        command, kind, _, _ = self._held[0]
        if not self._accepted or (kind is OPEN and self._planned is not IN_CHUNKS):
            self._held.popleft()
            self._replan()
            return Unanswered(command, Cause.NOT_SENT)
        if kind is OPEN:
            self._held.popleft()
            self._place = IN_CHUNKS
            self._chunking = True
        return None

    # -- replies, by the kind of command

    def _take_greeting(self, reply: Reply) -> ClientEvent:
        if reply.is_intermediate:
            return self._violation(ViolationKind.WRONG_REPLY)
        if reply.is_positive:
            self._place = IN_HELLO
            if self._planned is IN_GREETING:
                self._planned = IN_HELLO
            return Greeting(reply)
        self._refusal = reply
        if reply.code == 421:
            self._events.append(ServiceClosing(reply))
        if reply.code == 421 or self._flight:
            self._end(CloseReason.REFUSED, reply, cause=Cause.CLOSING)
            return Greeting(reply)
        # RFC 5321 §3.1, §4.1.1.10: the server waits for QUIT, and the client owes it.
        self._drop_held(reply)
        self._blocked = None
        self._forget_session()
        return Greeting(reply)

    def _reply_hello(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        self._blocked = None
        early, self._early = self._early, False
        if not reply.is_positive:
            if early:
                self._terms = Terms(_NO_OFFER, self._config.registry)
                return self._offer_changed(command, reply)
            self._replan()
            return ReplyReceived(command, reply)
        helo = isinstance(command, Hello) and command.verb == "HELO"
        offer = _NO_OFFER if helo else self._config.registry.read(parse_ehlo(reply).keywords)
        relied_on = self._terms.offer
        self._terms = Terms(offer, self._config.registry)
        if early and offer != relied_on:
            return self._offer_changed(command, reply)
        self._forget_transaction()
        self._place = IN_READY
        if self._before_tls is not None and self._tls is not None:
            self._compare_offers(self._before_tls, offer)
        return ReplyReceived(command, reply)

    def _compare_offers(self, before: Offer, after: Offer) -> None:
        old = [line for line in before.lines if line != "STARTTLS"]
        if old != list(after.lines):
            mechanisms = Terms(before, self._config.registry).mechanisms
            differ = mechanisms != self._terms.mechanisms
            self._events.append(ExtensionsChanged(before, after, differ))

    def _offer_changed(self, command: Command, reply: Reply) -> ClientEvent:
        """The offer that was relied on is not the server's: what was built on it has failed."""
        if self._flight:
            self._violate(ViolationKind.CHANGED_OFFER)
        else:
            self._drop_held(None)
            self._place = self._planned = IN_READY if reply.is_positive else IN_HELLO
        return ReplyReceived(command, reply)

    def _reply_mail(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.code < 300 and isinstance(command, Mail):
            self._mail = command
            self._place = IN_MAIL
            parameters = command.parameters
            self._prdr = parameters is not NO_PARAMETERS and p.PRDR in parameters
        else:
            self._drop_held(None, transaction)
            self._replan()
        return ReplyReceived(command, reply)

    def _reply_rcpt(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.code < 300 and self._mail is not None and isinstance(command, Rcpt):
            self._accepted.append(command)
            self._place = IN_RCPT
        elif transaction == self._transaction:
            self._hopeful -= 1
            if not self._hopeful and self._planned is IN_RCPT:
                self._planned = IN_MAIL
        return ReplyReceived(command, reply)

    def _reply_data(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.code < 300:
            self._restore(command, kind, transaction)
            return self._violation(ViolationKind.WRONG_REPLY)
        if reply.code >= 400:
            self._replan()
        elif self._accepted:
            self._place = IN_DATA
            self._encoder = DotEncoder()
        elif self._lmtp:  # RFC 2033 §4.2: 503 was due, and a dot would get no answer
            self._violate(ViolationKind.WRONG_REPLY)
        else:  # RFC 2920 §3.1
            self._place = IN_DATA
            self._held.appendleft((EndOfData(), DOT, b".\r\n", transaction))
            self._replan()
        return ReplyReceived(command, reply)

    def _reply_end(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent | None:
        """A reply to the dot, or to the last chunk."""
        if self._lmtp or self._prdr:
            return self._recipient_reply(command, kind, transaction, reply)
        if 300 <= reply.code < 400:
            self._restore(command, kind, transaction)
            return self._violation(ViolationKind.WRONG_REPLY)
        self._message_ended(kind, reply)
        return ReplyReceived(command, reply)

    def _recipient_reply(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent | None:
        """One of the replies a recipient (RFC 2033 §4.2); PRDR has one before and one after."""
        if reply.is_intermediate:
            self._restore(command, kind, transaction)
            if self._lmtp or reply.code != _PRDR_FIRST or self._answered >= 0:
                return self._violation(ViolationKind.WRONG_REPLY)
            self._answered = 0
            return None
        if not self._per_recipient():  # PRDR without 353: it counts for all
            self._message_ended(kind, reply)
            return ReplyReceived(command, reply)
        index = max(self._answered, 0)
        self._answered = index + 1
        recipient = self._accepted[index] if index < len(self._accepted) else None
        if recipient is None or (self._lmtp and self._answered == len(self._accepted)):
            self._message_ended(DOT, reply)
        else:
            self._restore(command, kind, transaction)
        return ReplyReceived(command, reply, recipient)

    def _message_ended(self, kind: Kind, reply: Reply) -> None:
        self._forget_transaction()
        if reply.code < 300:
            self._messages += 1
            self._place = IN_READY
        elif kind is not DOT:  # RFC 3030 §2: the state is indeterminate
            self._chunk_refused()
        else:
            self._place = IN_READY

    def _reply_chunk(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.is_positive:
            self._place = IN_CHUNKS
        else:
            self._chunk_refused()
        return ReplyReceived(command, reply)

    def _chunk_refused(self) -> None:
        """RFC 3030 §2: no more chunks, and only RSET leads on."""
        self._place = IN_CHUNKS
        self._close_body()
        self._must_reset = True
        held = list(self._held)
        resets = (at for at, item in enumerate(held) if item[1] in (RSET, HELLO, QUIT))
        kept = next(resets, len(held))
        for item in held[:kept]:
            self._end_unsent(item, None)
        self._held = deque(held[kept:])
        self._replan()

    def _reply_rset(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.is_positive:
            self._forget_transaction()
            if self._place is not IN_HELLO:
                self._place = IN_READY
        else:
            self._replan()
        return ReplyReceived(command, reply)

    def _reply_quit(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if self._refusal is not None:
            self._end(CloseReason.REFUSED, self._refusal)
        else:
            self._end(CloseReason.QUIT, reply)
        return ReplyReceived(command, reply)

    def _reply_starttls(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        self._blocked = None
        if not reply.is_positive:
            self._replan()
        elif self._received != self._start:  # RFC 3207 §4: it may be anybody's
            self._violate(ViolationKind.PLAINTEXT_BEHIND_STARTTLS)
        else:
            self._blocked = command
            self._forget_transaction()
            self._place = self._planned = IN_TLS
        return ReplyReceived(command, reply)

    def _reply_auth(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent | None:
        exchange = self._exchange
        if exchange is None or (reply.is_intermediate and exchange.cancelled):
            return self._violation(ViolationKind.WRONG_REPLY)
        if reply.is_intermediate:
            self._place = IN_AUTH
            longest = max(self._limits.reply_line, self._limits.sasl_line)
            self._parser.max_line = min(longest, self._limits.backlog)
            initial, self._initial = self._initial, None
            response = exchange.respond(initial, reply.text)
            if response is not None:
                self._respond(exchange, response)
            return None
        outcome = exchange.outcome(reply)
        if outcome is AuthenticationOutcome.SUCCEEDED:
            self._identity = exchange.identity
        else:
            self._failed_authentications += 1
        self._exchange = self._initial = self._blocked = None
        self._parser.max_line = min(self._limits.reply_line, self._limits.backlog)
        self._place = self._planned = IN_READY
        return AuthenticationEnded(exchange.auth, reply, outcome, exchange.error)

    def _respond(self, exchange: Exchange, line: bytes) -> None:
        self._held.append((exchange.auth, RESPONSE, line + b"\r\n", 0))

    def _reply_other(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if isinstance(command, XClient):
            self._blocked = None
            if reply.is_positive:  # the session starts anew, and 220 is its greeting
                self._forget_session()
        elif isinstance(command, Atrn):
            self._blocked = None
            if reply.is_positive:
                self._reversed = True
                self._trail(self._parser.take_rest())
                self._end(CloseReason.REVERSED, reply)
        return ReplyReceived(command, reply)

    # -- what nobody asked for, and the end

    def _unasked(self, reply: Reply) -> ClientEvent:
        self._take_turns()
        if not 200 <= reply.code < 600:
            return self._violation(ViolationKind.WRONG_REPLY)
        if self._place is IN_GREETING:
            return self._take_greeting(reply)
        if self._place is IN_DATA or (self._place is IN_CHUNKS and self._body_unfinished()):
            return self._verdict(reply)
        if reply.code != 421:
            return self._violation(ViolationKind.UNEXPECTED_REPLY)
        self._events.append(ServiceClosing(reply))
        self._end(CloseReason.SHUTDOWN, reply, cause=Cause.CLOSING)
        return self._events.popleft()

    def _body_unfinished(self) -> bool:
        return self._chunking or any(item[1].ends_body for item in self._held)

    def _verdict(self, reply: Reply) -> ClientEvent:
        """A reply while the body is open: 4yz and 5yz refuse the message. No dot, close."""
        if not (reply.is_transient or reply.is_permanent):
            return self._violation(ViolationKind.WRONG_REPLY)
        end: Command = EndOfData()
        if self._flight:  # it has left, but the reply had started to come before
            end = self._flight.popleft()[0]
        elif self._held and self._held[0][1].ends_body:
            end = self._held.popleft()[0]
        recipients: list[Rcpt | None] = [*self._accepted] if self._lmtp else [None]
        self._events.extend(ReplyReceived(end, reply, recipient) for recipient in recipients)
        if reply.code == 421:
            self._events.append(ServiceClosing(reply))
            self._end(CloseReason.SHUTDOWN, reply)
        else:
            self._end(CloseReason.REFUSED, reply)
        return self._events.popleft()

    def _service_closing(self, reply: Reply) -> ClientEvent:
        """421, or 221 out of turn: it answers the oldest command, and ends the rest."""
        command = self._flight[0][0]
        exchange = self._exchange
        if exchange is not None and exchange.auth is command:
            self._exchange = None
            outcome = AuthenticationOutcome.TEMPORARY
            self._events.append(AuthenticationEnded(exchange.auth, reply, outcome, exchange.error))
        elif reply.code == 421:
            self._events.append(ReplyReceived(command, reply, self._take_recipient()))
        self._events.append(ServiceClosing(reply))
        self._end(CloseReason.SHUTDOWN, reply, cause=Cause.CLOSING)
        return self._events.popleft()

    def _take_recipient(self) -> Rcpt | None:
        """The recipient whose reply comes now, if it has one of its own; forget who waited."""
        kind = self._flight[0][1]
        if kind.ends_body and self._per_recipient():
            index = max(self._answered, 0)
            self._answered = index + 1
            if index < len(self._accepted):
                if self._lmtp and index + 1 == len(self._accepted):
                    self._flight.popleft()
                return self._accepted[index]
        self._flight.popleft()
        return None

    def _stream_ended(self) -> ClientEvent:
        """RFC 5321 §3.8: what is unanswered counts as 451, and after the dot as unknown."""
        self._take_turns()
        if self._refusal is not None:
            self._end(CloseReason.REFUSED, self._refusal)
        elif len(self._flight) == 1 and self._flight[0][1] is QUIT:
            self._end(CloseReason.QUIT)  # it has done its work
        else:
            self._end(CloseReason.EOF)
        return self._events.popleft()

    def _violation(self, kind: ViolationKind) -> ClientEvent:
        self._violate(kind)
        return self._events.popleft()

    def _violate(self, kind: ViolationKind) -> None:
        """A fatal one: which reply belongs to which command is no longer known."""
        self._errors += 1
        self._events.append(ProtocolViolation(kind, self._at, fatal=True))
        self._end(CloseReason.VIOLATION)

    def _end(
        self,
        reason: CloseReason,
        reply: Reply | None = None,
        *,
        error: str = "",
        cause: Cause = Cause.LOST,
    ) -> None:
        """End every command that is still open, and the connection."""
        closing = reply if cause is Cause.CLOSING else None
        for command, kind, _, _, _ in self._flight:
            if kind is AUTH or kind is RESPONSE:
                continue
            if kind.ends_body and self._per_recipient():
                for recipient in self._unanswered_recipients():
                    self._events.append(Unanswered(command, cause, closing, recipient))
                self._answered = -1
            else:
                self._events.append(Unanswered(command, cause, closing))
        self._flight.clear()
        self._end_exchange()
        self._drop_held(reply)
        self._events.append(Closed(reason, reply, error))
        self._close_body()
        self._forget_transaction()
        self._out.clear()
        self._out_size = 0
        self._traced.clear()
        self._place = self._planned = IN_CLOSED
        unread = self._received - self._start
        if unread:
            del self._untraced[-unread:]
            self._received = self._start

    def _drop_held(self, reply: Reply | None, transaction: int = 0) -> None:
        """End what was never written: all of it, or what belongs to a transaction."""
        kept: deque[Held] = deque()
        for item in self._held:
            if transaction and item[3] != transaction:
                kept.append(item)
            else:
                self._end_unsent(item, reply)
        self._held = kept

    def _end_unsent(self, item: Held, reply: Reply | None) -> None:
        """End a command that was never written; nothing waits for it any more."""
        command, kind, _, _ = item
        if command is self._blocked:
            self._blocked = None
        if kind is AUTH or kind is RESPONSE:
            self._end_exchange()
        else:
            self._events.append(Unanswered(command, Cause.NOT_SENT, reply))

    def _end_exchange(self) -> None:
        """End the exchange, if there is one, without a reply of its own."""
        exchange, self._exchange = self._exchange, None
        self._initial = None
        if exchange is not None:
            outcome = AuthenticationOutcome.TEMPORARY
            self._events.append(AuthenticationEnded(exchange.auth, None, outcome, exchange.error))

    # -- helpers

    def _new_parser(self) -> ReplyParser:
        limits = self._limits
        # Status codes are read whether or not they were offered: the text that looks like one, of
        # the right class on every line, is one; and the greeting comes before any offer.
        return ReplyParser(
            enhanced=True,
            max_line=min(limits.reply_line, limits.backlog),
            max_lines=limits.reply_lines,
            max_octets=min(limits.reply, limits.backlog - 1),
        )

    def _rely_on(self, offer: Offer) -> None:
        if "PIPECONNECT" in offer or "X_PIPE_CONNECT" in offer:
            self._early = True
            self._terms = Terms(offer, self._config.registry)

    def _restore(self, command: Command, kind: Kind, transaction: int) -> None:
        """The command at the head is still owed a reply."""
        self._flight.appendleft((command, kind, transaction, 0, 0))

    def _replan(self) -> None:
        """Something was refused: find out anew where what is still queued leads."""
        place = self._place
        hopeful = len(self._accepted)
        kinds = chain((item[1] for item in self._flight), (item[1] for item in self._held))
        for kind in kinds:
            place = place.moves.get(kind.word, place)
            hopeful = 0 if kind is MAIL else hopeful + (kind is RCPT)
        self._planned = place
        self._hopeful = hopeful

    def _forget_session(self) -> None:
        """As after the greeting: nothing is known of the server."""
        self._forget_transaction()
        self._terms = Terms(_NO_OFFER, self._config.registry)
        self._early = False
        self._identity = None
        self._mails_sent = 0
        self._domains.clear()
        self._place = self._planned = IN_HELLO

    def _forget_transaction(self) -> None:
        self._mail = None
        self._accepted.clear()
        self._answered = -1
        self._must_reset = False

    def _per_recipient(self) -> bool:
        return self._lmtp or (self._prdr and self._answered >= 0)

    def _unanswered_recipients(self) -> list[Rcpt | None]:
        """Whose reply after the data is still to come; None is PRDR's final one."""
        final = [] if self._lmtp else [None]
        return [*self._accepted[max(self._answered, 0) :], *final]

    def _trail(self, data: bytes | bytearray | memoryview) -> None:
        room = self._limits.trailing - len(self._trailing)
        if room > 0:
            self._trailing += bytes(data[:room])

    def _trace_sent(self) -> None:
        while self._traced:
            direction, octets = self._traced.popleft()
            if self.trace is not None:
                self.trace(direction, octets)

    def _next_traced(self) -> Item:
        if self._events:
            item: Item = self._events.popleft()
        elif self._received == self._start:
            item = self._stand()
        else:
            item = self._read()
        size = self._start - (self._received - len(self._untraced))
        if self.trace is not None and size > 0:
            self._trace_received(self.trace, bytes(self._untraced[:size]), item)
        return item

    def _trace_received(self, trace: Trace, octets: bytes, item: Item) -> None:
        del self._untraced[: len(octets)]
        try:
            trace("received", octets)
        except BaseException:
            # What a trace raises changes nothing: the event is still to come.
            if not isinstance(item, Need):
                self._events.appendleft(item)
            raise


def _before_tls(verb: str) -> LocalProtocolError:
    return LocalProtocolError(f"{verb} before TLS: ClientConfig.security forbids it")


def _is_plain(line: bytes) -> bool:
    """Nothing in a line of this length and these octets needs an extension."""
    return len(line) <= COMMAND_LINE and line.isascii()


def _shown(kind: Kind, octets: bytes) -> bytes:
    """What a trace may show of a command."""
    if kind is AUTH:
        return redacted(octets[:-2]) + b"\r\n"
    if kind is RESPONSE:
        return REDACTED + b"\r\n"
    if kind is BURL or kind is BURL_LAST:  # the URL may be a key to a mailbox: RFC 4467
        return b"BURL " + REDACTED + b"\r\n"
    return octets


_Handler: TypeAlias = Callable[[ClientConnection, Command, Kind, int, Reply], ClientEvent | None]
_REPLIES: Final[Mapping[Kind, _Handler]] = {
    HELLO: ClientConnection._reply_hello,
    MAIL: ClientConnection._reply_mail,
    RCPT: ClientConnection._reply_rcpt,
    DATA: ClientConnection._reply_data,
    CHUNK: ClientConnection._reply_chunk,
    LAST: ClientConnection._reply_end,
    DOT: ClientConnection._reply_end,
    BURL: ClientConnection._reply_chunk,
    BURL_LAST: ClientConnection._reply_end,
    RSET: ClientConnection._reply_rset,
    QUIT: ClientConnection._reply_quit,
    STARTTLS: ClientConnection._reply_starttls,
    AUTH: ClientConnection._reply_auth,
    RESPONSE: ClientConnection._reply_auth,
    OTHER: ClientConnection._reply_other,
    GROUPED: ClientConnection._reply_other,
}
