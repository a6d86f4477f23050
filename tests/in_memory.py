"""Runs a client's operations against a server engine in the same process, without a socket."""

from typing import TypeVar

from tests.engine.transcript import Session

from smtpwire import ClientConnection, Need, TlsInfo
from smtpwire.operations import Operation
from smtpwire.testing import SIMULATED_TLS

R = TypeVar("R")


class Wire:
    """A client, a server's session, and all the octets that went between them."""

    def __init__(
        self,
        client: ClientConnection,
        server: Session,
        *,
        client_tls: TlsInfo | None = SIMULATED_TLS,
        server_tls: TlsInfo | None = SIMULATED_TLS,
    ) -> None:
        self.client = client
        self.server = server
        self.sent = b""
        """What the client sent."""
        self._client_tls = client_tls
        self._server_tls = server_tls
        self.told_of_end = False
        client.receive_data(server.run())

    def run(self, operation: Operation[R]) -> R:
        """Drive an operation to its end; it ends within bounds or the test fails."""
        for _ in range(100_000):
            try:
                need = next(operation)
            except StopIteration as end:
                self.flush()
                result: R = end.value
                return result
            self.flush()
            if need is Need.TLS:
                self.shake_hands()
        raise AssertionError("no end")

    def flush(self) -> None:
        """Let arrive what either side has to send."""
        octets = self.client.data_to_send()
        self.sent += octets
        self.hear(self.server.feed(octets) if octets and self.server_reads else b"")
        if self.server.need is Need.CLOSE and not self.told_of_end:
            self.told_of_end = True
            self.client.receive_data(b"")

    @property
    def server_reads(self) -> bool:
        return self.server.need is not Need.CLOSE

    def hear(self, octets: bytes) -> None:
        if octets:
            self.client.receive_data(octets)

    def shake_hands(self) -> None:
        """Both sides are told of the handshake, or that it failed."""
        if self._client_tls is None or self._server_tls is None:
            self.client.tls_failed("as the test wants it")
            self.server.conn.tls_failed("as the test wants it")
        else:
            self.client.tls_started(self._client_tls)
            self.server.conn.tls_started(self._server_tls)
        self.server.run()
