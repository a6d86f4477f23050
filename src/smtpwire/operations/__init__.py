"""What a client does with a connection, as generators: no I/O, and no colour.

Each operation yields what it needs of its driver, an adapter or a test: see ``Operation``.
"""

from __future__ import annotations

from smtpwire.operations.message import (
    Content,
    Recipient,
    Sender,
    SendOptions,
    UnsendableError,
)
from smtpwire.operations.operation import (
    AuthenticationFailed,
    ConnectionLost,
    Operation,
    OperationNeed,
    ServiceRefused,
    SessionError,
    Stage,
    TlsFailed,
    TlsRequired,
)
from smtpwire.operations.send import RecipientResult, SendResult, send_mail
from smtpwire.operations.session import open_session, quit, reset, verify

__all__ = [
    "AuthenticationFailed",
    "ConnectionLost",
    "Content",
    "Operation",
    "OperationNeed",
    "Recipient",
    "RecipientResult",
    "SendOptions",
    "SendResult",
    "Sender",
    "ServiceRefused",
    "SessionError",
    "Stage",
    "TlsFailed",
    "TlsRequired",
    "UnsendableError",
    "open_session",
    "quit",
    "reset",
    "send_mail",
    "verify",
]
