"""A Service without a socket: what it is asked, what it answers, and what is said of its faults.

What can be asynchronous is played in both colours: the same class, and one whose every method is
a coroutine that suspends.
"""

import inspect
import logging
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Generator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args, get_type_hints
from unittest.mock import Mock

import pytest
from tests.memory import least_memory, traced_memory

from smtpwire.engine.events import (
    Aborted,
    Authenticated,
    BodyChunk,
    Closed,
    CommandQuestion,
    Connected,
    EndOfMessage,
    Envelope,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import MT_PRIORITY, PRDR, Atrn, Burl, Etrn, XClient, XForward
from smtpwire.operations import Handler, Session, serve
from smtpwire.sasl import (
    AnonymousLogin,
    Ask,
    ClientMechanismConfig,
    DigestMD5Secret,
    Failed,
    Password,
    PasswordLogin,
    PlainPassword,
    SaslError,
    SecretRequest,
    ServerStep,
    StoredSecret,
    Succeeded,
    client_mechanism,
    derive_digest_md5,
    derive_scram,
)
from smtpwire.sasl.mechanism import ServerExchange
from smtpwire.service import Application, Message, Service, session_factory
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    Data,
    ExtensionCommand,
    ExtensionRequest,
    Hello,
    Help,
    Mail,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org", ("d.example",))
HELLO = b"EHLO client.example.com\r\n"
MAIL = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
MESSAGE = MAIL + b"DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\n"
NOON = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
LOGIN = ServerConfig(
    host="mx.example.org", mechanisms=("PLAIN",), cleartext_without_tls=True, realm="example.org"
)


class Suspended:
    def __await__(self) -> Generator[Any, Any, None]:
        yield


def awaiting(service: type[Service]) -> type[Service]:
    """The same service with methods that are coroutines, and suspend."""

    def method(name: str) -> Callable[..., Awaitable[object]]:
        async def call(self: Service, session: Session, event: object) -> object:
            await Suspended()
            given: object = getattr(service, name)(self, session, event)
            return given

        return call

    own = {
        name: method(name) for name in vars(service) if hasattr(Service, name) and name[0] != "_"
    }
    made: type[Service] = type(service.__name__, (service,), own)
    return made


COLOURS = {"sync": lambda service: service, "async": awaiting}
both_colours = pytest.mark.parametrize("colour", list(COLOURS.values()), ids=COLOURS)
Colour = Callable[[type[Service]], type[Service]]


class Driven:
    """A session of an application, driven by hand."""

    def __init__(
        self,
        application: Application,
        config: ServerConfig = RELAY,
        tls: TlsInfo | None = None,
    ) -> None:
        self.conn = ServerConnection(config, tls=tls, peer=Peer("192.0.2.1", 12345))
        factory = session_factory(application, config)
        self.serving = serve(self, factory, config, logging.getLogger("smtpwire"), lambda: 0.0)
        self.suspensions = 0
        self.written = b""
        self.need = self.go_on()

    def flush(self) -> None:
        raise NotImplementedError

    def shutdown(self) -> None:
        self.conn.shutdown()

    def close(self) -> None:
        self.conn.abort()

    def go_on(self) -> Need:
        step = next(self.serving)
        while not (isinstance(step, Need) and step is not Need.WRITE):
            if not isinstance(step, Need):
                try:
                    for _ in step.__await__():
                        self.suspensions += 1
                except Exception as error:
                    step = self.serving.throw(error)
                    continue
            self.written += self.conn.data_to_send()
            step = next(self.serving)
        self.written += self.conn.data_to_send()
        return step

    def say(self, octets: bytes) -> list[str]:
        """The replies to what a client sends, a line each."""
        if octets:
            self.conn.receive_data(octets)
        self.written = b""
        self.need = self.go_on()
        return self.written.decode().splitlines()

    def end(self) -> None:
        self.conn.receive_data(b"")
        self.need = self.go_on()


# -- questions and news


class Everything(Service):
    """Notes what it is called with."""

    calls: list[tuple[str, object]]

    def __init__(self) -> None:
        self.calls = []

    def connected(self, session: Session, question: Connected, /) -> Reply:
        self.calls.append(("connected", question))
        return Reply(220, "mx.example.org at your service")

    def hello(self, session: Session, command: Hello, /) -> Reply | None:
        self.calls.append(("hello", command))
        return None

    def mail(self, session: Session, command: Mail, /) -> Reply | None:
        self.calls.append(("mail", command))
        return None

    def rcpt(self, session: Session, command: Rcpt, /) -> Reply | None:
        self.calls.append(("rcpt", command))
        return Reply(550, "Not here", "5.1.1") if command.address.local_part == "no" else None

    def data(self, session: Session, command: Data, /) -> Reply | None:
        self.calls.append(("data", command))
        return None

    def message(self, session: Session, message: Message, /) -> Reply | None:
        self.calls.append(("message", message))
        return Reply(250, "Queued as 1", "2.6.0")

    def vrfy(self, session: Session, command: Vrfy, /) -> Reply | None:
        self.calls.append(("vrfy", command))
        return Reply(250, "Somebody")

    def aborted(self, session: Session, news: MessageAborted, /) -> None:
        self.calls.append(("aborted", news))

    def invalid_command(self, session: Session, news: InvalidCommand, /) -> None:
        self.calls.append(("invalid_command", news))

    def closed(self, session: Session, news: Closed, /) -> None:
        self.calls.append(("closed", news))


@both_colours
def test_each_event_calls_the_method_of_its_name(colour: Colour) -> None:
    service = colour(Everything)()
    assert isinstance(service, Everything)
    session = Driven(service)
    assert session.written == b"220 mx.example.org at your service\r\n"
    assert session.say(HELLO)[0].startswith("250-mx.example.org")
    assert session.say(
        b"VRFY x\r\nNONSENSE\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<no@d.example>\r\n"
    ) == [
        "250 2.0.0 Somebody",
        "500 5.5.1 Command not recognized",
        "250 2.1.0 Sender OK",
        "550 5.1.1 Not here",
    ]
    assert session.say(b"RCPT TO:<c@d.example>\r\nDATA\r\n") == [
        "250 2.1.5 Recipient OK",
        "354 Go ahead",
    ]
    assert session.say(b"Subject: x\r\n\r\n..dot\r\n.\r\n") == ["250 2.6.0 Queued as 1"]
    assert session.say(b"QUIT\r\n") == ["221 2.0.0 Goodbye"]
    assert [name for name, _ in service.calls] == [
        "connected", "hello", "vrfy", "invalid_command", "mail", "rcpt", "rcpt", "data", "message", "closed",
    ]  # fmt: skip
    message = dict(service.calls)["message"]
    assert isinstance(message, Message)
    assert message.content == b"Subject: x\r\n\r\n.dot\r\n"
    assert message.size == len(message.content)
    assert message.canonical
    assert message.envelope.forward_paths == (Address.parse("c@d.example"),)
    assert message.peer == Peer("192.0.2.1", 12345)
    assert session.suspensions == (len(service.calls) if colour is awaiting else 0)


def test_what_has_no_method_is_answered_by_default() -> None:
    class Inbox(Service):
        def message(self, session: Session, message: Message, /) -> None:
            got.append(message.content)

    got: list[bytes] = []
    session = Driven(Inbox)
    session.say(HELLO)
    assert session.say(b"VRFY x\r\n")[0].startswith("252 ")
    assert session.say(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n")[
        -1
    ].startswith("550 ")
    assert session.say(b"RSET\r\n" + MESSAGE)[-1] == "250 2.0.0 Message accepted"
    assert got == [b"Subject: x\r\n\r\n.dot\r\n"]


def test_a_service_without_a_use_for_mail_takes_none() -> None:
    class Policy(Service):
        def mail(self, session: Session, command: Mail, /) -> None: ...

    for service in (Policy, Service):
        session = Driven(service)
        session.say(HELLO)
        assert session.say(MAIL + b"DATA\r\n")[-1] == "554 5.3.2 No mail is taken here"

    class Asked(Service):
        def data(self, session: Session, command: Data, /) -> None: ...

    session = Driven(Asked)
    session.say(HELLO)
    assert session.say(MAIL + b"DATA\r\n")[-1] == "354 Go ahead"


def test_a_class_is_one_for_each_connection_and_an_instance_one_for_all() -> None:
    made: list[Service] = []

    class Counting(Service):
        def __init__(self) -> None:
            made.append(self)

    Driven(Counting), Driven(Counting)
    assert len(made) == 2
    shared = Counting()
    Driven(shared), Driven(shared)
    assert len(made) == 3


# -- the message


@both_colours
def test_an_aborted_message_never_runs_into_the_next(colour: Colour) -> None:
    service = colour(Everything)()
    assert isinstance(service, Everything)
    session = Driven(service)
    session.say(HELLO + MAIL + b"BDAT 5\r\nfirst")
    session.say(b"RSET\r\n")
    session.say(MAIL + b"BDAT 6 LAST\r\nsecond")
    session.say(MAIL + b"DATA\r\nbare\nline\r\n.\r\n")
    assert session.say(MESSAGE)[-1] == "250 2.6.0 Queued as 1"
    got = [each.content for _, each in service.calls if isinstance(each, Message)]
    assert got == [b"second", b"Subject: x\r\n\r\n.dot\r\n"]
    aborted = [each.reason for _, each in service.calls if isinstance(each, MessageAborted)]
    assert aborted == [Aborted.RESET, Aborted.CONTENT]


def test_a_message_is_bounded() -> None:
    service = Everything()
    session = Driven(service, replace(RELAY, limits=Limits(message=10)))
    session.say(HELLO)
    assert session.say(MAIL + b"DATA\r\n" + b"x" * 20 + b"\r\n.\r\n")[-1].startswith("552 ")
    assert session.say(MAIL + b"DATA\r\nshort\r\n.\r\n")[-1].startswith("250 ")
    assert [each.content for _, each in service.calls if isinstance(each, Message)] == [
        b"short\r\n"
    ]
    unbounded = replace(RELAY, limits=Limits(message=0))
    for application in (Everything, Everything()):
        with pytest.raises(ValueError, match="Everything collects messages"):
            session_factory(application, unbounded)
    session_factory(Streaming, unbounded)


class Forgetful(Service):
    """Lets messages come, and has no use for them."""

    def data(self, session: Session, command: Data, /) -> None:
        pass


@both_colours
def test_what_no_method_gets_is_not_collected(colour: Colour) -> None:
    def kept() -> int:
        session = Driven(colour(Forgetful), replace(RELAY, limits=Limits(message=0)))
        session.say(HELLO + MAIL + b"DATA\r\n")
        with traced_memory() as memory:
            for _ in range(64):
                session.say(bytes(16_382).replace(b"\0", b"x") + b"\r\n")
            octets = memory()[0]
        assert session.say(b".\r\n")[-1].startswith("250 ")
        return octets

    assert least_memory(kept, 100_000) < 100_000


class Streaming(Service):
    """Takes chunks; refuses what is evil as soon as it comes."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.message_is: Message | None = None

    def chunk(self, session: Session, chunk: BodyChunk, /) -> Reply | None:
        self.chunks.append(chunk.data)
        return Reply(554, "No", "5.7.1") if b"evil" in chunk.data else None

    def message(self, session: Session, message: Message, /) -> None:
        self.message_is = message


@both_colours
def test_who_streams_collects_nothing_and_may_refuse_at_once(colour: Colour) -> None:
    service = colour(Streaming)()
    assert isinstance(service, Streaming)
    session = Driven(service)
    session.say(HELLO)
    assert session.say(MESSAGE)[-1].startswith("250 ")
    assert b"".join(service.chunks) == b"Subject: x\r\n\r\n.dot\r\n"
    assert service.message_is is not None
    assert (service.message_is.content, service.message_is.size) == (b"", 20)
    assert session.say(MAIL + b"DATA\r\nevil\r\n.\r\n")[-1] == "554 5.7.1 No"


LMTP = ServerConfig.lmtp("mx.example.org", ("d.example",))
TWO = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n"


@both_colours
def test_one_reply_is_for_all_recipients_and_several_for_each(colour: Colour) -> None:
    class Agent(Service):
        def message(self, session: Session, message: Message, /) -> Reply | Sequence[Reply] | None:
            return answers.pop(0)

    full = Reply(452, "Mailbox full", "4.2.2")
    done = Reply(250, "Delivered", "2.1.5")
    answers: list[Reply | Sequence[Reply] | None] = [full, [done, full], (done,), None]
    session = Driven(colour(Agent), LMTP)
    session.say(b"LHLO client.example.com\r\n")
    ends = [session.say(TWO + b"x\r\n.\r\n")[-2:] for _ in range(4)]
    assert ends == [
        ["452 4.2.2 Mailbox full", "452 4.2.2 Mailbox full"],
        ["250 2.1.5 Delivered", "452 4.2.2 Mailbox full"],
        ["250 2.1.5 Delivered", "451 4.3.0 Local error in processing"],
        ["250 2.0.0 Message accepted", "250 2.0.0 Message accepted"],
    ]


def test_prdr_has_a_reply_a_recipient_too() -> None:
    class Agent(Service):
        def message(self, session: Session, message: Message, /) -> list[Reply]:
            return [Reply(250, "Yes", "2.1.5"), Reply(550, "No", "5.7.1")]

    session = Driven(Agent, replace(RELAY, offer=(*RELAY.offer, PRDR)))
    session.say(HELLO)
    replies = session.say(TWO.replace(b"b.example>", b"b.example> PRDR", 1) + b"x\r\n.\r\n")
    assert replies[-3:-1] == ["250 2.1.5 Yes", "550 5.7.1 No"]


# -- the trace header


class Traced(Service):
    def anonymous_login(self, session: Session, question: AnonymousLogin, /) -> Reply:
        return Reply(235, "Welcome", "2.7.0")

    def message(self, session: Session, message: Message, /) -> None:
        headers.append(message.trace_header(by="mx.example.org", timestamp=NOON, id="1"))


headers: list[bytes] = []


def traced(first: bytes, config: ServerConfig, tls: TlsInfo | None = None) -> str:
    headers.clear()
    session = Driven(Traced, config, tls)
    assert session.say(first + b"DATA\r\nx\r\n.\r\n")[-1].startswith("250 ")
    return headers[0].decode().replace("\r\n ", " ")


def test_the_trace_header_says_how_the_message_came() -> None:
    date = "Sat, 28 Nov 2026 12:00:00 +0000\r\n"
    assert traced(HELLO + MAIL, RELAY) == (
        "Received: from client.example.com ([192.0.2.1]) by mx.example.org with ESMTP id 1"
        f" for <c@d.example>; {date}"
    )
    assert " with SMTP " in traced(b"HELO client.example.com\r\n" + MAIL, RELAY)
    assert " with LMTP " in traced(b"LHLO client.example.com\r\n" + MAIL, LMTP)
    tls = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    under = traced(HELLO + MAIL, RELAY, tls)
    assert " with ESMTPS " in under
    assert " tls TLS_AES_128_GCM_SHA256;" in under
    utf8 = MAIL.replace(b"b.example>", b"b.example> SMTPUTF8", 1)
    assert " with UTF8SMTP " in traced(HELLO + utf8, RELAY)
    priority = MAIL.replace(b"b.example>", b"b.example> MT-PRIORITY=3", 1)
    config = replace(RELAY, offer=(*RELAY.offer, MT_PRIORITY))
    assert " priority 3;" in traced(HELLO + priority, config)
    config = replace(RELAY, mechanisms=("ANONYMOUS",))
    assert " with ESMTPA " in traced(HELLO + b"AUTH ANONYMOUS =\r\n" + MAIL, config)


def test_a_message_without_a_hello_can_be_traced() -> None:
    """As one that an application makes by itself."""
    message = Message(Envelope(Mail(None)), b"", 0, True, None, Peer("192.0.2.1"), None, None)
    header = message.trace_header(by="mx.example.org", timestamp=NOON)
    assert header.startswith(b"Received: from 192.0.2.1 ([192.0.2.1]) by mx.example.org")
    nobody = replace(message, peer=Peer())
    assert nobody.trace_header(by="mx.example.org", timestamp=NOON).startswith(
        b"Received: from unknown "
    )
    assert "content" not in repr(message)


# -- logging in


SECRETS: dict[str, StoredSecret] = {
    "plain": PlainPassword("secret"),
    "scram": derive_scram("secret"),
    "digest": derive_digest_md5("digest", "example.org", "secret"),
}


class Users(Service):
    """Implements ``secret`` alone."""

    def __init__(self) -> None:
        self.asked: list[SecretRequest] = []

    def secret(self, session: Session, question: SecretRequest, /) -> StoredSecret | Reply | None:
        self.asked.append(question)
        if question.authcid == "busy":
            return Reply(454, "The store is away", "4.7.0")
        return SECRETS.get(question.authcid)


def plain(user: str, password: str) -> bytes:
    return b"AUTH PLAIN " + b64encode(f"\0{user}\0{password}".encode()) + b"\r\n"


@both_colours
@pytest.mark.parametrize("user", SECRETS)
def test_a_stored_secret_alone_serves_plain(colour: Colour, user: str) -> None:
    service = colour(Users)()
    assert isinstance(service, Users)
    session = Driven(service, LOGIN)
    session.say(HELLO)
    assert session.say(plain(user, "wrong")) == ["535 5.7.8 Authentication credentials invalid"]
    assert session.say(plain("nobody", "secret")) == [
        "535 5.7.8 Authentication credentials invalid"
    ]
    assert session.say(plain(user, "secret"))[0].startswith("235 ")
    assert session.conn.identity is not None
    assert session.conn.identity.authcid == user
    assert service.asked[0].realm == "example.org"
    assert DigestMD5Secret in service.asked[0].accepts


@both_colours
def test_a_store_may_refuse(colour: Colour) -> None:
    session = Driven(colour(Users), LOGIN)
    session.say(HELLO)
    assert session.say(plain("busy", "secret")) == ["454 4.7.0 The store is away"]
    session = Driven(colour(Users), replace(LOGIN, mechanisms=("CRAM-MD5",)))
    session.say(HELLO)
    session.say(b"AUTH CRAM-MD5\r\n")
    assert session.say(b"YnVzeSAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA==\r\n") == [
        "454 4.7.0 The store is away"
    ]


@both_colours
def test_the_same_secret_serves_mechanisms_that_ask_for_it(colour: Colour) -> None:
    session = Driven(colour(Users), replace(LOGIN, mechanisms=("CRAM-MD5",)))
    session.say(HELLO)
    session.say(b"AUTH CRAM-MD5\r\n")
    # "plain" and 32 zeros: a digest of another password
    assert session.say(b"cGxhaW4gMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\r\n")[0].startswith(
        "535 "
    )


def test_the_work_for_nobody_is_that_of_the_strongest_scram_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[dict[str, object]] = []

    def noted(secret: object, password: str, **given: object) -> bool:
        seen.append(given)
        return False

    monkeypatch.setattr("smtpwire.sasl.derive.verify", noted)
    config = replace(
        LOGIN,
        mechanisms=("SCRAM-SHA-512-PLUS", "SCRAM-SHA-1", "PLAIN"),
        scram_secret=bytes(16),
        scram_iterations=5000,
    )
    for each in (config, LOGIN):
        session = Driven(Users, each)
        session.say(HELLO + plain("nobody", "secret"))
    assert [(given["mechanism"], given["iterations"]) for given in seen] == [
        ("SCRAM-SHA-512", 5000),
        ("SCRAM-SHA-256", 4096),
    ]


def test_a_login_of_one_s_own_goes_before_the_secret() -> None:
    class Own(Users):
        def password_login(self, session: Session, question: PasswordLogin, /) -> Reply | None:
            return Reply(235, "Yes", "2.7.0") if question.password == "other" else None

        def authenticated(self, session: Session, news: Authenticated, /) -> None:
            told.append(news.identity.authcid)

    told: list[str] = []
    session = Driven(Own, LOGIN)
    session.say(HELLO)
    assert session.say(plain("plain", "secret"))[0].startswith("535 ")
    assert session.say(plain("plain", "other")) == ["235 2.7.0 Yes"]
    assert told == ["plain"]


class Badge(StoredSecret):
    """A stored form of one's own."""

    def __init__(self, owner: str) -> None:
        self.owner = owner


class BadgeServer(ServerExchange):
    """A mechanism of one's own, which knows nothing but what is looked up."""

    def step(self, response: bytes) -> ServerStep:
        return Ask(SecretRequest(self.name, response.decode(), "", (Badge,)))

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        if isinstance(secret, Badge):
            return Succeeded(secret.owner)
        return Failed("no such badge", text="Ask at the desk for a badge")


@both_colours
def test_a_mechanism_of_one_s_own_waits_for_the_store(colour: Colour) -> None:
    class Badges(Service):
        def secret(self, session: Session, question: SecretRequest, /) -> StoredSecret | None:
            return Badge("alice") if question.authcid == "0042" else None

    config = replace(
        RELAY,
        mechanisms=("X-BADGE",),
        custom_mechanisms={"X-BADGE": lambda config: BadgeServer("X-BADGE", config)},
    )
    session = Driven(colour(Badges), config)
    session.say(HELLO)
    assert session.say(b"AUTH X-BADGE NDM=\r\n") == ["535 5.7.8 Ask at the desk for a badge"]
    assert session.say(b"AUTH X-BADGE MDA0Mg==\r\n")[0].startswith("235 ")
    assert session.conn.identity is not None
    assert session.conn.identity.authcid == "alice"


CLIENTS = {
    "plain": ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
    "scram": ("PLAIN", "LOGIN", "SCRAM-SHA-256"),
    "digest": ("PLAIN", "LOGIN", "DIGEST-MD5"),
}
"""What each stored form serves."""


@both_colours
@pytest.mark.parametrize("mechanism", CLIENTS["plain"])
@pytest.mark.parametrize("user", SECRETS)
def test_secret_alone_serves_every_mechanism_that_the_form_allows(
    colour: Colour, user: str, mechanism: str
) -> None:
    """By the clients that stand in ``sasl``; what it does not allow is as a wrong password."""
    config = replace(LOGIN, mechanisms=CLIENTS["plain"], scram_secret=bytes(16))
    for password in ("wrong", "secret"):
        session = Driven(colour(Users), config)
        session.say(HELLO)
        reply = logged_in(session, mechanism, Password(user, password))
        allowed = password == "secret" and mechanism in CLIENTS[user]
        assert reply == (
            "235 2.7.0 Authentication succeeded"
            if allowed and mechanism not in ("PLAIN", "LOGIN")
            else "235 2.7.0 Authentication successful"
            if allowed
            else "535 5.7.8 Authentication credentials invalid"
        )
        assert (session.conn.identity is not None) == allowed


def logged_in(session: Driven, name: str, credentials: Password) -> str:
    """The server's last reply to a client's exchange."""
    settings = ClientMechanismConfig(host="mx.example.org")
    mechanism = client_mechanism(name, credentials, settings)
    initial = mechanism.initial()
    given = b"" if initial is None else b" " + b64encode(initial)
    (reply,) = session.say(b"AUTH " + name.encode() + given + b"\r\n")
    while reply.startswith("334 "):
        try:
            response = mechanism.step(b64decode(reply[4:]))
        except SaslError:  # the server could not prove that it knows the password
            return session.say(b"*\r\n")[0]
        assert isinstance(response, bytes)
        (reply,) = session.say(b64encode(response) + b"\r\n")
    return reply


# -- HELP, NOOP, QUIT and RSET


class Polite(Service):
    """Has words of its own for HELP and QUIT, and counts RSETs."""

    def __init__(self) -> None:
        self.resets = 0

    def help(self, session: Session, command: Help, /) -> Reply | None:
        return Reply(504, f"No help with {command.topic}", "5.5.4") if command.topic else None

    def quit(self, session: Session, command: Quit, /) -> Reply:
        return Reply(221, "Come again", "2.0.0")

    def rset(self, session: Session, command: Rset, /) -> None:
        self.resets += 1


@both_colours
def test_a_service_answers_where_its_configuration_asks(colour: Colour) -> None:
    service = colour(Polite)()
    assert isinstance(service, Polite)
    session = Driven(service, replace(RELAY, asks=frozenset({"HELP", "NOOP", "QUIT", "RSET"})))
    session.say(HELLO)
    assert session.say(b"HELP\r\nHELP tar\r\nNOOP\r\nRSET\r\nQUIT\r\n") == [
        "214 2.0.0 See RFC 5321",
        "504 5.5.4 No help with tar",
        "250 2.0.0 OK",
        "250 2.0.0 OK",
        "221 2.0.0 Come again",
    ]
    assert session.need is Need.CLOSE
    assert service.resets == 1


@both_colours
def test_where_nothing_is_asked_they_are_news(
    colour: Colour, caplog: pytest.LogCaptureFixture
) -> None:
    service = colour(Polite)()
    assert isinstance(service, Polite)
    session = Driven(service)
    session.say(HELLO)
    assert session.say(b"RSET\r\nHELP\r\n") == ["250 2.0.0 OK", "214 2.0.0 See RFC 5321"]
    assert service.resets == 1
    assert caplog.text == ""
    assert session.say(b"QUIT\r\n") == ["221 2.0.0 Goodbye"]
    assert (
        "TypeError: quit() returned a Reply: return None, for nothing is asked"
        " unless ServerConfig.asks has 'QUIT'" in caplog.text
    )


@both_colours
def test_a_fault_in_these_is_logged_and_answered_by_the_engine(
    colour: Colour, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Service):
        def rset(self, session: Session, command: Rset, /) -> Reply:
            return Reply(450, "Not now")

        def help(self, session: Session, command: Help, /) -> Any:
            return "RTFM"

        def quit(self, session: Session, command: Quit, /) -> Reply:
            raise OSError("no words")

    config = replace(RELAY, asks=frozenset({"HELP", "QUIT", "RSET"}))
    session = Driven(colour(Faulty), config)
    session.say(HELLO)
    assert session.say(b"RSET\r\nHELP\r\nQUIT\r\n") == [
        "250 2.0.0 OK",
        "214 2.0.0 See RFC 5321",
        "221 2.0.0 Goodbye",
    ]
    assert "RSET cannot be refused: 250 answers it" in caplog.text
    assert "help() returned a str: return a Reply, as Reply(550), None" in caplog.text
    assert "no words" in caplog.text


# -- faults


@both_colours
def test_a_method_that_raises_is_451_and_logged(
    colour: Colour, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Service):
        def message(self, session: Session, message: Message, /) -> None:
            raise OSError("disk full")

        def secret(self, session: Session, question: SecretRequest, /) -> None:
            raise OSError("no store")

    session = Driven(colour(Faulty), replace(LOGIN, local_domains=("d.example",)))
    session.say(HELLO)
    assert session.say(plain("a", "b")) == ["454 4.7.0 Temporary authentication failure"]
    assert session.say(MESSAGE)[-1] == "451 4.3.0 Local error in processing"
    assert "192.0.2.1:12345: handler failed at" in caplog.text
    assert "disk full" in caplog.text


@both_colours
def test_what_is_no_answer_is_a_fault(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(Service):
        def mail(self, session: Session, command: Mail, /) -> Any:
            return given[0]

        def invalid_command(self, session: Session, news: InvalidCommand, /) -> Any:
            return Reply(250, "Never mind")

    session = Driven(colour(Wrong))
    session.say(HELLO)
    given: list[object] = []
    for wrong, said in (("250 OK", "a str"), (True, "a bool"), ([250], "a list")):
        given[:] = [wrong]
        caplog.clear()
        assert session.say(b"MAIL FROM:<a@b.example>\r\n") == [
            "451 4.3.0 Local error in processing"
        ]
        assert (
            f"TypeError: mail() returned {said}: return a Reply, as Reply(550), None" in caplog.text
        )
    given[:] = [[]]
    assert session.say(b"MAIL FROM:<a@b.example>\r\n") == ["451 4.3.0 Local error in processing"]
    assert "ValueError: mail() returned no reply: return None to accept" in caplog.text
    assert session.say(b"NONSENSE\r\n")[0].startswith("500 ")
    assert "invalid_command() returned a Reply: return None, for nothing is asked" in caplog.text


@both_colours
@pytest.mark.parametrize(("wrong", "said"), [("wonderland", "a str"), (True, "a bool")])
def test_what_is_no_stored_secret_is_a_fault(
    colour: Colour, wrong: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By each way to ``secret()`` the log says the same."""

    class Wrong(Service):
        def secret(self, session: Session, question: SecretRequest, /) -> Any:
            return wrong

    config = replace(LOGIN, mechanisms=("SCRAM-SHA-256", "PLAIN"), scram_secret=bytes(16))
    text = f"TypeError: secret() returned {said}: return what is stored, as derive_scram(password)"
    scram = b"AUTH SCRAM-SHA-256 " + b64encode(b"n,,n=a,r=0123456789") + b"\r\n"
    for login in (plain("a", "b"), scram):
        session = Driven(colour(Wrong), config)
        session.say(HELLO)
        caplog.clear()
        assert session.say(login) == ["454 4.7.0 Temporary authentication failure"]
        assert text in caplog.text


def test_a_method_may_answer_by_itself() -> None:
    class Own(Service):
        def mail(self, session: Session, command: Mail, /) -> None:
            session.conn.reply(Reply(250, "Mine", "2.1.0"))

    session = Driven(Own)
    session.say(HELLO)
    assert session.say(b"MAIL FROM:<a@b.example>\r\n") == ["250 2.1.0 Mine"]


def test_an_answer_that_comes_too_late_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Late(Service):
        async def mail(self, session: Session, command: Mail, /) -> Reply:
            session.close()
            return Reply(250, "Well")

    caplog.set_level(logging.INFO)
    session = Driven(Late)
    session.say(HELLO + b"MAIL FROM:<a@b.example>\r\n")
    assert session.need is Need.CLOSE
    assert "the connection ended before" in caplog.text


# -- the door


def test_a_misspelt_method_is_an_error_when_the_class_is_made() -> None:
    for name, meant in (
        ("rctp", "rcpt"),
        ("recipient_rcpt", None),
        ("handle_RCPT", "rcpt"),
        ("on_message", "message"),
        ("smtp_VRFY", "vrfy"),
        ("mesage", "message"),
        ("password_logon", "password_login"),
        ("auth", "password_login"),
        ("handle_EHLO", "hello"),
        ("end_of_message", "message"),
        ("on_message_aborted", "aborted"),
        ("secret_request", "secret"),
        ("login", "password_login"),
        ("sender", "mail"),
        ("recipient", "rcpt"),
        ("on_disconnected", "closed"),
        ("connection_lost", "closed"),
        ("greeting", "connected"),
    ):

        def method(self: Service, session: Session, event: object) -> None: ...

        if meant is None:
            type("Fine", (Service,), {name: method})
            continue
        with pytest.raises(
            TypeError, match=rf"Inbox.{name}\(\) would never be called: did you mean '{meant}'\?"
        ):
            type("Inbox", (Service,), {name: method})


def test_helpers_are_the_user_s_own() -> None:
    class Inbox(Service):
        limit = 3

        class Database:
            """Whatever it is."""

        def close(self) -> None: ...

        def _rctp(self, one: int, two: int) -> None: ...

        def deliver(self, session: Session, message: Message) -> None: ...

        any_number = print

    assert Inbox._methods == Service._methods


@pytest.mark.parametrize(
    ("member", "error"),
    [
        (b"secret", "Inbox.secret is bytes: a method has this name"),
        (lambda self: None, r"Inbox.secret\(\) takes self, the session and the event"),
        (lambda self, a, b, c: None, r"Inbox.secret\(\) takes self, the session and the event"),
        (staticmethod(lambda session, question: None), r"Inbox.secret\(\) takes self"),
        (lambda self, a, b, *, c: None, r"Inbox.secret\(\) takes self, the session and the event"),
    ],
)
def test_a_method_that_could_not_be_called_is_an_error(member: object, error: str) -> None:
    with pytest.raises(TypeError, match=error):
        type("Inbox", (Service,), {"secret": member})
    type("Inbox", (Service,), {"secret": lambda self, *args: None})
    type("Inbox", (Service,), {"secret": lambda self, session, question, extra=1: None})


def test_the_methods_of_a_class_beside_service_are_looked_at_too() -> None:
    class Names:
        def rcpt(self, session: Session, command: Rcpt, /) -> Reply:
            return Reply(550, "no")

    inbox: Any = type("Inbox", (Names, Service), {})
    assert inbox._methods[Rcpt] is Names.rcpt
    with pytest.raises(TypeError, match=r"Names.rcpt\(\) would never be called: in Inbox's bases"):
        type("Inbox", (Service, Names), {})
    type("Inbox", (Service, Names), {"rcpt": lambda self, session, command: Names.rcpt})
    wrong = type("Wrong", (), {"rcpt": lambda self, command: None})
    with pytest.raises(TypeError, match=r"Wrong.rcpt\(\) takes self, the session and the event"):
        type("Inbox", (wrong, Service), {})


def test_methods_may_be_set_on_an_instance() -> None:
    """As a test does, to have its way."""

    class Inbox(Service):
        def message(self, session: Session, message: Message, /) -> Reply:
            raise NotImplementedError

    inbox: Any = Inbox()
    refused = Mock(return_value=Reply(550, "Not today", "5.7.1"))
    inbox.rcpt = lambda session, command: refused(command.address.local_part)
    inbox.message = lambda session, message: Reply(250, message.content.decode().strip())
    inbox.help = lambda session, command: Reply(211, "Ask me")
    inbox.label = "whatever"
    session = Driven(inbox, replace(RELAY, asks=frozenset({"HELP"})))
    session.say(HELLO)
    assert session.say(MAIL)[-1] == "550 5.7.1 Not today"
    refused.assert_called_once_with("c")
    refused.return_value = None
    session.say(b"RSET\r\n" + MAIL + b"DATA\r\nx\r\n.\r\n")
    assert session.written.endswith(b"250 2.0.0 x\r\n")
    assert session.say(b"HELP\r\n") == ["211 2.0.0 Ask me"]
    fresh = Driven(Inbox())
    fresh.say(HELLO)
    assert fresh.say(MAIL)[-1].startswith("250 ")
    del inbox.message
    assert Inbox._methods.keys() == {EndOfMessage}


def test_a_secret_set_on_an_instance_serves_plain() -> None:
    users: Any = Service()
    users.secret = lambda session, question: SECRETS.get(question.authcid)
    session = Driven(users, LOGIN)
    session.say(HELLO)
    assert session.say(plain("plain", "secret"))[0].startswith("235 ")


def test_methods_may_be_set_on_a_class_before_a_server_gets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Inbox(Service):
        """Takes no mail."""

    monkeypatch.setattr(Inbox, "mail", lambda self, session, command: Reply(550, "No"))
    session = Driven(Inbox)
    session.say(HELLO)
    assert session.say(b"MAIL FROM:<a@b.example>\r\n") == ["550 5.0.0 No"]
    monkeypatch.undo()
    session = Driven(Inbox)
    session.say(HELLO)
    assert session.say(b"MAIL FROM:<a@b.example>\r\n")[0].startswith("250 ")


def test_what_is_set_on_an_instance_is_checked_at_the_door() -> None:
    class Inbox(Service):
        def rcpt(self, session: Session, command: Rcpt, /) -> None: ...

    wrong: list[tuple[object, str]] = [
        (True, "Inbox.rcpt is a bool: a method has this name"),
        (lambda command: None, r"Inbox.rcpt\(\) takes the session and the event"),
        (lambda self, a, b: None, r"Inbox.rcpt\(\) takes the session and the event"),
    ]
    for member, error in wrong:
        inbox: Any = Inbox()
        inbox.rcpt = member
        with pytest.raises(TypeError, match=error):
            session_factory(inbox, RELAY)

    async def later(session: Session, command: Rcpt) -> None: ...

    inbox = Inbox()
    inbox.rcpt = later
    session_factory(inbox, RELAY)
    with pytest.raises(TypeError, match=r"Inbox.rcpt\(\) is async"):
        session_factory(inbox, RELAY, awaits=False)
    inbox.rcpt = lambda session, command: None  # in place of a coroutine
    session_factory(inbox, RELAY, awaits=False)
    inbox.message = lambda session, message: None
    with pytest.raises(ValueError, match=r"Inbox collects messages, and Limits.message is 0"):
        session_factory(inbox, replace(RELAY, limits=Limits(message=0)))


def test_a_class_that_wants_arguments_is_no_application() -> None:
    class Inbox(Service):
        def __init__(self, store: str, /, *, kind: str = "") -> None: ...

    session_factory(Inbox("mail"), RELAY)
    with pytest.raises(TypeError, match=r"Inbox\(\) wants arguments: pass an instance"):
        session_factory(Inbox, RELAY)

    class Named(Service):
        def __init__(self, *, store: str) -> None: ...

    with pytest.raises(TypeError, match=r"Named\(\) wants arguments: pass an instance"):
        session_factory(Named, RELAY)


def test_what_is_taken_as_an_application() -> None:
    events: list[ServerEvent] = []

    def plain_handler(session: Session, event: ServerEvent) -> None:
        events.append(event)
        session.conn.reply()

    def factory(session: Session) -> Handler:
        return partial(plain_handler, session)

    class Callable_:
        def __call__(self, session: Session, event: ServerEvent) -> None:
            plain_handler(session, event)

        def method(self, session: Session) -> Handler:
            return factory(session)

    class Inbox:
        """As other libraries have it: no Service."""

    given: list[Application] = [plain_handler, factory, Callable_(), Callable_().method]
    for application in given:
        events.clear()
        assert Driven(application).written.startswith(b"220 ")
        assert isinstance(events[0], Connected)
    wrong: Any = "inbox"
    with pytest.raises(TypeError, match="session is a str: pass a Service, a function of"):
        session_factory(wrong, RELAY)

    async def later(session: Session) -> Any: ...

    class Factory:
        async def __call__(self, session: Session) -> Any: ...

    for wrong in (later, partial(later), Factory()):
        with pytest.raises(TypeError, match="session is an async function of a session, which nob"):
            session_factory(wrong, RELAY)
    for wrong in (lambda: None, lambda a, b, c: None, Inbox, lambda session, *, clock: None):
        with pytest.raises(
            TypeError, match=r"^session is .*, which cannot take a session, or a se"
        ):
            session_factory(wrong, RELAY)
    builtin: Any = dict  # its signature cannot be read
    assert session_factory(builtin, RELAY) is builtin
    wrong = "relay"
    with pytest.raises(TypeError, match="config is a str: pass a ServerConfig"):
        session_factory(Service, wrong)


def test_a_factory_that_gives_a_service_for_a_handler(caplog: pytest.LogCaptureFixture) -> None:
    class Inbox(Service):
        def __init__(self, store: str) -> None: ...

    wrong: Any = lambda session: Inbox("mail")  # noqa: E731
    assert Driven(wrong).written.startswith(b"451 ")
    assert "return its handler from a session factory, Inbox(…)(session)" in caplog.text
    assert Driven(lambda session: Inbox("mail")(session)).written.startswith(b"220 ")


def test_an_adapter_without_await_takes_no_asynchronous_service() -> None:
    class Later(Service):
        async def rcpt(self, session: Session, command: Rcpt, /) -> None: ...

    session_factory(Later, RELAY)
    session_factory(Everything, RELAY, awaits=False)
    with pytest.raises(TypeError, match=r"Later.rcpt\(\) is async: this adapter awaits nothing"):
        session_factory(Later, RELAY, awaits=False)


def test_every_event_has_a_method_that_takes_it() -> None:
    # A base of those below; what message() gets as a Message; HELP and its like as they are.
    events = set(get_args(ServerEvent)) - {ExtensionRequest, EndOfMessage, CommandQuestion}
    verbs = {Atrn, Burl, Etrn, XClient, XForward, ExtensionCommand}
    assert all(issubclass(verb, ExtensionRequest) for verb in verbs)
    methods = [
        get_type_hints(method)
        for name, method in vars(Service).items()
        if inspect.isfunction(method) and name[0] != "_"
    ]
    taken = {kind for hints in methods for kind in hints.values() if isinstance(kind, type)}
    assert events | verbs <= taken
