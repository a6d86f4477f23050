"""The body of a message on the wire: line ends, dots, and where a message ends.

RFC 5321 §4.5.2 (transparency), §4.1.1.4 (end of data), §2.3.8 (only CRLF ends a line). The end of
data is exactly ``CRLF.CRLF``, whatever else is tolerated: anything that only looks like it is
content, or else one message could smuggle a second one past a server that reads it differently.

Nothing here works line by line. A chunk is searched as a whole for the few octets that matter, and
is handed on untouched where there are none.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal

from smtpwire.wire.error import BareLineEnding
from smtpwire.wire.scan import DOT, END_OF_DATA, LINE_DOT, with_line_dots

try:  # in C, where it was built
    from smtpwire.wire._scan import is_canonical, line_dots, without_line_dots
except ImportError:
    from smtpwire.wire.scan import is_canonical, line_dots, without_line_dots

__all__ = [
    "BareLineEnding",
    "DotDecoder",
    "DotEncoder",
    "LineEndingCheck",
    "LineEndingGuard",
    "LineEndings",
    "LineNormaliser",
    "encode_canonical",
    "normalised",
    "pass_canonical",
]


class LineEndings(Enum):
    """What to do with a CR or LF that is not part of CRLF. It never ends a line or a message."""

    REJECT = "reject"
    """Refuse the message, "even in the name of robustness" (RFC 5321 §4.1.1.4), but only at its
    true end: stopping early would lose the place in the stream."""

    NORMALISE = "normalise"
    """Make it a CRLF, after the dots have been dealt with. A line with one dot may arise; it is
    content, and is stuffed when the message is sent on."""

    PRESERVE = "preserve"
    """Hand it through."""


REJECT: Final = LineEndings.REJECT
NORMALISE: Final = LineEndings.NORMALISE

CR: Final = 0x0D  # numbers, as DOT is: bytes in bytes take an exception inside
LF: Final = 0x0A
# The proper prefixes of END_OF_DATA, the longest first. The last octets of a chunk which may yet
# become the end of data are held back.
PREFIXES: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")
LAST_OF_PREFIXES: Final = (CR, LF, DOT)

# Slow; used only to find the place of what is known to be there. Compiled when first used.
BARE: Final = rb"\r(?!\n)|(?<!\r)\n"


def first_bare(octets: bytes) -> int:
    """Where the first bare CR or LF stands in what is not canonical."""
    return next(re.finditer(BARE, octets)).start()


def normalised(octets: bytes) -> bytes:
    """Make CRLF of every CR, LF and CRLF."""
    if CR in octets:
        if is_canonical(octets):
            return octets
        octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return octets.replace(b"\n", b"\r\n")


def held_back(octets: bytes) -> int:
    """How many octets at the end may be the beginning of the end of data: 0 to 4."""
    if octets and octets[-1] in LAST_OF_PREFIXES:
        for prefix in PREFIXES:
            if octets.endswith(prefix):
                return len(prefix)
    return 0


class DotDecoder:
    """Takes the content of one message out of the octets which follow DATA's 354 reply.

    ``decode()`` each chunk until ``finished``. What comes out, joined, does not depend on how the
    octets were divided. At most four octets are held back between two calls.

    Attributes:
        finished: the end of data has come.
        rest: the octets behind the end of data, once finished; not part of this message.
        violation: with ``LineEndings.REJECT``, where the first bare CR or LF stood, counted in
            octets as received from the first one of the body on. Known at the latest when
            finished. The content stops in front of it and the message must be refused.
        bare: that octet, CR or LF.
        canonical: the content handed out so far has no bare CR or LF; False only with PRESERVE.
    """

    __slots__ = (
        "_discarding",
        "_held",
        "_line_endings",
        "_offset",
        "bare",
        "canonical",
        "finished",
        "rest",
        "violation",
    )

    def __init__(self, line_endings: LineEndings = LineEndings.REJECT) -> None:
        self._line_endings = line_endings
        # The first line starts as if a CRLF had come before it: DATA's own (RFC 5321 §4.1.1.4).
        # These two octets are no content: the offset, of what is handed out next, is below 0.
        self._held = b"\r\n"
        self._offset = -2
        self._discarding = False
        self.finished: bool = False
        self.rest: bytes = b""
        self.violation: int | None = None
        self.bare: bytes = b""
        self.canonical: bool = True

    def decode(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take a chunk as received; return the content it completes, which may be empty.

        ``rest`` is a copy, so hand over a large backlog in pieces (64 KiB is a good size).

        Raises:
            ValueError: the message has already ended; a mistake of the caller, not of the peer.
        """
        if self.finished:
            raise ValueError("the end of data has already come")
        octets = self._held + data
        del data  # or a chunk would be there once more while the copy is looked at
        stuffed, end = line_dots(octets)
        if end < 0:
            keep = len(octets) - held_back(octets)
            self._held = octets[keep:]
        else:
            keep = end + 2  # the first CRLF is content
            self.rest = octets[end + 5 :]
            self.finished = True
        if self._discarding or not keep:
            return b""
        return self._content(octets, keep, stuffed)

    def discard(self) -> None:
        """Hand out and check no more content; go on to the true end of data."""
        self._discarding = True

    def _content(self, octets: bytes, keep: int, stuffed: bool) -> bytes:
        """The content in the first octets, ``keep`` of them; ``stuffed``: dots lead lines."""
        # These neither begin nor end inside a CRLF: a CR at the end was held back.
        first = self._offset < 0
        start = 2 if first and not stuffed else 0
        content = octets[start:keep]
        if self._line_endings is not NORMALISE and self.canonical and not is_canonical(content):
            content = self._with_bare(content, self._offset + start)
        self._offset += keep
        # RFC 5321 §4.5.2: one leading dot goes. It leads a line only after CRLF; and taking it
        # away never makes a CRLF of a bare CR and a bare LF.
        if stuffed:
            content = without_line_dots(content)
            if first:
                content = content[2:]
        return normalised(content) if self._line_endings is NORMALISE else content

    def _with_bare(self, octets: bytes, offset: int) -> bytes:
        """What is handed on of content with a bare CR or LF; it begins at the offset."""
        if self._line_endings is not REJECT:
            self.canonical = False
            return octets
        bare = first_bare(octets)
        self.violation = offset + bare
        self.bare = octets[bare : bare + 1]
        self._discarding = True
        return octets[:bare]


class DotEncoder:
    """Makes of the content of one message the octets which follow DATA's 354 reply.

    ``encode()`` each chunk, then ``end()`` once. There is no way to send a bare CR or LF: a lax
    receiver could take it for the end of a line, and the dot behind it for the end of the message.

    Args:
        line_endings: REJECT, or NORMALISE to make CRLF of every CR, LF and CRLF.

    Raises:
        ValueError: for PRESERVE.
    """

    __slots__ = ("_at_line_start", "_ended", "_held", "_normaliser", "_offset")

    def __init__(
        self,
        line_endings: Literal[LineEndings.REJECT, LineEndings.NORMALISE] = LineEndings.REJECT,
    ) -> None:
        if line_endings not in (REJECT, NORMALISE):
            raise ValueError("a bare CR or LF cannot be sent by DATA")
        self._normaliser = LineNormaliser() if line_endings is NORMALISE else None
        self._at_line_start = True
        self._held = b""
        self._offset = 0
        self._ended = False

    def encode(self, chunk: bytes | bytearray | memoryview) -> bytes:
        """Return the octets to send for the next chunk of content.

        A CR at the end waits for the next chunk.

        Raises:
            BareLineEnding: the chunk shows a bare CR or LF; nothing of it has been encoded.
            ValueError: the content has already ended.
        """
        if self._ended:
            raise ValueError("the content has already ended")
        if self._normaliser is not None:
            return self._stuff(self._normaliser.normalise(chunk))
        content = self._held + chunk if self._held else bytes(chunk)
        # A CR at the end is judged with what follows it.
        complete = content[:-1] if content.endswith(b"\r") else content
        if not is_canonical(complete):
            bare = first_bare(complete)
            raise BareLineEnding(self._offset + bare, complete[bare : bare + 1])
        return self._encode(content)

    def _encode(self, content: bytes) -> bytes:
        """Encode what has been looked at, but for a CR at the end, which waits."""
        self._held = b""
        if content.endswith(b"\r"):
            content, self._held = content[:-1], b"\r"
        self._offset += len(content)
        return self._stuff(content)

    def end(self) -> bytes:
        """Return the final CRLF, if the content has none, and the end of data (RFC 5321 §4.1.1.4).

        Raises:
            BareLineEnding: the last octet of the content is a CR; nothing has ended.
            ValueError: the content has already ended.
        """
        if self._ended:
            raise ValueError("the content has already ended")
        if self._held:
            raise BareLineEnding(self._offset, self._held)
        self._ended = True
        return b".\r\n" if self._at_line_start else END_OF_DATA

    def _stuff(self, content: bytes) -> bytes:
        # RFC 5321 §4.5.2. Every LF in content ends a CRLF, and none is divided between chunks.
        if not content:
            return b""
        at_line_start = self._at_line_start
        self._at_line_start = content[-1] == LF
        if DOT not in content:
            return content
        first = b"." if at_line_start and content[0] == DOT else b""
        if content.rfind(LINE_DOT) >= 0:
            return with_line_dots(content, b"\r\n..", first)
        return first + content if first else content


class LineNormaliser:
    """Makes CRLF of every CR, LF and CRLF, also where a CRLF is divided between two chunks.

    Each chunk is answered whole; nothing is held back, so there is nothing to be ended.
    """

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def normalise(self, chunk: bytes | bytearray | memoryview) -> bytes:
        """Return the chunk with its line ends made CRLF."""
        octets = bytes(chunk)
        if not octets:
            return b""
        if self._after_cr:
            octets = octets.removeprefix(b"\n")  # its CRLF has already been given
        self._after_cr = octets.endswith(b"\r")
        return normalised(octets)


def encode_canonical(encoder: DotEncoder, chunk: bytes) -> bytes:
    """The same as ``encoder.encode()``, where all of the content has been looked through before.

    For the engine: each CR and LF of the content, of which this is a part, belongs to a CRLF. Only
    where it meets what was sent before is it looked at: others may have sent a part between two.
    """
    if bool(encoder._held) is not chunk.startswith(b"\n"):
        return encoder.encode(chunk)
    return encoder._encode(encoder._held + chunk)


def pass_canonical(guard: LineEndingGuard, chunk: bytes) -> None:
    """The same as ``guard.check()``, on the terms of :func:`encode_canonical`."""
    if guard._after_cr is not chunk.startswith(b"\n"):
        guard.check(chunk)
    else:
        guard._pass(chunk)


class LineEndingGuard:
    """Refuses a bare CR or LF in content that is to be sent as text in chunks."""

    __slots__ = ("_after_cr", "_offset")

    def __init__(self) -> None:
        self._after_cr = False
        self._offset = 0

    def check(self, chunk: bytes) -> None:
        """Look at the next chunk. A CR at its end is judged with the one behind it.

        Raises:
            BareLineEnding: the chunk shows a bare CR or LF; it does not count as seen.
        """
        content = b"\r" + chunk if self._after_cr else chunk
        # A CR at the end is judged with what follows it.
        if not is_canonical(content[:-1] if content.endswith(b"\r") else content):
            bare = first_bare(content)
            raise BareLineEnding(self._offset - self._after_cr + bare, content[bare : bare + 1])
        self._pass(chunk)

    def _pass(self, chunk: bytes) -> None:
        """It counts as seen."""
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
            self._offset += len(chunk)

    def end(self) -> None:
        """Look at the end of the content.

        Raises:
            BareLineEnding: its last octet is a CR; nothing has ended.
        """
        if self._after_cr:
            raise BareLineEnding(self._offset - 1, b"\r")


class LineEndingCheck:
    """Watches content which is passed on octet by octet, as by BDAT, for bare CR and LF.

    Attributes:
        canonical: every CR and LF so far was part of a CRLF.
    """

    __slots__ = ("_after_cr", "canonical")

    def __init__(self) -> None:
        self._after_cr = False
        self.canonical: bool = True

    def update(self, chunk: bytes | bytearray | memoryview, *, last: bool = False) -> None:
        """Look at the next chunk. Only ``last`` decides about a CR at its end."""
        if self.canonical:
            self._look_at(bytes(chunk), last)

    def find(self, chunk: bytes, *, last: bool = False) -> int | None:
        """The same, and where the first bare CR or LF stands in the chunk; -1: right before it.

        Useful up to the first one, after which None is given.
        """
        if not self.canonical:
            return None
        after_cr = self._after_cr
        if self._look_at(chunk, last):
            return None
        return first_bare(b"\r" + chunk) - 1 if after_cr else first_bare(chunk)

    def _look_at(self, chunk: bytes, last: bool) -> bool:
        """Whether all is canonical still."""
        content = b"\r" + chunk if self._after_cr else chunk
        self._after_cr = not last and content.endswith(b"\r")
        self.canonical = is_canonical(content[:-1] if self._after_cr else content)
        return self.canonical
