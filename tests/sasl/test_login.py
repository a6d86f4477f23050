"""LOGIN, draft-murchison-sasl-login."""

import pytest
from tests.sasl.conversation import client_config, server_config

from smtpwire.sasl import (
    Ask,
    BadChallengeError,
    Challenge,
    Failed,
    Password,
    PasswordLogin,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    server_mechanism,
)


def test_the_prompts_are_exactly_these() -> None:
    server = server_mechanism("LOGIN", server_config())
    assert server.start(None) == Challenge(b"Username:")
    assert server.step(b"user") == Challenge(b"Password:")
    assert server.step(b"pass") == Ask(PasswordLogin("user", "pass", "", "LOGIN"))
    assert server.answer(True) == Succeeded("user")


def test_an_initial_response_is_the_user_name() -> None:
    server = server_mechanism("LOGIN", server_config())
    assert server.start(b"user") == Challenge(b"Password:")
    server.step(b"wrong")
    assert server.answer(False) == Failed("credentials refused")


@pytest.mark.parametrize("name", [b"", b"us\ner", b"user\xff", b"\xc2\xad"])
def test_a_name_which_is_none(name: bytes) -> None:
    step = server_mechanism("LOGIN", server_config()).start(name)
    assert isinstance(step, Failed)
    assert step.malformed


@pytest.mark.parametrize("password", [b"", b"pa\0ss", b"pass\xff", b"\xc2\xad"])
def test_a_password_which_is_none(password: bytes) -> None:
    server = server_mechanism("LOGIN", server_config())
    server.start(b"user")
    step = server.step(password)
    assert isinstance(step, Failed)
    assert step.malformed


@pytest.mark.parametrize(
    "prompts", [(b"Username:", b"Password:"), (b"password?", b""), (b"User Name\0", b"\xff")]
)
def test_the_client_answers_two_prompts_whatever_they_say(prompts: tuple[bytes, bytes]) -> None:
    client = client_mechanism("LOGIN", Password("user", "pass"), client_config())
    assert not client.client_first
    assert client.initial() is None
    assert client.step(prompts[0]) == b"user"
    before = client.complete
    assert client.step(prompts[1]) == b"pass"
    assert (before, client.complete) == (False, True)
    with pytest.raises(BadChallengeError):
        client.step(b"Password:")


@pytest.mark.parametrize(
    "credentials",
    [
        Password("", "pass"),
        Password("user", ""),
        Password("user", "pass", "admin"),
        Password("user", "\ud800"),
    ],
)
def test_what_login_cannot_carry(credentials: Password) -> None:
    with pytest.raises(UnusableCredentialsError):
        client_mechanism("LOGIN", credentials, client_config())
