"""The octets a server has not read yet."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.memory import least_memory, traced_memory

from smtpwire.engine.server.input import Input


def test_lines() -> None:
    waiting = Input(1 << 20)
    assert waiting.take_to_lf() is None
    waiting.feed(b"one\r\ntwo\nthr")
    assert waiting.waiting == 12
    assert waiting.take_to_lf() == b"one\r"
    assert waiting.take_to_lf() == b"two"
    assert waiting.take_to_lf() is None
    assert (waiting.offset, waiting.waiting) == (9, 3)
    for octet in b"ee\nx":
        waiting.feed(bytes([octet]))
    assert waiting.take_to_lf() == b"three"
    assert waiting.take_to_lf() is None
    assert waiting.take() == b"x"
    assert waiting.take() == b""
    assert waiting.offset == 16


def test_a_line_that_comes_while_another_waits() -> None:
    waiting = Input(1 << 20)
    waiting.feed(bytearray(b"one\nt"))
    waiting.feed(memoryview(b"wo\nthree"))
    assert waiting.take_to_lf() == b"one"
    assert waiting.take_to_lf() == b"two"
    assert waiting.peek(3) == b"thr"
    waiting.feed(b"\n")
    assert waiting.peek(99) == b"three\n"
    assert waiting.take_to_lf() == b"three"


def test_what_matches_is_taken_where_it_is_short_and_in_one_piece() -> None:
    pattern = re.compile(rb"[a-z]+\r\n")
    waiting = Input(1 << 20)
    waiting.feed(b"one\r\ntwo\r\nthr")
    found = waiting.take_match(pattern, 5)
    assert found is not None
    assert found[0] == b"one\r\n"
    assert (waiting.offset, waiting.waiting) == (5, 8)
    assert waiting.take_match(pattern, 4) is None, "it is longer"
    assert (waiting.offset, waiting.waiting) == (5, 8)
    assert waiting.take_to_lf() == b"two\r"
    waiting.feed(b"ee\r\n")
    assert waiting.take_match(pattern, 99) is None, "it came in two pieces"
    assert waiting.take_to_lf() == b"three\r"


def test_what_is_given_back() -> None:
    waiting = Input(1 << 20)
    waiting.feed(b"abcdef")
    assert waiting.take(4) == b"abcd"
    waiting.give_back(b"cd")
    waiting.feed(b"ghi")
    assert waiting.take(3) == b"cde"
    assert waiting.take(100) == b"fghi"
    waiting.give_back(b"i")
    assert (waiting.take(), waiting.offset) == (b"i", 9)


@pytest.mark.parametrize(
    "read",
    [
        lambda waiting: [waiting.take_to_lf(), waiting.take_to_lf()],
        lambda waiting: [waiting.take(9), waiting.take(3), waiting.take()],
        lambda waiting: [waiting.take_match(re.compile(rb"(?s:.+)"), 1 << 30)],
    ],
    ids=["lines", "pieces", "a match"],
)
def test_what_has_been_read_is_not_kept(read: Callable[[Input], object]) -> None:
    def kept() -> int:
        waiting = Input(1 << 20)
        with traced_memory() as memory:
            waiting.feed(b"x" * (1 << 18) + b"\r\nNOOP\r\n")
            read(waiting)
            assert waiting.waiting == 0
            return memory()[0]

    assert least_memory(kept, 4096) < 4096


def test_forgotten() -> None:
    waiting = Input(1 << 20)
    waiting.feed(b"ab")
    waiting.feed(b"cd\n")
    waiting.take(1)
    waiting.clear()
    assert (waiting.waiting, waiting.offset, waiting.take()) == (0, 0, b"")
    waiting.feed(b"x\n")
    assert waiting.take_to_lf() == b"x"


@given(st.lists(st.one_of(st.binary(max_size=8), st.integers(0, 5)), max_size=40))
def test_nothing_is_lost_and_nothing_twice(steps: list[bytes | int]) -> None:
    """Octets are fed; a number takes so many, 0 takes a line, 5 gives the last one back."""
    waiting = Input(1 << 20)
    fed = taken = b""
    for step in steps:
        match step:
            case bytes():
                if step:
                    waiting.feed(step)
                    fed += step
            case 0:
                line = waiting.take_to_lf()
                assert (line is None) == (b"\n" not in fed[len(taken) :])
                taken += b"" if line is None else line + b"\n"
            case 5:
                octets = waiting.take(1)
                waiting.give_back(octets)
            case _:
                taken += waiting.take(step)
        assert fed.startswith(taken)
        assert waiting.offset == len(taken)
        assert waiting.waiting == len(fed) - len(taken)
        assert waiting.peek(3) == fed[len(taken) : len(taken) + 3]


def test_a_view_of_wider_items_is_taken_by_its_octets() -> None:
    source = Input(1 << 20)
    source.feed(memoryview(b"NOOP\r\n\r\n").cast("H"))
    assert source.waiting == 8
    assert source.take_to_lf() == b"NOOP\r"
    assert source.take() == b"\r\n"
