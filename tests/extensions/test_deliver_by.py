"""DELIVERBY (RFC 2852)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, offer_comes_back, refuses_mail

from smtpwire.extensions import DELIVERBY, parameters
from smtpwire.extensions.parameters import ByMode, DeliverBy
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_asks_for_delivery_in_time() -> None:
    # RFC 2852 §4
    command = Mail(None, Parameters(parameters.BY(DeliverBy(120, ByMode.RETURN))))
    assert bytes(command) == b"MAIL FROM:<> BY=120;R"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("120;R", DeliverBy(120, ByMode.RETURN)),
        ("+120;rt", DeliverBy(120, ByMode.RETURN, trace=True)),
        ("0;N", DeliverBy(0, ByMode.NOTIFY)),
        ("-999999999;NT", DeliverBy(-999_999_999, ByMode.NOTIFY, trace=True)),
    ],
)
def test_a_server_reads_it(written: str, meant: DeliverBy) -> None:
    # RFC 2852 §4: with N the time may have passed
    assert mail(f"BY={written}", DELIVERBY(None))[parameters.BY] == meant


@pytest.mark.parametrize(
    "wrong",
    ["BY", "BY=120", "BY=;R", "BY=120;X", "BY=0;R", "BY=-1;R", "BY=1234567890;N", "BY=1;N BY=1;N"],
)
def test_a_server_refuses_what_is_malformed(wrong: str) -> None:
    # RFC 2852 §4: a time of 0 or less with R is a syntax error
    assert refuses_mail(wrong, DELIVERBY(None)) == 501


def test_a_server_refuses_less_than_its_minimum() -> None:
    # RFC 2852 §3: R strictly below min-by-time is a 55z; N is not bound by it
    assert refuses_mail("BY=59;R", DELIVERBY(60)) == 555
    assert refuses_mail("BY=60;R", DELIVERBY(60)) == 250
    assert refuses_mail("BY=1;N", DELIVERBY(60)) == 250
    assert refuses_mail("BY=1;R", DELIVERBY(None)) == 250
    assert refuses_mail("", DELIVERBY(60)) == 250


@pytest.mark.parametrize(
    ("parameters_", "minimum"),
    [
        ("", None),
        ("60", 60),
        ("60,later", 60),
        (",x", None),
        ("x", None),
        ("999999999", 999_999_999),
        ("1000000000", None),
    ],
)
def test_a_client_reads_the_minimum(parameters_: str, minimum: int | None) -> None:
    # RFC 2852 §2 (3): min-by-time *("," extension-token)
    assert DELIVERBY.read(parameters_).parsed == minimum


@given(
    st.builds(DeliverBy, st.integers(1, 999_999_999), st.just(ByMode.RETURN), st.booleans())
    | st.builds(
        DeliverBy, st.integers(-999_999_999, 999_999_999), st.just(ByMode.NOTIFY), st.booleans()
    )
)
def test_every_value_comes_back(by: DeliverBy) -> None:
    comes_back(parameters.BY, by)


@given(st.none() | st.integers(0, 999_999_999))
def test_every_minimum_comes_back(minimum: int | None) -> None:
    offer_comes_back(DELIVERBY, minimum)


def test_the_line_may_be_longer() -> None:
    # RFC 2852 §2 (5)
    assert increments(DELIVERBY) == {"MAIL": 17}
