"""What is to be done with a chunk of a body for which every octet has to be looked at.

A build with a C compiler does the three that a server needs by ``_scan.c``. These here are what it
must answer, and what every other build uses.
"""

from __future__ import annotations

from io import IncrementalNewlineDecoder
from typing import Final

__all__ = [
    "END_OF_DATA",
    "LINE_DOT",
    "is_canonical",
    "line_dots",
    "with_line_dots",
    "without_line_dots",
]

END_OF_DATA: Final = b"\r\n.\r\n"
LINE_DOT: Final = b"\r\n."
DOT: Final = 0x2E  # as a number: bytes in bytes take an exception inside, and ten times as long
NUL: Final = 0x00
BLOCK: Final = 128 * 1024
SAMPLE: Final = 512
# What IncrementalNewlineDecoder.newlines says where there is no bare CR or LF.
ONLY_CRLF: Final = (None, "\r\n")


def is_canonical(octets: bytes) -> bool:
    """Whether every CR and LF is part of a CRLF. A CR at the end is not."""
    # The newline decoder notes which line ends it has seen; four times faster than counting.
    seen = IncrementalNewlineDecoder(None, False)
    seen.decode(octets.decode("latin-1"), True)
    return seen.newlines in ONLY_CRLF


def line_dots(octets: bytes) -> tuple[bool, int]:
    """Whether a line begins with a dot, and where the end of data is; -1: nowhere.

    A line begins after CRLF, so that the first octets are within one. Its dot counts only in
    front of the first ``CRLF.CRLF`` (RFC 5321 §4.1.1.4).
    """
    # Backwards is the faster way on optimised builds; most often there is none, and no end.
    if DOT not in octets or octets.rfind(LINE_DOT) < 0:
        return False, -1
    end = octets.rfind(END_OF_DATA)
    if end < 0:
        return True, -1
    if octets.rfind(LINE_DOT, 0, end + 2) < 0:
        return False, end
    end = octets.find(END_OF_DATA)
    return octets.find(LINE_DOT, 0, end + 2) >= 0, end


def without_line_dots(octets: bytes) -> bytes:
    """Make CRLF of every ``CRLF .``: the content of what was stuffed (RFC 5321 §4.5.2).

    Nothing is looked at twice: of ``CRLF ..`` one dot stays.
    """
    return with_line_dots(octets, b"\r\n")


def with_line_dots(octets: bytes, replacement: bytes, prefix: bytes = b"") -> bytes:
    """Replace every ``CRLF .`` by CRLF or ``CRLF ..``: what ``prefix + octets.replace()`` does."""
    # In blocks, as a million lines at once do not fit into any cache. They end where one of the
    # replaced begins, so that none is divided.
    pieces = [prefix]
    start = 0
    while (end := octets.find(LINE_DOT, start + BLOCK)) >= 0:
        pieces.append(_with_line_dots(octets[start:end], replacement))
        start = end
    if not start:
        return prefix + _with_line_dots(octets, replacement)
    pieces.append(_with_line_dots(octets[start:], replacement))
    return b"".join(pieces)


def _with_line_dots(octets: bytes, replacement: bytes) -> bytes:
    # Splitting is faster than replacing for lines of the usual length, slower for very short ones:
    # those which the beginning shows, and those that come later.
    if octets.count(LINE_DOT, 0, SAMPLE) > SAMPLE // 16:
        if len(replacement) < len(LINE_DOT) and NUL not in octets:
            # In place, and then out: a fifth less than to move what follows again and again.
            return octets.replace(LINE_DOT, b"\r\n\0").translate(None, b"\0")
        return octets.replace(LINE_DOT, replacement)
    lines = octets.split(LINE_DOT, len(octets) // 32)
    lines[-1] = lines[-1].replace(LINE_DOT, replacement)
    return replacement.join(lines)
