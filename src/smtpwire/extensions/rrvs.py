"""RRVS: deliver only if the recipient has owned the mailbox since then (RFC 7293)."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, final

from smtpwire.extensions.registry import Extension, flag, no_parameter
from smtpwire.extensions.timestamp import format_timestamp, parse_timestamp
from smtpwire.wire.parameter import Parameter
from smtpwire.wire.value import value

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["RRVS", "RRVS_PARAMETER", "NoSupport", "Rrvs"]


class NoSupport(Enum):
    """What to do where the next hop lacks RRVS (RFC 7293 §3.1)."""

    REJECT = "R"
    CONTINUE = "C"


@final
@value(checked=True)
class Rrvs:
    """``since``: an aware datetime, taken to the second (RFC 7293 §3.1).

    ``no_support``: what to do where the next hop lacks it.
    """

    since: datetime
    no_support: NoSupport = NoSupport.REJECT


_RRVS: Final = r"([0-9TtZz:+-]++)(?:;([CRcr]))?"  # no "." in it: a fraction is not allowed


def _parse(raw: str | None) -> Rrvs:
    found = re.fullmatch(_RRVS, raw or "")
    if found is None:
        raise ValueError("not a date-time without a fraction")
    return Rrvs(parse_timestamp(found[1]), NoSupport((found[2] or "R").upper()))


def _format(rrvs: Rrvs) -> str:
    since = format_timestamp(rrvs.since, fraction=False)
    return since if rrvs.no_support is NoSupport.REJECT else f"{since};{rrvs.no_support.value}"


RRVS_PARAMETER: Final[Parameter[Rrvs]] = Parameter("RRVS", _parse, _format)
"""RCPT ``RRVS`` (RFC 7293 §3.1)."""

RRVS: Final[Extension[bool]] = Extension(
    "RRVS",
    "RFC 7293",
    "delivery only to the owner of the mailbox at that time",
    flag,
    no_parameter,
    rcpt=(RRVS_PARAMETER,),
    increments=(("RCPT", 33),),  # §3.1
)
"""RRVS, RFC 7293: delivery only to the owner of the mailbox at that time. Its value in an offer is
True."""
