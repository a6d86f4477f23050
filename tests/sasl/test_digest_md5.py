"""DIGEST-MD5, RFC 2831."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sasl.conversation import (
    Transcript,
    Users,
    client_config,
    converse,
    server_config,
)

from smtpwire.sasl import (
    Ask,
    BadChallengeError,
    Challenge,
    ClientMechanism,
    DigestMD5Secret,
    Failed,
    Password,
    PlainPassword,
    ScramSecret,
    SecretRequest,
    ServerMechanism,
    ServerNotProvenError,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    derive_digest_md5,
    digest_md5,
    server_mechanism,
)
from smtpwire.wire.value import replace

SERVER = server_config(hosts=("mx.example.org", "example.org"), realm="example.org", nonce="n0")
CHALLENGE = b'realm="example.org",nonce="n0",qop="auth",algorithm=md5-sess,charset=utf-8'


def _client(username: str = "user", password: str = "pass", authzid: str = "") -> ClientMechanism:
    credentials = Password(username, password, authzid)
    return client_mechanism("DIGEST-MD5", credentials, client_config(nonce="c0"))


def _server() -> ServerMechanism:
    server = server_mechanism("DIGEST-MD5", SERVER)
    assert server.start(None) == Challenge(CHALLENGE)
    return server


def _response(challenge: bytes = CHALLENGE, authzid: str = "") -> bytes:
    response = _client(authzid=authzid).step(challenge)
    assert isinstance(response, bytes)
    return response


def test_a_whole_exchange() -> None:
    client, server = _client(), server_mechanism("DIGEST-MD5", SERVER)
    users = Users(passwords={"user": "pass"})
    log: Transcript = []
    assert converse(client, server, users.decide, log) == Succeeded("user")
    assert users.asked == [
        SecretRequest("DIGEST-MD5", "user", "example.org", (DigestMD5Secret, PlainPassword))
    ]
    assert [who for who, _ in log] == ["S", "C", "S", "C"]
    assert log[-1] == ("C", b"")
    assert client.complete
    assert client.server_proven
    with pytest.raises(BadChallengeError):
        client.step(b"")


def test_the_stored_hash_does_as_well() -> None:
    secret = derive_digest_md5("us\xe9r", "example.org", "p\xe4ss")
    users = Users(secrets={"us\xe9r": secret})
    server = server_mechanism("DIGEST-MD5", SERVER)
    outcome = converse(_client("us\xe9r", "p\xe4ss"), server, users.decide)
    assert outcome == Succeeded("us\xe9r")


@pytest.mark.parametrize("secret", [None, PlainPassword("wrong"), PlainPassword("")])
def test_an_unknown_user_and_a_wrong_password_are_one_failure(
    secret: PlainPassword | None,
) -> None:
    server = _server()
    server.step(_response())
    assert server.supply(secret) == Failed("credentials refused")


@pytest.mark.parametrize(
    "secret",
    [
        DigestMD5Secret("a.example", bytes(16)),
        DigestMD5Secret("z.example", bytes(16)),
        ScramSecret("SCRAM-SHA-1", b"salt", 4096, bytes(20), bytes(20)),
    ],
)
def test_a_secret_of_no_use_fails_as_an_unknown_user_does(
    secret: DigestMD5Secret | ScramSecret,
) -> None:
    server = _server()
    server.step(_response())
    step = server.supply(secret)
    assert isinstance(step, Failed)
    assert step.reason == f"DIGEST-MD5 cannot use what is stored for the user: {secret!r}"
    assert not step.malformed


@pytest.mark.parametrize("word", ["p\xe4ss", "p\xe4ss\u0436", "pass"])
@pytest.mark.parametrize("name", ["user", "us\xe9r"])
@pytest.mark.parametrize("converted", ["", "password", "name and password"])
def test_a_stored_password_is_tried_in_every_encoding(converted: str, name: str, word: str) -> None:
    """Clients differ in what they convert to ISO 8859-1 (RFC 2831 §2.1.2.1)."""

    def encoded(text: str, kind: str) -> bytes:
        try:
            return text.encode("latin-1" if kind in converted else "utf-8")
        except UnicodeEncodeError:
            return text.encode()

    def hashed(username: str, realm: bytes, password: str) -> bytes:
        octets = (encoded(username, "name"), realm, encoded(password, "password"))
        return hashlib.md5(b":".join(octets)).digest()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_md5, "ha1", hashed)
        response = _client(name, word).step(CHALLENGE)
    assert isinstance(response, bytes)
    server = _server()
    server.step(response)
    assert isinstance(server.supply(PlainPassword(word)), Challenge)
    server = _server()
    server.step(response)
    assert server.supply(PlainPassword("other")) == Failed("credentials refused")


def test_an_authorization_identity() -> None:
    server = server_mechanism("DIGEST-MD5", SERVER)
    outcome = converse(_client(authzid='ad"min'), server, Users(passwords={"user": "pass"}).decide)
    assert outcome == Succeeded("user", 'ad"min')


# --- the server reads ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"username=", b"xusername="),
        (b'username="user"', b'username="user",username="user"'),
        (b'username="user"', b'username=""'),
        (b'username="user"', b'username="us\ner"'),
        (b'username="user"', b'username="us\xff"'),
        (b'realm="example.org"', b'realm="example.org",realm="example.org"'),
        (b'nonce="n0"', b'nonce="n1"'),
        (b'nonce="n0",', b""),
        (b'cnonce="c0"', b'cnonce=""'),
        (b'cnonce="c0"', b'cnonce="c0",cnonce="c1"'),
        (b"nc=00000001", b"nc=00000002"),
        (b"nc=00000001,", b""),
        (b"qop=auth", b"qop=auth-int"),
        (b"qop=auth", b"qop=auth-conf"),
        (b"charset=utf-8", b"charset=iso-8859-1"),
        (b"response=", b"response=0"),
        (b"response=", b"xresponse="),
        (b"qop=auth", b'qop=auth,authzid="\n"'),
        (b"qop=auth", b"qop=auth,maxbuf=1,maxbuf=2"),
        (b"qop=auth", b"qop=auth;"),
        (b"qop=auth", b"qop"),
        (b"qop=auth", b'qop="auth'),
        (b"qop=auth", b"qop=auth x=1"),
        (b"qop=auth", b"qop=auth,x=" + b"y" * 4096),
    ],
)
def test_what_is_not_acceptable(old: bytes, new: bytes) -> None:
    response = _response()
    assert old in response
    step = _server().step(response.replace(old, new, 1))
    assert isinstance(step, Failed)
    assert step.malformed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b",", b" , \t\r\n"),
        (b",", b",,"),
        (b"nc=", b"NC ="),
        (b"qop=auth", b'qop="auth"'),
        (b"qop=auth", b""),
        (b"qop=auth", b"qop=auth,x-unknown=1,x-unknown=2"),
        (b'username="user"', b'username="\\u\\ser"'),
        (b"charset=utf-8", b"charset=UTF-8"),
        (b"charset=utf-8,", b""),
    ],
)
def test_what_is_another_spelling(old: bytes, new: bytes) -> None:
    response = _response()
    assert old in response
    server = _server()
    assert isinstance(server.step(response.replace(old, new)), Ask)
    assert isinstance(server.supply(PlainPassword("pass")), Challenge)


@pytest.mark.parametrize(
    "uri",
    [
        b"imap/mx.example.org",
        b"smtp/other.example",
        b"smtp/mx.example.org/other.example",
        b"smtp/mx.example.org/example.org/x",
        b"smtp/mx.example.org/example.org/example.org",
        b"smtp",
        b"",
    ],
)
def test_who_means_another_server_is_refused(uri: bytes) -> None:
    """RFC 2831 §2.1.2: the credentials are not malformed, they are for somebody else."""
    step = _server().step(_response().replace(b"smtp/mx.example.org", uri))
    assert isinstance(step, Failed)
    assert not step.malformed


@pytest.mark.parametrize("realm", [b'realm="example.com",', b""])
def test_who_means_another_realm_is_refused(realm: bytes) -> None:
    """RFC 2831 §2.1.2: no more is his account one of ours."""
    step = _server().step(_response().replace(b'realm="example.org",', realm))
    assert isinstance(step, Failed)
    assert not step.malformed


@pytest.mark.parametrize(
    "uri", ["SMTP/MX.example.org", "smtp/mx.example.org/example.org", "smtp/example.org"]
)
def test_our_names_in_the_digest_uri(uri: str) -> None:
    service, host = uri.split("/", 1)
    config = replace(client_config(host=host, nonce="c0"), service=service)
    client = client_mechanism("DIGEST-MD5", Password("user", "pass"), config)
    server = server_mechanism("DIGEST-MD5", SERVER)
    assert converse(client, server, Users(passwords={"user": "pass"}).decide) == Succeeded("user")


def test_without_hosts_the_digest_uri_may_name_any() -> None:
    server = server_mechanism("DIGEST-MD5", replace(SERVER, hosts=()))
    config = client_config(host="anything.example")
    client = client_mechanism("DIGEST-MD5", Password("user", "pass"), config)
    assert converse(client, server, Users(passwords={"user": "pass"}).decide) == Succeeded("user")


def test_without_a_realm() -> None:
    server = server_mechanism("DIGEST-MD5", replace(SERVER, realm=""))
    log: Transcript = []
    users = Users(passwords={"user": "pass"})
    assert converse(_client(), server, users.decide, log) == Succeeded("user")
    assert b"realm=" not in log[0][1] + log[1][1]


@pytest.mark.parametrize("host", ["mx.example.org", ""])
def test_without_a_realm_the_client_may_have_its_own(host: str) -> None:
    """RFC 2831 §2.1.1: it computes a default, such as the host; some put the realm for the host."""
    client = client_mechanism(
        "DIGEST-MD5", Password("user", "pass"), client_config(host=host, nonce="c0")
    )
    realm = b'realm="mx.example.org",' if host else b""
    response = client.step(realm + CHALLENGE.removeprefix(b'realm="example.org",'))
    assert isinstance(response, bytes)
    for secret, accepted in (
        (PlainPassword("pass"), True),
        (PlainPassword("other"), False),
        (derive_digest_md5("user", "", "pass"), not realm),
        (None, False),
    ):
        server = server_mechanism("DIGEST-MD5", replace(SERVER, realm=""))
        server.start(None)
        assert isinstance(server.step(response), Ask)
        assert isinstance(server.supply(secret), Challenge) is accepted


def test_a_client_which_means_latin1() -> None:
    challenge = CHALLENGE.removesuffix(b",charset=utf-8")
    response = _client("us\xe9r", "p\xe4ss").step(challenge)
    assert isinstance(response, bytes)
    assert b'username="us\xe9r"' in response
    assert b"charset" not in response
    server = _server()
    step = server.step(response)
    assert isinstance(step, Ask)
    assert isinstance(step.question, SecretRequest)
    assert step.question.authcid == "us\xe9r"
    assert isinstance(server.supply(PlainPassword("p\xe4ss")), Challenge)


def test_a_client_which_sends_utf8_but_does_not_say_so() -> None:
    response = _client("us\xe9r", "p\xe4ss").step(CHALLENGE)
    assert isinstance(response, bytes)
    server = _server()
    assert isinstance(server.step(response.replace(b"charset=utf-8,", b"")), Ask)
    assert isinstance(server.supply(PlainPassword("p\xe4ss")), Challenge)


def test_the_server_speaks_first() -> None:
    server = server_mechanism("DIGEST-MD5", SERVER)
    assert not server.client_first
    step = server.start(_response())
    assert isinstance(step, Failed)
    assert step.malformed


def test_the_answer_to_rspauth_is_empty() -> None:
    server = _server()
    server.step(_response())
    server.supply(PlainPassword("pass"))
    step = server.step(b"x")
    assert isinstance(step, Failed)
    assert step.malformed


# --- the client reads ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"nonsense",
        b'nonce="n0"',
        b"algorithm=md5-sess",
        b'nonce="",algorithm=md5-sess',
        b'nonce="a",nonce="b",algorithm=md5-sess',
        b'nonce="a",algorithm=md5-sess,algorithm=md5-sess',
        b'nonce="a",algorithm=md5',
        b'nonce="a",algorithm=md5-sess,qop="auth-int,auth-conf"',
        b'nonce="a",algorithm=md5-sess,charset=utf-8,charset=utf-8',
        b'nonce="a",algorithm=md5-sess,x=' + b"y" * 2048,
    ],
)
def test_bad_challenges(challenge: bytes) -> None:
    with pytest.raises(BadChallengeError):
        _client().step(challenge)


@pytest.mark.parametrize("qop", [b"", b',qop="auth"', b',qop="auth-int, AUTH ,x"', b",qop=auth"])
@pytest.mark.parametrize("algorithm", [b"md5-sess", b'"md5-sess"', b"MD5-SESS"])
def test_usable_challenges(qop: bytes, algorithm: bytes) -> None:
    response = _response(b'nonce="n0",x=1,x=2,algorithm=' + algorithm + qop)
    assert b",qop=auth" in response
    assert b"realm" not in response


def test_an_unknown_user_does_not_get_in_with_what_is_hashed_instead() -> None:
    server = _server()
    response = _client("nobody", SERVER.nonce()).step(CHALLENGE)
    assert isinstance(response, bytes)
    assert isinstance(server.step(response), Ask)
    assert server.supply(None) == Failed("credentials refused")


def test_a_challenge_is_shorter_than_2048_octets() -> None:  # RFC 2831 §2.1.1
    start = b'nonce="a",algorithm=md5-sess,x='
    _response(start + b"y" * (2047 - len(start)))
    with pytest.raises(BadChallengeError):
        _client().step(start + b"y" * (2048 - len(start)))


def test_a_quote_in_a_realm_stays_quoted() -> None:
    challenge = b'realm="te\\"st",nonce="n0",qop="auth",charset=utf-8,algorithm=md5-sess'
    assert b'realm="te\\"st"' in _response(challenge)


def test_of_several_realms_the_first_is_taken() -> None:
    challenge = b'realm="one",realm="two",nonce="n0",algorithm=md5-sess'
    assert b'realm="one"' in _response(challenge)


@pytest.mark.parametrize(("username", "password"), [("\u0436", "pass"), ("user", "\u0436")])
def test_without_utf8_names_must_be_latin1(username: str, password: str) -> None:
    with pytest.raises(BadChallengeError):
        _client(username, password).step(b'nonce="n0",algorithm=md5-sess')


@pytest.mark.parametrize(
    "proof", [b"", b"rspauth=", b"rspauth=00", b"x=1", b"=", b"rspauth=a,rspauth=a"]
)
def test_a_wrong_proof_is_terminal(proof: bytes) -> None:
    client = _client()
    client.step(CHALLENGE)
    with pytest.raises(ServerNotProvenError) as caught:
        client.step(proof)
    assert caught.value.terminal
    assert not client.server_proven


@pytest.mark.parametrize(
    "credentials", [Password("", "p"), Password("u", ""), Password("u\ud800", "p")]
)
def test_what_digest_md5_cannot_carry(credentials: Password) -> None:
    with pytest.raises(UnusableCredentialsError):
        client_mechanism("DIGEST-MD5", credentials, client_config())


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1))
def test_quoting_is_undone(realm: str) -> None:
    config = replace(SERVER, realm=realm)
    challenge = server_mechanism("DIGEST-MD5", config).start(None)
    assert isinstance(challenge, Challenge)
    if len(challenge.data) >= 2048:
        return
    response = _response(challenge.data)
    quoted = re.search(rb'realm=("(?:[^"\\]|\\.)*")', response, re.DOTALL)
    assert quoted is not None
    assert quoted[1] in challenge.data


SINGLE_IN_BOTH = ["nonce", "qop", "charset", "maxbuf"]


@pytest.mark.parametrize("name", [*SINGLE_IN_BOTH, "stale", "algorithm"])
def test_what_may_stand_once_in_a_challenge(name: str) -> None:  # RFC 2831 §2.1.1
    given = dict(part.partition("=")[::2] for part in CHALLENGE.decode().split(","))
    value = given.get(name, "1")
    once = CHALLENGE if name in given else CHALLENGE + f",{name}={value}".encode()
    assert _client().step(once)
    with pytest.raises(BadChallengeError, match="malformed digest-challenge"):
        _client().step(once + f",{name}={value}".encode())


@pytest.mark.parametrize(
    "name",
    [
        *SINGLE_IN_BOTH,
        "username",
        "realm",
        "cnonce",
        "nc",
        "digest-uri",
        "response",
        "authzid",
        "cipher",
    ],
)
def test_what_may_stand_once_in_a_response(name: str) -> None:  # RFC 2831 §2.1.2
    response = _response(authzid="user")
    given = dict(part.partition("=")[::2] for part in response.decode().split(","))
    value = given.get(name, "1")
    once = response if name in given else response + f",{name}={value}".encode()
    assert isinstance(_server().step(once), Ask)
    step = _server().step(once + f",{name}={value}".encode())
    assert step == Failed("malformed or unacceptable digest-response", malformed=True)


def test_the_longest_response() -> None:  # RFC 2831 §2.1.2: less than 4096 octets
    response = _response()
    longest = response + b",x=" + b"y" * (4095 - len(response) - 3)
    assert isinstance(_server().step(longest), Ask)
    step = _server().step(longest + b"y")
    assert isinstance(step, Failed)
    assert step.malformed
