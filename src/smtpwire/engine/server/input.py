"""What a server has received and not yet read, and how much may wait."""

from __future__ import annotations

from re import Match, Pattern
from typing import final

__all__ = ["Input"]


@final
class Input:
    """Octets in order, with the place of the next one to be read.

    What arrives while a question is pending, or inside a line, is kept apart and joined once, so
    that neither a patient flood nor single octets cost more than linear time. What has been read
    is kept only as long as something behind it waits: an idle connection keeps nothing.

    ``limit``: octets that may wait; once they have reached it, none are to be taken.
    """

    __slots__ = (
        "_arrived",
        "_buffer",
        "_position",
        "_scanned",
        "before",
        "ended",
        "limit",
        "received",
        "trailing",
        "waiting",
    )

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self._buffer = b""
        self._position = 0
        self._arrived: bytearray | bytes = b""  # behind the buffer; made when it is needed
        self._scanned = 0  # of those, known to have no LF
        self.received: int = 0
        """Octets that have come so far, since the last ``clear()``."""
        self.before: int = 0
        """Octets that had come before that."""
        self.waiting: int = 0
        """Octets that wait to be read."""
        self.ended: bool = False
        """The peer has closed its side."""
        self.trailing: bytes = b""
        """Octets for another layer, or another role, that came with what was read before."""

    @property
    def offset(self) -> int:
        """Octets read so far."""
        return self.received - self.waiting

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets as they arrive."""
        octets = data if isinstance(data, bytes) else bytes(data)
        size = len(octets)
        if self.waiting:
            if not self._arrived:
                self._arrived = bytearray()
            self._arrived += octets
        else:
            self._buffer = octets
            self._position = 0
        self.waiting += size
        self.received += size

    def take_to_lf(self) -> bytes | None:
        """The octets up to the next LF, which is read but not returned; None if there is none."""
        end = self._buffer.find(b"\n", self._position)
        if end < 0:
            if self._arrived.find(b"\n", self._scanned) < 0:
                self._scanned = len(self._arrived)
                return None
            self._join()
            end = self._buffer.find(b"\n")
        line = self._buffer[self._position : end]
        self._position = end + 1
        self.waiting -= len(line) + 1
        if not self.waiting:
            self._buffer = b""
        return line

    def take_match(self, pattern: Pattern[bytes], limit: int) -> Match[bytes] | None:
        """What the pattern matches next, which is read; None where it does not, or it is longer.

        Only of what has come in one piece: None says nothing yet.
        """
        start = self._position
        found = pattern.match(self._buffer, start)
        if found is None:
            return None
        end = found.end()
        size = end - start
        if size > limit:
            return None
        self._position = end
        self.waiting -= size
        if not self.waiting:
            self._buffer = b""
        return found

    def take(self, limit: int | None = None) -> bytes:
        """Everything there is, or the first ``limit`` octets."""
        if self._arrived:
            self._join()
        start = self._position
        size = self.waiting if limit is None or limit > self.waiting else limit
        self._position = end = start + size
        self.waiting -= size
        octets = self._buffer[start:end]
        if not self.waiting:
            self._buffer = b""
        return octets

    def peek(self, count: int) -> bytes:
        """The first octets, not read."""
        start = self._buffer[self._position : self._position + count]
        return start + self._arrived[: count - len(start)]

    def give_back(self, octets: bytes) -> None:
        """The last octets taken were too many: these are to be read again."""
        if self.waiting:
            self._position -= len(octets)
        else:
            self._buffer, self._position = octets, 0
        self.waiting += len(octets)

    def end(self) -> None:
        """The peer has closed its side: nothing more comes."""
        self.ended = True

    def open(self, limit: int) -> None:
        """Begin anew, under TLS: ``offset`` counts from 0 again, and nothing is left over."""
        self.clear()
        self.trailing = b""
        self.limit = limit

    def shut(self) -> None:
        """Take nothing more."""
        self.limit = 0

    def keep(self, octets: bytes, limit: int) -> None:
        """Put octets aside that are not SMTP's, up to the limit."""
        self.trailing += octets[: limit - len(self.trailing)]

    def clear(self) -> None:
        """Drop everything and count from 0 again."""
        self.before += self.received
        self._buffer = b""
        self._position = self._scanned = self.received = self.waiting = 0
        self._arrived = b""

    def _join(self) -> None:
        self._buffer = b"".join((self._buffer[self._position :], self._arrived))
        self._position = self._scanned = 0
        self._arrived = b""
