"""Every bound is held, whoever the peer is and whoever is to act; and everything is linear.

``BOUNDS`` names a test for each field of ``Limits``. Memory is measured by what is allocated, work
by how many functions are called: twice the octets must not cost more than twice as much.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, Literal

import pytest
from tests.engine.client_dialogue import ALICE, BOB, VERIFIED
from tests.engine.transcript import Session, wait
from tests.memory import traced_memory

from smtpwire import (
    AuthenticationEnded,
    ClientConfig,
    ClientConnection,
    ClientEvent,
    Closed,
    CloseReason,
    Data,
    Hello,
    Limits,
    LocalProtocolError,
    Mail,
    Need,
    Noop,
    PasswordLogin,
    ProtocolViolation,
    Rcpt,
    Reply,
    Request,
    ServerConfig,
    ServerConnection,
    StartTls,
    ViolationKind,
    replace,
)
from smtpwire.sasl import PENDING, Pending
from smtpwire.testing import drain

HELLO: Final = b"EHLO c.example\r\n"
MAIL: Final = b"MAIL FROM:<a@b.example>\r\n"
RCPT: Final = b"RCPT TO:<c@d.example>\r\n"
EVERYTHING: Final = replace(
    ServerConfig.relay("mx.example"),
    starttls=True,
    mechanisms=("PLAIN", "LOGIN"),
    cleartext_without_tls=True,
)


# -- the server


def server(
    answer: "Callable[[ServerConnection, Request], None] | None" = None, **limits: int
) -> Session:
    """A server with these limits, greeted with EHLO, that asks ``answer`` from then on."""
    made = Session(ServerConnection(replace(EVERYTHING, limits=Limits(**limits))))
    made.run()
    made.feed(HELLO)
    if answer is not None:
        made.answer = answer
    return made


def codes(octets: bytes) -> list[int]:
    """The replies' codes, of the last line of each."""
    return [int(line[:3]) for line in octets.split(b"\r\n")[:-1] if line[3:4] == b" "]


def refuse(conn: ServerConnection, question: Request) -> None:
    conn.reply(Reply(550)) if isinstance(question, Rcpt) else conn.reply()


def test_command_line() -> None:
    made = server(command_line=600)
    line = b"NOOP " + b"x" * 600
    assert codes(made.feed(line[:598] + b"\r\n")) == [250]
    assert codes(made.feed(line[:599] + b"\r\n")) == [500]
    assert codes(made.feed(b"NOOP\r\n")) == [250], "the line is dropped up to its end"


def test_sasl_line_of_a_server() -> None:
    for size, code in ((1000, 501), (1001, 500)):  # both are no base64; the longer is not looked at
        made = server(sasl_line=1000)
        assert codes(made.feed(b"AUTH LOGIN\r\n")) == [334]
        assert codes(made.feed(b"*" * (size - 2) + b"\r\n")) == [code]


def test_message() -> None:
    for size, code in ((1000, 250), (1001, 552)):
        made = server(message=1000)
        content = b"x" * (size - 2) + b"\r\n"
        assert codes(made.feed(MAIL + RCPT + b"DATA\r\n")) == [250, 250, 354]
        assert codes(made.feed(content + b".\r\n")) == [code]
        assert len(made.content) <= 1000


def test_recipients() -> None:
    made = server(recipients=3)
    assert codes(made.feed(MAIL + RCPT * 5)) == [250] * 4 + [452] * 2
    assert made.conn.envelope is not None
    assert len(made.conn.envelope.recipients) == 3


def test_excess_recipients() -> None:
    made = server(recipients=1, excess_recipients=2)
    assert codes(made.feed(MAIL + RCPT * 5)) == [250, 250, 452, 452, 421]
    assert made.need is Need.CLOSE


def test_refused_recipients() -> None:
    made = server(refuse, refused_recipients=3)
    assert codes(made.feed(MAIL + RCPT * 5)) == [250, 550, 550, 550, 550, 421]
    assert made.need is Need.CLOSE


def test_errors() -> None:
    made = server(errors=3)
    assert codes(made.feed(b"NONSENSE\r\n" * 5)) == [500, 500, 500, 421]
    assert made.closed is not None
    assert made.closed.reason is CloseReason.ERRORS


def test_junk() -> None:
    made = server(junk=4)  # EHLO was the first
    assert codes(made.feed(b"NOOP\r\n" * 5)) == [250, 250, 250, 421]


def test_authentications() -> None:
    made = server(authentications=2)
    assert codes(made.feed(b"AUTH PLAIN AGEAYg==\r\n")) == [535]
    assert codes(made.feed(b"AUTH PLAIN *\r\n")) == [501, 421]


def flood(made: Session, chunk: bytes = b"x" * 1000) -> int:
    """Send without end; how much was taken before the engine would have no more."""
    taken = 0
    while made.conn.wants_data:
        made.conn.receive_data(chunk)
        taken += len(chunk)
        made.run()
        assert taken < 1 << 20, "no bound"
    with pytest.raises(LocalProtocolError, match="backlog"):
        made.conn.receive_data(b"x")
    return taken


def test_backlog_while_a_reply_is_owed() -> None:
    made = server(wait, backlog=5000, junk=10**6)
    made.feed(MAIL)
    assert made.need is Need.REPLY
    assert flood(made, b"RSET\r\n") in range(5000, 5006)
    made.conn.reply()
    made.run()
    assert made.conn.wants_data
    assert len(made.events) > 500, "nothing of it is lost"


def test_backlog_while_a_mechanism_waits() -> None:
    """An application that looks a password up takes its time; the client does not."""
    made = server(wait, backlog=5000)
    made.feed(b"AUTH PLAIN AHVzZXIAcGVuY2ls\r\n")
    assert isinstance(made.conn.pending, PasswordLogin)
    assert flood(made) == 5000
    made.conn.reply(Reply(235))
    made.run()
    assert made.conn.wants_data


def test_backlog_before_the_greeting_is_given() -> None:
    made = Session(ServerConnection(replace(EVERYTHING, limits=Limits(backlog=5000))), wait)
    made.run()
    assert flood(made) == 5000


def test_output_of_a_server() -> None:
    conn = ServerConnection(replace(EVERYTHING, limits=Limits(output=2000, errors=10**6)))
    conn.next_event()
    conn.reply()
    conn.next_event()
    conn.data_to_send()
    conn.receive_data(b"RCPT\r\n" * 10_000)  # their replies need not be flushed one by one
    most = 0
    while True:
        item = conn.next_event()
        if isinstance(item, Need):
            queued = len(conn.data_to_send())
            most = max(most, queued)
            if item is not Need.WRITE:
                break
    assert 2000 <= most < 2100


def test_swallow() -> None:
    made = server(message=100, swallow=1000)
    made.feed(MAIL + RCPT + b"DATA\r\n")
    made.feed(b"x" * 101)
    assert codes(made.feed(b"x" * 999)) == []
    assert codes(made.feed(b"x" * 2)) == [421]
    assert made.need is Need.CLOSE


def test_trailing() -> None:
    made = server(trailing=1000)
    assert codes(made.feed(b"STARTTLS\r\n")) == [220]
    assert made.need is Need.TLS
    assert not made.conn.wants_data
    for _ in range(100):
        made.conn.receive_data(b"\x16\x03" * 50)
    assert made.conn.trailing_data == b"\x16\x03" * 500


# -- the client


def client(*keywords: str, **limits: int) -> ClientConnection:
    """A client with these limits, after EHLO."""
    conn = ClientConnection(ClientConfig("c.example", limits=Limits(**limits)), tls=VERIFIED)
    hear(conn, b"220 mx.example\r\n")
    conn.send(Hello("c.example"))
    conn.data_to_send()
    lines = ("mx.example", *keywords, "DSN")
    hear(conn, b"".join(b"250-%b\r\n" % line.encode() for line in lines) + b"250 HELP\r\n")
    return conn


def hear(conn: ClientConnection, octets: bytes) -> list[ClientEvent]:
    conn.receive_data(octets)
    return drain(conn)[0]


def violation(events: list[ClientEvent]) -> ViolationKind:
    found, closed = (event for event in events if isinstance(event, ProtocolViolation | Closed))
    assert isinstance(found, ProtocolViolation)
    assert found.fatal
    assert isinstance(closed, Closed)
    assert closed.reason is CloseReason.VIOLATION
    return found.kind


def asking(**limits: int) -> ClientConnection:
    conn = client(**limits)
    conn.send(Noop())
    conn.data_to_send()
    return conn


def test_reply_line() -> None:
    assert hear(asking(reply_line=100), b"250 " + b"x" * 94 + b"\r\n")
    for octets in (b"250 " + b"x" * 95 + b"\r\n", b"x" * 100, b"250-" + b"x" * 96):
        assert violation(hear(asking(reply_line=100), octets)) in (
            ViolationKind.LINE_TOO_LONG,
            ViolationKind.MALFORMED_REPLY,
        )


def test_reply_lines() -> None:
    assert hear(asking(reply_lines=10), b"250-x\r\n" * 9 + b"250 x\r\n")
    events = hear(asking(reply_lines=10), b"250-x\r\n" * 10)
    assert violation(events) is ViolationKind.REPLY_TOO_LONG


def test_reply() -> None:
    line = b"250-" + b"x" * 94 + b"\r\n"
    assert hear(asking(reply=1000), line * 9 + b"250 x\r\n")
    events = hear(asking(reply=1000), line * 11)
    assert violation(events) is ViolationKind.REPLY_TOO_LONG


def test_flight() -> None:
    conn = client("PIPELINING", flight=500)
    conn.send(Mail(ALICE))
    for _ in range(100):
        conn.send(Rcpt(BOB))
    first = conn.data_to_send()
    assert 450 < len(first) <= 500
    assert conn.data_to_send() == b""
    hear(conn, b"250 OK\r\n" * 3)
    assert 0 < len(conn.data_to_send()) <= 500


def test_in_flight() -> None:
    conn = client("PIPELINING", in_flight=5)
    conn.send(Mail(ALICE))
    for _ in range(100):
        conn.send(Rcpt(BOB))
    assert conn.data_to_send().count(b"\r\n") == 5
    hear(conn, b"250 OK\r\n" * 2)
    assert conn.data_to_send().count(b"\r\n") == 2
    assert conn.replies_owed == 5


class Waiting:
    """A mechanism that waits for somebody else, as GSSAPI may."""

    name = "X-WAITING"
    client_first = complete = mutual = server_proven = False
    error = ""

    def initial(self) -> None:
        return None

    def step(self, challenge: bytes) -> Literal[Pending.PENDING]:
        return PENDING

    def answer(self, data: bytes) -> bytes:
        return data


def flooded(conn: ClientConnection, chunk: bytes) -> int:
    """Let the server send without end while nobody pulls; how much was taken."""
    taken = 0
    while conn.wants_data:
        conn.receive_data(chunk)
        taken += len(chunk)
        assert taken < 1 << 20, "no bound"
    with pytest.raises(LocalProtocolError, match="backlog"):
        conn.receive_data(chunk)
    return taken


def test_backlog_of_a_client() -> None:
    conn = asking(backlog=5000)
    assert flooded(conn, b"250 OK\r\n") in range(5000, 5009)
    assert violation(drain(conn)[0]) is ViolationKind.UNEXPECTED_REPLY


def test_backlog_of_a_client_while_its_mechanism_waits() -> None:
    conn = client("AUTH X-WAITING", backlog=5000)
    conn.authenticate(Waiting())
    conn.data_to_send()
    assert not hear(conn, b"334 \r\n")
    assert flooded(conn, b"334 eA==\r\n") in range(5000, 5011)
    assert violation(drain(conn)[0]) is ViolationKind.UNEXPECTED_REPLY


def test_sasl_line_of_a_client() -> None:
    for size, too_long in ((8000, False), (8001, True)):
        conn = client("AUTH X-WAITING", sasl_line=8000, reply_line=100)
        conn.authenticate(Waiting())
        conn.data_to_send()
        hear(conn, b"334 \r\n")
        conn.answer(b"x")
        conn.data_to_send()
        events = hear(conn, b"334 " + b"A" * (size - 6) + b"\r\n")
        assert bool(events) is too_long
        if too_long:
            assert (
                violation([event for event in events if not isinstance(event, AuthenticationEnded)])
                is ViolationKind.LINE_TOO_LONG
            )


def test_output_of_a_client() -> None:
    conn = client("CHUNKING", output=2000)
    for command in (Mail(ALICE), Rcpt(BOB)):
        conn.send(command)
        conn.data_to_send()
        hear(conn, b"250 OK\r\n")
    conn.send(Data())
    conn.data_to_send()
    hear(conn, b"354 go ahead\r\n")
    assert conn.next_event() is Need.BODY
    conn.send_body(b"x" * 1998 + b"\r\n")
    assert conn.next_event() is Need.WRITE
    assert len(conn.data_to_send()) == 2000
    assert conn.next_event() is Need.BODY


def test_trailing_of_a_client() -> None:
    conn = ClientConnection(ClientConfig("c.example", limits=Limits(trailing=1000)))
    hear(conn, b"220 mx.example\r\n")
    conn.send(Hello("c.example"))
    conn.data_to_send()
    hear(conn, b"250-mx.example\r\n250 STARTTLS\r\n")
    conn.send(StartTls())
    conn.data_to_send()
    hear(conn, b"220 go ahead\r\n")
    assert conn.next_event() is Need.TLS
    for _ in range(100):
        conn.receive_data(b"\x16\x03" * 50)
    assert conn.trailing_data == b"\x16\x03" * 500


BOUNDS: Final[dict[str, tuple[Callable[[], None], ...]]] = {
    "command_line": (test_command_line,),
    "sasl_line": (test_sasl_line_of_a_server, test_sasl_line_of_a_client),
    "message": (test_message,),
    "recipients": (test_recipients,),
    "excess_recipients": (test_excess_recipients,),
    "refused_recipients": (test_refused_recipients,),
    "errors": (test_errors,),
    "junk": (test_junk,),
    "authentications": (test_authentications,),
    "backlog": (
        *(test_backlog_while_a_reply_is_owed, test_backlog_while_a_mechanism_waits),
        *(test_backlog_before_the_greeting_is_given, test_backlog_of_a_client),
        test_backlog_of_a_client_while_its_mechanism_waits,
    ),
    "output": (test_output_of_a_server, test_output_of_a_client),
    "swallow": (test_swallow,),
    "trailing": (test_trailing, test_trailing_of_a_client),
    "reply_line": (test_reply_line,),
    "reply_lines": (test_reply_lines,),
    "reply": (test_reply,),
    "flight": (test_flight,),
    "in_flight": (test_in_flight,),
}


def test_every_limit_has_a_test() -> None:
    assert list(BOUNDS) == list(Limits.__annotations__)


# -- linear, whatever comes


def calls(run: Callable[[], object]) -> int:
    """How many functions are called, Python's and C's."""
    count = 0

    def tick(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


FEW = 16
"""Calls that are made now and then, however much comes."""


def peak(run: Callable[[], object]) -> int:
    """The most octets that were allocated at once."""
    with traced_memory() as memory:
        run()
        return memory()[1]


class Patient:
    """A server's application that keeps nothing, for what would else fill the test's own memory."""

    def __init__(self, **limits: int) -> None:
        many = {"errors": 10**9, "junk": 10**9, **limits}
        self.conn = ServerConnection(replace(EVERYTHING, limits=Limits(**many)))
        self.events = 0
        self.sent = 0
        self.pull()
        self.feed(HELLO)

    def feed(self, octets: bytes, step: int = 0) -> None:
        """Let octets arrive, ``step`` at a time, as long as they are wanted."""
        step = step or len(octets)
        for at in range(0, len(octets), step):
            if self.conn.wants_data:
                self.conn.receive_data(octets[at : at + step])
                self.pull()

    def pull(self) -> None:
        while True:
            item = self.conn.next_event()
            if isinstance(item, Need):
                self.sent += len(self.conn.data_to_send())
                if item is not Need.WRITE:
                    return
            else:
                self.events += 1
                if isinstance(item, Request):
                    self.conn.reply()


COMMANDS: Final[dict[str, bytes]] = {
    "NOOP": b"NOOP\r\n",
    "RSET": b"RSET\r\n",
    "nothing": b"\r\n",
    "unknown": b"XXXX\r\n",
    "MAIL and RSET": MAIL + b"RSET\r\n",
    "empty chunks": b"BDAT 0\r\n",
    "a transaction": MAIL + RCPT + b"BDAT 3 LAST\r\nx\r\n",
    "bare LF": b"NOOP\n",
    "bare CR": b"NOOP\rx\r\n",
    "EHLO": HELLO,
    "AUTH": b"AUTH PLAIN *\r\n",
}


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("step", [0, 1])
def test_commands_cost_linear_work(line: bytes, step: int) -> None:
    def run(times: int) -> Callable[[], None]:
        return lambda: Patient(authentications=10**9).feed(line * times, step or 4096)

    run(5)()
    once, twice, four_times = (calls(run(times)) for times in (60, 120, 240))
    assert four_times - twice <= 2.2 * (twice - once) + FEW


def test_a_hundred_thousand_pipelined_commands() -> None:
    octets = b"RSET\r\n" * 100_000
    made = Patient()
    assert peak(lambda: made.feed(octets, 65536)) < 1 << 20
    assert made.events == 2 + 100_000
    assert made.sent > 100_000 * len("250 OK\r\n")


@pytest.mark.parametrize(
    "octets",
    [b"x", b"\r", b"\0", b" ", b"\xff", b"AUTH PLAIN ", b"BDAT ", b"MAIL FROM:<", b"NOOP \x80"],
    ids=repr,
)
def test_an_endless_line(octets: bytes) -> None:
    stream = octets + b"A" * (1 << 20) if len(octets) > 1 else octets * (1 << 20)
    made = Patient()
    assert peak(lambda: made.feed(stream, 4096)) < 256 * 1024
    assert made.events < 10


def test_an_endless_line_an_octet_at_a_time() -> None:
    made = Patient()
    stream = b"A" * 50_000
    count = calls(lambda: made.feed(stream, 1))
    assert count < 25 * len(stream)
    assert made.conn.stats.errors == 1


@pytest.mark.parametrize("line", [b"x" * 3000 + b"\r\n", b"NO\rOP" + b"x" * 3000 + b"\r\n"])
def test_broken_lines_in_one_piece_copy_no_backlog(line: bytes) -> None:
    """Each is dropped by itself: what stands behind it is not looked at, nor copied."""
    made = Patient(errors=10**9, backlog=10**7)
    octets = line * 300
    made.conn.receive_data(octets)
    assert peak(made.pull) < len(octets) / 4
    assert made.conn.stats.errors == 300


def test_an_endless_exchange() -> None:
    """A client that never comes to an end of its responses, or of one of them."""
    for line in (
        b"AUTH LOGIN\r\nQQ==\r\nQQ==\r\n",
        b"AUTH LOGIN\r\n*\r\n",
        b"AUTH PLAIN\r\nAA==\r\n",
    ):
        made = Patient()
        made.feed(line * 1000, 7)
        assert made.conn.stats.authentications_failed == 6
        assert not made.conn.wants_data
    made = Patient(authentications=10**9)
    stream = b"AUTH LOGIN\r\n" + b"QUFB" * (1 << 18)
    assert peak(lambda: made.feed(stream, 4096)) < 256 * 1024
    assert made.conn.stats.authentications_failed == 1


def test_a_body_an_octet_at_a_time() -> None:
    body = MAIL + RCPT + b"DATA\r\n" + b"\r\n.." * 5000
    made = Patient()
    assert calls(lambda: made.feed(body, 1)) < 60 * len(body)
    assert made.conn.wants_data


def test_what_waits_for_an_answer_is_joined_once() -> None:
    """Single octets behind a question cost no copy of all that came before."""
    conn = ServerConnection(EVERYTHING)
    assert isinstance(conn.next_event(), Request)
    conn.reply()
    conn.next_event()
    conn.data_to_send()
    conn.receive_data(HELLO)
    assert isinstance(conn.next_event(), Hello)
    octets = b"NOOP\r\n" * 5000

    def arrive() -> None:
        for at in range(len(octets)):
            conn.receive_data(octets[at : at + 1])
            assert conn.next_event() is Need.REPLY

    assert peak(arrive) < 4 * len(octets)


# -- and for the client


def pulled(conn: ClientConnection, octets: bytes, step: int) -> int:
    """Let octets arrive in pieces; how many events they made."""
    events = 0
    for at in range(0, len(octets), step):
        if conn.wants_data:
            conn.receive_data(octets[at : at + step])
            events += len(drain(conn)[0])
    return events


REPLIES: Final[dict[str, bytes]] = {
    "continuation lines": b"250-x\r\n",
    "empty lines": b"250-\r\n",
    "an endless line": b"250-xxxxxxxxxxxx",
    "replies nobody asked for": b"250 OK\r\n",
    "CR": b"\r",
    "LF": b"\n",
    "nothing": b"\r\n",
    "not even text": b"\xff\0",
}


@pytest.mark.parametrize("line", REPLIES.values(), ids=REPLIES.keys())
@pytest.mark.parametrize("step", [1, 4096])
def test_a_server_s_flood_ends_in_a_violation(line: bytes, step: int) -> None:
    conn = asking()
    stream = line * (100_000 if step > 1 else 5000)
    used = peak(lambda: pulled(conn, stream, step))
    assert used < 512 * 1024
    assert conn.next_event() is Need.CLOSE


def test_a_hundred_thousand_continuation_lines_that_are_allowed() -> None:
    """Where the limits let them in, they still cost linear work."""

    def run(lines: int, step: int) -> Callable[[], None]:
        def play() -> None:
            conn = asking(reply_lines=10**6, reply=10**8, backlog=10**7)
            assert pulled(conn, b"250-x\r\n" * lines + b"250 x\r\n", step) == 1

        return play

    run(100_000, 65536)()
    for step in (1, 7, 4096):
        once, twice, four_times = (calls(run(lines, step)) for lines in (200, 400, 800))
        assert four_times - twice <= 2.2 * (twice - once) + FEW


def test_an_endless_exchange_of_a_server() -> None:
    """Challenges without end are answered, and never kept."""
    conn = client("AUTH X-WAITING")
    conn.authenticate(Waiting())
    conn.data_to_send()

    def go_on(times: int = 10_000) -> None:
        for _ in range(times):
            assert not hear(conn, b"334 QUFB\r\n")
            conn.answer(b"x")
            assert conn.data_to_send() == b"eA==\r\n"

    go_on(1)  # what is imported when it is first used is kept for good
    assert peak(go_on) < 64 * 1024


def test_a_slow_server_and_a_large_envelope() -> None:
    """Ten thousand recipients, their replies an octet at a time: the work is linear in both."""

    def run(recipients: int) -> Callable[[], None]:
        def play() -> None:
            conn = client("PIPELINING")
            conn.send(Mail(ALICE))
            for _ in range(recipients):
                conn.send(Rcpt(BOB))
            conn.data_to_send()
            answered = 0
            while conn.replies_owed:
                for octet in b"250 OK\r\n":
                    conn.receive_data(bytes((octet,)))
                    answered += len(drain(conn)[0])
                conn.data_to_send()
            assert answered == recipients + 1

        return play

    once, twice, four_times = (calls(run(recipients)) for recipients in (100, 200, 400))
    assert four_times - twice <= 2.2 * (twice - once) + FEW
