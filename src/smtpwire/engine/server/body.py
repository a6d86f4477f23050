"""How a server receives a message: DATA (RFC 5321 §4.1.1.4), BDAT (RFC 3030), BURL (RFC 4468)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast, final

from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    BodyChunk,
    EndOfMessage,
    body_chunk,
    end_of_message,
    proven_envelope,
)
from smtpwire.engine.need import NEED_DATA, NEED_WRITE
from smtpwire.engine.policy import Policy
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.answers import default_kind
from smtpwire.engine.server.reader import Item, Reader
from smtpwire.engine.server.session import CLOSED, FOLLOWING, READY, Refused, Replies, Session
from smtpwire.engine.server.transaction import NO_TRANSACTION, Body, Transaction, Verdicts
from smtpwire.engine.server_config import complete
from smtpwire.engine.state import State
from smtpwire.engine.violation import ViolationKind
from smtpwire.wire.body import REJECT, DotDecoder, LineEndingCheck
from smtpwire.wire.command import Bdat, Data
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

if TYPE_CHECKING:
    from smtpwire.extensions import Burl

__all__ = [
    "answer_burl",
    "answer_data",
    "answer_end",
    "bdat",
    "burl",
    "data",
    "early_verdict",
    "read_past",
    "refuse_chunk",
]

# Bound once: a member looked up on its enum costs as much as a small call on CPython 3.11.
SEND_DATA: Final = default_kind("DATA")
MESSAGE_OK: Final = default_kind("(end of data)")
TOO_LARGE: Final = ReplyKind.TOO_LARGE
DATA: Final = COMMANDS["DATA"]
BDAT: Final = COMMANDS["BDAT"]
AT_ONCE: Final = 65536
"""Octets of a body decoded at once: what stands behind its end is copied."""


# -- readers: what the octets of a body are


@final
class DotStuffedBody(Body):
    """The body by DATA, up to CRLF.CRLF (RFC 5321 §4.5.2)."""

    __slots__ = ("_complete", "_decoder", "_start")

    def __init__(self, decoder: DotDecoder, start: int) -> None:
        self.open = True  # DATA has been answered
        self.size: int = 0
        self.refusal: Reply | None = None
        self.failed = False
        self._decoder = decoder
        self._start = start  # octets of the connection before it
        self._complete = False

    def read(self, session: Session) -> Item | None:
        decoder, received = self._decoder, session.input
        if self._complete:
            return end_of_body(session, self, canonical=decoder.canonical)
        waiting = received.waiting
        if not waiting:
            return session.more() if received.ended else NEED_DATA
        if session.outbox.urgent and session.outbox.queue:
            return NEED_WRITE  # RFC 2920 §3.2: the 354 must not wait for the body
        # It has no name here: the decoder is the last to need it, and copies it.
        content = decoder.decode(received.take(AT_ONCE))
        if decoder.finished:
            self._complete = True
            if decoder.rest:
                received.give_back(decoder.rest)
        if content and decoder.violation is None and self.refusal is None:
            # What take_content() does where nothing is wrong: a call less for each message.
            size = self.size + len(content)
            if not 0 < session.offering.plan.message < size:
                session.tally.content += len(content)
                self.size = size
                return body_chunk(content)
        return self._take(session, waiting - received.waiting, content)

    def _take(self, session: Session, size: int, content: bytes) -> BodyChunk | None:
        """Take what does not just go on: a violation, a message too large or refused."""
        decoder = self._decoder
        if self.refusal is not None and not decoder.finished:
            session.tally.content += size  # of which the decoder gives no more
            session.drop(size)
            return None
        item = take_content(session, self, content) if content else None
        if decoder.violation is not None and self.refusal is None:
            if item is not None:
                session.tell(item)
            kind = ViolationKind.BARE_CR if decoder.bare == b"\r" else ViolationKind.BARE_LF
            refuse_bare(session, self, kind, self._start + decoder.violation)
            return None
        return item

    def discard(self) -> None:
        self._decoder.discard()


@final
class ChunkedBody(Body):
    """The body in counted chunks (RFC 3030 §2): ``left`` octets of this one are still to come.

    ``last``: it is the last. ``url``: the first chunk stands there (RFC 4468), to be asked for once
    Data has been answered. ``_strict``: a bare CR or LF fails the message.
    """

    __slots__ = ("_check", "_strict", "last", "left", "url")

    def __init__(
        self, check: LineEndingCheck | None, size: int, *, last: bool, strict: bool
    ) -> None:
        self.open = False  # until Data has been answered
        self.size: int = 0
        self.refusal: Reply | None = None
        self.failed = False
        self._check = check
        self._strict = strict and check is not None
        self.left: int = size
        self.last: bool = last
        self.url: Burl | None = None

    def read(self, session: Session) -> Item | None:
        if not self.left:
            return self.end_chunk(session)
        received = session.input
        if not received.waiting:
            return session.more() if received.ended else NEED_DATA
        octets = received.take(self.left)
        size = len(octets)
        self.left -= size
        if self.refusal is not None or 0 < session.offering.plan.message < self.size + size:
            return take_content(session, self, octets)
        # What take_content() does where all of it fits: a call less for each read.
        session.tally.content += size
        if not self.passes(session, octets, size):
            return None
        self.size += size
        return body_chunk(octets)

    def expect(self, size: int, *, last: bool) -> None:
        """The next chunk has so many octets."""
        self.left, self.last = size, last

    def end_chunk(self, session: Session) -> Item | None:
        """The last one ends the body; the engine answers any other."""
        session.listen()
        if self.last:
            canonical = self._is_canonical()
            if self._strict and self.open and not canonical:  # CR is the last octet
                refuse_bare(session, self, ViolationKind.BARE_CR, session.input.offset - 1)
                if session.state is CLOSED:
                    return None
            return end_of_body(session, self, canonical=canonical)
        if self.refusal is None:
            session.outbox.say(ReplyKind.CHUNK_OK)
        else:
            self.fail_chunks(session)
            session.outbox.put(session.outbox.octets(self.refusal))
            session.count_wasted()
        return None

    def _is_canonical(self) -> bool:
        """Whether the content is known to have no bare CR and LF."""
        if self._check is None:
            return False
        self._check.update(b"", last=True)
        return self._check.canonical

    def passes(self, session: Session, octets: bytes, size: int) -> bool:
        """Look at content; False where it has a bare CR or LF that fails the message.

        What stands before it is handed on; of a CR, what follows tells that it is bare. ``size``:
        octets that came with it.
        """
        check = self._check
        if check is None:
            return True
        if not self._strict:
            check.update(octets)
            return True
        bare = check.find(octets)
        if bare is None:
            return True
        is_cr = bare < 0 or octets[bare : bare + 1] == b"\r"
        if before := octets[: bare + 1 if is_cr else bare]:
            session.tell(BodyChunk(before))
        kind = ViolationKind.BARE_CR if is_cr else ViolationKind.BARE_LF
        refuse_bare(session, self, kind, session.input.offset - size + bare)
        return False


def take_content(session: Session, body: Body, octets: bytes) -> BodyChunk | None:
    """Hand on a piece of content, unless it no longer matters."""
    size = len(octets)
    session.tally.content += size
    if body.refusal is not None:
        session.drop(size)
        return None
    limit = session.offering.plan.message
    room = limit - body.size if limit else size
    if size > room:  # hand on what fits, so that it does not matter how the content was cut
        octets = octets[:room]
    if isinstance(body, ChunkedBody) and not body.passes(session, octets, size):
        return None
    if size > room:
        if octets:
            session.tell(BodyChunk(octets))
        body.fail(session, session.outbox.text(TOO_LARGE), Aborted.LIMIT)
        return None
    body.size += size
    return body_chunk(octets)


def refuse_bare(session: Session, body: Body, kind: ViolationKind, offset: int) -> None:
    """A bare CR or LF: the message fails, or the session ends."""
    if session.violation(kind, offset) is not Policy.CLOSE:
        body.fail(session, session.outbox.text(ReplyKind.BARE_LINE_END), Aborted.CONTENT)


def end_of_body(session: Session, body: Body, *, canonical: bool) -> Item | None:
    """All of the content has come: ask, or say what was decided before."""
    transaction = session.transaction
    recipients = len(transaction.recipients)
    session.reader = session.commands
    if body.refusal is not None:
        octets = session.outbox.octets(body.refusal)
        for _ in range(recipients if session.lmtp else 1):
            session.outbox.put(octets)
        session.end_transaction()
        session.count_wasted()
        return None
    body.open = False
    if session.lmtp:  # RFC 2033 §4.2
        transaction.verdicts = Verdicts(recipients)
    elif transaction.prdr:  # one more, for all of them
        transaction.verdicts = Verdicts(recipients + 1)
    mail = transaction.mail
    assert mail is not None, "a body belongs to a transaction"  # noqa: S101
    envelope = proven_envelope(mail, tuple(transaction.recipients))
    return session.ask(end_of_message(envelope, body.size, canonical))


# -- DATA


def data(session: Session, command: Data, line: bytes) -> Data:
    """DATA (RFC 5321 §4.1.1.4)."""
    if session.transaction.binary:
        raise Refused(ReplyKind.BAD_SEQUENCE)  # RFC 3030 §3
    return command


def answer_data(session: Session, question: Data, replies: Replies) -> None:
    """354 lets the body come; for the first chunk it has come already."""
    if question.chunking:
        answer_first_chunk(session, replies)
        return
    reply = octets = None
    if replies:
        reply, octets = session.accept(replies, DATA.positive)
    session.outbox.urgent = True
    if reply is not None and octets is not None and not reply.is_intermediate:
        session.expect_unframed_body()
        session.answer(reply, octets)
        session.count_wasted()
        return
    session.state = session.state.commands["DATA"]
    body = DotStuffedBody(DotDecoder(session.config.line_endings), session.input.offset)
    session.transaction.body = session.reader = body
    if reply is None or octets is None:
        session.answer_by_default(SEND_DATA)
    else:
        session.answer(reply, octets)


# -- BDAT and BURL


def bdat(session: Session, command: Bdat, line: bytes) -> Data | None:
    """BDAT (RFC 3030 §2): the chunk is framed whatever becomes of it."""
    size, body = command.size, chunks(session)
    if session.refusal is not None:
        reply = session.refusal_of_service()
        raise RefusedChunk(size, reply, replies_to_refused(session, command), follows=True)
    kind = chunk_refusal(session, command, body)
    if kind is not None:
        reply = session.config.texts[kind]
        times, follows = replies_to_refused(session, command), kind in FOLLOWING
        raise RefusedChunk(size, reply, times, follows=follows)
    if never_fits(session, body, size):
        reply = session.config.texts[TOO_LARGE]
        if body is not None and body.refusal is not None:
            reply = body.refusal
        raise EndlessChunk(reply, replies_to_refused(session, command))
    if not size and not command.last:
        session.check_junk()
    if body is None:
        begin_chunks(session, size, last=command.last)
        return Data(chunking=True)
    body.expect(size, last=command.last)
    session.hand_over(body)
    return None


def chunk_refusal(session: Session, command: Bdat, body: ChunkedBody | None) -> ReplyKind | None:
    """Why the chunk is not wanted, if it is not."""
    offering = session.offering
    if not offering.plan.chunking:
        return ReplyKind.NOT_IMPLEMENTED
    if body is not None and body.failed:
        return ReplyKind.BODY_FAILED
    if offering.required is not None:
        return offering.required_before(BDAT)
    if session.state is State.MAIL:
        return ReplyKind.NO_RECIPIENTS
    return None if "BDAT" in session.state.commands else ReplyKind.BAD_SEQUENCE


def never_fits(session: Session, body: ChunkedBody | None, size: int) -> bool:
    """Whether a chunk is more than the message may still have and what may be dropped of it."""
    if body is not None and body.refusal is not None:
        return size > session.tally.may_drop
    limit = session.offering.plan.message
    had = 0 if body is None else body.size
    return 0 < limit < had + size - session.config.limits.swallow


def replies_to_refused(session: Session, command: Bdat) -> int:
    """RFC 2033 §4.3: LAST has a reply a recipient, and none where there is no recipient."""
    a_recipient = session.lmtp and command.last and session.offering.plan.chunking
    return len(session.transaction.recipients) if a_recipient else 1


def begin_chunks(session: Session, size: int, *, last: bool) -> ChunkedBody:
    """The first chunk of a message, by BDAT or BURL."""
    transaction, config = session.transaction, session.config
    check = LineEndingCheck() if config.check_chunks else None
    # RFC 3030 §2: text has CRLF at its line ends by BDAT, too; only BINARYMIME is any octets.
    strict = config.line_endings is REJECT and not transaction.binary
    body = ChunkedBody(check, size, last=last, strict=strict)
    transaction.body = body
    return body


def chunks(session: Session) -> ChunkedBody | None:
    """The body in chunks that comes, if one does."""
    body = session.transaction.body
    return body if isinstance(body, ChunkedBody) else None


def running_chunks(session: Session) -> ChunkedBody:
    """The same, where one is known to come."""
    return cast("ChunkedBody", session.transaction.body)


def answer_first_chunk(session: Session, replies: Replies) -> None:
    """Nothing is sent yet: a refusal is the answer to the chunk, once it has been read."""
    reply = octets = None
    if len(replies) == 1 and replies[0].is_positive:
        reply = replies[0]
    elif replies:
        reply, octets = session.accept(replies, DATA.positive)
    body = running_chunks(session)
    url, body.url = body.url, None
    session.enter("BDAT")
    session.hand_over(body)
    body.open = reply is None or reply.code < 400
    if reply is not None and not body.open:
        body.refuse(session, complete(reply))
    if reply is not None and octets is not None and reply.code == 421:
        session.answer(reply, octets)
        return
    session.settle()
    if url is not None and body.open and session.state is not CLOSED:
        session.ask_later(url)


def burl(session: Session, command: Burl, line: bytes) -> Data | Burl | None:
    """A chunk the application fetches itself (RFC 4468 §3.2)."""
    body = chunks(session)
    if body is None:
        begin_chunks(session, 0, last=command.last).url = command
        return Data(chunking=True)
    if body.failed:
        raise Refused(ReplyKind.BODY_FAILED)
    session.check_junk()
    body.expect(0, last=command.last)
    if body.refusal is None:
        return command
    body.end_chunk(session)
    return None


def answer_burl(session: Session, _: Burl, replies: Replies) -> None:
    """The application has fetched the chunk, or cannot."""
    body = running_chunks(session)
    given = replies or (session.outbox.text(default_kind("BURL")),)
    reply, octets = session.accept(given)
    if reply.is_positive and body.last:
        session.hand_over(body)  # which ends the message, unless the session ends before
        session.settle()
        return
    session.listen()
    if reply.is_positive:
        session.answer(reply, octets)
        return
    body.fail(session, complete(reply), Aborted.REFUSED)
    body.fail_chunks(session)
    if body.last:
        session.end_transaction()
    session.answer(reply, octets)
    session.count_wasted()


# -- chunks that are not wanted: a body is never read as commands


@final
class UnwantedChunk(Reader):
    """A chunk of which nothing is kept; it is refused once its octets have come (RFC 3030 §2)."""

    __slots__ = ("_follows", "_left", "_line", "_reply", "_times")
    reads_body = True

    def __init__(self, line: bytes, size: int, reply: Reply, *, times: int, follows: bool) -> None:
        self._line = line
        self._left = size
        self._reply = reply
        self._times = times
        self._follows = follows

    def read(self, session: Session) -> Item | None:
        if self._left:
            octets = session.input.take(self._left)
            if not octets:
                return session.more()
            self._left -= len(octets)
            session.tally.content += len(octets)
            session.drop(len(octets))
            return None
        session.listen()
        session.refuse(self._line, self._reply, follows=self._follows, times=self._times)
        return None


@final
class RefusedChunk(Refused):
    """BDAT is refused once its octets have been dropped, with so many replies."""

    def __init__(self, size: int, reply: Reply, times: int, *, follows: bool) -> None:
        super().__init__(reply, follows=follows)
        self._chunk = size, reply, times

    def take_effect(self, session: Session, line: bytes) -> None:
        size, reply, times = self._chunk
        read_past(session, line, size, reply, times=times, follows=self.follows)


@final
class EndlessChunk(Refused):
    """BDAT announces more than may come and be dropped: nobody waits for its end."""

    def __init__(self, reply: Reply, times: int) -> None:
        super().__init__(reply)
        self._answer = reply, times

    def take_effect(self, session: Session, line: bytes) -> None:
        refuse_endless(session, line, *self._answer)


def read_past(
    session: Session,
    line: bytes,
    size: int,
    reply: Reply,
    *,
    times: int = 1,
    follows: bool = False,
) -> None:
    """Drop a chunk's octets, then refuse it with so many replies (RFC 3030 §2).

    One that never could be dropped whole is refused before it comes, and that is the end.
    """
    tally = session.tally
    if not (follows and tally.excused):
        tally.drop_anew()
    if size > tally.may_drop:
        refuse_endless(session, line, reply, times)
    else:
        session.hand_over(UnwantedChunk(line, size, reply, times=times, follows=follows))


def refuse_endless(session: Session, line: bytes, reply: Reply, times: int) -> None:
    """Refuse a chunk that is more than may come and be dropped, and end the session."""
    body = session.transaction.body
    if body is not None and body.open:
        body.fail(session, reply, Aborted.LIMIT)
    session.refuse(line, reply, times=times)
    if session.state is not CLOSED:
        session.violation(ViolationKind.TOO_MUCH, session.input.offset, ReplyKind.TOO_MUCH)


def refuse_chunk(session: Session, line: bytes, size: int, reply: Reply) -> None:
    """A chunk whose line is no command, but tells its size: the message lacks it."""
    body = session.transaction.body
    if body is not None and body.open:
        body.fail(session, reply, Aborted.CONTENT)
        body.fail_chunks(session)
    read_past(session, line, size, reply)


# -- the verdict


def early_verdict(session: Session, replies: Replies, to: Request | None) -> None:
    """A refusal while the body comes, once, for all recipients."""
    body = session.transaction.body
    if body is None or not body.open or to is not None or len(replies) != 1:
        raise LocalProtocolError("no question is pending")
    if session.pending is not None:  # BURL, which would be answered with the message refused
        raise LocalProtocolError("a question is still to be told: call next_event() first")
    reply = complete(replies[0])
    if reply.code < 400:
        raise LocalProtocolError("an early verdict is 4yz or 5yz")
    session.outbox.octets(reply)  # raises where it cannot be sent
    body.fail(session, reply, Aborted.REFUSED)
    if reply.code == 421:
        session.shut_down(reply)


def answer_end(session: Session, _: EndOfMessage, replies: Replies) -> None:
    """The message is taken or refused: as a whole, or for each recipient."""
    transaction = session.transaction
    if transaction.verdicts is not None:
        answer_recipients(session, transaction, transaction.verdicts, replies)
        return
    if not replies:
        session.state = READY
        session.transaction = NO_TRANSACTION
        session.tally.message_accepted()
        session.answer_by_default(MESSAGE_OK)
        return
    reply, octets = session.accept(replies, utf8=transaction.utf8)
    session.end_transaction()
    if reply.is_positive:
        session.tally.message_accepted()
    session.answer(reply, octets)
    if not reply.is_positive:
        session.count_wasted()


def answer_recipients(
    session: Session, transaction: Transaction, verdicts: Verdicts, replies: Replies
) -> None:
    """LMTP and PRDR: a reply a recipient, in order (RFC 2033 §4.2)."""
    outbox, utf8 = session.outbox, transaction.utf8
    if len(replies) > verdicts.owed:
        raise LocalProtocolError(f"{verdicts.owed} replies are owed, not {len(replies)}")
    given = [complete(session.accept((reply,), utf8=utf8)[0]) for reply in replies]
    closing = next((reply for reply in given if reply.code == 421), None)
    if closing is not None:
        given = up_to_closing(session, transaction, verdicts, given, closing)
    if not given:
        missing = len(transaction.recipients) - len(verdicts.replies)
        given = [outbox.text(MESSAGE_OK)] * missing
        if transaction.prdr:
            given.append(overall(session, [*verdicts.replies, *given]))
    if transaction.prdr and not verdicts.replies:
        outbox.say(ReplyKind.RECIPIENTS_FIRST)
    for reply in given:
        outbox.put(outbox.octets(reply, utf8=utf8))
    verdicts.add(given)
    if verdicts.owed and closing is None:
        return
    accepted = any(reply.is_positive for reply in verdicts.replies)
    session.end_transaction()
    if accepted:
        session.tally.message_accepted()
    session.settle(closing)
    if not accepted:
        session.count_wasted()


def up_to_closing(
    session: Session,
    transaction: Transaction,
    verdicts: Verdicts,
    given: list[Reply],
    closing: Reply,
) -> list[Reply]:
    """The replies up to a 421, which is the last.

    A recipient who is accepted has that reply before it, or the client would send the message again
    to the one who has it: where one stands behind the 421, that is 451 for its own recipient (RFC
    5321 §3.8), and comes when all have been said. In PRDR the overall reply decides, so that those
    still owed come before it as well.
    """
    later = Reply(451, closing.text, closing.enhanced)
    at = given.index(closing)
    passed = any(reply.is_positive for reply in given[at:])
    replies = [later if reply.code == 421 else reply for reply in given] if passed else given[:at]
    owed = verdicts.owed - len(replies)
    accepted = any(reply.is_positive for reply in (*verdicts.replies, *replies))
    if transaction.prdr and accepted and owed > (0 if passed else 1):
        replies += [later] * (owed - 1)
        replies.append(overall(session, [*verdicts.replies, *replies]))
    return [*replies, closing]


def overall(session: Session, replies: Iterable[Reply]) -> Reply:
    """PRDR's final reply: good where any recipient's was, else the least lasting refusal."""
    replies = list(replies)
    if any(reply.is_positive for reply in replies):
        return session.outbox.text(MESSAGE_OK)
    if any(reply.is_transient for reply in replies):
        return Reply(450, "No recipient accepted the message", "4.0.0")
    return Reply(550, "No recipient accepted the message", "5.0.0")
