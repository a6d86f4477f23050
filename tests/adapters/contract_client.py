"""A client written from the engine's README alone, in some sixty lines."""

import socket
import ssl
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout
from smtpwire.operations import Operation, SendResult, open_session, quit, send_mail, verify
from smtpwire.wire.reply import Reply

__all__ = ["ContractClient"]

R = TypeVar("R")


class ContractClient:
    """Flush at every Need, then do what it names, in the time that ``conn.timeout`` gives."""

    def __init__(self, host: str, port: int, config: ClientConfig, *, tls: ssl.SSLContext) -> None:
        self.sock = socket.create_connection((host, port))
        self.receive, self.send = self.receive_in_time, self.send_in_time
        self.tls, self.name = tls, config.host
        self.timeout: Timeout | None = Timeout(config.timeouts.handshake, -1)
        self.end = monotonic() + config.timeouts.handshake
        self.conn = ClientConnection(config)
        if config.security is Security.IMPLICIT:
            self.conn = ClientConnection(config, tls=self.shake_hands().shake_hands())

    def shake_hands(self) -> MemoryTls:
        layer = MemoryTls(self.receive_in_time, self.send_in_time, self.tls, server_name=self.name)
        self.receive, self.send = layer.receive, layer.send
        return layer

    def receive_in_time(self, size: int) -> bytes:
        self.limit()
        return self.sock.recv(size)

    def send_in_time(self, octets: bytes) -> None:
        self.limit()
        self.sock.sendall(octets)

    def limit(self) -> None:
        left = self.end - monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)

    def watch(self) -> None:
        """Start the timer anew whenever ``conn.timeout`` differs from the value before."""
        if self.conn.timeout not in (None, self.timeout):
            self.timeout = self.conn.timeout
            self.end = monotonic() + (self.timeout.seconds if self.timeout else 0)

    def act(self, need: Need) -> None:
        try:
            if octets := self.conn.data_to_send():
                self.watch()
                self.send(octets)
            self.watch()
            if need is Need.DATA and self.conn.wants_data:
                self.conn.receive_data(self.receive(65536))
            elif need is Need.TLS:
                self.conn.tls_started(self.shake_hands().shake_hands())
        except TimeoutError:
            self.conn.timed_out()
        except OSError as error:
            self.conn.abort(str(error))

    def run(self, operation: Operation[R]) -> R:
        try:
            while True:
                self.act(next(operation))
        except StopIteration as stop:
            result: R = stop.value
            return result
        finally:
            if self.conn.state is State.CLOSED:
                self.close()

    def open_session(self) -> None:
        self.run(open_session(self.conn))

    def send_mail(self, sender: str, recipients: list[str], content: bytes) -> SendResult:
        return self.run(send_mail(self.conn, sender, recipients, content))

    def verify(self, argument: str) -> Reply:
        return self.run(verify(self.conn, argument))

    def close(self) -> None:
        self.conn.abort()
        with suppress(OSError):
            self.sock.close()

    def __enter__(self) -> "ContractClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.run(quit(self.conn))
        self.close()
