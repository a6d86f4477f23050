"""Runs one target under atheris: ``python -m fuzz.harness TARGET [libFuzzer's arguments]``."""

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, cast

__all__ = ["fuzz"]


class Atheris(Protocol):
    """What is used of atheris, which comes without types."""

    def instrument_imports(self, include: list[str]) -> AbstractContextManager[None]:
        """Watch the branches of what is imported inside."""

    def Setup(self, arguments: list[str], target: Callable[[bytes], None]) -> list[str]:  # noqa: N802
        """Take libFuzzer's arguments and the target."""

    def Fuzz(self) -> None:  # noqa: N802
        """Run; does not return."""


def fuzz(target: str, arguments: list[str]) -> None:
    """Run a target until libFuzzer has done; it ends the process."""
    atheris = cast(Atheris, importlib.import_module("atheris"))
    # The targets are watched, too: what an oracle compares is worth a look.
    with atheris.instrument_imports(include=["smtpwire", "fuzz"]):
        module = importlib.import_module(f"fuzz.targets.{target}")
    check: Callable[[bytes], None] = module.check
    atheris.Setup([target, *arguments], check)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], sys.argv[2:])
