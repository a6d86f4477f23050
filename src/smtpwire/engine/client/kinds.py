"""How each command stands in a client's dialogue: what it may follow, and what its reply may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from smtpwire.engine.timeouts import Timeouts

__all__ = [
    "ATRN",
    "AUTH",
    "BURL",
    "BURL_LAST",
    "CHUNK",
    "DATA",
    "DOT",
    "GROUPED",
    "HELLO",
    "LAST",
    "MAIL",
    "OPEN",
    "OTHER",
    "QUIT",
    "RCPT",
    "RESPONSE",
    "RSET",
    "STARTTLS",
    "XCLIENT",
    "Kind",
]


@final
class Kind:
    """A row of the rules by which a client writes commands and reads their replies.

    Attributes:
        name: by which ``behind`` of other rows names it.
        word: its name in the table of transitions.
        behind: the kinds it may be written behind while their replies are still to come (RFC 2920
            §3.1); behind all others it waits.
        timeout: picks the figure for its reply.
        closes_queue: nothing may be queued behind it before its reply, which decides what may be.
        gated: it waits for what the recipients' replies were.
        intermediate: its reply can be a 3yz.
        greets_anew: its reply can be a 220, with which the session begins again.
        counted: its octets take up room in the window; those of a body do not.
        ends_body: its reply is the one to the message.
        secret: a trace does not show all of it.
    """

    __slots__ = (
        "behind",
        "closes_queue",
        "counted",
        "ends_body",
        "gated",
        "greets_anew",
        "intermediate",
        "name",
        "secret",
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
        closes_queue: bool = False,
        gated: bool = False,
        intermediate: bool = False,
        greets_anew: bool = False,
        counted: bool = True,
        ends_body: bool = False,
        secret: bool = False,
    ) -> None:
        self.name = name
        self.word = word
        self.timeout = timeout
        self.behind = behind
        self.closes_queue = closes_queue
        self.gated = gated
        self.intermediate = intermediate
        self.greets_anew = greets_anew
        self.counted = counted
        self.ends_body = ends_body
        self.secret = secret


def _command(timeouts: Timeouts) -> float:
    return timeouts.command


# RFC 2920 §3.1: these may stand anywhere in a group; all others only last.
_GROUP: Final = frozenset({"MAIL", "RCPT", "RSET", "extension in a group"})
_AFTER_A_BODY: Final = frozenset({"dot", "chunk", "last chunk"})

# EHLO has followers only where an offer is relied on before the server makes it: else it closes
# the queue.
HELLO: Final = Kind("hello", "EHLO", _command, _GROUP, closes_queue=True)
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
BURL: Final = Kind("chunk", "BURL", lambda t: t.block, _GROUP | {"chunk"}, secret=True)
BURL_LAST: Final = Kind(
    "last chunk",
    "BURL LAST",
    lambda t: t.end_of_data,
    _GROUP | {"chunk"},
    intermediate=True,
    ends_body=True,
    secret=True,
)
RSET: Final = Kind("RSET", "RSET", _command, _GROUP | _AFTER_A_BODY)
QUIT: Final = Kind("QUIT", "QUIT", lambda t: t.quit, _GROUP | _AFTER_A_BODY, closes_queue=True)
STARTTLS: Final = Kind(
    "STARTTLS", "STARTTLS", _command, _GROUP, closes_queue=True, greets_anew=True
)
AUTH: Final = Kind(
    "AUTH", "AUTH", _command, _GROUP, closes_queue=True, intermediate=True, secret=True
)
RESPONSE: Final = Kind(
    "response", "AUTH", _command, closes_queue=True, intermediate=True, secret=True
)
"""A line of a SASL exchange."""
OTHER: Final = Kind("other", "NOOP", _command, _GROUP, greets_anew=True)
"""NOOP, HELP, VRFY, EXPN, and verbs of extensions: last in a group."""
GROUPED: Final = Kind("extension in a group", "NOOP", _command, _GROUP, greets_anew=True)
"""A verb of an extension that may stand anywhere in a group."""
XCLIENT: Final = Kind("XCLIENT", "NOOP", _command, _GROUP, closes_queue=True, greets_anew=True)
ATRN: Final = Kind("ATRN", "NOOP", _command, _GROUP, closes_queue=True, greets_anew=True)
