"""Fuzz at a target's own speed: ``python -m fuzz.blind [TARGET …] [--seconds N] [--seed S]``.

Nothing watches the branches, which costs more than most of what a target does. What guided runs
collected is changed here, too, so that each kind of run does what it is good at: ``fuzz/run.py``
finds the way to new lines, this one tries many values there. A slow target meets all its oracles
with one input of 64. Each finding is saved into ``fuzz/regressions`` once for the line that raised;
the exit code is 1. Needs no atheris.
"""

import argparse
import gc
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from fuzz.mutator import MUTATORS, anyhow
from fuzz.run import LONGEST, SECONDS, SLOWEST, collected, save
from fuzz.seeds import inputs
from fuzz.targets import TARGETS, sampled

BATCH: Final = 64
"""Inputs between two looks at the clock."""
_STEPS: Final = 4
"""Changes, one after another, of one input."""


class Result(NamedTuple):
    """What one target did."""

    target: str
    executions: int
    seconds: float  # of the processor
    findings: list[Path]


def main(arguments: list[str]) -> int:
    """Run targets one after another; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.blind", description="Fuzz smtpwire.")
    parser.add_argument("target", nargs="*", help="only these (default: all)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a target (default: 60)")
    parser.add_argument("--seed", type=int, help="of what is changed (default: by the clock)")
    options = parser.parse_args(arguments)
    if unknown := set(options.target) - set(TARGETS):
        parser.error(f"no target is named {', '.join(sorted(unknown))}: {', '.join(TARGETS)}")
    seed = time.time_ns() % 1_000_000_000 if options.seed is None else options.seed
    print(f"seed {seed}\n{'target':14}{'executions':>12}{'a second':>10}{'findings':>10}")
    found = False
    for target in options.target or TARGETS:
        result = run(target, options.seconds, seed)
        speed = result.executions / max(result.seconds, 0.001)
        print(f"{target:14}{result.executions:12,}{speed:10,.0f}{len(result.findings):10}")
        for finding in result.findings:
            print(f"  {finding}")
        sys.stdout.flush()
        found = found or bool(result.findings)
    return int(found)


def run(target: str, seconds: float, seed: int) -> Result:
    """Run one target, for one batch at least, and save what it finds."""
    check, made = sampled(target), mutants(target, seed)
    found: dict[object, Path] = {}
    executions = 0
    gc.collect()
    gc.freeze()
    begun, end = time.process_time(), time.monotonic() + seconds
    while True:
        with time_limit(SLOWEST):
            for data in islice(made, BATCH):
                try:
                    check(data)
                except Exception as error:
                    place = place_of(error)
                    if place not in found:
                        found[place] = save_input(target, data, error)
        executions += BATCH
        if time.monotonic() >= end:
            break
    return Result(target, executions, time.process_time() - begun, [*found.values()])


def mutants(target: str, seed: int) -> Iterator[bytes]:
    """Inputs without end, each made of one that is known."""
    chance = random.Random(seed)
    known = [*inputs(target), *(path.read_bytes() for path in sorted(collected(target).glob("*")))]
    change = anyhow(chance)
    mutate = MUTATORS.get(target)
    while True:
        data = chance.choice(known)
        for _ in range(_STEPS):
            if mutate is None:
                data = change(data, LONGEST)
            else:
                data = mutate(data, LONGEST, chance.getrandbits(32), change)
            yield data


def place_of(error: Exception) -> tuple[str, str, int]:
    """What was raised, and where: findings that agree in it are one."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return type(error).__name__, last.filename, last.lineno or 0


def save_input(target: str, data: bytes, error: Exception) -> Path:
    """Keep a finding as a guided run does."""
    raised = "".join(traceback.format_exception(error))
    print(raised)
    return save(target, data, raised, "timeout" if isinstance(error, TimeoutError) else "crash")


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what runs longer; where the system has no alarm, nothing."""
    if not hasattr(signal, "alarm"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _too_slow(*_: object) -> NoReturn:
    raise TimeoutError(f"{BATCH} inputs took {SLOWEST} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
