"""qpsmtpd: a server in Perl, made of plugins, with a process for each connection."""

import os
import pwd
from typing import Final

from tests.interop.peers.mailbox import read_maildir
from tests.interop.peers.process import Process
from tests.interop.peers.requirements import PEERS, find
from tests.interop.peers.server import PASSWORD, Delivered, ServerPeer

_UNPACKED: Final = PEERS / "qpsmtpd/usr"
_OURSELVES: Final = pwd.getpwuid(os.geteuid()).pw_name
_MODULES: Final = ("share/perl5", "lib/x86_64-linux-gnu/perl5/5.36")


class Qpsmtpd(ServerPeer):
    """It takes what its list of domains names, and refuses nobody there."""

    name = "qpsmtpd"
    listeners = ("smtp",)
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")
    user = "user@localhost"
    rejects = False

    def launch(self) -> Process:
        for name in ("spool", "box", "box/new", "box/tmp", "box/cur"):
            self.subdirectory(name, 0o700)
        pem = " ".join(str(self.directory / f"{name}.pem") for name in ("cert", "key", "ca"))
        settings = {
            "me": "localhost",
            "plugin_dirs": _UNPACKED / "share/qpsmtpd/plugins",
            "spool_dir": self.directory / "spool",
            "loglevel": 4,
            "rcpthosts": "example.test",
            "flat_auth_pw": f"{self.user}:{PASSWORD}",
            "plugins": f"tls {pem}\nauth/auth_flat_file\nrcpt_ok\n"
            f"queue/maildir {self.directory / 'box'}",
        }
        configuration = self.subdirectory("configuration")
        for name, value in settings.items():
            (configuration / name).write_text(f"{value}\n")
        return Process(
            self.directory,
            [
                *(find("perl") or "", "-T", *(f"-I{_UNPACKED / name}" for name in _MODULES)),
                *(str(_UNPACKED / "bin/qpsmtpd-forkserver"), "--no-rdns", "--user", _OURSELVES),
                *("--listen-address", "127.0.0.1", "--port", str(self.ports["smtp"])),
                *("--limit-connections", "40", "--max-from-ip", "40"),
            ],
            environment={"QPSMTPD_CONFIG": str(configuration)},
        )

    def delivered(self) -> list[Delivered]:
        return read_maildir(self.directory / "box")
