"""A task of asyncio's for a session's handlers, which begins them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, final

from smtpwire.adapters.session import Steps, attended

__all__ = ["EagerTask"]

K = TypeVar("K")


@final
class EagerTask(Generic[K]):
    """Awaits one thing after another in one task, and begins each at once.

    Most handlers never suspend, and a turn of the loop for each would cost more than all else.
    From its start a handler sees this task as the current one, as ``asyncio.timeout()`` must.
    (``eager_start`` of Python 3.12 does the same.)

    ``suspended`` is called whenever what is awaited suspends; ``ended`` when it is over after all,
    with what was given to :meth:`begin` and what it raised. ``busy``: something is awaited.
    """

    def __init__(
        self, suspended: Callable[[], object], ended: Callable[[K, BaseException | None], object]
    ) -> None:
        self._suspended, self._ended = suspended, ended
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._parked: asyncio.Future[None] | None = None
        self._begun: tuple[K, Steps, object] | None = None
        self.busy = False

    def begin(self, key: K, waiting: Awaitable[None]) -> bool:
        """Run it up to where it suspends; False if it never does. Raises what it raises so far."""
        task = self._task
        if task is None or task.done():
            self._task = task = self._loop.create_task(self._go_on())
        steps = waiting.__await__()
        outer = asyncio.current_task()
        _switch(self._loop, outer, task)
        try:
            self._begun = key, steps, next(steps)
        except StopIteration:
            return False
        finally:
            _switch(self._loop, task, outer)
        self.busy = True
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)
        return True

    def stop(self) -> None:
        """Nothing more will be begun: end the task, unless it is busy."""
        if self._task is not None and not self.busy:
            self._task.cancel()

    async def _go_on(self) -> None:
        """Go on with what has been begun and has suspended."""
        while True:
            while (begun := self._begun) is None:
                self._parked = self._loop.create_future()
                try:
                    await self._parked
                except asyncio.CancelledError:
                    if self._begun is None or self._task is None:
                        raise
                    self._task.uncancel()
                    self._task.cancel()  # anew: it was meant for what has been begun
            key, steps, waiting = begun
            self._begun = None
            error: BaseException | None = None
            try:
                await attended(steps, waiting, self._suspended)
            except asyncio.CancelledError as cancelled:
                self.busy = False
                self._ended(key, cancelled)
                raise
            except Exception as raised:
                error = raised
            self.busy = False
            self._ended(key, error)


def _switch(
    loop: asyncio.AbstractEventLoop,
    left: asyncio.Task[None] | None,
    entered: asyncio.Task[None] | None,
) -> None:
    """Change the current task, by the functions documented for tasks of one's own."""
    if left is not None:
        asyncio.tasks._leave_task(loop, left)
    if entered is not None:
        asyncio.tasks._enter_task(loop, entered)
