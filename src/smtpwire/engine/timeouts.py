"""How long each state may wait for the peer (RFC 5321 §4.5.3.2)."""

from __future__ import annotations

from typing import Self, final

from smtpwire.wire.checked import check_seconds
from smtpwire.wire.value import value

__all__ = ["Timeout", "Timeouts"]


@final
@value(kw_only=True, checked=True, terse=True)
class Timeouts:
    """Seconds, by what is waited for. RFC 5321 §4.5.3.2 gives the figures where it has any.

    A server has these: ``command``, until the next command; ``block``, while a message comes;
    ``handshake`` for TLS; ``quit`` for its last words; ``session`` for all of a session. A client
    has all but the last, by the reply that it waits for. ``Timeouts.all(30)`` is one time for
    everything.

    Raises ValueError for 0 or less, more than 31 years, infinity and NaN.
    """

    greeting: float = 300.0
    """Client: the 220 (§4.5.3.2.1)."""
    mail: float = 300.0
    """Client: MAIL's reply (§4.5.3.2.2)."""
    rcpt: float = 300.0
    """Client: RCPT's reply (§4.5.3.2.3)."""
    data: float = 120.0
    """Client: DATA's 354 (§4.5.3.2.4)."""
    block: float = 180.0
    """A block of the body, both roles, accepted or refused, and a write while it is open; client:
    the reply to a chunk (§4.5.3.2.5)."""
    end_of_data: float = 600.0
    """Client: the reply to the final dot or the last chunk (§4.5.3.2.6)."""
    command: float = 300.0
    """Server: the next command (§4.5.3.2.7), and a write before it. Client: any other reply."""
    quit: float = 30.0
    """Client: the 221; nothing depends on it. Both: writing the last words."""
    handshake: float = 60.0
    """The TLS handshake."""
    session: float | None = None
    """Server: a whole session, whatever is done in it (``session_timeout``); None: any time. The
    other figures bound how long a peer may do nothing, and one that dribbles commands or blocks of
    a body can stay for ever. RFC 5321 has no figure; a large message over a slow line takes an hour
    or more."""

    @classmethod
    def all(cls, seconds: float, *, session: float | None = None) -> Self:
        """The same for everything that is waited for; ``session`` is another matter."""
        names = [name for name in cls.__annotations__ if name != "session"]
        return cls(**dict.fromkeys(names, seconds), session=session)

    def __post_init__(self) -> None:
        for name in type(self).__annotations__:
            seconds = getattr(self, name)
            if seconds is not None:
                check_seconds(f"Timeouts.{name}", seconds)


@final
@value
class Timeout:
    """When to give up: ``seconds`` from when ``serial`` last changed.

    Restart the timer only when this value differs from the last one; on expiry call
    ``timed_out()``.
    """

    seconds: float
    serial: int
