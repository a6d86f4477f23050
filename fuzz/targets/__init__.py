"""The targets. Each module has ``check(data)``: whatever it raises is a finding.

One that is slow has ``quick(data)``, too: a part of its oracles, for nearly all inputs of a run.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final
from zlib import crc32

__all__ = ["SAMPLED", "TARGETS", "load", "sampled"]

TARGETS: Final = (
    "server_bytes",
    "client_bytes",
    "session",
    "replies",
    "addresses",
    "parameters",
    "body",
    "scan",
    "sasl_server",
    "sasl_client",
    "proxy",
    "transcripts",
    "scripts",
    "doors",
    "credentials",
    "received",
)

SAMPLED: Final = 64
"""One input of so many meets all oracles of a slow target; what is new meets them in the end."""


def load(name: str) -> Callable[[bytes], None]:
    """A target's ``check``."""
    check: Callable[[bytes], None] = import_module(f"fuzz.targets.{name}").check
    return check


def sampled(name: str) -> Callable[[bytes], None]:
    """What a run of a target calls: ``quick`` where there is one, and ``check`` now and then."""
    check = load(name)
    quick: Callable[[bytes], None] | None
    quick = getattr(import_module(f"fuzz.targets.{name}"), "quick", None)
    if quick is None:
        return check

    def either(data: bytes) -> None:
        (quick if crc32(data) % SAMPLED else check)(data)

    return either
