"""``check``: what a server offers, how it does TLS, and what is odd about it. It sends no mail."""

from __future__ import annotations

import argparse
import hashlib
import re
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, Literal

from smtpwire.command_line.advice import advice_on
from smtpwire.command_line.arguments import (
    Parser,
    Subcommands,
    host,
    own_name,
    seconds,
    trusting,
)
from smtpwire.command_line.dialogue import reply_of
from smtpwire.command_line.output import UNAVAILABLE, Failure, json_of, printable, show
from smtpwire.command_line.report import style_of
from smtpwire.extensions import REGISTRY
from smtpwire.sasl import FAMILIES
from smtpwire.sasl.registry import family
from smtpwire.wire.ehlo import EhloResponse, parse_ehlo
from smtpwire.wire.reply import Reply

__all__ = ["add_to", "run"]

_READ: Final = 65536
_LARGEST: Final = 1 << 20
_SUBMISSION: Final = (465, 587)
_FEW: Final = 9
_QUIET: Final = 1.0
"""Seconds after which a server has nothing more to say to a probe."""
_UNKNOWN_VERB: Final = {
    "EHLO": "If it speaks LMTP, pass --lmtp",
    "LHLO": "If it speaks SMTP and no LMTP, leave --lmtp out",
}


def add_to(commands: Subcommands) -> Parser:
    """Declare the command."""
    text = "what a server offers, its TLS, its limits, what is odd; no mail is sent"
    description = f"{text}. Ends with 1 where there is something to warn of."
    parser = commands.add_parser("check", help=text, description=description)
    parser.add_argument("server", metavar="HOST:PORT", help="the server; port 25 if none is given")
    parser.add_argument("--name", type=host, help="the name to verify, if it is not HOST")
    parser.add_argument("--hello", type=own_name, help="the name to say in EHLO")
    parser.add_argument("--cafile", metavar="FILE", help="trust these certificates, PEM")
    parser.add_argument("--implicit", action="store_true", help="TLS from the first octet")
    parser.add_argument("--lmtp", action="store_true", help="speak LMTP")
    parser.add_argument(
        "--timeout", type=seconds, default=30.0, help="seconds for each reply; else 30"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser


@dataclass
class Tls:
    """What is known of TLS."""

    how: Literal["STARTTLS", "implicit", "none"] = "none"
    version: str = ""
    cipher: str = ""
    verified: bool = False
    name: str = ""
    error: str = ""
    names: list[str] = field(default_factory=list)
    issuer: str = ""
    expires: str = ""
    sha256: str = ""


@dataclass
class Report:
    """All that was found."""

    server: str
    greeting: str = ""
    hello: str = ""
    extensions: list[str] = field(default_factory=list)
    extensions_under_tls: list[str] = field(default_factory=list)
    mechanisms: list[str] = field(default_factory=list)
    mechanisms_under_tls: list[str] = field(default_factory=list)
    limits: dict[str, str] = field(default_factory=dict)
    tls: Tls = field(default_factory=Tls)
    clients: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def run(options: argparse.Namespace) -> int:
    """Check it; 1 where there is something to warn of."""
    name, port = _address(options.server)
    where = f"{name}:{port}"
    check = _Check(name, port, options)
    with _progress(f"checking {where}"):
        try:
            report = check.run()
        except TimeoutError as error:
            raise Failure(f"{where} says nothing: {error}{check.hint}", UNAVAILABLE) from error
        except OSError as error:
            reason = error.strerror or error
            raise Failure(f"cannot connect to {where}: {reason}", UNAVAILABLE) from error
    if options.json:
        show(json_of(asdict(report)))
    else:
        _show(report)
    return 1 if report.warnings else 0


def _address(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:\s]+))(?::([0-9]{1,5}))?", text)
    if found is None or int(found[3] or 25) > 65535:
        raise Failure(f"{text!r} is no HOST:PORT; an IPv6 address stands in brackets")
    try:
        return host(found[1] or found[2]), int(found[3] or 25)
    except argparse.ArgumentTypeError as error:
        raise Failure(f"HOST: {error}") from None


@contextmanager
def _progress(text: str) -> Iterator[None]:
    """On a terminal, a line on standard error after a second, that goes away again."""
    done = Event()

    def tell() -> None:
        seconds = 1
        while not done.wait(1):
            sys.stderr.write(f"\r{printable(text)}, {seconds} s …")
            sys.stderr.flush()
            seconds += 1

    if not sys.stderr.isatty():
        yield
        return
    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        sys.stderr.write("\r\x1b[K")


class _Line:
    """A connection, reply by reply, octet-exact: what is odd must not be smoothed over."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self.sock = socket.create_connection((host, port), timeout)
        self.timeout = timeout
        self._held = b""
        self._total = 0
        self.bare_lf = False

    def close(self) -> None:
        self.sock.close()

    def say(self, line: bytes) -> None:
        self.sock.sendall(line + b"\r\n")

    def ask(self, line: bytes) -> Reply:
        self.say(line)
        return self.reply()

    def reply(self) -> Reply:
        """The next reply. Raises OSError where there is none."""
        lines: list[bytes] = []
        end = monotonic() + self.timeout
        while True:
            line = self._line(end)
            lines.append(line)
            if line[3:4] != b"-" or not line[:3].isdigit():  # such as SSH-2.0
                break
        reply = reply_of(lines)
        if reply is None:
            raise ConnectionAbortedError(f"this is no reply: {printable(lines[-1][:60])}")
        return reply

    def _line(self, end: float) -> bytes:
        while b"\n" not in self._held:
            left = end - monotonic()
            if left <= 0:  # octet by octet, too
                raise TimeoutError(f"no reply in {self.timeout:g} s")
            self.sock.settimeout(left)
            octets = self.sock.recv(_READ)
            if not octets:
                raise ConnectionAbortedError("the server closed the connection")
            self._held += octets
            self._total += len(octets)
            if self._total > _LARGEST:
                raise ConnectionAbortedError("the server says too much")
        line, _, self._held = self._held.partition(b"\n")
        if not line.endswith(b"\r"):
            self.bare_lf = True
        return line.removesuffix(b"\r")

    def more_replies(self) -> list[Reply]:
        """What else comes, until it is quiet for a second; a few at most."""
        found: list[Reply] = []
        usual, self.timeout = self.timeout, _QUIET
        with suppress(OSError):
            while len(found) < _FEW:
                found.append(self.reply())
        self.timeout = usual
        return found

    def start_tls(self, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
        if self._held:
            raise ConnectionAbortedError("the server sent plaintext behind its 220 to STARTTLS")
        wrapped = context.wrap_socket(self.sock, server_hostname=name)
        self.sock = wrapped
        return wrapped


class _Check:
    """Connects a few times: in clear text, with TLS verified and not, and for the probes."""

    def __init__(self, host: str, port: int, options: argparse.Namespace) -> None:
        self._host, self._port = host, port
        self._timeout: float = options.timeout
        self._name: str = options.name or host
        self._implicit: bool = options.implicit or port == 465
        self._lmtp: bool = options.lmtp
        self._cafile: str | None = options.cafile
        if self._cafile is not None:
            trusting(self._cafile)  # raises before anything is said
        hello = options.hello or socket.getfqdn()
        self._verb = "LHLO" if self._lmtp else "EHLO"
        self._hello = f"{self._verb} {hello}".encode("ascii", "replace")
        self._report = Report(f"{host}:{port}")

    def run(self) -> Report:
        """All of it."""
        report = self._report
        if self._implicit:
            report.tls.how = "implicit"
            self._under_tls(None)
        else:
            self._in_clear_text()
        with suppress(OSError):
            self._probe()
        self._judge()
        return report

    @property
    def hint(self) -> str:
        """What to try where the server waits for the client to speak first."""
        return "" if self._implicit else "; if it begins with TLS, pass --implicit"

    def _connect(self) -> _Line:
        return _Line(self._host, self._port, self._timeout)

    def _warn(self, text: str) -> None:
        if text not in self._report.warnings:
            self._report.warnings.append(text)

    def _greet(self, line: _Line) -> EhloResponse | None:
        """Greeting and EHLO; None where there is no service."""
        reply = line.reply()
        self._report.greeting = self._report.greeting or str(reply)
        if not reply.is_positive:
            self._warn(f"the greeting refuses service: {reply}. {advice_on(reply)}")
            return None
        if reply.code != 220:
            self._warn(f"the greeting is {reply.code} and not 220 (RFC 5321 §4.3.1)")
        return self._say_hello(line)

    def _say_hello(self, line: _Line) -> EhloResponse | None:
        reply = line.ask(self._hello)
        if not reply.is_positive:
            unknown = reply.code in (500, 502)
            why = f"{_UNKNOWN_VERB[self._verb]}." if unknown else advice_on(reply)
            self._warn(f"{self._verb} is refused: {reply}. {why}")
            return None
        try:
            return parse_ehlo(reply)
        except ValueError as error:
            self._warn(f"the reply to EHLO cannot be read: {error} (RFC 5321 §4.1.1.1)")
            return None

    # -- in clear text, and then under TLS

    def _in_clear_text(self) -> None:
        line = self._connect()
        try:
            offer = self._greet(line)
            if offer is None:
                return
            report = self._report
            report.hello = offer.domain
            report.extensions = _lines(offer)
            report.mechanisms = _mechanisms(offer)
            if "STARTTLS" in {each.keyword for each in offer.keywords}:
                report.tls.how = "STARTTLS"
                self._under_tls(line)
        finally:
            line.close()
            if line.bare_lf:
                self._warn("the server ends lines with LF alone (RFC 5321 §2.3.8)")

    def _under_tls(self, line: _Line | None) -> None:
        """Verified; where that fails, on a new connection, not verified."""
        report = self._report
        for verify in (True, False):
            line = line or self._begin()
            try:
                self._shake_hands(line, verify)
                offer = self._greet(line) if self._implicit else self._say_hello(line)
                if offer is not None:
                    report.extensions_under_tls = _lines(offer)
                    report.mechanisms_under_tls = _mechanisms(offer)
                with suppress(OSError):
                    line.ask(b"QUIT")
                return
            except ssl.SSLCertVerificationError as error:
                report.tls.error = error.verify_message or str(error)
            except ssl.SSLError as error:
                report.tls.error = error.reason or str(error)
                if self._implicit and error.reason == "WRONG_VERSION_NUMBER":
                    report.tls.error += ": the server does not begin with TLS"
                return
            except OSError as error:
                report.tls.error = str(error)
                return
            finally:
                line.close()
            line = None

    def _begin(self) -> _Line:
        line = self._connect()
        if not self._implicit:
            self._greet(line)
        return line

    def _shake_hands(self, line: _Line, verify: bool) -> None:
        if not self._implicit:
            reply = line.ask(b"STARTTLS")
            if not reply.is_positive:
                raise ConnectionAbortedError(f"STARTTLS is refused: {reply}")
        context = trusting(self._cafile)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        wrapped = line.start_tls(context, self._name)
        self._note_tls(wrapped, verify)

    def _note_tls(self, tls: ssl.SSLSocket, verified: bool) -> None:
        found = self._report.tls
        cipher = tls.cipher()
        found.version = tls.version() or ""
        found.cipher = cipher[0] if cipher else ""
        found.verified = verified
        found.name = self._name
        der = tls.getpeercert(binary_form=True) or b""
        found.sha256 = hashlib.sha256(der).hexdigest()
        certificate: dict[str, Any] = tls.getpeercert() or {}
        found.names = [str(name) for _, name in certificate.get("subjectAltName", ())]
        issuer = {key: text for part in certificate.get("issuer", ()) for key, text in part}
        found.issuer = issuer.get("commonName") or issuer.get("organizationName", "")
        found.expires = str(certificate.get("notAfter", ""))

    # -- probes that send no mail

    def _probe(self) -> None:
        if self._implicit:
            return  # a probe that is cut at octets is no easier to see under TLS
        for probe in (self._probe_commands, self._probe_line_ends):
            line = self._connect()
            try:
                if self._greet(line) is not None:
                    probe(line)
                    with suppress(OSError):
                        line.say(b"QUIT")
            finally:
                line.close()

    def _probe_commands(self, line: _Line) -> None:
        unknown = line.ask(b"XSMTPWIRE")
        if unknown.code not in (500, 502):
            self._warn(f"an unknown command is answered {unknown} (RFC 5321 §4.2.4: 500)")
        noop = line.ask(b"NOOP")
        if noop.code != 250:
            self._warn(f"NOOP is answered {noop} (RFC 5321 §4.1.1.9: 250)")
        data = line.ask(b"DATA")
        if data.is_intermediate:
            self._warn("DATA without MAIL and RCPT is accepted (RFC 5321 §4.1.1.4: 503)")
            line.close()

    def _probe_line_ends(self, line: _Line) -> None:
        """Two NOOPs with LF alone between them: who sees two takes LF for a line end."""
        for octets, what in ((b"NOOP\nNOOP\r\n", "LF"), (b"NOOP\rNOOP\r\n", "CR")):
            line.sock.sendall(octets)
            first = line.reply()
            replies = [first, *line.more_replies()]
            if len(replies) > 1 and replies[0].is_positive and replies[1].is_positive:
                self._warn(
                    f"{what} alone ends a command: prone to SMTP smuggling, if it does so in"
                    " messages, too (RFC 5321 §2.3.8)"
                )

    # -- what it means

    def _judge(self) -> None:
        report, tls = self._report, self._report.tls
        keywords = {text.partition(" ")[0] for text in report.extensions}
        secure = {text.partition(" ")[0] for text in report.extensions_under_tls}
        if tls.how != "none" and not tls.version:
            self._warn(f"TLS does not come about: {tls.error}")
        if not report.extensions and not report.extensions_under_tls:
            return
        if tls.how == "none" and not self._lmtp:
            self._warn("STARTTLS is not offered: everything goes in clear text (RFC 3207)")
        if tls.version and tls.how != "none" and not tls.verified:
            self._warn(f"the certificate does not verify for {tls.name}: {tls.error}")
        if tls.version in ("TLSv1", "TLSv1.1", "SSLv3"):
            self._warn(f"{tls.version} is deprecated (RFC 8996)")
        clear = [name for name in report.mechanisms if family(name).cleartext]
        if clear and tls.how != "implicit":
            self._warn(f"{', '.join(clear)} without TLS: passwords in clear text (RFC 4954 §4)")
        if "STARTTLS" in secure:
            self._warn("STARTTLS is offered under TLS (RFC 3207 §4.2)")
        if lost := sorted(keywords - secure - {"STARTTLS", "AUTH"}) if secure else []:
            self._warn(f"offered without TLS and not under it: {', '.join(lost)}")
        for text in report.extensions_under_tls or report.extensions:
            keyword, _, parameters = text.partition(" ")
            if keyword in ("SIZE", "LIMITS") and parameters:
                report.limits[keyword] = parameters
        self._clients(keywords, secure)

    def _clients(self, keywords: set[str], secure: set[str]) -> None:
        report, tls = self._report, self._report.tls
        best = report.mechanisms_under_tls or report.mechanisms
        login = next((name for name in FAMILIES if name in best), "")
        chunks = "BDAT" if "CHUNKING" in (secure or keywords) else "DATA"
        group = "in one flight" if "PIPELINING" in (secure or keywords) else "command by command"
        if not best:
            submission = "cannot log in: no AUTH is offered"
        elif tls.how == "none":
            submission = f"would log in by {_first_safe(best) or 'nothing'}: there is no TLS"
        elif not tls.verified:
            submission = "would stop: TLS does not verify, and no password is sent without"
        else:
            submission = (
                f"would log in by {login} under {tls.version}, and send by {chunks}, {group}"
            )
        kind = "LMTP client" if self._lmtp else "relay"
        how = "in clear text" if not tls.version else f"under {tls.version}"
        if tls.version and not tls.verified:
            how += ", not verified (opportunistic)"
        report.clients = {
            "submission client": submission,
            kind: f"would send {how} by {chunks}, {group}",
        }


def _first_safe(names: list[str]) -> str:
    return next((name for name in names if name.startswith("SCRAM")), "")


def _lines(offer: EhloResponse) -> list[str]:
    return [each.line for each in offer.keywords]


def _mechanisms(offer: EhloResponse) -> list[str]:
    found: list[str] = []
    for each in offer.keywords:
        if each.keyword == "AUTH":
            found += [name for name in each.parameters.upper().split() if name not in found]
    return found


# -- on the screen


def _show(report: Report) -> None:
    style = style_of()

    def title(text: str) -> None:
        show("\n" + style("bold", text))

    show(style("bold", report.server))
    show(f"  greeting  {printable(report.greeting)}")
    both = list(dict.fromkeys((*report.extensions, *report.extensions_under_tls)))
    title("Extensions")
    width = min(max((len(text) for text in both), default=0), 32)
    for text in both:
        where = _where(report, text)
        entry = REGISTRY.by_keyword.get(text.partition(" ")[0])
        meaning = "" if entry is None else f"{entry.summary} ({entry.rfc})"
        show(f"  {printable(text):{width}}  {style('dim', meaning)}{where}".rstrip())
    _show_tls(report.tls, style, title)
    title("Logins")
    show(f"  without TLS  {' '.join(report.mechanisms) or 'none'}")
    if report.tls.how != "none":
        show(f"  under TLS    {' '.join(report.mechanisms_under_tls) or 'none'}")
    if report.limits:
        title("Limits")
        for name, text in report.limits.items():
            show(f"  {name:9} {printable(text)}")
    title("What a client would do here")
    for who, what in report.clients.items():
        show(f"  {who:17} {what}")
    title("Warnings")
    for text in report.warnings:
        show(style("wait", f"  ! {printable(text)}"))
    if not report.warnings:
        show(style("good", "  none"))


def _where(report: Report, text: str) -> str:
    if report.tls.how != "STARTTLS" or not report.extensions_under_tls:
        return ""
    if text not in report.extensions:
        return "  [under TLS]"
    return "" if text in report.extensions_under_tls else "  [without TLS]"


def _show_tls(tls: Tls, style: Callable[[str, str], str], title: Callable[[str], None]) -> None:
    title("TLS")
    if tls.how == "none":
        show("  not offered")
        return
    show(f"  {tls.how}: {tls.version or tls.error} {tls.cipher}".rstrip())
    if not tls.version:
        return
    state = "verified" if tls.verified else f"not verified: {tls.error}"
    show(style("good" if tls.verified else "wait", f"  certificate for {tls.name}: {state}"))
    for name, text in (
        ("names", ", ".join(tls.names)),
        ("issuer", tls.issuer),
        ("expires", tls.expires),
        ("SHA-256", tls.sha256),
    ):
        if text:
            show(f"  {name:8} {printable(text)}")
