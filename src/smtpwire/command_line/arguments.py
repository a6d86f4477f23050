"""How the commands read their arguments: what is wrong is one line, and never shows a secret."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn, TypeAlias, final

from smtpwire.command_line.output import USAGE, complain, show
from smtpwire.wire.address import Address
from smtpwire.wire.checked import check_port, check_seconds

__all__ = ["Parser", "Subcommands", "mailbox", "port", "seconds"]


@final
class Parser(argparse.ArgumentParser):
    """No abbreviations: ``--password s3cret`` must not be another option's value.

    Of what it does not know only the option's name is shown. A wrong argument ends the program
    with :data:`USAGE` and one line.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """All arguments; a command's parser has put itself into ``parser``."""
        options, unknown = self.parse_known_args(arguments)
        command: Parser = options.parser
        for word in unknown:
            if word.startswith("-"):
                command.refuse(word.partition("=")[0] if word.startswith("--") else word[:2])
        if unknown:  # it is not shown: it may be a secret that belongs to another option
            command.error("an argument too many")
        return options

    def refuse(self, option: str) -> NoReturn:
        """Nobody knows this option; name the nearest."""
        known = [name for action in self._actions for name in action.option_strings]
        near = get_close_matches(option, known, 1)
        self.error(f"no option {option}" + (f"; did you mean {near[0]}?" if near else ""))

    def print_help(self, file: object = None) -> None:
        """The help on standard output, and OSError where nobody reads it: some Pythons hide it."""
        show(self.format_help().rstrip())

    def error(self, message: str) -> NoReturn:
        """One line instead of the usage and a line."""
        complain(f"{message}; see {self.prog} --help")
        raise SystemExit(USAGE)


Subcommands: TypeAlias = "argparse._SubParsersAction[Parser]"


def port(text: str) -> int:
    """A port by its number; systems wrap what is beyond to another."""
    try:
        number = int(text)
        check_port("the port", number)
    except ValueError:
        raise argparse.ArgumentTypeError("pass a port, 0 to 65535") from None
    return number


def seconds(text: str) -> float:
    """Seconds: those that are not counted are no time-out."""
    try:
        number = float(text)
        check_seconds("the time", number)
    except ValueError:
        raise argparse.ArgumentTypeError("pass seconds, more than 0 and at most 1e9") from None
    return number


def mailbox(text: str) -> Address:
    """An address, with a name before it or without: ``Bob <bob@example.org>``."""
    _, bracket, rest = text.rstrip().rpartition("<")
    address = rest[:-1] if bracket and rest.endswith(">") else text
    try:
        return Address.parse(address)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: {error}") from None
