"""What an operation is, and how one ends badly."""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Literal, TypeAlias, TypeVar, final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.events import (
    ClientEvent,
    Closed,
    CloseReason,
    ReplyReceived,
    Unanswered,
)
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_TLS, NEED_WRITE, Need
from smtpwire.engine.state import State
from smtpwire.wire.command import Command
from smtpwire.wire.error import reduced
from smtpwire.wire.reply import Reply

__all__ = [
    "AuthenticationFailed",
    "ConnectionLost",
    "Operation",
    "OperationNeed",
    "ServiceRefused",
    "SessionError",
    "Stage",
    "TlsFailed",
    "TlsRequired",
    "advance",
    "ask",
    "ended",
]

R = TypeVar("R")

OperationNeed: TypeAlias = Literal[Need.DATA, Need.WRITE, Need.BODY, Need.TLS]
"""What an operation asks of its driver."""

Operation: TypeAlias = Generator[OperationNeed, bytes | None, R]
"""A client's errand, without I/O. At every Need flush ``conn.data_to_send()``, then do what it
names and go on with ``next()``: at DATA read and ``receive_data()``, at WRITE nothing more, at TLS
the handshake and ``tls_started()`` or ``tls_failed()``. At BODY (only where the content was left
to you) go on with ``send(chunk)``, at last ``send(None)``. ``StopIteration.value`` is the result.
"""


class Stage(Enum):
    """How far a session had come."""

    GREETING = "greeting"
    HELLO = "EHLO"
    TLS = "STARTTLS"
    IMPLICIT_TLS = "TLS"
    AUTHENTICATION = "AUTH"
    COMMAND = "command"


class SessionError(Exception):
    """The session did not come about, or has ended; the connection is good for nothing but QUIT.

    ``reply``: what the server said, if it said anything; ``stage``: where it was.
    """

    def __init__(self, reply: Reply | None, stage: Stage, reason: str = "") -> None:
        said = "" if reply is None else str(reply)
        super().__init__(": ".join(part for part in (stage.value, reason, said) if part))
        self.reply = reply
        self.stage = stage
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return reduced(self)


@final
class ServiceRefused(SessionError):
    """The greeting or EHLO was refused: this server does not want us, now (4yz) or ever (5yz)."""


@final
class TlsRequired(SessionError):
    """TLS is required and the server does not offer it, or refused it now (RFC 8314 §4.1)."""


@final
class TlsFailed(SessionError):
    """The handshake failed, the certificate above all. Going on in the clear is not this one's."""


@final
class AuthenticationFailed(SessionError):
    """The credentials were refused, no usable mechanism was offered, or the server did not prove
    that it knows the password. 4yz in ``reply``: try again later with the same credentials.
    """


@final
class ConnectionLost(SessionError):
    """The connection ended: closed by the server (with 421 in ``reply``), lost, or too slow."""


def advance(
    conn: ClientConnection, stage: Stage
) -> Operation[ClientEvent | Literal[Need.COMMAND, Need.BODY]]:
    """The next event, or what only the operation itself can do something about."""
    while True:
        item = conn.next_event()
        if item is NEED_DATA or item is NEED_WRITE or item is NEED_TLS:
            yield item
        elif item is NEED_CLOSE:
            raise ConnectionLost(None, stage)
        else:
            return item


def ended(event: Closed, stage: Stage) -> SessionError:
    """The error that the end of a connection is."""
    if event.reason is CloseReason.TLS_FAILED:
        return TlsFailed(event.reply, stage, event.error)
    return ConnectionLost(event.reply, stage, event.error or event.reason.value)


def ask(conn: ClientConnection, command: Command, stage: Stage) -> Operation[Reply]:
    """Send a command and wait for its reply."""
    if conn.state is State.CLOSED:
        raise ConnectionLost(None, stage, "the connection has ended")
    conn.send(command)
    while True:
        match (yield from advance(conn, stage)):
            case ReplyReceived(sent, reply) if sent is command:
                return reply
            case Unanswered(sent, _, closing) if sent is command:
                raise ConnectionLost(closing, stage)
