"""For every test: how many examples a property is tried with, and what is the same however it runs.

``--hypothesis-profile=thorough`` tries four times as many examples as a run without it,
and cuts long inputs at every place.
"""

import gc
import signal
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis.strategies import none

_ADAPTERS: Final = Path(__file__).parent / "adapters"
_PARTS: Final = 200
_FINISHED: Final = count(1)

settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.load_profile("quick")


def pytest_configure() -> None:
    """A run in the background ignores Ctrl-C, and so would the programs that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal the tests of the adapters out among the others, for they wait where others compute.

    Each worker begins with a run of tests; one that had most of these would be the last to end.
    Where the parts are small, the workers do not all wait at the same time.
    """
    if not hasattr(config, "workerinput"):  # nobody runs beside this process
        return
    waiting = [item for item in items if _ADAPTERS in item.path.parents]
    others = [item for item in items if _ADAPTERS not in item.path.parents]
    size = len(others) // _PARTS + 1
    items[:] = [
        item
        for part in range(_PARTS)
        for item in (*others[part * size : (part + 1) * size], *waiting[part::_PARTS])
    ]


def pytest_collection_finish() -> None:
    _first_property()
    _settle()


def pytest_runtest_logfinish() -> None:
    if next(_FINISHED) % 50 == 0:
        _settle()


@given(none())
@settings(database=None, max_examples=1)
def _first_property(_: None) -> None:
    """Hypothesis keeps its generator from now on.

    It warns where its first search for who keeps one finds nobody, and no search finds what is
    frozen: CPython 3.14 would fail at the first property, if nothing is left to chance (``CI``).
    """


def _settle() -> None:
    """Modules, tests and reports stay to the end: no collection need look at them again.

    A test that has garbage collected would else take longer the more tests ran before it.
    """
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy has none, and needs none
        gc.freeze()
