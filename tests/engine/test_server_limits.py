"""Every bound of the server: what happens at it and above it, and what it costs to reach it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest
from tests.engine.transcript import (
    LMTP,
    RELAY,
    Answer,
    Session,
    answers,
    by_default,
    in_turn,
    play,
    session,
    state_of,
    wait,
)
from tests.memory import least_memory, traced_memory

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    BodyChunk,
    Closed,
    CloseReason,
    Connected,
    EndOfMessage,
    MessageAborted,
    Peer,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need, ServerNeed
from smtpwire.engine.policy import Policy
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import EXPN
from smtpwire.wire.command import Data, Hello, Mail, Rcpt, Vrfy
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

ENVELOPE: Final = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
TOO_MANY: Final = b"421 4.7.0 Too many errors\r\n"
TOO_MUCH_JUNK: Final = b"421 4.7.0 Too many commands without a message\r\n"


def limited(config: ServerConfig = RELAY, **limits: int) -> ServerConfig:
    return replace(config, limits=replace(Limits(), **limits))


def answer_pending(made: Session) -> None:
    if made.conn.pending is not None:
        made.conn.reply()


def test_the_bounds_where_none_are_named() -> None:
    assert Limits() == Limits(
        command_line=512,
        sasl_line=12_288,
        message=52_428_800,
        recipients=1000,
        excess_recipients=10_000,
        refused_recipients=200,
        errors=20,
        junk=100,
        authentications=6,
        backlog=262_144,
        output=65_536,
        swallow=104_857_600,
        trailing=65_536,
        reply_line=4096,
        reply_lines=512,
        reply=65_536,
        flight=16_384,
        in_flight=64,
    )


# -- counts


def test_limits_show_what_is_not_as_by_default() -> None:
    assert repr(Limits()) == "Limits()"
    assert repr(Limits(junk=5)) == "Limits(junk=5)"


def test_limits_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        Limits(512)  # type: ignore[call-arg]


def test_errors() -> None:
    made = play(
        lambda: session(limited(errors=2)),
        r"""
        C: XYZZY
        S: 500 5.5.1 Command not recognized
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: NOOP
        S: 250 2.0.0 OK
        C: MAIL FROM:<a@b.example> X=1
        S: 421 4.7.0 Too many errors
        C: NOOP
        """,
    )
    assert made.closed == Closed(CloseReason.ERRORS, Reply(421, "Too many errors", "4.7.0"))
    assert made.refusals[-1] == (b"MAIL FROM:<a@b.example> X=1", 421)
    assert made.conn.stats.errors == 3


def test_errors_by_chunks() -> None:
    made = session(limited(errors=2))
    assert made.feed(b"BDAT 1\r\nx" * 4).endswith(TOO_MANY)


def test_refused_recipients() -> None:
    made = play(
        lambda: session(limited(refused_recipients=1), answers({Rcpt: Reply(550, "No")})),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 550 5.0.0 No
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 550 5.0.0 No
        S: 421 4.7.0 Too many recipients refused
        C: NOOP
        """,
    )
    assert made.closed is not None
    assert made.closed.reason is CloseReason.ERRORS


def test_a_refusal_that_ends_the_connection_is_not_followed_by_another() -> None:
    made = session(limited(refused_recipients=0), answers({Rcpt: Reply(421, "No")}))
    assert made.feed(ENVELOPE).endswith(b"421 4.0.0 No\r\n")


def test_recipients() -> None:
    made = session(limited(recipients=2, errors=2))
    made.feed(b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<c@d.example>\r\n" * 2)
    for _ in range(9):  # it is no mistake of the client's, who keeps what was accepted
        assert made.feed(b"RCPT TO:<c@d.example>\r\n") == b"452 4.5.3 Too many recipients\r\n"
    assert made.feed(b"DATA\r\n.\r\n").endswith(b"250 2.0.0 Message accepted\r\n")
    [end] = [event for event in made.events if isinstance(event, EndOfMessage)]
    assert len(end.envelope.recipients) == 2


@pytest.mark.parametrize("line", ["EHLO c", "HELP", "VRFY c", "NOOP", "RSET"])
def test_junk(line: str) -> None:
    made = session(limited(junk=3), hello=None)
    for _ in range(3):
        assert not made.feed(line.encode() + b"\r\n").startswith(b"421")
    assert made.feed(line.encode() + b"\r\n") == TOO_MUCH_JUNK
    assert made.refusals == [(line.encode(), 421)]
    assert made.closed is not None
    assert made.closed.reason is CloseReason.ERRORS


@pytest.mark.parametrize("verdict", [by_default, Reply(250, "Taken")])
def test_a_message_forgives_recipients_who_were_refused(verdict: Answer | Reply) -> None:
    rcpt = b"RCPT TO:<c@d.example>\r\n"
    refuse = in_turn(*[Reply(550, "No"), Reply(250, "Yes"), *[Reply(550, "No")] * 2])
    given: dict[type[Request], Answer | Reply] = {Rcpt: refuse, EndOfMessage: verdict}
    made = session(limited(refused_recipients=1), answers(given))
    made.feed(b"MAIL FROM:<>\r\n" + rcpt * 2 + b"DATA\r\n.\r\n")
    assert made.conn.stats.messages == 1
    assert made.feed(b"MAIL FROM:<>\r\n" + rcpt) == b"250 2.1.0 Sender OK\r\n550 5.0.0 No\r\n"
    assert b"421 4.7.0 Too many recipients refused" in made.feed(rcpt)


def test_a_message_forgives() -> None:
    made = session(limited(junk=2))
    assert made.feed(b"MAIL FROM:<>\r\nRSET\r\n").endswith(b"250 2.0.0 OK\r\n")
    made.feed(ENVELOPE + b"DATA\r\n.\r\n")
    assert made.feed(b"NOOP\r\nNOOP\r\n") == b"250 2.0.0 OK\r\n" * 2
    assert made.feed(b"NOOP\r\n") == TOO_MUCH_JUNK


def test_expn_is_junk_too() -> None:
    config = replace(limited(junk=1), offer=(*RELAY.offer, EXPN))
    made = session(config)
    assert made.feed(b"EXPN c\r\n") == TOO_MUCH_JUNK


# -- one refusal is one error, and what follows from it is none

RCPTS: Final = b"RCPT TO:<c@d.example>\r\n" * 20
GROUP: Final = b"MAIL FROM:<a@b.example>\r\n" + RCPTS + b"DATA\r\n"
STRICT: Final = limited(errors=1)


def codes(octets: bytes) -> list[int]:
    return [int(line[:3]) for line in octets.split(b"\r\n")[:-1] if line[3:4] == b" "]


def goes_on(made: Session) -> bool:
    return made.feed(b"RSET\r\n") == b"250 2.0.0 OK\r\n" and made.closed is None


def test_a_refused_chunk_is_one_error_however_many_replies_it_has() -> None:
    """LMTP has one a recipient (RFC 2033 §4.3); the chunks behind it were in the pipeline."""
    config = replace(limited(LMTP, errors=1), policies={})
    made = session(config, answers({Data: Reply(452, "Full")}), hello="LHLO c")
    made.feed(b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<c@d.example>\r\n" * 30)
    sent = made.feed(b"BDAT 3\r\nabcBDAT 3\r\ndefBDAT 3 LAST\r\nghi")
    assert codes(sent) == [452, 503] + [503] * 30
    assert made.conn.stats.errors == 0
    assert [line for line, _ in made.refusals] == [b"BDAT 3", b"BDAT 3 LAST"]
    assert goes_on(made)


def test_over_the_budget_a_chunk_with_many_replies_ends_once() -> None:
    made = session(limited(LMTP, errors=0), hello="LHLO c")
    made.feed(b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<c@d.example>\r\n" * 30)
    made.feed(b"DATA\r\n.\r\n")
    made.sent = b""
    made.feed(b"BDAT 1 LAST\r\nx" * 3)
    assert codes(made.sent) == [421]
    assert [type(event) for event in made.events].count(Closed) == 1


def test_the_last_chunk_without_recipients_is_an_error_without_a_reply() -> None:
    made = session(limited(LMTP, errors=3), hello="LHLO c")
    assert codes(made.feed(b"BDAT 0 LAST\r\n" * 4)) == [421]


@pytest.mark.parametrize(
    ("answer", "octets", "replies", "errors"),
    [
        (answers({Mail: Reply(450, "No")}), GROUP, [450, *[503] * 21], 0),
        (answers({}), b"MAIL FROM:<a@b> X=1\r\n" + RCPTS + b"DATA\r\n", [555, *[503] * 21], 1),
        (
            answers({Mail: Reply(450, "No")}),
            GROUP[:-6] + b"BDAT 2 LAST\r\nhi",
            [450, *[503] * 21],
            0,
        ),
        (answers({Rcpt: Reply(550, "No")}), GROUP, [250, *[550] * 20, 503], 0),
        (answers({}), b"MAIL FROM:<>\r\nRCPT TO:<\r\nDATA\r\n", [250, 501, 503], 1),
        (
            answers({Mail: Reply(450, "No")}),
            b"MAIL FROM:<>\r\n" + b'RCPT TO:<"c d"@d.example>\r\n' * 20,
            [450, *[503] * 20],
            0,
        ),
        (
            answers({Data: Reply(452, "Full")}),
            ENVELOPE + b"BDAT 1\r\nx" * 64,
            [250] * 2 + [452] + [503] * 63,
            0,
        ),
    ],
    ids=[
        "MAIL",
        "MAIL by the engine",
        "MAIL before BDAT",
        "RCPT",
        "RCPT by the engine",
        "quoted",
        "BDAT",
    ],
)
def test_what_follows_from_a_refusal_is_no_error_of_its_own(
    answer: Answer, octets: bytes, replies: list[int], errors: int
) -> None:
    """A client that pipelines has sent it all before it could know (RFC 2920 §3.1)."""
    made = session(STRICT, answer)
    assert codes(made.feed(octets)) == replies
    assert made.conn.stats.errors == errors
    assert goes_on(made)


def test_what_follows_from_a_failed_login_is_no_error() -> None:
    """RFC 4954 §4: MAIL and RCPT may stand behind AUTH PLAIN in its group."""
    config = replace(STRICT, require_auth=True, mechanisms=("PLAIN",), cleartext_without_tls=True)
    made = session(config)
    sent = made.feed(b"AUTH PLAIN AGEAYg==\r\n" + GROUP)
    assert codes(sent) == [535, *[530] * 22]
    assert goes_on(made)


def test_what_follows_from_a_refused_hello_or_service_is_no_error() -> None:
    """A client that may talk early sends all at once (PIPECONNECT)."""
    peer = Peer(address="192.0.2.1")
    config = replace(STRICT, pipeconnect=frozenset({peer.address}))
    group = b"EHLO c.example\r\n" + GROUP
    for answer, replies in (
        (answers({Hello: Reply(550, "No")}), [220, 550, *[503] * 22]),
        (answers({Connected: Reply(554, "No")}), [554, *[503] * 23]),
    ):
        made = Session(ServerConnection(config, peer=peer), answer)
        made.conn.receive_data(group)
        assert codes(made.run()) == replies
        assert made.conn.stats.errors == 0
        assert made.closed is None


@pytest.mark.parametrize(
    ("answer", "begin", "again"),
    [
        (answers({Mail: Reply(450, "No")}), b"MAIL FROM:<>\r\n", b"RCPT TO:<c@d.example>\r\n"),
        (answers({Data: Reply(452, "Full")}), ENVELOPE + b"BDAT 1\r\nx", b"BDAT 1\r\nx"),
        (answers({}), b"AUTH X\r\n", b"RCPT TO:<c@d.example>\r\n"),
        (answers({}), b"MAIL FROM:<>\r\nRCPT TO:<\r\n", b"BDAT 1\r\nx"),
    ],
)
def test_nor_does_that_go_on_for_ever(answer: Answer, begin: bytes, again: bytes) -> None:
    made = session(limited(recipients=5, errors=2), answer)
    made.feed(begin)
    for _ in range(9):
        made.feed(again)
        if made.closed is not None:
            break
    assert made.closed is not None
    assert made.sent.endswith(TOO_MANY)


def test_what_a_new_transaction_does_wrong_follows_from_nothing() -> None:
    made = session(limited(errors=0), in_turn_for_mail(Reply(450, "No"), Reply(250, "Yes")))
    made.feed(b"MAIL FROM:<>\r\nMAIL FROM:<>\r\n")
    assert made.feed(b"MAIL FROM:<>\r\n") == TOO_MANY


def test_nor_does_what_one_does_wrong_that_was_taken_by_default() -> None:
    def answer(conn: ServerConnection, _: object) -> None:
        conn.reply(*given.pop(0))

    given: list[tuple[Reply, ...]] = [(Reply(450, "No"),), ()]
    made = session(limited(errors=0), answers({Mail: answer}))
    made.feed(b"MAIL FROM:<>\r\nMAIL FROM:<>\r\n")
    assert made.feed(b"MAIL FROM:<>\r\n") == TOO_MANY


def test_what_is_dropped_of_chunks_that_follow_is_counted_together() -> None:
    made = session(limited(swallow=100), answers({Data: Reply(452, "Full")}))
    made.feed(ENVELOPE + b"BDAT 50\r\n" + b"x" * 50)
    made.sent = b""
    made.feed((b"BDAT 50\r\n" + b"x" * 50) * 3)
    assert codes(made.sent) == [503, 503, 421]


def in_turn_for_mail(*given: Reply) -> Answer:
    return answers({Mail: in_turn(*given)})


# -- message


@pytest.mark.parametrize(("size", "fits"), [(0, True), (10, True), (11, False), (30, False)])
@pytest.mark.parametrize("chunking", [False, True])
def test_the_message(size: int, fits: bool, chunking: bool) -> None:
    body = b"x" * (size - 2) + b"\r\n" if size else b""
    stream = b"BDAT %d LAST\r\n" % size + body if chunking else b"DATA\r\n" + body + b".\r\n"

    def make() -> Session:
        made = session(limited(message=10))
        made.feed(ENVELOPE)
        made.sent = b""
        return made

    made = play(
        make,
        "C| "
        + stream.decode().encode("unicode_escape").decode()
        + "\n"
        + (
            ("" if chunking else "S: 354 Go ahead\n")
            + ("S: 250 2.0.0 Message accepted" if fits else "S: 552 5.3.4 Message too large")
        ),
    )
    assert made.content == body[:10]
    if not fits:
        [aborted] = [event for event in made.events if isinstance(event, MessageAborted)]
        assert aborted == MessageAborted(Aborted.LIMIT, Reply(552, "Message too large", "5.3.4"))


def test_no_limit() -> None:
    config = limited(message=0)
    play(
        lambda: session(config, hello=None),
        r"""
        C: EHLO c
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-CHUNKING
        S: 250-SMTPUTF8
        S: 250 SIZE 0
        C: MAIL FROM:<a@b.example> SIZE=99999999999999999999
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead
        C: any
        C: .
        S: 250 2.0.0 Message accepted
        """,
    )


@pytest.mark.parametrize(("size", "reply"), [(10, b"250"), (11, b"552")])
def test_the_size_that_is_announced(size: int, reply: bytes) -> None:
    made = session(limited(message=10))
    assert made.feed(b"MAIL FROM:<> SIZE=%d\r\n" % size).startswith(reply)


@pytest.mark.parametrize("start", [b"DATA\r\n", b"BDAT 1010\r\n", b"BDAT 1010 LAST\r\n"])
def test_swallowing_a_refused_body(start: bytes) -> None:
    made = session(limited(message=10, swallow=1000))
    made.feed(ENVELOPE + start)
    made.sent = b""
    for _ in range(11):
        assert made.feed(b"x" * 91) == b""
    if start != b"DATA\r\n":  # it was announced, and is no more than that
        assert made.feed(b"x" * 9).startswith(b"552 5.3.4 ")
        return
    assert made.feed(b"x" * 200) == b"421 4.3.4 Too much data\r\n"
    assert made.events[-2].kind is ViolationKind.TOO_MUCH  # type: ignore[union-attr]


def test_a_stray_chunk_is_swallowed_up_to_the_limit() -> None:
    assert session(limited(swallow=1000)).feed(b"BDAT 1001\r\n") == (
        b"503 5.5.1 Bad sequence of commands\r\n421 4.3.4 Too much data\r\n"
    )


def test_swallowing_a_stray_chunk() -> None:
    made = session(limited(swallow=1000))
    assert made.feed(b"BDAT 1000\r\n" + b"x" * 1000) == b"503 5.5.1 Bad sequence of commands\r\n"
    assert made.feed(b"BDAT 1001\r\n") == (
        b"503 5.5.1 Bad sequence of commands\r\n421 4.3.4 Too much data\r\n"
    ), "nobody waits for the end of it"
    assert made.at(Need.CLOSE)


@pytest.mark.parametrize("size", [1011, 1 << 64, 99999999999999999999])
@pytest.mark.parametrize(("before", "less"), [(b"", 0), (b"BDAT 5\r\nabcde", 5)])
def test_a_chunk_that_never_can_fit_is_refused_before_it_comes(
    size: int, before: bytes, less: int
) -> None:
    """It is more than the message may have and what would be dropped of it (RFC 3030 §2)."""
    made = session(limited(message=10, swallow=1000))
    made.feed(ENVELOPE + before)
    made.events.clear()
    assert made.feed(b"BDAT %d LAST\r\n" % (size - less)) == (
        b"552 5.3.4 Message too large\r\n421 4.3.4 Too much data\r\n"
    )
    assert made.at(Need.CLOSE)
    assert not any(isinstance(event, Data) for event in made.events), "nobody need decide"
    aborted = [event for event in made.events if isinstance(event, MessageAborted)]
    too_large = Reply(552, "Message too large", "5.3.4")
    assert aborted == ([MessageAborted(Aborted.LIMIT, too_large)] if before else [])


def test_one_error_too_many_by_a_chunk_that_never_can_fit_ends_once() -> None:
    made = session(limited(message=10, swallow=1000, errors=0))
    made.feed(ENVELOPE)
    assert made.feed(b"BDAT 2000 LAST\r\n") == TOO_MANY
    assert [type(event) for event in made.events].count(Closed) == 1


def test_a_session_is_closed_once_and_says_so() -> None:
    made = session()
    made.conn.abort("lost")
    with pytest.raises(AssertionError, match="a session ends once"):
        made.conn._session.close(CloseReason.ERRORS)
    made.run()
    assert made.events == [Closed(CloseReason.ABORTED, None, "lost")]


def test_the_largest_chunk_that_can_be_read_past() -> None:
    made = session(limited(message=10, swallow=1000))
    made.feed(ENVELOPE)
    assert made.feed(b"BDAT 1010 LAST\r\n") == b""
    assert made.feed(b"x" * 1010) == b"552 5.3.4 Message too large\r\n"


def test_without_a_limit_any_chunk_may_come() -> None:
    made = session(limited(message=0, swallow=1000))
    made.feed(ENVELOPE)
    assert made.feed(b"BDAT 99999999999999999999\r\nabc") == b""
    assert made.content == b"abc"


def test_a_chunk_of_a_failed_message_is_more_than_can_be_read_past() -> None:
    made = session(limited(swallow=1000))
    made.feed(ENVELOPE + b"BDAT 4\r\nspam")
    made.conn.reply(Reply(550, "Spam"))
    made.run()
    assert made.feed(b"BDAT 1001 LAST\r\n") == (b"550 5.0.0 Spam\r\n421 4.3.4 Too much data\r\n")
    assert sum(isinstance(event, MessageAborted) for event in made.events) == 1


def test_the_largest_chunk_of_a_failed_message_that_can_be_read_past() -> None:
    made = session(limited(swallow=1000))
    made.feed(ENVELOPE + b"BDAT 4\r\nspam")
    made.conn.reply(Reply(550, "Spam"))
    made.run()
    assert made.feed(b"BDAT 1000 LAST\r\n") == b""
    assert made.feed(b"x" * 1000) == b"550 5.0.0 Spam\r\n"


def test_a_limit_of_one_octet_is_a_limit() -> None:
    made = session(limited(message=1, swallow=1000))
    made.feed(ENVELOPE)
    assert made.feed(b"BDAT 1002\r\n").startswith(b"552 5.3.4 Message too large\r\n")


def test_a_chunk_that_the_application_refuses_is_swallowed_up_to_the_limit() -> None:
    made = session(limited(swallow=1000), answers({Data: Reply(550, "No")}))
    made.feed(ENVELOPE + b"BDAT 2000\r\n")
    assert made.feed(b"x" * 1000) == b""
    assert made.feed(b"x") == b"421 4.3.4 Too much data\r\n"


def test_each_broken_line_is_counted_for_itself_and_up_to_the_limit() -> None:
    made = session(limited(swallow=1000))
    too_long = b"500 5.5.2 Line too long\r\n"
    for _ in range(5):
        assert made.feed(b"x" * 998 + b"\r\n") == too_long
    assert made.feed(b"x" * 999 + b"\r\n") == too_long + b"421 4.3.4 Too much data\r\n"


@pytest.mark.parametrize(
    "pieces",
    [(b"NOOP\rx\r\n",), (b"NOOP\n", b"\r", b"\n"), (b"NOOP\n\r", b"\n"), (b"NOOP\n", b"\r\n")],
)
@pytest.mark.parametrize(
    ("swallow", "last"), [(2, b"250 2.0.0 OK\r\n"), (1, b"421 4.3.4 Too much data\r\n")]
)
def test_each_octet_of_a_broken_line_is_counted_once(
    pieces: tuple[bytes, ...], swallow: int, last: bytes
) -> None:
    made = session(limited(swallow=swallow))
    for piece in pieces:
        made.feed(piece)
    if made.closed is None:
        made.feed(b"NOOP\r\n")
    refusal = b"500 5.5.2 A line ends with CRLF and holds no other CR or LF\r\n"
    assert made.sent == refusal + last


@pytest.mark.parametrize(
    ("swallow", "last"), [(2, b"250 2.0.0 OK\r\n"), (1, b"421 4.3.4 Too much data\r\n")]
)
def test_each_octet_of_a_foreign_line_is_counted_once(swallow: int, last: bytes) -> None:
    policies = {ViolationKind.FOREIGN_PROTOCOL: Policy.ANSWER}
    made = session(replace(limited(swallow=swallow), policies=policies), hello=None)
    made.feed(b"GET\r\n")
    if made.closed is None:
        made.feed(b"NOOP\r\n")
    assert made.sent.endswith(b"500 5.5.1 This is SMTP\r\n" + last)


def test_each_refused_body_is_counted_for_itself() -> None:
    made = session(limited(message=10, swallow=1000))
    for _ in range(5):
        reply = made.feed(ENVELOPE + b"DATA\r\n" + b"x" * 900 + b"\r\n.\r\n")
        assert reply.endswith(b"552 5.3.4 Message too large\r\n")


# -- what waits


def test_the_backlog() -> None:
    made = session(limited(backlog=100), wait)
    made.feed(b"MAIL FROM:<>\r\n")
    wanted: list[bool] = []
    for octets in (b"x" * 99, b"x"):
        made.conn.receive_data(octets)
        wanted.append(made.conn.wants_data)
    assert wanted == [True, False]
    before = state_of(made.conn)
    with pytest.raises(LocalProtocolError):
        made.conn.receive_data(b"x")
    assert state_of(made.conn) == before
    made.conn.receive_data(b"")
    assert made.conn.eof_received


def test_before_the_greeting_too() -> None:
    conn = ServerConnection(limited(backlog=10))
    conn.receive_data(b"x" * 10)
    with pytest.raises(LocalProtocolError):
        conn.receive_data(b"x")


def test_the_output() -> None:
    """256 KiB of eight-octet EHLOs never queue more than the limit and one reply."""
    config = limited(junk=10**6, output=4096)
    made = session(config)
    one = len(made.feed(b"EHLO c\r\n"))
    flood = b"EHLO c\r\n" * (256 * 1024 // 8)
    made.conn.receive_data(flood)
    most = sent = 0
    need: object = None
    while need is not Need.DATA:
        while not isinstance(need := made.conn.next_event(), Need):
            answer_pending(made)
        octets = made.conn.data_to_send()
        most = max(most, len(octets))
        sent += len(octets)
    assert most < 4096 + one
    assert sent == one * len(flood) // 8


def test_output_that_is_batched() -> None:
    config = limited(output=4096)
    made = session(config)
    made.conn.receive_data(b"MAIL FROM:<>\r\n" + b"RCPT TO:<c@d.example>\r\n" * 900)
    most = 0
    need: object = None
    while need is not Need.DATA:
        while not isinstance(need := made.conn.next_event(), Need):
            answer_pending(made)
        most = max(most, len(made.conn.data_to_send()))
    assert 4096 <= most < 4096 + 100


def pipelined(count: int) -> Session:
    """A message's recipients in one group, every second one refused; the replies are queued."""
    refusing = answers({Rcpt: Reply(550, "Nobody here", "5.1.1")})
    made = session(limited(refused_recipients=count))
    made.conn.receive_data(b"MAIL FROM:<>\r\n" + b"RCPT TO:<c@d.example>\r\n" * count)
    number = 0
    while not isinstance(item := made.conn.next_event(), Need):
        made.answer = refusing if number % 2 else by_default
        made.tell(item)
        number += 1
    return made


@pytest.mark.parametrize("count", [0, 10, 60, 80, 100, 500])
def test_what_is_queued_is_handed_out_in_order_and_once(count: int) -> None:
    taken, refused = b"250 2.1.5 Recipient OK\r\n", b"550 5.1.1 Nobody here\r\n"
    made = pipelined(count)
    replies = [refused if number % 2 == 0 else taken for number in range(count)]
    assert made.conn.data_to_send() == b"250 2.1.0 Sender OK\r\n" + b"".join(replies)
    assert made.conn.data_to_send() == b""
    made.conn.receive_data(b"RSET\r\n")
    made.tell(made.conn.next_event())  # type: ignore[arg-type]
    assert made.conn.data_to_send() == b"250 2.0.0 OK\r\n"


def test_nothing_that_was_queued_is_left_at_the_end() -> None:
    made = pipelined(500)
    made.conn.abort()
    assert made.conn.data_to_send() == b""


def test_write_stays_until_it_is_flushed() -> None:
    made = session(limited(output=10))
    made.conn.receive_data(b"RSET\r\nRSET\r\n")
    made.tell(made.conn.next_event())  # type: ignore[arg-type]
    assert made.conn.next_event() is Need.WRITE
    assert made.conn.next_event() is Need.WRITE
    made.conn.data_to_send()
    assert not isinstance(made.conn.next_event(), Need)


# -- time

REFUSING_RCPT: Final = answers({Rcpt: Reply(550, "Nobody here")})


def test_time_is_measured_by_what_is_waited_for() -> None:
    config = replace(RELAY, timeouts=replace(Timeouts(), command=1.0, block=2.0))
    made = session(config, answers({}))

    def seconds() -> float | None:
        timeout = made.conn.timeout
        return None if timeout is None else timeout.seconds

    assert seconds() == 1.0
    made.answer = wait
    made.feed(ENVELOPE[: ENVELOPE.index(b"RCPT")])
    assert seconds() is None, "the application is to act"
    made.answer = answers({})
    made.conn.reply()
    made.run()
    made.feed(b"RCPT TO:<c@d.example>\r\nDATA\r\n")
    assert seconds() == 2.0
    made.feed(b".\r\n")
    assert seconds() == 1.0
    made.feed(ENVELOPE + b"BDAT 5\r\n")
    assert seconds() == 2.0
    made.feed(b"12345QUIT\r\n")
    assert seconds() is None


def test_single_octets_buy_no_time() -> None:
    made = session()
    serial = made.conn.timeout
    for octet in b"NOOP\r":
        made.feed(bytes([octet]))
        assert made.conn.timeout == serial
    made.feed(b"\n")
    assert made.conn.timeout != serial


@pytest.mark.parametrize("start", [b"DATA\r\n", b"BDAT 99999\r\n"])
@pytest.mark.parametrize("refused", [False, True])
def test_in_a_body_blocks_buy_time(start: bytes, refused: bool) -> None:
    made = session()
    made.feed(ENVELOPE + start)
    if refused:
        made.conn.reply(Reply(550))
        made.run()
    before = made.conn.timeout
    made.feed(b"x" * 4095)
    assert made.conn.timeout == before
    made.feed(b"x")
    assert made.conn.timeout != before


def test_timed_out() -> None:
    made = session()
    made.conn.timed_out()
    assert made.run() == b"421 4.4.2 Timeout\r\n"
    assert made.closed == Closed(CloseReason.TIMEOUT, Reply(421, "Timeout", "4.4.2"))
    made.conn.timed_out()
    assert made.run() == b""


def test_before_the_greeting_no_enhanced_codes() -> None:  # RFC 2034 §4
    conn = ServerConnection(RELAY, reply_suffix="id=1")
    conn.timed_out()
    assert conn.data_to_send() == b"421 Timeout id=1\r\n"
    conn = ServerConnection(RELAY)
    conn.shutdown(Reply(421, "Full", "4.3.2"))
    assert conn.data_to_send() == b"421 Full\r\n"
    conn = ServerConnection(RELAY)
    assert isinstance(conn.next_event(), Connected)
    conn.shutdown()
    conn.reply()
    assert conn.data_to_send() == (b"220 mx.example ESMTP\r\n421 4.3.2 Service shutting down\r\n")


# -- what it costs: steps and octets, not seconds


@dataclass
class Cost:
    """What one engine did with a flood."""

    events: int
    made: Session


def opened(first: bytes, config: ServerConfig = RELAY) -> Session:
    """A session that has been told this much."""
    made = session(config)
    made.feed(first)
    return made


def flood(make: Callable[[], Session], octets: bytes, step: int, most: int) -> Cost:
    """Feed a flood in pieces, count what is told, and see that it holds less than ``most``."""
    made = make()
    events = steps(made, octets, step)

    def peak() -> int:
        again = make()
        with traced_memory() as memory:
            assert steps(again, octets, step) == events
            return memory()[1]

    assert least_memory(peak, most) < most
    return Cost(events, made)


def steps(made: Session, octets: bytes, step: int) -> int:
    """Feed a flood in pieces and count what is told."""
    events = 0
    for at in range(0, len(octets), step):
        made.conn.receive_data(octets[at : at + step])
        while True:
            item = made.conn.next_event()
            if item is Need.WRITE:
                made.conn.data_to_send()
            elif isinstance(item, Need):
                break
            else:
                events += 1
                answer_pending(made)
        made.conn.data_to_send()
    return events


def test_a_hundred_thousand_pipelined_commands() -> None:
    unlimited = partial(session, limited(junk=10**6))
    assert steps(unlimited(), b"RSET\r\n" * 10**5, 65536) == 10**5
    flood(unlimited, b"RSET\r\n" * 10**4, 65536, 10**6)


def test_a_hundred_thousand_empty_chunks() -> None:
    unlimited = partial(opened, ENVELOPE, limited(junk=10**6))
    made = unlimited()
    assert steps(made, b"BDAT 0\r\n" * 10**5, 65536) == 1, "Data"
    assert made.conn.stats.commands == 10**5 + 3
    flood(unlimited, b"BDAT 0\r\n" * 10**4, 65536, 10**6)


def test_an_endless_line_an_octet_at_a_time() -> None:
    cost = flood(session, b"x" * 30000, 1, 20000)
    assert cost.events == 2


def test_an_endless_response_an_octet_at_a_time() -> None:
    config = replace(RELAY, mechanisms=("PLAIN",), cleartext_without_tls=True)
    cost = flood(partial(opened, b"AUTH PLAIN\r\n", config), b"x" * 30000, 1, 60000)
    assert cost.events == 2


@pytest.mark.parametrize("step", [1, 1000])
def test_a_body_is_not_kept(step: int) -> None:
    receiving = partial(opened, ENVELOPE + b"DATA\r\n")
    cost = flood(receiving, b"line of text\r\n" * (2000 if step == 1 else 50000), step, 10**5)
    assert cost.events > 50


def test_many_small_messages_in_one_piece_copy_no_backlog() -> None:
    """What stands behind the end of a body is copied only in pieces."""
    one = ENVELOPE + b"DATA\r\n.\r\n"
    cost = flood(session, one * (250000 // len(one)), 250000, 10**6)
    assert cost.events == 5 * (250000 // len(one)), "four questions, and a note of pipelining"
    assert cost.made.conn.stats.messages == 250000 // len(one)


def test_octets_that_come_while_an_answer_is_owed() -> None:
    made = session(answer=wait)
    made.feed(b"VRFY c\r\n")
    assert isinstance(made.conn.pending, Vrfy)
    with traced_memory() as memory:
        for _ in range(256 * 1024 // 8):
            made.conn.receive_data(b"RSET\r\nNO")
        peak = memory()[1]
    assert peak < 10**6
    with pytest.raises(LocalProtocolError):
        made.conn.receive_data(b"x")


def test_lmtp_counts_a_message_once() -> None:
    made = session(LMTP, hello="LHLO c")
    made.feed(ENVELOPE + b"RCPT TO:<e@d.example>\r\nDATA\r\nhi\r\n.\r\n")
    stats = made.conn.stats
    assert (stats.messages, stats.commands, stats.errors) == (1, 5, 0)
    assert stats.replies == 8
    assert stats.octets_received == len(b"LHLO c\r\n") + len(ENVELOPE) + 23 + 6 + 7
    assert [event.data for event in made.events if isinstance(event, BodyChunk)] == [b"hi\r\n"]
    assert not any(isinstance(event, ProtocolViolation) for event in made.events)


def timed() -> ServerConfig:
    """A service whose figures for time can be told apart."""
    timeouts = replace(Timeouts(), command=1.0, block=2.0, handshake=3.0, quit=4.0)
    return replace(RELAY, starttls=True, timeouts=timeouts)


def handed_out(made: Session) -> float:
    """Hand out what is queued; the time for writing it. Whose turn it is does not matter."""
    before = made.conn.timeout
    assert made.conn.data_to_send()
    writing = made.conn.timeout
    assert writing is not None
    assert writing != before, "the timer starts anew"
    assert made.conn.data_to_send() == b""
    assert made.conn.timeout == writing, "nothing was handed out"
    return writing.seconds


def pull(made: Session) -> ServerNeed:
    """Up to the next Need, answering by default, and flushing nothing."""
    while not isinstance(item := made.conn.next_event(), Need):
        made.tell(item)
    return item


@pytest.mark.parametrize(
    ("octets", "need", "seconds"),
    [
        (b"RSET\r\n", Need.DATA, 1.0),
        (ENVELOPE + b"DATA\r\n", Need.DATA, 2.0),
        (ENVELOPE + b"BDAT 3\r\nabc", Need.DATA, 2.0),
        (b"NOOP\r\nNOOP\r\n", Need.WRITE, 1.0),
        (b"STARTTLS\r\n", Need.TLS, 3.0),
        (b"QUIT\r\n", Need.CLOSE, 4.0),
    ],
)
def test_writing_is_timed(octets: bytes, need: Need, seconds: float) -> None:
    made = session(timed())
    made.conn.receive_data(octets)
    assert pull(made) is need
    assert handed_out(made) == seconds
    if need is Need.CLOSE:
        assert pull(made) is Need.CLOSE
        assert made.conn.timeout is None, "it was written"


def test_writing_is_timed_while_a_question_is_pending() -> None:
    made = session(timed(), wait)
    made.conn.receive_data(b"RSET\r\nVRFY c\r\n")
    assert pull(made) is Need.REPLY
    assert made.conn.timeout is None, "the application is to act"
    assert handed_out(made) == 1.0
    assert pull(made) is Need.REPLY
    assert made.conn.timeout is None, "it was written"


def test_who_reads_nothing_gains_one_write_and_no_more() -> None:
    """Reading what comes next is not timed anew: writing was no progress of the peer's."""
    made = session(timed())
    made.conn.receive_data(b"NOOP\r\n")
    assert pull(made) is Need.DATA
    handed_out(made)
    writing = made.conn.timeout
    assert pull(made) is Need.DATA
    assert made.conn.timeout == writing
    assert made.conn.data_to_send() == b""
    made.feed(b"NOO")
    assert made.conn.timeout == writing


def test_too_slow_a_reader_while_a_question_is_pending() -> None:
    made = session(timed(), wait)
    made.conn.receive_data(ENVELOPE)
    assert pull(made) is Need.REPLY
    made.conn.reply()
    assert pull(made) is Need.REPLY
    handed_out(made)
    made.conn.timed_out()
    assert made.conn.pending is None
    assert made.conn.timeout is None
    assert made.run() == b"", "nothing more is written to that stream"
    assert made.closed == Closed(CloseReason.TIMEOUT)


def test_too_slow_a_reader_of_the_last_words() -> None:
    made = session(timed())
    made.conn.receive_data(b"QUIT\r\n")
    assert pull(made) is Need.CLOSE
    handed_out(made)
    made.conn.timed_out()
    assert made.conn.timeout is None
    assert pull(made) is Need.CLOSE
    assert [event for event in made.events if isinstance(event, Closed)] == [
        Closed(CloseReason.QUIT, Reply(221, "Goodbye", "2.0.0"))
    ], "it had ended, and told so, before"


@pytest.mark.parametrize(
    ("begin", "answer"),
    [
        (b"BDAT 50000000 LAST\r\n", answers({})),
        (b"MAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nBDAT 50000000 LAST\r\n", REFUSING_RCPT),
        (ENVELOPE + b"BDAT 50000000 LAST\r\n", answers({Data: Reply(452, "Full")})),
        (ENVELOPE + b"DATA\r\na\nb", answers({})),
    ],
    ids=["no transaction", "no recipient", "refused by the application", "refused in DATA"],
)
def test_a_refused_body_is_timed_as_a_body(begin: bytes, answer: Answer) -> None:
    """Who is made to send what nobody takes is not thrown out for being slow."""
    made = session(timed(), answer)
    made.feed(begin)
    for _ in range(3):
        before = made.conn.timeout
        assert before is not None
        assert before.seconds == 2.0
        made.feed(b"x" * 4096)
        after = made.conn.timeout
        assert after is not None
        assert after.serial > before.serial
