"""Sending a message: one transaction or several, and what became of each recipient."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Unpack, final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client.commands import before_tls
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
from smtpwire.engine.security import TLS_NEEDED
from smtpwire.engine.state import (
    STATE_CHUNKS,
    STATE_CLOSED,
    STATE_MAIL,
    STATE_RCPT,
    STATE_READY,
)
from smtpwire.operations.content import END_OF_CONTENT, HANDED_IN, Content, checked_content
from smtpwire.operations.message import (
    Plan,
    Recipient,
    Sender,
    SendOptions,
    UnsendableError,
    beyond_ascii,
    check_claimed_size,
    checked_options,
    plan,
    rcpts_of,
)
from smtpwire.operations.operation import (
    Operation,
    SessionError,
    alone,
    reset_session,
    why_closed,
)
from smtpwire.wire.address import Address
from smtpwire.wire.body import LineNormaliser
from smtpwire.wire.command import Bdat, Data, Mail, Rcpt
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.octets import octets_of
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import END_OF_DATA
from smtpwire.wire.status import DONE, Disposition, classify
from smtpwire.wire.value import value

__all__ = ["MessageRefused", "RecipientResult", "SendResult", "check_open", "send", "send_mail"]

PIECE: Final = 64 * 1024
_OPEN: Final = (STATE_MAIL, STATE_RCPT, STATE_CHUNKS)
_NO_MORE: Final = (Need, Closed)
"""Nothing more will be told; a union of them would be made anew at each look."""
_REFUSED: Final = 400
_LEAD_ON: Final = (Rcpt, Mail, Data, Bdat)
"""Where these are not refused, a reply to a later command is owed."""


@final
@value
class RecipientResult:
    """What became of the message for one recipient.

    reply: the one that decided; None where none came.
    outcome: DONE, RETRY (later), PERMANENT, or UNKNOWN: the message had left and no verdict came,
        so that another attempt may deliver it twice (RFC 5321 §4.5.3.2.6).
    command: what was refused or lost: "MAIL", "RCPT", "DATA", "BDAT" (a chunk before the last), or
        ``END_OF_DATA``; "" where the outcome is DONE.
    reason: why, where no reply says it: how the connection ended, or why nothing was sent.
    session_used_up: the server takes no more of it in this session (RFC 9422), and the recipient
        was not tried: another connection may go on at once.
    """

    recipient: Address
    reply: Reply | None
    outcome: Disposition
    command: str = ""
    reason: str = ""
    session_used_up: bool = False


@final
@value
class SendResult:
    """What became of the message, recipient by recipient, in order, duplicates kept."""

    recipients: tuple[RecipientResult, ...]

    @property
    def accepted(self) -> tuple[RecipientResult, ...]:
        """The recipients the server has taken responsibility for."""
        return tuple(item for item in self.recipients if item.outcome is Disposition.DONE)

    @property
    def refused(self) -> tuple[RecipientResult, ...]:
        """All others: refused now or for good, or not known."""
        return tuple(item for item in self.recipients if item.outcome is not Disposition.DONE)

    @property
    def retry(self) -> tuple[RecipientResult, ...]:
        """Those to try again later: refused with 4yz, or not tried."""
        return self._with(Disposition.RETRY)

    @property
    def permanent(self) -> tuple[RecipientResult, ...]:
        """Those refused for good: tell the sender (RFC 5321 §6.1)."""
        return self._with(Disposition.PERMANENT)

    @property
    def unknown(self) -> tuple[RecipientResult, ...]:
        """Those of whom nobody knows: another attempt may deliver the message twice."""
        return self._with(Disposition.UNKNOWN)

    def raise_for_refused(self) -> None:
        """Raise MessageRefused unless every recipient was accepted."""
        if self.refused:
            raise MessageRefused(self)

    def _with(self, outcome: Disposition) -> tuple[RecipientResult, ...]:
        return tuple(item for item in self.recipients if item.outcome is outcome)


@final
class MessageRefused(SmtpwireError):
    """Not every recipient was accepted; ``result`` tells of each. The session goes on."""

    def __init__(self, result: SendResult) -> None:
        words = [f"{item.recipient}: {item.reply or item.reason}" for item in result.refused]
        accepted = f", {len(result.accepted)} accepted" if result.accepted else ""
        super().__init__(f"{len(words)} refused{accepted}: {'; '.join(words)}")
        self.result = result


def send_mail(
    conn: ClientConnection,
    sender: Sender,
    recipients: Iterable[Recipient],
    content: Content,
    **options: Unpack[SendOptions],
) -> Operation[SendResult]:
    """Send a message to all recipients, in as few transactions as the server's limits allow.

    sender: an address, None or "" for the null reverse-path, or a Mail with parameters of yours.
    recipients: addresses, or Rcpts with parameters, as DSN's.
    content: header and body. Octets are looked through. Of an iterable of chunks only what you say
        is claimed: ``size``, ``body``, ``smtputf8``. HANDED_IN: the driver hands the chunks in at
        Need.BODY, and END_OF_CONTENT at last. CR and LF alone become CRLF, unless ``body`` is
        BINARYMIME.
    options: see :class:`SendOptions`.

    Raises TypeError for wrong content and options, and LocalProtocolError where no session
    is open between transactions: nothing has been sent then. Raises UnsendableError before the
    message is begun, naming the extension the server lacks; and in the middle where content turns
    out to be other than was claimed: the connection is then aborted, and nothing has been
    delivered. What content raises has the same effect. In a later transaction than the first both
    are results, since a caller must know what has been delivered. A refusal, a lost connection and
    a session that takes no more (RFC 9422) are results. After a failed transaction the session
    goes on.
    """
    content = checked_content(content)
    options = checked_options(options)
    return alone(conn, send(conn, sender, recipients, content, options))


def send(
    conn: ClientConnection,
    sender: Sender,
    recipients: Iterable[Recipient],
    content: Content,
    options: SendOptions,
) -> Operation[SendResult]:
    """The same, inside an operation and with what has been checked."""
    if conn.state is not STATE_READY and conn.closed is not None:
        closed = conn.closed  # its offer says nothing of the message
        return SendResult(tuple(_untried(rcpt, closed) for rcpt in rcpts_of(recipients)))
    check_open(conn)
    planned = plan(conn, sender, recipients, content, options)
    results: list[RecipientResult] = []
    for rcpts in planned.transactions:
        transaction = _Transaction(conn, planned, rcpts)
        if conn.closed is None:
            try:
                yield from transaction.run()
            except Exception as error:
                if not results:
                    raise
                # What has been delivered must be told: this is these recipients' failure alone.
                transaction.give_up(error)
        results += transaction.results()
    return SendResult(tuple(results))


def _untried(rcpt: Rcpt, closed: Closed) -> RecipientResult:
    return RecipientResult(rcpt.address, None, Disposition.RETRY, "MAIL", _words(closed))


def _words(closed: Closed) -> str:
    why = why_closed(closed)
    return why if closed.reply is None else f"{why}: {closed.reply}"


def check_open(conn: ClientConnection) -> None:
    """Raise LocalProtocolError where no message can be begun; that is not the message's fault."""
    if conn.state is not STATE_READY:
        state = conn.state.value
        raise LocalProtocolError(f"no session is open between transactions: its state is {state}")
    if conn.tls is None and conn.config.security in TLS_NEEDED:
        raise before_tls("MAIL")


@final
class _Transaction:
    """One MAIL, its RCPTs and its body, and the answers to them."""

    def __init__(self, conn: ClientConnection, planned: Plan, rcpts: tuple[Rcpt, ...]) -> None:
        self._conn = conn
        self._plan = planned
        self._mail = planned.mail
        self._rcpts = rcpts
        self._data = Data(planned.chunking)
        self._left_out: dict[int, tuple[str, Exception]] = {}
        self._may_be_over = True  # False while all that has come are replies that lead on
        self._answers: dict[int, Reply | None] = {}
        self._verdicts: dict[int | None, tuple[str, Reply | None]] = {}

    def run(self) -> Operation[None]:
        """Send everything and take the answers; leave the session ready for the next."""
        self._send_envelope()
        if (yield from self._body_is_open()):
            try:
                yield from self._send_content()
            except BaseException:
                self._conn.abort("the content ended early")  # it must never look complete
                raise
            yield from self._body_is_open()
        # A transaction that failed stays open until RSET.
        if self._conn.state in _OPEN:
            with suppress(SessionError):  # the results tell what they can
                yield from reset_session(self._conn)

    def give_up(self, error: Exception) -> None:
        """None of the recipients has got it."""
        self._leave_out("DATA", error)

    def _leave_out(self, command: str, error: Exception) -> None:
        self._left_out.update((id(rcpt), (command, error)) for rcpt in self._rcpts)

    def _send_envelope(self) -> None:
        """Queue MAIL, every RCPT that can be written, and DATA if there is one."""
        conn = self._conn
        try:
            conn.send(self._mail)
        except SessionLimitError as error:
            self._leave_out("MAIL", error)
            return
        except UnwritableError as error:
            raise UnsendableError(str(error)) from error
        for rcpt in self._rcpts:
            try:
                conn.send(rcpt)
            except (SessionLimitError, UnwritableError) as error:
                self._left_out[id(rcpt)] = "RCPT", error
        if len(self._left_out) < len(self._rcpts):
            conn.send(self._data)
            self._may_be_over = False

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
            last = max(len(content) - 1, 0) // PIECE * PIECE
            for at in range(0, last, PIECE):
                self._conn.send_body(content[at : at + PIECE])
                if not (yield from self._body_is_open()):
                    return
            self._conn.send_body(content[last:] if last else content)
            self._conn.end_body()  # with the last piece, in one write
            return
        check = _ClaimCheck(self._plan)
        if content is not HANDED_IN:
            for chunk in content:
                if not (yield from self._takes(check.checked(chunk))):
                    return
        else:
            while (handed := (yield Need.BODY)) is not END_OF_CONTENT:
                if not (yield from self._takes(check.checked(handed))):
                    return
        if self._conn.state is not STATE_CLOSED:
            self._conn.end_body()

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
        if reply.code >= _REFUSED or not isinstance(command, _LEAD_ON):
            self._may_be_over = True
        if isinstance(command, EndOfData):
            self._judge(END_OF_DATA, reply, event.recipient)
        elif not isinstance(command, Bdat):
            self._answers[id(command)] = reply
        elif not reply.is_positive:
            self._judge("BDAT", reply, None)

    def _note_end(self, event: ClientEvent) -> None:
        """Any other event: of a command that has no reply, or of the connection."""
        self._may_be_over = True
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
        return [self._result(rcpt) for rcpt in self._rcpts]

    def _result(self, rcpt: Rcpt) -> RecipientResult:
        if id(rcpt) in self._left_out:
            command, error = self._left_out[id(rcpt)]
            used_up = isinstance(error, SessionLimitError)
            outcome, reason = Disposition.RETRY, str(error)
            if isinstance(error, UnsendableError | UnwritableError):
                outcome = Disposition.PERMANENT
            elif not used_up:
                reason = f"the content failed: {type(error).__name__}: {error}"
            return RecipientResult(rcpt.address, None, outcome, command, reason, used_up)
        verb, reply = self._deciding(rcpt)
        outcome = classify(verb, reply)
        if outcome is DONE:
            return RecipientResult(rcpt.address, reply, outcome)
        reason = self._why_no_reply() if reply is None else ""
        return RecipientResult(rcpt.address, reply, outcome, verb, reason)

    def _why_no_reply(self) -> str:
        closed = self._conn.closed
        return "" if closed is None else _words(closed)

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
        answer = self._answers.get(id(self._data))
        # After 354 the content has begun and was not ended: nothing has been delivered.
        return "DATA", None if answer is None or answer.is_intermediate else answer


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
