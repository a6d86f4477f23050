"""One step of one end: what it is given, where it leads, and what must hold there.

A half is an engine with what its application knows. A step makes it anew from its frozen value,
does one thing, pulls up to the next Need as an adapter would, and freezes it again, with counters
that decide nothing set to 0.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

from tests.walk.profiles import Profile
from tests.walk.snapshot import Frozen, freeze, thaw

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client.body import DotBody
from smtpwire.engine.client.kinds import RESPONSE
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    AuthenticationEnded,
    BodyChunk,
    Closed,
    Connected,
    EndOfData,
    EndOfMessage,
    MessageAborted,
    ReplyReceived,
    Unanswered,
)
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server.body import DotStuffedBody
from smtpwire.engine.server.input import Input
from smtpwire.engine.violation import ProtocolViolation
from smtpwire.sasl import (
    ClientMechanismConfig,
    Password,
    PasswordLogin,
    PlainPassword,
    SecretRequest,
    client_mechanism,
)
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.command import (
    Bdat,
    Command,
    Data,
    Hello,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = ["CLOSED", "Action", "Ends", "Fault", "Step", "client_start", "server_start"]

Action = tuple[object, ...]
"""What is done: a word, and what it is done with."""
Note = tuple[object, ...]
"""What the other end's fate is compared with."""
CONTENT: Final = b".ab\r\n"
_REPLIES: Final = {
    "4": Reply(450, "later"),
    "5": Reply(550, "no"),
    "421": Reply(421, "closing"),
}
_SAID: Final = {"": "2", "2": "2", "4": "4", "5": "5", "421": "4"}
"""What a client may think of a reply."""
_MECHANISMS: Final = frozenset({"PLAIN", "LOGIN", "CRAM-MD5"})
_PASSWORD: Final = Password("u", "p")


class Fault(AssertionError):
    """Something does not hold."""


class Step(NamedTuple):
    """Where a step leads: the half, what it has to be written, and notes for the pair."""

    half: Frozen
    octets: bytes
    notes: tuple[Note, ...]


def check(holds: object, what: str, *things: object) -> None:
    """Raise a Fault where something does not hold."""
    if not holds:
        raise Fault(f"{what} {' '.join(map(repr, things))}".rstrip())


class _Stalled(Exception):
    """What was handed out cannot be written."""


class Half:
    """An engine, its last Need, and whether it has told of its end."""

    __slots__ = ("conn", "is_over", "need")
    conn: Any

    def __init__(self) -> None:
        self.need: Need = Need.WRITE  # until it has begun
        self.is_over = False

    def do(self, action: Action, profile: Profile, notes: list[Note]) -> bool:
        """Let something happen; False where it cannot."""
        conn = self.conn
        match action:
            case ("octets", octets) if conn.wants_data:
                conn.receive_data(octets)
            case ("eof",) if not conn.eof_received:
                conn.receive_data(b"")
            case ("time-out",) if conn.timeout is not None:
                conn.timed_out()
            case ("abort",):
                conn.abort("lost")
            case ("handshake", True) if self.need is Need.TLS:
                conn.tls_started(SIMULATED_TLS)
            case ("handshake", False) if self.need is Need.TLS:
                conn.tls_failed()
            case ("begin",):
                pass
            case _:
                return False
        return True

    def settle(self) -> None:
        """Set to 0 what decides nothing."""
        raise NotImplementedError

    def take(self, event: Any, notes: list[Note]) -> None:
        """An event has come."""
        raise NotImplementedError

    def settled(self, notes: list[Note]) -> None:
        """All events have come: what must hold now?"""
        raise NotImplementedError

    def pull(self, notes: list[Note], *, stall: bool = False) -> bytes:
        """Take events up to a Need, and write; ``stall``: the peer reads nothing."""
        octets = b""
        written: bytes
        while True:
            item = self.conn.next_event()
            if not isinstance(item, Need):
                check(not self.is_over, "told after the end:", item)
                check(not isinstance(item, ProtocolViolation), "a peer is blamed:", item)
                self.is_over = isinstance(item, Closed)
                self.take(item, notes)
                continue
            written = self.conn.data_to_send()
            check(not self.conn.data_to_send(), "handed out twice")
            if written:
                check(self.conn.timeout is not None, "no time-out runs while writing")
                if stall:
                    self.conn.timed_out()
                    stall = False
                    continue
            octets += written
            if item is Need.WRITE:
                check(written, "WRITE, and nothing to write")
                continue
            check(self.conn.next_event() is item, "another Need for a second call, not", item)
            check(item is not Need.DATA or self.conn.timeout is not None, "no time-out at DATA")
            check(self.is_over is (item is Need.CLOSE), "CLOSE and Closed do not agree")
            self.need = item
            self.settled(notes)
            return octets


# -- the client


class ClientHalf(Half):
    """``open``: commands without an end so far. ``rcpts``: RCPTs of the transaction. ``content``:
    octets of the open body, None where there is none. ``accepted``: recipients of the message that
    was ended last. ``ended``: those of them with an end; -1: one for all."""

    __slots__ = ("accepted", "content", "ended", "open", "rcpts")

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.conn: ClientConnection = ClientConnection(profile.client)
        self.open: list[Command] = []
        self.rcpts = 0
        self.content: bytes | None = None
        self.accepted: list[int] = []
        self.ended: list[int] = []

    def do(self, action: Action, profile: Profile, notes: list[Note]) -> bool:
        if action[0] == "call":
            return self._call(cast("str", action[1]), profile, notes)
        return super().do(action, profile, notes)

    def _call(self, word: str, profile: Profile, notes: list[Note]) -> bool:
        """Make a call of the application's; False where it is none now."""
        session = self.conn._session
        queued = len(session.pipeline.held) + len(session.pipeline.flight)
        if word not in ("body", "end", "QUIT") and queued >= profile.queue:
            return False
        if word == "RCPT" and self.rcpts >= profile.recipients:
            return False
        if word == "body":
            if self.content != b"":
                return False
            self.conn.send_body(CONTENT)
            self.content = CONTENT
            self.open += [
                step.command for step in session.pipeline.held if type(step.command) is Bdat
            ]
        elif word == "end":
            self.open.append(self.conn.end_body())
            self.ended = []
            notes.append(("sent", self.content))
            self.content = None
        elif word in _MECHANISMS:
            mechanism = client_mechanism(word, _PASSWORD, ClientMechanismConfig())
            self.open.append(self.conn.authenticate(mechanism))
        else:
            command = self._command(word, profile)
            self.open.append(self.conn.send(command))
            self.rcpts = self.rcpts + 1 if word == "RCPT" else 0 if word == "MAIL" else self.rcpts
        return True

    def _command(self, word: str, profile: Profile) -> Command:
        match word:
            case "EHLO":
                return profile.hello
            case "MAIL":
                return profile.mail
            case "RCPT":
                return profile.rcpts[self.rcpts]
            case "DATA":
                return profile.data
        return {"RSET": Rset(), "NOOP": Noop(), "QUIT": Quit(), "STARTTLS": StartTls()}[word]

    def take(self, event: Any, notes: list[Note]) -> None:
        match event:
            case ReplyReceived(EndOfData(), reply, recipient):
                self._message_ended(recipient, str(reply.code)[0], notes)
            case Unanswered(EndOfData(), cause, _, recipient):
                self._message_ended(recipient, cause.value, notes)
            case ReplyReceived(command) | Unanswered(command):
                if self.ended and isinstance(command, Data):
                    self._check_message_ended(notes)  # it was that of the message before
                self._ended(command)
            case AuthenticationEnded(auth):
                self._ended(auth)

    def _ended(self, command: Command) -> None:
        check(command in self.open, "ended twice, or never sent:", command)
        self.open.remove(command)

    def _message_ended(self, recipient: Rcpt | None, how: str, notes: list[Note]) -> None:
        at = -1 if recipient is None else int(recipient.address.local_part)
        check(at not in self.ended, "a message ended twice for", at)
        self.ended.append(at)
        notes.append(("ended", at, how))

    def settled(self, notes: list[Note]) -> None:
        session = self.conn._session
        steps = [*session.pipeline.flight, *session.pipeline.held]
        if self.ended and not any(step.kind.ends_body for step in steps):
            self._check_message_ended(notes)
        if session.body is None:
            self.content = None
        elif self.content is None:
            self.content = b""
            self.accepted = _numbers(session.transaction.accepted)
            self.ended = []
            if Data(chunking=True) in self.open:
                self.open.remove(Data(chunking=True))
            notes.append(("begun",))
        if self.need is Need.CLOSE and Data(chunking=True) in self.open:
            self.open.remove(Data(chunking=True))  # the body was opened, and closed before BODY
        queued = Counter(step.command for step in steps if step.kind is not RESPONSE)
        exchange = session.exchange
        if exchange is not None and exchange.auth not in queued:
            queued[exchange.auth] += 1
        queued.pop(EndOfData(), None)
        waiting = Counter(self.open)
        if waiting.pop(EndOfData(), None):
            check(any(step.kind.ends_body for step in steps), "a message without an end")
        check(queued == waiting, "queued, and to be ended:", queued, waiting)
        if self.need is Need.COMMAND:
            check(not self.conn.replies_owed, "COMMAND while replies are owed")
            check(self.conn.timeout is None, "a time-out runs at COMMAND")
        if self.need is Need.CLOSE:
            check(not self.open, "without an end:", self.open)

    def _check_message_ended(self, notes: list[Note]) -> None:
        if EndOfData() in self.open:
            self.open.remove(EndOfData())
            each = sorted(self.ended)
            fits = (each == [-1], each == self.accepted, each == [-1, *self.accepted])
            check(any(fits), "a message ended for", each, "and was sent to", self.accepted)
        self.ended = []
        notes.append(("over",))

    def settle(self) -> None:
        session = self.conn._session
        stream, pipeline, outlook = session.stream, session.pipeline, session.outlook
        parser, before = stream.parser, stream.start
        parser.offset -= before
        parser._chunks = [b"".join(parser._chunks)] if parser._chunks else []
        stream.received -= before
        stream.start = stream.at = stream.octets_received = stream.replies = 0
        for step in pipeline.flight:
            step.started = max(0, step.started - before)
        pipeline.commands = pipeline.octets_sent = pipeline.progress = 0
        body = session.body
        numbered = [step for step in (*pipeline.flight, *pipeline.held) if step.transaction]
        bodies = [] if body is None else [body]
        numbers = [step.transaction for step in numbered] + [each._transaction for each in bodies]
        base = max(min([*numbers, outlook.transactions]) - 1, 0)
        for step in numbered:
            step.transaction -= base
        for open_body in bodies:
            open_body._transaction -= base
        outlook.transactions -= base
        outlook.mails = outlook.rcpts = 0
        session.errors = session.messages = session.authentications_failed = 0
        if isinstance(body, DotBody):
            body._encoder._offset = min(body._encoder._offset, 1)
        elif body is not None and body._guard is not None:
            body._guard._offset = min(body._guard._offset, 1)


def _numbers(recipients: list[Rcpt]) -> list[int]:
    return [int(rcpt.address.local_part) for rcpt in recipients]


# -- the server


class ServerHalf(Half):
    """``content``: octets of the message that was begun, None where there is none. ``given``: the
    replies to its end so far, where there is one a recipient."""

    __slots__ = ("content", "given")

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.conn: ServerConnection = ServerConnection(profile.server)
        self.content: bytes | None = None
        self.given = 0

    def do(self, action: Action, profile: Profile, notes: list[Note]) -> bool:
        match action:
            case ("answer", said) if said in self._answers():
                self._answer(said, notes)
            case ("shutdown",) if self.conn._session.farewell is None:
                self.conn.shutdown()
            case _:
                return super().do(action, profile, notes)
        return True

    def _answers(self) -> tuple[str, ...]:
        """What the application may answer now."""
        pending = self.conn.pending
        if pending is None:
            return ("5", "421") if self.content is not None else ()
        if isinstance(pending, EndOfMessage) and self.conn.replies_owed > 1:
            return ("", "2", "4", "5", "421")
        if isinstance(pending, EndOfMessage) and pending.envelope.mail.parameters:
            return ("",)  # PRDR's last reply follows from those before it
        if isinstance(pending, Connected | Hello):
            return ("", "5", "421")
        return ("", "4", "5", "421")

    def _answer(self, said: str, notes: list[Note]) -> None:
        """Answer the question that is pending, or refuse the message that comes."""
        pending = self.conn.pending
        match pending:
            case None:
                self.conn.reply(_REPLIES[said])
            case SecretRequest() if said in ("", "5"):
                self.conn.supply(PlainPassword("p") if not said else None)
            case PasswordLogin() if not said:
                self.conn.reply(Reply(235, "in"))
            case PasswordLogin() if said == "5":
                self.conn.reply(Reply(535, "no"))
            case StartTls() | PasswordLogin() | SecretRequest() if said == "4":
                self.conn.reply(Reply(454, "later"))
            case EndOfMessage():
                self._judge(pending, said, notes)
            case Data():
                self.conn.reply(*([_REPLIES[said]] if said else []))
                self.content = None if said else b""
            case Mail() | Rcpt() if not said:
                self.conn.reply(Reply(250, "yes"))
            case _:
                self.conn.reply(*([_REPLIES[said]] if said else []))

    def _judge(self, message: EndOfMessage, said: str, notes: list[Note]) -> None:
        numbers = _numbers([*message.envelope.recipients])
        one_each = self.conn.replies_owed > 1 or self.given > 0
        if said:
            self.conn.reply({"2": Reply(250, "taken")}.get(said) or _REPLIES[said])
        else:
            self.conn.reply()
        whose = numbers[self.given :]
        if said and one_each:
            whose = whose[:1]
        notes.extend(("judged", at, _SAID[said]) for at in whose)
        self.given = self.given + 1 if self.conn.replies_owed else 0

    def take(self, event: Any, notes: list[Note]) -> None:
        match event:
            case BodyChunk(data):
                check(self.content is not None, "content of no message")
                self.content = cast("bytes", self.content) + data
            case EndOfMessage(envelope):
                check(self.content is not None, "the end of no message")
                notes.append(("asked", self.content, tuple(_numbers([*envelope.recipients]))))
                self.content = None
                self.given = 0
            case MessageAborted():
                check(self.content is not None, "a message aborted that was none")
                self.content = None
            case Closed():
                check(self.content is None, "the end inside of a message")

    def settled(self, notes: list[Note]) -> None:
        pending = self.conn.pending
        check((pending is not None) is (self.need is Need.REPLY), "REPLY, and asked is", pending)
        if self.need is Need.REPLY:
            check(isinstance(pending, Request), "no question")

    def settle(self) -> None:
        session = self.conn._session
        received, outbox, tally = session.input, session.outbox, session.tally
        session.input = Input(received.limit)
        if received.waiting:
            session.input.feed(received.peek(received.waiting))
        session.input.ended, session.input.trailing = received.ended, received.trailing
        outbox.sent = min(outbox.sent, 1)
        outbox.writes = outbox.replies = 0
        tally.errors -= tally._errors_forgiven
        tally._errors_forgiven = tally.commands = tally.content = tally.steps = 0
        tally.messages = tally.junk = tally.dropped = 0
        tally.excess_recipients = tally.refused_recipients = 0
        body = session.transaction.body
        if isinstance(body, DotStuffedBody):
            body._start = 0
            body._decoder._offset = min(body._decoder._offset, 0)


# -- steps


CLOSED: Final[Frozen] = ("closed",)
"""A half that has ended: nothing more comes of it."""
_ANYWHERE: Final[tuple[Action, ...]] = (("time-out",), ("abort",), ("handshake", False))
_SERVER: Final[tuple[Action, ...]] = (
    *(("answer", said) for said in ("", "2", "4", "5", "421")),
    ("shutdown",),
    *_ANYWHERE,
)


class Ends:
    """The steps of both ends of a profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._calls: tuple[Action, ...] = tuple(("call", word) for word in profile.calls)

    def options(self, end: str, frozen: Frozen) -> Iterator[tuple[Action, Step]]:
        """What may happen at an end by itself, and where it leads."""
        if end == "client":
            self._check_misuse(frozen)
        for action in (*self._calls, *_ANYWHERE) if end == "client" else _SERVER:
            step = self.step(frozen, action)
            if step is not None:
                check(action[0] != "abort" or not step.octets, "words after an abort")
                check(
                    action[0] not in ("abort", "time-out") or step.half is CLOSED,
                    "no end by",
                    action,
                )
                yield action, step

    def step(self, frozen: Frozen, action: Action, *, stall: bool = False) -> Step | None:
        """Do something at an end; None where it cannot be done now."""
        half: Half = thaw(frozen)
        notes: list[Note] = []
        try:
            if not half.do(action, self.profile, notes):
                return None
        except LocalProtocolError:
            return None
        try:
            octets = half.pull(notes, stall=stall)
        except AssertionError as fault:
            raise Fault(f"{fault}, after {' '.join(map(str, action))}") from fault
        if half.need is Need.CLOSE:
            check_ended(half)
            return Step(CLOSED, octets, tuple(notes))
        half.settle()
        return Step(freeze(half), octets, tuple(notes))

    def _check_misuse(self, frozen: Frozen) -> None:
        """A call that raises has changed nothing."""
        half: ClientHalf = thaw(frozen)
        for action in self._calls:
            try:
                if half.do(action, self.profile, []):
                    half = thaw(frozen)
            except LocalProtocolError:
                pass
        check(freeze(half) == frozen, "a call that raised has changed something")


def check_ended(half: Half) -> None:
    """Whatever is done after the end, it is CLOSE."""
    conn = half.conn
    conn.abort()
    conn.timed_out()
    conn.receive_data(b"")
    conn.receive_data(b"250 late\r\n")
    check(conn.next_event() is Need.CLOSE, "CLOSE stays for ever")
    check(not conn.data_to_send(), "words after the end")
    check(not conn.wants_data, "reads after the end")


def client_start(profile: Profile) -> Frozen:
    """A client that has not begun."""
    return freeze(ClientHalf(profile))


def server_start(profile: Profile) -> Frozen:
    """A server that has not begun."""
    return freeze(ServerHalf(profile))
