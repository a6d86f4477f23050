"""The states of a session and what each command leads to: one table for both roles."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from smtpwire.wire.table import Table

__all__ = [
    "STATE_AUTH",
    "STATE_CHUNKS",
    "STATE_CLOSED",
    "STATE_DATA",
    "STATE_GREETING",
    "STATE_HELLO",
    "STATE_MAIL",
    "STATE_RCPT",
    "STATE_READY",
    "STATE_TLS",
    "TRANSITIONS",
    "State",
    "mermaid",
]


class State(Enum):
    """Where a session is (RFC 5321 §3, §4.1.4)."""

    GREETING = "greeting"
    """The connection stands; the server has not greeted."""
    HELLO = "hello"
    """Greeted, or TLS just started: EHLO (LHLO, HELO) is to come."""
    READY = "ready"
    """Between transactions."""
    MAIL = "mail"
    """A transaction without an accepted recipient."""
    RCPT = "rcpt"
    """A transaction with at least one accepted recipient."""
    DATA = "data"
    """The body comes, dot-stuffed, up to CRLF.CRLF."""
    CHUNKS = "chunks"
    """The body comes in BDAT chunks; the last has not come yet (RFC 3030 §2)."""
    AUTH = "auth"
    """A SASL exchange (RFC 4954 §4)."""
    TLS = "tls"
    """The TLS handshake (RFC 3207 §4)."""
    CLOSED = "closed"
    """The session has ended."""

    commands: Mapping[str, State]
    """This state's row of :data:`TRANSITIONS`: an attribute, as to hash a member costs more than
    all else that is done to find what a command leads to."""


# Bound once: an attribute of an enum costs as much as a small function on CPython 3.11.
STATE_GREETING: Final = State.GREETING
STATE_HELLO: Final = State.HELLO
STATE_READY: Final = State.READY
STATE_MAIL: Final = State.MAIL
STATE_RCPT: Final = State.RCPT
STATE_DATA: Final = State.DATA
STATE_CHUNKS: Final = State.CHUNKS
STATE_AUTH: Final = State.AUTH
STATE_TLS: Final = State.TLS
STATE_CLOSED: Final = State.CLOSED

_ANYWHERE: Final = ("NOOP", "HELP", "VRFY", "EXPN")


def _stay(state: State) -> dict[str, State]:
    return dict.fromkeys(_ANYWHERE, state) | {"QUIT": State.CLOSED}


_HELLO: Final = dict.fromkeys(("EHLO", "HELO", "LHLO"), State.READY)  # RFC 5321 §4.1.4

TRANSITIONS: Final[Mapping[State, Mapping[str, State]]] = Table(
    {
        State.GREETING: {"(greeting)": State.HELLO},
        State.HELLO: _stay(State.HELLO) | _HELLO | {"RSET": State.HELLO, "STARTTLS": State.TLS},
        State.READY: _stay(State.READY)
        | _HELLO
        | {
            "RSET": State.READY,
            "MAIL": State.MAIL,
            "STARTTLS": State.TLS,
            "AUTH": State.AUTH,
            "XCLIENT": State.GREETING,
        },
        State.MAIL: _stay(State.MAIL)
        | _HELLO
        | {"RSET": State.READY, "RCPT": State.RCPT, "STARTTLS": State.TLS},
        State.RCPT: _stay(State.RCPT)
        | _HELLO
        | {
            "RSET": State.READY,
            "RCPT": State.RCPT,
            "DATA": State.DATA,
            "BDAT": State.CHUNKS,
            "BDAT LAST": State.READY,
            "BURL": State.CHUNKS,
            "BURL LAST": State.READY,
            "STARTTLS": State.TLS,
        },
        State.DATA: {"(end of data)": State.READY},
        State.CHUNKS: _stay(State.CHUNKS)
        | _HELLO
        | {
            "RSET": State.READY,
            "BDAT": State.CHUNKS,
            "BDAT LAST": State.READY,
            "BURL": State.CHUNKS,
            "BURL LAST": State.READY,
        },
        State.AUTH: {"(success)": State.READY, "(failure)": State.READY},
        State.TLS: {"(handshake)": State.HELLO},
        State.CLOSED: {},
    }
)
"""State and command -> the next state where the command succeeds; what is absent is 503.

Words in brackets are no commands. What TLS, AUTH or a profile forbid besides is policy.
"""

for _state, _row in TRANSITIONS.items():
    _state.commands = _row


def mermaid() -> str:
    """The table as a Mermaid state diagram: that of the engine's README is this text."""
    edges: dict[tuple[State, State], list[str]] = {}
    for state, row in TRANSITIONS.items():
        for command, target in row.items():
            if command not in _ANYWHERE:
                edges.setdefault((state, target), []).append(command)
    lines = ["stateDiagram-v2", "    [*] --> greeting"]
    for (state, target), commands in edges.items():
        lines.append(f"    {state.value} --> {target.value}: {', '.join(commands)}")
    return "\n".join([*lines, "    closed --> [*]"])
