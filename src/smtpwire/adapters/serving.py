"""A server's session over a transport that is waited for: written once, for threads and for trio.

With plain sockets nothing suspends, and the same code runs in a thread: see :func:`now`.
(asyncio's sessions are driven by its protocols' callbacks instead, which costs less a read.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from threading import get_ident
from time import monotonic
from typing import Final, TypeVar

from smtpwire.adapters.channel import Channel
from smtpwire.adapters.log import logger
from smtpwire.adapters.session import (
    LAST_WORDS,
    LINGER,
    LINGER_OCTETS,
    READ,
    Deadline,
    SessionFactory,
    why,
)
from smtpwire.adapters.stream import Interrupted, ServerTransport
from smtpwire.adapters.tls import Tls, check_service
from smtpwire.engine.events import Peer
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_TLS, Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.operations.serve import serve, who

__all__ = ["StreamSession", "now"]

R = TypeVar("R")

_CLOSED: Final = "closed by the application"


class StreamSession(ABC):
    """Drives the server's loop over a transport. An adapter says how a handler is awaited."""

    conn: ServerConnection

    def __init__(
        self,
        transport: ServerTransport,
        clock: Callable[[], float],
        session: SessionFactory,
        config: ServerConfig,
        tls: Tls | None,
        peer: Peer | None,
    ) -> None:
        self._transport, self._clock = transport, clock
        self._session, self._config = session, config
        tls = check_service(session, config, tls)
        self._channel = Channel(config, tls, peer or Peer())
        self._deadline = Deadline()
        self._broken = False  # a write has failed: nothing is written any more
        self._unwanted = self._dropped = False  # its end is asked for; at once
        self._thread = 0

    async def _run(self) -> None:
        """Serve the connection to its end."""
        self._thread, channel = get_ident(), self._channel
        try:
            while not (channel.open or channel.refused or self._unwanted):
                await self._read()
                await self._flush()
            if channel.open:
                await self._serve()
        except OSError as error:
            logger.info("%s: no session: %s", who(channel.peer), error)
            with suppress(OSError):  # an alert of TLS's
                await self._transport.send(channel.data_to_send(), LAST_WORDS)
        finally:
            await self._transport.close()

    async def _serve(self) -> None:
        self.conn = self._channel.conn
        self._deadline.begin_session(self._clock(), self.conn)
        serving = serve(self, self._session, self._config, logger, monotonic)
        self._do_what_is_asked()
        step = next(serving)
        while step is not NEED_CLOSE:
            try:
                await (self._meet(step) if isinstance(step, Need) else self._attend(step))
            except BaseException as raised:
                step = serving.throw(raised)
            else:
                step = next(serving)
        await self._end()

    @abstractmethod
    async def _attend(self, awaitable: Awaitable[None]) -> None:
        """Await what a handler has returned."""

    async def _meet(self, need: Need) -> None:
        """Flush, then do what the engine needs."""
        await self._flush()
        if need is NEED_TLS:
            self._channel.start_tls()
            while self.conn.state is State.TLS:
                await self._flush()
                await self._read()
        elif need is not NEED_DATA:
            await self._transport.give_way()
        elif not self._channel.decrypt():
            await self._read()

    async def _flush(self) -> None:
        """Send what is queued, in the time that the engine gives for it."""
        octets = self._channel.data_to_send()
        if not octets or self._broken:
            return
        try:
            await self._transport.send(octets, self._left(session=False))
        except TimeoutError:
            self._broken = True
            self._time_out()
        except OSError as error:
            self._fail(error)
        except BaseException as error:  # nobody knows what has been written
            self._fail(OSError(f"a write was given up: {type(error).__name__}"))
            raise

    async def _read(self, *, limited: bool = True) -> None:
        """Take what comes, in the time that the engine gives for it."""
        if not self._channel.wants_data:
            return  # it was ended while something was written
        try:
            octets = await self._transport.receive(READ, self._left() if limited else None)
        except Interrupted:
            self._do_what_is_asked()
        except TimeoutError:
            self._time_out()
        except OSError as error:
            self._fail(error)
        else:
            self._channel.receive_data(octets)

    def _left(self, *, session: bool = True) -> float | None:
        left = self._deadline.left(self._clock(), self._channel.timeout, session=session)
        if left == 0:
            raise TimeoutError
        return left

    def _time_out(self) -> None:
        if not self._channel.open:
            raise TimeoutError("the handshake takes too long")
        self._deadline.tell(self._clock(), self._channel.conn)

    def _fail(self, error: OSError) -> None:
        self._broken = True
        if not self._channel.open:
            raise error
        self._channel.conn.abort(why(error))

    async def _end(self) -> None:
        """Close; the other side may still talk for a while, and is not heard."""
        await self._flush()
        if not self._broken:
            with suppress(OSError):
                await self._transport.send(self._channel.finish(), LINGER)
                await self._transport.send_eof()
                await self._linger()

    async def _linger(self) -> None:
        end, dropped = self._clock() + LINGER, 0
        while dropped < LINGER_OCTETS and (left := end - self._clock()) > 0:
            with suppress(Interrupted):
                if not (octets := await self._transport.receive(READ, left)):
                    return
                dropped += len(octets)

    # -- for its handler, and for its server

    @abstractmethod
    def flush(self) -> Awaitable[None] | None:
        """Send what is queued."""

    @property
    def is_current(self) -> bool:
        """It is a handler of this session that asks: here, in its thread."""
        return get_ident() == self._thread

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered."""
        self._ask()
        self._transport.interrupt()

    def close(self) -> None:
        """Drop the connection as it stands."""
        self._dropped = True
        self._ask()
        self._transport.wake()

    def _ask(self) -> None:
        """End it: in the session's own thread, which looks when it reads."""
        self._unwanted = True
        if get_ident() == self._thread:
            self._do_what_is_asked()

    def _do_what_is_asked(self) -> None:
        if self._channel.open and self._dropped:
            self._channel.conn.abort(_CLOSED)
        elif self._channel.open and self._unwanted:
            self._channel.conn.shutdown()


def now(steps: Coroutine[object, object, R]) -> R:
    """Run what never suspends to its end."""
    try:
        steps.send(None)
    except StopIteration as stop:
        result: R = stop.value
        return result
    steps.close()
    raise RuntimeError("what never suspends has suspended")
