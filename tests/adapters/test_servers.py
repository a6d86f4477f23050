"""What every adapter's server does at a real socket, with real TLS."""

import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Awaitable
from itertools import pairwise
from threading import Thread

import pytest
from tests.adapters.handlers import Mailbox, pause
from tests.adapters.servers import PATIENCE, SERVERS, Dialogue, serving

from smtpwire.adapters import blocking, callbacks
from smtpwire.adapters import serving as serving_adapter
from smtpwire.adapters.session import Session
from smtpwire.adapters.tls import TlsConfig, TlsLayer
from smtpwire.engine.events import (
    BodyChunk,
    CloseReason,
    Connected,
    EndOfMessage,
    MessageAborted,
    ServerEvent,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.sasl import tls_server_end_point
from smtpwire.testing import certificate
from smtpwire.wire.command import Data, Hello, Mail, Noop, Rset, StartTls
from smtpwire.wire.proxy import (
    ProxyCommand,
    ProxyHeader,
    ProxyTransport,
    format_proxy_header,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
ALLOW_CLIENT_RENEGOTIATION = 1 << 8
"""OpenSSL's SSL_OP_ALLOW_CLIENT_RENEGOTIATION, for which Python has no name."""
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"
WITH_TLS = replace(RELAY, starttls=True)
TRANSACTION = (
    b"EHLO client.example.com\r\n"
    b"MAIL FROM:<a@example.com>\r\n"
    b"RCPT TO:<b@example.org>\r\n"
    b"DATA\r\n"
    b"Subject: x\r\n\r\n..dot\r\n.\r\n"
    b"QUIT\r\n"
)


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (callbacks, serving_adapter):
        monkeypatch.setattr(module, "LINGER", 0.3)


def opened(port: int) -> Dialogue:
    """A session after EHLO."""
    client = Dialogue(port)
    assert client.reply().startswith(b"220 ")
    assert client.say(b"EHLO client.example.com").startswith(b"250-mx.example.org")
    return client


# -- ordinary sessions


def test_a_message_arrives_whole(adapter: str) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY) as port, opened(port) as client:
        assert client.say(b"MAIL FROM:<a@example.com>").startswith(b"250 ")
        assert client.say(b"RCPT TO:<nobody@example.org>").startswith(b"550 5.1.1 ")
        assert client.say(b"RCPT TO:<b@example.org>").startswith(b"250 ")
        assert client.say(b"DATA").startswith(b"354 ")
        assert client.say(b"Subject: x\r\n\r\n..dot\r\n.").startswith(b"250 ")
        assert client.say(b"QUIT").startswith(b"221 ")
        assert client.rest() == b""
        assert mailbox.wait_for_end().reason is CloseReason.QUIT
    assert mailbox.messages == [b"Subject: x\r\n\r\n.dot\r\n"]


def test_the_peer_is_known(adapter: str) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY) as port, opened(port) as client:
        address, number = client.sock.getsockname()
    (connected,) = (event for event in mailbox.events if isinstance(event, Connected))
    assert (connected.peer.address, connected.peer.port) == (address, number)


def test_a_whole_transaction_in_one_write_and_a_half_close_before_reading(adapter: str) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY) as port, Dialogue(port) as client:
        client.reply()  # Exim waits for the greeting
        client.send(TRANSACTION)
        client.sock.shutdown(socket.SHUT_WR)
        replies = client.rest().split(b"\r\n")
        finals = [line[:4] for line in replies if line[3:4] == b" "]
    assert finals == [b"250 ", b"250 ", b"250 ", b"354 ", b"250 ", b"221 "]
    assert mailbox.messages == [b"Subject: x\r\n\r\n.dot\r\n"]


def test_and_the_same_with_a_handler_that_takes_its_time(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        return pause(adapter, 0.02) if isinstance(event, Mail | EndOfMessage) else None

    mailbox = Mailbox(step)
    with serving(adapter, mailbox, RELAY) as port, Dialogue(port) as client:
        client.reply()
        client.send(TRANSACTION)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest().endswith(b"221 2.0.0 Goodbye\r\n")
    assert mailbox.messages == [b"Subject: x\r\n\r\n.dot\r\n"]


def test_a_refused_greeting_still_takes_quit(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> None:
        if isinstance(event, Connected):
            session.conn.reply(Reply(554, "No service"))

    mailbox = Mailbox(step)
    with serving(adapter, mailbox, RELAY) as port, Dialogue(port) as client:
        assert client.reply() == b"554 No service\r\n"
        assert client.say(b"EHLO x.example").startswith(b"503 ")
        assert client.say(b"QUIT").startswith(b"221 ")
        assert mailbox.wait_for_end().reason is CloseReason.REFUSED


# -- handlers that fail


def failing(kind: type[ServerEvent]) -> Mailbox:
    def step(session: Session, event: ServerEvent) -> None:
        if isinstance(event, kind):
            raise ZeroDivisionError

    return Mailbox(step)


def test_a_handler_that_raises_is_logged_and_the_question_answered(
    adapter: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(adapter, failing(Mail), RELAY) as port, opened(port) as client:
        assert client.say(b"MAIL FROM:<a@example.com>") == (
            b"451 4.3.0 Local error in processing\r\n"
        )
        assert client.say(b"NOOP").startswith(b"250 ")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Mail" in record.getMessage()


def test_a_question_left_unanswered_is_logged_and_answered(
    adapter: str, caplog: pytest.LogCaptureFixture
) -> None:
    def session(session: Session) -> object:
        def handle(event: ServerEvent) -> None:
            if isinstance(event, Connected | Hello):
                session.conn.reply()

        return handle

    with serving(adapter, session, RELAY) as port, opened(port) as client:  # type: ignore[arg-type]
        assert client.say(b"MAIL FROM:<a@example.com>").startswith(b"451 4.3.0 ")
    assert "unanswered" in caplog.text


def test_raised_at_a_part_of_the_body_it_is_the_verdict(adapter: str) -> None:
    mailbox = failing(BodyChunk)
    with serving(adapter, mailbox, RELAY) as port, opened(port) as client:
        client.say(b"MAIL FROM:<a@example.com>")
        client.say(b"RCPT TO:<b@example.org>")
        client.say(b"DATA")
        assert client.say(b"text\r\n.").startswith(b"451 4.3.0 ")
        assert client.say(b"NOOP").startswith(b"250 ")
    assert any(isinstance(event, MessageAborted) for event in mailbox.events)


def test_a_handler_that_fails_at_credentials_is_a_trouble_of_the_server(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def step(session: Session, event: ServerEvent) -> None:
        if type(event).__name__ == "PasswordLogin":
            raise ZeroDivisionError

    config = replace(WITH_TLS, mechanisms=("PLAIN",))
    with serving(adapter, Mailbox(step), config, server_tls) as port, opened(port) as client:
        client.say(b"STARTTLS")
        client.start_tls(client_context)
        client.say(b"EHLO client.example.com")
        assert client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0").startswith(b"454 4.7.0 ")


def test_in_lmtp_each_recipient_still_owed_is_answered(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> None:
        if isinstance(event, EndOfMessage):
            session.conn.reply(Reply(250, "The first one has it"))
            raise ZeroDivisionError

    with (
        serving(adapter, Mailbox(step), ServerConfig.lmtp("mx.example.org")) as port,
        Dialogue(port) as client,
    ):
        client.reply()
        client.say(b"LHLO client.example.com")
        client.say(b"MAIL FROM:<a@example.com>")
        for name in (b"b", b"c", b"d"):
            client.say(b"RCPT TO:<%b@example.org>" % name)
        client.say(b"DATA")
        client.send(b"text\r\n.\r\n")
        codes = [client.reply()[:3] for _ in range(3)]
    assert codes == [b"250", b"451", b"451"]


def test_where_no_handler_can_be_made_the_peer_is_told(adapter: str) -> None:
    def session(session: Session) -> object:
        raise ZeroDivisionError

    with serving(adapter, session, RELAY) as port, Dialogue(port) as client:  # type: ignore[arg-type]
        assert client.rest() == b"421 Local error in processing\r\n"


# -- STARTTLS


def test_starttls_with_either_version(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    for version, bindings in (
        (ssl.TLSVersion.TLSv1_2, {"tls-unique", "tls-server-end-point"}),
        (ssl.TLSVersion.TLSv1_3, {"tls-server-end-point"}),
    ):
        mailbox = Mailbox()
        client_context.minimum_version = client_context.maximum_version = version
        with serving(adapter, mailbox, WITH_TLS, server_tls) as port, opened(port) as client:
            assert client.say(b"STARTTLS").startswith(b"220 ")
            client.start_tls(client_context)
            assert b"STARTTLS" not in client.say(b"EHLO client.example.com")
            tls = mailbox.sessions[0].conn.tls
            assert tls is not None
            assert set(tls.bindings) == bindings
            assert tls.bindings["tls-server-end-point"] == tls_server_end_point(
                server_tls.certificate
            )
            assert not tls.verified
            assert client.say(b"QUIT").startswith(b"221 ")
            assert mailbox.wait_for_end().reason is CloseReason.QUIT


def test_a_client_certificate_is_told(adapter: str, client_context: ssl.SSLContext) -> None:
    trustme = pytest.importorskip("trustme", reason="it makes the certificate of a client")
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    for each in (context, client_context):
        authority.configure_trust(each)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("client.example.com").configure_cert(client_context)
    mailbox = Mailbox()
    with serving(adapter, mailbox, WITH_TLS, TlsConfig(context)) as port, opened(port) as client:
        client.say(b"STARTTLS")
        client.start_tls(client_context)
        client.say(b"EHLO client.example.com")
        tls = mailbox.sessions[0].conn.tls
        assert tls is not None
        assert tls.verified
        assert tls.peer is not None
        assert tls.peer.names == ("client.example.com",)


def test_tls_from_the_first_octet(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    mailbox = Mailbox()
    config = ServerConfig.submissions("mx.example.org")
    with serving(adapter, mailbox, config, server_tls) as port, Dialogue(port) as client:
        client.start_tls(client_context)
        assert client.reply().startswith(b"220 ")
        assert b"AUTH PLAIN LOGIN" in client.say(b"EHLO client.example.com")
        assert client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0").startswith(b"235 ")
        assert client.say(b"QUIT").startswith(b"221 ")
        assert mailbox.wait_for_end().reason is CloseReason.QUIT


def test_plaintext_at_a_port_of_tls_ends_it(adapter: str, server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    config = ServerConfig.submissions("mx.example.org")
    with serving(adapter, mailbox, config, server_tls) as port, Dialogue(port) as client:
        client.send(b"EHLO client.example.com\r\n")
        assert b"250" not in client.rest()
    assert mailbox.events == []


def test_plaintext_behind_starttls_in_the_same_segment(adapter: str, server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, WITH_TLS, server_tls) as port, opened(port) as client:
        client.send(b"STARTTLS\r\nRSET\r\n")
        assert client.rest().startswith(b"554 5.5.1 ")
        assert mailbox.wait_for_end().reason is CloseReason.VIOLATION
    assert Rset() not in mailbox.events


def test_plaintext_behind_starttls_in_the_next_segment_is_the_handshakes(
    adapter: str, server_tls: TlsConfig
) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, WITH_TLS, server_tls) as port, opened(port) as client:
        assert client.say(b"STARTTLS").startswith(b"220 ")
        client.send(b"RSET\r\nNOOP\r\n")
        assert b"250" not in client.rest()
        assert mailbox.wait_for_end().reason is CloseReason.TLS_FAILED
    assert Rset() not in mailbox.events
    assert Noop() not in mailbox.events


def test_plaintext_that_comes_while_the_handler_waits_is_never_read_as_encrypted(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        return pause(adapter, 0.1) if isinstance(event, StartTls) else None

    mailbox = Mailbox(step)
    with serving(adapter, mailbox, WITH_TLS, server_tls) as port, opened(port) as client:
        client.send(b"STARTTLS\r\n")
        time.sleep(0.03)
        client.send(b"RSET\r\n")
        client.reply()
        with pytest.raises((ssl.SSLError, OSError)):
            client.start_tls(client_context)
        assert mailbox.wait_for_end().reason in (CloseReason.TLS_FAILED, CloseReason.VIOLATION)
    assert Rset() not in mailbox.events


def test_a_handler_that_waits_between_the_220_and_the_upgrade(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        if not isinstance(event, StartTls):
            return None
        session.conn.reply()
        return pause(adapter, 0.1)

    with serving(adapter, Mailbox(step), WITH_TLS, server_tls) as port, opened(port) as client:
        assert client.say(b"STARTTLS").startswith(b"220 ")
        client.start_tls(client_context)
        assert client.say(b"EHLO client.example.com").startswith(b"250-")


def test_garbage_for_a_client_hello(adapter: str, server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, WITH_TLS, server_tls) as port, opened(port) as client:
        client.say(b"STARTTLS")
        client.send(bytes(range(256)))
        client.rest()
        closed = mailbox.wait_for_end()
    assert closed.reason is CloseReason.TLS_FAILED
    assert closed.error


def test_a_connection_reset_in_the_handshake(adapter: str, server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, WITH_TLS, server_tls) as port:
        client = opened(port)
        client.say(b"STARTTLS")
        client.reset()
        assert mailbox.wait_for_end().reason in (CloseReason.TLS_FAILED, CloseReason.ABORTED)


@pytest.mark.parametrize("kept", [0, 50, None])
def test_each_connection_reset_before_its_session_is_told_and_leaves_nothing(
    adapter: str,
    kept: int | None,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once, in the ClientHello, or where the server's part of the handshake waits."""
    caplog.set_level(logging.INFO)
    layer = TlsLayer(TlsConfig(client_context), "localhost")
    assert layer.shake_hands() is None
    hello = layer.data_to_send()[:kept]
    config, count = ServerConfig.submissions("mx.example.org"), 30

    def told() -> int:
        words = [record.getMessage() for record in caplog.records]
        return sum("no session" in each or "lost before it began" in each for each in words)

    with serving(adapter, Mailbox(), config, server_tls) as port:
        for _ in range(count):
            lost = Dialogue(port)
            lost.send(hello)
            if kept is None:
                lost.sock.recv(1)
            lost.reset()
        with Dialogue(port) as client:
            client.start_tls(client_context)
            assert client.say(b"QUIT").startswith(b"220 ")
        waited = 0.0
        while told() < count and waited < PATIENCE:
            time.sleep(0.05)
            waited += 0.05
    assert told() == count


@pytest.mark.parametrize("header", [b"", b"PROXY TCP4 192.0.2.1 ", PROXY_V2 + b"\x21\x11\x01\0"])
@pytest.mark.parametrize("implicit", [False, True])
def test_a_proxy_header_without_an_end_is_timed_out(
    adapter: str, header: bytes, implicit: bool, server_tls: TlsConfig
) -> None:
    """However it dribbles: its time is that of the whole."""
    config = ServerConfig.submissions("mx.example.org") if implicit else RELAY
    config = replace(config, proxy=("127.0.0.1",), timeouts=Timeouts.all(0.3))
    tls = server_tls if implicit else None
    with serving(adapter, Mailbox(), config, tls) as port, Dialogue(port) as client:
        client.send(header)
        client.sock.settimeout(0.02)
        while True:
            try:
                client.send(b"1" * bool(header))
                said = client.sock.recv(100)
            except TimeoutError:
                continue
            except ConnectionError:
                said = b""
            break
    assert said == b"" or said.startswith(b"421 ")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_a_client_that_asks_for_another_handshake(adapter: str) -> None:
    """Even where a context allows what OpenSSL 3 refuses by itself: ``conn.tls`` stays true."""
    mailbox = Mailbox()
    context = certificate().server_context()
    context.options |= ssl.Options(ALLOW_CLIENT_RENEGOTIATION)
    config = ServerConfig.submissions("mx.example.org")
    with serving(adapter, mailbox, config, TlsConfig(context)) as port:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-crlf"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            while not client.stdout.readline().startswith(b"220 "):
                pass
            client.stdin.write(b"R\n")  # to s_client a command
            client.stdin.flush()
            closed = mailbox.wait_for_end()
            client.kill()
    assert closed.reason is CloseReason.ABORTED
    assert closed.error == "the peer asks for another handshake, which is refused"


def test_a_client_that_never_answers_close_notify(
    adapter: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, WITH_TLS, server_tls) as port, opened(port) as client:
        client.say(b"STARTTLS")
        client.start_tls(client_context)
        client.say(b"EHLO client.example.com")
        assert client.say(b"QUIT").startswith(b"221 ")
        # The socket stays open and silent; the server's end does not depend on it.
        assert mailbox.wait_for_end().reason is CloseReason.QUIT
        time.sleep(0.5)
        assert client.sock.recv(10) == b""


def test_a_handler_may_refuse_starttls(adapter: str, server_tls: TlsConfig) -> None:
    def step(session: Session, event: ServerEvent) -> None:
        if isinstance(event, StartTls):
            session.conn.reply(Reply(454, "Not now", "4.7.0"))

    with serving(adapter, Mailbox(step), WITH_TLS, server_tls) as port, opened(port) as client:
        client.send(b"STARTTLS\r\nNOOP\r\n")
        assert client.reply() == b"454 4.7.0 Not now\r\n"
        assert client.reply().startswith(b"250 ")


# -- the PROXY protocol in front of TLS


@pytest.mark.parametrize("version", [1, 2])
def test_a_proxy_header_in_front_of_tls(
    adapter: str, version: int, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    mailbox = Mailbox()
    config = replace(ServerConfig.submissions("mx.example.org"), proxy=frozenset({"127.0.0.1"}))
    header = ProxyHeader(
        version,
        ProxyCommand.PROXY,
        ProxyTransport.TCP4,
        ("192.0.2.1", 12345),
        ("198.51.100.1", 465),
    )
    with serving(adapter, mailbox, config, server_tls) as port, Dialogue(port) as client:
        client.send(format_proxy_header(header))
        client.start_tls(client_context)
        client.send(b"NOOP\r\n")  # it does not wait for the greeting
        assert client.reply().startswith(b"220 ")
        assert client.reply().startswith(b"250 ")
        assert client.say(b"QUIT").startswith(b"221 ")
        assert mailbox.wait_for_end().reason is CloseReason.QUIT
        peer = mailbox.sessions[0].conn.peer
    assert (peer.address, peer.port) == ("192.0.2.1", 12345)
    assert (peer.destination_address, peer.destination_port) == ("198.51.100.1", 465)
    assert peer.proxy == header


@pytest.mark.parametrize("trusted", ["127.0.0.1", "192.0.2.99"])
def test_without_an_acceptable_header_it_is_closed_without_a_word(
    adapter: str, trusted: str, server_tls: TlsConfig
) -> None:
    mailbox = Mailbox()
    config = replace(ServerConfig.submissions("mx.example.org"), proxy=frozenset({trusted}))
    with serving(adapter, mailbox, config, server_tls) as port, Dialogue(port) as client:
        client.send(b"EHLO client.example.com\r\n")
        assert client.rest() == b""
    assert mailbox.events == []


def test_a_silent_proxy_is_timed_out(adapter: str, server_tls: TlsConfig) -> None:
    config = replace(
        ServerConfig.submissions("mx.example.org"),
        proxy=frozenset({"127.0.0.1"}),
        timeouts=Timeouts(handshake=0.2),
    )
    with serving(adapter, Mailbox(), config, server_tls) as port, Dialogue(port) as client:
        client.send(b"PROXY TCP4 ")
        assert client.rest() == b""


def test_a_proxy_header_in_front_of_plaintext_is_the_engines(adapter: str) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, proxy=frozenset({"127.0.0.1"}))
    with serving(adapter, mailbox, config) as port, Dialogue(port) as client:
        client.send(b"PROXY TCP4 192.0.2.1 198.51.100.1 12345 25\r\n")
        assert client.reply().startswith(b"220 ")
        assert mailbox.sessions[0].conn.peer.address == "192.0.2.1"


# -- peers that misbehave


@pytest.mark.parametrize("length", [0, 3, 25, 60, 90, len(TRANSACTION)])
def test_a_reset_at_any_point_ends_one_session_only(adapter: str, length: int) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY) as port:
        client = Dialogue(port)
        client.send(TRANSACTION[:length])
        client.reset()
        mailbox.wait_for_end()
        with opened(port) as other:
            assert other.say(b"QUIT").startswith(b"221 ")
            mailbox.wait_for_end()
        assert len(mailbox.endings) == 2


def test_an_end_of_the_stream_in_the_body_is_no_message(adapter: str) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY) as port:
        with opened(port) as client:
            client.say(b"MAIL FROM:<a@example.com>")
            client.say(b"RCPT TO:<b@example.org>")
            client.say(b"DATA")
            client.send(b"half a mess")
        assert mailbox.wait_for_end().reason is CloseReason.EOF
    assert mailbox.messages == []
    assert any(isinstance(event, MessageAborted) for event in mailbox.events)


def test_a_slow_reader_of_our_replies_is_not_read_from(adapter: str) -> None:
    host = ".".join([RELAY.host, *["x" * 60] * 3])  # few replies fill what the kernel holds
    config = replace(RELAY, host=host, limits=Limits(junk=10**9))
    with serving(adapter, Mailbox(), config) as port, opened(port) as client:
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            client.sock.setsockopt(socket.SOL_SOCKET, buffer, 65536)
        client.sock.settimeout(0.3)
        block = (b"EHLO " + b"a." * 110 + b"example\r\n") * 250
        sent = 0
        for _ in range(2000):  # 100 MB, were they all taken
            try:
                sent += client.sock.send(block[sent % len(block) :])
            except TimeoutError:
                break
        else:
            pytest.fail("the server reads on although nobody reads its replies")
        client.sock.settimeout(10)
        reader = Thread(target=client.rest)  # now somebody does
        reader.start()
        client.send(block[sent % len(block) :])
        client.send(b"QUIT\r\n")
        reader.join()
        assert client.received.count(b"250 SIZE") == (sent // len(block) + 1) * 250
        assert client.received.endswith(b"221 2.0.0 Goodbye\r\n")


def test_a_client_that_says_nothing_is_timed_out(adapter: str) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, timeouts=Timeouts(command=0.2))
    with serving(adapter, mailbox, config) as port, opened(port) as client:
        assert client.reply() == b"421 4.4.2 Timeout\r\n"
        assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT


def test_a_session_has_its_time_however_busy_it_is(adapter: str) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, timeouts=Timeouts(session=0.4), limits=Limits(junk=10**9))
    with serving(adapter, mailbox, config) as port, opened(port) as client:
        while not (reply := client.say(b"VRFY b")).startswith(b"421 4.4.2 "):
            assert reply.startswith(b"252 ")
        assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT


def test_a_client_that_dribbles_is_timed_out(adapter: str) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, timeouts=Timeouts(command=0.3))
    with serving(adapter, mailbox, config) as port, opened(port) as client:
        client.sock.settimeout(0.01)
        octets = b""
        for _ in range(500):
            try:
                client.sock.send(b"x")
                octets += client.sock.recv(100)
            except TimeoutError:
                continue
            except OSError:
                break
            if octets:
                break
        assert octets.startswith(b"421 4.4.2 ")


def test_a_silent_handshake_is_timed_out(adapter: str, server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    config = replace(WITH_TLS, timeouts=Timeouts(handshake=0.2))
    with serving(adapter, mailbox, config, server_tls) as port, opened(port) as client:
        client.say(b"STARTTLS")
        assert client.rest() == b""
        assert mailbox.wait_for_end().reason in (CloseReason.TLS_FAILED, CloseReason.TIMEOUT)


def test_no_time_runs_while_a_handler_thinks(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        return pause(adapter, 0.4) if isinstance(event, Mail) else None

    config = replace(RELAY, timeouts=Timeouts(command=0.2))
    with serving(adapter, Mailbox(step), config) as port, opened(port) as client:
        assert client.say(b"MAIL FROM:<a@example.com>").startswith(b"250 ")


# -- the end


def test_shutdown_says_421_to_open_sessions(adapter: str) -> None:
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY) as port:
        clients = [opened(port) for _ in range(3)]
        clients[1].say(b"MAIL FROM:<a@example.com>")
    for client in clients:
        with client:
            assert client.rest() == b"421 4.3.2 Service shutting down\r\n"
    assert [closed.reason for closed in mailbox.endings] == [CloseReason.SHUTDOWN] * 3


def test_shutdown_lets_a_pending_question_be_answered(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        return pause(adapter, 0.3) if isinstance(event, Data) else None

    with serving(adapter, Mailbox(step), RELAY) as port:
        client = opened(port)
        client.say(b"MAIL FROM:<a@example.com>")
        client.say(b"RCPT TO:<b@example.org>")
        client.send(b"DATA\r\n")
        time.sleep(0.1)
    with client:
        assert client.reply().startswith(b"354 ")
        assert client.reply().startswith(b"421 ")


def test_shutdown_cuts_off_what_does_not_end(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        return pause(adapter, 1.0) if isinstance(event, Mail) else None

    with serving(adapter, Mailbox(step), RELAY, grace=0.1) as port:
        client = opened(port)
        client.send(b"MAIL FROM:<a@example.com>\r\n")
        time.sleep(0.1)
    with client:
        assert b"250" not in client.rest()


def test_a_session_may_be_closed_by_its_handler(adapter: str) -> None:
    def step(session: Session, event: ServerEvent) -> None:
        if isinstance(event, Mail):
            session.close()

    mailbox = Mailbox(step)
    with serving(adapter, mailbox, RELAY) as port, opened(port) as client:
        assert client.say(b"MAIL FROM:<a@example.com>") == b""
        assert mailbox.wait_for_end().reason is CloseReason.ABORTED


def test_a_thousand_idle_sessions(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (callbacks, serving_adapter):
        monkeypatch.setattr(module, "LINGER", 1.5)
    mailbox = Mailbox()
    with serving(adapter, mailbox, RELAY, grace=1.5) as port:
        clients = [Dialogue(port) for _ in range(1000)]
        for client in clients:
            assert client.reply().startswith(b"220 ")
        for client in clients[::100]:
            assert client.say(b"NOOP").startswith(b"250 ")
    for client in clients:
        with client:
            assert client.rest().startswith(b"421 ")
    assert len(mailbox.endings) == 1000


def test_events_come_strictly_one_after_another(adapter: str) -> None:
    running: list[ServerEvent] = []
    most = 0

    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        nonlocal most
        running.append(event)
        most = max(most, len(running))
        waiting = pause(adapter, 0.005)
        if waiting is None:
            running.clear()
            return None

        async def finish() -> None:
            await waiting
            running.clear()

        return finish()

    with serving(adapter, Mailbox(step), RELAY) as port, Dialogue(port) as client:
        client.reply()
        client.send(TRANSACTION)
        assert client.rest().endswith(b"221 2.0.0 Goodbye\r\n")
    assert most == 1


def test_replies_made_one_by_one_leave_whenever_the_handler_suspends(adapter: str) -> None:
    """RFC 2033 §5: each reply as soon as it is known."""

    def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
        if not isinstance(event, EndOfMessage):
            return None
        if adapter == "blocking":
            for _ in event.envelope.recipients:
                session.conn.reply(Reply(250, "Delivered"))
                session.flush()
                time.sleep(0.1)
            return None

        async def deliver() -> None:
            for _ in event.envelope.recipients:
                session.conn.reply(Reply(250, "Delivered"))
                waiting = pause(adapter, 0.1)
                assert waiting is not None
                await waiting

        return deliver()

    with (
        serving(adapter, Mailbox(step), ServerConfig.lmtp("mx.example.org")) as port,
        Dialogue(port) as client,
    ):
        client.reply()
        client.say(b"LHLO client.example.com")
        client.say(b"MAIL FROM:<a@example.com>")
        client.say(b"RCPT TO:<b@example.org>")
        client.say(b"RCPT TO:<c@example.org>")
        client.say(b"DATA")
        client.send(b"text\r\n.\r\n")
        arrivals = []
        for _ in range(2):
            assert client.reply() == b"250 2.0.0 Delivered\r\n"
            arrivals.append(client.received)
    assert arrivals == [b"", b""]  # they came in two pieces


def test_a_server_without_a_certificate_is_refused() -> None:
    for config in (WITH_TLS, ServerConfig.submissions("mx.example.org")):
        with pytest.raises(ValueError, match="TlsConfig"):
            blocking.start_server(Mailbox(), config, "127.0.0.1", 0)


def test_every_adapter_is_here() -> None:
    assert {"blocking", "asyncio", "trio"} <= set(SERVERS)
    assert all(one != other for one, other in pairwise(SERVERS))
