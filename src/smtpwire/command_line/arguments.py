"""How the commands read their arguments: what is wrong is one line, and never shows a secret."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn, TypeAlias, final

from smtpwire.adapters.session import why
from smtpwire.command_line.output import USAGE, Failure, complain, show
from smtpwire.wire.address import Address
from smtpwire.wire.checked import check_host, check_port, check_seconds
from smtpwire.wire.command import Hello

__all__ = [
    "Parser",
    "Subcommands",
    "directory",
    "host",
    "mailbox",
    "own_name",
    "port",
    "seconds",
    "trusting",
]


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


def host(text: str) -> str:
    """A host's name or address, without a port."""
    try:
        check_host("the host", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not text:
        raise argparse.ArgumentTypeError("pass a name or an address")
    return text


def own_name(text: str) -> str:
    """What is said in EHLO."""
    try:
        bytes(Hello(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def directory(text: str) -> str:
    """Where files are written: "" would be the directory one is in, and is a variable not set."""
    if not text:
        raise argparse.ArgumentTypeError("pass the name of a directory")
    return text


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


def trusting(authorities: str | None) -> ssl.SSLContext:
    """A client's context that trusts these alone, or the system's. Raises Failure."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl.SSLError is one
        reason = why(error) if isinstance(error, ssl.SSLError) else error.strerror or error
        raise Failure(f"cannot use the authorities in {authorities}: {reason}") from error
