"""Grammars that several extensions share."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from smtpwire.wire.parameter import Parameter

__all__ = ["ascii_upper", "one_of", "valueless"]

E = TypeVar("E", bound=Enum)


def ascii_upper(text: str) -> str:
    """The text in upper case where it is ASCII, else as it is.

    ``"ſ".upper()`` is S: a word of the protocol would be found where none stands.
    """
    return text.upper() if text.isascii() else text


def _parse_valueless(raw: str | None) -> bool:
    if raw is not None:
        raise ValueError("takes no value")
    return True


def _format_valueless(given: bool) -> None:
    if not given:
        raise ValueError("a parameter not wanted is left out")


def valueless(keyword: str) -> Parameter[bool]:
    """A parameter without a value: ``SMTPUTF8(True)``; with one it is malformed (501)."""
    return Parameter(keyword, _parse_valueless, _format_valueless)


def one_of(keyword: str, choices: type[E]) -> Parameter[E]:
    """A parameter whose value is one of an enum's, in either case."""
    by_value: dict[str, E] = {choice.value: choice for choice in choices}

    def parse(raw: str | None) -> E:
        choice = by_value.get(ascii_upper(raw or ""))
        if choice is None:
            raise ValueError(f"not one of {', '.join(by_value)}")
        return choice

    def write(choice: E) -> str:
        text: str = choice.value
        return text

    return Parameter(keyword, parse, write)
