"""What the engines make of a dialogue: each is fed what its peer said, and says which rule broke.

Secrets are redacted in most dialogues, so that AUTH is not judged, and what comes after it is as
if nobody had logged in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, Literal, TypeAlias, final

from smtpwire.command_line.dialogue import Entry, is_lmtp
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import EndOfMessage, InvalidCommand, Peer
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import REGISTRY, Offered
from smtpwire.transcript import Elided, Item, Line, Mark, Octets
from smtpwire.wire.command import (
    CommandError,
    Data,
    Hello,
    Leniency,
    parse_command,
)
from smtpwire.wire.ehlo import parse_ehlo
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import END_OF_DATA, GREETING
from smtpwire.wire.value import Request, replace, value

__all__ = ["Finding", "judge"]

_TLS: Final = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", verified=True)
_LOOPBACK: Final = frozenset({"127.0.0.1"})
_PEER: Final = Peer("127.0.0.1", 25)
_LENIENT: Final = Leniency(odd_hello_names=True)
_LONGEST: Final = 1 << 20

Who: TypeAlias = Literal["client", "server"]


@final
@value
class Finding:
    """Which rule one side broke, in words, and where it stands; ``ours``: what we would answer."""

    who: Who
    text: str
    source: str = ""
    ours: str = ""


_COMMANDS: Final[Mapping[str, str]] = {
    "EHLO": "RFC 5321 §4.1.1.1",
    "HELO": "RFC 5321 §4.1.1.1",
    "LHLO": "RFC 2033 §4.1",
    "MAIL": "RFC 5321 §4.1.1.2",
    "RCPT": "RFC 5321 §4.1.1.3",
    "DATA": "RFC 5321 §4.1.1.4",
    "RSET": "RFC 5321 §4.1.1.5",
    "VRFY": "RFC 5321 §4.1.1.6",
    "EXPN": "RFC 5321 §4.1.1.7",
    "HELP": "RFC 5321 §4.1.1.8",
    "NOOP": "RFC 5321 §4.1.1.9",
    "QUIT": "RFC 5321 §4.1.1.10",
    "STARTTLS": "RFC 3207 §4",
    "AUTH": "RFC 4954 §4",
    "BDAT": "RFC 3030 §2",
}
_CODES: Final[Mapping[int, str]] = {
    500: "RFC 5321 §4.2.4",
    502: "RFC 5321 §4.2.4",
    503: "RFC 5321 §4.1.4",
    555: "RFC 5321 §4.1.1.11",
}
_VIOLATIONS: Final[Mapping[ViolationKind, str]] = {
    ViolationKind.EARLY_TALK: "RFC 5321 §4.3.1",
    ViolationKind.PLAINTEXT_BEHIND_STARTTLS: "RFC 3207 §4.2",
    ViolationKind.BARE_CR: "RFC 5321 §2.3.8",
    ViolationKind.BARE_LF: "RFC 5321 §2.3.8",
    ViolationKind.LINE_TOO_LONG: "RFC 5321 §4.5.3.1",
    ViolationKind.FOREIGN_PROTOCOL: "RFC 5321 §4.1",
    ViolationKind.PIPELINING: "RFC 2920 §3.1",
    ViolationKind.CHUNK_SIZE: "RFC 3030 §2",
    ViolationKind.UNFRAMED_BODY: "RFC 5321 §4.1.1.4",
    ViolationKind.TOO_MUCH: "RFC 5321 §4.5.3.1",
    ViolationKind.UNEXPECTED_REPLY: "RFC 5321 §4.3.1",
    ViolationKind.MALFORMED_REPLY: "RFC 5321 §4.2",
    ViolationKind.MIXED_CODES: "RFC 5321 §4.2.1",
    ViolationKind.REPLY_TOO_LONG: "RFC 5321 §4.5.3.1.5",
    ViolationKind.WRONG_REPLY: "RFC 5321 §4.3.2",
    ViolationKind.CHANGED_OFFER: "RFC 3207 §4.2",
}

Findings: TypeAlias = dict[int, list[Finding]]
"""By the number of the entry that they are about."""


def judge(entries: list[Entry], role: Literal["server", "client", "both"] = "both") -> Findings:
    """What the engine in this role finds of the other side's part; both: each of the other's."""
    found: Findings = {}
    lmtp = is_lmtp(entry.item for entry in entries)
    said = next((entry.kind for entry in entries if entry.kind != "note"), "")
    answered = any(entry.answers and entry.answers.verb == GREETING for entry in entries)
    if said != "reply" and not answered:  # its beginning is missing: what led to it is not known
        _look_at_replies(entries, found)
        return found
    if role in ("server", "both"):
        _Server(entries, lmtp).run(found)
    if role in ("client", "both"):
        _Client(entries, lmtp).run(found)
        _look_at_replies(entries, found)
    return found


def _violation(who: Who, event: ProtocolViolation) -> Finding:
    return Finding(who, event.kind.value, _VIOLATIONS.get(event.kind, ""))


def _is_auth(entry: Entry) -> bool:
    return entry.verb == "AUTH"


def _octets(item: Item) -> bytes:
    match item:
        case Line(_, octets):
            return octets + b"\r\n"
        case Octets(_, octets):
            return octets
        case Elided(_, size):
            return (b"x" * 70 + b"\r\n") * (min(size, _LONGEST) // 72) + b"x" * (size % 72)
        case _:
            return b""


def _offer_of(reply: Reply) -> list[Offered]:
    offer = REGISTRY.read(parse_ehlo(reply).keywords)
    return [item for item in offer if item.extension.keyword != "AUTH"]


# -- our server, and what the client said


@final
class _Server:
    """Our server is the recorded one as far as an application decides."""

    def __init__(self, entries: list[Entry], lmtp: bool) -> None:
        self._entries = entries
        make = ServerConfig.lmtp if lmtp else ServerConfig.relay
        config = replace(
            make("server.example"),
            starttls=True,
            xclient=_LOOPBACK,
            xforward=_LOOPBACK,
            leniency=_LENIENT,
        )
        self._config = config
        self._conn = ServerConnection(config, peer=_PEER)
        self._answering: Entry | None = None
        self._apart = False
        self._found: list[Finding] = []

    def run(self, found: Findings) -> None:
        """Add what it finds."""
        self._pull()
        for number, entry in enumerate(self._entries):
            if self._conn.state is State.CLOSED:
                return
            if isinstance(entry.item, Mark) and entry.item.name == "starttls":
                if self._conn.state is State.TLS:
                    self._conn.tls_started(_TLS)
                    self._pull()
                continue
            self._hear(entry)
            if self._found:
                found.setdefault(number, []).extend(self._found)
                self._found = []

    def _hear(self, entry: Entry) -> None:
        conn = self._conn
        if entry.kind == "reply":
            if entry.answers is not None and entry.answers.verb == END_OF_DATA:
                self._end_body(entry.answers)
            return
        if entry.kind == "note" or _is_auth(entry) or conn.state is State.TLS:
            return
        body = entry.kind == "content" or entry.item == Line("C", b".")
        if body and conn.state not in (State.DATA, State.CHUNKS):
            return
        if isinstance(entry.item, Elided) and entry.item.size > _LONGEST:
            conn.abort("too much to repeat")
            return
        if entry.kind == "content" and conn.state is State.DATA and isinstance(entry.item, Elided):
            self._feed(_octets(entry.item) + b"\r\n")
            return
        self._answering = entry
        self._feed(_octets(entry.item))

    def _end_body(self, entry: Entry) -> None:
        """A trace leaves the content out, and its dot."""
        if self._conn.state is State.DATA:
            self._answering = entry
            self._feed(b".\r\n")

    def _feed(self, octets: bytes) -> None:
        if octets:
            with suppress(LocalProtocolError):
                self._conn.receive_data(octets)
            self._pull()

    def _pull(self) -> None:
        conn = self._conn
        while True:
            item = conn.next_event()
            if isinstance(item, Need):
                conn.data_to_send()
                if item is not Need.WRITE:
                    return
            elif isinstance(item, InvalidCommand):
                self._refused(item)
            elif isinstance(item, ProtocolViolation):
                self._found.append(_violation("client", item))
            elif isinstance(item, Request):
                self._answer(item)

    def _refused(self, event: InvalidCommand) -> None:
        """What follows from a refusal that the recorded server did not share is no rule broken."""
        told = self._answering.replies if self._answering else []
        if not (self._apart and event.reply.code == 503):
            self._found.append(self._invalid(event))
        self._apart = self._apart or any(reply.severity in (2, 3) for reply in told)

    def _invalid(self, event: InvalidCommand) -> Finding:
        reply = event.reply
        verb = self._answering.verb if self._answering else ""
        source = _CODES.get(reply.code) or _COMMANDS.get(verb, "RFC 5321 §4.1.1")
        text = " ".join(reply.text.split())
        if text[1:2].islower():
            text = text[:1].lower() + text[1:]
        return Finding("client", text, source, str(reply))

    def _answer(self, question: Request) -> None:
        conn = self._conn
        told = self._answering.replies if self._answering else []
        try:
            if isinstance(question, EndOfMessage):
                conn.reply(*[Reply(250, "taken", "2.0.0")] * conn.replies_owed)
            elif (isinstance(question, Data) and question.chunking) or not told:
                conn.reply()
            else:
                if isinstance(question, Hello) and told[0].is_positive:
                    with suppress(ValueError, LocalProtocolError):
                        conn.offer(*_offer_of(told[0]))
                conn.reply(Reply(told[0].code, "as recorded"))
        except (LocalProtocolError, ValueError):
            if conn.pending is not None:
                conn.reply()


# -- our client, and what the server said


@final
class _Client:
    """Our client says what the recorded one said, where it is anything that it would say."""

    def __init__(self, entries: list[Entry], lmtp: bool) -> None:
        self._entries = entries
        self._conn = ClientConnection(ClientConfig(lmtp=lmtp))
        self._mute: set[int] = set()  # commands that were not sent, by id
        self._apart = False  # something was not sent that the recorded server granted
        self._found: list[Finding] = []

    def run(self, found: Findings) -> None:
        """Add what it finds."""
        self._pull()
        for number, entry in enumerate(self._entries):
            if self._conn.state is State.CLOSED:
                return
            if isinstance(entry.item, Mark) and entry.item.name == "starttls":
                if self._conn.state is State.TLS:
                    self._conn.tls_started(_TLS)
                    self._pull()
            elif entry.kind == "reply":
                self._hear(entry)
            elif entry.kind in ("command", "response", "content"):
                self._say(entry)
            if self._found:
                found.setdefault(number, []).extend(self._found)
                self._found = []

    def _hear(self, entry: Entry) -> None:
        answered = entry.answers
        if answered is not None and id(answered) in self._mute:
            return
        if answered is not None and answered.verb == END_OF_DATA:
            self._end_body()
        with suppress(LocalProtocolError):
            self._conn.receive_data(_octets(entry.item))
        self._pull()

    def _say(self, entry: Entry) -> None:
        conn = self._conn
        item = entry.item
        if entry.kind == "content":
            return
        if _is_auth(entry) or not isinstance(item, Line):
            self._mute.add(id(entry))
            return
        if item.octets == b".":
            if self._conn.state is not State.DATA:
                self._mute.add(id(entry))
            self._end_body()
            return
        if item.octets[:4].upper() == b"BDAT":
            conn.abort("chunks are not repeated")
            return
        try:
            command = parse_command(item.octets, conn.extensions.grammar(_LENIENT), utf8=True)
            conn.send(command)
        except (CommandError, LocalProtocolError) as error:
            self._mute.add(id(entry))
            if isinstance(error, LocalProtocolError) and not self._apart:
                self._found.append(Finding("client", f"our client would not say this: {error}"))
            self._apart = self._apart or any(reply.severity < 4 for reply in entry.replies)
        else:
            self._pull()

    def _end_body(self) -> None:
        if self._conn.state is State.DATA:
            with suppress(LocalProtocolError):
                self._conn.end_body()
                self._pull()

    def _pull(self) -> None:
        while True:
            item = self._conn.next_event()
            if isinstance(item, Need):
                self._conn.data_to_send()
                if item is not Need.WRITE:
                    return
            elif isinstance(item, ProtocolViolation):
                self._found.append(_violation("server", item))


# -- what no state is needed for

_CODED: Final = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}(?: |\Z)")


def _look_at_replies(entries: Iterable[Entry], found: Findings) -> None:
    enhanced = False
    for number, entry in enumerate(entries):
        reply, answered = entry.reply, entry.answers
        if entry.kind != "reply" or reply is None:
            continue
        verb = answered.verb if answered is not None else ""
        notes = []
        if verb in ("EHLO", "LHLO") and reply.is_positive:
            enhanced = any(line.upper() == "ENHANCEDSTATUSCODES" for line in reply.lines[1:])
        elif verb not in (GREETING, "EHLO", "HELO", "LHLO") and not reply.is_intermediate:
            if (coded := _CODED.match(reply.text)) and coded[1] != str(reply.severity):
                text = "the enhanced status code is of another class than the code"
                notes.append(Finding("server", text, "RFC 2034 §4"))
            elif enhanced and reply.enhanced is None:
                text = "ENHANCEDSTATUSCODES is offered, and this reply has none"
                notes.append(Finding("server", text, "RFC 2034 §4"))
        if isinstance(entry.item, Line) and len(entry.item.octets) > 510:
            notes.append(
                Finding("server", "a reply line of over 512 octets", "RFC 5321 §4.5.3.1.5")
            )
        if notes:
            found.setdefault(number, []).extend(notes)
