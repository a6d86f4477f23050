"""ATRN: after AUTH the roles swap, and what waits is sent on this connection (RFC 2645)."""

from __future__ import annotations

from typing import Final, final

from smtpwire.extensions.registry import Extension, Profile, flag, no_parameter
from smtpwire.wire.address import parse_domain
from smtpwire.wire.command import ExtensionRequest, Verb
from smtpwire.wire.sequences import CommandReplies
from smtpwire.wire.value import value

__all__ = ["ATRN", "ATRN_VERB", "Atrn"]


@final
@value(typed=True)
class Atrn(ExtensionRequest):
    """Send what waits for these domains; none: for all of the customer's (RFC 2645 §5.2.1)."""

    verb = "ATRN"
    special = "ATRN"

    domains: tuple[str, ...] = ()

    def __bytes__(self) -> bytes:
        argument = _format(self)
        if _parse(argument) != self:
            raise ValueError("not a list of domains (RFC 2645 §5.2.1)")
        return b"ATRN " + argument.encode() if argument else b"ATRN"


def _parse(argument: str) -> Atrn:
    domains = tuple(argument.split(",")) if argument else ()
    for domain in domains:
        if (
            "." not in domain
            or domain[0] == "["
            or not domain.isascii()
            or parse_domain(domain.encode()) is None
        ):
            raise ValueError("not a list of domains (RFC 2645 §5.2.1)")
    return Atrn(domains)


def _format(atrn: Atrn) -> str:
    return ",".join(atrn.domains)


ATRN_VERB: Final[Verb[Atrn]] = Verb(
    "ATRN",
    _parse,
    _format,
    make=_parse,
    in_transaction=False,
    blocking=True,  # §5.3: after it the server is the client
    replies=CommandReplies((250,), (450, 451, 453, 530), source="RFC 2645 §5.2.1"),
)

# §5.1.1 wants AUTH in the same reply. It is not required here: after AUTH a server may leave it
# out, and without authentication ATRN is refused anyway (530, §5.2.1).
ATRN: Final[Extension[bool]] = Extension(
    "ATRN",
    "RFC 2645",
    "mail on demand: the roles swap",
    flag,
    no_parameter,
    verbs=(ATRN_VERB,),
    profiles=frozenset({Profile.RELAY}),
)
"""ATRN, RFC 2645: mail on demand: the roles swap. Its value in an offer is True."""
