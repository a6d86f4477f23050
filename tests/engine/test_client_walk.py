"""Every state × every command: what may be sent follows from the table of transitions."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest
from tests.engine.client_dialogue import ALICE, BOB, Dialogue

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.state import TRANSITIONS, State
from smtpwire.extensions.burl import Burl
from smtpwire.extensions.xclient import XClient
from smtpwire.sasl import ClientMechanismConfig, Password, client_mechanism
from smtpwire.wire.command import (
    Command,
    Data,
    Expn,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)

CONFIG: Final = ClientConfig(cleartext_authentication_without_verified_tls=True)
OFFER: Final = ("STARTTLS", "AUTH PLAIN LOGIN", "CHUNKING", "XCLIENT NAME", "BURL imap")


def _greeting(d: Dialogue) -> None:
    d.connect(CONFIG)


def _hello(d: Dialogue) -> None:
    _greeting(d)
    d.receive("220 mx")


def _ready(d: Dialogue) -> None:
    _greeting(d)
    d.greeted(*OFFER)


def _mail(d: Dialogue) -> None:
    _ready(d)
    d.send(Mail(ALICE))
    d.receive("250 OK")


def _rcpt(d: Dialogue) -> None:
    _ready(d)
    d.envelope()


def _data(d: Dialogue) -> None:
    _rcpt(d)
    d.data()


def _chunks(d: Dialogue) -> None:
    _rcpt(d)
    d.send(Data(chunking=True))


def _auth(d: Dialogue) -> None:
    _ready(d)
    d.conn.authenticate(client_mechanism("LOGIN", Password("u", "p"), ClientMechanismConfig()))
    d.flush()
    d.receive("334 ")
    d.flush()


def _tls(d: Dialogue) -> None:
    _ready(d)
    d.send(StartTls())
    d.receive("220 go")


def _closed(d: Dialogue) -> None:
    _ready(d)
    d.send(Quit())
    d.receive("221 bye")


WAYS: Final[Mapping[State, Callable[[Dialogue], None]]] = {
    State.GREETING: _greeting,
    State.HELLO: _hello,
    State.READY: _ready,
    State.MAIL: _mail,
    State.RCPT: _rcpt,
    State.DATA: _data,
    State.CHUNKS: _chunks,
    State.AUTH: _auth,
    State.TLS: _tls,
    State.CLOSED: _closed,
}

COMMANDS: Final[Mapping[str, Command]] = {
    "EHLO": Hello("c.example"),
    "HELO": Hello("c.example", "HELO"),
    "MAIL": Mail(ALICE),
    "RCPT": Rcpt(BOB),
    "DATA": Data(),
    "BDAT": Data(chunking=True),
    "BURL": Burl("imap://example.com/x"),
    "BURL LAST": Burl("imap://example.com/x", last=True),
    "RSET": Rset(),
    "NOOP": Noop(),
    "HELP": Help(),
    "VRFY": Vrfy("bob"),
    "EXPN": Expn("list"),
    "QUIT": Quit(),
    "STARTTLS": StartTls(),
    "XCLIENT": XClient(name="x"),
}


def test_every_state_can_be_reached() -> None:
    assert set(WAYS) == set(State)
    for state, way in WAYS.items():
        d = Dialogue()
        way(d)
        assert d.conn.state is state


@pytest.mark.parametrize("word", [*COMMANDS, "AUTH", "(body)"])
@pytest.mark.parametrize("state", State)
def test_what_may_be_sent(state: State, word: str) -> None:
    d = Dialogue()
    WAYS[state](d)
    legal = word in TRANSITIONS[state]
    if word == "(body)":
        legal = state in (State.DATA, State.CHUNKS)
    elif word == "BDAT" and state is State.CHUNKS:
        legal = False  # the body is open: its chunks are made of what send_body() is given
    elif word == "STARTTLS" and state is State.HELLO:
        legal = False  # nothing is offered before EHLO
    elif word in ("EHLO", "HELO") and state is State.GREETING:
        legal = True  # it waits for the greeting

    def act() -> None:
        if word == "AUTH":
            plain = client_mechanism("PLAIN", Password("u", "p"), ClientMechanismConfig())
            d.conn.authenticate(plain)
        elif word == "(body)":
            d.conn.end_body()
        else:
            d.conn.send(COMMANDS[word])

    if legal:
        act()
    else:
        before = (d.conn.state, d.conn.stats, d.conn.reusable, d.conn.replies_owed)
        with pytest.raises(LocalProtocolError):
            act()
        assert d.flush() == b""
        assert (d.conn.state, d.conn.stats, d.conn.reusable, d.conn.replies_owed) == before
