"""Questions and answers: what is legal for each, the defaults, and what goes on the wire."""

import itertools
from collections.abc import Callable
from typing import Final

import pytest
from tests.engine.transcript import (
    GREETING,
    LMTP,
    RELAY,
    TLS,
    Session,
    answers,
    by_default,
    play,
    session,
    state_of,
    wait,
)

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Closed,
    CloseReason,
    CommandQuestion,
    Connected,
    EndOfMessage,
    MessageAborted,
    Peer,
)
from smtpwire.engine.need import Need
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server.outbox import REMEMBERED, SHORT
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.extensions import (
    ATRN,
    AUTH,
    BINARYMIME,
    BURL,
    CHUNKING,
    EIGHTBITMIME,
    ETRN,
    EXPN,
    ONEX,
    PIPELINING,
    PRDR,
    SIZE,
    SMTPUTF8,
    STARTTLS,
    XCLIENT,
    XFORWARD,
    Atrn,
    Burl,
    Etrn,
    XClient,
    XForward,
)
from smtpwire.sasl import (
    AnonymousLogin,
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    TokenLogin,
)
from smtpwire.wire.command import Data, Expn, ExtensionCommand, Hello, Mail, Rcpt, StartTls, Vrfy
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

TRUSTED: Final = Peer(address="192.0.2.1")
FULL: Final = replace(
    RELAY,
    offer=(*RELAY.offer, EXPN, ETRN, ATRN, ONEX, PRDR, XCLIENT(("NAME",)), XFORWARD(("NAME",))),
    starttls=True,
    mechanisms=("PLAIN", "OAUTHBEARER", "EXTERNAL", "ANONYMOUS", "CRAM-MD5"),
    cleartext_without_tls=True,
    xclient=frozenset({TRUSTED.address}),
    xforward=frozenset({TRUSTED.address}),
    asks=frozenset({"HELP"}),
)
SUBMISSION: Final = replace(
    ServerConfig.submission("mx.example"), require_auth=False, offer=(*RELAY.offer, BURL(("imap",)))
)
ENVELOPE: Final = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
PLAIN: Final = b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n"  # user, pass

CODES: Final = (200, 220, 221, 235, 250, 251, 252, 334, 353, 354, 421, 450, 454, 521, 535, 550, 554)
REFUSALS: Final = frozenset({421, 450, 454, 521, 535, 550, 554})
ALL_2YZ: Final = frozenset({200, 220, 221, 235, 250, 251, 252})


def asked(kind: type[Request]) -> Session:
    """A session in which this question is pending."""
    made = Session(ServerConnection(FULL, peer=TRUSTED), wait)
    if kind is Connected:
        made.run()
        return made
    login = answers({PasswordLogin: Reply(235, "Welcome"), kind: wait})
    if kind is Burl:
        return pending(session(SUBMISSION, login), ENVELOPE + b"BURL imap://h/i;uid=1 LAST\r\n")
    if kind is ExternalLogin:
        config = replace(FULL, custom_mechanisms={})
        made = session(config, login, peer=TRUSTED)
        made.conn = session(config, login, peer=TRUSTED, tls=CERTIFIED).conn
        return pending(Session(made.conn, login), b"AUTH EXTERNAL =\r\n")
    made = session(FULL, login, peer=TRUSTED)
    return pending(made, TO_ASK[kind])


def pending(made: Session, octets: bytes) -> Session:
    made.feed(octets)
    assert made.at(Need.REPLY)
    made.sent = b""
    return made


CERTIFIED: Final = TlsInfo("TLSv1.3", peer=PeerCertificate(b"der", ("c.example",)))
TOKEN: Final = b"AUTH OAUTHBEARER bixhPXVzZXIsAWF1dGg9QmVhcmVyIHRva2VuAQE=\r\n"

TO_ASK: Final[dict[type[Request], bytes]] = {
    Hello: b"EHLO again.example\r\n",
    Mail: b"MAIL FROM:<a@b.example>\r\n",
    Rcpt: ENVELOPE,
    Data: ENVELOPE + b"DATA\r\n",
    EndOfMessage: ENVELOPE + b"DATA\r\n.\r\n",
    StartTls: b"STARTTLS\r\n",
    Vrfy: b"VRFY c\r\n",
    Expn: b"EXPN c\r\n",
    CommandQuestion: b"HELP MAIL\r\n",
    Etrn: b"ETRN c.example\r\n",
    Atrn: PLAIN + b"ATRN c.example\r\n",
    XClient: b"XCLIENT NAME=c.example\r\n",
    XForward: b"XFORWARD NAME=c.example\r\n",
    ExtensionCommand: b"ONEX\r\n",
    PasswordLogin: PLAIN,
    TokenLogin: TOKEN,
    AnonymousLogin: b"AUTH ANONYMOUS =\r\n",
    AuthorizationRequest: b"AUTH PLAIN Ym9zcwB1c2VyAHBhc3M=\r\n",  # boss, user, pass
}

LEGAL: Final[dict[type[Request], frozenset[int]]] = {
    Connected: frozenset({220}) | REFUSALS,
    Hello: frozenset({250}) | REFUSALS,
    Mail: ALL_2YZ | REFUSALS,
    Rcpt: ALL_2YZ | REFUSALS,
    Data: frozenset({354}) | REFUSALS,
    EndOfMessage: ALL_2YZ | REFUSALS,
    StartTls: frozenset({220}) | (REFUSALS - {450}),
    Vrfy: ALL_2YZ | REFUSALS,
    Expn: ALL_2YZ | REFUSALS,
    CommandQuestion: frozenset({250}) | REFUSALS,
    Etrn: ALL_2YZ | REFUSALS,
    Atrn: ALL_2YZ | REFUSALS,
    Burl: ALL_2YZ | REFUSALS,
    XClient: frozenset({220}) | REFUSALS,
    XForward: ALL_2YZ | REFUSALS,
    ExtensionCommand: ALL_2YZ | REFUSALS,
    PasswordLogin: frozenset({235}) | REFUSALS,
    TokenLogin: frozenset({235}) | REFUSALS,
    ExternalLogin: frozenset({235}) | REFUSALS,
    AnonymousLogin: frozenset({235}) | REFUSALS,
    AuthorizationRequest: frozenset({235}) | REFUSALS,
}
"""What the table of the design allows; SecretRequest stands with AUTH."""

DEFAULTS: Final[dict[type[Request], bytes]] = {
    Connected: GREETING,
    Mail: b"250 2.1.0 Sender OK\r\n",
    Rcpt: b"250 2.1.5 Recipient OK\r\n",
    Data: b"354 Go ahead\r\n",
    EndOfMessage: b"250 2.0.0 Message accepted\r\n",
    StartTls: b"220 2.0.0 Ready to start TLS\r\n",
    Vrfy: b"252 2.5.0 Cannot verify, will take the message\r\n",
    CommandQuestion: b"214 2.0.0 See RFC 5321\r\n",
    Expn: b"550 5.7.2 Mailing list expansion prohibited\r\n",
    Etrn: b"458 4.7.0 Unable to queue messages\r\n",
    Atrn: b"550 5.7.1 Not permitted\r\n",
    Burl: b"550 5.7.1 Not permitted\r\n",
    XClient: b"550 5.7.1 Not permitted\r\n",
    XForward: b"550 5.7.1 Not permitted\r\n",
    ExtensionCommand: b"550 5.7.1 Not permitted\r\n",
    PasswordLogin: b"535 5.7.8 Authentication credentials invalid\r\n",
    TokenLogin: b"334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n",
    ExternalLogin: b"535 5.7.8 Authentication credentials invalid\r\n",
    AnonymousLogin: b"535 5.7.8 Authentication credentials invalid\r\n",
    AuthorizationRequest: b"535 5.7.8 Authentication credentials invalid\r\n",
}


def test_what_is_offered_is_never_said_to_be_unknown() -> None:
    """RFC 5321 §4.2.4: no capability is listed that is answered with 500 or 502."""
    assert {reply[:3] for reply in DEFAULTS.values()}.isdisjoint({b"500", b"502"})


@pytest.mark.parametrize(("kind", "code"), list(itertools.product(LEGAL, CODES)))
def test_a_reply_is_legal_or_changes_nothing(kind: type[Request], code: int) -> None:
    made = asked(kind)
    assert type(made.conn.pending) is kind
    before = state_of(made.conn)

    if code in LEGAL[kind]:
        made.conn.reply(Reply(code, "Text"))
        made.answer = wait
        made.run()
        if code == 421 and kind is not TokenLogin:
            assert made.closed == Closed(CloseReason.SHUTDOWN, made.closed and made.closed.reply)
            assert made.sent.startswith(b"421 ")
        elif kind is Burl and code in ALL_2YZ:
            assert isinstance(made.conn.pending, EndOfMessage)
        elif kind is XClient and code == 220:
            assert isinstance(made.conn.pending, Connected)
        elif kind is not TokenLogin or code == 235:
            assert made.sent.startswith(b"%d" % code)
    else:
        with pytest.raises(LocalProtocolError):
            made.conn.reply(Reply(code, "Text"))
        assert state_of(made.conn) == before


@pytest.mark.parametrize("kind", LEGAL)
def test_no_question_takes_two_replies(kind: type[Request]) -> None:
    """RFC 5321 §4.2."""
    made = asked(kind)
    before = state_of(made.conn)
    with pytest.raises(LocalProtocolError):
        made.conn.reply(Reply(550), Reply(550))
    assert state_of(made.conn) == before


@pytest.mark.parametrize("kind", DEFAULTS)
def test_the_default(kind: type[Request]) -> None:
    made = asked(kind)
    made.conn.reply()
    made.run()
    assert made.sent == DEFAULTS[kind]


@pytest.mark.parametrize("kind", LEGAL)
def test_a_late_answer_does_not_hit_another_question(kind: type[Request]) -> None:
    made = asked(kind)
    before = state_of(made.conn)
    late = Mail(None) if kind is not Mail else Rcpt
    with pytest.raises(LocalProtocolError):
        made.conn.reply(to=late)  # type: ignore[arg-type]  # any object but the pending one
    assert state_of(made.conn) == before
    made.conn.reply(to=made.conn.pending)
    assert made.conn.pending is not late


@pytest.mark.parametrize("kind", LEGAL)
def test_text_beyond_ascii_is_refused_and_changes_nothing(kind: type[Request]) -> None:
    made = asked(kind)
    before = state_of(made.conn)
    for code in sorted(LEGAL[kind]):
        with pytest.raises(LocalProtocolError):
            made.conn.reply(Reply(code, "é"))
    assert state_of(made.conn) == before


@pytest.mark.parametrize("kind", LEGAL)
def test_a_shutdown_waits_for_the_answer(kind: type[Request]) -> None:
    made = asked(kind)
    made.conn.shutdown(Reply(421, "Later"))
    made.conn.shutdown()
    assert made.run() == b""
    assert made.at(Need.REPLY)

    made.conn.reply()
    made.run()
    made.answer = by_default
    while made.at(Need.REPLY):
        made.conn.reply()
        made.run()

    assert made.at(Need.CLOSE)
    assert made.closed is not None
    assert made.closed.reason is CloseReason.SHUTDOWN
    if kind is StartTls:  # nothing follows the 220 in plaintext
        assert made.sent == DEFAULTS[StartTls]
    else:
        assert made.sent.endswith(b"421 4.0.0 Later\r\n")
        assert made.sent.count(b"421 ") == 1


@pytest.mark.parametrize("kind", LEGAL)
def test_what_ends_the_connection_takes_the_question_away(kind: type[Request]) -> None:
    made = asked(kind)
    with pytest.raises(LocalProtocolError):
        made.conn.timed_out()  # nothing is being written: it is the application that is slow
    made.conn.abort("gone")
    assert made.conn.pending is None
    with pytest.raises(LocalProtocolError):
        made.conn.reply()
    made.run()
    assert made.closed == Closed(CloseReason.ABORTED, None, "gone")
    assert made.sent == b""


def test_hello_contributes_only_its_first_line() -> None:
    made = asked(Hello)
    made.conn.reply(Reply(250, "mx.example greets you\nSTARTTLS\nX-INJECTED"))
    reply = made.run()
    assert reply.startswith(b"250-mx.example greets you\r\n250-PIPELINING\r\n")
    assert b"X-INJECTED" not in reply
    assert reply.count(b"STARTTLS") == 1


def test_hello_without_text_names_the_host() -> None:
    made = asked(Hello)
    made.conn.reply(Reply(250))
    assert made.run().startswith(b"250-mx.example\r\n")


def test_a_long_first_line_makes_no_keyword() -> None:
    made = asked(Hello)
    made.conn.reply(Reply(250, "mx.example " + "x" * 495 + " STARTTLS-FAKE"))
    assert b"250-STARTTLS-FAKE" not in made.run()


def test_helo_has_one_line() -> None:
    """RFC 5321 §3.2, §4.1.1.1."""
    made = session(FULL, answers({Hello: Reply(250, "hi\nSIZE")}), hello=None)
    assert made.feed(b"HELO c.example\r\n") == b"250 hi\r\n"
    made.answer = by_default
    assert made.feed(b"HELO c.example\r\n") == b"250 mx.example\r\n"
    assert len(made.conn.extensions) == 0


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (Reply(250, "OK"), b"250 2.0.0 OK\r\n"),
        (Reply(250, "OK", "2.1.0"), b"250 2.1.0 OK\r\n"),
        (Reply(550, "No", "5.7.1"), b"550 5.7.1 No\r\n"),
        (Reply(450, "No"), b"450 4.0.0 No\r\n"),
        (Reply(250, "one\ntwo"), b"250-2.0.0 one\r\n250 2.0.0 two\r\n"),
        (Reply(250, "one\r\ntwo"), b"250-2.0.0 one\r\n250 2.0.0 two\r\n"),
        (Reply(250), b"250 2.0.0 \r\n"),
        (
            Reply(550, "word " * 120),
            b"550-5.0.0 " + b"word " * 99 + b"word\r\n550 5.0.0 " + b"word " * 20 + b"\r\n",
        ),
    ],
)
def test_what_goes_on_the_wire(given: Reply, sent: bytes) -> None:
    made = asked(Mail)
    made.conn.reply(given)
    assert made.run() == sent


@pytest.mark.parametrize("text", ["a\rb", "a\0b", "a\x1bb", "a\x7fb", "a\x85b", "\r\n\r"])
def test_controls_are_no_reply_text(text: str) -> None:
    """RFC 5321 §4.2."""
    with pytest.raises(ValueError, match="control"):
        Reply(250, text)


@pytest.mark.parametrize("enhanced", ["4.1.1", "5", "5.1", "5.01.1", "5.1.1 ", "2.0.0\r\n"])
def test_an_enhanced_code_of_another_class_is_none(enhanced: str) -> None:
    with pytest.raises(ValueError, match="enhanced"):
        Reply(550, "No", enhanced)


def test_no_enhanced_codes_where_they_are_not_offered() -> None:
    config = replace(RELAY, offer=(PIPELINING,))
    play(
        lambda: session(config, answers({Rcpt: Reply(550, "No", "5.1.1")})),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 Sender OK
        C: RCPT TO:<c@d.example>
        S: 550 No
        C: XYZZY
        S: 500 Command not recognized
        """,
    )


def test_enhanced_codes_also_after_helo() -> None:  # RFC 2034 §4
    play(
        lambda: session(hello="HELO c.example"),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        """,
    )


def test_none_in_the_greeting_and_in_the_reply_to_ehlo() -> None:
    """RFC 2034 §4."""
    made = Session(ServerConnection(RELAY), answers({Connected: Reply(554, "No", "5.7.1")}))
    assert made.run() == b"554 No\r\n"
    made = session(answer=answers({Hello: Reply(550, "Not you", "5.7.1")}))
    assert made.feed(b"EHLO again.example\r\n") == b"550 Not you\r\n"


def test_a_refused_hello_changes_nothing() -> None:
    made = session(answer=answers({Hello: Reply(550, "Not you")}))
    made.feed(ENVELOPE)
    before = (made.conn.state, made.conn.envelope, made.conn.hello, made.conn.extensions)
    made.feed(b"HELO other.example\r\n")
    assert (made.conn.state, made.conn.envelope, made.conn.hello, made.conn.extensions) == before


def test_an_accepted_hello_is_a_reset() -> None:
    made = session()
    made.feed(ENVELOPE + b"EHLO again.example\r\n")
    assert made.conn.envelope is None
    assert made.conn.hello == Hello("again.example")
    assert made.conn.state is State.READY


# -- the greeting refused


def test_after_554_quit_is_awaited() -> None:
    """RFC 5321 §3.1."""
    made = play(
        lambda: Session(ServerConnection(RELAY), answers({Connected: Reply(554, "No service")})),
        r"""
        S: 554 No service
        C: EHLO c.example
        S: 503 5.5.1 Bad sequence of commands
        C: BDAT 6
        C| QUIT\r\n
        S: 503 5.5.1 Bad sequence of commands
        C: XYZZY
        S: 503 5.5.1 Bad sequence of commands
        C: QUIT
        S: 221 2.0.0 Goodbye
        """,
    )
    assert made.closed is not None
    assert made.closed.reason is CloseReason.REFUSED


def test_after_521_all_is_521() -> None:
    """RFC 7504 §3."""
    play(
        lambda: Session(ServerConnection(RELAY), answers({Connected: Reply(521, "No mail here")})),
        r"""
        S: 521 No mail here
        C: EHLO c.example
        S: 521 No mail here
        C: XYZZY
        S: 521 No mail here
        C: QUIT
        S: 221 2.0.0 Goodbye
        """,
    )


# -- the offer


def test_a_proxy_replaces_the_offer() -> None:
    def offering(conn: ServerConnection, _: Request) -> None:
        conn.offer(PIPELINING(True), EIGHTBITMIME(True))
        conn.reply()

    made = play(
        lambda: session(FULL, answers({Hello: offering}), peer=TRUSTED, hello=None),
        r"""
        C: EHLO c.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250 8BITMIME
        C: MAIL FROM:<a@b.example> SMTPUTF8
        S: 555 5.5.4 Parameter not recognized
        C: STARTTLS
        S: 502 5.5.1 TLS not available
        C: AUTH PLAIN
        S: 502 5.5.1 Command not implemented
        C: BDAT 5
        C| RSET\n
        S: 502 5.5.1 Command not implemented
        C: EHLO again.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250 8BITMIME
        """,
    )
    assert CHUNKING not in made.conn.extensions


def test_the_offer_may_come_with_the_greeting() -> None:
    def offering(conn: ServerConnection, _: Request) -> None:
        conn.offer(EIGHTBITMIME(True))
        conn.reply()

    made = Session(ServerConnection(RELAY), answers({Connected: offering}))
    made.run()
    assert made.conn.extensions.lines == ("8BITMIME",)
    assert made.feed(b"EHLO c.example\r\n") == b"250-mx.example\r\n250 8BITMIME\r\n"


def test_an_offer_with_a_hello_that_is_refused_changes_nothing() -> None:
    made = session()
    before = made.conn.extensions
    made.answer = wait
    made.feed(b"EHLO c.example\r\n")
    made.conn.offer(EIGHTBITMIME(True))
    made.conn.reply(Reply(550, "No"))
    made.run()
    assert made.conn.extensions == before


@pytest.mark.parametrize(
    "offering",
    [
        lambda conn: conn.offer(BURL(())),
        lambda conn: conn.offer(PRDR(True), STARTTLS(True)),
        lambda conn: conn.offer(AUTH(("GSSAPI",))),
        lambda conn: conn.offer(AUTH(("SCRAM-SHA-256",))),
        lambda conn: conn.offer(BINARYMIME(True)),
    ],
    ids=["not for relays", "no certificate", "unknown", "no secret", "lacks what it requires"],
)
def test_an_offer_that_cannot_be_kept(offering: Callable[[ServerConnection], None]) -> None:
    made = session(RELAY)
    made.answer = wait
    made.feed(b"EHLO c.example\r\n")
    before = state_of(made.conn)
    with pytest.raises(LocalProtocolError):
        offering(made.conn)
    assert state_of(made.conn) == before


def test_starttls_is_offered_once() -> None:
    config = replace(RELAY, starttls=True)
    made = session(config, wait)
    made.feed(b"EHLO c.example\r\n")
    made.conn.offer(STARTTLS(True))
    made.conn.reply()
    assert made.run() == b"250-mx.example\r\n250 STARTTLS\r\n"
    made = session(config, wait, tls=TLS)
    made.feed(b"EHLO c.example\r\n")
    made.conn.offer(STARTTLS(True))
    made.conn.reply()
    assert made.run() == b"250 mx.example\r\n"


@pytest.mark.parametrize("kind", [kind for kind in LEGAL if kind not in (Connected, Hello)])
def test_the_offer_stands_at_any_other_time(kind: type[Request]) -> None:
    made = asked(kind)
    with pytest.raises(LocalProtocolError):
        made.conn.offer(PIPELINING(True))
    made = session()
    with pytest.raises(LocalProtocolError):
        made.conn.offer(PIPELINING(True))


def test_what_is_offered_as_size_is_enforced() -> None:
    def offering(conn: ServerConnection, _: Request) -> None:
        conn.offer(SIZE(4))
        conn.reply()

    made = play(
        lambda: session(RELAY, answers({Hello: offering})),
        r"""
        C: EHLO c.example
        S: 250-mx.example
        S: 250 SIZE 4
        C: MAIL FROM:<a@b.example> SIZE=5
        S: 552 5.3.4 Message too large
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead
        C: abc
        C: .
        S: 552 5.3.4 Message too large
        """,
    )
    assert made.content == b"abc\r"


# -- LMTP and PRDR


def test_lmtp_takes_a_reply_a_recipient() -> None:
    made = play(
        lambda: session(
            LMTP,
            answers({EndOfMessage: (Reply(250, "One"), Reply(450, "Two"))}),
            hello="LHLO c.example",
        ),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead
        C: .
        S: 250 2.0.0 One
        S: 450 4.0.0 Two
        """,
    )
    assert made.conn.stats.messages == 1


def lmtp_at_the_end(recipients: int) -> Session:
    made = session(LMTP, answers({EndOfMessage: wait}), hello="LHLO c.example")
    made.feed(b"MAIL FROM:<>\r\n" + b"RCPT TO:<c@d.example>\r\n" * recipients + b"DATA\r\n.\r\n")
    made.sent = b""
    assert made.conn.replies_owed == recipients
    return made


def test_lmtp_replies_one_by_one_and_the_default_for_the_rest() -> None:
    made = lmtp_at_the_end(3)
    made.conn.reply(Reply(550, "No"))
    assert made.run() == b"550 5.0.0 No\r\n"
    assert (made.need, made.conn.replies_owed) == (Need.REPLY, 2)
    made.conn.reply()
    assert made.run() == b"250 2.0.0 Message accepted\r\n" * 2
    assert (made.need, made.conn.replies_owed) == (Need.DATA, 0)


def test_more_than_owed_raises_and_changes_nothing() -> None:
    made = lmtp_at_the_end(2)
    made.conn.reply(Reply(250))
    before = state_of(made.conn)
    with pytest.raises(LocalProtocolError):
        made.conn.reply(Reply(250), Reply(250))
    with pytest.raises(LocalProtocolError):
        made.conn.reply(Reply(354))
    assert state_of(made.conn) == before


def test_nobody_accepted_is_no_message() -> None:
    made = lmtp_at_the_end(1)
    made.conn.reply(Reply(450))
    assert made.conn.stats.messages == 0


ENOUGH: Final = Reply(421, "Enough")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ((Reply(250, "One"), ENOUGH, Reply(550, "No")), b"250 2.0.0 One\r\n"),
        ((ENOUGH, ENOUGH, ENOUGH), b""),
        (
            (Reply(250, "One"), ENOUGH, Reply(250, "Three")),
            b"250 2.0.0 One\r\n451 4.0.0 Enough\r\n250 2.0.0 Three\r\n",
        ),
        ((ENOUGH, Reply(250, "Two")), b"451 4.0.0 Enough\r\n250 2.0.0 Two\r\n"),
        (
            (ENOUGH, Reply(550, "No"), Reply(250, "Three")),
            b"451 4.0.0 Enough\r\n550 5.0.0 No\r\n250 2.0.0 Three\r\n",
        ),
        (
            (ENOUGH, Reply(250, "Two"), ENOUGH),
            b"451 4.0.0 Enough\r\n250 2.0.0 Two\r\n451 4.0.0 Enough\r\n",
        ),
    ],
)
def test_421_to_one_recipient_is_the_last_word_but_takes_nobody_s_250(
    given: tuple[Reply, ...], sent: bytes
) -> None:
    """A client sends a message again to who is accepted and does not learn it."""
    made = lmtp_at_the_end(3)
    made.conn.reply(*given)
    assert made.run() == sent + b"421 4.0.0 Enough\r\n"
    assert made.at(Need.CLOSE)
    assert made.conn.stats.messages == (b"250 " in sent)


def test_a_shutdown_waits_for_all_of_them() -> None:
    made = lmtp_at_the_end(2)
    made.conn.shutdown()
    made.conn.reply(Reply(250, "One"))
    assert made.run() == b"250 2.0.0 One\r\n"
    made.conn.reply(Reply(250, "Two"))
    assert made.run() == b"250 2.0.0 Two\r\n421 4.3.2 Service shutting down\r\n"


def test_lmtp_refuses_the_data_once_a_recipient() -> None:
    play(
        lambda: session(replace(LMTP, limits=replace(LMTP.limits, message=1)), hello="LHLO c"),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<e@d.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 Go ahead
        C: abc
        C: .
        S: 552 5.3.4 Message too large
        S: 552 5.3.4 Message too large
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


PRDR_ENVELOPE: Final = (
    b"MAIL FROM:<a@b.example> PRDR\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\n"
    b"DATA\r\n.\r\n"
)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            (),
            b"353 A reply a recipient follows\r\n" + b"250 2.0.0 Message accepted\r\n" * 3,
        ),
        (
            (Reply(250, "One"), Reply(550, "Two")),
            b"353 A reply a recipient follows\r\n250 2.0.0 One\r\n550 5.0.0 Two\r\n"
            b"250 2.0.0 Message accepted\r\n",
        ),
        (
            (Reply(450, "One"), Reply(550, "Two")),
            b"353 A reply a recipient follows\r\n450 4.0.0 One\r\n550 5.0.0 Two\r\n"
            b"450 4.0.0 No recipient accepted the message\r\n",
        ),
        (
            (Reply(550, "One"), Reply(550, "Two")),
            b"353 A reply a recipient follows\r\n550 5.0.0 One\r\n550 5.0.0 Two\r\n"
            b"550 5.0.0 No recipient accepted the message\r\n",
        ),
        (
            (Reply(550, "One"), Reply(250, "Two"), Reply(250, "All in all")),
            b"353 A reply a recipient follows\r\n550 5.0.0 One\r\n250 2.0.0 Two\r\n"
            b"250 2.0.0 All in all\r\n",
        ),
    ],
)
def test_prdr_has_a_reply_a_recipient_and_one_for_all(
    given: tuple[Reply, ...], sent: bytes
) -> None:
    def answer(conn: ServerConnection, _: Request) -> None:
        assert conn.replies_owed == 3
        conn.reply(*given)
        if conn.pending is not None:
            conn.reply()

    made = session(FULL, answers({EndOfMessage: answer}))
    assert made.feed(PRDR_ENVELOPE).endswith(b"354 Go ahead\r\n" + sent)
    assert made.conn.state is State.READY


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            (Reply(250, "One"), Reply(421, "Bye")),
            b"250 2.0.0 One\r\n451 4.0.0 Bye\r\n250 2.0.0 Message accepted\r\n421 4.0.0 Bye\r\n",
        ),
        ((Reply(550, "One"), Reply(421, "Bye")), b"550 5.0.0 One\r\n421 4.0.0 Bye\r\n"),
        ((Reply(421, "Bye"),), b"421 4.0.0 Bye\r\n"),
        (
            (Reply(250, "One"), Reply(250, "Two"), Reply(421, "Bye")),
            b"250 2.0.0 One\r\n250 2.0.0 Two\r\n421 4.0.0 Bye\r\n",
        ),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_prdr_says_what_was_accepted_before_it_closes(
    given: tuple[Reply, ...], sent: bytes, at_once: bool
) -> None:
    """The overall reply decides: without it a client would send again to who was accepted."""

    def answer(conn: ServerConnection, _: Request) -> None:
        for replies in [given] if at_once else [(each,) for each in given]:
            conn.reply(*replies)

    made = session(FULL, answers({EndOfMessage: answer}))
    first = b"353 A reply a recipient follows\r\n"
    assert made.feed(PRDR_ENVELOPE).endswith(b"354 Go ahead\r\n" + first + sent)


@pytest.mark.parametrize(
    ("given", "overall"),
    [
        ((Reply(421, "Bye"), Reply(250, "Two")), b"250 2.0.0 Message accepted\r\n"),
        ((Reply(421, "Bye"), Reply(250, "Two"), Reply(250, "All")), b"250 2.0.0 All\r\n"),
    ],
)
def test_prdr_says_what_was_accepted_behind_a_421(given: tuple[Reply, ...], overall: bytes) -> None:
    made = session(FULL, answers({EndOfMessage: lambda conn, _: conn.reply(*given)}))
    sent = b"451 4.0.0 Bye\r\n250 2.0.0 Two\r\n" + overall + b"421 4.0.0 Bye\r\n"
    first = b"353 A reply a recipient follows\r\n"
    assert made.feed(PRDR_ENVELOPE).endswith(b"354 Go ahead\r\n" + first + sent)
    assert made.events[-1] == Closed(CloseReason.SHUTDOWN, Reply(421, "Bye", "4.0.0"))


def test_prdr_only_where_it_was_asked_for() -> None:
    made = session(FULL)
    assert made.feed(ENVELOPE + b"DATA\r\n.\r\n").endswith(
        b"354 Go ahead\r\n250 2.0.0 Message accepted\r\n"
    )
    made.feed(PRDR_ENVELOPE)
    assert made.feed(ENVELOPE + b"DATA\r\n.\r\n").endswith(
        b"354 Go ahead\r\n250 2.0.0 Message accepted\r\n"
    )


# -- UTF-8 in replies


def test_utf8_in_replies_only_where_it_was_agreed() -> None:  # RFC 6531 §3.7.4
    answer = answers({Vrfy: Reply(252, "Jörg"), Rcpt: Reply(550, "Kein Jörg")})
    made = session(answer=answer)
    assert made.feed(b"VRFY J\xc3\xb6rg SMTPUTF8\r\n") == "252 2.0.0 Jörg\r\n".encode()
    made.feed(b"MAIL FROM:<j\xc3\xb6rg@d.example> SMTPUTF8\r\n")
    assert made.feed(b"RCPT TO:<c@d.example>\r\n") == "550 5.0.0 Kein Jörg\r\n".encode()
    made.feed(b"RSET\r\nMAIL FROM:<a@b.example>\r\n")
    with pytest.raises(LocalProtocolError):
        made.feed(b"RCPT TO:<c@d.example>\r\n")


def test_other_parameters_agree_on_no_utf8() -> None:
    made = session(answer=answers({Rcpt: Reply(550, "Kein Jörg")}))
    made.feed(b"MAIL FROM:<a@b.example> SIZE=5 BODY=8BITMIME\r\n")
    with pytest.raises(LocalProtocolError):
        made.feed(b"RCPT TO:<c@d.example>\r\n")


@pytest.mark.parametrize("ending", [b"RSET\r\n", b"DATA\r\n.\r\n", b"EHLO c.example\r\n"])
def test_utf8_ends_with_the_transaction(ending: bytes) -> None:
    made = session(FULL)
    made.feed(b"MAIL FROM:<a@b.example> SMTPUTF8\r\nRCPT TO:<c@d.example>\r\n")
    made.feed(ending)
    assert made.feed("ETRN ü\r\n".encode()).startswith(b"501 5.5.4 Octets outside ASCII")


# -- replaced replies, and the suffix


def test_the_suffix_stands_in_every_refusal_of_the_engine() -> None:
    play(
        lambda: session(suffix="See https://help.example id=42"),
        r"""
        C: NOOP
        S: 250 2.0.0 OK
        C: XYZZY
        S: 500 5.5.1 Command not recognized See https://help.example id=42
        C: DATA
        S: 503 5.5.1 Bad sequence of commands See https://help.example id=42
        C: MAIL FROM:<a@b.example> X=1
        S: 555 5.5.4 Parameter not recognized See https://help.example id=42
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        """,
    )


def test_the_suffix_stands_in_a_refusal_of_the_lowest_code() -> None:
    config = replace(RELAY, replies={ReplyKind.BAD_SEQUENCE: Reply(400, "Not now")})
    assert session(config, suffix="id=42").feed(b"DATA\r\n") == b"400 4.0.0 Not now id=42\r\n"


def test_a_suffix_that_is_part_of_the_text_is_added_all_the_same() -> None:
    made = session(suffix="of")
    assert made.feed(b"DATA\r\n") == b"503 5.5.1 Bad sequence of commands of\r\n"


@pytest.mark.parametrize("suffix", ["a\rb", "é", "\0"])
def test_a_suffix_that_cannot_be_sent(suffix: str) -> None:
    with pytest.raises(ValueError, match=r"^reply_suffix .* cannot be sent: reply text"):
        ServerConnection(RELAY, reply_suffix=suffix)


def test_a_suffix_is_text() -> None:
    with pytest.raises(TypeError, match=r"^reply_suffix is bytes: pass a str|object expected"):
        ServerConnection(RELAY, reply_suffix=b"id=1")  # type: ignore[arg-type]


# -- misuse


def test_nothing_is_pending() -> None:
    made = session()
    before = state_of(made.conn)
    calls: tuple[Callable[[], object], ...] = (
        made.conn.reply,
        lambda: made.conn.reply(Reply(250)),
        lambda: made.conn.reply(Reply(550)),
        lambda: made.conn.supply(None),
        lambda: made.conn.shutdown(Reply(221)),
        lambda: made.conn.shutdown(Reply(421, "é")),
        lambda: made.conn.tls_started(CERTIFIED),
        made.conn.tls_failed,
    )
    for call in calls:
        with pytest.raises(LocalProtocolError):
            call()
        assert state_of(made.conn) == before


def test_a_body_takes_one_early_verdict() -> None:
    made = session()
    made.feed(ENVELOPE + b"DATA\r\n")
    for replies in ((), (Reply(250),), (Reply(354),), (Reply(550), Reply(550))):
        before = state_of(made.conn)
        with pytest.raises(LocalProtocolError):
            made.conn.reply(*replies)
        with pytest.raises(LocalProtocolError):
            made.conn.reply(Reply(550), to=Data())
        with pytest.raises(LocalProtocolError):
            made.conn.reply(Reply(550, "é"))
        assert state_of(made.conn) == before
    made.conn.reply(Reply(550, "Spam"))
    with pytest.raises(LocalProtocolError):
        made.conn.reply(Reply(550, "Spam"))
    assert made.feed(b"hello\r\n.\r\n") == b"550 5.0.0 Spam\r\n"
    assert MessageAborted(Aborted.REFUSED, Reply(550, "Spam", "5.0.0")) in made.events


# -- replies that are kept as they are sent


def replied(config: ServerConfig, reply: Reply, *, utf8: bool = False) -> bytes:
    """What a connection of its own sends for an application's reply to MAIL."""
    made = session(config, answers({Mail: reply}))
    return made.feed(b"MAIL FROM:<a@b.example>%b\r\n" % (b" SMTPUTF8" * utf8))


def test_a_reply_kept_is_sent_to_all_sessions_of_the_service() -> None:
    config = ServerConfig.relay("mx.example")
    sent = [replied(config, Reply(250, "Yes")) for _ in range(3)]
    assert sent == [b"250 2.0.0 Yes\r\n"] * 3
    assert replied(config, Reply(250, "Yes", "2.1.0")) == b"250 2.1.0 Yes\r\n"
    assert replied(config, Reply(550, "Yes")) == b"550 5.0.0 Yes\r\n"


def test_a_reply_kept_is_not_sent_where_it_may_not_be() -> None:
    config = ServerConfig.relay("mx.example", offer=(EIGHTBITMIME, SMTPUTF8))
    for _ in range(2):
        assert replied(config, Reply(250, "Grüße"), utf8=True) == "250 Grüße\r\n".encode()
        with pytest.raises(LocalProtocolError, match="not ASCII"):
            replied(config, Reply(250, "Grüße"))


def test_no_more_replies_are_kept_than_are_bounded() -> None:
    config = ServerConfig.relay("mx.example")
    for number in range(300):
        assert replied(config, Reply(250, f"As {number}")) == b"250 2.0.0 As %d\r\n" % number
    kept = config.known_replies
    assert len(kept) == REMEMBERED
    assert all(len(octets) <= SHORT for octets in kept.values())


def test_a_long_reply_is_not_kept() -> None:
    config = ServerConfig.relay("mx.example")
    before = len(config.known_replies)
    replied(config, Reply(250, "long " * 200))
    assert len(config.known_replies) == before
