"""For tests of programs that embed the engine, and for the engine's own: no sockets needed.

:func:`every_split` cuts octets in every way that matters, :func:`drain` pulls an engine's events,
:class:`ConnectionPair` joins a client and a server in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, final, overload

from smtpwire.engine.need import ClientNeed, Need, ServerNeed
from smtpwire.engine.tls import TlsInfo
from smtpwire.wire.checked import OCTETS, checked
from smtpwire.wire.value import Request

if TYPE_CHECKING:  # the engines are the caller's: nothing of them is needed here to run
    from smtpwire.engine.client import ClientConnection
    from smtpwire.engine.events import ClientEvent, ServerEvent
    from smtpwire.engine.server import ServerConnection
    from smtpwire.operations.operation import Operation

__all__ = ["SIMULATED_TLS", "ConnectionPair", "drain", "every_split"]

R = TypeVar("R")
_CALLABLE: Final = Callable[..., object]
_ANSWER: Final = _CALLABLE | None

SIMULATED_TLS: Final = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", verified=True)
"""What :class:`ConnectionPair` tells both sides of its handshake, unless told otherwise."""


def every_split(data: bytes) -> Iterator[list[bytes]]:
    """Cut the octets as a network might: whole, one octet at a time, and in two at every place.

    An engine must behave alike for each. Gives one empty list for no octets.
    """
    if not checked("data", data, OCTETS):
        yield []
        return
    yield [data]
    if len(data) > 2:
        yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


@overload
def drain(connection: ClientConnection) -> tuple[list[ClientEvent], ClientNeed]: ...
@overload
def drain(connection: ServerConnection) -> tuple[list[ServerEvent], ServerNeed]: ...
def drain(connection: ClientConnection | ServerConnection) -> tuple[list[Any], Need]:
    """Pull events up to the next Need; give both. Nothing is flushed and nothing answered."""
    from smtpwire.engine.client import ClientConnection
    from smtpwire.engine.server import ServerConnection

    connection = checked("connection", connection, ClientConnection | ServerConnection)
    events: list[object] = []
    while not isinstance(item := connection.next_event(), Need):
        events.append(item)
    return events, item


def _whole(octets: bytes) -> Iterable[bytes]:
    return (octets,)


@final
class ConnectionPair:
    """A client and a server engine joined in memory, with a simulated TLS handshake.

    ``settle()`` moves octets and pulls events until both sides wait for their applications;
    the events are in ``client_events`` and ``server_events``, in order. Between two calls the test
    acts as the client's application: ``pair.client.send(...)``. ``run(operation)`` drives one of
    ``smtpwire.operations`` instead.

    ``answer`` is the server's application: it is called with every question, and the default is
    ``server.reply()``. One that does not answer leaves the question pending: answer it by
    ``pair.server.reply()`` and settle again. ``chunks`` cuts what is sent into what arrives at
    once; by default nothing is cut. ``client_tls`` and ``server_tls`` are told to each side when
    both want a handshake; None makes it fail. Where octets stand in its way it fails as well.
    Raises TypeError for what is none of these.
    """

    def __init__(
        self,
        client: ClientConnection,
        server: ServerConnection,
        *,
        answer: Callable[[ServerEvent], object] | None = None,
        chunks: Callable[[bytes], Iterable[bytes]] = _whole,
        client_tls: TlsInfo | None = SIMULATED_TLS,
        server_tls: TlsInfo | None = SIMULATED_TLS,
    ) -> None:
        from smtpwire.engine.client import ClientConnection
        from smtpwire.engine.server import ServerConnection

        self.client: ClientConnection = checked("client", client, ClientConnection)
        self.server: ServerConnection = checked("server", server, ServerConnection)
        self.client_events: list[ClientEvent] = []
        self.server_events: list[ServerEvent] = []
        self.to_client: deque[bytes] = deque()
        """Chunks on their way to the client."""
        self.to_server: deque[bytes] = deque()
        """Chunks on their way to the server."""
        self._answer = checked("answer", answer, _ANSWER)
        self._chunks = checked("chunks", chunks, _CALLABLE)
        self._client_tls = checked("client_tls", client_tls, TlsInfo | None)
        self._server_tls = checked("server_tls", server_tls, TlsInfo | None)
        self._client_need: ClientNeed = Need.DATA
        self._server_need: ServerNeed = Need.DATA
        self._client_told_of_end = False
        self._server_told_of_end = False

    def settle(self) -> None:
        """Go on until nothing moves: both sides wait for their applications, or have ended."""
        moving = True
        while moving:
            moving = self.pull_client()
            moving = self.pull_server() or moving
            moving = self.deliver_to_client() or moving
            moving = self.deliver_to_server() or moving
            moving = self._shake_hands() or moving

    def run(self, operation: Operation[R]) -> R:
        """Drive an operation of the client's to its end, and give its result.

        The client's events are the operation's; the server's are in ``server_events``. What the
        operation raises is raised. Raises RuntimeError where it would wait for ever, since
        ``answer`` has left a question, and TypeError for content that is HANDED_IN.
        """
        operation = checked("operation", operation, Generator)
        while True:
            try:
                self._client_need = need = next(operation)
            except StopIteration as stop:
                result: R = stop.value
                self._send(self.client.data_to_send(), self.to_server)
                self._settle_server()
                return result
            self._send(self.client.data_to_send(), self.to_server)
            if need is Need.BODY:
                raise TypeError("the content is HANDED_IN: pass the content itself")
            if not self._settle_server() and need is not Need.WRITE:
                raise RuntimeError(f"the operation waits, and the server too: {self._server_need}")

    def _settle_server(self) -> bool:
        """Let the server act until it waits, and the client hear of it; False if nothing moved."""
        moved, moving = False, True
        while moving:
            moving = self.pull_server()
            moving = self.deliver_to_server() or moving
            moved = self.deliver_to_client() or moved
        return self._shake_hands() or moved

    def pull_client(self) -> bool:
        """Pull the client's events and put what it sends on its way; False if there was nothing."""
        moved = False
        while True:
            events, self._client_need = drain(self.client)
            self.client_events += events
            sent = self._send(self.client.data_to_send(), self.to_server)
            moved = moved or sent or bool(events)
            if self._client_need is not Need.WRITE:
                return moved

    def pull_server(self) -> bool:
        """The same for the server, whose questions are answered."""
        moved = False
        while True:
            item = self.server.next_event()
            if isinstance(item, Need):
                moved = self._send(self.server.data_to_send(), self.to_client) or moved
                self._server_need = item
                if item is not Need.WRITE:
                    return moved
                continue
            moved = True
            self.server_events.append(item)
            if isinstance(item, Request):
                if self._answer is None:
                    self.server.reply()
                else:
                    self._answer(item)

    def _send(self, octets: bytes, way: deque[bytes]) -> bool:
        if octets:
            way.extend(self._chunks(octets))
        return bool(octets)

    def deliver_to_client(self) -> bool:
        """Let the next chunk, or the end of the stream, arrive at the client.

        False if there is none, or the client does not want it yet.
        """
        if self._client_need is Need.CLOSE:
            dropped = bool(self.to_client)
            self.to_client.clear()
            return dropped
        if self.to_client:
            if not self.client.wants_data:
                return False
            self.client.receive_data(self.to_client.popleft())
            return True
        if self._server_need is Need.CLOSE and not self._client_told_of_end:
            self._client_told_of_end = True
            self.client.receive_data(b"")
            return True
        return False

    def deliver_to_server(self) -> bool:
        """The same towards the server."""
        if self._server_need is Need.CLOSE:
            dropped = bool(self.to_server)
            self.to_server.clear()
            return dropped
        if self.to_server:
            if not self.server.wants_data:
                return False
            self.server.receive_data(self.to_server.popleft())
            return True
        if self._client_need is Need.CLOSE and not self._server_told_of_end:
            self._server_told_of_end = True
            self.server.receive_data(b"")
            return True
        return False

    def _shake_hands(self) -> bool:
        if not (self._client_need is self._server_need is Need.TLS):
            return False
        in_the_way = bool(self.to_client or self.to_server)
        if self._client_tls is None or self._server_tls is None or in_the_way:
            self.client.tls_failed("the simulated handshake failed")
            self.server.tls_failed("the simulated handshake failed")
        else:
            self.client.tls_started(self._client_tls)
            self.server.tls_started(self._server_tls)
        return True
