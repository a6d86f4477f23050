"""Our client against our server: every mechanism, any name, any password."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.sasl.conversation import Users, client_config, converse, server_config

from smtpwire.sasl import (
    MECHANISMS,
    Anonymous,
    Ask,
    BearerToken,
    ClientMechanism,
    Credentials,
    ExternalIdentity,
    Failed,
    Password,
    PasswordLogin,
    PlainPassword,
    Preparation,
    Question,
    SecretRequest,
    ServerMechanism,
    ServerStep,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    server_mechanism,
)
from smtpwire.sasl.saslprep import prepared_name, prepared_password

BINDINGS = {"tls-unique": b"finished", "tls-exporter": b"exported"}
WITH_PASSWORD = [
    name
    for name in MECHANISMS
    if name.startswith(("SCRAM-SHA-1", "DIGEST", "CRAM", "PLAIN", "LOGIN"))
]
WITH_AUTHZID = [name for name in WITH_PASSWORD if name not in ("LOGIN", "CRAM-MD5")]

# Names: what SASLprep lets through, mostly; passwords may be anything but NUL.
_SPECIAL = st.sampled_from(",= \"\\'/@+\xa0\xad\xe9\u0130\u2168\u0436\u200b\U0001f600")
_ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
NAMES = st.text(st.one_of(_SPECIAL, _ASCII), min_size=1, max_size=30).filter(
    lambda text: prepared_name(text, Preparation.LENIENT)
)
_ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
PASSWORDS = st.text(st.one_of(_SPECIAL, _ANY), min_size=1, max_size=30).filter(
    lambda text: prepared_password(text, Preparation.LENIENT)
)


def _client(mechanism: str, credentials: Credentials) -> ClientMechanism:
    config = client_config(
        bindings=BINDINGS,
        binding_type="tls-exporter",
        plus_offered=mechanism.endswith("-PLUS"),
    )
    return client_mechanism(mechanism, credentials, config)


def _server(mechanism: str) -> ServerMechanism:
    return server_mechanism(mechanism, server_config(bindings=BINDINGS, realm='the "realm"'))


def _application(server: ServerMechanism, question: Question, stored: str) -> ServerStep:
    match question:
        case SecretRequest():
            return server.supply(PlainPassword(stored))
        case PasswordLogin(_, password):
            return server.answer(password == prepared_password(stored, Preparation.LENIENT))
        case _:
            raise AssertionError(question)


@pytest.mark.parametrize("mechanism", WITH_PASSWORD)
@given(username=NAMES, password=PASSWORDS, wrong=PASSWORDS)
def test_the_right_password_gets_in_and_a_wrong_one_does_not(
    mechanism: str, username: str, password: str, wrong: str
) -> None:
    name = prepared_name(username, Preparation.LENIENT)
    prepared = prepared_password(password, Preparation.LENIENT)
    outcome = converse(
        _client(mechanism, Password(username, password)),
        _server(mechanism),
        lambda server, question: _application(server, question, password),
    )
    assert outcome == Succeeded(name or "")
    assume(prepared_password(wrong, Preparation.LENIENT) != prepared)
    outcome = converse(
        _client(mechanism, Password(username, password)),
        _server(mechanism),
        lambda server, question: _application(server, question, wrong),
    )
    assert outcome == Failed("credentials refused")


@pytest.mark.parametrize("mechanism", WITH_PASSWORD)
@given(username=NAMES)
def test_a_name_which_cannot_be_fails_on_one_side_or_the_other(
    mechanism: str, username: str
) -> None:
    username += "\x07"
    try:
        client = _client(mechanism, Password(username, "pass"))
    except UnusableCredentialsError:
        return
    outcome = converse(client, _server(mechanism), Users().decide)
    assert isinstance(outcome, Failed)
    assert outcome.malformed


@pytest.mark.parametrize("mechanism", WITH_AUTHZID)
@given(username=NAMES, authzid=NAMES)
def test_another_identity_is_told_apart_from_ones_own(
    mechanism: str, username: str, authzid: str
) -> None:
    name = prepared_name(username, Preparation.LENIENT)
    other = prepared_name(authzid, Preparation.LENIENT)
    outcome = converse(
        _client(mechanism, Password(username, "pass", authzid)),
        _server(mechanism),
        lambda server, question: _application(server, question, "pass"),
    )
    assert outcome == Succeeded(name or "", "" if other == name else other or "")


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@given(
    username=NAMES, token=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
)
def test_any_token(mechanism: str, username: str, token: str) -> None:
    name = prepared_name(username, Preparation.LENIENT)
    users = Users(tokens={name or "": token})
    client = _client(mechanism, BearerToken(username, token))
    assert converse(client, _server(mechanism), users.decide) == Succeeded(name or "")


@given(authzid=NAMES)
def test_any_external_identity(authzid: str) -> None:
    name = prepared_name(authzid, Preparation.LENIENT)
    client = _client("EXTERNAL", ExternalIdentity(authzid))
    assert converse(client, _server("EXTERNAL"), Users().decide) == Succeeded(name or "")


@given(trace=NAMES)
def test_any_trace(trace: str) -> None:
    assume(prepared_name(trace, Preparation.RAW) is not None)
    client = _client("ANONYMOUS", Anonymous(trace))
    assert isinstance(_server("ANONYMOUS").start(client.initial()), Ask)
