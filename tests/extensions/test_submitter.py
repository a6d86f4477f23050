"""SUBMITTER (RFC 4405)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, refuses_mail

from smtpwire.extensions import SUBMITTER, parameters
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_names_who_is_responsible() -> None:
    # RFC 4405 §4
    command = Mail(None, Parameters(parameters.SUBMITTER(Address("a+b", "example.com"))))
    assert bytes(command) == b"MAIL FROM:<> SUBMITTER=a+2Bb@example.com"


def test_a_server_reads_it() -> None:
    # RFC 4405 §4
    given = mail("SUBMITTER=a+2Bb@example.com", SUBMITTER(True))
    assert given[parameters.SUBMITTER] == Address("a+b", "example.com")


@pytest.mark.parametrize("wrong", ["", "=<>", "=nobody", "=a+@example.com"])
def test_a_server_refuses_what_is_no_mailbox(wrong: str) -> None:
    # RFC 4405 §4
    assert refuses_mail("SUBMITTER" + wrong, SUBMITTER(True)) == 501


@given(st.from_regex(r"[ -=?-~]{1,20}", fullmatch=True))
def test_every_mailbox_comes_back(local_part: str) -> None:
    comes_back(parameters.SUBMITTER, Address(local_part, "example.com"))


def test_the_line_may_be_longer() -> None:
    assert increments(SUBMITTER) == {"MAIL": 267}
