"""Drives a client's and a server's mechanism against each other, as an engine would."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smtpwire.sasl import (
    AnonymousLogin,
    Ask,
    AuthorizationRequest,
    Challenge,
    ClientMechanism,
    ClientMechanismConfig,
    ExternalLogin,
    Failed,
    PasswordLogin,
    Pending,
    PlainPassword,
    Preparation,
    Question,
    SecretRequest,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    Succeeded,
    TokenLogin,
)
from smtpwire.wire.value import replace

SCRAM_SECRET = b"all processes of a service share this"


def server_config(
    *,
    iterations: int = 4096,
    stores_passwords: bool = True,
    hosts: tuple[str, ...] = (),
    realm: str = "",
    bindings: Mapping[str, bytes] | None = None,
    plus_offered: bool = False,
    nonce: str = "",
    preparation: Preparation = Preparation.LENIENT,
) -> ServerMechanismConfig:
    config = ServerMechanismConfig(
        scram_secret=SCRAM_SECRET,
        iterations=iterations,
        stores_passwords=stores_passwords,
        hosts=hosts,
        realm=realm,
        bindings=bindings or {},
        plus_offered=plus_offered,
        preparation=preparation,
    )
    return replace(config, nonce=lambda: nonce) if nonce else config


def client_config(
    *,
    host: str = "mx.example.org",
    port: int = 0,
    bindings: Mapping[str, bytes] | None = None,
    binding_type: str = "",
    plus_offered: bool = False,
    nonce: str = "",
    preparation: Preparation = Preparation.LENIENT,
) -> ClientMechanismConfig:
    config = ClientMechanismConfig(
        host=host,
        port=port,
        bindings=bindings or {},
        binding_type=binding_type,
        plus_offered=plus_offered,
        preparation=preparation,
    )
    return replace(config, nonce=lambda: nonce) if nonce else config


@dataclass
class Users:
    """An application's user table."""

    passwords: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, StoredSecret] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)

    def decide(self, server: ServerMechanism, question: Question) -> ServerStep:
        self.asked.append(question)
        match question:
            case SecretRequest(_, authcid):
                secret = self.secrets.get(authcid)
                if secret is None and authcid in self.passwords:
                    secret = PlainPassword(self.passwords[authcid])
                return server.supply(secret)
            case PasswordLogin(authcid, password):
                return server.answer(self.passwords.get(authcid) == password)
            case TokenLogin(authcid, token):
                return server.answer(self.tokens.get(authcid) == token)
            case ExternalLogin() | AnonymousLogin():
                return server.answer(True)
            case AuthorizationRequest():
                raise AssertionError("the engine asks this one, no mechanism does")


Outcome = Succeeded | Failed
Transcript = list[tuple[str, bytes]]


def converse(
    client: ClientMechanism,
    server: ServerMechanism,
    decide: Callable[[ServerMechanism, Question], ServerStep],
    transcript: Transcript | None = None,
) -> Outcome:
    """Play an exchange to its end; ``transcript`` collects ("C" | "S", octets)."""
    log: Transcript = [] if transcript is None else transcript
    initial = client.initial() if client.client_first else None
    if initial is not None:
        log.append(("C", initial))
    step = server.start(initial)
    for _ in range(20):
        match step:
            case Challenge(data):
                log.append(("S", data))
                response = client.step(data)
                assert not isinstance(response, Pending)
                log.append(("C", response))
                step = server.step(response)
            case Ask(question):
                step = decide(server, question)
            case Succeeded() | Failed():
                return step
    raise AssertionError("the exchange does not end")
