"""What only the adapter for plain sockets has."""

import time

import pytest
from tests.adapters.clients import Script, scripted
from tests.adapters.handlers import Mailbox
from tests.adapters.servers import Dialogue, serving

from smtpwire.adapters import blocking
from smtpwire.adapters.serving import now
from smtpwire.adapters.session import Handler, Session
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.wire.value import Request

RELAY = ServerConfig.relay("mx.example.org")
NOBODY = ClientConfig("client.example.com")


def greeted(server: Script) -> None:
    server.send(b"220 mx.example.org\r\n")
    server.expect(b"EHLO")
    server.send(b"250 mx.example.org\r\n")


def test_an_idle_session_is_of_use_until_the_server_says_otherwise() -> None:
    def play(server: Script) -> None:
        greeted(server)
        server.expect(b"RSET")
        server.send(b"250 ok\r\n")
        server.expect(b"NOOP is sent by hand")
        server.send(b"421 4.3.2 I have to go\r\n")

    with scripted(play) as port:
        client = blocking.connect("127.0.0.1", port, NOBODY)
        client.open_session()
        assert client.poll()
        client.reset()
        assert client.poll()
        now(client._inner._stream.transport.send(b"NOOP is sent by hand\r\n", 1))
        for _ in range(500):
            if not client.poll():
                break
            time.sleep(0.01)
        assert not client.poll()
        assert client.conn.state is State.CLOSED
        client.close()


def test_an_idle_session_that_was_closed_or_reset_is_of_no_use() -> None:
    for end in (Script.reset, lambda server: server.sock.close()):

        def play(server: Script, end: object = end) -> None:
            greeted(server)
            assert callable(end)
            end(server)

        with scripted(play) as port:
            client = blocking.connect("127.0.0.1", port, NOBODY)
            client.open_session()
            for _ in range(500):
                if not client.poll():
                    break
                time.sleep(0.01)
            assert not client.poll()
            client.close()


def test_an_asynchronous_handler_that_never_suspends_will_do() -> None:
    def session(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            if isinstance(event, Request):
                session.conn.reply()

        return handle

    with serving("blocking", session, RELAY) as port, Dialogue(port) as client:
        assert client.reply().startswith(b"220 ")
        assert client.say(b"NOOP").startswith(b"250 ")


def test_one_that_suspends_is_told_that_there_is_no_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from types import coroutine

    @coroutine
    def suspended() -> object:
        yield

    def session(session: Session) -> Handler:
        async def handle(event: ServerEvent) -> None:
            await suspended()

        return handle

    with serving("blocking", session, RELAY) as port, Dialogue(port) as client:
        assert client.reply().startswith(b"451 ")
    assert "no loop" in caplog.text


def test_ctrl_c_in_a_handler_is_not_swallowed() -> None:
    import socket

    def session(session: Session) -> Handler:
        def handle(event: ServerEvent) -> None:
            if isinstance(event, Request):
                raise KeyboardInterrupt

        return handle

    near, far = socket.socketpair()
    with near, far:
        served = blocking.ServerSession(far, session, RELAY)
        with pytest.raises(KeyboardInterrupt):
            served.run()
        assert served.conn.state is State.CLOSED


def test_ctrl_c_in_a_client_ends_its_session() -> None:
    def chunks() -> object:
        yield b"text\r\n"
        raise KeyboardInterrupt

    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        client = blocking.connect("127.0.0.1", port, NOBODY)
        client.open_session()
        with pytest.raises(KeyboardInterrupt):
            client.send_mail("a@b.example", ["c@d.example"], chunks())  # type: ignore[arg-type]
        assert client.conn.state is State.CLOSED
        mailbox.wait_for_end()
    assert mailbox.messages == []
