"""OAUTHBEARER (RFC 7628) and XOAUTH2."""

import pytest
from tests.sasl.conversation import Users, client_config, converse, server_config

from smtpwire.sasl import (
    Ask,
    BadChallengeError,
    BearerToken,
    Challenge,
    Failed,
    Succeeded,
    TokenLogin,
    UnusableCredentialsError,
    client_mechanism,
    server_mechanism,
)
from smtpwire.wire.value import replace

BOTH = pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
TOKEN = "ya29.a0-~+/=="


@BOTH
@pytest.mark.parametrize("user", ["user@example.org", "a=b,c@example.org", "us\xe9r"])
def test_a_good_token(mechanism: str, user: str) -> None:
    client = client_mechanism(mechanism, BearerToken(user, TOKEN), client_config())
    server = server_mechanism(mechanism, server_config())
    users = Users(tokens={user: TOKEN})
    assert converse(client, server, users.decide) == Succeeded(user)
    assert client.complete
    assert not client.mutual
    assert client.error == ""


@pytest.mark.parametrize(
    ("mechanism", "error", "acknowledgement"),
    [
        ("OAUTHBEARER", b'{"status":"invalid_token","scope":"mail"}', b"\x01"),
        ("XOAUTH2", b'{"status":"401","schemes":"bearer","scope":"mail"}', b""),
    ],
)
def test_a_bad_token_is_refused_in_two_steps(
    mechanism: str, error: bytes, acknowledgement: bytes
) -> None:
    """RFC 7628 §3.2.3."""
    client = client_mechanism(mechanism, BearerToken("user", "bad"), client_config())
    server = server_mechanism(mechanism, replace(server_config(), oauth_error={"scope": "mail"}))
    initial = client.initial()
    assert isinstance(server.start(initial), Ask)
    assert server.answer(False) == Challenge(error)
    assert client.step(error) == acknowledgement
    assert client.error == error.decode()
    assert server.step(acknowledgement) == Failed("credentials refused")
    with pytest.raises(BadChallengeError):
        client.step(error)


def test_host_and_port_are_told() -> None:
    message = b"n,,\x01host=mx.example.org\x01port=587\x01auth=bEARER t\x01\x01"
    step = server_mechanism("OAUTHBEARER", server_config()).start(message)
    assert step == Ask(TokenLogin("", "t", "OAUTHBEARER", "mx.example.org", 587))


@pytest.mark.parametrize("port", [b"0", b"099", b"100000", b"-1", b""])
def test_a_port_which_is_none(port: bytes) -> None:
    message = b"y,a=u,\x01port=" + port + b"\x01auth=Bearer t\x01\x01"
    step = server_mechanism("OAUTHBEARER", server_config()).start(message)
    assert step == Ask(TokenLogin("u", "t", "OAUTHBEARER"))


def test_only_oauthbearer_escapes_the_user_name() -> None:  # RFC 7628 §3.1, RFC 5801 §4
    bearer = server_mechanism("OAUTHBEARER", server_config())
    assert bearer.start(b"n,a=a=2Cb=3D,\x01auth=Bearer t\x01\x01") == Ask(
        TokenLogin("a,b=", "t", "OAUTHBEARER")
    )
    xoauth2 = server_mechanism("XOAUTH2", server_config())
    assert xoauth2.start(b"user=a=2Cb=3D\x01auth=Bearer t\x01\x01") == Ask(
        TokenLogin("a=2Cb=3D", "t", "XOAUTH2")
    )


def test_unknown_keys_are_ignored() -> None:
    message = b"n,a=u,\x01mthd=GET\x01auth=Bearer t\x01x=a b\tc\x01\x01"
    step = server_mechanism("OAUTHBEARER", server_config()).start(message)
    assert step == Ask(TokenLogin("u", "t", "OAUTHBEARER"))


@pytest.mark.parametrize(
    "auth", [b"auth=\x01", b"", b"auth=Basic dXNlcg==\x01", b"auth=Bearer\x01"]
)
def test_without_a_token_the_error_tells_what_is_needed(auth: bytes) -> None:
    server = server_mechanism("OAUTHBEARER", server_config())
    assert server.start(b"n,a=u,\x01" + auth + b"\x01") == Challenge(b'{"status":"invalid_token"}')
    assert server.step(b"\x01") == Failed("credentials refused")


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        ("OAUTHBEARER", b""),
        ("OAUTHBEARER", b"\x01"),
        ("OAUTHBEARER", b"n,a=u,\x01auth=Bearer t\x01"),
        ("OAUTHBEARER", b"n,user=u,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"p=tls-unique,a=u,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=u=2X,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=u\n,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=u\xff,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=u,\x01auth=Bearer t\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=u,\x01AUTH=Bearer t\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=u,\x01auth=Bearer \xe9\x01\x01"),
        ("OAUTHBEARER", b"n,a=u,\x01=x\x01\x01"),
        ("XOAUTH2", b"user=\x01auth=Bearer t\x01\x01"),
        ("XOAUTH2", b"auth=Bearer t\x01\x01"),
        ("XOAUTH2", b"user=u\x01auth=Bearer t\x01"),
        ("XOAUTH2", b"user=\xc2\xad\x01auth=Bearer t\x01\x01"),
    ],
)
def test_malformed_messages(mechanism: str, message: bytes) -> None:
    step = server_mechanism(mechanism, server_config()).start(message)
    assert isinstance(step, Failed)
    assert step.malformed


def test_the_xoauth2_message() -> None:
    client = client_mechanism("XOAUTH2", BearerToken("u@x.example", TOKEN), client_config())
    assert client.initial() == b"user=u@x.example\x01auth=Bearer " + TOKEN.encode() + b"\x01\x01"


def test_an_oauthbearer_message_without_user_host_and_port() -> None:
    config = client_config(host="")
    client = client_mechanism("OAUTHBEARER", BearerToken("", TOKEN), config)
    assert client.initial() == b"n,,\x01auth=Bearer " + TOKEN.encode() + b"\x01\x01"


@BOTH
@pytest.mark.parametrize(
    "credentials",
    [
        BearerToken("user", ""),
        BearerToken("user", "a b"),
        BearerToken("user", "a\x01b"),
        BearerToken("user", "t\xe9"),
        BearerToken("us\x01er", "t"),
        BearerToken("us\x7fer", "t"),
        BearerToken("\ud800", "t"),
    ],
)
def test_what_cannot_be_carried(mechanism: str, credentials: BearerToken) -> None:
    with pytest.raises(UnusableCredentialsError):
        client_mechanism(mechanism, credentials, client_config())


def test_xoauth2_needs_a_user() -> None:
    with pytest.raises(UnusableCredentialsError):
        client_mechanism("XOAUTH2", BearerToken("", "t"), client_config())


def test_an_error_which_is_no_utf8_is_readable() -> None:
    client = client_mechanism("XOAUTH2", BearerToken("u", "t"), client_config())
    client.initial()
    client.step(b"\xff")
    assert client.error == "\ufffd"


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_token_that_the_server_echoes_is_not_told(mechanism: str) -> None:
    client = client_mechanism(mechanism, BearerToken("user", "ya29.secret"), client_config())
    client.initial()
    client.step(b'{"status":"401","detail":"ya29.secret has expired"}')
    assert client.error == '{"status":"401","detail":"<redacted> has expired"}'
