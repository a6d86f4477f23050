"""LIMITS: how many transactions, recipients and domains a session may have (RFC 9422)."""

from __future__ import annotations

import re
from typing import Final, final

from smtpwire.extensions.grammar import ascii_upper
from smtpwire.extensions.registry import Extension
from smtpwire.wire.value import value

__all__ = ["LIMITS", "ServerLimits"]


@final
@value(checked=True)
class ServerLimits:
    """What a server limits; None: not told. Refused commands count too (RFC 9422 §4)."""

    mailmax: int | None = None
    """MAIL commands in a session (§4.1)."""
    rcptmax: int | None = None
    """RCPT commands in a transaction (§4.2)."""
    rcptdomainmax: int | None = None
    """Different domains of recipients in a session (§4.3)."""


_WORD: Final = r"([A-Za-z0-9_-]++)(?:=([!-:<-~]++))?"  # RFC 9422 §3
_NUMBER: Final = r"[1-9][0-9]{0,5}"  # §4.1


def _parse(parameters: str) -> ServerLimits:
    limits: dict[str, int] = {}
    for word in parameters.split(" "):
        found = re.fullmatch(_WORD, word)
        if found is None:  # §3.7: as if there were no LIMITS
            raise ValueError("not a list of limits")
        if re.fullmatch(_NUMBER, found[2] or ""):  # §3.7: else as if this limit were not there
            limits[ascii_upper(found[1])] = int(found[2])
    return ServerLimits(limits.get("MAILMAX"), limits.get("RCPTMAX"), limits.get("RCPTDOMAINMAX"))


def _format(limits: ServerLimits) -> str:
    told = {
        "MAILMAX": limits.mailmax,
        "RCPTMAX": limits.rcptmax,
        "RCPTDOMAINMAX": limits.rcptdomainmax,
    }
    words = [f"{name}={limit}" for name, limit in told.items() if limit is not None]
    if not words:
        raise ValueError("LIMITS needs a limit (RFC 9422 §3)")
    return " ".join(words)


LIMITS: Final[Extension[ServerLimits]] = Extension(
    "LIMITS",
    "RFC 9422",
    "limits on transactions, recipients and domains",
    _parse,
    _format,
)
"""Its value: what the newest EHLO told; earlier limits are forgotten (RFC 9422 §3.6)."""
