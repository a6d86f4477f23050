"""Recorded sessions of real clients with real servers, in ``sessions.jsonl.xz``.

They were recorded in plaintext on loopback by a proxy between the two, with throw-away accounts
(``user``, ``pencil``). A chunk is what one read of the socket gave, so that the limits of TCP
segments are kept. A ``relay:`` client is an MTA which relays.
"""

import base64
import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

Side = Literal["C", "S"]

LMTP = ("dovecot-lmtp", "smtp-server-lmtp")
"""The servers which speak LMTP; the others speak SMTP."""


@dataclass(frozen=True)
class Chunk:
    """Octets one side sent; ``b""`` is its end of file."""

    side: Side
    data: bytes


@dataclass(frozen=True)
class Session:
    """One connection of a client to a server, from its first to its last octet."""

    client: str
    server: str
    rc: int
    """The exit code of the client; 0 for a relaying MTA."""
    chunks: tuple[Chunk, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.client}->{self.server}"

    @property
    def lmtp(self) -> bool:
        return self.server in LMTP

    def octets(self, side: Side) -> bytes:
        """All that one side sent."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.side == side)


@cache
def sessions() -> Sequence[Session]:
    """All recorded sessions, in the order of recording."""
    with lzma.open(Path(__file__).with_name("sessions.jsonl.xz"), "rt") as file:
        records = [json.loads(line) for line in file]
    return [
        Session(
            record["client"],
            record["server"],
            record["rc"],
            tuple(Chunk(side, base64.b64decode(data or "")) for side, data in record["chunks"]),
        )
        for record in records
    ]
