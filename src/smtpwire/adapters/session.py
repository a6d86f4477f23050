"""What the adapters share: sessions and their handlers, answers still owed, time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from functools import partial
from types import coroutine
from typing import Final, Protocol, TypeAlias, final

from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import BodyChunk, Peer, ServerEvent
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout
from smtpwire.extensions import Profile
from smtpwire.sasl import (
    AnonymousLogin,
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    SecretRequest,
    TokenLogin,
)
from smtpwire.wire.command import StartTls
from smtpwire.wire.proxy import ProxyHeader, ProxyReader, ProxyRefused

__all__ = [
    "Deadline",
    "Handler",
    "Session",
    "SessionFactory",
    "Steps",
    "TlsConfig",
    "attended",
    "behind_proxy",
    "checked_port",
    "logger",
    "peer_of",
    "proxy_in_front",
    "proxy_reader",
    "settle",
]

logger: Final = logging.getLogger("smtpwire")


class Session(Protocol):
    """One connection of a server, as its handler sees it."""

    @property
    def conn(self) -> ServerConnection:
        """The engine: ``reply()``, ``supply()``, ``offer()``, ``shutdown()`` and what it knows."""

    def flush(self) -> Awaitable[None] | None:
        """Send what is queued now. The adapter does so itself before a handler suspends."""

    def close(self) -> None:
        """Drop the connection as it stands; what is queued is not sent."""


Handler: TypeAlias = Callable[[ServerEvent], Awaitable[None] | None]
"""Called with each event, one after another; answers the questions among them."""

SessionFactory: TypeAlias = Callable[[Session], Handler]
"""Called once a connection."""

_CREDENTIALS: Final = (
    PasswordLogin,
    TokenLogin,
    ExternalLogin,
    AnonymousLogin,
    SecretRequest,
    AuthorizationRequest,
    StartTls,  # RFC 3207 §4 has the same 454 for it
)


def settle(
    conn: ServerConnection,
    config: ServerConfig,
    event: ServerEvent,
    error: BaseException | None = None,
) -> None:
    """After a handler: log what went wrong and answer what it left unanswered."""
    if isinstance(error, LocalProtocolError) and conn.state is State.CLOSED:
        logger.info("the connection ended before %r was answered", event)
    elif error is not None:
        logger.error("handler failed at %r", event, exc_info=error)
    elif conn.pending is event:
        logger.error("handler left %r unanswered", event)
    if conn.pending is event:
        credentials = isinstance(event, _CREDENTIALS)
        kind = ReplyKind.AUTH_TROUBLE if credentials else ReplyKind.TROUBLE
        conn.reply(*[config.texts[kind]] * conn.replies_owed)
    elif error is not None and isinstance(event, BodyChunk):
        with suppress(LocalProtocolError):  # the verdict has been given already
            conn.reply(config.texts[ReplyKind.TROUBLE])


Steps: TypeAlias = Generator[object, object, None]


@coroutine
def attended(steps: Steps, waiting: object, suspended: Callable[[], object]) -> Steps:
    """Go on with a coroutine that has been run up to where it gave ``waiting``.

    ``suspended`` is called whenever it suspends, the first time included.
    """
    resume: Callable[[], object]
    while True:
        suspended()
        try:
            resume = partial(steps.send, (yield waiting))
        except BaseException as error:
            resume = partial(steps.throw, error)
        try:
            waiting = resume()
        except StopIteration:
            return


@final
class Deadline:
    """When ``conn.timeout`` is over, by the adapter's clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._timeout: Timeout | None = None
        self._end = 0.0

    def left(self, timeout: Timeout | None) -> float | None:
        """Seconds left; the count starts anew only when the value has changed."""
        if timeout is None:
            return None
        now = self._clock()
        if timeout != self._timeout:
            self._timeout = timeout
            self._end = now + timeout.seconds
        return max(self._end - now, 0.0)


def peer_of(address: object) -> Peer:
    """Who is at a socket's address: nobody known of a UNIX socket, or if it is gone."""
    if isinstance(address, tuple) and len(address) > 1:
        return Peer(str(address[0]), int(address[1]))
    return Peer()


def proxy_in_front(config: ServerConfig) -> bool:
    """Whether the adapter reads a PROXY header, since TLS is behind it; else the engine does so."""
    return bool(config.proxy) and config.profile is Profile.SUBMISSIONS


def proxy_reader(config: ServerConfig, peer: Peer) -> ProxyReader:
    """What reads that header. Raises OSError for a peer that is not trusted: close silently."""
    if "PROXY" not in config.trusted(peer.address):
        raise OSError("not a trusted proxy")
    return ProxyReader()


def behind_proxy(peer: Peer, header: ProxyHeader | ProxyRefused | None) -> Peer:
    """The peer that the header names. Raises OSError where it is refused."""
    if not isinstance(header, ProxyHeader):
        raise OSError("no PROXY header" if header is None else header.reason)
    return peer.behind(header)


def checked_port(port: int, least: int = 1) -> int:
    """The port. Raises ValueError beyond 65535, where it would wrap to another, and below least."""
    if not isinstance(port, int) or not least <= port <= 65535:
        raise ValueError(f"port {port!r}: pass a number from {least} to 65535")
    return port
