"""What a client may write before the replies to what it wrote have come (RFC 2920 §3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, final

from smtpwire.engine.state import TRANSITIONS, State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.wire.command import Command

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


@final
class Kind:
    """How a command stands in a flight.

    ``word`` is its name in the table of transitions. ``behind`` names the kinds it may be written
    behind while their replies are still to come; behind all others it waits. ``timeout`` picks the
    figure for its reply. ``blocking``: nothing may be queued behind it, since what may follow
    depends on its reply. ``gated``: it waits for what the recipients' replies were.
    ``intermediate``: it can have a 3yz. ``counted``: its octets take up room in the window; those
    of a body do not. ``ends_body``: its reply is the one to the message.
    """

    __slots__ = (
        "behind",
        "blocking",
        "counted",
        "ends_body",
        "gated",
        "intermediate",
        "name",
        "timeout",
        "word",
    )

    def __init__(
        self,
        name: str,
        word: str,
        timeout: Callable[[Timeouts], float],
        behind: frozenset[str] = frozenset(),
        *,
        blocking: bool = False,
        gated: bool = False,
        intermediate: bool = False,
        counted: bool = True,
        ends_body: bool = False,
    ) -> None:
        self.name = name
        self.word = word
        self.timeout = timeout
        self.behind = behind
        self.blocking = blocking
        self.gated = gated
        self.intermediate = intermediate
        self.counted = counted
        self.ends_body = ends_body


def _command(timeouts: Timeouts) -> float:
    return timeouts.command


# RFC 2920 §3.1: these may stand anywhere in a group; all others only last.
_GROUP: Final = frozenset({"MAIL", "RCPT", "RSET", "extension in a group"})
_AFTER_A_BODY: Final = frozenset({"dot", "chunk", "last chunk"})

# EHLO has followers only where an offer is relied on before the server makes it: it blocks else.
HELLO: Final = Kind("hello", "EHLO", _command, _GROUP, blocking=True)
MAIL: Final = Kind("MAIL", "MAIL", lambda t: t.mail, _GROUP | {"dot", "hello"})
RCPT: Final = Kind("RCPT", "RCPT", lambda t: t.rcpt, _GROUP)
DATA: Final = Kind("DATA", "DATA", lambda t: t.data, _GROUP, gated=True, intermediate=True)
OPEN: Final = Kind("body in chunks", "BDAT", lambda t: t.block, gated=True)
"""``Data(chunking=True)``: never written; the body is open when nothing is in flight (RFC 3030 §2:
"after all MAIL and RCPT responses are collected and processed")."""
CHUNK: Final = Kind("chunk", "BDAT", lambda t: t.block, frozenset({"chunk"}), counted=False)
LAST: Final = Kind(
    "last chunk",
    "BDAT LAST",
    lambda t: t.end_of_data,
    frozenset({"chunk"}),
    intermediate=True,
    counted=False,
    ends_body=True,
)
DOT: Final = Kind(
    "dot",
    "(end of data)",
    lambda t: t.end_of_data,
    intermediate=True,
    counted=False,
    ends_body=True,
)
# RFC 4468 §3.2: BURL and BDAT mix, and the whole transaction may go in one group.
BURL: Final = Kind("chunk", "BURL", lambda t: t.block, _GROUP | {"chunk"})
BURL_LAST: Final = Kind(
    "last chunk",
    "BURL LAST",
    lambda t: t.end_of_data,
    _GROUP | {"chunk"},
    intermediate=True,
    ends_body=True,
)
RSET: Final = Kind("RSET", "RSET", _command, _GROUP | _AFTER_A_BODY)
QUIT: Final = Kind("QUIT", "QUIT", lambda t: t.quit, _GROUP | _AFTER_A_BODY, blocking=True)
STARTTLS: Final = Kind("STARTTLS", "STARTTLS", _command, _GROUP, blocking=True)
AUTH: Final = Kind("AUTH", "AUTH", _command, _GROUP, blocking=True, intermediate=True)
RESPONSE: Final = Kind("response", "AUTH", _command, blocking=True, intermediate=True)
"""A line of a SASL exchange."""
OTHER: Final = Kind("other", "NOOP", _command, _GROUP)
"""NOOP, HELP, VRFY, EXPN, and verbs of extensions: last in a group."""
GROUPED: Final = Kind("extension in a group", "NOOP", _command, _GROUP)
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
