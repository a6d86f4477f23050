"""What a client may write before the replies to what it wrote have come (RFC 2920 §3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias, final

from smtpwire.engine.commands import COMMANDS, CommandRow
from smtpwire.engine.state import TRANSITIONS, State
from smtpwire.wire.command import Command
from smtpwire.wire.sequences import COMMAND_REPLIES

__all__ = [
    "AUTH",
    "BURL",
    "BURL_LAST",
    "CHUNK",
    "DATA",
    "DOT",
    "GROUPED",
    "HELLO",
    "IN_AUTH",
    "IN_CHUNKS",
    "IN_CLOSED",
    "IN_DATA",
    "IN_GREETING",
    "IN_HELLO",
    "IN_MAIL",
    "IN_RCPT",
    "IN_READY",
    "IN_TLS",
    "LAST",
    "MAIL",
    "OPEN",
    "OTHER",
    "PLACES",
    "QUIT",
    "RCPT",
    "RESPONSE",
    "RSET",
    "STARTTLS",
    "Held",
    "Kind",
    "Place",
    "Written",
]


Kind: TypeAlias = CommandRow
"""How a command stands in a flight: its row of the table of commands."""

HELLO: Final = COMMANDS["EHLO"]
MAIL: Final = COMMANDS["MAIL"]
RCPT: Final = COMMANDS["RCPT"]
DATA: Final = COMMANDS["DATA"]
OPEN: Final = Kind("BDAT", COMMAND_REPLIES["BDAT"], timeout="block", joins=False, gated=True)
"""``Data(chunking=True)``: never written; the body is open when nothing is in flight (RFC 3030 §2:
"after all MAIL and RCPT responses are collected and processed")."""
CHUNK: Final = COMMANDS["BDAT"]
LAST: Final = COMMANDS["BDAT LAST"]
DOT: Final = COMMANDS["(end of data)"]
BURL: Final = COMMANDS["BURL"]
BURL_LAST: Final = COMMANDS["BURL LAST"]
RSET: Final = COMMANDS["RSET"]
QUIT: Final = COMMANDS["QUIT"]
STARTTLS: Final = COMMANDS["STARTTLS"]
AUTH: Final = COMMANDS["AUTH"]
RESPONSE: Final = Kind("AUTH", COMMAND_REPLIES["AUTH"], joins=False, blocking=True)
"""A line of a SASL exchange."""
OTHER: Final = COMMANDS["NOOP"]
"""NOOP, HELP, VRFY, EXPN, and verbs of extensions: last in a group."""
GROUPED: Final = Kind("NOOP", COMMAND_REPLIES["NOOP"], grouped=True)
"""A verb of an extension that may stand anywhere in a group."""

Held: TypeAlias = tuple[Command, Kind, bytes, int]
"""A command not yet written: its octets, and the number of the transaction it belongs to or 0."""

Written: TypeAlias = tuple[Command, Kind, int, int, int]
"""A command that waits for its reply: its transaction, how many octets had come from the peer when
it was handed out, and how many octets it takes up in the window."""


@final
class Place:
    """A state with what each command leads to: the table of transitions as a graph.

    Hashing a member of an enum costs as much as all else that is done for a command.
    """

    __slots__ = ("moves", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.moves: dict[str, Place] = {}


def _graph() -> Mapping[State, Place]:
    places = {state: Place(state) for state in State}
    for state, row in TRANSITIONS.items():
        places[state].moves = {word: places[target] for word, target in row.items()}
    return places


PLACES: Final = _graph()
IN_GREETING: Final = PLACES[State.GREETING]
IN_HELLO: Final = PLACES[State.HELLO]
IN_READY: Final = PLACES[State.READY]
IN_MAIL: Final = PLACES[State.MAIL]
IN_RCPT: Final = PLACES[State.RCPT]
IN_DATA: Final = PLACES[State.DATA]
IN_CHUNKS: Final = PLACES[State.CHUNKS]
IN_AUTH: Final = PLACES[State.AUTH]
IN_TLS: Final = PLACES[State.TLS]
IN_CLOSED: Final = PLACES[State.CLOSED]
