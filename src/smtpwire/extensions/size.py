"""SIZE: how large a message may be, and how large this one is (RFC 1870)."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.registry import Extension
from smtpwire.wire.octets import parse_number
from smtpwire.wire.parameter import Given, Parameter

__all__ = ["SIZE", "SIZE_PARAMETER", "counted_size"]


def _parse(raw: str | None) -> int:
    return parse_number(raw or "")


def _format(size: int) -> str:
    return str(size)


SIZE_PARAMETER: Final[Parameter[int]] = Parameter("SIZE", _parse, _format)
"""MAIL ``SIZE``: octets of header and body with their CRLFs, without stuffed dots (§5)."""


def counted_size(content: bytes) -> Given:
    """What ``SIZE_PARAMETER(len(content))`` is; a count has its grammar, and is not read again."""
    octets = len(content)
    return Given("SIZE", str(octets), SIZE_PARAMETER, octets)


def _parse_limit(parameters: str) -> int | None:
    try:
        return parse_number(parameters)
    except ValueError:
        return None  # a server that offers SIZE with nonsense still takes the parameter


def _format_limit(limit: int | None) -> str:
    return "" if limit is None else str(limit)


SIZE: Final[Extension[int | None]] = Extension(
    "SIZE",
    "RFC 1870",
    "the largest message accepted, in octets",
    _parse_limit,
    _format_limit,
    mail=(SIZE_PARAMETER,),
    increments=(("MAIL", 26),),  # §3 (6)
)
"""Its value: octets; 0: no fixed maximum; None: there is one, and it is not told (§3, §4)."""
