"""What LIMITS promised, held by the server: one truth, offered and enforced (RFC 9422)."""

from __future__ import annotations

from typing import final

from smtpwire.extensions import ServerLimits
from smtpwire.wire.command import Mail, Rcpt

__all__ = ["Quota"]


@final
class Quota:
    """Counts MAIL, RCPT and the domains of recipients; refused commands count, too (§4).

    ``limits``: those told last; a new EHLO may tell others, and the counts go on (§3.6).
    """

    __slots__ = ("_domains", "_mails", "_rcpts", "limits")

    def __init__(self, limits: ServerLimits) -> None:
        self.limits: ServerLimits = limits
        self._mails = 0
        self._rcpts = 0
        self._domains: set[str] = set()

    def allows(self, command: Mail | Rcpt) -> bool:
        """Count a command; False where it is one too many."""
        limits = self.limits
        if isinstance(command, Mail):
            self._mails += 1
            self._rcpts = 0
            return limits.mailmax is None or self._mails <= limits.mailmax
        self._rcpts += 1
        if limits.rcptmax is not None and self._rcpts > limits.rcptmax:
            return False
        if limits.rcptdomainmax is None:
            return True
        domain = command.address.domain
        if domain not in self._domains and len(self._domains) >= limits.rcptdomainmax:
            return False
        self._domains.add(domain)
        return True
