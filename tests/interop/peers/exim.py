"""Exim: GnuTLS, CHUNKING, PRDR, PIPECONNECT, EXTERNAL by the client's certificate; a newer one: LIMITS."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from tests.interop.peers.mailbox import cyrus_configuration, make_cyrus_accounts, read_maildir
from tests.interop.peers.process import Process
from tests.interop.peers.requirements import PEERS
from tests.interop.peers.server import Delivered, ServerPeer

_CYRUS = ("DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")

_AUTHENTICATOR = """\
{name}:
  driver = cyrus_sasl
  public_name = {mechanism}
  server_mech = {mechanism}
  server_realm = localhost
  server_service = smtp
  server_hostname = localhost
  server_set_id = $auth1
"""


class Exim(ServerPeer):
    name = "exim"
    listeners = ("smtp", "smtps")
    mechanisms: ClassVar[tuple[str, ...]] = ("PLAIN", "LOGIN", "CRAM-MD5", *_CYRUS)
    relays = True
    cyrus: ClassVar[tuple[str, ...]] = _CYRUS
    settings: ClassVar[str] = ""
    """More lines of its configuration."""

    def program(self) -> Path:
        """What to run."""
        return PEERS / "exim/usr/sbin/exim4"

    def launch(self) -> Process:
        exim = self.program()
        shutil.chown(self.directory, "Debian-exim")
        for directory in ("spool", "log", "mail"):
            shutil.chown(self.subdirectory(directory), "Debian-exim", "Debian-exim")
        sasl = self.subdirectory("sasl")
        database = self.directory / "sasldb2"
        make_cyrus_accounts(database, "user")
        shutil.chown(database, "Debian-exim", "Debian-exim")
        (sasl / "exim.conf").write_text(cyrus_configuration(database, self.cyrus))
        blocks = [
            _AUTHENTICATOR.format(name=f"cyrus{number}", mechanism=mechanism)
            for number, mechanism in enumerate(self.cyrus)
        ]
        (self.directory / "cyrus.inc").write_text("".join(blocks))
        configuration = self.configure(
            "exim.conf",
            "exim.conf",
            {
                "exim": exim,
                "settings": self.settings,
                "require_tls": "*" if self.relay.tls == "encrypt" else "",
                "avoid_tls": "*" if self.relay.tls == "none" else "",
                "try_auth": "*" if self.relay.mechanism else "",
                "pipe_connect": "*" if self.relay.pipe_connect else "",
            },
        )
        return Process(
            self.directory,
            [str(exim), "-C", str(configuration), "-bdf", "-q5s"],
            environment={"SASL_CONF_PATH": str(sasl)},
        )

    def delivered(self) -> list[Delivered]:
        return read_maildir(self.directory / "mail")

    def log_files(self) -> Iterable[Path]:
        return sorted((self.directory / "log").glob("*"))


class NewerExim(Exim):
    """Exim 4.98 of Debian 13, under the libraries of its own suite: it tells LIMITS, and heeds them."""

    name = "exim-4.98"
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")
    cyrus = ()
    recipients: ClassVar[int] = 4
    """RCPT commands which it takes in a transaction."""
    settings = f"recipients_max = {recipients}\nrecipients_max_reject"

    def program(self) -> Path:
        root = PEERS / "exim-4.98/usr"
        loader = f"{root}/lib64/ld-linux-x86-64.so.2 --library-path {root}/lib/x86_64-linux-gnu"
        script = self.directory / "exim"
        script.write_text(f'#!/bin/sh\nexec {loader} {root}/sbin/exim4 "$@"\n')
        script.chmod(0o755)
        return script
