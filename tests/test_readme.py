"""README tells the truth: its generated parts are fresh and its examples run."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.readme_parts import GENERATED, README, example, part

from smtpwire import Address, Envelope
from smtpwire.adapters import blocking

MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\n"


@pytest.mark.parametrize("name", GENERATED)
def test_generated_parts_are_fresh(name: str) -> None:
    found = part(name).search(README.read_text())
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
    assert len(envelope.recipients) == 2
    assert body == MESSAGE
    assert capsys.readouterr().out.count("250 2.0.0 Message accepted") == 2


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


def test_the_handler_of_the_readme() -> None:
    stored: list[bytes] = []

    async def store(envelope: Envelope, content: bytes) -> None:
        await asyncio.sleep(0)
        stored.append(content)

    names: dict[str, Any] = {"store": store}
    exec(compiled("handler"), names)

    def send(port: int) -> None:
        with blocking.connect("127.0.0.1", port) as client:
            client.open_session()
            client.send_mail("alice@example.com", ["bob@example.org"], MESSAGE)

    async def main() -> None:
        server = await names["start_server"](
            names["session"],
            names["ServerConfig"].relay("mx.example.org", ["example.org"]),
            "127.0.0.1",
            0,
        )
        port = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(send, port)
        await server.shutdown()

    asyncio.run(main())
    assert stored == [MESSAGE]


def test_the_set_up_commands_are_those_of_pip() -> None:
    text = README.read_text()
    assert 'pip install -e ".[test]"' in text
    assert (Path(README).parent / "pyproject.toml").exists()
