"""Fuzz at a target's own speed: ``python -m fuzz.blind [TARGET …] [--seconds N] [--seed S]``.

Nothing watches the branches, which costs more than most of what a target does. What guided runs
collected is changed here, too, so that each kind of run does what it is good at: ``fuzz/run.py``
finds the way to new lines, this one tries many values there. A slow target meets all its oracles
with one input of 64. Each finding is saved into ``fuzz/regressions`` once for the line that raised;
the exit code is 1. Needs no atheris.

``--collect`` keeps what reaches a line that nothing has reached, beside what guided runs collected,
and changes it again. That costs the less the more has been reached.
"""

import argparse
import gc
import hashlib
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, NoReturn

from fuzz.floors import FLOORS, files
from fuzz.mutator import MUTATORS, anyhow
from fuzz.run import LONGEST, SECONDS, SLOWEST, collected, save
from fuzz.seeds import inputs
from fuzz.targets import TARGETS, sampled

BATCH: Final = 64
"""Inputs between two looks at the clock."""
TraceFunction = Callable[[FrameType, str, Any], Any]
_FILES: Final = frozenset(str(path) for places in FLOORS.values() for path in files(places))
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
    parser.add_argument("--collect", action="store_true", help="keep what reaches a new line")
    parser.add_argument("--seed", type=int, help="of what is changed (default: by the clock)")
    options = parser.parse_args(arguments)
    if unknown := set(options.target) - set(TARGETS):
        parser.error(f"no target is named {', '.join(sorted(unknown))}: {', '.join(TARGETS)}")
    seed = time.time_ns() % 1_000_000_000 if options.seed is None else options.seed
    print(f"seed {seed}\n{'target':14}{'executions':>12}{'a second':>10}{'findings':>10}")
    found = False
    for target in options.target or TARGETS:
        result = run(target, options.seconds, seed, collect=options.collect)
        speed = result.executions / max(result.seconds, 0.001)
        print(f"{target:14}{result.executions:12,}{speed:10,.0f}{len(result.findings):10}")
        for finding in result.findings:
            print(f"  {finding}")
        sys.stdout.flush()
        found = found or bool(result.findings)
    return int(found)


def run(target: str, seconds: float, seed: int, *, collect: bool = False) -> Result:
    """Run one target, for one batch at least, and save what it finds."""
    known = [*inputs(target), *(path.read_bytes() for path in sorted(collected(target).glob("*")))]
    check, made = sampled(target), mutants(target, known, seed)
    if collect:
        check = collecting(target, check, known)
    found: dict[object, Path] = {}
    executions = 0
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy has none, and needs none
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


def mutants(target: str, known: list[bytes], seed: int) -> Iterator[bytes]:
    """Inputs without end, each made of one that is known; that may become more."""
    chance = random.Random(seed)
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


def collecting(
    target: str, check: Callable[[bytes], None], known: list[bytes]
) -> Callable[[bytes], None]:
    """A check that keeps what reaches a line which nothing before did."""
    unreached = Unreached()
    for data in known:
        unreached.watch(check, data)

    def watched(data: bytes) -> None:
        if unreached.watch(check, data):
            known.append(data)
            folder = collected(target)
            folder.mkdir(parents=True, exist_ok=True)
            folder.joinpath(hashlib.sha1(data).hexdigest()).write_bytes(data)

    return watched


class Unreached:
    """The lines of the floors without I/O which nothing has reached."""

    def __init__(self) -> None:
        self._left: dict[CodeType, set[int]] = {}
        self._found = False

    def watch(self, check: Callable[[bytes], None], data: bytes) -> bool:
        """Whether an input reaches one of them."""
        self._found = False
        sys.settrace(self._call)
        try:
            check(data)
        finally:
            sys.settrace(None)
        return self._found

    def _call(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        """A function that has been reached wholly runs at its own speed."""
        code = frame.f_code
        left = self._left.get(code)
        if left is None:
            lines = {line for *_, line in code.co_lines() if line is not None}
            looked_at = code.co_filename in _FILES
            left = self._left[code] = lines - {code.co_firstlineno} if looked_at else set()
        return self._line if left else None

    def _line(self, frame: FrameType, event: str, argument: object) -> TraceFunction:
        left = self._left[frame.f_code]
        if event == "line" and frame.f_lineno in left:
            left.remove(frame.f_lineno)
            self._found = True
        return self._line


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
    """Raise TimeoutError in what takes more of the processor; where it has no timer, nothing."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _too_slow(*_: object) -> NoReturn:
    raise TimeoutError(f"{BATCH} inputs took {SLOWEST} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
