"""Twisted's ESMTP: a server without PIPELINING and 8BITMIME, a delivery for each recipient."""

import sys

from tests.interop.peers.mailbox import read_records
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.server import Delivered, Envelope, ServerPeer


class Twisted(ServerPeer):
    name = "twisted"
    listeners = ("smtp", "smtps")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")

    def launch(self) -> Process:
        delivered = self.subdirectory("delivered")
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        return Process(
            self.directory,
            [
                *(sys.executable, "-P", str(DATA / "twisted_server.py")),
                *(str(port) for port in self.ports.values()),
                *(str(certificate), str(key), str(delivered)),
            ],
        )

    def delivered(self) -> list[Delivered]:
        return [
            Delivered(octets, Envelope(record["from"], tuple(record["to"])))
            for octets, record in read_records(self.directory / "delivered")
        ]
