"""Run the fuzz targets: ``python fuzz/run.py [--seconds N] [--target NAME]``.

Each target runs for N seconds (60) in a process of its own, from the hand-made corpus, what was
ever found, the protocol cases and recorded sessions; what libFuzzer collects on the way is kept
outside the repository. A slow target meets all its oracles with one input of 64 only; what was
collected for something new meets them in the end. A finding is saved into ``fuzz/regressions`` and
the exit code is 1. Needs atheris: ``pip install -e '.[fuzz]'``.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
FUZZ: Final = ROOT / "fuzz"
SECONDS: Final = 60
LONGEST: Final = 4096
SLOWEST: Final = 20

_EXECUTIONS: Final = re.compile(r"stat::number_of_executed_units: +(\d+)|^#(\d+)\t", re.MULTILINE)
_COVERAGE: Final = re.compile(r" ft: (\d+)")
_EXCEPTION: Final = re.compile(r"^(?:\w+\.)*([A-Z]\w+)(?::|$)", re.MULTILINE)


class Result(NamedTuple):
    """What one target did."""

    target: str
    executions: int
    features: int
    findings: list[Path]
    trouble: str = ""


def main(arguments: list[str]) -> int:
    sys.path.insert(0, str(ROOT))
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description="Fuzz smtpwire.")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="a target (default: 60)")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    targets = (options.target,) if options.target else TARGETS
    results = []
    for target in targets:
        results.append(run(target, options.seconds))
        show(results[-1])
    print(f"\n{'target':14}{'executions':>12}{'features':>10}{'findings':>10}")
    for result in results:
        print(
            f"{result.target:14}{result.executions:12,}{result.features:10,}"
            f"{len(result.findings):10}"
        )
    return 1 if any(result.findings or result.trouble for result in results) else 0


def show(result: Result) -> None:
    print(f"{result.target}: {result.executions:,} executions, {len(result.findings)} findings")
    for finding in result.findings:
        print(f"  {finding.relative_to(ROOT)}")
    if result.trouble:
        print(result.trouble)
    sys.stdout.flush()


def run(target: str, seconds: int) -> Result:
    """Run one target, and save what it finds."""
    known = [FUZZ / "corpus" / target, FUZZ / "regressions" / target]
    seeds = [str(folder) for folder in known if folder.is_dir()]
    kept = collected(target)
    kept.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in kept.iterdir()}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as made:
        write_seeds(target, Path(made))
        command = [
            *(sys.executable, "-m", "fuzz.harness", target),
            f"-max_total_time={seconds}",
            f"-artifact_prefix={folder}{os.sep}",
            f"-dict={FUZZ / 'smtp.dict'}",
            f"-max_len={LONGEST}",
            f"-timeout={SLOWEST}",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            str(kept),
            *seeds,
            made,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
        output = done.stdout + done.stderr
        raised = traceback_in(done.stdout)
        findings = [
            save(target, path.read_bytes(), raised, path.name.partition("-")[0])
            for path in sorted(Path(folder).iterdir())
        ]  # named crash-…, timeout-…, oom-…
    new = [path for path in sorted(kept.iterdir()) if path.name not in before]
    findings += check_all(target, new)
    executions = max((int(one or other) for one, other in _EXECUTIONS.findall(output)), default=0)
    features = max(map(int, _COVERAGE.findall(output)), default=0)
    failed = done.returncode != 0 or not executions
    trouble = (raised or done.stderr[-2000:]) if failed else ""
    return Result(target, executions, features, findings, trouble)


def collected(target: str) -> Path:
    """Where inputs are kept that guided runs collected; outside the repository."""
    return Path(tempfile.gettempdir()) / "smtpwire-fuzz" / target


def write_seeds(target: str, folder: Path) -> None:
    """The inputs that the tests' material makes, each in a file."""
    from fuzz.seeds import SEEDS

    for name, octets in SEEDS.get(target, tuple)():
        folder.joinpath(name).write_bytes(octets)


def check_all(target: str, inputs: list[Path]) -> list[Path]:
    """Let inputs meet all oracles of a target; those that fail, as findings."""
    from fuzz.targets import load

    check, findings = load(target), []
    for path in inputs:
        try:
            check(octets := path.read_bytes())
        except Exception:
            raised = traceback.format_exc()
            print(raised)
            findings.append(save(target, octets, raised, "crash"))
    return findings


def save(target: str, octets: bytes, raised: str, what: str) -> Path:
    """Keep a finding under a name that says what it was; a better one is given by hand."""
    if what == "crash" and (named := _EXCEPTION.findall(raised)):
        what = named[-1].lower()
    name = f"{what}-{hashlib.sha256(octets).hexdigest()[:12]}"
    path = FUZZ / "regressions" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    return path


def traceback_in(output: str) -> str:
    """The Python traceback that atheris shows, if there is one."""
    start = output.find("Traceback (most recent call last)")
    return output[start:].strip() if start >= 0 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
