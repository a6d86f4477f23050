"""What went through a connection."""

from __future__ import annotations

from typing import final

from smtpwire.wire.value import value

__all__ = ["Stats"]


@final
@value
class Stats:
    """Counts since the connection began; TLS and EHLO reset none.

    ``octets_received``, ``octets_sent``: those of SMTP; what TLS adds is not counted.
    ``authentications_failed``: exchanges that did not end with 235.
    """

    octets_received: int = 0
    octets_sent: int = 0
    commands: int = 0
    """Commands read by a server, written by a client."""
    replies: int = 0
    """Replies queued by a server, read by a client."""
    errors: int = 0
    """Commands a server refused by itself; violations a client saw."""
    messages: int = 0
    """Messages accepted."""
    authentications_failed: int = 0
