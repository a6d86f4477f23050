"""Date-times (RFC 3339)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpwire.extensions.timestamp import format_timestamp, parse_timestamp


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1985-04-12T23:20:50.52Z", datetime(1985, 4, 12, 23, 20, 50, 520_000, UTC)),
        ("1996-12-19T16:39:57-08:00", datetime(1996, 12, 20, 0, 39, 57, tzinfo=UTC)),
        ("1990-12-31T23:59:60Z", datetime(1990, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("1990-12-31T15:59:60-08:00", datetime(1990, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("1937-01-01T12:00:27.87+00:20", datetime(1937, 1, 1, 11, 40, 27, 870_000, UTC)),
        ("2012-02-29t00:00:00z", datetime(2012, 2, 29, tzinfo=UTC)),
        ("2012-02-29T00:00:00.123456789Z", datetime(2012, 2, 29, 0, 0, 0, 123_456, UTC)),
    ],
)
def test_the_moment_a_date_time_names(text: str, moment: datetime) -> None:
    # RFC 3339 §5.8, its examples, and §5.6
    assert parse_timestamp(text) == moment
    assert parse_timestamp(text).tzinfo is UTC


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "2012-02-29",
        "2011-02-29T00:00:00Z",
        "2012-02-29 00:00:00Z",
        "2012-02-29T24:00:00Z",
        "2012-02-29T00:00:61Z",
        "2012-02-29T00:00:00",
        "2012-02-29T00:00:00.Z",
        "2012-02-29T00:00:00+24:00",
        "2012-02-29T00:00:00+0100",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "٢٠١٢-02-29T00:00:00Z",
    ],
)
def test_what_is_no_date_time(wrong: str) -> None:
    # RFC 3339 §5.6, §5.7
    with pytest.raises(ValueError):
        parse_timestamp(wrong)


def test_a_moment_is_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    moment = datetime(2026, 11, 25, 1, 2, 3, 450_000, east)
    assert format_timestamp(moment) == "2026-11-24T23:02:03.45Z"
    assert format_timestamp(moment, fraction=False) == "2026-11-24T23:02:03Z"


@pytest.mark.parametrize(
    "wrong",
    [
        datetime(2026, 11, 25),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_what_cannot_be_written(wrong: datetime) -> None:
    with pytest.raises(ValueError):
        format_timestamp(wrong)


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_comes_back(moment: datetime) -> None:
    assert parse_timestamp(format_timestamp(moment)) == moment
