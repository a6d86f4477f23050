"""No secret in any repr, str or exception, for every mechanism."""

from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest
from tests.sasl.conversation import Users, client_config, converse, server_config

from smtpwire.sasl import (
    MECHANISMS,
    AnonymousLogin,
    Ask,
    BearerToken,
    Challenge,
    Credentials,
    DigestMD5Secret,
    ExternalLogin,
    Failed,
    Password,
    PasswordLogin,
    PlainPassword,
    SaslError,
    ScramSecret,
    SecretRequest,
    ServerMechanismConfig,
    Succeeded,
    TokenLogin,
    client_mechanism,
    derive_digest_md5,
    derive_scram,
    server_mechanism,
)
from smtpwire.wire.value import replace

PASSWORD = "correct horse"
TOKEN = "ya29.battery-staple"
SCRAM_SECRET = b"shared by all processes"
BINDING = b"channel octets"
STORED = derive_scram(PASSWORD, salt=b"0123456789abcdef")
HA1 = derive_digest_md5("user", "example.org", PASSWORD)

SECRETS = [
    *(PASSWORD.encode(), TOKEN.encode(), SCRAM_SECRET, BINDING),
    *(STORED.stored_key, STORED.server_key, HA1.ha1),
]
WITH_SECRETS = [name for name in MECHANISMS if name not in ("EXTERNAL", "ANONYMOUS")]


def _spellings(secret: bytes) -> Iterator[str]:
    yield repr(secret)[2:-1]
    yield secret.hex()
    yield b64encode(secret).decode()
    for filler in (b"\0", b"\0\0", b"\0\0\0"):  # base64 at each of its three offsets
        yield b64encode(filler + secret).decode()[4:-4]


def _assert_hidden(*shown: object) -> None:
    for thing in shown:
        text = f"{thing!r} {thing!s}"
        for secret in SECRETS:
            for spelling in _spellings(secret):
                assert spelling not in text, type(thing)


def test_the_test_would_see_a_secret() -> None:
    for leak in (PASSWORD, b"\0user\0" + PASSWORD.encode(), HA1.ha1.hex(), STORED.stored_key):
        with pytest.raises(AssertionError):
            _assert_hidden(leak)
    encoded = b64encode(b"\0user\0" + PASSWORD.encode()).decode()
    with pytest.raises(AssertionError):
        _assert_hidden(encoded)


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (Password("user", PASSWORD, "admin"), "Password('user', <redacted>, authzid='admin')"),
        (BearerToken("user", TOKEN), "BearerToken('user', <redacted>)"),
        (PlainPassword(PASSWORD), "PlainPassword(<redacted>)"),
        (STORED, "ScramSecret('SCRAM-SHA-256', iterations=4096, <redacted>)"),
        (Challenge(b"nonce"), "Challenge(<5 octets>)"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_what_is_shown_instead(item: object, shown: str) -> None:
    assert repr(item) == shown


def test_credentials_secrets_and_configurations() -> None:
    config = replace(
        server_config(bindings={"tls-unique": BINDING}, nonce="n"), scram_secret=SCRAM_SECRET
    )
    _assert_hidden(
        Password("user", PASSWORD, "admin"),
        BearerToken("user", TOKEN),
        PlainPassword(PASSWORD),
        STORED,
        HA1,
        config,
        client_config(bindings={"tls-unique": BINDING}),
        PasswordLogin("user", PASSWORD),
        TokenLogin("user", TOKEN),
        Ask(PasswordLogin("user", PASSWORD)),
        Challenge(STORED.stored_key),
    )
    assert "user" in repr(Password("user", PASSWORD))
    assert "user" in repr(BearerToken("user", TOKEN))
    assert "user" in repr(PasswordLogin("user", PASSWORD))
    assert "user" in repr(TokenLogin("user", TOKEN))
    assert "SCRAM-SHA-256" in repr(STORED)
    assert "example.org" in repr(HA1)


@pytest.mark.parametrize("mechanism", WITH_SECRETS)
@pytest.mark.parametrize("good", [True, False])
def test_every_mechanism_driven_to_its_end(mechanism: str, good: bool) -> None:
    credentials: Credentials = Password("user", PASSWORD)
    if mechanism in ("OAUTHBEARER", "XOAUTH2"):
        credentials = BearerToken("user", TOKEN)
    client = client_mechanism(
        mechanism,
        credentials,
        client_config(bindings={"tls-unique": BINDING}, binding_type="tls-unique"),
    )
    config = server_config(bindings={"tls-unique": BINDING}, realm="example.org")
    server = server_mechanism(mechanism, replace(config, scram_secret=SCRAM_SECRET))
    users = Users(
        passwords={"user": PASSWORD if good else "wrong"}, tokens={"user": TOKEN if good else "x"}
    )
    step = server.start(client.initial())
    for _ in range(9):
        _assert_hidden(client, server, step)
        match step:
            case Challenge(data):
                response = client.step(data)
                assert isinstance(response, bytes)
                step = server.step(response)
            case Ask(question):
                _assert_hidden(question)
                step = users.decide(server, question)
            case Succeeded() | Failed():
                break
    assert isinstance(step, Succeeded) == good
    if good and mechanism in ("OAUTHBEARER", "XOAUTH2"):
        client.step(b"an error is acknowledged once")
    if good:
        with pytest.raises(SaslError) as caught:
            client.step(b"more")
        _assert_hidden(caught.value)


@pytest.mark.parametrize("mechanism", WITH_SECRETS)
def test_messages_of_exceptions(mechanism: str) -> None:
    for credentials in (
        Password("", PASSWORD),
        Password("us\0er", PASSWORD + "\0"),
        Password("user\ud800", PASSWORD),
        Password("user", PASSWORD + "\ud800"),
        BearerToken("u\0", TOKEN),
        BearerToken("user", TOKEN + " "),
    ):
        with pytest.raises(SaslError) as caught:
            client_mechanism(mechanism, credentials, client_config())
        _assert_hidden(caught.value)
        # what the traceback of a failing test or a log would show
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1"])
def test_a_wrong_kind_of_secret(mechanism: str) -> None:
    for secret in (STORED, HA1):
        client = client_mechanism(mechanism, Password("user", PASSWORD), client_config())
        server = server_mechanism(mechanism, server_config(realm="other.example"))
        step = server.start(client.initial())
        while not isinstance(step, Failed):
            if isinstance(step, Ask):
                step = server.supply(secret)
                continue
            assert isinstance(step, Challenge)
            response = client.step(step.data)
            assert isinstance(response, bytes)
            step = server.step(response)
        assert step.reason.startswith(f"{mechanism} cannot use what is stored")
        _assert_hidden(step)


def test_questions_without_secrets_show_themselves() -> None:
    assert repr(ExternalLogin("a")) == "ExternalLogin(authzid='a', mechanism='EXTERNAL')"
    assert repr(AnonymousLogin("t")) == "AnonymousLogin(trace='t', mechanism='ANONYMOUS')"
    request = SecretRequest("SCRAM-SHA-1", "user", "", (ScramSecret, DigestMD5Secret))
    assert "user" in repr(request)


@pytest.mark.parametrize(
    "derive",
    [
        lambda: derive_scram(f"{PASSWORD}\ud800"),
        lambda: derive_digest_md5("user", "r", f"{PASSWORD}\ud800"),
        lambda: derive_digest_md5("us\udfffer", "r", PASSWORD),
    ],
)
def test_a_password_that_is_no_text_is_refused_without_being_shown(
    derive: Callable[[], object],
) -> None:
    with pytest.raises(ValueError, match="no Unicode text") as caught:
        derive()
    assert not isinstance(caught.value, UnicodeError)
    _assert_hidden(caught.value)


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1"])
def test_a_stored_password_that_is_no_text_is_wrong_for_everybody(mechanism: str) -> None:
    client = client_mechanism(mechanism, Password("user", PASSWORD), client_config())
    users = Users(passwords={"user": f"{PASSWORD}\ud800"})
    outcome = converse(client, server_mechanism(mechanism, server_config()), users.decide)
    assert outcome == Failed("credentials refused")


def test_a_server_s_configuration_shows_no_secret() -> None:
    assert SCRAM_SECRET.decode() not in repr(ServerMechanismConfig(scram_secret=SCRAM_SECRET))
