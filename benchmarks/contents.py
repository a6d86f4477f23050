"""What the messages contain: each kind of body as content and as it goes over the wire."""

import base64
import random
from collections.abc import Callable
from functools import cache

from benchmarks.harness import KIB

__all__ = [
    "CHUNK",
    "KINDS",
    "MESSAGE",
    "chunked",
    "content",
    "stuffed",
    "wire",
]

CHUNK = 64 * KIB

_WORDS = (
    b"the message was carried from one host to another by a relay which kept no copy of it and "
    b"told nobody what it said. Mail that is late is still mail, as every postmaster knows; "
    b"a queue is a promise. On Tuesday, e.g. at 10.30, version 2.1 went out to lists.example.org."
).split()


def _base64() -> bytes:
    octets = random.Random(1).randbytes(57 * 800)
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def _text() -> bytes:
    choose = random.Random(2)
    lines = []
    for _ in range(700):
        line = b""
        while len(line) < choose.randrange(40, 76):
            line += choose.choice(_WORDS) + b" "
        lines.append(line.rstrip())
        if not choose.randrange(8):
            lines.append(b"")
    return b"\r\n".join(lines) + b"\r\n"


def _dots() -> bytes:
    return b"".join(b"." + line + b"\r\n" for line in _text().split(b"\r\n") if line)


def _repeated(line: bytes) -> Callable[[], bytes]:
    return lambda: line * (40 * KIB // len(line))


KINDS: dict[str, Callable[[], bytes]] = {
    "base64": _base64,
    "text": _text,
    "a dot on every line": _dots,
    "3-octet lines": _repeated(b"a\r\n"),
    "empty lines": _repeated(b"\r\n"),
    "lone dots": _repeated(b".\r\n"),
    "two dots a line": _repeated(b"..\r\n"),
    "lines of dots": _repeated(b"." * 998 + b"\r\n"),
    "longest lines": _repeated(b"x" * 998 + b"\r\n"),
    "octets above 127": _repeated("Grüße, ça va, здравствуйте. ".encode() * 2 + b"\r\n"),
    "dots in the middle": _repeated(b"a.b.c.d.e.f.g.h\r\n"),
}
"""Valid bodies by name; each makes a block of whole lines."""


@cache
def content(kind: str, octets: int) -> bytes:
    """A body of whole lines, at least so many octets and hardly more, before dot-stuffing."""
    block = KINDS[kind]()
    body = block * (octets // len(block) + 1)
    return body[: body.index(b"\r\n", octets - 2) + 2]


def stuffed(body: bytes) -> bytes:
    """The body as DATA carries it, with its end."""
    lines = body.replace(b"\r\n.", b"\r\n..")
    return (b"." + lines if lines.startswith(b".") else lines) + b".\r\n"


def chunked(octets: bytes, size: int = CHUNK) -> list[bytes]:
    """The octets in pieces, as a socket would hand them over."""
    return [octets[start : start + size] for start in range(0, len(octets), size)]


@cache
def wire(kind: str, octets: int) -> list[bytes]:
    """A body as DATA carries it, end included, in chunks of 64 KiB."""
    return chunked(stuffed(content(kind, octets)))


def _message() -> bytes:
    header = (
        b"Date: Mon, 06 Jul 2026 09:00:00 +0000\r\n"
        b"From: Alice <alice@example.com>\r\n"
        b"To: Bob <bob@example.org>\r\n"
        b"Message-ID: <benchmark-1@example.com>\r\n"
        b"Subject: One KiB of mail\r\n"
        b"\r\n"
    )
    body = header + content("text", 4 * KIB)
    return body[: KIB - 2] + b"\r\n"


MESSAGE = _message()
"""The message of every figure that does not say otherwise: 1 KiB."""
