"""python-slimta: a server and a relaying client, both under gevent."""

import dataclasses
import json

from tests.interop.peers.python_server import PythonServer


class Slimta(PythonServer):
    name = "slimta"
    script = "slimta_server.py"
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")
    relays = True

    def arguments(self) -> tuple[str, ...]:
        return (json.dumps(dataclasses.asdict(self.relay)),)
