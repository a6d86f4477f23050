"""TLS over two callables: joined pairs, pieces, ends and garbage."""

import ssl
from collections.abc import Callable
from socket import socket, socketpair
from threading import Thread
from typing import Any

import pytest

from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.tls import TlsConfig


class Pair:
    """A client and a server at the two ends of a pair of sockets."""

    def __init__(self, server_tls: TlsConfig, client_tls: TlsConfig) -> None:
        self.near, self.far = socketpair()
        self.near.settimeout(10)
        self.far.settimeout(10)
        self.client = layer(self.near, client_tls, "localhost")
        self.server = layer(self.far, server_tls, None)

    def meanwhile(self, step: Callable[[], object]) -> Thread:
        thread = Thread(target=step)
        thread.start()
        return thread

    def close(self) -> None:
        self.near.close()
        self.far.close()

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def layer(sock: socket, tls: TlsConfig, name: str | None) -> MemoryTls:
    return MemoryTls(sock.recv, sock.sendall, tls, server_name=name)


def test_what_cannot_be_called_is_told_at_once(server_tls: TlsConfig) -> None:
    wrong: Any = b"octets"
    with pytest.raises(TypeError, match=r"^receive is bytes: pass a callable"):
        MemoryTls(wrong, print, server_tls)
    with pytest.raises(TypeError, match=r"^send is bytes: pass a callable"):
        MemoryTls(lambda size: b"", wrong, server_tls)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_ends_agree(
    version: ssl.TLSVersion, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    client_context.minimum_version = client_context.maximum_version = version
    with Pair(server_tls, TlsConfig(client_context)) as pair:
        told = []
        thread = pair.meanwhile(lambda: told.append(pair.server.shake_hands()))
        ours = pair.client.shake_hands()
        thread.join()
        (theirs,) = told
        assert ours.version == theirs.version
        assert ours.verified
        assert not theirs.verified
        assert ours.server_name == "localhost"
        assert ours.bindings["tls-server-end-point"] == theirs.bindings["tls-server-end-point"]
        assert ours.bindings.get("tls-unique") == theirs.bindings.get("tls-unique")
        assert ("tls-unique" in ours.bindings) is (ours.version == "TLSv1.2")
        message = b"x" * 100_000
        thread = pair.meanwhile(lambda: pair.server.send(message))
        received = b""
        while len(received) < len(message):
            received += pair.client.receive(1000)
        thread.join()
        assert received == message
        pair.client.close()
        assert pair.server.receive() == b""


def test_an_end_without_close_notify_is_an_end(
    server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    """Some builds of Python answer it with an alert, which nobody can take any more."""
    with Pair(server_tls, TlsConfig(client_context)) as pair:
        thread = pair.meanwhile(pair.server.shake_hands)
        pair.client.shake_hands()
        thread.join()
        pair.far.close()
        assert pair.client.receive() == b""


def test_what_the_last_send_of_a_handshake_raises_comes_through(
    server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    with Pair(server_tls, TlsConfig(client_context)) as pair:
        sent: list[bytes] = []

        def send_once(octets: bytes) -> None:
            if sent:
                raise BrokenPipeError
            sent.append(octets)
            pair.far.sendall(octets)

        server = MemoryTls(pair.far.recv, send_once, server_tls)
        thread = pair.meanwhile(pair.client.shake_hands)
        with pytest.raises(BrokenPipeError):
            server.shake_hands()  # the tickets
        thread.join()


def test_what_is_no_name(client_context: ssl.SSLContext) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"^server_name is an int: pass a str or None"):
        MemoryTls(bytes, print, client_context, server_name=wrong)


def test_garbage_is_an_ssl_error_and_the_alert_goes_out(server_tls: TlsConfig) -> None:
    said: list[bytes] = []
    server = MemoryTls(lambda size: b"EHLO client.example.com\r\n", said.append, server_tls)
    with pytest.raises(ssl.SSLError):
        server.shake_hands()


def test_the_stream_ends_in_the_handshake(client_context: ssl.SSLContext) -> None:
    said: list[bytes] = []
    client = MemoryTls(
        lambda size: b"", said.append, TlsConfig(client_context), server_name="localhost"
    )
    with pytest.raises(ssl.SSLError):
        client.shake_hands()
    assert said  # the ClientHello


def test_bindings_of_ones_own(server_tls: TlsConfig, client_context: ssl.SSLContext) -> None:
    config = TlsConfig(client_context, bindings=lambda tls: {"tls-exporter": b"e" * 32})
    with Pair(server_tls, config) as pair:
        thread = pair.meanwhile(pair.server.shake_hands)
        info = pair.client.shake_hands()
        thread.join()
        assert info.bindings["tls-exporter"] == b"e" * 32
