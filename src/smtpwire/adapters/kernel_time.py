"""Time-outs that the kernel keeps: SO_RCVTIMEO and SO_SNDTIMEO.

A socket for which Python keeps the time is asked for before each call, by ``poll()``. Where the
kernel keeps it the call is one call.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from math import inf
from struct import pack
from time import monotonic
from typing import Final, final

__all__ = ["KernelTimeout", "timeval_layout"]

_POSIX: Final = os.name == "posix"
"""Elsewhere the option takes milliseconds."""
_DAY: Final = 86400.0
"""The longest time that is set: who waits for more is told to go on waiting."""
_LAYOUTS: Final = ("@ll", "@qq")
"""``struct timeval``: two longs, or 64 bits each where only ``time_t`` has them."""


@cache
def timeval_layout() -> str | None:
    """How ``struct timeval`` is laid out here; None where the kernel keeps no time for sockets.

    What is set must come back as it is.
    """
    if not _POSIX:
        return None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for layout in _LAYOUTS:
            if _comes_back(ours, pack(layout, 1, 500_000)):
                return layout
    return None


def _comes_back(sock: socket.socket, time: bytes) -> bool:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time)
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, len(time)) == time
    except OSError:
        return False


@final
class KernelTimeout:
    """The time that one kind of call may take at a socket which blocks.

    Each change is a call of the system, so what is set stays as long as it is no longer than what
    is asked for: a call that ends too early goes on with the rest.
    """

    __slots__ = ("_layout", "_option", "_set", "_sock")

    def __init__(self, sock: socket.socket, option: int, layout: str) -> None:
        self._sock = sock
        self._option = option
        self._layout = layout
        self._set = inf

    def begin(self, seconds: float | None) -> float | None:
        """A call may take so many seconds; when they are over, by ``monotonic()``."""
        if seconds is None:
            return None
        if seconds < self._set:
            # By half: so the next call, for which some microseconds less are left, has time, too.
            self._change(seconds / 2)
        return monotonic() + seconds

    def go_on(self, end: float | None) -> None:
        """The call has ended too early: let the next have the rest; TimeoutError where none is."""
        if end is not None:
            left = end - monotonic()
            if left <= 0:
                raise TimeoutError
            self._change(left)

    def _change(self, seconds: float) -> None:
        self._set = min(seconds, _DAY)
        whole, part = divmod(max(int(self._set * 1e6), 1), 1_000_000)  # 0 is for ever
        self._sock.setsockopt(socket.SOL_SOCKET, self._option, pack(self._layout, whole, part))
