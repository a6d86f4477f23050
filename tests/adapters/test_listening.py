"""Where servers listen, and what they count."""

import errno
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.handlers import Mailbox
from tests.adapters.loops import LOOPS, Loop, no_descriptor_left

from smtpwire.adapters import blocking
from smtpwire.adapters.listening import Connections, listen
from smtpwire.engine.events import Peer
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")


def close(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def test_both_families_have_one_port() -> None:
    listeners = listen(None, 0)
    addresses = [listener.getsockname() for listener in listeners]
    close(listeners)
    assert len({port for _, port, *_ in addresses}) == 1
    assert {listener.family for listener in listeners} >= {socket.AF_INET}


def test_a_free_port_is_one_that_is_free_at_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first address has chosen somebody may have at the second."""
    taken: list[int] = []
    create = socket.create_server
    here = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (f"127.0.0.{n}", 0)) for n in (1, 2)]

    def at_the_second(address: tuple[str, int], **options: Any) -> socket.socket:
        if address[0] == "127.0.0.2" and len(taken) < 3:
            taken.append(address[1])
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return create(("127.0.0.1", 0), **options)

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
    monkeypatch.setattr(socket, "create_server", at_the_second)
    with no_descriptor_left():
        listeners = listen("mx.example.org", 0)
        close(listeners)
    assert len(listeners) == 2
    assert all(taken)


def test_an_address_that_is_taken() -> None:
    (first,) = listen("127.0.0.1", 0)
    with first, pytest.raises(OSError):
        listen("127.0.0.1", first.getsockname()[1])


def test_a_port_may_be_shared_where_that_is_asked_for() -> None:
    (first,) = listen("127.0.0.1", 0, reuse_port=True)
    (second,) = listen("127.0.0.1", first.getsockname()[1], reuse_port=True)
    close([first, second])


def test_a_socket_of_ones_own() -> None:
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    (listener,) = listen(None, 25, sock=own)
    assert listener is own
    with own, socket.create_connection(own.getsockname()):
        pass


def test_a_unix_socket_again_and_again(tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp.sock")
    config = ServerConfig.lmtp("mx.example.org")
    for _ in range(2):  # the file of the first one is replaced
        with (
            blocking.start_server(Mailbox(), config, path=path, max_connections_per_peer=1),
            socket.socket(socket.AF_UNIX) as first,
            socket.socket(socket.AF_UNIX) as second,
        ):
            for sock in (first, second):  # nobody is known, and so nobody is counted
                sock.connect(path)
                assert sock.recv(100).startswith(b"220 ")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has names without a file")
@pytest.mark.parametrize("name", LOOPS)
def test_a_unix_socket_without_a_file(name: str) -> None:
    loop: Loop = LOOPS[name]
    path = f"\0smtpwire-{os.getpid()}-{loop.name}"

    async def scenario() -> None:
        client = await loop.connect(path=path)
        async with client:
            await client.open_session()

    with blocking.start_server(Mailbox(), RELAY, path=path):
        loop.run(scenario)


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError):
        listen(None, 25, path=str(path))
    assert path.read_text() == "data"


def test_a_trusted_proxy_is_counted_in_all_only() -> None:
    config = replace(RELAY, proxy=frozenset({"192.0.2.1"}))
    connections: Connections[int] = Connections(config, 2, 1)
    with socket.socket() as sock:
        assert connections.admit(1, Peer("192.0.2.1", 1), sock)
        assert connections.admit(2, Peer("192.0.2.1", 2), sock)
        assert not connections.admit(3, Peer("192.0.2.9", 3), sock)
    connections.leave(1)
    connections.leave(1)
    with socket.socket() as sock:
        assert connections.admit(3, Peer("192.0.2.9", 3), sock)
        assert not connections.admit(4, Peer("192.0.2.9", 4), sock)


def test_all_who_wait_are_told_when_the_last_one_is_over() -> None:
    connections: Connections[int] = Connections(RELAY, None, None)
    told: list[int] = []
    with socket.socket() as sock:
        connections.admit(1, Peer(), sock)
    connections.when_empty(lambda: told.append(1))
    connections.when_empty(lambda: told.append(2))
    assert told == []
    connections.leave(1)
    assert sorted(told) == [1, 2]
    connections.when_empty(lambda: told.append(3))
    assert sorted(told) == [1, 2, 3]
