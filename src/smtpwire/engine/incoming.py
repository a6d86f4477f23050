"""The body of one message while a server receives it: by DATA, or chunk by chunk."""

from __future__ import annotations

from typing import final

from smtpwire.wire.body import DotDecoder, LineEndingCheck
from smtpwire.wire.reply import Reply

__all__ = ["IncomingBody"]


@final
class IncomingBody:
    """How much has come, how much of the chunk is left, and whether it still matters.

    A dot-stuffed body (RFC 5321 §4.5.2) has a decoder; one in counted chunks (RFC 3030 §2) has
    none, and perhaps a check for bare CR and LF. The former is open from the first, as DATA has
    been answered.

    Attributes:
        decoder: for DATA; None for chunks.
        check: of chunks handed on, if they are looked at.
        strict: a bare CR or LF in them fails the message.
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
        "check",
        "chunk_left",
        "decoder",
        "last",
        "open",
        "refusal",
        "refused",
        "size",
        "start",
        "strict",
    )

    def __init__(
        self, decoder: DotDecoder | None, check: LineEndingCheck | None = None, start: int = 0
    ) -> None:
        self.decoder = decoder
        self.check = check
        self.start = start
        self.strict = False
        self.open = decoder is not None
        self.size = 0
        self.refusal: Reply | None = None
        self.refused = False
        self.chunk_left = 0
        self.last = False

    @property
    def canonical(self) -> bool:
        """Whether the content is known to have no bare CR and LF."""
        if self.decoder is not None:
            return self.decoder.canonical
        if self.check is None:
            return False
        self.check.update(b"", last=True)
        return self.check.canonical
