"""XCLIENT: a proxy says which client it acts for (Postfix XCLIENT_README)."""

from __future__ import annotations

from typing import Final, final

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

__all__ = ["XCLIENT", "XCLIENT_VERB", "XClient"]


@final
@value(typed=True)
class XClient(ExtensionRequest):
    """From now on the client is this one; what is None stays as it is.

    Accepted with 220, it starts the session anew. The values are the peer's words: check
    them before they go into a header or a log. IP addresses are in their one
    spelling (:func:`~smtpwire.wire.canonical_ip`). ``others`` are attributes beyond Postfix's,
    decoded, in order.

    ``name``, ``reverse_name``: the client's host, as verified and as the address's name says.
    ``address`` and ``port``: the client's; ``destination_address`` and ``destination_port``: the
    server's. ``protocol``: SMTP or ESMTP. ``hello``: the name in EHLO. ``login``: who had logged
    in.
    """

    verb = "XCLIENT"
    special = "XCLIENT"

    name: Text = None
    address: Text = None
    port: Port = None
    protocol: Text = None
    hello: Text = None
    login: Text = None
    destination_address: Text = None
    destination_port: Port = None
    reverse_name: Text = None
    others: tuple[tuple[str, str | Unavailable], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", spelled(self.address))
        object.__setattr__(self, "destination_address", spelled(self.destination_address))

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of the attributes of which something is said."""
        return tuple(name for name, said in _attributes(self) if said is not None)

    def __bytes__(self) -> bytes:
        argument = _format(self)
        if _parse(argument) != self:
            raise ValueError("not attributes of a client (XCLIENT_README)")
        return b"XCLIENT " + argument.encode()


def _parse(argument: str) -> XClient:
    given = Attributes(argument)
    return XClient(
        given.text("NAME"),
        given.address("ADDR", only_ip=True),
        given.port("PORT"),
        given.text("PROTO"),
        given.text("HELO"),
        given.text("LOGIN"),
        given.address("DESTADDR", only_ip=True),
        given.port("DESTPORT"),
        given.text("REVERSE_NAME"),
        given.others(),
    )


def _format(client: XClient) -> str:
    return format_attributes(*_attributes(client))


def _attributes(client: XClient) -> tuple[Said, ...]:
    return (
        ("NAME", client.name),
        ("ADDR", tagged(client.address)),
        ("PORT", client.port),
        ("PROTO", client.protocol),
        ("HELO", client.hello),
        ("LOGIN", client.login),
        ("DESTADDR", tagged(client.destination_address)),
        ("DESTPORT", client.destination_port),
        ("REVERSE_NAME", client.reverse_name),
        *client.others,
    )


XCLIENT_VERB: Final[Verb[XClient]] = Verb(
    "XCLIENT",
    _parse,
    _format,
    make=_parse,
    in_transaction=False,
    blocking=True,  # the session starts anew
    replies=CommandReplies((220,), (421, 501, 503, 550), source="XCLIENT_README"),
    positive=220,
)

XCLIENT: Final[Extension[tuple[str, ...]]] = Extension(
    "XCLIENT",
    "Postfix",
    "acting for another client; the attributes taken",
    parse_names,
    format_names,
    verbs=(XCLIENT_VERB,),
    when=When.TO_LISTED,
    default="NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME",
)
"""Its value: the attributes' names, such as NAME and ADDR; by default all.

A server offers LOGIN only where it believes it (``ServerConfig.xclient_login``).
"""
