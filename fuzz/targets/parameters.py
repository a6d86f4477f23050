"""Parameters, EHLO keywords and command lines: format and parse are inverse, each way round.

Input: which grammar, which entry; then the octets: a value, EHLO's parameters, a command line.
"""

from typing import Final

from fuzz.choices import Choices
from fuzz.oracles import check_own_words
from smtpwire.engine.redaction import redacted
from smtpwire.extensions import REGISTRY, AnyExtension, Extension, Offer
from smtpwire.extensions.limits import ServerLimits
from smtpwire.wire.command import CommandError, Grammar, Leniency, Mail, Rcpt, parse_command
from smtpwire.wire.ehlo import EhloKeyword
from smtpwire.wire.parameter import AnyParameter, Parameter, ParameterError, parse_parameters

_NEEDED: Final = {
    "AUTH": "PLAIN",
    "LIMITS": "RCPTMAX=10",
    "FUTURERELEASE": "100000 2030-01-01T00:00:00Z",
    "XCLIENT": "NAME ADDR",
    "XFORWARD": "NAME ADDR",
    "BURL": "imap",
}
"""EHLO parameters of those that cannot stand without."""
_EVERYTHING: Final = Offer([entry.read(_NEEDED.get(entry.keyword, "")) for entry in REGISTRY])
_GRAMMARS: Final = (
    _EVERYTHING.grammar(Leniency()),
    _EVERYTHING.grammar(
        Leniency(
            blank_after_colon=True, missing_brackets=True, odd_hello_names=True, odd_addresses=True
        )
    ),
    Grammar(),
)
_PARAMETERS: Final = tuple(
    dict.fromkeys(parameter for entry in REGISTRY for parameter in (*entry.mail, *entry.rcpt))
)
_ENTRIES: Final = tuple(REGISTRY)
_KNOWN: Final = {parameter.keyword: parameter for parameter in _PARAMETERS}


def check(data: bytes) -> None:
    choices = Choices(data)
    grammar = _GRAMMARS[choices.below(3)]
    which = choices.octet()
    octets = choices.rest()
    text = octets.decode("utf-8", "surrogateescape")
    _check_parameter(_PARAMETERS[which % len(_PARAMETERS)], text)
    _check_entry(_ENTRIES[which % len(_ENTRIES)], text)
    _check_list(text)
    _check_line(octets, grammar, utf8=bool(which & 64))


def _check_parameter(parameter: AnyParameter, raw: str) -> None:
    assert isinstance(parameter, Parameter)
    for value in (raw, None):
        try:
            given = parameter.read(value)
        except ValueError:
            continue
        try:
            written = parameter(given.parsed)
        except ValueError:
            # Only what could not have come in a command line, or gets too long by being encoded.
            assert value is not None
            assert _malformed(value) or len(value) > 80, value
            continue
        assert written.parsed == given.parsed
        assert not any(letter in str(written) for letter in " \r\n\0")
        known = {parameter.keyword: parameter}
        assert parse_parameters(str(written), known)[parameter] == given.parsed


def _malformed(value: str) -> bool:
    return not value or any(
        ord(letter) < 33 or letter == "=" or ord(letter) >= 127 for letter in value
    )


def _check_entry(entry: AnyExtension, text: str) -> None:
    assert isinstance(entry, Extension)
    try:
        parameters = EhloKeyword(entry.keyword, text).parameters
        offered = entry.read(parameters)
    except ValueError:
        return
    try:
        written = entry(offered.parsed)
    except ValueError:
        # Limits that nobody knows are read past, and none at all cannot be written.
        assert offered.parsed == ServerLimits()
        return
    assert entry.read(written.parameters).parsed == offered.parsed
    assert "\n" not in written.line
    assert "\r" not in written.line
    again = REGISTRY.read([EhloKeyword(entry.keyword, written.parameters)])
    assert again[entry] == offered.parsed


def _check_list(text: str) -> None:
    try:
        parameters = parse_parameters(text, _KNOWN)
    except ParameterError:
        return
    assert parse_parameters(str(parameters), _KNOWN) == parameters
    assert hash(parameters) == hash(parse_parameters(str(parameters), _KNOWN))
    assert len(parameters.raw) == len(parameters)


def _check_line(line: bytes, grammar: Grammar, *, utf8: bool) -> None:
    line = line.replace(b"\n", b"")  # the engine cuts at LF
    shown = redacted(line)
    assert line[:4].upper() != b"AUTH" or shown == line or b"<redacted>" in shown or len(line) < 60
    try:
        command = parse_command(line, grammar, utf8=utf8)
    except CommandError as error:
        _check_refusal(error)
        return
    if isinstance(command, Mail | Rcpt):
        reason = _EVERYTHING.check(command.parameters)
        assert reason is None or 400 <= reason.code < 560
    written = bytes(command)
    assert b"\r" not in written
    assert b"\n" not in written
    if len(written) <= len(line):  # quoted, it can exceed a limit
        assert parse_command(written, grammar, utf8=utf8) == command
    repr(command)


def _check_refusal(error: CommandError) -> None:
    assert error.code in (500, 501, 502, 553, 555)
    assert error.enhanced[0] == "5"
    check_own_words(error.reason)
