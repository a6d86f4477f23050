"""A mail transaction on its way: its commands, its content, and what became of each recipient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client.canonical import send_canonical
from smtpwire.engine.errors import LocalProtocolError, SessionLimitError, UnwritableError
from smtpwire.engine.events import (
    Cause,
    ClientEvent,
    Closed,
    EndOfData,
    ReplyReceived,
    Unanswered,
)
from smtpwire.engine.need import NEED_BODY, NEED_DATA, NEED_WRITE, Need
from smtpwire.engine.state import STATE_CHUNKS, STATE_CLOSED, STATE_MAIL, STATE_RCPT
from smtpwire.operations.content import END_OF_CONTENT, HANDED_IN
from smtpwire.operations.message import Plan, UnsendableError, beyond_ascii, check_claimed_size
from smtpwire.operations.operation import (
    Operation,
    SessionError,
    reset_refused,
    reset_session,
    why_closed,
)
from smtpwire.operations.result import RecipientResult
from smtpwire.wire.address import Address
from smtpwire.wire.body import LineNormaliser
from smtpwire.wire.command import Bdat, Command, Data, Mail, Rcpt, Rset
from smtpwire.wire.octets import octets_of
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import END_OF_DATA
from smtpwire.wire.status import DONE, Disposition, classify

__all__ = ["MailTransaction", "closing_words", "left_out"]

PIECE: Final = 64 * 1024
_OPEN: Final = (STATE_MAIL, STATE_RCPT, STATE_CHUNKS)
_NO_MORE: Final = (Need, Closed)
"""Nothing more will be told; a union of them would be made anew at each look."""
_DONE: Final = 250
_REFUSED: Final = 400
_LEAD_ON: Final = (Rcpt, Mail, Data)
"""Where these are not refused, a reply to a later command is owed, as it is where Bdat is not."""


@final
class MailTransaction:
    """One MAIL, its RCPTs and its body, and the answers to them.

    Attributes:
        was_ended: the end of its content has been queued: without an answer nobody knows.
        failure: what its content or its envelope raised; anything else is not its fault.
    """

    def __init__(self, conn: ClientConnection, planned: Plan, rcpts: tuple[Rcpt, ...]) -> None:
        self.was_ended: bool = False
        self.failure: Exception | None = None
        self._conn = conn
        self._plan = planned
        self._mail = planned.mail
        self._rcpts = rcpts
        self._data = Data(planned.chunking)
        self._before: MailTransaction | None = None  # until the first reply to this one
        self._first: Command = self._mail
        self._left_out: dict[int, tuple[str, Exception]] = {}
        self._may_be_over = True  # False while all that has come are replies that lead on
        self._answers: dict[int, Reply | None] = {}
        self._verdicts: dict[int | None, tuple[str, Reply | None]] = {}

    def run(self, before: MailTransaction | None) -> Operation[None]:
        """Send everything up to the end of the content, which :meth:`finish` or the next one takes
        the answer to.

        ``before``: the one whose end may still have to be answered. The envelope leaves with that
        end (RFC 2920 §3.1), and behind this call it has its answer.
        """
        if not self._send_envelope():
            if before is not None:
                yield from before.finish()
            return
        self._before = before
        if (yield from self._body_is_open()):
            try:
                yield from self._send_content()
            except BaseException:
                self._conn.abort("the content ended early")  # it must never look complete
                raise

    def finish(self) -> Operation[None]:
        """Take the answer to the end, and leave the session ready for whoever comes next."""
        yield from self._body_is_open()
        if self._conn.state in _OPEN:  # one that failed stays open until RSET
            with suppress(SessionError):  # the results tell what they can
                yield from reset_session(self._conn)

    def give_up(self, error: Exception) -> None:
        """None of the recipients has got it."""
        self._leave_out("DATA", error)

    def _leave_out(self, command: str, error: Exception) -> None:
        self._left_out.update((id(rcpt), (command, error)) for rcpt in self._rcpts)

    def _send_envelope(self) -> bool:
        """Queue MAIL, every RCPT that can be written, and DATA if there is one; False for nothing.

        One that failed stays open until RSET. Behind BDAT LAST RSET stands too: were the chunk
        refused, nothing but RSET might follow (RFC 3030 §2).
        """
        conn = self._conn
        commands: list[Command] = [self._mail, *self._rcpts, self._data]
        if conn.state in _OPEN:
            self._first = Rset()
            commands.insert(0, self._first)
        try:
            conn.send(*commands)
        except LocalProtocolError:
            return self._send_what_can_be()
        self._may_be_over = False
        return True

    def _send_what_can_be(self) -> bool:
        """The same one by one: something of it cannot be written."""
        conn = self._conn
        try:
            if self._first is self._mail:
                conn.send(self._mail)
            else:
                conn.send(self._first, self._mail)
        except SessionLimitError as error:
            self._leave_out("MAIL", error)
            return False
        except UnwritableError as error:
            self.failure = UnsendableError(str(error))
            raise self.failure from error
        for rcpt in self._rcpts:
            try:
                conn.send(rcpt)
            except (SessionLimitError, UnwritableError) as error:
                self._left_out[id(rcpt)] = "RCPT", error
        if len(self._left_out) < len(self._rcpts):
            conn.send(self._data)
            self._may_be_over = False
        return True

    def _body_is_open(self) -> Operation[bool]:
        """Take events until the body is open; False where the transaction is over.

        It is over with its last verdict: what comes behind that is for whoever comes next.
        """
        conn = self._conn
        while True:
            item = conn.next_event()
            if isinstance(item, ReplyReceived):
                self._note_reply(item)
            elif item is NEED_WRITE or (item is NEED_DATA and (not self._may_be_over or conn.busy)):
                yield item
            elif item is NEED_BODY:
                return True
            elif isinstance(item, _NO_MORE):
                return False
            else:
                self._note_end(item)

    def _send_content(self) -> Operation[None]:
        """All of it, or as much as the server would have."""
        content = self._plan.content
        if isinstance(content, bytes):
            conn = self._conn
            send = partial(send_canonical, conn) if self._plan.canonical else conn.send_body
            last = max(len(content) - 1, 0) // PIECE * PIECE
            for at in range(0, last, PIECE):
                send(content[at : at + PIECE])
                if not (yield from self._body_is_open()):
                    return
            send(content[last:] if last else content)
            self._end()  # with the last piece, in one write
            return
        check = _ClaimCheck(self._plan)
        chunks = None if content is HANDED_IN else _each(content)
        while True:
            try:
                if chunks is not None:
                    octets = check.checked(next(chunks))
                elif (handed := (yield NEED_BODY)) is END_OF_CONTENT:
                    break
                else:
                    octets = check.checked(handed)
            except StopIteration:
                break
            except Exception as error:
                self.failure = error
                raise
            if not (yield from self._takes(octets)):
                return
        if self._conn.state is not STATE_CLOSED:
            self._end()

    def _end(self) -> None:
        self._conn.end_body()
        self.was_ended = True

    def _takes(self, octets: bytes) -> Operation[bool]:
        """Send a chunk; False where the server would not have more, or the application has closed
        the connection while the chunk was made."""
        if self._conn.state is STATE_CLOSED:
            return False
        self._conn.send_body(octets)
        return (yield from self._body_is_open())

    # Once a reply: a class pattern of three parts costs 1,200 instructions more.
    def _note_reply(self, event: ReplyReceived) -> None:
        command, reply = event.command, event.reply
        if self._before is not None:
            if command is not self._first:
                self._before._note_reply(event)
                return
            self._before = None
        if reply.code < _REFUSED and isinstance(command, _LEAD_ON):
            self._answers[id(command)] = reply
            return
        if reply.code >= _REFUSED or not isinstance(command, Bdat):
            self._may_be_over = True
        if isinstance(command, EndOfData):
            self._judge(END_OF_DATA, reply, event.recipient)
        elif isinstance(command, Bdat):
            if not reply.is_positive:
                self._judge("BDAT", reply, None)
        elif command is not self._first or command is self._mail:
            self._answers[id(command)] = reply
        elif not reply.is_positive:
            reset_refused(self._conn, reply)

    def _note_end(self, event: ClientEvent) -> None:
        """Any other event: of a command that has no reply, or of the connection."""
        self._may_be_over = True
        if self._before is not None:
            if not isinstance(event, Unanswered) or event.command is not self._first:
                self._before._note_end(event)
                return
            self._before = None
        match event:
            case Unanswered(EndOfData(), cause, reply, recipient):
                left = cause is not Cause.NOT_SENT
                self._judge(END_OF_DATA if left else "DATA", reply, recipient)
            case Unanswered(command, _, reply):
                self._answers[id(command)] = reply
            case _:
                pass

    def _judge(self, verb: str, reply: Reply | None, recipient: Rcpt | None) -> None:
        """The verdict on the message, for one recipient or for all; the first one counts."""
        self._verdicts.setdefault(None if recipient is None else id(recipient), (verb, reply))

    def results(self) -> list[RecipientResult]:
        """What became of each recipient."""
        verdict = self._verdict_on_all()
        if verdict is None:
            return [self._result(rcpt) for rcpt in self._rcpts]
        answers = self._answers
        return [
            RecipientResult(rcpt.address, verdict, DONE)
            if (answer := answers.get(id(rcpt))) is not None and answer.code // 100 == 2
            else self._result(rcpt)
            for rcpt in self._rcpts
        ]

    def _verdict_on_all(self) -> Reply | None:
        """The 250 that is all there is to say of every recipient who was accepted.

        What :meth:`_result` would find by three calls for each: 17 % of a message to a hundred.
        """
        if self._left_out or len(self._verdicts) != 1 or None not in self._verdicts:
            return None
        verb, reply = self._verdicts[None]
        mail = self._answers.get(id(self._mail))
        if mail is None or mail.code // 100 != 2 or reply is None or reply.code != _DONE:
            return None
        return reply if verb == END_OF_DATA else None

    def _result(self, rcpt: Rcpt) -> RecipientResult:
        if id(rcpt) in self._left_out:
            command, error = self._left_out[id(rcpt)]
            return left_out(rcpt.address, command, error)
        verb, reply = self._deciding(rcpt)
        outcome = classify(verb, reply)
        if outcome is DONE:
            return RecipientResult(rcpt.address, reply, outcome)
        reason = self._why_no_reply() if reply is None else ""
        return RecipientResult(rcpt.address, reply, outcome, verb, reason)

    def _why_no_reply(self) -> str:
        closed = self._conn.closed
        return "" if closed is None else closing_words(closed)

    def _deciding(self, rcpt: Rcpt) -> tuple[str, Reply | None]:
        """The first refusal in a recipient's way, or the verdict on the message."""
        for command, verb in ((self._mail, "MAIL"), (rcpt, "RCPT")):
            reply = self._answers.get(id(command))
            # Not is_positive: twice a recipient, and 1.4 % of a message to a hundred.
            if reply is None or reply.code // 100 != 2:
                return verb, reply
        own = self._verdicts.get(id(rcpt))
        overall = self._verdicts.get(None)
        # PRDR: delivered only if the recipient's own reply and the overall one say so.
        refused = own is not None and not (own[1] is not None and own[1].is_positive)
        if own is not None and (refused or overall is None):
            return own
        if overall is not None:
            return overall
        if self.was_ended:
            return END_OF_DATA, None  # nobody has waited for it
        answer = self._answers.get(id(self._data))
        # After 354 the content has begun and was not ended: nothing has been delivered.
        return "DATA", None if answer is None or answer.is_intermediate else answer


def _each(content: Iterable[object]) -> Iterator[object]:
    """Its chunks: what makes the iterator raises with the first."""
    yield from content


@final
class _ClaimCheck:
    """Looks at chunks as they go out: whether they are what was said of the content."""

    def __init__(self, planned: Plan) -> None:
        self._plan = planned
        self._normaliser = LineNormaliser()
        self._octets = 0

    def checked(self, chunk: object) -> bytes:
        """The octets to send. Raises UnsendableError, and TypeError for what is no chunk."""
        octets = octets_of(chunk)
        if not self._plan.eight_bit and not octets.isascii():
            raise beyond_ascii()
        if self._plan.normalise:
            octets = self._normaliser.normalise(octets)
        self._octets += len(octets)
        if self._plan.size is not None:
            check_claimed_size(self._octets, self._plan.size)
        return octets


def left_out(address: Address, command: str, error: Exception) -> RecipientResult:
    """What a recipient has of an error that kept the message from being sent to it."""
    used_up = isinstance(error, SessionLimitError)
    outcome, reason = Disposition.RETRY, str(error)
    if isinstance(error, UnsendableError | UnwritableError):
        outcome = Disposition.PERMANENT
    elif not used_up:
        what = "content" if command == "DATA" else "message"
        reason = f"the {what} failed: {type(error).__name__}: {error}"
    return RecipientResult(address, None, outcome, command, reason, used_up)


def closing_words(closed: Closed) -> str:
    """How the connection ended, and what the server said to it."""
    why = why_closed(closed)
    return why if closed.reply is None else f"{why}: {closed.reply}"
