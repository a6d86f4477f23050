"""An asyncio connection that exists only in memory, with a client that knows its steps."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat

from benchmarks.dialogue import EHLO, Step
from benchmarks.harness import Work

__all__ = ["MakeProtocol", "MemoryTransport", "connections", "event_loop", "messages"]

_PATIENCE = 120.0
"""Seconds after which a protocol that does not answer is given up."""

_FAILURE = ord("4")
"""Replies that start so, or higher, are refusals."""

_LAST_LINE = re.compile(rb"^[0-9]{3} ", re.MULTILINE)

MakeProtocol = Callable[[asyncio.AbstractEventLoop], asyncio.Protocol]


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The standard library's event loop, closed with whatever still runs in it."""
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


class MemoryTransport(asyncio.Transport):
    """The wire to a server's protocol, and the client at its other end.

    The client makes its next step one turn of the event loop after the last reply it awaits was
    written, as a socket's client would at best.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, make: MakeProtocol) -> None:
        super().__init__({"peername": ("192.0.2.1", 25025), "sockname": ("192.0.2.2", 25)})
        self._loop = loop
        self._make = make
        self._steps: Iterator[Step] = iter(())
        self._ended: Callable[[Exception | None], None] = lambda _: None
        self._owed = 0
        self._paused = False
        self._held = False
        self._closing = False

    def play(self, steps: Iterable[Step], ended: Callable[[Exception | None], None]) -> None:
        """Make the steps and then call back."""
        self._steps, self._ended = iter(steps), ended
        self._loop.call_soon(self._next)

    def connect(self, steps: Iterable[Step], ended: Callable[[Exception | None], None]) -> None:
        """Connect, await the greeting, make the steps and then call back."""
        self._steps, self._ended = iter(steps), ended
        self._owed = 1
        self._loop.call_soon(self._connected)

    def _connected(self) -> None:
        self._protocol = self._make(self._loop)
        self._protocol.connection_made(self)

    def _next(self) -> None:
        if self._paused:
            self._held = True
            return
        step = next(self._steps, None)
        if step is None:
            self._ended(None)
            return
        self._owed = step.replies
        self._protocol.data_received(step.data)
        if not step.replies:
            self._loop.call_soon(self._next)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        octets = bytes(data)
        if octets[0] >= _FAILURE:
            self._ended(RuntimeError(f"refused: {octets[:200]!r}"))
        if octets[3:4] == b"-":
            self._owed -= len(_LAST_LINE.findall(octets))
        else:
            self._owed -= octets.count(b"\n")
        if self._owed == 0:
            self._loop.call_soon(self._next)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        if self._held:
            self._held = False
            self._loop.call_soon(self._next)

    def is_reading(self) -> bool:
        return not self._paused

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


class _Runner:
    """Runs the loop until a callback says that all is done, or something failed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done = loop.create_future()

    def ended(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    def wait(self) -> None:
        def failed(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
            error = context.get("exception")
            self.ended(error if isinstance(error, Exception) else RuntimeError(str(context)))

        self._loop.set_exception_handler(failed)
        watchdog = self._loop.call_later(
            _PATIENCE, self.ended, TimeoutError("no reply came for a long time")
        )
        try:
            self._loop.run_until_complete(self._done)
        finally:
            watchdog.cancel()


def messages(loop: asyncio.AbstractEventLoop, make: MakeProtocol, steps: tuple[Step, ...]) -> Work:
    """Sends messages over one connection, whose greeting and EHLO are not timed."""
    transport = MemoryTransport(loop, make)
    runner = _Runner(loop)
    transport.connect([Step(EHLO, 1)], runner.ended)
    runner.wait()

    def work(count: int) -> None:
        runner = _Runner(loop)
        transport.play(chain.from_iterable(repeat(steps, count)), runner.ended)
        runner.wait()

    return work


def connections(
    loop: asyncio.AbstractEventLoop, make: MakeProtocol, steps: tuple[Step, ...]
) -> Work:
    """Makes a connection for each message."""

    def work(count: int) -> None:
        runner = _Runner(loop)
        left = count

        def ended(error: Exception | None) -> None:
            nonlocal left
            left -= 1
            if error is not None or not left:
                runner.ended(error)
            else:
                MemoryTransport(loop, make).connect(steps, ended)

        MemoryTransport(loop, make).connect(steps, ended)
        runner.wait()

    return work
