"""What is printed: never a control character of a peer's, one clear line for an error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final, final

__all__ = ["Failure", "complain", "printable"]


@final
class Failure(Exception):
    """Ends the program with this line and exit code 2."""


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


def printable(text: str | bytes) -> str:
    """The text, safe for a terminal: nothing in it moves a cursor or turns its direction."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return text.translate(_ESCAPES)


def complain(line: str) -> None:
    """One line on standard error."""
    print(f"smtpwire: {printable(line)}", file=sys.stderr)
