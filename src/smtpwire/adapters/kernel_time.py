"""A time-out that the kernel keeps: SO_RCVTIMEO.

A socket for which Python keeps the time is asked for before each call, by ``poll()``. Where the
kernel keeps it the call is one call. That is for a moment only: a signal makes such a call begin
anew, and its time with it (PEP 475), so that one which comes again and again would never let it
end. Who waits for longer is waited for by ``poll()``, whose time goes on.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from struct import pack
from typing import Final

__all__ = ["timeval_layout", "wait_a_moment"]

_POSIX: Final = os.name == "posix"
"""Elsewhere the option takes milliseconds."""
_MOMENT: Final = 2000
"""Microseconds: most servers nearby have answered then. A kernel rounds up to its own ticks."""
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


def wait_a_moment(sock: socket.socket, layout: str) -> None:
    """A call that reads from this socket, which blocks, raises BlockingIOError after a moment."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pack(layout, 0, _MOMENT))
