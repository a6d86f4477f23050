"""A server and a client for asyncio; they work with uvloop, too."""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from functools import partial
from math import inf
from socket import socket
from types import TracebackType, coroutine
from typing import Final, Self, TypeVar, Unpack, cast, final

from smtpwire.adapters.session import (
    Deadline,
    SessionFactory,
    TlsConfig,
    check_tls,
    client_tls,
    logger,
    peer_at,
    settle,
    tls_info,
)
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout
from smtpwire.extensions import Profile
from smtpwire.operations import (
    Operation,
    Recipient,
    Sender,
    SendOptions,
    SendResult,
    Stage,
    TlsFailed,
    open_session,
    quit,
    reset,
    send_mail,
    verify,
)
from smtpwire.sasl import ChoicePolicy, Credentials
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

__all__ = ["Client", "Server", "ServerProtocol", "connect", "start_server"]

R = TypeVar("R")

LINGER: Final = 10.0
"""Seconds for the peer to take the last reply and to close, before it is cut off."""

DATA: Final = Need.DATA
WRITE: Final = Need.WRITE
TLS: Final = Need.TLS
_Steps = Generator[object, object, None]


@final
class ServerProtocol(asyncio.Protocol):
    """One connection of a server, and its session: ``conn``, ``flush()``, ``close()``.

    For ``loop.create_server(lambda: ServerProtocol(session, config))``; :func:`start_server`
    does that and more. ``open_sessions``: a set in which the connection stands while it is open.
    """

    conn: ServerConnection

    def __init__(
        self,
        session: SessionFactory,
        config: ServerConfig,
        tls: TlsConfig | None = None,
        open_sessions: "set[ServerProtocol] | None" = None,
    ) -> None:
        self._session = session
        self._config = config
        self._tls = tls
        self._open_sessions = set() if open_sessions is None else open_sessions
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._suspended: tuple[ServerEvent, _Steps, object] | None = None
        self._woken: asyncio.Future[None] | None = None
        self._busy = False  # a handler is suspended, or a handshake under way
        self._upgrading: asyncio.Task[None] | None = None
        self._early = b""
        self._writable = True
        self._reading = True
        self._ended = False
        self._timeout: Timeout | None = None
        self._deadline = inf
        self._timer: asyncio.TimerHandle | None = None

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        self.conn = ServerConnection(
            self._config,
            tls=tls_info(tls, self._tls) if tls and self._tls else None,
            peer=peer_at(transport.get_extra_info("peername")),
        )
        self._open_sessions.add(self)
        try:
            self._handler = self._session(self)
        except Exception:
            logger.exception("no handler for %r", self.conn.peer)
            self.close()
        self._pump()

    def data_received(self, data: bytes) -> None:
        if self._upgrading is not None:
            # The first octets under TLS may be there before the task knows of its success.
            self._early += data
        elif not self._ended:  # after it, what comes is dropped
            self.conn.receive_data(data)
            self._pump()

    def eof_received(self) -> bool:
        self.conn.receive_data(b"")
        self._pump()
        if self._ended:
            self._transport.close()
        # Whoever half-closes still reads the answers; TLS has no half-close.
        return self.conn.tls is None

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._writable = True
        if exc is None:
            self.conn.receive_data(b"")
        else:
            self.conn.abort(str(exc))
        self._forget()
        self._pump()

    # -- the session

    def flush(self) -> None:
        """Send what is queued; the adapter does so itself whenever a handler suspends."""
        octets = self.conn.data_to_send()
        if octets and not self._ended:
            self._transport.write(octets)

    def close(self) -> None:
        """Drop the connection as it stands."""
        self.conn.abort("closed by the application")
        self._transport.abort()

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered."""
        self.conn.shutdown()
        self._pump()

    # -- the engine's needs

    def _pump(self) -> None:
        """Pull and handle events until somebody else has to act."""
        conn = self.conn
        while not self._busy and self._writable:
            item = conn.next_event()
            if not isinstance(item, Need):
                self._handle(item)
                continue
            self.flush()
            if item is WRITE:
                continue
            if item is TLS:
                self._busy = True
                self._upgrading = self._loop.create_task(self._upgrade())
            elif item is not DATA:
                self._end()
            break
        self._watch()

    def _watch(self) -> None:
        """Read and keep time as the engine says."""
        conn = self.conn
        if conn.wants_data is not self._reading and not self._ended:
            self._reading = not self._reading
            if self._reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        timeout = None if self._busy or self._ended else conn.timeout
        if timeout != self._timeout:
            self._timeout = timeout
            self._deadline = inf if timeout is None else self._loop.time() + timeout.seconds
            self._keep_time()

    def _keep_time(self) -> None:
        """Have a timer that expires no later than the deadline; one that is early is renewed."""
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and self._deadline < inf:
            self._timer = self._loop.call_at(self._deadline, self._expired)

    def _expired(self) -> None:
        self._timer = None
        if self._deadline > self._loop.time():
            self._keep_time()
        else:
            self._writable = True  # nobody waits for the peer to read any longer
            self.conn.timed_out()
            self._pump()

    async def _upgrade(self) -> None:
        self._transport = await shake_hands(self, self._transport, self.conn, self._tls)
        self._upgrading = None
        self._busy = False
        self._reading = True
        if self._early:
            self.conn.receive_data(self._early)
        self._pump()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(LINGER, self._transport.abort)
        if self._transport.can_write_eof() and not self.conn.eof_received:
            self._transport.write_eof()
        else:
            self._transport.close()

    def _forget(self) -> None:
        self._open_sessions.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and not self._busy:
            self._task.cancel()

    # -- handlers

    def _handle(self, event: ServerEvent) -> None:
        try:
            waiting = self._handler(event)
            if waiting is not None and self._suspends(event, waiting):
                return
        except Exception as error:
            settle(self.conn, self._config, event, error)
        else:
            if self.conn.pending is not None:
                settle(self.conn, self._config, event)

    def _suspends(self, event: ServerEvent, waiting: Awaitable[None]) -> bool:
        """Run a handler up to where it suspends, if it does: then the session's task goes on.

        Most never do, and a task with its turn of the loop costs more than all else here. The
        handler sees the session's task as the current one from the start, as it must for
        ``asyncio.timeout()`` and the like.
        """
        if self._task is None:
            self._task = self._loop.create_task(self._go_on())
        steps = waiting.__await__()
        outer = asyncio.current_task()
        _switch_task(self._loop, outer, self._task)
        try:
            self._suspended = event, steps, next(steps)
        except StopIteration:
            return False
        finally:
            _switch_task(self._loop, self._task, outer)
        self._busy = True
        if self._woken is not None:
            self._woken.set_result(None)
        return True

    async def _go_on(self) -> None:
        """The session's task: goes on with handlers that have suspended."""
        while True:
            while self._suspended is None:
                self._woken = self._loop.create_future()
                await self._woken
            event, steps, waiting = self._suspended
            self._suspended = self._woken = None
            error: Exception | None = None
            try:
                await self._remaining(steps, waiting)
            except asyncio.CancelledError:
                self.close()
                self._busy = False
                raise
            except Exception as raised:
                error = raised
            if error is not None or self.conn.pending is not None:
                settle(self.conn, self._config, event, error)
            self._busy = False
            self._pump()

    @coroutine
    def _remaining(self, steps: _Steps, waiting: object) -> _Steps:
        """What is left of a handler, with what is queued sent wherever it suspends."""
        while True:
            self.flush()
            self._watch()
            try:
                value = yield waiting
            except BaseException as error:
                resume: Callable[[], object] = partial(steps.throw, error)
            else:
                resume = partial(steps.send, value)
            try:
                waiting = resume()
            except StopIteration:
                return


def _switch_task(
    loop: asyncio.AbstractEventLoop,
    left: "asyncio.Task[None] | None",
    entered: "asyncio.Task[None] | None",
) -> None:
    """Change which task is the current one (the documented way of tasks of one's own)."""
    if left is not None:
        asyncio.tasks._leave_task(loop, left)
    if entered is not None:
        asyncio.tasks._enter_task(loop, entered)


async def shake_hands(
    protocol: asyncio.Protocol,
    transport: asyncio.Transport,
    conn: ServerConnection | ClientConnection,
    tls: TlsConfig | None,
    server_name: str | None = None,
) -> asyncio.Transport:
    """TLS after STARTTLS, told to the engine; as a server where no ``server_name`` is given."""
    try:
        if tls is None:
            raise OSError("no TLS is configured")
        timeout = conn.timeout
        upgraded = await asyncio.get_running_loop().start_tls(
            transport,
            protocol,
            tls.context,
            server_side=server_name is None,
            server_hostname=server_name,
            ssl_handshake_timeout=None if timeout is None else timeout.seconds,
            ssl_shutdown_timeout=LINGER,
        )
        if upgraded is None:  # closed in the meantime
            raise OSError("the connection was lost in the handshake")
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: uvloop, if it is closed
        if conn.state is State.TLS:
            conn.tls_failed(str(error))
        return transport
    conn.tls_started(tls_info(upgraded.get_extra_info("ssl_object"), tls, server_name or ""))
    return upgraded


@final
class Server:
    """A listening server: ``sockets``, ``sessions``, and ``shutdown()``."""

    def __init__(self, listener: asyncio.Server, sessions: set[ServerProtocol]) -> None:
        self._listener = listener
        self.sessions = sessions

    @property
    def sockets(self) -> tuple[socket, ...]:
        """The listening sockets: their addresses by ``getsockname()``."""
        return tuple(self._listener.sockets)

    async def shutdown(self, grace: float = 30.0) -> None:
        """Listen no more, end each session with 421, cut off what is left after ``grace`` seconds.

        Questions that are pending may still be answered meanwhile.
        """
        self._listener.close()
        for session in tuple(self.sessions):
            session.shutdown()
        end = asyncio.get_running_loop().time() + grace
        while self.sessions and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        for session in tuple(self.sessions):
            session.close()


async def start_server(
    session: SessionFactory,
    config: ServerConfig,
    host: str | None = None,
    port: int = 25,
    *,
    tls: TlsConfig | None = None,
    reuse_port: bool = False,
) -> Server:
    """Listen; every connection gets a handler from ``session``.

    TLS is by STARTTLS, or from the first octet where the profile is SUBMISSIONS. With
    ``reuse_port`` several processes can share the port. Raises OSError where the address
    cannot be had, ValueError where the configuration needs ``tls``.
    """
    check_tls(config, tls)
    sessions: set[ServerProtocol] = set()
    implicit = tls is not None and config.profile is Profile.SUBMISSIONS
    listener = await asyncio.get_running_loop().create_server(
        lambda: ServerProtocol(session, config, tls, sessions),
        host,
        port,
        reuse_port=reuse_port or None,
        backlog=1024,
        ssl=tls.context if tls and implicit else None,
        ssl_handshake_timeout=config.timeouts.handshake if implicit else None,
        ssl_shutdown_timeout=LINGER if implicit else None,
    )
    return Server(listener, sessions)


@final
class Client(asyncio.Protocol):
    """A client; :func:`connect` makes one. An asynchronous context manager that quits.

    Every method raises SessionError as the operation of its name does.
    """

    conn: ClientConnection

    def __init__(self, config: ClientConfig, tls: TlsConfig) -> None:
        self._config = config
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._lost = self._loop.create_future()
        self._deadline = Deadline(self._loop.time)
        self._arrived = False
        self._writable = True
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        info = tls_info(tls, self._tls, self._config.host) if tls else None
        self.conn = ClientConnection(self._config, tls=info)

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self._wake()
        if not self.conn.wants_data:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self.conn.receive_data(b"")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        # Even after an error: what came before it, such as a 421, is still to be read.
        self._writable = True
        self._lost.set_result(None)
        self.eof_received()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    def _wake(self) -> None:
        self._arrived = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, ready: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(self._deadline.left(self.conn.timeout)):
                while not ready():
                    self._waiter = self._loop.create_future()
                    await self._waiter
        except TimeoutError:
            self.conn.timed_out()

    async def _flush(self) -> None:
        octets = self.conn.data_to_send()
        if octets and not self._lost.done():
            self._transport.write(octets)
        if not self._writable:
            await self._wait(lambda: self._writable)

    async def _read(self) -> None:
        if not self._transport.is_reading() and self.conn.wants_data:
            self._transport.resume_reading()
        await self._wait(lambda: self._arrived)
        self._arrived = False

    async def run(self, operation: Operation[R], content: AsyncIterator[bytes] | None = None) -> R:
        """Drive an operation of yours, or one of ``smtpwire.operations``."""
        value: bytes | None = None
        try:
            while True:
                need = operation.send(value)
                value = None
                await self._flush()
                if need is Need.DATA:
                    await self._read()
                elif need is Need.TLS:
                    self._transport = await shake_hands(
                        self, self._transport, self.conn, self._tls, self._config.host
                    )
                elif need is Need.BODY and content is not None:
                    value = await anext(content, None)
        except StopIteration as stop:
            result: R = stop.value
            return result
        except Exception:
            operation.close()
            raise
        except BaseException:  # cancelled: nobody knows what has been said
            self.conn.abort("cancelled")
            raise
        finally:
            if not self._lost.done():
                self._transport.write(self.conn.data_to_send())
            if self.conn.state is State.CLOSED:
                self.close()

    async def open_session(
        self, credentials: Credentials | None = None, *, policy: ChoicePolicy | None = None
    ) -> None:
        """Greeting, EHLO, TLS by ``config.security``, authentication."""
        await self.run(open_session(self.conn, credentials, policy=policy))

    async def send_mail(
        self,
        sender: Sender,
        recipients: Iterable[Recipient],
        content: bytes | Iterable[bytes] | AsyncIterable[bytes],
        **options: Unpack[SendOptions],
    ) -> SendResult:
        """Send a message: see :func:`smtpwire.operations.send_mail`."""
        if isinstance(content, AsyncIterable):
            operation = send_mail(self.conn, sender, recipients, None, **options)
            return await self.run(operation, aiter(content))
        return await self.run(send_mail(self.conn, sender, recipients, content, **options))

    async def verify(self, argument: str) -> Reply:
        """VRFY."""
        return await self.run(verify(self.conn, argument))

    async def reset(self) -> Reply:
        """RSET."""
        return await self.run(reset(self.conn))

    async def quit(self) -> Reply | None:
        """QUIT, and close."""
        reply = await self.run(quit(self.conn))
        self.close()
        await asyncio.wait([self._lost], timeout=1)
        return reply

    def close(self) -> None:
        """Close without a word."""
        self.conn.abort("closed by the application")
        self._transport.close()
        if self.conn.tls is not None:
            self._transport.abort()  # close_notify is out; no answer to it is waited for

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.quit()


async def connect(
    host: str, port: int = 25, config: ClientConfig | None = None, *, tls: TlsConfig | None = None
) -> Client:
    """Connect. Raises OSError, or TlsFailed where TLS is there from the first octet."""
    config = config or ClientConfig()
    config = replace(config, host=config.host or host, port=config.port or port)
    tls = tls or client_tls(config.security)
    implicit = config.security is Security.IMPLICIT
    try:
        _, client = await asyncio.get_running_loop().create_connection(
            lambda: Client(config, tls),
            host,
            port,
            ssl=tls.context if implicit else None,
            server_hostname=config.host if implicit else None,
            ssl_handshake_timeout=config.timeouts.handshake if implicit else None,
            ssl_shutdown_timeout=LINGER if implicit else None,
        )
    except ssl.SSLError as error:
        raise TlsFailed(None, Stage.TLS, str(error)) from error
    return client
