"""STARTTLS (RFC 3207): nothing that came in plaintext is interpreted behind it."""

from typing import Final

import pytest
from tests.engine.transcript import (
    RELAY,
    TLS,
    Session,
    answers,
    by_default,
    feed_all,
    play,
    session,
    state_of,
    wait,
)

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Closed, CloseReason, Identity, Peer
from smtpwire.engine.need import Need
from smtpwire.engine.policy import Policy
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import AUTH, REQUIRETLS, STARTTLS
from smtpwire.sasl import PasswordLogin
from smtpwire.testing import every_split
from smtpwire.wire.command import Mail, StartTls
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

SERVICE: Final = replace(
    RELAY, starttls=True, mechanisms=("PLAIN",), offer=(*RELAY.offer, REQUIRETLS)
)
READY: Final = b"220 2.0.0 Ready to start TLS\r\n"
INJECTED: Final = b"MAIL FROM:<injected@e.example>\r\n"


def started(config: ServerConfig = SERVICE) -> Session:
    made = session(config)
    assert made.feed(b"STARTTLS\r\n") == READY
    assert made.at(Need.TLS)
    return made


def test_everything_said_before_is_forgotten() -> None:
    made = session(SERVICE, peer=Peer(address="192.0.2.9"))
    made.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
    stats = made.conn.stats
    made.feed(b"STARTTLS\r\n")
    assert not made.conn.wants_data
    made.conn.tls_started(TLS)
    assert made.run() == b"", "no second greeting"
    conn = made.conn
    assert (conn.hello, conn.envelope, conn.identity) == (None, None, None)
    assert conn.state is State.HELLO
    assert conn.tls is TLS
    assert conn.peer.address == "192.0.2.9"
    assert conn.stats.commands == stats.commands + 1
    assert made.feed(INJECTED) == b"503 5.5.1 Bad sequence of commands\r\n"
    assert b"STARTTLS" not in made.feed(b"EHLO c.example\r\n")
    assert STARTTLS not in conn.extensions
    assert conn.extensions[AUTH] == ("PLAIN",)
    assert REQUIRETLS in conn.extensions
    assert made.feed(b"STARTTLS\r\n") == b"503 5.5.1 STARTTLS not possible now\r\n"
    assert made.feed(INJECTED) == b"250 2.1.0 Sender OK\r\n"


@pytest.mark.parametrize("behind", [INJECTED, b"M", b"\r\n", b"\x16\x03\x01"], ids=repr)
def test_plaintext_behind_it_is_an_attack(behind: bytes) -> None:
    stream = b"STARTTLS\r\n" + behind
    border = len(b"STARTTLS\r\n")
    for chunks in every_split(stream):
        made = session(SERVICE)
        offset = made.conn.stats.octets_received + border
        feed_all(made, chunks)
        assert Mail not in map(type, made.events)
        if len(chunks[0]) <= border and made.at(Need.TLS):
            # It came when the 220 had left: those are TLS's.
            assert made.sent == READY
            assert behind.endswith(made.conn.trailing_data)
            continue
        assert made.sent == b"554 5.5.1 Commands behind STARTTLS\r\n"
        kind = ViolationKind.PLAINTEXT_BEHIND_STARTTLS
        reply = Reply(554, "Commands behind STARTTLS", "5.5.1")
        assert made.events[1:] == [
            ProtocolViolation(kind, offset, fatal=True),
            Closed(CloseReason.VIOLATION, reply),
        ]


def test_what_comes_before_the_220_has_left_is_the_same_without_an_answer() -> None:
    made = session(SERVICE)
    made.conn.receive_data(b"STARTTLS\r\n")
    assert made.conn.next_event() == StartTls()
    made.conn.reply()
    assert made.conn.next_event() is Need.TLS
    made.conn.receive_data(INJECTED)
    kind = ViolationKind.PLAINTEXT_BEHIND_STARTTLS
    item = made.conn.next_event()
    assert isinstance(item, ProtocolViolation)
    assert (item.kind, item.fatal) == (kind, True)
    assert made.conn.next_event() == Closed(CloseReason.VIOLATION)
    assert made.conn.data_to_send() == b""


def test_what_comes_while_it_is_pending() -> None:
    made = session(SERVICE, wait)
    made.feed(b"STARTTLS\r\n")
    assert not made.conn.wants_data
    made.conn.receive_data(INJECTED)
    made.conn.reply()
    assert made.run() == b"554 5.5.1 Commands behind STARTTLS\r\n"


def test_what_comes_after_the_220_is_tls() -> None:
    made = started(replace(SERVICE, limits=replace(SERVICE.limits, trailing=10)))
    for octets in (b"\x16\x03\x01", memoryview(b"12345"), bytearray(b"67890")):
        made.conn.receive_data(octets)
        made.run()
        assert made.at(Need.TLS)
    assert made.conn.trailing_data == b"\x16\x03\x011234567"
    made.conn.tls_started(TLS)
    made.run()
    assert made.conn.trailing_data == b""
    assert made.at(Need.DATA), "never parsed"


def test_a_refusal_leaves_what_follows() -> None:
    for refusal in (Reply(454, "Not now", "4.7.0"), Reply(554, "No", "5.7.0")):
        made = play(
            lambda: session(SERVICE, answers({StartTls: refusal})),  # noqa: B023
            rf"""
            C: STARTTLS
            S: {refusal.code} {refusal.enhanced} {refusal.text}
            C: MAIL FROM:<a@b.example>
            S: 250 2.1.0 Sender OK
            """,
        )
        assert made.conn.tls is None


def test_the_order_of_the_checks() -> None:
    play(
        session,
        r"""
        C: STARTTLS now
        S: 501 5.5.4 STARTTLS takes no argument
        C: STARTTLS
        S: 502 5.5.1 TLS not available
        """,
    )
    under_tls = lambda: session(RELAY, tls=TLS)  # noqa: E731
    play(
        under_tls,
        r"""
        C: STARTTLS now
        S: 501 5.5.4 STARTTLS takes no argument
        C: STARTTLS
        S: 503 5.5.1 STARTTLS not possible now
        """,
    )
    play(
        lambda: session(SERVICE),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 0
        S: 250 2.0.0 Octets received
        C: STARTTLS
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


def test_not_after_authentication() -> None:  # R91
    """RFC 3207 §4.2."""
    made = session(
        replace(SERVICE, cleartext_without_tls=True), answers({PasswordLogin: Reply(235)})
    )
    made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
    assert made.conn.identity == Identity("user", "user", "PLAIN")
    assert made.feed(b"STARTTLS\r\n") == b"503 5.5.1 STARTTLS not possible now\r\n"


def test_before_hello_and_after_helo() -> None:
    made = session(SERVICE, hello=None)
    assert made.feed(b"STARTTLS\r\n") == READY
    made = session(SERVICE, hello="HELO c.example")  # it has no extensions (RFC 5321 §3.2)
    assert made.feed(b"STARTTLS\r\n") == b"502 5.5.1 TLS not available\r\n"
    made.feed(b"EHLO c.example\r\n")
    assert made.feed(b"STARTTLS\r\n") == READY


def test_the_handshake_fails() -> None:
    made = started()
    made.conn.tls_failed("no shared cipher")
    made.run()
    assert made.events[1:] == [Closed(CloseReason.TLS_FAILED, None, "no shared cipher")]


def test_at_the_handshake_nothing_is_sent() -> None:
    for reason, call in (
        (CloseReason.SHUTDOWN, "shutdown"),
        (CloseReason.TIMEOUT, "timed_out"),
        (CloseReason.ABORTED, "abort"),
    ):
        made = started()
        made.sent = b""
        getattr(made.conn, call)()
        made.run()
        assert made.sent == b""
        assert made.closed is not None
        assert made.closed.reason is reason


def test_the_time_for_a_handshake() -> None:
    made = started()
    timeout = made.conn.timeout
    assert timeout is not None
    assert timeout == Timeout(60.0, timeout.serial)


def test_tls_may_start_only_when_the_220_was_handed_out() -> None:
    made = session(SERVICE)
    made.conn.receive_data(b"STARTTLS\r\n")
    made.conn.next_event()
    made.conn.reply()
    before = state_of(made.conn)
    with pytest.raises(LocalProtocolError):
        made.conn.tls_started(TLS)
    assert state_of(made.conn) == before
    made.conn.data_to_send()
    made.conn.tls_started(TLS)


def test_the_end_of_the_stream_at_the_handshake() -> None:
    made = started()
    made.conn.receive_data(b"")
    assert made.conn.eof_received
    made.run()
    assert made.at(Need.TLS), "the handshake will tell"
    made.conn.tls_failed("end of stream")
    made.run()
    assert made.at(Need.CLOSE)


def test_foreign_protocols_under_tls_too() -> None:
    made = started()
    made.conn.tls_started(TLS)
    made.run()
    made.sent = b""
    assert made.feed(b"GET / HTTP/1.1\r\n") == b"421 4.7.0 Protocol violation\r\n"


def test_the_offset_counts_from_the_start_of_tls() -> None:
    made = started(replace(SERVICE, policies={ViolationKind.BARE_LF: Policy.CLOSE}))
    made.conn.tls_started(TLS)
    made.events.clear()
    made.feed(b"NOOP\n")
    assert made.events[0] == ProtocolViolation(ViolationKind.BARE_LF, 4, fatal=True)


def test_implicit_tls() -> None:
    config = ServerConfig.submissions("mx.example")
    with pytest.raises(ValueError, match="TLS from the first octet"):
        ServerConnection(config)
    made = Session(ServerConnection(config, tls=TLS), by_default)
    made.run()
    reply = made.feed(b"EHLO c.example\r\n")
    assert b"STARTTLS" not in reply
    assert b"AUTH PLAIN LOGIN" in reply


def test_time_is_counted_anew_after_the_handshake() -> None:
    timeouts = replace(RELAY.timeouts, handshake=300.0, command=300.0)
    made = session(replace(RELAY, starttls=True, timeouts=timeouts))
    made.feed(b"STARTTLS\r\n")
    before = made.conn.timeout
    made.conn.tls_started(TLS)
    after = made.conn.timeout
    assert before is not None
    assert after is not None
    assert (after.seconds, after.serial > before.serial) == (before.seconds, True)
