"""A PROXY header before the session: required of those who may send it (haproxy's §2)."""

from __future__ import annotations

from typing import final

from smtpwire.engine.events import CloseReason
from smtpwire.engine.server.reader import GREETING, Item, Reader
from smtpwire.engine.server.session import Session
from smtpwire.wire.proxy import ProxyHeader, ProxyReader

__all__ = ["ProxyHeaderReader"]


@final
class ProxyHeaderReader(Reader):
    """The octets are the header's, and not one more."""

    __slots__ = ("_reader",)
    awaits_greeting = False

    def __init__(self) -> None:
        self._reader = ProxyReader()

    def read(self, session: Session) -> Item | None:
        received, reader = session.input, self._reader
        if not received.waiting:
            return session.more()
        header = reader.receive_data(received.take(reader.wanted))
        if header is None:
            return None
        if not isinstance(header, ProxyHeader):
            session.close(CloseReason.VIOLATION, error=header.reason)
            return None
        session.client.take_proxy_header(header)
        session.offering.start_over()
        session.hand_over(GREETING)
        if received.waiting:
            session.refuse_early_talk()
        return None
