"""MTRK (RFC 3885)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, refuses_mail

from smtpwire.extensions import DSN, MTRK, Offer, Profile, parameters
from smtpwire.extensions.parameters import Mtrk
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters

OFFERED = DSN(True), MTRK(True)


def test_a_client_makes_a_message_trackable() -> None:
    # RFC 3885 §3.1, §3.2
    command = Mail(
        None, Parameters(parameters.ENVID("12@example.com"), parameters.MTRK(Mtrk("T34/+", 3600)))
    )
    assert bytes(command) == b"MAIL FROM:<> ENVID=12@example.com MTRK=T34/+:3600"


def test_a_server_reads_it() -> None:
    # RFC 3885 §3.1
    given = mail("MTRK=T34/+:3600 ENVID=12@example.com", *OFFERED)
    assert given[parameters.MTRK] == Mtrk("T34/+", 3600)
    assert mail("MTRK=T ENVID=a@b", *OFFERED)[parameters.MTRK] == Mtrk("T")
    assert not mail("", *OFFERED)


@pytest.mark.parametrize("wrong", ["", "=:1", "=T:", "=T:1234567890", "=T.", "=T:x"])
def test_a_server_refuses_what_is_malformed(wrong: str) -> None:
    # RFC 3885 §3.1
    assert refuses_mail(f"MTRK{wrong} ENVID=a@b", *OFFERED) == 501


@pytest.mark.parametrize("envid", ["", "ENVID=x", "ENVID=@b", "ENVID=a@"])
def test_it_needs_an_envid_that_is_unique(envid: str) -> None:
    # RFC 3885 §3.2
    assert refuses_mail(f"MTRK=T {envid}", *OFFERED) == 501


@given(
    st.builds(
        Mtrk,
        st.from_regex(r"[A-Za-z0-9+/]{1,30}", fullmatch=True),
        st.none() | st.integers(0, 999_999_999),
    )
)
def test_every_value_comes_back(mtrk: Mtrk) -> None:
    comes_back(parameters.MTRK, mtrk)


def test_it_is_not_offered_without_dsn() -> None:
    # RFC 3885 §2 (4): ENVID and ORCPT must be supported
    assert Offer([MTRK(True)]).restricted(Profile.RELAY, tls=False).keywords == ()
    assert Offer(OFFERED).restricted(Profile.RELAY, tls=False).keywords == ("DSN", "MTRK")


def test_the_line_may_be_longer() -> None:
    # RFC 3885 §2 (5)
    assert increments(MTRK) == {"MAIL": 40}
