"""Postfix: a full server, the same with implicit TLS, and an "old" one without extensions."""

import os
import pwd
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.interop.peers.mailbox import cyrus_configuration, make_cyrus_accounts, read_maildir
from tests.interop.peers.process import Process
from tests.interop.peers.server import Delivered, ServerPeer


class Postfix(ServerPeer):
    name = "postfix"
    listeners = ("smtp", "smtps", "old")
    mechanisms = (
        "PLAIN",
        "LOGIN",
        "CRAM-MD5",
        "DIGEST-MD5",
        "SCRAM-SHA-1",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
        "ANONYMOUS",
    )
    user = "user@localhost"
    relays = True

    def launch(self) -> Process:
        make_cyrus_accounts(self.directory / "sasldb2", "user", "usér")
        for directory in ("data", "mail"):
            shutil.chown(self.subdirectory(directory), "postfix")
        shutil.chown(self.directory / "sasldb2", "postfix")
        self._make_queue()
        account = pwd.getpwnam("postfix")
        self.configure(
            "postfix-main.cf",
            "conf/main.cf",
            {
                "uid": account.pw_uid,
                "gid": account.pw_gid,
                "relay_tls": self.relay.tls,
                "relay_auth": "yes" if self.relay.mechanism else "no",
                "relay_mechanism": self.relay.mechanism.lower(),
                "relay_user": self.relay.user,
                "relay_password": self.relay.password,
            },
        )
        self.configure("postfix-master.cf", "conf/master.cf")
        # Postfix waits until a file changed just now has settled, which takes two seconds.
        for file in (self.directory / "conf").iterdir():
            os.utime(file, (0, 0))
        # Debian's Postfix reads this file and ignores cyrus_sasl_config_path.
        sasl = self.subdirectory("conf/sasl") / "smtpd.conf"
        sasl.write_text(cyrus_configuration(self.directory / "sasldb2", self.mechanisms))
        configuration = str(self.directory / "conf")
        # On SIGTERM the master signals its process group, which it must lead.
        return Process(
            self.directory,
            ["setsid", "/usr/lib/postfix/sbin/master", "-c", configuration, "-d"],
            environment={"MAIL_CONFIG": configuration},
        )

    def _make_queue(self) -> None:
        """By hand: "postfix check" would make these, in two seconds."""
        private = "active bounce corrupt defer deferred flush hold incoming private saved trace"
        for name in private.split():
            shutil.chown(self.subdirectory(f"queue/{name}", 0o700), "postfix")
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            path = self.subdirectory(f"queue/{name}", mode)
            shutil.chown(path, "postfix", "postdrop")
        self.subdirectory("queue/pid")

    def delivered(self) -> list[Delivered]:
        return read_maildir(self.directory / "mail" / "all")

    def log_files(self) -> Iterable[Path]:
        return (self.directory / "maillog",)
