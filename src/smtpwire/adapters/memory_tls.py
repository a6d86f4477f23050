"""TLS without a socket and without a loop: over any pair of callables that move octets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar, final

from smtpwire.adapters.tls import Tls, TlsLayer, tls_config
from smtpwire.engine.tls import TlsInfo
from smtpwire.wire.checked import checked

__all__ = ["MemoryTls"]

T = TypeVar("T")

READ: Final = 65536


@final
class MemoryTls:
    """TLS between you and two callables, for an adapter of your own at ``Need.TLS``.

    ``receive(n)`` gives up to n octets of what the peer sent, b"" at the end; ``send(octets)``
    takes all it is given. As a server where no ``server_name`` is given. After
    :meth:`shake_hands`, ``receive`` and ``send`` of this object stand in their place.
    What the two callables raise comes through, but not where all that failed to go out was an
    alert: to a peer that is gone, say. Raises ValueError for a name that none can have, TypeError
    for what cannot be called.
    """

    def __init__(
        self,
        receive: Callable[[int], bytes],
        send: Callable[[bytes], object],
        tls: Tls,
        *,
        server_name: str | None = None,
    ) -> None:
        self._receive = checked("receive", receive, Callable[[int], bytes])
        self._send = checked("send", send, Callable[[bytes], object])
        self._layer = TlsLayer(tls_config(tls, server_side=server_name is None), server_name)

    def shake_hands(self) -> TlsInfo:
        """The handshake; what it returns is for ``tls_started()``. Raises ssl.SSLError."""
        return self._run(self._layer.shake_hands)

    def receive(self, size: int = READ) -> bytes:
        """Up to ``size`` octets; b"" at the end. Raises ssl.SSLError where TLS is broken."""
        return self._run(lambda: self._layer.read(size))

    def send(self, octets: bytes) -> None:
        """Send all of it. Raises ssl.SSLError where TLS is broken."""
        self._layer.write(octets)
        self._flush()

    def close(self) -> None:
        """Send close_notify, and wait for no answer to it."""
        self._layer.close()
        self._flush()

    def _run(self, step: Callable[[], T | None]) -> T:
        """Move octets until the layer has what it wants."""
        try:
            while (result := step()) is None:
                self._flush()
                self._layer.receive_data(self._receive(READ))
        except ssl.SSLError:
            with suppress(OSError):  # an alert, to whoever is still there
                self._flush()
            raise
        try:
            self._flush()
        except OSError:
            if result != b"":
                raise  # but at an end it was an alert, to whoever is still there
        return result

    def _flush(self) -> None:
        if octets := self._layer.data_to_send():
            self._send(octets)
