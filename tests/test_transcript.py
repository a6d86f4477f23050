"""The text of a dialogue: read, written, without secrets."""

import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.transcripts.sessions import Session, sessions

from smtpwire import ServerConfig, ServerConnection
from smtpwire.testing import drain
from smtpwire.transcript import (
    Anything,
    Elided,
    Item,
    Line,
    Mark,
    Note,
    Octets,
    elide,
    log_trace,
    octets_of,
    read,
    read_sessions,
    said,
    unescaped,
    without_echoes,
    without_secrets,
    write,
)

TEXT = """\
# a session
S: 220 mx.example.org ESMTP
C: EHLO client.example.com
S: 250-mx.example.org
S: 250 SIZE 1000
--wait 3
C| NO
C| OP\\r\\n
...
C: MAIL FROM:<a@b.example>
C: … 1,024 octets
C:
C: \\xff\\x00\\\\ grüße\\x20
S: … 1 octet
| a line of a message
--drop
"""
ITEMS: list[Item] = [
    Note("a session"),
    Line("S", b"220 mx.example.org ESMTP"),
    Line("C", b"EHLO client.example.com"),
    Line("S", b"250-mx.example.org"),
    Line("S", b"250 SIZE 1000"),
    Mark("wait", "3"),
    Octets("C", b"NO"),
    Octets("C", b"OP\r\n"),
    Anything(),
    Line("C", b"MAIL FROM:<a@b.example>"),
    Elided("C", 1024),
    Line("C", b""),
    Line("C", b"\xff\x00\\ gr\xc3\xbc\xc3\x9fe "),
    Elided("S", 1),
    Note("| a line of a message"),
    Mark("drop"),
]

_side = st.sampled_from("CS")
_words = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=12).map(
    str.strip
)
_line = st.one_of(
    st.binary(max_size=12).filter(lambda octets: b"\r\n" not in octets),
    st.sampled_from(
        [
            b"AUTH PLAIN AGEAYg==",
            b"334 ",
            b"354 go",
            b".",
            b"235 ok",
            b"BDAT 5 LAST",
            b"RSET",
            "… 5 octets".encode(),
            b"...",
            b" x ",
            b"\\",
            b"S: x",
            b"auth",
        ]
    ),
)
_item: st.SearchStrategy[Item] = st.one_of(
    st.builds(Line, _side, _line),
    st.builds(Octets, _side, st.binary(max_size=8)),
    st.builds(Elided, _side, st.integers(0, 1 << 40)),
    st.builds(Mark, st.sampled_from(["drop", "wait", "a-b"]), _words),
    st.builds(Note, _words | _words.map(lambda text: f"| {text}".strip())),
    st.just(Anything()),
)


def test_it_is_read_and_written() -> None:
    assert read(TEXT) == ITEMS
    shown = TEXT.replace("C: \\xff\\x00\\\\ grüße\\x20", "C: <redacted>")
    assert write(ITEMS) == shown


@example([Note("|0"), Note("| 0"), Note("|"), Note("|| x")])
@given(st.lists(_item, max_size=12))
def test_what_is_written_reads_as_it_was(items: list[Item]) -> None:
    shown = without_secrets(items)
    text = write(items)
    assert text.isascii() or text.encode()
    assert read(text) == shown
    assert write(read(text)) == text
    assert without_secrets(shown) == shown
    assert read_sessions(write(items, session=7)) == ({7: shown} if items else {})


@given(st.lists(_item, max_size=8))
def test_an_editor_that_strips_blanks_changes_nothing(items: list[Item]) -> None:
    text = write(items)
    assert read("\n\n".join(line.rstrip() for line in text.split("\n"))) == read(text)
    assert read(text.replace("\n", "\r\n")) == read(text)


@pytest.mark.parametrize("session", sessions()[::20], ids=str)
def test_recorded_sessions(session: Session) -> None:
    items = [item for chunk in session.chunks for item in said(chunk.side, chunk.data)]
    assert read(write(items)) == without_secrets(items)
    for side in ("C", "S"):
        assert octets_of(items, side) == session.octets(side)
    assert b"pencil" not in write(items).encode()


def test_several_connections() -> None:
    text = "# listening\n1 S: 220 a\n2 S: 220 b\n1 C: QUIT\n"
    assert read_sessions(text) == {
        1: [Line("S", b"220 a"), Line("C", b"QUIT")],
        2: [Line("S", b"220 b")],
    }
    with pytest.raises(ValueError, match=r"several connections \(1, 2\)"):
        read(text)
    assert read("") == []
    assert read("# nothing\n") == [Note("nothing")]
    assert read("# a\nS: 220 a\n# b\n") == [Note("a"), Line("S", b"220 a"), Note("b")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("S: 220\nEHLO x", "line 2 is none of a transcript's"),
        ("C: a\\q", r"line 1: \\q is no escape"),
        ("C: a\\", r"line 1: \\ is no escape"),
        ("C: a\\\x1b[2J", r"line 1: \\\\x1b is no escape"),
        ("C: a\\x1", r"line 1: \\x is no escape"),
        ("C: a\\r\\nb", "line 1: CRLF in a Line"),
        ("# a\x07b", "line 1: text is"),
        ("--wait-", "line 1: 'wait-' is no mark"),
    ],
)
def test_what_is_no_transcript(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Line("X", b""),
        lambda: Line("C", b"a\r\nb"),
        lambda: Octets("c", b""),
        lambda: Elided("", 1),
        lambda: Elided("C", -1),
        lambda: Mark("Wait"),
        lambda: Mark("wait", " 3"),
        lambda: Note("a\nb"),
        lambda: log_trace(logging.getLogger("x"), "peer"),  # type: ignore[arg-type] # what is tested
    ],
)
def test_what_is_refused_at_the_door(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"side is|CRLF|size is|no mark|is '|is ' 3'|role is"):
        make()


def test_wrong_types() -> None:
    with pytest.raises(TypeError):
        said("C", "text")  # type: ignore[arg-type] # what is tested
    with pytest.raises(TypeError):
        read(b"S: 220")  # type: ignore[arg-type] # what is tested


def test_letters_newer_than_this_python_s_unicode_are_letters() -> None:
    newer = "\U0001fae9\U0001f6d8 \ua7cb"  # Unicode 16 and 17
    assert (
        write([Note(newer), Line("S", f"220 {newer}".encode())]) == f"# {newer}\nS: 220 {newer}\n"
    )
    assert read(f"# {newer}") == [Note(newer)]
    assert (
        write([Line("S", "\u202e\u2028\xa0".encode())])
        == "S: \\xe2\\x80\\xae\\xe2\\x80\\xa8\\xc2\\xa0\n"
    )


def test_octets_that_are_left_out() -> None:
    assert octets_of(ITEMS[:6], "S").startswith(b"220 mx")
    assert octets_of([Elided("C", 0), Octets("C", b"x"), Octets("S", b"y")], "C") == b"x"
    with pytest.raises(ValueError, match="1,024 octets of it are elided"):
        octets_of(ITEMS, "C")


def test_secrets_are_redacted() -> None:
    text = """\
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: dXNlcg==
S: 334 UGFzc3dvcmQ6
C: *
S: 501 cancelled
C: AUTH PLAIN AHVzZXIAcGVuY2ls
S: 535 no
C: AHVzZXIAcGVuY2ls
S: 500 what
C: secret
C: AUTH
C:
C: AUHT PLAIN AHVzZXIAcGVuY2ls
S: 500 what
C: MAIL FROM:<a@b.example>
S: 250 ok
"""
    shown = write(read(text))
    assert "AHVzZXIAcGVuY2ls" not in shown
    assert "secret" not in shown
    assert "dXNlcg" not in shown
    assert "C: AUTH PLAIN <redacted>\n" in shown
    assert "C: *\n" in shown
    assert "C: MAIL FROM:<a@b.example>\n" in shown
    assert "AUHT <redacted>" in write([Line("C", b"AUHT PLAIN AHVzZXI")])


def test_content_is_no_command() -> None:
    text = "C: DATA\nS: 354 go\nC: AUTH PLAIN x\nC| y\nC: z\nC: .\nS: 250 ok\nC: BDAT 6\nC: text\nC: odd\n"
    shown = write(read(text))
    assert shown == text.replace("C: odd", "C: odd")
    assert write(elide(read(text))) == (
        "C: DATA\nS: 354 go\nC: … 18 octets\nC: .\nS: 250 ok\nC: BDAT 6\nC: … 6 octets\nC: odd\n"
    )
    assert write(elide(read(text), more_than=10)) == (
        "C: DATA\nS: 354 go\nC: … 18 octets\nC: .\nS: 250 ok\nC: BDAT 6\nC: text\nC: odd\n"
    )
    assert elide([Line("S", b"354"), Elided("C", 5), Note("x")]) == [
        Line("S", b"354"),
        Elided("C", 5),
        Note("x"),
    ]


def test_a_trace_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.transcript")
    conn = ServerConnection(ServerConfig.relay("mx.example.org"))
    conn.trace = log_trace(logger, "server", name="192.0.2.1")
    with caplog.at_level(logging.INFO, logger.name):
        drain(conn)
        conn.reply()
    assert caplog.messages == []
    with caplog.at_level(logging.DEBUG, logger.name):
        drain(conn)
        conn.data_to_send()
        conn.receive_data(b"QUIT\r\n")
        drain(conn)
    assert caplog.messages == [
        "192.0.2.1 S: 220 mx.example.org ESMTP",
        "192.0.2.1 C: QUIT",
        "192.0.2.1 S: 221 2.0.0 Goodbye",
    ]
    log_trace(logger, "client")("sent", b"EHLO x\r\n")
    trace = log_trace(logger, "client", level=logging.WARNING)
    trace("sent", b"NOOP\r\n")
    trace("received", b"250 ok\r\n25")
    assert caplog.messages[3:] == ["C: NOOP", "S: 250 ok", "S| 25"]


def test_the_last_blank_is_seen() -> None:
    assert unescaped("a\\x20\\t") == b"a \t"
    assert write([Line("S", b"250 ")]) == "S: 250\\x20\n"
    text = write([Line("S", "… 5 octets".encode())])
    assert text == "S: \\xe2\\x80\\xa6 5 octets\n"
    assert read(text) == [Line("S", "… 5 octets".encode())]


@pytest.mark.parametrize(
    ("client", "server", "shown"),
    [
        ("AUTH PLAIN AGpvZQBhYmNkMTIz", "501 what is AGpvZQBhYmNkMTIz?", "501 what is <redacted>?"),
        ("AUTH LOGIN aHVudGVyMg==", "501 aHVudGVyMg==", "501 <redacted>"),
        ("AUTH PLAIN \\0joe\\0no such user", "550 no such user", "550 no such user"),
        (
            "AUTHPLAIN AGpvZQBhYmNkMTIz",
            "500 AUTHPLAIN AGpvZQBhYmNkMTIz",
            "500 AUTHPLAIN <redacted>",
        ),
        ("NOOP AGpvZQBhYmNkMTIz=x", "250 NOOP", "250 NOOP"),
        ("RCPT TO:<a1@b.example>", "550 a1@b.example", "550 a1@b.example"),
    ],
)
def test_a_server_that_repeats_a_secret(client: str, server: str, shown: str) -> None:
    items = [Line("C", client.encode()), Line("S", server.encode())]
    assert without_secrets(items)[1] == Line("S", shown.encode())
    assert without_echoes(items) == [items[0], Line("S", shown.encode())]
    assert without_secrets(without_secrets(items)) == without_secrets(items)


def test_behind_a_damaged_bdat_come_commands() -> None:
    items = [Line("C", b"BDAT 90 LAST\tx"), Line("C", b"AUHT PLAIN AGpvZQBhYmNkMTIz")]
    found = without_secrets(items)
    assert found == [Line("C", b"BDAT <redacted>"), Line("C", b"AUHT <redacted>")]
    assert without_secrets(found) == found


def test_a_server_that_repeats_a_secret_which_begins_with_another() -> None:
    """Of the longer one no rest is shown, and what is redacted stays so as a whole."""
    items = [
        Line("C", b"AUTH PLAIN pencil1"),
        Line("C", b"pencil12"),
        Line("C", b"dacted>"),
        Line("S", b"501 pencil12, pencil1"),
    ]
    assert without_secrets(items)[-1] == Line("S", b"501 <redacted>, <redacted>")


def test_what_a_server_repeats_is_looked_for_in_bounded_time() -> None:
    items: list[Item] = [Line("C", b"AUTH PLAIN %d=" % (number + 10**9)) for number in range(99)]
    items.append(Line("S", b"501 " + b" ".join(b"%d=" % (n + 10**9) for n in range(99))))
    assert without_secrets(items)[-1].octets.count(b"<redacted>") == 16  # type: ignore[union-attr]
