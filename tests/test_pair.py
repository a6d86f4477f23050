"""Both engines joined in memory: what one side sends, the other receives as an equal value."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    AuthenticationEnded,
    AuthenticationOutcome,
    BodyChunk,
    Closed,
    CloseReason,
    EndOfData,
    EndOfMessage,
    MessageAborted,
    ReplyReceived,
    ServerEvent,
    Unanswered,
)
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation
from smtpwire.extensions import parameters as p
from smtpwire.extensions.atrn import Atrn
from smtpwire.extensions.etrn import Etrn
from smtpwire.sasl import (
    MECHANISMS,
    Anonymous,
    BearerToken,
    ClientMechanismConfig,
    Credentials,
    ExternalIdentity,
    Password,
    PasswordLogin,
    PlainPassword,
    SecretRequest,
    TokenLogin,
    client_mechanism,
)
from smtpwire.testing import ConnectionPair, drain
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    Command,
    Data,
    Expn,
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
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

ALICE: Final = Address.parse("alice@example.com")
BOB: Final = Address.parse("bob@example.org")
SERVER: Final = replace(
    ServerConfig.relay("mx.example.com", ("example.org", "example.com")), starttls=True
)


def _joined(
    server: ServerConfig = SERVER, client: ClientConfig | None = None, *keywords: str
) -> ConnectionPair:
    pair = ConnectionPair(ClientConnection(client), ServerConnection(server))
    pair.settle()
    verb: Final = "LHLO" if client is not None and client.lmtp else "EHLO"
    pair.client.send(Hello("c.example", "LHLO" if verb == "LHLO" else "EHLO"))
    pair.settle()
    return pair


def _content(events: list[ServerEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, BodyChunk))


QUOTED: Final = Address('a b"c', "example.com")


@pytest.mark.parametrize(
    "command",
    [
        Hello("other.example", "HELO"),
        Mail(None),
        Mail(ALICE, Parameters(p.SIZE(100), p.BODY(p.Body.EIGHTBITMIME))),
        Mail(Address.parse("δοκιμή@παράδειγμα.example"), Parameters(p.SMTPUTF8(True))),
        Mail(QUOTED),
        Mail(Address.parse("a@[IPv6:2001:db8::1]")),
        Rset(),
        Noop(),
        Noop("some text"),
        Help(),
        Help("MAIL"),
        Vrfy("bob"),
        Vrfy("δ", smtputf8=True),
        Expn("list"),
        StartTls(),
        Quit(),
    ],
    ids=str,
)
def test_an_equal_command_arrives(command: Command) -> None:
    pair = _joined(_offering("EXPN"))
    pair.client.send(command)
    pair.settle()
    assert command in pair.server_events
    answered = [e.command for e in pair.client_events if isinstance(e, ReplyReceived)]
    assert any(each is command for each in answered)


@pytest.mark.parametrize("content", [b"", b".\r\n", b"..\r\n.\r\nx", b"a\r\n.b\r\n" * 100])
@pytest.mark.parametrize("chunking", [False, True])
def test_an_equal_message_arrives(content: bytes, chunking: bool) -> None:
    pair = _joined(SERVER, ClientConfig(chunk_size=7))
    envelope = (Mail(ALICE), Rcpt(BOB), Rcpt(ALICE))
    for command in (*envelope, Data(chunking)):
        pair.client.send(command)
    pair.settle()
    for at in range(0, len(content), 5):
        pair.client.send_body(content[at : at + 5])
    end = pair.client.end_body()
    pair.settle()
    complete = (
        content if chunking or not content or content.endswith(b"\r\n") else content + b"\r\n"
    )
    assert _content(pair.server_events) == complete
    message = next(e for e in pair.server_events if isinstance(e, EndOfMessage))
    assert (message.envelope.mail, *message.envelope.recipients) == envelope
    assert any(
        isinstance(e, ReplyReceived) and e.command is end and e.reply.is_positive
        for e in pair.client_events
    )
    assert pair.client.reusable


def test_lmtp_replies_reach_their_recipients() -> None:
    pair = _joined(
        ServerConfig.lmtp("mx.example.com", ("example.org", "example.com")), ClientConfig(lmtp=True)
    )
    rcpts = (Rcpt(BOB), Rcpt(ALICE))
    for command in (Mail(ALICE), *rcpts, Data()):
        pair.client.send(command)
    pair.settle()
    pair.client.send_body(b"x\r\n")
    pair.client.end_body()
    pair.settle()
    got = [e.recipient for e in pair.client_events if isinstance(e, ReplyReceived) and e.recipient]
    assert len(got) == 2
    assert all(one is other for one, other in zip(got, rcpts, strict=True))


def test_a_refused_message() -> None:
    def answer(event: ServerEvent) -> None:
        if isinstance(event, EndOfMessage):
            pair.server.reply(Reply(554, "spam", "5.7.1"))
        else:
            pair.server.reply()

    pair = ConnectionPair(ClientConnection(), ServerConnection(SERVER), answer=answer)
    pair.settle()
    pair.client.send(Hello("c.example"))
    pair.settle()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        pair.client.send(command)
    pair.settle()
    end = pair.client.end_body()
    pair.settle()
    assert pair.client_events[-1] == ReplyReceived(end, Reply(554, "spam", "5.7.1"))


def test_shutdown_reaches_an_idle_client() -> None:
    pair = _joined()
    pair.server.shutdown()
    pair.settle()
    last = pair.client_events[-1]
    assert isinstance(last, Closed)
    assert last.reason is CloseReason.SHUTDOWN


def _offering(*keywords: str) -> ServerConfig:
    entries = tuple(entry for entry in SERVER.registry if entry.keyword in keywords)
    return replace(
        SERVER, offer=(*SERVER.offer, *entries), mechanisms=("PLAIN",), cleartext_without_tls=True
    )


def test_the_roles_swap_after_atrn() -> None:
    def answer(event: ServerEvent) -> None:
        if isinstance(event, Atrn):
            pair.server.reply(Reply(250, "OK now reversing"))
        elif isinstance(event, PasswordLogin):
            pair.server.reply(Reply(235, "welcome"))
        else:
            pair.server.reply()

    pair = ConnectionPair(
        ClientConnection(ClientConfig(cleartext_authentication_without_verified_tls=True)),
        ServerConnection(_offering("ATRN")),
        answer=answer,
    )
    pair.settle()
    pair.client.send(Hello("customer.example"))
    pair.settle()
    pair.client.authenticate(
        client_mechanism("PLAIN", Password("user", "pencil"), ClientMechanismConfig())
    )
    pair.settle()
    pair.client.send(Atrn(("customer.example",)))
    pair.settle()
    swapped = ConnectionPair(
        pair.server.reverse(ClientConfig()),
        pair.client.reverse(ServerConfig.relay("customer.example")),
    )
    swapped.settle()
    swapped.client.send(Hello("provider.example"))
    swapped.settle()
    assert Hello("provider.example") in swapped.server_events


def test_etrn_is_refused_by_default() -> None:
    pair = _joined(_offering("ETRN"))
    pair.client.send(Etrn("example.org"))
    pair.settle()
    last = pair.client_events[-1]
    assert isinstance(last, ReplyReceived)
    assert last.reply.code == 458


# -- SASL


def _credentials(name: str) -> Credentials:
    if name in ("OAUTHBEARER", "XOAUTH2"):
        return BearerToken("user", "token")
    if name == "EXTERNAL":
        return ExternalIdentity()
    if name == "ANONYMOUS":
        return Anonymous()
    return Password("user", "pencil")


@pytest.mark.parametrize(
    "name", [name for name in MECHANISMS if not name.endswith("-PLUS") and name != "EXTERNAL"]
)
@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_every_mechanism_authenticates(name: str, size: int) -> None:
    config = replace(
        ServerConfig.submission("mx.example.com"), mechanisms=(name,), scram_secret=b"0" * 32
    )

    def answer(event: ServerEvent) -> None:
        if isinstance(event, SecretRequest):
            pair.server.supply(PlainPassword("pencil"))
        elif isinstance(event, PasswordLogin):
            good = (event.authcid, event.password) == ("user", "pencil")
            pair.server.reply(Reply(235 if good else 535, "well"))
        elif isinstance(event, TokenLogin) or type(event).__name__ == "AnonymousLogin":
            pair.server.reply(Reply(235, "well"))
        else:
            pair.server.reply()

    pair = ConnectionPair(
        ClientConnection(),
        ServerConnection(config),
        answer=answer,
        chunks=lambda octets: [octets[at : at + size] for at in range(0, len(octets), size)],
    )
    pair.settle()
    pair.client.send(Hello("c.example"))
    pair.settle()
    pair.client.send(StartTls())
    pair.settle()
    pair.client.send(Hello("c.example"))
    pair.settle()
    mechanism = client_mechanism(
        name, _credentials(name), ClientMechanismConfig(host="mx.example.com")
    )
    pair.client.authenticate(mechanism, authcid="user")
    pair.settle()
    ended = pair.client_events[-1]
    assert isinstance(ended, AuthenticationEnded)
    assert ended.outcome is AuthenticationOutcome.SUCCEEDED, ended
    assert pair.client.identity is not None
    assert pair.server.identity is not None


# -- anything in any order, delivered anyhow


ADDRESSES: Final = st.sampled_from([ALICE, BOB, QUOTED])


class Sessions(RuleBasedStateMachine):
    """A client that does whatever it may, a server that decides anyhow, a network that cuts."""

    @initialize(
        lmtp=st.booleans(),
        chunk_size=st.integers(1, 8),
        pipelining=st.booleans(),
        in_flight=st.integers(1, 5),
    )
    def connect(self, lmtp: bool, chunk_size: int, pipelining: bool, in_flight: int) -> None:
        server = (
            ServerConfig.lmtp("mx.example.com", ("example.org", "example.com")) if lmtp else SERVER
        )
        if not pipelining and not lmtp:
            server = replace(
                server,
                offer=tuple(entry for entry in server.offer if "PIPELINING" not in repr(entry)),
            )
        config = ClientConfig(lmtp=lmtp, chunk_size=chunk_size)
        config = replace(config, limits=replace(config.limits, in_flight=in_flight))
        self.lmtp = lmtp
        self.decisions: list[int] = []
        self.pair = ConnectionPair(
            ClientConnection(config),
            ServerConnection(server),
            answer=self.answer,
            chunks=self.cut,
        )
        self.size = 1 << 20
        self.sent: list[Command] = []
        self.bodies: list[tuple[EndOfData, bytes]] = []
        self.body = b""
        self.chunked = False

    def cut(self, octets: bytes) -> list[bytes]:
        return [octets[at : at + self.size] for at in range(0, len(octets), self.size)]

    def answer(self, event: ServerEvent) -> None:
        code = self.decisions.pop() if self.decisions else 0
        if code and isinstance(event, Mail | Rcpt | Data | EndOfMessage | Hello | Vrfy):
            self.pair.server.reply(*[Reply(code, "no")] * max(self.pair.server.replies_owed, 1))
        else:
            self.pair.server.reply()

    @rule(
        command=st.one_of(
            st.builds(Mail, st.one_of(st.none(), ADDRESSES)),
            st.builds(Rcpt, ADDRESSES),
            st.builds(Data, st.booleans()),
            st.builds(Rset),
            st.builds(Noop),
            st.builds(Help),
            st.builds(Vrfy, st.just("bob")),
            st.builds(Rcpt, ADDRESSES),
        )
    )
    def send(self, command: Command) -> None:
        try:
            self.pair.client.send(command)
        except LocalProtocolError:
            return
        self.sent.append(command)
        if isinstance(command, Data):
            self.body = b""
            self.chunked = command.chunking

    @rule()
    def hello(self) -> None:
        self.send(Hello("c.example", "LHLO" if self.lmtp else "EHLO"))

    @rule()
    def starttls(self) -> None:
        self.send(StartTls())

    @rule(octets=st.sampled_from([b"", b".", b"\r\n", b".\r\n", b"line\r\n", b"x"]))
    def send_body(self, octets: bytes) -> None:
        try:
            self.pair.client.send_body(octets)
        except LocalProtocolError:
            return
        self.body += octets

    @rule()
    def end_body(self) -> None:
        try:
            end = self.pair.client.end_body()
        except LocalProtocolError:
            return
        self.sent.append(end)
        body = self.body
        if body and not self.chunked and not body.endswith(b"\r\n"):
            body += b"\r\n"
        self.bodies.append((end, body))

    @rule(size=st.integers(1, 40))
    def change_size(self, size: int) -> None:
        self.size = size

    @rule(codes=st.lists(st.sampled_from([0, 450, 550]), max_size=3))
    def decide(self, codes: list[int]) -> None:
        self.decisions = codes

    @rule()
    def settle(self) -> None:
        self.pair.settle()

    @rule(steps=st.lists(st.integers(0, 3), max_size=8))
    def step(self, steps: list[int]) -> None:
        actions = (
            self.pair.pull_client,
            self.pair.pull_server,
            self.pair.deliver_to_client,
            self.pair.deliver_to_server,
        )
        for number in steps:
            actions[number]()

    @precondition(lambda self: len(self.sent) > 20)
    @rule()
    def quit(self) -> None:
        self.send(Quit())

    @precondition(lambda self: len(self.sent) > 20)
    @rule()
    def shutdown(self) -> None:
        self.pair.server.shutdown()

    @invariant()
    def neither_side_blames_the_other(self) -> None:
        if not hasattr(self, "pair"):
            return
        blamed = [
            event
            for event in (*self.pair.client_events, *self.pair.server_events)
            if isinstance(event, ProtocolViolation)
        ]
        assert not blamed

    @invariant()
    def a_silent_client_is_noticed(self) -> None:
        if not hasattr(self, "pair"):
            return
        server = self.pair.server
        if server.pending is None and server.state is not State.CLOSED:
            assert server.timeout is not None

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        self.pair.settle()
        self.pair.client.abort()
        self.pair.settle()
        assert self.pair.client.next_event() is Need.CLOSE
        assert isinstance(self.pair.client_events[-1], Closed)
        ended: set[tuple[int, int]] = set()
        for event in self.pair.client_events:
            if isinstance(event, ReplyReceived | Unanswered):
                pair = (id(event.command), id(event.recipient) if event.recipient else 0)
                assert pair not in ended
                ended.add(pair)
        for command in self.sent:
            if not (isinstance(command, Data) and command.chunking):
                assert any(each[0] == id(command) for each in ended), command
        self._messages_are_whole()

    def _messages_are_whole(self) -> None:
        content, messages = b"", []
        for event in self.pair.server_events:
            if isinstance(event, Data):
                content = b""
            elif isinstance(event, BodyChunk):
                content += event.data
            elif isinstance(event, EndOfMessage):
                messages.append(content)
            elif isinstance(event, MessageAborted):
                content = b""
        bodies = [body for _, body in self.bodies]
        for message in messages:  # in order, none invented, none mixed
            assert message in bodies
            bodies = bodies[bodies.index(message) + 1 :]


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_what_can_be_no_pair() -> None:
    wrong: Any = "mx.example.org"
    client, server = ClientConnection(), ServerConnection(ServerConfig.relay("mx.example"))
    made: list[tuple[Callable[[], object], str]] = [
        (lambda: ConnectionPair(server, client), "client is a ServerConnection: pass a Client"),  # type: ignore[arg-type]  # tested
        (lambda: ConnectionPair(client, wrong), "server is a str: pass a ServerConnection"),
        (lambda: ConnectionPair(client, server, answer=wrong), "answer is a str: pass a callable"),
        (lambda: ConnectionPair(client, server, chunks=wrong), "chunks is a str: pass a callable"),
        (lambda: ConnectionPair(client, server, client_tls=wrong), "client_tls is a str: pass a"),
        (lambda: ConnectionPair(client, server, server_tls=wrong), "server_tls is a str: pass a"),
        (lambda: ConnectionPair(client, server).run(wrong), "operation is a str: pass a Generator"),
        (lambda: drain(wrong), "connection is a str: pass a ClientConnection or ServerConn"),
    ]
    for make, words in made:
        with pytest.raises(TypeError, match=f"^{words}"):
            make()
