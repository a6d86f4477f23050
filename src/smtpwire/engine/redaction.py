"""What a trace or an event may show of a line: never a secret."""

from __future__ import annotations

import re
from typing import Final

from smtpwire.sasl import MECHANISMS

__all__ = ["REDACTED", "looks_like_auth", "redacted"]

REDACTED: Final = b"<redacted>"
_NAMES: Final = frozenset(name.encode() for name in MECHANISMS)
_AUTH: Final = rb"(?i:(?:\A|\r)[ \t]*+AUTH)"


def looks_like_auth(line: bytes) -> bool:
    """Whether a line starts like AUTH, or goes on so behind a bare CR."""
    return re.search(_AUTH, line) is not None


def redacted(line: bytes) -> bytes:
    """What may be shown of a line that looks like AUTH: the mechanism, where it is a known one.

    A damaged verb or name has the same secret behind it.
    """
    verb, _, argument = line.partition(b" ")
    name, blank, _ = argument.lstrip(b" ").partition(b" ")
    if len(verb) != 4 or name.upper() not in _NAMES:
        return b"AUTH " + REDACTED
    return b"AUTH " + name + (b" " + REDACTED if blank else b"")
