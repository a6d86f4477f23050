"""What a trace or an event may show of a line: never a secret."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import Final

from smtpwire.sasl import MECHANISMS
from smtpwire.wire import secrets

__all__ = [
    "REDACTED",
    "looks_like_auth",
    "redacted",
    "without_echoes",
    "without_proofs",
    "without_secrets",
]

REDACTED: Final = secrets.REDACTED.encode()
_NAMES: Final = frozenset(name.encode() for name in MECHANISMS)
_AUTH: Final = rb"(?:\A|\r)[ \t]*AUTH"
_STARTS: Final = frozenset({b"A", b"a", b" ", b"\t"})
CR: Final = 0x0D
# Patterns of what is rare are compiled when first used: re keeps them.
_PLAUSIBLE: Final = rb"[A-Z]{1,12}|[A-Z]?[a-z]{1,11}"
"""A verb as somebody would write one. Words of base64 have digits, or letters of both cases."""
_PROOF: Final = rb"(?<=334 )(?:dj[01]|cnNwYXV0aD[01])[^\r\n]*"
"""The base64 of ``v=`` (RFC 5802 §7) and of ``rspauth=`` (RFC 2831 §2.1.3)."""


def looks_like_auth(line: bytes) -> bool:
    """Whether a line starts like AUTH, or goes on so behind a bare CR."""
    if line[:1] not in _STARTS and CR not in line:
        return False  # as nearly always: a quarter of the search
    return re.search(_AUTH, line, re.IGNORECASE) is not None


def redacted(line: bytes) -> bytes:
    """What may be shown of a line that looks like AUTH: the mechanism, where it is a known one.

    A damaged verb or name has the same secret behind it.
    """
    verb, _, argument = line.partition(b" ")
    name, blank, _ = argument.lstrip(b" ").partition(b" ")
    if len(verb) != 4 or name.upper() not in _NAMES:
        return b"AUTH " + REDACTED
    return b"AUTH " + name + (b" " + REDACTED if blank else b"")


def without_proofs(replies: bytes) -> bytes:
    """What may be shown of replies: not by what a server proves that it knows the password.

    With the challenge before it that is all one needs to guess the password offline.
    """
    return re.sub(_PROOF, REDACTED, replies)


def without_secrets(line: bytes, verbs: Container[bytes]) -> bytes:
    """What may be shown of a line that a server received, whatever it is.

    ``verbs`` are those whose lines hold no secrets, in upper case: theirs are shown whole. Of any
    other line only the verb is shown, since it may be an AUTH with a slip in it; and nothing where
    that is no plausible verb.
    """
    if looks_like_auth(line):
        return redacted(line)
    verb, blank, argument = line.partition(b" ")
    if verb.upper() in verbs:
        if _is_open(argument):
            return line
    elif not re.fullmatch(_PLAUSIBLE, verb):
        return REDACTED
    return verb + b" " + REDACTED if blank else verb


def without_echoes(octets: bytes, words: Iterable[bytes]) -> bytes:
    """What may be shown of a server's octets that may repeat these words: the longest first.

    A secret can begin with another one, of which a rest would be shown.
    """
    longest = sorted(words, key=len, reverse=True)
    if not longest:
        return octets
    return re.sub(b"|".join(map(re.escape, longest)), REDACTED, octets)


def _is_open(argument: bytes) -> bool:
    """Whether the argument is text, which Telnet's options are not, and hides no secret."""
    try:
        return not secrets.hides_a_secret(argument.decode())
    except UnicodeDecodeError:
        return False
