"""Why an exchange failed: the words a log has of it, and whether the message was malformed."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from tests.sasl.conversation import client_config, server_config

from smtpwire.sasl import (
    Anonymous,
    BadChallengeError,
    BearerToken,
    Challenge,
    ClientMechanism,
    Credentials,
    ExternalIdentity,
    Failed,
    NoMechanism,
    Password,
    Preparation,
    ScramSecret,
    ServerNotProvenError,
    TokenLogin,
    UnusableCredentialsError,
    choose_mechanism,
    client_mechanism,
    derive_digest_md5,
    saslprep,
    server_mechanism,
)
from smtpwire.sasl.names import decoded

CREDENTIALS = "user name or password is empty or not acceptable"
STRICT = "an identity or the password cannot be prepared"
DIGEST = "malformed or unacceptable digest-response"
SCRAM_FIRST = "malformed client-first-message"
NAME = "the user name is not acceptable"
IDENTITY = "the authorization identity is not acceptable"


@pytest.mark.parametrize(
    ("mechanism", "messages", "reason"),
    [
        ("ANONYMOUS", ["x" * 256], "the trace is not acceptable"),
        ("CRAM-MD5", ["early"], "in CRAM-MD5 the server speaks first"),
        ("CRAM-MD5", [None, "x"], "CRAM-MD5 wants a user name, a blank and a digest"),
        ("DIGEST-MD5", ["early"], "in DIGEST-MD5 the server speaks first"),
        ("DIGEST-MD5", [None, "x"], DIGEST),
        ("EXTERNAL", ["\0"], IDENTITY),
        ("LOGIN", [""], "the user name is empty or not acceptable"),
        ("LOGIN", ["bob", "\0"], "the password is not acceptable"),
        ("LOGIN", ["bob", ""], "the password is empty or cannot be prepared"),
        ("PLAIN", ["bob"], "PLAIN wants exactly two NULs"),
        ("PLAIN", ["\0bob\0"], CREDENTIALS),
        ("PLAIN", ["\u0627a\0bob\0secret"], STRICT),
        ("OAUTHBEARER", ["bob"], "malformed OAUTHBEARER message"),
        ("OAUTHBEARER", ["n,a=\u0627a,\1auth=Bearer x\1\1"], NAME),
        ("OAUTHBEARER", ["n,,\1a=b\1A=b\1\1"], "a key stands twice"),
        ("XOAUTH2", ["bob"], "malformed XOAUTH2 message"),
        ("SCRAM-SHA-256", ["bob"], SCRAM_FIRST),
        ("SCRAM-SHA-256", ["n,,n=\u0627a,r=x"], NAME),
        ("SCRAM-SHA-256", ["n,a=\u0627a,n=bob,r=x"], IDENTITY),
    ],
)
def test_a_server_tells_what_was_malformed(
    mechanism: str, messages: list[str | None], reason: str
) -> None:
    server = server_mechanism(mechanism, server_config(preparation=Preparation.STRICT))
    first, *others = [None if text is None else text.encode() for text in messages]
    step = server.start(first)
    for message in others:
        step = server.step(message or b"")
    assert step == Failed(reason, malformed=True)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
def test_a_wrong_channel_binding_is_not_malformed(mechanism: str) -> None:
    # RFC 5802 §6
    flag = b"n" if mechanism.endswith("PLUS") else b"p=tls-unique"
    step = server_mechanism(mechanism, server_config()).start(flag + b",,n=bob,r=x")
    assert step == Failed("the channel binding is not acceptable")


@pytest.mark.parametrize(
    ("mechanism", "first"),
    [
        ("ANONYMOUS", b"bob"),
        ("EXTERNAL", b"bob"),
        ("PLAIN", b"\0bob\0secret"),
        ("XOAUTH2", b"user=bob\1auth=Bearer secret\1\1"),
    ],
)
def test_a_refusal_of_the_application_is_credentials_refused(mechanism: str, first: bytes) -> None:
    server = server_mechanism(mechanism, server_config())
    server.start(first)
    step = server.answer(False)
    if mechanism == "XOAUTH2":
        step = server.step(b"")
    assert step == Failed("credentials refused")


def test_a_refusal_after_both_prompts_is_credentials_refused() -> None:
    server = server_mechanism("LOGIN", server_config())
    server.start(b"bob")
    server.step(b"secret")
    assert server.answer(False) == Failed("credentials refused")


CHALLENGE = b'nonce="n",algorithm=md5-sess,charset=utf-8'


def client(mechanism: str) -> ClientMechanism:
    others: dict[str, Credentials] = {
        "ANONYMOUS": Anonymous(),
        "EXTERNAL": ExternalIdentity(),
        "OAUTHBEARER": BearerToken("bob", "secret"),
    }
    credentials = others.get(mechanism, Password("bé☃", "secret"))
    return client_mechanism(mechanism, credentials, client_config(nonce="mine"))


@pytest.mark.parametrize(
    ("mechanism", "challenges", "reason"),
    [
        ("ANONYMOUS", [b""], "ANONYMOUS has one message only"),
        ("EXTERNAL", [b""], "EXTERNAL has one message only"),
        ("PLAIN", [b""], "PLAIN has one message only"),
        ("LOGIN", [b"", b"", b""], "LOGIN has two prompts only"),
        ("CRAM-MD5", [b""], "CRAM-MD5 has one challenge, not an empty one"),
        ("CRAM-MD5", [b"<1@a>", b"<2@a>"], "CRAM-MD5 has one challenge, not an empty one"),
        ("OAUTHBEARER", [b"{}", b"{}"], "OAUTHBEARER has ended"),
        ("DIGEST-MD5", [b"x"], "malformed digest-challenge"),
        ("DIGEST-MD5", [b'nonce=""'], "a digest-challenge needs nonce and algorithm"),
        ("DIGEST-MD5", [CHALLENGE.replace(b"-sess", b"")], "the only algorithm is md5-sess"),
        ("DIGEST-MD5", [CHALLENGE + b",qop=auth-int"], "the server insists on a security layer"),
        (
            "DIGEST-MD5",
            [CHALLENGE.replace(b",charset=utf-8", b"")],
            "without charset=utf-8 names must be ISO 8859-1",
        ),
        (
            "DIGEST-MD5",
            [CHALLENGE.replace(b"utf-8", b"utf-9")],
            "without charset=utf-8 names must be ISO 8859-1",
        ),
        (
            "SCRAM-SHA-256",
            [b"r=mine1,s=AAAA,i=4096", b"e=other-error", b""],
            "SCRAM-SHA-256 has ended",
        ),
        ("SCRAM-SHA-256", [b"r=mine1,s=A0==,i=4096"], "malformed server-first-message"),
        ("SCRAM-SHA-256", [b"x"], "malformed server-first-message"),
        ("SCRAM-SHA-256", [b"r=mine1,s=====,i=4096"], "malformed server-first-message"),
    ],
)
def test_a_client_tells_what_is_wrong_with_a_challenge(
    mechanism: str, challenges: list[bytes], reason: str
) -> None:
    exchange = client(mechanism)
    exchange.initial()
    *before, last = challenges
    for challenge in before:
        exchange.step(challenge)
    with pytest.raises(BadChallengeError, match=f"^{re.escape(reason)}$"):
        exchange.step(last)


@pytest.mark.parametrize(
    ("mechanism", "challenges", "reason"),
    [
        ("DIGEST-MD5", [CHALLENGE, b"rspauth=x"], "the server's rspauth is missing or wrong"),
        (
            "SCRAM-SHA-256",
            [b"r=yours,s=AAAA,i=4096"],
            "the server's nonce does not continue the client's",
        ),
        ("SCRAM-SHA-256", [b"r=mine1,s=AAAA,i=4096", b"x"], "malformed server-final-message"),
        (
            "SCRAM-SHA-256",
            [b"r=mine1,s=AAAA,i=4096", b"v=AAAA"],
            "the server's proof is wrong",
        ),
    ],
)
def test_a_client_tells_why_it_does_not_believe_the_server(
    mechanism: str, challenges: list[bytes], reason: str
) -> None:
    exchange = client(mechanism)
    exchange.initial()
    *before, last = challenges
    for challenge in before:
        exchange.step(challenge)
    with pytest.raises(ServerNotProvenError, match=f"^{re.escape(reason)}$"):
        exchange.step(last)


@pytest.mark.parametrize(
    ("mechanism", "credentials", "reason"),
    [
        (
            "ANONYMOUS",
            Anonymous("x" * 256),
            "ANONYMOUS: a trace of 255 characters, no controls",
        ),
        ("EXTERNAL", ExternalIdentity("\0"), "EXTERNAL: no NUL in an identity"),
        (
            "LOGIN",
            Password("bob", "secret", "alice"),
            "LOGIN cannot carry an authorization identity",
        ),
        ("PLAIN", Password("", "secret"), "PLAIN: user name and password must not be empty"),
        ("PLAIN", Password("bob", "\0"), "PLAIN: no NUL in a name or password"),
        ("PLAIN", Password("bob", "\ud800"), "a credential is no Unicode text"),
        (
            "OAUTHBEARER",
            BearerToken("bob", "two words"),
            "OAUTHBEARER: a token is printable ASCII without blanks",
        ),
        ("OAUTHBEARER", BearerToken("\n", "secret"), "OAUTHBEARER: no controls in a user name"),
        ("XOAUTH2", BearerToken("", "secret"), "XOAUTH2 needs a user name"),
        (
            "SCRAM-SHA-256",
            Password("\u00ad", "secret"),
            "SCRAM-SHA-256: a name or the password cannot be prepared",
        ),
        (
            "SCRAM-SHA-256",
            Password("bob", "secret", "\u00ad"),
            "SCRAM-SHA-256: nothing of the authorization identity is left",
        ),
        (
            "SCRAM-SHA-256-PLUS",
            Password("bob", "secret"),
            "SCRAM-SHA-256-PLUS needs a channel binding",
        ),
    ],
)
def test_a_client_tells_which_credentials_cannot_be_used(
    mechanism: str, credentials: Credentials, reason: str
) -> None:
    with pytest.raises(UnusableCredentialsError, match=f"^{re.escape(reason)}$"):
        client_mechanism(mechanism, credentials, client_config())


@pytest.mark.parametrize("wrong", ["\n", "é", "\x7f"])
def test_words_for_the_peer_are_printable_ascii(wrong: str) -> None:
    # RFC 5321 §4.2
    reason = "Failed.text is not printable ASCII (RFC 5321 §4.2)"
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        Failed("expired", text=wrong)
    assert Failed("expired", text="Set another").text == "Set another"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n", "a control character is prohibited"),
        ("\u2028", "a prohibited character"),
        ("\u0221", "a code point which Unicode 3.2 had not assigned"),
        ("\u0627a\u0627", "left-to-right among right-to-left characters"),
        ("\u06271", "right-to-left text must begin and end so"),
    ],
)
def test_saslprep_tells_what_it_refuses(text: str, reason: str) -> None:
    # RFC 4013 §2.3, §2.4, §2.5; RFC 3454 §6
    with pytest.raises(ValueError, match=f"^{reason}$"):
        saslprep(text, stored=True)


@dataclass(frozen=True)
class Tls:
    version: str = "TLSv1.3"
    verified: bool = True


@pytest.mark.parametrize(
    ("offered", "given", "reason"),
    [
        (
            "PLAIN",
            {"refused": ["SCRAM-SHA-1-PLUS"]},
            "a mechanism with channel binding failed: the path is not trusted",
        ),
        ("PLAIN", {"failed": ["LOGIN"]}, "the server has refused these credentials"),
        ("PLAIN", {"refused": ["PLAIN"]}, "the server has refused PLAIN"),
        ("SCRAM-SHA-1-PLUS", {}, "SCRAM-SHA-1-PLUS needs a channel binding"),
        (
            "PLAIN",
            {"tls": Tls(verified=False)},
            "PLAIN reveals the secret and the server's certificate is not verified",
        ),
        (
            "CRAM-MD5",
            {"tls": None},
            "CRAM-MD5 lets a listener guess the password and is not used without verified TLS",
        ),
    ],
)
def test_no_mechanism_tells_why(offered: str, given: dict[str, Any], reason: str) -> None:
    asked = {"tls": Tls(), "bindings": {}, **given}
    assert choose_mechanism([offered], Password("bob", "secret"), **asked) == NoMechanism(reason)


def test_a_token_that_a_server_echoes_is_hidden_where_it_is_no_common_word() -> None:
    for token, said in (("sevenly", "sevenly"), ("eight_ly", "<redacted>")):
        exchange = client_mechanism("XOAUTH2", BearerToken("bob", token), client_config())
        exchange.initial()
        exchange.step(token.encode())
        assert exchange.error == said


def test_a_question_shows_all_but_its_token() -> None:
    assert repr(TokenLogin("bob", "secret", "OAUTHBEARER", "mx.example", 587)) == (
        "TokenLogin(authcid='bob', token=<redacted>, "
        "mechanism='OAUTHBEARER', host='mx.example', port=587)"
    )


@pytest.mark.parametrize(
    ("mechanism", "first", "error"),
    [
        ("OAUTHBEARER", b"n,,\1auth=Bearer x\1\1", b'{"status":"invalid_token"}'),
        ("XOAUTH2", b"user=bob\1auth=Bearer x\1\1", b'{"status":"401","schemes":"bearer"}'),
    ],
)
def test_a_refused_token_has_its_error(mechanism: str, first: bytes, error: bytes) -> None:
    # RFC 7628 §3.2.2
    server = server_mechanism(mechanism, server_config())
    server.start(first)
    assert server.answer(False) == Challenge(error)


@pytest.mark.parametrize("sizes", [(33, 32), (32, 33), (31, 32), (32, 31), (33, 33)])
def test_the_keys_of_a_stored_secret_have_the_size_of_the_hash(sizes: tuple[int, int]) -> None:
    keys = [bytes(size) for size in sizes]
    with pytest.raises(ValueError, match=r"^the keys of SCRAM-SHA-256 have 32 octets each$"):
        ScramSecret("SCRAM-SHA-256", b"salt", 4096, *keys)


def test_which_text_has_no_octets_of_unicode() -> None:
    for wrong in ("username", "realm", "password"):
        texts = {"username": "a", "realm": "b", "password": "c", wrong: "\ud800"}
        with pytest.raises(ValueError, match=f"^{wrong} is no Unicode text"):
            derive_digest_md5(**texts)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SCRAM", "this is no SCRAM-…$iterations:salt$StoredKey:ServerKey (RFC 5803 §2)"),
        (
            "SCRAM-SHA-1$4096:A$A:A",
            "a part of the stored secret is no base64 (RFC 5803 §2)",
        ),
    ],
)
def test_what_is_no_stored_secret(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        ScramSecret.from_text(text)


def test_a_name_of_1024_octets_is_the_longest() -> None:
    # RFC 4616 §2 wants 255 characters, each of at most 4 octets
    assert decoded(b"x" * 1024) == "x" * 1024
    assert decoded(b"x" * 1025) is None


def test_a_configuration_shows_no_binding() -> None:
    for config in (
        server_config(bindings={"tls-unique": b"octets"}),
        client_config(bindings={"tls-unique": b"octets"}),
    ):
        assert "octets" not in repr(config)
