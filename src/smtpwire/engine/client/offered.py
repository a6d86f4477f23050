"""A server's offer, and what it lets a client send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from smtpwire.engine.errors import UnwritableError
from smtpwire.extensions import AUTH, LIMITS, Offer, Registry
from smtpwire.extensions.limits import ServerLimits
from smtpwire.wire.command import COMMAND_LINE, AnyVerb
from smtpwire.wire.ehlo import parse_ehlo
from smtpwire.wire.parameter import AnyParameter, Parameters
from smtpwire.wire.reply import Reply

__all__ = ["NO_OFFER", "ServerOffer", "nothing_offered", "offer_of"]

NO_OFFER: Final = Offer()

_UNLIMITED: Final = ServerLimits()


@final
class ServerOffer:
    """An offer, and what follows from it for the commands of a client.

    Parameters, verbs and longer lines belong to extensions, and what was not offered is not sent
    (RFC 5321 §4.1.1, §4.1.1.11).

    Attributes:
        offer: the extensions.
        assumed: an earlier connection's, relied on before the server has made it.
        pipelining: commands may be written in groups (RFC 2920).
        mechanisms: of AUTH.
        limits: what LIMITS says; ``limited``: whether it says anything.
    """

    __slots__ = (
        "_checks",
        "_line_limits",
        "_mail",
        "_rcpt",
        "_registry",
        "assumed",
        "limited",
        "limits",
        "mechanisms",
        "offer",
        "pipelining",
    )

    def __init__(self, offer: Offer, registry: Registry, *, assumed: bool = False) -> None:
        self.offer: Offer = offer
        self.assumed: bool = assumed
        self.pipelining: bool = "PIPELINING" in offer
        self.mechanisms: tuple[str, ...] = offer.get(AUTH) or ()
        self.limits: ServerLimits = offer.get(LIMITS) or _UNLIMITED
        self.limited: bool = self.limits != _UNLIMITED
        self._registry = registry
        self._checks = [item.extension.check for item in offer if item.extension.check is not None]
        self._mail = offer.mail
        self._rcpt = offer.rcpt
        self._line_limits: Mapping[str, int] = offer.line_limits()

    def check_offered(self, keyword: str, what: str) -> None:
        """Raise UnwritableError where the extension is not offered, naming it."""
        if keyword not in self.offer:
            raise UnwritableError(_not_offered(what, keyword))

    def check_mail(self, parameters: Parameters) -> None:
        """Raise UnwritableError for a parameter of MAIL that may not be sent."""
        self._check_parameters("MAIL", self._mail, parameters)

    def check_rcpt(self, parameters: Parameters) -> None:
        """The same for RCPT."""
        self._check_parameters("RCPT", self._rcpt, parameters)

    def check_line(self, verb: str, line: bytes) -> None:
        """Raise UnwritableError for a line longer than the offer allows (RFC 5321 §4.5.3.1.4).

        ``line`` is with its CRLF.
        """
        limit = self._line_limits.get(verb, COMMAND_LINE)
        if len(line) > limit:
            raise UnwritableError(
                f"the {verb} line has {len(line)} octets, and {limit} are allowed"
                " (RFC 5321 §4.5.3.1.4)"
            )

    def verb(self, name: str) -> AnyVerb:
        """An extension's verb; UnwritableError where nobody knows it, or it is not offered."""
        entry = self._registry.verbs.get(name)
        if entry is None:
            raise UnwritableError(
                f"{name} is a verb of no known extension: ClientConfig.registry names yours, and"
                " RFC 5321's own verbs have classes, as Noop()"
            )
        self.check_offered(entry.keyword, name)
        return next(verb for verb in entry.verbs if verb.name == name)

    def _check_parameters(
        self, verb: str, allowed: Mapping[str, AnyParameter], parameters: Parameters
    ) -> None:
        for given in parameters:
            if given.keyword not in allowed:
                entry = self._registry.parameters.get((verb, given.keyword))
                keyword = given.keyword if entry is None else entry.keyword
                raise UnwritableError(
                    f"{_not_offered(f'{verb} {given.keyword}', keyword)} (RFC 5321 §4.1.1.11)"
                )
        for check in self._checks:  # Offer.check(), without those that have none
            error = check(self.offer, parameters)
            if error is not None:
                raise UnwritableError(f"{verb}: {error.reason}")


def _not_offered(what: str, keyword: str) -> str:
    if what == keyword:
        return f"the server does not offer {keyword}"
    return f"{what} needs {keyword}, which the server does not offer"


# A client meets the same few servers, and their replies to EHLO are the same word for word. What is
# made of one is never changed; the replies are small, bounded in number, forgotten all at once.
_KNOWN: Final[dict[str, tuple[Registry, ServerOffer]]] = {}
_REMEMBERED: Final = 64
_SMALL: Final = 4096


def offer_of(reply: Reply, registry: Registry) -> ServerOffer:
    """What a reply to EHLO or LHLO offers."""
    text = reply.text
    known = _KNOWN.get(text)
    if known is not None and known[0] is registry:
        return known[1]
    made = ServerOffer(registry.read(parse_ehlo(reply).keywords), registry)
    if len(text) <= _SMALL:
        _remember(text, registry, made)
    return made


def nothing_offered(registry: Registry) -> ServerOffer:
    """Before EHLO, and after HELO."""
    known = _KNOWN.get("")
    if known is not None and known[0] is registry:
        return known[1]
    made = ServerOffer(NO_OFFER, registry)
    _remember("", registry, made)
    return made


def _remember(text: str, registry: Registry, made: ServerOffer) -> None:
    if len(_KNOWN) >= _REMEMBERED:
        _KNOWN.clear()
    _KNOWN[text] = registry, made
