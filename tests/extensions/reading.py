"""How the tests read a line: as a server that offers these extensions would."""

from typing import TypeVar

from smtpwire.extensions import AnyExtension, Extension, Offer, Offered
from smtpwire.wire.command import (
    Command,
    CommandError,
    Leniency,
    Mail,
    Rcpt,
    parse_command,
)
from smtpwire.wire.parameter import Given, Parameter, Parameters

T = TypeVar("T")
P = TypeVar("P")


def read(line: str, *offered: Offered, utf8: bool = False) -> Command:
    """The command of the line; CommandError where it is refused."""
    offer = Offer(offered)
    command = parse_command(line.encode(), offer.grammar(Leniency()), utf8=utf8)
    if isinstance(command, Mail | Rcpt) and (error := offer.check(command.parameters)):
        raise error
    return command


def code(line: str, *offered: Offered) -> int:
    """The code of the reply that refuses the line, 250 where nothing does."""
    try:
        read(line, *offered)
    except CommandError as error:
        return error.code
    return 250


def mail(parameters: str, *offered: Offered) -> Parameters:
    """The parameters of a MAIL command."""
    command = read(f"MAIL FROM:<a@example.com> {parameters}", *offered)
    assert isinstance(command, Mail)
    return command.parameters


def rcpt(parameters: str, *offered: Offered, utf8: bool = False) -> Parameters:
    """The parameters of a RCPT command."""
    command = read(f"RCPT TO:<b@example.org> {parameters}", *offered, utf8=utf8)
    assert isinstance(command, Rcpt)
    return command.parameters


def refuses_mail(parameters: str, *offered: Offered) -> int:
    """The code that refuses a MAIL command, 250 where none does."""
    return code(f"MAIL FROM:<a@example.com> {parameters}", *offered)


def refuses_rcpt(parameters: str, *offered: Offered) -> int:
    """The code that refuses a RCPT command, 250 where none does."""
    return code(f"RCPT TO:<b@example.org> {parameters}", *offered)


def comes_back(parameter: Parameter[T], value: T) -> Given:
    """The value survives the wire; what was written."""
    given = parameter(value)
    assert parameter.parse(given.raw) == value
    assert given.parsed == value
    return given


def offer_comes_back(extension: Extension[P], value: P) -> str:
    """The EHLO line with this value; it is read as the same value."""
    offered = extension(value)
    again = extension.read(offered.parameters)
    assert again.parsed == value
    assert again.line == offered.line
    return offered.line


def increments(entry: AnyExtension) -> dict[str, int]:
    """Octets an extension adds to command lines."""
    return dict(entry.increments)
