"""The targets. Each module has ``check(data)``: whatever it raises is a finding."""

from collections.abc import Callable
from importlib import import_module
from typing import Final

__all__ = ["TARGETS", "load"]

TARGETS: Final = (
    "server_bytes",
    "client_bytes",
    "session",
    "replies",
    "addresses",
    "parameters",
    "body",
    "sasl_server",
    "sasl_client",
    "proxy",
)


def load(name: str) -> Callable[[bytes], None]:
    """A target's ``check``."""
    check: Callable[[bytes], None] = import_module(f"fuzz.targets.{name}").check
    return check
