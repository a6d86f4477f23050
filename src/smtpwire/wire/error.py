"""What the package's errors have in common."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["reduced"]

E = TypeVar("E", bound=BaseException)


def reduced(error: BaseException) -> tuple[object, ...]:
    """For ``__reduce__`` of an error whose constructor does not take its own ``args``.

    Python's own calls the constructor with them, which breaks copies, pickles and process pools.
    """
    return _remade, (type(error), error.args), error.__dict__


def _remade(cls: type[E], args: tuple[object, ...]) -> E:
    return cls.__new__(cls, *args)
