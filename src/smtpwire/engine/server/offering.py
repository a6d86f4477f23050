"""What a session offers now, and what it requires first."""

from __future__ import annotations

from typing import Final, final

from smtpwire.engine.commands import CommandRow
from smtpwire.engine.offer_plan import OfferPlan
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.identity import Client
from smtpwire.engine.server.quota import Quota
from smtpwire.engine.server_config import ServerConfig

__all__ = ["Offering"]

# Bound once: a member looked up on its enum costs as much as a small call on CPython 3.11.
TLS_REQUIRED: Final = ReplyKind.TLS_REQUIRED
AUTH_REQUIRED: Final = ReplyKind.AUTH_REQUIRED


@final
class Offering:
    """What EHLO offers, what is in force, and what is still required of the client.

    ``ehlo``: what the next EHLO will offer. ``plan``: what the last EHLO or HELO put in force.
    ``quota``: what LIMITS promised. ``required``: TLS or AUTH, as long as the service requires it
    and it is missing; the kind of reply that says so.
    """

    __slots__ = ("_client", "_config", "ehlo", "plan", "quota", "required")

    def __init__(self, config: ServerConfig, client: Client) -> None:
        self._config = config
        self._client = client
        self.quota: Quota | None = None
        self.ehlo: OfferPlan = self._default_plan()
        self.plan: OfferPlan = self.ehlo
        self.required = self._weigh()

    def _default_plan(self) -> OfferPlan:
        client, config = self._client, self._config
        if client.tls is None and not client.listed:
            return config.plain_plan
        return config.plan(client.offer_conditions())

    def start_over(self) -> None:
        """The client is known better, by TLS or a PROXY header: its offer is another one."""
        self.plan = self.ehlo = self._default_plan()
        self.quota = None
        self.required = self._weigh()

    def await_hello(self) -> None:
        """XCLIENT: the client greets anew, and its quota goes on."""
        self.plan = self.ehlo
        self.required = self._weigh()

    def replace(self, plan: OfferPlan, *, at_once: bool) -> None:
        """The application chose another offer. A Hello may still be refused: then not at once."""
        self.ehlo = plan
        if at_once:
            self.plan = plan

    def put_in_force(self, *, extended: bool) -> None:
        """EHLO or HELO was accepted; a quota goes on with what it has counted (RFC 9422 §3.6)."""
        self.plan = plan = self.ehlo if extended else self._config.bare_plan
        limits = plan.limits
        if limits is None:
            self.quota = None
        elif self.quota is None:
            self.quota = Quota(limits)
        else:
            self.quota.limits = limits
        self.required = self._weigh()

    def note_authentication(self) -> None:
        """The client has authenticated: AUTH is not required any more."""
        self.required = self._weigh()

    def _weigh(self) -> ReplyKind | None:
        client, config = self._client, self._config
        if config.require_tls and client.tls is None:
            return TLS_REQUIRED
        if config.require_auth and client.identity is None:
            return AUTH_REQUIRED
        return None

    def required_before(self, row: CommandRow) -> ReplyKind | None:
        """TLS or AUTH, where the service requires it before this command and it is missing."""
        exempt = row.before_tls if self.required is TLS_REQUIRED else row.before_auth
        return None if exempt else self.required
