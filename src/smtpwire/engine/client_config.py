"""How a client is to behave."""

from dataclasses import dataclass, field
from typing import final

from smtpwire.engine.limits import Limits
from smtpwire.engine.security import Security
from smtpwire.engine.timeouts import Timeouts
from smtpwire.extensions import REGISTRY, Registry

__all__ = ["ClientConfig"]


@final
@dataclass(frozen=True)
class ClientConfig:
    """What a client says of itself, how it means to be protected, and its bounds.

    ``hello_name``: a domain or address literal (RFC 5321 §4.1.4). ``host`` and ``port``: the
    dialled name, for SASL and for what verified TLS is compared with.
    """

    hello_name: str = "[127.0.0.1]"
    host: str = ""
    port: int = 0
    security: Security = Security.NONE
    lmtp: bool = False
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    registry: Registry = REGISTRY
    chunk_size: int = 256 * 1024
    """Octets of one BDAT chunk."""
