"""A server that is a package of Python's: a script below ``data/`` runs it."""

import sys
from typing import ClassVar

from tests.interop.peers.mailbox import read_records
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.server import Delivered, Envelope, ServerPeer


class PythonServer(ServerPeer):
    """The script is given its ports, certificate, key, a directory for what it delivers, and more."""

    listeners: ClassVar[tuple[str, ...]] = ("smtp", "smtps")
    script: ClassVar[str]

    def arguments(self) -> tuple[str, ...]:
        """What the script is given more."""
        return ()

    def launch(self) -> Process:
        delivered = self.subdirectory("delivered")
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        return Process(
            self.directory,
            [
                *(sys.executable, "-P", str(DATA / self.script)),
                *(str(port) for port in self.ports.values()),
                *(str(certificate), str(key), str(delivered), *self.arguments()),
            ],
        )

    def delivered(self) -> list[Delivered]:
        return [
            Delivered(octets, Envelope(record["from"], tuple(record["to"])))
            for octets, record in read_records(self.directory / "delivered")
        ]
