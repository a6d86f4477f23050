"""How an input decides: its first octets are choices, the rest is what the peer sends."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, final

__all__ = ["Choices", "cut", "few"]

_MODES: Final = 5
_FEW: Final = 6


@final
class Choices:
    """Reads decisions off the front of an input; one that is used up decides 0.

    Digits stand for their number, so that a seed can be written and read by hand.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def octet(self) -> int:
        """The next octet as a number; the digit 0 is 0."""
        if not self:
            return 0
        self._at += 1
        return (self._data[self._at - 1] - ord("0")) & 0xFF

    def below(self, limit: int) -> int:
        """A number below ``limit``."""
        return self.octet() % limit

    def rest(self) -> bytes:
        """Everything that has not been read."""
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest


def cut(octets: bytes, mode: int, seed: int) -> list[bytes]:
    """Divide a stream as ``mode`` and ``seed`` say; the parts are not empty."""
    return [part for part in _cut(octets, mode, seed) if part]


def few(octets: bytes, mode: int, seed: int) -> list[bytes]:
    """The same, but the last of many parts as one: fewer show what many do, and sooner."""
    parts = list(islice(filter(None, _cut(octets, mode, seed)), _FEW))
    rest = octets[sum(map(len, parts)) :]
    return [*parts, rest] if rest else parts


def _cut(octets: bytes, mode: int, seed: int) -> Iterable[bytes]:
    match mode % _MODES:
        case 0:
            return (octets[at : at + 1] for at in range(len(octets)))
        case 1:
            at = seed * len(octets) // 256
            return octets[:at], octets[at:]
        case 2:
            return _pieces(octets, seed)
        case 3:
            return octets.splitlines(keepends=True)
        case _:  # between CR and LF
            first, *others = octets.split(b"\n")
            return first, *(b"\n" + part for part in others)


def _pieces(octets: bytes, seed: int) -> Iterator[bytes]:
    """Pieces of 1 to 16 octets, in an order that ``seed`` picks."""
    at = 0
    state = seed
    while at < len(octets):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        size = 1 + (state >> 16) % 16
        yield octets[at : at + size]
        at += size
