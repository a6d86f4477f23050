"""Octet-level helpers that parsers share: ASCII only, bounded, never locale- or Unicode-aware."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CONTROLS", "decode_base64", "parse_number"]

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
    """Strict base64: nothing outside the alphabet, ``=`` only at the end (RFC 4954 §4)."""
    from binascii import a2b_base64  # a library of its own, for AUTH alone

    try:
        return a2b_base64(octets, strict_mode=True)
    except ValueError:
        return None
