"""One connection of asyncio's: when it is read, when it takes what is written, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import cast

from smtpwire.adapters.session import LINGER_OCTETS

__all__ = ["Link"]


class Link(asyncio.Protocol):
    """What a server's session knows of its transport, and does with it.

    The session is derived from it: as an object of its own it would cost each idle connection its
    octets, and each command its calls. All of it runs in one context, which is the session's.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_dropped",
        "_loop",
        "_lost",
        "_made",
        "_reading",
        "_timer",
        "_transport",
        "_writable",
    )

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._timer: asyncio.TimerHandle | None = None
        self._made = self._lost = False  # there is a transport; there is none any more
        self._reading = self._writable = True
        self._dropped = 0

    # -- what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._made = True

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._writable = True

    # -- what is done with it

    @property
    def _unwritten(self) -> bool:
        """Something is left that the peer has not taken."""
        return not self._writable or self._transport.get_write_buffer_size() > 0

    def _read(self, wanted: bool) -> None:
        """Take what comes, or pause."""
        transport = self._transport
        if not transport.is_closing():
            self._reading = wanted
            (transport.resume_reading if wanted else transport.pause_reading)()

    def _drop(self, data: bytes) -> None:
        """What comes behind the end is not heard, and only so much of it may come."""
        self._dropped += len(data)
        if self._dropped > LINGER_OCTETS:
            self._transport.abort()

    def _close(self, farewell: bytes, *, half: bool) -> None:
        """Close; half where the peer may still talk, so that no reset overtakes the last reply."""
        transport = self._transport
        if farewell:
            transport.write(farewell)
        with suppress(OSError):  # it may be gone already
            if half and transport.can_write_eof():
                transport.write_eof()
                return
        transport.close()

    def _abort(self) -> None:
        """Cut it off, where it has begun."""
        if self._made:
            self._transport.abort()

    def _call_later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call this then, and no more what was to be called before."""
        self._call_no_more()
        # In the context that there is: the loop would keep a copy of one for each.
        self._timer = self._loop.call_later(seconds, call, context=self._context)

    def _call_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
