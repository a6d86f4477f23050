"""A client's session: where it stands, of what parts it is made, and how it ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, final

from smtpwire.engine.client.body import Body, ChunkBody
from smtpwire.engine.client.kinds import AUTH, OPEN, QUIT, RESPONSE
from smtpwire.engine.client.offered import ServerOffer, nothing_offered
from smtpwire.engine.client.outlook import Outlook
from smtpwire.engine.client.pipeline import Pipeline, Step
from smtpwire.engine.client.replystream import EXCERPT, ReplyStream
from smtpwire.engine.client.sasl import Exchange
from smtpwire.engine.client.transaction import NO_TRANSACTION, Transaction
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import (
    Cause,
    ClientEvent,
    Closed,
    CloseReason,
    EndOfData,
    Identity,
    Peer,
    Unanswered,
)
from smtpwire.engine.need import (
    NEED_BODY,
    NEED_CLOSE,
    NEED_COMMAND,
    NEED_DATA,
    NEED_TLS,
    NEED_WRITE,
    ClientNeed,
)
from smtpwire.engine.security import TLS_NEEDED
from smtpwire.engine.state import (
    STATE_CHUNKS,
    STATE_CLOSED,
    STATE_GREETING,
    STATE_HELLO,
    STATE_READY,
    STATE_TLS,
    State,
)
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import Offer
from smtpwire.wire.reply import Reply
from smtpwire.wire.secrets import REDACTED

__all__ = ["Item", "Session"]

Item: TypeAlias = ClientEvent | ClientNeed

_INSIDE_A_REPLY: Final = (CloseReason.EOF, CloseReason.TIMEOUT)
"""Where the octets of half a reply say why."""


@final
class Session:
    """Where the session is as far as replies have come, its parts, and what each rule may do.

    Attributes:
        state: the state reached. ``outlook``: the one that everything queued would lead to.
        transaction: the open one, or NO_TRANSACTION.
        body: the open body, which the application sends.
        exchange: the SASL exchange that runs.
        events: what is still to be told.
        offered: what the server offers now; ``offer_before_tls``: before STARTTLS.
        guarded: MAIL and AUTH wait for TLS, as the configuration says.
        refusal: the greeting that refused service: only QUIT may follow.
        closed: how the connection ended.
        errors, messages, authentications_failed: counts since it began.
    """

    __slots__ = (
        "authentications_failed",
        "body",
        "closed",
        "config",
        "errors",
        "events",
        "exchange",
        "guarded",
        "identity",
        "messages",
        "offer_before_tls",
        "offered",
        "outlook",
        "peer",
        "pipeline",
        "refusal",
        "state",
        "stream",
        "tls",
        "transaction",
    )

    def __init__(self, config: ClientConfig, tls: TlsInfo | None, peer: Peer) -> None:
        self.config: ClientConfig = config
        self.peer: Peer = peer
        self.tls = tls
        self.guarded: bool = tls is None and config.security in TLS_NEEDED
        self.stream: ReplyStream = ReplyStream(config.limits)
        self.pipeline: Pipeline = Pipeline(config.limits, lmtp=config.lmtp)
        self.outlook: Outlook = Outlook()
        self.state: State = STATE_GREETING
        self.events: list[ClientEvent] = []
        self.transaction: Transaction = NO_TRANSACTION
        self.body: Body | None = None
        self.exchange: Exchange | None = None
        self.identity: Identity | None = None
        self.offer_before_tls: Offer | None = None
        self.refusal: Reply | None = None
        self.closed: Closed | None = None
        self.errors: int = 0
        self.messages: int = 0
        self.authentications_failed: int = 0
        cached = config.cached_offer
        assumed = cached is not None and ("PIPECONNECT" in cached or "X_PIPE_CONNECT" in cached)
        self.offered: ServerOffer = (
            ServerOffer(cached, config.registry, assumed=True)
            if cached is not None and assumed
            else nothing_offered(config.registry)
        )

    # -- who must act

    def who_acts(self) -> Item:
        """Nothing more can be read: the Need, or an event that follows from that."""
        state = self.state
        if state is STATE_CLOSED:
            return NEED_CLOSE
        if state is STATE_TLS:
            return NEED_TLS
        if self.stream.eof:
            return self._stream_ended()
        pipeline = self.pipeline
        held, flight = pipeline.held, pipeline.flight
        # pipeline.body_is_next(), without a call for each reply
        if held and not flight and held[0].kind.gated and (event := self._begin_body()):
            return event
        if pipeline.body_octets and pipeline.body_octets >= self.config.limits.output:
            return NEED_WRITE
        if self.body is not None:
            if pipeline.body_octets or (held and pipeline.can_release(self.offered.pipelining)):
                return NEED_WRITE
            return NEED_DATA if held else NEED_BODY
        if flight or held or state is STATE_GREETING:
            return NEED_DATA
        stream = self.stream
        return NEED_COMMAND if stream.received == stream.start else NEED_DATA

    # -- the body

    def begin_bodies(self) -> None:
        """Before what comes next is judged: it may have come a moment later."""
        while self.pipeline.body_is_next() and (event := self._begin_body()):
            self.events.append(event)

    def _begin_body(self) -> ClientEvent | None:
        """With all replies in: open the body in chunks, or drop a body without recipients."""
        held = self.pipeline.held
        step = held[0]
        opens = step.kind is OPEN
        if not self.transaction.accepted or (opens and self.outlook.leads_to is not STATE_CHUNKS):
            held.pop(0)
            self.replan()
            return Unanswered(step.command, Cause.NOT_SENT)
        if opens:
            held.pop(0)
            self.state = STATE_CHUNKS
            self.body = ChunkBody(
                self.pipeline,
                step.transaction,
                self.config.chunk_size,
                binary=self.transaction.is_binary,
            )
        return None

    def end_body(self, body: Body) -> EndOfData:
        """The application has sent all of it."""
        end = body.end()
        self.body = None
        self.outlook.leads_to = STATE_READY
        return end

    def close_body(self) -> None:
        """Forget what has not been cut into chunks: nobody will have it."""
        self.body = None

    # -- the end

    def _stream_ended(self) -> ClientEvent:
        """RFC 5321 §3.8: what is unanswered counts as 451, and after the dot as unknown."""
        self.begin_bodies()
        flight = self.pipeline.flight
        if self.refusal is not None:
            self.end(CloseReason.REFUSED, self.refusal)
        elif len(flight) == 1 and flight[0].kind is QUIT:
            self.end(CloseReason.QUIT)  # it has done its work
        else:
            self.end(CloseReason.EOF)
        return self.events.pop(0)

    def violation(self, kind: ViolationKind, said: object = "") -> ClientEvent:
        """End with a violation, and give the first event of that."""
        self.violate(kind, said)
        return self.events.pop(0)

    def violate(self, kind: ViolationKind, said: object = "") -> None:
        """A fatal one: which reply belongs to which command is no longer known.

        ``said``: the reply or line that shows it.
        """
        self.errors += 1
        self.events.append(ProtocolViolation(kind, self.stream.at, fatal=True))
        words = self.shown(said)[:EXCERPT]
        self.end(CloseReason.VIOLATION, error=f"{kind.value}: {words}" if words else kind.value)

    def end(
        self,
        reason: CloseReason,
        reply: Reply | None = None,
        *,
        error: str = "",
        cause: Cause = Cause.LOST,
    ) -> None:
        """End every command that is still open, and the connection."""
        pipeline, stream = self.pipeline, self.stream
        exchange = self.exchange
        closing = reply if cause is Cause.CLOSING else None
        for step in pipeline.flight:
            if step.kind is not AUTH and step.kind is not RESPONSE:
                self._end_unanswered(step, cause, closing)
        pipeline.flight.clear()
        self._end_exchange()
        self.drop(pipeline.drop(), reply)
        if stream.received != stream.start and reason in _INSIDE_A_REPLY:
            half = stream.take_half()
            error = f"{reason.value} inside a reply: {half if exchange is None else REDACTED}"
        self.closed = Closed(reason, reply, error)
        self.events.append(self.closed)
        self.body = None
        self.transaction = NO_TRANSACTION
        pipeline.clear_out()
        self.state = STATE_CLOSED
        self.outlook.settle(STATE_CLOSED)
        stream.stop()

    def _end_unanswered(self, step: Step, cause: Cause, closing: Reply | None) -> None:
        """Tell that no reply will come to a command in flight: once a recipient where due."""
        transaction = self.transaction
        if step.kind.ends_body and transaction.verdicts >= 0:
            for recipient in transaction.unanswered():
                self.events.append(Unanswered(step.command, cause, closing, recipient))
            self.transaction = NO_TRANSACTION
        else:
            self.events.append(Unanswered(step.command, cause, closing))

    def drop(self, steps: Iterable[Step], reply: Reply | None = None) -> None:
        """End commands that were never written; nothing waits for them any more."""
        for step in steps:
            if step.command is self.outlook.closed_by:
                self.outlook.reopen()
            if step.kind is AUTH or step.kind is RESPONSE:
                self._end_exchange()
            else:
                self.events.append(Unanswered(step.command, Cause.NOT_SENT, reply))

    # -- the SASL exchange

    def begin_exchange(self, exchange: Exchange) -> None:
        """AUTH is queued."""
        self.exchange = exchange
        self.stream.allow_challenges()

    def leave_exchange(self) -> None:
        """The exchange is over."""
        self.exchange = None
        self.stream.end_challenges()

    def shown(self, said: object) -> str:
        """What may be shown of what a server said: not what it repeats of an exchange that runs.

        Of a line that may be cut, so that half a secret stands at its end, nothing.
        """
        if self.exchange is None or not said:
            return str(said)
        return self.exchange.unrepeated(str(said)) if isinstance(said, Reply) else REDACTED

    def _end_exchange(self) -> None:
        """End the exchange, if there is one, without a reply of its own."""
        exchange = self.exchange
        if exchange is not None:
            self.leave_exchange()
            self.events.append(exchange.unanswered())

    # -- what is known and planned

    def replan(self) -> None:
        """Something was refused: find out anew where what is still queued leads."""
        pipeline = self.pipeline
        self.outlook.replan(self.state, len(self.transaction.accepted), pipeline.kinds())

    def forget(self) -> None:
        """As after the greeting: nothing is known of the server."""
        self.transaction = NO_TRANSACTION
        self.offered = nothing_offered(self.config.registry)
        self.identity = None
        self.state = STATE_HELLO
        self.outlook.settle(STATE_HELLO)
        self.outlook.forget_session()

    def start_tls(self, tls: TlsInfo) -> None:
        """The handshake has succeeded."""
        self.tls = tls
        self.guarded = False
        self.offer_before_tls = self.offered.offer
        self.stream.restart()
        self.outlook.reopen()
        self.forget()
        self.pipeline.count_progress()
