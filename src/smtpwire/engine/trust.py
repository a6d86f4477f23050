"""Which peers a configuration lists, by address or network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias, final

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = ["NOBODY", "TrustList"]

_Address: TypeAlias = "IPv4Address | IPv6Address"
_Network: TypeAlias = "IPv4Network | IPv6Network"
_MAPPED: Final = 96
"""Bits before the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2)."""


@final
class TrustList:
    """Addresses and networks of peers; ``in`` compares addresses, however they are spelled.

    An IPv4-mapped IPv6 address (``::ffff:192.0.2.1``) is the IPv4 address it holds, as a
    dual-stack socket tells it. What is no address of IP, such as the empty one of a UNIX socket,
    is never in it.

    ``name`` is the setting's name, for the error. Raises ValueError for an entry that is neither
    an address nor a network, and for a single string in place of several.
    """

    __slots__ = ("_addresses", "_networks")

    def __init__(self, entries: Iterable[str], name: str = "trust list") -> None:
        if isinstance(entries, str):
            raise ValueError(f"{name} takes several addresses, not one string: {entries!r}")
        networks = {_network(entry, name) for entry in entries}
        self._addresses: frozenset[_Address] = frozenset(
            network.network_address
            for network in networks
            if network.prefixlen == network.max_prefixlen
        )
        self._networks: tuple[_Network, ...] = tuple(
            network for network in networks if network.prefixlen < network.max_prefixlen
        )

    @property
    def entries(self) -> frozenset[str]:
        """The addresses and networks in it, each in its one spelling."""
        return frozenset(map(str, (*self._addresses, *self._networks)))

    def __eq__(self, other: object) -> bool:
        return self.entries == other.entries if isinstance(other, TrustList) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.entries)

    def __reduce__(self) -> tuple[object, ...]:
        return TrustList, (tuple(self.entries),)

    def __bool__(self) -> bool:
        return bool(self._addresses or self._networks)

    def __contains__(self, address: str) -> bool:
        if not self:
            return False
        from ipaddress import IPv6Address, ip_address

        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return parsed in self._addresses or any(parsed in network for network in self._networks)


def _network(entry: object, name: str) -> _Network:
    """An entry as a network: an address is one of a single member."""
    from ipaddress import ip_network

    if not isinstance(entry, str):
        raise ValueError(f"{name}: {entry!r} is no address or network: give each as a string")
    try:
        return _unmapped(ip_network(entry))
    except ValueError:
        raise ValueError(
            f"{name}: {entry!r} is neither an address such as 192.0.2.1 or 2001:db8::1 nor a"
            f" network such as 192.0.2.0/24{_meant(entry)}"
        ) from None


def _meant(entry: str) -> str:
    """Of an address with its network, such as 192.0.2.1/24, which network that is."""
    from ipaddress import ip_network

    try:
        return f"; did you mean {_unmapped(ip_network(entry, strict=False))}?"
    except ValueError:
        return ""


def _unmapped(network: _Network) -> _Network:
    from ipaddress import IPv4Network, IPv6Network

    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED))
    return network


NOBODY: Final = TrustList(())
"""The list without an entry."""
