"""One Service under every adapter, against the adapters' own clients and a dialogue by hand."""

import ssl
import threading
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from tests.adapters.handlers import pause
from tests.adapters.loops import LOOPS, Loop
from tests.adapters.servers import Dialogue, serving

from smtpwire import ClientConfig, Password, Reply, Security, ServerConfig
from smtpwire.adapters import asyncio, blocking, trio
from smtpwire.adapters.session import Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import Closed, CloseReason, MessageAborted
from smtpwire.engine.tls import PeerCertificate
from smtpwire.operations import TlsFailed
from smtpwire.sasl import SecretRequest, StoredSecret, derive_scram
from smtpwire.service import Message, Service
from smtpwire.wire.command import Help, Noop, Quit, Rcpt
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org", ("example.org",))
SUBMISSION = replace(
    ServerConfig.submission("localhost"),
    mechanisms=("SCRAM-SHA-256", "PLAIN"),
    scram_secret=bytes(16),
)
SECRET = derive_scram("secret")
TRANSACTION = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@example.org>\r\n"


class Inbox(Service):
    """Takes mail of users; notes what it was told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.aborted_ones: list[MessageAborted] = []
        self.ended = threading.Event()

    def rcpt(self, session: Session, command: Rcpt, /) -> Any:
        nobody = command.address.local_part == "nobody"
        return Reply(550, "No such user here", "5.1.1") if nobody else None

    def secret(self, session: Session, question: SecretRequest, /) -> Any:
        return SECRET if question.authcid == "alice" else None

    def message(self, session: Session, message: Message, /) -> Any:
        if b"fail" in message.content:
            raise OSError("disk full")
        self.messages.append(message)

    def aborted(self, session: Session, news: MessageAborted, /) -> Any:
        self.aborted_ones.append(news)

    def closed(self, session: Session, news: Closed, /) -> Any:
        self.ended.set()


def suspending(adapter: str) -> Inbox:
    """The same with coroutines that suspend, where the adapter awaits."""

    class Suspending(Inbox):
        async def rcpt(self, session: Session, command: Rcpt, /) -> Reply | None:
            await self._pause()
            given: Reply | None = super().rcpt(session, command)
            return given

        async def secret(self, session: Session, question: SecretRequest, /) -> StoredSecret | None:
            await self._pause()
            given: StoredSecret | None = super().secret(session, question)
            return given

        async def message(self, session: Session, message: Message, /) -> None:
            await self._pause()
            super().message(session, message)

        async def _pause(self) -> None:
            waiting = pause(adapter, 0.001)
            assert waiting is not None
            await waiting

    return Suspending()


def services(adapter: str) -> list[Inbox]:
    return [Inbox()] if adapter == "blocking" else [Inbox(), suspending(adapter)]


def test_messages_come_whole_and_faults_are_451(
    adapter: str, caplog: pytest.LogCaptureFixture
) -> None:
    for service in services(adapter):
        caplog.clear()
        with serving(adapter, service, RELAY) as port, Dialogue(port) as client:
            client.reply()
            client.say(b"EHLO client.example.com")
            client.send(TRANSACTION + b"RCPT TO:<nobody@example.org>\r\n")
            assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"550"]
            client.send(b"BDAT 5\r\nfirst")
            assert client.reply()[:3] == b"250"
            client.say(b"RSET")
            for content, code in ((b"fail\r\n", b"451"), (b"second\r\n", b"250")):
                client.send(TRANSACTION + b"DATA\r\n")
                assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
                assert client.say(content + b".")[:3] == code
            client.say(b"QUIT")
        assert service.ended.wait(10)
        assert [message.content for message in service.messages] == [b"second\r\n"]
        assert len(service.aborted_ones) == 1
        assert service.messages[0].peer.address == "127.0.0.1"
        assert "127.0.0.1:" in caplog.text
        assert "disk full" in caplog.text


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
def test_users_log_in_by_their_stored_secret(
    adapter: str, mechanism: str, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    from smtpwire.operations import LoginFailed
    from smtpwire.sasl import ChoicePolicy

    policy = ChoicePolicy(mechanisms=(mechanism,))
    for service in services(adapter):
        with serving(adapter, service, SUBMISSION, server_tls) as port:
            config = ClientConfig(
                "client.example.com", host="localhost", security=Security.STARTTLS
            )
            with blocking.connect("127.0.0.1", port, config, tls=client_context) as client:
                for wrong in (Password("alice", "guessed"), Password("nobody", "secret")):
                    with pytest.raises(LoginFailed):
                        client.open_session(wrong, policy=policy)
                client.authenticate(Password("alice", "secret"), policy=policy)
                result = client.send_mail(
                    "a@b.example", ["c@d.example"], b"Subject: x\r\n\r\ny\r\n"
                )
                assert result.accepted
        message = service.messages[0]
        assert message.identity is not None
        assert (message.identity.authcid, message.identity.mechanism) == ("alice", mechanism)
        assert message.tls is not None


def test_every_kind_of_application_is_taken(adapter: str) -> None:
    seen: list[object] = []

    class Noted(Service):
        def closed(self, session: Session, news: Closed, /) -> None:
            seen.append(self)

    def handler(session: Session, event: object) -> None:
        if isinstance(event, Closed):
            seen.append(handler)
        elif session.conn.pending is event:
            session.conn.reply()

    for application in (Noted, Noted(), handler):
        with serving(adapter, application, RELAY) as port, Dialogue(port) as client:
            assert client.reply()[:3] == b"220"
            assert client.say(b"QUIT")[:3] == b"221"
    assert len(seen) == 3


def test_the_blocking_adapter_tells_at_the_door_that_it_awaits_nothing() -> None:
    with pytest.raises(
        TypeError, match=r"Suspending.rcpt\(\) is async: this adapter awaits nothing"
    ):
        blocking.start_server(suspending("trio"), RELAY, "127.0.0.1", 0)


@pytest.mark.parametrize("module", [blocking, asyncio, trio])
def test_what_is_no_application_is_told_at_the_door(module: Any) -> None:
    def begin(application: object) -> None:
        made = module.start_server(application, RELAY, "127.0.0.1", 0)
        if module is not blocking:
            made.send(None)

    with pytest.raises(TypeError, match="session is a str: pass"):
        begin("inbox")
    with pytest.raises(TypeError, match="session is None: pass"):
        begin(None)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=list(LOOPS))
def test_every_client_sends_an_email_message_and_commands(loop: Loop) -> None:
    service = Inbox()

    async def scenario() -> None:
        async with await loop.connect("127.0.0.1", port) as client:
            await client.open_session()
            message = EmailMessage()
            message["From"], message["To"] = (
                "Jürgen <j@example.com>",
                "bob@example.org, nobody@example.org",
            )
            message["Bcc"] = "carol@example.org"
            message.set_content("Grüße\n")
            result = await client.send_message(message)
            assert [str(item.recipient) for item in result.permanent] == ["nobody@example.org"]
            assert (await client.command(Noop())).code == 250

    with serving("asyncio", service, RELAY) as port:
        loop.run(scenario)
    (message,) = service.messages
    assert [str(each) for each in message.envelope.forward_paths] == [
        "bob@example.org",
        "carol@example.org",
    ]
    assert message_from_bytes(message.content, policy=default)["From"] == "Jürgen <j@example.com>"


@pytest.mark.parametrize("loop", LOOPS.values(), ids=list(LOOPS))
def test_every_client_asks_the_hook(loop: Loop, server_tls: TlsConfig) -> None:
    def raising(peer: PeerCertificate, chain: tuple[bytes, ...]) -> bool:
        raise ssl.SSLCertVerificationError("another key than yesterday")

    def pinned(peer: PeerCertificate, chain: tuple[bytes, ...]) -> bool:
        return peer.der == server_tls.certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    config = ClientConfig("client.example.com", host="localhost", security=Security.STARTTLS)

    async def scenario() -> None:
        tls = TlsConfig(context, verify=pinned)
        async with await loop.connect("127.0.0.1", port, config, tls=tls) as client:
            await client.open_session(Password("alice", "secret"))  # PLAIN: under verified TLS only
            assert client.conn.tls.verified
        client = await loop.connect(
            "127.0.0.1", port, config, tls=TlsConfig(context, verify=raising)
        )
        with pytest.raises(TlsFailed, match="another key than yesterday"):
            await client.open_session()
        await client.close()

    with serving(
        "asyncio", Inbox(), replace(SUBMISSION, mechanisms=("PLAIN",)), server_tls
    ) as port:
        loop.run(scenario)


class Slow(Service):
    """Answers HELP and QUIT after a while."""

    def __init__(self, adapter: str) -> None:
        self.adapter = adapter
        self.ended: list[CloseReason] = []
        self.over = threading.Event()

    def help(self, session: Session, command: Help, /) -> Any:
        return self._later(Reply(214, f"On {command.topic}", "2.0.0"))

    def quit(self, session: Session, command: Quit, /) -> Any:
        return self._later(Reply(221, "Come again", "2.0.0"))

    def closed(self, session: Session, news: Closed, /) -> None:
        self.ended.append(news.reason)
        self.over.set()

    def _later(self, reply: Reply) -> Any:
        if self.adapter == "blocking":
            return reply

        async def later() -> Reply:
            waiting = pause(self.adapter, 0.01)
            assert waiting is not None
            await waiting
            return reply

        return later()


ASKS = ServerConfig.relay("mx.example.org", ("example.org",), asks=frozenset({"HELP", "QUIT"}))


def test_answers_to_help_and_quit_come_in_order_however_much_is_pipelined(adapter: str) -> None:
    service = Slow(adapter)
    with serving(adapter, service, ASKS) as port, Dialogue(port) as client:
        client.reply()
        client.say(b"EHLO client.example.com")
        client.send(b"HELP a\r\nNOOP\r\nHELP b\r\nQUIT\r\nHELP c\r\n")
        replies = [client.reply() for _ in range(4)]
    assert [reply.rstrip() for reply in replies] == [
        b"214 2.0.0 On a",
        b"250 2.0.0 OK",
        b"214 2.0.0 On b",
        b"221 2.0.0 Come again",
    ]
    assert service.over.wait(10)
    assert service.ended == [CloseReason.QUIT]


def test_a_client_that_goes_before_the_answer(
    adapter: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = Slow(adapter)
    with serving(adapter, service, ASKS) as port:
        with Dialogue(port) as client:
            client.reply()
            client.say(b"EHLO client.example.com")
            client.send(b"HELP a\r\nQUIT\r\n")
        assert service.over.wait(10)
    assert len(service.ended) == 1
    assert "Traceback" not in caplog.text
