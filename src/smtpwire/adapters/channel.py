"""What lies between a server's transport and its engine: a PROXY header, and TLS. No I/O."""

from __future__ import annotations

from typing import final

from smtpwire.adapters.session import why
from smtpwire.adapters.tls import TlsConfig, TlsLayer
from smtpwire.engine.events import Peer
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import Profile
from smtpwire.wire.proxy import ProxyHeader, ProxyReader

__all__ = ["Channel"]


@final
class Channel:
    """Octets of the transport in and out; an adapter of a server only moves them.

    Where TLS is there from the first octet, what comes first is the handshake, and before it the
    header of a trusted proxy: ``conn``, the engine, is there as soon as ``open`` says so. Until
    then :meth:`receive_data` raises OSError where nothing can come of it: write what there is to
    be written, and close; ``refused`` says why it is to be closed at once. ``secure``: there is
    TLS; else the octets are the engine's own, which then reads the PROXY header, too.
    """

    __slots__ = ("_config", "_layer", "_proxy", "_tls", "conn", "open", "peer", "refused", "secure")

    conn: ServerConnection

    def __init__(self, config: ServerConfig, tls: TlsConfig | None, peer: Peer) -> None:
        self._config, self._tls = config, tls
        self._layer: TlsLayer | None = None
        self.secure: bool = False
        self._proxy: ProxyReader | None = None
        self.peer: Peer = peer
        self.refused: str = ""
        self.open: bool = False
        if tls is None or config.profile is not Profile.SUBMISSIONS:
            self._begin(None)
        elif config.proxy:
            self._proxy = ProxyReader()
            if "PROXY" not in config.trusted(peer.address):
                self.refused = "not a trusted proxy"
        else:
            self._secure(tls)

    @property
    def timeout(self) -> Timeout | None:
        """How long the peer has, as the engine says, or for what comes before it."""
        return self.conn.timeout if self.open else Timeout(self._config.timeouts.handshake, -1)

    @property
    def wants_data(self) -> bool:
        """Whether the adapter may read; else it must pause."""
        return not self.open or self.conn.wants_data or self._shaking

    @property
    def _shaking(self) -> bool:
        return self._layer is not None and self.conn.state is State.TLS

    def receive_data(self, octets: bytes) -> None:
        """Take what the peer sent; b"" is the end of the stream."""
        if self._proxy is not None:
            header = self._proxy.receive_data(octets)
            if header is None:
                return
            if not isinstance(header, ProxyHeader):
                raise OSError(header.reason)
            self.peer = self.peer.behind(header)
            octets, self._proxy = self._proxy.rest, None
            if self._tls is not None:
                self._secure(self._tls)
            if not octets:
                return
        if self._layer is None:
            self.conn.receive_data(octets)
            return
        self._layer.receive_data(octets)
        if not self.open and (tls := self._layer.shake_hands()) is not None:
            self._begin(tls)
        if self.open:
            self.decrypt()

    def _secure(self, tls: TlsConfig) -> TlsLayer:
        self._layer = layer = TlsLayer(tls, peer=self.peer)
        self.secure = True
        return layer

    def start_tls(self) -> None:
        """At ``Need.TLS``, when the 220 is written: what comes from now on is TLS."""
        if self._tls is None:
            self.conn.tls_failed("no TLS is configured")
            return
        layer = self._secure(self._tls)
        if self.conn.trailing_data:
            layer.receive_data(self.conn.trailing_data)
        self.decrypt()

    def decrypt(self) -> bool:
        """Hand on what TLS holds, as far as the engine has room; False if that is nothing."""
        layer, conn, got = self._layer, self.conn, False
        if layer is None:
            return False
        try:
            if conn.state is State.TLS and (tls := layer.shake_hands()) is not None:
                conn.tls_started(tls)
                got = True
            while conn.wants_data and (octets := layer.read()) is not None:
                conn.receive_data(octets)
                got = True
                if not octets:
                    break
        except OSError as error:
            got = True
            if conn.state is State.TLS:
                conn.tls_failed(why(error))
            else:
                conn.abort(why(error))
        return got

    def data_to_send(self) -> bytes:
        """What is to be written now."""
        octets = self.conn.data_to_send() if self.open else b""
        if self._layer is None:
            return octets
        if octets:
            self._layer.write(octets)
        return self._layer.data_to_send()

    def finish(self) -> bytes:
        """The last of it: close_notify, where there is TLS."""
        if self._layer is None or not self.open or self.conn.tls is None:
            return b""
        self._layer.close()
        return self._layer.data_to_send()

    def _begin(self, tls: TlsInfo | None) -> None:
        self.conn = ServerConnection(self._config, tls=tls, peer=self.peer)
        self.open = True
