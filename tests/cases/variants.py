"""``same_for``: the other inputs with the same outcome."""

from collections.abc import Iterator

from tests.cases.case import Case

__all__ = ["variants"]


def variants(case: Case) -> Iterator[tuple[bytes, ...]]:
    """The case's chunks, and those with each of the other inputs in their place."""
    yield case.chunks
    for other in case.expected.same_for:
        yield (_put(other, case.octets),)


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
