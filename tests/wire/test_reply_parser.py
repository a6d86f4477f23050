"""The parser of replies: RFC 5321 §4.2, RFC 2034, RFC 3463 §2."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.reading import forget, read

from smtpwire.wire.reply import Reply, proven_reply
from smtpwire.wire.reply_parser import (
    DELIVERIES,
    LINES,
    ReplyError,
    ReplyErrorKind,
    ReplyParser,
)


def splits(octets: bytes) -> Iterator[tuple[bytes, ...]]:
    yield tuple(octets[n : n + 1] for n in range(len(octets)))
    for n in range(len(octets) + 1):
        yield octets[:n], octets[n:]


def read_every_way(octets: bytes, **settings: int) -> list[Reply | ReplyError]:
    whole = read(octets, **settings)
    for chunks in splits(octets):
        assert read(*chunks, **settings) == whole, chunks
    return whole


# -- what is read


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"250 ok\r\n", Reply(250, "ok")),
        pytest.param(b"250\r\n", Reply(250), id="D-REP-001"),
        pytest.param(b"250-\r\n250-\r\n250 \r\n", Reply(250, "\n\n"), id="D-REP-002"),
        (b"250 \r\n", Reply(250)),
        (b"250-\r\n250\r\n", Reply(250, "\n")),
        pytest.param(
            b"220-mx.example ESMTP\r\n220-no bulk mail,\r\n220 or else\r\n",
            Reply(220, "mx.example ESMTP\nno bulk mail,\nor else"),
            id="D-REP-003",
        ),
        (b"250ok\r\n", Reply(250, "ok")),
        (b"250X\r\n", Reply(250, "X")),
        (b"250  two\tblanks \r\n", Reply(250, " two\tblanks ")),
        (b"354 - go\r\n", Reply(354, "- go")),
        pytest.param(b"250 o\0k\r\n", Reply(250, "o\\x00k"), id="D-REP-008"),
        pytest.param(b"550 bo\xeete pleine\r\n", Reply(550, "bo\\xeete pleine"), id="D-REP-009"),
        ("550 boîte pleine\r\n".encode(), Reply(550, "boîte pleine")),
        ("550 \x9b31m\u202e\r\n".encode(), Reply(550, "\\x9b31m\u202e")),
        pytest.param(
            b"421 4.7.0 [TS01] deferred\r\n", Reply(421, "[TS01] deferred", "4.7.0"), id="D-REP-011"
        ),
        pytest.param(
            b"521 mx.example does not accept mail\r\n",
            Reply(521, "mx.example does not accept mail"),
            id="D-REP-012",
        ),
        pytest.param(
            b"550-5.7.1 first\r\n550-5.7.1 second\r\n550 5.7.1 third\r\n",
            Reply(550, "first\nsecond\nthird", "5.7.1"),
            id="D-REP-020",
        ),
        (b"200-2.0.0 a\r\n200 2.0.0 b\r\n", Reply(200, "a\nb", "2.0.0")),
        (b"400-4.0.0 a\r\n400 4.0.0 b\r\n", Reply(400, "a\nb", "4.0.0")),
        (b"500-5.0.0 a\r\n500 5.0.0 b\r\n", Reply(500, "a\nb", "5.0.0")),
        (b"559-5.0.0 a\r\n559 5.0.0 b\r\n", Reply(559, "a\nb", "5.0.0")),
        (b"500-4.0.0 a\r\n500 4.0.0 b\r\n", Reply(500, "4.0.0 a\n4.0.0 b")),
        pytest.param(b"550 4.2.2 full\r\n", Reply(550, "4.2.2 full"), id="D-REP-021"),
        pytest.param(
            b"550 #5.1.0 Address rejected.\r\n",
            Reply(550, "#5.1.0 Address rejected."),
            id="D-REP-022",
        ),
        (b"250 2.0.0\r\n", Reply(250, "", "2.0.0")),
        (b"250 2.0.0 \r\n", Reply(250, "", "2.0.0")),
        (b"250 2.0.0\tok\r\n", Reply(250, "ok", "2.0.0")),
        (b"250-2.1.5 a\r\n250-2.1.5\r\n250 2.1.5\tc\r\n", Reply(250, "a\n\nc", "2.1.5")),
        (b"250-2.1.5 a\r\n250 2.1.6 b\r\n", Reply(250, "2.1.5 a\n2.1.6 b")),
        (b"250-2.1.5 a\r\n250 2.1.50 b\r\n", Reply(250, "2.1.5 a\n2.1.50 b")),
        (b"250-2.1.5 a\r\n250 b\r\n", Reply(250, "2.1.5 a\nb")),
        (b"250-a\r\n250 2.1.5 b\r\n", Reply(250, "a\n2.1.5 b")),
        (b"250 2.1000.0 x\r\n", Reply(250, "2.1000.0 x")),
        (b"250 2.01.0 x\r\n", Reply(250, "2.01.0 x")),
        (b"250 2.1.5x\r\n", Reply(250, "2.1.5x")),
        (b"354 3.0.0 x\r\n", Reply(354, "3.0.0 x")),
        (b"354 2.0.0 x\r\n", Reply(354, "2.0.0 x")),
        (b"599 x\r\n", proven_reply(599, "x", None)),
        (b"099 x\r\n", proven_reply(99, "x", None)),
        (b"999-\r\n999 5.0.0 x\r\n", proven_reply(999, "\n5.0.0 x", None)),
    ],
)
def test_read(octets: bytes, reply: Reply) -> None:
    assert read_every_way(octets) == [reply]
    assert read_every_way(octets + octets) == [reply, reply]


def test_status_codes_stay_in_the_text_until_they_are_offered() -> None:  # RFC 2034 §3
    parser = ReplyParser()
    parser.receive_data(b"220 2.0.0 x\r\n250 2.0.0 y\r\n")
    assert parser.next_reply() == Reply(220, "2.0.0 x")
    assert not parser.enhanced
    parser.enhanced = True
    assert parser.enhanced
    assert parser.next_reply() == Reply(250, "y", "2.0.0")


def test_a_status_code_of_another_class_is_text() -> None:  # RFC 3463 §2
    for line in ("499 5.1.1 no", "250 4.0.0 no", "550 2.0.0 yes"):
        [reply] = read(line.encode() + b"\r\n", enhanced=True)
        assert isinstance(reply, Reply)
        assert (reply.enhanced, reply.text) == (None, line[4:])


def test_a_code_cut_by_a_read() -> None:  # D-REP-004
    parser = ReplyParser()
    for chunk in (b"2", b"5", b"0", b" ok\r"):
        parser.receive_data(chunk)
        assert parser.next_reply() is None
        assert parser.pending
    parser.receive_data(bytearray(b"\n"))
    assert parser.next_reply() == Reply(250, "ok")
    assert not parser.pending


def test_any_bytes_like_object_is_copied() -> None:
    buffer = bytearray(b"250 ok\r\n")
    parser = ReplyParser()
    parser.receive_data(memoryview(buffer))
    buffer[:] = b"550 no\r\n"
    assert parser.next_reply() == Reply(250, "ok")


def test_pending_means_a_reply_is_under_way() -> None:
    parser = ReplyParser()
    seen: list[tuple[bytes, Reply | ReplyError | None, bool]] = []
    for chunk in (b"", b"250-a\r\n", b"250 b\r\n250 c\r\n", b"", b""):
        parser.receive_data(chunk)
        seen.append((chunk, parser.next_reply(), parser.pending))
    assert seen == [
        (b"", None, False),
        (b"250-a\r\n", None, True),
        (b"250 b\r\n250 c\r\n", Reply(250, "a\nb"), True),
        (b"", Reply(250, "c"), False),
        (b"", None, False),
    ]


def test_the_rest_behind_a_reply_is_given_away() -> None:  # RFC 3207 §4.2
    parser = ReplyParser()
    parser.receive_data(b"220 go\r\n250 early\r\n\x16\x03\x01")
    assert parser.next_reply() == Reply(220, "go")
    parser.receive_data(b"\r\nmore")
    assert parser.take_rest() == b"250 early\r\n\x16\x03\x01\r\nmore"
    assert parser.take_rest() == b""
    assert not parser.pending
    assert parser.next_reply() is None


def test_the_rest_includes_an_unfinished_reply() -> None:
    parser = ReplyParser()
    parser.receive_data(b"250-a\r\n250-b\r\n25")
    assert parser.next_reply() is None
    assert parser.take_rest() == b"250-a\r\n250-b\r\n25"
    parser.receive_data(b"220 x\r\n")
    assert parser.next_reply() == Reply(220, "x")


# -- what breaks the stream


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        pytest.param(
            b"SSH-2.0-OpenSSH_9.6\r\n",
            ReplyError(ReplyErrorKind.MALFORMED, 0, "SSH-2.0-OpenSSH_9.6"),
            id="D-REP-007",
        ),
        (b"\r\n", ReplyError(ReplyErrorKind.MALFORMED, 0, "")),
        (b"25\r\n", ReplyError(ReplyErrorKind.MALFORMED, 0, "25")),
        (b"2500 x\r\n", ReplyError(ReplyErrorKind.MALFORMED, 0, "2500 x")),
        (b" 250 x\r\n", ReplyError(ReplyErrorKind.MALFORMED, 0, " 250 x")),
        (
            "٢٥٠ x\r\n".encode(),
            ReplyError(ReplyErrorKind.MALFORMED, 0, r"\xd9\xa2\xd9\xa5\xd9\xa0 x"),
        ),
        (b"\x1b[31m\r\n", ReplyError(ReplyErrorKind.MALFORMED, 0, "\\x1b[31m")),
        pytest.param(
            b"220-mx.example ESMTP\r\n521 5.7.1 blocked\r\n",
            ReplyError(ReplyErrorKind.MIXED_CODES, 22, "521 5.7.1 blocked"),
            id="D-REP-005",
        ),
        (b"250-a\r\n\r\n", ReplyError(ReplyErrorKind.MALFORMED, 7, "")),
        pytest.param(
            b"250 ok\n", ReplyError(ReplyErrorKind.BARE_LF, 6, "250 ok\\x0a"), id="D-REP-010"
        ),
        (b"250 o\nk\r\n", ReplyError(ReplyErrorKind.BARE_LF, 5, "250 o\\x0a")),
        (b"\n\r\n", ReplyError(ReplyErrorKind.BARE_LF, 0, "\\x0a")),
        (b"250 o\rk\r\n", ReplyError(ReplyErrorKind.BARE_CR, 5, "250 o\\x0d")),
        (b"250 ok\r\r\n", ReplyError(ReplyErrorKind.BARE_CR, 6, "250 ok\\x0d")),
        (b"250 a\rb\nc\r\n", ReplyError(ReplyErrorKind.BARE_CR, 5, "250 a\\x0d")),
        (b"250-a\r\n250 b\n", ReplyError(ReplyErrorKind.BARE_LF, 12, "250 b\\x0a")),
    ],
)
def test_broken(octets: bytes, error: ReplyError) -> None:
    assert read_every_way(octets) == [error]
    after = ReplyError(error.kind, error.offset + 8, error.excerpt)
    assert read_every_way(b"250 ok\r\n" + octets + b"250 ok\r\n") == [Reply(250, "ok"), after]


def test_a_blank_line_is_not_the_next_reply() -> None:  # D-REP-006
    octets = b"220 mx.example ESMTP\r\n\r\n250-mx.example\r\n250 8BITMIME\r\n"
    assert read_every_way(octets) == [
        Reply(220, "mx.example ESMTP"),
        ReplyError(ReplyErrorKind.MALFORMED, 22, ""),
    ]


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"250 4567890123\r\n", None),
        (b"250 45678901\xc3\xbc\r\n", None),
        (b"250 45678901234\r\n", ReplyErrorKind.LINE_TOO_LONG),
        (b"250 456789012345\r\n", ReplyErrorKind.LINE_TOO_LONG),
        (b"250 4567890123456789", ReplyErrorKind.LINE_TOO_LONG),
        (b"250 4567890\r123456789", ReplyErrorKind.BARE_CR),
        (b"250 45678901234\r6789\r\n", ReplyErrorKind.LINE_TOO_LONG),
        (b"250 456789012345\n", ReplyErrorKind.LINE_TOO_LONG),
        (b"250 4567890123\r", None),
    ],
)
def test_lines_are_bounded(octets: bytes, kind: ReplyErrorKind | None) -> None:
    errors = [i for i in read_every_way(octets, max_line=16) if isinstance(i, ReplyError)]
    assert [error.kind for error in errors] == ([kind] if kind else [])


def test_replies_are_bounded_in_lines() -> None:
    assert read_every_way(b"250-a\r\n250-b\r\n250 c\r\n", max_lines=3) == [Reply(250, "a\nb\nc")]
    assert read_every_way(b"250-a\r\n250-b\r\n250-c\r\n250 d\r\n", max_lines=3) == [
        ReplyError(ReplyErrorKind.REPLY_TOO_LONG, 14, "250-c")
    ]


def test_replies_are_bounded_in_octets() -> None:
    assert read_every_way(b"250-a\r\n250-b\r\n250 c\r\n", max_octets=14) == [Reply(250, "a\nb\nc")]
    assert read_every_way(b"250-a\r\n250-b\r\n250 c\r\n", max_octets=13) == [
        ReplyError(ReplyErrorKind.REPLY_TOO_LONG, 7, "250-b")
    ]


def test_a_reply_of_many_lines_one_octet_at_a_time() -> None:
    count = 20_000
    parser = ReplyParser(max_lines=count + 1, max_octets=8 * count)
    for octet in b"250-a\r\n" * count:
        parser.receive_data(bytes((octet,)))
        assert parser.next_reply() is None
    parser.receive_data(b"250 a\r\n")
    assert parser.next_reply() == Reply(250, "a\n" * count + "a")


def test_the_octets_of_one_reply_are_not_anothers() -> None:
    reply = b"250-a\r\n250-b\r\n250 c\r\n"
    assert read_every_way(reply * 3, max_octets=14) == [Reply(250, "a\nb\nc")] * 3


def test_nothing_is_kept_of_what_follows_an_error() -> None:
    parser = ReplyParser()
    parser.receive_data(b"x\r\n")
    error = parser.next_reply()
    parser.receive_data(b"250 ok\r\n")
    assert parser.next_reply() is error
    assert parser.take_rest() == b""


@given(
    st.lists(st.binary(max_size=12) | st.sampled_from([b"250-", b"250 ", b"\r\n", b"\r", b"\n"]))
)
def test_no_octets_raise(chunks: list[bytes]) -> None:
    octets = b"".join(chunks)
    whole = read(octets, max_line=32, max_lines=4)
    assert read(*chunks, max_line=32, max_lines=4) == whole
    assert read(*(octets[n : n + 1] for n in range(len(octets))), max_line=32, max_lines=4) == whole


@pytest.mark.parametrize(
    "line",
    [
        b"250_ok",
        b"220+mx",
        b"250.",
        b"250,ok",
        b"250\tok",
        b"2500 ok",
        b"250/",
        b"250\xc3\xa9",
        b"250=-",
    ],
    ids=repr,
)
def test_behind_the_code_stands_a_blank_or_a_hyphen(line: bytes) -> None:  # RFC 5321 §4.2
    for octets in (line + b"\r\n", b"250-a\r\n" + line + b"\r\n"):
        *_, error = read_every_way(octets)
        assert isinstance(error, ReplyError)
        assert error.kind is ReplyErrorKind.MALFORMED


# -- what is remembered


SAID = (
    b"250 2.1.0 OK",
    b"250 OK",
    b"250-two",
    b"250 lines",
    b"354 go ahead",
    b"334 VXNlcm5hbWU6",
    b"550 5.7.1 no",
    b"250 4.0.0 of another class",
    b"250 " + b"x" * 70,
    "250 beyond é".encode(),
    b"no reply",
)


def taken(chunks: list[bytes], late: int | None = None) -> list[tuple[object, int]]:
    """What a parser makes of the chunks, and where it is; status codes asked for after ``late``."""
    parser = ReplyParser(enhanced=late is None)
    found: list[tuple[object, int]] = []
    for chunk in chunks:
        parser.receive_data(chunk)
        while (item := parser.next_reply()) is not None:
            found.append((item, parser.offset))
            if len(found) == late:
                parser.enhanced = True
            if isinstance(item, ReplyError):
                return found
    return found


@given(
    st.lists(
        st.lists(st.sampled_from(SAID), max_size=4).map(
            lambda lines: b"".join(line + b"\r\n" for line in lines)
        ),
        max_size=5,
    ),
    st.none() | st.integers(1, 5),
)
def test_what_is_remembered_is_what_is_read(deliveries: list[bytes], late: int | None) -> None:
    forget()
    anew = taken(deliveries, late)
    for _ in range(3):  # the lines are known, then what came at once
        assert taken(deliveries, late) == anew


def test_a_reply_is_made_once_for_all_connections() -> None:
    forget()
    octets = b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 go\r\n"
    first = taken([octets])
    for again in (taken([octets]), taken([octets]), taken([octets[:5], octets[5:]])):
        assert all(one is other for (one, _), (other, _) in zip(first, again, strict=True))


def known(*lines: bytes) -> ReplyParser:
    """A parser that has been given lines which are all known, at once."""
    octets = b"".join(line + b"\r\n" for line in lines)
    for _ in range(3):
        taken([octets])
    parser = ReplyParser(enhanced=True)
    parser.receive_data(octets)
    return parser


def test_the_rest_of_what_is_known_is_given_away() -> None:
    parser = known(b"220 go", b"250 one", b"250 two")
    assert parser.next_reply() == Reply(220, "go")
    under_way = parser.pending
    parser.receive_data(b"250 th")
    assert parser.take_rest() == b"250 one\r\n250 two\r\n250 th"
    assert (under_way, parser.pending) == (True, False)
    assert parser.next_reply() is None


def test_what_comes_behind_what_is_known_waits() -> None:
    parser = known(b"250 one", b"250 two")
    parser.receive_data(b"250 three\r\n250 f")
    parser.receive_data(b"our\r\n")
    replies = [parser.next_reply() for _ in range(5)]
    assert replies == [*(Reply(250, word) for word in ("one", "two", "three", "four")), None]


def test_in_the_middle_of_a_reply_nothing_is_known() -> None:
    known(b"250 end")
    parser = ReplyParser(enhanced=True)
    parser.receive_data(b"250-begin\r\n")
    assert parser.next_reply() is None
    parser.receive_data(b"250 end\r\n")
    assert parser.next_reply() == Reply(250, "begin\nend")


def test_little_is_remembered_and_no_challenge() -> None:
    """What a server says may be long, and never twice the same."""
    forget()
    for number in range(600):
        for octets in (b"250 queued as %d\r\n" % number, b"334 %d\r\n" % number):
            taken([octets])
            taken([octets])
    taken([b"250 OK\r\n" * 1000] * 2)
    taken([b"250 " + b"x" * 100 + b"\r\n"] * 2)
    for table in (*DELIVERIES, *LINES):
        assert len(table) <= 256
        assert not any(octets.startswith(b"334") for octets in table)
        assert all(len(octets) <= 1024 for octets in table)
    assert all(len(line) <= 64 for table in LINES for line in table)
    assert taken([b"250 queued as 3\r\n"])[0][0] == Reply(250, "queued as 3")


def test_each_error_has_its_words() -> None:
    assert [kind.value for kind in ReplyErrorKind] == [
        *("malformed", "mixed codes", "line too long", "reply too long", "bare LF", "bare CR"),
    ]
