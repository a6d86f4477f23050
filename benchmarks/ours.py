"""smtpwire's side of the figures, written as an application would write it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.dialogue import Step
from benchmarks.harness import Work
from smtpwire.wire.body import DotDecoder

__all__ = [
    "bdat_steps",
    "client_messages",
    "client_on_loopback",
    "commands_in_one_chunk",
    "continuation_lines",
    "decoding",
    "idle_server",
    "octets_while_a_reply_is_owed",
    "one_octet_deliveries",
    "protocol_with_async_handler",
    "protocol_with_plain_handler",
    "receive_and_drop",
    "receive_and_keep",
    "recipients",
    "scram_exchanges",
    "send_iterable",
    "server_connections",
    "server_messages",
]


def decoding(chunks: list[bytes]) -> Work:
    """Decode the body of one message, strictly."""

    def work(count: int) -> None:
        for _ in range(count):
            decoder = DotDecoder()
            for chunk in chunks:
                decoder.decode(chunk)
        if not decoder.finished or decoder.violation is not None:
            raise RuntimeError("the body was not decoded")

    return work


def server_messages(steps: tuple[Step, ...]) -> Work:
    raise NotImplementedError


def server_connections(steps: tuple[Step, ...]) -> Work:
    raise NotImplementedError


def idle_server() -> object:
    raise NotImplementedError


def commands_in_one_chunk(count: int) -> Work:
    raise NotImplementedError


def recipients(count: int) -> Work:
    raise NotImplementedError


def octets_while_a_reply_is_owed(count: int) -> Work:
    raise NotImplementedError


def continuation_lines(count: int) -> Work:
    raise NotImplementedError


def one_octet_deliveries(count: int) -> Work:
    raise NotImplementedError


def receive_and_drop(octets: int) -> None:
    raise NotImplementedError


def receive_and_keep(octets: int) -> None:
    raise NotImplementedError


def send_iterable(octets: int) -> None:
    raise NotImplementedError


def bdat_steps(body: bytes) -> tuple[Step, ...]:
    raise NotImplementedError


def client_messages(message: bytes) -> Work:
    raise NotImplementedError


@contextmanager
def client_on_loopback(port: int, message: bytes) -> Iterator[Work]:
    yield lambda _: None


def protocol_with_plain_handler(loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    raise NotImplementedError


def protocol_with_async_handler(loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    raise NotImplementedError


def scram_exchanges(count: int) -> None:
    raise NotImplementedError
