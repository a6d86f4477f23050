"""What XCLIENT and XFORWARD say about a client: attributes with values in xtext.

As documented for Postfix in XCLIENT_README and XFORWARD_README.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, TypeAlias

from smtpwire.extensions.grammar import ascii_upper
from smtpwire.wire.ip import canonical_ip, one_spelling
from smtpwire.wire.octets import parse_number
from smtpwire.wire.xtext import decode_xtext, encode_xtext

__all__ = [
    "Attributes",
    "Port",
    "Said",
    "Text",
    "Unavailable",
    "format_attributes",
    "format_names",
    "parse_names",
    "spelled",
    "tagged",
]


class Unavailable(Enum):
    """An attribute that is not known, and whether it may be known later."""

    PERMANENTLY = "[UNAVAILABLE]"
    TEMPORARILY = "[TEMPUNAVAIL]"


Text: TypeAlias = str | Unavailable | None
"""An attribute's value; None: nothing is said of it."""

Port: TypeAlias = int | Unavailable | None
"""A port from 0 to 65535; None: nothing is said of it."""

Said: TypeAlias = tuple[str, str | int | Unavailable | None]
"""An attribute's name, and what is said of it."""

_ATTRIBUTE: Final = r"([A-Za-z][A-Za-z0-9_-]*+)=([!-<>-~]++)"
_NAME: Final = r"[A-Z][A-Z0-9_-]*+"
_LONGEST: Final = 255
_UNAVAILABLE: Final = {choice.value: choice for choice in Unavailable}
_IPV6: Final = "IPV6:"


class Attributes:
    """The attributes of one command, taken out by name; ValueError where they are malformed."""

    def __init__(self, argument: str) -> None:
        self._values: dict[str, str | Unavailable] = {}
        words = [word for word in argument.split(" ") if word]
        if not words:
            raise ValueError("no attributes")
        for word in words:
            found = re.fullmatch(_ATTRIBUTE, word)
            if found is None:
                raise ValueError("not attribute=value")
            name = found[1].upper()
            if name in self._values:
                raise ValueError("an attribute stands twice")
            text = decode_xtext(found[2])
            if len(text) > _LONGEST:
                raise ValueError("longer than 255 characters")
            self._values[name] = _UNAVAILABLE.get(text.upper(), text)

    def text(self, name: str) -> Text:
        """Any text, at most 255 characters."""
        return self._values.pop(name, None)

    def address(self, name: str, *, only_ip: bool) -> Text:
        """An IP address in its one spelling; else, unless ``only_ip``, the text as it is."""
        address = self._values.pop(name, None)
        if not isinstance(address, str):
            return address
        tagged = address[:5].upper() == _IPV6
        text = address[5:] if tagged else address
        if tagged == (":" in text) and _is_ip(text):
            return canonical_ip(text)
        if only_ip:
            raise ValueError(f"{name} is no address")
        return address

    def port(self, name: str) -> Port:
        """A port in decimal."""
        port = self._values.pop(name, None)
        return parse_number(port, most=65535) if isinstance(port, str) else port

    def others(self) -> tuple[tuple[str, str | Unavailable], ...]:
        """What has not been taken out."""
        return tuple(self._values.items())


def _is_ip(text: str) -> bool:
    """Whether it is an IP address; a zone means something on one host only."""
    try:
        canonical_ip(text)
    except ValueError:
        return False
    return "%" not in text


def spelled(address: Text) -> Text:
    """An attribute that an application gave: an IP address in its one spelling."""
    return one_spelling(address) if isinstance(address, str) else address


def format_attributes(*attributes: Said) -> str:
    """The command's argument; attributes of None are left out."""
    words = []
    for name, said in attributes:
        if isinstance(said, Unavailable):
            words.append(f"{name}={said.value}")
        elif said is not None:
            words.append(f"{name}={encode_xtext(str(said))}")
    return " ".join(words)


def tagged(address: Text) -> Text:
    """An address as it is written: one of IPv6 with its tag."""
    if isinstance(address, str) and ":" in address and _is_ip(address):
        return _IPV6 + address
    return address


def parse_names(parameters: str) -> tuple[str, ...]:
    """The attributes which a server says it takes."""
    words = ascii_upper(parameters).split(" ")
    return tuple(dict.fromkeys(word for word in words if re.fullmatch(_NAME, word)))


def format_names(names: tuple[str, ...]) -> str:
    """The inverse of :func:`parse_names`."""
    return " ".join(names)
