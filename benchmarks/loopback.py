"""Servers in processes of their own on loopback, and Postfix's two test programs."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, cycle
from pathlib import Path
from queue import SimpleQueue
from select import select
from time import monotonic, sleep

from benchmarks import ours
from benchmarks.dialogue import RECIPIENT, SENDER
from benchmarks.harness import MissingToolError, Work
from benchmarks.peers import aiosmtpd_server

__all__ = ["distant_sink", "postfix_sink", "server", "smtp_source"]

_ROOT = Path(__file__).parent.parent
_HOST = "127.0.0.1"


class _NothingParsed(asyncio.Protocol):
    """The least a server can do: the next reply for whatever comes, in lock-step."""

    _replies = (
        b"250 2.1.0 OK\r\n",
        b"250 2.1.5 OK\r\n",
        b"354 go on\r\n",
        b"250 2.0.0 OK\r\n",
    )

    def __init__(self) -> None:
        self._reply = chain([b"250 mx.example.org\r\n"], cycle(self._replies)).__next__

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._transport = transport
        transport.write(b"220 mx.example.org ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n"):
            self._transport.write(self._reply())


def _nothing_parsed(loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    return _NothingParsed()


async def _serve(make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol]) -> None:
    """Serve until standard input ends, which it does with the process that started this one."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: make(loop), _HOST, 0, backlog=512)
    print(listener.sockets[0].getsockname()[1], flush=True)
    stop = loop.create_future()
    loop.add_reader(sys.stdin.fileno(), stop.set_result, None)
    await stop


def _serve_asyncio(make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol]) -> None:
    asyncio.run(_serve(make))
    os._exit(0)  # connections may still be open, and nobody is interested in them


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # not on every platform

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _serve_uvloop(make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol]) -> None:
    with asyncio.Runner(loop_factory=_uvloop) as runner:
        runner.run(_serve(make))
        os._exit(0)


# -- the relay: a distance between two ends

_ONE_WAY = 0.002
"""Seconds that the relay holds everything back, in each direction."""

_Pieces = SimpleQueue[tuple[float, bytes]]


def _deliver(pieces: _Pieces, target: socket.socket) -> None:
    """Hand on what came, each piece when it is due; at the end, the end."""
    while True:
        due, data = pieces.get()
        sleep(max(0.0, due - monotonic()))
        if not data:
            target.shutdown(socket.SHUT_WR)
            return
        target.sendall(data)


def _delay(source: socket.socket, target: socket.socket) -> None:
    """Read what comes from one end for the other."""
    target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces: _Pieces = SimpleQueue()
    threading.Thread(target=_deliver, args=(pieces, target), daemon=True).start()
    while data := source.recv(65536):
        pieces.put((monotonic() + _ONE_WAY, data))
    pieces.put((monotonic() + _ONE_WAY, b""))


def _relay(port: str) -> None:
    """Hand on connections to the port until standard input ends."""
    with socket.create_server((_HOST, 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while sys.stdin not in select([listener, sys.stdin], [], [])[0]:
            near, _ = listener.accept()
            far = socket.create_connection((_HOST, int(port)))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=_delay, args=ends, daemon=True).start()
    os._exit(0)


# -- the processes

_SERVERS: dict[str, Callable[..., None]] = {
    "smtpwire, async handler": lambda: _serve_asyncio(ours.protocol_with_async_handler),
    "smtpwire, plain handler": lambda: _serve_asyncio(ours.protocol_with_plain_handler),
    "smtpwire, uvloop": lambda: _serve_uvloop(ours.protocol_with_plain_handler),
    "smtpwire, Service": lambda: _serve_asyncio(ours.protocol_with_service),
    "aiosmtpd": lambda: _serve_asyncio(aiosmtpd_server.make_protocol),
    "nothing parsed": lambda: _serve_asyncio(_nothing_parsed),
    "relay": _relay,
}


@contextmanager
def _stopped_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def server(name: str, *arguments: str) -> Iterator[int]:
    """Run one of the servers of this module in a process; its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.loopback", name, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
    )
    with _stopped_after(process):
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise RuntimeError(f"the server {name!r} did not start")
        yield int(line)


def _tool(name: str) -> str:
    """A program of Debian's package postfix, which stands in sbin."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise MissingToolError(f"needs {name} from Debian's package postfix")
    return path


def _awaited(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = monotonic() + 10
    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex((_HOST, port)) == 0:
                return
        if monotonic() > deadline:
            raise RuntimeError("smtp-sink did not start")
        sleep(0.05)


@contextmanager
def postfix_sink() -> Iterator[int]:
    """Run smtp-sink; its port."""
    with socket.create_server((_HOST, 0)) as free:
        port = free.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it insists, of the superuser
    process = subprocess.Popen([_tool("smtp-sink"), *user, f"{_HOST}:{port}", "512"])
    with _stopped_after(process):
        _awaited(port)
        yield port


@contextmanager
def distant_sink() -> Iterator[int]:
    """Run smtp-sink with a round trip of 4 ms before it; the port to be dialled."""
    with postfix_sink() as sink, server("relay", str(sink)) as port:
        yield port


def smtp_source(port: int, octets: int) -> Work:
    """Send messages with Postfix's smtp-source over ten connections, which it keeps."""
    command = [
        _tool("smtp-source"),
        "-d",
        "-s",
        "10",
        "-l",
        str(octets),
        "-f",
        SENDER,
        "-t",
        RECIPIENT,
    ]

    def work(count: int) -> None:
        subprocess.run([*command, "-m", str(count), f"{_HOST}:{port}"], check=True)

    return work


if __name__ == "__main__":
    _SERVERS[sys.argv[1]](*sys.argv[2:])
