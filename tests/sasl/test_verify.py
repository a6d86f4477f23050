"""A password against every stored form, and SCRAM's text form (RFC 5803)."""

import hashlib
from typing import Any

import pytest

from smtpwire.sasl import (
    PlainPassword,
    Preparation,
    ScramSecret,
    StoredSecret,
    derive_digest_md5,
    derive_scram,
    verify,
)

FORMS: dict[str, StoredSecret] = {
    "plain": PlainPassword("pencil"),
    "SCRAM-SHA-1": derive_scram("pencil", "SCRAM-SHA-1"),
    "SCRAM-SHA-256": derive_scram("pencil"),
    "SCRAM-SHA-512": derive_scram("pencil", "SCRAM-SHA-512", iterations=5000),
    "digest": derive_digest_md5("alice", "example.org", "pencil"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_stored_form_tells_the_right_password_from_another(form: str) -> None:
    secret = FORMS[form]
    assert verify(secret, "pencil", username="alice")
    for wrong in ("pencil ", "penci", "", "Pencil", "pencil\0"):
        assert not verify(secret, wrong, username="alice")


def test_nobody_has_no_password() -> None:
    assert not verify(None, "pencil")
    assert not verify(None, "")
    assert not verify(PlainPassword(""), "")


def test_a_digest_is_of_one_user_and_realm() -> None:
    secret = FORMS["digest"]
    assert not verify(secret, "pencil")
    assert not verify(secret, "pencil", username="bob")
    assert verify(derive_digest_md5("jürgen", "", "grün"), "grün", username="jürgen")


def test_preparation_holds_for_both() -> None:
    lenient = Preparation.LENIENT
    wide = "\N{FULLWIDTH LATIN SMALL LETTER A}bc"
    assert verify(PlainPassword(wide), "abc", preparation=lenient)
    assert verify(derive_scram("abc", preparation=lenient), wide, preparation=lenient)
    assert not verify(PlainPassword(wide), "abc")
    assert not verify(PlainPassword("a\x07"), "a\x07", preparation=Preparation.STRICT)


def test_the_work_is_the_same_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """One derivation each, and no comparison that stops early: known, of any form, or not."""
    work: list[tuple[str, int]] = []

    def counted(hash_name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        work.append((hash_name, iterations))
        return password.ljust(32) + salt

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    for secret in (None, FORMS["plain"], FORMS["digest"], FORMS["SCRAM-SHA-256"]):
        verify(secret, "pencil", username="alice")
        verify(secret, "wrong", username="alice")
    assert work == [("sha256", 4096)] * 8
    work.clear()
    for nobody in (None, FORMS["plain"]):
        verify(nobody, "pencil", mechanism="SCRAM-SHA-512", iterations=5000)
    verify(FORMS["SCRAM-SHA-512"], "pencil")
    assert work == [("sha512", 5000)] * 3


def test_what_is_no_stored_secret_is_told() -> None:
    wrong: Any = "pencil"
    with pytest.raises(TypeError, match="secret is a str: pass a StoredSecret or None"):
        verify(wrong, "pencil")
    wrong = b"pencil"
    with pytest.raises(TypeError, match="password is bytes: pass a str"):
        verify(FORMS["plain"], wrong)


# RFC 5802 §5: user "user", password "pencil"
EXAMPLE = (
    "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE="
)


def test_the_text_form_of_the_rfc_s_example() -> None:
    secret = ScramSecret.from_text(EXAMPLE)
    assert secret == derive_scram("pencil", "SCRAM-SHA-1", salt=secret.salt)
    assert secret.to_text() == EXAMPLE
    assert verify(secret, "pencil")
    assert ScramSecret.from_text(EXAMPLE.replace("$", " $ ") + " ") == secret


@pytest.mark.parametrize("form", [name for name in FORMS if name.startswith("SCRAM")])
def test_the_text_form_goes_both_ways(form: str) -> None:
    secret = FORMS[form]
    assert isinstance(secret, ScramSecret)
    assert ScramSecret.from_text(secret.to_text()) == secret


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "this is no SCRAM"),
        ("pencil", "this is no SCRAM"),
        (EXAMPLE.replace(":", "$"), "this is no SCRAM"),
        (EXAMPLE.replace("4096", "0"), "this is no SCRAM"),
        (EXAMPLE.replace("4096", "٣"), "this is no SCRAM"),
        (EXAMPLE + "\n", "this is no SCRAM"),
        (EXAMPLE.replace("SHA-1", "MD5"), "pass one of SCRAM-SHA-1"),
        (EXAMPLE.replace("QSXCR", "QSXC"), "no base64"),
        (EXAMPLE.replace("K9Y=", "K9Y=="), "no base64"),
        (EXAMPLE.replace("bf92$", "bf92=$"), "no base64"),
        (EXAMPLE.replace("bf92$", "bf92==$"), "no base64"),
        (EXAMPLE.replace("SHA-1", "SHA-256"), "keys of SCRAM-SHA-256 have 32 octets"),
    ],
)
def test_another_text_is_refused_and_not_shown(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error) as caught:
        ScramSecret.from_text(text)
    assert "QSXC" not in str(caught.value)


def test_what_is_wrong_is_told_at_the_door() -> None:
    secret = PlainPassword("pencil")
    for mechanism in ("SCRAM-SHA-256-PLUS", "PLAIN"):
        with pytest.raises(ValueError, match=f"no such SCRAM mechanism: '{mechanism}'; pass one"):
            verify(secret, "pencil", mechanism=mechanism)
    wrong: Any = None
    with pytest.raises(TypeError, match="username is None: pass a str"):
        verify(secret, "pencil", username=wrong)
    with pytest.raises(TypeError, match="mechanism is None: pass a str"):
        verify(secret, "pencil", mechanism=wrong)
    with pytest.raises(TypeError, match="preparation is None: pass a"):
        verify(secret, "pencil", preparation=wrong)
