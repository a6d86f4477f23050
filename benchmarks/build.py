"""Which Python measures, and which build of the package: a goal holds for one of them."""

import os
import platform
import sys
import sysconfig
from dataclasses import dataclass

import smtpwire.engine.server.connection as busiest

__all__ = ["Build", "this_build"]

_FLAGS = ("--enable-optimizations", "--with-lto", "--with-pydebug")
# Debian's and Ubuntu's rules call "make profile-opt" themselves, so that no flag tells of it; this
# one is theirs alone.
_DEBIAN = "--with-wheel-pkg-dir=/usr/share/python-wheels"


@dataclass(frozen=True, slots=True)
class Build:
    """The interpreter, how it was built, and whether the package's busiest modules are compiled."""

    python: str
    executable: str
    flags: str
    optimised: bool
    compiled: bool

    @property
    def is_reference(self) -> bool:
        """Whether it is what the goals were set for: an optimised CPython 3.11."""
        return self.optimised and self.python.startswith("CPython 3.11.")

    def __str__(self) -> str:
        package = "compiled by mypyc" if self.compiled else "pure"
        return f"{self.python} ({self.executable}), built with {self.flags}; smtpwire is {package}"

    @property
    def remark(self) -> str:
        """What to know of its figures; empty for the reference."""
        if not self.optimised:
            return "Not the reference: a Python built without optimisation, so no goal holds."
        return "" if self.is_reference else "Not the reference, CPython 3.11: no goal holds."


def this_build() -> Build:
    """The one that runs."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    flags = [flag for flag in _FLAGS if flag in arguments]
    if _DEBIAN in arguments:
        flags.append("Debian's rules: profile and link-time optimisation")
    return Build(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=os.path.realpath(sys.executable),
        flags=", ".join(flags) or "no optimisation",
        optimised="--enable-optimizations" in arguments or _DEBIAN in arguments,
        compiled=not (busiest.__file__ or "").endswith(".py"),
    )
