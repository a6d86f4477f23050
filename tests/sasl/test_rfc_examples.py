"""The examples of the RFCs, octet by octet, with their nonces."""

from base64 import b64decode

import pytest
from tests.sasl.conversation import (
    Transcript,
    Users,
    client_config,
    converse,
    server_config,
)

from smtpwire.sasl import (
    Anonymous,
    BearerToken,
    Challenge,
    Failed,
    Password,
    PasswordLogin,
    PlainPassword,
    ScramSecret,
    Succeeded,
    TokenLogin,
    client_mechanism,
    derive_scram,
    server_mechanism,
)
from smtpwire.wire.value import replace


def test_plain_rfc4616_section4_first_example() -> None:
    message = b"\0tim\0tanstaaftanstaaf"
    client = client_mechanism("PLAIN", Password("tim", "tanstaaftanstaaf"), client_config())
    server = server_mechanism("PLAIN", server_config())
    log: Transcript = []
    users = Users(passwords={"tim": "tanstaaftanstaaf"})
    assert converse(client, server, users.decide, log) == Succeeded("tim")
    assert log == [("C", message)]
    assert len(message) == 21


def test_plain_rfc4616_section4_second_example_claims_another_identity() -> None:
    client = client_mechanism("PLAIN", Password("Kurt", "xipj3plmq", "Ursel"), client_config())
    server = server_mechanism("PLAIN", server_config())
    log: Transcript = []
    users = Users(passwords={"Kurt": "xipj3plmq"})
    # the password is right; whether Kurt may act as Ursel is the next question
    assert converse(client, server, users.decide, log) == Succeeded("Kurt", "Ursel")
    assert log == [("C", b"Ursel\0Kurt\0xipj3plmq")]
    assert users.asked == [PasswordLogin("Kurt", "xipj3plmq", "Ursel", "PLAIN")]


def test_cram_md5_rfc2195_section2() -> None:
    client = client_mechanism("CRAM-MD5", Password("tim", "tanstaaftanstaaf"), client_config())
    server = server_mechanism(
        "CRAM-MD5",
        server_config(hosts=("postoffice.reston.mci.net",), nonce="1896.697170952"),
    )
    log: Transcript = []
    users = Users(passwords={"tim": "tanstaaftanstaaf"})
    assert converse(client, server, users.decide, log) == Succeeded("tim")
    assert log == [
        ("S", b64decode("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+")),
        ("C", b64decode("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw")),
    ]


@pytest.mark.parametrize(
    ("service", "nonce", "cnonce", "response", "rspauth"),
    [
        (
            "imap",
            "OA6MG9tEQGm2hh",
            "OA6MHXh6VqTrRk",
            b"d388dad90d4bbd760a152321f2143af7",
            b"ea40f60335c427b5527b84dbabcdfffd",
        ),
        (
            "acap",
            "OA9BSXrbuRhWay",
            "OA9BSuZWMSpW8m",
            b"6084c6db3fede7352c551284490fd0fc",
            b"2f0b3d7c3c2e486600ef710726aa2eae",
        ),
    ],
)
def test_digest_md5_rfc2831_section4(
    service: str, nonce: str, cnonce: str, response: bytes, rspauth: bytes
) -> None:
    host = "elwood.innosoft.com"
    client = client_mechanism(
        "DIGEST-MD5",
        Password("chris", "secret"),
        replace(client_config(host=host, nonce=cnonce), service=service),
    )
    server = server_mechanism(
        "DIGEST-MD5",
        replace(server_config(hosts=(host,), realm=host, nonce=nonce), service=service),
    )
    log: Transcript = []
    users = Users(passwords={"chris": "secret"})
    assert converse(client, server, users.decide, log) == Succeeded("chris")
    assert log == [
        (
            "S",
            b'realm="elwood.innosoft.com",nonce="%b",qop="auth",'
            b"algorithm=md5-sess,charset=utf-8" % nonce.encode(),
        ),
        (
            "C",
            b'charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="%b",nc=00000001,'
            b'cnonce="%b",digest-uri="%b/elwood.innosoft.com",response=%b,qop=auth'
            % (nonce.encode(), cnonce.encode(), service.encode(), response),
        ),
        ("S", b"rspauth=" + rspauth),
        ("C", b""),
    ]
    assert client.server_proven


@pytest.mark.parametrize(
    ("mechanism", "cnonce", "snonce", "salt", "proof", "verifier"),
    [
        (
            "SCRAM-SHA-1",  # RFC 5802 §5
            b"fyko+d2lbbFgONRv9qkxdawL",
            b"3rfcNHYJY1ZVvWVs7j",
            b"QSXCR+Q6sek8bf92",
            b"v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            b"rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (
            "SCRAM-SHA-256",  # RFC 7677 §3
            b"rOprNGfwEbeRWgbNEkqO",
            b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            b"W22ZaJ0SNY7soEsUEjb6gQ==",
            b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ],
)
def test_scram_rfc5802_section5_and_rfc7677_section3(
    mechanism: str, cnonce: bytes, snonce: bytes, salt: bytes, proof: bytes, verifier: bytes
) -> None:
    client = client_mechanism(
        mechanism, Password("user", "pencil"), client_config(nonce=cnonce.decode())
    )
    server = server_mechanism(mechanism, server_config(nonce=snonce.decode()))
    secret = derive_scram("pencil", mechanism, salt=b64decode(salt), iterations=4096)
    assert isinstance(secret, ScramSecret)
    log: Transcript = []
    users = Users(secrets={"user": secret})
    assert converse(client, server, users.decide, log) == Succeeded("user")
    assert log == [
        ("C", b"n,,n=user,r=" + cnonce),
        ("S", b"r=" + cnonce + snonce + b",s=" + salt + b",i=4096"),
        ("C", b"c=biws,r=" + cnonce + snonce + b",p=" + proof),
        ("S", b"v=" + verifier),
        ("C", b""),
    ]
    assert client.server_proven


def _oauthbearer(port: int) -> bytes:
    return (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=%d\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01" % port
    )


@pytest.mark.parametrize(
    ("port", "base64"),
    [
        (
            143,
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVh"
            "cmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB",
        ),
        (
            587,
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVh"
            "cmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB",
        ),
    ],
)
def test_oauthbearer_rfc7628_section4_1(port: int, base64: str) -> None:
    token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    client = client_mechanism(
        "OAUTHBEARER",
        BearerToken("user@example.com", token),
        client_config(host="server.example.com", port=port),
    )
    server = server_mechanism("OAUTHBEARER", server_config())
    log: Transcript = []
    users = Users(tokens={"user@example.com": token})
    assert converse(client, server, users.decide, log) == Succeeded("user@example.com")
    assert log == [("C", _oauthbearer(port))]
    assert b64decode(base64) == _oauthbearer(port)
    assert users.asked == [
        TokenLogin("user@example.com", token, "OAUTHBEARER", "server.example.com", port)
    ]


def test_oauthbearer_rfc7628_section4_3_asks_for_the_scope() -> None:
    server = server_mechanism(
        "OAUTHBEARER",
        replace(
            server_config(),
            oauth_error={
                "scope": "example_scope",
                "openid-configuration": "https://example.com/.well-known/openid-configuration",
            },
        ),
    )
    message = b64decode(
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9AQE="
    )
    error = server.start(message)
    assert error == Challenge(
        b64decode(
            "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZp"
            "Z3VyYXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9u"
            "In0="
        )
    )
    client = client_mechanism("OAUTHBEARER", BearerToken("u", "t"), client_config())
    assert isinstance(error, Challenge)
    assert client.initial() is not None
    assert client.step(error.data) == b64decode("AQ==")
    assert client.error.startswith('{"status":"invalid_token"')
    assert server.step(b64decode("AQ==")) == Failed("credentials refused")


def test_anonymous_rfc4505_section4() -> None:
    client = client_mechanism("ANONYMOUS", Anonymous("sirhc"), client_config())
    server = server_mechanism("ANONYMOUS", server_config())
    log: Transcript = []
    assert converse(client, server, Users().decide, log) == Succeeded("anonymous")
    assert log == [("C", b64decode("c2lyaGM="))]


def test_an_example_user_with_a_stored_password_gets_a_salt_of_his_own() -> None:
    server = server_mechanism("SCRAM-SHA-256", server_config(nonce="%hv"))
    server.start(b"n,,n=user,r=rOprNG")
    first = server.supply(PlainPassword("pencil"))
    assert isinstance(first, Challenge)
    assert first.data.startswith(b"r=rOprNG%hv,s=")
