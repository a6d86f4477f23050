"""Ways to divide a stream of octets, for whatever reads one."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import strategies as st


def every_split(octets: bytes) -> Iterator[list[bytes]]:
    """Whole, one octet at a time, and divided in two at every place."""
    yield [octets]
    yield [octets[at : at + 1] for at in range(len(octets))]
    for at in range(1, len(octets)):
        yield [octets[:at], octets[at:]]


def divided(octets: bytes, cuts: list[int]) -> list[bytes]:
    """Divided at each of the cuts; some parts may be empty."""
    borders = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    return [octets[start:end] for start, end in pairwise(borders)]


CUTS = st.lists(st.integers(min_value=0, max_value=1 << 16), max_size=5)
