"""How deep a run goes: how many examples a property is tried with, and in how many places."""

from collections.abc import Iterator
from typing import Final

from hypothesis import settings

from smtpwire.testing import every_split

__all__ = ["choose", "examples", "is_tried", "splits"]

MARGIN: Final = 200
"""How far from either end every place is tried, in octets."""
STRIDE: Final = 31
"""How far apart other places are: no length of a line that is repeated."""


def examples(times: int) -> int:
    """``times`` as many as other properties are tried with, in the profile of this run."""
    profile = settings.default
    assert profile is not None
    return times * profile.max_examples


def choose(quick: int, thorough: int) -> int:
    """A figure by the profile of this run."""
    return quick if examples(1) < 100 else thorough


def is_tried(at: int, octets: int) -> bool:
    """Whether so many octets are cut at this place.

    The thorough profile cuts at every place; the quick one leaves out most in the midst of hundreds.
    """
    return min(at, octets - at) <= MARGIN or at % choose(STRIDE, 1) == 0


def splits(octets: bytes) -> Iterator[list[bytes]]:
    """Whole, one octet at a time, and in two at every place that is tried."""
    for pieces in every_split(octets):
        if len(pieces) != 2 or is_tried(len(pieces[0]), len(octets)):
            yield pieces
