"""A service on several processes that share a port, started in the ways that begin from nothing."""

import multiprocessing
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import cast

import pytest
from tests.adapters.processes import ADAPTERS, HOST, serve
from tests.adapters.servers import Dialogue

from smtpwire.engine.server_config import ServerConfig

RELAY = ServerConfig.relay("mx.example.org")
PROCESSES = 2
MESSAGES = 48  # that one process gets none of them comes once in 10¹⁴ runs
PATIENCE = 60.0
METHODS = ("spawn", "forkserver")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not divide connections between listeners"
)


@contextmanager
def shared_port() -> Iterator[int]:
    """A port that is ours, at which nobody listens yet."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


def told(process: Connection) -> int:
    assert process.poll(PATIENCE), "the process says nothing"
    number: int = process.recv()
    return number


def deliver(port: int) -> int:
    """Send a message; the number of the process that took it."""
    client = Dialogue(port)
    try:
        client.reply()
        client.say(b"EHLO client.example.com")
        client.say(b"MAIL FROM:<alice@example.com>")
        recipient = client.say(b"RCPT TO:<bob@example.org>")
        assert client.say(b"DATA").startswith(b"354")
        assert client.say(b"Subject: x\r\n\r\nHello\r\n.").startswith(b"250")
        assert client.say(b"QUIT").startswith(b"221")
    finally:
        client.close()
    match = re.fullmatch(rb"250 2\.1\.5 process (\d+)\r\n", recipient)
    assert match is not None, recipient
    return int(match[1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_service_on_several_processes(adapter: str, method: str) -> None:
    context = cast(SpawnContext, multiprocessing.get_context(method))  # all have its methods
    started: list[tuple[SpawnProcess, Connection]] = []
    with shared_port() as port:
        try:
            for _ in range(PROCESSES):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=serve, args=(adapter, RELAY, port, theirs), daemon=True
                )
                process.start()
                theirs.close()
                started.append((process, ours))
            numbers = [told(ours) for _, ours in started]
            took = [deliver(port) for _ in range(MESSAGES)]
            for _, ours in started:
                ours.send("stop")
            counts = [told(ours) for _, ours in started]
        finally:
            for process, ours in started:
                process.join(PATIENCE)
                if process.is_alive():
                    process.kill()
                    process.join()
                ours.close()
    assert [process.exitcode for process, _ in started] == [0] * PROCESSES
    assert set(took) == set(numbers), "each of them serves"
    assert counts == [took.count(number) for number in numbers], "each has what it accepted"
