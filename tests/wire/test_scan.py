"""The searches of a body, in Python and, where it was built, in C: the same answers to everything.

``python fuzz/sanitize.py`` builds the C code with sanitizers and runs these tests with it.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from ctypes import c_ubyte
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpwire.wire import scan

COMPILED: Final[Any] = (
    import_module("smtpwire.wire._scan") if find_spec("smtpwire.wire._scan") else None
)
IMPLEMENTATIONS: Final = [scan] if COMPILED is None else [scan, COMPILED]
needs_compiled: Final = pytest.mark.skipif(COMPILED is None, reason="a pure build has no C code")

NAMES: Final = ["is_canonical", "line_dots", "without_line_dots"]
ALPHABET: Final = b"\r\n.a\0\xff"
BLOCK: Final = 1024  # octets that the C code looks at together


def every_string(longest: int) -> Iterator[bytes]:
    """All strings of the octets that matter, and of three that do not."""
    for length in range(longest + 1):
        yield from map(bytes, itertools.product(ALPHABET, repeat=length))


def slowly_canonical(octets: bytes) -> bool:
    return re.search(rb"\r(?!\n)|(?<!\r)\n", octets) is None


def slow_line_dots(octets: bytes) -> tuple[bool, int]:
    """Octet by octet."""
    stuffed = False
    for at in range(len(octets)):
        if octets[at : at + 5] == b"\r\n.\r\n":
            return stuffed, at
        if octets[at : at + 3] == b"\r\n.":
            stuffed = True
    return stuffed, -1


def slowly_without_line_dots(octets: bytes) -> bytes:
    return re.sub(rb"\r\n\.", b"\r\n", octets)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_short_string(implementation: Any) -> None:
    for octets in every_string(6):
        assert implementation.is_canonical(octets) is slowly_canonical(octets), octets
        assert implementation.line_dots(octets) == slow_line_dots(octets), octets
        assert implementation.without_line_dots(octets) == slowly_without_line_dots(octets), octets


@needs_compiled
def test_every_string_of_up_to_eight_octets() -> None:
    for octets in every_string(8):
        assert COMPILED.is_canonical(octets) is scan.is_canonical(octets), octets
        assert COMPILED.line_dots(octets) == scan.line_dots(octets), octets
        assert COMPILED.without_line_dots(octets) == scan.without_line_dots(octets), octets


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("before", [0, BLOCK, 2 * BLOCK])
def test_every_place_in_a_block(implementation: Any, before: int) -> None:
    """What stands across the border of two blocks, and at either end."""
    for pattern in every_string(3):
        for after in (b"", b"a", b"\r\n", b"a" * BLOCK):
            octets = b"\r\n." + pattern + after
            canonical, content = slowly_canonical(octets), slowly_without_line_dots(octets)
            stuffed, end = slow_line_dots(octets)
            for at in (*range(before, before + 3), *range(before + BLOCK - 8, before + BLOCK + 3)):
                before_it = b"a" * at
                whole = before_it + octets
                assert implementation.is_canonical(whole) is canonical
                assert implementation.line_dots(whole) == (stuffed, end + at if end >= 0 else -1)
                assert implementation.without_line_dots(whole) == before_it + content


LONG: Final = st.lists(
    st.one_of(
        st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r", b"\r\n.\r\n", b"\n."]),
        st.integers(min_value=1, max_value=2 * BLOCK).map(lambda size: b"x" * size),
        st.integers(min_value=1, max_value=BLOCK // 2).map(lambda count: b"\r\n" * count),
        st.integers(min_value=1, max_value=BLOCK // 2).map(lambda count: b"\n.\r" * count),
        st.binary(max_size=20),
    ),
    max_size=12,
).map(b"".join)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(octets=LONG)
def test_long_strings(implementation: Any, octets: bytes) -> None:
    assert implementation.is_canonical(octets) is slowly_canonical(octets)
    assert implementation.line_dots(octets) == slow_line_dots(octets)
    assert implementation.without_line_dots(octets) == slowly_without_line_dots(octets)


# --- the C code alone ------------------------------------------------------------------------


def exact(octets: bytes) -> Any:
    """A buffer of these octets and no more: behind those of bytes stands a NUL."""
    return (c_ubyte * len(octets)).from_buffer_copy(octets)


@needs_compiled
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview, exact])
def test_any_buffer(name: str, buffer: Callable[[bytes], Any]) -> None:
    for end in every_string(4):
        for octets in (end, b"x" * 40 + end, b"x" * (BLOCK - 2) + end):
            answer = getattr(COMPILED, name)(buffer(octets))
            assert answer == getattr(scan, name)(octets)


@needs_compiled
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_buffer(name: str) -> None:
    for wrong, error in (
        ("text", TypeError),
        (None, TypeError),
        (memoryview(b"abcd")[::2], BufferError),
    ):
        with pytest.raises(error):
            getattr(COMPILED, name)(wrong)


@needs_compiled
@pytest.mark.parametrize("name", NAMES)
def test_a_buffer_is_given_back(name: str) -> None:
    octets = bytearray(b"a\r\n.\r\nb\r")
    getattr(COMPILED, name)(octets)
    octets.clear()  # BufferError, were it still held
