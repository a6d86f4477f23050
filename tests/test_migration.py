"""The migration guide tells the truth: its code runs, and every name in its tables is there."""

import asyncio
import logging
import re
import smtplib
import textwrap
from collections.abc import Awaitable, Callable
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

import smtpwire
from smtpwire import adapters, operations
from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.testing import certificate, sink
from smtpwire.transcript import log_trace

GUIDE = Path(adapters.__file__).with_name("MIGRATION.md").read_text()
BLOCKS = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", GUIDE, re.DOTALL))
NAMES: dict[str, object] = {
    **{name: getattr(smtpwire, name) for name in smtpwire.__all__},
    **{name: getattr(operations, name) for name in operations.__all__},
    "EmailMessage": EmailMessage,
    "blocking": blocking,
    "connect": asyncio_adapter.connect,
    "log_trace": log_trace,
    "logging": logging,
    "policy": policy,
    "sink": sink,
    "smtplib": smtplib,
    "start_server": asyncio_adapter.start_server,
}


def run(code: str, **names: object) -> dict[str, Any]:
    """Run a block; one that awaits runs in a function of its own."""
    found: dict[str, Any] = NAMES | names
    if "await " in code:
        code = f"async def main():\n{textwrap.indent(code, '    ')}\n    return locals()"
        exec(compile(code, "MIGRATION.md", "exec"), found)
        found.update(asyncio.run(found["main"]()))
        return found
    exec(compile(code, "MIGRATION.md", "exec"), found)
    return found


SENDING = ("smtplib_send", "smtplib_email", "smtplib_trace", "aiosmtplib_send")
LOGINS = ("smtplib_login", "aiosmtplib_login")
OTHERS = {"aiosmtpd_server", "aiosmtpd_login", "sink_refuses", "smtpd_server"}


def test_every_block_is_run_by_a_test() -> None:
    assert BLOCKS.keys() == {*SENDING, *LOGINS} | OTHERS


@pytest.mark.parametrize("name", SENDING)
def test_clients(name: str) -> None:
    code = BLOCKS[name]
    with sink() as mx:
        found = run(code, host=mx.host, port=mx.port)
    assert len(mx.messages) == ("send_mail" in code)
    if "largest" in code:
        assert found["largest"] == 52428800
    if "refused" in code:
        assert found["refused"] == []


@pytest.mark.parametrize("name", LOGINS)
def test_clients_that_log_in(name: str) -> None:
    with sink(tls="starttls", login=("alice", "wonderland")) as mx:
        run(BLOCKS[name], port=mx.port, tls=mx.certificate.client_context())
    assert mx.messages[0].identity is not None


def _in_thread(what: Callable[[int], object]) -> Callable[[int], Awaitable[None]]:
    async def talk(port: int) -> None:
        await asyncio.to_thread(what, port)

    return talk


def _send(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        recipients = ["bob@example.org", "carol@elsewhere.example"]
        client.sendmail("alice@example.com", recipients, "Hello\n")


def test_a_server() -> None:
    delivered: list[Any] = []
    run(BLOCKS["aiosmtpd_server"], delivered=delivered, talk=_in_thread(_send))
    ((envelope, content),) = delivered
    assert [str(path) for path in envelope.forward_paths] == ["bob@example.org"]
    assert content == b"Hello\r\n"


def test_a_server_with_logins() -> None:
    good: list[int] = []

    def login(port: int) -> None:
        with smtplib.SMTP("localhost", port) as client:
            client.starttls(context=certificate().client_context())
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("alice", "wrong")
        with smtplib.SMTP("localhost", port) as client:
            client.starttls(context=certificate().client_context())
            client.login("alice", "wonderland")
            client.mail("alice@example.com")
            good.append(client.rcpt("bob@example.org")[0])

    run(BLOCKS["aiosmtpd_login"], tls=certificate().server_context(), login=_in_thread(login))
    assert good == [250]


def test_a_test() -> None:
    run(BLOCKS["sink_refuses"])


def test_a_server_with_threads() -> None:
    processed: list[Any] = []
    run(BLOCKS["smtpd_server"], process_message=lambda *given: processed.append(given), send=_send)
    ((peer, envelope, content),) = processed
    assert peer.address == "127.0.0.1"
    assert len(envelope.forward_paths) == 2
    assert content == b"Hello\r\n"


def test_the_names_in_the_tables_are_there() -> None:
    ours = " ".join(row.split(" | ")[1] for row in GUIDE.splitlines() if row.startswith("| "))
    known = NAMES.keys() | {"Controller", "None", "False", "UNKNOWN", "NONE"}
    named = set(re.findall(r"`(?:[a-z]+\.)*([A-Z][A-Za-z]+)\b", ours))
    missing = {name for name in named if name not in known and not name.isupper()}
    assert missing == set()
