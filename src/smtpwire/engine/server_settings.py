"""What the presets of a server's configuration take, for type checkers to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypedDict

from smtpwire.engine.limits import Limits
from smtpwire.engine.policy import Policy
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.timeouts import Timeouts
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import AnyExtension, Offered, Registry
from smtpwire.sasl import Preparation, ServerMechanism, ServerMechanismConfig
from smtpwire.wire.body import LineEndings
from smtpwire.wire.command import Leniency
from smtpwire.wire.reply import Reply

__all__ = ["ServerSettings", "SubmissionSettings"]


class ServerSettings(TypedDict, total=False):
    """The fields of a :class:`ServerConfig` that a preset can be given."""

    aliases: tuple[str, ...]
    offer: tuple[AnyExtension | Offered, ...]
    offer_order: tuple[str, ...]
    registry: Registry
    limits: Limits
    timeouts: Timeouts
    leniency: Leniency
    line_endings: LineEndings
    check_chunks: bool
    starttls: bool
    require_tls: bool
    require_auth: bool
    mechanisms: tuple[str, ...]
    cleartext_without_tls: bool
    custom_mechanisms: Mapping[str, Callable[[ServerMechanismConfig], ServerMechanism]]
    scram_secret: bytes
    scram_iterations: int
    stores_passwords: bool
    realm: str
    preparation: Preparation
    policies: Mapping[ViolationKind, Policy]
    replies: Mapping[ReplyKind, Reply]
    asks: frozenset[Literal["HELP", "NOOP", "QUIT", "RSET"]]
    pipeconnect: frozenset[str]
    proxy: frozenset[str]
    xclient: frozenset[str]
    xclient_login: bool
    xforward: frozenset[str]
    listed: Mapping[str, frozenset[str]]


class SubmissionSettings(ServerSettings, total=False):
    """The same where local domains are no argument of their own."""

    local_domains: tuple[str, ...]
