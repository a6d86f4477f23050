"""A mechanism as the engine sees it: one step object for each role, without I/O.

`ServerMechanism` and `ClientMechanism` are all that a mechanism of your own (GSSAPI, NTLM)
has to be; hand a factory for it to `server_mechanism` or `client_mechanism`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Literal, Protocol, final

from smtpwire.sasl.credentials import Credentials
from smtpwire.sasl.questions import Question
from smtpwire.sasl.saslprep import Preparation
from smtpwire.sasl.stored import StoredSecret
from smtpwire.wire.checked import check_port
from smtpwire.wire.value import field, value

__all__ = [
    "PENDING",
    "Ask",
    "Challenge",
    "ClientExchange",
    "ClientFactory",
    "ClientMechanism",
    "ClientMechanismConfig",
    "Failed",
    "Pending",
    "ServerExchange",
    "ServerFactory",
    "ServerMechanism",
    "ServerMechanismConfig",
    "ServerStep",
    "Succeeded",
    "random_nonce",
]


# --- what a server's step gives -----------------------------------------------------------


@final
@value
class Challenge:
    """Send this to the client and hand its response to `ServerMechanism.step`.

    ``data``: not yet in base64.
    """

    data: bytes

    def __repr__(self) -> str:
        return f"Challenge(<{len(self.data)} octets>)"


@final
@value
class Ask:
    """Ask the application; go on with `ServerMechanism.answer`, or `supply` for a secret.

    ``question``: its class says what is asked.
    """

    question: Question


@final
@value
class Succeeded:
    """The client has proved to be ``authcid``. Every proof of the server has been sent before.

    ``authzid`` is empty unless another identity is claimed, which remains to be authorized.
    """

    authcid: str
    authzid: str = ""


@final
@value
class Failed:
    """The exchange has failed. ``malformed``: the message itself was wrong, not the credentials.

    ``reason`` is for a log, not for the peer: it may tell that what is stored for the user is of
    no use to the mechanism. It has no octet of the peer.
    ``text``: words for the peer in place of the server's own, where a mechanism of yours must
    tell it what to do. Raises ValueError for what no reply can have in one line.
    """

    reason: str
    malformed: bool = False
    text: str = ""

    def __post_init__(self) -> None:
        if self.text and not (self.text.isascii() and self.text.isprintable()):
            raise ValueError("Failed.text is not printable ASCII (RFC 5321 §4.2)")


ServerStep = Challenge | Ask | Succeeded | Failed
"""What a server's mechanism wants next."""


# --- configuration ------------------------------------------------------------------------


def random_nonce() -> str:
    """144 random bits from `secrets`, as 24 characters of the URL-safe base64 alphabet."""
    import secrets

    return secrets.token_urlsafe(18)


@final
@value(kw_only=True, checked=True)
class ServerMechanismConfig:
    """What the mechanisms of one server connection need to know.

    scram_secret: octets which all processes of a service share and keep: they make the salts
        of users whose password is stored, and of users who do not exist.
    iterations: SCRAM's count for those users; at least 4,096 (RFC 7677 §4). Let it be the
        count of the `ScramSecret`s that are stored, and their salts 16 octets, as `derive_scram`
        makes them: the client sees both, and by others it could tell who exists.
    stores_passwords: True if the application answers with `PlainPassword`, if only for some
        users: SCRAM then makes one derivation for every user, whatever is stored, and for those
        who do not exist. Set it False where every user has a `ScramSecret`: then SCRAM makes
        none for anybody, and cannot use a `PlainPassword`.
    service, hosts: DIGEST-MD5's digest-uri must be ``service/host`` with one of ``hosts``
        (none: not checked); the first one also stands in CRAM-MD5's challenge.
    realm: DIGEST-MD5's realm.
    bindings: channel bindings of this connection, octets by type (RFC 5929, RFC 9266).
    plus_offered: the offer the client saw last had a -PLUS mechanism.
    external_identity: the name in the client's certificate, for EXTERNAL; empty: not known.
    oauth_error: more members for the JSON error of OAUTHBEARER and XOAUTH2, as ``scope``.
    preparation: how names and passwords are spelled before they are hashed or compared.
    nonce: gives a fresh string of printable ASCII without comma, quote and backslash.
    """

    scram_secret: bytes = field(repr=False)
    iterations: int = 4096
    stores_passwords: bool = True
    service: str = "smtp"
    hosts: tuple[str, ...] = ()
    realm: str = ""
    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    plus_offered: bool = False
    external_identity: str = ""
    oauth_error: Mapping[str, str] = field(default_factory=dict)
    preparation: Preparation = Preparation.RAW
    nonce: Callable[[], str] = field(default=random_nonce, repr=False)


@final
@value(kw_only=True, checked=True)
class ClientMechanismConfig:
    """What the mechanisms of one client connection need to know.

    host, port: what the client meant to connect to (digest-uri, OAUTHBEARER); 0: unsaid.
    bindings: channel bindings of this connection, octets by type.
    binding_type: the one to use; empty: this client cannot bind.
    plus_offered: the server's latest list has a -PLUS mechanism.
    minimum_iterations, maximum_iterations: SCRAM's bounds (RFC 7677 §4, RFC 5802 §9).
    preparation: how the name and the password are spelled before they are hashed.
    service: the protocol's name in SASL (RFC 4954 §4).
    nonce: makes a fresh, printable one.
    """

    host: str = ""
    port: int = 0
    service: str = "smtp"
    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    binding_type: str = ""
    plus_offered: bool = False
    minimum_iterations: int = 4096
    maximum_iterations: int = 1_000_000
    preparation: Preparation = Preparation.RAW
    nonce: Callable[[], str] = field(default=random_nonce, repr=False)

    def __post_init__(self) -> None:
        check_port("ClientMechanismConfig.port", self.port)


# --- the two roles ------------------------------------------------------------------------


class ServerMechanism(Protocol):
    """One exchange on the server. It never raises for what the client sent."""

    @property
    def name(self) -> str:
        """The mechanism's registered name, upper case."""

    @property
    def client_first(self) -> bool:
        """Whether an initial response is allowed (RFC 4422 §5, item 2a)."""

    def start(self, initial: bytes | None) -> ServerStep:
        """Begin; None means that no initial response came, b"" that an empty one did."""

    def step(self, response: bytes) -> ServerStep:
        """Take the client's response to the last `Challenge`."""

    def answer(self, accepted: bool) -> ServerStep:
        """Take the application's answer to a login which was asked."""

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        """Take the secret asked for by a `SecretRequest`; None for an unknown user.

        One that this mechanism cannot use is taken as None, at the same cost: the client chooses
        the mechanism, and must not learn from it who exists. `Failed.reason` tells the log.
        """


class Pending(Enum):
    """The type of `PENDING`."""

    PENDING = "pending"


PENDING: Final = Pending.PENDING
"""What a client's step gives when it must wait for the application's `answer`."""


class ClientMechanism(Protocol):
    """One exchange on the client."""

    @property
    def name(self) -> str:
        """The mechanism's registered name, upper case."""

    @property
    def client_first(self) -> bool:
        """Whether `initial` gives an initial response."""

    @property
    def complete(self) -> bool:
        """Whether the client has said all it has to say: only the outcome may follow."""

    @property
    def mutual(self) -> bool:
        """Whether this mechanism proves the server, too."""

    @property
    def server_proven(self) -> bool:
        """Whether it has. Where `mutual`, success without it is no success."""

    @property
    def error(self) -> str:
        """What the server said of a failure inside the exchange (OAuth's JSON, SCRAM's e=)."""

    def initial(self) -> bytes | None:
        """The initial response; None for a mechanism where the server speaks first."""

    def step(self, challenge: bytes) -> bytes | Literal[Pending.PENDING]:
        """The response to a challenge. Raises `SaslError`: cancel the exchange."""

    def answer(self, data: bytes) -> bytes:
        """After `PENDING`: take what was waited for, give the response. Raises `SaslError`."""


ServerFactory = Callable[[ServerMechanismConfig], ServerMechanism]
"""Makes the server's side of a mechanism, for one exchange."""
ClientFactory = Callable[[Credentials, ClientMechanismConfig], ClientMechanism]
"""Makes the client's side of a mechanism, for one exchange."""


class ServerExchange(ABC):
    """A :class:`ServerMechanism` but for ``step()``: the base of those here, and of your own."""

    client_first: bool = True

    def __init__(self, name: str, config: ServerMechanismConfig) -> None:
        self.name = name
        self._config = config
        self._of_no_use: StoredSecret | None = None
        """What is stored, where this mechanism cannot use it."""

    def start(self, initial: bytes | None) -> ServerStep:
        """See `ServerMechanism.start`: ``step()``, after an empty challenge if it must be."""
        if initial is None:
            return Challenge(b"")
        return self.step(initial)

    @abstractmethod
    def step(self, response: bytes) -> ServerStep:
        """See `ServerMechanism.step`."""

    def answer(self, accepted: bool) -> ServerStep:
        """See `ServerMechanism.answer`; RuntimeError unless the mechanism asks for logins."""
        raise RuntimeError(f"{self.name} asks no login")

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        """See `ServerMechanism.supply`; RuntimeError unless the mechanism asks for secrets."""
        raise RuntimeError(f"{self.name} asks for no secret")

    def _refuse(self) -> Failed:
        """A wrong password, an unknown user, a secret of no use: one failure to the client."""
        if self._of_no_use is None:
            return Failed("credentials refused")
        return Failed(f"{self.name} cannot use what is stored for the user: {self._of_no_use!r}")


class ClientExchange:
    """A :class:`ClientMechanism` but for ``initial()`` and ``step()``: the base of those here, and
    of your own.
    """

    client_first: bool = True
    mutual: bool = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.complete = False
        self.server_proven = False
        self.error: str = ""

    def answer(self, data: bytes) -> bytes:
        """See `ClientMechanism.answer`; RuntimeError unless the mechanism waits for something."""
        raise RuntimeError(f"{self.name} waits for nothing")
