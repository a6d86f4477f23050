"""``explain``: why does this server reject me? From whatever a terminal or a log shows."""

from __future__ import annotations

import argparse
import sys

from smtpwire.command_line.arguments import Parser, Subcommands
from smtpwire.command_line.dialogue import follow
from smtpwire.command_line.judge import judge
from smtpwire.command_line.output import Failure, show
from smtpwire.command_line.pasted import read_pasted
from smtpwire.command_line.replay import read_text
from smtpwire.command_line.report import as_json, show_dialogue, show_verdict

__all__ = ["add_to", "run"]


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
    entries = follow(pasted.items)
    verbs = {entry.verb for entry in entries}
    findings = judge(entries) if verbs & {"EHLO", "LHLO", "HELO"} else {}
    if options.json:
        show(as_json(entries, findings, pasted.form))
    else:
        show(f"({pasted.form})")
        show_dialogue(entries, findings)
        show_verdict(entries)
    refused = any(entry.reply is not None and entry.reply.code >= 400 for entry in entries)
    return 1 if refused or findings else 0
