"""The client's engine: its connection, and the parts it is made of."""

from __future__ import annotations

from smtpwire.engine.client.connection import ClientConnection

__all__ = ["ClientConnection"]
