"""What an import costs, above an interpreter that has just started."""

import subprocess
import sys

__all__ = ["import_seconds"]

_PROGRAM = """
from time import perf_counter_ns
start = perf_counter_ns()
{statement}
print(perf_counter_ns() - start)
"""


def import_seconds(statement: str) -> float:
    """The seconds that the import takes in a fresh interpreter, from cached byte code."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement=statement)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout) / 1e9
