"""A server and a client for trio (the extra ``smtpwire[trio]``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from math import inf
from socket import socket
from typing import Final, cast, final

import trio

from smtpwire.adapters.client import AsyncClient, Dialled
from smtpwire.adapters.session import (
    Deadline,
    SessionFactory,
    attended,
    behind_proxy,
    logger,
    peer_of,
    proxy_in_front,
    proxy_reader,
    settle,
)
from smtpwire.adapters.tls import Tls, TlsConfig, TlsObject, check_tls, tls_info
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer, ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import Profile

__all__ = ["Client", "ServerSession", "connect", "serve"]

LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""
PATIENCE: Final = 300.0
"""Seconds for a write where the engine names none."""
LAST_WORDS: Final = 0.1
"""Seconds to read what has come when nothing can be sent any more."""
READ: Final = 65536
INSTANT: Final = 0.001
"""Seconds to see what has come: trio cancels before it looks where there are none."""


class _Stream:
    """A stream with an engine at it: what both roles do at a Need."""

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream | trio.SSLStream[trio.abc.HalfCloseableStream],
        conn: ServerConnection | ClientConnection,
        tls: TlsConfig | None,
    ) -> None:
        self.conn = conn
        self._stream = stream
        self._tls = tls
        self._deadline = Deadline(trio.current_time)
        self._writing = trio.Lock()
        self.waiting = trio.CancelScope()  # cancelled to wake whoever waits for the peer

    async def flush(self) -> None:
        async with self._writing:
            octets = self.conn.data_to_send()
            if not octets:
                return
            left = self._deadline.left(self.conn.timeout)
            try:
                with trio.fail_after(left or PATIENCE):
                    await self._stream.send_all(octets)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                await self._take_last_words()

    async def _take_last_words(self) -> None:
        """Nothing can be sent any more, but what has come, such as a 421, may still be read."""
        with trio.move_on_after(LAST_WORDS):
            while self.conn.wants_data and not self.conn.eof_received:
                await self.read()
        self.conn.receive_data(b"")

    async def read(self) -> None:
        try:
            self.conn.receive_data(await self._stream.receive_some(READ))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.conn.abort(str(error.__cause__ or error))

    async def read_in_time(self) -> None:
        """As above, and tell the engine where its time is over."""
        left = self._deadline.left(self.conn.timeout)
        end = inf if left is None else trio.current_time() + left
        with trio.CancelScope(deadline=end) as self.waiting:
            await self.read()
        if self.waiting.cancelled_caught and trio.current_time() >= end:
            self.conn.timed_out()

    async def start_tls(self, server_name: str | None = None) -> None:
        """The handshake after STARTTLS."""
        try:
            if self._tls is None or isinstance(self._stream, trio.SSLStream):
                raise OSError("no TLS is configured")
            left = self._deadline.left(self.conn.timeout)
            self._stream = secure = await shake_hands(self._stream, self._tls, left, server_name)
        except (OSError, ValueError) as error:
            self.conn.tls_failed(str(error))
        else:
            self.conn.tls_started(tls_info(facts(secure), self._tls, server_name or ""))

    async def end(self, linger: float) -> None:
        """Close; the other side may still talk for a while, and is not heard."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            with trio.move_on_after(linger):
                await self.flush()
                if isinstance(self._stream, trio.SSLStream):
                    await self._stream.aclose()  # sends close_notify and waits for no answer
                else:
                    await self._stream.send_eof()
                    while linger > 1 and await self._stream.receive_some(READ):
                        pass
        await trio.aclose_forcefully(self._stream)


def facts(stream: trio.SSLStream[trio.abc.HalfCloseableStream]) -> TlsObject:
    """The stream as what its attributes are forwarded to: the SSLObject inside."""
    return cast(TlsObject, stream)


async def shake_hands(
    stream: trio.abc.HalfCloseableStream,
    tls: TlsConfig,
    timeout: float | None,
    server_name: str | None = None,
) -> trio.SSLStream[trio.abc.HalfCloseableStream]:
    """TLS on a stream; as a server where no ``server_name`` is given. Raises OSError."""
    secure = trio.SSLStream(
        stream,
        tls.context,
        server_hostname=server_name,
        server_side=server_name is None,
        https_compatible=True,
    )
    try:
        with trio.fail_after(inf if timeout is None else timeout):
            await secure.do_handshake()
    except (trio.BrokenResourceError, trio.TooSlowError) as error:
        raise OSError(str(error.__cause__ or "the TLS handshake takes too long")) from error
    return secure


@final
class ServerSession:
    """One connection of a server: ``conn``, ``flush()``, ``close()``; :func:`serve` runs it."""

    def __init__(
        self,
        stream: _Stream,
        conn: ServerConnection,
        session: SessionFactory,
        config: ServerConfig,
    ) -> None:
        self.conn = conn
        self._config = config
        self._stream = stream
        self._stopping = False
        self._suspended = trio.Event()
        self._handler = session(self)

    async def run(self) -> None:
        """Serve the connection to its end."""
        while (item := self.conn.next_event()) is not Need.CLOSE:
            if not isinstance(item, Need):
                await self._handle(item)
                continue
            await self._stream.flush()
            if item is Need.DATA:
                if not self._stopping:
                    await self._stream.read_in_time()
                if self._stopping:
                    self.conn.shutdown()
            elif item is Need.TLS:
                await self._stream.start_tls()
        await self._stream.end(LINGER)

    async def _handle(self, event: ServerEvent) -> None:
        error: Exception | None = None
        try:
            if (waiting := self._handler(event)) is not None:
                await self._finish(waiting)
        except Exception as raised:
            error = raised
        settle(self.conn, self._config, event, error)

    async def _finish(self, waiting: Awaitable[None]) -> None:
        """Await what a handler has returned; read and write meanwhile."""
        error: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_meanwhile)
            nursery.start_soon(self._read_meanwhile)
            try:
                steps = waiting.__await__()
                await attended(steps, next(steps), lambda: self._suspended.set())
            except StopIteration:
                pass  # it never suspended
            except Exception as raised:  # by itself: a nursery would put it into a group
                error = raised
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error

    async def _send_meanwhile(self) -> None:
        """While a handler is suspended: send what it has queued, but not before."""
        while True:
            await self._suspended.wait()
            self._suspended = trio.Event()
            with trio.CancelScope(shield=True):
                await self._stream.flush()

    async def _read_meanwhile(self) -> None:
        """While a handler is suspended: see what comes, the end of the stream above all."""
        while self.conn.wants_data and not self.conn.eof_received:
            await self._stream.read()

    async def flush(self) -> None:
        """Send what is queued."""
        await self._stream.flush()

    def close(self) -> None:
        """Drop the connection as it stands."""
        self.conn.abort("closed by the application")
        self._stream.waiting.cancel()

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered."""
        self._stopping = True
        self._stream.waiting.cancel()


async def serve(
    session: SessionFactory,
    config: ServerConfig,
    port: int,
    *,
    host: str | None = None,
    tls: TlsConfig | None = None,
    stop: trio.Event | None = None,
    grace: float = 30.0,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen and serve until ``stop`` is set, then end each session with 421.

    What is left after ``grace`` seconds is cut off. TLS is by STARTTLS, or from the first octet
    where the profile is SUBMISSIONS. ``nursery.start()`` gives the listeners. Raises OSError where
    the address cannot be had, ValueError where the configuration needs ``tls``.
    """
    tls = check_tls(config, tls)
    stop = trio.Event() if stop is None else stop
    sessions: set[ServerSession] = set()

    async def serve_one(stream: trio.SocketStream) -> None:
        try:
            await _serve_one(stream, session, config, tls, sessions)
        except OSError as error:
            logger.info("connection lost before it began: %s", error)
        except Exception:
            logger.exception("a session failed")
        finally:
            await trio.aclose_forcefully(stream)

    listeners = await trio.open_tcp_listeners(port, host=host)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as listening:
            nursery.start_soon(_stopped, stop, listening)
            task_status.started(listeners)
            await trio.serve_listeners(serve_one, listeners, handler_nursery=nursery)
        for one in tuple(sessions):
            one.shutdown()
        with trio.move_on_after(grace):
            while sessions:
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


async def _stopped(stop: trio.Event, listening: trio.CancelScope) -> None:
    await stop.wait()
    listening.cancel()


async def _serve_one(
    stream: trio.SocketStream,
    session: SessionFactory,
    config: ServerConfig,
    tls: TlsConfig | None,
    sessions: set[ServerSession],
) -> None:
    peer = Peer()
    with suppress(OSError):  # it may be gone already
        peer = peer_of(stream.socket.getpeername())
    info = None
    secure = None
    if proxy_in_front(config):
        reader = proxy_reader(config, peer)
        with trio.move_on_after(config.timeouts.handshake):
            while reader.result is None:
                reader.receive_data(await stream.receive_some(reader.wanted))
        peer = behind_proxy(peer, reader.result)
    if tls is not None and config.profile is Profile.SUBMISSIONS:
        secure = await shake_hands(stream, tls, config.timeouts.handshake)
        info = tls_info(facts(secure), tls)
    conn = ServerConnection(config, tls=info, peer=peer)
    one = ServerSession(_Stream(secure or stream, conn, tls), conn, session, config)
    sessions.add(one)
    try:
        await one.run()
    finally:
        conn.abort("cancelled")
        sessions.discard(one)


@final
class _Transport:
    """A socket of trio's."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock

    async def send(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            view = view[await self._sock.send(view) :]

    async def receive(self, size: int) -> bytes:
        return await self._sock.recv(size)

    async def receive_now(self, size: int) -> bytes | None:
        with trio.move_on_after(INSTANT):
            return await self._sock.recv(size)
        return None

    @asynccontextmanager
    async def within(self, seconds: float | None) -> AsyncIterator[None]:
        try:
            with trio.fail_after(inf if seconds is None else seconds):
                yield
        except trio.TooSlowError as error:
            raise TimeoutError from error

    def wake(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(trio.socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


@final
class Client(AsyncClient):
    """A client; :func:`connect` makes one."""


async def connect(
    host: str = "",
    port: int = 25,
    config: ClientConfig | None = None,
    *,
    tls: Tls | None = None,
    server_name: str = "",
    timeout: float = 30.0,
    local_addr: str = "",
    path: str = "",
    sock: socket | None = None,
) -> Client:
    """Connect to ``host`` from ``local_addr``, to the UNIX socket ``path``, or take ``sock``.

    ``timeout`` in seconds is for this alone. ``server_name``: what TLS asks for and verifies, if it
    is not ``config.host`` or ``host``. Raises OSError, or TlsFailed where TLS is there from the
    first octet and does not come about.
    """
    dialled = Dialled(host, port, config, tls, server_name, path, sock, local_addr)
    if sock is not None:
        connected = trio.socket.from_stdlib_socket(sock)
    else:
        try:
            with trio.fail_after(timeout):
                stream = await (
                    trio.open_tcp_stream(host, port, local_address=local_addr or None)
                    if host
                    else trio.open_unix_socket(path)
                )
        except trio.TooSlowError as error:
            raise TimeoutError(f"not connected in {timeout} s") from error
        connected = stream.socket
    return await Client(_Transport(connected), trio.current_time, dialled).begin()
