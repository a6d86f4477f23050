"""``python -m smtpwire send``, the real command, against servers of every temper."""

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO
from unittest.mock import patch

import pytest
from tests.adapters.handlers import Mailbox
from tests.adapters.servers import serving

from smtpwire.adapters.session import Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.command_line import main
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Authenticated
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import SMTPUTF8
from smtpwire.sasl import PasswordLogin, PlainPassword, SecretRequest
from smtpwire.testing import certificate
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

OK, USAGE, UNAVAILABLE, TEMPORARY = 0, 64, 69, 75
LETTER = b"From: Joe <joe@example.com>\nSubject: x\n\nHello\n"
RELAY = ServerConfig.relay("mx.example.org")


class Sent:
    """What the command did: here, or in a process of its own."""

    def __init__(
        self,
        port: int,
        *options: str,
        letter: bytes = LETTER,
        stdout: int | BinaryIO | None = None,
        **environment: str,
    ) -> None:
        to = () if "--to" in options else ("--to", "b@d.example")
        words = ["send", "--host", "127.0.0.1", "--port", str(port), *to, *options, "-"]
        if stdout is None:
            self._run_here(words, letter, environment)
        else:
            self._run_apart(words, letter, environment, stdout)
        assert "Traceback" not in self.complaint

    def _run_here(self, words: list[str], letter: bytes, environment: dict[str, str]) -> None:
        output, complaint = io.StringIO(), io.StringIO()
        stdin = io.TextIOWrapper(io.BytesIO(letter))
        with (
            patch.dict(os.environ, environment),
            patch.object(sys, "stdin", stdin),
            redirect_stdout(output),
            redirect_stderr(complaint),
        ):
            self.code = main(words)
        self.output, self.complaint = output.getvalue(), complaint.getvalue()

    def _run_apart(
        self, words: list[str], letter: bytes, environment: dict[str, str], stdout: int | BinaryIO
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "smtpwire", *words],
            input=letter,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=60,
            env=os.environ | environment,
        )
        self.code = done.returncode
        self.output = (done.stdout or b"").decode("utf-8", "replace")
        self.complaint = done.stderr.decode()


def answers(**replies: Reply) -> Mailbox:
    """Takes every message; a recipient of such a name gets this reply."""

    def step(session: Session, event: object) -> None:
        if isinstance(event, Rcpt) and event.address.local_part in replies:
            session.conn.reply(replies[event.address.local_part])

    return Mailbox(step)


def sent(
    letter: bytes = LETTER, *options: str, config: ServerConfig = RELAY
) -> tuple[Sent, Mailbox, Mail]:
    """One message, taken by a server of ours: the command, the mailbox and MAIL."""
    mailbox = Mailbox()
    with serving("blocking", mailbox, config) as port:
        done = Sent(port, *options, letter=letter)
    assert (done.code, done.complaint) == (OK, "")
    (mail,) = [event for event in mailbox.events if isinstance(event, Mail)]
    return done, mailbox, mail


@contextmanager
def scripted(*replies: bytes) -> Iterator[int]:
    """A server that says these, each after a line of the client's, and then hangs up.

    Behind 354 the lines are read up to the dot. ``STALL`` at the end: it says nothing more instead.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock, sock.makefile("rb") as lines:
                for reply, following in pairwise((*replies, b"")):
                    sock.sendall(reply)
                    end = b".\r\n" if reply.startswith(b"354") and following else b""
                    while following and (line := lines.readline()) and line != end and end:
                        pass
                    if following is STALL:
                        while lines.readline():
                            pass
                        return
                with suppress(OSError):  # unread octets at close() would be a reset, not an end
                    sock.shutdown(socket.SHUT_WR)
                    while lines.readline():
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(20)
        assert not thread.is_alive()


STALL = b"(nothing)"

# -- exit codes


@pytest.mark.parametrize(
    ("recipients", "code"),
    [
        (["b"], OK),
        (["b", "c"], OK),
        (["b", "never"], UNAVAILABLE),
        (["never"], UNAVAILABLE),
        (["b", "later"], TEMPORARY),
        (["later"], TEMPORARY),
        (["later", "never"], UNAVAILABLE),
    ],
)
def test_the_exit_code_tells_what_became_of_the_message(recipients: list[str], code: int) -> None:
    mailbox = answers(never=Reply(550, "No such user", "5.1.1"), later=Reply(450, "Busy", "4.2.1"))
    to = [word for name in recipients for word in ("--to", f"{name}@d.example")]
    with serving("blocking", mailbox, RELAY) as port:
        done = Sent(port, *to, stdout=subprocess.PIPE)
    assert (done.code, done.complaint) == (code, "")
    assert [line.partition(": ")[0] for line in done.output.splitlines()] == [
        f"{name}@d.example" for name in recipients
    ]
    assert len(mailbox.messages) == ("b" in recipients)


HELLO = (b"220 mx.example.org\r\n", b"250 mx.example.org\r\n")
ENVELOPE = (*HELLO, b"250 sender\r\n", b"250 recipient\r\n")


@pytest.mark.parametrize(
    ("replies", "code", "said"),
    [
        ((b"554 no service\r\n",), UNAVAILABLE, "554 no service"),
        ((b"421 busy\r\n",), TEMPORARY, "421 busy"),
        ((HELLO[0], b"550 not you\r\n"), UNAVAILABLE, "550 not you"),
        ((HELLO[0], b"450 not now\r\n"), TEMPORARY, "450 not now"),
        ((*HELLO, b"550 no\r\n", b"250 reset\r\n"), UNAVAILABLE, "550 no (permanent)"),
        ((*HELLO, b"451 later\r\n", b"250 reset\r\n"), TEMPORARY, "451 later (retry)"),
        ((b"SSH-2.0-x\r\n",), TEMPORARY, ""),
        ((b"",), TEMPORARY, ""),
        ((HELLO[0], b""), TEMPORARY, ""),
        ((*HELLO, b""), TEMPORARY, ""),
        (ENVELOPE, TEMPORARY, "closed the connection"),
        ((*ENVELOPE, b"354 go on\r\n"), TEMPORARY, "closed the connection"),
        ((STALL,), TEMPORARY, ""),
        ((HELLO[0], STALL), TEMPORARY, ""),
        ((*HELLO, STALL), TEMPORARY, "too slow"),
        ((*ENVELOPE, STALL), TEMPORARY, "too slow"),
        ((*ENVELOPE, b"354 go on\r\n", STALL), TEMPORARY, "too slow"),
    ],
)
def test_servers_that_refuse_hang_up_and_stall(
    replies: tuple[bytes, ...], code: int, said: str
) -> None:
    with scripted(*replies) as port:
        done = Sent(port, "--timeout", "1", "--security", "none")
    assert done.code == code
    assert said in done.output + done.complaint
    assert (done.output + done.complaint).count("\n") == 1


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = Sent(port)
    assert done.code == TEMPORARY
    assert done.complaint.startswith(f"smtpwire: cannot connect to 127.0.0.1:{port}: ")


def test_there_is_no_such_host() -> None:
    done = Sent(25, "--host", "no-such-host.invalid")
    assert (done.code, done.complaint) == (
        UNAVAILABLE,
        "smtpwire: cannot connect to no-such-host.invalid:25: there is no such host\n",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "b d@"], "'b d@' is no address"),
        (["--to", "a@b.example,c@d.example"], "is no address"),
        (["--from", "joe"], "'joe' is no address"),
        (["--port", "80000"], "pass a port, 0 to 65535"),
        (["--port", "smtp"], "pass a port"),
        (["--timeout", "nan"], "pass seconds"),
        (["--timeout", "0"], "pass seconds"),
        (["--security", "tls"], "--security"),
        (["--mechanism", "SCRAM"], "--mechanism"),
        (["--mechanism", "PLAIN"], "--mechanism needs --user"),
        (["--user", "joe"], "go together"),
        (["--password-env", "HOME"], "go together"),
        (["--user", "joe", "--password-env", "NO_SUCH"], "no password in the environment variable"),
        (["--cafile", "/no/such/file", "--security", "starttls"], "/no/such/file"),
        (["--cafile", "/dev/null", "--security", "starttls"], "/dev/null"),
        (["--cafile", "/dev/null"], "no certificate is looked at"),
        (["--host", "a b"], "a b"),
    ],
)
def test_wrong_arguments_are_one_line(options: list[str], said: str) -> None:
    done = Sent(1, *options)
    assert done.code == USAGE
    assert said in done.complaint
    assert done.complaint.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--password", "s3cret"],
        ["--password=s3cret"],
        ["--pass", "s3cret"],
        ["-p", "s3cret"],
        ["-ps3cret"],
        ["s3cret"],
    ],
)
def test_a_password_where_none_belongs_is_not_shown(options: list[str]) -> None:
    done = Sent(1, "--user", "joe", *options)
    assert done.code == USAGE
    assert "s3cret" not in done.complaint + done.output
    assert done.complaint.count("\n") == 1


@pytest.mark.parametrize("abbreviated", ["--pass", "--sec", "--us", "--fro", "--mech", "--time"])
def test_there_are_no_abbreviations(abbreviated: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--to", "b@d.example", abbreviated, "x", "-"]) == USAGE
    assert f"no option {abbreviated}" in capsys.readouterr().err


# -- the sender


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("From: joe@example.com", "joe@example.com"),
        ("From: Joe <joe@example.com>", "joe@example.com"),
        ("FROM:\n Joe\n <joe@example.com>", "joe@example.com"),
        ('From: "Doe, Joe" <joe@example.com>', "joe@example.com"),
        ('From: "joe doe"@example.com', '"joe doe"@example.com'),
        ("From: joe@[192.0.2.1]", "joe@[192.0.2.1]"),
        ("From: Grüße <joe@example.com>", "joe@example.com"),
        ("From: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <joe@example.com>", "joe@example.com"),
        ("From: Jürgen <jürgen@bücher.example>", "jürgen@bücher.example"),
        ("From: a@example.com, b@example.com\nSender: joe@example.com", "joe@example.com"),
    ],
)
def test_the_sender_is_the_header_s(field: str, address: str) -> None:
    _, mailbox, mail = sent(f"{field}\nSubject: x\n\nHello\n".encode())
    assert str(mail.address) == address
    assert mailbox.messages[0].startswith(field.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"Subject: x\n", "does not name one sender"),
        (b"From: a@example.com, b@example.com\n", "does not name one sender"),
        (b"From: a@example.com\nFrom: b@example.com\n", "does not name one sender"),
        (b"From:\n", "does not name one sender"),
        (b"From: joe\n", "From has no address"),
        (b"From: joe@example.com; jane@example.com\n", "From is no list of addresses"),
        (b"From: J\xfcrgen <j\xfcrgen@example.com>\n", "not UTF-8"),
    ],
)
def test_without_a_sender_nothing_is_sent(header: bytes, said: str) -> None:
    done = Sent(1, letter=header + b"\nHello\n")
    assert done.code == USAGE
    assert said in done.complaint
    assert "pass --from" in done.complaint


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", None),
        ("<>", None),
        ("me@example.net", "me@example.net"),
        ("Me <me@example.net>", "me@example.net"),
        ("<me@example.net>", "me@example.net"),
    ],
)
def test_the_sender_may_be_given(given: str, path: str | None) -> None:
    for letter in (LETTER, b"Subject: x\n\nHello\n"):
        _, _, mail = sent(letter, "--from", given)
        assert (None if mail.address is None else str(mail.address)) == path


def test_a_recipient_may_have_a_name() -> None:
    done, mailbox, _ = sent(LETTER, "--to", "Bob <b@d.example>", "--to", "<c@d.example>")
    assert [line.split(": ")[0] for line in done.output.splitlines()] == [
        "b@d.example",
        "c@d.example",
    ]
    assert len(mailbox.messages) == 1


# -- the message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blind_copies_and_a_mailbox_s_first_line_stay_here(end: str) -> None:
    lines = (
        "From joe@example.com Sat Nov 28 18:23:40 2026",
        "From: joe@example.com",
        "bCC: hidden@example.org,",
        "\tmore@example.org",
        "Bccc: shown",
        "Resent-Bcc : hidden@example.org",
        "To: b@d.example",
        "Bcc: hidden@example.org",
        "",
        "Bcc: in the body",
        "From the body",
        "",
    )
    _, mailbox, _ = sent(end.join(lines).encode())
    (message,) = mailbox.messages
    assert message == b"".join(
        line.encode() + b"\r\n" for line in lines[:-1] if lines.index(line) not in (0, 2, 3, 5, 7)
    )


def test_a_message_without_a_header_or_a_body() -> None:
    for letter in (b"\nBcc: in the body\n", b"Subject: x\n", b"\n"):
        _, mailbox, _ = sent(letter, "--from", "")
        assert mailbox.messages == [letter.replace(b"\n", b"\r\n")]


def test_smtputf8_is_asked_for_by_the_header_unless_it_is_switched_off() -> None:
    letter = "From: joe@example.com\nSubject: Grüße\n\nHello\n".encode()
    assert "SMTPUTF8" in str(sent(letter)[2].parameters)
    assert "SMTPUTF8" not in str(sent(letter, "--no-smtputf8")[2].parameters)
    without = replace(RELAY, offer=tuple(item for item in RELAY.offer if item is not SMTPUTF8))
    with serving("blocking", Mailbox(), without) as port:
        done = Sent(port, letter=letter)
    assert done.code == UNAVAILABLE
    assert "SMTPUTF8" in done.complaint
    sent(letter, "--no-smtputf8", config=without)


# -- what is printed


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_reply_that_the_terminal_cannot_show_changes_nothing(encoding: str) -> None:
    replies = (*ENVELOPE, b"354 go\r\n", "250 angenommen für дом\r\n".encode(), b"221 bye\r\n")
    with scripted(*replies) as port:
        done = Sent(port, "--security", "none", stdout=subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert (done.code, done.complaint) == (OK, "")
    assert "250 angenommen" in done.output


def test_what_a_server_says_does_not_move_a_terminal() -> None:
    evil = "550 \x1b[2J\x07\x9b \u202eevil\u2066\r\n".encode()
    with scripted(*ENVELOPE[:3], evil, b"250 reset\r\n", b"221 bye\r\n") as port:
        done = Sent(port, "--security", "none")
    assert done.code == UNAVAILABLE
    assert not set(done.output) & set("\x1b\x07\x9b\u202e\u2066")


def test_the_code_is_the_message_s_where_nobody_reads_the_lines() -> None:
    with serving("blocking", Mailbox(), RELAY) as port, Path("/dev/full").open("wb") as full:
        done = Sent(port, stdout=full)
    assert (done.code, done.complaint) == (OK, "")
    with serving("blocking", Mailbox(), RELAY) as port:
        reader, writer = os.pipe()
        os.close(reader)
        done = Sent(port, stdout=writer)
        os.close(writer)
    assert (done.code, done.complaint) == (OK, "")


# -- TLS and AUTH


@pytest.mark.parametrize(
    ("options", "port", "security"),
    [
        ([], 25, Security.OPPORTUNISTIC),
        (["--user", "joe"], 587, Security.STARTTLS),
        (["--port", "465"], 465, Security.IMPLICIT),
        (["--port", "465", "--user", "joe"], 465, Security.IMPLICIT),
        (["--security", "implicit"], 465, Security.IMPLICIT),
        (["--security", "implicit", "--user", "joe"], 465, Security.IMPLICIT),
        (["--security", "none", "--user", "joe", "--port", "2525"], 2525, Security.NONE),
        (["--user", "joe", "--port", "2525"], 2525, Security.STARTTLS),
    ],
)
def test_a_login_is_safe_by_default(
    options: list[str],
    port: int,
    security: Security,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialled: list[object] = []

    def connect(host: str, port: int, config: ClientConfig, **_: object) -> None:
        dialled.extend((port, config.security))
        raise ConnectionRefusedError

    monkeypatch.setattr("smtpwire.command_line.send.connect", connect)
    monkeypatch.setenv("PASSWORD", "secret")
    letter = tmp_path / "letter.eml"
    letter.write_bytes(LETTER)
    login = ["--password-env", "PASSWORD"] if "--user" in options else []
    assert main(["send", "--to", "b@d.example", *options, *login, str(letter)]) == TEMPORARY
    assert dialled == [port, security]


@pytest.fixture(scope="module")
def cafile(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    path.write_bytes(certificate().trusted_pem)
    return str(path)


@contextmanager
def submission() -> Iterator[tuple[int, list[str]]]:
    """A submission server where joe has the password "secret"; the port, and who logged in."""
    config = replace(
        ServerConfig.submission("mx.example.org"),
        mechanisms=("SCRAM-SHA-256", "PLAIN"),
        scram_secret=b"a secret of this service",
    )
    mechanisms: list[str] = []

    def step(session: Session, event: object) -> None:
        match event:
            case SecretRequest(authcid=authcid):
                session.conn.supply(PlainPassword("secret") if authcid == "joe" else None)
            case PasswordLogin("joe", "secret"):
                session.conn.reply(Reply(235))
            case Authenticated(identity):
                mechanisms.append(identity.mechanism)

    with serving(
        "blocking", Mailbox(step), config, TlsConfig(certificate().server_context())
    ) as port:
        yield port, mechanisms


LOGIN = ("--user", "joe", "--password-env", "SECRET")


@pytest.mark.parametrize(
    ("options", "mechanism"),
    [
        ((), "SCRAM-SHA-256"),
        (("--mechanism", "plain"), "PLAIN"),
        (("--mechanism", "CRAM-MD5", "--mechanism", "PLAIN"), "PLAIN"),
    ],
)
def test_a_login(options: tuple[str, ...], mechanism: str, cafile: str) -> None:
    with submission() as (port, mechanisms):
        done = Sent(port, *LOGIN, "--cafile", cafile, *options, SECRET="secret")
    assert (done.code, done.complaint, mechanisms) == (OK, "", [mechanism])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--mechanism", "CRAM-MD5"), UNAVAILABLE),
        (("--security", "none", "--mechanism", "PLAIN"), UNAVAILABLE),
        (("--host", "127.1"), TEMPORARY),  # the same address, by a name that is not certified
    ],
)
def test_a_login_that_does_not_come_about(options: tuple[str, ...], code: int, cafile: str) -> None:
    trust = () if "none" in options else ("--cafile", cafile)
    with submission() as (port, mechanisms):
        done = Sent(port, *LOGIN, *trust, *options, SECRET="secret")
    assert (done.code, mechanisms) == (code, [])
    assert done.complaint.count("\n") == 1
    assert "secret" not in done.complaint


def test_a_wrong_password(cafile: str) -> None:
    with submission() as (port, _):
        done = Sent(port, *LOGIN, "--cafile", cafile, SECRET="wr\xf6ng")
    assert done.code == UNAVAILABLE
    assert "535" in done.complaint
    assert "ng" not in done.complaint.split("535")[0].replace("AUTH", "")


def test_a_password_that_is_no_text() -> None:
    done = Sent(1, *LOGIN, SECRET=os.fsdecode(b"wr\xf6ng"))
    assert done.code == USAGE
    assert "encoding of the locale" in done.complaint
