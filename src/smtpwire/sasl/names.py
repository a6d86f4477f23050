"""Identities as octets: decoding, preparing, and whether a second one is claimed."""

from __future__ import annotations

from typing import Final, final

from smtpwire.sasl.credentials import Password
from smtpwire.sasl.errors import (
    UnusableCredentialsError,
)
from smtpwire.sasl.saslprep import Preparation, prepared_name, prepared_password
from smtpwire.wire.value import field, value

__all__ = ["claimed_identity", "decoded", "encoded", "prepared", "received_name", "sendable"]


# RFC 4616 §2 wants 255 octets, RFC 4505 §2 255 characters, each of them up to 4 octets. It
# also bounds what SASLprep costs: one character may become eighteen.
_LONGEST: Final = 1024


def decoded(octets: bytes) -> str | None:
    """UTF-8 (RFC 3629), strictly; None for anything else, or where it is too long."""
    if len(octets) > _LONGEST:
        return None
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None


def encoded(text: str) -> bytes:
    """UTF-8; raises `UnusableCredentialsError` for lone surrogates, which UTF-8 cannot encode."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UnusableCredentialsError("a credential is no Unicode text") from None


@final
@value
class Prepared:
    """Credentials as octets that can be sent or hashed."""

    username: bytes
    password: bytes = field(repr=False)
    authzid: bytes


def prepared(
    mechanism: str, credentials: Password, preparation: Preparation, *, authzid: bool = True
) -> Prepared:
    """What a client makes of its credentials before it sends or hashes them.

    Raises `UnusableCredentialsError` as `sendable` does, and for what cannot be prepared.
    """
    sendable(mechanism, credentials, authzid=authzid)
    username = prepared_name(credentials.username, preparation)
    password = prepared_password(credentials.password, preparation)
    identity = prepared_name(credentials.authzid, preparation)
    if not username or not password or identity is None:
        raise UnusableCredentialsError(f"{mechanism}: a name or the password cannot be prepared")
    if credentials.authzid and not identity:
        raise UnusableCredentialsError(
            f"{mechanism}: nothing of the authorization identity is left"
        )
    return Prepared(username.encode(), password.encode(), identity.encode())


def sendable(mechanism: str, credentials: Password, *, authzid: bool = True) -> None:
    """Raise `UnusableCredentialsError` for credentials which no server could accept.

    ``authzid`` says whether the mechanism can carry an authorization identity.
    """
    if credentials.authzid and not authzid:
        raise UnusableCredentialsError(f"{mechanism} cannot carry an authorization identity")
    if not credentials.username or not credentials.password:
        raise UnusableCredentialsError(f"{mechanism}: user name and password must not be empty")
    for text in (credentials.authzid, credentials.username, credentials.password):
        if b"\0" in encoded(text):
            raise UnusableCredentialsError(f"{mechanism}: no NUL in a name or password")


def received_name(octets: bytes, preparation: Preparation) -> str | None:
    """A user name as a client sent it, prepared (RFC 4013); None if it fails or is then empty."""
    text = decoded(octets)
    return (prepared_name(text, preparation) or None) if text is not None else None


def claimed_identity(octets: bytes, authcid: str, preparation: Preparation) -> str | None:
    """The authorization identity a client sent, if it is another than ``authcid``; else "".

    None: it fails. RFC 4954 §4: one whose preparation fails or gives nothing must fail.
    """
    if not octets:
        return ""
    authzid = received_name(octets, preparation)
    return "" if authzid == authcid else authzid
