"""Twisted's ESMTPSender as a peer: reads its order as JSON and sends."""

import base64
import importlib
import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.internet import defer
from twisted.mail.smtp import ESMTPSender, ESMTPSenderFactory

reactor: Any = importlib.import_module("twisted.internet.reactor")


class Sender(ESMTPSender):
    """With the one mechanism the order names."""

    mechanism = b""

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]  # Twisted's is not typed
        self.authenticators = [
            authenticator
            for authenticator in self.authenticators
            if authenticator.getName().upper() == self.mechanism
        ]


class Factory(ESMTPSenderFactory):
    protocol = Sender


def trusting(ca: str) -> object:
    from twisted.internet import ssl

    trust: Any = ssl.trustRootFromCertificates
    authority = ssl.Certificate.loadPEM(Path(ca).read_bytes())
    return ssl.optionsForClientTLS("localhost", trust([authority]))


def main(order: dict[str, Any]) -> int:
    outcome: list[object] = []

    def ended(result: object) -> None:
        outcome.append(result)
        reactor.stop()

    done: defer.Deferred[object] = defer.Deferred()
    done.addBoth(ended)
    Sender.mechanism = order["auth"].encode()
    secure = order["tls"] == "starttls"
    make: Any = Factory
    factory = make(
        order["user"].encode(),
        order["password"].encode(),
        order["sender"].encode(),
        [recipient.encode() for recipient in order["recipients"]],
        BytesIO(base64.b64decode(order["message"]).replace(b"\r\n", b"\n")),
        done,
        contextFactory=trusting(order["ca"]) if secure else None,
        requireTransportSecurity=secure,
        requireAuthentication=bool(order["auth"]),
        hostname="localhost" if secure else None,  # with a name it takes STARTTLS by itself
        retries=0,
    )
    reactor.connectTCP(order["host"], order["port"], factory)
    reactor.run()
    print(outcome)
    return 0 if isinstance(outcome[0], tuple) else 1


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
