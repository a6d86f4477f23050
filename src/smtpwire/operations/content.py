"""The content of a message: octets, an iterable of them, or chunks the driver hands in."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from enum import Enum
from typing import Final, Literal, TypeAlias, cast

from smtpwire.wire.octets import is_buffer, octets_of

__all__ = [
    "END_OF_CONTENT",
    "HANDED_IN",
    "Chunk",
    "Content",
    "HandingIn",
    "checked_content",
]


class HandingIn(Enum):
    """How a driver hands the content in; each member has a name of its own below."""

    HANDED_IN = "handed in"
    END_OF_CONTENT = "end of content"


HANDED_IN: Final = HandingIn.HANDED_IN
"""In the content's place: the driver hands the chunks in, each at a ``Need.BODY``."""
END_OF_CONTENT: Final = HandingIn.END_OF_CONTENT
"""At ``Need.BODY``, after the last chunk: that was all."""

Chunk: TypeAlias = bytes | bytearray | memoryview
"""Octets; of a memoryview and other buffers the items are octets too, else it is a TypeError."""
Content: TypeAlias = Chunk | Iterable[Chunk] | Literal[HandingIn.HANDED_IN]
"""A message: octets, an iterable of chunks of octets, or HANDED_IN."""


def checked_content(content: Content | AsyncIterable[Chunk]) -> Content:
    """The content, octets as bytes. Raises TypeError for anything else, and says what to pass.

    Chunks that are there already are checked now; others when they come.
    """
    if type(content) is bytes or content is HANDED_IN:
        return content
    if is_buffer(content):
        return octets_of(content, "content")
    given: object = content
    if isinstance(given, list | tuple):
        return [octets_of(chunk) for chunk in given]
    if isinstance(given, str):
        raise TypeError("the content is a str: pass bytes, as by content.encode()")
    if hasattr(given, "encoding"):
        raise TypeError("the content is a file in text mode: open it in binary mode, with 'rb'")
    if hasattr(given, "as_bytes"):
        raise TypeError(f"the content is of {type(given).__name__}: pass its as_bytes()")
    if isinstance(given, AsyncIterable):
        raise TypeError("the content is asynchronous: pass HANDED_IN, and the chunks at Need.BODY")
    if not isinstance(given, Iterable):
        raise TypeError(
            f"the content is of {type(given).__name__}: pass bytes, an iterable of bytes,"
            " or HANDED_IN"
        )
    return cast(Content, given)
