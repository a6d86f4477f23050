"""``smtpwire``, or ``python -m smtpwire``: a command a module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from smtpwire import __version__
from smtpwire.command_line import check, demo, explain, replay, send, serve
from smtpwire.command_line.arguments import Parser
from smtpwire.command_line.output import INTERRUPTED, UNAVAILABLE, Failure, complain, silence

__all__ = ["main"]

_BROKEN_PIPE: Final = 141
"""What a shell says of a program that SIGPIPE ended, as of ``head`` behind it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what it returns is the exit code."""
    try:
        options = _parser().read(arguments)
        code: int = options.run(options)
    except SystemExit as end:  # --help, wrong arguments
        return int(end.code or 0)
    except Failure as failure:
        complain(str(failure))
        return failure.code
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return _BROKEN_PIPE
    except OSError as error:  # a full disk behind standard output
        silence()
        complain(f"cannot write: {error.strerror}")
        return UNAVAILABLE
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="python -m smtpwire", description="SMTP, ESMTP and LMTP at the wire level."
    )
    parser.add_argument("--version", action="version", version=f"smtpwire {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (demo, serve, send, replay, explain, check):
        made = command.add_to(commands)
        made.set_defaults(run=command.run, parser=made)
    return parser
