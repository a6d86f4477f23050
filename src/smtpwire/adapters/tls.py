"""TLS as every adapter does it: how it is configured, a layer without a socket, and its facts."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from socket import AF_INET, AF_INET6, SOCK_STREAM, socket
from typing import Any, ClassVar, Final, TypeAlias, final
from weakref import WeakKeyDictionary

from smtpwire.adapters.log import logger
from smtpwire.engine.events import Peer
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.extensions import Profile
from smtpwire.operations.serve import who
from smtpwire.sasl import tls_server_end_point
from smtpwire.wire.checked import checked, type_of
from smtpwire.wire.value import value

__all__ = [
    "Tls",
    "TlsConfig",
    "TlsLayer",
    "check_bound",
    "check_plain",
    "check_service",
    "client_tls",
    "tls_config",
    "tls_info",
]

READ: Final = 65536
HANDSHAKE: Final = 22
"""The type of a record with a part of a handshake in it (RFC 5246 §6.2.1)."""

_NOBODY: Final = Peer()

TlsObject: TypeAlias = ssl.SSLObject | ssl.SSLSocket


def _no_bindings(tls: TlsObject) -> Mapping[str, bytes]:
    return {}


@final
@value(checked=True)
class TlsConfig:
    """How one side does TLS.

    ``certificate``: a server's own in DER, for tls-server-end-point, which Python's ssl does not
    tell; with it alone -PLUS is offered under TLS 1.3 to clients that know only tls-exporter, and
    they fail. ``bindings``: more channel bindings of a finished handshake, such as tls-exporter
    (RFC 9266), where your Python or another library can compute them: ``{"tls-exporter": …}``;
    where it raises, there are none, and the log says so.

    ``verify``: decides in the context's place whether the peer counts as verified, for pinning and
    DANE: called after the handshake with the peer's certificate and its chain in DER, the peer's
    own first; with False TLS goes on, unverified, and PLAIN, tokens and REQUIRETLS do not go out.
    What it raises, an ``ssl.SSLCertVerificationError`` for one, makes the handshake fail. A context
    that verifies does so before; let it have ``check_hostname = False`` and ``CERT_NONE`` where the
    hook alone is to decide (``names`` of the certificate are empty then: nothing vouches for them).
    """

    context: ssl.SSLContext
    certificate: bytes = b""
    bindings: Callable[[TlsObject], Mapping[str, bytes]] = _no_bindings
    verify: Callable[[PeerCertificate, tuple[bytes, ...]], bool] | None = None

    def __post_init__(self) -> None:
        if self.context.protocol is not ssl.PROTOCOL_TLS_CLIENT:
            then: Any = self.context.sni_callback
            if not callable(then):  # PyPy gives what it was set to inside of an object of its own
                then = getattr(then, "callback", None)
            if not isinstance(then, _AskedFor):
                self.context.sni_callback = _AskedFor(then)


@final
class _AskedFor:
    """A context's callback for SNI (RFC 6066 §3) that notes each name, before that of others."""

    names: ClassVar[WeakKeyDictionary[object, str]] = WeakKeyDictionary()

    def __init__(self, then: Callable[..., int | None] | None) -> None:
        self._then = then

    def __call__(self, tls: TlsObject, name: str | None, context: ssl.SSLContext) -> int | None:
        self.names[tls] = name or ""
        return None if self._then is None else self._then(tls, name, context)


Tls: TypeAlias = TlsConfig | ssl.SSLContext
"""What every ``tls=`` takes: a context by itself will do."""


_OTHERS: Final = {
    True: (ssl.PROTOCOL_TLS_CLIENT, "CLIENT_AUTH"),
    False: (ssl.PROTOCOL_TLS_SERVER, "SERVER_AUTH"),
}


def tls_config(tls: object, *, server_side: bool) -> TlsConfig:
    """What was given as ``tls=``, as a TlsConfig.

    Raises TypeError for anything else, ValueError for a context that is made for the other role.
    """
    config = TlsConfig(tls) if isinstance(tls, ssl.SSLContext) else tls
    if not isinstance(config, TlsConfig):
        raise TypeError(f"tls is a {type(tls).__name__}: pass a TlsConfig or an ssl.SSLContext")
    others, purpose = _OTHERS[server_side]
    if config.context.protocol is others:
        raise ValueError(
            f"tls is {others.name}, a context for the other role:"
            f" pass what ssl.create_default_context(ssl.Purpose.{purpose}) makes"
        )
    return config


def client_tls(security: Security) -> TlsConfig:
    """A client's TLS where none is given: verified, but for opportunistic use (RFC 7435).

    Made when it is first needed, and once: reading the system's certificates takes long.
    """
    return _client_tls(security is not Security.OPPORTUNISTIC, ssl.get_default_verify_paths())


@cache
def _client_tls(verified: bool, paths: ssl.DefaultVerifyPaths) -> TlsConfig:
    if verified:  # by what stands at the paths: SSL_CERT_FILE may name others meanwhile
        return TlsConfig(ssl.create_default_context())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return TlsConfig(context)


def check_plain(sock: object) -> None:
    """Raise TypeError for a socket with TLS of its own, of which the engine would not know.

    ValueError for one that is no stream: its octets come in pieces, and some may be lost.
    """
    if isinstance(sock, ssl.SSLSocket):
        raise TypeError("sock is an SSLSocket: pass a plain socket, and tls=")
    if isinstance(sock, socket) and sock.type != SOCK_STREAM:
        raise ValueError(f"sock is of type {sock.type}: pass one of SOCK_STREAM")


def check_bound(sock: socket | None) -> None:
    """The same, and ValueError for one that cannot listen, or would at a port of its own choice."""
    check_plain(sock)
    if sock is None:
        return
    with suppress(OSError):
        sock.getpeername()
        raise ValueError("sock is connected: pass one that is bound, to take connections at")
    name = sock.getsockname()
    if not name or (sock.family in (AF_INET, AF_INET6) and not name[1]):
        raise ValueError("sock is not bound: call its bind() with an address and a port first")


def check_service(session: object, config: ServerConfig, tls: Tls | None) -> TlsConfig | None:
    """What ``start_server()`` was given, checked; its ``tls`` as a TlsConfig.

    Raises TypeError for a ``session`` that cannot be called and a ``config`` that is none,
    ValueError where a service is configured for TLS and has no certificate, or has one and never
    begins TLS, or requires TLS or a login that cannot come; otherwise as
    :func:`tls_config`.
    """
    if not callable(session):
        found = type_of(session)
        raise TypeError(f"session is {found}: pass a function of a session that gives its handler")
    checked("config", config, ServerConfig)
    made = None if tls is None else tls_config(tls, server_side=True)
    if config.starttls or config.profile is Profile.SUBMISSIONS:
        if made is None:
            raise ValueError(
                f"a {config.profile.value} service with TLS needs tls=, an ssl.SSLContext or a"
                " TlsConfig"
            )
    elif made is not None or config.require_tls:
        what = "tls= is given" if made is not None else "require_tls is set"
        raise ValueError(
            f"{what}, and the configuration never begins TLS: pass"
            f" ServerConfig.{config.profile.value}(…, starttls=True)"
        )
    if config.require_auth and not (config.mechanisms or config.xclient_login):
        raise ValueError("require_auth is set, and nobody can log in: pass mechanisms=(…)")
    return made


@final
class TlsLayer:
    """One connection's TLS, without a socket: octets of the peer in, octets for the peer out.

    As a server where no ``server_name`` is given; else the name to ask for by SNI and to verify,
    DNS's end dot left out (RFC 6066 §3). Raises ValueError for a name that none can have.
    ``peer``: whom the log names.
    """

    def __init__(
        self, config: TlsConfig, server_name: str | None = None, peer: Peer = _NOBODY
    ) -> None:
        self._config, self._peer = config, peer
        server_name = checked("server_name", server_name, str | None)
        self._server_name = (server_name or "").removesuffix(".")
        self._shaken = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = config.context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_name is None,
            server_hostname=self._server_name or None,
        )

    def receive_data(self, octets: bytes) -> None:
        """Take what came from the peer; b"" is the end of its stream."""
        if octets:
            self._incoming.write(octets)
        else:
            self._incoming.write_eof()

    def data_to_send(self) -> bytes:
        """What is to be sent to the peer; after every other call, one that raised included."""
        return self._outgoing.read()

    def shake_hands(self) -> TlsInfo | None:
        """Go on with the handshake; None: more octets are wanted. Raises ssl.SSLError."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return None
        self._shaken = True
        return tls_info(self._tls, self._config, self._server_name, self._peer)

    def read(self, size: int = READ) -> bytes | None:
        """What the peer said: b"" at its end; None: more octets are wanted.

        Raises ssl.SSLError; also where a peer, below TLS 1.3, asks for another handshake.
        """
        octets, unsent = None, self._outgoing.pending
        try:
            octets = self._tls.read(size)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        if self._outgoing.pending > unsent:
            self._check_answer(unsent)
        return octets

    def _check_answer(self, unsent: int) -> None:
        """TLS answers by itself; by another handshake ``tls_info()`` would be true no more."""
        said = self._outgoing.read()
        if self._shaken and said[unsent] == HANDSHAKE:
            self._outgoing.write(said[:unsent])
            reason = "the peer asks for another handshake, which is refused"
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, reason)
        self._outgoing.write(said)

    def write(self, octets: bytes) -> None:
        """Say all of it. Raises ssl.SSLError."""
        view = memoryview(octets)
        while view:
            view = view[self._tls.write(view) :]

    def close(self) -> None:
        """Say close_notify; no answer to it is waited for."""
        with suppress(ssl.SSLError, ValueError):  # it waits for one, or there was no handshake
            self._tls.unwrap()


def tls_info(
    tls: TlsObject, config: TlsConfig, server_name: str = "", peer: Peer = _NOBODY
) -> TlsInfo:
    """The facts of a finished handshake. Raises what ``TlsConfig.verify`` raises."""
    cipher = tls.cipher()
    names = tls.getpeercert()  # empty unless its chain was verified
    der = tls.getpeercert(binary_form=True) or b""
    verified = bool(names) and (tls.server_side or tls.context.check_hostname)
    alternatives: Any = names.get("subjectAltName", ()) if names else ()
    certificate = PeerCertificate(der, tuple(str(name) for _, name in alternatives))
    if config.verify is not None and der:
        verified = config.verify(certificate, _chain(tls, der)) is True
    return TlsInfo(
        tls.version() or "",
        cipher[0] if cipher else "",
        verified,
        _bindings(tls, config, der, peer),
        certificate if verified else None,
        server_name=server_name or _AskedFor.names.get(tls, ""),
        alpn=tls.selected_alpn_protocol() or "",
    )


def _chain(tls: TlsObject, der: bytes) -> tuple[bytes, ...]:
    """What the peer sent of its chain, its own certificate first."""
    inner: Any = tls
    found: Any = getattr(inner, "get_unverified_chain", None)
    if found is not None:  # from Python 3.13 on, where a session that is resumed may have none
        return tuple(found()) or (der,)
    inner = getattr(inner, "_sslobj", None)
    found = getattr(inner, "get_unverified_chain", None)
    certificates = (found() or ()) if found is not None else ()
    return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in certificates) or (der,)


def _bindings(tls: TlsObject, config: TlsConfig, der: bytes, peer: Peer) -> dict[str, bytes]:
    """The channel bindings; one that cannot be computed is none."""
    bindings: dict[str, bytes] = {}
    try:
        bindings.update(config.bindings(tls))
    except Exception:
        logger.exception("%s: TlsConfig.bindings failed", who(peer))
    # In TLS 1.3 Python returns octets that mean nothing (RFC 9266 §1).
    if tls.version() != "TLSv1.3" and (unique := tls.get_channel_binding("tls-unique")):
        bindings["tls-unique"] = unique
    if certificate := config.certificate if tls.server_side else der:
        with suppress(ValueError):  # RFC 5929 §4.1 has none for this certificate
            bindings["tls-server-end-point"] = tls_server_end_point(certificate)
    return bindings
