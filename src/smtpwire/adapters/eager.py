"""A task of asyncio's for a session's handlers, which begins them at once."""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task, current_task  # for tasks of one's own
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, final

from smtpwire.adapters.session import NOTHING, Steps, given_up

__all__ = ["EagerTask", "run_without_task"]


def run_without_task(
    steps: Coroutine[Any, Any, object],
    ended: Callable[[OSError | None], object],
    _: object = None,
) -> None:
    """Run a coroutine that awaits futures of the loop, and no task, by their callbacks.

    Who cancels all tasks of a loop would leave a task before its first step. ``ended`` is called
    once, with the OSError that was raised; what else is raised is the loop's to tell.
    """
    failure = None
    try:
        waiter: asyncio.Future[object] = steps.send(None)
    except OSError as error:
        failure = error
    except StopIteration:
        pass
    except BaseException:
        ended(None)
        raise
    else:
        waiter.add_done_callback(partial(run_without_task, steps, ended))
        return
    ended(failure)


@final
class EagerTask(Coroutine[object, object, None]):
    """Awaits one thing after another in one task, and begins each at once.

    Most handlers never suspend, and a turn of the loop for each would cost more than all else.
    From its start a handler sees this task as the current one, as ``asyncio.timeout()`` must, and
    runs in ``context``. (``eager_start`` of Python 3.12 does the same for one coroutine.) It is
    the task's coroutine itself: so whoever cancels the task before its first turn reaches the
    handler, too.

    ``suspended`` is called whenever what is awaited suspends; ``ended`` when it is over after all,
    with what it raised.
    """

    def __init__(
        self,
        context: Context,
        suspended: Callable[[], object],
        ended: Callable[[BaseException | None], object],
    ) -> None:
        self._context, self._suspended, self._ended = context, suspended, ended
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._parked: asyncio.Future[None] | None = None
        self._steps: Steps | None = None
        self._waiting: object = NOTHING  # what the first step gave, until the task has its turn
        self._stopped = False

    def begin(self, awaitable: Awaitable[None]) -> bool:
        """Run it up to where it suspends; False if it never does. Raises what it raises so far.

        To be called in the context. Awaiting what somebody else has cancelled is a RuntimeError:
        CancelledError says that the task itself was cancelled.
        """
        task = self._task
        if task is None:
            # By no factory of the loop's: it would want a real coroutine, or begin it by itself.
            self._task = task = asyncio.Task(self, loop=self._loop, context=self._context)
        loop = self._loop
        outer = current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, task)
        try:  # first_step(), without a call: this is the path of every handler
            steps = awaitable.__await__()
            waiting = next(steps, NOTHING)
        except GeneratorExit as error:
            raise given_up() from error
        except asyncio.CancelledError as error:
            raise self._told(error) from error
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
        if waiting is NOTHING:
            return False
        self._steps, self._waiting = steps, waiting
        self._suspended()
        self._unpark()
        return True

    @property
    def is_current(self) -> bool:
        """What is awaited asks."""
        return self._task is not None and current_task(self._loop) is self._task

    def cancel(self) -> None:
        """Cancel what is awaited."""
        if self._task is not None and self._steps is not None:
            self._task.cancel()

    def stop(self) -> None:
        """Nothing more will be begun: end the task."""
        self._stopped = True
        self._unpark()

    # -- a coroutine, as the task sees it

    def send(self, value: object) -> object:
        """Go on with what was begun; where it is over, wait for the next."""
        if self._steps is None:
            return self._park()
        if self._waiting is not NOTHING:
            waiting, self._waiting = self._waiting, NOTHING
            return waiting
        return self._go_on(self._steps.send, value)

    def throw(self, *error: object) -> object:
        """The same, where what it awaits has raised, or the task is cancelled."""
        raised = error[-2] if len(error) == 3 and error[1] is not None else error[0]
        raised = raised if isinstance(raised, BaseException) else RuntimeError(raised)
        try:
            if self._steps is None:
                self._task = None
                raise raised
            waiting, self._waiting = self._waiting, NOTHING
            if isinstance(waiting, asyncio.Future) and waiting.cancel():
                return waiting  # as the task would have it, had it had its turn: this one first
            return self._go_on(self._steps.throw, raised)
        finally:
            del error, raised

    def close(self) -> None:
        """Drop what was begun: the loop is at its end."""
        if self._steps is not None:
            self._steps.close()

    def __await__(self) -> Steps:
        raise RuntimeError("only a task can have it")

    def _go_on(self, resume: Callable[[Any], object], argument: object) -> object:
        error: BaseException | None = None
        try:
            waiting = resume(argument)
        except StopIteration:
            pass
        except asyncio.CancelledError as cancelled:
            error = self._told(cancelled)
        except GeneratorExit as raised:
            error = given_up()
            error.__cause__ = raised
        except BaseException as raised:
            error = raised
        else:
            self._suspended()
            return waiting
        self._steps = None
        while self._task is not None and self._task.uncancel():
            pass  # the next one begins unharmed
        self._ended(error)
        try:
            if isinstance(error, asyncio.CancelledError):
                self._task = None
                raise error  # who cancels the task may wait for its end; another one is made
            return self._park()
        finally:
            del error, argument  # which know this frame: a cycle would wait for the collector

    def _told(self, error: asyncio.CancelledError) -> BaseException:
        """The error itself where the task was cancelled."""
        if self._task is not None and self._task.cancelling():
            return error
        told = RuntimeError("what the handler awaits was cancelled")
        told.__cause__ = error
        return told

    def _park(self) -> object:
        if self._stopped:
            self._task = None
            raise StopIteration
        self._parked = self._loop.create_future()
        return next(self._parked.__await__())

    def _unpark(self) -> None:
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)
