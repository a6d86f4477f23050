"""Grammars that several extensions share."""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar, final

from smtpwire.wire.checked import checked
from smtpwire.wire.parameter import Parameter
from smtpwire.wire.value import value

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
    if given is not True:
        raise ValueError("a parameter without a value is given as True, or left out")


def valueless(keyword: str) -> Parameter[bool]:
    """A parameter without a value: ``SMTPUTF8(True)``; with one it is malformed (501)."""
    return Parameter(keyword, _parse_valueless, _format_valueless)


@final
@value
class _Choice(Generic[E]):
    """Reads a word of an enum in either case; a value, so that parameters can be pickled."""

    choices: type[E]

    def __call__(self, raw: str | None) -> E:
        try:
            return self.choices(ascii_upper(raw or ""))
        except ValueError:
            words = ", ".join(choice.value for choice in self.choices)
            raise ValueError(f"not one of {words}") from None


@final
@value
class _Word(Generic[E]):
    """Writes a member of an enum, given itself or by its value."""

    keyword: str
    choices: type[E]

    def __call__(self, choice: E) -> str:
        text: str = checked(self.keyword, choice, self.choices).value
        return text


def one_of(keyword: str, choices: type[E]) -> Parameter[E]:
    """A parameter whose value is one of an enum's, in either case."""
    return Parameter(keyword, _Choice(choices), _Word(keyword, choices))
