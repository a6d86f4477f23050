"""Identities as octets: decoding, preparing, and whether a second one is claimed."""

from smtpwire.sasl.mechanism import UnusableCredentialsError
from smtpwire.sasl.saslprep import Preparation, prepared_name

__all__ = ["claimed_identity", "decoded", "encoded", "received_name"]


def decoded(octets: bytes) -> str | None:
    """UTF-8 (RFC 3629), strictly; None if it is none."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None


def encoded(text: str) -> bytes:
    """UTF-8; raises `UnusableCredentialsError` for what is no Unicode text (lone surrogates)."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UnusableCredentialsError("a credential is no Unicode text") from None


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
