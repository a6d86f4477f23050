"""Which lines the inputs alone reach: ``python -m fuzz.coverage [--lines]``.

Everything in ``corpus`` and ``regressions``, and the seeds, meet the oracles of their targets once,
under coverage.py; the lines of the floors without I/O are counted, floor by floor. ``--lines``
names those that none has reached.
"""

import argparse
import importlib

from coverage import Coverage

from fuzz.floors import FLOORS, SOURCE, files


def measure() -> Coverage:
    """Let all inputs meet their targets."""
    coverage = Coverage(data_file=None, source=[str(SOURCE)], config_file=False, branch=False)
    coverage.exclude("if TYPE_CHECKING:|@overload|raise NotImplementedError|\\.\\.\\.$")
    coverage.start()
    targets = importlib.import_module("fuzz.targets")
    seeds = importlib.import_module("fuzz.seeds")
    for target in targets.TARGETS:
        check = targets.load(target)
        for data in seeds.inputs(target):
            check(data)
    coverage.stop()
    return coverage


def main() -> None:
    """Print a row a floor."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.coverage", description=__doc__)
    parser.add_argument("--lines", action="store_true", help="name the lines that are not reached")
    options = parser.parse_args()
    coverage = measure()
    whole = missed = 0
    print(f"{'floor':12}{'lines':>8}{'reached':>9}")
    for floor, places in FLOORS.items():
        lines, left = count(coverage, places, shown=options.lines)
        print(f"{floor:12}{lines:8,}{1 - left / lines:9.1%}")
        whole, missed = whole + lines, missed + left
    print(f"{'all':12}{whole:8,}{1 - missed / whole:9.1%}")


def count(coverage: Coverage, places: tuple[str, ...], *, shown: bool) -> tuple[int, int]:
    """Lines of a floor that can run, and those that none has reached."""
    whole = missed = 0
    for file in files(places):
        _, lines, _, left, named = coverage.analysis2(str(file))
        whole += len(lines)
        missed += len(left)
        if shown and left:
            print(f"  {file.relative_to(SOURCE)}: {named}")
    return whole, missed


if __name__ == "__main__":
    main()
