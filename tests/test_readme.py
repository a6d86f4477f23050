"""The documents tell the truth: generated parts are fresh, examples run, links lead somewhere."""

import ast
import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any, Final

import pytest
from tests.public import members, public_modules
from tests.readme_parts import (
    DOCUMENTS,
    EXAMPLE,
    GENERATED,
    README,
    ROOT,
    example,
    home,
    part,
    table_of,
)
from tests.test_public_api import FLOORS

import smtpwire
from smtpwire import (
    Address,
    ClientConnection,
    Envelope,
    Need,
    Password,
    ServerConfig,
    ServerConnection,
)
from smtpwire.adapters import blocking
from smtpwire.operations import LoginFailed, open_session
from smtpwire.testing import certificate

MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\n"


@pytest.mark.once
@pytest.mark.parametrize("name", GENERATED)
def test_generated_parts_are_fresh(name: str) -> None:
    found = part(name).search(home(f"generated: {name}").read_text())
    assert found is not None
    assert found[2] == GENERATED[name]() + "\n", "run: python -m tests.readme_parts"


def compiled(name: str) -> Any:
    return compile(example(name), f"README: {name}", "exec")


def serve(listener: socket.socket, delivered: list[tuple[Envelope, bytes]]) -> None:
    sock, _ = listener.accept()
    with sock:
        names: dict[str, object] = {
            "sock": sock,
            "deliver": lambda envelope, body: delivered.append((envelope, body)),
        }
        exec(compiled("server"), names)


def with_server(talk: Callable[[int], None]) -> list[tuple[Envelope, bytes]]:
    delivered: list[tuple[Envelope, bytes]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, delivered))
        thread.start()
        talk(listener.getsockname()[1])
        thread.join(10)
        assert not thread.is_alive()
    return delivered


def test_the_client_and_the_server_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            exec(compiled("client"), {"sock": sock, "message": MESSAGE})

    ((envelope, body),) = with_server(talk)
    assert envelope.reverse_path == Address.parse("alice@example.com")
    assert envelope.forward_paths == (Address.parse("bob@example.org"),)
    assert body == MESSAGE
    assert capsys.readouterr().out == "Disposition.DONE 250 2.0.0 Message accepted\n"


def test_the_server_of_the_readme_under_attack() -> None:
    """STARTTLS that is not offered, a chunk and RSET, and a second message: nothing is mixed."""

    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(
                b"EHLO c.example\r\nSTARTTLS\r\nMAIL FROM:<a@example.com>\r\n"
                b"RCPT TO:<b@example.org>\r\nBDAT 4\r\nlostRSET\r\n"
                b"MAIL FROM:<a@example.com>\r\nRCPT TO:<x@elsewhere.example>\r\n"
                b"RCPT TO:<b@example.org>\r\nDATA\r\n"
            )
            sock.sendall(b"kept\r\n.\r\nQUIT\r\n")
            while sock.recv(4096):
                pass

    ((_, body),) = with_server(talk)
    assert body == b"kept\r\n"


@pytest.mark.parametrize("end", range(112))
def test_the_server_of_the_readme_ends_with_the_stream(end: int) -> None:
    octets = (
        b"EHLO c.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n"
        b"DATA\r\nhalf a message\r\n"
    )[:end]

    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass

    assert with_server(talk) == []


# -- the handler: what it stores, and what it does not


def handler_of_the_readme(store: Callable[[Envelope, bytes], Awaitable[None]]) -> dict[str, Any]:
    """The example as it stands, with another store."""
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compiled("handler"), names)
    names["store"] = store
    return names


def with_handler(store: Callable[[bytes], None], *talks: Callable[[int], None]) -> None:
    """Each talks to one server, one after another."""

    async def store_it(envelope: Envelope, content: bytes) -> None:
        await asyncio.sleep(0)
        store(content)

    async def main() -> None:
        names = handler_of_the_readme(store_it)
        config = ServerConfig.relay("mx.example.org", local_domains=["example.org"])
        server = await names["start_server"](names["session"], config, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for talk in talks:
            await asyncio.to_thread(talk, port)
        await server.shutdown()

    asyncio.run(main())


def says(*parts: bytes) -> Callable[[int], None]:
    """A client that writes these, ends its half, and reads to the end."""

    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            for part in parts:
                sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(65536):
                heard.append(more)

    heard: list[bytes] = []
    talk.heard = heard  # type: ignore[attr-defined]  # for a test that looks at it
    return talk


ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n"


def test_the_handler_of_the_readme() -> None:
    stored: list[bytes] = []

    def send(port: int) -> None:
        with blocking.connect("127.0.0.1", port) as client:
            client.open_session()
            client.send_mail("alice@example.com", ["bob@example.org"], MESSAGE)

    with_handler(stored.append, send)
    assert stored == [MESSAGE]


def test_the_handler_keeps_nothing_of_an_aborted_message() -> None:
    stored: list[bytes] = []
    talk = says(
        b"EHLO c.example\r\n" + ENVELOPE + b"BDAT 4\r\nlostRSET\r\n" + ENVELOPE,
        b"BDAT 6\r\nkept\r\nBDAT 0 LAST\r\nQUIT\r\n",
    )
    with_handler(stored.append, talk)
    assert stored == [b"kept\r\n"]


def test_the_handler_keeps_nothing_of_a_message_that_was_not_stored() -> None:
    tried: list[bytes] = []

    def store(content: bytes) -> None:
        tried.append(content)
        if len(tried) == 1:
            raise OSError("the disk is full")

    message = ENVELOPE + b"BDAT 3 LAST\r\n%d\r\n"
    talk = says(b"EHLO c.example\r\n", message % 1, message % 2, b"QUIT\r\n")
    with_handler(store, talk)
    assert tried == [b"1\r\n", b"2\r\n"]
    assert b"451 4.3.0" in b"".join(talk.heard)  # type: ignore[attr-defined]  # see says


def test_the_handler_stores_nothing_of_a_stream_that_ended() -> None:
    for octets in (
        b"EHLO c.example\r\n" + ENVELOPE + b"DATA\r\nhalf a message\r\n",
        b"EHLO c.example\r\n" + ENVELOPE + b"BDAT 4\r\nhalfBDAT 8 LAST\r\nmessage",
    ):
        stored: list[bytes] = []
        with_handler(stored.append, *(says(octets[:end]) for end in range(len(octets) + 1)))
        assert stored == []


def test_no_example_is_an_open_relay() -> None:
    stored: list[bytes] = []
    talk = says(
        b"EHLO c.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<x@elsewhere.example>\r\n",
        b"RCPT TO:<postmaster>\r\nRCPT TO:<b@EXAMPLE.org>\r\nQUIT\r\n",
    )
    with_handler(stored.append, talk)
    replies = b"".join(talk.heard).splitlines()  # type: ignore[attr-defined]  # see says
    assert [line[:3] for line in replies[-4:]] == [b"550", b"250", b"250", b"221"]


@pytest.mark.parametrize(
    ("user", "password", "code"),
    [("alice", "wonderland", 235), ("alice", "looking-glass", 535), ("bob", "wonderland", 535)],
)
def test_stored_secrets(user: str, password: str, code: int) -> None:
    names: dict[str, Any] = {}
    exec(compiled("stored"), names)
    server = ServerConnection(names["config"])
    client = ClientConnection()

    def drive() -> None:
        for _ in open_session(client, Password(user, password)):
            if octets := client.data_to_send():
                server.receive_data(octets)
            while not isinstance(item := server.next_event(), Need):
                names["answer"](server, item)
            if octets := server.data_to_send():
                client.receive_data(octets)

    if code == 235:
        drive()
    else:
        with pytest.raises(LoginFailed, match="535"):
            drive()
    assert (server.identity is not None) == (code == 235)


# -- whole programs, as they stand


PORTS = (8025, 8587)
ELSEWHERE: Final = """
import socket
PORTS = {ports!r}
class Elsewhere(socket.socket):
    def bind(self, address):
        super().bind((address[0], PORTS.get(address[1], address[1]), *address[2:]))
    def connect(self, address):
        super().connect((address[0], PORTS.get(address[1], address[1]), *address[2:]))
    def connect_ex(self, address):
        return super().connect_ex((address[0], PORTS.get(address[1], address[1]), *address[2:]))
socket.socket = Elsewhere
"""
"""Python runs it first: the ports that the examples name are free ones of this machine."""


@pytest.fixture
def programs(tmp_path: Path) -> "Programs":
    return Programs(tmp_path)


class Programs:
    """Runs the examples as programs, each a file with nothing but what the document says."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ports: dict[int, int] = {}
        for port in PORTS:
            with socket.create_server(("127.0.0.1", 0)) as free:
                ports[port] = free.getsockname()[1]
        (directory / "sitecustomize.py").write_text(ELSEWHERE.format(ports=ports))
        self.ports = ports
        binaries = directory / "bin"
        binaries.mkdir()
        (binaries / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (binaries / "python").chmod(0o755)
        source = str(Path(smtpwire.__file__).parent.parent)
        self.environment = os.environ | {
            "PYTHONPATH": f"{directory}:{source}",
            "PATH": f"{binaries}:{os.environ['PATH']}",
        }

    def start(self, code: str) -> "subprocess.Popen[str]":
        path = self.directory / "example.py"
        path.write_text(code)
        return self.shell(f"exec python {path.name}")

    def shell(self, command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, code: str) -> str:
        with self.start(code) as program:
            output, _ = program.communicate(timeout=30)
        assert program.returncode == 0, output
        return output

    def wait_for(self, port: int) -> None:
        """Until somebody listens there."""
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.ports[port]), 5).close()
            except ConnectionRefusedError:
                sleep(0.05)
            else:
                return
        raise AssertionError(f"nobody listens at {port}")

    @contextmanager
    def serving(
        self, program: "subprocess.Popen[str]", port: int, ended_by: signal.Signals = signal.SIGINT
    ) -> Iterator[list[str]]:
        """While it serves; then Ctrl-C or another signal, and its output."""
        output: list[str] = []
        with program:
            try:
                self.wait_for(port)
                yield output
                program.send_signal(ended_by)
                output.append(program.communicate(timeout=30)[0])
            finally:
                program.kill()


def test_the_server_with_an_adapter_and_its_client(programs: Programs) -> None:
    with programs.serving(programs.start(example("handler")), 8025) as output:
        assert programs.run(example("blocking")) == "Disposition.DONE\n"
    assert "Address(local_part='bob', domain='example.org'),) 21 octets" in output[0]


@pytest.mark.parametrize(
    ("recipient", "outcome"),
    [
        ("bob@example.org", "DONE"),
        ("carol@example.org", "PERMANENT"),
        ("bob@example.net", "PERMANENT"),
        ("Postmaster", "DONE"),
        ("postmaster@example.net", "PERMANENT"),
    ],
)
def test_the_relay_that_knows_its_recipients(
    programs: Programs, recipient: str, outcome: str
) -> None:
    client = example("blocking").replace("bob@example.org", recipient)
    with programs.serving(programs.start(example("recipients")), 8025) as output:
        assert programs.run(client) == f"Disposition.{outcome}\n"
    assert ("octets" in output[0]) == (outcome == "DONE")


def certify(programs: Programs) -> None:
    """By the command that README gives, or where there is none, as it would."""
    if shutil.which("openssl") is None:
        (programs.directory / "server.pem").write_bytes(certificate().server_pem)
        (programs.directory / "authority.pem").write_bytes(certificate().trusted_pem)
        return
    commands = re.findall(r"`((?:openssl|cat) .*?)`", README.read_text())
    assert len(commands) == 2
    with programs.shell(" && ".join(commands)) as made:
        output = made.communicate(timeout=60)[0]
    assert made.returncode == 0, output


def test_the_submission_server_and_its_client(programs: Programs) -> None:
    certify(programs)
    programs.environment["SSL_CERT_FILE"] = str(programs.directory / "authority.pem")
    server = programs.start(example("submission"))
    with programs.serving(server, 8587) as output:
        assert programs.run(example("login")) == "Disposition.DONE\n"
        wrong = programs.start(example("login").replace("wonderland", "looking-glass"))
        with wrong:
            assert "LoginFailed" in wrong.communicate(timeout=30)[0]
    assert re.search(r"authcid='alice'.* bob@example\.net b'Subject: x", output[0])


def test_the_first_server_and_client_are_short() -> None:
    for name, most in (("submission", 25), ("login", 8)):
        lines = [line for line in example(name).splitlines() if line.strip()]
        assert len(lines) <= most


def test_the_commands_of_the_readme(programs: Programs) -> None:
    (programs.directory / "message.eml").write_bytes(b"From: joe@example.com\n\nHello\n")
    commands = ROOT / "src" / "smtpwire" / "command_line" / "README.md"
    demo, serve, send = (
        line.partition("#")[0]
        for line in commands.read_text().splitlines()
        if line.startswith("python -m")
    )
    with programs.shell(demo) as shown:
        assert "S: 221" in shown.communicate(timeout=30)[0]
    with (
        programs.serving(programs.shell(f"exec {serve}"), 8025) as output,
        programs.shell(send) as sent,
    ):
        assert "bob@example.org: 250 " in sent.communicate(timeout=30)[0]
    assert "| Hello" in output[0]


SAID: Final = {
    "kept": "q+7 bob@example.org True MAIL FROM:<alice@example.com> ENVID=q+2B7",
    "many": "bounce to alice@example.com carol@example.org 550 5.1.1 No such user\n"
    "again dave@example.org 451 4.3.0 Try again later",
    "own_mechanism": "ticket X-TICKET",
    "own_operation": "staff 250 <alice@example.org> <bob@example.org>\n"
    "friends 550 Mailing list expansion prohibited",
    "private_extension": "light dark 250 2.0.0 It is dark\nMAIL in light\nDisposition.DONE",
    "sink": "Hello bob@example.org {'carol@example.org': (550, b'5.1.1 No such user')}",
    "splits": "{1}",
    "wire": "250 Disposition.DONE ['SIZE', 'PIPELINING']\n"
    "Rcpt(address=Address(local_part='bob', domain='example.org'), parameters=Parameters())\n"
    '"joe smith"@example.org\n'
    "b'..a line with a dot\\r\\n.\\r\\n'",
}
"""Examples that need nobody else, and what they print."""


@pytest.mark.parametrize("name", SAID)
def test_what_an_example_prints(programs: Programs, name: str) -> None:
    assert programs.run(example(name)) == SAID[name] + "\n"


def test_every_example_is_run() -> None:
    """A block of code has a name, and a test runs what has that name; so in every document."""
    found: list[str] = []
    for document in DOCUMENTS:
        text = document.read_text()
        names = [name for name, _ in EXAMPLE.findall(text)]
        assert text.count("```python") == len(names), document
        found += names
    assert len(set(found)) == len(found)
    assert set(found) == {
        *("server", "client", "handler", "blocking", "stored", "submission", "login", "script"),
        "recipients",
        *("smtplib_send", "smtplib_email", "smtplib_login", "smtplib_trace"),  # test_migration.py
        *("aiosmtplib_send", "aiosmtplib_login", "aiosmtpd_server", "aiosmtpd_login"),
        *("sink_refuses", "smtpd_server"),
        *SAID,
    }


# -- what the documents say of the house


def test_readme_is_short_and_has_no_diagram() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 160
    assert "mermaid" not in text  # package indexes show it raw


def test_every_room_has_a_document() -> None:
    package = Path(smtpwire.__file__).parent
    folders = [path.parent for path in package.glob("*/__init__.py")]
    others = [
        ROOT / name for name in ("tests", "tests/interop", "tests/examples", "fuzz", "benchmarks")
    ]
    for room in (package, *folders, *others):
        assert (room / "README.md").is_file(), room


def anchors(document: Path) -> set[str]:
    """The headings of a document, as code hosts name them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("https:"):
            path, _, anchor = target.partition("#")
            found = document.parent / path if path else document
            assert found.exists(), target
            assert not anchor or anchor in anchors(found), target


PUBLIC: Final = {
    module.__name__: {name for name, _ in members(module)} for module in public_modules()
}


def not_public(code: str) -> list[str]:
    """What a program takes of the package that is not public."""
    found: list[str] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name not in PUBLIC]
        if isinstance(node, ast.ImportFrom):
            names = PUBLIC.get(f"{node.module}", set())
            found += [f"{node.module}.{each.name}" for each in node.names if each.name not in names]
    return [name for name in found if name.startswith("smtpwire")]


def test_the_programs_of_the_documents_take_what_is_public() -> None:
    blocks = [code for path in DOCUMENTS for _, code in EXAMPLE.findall(path.read_text())]
    programs = [path.read_text() for path in (ROOT / "tests" / "examples").glob("*.py")]
    assert len(blocks) > 20
    assert len(programs) > 8
    assert [name for code in (*blocks, *programs) for name in not_public(code)] == []
    assert not_public("from smtpwire.wire.ip import canonical_ip")
    assert not_public("import smtpwire.engine")


BY_THEIR_NAMES: Final = {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
"""Documents that code hosts show by themselves."""


def test_every_room_is_reached_from_readme() -> None:
    reached: set[Path] = set()
    waiting = [README]
    while waiting:
        document = waiting.pop()
        if document not in reached:
            reached.add(document)
            links = re.findall(r"\]\(([^)\s#]+\.md)", document.read_text())
            waiting += [(document.parent / link).resolve() for link in links]
    assert {path.name for path in set(DOCUMENTS) - reached} == BY_THEIR_NAMES


def test_the_map_has_every_floor() -> None:
    rooms = {
        re.sub(r"\[?`(\w+)`.*", r"\1", room): int(floor) for floor, room, _ in table_of("floors")
    }
    assert rooms == FLOORS


def test_contributors_are_told_the_same_floors() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    told = {
        room.strip(" `").rstrip("/").removesuffix(".py"): int(floor)
        for floor, rooms in re.findall(r"^\| (\d) \| ([^|]*) \|", text, re.MULTILINE)
        for room in rooms.split(",")
    }
    assert told == {room: floor for room, floor in FLOORS.items() if room != "__main__"}


def test_the_table_of_needs_has_every_need() -> None:
    assert [row[0].strip("`") for row in table_of("needs")] == [need.name for need in Need]


def test_the_set_up_commands_are_those_of_pip() -> None:
    text = README.read_text()
    assert 'pip install -e ".[test]"' in text
    assert (ROOT / "pyproject.toml").exists()


def test_the_script_of_a_test() -> None:
    replies: list[str] = []

    def try_to_send(host: str, port: int) -> None:
        with blocking.connect(host, port) as client:
            client.open_session()
            result = client.send_mail("alice@example.com", ["bob@example.org"], MESSAGE)
            replies.append(str(result.recipients[0].reply))

    exec(compiled("script"), {"try_to_send": try_to_send})
    assert replies == ["421 4.3.2 bob@example.org has to wait, I am going down"]
