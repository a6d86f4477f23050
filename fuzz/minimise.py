"""Which inputs of the corpus are needed: ``python -m fuzz.minimise [TARGET …] [--write]``.

For each target, what its seeds and regressions reach of the floors without I/O counts first: each
step from a line to the next. Then files are looked at, those with a name of their own first, the
smaller ones first; one is needed that takes a step which none before it took. In the end, the other
way round, one is not needed whose steps others take as well. ``--write`` removes the others.
``--collected`` looks at what guided runs collected, too, and ``--write`` adds what of it is needed,
named ``reached-…``.
"""

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from coverage import Coverage

from fuzz.floors import FLOORS, SOURCE, files
from fuzz.run import collected
from fuzz.seeds import FUZZ, inputs
from fuzz.targets import TARGETS, load

REACHED: Final = "reached-"
"""What begins the names of inputs that runs made."""
Step = tuple[str, int, int]
"""A file, a line and the next one."""


def main(arguments: list[str]) -> None:
    """Print a row a target."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.minimise", description=__doc__)
    parser.add_argument("target", nargs="*", help="only these (default: all)")
    parser.add_argument("--write", action="store_true", help="remove what is not needed")
    parser.add_argument("--collected", action="store_true", help="look at what runs collected, too")
    options = parser.parse_args(arguments)
    print(f"{'target':14}{'files':>8}{'needed':>8}")
    for target in options.target or TARGETS:
        candidates = sorted((FUZZ / "corpus" / target).iterdir())
        if options.collected:
            candidates += sorted(collected(target).glob("*"))
        needed = minimal(target, candidates)
        print(f"{target:14}{len(candidates):8}{len(needed):8}")
        if options.write:
            write(target, candidates, needed)


def minimal(target: str, candidates: Iterable[Path]) -> set[Path]:
    """The files that a target needs beside its seeds and regressions."""
    known, taken = steps(target, sorted(candidates, key=_rank))
    times: Counter[Step] = Counter(known)
    needed: list[Path] = []
    for path, each in taken.items():
        if not times.keys() >= each:
            needed.append(path)
            times.update(each)
    for path in reversed(needed.copy()):
        if all(times[step] > 1 for step in taken[path]):
            needed.remove(path)
            times.subtract(taken[path])
    return set(needed)


def _rank(path: Path) -> tuple[bool, int]:
    """What somebody named comes before what a run made."""
    named = path.parent.parent.name == "corpus" and not path.name.startswith(REACHED)
    return not named, path.stat().st_size


def steps(target: str, paths: Iterable[Path]) -> tuple[set[Step], dict[Path, set[Step]]]:
    """What seeds and regressions take together, and what each of these files takes."""
    coverage = Coverage(data_file=None, source=[str(SOURCE)], config_file=False, branch=True)
    coverage.start()
    check = load(target)
    for data in inputs(target, "regressions"):
        check(data)
    named = {str(path): path for path in paths}
    for name, path in named.items():
        coverage.switch_context(name)
        check(path.read_bytes())
    coverage.stop()
    return _steps(coverage, ""), {path: _steps(coverage, name) for name, path in named.items()}


def _steps(coverage: Coverage, context: str) -> set[Step]:
    data = coverage.get_data()
    data.set_query_context(context)
    places = [str(file) for places in FLOORS.values() for file in files(places)]
    return {(place, *step) for place in places for step in data.arcs(place) or ()}


def write(target: str, candidates: Iterable[Path], needed: set[Path]) -> None:
    """Make the corpus what is needed."""
    corpus = FUZZ / "corpus" / target
    for path in candidates:
        if path.parent != corpus and path in needed:
            octets = path.read_bytes()
            name = f"{REACHED}{hashlib.sha256(octets).hexdigest()[:8]}"
            corpus.joinpath(name).write_bytes(octets)
        elif path.parent == corpus and path not in needed:
            path.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
