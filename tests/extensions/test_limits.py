"""LIMITS (RFC 9422)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import offer_comes_back

from smtpwire.extensions import LIMITS, REGISTRY, ServerLimits
from smtpwire.wire.ehlo import EhloKeyword


def test_a_server_tells_its_limits() -> None:
    # RFC 9422 §5
    assert LIMITS(ServerLimits(mailmax=5, rcptmax=20)).line == "LIMITS MAILMAX=5 RCPTMAX=20"


def test_a_client_reads_them_in_either_case() -> None:
    # RFC 9422 §4
    read = LIMITS.read("rcptmax=20 RCPTDOMAINMAX=1 MailMax=999999").parsed
    assert read == ServerLimits(999_999, 20, 1)


@pytest.mark.parametrize(
    "ignored",
    ["RCPTMAX=0", "RCPTMAX=1000000", "RCPTMAX=x", "RCPTMAX", "RCPTMAX=020", "OTHER=7", "NEW"],
)
def test_a_limit_that_is_wrong_or_unknown_is_ignored(ignored: str) -> None:
    # RFC 9422 §3.7: as if that limit had not been specified
    assert LIMITS.read(f"{ignored} MAILMAX=3").parsed == ServerLimits(mailmax=3)


@pytest.mark.parametrize("broken", ["", "RCPTMAX=", "=5", "RCPTMAX=1;2", "RCPT.MAX=5 MAILMAX=3"])
def test_a_list_that_is_malformed_counts_for_nothing(broken: str) -> None:
    # RFC 9422 §3.7: as if LIMITS had not been used
    offer = REGISTRY.read([EhloKeyword("LIMITS", broken)])
    assert LIMITS not in offer
    assert offer.get(LIMITS) is None
    assert "LIMITS" in offer  # the line is kept


def test_limits_without_a_limit_cannot_be_offered() -> None:
    # RFC 9422 §3
    with pytest.raises(ValueError, match="needs a limit"):
        LIMITS(ServerLimits())


LIMIT = st.none() | st.integers(1, 999_999)


@given(st.builds(ServerLimits, LIMIT, LIMIT, LIMIT).filter(lambda limits: limits != ServerLimits()))
def test_every_limit_comes_back(limits: ServerLimits) -> None:
    offer_comes_back(LIMITS, limits)
