"""Sendmail: DELIVERBY, EXPN, and a server which refuses early talkers and bare line ends."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.interop.peers.mailbox import cyrus_configuration, make_cyrus_accounts, read_deliveries
from tests.interop.peers.process import DATA, Process
from tests.interop.peers.requirements import PEERS
from tests.interop.peers.server import Delivered, ServerPeer

# It refuses certificates and databases below a directory which everybody may write to, as /tmp
# is: in its namespace our directory stands here.
_MOUNTED = Path("/etc/mail")


class Sendmail(ServerPeer):
    name = "sendmail"
    listeners = ("smtp", "smtps")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")
    user = "user@localhost"
    rejects = False
    relays = True

    def launch(self) -> Process:
        root = PEERS / "sendmail"
        self.subdirectory("queue", 0o700)
        self.subdirectory("delivered", 0o777)
        shutil.copy(DATA / "deliver.sh", self.directory)
        shutil.copy(root / "etc/mail/helpfile", self.directory)
        (self.directory / "key.pem").chmod(0o600)
        files = {
            "aliases": "postmaster: root\nlist: a@example.test, b@example.test\n",
            "local-host-names": "localhost\n",
            "service.switch": "hosts files\naliases files\n",
            "sasl/Sendmail.conf": cyrus_configuration(_MOUNTED / "sasldb2", self.mechanisms),
        }
        self.subdirectory("sasl")
        for name, content in files.items():
            (self.directory / name).write_text(content)
        make_cyrus_accounts(self.directory / "sasldb2", "user")
        (self.directory / "sasldb2").chmod(0o600)
        self._make_configuration(root / "usr/share/sendmail/cf")
        for mount_point in (_MOUNTED, Path("/etc/sasl2")):
            mount_point.mkdir(exist_ok=True)
        return Process(
            self.directory,
            [
                str(root / "usr/libexec/sendmail/sendmail"),
                *("-C", str(_MOUNTED / "sendmail.cf")),
                "-bD",
                *("-X", str(_MOUNTED / "transcript")),
            ],
            binds={self.directory: _MOUNTED, self.directory / "sasl": Path("/etc/sasl2")},
        )

    def _make_configuration(self, macros: Path) -> None:
        no_tls = "CLIENT_OPTIONS(`Family=inet, M=S')dnl\n"
        source = self.configure(
            "sendmail.mc",
            "sendmail.mc",
            {
                "directory": _MOUNTED,
                "client_options": no_tls if self.relay.tls == "none" else "",
            },
        )
        made = subprocess.run(
            ["m4", f"-D_CF_DIR_={macros}/", str(macros / "m4/cf.m4"), str(source)],
            check=True,
            capture_output=True,
        )
        configuration = self.directory / "sendmail.cf"
        configuration.write_bytes(made.stdout)
        configuration.chmod(0o600)

    def delivered(self) -> list[Delivered]:
        return read_deliveries(self.directory / "delivered")

    def log_files(self) -> Iterable[Path]:
        return (self.directory / "transcript",)
