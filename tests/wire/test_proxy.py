"""The PROXY protocol's header: proxy-protocol.txt, sections 2.1 and 2.2."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.splitting import CUTS, divided, every_split

from smtpwire.wire.ip import canonical_ip
from smtpwire.wire.proxy import (
    ProxyCommand,
    ProxyHeader,
    ProxyReader,
    ProxyRefused,
    ProxyTls,
    ProxyTransport,
    format_proxy_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
UNKNOWN = ProxyHeader(1, ProxyCommand.PROXY, ProxyTransport.UNSPEC)
TCP4 = ProxyHeader(
    version=1,
    command=ProxyCommand.PROXY,
    transport=ProxyTransport.TCP4,
    source=("192.0.2.1", 56324),
    destination=("198.51.100.9", 25),
)

Result = ProxyHeader | ProxyRefused | None


def read(chunks: list[bytes], limit: int = 4096) -> tuple[Result, bytes]:
    """What a reader makes of the chunks, and what it leaves to the session."""
    reader = ProxyReader(limit=limit)
    rest = b""
    for chunk in chunks:
        if reader.result is None:
            assert reader.wanted > 0
            assert reader.receive_data(chunk) is reader.result
        else:
            assert reader.wanted == 0
            rest += chunk
    return reader.result, reader.rest + rest


def header_of(octets: bytes) -> ProxyHeader:
    """What every way to divide the octets comes to: this header, and nothing behind it."""
    header, rest = read([octets])
    assert isinstance(header, ProxyHeader), header
    assert rest == b""
    for chunks in every_split(octets + b"EHLO client.example\r\n"):
        assert read(chunks) == (header, b"EHLO client.example\r\n")
    return header


def refusal_of(octets: bytes) -> str:
    """What every way to divide the octets comes to: this refusal."""
    refused, _ = read([octets])
    assert isinstance(refused, ProxyRefused), refused
    for chunks in every_split(octets):
        assert read(chunks)[0] == refused
    return refused.reason


def v2(block: bytes, *, command: int = 0x21, transport: int = 0x11, length: int = -1) -> bytes:
    """A version 2 header, written down as the struct of section 2.2 has it."""
    length = len(block) if length < 0 else length
    return SIGNATURE + struct.pack("!BBH", command, transport, length) + block


def tlv(type_: int, value: bytes) -> bytes:
    return struct.pack("!BH", type_, len(value)) + value


ADDRESSES4 = bytes([192, 0, 2, 1, 198, 51, 100, 9]) + struct.pack("!HH", 56324, 25)


# --- version 1 -------------------------------------------------------------------------------


def test_version_1_over_ipv4() -> None:
    octets = b"PROXY TCP4 192.0.2.1 198.51.100.9 56324 25\r\n"
    assert header_of(octets) == TCP4
    assert format_proxy_header(TCP4) == octets


def test_version_1_over_ipv6() -> None:
    header = header_of(b"PROXY TCP6 2001:DB8:0::1 ::1 0 65535\r\n")
    assert header.transport is ProxyTransport.TCP6
    assert header.source == ("2001:db8::1", 0)
    assert header.destination == ("::1", 65535)
    assert format_proxy_header(header) == b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"


def test_version_1_with_an_ipv4_address_mapped_to_ipv6() -> None:
    header = header_of(b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n")
    assert header.source == ("192.0.2.1", 1)
    assert header.destination == ("192.0.2.2", 2)
    assert format_proxy_header(header) == (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n")


def test_version_2_with_an_ipv4_address_mapped_to_ipv6() -> None:
    addresses = bytes(10) + b"\xff\xff\xc0\0\2\1" + bytes(15) + b"\1" + b"\0\1\0\2"
    header = header_of(v2(addresses, transport=0x21))
    assert header.source == ("192.0.2.1", 1)
    assert header.destination == ("::1", 2)
    assert format_proxy_header(header) == v2(addresses, transport=0x21)


@pytest.mark.parametrize(
    "octets",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN whatever \xff\0 stands here\r\n",
        b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n",
    ],
)
def test_version_1_unknown_keeps_the_sockets_address(octets: bytes) -> None:
    assert header_of(octets) == UNKNOWN
    assert format_proxy_header(UNKNOWN) == b"PROXY UNKNOWN\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY ",
        b"PROXY TCP4",
        b"PROXY UNKNOWNS",
        b"PROXY unknown",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 ",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2",
        b"PROXY TCP4\t192.0.2.1 192.0.2.2 1 2",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 99999 1",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 \xd9\xa1 2",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2",
        b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2",
        b"PROXY TCP4 192.0.2 192.0.2.2 1 2",
        b"PROXY TCP4 ::1 ::1 1 2",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2",
        b"PROXY TCP6 ::1 192.0.2.2 1 2",
        b"PROXY TCP6 ::1 :::1 1 2",
        b"PROXY TCP6 1::2::3 ::1 1 2",
        b"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2",
        b"PROXY TCP6 ::1 ::g 1 2",
    ],
)
def test_version_1_malformed(line: bytes) -> None:
    assert refusal_of(line + b"\r\n") == "malformed PROXY header"


@pytest.mark.parametrize(
    "octets",
    [
        b"PROXY UNKNOWN\n",
        b"PROXY UNKNOWN\rx",
        b"PROXY UNKNOWN\r\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 56324 25\nEHLO x\r\n",
    ],
)
def test_version_1_ends_with_crlf_only(octets: bytes) -> None:
    assert refusal_of(octets) == "bare CR or LF in the PROXY header"


@pytest.mark.parametrize("tail", [b"ff", b"f\r", b"ff\r\n", b"f\r\n"])
def test_version_1_ends_within_107_octets(tail: bytes) -> None:
    assert refusal_of(b"PROXY UNKNOWN " + b"f" * 91 + tail) == "too long a PROXY header"


# --- version 2 -------------------------------------------------------------------------------


def test_version_2_over_ipv4() -> None:
    header = header_of(v2(ADDRESSES4))
    assert header == ProxyHeader(
        2, ProxyCommand.PROXY, ProxyTransport.TCP4, TCP4.source, TCP4.destination
    )
    assert format_proxy_header(header) == v2(ADDRESSES4)


def test_version_2_over_ipv6() -> None:
    block = bytes([0x20, 1, 0x0D, 0xB8, *bytes(11), 1, *bytes(15), 1]) + b"\0\1\xff\xff"
    header = header_of(v2(block, transport=0x22))
    assert header.transport is ProxyTransport.UDP6
    assert header.source == ("2001:db8::1", 1)
    assert header.destination == ("::1", 65535)
    assert format_proxy_header(header) == v2(block, transport=0x22)


@pytest.mark.parametrize("transport", [0x31, 0x32])
def test_version_2_from_a_unix_socket_keeps_the_sockets_address(transport: int) -> None:
    block = b"/run/mail".ljust(108, b"\0") + bytes(108) + tlv(1, b"smtp")
    header = header_of(v2(block, transport=transport))
    assert header.transport.value == transport
    assert header.source is header.destination is None
    assert header.alpn == b"smtp"
    assert header_of(format_proxy_header(header)) == header


@pytest.mark.parametrize("block", [b"", ADDRESSES4, b"anything"])
@pytest.mark.parametrize("transport", [0x00, 0x11, 0xFF])
def test_version_2_local_keeps_the_sockets_address(block: bytes, transport: int) -> None:
    header = header_of(v2(block, command=0x20, transport=transport))
    assert header == ProxyHeader(2, ProxyCommand.LOCAL, ProxyTransport.UNSPEC)
    assert format_proxy_header(header) == v2(b"", command=0x20, transport=0)


@pytest.mark.parametrize("transport", [0x00, 0x01, 0x10, 0x20, 0x32 - 2])
def test_version_2_unspecified_keeps_the_sockets_address(transport: int) -> None:
    header = header_of(v2(b"anything", transport=transport))
    assert header == ProxyHeader(2, ProxyCommand.PROXY, ProxyTransport.UNSPEC)
    assert format_proxy_header(header) == v2(b"", transport=0)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (v2(ADDRESSES4, command=0x11), "not version 2 of the PROXY header"),
        (v2(ADDRESSES4, command=0x31), "not version 2 of the PROXY header"),
        (v2(ADDRESSES4, command=0x22), "unknown command in the PROXY header"),
        (v2(ADDRESSES4, transport=0x13), "unknown transport in the PROXY header"),
        (v2(ADDRESSES4, transport=0x41), "unknown transport in the PROXY header"),
        (v2(ADDRESSES4[:-1]), "truncated PROXY header"),
        (v2(b""), "truncated PROXY header"),
        (v2(ADDRESSES4, transport=0x21), "truncated PROXY header"),
        (v2(ADDRESSES4 + b"\1"), "truncated PROXY header"),
        (v2(ADDRESSES4 + b"\1\0\2x"), "truncated PROXY header"),
        (v2(b"", length=4081), "too long a PROXY header"),
        (v2(b"", length=65535), "too long a PROXY header"),
    ],
)
def test_version_2_refused(octets: bytes, reason: str) -> None:
    assert refusal_of(octets) == reason


def test_version_2_has_the_callers_limit() -> None:
    octets = v2(ADDRESSES4 + tlv(4, bytes(100)))
    assert isinstance(read([octets], limit=len(octets))[0], ProxyHeader)
    assert read([octets], limit=len(octets) - 1)[0] == ProxyRefused("too long a PROXY header")


def test_tlvs() -> None:
    tls = bytes([0x01 | 0x04]) + bytes(4)
    tls += tlv(0x21, b"TLSv1.3") + tlv(0x23, b"TLS_AES_128_GCM_SHA256") + tlv(0x22, b"J\xc3\xb6rg")
    block = ADDRESSES4 + tlv(1, b"smtp") + tlv(2, "mx.例.example".encode())
    block += tlv(5, b"id-1") + tlv(0x20, tls) + tlv(4, b"") + tlv(1, b"other") + tlv(0xE0, b"\0")
    header = header_of(v2(block))
    assert header.alpn == b"smtp", "the first of a type counts"
    assert header.authority == "mx.例.example"
    assert header.unique_id == b"id-1"
    assert header.tlv(0xE0) == b"\0"
    assert header.tlv(0xE1) is None
    assert len(header.tlvs) == 7
    assert header.tls == ProxyTls(
        used=True,
        certificate=True,
        verified=True,
        version="TLSv1.3",
        cipher="TLS_AES_128_GCM_SHA256",
        common_name="Jörg",
    )
    assert format_proxy_header(header) == v2(block)
    assert "other" not in repr(header)


def test_no_tlvs() -> None:
    header = header_of(v2(ADDRESSES4))
    assert (header.alpn, header.authority, header.unique_id, header.tls) == (None,) * 4
    assert header.tlvs == ()


@pytest.mark.parametrize("authority", [b"\xff", b"a\nb", b"a\x7f", "a\x85".encode(), b""])
def test_an_authority_is_printable_text(authority: bytes) -> None:
    assert header_of(v2(ADDRESSES4 + tlv(2, authority))).authority is None


def test_a_unique_id_has_at_most_128_octets() -> None:
    assert header_of(v2(ADDRESSES4 + tlv(5, b"x" * 128))).unique_id == b"x" * 128
    assert header_of(v2(ADDRESSES4 + tlv(5, b"x" * 129))).unique_id is None


@pytest.mark.parametrize(
    ("client", "verify", "tls"),
    [
        (0x00, 0, ProxyTls(used=False, certificate=False, verified=False)),
        (0x01, 0, ProxyTls(used=True, certificate=False, verified=False)),
        (0x03, 0, ProxyTls(used=True, certificate=True, verified=True)),
        (0x03, 1, ProxyTls(used=True, certificate=True, verified=False)),
        (0x05, 256, ProxyTls(used=True, certificate=True, verified=False)),
    ],
)
def test_tls_facts(client: int, verify: int, tls: ProxyTls) -> None:
    block = ADDRESSES4 + tlv(0x20, struct.pack("!BI", client, verify))
    assert header_of(v2(block)).tls == tls


@pytest.mark.parametrize("ssl", [b"", b"\1\0\0\0", b"\1\0\0\0\0x", b"\1\0\0\0\0\x21\0\1"])
def test_malformed_tls_facts_are_none(ssl: bytes) -> None:
    header = header_of(v2(ADDRESSES4 + tlv(0x20, ssl)))
    assert header.tls is None
    assert header.tlv(0x20) == ssl


def crc32c(octets: bytes) -> int:
    """Bit by bit, from the polynomial."""
    crc = 0xFFFFFFFF
    for octet in octets:
        for bit in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if (crc ^ octet >> bit) & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    zeroed = v2(ADDRESSES4 + tlv(3, bytes(4)) + tlv(1, b"smtp"))
    checksum = struct.pack("!I", crc32c(zeroed))
    header = header_of(v2(ADDRESSES4 + tlv(3, checksum) + tlv(1, b"smtp")))
    assert header.tlvs == ((1, b"smtp"),)
    octets = format_proxy_header(header, checksum=True)
    assert octets == v2(ADDRESSES4 + tlv(1, b"smtp") + octets[-7:])
    assert header_of(octets) == header


@pytest.mark.parametrize(
    "tlvs",
    [
        tlv(3, bytes(4)),
        tlv(3, b""),
        tlv(3, bytes(5)),
        tlv(1, b"x") + tlv(3, b"\1\2\3\4"),
    ],
)
def test_wrong_checksum(tlvs: bytes) -> None:
    assert refusal_of(v2(ADDRESSES4 + tlvs)) == "wrong checksum in the PROXY header"


def test_every_bit_is_checked() -> None:
    header = ProxyHeader(
        2, ProxyCommand.PROXY, ProxyTransport.TCP4, TCP4.source, TCP4.destination, ((1, b"x"),)
    )
    octets = format_proxy_header(header, checksum=True)
    for at in range(16, len(octets)):
        for bit in range(8):
            damaged = bytearray(octets)
            damaged[at] ^= 1 << bit
            result, _ = read([bytes(damaged)])
            # Damage to a type or a length hides the checksum, but never the damage to the rest.
            assert result != header
            if at < 28:
                assert result == ProxyRefused("wrong checksum in the PROXY header")


def test_two_checksums_are_one_too_many() -> None:
    zeroed = v2(ADDRESSES4 + tlv(3, bytes(4)) + tlv(3, bytes(4)))
    checksum = struct.pack("!I", crc32c(zeroed))
    octets = v2(ADDRESSES4 + tlv(3, checksum) + tlv(3, bytes(4)))
    assert refusal_of(octets) == "wrong checksum in the PROXY header"


# --- neither ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO client.example\r\n",
        b"PROXX",
        b"PROXYTCP4",
        b"proxy UNKNOWN\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\r\n\r\n\0\r\nQUIX",
        b"\r\nPROXY UNKNOWN\r\n",
        b"\0",
    ],
)
def test_no_header(octets: bytes) -> None:
    assert refusal_of(octets) == "no PROXY header"


@pytest.mark.parametrize(
    "octets", [b"", b"PROX", b"PROXY UNKNOWN\r", SIGNATURE, v2(ADDRESSES4)[:-1]]
)
def test_end_of_file_within_the_header(octets: bytes) -> None:
    reader = ProxyReader()
    if octets:
        assert reader.receive_data(octets) is None
    assert reader.receive_data(b"") == ProxyRefused("the connection ended within the PROXY header")
    assert reader.wanted == 0


def test_nothing_is_read_behind_the_header() -> None:
    reader = ProxyReader()
    reader.receive_data(bytearray(b"PROXY UNKNOWN"))
    reader.receive_data(memoryview(b"\r\n"))
    with pytest.raises(ValueError, match="already"):
        reader.receive_data(b"x")


def test_the_longest_header_that_can_be_written() -> None:
    def header(size: int) -> ProxyHeader:
        tlvs = ((4, bytes(size)),)
        ends = ("192.0.2.1", 1), ("192.0.2.2", 2)
        return ProxyHeader(2, ProxyCommand.PROXY, ProxyTransport.TCP4, *ends, tlvs)

    assert len(format_proxy_header(header(65535 - 12 - 3))) == 16 + 65535
    with pytest.raises(ValueError, match="too long"):
        format_proxy_header(header(65535 - 12 - 3 + 1))


# --- reading exactly the header --------------------------------------------------------------


def read_exactly(octets: bytes) -> tuple[Result, int, int]:
    """As an adapter does in front of TLS; also how many octets and reads it took."""
    reader = ProxyReader()
    at = reads = 0
    while wanted := reader.wanted:
        reader.receive_data(octets[at : at + wanted])
        at += wanted
        reads += 1
    assert reader.rest == b""
    return reader.result, at, reads


@pytest.mark.parametrize(
    "octets",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN x\r\n",
        b"PROXY UNKNOWN  xy\r\n",
        b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 1\r\n",
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        b"PROXY TCP6 :: :: 0 0\r\n",
        b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n",
        v2(ADDRESSES4),
        v2(b"", command=0x20, transport=0),
        v2(ADDRESSES4 + tlv(4, bytes(3000))),
    ],
)
def test_wanted_never_overshoots(octets: bytes) -> None:
    client_hello = b"\x16\x03\x01" + bytes(300)
    header, taken, reads = read_exactly(octets + client_hello)
    assert (header, b"") == read([octets])
    assert taken == len(octets)
    assert reads <= 50


@pytest.mark.parametrize(
    "octets", [b"PROXY TCP4" + b" " * 97, b"PROXY TCP4 " + b"1" * 96, b"PROXY " + b"\r" * 101]
)
def test_wanted_ends_with_a_refusal(octets: bytes) -> None:
    refused, taken, _ = read_exactly(octets + bytes(300))
    assert isinstance(refused, ProxyRefused)
    assert taken <= 107


# --- every header, any octets ----------------------------------------------------------------

PORTS = st.integers(min_value=0, max_value=65535)
ENDPOINTS4 = st.tuples(st.ip_addresses(v=4).map(str), PORTS)
ENDPOINTS6 = st.tuples(st.ip_addresses(v=6).map(str).map(canonical_ip), PORTS)
TLVS = st.lists(
    st.tuples(st.integers(min_value=0, max_value=255).filter(lambda n: n != 3), st.binary()),
    max_size=4,
).map(tuple)


@given(st.booleans(), st.data(), CUTS)
def test_version_1_headers(ipv6: bool, data: st.DataObject, cuts: list[int]) -> None:
    endpoints = ENDPOINTS6 if ipv6 else ENDPOINTS4
    transport = ProxyTransport.TCP6 if ipv6 else ProxyTransport.TCP4
    header = ProxyHeader(
        1, ProxyCommand.PROXY, transport, data.draw(endpoints), data.draw(endpoints)
    )
    octets = format_proxy_header(header)
    assert len(octets) <= 107
    assert read(divided_without_gaps(octets + b"x", cuts)) == (header, b"x")
    assert read_exactly(octets)[:2] == (header, len(octets))


@given(
    st.sampled_from([0x11, 0x12, 0x21, 0x22]).map(ProxyTransport),
    st.data(),
    TLVS,
    st.booleans(),
    CUTS,
)
def test_version_2_headers(
    transport: ProxyTransport,
    data: st.DataObject,
    tlvs: tuple[tuple[int, bytes], ...],
    checksum: bool,
    cuts: list[int],
) -> None:
    endpoints = ENDPOINTS6 if transport.name.endswith("6") else ENDPOINTS4
    header = ProxyHeader(
        2, ProxyCommand.PROXY, transport, data.draw(endpoints), data.draw(endpoints), tlvs
    )
    octets = format_proxy_header(header, checksum=checksum)
    assert read(divided_without_gaps(octets + b"x", cuts)) == (header, b"x")
    assert read_exactly(octets)[:2] == (header, len(octets))


def divided_without_gaps(octets: bytes, cuts: list[int]) -> list[bytes]:
    """Divided; an empty chunk would be the end of file."""
    return [chunk for chunk in divided(octets, cuts) if chunk]


STARTS = st.sampled_from(
    [
        b"",
        b"PROXY ",
        b"PROXY TCP4 ",
        b"PROXY TCP6 ::1 ",
        b"PROXY UNKNOWN",
        SIGNATURE,
        SIGNATURE + b"\x21\x11\0\x20",
        v2(ADDRESSES4, length=30),
        v2(ADDRESSES4 + b"\x03", length=20),
    ]
)
NOISE = st.one_of(
    st.binary(max_size=120),
    st.text(" .:\r\n0123456789abcdefTCPUNKOW", max_size=120).map(str.encode),
)


@given(STARTS, NOISE, CUTS)
def test_no_octets_raise(start: bytes, noise: bytes, cuts: list[int]) -> None:
    octets = start + noise
    result, rest = read([octets] if octets else [])
    divided_result, divided_rest = read(divided_without_gaps(octets, cuts))
    assert divided_result == result
    if isinstance(result, ProxyHeader):
        assert divided_rest == rest
        assert result.authority is None or result.authority.isprintable()
        assert result.tls is None or isinstance(result.tls, ProxyTls)


# --- writing ---------------------------------------------------------------------------------


def header(
    version: int,
    transport: ProxyTransport,
    source: tuple[str, int] | None = ("192.0.2.1", 1),
    destination: tuple[str, int] | None = ("192.0.2.2", 2),
    tlvs: tuple[tuple[int, bytes], ...] = (),
    command: ProxyCommand = ProxyCommand.PROXY,
) -> ProxyHeader:
    return ProxyHeader(version, command, transport, source, destination, tlvs)


UNSPEAKABLE = {
    "the PROXY protocol has versions 1 and 2": [
        header(0, ProxyTransport.TCP4),
        header(3, ProxyTransport.TCP4),
    ],
    "version 1 has TCP only": [
        header(1, ProxyTransport.UDP4),
        header(1, ProxyTransport.UNIX_STREAM, None, None),
    ],
    "UNSPEC has no addresses": [
        header(1, ProxyTransport.UNSPEC),
        header(1, ProxyTransport.UNSPEC, None),
        header(1, ProxyTransport.UNSPEC, destination=None),
        header(2, ProxyTransport.UNSPEC),
    ],
    "version 1 has no LOCAL, TLVs or checksum": [
        header(1, ProxyTransport.UNSPEC, None, None, command=ProxyCommand.LOCAL),
        header(1, ProxyTransport.TCP4, tlvs=((1, b""),)),
    ],
    "TCP4 needs two addresses": [
        header(1, ProxyTransport.TCP4, None),
        header(2, ProxyTransport.TCP4, destination=None),
    ],
    "an address of another family, or with a zone": [
        header(1, ProxyTransport.TCP4, ("::1", 1)),
        header(1, ProxyTransport.TCP6, ("fe80::1%x", 1), ("fe80::1", 1)),
    ],
    "'192.0.2.1\\r\\n' does not appear to be an IPv4 or IPv6 address": [
        header(1, ProxyTransport.TCP4, ("192.0.2.1\r\n", 1)),
    ],
    "'mx.example' does not appear to be an IPv4 or IPv6 address": [
        header(1, ProxyTransport.TCP6, ("mx.example", 1)),
    ],
    "a port is 0 to 65535": [
        header(1, ProxyTransport.TCP4, ("192.0.2.1", 65536)),
        header(2, ProxyTransport.TCP4, ("192.0.2.1", -1)),
    ],
    "LOCAL has no transport, and without one there are no TLVs": [
        header(2, ProxyTransport.TCP4, command=ProxyCommand.LOCAL),
        header(2, ProxyTransport.UNSPEC, None, None, ((1, b""),)),
    ],
    "UNIX_STREAM has no addresses": [
        header(2, ProxyTransport.UNIX_STREAM),
    ],
    "a TLV's type is one octet (not CRC32C's), its value up to 65535": [
        header(2, ProxyTransport.TCP4, tlvs=((3, bytes(4)),)),
        header(2, ProxyTransport.TCP4, tlvs=((256, b""),)),
        header(2, ProxyTransport.TCP4, tlvs=((1, bytes(65536)),)),
    ],
    "too long for a PROXY header": [
        header(2, ProxyTransport.TCP4, tlvs=((1, bytes(40000)), (1, bytes(40000)))),
    ],
}


@pytest.mark.parametrize(
    ("unspeakable", "reason"),
    [(header, reason) for reason, headers in UNSPEAKABLE.items() for header in headers],
)
def test_what_cannot_be_said(unspeakable: ProxyHeader, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        format_proxy_header(unspeakable)


def test_where_there_cannot_be_a_checksum() -> None:
    for unchecked in (TCP4, header(2, ProxyTransport.UNSPEC, None, None)):
        with pytest.raises(ValueError, match=r"checksum|TLVs"):
            format_proxy_header(unchecked, checksum=True)
