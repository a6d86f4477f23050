"""What the clients share: who is dialled, one operation at a time; with a loop, the operations."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from socket import socket
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, final

from smtpwire import operations
from smtpwire.adapters.log import logger
from smtpwire.adapters.session import Connected, checked_port, own_name, remote_peer, why
from smtpwire.adapters.stream import AsyncStream, Transport
from smtpwire.adapters.tls import Tls, TlsConfig, check_plain, client_tls, tls_config
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Peer
from smtpwire.engine.need import NEED_BODY, NEED_DATA, NEED_TLS, Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.operations import (
    END_OF_CONTENT,
    HANDED_IN,
    Chunk,
    HandingIn,
    MailObject,
    MessageOptions,
    Operation,
    OperationNeed,
    Recipient,
    Sender,
    SendOptions,
    SendResult,
    Stage,
    TlsFailed,
    authenticate,
    open_session,
    quit,
    reset,
    send_mail,
    send_many,
    send_message,
    verify,
)
from smtpwire.operations.send_many import check_messages
from smtpwire.operations.serve import who
from smtpwire.sasl import ChoicePolicy, Credentials
from smtpwire.wire.checked import check_host, check_seconds, checked, type_of
from smtpwire.wire.command import Command
from smtpwire.wire.options import shows_options
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["AsyncClient", "Dialled", "Turn"]

R = TypeVar("R")


@final
class Turn:
    """One operation at a time: whoever comes meanwhile, task or thread, is refused at once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise LocalProtocolError(
                "another operation runs on this client: one at a time, or a client for each"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _why_no_tls(error: Exception) -> str:
    """Why it did not come about from the first octet; a port for STARTTLS is met most often."""
    if getattr(error, "reason", None) != "WRONG_VERSION_NUMBER":
        return why(error)
    return f"the server does not begin with TLS (is it Security.STARTTLS there?): {why(error)}"


@final
class Dialled:
    """What ``connect()`` was given, checked: what to dial, and how to speak there.

    Raises TypeError for what is of a wrong type, unless exactly one of ``host``, ``path`` and
    ``sock`` is given, ValueError for a wrong port and time-out, a host that is more than a name or
    an address, a socket that is no stream, and ``tls`` that nothing begins, and as
    :func:`tls_config`.
    """

    __slots__ = ("_tls", "config", "server_name")

    def __init__(
        self,
        host: str,
        port: int,
        config: ClientConfig | None,
        tls: Tls | None,
        server_name: str,
        timeout: float,
        local_addr: str,
        path: str,
        sock: socket | None,
    ) -> None:
        words = {"host": host, "server_name": server_name, "local_addr": local_addr}
        for name, word in words.items():
            check_host(name, checked(name, word, str))
        checked("path", path, str)
        check_plain(checked("sock", sock, socket | None))
        check_seconds("timeout", checked("timeout", timeout, float))
        if bool(host) + bool(path) + (sock is not None) != 1:
            raise TypeError("connect() takes one of these: a host, path=, sock=")
        if local_addr and not host:
            raise TypeError("connect() takes local_addr= with a host only")
        config = ClientConfig() if config is None else checked("config", config, ClientConfig)
        if host:
            port = checked_port(port)
            host = config.host or host.removesuffix(".")  # DNS's end dot is no part of a name
            config = replace(config, host=host, port=config.port or port)
        self.config: ClientConfig = config
        self.server_name: str = server_name or config.host
        self._tls = None if tls is None else tls_config(tls, server_side=False)
        if tls is not None and config.security is Security.NONE:
            raise ValueError(
                "tls= is given, and the configuration never begins TLS: pass"
                " ClientConfig(security=Security.STARTTLS), or IMPLICIT"
            )

    @property
    def tls(self) -> TlsConfig:
        """What was given, or the default; that is made when it is first asked for."""
        return self._tls or client_tls(self.config.security)


@final
class _Contents(Iterator[MailObject], AsyncIterator[Chunk]):
    """Messages, and in turn the chunks of the content of the last one, where it is asynchronous."""

    def __init__(self, messages: Iterable[MailObject], peer: Peer) -> None:
        self._messages = iter(messages)
        self._content: AsyncIterable[Chunk] | None = None
        self._is_new = False
        self._begun: list[AsyncIterator[Chunk]] = []
        self._peer = peer

    def __next__(self) -> MailObject:
        message = next(self._messages)
        self._content, self._is_new = None, True
        if not (isinstance(message, MailObject) and isinstance(message.content, AsyncIterable)):
            return message
        self._content = message.content
        return MailObject(message.sender, message.recipients, HANDED_IN, **message.options)

    async def __anext__(self) -> Chunk:
        if self._is_new:  # it is begun here, so that where it cannot be, it is this message's fault
            await self.close()
            self._is_new = False
            self._begun.append(_NOBODY if self._content is None else aiter(self._content))
        return await anext(self._begun[-1])

    async def close(self) -> None:
        """Close what has been begun, as far as it can be closed."""
        while self._begun:
            await _close(self._begun.pop(), self._peer)


class _Nobody(AsyncIterator[Chunk]):
    """Hands in what a client was to send as HANDED_IN, which is for a driver of your own."""

    async def __anext__(self) -> Chunk:
        raise TypeError("the content is HANDED_IN: pass the content itself")


_NOBODY: Final = _Nobody()


async def _close(chunks: AsyncIterator[Chunk], peer: Peer) -> None:
    """Close content that is read no further; what it raises then changes no result."""
    if isinstance(chunks, AsyncGenerator):
        try:
            await chunks.aclose()
        except Exception:
            logger.exception("%s: the content of a message failed when it was closed", who(peer))


class AsyncClient:
    """The operations of a client as methods, each raising SessionError as the operation does.

    An asynchronous context manager that quits; where its block is left by an exception or
    cancelled, it closes at once instead. One operation runs at a time: LocalProtocolError for
    another, and the first is unharmed.
    """

    __slots__ = (
        "__weakref__",
        "_closing",
        "_dialled",
        "_own_name",
        "_stream",
        "_turn",
        "conn",
    )

    conn: ClientConnection

    def __init__(
        self, transport: Transport, clock: Callable[[], float], dialled: Dialled, sock: Connected
    ) -> None:
        handshake = dialled.config.timeouts.handshake
        self._stream = AsyncStream(transport, clock, handshake, remote_peer(sock))
        self._dialled, self._own_name = dialled, own_name(sock)
        self._turn = Turn()
        self._closing = False  # close() has been called, maybe by another task or thread

    async def begin(self) -> Self:
        """TLS from the first octet where it is so configured. Raises TlsFailed."""
        config, info = self._dialled.config, None
        if not config.hello_name:
            config = replace(config, hello_name=self._own_name)
        try:
            if config.security is Security.IMPLICIT:
                info = await self._stream.shake_hands(self._dialled.tls, self._dialled.server_name)
        except BaseException as error:
            await self._stream.transport.close()
            if isinstance(error, Exception):
                raise TlsFailed(None, Stage.IMPLICIT_TLS, _why_no_tls(error)) from error
            raise
        self.conn = ClientConnection(config, tls=info, peer=self._stream.peer)
        self._stream.attach(self.conn)
        return self

    @property
    def reusable(self) -> bool:
        """Idle, and nothing has come that says otherwise; ask :meth:`poll` first."""
        return self.conn.reusable

    async def run(self, operation: Operation[R], content: AsyncIterator[Chunk] | None = None) -> R:
        """Drive an operation of yours, or one of ``smtpwire.operations``."""
        operation = checked("operation", operation, Generator)
        try:
            with self._turn:
                try:
                    return await self._drive(operation, content)
                except BaseException as error:
                    operation.close()
                    if not isinstance(error, Exception):  # cancelled: nobody knows what was said
                        self.conn.abort("cancelled")
                    raise
                finally:
                    if self.conn.state is State.CLOSED:
                        await self._stream.end()
        finally:
            if self._closing:
                await self.close()

    async def _drive(self, operation: Operation[R], content: AsyncIterator[Chunk] | None) -> R:
        step: Callable[[Any], OperationNeed] = operation.send
        given: Chunk | HandingIn | Exception | None = None
        while True:
            try:
                need = step(given)
            except StopIteration as stop:
                result: R = stop.value
                await self._stream.flush()
                return result
            await self._meet(need)
            step, given = operation.send, None
            if need is NEED_BODY:
                try:
                    given = await anext(_NOBODY if content is None else content, END_OF_CONTENT)
                except Exception as error:  # a failure of this message's: the operation judges it
                    step, given = operation.throw, error

    async def _meet(self, need: OperationNeed) -> None:
        await self._stream.flush()
        if need is NEED_DATA and self.conn.wants_data:
            await self._stream.read()
        elif need is NEED_TLS and self.conn.state is State.TLS:
            await self._stream.start_tls(self._dialled.tls, self._dialled.server_name)
        elif type(need) is not Need:
            raise TypeError(f"an operation yielded {type_of(need)}: yield a Need")
        if self._closing:
            self.conn.abort("closed by the application")

    async def open_session(
        self, credentials: Credentials | None = None, *, policy: ChoicePolicy | None = None
    ) -> None:
        """Greeting, EHLO, TLS by ``config.security``, authentication."""
        await self.run(open_session(self.conn, credentials, policy=policy))

    async def authenticate(
        self, credentials: Credentials, *, policy: ChoicePolicy | None = None
    ) -> None:
        """Log in on a session that stands; again, where credentials were refused."""
        await self.run(authenticate(self.conn, credentials, policy=policy))

    @shows_options(SendOptions)
    async def send_mail(
        self,
        sender: Sender,
        recipients: Iterable[Recipient],
        content: Chunk | Iterable[Chunk] | AsyncIterable[Chunk],
        **options: Unpack[SendOptions],
    ) -> SendResult:
        """Send a message: see :func:`smtpwire.operations.send_mail`."""
        if isinstance(content, AsyncIterable):
            handed_in = send_mail(self.conn, sender, recipients, HANDED_IN, **options)
            chunks = aiter(content)
            try:
                return await self.run(handed_in, chunks)
            finally:
                await _close(chunks, self._stream.peer)
        return await self.run(send_mail(self.conn, sender, recipients, content, **options))

    async def send_many(
        self, messages: Iterable[MailObject], results: list[SendResult] | None = None
    ) -> list[SendResult]:
        """Send messages one behind the other: see :func:`smtpwire.operations.send_many`."""
        check_messages(messages, asynchronous=True)
        contents = _Contents(messages, self._stream.peer)
        try:
            return await self.run(send_many(self.conn, contents, results), contents)
        finally:
            await contents.close()

    @shows_options(MessageOptions)
    async def send_message(
        self,
        message: Message,
        sender: Sender = None,
        recipients: Iterable[Recipient] | None = None,
        **options: Unpack[MessageOptions],
    ) -> SendResult:
        """Send an EmailMessage: see :func:`smtpwire.operations.send_message`."""
        return await self.run(send_message(self.conn, message, sender, recipients, **options))

    async def command(self, command: Command) -> Reply:
        """Send a command of your own making, and wait for its reply."""
        return await self.run(operations.command(self.conn, command))

    async def verify(self, argument: str) -> Reply:
        """VRFY."""
        return await self.run(verify(self.conn, argument))

    async def reset(self) -> Reply:
        """RSET."""
        return await self.run(reset(self.conn))

    async def quit(self) -> Reply | None:
        """QUIT, and close."""
        reply = await self.run(quit(self.conn))
        await self.close()
        return reply

    async def poll(self) -> bool:
        """Take what came unasked, without waiting; True where the session is still of use.

        For pools: before an idle session is used again.
        """
        try:
            with self._turn:
                await self._stream.poll()
                while not isinstance(self.conn.next_event(), Need):
                    pass
        finally:
            if self._closing:
                await self.close()
        return self.conn.reusable

    async def close(self) -> None:
        """Close at once, without a word; an operation that runs ends with ConnectionLost."""
        self._closing = True  # whoever has the turn sees it now, or closes behind it
        try:
            with self._turn:
                self.conn.abort("closed by the application")
                await self._stream.end()
        except LocalProtocolError:
            self._stream.transport.wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.quit()
        finally:
            await self.close()
