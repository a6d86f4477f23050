"""Plays a dialogue with a server, under every split of what the client sends.

A transcript is text: ``C:`` a client's line, ``S:`` a server's, each with CRLF; ``C|`` octets
without a line end. What the server says first stands in front. Python's escapes stand for other octets. ``play()`` holds the dialogue three
times: line by line, where each reply must come in its place; and the client's octets all at once,
one at a time and cut in two at every place, where everything that is told must stay the same but
violations that only say how it arrived.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from smtpwire.engine.events import (
    BodyChunk,
    Closed,
    EndOfMessage,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
)
from smtpwire.engine.need import Need, ServerNeed
from smtpwire.engine.replies import DEFAULT_REPLIES, ReplyKind
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.testing import every_split
from smtpwire.wire.command import Data, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

Answer = Callable[[ServerConnection, Request], object]
"""Answers a question, or leaves it pending."""
Given = Reply | tuple[Reply, ...] | Answer

HOST: Final = "mx.example"
DOMAINS: Final = ("d.example", "b.example")
RELAY: Final = ServerConfig.relay(HOST, DOMAINS)
LMTP: Final = ServerConfig.lmtp(HOST, DOMAINS)
TAKEN: Final = DEFAULT_REPLIES[ReplyKind.RECIPIENT_OK]
GREETING: Final = b"220 mx.example ESMTP\r\n"
TLS: Final = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", verified=True)

ARRIVAL: Final = frozenset({ViolationKind.PIPELINING, ViolationKind.EARLY_TALK})
"""Violations that tell how octets arrived, and not what they were."""


def by_default(conn: ServerConnection, question: Request) -> None:
    """The application that takes mail for every domain, and leaves the rest to the engine."""
    conn.reply(*[TAKEN] * isinstance(question, Rcpt))


def wait(conn: ServerConnection, question: Request) -> None:
    """The application that is not ready to answer."""


def answers(given: Mapping[type[Request], Given]) -> Answer:
    """An application with these answers, by question; :func:`by_default` to all others."""

    def answer(conn: ServerConnection, question: Request) -> None:
        chosen = given.get(type(question), by_default)
        if isinstance(chosen, Reply):
            conn.reply(chosen)
        elif isinstance(chosen, tuple):
            conn.reply(*chosen)
        else:
            chosen(conn, question)

    return answer


def in_turn(*given: Given) -> Answer:
    """Answers each question of one kind with the next of these."""
    left = list(given)

    def answer(conn: ServerConnection, question: Request) -> None:
        answers({type(question): left.pop(0)})(conn, question)

    return answer


@dataclass
class Session:
    """A connection with its application, pulled to its next Need whenever something arrives."""

    conn: ServerConnection
    answer: Answer = by_default
    events: list[ServerEvent] = field(default_factory=list)
    need: ServerNeed = Need.DATA
    sent: bytes = b""

    def run(self) -> bytes:
        """Pull, answer and flush up to a Need that is not WRITE; give what was sent."""
        sent = b""
        while True:
            item = self.conn.next_event()
            if isinstance(item, Need):
                assert self.conn.next_event() is item, "a Need stays until somebody acts"
                self.need = item
                sent += self.write(item)
                if item is not Need.WRITE:
                    self.sent += sent
                    return sent
            else:
                self.tell(item)

    def write(self, need: ServerNeed) -> bytes:
        """Take what is to be sent; while it is written a time-out runs, and while one reads."""
        reading = self.conn.timeout
        octets = self.conn.data_to_send()
        if octets:
            writing = self.conn.timeout
            assert writing is not None, "a peer that reads nothing is noticed"
            assert writing != reading, "the timer starts anew"
            if need is not Need.WRITE:
                assert self.conn.next_event() is need
        assert need is not Need.DATA or self.conn.timeout is not None
        return octets

    def tell(self, event: ServerEvent) -> None:
        """Note an event; adjacent pieces of content are one."""
        last = self.events[-1] if self.events else None
        if isinstance(event, BodyChunk) and isinstance(last, BodyChunk):
            self.events[-1] = BodyChunk(last.data + event.data)
        elif not (isinstance(event, ProtocolViolation) and event.kind in ARRIVAL):
            self.events.append(event)
        if isinstance(event, Request):
            self.answer(self.conn, event)

    def feed(self, octets: bytes) -> bytes:
        """Let octets arrive; give what was sent."""
        assert octets, "this would be the end of the stream"
        self.conn.receive_data(octets)
        return self.run()

    def at(self, need: Need) -> bool:
        """Whether this is the Need it stopped at."""
        return self.need is need

    def end(self) -> bytes:
        """Let the stream end; give what was sent."""
        self.conn.receive_data(b"")
        return self.run()

    def arrivals(self, *kinds: ViolationKind) -> list[ViolationKind]:
        """The violations of these kinds that were told."""
        found = [event.kind for event in self.events if isinstance(event, ProtocolViolation)]
        return [kind for kind in found if kind in kinds]

    @property
    def content(self) -> bytes:
        """All content that was handed on."""
        return b"".join(event.data for event in self.events if isinstance(event, BodyChunk))

    @property
    def closed(self) -> Closed | None:
        """How it ended, if it has."""
        return next((event for event in self.events if isinstance(event, Closed)), None)

    @property
    def refusals(self) -> list[tuple[bytes, int]]:
        """The lines that were refused, and by which code."""
        return [
            (event.line, event.reply.code)
            for event in self.events
            if isinstance(event, InvalidCommand)
        ]


def session(
    config: ServerConfig = RELAY,
    answer: Answer = by_default,
    *,
    tls: TlsInfo | None = None,
    peer: Peer | None = None,
    suffix: str = "",
    hello: str | None = "EHLO c.example",
) -> Session:
    """A session that has been greeted and, unless ``hello`` is None, has said hello."""
    made = Session(ServerConnection(config, tls=tls, peer=peer, reply_suffix=suffix))
    made.run()
    if hello is not None:
        reply = made.feed(hello.encode() + b"\r\n")
        assert reply.startswith(b"250"), reply
    made.answer = answer
    made.events.clear()
    made.sent = b""
    return made


def octets_of(line: str) -> bytes:
    return line.encode().decode("unicode_escape").encode("latin-1")


def parse(transcript: str) -> list[tuple[bytes, bytes]]:
    """Turns: what the client sends, and what the server answers to it."""
    turns: list[tuple[bytes, bytes]] = []
    for line in transcript.strip().splitlines():
        mark, text = line.strip()[:2], octets_of(line.strip()[3:])
        if mark in ("C:", "C|"):
            turns.append((text + b"\r\n" if mark == "C:" else text, b""))
        elif mark == "S:":
            client, server = turns.pop() if turns else (b"", b"")
            turns.append((client, server + text + b"\r\n"))
        else:
            raise ValueError(f"neither C: nor S: {line!r}")
    return turns


def seen(result: Session) -> tuple[object, ...]:
    conn = result.conn
    return (
        result.sent,
        result.events,
        result.need,
        conn.state,
        conn.envelope,
        conn.identity,
        conn.pending,
        conn.trailing_data,
    )


def play(make: Callable[[], Session], transcript: str) -> Session:
    """Hold the dialogue line by line and under every split; give the session held by lines."""
    turns = parse(transcript)
    by_line = make()
    for client, server in turns:
        assert (by_line.feed(client) if client else by_line.run()) == server, client
    check_brackets(by_line.events)
    groups = groups_of(turns)
    for place, group in enumerate(groups):
        for pieces in every_split(group):
            chunks = [*groups[:place], *pieces, *groups[place + 1 :]]
            cut = make()
            cut.run()
            feed_all(cut, chunks)
            assert seen(cut) == seen(by_line), chunks
    return by_line


def groups_of(turns: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """What a client may send at once: nothing behind a DATA that is refused (RFC 2920 §3.1).

    What comes sooner is an unframed body: test_server_body.py has that.
    """
    groups = [b""]
    for client, server in turns:
        groups[-1] += client
        if client[:4].upper() == b"DATA" and server[:1] in (b"4", b"5"):
            groups.append(b"")
    return [group for group in groups if group] or [b""]


def feed_all(made: Session, chunks: Iterable[bytes]) -> None:
    """Let chunks arrive as an adapter would: none once the end has come."""
    for chunk in chunks:
        if made.need is Need.CLOSE:
            return
        made.feed(chunk)


def check_brackets(events: Iterable[ServerEvent]) -> None:
    """Each message ends once, the connection at most once, and nothing follows that."""
    open_ = closed = False
    for event in events:
        assert not closed, f"{event} behind Closed"
        match event:
            case Data():
                assert not open_
            case BodyChunk():
                open_ = True
            case EndOfMessage() | MessageAborted():
                open_ = False
            case Closed():
                assert not open_, "a body was left open"
                closed = True


def attributes(kind: type) -> tuple[str, ...]:
    """The attributes of a slotted class, compiled or not."""
    return tuple(
        name
        for name, item in vars(kind).items()
        if hasattr(type(item), "__set__") and not name.startswith("__") and name != "trace"
    )


def state_of(conn: ServerConnection) -> object:
    """Everything an engine keeps, to be compared before and after."""
    return _frozen(conn._session)


def _frozen(kept: object) -> object:
    if isinstance(kept, list):
        return tuple(kept)
    own = type(kept).__module__.startswith("smtpwire") and not isinstance(kept, State)
    if own and type(kept).__eq__ is object.__eq__ and not callable(kept):
        names = [name for part in type(kept).__mro__ for name in attributes(part)]
        return (type(kept), *(_frozen(getattr(kept, name)) for name in names))
    return bytes(kept) if isinstance(kept, bytearray) else kept
