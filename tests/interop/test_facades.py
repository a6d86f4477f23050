"""Other projects' own tests on our engine: smtplib's on the client, aiosmtpd's on the server."""

from typing import Final

import pytest
from tests.interop.facades.suites import SUITES, Suite, differences, run
from tests.interop.peers.requirements import require

pytestmark = pytest.mark.interop

TESTS: Final = {"smtplib": 82, "aiosmtpd": 397, "aiosmtplib": 383, "smtpdfix": 88}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_nothing_is_otherwise_but_what_is_listed(suite: Suite) -> None:
    require(suite.requirement)
    listed = differences(suite)
    outcome = run(suite)
    assert len(outcome.passed) + len(outcome.failed) == TESTS[suite.name], outcome.output
    assert set(listed) <= outcome.failed, "these pass by now: take them from the list"
    unexpected = outcome.failed - set(listed)
    if unexpected:  # their own time-outs are short: once more
        outcome = run(suite)
        unexpected &= outcome.failed
    assert not unexpected, outcome.output


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_every_difference_has_a_reason(suite: Suite) -> None:
    for reason in differences(suite).values():
        assert reason.startswith(("RFC ", "the code is the same", "inside: ", "harness: "))
