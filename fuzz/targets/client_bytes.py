"""A client that is sent any octets, in any cut, by an application that goes on as an input says.

Input: the client, how it is cut, seed of the cuts; then parts between record separators. A part's
first octet is what the application does before the rest of the part arrives.
"""

import re
from binascii import b2a_base64
from typing import Final, Literal, final

from fuzz.choices import Choices, cut, few
from fuzz.dialogue import SEPARATOR, client
from fuzz.oracles import (
    TraceError,
    check_commands_end,
    check_one_end,
    check_recipients_told,
    next_item,
    replies_of,
)
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import ClientEvent, ReplyReceived
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import PIPECONNECT, PIPELINING, SIZE, Atrn, Burl, Etrn, Offer, XClient
from smtpwire.extensions import parameters as p
from smtpwire.sasl import MECHANISMS, PENDING, ClientExchange, Pending, SaslError
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    Command,
    Data,
    Expn,
    ExtensionCommand,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.value import replace

_SMALL: Final = Limits(
    backlog=512,
    output=256,
    trailing=32,
    reply_line=128,
    reply_lines=6,
    reply=400,
    flight=120,
    in_flight=4,
    sasl_line=256,
)
_RELAY: Final = ClientConfig(
    hello_name="client.example.org", cleartext_authentication_without_verified_tls=True
)
_CONFIGS: Final = (
    _RELAY,
    replace(_RELAY, limits=_SMALL, chunk_size=8),
    replace(_RELAY, lmtp=True),
    replace(_RELAY, lmtp=True, limits=_SMALL, chunk_size=8),
    replace(
        _RELAY,
        cached_offer=Offer([PIPELINING(True), PIPECONNECT(True), SIZE(1000)]),
    ),
    ClientConfig(hello_name="client.example.org", security=Security.STARTTLS),
    ClientConfig(hello_name="client.example.org"),
)
_ALICE: Final = Address("alice", "example.com")
_BOB: Final = Address("bob", "example.org")
_UNICODE: Final = Address("\u00fc", "example.org")
_REVERSED: Final = ServerConfig.relay("mx.example.org")
_BODY: Final = b"one\r\n.two\r\n\r\n..\r\nlast"
_SECRETS: Final = (
    b2a_base64(b"correct-horse", newline=False),
    b2a_base64(b"\0user\0correct-horse", newline=False),
    b"imap:",
)
_EARLY: Final = b"250 early\r\n"
_BDAT: Final = re.compile(rb"BDAT ([0-9]{1,20})(?: LAST)?\r\n")
_LINE: Final = re.compile(rb"[^\r\n]*\r\n")


def check(data: bytes) -> None:
    config, mode, seed, parts = _read(data)
    whole = Session(config)
    divided = Session(config, traced=True)
    for part in parts:
        whole.do(part[:1])
        whole.receive([part[1:]] if part[1:] else [])
        divided.do(part[:1])
        divided.receive(cut(part[1:], mode, seed))
    whole.end()
    divided.end()
    whole.check()
    divided.check()
    if not _is_border(whole):
        assert whole.events == divided.events, (whole.events, divided.events)
        assert whole.sent == divided.sent


def quick(data: bytes) -> None:
    """One session of the two, cut as the input asks, but not often."""
    config, mode, seed, parts = _read(data)
    divided = Session(config, shown=False)
    for part in parts:
        divided.do(part[:1])
        divided.receive(few(part[1:], mode, seed))
    divided.end()
    divided.check()


def _read(data: bytes) -> tuple[ClientConfig, int, int, list[bytes]]:
    choices = Choices(data)
    config = _CONFIGS[choices.below(len(_CONFIGS))]
    return config, choices.octet(), choices.octet(), choices.rest().split(SEPARATOR)


def _is_border(whole: "Session") -> bool:
    """Behind the 220 of STARTTLS stands an attack, or what is TLS's, as it arrives."""
    kind = ViolationKind.PLAINTEXT_BEHIND_STARTTLS
    return any(getattr(event, "kind", None) is kind for event in whole.events)


class Own(ClientExchange):
    """A mechanism of an application's own, which waits for it, and breaks when told nothing."""

    def initial(self) -> bytes:
        return b"begin"

    def step(self, challenge: bytes) -> bytes | Literal[Pending.PENDING]:
        if challenge:
            return PENDING
        raise RuntimeError("with a secret")


@final
class Session:
    """One connection, its adapter and its application."""

    def __init__(self, config: ClientConfig, *, traced: bool = False, shown: bool = True) -> None:
        self._shown = shown
        self.conn = ClientConnection(config)
        self._traced: list[bytes] = []
        if traced:
            self.conn.trace = self._trace
        self.events: list[ClientEvent] = []
        self.sent = bytearray()
        self._config = config
        self._commands: list[Command] = []
        self._opened: list[Command] = []  # of those the bodies in chunks, which may end silently
        self._need: Need = Need.DATA
        self._body: list[bytes] = []
        self._calls = 0
        self._received = 0
        self._octets = bytearray()
        self._reads = 0
        self._actions = 0
        self._pull()
        self._flush()

    def _trace(self, direction: str, octets: bytes) -> None:
        if direction == "sent":
            self._traced.append(octets)
        elif octets.startswith(b"25"):
            raise TraceError

    # -- the adapter

    def receive(self, parts: list[bytes]) -> None:
        """What arrives before anything more is written."""
        if not parts:
            return
        for part in parts:
            if not self.conn.wants_data and self._need is not Need.TLS:
                break
            self._reads += 1
            self._received += len(part)
            before = self._need
            try:
                self.conn.receive_data(part)
            except LocalProtocolError:
                raise AssertionError("wants_data was True") from None
            self._octets += part
            self._pull()
            if before is not self.waits() is Need.TLS:
                # Nothing stands behind the 220, and nothing of it was read.
                assert len(replies_of(bytes(self._octets))) == self.conn.stats.replies
        self._flush()
        self._pull()
        self._flush()

    def waits(self) -> Need:
        """For whom the session waits."""
        return self._need

    def _pull(self) -> None:
        while True:
            self._calls += 1
            item = next_item(self.conn)
            if isinstance(item, Need):
                assert self.conn.next_event() is item
                assert item is not Need.DATA or self.conn.timeout is not None
                self._need = item
                return
            self.events.append(item)
            if self._shown:
                assert len(repr(item)) < 100_000

    def _flush(self) -> None:
        for _ in range(3):
            octets = self.conn.data_to_send()
            self.sent += octets
            assert not octets or self.conn.timeout is not None
            limits = self._config.limits
            assert len(octets) <= limits.output + limits.flight + self._config.chunk_size + 4096
            if self._need is not Need.WRITE:
                return
            self._pull()

    def end(self) -> None:
        """The server closes, and nobody goes on."""
        if self._need is Need.TLS:
            self.conn.tls_failed("no handshake")
        self.conn.receive_data(b"")
        self.conn.receive_data(b"")
        self._pull()
        self._flush()
        if self._need is not Need.CLOSE:
            assert self._need is Need.COMMAND, self._need  # after ATRN
            self.conn.abort()
            self._pull()
        assert self._need is Need.CLOSE

    # -- the application

    def do(self, action: bytes) -> None:
        """One step of the application; one that is not legal now changes nothing."""
        self._actions += 1
        before = self.conn.state, self.conn.replies_owed, len(self.events)
        try:
            self._act(action)
        except LocalProtocolError:
            assert before == (self.conn.state, self.conn.replies_owed, len(self.events))
        self._pull()
        self._flush()
        self._pull()

    def _send(self, command: Command) -> None:
        self._commands.append(self.conn.send(command))

    def _act(self, action: bytes) -> None:
        conn = self.conn
        match action:
            case b"E":
                self._send(Hello("client.example.org", "LHLO" if self._config.lmtp else "EHLO"))
            case b"H":
                self._send(Hello("client.example.org", "HELO"))
            case b"M":
                self._send(Mail(_ALICE))
            case b"P":
                self._send(Mail(_ALICE, Parameters(p.SIZE(100), p.BODY(p.Body.EIGHTBITMIME))))
            case b"p":
                self._send(Mail(None, Parameters(p.PRDR(True))))
            case b"R":
                self._send(Rcpt(_BOB))
            case b"D":
                self._send(Data())
            case b"C":
                self._opened.append(conn.send(Data(chunking=True)))
            case b"B":
                conn.send_body(_BODY)
            case b"b":
                conn.send_body(b"\r\n.\r\nMAIL FROM:<smuggled@example.com>\r\n")
            case b"l":
                conn.send_body(b"a bare\nLF")
            case b".":
                self._commands.append(conn.end_body())
            case b"S":
                self._send(Rset())
            case b"N":
                self._send(Noop())
            case b"h":
                self._send(Help("topic"))
            case b"V":
                self._send(Vrfy("bob"))
            case b"T":
                self._send(StartTls())
            case b"t":
                self._need_tls()
                conn.tls_started(SIMULATED_TLS)
            case b"f":
                self._need_tls()
                conn.tls_failed("the handshake failed")
            case b"Q":
                self._send(Quit())
            case b"x":
                self._send(Etrn("example.org"))
            case b"O":
                self._send(Atrn(("example.org",)))
            case b"I":
                self._send(XClient(name="client.example.org", login="user"))
            case b"U":
                self._send(Burl("imap://example.org/1"))
            case b"L":
                self._send(Burl("imap://example.org/1", last=True))
            case b"0" | b"1" | b"2" | b"3" | b"4" | b"5" | b"6" | b"7" | b"8" | b"9":
                self._authenticate(MECHANISMS[-1 - int(action)])
            case b"m":  # a whole transaction at once
                for command in (Mail(_ALICE), Rcpt(_BOB), Rcpt(_ALICE), Data()):
                    self._send(command)
            case b"e":
                self._send(Mail(_UNICODE))
            case b"i":
                self._send(Rcpt(_UNICODE))
            case b"k":
                self._send(Expn("\u00fc", smtputf8=True))
            case b"r":
                self._send(Mail(_ALICE, Parameters(p.REQUIRETLS(True))))
            case b"y":
                self._send(Mail(_ALICE, Parameters(p.BODY(p.Body.BINARYMIME))))
            case b"d":
                self._send(Rcpt(_ALICE))
            case b"g":  # all or nothing
                conn.send(Rcpt(_ALICE), Mail(_BOB), Mail(_BOB))
            case b"c":
                self._send(ExtensionCommand("XNOWHERE", "x"))
            case b"w":
                self._commands.append(conn.authenticate(Own("PLAIN")))
            case b"W":
                conn.answer(b"more")
            case b"v":
                conn.reverse(_REVERSED)
            case b"u":  # it comes before the command leaves
                if self._need is Need.COMMAND and conn.wants_data:
                    conn.receive_data(_EARLY)
                    self._send(Noop())
                    self._flush()
            case b"~":
                conn.timed_out()
            case b"!":
                conn.abort("the transport is lost")
            case b"$":
                conn.receive_data(b"")
            case b"\n":
                self._send(Noop("injected\r\nMAIL FROM:<smuggled@example.com>"))
            case _:
                pass

    def _need_tls(self) -> None:
        if self._need is not Need.TLS:
            raise LocalProtocolError("no handshake is due")

    def _authenticate(self, name: str) -> None:
        try:
            mechanism = client(name, "correct-horse", "")
        except SaslError as error:
            raise LocalProtocolError(str(error)) from error
        self._commands.append(self.conn.authenticate(mechanism))

    # -- the oracles

    def check(self) -> None:
        """What holds of every session, when it is over."""
        check_one_end(self.events)
        assert self.conn.next_event() is Need.CLOSE
        assert self.conn.data_to_send() == b""
        assert not self.conn.wants_data
        assert not self.conn.reusable
        assert self.conn.replies_owed == 0
        assert len(self.conn.trailing_data) <= self._config.limits.trailing
        steps = self._received + self._reads + self._actions
        assert self._calls <= 8 * steps + 4 * len(self._commands) + 16
        check_commands_end(self.events, self._commands, self._opened)
        check_recipients_told(self.events)
        self._check_sent()
        assert "correct-horse" not in repr(self.events)
        shown = b"".join(self._traced)
        assert not any(secret in shown for secret in _SECRETS)
        assert not any(
            isinstance(event, ReplyReceived) and event.reply.text == "early"
            for event in self.events
        )

    def _check_sent(self) -> None:
        """Lines and chunks, with nothing between and no bare CR or LF in a line."""
        octets = bytes(self.sent)
        assert len(octets) == self.conn.stats.octets_sent
        at = 0
        content = b""
        while at < len(octets):
            if match := _BDAT.match(octets, at):
                at = match.end() + int(match[1])
                content += octets[match.end() : at]
                assert at <= len(octets)
                continue
            line = _LINE.match(octets, at)
            if line is None:  # a body that was given up inside a line
                tail = octets[at:]
                assert _BODY.endswith(tail), tail
                break
            at = line.end()
        before = content.find(b"smuggled")
        assert b"\r\n.\r\nMAIL FROM:<smuggled" not in octets or before >= 0
        assert b"injected" not in octets
