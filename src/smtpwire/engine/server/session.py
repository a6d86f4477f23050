"""One session of a server: where it is, and the verbs by which rules and readers act on it.

What has a job of its own stands beside it: who the client is, what it is offered, what it sent and
what it is told, the transaction, and the reader that knows what the next octets are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias, final

from smtpwire.engine.commands import BEGINNINGS, COMMANDS, GROUPED
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Closed,
    CloseReason,
    EndOfMessage,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
    ServerRequest,
)
from smtpwire.engine.need import NEED_DATA, Need
from smtpwire.engine.policy import Policy
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.identity import Client
from smtpwire.engine.server.input import Input
from smtpwire.engine.server.offering import Offering
from smtpwire.engine.server.outbox import Outbox
from smtpwire.engine.server.reader import (
    BEHIND_REFUSED_DATA,
    ENDED,
    GREETING,
    UNFRAMED_BODY,
    Item,
    Reader,
)
from smtpwire.engine.server.tally import Tally
from smtpwire.engine.server.transaction import NO_TRANSACTION, Transaction
from smtpwire.engine.server_config import ServerConfig, complete
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import Profile
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = [
    "CLOSED",
    "HANDSHAKING",
    "READY",
    "OverBudget",
    "Refused",
    "Replies",
    "Session",
    "announced_body",
]

Replies: TypeAlias = tuple[Reply, ...]
# Bound once: a member looked up on its enum costs as much as a small call on CPython 3.11.
CLOSED: Final = State.CLOSED
HANDSHAKING: Final = State.TLS
READY: Final = State.READY
BAD_SEQUENCE: Final = ReplyKind.BAD_SEQUENCE
# A set, since "in" on bytes raises and drops an exception for what is no integer.
BODY_STARTS: Final = frozenset({b"B", b"b", b"D", b"d", b" ", b"\t"})
INSIDE_A_LINE: Final = "the stream ended inside a line"
FOLLOWING: Final = frozenset(
    {
        ReplyKind.BAD_SEQUENCE,
        ReplyKind.NO_RECIPIENTS,
        ReplyKind.BODY_FAILED,
        ReplyKind.AUTH_REQUIRED,
    }
)
"""Refusals that may follow from one before them."""
ABORTED_BY: Final[Mapping[CloseReason, Aborted]] = {
    CloseReason.TIMEOUT: Aborted.TIMEOUT,
    CloseReason.SHUTDOWN: Aborted.SHUTDOWN,
}


class Refused(Exception):
    """A command is not taken, and this is the reply. A rule raises it before anything changes.

    ``counts``: it is an error of the client's making. ``follows``: where a refusal stands before
    it from which it follows, that was the error, and this is none; left out, the kind tells.
    """

    def __init__(
        self, reply: Reply | ReplyKind, *, counts: bool = True, follows: bool | None = None
    ) -> None:
        super().__init__(reply)
        self.reply = reply
        self.counts = counts
        self.follows: bool = reply in FOLLOWING if follows is None else follows

    def take_effect(self, session: Session, line: bytes) -> None:
        """Answer the line, tell of it, and count it."""
        session.refuse(line, self.reply, counts=self.counts, follows=self.follows)


class OverBudget(Refused):
    """A command is one too many of its sort: 421 instead of the reply, and the end."""

    def __init__(self, kind: ReplyKind) -> None:
        super().__init__(kind)
        self.kind = kind

    def take_effect(self, session: Session, line: bytes) -> None:
        session.end_over_budget(line, self.kind)


@final
class Session:
    """What every rule and reader of a server may see and do.

    ``config``: the service. ``client``, ``offering``, ``input``, ``outbox``, ``tally``,
    ``transaction``: the parts, each with a file of its own. ``state``: where the session is.
    ``reader``: what the next octets are. ``commands``: the reader of command lines. ``events``:
    what is to be told, in order. ``pending``: the question to be answered. ``farewell``: the 421
    that follows its answer, and why the session ends with it. ``refusal``: what the greeting
    refused the whole service with (RFC 7504). ``lmtp``: the profile is LMTP's. ``reversed``: an
    ATRN was accepted, and the roles may be reversed.
    """

    __slots__ = (
        "client",
        "commands",
        "config",
        "events",
        "farewell",
        "input",
        "lmtp",
        "offering",
        "outbox",
        "pending",
        "reader",
        "refusal",
        "reversed",
        "state",
        "tally",
        "transaction",
    )

    def __init__(
        self,
        config: ServerConfig,
        commands: Reader,
        tls: TlsInfo | None,
        peer: Peer | None,
        suffix: str,
    ) -> None:
        limits = config.limits
        self.config: ServerConfig = config
        self.commands: Reader = commands
        self.outbox: Outbox = Outbox(config, suffix)
        self.input: Input = Input(limits.backlog)
        self.tally: Tally = Tally(limits)
        self.client: Client = Client(config, tls, peer)
        self.offering: Offering = Offering(config, self.client)
        self.transaction: Transaction = NO_TRANSACTION
        self.state: State = State.GREETING
        self.reader: Reader = GREETING
        self.events: list[ServerEvent] = []
        self.pending: ServerRequest | None = None
        self.farewell: tuple[Reply, CloseReason] | None = None
        self.refusal: Reply | None = None
        self.lmtp: bool = config.profile is Profile.LMTP
        self.reversed: bool = False

    # -- where it is

    def enter(self, command: str) -> None:
        """Go where the table says that a command leads."""
        self.state = self.state.commands[command]

    def hand_over(self, reader: Reader) -> None:
        """What comes next is this reader's."""
        self.reader = reader

    def listen(self) -> None:
        """What comes next are commands."""
        self.reader = self.commands

    def end_transaction(self) -> None:
        """The message is answered: the transaction is over, whatever the answer (§4.1.1.4)."""
        self.state = READY
        self.transaction = NO_TRANSACTION

    def forget_transaction(self) -> None:
        """RSET, and what is as good as one; a message that was begun is aborted."""
        body = self.transaction.body
        self.transaction = NO_TRANSACTION
        if body is not None and body.open:
            self.tell(MessageAborted(Aborted.RESET))

    # -- what rules check: each raises Refused

    def check_place(self, word: str) -> None:
        """Nothing is required before the command, and the table of states has it here."""
        offering = self.offering
        if offering.required is not None:
            required = offering.required_before(COMMANDS[word])
            if required is not None:
                raise Refused(required)
        if word not in self.state.commands:
            raise Refused(self.refusal_of_place(word))

    def refusal_of_place(self, word: str) -> ReplyKind:
        """What a command is refused with that the table of states does not have here."""
        # RFC 5321 §3.3, RFC 2033 §4.2: a body without a recipient has a reply of its own.
        no_recipients = word == "DATA" and self.state is State.MAIL
        return ReplyKind.NO_RECIPIENTS if no_recipients else BAD_SEQUENCE

    def check_junk(self) -> None:
        """The client may waste one more command that moves no mail."""
        if not self.tally.spend_junk():
            raise OverBudget(ReplyKind.TOO_MANY_COMMANDS)

    # -- refusing

    def refuse(
        self,
        line: bytes,
        reply: Reply | ReplyKind,
        *,
        counts: bool = True,
        follows: bool = False,
        times: int = 1,
    ) -> None:
        """Answer a line that cannot be taken; tell of it; count it, once.

        ``follows``: where a refusal stands before it from which it follows, that was the error, and
        this is none: a client that pipelines has sent both before it could know (RFC 2920 §3.1).
        ``times``: how many replies it has; in LMTP the last chunk has one a recipient, or none.
        """
        tally, outbox = self.tally, self.outbox
        verb = line[:4].upper()
        self.client.expect_response_to(line)
        if tally.error(counts=counts, follows=follows) and self._begins_group(verb):
            tally.excuse()
        if tally.has_too_many_errors:
            self.end_over_budget(line, ReplyKind.TOO_MANY_ERRORS)
            return
        if not times:
            return
        if verb not in GROUPED:
            outbox.hurry()
        if isinstance(reply, ReplyKind):
            octets = outbox.octets_of(reply)
            reply = outbox.text(reply)
        else:
            reply = outbox.suffixed(reply)
            octets = outbox.octets(reply)
        for _ in range(times):
            outbox.put(octets)
        self.events.append(InvalidCommand(self.client.shown(line), reply))
        if announced_body(line) == b"DATA":
            self.expect_unframed_body()

    def _begins_group(self, verb: bytes) -> bool:
        """Whether commands behind this one were sent in the hope of its success."""
        return verb in BEGINNINGS or (verb == b"RCPT" and self.transaction.mail is not None)

    def end_over_budget(self, line: bytes, kind: ReplyKind) -> None:
        """A line was one too many: 421 instead of its reply, and the end."""
        reply = self.outbox.text(kind)
        self.outbox.say(kind)
        self.events.append(InvalidCommand(self.client.shown(line), reply))
        self.close(CloseReason.ERRORS, reply)

    def end_behind_answer(self, kind: ReplyKind) -> None:
        """An answer of the application's was one refusal too many: 421 behind it, and the end."""
        if self.state is not CLOSED:
            self.outbox.say(kind)
            self.close(CloseReason.ERRORS, self.outbox.text(kind))

    def count_wasted(self) -> None:
        """A refusal of the application's is junk, too."""
        if not self.tally.spend_junk():
            self.end_behind_answer(ReplyKind.TOO_MANY_COMMANDS)

    def refusal_of_service(self) -> Reply:
        """RFC 7504 §3: after 521 everything is 521; RFC 5321 §3.1: after 554, 503."""
        if self.refusal is not None and self.refusal.code == 521:
            return self.refusal
        return self.config.texts[BAD_SEQUENCE]

    def expect_unframed_body(self) -> None:
        """DATA is refused: its body may come all the same, if the client does not wait (RFC 2920).

        What has come before the refusal is handed out cannot be an answer to it.
        """
        self.reader = UNFRAMED_BODY if self.input.waiting else BEHIND_REFUSED_DATA

    def close_if_unframed(self, line: bytes, offset: int) -> None:
        """What follows a broken BDAT or DATA cannot be told from commands (RFC 3030 §2)."""
        announced = announced_body(line)
        if announced and self.state is not CLOSED:
            chunk = announced == b"BDAT"
            kind = ViolationKind.CHUNK_SIZE if chunk else ViolationKind.UNFRAMED_BODY
            self.violation(kind, offset)

    def violation(
        self, kind: ViolationKind, offset: int, closing: ReplyKind | None = ReplyKind.CLOSING
    ) -> Policy:
        """Tell of a violation; where its policy is to close, say ``closing`` and do so."""
        policy = self.config.policy(kind)
        fatal = policy is Policy.CLOSE
        self.events.append(ProtocolViolation(kind, offset, fatal))
        if fatal:
            reply = None if closing is None else self.outbox.text(closing)
            if closing is not None:
                self.outbox.say(closing)
            self.close(CloseReason.VIOLATION, reply)
        return policy

    def drop(self, octets: int) -> bool:
        """Count octets that are dropped; past the limit close, and say False."""
        if self.tally.spend_dropped(octets):
            return True
        self.violation(ViolationKind.TOO_MUCH, self.input.offset, ReplyKind.TOO_MUCH)
        return False

    def refuse_early_talk(self) -> None:
        """RFC 5321 §4.3.1: a client waits for the greeting; Exim's PIPECONNECT does not."""
        if self.reader.awaits_greeting and "PIPECONNECT" not in self.client.listed:
            self.violation(ViolationKind.EARLY_TALK, self.input.offset, ReplyKind.EARLY_TALK)

    # -- asking and telling

    def ask(self, question: ServerRequest) -> Item | None:
        """Ask, once the events before it have been told."""
        self.pending = question
        if not self.events:
            return question
        self.events.append(question)
        return None

    def ask_later(self, question: ServerRequest) -> None:
        """Ask, while the application answers another question."""
        self.pending = question
        self.events.append(question)

    def asked(self) -> ServerRequest | None:
        """The pending question; None as long as it waits behind other events to be told."""
        pending = self.pending
        told = not self.events or all(event is not pending for event in self.events)
        return pending if told else None

    def tell(self, event: ServerEvent) -> None:
        """Tell what needs no answer."""
        self.events.append(event)

    def call_trace(self, item: Item) -> None:
        """Tell the trace what came and went."""
        try:
            self.outbox.call_trace()
        except BaseException:
            # What a trace raises changes nothing: the event is still to come.
            if not isinstance(item, Need):
                self.events.insert(0, item)
            raise

    def more(self) -> Item | None:
        """More octets are needed: they are to be read, or there are none to come."""
        if not self.input.ended:
            return NEED_DATA
        self.close(CloseReason.EOF, error=INSIDE_A_LINE if self.input.waiting else "")
        return None

    # -- answering

    def accept(
        self, replies: Replies, positive: int = 0, *, utf8: bool = False
    ) -> tuple[Reply, bytes]:
        """The one reply given: ``positive`` (0: any 2yz), 4yz or 5yz; and its octets.

        Raises LocalProtocolError for all else; nothing has changed then.
        """
        if len(replies) != 1:
            raise LocalProtocolError(f"{type(self.pending).__name__} takes one reply")
        reply = replies[0]
        code = reply.code
        if not (code == positive if positive else 200 <= code < 300) and code < 400:
            raise LocalProtocolError(
                f"{code} is no legal reply to {type(self.pending).__name__}:"
                f" give {positive or '2yz'}, 4yz or 5yz"
            )
        return reply, self.outbox.completed(reply, utf8=utf8)

    def answer(self, reply: Reply, octets: bytes) -> None:
        """Queue the application's reply; the question is answered."""
        self.outbox.put(octets)
        self.settle(reply)

    def answer_by_default(self, kind: ReplyKind) -> None:
        """Queue the service's own reply; the question is answered."""
        self.outbox.say(kind)
        self.pending = None
        if self.farewell is not None:
            self.settle()

    def answered(self) -> None:
        """The question is answered; its reply is still to come."""
        self.pending = None
        self.tally.steps += 1

    def settle(self, reply: Reply | None = None) -> None:
        """The question is answered. A 421 ends the session: as the answer, or behind it."""
        self.pending = None
        self.tally.steps += 1
        if reply is not None and reply.code == 421:
            self.close(CloseReason.SHUTDOWN, reply)
        elif self.farewell is not None:
            farewell, reason = self.farewell
            if self.state is not HANDSHAKING:
                self.outbox.put(self.outbox.octets(farewell))
            self.close(reason, farewell)

    # -- the end

    def shut_down(self, reply: Reply | None) -> None:
        """End with 421: now, or behind the reply that is owed (RFC 5321 §3.8)."""
        reply = self.outbox.text(ReplyKind.SHUTDOWN) if reply is None else reply
        if reply.code != 421:
            raise LocalProtocolError("a server shuts down with 421 (RFC 5321 §3.8)")
        self.end_when_answered(complete(reply), CloseReason.SHUTDOWN)

    def end_when_answered(self, reply: Reply, reason: CloseReason) -> None:
        """Say 421 and end: now, or behind the reply that is owed."""
        octets = self.outbox.octets(reply)
        if self.state is CLOSED or self.farewell is not None:
            return
        if self.pending is not None:
            self.farewell = reply, reason
            return
        if self.state is not HANDSHAKING:
            self.outbox.put(octets)
        self.close(reason, reply)

    def close(self, reason: CloseReason, reply: Reply | None = None, error: str = "") -> None:
        """The session is over."""
        assert self.state is not CLOSED, "a session ends once"  # noqa: S101
        body = self.transaction.body
        if body is not None:
            if body.open or self._end_is_untold():
                aborted = ABORTED_BY.get(reason, Aborted.CLOSED)
                self.events.append(MessageAborted(aborted, reply))
            self.transaction.body = None
        # What was not told yet cannot be answered any more.
        self.events = [event for event in self.events if not isinstance(event, Request)]
        self.events.append(Closed(reason, reply, error))
        self.state = CLOSED
        self.reader = ENDED
        self.pending = None
        self.input.shut()
        self.input.clear()

    def _end_is_untold(self) -> bool:
        """Whether a message has ended and nobody knows: a trace raised when it was to be told."""
        return any(isinstance(event, EndOfMessage) for event in self.events)


def announced_body(line: bytes) -> bytes:
    """``BDAT`` or ``DATA`` where a line, however damaged, looks like it; else nothing."""
    if line[:1] not in BODY_STARTS:
        return b""  # as nearly always: without the calls below
    start = line.lstrip(b" \t")[:5].upper()
    if start[:4] == b"BDAT":
        return b"BDAT"
    return b"DATA" if start.rstrip(b" \t\r") == b"DATA" else b""
