"""chasquid: a third TLS stack (Go's), AUTH after TLS only."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.interop.peers.mailbox import read_deliveries
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.requirements import PEERS
from tests.interop.peers.server import PASSWORD, Delivered, ServerPeer


class Chasquid(ServerPeer):
    name = "chasquid"
    listeners = ("smtp", "submission", "submissions")
    mechanisms = ("PLAIN",)
    user = "user@example.test"
    recipient = "user@example.test"
    rejects = False

    def launch(self) -> Process:
        configuration = self.subdirectory("conf")
        self.subdirectory("conf/domains/example.test")
        self.subdirectory("data")
        self.subdirectory("delivered", 0o777)
        certificates = self.subdirectory("conf/certs/localhost")
        shutil.copy(self.authority.certificate, certificates / "fullchain.pem")
        shutil.copy(self.authority.key, certificates / "privkey.pem")
        shutil.copy(DATA / "deliver.sh", self.directory)
        self.configure("chasquid.conf", "conf/chasquid.conf")
        programs = PEERS / "chasquid/usr/bin"
        subprocess.run(
            [
                *(str(programs / "chasquid-util"), f"-C={configuration}"),
                *("user-add", self.user, f"--password={PASSWORD}"),
            ],
            check=True,
            capture_output=True,
        )
        return Process(
            self.directory,
            [str(programs / "chasquid"), "-config_dir", str(configuration), "-alsologtostderr"],
        )

    def delivered(self) -> list[Delivered]:
        return read_deliveries(self.directory / "delivered")

    def log_files(self) -> Iterable[Path]:
        return (self.directory / "maillog",)
