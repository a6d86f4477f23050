"""Any line as a command: what smtplib lets its users send, and the engine does not.

A line that is a command becomes that command. Every other one is sent as it stands, by a command
whose octets are its own: a MAIL or a RCPT where it opens or fills a transaction, else one that has
a single reply and changes nothing, as NOOP.
"""

import re
from typing import Final, Self

from smtpwire.extensions import REGISTRY
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    Command,
    CommandError,
    Grammar,
    Leniency,
    Mail,
    Noop,
    Rcpt,
    parse_command,
)
from smtpwire.wire.parameter import AnyParameter, ParameterError, Parameters, parse_parameters

__all__ = ["any_command"]

LONGEST: Final = 1 << 16
_ODD: Final = Leniency(
    blank_after_colon=True, missing_brackets=True, odd_hello_names=True, odd_addresses=True
)
_MAIL: Final[dict[str, AnyParameter]] = {p.keyword: p for e in REGISTRY for p in e.mail}
_RCPT: Final[dict[str, AnyParameter]] = {p.keyword: p for e in REGISTRY for p in e.rcpt}
_GRAMMAR: Final = Grammar(
    mail=_MAIL, rcpt=_RCPT, command_line=LONGEST, smtputf8=True, leniency=_ODD
)
_TRANSACTION: Final = re.compile(rb"(?i)(MAIL|RCPT) +(?:FROM|TO):[^>]*>(.*)")
_NOBODY: Final = Address("nobody", "invalid")

# The three classes are final for whoever uses the package: nothing there expects others.


class AnyMail(Mail):  # type: ignore[misc]
    """A MAIL with another reverse-path than RFC 5321 §4.1.2 has, such as one without a domain."""

    octets = b""

    @classmethod
    def of(cls, octets: bytes, parameters: Parameters) -> Self:
        made = cls(None, parameters)
        object.__setattr__(made, "octets", octets)
        return made

    def __bytes__(self) -> bytes:
        return self.octets


class AnyRcpt(Rcpt):  # type: ignore[misc]
    """The same of a RCPT."""

    octets = b""

    @classmethod
    def of(cls, octets: bytes, parameters: Parameters) -> Self:
        made = cls(_NOBODY, parameters)
        object.__setattr__(made, "octets", octets)
        return made

    def __bytes__(self) -> bytes:
        return self.octets


class AnyLine(Noop):  # type: ignore[misc]
    """A line that is no command, or none with such arguments."""

    octets = b""

    @classmethod
    def of(cls, octets: bytes) -> Self:
        made = cls()
        object.__setattr__(made, "octets", octets)
        return made

    def __bytes__(self) -> bytes:
        return self.octets


def any_command(line: bytes) -> Command:
    """The command that a line is, however odd it is."""
    try:
        return parse_command(line, _GRAMMAR, utf8=True)
    except CommandError:
        pass
    found = _TRANSACTION.fullmatch(line)
    if found is None:
        return AnyLine.of(line)
    verb, rest = found[1].upper(), found[2].decode()
    try:
        parameters = parse_parameters(rest, _MAIL if verb == b"MAIL" else _RCPT)
    except ParameterError:
        return AnyLine.of(line)
    return (AnyMail if verb == b"MAIL" else AnyRcpt).of(line, parameters)
