"""An adapter written from the contract alone: flush at every Need, then do what it names."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from select import select
from socket import SHUT_RDWR, SHUT_WR, create_server, socket, socketpair
from threading import Event, Thread, get_ident
from time import monotonic, sleep
from typing import Final

from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.session import SessionFactory
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import Profile
from smtpwire.operations import serve
from smtpwire.wire.proxy import ProxyHeader, ProxyReader
from smtpwire.wire.value import replace

__all__ = ["RELAY", "FifthAdapter", "FifthServer"]

RELAY = replace(ServerConfig.relay("mx.example.org"), starttls=True)
LINGER: Final = 0.3

logger = logging.getLogger("fifth")


class WokenError(Exception):
    """Another thread asks for the end."""


class FifthAdapter:
    """Serves one connection over two callables, TLS and time-outs included."""

    conn: ServerConnection

    def __init__(
        self,
        sock: socket,
        session: SessionFactory,
        tls: TlsConfig | None,
        config: ServerConfig = RELAY,
        peer: Peer | None = None,
    ) -> None:
        self.sock, self.session, self.tls, self.config = sock, session, tls, config
        self.peer = peer or Peer()
        self.thread = 0
        self.begun = self.broken = self.closed = False
        self.asked: Callable[[], object] | None = None
        self.woken, self.waker = socketpair()
        self.receive: Callable[[int], bytes] = self.receive_in_time
        self.send: Callable[[bytes], object] = self.send_in_time
        self.timeout: Timeout | None = None
        self.end = self.session_end = inf

    # -- octets, in time

    def start_timer(self) -> float | None:
        now = Timeout(self.config.timeouts.handshake, -1)
        timeout = self.conn.timeout if self.begun else now
        if timeout != self.timeout:
            self.timeout = timeout
            self.end = monotonic() + (timeout.seconds if timeout else inf)
        end = min(self.end, self.session_end)
        left = None if end == inf else max(end - monotonic(), 0.001)
        self.sock.settimeout(left)
        return left

    def receive_in_time(self, size: int) -> bytes:
        ready, _, _ = select([self.sock, self.woken], [], [], self.start_timer())
        if not ready:
            raise TimeoutError
        if self.woken in ready:
            self.woken.recv(size)
            raise WokenError
        octets = self.sock.recv(size)
        if self.closed:
            raise OSError("closed by the application")
        return octets

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

    # -- the session

    def shutdown(self) -> None:
        self.ask(lambda: self.conn.shutdown())

    def close(self) -> None:
        self.closed = True
        self.ask(lambda: self.conn.abort())
        with suppress(OSError):
            self.sock.shutdown(SHUT_RDWR)

    def ask(self, what: Callable[[], object]) -> None:
        self.asked = what
        if get_ident() == self.thread:
            self.do_what_is_asked()
            return
        with suppress(OSError):  # it is over
            self.waker.send(b"!")

    def do_what_is_asked(self) -> None:
        if self.asked is not None and self.begun:
            self.asked()

    def run(self) -> None:
        self.thread = get_ident()
        with self.woken, self.waker, suppress(OSError, WokenError):
            self.conn = ServerConnection(self.config, tls=self.implicit_tls(), peer=self.peer)
            self.begun = True
            self.session_end = monotonic() + (self.conn.session_timeout or inf)
            self.serve()

    def implicit_tls(self) -> TlsInfo | None:
        if self.config.profile is not Profile.SUBMISSIONS:
            return None
        reader = ProxyReader()
        while self.config.proxy and reader.result is None:
            reader.receive_data(self.receive(reader.wanted))
        if isinstance(reader.result, ProxyHeader):
            self.peer = self.peer.behind(reader.result)
        return self.shake_hands()

    def shake_hands(self) -> TlsInfo:
        if self.tls is None:
            raise OSError("no TLS")
        layer = MemoryTls(self.receive, self.send, self.tls)
        info = layer.shake_hands()
        self.receive, self.send = layer.receive, layer.send
        return info

    def serve(self) -> None:
        loop = serve(self, self.session, self.config, logger, monotonic)
        self.do_what_is_asked()
        step = next(loop)
        while step is not Need.CLOSE:
            try:
                self.meet(step) if isinstance(step, Need) else self.handle(step)
            except BaseException as error:
                step = loop.throw(error)
            else:
                step = next(loop)
        self.flush()
        self.linger()

    def handle(self, waiting: Awaitable[None]) -> None:
        try:
            for _ in waiting.__await__():
                raise RuntimeError("there is no loop")
        except GeneratorExit as error:
            raise RuntimeError("the handler raised it") from error

    def meet(self, need: Need) -> None:
        self.flush()
        try:
            if need is Need.DATA and not self.broken:
                self.conn.receive_data(self.receive(65536))
            elif need is Need.TLS and not self.broken:
                self.conn.tls_started(self.shake_hands())
        except WokenError:
            self.do_what_is_asked()
        except OSError as error:
            if need is Need.TLS and not isinstance(error, TimeoutError):
                self.conn.tls_failed(str(error))
            else:
                self.give_up(error)

    def linger(self) -> None:
        self.begun, self.session_end = False, monotonic() + LINGER
        left = 1 << 20
        self.sock.shutdown(SHUT_WR)
        while left > 0 and monotonic() < self.session_end:
            with suppress(WokenError):
                octets = self.receive_in_time(65536)
                left -= len(octets) or left


class FifthServer:
    """Each connection in a thread of its own."""

    def __init__(
        self,
        session: SessionFactory,
        config: ServerConfig,
        tls: TlsConfig | None,
        max_connections: float = inf,
        max_connections_per_peer: float = inf,
    ) -> None:
        self.session, self.config, self.tls = session, config, tls
        self.most, self.most_of_peer = max_connections, max_connections_per_peer
        self.listener = create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.adapters: dict[FifthAdapter, Thread] = {}
        self.stopping, self.idle, self.over, self.full = Event(), Event(), Event(), False

    def run(self) -> None:
        with self.listener:
            while not self.stopping.is_set():
                if not select([self.listener], [], [], 0.05)[0]:
                    continue
                try:
                    sock, address = self.listener.accept()
                except OSError as error:
                    if not self.full:
                        logger.warning("%s", error)
                    self.full = True
                    sleep(0.1)
                    continue
                self.take(sock, Peer(*address))
        self.idle.set()
        self.over.wait()

    def take(self, sock: socket, peer: Peer) -> None:
        of_peer = sum(each.peer.address == peer.address for each in tuple(self.adapters))
        if len(self.adapters) >= self.most or of_peer >= self.most_of_peer:
            with sock, suppress(OSError):
                if self.config.profile is not Profile.SUBMISSIONS:
                    sock.sendall(b"421 Too many connections\r\n")
            return
        adapter = FifthAdapter(sock, self.session, self.tls, self.config, peer)
        self.adapters[adapter] = thread = Thread(target=self.serve, args=(adapter,))
        thread.start()

    def serve(self, adapter: FifthAdapter) -> None:
        with adapter.sock:
            adapter.run()
        del self.adapters[adapter]

    def shutdown(self, grace: float) -> list[Peer]:
        """Whom it had to cut."""
        if any(each.thread == get_ident() for each in tuple(self.adapters)):
            raise RuntimeError("a handler cannot wait for its own server's end")
        self.stopping.set()
        self.idle.wait()  # whoever is accepted is known from here on, and has a thread
        end = monotonic() + grace
        threads = tuple(self.adapters.values())
        for adapter in tuple(self.adapters):
            adapter.shutdown()
        for thread in threads:
            thread.join(max(end - monotonic(), 0))
        cut = [adapter.peer for adapter in tuple(self.adapters)]
        for adapter in tuple(self.adapters):
            adapter.close()
        for thread in threads:
            thread.join()
        self.over.set()
        return cut
