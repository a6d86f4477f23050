"""Who must act when there is no event."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

__all__ = [
    "NEED_BODY",
    "NEED_CLOSE",
    "NEED_COMMAND",
    "NEED_DATA",
    "NEED_REPLY",
    "NEED_TLS",
    "NEED_WRITE",
    "ClientNeed",
    "Need",
    "ServerNeed",
]


class Need(Enum):
    """What ``next_event()`` returns when there is no event: at every one flush, then do this."""

    DATA = "data"
    """Read from the peer and hand it to ``receive_data()``."""
    WRITE = "write"
    """Flush with back-pressure, read nothing, call ``next_event()`` again."""
    REPLY = "reply"
    """A question is pending: the server's application calls ``reply()``."""
    COMMAND = "command"
    """Nothing is in flight: the client's application calls ``send()``."""
    BODY = "body"
    """The body is open: the client's application calls ``send_body()`` or ``end_body()``."""
    TLS = "tls"
    """Flush, do the handshake, then ``tls_started()`` or ``tls_failed()``; read nothing before."""
    CLOSE = "close"
    """Flush, half-close where possible, drop what still comes for a bounded while, close."""


ServerNeed = Literal[Need.DATA, Need.WRITE, Need.REPLY, Need.TLS, Need.CLOSE]
"""The Needs of a server: all but COMMAND and BODY."""
ClientNeed = Literal[Need.DATA, Need.WRITE, Need.COMMAND, Need.BODY, Need.TLS, Need.CLOSE]
"""The Needs of a client: all but REPLY."""

# Bound once: an attribute of an enum costs as much as a small function on CPython 3.11.
NEED_DATA: Final = Need.DATA
NEED_WRITE: Final = Need.WRITE
NEED_REPLY: Final = Need.REPLY
NEED_COMMAND: Final = Need.COMMAND
NEED_BODY: Final = Need.BODY
NEED_TLS: Final = Need.TLS
NEED_CLOSE: Final = Need.CLOSE
