"""The server's side of a connection: octets in, events and replies out (RFC 5321, RFC 2033)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias, final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Authenticated,
    AuthenticationFailed,
    BodyChunk,
    Closed,
    CloseReason,
    Connected,
    Direction,
    EndOfMessage,
    Envelope,
    Identity,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
    ServerRequest,
)
from smtpwire.engine.need import Need, ServerNeed
from smtpwire.engine.plan import Plan, Situation
from smtpwire.engine.policy import Policy
from smtpwire.engine.redaction import REDACTED, redacted
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_config import ServerConfig, serialise
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import CHUNKING, ENHANCEDSTATUSCODES, EXPN, SIZE, Offer, Offered, Profile
from smtpwire.extensions import parameters as p
from smtpwire.sasl import (
    AnonymousLogin,
    Ask,
    AuthorizationRequest,
    Challenge,
    ExternalLogin,
    Failed,
    PasswordLogin,
    SecretRequest,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    Succeeded,
    TokenLogin,
    server_mechanism,
)
from smtpwire.wire.body import DotDecoder, LineEndingCheck
from smtpwire.wire.command import (
    Auth,
    Bdat,
    Command,
    CommandError,
    Data,
    Expn,
    ExtensionCommand,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
    parse_command,
)
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = ["ServerConnection"]

Item: TypeAlias = ServerEvent | ServerNeed
Step: TypeAlias = "Callable[[ServerConnection], Item]"
Handler: TypeAlias = "Callable[[ServerConnection, Command], Item]"
Answer: TypeAlias = "Callable[[ServerConnection, tuple[Reply, ...]], None]"
Trace: TypeAlias = Callable[[Direction, bytes], None]

# Bound once: an attribute of an enum costs as much as a small function on CPython 3.11.
DATA: Final = Need.DATA
WRITE: Final = Need.WRITE
REPLY: Final = Need.REPLY
TLS: Final = Need.TLS
CLOSE: Final = Need.CLOSE
GREETING, HELLO, READY = State.GREETING, State.HELLO, State.READY
MAIL, RCPT = State.MAIL, State.RCPT
BODY, CHUNKS = State.DATA, State.CHUNKS
CLOSED: Final = State.CLOSED
CR: Final = 13
PROGRESS: Final = 4096  # octets of a body that count as a block (RFC 5321 §4.5.3.2.5)


@final
class ServerConnection:
    """One connection, seen from the server: feed it what arrives, answer what it asks.

    config: the service. tls: the TLS layer under it, where that was there from the first octet
    (port 465); the profile SUBMISSIONS needs it. peer: who connected. reply_suffix: added to the
    text of every refusal the engine makes by itself, as a session id.

    Raises ValueError where the profile needs TLS and there is none.
    """

    __slots__ = (
        "_aborted_with",
        "_arrived",
        "_auth_failures",
        "_auth_verdict",
        "_base",
        "_body_open",
        "_buffer",
        "_check",
        "_chunk_last",
        "_chunk_left",
        "_commands",
        "_config",
        "_decoder",
        "_discarded",
        "_eof",
        "_errors",
        "_events",
        "_follow_up",
        "_grammar",
        "_hello",
        "_identity",
        "_junk",
        "_limits",
        "_line",
        "_mail",
        "_mechanism",
        "_messages",
        "_must_flush",
        "_octets_sent",
        "_output",
        "_output_size",
        "_owed",
        "_peer",
        "_pending",
        "_plan",
        "_position",
        "_progress",
        "_redact",
        "_refused",
        "_refused_recipients",
        "_replies",
        "_scanned",
        "_serial",
        "_shutdown",
        "_size",
        "_socket_peer",
        "_state",
        "_step",
        "_suffix",
        "_swallowing",
        "_tls",
        "_trace_queue",
        "_trailing",
        "_transaction",
        "_utf8",
        "_verdict",
        "trace",
    )

    def __init__(
        self,
        config: ServerConfig,
        *,
        tls: TlsInfo | None = None,
        peer: Peer | None = None,
        reply_suffix: str = "",
    ) -> None:
        if config.profile is Profile.SUBMISSIONS and tls is None:
            raise ValueError("this profile has TLS from the first octet: give tls= (RFC 8314 §3.3)")
        self.trace: Trace | None = None
        """Called with the direction and the octets, secrets redacted, after they took effect."""
        self._config = config
        self._limits = config.limits
        self._suffix = reply_suffix
        self._peer = self._socket_peer = Peer() if peer is None else peer
        self._tls = tls
        # -- what came in
        self._buffer = b""
        self._position = 0
        self._base = 0  # octets received before the buffer
        self._arrived = bytearray()  # behind the buffer, not yet joined to it
        self._scanned = 0  # of those, known to have no LF
        self._eof = False
        self._trailing = bytearray()
        # -- what goes out
        self._output: list[bytes] = []
        self._output_size = 0
        self._must_flush = False
        self._octets_sent = 0
        # -- where the session is
        self._state = GREETING
        self._step: Step = ServerConnection._greet
        self._events: list[ServerEvent] = []
        self._pending: ServerRequest | None = None
        self._follow_up: Callable[[], None] | None = None
        self._shutdown: Reply | None = None
        self._refused: Reply | None = None
        self._hello: Hello | None = None
        self._identity: Identity | None = None
        self._line = b""
        self._redact = False
        # -- the transaction and its body
        self._mail: Mail | None = None
        self._transaction: list[Rcpt] = []
        self._utf8 = False
        self._owed = 0
        self._body_open = False
        self._decoder: DotDecoder | None = None
        self._check: LineEndingCheck | None = None
        self._chunk_left = 0
        self._chunk_last = False
        self._size = 0
        self._swallowing = False
        self._discarded = 0
        self._verdict: Reply | None = None
        # -- AUTH
        self._mechanism: ServerMechanism | None = None
        self._auth_verdict: Reply | None = None
        # -- counts
        self._serial = 0
        self._progress = 0
        self._commands = 0
        self._replies = 0
        self._errors = 0
        self._junk = 0
        self._messages = 0
        self._refused_recipients = 0
        self._auth_failures = 0
        self._use_plan()
