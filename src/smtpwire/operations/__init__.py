"""What clients and servers do with a connection, as generators: no I/O, and no colour.

Each yields what it needs of its driver, an adapter or a test: see ``Operation`` and ``serve``.
"""

from __future__ import annotations

from smtpwire.operations.content import END_OF_CONTENT, HANDED_IN, Chunk, Content, HandingIn
from smtpwire.operations.message import (
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
from smtpwire.operations.serve import (
    Handler,
    ServeStep,
    Serving,
    Session,
    SessionFactory,
    serve,
)
from smtpwire.operations.session import authenticate, open_session, quit, reset, verify

__all__ = [
    "END_OF_CONTENT",
    "HANDED_IN",
    "AuthenticationFailed",
    "Chunk",
    "ConnectionLost",
    "Content",
    "HandingIn",
    "Handler",
    "Operation",
    "OperationNeed",
    "Recipient",
    "RecipientResult",
    "SendOptions",
    "SendResult",
    "Sender",
    "ServeStep",
    "ServiceRefused",
    "Serving",
    "Session",
    "SessionError",
    "SessionFactory",
    "Stage",
    "TlsFailed",
    "TlsRequired",
    "UnsendableError",
    "authenticate",
    "open_session",
    "quit",
    "reset",
    "send_mail",
    "serve",
    "verify",
]
