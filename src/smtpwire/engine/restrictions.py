"""What a service may offer a client now: the same rules for every way of offering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, final

from smtpwire.extensions import (
    AUTH,
    ENHANCEDSTATUSCODES,
    LIMITS,
    SIZE,
    STARTTLS,
    Offer,
    Offered,
    ServerLimits,
)
from smtpwire.sasl import binds, family
from smtpwire.wire.value import replace, value

if TYPE_CHECKING:
    from smtpwire.engine.server_config import ServerConfig

__all__ = ["OfferConditions", "restricted"]


@final
@value
class OfferConditions:
    """What decides which extensions a service offers, beside its configuration.

    ``bindings``: there is channel binding data; ``certificate``: the client proved one;
    ``listed``: keywords of the extensions for which the configuration lists this client.
    """

    tls: bool = False
    bindings: bool = False
    certificate: bool = False
    listed: frozenset[str] = frozenset()


def restricted(offer: Offer, config: ServerConfig, conditions: OfferConditions) -> Offer:
    """What of an offer this service may make to a client under these conditions.

    What may not be offered now is left out, with what requires it; a parameter that promises more
    than the service takes is lowered to what it takes.
    """
    items = []
    for item in offer:
        restrict = _RESTRICTIONS.get(item.extension.keyword)
        allowed = item if restrict is None else restrict(item, offer, config, conditions)
        if allowed is not None:
            items.append(allowed)
    return Offer(items).restricted(config.profile, tls=conditions.tls, listed=conditions.listed)


Restriction = Callable[[Offered, Offer, "ServerConfig", OfferConditions], Offered | None]
"""Given what is offered, the whole offer, the service and the conditions; None: not offered."""


def _starttls(
    item: Offered, offer: Offer, config: ServerConfig, now: OfferConditions
) -> Offered | None:
    return item if config.starttls else None  # else the adapter holds no certificate


def _enhanced(
    item: Offered, offer: Offer, config: ServerConfig, now: OfferConditions
) -> Offered | None:
    return item if config.enhanced else None  # RFC 2034 §3: who offers it sends them


def _size(
    item: Offered, offer: Offer, config: ServerConfig, now: OfferConditions
) -> Offered | None:
    told, limit = offer[SIZE], config.limits.message
    if told is None or not limit or 0 < told <= limit:  # RFC 1870 §3: 0 is no fixed maximum
        return item
    return SIZE(limit)


def _limits(
    item: Offered, offer: Offer, config: ServerConfig, now: OfferConditions
) -> Offered | None:
    told: ServerLimits = offer[LIMITS]
    if told.rcptmax is None or told.rcptmax <= config.limits.recipients:
        return item
    return LIMITS(replace(told, rcptmax=config.limits.recipients))


def _auth(
    item: Offered, offer: Offer, config: ServerConfig, now: OfferConditions
) -> Offered | None:
    cleartext = now.tls or config.cleartext_without_tls
    mechanisms = tuple(
        name
        for name in offer[AUTH]
        if (cleartext or not family(name).cleartext)
        and (now.bindings or not binds(name))
        and (now.certificate or not family(name).certified)
    )
    return AUTH(mechanisms) if mechanisms else None


def _xclient(
    item: Offered, offer: Offer, config: ServerConfig, now: OfferConditions
) -> Offered | None:
    from smtpwire.extensions.xclient import XCLIENT

    names = tuple(name for name in offer[XCLIENT] if name != "LOGIN" or config.xclient_login)
    return XCLIENT(names) if names else None


_RESTRICTIONS: Final[Mapping[str, Restriction]] = {
    STARTTLS.keyword: _starttls,
    ENHANCEDSTATUSCODES.keyword: _enhanced,
    SIZE.keyword: _size,
    LIMITS.keyword: _limits,
    AUTH.keyword: _auth,
    "XCLIENT": _xclient,
}
"""By keyword: what the service's own settings and the conditions leave of an extension."""
