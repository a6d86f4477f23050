"""How a client is to behave."""

from __future__ import annotations

from typing import Final, final

from smtpwire.engine.limits import Limits
from smtpwire.engine.security import Security
from smtpwire.engine.timeouts import Timeouts
from smtpwire.extensions import REGISTRY, Offer, Registry
from smtpwire.sasl import Preparation
from smtpwire.wire.checked import check_host, check_own_name, check_port
from smtpwire.wire.command import Hello
from smtpwire.wire.value import value

__all__ = ["ClientConfig"]

_LIMITS: Final = Limits()
_TIMEOUTS: Final = Timeouts()


@final
@value(checked=True, terse=True)
class ClientConfig:
    """What a client says of itself, how it means to be protected, and its bounds.

    Make variants with ``smtpwire.replace``.

    hello_name: a domain or address literal, said in EHLO (RFC 5321 §4.1.4). Where none is given
        ``connect()`` of an adapter fills in the literal of the socket's own address; an engine by
        itself knows no address, and says that of loopback.
    host, port: what is dialled: SASL names it, and verified TLS compares with it. ``connect()`` of
        an adapter fills them in.
    security: a :class:`Security`: no TLS, TLS if it is offered, STARTTLS or nothing, TLS from the
        first octet.
    lmtp: speak LMTP: LHLO, and after the data a reply a recipient (RFC 2033).
    limits, timeouts: bounds of what is received, and seconds to wait for each reply.
    registry: the extensions that are known.
    chunk_size: octets of one BDAT chunk.
    cached_offer: what this server offered an earlier connection, with PIPECONNECT in it.
    preparation: how names and passwords are spelled before they are hashed (SASLprep, RFC 4013).
    cleartext_authentication_without_verified_tls: let PLAIN, LOGIN and bearer tokens go where
        anybody may read or receive them.
    requiretls_without_verified_tls: let MAIL REQUIRETLS go over TLS that does not prove the server.

    Raises ValueError for a ``hello_name`` that is neither a domain nor a literal, a ``host`` with a
    port, brackets, blanks or controls, a port beyond 65535, a chunk of no octets.
    """

    hello_name: str = ""
    host: str = ""
    port: int = 0
    security: Security = Security.NONE
    lmtp: bool = False
    limits: Limits = _LIMITS
    timeouts: Timeouts = _TIMEOUTS
    registry: Registry = REGISTRY
    chunk_size: int = 256 * 1024
    """Octets of one BDAT chunk."""
    cached_offer: Offer | None = None
    """What this server offered an earlier connection, with PIPECONNECT in it: relying on it, EHLO
    and what follows are written before the greeting has come. An offer that turns out to be another
    fails the flight (draft-harris-early-pipe)."""
    preparation: Preparation = Preparation.RAW
    """How names and passwords are spelled before they are hashed (SASLprep, RFC 4013)."""
    cleartext_authentication_without_verified_tls: bool = False
    """Let PLAIN, LOGIN and bearer tokens go where anybody may read or receive them."""
    requiretls_without_verified_tls: bool = False
    """Let MAIL REQUIRETLS go over TLS that does not prove the server (RFC 8689 §4.2.1 forbids)."""

    def __post_init__(self) -> None:
        if self.hello_name:
            bytes(Hello(self.hello_name))  # raises where that is no name
            check_own_name("ClientConfig.hello_name", self.hello_name)
        check_host("ClientConfig.host", self.host)
        check_port("ClientConfig.port", self.port)
        if self.chunk_size < 1:
            raise ValueError(f"ClientConfig.chunk_size is {self.chunk_size}: pass 1 or more")
