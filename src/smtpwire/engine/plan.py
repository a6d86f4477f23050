"""What a server offers a client in one situation, and what follows from it."""

from typing import final

from smtpwire.engine.limits import Limits
from smtpwire.extensions import AUTH, SIZE, Offer
from smtpwire.wire.command import Grammar
from smtpwire.wire.value import value

__all__ = ["Plan", "Situation"]


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

    __slots__ = ("grammar", "hello", "mechanisms", "message", "offer", "read_limit")

    def __init__(self, offer: Offer, grammar: Grammar, limits: Limits, hello: bytes) -> None:
        self.offer = offer
        self.grammar = grammar
        self.hello = hello
        self.mechanisms = offer.get(AUTH) or ()
        bounds = [bound for bound in (offer.get(SIZE), limits.message) if bound]
        self.message = min(bounds, default=0)  # octets; 0 is no limit
        longest = max((grammar.command_line, *grammar.line_limits.values()))
        self.read_limit = min(longest, limits.backlog)  # what is never read is never answered
