"""The standard library's client, on a socket that swallows what it is given, or on a real one."""

import smtplib
from collections.abc import Iterator
from itertools import chain, cycle
from typing import Any

from benchmarks.dialogue import RECIPIENT, SENDER
from benchmarks.harness import Work

__all__ = ["connections", "in_memory"]

_EHLO = (b"250-mx.example.org\r\n", b"250-PIPELINING\r\n", b"250 8BITMIME\r\n")
_MESSAGE = (b"250 OK\r\n", b"250 OK\r\n", b"354 go on\r\n", b"250 OK\r\n")


class _CannedSocket:
    """Swallows what is sent, and reads as the replies to one EHLO and then to messages."""

    def __init__(self) -> None:
        self._replies: Iterator[bytes] = chain(_EHLO, cycle(_MESSAGE))

    def sendall(self, data: bytes) -> None:
        pass

    def makefile(self, mode: str) -> "_CannedSocket":
        return self

    def readline(self, limit: int) -> bytes:
        return next(self._replies)


def in_memory(message: bytes) -> Work:
    """Sends the message over one connection, whose EHLO is not timed."""
    client = smtplib.SMTP(local_hostname="client.example.com")
    canned: Any = _CannedSocket()  # of a socket, only what smtplib uses
    client.sock = canned
    client.ehlo()

    def work(count: int) -> None:
        for _ in range(count):
            client.sendmail(SENDER, [RECIPIENT], message)

    return work


def connections(port: int, message: bytes, messages: int) -> Work:
    """Makes a connection on loopback and sends the messages over it, one after another."""

    def work(count: int) -> None:
        for _ in range(count):
            with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example.com") as client:
                for _ in range(messages):
                    client.sendmail(SENDER, [RECIPIENT], message)

    return work
