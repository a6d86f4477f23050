"""A walk of every state and every command: the table in engine/state.py is the truth."""

from collections.abc import Callable
from typing import Final

import pytest
from tests.engine.transcript import LMTP, RELAY, TLS, Session, answers, session

from smtpwire.engine.events import AuthenticationFailed, Closed, InvalidCommand, MessageAborted
from smtpwire.engine.need import Need
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import TRANSITIONS, State
from smtpwire.extensions import BURL, EXPN, Burl, XClient
from smtpwire.sasl import PasswordLogin
from smtpwire.wire.command import Expn
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

BURL_URL: Final = "imap://mail.example/INBOX;uid=1"
SERVICE: Final = replace(
    ServerConfig.submission("mx.example"),
    require_auth=False,
    starttls=True,
    mechanisms=("PLAIN",),
    cleartext_without_tls=True,
    offer=(*RELAY.offer, EXPN, BURL(("imap",))),
)
WILLING: Final = answers(
    {
        PasswordLogin: Reply(235, "Welcome"),
        Expn: Reply(250, "<a@b.example>"),
        Burl: Reply(250, "Fetched"),
        XClient: Reply(220, "As you say"),
    }
)
LINES: Final = {
    "EHLO": b"EHLO c.example\r\n",
    "HELO": b"HELO c.example\r\n",
    "MAIL": b"MAIL FROM:<a@b.example>\r\n",
    "RCPT": b"RCPT TO:<c@d.example>\r\n",
    "DATA": b"DATA\r\n",
    "BDAT": b"BDAT 0\r\n",
    "BDAT LAST": b"BDAT 0 LAST\r\n",
    "BURL": f"BURL {BURL_URL}\r\n".encode(),
    "BURL LAST": f"BURL {BURL_URL} LAST\r\n".encode(),
    "RSET": b"RSET\r\n",
    "NOOP": b"NOOP\r\n",
    "HELP": b"HELP\r\n",
    "VRFY": b"VRFY c\r\n",
    "EXPN": b"EXPN c\r\n",
    "STARTTLS": b"STARTTLS\r\n",
    "AUTH": b"AUTH PLAIN\r\n",
    "QUIT": b"QUIT\r\n",
}
TO_REACH: Final[dict[State, tuple[str, ...]]] = {
    State.HELLO: (),
    State.READY: ("EHLO",),
    State.MAIL: ("EHLO", "MAIL"),
    State.RCPT: ("EHLO", "MAIL", "RCPT"),
    State.CHUNKS: ("EHLO", "MAIL", "RCPT", "BDAT"),
}


def reach(state: State) -> Session:
    made = session(SERVICE, WILLING, hello=None)
    for name in TO_REACH[state]:
        made.feed(LINES[name])
    assert made.conn.state is state
    made.events.clear()
    return made


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("state", TO_REACH)
def test_a_command_leads_where_the_table_says(state: State, name: str) -> None:
    made = reach(state)
    target = TRANSITIONS[state].get(name)
    envelope = made.conn.envelope

    reply = made.feed(LINES[name])

    assert reply.endswith(b"\r\n")
    if target is None:
        assert made.conn.state is state, "a command out of sequence changes nothing"
        assert reply.startswith(b"503 ")
        assert reply.count(b"\r\n") == 1
        assert isinstance(made.events[-1], InvalidCommand)
        assert made.conn.envelope == envelope
    else:
        assert made.conn.state is target
        assert not any(isinstance(event, InvalidCommand) for event in made.events)
        first = reply.split(b"\r\n")[0][:3]
        assert all(line.startswith(first) for line in reply.split(b"\r\n")[:-1])
    assert made.conn.stats.commands == len(TO_REACH[state]) + 1
    assert made.conn.stats.replies == len(TO_REACH[state]) + 2, "greeting, and one a command"


@pytest.mark.parametrize("state", TO_REACH)
@pytest.mark.parametrize("verb", ["XYZZY", "TURN", "SEND", "ETRN x.example", "EHLO", "BDAT x"])
def test_what_is_no_command_changes_nothing(state: State, verb: str) -> None:
    made = reach(state)
    envelope = made.conn.envelope

    reply = made.feed(verb.encode() + b"\r\n")

    assert reply[:3] in (b"500", b"501", b"502")
    if verb == "BDAT x":
        assert made.conn.state is State.CLOSED, "what follows cannot be told from commands"
    else:
        assert (made.conn.state, made.conn.envelope) == (state, envelope)


def test_bdat_last_is_one_command_where_nobody_waits_for_the_body() -> None:
    made = reach(State.RCPT)

    assert made.feed(b"BDAT 3 LAST\r\nabcNOOP\r\n") == (
        b"250 2.0.0 Message accepted\r\n250 2.0.0 OK\r\n"
    )


def test_the_dot_leads_out_of_data() -> None:
    made = reach(State.RCPT)
    made.feed(b"DATA\r\n")
    assert made.conn.state is State.DATA
    made.feed(b".\r\n")
    assert made.conn.state is TRANSITIONS[State.DATA]["(end of data)"]


@pytest.mark.parametrize(("password", "outcome"), [(b"AHUAcA==", "(success)"), (b"*", "(failure)")])
def test_the_exchange_leads_out_of_auth(password: bytes, outcome: str) -> None:
    made = reach(State.READY)
    made.feed(b"AUTH PLAIN\r\n")
    assert made.conn.state is State.AUTH
    made.feed(password + b"\r\n")
    assert made.conn.state is TRANSITIONS[State.AUTH][outcome]


def test_the_handshake_leads_back_to_hello() -> None:
    made = reach(State.RCPT)
    made.feed(b"STARTTLS\r\n")
    assert made.at(Need.TLS)
    made.conn.tls_started(TLS)
    made.run()
    assert made.conn.state is TRANSITIONS[State.TLS]["(handshake)"]
    assert made.conn.envelope is None
    assert made.feed(LINES["MAIL"]) == b"503 5.5.1 Bad sequence of commands\r\n"


def test_lmtp_is_greeted_by_lhlo_only() -> None:
    made = session(LMTP, hello=None)
    for line in (b"EHLO c.example\r\n", b"HELO c.example\r\n"):
        assert made.feed(line) == b"500 5.5.1 Command not recognized\r\n"
        assert made.conn.state is State.HELLO
    assert made.feed(b"LHLO c.example\r\n").startswith(b"250-mx.example\r\n")
    assert made.conn.state is State.READY


def test_smtp_is_not_greeted_by_lhlo() -> None:
    made = session(RELAY, hello=None)
    assert made.feed(b"LHLO c.example\r\n") == b"500 5.5.1 Command not recognized\r\n"


CALLS: Final[dict[str, Callable[[Session], object]]] = {
    "abort": lambda made: made.conn.abort("lost"),
    "timed_out": lambda made: made.conn.timed_out(),
    "shutdown": lambda made: made.conn.shutdown(),
    "the end of the stream": lambda made: made.conn.receive_data(b""),
    "QUIT": lambda made: made.conn.receive_data(b"\r\n.\r\nQUIT\r\nQUIT\r\n"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("last", LINES)
@pytest.mark.parametrize("state", TO_REACH)
def test_every_end_closes_once_at_every_point(state: State, last: str, call: str) -> None:
    made = reach(state)
    made.feed(LINES[last])
    if made.at(Need.CLOSE) or (made.at(Need.TLS) and call not in ("abort", "timed_out")):
        return
    CALLS[call](made)
    made.run()
    if made.conn.state is State.AUTH or not made.at(Need.CLOSE):
        made.end()

    assert made.at(Need.CLOSE)
    assert sum(isinstance(event, Closed) for event in made.events) == 1
    assert isinstance(made.events[-1], Closed)
    asked = sum(event.__class__.__name__ == "Data" for event in made.events)
    if last in ("DATA", "BDAT", "BURL") and asked and call != "QUIT":
        assert isinstance(made.events[-2], MessageAborted)
    failed = [event for event in made.events if isinstance(event, AuthenticationFailed)]
    assert len(failed) <= 1
