"""CHECKPOINT (RFC 1845)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, refuses_mail

from smtpwire.extensions import CHECKPOINT, parameters
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_names_the_transaction() -> None:
    # RFC 1845 §2 (4)
    command = Mail(None, Parameters(parameters.TRANSID("12345@example.com")))
    assert bytes(command) == b"MAIL FROM:<> TRANSID=<12345@example.com>"


def test_a_server_reads_it_with_its_case() -> None:
    # RFC 1845 §2 (4): case-sensitive
    given = mail("TRANSID=<aB.1@Example.com>", CHECKPOINT(True))
    assert given[parameters.TRANSID] == "aB.1@Example.com"


@pytest.mark.parametrize(
    "wrong",
    ["", "=a@b", "=<a>", "=<a@>", "=<a..b@c>", "=<a@b@c>", '=<"a"@b>', "=<" + "x" * 77 + "@b>"],
)
def test_a_server_refuses_what_is_none(wrong: str) -> None:
    # RFC 1845 §2 (4): at most 80 characters
    assert refuses_mail("TRANSID" + wrong, CHECKPOINT(True)) == 501
    assert refuses_mail("TRANSID=<" + "x" * 76 + "@b>", CHECKPOINT(True)) == 250


ATOMS = r"[a-zA-Z0-9!#$%&'*+^_`{|}~-]{1,9}(\.[a-z]{1,9}){0,2}"


@given(st.from_regex(f"{ATOMS}@{ATOMS}", fullmatch=True))
def test_every_identifier_comes_back(identifier: str) -> None:
    comes_back(parameters.TRANSID, identifier)


def test_the_line_may_be_longer() -> None:
    # RFC 1845 §2 (5)
    assert increments(CHECKPOINT) == {"MAIL": 88}
