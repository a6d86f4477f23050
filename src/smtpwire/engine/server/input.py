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

    ``buffer``: what came first of what waits, read up to ``position``.
    ``limit``: octets that may wait; once they have reached it, none are to be taken.
    """

    __slots__ = (
        "_arrived",
        "_scanned",
        "before",
        "buffer",
        "ended",
        "limit",
        "position",
        "received",
        "trailing",
        "waiting",
    )

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self.buffer: bytes = b""
        self.position: int = 0
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
            self.buffer = octets
            self.position = 0
        self.waiting += size
        self.received += size

    def take_to_lf(self) -> bytes | None:
        """The octets up to the next LF, which is read but not returned; None if there is none."""
        end = self.buffer.find(b"\n", self.position)
        if end < 0:
            if self._arrived.find(b"\n", self._scanned) < 0:
                self._scanned = len(self._arrived)
                return None
            self._join()
            end = self.buffer.find(b"\n")
        line = self.buffer[self.position : end]
        self.position = end + 1
        self.waiting -= len(line) + 1
        if not self.waiting:
            self.buffer = b""
        return line

    def take_match(self, pattern: Pattern[bytes], limit: int) -> Match[bytes] | None:
        """What the pattern matches next, which is read; None where it does not, or it is longer.

        Only of what has come in one piece: None says nothing yet.
        """
        start = self.position
        found = pattern.match(self.buffer, start)
        if found is None:
            return None
        end = found.end()
        size = end - start
        if size > limit:
            return None
        self.position = end
        self.waiting -= size
        if not self.waiting:
            self.buffer = b""
        return found

    def take(self, limit: int | None = None) -> bytes:
        """Everything there is, or the first ``limit`` octets."""
        if self._arrived:
            self._join()
        start = self.position
        size = self.waiting if limit is None or limit > self.waiting else limit
        self.position = end = start + size
        self.waiting -= size
        octets = self.buffer[start:end]
        if not self.waiting:
            self.buffer = b""
        return octets

    def peek(self, count: int) -> bytes:
        """The first octets, not read."""
        start = self.buffer[self.position : self.position + count]
        return start + self._arrived[: count - len(start)]

    def give_back(self, octets: bytes) -> None:
        """The last octets taken were too many: these are to be read again."""
        if self.waiting:
            self.position -= len(octets)
        else:
            self.buffer, self.position = octets, 0
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
        self.buffer = b""
        self.position = self._scanned = self.received = self.waiting = 0
        self._arrived = b""

    def _join(self) -> None:
        self.buffer = b"".join((self.buffer[self.position :], self._arrived))
        self.position = self._scanned = 0
        self._arrived = b""
