"""Verbs of extensions on the client: ETRN, XCLIENT, XFORWARD, ATRN with its swap, private ones."""

from typing import Final

import pytest
from tests.engine.client_dialogue import ALICE, BOB, VERIFIED, Dialogue, answered, scenario

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Closed, CloseReason, Connected
from smtpwire.engine.need import Need
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.extensions import REGISTRY, Extension, flag, no_parameter
from smtpwire.extensions.atrn import Atrn
from smtpwire.extensions.etrn import Etrn
from smtpwire.extensions.parameters import SMTPUTF8
from smtpwire.extensions.xclient import XClient
from smtpwire.extensions.xforward import XForward
from smtpwire.sasl import ClientMechanismConfig, Password, client_mechanism
from smtpwire.testing import drain
from smtpwire.wire.command import (
    Command,
    Data,
    ExtensionCommand,
    Hello,
    Mail,
    Noop,
    Rcpt,
    Rset,
    Verb,
    Vrfy,
)
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply


def test_a_line_of_512_octets_is_sent_and_one_more_is_not() -> None:  # RFC 5321 §4.5.3.1.4
    d = Dialogue()
    d.greeted("ETRN")
    assert len(d.send(Vrfy("x" * 505))) == 512
    d.receive("252 perhaps")
    with pytest.raises(LocalProtocolError, match="VRFY line has 513 octets, and 512 are allowed"):
        d.conn.send(Vrfy("x" * 506))
    queue = ExtensionCommand("ETRN", "#" + "x" * 504)
    assert len(d.send(queue)) == 512
    d.receive("458 no such queue")
    with pytest.raises(LocalProtocolError, match="ETRN line has 513 octets, and 512 are allowed"):
        d.conn.send(ExtensionCommand("ETRN", "#" + "x" * 505))


@scenario
def test_etrn(d: Dialogue) -> None:
    d.greeted("ETRN")
    assert d.send(Etrn("example.com")) == b"ETRN example.com\r\n"
    assert answered(d.receive("250 queuing started")) == [(Etrn, 250)]
    d.send(Mail(ALICE))
    with pytest.raises(LocalProtocolError, match="ETRN is out of order"):
        d.conn.send(Etrn("example.com"))
    d.receive("250 OK")


def test_verbs_need_their_extension() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    for command in (Etrn("example.com"), XClient(name="x"), Atrn()):
        with pytest.raises(LocalProtocolError, match="the server does not offer"):
            d.conn.send(command)


@scenario
def test_xclient_starts_the_session_anew(d: Dialogue) -> None:
    d.greeted("XCLIENT NAME ADDR", "SIZE 5")
    xclient = XClient(name="spike.example.com", address="192.0.2.1")
    assert d.send(xclient) == b"XCLIENT NAME=spike.example.com ADDR=192.0.2.1\r\n"
    with pytest.raises(LocalProtocolError, match="behind XClient"):
        d.conn.send(Noop())
    assert answered(d.receive("220 mx.example.com ESMTP")) == [(XClient, 220)]
    assert d.conn.state is State.HELLO
    assert d.conn.extensions.keywords == ()
    d.hello("SIZE 5")


@scenario
def test_xclient_refused(d: Dialogue) -> None:
    d.greeted("XCLIENT NAME ADDR")
    d.send(XClient(name="spike.example.com"))
    d.receive("550 insufficient authorization")
    assert d.conn.state is State.READY
    d.send(Mail(ALICE))
    d.receive("250 OK")


@scenario
def test_xforward(d: Dialogue) -> None:
    d.greeted("XFORWARD NAME ADDR")
    assert d.send(XForward(name="spike.example.com")) == b"XFORWARD NAME=spike.example.com\r\n"
    d.receive("250 OK")


@scenario
def test_atrn_swaps_the_roles(d: Dialogue) -> None:
    d.connect(tls=VERIFIED)
    d.greeted("ATRN", "AUTH PLAIN")
    plain = client_mechanism("PLAIN", Password("user", "pass"), ClientMechanismConfig())
    d.commands.append(d.conn.authenticate(plain))
    d.flush()
    d.receive("235 OK")
    with pytest.raises(LocalProtocolError, match="accepted ATRN only"):
        d.conn.reverse(ServerConfig.relay("example.org"))
    assert d.send(Atrn(("example.org",))) == b"ATRN example.org\r\n"
    reply = Reply(250, "now reversing")
    assert d.receive("250 now reversing")[1:] == [Closed(CloseReason.REVERSED, reply)]
    assert d.need() is Need.CLOSE
    d.conn.receive_data(b"EHLO mx.example.com\r\n")
    server = d.conn.reverse(ServerConfig.relay("example.org"))
    assert server.tls is VERIFIED
    assert isinstance(drain(server)[0][-1], Connected)
    server.reply()
    assert server.data_to_send().startswith(b"220 ")
    assert [type(event) for event in drain(server)[0]][-1] is Hello
    with pytest.raises(LocalProtocolError, match="accepted ATRN only"):
        d.conn.reverse(ServerConfig.relay("example.org"))


def test_what_comes_with_the_reply_to_atrn_is_the_other_engine_s_to_trace() -> None:
    d = Dialogue()
    d.greeted("ATRN")
    seen = bytearray()
    d.conn.trace = lambda direction, octets: seen.extend(octets)
    d.send(Atrn())
    d.feed(b"250 now reversing\r\nEHLO mx.example.com\r\n")
    assert seen == b"ATRN\r\n250 now reversing\r\n"
    assert d.conn.trailing_data == b"EHLO mx.example.com\r\n"


@scenario
def test_atrn_and_the_end_of_the_stream(d: Dialogue) -> None:
    d.greeted("ATRN")
    d.send(Atrn())
    d.receive("250 now reversing")
    d.conn.receive_data(b"")
    with pytest.raises(ValueError, match="TLS from the first octet"):
        d.conn.reverse(ServerConfig.submissions("example.org"))
    server = d.conn.reverse(ServerConfig.relay("example.org"))
    assert server.eof_received


@scenario
def test_atrn_refused(d: Dialogue) -> None:
    d.greeted("ATRN")
    d.send(Atrn())
    assert answered(d.receive("453 you have no mail")) == [(Atrn, 453)]
    d.send(Noop())
    d.receive("250 OK")


def _text(argument: str) -> str:
    return argument


GROUPED: Final = Verb("XNOTE", _text, _text, grouped=True)
LAST: Final = Verb("XASK", _text, _text)
MINE: Final = Extension("XMINE", "none", "mine", flag, no_parameter, verbs=(GROUPED, LAST))


@scenario
def test_a_private_extension_says_where_its_verbs_may_stand(d: Dialogue) -> None:
    d.connect(ClientConfig(registry=REGISTRY.__add__((MINE,))))
    d.greeted("XMINE", "PIPELINING")
    assert d.send(Mail(ALICE), GROUPED("a"), Rcpt(BOB), LAST("b"), Rcpt(BOB)) == (
        b"MAIL FROM:<alice@example.com>\r\nXNOTE a\r\nRCPT TO:<bob@example.org>\r\nXASK b\r\n"
    )
    events = d.receive("250 OK", "250 noted", "250 OK", "299 answer")
    assert answered(events)[1::2] == [(ExtensionCommand, 250), (ExtensionCommand, 299)]
    assert d.flush() == b"RCPT TO:<bob@example.org>\r\n"
    d.receive("250 OK")


def test_an_argument_beyond_ascii_needs_smtputf8_on_mail() -> None:
    d = Dialogue()
    d.connect(ClientConfig(registry=REGISTRY.__add__((MINE,))))
    d.greeted("XMINE", "SMTPUTF8")
    with pytest.raises(LocalProtocolError, match="XNOTE beyond ASCII needs SMTPUTF8 on MAIL"):
        d.conn.send(GROUPED("ü"))
    d.send(Mail(ALICE))
    d.receive("250 OK")
    with pytest.raises(LocalProtocolError, match="XNOTE beyond ASCII needs SMTPUTF8 on MAIL"):
        d.conn.send(GROUPED("ü"))
    d.send(Rset())
    d.receive("250 OK")
    d.send(Mail(ALICE, Parameters(SMTPUTF8(True))))
    d.receive("250 OK")
    assert d.send(GROUPED("ü")) == "XNOTE ü\r\n".encode()
    d.receive("250 noted")


def test_a_private_verb_stands_between_and_in_transactions_only() -> None:
    d = Dialogue()
    d.connect(ClientConfig(registry=REGISTRY.__add__((MINE,))))
    d.greeted("XMINE", "CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    with pytest.raises(LocalProtocolError, match="XASK is out of order: the state is chunks"):
        d.conn.send(LAST("b"))


@pytest.mark.parametrize(
    ("command", "end"), [(LAST("b"), None), (Noop(), CloseReason.VIOLATION)], ids=["XASK", "NOOP"]
)
def test_220_to_what_begins_nothing_is_a_server_that_greets_anew(
    command: Command, end: CloseReason | None
) -> None:
    d = Dialogue()
    d.connect(ClientConfig(registry=REGISTRY.__add__((MINE,))))
    d.greeted("XMINE")
    d.send(command)
    d.receive("220 mx.example.com ESMTP")
    assert (d.conn.closed and d.conn.closed.reason) == end


def test_xclient_refused_behind_a_refused_transaction() -> None:
    d = Dialogue()
    d.greeted("XCLIENT NAME", "PIPELINING")
    d.send(Mail(ALICE), Rset(), XClient(name="x"))
    d.receive("550 no", "250 OK", "550 no")
    d.envelope()
