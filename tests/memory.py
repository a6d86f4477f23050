"""How much memory is in use, where Python can tell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def traced_memory() -> Iterator[Callable[[], tuple[int, int]]]:
    """What has been allocated since, and the most of it at once; PyPy cannot tell."""
    tracemalloc = pytest.importorskip("tracemalloc", reason="it tells how much memory is in use")
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()


def least_memory(measure: Callable[[], int], enough: int, times: int = 3) -> int:
    """The first measurement below ``enough``, or the least: what others allocate only adds.

    The others are what is made at first use, who counts the lines that run, and the thread of a
    test's worker. A small bound is judged by this and never by one measurement.
    """
    least = measure()
    for _ in range(times - 1):
        if least >= enough:
            least = min(least, measure())
    return least
