"""What every part of a client needs: its state, what is known and planned, and the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.client_sasl import Exchange
from smtpwire.engine.events import (
    Cause,
    ClientEvent,
    Closed,
    CloseReason,
    Direction,
    Identity,
    Peer,
    Unanswered,
)
from smtpwire.engine.flight import (
    AUTH,
    IN_CHUNKS,
    IN_CLOSED,
    IN_GREETING,
    IN_HELLO,
    MAIL,
    OPEN,
    QUIT,
    RCPT,
    RESPONSE,
    Held,
    Kind,
    Written,
)
from smtpwire.engine.need import (
    ClientNeed,
)
from smtpwire.engine.security import Security
from smtpwire.engine.terms import Terms
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import Offer
from smtpwire.extensions import parameters as p
from smtpwire.wire.body import DotEncoder, LineEndingGuard
from smtpwire.wire.checked import checked
from smtpwire.wire.command import (
    NO_PARAMETERS,
    Command,
    Mail,
    Rcpt,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import ReplyParser

if TYPE_CHECKING:
    pass

__all__ = ["NO_OFFER", "ClientCore", "Item", "Trace"]

Item: TypeAlias = ClientEvent | ClientNeed
Trace: TypeAlias = Callable[[Direction, bytes], None]

NO_OFFER: Final = Offer()

_EXCERPT: Final = 80
_INSIDE_A_REPLY: Final = (CloseReason.EOF, CloseReason.TIMEOUT)
"""Where the octets of half a reply say why."""


class ClientCore:
    """The state of a connection, and how it ends."""

    __slots__ = (
        "_accepted",
        "_answered",
        "_at",
        "_before_tls",
        "_blocked",
        "_chunking",
        "_closed",
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
        "_given_up",
        "_guard",
        "_guarded",
        "_held",
        "_hopeful",
        "_identity",
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
        "_turn",
        "_untraced",
        "_writing",
        "trace",
    )

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        tls: TlsInfo | None = None,
        peer: Peer | None = None,
    ) -> None:
        config = ClientConfig() if config is None else checked("config", config, ClientConfig)
        checked("tls", tls, TlsInfo | None)
        checked("peer", peer, Peer | None)
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
        self._writing = False  # what was handed out may still have to be written
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
        self._closed: Closed | None = None
        self._turn = [None]  # taken by the operation that runs: list.pop() is atomic
        self._given_up = False  # the last one never came to its end
        self._terms = Terms(NO_OFFER, config.registry)
        self._early = False
        self._before_tls: Offer | None = None
        self._exchange: Exchange | None = None
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
        self._guard: LineEndingGuard | None = None  # of chunks that are text
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

    # -- the body

    def _body_is_open(self) -> bool:
        return self._encoder is not None or self._chunking

    def _close_body(self) -> None:
        self._encoder = None
        self._chunking = False
        self._guard = None
        self._parts = []
        self._parts_size = 0

    def _is_binary(self) -> bool:
        """Whether the transaction's MAIL has BODY=BINARYMIME: octets of any kind (RFC 3030 §3)."""
        mail = self._mail
        return mail is not None and mail.parameters.get(p.BODY) is p.Body.BINARYMIME

    def _drop_chunks(self) -> None:
        """The application gives the body up: what has not been cut into chunks is dropped."""
        if self._chunking:
            self._close_body()

    # -- turns: a body waits for the replies before it

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
            self._guard = None if self._is_binary() else LineEndingGuard()
        return None

    # -- the end

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

    def _violation(self, kind: ViolationKind, said: object = "") -> ClientEvent:
        self._violate(kind, said)
        return self._events.popleft()

    def _violate(self, kind: ViolationKind, said: object = "") -> None:
        """A fatal one: which reply belongs to which command is no longer known.

        ``said``: the reply or line that shows it.
        """
        self._errors += 1
        self._events.append(ProtocolViolation(kind, self._at, fatal=True))
        words = str(said)[:_EXCERPT]
        self._end(CloseReason.VIOLATION, error=f"{kind.value}: {words}" if words else kind.value)

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
        if self._received != self._start and reason in _INSIDE_A_REPLY:
            error = f"{reason.value} inside a reply: {_shown(self._parser.take_rest())}"
        self._closed = Closed(reason, reply, error)
        self._events.append(self._closed)
        self._close_body()
        self._forget_transaction()
        self._out.clear()
        self._out_size = 0
        self._writing = False
        self._traced.clear()
        self._place = self._planned = IN_CLOSED
        self._start = self._received  # nothing more is read; a trace shows what has come

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
        exchange = self._exchange
        if exchange is not None:
            self._leave_exchange()
            self._events.append(exchange.unanswered())

    def _enter_exchange(self, exchange: Exchange) -> None:
        """The very first challenge may be as long as RFC 4954 §4 lets any line be."""
        self._exchange = exchange
        longest = max(self._limits.reply_line, self._limits.sasl_line)
        self._parser.max_line = min(longest, self._limits.backlog)

    def _leave_exchange(self) -> None:
        self._exchange = None
        self._parser.max_line = min(self._limits.reply_line, self._limits.backlog)

    # -- what is known and planned

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
        self._terms = Terms(NO_OFFER, self._config.registry)
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


def _shown(octets: bytes) -> str:
    """How they start, in printable ASCII."""
    return octets[:_EXCERPT].decode("latin-1").encode("unicode_escape").decode()
