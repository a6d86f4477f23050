"""What is public: the names in `smtpwire.__all__`, and those in `__all__` of the modules among them.

`public.txt` lists them, so that a change of the list is seen; run this file to write it anew.
"""

import inspect
from pathlib import Path
from types import ModuleType
from typing import Final

import smtpwire

__all__ = ["LIST", "listing", "members", "public_modules"]

LIST: Final = Path(__file__).with_name("public.txt")


def public_modules(module: ModuleType = smtpwire) -> list[ModuleType]:
    """The package, and every module that it or a public module of it names."""
    found = [module]
    for each in found:
        named = [item for _, item in members(each) if inspect.ismodule(item)]
        found += [item for item in named if item not in found]
    return sorted(found, key=lambda each: each.__name__)


def members(module: ModuleType) -> list[tuple[str, object]]:
    """The public names of a module, with what they are."""
    return [(name, getattr(module, name)) for name in sorted(vars(module)["__all__"])]


def listing() -> str:
    """Each public module with its names."""
    return "\n".join(
        "\n".join((module.__name__, *(f"    {name}" for name, _ in members(module)))) + "\n"
        for module in public_modules()
    )


if __name__ == "__main__":
    LIST.write_text(listing())
