"""Twisted's ESMTP on its string transport: no logging, no timer, no trace header."""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import StringTransport
from twisted.mail.smtp import ESMTP, Address, IMessage, IMessageDelivery, User

# Zope ships no types.
from zope.interface import implementer  # type: ignore[import-untyped]

from benchmarks.dialogue import EHLO, Step
from benchmarks.harness import Work

__all__ = ["messages"]


@implementer(IMessage)
class _Message:
    """Keeps the lines and joins them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        self.lines.append(line)

    def eomReceived(self) -> Deferred[bytes]:  # noqa: N802
        return succeed(b"\r\n".join(self.lines))

    def connectionLost(self) -> None:  # noqa: N802
        self.lines.clear()


@implementer(IMessageDelivery)
class _Delivery:
    """Accepts everybody."""

    def receivedHeader(self, helo: object, origin: object, recipients: object) -> None:  # noqa: N802
        return None

    def validateFrom(self, helo: object, origin: Address) -> Address:  # noqa: N802
        return origin

    def validateTo(self, user: User) -> type[_Message]:  # noqa: N802
        return _Message


def messages(steps: tuple[Step, ...]) -> Work:
    """Sends messages over one connection, whose greeting and EHLO are not timed."""
    # Most of Twisted's mail and test modules has no annotations.
    make_server: Any = ESMTP
    make_transport: Any = StringTransport
    server, transport = make_server(), make_transport()
    server.delivery = _Delivery()
    server.timeout = None
    server.noisy = False
    server.makeConnection(transport)
    server.dataReceived(EHLO)
    transport.clear()
    writes = [step.data for step in steps]

    def work(count: int) -> None:
        receive, clear = server.dataReceived, transport.clear
        for _ in range(count):
            for data in writes:
                receive(data)
            replies = transport.value()
            clear()
        if not replies.endswith(b"250 Delivery in progress\r\n"):
            raise RuntimeError(f"refused: {replies!r}")

    return work
