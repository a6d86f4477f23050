"""Every adapter under clients that reset, stall and vanish, for a short while."""

import logging

import pytest
from tests.adapters.stress import Outcome, faults, stress


def test_what_was_accepted_was_handed_over(adapter: str, caplog: pytest.LogCaptureFixture) -> None:
    outcome = stress(adapter, 150)
    assert faults(outcome) == []
    assert outcome.accepted == outcome.stored > 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_each_fault_is_told() -> None:
    outcome = Outcome(begun=2, ended=1, left="threads")
    outcome.store("a")
    outcome.store("a")
    outcome.accept("b")
    assert faults(outcome) == [
        "accepted, and not handed over: ['b']",
        "handed over twice: 1",
        "handed over, and nobody was told: ['a']",
        "sessions without an end: 1",
        "left: threads",
    ]
    assert faults(Outcome()) == ["messages at all: none"]
