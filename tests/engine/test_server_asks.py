"""HELP, NOOP, QUIT and RSET, where the application answers them: ``ServerConfig.asks``."""

from typing import Final, Literal, TypeAlias

import pytest
from tests.engine.transcript import RELAY, Session, by_default, session, state_of, wait

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Closed,
    CloseReason,
    CommandQuestion,
    Connected,
    InvalidCommand,
    MessageAborted,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.testing import every_split
from smtpwire.wire.command import Help, Noop, Quit, Rset
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

Asked: TypeAlias = Help | Noop | Quit | Rset
ALL: Final[frozenset[Literal["HELP", "NOOP", "QUIT", "RSET"]]] = frozenset(
    {"HELP", "NOOP", "QUIT", "RSET"}
)
ASKS: Final = ServerConfig.relay("mx.example", ("d.example",), asks=ALL)
ENVELOPE: Final = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
QUESTIONS: Final[dict[bytes, Asked]] = {
    b"HELP": Help(),
    b"HELP mail": Help("mail"),
    b"NOOP": Noop(),
    b"NOOP  x y": Noop("x y"),
    b"QUIT": Quit(),
    b"RSET": Rset(),
}
WORDS: Final = {
    "HELP": Reply(214, "Ask\nthe postmaster", "2.0.0"),
    "NOOP": Reply(250, "Still here", "2.0.0"),
    "QUIT": Reply(221, "Come again", "2.0.0"),
    "RSET": Reply(250, "Forgotten", "2.0.0"),
}


def topics(conn: ServerConnection, question: Request) -> None:
    """Answers in words of its own."""
    if isinstance(question, CommandQuestion):
        conn.reply(WORDS[question.command.verb], to=question)
    else:
        by_default(conn, question)


def asked(line: bytes, before: bytes = b"") -> Session:
    """A session in which this command waits for its answer."""
    made = session(ASKS, by_default)
    if before:
        made.feed(before)
    made.answer = wait
    made.sent = b""
    made.feed(line + b"\r\n")
    return made


@pytest.mark.parametrize("line", QUESTIONS, ids=bytes.decode)
def test_each_is_a_question_where_the_service_says_so(line: bytes) -> None:
    made = asked(line)
    assert made.at(Need.REPLY)
    assert made.conn.pending == CommandQuestion(QUESTIONS[line])
    assert made.conn.pending is made.events[-1]
    assert made.conn.replies_owed == 1
    assert made.sent == b""
    assert not any(isinstance(event, type(QUESTIONS[line])) for event in made.events)


@pytest.mark.parametrize("verb", sorted(ALL))
def test_only_what_the_service_names_is_asked(verb: str) -> None:
    """The others are answered by the engine, and told."""
    made = session(replace(ASKS, asks=ALL - {verb}), wait)
    made.sent = b""
    made.feed(verb.encode() + b"\r\n")
    assert made.conn.pending is None
    assert made.sent[:3] in (b"214", b"250", b"221")
    told = {type(event) for event in made.events}
    assert {"HELP": Help, "NOOP": Noop, "QUIT": Quit, "RSET": Rset}[verb] in told


def test_the_application_s_own_words() -> None:
    made = session(ASKS, topics)
    made.sent = b""
    made.feed(b"HELP\r\nNOOP\r\nRSET\r\nQUIT\r\n")
    assert made.sent == (
        b"214-2.0.0 Ask\r\n214 2.0.0 the postmaster\r\n"
        b"250 2.0.0 Still here\r\n250 2.0.0 Forgotten\r\n221 2.0.0 Come again\r\n"
    )
    assert made.closed == Closed(CloseReason.QUIT, WORDS["QUIT"])
    assert made.at(Need.CLOSE)


def test_the_engine_s_own_words_are_the_default() -> None:
    made, engine = session(ASKS, by_default), session(RELAY, by_default)
    for each in (made, engine):
        each.feed(b"HELP\r\nNOOP\r\nRSET\r\nQUIT\r\n")
    assert made.sent.splitlines()[-4:] == engine.sent.splitlines()[-4:]
    assert made.closed == engine.closed


@pytest.mark.parametrize("line", QUESTIONS, ids=bytes.decode)
@pytest.mark.parametrize("code", [200, 211, 214, 220, 221, 250, 334, 354, 421, 451, 502, 504, 554])
def test_what_may_answer_each(line: bytes, code: int) -> None:
    """RFC 5321 §4.1.1.5, §4.1.1.9 and §4.1.1.10 leave RSET, NOOP and QUIT one code each.

    HELP has 211 and 214 (§4.3.2), and 250 by custom; 220 and 221 would say something else (§4.2.3).
    """
    legal = {
        "HELP": {211, 214, 250, 421, 451, 502, 504, 554},
        "NOOP": {250, 421, 451, 502, 504, 554},
        "QUIT": {221, 421},
        "RSET": {250, 421},
    }[QUESTIONS[line].verb]
    made = asked(line)
    before = state_of(made.conn)
    if code not in legal:
        with pytest.raises(LocalProtocolError):
            made.conn.reply(Reply(code, "Text"))
        assert state_of(made.conn) == before
        return
    made.conn.reply(Reply(code, "Text"))
    made.run()
    assert made.sent.startswith(b"%d " % code)
    if code == 421:
        assert made.closed == Closed(CloseReason.SHUTDOWN, Reply(421, "Text"))
    elif QUESTIONS[line] == Quit():
        assert made.closed == Closed(CloseReason.QUIT, Reply(221, "Text"))
    else:
        assert made.at(Need.DATA)


def test_rset_takes_effect_whatever_is_answered() -> None:
    made = asked(b"RSET", ENVELOPE)
    assert made.conn.envelope is None
    assert made.conn.state is State.READY


def test_a_message_that_rset_ends_is_aborted_before_the_question() -> None:
    made = asked(b"RSET", ENVELOPE + b"BDAT 3\r\nabc")
    assert made.events[-2:] == [MessageAborted(Aborted.RESET), CommandQuestion(Rset())]
    made.conn.reply(WORDS["RSET"])
    made.run()
    assert made.sent == b"250 2.0.0 Forgotten\r\n"


@pytest.mark.parametrize("line", [b"HELP", b"NOOP"], ids=bytes.decode)
def test_between_chunks_they_are_asked_and_the_message_goes_on(line: bytes) -> None:
    made = session(ASKS, topics)
    made.feed(ENVELOPE + b"BDAT 3\r\nabc" + line + b"\r\nBDAT 3 LAST\r\ndef")
    assert made.content == b"abcdef"
    assert WORDS[line.decode()].text.splitlines()[0].encode() in made.sent


def test_in_a_body_they_are_content() -> None:
    made = session(ASKS, topics)
    made.feed(ENVELOPE + b"DATA\r\nHELP\r\nNOOP\r\nRSET\r\nQUIT\r\n.\r\n")
    assert made.content == b"HELP\r\nNOOP\r\nRSET\r\nQUIT\r\n"
    assert not any(isinstance(event, CommandQuestion) for event in made.events)


def test_a_quit_between_chunks_aborts_the_message_when_it_is_answered() -> None:
    made = asked(b"QUIT", ENVELOPE + b"BDAT 3\r\nabc")
    made.conn.reply(WORDS["QUIT"])
    made.run()
    assert made.events[-2:] == [
        MessageAborted(Aborted.CLOSED, WORDS["QUIT"]),
        Closed(CloseReason.QUIT, WORDS["QUIT"]),
    ]


def test_before_ehlo() -> None:
    made = Session(ServerConnection(ASKS), topics)
    made.run()
    made.sent = b""
    for line, code in ((b"HELP", b"214"), (b"NOOP", b"250"), (b"RSET", b"250"), (b"QUIT", b"221")):
        made.feed(line + b"\r\n")
        assert made.sent[:3] == code
        made.sent = b""
    assert made.closed is not None


def test_after_a_refused_greeting_only_quit_is_asked() -> None:  # RFC 5321 §3.1
    def refuse(conn: ServerConnection, question: Request) -> None:
        if isinstance(question, Connected):
            conn.reply(Reply(554, "No service"))
        else:
            topics(conn, question)

    made = Session(ServerConnection(ASKS), refuse)
    made.run()
    made.sent = b""
    made.feed(b"HELP\r\nNOOP\r\nRSET\r\nQUIT\r\n")
    assert [line[:3] for line in made.sent.splitlines()] == [b"503", b"503", b"503", b"221"]
    assert made.closed == Closed(CloseReason.REFUSED, WORDS["QUIT"])


def test_what_tls_and_auth_require_comes_first() -> None:
    made = session(replace(ServerConfig.submission("mx.example"), asks=ALL), topics)
    made.sent = b""
    made.feed(b"HELP\r\nNOOP\r\n")
    assert [line[:3] for line in made.sent.splitlines()] == [b"530", b"250"]


def test_an_argument_is_still_judged_by_the_engine() -> None:
    made = session(ASKS, topics)
    made.sent = b""
    made.feed(b"RSET now\r\nQUIT now\r\nNOOP \xff\r\nHELP a\x07b\r\n")
    assert made.sent.count(b"501 5.5.4") == 4
    assert not any(isinstance(event, CommandQuestion) for event in made.events)


def test_too_many_of_them_end_the_session() -> None:
    made = session(replace(ASKS, limits=Limits(junk=3)), topics)
    made.sent = b""
    made.feed(b"HELP\r\n" * 5)
    assert made.sent.count(b"214 ") == 3 - 1  # EHLO was the first
    assert made.closed is not None
    assert made.closed.reason is CloseReason.ERRORS
    assert isinstance(made.events[-2], InvalidCommand)


def test_long_help_waits_for_room() -> None:
    """A client that asks and does not read cannot make the server's queue grow."""
    made = session(replace(ASKS, limits=Limits(output=1000)), wait)
    made.conn.receive_data(b"HELP\r\n" * 50)
    most = 0
    while (item := made.conn.next_event()) is not Need.DATA:
        if isinstance(item, CommandQuestion):
            made.conn.reply(Reply(214, "\n".join(["x" * 60] * 10)))
        elif item is Need.WRITE:
            most = max(most, len(made.conn.data_to_send()))
    assert 650 < most < 1000


PIPELINED: Final = (
    b"EHLO c.example\r\nNOOP\r\n"
    + ENVELOPE
    + b"RSET\r\n"
    + ENVELOPE
    + b"DATA\r\nHELP\r\n.\r\nHELP topic\r\nQUIT\r\n"
)


def test_pipelined_and_cut_in_every_way() -> None:
    def play(chunks: list[bytes]) -> tuple[object, ...]:
        made = Session(ServerConnection(ASKS), topics)
        made.run()
        for chunk in chunks:
            made.feed(chunk)
        asked = [event.command for event in made.events if isinstance(event, CommandQuestion)]
        return made.sent, tuple(asked), made.content, made.closed

    seen = {play(list(chunks)) for chunks in every_split(PIPELINED)}
    assert len(seen) == 1
    ((_, asked, content, closed),) = seen
    assert asked == (Noop(), Rset(), Help("topic"), Quit())
    assert content == b"HELP\r\n"
    assert closed == Closed(CloseReason.QUIT, WORDS["QUIT"])


@pytest.mark.parametrize("line", QUESTIONS, ids=bytes.decode)
def test_what_stands_behind_waits_for_the_answer(line: bytes) -> None:
    made = asked(line)
    made.conn.receive_data(b"HELP\r\n")
    made.conn.receive_data(b"")
    made.run()
    assert made.at(Need.REPLY)
    assert made.conn.timeout is None
    question = made.conn.pending
    made.answer = topics
    assert question is not None
    topics(made.conn, question)
    made.run()
    assert made.sent.count(b"214 ") == (0 if line == b"QUIT" else 1) + (line[:4] == b"HELP")
    assert made.at(Need.CLOSE)


@pytest.mark.parametrize("line", QUESTIONS, ids=bytes.decode)
def test_a_shutdown_follows_the_answer(line: bytes) -> None:
    made = asked(line)
    made.conn.shutdown()
    assert made.run() == b""
    made.conn.reply()
    made.run()
    assert made.closed is not None
    if line == b"QUIT":  # nothing follows 221
        assert made.sent == b"221 2.0.0 Goodbye\r\n"
        assert made.closed.reason is CloseReason.QUIT
    else:
        assert made.sent.splitlines()[-1].startswith(b"421 ")
        assert made.closed.reason is CloseReason.SHUTDOWN


@pytest.mark.parametrize("line", QUESTIONS, ids=bytes.decode)
def test_an_answer_that_comes_too_late_raises(line: bytes) -> None:
    made = asked(line)
    question = made.conn.pending
    made.conn.abort("gone")
    made.run()
    with pytest.raises(LocalProtocolError):
        made.conn.reply(to=question)
    assert made.closed == Closed(CloseReason.ABORTED, None, "gone")


def test_the_service_names_them_exactly() -> None:
    for wrong in ("help", "VRFY", "HELO"):
        with pytest.raises(ValueError, match=r"ServerConfig.asks is a set with .*: pass a frozens"):
            replace(ASKS, asks={wrong})
