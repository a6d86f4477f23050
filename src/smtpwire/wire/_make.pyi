from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C")

def make(made: Callable[..., C], slots: tuple[object, ...], /, *values: object) -> C: ...
