"""What a server does about each kind of violation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from smtpwire.engine.violation import ViolationKind
from smtpwire.wire.table import Table

__all__ = ["DEFAULT_POLICIES", "POSSIBLE_POLICIES", "Policy"]


class Policy(Enum):
    """What a server does about a violation, besides telling of it."""

    NOTE = "note"
    """Nothing: the session goes on as if it had not been."""
    ANSWER = "answer"
    """The offending line or message is refused; the session goes on."""
    CLOSE = "close"
    """421 or 554, and the connection ends."""


DEFAULT_POLICIES: Final[Mapping[ViolationKind, Policy]] = Table(
    {
        ViolationKind.EARLY_TALK: Policy.NOTE,
        ViolationKind.PLAINTEXT_BEHIND_STARTTLS: Policy.CLOSE,
        ViolationKind.BARE_CR: Policy.ANSWER,
        ViolationKind.BARE_LF: Policy.ANSWER,
        ViolationKind.LINE_TOO_LONG: Policy.ANSWER,
        ViolationKind.FOREIGN_PROTOCOL: Policy.CLOSE,
        ViolationKind.PIPELINING: Policy.NOTE,
        ViolationKind.CHUNK_SIZE: Policy.CLOSE,
        ViolationKind.UNFRAMED_BODY: Policy.CLOSE,
        ViolationKind.TOO_MUCH: Policy.CLOSE,
    }
)
"""A server's policies."""

_NOTE_OR_CLOSE: Final = frozenset({Policy.NOTE, Policy.CLOSE})
_ANSWER_OR_CLOSE: Final = frozenset({Policy.ANSWER, Policy.CLOSE})
_CLOSE: Final = frozenset({Policy.CLOSE})

POSSIBLE_POLICIES: Final[Mapping[ViolationKind, frozenset[Policy]]] = Table(
    {
        ViolationKind.EARLY_TALK: _NOTE_OR_CLOSE,
        ViolationKind.PLAINTEXT_BEHIND_STARTTLS: _CLOSE,
        ViolationKind.BARE_CR: _ANSWER_OR_CLOSE,
        ViolationKind.BARE_LF: _ANSWER_OR_CLOSE,
        ViolationKind.LINE_TOO_LONG: _ANSWER_OR_CLOSE,
        ViolationKind.FOREIGN_PROTOCOL: _ANSWER_OR_CLOSE,
        ViolationKind.PIPELINING: frozenset(Policy),
        ViolationKind.CHUNK_SIZE: _CLOSE,
        ViolationKind.UNFRAMED_BODY: _CLOSE,
        ViolationKind.TOO_MUCH: _CLOSE,
    }
)
"""What a configuration may choose. A line owes an answer; where nothing is left that could go on,
there is only the end: plaintext behind STARTTLS, too much to drop, and the two bodies whose end
cannot be told, since a body is never read as commands: behind BDAT with an unreadable size, and
behind a refused DATA where it came before the refusal had left (RFC 2920 §3.1 makes DATA the last
of its group, so who pipelines as it says is never met by this)."""
