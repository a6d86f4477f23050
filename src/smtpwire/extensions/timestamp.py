"""Date-times of RFC 3339, as parameters carry them; as values they are aware and in UTC."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["format_timestamp", "parse_timestamp"]

# Patterns of rare parameters are compiled when first used: re keeps them.
_DATE_TIME: Final = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,6})[0-9]*+)?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def parse_timestamp(text: str) -> datetime:
    """The moment a ``date-time`` names (RFC 3339 §5.6); ValueError where it is malformed.

    A fraction is cut to microseconds, a leap second becomes the second before it.
    """
    # Imported when first needed: few sessions ever see a date.
    from datetime import UTC, datetime, timedelta

    found = re.fullmatch(_DATE_TIME, text)
    if found is None:
        raise ValueError("not a date-time (RFC 3339 §5.6)")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, hours, minutes = found.groups()[6:]
    microsecond = int(fraction.ljust(6, "0")) if fraction else 0
    if second == 60:  # RFC 3339 §5.7: a leap second
        second = 59
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond, UTC)
    except ValueError:  # in other words under each Python
        raise ValueError("no such date or time (RFC 3339 §5.7)") from None
    if sign is None:
        return local
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        return local - offset if sign == "+" else local + offset
    except OverflowError:
        raise ValueError("outside the years 1 to 9999 in UTC") from None


def format_timestamp(moment: datetime, *, fraction: bool = True) -> str:
    """The date-time in UTC, with ``Z``; ValueError for a naive datetime.

    ``fraction``: whether microseconds are written, where there are any.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("a datetime without a time zone names no moment")
    try:
        utc = moment.replace(tzinfo=None) - offset
    except OverflowError:
        raise ValueError("outside the years 1 to 9999 in UTC") from None
    text = utc.isoformat(timespec="seconds")
    if fraction and utc.microsecond:
        text += f".{utc.microsecond:06d}".rstrip("0")
    return text + "Z"
