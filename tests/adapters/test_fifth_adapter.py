"""An adapter written from the contract alone: flush at every Need, then do what it names."""

import ssl
from collections.abc import Callable
from math import inf
from socket import SHUT_WR, socket
from time import monotonic
from typing import Final

from tests.adapters.handlers import Mailbox
from tests.adapters.servers import Dialogue

from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import CloseReason
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.wire.value import replace

RFC_5321: Final = Timeouts()


class FifthAdapter:
    """Serves one connection, with STARTTLS and time-outs, over two callables."""

    def __init__(
        self, sock: socket, mailbox: Mailbox, tls: TlsConfig, timeouts: Timeouts = RFC_5321
    ) -> None:
        self.sock, self.tls = sock, tls
        self.receive: Callable[[int], bytes] = sock.recv
        self.send: Callable[[bytes], object] = sock.sendall
        config = replace(ServerConfig.relay("mx.example.org"), starttls=True, timeouts=timeouts)
        self.conn = ServerConnection(config)
        self.session_end = monotonic() + (self.conn.session_timeout or inf)
        self.handler = mailbox(self)

    def flush(self) -> None:
        if octets := self.conn.data_to_send():
            self.send(octets)

    def close(self) -> None:
        self.conn.abort()

    def run(self) -> None:
        while (item := self.conn.next_event()) is not Need.CLOSE:
            if not isinstance(item, Need):
                self.handler(item)
                continue
            self.flush()
            if item is Need.DATA:
                self.read()
            elif item is Need.TLS:
                layer = MemoryTls(self.receive, self.send, self.tls)
                try:
                    self.conn.tls_started(layer.shake_hands())
                except ssl.SSLError as error:
                    self.conn.tls_failed(str(error))
                self.receive, self.send = layer.receive, layer.send
        self.flush()
        self.sock.shutdown(SHUT_WR)

    def read(self) -> None:
        timeout = self.conn.timeout
        seconds, session = timeout.seconds if timeout else inf, self.session_end - monotonic()
        try:
            self.sock.settimeout(max(min(seconds, session), 0.001))
            self.conn.receive_data(self.receive(65536))
        except TimeoutError:
            self.conn.timed_out() if seconds < session else self.conn.session_timed_out()


def test_a_session_with_tls(server_tls: TlsConfig, client_context: ssl.SSLContext) -> None:
    from socket import create_server
    from threading import Thread

    mailbox = Mailbox()
    with create_server(("127.0.0.1", 0)) as listener, Dialogue(listener.getsockname()[1]) as client:
        sock, _ = listener.accept()
        thread = Thread(target=FifthAdapter(sock, mailbox, server_tls).run)
        thread.start()
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
        thread.join(10)
        sock.close()
    assert mailbox.messages == [b"text\r\n"]
    assert mailbox.wait_for_end().reason is CloseReason.QUIT


def test_a_session_that_lasts_too_long(server_tls: TlsConfig) -> None:
    from socket import create_server
    from threading import Thread

    mailbox = Mailbox()
    with create_server(("127.0.0.1", 0)) as listener, Dialogue(listener.getsockname()[1]) as client:
        sock, _ = listener.accept()
        adapter = FifthAdapter(sock, mailbox, server_tls, Timeouts(session=0.2))
        thread = Thread(target=adapter.run)
        thread.start()
        assert client.reply().startswith(b"220 ")
        assert client.reply() == b"421 4.4.2 Timeout\r\n"
        thread.join(10)
        sock.close()
    assert mailbox.wait_for_end().reason is CloseReason.TIMEOUT


def test_it_is_short() -> None:
    import inspect

    lines = inspect.getsource(FifthAdapter).splitlines()
    assert len([line for line in lines if line.strip()]) < 55
