"""What clients and servers do with a connection, as generators: no I/O, and no colour.

Each yields what it needs of its driver, an adapter or a test: see ``Operation`` and ``serve``.

An operation of your own is a generator of ``ask()``, which sends a command and waits for its reply,
``advance()``, which waits for the next event, and of other such generators. ``alone()`` around it
gives it the connection for as long as it runs, and every client's ``run()`` drives it::

    def expand(conn: ClientConnection, lists: Iterable[str]) -> Operation[dict[str, Reply]]:
        return alone(conn, _expand(conn, lists))

    def _expand(conn: ClientConnection, lists: Iterable[str]) -> Operation[dict[str, Reply]]:
        replies = {}
        for name in lists:
            replies[name] = yield from ask(conn, Expn(name))
        return replies

    client.run(expand(client.conn, ["staff", "friends"]))

For one command there is ``command()``. What follows an event that nobody waits for is lost to the
operation, not to the engine: replies are matched to commands by the engine itself.

.. include:: README.md
"""

from __future__ import annotations

from smtpwire.operations.content import END_OF_CONTENT, HANDED_IN, Chunk, Content, HandingIn
from smtpwire.operations.email_message import send_message
from smtpwire.operations.message import (
    MessageOptions,
    Recipient,
    Sender,
    SendOptions,
    UnsendableError,
)
from smtpwire.operations.operation import (
    ConnectionLost,
    LoginFailed,
    Operation,
    OperationNeed,
    ServiceRefused,
    SessionError,
    Stage,
    TlsFailed,
    TlsRequired,
    advance,
    alone,
    ask,
)
from smtpwire.operations.result import MessageRefused, RecipientResult, SendResult
from smtpwire.operations.send import send_mail
from smtpwire.operations.send_many import MailObject, SendingStopped, send_many
from smtpwire.operations.serve import (
    Handler,
    ServeStep,
    Serving,
    Session,
    SessionFactory,
    serve,
)
from smtpwire.operations.session import (
    authenticate,
    command,
    open_session,
    quit,
    reset,
    verify,
)

__all__ = [
    "END_OF_CONTENT",
    "HANDED_IN",
    "Chunk",
    "ConnectionLost",
    "Content",
    "HandingIn",
    "Handler",
    "LoginFailed",
    "MailObject",
    "MessageOptions",
    "MessageRefused",
    "Operation",
    "OperationNeed",
    "Recipient",
    "RecipientResult",
    "SendOptions",
    "SendResult",
    "Sender",
    "SendingStopped",
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
    "advance",
    "alone",
    "ask",
    "authenticate",
    "command",
    "open_session",
    "quit",
    "reset",
    "send_mail",
    "send_many",
    "send_message",
    "serve",
    "verify",
]
