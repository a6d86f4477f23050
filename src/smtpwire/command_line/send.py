"""``send``: hand a message to a server, and tell what became of each recipient."""

from __future__ import annotations

import argparse
import os
import re
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from email.parser import HeaderParser
from pathlib import Path
from socket import EAI_AGAIN, gaierror, gethostname
from typing import Final, TypeVar

from smtpwire.adapters.blocking import Client, connect
from smtpwire.adapters.session import why
from smtpwire.adapters.tls import TlsConfig
from smtpwire.command_line.arguments import (
    Parser,
    Subcommands,
    host,
    mailbox,
    port,
    seconds,
    trusting,
)
from smtpwire.command_line.output import (
    TEMPORARY,
    UNAVAILABLE,
    Failure,
    printable,
    show,
    silence,
)
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.security import Security
from smtpwire.engine.timeouts import Timeouts
from smtpwire.operations import (
    Chunk,
    ConnectionLost,
    HandingIn,
    Operation,
    SendResult,
    SessionError,
    TlsFailed,
    UnsendableError,
    send_mail,
)
from smtpwire.operations.email_message import address_specs
from smtpwire.sasl import MECHANISMS, ChoicePolicy, Password
from smtpwire.wire.address import Address, parse_domain
from smtpwire.wire.body import LineNormaliser
from smtpwire.wire.status import Disposition

__all__ = ["add_to", "run"]

R = TypeVar("R")

LARGE: Final = 256 * 1024
"""Octets from which on progress is shown."""
TIMEOUT: Final = 30.0
"""Seconds for connecting, where nothing else is said."""

_OUTCOME: Final = """\
Exit code: 0 all accepted; 69 somebody, or everything, refused for good; 75 refused for now, or not
known: try again later; 64 wrong arguments, or a message without a sender."""
_MBOX_LINE: Final = re.compile(rb"From [^\n]*\n")
# RFC 5322 §3.6.3: nobody is to see the blind copies; §4.5.3 lets blanks stand before the colon.
_BCC: Final = re.compile(rb"(?im)^(?:resent-)?bcc[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")


def add_to(commands: Subcommands) -> Parser:
    """Declare the command."""
    text = "send a message, and print each recipient's reply"
    parser = commands.add_parser("send", help=text, description=text, epilog=_OUTCOME)
    parser.add_argument(
        "--to", action="append", required=True, type=mailbox, metavar="ADDRESS", help="may repeat"
    )
    parser.add_argument(
        "--from",
        dest="sender",
        type=_sender,
        metavar="ADDRESS",
        help='else the header\'s From; "" is the null sender',
    )
    parser.add_argument("--host", type=host, default="localhost")
    parser.add_argument("--port", type=port, help="else 25; with --user 587, with implicit TLS 465")
    parser.add_argument(
        "--security",
        choices=[security.value for security in Security],
        help="TLS: none, if offered (default), required (default with --user), "
        "from the first octet (default at port 465)",
    )
    parser.add_argument("--cafile", metavar="FILE", help="trust these authorities, PEM")
    parser.add_argument("--user", metavar="NAME", help="authenticate; needs --password-env")
    parser.add_argument("--password-env", metavar="VAR", help="the variable with the password")
    parser.add_argument(
        "--mechanism",
        action="append",
        type=str.upper,
        choices=MECHANISMS,
        metavar="NAME",
        help="the SASL mechanism; may repeat; else the strongest that is safe",
    )
    parser.add_argument(
        "--no-smtputf8",
        dest="smtputf8",
        action="store_const",
        const=False,
        help="do not ask for SMTPUTF8 because of the header alone",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="how long to wait for the server, each time; else as RFC 5321 has it",
    )
    parser.add_argument("file", metavar="FILE.eml", help="the message; - is standard input")
    return parser


def run(options: argparse.Namespace) -> int:
    """Send it."""
    credentials = _credentials(options.user, options.password_env)
    content = _content(options.file)
    sender = _header_sender(content) if options.sender is None else options.sender or None
    security = _security(options)
    number = options.port or _port(options, security)
    where = f"{options.host}:{number}"
    config = ClientConfig(_own_name(), security=security, timeouts=_timeouts(options.timeout))
    tls = _tls(options.cafile, security)
    if options.mechanism and credentials is None:
        raise Failure("--mechanism needs --user")
    policy = ChoicePolicy(mechanisms=tuple(options.mechanism or ()))
    try:
        client = connect(options.host, number, config, tls=tls, timeout=options.timeout or TIMEOUT)
    except SessionError as error:
        raise Failure(f"{where}: {error}", _code(error)) from error
    except OSError as error:
        raise Failure(f"cannot connect to {where}: {_reason(error)}", _code(error)) from error
    except ValueError as error:
        raise Failure(f"{options.host!r} is no host: {error}") from error
    try:
        with client:
            client.open_session(credentials, policy=policy)
            sending = send_mail(client.conn, sender, options.to, content, smtputf8=options.smtputf8)
            result = client.run(_watched(sending, _progress(client, len(content))))
    except (SessionError, UnsendableError, LocalProtocolError, OSError, ValueError) as error:
        raise Failure(f"{where}: {error}", _code(error)) from error
    return _report(result)


# -- what was passed


def _sender(text: str) -> Address | str:
    return "" if text in ("", "<>") else mailbox(text)


def _credentials(user: str | None, variable: str | None) -> Password | None:
    if user is None and variable is None:
        return None
    if user is None or variable is None:
        raise Failure("--user and --password-env go together")
    password = os.environ.get(variable)
    if not password:
        raise Failure(f"there is no password in the environment variable {variable}")
    if "\udc80" <= max(user + password) <= "\udcff":  # octets that the locale does not have
        raise Failure("the user's name or the password is not in the encoding of the locale")
    return Password(user, password)


def _security(options: argparse.Namespace) -> Security:
    if options.security is not None:
        return Security(options.security)
    if options.port == 465:  # RFC 8314 §3.3
        return Security.IMPLICIT
    return Security.OPPORTUNISTIC if options.user is None else Security.STARTTLS


def _port(options: argparse.Namespace, security: Security) -> int:
    if security is Security.IMPLICIT:
        return 465
    return 25 if options.user is None else 587


def _timeouts(seconds: float | None) -> Timeouts:
    if seconds is None:
        return Timeouts()
    return Timeouts.all(seconds)


def _tls(authorities: str | None, security: Security) -> TlsConfig | None:
    if authorities is None:
        return None
    if security in (Security.NONE, Security.OPPORTUNISTIC):
        raise Failure(f"--cafile: with --security {security.value} no certificate is looked at")
    return TlsConfig(trusting(authorities))


def _own_name() -> str:
    """This host's, where that can stand in EHLO; else ``connect()`` finds one."""
    name = gethostname()
    return name if parse_domain(name.encode("ascii", "replace")) else ""


# -- the message


def _content(file: str) -> bytes:
    """The message in CRLF lines, without what only the sender is to see."""
    try:
        octets = _standard_input() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read {file}: {_reason(error)}") from error
    if not octets:
        raise Failure(f"{'standard input' if file == '-' else file} is empty: there is no message")
    content = LineNormaliser().normalise(octets)
    if found := _MBOX_LINE.match(content):
        content = content[found.end() :]
    header, body = _divided(content)
    return _BCC.sub(b"", header) + body


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer.read()


def _divided(content: bytes) -> tuple[bytes, bytes]:
    """The header, its lines with CRLF; and the rest with the empty line before it."""
    if content.startswith(b"\r\n"):
        return b"", content
    end = content.find(b"\r\n\r\n") + 2
    return (content[:end], content[end:]) if end > 1 else (content, b"")


def _header_sender(content: bytes) -> Address:
    """The header's From, or Sender where From has several (RFC 5322 §3.6.2)."""
    header, _ = _divided(content)
    try:
        fields = HeaderParser().parsestr(header.decode())
    except UnicodeDecodeError:
        raise Failure(
            "the header is not UTF-8, so that its From cannot be read: pass --from"
        ) from None
    for name in ("From", "Sender"):
        try:
            found = [
                spec for field in fields.get_all(name, []) for spec in address_specs(name, field)
            ]
            if len(found) == 1:
                return Address.parse(found[0])
        except ValueError as error:  # UnsendableError is one
            raise Failure(f"the header's {name} has no address: {error}; pass --from") from None
    raise Failure("the header's From does not name one sender: pass --from")


# -- what became of it


def _code(error: Exception) -> int:
    """Refused for good is what the server, or its lack of something, says once and for all."""
    reply = error.reply if isinstance(error, SessionError) else None
    if reply is not None and not isinstance(error, ConnectionLost):
        return UNAVAILABLE if reply.is_permanent else TEMPORARY
    if isinstance(error, gaierror):
        return TEMPORARY if error.errno == EAI_AGAIN else UNAVAILABLE
    return TEMPORARY if isinstance(error, ConnectionLost | TlsFailed | OSError) else UNAVAILABLE


def _reason(error: Exception) -> str:
    if isinstance(error, gaierror) and error.errno != EAI_AGAIN:
        return "there is no such host"
    if isinstance(error, ssl.SSLError):
        return why(error)
    return getattr(error, "strerror", None) or why(error)


def _watched(operation: Operation[R], look: Callable[[], None]) -> Operation[R]:
    """The same operation, looked at whenever it waits."""
    handed: Chunk | HandingIn | None = None
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
    if size < LARGE or sys.stderr is None or not sys.stderr.isatty():
        return lambda: None
    before = client.conn.stats.octets_sent

    def look() -> None:
        sent = min(client.conn.stats.octets_sent - before, size)
        end = "\n" if sent == size else ""
        with suppress(OSError):
            print(
                f"\r{sent * 100 // size:3} % of {size} octets", end=end, file=sys.stderr, flush=True
            )

    return look


def _report(result: SendResult) -> int:
    """The exit code tells what became of the message, also where nobody reads the lines."""
    try:
        for item in result.recipients:
            said = str(item.reply) if item.reply is not None else item.reason or "no reply"
            show(printable(f"{item.recipient}: {said} ({item.outcome.value})"))
    except OSError:
        silence()
    outcomes = {item.outcome for item in result.recipients}
    if Disposition.PERMANENT in outcomes:
        return UNAVAILABLE
    return TEMPORARY if outcomes - {Disposition.DONE} else 0
