"""The one exception of both engines, and two kinds of it."""

from __future__ import annotations

from typing import final

from smtpwire.wire.error import SmtpwireError

__all__ = ["LocalProtocolError", "SessionLimitError", "UnwritableError"]


class LocalProtocolError(SmtpwireError):
    """The application asked for what the protocol or the policy does not allow now.

    Nothing has changed: the connection is as it was before the call, and usable. A peer's
    mistakes never raise; they are events.
    """


@final
class SessionLimitError(LocalProtocolError):
    """What LIMITS allows in this session is used up; another session may go on (RFC 9422)."""


@final
class UnwritableError(LocalProtocolError):
    """This command cannot be written to this server, now or later.

    No line may have its octets or its length, or something in it needs an extension that is not
    offered: another server may take it. Everything else that is refused is
    a mistake in the order of things.
    """
