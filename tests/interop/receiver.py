"""A server of ours for client peers: takes what they send and keeps what each session was."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.adapters.servers import serving
from tests.interop.peers.server import PASSWORD

from smtpwire.adapters.session import Handler, Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import (
    Authenticated,
    BodyChunk,
    Closed,
    CloseReason,
    EndOfMessage,
    Envelope,
    Identity,
    ServerEvent,
)
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import (
    CHUNKING,
    DELIVERBY,
    DSN,
    EIGHTBITMIME,
    ENHANCEDSTATUSCODES,
    ETRN,
    EXPN,
    HELP,
    PIPELINING,
    PRDR,
    REGISTRY,
    SMTPUTF8,
    VRFY,
    XCLIENT,
    XFORWARD,
    AnyExtension,
    Profile,
)
from smtpwire.extensions.etrn import Etrn
from smtpwire.extensions.xclient import XClient
from smtpwire.extensions.xforward import XForward
from smtpwire.sasl import (
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    PlainPassword,
    SecretRequest,
    TokenLogin,
)
from smtpwire.wire.command import Data, Expn, Hello, Mail, Rcpt, StartTls, Vrfy
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = ["LOOPBACK", "Received", "Receiver", "SessionRecord", "offer", "receiving"]

TOKEN = "token"
LOOPBACK = frozenset({"127.0.0.1"})
NONE: frozenset[ViolationKind] = frozenset()

_OFFER = (
    *(PIPELINING, EIGHTBITMIME, ENHANCEDSTATUSCODES, CHUNKING, SMTPUTF8, DSN, PRDR, DELIVERBY),
    *(ETRN, VRFY, EXPN, HELP, XCLIENT, XFORWARD),
)


def offer(profile: Profile) -> tuple[AnyExtension, ...]:
    """What a server of this profile offers here."""
    return tuple(entry for entry in _OFFER if profile in entry.profiles)


@dataclass(frozen=True)
class Received:
    """A message that was taken."""

    envelope: Envelope
    content: bytes = field(repr=False)
    identity: Identity | None
    tls: TlsInfo | None

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(str(address) for address in self.envelope.forward_paths)


@dataclass
class SessionRecord:
    """What a session was: its events but for the body's, and the dialogue."""

    session: Session
    events: list[ServerEvent] = field(default_factory=list)
    messages: list[Received] = field(default_factory=list)
    lines: list[str] = field(default_factory=list, repr=False)

    @property
    def closed(self) -> Closed | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Closed) else None

    @property
    def identity(self) -> Identity | None:
        """Who authenticated last."""
        found = [event.identity for event in self.events if isinstance(event, Authenticated)]
        return found[-1] if found else None

    @property
    def violations(self) -> list[ProtocolViolation]:
        return [event for event in self.events if isinstance(event, ProtocolViolation)]

    def of(self, *kinds: type) -> list[ServerEvent]:
        """The events of these kinds."""
        return [event for event in self.events if isinstance(event, kinds)]

    def features(self) -> set[str]:
        """What of the protocol this session has shown, by the words of the matrix."""
        shown = set()
        for event in self.events:
            match event:
                case Hello(_, verb):
                    shown |= {"LMTP"} if verb == "LHLO" else set()
                case Mail():
                    shown |= {_keyword("MAIL", item.keyword) for item in event.parameters}
                case Rcpt():
                    shown |= {_keyword("RCPT", item.keyword) for item in event.parameters}
                case Data(True):
                    shown.add("CHUNKING")
                case Authenticated(identity):
                    shown.add(f"AUTH {identity.mechanism}")
                case Vrfy():
                    shown.add("VRFY")
                case Expn():
                    shown.add("EXPN")
                case Etrn():
                    shown.add("ETRN")
                case XClient():
                    shown.add("XCLIENT")
                case XForward():
                    shown.add("XFORWARD")
        if self.of(StartTls) and self.session.conn.tls is not None:
            shown.add("STARTTLS")
        elif self.session.conn.tls is not None:
            shown.add("implicit TLS")
        else:
            shown.add("plain")
        return shown


def _keyword(verb: str, parameter: str) -> str:
    if parameter == "BODY":
        return "8BITMIME"
    if parameter == "AUTH":
        return "AUTH="
    entry = REGISTRY.parameters[(verb, parameter)]
    return entry.keyword


Decide = Callable[[Session, ServerEvent], bool]


@dataclass
class Receiver:
    """The running server: its port, and its sessions so far."""

    decide: Decide
    port: int = 0
    sessions: list[SessionRecord] = field(default_factory=list)

    def __call__(self, session: Session) -> Handler:
        record = SessionRecord(session)
        self.sessions.append(record)
        body: list[bytes] = []

        def trace(direction: str, octets: bytes) -> None:
            record.lines.append(f"{direction[0]}: {octets.decode(errors='backslashreplace')}")

        session.conn.trace = trace

        def handle(event: ServerEvent) -> None:
            if isinstance(event, BodyChunk):
                body.append(event.data)
                return
            if isinstance(event, Data):
                body.clear()
            if isinstance(event, EndOfMessage):
                conn = session.conn
                received = Received(event.envelope, b"".join(body), conn.identity, conn.tls)
                record.messages.append(received)
            if not self.decide(session, event):
                _answer(session, event)
            record.events.append(event)

        return handle

    @property
    def messages(self) -> list[Received]:
        """All messages taken, in order."""
        return [message for session in self.sessions for message in session.messages]

    def wait(self, ready: Callable[[], bool], seconds: float = 10) -> None:
        """Until something has happened; the sessions run in another thread."""
        deadline = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < deadline, self.dialogue()
            time.sleep(0.01)

    def wait_for_end(self, sessions: int = 1) -> None:
        """Until so many sessions have begun, and all have ended."""
        self.wait(
            lambda: (
                len(self.sessions) >= sessions
                and all(session.closed is not None for session in self.sessions)
            )
        )

    def check_endings(
        self, reason: CloseReason = CloseReason.QUIT, violations: frozenset[ViolationKind] = NONE
    ) -> None:
        """All sessions have ended like this, and the protocol was not broken but in these ways."""
        for session in self.sessions:
            assert session.closed is not None
            assert session.closed.reason is reason, self.dialogue()
            assert {violation.kind for violation in session.violations} <= violations, (
                self.dialogue()
            )

    def dialogue(self) -> str:
        """What was said, for the report of a failed test."""
        return "\n".join(
            f"--- {session.closed}\n{''.join(session.lines)}" for session in self.sessions
        )

    def features(self) -> set[str]:
        """What the sessions have shown."""
        return {feature for session in self.sessions for feature in session.features()}


def _answer(session: Session, event: ServerEvent) -> None:
    conn = session.conn
    if conn.pending is not event:
        return
    match event:
        case Rcpt(address) if address.local_part == "reject5":
            conn.reply(Reply(550, "No such user here", "5.1.1"))
        case Rcpt(address) if address.local_part == "reject4":
            conn.reply(Reply(450, "Not now", "4.2.0"))
        case Rcpt():
            conn.reply(Reply(250, "Recipient OK", "2.1.5"))
        case Vrfy():
            conn.reply(Reply(250, "<x@example.test>"))
        case Expn():
            conn.reply(Reply(250, "<x@example.test>\n<y@example.test>"))
        case PasswordLogin(authcid, password):
            good = (authcid, password) == ("user", PASSWORD)
            conn.reply(*[Reply(235, "Welcome", "2.7.0")] * good)
        case TokenLogin(authcid, token):
            good = (authcid, token) == ("user", TOKEN)
            conn.reply(*[Reply(235, "Welcome", "2.7.0")] * good)
        case ExternalLogin():
            conn.reply(Reply(235, "Welcome", "2.7.0"))
        case AuthorizationRequest("user@localhost", "user", "EXTERNAL"):
            conn.reply(Reply(235, "Welcome", "2.7.0"))
        case SecretRequest(authcid=authcid):
            conn.supply(PlainPassword(PASSWORD) if authcid == "user" else None)
        case XClient():
            conn.reply(Reply(220, "mx.test ESMTP"))
        case XForward() | Etrn():
            conn.reply(Reply(250, "Ok"))
        case Request():
            conn.reply()


def _no_decision(session: Session, event: ServerEvent) -> bool:
    return False


@contextmanager
def receiving(
    config: ServerConfig, tls: TlsConfig | None = None, decide: Decide = _no_decision
) -> Iterator[Receiver]:
    """Run the asyncio server. ``decide`` is asked first, and says whether it has answered."""
    receiver = Receiver(decide)
    with serving("asyncio", receiver, config, tls) as port:
        receiver.port = port
        yield receiver
