"""The fuzz targets' seeds and everything that ever was found, without a fuzzer."""

from pathlib import Path
from typing import Final

import pytest
from fuzz.targets import TARGETS, load

FUZZ: Final = Path(__file__).parents[1] / "fuzz"
INPUTS: Final = [
    path
    for folder in ("corpus", "regressions")
    for path in sorted((FUZZ / folder).glob("*/*"))
    if path.is_file()
]


@pytest.mark.parametrize(
    "path", INPUTS, ids=[str(path.relative_to(FUZZ)).replace("\\", "/") for path in INPUTS]
)
def test_replay(path: Path) -> None:
    load(path.parent.name)(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_and_takes_nothing(target: str) -> None:
    assert any(path.parent.name == target for path in INPUTS)
    load(target)(b"")


def test_every_target_is_run() -> None:
    modules = {path.stem for path in (FUZZ / "targets").glob("*.py")} - {"__init__"}
    assert modules == set(TARGETS)
