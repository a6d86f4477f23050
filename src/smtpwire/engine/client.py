"""The client's side of a connection: commands out, octets in, events out (RFC 5321, RFC 2033)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeVar, final

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.client_core import NO_OFFER, Item, Trace
from smtpwire.engine.client_queue import before_tls
from smtpwire.engine.client_replies import REPLIES, ClientReplies
from smtpwire.engine.client_sasl import Exchange, encode_response
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    ClientEvent,
    Closed,
    CloseReason,
    EndOfData,
    Envelope,
    Identity,
    Peer,
    proven_envelope,
)
from smtpwire.engine.flight import (
    AUTH,
    DOT,
    GROUPED,
    IN_CLOSED,
    IN_GREETING,
    IN_READY,
    IN_TLS,
    OTHER,
    QUIT,
    STARTTLS,
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
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import Offer
from smtpwire.sasl import ClientMechanism, SaslError, family
from smtpwire.wire.body import BareLineEnding
from smtpwire.wire.checked import checked
from smtpwire.wire.command import (
    COMMAND_LINE,
    Auth,
    Command,
    Data,
    Mail,
    Rcpt,
)
from smtpwire.wire.octets import octets_of
from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import ReplyError, ReplyErrorKind

if TYPE_CHECKING:
    from smtpwire.engine.server import ServerConnection
    from smtpwire.engine.server_config import ServerConfig

__all__ = ["ClientConnection"]

C = TypeVar("C", bound=Command)

_VIOLATIONS: Final[Mapping[ReplyErrorKind, ViolationKind]] = {
    ReplyErrorKind.MALFORMED: ViolationKind.MALFORMED_REPLY,
    ReplyErrorKind.MIXED_CODES: ViolationKind.MIXED_CODES,
    ReplyErrorKind.LINE_TOO_LONG: ViolationKind.LINE_TOO_LONG,
    ReplyErrorKind.REPLY_TOO_LONG: ViolationKind.REPLY_TOO_LONG,
    ReplyErrorKind.BARE_LF: ViolationKind.BARE_LF,
    ReplyErrorKind.BARE_CR: ViolationKind.BARE_CR,
}
_DONE: Final = 250
_GREETING: Final = 220
_BEGINS_ANEW: Final = (STARTTLS, OTHER, GROUPED)
"""What 220 can answer: STARTTLS, XCLIENT and the like. In the place of any other reply it is a
server that greets anew, and each reply would be taken for the next command's."""
_CLOSING: Final = (221, 421)
"""The server ends the connection; 221 answers QUIT, and says so too where nobody asked for it."""


@final
class ClientConnection(ClientReplies):
    """One connection, seen from the client: feed it what arrives, send commands, pull events.

    config: the client. tls: the TLS layer under it where that was there from the first octet
    (port 465). peer: who was dialled.

    It sends nothing by itself but the lone dot after a 354 without an accepted recipient. What may
    be written before earlier replies have come, it writes (RFC 2920); the rest waits its turn.
    Every command ends in exactly one ReplyReceived or Unanswered, an AUTH in one
    AuthenticationEnded; the end of the data has one a recipient in LMTP and PRDR. Only
    ``Data(chunking=True)`` ends with neither once the body is open.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"ClientConnection(state={self._place.state.value!r}, peer={self._peer!r})"

    # -- the three calls of the adapter

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets from the peer; ``b""`` is the end of the stream, and may come twice.

        Never raises for what the peer sent. Raises LocalProtocolError where the backlog had
        already reached ``Limits.backlog``: see ``wants_data``; TypeError for what is no buffer of
        octets. Nothing has been taken then.
        """
        if type(data) is not bytes:
            data = octets_of(data, "data")
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
        """The next event, or who must act; at a Need, calling again gives the same Need.

        At ``Need.DATA`` a time-out runs: see ``timeout``.
        """
        self._writing = False
        if self._events or self.trace is not None:
            return self._next_traced()
        return self._stand() if self._received == self._start else self._read()

    def data_to_send(self) -> bytes:
        """Everything that may be written now, in order; it is handed out once.

        From here to the next ``next_event()``, ``timeout`` is the time for writing it.
        """
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
        self._writing = True
        self._progress += 1
        self._octets_sent += len(octets)
        return octets

    # -- what the application calls

    def send(self, command: C) -> C:
        """Queue a command and return it: its reply will come with the same object.

        It is checked against the state reached if every command queued before succeeds.
        Raises LocalProtocolError where the command is out of order, or is what ``ClientConfig``
        forbids; UnwritableError, a kind of it, where it needs what the server does not offer, or no
        line can carry it; SessionLimitError, another, where LIMITS is used up (RFC 9422). Nothing
        has changed then.
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
            checked("command", command, Command)
            self._queue_rare(command)
        return command

    def send_body(self, chunk: bytes | bytearray | memoryview) -> None:
        """Send a part of the content, in any cut; dots and framing are the engine's.

        Raises LocalProtocolError where no body is open, and where the chunk has CR or LF alone (RFC
        5321 §2.3.8), which only BODY=BINARYMIME may carry (RFC 3030 §3); TypeError for what is no
        buffer of octets. Nothing has changed then.
        """
        if type(chunk) is not bytes:
            chunk = octets_of(chunk)
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
            if self._guard is not None:
                try:
                    self._guard.check(chunk)
                except BareLineEnding as error:
                    raise LocalProtocolError(str(error)) from error
            self._parts.append(chunk)
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
            self._end_text()
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
        hands its secret over without verified TLS, TypeError for what is no mechanism, and what a
        mechanism of your own raises instead of its initial response; nothing has changed then.
        """
        name = _name_of(mechanism)
        authcid = checked("authcid", authcid, str)
        authzid = checked("authzid", authzid, str)
        self._check_not_blocked(Auth(name))
        target = self._target(AUTH)
        if self._identity is not None:
            raise LocalProtocolError("already authenticated (RFC 4954 §4)")
        if self._guarded:
            raise before_tls("AUTH")
        if name not in self._terms.mechanisms:
            raise LocalProtocolError(f"AUTH {name}: the server does not offer this mechanism")
        if (
            family(name).cleartext
            and not (self._tls is not None and self._tls.verified)
            and not self._config.cleartext_authentication_without_verified_tls
        ):
            raise LocalProtocolError(f"AUTH {name} needs verified TLS (RFC 4954 §4, RFC 8314 §5)")
        try:
            initial = mechanism.initial() if mechanism.client_first else None
        except SaslError as error:
            raise LocalProtocolError(str(error)) from error
        auth, is_sent = Auth(name), False
        if initial is not None:
            # RFC 4954 §4: an empty one is "=", and a long one waits for an empty challenge.
            with_response = Auth(name, encode_response(initial) or b"=")
            if len(bytes(with_response)) + 2 <= COMMAND_LINE:
                auth, is_sent = with_response, True
        identity = Identity(authcid, authzid or authcid, name)
        self._enter_exchange(Exchange(auth, mechanism, identity, initial, is_sent))
        self._queue(auth, AUTH, self._line(auth), target)
        return auth

    def answer(self, data: bytes) -> None:
        """Go on with an exchange whose mechanism gave PENDING: it is given ``data``.

        Raises LocalProtocolError where none waits, TypeError for what is no bytes.
        """
        data = checked("data", data, bytes)
        exchange = self._exchange
        if exchange is None or not exchange.waiting:
            raise LocalProtocolError("no mechanism waits for an answer")
        self._respond(exchange, exchange.answer(data))

    # -- one operation at a time

    def begin_operation(self) -> None:
        """Take the connection for one operation: its replies are to be read by nobody else.

        Every one of ``smtpwire.operations`` does so at its first step. Raises LocalProtocolError
        where another is running, in any task or thread; nothing has changed then, for it too.
        Where the last one was given up while replies were owed, the connection is aborted:
        nobody would know what they are the replies to.
        """
        try:
            self._turn.pop()
        except IndexError:
            raise LocalProtocolError(
                "another operation is running on this connection: wait for its end,"
                " or use a connection each"
            ) from None
        if self._given_up and self.busy:
            self.abort("an operation was given up while replies were owed")

    def end_operation(self, *, given_up: bool = False) -> None:
        """Give the connection back; only who has taken it may do so."""
        self._given_up = given_up
        self._turn.append(None)

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
        return None if self._mail is None else proven_envelope(self._mail, tuple(self._accepted))

    @property
    def extensions(self) -> Offer:
        """What the latest EHLO reply offered; nothing before it, after HELO, and before EHLO under
        TLS."""
        return NO_OFFER if self._early else self._terms.offer

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
    def closed(self) -> Closed | None:
        """How the connection ended, as its last event tells it; None while it has not."""
        return self._closed

    @property
    def busy(self) -> bool:
        """Whether a reply is owed, a command is not yet written, a body is open, or a handshake is
        due.

        Where it is False, what the server says next was not asked for.
        """
        open_ = self._body_is_open() or self._place is IN_TLS or self._exchange is not None
        return open_ or bool(self._flight or self._held)

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
        """How long to wait now; None while it is the application's turn (RFC 5321 §4.5.3.2).

        It always runs at ``Need.DATA`` and ``Need.TLS``, half a reply included; and once
        ``data_to_send()`` has handed octets out, up to the next ``next_event()``, as the time for
        writing them: ``Timeouts.block`` while a body is open, else that of the oldest command in
        flight, the dot included. The serial moves with every complete reply, every piece of a body
        and every write, never with half a reply.
        """
        timeouts = self._config.timeouts
        if self._place is IN_GREETING:
            seconds = timeouts.greeting
        elif self._place is IN_TLS:
            seconds = timeouts.handshake
        elif self._out_size or (self._writing and self._body_is_open()):
            seconds = timeouts.block
        elif self._flight or self._held:
            kind = self._flight[0][1] if self._flight else self._held[0][1]
            seconds = kind.seconds(timeouts)
        elif self._received != self._start and not self._body_is_open():
            seconds = timeouts.command  # half a reply that nobody asked for
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
            if (
                not 200 <= code < 600
                or (300 <= code < 400 and not kind.intermediate)
                or (code == _GREETING and kind not in _BEGINS_ANEW)
            ):
                return self._violation(ViolationKind.WRONG_REPLY, reply)
        flight.popleft()
        event = REPLIES[kind](self, command, kind, transaction, reply)
        if event is not None:
            return event
        return self._stand() if self._received == self._start else self._read()

    def _read_no_reply(self, error: ReplyError | None) -> Item:
        if error is not None:
            self._at = error.offset
            self._take_turns()
            return self._violation(_VIOLATIONS[error.kind], error.excerpt)
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
        if self._body_is_open():
            if self._out_size or (held and self._can_release()):
                return NEED_WRITE
            return NEED_DATA if held else NEED_BODY
        if self._flight or held or self._received != self._start or self._place is IN_GREETING:
            return NEED_DATA
        return NEED_COMMAND

    # -- tracing

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


def _name_of(mechanism: ClientMechanism) -> str:
    """Its name, if it is a mechanism at all: credentials are none."""
    given: object = mechanism
    name = getattr(given, "name", None)
    if not (isinstance(name, str) and hasattr(given, "step") and hasattr(given, "initial")):
        kind = type(given).__name__
        raise TypeError(f"mechanism is a {kind}: pass what sasl.client_mechanism() gives")
    return name
