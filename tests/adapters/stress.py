"""Many clients at once that reset, stall and vanish: ``python -m tests.adapters.stress``.

What a client was told was accepted has been handed over, once, and nothing else happens: no
session is left, no error is logged, and memory stays flat once everything has been used. The
clients run in a process of their own, lest their threads' memory be taken for the server's.
"""

import argparse
import asyncio
import ctypes
import gc
import logging
import os
import random
import socket
import ssl
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Awaitable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import linear_regression
from time import monotonic, sleep
from typing import NamedTuple, cast

from tests.adapters.handlers import Mailbox, pause
from tests.adapters.servers import SERVERS, Dialogue, serving

from smtpwire.adapters.eager import EagerTask
from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.session import Handler, Session, SessionFactory
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import BodyChunk, Closed, Connected, EndOfMessage, ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.testing import certificate
from smtpwire.wire.command import Mail
from smtpwire.wire.value import replace

__all__ = ["Outcome", "Sample", "Visit", "faults", "stress"]

CONFIG = replace(
    ServerConfig.relay("mx.example.org"),
    starttls=True,
    timeouts=Timeouts(command=2.0, block=2.0, handshake=2.0, quit=2.0),
)
TOGETHER = 16
ROUND = 10 * TOGETHER
INTERVAL = 10.0
"""Seconds from one look at the process to the next."""
GROWTH = 32.0
"""KiB that a thousand connections may leave, by the slope of the second half of a long run.

Pages that the allocator cuts up are in it. One session of a hundred that was kept would be more.
"""
LONG = 2000
"""Connections in the second half, from which on that slope means something."""


class Sample(NamedTuple):
    """A look at the process, after garbage was collected."""

    seconds: float
    visits: int
    kib: int
    descriptors: int
    threads: int


class Visit(NamedTuple):
    """What became of one client."""

    fate: str
    accepted: str = ""
    """The name of its message, where it was told so."""


@dataclass
class Outcome:
    """What came of it: counts, and the names of what failed or is under way."""

    accepted: int = 0
    """Messages of which a client was told so."""
    stored: int = 0
    """Messages that the server's application took."""
    untold: set[str] = field(default_factory=set)
    """Those among them of which no client was told, or not yet."""
    lost: set[str] = field(default_factory=set)
    """Messages of which a client was told, and the application has none."""
    again: int = 0
    """Messages that the application took twice."""
    begun: int = 0
    ended: int = 0
    visits: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    """What became of the clients, and how many handlers were dropped."""
    samples: list[Sample] = field(default_factory=list)
    left: str = ""
    """Descriptors and threads at the end that were not there before."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def store(self, name: str) -> None:
        with self.lock:
            self.stored += 1
            self.again += name in self.untold
            self.untold.add(name)

    def note(self, visits: Sequence[Visit]) -> None:
        with self.lock:
            self.visits += len(visits)
            self.fates.update(each.fate for each in visits)
            names = {each.accepted for each in visits if each.accepted}
            self.accepted += len(names)
            self.lost |= names - self.untold
            self.untold -= names


def drop(adapter: str, session: Session) -> None:
    """Cancel the handler; where the loop cannot do that alone, drop its connection."""
    if adapter in ("asyncio", "uvloop"):
        task = asyncio.current_task()
        if task is not None and task.get_coro().__class__ is EagerTask:
            task.cancel()
            return
    session.close()


def application(adapter: str, outcome: Outcome) -> SessionFactory:
    """Stores each message, now and then after a while; is cancelled now and then."""
    chance = random.Random(1)

    def factory(session: Session) -> Handler:
        body: list[bytes] = []

        def step(session: Session, event: ServerEvent) -> Awaitable[None] | None:
            with outcome.lock:
                outcome.begun += isinstance(event, Connected)
                outcome.ended += isinstance(event, Closed)
            if isinstance(event, EndOfMessage):
                outcome.store(b"".join(body).decode().strip())
                body.clear()
            if isinstance(event, BodyChunk):
                body.append(event.data)
            fate = chance.random()
            if isinstance(event, Mail) and fate < 0.02:
                with outcome.lock:
                    outcome.fates["drop"] += 1
                return dropped()
            slow = isinstance(event, EndOfMessage | Connected) and fate < 0.2
            return pause(adapter, 0.01) if slow else None

        async def dropped() -> None:
            drop(adapter, session)
            await (pause(adapter, 0.01) or nothing())

        return Mailbox(step)(session)

    return factory


async def nothing() -> None:
    pass


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


def visit(port: int, context: ssl.SSLContext, number: int) -> Visit:
    """One client, whose fate follows from its number."""
    chance = random.Random(number)
    fate = chance.choice(["send", "send", "send", "reset", "stall", "vanish", "flood"])
    with suppress(OSError), Dialogue(port) as client:
        return Visit(fate, act(client, context, number, fate, chance))
    return Visit(fate)


def act(
    client: Dialogue, context: ssl.SSLContext, number: int, fate: str, chance: random.Random
) -> str:
    """The name of the message that was accepted, if one was."""
    name = f"message {number}"
    message = (
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
        + name.encode()
        + b"\r\n.\r\n"
    )
    if fate == "flood":
        client.send(b"NOOP\r\n" * 1000)
        client.rest()
        return ""
    client.reply()
    client.say(b"EHLO client.example.com")
    if chance.random() < 0.3:
        client.say(b"STARTTLS")
        if fate == "vanish" and chance.random() < 0.5:
            return ""
        start_tls(client, context)
        client.say(b"EHLO client.example.com")
    if fate != "send":
        client.send(message[: chance.randrange(len(message) - 3)])
        if fate == "stall":
            sleep(chance.choice([0.05, 2.5]) if number % 50 == 0 else 0.02)
        if fate == "reset":
            client.reset()
        return ""
    client.send(message)
    replies = [client.reply() for _ in range(4)]
    if replies[-1].startswith(b"250 "):
        with suppress(OSError):
            client.say(b"QUIT")
        return name
    return ""


def visits(port: int, authority: str, numbers: range) -> list[Visit]:
    """A round of clients, so many at once."""
    context = ssl.create_default_context(cadata=authority)
    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(partial(visit, port, context), numbers))


def look(seconds: float, visits: int) -> Sample:
    """Collect garbage, have what is free given back, and look at what is left."""
    gc.collect()
    with suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        seconds,
        visits,
        pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        len(os.listdir("/proc/self/fd")),
        threading.active_count(),
    )


def stress(adapter: str, count: int, seconds: float = 0.0) -> Outcome:
    """So many connections at least, and for so long; what is left is looked at between them."""
    server_side = TlsConfig(certificate().server_context())
    authority = certificate().trusted_pem.decode()
    outcome = Outcome()
    factory = application(adapter, outcome)
    with ProcessPoolExecutor(1, get_context("spawn")) as clients:
        clients.submit(int).result()
        with serving(adapter, factory, CONFIG, server_side):
            pass  # uvloop keeps two descriptors from its first loop on
        before = look(0.0, 0)
        start = monotonic()
        with serving(adapter, factory, CONFIG, server_side) as port:
            looked = passed = 0.0
            while outcome.visits < count or passed < seconds:
                numbers = range(outcome.visits, outcome.visits + ROUND)
                outcome.note(clients.submit(visits, port, authority, numbers).result())
                passed = monotonic() - start
                if passed - looked >= INTERVAL:
                    looked = passed
                    outcome.samples.append(look(passed, outcome.visits))
        after = look(monotonic() - start, outcome.visits)
    outcome.left = "".join(
        f"{what}: {had} before, {has} after; "
        for what, had, has in (
            ("descriptors", before.descriptors, after.descriptors),
            ("threads", before.threads, after.threads),
        )
        if has > had
    )
    return outcome


def growth(samples: Sequence[Sample]) -> float | None:
    """KiB a thousand connections have left in the second half of the run; None: it was short."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3 or half[-1].visits - half[0].visits < LONG:
        return None
    visits, sizes = [each.visits for each in half], [each.kib for each in half]
    return linear_regression(visits, sizes).slope * 1000


class Complaints:
    """Everything that warns: the log, warnings, and what nobody could be told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self.texts.append(record.getMessage())  # type: ignore[method-assign]
        logging.basicConfig(handlers=[handler])
        logging.captureWarnings(True)
        warnings.simplefilter("always")
        sys.unraisablehook = lambda lost: self.texts.append(repr(lost.exc_value))
        threading.excepthook = lambda lost: self.texts.append(repr(lost.exc_value))


def faults(outcome: Outcome) -> list[str]:
    """What does not hold."""
    grown = growth(outcome.samples) or 0.0
    return [
        f"{what}: {found}"
        for what, found in (
            ("accepted, and not handed over", sorted(outcome.lost)),
            ("handed over twice", outcome.again),
            ("handed over, and nobody was told", sorted(outcome.untold)),
            ("sessions without an end", outcome.begun - outcome.ended),
            ("left", outcome.left),
            ("KiB left by a thousand connections", round(grown) if grown > GROWTH else 0),
            ("messages at all", "" if outcome.stored else "none"),
        )
        if found
    ]


def shown(adapter: str, outcome: Outcome) -> str:
    """What came of it: a line of counts, and one for each of some looks at the process."""
    fates = ", ".join(f"{count} {fate}" for fate, count in sorted(outcome.fates.items()))
    grown = growth(outcome.samples)
    counts = (
        f"{adapter}: {outcome.visits} connections ({fates}), {outcome.begun} sessions begun,"
        f" {outcome.ended} ended; {outcome.accepted} messages accepted, {outcome.stored} handed over"
    )
    fifth = max(len(outcome.samples) // 5, 1)
    looks = [
        f"  at {each.seconds:.0f} s and {each.visits} connections: {each.kib} KiB,"
        f" {each.descriptors} descriptors, {each.threads} threads"
        for each in outcome.samples[fifth - 1 :: fifth]
    ]
    flat = [] if grown is None else [f"  {grown:+.0f} KiB a thousand connections (second half)"]
    return "\n".join([counts, *looks, *flat])


def main() -> int:
    """Print what came of each adapter; 1 where something does not hold, or anything complained."""
    parser = argparse.ArgumentParser(prog="python -m tests.adapters.stress", description=__doc__)
    parser.add_argument("adapter", choices=SERVERS, nargs="?", help="only this one")
    parser.add_argument("--count", type=int, default=200, help="connections at least (200)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all together (60)")
    options = parser.parse_args()
    adapters = [options.adapter] if options.adapter else list(SERVERS)
    complaints = Complaints()
    found: list[str] = []
    for adapter in adapters:
        outcome = stress(adapter, options.count, options.seconds / len(adapters))
        print(shown(adapter, outcome), flush=True)
        found += [f"{adapter}: {fault}" for fault in faults(outcome)]
    gc.collect()
    found += complaints.texts
    print("\n".join(found[:20]) or "nothing lost, nothing left, no complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
