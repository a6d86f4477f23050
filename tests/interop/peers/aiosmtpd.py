"""aiosmtpd, as SMTP and as LMTP: its replies come in several small segments."""

from typing import ClassVar

from tests.interop.peers.mailbox import read_records
from tests.interop.peers.python_server import PythonServer
from tests.interop.peers.server import Delivered, Envelope


class Aiosmtpd(PythonServer):
    name = "aiosmtpd"
    script = "aiosmtpd_server.py"
    mechanisms = ("LOGIN", "PLAIN")
    protocol: ClassVar[str] = "smtp"

    def arguments(self) -> tuple[str, ...]:
        return (self.protocol,)

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
