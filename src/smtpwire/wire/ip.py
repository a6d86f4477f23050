"""IP addresses as text: each has one spelling, so that texts of one host compare equal."""

from __future__ import annotations

__all__ = ["address_literal", "canonical_ip", "one_spelling"]


def canonical_ip(address: str | bytes) -> str:
    """The one spelling of an IP address, given as text or as its 4 or 16 octets.

    IPv4 is dotted. IPv6 is in lower case with its longest run of zeros as ``::`` (RFC 5952 §4);
    a zone stays (``fe80::1%eth0``). An IPv4 address mapped to IPv6, as a socket for both families
    has it, is the IPv4 address (RFC 4291 §2.5.5.2): ``ipaddress`` alone spells it differently
    before and from Python 3.13 on.

    Raises ValueError where it is no IP address.
    """
    import ipaddress  # a library of its own: most of what imports this module never needs it

    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def address_literal(address: str) -> str:
    """The literal of an IP address, as EHLO says it (RFC 5321 §4.1.3): ``[IPv6:2001:db8::1]``.

    Without a zone, which means something on this host only. Raises ValueError where it is no
    address.
    """
    found, _, _ = canonical_ip(address).partition("%")
    return f"[IPv6:{found}]" if ":" in found else f"[{found}]"


def one_spelling(text: str) -> str:
    """The same for a text that need not be an IP address: anything else stays as it is."""
    try:
        return canonical_ip(text) if text else text
    except ValueError:
        return text
