"""xtext: printable ASCII in a parameter's value, the rest as ``+HH`` (RFC 3461 §4)."""

import re
from typing import Final

__all__ = ["decode_xtext", "encode_xtext"]

# xchar: "!" to "~" less "+" and "="; hexchar: "+" and two digits, upper case. RFC 3461 §4.
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[2-7][0-9A-F])*+")
_HEXCHAR: Final = re.compile(r"\+([0-9A-F]{2})")
_TO_ENCODE: Final = re.compile(r"[ +=]")
_PRINTABLE: Final = re.compile(r"[ -~]*+")


def decode_xtext(text: str) -> str:
    """The text that ``text`` encodes; it is printable US-ASCII (RFC 3461 §4.2, §4.4).

    Raises ValueError where it is no xtext, or encodes anything else, such as a line end.
    """
    if _XTEXT.fullmatch(text) is None or "+7F" in text:
        raise ValueError("not xtext of printable ASCII (RFC 3461 §4)")
    return _HEXCHAR.sub(lambda found: chr(int(found[1], 16)), text) if "+" in text else text


def encode_xtext(text: str) -> str:
    """The inverse of :func:`decode_xtext`; ValueError where ``text`` is not printable ASCII."""
    if _PRINTABLE.fullmatch(text) is None:
        raise ValueError("xtext encodes printable ASCII only (RFC 3461 §4)")
    return _TO_ENCODE.sub(lambda found: f"+{ord(found[0]):02X}", text)
