"""Replies: the value and its octets (RFC 5321 §4.2)."""

from __future__ import annotations

import re
from typing import Final, final

from smtpwire.wire.checked import checked
from smtpwire.wire.value import maker, value

__all__ = ["SMALLEST_LIMIT", "STATUS", "Reply", "format_reply"]

# RFC 3463 §2: class 2, 4 or 5; subject and detail one to three digits without leading zeros.
STATUS: Final = r"[245]\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})"

# RFC 5321 §4.2: textstring is HT and %d32-126; beyond ASCII it needs SMTPUTF8.
_FORBIDDEN: Final = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"

SMALLEST_LIMIT: Final = 64  # room for any prefix and any character


@final
@value
class Reply:
    """A reply: its code, its text, its enhanced status code.

    ``code``: 200 to 559 where an application builds it (RFC 5321 §4.2), any three digits where a
    peer sent it. ``text``: lines separated by LF; CRLF is taken as LF. ``enhanced``: like
    "5.7.1" (RFC 3463 §2), its class the code's first digit (RFC 2034 §4); None if there is none.

    Raises ValueError for a code out of range, controls other than HT in the text, an enhanced
    code that is none or contradicts the code.
    """

    code: int
    text: str = ""
    enhanced: str | None = None

    def __post_init__(self) -> None:
        given: tuple[object, ...] = (self.code, self.text)
        if type(given[0]) is not int or type(given[1]) is not str:
            checked("Reply.code", self.code, int)
            checked("Reply.text", self.text, str)
        if not (200 <= self.code <= 559 and self.code % 100 <= 59):
            raise ValueError(f"reply code {self.code} is not [2-5][0-5][0-9] (RFC 5321 §4.2)")
        if not self.text.isprintable():
            text = self.text.replace("\r\n", "\n")
            if found := re.search(_FORBIDDEN, text):
                raise ValueError(
                    f"reply text has a control character at {found.start()} (RFC 5321 §4.2)"
                )
            object.__setattr__(self, "text", text)
        if self.enhanced is not None:
            checked("Reply.enhanced", self.enhanced, str)
            if re.fullmatch(STATUS, self.enhanced) is None:
                raise ValueError(
                    f"enhanced {self.enhanced!r} is no status code like '5.1.1' (RFC 3463 §2)"
                )
            if int(self.enhanced[0]) != self.severity:
                raise ValueError(
                    f"enhanced {self.enhanced!r} is not of the class of {self.code} (RFC 2034 §4)"
                )

    @property
    def lines(self) -> tuple[str, ...]:
        """The text line by line, at least one."""
        return tuple(self.text.split("\n"))

    @property
    def severity(self) -> int:
        """The code's first digit, by which unknown codes are understood (RFC 5321 §4.3.2)."""
        return self.code // 100

    @property
    def is_positive(self) -> bool:
        """2yz: done (RFC 5321 §4.2.1)."""
        return self.code // 100 == 2

    @property
    def is_intermediate(self) -> bool:
        """3yz: go on (RFC 5321 §4.2.1)."""
        return self.code // 100 == 3

    @property
    def is_transient(self) -> bool:
        """4yz: refused for now (RFC 5321 §4.2.1)."""
        return self.code // 100 == 4

    @property
    def is_permanent(self) -> bool:
        """5yz: refused (RFC 5321 §4.2.1)."""
        return self.code // 100 == 5

    @property
    def status(self) -> tuple[int, int, int] | None:
        """The enhanced status code as three numbers: class, subject, detail."""
        if self.enhanced is None:
            return None
        category, subject, detail = self.enhanced.split(".")
        return int(category), int(subject), int(detail)

    def __str__(self) -> str:
        text = self.text.replace("\n", " / ")
        return " ".join(part for part in (f"{self.code:03}", self.enhanced, text) if part)


proven_reply: Final = maker(Reply)
"""Makes a Reply of code, text and enhanced code which a parser has proved; nothing is checked."""


def format_reply(reply: Reply, *, utf8: bool = False, limit: int = 512) -> bytes:
    """The octets of a reply, each line with its code, its enhanced code and CRLF.

    Lines longer than ``limit`` octets, CRLF included (RFC 5321 §4.5.3.1.5), are wrapped, at a
    blank where there is one. ``utf8``: the command asked for SMTPUTF8 (RFC 6531 §3.7.4).
    Raises ValueError for text beyond ASCII without it, and for a limit below 64.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(f"limit is below {SMALLEST_LIMIT} octets")
    try:
        text = reply.text.encode("utf-8" if utf8 else "ascii")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"reply text is not ASCII at {error.start} and SMTPUTF8 not in use (RFC 6531 §3.7.4)"
        ) from None
    # A status code is always followed by a space: RFC 2034 §4. So is a code: RFC 5321 §4.2.
    status = b"" if reply.enhanced is None else reply.enhanced.encode() + b" "
    room = limit - len(b"250 \r\n") - len(status)
    lines = text.split(b"\n")
    if len(text) > room:
        lines = [piece for line in lines for piece in _wrap(line, room)]
    last = lines.pop()
    octets = b"".join([b"%03d-%b%b\r\n" % (reply.code, status, line) for line in lines])
    return octets + b"%03d %b%b\r\n" % (reply.code, status, last)


def _wrap(line: bytes, room: int) -> list[bytes]:
    pieces: list[bytes] = []
    start = 0
    while len(line) - start > room:
        blank = line.rfind(b" ", start + 1, start + room + 1)
        end = blank if blank > 0 else _character_border(line, start + room)
        pieces.append(line[start:end])
        start = end + 1 if blank > 0 else end
    pieces.append(line[start:])
    return pieces


def _character_border(line: bytes, end: int) -> int:
    while line[end] & 0xC0 == 0x80:  # inside a UTF-8 sequence
        end -= 1
    return end
