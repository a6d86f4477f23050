"""ANONYMOUS, RFC 4505."""

import pytest
from tests.sasl.conversation import client_config, server_config

from smtpwire.sasl import (
    Anonymous,
    AnonymousLogin,
    Ask,
    BadChallengeError,
    Challenge,
    Failed,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    server_mechanism,
)

GOOD = ["", "sirhc", "someone@example.org", "x" * 255, "\u00e9" * 255, "a@" + "x" * 318]
BAD = ["x" * 256, "a@" + "x" * 319, "a\nb", "a\0"]


@pytest.mark.parametrize("trace", GOOD)
def test_a_trace_is_shown_to_the_application(trace: str) -> None:
    """RFC 4505 §2."""
    client = client_mechanism("ANONYMOUS", Anonymous(trace), client_config())
    server = server_mechanism("ANONYMOUS", server_config())
    message = client.initial()
    assert message == trace.encode()
    assert client.complete
    assert server.start(None) == Challenge(b"")
    assert server.step(message) == Ask(AnonymousLogin(trace))
    assert server.answer(True) == Succeeded("anonymous")
    with pytest.raises(BadChallengeError):
        client.step(b"")


@pytest.mark.parametrize("trace", BAD)
def test_a_trace_which_is_none(trace: str) -> None:
    step = server_mechanism("ANONYMOUS", server_config()).start(trace.encode())
    assert isinstance(step, Failed)
    assert step.malformed
    with pytest.raises(UnusableCredentialsError):
        client_mechanism("ANONYMOUS", Anonymous(trace), client_config())


def test_what_is_no_utf8() -> None:
    step = server_mechanism("ANONYMOUS", server_config()).start(b"\xff")
    assert isinstance(step, Failed)


def test_a_refusal() -> None:
    server = server_mechanism("ANONYMOUS", server_config())
    server.start(b"")
    assert server.answer(False) == Failed("credentials refused")
