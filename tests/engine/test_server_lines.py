"""Command lines: their ends, their length, their octets, other protocols; what a trace may show."""

from typing import Final

import pytest
from tests.engine.transcript import (
    RELAY,
    TLS,
    Session,
    answers,
    by_default,
    feed_all,
    play,
    session,
)

from smtpwire.engine.events import Closed, CloseReason, InvalidCommand, Peer
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.policy import Policy
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import DSN, PIPELINING, Extension, Offer, flag, no_parameter
from smtpwire.extensions import parameters as p
from smtpwire.testing import drain, every_split
from smtpwire.wire.command import CommandError, Data, Hello, Help, Mail, Noop, Quit, Rset, Verb
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

LINE_END: Final = "500 5.5.2 A line ends with CRLF and holds no other CR or LF"
CLOSING: Final = "421 4.7.0 Protocol violation"


def violations(made: Session) -> list[tuple[ViolationKind, bool]]:
    found = [event for event in made.events if isinstance(event, ProtocolViolation)]
    return [(event.kind, event.fatal) for event in found]


# -- line ends


@pytest.mark.parametrize(
    ("line", "kind", "at"),
    [
        (r"NOOP\n\r\n", ViolationKind.BARE_LF, 4),
        (r"NOOP\nRSET\r\n", ViolationKind.BARE_LF, 4),
        (r"NOOP\n\n\n\r\n", ViolationKind.BARE_LF, 4),
        (r"NOOP\rRSET\r\n", ViolationKind.BARE_CR, 4),
        (r"NOOP\r\r\n", ViolationKind.BARE_CR, 4),
        (r"\rNOOP\r\n", ViolationKind.BARE_CR, 0),
        (r"NOOP\rx\n\r\n", ViolationKind.BARE_CR, 4),
        (r"\n\r\n", ViolationKind.BARE_LF, 0),
        (r"MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\r\n", ViolationKind.BARE_LF, 23),
    ],
)
def test_a_broken_line_is_one_line_up_to_crlf(line: str, kind: ViolationKind, at: int) -> None:
    start = session().conn.stats.octets_received
    made = play(
        session,
        f"C| {line}\nS: {LINE_END}\nC: RSET\nS: 250 2.0.0 OK",
    )
    assert made.events[0] == ProtocolViolation(kind, start + at, fatal=False)
    assert isinstance(made.events[1], InvalidCommand)
    assert made.events[2:] == [Rset()]


@pytest.mark.parametrize("before", range(1, 16))
def test_where_a_bare_cr_stands(before: int) -> None:
    made = session()
    made.feed(b"RSET\r\n" * before)
    start = made.conn.stats.octets_received
    made.feed(b"VRFY abcdef\rg\r\n")
    found = [event for event in made.events if isinstance(event, ProtocolViolation)]
    assert [event.offset for event in found] == [start + 11]


def test_it_may_end_the_connection() -> None:
    config = replace(RELAY, policies={ViolationKind.BARE_LF: Policy.CLOSE})
    made = play(lambda: session(config), f"C| NOOP\\nQUIT\\r\\n\nS: {CLOSING}")
    assert violations(made) == [(ViolationKind.BARE_LF, True)]
    assert made.closed == Closed(CloseReason.VIOLATION, Reply(421, "Protocol violation", "4.7.0"))


def test_a_client_that_knows_no_crlf_is_not_understood() -> None:
    made = session()
    made.feed(b"MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\nhi\n.\nQUIT\n")
    assert made.sent == f"{LINE_END}\r\n{CLOSING}\r\n".encode()
    assert made.conn.envelope is None
    assert violations(made)[-1] == (ViolationKind.UNFRAMED_BODY, True), "its body has no end"


# -- octets


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (r"", "500 5.5.1 Command not recognized"),
        (r"\x20", "500 5.5.1 Command not recognized"),
        (r"\0", "500 5.5.1 Command not recognized"),
        (r"NOOP\0", "500 5.5.1 Command not recognized"),
        (r"\xc5\xbftarttls", "500 5.5.1 Command not recognized"),
        (r"\xffNOOP", "500 5.5.1 Command not recognized"),
        (r"NOOP \0", "501 5.5.4 Control characters in the argument"),
        (r"NOOP \xff", "501 5.5.4 Octets outside ASCII in the argument"),
        (r"MAIL FROM:<\xff@b.example>", "553 5.6.7"),
        (r"MAIL FROM:<a@b.example> SIZE=\xd9\xa3", "501 5.5.4"),
        (r"MAIL FROM:<a@b.example> SIZE=1_0", "501 5.5.4 Bad parameter: SIZE"),
        (r"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", "501 5.5.4 Repeated parameter: SIZE"),
        (r"MAIL FROM:<a@b.example> SIZE=", "501 5.5.4 Bad parameter: SIZE"),
        (r"MAIL FROM:<a@b.example> =1", "501 5.5.4 A parameter is KEYWORD or KEYWORD=value"),
        (r"MAIL FROM:<a@b.example> X=1", "555 5.5.4 Parameter not recognized"),
        (r"MAIL FROM:<a\0@b.example>", "501 5.1.7"),
        (r"RSET now", "501 5.5.4 RSET takes no argument"),
        (r"QUIT now", "501 5.5.4 QUIT takes no argument"),
        (r"SEND FROM:<a@b.example>", "502 5.5.1 Command not implemented"),
        (r"TURN", "502 5.5.1 Command not implemented"),
        (r"ETRN x.example", "502 5.5.1 Command not implemented"),
        (r"EXPN list", "502 5.5.1 Command not implemented"),
    ],
)
def test_octets_that_make_no_command(line: str, reply: str) -> None:
    made = session()
    sent = made.feed(line.encode().decode("unicode_escape").encode("latin-1") + b"\r\n")
    assert sent.decode().startswith(reply)
    assert made.conn.state is State.READY
    play(session, f"C: {line}\nS: {sent.decode().removesuffix(chr(13) + chr(10))}")


@pytest.mark.parametrize("line", ["NOOP", "noop", "NoOp any text", "NOOP\\x20\\x20", "NOOP\\t"])
def test_case_and_blanks(line: str) -> None:
    play(session, f"C: {line}\nS: 250 2.0.0 OK")


def test_no_reply_has_octets_of_the_peer() -> None:
    for line in (
        b"INJECT",
        b"EHLO INJECT_",
        b"MAIL INJECT",
        b"MAIL FROM:<INJECT@>",
        b"AUTH INJECT",
    ):
        made = session(replace(RELAY, mechanisms=("PLAIN",), cleartext_without_tls=True))
        assert b"INJECT" not in made.feed(line + b"\r\n")
        assert b"INJECT" not in made.feed(b"MAIL FROM:<a@b.example> INJECT=1\r\n")


# -- length


def test_the_longest_command() -> None:
    for octets, reply in (
        (b"NOOP " + b"x" * 505, b"250 2.0.0 OK\r\n"),
        (b"NOOP " + b"x" * 506, b"500 5.5.2 Line too long\r\n"),
        (b"X" * 511, b"500 5.5.2 Line too long\r\n"),
        (b"X" * 5000, b"500 5.5.2 Line too long\r\n"),
    ):
        for at in (1, 510, 511, 512, 513, len(octets), len(octets) + 1):
            made = session()
            stream = octets + b"\r\nRSET\r\n"
            feed_all(made, [stream[:at], stream[at:]])
            assert made.sent == reply + b"250 2.0.0 OK\r\n", (len(octets), at)


def test_extensions_lengthen_the_lines_of_their_verbs() -> None:  # RFC 5321 §4.5.3.1.4
    config = replace(RELAY, offer=(*RELAY.offer, DSN))
    made = session(config)
    parameters = b" ORCPT=rfc822;" + b"x" * 480
    line = b"RCPT TO:<c@d.example>" + parameters + b" " * 40
    assert len(line) > 512
    made.feed(b"MAIL FROM:<a@b.example>\r\n")
    assert made.feed(line + b"\r\n") == b"250 2.1.5 Recipient OK\r\n"
    made = session(config, hello="HELO c.example")
    made.feed(b"MAIL FROM:<a@b.example>\r\n")
    assert made.feed(b"NOOP " + b"x" * 600 + b"\r\n") == b"500 5.5.2 Line too long\r\n"


def test_an_over_long_line_may_end_the_connection() -> None:
    config = replace(RELAY, policies={ViolationKind.LINE_TOO_LONG: Policy.CLOSE})
    for length in (530, 600, 6000):
        made = session(config)
        assert made.feed(b"X" * length + b"\r\n") == CLOSING.encode() + b"\r\n"
        assert violations(made) == [(ViolationKind.LINE_TOO_LONG, True)]


def test_an_endless_line_is_dropped_and_bounded() -> None:
    config = replace(RELAY, limits=replace(RELAY.limits, swallow=5000))
    made = session(config)
    for _ in range(8):
        made.feed(b"x" * 700)
    assert made.sent == b"500 5.5.2 Line too long\r\n421 4.3.4 Too much data\r\n"
    assert violations(made) == [
        (ViolationKind.LINE_TOO_LONG, False),
        (ViolationKind.TOO_MUCH, True),
    ]


# -- other protocols


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "post /x",
        "Host: mx.example",
        "CONNECT x:25 HTTP/1.0",
        "GET",
        "SSH-2.0-OpenSSH",
        "\\x16\\x03\\x01\\x02\\0",
        "GET /" + "x" * 600,
        "GET /\\rx",
    ],
)
@pytest.mark.parametrize("tls", [None, TLS])
def test_another_protocol(line: str, tls: TlsInfo | None) -> None:
    made = play(
        lambda: session(hello=None, tls=tls),
        f"C: {line}\nS: {CLOSING}",
    )
    assert violations(made) == [(ViolationKind.FOREIGN_PROTOCOL, True)]
    found = made.events[0]
    assert isinstance(found, ProtocolViolation)
    assert found.offset == 0


@pytest.mark.parametrize("line", ["GET /x", "GET", "GET /x\\ny", "SSH-2.0-x", "\\x16\\x03\\x01"])
def test_it_may_be_answered_instead(line: str) -> None:
    config = replace(RELAY, policies={ViolationKind.FOREIGN_PROTOCOL: Policy.ANSWER})
    made = play(
        lambda: session(config, hello=None),
        f"C: {line}\nS: 500 5.5.1 This is SMTP\nC: NOOP\nS: 250 2.0.0 OK",
    )
    assert violations(made) == [(ViolationKind.FOREIGN_PROTOCOL, False)]


@pytest.mark.parametrize("line", ["GETAWAY", "POSTMASTER", "SSH", "GETS /"])
def test_what_only_starts_like_one(line: str) -> None:
    play(
        lambda: session(hello=None),
        f"C: {line}\nS: 500 5.5.1 Command not recognized",
    )


def test_words_of_http_in_a_command_are_words() -> None:
    play(
        lambda: session(hello=None),
        "C: NOOP / HTTP/1.1\nS: 250 2.0.0 OK\nC: HELP GET / HTTP/1.1\nS: 214 2.0.0 See RFC 5321",
    )


def test_after_hello_it_is_an_unknown_command() -> None:
    play(session, "C: GET / HTTP/1.1\nS: 500 5.5.1 Command not recognized")


def test_a_verb_of_ones_own_is_not_foreign() -> None:
    own = Extension("X-GET", "private", "x", flag, no_parameter, verbs=(Verb("GET", str, str),))
    config = replace(RELAY, offer=(*RELAY.offer, own))
    play(
        lambda: session(config, hello=None),
        "C: GET x\nS: 503 5.5.1 Bad sequence of commands",
    )


# -- early talk and pipelining


def arrivals(made: Session) -> list[tuple[ViolationKind, int, bool]]:
    found: list[tuple[ViolationKind, int, bool]] = []
    while not isinstance(item := made.conn.next_event(), Need):
        if isinstance(item, ProtocolViolation):
            found.append((item.kind, item.offset, item.fatal))
        else:
            made.tell(item)
    made.sent += made.conn.data_to_send()
    if item is Need.WRITE:
        found += arrivals(made)
    return found


def test_early_talk_is_noted() -> None:
    for at in (0, 1):
        made = Session(ServerConnection(RELAY))
        if at:
            assert not isinstance(made.conn.next_event(), Need)
        made.conn.receive_data(b"EHLO c")
        made.conn.receive_data(b".example\r\n")
        if at:
            made.conn.reply()
        assert arrivals(made) == [(ViolationKind.EARLY_TALK, 0, False)]
        assert made.sent.startswith(b"220 mx.example ESMTP\r\n250-")


def test_early_talk_refused() -> None:
    config = replace(RELAY, policies={ViolationKind.EARLY_TALK: Policy.CLOSE})
    for asked in (False, True):
        made = Session(ServerConnection(config))
        if asked:
            assert not isinstance(made.conn.next_event(), Need)
        made.conn.receive_data(b"EHLO c.example\r\n")
        assert arrivals(made) == [(ViolationKind.EARLY_TALK, 0, True)]
        assert made.sent == b"554 Talk after the greeting\r\n"
        assert made.conn.pending is None
        assert made.at(Need.DATA)
        assert made.closed is not None


def test_talk_after_the_greeting_is_not_early() -> None:
    made = session(hello=None)
    made.conn.receive_data(b"NOOP\r\n")
    assert arrivals(made) == []


def test_pipeconnect_may_talk_early() -> None:
    config = replace(RELAY, pipeconnect=frozenset({"192.0.2.1"}))
    made = Session(ServerConnection(config, peer=Peer(address="192.0.2.1")))
    made.conn.receive_data(b"EHLO c.example\r\nMAIL FROM:<>\r\n")
    assert arrivals(made) == []
    other = Session(ServerConnection(config, peer=Peer(address="192.0.2.2")))
    other.conn.receive_data(b"EHLO c.example\r\nMAIL FROM:<>\r\n")
    assert [kind for kind, _, _ in arrivals(other)] == [
        ViolationKind.EARLY_TALK,
        ViolationKind.PIPELINING,
    ]


LAST_IN_GROUP: Final = (
    *("EHLO c", "DATA", "VRFY c", "NOOP", "QUIT", "HELP"),
    *("AUTH LOGIN", "AUTH LOGIN dXNlcg==", "AUTH PLAIN", "AUTH EXTERNAL"),
)
ANYWHERE: Final = (
    *("MAIL FROM:<>", "RCPT TO:<c@d.example>", "RSET", "BDAT 0"),
    *("AUTH PLAIN AGEAYg==", "AUTH EXTERNAL ="),  # RFC 4954 §4: they have one round trip
)
CERTIFIED: Final = TlsInfo("TLSv1.3", peer=PeerCertificate(b"der", ("c.example",)))


@pytest.mark.parametrize("line", [*LAST_IN_GROUP, *ANYWHERE])
@pytest.mark.parametrize("policy", [Policy.NOTE, Policy.ANSWER, Policy.CLOSE])
def test_what_must_be_last_in_its_group(line: str, policy: Policy) -> None:  # RFC 2920 §3.1
    config = replace(
        RELAY,
        mechanisms=("PLAIN", "LOGIN", "EXTERNAL"),
        policies={ViolationKind.PIPELINING: policy},
    )
    made = session(config, tls=CERTIFIED)
    if line[:4] in ("RCPT", "DATA", "BDAT"):
        made.feed(b"MAIL FROM:<a@b.example>\r\n")
    if line[:4] in ("DATA", "BDAT"):
        made.feed(b"RCPT TO:<c@d.example>\r\n")
    made.sent = b""
    made.conn.receive_data(line.encode() + b"\r\nRSET\r\n")
    found = [(kind, fatal) for kind, _, fatal in arrivals(made)]
    if line in ANYWHERE:
        assert found == []
        return
    assert found[:1] == [(ViolationKind.PIPELINING, policy is Policy.CLOSE)]
    if policy is Policy.CLOSE:
        assert made.sent == CLOSING.encode() + b"\r\n"
    elif policy is Policy.ANSWER and line != "QUIT":
        next_ = CLOSING.encode() if line == "DATA" else b"250 2.0.0 OK"
        assert made.sent == b"503 5.5.1 Bad sequence of commands\r\n" + next_ + b"\r\n"
    else:
        assert not made.sent.startswith(b"503")


def test_without_pipelining_nothing_may_stand_behind_anything() -> None:
    config = replace(RELAY, offer=())
    for line in (b"MAIL FROM:<>\r\n", b"RSET\r\n"):
        made = session(config)
        made.conn.receive_data(line + b"NOOP\r\n")
        assert [kind for kind, _, _ in arrivals(made)] == [ViolationKind.PIPELINING]
    assert PIPELINING not in made.conn.extensions


# -- who must flush, and when


@pytest.mark.parametrize(
    ("line", "held_back"),
    [
        ("EHLO c", False),
        ("NOOP", False),
        ("HELP", False),
        ("VRFY c", False),
        ("EXPN c", False),
        ("XYZZY", False),
        ("VRFY", False),
        ("RSET", True),
        ("MAIL FROM:<>", True),
        ("MAIL FROM:<> X", True),
        ("RCPT TO:<c@d.example>", True),
        ("BDAT 0", True),
    ],
)
def test_what_must_not_be_held_back(line: str, held_back: bool) -> None:  # RFC 2920 §3.2
    made = session()
    made.conn.receive_data(line.encode() + b"\r\nRSET\r\n")
    needs: list[object] = []
    while not isinstance(item := made.conn.next_event(), Need) or item is Need.WRITE:
        if item is Need.WRITE:
            needs.append(item)
            assert made.conn.next_event() is Need.WRITE
            made.conn.data_to_send()
        else:
            made.tell(item)
    assert bool(needs) is not held_back
    assert item is Need.DATA


def test_the_greeting_is_not_held_back_by_talk_before_it() -> None:
    made = Session(ServerConnection(RELAY))
    made.conn.receive_data(b"EHLO c.example\r\n")
    while not isinstance(item := made.conn.next_event(), Need):
        made.tell(item)
    assert item is Need.WRITE
    assert made.conn.data_to_send() == b"220 mx.example ESMTP\r\n"


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (Reply(354, "Go on"), b"354 Go on\r\n"),
        ((), b"354 Go ahead\r\n"),
    ],
)
def test_the_reply_to_data_is_not_held_back(reply: Reply | tuple[()], sent: bytes) -> None:
    made = session(answer=answers({Data: reply}))
    made.feed(b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\n")
    made.conn.receive_data(b"DATA\r\nRSET\r\n.\r\n")
    while not isinstance(item := made.conn.next_event(), Need):
        made.tell(item)
    assert item is Need.WRITE
    assert made.conn.data_to_send() == sent


# -- the end of the stream inside a line


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"", []),
        (b"NOO", [b"NOO"]),
        (b"NOOP\r", [b"<redacted>"]),
        (b"AUTH PLAIN c2Vjcm", [b"AUTH PLAIN <redacted>"]),
    ],
)
def test_the_end_of_the_stream_inside_a_line_is_told(octets: bytes, shown: list[bytes]) -> None:
    made = session()
    seen: list[bytes] = []
    made.conn.trace = lambda direction, octets: seen.append(octets)
    if octets:
        made.feed(octets)
    made.end()
    error = "the stream ended inside a line" if octets else ""
    assert made.events == [Closed(CloseReason.EOF, None, error)]
    assert seen == shown


# -- what may be shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"AUTH PLAIN c2VjcmV0 x", b"AUTH PLAIN <redacted>"),
        (b"auth plain c2VjcmV0", b"AUTH plain <redacted>"),
        (b"AUTH PLAI c2VjcmV0", b"AUTH <redacted>"),
        (b"AUTH c2VjcmV0", b"AUTH <redacted>"),
        (b"AUTHPLAIN c2VjcmV0", b"AUTH <redacted>"),
        (b" AUTH PLAIN c2VjcmV0", b"AUTH <redacted>"),
        (b"\tAUTH PLAIN c2VjcmV0", b"AUTH <redacted>"),
        (b"AUTH\0PLAIN c2VjcmV0", b"AUTH <redacted>"),
        (b"AUTH PLAIN c2VjcmV0\r", b"AUTH PLAIN <redacted>"),
        (b"x\rAUTH PLAIN c2VjcmV0", b"AUTH <redacted>"),
        (b"AUTH PLAIN " + b"c2VjcmV0" * 2000, b"AUTH PLAIN <redacted>"),
    ],
)
def test_a_refused_auth_shows_no_secret_and_neither_does_what_follows(
    line: bytes, shown: bytes
) -> None:
    splits = (
        [[line + b"\r\nc2VjcmV0\r\nRSET\r\n"]]
        if len(line) > 99
        else every_split(line + b"\r\nc2VjcmV0\r\nRSET\r\n")
    )
    for chunks in splits:
        made = session()
        traced: list[bytes] = []
        made.conn.trace = lambda direction, octets, to=traced: to.append(octets)
        feed_all(made, chunks)
        assert made.refusals[0][0] == shown
        assert made.refusals[1:] == [(b"<redacted>", 500)]
        assert b"c2VjcmV0" not in repr(made.events).encode()
        assert b"c2VjcmV0" not in b"".join(traced)
        assert b"RSET\r\n" in traced


@pytest.mark.parametrize("line", [b"AUTH PLAIN c2VjcmV0", b"AUTH PLAI c2VjcmV0"])
def test_behind_a_refused_auth_only_what_begins_with_a_verb_is_shown(line: bytes) -> None:
    """A response may look like a word."""
    made = session()
    made.feed(line + b"\r\nABCD\r\nRSET x\r\n")
    assert [shown for shown, _ in made.refusals[1:]] == [b"<redacted>", b"RSET x"]


def test_behind_a_failed_auth_neither() -> None:
    made = session(replace(RELAY, mechanisms=("PLAIN",), cleartext_without_tls=True))
    assert made.feed(b"AUTH PLAIN AGEAYg==\r\nABCD\r\n").startswith(b"535 ")
    assert [shown for shown, _ in made.refusals] == [b"<redacted>"]


def test_a_trace_is_the_dialogue() -> None:
    made = session(replace(RELAY, mechanisms=("LOGIN",), cleartext_without_tls=True), answers({}))
    told: list[tuple[str, bytes]] = []
    made.conn.trace = lambda direction, octets: told.append((direction, octets))
    made.feed(b"AUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nNOOP\rx\r\nc2VjcmV0\r\nQUIT\r\n")
    assert told == [
        ("received", b"AUTH LOGIN\r\n"),
        ("sent", b"334 VXNlcm5hbWU6\r\n"),
        ("received", b"<redacted>\r\n"),
        ("sent", b"334 UGFzc3dvcmQ6\r\n"),
        ("received", b"<redacted>\r\n"),
        ("sent", b"535 5.7.8 Authentication credentials invalid\r\n"),
        ("received", b"<redacted>\r\n"),
        ("sent", LINE_END.encode() + b"\r\n"),
        ("received", b"<redacted>\r\n"),
        ("sent", b"500 5.5.1 Command not recognized\r\n"),
        ("received", b"QUIT\r\n"),
        ("sent", b"221 2.0.0 Goodbye\r\n"),
    ]


def test_a_trace_that_raises_changes_nothing() -> None:
    stream = b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nXYZZY\r\nQUIT\r\n"
    quiet = Session(ServerConnection(RELAY))
    quiet.run()
    quiet.feed(stream)
    raised = 0

    def trace(direction: str, octets: bytes) -> None:
        raise RuntimeError("a broken log")

    loud = Session(ServerConnection(RELAY))
    loud.run()
    loud.conn.trace = trace
    loud.conn.receive_data(stream)
    while True:
        try:
            loud.run()
        except RuntimeError:
            raised += 1
        else:
            break
    assert raised > 3
    assert loud.events == quiet.events
    assert loud.conn.stats == quiet.conn.stats


def test_a_trace_that_ends_the_session_is_followed_by_the_end() -> None:
    made = session(replace(RELAY, mechanisms=("LOGIN",), cleartext_without_tls=True))
    made.conn.trace = lambda direction, octets: made.conn.abort("the log is full")
    made.conn.receive_data(b"AUTH LOGIN\r\n")  # is answered with a challenge, and told by no event
    assert made.conn.next_event() == Closed(CloseReason.ABORTED, error="the log is full")
    assert made.conn.next_event() is Need.CLOSE


def test_a_trace_may_be_taken_away() -> None:
    made = session()
    made.conn.trace = lambda direction, octets: None
    made.conn.receive_data(b"NOOP\r\n")
    assert made.conn.trace is not None
    made.conn.trace = None
    assert made.run() == b"250 2.0.0 OK\r\n"

    def once(direction: str, octets: bytes) -> None:
        made.conn.trace = None

    made.conn.trace = once
    assert made.feed(b"NOOP\r\n") == b"250 2.0.0 OK\r\n"


# -- small things


def test_informative_commands_are_told() -> None:
    made = session()
    made.feed(b"NOOP hello\r\nHELP topic\r\nRSET\r\nQUIT\r\n")
    assert made.events == [
        Noop("hello"),
        Help("topic"),
        Rset(),
        Quit(),
        Closed(CloseReason.QUIT, Reply(221, "Goodbye", "2.0.0")),
    ]


def test_what_follows_quit_is_dropped() -> None:
    made = session()
    assert made.feed(b"QUIT\r\nMAIL FROM:<>\r\n") == b"221 2.0.0 Goodbye\r\n"
    made.conn.receive_data(b"MAIL FROM:<>\r\n")
    assert made.conn.stats.octets_received == len(b"EHLO c.example\r\nQUIT\r\nMAIL FROM:<>\r\n")
    events, need = drain(made.conn)
    assert (events, need) == ([], Need.CLOSE)


def test_quit_may_end_with_a_violation() -> None:
    config = replace(RELAY, policies={ViolationKind.PIPELINING: Policy.CLOSE})
    made = session(config)
    assert made.feed(b"QUIT\r\nNOOP\r\n") == CLOSING.encode() + b"\r\n"
    assert Quit() not in made.events


def test_after_mail_is_rset_no_junk_and_mail_in_mail_is_refused() -> None:
    play(
        session,
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: MAIL FROM:<a@b.example>
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 OK
        C: RCPT TO:<c@d.example>
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


def test_leniency_is_a_matter_of_configuration() -> None:
    strict = session()
    lenient = session(
        replace(ServerConfig.submission("mx.example"), require_auth=False), by_default
    )
    for line in (b"MAIL FROM: <a@b.example>\r\n", b"MAIL FROM:a@b.example\r\n"):
        assert strict.feed(line).startswith(b"501 ")
        assert lenient.feed(line + b"RSET\r\n").startswith(b"250 ")


def test_hello_is_remembered() -> None:
    made = session()
    assert made.conn.hello == Hello("c.example")
    assert not made.conn.reusable
    assert repr(made.conn) == "<ServerConnection mx.example ready>"
    assert isinstance(made.conn.next_event(), Need)
    assert Mail not in map(type, made.events)


def test_what_only_the_whole_command_tells() -> None:
    def with_neither(offer: Offer, parameters: Parameters) -> CommandError | None:
        if p.SIZE in parameters or p.NOTIFY in parameters:
            return CommandError(555, "5.5.4", "Neither SIZE nor NOTIFY")
        return None

    own = Extension("X-CHECK", "private", "x", flag, no_parameter, check=with_neither)
    play(
        lambda: session(replace(RELAY, offer=(*RELAY.offer, DSN, own))),
        r"""
        C: MAIL FROM:<a@b.example> SIZE=1
        S: 555 5.5.4 Neither SIZE nor NOTIFY
        C: MAIL FROM:<a@b.example> BODY=8BITMIME
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example> NOTIFY=NEVER
        S: 555 5.5.4 Neither SIZE nor NOTIFY
        C: RCPT TO:<c@d.example> ORCPT=rfc822;c@d.example
        S: 250 2.1.5 Recipient OK
        """,
    )


def test_a_foreign_line_is_traced_by_its_word() -> None:
    config = replace(RELAY, policies={ViolationKind.FOREIGN_PROTOCOL: Policy.ANSWER})
    for chunks in every_split(b"GET /secret\r\n"):
        made = session(config, hello=None)
        traced: list[bytes] = []
        made.conn.trace = lambda direction, octets, to=traced: to.append(octets)
        feed_all(made, chunks)
        assert traced == [b"GET\r\n", b"500 5.5.1 This is SMTP\r\n"]


# -- plain lines are read by a short way, which leads to the same end


@pytest.mark.parametrize(("length", "code"), [(64, b"250"), (65, b"501")])
def test_a_local_part_has_64_octets_at_most(length: int, code: bytes) -> None:
    for command in (b"MAIL FROM:<%b@d.example>\r\n", b"RCPT TO:<%b@d.example>\r\n"):
        made = session()
        if command.startswith(b"RCPT"):
            made.feed(b"MAIL FROM:<>\r\n")
        assert made.feed(command % (b"x" * length))[:3] == code


@pytest.mark.parametrize(("limit", "code"), [(39, b"250"), (38, b"500")])
def test_a_plain_line_is_held_to_the_limit(limit: int, code: bytes) -> None:
    line = b"RCPT TO:<somebody.new@them.b.example>\r\n"
    assert len(line) == 39
    made = session(replace(RELAY, limits=Limits(command_line=limit), offer=(PIPELINING,)))
    made.feed(b"MAIL FROM:<>\r\n")
    assert made.feed(line)[:3] == code


@pytest.mark.parametrize("before", [b"NOOP\r\n", b"RSET\r\n"])
def test_a_foreign_word_of_several_lines_is_traced_behind_what_came_before(before: bytes) -> None:
    made = session(hello=None)
    shown: list[tuple[str, bytes]] = []
    made.conn.trace = lambda direction, octets: shown.append((direction, octets))
    made.feed(before + b"GET / HTTP/1.1\r\n")
    assert [octets for direction, octets in shown if direction == "received"] == [
        before,
        b"GET\r\n",
    ]
