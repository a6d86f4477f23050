"""Sending messages one behind the other: each envelope leaves with the end before it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Unpack, final

from smtpwire.engine.client import ClientConnection
from smtpwire.operations.content import Chunk, Content, checked_content
from smtpwire.operations.message import (
    Recipient,
    Sender,
    SendOptions,
    checked_options,
    mail_of,
    plan,
    rcpts_of,
)
from smtpwire.operations.operation import Operation, alone
from smtpwire.operations.result import RecipientResult, SendResult
from smtpwire.operations.send import Message, check_open, untried
from smtpwire.operations.transaction import left_out
from smtpwire.wire.checked import checked, type_of
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.options import shows_options

__all__ = ["MailObject", "SendingStopped", "check_messages", "send_many"]


@final
class MailObject:
    """A message to send: its envelope and its content (RFC 5321 §2.3.1), as ``send_mail`` takes
    them; an asynchronous client takes an asynchronous iterable, too.

    Raises TypeError and ValueError as ``send_mail`` does for what is wrong without any server: a
    wrong address, say, or no recipient at all.
    """

    __slots__ = ("content", "options", "recipients", "sender")

    @shows_options(SendOptions)
    def __init__(
        self,
        sender: Sender,
        recipients: Iterable[Recipient],
        content: Content | AsyncIterable[Chunk],
        **options: Unpack[SendOptions],
    ) -> None:
        self.sender: Mail = mail_of(sender)
        self.recipients: tuple[Rcpt, ...] = rcpts_of(recipients)
        self.content: Content | AsyncIterable[Chunk] = (
            content if isinstance(content, AsyncIterable) else checked_content(content)
        )
        self.options: SendOptions = checked_options(options, "MailObject")

    def __repr__(self) -> str:
        to = ", ".join([str(rcpt.address) for rcpt in self.recipients])
        return f"MailObject(from {self.sender.address or '<>'} to {to})"


@final
class SendingStopped(SmtpwireError):
    """The iterable of messages has raised; ``results`` tells of each message that it gave before.

    ``__cause__``: what it raised. The session goes on.
    """

    def __init__(self, results: list[SendResult], error: Exception) -> None:
        count = len(results)
        super().__init__(f"behind {count} messages: {type(error).__name__}: {error}")
        self.results = results


def send_many(
    conn: ClientConnection,
    messages: Iterable[MailObject],
    results: list[SendResult] | None = None,
) -> Operation[list[SendResult]]:
    """Send messages one behind the other, in one round trip each where PIPELINING is offered.

    MAIL, RCPT and DATA of the next one leave in one group with the final dot of the one before (RFC
    2920 §3.1); behind a last chunk RSET leaves first (RFC 3030 §2). Without PIPELINING each command
    waits for its reply.

    messages: each is taken when the content before it is about to end, so that they may be made one
        by one; time spent in making one is time that the server waits.
    results: a list of yours to which each result is appended as soon as it is known, for one who
        must know what has been delivered even where the call is cancelled: what is under way then
        is in it as well.

    Returns that list: a SendResult for each message, in order, whatever becomes of it. What
    ``send_mail`` would raise for a message is its result here: PERMANENT for one that this server
    cannot take, RETRY for one whose content raises, which ends the connection. Messages behind the
    end of the connection are taken, too, and are not tried: RETRY. Of the one whose end had left
    without an answer the outcome is UNKNOWN.

    Raises TypeError for what is no iterable of MailObjects, LocalProtocolError where no session is
    open between transactions: nothing has been sent then. Raises SendingStopped for what the
    iterable raises, behind the answer to the last message that it gave.
    """
    check_messages(messages)
    results = [] if results is None else checked("results", results, list)
    return alone(conn, _send_many(conn, iter(messages), results))


def check_messages(messages: object, *, asynchronous: bool = False) -> None:
    """Raise TypeError for what is no iterable, and for what is no message in a list or a tuple.

    ``asynchronous``: their content may be so, too.
    """
    if isinstance(messages, str | bytes) or not isinstance(messages, Iterable):
        raise TypeError(f"messages is {type_of(messages)}: pass an iterable of MailObjects")
    if isinstance(messages, list | tuple):
        for each in messages:
            _checked(each, asynchronous=asynchronous)


def _checked(message: object, *, asynchronous: bool = False) -> MailObject:
    """Raise TypeError for what is no message, and for content that only a loop could read."""
    if not isinstance(message, MailObject):
        raise TypeError(f"a message is {type_of(message)}: pass a MailObject")
    if isinstance(message.content, AsyncIterable) and not asynchronous:
        checked_content(message.content)
    return message


def _send_many(
    conn: ClientConnection, messages: Iterator[MailObject], results: list[SendResult]
) -> Operation[list[SendResult]]:
    if conn.closed is None:
        check_open(conn)
    row = _Row(conn, results)
    try:
        while True:
            try:
                message = _checked(next(messages))
            except StopIteration:
                break
            except Exception as error:
                yield from row.settle()
                raise SendingStopped(results, error) from error
            yield from row.send(message)
        yield from row.settle()
    except BaseException:
        row.give_up()
        raise
    return results


@final
class _Row:
    """Messages one behind the other: of the last one the end may still have to be answered."""

    def __init__(self, conn: ClientConnection, results: list[SendResult]) -> None:
        self._conn = conn
        self._results = results
        self._before: Message | None = None
        self._now: Message | None = None

    def send(self, message: MailObject) -> Operation[None]:
        """Send it, or tell why it was not; the one before it has its result then."""
        conn = self._conn
        content = checked_content(message.content)
        if conn.closed is not None:
            yield from self.settle()
            closed = conn.closed
            self._tell([untried(rcpt, closed) for rcpt in message.recipients])
            return
        try:
            planned = plan(conn, message.sender, message.recipients, content, message.options)
        except Exception as error:
            yield from self.settle()
            self._tell([left_out(rcpt.address, "MAIL", error) for rcpt in message.recipients])
            return
        before = self._before
        self._now = now = Message(conn, planned)
        try:
            yield from now.run(None if before is None else before.last)
        except Exception as error:
            if error is not now.failure:
                raise  # it is no fault of the message's
            now.give_up(error)
        self._tell_before()
        self._before, self._now = now, None

    def settle(self) -> Operation[None]:
        """Wait for the result of the last one."""
        if self._before is not None:
            yield from self._before.finish()
            self._tell_before()

    def give_up(self) -> None:
        """Tell what is known of those that are under way."""
        self._tell_before()
        self._before = self._now
        self._tell_before()

    def _tell(self, recipients: list[RecipientResult]) -> None:
        self._results.append(SendResult(tuple(recipients)))

    def _tell_before(self) -> None:
        if self._before is not None:
            self._results.append(self._before.result())
            self._before = None
