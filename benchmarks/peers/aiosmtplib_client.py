"""aiosmtplib's client, on a transport that swallows what it is given or on loopback."""

import asyncio
from collections.abc import Iterator
from itertools import chain, cycle

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from benchmarks.dialogue import RECIPIENT, SENDER
from benchmarks.harness import Work

__all__ = ["connections", "in_memory"]

_EHLO = b"250-mx.example.org\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
_MESSAGE = (b"250 OK\r\n", b"250 OK\r\n", b"354 go on\r\n", b"250 OK\r\n")


class _CannedTransport(asyncio.Transport):
    """Answers every write with the next reply, one turn of the event loop later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: SMTPProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._replies: Iterator[bytes] = chain([_EHLO], cycle(_MESSAGE))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._loop.call_soon(self._protocol.data_received, next(self._replies))

    def is_closing(self) -> bool:
        return False


def in_memory(loop: asyncio.AbstractEventLoop, message: bytes) -> Work:
    """Sends the message over one connection, whose EHLO is not timed."""

    async def connected() -> aiosmtplib.SMTP:
        client = aiosmtplib.SMTP(
            hostname="mx.example.org", local_hostname="client.example.com", timeout=None
        )
        protocol = SMTPProtocol(loop=loop)
        transport = _CannedTransport(loop, protocol)
        protocol.connection_made(transport)
        client.protocol, client.transport = protocol, transport
        await client.ehlo()
        return client

    client = loop.run_until_complete(connected())

    async def send(count: int) -> None:
        for _ in range(count):
            await client.sendmail(SENDER, [RECIPIENT], message)

    def work(count: int) -> None:
        loop.run_until_complete(send(count))

    return work


def connections(loop: asyncio.AbstractEventLoop, port: int, message: bytes) -> Work:
    """Makes a connection on loopback for each message."""

    async def made(count: int) -> None:
        for _ in range(count):
            client = aiosmtplib.SMTP(
                hostname="127.0.0.1", port=port, local_hostname="client.example.com"
            )
            async with client:
                await client.sendmail(SENDER, [RECIPIENT], message)

    return lambda count: loop.run_until_complete(made(count))
