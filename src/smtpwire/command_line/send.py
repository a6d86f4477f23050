"""``send``: hand a message to a server, and tell what became of each recipient."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from pathlib import Path
from socket import gaierror, gethostname
from typing import Final, TypeAlias, TypeVar

from smtpwire.adapters.blocking import Client, connect
from smtpwire.command_line.output import Failure, printable
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.security import Security
from smtpwire.operations import Operation, SendResult, SessionError, UnsendableError, send_mail
from smtpwire.sasl import Password
from smtpwire.wire.address import parse_domain

__all__ = ["add_to"]

R = TypeVar("R")
Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

LARGE: Final = 256 * 1024
"""Octets from which on progress is shown."""
TIMEOUT: Final = 30.0


def add_to(commands: Subcommands) -> None:
    """Declare the command."""
    text = "send a message, and print each recipient's reply"
    outcome = "Exit code: 0 all accepted, 1 some refused, 2 none accepted."
    parser = commands.add_parser("send", help=text, description=text, epilog=outcome)
    parser.add_argument(
        "--to", action="append", required=True, metavar="ADDRESS", help="may repeat"
    )
    parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="else the header's From")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, help="else 25, with --security implicit 465")
    parser.add_argument(
        "--security",
        choices=[security.value for security in Security],
        default=Security.OPPORTUNISTIC.value,
        help="TLS: none, if offered (default), required, or from the first octet",
    )
    parser.add_argument("--user", metavar="NAME", help="authenticate; needs --password-env")
    parser.add_argument("--password-env", metavar="VAR", help="the variable with the password")
    parser.add_argument("file", metavar="FILE.eml", help="the message; - is standard input")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Send it."""
    credentials = _credentials(options.user, options.password_env)
    content = _content(options.file)
    sender = _sender(content) if options.sender is None else options.sender
    security = Security(options.security)
    port = options.port or (465 if security is Security.IMPLICIT else 25)
    try:
        client = connect(
            options.host, port, ClientConfig(_own_name(), security=security), timeout=TIMEOUT
        )
    except SessionError as error:
        raise Failure(f"{options.host}:{port}: {error}") from error
    except (OSError, UnicodeError) as error:
        raise Failure(f"cannot connect to {options.host}:{port}: {_reason(error)}") from error
    try:
        with client:
            client.open_session(credentials)
            result = client.run(
                _watched(
                    send_mail(client.conn, sender, options.to, content),
                    _progress(client, len(content)),
                )
            )
    except (SessionError, UnsendableError, ValueError) as error:
        raise Failure(str(error)) from error
    return _report(result)


def _credentials(user: str | None, variable: str | None) -> Password | None:
    if user is None and variable is None:
        return None
    if user is None or variable is None:
        raise Failure("--user and --password-env go together")
    password = os.environ.get(variable)
    if not password:
        raise Failure(f"there is no password in the environment variable {variable}")
    return Password(user, password)


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}") from error


def _sender(content: bytes) -> str:
    """The header's From; the null reverse-path where there is none."""
    header, _, _ = content[:LARGE].partition(b"\n\n")
    return parseaddr(str(BytesHeaderParser().parsebytes(header).get("From", "")))[1]


def _own_name() -> str:
    name = gethostname()
    return name if parse_domain(name.encode("ascii", "replace")) else "[127.0.0.1]"


def _reason(error: Exception) -> str:
    if isinstance(error, gaierror):
        return "there is no such host"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _watched(operation: Operation[R], look: Callable[[], None]) -> Operation[R]:
    """The same operation, looked at whenever it waits."""
    handed: bytes | None = None
    while True:
        try:
            need = operation.send(handed)
        except StopIteration as stop:
            look()
            result: R = stop.value
            return result
        look()
        handed = yield need


def _progress(client: Client, size: int) -> Callable[[], None]:
    """Shows how much has left, on a terminal and for what takes a while."""
    if size < LARGE or not sys.stderr.isatty():
        return lambda: None
    before = client.conn.stats.octets_sent

    def look() -> None:
        sent = min(client.conn.stats.octets_sent - before, size)
        end = "\n" if sent == size else ""
        print(f"\r{sent * 100 // size:3} % of {size} octets", end=end, file=sys.stderr, flush=True)

    return look


def _report(result: SendResult) -> int:
    for item in result.recipients:
        reply = "no reply" if item.reply is None else str(item.reply)
        print(printable(f"{item.recipient}: {reply} ({item.outcome.value})"))
    if not result.accepted:
        return 2
    return 1 if result.refused else 0
