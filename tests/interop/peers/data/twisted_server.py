"""Twisted's ESMTP as a peer: ``twisted_server.py PLAIN TLS CERT KEY DELIVERED``.

Each message is written to DELIVERED, a JSON file each.
"""

import base64
import json
import sys
from pathlib import Path

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import CramMD5Credentials
from twisted.cred.portal import Portal
from twisted.internet import defer, reactor, ssl
from twisted.internet.protocol import ServerFactory
from twisted.mail import imap4, smtp
from zope.interface import implementer


class Message:
    """Gathers the lines of a message for one recipient."""

    def __init__(self, delivery: "Delivery", recipient: str) -> None:
        self.delivery = delivery
        self.recipient = recipient
        self.lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)

    def eomReceived(self) -> defer.Deferred[None]:
        self.delivery.keep(self.recipient, b"".join(line + b"\r\n" for line in self.lines))
        return defer.succeed(None)

    def connectionLost(self) -> None:
        self.lines.clear()


@implementer(smtp.IMessageDelivery)
class Delivery:
    """Takes mail for everybody but reject5@ and reject4@."""

    def __init__(self, delivered: Path) -> None:
        self.delivered = delivered
        self.sender = ""

    def receivedHeader(self, helo: object, origin: object, recipients: object) -> bytes:
        return b"Received: by localhost"

    def validateFrom(self, helo: object, origin: smtp.Address) -> smtp.Address:
        self.sender = str(origin)
        return origin

    def validateTo(self, user: smtp.User) -> object:
        local = user.dest.local.decode()
        if local == "reject5":
            raise smtp.SMTPBadRcpt(user, 550, "no such user")
        if local == "reject4":
            raise smtp.SMTPBadRcpt(user, 450, "try later")
        return lambda: Message(self, str(user.dest))

    def keep(self, recipient: str, octets: bytes) -> None:
        data = base64.b64encode(octets).decode()
        record = {"from": self.sender, "to": [recipient], "data": data}
        file = self.delivered / f"{len(list(self.delivered.iterdir())):06}.tmp"
        file.write_text(json.dumps(record))
        file.rename(file.with_suffix(".json"))


class Realm:
    """Who logged in gets the same delivery as everybody."""

    def __init__(self, delivered: Path) -> None:
        self.delivered = delivered

    def requestAvatar(self, avatar: object, mind: object, *interfaces: object) -> object:
        return smtp.IMessageDelivery, Delivery(self.delivered), lambda: None


class Factory(ServerFactory):
    def __init__(self, context: ssl.DefaultOpenSSLContextFactory, delivered: Path) -> None:
        self.context = context
        self.delivered = delivered
        accounts = InMemoryUsernamePasswordDatabaseDontUse(user=b"pencil")
        self.portal = Portal(Realm(delivered), [accounts])

    def buildProtocol(self, address: object) -> smtp.ESMTP:
        challengers = {
            b"CRAM-MD5": lambda: CramMD5Credentials(b"localhost"),
            b"LOGIN": imap4.LOGINCredentials,
            b"PLAIN": imap4.PLAINCredentials,
        }
        protocol = smtp.ESMTP(challengers, self.context)
        protocol.delivery = Delivery(self.delivered)
        protocol.portal = self.portal
        protocol.host = b"localhost"
        protocol.factory = self
        return protocol


def main(plain: int, tls: int, certificate: str, key: str, delivered: str) -> None:
    context = ssl.DefaultOpenSSLContextFactory(key, certificate)
    factory = Factory(context, Path(delivered))
    reactor.listenTCP(plain, factory, interface="127.0.0.1")
    reactor.listenSSL(tls, factory, context, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6])
