"""What of a line may be shown: an argument can hold a secret that a client misplaced."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["REDACTED", "hides_a_secret", "shown_argument"]

REDACTED: Final = "<redacted>"
"""Stands in a trace, an event or a log where a secret stood."""

# What an editing key leaves behind, or AUTH or BURL behind another verb: what stands there is a
# response (RFC 4954 §4) or the key to a mailbox (RFC 4467).
_MISPLACED: Final = r"[\0-\x1f\x7f]|AUTH[ \t]+[A-Z0-9_-]{1,20}[ \t]+[!-~]|BURL[ \t]+[A-Z]"


def hides_a_secret(argument: str) -> bool:
    """Whether an argument that should hold no secret looks as if it held one."""
    if argument.isprintable():  # as nearly always: a third of the search
        upper = argument.upper()
        if "AUTH" not in upper and "BURL" not in upper:
            return False
    return re.search(_MISPLACED, argument, re.IGNORECASE | re.ASCII) is not None


def shown_argument(argument: str) -> str:
    """The argument, or :data:`REDACTED` where it may hold a secret."""
    return REDACTED if hides_a_secret(argument) else argument
