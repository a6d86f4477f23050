"""The searches of a body, in Python and in C, against a reference that goes octet by octet.

Input: how much stands before the octets and behind them, so that they meet the borders of the
blocks which the C code looks at; then the octets. Where there is no C code, Python alone is tried.
"""

from ctypes import c_ubyte
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from fuzz.choices import Choices
from fuzz.targets.body import first_bare
from smtpwire.wire import scan

_COMPILED: Final = find_spec("smtpwire.wire._scan") and import_module("smtpwire.wire._scan")
_PADS: Final = ("", "x", "\r\n", "\n.", "\r\n.\r")


def check(data: bytes) -> None:
    choices = Choices(data)
    before = _pad(choices)
    behind = _pad(choices)
    octets = before + choices.rest() + behind
    canonical = first_bare(octets) < 0
    end = octets.find(b"\r\n.\r\n")
    content = octets if end < 0 else octets[: end + 2]
    answers = canonical, (b"\r\n." in content, end), octets.replace(b"\r\n.", b"\r\n")
    assert _answers(scan, octets) == answers
    if _COMPILED:
        # No more than these octets, so that a sanitizer sees each one too many.
        exact = (c_ubyte * len(octets)).from_buffer_copy(octets)
        assert _answers(_COMPILED, exact) == answers


def _answers(of: Any, octets: Any) -> tuple[object, ...]:
    return of.is_canonical(octets), of.line_dots(octets), of.without_line_dots(octets)


def _pad(choices: Choices) -> bytes:
    """Up to some 2,000 octets of one kind."""
    kind = _PADS[choices.below(len(_PADS))].encode()
    return kind * (choices.octet() * 8)
