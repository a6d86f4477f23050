"""Whatever the peer sends, a server's mechanism fails and a client's raises `SaslError`."""

import hashlib
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sasl.conversation import (
    Transcript,
    Users,
    client_config,
    converse,
    server_config,
)

from smtpwire.sasl import (
    MECHANISMS,
    Anonymous,
    Ask,
    BearerToken,
    Challenge,
    ClientMechanism,
    Credentials,
    ExternalIdentity,
    Failed,
    Password,
    SaslError,
    ServerMechanism,
    ServerStep,
    Succeeded,
    client_mechanism,
    server_mechanism,
)

BINDINGS = {"tls-unique": b"finished"}
USERS = Users(passwords={"user": "pass"}, tokens={"user": "token"})
# In these the first message itself gets in, so that a changed one may get in as somebody else.
OPEN = {"EXTERNAL", "ANONYMOUS"}
# These have parts which prove nothing and may change: charset, an absent qop, host, port.
PROVED = {
    "DIGEST-MD5": (
        *(b'username="user"', b'nonce="s0"', b"nc=00000001", b'cnonce="c0"'),
        *(b'digest-uri="smtp/mx.example.org"', b"response="),
    ),
    "OAUTHBEARER": (b"n,a=user,", b"auth=Bearer token\x01"),
}


@pytest.fixture(autouse=True, scope="module")
def derived_once() -> Iterator[None]:
    """Most changes leave the salt as it is: thousands of iterations would tell nothing new."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "pbkdf2_hmac", cache(hashlib.pbkdf2_hmac))
        yield


def _credentials(mechanism: str) -> Credentials:
    match mechanism:
        case "OAUTHBEARER" | "XOAUTH2":
            return BearerToken("user", "token")
        case "EXTERNAL":
            return ExternalIdentity("user")
        case "ANONYMOUS":
            return Anonymous("trace")
        case _:
            return Password("user", "pass")


def _client(mechanism: str) -> ClientMechanism:
    config = client_config(
        bindings=BINDINGS,
        binding_type="tls-unique",
        plus_offered=mechanism.endswith("-PLUS"),
        nonce="c0",
    )
    return client_mechanism(mechanism, _credentials(mechanism), config)


def _server(mechanism: str) -> ServerMechanism:
    return server_mechanism(
        mechanism, server_config(bindings=BINDINGS, hosts=("mx.example.org",), nonce="s0")
    )


def _good(mechanism: str) -> Transcript:
    log: Transcript = []
    assert isinstance(
        converse(_client(mechanism), _server(mechanism), USERS.decide, log), Succeeded
    )
    return log


def _said(mechanism: str, side: str) -> list[bytes]:
    return [octets for who, octets in _good(mechanism) if who == side]


def _feed(mechanism: str, responses: list[bytes]) -> ServerStep:
    """Play these responses to a server, until it has decided or they are used up."""
    server = _server(mechanism)
    waiting = list(responses)
    step = server.start(waiting.pop(0) if server.client_first else None)
    while True:
        match step:
            case Ask(question):
                step = USERS.decide(server, question)
            case Challenge() if waiting:
                step = server.step(waiting.pop(0))
            case _:
                return step


def _changed(message: bytes) -> Iterator[bytes]:
    for position in range(len(message)):
        yield message[:position]
        yield message[:position] + b"\0" + message[position:]
        yield message[:position] + b"\xff" + message[position + 1 :]
        yield message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]
    yield message + b","
    yield message * 2


@pytest.mark.parametrize("mechanism", [name for name in MECHANISMS if name not in OPEN])
def test_a_changed_response_never_gets_in_and_never_raises(mechanism: str) -> None:
    if mechanism == "LOGIN":
        # the name is judged with the password
        names, passwords = (_changed(part) for part in _said(mechanism, "C"))
        attempts = [[name, b"pass"] for name in names]
        attempts += [[b"user", password] for password in passwords]
    else:
        good = _said(mechanism, "C")
        attempts = [
            [*good[:place], changed, *good[place + 1 :]]
            for place in range(len(good))
            for changed in _changed(good[place])
            if changed != good[place]
        ]
    assert attempts
    for attempt in attempts:
        outcome = _feed(mechanism, attempt)
        if isinstance(outcome, Succeeded) and mechanism in PROVED:
            assert all(part in attempt[0] for part in PROVED[mechanism])
        else:
            assert isinstance(outcome, Failed | Challenge), attempt


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_changed_challenge_raises_sasl_error_or_is_answered(mechanism: str) -> None:
    challenges = _said(mechanism, "S")
    for place, challenge in enumerate(challenges):
        for changed in _changed(challenge):
            client = _client(mechanism)
            if client.client_first:
                client.initial()
            try:
                for good in challenges[:place]:
                    client.step(good)
                client.step(changed)
                for good in challenges[place + 1 :]:
                    client.step(good)
            except SaslError:
                assert not client.server_proven
            else:
                assert not client.server_proven or changed == challenge or b"," in changed


@pytest.mark.parametrize("mechanism", MECHANISMS)
@given(responses=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_a_server_takes_any_octets(mechanism: str, responses: list[bytes]) -> None:
    outcome = _feed(mechanism, responses)
    assert mechanism in OPEN or not isinstance(outcome, Succeeded)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@given(challenges=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_a_client_takes_any_octets(mechanism: str, challenges: list[bytes]) -> None:
    client = _client(mechanism)
    if client.client_first:
        client.initial()
    try:
        for challenge in challenges:
            client.step(challenge)
    except SaslError:
        pass
    assert not client.server_proven


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_more_challenges_than_the_mechanism_has(mechanism: str) -> None:
    client = _client(mechanism)
    converse(client, _server(mechanism), USERS.decide)
    if mechanism in ("OAUTHBEARER", "XOAUTH2"):
        client.step(b"an error is acknowledged once")
    with pytest.raises(SaslError):
        client.step(b"more")
