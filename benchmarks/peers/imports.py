"""What an import costs, above an interpreter that has just started."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["import_seconds"]

_PROGRAM = """
from time import perf_counter_ns
start = perf_counter_ns()
{statement}
print(perf_counter_ns() - start)
"""


def import_seconds(statement: str, cache: Path) -> float:
    """The seconds that the import takes in a fresh interpreter.

    ``cache``: where its byte code is read from, and written to the first time, whatever the
    environment says of byte code.
    """
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement=statement)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout) / 1e9
