"""A client's mechanism against a server whose messages an input makes worse.

Input: mechanism, the server's password, whom the client claims to be; then the server's messages,
each with how it differs from an honest one.
"""

from typing import Final

from fuzz.choices import Choices
from fuzz.dialogue import USER, changed, client, messages, server, stored_secrets
from fuzz.oracles import check_own_words
from smtpwire.sasl import (
    MECHANISMS,
    Ask,
    Challenge,
    Failed,
    PlainPassword,
    SaslError,
    SecretRequest,
    ServerMechanism,
    ServerStep,
    Succeeded,
)

_PASSWORD: Final = "correct-horse"
_SECRETS: Final = (stored_secrets(_PASSWORD), stored_secrets("guess"))
_CLAIMS: Final = ("", USER, "admin")
_RESPONSE: Final = 2048


def check(data: bytes) -> None:
    choices = Choices(data)
    name = MECHANISMS[choices.below(len(MECHANISMS))]
    knows_password = choices.below(2) == 0
    mechanism = client(name, _PASSWORD, _CLAIMS[choices.below(3)])
    peer = server(name)
    initial = mechanism.initial() if mechanism.client_first else None
    step: ServerStep | None = _decided(peer, peer.start(initial), knows_password)
    received = 0
    for message in messages(choices):
        challenge = changed(_text(step), message)
        received += len(challenge)
        try:
            response = mechanism.step(challenge)
        except SaslError as error:
            check_own_words(str(error))
            break
        assert isinstance(response, bytes)
        assert len(response) <= _RESPONSE + received
        if not isinstance(step, Challenge):
            step = None
            continue
        step = _decided(peer, peer.step(response), knows_password)
    if mechanism.server_proven:
        assert knows_password
        assert mechanism.mutual
    assert "correct-horse" not in mechanism.error or received
    assert "correct-horse" not in repr(mechanism)


def _text(step: ServerStep | None) -> bytes:
    return step.data if isinstance(step, Challenge) else b""


def _decided(peer: ServerMechanism, step: ServerStep, knows_password: bool) -> ServerStep:
    while isinstance(step, Ask):
        if isinstance(step.question, SecretRequest):
            name = step.question.mechanism.removesuffix("-PLUS")
            secret = _SECRETS[not knows_password].get(name)
            password = PlainPassword(_PASSWORD if knows_password else "guess")
            step = peer.supply(secret or password)
        else:
            step = peer.answer(knows_password)
    assert isinstance(step, Challenge | Succeeded | Failed)
    return step
