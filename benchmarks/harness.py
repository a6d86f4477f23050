"""Times pieces of work in turn (A B A B) and gives the ratio of each round."""

import gc
import math
import statistics
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns

__all__ = [
    "FULL",
    "KIB",
    "MIB",
    "QUICK",
    "Effort",
    "Measured",
    "MissingToolError",
    "Work",
    "doubled",
    "extremes",
    "from_rounds",
    "in_turn",
    "peak_memory",
    "retained_memory",
    "speed",
    "time",
]

KIB = 1024
MIB = 1024 * 1024

_MEMORY_ROUNDS = 7  # what is allocated hardly varies

Work = Callable[[int], object]
"""Does a piece of work so many times."""


class MissingToolError(Exception):
    """A program that is no Python package is not installed; the text says which and how."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look: the rounds, what a timed section aims at, how large the bodies are."""

    rounds: int
    section_seconds: float
    loopback_seconds: float
    body_octets: int
    """A body for which 25 MiB is asked."""
    slow_body_octets: int
    """A body that a peer needs seconds for."""
    messages: int
    """Messages over one connection of a client's, where a hundred are meant."""


FULL = Effort(
    rounds=21,
    section_seconds=0.06,
    loopback_seconds=0.4,
    body_octets=25 * MIB,
    slow_body_octets=8 * MIB,
    messages=100,
)
QUICK = Effort(
    rounds=7,
    section_seconds=0.01,
    loopback_seconds=0.06,
    body_octets=4 * MIB,
    slow_body_octets=1 * MIB,
    messages=10,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure a round, and the medians it comes from where they are times."""

    rounds: tuple[float, ...]
    ours_seconds: float | None = None
    peer_seconds: float | None = None
    remark: str = ""

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.rounds)


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _seconds_each(work: Work, count: int) -> float:
    start = perf_counter_ns()
    work(count)
    return (perf_counter_ns() - start) / count / 1e9


def _best_seconds(work: Work, count: int, seconds: float) -> float:
    """The best of three, or of fewer that took long: others may want the processor meanwhile."""
    best, spent, tries = math.inf, 0.0, 0
    while tries < 3 and spent < 4 * seconds:
        each = _seconds_each(work, count)
        best, spent, tries = min(best, each), spent + each * count, tries + 1
    return best


def _calibrated(work: Work, seconds: float) -> int:
    """How often to repeat the work so that it takes about so long."""
    work(1)  # the first time is not typical: modules are loaded, caches filled
    count = 1
    while True:
        each = _best_seconds(work, count, seconds)
        if each * count >= seconds / 8:
            return max(1, round(seconds / each))
        count *= 4


def in_turn(
    works: Iterable[Work], effort: Effort, seconds: float | None = None
) -> list[tuple[float, ...]]:
    """The seconds that each work took a piece, one tuple a round."""
    timed = [(work, _calibrated(work, seconds or effort.section_seconds)) for work in works]
    rounds = []
    for _ in range(effort.rounds):
        with _no_collection():
            rounds.append(tuple(_seconds_each(work, count) for work, count in timed))
    return rounds


def from_rounds(
    rounds: Iterable[tuple[float, float]], ratio: Callable[[float, float], float]
) -> Measured:
    """The figure of rounds of (ours, peer)."""
    pairs = list(rounds)
    return Measured(
        tuple(ratio(ours, peer) for ours, peer in pairs),
        statistics.median(ours for ours, _ in pairs),
        statistics.median(peer for _, peer in pairs),
    )


def _pairs(
    ours: Work, peer: Work, effort: Effort, seconds: float | None
) -> list[tuple[float, float]]:
    return [(first, second) for first, second in in_turn((ours, peer), effort, seconds)]


def speed(ours: Work, peer: Work, effort: Effort, seconds: float | None = None) -> Measured:
    """How many times as fast as the peer: more is better."""
    return from_rounds(_pairs(ours, peer, effort, seconds), lambda mine, its: its / mine)


def time(ours: Work, peer: Work, effort: Effort, seconds: float | None = None) -> Measured:
    """How many times the peer's time: less is better."""
    return from_rounds(_pairs(ours, peer, effort, seconds), lambda mine, its: mine / its)


def doubled(work: Work, half: Work, effort: Effort) -> Measured:
    """The cost of twice the work ÷ the cost of the work: 2 is linear."""
    return time(work, half, effort)


def extremes(works: dict[str, Work], effort: Effort) -> Measured:
    """The slowest ÷ the fastest of several works, by the medians of their times."""
    rounds = in_turn(works.values(), effort)
    medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
    slowest, fastest = medians.index(max(medians)), medians.index(min(medians))
    names = list(works)
    return Measured(
        tuple(times[slowest] / times[fastest] for times in rounds),
        medians[slowest],
        medians[fastest],
        f"{names[slowest]} ÷ {names[fastest]}",
    )


def peak_memory(work: Callable[[], object], unit: int) -> Measured:
    """The most that was allocated at once while the work was done, in units of octets."""
    work()
    rounds = []
    for _ in range(_MEMORY_ROUNDS):
        gc.collect()
        tracemalloc.start()
        work()
        rounds.append(tracemalloc.get_traced_memory()[1] / unit)
        tracemalloc.stop()
    return Measured(tuple(rounds))


def retained_memory(make: Callable[[], object], count: int, unit: int) -> Measured:
    """What one of many made objects keeps allocated, in units of octets."""
    make()
    rounds = []
    for _ in range(_MEMORY_ROUNDS):
        gc.collect()
        kept: list[object] = [None] * count
        tracemalloc.start()
        for index in range(count):
            kept[index] = make()
        gc.collect()
        rounds.append(tracemalloc.get_traced_memory()[0] / count / unit)
        tracemalloc.stop()
    return Measured(tuple(rounds))
