"""Reading command lines (RFC 5321 §2.3.8, §4.1.1): each is asked, answered or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final

from smtpwire.engine.commands import GROUPED
from smtpwire.engine.events import ServerRequest
from smtpwire.engine.need import NEED_DATA, NEED_WRITE
from smtpwire.engine.policy import Policy
from smtpwire.engine.redaction import REDACTED
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.body import refuse_chunk
from smtpwire.engine.server.foreign import foreign_word
from smtpwire.engine.server.reader import Item, Reader
from smtpwire.engine.server.session import (
    BAD_SEQUENCE,
    FOLLOWING,
    Refused,
    Session,
    announced_body,
)
from smtpwire.engine.state import State
from smtpwire.engine.violation import ViolationKind
from smtpwire.sasl import family
from smtpwire.wire.command import (
    PLAIN_LINE,
    VERBS,
    Bdat,
    Command,
    CommandError,
    Quit,
    chunk_size,
    parse_command,
    plain_command,
)
from smtpwire.wire.reply import Reply, proven_reply

if TYPE_CHECKING:
    from smtpwire.wire.command import ExtensionRequest

__all__ = ["EXCERPT", "CommandReader", "Judge", "LineDropper", "Rule"]

Judge: TypeAlias = Callable[[Session, Any, bytes], ServerRequest | None]
"""Given a command and its line: the question it is; None, answered already; or Refused.

Only what judges a verb of an extension looks at the line.
"""
EXCERPT: Final = 100
"""Octets of an over-long line that an event shows."""
NOT_A_LINE_END: Final = Reply(500, "A line ends with CRLF and holds no other CR or LF", "5.5.2")
TOO_LONG: Final = Reply(500, "Line too long", "5.5.2")
THIS_IS_SMTP: Final = Reply(500, "This is SMTP", "5.5.1")


@final
class Rule:
    """What a command must be to be taken.

    ``word``: its name in the table of states; where it has none, ``judge`` sees to its place.
    ``judge``: what else there is to be said.
    """

    __slots__ = ("judge", "word")

    def __init__(self, word: str, judge: Judge) -> None:
        self.word: str = word
        self.judge: Judge = judge


@final
class CommandReader(Reader):
    """Lines are commands. It has no data of a session: one serves all.

    ``rules``: by the class of the command; ``special``: by what an extension's command names;
    ``extension``: that of all others.
    """

    __slots__ = ("_extension", "_rules", "_special")

    def __init__(
        self, rules: Mapping[type[Command], Rule], special: Mapping[str, Rule], extension: Rule
    ) -> None:
        self._rules = rules
        self._special = special
        self._extension = extension

    def read(self, session: Session) -> Item | None:
        received = session.input
        if not received.waiting:
            return session.more() if received.ended else NEED_DATA
        outbox = session.outbox
        if outbox.queue and (outbox.urgent or len(outbox.queue) >= outbox.room):
            return NEED_WRITE  # RFC 2920 §3.2: this reply must not wait for more input
        if session.refusal is not None or outbox.trace is not None:
            return self._read_line(session)
        plan = session.offering.plan
        plain = received.take_match(PLAIN_LINE, plan.plain_limit)
        if plain is None:
            return self._read_line(session)
        session.tally.commands += 1
        groups = plain.groups()
        # What _judge() does, once more: a call less for each of the lines that are most.
        try:
            # Only DATA has no path. It ends its group, and so does all where nothing is pipelined.
            if (
                received.waiting
                and (groups[1] is None or not plan.pipelining)
                and not may_go_on(session, plain[0][:-2])
            ):
                return None
            command = plain_command(groups)
            rule = self._rules[type(command)]
            word = rule.word
            required = session.offering.required  # none of these commands is exempt from it
            if required is not None or word not in session.state.commands:
                # Not raised: CPython 3.11 would look up the line, for a sixth of the refusal.
                kind = session.refusal_of_place(word) if required is None else required
                session.refuse(plain[0][:-2], kind, follows=kind in FOLLOWING)
                return None
            judge = rule.judge
            question = judge(session, command, b"")
        except Refused as refused:
            refused.take_effect(session, plain[0][:-2])
            return None
        if question is None or session.events:
            return None if question is None else session.ask(question)
        session.pending = question
        return question

    def _judge(self, session: Session, line: bytes, command: Command) -> Item | None:
        rule = self._rules.get(type(command))
        if rule is None:
            rule = self._special.get(cast("ExtensionRequest", command).special, self._extension)
        try:
            word = rule.word
            if word:
                session.check_place(word)
            judge = rule.judge
            question = judge(session, command, line)
        except Refused as refused:
            refused.take_effect(session, line)
            return None
        return None if question is None else session.ask(question)

    def _read_line(self, session: Session) -> Item | None:
        """A command line of any kind."""
        received, plan = session.input, session.offering.plan
        raw = received.take_to_lf()
        if raw is None or len(raw) >= plan.read_limit:
            return read_part(session, raw)
        if not raw or raw.find(b"\r") != len(raw) - 1:
            return refuse_line_end(session, raw)
        session.tally.commands += 1
        line = raw[:-1]
        if session.outbox.trace is not None:
            session.outbox.note_received(session.client.shown(line) + b"\r\n")
        try:
            if received.waiting and ends_group(session, line) and not may_go_on(session, line):
                return None
            command = parse_command(line, plan.grammar, utf8=session.transaction.utf8)
            if session.refusal is not None and not isinstance(command, Quit | Bdat):
                raise Refused(session.refusal_of_service(), follows=True)
        except CommandError as error:
            return refuse_command(session, line, error)
        except Refused as refused:
            refused.take_effect(session, line)
            return None
        return self._judge(session, line, command)


# -- a line's place in its group (RFC 2920 §3.1)


def ends_group(session: Session, line: bytes) -> bool:
    """Whether the verb says that nothing may stand behind this line, whatever becomes of it."""
    plan = session.offering.plan
    if line[:5].upper() == b"BDAT ":  # its chunk stands behind it
        return False
    verb = line.partition(b" ")[0].rstrip(b"\t").upper()
    if verb == b"BDAT":  # without its size
        return False
    if verb in GROUPED:
        return not plan.pipelining
    if verb == b"AUTH":  # RFC 4954 §4: not where an initial response is all of the exchange
        words = line.split()
        return len(words) != 3 or not _has_one_round_trip(words[1])
    if verb in VERBS:
        return True
    entry = plan.grammar.verbs.get(verb)
    return entry is not None and not (entry.grouped and plan.pipelining)


def _has_one_round_trip(mechanism: bytes) -> bool:
    return family(mechanism.upper().decode("ascii", "replace")).one_round_trip


def may_go_on(session: Session, line: bytes) -> bool:
    """Tell that something stands behind a line that ends its group; False: that was the end.

    Raises Refused where the policy is to answer it so.
    """
    if "PIPECONNECT" in session.client.listed:
        return True
    policy = session.violation(ViolationKind.PIPELINING, session.input.offset)
    if policy is Policy.ANSWER and line.rstrip(b" \t").upper() != b"QUIT":
        raise Refused(BAD_SEQUENCE)
    return policy is not Policy.CLOSE


# -- lines that are no commands


def read_part(session: Session, raw: bytes | None) -> Item | None:
    """No line yet, or one longer than any may be."""
    received = session.input
    if raw is not None:
        received.give_back(raw + b"\n")
    start = received.peek(EXCERPT)
    if word := foreign_in_hello(session, start):
        return refuse_foreign(session, word, received.offset)
    if received.waiting < session.offering.plan.read_limit:
        if received.ended and session.outbox.trace is not None:
            session.outbox.note_received(session.client.shown(start))
        return session.more()
    kind, reply = ViolationKind.LINE_TOO_LONG, too_long(session, start)
    return refuse_broken(session, start, kind, received.offset, reply)


def refuse_line_end(session: Session, raw: bytes) -> Item | None:
    """CR or LF that is no line end: the line is answered once, and dropped up to CRLF."""
    received = session.input
    start = received.offset - len(raw) - 1
    bare_cr = raw.find(b"\r")
    if raw.endswith(b"\r"):  # the line is whole
        received.give_back(b"\r\n")
    if word := foreign_in_hello(session, raw):
        return refuse_foreign(session, word, start)
    if 0 <= bare_cr < len(raw) - 1:
        kind, offset = ViolationKind.BARE_CR, start + bare_cr
    else:
        kind, offset = ViolationKind.BARE_LF, start + len(raw)
    return refuse_broken(session, raw, kind, offset, NOT_A_LINE_END)


def refuse_broken(
    session: Session, line: bytes, kind: ViolationKind, offset: int, reply: Reply
) -> Item | None:
    """Answer a line that cannot be read, by the policy on what is wrong with it."""
    if session.outbox.trace is not None:
        session.outbox.note_received(session.client.shown(line) + b"\r\n")
    if session.violation(kind, offset) is not Policy.CLOSE:
        session.hand_over(LineDropper(session, kind))
        session.refuse(line, reply)
        session.close_if_unframed(line, offset)
    return None


def refuse_command(session: Session, line: bytes, error: CommandError) -> Item | None:
    """A line that has its CRLF, and is no command."""
    offset = session.input.offset - len(line) - 2
    if word := foreign_in_hello(session, line + b" "):
        session.input.give_back(b"\r\n")
        del session.outbox.traced[-1:]  # it is shown as it would be had only its word come
        return refuse_foreign(session, word, offset)
    reply = proven_reply(error.code, error.reason, error.enhanced)
    announced = announced_body(line)
    size = chunk_size(line) if announced == b"BDAT" else None
    if error.code == 500 and error.enhanced == "5.5.2":
        size = None
        reply = too_long(session, line)
        if session.violation(ViolationKind.LINE_TOO_LONG, offset) is Policy.CLOSE:
            return None
    refused = session.refusal is not None
    if refused:
        reply = session.refusal_of_service()
    if size is not None:
        refuse_chunk(session, line, size, reply)
        return None
    session.refuse(line, reply, follows=refused)
    if announced == b"BDAT":
        session.close_if_unframed(line, offset)
    return None


def too_long(session: Session, line: bytes) -> Reply:
    """The reply to an over-long line: AUTH has one of its own (RFC 4954 §4)."""
    if line[:4].upper() == b"AUTH":
        return session.config.texts[ReplyKind.AUTH_TOO_LONG]
    return TOO_LONG


def foreign_in_hello(session: Session, line: bytes) -> bytes:
    """Another protocol's word at the start of a line, where EHLO is to come; else nothing."""
    if session.state is not State.HELLO:
        return b""
    return foreign_word(line, session.offering.plan.grammar.verbs)


def refuse_foreign(session: Session, word: bytes, offset: int) -> Item | None:
    """Somebody speaks another protocol: only its word is looked at."""
    return refuse_broken(session, word, ViolationKind.FOREIGN_PROTOCOL, offset, THIS_IS_SMTP)


@final
class LineDropper(Reader):
    """What is left of a broken line is dropped, up to its CRLF.

    It may be a client's whole session with bare LFs, and its body may have CRLFs: what looks like a
    line that announces a body ends the connection. ``_start``: how the line now dropped begins.
    """

    __slots__ = ("_start",)

    def __init__(self, session: Session, kind: ViolationKind) -> None:
        session.tally.drop_anew()
        # Behind a bare LF something begins that the client may take for a line; else nothing.
        self._start = b"" if kind is ViolationKind.BARE_LF else REDACTED

    def read(self, session: Session) -> Item | None:
        received = session.input
        raw = received.take_to_lf()
        if raw is not None:
            start = (self._start + raw)[:EXCERPT]
            self._start = b""
            if raw.endswith(b"\r"):
                session.listen()
            if session.drop(len(raw) + 1):
                session.close_if_unframed(start, received.offset)
            return None
        octets = received.take()
        if octets.endswith(b"\r"):
            received.give_back(b"\r")
            octets = octets[:-1]
        self._start = (self._start + octets)[:EXCERPT]
        return session.more() if session.drop(len(octets)) else None
