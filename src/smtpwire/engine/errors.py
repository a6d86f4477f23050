"""The one exception of both engines, and a kind of it."""

from __future__ import annotations

from typing import final

__all__ = ["LocalProtocolError", "SessionLimitError"]


class LocalProtocolError(Exception):
    """The application asked for what the protocol or the policy does not allow now.

    Nothing has changed: the connection is as it was before the call, and usable. A peer's
    mistakes never raise; they are events.
    """


@final
class SessionLimitError(LocalProtocolError):
    """What LIMITS allows in this session is used up; another session may go on (RFC 9422)."""
