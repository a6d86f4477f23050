"""The parser of a stream of replies (RFC 5321 §4.2).

What a client reads is taken liberally in its text and strictly in its framing: line ends, equal
codes, bounds.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, TypeAlias, final

from smtpwire.wire.reply import SMALLEST_LIMIT, STATUS, Reply, proven_reply
from smtpwire.wire.value import value

__all__ = ["ReplyError", "ReplyErrorKind", "ReplyParser"]

_STATUS_PREFIX: Final = re.compile(rf"({STATUS})(?:[ \t]|\Z)")
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_CODE: Final = re.compile(rb"[0-9]{3}(?:[ \-A-Za-z]|\Z)")
# Replies of one line in ASCII: with a status code of the code's class, and with any text.
_STATUS_LINE: Final = re.compile(
    rb"(([245])[0-9]{2}) (\2\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})) ([ -~]*+)"
)
_TEXT_LINE: Final = re.compile(rb"([0-9]{3}) ([ -~]*+)")
# The same where a status code may stand: none does if there is no dot behind its first digit.
_PLAIN_LINE: Final = re.compile(rb"([0-9]{3}) (?![245]\.)([ -~]*+)")
_MARKS: Final = " -"  # behind the code; the peer may also have left the blank out
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")

_EXCERPT: Final = 80

# A server says the same few things again and again, and so do all servers: what came at once, and
# single lines, with what they mean. Without and with status codes; small, bounded in number, and
# forgotten all at once. A reply is frozen, and each line is short enough for any bound. What 334
# says is a mechanism's.
_Known: TypeAlias = tuple[tuple[bytes, Reply], ...]
DELIVERIES: Final[tuple[dict[bytes, _Known], dict[bytes, _Known]]] = ({}, {})
LINES: Final[tuple[dict[bytes, Reply], dict[bytes, Reply]]] = ({}, {})
_REMEMBERED: Final = 256
_SMALL: Final = 1024
_CHALLENGE: Final = 334


class ReplyErrorKind(Enum):
    """How a stream of replies is broken."""

    MALFORMED = "malformed"
    """A line that is no reply: no three digits, or no blank, "-" or end behind them.

    RFC 5321 §4.2. A letter is taken in the blank's place (``250ok``): servers forget it, and it
    can be mistaken for nothing else. ``250_ok``, ``220+mx`` or a fourth digit cannot be trusted.
    """

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

    ``kind``: what is broken.
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
        "_enhanced",
        "_error",
        "_held",
        "_held_size",
        "_length",
        "_lines",
        "_newline",
        "max_line",
        "max_lines",
        "max_octets",
        "offset",
        "ready",
    )

    def __init__(
        self,
        *,
        enhanced: bool = False,
        max_line: int = 4096,
        max_lines: int = 1000,
        max_octets: int = 65536,
    ) -> None:
        self._enhanced = enhanced
        self.max_line: int = max_line
        self.max_lines: int = max_lines
        self.max_octets: int = max_octets
        self._chunks: list[bytes] = []  # what has not been cut into lines
        self._length = 0  # of the chunks together
        self._newline = False  # one of the chunks has an LF
        self._lines: list[bytes] = []  # complete lines without CRLF, the last first
        self._held: list[bytes] = []  # the lines of a reply whose last has not come ...
        self._bodies: list[str] = []  # ... and their texts
        self._held_size = 0
        self._code = b""
        self.ready: list[tuple[bytes, Reply]] = []
        """Instead of lines that have come what they are known to mean, the last first; for a reader
        that takes them itself, and counts their octets in ``offset``."""
        self.offset: int = 0
        """How many octets have been read as lines, from the first one given on."""
        self._error: ReplyError | None = None

    @property
    def enhanced(self) -> bool:
        """Whether status codes are taken out of the text; it counts for every reply to come."""
        return self._enhanced

    @enhanced.setter
    def enhanced(self, enhanced: bool) -> None:
        self._enhanced = enhanced
        self._lines += [line for line, _ in self.ready]
        self.ready.clear()

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets as they come from the peer. Never raises for what they are."""
        if self._error is not None:
            return
        octets = bytes(data)
        if self._length or self._lines or self.ready:
            self._keep(octets)
        elif not self._held and (known := DELIVERIES[self._enhanced].get(octets)):
            self.ready += known
        elif octets.endswith(b"\r\n"):
            lines = octets[:-2].split(b"\r\n")
            lines.reverse()
            self._lines = lines
            if not self._held and len(octets) <= _SMALL:
                _remember_delivery(octets, lines, self._enhanced)
        else:
            self._keep(octets)

    def _keep(self, octets: bytes) -> None:
        """Keep octets that are not yet to be cut into lines."""
        self._chunks.append(octets)
        self._length += len(octets)
        self._newline = self._newline or b"\n" in octets

    @property
    def pending(self) -> bool:
        """Octets are buffered that no reply has been made of."""
        return bool(self._length or self._held or self._lines or self.ready)

    def take_rest(self) -> bytes:
        """Give away the octets behind the last reply returned, and forget them."""
        ready = [line for line, _ in reversed(self.ready)]
        lines = [*self._held, *ready, *reversed(self._lines)]
        rest = b"".join([*(line + b"\r\n" for line in lines), *self._chunks])
        self._forget()
        return rest

    def next_reply(self) -> Reply | ReplyError | None:
        """The next complete reply; None: more octets are needed.

        A :class:`ReplyError` is the end: it comes again at every later call.
        """
        if self.ready:
            line, reply = self.ready.pop()
            self.offset += len(line) + 2
            return reply
        while self._lines or self._cut_lines():
            line = self._lines.pop()
            size = len(line) + 2
            if not self._held:
                if found := LINES[self._enhanced].get(line):
                    self.offset += size
                    return found
                # The common case in one match; all others take the long way to the same end.
                if size <= self.max_line and (found := _read_common(line, self._enhanced)):
                    self.offset += size
                    _remember_line(line, found, self._enhanced)
                    return found
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
        if self._enhanced and (found := _STATUS_PREFIX.match(bodies[0])):
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
        self.ready = []
        self._drop_held()

    def _drop_held(self) -> None:
        self._held = []
        self._bodies = []
        self._held_size = 0


def _remember_line(line: bytes, reply: Reply, enhanced: bool) -> None:
    if len(line) <= SMALLEST_LIMIT and reply.code != _CHALLENGE:
        known = LINES[enhanced]
        if len(known) >= _REMEMBERED:
            known.clear()
        known[line] = reply


def _remember_delivery(octets: bytes, lines: list[bytes], enhanced: bool) -> None:
    """Remember what came at once, where all of its lines are known: those of the last first."""
    known = LINES[enhanced]
    replies = []
    for line in lines:
        reply = known.get(line)
        if reply is None:
            return
        replies.append((line, reply))
    deliveries = DELIVERIES[enhanced]
    if len(deliveries) >= _REMEMBERED:
        deliveries.clear()
    deliveries[octets] = tuple(replies)


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
