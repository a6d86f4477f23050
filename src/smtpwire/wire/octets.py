"""Octet-level helpers that parsers share: ASCII only, bounded, never locale- or Unicode-aware."""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Final, cast

__all__ = ["CONTROLS", "decode_base64", "is_buffer", "octets_of", "parse_number"]

_OCTETS: Final = ("B", "b", "c")  # how memoryview names items of one octet
_DIGITS: Final = re.compile(r"[0-9]{1,20}")

CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
"""C0 controls and DEL, in text an application hands in."""


def parse_number(text: str, least: int = 0, most: int = 10**20 - 1) -> int:
    """The number that 1 to 20 ASCII digits spell.

    ``int`` alone would take ``1_0``, ``+1``, blanks and digits of other scripts.

    Raises ValueError for anything else and outside least … most.
    """
    if _DIGITS.fullmatch(text) is None:
        raise ValueError("not a number of 1 to 20 digits")
    number = int(text)
    if not least <= number <= most:
        raise ValueError(f"not between {least} and {most}")
    return number


def decode_base64(octets: bytes) -> bytes | None:
    """Strict base64: groups of four, all in the alphabet, ``=`` only at the end (RFC 4954 §8)."""
    if len(octets) % 4 or octets.endswith(b"==="):  # up to 3.12 binascii takes more "=" at the end
        return None
    try:
        return a2b_base64(octets, strict_mode=True)
    except ValueError:
        return None


def is_buffer(data: object) -> bool:
    """Whether it gives its memory as octets or other items: bytes, bytearray, memoryview, array."""
    if isinstance(data, bytes):
        return True
    try:
        memoryview(cast(bytes, data)).release()
    except TypeError:
        return False
    return True


def octets_of(data: object, name: str = "chunk") -> bytes:
    """The octets of bytes, bytearray, memoryview or another buffer of octets.

    ``bytes()`` alone would make NULs of a number, and wider items of others.

    Raises TypeError for anything else, by the argument's ``name``.
    """
    if type(data) is bytes:
        return data
    if not is_buffer(data):
        raise TypeError(f"{name} is of {type(data).__name__}: pass bytes")
    view = memoryview(cast(bytes, data))
    if view.format not in _OCTETS:
        raise TypeError(f"{name} has items of format {view.format!r}: pass bytes")
    return view.tobytes()
