"""Client peers: one function runs any of them against a server of ours."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.interop.peers.certificates import Authority
from tests.interop.peers.process import DATA
from tests.interop.peers.requirements import PEERS, find, require
from tests.interop.peers.server import PASSWORD

Tls = Literal["none", "starttls", "implicit"]
Protocol = Literal["smtp", "lmtp"]

MESSAGE = (
    b"From: a@client.test\r\nTo: x@example.test\r\nSubject: interop\r\n"
    b"Message-ID: <1@client.test>\r\nDate: Wed, 25 Nov 2026 00:00:00 +0000\r\n"
    b"\r\nhello\r\n.leading dot\r\n..two dots\r\n.\r\nafter lone dot\r\n"
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a client is to do."""

    host: str
    port: int
    authority: Authority
    tls: Tls = "none"
    auth: str = ""
    """SASL mechanism; empty: none."""
    user: str = "user"
    password: str = PASSWORD
    token: str = "token"
    sender: str = "a@client.test"
    recipients: tuple[str, ...] = ("x@example.test",)
    message: bytes = field(default=MESSAGE, repr=False)
    protocol: Protocol = "smtp"
    switches: tuple[str, ...] = ()
    """More arguments of the client's own, see EXTRAS."""

    def as_json(self) -> bytes:
        """For our scripts around libraries."""
        names = "host port tls auth user password token sender recipients protocol switches"
        order = {name: getattr(self, name) for name in names.split()}
        order["ca"] = str(self.authority.ca)
        order["message"] = base64.b64encode(self.message).decode()
        return json.dumps(order).encode()

    @property
    def subject(self) -> str:
        """The message's subject, for clients which compose their own message."""
        head = self.message.partition(b"\r\nSubject: ")[2]
        return head.partition(b"\r\n")[0].decode()

    @property
    def lines(self) -> bytes:
        """The message with LF line ends, as Unix commands take it."""
        return self.message.replace(b"\r\n", b"\n")


@dataclass(frozen=True)
class Command:
    """How to run a client."""

    arguments: Sequence[str]
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """A client peer and what it can do."""

    command: Callable[[Order, Path], Command]
    tls: tuple[Tls, ...]
    mechanisms: tuple[str, ...] = ()
    lmtp: bool = False
    sends: bool = True
    """False: it speaks SMTP but sends no message."""
    exact: bool = True
    """Whether it sends our message as it is, not one of its own making."""


def run(client: str, order: Order, *, seconds: float = 20) -> subprocess.CompletedProcess[bytes]:
    """Run a client peer to its end; ``stdout`` has all it said, ``returncode`` how it went.

    A client which does not end in time is killed; its return code is then -9.
    """
    require(client)
    with tempfile.TemporaryDirectory(prefix=f"peer-{client}-") as directory:
        command = CLIENTS[client].command(order, Path(directory))
        arguments = list(command.arguments)
        arguments[0] = find(arguments[0]) or arguments[0]
        environment = {**os.environ, "HOME": directory, "LC_ALL": "C.UTF-8", **command.environment}
        process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with process:
            try:
                output, _ = process.communicate(command.stdin, seconds)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, output)


# One function a client. Quirks stand where they were met.


def _curl(order: Order, directory: Path) -> Command:
    (directory / "message").write_bytes(order.message)
    scheme = "smtps" if order.tls == "implicit" else "smtp"
    arguments = ["curl", "-sS", "-v", "--max-time", "15", "--cacert", str(order.authority.ca)]
    arguments += ["--mail-from", order.sender]
    for recipient in order.recipients:
        arguments += ["--mail-rcpt", recipient]
    if order.tls == "starttls":
        arguments += ["--ssl-reqd"]
    if order.auth:
        password = "" if order.auth in _PASSWORDLESS else order.password
        arguments += ["--user", f"{order.user}:{password}", "--login-options", f"AUTH={order.auth}"]
    if order.auth in _TOKENS:
        arguments += ["--oauth2-bearer", order.token]
    if order.auth == "EXTERNAL":
        arguments += ["--cert", str(order.authority.client_certificate)]
        arguments += ["--key", str(order.authority.client_key)]
    if not {"-X", "--no-upload"} & set(order.switches):
        arguments += ["-T", "message"]
    arguments += [switch for switch in order.switches if switch != "--no-upload"]
    return Command([*arguments, f"{scheme}://{order.host}:{order.port}/client.test"])


_TOKENS = ("OAUTHBEARER", "XOAUTH2")
_PASSWORDLESS = (*_TOKENS, "EXTERNAL")


def _swaks(order: Order, directory: Path) -> Command:
    # It ends the data by CRLF.CRLF whether or not there is a line end.
    (directory / "message").write_bytes(order.lines.removesuffix(b"\n"))
    arguments = [
        "swaks",
        "--server",
        order.host,
        "--port",
        str(order.port),
        "--helo",
        "client.test",
    ]
    arguments += ["--from", order.sender, "--to", ",".join(order.recipients), "--timeout", "10"]
    arguments += ["--data", "@message"]
    if order.tls != "none":
        arguments += ["--tls" if order.tls == "starttls" else "--tls-on-connect"]
        arguments += ["--tls-verify", "--tls-ca-path", str(order.authority.ca)]
    if order.auth:
        arguments += ["--auth", order.auth, "--auth-user", order.user]
        arguments += ["--auth-password", order.password]
    if order.protocol == "lmtp":
        arguments += ["--protocol", "LMTP"]
    return Command([*arguments, *order.switches])


def _msmtp(order: Order, directory: Path) -> Command:
    arguments = ["msmtp", "--file=", "-d", f"--host={order.host}", f"--port={order.port}"]
    arguments += ["--domain=client.test", f"--from={order.sender}", "--timeout=10"]
    arguments += [f"--protocol={order.protocol}", f"--tls={'off' if order.tls == 'none' else 'on'}"]
    if order.tls != "none":
        arguments += [f"--tls-trust-file={order.authority.ca}", "--tls-host-override=localhost"]
        arguments += [f"--tls-starttls={'on' if order.tls == 'starttls' else 'off'}"]
    if order.auth:
        secret = order.token if order.auth in _TOKENS else order.password
        arguments += [f"--auth={order.auth.lower()}", f"--user={order.user}"]
        arguments += [f"--passwordeval=echo {secret}"]
    if order.auth == "EXTERNAL":
        arguments += [f"--tls-cert-file={order.authority.client_certificate}"]
        arguments += [f"--tls-key-file={order.authority.client_key}"]
    return Command([*arguments, *order.switches, "--", *order.recipients], order.lines)


def _gsasl(order: Order, directory: Path) -> Command:
    # It speaks STARTTLS before EHLO. After AUTH it reads what to send, so stdin stays empty.
    # An empty -z would be sent as an authzid. Over TLS plain SCRAM needs --no-cb.
    arguments = ["gsasl", "--smtp", f"--connect={order.host}:{order.port}"]
    arguments += ["-m", order.auth, "-a", order.user, "-p", order.password, "-r", "localhost"]
    arguments += ["--hostname=localhost", "--quality-of-protection=qop-auth"]
    if order.tls == "starttls":
        arguments += ["--starttls", f"--x509-ca-file={order.authority.ca}"]
    else:
        arguments += ["--no-starttls"]
    if not order.auth.endswith("-PLUS"):
        arguments += ["--no-cb"]
    return Command([*arguments, *order.switches])


def _mutt(order: Order, directory: Path) -> Command:
    scheme = "smtps" if order.tls == "implicit" else "smtp"
    user = order.user.replace("@", "%40") + "@" if order.auth else ""
    settings = {
        "copy": "no",
        "from": order.sender,
        "use_from": "yes",
        "envelope_from_address": order.sender,
        "use_envelope_from": "yes",
        "hostname": "client.test",
        "ssl_starttls": "yes" if order.tls == "starttls" else "no",
        "ssl_force_tls": "no" if order.tls == "none" else "yes",
        "certificate_file": str(order.authority.ca),
        "smtp_url": f"{scheme}://{user}{order.host}:{order.port}",
        "smtp_pass": order.password,
        "smtp_oauth_refresh_command": f'"echo {order.token}"',
        "smtp_authenticators": order.auth.lower(),
    }
    if not order.auth:
        del settings["smtp_authenticators"], settings["smtp_pass"]
    assigned = " ".join(f"{name}={value}" for name, value in settings.items())
    arguments = ["mutt", "-F", "/dev/null", "-n", "-e", f"set {assigned}"]
    for switch in order.switches:
        arguments += ["-e", f"set {switch}"]
    arguments += ["-s", order.subject, "--", *order.recipients]
    return Command(arguments, b"hello\n.dot\n")


def _s_nail(order: Order, directory: Path) -> Command:
    scheme = "smtps" if order.tls == "implicit" else "smtp"
    account = ""
    if order.auth:
        account = f"{order.user.replace('@', '%40')}:{order.password}@"
    arguments = ["s-nail", "-:/", "-Sv15-compat", "-Sttycharset=utf-8", "-v"]
    arguments += [f"-Smta={scheme}://{account}{order.host}:{order.port}"]
    # With smtp-hostname set, the reverse-path would be the user's name at that host.
    arguments += [f"-Ssmtp-auth={order.auth.lower() or 'none'}"]
    # It compares the name it connects to, here an address, with DNS names alone.
    arguments += ["-Stls-verify=ignore", f"-Stls-ca-file={order.authority.ca}"]
    if order.tls == "starttls":
        arguments += ["-Ssmtp-use-starttls"]
    arguments += [*order.switches, "-r", order.sender, "-s", order.subject, *order.recipients]
    return Command(arguments, b"hello\n.dot\n")


def _git(order: Order, directory: Path) -> Command:
    patch = (
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: A <{order.sender}>\n"
        f"Date: Wed, 25 Nov 2026 00:00:00 +0000\nSubject: [PATCH] {order.subject}\n\n"
        "---\n f | 1 +\n\n.dot\n--\n2.39\n"
    )
    (directory / "1.patch").write_text(patch)
    arguments = ["git", "-c", "sendemail.confirm=never", "send-email", "--no-validate"]
    arguments += [f"--smtp-server={order.host}", f"--smtp-server-port={order.port}"]
    arguments += ["--smtp-domain=client.test", "--smtp-debug=1", f"--from={order.sender}"]
    arguments += [f"--to={recipient}" for recipient in order.recipients]
    arguments += ["--suppress-cc=all", f"--smtp-ssl-cert-path={order.authority.ca}"]
    if order.tls != "none":
        arguments += [f"--smtp-encryption={'tls' if order.tls == 'starttls' else 'ssl'}"]
    if order.auth:
        arguments += [f"--smtp-user={order.user}", f"--smtp-pass={order.password}"]
        arguments += [f"--smtp-auth={order.auth}"]
    identity = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "A"), ("EMAIL", order.sender))
    }
    return Command([*arguments, *order.switches, "1.patch"], environment=identity)


def _net_smtp(order: Order, directory: Path) -> Command:
    return Command(["perl", str(DATA / "net_smtp_client.pl")], order.as_json())


def _python(script: str) -> Callable[[Order, Path], Command]:
    def command(order: Order, directory: Path) -> Command:
        return Command([sys.executable, "-P", str(DATA / script)], order.as_json())

    return command


def _node(script: str) -> Callable[[Order, Path], Command]:
    def command(order: Order, directory: Path) -> Command:
        modules = str(PEERS / "npm/node_modules")
        environment = {"NODE_PATH": modules, "PEER_MODULES": modules}
        return Command(["node", str(DATA / script)], order.as_json(), environment)

    return command


def _esmtp(order: Order, directory: Path) -> Command:
    # Its authentication plug-ins have a compiled-in path, so none are found where it is unpacked.
    configuration = directory / ".esmtprc"
    configuration.write_text(f"hostname = {order.host}:{order.port}\nstarttls = disabled\n")
    configuration.chmod(0o600)
    library = PEERS / "esmtp/usr/lib/x86_64-linux-gnu"
    program = str(PEERS / "esmtp/usr/bin/esmtp")
    return Command(
        [program, "-v", *order.switches, "-f", order.sender, *order.recipients],
        order.lines,
        {"LD_LIBRARY_PATH": str(library)},
    )


def _opensmtpd_smtp(order: Order, directory: Path) -> Command:
    schemes = {"none": "smtp+notls", "starttls": "smtp+tls", "implicit": "smtps"}
    arguments = [str(PEERS / "opensmtpd/usr/bin/smtp"), "-C", "-v", "-H", "client.test"]
    arguments += ["-F", order.sender, "-s", f"{schemes[order.tls]}://{order.host}:{order.port}"]
    return Command([*arguments, *order.switches, *order.recipients], order.lines)


def _smtp_source(order: Order, directory: Path) -> Command:
    arguments = ["smtp-source", "-c", "-M", "client.test", "-f", order.sender]
    arguments += ["-t", order.recipients[0], "-S", order.subject]
    if order.protocol == "lmtp":
        arguments += ["-L"]
    return Command([*arguments, *order.switches, f"inet:{order.host}:{order.port}"])


def _openssl(order: Order, directory: Path) -> Command:
    # It takes lines which begin with R or Q as commands of its own, so these are in lower case.
    arguments = ["openssl", "s_client", "-connect", f"{order.host}:{order.port}", "-crlf", "-quiet"]
    arguments += ["-ign_eof", "-verify_return_error", "-CAfile", str(order.authority.ca)]
    if order.tls == "starttls":
        arguments += ["-starttls", "smtp", "-name", "client.test"]
    lines = [f"EHLO client.test\nMAIL FROM:<{order.sender}>\n"]
    lines += [f"rcpt TO:<{recipient}>\n" for recipient in order.recipients]
    return Command([*arguments, *order.switches], "".join([*lines, "quit\n"]).encode())


def _dma(order: Order, directory: Path) -> Command:
    # The path of its configuration is fixed, so it runs in a mount namespace with an /etc of ours.
    # It lays its rights down and reads and queues as the user mail.
    etc, spool = directory / "etc", directory / "spool"
    for each in (directory, etc, etc / "dma", spool):
        each.mkdir(exist_ok=True)
        each.chmod(0o777)
    for name in ("passwd", "group"):
        shutil.copy(Path("/etc", name), etc)
    settings = [f"SMARTHOST {order.host}", f"PORT {order.port}", f"SPOOLDIR {spool}"]
    settings += ["MAILNAME client.test", "NULLCLIENT", "AUTHPATH /etc/dma/auth.conf"]
    if order.tls != "none":
        settings += ["SECURETRANSFER", *(["STARTTLS"] if order.tls == "starttls" else [])]
    else:
        settings += ["INSECURE"]
    (etc / "dma/dma.conf").write_text("".join(f"{line}\n" for line in settings))
    (etc / "dma/auth.conf").write_text(
        f"{order.user}|{order.host}:{order.password}\n" if order.auth else ""
    )
    script = 'mount --bind "$0" /etc && exec "$@"'
    arguments = ["unshare", "--mount", "sh", "-c", script, str(etc)]
    arguments += [str(PEERS / "dma/usr/sbin/dma"), "-D", "-i", "-f", order.sender]
    return Command([*arguments, *order.switches, *order.recipients], order.lines)


def _nullmailer(order: Order, directory: Path) -> Command:
    # The program of its queue for SMTP: options on its standard input, the message as descriptor 3.
    options = [f"host={order.host}", f"port={order.port}", f"x509cafile={order.authority.ca}"]
    if order.tls != "none":
        # It compares the name it connects to, here an address, with the certificate.
        options += ["insecure", "starttls" if order.tls == "starttls" else "tls"]
    if order.auth:
        options += [f"user={order.user}", f"pass={order.password}"]
        options += ["auth-login"] if order.auth == "LOGIN" else []
    envelope = "".join(f"{line}\n" for line in (order.sender, *order.recipients, ""))
    (directory / "message").write_bytes(envelope.encode() + order.lines)
    program = str(PEERS / "nullmailer/usr/lib/nullmailer/smtp")
    return Command(
        ["sh", "-c", 'exec "$0" 3< message', program],
        "".join(f"{line}\n" for line in (*options, *order.switches)).encode(),
        {"HELOHOST": "client.test"},
    )


def _ssmtp(order: Order, directory: Path) -> Command:
    settings = [f"mailhub={order.host}:{order.port}", "hostname=client.test"]
    settings += ["FromLineOverride=yes", f"UseTLS={'no' if order.tls == 'none' else 'yes'}"]
    settings += [f"UseSTARTTLS={'yes' if order.tls == 'starttls' else 'no'}"]
    if order.auth:
        settings += [f"AuthUser={order.user}", f"AuthPass={order.password}"]
        settings += [f"AuthMethod={order.auth}"] if order.auth != "LOGIN" else []
    (directory / "ssmtp.conf").write_text("".join(f"{line}\n" for line in settings))
    arguments = [str(PEERS / "ssmtp/usr/sbin/ssmtp"), "-v", "-C", "ssmtp.conf", "-f", order.sender]
    return Command([*arguments, *order.switches, *order.recipients], order.lines)


def _sendemail(order: Order, directory: Path) -> Command:
    arguments = ["perl", str(PEERS / "sendemail/usr/bin/sendemail"), "-v", "-v", "-f", order.sender]
    arguments += ["-t", *order.recipients, "-s", f"{order.host}:{order.port}", "-u", order.subject]
    arguments += ["-o", "fqdn=client.test", f"tls={'yes' if order.tls == 'starttls' else 'no'}"]
    if order.auth:
        arguments += ["-xu", order.user, "-xp", order.password]
    library = PEERS / "sendemail/usr"
    modules = f"{library}/share/perl5:{library}/lib/x86_64-linux-gnu/perl5/5.36"
    environment = {"PERL5LIB": modules, "SSL_CERT_FILE": str(order.authority.ca)}
    return Command([*arguments, *order.switches], b"hello\nno dot\n", environment)


_ANY: tuple[Tls, ...] = ("none", "starttls", "implicit")
_BASIC = ("PLAIN", "LOGIN", "CRAM-MD5")
_SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256")

CLIENTS: dict[str, Client] = {
    # AUTH=XOAUTH2 still picks OAUTHBEARER where both are offered.
    "curl": Client(_curl, _ANY, (*_BASIC, "DIGEST-MD5", "EXTERNAL", "OAUTHBEARER", "XOAUTH2")),
    "swaks": Client(_swaks, _ANY, (*_BASIC, "DIGEST-MD5"), lmtp=True),
    "msmtp": Client(
        _msmtp,
        _ANY,
        (*_BASIC, "DIGEST-MD5", *_SCRAM, "EXTERNAL", "OAUTHBEARER", "XOAUTH2"),
        lmtp=True,
    ),
    "gsasl": Client(
        _gsasl,
        ("none", "starttls"),
        (*_BASIC, "DIGEST-MD5", *_SCRAM, "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"),
        sends=False,
    ),
    "mutt": Client(_mutt, _ANY, (*_BASIC, "DIGEST-MD5", *_SCRAM, "XOAUTH2"), exact=False),
    "s-nail": Client(_s_nail, _ANY, _BASIC, exact=False),
    "git": Client(_git, _ANY, (*_BASIC, "DIGEST-MD5"), exact=False),
    "net-smtp": Client(_net_smtp, _ANY, (*_BASIC, "DIGEST-MD5")),
    "smtplib": Client(_python("smtplib_client.py"), _ANY, _BASIC, lmtp=True),
    "aiosmtplib": Client(_python("aiosmtplib_client.py"), _ANY, (*_BASIC, "XOAUTH2")),
    "twisted": Client(_python("twisted_client.py"), ("none", "starttls"), _BASIC),
    "nodemailer": Client(_node("nodemailer_client.js"), _ANY, (*_BASIC, "XOAUTH2"), lmtp=True),
    "emailjs": Client(_node("emailjs_client.mjs"), _ANY, (*_BASIC, "XOAUTH2"), exact=False),
    "esmtp": Client(_esmtp, ("none",)),
    "opensmtpd-smtp": Client(_opensmtpd_smtp, _ANY),
    "smtp-source": Client(_smtp_source, ("none",), lmtp=True, exact=False),
    "dma": Client(_dma, _ANY, ("LOGIN", "CRAM-MD5"), exact=False),
    "nullmailer": Client(_nullmailer, _ANY, ("PLAIN", "LOGIN")),
    "ssmtp": Client(_ssmtp, _ANY, ("LOGIN", "CRAM-MD5"), exact=False),
    "sendemail": Client(_sendemail, ("none", "starttls"), ("LOGIN",), exact=False),
    "openssl": Client(_openssl, ("starttls", "implicit"), sends=False),
}
"""All client peers by name."""


@dataclass(frozen=True)
class Variant:
    """One way to run one client."""

    client: str
    tls: Tls = "none"
    auth: str = ""
    protocol: Protocol = "smtp"
    label: str = ""
    switches: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.client, self.tls, self.auth, self.label]
        return "-".join(part for part in parts if part)


def variants(mechanisms: Sequence[str]) -> list[Variant]:
    """Every client over every kind of TLS, and with every mechanism both sides have.

    Mechanisms are tried under STARTTLS where the client can, EXTERNAL and the -PLUS ones only
    there.
    """
    found = []
    for name, client in CLIENTS.items():
        if name != "gsasl":
            found += [Variant(name, tls) for tls in client.tls]
        tls: Tls = "starttls" if "starttls" in client.tls else client.tls[0]
        found += [
            Variant(name, tls, mechanism)
            for mechanism in client.mechanisms
            if mechanism in mechanisms
        ]
    return found


EXTRAS = (
    Variant("swaks", label="pipeline", switches=("--pipeline",)),
    Variant("swaks", "starttls", label="pipeline", switches=("--pipeline",)),
    Variant("swaks", label="prdr", switches=("--prdr", "--pipeline")),
    Variant("swaks", label="helo", switches=("--protocol", "SMTP")),
    Variant(
        "swaks",
        label="xclient",
        switches=("--xclient-optional", "--xclient-addr", "192.0.2.9", "--xclient-name", "n.test"),
    ),
    Variant("swaks", label="quit-after-rcpt", switches=("--quit-after", "RCPT")),
    Variant("swaks", label="drop-after-data", switches=("--drop-after", "DATA")),
    Variant("swaks", protocol="lmtp", label="lmtp"),
    Variant("swaks", protocol="lmtp", label="lmtp-pipeline", switches=("--pipeline",)),
    Variant("curl", "starttls", "PLAIN", label="initial-response", switches=("--sasl-ir",)),
    Variant("curl", "starttls", "PLAIN", label="mail-auth", switches=("--mail-auth", "")),
    Variant("curl", label="vrfy", switches=("--no-upload",)),
    Variant("curl", label="expn", switches=("-X", "EXPN")),
    Variant(
        "msmtp",
        label="dsn",
        switches=("--dsn-notify=success,failure", "--dsn-return=hdrs"),
    ),
    Variant("msmtp", protocol="lmtp", label="lmtp"),
    # In the clear and without AUTH it says HELO.
    Variant(
        "mutt", "starttls", label="dsn", switches=('dsn_notify="failure,delay"', "dsn_return=hdrs")
    ),
    Variant("smtplib", label="8bitmime", switches=("BODY=8BITMIME",)),
    Variant("smtplib", protocol="lmtp", label="lmtp"),
    Variant("nodemailer", label="dsn", switches=("dsn",)),
    Variant("nodemailer", protocol="lmtp", label="lmtp"),
    Variant("smtp-source", label="load", switches=("-s", "4", "-m", "40", "-l", "4096")),
    Variant("smtp-source", label="reuse", switches=("-d", "-r", "3", "-m", "4", "-l", "100")),
    Variant("smtp-source", protocol="lmtp", label="lmtp", switches=("-m", "2", "-r", "3")),
    Variant(
        "gsasl",
        "starttls",
        "SCRAM-SHA-256-PLUS",
        label="tls-unique",
        switches=("--priority=NORMAL:-VERS-TLS1.3",),
    ),
)
"""What single clients can do besides: pipelining, PRDR, XCLIENT, LMTP, DSN, load."""
