"""Every adapter under clients that reset, stall and vanish, for a short while."""

import logging

import pytest
from tests.adapters.stress import stress


def test_what_was_accepted_was_handed_over(adapter: str, caplog: pytest.LogCaptureFixture) -> None:
    outcome = stress(adapter, 150)
    assert outcome.accepted == outcome.stored > 0
    assert not outcome.lost
    assert not outcome.again
    assert not outcome.left
    assert outcome.begun == outcome.ended
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
