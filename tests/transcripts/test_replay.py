"""What real peers say, without the peers: each recorded side against our engine of the other role.

Our server answers what the recorded server answered wherever it is the application's to decide,
so that the client's next words fit. Our client says what the recorded client said.
"""

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, takewhile
from typing import Final

import pytest
from tests.depth import choose
from tests.engine.transcript import Session as ServerSession
from tests.engine.transcript import check_brackets, seen
from tests.transcripts.sessions import Session, sessions
from tests.transcripts.turns import BODY, Dialogue, Turn, read, replies

from smtpwire import (
    REGISTRY,
    Auth,
    Authenticated,
    AuthenticationEnded,
    AuthenticationOutcome,
    BodyChunk,
    ClientConfig,
    ClientConnection,
    ClientEvent,
    Closed,
    CloseReason,
    Data,
    EndOfMessage,
    Greeting,
    Hello,
    Leniency,
    LineEndings,
    LocalProtocolError,
    Need,
    Offer,
    Offered,
    PasswordLogin,
    PlainPassword,
    Profile,
    Reply,
    ReplyReceived,
    Request,
    SecretRequest,
    ServerConfig,
    ServerConnection,
    ServerMechanism,
    TokenLogin,
    derive_scram,
    extensions,
)
from smtpwire.engine.events import Peer
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.sasl import (
    MECHANISMS,
    BadChallengeError,
    ServerFactory,
    ServerMechanismConfig,
    StoredSecret,
    server_mechanism,
)
from smtpwire.testing import drain
from smtpwire.wire.command import Command, parse_command
from smtpwire.wire.ehlo import parse_ehlo
from smtpwire.wire.reply_parser import ReplyParser
from smtpwire.wire.value import replace

HOST: Final = "localhost"
PEER: Final = Peer("127.0.0.1", 2525)
PASSWORD: Final = "pencil"
SPLITS: Final = choose(4, 12)
"""How many of a session's two-way splits are tried; which ones differs from session to session."""

each_session = pytest.mark.parametrize(
    "session", [pytest.param(session, id=f"{n}-{session}") for n, session in enumerate(sessions())]
)


def number(session: Session) -> int:
    return next(n for n, other in enumerate(sessions()) if other is session)


def some_splits(octets: bytes, session: Session) -> Iterator[list[bytes]]:
    """One octet at a time, and some two-way splits: all sessions together try every kind."""
    if octets:
        yield [octets[at : at + 1] for at in range(len(octets))]
    step = max(1, len(octets) // SPLITS)
    for at in range(1 + number(session) % step, len(octets), step):
        yield [octets[:at], octets[at:]]


# -- every client against our server


@dataclass(frozen=True)
class Part:
    """What a recorded server did that our application has to do, too."""

    config: ServerConfig
    secrets: Mapping[str, StoredSecret]
    said: tuple[Reply, ...]
    """The recorded replies in order: the next one is the one after those our engine has queued."""

    def answer(self, conn: ServerConnection, question: Request) -> None:
        told = self.said[conn.stats.replies] if conn.stats.replies < len(self.said) else None
        match question:
            case Hello() if told is not None and told.is_positive:
                conn.offer(*offer_of(told))
                conn.reply()
            case PasswordLogin(_, password):
                conn.reply(Reply(235) if password == PASSWORD else Reply(535))
            case TokenLogin(_, token):
                conn.reply(Reply(235) if token != "wrong" else Reply(535))
            case SecretRequest(mechanism):
                conn.supply(self.secrets.get(mechanism, PlainPassword(PASSWORD)))
            case EndOfMessage() if conn.replies_owed > 1:
                at = conn.stats.replies
                at += self.said[at].code == 353
                conn.reply(*(Reply(item.code) for item in self.said[at : at + conn.replies_owed]))
            case Data(chunking=True):
                conn.reply()
            case _ if told is None:
                conn.reply()
            case _:
                conn.reply(Reply(told.code, "as recorded"))


BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@cache
def part_of(session: Session) -> Part:
    """Nonces and secrets as recorded, so that challenges and responses fit."""
    dialogue = read(session)
    factories, secrets = _mechanisms(dialogue)
    profile = Profile.SUBMISSION if session.server == "dovecot-submission" else Profile.RELAY
    bare = any(
        BARE.search(turn.content) and turn.replies[-1].is_positive
        for turn in dialogue.turns
        if turn.kind in BODY
    )
    config = ServerConfig(
        host=HOST,
        profile=Profile.LMTP if session.lmtp else profile,
        custom_mechanisms=factories,
        scram_secret=b"of all processes",
        line_endings=LineEndings.PRESERVE if bare else LineEndings.REJECT,
        xclient=frozenset({PEER.address}),
        xclient_login=True,
        cleartext_without_tls=True,
        leniency=Leniency(blank_after_colon=True, missing_brackets=True, odd_hello_names=True),
    )
    said = (dialogue.greeting, *(reply for turn in dialogue.turns for reply in turn.replies))
    return Part(config, secrets, said)


def offer_of(hello: Reply) -> list[Offered]:
    """What the recorded server offers here, as far as we can offer it."""
    offer = REGISTRY.read(parse_ehlo(hello).keywords)
    offered = [item for item in offer if item.extension.keyword not in ("AUTH", "STARTTLS")]
    mechanisms = tuple(name for name in offer.get(extensions.AUTH) or () if name in MECHANISMS)
    return [*offered, extensions.AUTH(mechanisms)] if mechanisms else offered


def _mechanisms(dialogue: Dialogue) -> tuple[dict[str, ServerFactory], dict[str, StoredSecret]]:
    factories: dict[str, ServerFactory] = {}
    secrets: dict[str, StoredSecret] = {}
    mechanism, nonce = "", b""
    for turn in dialogue.turns:
        if turn.verb == b"AUTH":
            words = turn.line.split()
            mechanism = words[1].decode()
            response = words[-1]
        elif turn.kind == "response":
            response = turn.line
        else:
            continue
        if found := re.search(rb",r=([^,]+)", _decoded(response)):
            nonce = found[1]
        for reply in turn.replies:
            challenge = _decoded(reply.text.encode())
            if found := re.fullmatch(rb"<([^@]+)@([^>]+)>", challenge):  # CRAM-MD5
                factories[mechanism] = _drawing(mechanism, found[1], found[2])
            elif found := re.fullmatch(rb"r=([^,]+),s=([^,]+),i=([0-9]+)", challenge):  # SCRAM
                factories[mechanism] = _drawing(mechanism, found[1].removeprefix(nonce), b"")
                secrets[mechanism] = derive_scram(
                    PASSWORD, mechanism, salt=b64decode(found[2]), iterations=int(found[3])
                )
            elif found := re.search(rb'nonce="([^"]+)"', challenge):  # DIGEST-MD5
                realm = re.search(rb'realm="([^"]*)"', challenge)
                factories[mechanism] = _drawing(
                    mechanism, found[1], b"", realm[1] if realm else b""
                )
    return factories, secrets


def _drawing(name: str, nonce: bytes, host: bytes, realm: bytes = b"") -> ServerFactory:
    """A mechanism that draws this nonce."""

    def make(config: ServerMechanismConfig) -> ServerMechanism:
        hosts = (host.decode(),) if host else ()
        config = replace(config, nonce=nonce.decode, hosts=hosts, realm=realm.decode())
        return server_mechanism(name, config)

    return make


def _decoded(octets: bytes) -> bytes:
    try:
        return b64decode(octets, validate=True)
    except ValueError:
        return b""


def served(session: Session, chunks: Iterable[bytes]) -> ServerSession:
    """The client's octets, fed to our server in these chunks, and the end of its stream."""
    part = part_of(session)
    server = ServerSession(ServerConnection(part.config, peer=PEER), part.answer)
    server.run()
    for chunk in chunks:
        if server.need is not Need.CLOSE:
            server.feed(chunk)
    server.end()
    return server


@each_session
def test_every_client_is_served(session: Session) -> None:
    octets = session.octets("C")
    turns = read(session).turns
    waits = refused_data(octets, turns)
    server = served(session, cut([octets], waits))
    check_brackets(server.events)
    assert server.need is Need.CLOSE
    assert server.closed is not None
    ours = [reply for _, reply in replies(server.sent)]
    taken: list[Turn] = []
    at = 1
    for turn in turns:
        told = [reply.severity for reply in turn.replies]
        given = ours[at : at + len(told)]
        at += len(told)
        if [reply.severity for reply in given] != told:
            said = turn.line if turn.kind == "command" else turn.kind.encode()
            assert (said, given[0].code) in DIFFERENT
            if turn.kind == "response" or (turn.kind == "command" and given[0].code > 500):
                break  # what follows is no dialogue any more
            continue
        taken.append(turn)
    else:
        assert messages(server) == contents(taken)
        assert server.closed.reason is end_of(turns)
    unframed = unframed_from(server)
    if unframed:  # behind a refused DATA it matters what comes before the refusal has left
        octets = octets[:unframed]
        server = served(session, cut([octets], waits))
    for chunks in some_splits(octets, session):
        assert seen(served(session, cut(chunks, waits))) == seen(server), chunks


def refused_data(octets: bytes, turns: Iterable[Turn]) -> list[int]:
    """Where the client waited for the refusal of a DATA, before it sent what is behind it."""
    places = []
    place = 0
    for turn in turns:
        if turn.kind == "command":
            place = octets.index(turn.line, place) + len(turn.line)
            if turn.verb == b"DATA" and turn.replies and turn.replies[0].code >= 400:
                places.append(place + 2)
    return places


def cut(chunks: Iterable[bytes], places: Iterable[int]) -> list[bytes]:
    """The chunks, cut in these places of their octets, too."""
    pieces = []
    start = 0
    for chunk in chunks:
        end = start + len(chunk)
        borders = [start, *(place for place in places if start < place < end), end]
        pieces += [chunk[a - start : b - start] for a, b in pairwise(borders)]
        start = end
    return pieces


def unframed_from(server: ServerSession) -> int:
    """Where the body begins that came behind a refused DATA; 0 where there is none."""
    for event in server.events:
        if isinstance(event, ProtocolViolation) and event.kind is ViolationKind.UNFRAMED_BODY:
            return event.offset
    return 0


def end_of(turns: Sequence[Turn]) -> CloseReason:
    if turns and turns[-1].verb == b"QUIT":
        return CloseReason.QUIT
    closing = any(reply.code == 421 for turn in turns for reply in turn.replies)
    return CloseReason.SHUTDOWN if closing else CloseReason.EOF


# Where we answer by the RFC and the recorded server did otherwise: the line, and our code.
DIFFERENT: Final = {
    (b"HELP", 214),  # RFC 5321 §4.1.1.8: should be implemented
    (b"MAIL FROM:<user@localhost@client.test>", 501),  # §4.1.2: no mailbox
    (b"MAIL FROM:<a@b.test> AUTH=<e=mc2@b.test> SIZE=171", 501),  # RFC 4954 §5: no xtext
    (b"MAIL FROM:<\xc3\xa9@b.test> SIZE=151", 501),  # RFC 6531 §3.4: without SMTPUTF8
    (b"mail FROM:<a@b.test> size=171 BODY=8BITMIME", 555),  # RFC 5321 §4.1.1.11: not offered
    (b"data", 554),  # bare LF, refused for good and not for now
    (b"response", 334),  # DIGEST-MD5 with an authzid, refused though the response is right
}


def messages(server: ServerSession) -> list[bytes]:
    """The content of each message that came whole."""
    found: list[bytes] = []
    content = b""
    for event in server.events:
        match event:
            case Data():
                content = b""
            case BodyChunk(data):
                content += data
            case EndOfMessage():
                found.append(content)
    return found


def contents(turns: Iterable[Turn]) -> list[bytes]:
    """The same as the client meant it."""
    found: list[bytes] = []
    content = b""
    for turn in turns:
        content += turn.content
        if turn.kind in ("data", "last chunk"):
            found.append(content)
            content = b""
    return found


# -- every server against our client


class Recorded:
    """A mechanism that says what the recorded client said."""

    complete = mutual = server_proven = False
    error = ""

    def __init__(self, name: str, initial: bytes | None, responses: Iterable[bytes | None]) -> None:
        self.name = name
        self.client_first = initial is not None
        self.challenges: list[bytes] = []
        self._initial = initial
        self._responses = list(responses)

    def initial(self) -> bytes | None:
        return self._initial

    def step(self, challenge: bytes) -> bytes:
        self.challenges.append(challenge)
        response = self._responses.pop(0)
        if response is None:
            raise BadChallengeError("the recorded client gave up")
        return response

    def answer(self, data: bytes) -> bytes:
        raise NotImplementedError


Cut = Callable[[bytes, int], Iterable[bytes]]
"""Cuts octets of the recorded server, which stand at this place of all of them."""


class Caller:
    """Our client in the recorded client's place, a command at a time."""

    def __init__(self, session: Session, cut: Cut) -> None:
        self.session = session
        self.dialogue = read(session)
        self.events: list[ClientEvent] = []
        self.needs: list[Need] = []
        self.unsayable = b""
        """The first line that our client would not say; what follows is left out."""
        self._cut = cut
        self._left = session.octets("S")
        self._ends = [end for end, _ in replies(self._left)]
        self._heard = 0
        self.conn = ClientConnection(
            ClientConfig(
                "client.test", lmtp=session.lmtp, cleartext_authentication_without_verified_tls=True
            )
        )

    def run(self) -> None:
        self.hear(1)
        for at, turn in enumerate(self.dialogue.turns):
            try:
                said = self.say(turn, self.dialogue.turns[at + 1 :])
            except (ValueError, LocalProtocolError):
                self.unsayable = turn.line
                break
            assert same(said, turn, self.conn.extensions), (said, turn)
            self.hear(len(turn.replies))
            if self.needs[-1] is Need.CLOSE:
                break
        else:
            self.hear(len(self.dialogue.unasked))
        self.conn.receive_data(b"")
        self.pull()

    def hear(self, count: int) -> None:
        """The next recorded replies arrive, one after another."""
        for _ in range(count):
            start, end = self._heard, self._ends.pop(0)
            for piece in self._cut(self._left[start:end], start):
                if piece and self.conn.wants_data:
                    self.conn.receive_data(piece)
                    self.pull()
            self._heard = end

    def pull(self) -> None:
        events, need = drain(self.conn)
        self.events += events
        self.needs.append(need)

    def say(self, turn: Turn, following: Sequence[Turn]) -> bytes:
        if turn.kind == "data" or turn.kind == "last chunk":
            if turn.kind == "last chunk":
                self.conn.send(Data(chunking=True))
                self.pull()
            assert self.needs[-1] is Need.BODY
            self.conn.send_body(turn.content)
            said = self.conn.data_to_send()
            self.conn.end_body()
            return said + self.conn.data_to_send()
        if turn.kind == "response":
            return self.conn.data_to_send()
        command = command_of(turn, self.conn.extensions)
        if isinstance(command, Auth):
            given = command.initial_response
            initial = None if given is None else _decoded(given)
            self.conn.authenticate(Recorded(command.mechanism, initial, _responses(following)))
        else:
            self.conn.send(command)
        return self.conn.data_to_send()


def _responses(following: Iterable[Turn]) -> Iterator[bytes | None]:
    for turn in takewhile(lambda turn: turn.kind == "response", following):
        yield None if turn.line == b"*" else _decoded(turn.line)


def command_of(turn: Turn, offer: Offer) -> Command:
    """The command a recorded line is; ValueError where it is none."""
    lenient = Leniency(blank_after_colon=True, missing_brackets=True, odd_hello_names=True)
    line = turn.line.replace(b"  ", b" ")
    return parse_command(line, offer.grammar(lenient), utf8=not turn.line.isascii())


def same(said: bytes, turn: Turn, offer: Offer) -> bool:
    """Whether ours says the same as the recorded client: of a body octet by octet."""
    if turn.kind == "data":
        return said == turn.line
    if turn.kind == "last chunk":
        return said == turn.line + b"\r\n" + turn.content
    if turn.kind == "response":
        return said == turn.line + b"\r\n"
    ours = Turn("command", said.removesuffix(b"\r\n"), b"", ())
    return command_of(ours, offer) == command_of(turn, offer)


def whole(octets: bytes, at: int) -> list[bytes]:
    return [octets]


def single(octets: bytes, at: int) -> list[bytes]:
    return [octets[at : at + 1] for at in range(len(octets))]


def called(session: Session, cut: Cut = whole) -> Caller:
    caller = Caller(session, cut)
    caller.run()
    return caller


@each_session
def test_every_server_is_understood(session: Session) -> None:
    caller = called(session)
    if caller.unsayable:
        assert any(re.match(line, caller.unsayable) for line in UNSAYABLE), caller.unsayable
    assert [type(event) for event in caller.events].count(Closed) == 1
    assert isinstance(caller.events[-1], Closed)
    assert caller.needs[-1] is Need.CLOSE
    heard = [
        event.reply
        for event in caller.events
        if isinstance(event, Greeting | ReplyReceived | AuthenticationEnded)
    ]
    dialogue = caller.dialogue
    told = [
        reply for turn in dialogue.turns for reply in turn.replies if reply.code not in (334, 353)
    ]
    assert heard == [dialogue.greeting, *told, *dialogue.unasked][: len(heard)]
    if not caller.unsayable:
        assert len(heard) > len(told)
    for event in caller.events:
        if isinstance(event, AuthenticationEnded) and event.reply is not None:
            assert (event.outcome is SUCCEEDED) == event.reply.is_positive
    assert called(session, single).events == caller.events
    octets = session.octets("S")
    step = max(1, len(octets) // SPLITS)
    for at in range(1 + number(session) % step, len(octets), step):

        def in_two(octets: bytes, start: int, at: int = at) -> list[bytes]:
            middle = max(0, min(at - start, len(octets)))
            return [octets[:middle], octets[middle:]]

        assert called(session, in_two).events == caller.events, at


SUCCEEDED: Final = AuthenticationOutcome.SUCCEEDED
# What recorded clients said and ours would not.
UNSAYABLE: Final = (
    rb"MAIL FROM:<user@localhost@client\.test>",  # RFC 5321 §4.1.2: no mailbox
    rb"MAIL FROM:<a@b\.test> AUTH=<e=mc2@b\.test>",  # RFC 4954 §5: no xtext
    rb"MAIL FROM:<\xc3\xa9@b\.test> SIZE",  # without SMTPUTF8
    rb"mail FROM:<a@b\.test> size=171 BODY=8BITMIME",  # not offered
    rb"From: \xc3\xa9@b\.test\n",  # RFC 5321 §2.3.8: bare LF
    rb"(RCPT TO:<x@example\.test>|DATA)\Z",  # behind what was refused
)


@each_session
def test_every_reply_is_read(session: Session) -> None:
    """The parser alone, without a client: all replies at once, and in pieces."""
    octets = session.octets("S")
    told = [reply for _, reply in replies(octets)]
    for chunks in some_splits(octets, session):
        parser = ReplyParser(enhanced=True, max_line=4096)
        heard = []
        for chunk in chunks:
            parser.receive_data(chunk)
            while (reply := parser.next_reply()) is not None:
                heard.append(reply)
        assert heard == told


def test_nearly_all_sessions_are_played_to_their_end() -> None:
    played = [session for session in sessions() if not called(session).unsayable]
    assert len(played) > 300


def test_recorded_exchanges_authenticate_in_both_roles() -> None:
    """Nonces and salts are the recorded ones, so that each proof is verified anew."""
    proven: Counter[str] = Counter()
    succeeded = 0
    for session in sessions():
        for event in served(session, [session.octets("C")]).events:
            if isinstance(event, Authenticated):
                proven[event.identity.mechanism] += 1
        for told in called(session).events:
            succeeded += isinstance(told, AuthenticationEnded) and told.outcome is SUCCEEDED
    assert proven.keys() == {
        *("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
        *("OAUTHBEARER", "XOAUTH2"),
    }
    recorded = sum(reply.code == 235 for s in sessions() for _, reply in replies(s.octets("S")))
    assert proven.total() == recorded
    assert succeeded == recorded
