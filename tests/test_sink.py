"""A server that collects messages, with real clients at its socket; the fixtures of pytest."""

import asyncio
import builtins
import os
import smtplib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from smtpwire import ClientConfig, Disposition, Password, Reply, Security, ServerConfig
from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter
from smtpwire.operations import SendResult
from smtpwire.testing import certificate, certificates, sink

TEXT = "Subject: Grüße\r\n\r\nHello\r\n.\r\n".encode()
NO = Reply(550, "No such user", "5.1.1")
OK, GO = Reply(250, "OK"), Reply(354, "Go on")
LATER = Reply(452, "Mailbox full", "4.2.2")


def test_smtplib_sends() -> None:
    with sink() as mx:
        with smtplib.SMTP(mx.host, mx.port) as client:
            client.sendmail("a@b.example", ["c@d.example"], TEXT)
            client.sendmail("a@b.example", ["e@d.example"], TEXT)
        first, second = mx.messages
        mx.clear()
    assert str(first.envelope.reverse_path) == "a@b.example"
    assert first.content == TEXT
    assert first.email["Subject"] == "Grüße"
    assert first.email.get_content() == "Hello\r\n.\r\n"
    assert first.hello is not None
    assert (first.tls, first.identity) == (None, None)
    assert [str(path) for path in second.envelope.forward_paths] == ["e@d.example"]
    assert mx.messages == []
    assert "Subject" not in repr(first)


def test_under_tls_with_a_login() -> None:
    with sink(tls="starttls", login=("joe", "pencil")) as mx:
        with smtplib.SMTP("localhost", mx.port) as client:
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail("a@b.example", ["c@d.example"], TEXT)
            client.starttls(context=mx.certificate.client_context())
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("joe", "wrong")
        with smtplib.SMTP("localhost", mx.port) as client:
            client.starttls(context=mx.certificate.client_context())
            client.user, client.password = "joe", "pencil"
            client.ehlo()
            client.auth("PLAIN", client.auth_plain)
            client.sendmail("a@b.example", ["c@d.example"], TEXT)
    (message,) = mx.messages
    assert message.tls is not None
    assert message.identity is not None
    assert message.identity.authcid == "joe"


@pytest.mark.parametrize("user", ["joe", "jane"])
def test_scram(user: str) -> None:
    config = ClientConfig(security=Security.IMPLICIT)
    with sink(tls="implicit", login=("joe", "pencil")) as mx:
        tls = mx.certificate.client_context()
        with blocking.connect("localhost", mx.port, config, tls=tls) as client:
            if user == "joe":
                client.open_session(Password(user, "pencil"))
                assert client.conn.identity is not None
                assert client.conn.identity.mechanism == "SCRAM-SHA-256"
            else:
                with pytest.raises(Exception, match="535"):
                    client.open_session(Password(user, "pencil"))
    with sink() as mx:
        assert mx.password_of("joe") is None


def test_refusals() -> None:
    with (
        sink(refuse={"no@d.example": NO}, verdicts={"full@d.example": LATER}) as mx,
        smtplib.SMTP(mx.host, mx.port) as client,
    ):
        refused = client.sendmail("a@b.example", ["no@d.example", "c@D.EXAMPLE"], TEXT)
        assert refused == {"no@d.example": (550, b"5.1.1 No such user")}
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@b.example", ["c@d.example", "full@d.example"], TEXT)
    assert len(mx.messages) == 1


def test_lmtp_has_a_verdict_a_recipient() -> None:
    with (
        sink(lmtp=True, verdicts={"full@d.example": LATER}) as mx,
        blocking.connect(mx.host, mx.port, ClientConfig(lmtp=True)) as client,
    ):
        client.open_session()
        result = client.send_mail("a@b.example", ["c@d.example", "full@d.example"], TEXT)
        assert [each.outcome for each in result.recipients] == [
            Disposition.DONE,
            Disposition.RETRY,
        ]
        result = client.send_mail("a@b.example", ["full@d.example"], TEXT)
    assert result.recipients[0].outcome is Disposition.RETRY
    assert len(mx.messages) == 1


def test_a_message_that_is_given_up_is_none() -> None:
    with sink() as mx:
        client = blocking.connect(mx.host, mx.port)
        client.open_session()

        def content() -> Any:
            yield b"Hello"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            client.send_mail("a@b.example", ["c@d.example"], content())
        client.close()
        with smtplib.SMTP(mx.host, mx.port) as other:
            other.sendmail("a@b.example", ["c@d.example"], TEXT)
    assert [message.content for message in mx.messages] == [TEXT]


async def _with_asyncio() -> SendResult:
    async with sink() as mx, await asyncio_adapter.connect(mx.host, mx.port) as client:
        await client.open_session()
        result = await client.send_mail("a@b.example", ["c@d.example"], TEXT)
        assert len(mx.messages) == 1
    return result


async def _with_trio() -> SendResult:
    async with sink() as mx, await trio_adapter.connect(mx.host, mx.port) as client:
        await client.open_session()
        result = await client.send_mail("a@b.example", ["c@d.example"], TEXT)
        assert len(mx.messages) == 1
    return result


@pytest.mark.parametrize(
    "run", [lambda: asyncio.run(_with_asyncio()), lambda: trio.run(_with_trio)]
)
def test_in_a_loop(run: Callable[[], SendResult]) -> None:
    assert run().recipients[0].outcome is Disposition.DONE


def test_a_configuration_of_ones_own() -> None:
    config = ServerConfig.relay("mx.example", ["d.example"])
    with sink(config=config) as mx, smtplib.SMTP(mx.host, mx.port) as client:
        assert client.ehlo()[1].startswith(b"mx.example\n")


def test_connections_that_stay_open_are_dropped() -> None:
    with sink() as mx:
        client = smtplib.SMTP(mx.host, mx.port)
        port = mx.port
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.noop()
    client.close()
    with pytest.raises(OSError):
        smtplib.SMTP(mx.host, port)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"tls": "yes"}, ValueError, "tls is 'yes'"),
        ({"login": ("joe",)}, TypeError, "pass user and password"),
        ({"login": ("joe", 1)}, TypeError, "pass user and password"),
        ({"login": "ab"}, TypeError, "pass user and password"),
        ({"login": 5}, TypeError, "pass user and password"),
        ({"refuse": ["a@b.example"]}, TypeError, "refuse is a list: pass a Mapping"),
        ({"verdicts": NO}, TypeError, "verdicts is a Reply: pass a Mapping"),
        ({"lmtp": True, "tls": "implicit"}, ValueError, "no LMTP with TLS from the first octet"),
        ({"refuse": {"a@b.example": 550}}, TypeError, "is an int: pass a Reply"),
        ({"refuse": {"a b": NO}}, ValueError, r"refuse\['a b'\]: not an address"),
        ({"refuse": {"a@b.example": OK}}, ValueError, r"'a@b.example'\] is 250: pass 4yz or"),
        ({"refuse": {"a@b.example": GO}}, ValueError, "is 354: pass 4yz or 5yz"),
        ({"verdicts": {"a@b.example": GO}}, ValueError, "is 354: pass 2yz or 4yz or 5yz"),
        ({"config": "relay"}, TypeError, "config"),
    ],
)
def test_what_is_refused(settings: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        sink(**settings)


def test_started_and_stopped_out_of_turn() -> None:
    mx = sink()
    mx.stop()
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = mx.port
    with mx, pytest.raises(RuntimeError, match="listens already"):
        mx.start()
    mx.stop()
    with mx, smtplib.SMTP(mx.host, mx.port) as client:
        assert client.noop()[0] == 250


def test_a_client_that_is_gone_at_once_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", faults.append)
    with sink() as mx:
        for _ in range(20):
            sock = socket.create_connection((mx.host, mx.port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        with smtplib.SMTP(mx.host, mx.port) as client:
            assert client.noop()[0] == 250
    assert faults == []


# -- certificates


@pytest.fixture
def without_trustme(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fake(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "trustme":
            raise ImportError
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)


@pytest.mark.usefixtures("without_trustme")
def test_a_certificate_by_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificates.certificate.__wrapped__()
    monkeypatch.setattr(certificates, "certificate", lambda: made)
    with sink(tls="starttls") as mx, smtplib.SMTP("localhost", mx.port) as client:
        client.starttls(context=mx.certificate.client_context())


@pytest.mark.usefixtures("without_trustme")
def test_where_no_certificate_can_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="install trustme"):
        certificates.certificate.__wrapped__()
    command = tmp_path / "openssl"
    command.write_text("#!/bin/sh\necho no curve >&2\nexit 1\n")
    command.chmod(0o755)
    with pytest.raises(RuntimeError, match="openssl made no certificate for the test: no curve"):
        certificates.certificate.__wrapped__()


def test_the_certificate_is_made_once() -> None:
    assert certificate() is certificate()


# -- the plugin

PROJECT = '''
import smtplib
import sys


def test_nothing_is_loaded():
    loaded = {name for name in sys.modules if name.startswith("smtpwire")}
    assert loaded <= {"smtpwire", "smtpwire.testing", "smtpwire.testing.pytest_plugin"}, loaded


def test_sink(smtp_sink):
    with smtplib.SMTP(smtp_sink.host, smtp_sink.port) as client:
        client.sendmail("a@b.example", ["c@d.example"], "Subject: Hi\\n\\nHello\\n")
    assert smtp_sink.messages[0].email["Subject"] == "Hi"


def test_script(smtp_script):
    server = smtp_script("""
        ...
        C: RCPT TO:<{who}>
        S: 450 4.2.2 {who} is over quota
        ...
    """)
    with smtplib.SMTP(server.host, server.port) as client:
        client.ehlo()
        client.mail("a@b.example")
        assert client.rcpt("c@d.example") == (450, b"4.2.2 c@d.example is over quota")


def test_script_differs(smtp_script):
    server = smtp_script("S: 220 {host}\\nC: EHLO x", values={"host": "mx"})
    smtplib.SMTP(server.host, server.port).close()
'''


def test_a_project_with_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_project.py").write_text(PROJECT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    plugin = ["-p", "smtpwire.testing.pytest_plugin", "--rootdir", str(tmp_path), str(tmp_path)]
    run = subprocess.run(
        [*command, *plugin],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # where it is installed
    )
    assert "4 passed, 1 error" in run.stdout, run.stdout + run.stderr
    assert "- C: EHLO x\n" in run.stdout.replace("E       ", "").replace("E   ", "")
