"""8BITMIME and BINARYMIME: what octets the body is made of (RFC 6152, RFC 3030 §3)."""

from __future__ import annotations

from enum import Enum
from typing import Final

from smtpwire.extensions.grammar import one_of
from smtpwire.extensions.registry import Extension, Offer, flag, no_parameter
from smtpwire.wire.command import CommandError
from smtpwire.wire.parameter import Parameters

__all__ = ["BINARYMIME", "BODY_PARAMETER", "EIGHTBITMIME", "Body"]


class Body(Enum):
    """The value of MAIL ``BODY``."""

    SEVENBIT = "7BIT"
    """ASCII in lines (RFC 6152 §2)."""
    EIGHTBITMIME = "8BITMIME"
    """Octets above 0x7F in lines of at most 998 octets (RFC 6152 §2)."""
    BINARYMIME = "BINARYMIME"
    """Any octets at all, sent with BDAT only (RFC 3030 §3)."""


# Bound once: an attribute of an enum costs as much as a small function on CPython 3.11.
BODY_SEVENBIT: Final = Body.SEVENBIT
BODY_EIGHTBITMIME: Final = Body.EIGHTBITMIME
BODY_BINARYMIME: Final = Body.BINARYMIME

BODY_PARAMETER: Final = one_of("BODY", Body)  # values are in either case: RFC 6152 §2
"""MAIL ``BODY`` (RFC 6152 §2, RFC 3030 §3)."""

_BROUGHT_BY: Final = {Body.EIGHTBITMIME: "8BITMIME", Body.BINARYMIME: "BINARYMIME"}


def _check(offer: Offer, parameters: Parameters) -> CommandError | None:
    """Each of the two extensions brings one value of the parameter which they share."""
    keyword = _BROUGHT_BY.get(parameters.get(BODY_PARAMETER, Body.SEVENBIT))
    if keyword is None or keyword in offer:
        return None
    return CommandError(501, "5.5.4", f"{keyword} is not offered", "MAIL")


EIGHTBITMIME: Final[Extension[bool]] = Extension(
    "8BITMIME",
    "RFC 6152",
    "bodies with octets above 127",
    flag,
    no_parameter,
    mail=(BODY_PARAMETER,),
    check=_check,
)
"""8BITMIME, RFC 6152: bodies with octets above 127. Its value in an offer is True."""

BINARYMIME: Final[Extension[bool]] = Extension(
    "BINARYMIME",
    "RFC 3030",
    "bodies of any octets, sent with BDAT",
    flag,
    no_parameter,
    mail=(BODY_PARAMETER,),
    increments=(("MAIL", 16),),  # §3 (4)
    requires=("CHUNKING",),  # §3
    check=_check,
)
"""BINARYMIME, RFC 3030: bodies of any octets, sent with BDAT. Its value in an offer is True."""
