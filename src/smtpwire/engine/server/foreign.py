"""The first words of other protocols, as somebody sends them who took the port for another's."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

__all__ = ["foreign_word", "is_foreign_word"]

_WORDS: Final = frozenset(
    # HTTP's methods and header fields a browser sends, other protocols' first words
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH HOST: USER-AGENT: CONTENT-LENGTH:"
    b" CONTENT-TYPE: REFERER: ORIGIN: PRI INVITE REGISTER".split()
)
_STARTS: Final = (b"SSH-", b"\x16\x03")  # SSH, and TLS where none is spoken


def foreign_word(line: bytes, verbs: Container[bytes]) -> bytes:
    """What a line begins with, where that is another protocol's; else nothing.

    ``verbs``: those of this service, in upper case. Of a line that is still to come, enough has
    come to tell, or it says nothing yet.
    """
    word, blank, _ = line.partition(b" ")
    verb = word.upper()
    if blank and verb in _WORDS and verb not in verbs:
        return word
    return next((start for start in _STARTS if line.startswith(start)), b"")


def is_foreign_word(line: bytes) -> bool:
    """Whether a line is such a word and nothing more."""
    return line in _STARTS or line.upper() in _WORDS
