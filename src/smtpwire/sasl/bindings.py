"""Channel bindings: tls-server-end-point from a certificate (RFC 5929 §4).

The other types (tls-unique, tls-exporter) only the TLS library can give.
"""

from __future__ import annotations

from typing import Final

from smtpwire.wire.checked import checked
from smtpwire.wire.error import SmtpwireError

__all__ = ["UndefinedBindingError", "tls_server_end_point"]


class UndefinedBindingError(SmtpwireError, ValueError):
    """RFC 5929 §4.1 defines no binding for a certificate with this signature algorithm."""


_RSASSA_PSS: Final = "1.2.840.113549.1.1.10"

# The hash by the signature algorithm's OID. MD5 and SHA-1 are replaced by SHA-256 (§4.1).
_HASHES: Final = {
    "1.2.840.113549.1.1.4": "sha256",  # md5WithRSAEncryption
    "1.2.840.113549.1.1.5": "sha256",  # sha1WithRSAEncryption
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.113549.1.1.14": "sha224",
    "1.2.840.10040.4.3": "sha256",  # dsa-with-sha1
    "2.16.840.1.101.3.4.3.1": "sha224",  # dsa-with-sha224 …
    "2.16.840.1.101.3.4.3.2": "sha256",
    "2.16.840.1.101.3.4.3.3": "sha384",
    "2.16.840.1.101.3.4.3.4": "sha512",
    "1.2.840.10045.4.1": "sha256",  # ecdsa-with-SHA1
    "1.2.840.10045.4.3.1": "sha224",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
}
# RSASSA-PSS names its hash in its parameters (RFC 4055 §3.1); SHA-1 is their default.
_PSS_HASHES: Final = {
    "1.3.14.3.2.26": "sha256",  # SHA-1
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}

_SEQUENCE: Final = 0x30
_OID: Final = 0x06
_HASH_PARAMETER: Final = 0xA0  # [0] hashAlgorithm


def tls_server_end_point(certificate: bytes) -> bytes:
    """The tls-server-end-point binding of the server's certificate, given in DER.

    Raises `UndefinedBindingError` where the signature algorithm has no hash of its own (Ed25519,
    Ed448) or an unknown one, ValueError for anything but a certificate.
    """
    import hashlib

    outer, _ = _element(checked("certificate", certificate, bytes), _SEQUENCE)
    _, after_tbs = _element(outer, _SEQUENCE)
    algorithm, _ = _element(after_tbs, _SEQUENCE)
    return hashlib.new(_hash_name(algorithm), certificate).digest()


def _hash_name(algorithm: bytes) -> str:
    oid, parameters = _element(algorithm, _OID)
    name = _dotted(oid)
    table = _HASHES
    if name == _RSASSA_PSS:
        table = _PSS_HASHES
        name = _pss_hash(parameters)
    if name not in table:
        raise UndefinedBindingError(f"tls-server-end-point is undefined for the algorithm {name}")
    return table[name]


def _pss_hash(parameters: bytes) -> str:
    """The OID of RSASSA-PSS's hash; its parameters must be there (RFC 4055 §3.1)."""
    try:
        fields, _ = _element(parameters, _SEQUENCE)
        if not fields or fields[0] != _HASH_PARAMETER:
            return "1.3.14.3.2.26"
        wrapped, _ = _element(fields, _HASH_PARAMETER)
        hash_algorithm, _ = _element(wrapped, _SEQUENCE)
        oid, _ = _element(hash_algorithm, _OID)
        return _dotted(oid)
    except ValueError as error:
        raise UndefinedBindingError("RSASSA-PSS without parameters that name a hash") from error


def _element(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError("this is no DER certificate")
    length, start = der[1], 2
    if length & 0x80:  # the long form: so many octets of length
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    end = start + length
    if end > len(der) or start > len(der):
        raise ValueError("this is no DER certificate: it is cut short")
    return der[start:end], der[end:]


def _dotted(oid: bytes) -> str:
    if not oid or oid[-1] & 0x80:
        raise ValueError("this is no DER certificate: a broken object identifier")
    arcs, arc = [], 0
    for octet in oid:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(number) for number in (first, arcs[0] - 40 * first, *arcs[1:]))
