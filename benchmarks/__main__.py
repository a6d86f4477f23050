"""Measure smtpwire against its peers: ``python -m benchmarks``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from benchmarks.build import this_build
    from benchmarks.figures import FIGURES, Figure
    from benchmarks.harness import FULL, QUICK, Effort, MissingToolError
    from benchmarks.report import HEADING, Result, line, write_json
except ModuleNotFoundError as missing:
    sys.exit(f'the benchmarks need {missing.name}: pip install -e ".[bench]"')


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Every figure is a ratio to a peer timed in the same process in turn, "
        "or an amount of memory. Exit code 1 if a figure could not run, else 0.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a minute")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="figures by name or number, not all of them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args(arguments)
    known = {figure.name for figure in FIGURES} | {str(figure.number) for figure in FIGURES}
    if unknown := set(options.only or ()) - known:
        names = ", ".join(figure.name for figure in FIGURES)
        parser.error(f"unknown: {', '.join(sorted(unknown))}; the figures are {names}")
    return options


def _result(figure: Figure, effort: Effort) -> Result:
    try:
        return Result(figure, figure.measure(effort))
    except MissingToolError as missing:
        return Result(figure, None, missing=str(missing))
    except Exception as error:  # one figure that fails must not hide the others
        return Result(figure, None, error=f"{type(error).__name__}: {error}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and say whether everything could run."""
    options = _arguments(arguments)
    build = this_build()
    print(build)
    if build.remark:
        print(build.remark)
    print(HEADING)
    results = []
    for figure in FIGURES:
        if not options.only or {figure.name, str(figure.number)} & set(options.only):
            result = _result(figure, QUICK if options.quick else FULL)
            print(line(result, build), flush=True)
            results.append(result)
    if options.json:
        write_json(options.json, results, build, quick=options.quick)
    return 1 if any(result.error for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
