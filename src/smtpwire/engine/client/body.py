"""The body of a message while a client sends it: dot-stuffed, or in chunks."""

from __future__ import annotations

from typing import TypeAlias, final

from smtpwire.engine.client.kinds import CHUNK, DOT, LAST
from smtpwire.engine.client.pipeline import Pipeline, Step
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import EndOfData
from smtpwire.wire.body import (
    BareLineEnding,
    DotEncoder,
    LineEndingGuard,
    encode_canonical,
    pass_canonical,
)
from smtpwire.wire.command import Bdat

__all__ = ["Body", "ChunkBody", "DotBody"]


@final
class DotBody:
    """A body behind DATA: dots are doubled, and a lone dot ends it (RFC 5321 §4.5.2)."""

    __slots__ = ("_encoder", "_pipeline", "_transaction")

    def __init__(self, pipeline: Pipeline, transaction: int) -> None:
        self._pipeline = pipeline
        self._transaction = transaction
        self._encoder = DotEncoder()

    def send(self, chunk: bytes, canonical: bool) -> None:
        """Write a part of the content. LocalProtocolError for a bare CR or LF; nothing is then.

        ``canonical``: it is part of content that is known to have none.
        """
        try:
            if canonical:
                octets = encode_canonical(self._encoder, chunk)
            else:
                octets = self._encoder.encode(chunk)
        except BareLineEnding as error:
            raise LocalProtocolError(str(error)) from error
        if octets:
            self._pipeline.out.append(octets)
            self._pipeline.body_octets += len(octets)

    def end(self) -> EndOfData:
        """Queue the dot. LocalProtocolError where the last octet is a CR alone."""
        try:
            octets = self._encoder.end()
        except BareLineEnding as error:
            raise LocalProtocolError(str(error)) from error
        end = EndOfData()
        self._pipeline.held.append(Step(end, DOT, octets, self._transaction))
        return end


@final
class ChunkBody:
    """A body by BDAT: octets are gathered and cut into chunks of one size (RFC 3030 §2).

    ``binary``: they may be any; else a bare CR or LF is refused, as such text cannot be sent on by
    DATA.
    """

    __slots__ = ("_gathered", "_guard", "_parts", "_pipeline", "_size", "_transaction")

    def __init__(self, pipeline: Pipeline, transaction: int, size: int, *, binary: bool) -> None:
        self._pipeline = pipeline
        self._transaction = transaction
        self._size = size
        self._guard = None if binary else LineEndingGuard()
        self._parts: list[bytes] = []
        self._gathered = 0  # octets in the parts

    def send(self, chunk: bytes, canonical: bool) -> None:
        """Take a part of the content. LocalProtocolError for a bare CR or LF; nothing is then.

        ``canonical``: it is part of content that is known to have none.
        """
        if self._guard is not None:
            try:
                if canonical:
                    pass_canonical(self._guard, chunk)
                else:
                    self._guard.check(chunk)
            except BareLineEnding as error:
                raise LocalProtocolError(str(error)) from error
        self._parts.append(chunk)
        self._gathered += len(chunk)
        if self._gathered > self._size:
            self._cut()

    def end(self) -> EndOfData:
        """Queue the last chunk. LocalProtocolError where the last octet is a CR alone."""
        self._end_text()
        end = EndOfData()
        octets = b"".join(self._parts)
        line = b"BDAT %d LAST\r\n" % len(octets)
        self._pipeline.held.append(Step(end, LAST, line + octets, self._transaction))
        return end

    def interrupt(self) -> None:
        """BURL comes next: the octets before it go as a chunk of their own (RFC 4468 §3.2)."""
        self._end_text()
        if self._parts:
            self._queue(b"".join(self._parts))
            self._parts = []
            self._gathered = 0

    def mark(self) -> tuple[list[bytes], int]:
        """What is gathered now: no list of parts is changed by :meth:`interrupt`."""
        return self._parts, self._gathered

    def restore(self, mark: tuple[list[bytes], int]) -> None:
        """BURL was not queued after all."""
        self._parts, self._gathered = mark

    def _end_text(self) -> None:
        """Refuse a CR alone as the last octet before the end, or before what BURL fetches."""
        if self._guard is not None:
            try:
                self._guard.end()
            except BareLineEnding as error:
                raise LocalProtocolError(str(error)) from error

    def _cut(self) -> None:
        """Queue whole chunks, and keep at least one octet for the last."""
        size = self._size
        content = memoryview(b"".join(self._parts))
        end = (len(content) - 1) // size * size
        for start in range(0, end, size):
            self._queue(content[start : start + size])
        self._parts = [bytes(content[end:])]
        self._gathered = len(content) - end

    def _queue(self, octets: bytes | memoryview) -> None:
        size = len(octets)
        whole = b"".join((b"BDAT %d\r\n" % size, octets))
        self._pipeline.held.append(Step(Bdat(size), CHUNK, whole, self._transaction))


Body: TypeAlias = DotBody | ChunkBody
