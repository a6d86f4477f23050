"""``serve``: a server for debugging that prints what is said, or delivers into a Maildir."""

from __future__ import annotations

import argparse
import asyncio
import mailbox
import secrets
import signal
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from socket import AI_PASSIVE, SOCK_STREAM, getaddrinfo
from tempfile import TemporaryFile
from typing import Final, Literal, final

from smtpwire.adapters.asyncio import start_server
from smtpwire.adapters.session import Handler, Session, why
from smtpwire.adapters.tls import TlsConfig
from smtpwire.command_line.arguments import Parser, Subcommands, directory, host, port
from smtpwire.command_line.output import UNAVAILABLE, Failure, printable, show
from smtpwire.engine.events import BodyChunk, EndOfMessage, MessageAborted, ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import (
    FUTURERELEASE,
    LIMITS,
    REGISTRY,
    AnyExtension,
    Offered,
    Profile,
    parameters,
)
from smtpwire.extensions.future_release import FutureRelease
from smtpwire.extensions.limits import ServerLimits
from smtpwire.sasl import FAMILIES, Password, PasswordLogin, PlainPassword, SecretRequest
from smtpwire.transcript import Item, Note, said, visible, write
from smtpwire.wire.command import Data, Rcpt
from smtpwire.wire.received import received_header, with_protocol
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

__all__ = ["add_to", "run"]

HOST: Final = "localhost"
GRACE: Final = 10.0
""" Seconds that open sessions have after Ctrl-C."""

_PROFILES: Final[dict[str, Callable[[str], ServerConfig]]] = {
    "relay": ServerConfig.relay,
    "submission": ServerConfig.submission,
    "submissions": ServerConfig.submissions,
    "lmtp": ServerConfig.lmtp,
}
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
# These follow from other fields of the configuration.
_BY_OTHER_FIELDS: Final = ("STARTTLS", "AUTH", "SIZE")


def add_to(commands: Subcommands) -> Parser:
    """Declare the command."""
    text = "a debugging server: print dialogue and message, or deliver into a Maildir"
    parser = commands.add_parser("serve", help=text, description=text)
    parser.add_argument(
        "--host", type=host, default="127.0.0.1", help="where to listen; else 127.0.0.1"
    )
    parser.add_argument("--port", type=port, default=8025, help="else 8025; 0 takes a free one")
    parser.add_argument(
        "--profile", choices=_PROFILES, default="relay", help="the service; else relay"
    )
    parser.add_argument("--cert", metavar="FILE", help="the certificate, PEM: offers TLS")
    parser.add_argument("--key", metavar="FILE", help="its key, if it is not in the same file")
    parser.add_argument(
        "--maildir", type=directory, metavar="DIR", help="deliver here instead of printing"
    )
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="who may log in (for tests only)")
    parser.add_argument(
        "--cleartext",
        action="store_true",
        help="let the password come in clear text beyond this machine, too",
    )
    parser.add_argument(
        "--all-extensions", action="store_true", help="offer all that the profile may offer"
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    tls = _tls(options.cert, options.key)
    user, colon, password = (options.auth or "").partition(":")
    if options.auth is not None and not (user and colon and password):
        raise Failure("--auth wants USER:PASSWORD")
    cleartext = bool(user) and tls is None
    if cleartext and not options.cleartext and not _is_loopback(options.host, options.port):
        raise Failure(
            f"--auth at {options.host} without --cert: passwords would come in clear text from "
            "other machines; pass --cert, or --cleartext if that is meant"
        )
    config = _config(options.profile, tls is not None, bool(user), options.all_extensions)
    config = replace(config, aliases=(options.host, *_LOOPBACK))
    maildir = _maildir(options.maildir)
    kind = f"{config.profile.value}, passwords in clear text" if cleartext else config.profile.value
    return asyncio.run(_Service(options, config, tls, kind, maildir).run())


def _is_loopback(host: str, port: int) -> bool:
    """Whether all addresses of this name are this machine's own."""
    try:
        found = getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_PASSIVE)
    except (OSError, ValueError) as error:
        raise _cannot_listen(host, port, error) from error
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def _cannot_listen(host: str, port: int, error: Exception) -> Failure:
    reason = getattr(error, "strerror", None) or error
    return Failure(f"cannot listen at {host}:{port}: {reason}", UNAVAILABLE)


@final
class _Service:
    """The listening server, and what its sessions share."""

    def __init__(
        self,
        options: argparse.Namespace,
        config: ServerConfig,
        tls: TlsConfig | None,
        kind: str,
        maildir: mailbox.Maildir | None,
    ) -> None:
        self._host: str = options.host
        self._port: int = options.port
        self.login: str = options.auth or ""
        self.config = config
        self.maildir = maildir
        self._tls = tls
        self._kind = kind
        self._numbers = count(1)
        self._stop = asyncio.Event()
        self._unheard: OSError | None = None

    async def run(self) -> int:
        """Serve until a signal, or until nobody reads what is printed."""
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends it without a drain
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        try:
            server = await start_server(
                self._session, self.config, self._host, self._port, tls=self._tls
            )
        except (OSError, ValueError) as error:
            raise _cannot_listen(self._host, self._port, error) from error
        for sock in server.sockets:
            address, number, *_ = sock.getsockname()
            self.say(f"# listening at {address} port {number} ({self._kind}); Ctrl-C ends")
        await self._stop.wait()
        self.say("# shutting down")
        with suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().remove_signal_handler(number)  # the next one is harder
        await server.shutdown(0 if self._unheard else GRACE)
        if self._unheard is not None:
            raise self._unheard
        return 0

    def _session(self, session: Session) -> Handler:
        return _Printer(self, session, next(self._numbers))

    def say(self, line: str) -> None:
        """Print; where that fails the service ends, and no session does by it."""
        try:
            show(line)
        except OSError as error:
            self._unheard = error
            self._stop.set()


def _tls(cert: str | None, key: str | None) -> TlsConfig | None:
    if cert is None:
        if key is not None:
            raise Failure("--key needs --cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key, _no_passphrase)
    except (OSError, ValueError) as error:
        used = f"{cert} with the key {key}" if key else cert
        hint = "" if key else "; pass --key FILE where its key is in another file"
        raise Failure(f"cannot use the certificate {used}: {why(error)}{hint}") from error
    # Not the certificate itself: -PLUS would be offered for tls-server-end-point alone, and
    # clients bind to what is TLS 1.3's default, tls-exporter (RFC 9266 §3).
    return TlsConfig(context)


def _no_passphrase() -> str:
    """Else OpenSSL asks at the terminal."""
    raise ValueError("its key is locked by a passphrase")


def _maildir(directory: str | None) -> mailbox.Maildir | None:
    if directory is None:
        return None
    try:
        for name in ("tmp", "new", "cur"):  # mailbox makes none of them in a directory that exists
            Path(directory, name).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=Path(directory, "tmp")):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Failure(f"cannot use the Maildir {directory}: {reason}") from error
    return mailbox.Maildir(directory)


def _config(profile: str, tls: bool, auth: bool, all_extensions: bool) -> ServerConfig:
    config = _PROFILES[profile](HOST)
    implicit = config.profile is Profile.SUBMISSIONS
    if implicit and not tls:
        raise Failure("the profile submissions is TLS from the first octet: --cert is needed")
    config = replace(
        config,
        starttls=tls and not implicit,
        require_auth=auth and config.require_auth,
        mechanisms=_WITH_PASSWORDS if auth else (),
        cleartext_without_tls=not tls,  # it is for debugging, and says so
        scram_secret=secrets.token_bytes(32),
    )
    if all_extensions:
        config = replace(config, offer=_everything(config), xclient=_LOOPBACK, xforward=_LOOPBACK)
    return config


_WITH_PASSWORDS: Final = tuple(
    name for name, row in FAMILIES.items() if row.credentials is Password
)


def _everything(config: ServerConfig) -> tuple[AnyExtension | Offered, ...]:
    """All that the profile may offer; two need to be told a bound."""
    bounds = {
        "LIMITS": LIMITS(ServerLimits(rcptmax=config.limits.recipients)),
        "FUTURERELEASE": FUTURERELEASE(FutureRelease(86400, datetime(2099, 1, 1, tzinfo=UTC))),
    }
    return tuple(
        bounds.get(entry.keyword, entry)
        for entry in REGISTRY
        if config.profile in entry.profiles and entry.keyword not in _BY_OTHER_FIELDS
    )


@final
class _Printer:
    """The handler of one connection."""

    def __init__(self, service: _Service, session: Session, number: int) -> None:
        self._service = service
        self._conn = session.conn
        self._number = number
        self._user, _, self._password = service.login.partition(":")
        self._body: list[bytes] = []
        self._conn.trace = self._trace

    def __call__(self, event: ServerEvent) -> None:
        """Answer the questions; print what no line of the dialogue says."""
        match event:
            case BodyChunk(data):
                self._body.append(data)
            case Data() | MessageAborted():
                self._body.clear()
                if isinstance(event, MessageAborted):
                    self._say(Note(f"message aborted: {event.reason.value}"))
                else:
                    self._conn.reply()
            case Rcpt():
                self._conn.reply(Reply(250, "Recipient OK", "2.1.5"))  # whoever: nothing is relayed
            case EndOfMessage():
                self._conn.reply(*self._deliver(event))
            case PasswordLogin(authcid, password):
                good = secrets.compare_digest(
                    (authcid + chr(0) + password).encode(),
                    (self._user + chr(0) + self._password).encode(),
                )
                self._conn.reply(*[Reply(235, "Authenticated", "2.7.0")] * good)
            case SecretRequest(authcid=authcid):
                known = authcid == self._user
                self._conn.supply(PlainPassword(self._password) if known else None)
            case Request():
                self._conn.reply()
            case _:
                pass

    def _deliver(self, message: EndOfMessage) -> tuple[Reply, ...]:
        content = b"".join(self._body)
        self._body.clear()
        maildir = self._service.maildir
        if maildir is None:
            for line in content.removesuffix(b"\r\n").split(b"\r\n"):
                self._say(Note(f"| {visible(printable(line))}".strip()))
            return ()
        try:
            maildir.add(self._header(message) + content)
        except OSError as error:
            self._say(Note(f"cannot deliver: {error.strerror}"))
            return (Reply(452, "Cannot store the message", "4.3.1"),) * self._conn.replies_owed
        return ()

    def _header(self, message: EndOfMessage) -> bytes:
        """What final delivery puts before a message (RFC 5321 §4.4)."""
        conn = self._conn
        config = self._service.config
        envelope = message.envelope
        path = "" if envelope.reverse_path is None else str(envelope.reverse_path)
        hello = conn.hello
        received = received_header(
            from_name=hello.name if hello else "unknown",
            by=config.host,
            protocol=with_protocol(
                lmtp=config.profile is Profile.LMTP,
                extended=hello is not None and hello.verb != "HELO",
                utf8=parameters.SMTPUTF8 in envelope.mail.parameters,
                tls=conn.tls is not None,
                authenticated=conn.identity is not None,
            ),
            timestamp=datetime.now().astimezone(),
            peer_address=conn.peer.address,
            recipients=envelope.forward_paths,
            tls_cipher=conn.tls.cipher if conn.tls else "",
        )
        return f"Return-Path: <{path}>\r\n".encode() + received

    def _trace(self, direction: Literal["sent", "received"], octets: bytes) -> None:
        self._say(*said("S" if direction == "sent" else "C", octets))

    def _say(self, *items: Item) -> None:
        for line in write(items, session=self._number).splitlines():
            self._service.say(line)
