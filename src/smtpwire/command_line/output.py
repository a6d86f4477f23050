"""What is printed: no control character of a peer's, and one clear line for an error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, TextIO, final

from smtpwire.wire.error import SmtpwireError

__all__ = [
    "INTERRUPTED",
    "TEMPORARY",
    "UNAVAILABLE",
    "USAGE",
    "Failure",
    "complain",
    "json_of",
    "printable",
    "show",
    "silence",
]

USAGE: Final = 64
"""Exit code: what was passed is wrong (EX_USAGE of sysexits.h)."""
UNAVAILABLE: Final = 69
"""Exit code: it was refused, and will be again (EX_UNAVAILABLE)."""
TEMPORARY: Final = 75
"""Exit code: it may go another time (EX_TEMPFAIL)."""
INTERRUPTED: Final = 130
"""Exit code: Ctrl-C."""


@final
class Failure(SmtpwireError):
    """Ends the program with this line and this exit code."""

    def __init__(self, line: str, code: int = USAGE) -> None:
        super().__init__(line)
        self.code = code


def _escapes() -> dict[int, str]:
    """C0, DEL, C1, the line separators, and all that changes the direction of writing."""
    points: Iterable[int] = (
        *range(0x20),
        *range(0x7F, 0xA0),
        *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
    return {point: f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" for point in points}


_ESCAPES: Final = _escapes()
# Those of C0 that stand in it are layout: JSON has none in a string.
_JSON_ESCAPES: Final = {point: f"\\u{point:04x}" for point in _ESCAPES if point >= 0x7F}


def printable(text: str | bytes) -> str:
    """The text, safe for a terminal: nothing in it moves a cursor or turns its direction."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return text.translate(_ESCAPES)


def json_of(value: object) -> str:
    """The value as JSON, safe for a terminal as what :func:`printable` gives."""
    return json.dumps(value, indent=2, ensure_ascii=False).translate(_JSON_ESCAPES)


def show(line: str) -> None:
    """A line on standard output, at once; what its encoding does not have is escaped."""
    _write(line, sys.stdout)


def complain(line: str) -> None:
    """One line on standard error."""
    with suppress(OSError):  # there is nobody left to tell
        _write(f"smtpwire: {printable(line)}", sys.stderr)


def _write(line: str, stream: TextIO) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def silence() -> None:
    """Nobody reads standard output any more: what is left in its buffer goes nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
