"""The one decorator of the house's values: commands, events, replies, addresses."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

__all__ = ["Request", "value"]

C = TypeVar("C")


@dataclass_transform(frozen_default=True)
def value(cls: type[C]) -> type[C]:
    """Make a class a frozen, slotted dataclass with equality by value.

    Write ``@final`` above it: type checkers see finality only where it stands.
    """
    return dataclass(frozen=True, slots=True)(cls)


class Request:
    """The mark of a question: an event that owes the peer an answer.

    Each one is a fresh object, so that identity tells which question an answer is for.
    """

    __slots__ = ()
