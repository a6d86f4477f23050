"""A loopback socket served by threads: for blocking, asyncio and trio clients alike."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Final, final

__all__ = ["HOST", "Listener", "in_thread"]

HOST: Final = "127.0.0.1"


def _under_trio() -> bool:
    if "trio" not in sys.modules:
        return False
    import trio

    try:
        trio.lowlevel.current_task()
    except RuntimeError:  # asyncio's, or nobody's
        return False
    return True


async def in_thread(what: Callable[[], object]) -> None:
    """Do what blocks without blocking the event loop, asyncio's or trio's."""
    if _under_trio():
        import trio

        await trio.to_thread.run_sync(what)
        return
    import asyncio

    await asyncio.to_thread(what)


@final
class Listener:
    """A listening loopback socket, and a thread for each connection."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._socket = socket.create_server((HOST, 0))
        self.port: Final = int(self._socket.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self._closing = False
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            if self._closing:
                sock.close()
                return
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(sock)
            thread = Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        try:
            self._serve(sock)
        finally:
            self._open.discard(sock)
            sock.close()

    def close(self, *, wait: bool) -> None:
        """Listen no more. What is open may end by itself if ``wait``, else it is cut off."""
        self._closing = True
        with suppress(OSError), socket.socket() as waking:  # it wakes accept()
            waking.settimeout(1)
            waking.connect((HOST, self.port))  # create_connection() would load IDNA first
        self._thread.join()
        self._socket.close()
        if not wait:
            for sock in tuple(self._open):
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
