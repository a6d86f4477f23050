"""PIPECONNECT: commands before the greeting has come (draft-harris-early-pipe-01)."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.registry import Extension, When, flag, no_parameter

__all__ = ["PIPECONNECT", "X_PIPE_CONNECT"]

PIPECONNECT: Final[Extension[bool]] = Extension(
    "PIPECONNECT",
    "draft-harris-early-pipe",
    "commands before the greeting has come",
    flag,
    no_parameter,
    requires=("PIPELINING",),
    when=When.TO_LISTED,
)
"""PIPECONNECT, draft-harris-early-pipe: commands before the greeting has come. Its value in an
offer is True."""

# What Exim called it in 2019. It is understood, never offered.
X_PIPE_CONNECT: Final[Extension[bool]] = Extension(
    "X_PIPE_CONNECT",
    "draft-harris-early-pipe",
    "the same by its first name",
    flag,
    no_parameter,
    requires=("PIPELINING",),
    profiles=frozenset(),
)
"""X_PIPE_CONNECT, draft-harris-early-pipe: the same by its first name. Its value in an offer is
True."""
