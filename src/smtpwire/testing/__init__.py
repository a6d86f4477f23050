"""For tests of programs that embed the engine, and for the engine's own: no sockets needed."""

from __future__ import annotations

from smtpwire.testing.pair import SIMULATED_TLS, ConnectionPair, drain, every_split

__all__ = ["SIMULATED_TLS", "ConnectionPair", "drain", "every_split"]
