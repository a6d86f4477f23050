"""Haraka: refuses bare line feeds; AUTH by node; a relaying client with a queue."""

import dataclasses
import json
import shutil
from pathlib import Path

from tests.interop.peers.mailbox import read_records
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.requirements import PEERS, find
from tests.interop.peers.server import PASSWORD, Delivered, Envelope, ServerPeer


class Haraka(ServerPeer):
    name = "haraka"
    listeners = ("smtp", "smtps")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")
    relays = True

    def launch(self) -> Process:
        package = PEERS / "npm/node_modules/Haraka"
        configuration = self.subdirectory("config")
        self.subdirectory("delivered")
        self.subdirectory("queue")
        shutil.copy(DATA / "haraka_accept_all.js", self.subdirectory("plugins") / "accept_all.js")
        shutil.copy(self.authority.certificate, configuration / "tls_cert.pem")
        shutil.copy(self.authority.key, configuration / "tls_key.pem")
        # It does not start without the sections of its own file.
        connection = (package / "config/connection.ini").read_text()
        smtp, smtps = self.ports["smtp"], self.ports["smtps"]
        files = {
            "connection.ini": connection.replace(";smtputf8=", "smtputf8=true ; "),
            "plugins": "tls\nauth/flat_file\nxclient\naccept_all\n",
            "smtp.ini": f"listen=127.0.0.1:{smtp},127.0.0.1:{smtps}\nsmtps_port={smtps}\nnodes=0\n",
            "tls.ini": "[main]\nkey=tls_key.pem\ncert=tls_cert.pem\n",
            "auth_flat_file.ini": f"[core]\nmethods=PLAIN,LOGIN,CRAM-MD5\n[users]\nuser={PASSWORD}\n",
            "xclient.hosts": "127.0.0.1\n",
            "me": "localhost\n",
            "outbound.ini": f"enable_tls={json.dumps(self.relay.tls != 'none')}\n",
            "databytes": "10485760\n",
            "log.ini": "loglevel=INFO\n",
        }
        for name, content in files.items():
            (configuration / name).write_text(content)
        return Process(
            self.directory,
            [find("node") or "", str(package / "haraka.js")],
            environment={
                "HARAKA": str(self.directory),
                "DELIVERED": str(self.directory / "delivered"),
                "RELAY": json.dumps(dataclasses.asdict(self.relay)),
            },
        )

    def delivered(self) -> list[Delivered]:
        return [
            Delivered(octets, Envelope(record["from"], tuple(record["to"])))
            for octets, record in read_records(Path(self.directory, "delivered"))
        ]
