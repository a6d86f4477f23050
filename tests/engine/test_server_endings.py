"""The end may come at every point: of the stream, by a call, by a reply. It comes once."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.depth import examples
from tests.engine.transcript import (
    LMTP,
    RELAY,
    TLS,
    Session,
    answers,
    check_brackets,
    session,
    state_of,
    wait,
)

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Closed,
    CloseReason,
    EndOfMessage,
    Envelope,
    MessageAborted,
    ServerEvent,
)
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import BURL, EXPN, PRDR
from smtpwire.sasl import PasswordLogin, PlainPassword, TokenLogin
from smtpwire.wire.command import Data
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

EVERYTHING: Final = replace(
    ServerConfig.submission("mx.example"),
    require_auth=False,
    mechanisms=("SCRAM-SHA-256", "CRAM-MD5", "OAUTHBEARER", "PLAIN", "LOGIN", "ANONYMOUS"),
    cleartext_without_tls=True,
    scram_secret=b"shared by all processes",
    offer=(*RELAY.offer, BURL(("imap",)), EXPN, PRDR),
)
DIALOGUES: Final[dict[str, tuple[ServerConfig, bytes]]] = {
    "DATA": (
        RELAY,
        b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
        b"one\r\n..two\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nbare\nx\r\n.\r\nQUIT\r\n",
    ),
    "BDAT": (
        RELAY,
        b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
        b"BDAT 5\r\none\r\nBDAT 6 LAST\r\nQUIT\r\nBDAT 3\r\nabcQUIT\r\n",
    ),
    "LMTP": (
        LMTP,
        b"LHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
        b"RCPT TO:<e@d.example>\r\nDATA\r\none\r\n.\r\nQUIT\r\n",
    ),
    "AUTH": (
        EVERYTHING,
        b"EHLO c.example\r\nAUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n",
    ),
    "errors": (
        RELAY,
        b"XYZZY\r\nNOOP\nNOOP\r\nNO\rOP\r\nEHLO c\r\nMAIL FROM:<a@b> X\r\nBDAT x\r\n",
    ),
    "HTTP": (RELAY, b"GET / HTTP/1.1\r\nHost: mx.example\r\n\r\n"),
}
ENDS: Final[dict[str, Callable[[ServerConnection], object]]] = {
    "end of stream": lambda conn: conn.receive_data(b""),
    "end of stream, twice": lambda conn: [*map(conn.receive_data, (b"", b""))],
    "abort": lambda conn: conn.abort("lost"),
    "shutdown": lambda conn: conn.shutdown(),
    "timed_out": lambda conn: conn.timed_out() if conn.timeout is not None else conn.abort(),
}


def ended_once(made: Session) -> None:
    assert made.at(Need.CLOSE)
    assert sum(isinstance(event, Closed) for event in made.events) == 1
    assert isinstance(made.events[-1], Closed)
    check_brackets(made.events)
    opened = closed = 0
    for event in made.events:
        opened += isinstance(event, Data)
        closed += isinstance(event, EndOfMessage | MessageAborted)
    assert closed <= opened
    assert made.conn.next_event() is Need.CLOSE
    assert made.conn.pending is None
    assert not made.conn.wants_data
    assert made.conn.timeout is None
    made.conn.receive_data(b"ignored")
    made.conn.shutdown()
    made.conn.abort()
    assert made.conn.next_event() is Need.CLOSE
    assert made.conn.data_to_send() == b""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", DIALOGUES)
def test_after_every_octet(name: str, end: str) -> None:
    config, stream = DIALOGUES[name]
    whole = session(config, hello=None)
    whole.feed(stream)
    for at in range(len(stream) + 1):
        made = session(config, hello=None)
        if at:
            made.feed(stream[:at])
        before = made.sent
        assert whole.sent.startswith(before), at
        if not made.at(Need.CLOSE):
            ENDS[end](made.conn)
            last = made.run()
            if end in ("abort", "end of stream", "end of stream, twice"):
                assert last == b""
            else:
                assert last.startswith(b"421 ")
        ended_once(made)


@pytest.mark.parametrize("name", DIALOGUES)
def test_what_came_before_the_end_is_answered(name: str) -> None:
    """Exim sends a whole transaction with QUIT in one write and closes its side."""
    config, stream = DIALOGUES[name]
    apart = session(config, hello=None)
    apart.feed(stream)
    made = session(config, hello=None)
    made.conn.receive_data(stream)
    made.conn.receive_data(b"")
    assert made.conn.eof_received
    made.run()
    assert made.sent == apart.sent
    assert made.at(Need.CLOSE)


def test_the_end_of_the_stream_while_an_answer_is_owed() -> None:
    made = session(answer=wait)
    made.feed(b"VRFY c\r\n")
    made.conn.receive_data(b"NOOP\r\n")
    made.conn.receive_data(b"")
    made.run()
    assert made.at(Need.REPLY)
    made.conn.reply()
    assert made.run().endswith(b"250 2.0.0 OK\r\n")
    ended_once(made)


def test_shutdown_says_what_it_is_told_to() -> None:
    for reply, sent in (
        (None, b"421 4.3.2 Service shutting down\r\n"),
        (Reply(421, "Full"), b"421 4.0.0 Full\r\n"),
        (Reply(421, "Full", "4.3.1"), b"421 4.3.1 Full\r\n"),
    ):
        made = session()
        made.conn.shutdown(reply)
        assert made.run() == sent
        assert made.closed is not None
        assert made.closed.reason is CloseReason.SHUTDOWN
        assert made.closed.reply is not None
        assert made.closed.reply.code == 421


def test_abort_drops_what_was_not_written() -> None:
    made = session()
    made.conn.receive_data(b"RSET\r\n")
    made.tell(made.conn.next_event())  # type: ignore[arg-type]
    made.conn.abort("reset by peer")
    assert made.conn.data_to_send() == b""
    made.run()
    assert made.events[-1] == Closed(CloseReason.ABORTED, None, "reset by peer")


def test_each_reason_of_an_abortion() -> None:
    reasons = {
        "abort": Aborted.CLOSED,
        "shutdown": Aborted.SHUTDOWN,
        "timed_out": Aborted.TIMEOUT,
        "end of stream": Aborted.CLOSED,
    }
    for end, reason in reasons.items():
        made = session()
        made.feed(b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx")
        ENDS[end](made.conn)
        made.run()
        [aborted] = [event for event in made.events if isinstance(event, MessageAborted)]
        assert aborted.reason is reason


# -- anything in any order

PIECES: Final = (
    b"EHLO c.example\r\n",
    b"HELO c.example\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<a@b.example> PRDR\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b"DATA\r\n",
    b"text\r\n",
    b".\r\n",
    b"BDAT 4\r\n",
    b"BDAT 0 LAST\r\n",
    b"BURL imap://h/i;uid=1\r\n",
    b"BURL imap://h/i;uid=1 LAST\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY c\r\n",
    b"EXPN c\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n",
    b"AUTH PLAIN Ym9zcwB1c2VyAHBhc3M=\r\n",
    b"AUTH OAUTHBEARER bixhPXVzZXIsAWF1dGg9QmVhcmVyIHRva2VuAQE=\r\n",
    b"AUTH CRAM-MD5\r\n",
    b"dXNlciAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==\r\n",
    b"AUTH LOGIN\r\n",
    b"dXNlcg==\r\n",
    b"*\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"x" * 600,
    b"BDAT 4 LAST\r\nabcd",
    b"BDAT x\r\n",
    b"QUIT\r\n",
    b"GET / HTTP/1.1\r\n",
)
GIVEN: Final = (Reply(250), Reply(235), Reply(220), Reply(354), Reply(450), Reply(550), Reply(421))
CALLS: Final = ("flush", "default", "supply", "end", "shutdown", "timed_out", "tls", "tls_failed")

ENVELOPE: Final = b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
BEGUN: Final = (b"EHLO c.example\r\n", ENVELOPE, ENVELOPE + b"DATA\r\n", ENVELOPE + b"BDAT 4\r\n")

step = st.one_of(
    st.sampled_from(PIECES),
    st.sampled_from(PIECES),
    st.sampled_from(GIVEN),
    st.sampled_from(("default", "flush", "default")),
    st.sampled_from(CALLS),
)


class Anything:
    """Does to one connection what it is told to, and looks that every promise is kept."""

    def __init__(self, config: ServerConfig) -> None:
        self.conn = ServerConnection(config)
        self.events: list[ServerEvent] = []
        self.pull()

    def pull(self) -> None:
        while not isinstance(item := self.conn.next_event(), Need):
            self.events.append(item)
        assert self.conn.next_event() is item
        assert self.conn.pending is None or item is Need.REPLY
        assert item is not Need.DATA or self.conn.timeout is not None, "somebody is waited for"
        self.need = item

    def call(self, act: Callable[[], object]) -> None:
        before = state_of(self.conn)
        try:
            act()
        except LocalProtocolError:
            assert state_of(self.conn) == before, "misuse changes nothing"

    def do(self, what: bytes | Reply | str) -> None:
        conn = self.conn
        match what:
            case bytes():
                if conn.wants_data:
                    conn.receive_data(what)
            case Reply():
                self.call(lambda: conn.reply(what))
            case "default":
                self.call(conn.reply)
            case "supply":
                self.call(lambda: conn.supply(PlainPassword("pass")))
            case "end":
                conn.receive_data(b"")
            case "shutdown":
                conn.shutdown()
            case "timed_out":
                self.call(conn.timed_out)
            case "tls":
                self.call(lambda: conn.tls_started(TLS))
            case "tls_failed":
                self.call(lambda: conn.tls_failed("no"))
            case _:
                if conn.data_to_send():
                    assert conn.timeout is not None, "a peer that reads nothing is noticed"
        self.pull()


@given(
    st.sampled_from(BEGUN),
    st.lists(step, max_size=25),
    st.sampled_from((EVERYTHING, RELAY, LMTP)),
)
@settings(max_examples=examples(3))
def test_anything_in_any_order(
    begun: bytes, steps: list[bytes | Reply | str], config: ServerConfig
) -> None:
    made = Anything(config)
    made.do(begun.replace(b"EHLO", b"LHLO") if config is LMTP else begun)
    for what in ("default", "default", "default", "default", *steps):
        made.do(what)
    made.conn.abort()
    made.pull()
    assert made.need is Need.CLOSE
    assert sum(isinstance(event, Closed) for event in made.events) == 1
    assert isinstance(made.events[-1], Closed)
    check_brackets(made.events)


@given(st.sampled_from(BEGUN), st.lists(st.sampled_from(PIECES), max_size=15), st.data())
@settings(max_examples=examples(2))
def test_how_octets_arrive_does_not_matter(
    begun: bytes, pieces: list[bytes], data: st.DataObject
) -> None:
    """A willing application; STARTTLS and what follows it apart."""
    stream = begun + b"".join(piece for piece in pieces if piece != b"STARTTLS\r\n")
    willing = answers({PasswordLogin: Reply(235), TokenLogin: Reply(535)})
    runs: list[tuple[bytes, list[ServerEvent], State, Envelope | None]] = []
    ends: list[int] = []
    for _ in range(2):
        made = session(EVERYTHING, willing, hello=None)
        made.conn.trace = None
        at = 0
        while at < len(stream) and not made.at(Need.CLOSE):
            size = data.draw(st.integers(1, 40)) if runs else len(stream)
            made.feed(stream[at : at + size])
            at += size
        runs.append((hidden(made.sent), made.events, made.conn.state, made.conn.envelope))
        ends += [at for at, event in enumerate(made.events) if is_unframed(event)]
    if ends:  # what stands behind a refused DATA is a body where it came before the refusal left
        assert runs[0][1][: min(ends)] == runs[1][1][: min(ends)]
    else:
        assert runs[0] == runs[1]


def is_unframed(event: ServerEvent) -> bool:
    return isinstance(event, ProtocolViolation) and event.kind is ViolationKind.UNFRAMED_BODY


def hidden(sent: bytes) -> bytes:
    """Less the challenges of CRAM-MD5, of which no two are the same."""
    lines = sent.split(b"\r\n")
    return b"\r\n".join(
        b"334 ..." if len(line) > 30 and line[:4] == b"334 " else line for line in lines
    )


def test_a_message_whose_end_could_not_be_told_is_aborted() -> None:
    made = session()
    made.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 4\r\nHi\r\n")

    def trace(direction: str, octets: bytes) -> None:
        raise OSError("no space left")

    made.conn.trace = trace
    made.conn.receive_data(b"BDAT 0 LAST\r\n")
    with pytest.raises(OSError, match="no space left"):
        made.conn.next_event()
    made.conn.abort()
    assert made.conn.next_event() == MessageAborted(Aborted.CLOSED)
    assert made.conn.next_event() == Closed(CloseReason.ABORTED)
    assert made.conn.next_event() is Need.CLOSE
