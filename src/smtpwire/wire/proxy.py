"""The PROXY protocol's header, versions 1 and 2: who is behind a load balancer.

Specification: "The PROXY protocol, Versions 1 & 2", doc/proxy-protocol.txt of HAProxy. The header
stands in front of everything else, TLS included. It is believed, so it may only be read from peers
which are trusted, and there it must be required: never guess whether one comes (section 2).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from typing import Final, TypeAlias, final

from smtpwire.wire.ip import canonical_ip
from smtpwire.wire.value import field, value

__all__ = [
    "ProxyCommand",
    "ProxyHeader",
    "ProxyReader",
    "ProxyRefused",
    "ProxyTls",
    "ProxyTransport",
    "format_proxy_header",
]

Endpoint: TypeAlias = tuple[str, int]
Tlv: TypeAlias = tuple[int, bytes]

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"  # section 2.2
PREAMBLE_LENGTH: Final = 16  # the signature, version and command, transport, length

V1_START: Final = b"PROXY "
V1_UNKNOWN: Final = b"PROXY UNKNOWN"
V1_SHORTEST: Final = 15  # PROXY UNKNOWN CRLF
V1_LONGEST: Final = 107  # section 2.1, with CRLF
V1_SPACES: Final = 5

# Section 2.1: decimal, no leading zeroes. The IPv6 address is looked at once more.
_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rb"(?:" + _OCTET + rb"\.){3}" + _OCTET
_IPV6: Final = rb"[0-9A-Fa-f:.]{2,39}"
_PORT: Final = rb"(?:0|[1-9][0-9]{0,4})"
V1_LINE: Final = re.compile(
    rb"PROXY (?:TCP4 "
    + _IPV4
    + rb" "
    + _IPV4
    + rb"|TCP6 "
    + _IPV6
    + rb" "
    + _IPV6
    + rb") "
    + _PORT
    + rb" "
    + _PORT
)
LINE_END: Final = re.compile(rb"[\r\n]")
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

TYPE_ALPN: Final = 0x01
TYPE_AUTHORITY: Final = 0x02
TYPE_CRC32C: Final = 0x03
TYPE_UNIQUE_ID: Final = 0x05
TYPE_SSL: Final = 0x20
SUBTYPE_SSL_VERSION: Final = 0x21
SUBTYPE_SSL_CN: Final = 0x22
SUBTYPE_SSL_CIPHER: Final = 0x23

CLIENT_SSL: Final = 0x01
CLIENT_CERTIFICATE: Final = 0x02 | 0x04  # in this connection, or in this TLS session

UNIQUE_ID_LONGEST: Final = 128  # section 2.2.5
PORT_MOST: Final = 0xFFFF
LENGTH_MOST: Final = 0xFFFF
IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291 §2.5.5.2
TYPE_MOST: Final = 0xFF
FAMILY_MOST: Final = 3
PROTOCOL_MOST: Final = 2


class ProxyCommand(Enum):
    """What the connection is (section 2.2)."""

    LOCAL = 0x0
    """The proxy's own, such as a health check: the socket's address is the peer's."""

    PROXY = 0x1
    """Made on behalf of another node."""


class ProxyTransport(Enum):
    """How the other node is connected to the proxy; the value is version 2's 14th octet."""

    UNSPEC = 0x00
    """Unknown: the socket's address is all there is. Version 1 writes UNKNOWN."""

    TCP4 = 0x11
    UDP4 = 0x12
    TCP6 = 0x21
    UDP6 = 0x22
    UNIX_STREAM = 0x31
    UNIX_DATAGRAM = 0x32


TRANSPORTS: Final = {transport.value: transport for transport in ProxyTransport}

# How many octets one address has, and one endpoint's port.
LAYOUT: Final = {
    ProxyTransport.UNSPEC: (0, 0),
    ProxyTransport.TCP4: (4, 2),
    ProxyTransport.UDP4: (4, 2),
    ProxyTransport.TCP6: (16, 2),
    ProxyTransport.UDP6: (16, 2),
    ProxyTransport.UNIX_STREAM: (108, 0),
    ProxyTransport.UNIX_DATAGRAM: (108, 0),
}


@final
@value
class ProxyTls:
    """What the proxy says of TLS between it and the client (section 2.2.6).

    Only facts about another connection: this one is not encrypted by them. Texts which are absent
    or no printable UTF-8 are empty.

    ``used``: the client speaks TLS to the proxy. ``version`` ("TLSv1.3"), ``cipher`` (as OpenSSL
    names it), ``common_name``: of the client's certificate.
    """

    used: bool
    certificate: bool
    """The client presented a certificate, now or earlier in its TLS session."""
    verified: bool
    """It was verified; never without a certificate."""
    version: str = ""
    cipher: str = ""
    common_name: str = ""


@final
@value
class ProxyHeader:
    """What a PROXY header says.

    ``source`` and ``destination`` are an IP address and a port. They are None where the socket's
    own address is to be kept: LOCAL, an unknown transport, a UNIX socket's. An address read is in
    its one spelling (:func:`~smtpwire.wire.canonical_ip`): an IPv4 address that IPv6 carries
    is dotted.
    ``tlvs`` are type and value as they came, except CRC32C, which has been checked.

    ``version``: 1 or 2. ``command``: PROXY, or LOCAL for a connection of the proxy's own.
    """

    version: int
    command: ProxyCommand
    transport: ProxyTransport
    source: Endpoint | None = None
    destination: Endpoint | None = None
    tlvs: tuple[Tlv, ...] = field(default=(), repr=False)

    def tlv(self, type_: int) -> bytes | None:
        """The value of the first TLV of that type."""
        return first(self.tlvs, type_)

    @property
    def alpn(self) -> bytes | None:
        """The protocol negotiated with the client (section 2.2.1)."""
        return self.tlv(TYPE_ALPN)

    @property
    def authority(self) -> str | None:
        """The host name the client asked for, as with SNI (section 2.2.2)."""
        return text(self.tlv(TYPE_AUTHORITY)) or None

    @property
    def unique_id(self) -> bytes | None:
        """The proxy's name for the connection, at most 128 octets (section 2.2.5)."""
        unique_id = self.tlv(TYPE_UNIQUE_ID)
        return None if unique_id is None or len(unique_id) > UNIQUE_ID_LONGEST else unique_id

    @property
    def tls(self) -> ProxyTls | None:
        """What the proxy says of the client's TLS; None also where it is malformed."""
        ssl = self.tlv(TYPE_SSL)
        if ssl is None or len(ssl) < 5:
            return None
        details = parse_tlvs(ssl[5:])
        if details is None:
            return None
        certificate = bool(ssl[0] & CLIENT_CERTIFICATE)
        return ProxyTls(
            used=bool(ssl[0] & CLIENT_SSL),
            certificate=certificate,
            verified=certificate and not any(ssl[1:5]),
            version=text(first(details, SUBTYPE_SSL_VERSION)),
            cipher=text(first(details, SUBTYPE_SSL_CIPHER)),
            common_name=text(first(details, SUBTYPE_SSL_CN)),
        )


@final
@value
class ProxyRefused:
    """What came is no acceptable PROXY header: close the connection without a word.

    ``reason`` is for the log and has no octet of the peer.
    """

    reason: str


class ProxyReader:
    """Reads one PROXY header off the beginning of a connection.

    To leave what follows alone (a TLS handshake, say), read at most ``wanted`` octets at a time.

    Args:
        limit: how long a version 2 header may be, in octets; version 1 has its own 107.

    Attributes:
        result: the header or its refusal, once known; None before.
        rest: the octets behind the header; they are the session's.
    """

    __slots__ = ("_buffer", "_limit", "rest", "result")

    def __init__(self, *, limit: int = 4096) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self.rest: bytes = b""
        self.result: ProxyHeader | ProxyRefused | None = None

    @property
    def wanted(self) -> int:
        """How many octets may be read without reading beyond the header; 0 when it has ended."""
        if self.result is not None:
            return 0
        have = len(self._buffer)
        if self._buffer[:1] == SIGNATURE[:1]:
            return self._v2_length() - have
        if have < V1_SHORTEST:
            return V1_SHORTEST - have
        return min(V1_LONGEST - have, v1_least_missing(self._buffer))

    def receive_data(
        self, data: bytes | bytearray | memoryview
    ) -> ProxyHeader | ProxyRefused | None:
        """Take what was read, ``b""`` being end of file; return ``result``.

        Raises:
            ValueError: there is a result already; a mistake of the caller, not of the peer.
        """
        if self.result is not None:
            raise ValueError("the PROXY header has already ended")
        self._buffer += data
        if not data:
            self.result = ProxyRefused("the connection ended within the PROXY header")
        elif self._buffer.startswith(V1_START[: len(self._buffer)]):
            self._examine_v1()
        elif self._buffer.startswith(SIGNATURE[: len(self._buffer)]):
            self._examine_v2()
        else:
            self.result = ProxyRefused("no PROXY header")
        return self.result

    def _examine_v1(self) -> None:
        line = bytes(self._buffer[:V1_LONGEST])
        end = LINE_END.search(line)
        at = len(line) if end is None else end.start()
        line_end = line[at : at + 2]
        if line_end == b"\r\n":
            self.result = parse_v1(line[:at])
            self._end(at + 2)
        elif line_end not in (b"", b"\r"):
            self.result = ProxyRefused("bare CR or LF in the PROXY header")
        elif len(line) == V1_LONGEST:
            self.result = ProxyRefused("too long a PROXY header")

    def _examine_v2(self) -> None:
        length = self._v2_length()
        if length > self._limit:
            self.result = ProxyRefused("too long a PROXY header")
        elif len(self._buffer) >= length and len(self._buffer) >= PREAMBLE_LENGTH:
            self.result = parse_v2(bytes(self._buffer[:length]))
            self._end(length)

    def _v2_length(self) -> int:
        """Of the whole header; before its preamble is complete, of the preamble."""
        if len(self._buffer) < PREAMBLE_LENGTH:
            return PREAMBLE_LENGTH
        return PREAMBLE_LENGTH + int.from_bytes(self._buffer[14:16], "big")

    def _end(self, length: int) -> None:
        if isinstance(self.result, ProxyHeader):
            self.rest = bytes(self._buffer[length:])


def v1_least_missing(line: bytes | bytearray) -> int:
    """How many octets are missing at least from a line of version 1."""
    if line.endswith(b"\r"):
        return 1
    if line.startswith(V1_UNKNOWN):
        return 2
    # Each field to come takes a space and an octet.
    return 2 * max(V1_SPACES - line.count(b" "), 0) + 2


def parse_v1(line: bytes) -> ProxyHeader | ProxyRefused:
    """Parse a line of version 1, without its CRLF (section 2.1)."""
    if line == V1_UNKNOWN or line.startswith(V1_UNKNOWN + b" "):
        # What stands behind it is ignored.
        return ProxyHeader(1, ProxyCommand.PROXY, ProxyTransport.UNSPEC)
    if V1_LINE.fullmatch(line) is None:
        return ProxyRefused("malformed PROXY header")
    _, protocol, *addresses, source_port, destination_port = line.decode("ascii").split(" ")
    transport = ProxyTransport[protocol]
    size, _ = LAYOUT[transport]
    source, destination = (read_address(address, size) for address in addresses)
    ports = int(source_port), int(destination_port)
    if source is None or destination is None or max(ports) > PORT_MOST:
        return ProxyRefused("malformed PROXY header")
    return ProxyHeader(
        version=1,
        command=ProxyCommand.PROXY,
        transport=transport,
        source=(source, ports[0]),
        destination=(destination, ports[1]),
    )


def parse_v2(octets: bytes) -> ProxyHeader | ProxyRefused:
    """Parse a whole header of version 2 (section 2.2)."""
    version, command = divmod(octets[12], 16)
    if version != 2:
        return ProxyRefused("not version 2 of the PROXY header")
    if command == ProxyCommand.LOCAL.value:
        # The rest is skipped, the transport included.
        return ProxyHeader(2, ProxyCommand.LOCAL, ProxyTransport.UNSPEC)
    if command != ProxyCommand.PROXY.value:
        return ProxyRefused("unknown command in the PROXY header")
    family, protocol = divmod(octets[13], 16)
    if family > FAMILY_MOST or protocol > PROTOCOL_MOST:
        return ProxyRefused("unknown transport in the PROXY header")
    transport = TRANSPORTS.get(octets[13], ProxyTransport.UNSPEC)
    if transport is ProxyTransport.UNSPEC:
        # How long an address of an unspecified family is, and where TLVs begin, nobody knows.
        return ProxyHeader(2, ProxyCommand.PROXY, ProxyTransport.UNSPEC)
    size, port_size = LAYOUT[transport]
    block = octets[PREAMBLE_LENGTH:]
    length = 2 * (size + port_size)
    tlvs = parse_tlvs(block[length:])
    if len(block) < length or tlvs is None:
        return ProxyRefused("truncated PROXY header")
    if not checksum_matches(octets, PREAMBLE_LENGTH + length, tlvs):
        return ProxyRefused("wrong checksum in the PROXY header")
    ports = block[2 * size : length]
    return ProxyHeader(
        version=2,
        command=ProxyCommand.PROXY,
        transport=transport,
        source=parse_endpoint(block[:size], ports[:2]),
        destination=parse_endpoint(block[size : 2 * size], ports[2:]),
        tlvs=tuple(tlv for tlv in tlvs if tlv[0] != TYPE_CRC32C),
    )


def parse_endpoint(address: bytes, port: bytes) -> Endpoint | None:
    """An IP address and port; None for a UNIX socket, which has no port."""
    if not port:
        return None
    return canonical_ip(address), int.from_bytes(port, "big")


def parse_tlvs(octets: bytes) -> tuple[Tlv, ...] | None:
    """Type, length in two octets, value; again and again. None if the last one is not whole."""
    tlvs: list[Tlv] = []
    at = 0
    while at + 3 <= len(octets):
        end = at + 3 + int.from_bytes(octets[at + 1 : at + 3], "big")
        tlvs.append((octets[at], octets[at + 3 : end]))
        at = end
    return tuple(tlvs) if at == len(octets) else None


def checksum_matches(octets: bytes, at: int, tlvs: tuple[Tlv, ...]) -> bool:
    """Whether the CRC32C, if there is one, is right; ``at`` is where the TLVs begin (2.2.3)."""
    checksums = [value_ for type_, value_ in tlvs if type_ == TYPE_CRC32C]
    if not checksums:
        return True
    zeroed = octets[:at] + b"".join(
        encoded_tlv(type_, bytes(len(value_)) if type_ == TYPE_CRC32C else value_)
        for type_, value_ in tlvs
    )
    return checksums == [crc32c(zeroed).to_bytes(4, "big")]


def crc32c(octets: bytes) -> int:
    """The checksum of RFC 4960, Appendix B, as the number whose octets go out in order."""
    table = crc32c_table()
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = (crc >> 8) ^ table[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


@cache
def crc32c_table() -> tuple[int, ...]:
    """What each octet does to the checksum. Made when first needed: few headers have one."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def format_proxy_header(header: ProxyHeader, *, checksum: bool = False) -> bytes:
    """The octets of a header in its version; ``checksum`` adds a CRC32C (version 2 only).

    Raises:
        ValueError: that version cannot say this, or not so that it would be understood.
    """
    if header.version == 1:
        return format_v1(header, checksum)
    if header.version == 2:
        return format_v2(header, checksum)
    raise ValueError("the PROXY protocol has versions 1 and 2")


def format_v1(header: ProxyHeader, checksum: bool) -> bytes:
    if header.command is ProxyCommand.LOCAL or header.tlvs or checksum:
        raise ValueError("version 1 has no LOCAL, TLVs or checksum")
    if header.transport is ProxyTransport.UNSPEC:
        format_endpoints(header)
        return V1_UNKNOWN + b"\r\n"
    if header.transport not in (ProxyTransport.TCP4, ProxyTransport.TCP6):
        raise ValueError("version 1 has TCP only")
    block = format_endpoints(header)
    size, _ = LAYOUT[header.transport]
    source, destination = written_address(block[:size]), written_address(block[size : 2 * size])
    ports = block[2 * size :]
    return (
        f"PROXY {header.transport.name} {source} {destination}"
        f" {int.from_bytes(ports[:2], 'big')} {int.from_bytes(ports[2:], 'big')}\r\n"
    ).encode("ascii")


def format_v2(header: ProxyHeader, checksum: bool) -> bytes:
    local = header.command is ProxyCommand.LOCAL
    unspecified = header.transport is ProxyTransport.UNSPEC
    if (local and not unspecified) or (unspecified and (header.tlvs or checksum)):
        raise ValueError("LOCAL has no transport, and without one there are no TLVs")
    block = format_endpoints(header) + b"".join(map(format_tlv, header.tlvs))
    if checksum:
        block += bytes((TYPE_CRC32C, 0, 4, 0, 0, 0, 0))
    if len(block) > LENGTH_MOST:
        raise ValueError("too long for a PROXY header")
    octets = (
        SIGNATURE
        + bytes((0x20 | header.command.value, header.transport.value))
        + len(block).to_bytes(2, "big")
        + block
    )
    return octets[:-4] + crc32c(octets).to_bytes(4, "big") if checksum else octets


def format_endpoints(header: ProxyHeader) -> bytes:
    """Both addresses, then both ports."""
    size, port_size = LAYOUT[header.transport]
    if not port_size:
        if header.source is not None or header.destination is not None:
            raise ValueError(f"{header.transport.name} has no addresses")
        return bytes(2 * size)
    if header.source is None or header.destination is None:
        raise ValueError(f"{header.transport.name} needs two addresses")
    endpoints = header.source, header.destination
    return b"".join(packed_address(address, size) for address, _ in endpoints) + b"".join(
        format_port(port) for _, port in endpoints
    )


def format_port(port: int) -> bytes:
    if not 0 <= port <= PORT_MOST:
        raise ValueError("a port is 0 to 65535")
    return port.to_bytes(2, "big")


def format_tlv(tlv: Tlv) -> bytes:
    type_, value_ = tlv
    if type_ == TYPE_CRC32C or not 0 <= type_ <= TYPE_MOST or len(value_) > LENGTH_MOST:
        raise ValueError("a TLV's type is one octet (not CRC32C's), its value up to 65535")
    return encoded_tlv(type_, value_)


def encoded_tlv(type_: int, value_: bytes) -> bytes:
    return bytes((type_,)) + len(value_).to_bytes(2, "big") + value_


def read_address(address: str, size: int) -> str | None:
    """The one spelling of an IP address; None where it is not one of this family."""
    import ipaddress

    try:
        packed = ipaddress.ip_address(address).packed
    except ValueError:
        return None
    return canonical_ip(packed) if len(packed) == size else None


def written_address(octets: bytes) -> str:
    """The text of 4 or 16 octets in the family of their number, as version 1 needs it."""
    mapped = octets[:-4] == IPV4_MAPPED
    return f"::ffff:{canonical_ip(octets)}" if mapped else canonical_ip(octets)


def packed_address(address: str, size: int) -> bytes:
    """The octets of an IP address; one of IPv4 is mapped where IPv6 is to carry it."""
    import ipaddress

    packed = ipaddress.ip_address(canonical_ip(address)).packed
    if len(packed) < size:
        packed = IPV4_MAPPED + packed
    if len(packed) != size or "%" in address:
        raise ValueError("an address of another family, or with a zone")
    return packed


def first(tlvs: tuple[Tlv, ...], type_: int) -> bytes | None:
    """The value of the first TLV of that type."""
    return next((value_ for found, value_ in tlvs if found == type_), None)


def text(octets: bytes | None) -> str:
    """The text of a value; empty if absent, not UTF-8, or with controls."""
    try:
        decoded = (octets or b"").decode()
    except UnicodeDecodeError:
        return ""
    return "" if CONTROLS.search(decoded) else decoded
