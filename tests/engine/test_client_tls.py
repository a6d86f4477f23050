"""STARTTLS and implicit TLS on the client, what the security setting forbids, early pipelining."""

import pytest
from tests.engine.client_dialogue import ALICE, BOB, VERIFIED, Dialogue, answered, scenario

from smtpwire import extensions
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Cause,
    Closed,
    CloseReason,
    ExtensionsChanged,
    Greeting,
    ReplyReceived,
    Unanswered,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import Offer
from smtpwire.extensions import parameters as p
from smtpwire.wire.command import Data, Hello, Mail, Quit, Rcpt, Rset, StartTls
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply


@scenario
def test_starttls(d: Dialogue) -> None:
    d.greeted("STARTTLS", "SIZE 5", "PIPELINING")
    assert d.send(Rset(), StartTls()) == b"RSET\r\nSTARTTLS\r\n"
    assert answered(d.receive("250 OK", "220 go")) == [(Rset, 250), (StartTls, 220)]
    assert d.need() is Need.TLS
    assert d.conn.state is State.TLS
    assert not d.conn.wants_data
    assert d.conn.timeout is not None
    assert d.conn.timeout.seconds == 60.0
    with pytest.raises(LocalProtocolError, match="behind StartTls"):
        d.conn.send(Hello("c.example"))
    d.conn.tls_started(VERIFIED)
    assert d.need() is Need.COMMAND
    assert d.conn.tls is VERIFIED
    assert d.conn.extensions.keywords == ()
    assert d.conn.extensions_before_tls is not None
    assert d.conn.extensions_before_tls[extensions.SIZE] == 5
    with pytest.raises(LocalProtocolError, match="MAIL is out of order: the state is hello"):
        d.conn.send(Mail(ALICE))
    d.hello("SIZE 5", "PIPELINING", "STARTTLS")
    assert d.need() is Need.COMMAND
    with pytest.raises(LocalProtocolError, match="already active"):
        d.conn.send(StartTls())
    assert d.conn.eof_received is False


@scenario
def test_an_offer_that_changes_under_tls(d: Dialogue) -> None:
    d.greeted("STARTTLS", "AUTH PLAIN", "SIZE 5")
    d.send(StartTls())
    d.receive("220 go")
    d.conn.tls_started(VERIFIED)
    d.send(Hello("c.example"))
    events = d.receive("250-mx", "250-AUTH PLAIN LOGIN", "250 SIZE 5")
    before = d.conn.extensions_before_tls
    assert before is not None
    assert events[1:] == [ExtensionsChanged(before, d.conn.extensions, mechanisms_differ=True)]


@scenario
def test_the_same_offer_under_tls(d: Dialogue) -> None:
    d.greeted("STARTTLS", "SIZE 5")
    d.send(StartTls())
    d.receive("220 go")
    d.conn.tls_started(VERIFIED)
    d.send(Hello("c.example"))
    assert answered(d.receive("250-mx", "250 SIZE 5")) == [(Hello, 250)]
    assert not any(isinstance(event, ExtensionsChanged) for event in d.events)


@scenario
def test_starttls_refused(d: Dialogue) -> None:
    d.connect(ClientConfig(security=Security.STARTTLS))
    d.greeted("STARTTLS")
    d.send(StartTls())
    assert answered(d.receive("454 4.7.0 TLS not available")) == [(StartTls, 454)]
    assert d.need() is Need.COMMAND
    with pytest.raises(LocalProtocolError, match="MAIL before TLS"):
        d.conn.send(Mail(ALICE))


@scenario
def test_a_handshake_that_fails(d: Dialogue) -> None:
    d.greeted("STARTTLS")
    d.send(StartTls())
    d.receive("220 go")
    d.conn.tls_failed("bad certificate")
    d.need()
    assert d.events[-1] == Closed(CloseReason.TLS_FAILED, error="bad certificate")


def test_octets_behind_the_220_are_never_interpreted() -> None:
    d = Dialogue()
    d.greeted("STARTTLS")
    d.send(StartTls())
    at = d.received
    assert d.receive("220 go", "250-evil", "250 AUTH PLAIN") == [
        ReplyReceived(StartTls(), Reply(220, "go")),
        ProtocolViolation(ViolationKind.PLAINTEXT_BEHIND_STARTTLS, at, True),
        Closed(CloseReason.VIOLATION, error="plaintext behind STARTTLS"),
    ]


def test_octets_which_come_while_tls_is_due_are_kept_apart() -> None:
    d = Dialogue()
    d.greeted("STARTTLS")
    d.send(StartTls())
    d.receive("220 go")
    d.conn.receive_data(b"\x16\x03\x01")
    assert d.need() is Need.TLS
    assert d.conn.trailing_data == b"\x16\x03\x01"
    d.conn.tls_started(VERIFIED)
    assert d.need() is Need.COMMAND


def test_little_is_kept_of_what_comes_while_tls_is_due() -> None:
    d = Dialogue()
    d.connect(ClientConfig(limits=Limits(trailing=5)))
    d.greeted("STARTTLS")
    d.send(StartTls())
    d.receive("220 go")
    for octets in (b"abc", memoryview(b"defg"), b"h"):
        d.conn.receive_data(octets)
    assert d.conn.trailing_data == b"abcde"


def test_starttls_needs_its_extension() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    with pytest.raises(LocalProtocolError, match="the server does not offer STARTTLS"):
        d.conn.send(StartTls())


def test_no_handshake_was_asked_for() -> None:
    conn = ClientConnection()
    with pytest.raises(LocalProtocolError, match="no TLS handshake"):
        conn.tls_started(VERIFIED)
    with pytest.raises(LocalProtocolError, match="no TLS handshake"):
        conn.tls_failed()


@scenario
def test_implicit_tls(d: Dialogue) -> None:
    d.connect(ClientConfig(security=Security.IMPLICIT), tls=VERIFIED)
    d.greeted("SIZE")
    assert d.send(Mail(ALICE)) == b"MAIL FROM:<alice@example.com>\r\n"
    d.receive("250 OK")


@pytest.mark.parametrize("security", [Security.NONE, Security.OPPORTUNISTIC])
def test_where_tls_is_not_demanded(security: Security) -> None:
    d = Dialogue()
    d.connect(ClientConfig(security=security))
    d.greeted("SIZE")
    assert d.send(Mail(ALICE))


def test_requiretls_needs_verified_tls() -> None:
    mail = Mail(ALICE, Parameters(p.REQUIRETLS(True)))
    d = Dialogue()
    d.greeted("REQUIRETLS")
    with pytest.raises(LocalProtocolError, match="verified TLS"):
        d.conn.send(mail)
    unverified = TlsInfo("TLSv1.3")
    d.connect(tls=unverified)
    d.greeted("REQUIRETLS")
    with pytest.raises(LocalProtocolError, match="verified TLS"):
        d.conn.send(mail)
    d.connect(ClientConfig(requiretls_without_verified_tls=True), tls=unverified)
    d.greeted("REQUIRETLS")
    assert d.send(mail)
    d.connect(tls=VERIFIED)
    d.greeted("REQUIRETLS")
    assert d.send(mail) == b"MAIL FROM:<alice@example.com> REQUIRETLS\r\n"


# -- early pipelining


def _cached(*keywords: str) -> Offer:
    d = Dialogue()
    d.greeted(*keywords)
    return d.conn.extensions


def _early(d: Dialogue, keyword: str = "PIPECONNECT") -> None:
    d.connect(ClientConfig(cached_offer=_cached("PIPELINING", keyword)))


@scenario
def test_a_flight_before_the_greeting(d: Dialogue) -> None:
    _early(d)
    assert d.send(Hello("c.example"), Mail(ALICE), Rcpt(BOB), Data()).count(b"\r\n") == 4
    assert len(d.conn.extensions) == 0
    events = d.receive("220 mx", "250-mx", "250-PIPELINING", "250 PIPECONNECT")
    assert events[0] == Greeting(Reply(220, "mx"))
    assert d.conn.extensions.keywords == ("PIPELINING", "PIPECONNECT")
    d.receive("250 OK", "250 OK", "354 go")
    assert d.need() is Need.BODY


@scenario
def test_another_offer_than_the_cached_one_fails_the_flight(d: Dialogue) -> None:
    _early(d)
    hello, mail = Hello("c.example"), Mail(ALICE)
    d.send(hello, mail)
    events = d.receive("220 mx", "250-mx", "250 SIZE")
    assert [type(event) for event in events] == [
        Greeting,
        ReplyReceived,
        ProtocolViolation,
        Unanswered,
        Closed,
    ]
    assert isinstance(events[2], ProtocolViolation)
    assert events[2].kind is ViolationKind.CHANGED_OFFER


@scenario
def test_a_refused_ehlo_fails_the_flight(d: Dialogue) -> None:
    _early(d, "X_PIPE_CONNECT")
    d.send(Hello("c.example"), Mail(ALICE))
    closed = d.receive("220 mx", "502 what")[-1]
    assert isinstance(closed, Closed)
    assert closed.reason is CloseReason.VIOLATION
    assert closed.error.endswith(": 502 what")


@scenario
def test_another_offer_with_nothing_built_on_it(d: Dialogue) -> None:
    _early(d)
    d.send(Hello("c.example"))
    d.receive("220 mx", "250-mx", "250 SIZE")
    assert d.need() is Need.COMMAND
    assert d.conn.extensions.keywords == ("SIZE",)
    assert d.conn.reusable


def test_another_offer_before_the_rest_was_written() -> None:
    d = Dialogue()
    _early(d)
    d.send(Hello("c.example"))
    mail = Mail(ALICE)
    d.conn.send(mail)
    d.receive("220 mx", "502 what")
    assert d.events[-1] == Unanswered(mail, Cause.NOT_SENT)
    assert d.conn.state is State.HELLO
    d.send(Hello("c.example", "HELO"))
    d.receive("250 mx")
    assert d.conn.reusable


@scenario
def test_a_refusing_greeting_fails_the_flight(d: Dialogue) -> None:
    _early(d)
    hello, mail = Hello("c.example"), Mail(ALICE)
    d.send(hello, mail)
    reply = Reply(554, "no")
    assert d.receive("554 no") == [
        Greeting(reply),
        Unanswered(hello, Cause.CLOSING, reply),
        Unanswered(mail, Cause.CLOSING, reply),
        Closed(CloseReason.REFUSED, reply),
    ]


@scenario
def test_a_refusing_greeting_before_anything_was_written(d: Dialogue) -> None:
    _early(d)
    d.receive("554 no")
    assert d.send(Quit()) == b"QUIT\r\n"
    d.receive("221 bye")


def test_a_cached_offer_without_the_extension_is_not_relied_on() -> None:
    d = Dialogue()
    d.connect(ClientConfig(cached_offer=_cached("PIPELINING")))
    assert d.send(Hello("c.example")) == b""
    with pytest.raises(LocalProtocolError, match="behind Hello"):
        d.conn.send(Mail(ALICE))


@scenario
def test_a_handshake_may_fail_without_a_reason(d: Dialogue) -> None:
    d.greeted("STARTTLS")
    d.send(StartTls())
    d.receive("220 go")
    d.conn.tls_failed()
    d.need()
    closed = d.events[-1]
    assert isinstance(closed, Closed)
    assert closed.error == ""


def test_names_of_the_handshake_are_given_by_name() -> None:
    assert TlsInfo("TLSv1.3", server_name="mx.example", alpn="smtp").alpn == "smtp"
    with pytest.raises(TypeError):
        TlsInfo("TLSv1.3", "", True, {}, None, "mx.example")  # type: ignore[call-arg]


def test_the_same_mechanisms_are_the_default() -> None:
    assert not ExtensionsChanged(Offer(), Offer()).mechanisms_differ
