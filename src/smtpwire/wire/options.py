"""Options by keyword that a TypedDict names: ``inspect.signature()`` and ``help()`` show each.

To them ``**options: Unpack[SendOptions]`` is one parameter without names; type checkers see more.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeVar, final, get_args, get_type_hints

if TYPE_CHECKING:
    from inspect import Signature

__all__ = ["shows_options"]

F = TypeVar("F", bound=Callable[..., object])


def shows_options(options: type) -> Callable[[F], F]:
    """Decorate a function whose ``**`` parameter is this TypedDict; it is called as it stands."""

    def mark(function: F) -> F:
        vars(function)["__wrapped__"] = _Shown(function, options)
        return function

    return mark


@final
class _Shown:
    """What ``inspect`` finds behind ``__wrapped__``. The signature is made when it is asked for."""

    __slots__ = ("__globals__", "_function", "_options")

    def __init__(self, function: Callable[..., object], options: type) -> None:
        written: Any = function
        self._function: Final = function
        self._options: Final = options
        self.__globals__: Final[dict[str, object]] = written.__globals__  # for get_type_hints()

    @property
    def __signature__(self) -> Signature:
        from inspect import Parameter, Signature

        own = Signature.from_callable(self._function, follow_wrapped=False)
        named = [item for item in own.parameters.values() if item.kind is not item.VAR_KEYWORD]
        named += [
            Parameter(name, Parameter.KEYWORD_ONLY, default=_default(kind), annotation=kind)
            for name, kind in get_type_hints(self._options).items()
        ]
        return own.replace(parameters=named)


def _default(kind: Any) -> object:
    """What an option that is not given means: None where it may be None, else nothing of it."""
    return None if NoneType in get_args(kind) else kind()
