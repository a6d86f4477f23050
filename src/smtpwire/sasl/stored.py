"""What a server may store of a user: a password, DIGEST-MD5's HA1, or SCRAM's two keys.

The derived forms are made once, when the password is set, so that nobody need keep it.
"""

from __future__ import annotations

from typing import final

from smtpwire.sasl.saslprep import Preparation, prepared_password
from smtpwire.wire.value import value

__all__ = [
    "DigestMD5Secret",
    "PlainPassword",
    "ScramSecret",
    "StoredSecret",
    "derive_digest_md5",
    "derive_scram",
    "stored_octets",
]


class StoredSecret:
    """The common base of the stored forms; `SecretRequest.accepts` lists subclasses of it."""

    __slots__ = ()


@final
@value
class PlainPassword(StoredSecret):
    """The password itself: every mechanism can use it, and so can a thief."""

    password: str

    def __repr__(self) -> str:
        return "PlainPassword(<redacted>)"


@final
@value
class DigestMD5Secret(StoredSecret):
    """DIGEST-MD5's H(user:realm:password), 16 octets (RFC 2831 §3.9).

    Within ``realm`` it is as good as the password: store it as carefully.
    """

    realm: str
    ha1: bytes

    def __repr__(self) -> str:
        return f"DigestMD5Secret(realm={self.realm!r}, ha1=<redacted>)"


@final
@value
class ScramSecret(StoredSecret):
    """SCRAM's StoredKey and ServerKey (RFC 5802 §3); ``mechanism`` is the name without -PLUS.

    It does not let a thief log in, but it lets him guess at leisure and play the server.
    """

    mechanism: str
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"ScramSecret({self.mechanism!r}, iterations={self.iterations}, <redacted>)"


def derive_scram(
    password: str,
    mechanism: str = "SCRAM-SHA-256",
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
    from smtpwire.sasl.scram import HASHES, secret_from_password

    if mechanism not in HASHES:
        raise ValueError(f"no such SCRAM mechanism: {mechanism!r}")
    if iterations < 4096:
        raise ValueError("SCRAM wants 4096 iterations or more (RFC 7677 §4)")
    if salt is None:
        import secrets

        salt = secrets.token_bytes(16)
    prepared = prepared_password(password, preparation, stored=True)
    if not prepared:
        raise ValueError("this password cannot be used: it is empty or SASLprep refuses it")
    _check_text("password", prepared)
    return secret_from_password(mechanism, prepared.encode(), salt, iterations)


def derive_digest_md5(username: str, realm: str, password: str) -> DigestMD5Secret:
    """Derive from a password what a DIGEST-MD5 server stores for one realm (RFC 2831 §2.1.2.1).

    The user name must be spelled as the client will send it: RFC 2831 knows no preparation.
    """
    from smtpwire.sasl.digest_md5 import ha1

    for name, text in (("username", username), ("realm", realm), ("password", password)):
        _check_text(name, text)
    return DigestMD5Secret(realm, ha1(username, realm.encode(), password))


def stored_octets(text: str) -> bytes:
    """UTF-8. What is no Unicode text (lone surrogates) gives octets that no client can send.

    An exception of Python's would show the password.
    """
    return text.encode("utf-8", "surrogatepass")


def _check_text(name: str, text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{name} is no Unicode text: there is a lone surrogate in it")
