"""What the adapter tells the engine of a TLS layer it set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from smtpwire.wire.value import field, value

__all__ = ["PeerCertificate", "TlsInfo"]


@final
@value(checked=True)
class PeerCertificate:
    """The peer's certificate, given only where its chain was verified.

    ``der`` is the certificate; ``names`` are the subject alternative names it proves.
    """

    der: bytes = field(repr=False)
    names: tuple[str, ...] = ()


@final
@value(checked=True)
class TlsInfo:
    """The facts of a finished handshake.

    ``version`` as Python's ssl names it ("TLSv1.3"). ``verified``: the peer's chain was verified
    and, on a client, its name was checked; without it PLAIN, LOGIN, bearer tokens and REQUIRETLS
    are refused (RFC 8314 §5, RFC 8689 §4.2.1). ``bindings`` maps channel binding types
    (``tls-unique``, ``tls-server-end-point``, ``tls-exporter``) to their octets (RFC 5929,
    RFC 9266). ``peer`` is None unless verified. ``server_name`` is the name asked for by SNI on a
    server (RFC 6066 §3; empty: the client named none, or the adapter does not know), the name
    checked on a client.

    ``cipher``: as the TLS library names it. ``alpn``: the protocol that was agreed upon (RFC 7301);
    "": none.
    """

    version: str = ""
    cipher: str = ""
    verified: bool = False
    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    peer: PeerCertificate | None = None
    server_name: str = field(default="", kw_only=True)
    alpn: str = field(default="", kw_only=True)
