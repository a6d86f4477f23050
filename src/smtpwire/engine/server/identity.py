"""Who the client is: what it said, what it proved, and what must not be shown of its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from smtpwire.engine.events import Identity, Peer
from smtpwire.engine.redaction import REDACTED, looks_like_auth, redacted, without_secrets
from smtpwire.engine.restrictions import OfferConditions
from smtpwire.engine.server.foreign import is_foreign_word
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.sasl import family
from smtpwire.wire.command import VERBS, Hello
from smtpwire.wire.value import replace

if TYPE_CHECKING:
    from smtpwire.extensions import XClient
    from smtpwire.wire.proxy import ProxyHeader

__all__ = ["Client"]

_UNKNOWN: Final = Peer()
_LISTED_FOR_NOTHING: Final[frozenset[str]] = frozenset()


@final
class Client:
    """Who is at the other end of a session.

    ``peer``: as the transport, a PROXY header and XCLIENT say. ``hello``: the greeting that was
    accepted last. ``identity``: who authenticated. ``tls``: the TLS layer, if there is one.
    ``listed``: for what the configuration lists this client, by keyword; looked up once.
    """

    __slots__ = (
        "_config",
        "_may_respond",
        "_socket_peer",
        "hello",
        "identity",
        "listed",
        "peer",
        "tls",
    )

    def __init__(self, config: ServerConfig, tls: TlsInfo | None, peer: Peer | None) -> None:
        self._config = config
        self._may_respond = False  # an unknown line may be the response to a refused AUTH
        self.hello: Hello | None = None
        self.identity: Identity | None = None
        self.tls = tls
        self._socket_peer = _UNKNOWN if peer is None else peer
        self.peer: Peer = self._socket_peer
        self.listed: frozenset[str] = self._look_up() if config.trust else _LISTED_FOR_NOTHING

    def _look_up(self) -> frozenset[str]:
        config = self._config
        return config.trusted(self._socket_peer.address) if config.trust else _LISTED_FOR_NOTHING

    # -- what it says and proves

    def authenticate(self, identity: Identity) -> None:
        """AUTH succeeded: no response can be in what follows."""
        self.identity = identity
        self._may_respond = False

    def take_proxy_header(self, header: ProxyHeader) -> None:
        """A proxy says for whom it speaks."""
        self._socket_peer = self.peer = self.peer.behind(header)
        self.listed = self._look_up()

    def secure(self, tls: TlsInfo) -> None:
        """TLS has started: what was said before is forgotten (RFC 3207 §4.2)."""
        self.tls = tls
        self.peer = self._socket_peer
        self.hello = None
        self.identity = None

    def take_xclient(self, xclient: XClient) -> None:
        """A trusted peer says for whom it speaks; what it does not say stays (XCLIENT_README)."""
        from smtpwire.extensions.client_attributes import Unavailable

        said = {
            "name": xclient.name,
            "address": xclient.address,
            "port": xclient.port,
            "protocol": xclient.protocol,
            "hello": xclient.hello,
            "login": xclient.login,
            "destination_address": xclient.destination_address,
            "destination_port": xclient.destination_port,
        }
        unknown = {"port": 0, "destination_port": 0}
        changes: dict[str, Any] = {
            field: unknown.get(field, "") if isinstance(value, Unavailable) else value
            for field, value in said.items()
            if value is not None
        }
        self.peer = replace(self.peer, **changes)
        self.hello = None
        login = xclient.login
        self.identity = Identity(login, login, "XCLIENT") if isinstance(login, str) else None

    @property
    def has_account(self) -> bool:
        """Whether it authenticated as somebody: ANONYMOUS is nobody."""
        return self.identity is not None and not family(self.identity.mechanism).anonymous

    # -- what follows from it

    def offer_conditions(self) -> OfferConditions:
        """What decides which extensions it may be offered."""
        tls = self.tls
        if tls is None:
            return OfferConditions(listed=self.listed)
        return OfferConditions(True, bool(tls.bindings), tls.peer is not None, self.listed)

    def expect_response(self) -> None:
        """After AUTH: what follows may be its response."""
        self._may_respond = True

    def expect_response_to(self, line: bytes) -> None:
        """The same after a line that looks like AUTH."""
        self._may_respond = self._may_respond or looks_like_auth(line)

    def shown(self, line: bytes) -> bytes:
        """A line of the client's as an event or a trace may show it."""
        if is_foreign_word(line):
            return line
        if self._may_respond and line.partition(b" ")[0].upper() not in VERBS:
            return redacted(line) if looks_like_auth(line) else REDACTED
        return without_secrets(line, self._config.open_verbs)
