"""One run of a case against a client, and everything that can be seen of it."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

from tests.cases.case import Case, Happening
from tests.cases.splits import Way

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import ClientEvent, Closed, Envelope, Identity
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import ClientNeed, Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import AUTH, SIZE
from smtpwire.operations import Operation, send_mail
from smtpwire.sasl import (
    Ask,
    BearerToken,
    Challenge,
    ClientMechanism,
    ClientMechanismConfig,
    Credentials,
    ExternalIdentity,
    Password,
    PlainPassword,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    client_mechanism,
    server_mechanism,
)
from smtpwire.wire import value
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
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

__all__ = ["TLS", "ClientResult", "ClientRun", "command", "token_of"]

TLS: Final = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", verified=True)
HOST: Final = "mx.example"
LONG_TOKEN: Final = 1500
"""Octets of a token that has no room on the AUTH line."""
PREVIOUS_MESSAGE: Final = (
    "C: MAIL FROM:<a@example.com>",
    "S: 250 ok",
    "C: RCPT TO:<b@example.com>",
    "S: 250 ok",
    "C: DATA",
    "S: 354 go",
    "C: (message) .",
    "S: 250 ok",
)
LIMITS: Final[Mapping[str, str]] = {"reply_octets": "reply"}


# -- what an application makes of a line

COMMANDS: Final[Mapping[str, Callable[[str], Command]]] = {
    "EHLO": Hello,
    "HELO": lambda name: Hello(name, "HELO"),
    "MAIL": lambda path: Mail(_address(path)),
    "RCPT": lambda path: Rcpt(_address(path)),
    "DATA": lambda _: Data(),
    "NOOP": lambda _: Noop(),
    "RSET": lambda _: Rset(),
    "QUIT": lambda _: Quit(),
    "STARTTLS": lambda _: StartTls(),
}
OUTSTANDING: Final[Mapping[str, str]] = {
    "MAIL": "MAIL FROM:<a@example.com>",
    "RCPT": "RCPT TO:<b@example.com>",
    "DATA": "DATA",
}


def command(line: str) -> Command:
    """The command that is written so."""
    verb, _, argument = line.partition(" ")
    return COMMANDS[verb](argument)


def _address(path: str) -> Address:
    return Address.parse(path.partition("<")[2].rpartition(">")[0])


def _from_argument(verb: str, argument: str) -> tuple[Callable[[], Command], ...]:
    """Every way an application has to put a string of its own into a command."""
    local_part, _, domain = argument.rpartition("@")
    match verb:
        case "EHLO":
            return (lambda: Hello(argument),)
        case "MAIL":
            return (
                lambda: Mail(Address.parse(argument)),
                lambda: Mail(Address(local_part, domain)),
            )
        case _:
            return (
                lambda: Rcpt(Address.parse(argument)),
                lambda: Rcpt(Address(local_part, domain)),
            )


def token_of(case: Case) -> str:
    """The bearer token a case means: short where it stands on the AUTH line."""
    if case.given.token_octets:
        return "t" * case.given.token_octets
    return "t" * LONG_TOKEN if "C: AUTH XOAUTH2" in case.given.after else "token"


def _credentials(case: Case) -> Credentials:
    given = case.given
    match given.mechanism:
        case "XOAUTH2":
            return BearerToken("user", token_of(case))
        case "EXTERNAL":
            return ExternalIdentity()
        case _:
            return Password(given.user or "user", given.password or "pass")


# -- what can be seen


@final
@dataclass(frozen=True, slots=True)
class ClientResult:
    """Everything that can be seen of a run."""

    wire: tuple[bytes, ...]
    """What was sent while each chunk was handled."""
    told: tuple[tuple[ClientEvent, ...], ...]
    """The events of each chunk."""
    refused: str
    """Why the engine would not take what the application wanted to send."""
    need: ClientNeed
    state: State
    envelope: Envelope | None
    identity: Identity | None
    keywords: tuple[str, ...]
    mechanisms: tuple[str, ...]
    size: int | None
    trailing: bytes
    replies_owed: int
    reusable: bool
    stats: Stats

    @property
    def sent(self) -> bytes:
        return b"".join(self.wire)

    @property
    def events(self) -> tuple[ClientEvent, ...]:
        return tuple(event for events in self.told for event in events)

    def has(self, *kinds: type[object]) -> bool:
        """Whether an event of one of these kinds was told."""
        return any(isinstance(event, kinds) for event in self.events)


@final
class ClientRun:
    """A client brought where the case begins; ``play`` does the rest.

    ``matching_proof``: the server's proof in the case's input is made to be the right one.
    """

    def __init__(self, case: Case, *, matching_proof: bool = False) -> None:
        self.case = case
        limits = value.replace(
            Limits(), **{LIMITS[name]: number for name, number in case.given.limits.items()}
        )
        config = ClientConfig(
            hello_name="c.example",
            host=HOST,
            security=Security.STARTTLS if case.given.tls_required else Security.NONE,
            limits=limits,
            # So that the chunk of three octets which one case has before it leaves at once.
            chunk_size=3 if "C: BDAT 3 (abc)" in case.given.after else 4096,
        )
        self.conn = ClientConnection(config, tls=TLS if case.given.tls else None)
        self.need: ClientNeed = Need.DATA
        self.response = b""
        """The last line sent before the case begins."""
        self._matching_proof = matching_proof
        self._sent: list[bytes] = []
        self._events: list[ClientEvent] = []
        self._wire: list[bytes] = []
        self._told: list[tuple[ClientEvent, ...]] = []
        self._refused = ""
        self._server: ServerMechanism | None = None
        self.pump()

    # -- before the case

    def begin(self) -> None:
        """What ``after`` lists, and the commands whose replies are still to come."""
        for line in self.case.given.after:
            self._prelude(line)
        for verb in self.case.given.outstanding:
            self.conn.send(command(OUTSTANDING[verb]))
        self.pump()
        if self.case.given.use == "BDAT":
            self.conn.send(Data(chunking=True))
            self.pump()
        self._sent.clear()
        self._events.clear()

    def _prelude(self, line: str) -> None:
        side, _, text = line.partition(": ")
        if side == "S":
            self.receive(self._reply(text))
        elif side == "C" and not text.startswith("("):
            self._say(text)
        elif text == "(message) .":
            self.conn.send_body(b"hi\r\n")
            self.conn.end_body()
            self.pump()
            assert self.take_sent() == b"hi\r\n.\r\n"
        elif line == "(handshake)":
            assert self.need is Need.TLS
            self.conn.tls_started(TLS)
            self.pump()
        elif line == "(previous message done)":
            for part in PREVIOUS_MESSAGE:
                self._prelude(part)
        else:  # the responses of a mechanism are the engine's own
            assert line in ("(TLS active)", "C: (connect)") or self.response

    def _say(self, text: str) -> None:
        if text.startswith("AUTH "):
            self.conn.authenticate(self.mechanism(text.split(" ")[1]), authcid="user")
            self.pump()
            self.response = self.take_sent()
            head, _, how = text.partition(" (")
            exact = not how and not text.endswith(" ...")
            assert self.response == head.encode() + b"\r\n" if exact else True
            assert self.response.startswith(head.removesuffix(" ...").encode())
            return
        if text == "BDAT 3 (abc)":
            self.conn.send(Data(chunking=True))
            self.pump()
            self.conn.send_body(b"abcd")
            self.pump()
            assert self.take_sent() == b"BDAT 3\r\nabc"
            return
        self.conn.send(command(text))
        self.pump()
        assert self.take_sent() == text.encode() + b"\r\n"

    def _reply(self, text: str) -> bytes:
        """A reply; bars part its lines. A challenge in brackets is made by a real mechanism."""
        code, _, rest = text.partition(" ")
        if rest.startswith("(") and rest != "(user)":
            return self._challenge(self._server_step)
        lines = ["Username:"] if rest == "(user)" else rest.split(" | ")
        if rest == "(user)":
            lines = [b2a_base64(b"Username:", newline=False).decode()]
        *more, last = lines
        return "".join([*(f"{code}-{line}\r\n" for line in more), f"{code} {last}\r\n"]).encode()

    # -- the other side of a mechanism

    def mechanism(self, name: str) -> ClientMechanism:
        """The client's mechanism, its nonce the same in every run."""
        nonce = self.case.given.client_nonce or "cnonce1"
        config = ClientMechanismConfig(host=HOST, nonce=lambda: nonce)
        return client_mechanism(name, _credentials(self.case), config)

    def _challenge(self, step: Callable[[], ServerStep]) -> bytes:
        made = step()
        if isinstance(made, Ask):
            assert self._server is not None
            made = self._server.supply(PlainPassword("pass"))
        assert isinstance(made, Challenge)
        return b"334 " + b2a_base64(made.data)[:-1] + b"\r\n"

    def _server_step(self) -> ServerStep:
        """The server's first step after the AUTH line, or that after the response to it."""
        words = self.response[:-2].split(b" ")
        if self._server is not None:
            return self._server.step(a2b_base64(self.response))
        config = ServerMechanismConfig(scram_secret=b"secret", nonce=lambda: "snonce1")
        self._server = server_mechanism(self.case.given.mechanism, config)
        return self._server.start(a2b_base64(words[2]) if len(words) == 3 else None)

    # -- the case

    def play(self, way: Way) -> ClientResult:
        """Let the chunks arrive, or the application do what it wants; then look."""
        if self._matching_proof:
            way = self._with_matching_proof(way)
        kinds: Mapping[str, Callable[[bytes], None]] = {
            "octets": self.receive,
            "app_message_chunks": self._send_body,
            "app_commands": lambda octets: self._try_to_send(lambda: command(octets.decode())),
            "app_command_argument": self._send_argument,
        }
        for place, pieces in enumerate(way):
            if place and self.case.expected.wire_allowed:
                self._send_what_is_allowed()
            for piece in pieces:
                kinds[self.case.given.input_kind](piece)
            if place == len(way) - 1 and self.case.given.input_kind == "app_message_chunks":
                self._attempt(self.conn.end_body)
            for happening in self.case.given.happenings:
                if happening.after_chunk == place or len(way) == 1:
                    self._happens(happening)
            self._end_chunk()
        if self.case.given.input_kind == "start_auth":
            mechanism = self.mechanism(self.case.given.mechanism)
            self._attempt(lambda: self.conn.authenticate(mechanism, authcid="user"))
            self._end_chunk()
        return self.result()

    def _end_chunk(self) -> None:
        self._wire.append(self.take_sent())
        self._told.append(tuple(self._events))
        self._events.clear()

    def _with_matching_proof(self, way: Way) -> Way:
        """The same cuts of a line that has the right proof in it; it is as long."""
        octets = self._challenge(self._server_step)
        (pieces,) = way
        assert len(octets) == sum(map(len, pieces))
        position = 0
        cut = []
        for piece in pieces:
            cut.append(octets[position : position + len(piece)])
            position += len(piece)
        return [cut]

    def _attempt(self, call: Callable[[], object]) -> None:
        """What an application does; a refusal is noted and must have changed nothing."""
        if self._refused:
            return
        before = self.conn.state, self.conn.envelope
        try:
            call()
        except (LocalProtocolError, ValueError) as refusal:
            self._refused = type(refusal).__name__
            assert (self.conn.state, self.conn.envelope) == before
        self.pump()

    def _try_to_send(self, make: Callable[[], Command]) -> None:
        self._attempt(lambda: self.conn.send(make()))

    def _send_body(self, chunk: bytes) -> None:
        self._attempt(lambda: self.conn.send_body(chunk))

    def _send_argument(self, octets: bytes) -> None:
        """Each way to make the command of the string; all must come to the same."""
        ends = []
        ways = _from_argument(self.case.given.command, octets.decode())
        for make in ways:
            self._refused = ""
            self._try_to_send(make)
            ends.append(bool(self._refused))
            if not self._refused:
                break
        assert ends in ([False], [True] * len(ways))

    def _send_what_is_allowed(self) -> None:
        for line in self.case.expected.wire_allowed:
            self.conn.send(command(line[:-2].decode()))
        self.pump()

    def _happens(self, happening: Happening) -> None:
        match happening.name.split(" ", 2):
            case ["eof"]:
                self.conn.receive_data(b"")
                self.pump()
            case ["client", "sends", line]:
                self._try_to_send(lambda: command(line))
            case other:
                raise ValueError(f"{self.case.id}: {other!r} is no event of a client")

    # -- by the operation

    def play_by_operation(self, way: Way) -> ClientResult:
        """The same content sent by the operation, which makes line ends what they must be."""
        after = iter(self.case.given.after)
        for line in after:
            self._prelude(line)
            if line.startswith("S: 250 mx.example"):
                break
        replies = (self._reply(line[3:]) for line in after if line.startswith("S: "))
        (pieces,) = way
        operation = send_mail(
            self.conn,
            "a@example.com",
            ["b@example.com"],
            iter(pieces),
            chunking=self.case.given.use == "BDAT",
        )
        need = self._advance(operation)
        for reply in replies:
            assert need is Need.DATA
            self.take_sent()
            self.conn.receive_data(reply)
            need = self._advance(operation)
        assert need is Need.DATA
        self._end_chunk()
        self.need = Need.DATA
        result = self.result()
        operation.close()
        return result

    def _advance(self, operation: Operation[object]) -> ClientNeed:
        while (need := next(operation)) is Need.WRITE:
            self._flush()
        self._flush()
        return need

    # -- the kernel

    def receive(self, octets: bytes) -> None:
        """Octets arrive; none is no end of the stream."""
        if octets:
            if self.need is Need.DATA:
                assert self.conn.wants_data, "data are needed and not wanted"
            self.conn.receive_data(octets)
            self.pump()

    def pump(self) -> None:
        """As an adapter does: flush at every Need."""
        while True:
            item = self.conn.next_event()
            if isinstance(item, Need):
                self._flush()
                self.need = item
                if item is not Need.WRITE:
                    return
            else:
                self._events.append(item)

    def _flush(self) -> None:
        octets = self.conn.data_to_send()
        if octets:
            self.response = octets
            self._sent.append(octets)

    def take_sent(self) -> bytes:
        """What was sent since the last call."""
        sent = b"".join(self._sent)
        self._sent.clear()
        return sent

    def take_events(self) -> list[ClientEvent]:
        """What was told since the last chunk."""
        events, self._events = self._events, []
        return events

    def refuses(self, call: Callable[[], object]) -> bool:
        """Whether the engine refuses this now."""
        try:
            call()
        except LocalProtocolError:
            return True
        return False

    def result(self) -> ClientResult:
        conn = self.conn
        offer = conn.extensions
        return ClientResult(
            wire=tuple(self._wire),
            told=tuple(self._told),
            refused=self._refused,
            need=self.need,
            state=conn.state,
            envelope=conn.envelope,
            identity=conn.identity,
            keywords=offer.keywords,
            mechanisms=offer.get(AUTH) or (),
            size=offer.get(SIZE),
            trailing=conn.trailing_data,
            replies_owed=conn.replies_owed,
            reusable=conn.reusable,
            # less what came too late to count
            stats=value.replace(conn.stats, octets_received=0, octets_sent=0),
        )

    def hang_up(self) -> None:
        """However it stands, the end of the stream ends it, once."""
        if self.need is Need.TLS:
            self.conn.tls_failed("the peer has gone")
        for _ in range(2):
            self.conn.receive_data(b"")
            self.pump()
        assert self.need is Need.CLOSE
        events = [*(event for told in self._told for event in told), *self._events]
        assert [type(event) for event in events].count(Closed) == 1
        assert isinstance(events[-1], Closed)
