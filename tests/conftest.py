"""For every test: how many examples a property is tried with, and what is the same however it runs.

``--hypothesis-profile=thorough`` tries four times as many examples as a run without it,
and cuts long inputs at every place.
"""

import gc
import signal

from hypothesis import settings

settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.load_profile("quick")


def pytest_configure() -> None:
    """A run in the background ignores Ctrl-C, and so would the programs that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the garbage collector need not look at them each time."""
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy has none, and needs none
        gc.freeze()
