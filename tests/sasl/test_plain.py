"""PLAIN, RFC 4616."""

import pytest
from tests.sasl.conversation import client_config, server_config

from smtpwire.sasl import (
    Ask,
    BadChallengeError,
    Challenge,
    Failed,
    Password,
    PasswordLogin,
    Preparation,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    server_mechanism,
)
from smtpwire.wire.value import replace


def test_without_an_initial_response_the_server_asks_with_an_empty_challenge() -> None:
    server = server_mechanism("PLAIN", server_config())
    assert server.start(None) == Challenge(b"")
    assert server.step(b"\0user\0pass") == Ask(PasswordLogin("user", "pass"))
    assert server.answer(True) == Succeeded("user")


def test_a_wrong_password_fails() -> None:
    server = server_mechanism("PLAIN", server_config())
    server.start(b"\0user\0wrong")
    assert server.answer(False) == Failed("credentials refused")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"userpass",
        b"user\0pass",
        b"\0user\0pa\0ss",
        b"\0user\0",  # no password: the user name is none
        b"\0\0pass",
        b"admin\0\0pass",  # the authorization identity is no user name
        b"\0us\r\ner\0pass",
        b"\0user\xff\0pass",
        b"\0user\0pass\xff",
        b"a\xffb\0user\0pass",
        b"a\nb\0user\0pass",
        b"\0\xc2\xad\0pass",  # SOFT HYPHEN: nothing is left
        b"\0user\0\xc2\xad",
        b"\xc2\xad\0user\0pass",  # RFC 4954 §4: nothing is left, though it was not sent empty
    ],
)
def test_malformed_messages(message: bytes) -> None:
    step = server_mechanism("PLAIN", server_config()).start(message)
    assert isinstance(step, Failed)
    assert step.malformed


def test_each_part_may_have_255_characters_and_has_a_bound() -> None:
    for size, kind in ((255, Ask), (256, Ask), (257, Failed)):
        part = ("\U0001f600" * size).encode()
        for place in range(3):
            parts = [b"a", b"b", b"c"]
            parts[place] = part
            step = server_mechanism("PLAIN", server_config()).start(b"\0".join(parts))
            assert isinstance(step, kind)


def test_names_and_passwords_are_prepared() -> None:
    """RFC 4616 §2."""
    message = "I\u00adX\0us\u2168er\0pa\u00a0ss".encode()
    step = server_mechanism("PLAIN", server_config()).start(message)
    assert step == Ask(PasswordLogin("usIXer", "pa ss", "IX"))


def test_or_not_where_the_application_compares_octets() -> None:
    config = replace(server_config(), preparation=Preparation.RAW)
    step = server_mechanism("PLAIN", config).start("\0us\u2168er\0pa\u00a0ss".encode())
    assert step == Ask(PasswordLogin("us\u2168er", "pa\u00a0ss"))


@pytest.mark.parametrize("authzid", ["us\u2168er", "usIXer"])
def test_ones_own_name_is_no_other_identity(authzid: str) -> None:
    server = server_mechanism("PLAIN", server_config())
    server.start(f"{authzid}\0us\u2168er\0pass".encode())
    assert server.answer(True) == Succeeded("usIXer", "")


def test_the_client_has_one_message() -> None:
    client = client_mechanism("PLAIN", Password("user", "pass", "admin"), client_config())
    before = client.complete
    assert client.initial() == b"admin\0user\0pass"
    assert (before, client.complete) == (False, True)
    assert not client.mutual
    with pytest.raises(BadChallengeError):
        client.step(b"")


@pytest.mark.parametrize(
    "credentials",
    [
        Password("", "pass"),
        Password("user", ""),
        Password("us\0er", "pass"),
        Password("user", "pa\0ss"),
        Password("user", "pass", "ad\0min"),
        Password("user\ud800", "pass"),
    ],
)
def test_what_plain_cannot_carry(credentials: Password) -> None:
    with pytest.raises(UnusableCredentialsError):
        client_mechanism("PLAIN", credentials, client_config())
