"""What an operation is, and how one ends badly."""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from types import GeneratorType
from typing import Final, Literal, TypeAlias, TypeVar, final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    AuthenticationOutcome,
    ClientEvent,
    Closed,
    CloseReason,
    ReplyReceived,
    Unanswered,
)
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_TLS, NEED_WRITE, Need
from smtpwire.engine.state import State
from smtpwire.operations.content import Chunk, HandingIn
from smtpwire.wire.checked import checked
from smtpwire.wire.command import Command, Rset
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.reply import Reply

__all__ = [
    "ConnectionLost",
    "LoginFailed",
    "Operation",
    "OperationNeed",
    "ServiceRefused",
    "SessionError",
    "Stage",
    "TlsFailed",
    "TlsRequired",
    "advance",
    "alone",
    "ask",
    "lost",
    "not_open",
    "reset_refused",
    "reset_session",
    "why_closed",
]

R = TypeVar("R")

OperationNeed: TypeAlias = Literal[Need.DATA, Need.WRITE, Need.BODY, Need.TLS]
"""What an operation asks of its driver."""

Operation: TypeAlias = Generator[OperationNeed, Chunk | HandingIn | None, R]
"""A client's errand, without I/O. At every Need flush ``conn.data_to_send()``, then do what it
names and go on with ``next()``: at DATA read and ``receive_data()``, at WRITE nothing more, at TLS
the handshake and ``tls_started()`` or ``tls_failed()``. At BODY (only where the content is
HANDED_IN) go on with ``send(chunk)``, at last ``send(END_OF_CONTENT)``. ``StopIteration.value`` is
the result.

One at a time: from its first step to its end it has the connection, and the first step of another
raises LocalProtocolError before anything is queued. One that is given up, by ``close()``, an
exception thrown in or garbage collection, gives the connection back; an open body is aborted at
once, and where replies are owed still, the next operation finds the connection aborted: nobody
would know what they are the replies to.
"""


class Stage(Enum):
    """How far a session had come."""

    GREETING = "greeting"
    HELLO = "EHLO"
    TLS = "STARTTLS"
    IMPLICIT_TLS = "TLS"
    AUTHENTICATION = "AUTH"
    COMMAND = "command"


class SessionError(SmtpwireError):
    """The session did not come about, or has ended; the connection is good for nothing but QUIT.

    ``reply``: what the server said, if it said anything; ``stage``: where it was; ``reason``: why,
    in other words than the reply's: what ended the connection, or what the client objects to.
    """

    def __init__(self, reply: Reply | None, stage: Stage, reason: str = "") -> None:
        said = "" if reply is None else str(reply)
        super().__init__(": ".join(part for part in (stage.value, reason, said) if part))
        self.reply = reply
        self.stage = stage
        self.reason = reason


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
class LoginFailed(SessionError):
    """The credentials were refused, no usable mechanism was offered, or the server did not prove
    that it knows the password. 4yz in ``reply``: try again later with the same credentials.

    ``outcome`` tells them apart: FAILED alone says that these credentials are not accepted; None
    where no exchange took place.
    """

    def __init__(
        self,
        reply: Reply | None,
        stage: Stage,
        reason: str = "",
        outcome: AuthenticationOutcome | None = None,
    ) -> None:
        super().__init__(reply, stage, reason)
        self.outcome = outcome


@final
class ConnectionLost(SessionError):
    """The connection ended: closed by the server (with 421 in ``reply``), lost, or too slow.

    Nothing is said of credentials or mail: try again later.
    """


def alone(conn: ClientConnection, operation: Operation[R]) -> Operation[R]:
    """The operation, with the connection to itself from its first step to its end.

    Put this around what ``ask()`` and ``advance()`` are called in, once: see the package.
    Raises TypeError for what is no connection of a client's, and for what is no operation.
    """
    checked("conn", conn, ClientConnection)
    if type(operation) is not GeneratorType:  # an abstract class is asked about the rest only
        checked("operation", operation, Generator)
    conn.begin_operation()
    given_up = True
    try:
        result = yield from operation
        given_up = False
        return result
    except (LocalProtocolError, SessionError):
        given_up = False
        raise
    finally:
        conn.end_operation(given_up=given_up)


def advance(
    conn: ClientConnection, stage: Stage = Stage.COMMAND
) -> Operation[ClientEvent | Literal[Need.COMMAND, Need.BODY]]:
    """Inside an operation: the next event, or what only the operation can do something about.

    What the driver can do is yielded to it meanwhile. Raises SessionError, of this ``stage``, at
    the end of the connection.
    """
    conn = checked("conn", conn, ClientConnection)
    while True:
        item = conn.next_event()
        if item is NEED_DATA or item is NEED_WRITE or item is NEED_TLS:
            yield item
        elif item is NEED_CLOSE:
            raise lost(conn, stage)
        else:
            return item


def lost(conn: ClientConnection, stage: Stage) -> SessionError:
    """The error that the end of the connection is."""
    closed = conn.closed
    if closed is None:  # of commands of the application's own, still in flight
        raise LocalProtocolError("a command this one was queued behind has failed: it is not sent")
    kind = TlsFailed if closed.reason is CloseReason.TLS_FAILED else ConnectionLost
    waits_for_tls = stage is Stage.GREETING and _may_wait_for_tls(conn, closed)
    hint = " (is it Security.IMPLICIT there?)" if waits_for_tls else ""
    return kind(closed.reply, stage, why_closed(closed) + hint)


def _may_wait_for_tls(conn: ClientConnection, closed: Closed) -> bool:
    """Whether the server has said nothing: where TLS comes first, as at port 465, it waits, too."""
    silent = closed.reason in (CloseReason.TIMEOUT, CloseReason.EOF)
    return silent and conn.tls is None and not conn.stats.octets_received


def not_open(conn: ClientConnection) -> LocalProtocolError:
    """The error that an operation is which needs a session open between transactions."""
    state = conn.state
    what = ": call open_session() first" if state is State.GREETING else " between transactions"
    return LocalProtocolError(f"no session is open{what}; its state is {state.value}")


def why_closed(closed: Closed) -> str:
    """Why a connection ended, in words: those of the event, or its reason's."""
    return closed.error or _REASONS.get(closed.reason, closed.reason.value)


_REASONS: Final = {
    CloseReason.EOF: "the server closed the connection",
    CloseReason.TIMEOUT: "the server was too slow",
    CloseReason.SHUTDOWN: "the server has ended the service",
    CloseReason.QUIT: "the session has ended",
}


def ask(conn: ClientConnection, command: Command, stage: Stage = Stage.COMMAND) -> Operation[Reply]:
    """Inside an operation: send a command and wait for its reply.

    ``stage`` is for the SessionError at the end of the connection. Raises LocalProtocolError for a
    command that is out of order; nothing has been sent then.
    """
    if checked("conn", conn, ClientConnection).closed is not None:
        raise lost(conn, stage)
    conn.send(command)
    while True:
        match (yield from advance(conn, stage)):
            case ReplyReceived(sent, reply) if sent is command:
                return reply
            case Unanswered(sent) if sent is command:
                raise lost(conn, stage)
            case Need.BODY | Need.COMMAND:  # a body of the application's: the reply is still owed
                yield NEED_DATA
            case _:  # of a command that came before, or of the whole session
                pass


def reset_session(conn: ClientConnection) -> Operation[Reply]:
    """RSET. Where it is refused the transaction stays open for ever: the connection ends."""
    reply = yield from ask(conn, Rset(), Stage.COMMAND)
    if not reply.is_positive:
        reset_refused(conn, reply)
    return reply


def reset_refused(conn: ClientConnection, reply: Reply) -> None:
    """End the connection: RFC 5321 §4.1.1.5 has 250 only."""
    conn.abort(f"RSET was refused: {reply}")
