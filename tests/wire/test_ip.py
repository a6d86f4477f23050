"""One address, one spelling: RFC 5952 §4, RFC 4291 §2.5.5.2."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import read

from smtpwire.engine.events import Peer
from smtpwire.extensions import XCLIENT, XFORWARD, XClient, XForward
from smtpwire.wire.address import Address, parse_domain
from smtpwire.wire.ip import address_literal, canonical_ip, one_spelling

SPELLINGS = [
    ("192.0.2.5", "192.0.2.5"),
    ("::ffff:192.0.2.5", "192.0.2.5"),
    ("::FFFF:192.0.2.5", "192.0.2.5"),
    ("::ffff:c000:205", "192.0.2.5"),
    ("0:0:0:0:0:ffff:c000:0205", "192.0.2.5"),
    ("2001:DB8:0:0::0001", "2001:db8::1"),
    ("::1", "::1"),
    ("::192.0.2.5", "::c000:205"),  # IPv4-compatible is something else (RFC 4291 §2.5.5.1)
]


@pytest.mark.parametrize(("text", "canonical"), [*SPELLINGS, ("FE80::1%eth0", "fe80::1%eth0")])
def test_one_spelling(text: str, canonical: str) -> None:
    assert canonical_ip(text) == one_spelling(text) == canonical
    assert canonical_ip(canonical) == canonical
    assert Peer(text, destination_address=text) == Peer(canonical, destination_address=canonical)


@pytest.mark.parametrize(
    "text", ["", "mx.example", "192.0.2", "192.0.2.05", "[192.0.2.5]", "/run/x"]
)
def test_what_is_no_ip_address_stays_as_it_is(text: str) -> None:
    with pytest.raises(ValueError):
        canonical_ip(text)
    assert one_spelling(text) == text
    assert Peer(text).address == text


@given(st.ip_addresses())
def test_every_address_stays_the_same_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    for spelling in (str(address), address.exploded, address.exploded.upper(), address.packed):
        assert canonical_ip(spelling) == canonical_ip(str(address))


@pytest.mark.parametrize(("text", "canonical"), SPELLINGS)
def test_xclient_and_xforward_name_one_address_in_one_way(text: str, canonical: str) -> None:
    said = f"IPV6:{text}" if ":" in text else text
    for command in (XClient(address=text, destination_address=text), XForward(address=text)):
        assert command.address == canonical
    assert read(f"XCLIENT ADDR={said} DESTADDR={said}", XCLIENT(())) == XClient(
        address=canonical, destination_address=canonical
    )
    assert read(f"XFORWARD ADDR={said}", XFORWARD(())) == XForward(address=canonical)
    assert read(bytes(XClient(address=text)).decode(), XCLIENT(())) == XClient(address=canonical)


@pytest.mark.parametrize(
    ("domain", "ip"),
    [
        ("[192.0.2.5]", "192.0.2.5"),
        ("[192.000.002.005]", "192.0.2.5"),
        ("[0.0.0.0]", "0.0.0.0"),
        ("[IPv6:::ffff:192.0.2.005]", "192.0.2.5"),
        ("[ipv6:2001:0DB8::0]", "2001:db8::"),
        ("[IPv6:1:2:3:4:5:6:7:0008]", "1:2:3:4:5:6:7:8"),
        ("[x-net:::1]", None),
        ("192.0.2.5", None),
        ("example.com", None),
    ],
)
def test_the_ip_address_of_an_address_literal(domain: str, ip: str | None) -> None:
    assert Address("a", domain).ip == ip
    assert Address("Postmaster", "").ip is None


@pytest.mark.parametrize(
    ("address", "literal"),
    [
        ("192.0.2.1", "[192.0.2.1]"),
        ("2001:DB8::0:1", "[IPv6:2001:db8::1]"),
        ("::ffff:192.0.2.1", "[192.0.2.1]"),
        ("fe80::1%eth0", "[IPv6:fe80::1]"),
    ],
)
def test_an_address_as_ehlo_says_it(address: str, literal: str) -> None:
    """RFC 5321 §4.1.3."""
    assert address_literal(address) == literal
    assert parse_domain(literal.encode()) == literal


def test_what_is_no_address_has_no_literal() -> None:
    with pytest.raises(ValueError, match=r"example\.org"):
        address_literal("example.org")
