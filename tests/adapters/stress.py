"""Many clients at once that reset, stall and vanish: ``python -m tests.adapters.stress ADAPTER``.

What a client was told was accepted has been handed over, once, and nothing else happens: no
session is left, no error is logged, memory stays flat.
"""

import argparse
import gc
import logging
import os
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import cast

import trustme
from tests.adapters.handlers import Mailbox, pause
from tests.adapters.servers import SERVERS, Dialogue, serving

from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.session import Handler, Session, SessionFactory
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import BodyChunk, Closed, Connected, EndOfMessage, ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.wire.value import replace

__all__ = ["Outcome", "stress"]

CONFIG = replace(
    ServerConfig.relay("mx.example.org"),
    starttls=True,
    timeouts=Timeouts(command=2.0, block=2.0, handshake=2.0, quit=2.0),
)
TOGETHER = 16


@dataclass
class Outcome:
    """What came of it."""

    accepted: Counter[str] = field(default_factory=Counter)
    """Messages of which a client was told so."""
    stored: Counter[str] = field(default_factory=Counter)
    """Messages that the server's application took."""
    begun: int = 0
    ended: int = 0
    memory: list[int] = field(default_factory=list)
    """KiB of the process, now and then."""


def application(adapter: str, outcome: Outcome) -> SessionFactory:
    """Stores each message, now and then after a while."""
    lock = threading.Lock()
    chance = random.Random(1)

    def factory(session: Session) -> Handler:
        body: list[bytes] = []

        def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
            with lock:
                outcome.begun += isinstance(event, Connected)
                outcome.ended += isinstance(event, Closed)
                if isinstance(event, EndOfMessage):
                    outcome.stored[b"".join(body).decode().strip()] += 1
                    body.clear()
            if isinstance(event, BodyChunk):
                body.append(event.data)
            slow = isinstance(event, EndOfMessage | Connected) and chance.random() < 0.2
            return pause(adapter, 0.01) if slow else None

        return Mailbox(step)(session)

    return factory


class Secured:
    """A socket under TLS, which is never lost: ssl's own may be, where the peer is gone."""

    def __init__(self, sock: socket.socket, tls: MemoryTls) -> None:
        self.recv, self.sendall = tls.receive, tls.send
        self.setsockopt, self.close = sock.setsockopt, sock.close


def start_tls(client: Dialogue, context: ssl.SSLContext) -> None:
    sock = client.sock
    tls = MemoryTls(sock.recv, sock.sendall, TlsConfig(context), server_name="localhost")
    tls.shake_hands()
    client.sock = cast(socket.socket, Secured(sock, tls))


def visit(port: int, number: int, context: ssl.SSLContext, outcome: Outcome) -> None:
    """One client, whose fate follows from its number."""
    chance = random.Random(number)
    fate = chance.choice(["send", "send", "send", "reset", "stall", "vanish", "flood"])
    name = f"message {number}"
    message = (
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
        + name.encode()
        + b"\r\n.\r\n"
    )
    try:
        with Dialogue(port) as client:
            if fate == "flood":
                client.send(b"NOOP\r\n" * 1000)
                client.rest()
                return
            client.reply()
            client.say(b"EHLO client.example.com")
            if chance.random() < 0.3:
                client.say(b"STARTTLS")
                if fate == "vanish" and chance.random() < 0.5:
                    return
                start_tls(client, context)
                client.say(b"EHLO client.example.com")
            if fate != "send":
                client.send(message[: chance.randrange(len(message) - 3)])
                if fate == "stall":
                    sleep(chance.choice([0.05, 2.5]) if number % 50 == 0 else 0.02)
                if fate == "reset":
                    client.reset()
                return
            client.send(message)
            replies = [client.reply() for _ in range(4)]
            if replies[-1].startswith(b"250 "):
                outcome.accepted[name] += 1
            client.say(b"QUIT")
    except OSError:
        pass


def stress(adapter: str, count: int) -> Outcome:
    """So many connections, in ten parts."""
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    outcome = Outcome()
    factory = application(adapter, outcome)
    with (
        serving(adapter, factory, CONFIG, TlsConfig(server_side)) as port,
        ThreadPoolExecutor(TOGETHER) as pool,
    ):
        for start in range(0, count, count // 10):
            numbers = range(start, start + count // 10)
            list(pool.map(lambda each: visit(port, each, client_side, outcome), numbers))
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            outcome.memory.append(pages * os.sysconf("SC_PAGE_SIZE") // 1024)
    return outcome


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", choices=SERVERS)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    outcome = stress(options.adapter, options.count)
    print(
        f"{options.adapter}: {outcome.begun} sessions begun, {outcome.ended} ended;"
        f" {outcome.accepted.total()} messages accepted, {outcome.stored.total()} handed over,"
        f" {len(outcome.accepted - outcome.stored)} of them lost;"
        f" KiB: {', '.join(map(str, outcome.memory))}"
    )


if __name__ == "__main__":
    main()
