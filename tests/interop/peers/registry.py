"""All server peers by name."""

from typing import Protocol

from tests.interop.peers.aiosmtpd import Aiosmtpd, AiosmtpdLmtp
from tests.interop.peers.chasquid import Chasquid
from tests.interop.peers.dovecot import Dovecot
from tests.interop.peers.exim import Exim, NewerExim
from tests.interop.peers.haraka import Haraka
from tests.interop.peers.mailfront import Mailfront
from tests.interop.peers.opensmtpd import OpenSmtpd
from tests.interop.peers.postfix import Postfix
from tests.interop.peers.pymta import Pymta
from tests.interop.peers.qpsmtpd import Qpsmtpd
from tests.interop.peers.sendmail import Sendmail
from tests.interop.peers.server import ServerPeer
from tests.interop.peers.slimta import Slimta
from tests.interop.peers.smtp_server import SmtpServer, SmtpServerLmtp
from tests.interop.peers.smtp_sink import SmtpSink
from tests.interop.peers.twisted import Twisted

SERVERS: dict[str, type[ServerPeer]] = {
    "postfix": Postfix,
    "exim": Exim,
    "exim-4.98": NewerExim,
    "sendmail": Sendmail,
    "dovecot": Dovecot,
    "smtp-sink": SmtpSink,
    "smtp-server": SmtpServer,
    "smtp-server-lmtp": SmtpServerLmtp,
    "aiosmtpd": Aiosmtpd,
    "aiosmtpd-lmtp": AiosmtpdLmtp,
    "chasquid": Chasquid,
    "haraka": Haraka,
    "mailfront": Mailfront,
    "opensmtpd": OpenSmtpd,
    "pymta": Pymta,
    "qpsmtpd": Qpsmtpd,
    "slimta": Slimta,
    "twisted": Twisted,
}

RELAYS: dict[str, type[ServerPeer]] = {name: peer for name, peer in SERVERS.items() if peer.relays}
"""Those which can send mail on to a server of ours."""


class Servers(Protocol):
    """``servers("postfix")``: that peer, running; its log is shown when the test fails."""

    def __call__(self, name: str) -> ServerPeer: ...
