"""The octet-level helpers: numbers and base64, to the letter."""

import re
import unicodedata
from array import array

import pytest

from smtpwire.wire.octets import UNSEEN, decode_base64, is_buffer, octets_of, parse_number


def test_numbers_of_1_to_20_digits() -> None:
    assert parse_number("0") == 0
    assert parse_number("007") == 7
    assert parse_number("9" * 20) == 10**20 - 1


@pytest.mark.parametrize("text", ["", "1" * 21, "+1", "-1", "1_0", " 1", "1\n", "0x1", "\u0663"])
def test_what_int_would_take_and_more(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a number of 1 to 20 digits$"):
        parse_number(text)


def test_numbers_within_bounds() -> None:
    assert [parse_number(text, 2, 4) for text in ("2", "3", "4")] == [2, 3, 4]
    for text in ("1", "5"):
        with pytest.raises(ValueError, match=r"^not between 2 and 4$"):
            parse_number(text, 2, 4)


def test_base64_is_strict() -> None:  # RFC 4954 §4
    assert decode_base64(b"") == b""
    assert decode_base64(b"YWI=") == b"ab"
    for octets in (b"YWI", b"YWI=\n", b"YW I=", b"=YWI", b"YWI==", b"YWI=YWI=", b"YW-I"):
        assert decode_base64(octets) is None
    for octets in (b"=", b"====", b"YWJj=", b"YWJj==", b"YWJj===", b"YWJj====", b"Y==="):
        assert decode_base64(octets) is None


def test_what_is_unseen_does_not_depend_on_this_python_s_unicode() -> None:
    whole = "".join(map(chr, range(0x110000)))
    printable = "".join(filter(str.isprintable, whole))
    assert not re.search(UNSEEN, printable)
    others = set(re.sub(UNSEEN, "", whole)) - set(printable)
    assert {unicodedata.category(each) for each in others} == {"Cn"}  # not assigned, so far


@pytest.mark.parametrize(
    "data",
    [b"ab", bytearray(b"ab"), memoryview(b"ab"), memoryview(b"ab").cast("c"), array("b", b"ab")],
    ids=lambda data: type(data).__name__,
)
def test_buffers_of_octets(data: object) -> None:
    assert is_buffer(data)
    assert octets_of(data) == b"ab"
    assert type(octets_of(data)) is bytes


@pytest.mark.parametrize("data", [5, None, "ab", [97, 98], object()])
def test_what_is_no_buffer(data: object) -> None:
    assert not is_buffer(data)
    with pytest.raises(TypeError, match=f"of {type(data).__name__}: pass bytes"):
        octets_of(data)


@pytest.mark.parametrize("data", [array("I", [1]), memoryview(array("d", [1.0]))])
def test_items_that_are_no_octets(data: object) -> None:
    assert is_buffer(data)
    with pytest.raises(TypeError, match=r"format '[Id]': pass bytes"):
        octets_of(data)
