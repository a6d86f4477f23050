"""A client engine under test, driven line by line: tests read like the dialogue they are."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, TypeAlias

import pytest
from tests.depth import is_tried

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import (
    AuthenticationEnded,
    ClientEvent,
    Closed,
    EndOfData,
    ReplyReceived,
    Unanswered,
)
from smtpwire.engine.need import Need
from smtpwire.engine.tls import TlsInfo
from smtpwire.testing import drain
from smtpwire.wire.address import Address
from smtpwire.wire.command import Command, Data, Hello, Mail, Rcpt

__all__ = [
    "ALICE",
    "BOB",
    "CAROL",
    "VERIFIED",
    "Dialogue",
    "Ended",
    "Script",
    "answered",
    "check_brackets",
    "scenario",
]

ALICE: Final = Address.parse("alice@example.com")
BOB: Final = Address.parse("bob@example.org")
CAROL: Final = Address.parse("carol@example.org")
VERIFIED: Final = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", verified=True)

Cut: TypeAlias = Callable[[bytes], Iterable[bytes]]


class Ended(Exception):
    """A fault has ended the connection, and the script would go on."""


class Dialogue:
    """One connection. ``cut`` decides how what the server says arrives, each time it speaks.

    Faults: the stream ends after ``octets``; after so many ``replies`` the next one is a 421.
    """

    def __init__(
        self, cut: Cut | None = None, *, octets: int | None = None, replies: int | None = None
    ) -> None:
        self.conn = ClientConnection()
        self.events: list[ClientEvent] = []
        self.commands: list[Command] = []
        self.received = 0
        self.longest = 0
        self.replies = 0
        self._cut = cut
        self._octets = octets
        self._replies = replies

    # -- what the client does

    def connect(self, config: ClientConfig | None = None, tls: TlsInfo | None = None) -> None:
        self.conn = ClientConnection(config, tls=tls)

    def send(self, *commands: Command) -> bytes:
        """Send commands and say what may be written now."""
        for command in commands:
            assert self.conn.send(command) is command
            self.commands.append(command)
        return self.flush()

    def body(self, *chunks: bytes) -> EndOfData:
        """Send a whole body."""
        for chunk in chunks:
            self.conn.send_body(chunk)
        end = self.conn.end_body()
        self.commands.append(end)
        return end

    def flush(self) -> bytes:
        """What goes out at the Needs that ask for it."""
        out = self.conn.data_to_send()
        while self.need() is Need.WRITE:
            out += self.conn.data_to_send()
        return out + self.conn.data_to_send()

    def need(self) -> Need:
        """Pull events; the Need behind them."""
        events, need = drain(self.conn)
        self.events += events
        assert drain(self.conn) == ([], need), "at a Need, the same Need again"
        return need

    # -- what the server does

    def receive(self, *lines: str | bytes) -> list[ClientEvent]:
        """The lines arrive, CRLF added; the events they cause."""
        octets = b""
        for line in lines:
            octets += (line.encode() if isinstance(line, str) else line) + b"\r\n"
            if octets[-len(line) - 2 :][3:4] != b"-":
                self.replies += 1
                if self._replies is not None and self.replies > self._replies:
                    octets = octets[: -len(line) - 2] + b"421 4.3.2 going down\r\n"
                    self.feed(octets)
                    raise Ended
        return self.feed(octets)

    def feed(self, octets: bytes) -> list[ClientEvent]:
        """Octets arrive; the events they cause."""
        before = len(self.events)
        left = None if self._octets is None else self._octets - self.received
        self.received += len(octets)
        self.longest = max(self.longest, len(octets))
        if left is not None and left < len(octets):
            self._arrive(octets[:left])
            self.eof()
            if self.need() is Need.TLS:
                self.conn.tls_failed("the stream has ended")
            raise Ended
        self._arrive(octets)
        return self.events[before:]

    def _arrive(self, octets: bytes) -> None:
        for piece in [octets] if self._cut is None else self._cut(octets):
            if piece:
                self.conn.receive_data(piece)
                self.need()

    def eof(self) -> list[ClientEvent]:
        before = len(self.events)
        self.conn.receive_data(b"")
        self.need()
        return self.events[before:]

    # -- the usual ways in

    def greeted(self, *keywords: str, lmtp: bool = False) -> None:
        """Greeting and EHLO, with this offer."""
        self.receive("220 mx.example.com ESMTP")
        self.hello(*keywords, lmtp=lmtp)

    def hello(self, *keywords: str, lmtp: bool = False) -> None:
        verb = "LHLO" if lmtp else "EHLO"
        assert self.send(Hello("c.example", "LHLO" if lmtp else "EHLO")) == (
            f"{verb} c.example\r\n".encode()
        )
        lines = ["mx.example.com", *keywords]
        last = lines.pop()
        self.receive(*(f"250-{line}" for line in lines), f"250 {last}")

    def envelope(self, *recipients: Address) -> None:
        """An accepted MAIL, accepted RCPTs, one at a time."""
        self.send(Mail(ALICE))
        self.receive("250 OK")
        for recipient in recipients or (BOB,):
            self.send(Rcpt(recipient))
            self.receive("250 OK")

    def data(self) -> None:
        assert self.send(Data()) == b"DATA\r\n"
        self.receive("354 go ahead")


def answered(events: Iterable[ClientEvent]) -> list[tuple[type[Command], int]]:
    """The replies among the events: whose, and with which code."""
    return [
        (type(event.command), event.reply.code)
        for event in events
        if isinstance(event, ReplyReceived)
    ]


def check_brackets(d: Dialogue) -> None:
    """After the end: every command ended exactly once, and Closed is the last event."""
    assert d.need() is Need.CLOSE
    assert [type(event) for event in d.events].count(Closed) == 1
    assert isinstance(d.events[-1], Closed)
    ended: set[tuple[int, int]] = set()
    for event in d.events:
        if isinstance(event, AuthenticationEnded):
            pair = (id(event.auth), 0)
        elif isinstance(event, ReplyReceived | Unanswered):
            pair = (id(event.command), id(event.recipient) if event.recipient else 0)
        else:
            continue
        assert pair not in ended, "each ends once, after the data once a recipient"
        ended.add(pair)
    for command in d.commands:
        if not (isinstance(command, Data) and command.chunking):
            assert any(pair[0] == id(command) for pair in ended), command


Script: TypeAlias = Callable[[Dialogue], None]


def scenario(script: Script) -> Callable[[], None]:
    """Make a script a test.

    It must hold however the server's octets arrive. And wherever the stream ends, or the server
    says 421 instead of what it should, every command ends once, and Closed is the last event.
    """

    def test() -> None:
        whole = Dialogue()
        script(whole)
        for cut in _cuts(whole.longest):
            again = Dialogue(cut)
            script(again)
            assert again.events == whole.events
        for octets in range(whole.received):
            if is_tried(octets, whole.received):
                _fault(script, Dialogue(octets=octets))
        for replies in range(whole.replies):
            _fault(script, Dialogue(replies=replies))

    test.__name__ = script.__name__
    test.__doc__ = script.__doc__
    return test


def _fault(script: Script, d: Dialogue) -> None:
    with pytest.raises(Ended):
        script(d)
    check_brackets(d)


def _cuts(longest: int) -> Iterator[Cut]:
    yield lambda octets: [octets[at : at + 1] for at in range(len(octets))]
    for at in range(1, longest):
        if is_tried(at, longest):
            yield partial(_in_two, at)


def _in_two(at: int, octets: bytes) -> list[bytes]:
    return [octets[:at], octets[at:]]
