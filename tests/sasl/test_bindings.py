"""tls-server-end-point, RFC 5929 §4."""

import datetime
import hashlib

import pytest

pytest.importorskip("cryptography", reason="it makes the certificates")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from smtpwire.sasl import UndefinedBindingError, tls_server_end_point

NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx.example.org")])
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def _builder() -> x509.CertificateBuilder:
    now = datetime.datetime(2026, 1, 1)
    return (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(RSA_KEY.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


HASHES: list[tuple[hashes.HashAlgorithm, str]] = [
    (hashes.SHA224(), "sha224"),
    (hashes.SHA256(), "sha256"),
    (hashes.SHA384(), "sha384"),
    (hashes.SHA512(), "sha512"),
]


@pytest.mark.parametrize(("algorithm", "name"), HASHES, ids=[name for _, name in HASHES])
def test_the_hash_of_the_signature(
    algorithm: hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512, name: str
) -> None:
    plain = _der(_builder().sign(RSA_KEY, algorithm))
    curve = _der(_builder().sign(EC_KEY, algorithm))
    pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
    probabilistic = _der(_builder().sign(RSA_KEY, algorithm, rsa_padding=pss))
    for certificate in (plain, curve, probabilistic):
        assert tls_server_end_point(certificate) == hashlib.new(name, certificate).digest()


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()]
)
def test_undefined_for_algorithms_without_a_hash_of_their_own(
    key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey,
) -> None:
    certificate = _der(_builder().sign(key, None))
    with pytest.raises(UndefinedBindingError, match=r"1\.3\.101\.11[23]"):
        tls_server_end_point(certificate)


def _tlv(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def _certificate(oid: str, parameters: bytes = b"\x05\x00") -> bytes:
    """The frame of a certificate, with nothing in it but the signature's algorithm."""
    algorithm = _tlv(6, bytes.fromhex(oid)) + parameters
    return _tlv(0x30, _tlv(0x30, b"") + _tlv(0x30, algorithm) + _tlv(3, b"\0"))


@pytest.mark.parametrize(
    "certificate",
    [
        _certificate("2a864886f70d010104"),  # md5WithRSAEncryption
        _certificate("2a864886f70d010105"),  # sha1WithRSAEncryption
        _certificate("2a8648ce3d0401"),  # ecdsa-with-SHA1
        _certificate("2a8648ce380403"),  # dsa-with-sha1
        _certificate("2a864886f70d01010a", _tlv(0x30, b"")),  # RSASSA-PSS: SHA-1 by default
        _certificate("2a864886f70d01010a", _tlv(0x30, _tlv(0xA2, b"\x02\x01\x14"))),
        _certificate(
            "2a864886f70d01010a",
            _tlv(0x30, _tlv(0xA0, _tlv(0x30, _tlv(6, bytes.fromhex("2b0e03021a"))))),
        ),
    ],
)
def test_md5_and_sha1_are_replaced_by_sha256(certificate: bytes) -> None:
    assert tls_server_end_point(certificate) == hashlib.sha256(certificate).digest()


@pytest.mark.parametrize(
    ("number", "name"), [(1, "sha224"), (2, "sha256"), (3, "sha384"), (4, "sha512")]
)
def test_dsa_with_the_hashes_of_sha_2(number: int, name: str) -> None:  # RFC 5758 §3.1
    certificate = _certificate(f"6086480165030403{number:02}")
    assert tls_server_end_point(certificate) == hashlib.new(name, certificate).digest()


@pytest.mark.parametrize(
    "certificate",
    [
        _certificate("2a864886f70d010102"),  # md2WithRSAEncryption
        _certificate("883703"),  # 2.999.3
        _certificate(
            "2a864886f70d01010a",
            _tlv(0x30, _tlv(0xA0, _tlv(0x30, _tlv(6, bytes.fromhex("2a864886f70d0205"))))),
        ),
    ],
)
def test_unknown_algorithms_are_said_to_be_undefined(certificate: bytes) -> None:
    with pytest.raises(UndefinedBindingError, match="undefined for the algorithm"):
        tls_server_end_point(certificate)


@pytest.mark.parametrize(
    "parameters", [b"", b"\5\0", b"\x30\2\xa0\0"], ids=["none", "NULL", "empty"]
)
def test_rsassa_pss_without_the_parameters_it_needs(parameters: bytes) -> None:  # RFC 4055 §3.1
    with pytest.raises(UndefinedBindingError, match="without parameters that name a hash"):
        tls_server_end_point(_certificate("2a864886f70d01010a", parameters))


@pytest.mark.parametrize(
    ("oid", "dotted"),
    [
        ("0992268993f22c640119", "0.9.2342.19200300.100.1.25"),
        ("2a8648ce3d04037f", "1.2.840.10045.4.3.127"),
        ("4f", "1.39"),
        ("50", "2.0"),
        ("7f", "2.47"),
        ("8837", "2.999"),
    ],
)
def test_an_unknown_algorithm_is_named(oid: str, dotted: str) -> None:  # X.690 §8.19
    with pytest.raises(UndefinedBindingError) as caught:
        tls_server_end_point(_certificate(oid))
    assert str(caught.value) == f"tls-server-end-point is undefined for the algorithm {dotted}"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x30",
        b"\x30\x05\x30",
        b"-----BEGIN CERTIFICATE-----",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\xff",
        _certificate(""),
        _certificate("2a86"),
    ],
)
def test_what_is_no_certificate(octets: bytes) -> None:
    with pytest.raises(ValueError, match="DER"):
        tls_server_end_point(octets)


def test_every_truncation_is_refused_cleanly() -> None:
    certificate = _der(_builder().sign(EC_KEY, hashes.SHA256()))
    for length in range(len(certificate)):
        with pytest.raises(ValueError, match="DER"):
            tls_server_end_point(certificate[:length])


@pytest.mark.parametrize("octets", [2, 3, 5])
def test_a_length_in_the_long_form(octets: int) -> None:
    """So many octets of length, leading zeros included (X.690 §8.1.3.5)."""
    certificate = _der(_builder().sign(RSA_KEY, hashes.SHA384()))
    assert certificate[:2] == b"\x30\x82"
    content = certificate[4:]
    length = len(content).to_bytes(octets, "big")
    longer = b"\x30" + bytes([0x80 | octets]) + length + content
    assert tls_server_end_point(longer) == hashlib.sha384(longer).digest()
