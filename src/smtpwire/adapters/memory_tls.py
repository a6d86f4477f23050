"""TLS without a socket and without a loop: over any pair of callables that move octets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar, final

from smtpwire.adapters.session import TlsConfig, tls_info
from smtpwire.engine.tls import TlsInfo

__all__ = ["MemoryTls"]

T = TypeVar("T")

READ: Final = 65536


@final
class MemoryTls:
    """TLS between you and two callables, for an adapter of your own at ``Need.TLS``.

    ``receive(n)`` gives up to n octets of what the peer sent, b"" at the end; ``send(octets)``
    takes all it is given. As a server where no ``server_name`` is given. After
    :meth:`shake_hands`, ``receive`` and ``send`` of this object stand in their place.
    """

    def __init__(
        self,
        receive: Callable[[int], bytes],
        send: Callable[[bytes], object],
        config: TlsConfig,
        *,
        server_name: str | None = None,
    ) -> None:
        self._receive, self._send, self._config = receive, send, config
        self._server_name = server_name or ""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = config.context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_name is None,
            server_hostname=server_name,
        )

    def shake_hands(self) -> TlsInfo:
        """The handshake; what it returns is for ``tls_started()``. Raises ssl.SSLError."""
        self._run(self._tls.do_handshake)
        return tls_info(self._tls, self._config, self._server_name)

    def receive(self, size: int = READ) -> bytes:
        """Up to ``size`` octets; b"" at the end. Raises ssl.SSLError where TLS is broken."""
        with suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return self._run(lambda: self._tls.read(size))
        return b""

    def send(self, octets: bytes) -> None:
        """Send all of it."""
        view = memoryview(octets)
        while view:
            view = view[self._run(partial(self._tls.write, view)) :]

    def close(self) -> None:
        """Send close_notify, and wait for no answer to it."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _run(self, step: Callable[[], T]) -> T:
        """Move octets until OpenSSL has what it wants."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                if octets := self._receive(READ):
                    self._incoming.write(octets)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                with suppress(OSError):  # an alert, to whoever is still there
                    self._flush()
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if octets := self._outgoing.read():
            self._send(octets)
