"""What the next octets are: one class for each state, with the data that is valid only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, final

from smtpwire.engine.events import Connected, ServerEvent
from smtpwire.engine.need import NEED_CLOSE, NEED_TLS, ServerNeed
from smtpwire.engine.violation import ViolationKind

if TYPE_CHECKING:
    from smtpwire.engine.server.session import Session

__all__ = ["Item", "Reader"]

Item: TypeAlias = ServerEvent | ServerNeed


class Reader:
    """Reads what a session takes the octets for in one of its states."""

    __slots__ = ()
    awaits_greeting: ClassVar[bool] = True
    """Whether a client has to wait for the greeting before it sends anything."""
    reads_body: ClassVar[bool] = False
    """Whether the octets are content, which comes faster than commands (RFC 5321 §4.5.3.2.5)."""

    def read(self, session: Session) -> Item | None:
        """Read on. None: there are events in the queue, or there is more to be read."""
        raise NotImplementedError


@final
class _Greeting(Reader):
    """Nothing is read before the client has been greeted."""

    __slots__ = ()

    def read(self, session: Session) -> Item | None:
        return session.ask(Connected(session.client.peer))


@final
class _Handshake(Reader):
    """The octets belong to TLS."""

    __slots__ = ()

    def read(self, session: Session) -> Item | None:
        return NEED_TLS


@final
class _Ended(Reader):
    """Nothing is read any more."""

    __slots__ = ()

    def read(self, session: Session) -> Item | None:
        return NEED_CLOSE


@final
class _BehindRefusedData(Reader):
    """DATA was refused, and nothing had come behind it by then.

    What comes before the refusal is handed out is the body: the client did not wait for an answer.
    """

    __slots__ = ()

    def read(self, session: Session) -> Item | None:
        if not session.input.waiting:
            return session.more()
        if session.outbox.queue:
            session.hand_over(UNFRAMED_BODY)
        else:
            session.listen()
        return None


@final
class _UnframedBody(Reader):
    """A body without a transaction cannot be told from commands: the session ends."""

    __slots__ = ()

    def read(self, session: Session) -> Item | None:
        session.violation(ViolationKind.UNFRAMED_BODY, session.input.offset)
        return None


# These have no data, so that one of each serves all sessions.
GREETING: Final = _Greeting()
HANDSHAKE: Final = _Handshake()
ENDED: Final = _Ended()
BEHIND_REFUSED_DATA: Final = _BehindRefusedData()
UNFRAMED_BODY: Final = _UnframedBody()
