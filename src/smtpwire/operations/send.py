"""Sending a message: one transaction or several, and what became of each recipient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack, final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client.commands import before_tls
from smtpwire.engine.events import Closed
from smtpwire.engine.security import TLS_NEEDED
from smtpwire.engine.state import STATE_READY
from smtpwire.operations.content import Content, checked_content
from smtpwire.operations.message import (
    Plan,
    Recipient,
    Sender,
    SendOptions,
    checked_options,
    plan,
    rcpts_of,
)
from smtpwire.operations.operation import Operation, alone, not_open
from smtpwire.operations.result import RecipientResult, SendResult
from smtpwire.operations.transaction import MailTransaction, closing_words
from smtpwire.wire.command import Rcpt
from smtpwire.wire.options import shows_options
from smtpwire.wire.status import Disposition

__all__ = ["Message", "check_open", "send", "send_mail", "untried"]


@shows_options(SendOptions)
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
        return SendResult(tuple(untried(rcpt, closed) for rcpt in rcpts_of(recipients)))
    check_open(conn)
    message = Message(conn, plan(conn, sender, recipients, content, options))
    yield from message.run(None)
    yield from message.finish()
    return message.result()


@final
class Message:
    """A message on its way: its transactions, one behind the other.

    Attributes:
        last: the transaction whose end may still have to be answered; None: there is none.
        failure: what its content or its envelope raised; anything else is not its fault.
    """

    def __init__(self, conn: ClientConnection, planned: Plan) -> None:
        self.last: MailTransaction | None = None
        self.failure: Exception | None = None
        self._conn = conn
        self._transactions = [MailTransaction(conn, planned, each) for each in planned.transactions]

    def run(self, before: MailTransaction | None) -> Operation[None]:
        """Send it up to the end of its content; ``before`` has its answer then.

        What goes wrong in the first transaction is raised. In a later one it is these recipients'
        failure alone, since a caller must know what has been delivered.
        """
        for transaction in self._transactions:
            if self._conn.closed is not None:
                break
            try:
                yield from transaction.run(before)
            except Exception as error:
                if error is not transaction.failure:
                    raise
                if before is not None:
                    yield from before.finish()
                if transaction is self._transactions[0]:
                    self.failure = error
                    raise
                transaction.give_up(error)
            self.last = before = transaction

    def finish(self) -> Operation[None]:
        """Take the answer to its end, and leave the session ready for whoever comes next."""
        if self.last is not None:
            yield from self.last.finish()

    def give_up(self, error: Exception) -> None:
        """What :meth:`run` has raised: nobody has got it."""
        for transaction in self._transactions:
            transaction.give_up(error)

    def result(self) -> SendResult:
        """What became of each recipient."""
        return SendResult(tuple([each for done in self._transactions for each in done.results()]))


def untried(rcpt: Rcpt, closed: Closed) -> RecipientResult:
    """What a recipient has of a message that met a connection at its end."""
    return RecipientResult(rcpt.address, None, Disposition.RETRY, "MAIL", closing_words(closed))


def check_open(conn: ClientConnection) -> None:
    """Raise LocalProtocolError where no message can be begun; that is not the message's fault."""
    if conn.state is not STATE_READY:
        raise not_open(conn)
    if conn.tls is None and conn.config.security in TLS_NEEDED:
        raise before_tls("MAIL")
