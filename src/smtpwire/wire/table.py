"""Tables that the package publishes: mappings that nobody changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar, final

__all__ = ["Table"]

K = TypeVar("K")
V = TypeVar("V")


@final
class Table(dict[K, V]):
    """A dict that stays as it was made; unlike ``MappingProxyType`` it can be copied and pickled.

    Changing it raises TypeError: ``table[key] = …``, ``clear``, ``pop``, ``popitem``,
    ``setdefault``, ``update``. ``dict(table)`` can be changed.
    """

    __slots__ = ()

    def _refuse(self, *arguments: object, **given: object) -> NoReturn:
        """Refused: raises TypeError."""
        raise TypeError("this table cannot be changed: make a dict of it")

    __setitem__: Callable[..., NoReturn] = _refuse
    __delitem__: Callable[..., NoReturn] = _refuse
    __ior__: Callable[..., NoReturn] = _refuse
    clear: Callable[..., NoReturn] = _refuse
    pop: Callable[..., NoReturn] = _refuse
    popitem: Callable[..., NoReturn] = _refuse
    setdefault: Callable[..., NoReturn] = _refuse
    update: Callable[..., NoReturn] = _refuse

    def __reduce__(self) -> tuple[type[Table[K, V]], tuple[dict[K, V]]]:
        return Table, (dict(self),)
