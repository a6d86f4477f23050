"""Run the C code under sanitizers: ``python fuzz/sanitize.py [--seconds N]``.

Builds it with AddressSanitizer and UndefinedBehaviorSanitizer beside a copy of the package, and
runs with that what tests it, the corpus, and random inputs of the fuzz targets for N seconds (10).
Every allocation is malloc's own, so that one octet too many is seen. Needs gcc and its libasan.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SECONDS: Final = 10
TARGETS: Final = ("scan", "body")
TESTS: Final = (
    "tests/wire/test_scan.py",
    "tests/wire/test_body.py",
    "tests/wire/test_value.py",
    "tests/test_smuggling.py",
    "tests/test_fuzz_corpus.py::test_replay",
)
FLAGS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O3", "-g", "-Wall")
WORDS: Final = (
    b"\r",
    b"\n",
    b".",
    b"\r\n",
    b"\r\n.",
    b"\r\n.\r",
    b"\r\n.\r\n",
    b"a",
    b"\0",
    b"\xff",
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Run the C code under sanitizers.")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of random inputs")
    parser.add_argument("--random", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.random:
        return random_inputs(options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        random_run = [__file__, "--random", "--seconds", str(options.seconds)]
        pytest = ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *TESTS]
        return run(Path(folder), pytest) or run(Path(folder), random_run)


def build(folder: Path) -> None:
    """Put a copy of the package into ``folder``, with the sanitized modules."""
    shutil.copytree(ROOT / "src", folder, dirs_exist_ok=True)
    include = sysconfig.get_paths()["include"]
    for source in folder.rglob("*.c"):
        module = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
        command = ["gcc", *FLAGS, "-shared", "-fPIC", "-I", include, str(source), "-o", str(module)]
        subprocess.run(command, check=True)


def run(folder: Path, arguments: list[str]) -> int:
    """Run Python with the copy of the package, and the sanitizers' libraries in front."""
    libraries = [
        subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    changed = {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps much to its end
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment = {**os.environ, **changed}
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=False)
    return done.returncode


def random_inputs(seconds: int) -> int:
    """Give the targets random inputs of the octets that matter."""
    from fuzz.targets import load
    from smtpwire.wire import _scan, body

    if vars(body)["line_dots"] is not _scan.line_dots:
        raise RuntimeError("the C code is not in use")
    checks = [load(name) for name in TARGETS]
    until, count, seed = time.monotonic() + seconds, 0, random.randrange(1 << 32)
    print(f"random inputs of seed {seed}: ", end="", flush=True)
    choose = random.Random(seed)
    while time.monotonic() < until:
        words = choose.choices(WORDS, k=choose.randrange(60))
        data = choose.randbytes(4) + b"".join(words)
        for check in checks:
            check(data)
        count += 1
    print(f"{count:,}, no findings")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
