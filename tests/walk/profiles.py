"""What is walked: two configurations, and the calls that the two applications may make."""

from dataclasses import dataclass
from typing import Final

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.limits import Limits
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import CHUNKING, ENHANCEDSTATUSCODES, PIPELINING, PRDR
from smtpwire.extensions import parameters as p
from smtpwire.wire.address import Address
from smtpwire.wire.command import Data, Hello, Mail, Rcpt
from smtpwire.wire.parameter import Parameters

__all__ = ["PROFILES", "Profile"]

_LIMITS: Final = Limits(errors=2, recipients=2, refused_recipients=10, junk=10)
_TRANSACTION: Final = ("EHLO", "MAIL", "RCPT", "DATA", "body", "end", "RSET", "NOOP", "QUIT")
_SESSION: Final = ("EHLO", "MAIL", "RCPT", "RCPT", "DATA", "body", "end", "MAIL", "QUIT")
_SECURED: Final = (
    "EHLO",
    "STARTTLS",
    "EHLO",
    "LOGIN",
    "MAIL",
    "RCPT",
    "DATA",
    "body",
    "end",
    "QUIT",
)

_HELLO: Final = Hello("c.example")
_MAIL: Final = Mail(Address("s", "a.example"))
_DATA: Final = Data()


@dataclass(frozen=True)
class Profile:
    """A pair to be walked.

    ``calls``: what the client's application may do, by name. ``session``: what it does in an
    ordinary session. ``queue``: so many commands at most
    are queued or in flight. ``recipients``: so many RCPTs at most a transaction.
    """

    client: ClientConfig
    server: ServerConfig
    calls: tuple[str, ...] = _TRANSACTION
    session: tuple[str, ...] = _SESSION
    hello: Hello = _HELLO
    mail: Mail = _MAIL
    data: Data = _DATA
    queue: int = 4
    recipients: int = 2

    @property
    def rcpts(self) -> tuple[Rcpt, ...]:
        """The RCPTs of a transaction, in order."""
        return tuple(Rcpt(Address(str(at), "b.example")) for at in range(self.recipients))


_CLIENT: Final = ClientConfig(
    limits=_LIMITS, cleartext_authentication_without_verified_tls=True, chunk_size=3
)
_PRDR: Final = Mail(Address("s", "a.example"), Parameters(p.PRDR(True)))

PROFILES: Final[dict[str, Profile]] = {
    "relay": Profile(
        _CLIENT,
        ServerConfig.relay(
            "mx.example", ["b.example"], limits=_LIMITS, offer=(PIPELINING, ENHANCEDSTATUSCODES)
        ),
    ),
    "lock-step": Profile(
        _CLIENT,
        ServerConfig.relay(
            "mx.example", ["b.example"], limits=_LIMITS, offer=(ENHANCEDSTATUSCODES,)
        ),
    ),
    "submission": Profile(
        _CLIENT,
        ServerConfig.submission(
            "mx.example",
            limits=_LIMITS,
            mechanisms=("CRAM-MD5", "PLAIN", "LOGIN"),
            offer=(PIPELINING,),
        ),
        calls=(*_TRANSACTION, "STARTTLS", "PLAIN", "LOGIN", "CRAM-MD5"),
        session=_SECURED,
        recipients=1,
    ),
    "lmtp": Profile(
        ClientConfig(lmtp=True, limits=_LIMITS, chunk_size=3),
        ServerConfig.lmtp(
            "mx.example", ["b.example"], limits=_LIMITS, offer=(PIPELINING, ENHANCEDSTATUSCODES)
        ),
        hello=Hello("c.example", "LHLO"),
    ),
    "lmtp-chunking": Profile(
        ClientConfig(lmtp=True, limits=_LIMITS, chunk_size=3),
        ServerConfig.lmtp(
            "mx.example",
            ["b.example"],
            limits=_LIMITS,
            offer=(PIPELINING, ENHANCEDSTATUSCODES, CHUNKING),
        ),
        hello=Hello("c.example", "LHLO"),
        data=Data(chunking=True),
    ),
    "chunking": Profile(
        _CLIENT,
        ServerConfig.relay(
            "mx.example", ["b.example"], limits=_LIMITS, offer=(PIPELINING, CHUNKING)
        ),
        data=Data(chunking=True),
    ),
    "prdr": Profile(
        _CLIENT,
        ServerConfig.relay("mx.example", ["b.example"], limits=_LIMITS, offer=(PIPELINING, PRDR)),
        mail=_PRDR,
    ),
}
