"""One scenario for every adapter's client: written once, with ``await``, and run by each."""

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest
import trio
import trio.testing
from tests.adapters.contract_client import ContractClient
from tests.adapters.servers import UVLOOP

from smtpwire import ClientConfig, Security
from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter

__all__ = ["CONTRACT", "LOOPS", "Loop", "Scenario", "no_descriptor_left"]

MOMENT = 0.1
"""Seconds in which what is about to wait does so."""


class Calm:
    """The blocking client in the asynchronous ones' clothes: it never suspends."""

    def __init__(self, client: blocking.Client | ContractClient) -> None:
        self.inner = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            return found(*arguments, **named)

        return call

    async def __aenter__(self) -> Any:
        self.inner.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.inner.__exit__(*error)


def fitting(*arguments: Any, **named: Any) -> dict[str, Any]:
    """The words of ``connect()``: without a context where no TLS is asked for."""
    config = named.get("config") or dict(enumerate(arguments)).get(2) or ClientConfig()
    return named | ({"tls": None} if config.security is Security.NONE else {})


class Loop(Protocol):
    """How one adapter runs a scenario, connects, and gives up waiting."""

    name: str

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None: ...

    async def connect(self, *arguments: Any, **named: Any) -> Any: ...

    async def cancelled_when(self, seen: threading.Event, waiting: Awaitable[object]) -> None:
        """Cancel what is awaited a moment after another thread has seen it come so far."""

    async def meanwhile(self, first: Awaitable[object], other: Awaitable[object]) -> None:
        """Await both, each in a task; the other one begins when the first waits."""


Scenario = Callable[[Loop], Coroutine[Any, Any, None]]


class Blocking:
    name = "blocking"

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            scenario().send(None)
        except StopIteration:
            return
        raise AssertionError("a blocking client suspends")

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        return Calm(blocking.connect(*arguments, **fitting(*arguments, **named)))

    async def cancelled_when(self, seen: threading.Event, waiting: Awaitable[object]) -> None:
        raise NotImplementedError("nothing cancels a blocking client")

    async def meanwhile(self, first: Awaitable[object], other: Awaitable[object]) -> None:
        raise NotImplementedError("it has no tasks")


class Contract(Blocking):
    """Its client is no adapter of ours: it keeps the contract of the engine's README, and no more."""

    name = "contract"

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        return Calm(ContractClient(*arguments, **named))


class Asyncio:
    name = "asyncio"

    def __init__(self, name: str = "asyncio") -> None:
        self.name = name

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        factory = None
        if self.name == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(scenario())

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        return await asyncio_adapter.connect(*arguments, **fitting(*arguments, **named))

    async def cancelled_when(self, seen: threading.Event, waiting: Awaitable[object]) -> None:
        task = asyncio.ensure_future(waiting)
        while not seen.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(MOMENT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def meanwhile(self, first: Awaitable[object], other: Awaitable[object]) -> None:
        begun = asyncio.ensure_future(first)
        await asyncio.sleep(0.05)
        await other
        await begun


class Trio:
    name = "trio"

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        trio.run(scenario)

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        return await trio_adapter.connect(*arguments, **fitting(*arguments, **named))

    async def cancelled_when(self, seen: threading.Event, waiting: Awaitable[object]) -> None:
        async def cancel() -> None:
            while not seen.is_set():
                await trio.sleep(0.01)
            await trio.sleep(MOMENT)
            scope.cancel()

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel)
                await waiting
        assert scope.cancelled_caught

    async def meanwhile(self, first: Awaitable[object], other: Awaitable[object]) -> None:
        async def begin() -> None:
            await first

        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await other


LOOPS: dict[str, Loop] = {"blocking": Blocking(), "asyncio": Asyncio(), "trio": Trio()}
if UVLOOP:
    LOOPS["uvloop"] = Asyncio("uvloop")
CONTRACT: dict[str, Loop] = LOOPS | {"contract": Contract()}


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As many sockets are open at the end as before, without the collector's help."""
    gc.collect()
    before = sockets()
    gc.disable()
    try:
        yield
        left = sockets() - before
    finally:
        gc.enable()
    assert not left, f"descriptors left open: {left}"


def sockets() -> set[str]:
    """The sockets that are open in this process."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue  # it was the one of this listing
        if target.startswith("socket:"):
            found.add(target)
    return found
