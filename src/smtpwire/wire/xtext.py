"""Text in a parameter's value: xtext, and the two forms of a UTF-8 address.

xtext writes printable ASCII as it is and the rest as ``+HH`` (RFC 3461 §4). An address of type
``utf-8`` writes what it may not contain as ``\\x{HEX}`` (RFC 6533 §3): everything beyond ASCII in
utf-8-addr-xtext, for servers without SMTPUTF8; nothing beyond ASCII in utf-8-addr-unitext.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "decode_utf8_address",
    "decode_xtext",
    "encode_unitext_address",
    "encode_utf8_address",
    "encode_xtext",
]

# xchar: "!" to "~" less "+" and "="; hexchar: "+" and two digits, upper case. RFC 3461 §4.
_XTEXT: Final = r"(?:[!-*,-<>-~]++|\+[2-7][0-9A-F])*"
_HEXCHAR: Final = r"\+([0-9A-F]{2})"
_TO_ENCODE: Final = r"[ +=]"
_PRINTABLE: Final = r"[ -~]*+"


def decode_xtext(text: str) -> str:
    """The text that ``text`` encodes; it is printable US-ASCII (RFC 3461 §4.2, §4.4).

    Raises ValueError where it is no xtext, or encodes anything else, such as a line end.
    """
    if re.fullmatch(_XTEXT, text) is None or "+7F" in text:
        raise ValueError("not xtext of printable ASCII (RFC 3461 §4)")
    return re.sub(_HEXCHAR, lambda found: chr(int(found[1], 16)), text) if "+" in text else text


def encode_xtext(text: str) -> str:
    """The inverse of :func:`decode_xtext`; ValueError where ``text`` is not printable ASCII."""
    if re.fullmatch(_PRINTABLE, text) is None:
        raise ValueError("xtext encodes printable ASCII only (RFC 3461 §4)")
    return re.sub(_TO_ENCODE, lambda found: f"+{ord(found[0]):02X}", text)


# HEXPOINT, two to six digits, upper case: no leading zero where there are more than two, no
# surrogate. Two digits are for what may not stand for itself. RFC 6533 §3. It allows controls
# too: an address has no control (RFC 6531 §3.3), and a line end must not come out of here.
_HEXPOINT: Final = (
    "20|2B|3D|5C|[89A-F][0-9A-F]"
    "|[1-9A-F][0-9A-F]{2}"
    "|(?:[1-9ABCEF][0-9A-F]|D[0-7])[0-9A-F]{2}"
    "|[1-9A-F][0-9A-F]{4}"
    "|10[0-9A-F]{4}"
)
_EMBEDDED: Final = r"\\x\{([0-9A-F]{2,6})\}"
# QCHAR, and for unitext everything beyond ASCII except lone surrogates.
# Compiled when first used, as all that is rarely met: re keeps it.
_UTF8_ADDRESS: Final = (
    r"(?:[!-*,-<>-\[\]-~\x80-\ud7ff\ue000-\U0010ffff]++|\\x\{(?:" + _HEXPOINT + r")\})+"
)
_ADDRESS: Final = r"[ -~\x80-\ud7ff\ue000-\U0010ffff]++"
_NOT_QCHAR: Final = r"[^!-*,-<>-\[\]-~]"
_NOT_QUCHAR: Final = r"[ +=\\]"


def decode_utf8_address(text: str) -> str:
    """The address that utf-8-addr-xtext or utf-8-addr-unitext encodes (RFC 6533 §3).

    Whether it is an address, and whether ``text`` may go beyond ASCII here, is not looked at.

    Raises ValueError where it is neither, or encodes a control.
    """
    if re.fullmatch(_UTF8_ADDRESS, text) is None:
        raise ValueError("not an encoded UTF-8 address (RFC 6533 §3)")
    return re.sub(_EMBEDDED, lambda found: chr(int(found[1], 16)), text)


def encode_utf8_address(address: str) -> str:
    """utf-8-addr-xtext: all ASCII, for any server (RFC 6533 §3).

    Raises ValueError where ``address`` is empty or has a control or a lone surrogate.
    """
    return _embed(_NOT_QCHAR, address)


def encode_unitext_address(address: str) -> str:
    """utf-8-addr-unitext: for servers which offer SMTPUTF8 (RFC 6533 §3).

    Raises ValueError where ``address`` is empty or has a control or a lone surrogate.
    """
    return _embed(_NOT_QUCHAR, address)


def _embed(characters: str, address: str) -> str:
    if re.fullmatch(_ADDRESS, address) is None:
        raise ValueError("an address is not empty and has no controls (RFC 6531 §3.3)")
    return re.sub(characters, lambda found: f"\\x{{{ord(found[0]):02X}}}", address)
