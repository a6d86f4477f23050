"""``explain``: why does this server reject me? From whatever a terminal or a log shows."""

from __future__ import annotations

import argparse
import sys
from typing import TypeAlias

from smtpwire.command_line.arguments import Parser, Subcommands
from smtpwire.command_line.dialogue import Entry, follow
from smtpwire.command_line.judge import Findings, judge
from smtpwire.command_line.output import Failure, show
from smtpwire.command_line.pasted import connections, read_pasted
from smtpwire.command_line.replay import read_text
from smtpwire.command_line.report import as_json, show_dialogue, show_verdict
from smtpwire.transcript import Item, without_echoes

__all__ = ["add_to", "run"]

_Judged: TypeAlias = tuple[list[Entry], Findings]


def add_to(commands: Subcommands) -> Parser:
    """Declare the command."""
    text = "say why a server refuses, from a dialogue, a log or a bounce, and what to do"
    parser = commands.add_parser(
        "explain",
        help=text,
        description=f"{text}. It reads what swaks, openssl s_client, telnet, Postfix, Exim, smtplib"
        " (set_debuglevel), tshark (-z follow,tcp,ascii,N) and serve show. Ends with 1 where"
        " something was refused, or a rule was broken.",
    )
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="- is standard input")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser


def run(options: argparse.Namespace) -> int:
    """Explain it; 1 where something was refused."""
    if options.file == "-" and sys.stdin.isatty():
        show("Paste the dialogue, and end it with Ctrl-D.")
    pasted = read_pasted(read_text(options.file))
    if not pasted.items:
        raise Failure(
            "no reply of a server is found in this: paste the dialogue, or the bounce", 65
        )
    judged = [_judged(items) for items in connections(without_echoes(pasted.items))]
    if options.json:
        show(as_json(*_together(judged), pasted.form))
    else:
        _show(pasted.form, judged)
    entries, findings = _together(judged)
    refused = any(entry.reply is not None and entry.reply.code >= 400 for entry in entries)
    return 1 if refused or findings else 0


def _judged(items: list[Item]) -> _Judged:
    entries = follow(items)
    verbs = {entry.verb for entry in entries}
    return entries, judge(entries) if verbs & {"EHLO", "LHLO", "HELO"} else {}


def _together(judged: list[_Judged]) -> _Judged:
    """Those of all connections, as one."""
    entries: list[Entry] = []
    findings: Findings = {}
    for own, found in judged:
        findings |= {len(entries) + number: each for number, each in found.items()}
        entries += own
    return entries, findings


def _show(form: str, judged: list[_Judged]) -> None:
    for number, (entries, findings) in enumerate(judged, 1):
        if number > 1:
            show("")
        of = f"; connection {number} of {len(judged)}" if len(judged) > 1 else ""
        show(f"({form}{of})")
        show_dialogue(entries, findings)
        show_verdict(entries)
