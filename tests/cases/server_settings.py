"""What a case gives, as the configuration of a server."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from tests.cases.case import Case
from tests.cases.decisions import DECISIONS, MESSAGE_LIMIT

from smtpwire.engine.limits import Limits
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import ENHANCEDSTATUSCODES, PIPELINING, REGISTRY, AnyExtension
from smtpwire.sasl import ServerFactory, ServerMechanism, ServerMechanismConfig
from smtpwire.sasl.cram_md5 import CramMD5Server
from smtpwire.sasl.scram import ScramServer
from smtpwire.wire.body import LineEndings
from smtpwire.wire.command import Leniency
from smtpwire.wire.value import replace

__all__ = ["Setting", "settings"]

HOST: Final = "mx.example"
NONCE: Final = "snonce1"

PROFILES: Final[Mapping[str, Callable[[str], ServerConfig]]] = {
    "relay": ServerConfig.relay,
    "submission": ServerConfig.submission,
    "lmtp": ServerConfig.lmtp,
}
LENIENT: Final = ServerConfig.submission(HOST).leniency
LENIENCIES: Final[Mapping[str, Leniency]] = {
    "strict": Leniency(),
    "lenient": LENIENT,
    # There is no switch for line ends: see the decision on the case.
    "lenient_newlines": LENIENT,
}
LIMITS: Final[Mapping[str, str]] = {
    "command_line": "command_line",
    "message_size": "message",
    "max_recipients": "recipients",
    "max_bad_commands": "errors",
    # What is held of a line that never ends is held in the backlog.
    "line_hard_limit": "backlog",
}
NO_SUCH_LIMIT: Final = frozenset(
    # RFC 5321 §4.5.3.1.6 bounds what a sender makes; a body is never held line by line here.
    {"data_line"}
)


@final
@dataclass(frozen=True, slots=True)
class Setting:
    """A configuration under which the case is run, and which way to be right it decides on."""

    name: str
    config: ServerConfig
    alternative: int | None = None


def settings(case: Case) -> Iterator[Setting]:
    """One, or more where the case leaves a choice that is a setting here."""
    config = _config(case)
    decision = DECISIONS.get(case.id)
    chosen = None if decision is None else decision.alternative
    match case.given.bare_newlines:
        case "":
            if decision is not None and decision.both_modes:
                yield Setting("strict", replace(config, leniency=Leniency()), 0)
                yield Setting("lenient", replace(config, leniency=LENIENT))
            else:
                yield Setting("as given", config, chosen)
        case "preserve":
            yield Setting("preserve", replace(config, line_endings=LineEndings.PRESERVE))
        case "engine's documented choice: reject or preserve":
            preserving = replace(config, line_endings=LineEndings.PRESERVE)
            yield Setting("reject", config, 0 if chosen is None else chosen)
            yield Setting("preserve", preserving, 1)
        case other:
            raise ValueError(f"{case.id}: unknown policy {other!r}")


def _config(case: Case) -> ServerConfig:
    given = case.given
    config = PROFILES[given.profile](HOST)
    config = replace(config, require_auth=given.require_auth, require_tls=given.require_tls)
    if given.extensions is not None:
        config = _offering(config, given.extensions)
    if given.auth_requires_tls:
        config = replace(config, mechanisms=("PLAIN", "LOGIN"), cleartext_without_tls=False)
    if given.mode:
        config = replace(config, leniency=LENIENCIES[given.mode])
    return replace(
        config,
        limits=_limits(case),
        custom_mechanisms=MappingProxyType(
            {name: _fixed(name, given.server_nonce or NONCE) for name in _RANDOM}
        ),
    )


def _limits(case: Case) -> Limits:
    numbers = {
        LIMITS[name]: number
        for name, number in case.given.limits.items()
        if name not in NO_SUCH_LIMIT
    }
    if case.id in MESSAGE_LIMIT:
        numbers["message"] = MESSAGE_LIMIT[case.id]
    return replace(Limits(), **numbers)


def _offering(config: ServerConfig, extensions: tuple[str, ...]) -> ServerConfig:
    """The service with these extensions; pipelining and enhanced codes are a matter of course."""
    offer: dict[str, AnyExtension] = {
        entry.keyword: entry for entry in (PIPELINING, ENHANCEDSTATUSCODES)
    }
    mechanisms: tuple[str, ...] = ()
    for line in extensions:
        keyword, *words = line.split(" ")
        if keyword == "AUTH":
            mechanisms = tuple(words)
        elif keyword not in ("SIZE", "STARTTLS"):  # these follow from other settings
            offer[keyword] = REGISTRY.by_keyword[keyword]
    return replace(
        config,
        offer=tuple(offer.values()),
        starttls="STARTTLS" in extensions,
        mechanisms=mechanisms,
        scram_secret=b"a secret of the service",
    )


# -- challenges that are the same in every run


def _fixed(name: str, nonce: str) -> ServerFactory:
    def make(config: ServerMechanismConfig) -> ServerMechanism:
        return _RANDOM[name](name, replace(config, nonce=lambda: nonce))

    return make


_RANDOM: Final[Mapping[str, Callable[[str, ServerMechanismConfig], ServerMechanism]]] = {
    "SCRAM-SHA-256": ScramServer,
    "CRAM-MD5": CramMD5Server,
}
