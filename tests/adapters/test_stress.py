"""Every adapter under clients that reset, stall and vanish, for a short while."""

import logging

import pytest
from tests.adapters.stress import Outcome, Sample, Visit, faults, stress


def test_what_was_accepted_was_handed_over(adapter: str, caplog: pytest.LogCaptureFixture) -> None:
    outcome = stress(adapter, 150)
    assert faults(outcome) == []
    assert outcome.accepted == outcome.stored > 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_each_fault_is_told() -> None:
    samples = [Sample(10.0 * at, 1000 * at, 50_000 + 40 * at, 9, 9) for at in range(10)]
    outcome = Outcome(begun=2, ended=1, left="threads", samples=samples)
    outcome.store("a")
    outcome.store("a")
    outcome.note([Visit("send", "b")])
    assert faults(outcome) == [
        "accepted, and not handed over: ['b']",
        "handed over twice: 1",
        "handed over, and nobody was told: ['a']",
        "sessions without an end: 1",
        "left: threads",
        "KiB left by a thousand connections: 40",
    ]
    assert faults(Outcome()) == ["messages at all: none"]


def test_memory_may_grow_until_everything_has_been_used() -> None:
    samples = [Sample(10.0 * at, 1000 * at, 50_000 + 400 * min(at, 4), 9, 9) for at in range(10)]
    assert faults(Outcome(stored=1, samples=samples)) == []
