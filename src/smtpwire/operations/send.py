"""Sending a message: one transaction or several, and what became of each recipient."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Unpack, final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.errors import LocalProtocolError, SessionLimitError
from smtpwire.engine.events import (
    Cause,
    ClientEvent,
    Closed,
    EndOfData,
    ReplyReceived,
    Unanswered,
)
from smtpwire.engine.need import NEED_BODY, NEED_DATA, NEED_WRITE, Need
from smtpwire.engine.state import State
from smtpwire.operations.message import (
    Content,
    Plan,
    Recipient,
    Sender,
    SendOptions,
    UnsendableError,
    plan,
)
from smtpwire.operations.operation import Operation, SessionError, Stage, ask
from smtpwire.wire.address import Address
from smtpwire.wire.body import LineNormaliser
from smtpwire.wire.command import Bdat, Data, Rcpt, Rset
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import END_OF_DATA, Disposition, classify
from smtpwire.wire.value import value

__all__ = ["RecipientResult", "SendResult", "send_mail"]

PIECE: Final = 64 * 1024
_OPEN: Final = (State.MAIL, State.RCPT, State.CHUNKS)


@final
@value
class RecipientResult:
    """What became of the message for one recipient.

    ``reply`` is the one that decided; None where none came. ``outcome``: DONE, RETRY (later),
    PERMANENT, or UNKNOWN: the message had left and no verdict came, so that another attempt may
    deliver it twice (RFC 5321 §4.5.3.2.6).
    """

    recipient: Address
    reply: Reply | None
    outcome: Disposition


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
    content: header and body. Bytes are looked through. Of an iterable only what you say is
        claimed: ``size``, ``body``, ``smtputf8``. None: the driver hands the chunks in at
        Need.BODY. CR and LF alone become CRLF, unless ``body`` is BINARYMIME.
    options: see :class:`SendOptions`.

    Raises UnsendableError before anything is sent, naming the extension the server lacks; and in
    the middle where an iterable shows octets that need an extension not claimed: the connection
    is then aborted, and nothing has been delivered. What content raises has the same effect. A
    refusal or a lost connection is a result. After a failed transaction the session goes on.
    """
    planned = plan(conn, sender, recipients, content, options)
    results: list[RecipientResult] = []
    for rcpts in planned.transactions:
        transaction = _Transaction(conn, planned, rcpts)
        if conn.state is not State.CLOSED:
            try:
                yield from transaction.run()
            except UnsendableError:
                if not results:
                    raise
                # The session's limits are reached: the rest is for another one.
        results += transaction.results()
    return SendResult(tuple(results))


@final
class _Transaction:
    """One MAIL, its RCPTs and its body, and the answers to them."""

    def __init__(self, conn: ClientConnection, planned: Plan, rcpts: tuple[Rcpt, ...]) -> None:
        self._conn = conn
        self._plan = planned
        self._mail = planned.mail
        self._rcpts = rcpts
        self._data = Data(planned.chunking)
        self._answers: dict[int, Reply | None] = {}
        self._verdicts: dict[int | None, tuple[str, Reply | None]] = {}

    def run(self) -> Operation[None]:
        """Send everything and take the answers; leave the session ready for the next."""
        yield from self._send_envelope()
        if (yield from self._body_is_open()):
            try:
                complete = yield from self._send_content()
            except BaseException:
                self._conn.abort("the content ended early")  # it must never look complete
                raise
            if complete:
                yield from self._body_is_open()
        yield from self._clean_up()

    def _clean_up(self) -> Operation[None]:
        """A transaction that failed stays open until RSET."""
        if self._conn.state in _OPEN:
            with suppress(SessionError):  # the results tell what they can
                yield from ask(self._conn, Rset(), Stage.COMMAND)

    def _send_envelope(self) -> Operation[None]:
        try:
            self._conn.send(self._mail)
        except LocalProtocolError as error:
            raise UnsendableError(str(error)) from error
        try:
            for rcpt in self._rcpts:
                with suppress(SessionLimitError):  # of domains: this one is for another session
                    self._conn.send(rcpt)
            self._conn.send(self._data)
        except LocalProtocolError as error:
            with suppress(LocalProtocolError, SessionError):
                yield from ask(self._conn, Rset(), Stage.COMMAND)
            raise UnsendableError(str(error)) from error

    def _body_is_open(self) -> Operation[bool]:
        """Take events until the body is open; False where the transaction is over.

        It is over with its last verdict: what comes behind that is for whoever comes next.
        """
        while True:
            item = self._conn.next_event()
            if item is NEED_WRITE or (item is NEED_DATA and self._conn.busy):
                yield item
            elif item is NEED_BODY:
                return True
            elif isinstance(item, Need | Closed):
                return False
            else:
                self._note(item)

    def _send_content(self) -> Operation[bool]:
        """True where all of it went out; False where the server would not have the rest."""
        content = self._plan.content
        if isinstance(content, bytes):
            last = max(len(content) - 1, 0) // PIECE * PIECE
            for at in range(0, last, PIECE):
                self._conn.send_body(content[at : at + PIECE])
                if not (yield from self._body_is_open()):
                    return False
            self._conn.send_body(content[last:] if last else content)
            self._conn.end_body()  # with the last piece, in one write
            return True
        normaliser = LineNormaliser()
        for chunk in content or ():
            self._conn.send_body(self._checked(chunk, normaliser))
            if not (yield from self._body_is_open()):
                return False
        while content is None and (handed := (yield Need.BODY)) is not None:
            self._conn.send_body(self._checked(handed, normaliser))
            if not (yield from self._body_is_open()):
                return False
        self._conn.end_body()
        return True

    def _checked(self, chunk: bytes, normaliser: LineNormaliser) -> bytes:
        if not self._plan.eight_bit and not chunk.isascii():
            raise UnsendableError("octets beyond ASCII, and body= does not say so", "8BITMIME")
        return normaliser.normalise(chunk) if self._plan.normalise else chunk

    def _note(self, event: ClientEvent) -> None:
        match event:
            case ReplyReceived(command, reply, recipient):
                if isinstance(command, EndOfData):
                    self._judge(END_OF_DATA, reply, recipient)
                elif not isinstance(command, Bdat):
                    self._answers[id(command)] = reply
                elif not reply.is_positive:
                    self._judge("BDAT", reply, None)
            case Unanswered(EndOfData(), cause, reply, recipient):
                left = cause is not Cause.NOT_SENT
                self._judge(END_OF_DATA if left else "DATA", reply, recipient)
            case Unanswered(command, _, reply):
                self._answers[id(command)] = reply

    def _judge(self, verb: str, reply: Reply | None, recipient: Rcpt | None) -> None:
        """The verdict on the message, for one recipient or for all; the first one counts."""
        self._verdicts.setdefault(None if recipient is None else id(recipient), (verb, reply))

    def results(self) -> list[RecipientResult]:
        """What became of each recipient."""
        return [self._result(rcpt) for rcpt in self._rcpts]

    def _result(self, rcpt: Rcpt) -> RecipientResult:
        verb, reply = self._deciding(rcpt)
        return RecipientResult(rcpt.address, reply, classify(verb, reply))

    def _deciding(self, rcpt: Rcpt) -> tuple[str, Reply | None]:
        """The first refusal in a recipient's way, or the verdict on the message."""
        for command, verb in ((self._mail, "MAIL"), (rcpt, "RCPT")):
            reply = self._answers.get(id(command))
            if reply is None or not reply.is_positive:
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
