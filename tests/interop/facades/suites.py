"""Other projects' own tests, run on the facades; and what they ask for that we do otherwise.

Each suite runs in a process of its own, where a plugin has put the facade in the original's place.
What fails must stand in ``differences/NAME.txt``, under its reason, and what stands there must fail.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

__all__ = ["SUITES", "Outcome", "Suite", "differences", "run"]

HERE: Final = Path(__file__).parent
MINUTES: Final = 10
_HELPERS: Final = ("pytest-asyncio", "pytest-timeout", "portpicker", "psutil")


@dataclass(frozen=True)
class Suite:
    """The tests of a project: where they are, and which facade they meet.

    ``place`` gives the directory that pytest runs in and what it is told to run; ``path``: more
    directories to import from.
    """

    name: str
    requirement: str
    plugin: str
    place: Callable[[], tuple[Path, tuple[str, ...]]]
    path: Callable[[], tuple[Path, ...]] = tuple
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of each test, by its name: ``test_smtp.TestSMTP.test_ehlo``."""

    passed: frozenset[str]
    failed: frozenset[str]
    output: str = field(repr=False)


def run(suite: Suite) -> Outcome:
    """Run a suite on its facade."""
    place, tests = suite.place()
    scratch = Path(mkdtemp(prefix=f"facade-{suite.name}-"))
    report = scratch / "report.xml"
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--tb=native", "-p", "no:cacheprovider"),
        *("-p", f"facades.{suite.plugin}", f"--junitxml={report}", *suite.options, *tests),
    ]
    paths = (HERE.parent, *suite.path())
    ended = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60 * MINUTES,
    )
    output = ended.stdout.decode(errors="backslashreplace")
    if not report.exists():
        raise RuntimeError(output)
    return _outcome(report, output)


def _outcome(report: Path, output: str) -> Outcome:
    good: dict[str, bool] = {}  # a test may stand there twice, with its failure and its teardown's
    for case in ElementTree.parse(report).iter("testcase"):
        where = case.get("classname", "").removeprefix("tests.").removeprefix("test.")
        name = f"{where}.{case.get('name')}"
        failed = case.find("failure") is not None or case.find("error") is not None
        if case.find("skipped") is None:
            good[name] = good.get(name, True) and not failed
    passed = frozenset(name for name, passed in good.items() if passed)
    return Outcome(passed, frozenset(good) - passed, output)


def differences(suite: Suite) -> Mapping[str, str]:
    """The tests that ask for something else, and the reason of each.

    In the file a line with ``#`` begins a reason, and the tests it holds for follow.
    """
    found, reason = {}, ""
    lines = (HERE / "differences" / f"{suite.name}.txt").read_text().splitlines()
    for line in filter(None, lines):
        if line.startswith("# "):
            reason = line.removeprefix("# ")
        else:
            assert line not in found, f"{line} stands there twice"
            found[line] = reason
    return found


# -- where they come from


@cache
def _helpers() -> Path:
    """What the suites' own tests need and ours do not: installed apart."""
    place = Path(mkdtemp(prefix="facade-helpers-"))
    _pip("install", "--no-deps", "--target", str(place), *_HELPERS)
    return place


@cache
def _sdist(name: str, version: str) -> Path:
    """A project's source distribution, unpacked."""
    place = Path(mkdtemp(prefix=f"facade-{name}-"))
    _pip("download", "--no-deps", "--no-binary", name, "-d", str(place), f"{name}=={version}")
    [archive] = place.glob("*.tar.gz")
    subprocess.run(["tar", "xzf", archive, "-C", place], check=True)
    return place / f"{name}-{version}"


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", words[0], "--quiet", *words[1:]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _installed(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _aiosmtpd() -> tuple[Path, tuple[str, ...]]:
    """Its wheel has its tests in it. Those of its command and of its PROXY reader are not ours."""
    place = _installed("aiosmtpd") / "tests"
    modules = ("smtp", "server", "handlers", "starttls", "lmtp", "smtps", "smtpsmuggling")
    return place, tuple(f"test_{module}.py" for module in modules)


def _from_sdist(name: str, version: str, *options: str) -> Suite:
    def place() -> tuple[Path, tuple[str, ...]]:
        return _sdist(name, version), ("tests",)

    def path() -> tuple[Path, ...]:
        return _helpers(), _sdist(name, version)

    options = ("-o", "addopts=", *options)
    return Suite(name, "aiosmtpd-tests", "aiosmtpd_plugin", place, path, options)


SUITES: Final = (
    Suite(
        "smtplib",
        "smtplib-tests",
        "smtplib_plugin",
        lambda: (_installed("test"), ("test_smtplib.py",)),
        options=("-c", os.devnull, "--rootdir", "."),
    ),
    Suite(
        "aiosmtpd",
        "aiosmtpd-tests",
        "aiosmtpd_plugin",
        _aiosmtpd,
        options=("-c", os.devnull, "--rootdir", "."),
    ),
    # Without what asks the interpreter's own email package, which refuses it from 3.11.8 on only.
    _from_sdist("aiosmtplib", "5.1.3", "-k", "not injection and not smuggle"),
    _from_sdist("smtpdfix", "0.5.3"),
)
