"""One run of a case against a server, and everything that can be seen of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, final

from tests.cases.case import Case, Happening
from tests.cases.server_settings import Setting
from tests.cases.splits import Way

from smtpwire.engine.events import (
    BodyChunk,
    Closed,
    Connected,
    EndOfMessage,
    Envelope,
    Identity,
    MessageAborted,
    ServerEvent,
)
from smtpwire.engine.need import Need, ServerNeed
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.sasl import (
    AnonymousLogin,
    ExternalLogin,
    PasswordLogin,
    PlainPassword,
    SecretRequest,
    TokenLogin,
)
from smtpwire.wire import value
from smtpwire.wire.command import Data, Hello, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = ["Message", "ServerResult", "WireReply", "replies_in", "run_server"]

TLS: Final = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", verified=True)
REFUSED: Final = re.compile(r"(.*) \(([45][0-9]{2})\)")
"""A line of ``after`` that was refused."""

# RFC 5321 §4.2, with HT and without what needs SMTPUTF8.
REPLY: Final = re.compile(
    rb"(?:(?P<more>[2-5][0-5][0-9])-[\t -~]*\r\n)*(?P<code>[2-5][0-5][0-9])(?: [\t -~]*)?\r\n"
)


@final
@dataclass(frozen=True, slots=True)
class WireReply:
    """A reply as it stands on the wire."""

    code: int
    lines: tuple[bytes, ...]
    octets: bytes = field(repr=False)


def replies_in(wire: bytes) -> tuple[WireReply, ...]:
    """What was sent, reply by reply; it must be nothing but well-formed replies."""
    replies = []
    position = 0
    while position < len(wire):
        match = REPLY.match(wire, position)
        assert match is not None, f"no reply: {wire[position : position + 80]!r}"
        octets = match[0]
        lines = octets[:-2].split(b"\r\n")
        assert {line[:3] for line in lines} == {match["code"]}, f"codes differ in {octets!r}"
        replies.append(WireReply(int(match["code"]), tuple(line[4:] for line in lines), octets))
        position = match.end()
    return tuple(replies)


@final
@dataclass(frozen=True, slots=True)
class Message:
    """A message whose end was asked about, what it held, and whether it was taken."""

    envelope: Envelope
    content: bytes
    accepted: bool


@final
@dataclass(frozen=True, slots=True)
class ServerResult:
    """Everything that can be seen of a run; ``sent_at`` alone depends on the way."""

    wire: tuple[bytes, ...]
    """What was sent while each chunk was handled."""
    told: tuple[ServerEvent, ...]
    """Events and questions, less the pieces of content."""
    content: bytes
    """Of a body still open."""
    messages: tuple[Message, ...]
    bodies: int
    """How many bodies were begun."""
    need: ServerNeed
    state: State
    envelope: Envelope | None
    identity: Identity | None
    hello: Hello | None
    trailing: bytes
    wants_data: bool
    stats: Stats
    sent_at: tuple[tuple[int, bytes], ...] = field(compare=False)
    """What was sent, and how many octets had arrived by then."""

    @property
    def sent(self) -> bytes:
        return b"".join(self.wire)

    @property
    def replies(self) -> tuple[WireReply, ...]:
        return replies_in(self.sent)

    @property
    def codes(self) -> tuple[int, ...]:
        return tuple(reply.code for reply in self.replies)

    @property
    def delivered(self) -> tuple[Message, ...]:
        return tuple(message for message in self.messages if message.accepted)

    def has(self, *kinds: type[object]) -> bool:
        """Whether an event of one of these kinds was told."""
        return any(isinstance(event, kinds) for event in self.told)


def run_server(case: Case, setting: Setting, way: Way) -> ServerResult:
    """Bring a server where the case begins, let the chunks arrive, and look."""
    run = _Run(case, setting)
    run.begin()
    for place, pieces in enumerate(way):
        run.chunk(pieces)
        for happening in case.given.happenings:
            # Where the chunks were joined, everything happens after the only one.
            if happening.after_chunk == place or len(way) == 1:
                run.happens(happening)
    result = run.result()
    run.hang_up()
    return result


# -- the application


@final
class _Application:
    """Accepts, unless the case says otherwise; waits where the case has it decide later."""

    def __init__(self, case: Case) -> None:
        self._given = case.given
        self._recipients: dict[str, int] = {}
        names = {happening.name for happening in case.given.happenings}
        self._undecided = {
            str(happening.recipient) for happening in case.given.happenings if happening.recipient
        }
        self._holds: dict[type[object], bool] = {
            Connected: "app_sends_greeting" in names,
            EndOfMessage: bool(names & {"app_result", "app_fails_internally"}),
            AnonymousLogin: "app_accepts" in names,
            ExternalLogin: "app_accepts" in names,
        }
        self._results: Mapping[str, int] = {}
        self._fails = False

    @property
    def takes_messages(self) -> bool:
        """Whether it answers the end of a message with 2yz, to one recipient at least."""
        return not self._fails and (not self._results or 250 in self._results.values())

    def decide(self, happening: Happening) -> None:
        """A decision has been made."""
        if happening.recipient:
            self._undecided.discard(happening.recipient)
            self._recipients[happening.recipient] = happening.code or 250
            return
        self._holds.clear()
        self._results = happening.results or {}
        self._fails = happening.name == "app_fails_internally"

    def refuse(self, recipient: str, code: int) -> None:
        """A recipient that is refused from the start."""
        self._recipients[recipient] = code

    def answers(self, conn: ServerConnection, question: Request) -> bool:
        """Answer; False where the decision is still to come."""
        if self._holds.get(type(question)):
            return False
        if isinstance(question, Rcpt) and str(question.address) in self._undecided:
            return False
        self._answer(conn, question)
        return True

    def _answer(self, conn: ServerConnection, question: Request) -> None:
        given = self._given
        match question:
            case Hello(name) if name in given.refuse_hello:
                conn.reply(Reply(550, "Not you"))
            case Rcpt(address) if str(address) in given.reject:
                conn.reply(Reply(550, "No such user"))
            case Rcpt(address) if self._recipients.get(str(address), 250) != 250:
                conn.reply(Reply(self._recipients[str(address)], "Refused"))
            case Rcpt() if given.reject_text:
                conn.reply(Reply(550, given.reject_text, given.reject_enhanced))
            case Rcpt():
                conn.reply(Reply(250, "Recipient OK", "2.1.5"))
            case PasswordLogin(authcid, password) if given.credentials.get(authcid) == password:
                conn.reply(Reply(235, "Welcome"))
            case SecretRequest(authcid=authcid):
                known = given.credentials.get(authcid)
                conn.supply(None if known is None else PlainPassword(known))
            case AnonymousLogin() | ExternalLogin() | TokenLogin():
                # A token refused is answered with one more 334 by XOAUTH2, which the case with a
                # token does not mean.
                conn.reply(Reply(235, "Welcome"))
            case EndOfMessage() if self._fails:  # as an adapter does for a handler that raises
                conn.reply(Reply(451, "Local error in processing", "4.3.0"))
            case EndOfMessage(envelope) if self._results:
                for forward_path in envelope.forward_paths:
                    conn.reply(Reply(self._results[str(forward_path)], "So it is"))
            case _:
                conn.reply()


# -- the run


@final
class _Run:
    def __init__(self, case: Case, setting: Setting) -> None:
        self._case = case
        self._application = _Application(case)
        config = setting.config
        handshake = "STARTTLS" in case.given.after
        if handshake:
            config = value.replace(config, starttls=True)
        under_tls = case.given.tls and not handshake
        self._conn = ServerConnection(config, tls=TLS if under_tls else None)
        self._need: ServerNeed = Need.DATA
        self._arrived = 0
        self._sent_at: list[tuple[int, bytes]] = []
        self._wire: list[bytes] = []
        self._told: list[ServerEvent] = []
        self._content: list[bytes] = []
        self._messages: list[Message] = []
        self._bodies = 0

    def begin(self) -> None:
        """The greeting, and what ``after`` lists."""
        held = any(item.name == "app_sends_greeting" for item in self._case.given.happenings)
        if not held:
            self._pump()
            assert self._take_codes() == [220]
        for line in self._case.given.after:
            self._prelude(line)
        self._told.clear()
        self._sent_at.clear()
        self._arrived = 0
        self._bodies = 0

    def _prelude(self, line: str) -> None:
        refused = REFUSED.fullmatch(line)
        if refused is not None:
            line = refused[1]
            address = line.partition("<")[2].partition(">")[0]
            self._application.refuse(address, int(refused[2]))
        elif line == "AUTH PLAIN (235)":
            line = "AUTH PLAIN AHVzZXIAcGFzcw=="
        self._feed(line.encode() + b"\r\n")
        (code,) = self._take_codes()
        assert code == int(refused[2]) if refused else 200 <= code < 400, (line, code)
        if line == "STARTTLS":
            self._conn.tls_started(TLS)
            self._pump()

    def chunk(self, pieces: list[bytes]) -> None:
        before = len(self._sent_at)
        for piece in pieces:
            if piece:
                self._feed(piece)
        if not any(pieces):
            self._pump()
        self._wire.append(b"".join(octets for _, octets in self._sent_at[before:]))

    def happens(self, happening: Happening) -> None:
        before = len(self._sent_at)
        match happening.name:
            case "eof":
                self._conn.receive_data(b"")
            case "tls_established":
                if self._need is Need.TLS:
                    self._conn.tls_started(TLS)
            case "app_requests_shutdown":
                self._conn.shutdown()
            case (
                "app_accepts"
                | "app_refuses"
                | "app_result"
                | "app_fails_internally"
                | ("app_sends_greeting")
            ):
                self._application.decide(happening)
                if self._conn.pending is not None:
                    self._ask(self._conn.pending)
            case other:
                raise ValueError(f"{self._case.id}: {other!r} is no event of a server")
        self._pump()
        self._wire[-1] += b"".join(octets for _, octets in self._sent_at[before:])

    def result(self) -> ServerResult:
        conn = self._conn
        assert conn.next_event() is self._need, "at a Need, calling again gives the same Need"
        stats = value.replace(conn.stats, octets_received=0, commands=0)  # less what came too late
        return ServerResult(
            wire=tuple(self._wire),
            told=tuple(self._told),
            content=b"".join(self._content),
            messages=tuple(self._messages),
            bodies=self._bodies,
            need=self._need,
            state=conn.state,
            envelope=conn.envelope,
            identity=conn.identity,
            hello=conn.hello,
            trailing=conn.trailing_data,
            wants_data=conn.wants_data,
            stats=stats,
            sent_at=tuple(self._sent_at),
        )

    def hang_up(self) -> None:
        """However it stands, the end of the stream ends it, once, and delivers nothing more."""
        if self._need is Need.TLS:
            self._conn.tls_failed("the peer has gone")
        messages = len(self._messages)
        for _ in range(2):
            self._conn.receive_data(b"")
            self._pump()
        assert self._need is Need.CLOSE
        assert [type(event) for event in self._told].count(Closed) == 1
        assert isinstance(self._told[-1], Closed)
        assert not self._content
        assert len(self._messages) == messages

    def _feed(self, octets: bytes) -> None:
        if self._need is Need.DATA:
            assert self._conn.wants_data, "data are needed and not wanted"
        self._conn.receive_data(octets)
        self._arrived += len(octets)
        self._pump()

    def _pump(self) -> None:
        """As an adapter does: flush at every Need, do what it names."""
        while True:
            item = self._conn.next_event()
            if isinstance(item, Need):
                self._flush()
                self._need = item
                if item is not Need.WRITE:
                    return
                continue
            self._note(item)
            if isinstance(item, Request):
                self._ask(item)

    def _ask(self, question: Request) -> None:
        application = self._application
        if application.answers(self._conn, question) and isinstance(question, EndOfMessage):
            self._messages[-1] = replace(self._messages[-1], accepted=application.takes_messages)

    def _note(self, event: ServerEvent) -> None:
        if isinstance(event, BodyChunk):
            assert event.data, "an empty piece of content"
            self._content.append(event.data)
            return
        if isinstance(event, MessageAborted):
            self._content.clear()  # of no more interest, and where it stops depends on the way
        if isinstance(event, ProtocolViolation) and event.kind is ViolationKind.PIPELINING:
            return  # a fact about the way: whether something had already arrived behind
        if isinstance(event, Data):
            self._bodies += 1
        self._told.append(event)
        if isinstance(event, EndOfMessage):
            message = Message(event.envelope, b"".join(self._content), accepted=False)
            self._messages.append(message)
            self._content.clear()

    def _flush(self) -> None:
        octets = self._conn.data_to_send()
        if octets:
            self._sent_at.append((self._arrived, octets))

    def _take_codes(self) -> list[int]:
        sent = b"".join(octets for _, octets in self._sent_at)
        self._sent_at.clear()
        return [reply.code for reply in replies_in(sent)]
