"""The octet-level helpers: numbers and base64, to the letter."""

import pytest

from smtpwire.wire.octets import decode_base64, parse_number


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
