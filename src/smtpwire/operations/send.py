"""Sending a message: one transaction or several, and what became of each recipient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client.commands import before_tls
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Closed
from smtpwire.engine.security import TLS_NEEDED
from smtpwire.engine.state import STATE_READY
from smtpwire.operations.content import Content, checked_content
from smtpwire.operations.message import (
    Recipient,
    Sender,
    SendOptions,
    checked_options,
    plan,
    rcpts_of,
)
from smtpwire.operations.operation import Operation, alone
from smtpwire.operations.result import RecipientResult, SendResult
from smtpwire.operations.transaction import MailTransaction, closing_words
from smtpwire.wire.command import Rcpt
from smtpwire.wire.status import Disposition

__all__ = ["check_open", "send", "send_mail"]


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
        transaction = MailTransaction(conn, planned, rcpts)
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
    return RecipientResult(rcpt.address, None, Disposition.RETRY, "MAIL", closing_words(closed))


def check_open(conn: ClientConnection) -> None:
    """Raise LocalProtocolError where no message can be begun; that is not the message's fault."""
    if conn.state is not STATE_READY:
        state = conn.state.value
        raise LocalProtocolError(f"no session is open between transactions: its state is {state}")
    if conn.tls is None and conn.config.security in TLS_NEEDED:
        raise before_tls("MAIL")
