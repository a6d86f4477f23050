"""A server's session over a transport that calls: its loop, driven by asyncio's callbacks.

(A session over a transport that is waited for is in ``serving.py``: a task that waits costs more.)
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from smtpwire.adapters.channel import Channel
from smtpwire.adapters.eager import EagerTask
from smtpwire.adapters.link import Link
from smtpwire.adapters.session import LINGER
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_TLS, NEED_WRITE, Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.state import State
from smtpwire.operations import ServeStep, Serving

__all__ = ["CallbackSession"]


class CallbackSession(Link, ABC):
    """Drives the server's loop. An adapter says what comes before it, and keeps its time."""

    __slots__ = (
        "_begun",
        "_channel",
        "_eager",
        "_scheduled",
        "_serving",
        "_step",
        "_unwanted",
        "_wire",
        "conn",
    )

    conn: ServerConnection
    _channel: Channel
    _serving: Serving
    _wire: Channel | ServerConnection  # the engine itself, where nothing lies before it

    def __init__(self) -> None:
        super().__init__()
        self._eager: EagerTask | None = None  # made where a handler is asynchronous
        self._step: ServeStep | None = None  # what is waited for; None while a handler runs
        self._begun = self._scheduled = self._unwanted = False  # unwanted: its end is asked for

    @abstractmethod
    def _prepare(self, data: bytes) -> None:
        """Take what comes before the session."""

    @abstractmethod
    def _keep_time(self) -> None:
        """Look now, and then again and again, whether the peer is too slow."""

    # -- what the loop calls

    def data_received(self, data: bytes) -> None:
        step = self._step
        if step is NEED_DATA and self._writable and not self._scheduled:
            try:  # the path of every command: no calls that are not needed
                self._wire.receive_data(data)
                self._step = None
                begun = self._context.run(next, self._serving)
                then = begun if begun is NEED_DATA else self._context.run(self._attend, begun)
                if then is NEED_DATA and self._reading and not self._channel.secure:
                    self._step = then
                    octets = self._wire.data_to_send()
                    if octets and not self._transport.is_closing():
                        self._transport.write(octets)
                else:
                    self._meet(then)
            except BaseException as error:
                self._go_on(error)
        elif step is NEED_CLOSE:
            self._drop(data)
        elif self._begun:
            self._wire.receive_data(data)
            if step is NEED_TLS:
                self.flush()
            self._wake()
        else:
            self._prepare(data)

    def eof_received(self) -> bool:
        if self._step is NEED_CLOSE:
            self._transport.close()
        else:
            self.data_received(b"")
        return True  # who half-closes still reads

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wake()

    # -- the server's loop

    def _attend(self, step: ServeStep) -> ServeStep | None:
        """Begin what handlers have returned, up to a Need. None: one is waited for."""
        serving = self._serving
        while step is not NEED_DATA and not isinstance(step, Need):
            if self._eager is None:
                self._eager = EagerTask(self._context, self.flush, self._go_on_later)
            try:
                if self._eager.begin(step):
                    return None
            except BaseException as raised:
                step = serving.throw(raised)
            else:
                step = next(serving)
        return step

    def _go_on(self, error: BaseException | None = None) -> None:
        """Drive the server's loop until somebody else has to act."""
        self._scheduled, self._step = False, None
        run, serving = self._context.run, self._serving
        try:
            step = run(next, serving) if error is None else run(serving.throw, error)
            waited_for = run(self._attend, step)
        except BaseException as interruption:
            self._end(0.0)
            if not isinstance(interruption, asyncio.CancelledError):
                self._loop.call_soon(_raise, interruption)
            return
        finally:
            del error  # which knows this frame: a cycle would wait for the collector
        try:
            self._meet(waited_for)
        except Exception as failure:
            self._go_on(failure)

    def _meet(self, step: ServeStep | None) -> None:
        """Flush, then do what the server's loop asks for."""
        self._step = step
        if step is not None:
            self.flush()
        if step is NEED_DATA:
            if self._channel.secure and self._channel.decrypt():
                self._go_on_later()
        elif step is NEED_WRITE and self._writable:
            self._go_on_later()
        elif step is NEED_TLS:
            self._channel.start_tls()
            self._wire = self._channel
            self._keep_time()
            self._wake()
        elif step is NEED_CLOSE:
            self._end()
        self._regulate()

    def _go_on_later(self, error: BaseException | None = None) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._go_on, error)

    def _wake(self) -> None:
        """Go on where that is waited for which may have come."""
        step = self._step
        came = self.conn.state is not State.TLS if step is NEED_TLS else self._writable
        if came and step is not None and step is not NEED_CLOSE:
            self._go_on_later()
        self._regulate()

    def _regulate(self) -> None:
        """Read, or read not, as the engine wants it."""
        wanted = self._channel.wants_data or self._step is NEED_CLOSE
        if wanted is not self._reading:
            self._read(wanted)

    def _end(self, seconds: float | None = None) -> None:
        """Close, and let the peer take the last reply meanwhile; 0: cut it off."""
        self._linger(seconds)
        if self._lost:
            self._leave()
        elif self._transport.is_closing() or seconds == 0:
            self._abort()
        else:
            self._close(self._channel.finish(), half=not self.conn.eof_received)

    def _linger(self, seconds: float | None = None) -> None:
        self._step = NEED_CLOSE
        self._call_later(LINGER if seconds is None else seconds, self._transport.abort)

    def _leave(self) -> None:
        """Nothing is left to be done. What knows this session goes, lest the collector have to."""
        if self._begun:
            self._serving.close()
        if self._eager is not None:
            self._eager.stop()
            self._eager = None
        self._call_no_more()

    # -- for its handler, and for its server

    @property
    def is_current(self) -> bool:
        """It is a handler of this session that asks."""
        return self._eager is not None and self._eager.is_current

    def flush(self) -> None:
        """Send what is queued; the adapter does so itself whenever a handler suspends."""
        octets = self._wire.data_to_send()
        if octets and not self._transport.is_closing():
            self._transport.write(octets)

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered."""
        self._unwanted = True
        if self._begun:
            self.conn.shutdown()
            self._wake()
        else:
            self._abort()

    def close(self) -> None:
        """Drop the connection as it stands."""
        self._unwanted = True
        if self._begun:
            self.conn.abort("closed by the application")
            self._wake()
        self._abort()

    def cut(self) -> None:
        """Drop the connection, and cancel its handler."""
        self.close()
        if self._eager is not None:
            self._eager.cancel()


def _raise(error: BaseException) -> None:
    """In a callback, where SystemExit ends a loop: uvloop takes it for a transport's trouble."""
    try:
        raise error
    finally:
        del error
