"""Whatever breaks, wherever: each side ends once, and nobody is wrong about the message.

A whole session, in three kinds, is broken at every octet, at every question and at every flush:
the peer vanishes, the service closes, the handshake fails, the application is late, answers twice,
never, or shuts down. The client never takes a message for delivered that is not, nor for refused
that is; the server never takes a piece of a message for a message.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar, cast

import pytest
from tests.engine import client_dialogue
from tests.engine.client_dialogue import Dialogue
from tests.engine.transcript import Session, check_brackets
from tests.in_memory import Wire

from smtpwire import (
    Address,
    Cause,
    ClientConfig,
    ClientConnection,
    ClientEvent,
    Closed,
    CloseReason,
    Command,
    Disposition,
    EndOfData,
    EndOfMessage,
    LocalProtocolError,
    Mail,
    MessageAborted,
    Need,
    Password,
    PasswordLogin,
    Rcpt,
    Reply,
    Request,
    Security,
    ServerConfig,
    ServerConnection,
    StartTls,
    State,
    TlsInfo,
    Unanswered,
    extensions,
    replace,
)
from smtpwire.operations import (
    ConnectionLost,
    Operation,
    RecipientResult,
    SendResult,
    ServiceRefused,
    SessionError,
    TlsFailed,
    open_session,
    quit,
    send_mail,
)
from smtpwire.testing import SIMULATED_TLS

T = TypeVar("T")

FIRST: Final = b"Subject: first\r\n\r\n.Hello\r\n.\r\n"
SECOND: Final = b"Subject: second\r\n\r\nHello again\r\n" * 3
GOOD: Final = "good@example.org"
LATER: Final = "later@example.org"
BAD: Final = "bad@example.org"


@dataclass(frozen=True)
class Kind:
    """A kind of session: how both sides are configured."""

    name: str
    server: ServerConfig
    client: ClientConfig
    credentials: Password | None = None

    def __str__(self) -> str:
        return self.name


SUBMISSION: Final = Kind(
    "submission",
    ServerConfig.submission("mx.example"),
    ClientConfig("c.example", security=Security.STARTTLS, chunk_size=40),
    Password("user", "pencil"),
)
LMTP: Final = Kind(
    "LMTP",
    ServerConfig.lmtp("mx.example", ("example.org", "example.com", "d.example", "f.example")),
    ClientConfig("c.example", lmtp=True, chunk_size=40),
)
# No PIPELINING: a command at a time; and a reply a recipient after the data.
PLAIN: Final = Kind(
    "PRDR, lock-step",
    replace(
        ServerConfig.relay("mx.example", ("example.org", "example.com", "d.example", "f.example")),
        offer=(extensions.CHUNKING, extensions.PRDR, extensions.ENHANCEDSTATUSCODES),
    ),
    ClientConfig("c.example", chunk_size=40),
)
KINDS: Final = (SUBMISSION, LMTP, PLAIN)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


class Recorder:
    """A client whose events and commands are noted while an operation drives it."""

    __class__ = ClientConnection  # type: ignore[assignment]  # to those who ask what it is

    def __init__(self, conn: ClientConnection) -> None:
        self.conn = conn
        self.events: list[ClientEvent] = []
        self.commands: list[Command] = []
        self.pulls = 0

    def next_event(self) -> object:
        self.pulls += 1
        assert self.pulls < 1000, "it does not end"
        item = self.conn.next_event()
        if not isinstance(item, Need):
            self.events.append(item)
        return item

    def need(self) -> Need:
        """Pull what is left."""
        while not isinstance(item := self.next_event(), Need):
            pass
        assert self.conn.next_event() is item
        return item

    def send(self, *commands: Command) -> object:
        sent = self.conn.send(*commands)
        self.commands += commands
        return sent

    def end_body(self) -> EndOfData:
        end = self.conn.end_body()
        self.commands.append(end)
        return end

    def __getattr__(self, name: str) -> object:
        return getattr(self.conn, name)


@dataclass
class Application:
    """The server's: it keeps what it has taken responsibility for."""

    before: Callable[[ServerConnection, Request], bool] = lambda conn, question: True
    """Called with each question first; False: it has been answered, or cannot be any more."""
    session: Session | None = None
    taken: list[tuple[bytes, str]] = field(default_factory=list)
    """Content and recipient of what was accepted."""
    seen: int = 0

    def __call__(self, conn: ServerConnection, question: Request) -> None:
        assert self.session is not None
        content = self.session.content[self.seen :]
        if isinstance(question, EndOfMessage):
            self.seen += len(content)
        if not self.before(conn, question):
            return
        match question:
            case PasswordLogin(_, "pencil"):
                conn.reply(Reply(235))
            case Rcpt(address) if str(address) == BAD:
                conn.reply(Reply(550, "no such user", "5.1.1"))
            case EndOfMessage(envelope):
                self.end(conn, content, [str(path) for path in envelope.forward_paths])
            case _:
                conn.reply()

    def end(self, conn: ServerConnection, content: bytes, recipients: list[str]) -> None:
        """Where each recipient has a reply, one of them is refused for now."""
        replies = [Reply(452) if name == LATER else Reply(250) for name in recipients]
        if conn.replies_owed == 1:
            replies = [Reply(250)]
        elif conn.replies_owed > len(replies):
            replies.append(Reply(250))  # PRDR's final one
        conn.reply(*replies)
        named = (
            zip(recipients, replies, strict=False)
            if len(replies) > 1
            else ((r, replies[0]) for r in recipients)
        )
        self.taken += [(content, name) for name, reply in named if reply.is_positive]


def errand(
    client: ClientConnection, kind: Kind, results: list[tuple[bytes, SendResult]]
) -> Operation[None]:
    """A session with two messages, one by DATA and one by BDAT."""
    yield from open_session(client, kind.credentials)
    recipients = [GOOD, BAD, LATER]
    for content, chunking in ((FIRST, False), (SECOND, True)):
        result = yield from send_mail(client, "a@b.example", recipients, content, chunking=chunking)
        results.append((content, result))
    yield from quit(client)


Loss = Literal["end of file", "reset"]
STEP: Final[dict[Loss, int]] = {"end of file": 1, "reset": 5}  # to abort is the same at all octets


class Faulty(Wire):
    """Loses the connection after so many octets of one side; acts at a flush."""

    def __init__(
        self,
        kind: Kind,
        *,
        before: Callable[[ServerConnection, Request], bool] | None = None,
        at_flush: Callable[["Faulty", int], None] | None = None,
        client_octets: int = 1 << 30,
        server_octets: int = 1 << 30,
        loss: Loss = "end of file",
        client_tls: TlsInfo | None = SIMULATED_TLS,
        server_tls: TlsInfo | None = SIMULATED_TLS,
    ) -> None:
        self.kind = kind
        self.recorder = Recorder(ClientConnection(kind.client))
        self.application = Application() if before is None else Application(before)
        server = Session(ServerConnection(kind.server), self.application)
        self.application.session = server
        self.results: list[tuple[bytes, SendResult]] = []
        self.error: SessionError | None = None
        self.lost = False
        self.flushes = 0
        self.client_octets = client_octets
        self.server_octets = server_octets
        self.heard = 0
        self.handed_out = b""
        """What the client gave to be sent; ``sent`` is what arrived of it."""
        self._loss = loss
        self._at_flush = at_flush
        super().__init__(
            cast("ClientConnection", self.recorder),
            server,
            client_tls=client_tls,
            server_tls=server_tls,
        )

    def play(self) -> "Faulty":
        """The whole errand, as far as it goes."""
        try:
            self.run(errand(self.client, self.kind, self.results))
        except SessionError as error:
            self.error = error
            self.run(quit(self.client))
            if self.client.state is not State.CLOSED:
                self.client.abort()
        self.flush()
        self.recorder.need()
        if self.server.need is not Need.CLOSE:
            self.server.end()
        return self

    def flush(self) -> None:
        self.flushes += 1
        if self._at_flush is not None:
            self._at_flush(self, self.flushes)
        octets = self.client.data_to_send()
        self.handed_out += octets
        if self.lost:
            return
        left = self.client_octets - len(self.sent)
        self.sent += octets[:left]
        if octets[:left] and self.server_reads:
            self.hear(self.server.feed(octets[:left]))
        if len(octets) > left:
            self.lose()
        if self.server.need is Need.CLOSE and not self.told_of_end:
            self.told_of_end = True
            self.client.receive_data(b"")

    def hear(self, octets: bytes) -> None:
        left = self.server_octets - self.heard
        self.heard += len(octets[:left])
        if octets[:left]:
            self.client.receive_data(octets[:left])
        if len(octets) > left:
            self.lose()

    def lose(self) -> None:
        """Both sides lose each other."""
        if self.lost:
            return
        self.lost = True
        self.told_of_end = True
        if self._loss == "reset":
            self.client.abort("connection reset by peer")
            self.server.conn.abort("connection reset by peer")
            self.server.run()
        else:
            self.client.receive_data(b"")
            self.server.end()
            self.fail_handshake()

    def fail_handshake(self) -> None:
        """What an adapter does about a handshake with nobody."""
        if self.server.conn.state is State.TLS:
            self.server.conn.tls_failed("the connection is lost")
            self.server.run()

    def shake_hands(self) -> None:
        if self.client.state is self.server.conn.state is State.TLS and not self.lost:
            super().shake_hands()
        elif self.client.state is State.TLS:
            self.client.tls_failed("the connection is lost")
        self.fail_handshake()


def check_ends(wire: Faulty) -> None:
    """One Closed a side, the last event; every command ended once; every message, too."""
    client_dialogue.check_brackets(cast("Dialogue", wire.recorder))
    check_brackets(wire.server.events)
    assert wire.server.need is Need.CLOSE
    assert wire.server.closed is not None
    assert wire.server.conn.next_event() is Need.CLOSE
    assert wire.client.data_to_send() == b""


def check_outcomes(wire: Faulty) -> None:
    """What the client believes is what the server did, or it knows that it does not know."""
    taken = wire.application.taken
    for content, result in wire.results:
        assert [str(item.recipient) for item in result.recipients] == [GOOD, BAD, LATER]
        for item in result.recipients:
            check_outcome(wire, content, item, (content, str(item.recipient)) in taken)
    believed = {content for content, _ in wire.results}
    assert {content for content, _ in taken} <= believed, "an error never hides a delivery"


def check_outcome(wire: Faulty, content: bytes, item: RecipientResult, taken: bool) -> None:
    match item.outcome:
        case Disposition.DONE:
            assert taken
            assert item.reply is not None
            assert item.reply.is_positive
        case Disposition.UNKNOWN:
            assert is_whole(wire.handed_out, content)
            assert item.reply is None or item.reply.code == 421
        case _:
            assert not taken


def is_whole(octets: bytes, content: bytes) -> bool:
    """Whether the last octet of the message is among them."""
    if content is SECOND:
        return content[-(len(content) % 40 or 40) :] in octets
    return b"..Hello\r\n..\r\n.\r\n" in octets


def whole(kind: Kind) -> Faulty:
    wire = Faulty(kind).play()
    assert wire.error is None
    return wire


@every_kind
def test_without_a_fault(kind: Kind) -> None:
    """The session that is broken below: what it says when nothing breaks."""
    wire = whole(kind)
    check_ends(wire)
    check_outcomes(wire)
    assert [event.reason for event in wire.server.events if isinstance(event, Closed)] == [
        CloseReason.QUIT
    ]
    each = kind is not SUBMISSION
    for content, result in wire.results:
        assert [item.outcome for item in result.recipients] == [
            Disposition.DONE,
            Disposition.PERMANENT,
            Disposition.RETRY if each else Disposition.DONE,
        ]
        assert (content, GOOD) in wire.application.taken


@every_kind
@pytest.mark.parametrize("loss", ["end of file", "reset"])
def test_the_server_vanishes_after_every_octet(kind: Kind, loss: Loss) -> None:
    unknown = 0
    for octets in range(0, whole(kind).heard, STEP[loss]):
        wire = Faulty(kind, server_octets=octets, loss=loss).play()
        assert wire.lost
        check_ends(wire)
        check_outcomes(wire)
        closed = wire.recorder.events[-1]
        assert isinstance(closed, Closed)
        assert closed.reason in (
            CloseReason.EOF if loss == "end of file" else CloseReason.ABORTED,
            CloseReason.TLS_FAILED,
            CloseReason.QUIT,
        )
        outcomes = [item.outcome for _, result in wire.results for item in result.recipients]
        unknown += Disposition.UNKNOWN in outcomes
    assert unknown, "at some octet nobody can know"


@every_kind
@pytest.mark.parametrize("loss", ["end of file", "reset"])
def test_the_client_vanishes_after_every_octet(kind: Kind, loss: Loss) -> None:
    aborted = 0
    for octets in range(0, len(whole(kind).sent), STEP[loss]):
        wire = Faulty(kind, client_octets=octets, loss=loss).play()
        assert wire.lost
        check_ends(wire)
        check_outcomes(wire)
        contents = [content for content, _ in wire.application.taken]
        assert set(contents) <= {FIRST, SECOND}, "never a piece of a message"
        for content in (FIRST, SECOND):
            assert content not in contents or is_whole(wire.sent, content)
        aborted += any(isinstance(event, MessageAborted) for event in wire.server.events)
    assert aborted > len(FIRST) / STEP[loss]


# -- what else can go wrong, at every point where anybody acts


def closes(conn: ServerConnection) -> bool:
    conn.reply(Reply(421, "going down", "4.3.2"))
    return False


def shuts_down(conn: ServerConnection) -> bool:
    conn.shutdown()
    return True  # the question is still to be answered


def shuts_down_only(conn: ServerConnection) -> bool:
    """The question is never answered: the connection is given up in the end."""
    conn.shutdown()
    assert conn.next_event() is Need.REPLY
    assert conn.timeout is None, "no time runs while it is the application's turn"
    conn.abort("the handler was cancelled")
    return False


def aborts(conn: ServerConnection) -> bool:
    conn.abort("the handler was cancelled")
    with pytest.raises(LocalProtocolError):
        conn.reply()
    return False


def refuses(conn: ServerConnection) -> bool:
    """For now; also what an adapter does about a handler that raised."""
    if isinstance(conn.pending, PasswordLogin):
        conn.reply(Reply(454))
    elif isinstance(conn.pending, EndOfMessage):
        conn.reply(*[Reply(451)] * conn.replies_owed)
    else:
        conn.reply(Reply(454) if isinstance(conn.pending, StartTls) else Reply(451))
    return False


AT_A_QUESTION: Final = (closes, shuts_down, shuts_down_only, aborts, refuses)


@every_kind
@pytest.mark.parametrize("act", AT_A_QUESTION, ids=lambda act: act.__name__)
def test_the_server_s_application_acts_at_every_question(
    kind: Kind, act: Callable[[ServerConnection], bool]
) -> None:
    at = 0
    acted = True
    while acted:
        at += 1
        acted = False
        asked = 0

        def before(conn: ServerConnection, question: Request, at: int = at) -> bool:
            nonlocal acted, asked
            asked += 1
            if asked != at:
                return True
            acted = True
            return act(conn)

        wire = Faulty(kind, before=before).play()
        check_ends(wire)
        check_outcomes(wire)
        if acted and act is not refuses:
            assert wire.server.closed is not None
            assert wire.server.closed.reason in (CloseReason.SHUTDOWN, CloseReason.ABORTED)
    assert at > 10


def test_a_message_taken_before_the_421_of_a_shutdown_is_taken() -> None:
    """The reply owed comes first: it is not lost (RFC 5321 §3.8)."""

    def before(conn: ServerConnection, question: Request) -> bool:
        if isinstance(question, EndOfMessage):
            conn.shutdown()
        return True

    for kind in KINDS:
        wire = Faulty(kind, before=before).play()
        check_ends(wire)
        check_outcomes(wire)
        (_, first), (_, second) = wire.results
        assert first.recipients[0].outcome is Disposition.DONE
        assert {item.outcome for item in second.recipients} == {Disposition.RETRY}
        assert wire.server.closed is not None
        assert wire.server.closed.reason is CloseReason.SHUTDOWN


def server_shuts_down(wire: Faulty) -> None:
    wire.server.conn.shutdown()
    wire.hear(wire.server.run())


def server_times_out(wire: Faulty) -> None:
    if wire.server.conn.timeout is not None:
        wire.server.conn.timed_out()
        wire.hear(wire.server.run())


def server_aborts(wire: Faulty) -> None:
    wire.server.conn.abort("reset")
    assert wire.server.run() == b"", "nothing more is sent"


def client_times_out(wire: Faulty) -> None:
    wire.client.timed_out()
    wire.server.end()
    wire.fail_handshake()


def client_aborts(wire: Faulty) -> None:
    wire.client.abort("the task was cancelled")
    assert wire.client.data_to_send() == b"", "never a final dot for what was given up"
    wire.server.end()
    wire.fail_handshake()


AT_A_FLUSH: Final = (
    server_shuts_down,
    server_times_out,
    server_aborts,
    client_times_out,
    client_aborts,
)


@every_kind
@pytest.mark.parametrize("act", AT_A_FLUSH, ids=lambda act: act.__name__)
def test_either_side_acts_at_every_flush(kind: Kind, act: Callable[[Faulty], None]) -> None:
    last = whole(kind).flushes
    assert last > 8
    for at in range(1, last):

        def at_flush(wire: Faulty, count: int, at: int = at) -> None:
            if count == at:
                act(wire)

        wire = Faulty(kind, at_flush=at_flush).play()
        check_ends(wire)
        check_outcomes(wire)


@pytest.mark.parametrize("side", ["client_tls", "server_tls"])
def test_the_handshake_fails(side: str) -> None:
    wire = Faulty(SUBMISSION, **{side: None})  # type: ignore[arg-type]
    wire.play()
    assert isinstance(wire.error, TlsFailed)
    check_ends(wire)
    closed = wire.recorder.events[-1]
    assert isinstance(closed, Closed)
    assert wire.server.closed is not None
    assert closed.reason is wire.server.closed.reason is CloseReason.TLS_FAILED
    assert closed.error == "as the test wants it"
    assert wire.handed_out == b"EHLO c.example\r\nSTARTTLS\r\n", "no fall-back to clear text"
    assert not wire.results


def test_the_service_is_refused() -> None:
    def before(conn: ServerConnection, question: Request) -> bool:
        conn.reply(Reply(554, "not for you"))
        return False

    for kind in KINDS:
        wire = Faulty(kind, before=before).play()
        assert isinstance(wire.error, ServiceRefused)
        check_ends(wire)
        assert wire.handed_out == b"QUIT\r\n"


def test_a_lost_connection_says_so() -> None:
    wire = Faulty(LMTP, server_octets=10).play()
    assert isinstance(wire.error, ConnectionLost)
    assert str(wire.error)


# -- the application is late, answers twice, or never


def late(kind: Kind) -> tuple[Session, list[Request]]:
    """A server whose application keeps its questions."""
    questions: list[Request] = []
    server = Session(
        ServerConnection(kind.server), lambda conn, question: questions.append(question)
    )
    server.run()
    return server, questions


TRANSACTION: Final = (
    b"LHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\n"
    b"DATA\r\nHello\r\n.\r\nQUIT\r\n"
)


def test_late_answers_change_nothing() -> None:
    """Whatever has arrived meanwhile waits; a time-out does not run."""
    prompt = Session(ServerConnection(LMTP.server))
    prompt.run()
    prompt.feed(TRANSACTION)
    server, questions = late(LMTP)
    for at in range(len(TRANSACTION)):  # everything arrives before the greeting is given
        if server.conn.wants_data:
            server.feed(TRANSACTION[at : at + 1])
    server.end()
    answered = 0
    while server.need is Need.REPLY:
        assert server.conn.timeout is None
        assert server.conn.pending is questions[-1]
        while server.conn.pending is questions[-1]:
            server.conn.reply()
        answered += 1
        server.run()
    assert answered == len(questions) == 7
    assert server.sent == prompt.sent
    assert server.events == prompt.events
    assert server.closed == Closed(CloseReason.QUIT, Reply(221, "Goodbye", "2.0.0"))


def test_an_answer_too_many_is_refused_and_changes_nothing() -> None:
    server, questions = late(LMTP)
    server.feed(TRANSACTION)
    while server.need is Need.REPLY:
        question = questions[-1]
        while server.conn.pending is question:
            server.conn.reply(to=question)
        output = server.conn.data_to_send()
        for again in ((), (Reply(250),), (Reply(421),)):
            with pytest.raises(LocalProtocolError):
                server.conn.reply(*again, to=question)
        assert server.conn.data_to_send() == b""
        server.sent += output
        server.run()
    assert server.closed is not None
    assert server.closed.reason is CloseReason.QUIT
    assert not [event for event in server.events if isinstance(event, MessageAborted)]


def test_a_late_answer_does_not_hit_the_next_question() -> None:
    server, questions = late(LMTP)
    server.conn.reply()
    server.run()
    server.feed(b"LHLO c.example\r\n")
    server.conn.reply()
    server.run()
    server.feed(b"MAIL FROM:<a@b.example>\r\n")
    mail = questions[-1]
    assert isinstance(mail, Mail)
    server.conn.reply()
    server.run()
    server.feed(b"RCPT TO:<c@d.example>\r\n")
    with pytest.raises(LocalProtocolError, match="no longer pending"):
        server.conn.reply(Reply(250), to=mail)
    assert server.conn.envelope is not None
    assert server.conn.envelope.recipients == ()


@pytest.mark.parametrize("octets", [b"", b"NOOP\r\n"])
def test_no_answer_ever(octets: bytes) -> None:
    """Without an answer nothing moves, and nothing spins; the end is the adapter's abort."""
    for at in range(1, 8):
        server, questions = late(LMTP)
        if octets:
            server.feed(octets)
        server.feed(TRANSACTION)
        while len(questions) < at:
            while server.conn.pending is questions[-1]:
                server.conn.reply()
            server.run()
        server.end()
        assert [server.conn.next_event() for _ in range(5)] == [Need.REPLY] * 5
        server.conn.abort()
        server.run()
        check_brackets(server.events)
        assert server.closed == Closed(CloseReason.ABORTED)
        assert server.need is Need.CLOSE


def test_what_an_application_raises_leaves_the_question_pending() -> None:
    """The engine calls nobody but the trace; an answer that raises has changed nothing."""
    server, questions = late(LMTP)
    for wrong in (Reply(354), Reply(250), Reply(235)):
        with pytest.raises(LocalProtocolError):
            server.conn.reply(wrong)
        assert server.conn.pending is questions[-1]
    server.conn.reply()
    assert server.run() == b"220 mx.example ESMTP\r\n"


run_once: Final = Session.run


def test_what_a_trace_raises_propagates_and_loses_nothing() -> None:
    class BrokenTraceError(Exception):
        pass

    def broken(direction: str, octets: bytes) -> None:
        raise BrokenTraceError

    for kind in KINDS:
        prompt = whole(kind)
        again = Faulty(kind)
        again.server.conn.trace = broken
        raised = 0

        def run(self: Session) -> bytes:
            nonlocal raised
            while True:
                try:
                    return run_once(self)
                except BrokenTraceError:
                    raised += 1

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "run", run)
            again.play()
        assert raised > 10
        assert again.server.sent == prompt.server.sent
        assert again.server.events == prompt.server.events
        assert again.application.taken == prompt.application.taken


# -- the client's application: its content raises, or it gives the operation up


class ContentError(Exception):
    """What a content may raise."""


def broken_after(chunks: int) -> Iterator[bytes]:
    for _ in range(chunks):
        yield b"Hello\r\n" * 20
    raise ContentError


@every_kind
@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_content_that_raises_never_looks_complete(
    kind: Kind, chunking: bool, chunks: int
) -> None:
    wire = Faulty(kind)
    wire.run(open_session(wire.client, kind.credentials))
    before = len(wire.handed_out)
    with pytest.raises(ContentError):
        wire.run(
            send_mail(wire.client, "a@b.example", [GOOD], broken_after(chunks), chunking=chunking)
        )
    wire.flush()
    wire.recorder.need()
    wire.server.end()
    check_ends(wire)
    said = wire.handed_out[before:]
    assert b"\r\n.\r\n" not in said
    assert b"LAST" not in said
    assert not wire.application.taken
    closed = wire.recorder.events[-1]
    assert isinstance(closed, Closed)
    assert closed.reason is CloseReason.ABORTED


@every_kind
@pytest.mark.parametrize("chunking", [False, True])
def test_an_operation_that_is_given_up_at_every_step(kind: Kind, chunking: bool) -> None:
    """As by a cancelled task: ``close()`` on the generator, wherever it stands."""
    steps = 0
    finished = False
    while not finished:
        wire = Faulty(kind)
        wire.run(open_session(wire.client, kind.credentials))
        operation = send_mail(wire.client, "a@b.example", [GOOD, BAD], FIRST, chunking=chunking)
        try:
            for _ in range(steps):
                next(operation)
                wire.flush()
        except StopIteration:
            finished = True
        operation.close()
        wire.flush()
        wire.client.abort()
        wire.recorder.need()
        wire.server.end()
        check_ends(wire)
        assert {content for content, _ in wire.application.taken} <= {FIRST}
        assert bool(wire.application.taken) <= is_sent(wire, chunking)
        steps += 1
    assert steps > 3


def is_sent(wire: Faulty, chunking: bool) -> bool:
    return b"LAST" in wire.handed_out if chunking else b"\r\n.\r\n" in wire.handed_out


def test_a_client_s_trace_that_raises_loses_nothing() -> None:
    class BrokenTraceError(Exception):
        pass

    def broken(direction: str, octets: bytes) -> None:
        raise BrokenTraceError

    def insist(call: Callable[[], T]) -> T:
        for _ in range(1000):
            try:
                return call()
            except BrokenTraceError:
                pass
        raise AssertionError("it raises for ever")

    prompt = whole(LMTP)
    again = Faulty(LMTP)
    again.recorder.conn.trace = broken
    pull, hand_out = again.recorder.next_event, again.recorder.conn.data_to_send
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(again.recorder, "next_event", lambda: insist(pull))
        patch.setattr(again.recorder, "data_to_send", lambda: insist(hand_out), raising=False)
        again.play()
    assert again.handed_out == prompt.handed_out
    assert again.recorder.events == prompt.recorder.events
    assert again.results == prompt.results


def test_no_command_outlives_its_connection() -> None:
    """What is queued when the end comes was never sent, and says so."""
    wire = Faulty(LMTP)
    wire.run(open_session(wire.client))
    mail = wire.client.send(Mail(Address.parse("a@b.example")))
    wire.client.abort()
    wire.recorder.need()
    assert wire.recorder.events[-2:] == [
        Unanswered(mail, Cause.NOT_SENT),
        Closed(CloseReason.ABORTED),
    ]
    with pytest.raises(LocalProtocolError):
        wire.client.send(Mail(None))
