"""FUTURERELEASE: a submission server keeps a message until its time has come (RFC 4865)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

from smtpwire.extensions.registry import SUBMISSION_ONLY, Extension, Offer
from smtpwire.extensions.timestamp import format_timestamp, parse_timestamp
from smtpwire.wire.command import CommandError
from smtpwire.wire.parameter import Parameter, Parameters
from smtpwire.wire.value import value

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "FUTURERELEASE",
    "HOLDFOR_PARAMETER",
    "HOLDUNTIL_PARAMETER",
    "FutureRelease",
]


@final
@value(checked=True)
class FutureRelease:
    """The longest a server keeps messages: for ``interval`` seconds, and ``until`` when (§3)."""

    interval: int
    until: datetime


_INTERVAL: Final = r"[1-9][0-9]{0,8}"  # RFC 4865 §3, future-release-integer


def _parse_interval(raw: str | None) -> int:
    if re.fullmatch(_INTERVAL, raw or "") is None:
        raise ValueError("not 1 to 999999999 seconds")
    return int(raw or "")


def _format_interval(seconds: int) -> str:
    return str(seconds)


HOLDFOR_PARAMETER: Final[Parameter[int]] = Parameter("HOLDFOR", _parse_interval, _format_interval)
"""MAIL ``HOLDFOR``: keep the message so many seconds (RFC 4865 §3)."""


def _parse_until(raw: str | None) -> datetime:
    if not raw or raw[-1] not in "Zz":  # §3: normalised to UTC
        raise ValueError("not a date-time in UTC")
    return parse_timestamp(raw)


HOLDUNTIL_PARAMETER: Final[Parameter[datetime]] = Parameter(
    "HOLDUNTIL", _parse_until, format_timestamp
)
"""MAIL ``HOLDUNTIL``: keep the message until then, an aware datetime (RFC 4865 §3)."""


def _parse_limits(parameters: str) -> FutureRelease:
    interval, _, until = parameters.partition(" ")
    return FutureRelease(_parse_interval(interval), parse_timestamp(until))


def _format_limits(limits: FutureRelease) -> str:
    return f"{limits.interval} {format_timestamp(limits.until)}"


def _check(offer: Offer, parameters: Parameters) -> CommandError | None:
    # RFC 4865 §4.2 (7) to (11)
    seconds = parameters.get(HOLDFOR_PARAMETER)
    moment = parameters.get(HOLDUNTIL_PARAMETER)
    limits = offer[FUTURERELEASE]
    if seconds is not None and moment is not None:
        reason = "HOLDFOR and HOLDUNTIL exclude each other"
    elif seconds is not None and seconds > limits.interval:
        reason = f"HOLDFOR above {limits.interval} seconds"
    elif moment is not None and moment > limits.until:
        reason = f"HOLDUNTIL after {format_timestamp(limits.until)}"
    else:
        return None
    return CommandError(501, "5.5.4", reason, "MAIL")


FUTURERELEASE: Final[Extension[FutureRelease]] = Extension(
    "FUTURERELEASE",
    "RFC 4865",
    "messages held until later",
    _parse_limits,
    _format_limits,
    mail=(HOLDFOR_PARAMETER, HOLDUNTIL_PARAMETER),
    increments=(("MAIL", 34),),  # §3 (5)
    profiles=SUBMISSION_ONLY,  # §4.2 (2)
    check=_check,
)
"""Its value: how long messages are held at most. A time already past is for the application."""
