"""One AUTH exchange on a server: a mechanism, and what is to be answered in the end."""

from __future__ import annotations

from binascii import b2a_base64
from typing import final

from smtpwire.sasl import ServerMechanism
from smtpwire.wire.reply import Reply

__all__ = ["ServerExchange", "challenge_line"]


@final
class ServerExchange:
    """The mechanism that runs, and the reply the application chose for the end of it, if any."""

    __slots__ = ("mechanism", "verdict")

    def __init__(self, mechanism: ServerMechanism) -> None:
        self.mechanism = mechanism
        self.verdict: Reply | None = None


def challenge_line(data: bytes) -> bytes:
    """A challenge as a reply: ``334`` and base64, the blank also where that is empty (§4)."""
    return b"334 " + b2a_base64(data, newline=False) + b"\r\n"
