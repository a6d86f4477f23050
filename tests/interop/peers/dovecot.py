"""Dovecot: LMTP, and submission with OAUTHBEARER and XOAUTH2 which relays what it takes."""

import base64
import hashlib
import hmac
import json
import pwd
import shutil
import smtplib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.interop.peers.certificates import Authority
from tests.interop.peers.mailbox import read_maildir
from tests.interop.peers.process import Process
from tests.interop.peers.requirements import find, require
from tests.interop.peers.server import PASSWORD, Delivered, Relay, ServerPeer
from tests.interop.peers.smtp_sink import SmtpSink

_KEY = b"secret"


class Dovecot(ServerPeer):
    """LMTP mail for user@localhost goes to a maildir; submitted mail is relayed.

    Without a relay given an smtp-sink of its own takes the submitted mail, see ``submitted()``.
    """

    name = "dovecot"
    listeners = ("lmtp", "submission", "submissions")
    mechanisms = (
        "PLAIN",
        "LOGIN",
        "CRAM-MD5",
        "DIGEST-MD5",
        "SCRAM-SHA-1",
        "SCRAM-SHA-256",
        "EXTERNAL",
        "OAUTHBEARER",
        "XOAUTH2",
    )
    recipient = "user@localhost"
    rejects = False
    relays = True

    def __init__(self, authority: Authority, relay: Relay | None = None) -> None:
        super().__init__(authority, relay)
        self._sink = None if relay else SmtpSink(authority)

    def start(self) -> None:
        require(self.name)
        if self._sink is not None:
            self._sink.start()
            self.relay = Relay(smtp=self._sink.ports["smtp"])
        super().start()

    def stop(self) -> None:
        super().stop()
        if self._sink is not None:
            self._sink.stop()

    def launch(self) -> Process:
        nobody = pwd.getpwnam("nobody")
        for directory in ("run", "state", "mail"):
            self.subdirectory(directory)
        shutil.chown(self.directory / "mail", "nobody")
        keys = self.subdirectory("keys/default/HS256")
        (keys / "default").write_bytes(base64.b64encode(_KEY))
        home = self.directory / "mail" / "user"
        account = f"user:{{PLAIN}}{PASSWORD}:{nobody.pw_uid}:{nobody.pw_gid}::{home}::\n"
        (self.directory / "passwd").write_text(account)
        self.configure("dovecot-oauth.conf", "oauth.conf")
        configuration = self.configure(
            "dovecot.conf",
            "dovecot.conf",
            {"relay_ssl": "starttls" if self.relay.tls == "encrypt" else "no"},
        )
        return Process(self.directory, [find("dovecot") or "", "-F", "-c", str(configuration)])

    def delivered(self) -> list[Delivered]:
        return read_maildir(self.directory / "mail" / "user" / "Maildir")

    def submitted(self) -> list[Delivered]:
        """What was submitted and relayed to the smtp-sink behind it."""
        assert self._sink is not None, "it relays elsewhere"
        return self._sink.delivered()

    def inject(
        self,
        message: bytes,
        sender: str,
        recipients: Sequence[str],
        mail_parameters: Sequence[str] = (),
        rcpt_parameters: Sequence[str] = (),
    ) -> None:
        """Submit a message; the whole transaction is relayed while it is submitted."""
        with smtplib.SMTP("127.0.0.1", self.ports["submission"], "inject.test", 15) as client:
            client.login(self.user, PASSWORD)
            client.sendmail(sender, recipients, message, mail_parameters, rcpt_parameters)

    def log_files(self) -> Iterable[Path]:
        return (self.directory / "log",)


def token(user: str = "user", key: bytes = _KEY) -> str:
    """A JSON web token (RFC 7519, HS256) which Dovecot takes; with another key it refuses it."""
    now = int(time.time())
    parts = [
        {"alg": "HS256", "typ": "JWT", "kid": "default"},
        {"sub": user, "iat": now - 10, "exp": now + 3600},
    ]
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(key, signed, hashlib.sha256).digest()
    return (signed + b"." + _base64url(signature)).decode()


def _base64url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
