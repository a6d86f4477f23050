"""What every adapter's client does at a real socket, with real TLS."""

import ssl
import time
from collections.abc import Iterator

import pytest
from tests.adapters.clients import CLIENTS, Go, Letter, Script, scripted
from tests.adapters.handlers import Mailbox
from tests.adapters.servers import serving
from tests.memory import traced_memory

from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import BodyChunk, CloseReason, MessageAborted
from smtpwire.engine.limits import Limits
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.operations import (
    ConnectionLost,
    LoginFailed,
    SendOptions,
    ServiceRefused,
    TlsFailed,
    TlsRequired,
)
from smtpwire.sasl import Password
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
WITH_TLS = replace(
    RELAY,
    starttls=True,
    mechanisms=("SCRAM-SHA-256", "PLAIN"),
    scram_secret=b"shared by all processes",
)
NOBODY = ClientConfig("client.example.com")
MESSAGE = b"Subject: x\r\n\r\n.dot\r\n.\r\n"


@pytest.fixture(params=CLIENTS)
def go(request: pytest.FixtureRequest) -> Go:
    return CLIENTS[request.param]


@pytest.fixture
def client_tls(client_context: ssl.SSLContext) -> TlsConfig:
    return TlsConfig(client_context)


# -- ordinary sessions


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("security", list(Security))
def test_a_session_with_every_adapter_at_either_end(
    adapter: str,
    go: Go,
    security: Security,
    chunking: bool,
    server_tls: TlsConfig,
    client_tls: TlsConfig,
) -> None:
    mailbox = Mailbox()
    implicit = security is Security.IMPLICIT
    config = ServerConfig.submissions("mx.example.org") if implicit else WITH_TLS
    letters = [
        Letter(MESSAGE, ("b@example.org", "nobody@example.org"), options={"chunking": chunking}),
        Letter(lambda: (MESSAGE[:17], MESSAGE[17:]), options={"chunking": chunking}),
    ]
    with serving(adapter, mailbox, config, server_tls) as port:
        visit = go(
            port,
            replace(NOBODY, security=security),
            letters,
            tls=None if security is Security.NONE else client_tls,
            credentials=Password("user", "secret"),
        )
        assert mailbox.wait_for_end().reason is CloseReason.QUIT
    first, second = visit.results
    assert [item.outcome for item in first.recipients] == [Disposition.DONE, Disposition.PERMANENT]
    assert [item.outcome for item in second.recipients] == [Disposition.DONE]
    assert mailbox.messages == [MESSAGE, MESSAGE]
    assert (visit.conn.tls is None) is (security is Security.NONE)
    if visit.conn.tls is not None:
        assert visit.conn.tls.verified
        assert visit.conn.tls.peer is not None
        assert "localhost" in visit.conn.tls.peer.names
        assert "tls-server-end-point" in visit.conn.tls.bindings


@pytest.mark.parametrize("chunking", [False, True])
def test_fifty_mebibytes_from_an_iterable_in_constant_memory(go: Go, chunking: bool) -> None:
    size = 50 * 1024 * 1024
    line = b"x" * 76 + b"\r\n"
    chunk = line * 800
    count = size // len(chunk)

    def chunks() -> Iterator[bytes]:
        for _ in range(count):
            yield chunk

    received = 0

    def session(session: object) -> object:
        from tests.adapters.handlers import answer

        def handle(event: object) -> None:
            nonlocal received
            if isinstance(event, BodyChunk):
                received += len(event.data)
            answer(session, event)  # type: ignore[arg-type]

        return handle

    options = SendOptions(size=count * len(chunk), chunking=chunking)
    with serving("asyncio", session, RELAY) as port:  # type: ignore[arg-type]
        go(port, NOBODY, [Letter()])  # what is loaded at first use is no part of it
        received = 0
        with traced_memory() as memory:
            visit = go(port, NOBODY, [Letter(chunks, options=options)])
            _, peak = memory()
    assert [item.outcome for item in visit.results[0].recipients] == [Disposition.DONE]
    assert received == count * len(chunk)
    assert peak < 6 * 1024 * 1024


def test_five_thousand_recipients_do_not_deadlock(go: Go) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, limits=Limits(recipients=5000))
    recipients = tuple(f"user{number}@example.org" for number in range(5000))
    with serving("blocking", mailbox, config) as port:
        visit = go(port, NOBODY, [Letter(recipients=recipients)])
    assert len(visit.results[0].accepted) == 5000
    assert len(mailbox.messages) == 1


# -- STARTTLS


def test_plaintext_behind_the_220_in_the_same_segment(go: Go, client_tls: TlsConfig) -> None:
    def play(server: Script) -> None:
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"EHLO")
        server.send(b"250-mx.example.org\r\n250 STARTTLS\r\n")
        server.expect(b"STARTTLS")
        server.send(b"220 Go ahead\r\n250-mx.example.org\r\n250 AUTH PLAIN\r\n")
        assert server.rest() == b""

    with scripted(play) as port, pytest.raises(ConnectionLost):
        go(port, replace(NOBODY, security=Security.STARTTLS), [], tls=client_tls)


def test_plaintext_behind_the_220_in_the_next_segment(go: Go, client_tls: TlsConfig) -> None:
    def play(server: Script) -> None:
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"EHLO")
        server.send(b"250-mx.example.org\r\n250 STARTTLS\r\n")
        server.expect(b"STARTTLS")
        server.send(b"220 Go ahead\r\n")
        time.sleep(0.05)
        server.send(b"250-mx.example.org\r\n250 AUTH PLAIN\r\n")
        assert b"AUTH" not in server.rest()

    with scripted(play) as port, pytest.raises(TlsFailed):
        go(
            port,
            replace(NOBODY, security=Security.STARTTLS),
            [],
            tls=client_tls,
            credentials=Password("user", "secret"),
        )


def test_an_untrusted_certificate(go: Go, server_tls: TlsConfig) -> None:
    strangers = TlsConfig(ssl.create_default_context())
    with (
        serving("blocking", Mailbox(), WITH_TLS, server_tls) as port,
        pytest.raises(TlsFailed, match=r"(?i)certificate"),
    ):
        go(port, replace(NOBODY, security=Security.STARTTLS), [], tls=strangers)


def test_an_untrusted_certificate_from_the_first_octet(go: Go, server_tls: TlsConfig) -> None:
    config = ServerConfig.submissions("mx.example.org")
    strangers = TlsConfig(ssl.create_default_context())
    with (
        serving("blocking", Mailbox(), config, server_tls) as port,
        pytest.raises(TlsFailed, match=r"(?i)certificate"),
    ):
        go(port, replace(NOBODY, security=Security.IMPLICIT), [], tls=strangers)


def test_opportunistic_tls_is_not_verified_by_default(go: Go, server_tls: TlsConfig) -> None:
    with serving("blocking", Mailbox(), WITH_TLS, server_tls) as port:
        visit = go(port, replace(NOBODY, security=Security.OPPORTUNISTIC), [Letter()])
    assert visit.conn.tls is not None
    assert not visit.conn.tls.verified
    assert visit.conn.tls.peer is None


def test_required_tls_that_is_not_offered(go: Go, client_tls: TlsConfig) -> None:
    with serving("blocking", Mailbox(), RELAY) as port, pytest.raises(TlsRequired):
        go(port, replace(NOBODY, security=Security.STARTTLS), [Letter()], tls=client_tls)


# -- servers that misbehave


def test_a_wrong_password(go: Go, server_tls: TlsConfig, client_tls: TlsConfig) -> None:
    with (
        serving("blocking", Mailbox(), WITH_TLS, server_tls) as port,
        pytest.raises(LoginFailed) as raised,
    ):
        go(
            port,
            replace(NOBODY, security=Security.STARTTLS),
            [],
            tls=client_tls,
            credentials=Password("user", "wrong"),
        )
    assert raised.value.reply is not None
    assert raised.value.reply.code == 535
    assert "wrong" not in str(raised.value)


def test_a_refused_greeting(go: Go) -> None:
    def play(server: Script) -> None:
        server.send(b"554 5.7.1 Not for you\r\n")
        assert server.rest() == b""  # it goes at once

    with scripted(play) as port, pytest.raises(ServiceRefused) as raised:
        go(port, NOBODY, [])
    assert raised.value.reply is not None
    assert raised.value.reply.code == 554


def test_a_connection_reset(go: Go) -> None:
    def play(server: Script) -> None:
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"EHLO")
        server.reset()

    with scripted(play) as port, pytest.raises(ConnectionLost):
        go(port, NOBODY, [])


def test_a_server_that_falls_silent(go: Go) -> None:
    def play(server: Script) -> None:
        server.send(b"220 mx.example.org\r\n")
        assert server.rest().startswith(b"EHLO")

    config = replace(NOBODY, timeouts=Timeouts(command=0.2))
    with scripted(play) as port, pytest.raises(ConnectionLost):
        go(port, config, [])


def test_a_421_is_found_although_writing_fails(go: Go) -> None:
    """The server has had enough in the middle of the body, says so and goes."""

    def play(server: Script) -> None:
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"EHLO")
        server.send(b"250 mx.example.org\r\n")
        for verb, reply in ((b"VRFY", b"252"), (b"RSET", b"250")):
            server.expect(verb)
            server.send(reply + b" ok\r\n")
        for verb, reply in ((b"MAIL", b"250"), (b"RCPT", b"250"), (b"DATA", b"354")):
            server.expect(verb)
            server.send(reply + b" ok\r\n")
        server.expect(b"Subject")
        server.send(b"421 4.3.2 Going down\r\n")

    def chunks() -> Iterator[bytes]:
        yield b"Subject: x\r\n\r\n"
        time.sleep(0.2)
        for _ in range(400):
            yield (b"x" * 76 + b"\r\n") * 1000

    with scripted(play) as port:
        (result,) = go(port, NOBODY, [Letter(chunks)]).results
    (recipient,) = result.recipients
    assert recipient.outcome is Disposition.RETRY
    assert recipient.reply is not None
    assert recipient.reply.code == 421


def test_content_that_raises_is_never_taken_for_complete(go: Go) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"Subject: x\r\n\r\nhalf a mess"
        raise ZeroDivisionError

    for chunking in (False, True):
        mailbox = Mailbox()
        with serving("blocking", mailbox, RELAY) as port:
            with pytest.raises(ZeroDivisionError):
                go(port, NOBODY, [Letter(chunks, options={"chunking": chunking})])
            mailbox.wait_for_end()
        assert mailbox.messages == []
        assert any(isinstance(event, MessageAborted) for event in mailbox.events) or chunking
