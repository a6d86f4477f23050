"""BURL: a submission server fetches the body from a URL (RFC 4468)."""

from __future__ import annotations

import re
from typing import Final, final

from smtpwire.extensions.registry import SUBMISSION_ONLY, Extension
from smtpwire.wire.command import ExtensionRequest, Verb
from smtpwire.wire.sequences import CommandReplies
from smtpwire.wire.value import field, value

__all__ = ["BURL", "BURL_VERB", "Burl"]

_BURL: Final = r"([A-Za-z][A-Za-z0-9+.-]*+:[!-~]++)(?: ++([Ll][Aa][Ss][Tt]))?"  # §3.5


@final
@value(typed=True)
class Burl(ExtensionRequest):
    """A part of the body, or all of it, stands at this URL (RFC 4468 §3.2).

    The URL can be a key to a mailbox (RFC 4467): it is never shown.

    ``url``: an absolute URI. ``last``: the message ends with it.
    """

    verb = "BURL"
    special = "BURL"

    url: str = field(repr=False)
    last: bool = False

    def __bytes__(self) -> bytes:
        argument = _format(self)
        if _parse(argument) != self:
            raise ValueError("not an absolute URI (RFC 4468 §3.5)")
        return b"BURL " + argument.encode()


def _parse(argument: str) -> Burl:
    found = re.fullmatch(_BURL, argument)
    if found is None:
        raise ValueError("not an absolute URI (RFC 4468 §3.5)")
    return Burl(found[1], found[2] is not None)


def _format(burl: Burl) -> str:
    return f"{burl.url} LAST" if burl.last else burl.url


# §3.2: BURL and BDAT mix, and the whole transaction may go in one group.
BURL_VERB: Final[Verb[Burl]] = Verb(
    "BURL",
    _parse,
    _format,
    make=_parse,
    grouped=True,
    secret=True,
    replies=CommandReplies((250,), (554,), source="RFC 4468 §5"),
    timeout="block",
)


def _parse_schemes(parameters: str) -> tuple[str, ...]:
    return tuple(word for word in parameters.split(" ") if word)


def _format_schemes(schemes: tuple[str, ...]) -> str:
    return " ".join(schemes)


BURL: Final[Extension[tuple[str, ...]]] = Extension(
    "BURL",
    "RFC 4468",
    "bodies by reference; what URLs may be",
    _parse_schemes,
    _format_schemes,
    verbs=(BURL_VERB,),
    # The RFC gives no figure, and a URL with its authorization passes 512 octets.
    increments=(("BURL", 1536),),
    requires=("8BITMIME",),  # §4
    profiles=SUBMISSION_ONLY,  # §3.1 (1)
)
"""Its value: ``imap`` and ``imap://server``; empty: only after AUTH (RFC 4468 §3.1, §3.3)."""
