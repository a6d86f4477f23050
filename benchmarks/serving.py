"""Servers of every adapter in processes of their own: what idle and greedy clients cost there."""

import asyncio
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, perf_counter

import trio
import trustme
import uvloop

from benchmarks import ours
from benchmarks.dialogue import EHLO, LOCKSTEP
from benchmarks.harness import MissingToolError, Work
from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.limits import Limits
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.value import replace

__all__ = [
    "ADAPTERS",
    "Served",
    "beside_idle",
    "idle_memory",
    "lockstep",
    "longest_wait",
    "on_one_processor",
    "served",
]

_ROOT = Path(__file__).parent.parent
_HOST = "127.0.0.1"
_CONFIG = replace(
    ServerConfig.relay("mx.example.org", local_domains=["d.example", "example.org"]),
    limits=Limits(message=0, recipients=10**6, junk=10**9),
)


def _ended() -> None:
    """Wait until standard input ends, which it does with the process that started this one."""
    sys.stdin.read()


def _serve_blocking(config: ServerConfig, tls: TlsConfig | None) -> None:
    threading.stack_size(256 * 1024)
    with blocking.start_server(ours.plain_session, config, _HOST, 0, tls=tls) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        _ended()


async def _serve_in_loop(config: ServerConfig, tls: TlsConfig | None) -> None:
    server = await asyncio_adapter.start_server(ours.plain_session, config, _HOST, 0, tls=tls)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(_ended)


def _serve_asyncio(config: ServerConfig, tls: TlsConfig | None) -> None:
    asyncio.run(_serve_in_loop(config, tls))


def _serve_uvloop(config: ServerConfig, tls: TlsConfig | None) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_in_loop(config, tls))


async def _serve_in_trio(config: ServerConfig, tls: TlsConfig | None) -> None:
    server = await trio_adapter.start_server(ours.plain_session, config, _HOST, 0, tls=tls)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await trio.to_thread.run_sync(_ended)


def _serve_trio(config: ServerConfig, tls: TlsConfig | None) -> None:
    trio.run(_serve_in_trio, config, tls)


ADAPTERS: dict[str, Callable[[ServerConfig, TlsConfig | None], None]] = {
    "blocking": _serve_blocking,
    "asyncio": _serve_asyncio,
    "uvloop": _serve_uvloop,
    "trio": _serve_trio,
}


class Served:
    """A server in a process."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, tls: bool) -> None:
        self._process, self.port, self._tls = process, port, tls

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> int:
        """Octets that the process has in memory."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def connect(self) -> socket.socket:
        """A session after EHLO, under TLS where there is any."""
        sock = socket.create_connection((_HOST, self.port), 30)
        sock.recv(1000)
        sock.sendall(EHLO)
        sock.recv(1000)
        if self._tls:
            sock.sendall(b"STARTTLS\r\n")
            sock.recv(1000)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            sock = context.wrap_socket(sock)
            sock.sendall(EHLO)
            sock.recv(1000)
        return sock


@contextmanager
def served(adapter: str, *, tls: bool = False) -> Iterator[Served]:
    """Run an adapter's server in a process."""
    with tempfile.TemporaryDirectory() as directory:
        certificate = Path(directory) / "certificate.pem"
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
            str(certificate)
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving", adapter, str(certificate) if tls else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
        )
        with process:
            try:
                line = process.stdout.readline() if process.stdout else b""
                if not line:
                    raise RuntimeError(f"the server {adapter!r} did not start")
                yield Served(process, int(line), tls)
            finally:
                process.kill()


def idle_memory(adapter: str, *, tls: bool, count: int = 300) -> float:
    """Octets that one idle session after EHLO needs: engine, adapter, OpenSSL, a thread's stack."""
    with served(adapter, tls=tls) as server:
        warm = [server.connect() for _ in range(20)]
        before = server.memory
        idle = [server.connect() for _ in range(count)]
        used = server.memory - before
        for sock in warm + idle:
            sock.close()
    return used / count


def _open_files_for(count: int) -> None:
    """Let this process and those it starts have so many sockets and some files."""
    wanted = count + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise MissingToolError(f"needs a limit of {wanted} open files: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def beside_idle(adapter: str, count: int) -> Iterator[tuple[Served, float]]:
    """Run an adapter's server with so many idle sessions; what one of them needs, in octets."""
    _open_files_for(count)
    with served(adapter) as server:
        kept = [server.connect() for _ in range(20)]
        before = server.memory
        kept += [server.connect() for _ in range(count)]
        try:
            yield server, (server.memory - before) / count
        finally:
            for sock in kept:
                sock.close()


@contextmanager
def on_one_processor(*servers: Served) -> Iterator[None]:
    """Keep this process and these where one acts at a time: which processor wakes up costs more
    than a message, and is not always the same."""
    pids = [0, *(server.pid for server in servers)]
    before = os.sched_getaffinity(0)
    for pid in pids:
        os.sched_setaffinity(pid, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def lockstep(server: Served) -> Work:
    """Send messages over one connection, a reply awaited after every command."""
    sock = server.connect()

    def work(count: int) -> None:
        for _ in range(count):
            for step in LOCKSTEP:
                sock.sendall(step.data)
                reply = sock.recv(1000)
        if not reply.startswith(b"250"):
            raise RuntimeError(f"refused: {reply!r}")

    return work


def _flood(port: int, stop: threading.Event) -> None:
    """Pipeline empty messages, as fast as they are taken, and read the replies."""
    message = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 0 LAST\r\n" * 2000
    with socket.create_connection((_HOST, port)) as sock:
        sock.sendall(EHLO)

        def read() -> None:
            with suppress(OSError):
                while sock.recv(1 << 20):
                    pass

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        with suppress(OSError):
            while not stop.is_set():
                sock.sendall(message)


def longest_wait(adapter: str, seconds: float) -> float:
    """The longest time in seconds that another session waits for a reply meanwhile."""
    stop = threading.Event()
    longest = 0.0
    with served(adapter) as server, server.connect() as other:
        flood = threading.Thread(target=_flood, args=(server.port, stop), daemon=True)
        flood.start()
        end = monotonic() + seconds
        while monotonic() < end:
            start = perf_counter()
            other.sendall(b"NOOP\r\n")
            other.recv(1000)
            longest = max(longest, perf_counter() - start)
        stop.set()
    flood.join(10)
    return longest


def _main(adapter: str, certificate: str) -> None:
    config, tls = _CONFIG, None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        config, tls = replace(_CONFIG, starttls=True), TlsConfig(context)
    ADAPTERS[adapter](config, tls)


if __name__ == "__main__":
    _main(*sys.argv[1:])
