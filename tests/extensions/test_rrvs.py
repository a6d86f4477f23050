"""RRVS (RFC 7293)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, rcpt, refuses_rcpt

from smtpwire.extensions import RRVS, parameters
from smtpwire.extensions.parameters import NoSupport, Rrvs
from smtpwire.wire.address import Address
from smtpwire.wire.command import Rcpt
from smtpwire.wire.parameter import Parameters

SINCE = datetime(2014, 4, 3, 23, 1, tzinfo=UTC)


def test_a_client_tells_since_when_it_knows_the_recipient() -> None:
    # RFC 7293 §12.1
    command = Rcpt(Address("b", "example.org"), Parameters(parameters.RRVS(Rrvs(SINCE))))
    assert bytes(command) == b"RCPT TO:<b@example.org> RRVS=2014-04-03T23:01:00Z"


@pytest.mark.parametrize(
    ("written", "action"),
    [("", NoSupport.REJECT), (";R", NoSupport.REJECT), (";C", NoSupport.CONTINUE)],
)
def test_a_server_reads_it(written: str, action: NoSupport) -> None:
    # RFC 7293 §3.1: R is the default
    given = rcpt(f"RRVS=2014-04-04T01:01:00+02:00{written}", RRVS(True))
    assert given[parameters.RRVS] == Rrvs(SINCE, action)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "=",
        "=2014-04-03",
        "=2014-04-03T23:01:00.5Z",
        "=2014-04-03T23:01:00Z;X",
        "=2014-04-03T23:01:00Z;",
    ],
)
def test_a_server_refuses_what_is_malformed(wrong: str) -> None:
    # RFC 7293 §3.1: a fraction must not be used
    assert refuses_rcpt("RRVS" + wrong, RRVS(True)) == 501


def test_a_client_writes_no_fraction() -> None:
    # RFC 7293 §3.1
    assert parameters.RRVS(Rrvs(SINCE.replace(microsecond=500_000))).raw == "2014-04-03T23:01:00Z"


@given(
    st.builds(
        Rrvs,
        st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0)),
        st.sampled_from(NoSupport),
    )
)
def test_every_value_comes_back(rrvs: Rrvs) -> None:
    comes_back(parameters.RRVS, rrvs)


def test_the_line_may_be_longer() -> None:
    # RFC 7293 §3.1
    assert increments(RRVS) == {"RCPT": 33}
