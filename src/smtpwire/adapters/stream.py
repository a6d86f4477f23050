"""A client's connection with an engine at it, and how the adapters move its octets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, final

from smtpwire.adapters.session import LAST_WORDS, READ, Deadline, why
from smtpwire.adapters.tls import TlsConfig, TlsLayer
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.events import Peer
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo

__all__ = ["AsyncStream", "Interrupted", "ServerTransport", "Transport"]


class Interrupted(Exception):
    """Who waited in :meth:`Transport.receive` is to look again: nothing has come."""


class Transport(Protocol):
    """How one adapter moves octets; with plain sockets nothing of it ever suspends.

    ``seconds``: the time a call may take, None: any; beyond it TimeoutError. All but ``give_way``,
    ``wake`` and ``close`` may raise OSError.
    """

    async def send(self, octets: bytes, seconds: float | None) -> None:
        """Send all of it."""

    async def receive(self, size: int, seconds: float | None) -> bytes:
        """Wait for up to ``size`` octets; b"" is the end."""

    async def receive_now(self, size: int) -> bytes | None:
        """The same without waiting; None: nothing has come."""

    def wake(self) -> None:
        """End the connection in both directions, so that whoever waits for it goes on."""

    async def close(self) -> None:
        """Close it, whatever is still to be sent."""


class ServerTransport(Transport, Protocol):
    """What a server's session needs besides."""

    async def give_way(self) -> None:
        """Let other connections have their turn."""

    async def send_eof(self) -> None:
        """Close the direction of sending only."""

    def interrupt(self) -> None:
        """Whoever waits in ``receive()`` gets Interrupted; where nobody does, the next one."""


@final
class AsyncStream:
    """A transport with TLS where there is any, and ``conn``, from where it is attached.

    ``handshake``: seconds for TLS from the first octet. ``broken``: a write has failed; nothing is
    written any more.
    """

    __slots__ = ("_clock", "_deadline", "_layer", "_timeout", "broken", "conn", "peer", "transport")

    conn: ClientConnection

    def __init__(
        self, transport: Transport, clock: Callable[[], float], handshake: float, peer: Peer
    ) -> None:
        self.transport: Transport = transport
        self.peer: Peer = peer
        self.broken: bool = False
        self._clock = clock
        self._deadline = Deadline()
        self._layer: TlsLayer | None = None
        self._timeout: Callable[[], Timeout | None] = partial(Timeout, handshake, -1)

    def attach(self, conn: ClientConnection) -> None:
        """From here on it is the engine that says how long a call may take."""
        self.conn = conn
        self._timeout = lambda: conn.timeout

    async def flush(self) -> None:
        """Send what is queued, in the time that the engine gives for it."""
        octets = self.conn.data_to_send()
        if not octets or self.broken:
            return
        try:
            await self._send(octets, self._left())
        except TimeoutError:
            self.broken = True
            if await self.poll():
                self.conn.receive_data(b"")  # it reads no more, but has said why
            else:
                self.conn.timed_out()
        except OSError:
            self.broken = True
            await self._lost()

    async def read(self) -> None:
        """Wait for what the peer says, in the time that the engine gives for it."""
        try:
            octets = await self._receive()
        except TimeoutError:
            self.conn.timed_out()
        except OSError as error:
            self.conn.abort(why(error))
        else:
            self.conn.receive_data(octets)

    async def poll(self) -> bool:
        """Take what has come, without waiting for more; True where there was anything."""
        came = False
        try:
            while self.conn.wants_data and (octets := await self._receive_now()) is not None:
                self.conn.receive_data(octets)
                came = True
        except OSError as error:
            self.conn.abort(why(error))
        return came

    async def start_tls(self, tls: TlsConfig, server_name: str) -> None:
        """The handshake after STARTTLS; whatever goes wrong in it ends the connection."""
        try:
            info = await self.shake_hands(tls, server_name)
        except TimeoutError:
            self.broken = True
            self.conn.timed_out()
        except Exception as error:
            self.broken = True
            self.conn.tls_failed(why(error))
        else:
            self.conn.tls_started(info)

    async def shake_hands(self, tls: TlsConfig, server_name: str) -> TlsInfo:
        """Raises OSError and what TLS raises."""
        layer = TlsLayer(tls, server_name, self.peer)
        try:
            while (info := layer.shake_hands()) is None:
                await self.transport.send(layer.data_to_send(), self._left())
                layer.receive_data(await self.transport.receive(READ, self._left()))
        except OSError:
            with suppress(OSError):  # an alert, to whoever is still there
                await self.transport.send(layer.data_to_send(), LAST_WORDS)
            raise
        await self.transport.send(layer.data_to_send(), self._left())
        self._layer = layer
        return info

    async def end(self) -> None:
        """Close at once; the peer need not read, nor answer."""
        try:
            if self._layer is not None and not self.broken:
                self._layer.close()
                await self._send(b"", LAST_WORDS)
        except OSError:
            pass  # it was for politeness only
        finally:
            self.broken = True
            await self.transport.close()

    def _left(self) -> float | None:
        left = self._deadline.left(self._clock(), self._timeout())
        if left == 0:
            raise TimeoutError
        return left

    async def _send(self, octets: bytes, seconds: float | None) -> None:
        if self._layer is not None:
            self._layer.write(octets)
            octets = self._layer.data_to_send()
        if octets:
            await self.transport.send(octets, seconds)

    async def _receive(self) -> bytes:
        if self._layer is None:
            return await self.transport.receive(READ, self._left())
        while (octets := self._layer.read()) is None:
            if answer := self._layer.data_to_send():  # TLS's own
                await self.transport.send(answer, self._left())
            self._layer.receive_data(await self.transport.receive(READ, self._left()))
        return octets

    async def _receive_now(self) -> bytes | None:
        if self._layer is None:
            return await self.transport.receive_now(READ)
        octets = self._layer.read()
        if octets is None and (came := await self.transport.receive_now(READ)) is not None:
            self._layer.receive_data(came)
            octets = self._layer.read()
        return octets

    async def _lost(self) -> None:
        """Nothing can be sent any more. What has come, a server's 421 above all, may be read."""
        end = self._clock() + LAST_WORDS
        self._timeout = lambda: Timeout(max(end - self._clock(), 0), -2)
        with suppress(OSError):
            while self.conn.wants_data:
                self.conn.receive_data(await self._receive())
        self.conn.receive_data(b"")
