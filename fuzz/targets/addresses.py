"""Paths, addresses and EHLO names: only the documented exceptions, and what is read is written.

Input: which liberties are taken, then the octets between the brackets.
"""

from typing import Final

from fuzz.choices import Choices
from fuzz.oracles import check_own_words
from smtpwire.wire.address import Address, PathError, parse_domain, parse_path
from smtpwire.wire.command import CommandError, Grammar, Leniency, Mail, Rcpt, parse_command
from smtpwire.wire.xtext import (
    decode_utf8_address,
    decode_xtext,
    encode_unitext_address,
    encode_utf8_address,
    encode_xtext,
)

_STRICT: Final = Grammar(command_line=4096)
_LENIENT: Final = Grammar(
    command_line=4096,
    leniency=Leniency(
        blank_after_colon=True, missing_brackets=True, odd_hello_names=True, odd_addresses=True
    ),
)


def check(data: bytes) -> None:
    choices = Choices(data)
    flags = choices.octet()
    octets = choices.rest()
    utf8, lenient, postmaster = bool(flags & 1), bool(flags & 2), bool(flags & 4)
    _check_path(octets, utf8=utf8, lenient=lenient, postmaster=postmaster)
    _check_name(octets, lenient=lenient)
    _check_commands(octets, _LENIENT if lenient else _STRICT, utf8=utf8)
    text = octets.decode("utf-8", "surrogateescape")
    _check_text(text)
    _check_xtext(text)


def _check_path(octets: bytes, *, utf8: bool, lenient: bool, postmaster: bool) -> None:
    try:
        address = parse_path(octets, utf8=utf8, lenient=lenient, postmaster=postmaster)
    except PathError as error:
        check_own_words(error.reason)
        return
    assert octets == address.raw.encode()
    assert utf8 or octets.isascii()
    assert len(octets) <= 254
    _check_address(address)
    if not lenient:
        # What the strict grammar takes, the others take and read alike.
        for other in ({"lenient": True}, {"utf8": True}, {"postmaster": True}):
            liberal = {"utf8": utf8, "postmaster": postmaster} | other
            assert parse_path(octets, **liberal) == address


def _check_address(address: Address) -> None:
    written = str(address)
    assert all(ord(letter) >= 32 and not 127 <= ord(letter) < 160 for letter in written)
    assert ">" not in written
    assert Address.parse(written) == address
    assert address.domain == address.domain.encode().lower().decode() or address.is_literal
    # Long ones can become longer when quoted, so they are read without a limit.
    again = parse_path(
        written.encode(),
        utf8=True,
        lenient=True,
        postmaster=True,
        max_local_part=1000,
        max_domain=1000,
        max_path=2000,
    )
    assert again == address
    assert str(again) == written
    assert hash(again) == hash(address)
    assert address.needs_smtputf8 is not written.isascii()


def _check_name(octets: bytes, *, lenient: bool) -> None:
    name = parse_domain(octets, lenient=lenient)
    if name is None:
        return
    assert name.encode() == octets
    assert name.isascii()
    assert " " not in name
    assert name.isprintable()


def _check_commands(octets: bytes, grammar: Grammar, *, utf8: bool) -> None:
    """Between brackets, and with all that may stand around them."""
    for line in (b"MAIL FROM:" + octets, b"RCPT TO:<" + octets + b">"):
        try:
            command = parse_command(line, grammar, utf8=utf8)
        except ValueError as error:
            check_own_words(str(error))
            continue
        assert isinstance(command, Mail | Rcpt)
        written = bytes(command)
        assert b"\r" not in written
        assert b"\n" not in written
        try:
            read = parse_command(written, grammar, utf8=utf8 or not written.isascii())
        except CommandError as error:
            # What came without quotes is written with them, and so can exceed a limit.
            if not (grammar is _LENIENT and error.reason.endswith("too long")):
                raise
        else:
            assert read == command


def _check_text(text: str) -> None:
    """Whatever an application hands in is refused, or it survives the wire."""
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert address.raw == text
    _check_address(address)
    assert Address(address.local_part, address.domain) == address


def _check_xtext(text: str) -> None:
    for decode, encode in (
        (decode_xtext, encode_xtext),
        (decode_utf8_address, encode_utf8_address),
        (decode_utf8_address, encode_unitext_address),
    ):
        try:
            encoded = encode(text)
        except ValueError:
            pass
        else:
            assert decode(encoded) == text
            assert not any(letter in encoded for letter in " +=\r\n") or "+" in encoded
        try:
            decoded = decode(text)
        except ValueError:
            continue
        assert all(ord(letter) >= 32 and ord(letter) != 127 for letter in decoded)
        assert decode(encode(decoded)) == decoded
