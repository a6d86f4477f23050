"""What a server may store of a user: a password, DIGEST-MD5's HA1, or SCRAM's two keys.

The derived forms are made once, when the password is set, so that nobody need keep it: see
`derive_scram` and `derive_digest_md5`.
"""

from __future__ import annotations

from typing import final

from smtpwire.wire.value import value

__all__ = [
    "DigestMD5Secret",
    "PlainPassword",
    "ScramSecret",
    "StoredSecret",
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
