"""Several commands in one call: as one by one, and none of them where one is refused."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.depth import examples
from tests.engine.client_dialogue import ALICE, BOB, CAROL, Dialogue, answered
from tests.engine.test_client_walk import COMMANDS, WAYS

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.errors import LocalProtocolError, SessionLimitError
from smtpwire.engine.state import State
from smtpwire.extensions.burl import Burl
from smtpwire.wire.command import Command, Data, Mail, Noop, Quit, Rcpt, Rset


def whole(item: object) -> object:
    """All that an engine holds, taken apart: equal only where nothing at all differs."""
    if isinstance(item, list | tuple | deque):
        return [whole(each) for each in item]
    if isinstance(item, dict):
        return {key: whole(each) for key, each in item.items()}
    if type(item).__module__.startswith("smtpwire.engine.client") and hasattr(item, "__slots__"):
        return {name: whole(getattr(item, name)) for name in item.__slots__}
    if isinstance(item, set | bytearray):
        return item.copy()
    return item


def reached(state: State) -> Dialogue:
    d = Dialogue()
    WAYS[state](d)
    if state in (State.DATA, State.CHUNKS):
        d.conn.send_body(b"text\r\n")
    return d


@settings(max_examples=examples(2))
@given(
    st.sampled_from(list(State)),
    st.lists(st.sampled_from(list(COMMANDS)), min_size=1, max_size=5),
)
def test_as_one_by_one_or_not_at_all(state: State, words: list[str]) -> None:
    group, one_by_one = reached(state), reached(state)
    commands = [COMMANDS[word] for word in words]
    before, refused = whole(group.conn), ""
    try:
        for command in commands:
            one_by_one.conn.send(command)
    except LocalProtocolError as error:
        refused = str(error)
    if refused:
        with pytest.raises(LocalProtocolError) as raised:
            group.conn.send(*commands)
        assert str(raised.value) == refused
        assert whole(group.conn) == before
    else:
        group.conn.send(*commands)
        assert group.flush() == one_by_one.flush()
        assert group.need() is one_by_one.need()


def test_a_whole_envelope_at_once() -> None:
    d = Dialogue()
    d.greeted("PIPELINING")
    commands = (Mail(ALICE), Rcpt(BOB), Rcpt(CAROL), Data())
    assert d.conn.send(*commands) == commands
    assert d.flush() == (
        b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.org>\r\n"
        b"RCPT TO:<carol@example.org>\r\nDATA\r\n"
    )
    events = d.receive("250 OK", "250 OK", "550 no", "354 go")
    assert answered(events) == [(Mail, 250), (Rcpt, 250), (Rcpt, 550), (Data, 354)]


def test_one_comes_back_as_itself() -> None:
    d = Dialogue()
    d.greeted()
    noop = Noop()
    assert d.conn.send(noop) is noop


def test_no_command_at_all_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a command, or several"):
        ClientConnection().send()


def test_what_is_no_command_is_refused_and_nothing_is_queued() -> None:
    d = Dialogue()
    d.greeted()
    with pytest.raises(TypeError, match="command is a str: pass a Command"):
        d.conn.send(Mail(ALICE), "RCPT TO:<bob@example.org>")  # type: ignore[call-overload]
    assert d.flush() == b""
    assert d.conn.reusable


def test_behind_what_ends_the_session_nothing_follows() -> None:
    d = Dialogue()
    d.greeted()
    with pytest.raises(LocalProtocolError, match="nothing can be queued behind Quit"):
        d.conn.send(Quit(), Noop())
    assert d.flush() == b""
    d.conn.send(Noop())  # it is as if Quit had never been there


def test_what_limits_count_is_given_back() -> None:  # RFC 9422 §4.1, §4.3
    d = Dialogue()
    d.greeted("LIMITS MAILMAX=1 RCPTDOMAINMAX=1")
    with pytest.raises(SessionLimitError, match="1 domains a session"):
        d.conn.send(Mail(ALICE), Rcpt(BOB), Rcpt(ALICE))
    d.conn.send(Mail(ALICE), Rcpt(ALICE))  # another domain is the only one now


def test_a_body_is_not_given_up_by_a_group_that_is_refused() -> None:
    d = Dialogue()
    d.greeted("CHUNKING", "PIPELINING")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"text\r\n")
    with pytest.raises(LocalProtocolError, match="RCPT is out of order"):
        d.conn.send(Rset(), Rcpt(BOB))
    d.conn.end_body()
    assert d.flush() == b"BDAT 6 LAST\r\ntext\r\n"


def test_octets_before_burl_are_gathered_again() -> None:  # RFC 4468 §3.2
    d = Dialogue()
    d.greeted("CHUNKING", "PIPELINING", "BURL imap")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"text\r\n")
    commands: list[Command] = [Burl("imap://example.com/x"), Mail(ALICE)]
    with pytest.raises(LocalProtocolError, match="MAIL is out of order"):
        d.conn.send(*commands)
    d.conn.end_body()
    assert d.flush() == b"BDAT 6 LAST\r\ntext\r\n"
