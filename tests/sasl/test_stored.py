"""What a server may store of a user."""

import hashlib

import pytest

from smtpwire.sasl import (
    DigestMD5Secret,
    Preparation,
    ScramSecret,
    derive_digest_md5,
    derive_scram,
)


def test_every_derivation_has_a_salt_of_its_own() -> None:
    first, second = derive_scram("pencil"), derive_scram("pencil")
    assert first != second
    assert len(first.salt) == 16
    assert (first.mechanism, first.iterations) == ("SCRAM-SHA-256", 4096)


@pytest.mark.parametrize(
    ("mechanism", "size"), [("SCRAM-SHA-1", 20), ("SCRAM-SHA-256", 32), ("SCRAM-SHA-512", 64)]
)
def test_the_keys_are_as_long_as_the_hash(mechanism: str, size: int) -> None:
    secret = derive_scram("pencil", mechanism, iterations=5000)
    assert len(secret.stored_key) == len(secret.server_key) == size
    assert secret.iterations == 5000


def test_the_password_is_prepared_where_that_is_asked_for() -> None:
    def derived(password: str, preparation: Preparation) -> ScramSecret:
        return derive_scram(password, salt=b"salt", preparation=preparation)

    for preparation in (Preparation.LENIENT, Preparation.STRICT):
        assert derived("I\u00adX", preparation) == derived("\u2168", preparation)
    assert derived("I\u00adX", Preparation.RAW) != derived("IX", Preparation.RAW)
    assert derived("I\u00adX", Preparation.RAW) == derive_scram("I\u00adX", salt=b"salt")


def test_what_is_stored_has_no_character_that_is_not_assigned() -> None:  # RFC 4013 §2.5
    with pytest.raises(ValueError, match="refuses"):
        derive_scram("pencil\u0221", preparation=Preparation.STRICT)


@pytest.mark.parametrize("password", ["", "\u00ad"])
def test_nothing_is_no_password(password: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        derive_scram(password, preparation=Preparation.LENIENT)


def test_a_password_which_is_refused_is_not_shown() -> None:
    with pytest.raises(ValueError, match="refuses") as caught:
        derive_scram("hunter2\ue000", preparation=Preparation.STRICT)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-MD5", "PLAIN"])
def test_mechanisms_without_keys(mechanism: str) -> None:
    with pytest.raises(ValueError, match="no such"):
        derive_scram("pencil", mechanism)


def test_too_few_iterations() -> None:
    with pytest.raises(ValueError, match="4096"):
        derive_scram("pencil", iterations=4095)


@pytest.mark.parametrize(
    ("username", "password", "octets"),
    [
        ("chris", "secret", b"chris:realm:secret"),
        ("us\xe9r", "p\xe4ss", b"us\xe9r:realm:p\xe4ss"),  # ISO 8859-1 where it can be
        ("\u0436", "p\xe4ss", "\u0436:realm:".encode() + b"p\xe4ss"),
    ],
)
def test_digest_md5s_hash(username: str, password: str, octets: bytes) -> None:
    secret = derive_digest_md5(username, "realm", password)
    assert secret == DigestMD5Secret("realm", hashlib.md5(octets).digest())
