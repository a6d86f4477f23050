"""XFORWARD: which client a message came from, for the log (Postfix XFORWARD_README)."""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias, final

from smtpwire.extensions.client_attributes import (
    Attributes,
    Port,
    Said,
    Text,
    Unavailable,
    format_attributes,
    format_names,
    parse_names,
    spelled,
    tagged,
)
from smtpwire.extensions.registry import Extension, When
from smtpwire.wire.command import ExtensionRequest, Verb
from smtpwire.wire.sequences import CommandReplies
from smtpwire.wire.value import value

__all__ = ["XFORWARD", "XFORWARD_VERB", "Source", "XForward"]


class Source(Enum):
    """Where a message began, as seen from the host before."""

    LOCAL = "LOCAL"
    REMOTE = "REMOTE"


_Source: TypeAlias = Source | Unavailable | None
_SOURCES: Final = {source.value: source for source in Source}


@final
@value(typed=True)
class XForward(ExtensionRequest):
    """The next message came from this client; what is None stays as it was said before.

    An ``address`` need not be one of IP. The values are the peer's words: check them
    before they go into a header or a log. ``others`` are further attributes.

    ``name``, ``address``, ``port``: the client's. ``protocol``: SMTP or ESMTP. ``hello``: the name
    in EHLO. ``ident``: the message's name in that host's log. ``source``: whether the message began
    there.
    """

    verb = "XFORWARD"
    special = "XFORWARD"

    name: Text = None
    address: Text = None
    port: Port = None
    protocol: Text = None
    hello: Text = None
    ident: Text = None
    source: _Source = None
    others: tuple[tuple[str, str | Unavailable], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", spelled(self.address))

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of the attributes of which something is said."""
        return tuple(name for name, said in _attributes(self) if said is not None)

    def __bytes__(self) -> bytes:
        argument = _format(self)
        if _parse(argument) != self:
            raise ValueError("not attributes of a client (XFORWARD_README)")
        return b"XFORWARD " + argument.encode()


def _parse(argument: str) -> XForward:
    given = Attributes(argument)
    return XForward(
        given.text("NAME"),
        given.address("ADDR", only_ip=False),
        given.port("PORT"),
        given.text("PROTO"),
        given.text("HELO"),
        given.text("IDENT"),
        _source(given.text("SOURCE")),
        given.others(),
    )


def _source(said: Text) -> _Source:
    if not isinstance(said, str):
        return said
    source = _SOURCES.get(said.upper())
    if source is None:
        raise ValueError("SOURCE is not LOCAL or REMOTE")
    return source


def _format(client: XForward) -> str:
    return format_attributes(*_attributes(client))


def _attributes(client: XForward) -> tuple[Said, ...]:
    return (
        ("NAME", client.name),
        ("ADDR", tagged(client.address)),
        ("PORT", client.port),
        ("PROTO", client.protocol),
        ("HELO", client.hello),
        ("IDENT", client.ident),
        ("SOURCE", client.source.value if isinstance(client.source, Source) else client.source),
        *client.others,
    )


# It may be pipelined, but not stand in a transaction.
XFORWARD_VERB: Final[Verb[XForward]] = Verb(
    "XFORWARD",
    _parse,
    _format,
    make=_parse,
    grouped=True,
    in_transaction=False,
    replies=CommandReplies((250,), (421, 501, 503, 550), source="XFORWARD_README"),
)

XFORWARD: Final[Extension[tuple[str, ...]]] = Extension(
    "XFORWARD",
    "Postfix",
    "which client a message came from; the attributes taken",
    parse_names,
    format_names,
    verbs=(XFORWARD_VERB,),
    when=When.TO_LISTED,
    default="NAME ADDR PORT PROTO HELO IDENT SOURCE",
)
"""Its value: the attributes' names, such as NAME and ADDR; by default all."""
