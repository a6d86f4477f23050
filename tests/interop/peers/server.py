"""What every server peer has in common."""

import re
import shutil
import smtplib
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import ClassVar, Literal, Self

from tests.interop.peers.certificates import Authority
from tests.interop.peers.process import DATA, Process, free_port
from tests.interop.peers.requirements import require

PASSWORD = "pencil"

# What servers put before a message on delivery (RFC 5321 §4.4, and what practice added).
_TRACE = re.compile(
    rb"(?:(?:Return-Path|Received|Received-SPF|Delivered-To|X-Original-To|Envelope-To"
    rb"|Delivery-date|Authentication-Results):[^\n]*\n(?:[ \t][^\n]*\n)*)*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Envelope:
    """What a peer knows of the envelope; parameters are None where it does not tell."""

    reverse_path: str
    forward_paths: tuple[str, ...]
    mail_parameters: tuple[str, ...] | None = None
    rcpt_parameters: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True)
class Delivered:
    """A message in a peer's mailbox: the octets as stored, and its envelope."""

    octets: bytes = field(repr=False)
    envelope: Envelope

    @property
    def message(self) -> bytes:
        """The octets as they were sent: CRLF line ends, without the trace fields put before."""
        lines = self.octets.replace(b"\r\n", b"\n")
        trace = _TRACE.match(lines)
        assert trace is not None
        return lines[trace.end() :].replace(b"\n", b"\r\n")


@dataclass(frozen=True)
class Relay:
    """Where a peer sends mail for relay.test (SMTP) and lmtp.test (LMTP), and how."""

    smtp: int = 1
    lmtp: int = 1
    tls: Literal["none", "may", "encrypt"] = "may"
    """STARTTLS never, where offered, always. Sendmail cannot insist, Dovecot takes may for none."""
    mechanism: str = ""
    """The SASL mechanism to use; empty: no authentication."""
    user: str = "user"
    password: str = PASSWORD
    pipe_connect: bool = False
    """Exim: speak before the greeting once the server is known to allow it."""


class ConfigurationTemplate(Template):
    """string.Template with ``@@name``: configuration files are full of ``$``."""

    delimiter = "@@"


class ServerPeer(ABC):
    """A server in a temporary directory on free loopback ports; use it with ``with``.

    ``reject5@`` is refused with a 5yz and ``reject4@`` with a 4yz reply where
    ``rejects`` is true. The password of ``user`` is PASSWORD.
    """

    name: ClassVar[str]
    """Its name in REQUIREMENTS."""
    listeners: ClassVar[tuple[str, ...]]
    """Names of its ports: ``smtp`` and ``submission`` (STARTTLS), ``lmtp``, ``smtps``, …"""
    mechanisms: ClassVar[tuple[str, ...]] = ()
    """SASL mechanisms it is known to offer."""
    user: ClassVar[str] = "user"
    recipient: ClassVar[str] = "x@example.test"
    rejects: ClassVar[bool] = True
    relays: ClassVar[bool] = False
    """Whether it can be a relaying client, see ``inject()``."""

    def __init__(self, authority: Authority, relay: Relay | None = None) -> None:
        self.authority = authority
        self.relay = relay or Relay()
        self.ports: dict[str, int] = {}
        self._process: Process | None = None
        self._directory: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """Its temporary directory, while it runs."""
        assert self._directory is not None, "the peer is not running"
        return self._directory

    def start(self) -> None:
        """Start it; skips or fails the test where it is not installed. RuntimeError: it died."""
        require(self.name)
        self._directory = Path(tempfile.mkdtemp(prefix=f"peer-{self.name}-"))
        self.directory.chmod(0o755)
        self.ports = {listener: free_port() for listener in self.listeners}
        try:
            self.authority.copy_to(self.directory)
            self._process = self.launch()
            self._process.wait_for_ports(self.ports.values())
        except BaseException as error:
            log = self.log()
            self.stop()
            raise RuntimeError(f"{self.name} did not start: {error}\n{log}") from error

    def stop(self) -> None:
        """End it and remove its directory. May be called again."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    @abstractmethod
    def launch(self) -> Process:
        """Write the configuration into ``directory`` and start the process."""

    @abstractmethod
    def delivered(self) -> list[Delivered]:
        """The messages delivered so far; peers which queue need ``wait_for()``."""

    def wait_for(self, marker: bytes, count: int = 1, seconds: float = 10) -> list[Delivered]:
        """The delivered messages which contain ``marker``, once there are ``count`` of them."""
        deadline = time.monotonic() + seconds
        while True:
            found = [message for message in self.delivered() if marker in message.octets]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: {len(found)} of {count} messages with {marker!r}")
            time.sleep(0.02)

    def inject(
        self,
        message: bytes,
        sender: str,
        recipients: Sequence[str],
        mail_parameters: Sequence[str] = (),
        rcpt_parameters: Sequence[str] = (),
    ) -> None:
        """Hand over a message, for the peer to relay if it is for relay.test or lmtp.test."""
        with smtplib.SMTP("127.0.0.1", self.ports[self.listeners[0]], "inject.test", 15) as client:
            client.sendmail(sender, recipients, message, mail_parameters, rcpt_parameters)

    def log(self) -> str:
        """Everything it wrote to its logs, for the report of a failed test."""
        if self._directory is None:
            return ""
        files = (self.directory / "output.log", *self.log_files())
        return "\n".join(
            f"--- {file.name}\n{file.read_text(errors='backslashreplace')}"
            for file in files
            if file.is_file()
        )

    def log_files(self) -> Iterable[Path]:
        """Logs besides its standard output."""
        return ()

    # For launch():

    def configure(
        self, source: str, target: str, values: Mapping[str, object] | None = None
    ) -> Path:
        """Write a configuration file from a template below data/."""
        template = ConfigurationTemplate((DATA / source).read_text())
        path = self.directory / target
        path.parent.mkdir(parents=True, exist_ok=True)
        everything = {
            "directory": self.directory,
            "relay_smtp": self.relay.smtp,
            "relay_lmtp": self.relay.lmtp,
            **self.ports,
            **(values or {}),
        }
        path.write_text(template.substitute(everything))
        return path

    def subdirectory(self, name: str, mode: int = 0o755) -> Path:
        """Make a directory below ``directory``."""
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return path
