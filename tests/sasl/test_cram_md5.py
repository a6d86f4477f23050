"""CRAM-MD5, RFC 2195."""

import hmac
import re

import pytest
from tests.sasl.conversation import client_config, server_config

from smtpwire.sasl import (
    Ask,
    BadChallengeError,
    Challenge,
    DigestMD5Secret,
    Failed,
    Password,
    PlainPassword,
    Preparation,
    SecretRequest,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    server_mechanism,
)
from smtpwire.wire.value import replace

CHALLENGE = b"<n@mx.example.org>"
DIGEST = hmac.new(b"pass", CHALLENGE, "md5").hexdigest().encode()
CONFIG = server_config(hosts=("mx.example.org",), nonce="n")


def test_the_challenge_is_a_message_id_and_fresh() -> None:
    """RFC 2195 §2."""
    first = server_mechanism("CRAM-MD5", server_config()).start(None)
    second = server_mechanism("CRAM-MD5", server_config()).start(None)
    assert isinstance(first, Challenge)
    assert re.fullmatch(rb"<[A-Za-z0-9_-]{24}@localhost>", first.data)
    assert first != second


def test_a_user_name_may_have_blanks() -> None:
    server = server_mechanism("CRAM-MD5", CONFIG)
    assert server.start(None) == Challenge(CHALLENGE)
    step = server.step(b"fred the user " + DIGEST)
    assert step == Ask(SecretRequest("CRAM-MD5", "fred the user", "", (PlainPassword,)))
    assert server.supply(PlainPassword("pass")) == Succeeded("fred the user")


@pytest.mark.parametrize("secret", [None, PlainPassword("wrong"), PlainPassword("")])
def test_an_unknown_user_and_a_wrong_password_are_one_failure(
    secret: PlainPassword | None,
) -> None:
    server = server_mechanism("CRAM-MD5", CONFIG)
    server.start(None)
    server.step(b"user " + DIGEST)
    assert server.supply(secret) == Failed("credentials refused")


def test_nobody_gets_in_with_an_empty_password() -> None:
    server = server_mechanism("CRAM-MD5", CONFIG)
    server.start(None)
    server.step(b"user " + hmac.new(b"", CHALLENGE, "md5").hexdigest().encode())
    assert server.supply(PlainPassword("")) == Failed("credentials refused")


def test_nobody_gets_in_with_what_stands_for_the_password_of_nobody() -> None:
    server = server_mechanism("CRAM-MD5", CONFIG)
    server.start(None)
    server.step(b"user " + hmac.new(b"n", CHALLENGE, "md5").hexdigest().encode())
    assert server.supply(None) == Failed("credentials refused")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b" " + DIGEST,
        DIGEST,
        b"user  ",
        b"user " + DIGEST[:-1],
        b"user " + DIGEST + b"0",
        b"user " + DIGEST.upper(),
        b"user\t" + DIGEST,
        b"user " + DIGEST + b"\n",
        b"us\ner " + DIGEST,
        b"user\xff " + DIGEST,
    ],
)
def test_malformed_responses(response: bytes) -> None:
    server = server_mechanism("CRAM-MD5", CONFIG)
    server.start(None)
    step = server.step(response)
    assert isinstance(step, Failed)
    assert step.malformed


def test_the_server_speaks_first() -> None:
    server = server_mechanism("CRAM-MD5", CONFIG)
    assert not server.client_first
    step = server.start(b"")
    assert isinstance(step, Failed)
    assert step.malformed


def test_only_a_password_is_of_use() -> None:
    server = server_mechanism("CRAM-MD5", CONFIG)
    server.start(None)
    server.step(b"user " + DIGEST)
    step = server.supply(DigestMD5Secret("", bytes(16)))
    assert isinstance(step, Failed)
    assert not step.malformed
    assert step.reason.startswith("CRAM-MD5 cannot use what is stored for the user: DigestMD5")


def test_the_client_answers_one_challenge() -> None:
    client = client_mechanism("CRAM-MD5", Password("user", "pass"), client_config())
    assert client.initial() is None
    assert client.step(CHALLENGE) == b"user " + DIGEST
    assert client.complete
    assert not client.mutual
    with pytest.raises(BadChallengeError):
        client.step(CHALLENGE)


def test_the_client_wants_a_challenge() -> None:
    client = client_mechanism("CRAM-MD5", Password("user", "pass"), client_config())
    with pytest.raises(BadChallengeError):
        client.step(b"")


@pytest.mark.parametrize(
    "credentials",
    [
        Password("", "pass"),
        Password("user", ""),
        Password("us\ner", "pass"),
        Password("user", "pass", "admin"),
        Password("user", "\ud800"),
    ],
)
def test_what_cram_md5_cannot_carry(credentials: Password) -> None:
    with pytest.raises(UnusableCredentialsError):
        client_mechanism("CRAM-MD5", credentials, client_config())


@pytest.mark.parametrize(
    ("preparation", "step"),
    [
        (Preparation.STRICT, Failed("credentials refused")),
        (Preparation.LENIENT, Succeeded("user")),
    ],
)
def test_a_stored_password_of_unassigned_code_points(
    preparation: Preparation, step: Failed | Succeeded
) -> None:
    """RFC 3454 §7: a query may have them, what is stored may not."""
    password = "\U0001f600"
    server = server_mechanism("CRAM-MD5", replace(CONFIG, preparation=preparation))
    server.start(None)
    digest = hmac.new(password.encode(), CHALLENGE, "md5").hexdigest().encode()
    server.step(b"user " + digest)
    assert server.supply(PlainPassword(password)) == step


def test_the_first_of_the_hosts_names_the_challenge() -> None:
    config = server_config(hosts=("mx.example.org", "example.org"), nonce="n")
    assert server_mechanism("CRAM-MD5", config).start(None) == Challenge(CHALLENGE)
