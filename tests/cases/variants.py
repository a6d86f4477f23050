"""``same_for``: the other inputs with the same outcome."""

from collections.abc import Iterator
from dataclasses import replace

from tests.cases.case import Case, Expected

__all__ = ["variants"]


def variants(case: Case, expected: Expected) -> Iterator[tuple[tuple[bytes, ...], Expected]]:
    """The case's chunks, and those with each of the other inputs in their place.

    Where a reply is the input, its own code is what must be told.
    """
    yield case.chunks, expected
    for other in case.expected.same_for:
        told = expected.told
        if told is not None:
            told = tuple(replace(each, code=int(other[:3])) for each in told)
        yield (_put(other, case.octets),), replace(expected, told=told)


def _put(other: bytes, octets: bytes) -> bytes:
    """A whole line, a path in its place, or a parameter in that of the same keyword."""
    if other.endswith(b"\r\n"):
        return other
    if other.startswith(b"<"):
        start, end = octets.index(b"<"), octets.rindex(b">") + 1
        return octets[:start] + other + octets[end:]
    keyword, equals, _ = other.partition(b"=")
    start = octets.index(b" " + keyword + equals) + 1
    end = octets.index(b" ", start)
    return octets[:start] + other + octets[end:]
