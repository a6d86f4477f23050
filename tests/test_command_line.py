"""``python -m smtpwire``: the demonstration, the debugging server with real clients, the sender."""

import io
import json
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from mailbox import Maildir
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.adapters.handlers import Mailbox
from tests.adapters.servers import serving

from smtpwire import command_line, testing
from smtpwire.command_line import main
from smtpwire.command_line.output import json_of, printable
from smtpwire.engine.limits import Limits
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.value import replace

HEADER = b"From: a@example.com\r\nSubject: x\r\n\r\n"
BODIES = {
    "a line that starts with a dot": b".dot\r\n..dots\r\n",
    "a lone dot": b"before\r\n.\r\nafter\r\n",
    "8-bit": "Grüße\r\n".encode(),
    "empty": b"",
    "large": (b"x" * 76 + b"\r\n") * 130_000,
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(testing.certificate().server_pem)
    return path


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    path.write_bytes(testing.certificate().trusted_pem)
    return path


class Served:
    """A running ``serve``."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, first: str) -> None:
        self.first = first
        self.process = process
        self.port = port
        self.output = ""

    def end(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=20)
        self.output += rest
        return self.process.returncode


@contextmanager
def serve(*options: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "smtpwire", "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"# listening at [0-9.]+ port ([0-9]+) ", line)
        assert found, line
        yield Served(process, int(found[1]), line)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def delivered(directory: Path) -> list[bytes]:
    """The messages in a Maildir, as they came, in any order."""
    box = Maildir(str(directory))
    return sorted(strip_trace(box.get_bytes(key)) for key in box.iterkeys())


def strip_trace(message: bytes) -> bytes:
    assert message.startswith(b"Return-Path: <a@example.com>\r\nReceived: from ")
    return message[message.index(b"From: ") :]


# -- demo


def test_the_demo_shows_a_whole_dialogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "S: 220 mx.example.org ESMTP",
        "C: EHLO client.example.com",
        "C: STARTTLS",
        "C: AUTH SCRAM-SHA-256 <redacted>",
        "S: 235 2.7.0",
        "C: RCPT TO:<nobody@example.org>",
        "S: 550 5.1.1 No such user here",
        "S: 354 Go ahead",
        "C: .. this line",
        "C: BDAT",
        "C: QUIT",
        "S: 221 2.0.0",
    ):
        assert line in shown
    assert "wonderland" not in shown
    assert "(RFC 3207)" in shown


# -- serve, with Python's own client


def exchange(client: smtplib.SMTP) -> None:
    for body in BODIES.values():
        refused = client.sendmail(
            "a@example.com", ["b@example.org", "c@example.org"], HEADER + body
        )
        assert refused == {}


def test_smtplib_in_the_clear(tmp_path: Path) -> None:
    with serve("--maildir", str(tmp_path / "box")) as served:
        with smtplib.SMTP("127.0.0.1", served.port) as client:
            exchange(client)
        assert served.end() == 0
    assert delivered(tmp_path / "box") == sorted(HEADER + body for body in BODIES.values())
    assert "250 2.0.0 Message accepted" in served.output


def log_in_wrongly(port: int, context: ssl.SSLContext) -> None:
    with smtplib.SMTP("localhost", port) as client:
        client.starttls(context=context)
        client.login("joe", "wrong")


def test_smtplib_with_starttls_and_login(tmp_path: Path, certificate: Path, trusted: Path) -> None:
    context = ssl.create_default_context(cafile=str(trusted))
    options = ("--profile", "submission", "--cert", str(certificate), "--auth", "joe:secret")
    with serve("--maildir", str(tmp_path / "box"), *options) as served:
        with smtplib.SMTP("localhost", served.port) as client:
            client.starttls(context=context)
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail("a@example.com", ["b@example.org"], HEADER)
            assert refused.value.smtp_code == 530
            client.login("joe", "secret")
            exchange(client)
        with pytest.raises(smtplib.SMTPException):
            log_in_wrongly(served.port, context)
        assert served.end() == 0
    assert len(delivered(tmp_path / "box")) == len(BODIES)
    assert "secret" not in served.output
    assert "c2VjcmV0" not in served.output


def test_plus_is_offered_with_the_binding_that_clients_take(
    certificate: Path, trusted: Path
) -> None:
    """RFC 9266 §3: under TLS 1.3 that is tls-exporter, which Python's ssl cannot tell."""
    context = ssl.create_default_context(cafile=str(trusted))
    options = ("--profile", "submission", "--cert", str(certificate), "--auth", "joe:secret")
    with serve(*options) as served:
        for version, offered in (("TLSv1_3", False), ("TLSv1_2", True)):
            context.maximum_version = ssl.TLSVersion[version]
            with smtplib.SMTP("localhost", served.port) as client:
                client.starttls(context=context)
                client.ehlo()
                assert ("-PLUS" in client.esmtp_features["auth"]) is offered


def test_smtplib_under_tls_from_the_first_octet(
    tmp_path: Path, certificate: Path, trusted: Path
) -> None:
    context = ssl.create_default_context(cafile=str(trusted))
    options = ("--profile", "submissions", "--cert", str(certificate))
    with serve("--maildir", str(tmp_path / "box"), *options) as served:
        with smtplib.SMTP_SSL("localhost", served.port, context=context) as client:
            exchange(client)
        assert served.end() == 0
    assert delivered(tmp_path / "box") == sorted(HEADER + body for body in BODIES.values())


def test_smtplibs_lmtp(tmp_path: Path) -> None:
    with serve("--maildir", str(tmp_path / "box"), "--profile", "lmtp") as served:
        with smtplib.LMTP("127.0.0.1", served.port) as client:
            client.ehlo_or_helo_if_needed()
            for body in BODIES.values():
                client.sendmail("a@example.com", ["b@example.org"], HEADER + body)
        assert served.end() == 0
    assert delivered(tmp_path / "box") == sorted(HEADER + body for body in BODIES.values())


def test_the_message_is_printed_and_harmless(tmp_path: Path) -> None:
    with serve() as served:
        with smtplib.SMTP("127.0.0.1", served.port) as client:
            body = "\x1b[2J \x9b \u202eevil\r\nGrüße\r\na\u00a0b\u3000c\r\n".encode()
            client.sendmail("a@example.com", ["b@example.org"], HEADER + body)
            client.noop()
        assert served.end() == 0
    # From Python 3.13 on smtplib writes "mail from:".
    assert re.search(r"1 C: mail (FROM|from):<a@example\.com>", served.output)
    assert "1 S: 354 Go ahead" in served.output
    assert "1 | \\x1b[2J \\x9b \\u202eevil" in served.output
    assert "1 | Grüße" in served.output
    assert "1 | a\\xc2\\xa0b\\xe3\\x80\\x80c" in served.output
    assert "\x1b" not in served.output


def test_ctrl_c_drains_open_sessions() -> None:
    with serve() as served, socket.create_connection(("127.0.0.1", served.port), 10) as client:
        assert client.recv(1000).startswith(b"220 ")
        served.process.send_signal(signal.SIGINT)
        assert client.recv(1000) == b"421 4.3.2 Service shutting down\r\n"
        client.close()
        assert served.process.wait(20) == 0


def test_every_extension_the_profile_may_offer() -> None:
    for profile, some, none in (
        ("relay", ("ETRN", "PRDR", "DSN", "LIMITS RCPTMAX=", "XCLIENT"), "FUTURERELEASE"),
        ("submission", ("FUTURERELEASE ", "BURL", "DSN", "MT-PRIORITY"), "ETRN"),
        ("lmtp", ("SMTPUTF8", "RRVS", "DELIVERBY"), "PRDR"),
    ):
        with serve("--all-extensions", "--profile", profile) as served:
            with socket.create_connection(("127.0.0.1", served.port), 10) as client:
                client.recv(1000)
                client.sendall(
                    b"LHLO x.example\r\n" if profile == "lmtp" else b"EHLO x.example\r\n"
                )
                offer = client.recv(10000).decode()
            assert served.end() == 0
        for keyword in some:
            assert keyword in offer
        assert none not in offer


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["serve", "--profile", "submissions"], "--cert is needed"),
        (["serve", "--cert", "/no/such/file"], "cannot use the certificate"),
        (["serve", "--cert", "/dev/null"], "cannot use the certificate"),
        (["serve", "--key", "/no/such/file"], "--key needs --cert"),
        (["serve", "--auth", "joe"], "USER:PASSWORD"),
        (["serve", "--auth", ""], "USER:PASSWORD"),
        (["serve", "--maildir", "/dev/null/box"], "cannot use the Maildir"),
        (["serve", "--maildir", "/dev/null"], "cannot use the Maildir"),
        (["serve", "--maildir", "/proc/box"], "cannot use the Maildir"),
        (["serve", "--maildir", "a\0b"], "cannot use the Maildir"),
        (["serve", "--port", "80000"], "pass a port, 0 to 65535"),
        (["serve", "--port", "-1"], "pass a port, 0 to 65535"),
        (["serve", "--port", "smtp"], "pass a port, 0 to 65535"),
        (["serve", "--host", "0.0.0.0", "--auth", "joe:secret"], "pass --cert, or --cleartext"),
        (["serve", "--host", "::", "--auth", "joe:secret"], "pass --cert, or --cleartext"),
        (["serve", "--host", "", "--auth", "joe:secret"], "--host: pass a name or an address"),
        (["serve", "--host", "localhost:25"], "the host is 'localhost:25': pass a name"),
        (["serve", "--maildir", ""], "--maildir: pass the name of a directory"),
        (["serve", "--cert", "/dev/null", "--key", "/no/key"], "with the key /no/key"),
        (["send", "--to", "a@b.example", "--host", "", "x"], "--host: pass a name or an address"),
        (["send", "--to", "a@b.example", "--host", "mx..b", "x"], "pass a name whose labels"),
        (["send", "--to", "a@b.example", "--from", "", "/dev/null"], "/dev/null is empty"),
        (["check", "mx..example"], "pass a name whose labels have 1 to 63 octets"),
        (["check", "joe@mx.example"], "pass a name or an address alone"),
        (["check", "localhost:1", "--hello", "a b"], "--hello: 'a b' is neither a domain"),
        (["check", "localhost:1", "--name", "a:25"], "--name: the host is 'a:25': pass a name"),
        (["check", "localhost:1", "--cafile", "/no/file"], "cannot use the authorities in /no/f"),
        (["replay", "/dev/null"], "/dev/null holds no dialogue"),
        (["send", "--to", "a@b.example", "/no/such/file"], "cannot read /no/such/file"),
        (["send", "--to", "a@b.example", "/"], "cannot read /"),
        (["send", "--to", "a@b.example", "a\0b"], "cannot read a"),
        ([], "COMMAND"),
        (["dance"], "COMMAND"),
        (["serve", "--profile", "x"], "--profile"),
        (["serve", "--prof", "lmtp"], "no option --prof; did you mean --profile?"),
        (["demo", "--fast"], "no option --fast"),
        (["demo", "fast"], "an argument too many"),
        (["send"], "--to"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 64
    line = capsys.readouterr().err
    assert line.startswith("smtpwire: ")
    assert complaint in line
    assert "secret" not in line
    assert line.count("\n") == 1


def test_a_directory_becomes_a_maildir(tmp_path: Path) -> None:
    with serve("--maildir", str(tmp_path)) as served:
        with smtplib.SMTP("127.0.0.1", served.port) as client:
            client.sendmail("a@example.com", ["b@example.org"], HEADER)
        assert served.end() == 0
    assert delivered(tmp_path) == [HEADER]


def test_a_key_with_a_passphrase_asks_nobody(
    certificate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = pytest.importorskip(
        "cryptography.hazmat.primitives.serialization", reason="it encrypts the key"
    )
    locked = keys.load_pem_private_key(certificate.read_bytes(), None).private_bytes(
        keys.Encoding.PEM, keys.PrivateFormat.PKCS8, keys.BestAvailableEncryption(b"passphrase")
    )
    (tmp_path / "key.pem").write_bytes(locked)
    options = ["--cert", str(certificate), "--key", str(tmp_path / "key.pem")]
    assert main(["serve", *options]) == 64
    assert "passphrase" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "(relay)"),
        (("--auth", "joe:secret"), "(relay, passwords in clear text)"),
        (("--auth", "joe:secret", "--cleartext"), "(relay, passwords in clear text)"),
    ],
)
def test_the_first_line_says_that_passwords_come_in_clear_text(
    options: tuple[str, ...], said: str
) -> None:
    with serve(*options) as served:
        assert said in served.first


def test_passwords_in_clear_text_beyond_this_machine_are_wanted_by_name() -> None:
    with serve("--host", "0.0.0.0", "--auth", "joe:secret", "--cleartext") as served:
        assert "passwords in clear text" in served.first
        with smtplib.SMTP("127.0.0.1", served.port) as client:
            client.login("joe", "secret")
        assert served.end() == 0


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 69
    assert f"cannot listen at 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a b"])
@pytest.mark.parametrize("options", [(), ("--auth", "joe:secret")])
def test_a_host_that_is_not_ours(
    host: str, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--host", host, "--port", "0", *options]) in (64, 69)
    line = capsys.readouterr().err
    assert host in line
    assert line.count("\n") == 1


def run_with(stdout: int | BinaryIO, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "smtpwire", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("demo",), ("--help",), ("serve", "--port", "0")])
def test_nobody_reads_what_is_printed(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert run_with(writer, *arguments) == (141, "")
    os.close(writer)


@pytest.mark.parametrize("arguments", [("demo",), ("serve", "--port", "0")])
def test_what_is_printed_cannot_be_stored(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        code, said = run_with(full, *arguments)
    assert (code, said) == (69, "smtpwire: cannot write: No space left on device\n")


def test_nobody_reads_the_dialogue_any_more() -> None:
    """``serve | head``: it ends by itself, without a word, and the client is told."""
    with serve() as served, socket.create_connection(("127.0.0.1", served.port), 10) as client:
        client.recv(1000)
        assert served.process.stdout is not None
        served.process.stdout.close()
        client.sendall(b"EHLO c.example\r\n")
        told = b""
        while more := client.recv(1000):
            told += more
        assert told.startswith((b"250-", b"421 "))
        assert served.process.wait(20) == 141


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_traceback(number: signal.Signals) -> None:
    with serve() as served:
        served.process.send_signal(number)
        assert served.process.wait(20) == 0
        assert served.end() == 0
    assert served.output.endswith("shutting down\n")


# -- send


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    path = tmp_path / "letter.eml"
    path.write_bytes(b"From: Joe <joe@example.com>\nSubject: x\n\nGr\xc3\xbc\xc3\x9fe\n.dot\n")
    return path


def test_send(letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mailbox = Mailbox()
    with serving("asyncio", mailbox, ServerConfig.relay("mx.example.org")) as port:
        where = ["--host", "127.0.0.1", "--port", str(port)]
        assert main(["send", "--to", "b@d.example", *where, str(letter)]) == 0
    assert capsys.readouterr() == ("b@d.example: 250 2.0.0 Message accepted (done)\n", "")
    assert mailbox.messages == [letter.read_bytes().replace(b"\n", b"\r\n")]


def test_send_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox = Mailbox()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Subject: x\n\nHello\n")))
    with serving("asyncio", mailbox, ServerConfig.relay("mx.example.org")) as port:
        where = ["--host", "127.0.0.1", "--port", str(port), "--security", "none"]
        assert main(["send", "--to", "b@d.example", *where, "--from", "me@d.example", "-"]) == 0
    assert mailbox.messages == [b"Subject: x\r\n\r\nHello\r\n"]
    assert "b@d.example: 250 " in capsys.readouterr().out


def test_send_authenticates(
    letter: Path,
    certificate: Path,
    trusted: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setenv("PASSWORD", "secret")
    options = ("--profile", "submission", "--cert", str(certificate), "--auth", "joe:secret")
    with serve(*options) as served:
        where = ["--host", "localhost", "--port", str(served.port)]
        login = ["--user", "joe", "--password-env", "PASSWORD"]
        assert main(["send", "--to", "b@d.example", *where, *login, str(letter)]) == 0
        monkeypatch.setenv("PASSWORD", "wrong")
        assert main(["send", "--to", "b@d.example", *where, *login, str(letter)]) == 69
        assert served.end() == 0
    assert "AUTH SCRAM-SHA-512" in served.output
    assert "535 5.7.8" in capsys.readouterr().err


def test_send_says_why_it_cannot(letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("asyncio", Mailbox(), ServerConfig.relay("mx.example.org")) as port:
        where = ["--host", "127.0.0.1", "--port", str(port), "--security", "starttls"]
        assert main(["send", "--to", "b@d.example", *where, str(letter)]) == 69
    assert "does not offer STARTTLS" in capsys.readouterr().err


def test_send_says_that_the_message_is_too_large(
    letter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(ServerConfig.relay("mx.example.org"), limits=Limits(message=10))
    with serving("asyncio", Mailbox(), config) as port:
        where = ["--host", "127.0.0.1", "--port", str(port)]
        assert main(["send", "--to", "b@d.example", *where, str(letter)]) == 69
    assert "more than the server's 10" in capsys.readouterr().err


def test_progress_is_shown_on_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large = tmp_path / "large.eml"
    large.write_bytes(HEADER + BODIES["large"])
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        with serving("asyncio", Mailbox(), ServerConfig.relay("mx.example.org")) as port:
            where = ["--host", "127.0.0.1", "--port", str(port)]
            assert main(["send", "--to", "b@d.example", *where, str(large)]) == 0
        shown = capsys.readouterr().err
        assert ("100 % of" in shown) is terminal


def test_ctrl_c_is_one_line(
    letter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smtpwire.command_line.send.connect", interrupted)
    assert main(["send", "--to", "b@d.example", str(letter)]) == 130
    assert capsys.readouterr().err == "smtpwire: interrupted\n"


# -- what is printed


def test_nothing_printed_moves_a_terminal() -> None:
    assert printable("a\x1b[2J\x07\x7f\x9b\u202e\u2066\u200f\u2028é漢\ud7ff") == (
        "a\\x1b[2J\\x07\\x7f\\x9b\\u202e\\u2066\\u200f\\u2028é漢\ud7ff"
    )
    assert printable(b"\xff\xc3\xa9\r\n") == "\\xffé\\x0d\\x0a"
    text = json_of(["\x1b\x7f\x9b\u202e\u2028é"])
    assert text == '[\n  "\\u001b\\u007f\\u009b\\u202e\\u2028é"\n]'
    assert json.loads(text) == ["\x1b\x7f\x9b\u202e\u2028é"]


def test_the_module_runs() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "smtpwire", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("demo", "serve", "send"):
        assert command in result.stdout


def test_the_names_that_a_shell_completes_are_all(capsys: pytest.CaptureFixture[str]) -> None:
    readme = Path(command_line.__file__).with_name("README.md").read_text()
    [names] = re.findall(r'complete -W "([a-z ]+)"', readme)
    assert main(["--help"]) == 0
    assert re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE) == names.split()
