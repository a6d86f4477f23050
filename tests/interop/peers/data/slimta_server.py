"""python-slimta as a peer: ``slimta_server.py PLAIN TLS CERT KEY DELIVERED RELAY``.

RELAY is JSON: ports and manner of the servers to which mail for relay.test and lmtp.test goes on.
All other mail is written to DELIVERED, a JSON file each.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import gevent
from gevent import ssl
from pysasl.creds.server import ServerCredentials
from pysasl.identity import ClearIdentity
from slimta.edge.smtp import SmtpEdge, SmtpValidators
from slimta.envelope import Envelope
from slimta.queue.proxy import ProxyQueue
from slimta.relay import Relay
from slimta.relay.smtp.static import StaticLmtpRelay, StaticSmtpRelay
from slimta.smtp.reply import Reply

MECHANISMS = [b"PLAIN", b"LOGIN", b"CRAM-MD5"]


class Validators(SmtpValidators):
    """Takes mail for everybody but reject5@ and reject4@, keeps the octets of the data."""

    def handle_auth(self, reply: Reply, credentials: ServerCredentials) -> None:
        if not credentials.verify(ClearIdentity("user", "pencil")):
            reply.code, reply.message = "535", "5.7.8 Authentication failed"

    def handle_rcpt(self, reply: Reply, recipient: str, parameters: dict[bytes, bytes]) -> None:
        if recipient.startswith("reject5@"):
            reply.code, reply.message = "550", "5.1.1 no such user"
        if recipient.startswith("reject4@"):
            reply.code, reply.message = "450", "4.2.1 try later"

    def handle_have_data(self, reply: Reply, data: bytes) -> None:
        self.session.envelope.octets = data


class Switch(Relay):
    """Relays by the domain of the recipients, else delivers."""

    def __init__(self, relays: dict[str, Relay], delivered: Path) -> None:
        super().__init__()
        self.relays = relays
        self.delivered = delivered
        self.serial = 0

    def attempt(self, envelope: Envelope, attempts: int) -> Any:
        domain = envelope.recipients[0].rpartition("@")[2]
        if domain in self.relays:
            return self.relays[domain].attempt(envelope, attempts)
        record = {
            "from": envelope.sender,
            "to": envelope.recipients,
            "data": base64.b64encode(envelope.octets).decode(),
        }
        self.serial += 1
        file = self.delivered / f"{self.serial:06}.tmp"
        file.write_text(json.dumps(record))
        file.rename(file.with_suffix(".json"))
        return None


def relays(options: dict[str, Any]) -> dict[str, Relay]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    credentials = (options["user"], options["password"]) if options["mechanism"] else None
    return {
        "relay.test": StaticSmtpRelay(
            "127.0.0.1",
            options["smtp"],
            context=context,
            tls_required=options["tls"] == "encrypt",
            credentials=credentials,
            auth_mechanism=options["mechanism"].encode() or None,
            ehlo_as="slimta.test",
        ),
        "lmtp.test": StaticLmtpRelay("127.0.0.1", options["lmtp"], ehlo_as="slimta.test"),
    }


def main(plain: int, tls: int, cert: str, key: str, delivered: str, relay: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    queue = ProxyQueue(Switch(relays(json.loads(relay)), Path(delivered)))
    edges = [
        SmtpEdge(
            ("127.0.0.1", port),
            queue,
            max_size=10485760,
            validator_class=Validators,
            auth=MECHANISMS,
            context=context,
            tls_immediately=immediately,
            hostname="localhost",
        )
        for port, immediately in ((plain, False), (tls, True))
    ]
    for edge in edges:
        edge.start()
    gevent.joinall(edges)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:7])
