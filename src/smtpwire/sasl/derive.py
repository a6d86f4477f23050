"""What is made of a password: SCRAM's two keys, and DIGEST-MD5's H(user:realm:password).

Loaded when the first of it is asked for: nothing else of the package needs a hash.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from smtpwire.sasl.saslprep import Preparation, prepared_password
from smtpwire.sasl.stored import (
    HASH_SIZES,
    DigestMD5Secret,
    PlainPassword,
    ScramSecret,
    StoredSecret,
)
from smtpwire.wire.checked import checked

__all__ = [
    "DEFAULT_SCRAM",
    "HASHES",
    "derive_digest_md5",
    "derive_scram",
    "every_ha1",
    "ha1",
    "md5",
    "secret_from_password",
    "stored_octets",
    "verify",
]

DEFAULT_SCRAM: Final = "SCRAM-SHA-256"
"""The mechanism that a password is derived for where none is named."""

_SECRET: Final = StoredSecret | None

HASHES: Final = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
"""The hash of each mechanism, by its name without -PLUS."""


def stored_octets(text: str) -> bytes:
    """UTF-8. What is no Unicode text (lone surrogates) gives octets that no client can send.

    An exception of Python's would show the password.
    """
    return text.encode("utf-8", "surrogatepass")


def _check_text(name: str, text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{name} is no Unicode text: there is a lone surrogate in it")


def _check_mechanism(mechanism: str) -> None:
    if checked("mechanism", mechanism, str) not in HASHES:
        names = ", ".join(HASHES)
        raise ValueError(f"no such SCRAM mechanism: {mechanism!r}; pass one of {names}")


# --- RFC 5802 §3 ------------------------------------------------------------------------------


def derive_scram(
    password: str,
    mechanism: str = DEFAULT_SCRAM,
    *,
    salt: bytes | None = None,
    iterations: int = 4096,
    preparation: Preparation = Preparation.RAW,
) -> ScramSecret:
    """Derive from a password what a SCRAM server stores (RFC 5802 §3).

    ``salt`` defaults to 16 octets from `secrets`; ``preparation`` must be the server's. Raises
    ValueError for an unknown mechanism, for fewer than 4,096 iterations (RFC 7677 §4) and for a
    password which ``preparation`` refuses.
    """
    password = checked("password", password, str)
    preparation = checked("preparation", preparation, Preparation)
    _check_mechanism(mechanism)
    if checked("iterations", iterations, int) < 4096:
        raise ValueError("SCRAM wants 4096 iterations or more (RFC 7677 §4)")
    checked("salt", salt, bytes | None)
    if salt is None:
        import secrets

        salt = secrets.token_bytes(16)
    prepared = prepared_password(password, preparation, stored=True)
    if not prepared:
        raise ValueError("this password cannot be used: it is empty or SASLprep refuses it")
    _check_text("password", prepared)
    return secret_from_password(mechanism, prepared.encode(), salt, iterations)


def secret_from_password(
    mechanism: str, password: bytes, salt: bytes, iterations: int
) -> ScramSecret:
    """StoredKey and ServerKey of a prepared password."""
    hash_name = HASHES[mechanism]
    salted = hashlib.pbkdf2_hmac(hash_name, password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    stored_key = hashlib.new(hash_name, client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", hash_name)
    return ScramSecret(mechanism, salt, iterations, stored_key, server_key)


# --- RFC 2831 §2.1.2.1 ------------------------------------------------------------------------


def derive_digest_md5(username: str, realm: str, password: str) -> DigestMD5Secret:
    """Derive from a password what a DIGEST-MD5 server stores for one realm (RFC 2831 §2.1.2.1).

    The user name must be spelled as the client will send it: RFC 2831 knows no preparation.
    """
    for name, text in (("username", username), ("realm", realm), ("password", password)):
        _check_text(name, checked(name, text, str))
    return DigestMD5Secret(realm, ha1(username, realm.encode(), password))


def md5(octets: bytes) -> bytes:
    """DIGEST-MD5's hash; it proves no more than RFC 2831 makes of it."""
    return hashlib.md5(octets, usedforsecurity=False).digest()


def _hashed_form(text: str) -> bytes:
    """ISO 8859-1 where it can be, else UTF-8, so that stored hashes fit HTTP's."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return stored_octets(text)


def ha1(username: str, realm: bytes, password: str) -> bytes:
    """H(username:realm:password), the part of A1 which can be stored."""
    return md5(b"%b:%b:%b" % (_hashed_form(username), realm, _hashed_form(password)))


def every_ha1(username: str, realm: bytes, password: str) -> list[bytes]:
    """The same as clients make it: by the RFC, all in UTF-8, and as GNU SASL does.

    Cyrus SASL's server tries the first two. GNU SASL converts the password to ISO 8859-1, and
    leaves the name in UTF-8.
    """
    name, word = stored_octets(username), stored_octets(password)
    return [
        ha1(username, realm, password),
        md5(b"%b:%b:%b" % (name, realm, word)),
        md5(b"%b:%b:%b" % (name, realm, _hashed_form(password))),
    ]


# --- a password against what is stored ----------------------------------------------------------


def verify(
    secret: StoredSecret | None,
    password: str,
    *,
    username: str = "",
    preparation: Preparation = Preparation.RAW,
    mechanism: str = DEFAULT_SCRAM,
    iterations: int = 4096,
) -> bool:
    """Whether this is the password of which the secret is stored; None: there is no such user.

    Compared in constant time. One SCRAM derivation is made for everybody, whatever is stored and
    for those who do not exist, so that the time it takes tells nothing: for these it is of
    ``mechanism`` and ``iterations``, which should be those of the secrets that are stored.
    ``username``: a DigestMD5Secret cannot be verified without it. ``preparation``: the server's.
    Raises ValueError for an unknown mechanism.
    """
    secret = checked("secret", secret, _SECRET)
    username = checked("username", username, str)
    preparation = checked("preparation", preparation, Preparation)
    _check_mechanism(mechanism)
    prepared = prepared_password(checked("password", password, str), preparation)
    octets = stored_octets(prepared or "")
    stored = secret
    if not isinstance(stored, ScramSecret):
        stored = ScramSecret(mechanism, bytes(16), iterations, *_nobodys_keys(mechanism))
    made = secret_from_password(stored.mechanism, octets, stored.salt, stored.iterations)
    realm = secret.realm if isinstance(secret, DigestMD5Secret) else ""
    keys = every_ha1(username, stored_octets(realm), password)
    right = hmac.compare_digest(made.stored_key, stored.stored_key)
    if isinstance(secret, PlainPassword):
        own = prepared_password(secret.password, preparation, stored=True)
        right = hmac.compare_digest(stored_octets(own or ""), octets)
    elif isinstance(secret, DigestMD5Secret):
        right = any(hmac.compare_digest(key, secret.ha1) for key in keys)
    # To HMAC a key is the same with NULs behind it (RFC 2104 §2); no client may send one.
    return right and b"\0" not in octets and bool(octets) and secret is not None


def _nobodys_keys(mechanism: str) -> tuple[bytes, bytes]:
    """Keys that no password has."""
    size = HASH_SIZES[mechanism]
    return bytes(size), bytes(size)
