"""Each line of the log names the peer, whatever happens to it, on every adapter."""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest
from tests.adapters.handlers import Mailbox
from tests.adapters.loops import LOOPS
from tests.adapters.servers import PATIENCE, SERVERS, Dialogue, serving

from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters.serving import StreamSession
from smtpwire.adapters.session import Handler, Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Closed, Connected, EndOfMessage, ServerEvent
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.service import Application
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
STARTTLS = replace(RELAY, starttls=True)
SUBMISSIONS = ServerConfig.submissions("mx.example.org")


@pytest.fixture(autouse=True)
def all_of_it(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "smtpwire"):
        yield


def raises(session: Session) -> Handler:
    def handle(event: ServerEvent) -> None:
        if not isinstance(event, Closed):
            raise ZeroDivisionError

    return handle


def leaves(session: Session) -> Handler:
    return lambda event: None


def no_factory(session: Session) -> Handler:
    raise ZeroDivisionError


def too_late(session: Session) -> Handler:
    def handle(event: ServerEvent) -> None:
        if isinstance(event, Connected):
            session.close()
            session.conn.reply()

    return handle


def say(*lines: bytes) -> Callable[[Dialogue], None]:
    def talk(client: Dialogue) -> None:
        for line in lines:
            client.send(line + b"\r\n")
        client.rest()

    return talk


def half_a_handshake(client: Dialogue) -> None:
    client.send(b"\x16\x03\x01")
    client.sock.shutdown(socket.SHUT_WR)
    client.rest()


class Case(NamedTuple):
    """What happens, and what is logged of it behind the peer's name."""

    session: Application
    config: ServerConfig
    talk: Callable[[Dialogue], None]
    logged: str


CASES = {
    "a handler raises": Case(raises, RELAY, say(b"QUIT"), "handler failed at"),
    "a handler leaves a question": Case(leaves, RELAY, say(b"QUIT"), "handler left"),
    "no handler": Case(no_factory, RELAY, say(), "no handler could be made"),
    "a handler answers too late": Case(too_late, RELAY, say(), "the connection ended before"),
    "no TLS": Case(Mailbox(), SUBMISSIONS, say(b"EHLO c.example"), "no session: "),
    "half a handshake": Case(Mailbox(), SUBMISSIONS, half_a_handshake, "no session: "),
}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "smtpwire"]


@pytest.mark.parametrize("name", CASES)
def test_what_goes_wrong_in_a_session(
    adapter: str, name: str, server_tls: TlsConfig, caplog: pytest.LogCaptureFixture
) -> None:
    case = CASES[name]
    with (
        serving(adapter, case.session, case.config, server_tls) as port,
        Dialogue(port) as client,
    ):
        peer = f"127.0.0.1:{client.sock.getsockname()[1]}: "
        case.talk(client)
    assert [line for line in told(caplog) if line.startswith(peer + case.logged)]
    assert [line for line in told(caplog) if not line.startswith(peer)] == []


def test_one_connection_too_many(adapter: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        serving(adapter, Mailbox(), RELAY, max_connections=1) as port,
        Dialogue(port) as first,
        Dialogue(port) as second,
    ):
        first.reply()
        second.rest()
        peer = f"127.0.0.1:{second.sock.getsockname()[1]}"
    assert told(caplog) == [f"{peer} refused: too many connections"]


def no_bindings(tls: object) -> dict[str, bytes]:
    raise ZeroDivisionError


def test_channel_bindings_that_fail_on_a_server(
    adapter: str,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tls = TlsConfig(server_tls.context, bindings=no_bindings)
    with serving(adapter, Mailbox(), SUBMISSIONS, tls) as port, Dialogue(port) as client:
        peer = f"127.0.0.1:{client.sock.getsockname()[1]}"
        client.start_tls(client_context)
        assert client.reply().startswith(b"220 ")
    assert told(caplog) == [f"{peer}: TlsConfig.bindings failed"]


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
@pytest.mark.parametrize("name", LOOPS)
def test_channel_bindings_that_fail_on_a_client(
    name: str,
    security: Security,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, tls = LOOPS[name], TlsConfig(client_context, bindings=no_bindings)
    config = ClientConfig("client.example.com", host="localhost", security=security)

    async def main() -> None:
        client = await loop.connect("127.0.0.1", port, config, tls=tls)
        await client.open_session()
        await client.quit()

    service = STARTTLS if security is Security.STARTTLS else SUBMISSIONS
    with serving("blocking", Mailbox(), service, server_tls) as port:
        loop.run(main)
    assert told(caplog) == [f"127.0.0.1:{port}: TlsConfig.bindings failed"]


@pytest.mark.parametrize("name", sorted({*LOOPS} - {"blocking"}))
def test_content_that_fails_when_it_is_closed(name: str, caplog: pytest.LogCaptureFixture) -> None:
    loop = LOOPS[name]

    async def content() -> AsyncIterator[bytes]:
        try:
            yield b"text\r\n"
        finally:
            raise ZeroDivisionError

    async def main() -> None:
        client = await loop.connect("127.0.0.1", port)
        await client.open_session()
        chunks = content()
        await anext(chunks)  # it has begun, and is not read: nobody is accepted
        await client.send_mail("a@b.example", ["nobody@d.example"], chunks)
        await client.quit()

    with serving("blocking", Mailbox(), RELAY) as port:
        loop.run(main)
    line = f"127.0.0.1:{port}: the content of a message failed when it was closed"
    assert told(caplog) == [line]


@pytest.mark.parametrize("name", sorted({*SERVERS} & {"asyncio", "uvloop"}))
def test_who_is_lost_before_the_loop_has_a_transport(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        server = await asyncio_adapter.start_server(Mailbox(), RELAY, "127.0.0.1", 0)
        async with server:
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                peers.append(client.getsockname()[1])
                while not told(caplog):
                    await asyncio.sleep(0.01)

    async def lost(loop: object, *_: object, **__: object) -> None:
        raise ConnectionResetError("gone")

    peers: list[int] = []
    base: Any = asyncio.SelectorEventLoop
    if name == "uvloop":
        import uvloop

        base = uvloop.Loop
    made = type("Loop", (base,), {"connect_accepted_socket": lost})
    with asyncio.Runner(loop_factory=made) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))
    assert told(caplog) == [f"127.0.0.1:{peers[0]}: no session: gone"]


@pytest.mark.parametrize("name", ["blocking", "trio"])
def test_a_session_that_fails_in_its_adapter(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(session: StreamSession) -> None:
        await session._transport.close()
        raise ZeroDivisionError

    monkeypatch.setattr(StreamSession, "_run", broken)
    with serving(name, Mailbox(), RELAY) as port, Dialogue(port) as client:
        peer = f"127.0.0.1:{client.sock.getsockname()[1]}"
        while not told(caplog):
            time.sleep(0.01)
    assert told(caplog) == [f"{peer}: the session failed"]


# -- a log that fails itself


class Trouble(Exception):
    """What nothing but a handler or a filter of the log raises here."""


class Failing(logging.Handler):
    """One that keeps to no rule: what it raises comes out of ``logger.error()``."""

    def emit(self, record: logging.LogRecord) -> None:
        raise Trouble(record.getMessage())


class FailingFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise Trouble(record.getMessage())


@pytest.fixture(params=["handler", "filter"])
def failing_log(request: pytest.FixtureRequest) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("smtpwire", "fifth")]
    handler, refusing = Failing(), FailingFilter()
    for logger in loggers:
        if request.param == "handler":
            logger.addHandler(handler)
        else:
            logger.addFilter(refusing)
    yield
    for logger in loggers:
        logger.removeHandler(handler)
        logger.removeFilter(refusing)


def fails_at_the_end(mailbox: Mailbox) -> Application:
    def factory(session: Session) -> Handler:
        note = mailbox(session)

        def handle(event: ServerEvent) -> None:
            if isinstance(event, EndOfMessage):
                raise ZeroDivisionError
            note(event)

        return handle

    return factory


LETTER = (b"EHLO c.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"DATA", b"x")


@pytest.mark.usefixtures("failing_log")
def test_a_log_that_fails_ends_no_session(adapter: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The library's own handlers show what they raise, and so is this."""
    mailbox = Mailbox()
    with (
        serving(adapter, fails_at_the_end(mailbox), RELAY) as port,
        Dialogue(port) as other,
        Dialogue(port) as client,
    ):
        other.reply()
        client.reply()
        for line in LETTER[:-1]:
            client.say(line)
        client.send(LETTER[-1] + b"\r\n")
        assert client.say(b".").startswith(b"451 ")
        assert client.say(b"QUIT").startswith(b"221 ")
        assert other.say(b"NOOP").startswith(b"250 ")
    assert len(mailbox.endings) == 2
    assert "Trouble: 127.0.0.1:" in capsys.readouterr().err


@pytest.mark.usefixtures("failing_log")
def test_a_log_that_fails_ends_no_server(adapter: str) -> None:
    """What a server logs where no session is, or none yet."""
    with serving(adapter, Mailbox(), RELAY, max_connections=1) as port, Dialogue(port) as first:
        first.reply()
        with Dialogue(port) as refused:
            assert refused.rest() == b"421 Too many connections\r\n"
        assert first.say(b"NOOP").startswith(b"250 ")


@pytest.mark.usefixtures("failing_log")
def test_where_no_handler_can_be_made_the_peer_is_told_by_whatever_log(adapter: str) -> None:
    with serving(adapter, no_factory, RELAY) as port, Dialogue(port) as client:
        assert client.rest().startswith(b"421 ")


@pytest.mark.usefixtures("failing_log")
def test_a_log_that_fails_leaves_no_socket_open(adapter: str, server_tls: TlsConfig) -> None:
    with serving(adapter, Mailbox(), SUBMISSIONS, server_tls) as port, Dialogue(port) as client:
        half_a_handshake(client)


@pytest.mark.usefixtures("failing_log")
def test_the_handler_is_told_of_the_end_where_the_log_of_another_adapter_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda lost: None)
    mailbox = Mailbox()
    with (
        serving("fifth", fails_at_the_end(mailbox), RELAY) as port,
        Dialogue(port) as client,
    ):
        client.send(b"".join(line + b"\r\n" for line in (*LETTER, b".")))
        assert b"250 2.0.0" not in client.rest().split(b"354 ")[-1]
        mailbox.wait_for_end()
    assert len(mailbox.endings) == 1
