"""What a server offers a client in one situation, and what follows from it."""

from __future__ import annotations

from typing import Final, final

from smtpwire.engine.limits import Limits
from smtpwire.extensions import AUTH, LIMITS, PIPELINING, SIZE, Offer
from smtpwire.wire.command import PLAIN_LINE_LIMIT, Grammar
from smtpwire.wire.value import value

__all__ = ["TO_LISTED", "Plan", "Situation"]

TO_LISTED: Final = frozenset({"XCLIENT", "XFORWARD", "PIPECONNECT", "X_PIPE_CONNECT"})
"""Keywords that only listed clients may have."""


@final
@value
class Situation:
    """What decides which of its extensions a service offers.

    ``bindings``: there is channel binding data; ``certificate``: the client proved one;
    ``withheld``: keywords this client may not have.
    """

    tls: bool = False
    bindings: bool = False
    certificate: bool = False
    withheld: frozenset[str] = frozenset()


@final
class Plan:
    """An offer, the grammar of the commands under it, the bounds it sets, EHLO's reply."""

    __slots__ = (
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
    )

    def __init__(self, offer: Offer, grammar: Grammar, limits: Limits, hello: bytes) -> None:
        self.offer = offer
        self.grammar = grammar
        self.hello = hello
        self.mechanisms = offer.get(AUTH) or ()
        self.limits = offer.get(LIMITS)
        self.pipelining = PIPELINING in offer
        self.recipients = limits.recipients
        bounds = [bound for bound in (offer.get(SIZE), limits.message) if bound]
        self.message = min(bounds, default=0)  # octets; 0 is no limit
        longest = max((grammar.command_line, *grammar.line_limits.values()))
        self.read_limit = min(longest, limits.backlog)  # what is never read is never answered
        self.plain_limit = min(PLAIN_LINE_LIMIT, grammar.command_line, limits.backlog)
