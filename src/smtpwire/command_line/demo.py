"""``demo``: a client engine and a server engine, joined in memory, and what they say."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Final, Literal, TypeVar, final

from smtpwire.command_line.arguments import Parser, Subcommands
from smtpwire.command_line.output import printable, show
from smtpwire.command_line.report import MEANINGS
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import REGISTRY
from smtpwire.operations import Operation, open_session, quit, send_mail
from smtpwire.sasl import Password, PlainPassword, SecretRequest
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.command import Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import BASIC_CODES, describe
from smtpwire.wire.value import Request, replace

__all__ = ["add_to", "run"]

R = TypeVar("R")
_WIDTH: Final = 48
_INTRODUCTION: Final = """\
A client engine (C) and a server engine (S) talk to each other, in memory: no socket is opened.
On the right stands what each line means.
"""
_MESSAGE: Final = b"""\
From: Alice <alice@example.com>
To: Bob <bob@example.org>
Subject: Greetings

Hello Bob,
. this line starts with a dot; DATA sends it with a second one.
"""


def add_to(commands: Subcommands) -> Parser:
    """Declare the command."""
    text = "show a whole dialogue between the two engines, with what each line means"
    return commands.add_parser("demo", help=text, description=text)


def run(options: argparse.Namespace) -> int:
    """Play it."""
    show(_INTRODUCTION)
    _Dialogue().play()
    return 0


@final
class _Dialogue:
    """Both engines, and the transcript of what they say."""

    def __init__(self) -> None:
        config = replace(
            ServerConfig.submission("mx.example.org"),
            mechanisms=("SCRAM-SHA-256",),
            scram_secret=b"a secret of this service",
        )
        self._server = ServerConnection(config)
        self._client = ClientConnection(
            ClientConfig("client.example.com", host="mx.example.org", security=Security.STARTTLS)
        )
        self._client.trace = self._client_trace
        self._server.trace = self._server_trace
        self._command = ""

    def play(self) -> None:
        """A session from greeting to QUIT."""
        self._drive(open_session(self._client, Password("alice", "wonderland")))
        recipients = ("bob@example.org", "nobody@example.org")
        for chunking in (False, True):
            send = send_mail(
                self._client, "alice@example.com", recipients, _MESSAGE, chunking=chunking
            )
            for item in self._drive(send).recipients:
                self._note(f"{item.recipient}: {item.reply} ({item.outcome.value})")
        self._drive(quit(self._client))

    def _drive(self, operation: Operation[R]) -> R:
        """An adapter's whole work, with the network left out."""
        try:
            while True:
                need = next(operation)
                if octets := self._client.data_to_send():
                    self._server.receive_data(octets)
                server_need = self._pull_server()
                if octets := self._server.data_to_send():
                    self._client.receive_data(octets)
                if need is Need.TLS and server_need is Need.TLS:
                    self._note("here the TLS handshake takes place; it is simulated")
                    self._client.tls_started(SIMULATED_TLS)
                    self._server.tls_started(SIMULATED_TLS)
        except StopIteration as stop:
            result: R = stop.value
            return result

    def _pull_server(self) -> Need:
        while not isinstance(item := self._server.next_event(), Need):
            self._answer(item)
        return item

    def _answer(self, event: ServerEvent) -> None:
        """The server's application."""
        match event:
            case Rcpt(address) if address.local_part == "nobody":
                self._server.reply(Reply(550, "No such user here", "5.1.1"))
            case SecretRequest():
                self._server.supply(PlainPassword("wonderland"))
            case Request():
                self._server.reply()

    # -- the transcript

    def _client_trace(self, direction: Literal["sent", "received"], octets: bytes) -> None:
        if direction == "sent":
            for line in octets.removesuffix(b"\r\n").split(b"\r\n"):
                verb = line.partition(b" ")[0].decode("ascii", "replace").upper()
                self._command = verb if verb in MEANINGS else self._command
                ended = "the end of the data" if line == b"." else ""
                _print("C", line, MEANINGS.get(verb, ended))

    def _server_trace(self, direction: Literal["sent", "received"], octets: bytes) -> None:
        if direction == "sent":
            first, *rest = octets.removesuffix(b"\r\n").split(b"\r\n")
            _print("S", first, _meaning(first))
            for line in rest:
                keyword = line[4:].partition(b" ")[0].decode("ascii", "replace")
                entry = REGISTRY.by_keyword.get(keyword)
                _print("S", line, "" if entry is None else f"{entry.summary} ({entry.rfc})")

    def _note(self, text: str) -> None:
        show(f"   -- {printable(text)}")


def _print(side: str, line: bytes, meaning: str) -> None:
    text = f"{side}: {printable(line)}"
    if meaning and len(text) > _WIDTH:
        text = f"{text[: _WIDTH - 1]}…"
    show(f"{text:{_WIDTH}}  {meaning}".rstrip())


def _meaning(line: bytes) -> str:
    """What a reply says by its codes."""
    code = int(line[:3])
    text = line[4:].decode("ascii", "replace")
    status, _, _ = text.partition(" ")
    basic = BASIC_CODES.get(code)
    if code < 400 and basic is not None:
        return basic.meaning
    with suppress(ValueError):
        return describe(Reply(code, text, status))
    return describe(Reply(code, text))
