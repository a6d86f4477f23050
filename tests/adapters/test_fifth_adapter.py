"""An adapter written from the contract alone: flush at every Need, then do what it names."""

import inspect
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SO_RCVBUF, SOL_SOCKET, create_server, socket
from threading import Thread

from tests.adapters.fifth import RELAY, FifthAdapter
from tests.adapters.handlers import Mailbox
from tests.adapters.servers import Dialogue

from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import CloseReason
from smtpwire.engine.limits import Limits
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.wire.value import replace


@contextmanager
def served(mailbox: Mailbox, tls: TlsConfig, config: ServerConfig = RELAY) -> Iterator[int]:
    """Serves one connection; the port."""
    with create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                FifthAdapter(sock, mailbox, tls, config).run()

        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(60)
        assert not thread.is_alive()


def test_a_session_with_tls(server_tls: TlsConfig, client_context: ssl.SSLContext) -> None:
    mailbox = Mailbox()
    with served(mailbox, server_tls) as port, Dialogue(port) as client:
        assert client.reply().startswith(b"220 ")
        client.say(b"EHLO client.example.com")
        assert client.say(b"STARTTLS").startswith(b"220 ")
        client.start_tls(client_context)
        client.say(b"EHLO client.example.com")
        client.say(b"MAIL FROM:<a@example.com>")
        client.say(b"RCPT TO:<b@example.org>")
        client.say(b"DATA")
        assert client.say(b"text\r\n.").startswith(b"250 ")
        assert client.say(b"QUIT").startswith(b"221 ")
    assert mailbox.messages == [b"text\r\n"]
    assert mailbox.wait_for_end().reason is CloseReason.QUIT


def test_a_session_that_lasts_too_long(server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, timeouts=Timeouts(session=0.2))
    with served(mailbox, server_tls, config) as port, Dialogue(port) as client:
        assert client.reply().startswith(b"220 ")
        assert client.reply() == b"421 4.4.2 Timeout\r\n"
    assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT


def test_octets_that_are_no_command_buy_no_time(server_tls: TlsConfig) -> None:
    """Contract 5: the timer starts anew only where ``conn.timeout`` differs."""
    mailbox = Mailbox()
    config = replace(RELAY, timeouts=Timeouts(command=0.4))
    with served(mailbox, server_tls, config) as port, Dialogue(port) as client:
        client.reply()
        client.sock.settimeout(0.1)
        told = b""
        for _ in range(50):  # a line that never ends
            with suppress(TimeoutError):
                client.send(b"N")
                told = client.sock.recv(1000)
                break
        assert told.startswith(b"421 4.4.2 ")
    assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT


def test_a_peer_that_stalls_in_the_handshake(server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, timeouts=Timeouts(handshake=0.2))
    with served(mailbox, server_tls, config) as port, Dialogue(port) as client:
        client.reply()
        client.say(b"EHLO client.example.com")
        assert client.say(b"STARTTLS").startswith(b"220 ")
        assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT


def test_a_peer_that_does_not_read(server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    config = replace(RELAY, timeouts=Timeouts(command=0.2), limits=Limits(junk=10**6))
    with served(mailbox, server_tls, config) as port, socket() as client:
        client.setsockopt(SOL_SOCKET, SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", port))
        client.settimeout(0.2)
        with suppress(OSError):
            while True:
                client.sendall(b"EHLO client.example.com\r\n" * 1000)
        assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT


def test_a_peer_that_is_gone(server_tls: TlsConfig) -> None:
    mailbox = Mailbox()
    with served(mailbox, server_tls) as port:
        client = Dialogue(port)
        client.reply()
        client.reset()
    assert mailbox.wait_for_end().reason is CloseReason.ABORTED


def test_it_is_short() -> None:
    lines = inspect.getsource(FifthAdapter).splitlines()
    assert len([line for line in lines if line.strip()]) < 150
