"""Which of the offered mechanisms a client takes: the strongest one that is safe here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final, Protocol, final

from smtpwire.sasl.credentials import Credentials, Password, check_credentials
from smtpwire.sasl.registry import FAMILIES, binds, check_mechanism, family
from smtpwire.wire.checked import checked, type_of
from smtpwire.wire.value import value

__all__ = [
    "Choice",
    "ChoicePolicy",
    "NoMechanism",
    "TlsFacts",
    "choose_mechanism",
    "offers_plus",
]


_TOLD: Final = 20
"""Names of mechanisms in one error: the words of a peer are bounded."""


class TlsFacts(Protocol):
    """What the choice needs to know of the TLS below."""

    @property
    def version(self) -> str:
        """As Python's ssl names it: "TLSv1.3"."""

    @property
    def verified(self) -> bool:
        """Whether the server's certificate and name have been verified."""


@final
@value(checked=True)
class ChoicePolicy:
    """Named exceptions from the safe choice. All of them are off.

    cleartext_without_tls: PLAIN, LOGIN and tokens on an unencrypted connection.
    cleartext_without_verification: the same inside TLS with whomever it may be.
    md5_without_verified_tls: CRAM-MD5 and DIGEST-MD5 where somebody may listen: what he
        hears lets him guess the password offline.
    binding_type: the channel binding to use instead of the TLS version's default.
    mechanisms: if not empty, take none but these.

    Raises ValueError for a mechanism that nobody knows here.
    """

    cleartext_without_tls: bool = False
    cleartext_without_verification: bool = False
    md5_without_verified_tls: bool = False
    binding_type: str = ""
    mechanisms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.mechanisms:
            check_mechanism(name, tuple(FAMILIES))


@final
@value
class Choice:
    """Take this one. ``binding_type`` is the channel binding this client has, empty for none.

    Both go into `ClientMechanismConfig`, for a mechanism without -PLUS as well: SCRAM tells
    the server if it could have bound, so that a cut-down offer is found out (RFC 5802 §6).

    ``name``: the mechanism's.
    """

    name: str
    binding_type: str = ""


@final
@value
class NoMechanism:
    """None is usable. ``reason`` is a sentence for the application's user."""

    reason: str


_NAMES: Final = frozenset[str]


def offers_plus(offered: Collection[str]) -> bool:
    """Whether a list of mechanisms has one with channel binding."""
    return any(map(binds, _canonical(offered)))


def choose_mechanism(
    offered: Collection[str],
    credentials: Credentials,
    *,
    tls: TlsFacts | None,
    bindings: Mapping[str, bytes],
    refused: Collection[str] = (),
    failed: Collection[str] = (),
    policy: ChoicePolicy | None = None,
) -> Choice | NoMechanism:
    """Choose the strongest usable mechanism of the server's latest offer.

    tls: None on an unencrypted connection.
    bindings: the channel bindings at hand, octets by type.
    refused: mechanisms the server would not do (504, 534, 538), or that were cancelled: they
        are left out.
    failed: mechanisms which ended in 535: the same credentials are not tried again.

    A -PLUS mechanism needs the binding type that is the default of the TLS version
    (RFC 9266 §3: tls-exporter in TLS 1.3, tls-unique before) or the one the policy names.
    Once one has failed or was refused no other mechanism is taken: somebody may have cut the
    offer down (RFC 5802 §6).
    """
    check_credentials(credentials)
    refused, failed = checked("refused", refused, _NAMES), checked("failed", failed, _NAMES)
    policy = policy or ChoicePolicy()
    if any(map(binds, (*refused, *failed))):
        return NoMechanism("a mechanism with channel binding failed: the path is not trusted")
    if failed:
        return NoMechanism("the server has refused these credentials")
    binding_type = _binding_type(tls, bindings, policy)
    names = _canonical(offered)
    fitting = [
        name
        for name, row in FAMILIES.items()
        if name in names and isinstance(credentials, row.credentials)
    ]
    if not fitting:
        return NoMechanism(_nothing_fits(names))
    reason = f"the policy takes none of what is offered and fits: {', '.join(fitting)}"
    for name in fitting:
        if name in refused:
            reason = f"the server has refused {name}"
        elif not policy.mechanisms or name in policy.mechanisms:
            objection = _objection(name, credentials, tls, binding_type, policy)
            if not objection:
                return Choice(name, binding_type)
            reason = objection
    return NoMechanism(reason)


def _nothing_fits(names: frozenset[str]) -> str:
    """Only what can be the name of a mechanism is told (RFC 4422 §3.1), and not too much of it."""
    told = sorted(name for name in names if re.fullmatch("[A-Z0-9_-]{1,20}", name))[:_TOLD]
    if not told:
        return "the server offers no mechanism"
    return f"the server offers no mechanism for these credentials: {', '.join(told)}"


def _canonical(offered: Collection[str]) -> frozenset[str]:
    """The names in upper case; what is not ASCII names no mechanism (RFC 4422 §3.1)."""
    names = checked("offered", offered, _NAMES)
    return frozenset(name.upper() for name in names if name.isascii())


def _binding_type(tls: TlsFacts | None, bindings: Mapping[str, bytes], policy: ChoicePolicy) -> str:
    if tls is None:
        return ""
    if not hasattr(tls, "version"):
        raise TypeError(f"tls is {type_of(tls)}: pass a TlsInfo, or None where there is no TLS")
    default = "tls-exporter" if tls.version == "TLSv1.3" else "tls-unique"
    wanted = policy.binding_type or default
    return wanted if bindings.get(wanted) else ""


def _objection(
    name: str,
    credentials: Credentials,
    tls: TlsFacts | None,
    binding_type: str,
    policy: ChoicePolicy,
) -> str:
    """Why this mechanism must not be used here; "" if it may."""
    row = family(name)
    if binds(name) and not binding_type:
        return f"{name} needs a channel binding"
    if not row.authzid and isinstance(credentials, Password) and credentials.authzid:
        return f"{name} cannot carry an authorization identity"
    if row.cleartext:
        if tls is None and not policy.cleartext_without_tls:
            return f"{name} reveals the secret and is not used without TLS"
        if tls is not None and not (tls.verified or policy.cleartext_without_verification):
            return f"{name} reveals the secret and the server's certificate is not verified"
    verified = tls is not None and tls.verified
    if row.guessable and not (verified or policy.md5_without_verified_tls):
        return f"{name} lets a listener guess the password and is not used without verified TLS"
    return ""
