"""A server's mechanism against a client whose messages an input makes worse.

Input: mechanism, application, the client's password and how names are prepared, whom it claims to
be; then its messages, each with how it differs from an honest one.
"""

from typing import Final

from fuzz.choices import Choices
from fuzz.dialogue import USER, changed, client, messages, server, stored_secrets
from fuzz.oracles import check_own_words
from smtpwire.sasl import (
    MECHANISMS,
    AnonymousLogin,
    Ask,
    Challenge,
    ClientMechanism,
    ExternalLogin,
    Failed,
    PasswordLogin,
    PlainPassword,
    Preparation,
    Question,
    SaslError,
    SecretRequest,
    ServerMechanism,
    ServerStep,
    Succeeded,
    TokenLogin,
)

_PASSWORD: Final = "correct-horse"
_SECRETS: Final = stored_secrets(_PASSWORD)
_CLAIMS: Final = ("", USER, "admin")
_PREPARATIONS: Final = (Preparation.RAW, Preparation.STRICT, Preparation.LENIENT)
_CHALLENGE: Final = 2048
_ROUNDS: Final = 6


def check(data: bytes) -> None:
    choices = Choices(data)
    name = MECHANISMS[choices.below(len(MECHANISMS))]
    stored = choices.below(3)
    client_side = choices.octet()
    knows_password = client_side % 2 == 0
    claim = _CLAIMS[choices.below(3)]
    peer = client(name, _PASSWORD if knows_password else "guess", claim)
    mechanism = server(name, _PREPARATIONS[client_side // 2 % 3], knows_secrets=stored != 1)
    step, said = _play(mechanism, peer, messages(choices), stored)
    match step:
        case Succeeded(authcid, authzid):
            assert authzid != authcid or not authcid
            _check_success(name, authcid, knows_password, said)
        case Failed(reason):
            check_own_words(reason)
            assert not any(
                len(octets) > 8 and octets.decode("latin-1") in reason for octets in said
            )
        case _:
            pass


def _play(
    mechanism: ServerMechanism, peer: ClientMechanism, given: list[Choices], stored: int
) -> tuple[ServerStep, list[bytes]]:
    """Until the mechanism has decided or there are no more messages."""
    said: list[bytes] = []
    honest = (peer.initial() or b"") if peer.client_first else b""
    initial = None
    if given and mechanism.client_first:
        initial = changed(honest, given.pop(0))
        said.append(initial)
    step = mechanism.start(initial)
    for _ in range(_ROUNDS):
        match step:
            case Challenge(challenge):
                assert len(challenge) <= _CHALLENGE + sum(map(len, said))
                assert repr(challenge) not in repr(step)
                if not given:
                    return step, said
                said.append(changed(_answer(peer, challenge), given.pop(0)))
                step = mechanism.step(said[-1])
            case Ask(question):
                step = _decide(mechanism, question, stored)
            case _:
                return step, said
    assert not given or isinstance(step, Succeeded | Failed), "the exchange does not end"
    return step, said


def _answer(peer: ClientMechanism, challenge: bytes) -> bytes:
    try:
        answer = peer.step(challenge)
    except SaslError:
        return b""
    assert isinstance(answer, bytes)
    return answer


def _decide(mechanism: ServerMechanism, question: Question, stored: int) -> ServerStep:
    match question:
        case SecretRequest(name, authcid, _, accepts):
            secret = _SECRETS.get(name.removesuffix("-PLUS"))
            if authcid != USER or stored == 2:
                return mechanism.supply(None)
            if secret is not None and stored == 0:
                assert type(secret) in accepts
                return mechanism.supply(secret)
            step = mechanism.supply(PlainPassword(_PASSWORD))  # of no use to some: as None
            assert PlainPassword in accepts or not isinstance(step, Succeeded)
            return step
        case PasswordLogin(authcid, password):
            assert authcid
            assert password
            return mechanism.answer((authcid, password) == (USER, _PASSWORD))
        case TokenLogin(authcid, token):
            return mechanism.answer(authcid in ("", USER) and token == _PASSWORD)
        case ExternalLogin() | AnonymousLogin():
            return mechanism.answer(stored != 2)
        case _:
            raise AssertionError("only an engine asks this")


def _check_success(name: str, authcid: str, knows_password: bool, said: list[bytes]) -> None:
    if name in ("EXTERNAL", "ANONYMOUS"):
        return
    assert authcid in ("", USER)
    if name in ("PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"):
        assert any(_PASSWORD.encode() in octets for octets in said)
    else:
        assert knows_password
