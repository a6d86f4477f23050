"""A connection of an event loop with an engine at it: what both roles do at a Need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol, final

from smtpwire.adapters.session import Deadline
from smtpwire.adapters.tls import TlsConfig, TlsLayer
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.tls import TlsInfo

__all__ = ["AsyncStream", "Transport", "why"]

READ: Final = 65536
LAST_WORDS: Final = 0.1
"""Seconds to read what has come when nothing can be sent any more, and to say close_notify."""


class Transport(Protocol):
    """How one loop moves octets. All but ``wake()`` and ``close()`` may raise OSError."""

    async def send(self, octets: bytes) -> None:
        """Send all of it."""

    async def receive(self, size: int) -> bytes:
        """Wait for up to ``size`` octets; b"" is the end."""

    async def receive_now(self, size: int) -> bytes | None:
        """The same without waiting; None: nothing has come."""

    def within(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Where it takes longer, it is cancelled and TimeoutError is raised."""

    def wake(self) -> None:
        """End the connection in both directions, so that whoever waits for it goes on."""

    def close(self) -> None:
        """Close it, whatever is still to be sent."""


@final
class AsyncStream:
    """A transport with TLS where there is any, and ``conn``, which is given when it is made.

    ``broken``: a write has failed; nothing is written any more.
    """

    conn: ServerConnection | ClientConnection

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self.transport = transport
        self.broken = False
        self._deadline = Deadline(clock)
        self._layer: TlsLayer | None = None

    async def flush(self) -> None:
        """Send what is queued, in the time that the engine gives for it."""
        octets = self.conn.data_to_send()
        if not octets or self.broken:
            return
        try:
            async with self._in_time():
                await self._send(octets)
        except TimeoutError:
            self.broken = True
            if isinstance(self.conn, ServerConnection) or not await self.poll():
                self.conn.timed_out()
            else:
                self.conn.receive_data(b"")  # it reads no more, but has said why
        except OSError as error:
            self.broken = True
            await self._lost(error)

    async def read(self) -> None:
        """Wait for what the peer says, in the time that the engine gives for it."""
        try:
            async with self._in_time():
                octets = await self._receive()
        except TimeoutError:
            self.conn.timed_out()
        except OSError as error:
            self.conn.abort(why(error))
        else:
            self.conn.receive_data(octets)

    async def poll(self) -> bool:
        """Take what has come, without waiting for more; True where there was anything."""
        try:
            octets = await self._receive_now()
        except OSError as error:
            self.conn.abort(why(error))
            return False
        if octets is None or not self.conn.wants_data:
            return False
        self.conn.receive_data(octets)
        return True

    async def start_tls(self, tls: TlsConfig | None, server_name: str | None = None) -> None:
        """The handshake after STARTTLS; whatever goes wrong in it ends the connection."""
        try:
            if tls is None:
                raise OSError("no TLS is configured")
            async with self._in_time():
                info = await self.shake_hands(tls, server_name)
        except TimeoutError:
            self.broken = True
            self.conn.timed_out()
        except Exception as error:
            self.broken = True
            self.conn.tls_failed(why(error))
        else:
            self.conn.tls_started(info)

    async def shake_hands(self, tls: TlsConfig, server_name: str | None = None) -> TlsInfo:
        """As a server where no ``server_name`` is given. Raises OSError and what TLS raises."""
        layer = TlsLayer(tls, server_name)
        try:
            while (info := layer.shake_hands()) is None:
                await self.transport.send(layer.data_to_send())
                layer.receive_data(await self.transport.receive(READ))
        except OSError:
            with suppress(OSError):  # an alert, to whoever is still there
                await self.transport.send(layer.data_to_send())
            raise
        await self.transport.send(layer.data_to_send())
        self._layer = layer
        return info

    async def end(self) -> None:
        """Close at once; the peer need not read, nor answer."""
        try:
            if self._layer is not None and not self.broken:
                self._layer.close()
                async with self.transport.within(LAST_WORDS):
                    await self._send(b"")
        except OSError:
            pass  # it was for politeness only
        finally:
            self.broken = True
            self.transport.close()

    def _in_time(self) -> AbstractAsyncContextManager[object]:
        left = self._deadline.left(self.conn.timeout)
        if left == 0:
            raise TimeoutError
        return self.transport.within(left)

    async def _send(self, octets: bytes) -> None:
        if self._layer is not None:
            self._layer.write(octets)
            octets = self._layer.data_to_send()
        if octets:
            await self.transport.send(octets)

    async def _receive(self) -> bytes:
        if self._layer is None:
            return await self.transport.receive(READ)
        while (octets := self._layer.read()) is None:
            self._layer.receive_data(await self.transport.receive(READ))
        return octets

    async def _receive_now(self) -> bytes | None:
        if self._layer is None:
            return await self.transport.receive_now(READ)
        octets = self._layer.read()
        if octets is None and (came := await self.transport.receive_now(READ)) is not None:
            self._layer.receive_data(came)
            octets = self._layer.read()
        return octets

    async def _lost(self, error: OSError) -> None:
        """Nothing can be sent any more. What has come, a server's 421 above all, may be read."""
        if isinstance(self.conn, ServerConnection):
            self.conn.abort(why(error))
            return
        with suppress(OSError):
            async with self.transport.within(LAST_WORDS):
                while self.conn.wants_data:
                    self.conn.receive_data(await self._receive())
        self.conn.receive_data(b"")


def why(error: Exception) -> str:
    """What an exception says, or at least what it is."""
    return str(error) or ("too slow" if isinstance(error, TimeoutError) else type(error).__name__)
