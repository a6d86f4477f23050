"""mailfront: a process for each connection at its standard input, bare line feeds inside, files for messages."""

import sys

from tests.interop.peers.mailbox import read_queue
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.requirements import PEERS
from tests.interop.peers.server import Delivered, ServerPeer

_UNPACKED = PEERS / "mailfront/usr"
_RULES = ":recipient\nd*:reject5@*:No such user here\nz*:reject4@*:Try again later\nk*:*\n"


class Mailfront(ServerPeer):
    """Without TLS and AUTH, which it leaves to others' programs."""

    name = "mailfront"
    listeners = ("smtp",)

    def launch(self) -> Process:
        for name in ("new", "tmp"):
            self.subdirectory(f"queue/{name}", 0o777)
        rules = self.directory / "rules"
        rules.write_text(_RULES)
        return Process(
            self.directory,
            [
                *(sys.executable, "-P", str(DATA / "inetd.py"), str(self.ports["smtp"])),
                *(str(_UNPACKED / "sbin/mailfront"), "smtp", "queuedir", "mailrules", "accept"),
            ],
            environment={
                "LD_LIBRARY_PATH": str(_UNPACKED / "lib"),
                "MODULE_PATH": str(_UNPACKED / "lib/mailfront"),
                "MAILRULES": str(rules),
                "QUEUEDIR": str(self.directory / "queue"),
                "TCPLOCALHOST": "localhost",
                "TCPREMOTEIP": "127.0.0.1",
            },
        )

    def delivered(self) -> list[Delivered]:
        return read_queue(self.directory / "queue/new")
