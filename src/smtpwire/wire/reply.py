"""Replies: the value, its octets, and the parser of a stream of them (RFC 5321 §4.2).

A server's replies are strict; what a client reads is taken liberally in its text and strictly in
its framing: line ends, equal codes, bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias, final

from smtpwire.wire.value import value

__all__ = [
    "Reply",
    "ReplyError",
    "ReplyErrorKind",
    "ReplyParser",
    "format_reply",
    "proven_reply",
]

# RFC 3463 §2: class 2, 4 or 5; subject and detail one to three digits without leading zeros.
_STATUS: Final = re.compile(r"[245]\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})")
_STATUS_PREFIX: Final = re.compile(rf"({_STATUS.pattern})(?:[ \t]|\Z)")

# RFC 5321 §4.2: textstring is HT and %d32-126; beyond ASCII it needs SMTPUTF8.
_FORBIDDEN: Final = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_CODE: Final = re.compile(rb"[0-9]{3}(?![0-9])")
# Replies of one line in ASCII: with a status code of the code's class, and with any text.
_STATUS_LINE: Final = re.compile(
    rb"(([245])[0-9]{2}) (\2\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})) ([ -~]*+)"
)
_TEXT_LINE: Final = re.compile(rb"([0-9]{3}) ([ -~]*+)")
# The same where a status code may stand: none does if there is no dot behind its first digit.
_PLAIN_LINE: Final = re.compile(rb"([0-9]{3}) (?![245]\.)([ -~]*+)")
_MARKS: Final = " \t-"  # behind the code; the peer may also have left it out
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")

_SMALLEST_LIMIT: Final = 64  # room for any prefix and any character
_EXCERPT: Final = 80
_REMEMBERED: Final = 16


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
            if _STATUS.fullmatch(self.enhanced) is None:
                raise ValueError("enhanced is not an enhanced status code (RFC 3463 §2)")
            if int(self.enhanced[0]) != self.severity:
                raise ValueError("enhanced is not of the code's class (RFC 2034 §4)")

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


def proven_reply(code: int, text: str, enhanced: str | None) -> Reply:
    """Make a Reply of parts which a parser has proved; nothing is checked."""
    reply = object.__new__(Reply)
    _set_code(reply, code)
    _set_text(reply, text)
    _set_enhanced(reply, enhanced)
    return reply


# The slots' own setters: half the price of object.__setattr__, which a frozen class leaves.
_StrSetter: TypeAlias = Callable[[Reply, str | None], None]
_set_code: Final[Callable[[Reply, int], None]] = Reply.__dict__["code"].__set__
_set_text: Final[_StrSetter] = Reply.__dict__["text"].__set__
_set_enhanced: Final[_StrSetter] = Reply.__dict__["enhanced"].__set__


def format_reply(reply: Reply, *, utf8: bool = False, limit: int = 512) -> bytes:
    """The octets of a reply, each line with its code, its enhanced code and CRLF.

    Lines longer than ``limit`` octets, CRLF included (RFC 5321 §4.5.3.1.5), are wrapped, at a
    blank where there is one. ``utf8``: the command asked for SMTPUTF8 (RFC 6531 §3.7.4).
    Raises ValueError for text beyond ASCII without it, and for a limit below 64.
    """
    if limit < _SMALLEST_LIMIT:
        raise ValueError(f"limit is below {_SMALLEST_LIMIT} octets")
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


class ReplyErrorKind(Enum):
    """How a stream of replies is broken."""

    MALFORMED = "malformed"
    """A line that does not start with three digits (RFC 5321 §4.2)."""

    MIXED_CODES = "mixed codes"
    """A line of a reply with another code than the first (RFC 5321 §4.2.1)."""

    LINE_TOO_LONG = "line too long"
    """No CRLF within ``max_line`` octets."""

    REPLY_TOO_LONG = "reply too long"
    """More lines than ``max_lines`` or more octets than ``max_octets`` in one reply."""

    BARE_LF = "bare LF"
    """LF without CR before it (RFC 5321 §2.3.8)."""

    BARE_CR = "bare CR"
    """CR without LF behind it (RFC 5321 §2.3.8)."""


@final
@value
class ReplyError:
    """The stream is broken and stays so: which reply belongs to which command is unknown.

    ``offset``: of the faulty octet, or the faulty line's first, counted from the first octet the
    parser was given. ``excerpt``: how the line starts, escaped.
    """

    kind: ReplyErrorKind
    offset: int
    excerpt: str = ""


class ReplyParser:
    """Cuts a stream of octets into replies; linear in what it is given and bounded in memory.

    Set ``enhanced`` once ENHANCEDSTATUSCODES is offered: from then on a status code which all
    lines of a reply share, of the code's class, is taken out of the text into
    ``Reply.enhanced`` (RFC 2034 §4); anything else stays in the text.

    Text which is not UTF-8, and controls, come as backslash escapes (``\\xff``). The bounds are
    in octets with CRLF: of one line, of the lines of one reply together, and in lines of one
    reply. What is fed and not yet asked for is the caller's to bound.
    """

    __slots__ = (
        "_bodies",
        "_chunks",
        "_code",
        "_error",
        "_held",
        "_held_size",
        "_length",
        "_lines",
        "_newline",
        "_seen",
        "enhanced",
        "max_line",
        "max_lines",
        "max_octets",
        "offset",
    )

    def __init__(
        self,
        *,
        enhanced: bool = False,
        max_line: int = 4096,
        max_lines: int = 1000,
        max_octets: int = 65536,
    ) -> None:
        self.enhanced = enhanced
        self.max_line = max_line
        self.max_lines = max_lines
        self.max_octets = max_octets
        self._chunks: list[bytes] = []  # what has not been cut into lines
        self._length = 0  # of the chunks together
        self._newline = False  # one of the chunks has an LF
        self._lines: list[bytes] = []  # complete lines without CRLF, the last first
        self._held: list[bytes] = []  # the lines of a reply whose last has not come ...
        self._bodies: list[str] = []  # ... and their texts
        self._held_size = 0
        self._code = b""
        # A server says the same few things again and again: single lines and what they mean,
        # without and with status codes. Bounded in number and size, and never given up.
        self._seen: tuple[dict[bytes, Reply], dict[bytes, Reply]] = ({}, {})
        self.offset = 0
        """How many octets have been read as lines, from the first one given on."""
        self._error: ReplyError | None = None

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets as they come from the peer. Never raises for what they are."""
        if self._error is not None:
            return
        octets = bytes(data)
        if octets.endswith(b"\r\n") and not self._length and not self._lines:
            self._lines = octets[:-2].split(b"\r\n")[::-1]
        else:
            self._chunks.append(octets)
            self._length += len(octets)
            self._newline = self._newline or b"\n" in octets

    @property
    def pending(self) -> bool:
        """Octets are buffered that no reply has been made of."""
        return bool(self._length or self._held or self._lines)

    def take_rest(self) -> bytes:
        """Give away the octets behind the last reply returned, and forget them."""
        lines = [*self._held, *reversed(self._lines)]
        rest = b"".join([*(line + b"\r\n" for line in lines), *self._chunks])
        self._forget()
        return rest

    def next_reply(self) -> Reply | ReplyError | None:
        """The next complete reply; None: more octets are needed.

        A :class:`ReplyError` is the end: it comes again at every later call.
        """
        while self._lines or self._cut_lines():
            line = self._lines.pop()
            size = len(line) + 2
            if not self._held:
                if reply := self._seen[self.enhanced].get(line):
                    self.offset += size
                    return reply
                # The common case in one match; all others take the long way to the same end.
                if size <= self.max_line and (reply := _read_common(line, self.enhanced)):
                    self.offset += size
                    self._remember(line, reply)
                    return reply
            text = line.decode("utf-8", "backslashreplace")
            if not text.isprintable() or size > self.max_line:
                if self._find_fault(line + b"\r\n"):
                    break
                text = _CONTROL.sub(_escape, text)
            body = text[4:] if text[3:4] in _MARKS else text[3:]
            if _CODE.match(line) is None:
                self._fail(ReplyErrorKind.MALFORMED, line)
            elif self._held and line[:3] != self._code:
                self._fail(ReplyErrorKind.MIXED_CODES, line)
            elif line[3:4] == b"-":
                self._hold(line, body)
            else:
                self.offset += size
                return self._make(int(line[:3]), body)
        return self._error

    def _remember(self, line: bytes, reply: Reply) -> None:
        seen = self._seen[self.enhanced]
        if len(seen) < _REMEMBERED and len(line) <= _SMALLEST_LIMIT:
            seen[line] = reply

    def _cut_lines(self) -> bool:
        """Cut what has come into lines; False if no line is complete."""
        # The chunks are joined only when they may end a line, or the line is too long.
        if not self._newline and self._length < self.max_line:
            return False
        chunks = self._chunks
        octets = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        lines = octets.split(b"\r\n")
        tail = lines.pop()
        if not lines:
            self._find_fault(tail)
            return False
        lines.reverse()
        self._lines = lines
        if tail:
            self._chunks = [tail]
            self._length = len(tail)
            self._newline = b"\n" in tail
        else:
            chunks.clear()
            self._length = 0
            self._newline = False
        return True

    def _hold(self, line: bytes, body: str) -> None:
        """Keep a line that is not the reply's last."""
        self._code = line[:3]
        self._held.append(line)
        self._bodies.append(body)
        self._held_size += len(line) + 2
        if len(self._held) == self.max_lines or self._held_size > self.max_octets:
            self._fail(ReplyErrorKind.REPLY_TOO_LONG, line)
        else:
            self.offset += len(line) + 2

    def _make(self, code: int, body: str) -> Reply:
        """Make the reply whose last line has come."""
        bodies = [body]
        if self._held:
            bodies = [*self._bodies, body]
            self._drop_held()
        if self.enhanced and (found := _STATUS_PREFIX.match(bodies[0])):
            status = found[1]
            starts = (f"{status} ", f"{status}\t")
            shared = all(each.startswith(starts) or each == status for each in bodies)
            # Of another class than the code it says nothing: RFC 2034 §4.
            if shared and int(status[0]) == code // 100:
                text = "\n".join([each[len(status) + 1 :] for each in bodies])
                return proven_reply(code, text, status)
        return proven_reply(code, "\n".join(bodies), None)

    def _find_fault(self, octets: bytes) -> bool:
        """Fail if a line, with its CRLF where it has one, breaks the framing.

        What lies beyond ``max_line`` is not looked at: it may not have come yet.
        """
        window = octets[: self.max_line]
        if bare := _BARE.search(window):
            kind = ReplyErrorKind.BARE_LF if bare[0] == b"\n" else ReplyErrorKind.BARE_CR
            self._fail(kind, window[: bare.end()], bare.start())
        elif len(window) == self.max_line and not window.endswith(b"\r\n"):
            self._fail(ReplyErrorKind.LINE_TOO_LONG, window)
        return self._error is not None

    def _fail(self, kind: ReplyErrorKind, line: bytes, at: int = 0) -> None:
        excerpt = line[:_EXCERPT].decode("ascii", "backslashreplace")
        self._error = ReplyError(kind, self.offset + at, _CONTROL.sub(_escape, excerpt))
        self._forget()

    def _forget(self) -> None:
        self._chunks = []
        self._length = 0
        self._newline = False
        self._lines = []
        self._drop_held()

    def _drop_held(self) -> None:
        self._held = []
        self._bodies = []
        self._held_size = 0


def _read_common(line: bytes, enhanced: bool) -> Reply | None:
    if enhanced:
        if found := _STATUS_LINE.fullmatch(line):
            code, status, text = found.group(1, 3, 4)
            return proven_reply(int(code), text.decode(), status.decode())
        found = _PLAIN_LINE.fullmatch(line)
    else:
        found = _TEXT_LINE.fullmatch(line)
    if found:
        return proven_reply(int(found[1]), found[2].decode(), None)
    return None


def _escape(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]):02x}"
