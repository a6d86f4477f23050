"""An adapter written from the contract alone: flush at every Need, then do what it names."""

from collections.abc import Callable
from contextlib import suppress
from math import inf
from select import select
from socket import SHUT_WR, create_server, socket, socketpair
from threading import Event, Thread, get_ident
from time import monotonic
from typing import Final

from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.session import SessionFactory
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeout
from smtpwire.wire.value import replace

__all__ = ["RELAY", "FifthAdapter", "FifthServer"]

RELAY = replace(ServerConfig.relay("mx.example.org"), starttls=True)
LINGER: Final = 0.3


class WokenError(Exception):
    """Another thread asks for the end."""


class FifthAdapter:
    """Serves one connection, with STARTTLS and time-outs, over two callables."""

    def __init__(
        self,
        sock: socket,
        session: SessionFactory,
        tls: TlsConfig | None,
        config: ServerConfig = RELAY,
    ) -> None:
        self.sock, self.tls = sock, tls
        self.thread = get_ident()
        self.asked: Callable[[], object] | None = None
        self.woken, self.waker = socketpair()
        self.receive: Callable[[int], bytes] = self.receive_in_time
        self.send: Callable[[bytes], object] = self.send_in_time
        self.conn = ServerConnection(config)
        self.timeout: Timeout | None = None
        self.end = inf
        self.session_end = monotonic() + (self.conn.session_timeout or inf)
        self.broken = False
        self.handler = session(self)

    def start_timer(self) -> None:
        if self.conn.timeout != self.timeout:
            self.timeout = self.conn.timeout
            self.end = monotonic() + (self.timeout.seconds if self.timeout else inf)
        end = min(self.end, self.session_end)
        self.sock.settimeout(None if end == inf else max(end - monotonic(), 0.001))

    def receive_in_time(self, size: int) -> bytes:
        self.start_timer()
        ready, _, _ = select([self.sock, self.woken], [], [], self.sock.gettimeout())
        if not ready:
            raise TimeoutError
        if self.woken in ready:
            raise WokenError
        return self.sock.recv(size)

    def send_in_time(self, octets: bytes) -> None:
        self.start_timer()
        self.sock.sendall(octets)

    def flush(self) -> None:
        if (octets := self.conn.data_to_send()) and not self.broken:
            try:
                self.send(octets)
            except OSError as error:
                self.broken = True
                self.give_up(error)

    def give_up(self, error: OSError) -> None:
        if not isinstance(error, TimeoutError):
            self.conn.abort(str(error))
        elif monotonic() < self.session_end:
            self.conn.timed_out()
        else:
            self.conn.session_timed_out()

    def shutdown(self) -> None:
        self.ask(self.conn.shutdown)

    def close(self) -> None:
        self.ask(self.conn.abort)

    def ask(self, what: Callable[[], object]) -> None:
        if get_ident() == self.thread:
            what()
            return
        self.asked = what  # by another thread: this one is woken, and looks again
        with suppress(OSError):  # it is over
            self.waker.send(b"!")

    def handle(self, event: ServerEvent) -> None:
        waiting = self.handler(event)
        if waiting is not None:
            for _ in waiting.__await__():
                raise RuntimeError("there is no loop")

    def run(self) -> None:
        while (item := self.conn.next_event()) is not Need.CLOSE:
            if not isinstance(item, Need):
                self.handle(item)
                continue
            self.flush()
            if item is Need.DATA and not self.broken and self.asked is None:
                try:
                    self.conn.receive_data(self.receive(65536))
                except WokenError:
                    pass
                except OSError as error:
                    self.give_up(error)
            elif item is Need.TLS and not self.broken and self.tls is not None:
                layer = MemoryTls(self.receive, self.send, self.tls)
                try:
                    self.conn.tls_started(layer.shake_hands())
                except WokenError:
                    pass
                except TimeoutError as error:
                    self.give_up(error)
                except OSError as error:
                    self.conn.tls_failed(str(error))
                self.receive, self.send = layer.receive, layer.send
            if self.asked is not None:
                self.asked()
        self.flush()
        self.end, left = monotonic() + LINGER, 1 << 20
        with suppress(OSError):
            self.sock.shutdown(SHUT_WR)
            while left > 0 and (seconds := self.end - monotonic()) > 0:
                self.sock.settimeout(seconds)
                octets = self.sock.recv(65536)
                left -= len(octets) or left
        self.woken.close()
        self.waker.close()


class FifthServer:
    """Each connection in a thread of its own."""

    def __init__(
        self, session: SessionFactory, config: ServerConfig, tls: TlsConfig | None
    ) -> None:
        self.session, self.config, self.tls = session, config, tls
        self.listener = create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.05)
        self.port: int = self.listener.getsockname()[1]
        self.adapters: set[FifthAdapter] = set()
        self.threads: list[Thread] = []
        self.stopping = Event()

    def run(self) -> None:
        with self.listener:
            while not self.stopping.is_set():
                with suppress(TimeoutError):
                    sock, _ = self.listener.accept()
                    thread = Thread(target=self.serve, args=(sock,))
                    self.threads.append(thread)
                    thread.start()
        for thread in self.threads:
            thread.join()

    def serve(self, sock: socket) -> None:
        with sock:
            adapter = FifthAdapter(sock, self.session, self.tls, self.config)
            self.adapters.add(adapter)
            if self.stopping.is_set():
                adapter.shutdown()
            adapter.run()
            self.adapters.discard(adapter)

    def stop(self) -> None:
        self.stopping.set()
        for adapter in tuple(self.adapters):
            adapter.shutdown()
