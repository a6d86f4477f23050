"""SIZE (RFC 1870)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, offer_comes_back, refuses_mail

from smtpwire.extensions import SIZE, Offer, parameters
from smtpwire.extensions.size import counted_size
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_server_tells_its_limit() -> None:
    # RFC 1870 §4; 0 is "no fixed maximum"
    assert SIZE(20_000_000).line == "SIZE 20000000"
    assert SIZE(0).line == "SIZE 0"
    assert SIZE(None).line == "SIZE"


@pytest.mark.parametrize("nonsense", ["", "abc", "-1", "1_0", "٣", "1" * 21])
def test_a_client_takes_nonsense_for_a_limit_that_is_not_told(nonsense: str) -> None:
    # RFC 1870 §3 (3): the parameter is optional
    assert SIZE.read(nonsense).parsed is None


@given(st.none() | st.integers(0, 10**20 - 1))
def test_every_limit_comes_back(limit: int | None) -> None:
    offer_comes_back(SIZE, limit)


def test_a_client_declares_a_size() -> None:
    # RFC 1870 §6
    command = Mail(None, Parameters(parameters.SIZE(500_000)))
    assert bytes(command) == b"MAIL FROM:<> SIZE=500000"


def test_a_server_reads_the_size() -> None:
    # RFC 1870 §6; SIZE=0 is legal
    assert mail("SIZE=500000", SIZE(None))[parameters.SIZE] == 500_000
    assert mail("size=0", SIZE(None))[parameters.SIZE] == 0


@pytest.mark.parametrize("wrong", ["SIZE", "SIZE=x", "SIZE=-1", "SIZE=" + "1" * 21])
def test_a_server_refuses_what_is_no_size(wrong: str) -> None:
    # RFC 1870 §3 (4): size-value = 1*20DIGIT
    assert refuses_mail(wrong, SIZE(None)) == 501


def test_a_second_size_is_refused() -> None:
    # RFC 1870 §6: only one
    assert refuses_mail("SIZE=1 SIZE=1", SIZE(None)) == 501


def test_without_the_offer_the_parameter_is_unknown() -> None:
    # RFC 5321 §4.1.1.11
    assert refuses_mail("SIZE=1") == 555


@given(st.integers(0, 10**20 - 1))
def test_every_size_comes_back(size: int) -> None:
    comes_back(parameters.SIZE, size)


def test_the_line_may_be_longer() -> None:
    # RFC 1870 §3 (5)
    assert increments(SIZE) == {"MAIL": 26}
    assert Offer([SIZE(None)]).line_limits() == {"MAIL": 538}


@pytest.mark.parametrize("octets", [0, 1, 9, 10, 65_536])
def test_the_size_that_is_counted_is_the_parameter_made_of_it(octets: int) -> None:
    counted, made = counted_size(bytes(octets)), parameters.SIZE(octets)
    assert counted == made
    assert (counted.parameter, counted.parsed) == (made.parameter, made.parsed)
    assert mail(str(counted), SIZE(None)) == Parameters(made)
