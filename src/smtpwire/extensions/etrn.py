"""ETRN: please start sending what waits for this host (RFC 1985)."""

from __future__ import annotations

from typing import Final, Literal, final

from smtpwire.extensions.registry import Extension, Profile, flag, no_parameter
from smtpwire.wire.address import parse_domain
from smtpwire.wire.command import ExtensionRequest, Verb
from smtpwire.wire.octets import CONTROLS
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import CommandReplies
from smtpwire.wire.value import value

__all__ = ["ETRN", "ETRN_VERB", "Etrn"]


@final
@value(typed=True)
class Etrn(ExtensionRequest):
    """Start the queue of ``node``; ``option`` "@": of all its subdomains, "#": a queue (§5.3)."""

    verb = "ETRN"

    node: str
    option: Literal["", "@", "#"] = ""

    def __bytes__(self) -> bytes:
        argument = _format(self)
        if _parse(argument) != self:
            raise ValueError("not a node or queue by this option (RFC 1985 §5)")
        return b"ETRN " + argument.encode()


def _parse(argument: str) -> Etrn:
    if argument[:1] == "#":
        return Etrn(_queue(argument[1:]), "#")
    if argument[:1] == "@":
        return Etrn(_domain(argument[1:]), "@")
    return Etrn(_domain(argument))


def _domain(node: str) -> str:
    if not node.isascii() or parse_domain(node.encode()) is None:
        raise ValueError("not a domain (RFC 1985 §5)")
    return node


def _queue(name: str) -> str:
    if not name or " " in name or not name.isascii() or CONTROLS.search(name):
        raise ValueError("not a queue's name (RFC 1985 §5.3)")
    return name


def _format(etrn: Etrn) -> str:
    return etrn.option + etrn.node


ETRN_VERB: Final[Verb[Etrn]] = Verb(
    "ETRN",
    _parse,
    _format,
    make=_parse,
    in_transaction=False,  # §5
    replies=CommandReplies((250, 251, 252, 253), (458, 459, 500, 501), source="RFC 1985 §5.1"),
    default=Reply(458, "Unable to queue messages", "4.7.0"),
)

ETRN: Final[Extension[bool]] = Extension(
    "ETRN",
    "RFC 1985",
    "starting the queue for a host",
    flag,
    no_parameter,
    verbs=(ETRN_VERB,),
    profiles=frozenset({Profile.RELAY}),
)
"""ETRN, RFC 1985: starting the queue for a host. Its value in an offer is True."""
