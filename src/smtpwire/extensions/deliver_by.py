"""DELIVERBY: the time by which a message must be delivered (RFC 2852)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, final

from smtpwire.extensions.registry import Extension, Offer
from smtpwire.wire.command import CommandError
from smtpwire.wire.octets import parse_number
from smtpwire.wire.parameter import Parameter, Parameters
from smtpwire.wire.value import value

__all__ = ["BY_PARAMETER", "DELIVERBY", "ByMode", "DeliverBy"]


class ByMode(Enum):
    """What is to happen when the time is over (RFC 2852 §4)."""

    NOTIFY = "N"
    """Tell the sender and go on trying."""
    RETURN = "R"
    """Give up and return the message."""


@final
@value(checked=True)
class DeliverBy:
    """``seconds`` from now, by RETURN at least 1; ``trace``: tell of hops that cannot (§4).

    ``mode``: what happens then.
    """

    seconds: int
    mode: ByMode
    trace: bool = False


_LARGEST: Final = 999_999_999
_BY: Final = r"([+-]?)([0-9]{1,9});([NRnr])([Tt]?)"


def _parse(raw: str | None) -> DeliverBy:
    found = re.fullmatch(_BY, raw or "")
    if found is None:
        raise ValueError("not a number of seconds and a mode")
    seconds = int(found[2])
    by = DeliverBy(
        -seconds if found[1] == "-" else seconds, ByMode(found[3].upper()), found[4] != ""
    )
    if by.mode is ByMode.RETURN and by.seconds < 1:  # §4: a syntax error
        raise ValueError("nothing can be returned before it came")
    return by


def _format(by: DeliverBy) -> str:
    return f"{by.seconds};{by.mode.value}{'T' if by.trace else ''}"


BY_PARAMETER: Final[Parameter[DeliverBy]] = Parameter("BY", _parse, _format)
"""MAIL ``BY`` (RFC 2852 §4)."""


def _parse_minimum(parameters: str) -> int | None:
    # §2 (3): min-by-time *("," extension-token); the tokens have no meaning yet.
    try:
        return parse_number(parameters.partition(",")[0], most=_LARGEST)
    except ValueError:
        return None


def _format_minimum(minimum: int | None) -> str:
    return "" if minimum is None else str(minimum)


def _check(offer: Offer, parameters: Parameters) -> CommandError | None:
    by = parameters.get(BY_PARAMETER)
    minimum = offer[DELIVERBY]
    if by is None or minimum is None or by.mode is ByMode.NOTIFY or by.seconds >= minimum:
        return None
    # §3: a 55z reply; §4 has 555 for what is valid but not to be honoured.
    return CommandError(555, "5.5.4", f"BY below the minimum of {minimum} seconds", "MAIL")


DELIVERBY: Final[Extension[int | None]] = Extension(
    "DELIVERBY",
    "RFC 2852",
    "delivery within a time; the least that may be asked for, in seconds",
    _parse_minimum,
    _format_minimum,
    mail=(BY_PARAMETER,),
    increments=(("MAIL", 17),),  # §2 (5)
    check=_check,
)
"""Its value: the least ``seconds`` with RETURN, in seconds; None: not told (RFC 2852 §3)."""
