"""xtext (RFC 3461 §4) and encoded UTF-8 addresses (RFC 6533 §3)."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpwire.wire.xtext import (
    decode_utf8_address,
    decode_xtext,
    encode_unitext_address,
    encode_utf8_address,
    encode_xtext,
)

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
ADDRESSES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", ""),
        ("QQ314159", "QQ314159"),
        ("a b", "a+20b"),
        ("a+b=c", "a+2Bb+3Dc"),
        ('"x y"@example.com', '"x+20y"@example.com'),
    ],
)
def test_xtext(text: str, encoded: str) -> None:
    assert encode_xtext(text) == encoded
    assert decode_xtext(encoded) == text


@given(PRINTABLE)
def test_every_printable_text_has_its_xtext(text: str) -> None:
    encoded = encode_xtext(text)
    assert set(encoded) <= set(string.printable) - set(string.whitespace) - {"="}
    assert decode_xtext(encoded) == text


def test_more_than_need_be_may_be_encoded() -> None:
    assert decode_xtext("+41+42+7E") == "AB~"


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "a=b",
        "+",
        "+2",
        "+2b",  # hexchar is upper case
        "+GG",
        "+0D+0A",
        "+00",
        "+7F",
        "+C3+A9",
        "+1F",
        "a\r\n",
        "é",
        "+٢0",
        "a\0",
    ],
)
def test_no_xtext_of_printable_ascii(text: str) -> None:
    with pytest.raises(ValueError, match="xtext"):
        decode_xtext(text)


@pytest.mark.parametrize("text", ["é", "a\r\n", "\0", "\x7f"])
def test_not_to_be_encoded_as_xtext(text: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        encode_xtext(text)


@given(st.text(max_size=12))
def test_decoded_xtext_is_printable(text: str) -> None:
    try:
        decoded = decode_xtext(text)
    except ValueError:
        return
    assert all(" " <= character <= "~" for character in decoded)
    assert decode_xtext(encode_xtext(decoded)) == decoded


@pytest.mark.parametrize(
    ("address", "xtext", "unitext"),
    [
        ("a@example.com", "a@example.com", "a@example.com"),
        ("jörg@example.com", r"j\x{F6}rg@example.com", "jörg@example.com"),
        ("用户@例.com", r"\x{7528}\x{6237}@\x{4F8B}.com", "用户@例.com"),
        ("a+b=c@x.org", r"a\x{2B}b\x{3D}c@x.org", r"a\x{2B}b\x{3D}c@x.org"),
        (r'"a b\\"@x.org', r'"a\x{20}b\x{5C}\x{5C}"@x.org', r'"a\x{20}b\x{5C}\x{5C}"@x.org'),
        ("ſ@x.org", r"\x{17F}@x.org", "ſ@x.org"),
        ("😀@x.org", r"\x{1F600}@x.org", "😀@x.org"),
        ("\U0010fffd@x.org", r"\x{10FFFD}@x.org", "\U0010fffd@x.org"),
    ],
)
def test_utf8_address(address: str, xtext: str, unitext: str) -> None:
    assert encode_utf8_address(address) == xtext
    assert encode_unitext_address(address) == unitext
    assert decode_utf8_address(xtext) == decode_utf8_address(unitext) == address


@given(ADDRESSES)
def test_every_address_has_both_forms(address: str) -> None:
    assert encode_utf8_address(address).isascii()
    for encoded in (encode_utf8_address(address), encode_unitext_address(address)):
        assert not set(encoded) & set(" +=\r\n")
        assert decode_utf8_address(encoded) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a+b",
        "a=b",
        "a\\b",
        r"\x{}",
        r"\x{9}",
        r"\x{0A}",  # HEXPOINT has it not
        r"\x{0D}",
        r"\x{00}",
        r"\x{09}",  # HEXPOINT has it; no address does
        r"\x{7F}",
        r"\x{41}",  # stands for itself
        r"\x{f6}",
        r"\x{0F6}",
        r"\x{00F6}",
        r"\x{0000F6}",
        r"\x{D800}",
        r"\x{DFFF}",
        r"\x{110000}",
        r"\x{0010FFFF}",
        r"\x{F6",
        "\\X{F6}",
        "\ud800",
        "a\n",
        "\x7f",
    ],
)
def test_no_utf8_address(text: str) -> None:
    with pytest.raises(ValueError, match="UTF-8 address"):
        decode_utf8_address(text)


@pytest.mark.parametrize("address", ["", "a\r\n@x.org", "\0", "\x7f", "\udcff"])
def test_not_to_be_encoded_as_an_address(address: str) -> None:
    with pytest.raises(ValueError, match="no controls"):
        encode_utf8_address(address)
    with pytest.raises(ValueError, match="no controls"):
        encode_unitext_address(address)
