"""The examples run as they stand, each against a real peer, and stay as short as they are."""

import asyncio
import io
import os
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import tokenize
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import pytest
from tests.adapters.servers import serving
from tests.adapters.test_services import SUBMISSION, Inbox
from tests.examples import email_backend, relay
from tests.examples.sink import Sink

import smtpwire
from smtpwire import ClientConfig, Password, Security, ServerConfig
from smtpwire.adapters import blocking
from smtpwire.adapters.tls import TlsConfig
from smtpwire.operations import LoginFailed, MessageRefused
from smtpwire.testing import certificate

HERE: Final = Path(__file__).parent
SOURCE: Final = Path(smtpwire.__file__).parent.parent

GOALS: Final = {
    "submission.py": ("a submission service on sqlite, with TLS and SCRAM", 90),
    "sink.py": ("a pytest fixture that keeps what it is sent", 15),
    "email_backend.py": ("an e-mail backend for Django", 60),
    "lmtp_agent.py": ("an LMTP delivery agent into Maildirs", 45),
    "relay.py": ("the delivery part of a relay: queue, retries, bounces", 120),
    "anyio_adapter.py": ("an adapter for anyio, with STARTTLS", 95),
    "proxy.py": ("a proxy, command by command", 75),
    "from_aiosmtpd.py": ("a port from aiosmtpd", 25),
    "from_smtplib.py": ("a port from smtplib", 20),
}


def length(path: Path) -> int:
    """Lines of code: not blank, no comment, no docstring."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    counted: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type not in (*ignored, tokenize.ENDMARKER):
            statement.append(token)
        elif token.type == tokenize.NEWLINE:
            if [each.type for each in statement] != [tokenize.STRING]:
                for each in statement:
                    counted.update(range(each.start[0], each.end[0] + 1))
            statement = []
    return len(counted)


def table() -> str:
    rows = [
        f"| [`{name}`]({name}) | {what} | {length(HERE / name)} |"
        for name, (what, _) in GOALS.items()
    ]
    return "\n".join(["| program | what | lines |", "|---|---|---|", *rows])


def test_every_example_is_short_and_listed() -> None:
    programs = {path.name for path in HERE.glob("*.py")} - {"test_examples.py", "conftest.py"}
    assert programs == set(GOALS)
    assert {name: n for name, (_, goal) in GOALS.items() if (n := length(HERE / name)) > goal} == {}
    assert f"<!-- generated: lines -->\n{table()}\n<!-- end -->" in (HERE / "README.md").read_text()


@contextmanager
def running(*arguments: object, ready: int | Path) -> Iterator["subprocess.Popen[str]"]:
    """A program, once it listens; it ends by Ctrl-C."""
    command = [sys.executable, "-u", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        command,
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            wait_for(ready)
            yield program
            program.send_signal(signal.SIGINT)
            program.wait(30)
        finally:
            program.kill()


def wait_for(ready: int | Path) -> None:
    for _ in range(400):
        try:
            if isinstance(ready, Path):
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(ready))
            else:
                socket.create_connection(("127.0.0.1", ready), 5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens at {ready}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def note(*to: str, text: str = "Hello\n") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "alice@example.org", ", ".join(to), "x"
    message.set_content(text)
    return message


@pytest.fixture
def mail_tls(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate in a file, and a client's context that trusts it."""
    path = tmp_path / "server.pem"
    path.write_bytes(certificate().server_pem)
    (tmp_path / "authority.pem").write_bytes(certificate().trusted_pem)
    return path, certificate().client_context()


def test_the_submission_service(tmp_path: Path, mail_tls: tuple[Path, ssl.SSLContext]) -> None:
    pem, context = mail_tls
    database, port = tmp_path / "mail.db", free_port()
    add = [
        sys.executable,
        "submission.py",
        "add",
        str(database),
        "alice",
        "wonderland",
        "alice@example.org",
    ]
    subprocess.run(add, cwd=HERE, env=os.environ | {"PYTHONPATH": str(SOURCE)}, check=True)
    with running("submission.py", "serve", database, pem, "--port", port, ready=port):
        config = ClientConfig("client.example.com", host="localhost", security=Security.STARTTLS)
        with blocking.connect("127.0.0.1", port, config, tls=context) as client:
            with pytest.raises(LoginFailed):
                client.open_session(Password("alice", "looking-glass"))
            client.authenticate(Password("alice", "wonderland"))
            client.send_message(note("bob@example.net", "carol@example.net")).raise_for_refused()
            with pytest.raises(MessageRefused, match="This is not your address"):
                client.send_mail("bob@example.org", ["x@example.net"], b"x\r\n").raise_for_refused()
        with smtplib.SMTP("127.0.0.1", port) as other:  # PLAIN, by another's client
            other._host = "localhost"  # type: ignore[attr-defined]
            other.starttls(context=context)
            other.login("alice", "wonderland")
            assert other.send_message(note("dave@example.net")) == {}
    with closing(sqlite3.connect(database)) as stored:
        rows = stored.execute("SELECT sender, content FROM queue").fetchall()
        recipients = stored.execute("SELECT address FROM recipient").fetchall()
    assert [sender for sender, _ in rows] == ["alice@example.org"] * 2
    assert sorted(address for (address,) in recipients) == [
        f"{name}@example.net" for name in ("bob", "carol", "dave")
    ]
    assert all(
        content.startswith(b"Received: from ") and b"ESMTPSA" in content for _, content in rows
    )


def test_the_sink(sink: tuple[Sink, int]) -> None:
    messages, port = sink
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(note("bob@example.net"))
    (message,) = messages
    assert b"Hello" in message.content


class DjangoMail:
    """What Django hands a backend."""

    def __init__(self, *to: str, text: str = "Hello\n") -> None:
        self.from_email, self._to, self._text = "alice@example.org", to, text

    def recipients(self) -> list[str]:
        return list(self._to)

    def message(self) -> Any:
        return note(*self._to, text=self._text)


def test_the_email_backend(server_tls: TlsConfig, client_context: ssl.SSLContext) -> None:
    service = Inbox()
    with serving("blocking", service, SUBMISSION, server_tls) as port:
        backend = email_backend.EmailBackend(
            "127.0.0.1", port, "alice", "secret", tls=client_context, server_name="localhost"
        )
        mails = [
            DjangoMail("bob@example.org"),
            DjangoMail(),
            DjangoMail("bob@example.org", "carol@example.org"),
        ]
        assert backend.send_messages(mails) == 2
        assert backend.open()
        assert not backend.open()
        assert backend.send_messages(mails[:1]) == 1
        with pytest.raises(MessageRefused):
            backend.send_messages([DjangoMail("nobody@example.org")])
        backend.close()
        backend.close()
    assert len(service.messages) == 3
    with pytest.raises(OSError):
        backend.send_messages(mails)
    quiet = email_backend.EmailBackend("127.0.0.1", free_port(), fail_silently=True)
    assert quiet.send_messages(mails) == 0


def test_the_lmtp_agent(tmp_path: Path) -> None:
    (tmp_path / "bob").mkdir()
    for folder in ("cur", "new", "tmp"):
        (tmp_path / "bob" / folder).mkdir()
    at = tmp_path / "lmtp.sock"
    config = ClientConfig("localhost", lmtp=True)
    with (
        running("lmtp_agent.py", at, tmp_path, "example.org", ready=at),
        blocking.connect(path=str(at), config=config) as client,
    ):
        client.open_session()
        to = ["bob@example.org", "nobody@example.org", "a.b@example.org"]
        result = client.send_mail("alice@example.com", to, b"Subject: x\r\n\r\nHello\r\n")
        codes = [item.reply.code for item in result.recipients if item.reply]
        assert codes == [250, 550, 550]
    (delivered,) = (tmp_path / "bob" / "new").iterdir()
    assert delivered.read_bytes() == b"Return-Path: <alice@example.com>\nSubject: x\n\nHello\n"


def test_the_relay(tmp_path: Path) -> None:
    service, refused = Inbox(), free_port()
    queue = relay.Queue(tmp_path)

    async def scenario(port: int) -> None:
        async def hosts(domain: str) -> list[tuple[str, int]]:
            return [("127.0.0.1", refused)] + [("127.0.0.1", port)] * (domain == "example.org")

        agent = relay.Relay(queue, hosts)
        to = ["bob@example.org", "nobody@example.org", "carol@away.example"]
        queue.add("alice@example.org", to, note(*to).as_bytes())
        now = time.time()
        await agent.deliver(now)
        kept = queue.due(now + 1000)
        assert sorted((item.sender, item.recipients) for _, item, _ in kept) == [
            ("", ["alice@example.org"]),
            ("alice@example.org", ["carol@away.example"]),
        ]
        await agent.deliver(now + 1)  # the bounce is due, the rest is not yet
        assert [item.tries for _, item, _ in queue.due(now + 1000)] == [1]
        await agent.deliver(now + relay.GIVE_UP + 1)
        await agent.deliver(now + relay.GIVE_UP + 2)
        assert queue.due(now + 1e9) == []

    with serving("asyncio", service, ServerConfig.relay("mx.example.org", ["example.org"])) as port:
        asyncio.run(scenario(port))
    assert b"Hello" in service.messages[0].content
    assert b"<nobody@example.org>: 550 5.1.1 No such user here" in service.messages[1].content
    assert b"<carol@away.example>: no host has taken it in time" in service.messages[2].content
    assert service.messages[1].envelope.reverse_path is None
    assert list(tmp_path.iterdir()) == []


def test_the_proxy() -> None:
    service, port = Inbox(), free_port()
    relay_config = ServerConfig.relay("mx.example.org", ["example.org"])
    with (
        serving("asyncio", service, relay_config) as behind,
        running("proxy.py", port, "127.0.0.1", behind, ready=port),
        smtplib.SMTP("127.0.0.1", port) as client,
    ):
        refused = client.send_message(note("bob@example.org", "nobody@example.org"))
        assert refused == {"nobody@example.org": (550, b"5.1.1 No such user here")}
        client.mail("a@example.com")
        client.rset()
        assert client.send_message(note("bob@example.org")) == {}
        assert client.sendmail("a@example.com", ["bob@example.org"], b"x\r\n") == {}
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@example.com", ["bob@example.org"], b"fail\r\n")
    assert len(service.messages) == 3
    with (
        running("proxy.py", port, "127.0.0.1", free_port(), ready=port),
        pytest.raises(smtplib.SMTPConnectError, match="The server behind is away"),
    ):
        smtplib.SMTP("127.0.0.1", port)


def test_the_port_from_aiosmtpd() -> None:
    port = free_port()
    with running("from_aiosmtpd.py", port, ready=port) as program:
        with smtplib.SMTP("127.0.0.1", port) as client:
            refused = client.send_message(note("bob@example.com", "carol@example.net"))
            assert refused == {"carol@example.net": (550, b"5.7.1 not relaying to that domain")}
        program.send_signal(signal.SIGINT)
        output = program.communicate(timeout=30)[0]
    assert output.startswith(
        "Message from alice@example.org\nMessage for bob@example.com\n> From: alice"
    )


def test_the_port_from_smtplib(tmp_path: Path, server_tls: TlsConfig) -> None:
    service = Inbox()
    (tmp_path / "authority.pem").write_bytes(certificate().trusted_pem)
    environment = os.environ | {
        "PYTHONPATH": str(SOURCE),
        "SSL_CERT_FILE": str(tmp_path / "authority.pem"),
    }
    with serving("asyncio", service, SUBMISSION, server_tls) as port:
        done = subprocess.run(
            [sys.executable, "from_smtplib.py", "127.0.0.1", str(port), "alice", "secret"],
            cwd=HERE,
            env=environment,
            input=note("bob@example.org", "nobody@example.org").as_bytes(),
            capture_output=True,
            check=True,
        )
    assert done.stdout == b"nobody@example.org 550 5.1.1 No such user here\n"
    assert len(service.messages) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_anyio_adapter(mail_tls: tuple[Path, ssl.SSLContext], backend: str) -> None:
    pytest.importorskip("anyio")
    pem, context = mail_tls
    port = free_port()
    with running("anyio_adapter.py", port, pem, backend, ready=port) as program:
        for tls in (False, True):
            with smtplib.SMTP("127.0.0.1", port) as client:
                client._host = "localhost"  # type: ignore[attr-defined]
                if tls:
                    client.starttls(context=context)
                assert client.sendmail("a@example.com", ["b@example.org"], b"x\r\n") == {}
        program.send_signal(signal.SIGINT)
        output = program.communicate(timeout=30)[0]
    assert output.startswith("False b'x\\r\\n'\nTrue b'x\\r\\n'\n")
