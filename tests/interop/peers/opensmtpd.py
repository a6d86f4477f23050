"""OpenSMTPD: a server without PIPELINING. Debian 12's has no working TLS as a server, so none here."""

import shutil
from pathlib import Path

from tests.interop.peers.mailbox import read_maildir
from tests.interop.peers.process import Process
from tests.interop.peers.requirements import PEERS
from tests.interop.peers.server import Delivered, ServerPeer

_SCHEMES = {"none": "smtp+notls", "may": "smtp", "encrypt": "smtp+tls"}


class OpenSmtpd(ServerPeer):
    name = "opensmtpd"
    listeners = ("smtp",)
    rejects = False
    relays = True

    def launch(self) -> Process:
        root = PEERS / "opensmtpd"
        shutil.chown(self.subdirectory("mail"), "nobody")
        self.subdirectory("spool", 0o711)
        self.subdirectory("run")
        files = {
            "mailname": "localhost\n",
            "vmap": "@ nobody\n",
            "secrets": f"user {self.relay.user}:{self.relay.password}\n",
        }
        for name, content in files.items():
            (self.directory / name).write_text(content)
        shutil.chown(self.directory / "secrets", "root", "opensmtpd")
        (self.directory / "secrets").chmod(0o640)
        authenticate = bool(self.relay.mechanism)
        options = ["tls no-verify"] if self.relay.tls != "none" else []
        options += ["auth <secrets>"] if authenticate else []
        configuration = self.configure(
            "opensmtpd.conf",
            "smtpd.conf",
            {
                "relay_scheme": _SCHEMES[self.relay.tls],
                "relay_auth": "user@" if authenticate else "",
                "relay_options": " ".join(options),
            },
        )
        # Its paths are compiled in; the mount points stay empty outside its namespace.
        binds = {
            self.directory / "spool": Path("/var/spool/smtpd"),
            root / "usr/libexec/opensmtpd": Path("/usr/libexec/opensmtpd"),
            self.directory / "run": Path("/run"),
        }
        for target in (*binds.values(), Path("/var/lib/opensmtpd/empty")):
            target.mkdir(parents=True, exist_ok=True)
        if Path("/etc/mailname").exists():
            binds[self.directory / "mailname"] = Path("/etc/mailname")
        return Process(
            self.directory,
            [str(root / "usr/sbin/smtpd"), "-d", "-f", str(configuration)],
            binds=binds,
        )

    def delivered(self) -> list[Delivered]:
        return read_maildir(self.directory / "mail")
