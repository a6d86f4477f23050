"""The replies an engine makes without being told: by kind, so that each can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import ClassVar, Final

from smtpwire.wire.reply import Reply
from smtpwire.wire.table import Table

__all__ = ["DEFAULT_REPLIES", "FIXED_CODES", "ReplyKind"]


class ReplyKind(Enum):
    """What an engine-made reply says. Their texts never hold octets of the peer."""

    GREETING = "the greeting"
    HELLO = "EHLO, HELO or LHLO accepted: the text of the first line"
    SENDER_OK = "MAIL accepted"
    RECIPIENT_OK = "RCPT accepted"
    RELAYING_DENIED = "RCPT without a decision, for a domain that is not local"
    SEND_DATA = "DATA accepted"
    CHUNK_OK = "a chunk received"
    MESSAGE_OK = "a message accepted"
    RESET = "RSET"
    NOOP = "NOOP"
    HELP = "HELP"
    GOODBYE = "QUIT"
    CANNOT_VERIFY = "VRFY without a decision"
    CANNOT_EXPAND = "EXPN without a decision, where it is offered"
    NOT_IMPLEMENTED = "a verb that is known and not implemented"
    BAD_SEQUENCE = "a command out of sequence"
    NO_RECIPIENTS = "the body without a recipient"
    BODY_FAILED = "a chunk of a transaction that has failed"
    TOO_LARGE = "over the message limit"
    TOO_MANY_RECIPIENTS = "over the recipient limit"
    TOO_MANY_MESSAGES = "over the limit of messages that LIMITS told"
    TOO_MANY_CONNECTIONS = "too many connections: in the greeting's place"
    TOO_MANY_ERRORS = "over the limit of errors"
    TOO_MANY_COMMANDS = "over the limit of junk"
    TOO_MANY_REFUSED_RECIPIENTS = "over the limit of refused recipients"
    TOO_MANY_AUTHENTICATIONS = "over the limit of failed authentications"
    BARE_LINE_END = "CR or LF alone"
    CLOSING = "a fatal violation"
    TOO_MUCH = "over the limit of what is dropped"
    EARLY_TALK = "talk before the greeting, where that is refused"
    TLS_READY = "STARTTLS accepted"
    TLS_NOT_AVAILABLE = "STARTTLS where it is not offered"
    TLS_ACTIVE = "STARTTLS under TLS, or after AUTH"
    TLS_REQUIRED = "a command that needs TLS first"
    PLAINTEXT_BEHIND_STARTTLS = "plaintext behind STARTTLS"
    AUTH_REQUIRED = "a command that needs AUTH first"
    AUTH_OK = "AUTH succeeded"
    AUTH_FAILED = "AUTH failed"
    AUTH_CANCELLED = "AUTH cancelled with *"
    AUTH_MALFORMED = "AUTH: no base64, or no message of the mechanism"
    AUTH_NO_MECHANISM = "AUTH: the mechanism is unknown or not to be used now"
    AUTH_NO_INITIAL_RESPONSE = "AUTH: an initial response for a server-first mechanism"
    AUTH_TOO_LONG = "AUTH: over-long line"
    AUTH_TROUBLE = "AUTH: no answer to be had now"
    TIMEOUT = "the peer was too slow"
    SHUTDOWN = "the service ends"
    REFUSED = "an extension's command without a decision: a default grants nothing"
    TROUBLE = "the application failed"
    RECIPIENTS_FIRST = "PRDR: a reply a recipient follows"

    # As Enum has it, but not in Python: a look-up by kind stands in the path of every command.
    __hash__: ClassVar[Callable[[object], int]] = object.__hash__


FIXED_CODES: Final = frozenset(
    {
        ReplyKind.GREETING,
        ReplyKind.HELLO,
        ReplyKind.SEND_DATA,
        ReplyKind.GOODBYE,
        ReplyKind.TLS_READY,
        ReplyKind.AUTH_OK,
        ReplyKind.RECIPIENTS_FIRST,
    }
)
"""Those whose code is the protocol's; so is every 421. Of the others the class is kept."""

DEFAULT_REPLIES: Final[Mapping[ReplyKind, Reply]] = Table(
    {
        ReplyKind.GREETING: Reply(220, "ESMTP"),
        ReplyKind.HELLO: Reply(250, ""),
        ReplyKind.SENDER_OK: Reply(250, "Sender OK", "2.1.0"),
        ReplyKind.RECIPIENT_OK: Reply(250, "Recipient OK", "2.1.5"),
        ReplyKind.RELAYING_DENIED: Reply(550, "Relaying denied", "5.7.1"),
        ReplyKind.SEND_DATA: Reply(354, "Go ahead"),
        ReplyKind.CHUNK_OK: Reply(250, "Octets received", "2.0.0"),
        ReplyKind.MESSAGE_OK: Reply(250, "Message accepted", "2.0.0"),
        ReplyKind.RESET: Reply(250, "OK", "2.0.0"),
        ReplyKind.NOOP: Reply(250, "OK", "2.0.0"),
        ReplyKind.HELP: Reply(214, "See RFC 5321", "2.0.0"),
        ReplyKind.GOODBYE: Reply(221, "Goodbye", "2.0.0"),
        # RFC 5321 §7.3: a disabled VRFY is 252.
        ReplyKind.CANNOT_VERIFY: Reply(252, "Cannot verify, will take the message", "2.5.0"),
        # RFC 5321 §4.2.4: what is offered is never 502.
        ReplyKind.CANNOT_EXPAND: Reply(550, "Mailing list expansion prohibited", "5.7.2"),
        ReplyKind.NOT_IMPLEMENTED: Reply(502, "Command not implemented", "5.5.1"),
        ReplyKind.BAD_SEQUENCE: Reply(503, "Bad sequence of commands", "5.5.1"),
        ReplyKind.NO_RECIPIENTS: Reply(503, "No recipients", "5.5.1"),
        ReplyKind.BODY_FAILED: Reply(503, "The transaction has failed, send RSET", "5.5.1"),
        ReplyKind.TOO_LARGE: Reply(552, "Message too large", "5.3.4"),
        ReplyKind.TOO_MANY_RECIPIENTS: Reply(452, "Too many recipients", "4.5.3"),
        ReplyKind.TOO_MANY_MESSAGES: Reply(452, "Too many messages in this session", "4.5.3"),
        ReplyKind.TOO_MANY_CONNECTIONS: Reply(421, "Too many connections", "4.3.2"),
        ReplyKind.TOO_MANY_ERRORS: Reply(421, "Too many errors", "4.7.0"),
        ReplyKind.TOO_MANY_COMMANDS: Reply(421, "Too many commands without a message", "4.7.0"),
        ReplyKind.TOO_MANY_REFUSED_RECIPIENTS: Reply(421, "Too many recipients refused", "4.7.0"),
        ReplyKind.TOO_MANY_AUTHENTICATIONS: Reply(421, "Too many failed authentications", "4.7.0"),
        ReplyKind.BARE_LINE_END: Reply(554, "Bare CR or LF in the message", "5.6.0"),
        ReplyKind.CLOSING: Reply(421, "Protocol violation", "4.7.0"),
        ReplyKind.TOO_MUCH: Reply(421, "Too much data", "4.3.4"),
        ReplyKind.EARLY_TALK: Reply(554, "Talk after the greeting", "5.5.1"),
        ReplyKind.TLS_READY: Reply(220, "Ready to start TLS", "2.0.0"),
        ReplyKind.TLS_NOT_AVAILABLE: Reply(502, "TLS not available", "5.5.1"),
        ReplyKind.TLS_ACTIVE: Reply(503, "STARTTLS not possible now", "5.5.1"),
        ReplyKind.TLS_REQUIRED: Reply(530, "Must issue a STARTTLS command first", "5.7.0"),
        ReplyKind.PLAINTEXT_BEHIND_STARTTLS: Reply(554, "Commands behind STARTTLS", "5.5.1"),
        ReplyKind.AUTH_REQUIRED: Reply(530, "Authentication required", "5.7.0"),
        ReplyKind.AUTH_OK: Reply(235, "Authentication succeeded", "2.7.0"),
        ReplyKind.AUTH_FAILED: Reply(535, "Authentication credentials invalid", "5.7.8"),
        ReplyKind.AUTH_CANCELLED: Reply(501, "Authentication cancelled", "5.7.0"),
        ReplyKind.AUTH_MALFORMED: Reply(501, "Cannot read the response", "5.5.2"),
        ReplyKind.AUTH_NO_MECHANISM: Reply(504, "Mechanism not available", "5.5.4"),
        ReplyKind.AUTH_NO_INITIAL_RESPONSE: Reply(
            501, "This mechanism takes no initial response", "5.7.0"
        ),
        ReplyKind.AUTH_TOO_LONG: Reply(500, "Authentication line too long", "5.5.6"),
        ReplyKind.AUTH_TROUBLE: Reply(454, "Temporary authentication failure", "4.7.0"),
        ReplyKind.TIMEOUT: Reply(421, "Timeout", "4.4.2"),
        ReplyKind.SHUTDOWN: Reply(421, "Service shutting down", "4.3.2"),
        ReplyKind.REFUSED: Reply(550, "Not permitted", "5.7.1"),
        ReplyKind.TROUBLE: Reply(451, "Local error in processing", "4.3.0"),
        ReplyKind.RECIPIENTS_FIRST: Reply(353, "A reply a recipient follows"),
    }
)
"""What a server says by itself, where ``ServerConfig.replies`` says nothing else."""
