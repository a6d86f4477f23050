"""Tables that the package publishes: mappings that nobody changes."""

from __future__ import annotations

from typing import NoReturn, TypeVar, final

__all__ = ["Table"]

K = TypeVar("K")
V = TypeVar("V")


@final
class Table(dict[K, V]):
    """A dict that stays as it was made; unlike ``MappingProxyType`` it can be copied and pickled.

    Changing it raises TypeError.
    """

    __slots__ = ()

    def _refuse(self, *arguments: object, **given: object) -> NoReturn:
        raise TypeError("this table cannot be changed: make a dict of it")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[Table[K, V]], tuple[dict[K, V]]]:
        return Table, (dict(self),)
