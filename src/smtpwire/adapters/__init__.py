"""The only code here that does I/O: an engine at a socket, for plain sockets, asyncio and trio.

``smtpwire.adapters.asyncio``, ``.blocking`` and ``.trio`` each have ``start_server()`` and
``connect()``; ``.tls`` has what they share about TLS, and ``.memory_tls`` TLS for an adapter of
your own. Each is loaded when it is first used.

.. include:: README.md
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smtpwire.adapters import asyncio, blocking, memory_tls, tls, trio

__all__ = ["asyncio", "blocking", "memory_tls", "tls", "trio"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return import_module(f"smtpwire.adapters.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Without trio where that package is not there: what is listed can be had."""
    from importlib.util import find_spec

    return [name for name in __all__ if name != "trio" or find_spec("trio")]
