"""Content whose line ends have been looked at: for this package's operations, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpwire.engine.errors import LocalProtocolError

if TYPE_CHECKING:
    from smtpwire.engine.client.connection import ClientConnection

__all__ = ["send_canonical"]


def send_canonical(conn: ClientConnection, chunk: bytes) -> None:
    """The same as ``conn.send_body()``, where all of the content has been looked through before.

    Each CR and LF of the content, of which this is a part, belongs to a CRLF. Were that wrong, a
    message could smuggle another one past a lax server.

    Not compiled: an operation may drive what only looks like a connection.
    """
    session = conn._session
    if session.body is None:
        raise LocalProtocolError("no body is open")
    session.body.send(chunk, True)
    session.pipeline.progress += 1
