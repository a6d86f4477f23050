"""How a peer can break the protocol."""

from __future__ import annotations

from enum import Enum
from typing import final

from smtpwire.wire.value import value

__all__ = ["ProtocolViolation", "ViolationKind"]


class ViolationKind(Enum):
    """How a peer broke the protocol."""

    EARLY_TALK = "talk before the greeting"
    PLAINTEXT_BEHIND_STARTTLS = "plaintext behind STARTTLS"
    BARE_CR = "CR without LF"
    BARE_LF = "LF without CR"
    LINE_TOO_LONG = "over-long line"
    FOREIGN_PROTOCOL = "another protocol"
    PIPELINING = "a command behind one that must be last in its group"
    CHUNK_SIZE = "unreadable chunk size"
    UNFRAMED_BODY = "octets behind a refused DATA"
    TOO_MUCH = "too much to drop"
    UNEXPECTED_REPLY = "a reply nobody asked for"
    MALFORMED_REPLY = "a line that is no reply"
    MIXED_CODES = "lines of one reply with different codes"
    REPLY_TOO_LONG = "over-long reply"
    WRONG_REPLY = "a reply that the command cannot have"
    CHANGED_OFFER = "a greeting or offer other than the one relied on"


@final
@value
class ProtocolViolation:
    """The peer attacked or broke the stream.

    ``offset`` counts octets received from the peer before the offending one, from the start of
    the connection or of the TLS layer. A ``fatal`` one is followed by the end of the connection;
    its last words, if any, are queued.

    ``kind``: what was done; its policy says what becomes of it.
    """

    kind: ViolationKind
    offset: int
    fatal: bool
