"""EXTERNAL, RFC 4422 Appendix A."""

import pytest
from tests.sasl.conversation import client_config, server_config

from smtpwire.sasl import (
    Ask,
    BadChallengeError,
    Challenge,
    ExternalIdentity,
    ExternalLogin,
    Failed,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    server_mechanism,
)
from smtpwire.wire.value import replace

CERTIFICATE = replace(server_config(), external_identity="fred")


def test_the_certificates_own_name() -> None:
    server = server_mechanism("EXTERNAL", CERTIFICATE)
    assert server.start(None) == Challenge(b"")
    assert server.step(b"") == Ask(ExternalLogin(""))
    assert server.answer(True) == Succeeded("fred")


@pytest.mark.parametrize(("asked", "claimed"), [(b"fred", ""), (b"admin", "admin")])
def test_another_name_remains_to_be_authorized(asked: bytes, claimed: str) -> None:
    server = server_mechanism("EXTERNAL", CERTIFICATE)
    assert server.start(asked) == Ask(ExternalLogin(claimed))
    assert server.answer(True) == Succeeded("fred", claimed)


def test_where_only_the_application_knows_whom_the_channel_proves() -> None:
    server = server_mechanism("EXTERNAL", server_config())
    assert server.start(b"admin") == Ask(ExternalLogin("admin"))
    assert server.answer(True) == Succeeded("admin")


def test_a_refusal() -> None:
    server = server_mechanism("EXTERNAL", CERTIFICATE)
    server.start(b"")
    assert server.answer(False) == Failed("credentials refused")


@pytest.mark.parametrize("asked", [b"\0", b"a\nb", b"\xff", b"\xc2\xad"])
def test_an_identity_which_is_none(asked: bytes) -> None:
    step = server_mechanism("EXTERNAL", CERTIFICATE).start(asked)
    assert isinstance(step, Failed)
    assert step.malformed


def test_the_client_has_one_message_often_an_empty_one() -> None:
    client = client_mechanism("EXTERNAL", ExternalIdentity(), client_config())
    assert client.initial() == b""
    assert client.complete
    with pytest.raises(BadChallengeError):
        client.step(b"")
    other = client_mechanism("EXTERNAL", ExternalIdentity("admin"), client_config())
    assert other.initial() == b"admin"


def test_no_nul_in_an_identity() -> None:
    with pytest.raises(UnusableCredentialsError):
        client_mechanism("EXTERNAL", ExternalIdentity("a\0b"), client_config())
