"""What the clients with an event loop share: the operations as methods."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import Self, TypeVar, Unpack

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.need import NEED_BODY
from smtpwire.operations import (
    Operation,
    OperationNeed,
    Recipient,
    Sender,
    SendOptions,
    SendResult,
    open_session,
    quit,
    reset,
    send_mail,
    verify,
)
from smtpwire.sasl import ChoicePolicy, Credentials
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

__all__ = ["AsyncClient", "dialled"]

R = TypeVar("R")


class AsyncClient:
    """The operations of a client as methods, each raising SessionError as the operation does.

    An asynchronous context manager that quits.
    """

    conn: ClientConnection

    async def run(self, operation: Operation[R], content: AsyncIterator[bytes] | None = None) -> R:
        """Drive an operation of yours, or one of ``smtpwire.operations``."""
        value: bytes | None = None
        try:
            while True:
                need = operation.send(value)
                await self.obey(need)
                value = None
                if need is NEED_BODY and content is not None:
                    value = await anext(content, None)
        except StopIteration as stop:
            result: R = stop.value
            return result
        except BaseException as error:
            operation.close()
            if not isinstance(error, Exception):  # cancelled: nobody knows what has been said
                self.conn.abort("cancelled")
            raise
        finally:
            await self.part()

    async def obey(self, need: OperationNeed) -> None:
        """For :meth:`run`: flush, then do what the need names."""
        raise NotImplementedError

    async def part(self) -> None:
        """For :meth:`run`, at its end: flush, and close if the session is over."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close without a word."""
        raise NotImplementedError

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
            handed_in = send_mail(self.conn, sender, recipients, None, **options)
            chunks = aiter(content)
            try:
                return await self.run(handed_in, chunks)
            finally:
                if isinstance(chunks, AsyncGenerator):
                    await chunks.aclose()
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
        await self.close()
        return reply

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.quit()


def dialled(config: ClientConfig | None, host: str, port: int) -> ClientConfig:
    """The configuration with the host and port that are dialled, where it names none."""
    config = config or ClientConfig()
    return replace(config, host=config.host or host, port=config.port or port)
