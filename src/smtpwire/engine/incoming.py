"""The body of one message while a server receives it: by DATA, or chunk by chunk."""

from typing import final

from smtpwire.wire.body import DotDecoder, LineEndingCheck, LineEndings
from smtpwire.wire.reply import Reply

__all__ = ["IncomingBody"]


@final
class IncomingBody:
    """How much has come, how much of the chunk is left, and whether it still matters.

    Attributes:
        decoder: for DATA; None for chunks.
        open: the application was told of the body and not yet of its end.
        size: octets of content handed to it.
        refusal: what the end of the data, or of the chunk, is answered with in any case; from
            then on content is dropped.
        refused: a chunk was answered with the refusal: what follows is 503.
        start: octets of the connection before the body.
        chunk_left: octets of the current chunk still to come.
        last: the current chunk is the last one.
    """

    __slots__ = (
        "_check",
        "chunk_left",
        "decoder",
        "last",
        "open",
        "refusal",
        "refused",
        "size",
        "start",
    )

    def __init__(self, decoder: DotDecoder | None, check: LineEndingCheck | None) -> None:
        self.decoder = decoder
        self._check = check
        self.open = False
        self.size = 0
        self.refusal: Reply | None = None
        self.refused = False
        self.start = 0
        self.chunk_left = 0
        self.last = False

    @classmethod
    def of_data(cls, line_endings: LineEndings, start: int) -> "IncomingBody":
        """A dot-stuffed body (RFC 5321 §4.5.2) behind so many octets of the connection."""
        body = cls(DotDecoder(line_endings), None)
        body.start = start
        return body

    @classmethod
    def of_chunks(cls, *, check: bool) -> "IncomingBody":
        """A body in counted chunks (RFC 3030 §2); ``check`` looks for bare CR and LF."""
        return cls(None, LineEndingCheck() if check else None)

    def add(self, octets: bytes) -> None:
        """Note a piece of content that is handed on."""
        self.size += len(octets)
        if self._check is not None:
            self._check.update(octets)

    @property
    def canonical(self) -> bool:
        """Whether the content is known to have no bare CR and LF."""
        if self.decoder is not None:
            return self.decoder.canonical
        if self._check is None:
            return False
        self._check.update(b"", last=True)
        return self._check.canonical
