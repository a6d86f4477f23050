"""The message: DATA and BDAT give the same chunks, and every bracket that opens is closed once."""

import itertools
from collections.abc import Callable
from typing import Final

import pytest
from tests.engine.transcript import (
    LMTP,
    RELAY,
    Answer,
    Session,
    answers,
    by_default,
    feed_all,
    play,
    session,
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
    ServerEvent,
)
from smtpwire.engine.need import Need
from smtpwire.engine.policy import Policy
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import BINARYMIME, BURL, PIPELINING, Burl
from smtpwire.testing import every_split
from smtpwire.wire.body import LineEndings
from smtpwire.wire.command import Bdat, Data, Mail, Rcpt, Rset
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

ENVELOPE: Final = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"


def in_transaction(config: ServerConfig = RELAY) -> Session:
    made = session(config)
    made.feed(ENVELOPE)
    made.events.clear()
    made.sent = b""
    return made


def ends(made: Session) -> list[ServerEvent]:
    """What closed messages and the connection."""
    return [e for e in made.events if isinstance(e, EndOfMessage | MessageAborted | Closed)]


def told(made: Session, *kinds: type[ServerEvent]) -> list[ServerEvent]:
    return [event for event in made.events if isinstance(event, kinds)]


# -- DATA


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (r"C| .\r\n", b""),
        (r"C| hello\r\n.\r\n", b"hello\r\n"),
        (r"C| ..\r\n.\r\n", b".\r\n"),
        (r"C| ..hidden\r\n...\r\n.\r\n", b".hidden\r\n..\r\n"),
        (r"C| .hidden\r\n.\r\n", b"hidden\r\n"),
        (r"C| \r\n\r\n.\r\n", b"\r\n\r\n"),
        (r"C| \xff\x00\x80\r\n.\r\n", b"\xff\x00\x80\r\n"),
    ],
)
def test_content(body: str, content: bytes) -> None:
    made = play(
        in_transaction,
        rf"""
        C: DATA
        S: 354 Go ahead
        {body}
        S: 250 2.0.0 Message accepted
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )
    assert made.content == content
    [end] = ends(made)
    assert isinstance(end, EndOfMessage)
    assert (end.size, end.canonical) == (len(content), True)
    assert [str(path) for path in end.envelope.forward_paths] == ["c@d.example"]
    assert str(end.envelope.reverse_path) == "a@b.example"


def test_the_next_transaction_may_follow_in_the_same_group() -> None:
    made = play(
        in_transaction,
        r"""
        C: DATA
        S: 354 Go ahead
        C: one
        C: .
        S: 250 2.0.0 Message accepted
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<Postmaster>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead
        C: two
        C: .
        S: 250 2.0.0 Message accepted
        """,
    )
    assert [e.data for e in made.events if isinstance(e, BodyChunk)] == [b"one\r\n", b"two\r\n"]


def test_no_recipients_no_data() -> None:
    made = play(
        session,
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: DATA
        S: 503 5.5.1 No recipients
        C: BDAT 6
        C| QUIT\r\n
        S: 503 5.5.1 No recipients
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        """,
    )
    assert not told(made, Data)


def test_a_refused_data_leaves_the_transaction() -> None:
    play(
        lambda: session(answer=answers({Data: Reply(451, "Not now")})),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 451 4.0.0 Not now
        C: MAIL FROM:<x@y.example>
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 OK
        """,
    )


# -- bare line ends and smuggling

LOOKALIKES: Final = tuple(
    before + b"." + after
    for before, after in itertools.product((b"\r", b"\n", b"\r\n", b"\0", b""), repeat=2)
    if (before, after) != (b"\r\n", b"\r\n")
)
SMUGGLED: Final = (
    b"MAIL FROM:<smuggled@e.example>\r\nRCPT TO:<victim@e.example>\r\nDATA\r\nspam\r\n"
)


@pytest.mark.parametrize("line_endings", LineEndings)
@pytest.mark.parametrize("lookalike", LOOKALIKES, ids=repr)
def test_what_looks_like_the_end_of_data_is_content(
    lookalike: bytes, line_endings: LineEndings
) -> None:
    config = replace(RELAY, line_endings=line_endings)
    stream = b"one" + lookalike + SMUGGLED + b".\r\n"
    first: list[object] = []
    for chunks in every_split(stream):
        made = in_transaction(config)
        made.feed(b"DATA\r\n")
        feed_all(made, chunks)
        assert not told(made, Mail), chunks
        assert made.conn.state is State.READY
        assert len(ends(made)) == 1
        assert made.sent.count(b"\r\n") == 2, "354 and one reply"
        first = first or [made.events, made.sent]
        assert [made.events, made.sent] == first


@pytest.mark.parametrize("before", [b"\r", b"\n", b"\0", b""], ids=repr)
@pytest.mark.parametrize("line_endings", LineEndings)
def test_a_lookalike_at_the_very_beginning(before: bytes, line_endings: LineEndings) -> None:
    made = in_transaction(replace(RELAY, line_endings=line_endings))
    made.feed(b"DATA\r\n" + before + b".\r\n" + SMUGGLED)
    if before == b"":  # CRLF of the command and the dot: an empty message
        assert told(made, Mail)
    else:
        assert not told(made, Mail)


BINARY: Final = replace(RELAY, offer=(*RELAY.offer, BINARYMIME))


def in_binary_transaction() -> Session:
    made = session(BINARY)
    made.feed(b"MAIL FROM:<a@b.example> BODY=BINARYMIME\r\nRCPT TO:<c@d.example>\r\n")
    made.events.clear()
    made.sent = b""
    return made


@pytest.mark.parametrize(
    "make",
    [
        in_binary_transaction,
        lambda: in_transaction(replace(RELAY, line_endings=LineEndings.PRESERVE)),
        lambda: in_transaction(replace(RELAY, line_endings=LineEndings.NORMALISE)),
        lambda: in_transaction(replace(RELAY, check_chunks=False)),
    ],
    ids=["BINARYMIME", "preserve", "normalise", "not looked at"],
)
def test_what_came_by_bdat_bare_is_marked(make: Callable[[], Session]) -> None:
    made = make()
    made.feed(b"BDAT 13 LAST\r\none\n.\nMAIL x\r")
    [end] = ends(made)
    assert isinstance(end, EndOfMessage)
    assert not end.canonical


@pytest.mark.parametrize(
    ("content", "canonical"),
    [
        (b"", True),
        (b"a", True),
        (b"a\r\n", True),
        (b"a\r", False),
        (b"\r\r\n", False),
        (b"a\n", False),
    ],
)
def test_the_last_octet_of_the_last_chunk_counts(content: bytes, canonical: bool) -> None:
    made = in_binary_transaction()
    made.feed(b"BDAT %d LAST\r\n%b" % (len(content), content))
    [end] = ends(made)
    assert isinstance(end, EndOfMessage)
    assert end.canonical is canonical


@pytest.mark.parametrize(
    ("chunks", "kind", "offset", "content"),
    [
        ((b"one\ntwo",), ViolationKind.BARE_LF, 3, b"one"),
        ((b"one\rtwo",), ViolationKind.BARE_CR, 3, b"one\r"),
        ((b"a\r\nb\r\r\nc",), ViolationKind.BARE_CR, 4, b"a\r\nb\r"),
        ((b"\n",), ViolationKind.BARE_LF, 0, b""),
        ((b"a\r",), ViolationKind.BARE_CR, 1, b"a\r"),
        ((b"a\r", b"b"), ViolationKind.BARE_CR, -1, b"a\r"),
        ((b"a\r", b"\nb\n"), ViolationKind.BARE_LF, 2, b"a\r\nb"),
    ],
)
def test_text_by_bdat_has_crlf_at_its_line_ends(
    chunks: tuple[bytes, ...], kind: ViolationKind, offset: int, content: bytes
) -> None:
    """RFC 3030 §2; what DATA would refuse is refused, at the end of its chunk."""
    *before, last = chunks
    stream = b"".join(b"BDAT %d\r\n%b" % (len(chunk), chunk) for chunk in before)
    start = len(b"EHLO c.example\r\n" + ENVELOPE + stream)
    line = b"BDAT %d LAST\r\n" % len(last)
    start += len(line)  # a CR before it is told where the chunk begins, less one
    for pieces in every_split(stream + line + last + b"NOOP\r\n"):
        made = in_transaction()
        feed_all(made, pieces)
        assert told(made, ProtocolViolation) == [ProtocolViolation(kind, start + offset, False)]
        assert ends(made) == [
            MessageAborted(Aborted.CONTENT, Reply(554, "Bare CR or LF in the message", "5.6.0"))
        ]
        assert made.content == content
        assert codes_of(made.sent) == [*[250] * len(before), 554, 250]
        assert made.conn.state is State.READY


def test_a_bare_line_end_in_a_chunk_may_end_the_connection() -> None:
    policies = {ViolationKind.BARE_LF: Policy.CLOSE, ViolationKind.BARE_CR: Policy.CLOSE}
    for content in (b"a\nb", b"a\r"):
        made = in_transaction(replace(RELAY, policies=policies))
        made.feed(b"BDAT %d LAST\r\n%b" % (len(content), content))
        assert codes_of(made.sent) == [421]
        assert [type(event) for event in ends(made)] == [MessageAborted, Closed]


def test_the_limit_comes_before_what_stands_behind_it() -> None:
    for content, code in ((b"12345678\n", 552), (b"1234\n678x", 554), (b"12345678\r\n", 552)):
        for pieces in every_split(b"BDAT %d LAST\r\n%b" % (len(content), content)):
            made = in_transaction(replace(RELAY, limits=replace(RELAY.limits, message=8)))
            feed_all(made, pieces)
            assert codes_of(made.sent) == [code], pieces


@pytest.mark.parametrize(
    ("body", "kind", "offset"),
    [
        (b"one\ntwo", ViolationKind.BARE_LF, 3),
        (b"one\rtwo", ViolationKind.BARE_CR, 3),
        (b"a\r\nb\r\r\nc", ViolationKind.BARE_CR, 4),
        (b"\n", ViolationKind.BARE_LF, 0),
    ],
)
def test_a_bare_line_end_is_refused_at_the_true_end(
    body: bytes, kind: ViolationKind, offset: int
) -> None:
    def make() -> Session:
        made = in_transaction()
        made.feed(b"DATA\r\n")
        made.events.clear()
        return made

    start = make().conn.stats.octets_received
    for chunks in every_split(body + b"\r\nMAIL FROM:<>\r\n.\r\nNOOP\r\n"):
        made = make()
        feed_all(made, chunks)
        assert told(made, ProtocolViolation) == [ProtocolViolation(kind, start + offset, False)]
        assert ends(made) == [
            MessageAborted(Aborted.CONTENT, Reply(554, "Bare CR or LF in the message", "5.6.0"))
        ]
        assert made.content == body[:offset]
        assert made.sent == (
            b"354 Go ahead\r\n554 5.6.0 Bare CR or LF in the message\r\n250 2.0.0 OK\r\n"
        )


def test_a_bare_line_end_may_end_the_connection() -> None:
    config = replace(RELAY, policies={ViolationKind.BARE_LF: Policy.CLOSE})
    made = in_transaction(config)
    assert made.feed(b"DATA\r\none\ntwo\r\n.\r\n") == (
        b"354 Go ahead\r\n421 4.7.0 Protocol violation\r\n"
    )
    reply = Reply(421, "Protocol violation", "4.7.0")
    assert ends(made) == [
        MessageAborted(Aborted.CLOSED, reply),
        Closed(CloseReason.VIOLATION, reply),
    ]


def test_normalise_and_preserve() -> None:
    for policy, content, canonical in (
        (LineEndings.NORMALISE, b"a\r\n\r\nb\r\n\r\n", True),
        (LineEndings.PRESERVE, b"a\r\rb\n\r\n", False),
    ):
        made = play(
            lambda policy=policy: in_transaction(replace(RELAY, line_endings=policy)),  # type: ignore[misc]
            r"""
            C: DATA
            S: 354 Go ahead
            C| a\r\rb\n\r\n.\r\n
            S: 250 2.0.0 Message accepted
            """,
        )
        assert made.content == content
        [end] = ends(made)
        assert isinstance(end, EndOfMessage)
        assert end.canonical is canonical


# -- BDAT


def test_chunks() -> None:
    made = play(
        in_binary_transaction,
        r"""
        C: BDAT 7
        C| one\r\n.\r
        S: 250 2.0.0 Octets received
        C: bdat 0
        S: 250 2.0.0 Octets received
        C: BDAT 3 last
        C| \nQ\n
        S: 250 2.0.0 Message accepted
        """,
    )
    assert made.content == b"one\r\n.\r\nQ\n"
    [data, *_] = made.events
    assert data == Data(chunking=True)
    [end] = ends(made)
    assert isinstance(end, EndOfMessage)
    assert (end.size, end.canonical) == (10, False)


def test_an_empty_message_by_bdat() -> None:
    made = play(
        in_transaction,
        r"""
        C: BDAT 0 LAST
        S: 250 2.0.0 Message accepted
        C: BDAT 0 LAST
        S: 503 5.5.1 Bad sequence of commands
        """,
    )
    [end] = ends(made)
    assert isinstance(end, EndOfMessage)
    assert (end.size, end.canonical) == (0, True)


def test_canonical_needs_the_check() -> None:
    made = in_transaction(replace(RELAY, check_chunks=False))
    made.feed(b"BDAT 3 LAST\r\nabc")
    [end] = ends(made)
    assert isinstance(end, EndOfMessage)
    assert not end.canonical


def test_between_chunks_no_mail_rcpt_and_data() -> None:
    made = play(
        in_transaction,
        r"""
        C: BDAT 3
        C| abc
        S: 250 2.0.0 Octets received
        C: MAIL FROM:<>
        S: 503 5.5.1 Bad sequence of commands
        C: RCPT TO:<c@d.example>
        S: 503 5.5.1 Bad sequence of commands
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: STARTTLS
        S: 502 5.5.1 TLS not available
        C: NOOP
        S: 250 2.0.0 OK
        C: BDAT 0 LAST
        S: 250 2.0.0 Message accepted
        """,
    )
    assert made.content == b"abc"


@pytest.mark.parametrize(
    ("line", "reply", "reason", "events"),
    [
        ("RSET", "250 2.0.0 OK", Aborted.RESET, [Rset()]),
        ("QUIT", "221 2.0.0 Goodbye", Aborted.CLOSED, []),
    ],
)
def test_what_ends_a_message_between_chunks(
    line: str, reply: str, reason: Aborted, events: list[ServerEvent]
) -> None:
    made = play(
        in_transaction,
        rf"""
        C: BDAT 3
        C| abc
        S: 250 2.0.0 Octets received
        C: {line}
        S: {reply}
        """,
    )
    assert isinstance(ends(made)[0], MessageAborted)
    assert ends(made)[0].reason is reason  # type: ignore[union-attr]
    if events:
        assert made.events[-1:] == events
        assert made.conn.state is State.READY
        assert made.conn.envelope is None


def test_ehlo_between_chunks_is_a_reset() -> None:
    made = in_transaction()
    made.feed(b"BDAT 3\r\nabcEHLO c.example\r\n")
    assert ends(made) == [MessageAborted(Aborted.RESET)]
    assert made.conn.state is State.READY


def test_data_refused_is_the_answer_to_the_chunk() -> None:
    made = play(
        lambda: session(answer=answers({Data: Reply(552, "No room")})),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 6
        C| QUIT\r\n
        S: 552 5.0.0 No room
        C: BDAT 6
        C| QUIT\r\n
        S: 503 5.5.1 The transaction has failed, send RSET
        C: BDAT 0 LAST
        S: 503 5.5.1 The transaction has failed, send RSET
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        """,
    )
    assert not ends(made), "nothing was opened"


def test_data_refused_at_the_only_chunk() -> None:
    play(
        lambda: session(answer=answers({Data: Reply(552, "No room")})),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 6 LAST
        C| QUIT\r\n
        S: 552 5.0.0 No room
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        """,
    )


@pytest.mark.parametrize("go_on", [Reply(354, "x"), Reply(250, "x"), None])
def test_go_on_sends_nothing_for_a_chunk(go_on: Reply | None) -> None:
    made = in_transaction()
    made.answer = answers({Data: () if go_on is None else go_on})
    assert made.feed(b"BDAT 3\r\n") == b""
    assert made.feed(b"abc") == b"250 2.0.0 Octets received\r\n"


@pytest.mark.parametrize(
    "argument", ["", "x", "-1", "1LAST", "1\\tLAST", "1_0", "9" * 21, "+1", "0x1", "LAST 1"]
)
def test_a_chunk_that_cannot_be_framed_ends_the_connection(argument: str) -> None:
    made = play(
        in_transaction,
        rf"""
        C: BDAT 3
        C| abc
        S: 250 2.0.0 Octets received
        C: BDAT {argument}
        S: 501 5.5.4 Expected BDAT size [LAST]
        S: 421 4.7.0 Protocol violation
        C: MAIL FROM:<smuggled@e.example>
        """,
    )
    assert [e.kind for e in made.events if isinstance(e, ProtocolViolation)] == [
        ViolationKind.CHUNK_SIZE
    ]
    reply = Reply(421, "Protocol violation", "4.7.0")
    assert ends(made) == [
        MessageAborted(Aborted.CLOSED, reply),
        Closed(CloseReason.VIOLATION, reply),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"BDAT 6\n",
        b"BDAT\r 6\r\n",
        b"BDAT 6" + b" " * 1600 + b"\r\n",
        b"BDAT 6" + b" " * 600 + b"\r\n",
        b" BDAT 6\r\n",
        b"BDAT\t6\r\n",
        b"BDAT6\r\n",
    ],
    ids=["LF", "CR", "too long to be read", "too long", "blank before", "tab", "no blank"],
)
def test_nor_can_one_whose_line_is_broken(line: bytes) -> None:
    for chunks in every_split(line + b"QUIT\r\n\r\n") if len(line) < 99 else [[line, b"QUIT\r\n"]]:
        made = in_transaction()
        feed_all(made, chunks)
        assert made.closed is not None
        assert made.closed.reason is CloseReason.VIOLATION
        assert ViolationKind.CHUNK_SIZE in made.arrivals(ViolationKind.CHUNK_SIZE)
        assert made.sent.endswith(b"421 4.7.0 Protocol violation\r\n")


@pytest.mark.parametrize("line", [b"XBDAT 6\n\r\n", b"NOOP BDAT 6\n\r\n", b"BDA 6\n\r\n"])
def test_what_is_no_chunk_can_be_told_from_commands(line: bytes) -> None:
    made = in_transaction()
    reply = made.feed(line + b"NOOP\r\n")
    assert reply.startswith(b"500 5.5.2 A line ends with CRLF")
    assert reply.endswith(b"250 2.0.0 OK\r\n")
    assert made.arrivals(ViolationKind.CHUNK_SIZE) == []


@pytest.mark.parametrize(
    ("config", "reply"),
    [
        (replace(RELAY, offer=(PIPELINING,)), b"502 Command not implemented\r\n"),
        (RELAY, b"503 5.5.1 Bad sequence of commands\r\n"),
        (
            replace(RELAY, require_auth=True),
            b"530 5.7.0 Authentication required\r\n",
        ),
        (
            replace(RELAY, require_tls=True),
            b"530 5.7.0 Must issue a STARTTLS command first\r\n",
        ),
    ],
    ids=["not offered", "out of sequence", "no AUTH", "no TLS"],
)
def test_whatever_refuses_it_a_chunk_is_never_read_as_commands(
    config: ServerConfig, reply: bytes
) -> None:
    for chunks in every_split(b"BDAT 12\r\nMAIL FROM:<>NOOP\r\n"):
        made = session(config)
        feed_all(made, chunks)
        assert made.sent.startswith(reply + b"250 "), chunks
        assert not told(made, Mail)


def test_before_hello_too() -> None:
    made = session(hello=None)
    assert made.feed(b"BDAT 6\r\nQUIT\r\n") == b"503 5.5.1 Bad sequence of commands\r\n"


def test_after_helo_there_is_no_chunking() -> None:
    made = session(hello="HELO c.example")
    assert made.feed(b"BDAT 6\r\nQUIT\r\n") == b"502 5.5.1 Command not implemented\r\n"


def test_binarymime_needs_bdat() -> None:
    play(
        lambda: session(replace(RELAY, offer=(*RELAY.offer, BINARYMIME))),
        r"""
        C: MAIL FROM:<a@b.example> BODY=BINARYMIME
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: BDAT 3 LAST
        C| a\0\n
        S: 250 2.0.0 Message accepted
        """,
    )


def test_bdat_knows_no_go_on_twice() -> None:
    """Data is asked at the first chunk, and not before; the chunk waits for the answer."""
    made = in_transaction()
    made.answer = wait
    assert made.feed(b"BDAT 3\r\nabcBDAT 0 LAST\r\n") == b""
    assert made.conn.pending == Data(chunking=True)
    made.conn.reply()
    made.answer = by_default
    assert made.run() == b"250 2.0.0 Octets received\r\n250 2.0.0 Message accepted\r\n"
    assert len(told(made, Data)) == 1


# -- LMTP and BDAT (RFC 2033 §4.3)


def test_last_owes_nothing_without_a_recipient() -> None:
    play(
        lambda: session(LMTP, hello="LHLO c"),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: BDAT 3
        C| abc
        S: 503 5.5.1 No recipients
        C: BDAT 3 LAST
        C| abc
        C: RSET
        S: 250 2.0.0 OK
        C: BDAT 3 LAST
        C| abc
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )


def test_last_owes_a_reply_a_recipient_also_where_the_transaction_has_failed() -> None:
    play(
        lambda: session(LMTP, answers({Data: Reply(452, "No room")}), hello="LHLO c"),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<e@d.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 3
        C| abc
        S: 452 4.0.0 No room
        C: BDAT 3 LAST
        C| abc
        S: 503 5.5.1 The transaction has failed, send RSET
        S: 503 5.5.1 The transaction has failed, send RSET
        C: RSET
        S: 250 2.0.0 OK
        """,
    )


def test_lmtp_by_bdat() -> None:
    play(
        lambda: session(LMTP, hello="LHLO c"),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<e@d.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 3
        C| abc
        S: 250 2.0.0 Octets received
        C: BDAT 0 LAST
        S: 250 2.0.0 Message accepted
        S: 250 2.0.0 Message accepted
        """,
    )


# -- early verdicts


def verdict(made: Session, reply: Reply) -> None:
    made.conn.reply(reply)
    made.run()


def test_an_early_verdict_on_data_is_said_at_the_end() -> None:
    made = in_transaction()
    made.feed(b"DATA\r\nspam\r\n")
    verdict(made, Reply(550, "Spam", "5.7.1"))
    assert ends(made) == [MessageAborted(Aborted.REFUSED, Reply(550, "Spam", "5.7.1"))]
    assert made.feed(b"more\n spam\r\nMAIL FROM:<>\r\n") == b""
    assert made.feed(b".\r\nNOOP\r\n") == b"550 5.7.1 Spam\r\n250 2.0.0 OK\r\n"
    assert made.content == b"spam"
    assert made.conn.stats.messages == 0


def test_in_a_chunk_it_is_said_at_the_end_of_the_chunk() -> None:
    made = in_transaction()
    made.feed(b"BDAT 8\r\nspam")
    verdict(made, Reply(450, "Spam"))
    assert made.feed(b"more") == b"450 4.0.0 Spam\r\n"
    assert made.feed(b"BDAT 4\r\nmoreBDAT 4 LAST\r\nmore") == (
        b"503 5.5.1 The transaction has failed, send RSET\r\n" * 2
    )
    assert made.feed(b"RSET\r\n") == b"250 2.0.0 OK\r\n"
    assert len(ends(made)) == 1


def test_between_chunks_it_is_said_to_the_next_one() -> None:
    made = in_transaction()
    made.feed(b"BDAT 4\r\nspam")
    verdict(made, Reply(550, "Spam"))
    assert made.feed(b"BDAT 4\r\nmore") == b"550 5.0.0 Spam\r\n"
    assert made.feed(b"BDAT 4\r\nmore") == b"503 5.5.1 The transaction has failed, send RSET\r\n"


def test_between_chunks_it_is_said_to_the_last_one() -> None:
    made = in_transaction()
    made.feed(b"BDAT 4\r\nspam")
    verdict(made, Reply(550, "Spam"))
    assert made.feed(b"BDAT 4 LAST\r\nmore") == b"550 5.0.0 Spam\r\n"
    assert made.conn.state is State.READY


def test_lmtp_says_it_for_all_recipients() -> None:
    made = session(LMTP, hello="LHLO c")
    made.feed(ENVELOPE + b"RCPT TO:<e@d.example>\r\nDATA\r\nspam\r\n")
    verdict(made, Reply(550, "Spam"))
    assert made.feed(b".\r\n") == b"550 5.0.0 Spam\r\n" * 2


def test_an_early_421_is_said_at_once() -> None:
    for start in (b"DATA\r\nspam\r\n", b"BDAT 9\r\nspam"):
        made = in_transaction()
        made.feed(start)
        made.sent = b""
        verdict(made, Reply(421, "Enough"))
        assert made.sent == b"421 4.0.0 Enough\r\n"
        assert ends(made) == [
            MessageAborted(Aborted.REFUSED, Reply(421, "Enough", "4.0.0")),
            Closed(CloseReason.SHUTDOWN, Reply(421, "Enough", "4.0.0")),
        ]


def test_a_verdict_while_a_chunk_is_handled() -> None:
    """As an adapter gives it whose handler has failed."""

    def handle(made: Session) -> None:
        while not isinstance(item := made.conn.next_event(), Need):
            made.events.append(item)
            if isinstance(item, BodyChunk):
                made.conn.reply(Reply(451, "Failed", "4.3.0"))
            elif isinstance(item, Request):
                made.conn.reply()

    made = in_transaction()
    made.conn.receive_data(b"DATA\r\none\r\n.\r\nNOOP\r\n")
    for _ in range(3):
        handle(made)
        made.sent += made.conn.data_to_send()
    assert made.sent == b"354 Go ahead\r\n451 4.3.0 Failed\r\n250 2.0.0 OK\r\n"


# -- BURL (RFC 4468)

SUBMISSION: Final = replace(
    ServerConfig.submission("mx.example"),
    require_auth=False,
    offer=(*RELAY.offer, BURL(("imap",))),
)
URL: Final = "imap://h.example/INBOX;uid=1"
FETCHED: Final = Reply(250, "Fetched")


def submitting(**given: Reply) -> Session:
    burl = given.get("burl", FETCHED)
    made = session(
        SUBMISSION, answers({Burl: burl, **({Data: given["data"]} if "data" in given else {})})
    )
    made.feed(ENVELOPE)
    made.events.clear()
    made.sent = b""
    return made


def test_burl_and_bdat_mix() -> None:
    made = play(
        submitting,
        rf"""
        C: BDAT 3
        C| abc
        S: 250 2.0.0 Octets received
        C: BURL {URL}
        S: 250 2.0.0 Fetched
        C: BURL {URL} LAST
        S: 250 2.0.0 Message accepted
        """,
    )
    assert len(told(made, Data)) == 1
    assert told(made, Burl) == [Burl(URL), Burl(URL, last=True)]


def test_burl_alone() -> None:
    made = play(
        submitting,
        rf"""
        C: BURL {URL} LAST
        S: 250 2.0.0 Message accepted
        C: BURL {URL} LAST
        S: 503 5.5.1 Bad sequence of commands
        """,
    )
    assert made.events[:2] == [Data(chunking=True), Burl(URL, last=True)]


def test_burl_first_then_bdat() -> None:
    play(
        submitting,
        rf"""
        C: BURL {URL}
        S: 250 2.0.0 Fetched
        C: BDAT 3 LAST
        C| abc
        S: 250 2.0.0 Message accepted
        """,
    )


@pytest.mark.parametrize("last", ["", " LAST"])
def test_a_url_that_cannot_be_fetched(last: str) -> None:
    made = play(
        lambda: submitting(burl=Reply(554, "No such URL", "5.6.6")),
        rf"""
        C: BURL {URL}{last}
        S: 554 5.6.6 No such URL
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )
    assert ends(made) == [MessageAborted(Aborted.REFUSED, Reply(554, "No such URL", "5.6.6"))]
    assert made.conn.state is (State.READY if last else State.CHUNKS)


def test_after_a_failed_url_all_is_refused() -> None:
    play(
        lambda: submitting(burl=Reply(554, "No such URL", "5.6.6")),
        rf"""
        C: BURL {URL}
        S: 554 5.6.6 No such URL
        C: BURL {URL} LAST
        S: 503 5.5.1 The transaction has failed, send RSET
        C: BDAT 3 LAST
        C| abc
        S: 503 5.5.1 The transaction has failed, send RSET
        C: RSET
        S: 250 2.0.0 OK
        """,
    )


@pytest.mark.parametrize("last", ["", " LAST"])
def test_data_refused_for_a_url(last: str) -> None:
    made = play(
        lambda: submitting(data=Reply(552, "No room")),
        rf"""
        C: BURL {URL}{last}
        S: 552 5.0.0 No room
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )
    assert not told(made, Burl, MessageAborted)
    assert made.conn.state is (State.READY if last else State.CHUNKS)


def test_an_early_verdict_before_a_url() -> None:
    made = submitting()
    made.feed(b"BDAT 3\r\nabc")
    verdict(made, Reply(550, "Spam"))
    assert made.feed(f"BURL {URL}\r\n".encode()) == b"550 5.0.0 Spam\r\n"


def test_421_to_a_url_is_the_last_word() -> None:
    made = submitting(burl=Reply(421, "Enough"))
    assert made.feed(f"BURL {URL} LAST\r\n".encode()) == b"421 4.0.0 Enough\r\n"
    assert [type(event) for event in ends(made)] == [MessageAborted, Closed]


def test_burl_is_no_chunk_of_a_transaction_without_recipients() -> None:
    made = session(SUBMISSION)
    made.feed(b"MAIL FROM:<a@b.example>\r\n")
    assert made.feed(f"BURL {URL}\r\n".encode()) == b"503 5.5.1 Bad sequence of commands\r\n"


def test_a_shutdown_before_the_url_is_asked_for() -> None:
    made = submitting()
    made.answer = wait
    made.feed(f"BURL {URL}\r\n".encode())
    made.conn.shutdown()
    made.conn.reply()
    assert made.run() == b"421 4.3.2 Service shutting down\r\n"
    assert not told(made, Burl)
    assert [type(event) for event in ends(made)] == [MessageAborted, Closed]


def test_a_shutdown_before_the_last_url_has_been_fetched() -> None:
    made = submitting()
    made.answer = answers({Burl: wait})
    made.feed(f"BURL {URL} LAST\r\n".encode())
    made.conn.shutdown()
    made.conn.reply(FETCHED)
    assert made.run() == b"421 4.3.2 Service shutting down\r\n"
    assert [type(event) for event in ends(made)] == [MessageAborted, Closed]
    assert made.at(Need.CLOSE)


def test_no_early_verdict_where_a_url_is_about_to_be_asked_for() -> None:
    made = submitting()
    made.answer = wait
    made.feed(f"BURL {URL} LAST\r\n".encode())
    made.conn.reply()
    with pytest.raises(LocalProtocolError, match=r"^a question is still to be told: call next"):
        made.conn.reply(Reply(550, "Spam"))
    assert made.conn.next_event() == Burl(URL, last=True)
    made.conn.reply(Reply(550, "Spam"))
    assert made.run() == b"550 5.0.0 Spam\r\n"
    assert ends(made) == [MessageAborted(Aborted.REFUSED, Reply(550, "Spam", "5.0.0"))]


# -- a body is never read as commands

OTHER_MAIL: Final = b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\n"
STRANGER: Final = answers({Rcpt: Reply(550, "Nobody here", "5.1.1")})
TLS_FIRST: Final = replace(RELAY, starttls=True, require_tls=True)


@pytest.mark.parametrize(
    ("config", "answer", "group", "codes"),
    [
        (RELAY, STRANGER, ENVELOPE + b"DATA\r\n", [250, 550, 503]),
        (RELAY, answers({Mail: Reply(450, "No")}), ENVELOPE + b"DATA\r\n", [450, 503, 503]),
        (RELAY, answers({Data: Reply(450, "Full")}), ENVELOPE + b"DATA\r\n", [250, 250, 450]),
        (RELAY, by_default, b"DATA\r\n", [503]),
        (RELAY, by_default, b"data \t\r\n", [503]),
        (RELAY, by_default, b" DATA\r\n", [500]),
        (RELAY, by_default, ENVELOPE + b"DATA now\r\n", [250, 250, 501]),
        (RELAY, by_default, ENVELOPE + b"BDAT 0\r\nDATA\r\n", [250, 250, 250, 503]),
        (replace(RELAY, require_auth=True), by_default, b"DATA\r\n", [530]),
        (TLS_FIRST, by_default, b"STARTTLS x\r\nDATA\r\n", [501, 530]),
        (
            replace(RELAY, policies={ViolationKind.PIPELINING: Policy.ANSWER}),
            by_default,
            ENVELOPE + b"DATA\r\n",
            [250, 250, 503],
        ),
    ],
    ids=[
        *("nobody there", "MAIL refused", "DATA refused", "no transaction", "lower case"),
        *("blank before", "argument", "between chunks", "no AUTH", "no TLS", "policy"),
    ],
)
def test_what_follows_a_refused_data_is_no_command(
    config: ServerConfig, answer: Answer, group: bytes, codes: list[int]
) -> None:
    """A careless client that writes everything at once must not send a mail out of a mail."""
    made = session(config, answer)
    made.feed(group + OTHER_MAIL)
    assert codes_of(made.sent) == [*codes, 421]
    assert violations(made) == [ViolationKind.UNFRAMED_BODY]
    assert made.closed is not None
    assert made.closed.reason is CloseReason.VIOLATION
    assert not told(made, BodyChunk, EndOfMessage)
    assert b"evil" not in repr(made.events).encode()


def codes_of(octets: bytes) -> list[int]:
    return [int(line[:3]) for line in octets.split(b"\r\n")[:-1] if line[3:4] == b" "]


def violations(made: Session) -> list[ViolationKind]:
    return [event.kind for event in made.events if isinstance(event, ProtocolViolation)]


def test_who_waits_for_the_refusal_goes_on() -> None:
    """As RFC 2920 §3.1 has it: DATA is the last of its group."""
    made = session(answer=STRANGER)
    made.feed(ENVELOPE + b"DATA\r\n")
    assert made.at(Need.DATA)
    assert made.feed(b"RSET\r\nNOOP\r\n") == b"250 2.0.0 OK\r\n" * 2
    assert violations(made) == []


def test_nothing_but_the_end_of_the_stream_behind_a_refused_data() -> None:
    made = session(answer=STRANGER)
    made.conn.receive_data(ENVELOPE + b"DATA\r\n")
    made.end()
    assert ends(made) == [Closed(CloseReason.EOF)]


def test_a_body_that_comes_before_the_refusal_has_left() -> None:
    made = session(answer=STRANGER)
    made.conn.receive_data(ENVELOPE + b"DATA\r\n")
    while not isinstance(item := made.conn.next_event(), Need):
        made.tell(item)
    made.conn.receive_data(OTHER_MAIL)
    made.run()
    assert violations(made) == [ViolationKind.UNFRAMED_BODY]


def test_a_body_that_came_while_data_was_pending() -> None:
    """Also where the handler that refuses it flushes before anything else is read."""
    made = in_transaction()
    made.answer = wait
    made.feed(b"DATA\r\n")
    made.conn.receive_data(OTHER_MAIL)
    made.conn.reply(Reply(550, "No"))
    assert made.conn.data_to_send() == b"550 5.0.0 No\r\n"
    assert made.run() == b"421 4.7.0 Protocol violation\r\n"
    assert violations(made) == [ViolationKind.UNFRAMED_BODY]


def test_data_refused_with_the_service() -> None:
    made = Session(ServerConnection(RELAY), answers({Connected: Reply(554, "No")}))
    made.run()
    made.feed(b"DATA\r\n" + OTHER_MAIL)
    assert codes_of(made.sent) == [554, 503, 421]
    assert violations(made) == [ViolationKind.UNFRAMED_BODY]


@pytest.mark.parametrize("line", [b"DATA\n", b"DATA\rx\r\n", b"data" + b" " * 600 + b"\r\n"])
def test_a_broken_data_line_ends_the_connection(line: bytes) -> None:
    """Where the line ends is not known, and so neither where a body begins."""
    for chunks in every_split(line + b"RSET\r\n") if len(line) < 99 else [[line, b"RSET\r\n"]]:
        made = in_transaction()
        feed_all(made, chunks)
        assert ViolationKind.UNFRAMED_BODY in violations(made), chunks
        assert made.at(Need.CLOSE)


@pytest.mark.parametrize(
    "group",
    [
        b"MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\n",
        b"NOOP\nDATA\r\n",
        b"NOOP\n" + b"x" * 200 + b"\n \tdata now\n",
        b"NOOP\nBDAT 5\n",
        b"AUTH CRAM-MD5\r\nx\nDATA\n",
    ],
)
def test_a_session_with_bare_line_feeds_has_no_body_that_is_commands(group: bytes) -> None:
    """It is one broken line up to its CRLF, which stands inside of the body."""
    config = replace(RELAY, mechanisms=("CRAM-MD5",))
    for pieces in every_split(group + b"hello\r\nRSET\r\n"):
        made = session(config)
        feed_all(made, pieces)
        assert made.at(Need.CLOSE), pieces
        assert violations(made)[-1] in (ViolationKind.UNFRAMED_BODY, ViolationKind.CHUNK_SIZE)
        assert not told(made, Rset)


@pytest.mark.parametrize(
    "line", [b"DATABASE\r\n", b"DAT\r\n", b"NOOP DATA\r\n", b"NOOP\nXDATA\nNOOP DATA\n\r\n"]
)
def test_what_is_no_data_has_no_body(line: bytes) -> None:
    made = in_transaction()
    made.feed(line + b"RSET\r\n")
    assert violations(made) == ([ViolationKind.BARE_LF] if line.count(b"\n") > 1 else [])
    assert made.sent.endswith(b"250 2.0.0 OK\r\n")


@pytest.mark.parametrize(
    "first", [b"DATA", b"data now", b"AUTH LOGIN\r\nDATA\r\neA==", b"AUTH LOGIN\r\nDATA\r\nx\ny"]
)
def test_data_among_the_responses_of_an_exchange(first: bytes) -> None:
    """``DATA`` is base64; the exchange fails, and a body stands behind."""
    config = replace(RELAY, mechanisms=("LOGIN", "CRAM-MD5"), cleartext_without_tls=True)
    made = session(config)
    octets = first if first.startswith(b"AUTH") else b"AUTH CRAM-MD5\r\n" + first
    made.feed(octets + b"\r\n" + OTHER_MAIL)
    assert violations(made)[-1] is ViolationKind.UNFRAMED_BODY
    assert not told(made, Mail)


def exchanging() -> Session:
    made = session(replace(RELAY, mechanisms=("CRAM-MD5",)))
    made.feed(b"AUTH CRAM-MD5\r\n")
    made.sent = b""
    return made


@pytest.mark.parametrize("line", [b"BDAT 6\r\n", b"BDAT 6 LAST\r\n", b"bdat  6 now\r\n"])
def test_a_chunk_inside_an_exchange_is_read_past(line: bytes) -> None:
    for chunks in every_split(line + b"RSET\r\nNOOP\r\n"):
        made = exchanging()
        feed_all(made, chunks)
        assert made.sent == b"501 5.5.2 Cannot read the response\r\n250 2.0.0 OK\r\n"
        assert not told(made, Rset)


@pytest.mark.parametrize("line", [b"BDAT\r\n", b"BDAT six\r\n", b"BDAT 6\n", b"BDAT\r6\r\n"])
def test_a_chunk_inside_an_exchange_that_cannot_be_framed(line: bytes) -> None:
    for chunks in every_split(line + b"RSET\r\n"):
        made = exchanging()
        feed_all(made, chunks)
        assert violations(made)[-1] is ViolationKind.CHUNK_SIZE, chunks
        assert made.at(Need.CLOSE)
        assert not told(made, Rset)


@pytest.mark.parametrize("argument", ["6 FIRST", "6 LAST LAST", "6  x"])
def test_a_chunk_of_a_bad_line_whose_size_can_be_read(argument: str) -> None:
    """It is read past; and as the message lacks it, so does what follows change nothing."""
    made = play(
        in_transaction,
        rf"""
        C: BDAT 3
        C| abc
        S: 250 2.0.0 Octets received
        C: BDAT {argument}
        C| RSET\r\n
        S: 501 5.5.4 Expected BDAT size [LAST]
        C: BDAT 3 LAST
        C| def
        S: 503 5.5.1 The transaction has failed, send RSET
        C: RSET
        S: 250 2.0.0 OK
        """,
    )
    reply = Reply(501, "Expected BDAT size [LAST]", "5.5.4")
    assert ends(made) == [MessageAborted(Aborted.CONTENT, reply)]
    assert made.content == b"abc"


def test_nor_is_a_chunk_of_a_bad_line_read_as_commands_outside_a_transaction() -> None:
    for pieces in every_split(b"BDAT 6 FIRST\r\nRSET\r\nNOOP\r\n"):
        made = session()
        feed_all(made, pieces)
        assert codes_of(made.sent) == [501, 250]
        assert not told(made, Rset)


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("start", [b"DATA\r\n", b"BDAT 262144 LAST\r\n"])
def test_an_idle_connection_keeps_nothing_of_what_it_read(start: bytes, pieces: int) -> None:
    content = b"x" * 262142 + b"\r\n"

    def kept() -> int:
        made = in_transaction()
        with traced_memory() as memory:
            stream = start + content + (b".\r\n" if start == b"DATA\r\n" else b"")
            stream += b"MAIL FROM:<>\r\n"
            size = len(stream) // pieces + 1
            for at in range(0, len(stream), size):
                made.conn.receive_data(stream[at : at + size])
                while (item := made.conn.next_event()) is not Need.DATA:
                    if isinstance(item, Request):
                        made.conn.reply()
                    made.conn.data_to_send()
            del stream, item
            assert made.conn.state is State.MAIL
            return memory()[0]

    assert least_memory(kept, 16384) < 16384


# -- shutdown, time-out, abort, end of stream in a body


@pytest.mark.parametrize("start", [b"DATA\r\nab", b"BDAT 9\r\nab", b"BDAT 2\r\nab"], ids=repr)
@pytest.mark.parametrize(
    ("end", "reason", "sent"),
    [
        ("shutdown", Aborted.SHUTDOWN, b"421 4.3.2 Service shutting down\r\n"),
        ("timed_out", Aborted.TIMEOUT, b"421 4.4.2 Timeout\r\n"),
        ("abort", Aborted.CLOSED, b""),
        ("end", Aborted.CLOSED, b""),
    ],
)
def test_a_body_that_is_cut_off(start: bytes, end: str, reason: Aborted, sent: bytes) -> None:
    made = in_transaction()
    made.feed(start)
    made.sent = b""
    if end == "end":
        made.end()
    else:
        getattr(made.conn, end)()
    made.run()
    assert made.sent == sent
    aborted, closed = ends(made)
    assert isinstance(aborted, MessageAborted)
    assert isinstance(closed, Closed)
    assert aborted.reason is reason
    assert aborted.reply == closed.reply


def test_a_refused_body_that_is_cut_off_is_aborted_once() -> None:
    made = in_transaction()
    made.feed(b"DATA\r\none\ntwo")
    made.end()
    assert [type(event) for event in ends(made)] == [MessageAborted, Closed]


def test_a_shutdown_with_data_pending() -> None:
    made = in_transaction()
    made.answer = wait
    made.feed(b"DATA\r\n")
    made.conn.shutdown()
    made.conn.reply()
    assert made.run() == b"354 Go ahead\r\n421 4.3.2 Service shutting down\r\n"
    assert [type(event) for event in ends(made)] == [MessageAborted, Closed]


@pytest.mark.parametrize("refusal", [Reply(550, "No"), Reply(421, "No")])
def test_a_shutdown_with_a_refused_chunk_pending(refusal: Reply) -> None:
    made = in_transaction()
    made.answer = wait
    made.feed(b"BDAT 9\r\nab")
    made.conn.shutdown()
    made.conn.reply(refusal)
    assert made.run().startswith(b"421 ")
    assert [type(event) for event in ends(made)] == [Closed]


def test_content_after_the_end_is_not_lost() -> None:
    made = in_transaction()
    made.answer = wait
    made.feed(b"DATA\r\n")
    made.conn.reply()
    made.answer = answers({EndOfMessage: wait})
    made.feed(b"one\r\n.\r\nMAIL FROM:<x@y.example>\r\n")
    assert made.at(Need.REPLY)
    with pytest.raises(LocalProtocolError):
        made.conn.reply(Reply(354))
    made.conn.reply()
    assert made.run() == b"250 2.0.0 Message accepted\r\n250 2.1.0 Sender OK\r\n"


def test_bdat_is_no_event_of_its_own() -> None:
    made = in_transaction()
    made.feed(b"BDAT 3\r\nabc")
    assert not any(isinstance(event, Bdat) for event in made.events)


def test_one_engine_for_two_connections() -> None:
    one, two = ServerConnection(RELAY), ServerConnection(RELAY)
    assert one.next_event() == two.next_event()


def test_no_content_in_a_log() -> None:
    made = in_transaction()
    made.feed(b"DATA\r\nsecret\r\n.\r\n")
    assert "BodyChunk(8 octets)" in repr(made.events)
    assert "secret" not in repr(made.events)
