"""For tests of programs that speak SMTP, and for the engine's own.

Without sockets: :func:`every_split` cuts octets in every way that matters, :func:`drain` pulls an
engine's events, :class:`ConnectionPair` joins a client and a server in memory, and a
:class:`Script` plays either role from a transcript.

With sockets, at loopback: ``Script.listen()`` and ``Script.connect()``, and :func:`sink`, a server
that collects what it is sent. :func:`certificate` makes a certificate for the test.

A name is loaded when it is first used: sockets with ``sink`` or when a script opens one, TLS where
it is wanted.

.. include:: README.md
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smtpwire.testing.certificates import Certificate, certificate
    from smtpwire.testing.collector import ReceivedMessage, Sink, sink
    from smtpwire.testing.pair import SIMULATED_TLS, ConnectionPair, drain, every_split
    from smtpwire.testing.script import Script, ScriptDiffers

__all__ = [
    "SIMULATED_TLS",
    "Certificate",
    "ConnectionPair",
    "ReceivedMessage",
    "Script",
    "ScriptDiffers",
    "Sink",
    "certificate",
    "drain",
    "every_split",
    "sink",
]

_HOMES: Final = {
    "certificates": "Certificate certificate",
    "collector": "ReceivedMessage Sink sink",
    "pair": "SIMULATED_TLS ConnectionPair drain every_split",
    "script": "Script ScriptDiffers",
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names.split():
            found: object = getattr(import_module(f"smtpwire.testing.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'smtpwire.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
