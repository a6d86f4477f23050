"""What the adapters share: sessions and their handlers, time, who the peer is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from math import inf
from types import coroutine
from typing import Any, Final, Protocol, TypeAlias, final

from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.timeouts import Timeout
from smtpwire.operations.serve import Handler, Session, SessionFactory
from smtpwire.wire.checked import checked
from smtpwire.wire.ip import address_literal

__all__ = [
    "Connected",
    "Deadline",
    "Handler",
    "Session",
    "SessionFactory",
    "Steps",
    "TlsConfig",
    "attended",
    "checked_port",
    "first_step",
    "given_up",
    "own_name",
    "peer_of",
    "remote_peer",
]

READ: Final = 65536
LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""
LINGER_OCTETS: Final = 1 << 20
"""What it may send meanwhile."""
LAST_WORDS: Final = 0.1
"""Seconds to say close_notify, and to read what has come when nothing can be sent any more."""

Steps: TypeAlias = Generator[object, object, None]

NOTHING: Final = object()
"""What the first step of a handler gives that is over: no StopIteration is made for it."""


def first_step(awaitable: Awaitable[None]) -> tuple[Steps, object] | None:
    """Run what a handler returned up to where it suspends; None: it never does, as most."""
    steps = awaitable.__await__()
    try:
        waiting = next(steps, NOTHING)
    except GeneratorExit as error:
        raise given_up() from error
    return None if waiting is NOTHING else (steps, waiting)


def given_up() -> RuntimeError:
    """What a handler's own GeneratorExit is to the server's loop, which is ended by one."""
    return RuntimeError("the handler raised GeneratorExit")


@coroutine
def attended(steps: Steps, waiting: object, suspended: Callable[[], object]) -> Steps:
    """Go on with a coroutine that has been run up to where it gave ``waiting``.

    ``suspended`` is called whenever it suspends, the first time included.
    """
    resume: Callable[[], object]
    while True:
        suspended()
        dropped = False  # this coroutine itself is closed
        try:
            resume = partial(steps.send, (yield waiting))
        except BaseException as error:
            dropped = isinstance(error, GeneratorExit)
            resume = partial(steps.throw, error)
        try:
            waiting = resume()
        except StopIteration:
            return
        except GeneratorExit as error:
            if dropped:
                raise
            raise given_up() from error
        finally:
            del resume  # it may hold an error, which knows this frame


@final
class Deadline:
    """When ``conn.timeout`` is over, and a server's session. ``now``: by the adapter's clock."""

    __slots__ = ("_end", "_seconds", "_serial", "_session_end")

    def __init__(self) -> None:
        self._seconds = self._end = 0.0
        self._serial: int | None = None
        self._session_end = inf

    def begin_session(self, now: float, conn: ServerConnection) -> None:
        """From now on the time of the whole session runs, where it has one."""
        if conn.session_timeout is not None:
            self._session_end = now + conn.session_timeout

    def left(self, now: float, timeout: Timeout | None, *, session: bool = True) -> float | None:
        """Seconds left; the count starts anew only when the value has changed.

        ``session``: those of the whole session count, too: where one reads.
        """
        end = inf
        if timeout is not None:
            if timeout.serial != self._serial or timeout.seconds != self._seconds:
                self._serial, self._seconds = timeout.serial, timeout.seconds
                self._end = now + timeout.seconds
            end = self._end
        if session:
            end = min(end, self._session_end)
        return None if end == inf else max(end - now, 0.0)

    def tell(self, now: float, conn: ServerConnection) -> None:
        """Tell a server's engine that a time is over, and which."""
        if now >= self._session_end:
            self._session_end = inf
            conn.session_timed_out()
        else:
            conn.timed_out()


def peer_of(address: object) -> Peer:
    """Who is at a socket's address: nobody known of a UNIX socket, or if it is gone.

    Nor of AF_VSOCK, which has a number, and ports beyond 65535.
    """
    if isinstance(address, tuple) and len(address) > 1 and isinstance(address[0], str):
        return Peer(address[0], int(address[1]))
    return Peer()


class Connected(Protocol):
    """A connected socket, of any loop."""

    def getpeername(self) -> Any: ...
    def getsockname(self) -> Any: ...


def remote_peer(sock: Connected) -> Peer:
    """Who is at the other end of a connected socket."""
    try:
        return peer_of(sock.getpeername())
    except OSError:
        return Peer()  # it has gone already, which the first read will tell


def own_name(sock: Connected) -> str:
    """What a client calls itself that was given no name: the literal of its socket's own address.

    That of loopback where its family has no IP addresses, as at a UNIX socket, which does not leave
    this host, or at one between a virtual machine and its host.
    """
    try:
        return address_literal(peer_of(sock.getsockname()).address)
    except (OSError, ValueError):  # OSError: it has gone already, which the first read will tell
        return "[127.0.0.1]"


def checked_port(port: int, least: int = 1) -> int:
    """The port. Raises ValueError beyond 65535, where it would wrap to another, and below least.

    TypeError for what is no int.
    """
    if not least <= checked("port", port, int) <= 65535:
        raise ValueError(f"port {port!r}: pass a number from {least} to 65535")
    return port


def why(error: BaseException) -> str:
    """What an exception says, or at least what it is; not where in Python's own source it arose."""
    said = re.sub(r" \(_ssl\.c:[0-9]+\)\Z", "", str(error))
    return said or ("too slow" if isinstance(error, TimeoutError) else type(error).__name__)
