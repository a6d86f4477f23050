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
