"""What holds of every session, however it went."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from smtpwire.engine.events import (
    AuthenticationEnded,
    BodyChunk,
    ClientEvent,
    Closed,
    EndOfData,
    EndOfMessage,
    MessageAborted,
    ReplyReceived,
    ServerEvent,
    Unanswered,
)
from smtpwire.engine.need import Need
from smtpwire.engine.timeouts import Timeout
from smtpwire.extensions import Burl
from smtpwire.wire.command import Command, Data, Mail, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import ReplyParser

__all__ = [
    "TraceError",
    "check_commands_end",
    "check_one_end",
    "check_own_words",
    "check_recipients_told",
    "check_server_brackets",
    "flushed",
    "next_item",
    "replies_of",
]

T = TypeVar("T", covariant=True)


class TraceError(Exception):
    """What an application's trace raises."""


def next_item(conn: "_Giver[T]") -> T:
    """The next event: what a trace raises in its place changes nothing, and it still comes."""
    while True:
        try:
            return conn.next_event()
        except TraceError:
            pass


class _Giver(Protocol[T]):
    def next_event(self) -> T: ...


def check_own_words(text: str) -> None:
    """What we say of a peer's mistake is plain text of our own, fit for a reply or a log."""
    assert text.isascii()
    assert text.isprintable()


def replies_of(octets: bytes) -> list[Reply]:
    """What a client reads; the stream has nothing but replies, and no bare CR or LF."""
    parser = ReplyParser(max_line=20_000, max_lines=200, max_octets=1 << 20)
    parser.receive_data(octets)
    replies: list[Reply] = []
    while (reply := parser.next_reply()) is not None:
        assert isinstance(reply, Reply), reply
        replies.append(reply)
    assert not parser.pending
    return replies


class Timed(Protocol):
    """What either engine tells its adapter of time."""

    @property
    def timeout(self) -> Timeout | None: ...

    def next_event(self) -> object: ...

    def data_to_send(self) -> bytes: ...


def flushed(conn: Timed, need: Need) -> bytes:
    """What an adapter writes at a Need; somebody is waited for while it writes and while it reads.

    Where it may read on, nothing has changed by the writing.
    """
    octets = conn.data_to_send()
    assert conn.data_to_send() == b"", "it is handed out once"
    if octets:
        assert conn.timeout is not None, "a peer that reads nothing is noticed"
        if need is not Need.WRITE:
            assert conn.next_event() is need
    assert need is not Need.DATA or conn.timeout is not None, "a silent peer is noticed"
    return octets


def check_one_end(events: Sequence[ServerEvent | ClientEvent]) -> None:
    """Exactly one Closed, and nothing after it."""
    closed = [event for event in events if isinstance(event, Closed)]
    assert len(closed) == 1, events
    assert events[-1] is closed[0], events


def check_server_brackets(events: Iterable[ServerEvent]) -> None:
    """Every body that was begun ends once, and its octets come inside."""
    begun: Data | None = None
    inside = False
    size = 0
    for event in events:
        match event:
            case Data():
                assert not inside
                begun, size = event, 0
            case BodyChunk(data):
                assert begun is not None
                inside = True
                size += len(data)
            case EndOfMessage():
                assert begun is not None
                assert event.size == size
                assert event.envelope.recipients
                inside, begun = False, None
            case MessageAborted():
                assert begun is not None
                inside, begun = False, None
            case _:
                pass
    assert not inside


def check_commands_end(
    events: Sequence[ClientEvent], commands: Iterable[Command], bodies: Iterable[Command]
) -> None:
    """Every command that was taken ends once; the end of a message once a recipient in LMTP.

    ``bodies`` are those that open a body in chunks, which end silently where it was opened.
    """
    ends: dict[int, int] = {}
    for event in events:
        match event:
            case ReplyReceived(command) | Unanswered(command):
                ends[id(command)] = ends.get(id(command), 0) + 1
            case AuthenticationEnded(auth):
                ends[id(auth)] = ends.get(id(auth), 0) + 1
            case _:
                pass
    for command in commands:
        count = ends.pop(id(command), 0)
        assert count == 1 or (count and _ends_message(command)), (command, count, events)
    for command in bodies:
        assert ends.pop(id(command), 0) <= 1, (command, events)
    # What else ends is the lone dot of the engine's own, and a refusal in the middle of a body.
    assert all(count == 1 or count <= 100 for count in ends.values())


def _ends_message(command: Command) -> bool:
    return isinstance(command, EndOfData) or (isinstance(command, Burl) and command.last)


def check_recipients_told(events: Iterable[ClientEvent]) -> None:
    """What ends a message recipient by recipient names those accepted, in order, each once.

    RFC 2033 §4.2: a reply for each RCPT that was accepted, in LMTP, for BURL LAST as for the dot
    (RFC 4468 §3.2); and PRDR. Those who have no reply yet at the end are unanswered.
    """
    accepted: list[Rcpt] = []
    told: dict[int, list[Rcpt]] = {}
    owed: dict[int, list[Rcpt]] = {}
    for event in events:
        match event:
            case ReplyReceived(Mail()):
                accepted = []
            case ReplyReceived(Rcpt() as rcpt, reply) if reply.is_positive:
                accepted.append(rcpt)
            case ReplyReceived(command, _, recipient) | Unanswered(command, _, _, recipient):
                if recipient is not None:
                    assert _ends_message(command), command
                    owed.setdefault(id(command), accepted)
                    told.setdefault(id(command), []).append(recipient)
            case _:
                pass
    for end, recipients in told.items():
        assert [*map(id, recipients)] == [*map(id, owed[end])], (recipients, owed[end])
