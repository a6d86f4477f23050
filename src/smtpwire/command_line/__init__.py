"""``python -m smtpwire``: ``demo``, ``serve`` and ``send``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from smtpwire.command_line import demo, send, serve
from smtpwire.command_line.output import Failure, complain

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what it returns is the exit code. Wrong arguments raise SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="python -m smtpwire", description="SMTP, ESMTP and LMTP at the wire level."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (demo, serve, send):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except Failure as failure:
        complain(str(failure))
        return 2
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    return code
