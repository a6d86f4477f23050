"""What a server does about each kind of violation."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from smtpwire.engine.violation import ViolationKind

__all__ = ["DEFAULT_POLICIES", "Policy"]


class Policy(Enum):
    """What a server does about a violation, besides telling of it."""

    NOTE = "note"
    """Nothing: the session goes on as if it had not been."""
    ANSWER = "answer"
    """The offending line or message is refused; the session goes on."""
    CLOSE = "close"
    """421 or 554, and the connection ends."""


DEFAULT_POLICIES: Final[Mapping[ViolationKind, Policy]] = MappingProxyType(
    {
        ViolationKind.EARLY_TALK: Policy.NOTE,
        ViolationKind.PLAINTEXT_BEHIND_STARTTLS: Policy.CLOSE,
        ViolationKind.BARE_CR: Policy.ANSWER,
        ViolationKind.BARE_LF: Policy.ANSWER,
        ViolationKind.LINE_TOO_LONG: Policy.ANSWER,
        ViolationKind.FOREIGN_PROTOCOL: Policy.CLOSE,
        ViolationKind.PIPELINING: Policy.NOTE,
        ViolationKind.CHUNK_SIZE: Policy.CLOSE,
        ViolationKind.TOO_MUCH: Policy.CLOSE,
    }
)
"""A server's policies. Three cannot be softened, since nothing is left that could go on: plaintext
behind STARTTLS, an unreadable chunk size, too much to drop."""
