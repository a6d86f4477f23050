"""What a server may store of a user: a password, DIGEST-MD5's HA1, or SCRAM's two keys.

The derived forms are made once, when the password is set, so that nobody need keep it: see
`derive_scram` and `derive_digest_md5`.
"""

from __future__ import annotations

import re
from typing import Final, final

from smtpwire.wire.checked import checked
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.value import value

__all__ = [
    "HASH_SIZES",
    "DigestMD5Secret",
    "PlainPassword",
    "ScramSecret",
    "StoredSecret",
]


HASH_SIZES: Final = {"SCRAM-SHA-1": 20, "SCRAM-SHA-256": 32, "SCRAM-SHA-512": 64}
"""The octets of each mechanism's hash, by its name without -PLUS."""


_BASE64: Final = "[A-Za-z0-9+/]+={0,2}"
_TEXT_FORM: Final = (
    rf" *([A-Z0-9-]+) *\$ *([1-9][0-9]{{0,9}}):({_BASE64}) *\$ *({_BASE64}):({_BASE64}) *"
)
"""RFC 5803 §2, with blanks where RFC 3112 §2 has them."""


class StoredSecret:
    """The common base of the stored forms; `SecretRequest.accepts` lists subclasses of it.

    A mechanism of yours may have a form of your own. Let its ``repr()`` show no secret: logs have
    it where a client has chosen a mechanism that cannot use it.
    """

    __slots__ = ()


@final
@value(checked=True)
class PlainPassword(StoredSecret):
    """The password itself: every mechanism can use it, and so can a thief.

    ``password``: never shown.
    """

    password: str

    def __repr__(self) -> str:
        return "PlainPassword(<redacted>)"


@final
@value(checked=True)
class DigestMD5Secret(StoredSecret):
    """DIGEST-MD5's H(user:realm:password), 16 octets (RFC 2831 §3.9).

    Within ``realm`` it is as good as the password: store it as carefully.

    ``ha1``: the hash itself, not in hexadecimal.
    """

    realm: str
    ha1: bytes

    def __post_init__(self) -> None:
        if len(self.ha1) != 16:
            raise ValueError("DigestMD5Secret.ha1 has 16 octets: pass what derive_digest_md5 gives")

    def __repr__(self) -> str:
        return f"DigestMD5Secret(realm={self.realm!r}, ha1=<redacted>)"


@final
@value(checked=True)
class ScramSecret(StoredSecret):
    """SCRAM's StoredKey and ServerKey (RFC 5802 §3); ``mechanism`` is the name without -PLUS.

    It does not let a thief log in, but it lets him guess at leisure and play the server.

    ``salt``: octets, one or more. ``iterations``: how often the hash was applied. ``stored_key``,
    ``server_key``: as many octets as the hash has.
    """

    mechanism: str
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __post_init__(self) -> None:
        size = HASH_SIZES.get(self.mechanism)
        if size is None:
            raise ValueError(
                f"ScramSecret.mechanism is {self.mechanism!r}: pass one of {', '.join(HASH_SIZES)}"
            )
        if not self.salt or self.iterations < 1:
            raise ValueError("a ScramSecret has a salt, and iterations from 1 on")
        if not len(self.stored_key) == len(self.server_key) == size:
            raise ValueError(f"the keys of {self.mechanism} have {size} octets each")

    @classmethod
    def from_text(cls, text: str) -> ScramSecret:
        """Read the text form (RFC 5803 §2): ``SCRAM-SHA-256$4096:salt$StoredKey:ServerKey``.

        LDAP servers and PostgreSQL store it so. Raises ValueError for any other, and tells nothing
        of it: it is a secret.
        """
        found = re.fullmatch(_TEXT_FORM, checked("text", text, str))
        if found is None:
            raise ValueError("this is no SCRAM-…$iterations:salt$StoredKey:ServerKey (RFC 5803 §2)")
        mechanism, iterations, *octets = found.groups()
        salt, stored_key, server_key = [decode_base64(each.encode()) for each in octets]
        if salt is None or stored_key is None or server_key is None:
            raise ValueError("a part of the stored secret is no base64 (RFC 5803 §2)")
        return cls(mechanism, salt, int(iterations), stored_key, server_key)

    def to_text(self) -> str:
        """The text form (RFC 5803 §2), which :meth:`from_text` reads. Store it as a secret."""
        from binascii import b2a_base64

        salt, stored_key, server_key = [
            b2a_base64(each, newline=False).decode()
            for each in (self.salt, self.stored_key, self.server_key)
        ]
        return f"{self.mechanism}${self.iterations}:{salt}${stored_key}:{server_key}"

    def __repr__(self) -> str:
        return f"ScramSecret({self.mechanism!r}, iterations={self.iterations}, <redacted>)"
