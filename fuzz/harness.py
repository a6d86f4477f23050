"""Runs one target under atheris: ``python -m fuzz.harness TARGET [libFuzzer's arguments]``."""

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, cast

__all__ = ["fuzz"]


class Mutate(Protocol):
    """Gives an input that follows from another: its octets, the most octets, a seed."""

    def __call__(self, data: bytes, longest: int, seed: int, /) -> bytes: ...


class Atheris(Protocol):
    """What is used of atheris, which comes without types."""

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]:
        """Watch the branches of what is imported inside."""

    def Setup(  # noqa: N802
        self,
        arguments: list[str],
        target: Callable[[bytes], None],
        *,
        custom_mutator: Mutate | None = None,
    ) -> list[str]:
        """Take libFuzzer's arguments, the target and what changes inputs."""

    def Mutate(self, data: bytes, longest: int, /) -> bytes:  # noqa: N802
        """Change an input as libFuzzer does."""

    def Fuzz(self) -> None:  # noqa: N802
        """Run; does not return."""


def fuzz(target: str, arguments: list[str]) -> None:
    """Run a target until libFuzzer has done; it ends the process."""
    atheris = cast(Atheris, importlib.import_module("atheris"))
    with atheris.instrument_imports(include=["smtpwire"]):
        importlib.import_module(f"fuzz.targets.{target}")
    from fuzz.mutator import MUTATORS
    from fuzz.targets import sampled

    check = sampled(target)
    mutator = MUTATORS.get(target)
    if mutator is None:
        atheris.Setup([target, *arguments], check)
    else:
        known = mutator

        def mutate(data: bytes, longest: int, seed: int) -> bytes:
            return known(data, longest, seed, atheris.Mutate)

        atheris.Setup([target, *arguments], check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], sys.argv[2:])
