"""A server that is sent any octets, in any cut, by an application that answers as an input says.

Input: the service, the application, how it is cut, seed of the cuts; then what the client sends.
"""

import itertools
import re
from datetime import UTC, datetime
from typing import Any, Final, cast, final

from fuzz.choices import Choices, cut, few
from fuzz.oracles import (
    TraceError,
    check_one_end,
    check_server_brackets,
    flushed,
    next_item,
    replies_of,
)
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    BodyChunk,
    Closed,
    EndOfMessage,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.policy import Policy
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import (
    ATRN,
    BINARYMIME,
    BURL,
    CHUNKING,
    DELIVERBY,
    DSN,
    EIGHTBITMIME,
    ENHANCEDSTATUSCODES,
    ETRN,
    EXPN,
    FUTURERELEASE,
    LIMITS,
    PIPELINING,
    PRDR,
    SMTPUTF8,
    XCLIENT,
    XFORWARD,
    FutureRelease,
    Profile,
    ServerLimits,
)
from smtpwire.sasl import (
    MECHANISMS,
    AnonymousLogin,
    Ask,
    AuthorizationRequest,
    Challenge,
    ExternalLogin,
    Failed,
    PasswordLogin,
    PlainPassword,
    SecretRequest,
    ServerExchange,
    ServerFactory,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    TokenLogin,
    server_mechanism,
)
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.body import LineEndings
from smtpwire.wire.command import Data, StartTls
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

_NAMES: Final = tuple(name for name in MECHANISMS if not name.endswith("-PLUS"))


def _predictable(name: str) -> ServerFactory:
    """A mechanism whose challenges are always the same, so that two runs can be compared."""

    def make(config: ServerMechanismConfig) -> ServerMechanism:
        return server_mechanism(name, replace(config, nonce=lambda: "s0"))

    return make


_ADDRESS: Final = "192.0.2.1"
_PEER: Final = Peer(_ADDRESS, 4711)
_SMALL: Final = Limits(
    command_line=128,
    sasl_line=256,
    message=200,
    recipients=3,
    refused_recipients=3,
    errors=5,
    junk=8,
    authentications=3,
    backlog=2048,
    output=300,
    swallow=400,
    trailing=32,
)
_OFFER: Final = (PIPELINING, EIGHTBITMIME, ENHANCEDSTATUSCODES, CHUNKING, BINARYMIME, SMTPUTF8)
_LOCAL: Final = ("example.org", "example.com", "c.example", "d.example")
_RELAY: Final = ServerConfig(
    host="mx.example.org",
    local_domains=_LOCAL,
    offer=(*_OFFER, DSN, ETRN, EXPN, PRDR),
    starttls=True,
)
_SUBMISSION: Final = ServerConfig(
    host="mx.example.org",
    local_domains=_LOCAL,
    profile=Profile.SUBMISSION,
    offer=(*_OFFER, DSN),
    leniency=ServerConfig.submission("mx").leniency,
    starttls=True,
    require_auth=True,
    mechanisms=_NAMES,
    custom_mechanisms={name: _predictable(name) for name in _NAMES},
    cleartext_without_tls=True,
    scram_secret=b"shared by all processes",
    stores_passwords=False,
)
_HELD: Final = FutureRelease(60, datetime(2030, 1, 1, tzinfo=UTC))


class Own(ServerExchange):
    """A mechanism of an application's own, which may do anything."""

    def step(self, response: bytes) -> ServerStep:
        wrong: Any = "a str"
        match response:
            case b"raise":
                raise RuntimeError("with a secret")
            case b"no step":
                return cast(ServerStep, wrong)
            case b"no octets":
                return Challenge(wrong)
            case b"no question":
                return Ask(wrong)
            case b"ask":
                return Ask(PasswordLogin("user", "pass"))  # and answer() raises
            case _:
                return Challenge(b"") if response else Failed("nothing")


_CONFIGS: Final = (
    _RELAY,
    replace(_RELAY, limits=_SMALL),
    _SUBMISSION,
    replace(_SUBMISSION, limits=_SMALL, require_tls=True),
    ServerConfig.lmtp("mx.example.org", _LOCAL),
    replace(ServerConfig.lmtp("mx.example.org", _LOCAL), limits=_SMALL),
    replace(
        _RELAY,
        line_endings=LineEndings.NORMALISE,
        offer=(*_OFFER, PRDR, LIMITS(ServerLimits(mailmax=9))),
    ),
    replace(
        _RELAY,
        line_endings=LineEndings.PRESERVE,
        offer=(PIPELINING, CHUNKING),
        check_chunks=False,
    ),
    replace(_RELAY, proxy=frozenset({_ADDRESS}), limits=_SMALL),
    replace(
        _RELAY,
        offer=(*_OFFER, XCLIENT, XFORWARD, ATRN),
        mechanisms=("PLAIN",),
        cleartext_without_tls=True,
        xclient=frozenset({_ADDRESS}),
        xforward=frozenset({_ADDRESS}),
        xclient_login=True,
        policies=dict.fromkeys((ViolationKind.LINE_TOO_LONG, ViolationKind.BARE_CR), Policy.CLOSE),
    ),
    replace(
        _SUBMISSION,
        offer=(*_OFFER, BURL),
        require_auth=False,
        mechanisms=("PLAIN",),
        asks=frozenset({"HELP", "NOOP", "QUIT", "RSET"}),
    ),
    replace(
        _RELAY,
        offer=(*_OFFER, LIMITS(ServerLimits(3, 1000, 1)), DELIVERBY(60)),
        limits=replace(_SMALL, recipients=2, refused_recipients=1),
        policies=dict.fromkeys((ViolationKind.BARE_LF, ViolationKind.BARE_CR), Policy.ANSWER),
    ),
    replace(
        ServerConfig.submissions("mx.example.org", local_domains=_LOCAL),
        offer=(*_OFFER, DELIVERBY(60), FUTURERELEASE(_HELD)),
        limits=replace(_SMALL, refused_recipients=1, authentications=1),
        mechanisms=("EXTERNAL", "OWN", "PLAIN"),
        custom_mechanisms={"OWN": lambda config: Own("OWN", config)},
    ),
    replace(_RELAY, proxy=frozenset({"198.51.100.1"})),
    replace(_RELAY, line_endings=LineEndings.PRESERVE, pipeconnect=frozenset({_ADDRESS})),
)
_CERTIFIED: Final = TlsInfo(
    "TLSv1.3", peer=PeerCertificate(b"", names=("user",)), bindings={"tls-exporter": b"exported"}
)
"""What clients of a service with TLS from the first octet have."""
_UNDER_TLS: Final = b"EHLO under.tls.example\r\nQUIT\r\n"
_WORDS: Final = ("default", "default", "positive", "450", "550", "421", "default", "wrong")
_FRAMED_IN: Final = frozenset(
    {State.HELLO, State.READY, State.MAIL, State.RCPT, State.CHUNKS, State.AUTH}
)
_BDAT: Final = re.compile(rb"BDAT +([0-9]{1,20})(?: [^\r\n]*)?\t*\r\n", re.IGNORECASE)
"""Also with more behind the size, which is refused once the chunk has been read past."""
_STARTTLS: Final = re.compile(rb"STARTTLS[ \t]*\r\n\Z", re.IGNORECASE)
_PARTS_MOST: Final = 2000


def check(data: bytes) -> None:
    config, behaviour, mode, seed, octets = _read(data)
    whole = Session(config, behaviour)
    whole.run([octets] if octets else [])
    whole.check()
    divided = Session(config, behaviour)
    divided.conn.trace = _trace
    divided.run(cut(octets, mode, seed))
    divided.check()
    if not behaviour & (INTERRUPTED | EARLY_VERDICT):
        _check_same(whole, divided)
        _check_replies_counted(config, behaviour, octets)


def quick(data: bytes) -> None:
    """One session of the three, cut as the input asks, but not often."""
    config, behaviour, mode, seed, octets = _read(data)
    divided = Session(config, behaviour, shown=False)
    divided.run(few(octets, mode, seed))
    divided.check()


def _read(data: bytes) -> tuple[ServerConfig, int, int, int, bytes]:
    choices = Choices(data)
    config = _CONFIGS[choices.below(len(_CONFIGS))]
    return config, choices.octet(), choices.octet(), choices.octet(), choices.rest()


def _trace(direction: str, octets: bytes) -> None:
    """Who is watched behaves as who is not, also by one that raises at times."""
    assert direction in ("sent", "received")
    assert octets
    if len(octets) % 3 == 0:
        raise TraceError


INTERRUPTED: Final = 128
"""Somewhere the application shuts down, aborts or lets the time pass."""
EARLY_VERDICT: Final = 64
"""It refuses a message while its body comes."""


@final
class Session:
    """One connection, its adapter and its application."""

    def __init__(self, config: ServerConfig, behaviour: int, *, shown: bool = True) -> None:
        self._shown = shown
        certified = config.profile is Profile.SUBMISSIONS
        self.conn = ServerConnection(
            config,
            tls=_CERTIFIED if certified else None,
            peer=_PEER,
            reply_suffix="(id)" if certified else "",
        )
        self.events: list[ServerEvent] = []
        self.sent = bytearray()
        self.before_tls = len(self.sent)
        """What had been sent when STARTTLS was asked."""
        self.need: Need = Need.DATA
        self._config = config
        self._behaviour = behaviour
        self._calls = 0
        self._received = bytearray()
        self._parts = 0
        self._questions = 0
        self._tls_events: int | None = None

    def run(self, parts: list[bytes]) -> None:
        """Everything that is sent, and the end of the stream."""
        self.pull()
        for part in parts:
            self.feed(part)
        self.end()

    def end(self) -> None:
        """The client closes; twice, since that is allowed."""
        if self.need is Need.TLS:
            self.conn.tls_failed("no handshake")
        self.conn.receive_data(b"")
        self.conn.receive_data(b"")
        self.pull()
        assert self.need is Need.CLOSE

    def feed(self, part: bytes) -> None:
        """Octets arrive; when TLS begins, what comes behind is TLS's."""
        self._parts += 1
        if self.need is Need.TLS:
            self.conn.receive_data(part)
            assert self.conn.next_event() is Need.TLS
            self._start_tls()
            return
        if self.need is Need.CLOSE or self._tls_events is not None:
            return
        for start in range(0, len(part), self._config.limits.backlog):
            piece = part[start : start + self._config.limits.backlog]
            self._received += piece
            self.conn.receive_data(piece)
            self.pull()
            # Nothing may stand behind STARTTLS, and what does is never taken as TLS's.
            assert self.waits() is not Need.TLS or _STARTTLS.search(self._received)
            if self.need is not Need.DATA:
                return

    def waits(self) -> Need:
        """For whom the session waits."""
        return self.need

    def pull(self) -> None:
        """Take events and answer, up to where the peer or the adapter must act."""
        while True:
            self._calls += 1
            item = next_item(self.conn)
            if isinstance(item, Need):
                assert self.conn.next_event() is item  # it stays
                self._flush(item)
                self.need = item
                if item is Need.WRITE:
                    continue
                assert item is not Need.REPLY
                return
            self._take(item)

    def _flush(self, need: Need) -> None:
        octets = flushed(self.conn, need)
        self.sent += octets
        assert self.conn.stats.octets_sent == len(self.sent), "what is handed out is never lost"
        recipients = self._config.limits.recipients
        assert len(octets) <= self._config.limits.output + 2048 + 100 * min(recipients, 200)

    def _take(self, event: ServerEvent) -> None:
        self.events.append(event)
        if self._shown:
            assert len(repr(event)) < 20_000
        if isinstance(event, BodyChunk):
            assert event.data
            if self._behaviour & EARLY_VERDICT:
                self._try_reply(Reply(552, "Too large"))
        elif isinstance(event, Request):
            assert self.conn.pending is event
            if isinstance(event, StartTls):
                self.sent += self.conn.data_to_send()
                self.before_tls = len(self.sent)
            self._interrupt()
            if self.conn.pending is event:
                self._answer(event)

    # -- the application

    def _word(self) -> str:
        """What it decides; the same however the octets are cut, since it counts questions."""
        self._questions += 1
        state = (self._behaviour & 63) * self._questions
        return "default" if not self._behaviour & 63 else _WORDS[(state ^ state >> 3) % len(_WORDS)]

    def _interrupt(self) -> None:
        if not self._behaviour & INTERRUPTED or self._questions != self._behaviour & 7:
            return
        match self._behaviour >> 3 & 3:
            case 0:
                self.conn.shutdown()
            case 1:
                self.conn.abort("the handler was cancelled")
            case 2:
                self.conn.shutdown(Reply(421, "Later", "4.3.2"))
            case _:
                try:
                    self.conn.timed_out()
                except LocalProtocolError:
                    # Of a pending question only the write before it is timed.
                    assert self.conn.timeout is None

    def _try_reply(self, *replies: Reply) -> None:
        """An answer that may be illegal here; then nothing has changed."""
        pending = self.conn.pending
        try:
            self.conn.reply(*replies)
        except LocalProtocolError:
            assert self.conn.pending is pending

    def _answer(self, question: Request) -> None:
        word = self._word()
        match question:
            case SecretRequest() if word != "450":
                secret = PlainPassword("pass") if question.authcid == "user" else None
                self.conn.supply(secret, to=question)
                return
            case PasswordLogin("user", "pass"):
                self.conn.reply(Reply(235, "Welcome"))
                return
            case PasswordLogin() | TokenLogin() | ExternalLogin() | AnonymousLogin():
                positive = 235
            case AuthorizationRequest():
                positive = 235
            case Data(chunking):
                positive = 250 if chunking else 354
            case _:
                positive = 250
        match word:
            case "positive":
                self._try_reply(Reply(positive, "Fine"))
                if self.conn.pending is question:
                    self._try_reply(Reply(220, "Fine"))
            case "450" | "550" | "421":
                self._try_reply(Reply(int(word), "Refused\nbecause"))
            case "wrong":
                for reply in (Reply(354, "?"), Reply(250, "\u00e9"), Reply(251, "?", "2.9.9")):
                    if self.conn.pending is question:
                        self._try_reply(reply)
            case _:
                pass
        while self.conn.pending is question:
            self.conn.reply(to=question)

    # -- TLS

    def _start_tls(self) -> None:
        """What came in plaintext never counts: a fresh session follows."""
        self._tls_events = len(self.events)
        assert len(self.conn.trailing_data) <= self._config.limits.trailing
        tls = TlsInfo("TLSv1.3") if self._behaviour & 1 else SIMULATED_TLS
        self.conn.tls_started(tls)
        assert self.conn.identity is None
        assert self.conn.envelope is None
        assert self.conn.hello is None
        self.need = Need.DATA
        self.conn.receive_data(_UNDER_TLS)
        self._received += _UNDER_TLS
        self.pull()
        for event in self.events[self._tls_events :]:
            assert "under.tls.example" in repr(event) or type(event).__name__ in _AFTER_TLS

    # -- the oracles

    def check(self) -> None:
        """What holds of every session, when it is over."""
        check_one_end(self.events)
        assert self.conn.pending is None
        assert self.conn.data_to_send() == b""
        assert self.conn.next_event() is Need.CLOSE
        assert not self.conn.wants_data
        assert self.conn.timeout is None
        # Linear: so many steps an octet, an answer and a read.
        assert self._calls <= 4 * (len(self._received) + self._questions) + 4 * self._parts + 16
        assert len(self.events) <= 3 * len(self._received) + 16
        check_server_brackets(self.events)
        replies = replies_of(bytes(self.sent))
        assert self.conn.stats.octets_sent == len(self.sent)
        assert len(replies) <= self.conn.stats.replies
        if self._parts == 1 and len(self._received) <= self._config.limits.backlog:
            self._check_no_body_is_commands()

    def _check_no_body_is_commands(self) -> None:
        """All came at once: behind a refused DATA nothing is read but what ends the session."""
        for event, after in itertools.pairwise(self.events):
            if isinstance(event, InvalidCommand) and event.line[:5].rstrip().upper() == b"DATA":
                if after == MessageAborted(Aborted.CLOSED):  # of the chunks before that DATA
                    continue
                assert isinstance(after, ProtocolViolation | Closed), (event, after)


_AFTER_TLS: Final = frozenset(
    {"CommandQuestion", "Quit", "Closed", "Hello", "InvalidCommand"}
    | {"MessageAborted", "ProtocolViolation"}
)


# -- split invariance


def _told(session: Session) -> tuple[list[ServerEvent], bytes]:
    """What a session told and sent, as far as it may not depend on the cut.

    Pipelining and early talk are a matter of what arrives together. How much content of a message
    that fails is handed on, too. And what stands behind STARTTLS is an attack, or TLS's, as it
    arrives.
    """
    told: list[ServerEvent] = []
    body = bytearray()
    for event in session.events:
        match event:
            case BodyChunk(data):
                body += data
                continue
            case EndOfMessage():
                told.append(BodyChunk(bytes(body)))
                body.clear()
            case MessageAborted():
                body.clear()
            case ProtocolViolation(ViolationKind.PIPELINING | ViolationKind.EARLY_TALK):
                continue
            case StartTls():
                told.append(event)
                return told, bytes(session.sent[: session.before_tls])
            case _:
                pass
        told.append(event)
    return told, bytes(session.sent)


def _check_same(one: Session, other: Session) -> None:
    events, sent = _told(one)
    other_events, other_sent = _told(other)
    if ends := [at for told in (events, other_events) for at in _ended_by_arrival(told)]:
        # What is dropped is bounded to within what is read at once, and what stands behind a
        # refused DATA is its body where it came before the refusal had left.
        assert events[: min(ends)] == other_events[: min(ends)], (events, other_events)
        return
    assert events == other_events, (events, other_events)
    assert sent == other_sent, (sent, other_sent)


_BY_ARRIVAL: Final = frozenset({ViolationKind.TOO_MUCH, ViolationKind.UNFRAMED_BODY})


def _ended_by_arrival(events: list[ServerEvent]) -> list[int]:
    """Where a session ended by what came at once."""
    return [
        at
        for at, event in enumerate(events)
        if isinstance(event, ProtocolViolation) and event.kind in _BY_ARRIVAL
    ]


# -- replies counted


def _check_replies_counted(config: ServerConfig, behaviour: int, octets: bytes) -> None:
    """In lock-step every command, every chunk and every body is answered, and nothing else."""
    session = Session(config, behaviour)
    session.pull()
    if config.proxy:
        return
    before = len(session.sent)
    chunk: bytes = b""  # the line of the chunk that comes
    clean = True
    for _ in range(_PARTS_MOST):
        if session.waits() is not Need.DATA or not octets:
            break
        unit, known, chunk = _next_unit(session.conn.state, octets, chunk, config)
        octets = octets[len(unit) :]
        accepted = _recipients(session)
        session.feed(unit)
        replies = replies_of(bytes(session.sent[before:]))
        before = len(session.sent)
        count = len(replies)
        going = session.waits() is Need.DATA
        if not going and count and replies[-1].code in (421, 221):
            count = 1
        most = 1 if known != "body" else max(1, accepted + 2)
        assert count <= most, (unit, replies)
        if clean and known == "line" and going:
            assert count == 1, (unit, replies)
        if known == "body" and accepted and going:
            assert count in (1, accepted, accepted + 2), (unit, replies)
        clean = known == "body" or unit.endswith(b"\r\n")
        if known == "other" and not unit.endswith(b"\r\n"):
            return
    session.end()


def _recipients(session: Session) -> int:
    envelope = session.conn.envelope
    return 0 if envelope is None else len(envelope.recipients)


def _next_unit(
    state: State, octets: bytes, chunk: bytes, config: ServerConfig
) -> tuple[bytes, str, bytes]:
    """What a client would send before it waits for a reply, what it is, and the chunk it opens."""
    if chunk:
        match = _BDAT.fullmatch(chunk)
        assert match is not None
        size = int(match[1])
        if size:
            return octets[:size], "other" if len(octets) < size else "body", b""
    if state is State.DATA:
        end = (b"\r\n" + octets).find(b"\r\n.\r\n")
        if end < 0:
            return octets, "other", b""
        return octets[: end + 3], "body", b""
    line = octets[: octets.find(b"\n") + 1] or octets
    whole = line.endswith(b"\r\n") and line.count(b"\r") == 1
    if not whole or len(line) > config.limits.command_line or len(line) > 200:
        return line, "other", b""
    match = _BDAT.fullmatch(line)
    if match is not None and state in _FRAMED_IN and int(match[1]):
        return line, "other", line
    return line, "line" if match is None else "body", b""
