"""What a client may repeat: for ever what moves mail, and nothing else."""

from collections.abc import Callable
from typing import Final

import pytest
from tests.engine.transcript import (
    LMTP,
    RELAY,
    TLS,
    Answer,
    Given,
    Session,
    answers,
    in_turn,
    session,
    wait,
)

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    Closed,
    CloseReason,
    Connected,
    EndOfMessage,
    MessageAborted,
    Peer,
)
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.extensions import (
    ATRN,
    BURL,
    ETRN,
    LIMITS,
    ONEX,
    XCLIENT,
    XFORWARD,
    Atrn,
    Burl,
    Etrn,
    ServerLimits,
    XClient,
    XForward,
)
from smtpwire.sasl import PasswordLogin
from smtpwire.wire.command import Data, ExtensionCommand, Hello, Mail, Rcpt, StartTls, Vrfy
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

MAIL: Final = b"MAIL FROM:<a@b.example>\r\n"
RCPT: Final = b"RCPT TO:<c@d.example>\r\n"
ENVELOPE: Final = MAIL + RCPT
MESSAGE: Final = ENVELOPE + b"DATA\r\nx\r\n.\r\n"
FRONT: Final = Peer(address="192.0.2.1")
EVERYTHING: Final = replace(
    ServerConfig.submission("mx.example"),
    require_auth=False,
    mechanisms=("PLAIN",),
    cleartext_without_tls=True,
    offer=(*RELAY.offer, XCLIENT, XFORWARD, ONEX, BURL(("imap",))),
    xclient=frozenset({FRONT.address}),
    xforward=frozenset({FRONT.address}),
    limits=replace(RELAY.limits, message=1000, recipients=3, excess_recipients=500),
)
QUEUES: Final = replace(
    EVERYTHING,
    profile=RELAY.profile,
    offer=(*RELAY.offer, ETRN, ATRN, LIMITS(ServerLimits(mailmax=5))),
)
LOCAL: Final = replace(LMTP, limits=EVERYTHING.limits)
ACCEPTING: Final[dict[type[Request], Given]] = {
    Rcpt: Reply(250),
    PasswordLogin: Reply(235),
    Etrn: Reply(250),
    ExtensionCommand: Reply(250),
    XForward: Reply(250),
    XClient: Reply(220),
    Burl: Reply(250),
}
NO: Final = Reply(450, "Not now")


def connected(
    config: ServerConfig, more: dict[type[Request], Given], before: bytes = b""
) -> Session:
    verb = "LHLO" if config.profile is LMTP.profile else "EHLO"
    answer = answers({**ACCEPTING, **more})
    made = session(config, answer, peer=FRONT, hello=f"{verb} c.example")
    if before:
        made.feed(before)
    return made


ROUNDS: Final[dict[str, tuple[ServerConfig, dict[type[Request], Given], bytes, bytes]]] = {
    "MAIL and RSET": (EVERYTHING, {}, b"", MAIL + b"RSET\r\n"),
    "MAIL and EHLO": (EVERYTHING, {}, b"", MAIL + b"EHLO c\r\n"),
    "recipients and RSET": (EVERYTHING, {}, b"", ENVELOPE + b"RSET\r\n"),
    "MAIL refused": (EVERYTHING, {Mail: NO}, b"", MAIL),
    "MAIL over what LIMITS told": (QUEUES, {}, (MAIL + b"RSET\r\n") * 5, MAIL),
    "too many recipients": (EVERYTHING, {}, MAIL, RCPT),
    "a recipient refused": (EVERYTHING, {Rcpt: NO}, MAIL, RCPT),
    "a transaction without recipients": (EVERYTHING, {Rcpt: NO}, b"", ENVELOPE + b"RSET\r\n"),
    "DATA refused": (EVERYTHING, {Data: NO}, ENVELOPE, b"DATA\r\n"),
    "a chunk refused": (EVERYTHING, {Data: NO}, b"", ENVELOPE + b"BDAT 1\r\nxRSET\r\n"),
    "the last chunk refused": (EVERYTHING, {Data: NO}, b"", ENVELOPE + b"BDAT 1 LAST\r\nx"),
    "a message refused": (EVERYTHING, {EndOfMessage: NO}, b"", MESSAGE),
    "a message too large": (
        EVERYTHING,
        {},
        b"",
        ENVELOPE + b"DATA\r\n" + b"x" * 1001 + b"\r\n.\r\n",
    ),
    "a message refused in LMTP": (LOCAL, {EndOfMessage: NO}, b"", MESSAGE),
    "empty chunks": (EVERYTHING, {}, ENVELOPE, b"BDAT 0\r\n"),
    "BURL": (EVERYTHING, {}, ENVELOPE, b"BURL imap://x\r\n"),
    "BURL refused": (EVERYTHING, {Burl: NO}, b"", ENVELOPE + b"BURL imap://x LAST\r\n"),
    "STARTTLS refused": (EVERYTHING, {StartTls: Reply(454)}, b"", b"STARTTLS\r\n"),
    "ETRN": (QUEUES, {}, b"", b"ETRN c.example\r\n"),
    "ATRN refused": (QUEUES, {Atrn: NO}, b"AUTH PLAIN AGEAYg==\r\n", b"ATRN\r\n"),
    "a verb of an extension": (EVERYTHING, {}, b"", b"ONEX\r\n"),
    "XFORWARD": (EVERYTHING, {}, b"", b"XFORWARD NAME=x\r\n"),
    "XCLIENT": (EVERYTHING, {}, b"", b"XCLIENT NAME=x\r\nEHLO c\r\n"),
    "NOOP": (EVERYTHING, {}, b"", b"NOOP\r\n"),
    "RSET": (EVERYTHING, {}, b"", b"RSET\r\n"),
    "HELP": (EVERYTHING, {}, b"", b"HELP\r\n"),
    "VRFY": (EVERYTHING, {Vrfy: Reply(250)}, b"", b"VRFY c\r\n"),
    "EHLO": (EVERYTHING, {}, b"", b"EHLO c\r\n"),
    "EHLO refused": (EVERYTHING, {Hello: in_turn(Reply(250), *[NO] * 999)}, b"", b"EHLO c\r\n"),
    "AUTH failed": (EVERYTHING, {PasswordLogin: Reply(535)}, b"", b"AUTH PLAIN AGEAYg==\r\n"),
    "AUTH cancelled": (EVERYTHING, {}, b"", b"AUTH PLAIN\r\n*\r\n"),
    "AUTH unknown": (EVERYTHING, {}, b"", b"AUTH X-OTHER\r\n"),
    "nothing": (EVERYTHING, {}, b"", b"\r\n"),
    "an unknown verb": (EVERYTHING, {}, b"", b"XYZZY\r\n"),
    "a bare LF": (EVERYTHING, {}, b"", b"NOOP\n\r\n"),
    "a bad parameter": (EVERYTHING, {}, b"", b"MAIL FROM:<> X=1\r\n"),
    "DATA out of sequence": (EVERYTHING, {}, b"", b"DATA\r\n"),
    "a chunk out of sequence": (EVERYTHING, {}, b"", b"BDAT 1\r\nx"),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_what_moves_no_mail_cannot_go_on_for_ever(name: str) -> None:
    config, more, before, octets = ROUNDS[name]
    made = connected(config, more, before)
    for rounds in range(1000):
        if made.at(Need.CLOSE):
            break
        assert made.feed(octets), rounds
    assert made.closed is not None
    assert made.closed.reason is CloseReason.ERRORS
    assert made.sent.splitlines()[-1].startswith(b"421 4.7.0 ")
    assert sum(isinstance(event, Closed) for event in made.events) == 1


MOVING: Final[dict[str, tuple[ServerConfig, dict[type[Request], Given], bytes]]] = {
    "messages": (EVERYTHING, {}, MESSAGE),
    "messages by chunks": (EVERYTHING, {}, ENVELOPE + b"BDAT 1\r\nxBDAT 0\r\nBDAT 1 LAST\r\nx"),
    "messages in LMTP": (LOCAL, {}, MESSAGE),
    "with RSET and NOOP": (EVERYTHING, {}, b"NOOP\r\nRSET\r\n" + MESSAGE + b"RSET\r\n"),
    "with XFORWARD": (EVERYTHING, {}, b"XFORWARD NAME=x\r\n" * 2 + MESSAGE),
    "too many recipients": (
        EVERYTHING,
        {},
        MAIL + RCPT * 50 + b"DATA\r\nx\r\n.\r\n",
    ),
    "some recipients refused": (
        EVERYTHING,
        {Rcpt: in_turn(*[Reply(250), NO, NO] * 1000)},
        MAIL + RCPT * 3 + b"DATA\r\nx\r\n.\r\n",
    ),
    "a mistake with each": (EVERYTHING, {}, b"MAIL FROM:<> X=1\r\n" + MESSAGE),
}


@pytest.mark.parametrize("name", MOVING)
def test_what_moves_mail_goes_on_for_ever(name: str) -> None:
    """A relay keeps one connection for thousands of messages."""
    config, more, octets = MOVING[name]
    made = connected(config, more)
    for _ in range(500):
        made.feed(octets)
    assert made.closed is None
    assert made.conn.stats.messages == 500


def test_a_refusal_that_closes_is_not_followed_by_another_421() -> None:
    made = connected(replace(RELAY, limits=replace(RELAY.limits, junk=1)), {Mail: Reply(421, "No")})
    made.feed(b"NOOP\r\n")
    assert made.feed(MAIL).startswith(b"421 4.7.0 ") or made.closed is not None
    assert made.sent.count(b"421 ") == 1


# -- the time of a session

HOUR: Final = replace(RELAY, timeouts=Timeouts(session=3600.0))
TOO_LONG: Final = b"421 4.4.2 Timeout\r\n"


def at_any_time(answer: Answer = wait) -> dict[str, Callable[[], Session]]:
    def fed(octets: bytes, config: ServerConfig = HOUR) -> Callable[[], Session]:
        def make() -> Session:
            made = session(config, answers(ACCEPTING))
            made.feed(octets)
            return made

        return make

    login = replace(HOUR, mechanisms=("PLAIN",), cleartext_without_tls=True)
    return {
        "ready": fed(b"NOOP\r\n"),
        "half a line": fed(b"NOO"),
        "a transaction": fed(ENVELOPE),
        "a body": fed(ENVELOPE + b"DATA\r\nx"),
        "chunks": fed(ENVELOPE + b"BDAT 9\r\nx"),
        "AUTH": fed(b"AUTH PLAIN\r\n", login),
    }


@pytest.mark.parametrize("name", at_any_time())
def test_a_session_that_lasts_too_long(name: str) -> None:
    made = at_any_time()[name]()
    assert made.conn.session_timeout == 3600.0
    made.conn.session_timed_out()
    assert not made.conn.wants_data
    assert made.run() == TOO_LONG
    assert made.at(Need.CLOSE)
    assert made.closed == Closed(CloseReason.TIMEOUT, Reply(421, "Timeout", "4.4.2"))
    aborted = [event.reason for event in made.events if isinstance(event, MessageAborted)]
    assert aborted == [Aborted.TIMEOUT] * (name in ("a body", "chunks"))
    made.conn.session_timed_out()
    assert made.run() == b""


def test_a_question_that_waits_stays_answerable() -> None:
    made = session(HOUR, wait)
    made.feed(b"VRFY c\r\n")
    made.conn.session_timed_out()
    assert made.run() == b""
    made.conn.reply(Reply(250, "c@d.example"))
    assert made.run() == b"250 2.0.0 c@d.example\r\n" + TOO_LONG
    assert made.closed == Closed(CloseReason.TIMEOUT, Reply(421, "Timeout", "4.4.2"))


def test_in_a_handshake_nothing_is_sent() -> None:
    made = session(replace(HOUR, starttls=True))
    made.feed(b"STARTTLS\r\n")
    made.conn.session_timed_out()
    assert made.run() == b""
    assert made.closed is not None
    assert made.closed.reason is CloseReason.TIMEOUT


def test_by_default_a_session_may_take_any_time() -> None:
    made = session()
    assert made.conn.session_timeout is None
    with pytest.raises(LocalProtocolError, match="no Timeouts"):
        made.conn.session_timed_out()
    assert made.conn.state is State.READY


# -- the end from outside: by a timer, another thread's call, a factory


@pytest.mark.parametrize("call", ["shutdown", "abort"])
@pytest.mark.parametrize("name", at_any_time())
def test_a_call_from_outside_is_seen_by_whoever_looks_again(name: str, call: str) -> None:
    made = at_any_time()[name]()
    assert made.at(Need.DATA)
    getattr(made.conn, call)()
    assert not made.conn.wants_data
    last = made.conn.data_to_send()
    assert last == (b"421 4.3.2 Service shutting down\r\n" if call == "shutdown" else b"")
    made.run()
    assert made.at(Need.CLOSE)
    assert made.events[-1] == made.closed


def test_before_the_first_event() -> None:
    """As a factory does that wants to serve nobody."""
    for peer in (None, FRONT):
        conn = ServerConnection(replace(RELAY, proxy=frozenset({FRONT.address})), peer=peer)
        conn.shutdown(Reply(421, "Full"))
        made = Session(conn)
        made.run()
        assert not any(isinstance(event, Connected) for event in made.events)
        assert made.closed is not None
        assert made.sent == (b"" if peer is None else b"421 Full\r\n")
    made = Session(ServerConnection(RELAY))
    made.conn.abort()
    assert made.run() == b""
    assert made.events == [Closed(CloseReason.ABORTED)]


@pytest.mark.parametrize("call", ["shutdown", "abort", "timed_out"])
def test_a_timer_that_was_set_before_the_end_does_no_harm(call: str) -> None:
    made = session()
    getattr(made.conn, call)()
    made.conn.timed_out()
    made.run()
    assert sum(isinstance(event, Closed) for event in made.events) == 1
    made.conn.timed_out()
    assert made.run() == b""


def test_a_shutdown_in_a_handshake_from_outside() -> None:
    made = session(replace(RELAY, starttls=True))
    made.feed(b"STARTTLS\r\n")
    made.conn.shutdown()
    with pytest.raises(LocalProtocolError):
        made.conn.tls_started(TLS)
    assert made.run() == b""
    assert made.closed == Closed(CloseReason.SHUTDOWN, Reply(421, "Service shutting down", "4.3.2"))


@pytest.mark.parametrize("config", [RELAY, LMTP])
def test_chunks_behind_refused_recipients_are_no_errors_of_their_own(config: ServerConfig) -> None:
    verb = "LHLO" if config is LMTP else "EHLO"
    made = session(config, answers({Rcpt: Reply(550, "Unknown")}), hello=f"{verb} c.example")
    message = ENVELOPE + b"BDAT 1\r\nx" * 50 + b"BDAT 1 LAST\r\nx" + b"RSET\r\n"
    for _ in range(3):
        assert made.feed(message).endswith(b"250 2.0.0 OK\r\n")
    assert made.conn.stats.errors == 0


def test_empty_chunks_behind_a_refused_recipient_do_not_go_on_for_ever() -> None:
    made = session(RELAY, answers({Rcpt: Reply(550, "Unknown")}))
    made.feed(ENVELOPE)
    for _ in range(RELAY.limits.recipients + RELAY.limits.errors):
        assert made.feed(b"BDAT 0\r\n") == b"503 5.5.1 No recipients\r\n"
    assert made.feed(b"BDAT 0\r\n") == b"421 4.7.0 Too many errors\r\n"


def test_what_is_dropped_is_counted_for_each_refused_sender() -> None:
    config = replace(RELAY, limits=replace(RELAY.limits, swallow=100))
    made = session(config, answers({Mail: Reply(450, "Later")}))
    for _ in range(5):
        assert made.feed(ENVELOPE + b"BDAT 80 LAST\r\n" + b"x" * 80).startswith(b"450")
    assert made.closed is None
