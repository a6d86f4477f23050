"""The table of figures: what is measured, against whom, and what the goal is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import ours, serving
from benchmarks.build import Build
from benchmarks.contents import KINDS, MESSAGE, chunked, content, wire
from benchmarks.dialogue import CONNECTION, LOCKSTEP, PIPELINED, Step, body_steps
from benchmarks.harness import (
    KIB,
    MIB,
    Effort,
    Measured,
    Work,
    doubled,
    extremes,
    from_rounds,
    peak_memory,
    retained_memory,
    speed,
    time,
)
from benchmarks.loopback import distant_sink, postfix_sink, server, smtp_source
from benchmarks.memory import connections, event_loop, messages
from benchmarks.peers import (
    aiosmtpd_server,
    aiosmtplib_client,
    h11_server,
    imports,
    newline_pass,
    scramp_server,
    smtplib_client,
    twisted_server,
)

__all__ = ["FIGURES", "Better", "Figure"]


class Better(Enum):
    """Which way a figure improves."""

    MORE = "≥"
    LESS = "≤"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table."""

    number: int
    name: str
    description: str
    peer: str
    better: Better
    goal: float
    unit: str
    measure: Callable[[Effort], Measured]
    compiled: float | None = None
    """The goal of the compiled build, where that has one of its own."""

    def goal_of(self, build: Build) -> float:
        """What a build is to reach; the reference sets what any other Python is shown beside."""
        return self.goal if self.compiled is None or not build.compiled else self.compiled

    def met(self, median: float, build: Build) -> bool:
        """Whether the build's goal is reached."""
        goal = self.goal_of(build)
        return median >= goal if self.better is Better.MORE else median <= goal


Measure = Callable[[Effort], Measured]


def _server(steps: tuple[Step, ...]) -> Measure:
    def measure(effort: Effort) -> Measured:
        with event_loop() as loop:
            peer = messages(loop, aiosmtpd_server.make_protocol, steps)
            return speed(ours.server_messages(steps), peer, effort)

    return measure


def _adapter(steps: tuple[Step, ...]) -> Measure:
    def measure(effort: Effort) -> Measured:
        with event_loop() as loop:
            mine = messages(loop, ours.protocol_with_plain_handler, steps)
            peer = messages(loop, aiosmtpd_server.make_protocol, steps)
            return speed(mine, peer, effort)

    return measure


def _twisted(effort: Effort) -> Measured:
    return speed(ours.server_messages(LOCKSTEP), twisted_server.messages(LOCKSTEP), effort)


def _h11(effort: Effort) -> Measured:
    return time(ours.server_messages(LOCKSTEP), h11_server.cycles, effort)


def _connections(effort: Effort) -> Measured:
    with event_loop() as loop:
        peer = connections(loop, aiosmtpd_server.make_protocol, CONNECTION)
        return speed(ours.server_connections(CONNECTION), peer, effort)


def _idle(effort: Effort) -> Measured:
    return retained_memory(ours.idle_server, 1000, KIB)


def _decoding(kind: str) -> Measure:
    def measure(effort: Effort) -> Measured:
        chunks = wire(kind, effort.body_octets)
        return time(ours.decoding(chunks), newline_pass.passes(chunks), effort)

    return measure


def _receiving(kind: str, share: int = 1) -> Measure:
    def measure(effort: Effort) -> Measured:
        steps = body_steps(wire(kind, effort.slow_body_octets // share))
        with event_loop() as loop:
            peer = messages(loop, aiosmtpd_server.make_protocol, steps)
            return speed(ours.server_messages(steps), peer, effort)

    return measure


def _extreme_bodies(effort: Effort) -> Measured:
    size = effort.slow_body_octets // 2
    return extremes(
        {kind: ours.server_messages(body_steps(wire(kind, size))) for kind in KINDS}, effort
    )


def _doubled(work: Callable[[int], Work], size: int) -> Measure:
    def measure(effort: Effort) -> Measured:
        return doubled(work(2 * size), work(size), effort)

    return measure


def _receive_messages(count: int) -> Work:
    return ours.server_connections((CONNECTION[0], *LOCKSTEP * count, CONNECTION[-1]))


def _memory_dropped(effort: Effort) -> Measured:
    return peak_memory(lambda: ours.receive_and_drop(50 * MIB), MIB)


def _memory_kept(effort: Effort) -> Measured:
    return peak_memory(lambda: ours.receive_and_keep(50 * MIB), 50 * MIB)


def _memory_sending(effort: Effort) -> Measured:
    return peak_memory(lambda: ours.send_iterable(50 * MIB), MIB)


def _bdat(*, check: bool) -> Measure:
    def measure(effort: Effort) -> Measured:
        body = content("text", effort.body_octets)
        mine = ours.dropping_chunks(body, check=check)
        return time(mine, newline_pass.passes(chunked(body)), effort)

    return measure


def _client_smtplib(effort: Effort) -> Measured:
    return speed(ours.client_messages(MESSAGE), smtplib_client.in_memory(MESSAGE), effort)


def _flights_smtplib(effort: Effort) -> Measured:
    return speed(ours.client_flights(MESSAGE), smtplib_client.in_memory(MESSAGE), effort)


def _flights_aiosmtplib(effort: Effort) -> Measured:
    with event_loop() as loop:
        peer = aiosmtplib_client.in_memory(loop, MESSAGE)
        return speed(ours.client_flights(MESSAGE), peer, effort)


def _client_aiosmtplib(effort: Effort) -> Measured:
    with event_loop() as loop:
        peer = aiosmtplib_client.in_memory(loop, MESSAGE)
        return speed(ours.client_messages(MESSAGE), peer, effort)


def _client_body(kind: str) -> Measure:
    def measure(effort: Effort) -> Measured:
        body = content(kind, effort.body_octets)
        return speed(ours.client_messages(body), smtplib_client.in_memory(body), effort)

    return measure


def _client_loopback(effort: Effort) -> Measured:
    with postfix_sink() as port:
        mine = ours.blocking_connections(port, MESSAGE, effort.messages)
        return speed(mine, smtplib_client.connections(port, MESSAGE, effort.messages), effort)


def _batches(sink: Callable[[], AbstractContextManager[int]]) -> Measure:
    def measure(effort: Effort) -> Measured:
        with sink() as port:
            mine = ours.blocking_batches(port, MESSAGE, effort.messages)
            return speed(mine, smtplib_client.connections(port, MESSAGE, effort.messages), effort)

    return measure


def _connection_smtplib(effort: Effort) -> Measured:
    with postfix_sink() as port:
        mine = ours.blocking_connections(port, MESSAGE, 1)
        return time(mine, smtplib_client.connections(port, MESSAGE, 1), effort)


def _connection_aiosmtplib(effort: Effort) -> Measured:
    with event_loop() as loop, postfix_sink() as port:
        mine = ours.asyncio_connections(loop, port, MESSAGE)
        return time(mine, aiosmtplib_client.connections(loop, port, MESSAGE), effort)


@contextmanager
def _sources(octets: int, *servers: str) -> Iterator[list[Work]]:
    """smtp-source against each of the servers."""
    if not servers:
        yield []
        return
    first, *others = servers
    with server(first) as port, _sources(octets, *others) as rest:
        yield [smtp_source(port, octets), *rest]


def _source(mine: str, peer: str, octets: int = KIB) -> Measure:
    def measure(effort: Effort) -> Measured:
        with _sources(octets, mine, peer) as works:
            return speed(works[0], works[1], effort, effort.loopback_seconds)

    return measure


def _source_and_sink(mine: str, octets: int = KIB) -> Measure:
    def measure(effort: Effort) -> Measured:
        with server(mine) as port, postfix_sink() as sink:
            return speed(
                smtp_source(port, octets),
                smtp_source(sink, octets),
                effort,
                effort.loopback_seconds,
            )

    return measure


def _adapter_idle(adapter: str, *, tls: bool) -> Measure:
    def measure(effort: Effort) -> Measured:
        rounds = tuple(serving.idle_memory(adapter, tls=tls) / KIB for _ in range(SERVED_ROUNDS))
        return Measured(rounds)

    return measure


def _idle_sessions(effort: Effort) -> Measured:
    with serving.beside_idle("asyncio", MANY) as (_, octets):
        return Measured((octets / KIB,))


def _beside_idle_sessions(effort: Effort) -> Measured:
    with (
        serving.beside_idle("asyncio", MANY) as (many, _),
        serving.served("asyncio") as none,
        serving.on_one_processor(many, none),
    ):
        return time(serving.lockstep(many), serving.lockstep(none), effort)


def _wait(adapter: str) -> Measure:
    def measure(effort: Effort) -> Measured:
        seconds = 4 * effort.loopback_seconds
        waits = (serving.longest_wait(adapter, seconds) for _ in range(SERVED_ROUNDS))
        return Measured(tuple(1000 * wait for wait in waits))

    return measure


# The root alone loads nothing: what a server's program needs is what costs.
SERVED_ROUNDS: Final = 3
MANY: Final = 9000
"""Idle sessions at a time."""
ROOT_IMPORT: Final = "import smtpwire"
SERVER_IMPORT: Final = "from smtpwire import ServerConfig, ServerConnection"
ITS_IMPORT: Final = "import smtplib"


def _imports(statement: str) -> Callable[[Effort], Measured]:
    def measure(effort: Effort) -> Measured:
        with TemporaryDirectory() as cache:
            _, *rounds = (  # the first round only writes the byte code
                tuple(imports.import_seconds(each, Path(cache)) for each in (statement, ITS_IMPORT))
                for _ in range(effort.rounds + 1)
            )
        return from_rounds([(mine, its) for mine, its in rounds], lambda mine, its: mine / its)

    return measure


def _scram(effort: Effort) -> Measured:
    return speed(ours.scram_exchanges, scramp_server.exchanges, effort)


_IN_MEMORY = "aiosmtpd in memory"
_ITSELF = "itself with half"
_PASS = "a newline pass"
_PLAIN, _ASYNC = "smtpwire, plain handler", "smtpwire, async handler"
_MORE, _LESS = Better.MORE, Better.LESS

FIGURES: tuple[Figure, ...] = (
    Figure(1, "server-lockstep", "server engine, messages/s, lock-step",
           _IN_MEMORY, _MORE, 13, "×", _server(LOCKSTEP), compiled=23),
    Figure(1, "server-pipelined", "server engine, messages/s, pipelined",
           _IN_MEMORY, _MORE, 13, "×", _server(PIPELINED), compiled=23),
    Figure(2, "adapter-lockstep", "asyncio adapter, messages/s, lock-step",
           _IN_MEMORY, _MORE, 7, "×", _adapter(LOCKSTEP), compiled=9.5),
    Figure(2, "adapter-pipelined", "asyncio adapter, messages/s, pipelined",
           _IN_MEMORY, _MORE, 8.5, "×", _adapter(PIPELINED), compiled=12),
    Figure(3, "server-twisted", "server engine, messages/s, lock-step",
           "Twisted's ESMTP", _MORE, 3, "×", _twisted, compiled=5),
    Figure(4, "server-h11", "server engine, time of one message",
           "h11's GET cycle", _LESS, 0.32, "×", _h11, compiled=0.18),
    Figure(5, "server-connection", "server engine, one message a connection",
           _IN_MEMORY, _MORE, 16, "×", _connections, compiled=22),
    Figure(5, "server-idle", "memory of an idle server connection",
           "-", _LESS, 1, " KiB", _idle),
    Figure(6, "decode-base64", "DATA decoding, time, base64",
           _PASS, _LESS, 1.1, "×", _decoding("base64"), compiled=0.25),
    Figure(6, "decode-text", "DATA decoding, time, text",
           _PASS, _LESS, 1.75, "×", _decoding("text"), compiled=0.25),
    Figure(6, "decode-dots", "DATA decoding, time, dot on every line",
           _PASS, _LESS, 4.2, "×", _decoding("a dot on every line"), compiled=1.5),
    Figure(7, "receive-base64", "DATA received and kept, MB/s, base64",
           _IN_MEMORY, _MORE, 30, "×", _receiving("base64")),
    Figure(7, "receive-text", "DATA received and kept, MB/s, text",
           _IN_MEMORY, _MORE, 28, "×", _receiving("text")),
    Figure(7, "receive-dots", "DATA received and kept, MB/s, dot-heavy",
           _IN_MEMORY, _MORE, 13, "×", _receiving("a dot on every line")),
    Figure(7, "receive-short-lines", "DATA received and kept, MB/s, 3-byte lines",
           _IN_MEMORY, _MORE, 400, "×", _receiving("3-octet lines", share=8)),
    Figure(8, "receive-extremes", "time of the slowest valid body",
           "the fastest one", _LESS, 12, "×", _extreme_bodies),
    Figure(9, "double-body", "time of twice the body",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.dropping_text, 4 * MIB)),
    Figure(9, "double-messages", "time of twice the messages",
           _ITSELF, _LESS, 2.1, "×", _doubled(_receive_messages, 200)),
    Figure(9, "double-commands", "time of twice the commands in one chunk",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.commands_in_one_chunk, 1000)),
    Figure(9, "double-recipients", "time of twice the recipients",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.recipients, 500)),
    Figure(9, "double-hundreds", "time of twice the messages to 100 recipients",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.recipients_of_messages, 10)),
    Figure(9, "double-backlog", "time of twice the octets, a reply owed",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.octets_while_a_reply_is_owed, 1000)),
    Figure(9, "double-continuations", "time of twice the continuation lines",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.continuation_lines, 200)),
    Figure(9, "double-deliveries", "time of twice the one-octet deliveries",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.one_octet_deliveries, 8 * KIB)),
    Figure(9, "double-connections", "time of twice the connections at a time",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.connections, 200)),
    Figure(9, "double-idle", "time of twice the idle connections",
           _ITSELF, _LESS, 2.1, "×", _doubled(ours.idle_connections, 400)),
    Figure(10, "memory-dropped", "memory, 50 MiB received and dropped",
           "-", _LESS, 0.2, " MiB", _memory_dropped),
    Figure(10, "memory-kept", "memory, 50 MiB received, kept, joined",
           "the message", _LESS, 2.1, "×", _memory_kept),
    Figure(10, "memory-sending", "memory, 50 MiB sent from an iterable",
           "-", _LESS, 0.2, " MiB", _memory_sending),
    Figure(11, "bdat", "BDAT, time, line ends unseen",
           _PASS, _LESS, 0.2, "×", _bdat(check=False)),
    Figure(11, "bdat-checked", "BDAT, time, line ends checked",
           _PASS, _LESS, 1.15, "×", _bdat(check=True), compiled=0.25),
    Figure(12, "client-smtplib", "client engine, messages/s",
           "smtplib in memory", _MORE, 2.4, "×", _client_smtplib, compiled=4),
    Figure(12, "client-aiosmtplib", "client engine, messages/s",
           "aiosmtplib in memory", _MORE, 8.5, "×", _client_aiosmtplib, compiled=14),
    Figure(12, "flights-smtplib", "client engine, each envelope behind the dot before it",
           "smtplib in memory", _MORE, 2.4, "×", _flights_smtplib, compiled=4),
    Figure(12, "flights-aiosmtplib", "client engine, each envelope behind the dot before it",
           "aiosmtplib in memory", _MORE, 8.5, "×", _flights_aiosmtplib, compiled=14),
    Figure(13, "send-base64", "client engine, 25 MiB, MB/s, base64",
           "smtplib in memory", _MORE, 10, "×", _client_body("base64")),
    Figure(13, "send-text", "client engine, 25 MiB, MB/s, text",
           "smtplib in memory", _MORE, 5, "×", _client_body("text")),
    Figure(13, "send-dots", "client engine, 25 MiB, MB/s, dot-heavy",
           "smtplib in memory", _MORE, 5, "×", _client_body("a dot on every line")),
    Figure(14, "client-loopback", "blocking client, 100 messages a connection, smtp-sink",
           "smtplib", _MORE, 1.35, "×", _client_loopback),
    Figure(14, "client-many", "blocking client, the same by send_many()",
           "smtplib", _MORE, 2, "×", _batches(postfix_sink)),
    Figure(14, "client-many-distant", "blocking client, send_many(), round trip of 4 ms",
           "smtplib", _MORE, 3.5, "×", _batches(distant_sink)),
    Figure(14, "client-connection", "blocking client, time of one message a connection",
           "smtplib", _LESS, 1.3, "×", _connection_smtplib),
    Figure(14, "client-connection-asyncio", "asyncio client, time of one message a connection",
           "aiosmtplib", _LESS, 0.8, "×", _connection_aiosmtplib),
    Figure(15, "source-async", "adapter, smtp-source, async handler",
           "aiosmtpd", _MORE, 4, "×", _source(_ASYNC, "aiosmtpd"), compiled=5),
    Figure(15, "source-plain", "adapter, smtp-source, plain handler",
           "aiosmtpd", _MORE, 4.5, "×", _source(_PLAIN, "aiosmtpd"), compiled=5.5),
    Figure(15, "source-service", "adapter, smtp-source, Service",
           "plain handler", _MORE, 0.95, "×", _source("smtpwire, Service", _PLAIN)),
    Figure(16, "source-bound", "adapter, smtp-source, plain handler",
           "Protocol parsing nothing", _MORE, 0.55, "×",
           _source(_PLAIN, "nothing parsed"), compiled=0.65),
    Figure(16, "source-uvloop", "adapter, smtp-source, uvloop",
           "smtp-sink (C)", _MORE, 0.75, "×",
           _source_and_sink("smtpwire, uvloop"), compiled=0.93),
    Figure(17, "large-aiosmtpd", "adapter, smtp-source, 1 MiB messages",
           "aiosmtpd", _MORE, 8, "×", _source(_PLAIN, "aiosmtpd", MIB)),
    Figure(17, "large-sink", "adapter, smtp-source, 1 MiB messages",
           "smtp-sink (C)", _MORE, 2.6, "×", _source_and_sink(_PLAIN, MIB)),
    Figure(18, "import", "import time of the package",
           "smtplib", _LESS, 1.0, "×", _imports(ROOT_IMPORT)),
    Figure(18, "import-server", "import time of all that a server uses",
           "smtplib", _LESS, 0.9, "×", _imports(SERVER_IMPORT)),
    Figure(19, "scram", "SCRAM-SHA-256 server exchanges/s",
           "scramp", _MORE, 3, "×", _scram),
    *(
        Figure(20, f"wait-{adapter}", f"longest wait beside a flood, {adapter}",
               "-", _LESS, 20, " ms", _wait(adapter))
        for adapter in serving.ADAPTERS
    ),
    *(
        Figure(21, f"idle-{adapter}{'-tls' * tls}",
               f"memory of an idle session, {adapter}{', TLS' * tls}",
               "-", _LESS, goal, " KiB", _adapter_idle(adapter, tls=tls))
        for tls, adapter, goal in (
            (False, "blocking", 40), (False, "asyncio", 6), (False, "uvloop", 5),
            (False, "trio", 15), (True, "blocking", 90), (True, "asyncio", 30),
            (True, "uvloop", 30), (True, "trio", 40),
        )
    ),
    Figure(22, "idle-9000", f"memory of one of {MANY:,} idle sessions, asyncio",
           "-", _LESS, 4.2, " KiB", _idle_sessions),
    Figure(22, "beside-9000", f"time of a message beside {MANY:,} idle sessions, asyncio",
           "beside none", _LESS, 1.15, "×", _beside_idle_sessions),
)  # fmt: skip
"""Every figure, in the order of the table."""
