"""How a client means to be protected."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["TLS_NEEDED", "Security"]


class Security(Enum):
    """A guard on the client: with STARTTLS or IMPLICIT nothing of worth is sent before TLS."""

    NONE = "none"
    """Clear text, TLS not asked for."""
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered (RFC 7435); protects from nobody who can change the stream."""
    STARTTLS = "starttls"
    """STARTTLS or nothing (RFC 8314 §4.1)."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314 §3)."""


TLS_NEEDED: Final = (Security.STARTTLS, Security.IMPLICIT)
"""With these nothing of worth is sent before TLS."""
