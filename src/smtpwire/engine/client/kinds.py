"""How each command stands in a client's dialogue: rows of the table of commands, by a name each."""

from __future__ import annotations

from typing import Final, TypeAlias

from smtpwire.engine.commands import COMMANDS, CommandRow
from smtpwire.wire.sequences import COMMAND_REPLIES

__all__ = [
    "AUTH",
    "BURL",
    "BURL_LAST",
    "CHUNK",
    "DATA",
    "DOT",
    "HELLO",
    "LAST",
    "MAIL",
    "OPEN",
    "QUIT",
    "RCPT",
    "RESPONSE",
    "RSET",
    "STARTTLS",
    "Kind",
]

Kind: TypeAlias = CommandRow
"""A command's row of the table: what it may follow, and what its reply may be."""

HELLO: Final = COMMANDS["EHLO"]
"""EHLO, HELO and LHLO."""
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
RESPONSE: Final = Kind("AUTH", COMMAND_REPLIES["AUTH"], joins=False, blocking=True, secret=True)
"""A line of a SASL exchange."""
