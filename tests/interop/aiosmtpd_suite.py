"""Running aiosmtpd's own black-box server tests against a server of ours."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.interop.peers.requirements import PROJECT, require

EXPRESSION = "TestSMTP and not TestSMTPAuth and not TestSMTPWithController"
"""Selects the classes which speak SMTP to a server and look at nothing but its replies."""


@dataclass(frozen=True)
class SuiteResult:
    """What became of each test, by its name (``TestSMTP.test_ehlo``)."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    output: str = field(repr=False)


def run(
    host: str, port: int, *, expression: str = EXPRESSION, without: Sequence[str] = ()
) -> SuiteResult:
    """Run the tests which ``expression`` selects (pytest's -k) but for the names in ``without``.

    It takes a few seconds for each test that waits for what only aiosmtpd does.
    """
    require("aiosmtpd-tests")
    package = find_spec("aiosmtpd")
    assert package is not None
    assert package.origin is not None
    tests = Path(package.origin).parent / "tests" / "test_smtp.py"
    with tempfile.TemporaryDirectory(prefix="peer-aiosmtpd-suite-") as directory:
        report = Path(directory, "report.xml")
        configuration = Path(directory, "pytest.ini")
        configuration.write_text("[pytest]\n")
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-c", str(configuration)),
            *("--rootdir", directory, "-p", "no:cacheprovider"),
            *("-p", "tests.interop.aiosmtpd_remote", f"--junitxml={report}"),
            *("-k", expression, "--tb=short", str(tests)),
        ]
        for name in without:
            command += ["--deselect", f"{tests}::{name.replace('.', '::', 1)}"]
        ended = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, "REMOTE": f"{host}:{port}", "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
        )
        output = ended.stdout.decode(errors="backslashreplace")
        if not report.exists():
            raise RuntimeError(output)
        passed, failed = _read(report)
    return SuiteResult(passed, failed, output)


def _read(report: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    good: dict[str, bool] = {}  # a test may stand there twice, with its failure and its teardown's
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        failed = case.find("failure") is not None or case.find("error") is not None
        if case.find("skipped") is None:
            good[name] = good.get(name, True) and not failed
    passed = tuple(name for name, passed in good.items() if passed)
    return passed, tuple(name for name in good if name not in passed)
