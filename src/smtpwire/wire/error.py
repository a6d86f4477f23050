"""The base of every error that the package raises on purpose."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["SmtpwireError"]

E = TypeVar("E", bound=BaseException)


class SmtpwireError(Exception):
    """Everything that the package raises on purpose, but for a mistake in an argument.

    An argument of a wrong type or value is a TypeError or a ValueError. Some kinds of this error
    are a ValueError too, where they say that a text or a message is no good one.
    """

    def __reduce__(self) -> tuple[object, ...]:
        # Python's own calls the constructor with args, which are not what a constructor here takes.
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(cls: type[E], args: tuple[object, ...]) -> E:
    return cls.__new__(cls, *args)
