"""An offer of a server, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from smtpwire.engine.commands import CommandRow, extension_row
from smtpwire.engine.limits import Limits
from smtpwire.extensions import AUTH, CHUNKING, LIMITS, PIPELINING, SIZE, Offer, ServerLimits
from smtpwire.sasl.registry import binds
from smtpwire.wire.command import PLAIN_LINE_LIMIT, Grammar

__all__ = ["OfferPlan"]


@final
class OfferPlan:
    """An offer, the grammar of the commands under it, the bounds it sets, EHLO's reply.

    ``rows``: what holds for the verbs of the extensions offered, by their octets.
    """

    __slots__ = (
        "binds",
        "chunking",
        "grammar",
        "hello",
        "limits",
        "mechanisms",
        "message",
        "offer",
        "pipelining",
        "plain_limit",
        "read_limit",
        "recipients",
        "rows",
    )

    def __init__(self, offer: Offer, grammar: Grammar, limits: Limits, hello: bytes) -> None:
        self.offer: Offer = offer
        self.grammar: Grammar = grammar
        self.hello: bytes = hello
        self.rows: Mapping[bytes, CommandRow] = {
            name: extension_row(verb) for name, verb in grammar.verbs.items()
        }
        self.mechanisms: tuple[str, ...] = offer.get(AUTH) or ()
        self.binds: bool = any(map(binds, self.mechanisms))
        self.limits: ServerLimits | None = offer.get(LIMITS)
        self.pipelining: bool = PIPELINING in offer
        self.chunking: bool = CHUNKING in offer
        self.recipients: int = limits.recipients
        bounds = [bound for bound in (offer.get(SIZE), limits.message) if bound]
        self.message: int = min(bounds, default=0)  # octets; 0 is no limit
        longest = max((grammar.command_line, *grammar.line_limits.values()))
        self.read_limit: int = min(longest, limits.backlog)  # what is never read is never answered
        self.plain_limit: int = min(PLAIN_LINE_LIMIT, grammar.command_line, limits.backlog)
