"""A client that does anything, against a server that says anything: nothing but LocalProtocolError
is raised, and every command ends exactly once."""

from copy import copy
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.engine.client_dialogue import ALICE, BOB, VERIFIED, Dialogue, check_brackets

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.extensions import parameters as p
from smtpwire.extensions.burl import Burl
from smtpwire.extensions.xclient import XClient
from smtpwire.sasl import ClientMechanismConfig, Password, client_mechanism
from smtpwire.wire.command import (
    Command,
    Data,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
)
from smtpwire.wire.parameter import Parameters

COMMANDS: Final = st.sampled_from(
    [
        *[Mail(ALICE), Rcpt(BOB)] * 3,
        Mail(ALICE, Parameters(p.PRDR(True))),
        Data(),
        Data(chunking=True),
        Rset(),
        Noop(),
        Help(),
        StartTls(),
        Burl("imap://example.com/x"),
        Burl("imap://example.com/x", last=True),
        XClient(name="x"),
        Hello("c.example"),
        Hello("c.example", "LHLO"),
    ]
)
GOOD: Final = ("250 OK", "250 OK", "250 OK", "354 go", "220 go", "235 OK", "334 ", "353 each")
BAD: Final = ("550 5.7.1 no", "450 4.2.0 later", "554 no", "535 5.7.8 no", "504 no")
ODD: Final = ("421 bye", "221 bye", "250-OK\r\n250 x", "99", "199 x", "250-x\r\n550 y", "334 =")
OFFERS: Final = st.lists(
    st.sampled_from(
        ["PIPELINING", "CHUNKING", "STARTTLS", "AUTH PLAIN LOGIN", "PRDR", "BURL imap", "XCLIENT"]
    ),
    unique=True,
)


class Anything(RuleBasedStateMachine):
    @initialize(
        lmtp=st.booleans(), tls=st.booleans(), in_flight=st.integers(1, 4), cut=st.integers(1, 30)
    )
    def connect(self, lmtp: bool, tls: bool, in_flight: int, cut: int) -> None:
        self.d = Dialogue(lambda octets: [octets[:cut], octets[cut:]])
        limits = Limits(in_flight=in_flight, output=16)
        config = ClientConfig(lmtp=lmtp, chunk_size=4, limits=limits)
        self.d.connect(config, VERIFIED if tls else None)
        self.d.receive("220 mx")
        self.lmtp = lmtp

    @rule(command=COMMANDS)
    def send(self, command: Command) -> None:
        command = copy(command)  # each is an object of its own
        try:
            self.d.conn.send(command)
        except LocalProtocolError:
            return
        self.d.commands.append(command)

    @rule(offer=OFFERS)
    def hello(self, offer: list[str]) -> None:
        hello = Hello("c.example", "LHLO" if self.lmtp else "EHLO")
        try:
            self.d.conn.send(hello)
        except LocalProtocolError:
            return
        self.d.commands.append(hello)
        while self.d.conn.replies_owed and self.d.conn.pending is not hello:
            self.d.receive("250 OK")
            self.d.flush()
        self.d.flush()
        self.d.receive(*(f"250-{line}" for line in ("mx", *offer)), "250 SIZE")

    @rule(name=st.sampled_from(["PLAIN", "LOGIN"]))
    def authenticate(self, name: str) -> None:
        mechanism = client_mechanism(name, Password("u", "p"), ClientMechanismConfig())
        try:
            self.d.commands.append(self.d.conn.authenticate(mechanism))
        except LocalProtocolError:
            return

    @rule(octets=st.sampled_from([b"", b".", b"\r\n", b"some text\r\n", b"\r"]))
    def send_body(self, octets: bytes) -> None:
        try:
            self.d.conn.send_body(octets)
        except LocalProtocolError:
            return

    @rule()
    def end_body(self) -> None:
        try:
            self.d.commands.append(self.d.conn.end_body())
        except LocalProtocolError:
            return

    @rule()
    def flush(self) -> None:
        self.d.flush()

    @rule()
    def write(self) -> None:
        """Writing has a time of its own until the next pull."""
        before = self.d.conn.timeout
        if self.d.conn.data_to_send():
            writing = self.d.conn.timeout
            assert writing is not None
            assert writing != before

    @precondition(lambda self: len(self.d.events) > 15)
    @rule(octets=st.sampled_from([b"2", b"250", b"250-"]))
    def say_half(self, octets: bytes) -> None:
        """Half a reply lets no time begin anew."""
        self.d.need()
        before = self.d.conn.timeout
        self.d.feed(octets)
        if self.d.need() is Need.DATA:
            after = self.d.conn.timeout
            assert after is not None
            assert before is None or after == before

    @rule(lines=st.lists(st.sampled_from(GOOD), max_size=4))
    def say_yes(self, lines: list[str]) -> None:
        """As many replies as are owed, at most."""
        for line in lines[: self.d.conn.replies_owed]:
            self.d.receive(line)

    @rule(line=st.sampled_from(BAD))
    def say_no(self, line: str) -> None:
        if self.d.conn.replies_owed:
            self.d.receive(line)

    @precondition(lambda self: len(self.d.events) > 15)
    @rule(line=st.sampled_from(ODD))
    def say_what(self, line: str) -> None:
        self.d.receive(line)

    @rule(well=st.booleans())
    def handshake(self, well: bool) -> None:
        if self.d.need() is Need.TLS:
            if well:
                self.d.conn.tls_started(VERIFIED)
            else:
                self.d.conn.tls_failed()

    @precondition(lambda self: len(self.d.events) > 15)
    @rule()
    def quit(self) -> None:
        self.send(Quit())

    @precondition(lambda self: len(self.d.events) > 15)
    @rule()
    def eof(self) -> None:
        self.d.eof()

    @rule()
    def look(self) -> None:
        conn = self.d.conn
        if conn.reusable:
            assert self.d.need() is Need.COMMAND
            assert conn.envelope is None
        need = self.d.need()
        if need is Need.DATA:
            assert conn.timeout is not None
        if need is Need.COMMAND:
            assert conn.replies_owed == 0
            assert conn.timeout is None
            assert conn.data_to_send() == b""

    def teardown(self) -> None:
        if hasattr(self, "d"):
            self.d.conn.abort()
            check_brackets(self.d)


TestAnything = Anything.TestCase
TestAnything.settings = settings(stateful_step_count=50)
