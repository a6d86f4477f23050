"""aiosmtpd, as SMTP and as LMTP: its replies come in several small segments."""

import sys
from typing import ClassVar

from tests.interop.peers.mailbox import read_records
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.server import Delivered, Envelope, ServerPeer


class Aiosmtpd(ServerPeer):
    name = "aiosmtpd"
    listeners = ("smtp", "smtps")
    mechanisms = ("LOGIN", "PLAIN")
    protocol: ClassVar[str] = "smtp"

    def launch(self) -> Process:
        delivered = self.subdirectory("delivered")
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        return Process(
            self.directory,
            [
                *(sys.executable, "-P", str(DATA / "aiosmtpd_server.py")),
                *(str(port) for port in self.ports.values()),
                *(str(certificate), str(key), str(delivered), self.protocol),
            ],
        )

    def delivered(self) -> list[Delivered]:
        return [
            Delivered(
                octets,
                Envelope(
                    record["from"] or "",
                    tuple(record["to"]),
                    tuple(record["from_parameters"]),
                    tuple(tuple(parameters) for parameters in record["to_parameters"]),
                ),
            )
            for octets, record in read_records(self.directory / "delivered")
        ]


class AiosmtpdLmtp(Aiosmtpd):
    listeners = ("lmtp", "lmtps")
    protocol = "lmtp"
