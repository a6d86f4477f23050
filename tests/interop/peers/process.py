"""Starting and ending a peer's process: alone in its namespaces, without DNS, ended by its own id."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

DATA = Path(__file__).parent / "data"
STARTING = 15.0
"""Seconds a peer may take until all its ports accept connections."""

_given: set[int] = set()


def free_port() -> int:
    """A free loopback TCP port below the range from which the kernel picks client ports."""
    while True:
        port = random.randrange(20000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


class Process:
    """A daemon in the foreground, in namespaces of its own where we may make them.

    There it sees no name server, a host file with ``localhost`` alone, and the bind mounts given.
    When this process ends, however it ends, the daemon and all its children end with it.
    """

    def __init__(
        self,
        directory: Path,
        command: Iterable[str],
        *,
        environment: Mapping[str, str] | None = None,
        binds: Mapping[Path, Path] | None = None,
    ) -> None:
        self.output = directory / "output.log"
        arguments = list(command)
        self._isolated = os.geteuid() == 0
        if self._isolated:
            arguments = self._in_namespaces(directory, arguments, binds or {})
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                arguments,
                cwd=directory,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @staticmethod
    def _in_namespaces(
        directory: Path, arguments: list[str], binds: Mapping[Path, Path]
    ) -> list[str]:
        files = {
            "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
            "hosts": "127.0.0.1 localhost.localdomain localhost\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
        }
        mounts = {}
        for name, content in files.items():
            source = directory / f"etc-{name}"
            source.write_text(content)
            mounts[source] = Path("/etc", name)
        mounts.update(binds)
        lines = [f"{source} {target}\n" for source, target in mounts.items()]
        (directory / "binds").write_text("".join(lines))
        return [
            *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", str(DATA / "namespace.sh"), str(directory), *arguments),
        ]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for_ports(self, ports: Iterable[int]) -> None:
        """Return when every port accepts connections; raise RuntimeError when one does not."""
        deadline = time.monotonic() + STARTING
        for port in ports:
            while not _accepts(port):
                if not self.running or time.monotonic() > deadline:
                    raise RuntimeError(f"nothing listens on 127.0.0.1:{port}")
                time.sleep(0.02)

    def stop(self) -> None:
        """End the process and its children; returns when they have ended. May be called again."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if not self._isolated and self.running:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
