"""nodemailer's smtp-server, as SMTP and as LMTP: REQUIRETLS, XCLIENT, and exact records."""

from typing import Any, ClassVar

from tests.interop.peers.mailbox import read_records
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.requirements import PEERS, find
from tests.interop.peers.server import Delivered, Envelope, ServerPeer


class SmtpServer(ServerPeer):
    """XOAUTH2 takes the token ``token``."""

    name = "smtp-server"
    listeners = ("smtp", "smtps")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2")
    protocol: ClassVar[str] = "smtp"

    def launch(self) -> Process:
        delivered = self.subdirectory("delivered")
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        return Process(
            self.directory,
            [
                *(find("node") or "", str(DATA / "smtp_server.js")),
                *(str(port) for port in self.ports.values()),
                *(str(certificate), str(key), str(delivered), self.protocol),
            ],
            environment={"NODE_PATH": str(PEERS / "npm/node_modules")},
        )

    def records(self) -> list[dict[str, Any]]:
        """The records as written: envelope, user, transmissionType, secure, data."""
        return [record for _, record in read_records(self.directory / "delivered")]

    def delivered(self) -> list[Delivered]:
        return [
            Delivered(octets, _envelope(record["envelope"]))
            for octets, record in read_records(self.directory / "delivered")
        ]


class SmtpServerLmtp(SmtpServer):
    """LMTP; ``late5@`` is refused after the data."""

    listeners = ("lmtp", "lmtps")
    protocol = "lmtp"


def _envelope(record: dict[str, Any]) -> Envelope:
    sender = record["mailFrom"] or {"address": "", "args": False}
    return Envelope(
        sender["address"],
        tuple(recipient["address"] for recipient in record["rcptTo"]),
        _parameters(sender["args"]),
        tuple(_parameters(recipient["args"]) for recipient in record["rcptTo"]),
    )


def _parameters(arguments: dict[str, Any] | bool) -> tuple[str, ...]:
    if isinstance(arguments, bool):
        return ()
    return tuple(name if value is True else f"{name}={value}" for name, value in arguments.items())
