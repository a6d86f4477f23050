"""The results as a table for people and as JSON for machines."""

import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which

from benchmarks.build import Build
from benchmarks.figures import Figure
from benchmarks.harness import Measured

__all__ = ["HEADING", "Result", "line", "write_json"]

_PACKAGES = ("smtpwire", "aiosmtpd", "aiosmtplib", "h11", "scramp", "twisted")

_ROW = "{:>2} {:<26}{:<54}{:<25}{:>9}{:>9}{:>9}{:>7}  {}"

HEADING = _ROW.format("#", "name", "figure", "against", "median", "min", "max", "goal", "met")


@dataclass(frozen=True, slots=True)
class Result:
    """A figure and what came of it: numbers, or why there are none."""

    figure: Figure
    measured: Measured | None
    missing: str = ""
    """The tool that is not installed."""
    error: str = ""
    """Why the figure could not run."""

    def verdict(self, build: Build) -> str:
        """The last column."""
        if self.measured is None:
            return f"COULD NOT RUN: {self.error}" if self.error else f"skipped: {self.missing}"
        return "yes" if self.figure.met(self.measured.median, build) else "NO"


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{unit}"


def line(result: Result, build: Build) -> str:
    """The figure's row."""
    figure, measured = result.figure, result.measured
    cells = ["-"] * 3
    if measured is not None:
        values = (measured.median, min(measured.rounds), max(measured.rounds))
        cells = [_number(value, figure.unit) for value in values]
    remark = f" ({measured.remark})" if measured and measured.remark else ""
    return _ROW.format(
        figure.number,
        figure.name,
        figure.description,
        figure.peer,
        *cells,
        f"{figure.better.value} {figure.goal_of(build):g}",
        result.verdict(build) + remark,
    )


def _postfix_version() -> str | None:
    """The version of Debian's package, for want of a switch of the tools' own."""
    if which("dpkg-query") is None:
        return None
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "postfix"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout or None


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"postfix": _postfix_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _as_json(result: Result, build: Build) -> dict[str, object]:
    figure, measured = result.figure, result.measured
    row: dict[str, object] = {
        "number": figure.number,
        "name": figure.name,
        "figure": figure.description,
        "against": figure.peer,
        "better": figure.better.name.lower(),
        "goal": figure.goal_of(build),
        "unit": figure.unit.strip(),
        "missing": result.missing or None,
        "error": result.error or None,
    }
    if measured is not None:
        row |= {
            "median": measured.median,
            "min": min(measured.rounds),
            "max": max(measured.rounds),
            "met": figure.met(measured.median, build),
            "rounds": measured.rounds,
            "ours_seconds": measured.ours_seconds,
            "peer_seconds": measured.peer_seconds,
            "remark": measured.remark or None,
        }
    return row


def write_json(path: Path, results: list[Result], build: Build, *, quick: bool) -> None:
    """Write everything the table shows, every round of it, the date and the versions."""
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "build": asdict(build),
        "quick": quick,
        "versions": _versions(),
        "figures": [_as_json(result, build) for result in results],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
