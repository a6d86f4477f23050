"""How an input decides: its first octets are choices, the rest is what the peer sends."""

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
    match mode % _MODES:
        case 0:
            return [octets[at : at + 1] for at in range(len(octets))]
        case 1:
            at = seed * len(octets) // 256
            parts = [octets[:at], octets[at:]]
        case 2:
            parts = _pieces(octets, seed)
        case 3:
            parts = octets.splitlines(keepends=True)
        case _:  # between CR and LF
            first, *others = octets.split(b"\n")
            parts = [first, *(b"\n" + part for part in others)]
    return [part for part in parts if part]


def few(parts: list[bytes]) -> list[bytes]:
    """The parts, but the last of many as one: what they show, fewer show as well, and sooner."""
    return parts if len(parts) <= _FEW else [*parts[:_FEW], b"".join(parts[_FEW:])]


def _pieces(octets: bytes, seed: int) -> list[bytes]:
    """Pieces of 1 to 16 octets, in an order that ``seed`` picks."""
    parts: list[bytes] = []
    at = 0
    state = seed
    while at < len(octets):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        size = 1 + (state >> 16) % 16
        parts.append(octets[at : at + size])
        at += size
    return parts
