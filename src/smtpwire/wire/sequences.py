"""Command-reply sequences: the usual replies to each command (RFC 5321 §4.3.2).

This is the part of a row of the table of commands that needs no engine: ``engine.commands`` has
the rows whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, final

from smtpwire.wire.table import Table
from smtpwire.wire.value import value

__all__ = [
    "ANY_COMMAND",
    "COMMAND_REPLIES",
    "END_OF_DATA",
    "GREETING",
    "CommandReplies",
    "TimeoutName",
]

SMTP: Final = "RFC 5321"  # cited by this name only, so that its successor is one change
LMTP: Final = "RFC 2033"
AUTH: Final = "RFC 4954"

GREETING: Final = "greeting"
"""The phase in which the server speaks first."""

END_OF_DATA: Final = "end of data"
"""The phase after the final dot or ``BDAT … LAST``: the verdict on the message."""

TimeoutName: TypeAlias = Literal[
    "greeting", "mail", "rcpt", "data", "block", "end_of_data", "command", "quit"
]
"""What a client waits for: a field of ``Timeouts`` (RFC 5321 §4.5.3.2)."""


@final
@value(checked=True)
class CommandReplies:
    """The usual replies to a command; others are legal and understood by their first digit.

    :data:`ANY_COMMAND` can come to every one.

    ``success``, ``errors``: codes of 2yz, and of 4yz and 5yz. ``intermediate``: codes of 3yz.
    ``source``: where they are defined.
    """

    success: tuple[int, ...]
    errors: tuple[int, ...]
    intermediate: tuple[int, ...] = ()
    source: str = f"{SMTP} §4.3.2"


ANY_COMMAND: Final = (421, 500, 501)
"""What any command may be answered with (RFC 5321 §4.3.2)."""

COMMAND_REPLIES: Final[Mapping[str, CommandReplies]] = Table(
    {
        GREETING: CommandReplies((220,), (521, 554), source=f"{SMTP} §4.3.2, RFC 7504 §3"),
        "EHLO": CommandReplies((250,), (502, 504, 550)),
        "HELO": CommandReplies((250,), (502, 504, 550)),
        "LHLO": CommandReplies((250,), (502, 504, 550), source=f"{LMTP} §4.1"),
        "MAIL": CommandReplies((250,), (451, 452, 455, 503, 550, 552, 553, 555)),
        "RCPT": CommandReplies(
            (250, 251),
            (450, 451, 452, 455, 503, 550, 551, 552, 553, 555, 556),
            source=f"{SMTP} §4.3.2, RFC 7504 §4",
        ),
        "DATA": CommandReplies((), (450, 451, 452, 503, 550, 552, 554), (354,)),
        "BDAT": CommandReplies((250,), (451, 452, 503, 552, 554), source="RFC 3030 §2"),
        END_OF_DATA: CommandReplies((250,), (450, 451, 452, 550, 552, 554), (353,)),
        "RSET": CommandReplies((250,), ()),
        "VRFY": CommandReplies((250, 251, 252), (502, 504, 550, 551, 553)),
        "EXPN": CommandReplies((250, 252), (500, 502, 504, 550)),
        "HELP": CommandReplies((211, 214), (502, 504)),
        "NOOP": CommandReplies((250,), ()),
        "QUIT": CommandReplies((221,), ()),
        "STARTTLS": CommandReplies((220,), (454, 501), source="RFC 3207 §4"),
        "AUTH": CommandReplies(
            (235,), (432, 454, 503, 504, 530, 534, 535, 538), (334,), f"{AUTH} §4, §6"
        ),
    }
)
"""Command × reply. A verb of an extension has its own in its :class:`~smtpwire.wire.command.Verb`.
"""
