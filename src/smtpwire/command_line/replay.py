"""``replay``: a transcript, what each line means, and which rule each side broke."""

from __future__ import annotations

import argparse
import codecs
import sys
from pathlib import Path
from typing import Final

from smtpwire.command_line.arguments import Parser, Subcommands
from smtpwire.command_line.dialogue import follow
from smtpwire.command_line.judge import judge
from smtpwire.command_line.output import UNAVAILABLE, Failure, show
from smtpwire.command_line.report import as_json, show_dialogue
from smtpwire.transcript import Item, read_sessions, without_echoes

__all__ = ["add_to", "read_text", "run"]

_LARGEST: Final = 16 << 20
_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",  # what PowerShell makes of a program's output
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def add_to(commands: Subcommands) -> Parser:
    """Declare the command."""
    text = "feed a transcript to the engine, and show what each side did wrong"
    parser = commands.add_parser(
        "replay",
        help=text,
        description=f"{text}. Its lines are those of serve and of smtpwire.transcript: C: and S:."
        " Ends with 1 where a rule was broken.",
    )
    parser.add_argument("file", metavar="FILE", help="the transcript; - is standard input")
    parser.add_argument(
        "--role",
        choices=("server", "client", "both"),
        default="both",
        help="the engine's: as the server it judges the client",
    )
    parser.add_argument("--session", type=int, metavar="N", help="the connection with this number")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser


def run(options: argparse.Namespace) -> int:
    """Show it; 1 where a rule was broken."""
    try:
        sessions = read_sessions(read_text(options.file))
    except ValueError as error:
        raise Failure(f"{options.file} is no transcript: {error}; see explain", 65) from error
    items = _chosen(sessions, options.session, options.file)
    entries = follow(without_echoes(items))
    findings = judge(entries, options.role)
    if options.json:
        show(as_json(entries, findings))
    else:
        show_dialogue(entries, findings)
    return 1 if findings else 0


def _chosen(sessions: dict[int, list[Item]], number: int | None, file: str) -> list[Item]:
    """The items of the only connection, or of the one with this number. Raises Failure."""
    if number is None and len(sessions) == 1:
        (items,) = sessions.values()
        return items
    if number in sessions:
        return sessions[number]
    if not sessions:
        raise Failure(f"{file} holds no dialogue")
    if list(sessions) == [0]:
        raise Failure(f"the lines of {file} have no numbers in front: leave --session out")
    numbers = ", ".join(map(str, sorted(sessions)))
    raise Failure(f"{file} holds these connections: {numbers}; choose by --session N")


def read_text(name: str) -> str:
    """What stands in a file, or comes by standard input. Raises Failure."""
    try:
        if name == "-":
            octets = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                octets = file.read(_LARGEST + 1)
    except OSError as error:
        raise Failure(f"cannot read {name}: {error.strerror}", UNAVAILABLE) from error
    if len(octets) > _LARGEST:
        raise Failure(f"{name} is larger than {_LARGEST >> 20} MiB", UNAVAILABLE)
    for mark, encoding in _MARKS.items():
        if octets.startswith(mark):
            return octets[len(mark) :].decode(encoding, "replace")
    return octets.decode("utf-8", "surrogateescape")
