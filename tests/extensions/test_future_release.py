"""FUTURERELEASE (RFC 4865)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, offer_comes_back, refuses_mail

from smtpwire.extensions import FUTURERELEASE, FutureRelease, Offer, Profile, parameters
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters

MOMENTS = st.datetimes(timezones=st.just(UTC))
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
OFFERED = FUTURERELEASE(FutureRelease(86400, NEW_YEAR))


def test_a_server_tells_how_long_it_holds() -> None:
    # RFC 4865 §3 (3)
    assert OFFERED.line == "FUTURERELEASE 86400 2027-01-01T00:00:00Z"


@pytest.mark.parametrize("wrong", ["", "86400", "x 2027-01-01T00:00:00Z", "0 2027-01-01T00:00:00Z"])
def test_both_figures_are_required(wrong: str) -> None:
    # RFC 4865 §3 (2)
    with pytest.raises(ValueError):
        FUTURERELEASE.read(wrong)


def test_a_client_asks_for_a_later_release() -> None:
    # RFC 4865 §3 (4)
    interval = Mail(None, Parameters(parameters.HOLDFOR(3600)))
    assert bytes(interval) == b"MAIL FROM:<> HOLDFOR=3600"
    moment = Mail(None, Parameters(parameters.HOLDUNTIL(NEW_YEAR)))
    assert bytes(moment) == b"MAIL FROM:<> HOLDUNTIL=2027-01-01T00:00:00Z"


def test_a_server_reads_it() -> None:
    # RFC 4865 §4.2 (4); what the server offers is included
    assert mail("HOLDFOR=86400", OFFERED)[parameters.HOLDFOR] == 86400
    assert mail("HOLDUNTIL=2027-01-01T00:00:00z", OFFERED)[parameters.HOLDUNTIL] == NEW_YEAR
    assert mail("HOLDFOR=1", OFFERED)[parameters.HOLDFOR] == 1
    assert mail("HOLDUNTIL=2026-12-31T00:00:00Z", OFFERED)[parameters.HOLDUNTIL] < NEW_YEAR
    assert not mail("", OFFERED)


@pytest.mark.parametrize(
    "wrong",
    [
        "HOLDFOR",
        "HOLDFOR=0",
        "HOLDFOR=01",
        "HOLDFOR=1234567890",
        "HOLDUNTIL",
        "HOLDUNTIL=Z",
        "HOLDUNTIL=2026-12-31T00:00:00+00:00",
        "HOLDFOR=1 HOLDFOR=1",
    ],
)
def test_a_server_refuses_what_is_malformed(wrong: str) -> None:
    # RFC 4865 §3, §4.2 (10)
    assert refuses_mail(wrong, OFFERED) == 501


@pytest.mark.parametrize(
    "wrong",
    [
        "HOLDFOR=86401",
        "HOLDUNTIL=2027-01-01T00:00:01Z",
        "HOLDFOR=1 HOLDUNTIL=2026-12-31T00:00:00Z",
    ],
)
def test_a_server_refuses_what_it_does_not_offer(wrong: str) -> None:
    # RFC 4865 §4.2 (7), (8), (9): 501
    assert refuses_mail(wrong, OFFERED) == 501


def test_it_is_for_submission_only() -> None:
    # RFC 4865 §4.2 (2)
    offer = Offer([OFFERED])
    offering = {profile for profile in Profile if offer.restricted(profile, tls=True).keywords}
    assert offering == {Profile.SUBMISSION, Profile.SUBMISSIONS}


@given(st.integers(1, 999_999_999))
def test_every_interval_comes_back(seconds: int) -> None:
    comes_back(parameters.HOLDFOR, seconds)


@given(MOMENTS)
def test_every_moment_comes_back(moment: datetime) -> None:
    comes_back(parameters.HOLDUNTIL, moment)


@given(st.builds(FutureRelease, st.integers(1, 999_999_999), MOMENTS))
def test_every_offer_comes_back(limits: FutureRelease) -> None:
    offer_comes_back(FUTURERELEASE, limits)


def test_the_line_may_be_longer() -> None:
    # RFC 4865 §3 (5)
    assert increments(FUTURERELEASE) == {"MAIL": 34}
