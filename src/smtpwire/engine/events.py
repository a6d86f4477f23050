"""What the engines tell: the events of both roles and their closed unions."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, final

from smtpwire.engine.violation import ProtocolViolation
from smtpwire.extensions import Offer
from smtpwire.sasl.questions import (
    AnonymousLogin,
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    SecretRequest,
    TokenLogin,
)
from smtpwire.wire.address import Address
from smtpwire.wire.checked import check_port, checked
from smtpwire.wire.command import (
    Auth,
    Command,
    Data,
    Expn,
    ExtensionRequest,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from smtpwire.wire.ip import one_spelling
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, field, maker, replace, value

if TYPE_CHECKING:
    from smtpwire.wire.proxy import ProxyHeader

__all__ = [
    "Aborted",
    "Authenticated",
    "AuthenticationEnded",
    "AuthenticationFailed",
    "AuthenticationOutcome",
    "BodyChunk",
    "Cause",
    "ClientEvent",
    "CloseReason",
    "Closed",
    "CommandQuestion",
    "Connected",
    "EndOfData",
    "EndOfMessage",
    "Envelope",
    "ExtensionsChanged",
    "Greeting",
    "Identity",
    "InvalidCommand",
    "MessageAborted",
    "Peer",
    "ReplyReceived",
    "ServerEvent",
    "ServiceClosing",
    "Unanswered",
]


# -- both roles


class CloseReason(Enum):
    """Why a connection ended."""

    QUIT = "quit"
    """QUIT was answered; on a client also: it was written, and the stream ended."""
    EOF = "eof"
    """The peer closed the stream."""
    TIMEOUT = "timeout"
    """The peer was too slow: ``timed_out()``."""
    SHUTDOWN = "shutdown"
    """A server that shuts down, or a 421 (RFC 5321 §3.8)."""
    REFUSED = "refused"
    """No service: the greeting was 4yz or 5yz (RFC 5321 §3.1, RFC 7504); on a client also: the
    message was refused while its body was still being sent."""
    ERRORS = "errors"
    """Too many errors, or too much of anything."""
    VIOLATION = "violation"
    """The peer attacked or broke the stream; a ProtocolViolation told how."""
    TLS_FAILED = "tls failed"
    """The handshake failed."""
    REVERSED = "reversed"
    """ATRN was accepted: ``reverse()`` gives the opposite role (RFC 2645)."""
    ABORTED = "aborted"
    """``abort()``: the transport is lost or the handler was cancelled."""


@final
@value
class Closed:
    """The last event, once: why, and the reply that said so, if any.

    ``reason``: in one word. ``error``: what was passed to ``abort()`` or ``tls_failed()``, or "".
    """

    reason: CloseReason
    reply: Reply | None = None
    error: str = ""


@final
@value(checked=True)
class Peer:
    """Who is at the other end, as far as the adapter, PROXY or XCLIENT told.

    Empty strings and 0 are "not known". ``proxy`` is the PROXY header, if there was one. IP
    addresses are in their one spelling (:func:`~smtpwire.wire.canonical_ip`), however the
    socket spells them, so that texts can be compared.
    Raises ValueError for a port beyond 65535.

    ``address``, ``port``: its own. ``name``: its host's name, ``hello``: what it said in EHLO,
    ``protocol``: SMTP or ESMTP, ``login``: who had logged in, all four as XCLIENT told.
    ``destination_address``, ``destination_port``: what the client connected to.
    """

    address: str = ""
    port: int = 0
    name: str = ""
    hello: str = ""
    protocol: str = ""
    login: str = ""
    destination_address: str = ""
    destination_port: int = 0
    proxy: ProxyHeader | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", one_spelling(self.address))
        object.__setattr__(self, "destination_address", one_spelling(self.destination_address))
        check_port("Peer.port", self.port)
        check_port("Peer.destination_port", self.destination_port)

    def behind(self, header: ProxyHeader) -> Peer:
        """The peer that the proxy at this address names; the proxy itself for LOCAL and UNKNOWN."""
        from smtpwire.wire.proxy import ProxyHeader

        header = checked("header", header, ProxyHeader)
        if header.source is None:
            return replace(self, proxy=header)
        address, port = header.source
        to_address, to_port = header.destination or ("", 0)
        return replace(
            self,
            address=address,
            port=port,
            destination_address=to_address,
            destination_port=to_port,
            proxy=header,
        )


@final
@value(checked=True)
class Envelope:
    """A transaction: MAIL and the accepted RCPTs with their parameters (RFC 5321 §2.3.1).

    ``mail``: the MAIL command. ``recipients``: the RCPT commands that were accepted, in order.
    """

    mail: Mail
    recipients: tuple[Rcpt, ...] = ()

    @property
    def reverse_path(self) -> Address | None:
        """The sender; None is the null reverse-path."""
        return self.mail.address

    @property
    def forward_paths(self) -> tuple[Address, ...]:
        """The recipients, in order, duplicates kept."""
        return tuple(rcpt.address for rcpt in self.recipients)


proven_envelope: Final = maker(Envelope)
"""Makes the Envelope of what the engine has read itself; nothing is checked."""


@final
@value
class Identity:
    """Who authenticated: the name proved, the name acted for, and how.

    ``authcid``: whose password or key it was. ``authzid``: for whom the session acts: the same
    name, unless another was claimed. ``mechanism``: its SASL name.
    """

    authcid: str
    authzid: str
    mechanism: str


# -- server


@final
@value
class Connected(Request):
    """A client has connected: greet it with 220, or refuse with 4yz, 554 or 521 (RFC 5321 §3.1).

    ``peer``: what is known of it before it has said a word.
    """

    peer: Peer


@final
@value
class CommandQuestion(Request):
    """HELP, NOOP, QUIT or RSET, where ``ServerConfig.asks`` has it: what is to be said?

    RSET has taken effect when it is asked, and its answer is 250, as is that of NOOP; HELP's is
    214, 211 or 250, and that of QUIT 221, which ends the session. HELP and NOOP may be refused. Any
    of them may be answered 421, which ends it too.

    ``command``: which one, as it was said.
    """

    command: Help | Noop | Quit | Rset


@final
@value
class BodyChunk:
    """Octets of the message's content, dot-stuffing and framing removed.

    ``data``: cut anywhere, as the octets came.
    """

    data: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"BodyChunk({len(self.data)} octets)"


@final
@value
class EndOfMessage(Request):
    """The message is complete: 2yz takes responsibility for it (RFC 5321 §6.1).

    ``size``: octets of content given as chunks. ``canonical`` is False where bare CR or LF stand
    in it, so that it must not be sent on by DATA as it is (RFC 3030 §3).

    ``envelope``: the transaction, with the recipients that were accepted.
    """

    envelope: Envelope
    size: int = 0
    canonical: bool = True


body_chunk: Final = maker(BodyChunk)
end_of_message: Final = maker(EndOfMessage)


class Aborted(Enum):
    """Why a message that was begun never became complete."""

    REFUSED = "refused"
    """The application's early verdict."""
    LIMIT = "limit"
    """Larger than ``Limits.message``."""
    CONTENT = "content"
    """Bare CR or LF in it, or a chunk that could not be framed."""
    RESET = "reset"
    """RSET or EHLO between chunks."""
    CLOSED = "closed"
    """QUIT, the end of the stream, an abort or a fatal violation."""
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"


@final
@value
class MessageAborted:
    """No more chunks will come of the message that Data opened; drop what came.

    ``reason``: in one word. ``reply``: what the client was or will be told of it; None: nothing.
    """

    reason: Aborted
    reply: Reply | None = None


@final
@value
class InvalidCommand:
    """A line that was no acceptable command; it has been answered.

    Secrets are redacted in ``line``: of one that was not understood only the verb is shown, and
    not even that where it is no plausible verb, since it may be an AUTH with a slip in it.

    ``reply``: the answer that is queued.
    """

    line: bytes
    reply: Reply


@final
@value
class Authenticated:
    """235 is queued: the session now acts for this identity.

    ``identity``: ``conn.identity``, too, from now on.
    """

    identity: Identity


@final
@value
class AuthenticationFailed:
    """An AUTH exchange failed, was cancelled or malformed; it has been answered.

    ``reason`` is for a log: why, in words that have no octet of the peer. It tells as well what
    the peer must not learn: that the secret stored for this user is of no use to the mechanism.
    ``exception``: what a mechanism of your own raised.

    ``mechanism``: its SASL name. ``reply``: the answer that is queued.
    """

    mechanism: str
    reply: Reply
    reason: str = ""
    exception: Exception | None = field(default=None, repr=False, compare=False)


ServerRequest = (
    Connected
    | Hello
    | Mail
    | Rcpt
    | Data
    | EndOfMessage
    | StartTls
    | Vrfy
    | Expn
    | ExtensionRequest
    | CommandQuestion
    | PasswordLogin
    | TokenLogin
    | ExternalLogin
    | AnonymousLogin
    | SecretRequest
    | AuthorizationRequest
)
"""Everything a server's application is asked; each is a :class:`Request`."""

ServerEvent = (
    ServerRequest
    | BodyChunk
    | MessageAborted
    | Rset
    | Noop
    | Help
    | Quit
    | InvalidCommand
    | Authenticated
    | AuthenticationFailed
    | ProtocolViolation
    | Closed
)
"""What ``ServerConnection.next_event()`` gives besides a :data:`ServerNeed`: questions, each a
:class:`Request`, and information."""


# -- client


@final
@value
class EndOfData(Command):
    """The end of a body: the final dot, or the last chunk. ``end_body()`` gives one."""

    verb = "(end of data)"

    def __bytes__(self) -> bytes:
        return b"."


@final
@value
class Greeting:
    """The server's first reply: 220, or a refusal.

    ``reply``: 220; with 4yz and 5yz there is no service (RFC 5321 §3.1).
    """

    reply: Reply


@final
@value
class ReplyReceived:
    """The reply to a command: the object that was sent.

    ``recipient`` tells whose reply it is where one command has several: after the end of the
    data in LMTP and PRDR.
    """

    command: Command
    reply: Reply
    recipient: Rcpt | None = None


reply_received: Final = maker(ReplyReceived)


class Cause(Enum):
    """Why a command has no reply of its own."""

    NOT_SENT = "not sent"
    """It was never written: what it depended on was refused, or the connection ended."""
    CLOSING = "closing"
    """The service closed with 421, or 221 out of turn: as 451 (RFC 5321 §3.8)."""
    LOST = "lost"
    """The connection ended after it was written: what became of it is unknown; for EndOfData
    that is the message's fate (RFC 5321 §4.5.3.2.6)."""


@final
@value
class Unanswered:
    """A command that ended without a reply of its own, why, and the closing reply if any.

    ``cause``: why. ``recipient``: as in :class:`ReplyReceived`.
    """

    command: Command
    cause: Cause
    reply: Reply | None = None
    recipient: Rcpt | None = None


class AuthenticationOutcome(Enum):
    """How an AUTH exchange ended, by whose doing, and by what the client may do next.

    The server's verdict (RFC 4954 §6): SUCCEEDED, FAILED, TEMPORARY, MECHANISM_REFUSED,
    UNAVAILABLE. The client's own: OBJECTED, SERVER_NOT_PROVEN. Nobody's: UNANSWERED.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """535 and the like: these credentials are not accepted."""
    TEMPORARY = "temporary"
    """454 and the like: nothing is said of the credentials; try later."""
    MECHANISM_REFUSED = "mechanism refused"
    """504, 534, 538 and the like: another mechanism may do."""
    UNAVAILABLE = "unavailable"
    """502, 503, 530: AUTH is not taken, whatever the mechanism; nothing is said of the
    credentials."""
    OBJECTED = "objected"
    """The client cancelled: a bad challenge, or a mechanism that failed; another one may do."""
    SERVER_NOT_PROVEN = "server not proven"
    """The server could not prove that it knows the password: trust nothing it says."""
    UNANSWERED = "unanswered"
    """No verdict: the connection ended first, with 421 or without a word (`Closed` tells why),
    or AUTH was never written."""


@final
@value
class AuthenticationEnded:
    """The exchange that ``authenticate()`` began has ended. ``reply`` is None where none came.

    error: what the server said of a failure inside the exchange: OAuth's JSON (RFC 7628
        §3.2.2), SCRAM's ``e=``; the peer's words.
    objection: why the client cancelled or does not believe; its own words. Then ``reply`` is
        only the answer to the cancellation.
    exception: what a mechanism of the user's own raised that was no `SaslError`.
    auth: the command that began it.
    outcome: how it ended.

    A server that says 235 to a cancellation, or without its proof, holds the client logged in:
    a fatal violation follows, and the end of the connection.
    """

    auth: Auth
    reply: Reply | None
    outcome: AuthenticationOutcome
    error: str = ""
    objection: str = ""
    exception: Exception | None = field(default=None, repr=False, compare=False)

    @property
    def reason(self) -> str:
        """The words for a failure beyond the reply's: the objection, or the server's error."""
        return self.objection or self.error


@final
@value
class ServiceClosing:
    """421 (or 221 out of turn): the server ends the connection (RFC 5321 §3.8).

    ``reply``: the server's words; ``Closed`` follows.
    """

    reply: Reply


@final
@value
class ExtensionsChanged:
    """The offer under TLS is not the one before it: ordinary, or a sign of tampering.

    ``mechanisms_differ``: the SASL mechanisms are not the same (RFC 4954 §9).

    ``before``, ``after``: the offers to EHLO in plaintext and under TLS.
    """

    before: Offer
    after: Offer
    mechanisms_differ: bool = False


ClientEvent = (
    Greeting
    | ReplyReceived
    | Unanswered
    | AuthenticationEnded
    | ServiceClosing
    | ExtensionsChanged
    | ProtocolViolation
    | Closed
)
"""What ``ClientConnection.next_event()`` gives besides a :data:`ClientNeed`; all of it is
information."""

Direction = Literal["sent", "received"]
"""For ``conn.trace``: seen from this side."""
