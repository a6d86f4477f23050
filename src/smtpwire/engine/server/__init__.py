"""The server's side of SMTP: :class:`ServerConnection`, and the parts it is made of."""

from __future__ import annotations

from smtpwire.engine.server.connection import ServerConnection

__all__ = ["ServerConnection"]
