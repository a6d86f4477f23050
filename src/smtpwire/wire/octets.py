"""Octet-level helpers that parsers share: ASCII only, bounded, never locale- or Unicode-aware."""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Final, cast

__all__ = ["CONTROLS", "UNSEEN", "decode_base64", "is_buffer", "octets_of", "parse_number"]

_OCTETS: Final = ("B", "b", "c")  # how memoryview names items of one octet
_DIGITS: Final = re.compile(r"[0-9]{1,20}")

CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
"""C0 controls and DEL, in text an application hands in."""

# Compiled when first used: re keeps it.
UNSEEN: Final = (
    "[\0-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f"
    "\u2028-\u202f\u205f-\u2064\u2066-\u206f\u3000\ud800-\uf8ff\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
    "\U000f0000-\U000ffffd\U00100000-\U0010fffd]"
)
"""What a terminal does not show as itself: controls, format characters, surrogates, blanks but " ",
private use (categories C? but Cn, and Z? of Unicode 16).

``str.isprintable()`` alone says no to what was assigned after the Unicode of this Python, so that
what one Python wrote another would not read. What it says yes to, has none of these.
"""


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
