"""What the adapters share, by itself."""

import ssl
from collections.abc import Callable
from functools import partial
from socket import SOCK_DGRAM, SOCK_SEQPACKET, SocketKind, socket, socketpair

import pytest

from smtpwire.adapters import blocking
from smtpwire.adapters.client import Dialled
from smtpwire.adapters.session import Deadline, own_name, peer_of
from smtpwire.adapters.tls import TlsConfig, check_service, client_tls
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeout, Timeouts
from smtpwire.service import Service
from smtpwire.wire.value import replace


def test_the_count_starts_anew_only_when_the_value_changes() -> None:
    now = 100.0
    deadline = Deadline()
    assert deadline.left(now, Timeout(10, 1)) == 10
    now = 104.0
    assert deadline.left(now, Timeout(10, 1)) == 6
    assert deadline.left(now, None) is None
    now = 109.0
    assert deadline.left(now, Timeout(10, 1)) == 1
    now = 120.0
    assert deadline.left(now, Timeout(10, 1)) == 0
    assert deadline.left(now, Timeout(10, 2)) == 10
    assert deadline.left(now, Timeout(5, 2)) == 5


def test_a_session_ends_when_its_own_time_is_over() -> None:
    now = 100.0
    deadline = Deadline()
    conn = ServerConnection(
        replace(ServerConfig.relay("mx.example.org"), timeouts=Timeouts(session=20))
    )
    deadline.begin_session(now, conn)
    assert deadline.left(now, None) == 20
    assert deadline.left(now, Timeout(10, 1)) == 10
    now = 115.0
    assert deadline.left(now, Timeout(10, 2)) == 5
    assert deadline.left(now, Timeout(10, 2), session=False) == 10
    now = 120.0
    assert deadline.left(now, Timeout(10, 2)) == 0
    deadline.tell(now, conn)
    assert deadline.left(now, None) is None
    assert conn.data_to_send().startswith(b"421 ")


def test_who_is_at_the_other_end() -> None:
    assert peer_of(("192.0.2.1", 25)) == Peer("192.0.2.1", 25)
    assert peer_of(("2001:db8::1", 25, 0, 0)) == Peer("2001:db8::1", 25)
    for unknown in ("/run/lmtp.sock", "", None, (3, 4_000_000_000)):  # the last: AF_VSOCK
        assert peer_of(unknown) == Peer()


def refused_at_the_door(sock: socket, error: type[Exception], words: str) -> None:
    """Neither a client nor a server takes it; it is its owner's still."""
    config = ServerConfig.relay("mx")
    for take in (
        lambda: dialled(sock=sock),
        lambda: blocking.start_server(lambda session: lambda event: None, config, sock=sock),
    ):
        with pytest.raises(error, match=words):
            take()
    assert sock.fileno() >= 0


def test_a_socket_with_tls_of_its_own_is_refused_at_the_door() -> None:
    context = ssl.create_default_context()
    with context.wrap_socket(socket(), server_hostname="mx.example.org") as secured:
        refused_at_the_door(secured, TypeError, "sock is an SSLSocket: pass a plain socket")


@pytest.mark.parametrize("kind", [SOCK_DGRAM, SOCK_SEQPACKET])
def test_a_socket_that_is_no_stream_is_refused_at_the_door(kind: SocketKind) -> None:
    near, far = socketpair(type=kind)
    with near, far:
        refused_at_the_door(near, ValueError, "pass one of SOCK_STREAM")


def test_a_clients_tls_is_verified_but_for_opportunistic_use() -> None:
    for security in Security:
        context = client_tls(security).context
        opportunistic = security is Security.OPPORTUNISTIC
        assert context.check_hostname is not opportunistic
        assert (context.verify_mode is ssl.CERT_NONE) is opportunistic


def test_tls_needs_a_certificate() -> None:
    relay = ServerConfig.relay("mx.example.org")
    tls = TlsConfig(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
    check_service(lambda _: None, relay, None)
    for config in (replace(relay, starttls=True), ServerConfig.submissions("mx.example.org")):
        check_service(lambda _: None, config, tls)
        with pytest.raises(ValueError, match="needs tls="):
            check_service(lambda _: None, config, None)


@pytest.mark.parametrize("preset", [ServerConfig.relay, ServerConfig.lmtp])
def test_tls_that_nothing_begins_is_refused(preset: Callable[..., ServerConfig]) -> None:
    """A service that was given a certificate must not go on in clear text without a word."""
    tls = TlsConfig(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
    with pytest.raises(ValueError, match=r"tls= is given, .*\(…, starttls=True\)"):
        check_service(lambda _: None, preset("mx.example.org"), tls)
    assert check_service(lambda _: None, preset("mx.example.org", starttls=True), tls) is tls


def test_what_is_required_can_come() -> None:
    relay = ServerConfig.relay("mx.example.org")
    with pytest.raises(ValueError, match="require_tls is set"):
        check_service(lambda _: None, replace(relay, require_tls=True), None)
    with pytest.raises(ValueError, match="require_auth is set, and nobody can log in"):
        check_service(lambda _: None, replace(relay, require_auth=True), None)
    check_service(lambda _: None, replace(relay, require_auth=True, mechanisms=("PLAIN",)), None)
    trusting = replace(relay, require_auth=True, xclient={"192.0.2.1"}, xclient_login=True)
    check_service(lambda _: None, trusting, None)


def dialled(
    host: str = "",
    port: int = 25,
    config: ClientConfig | None = None,
    *,
    path: str = "",
    sock: socket | None = None,
    local_addr: str = "",
) -> ClientConfig:
    return Dialled(host, port, config, None, "", 30.0, local_addr, path, sock).config


def test_what_is_dialled_is_known_unless_named_otherwise() -> None:
    """RFC 8461 §4."""
    assert dialled("mx.example.org") == ClientConfig(host="mx.example.org", port=25)
    assert dialled("mx.example.org.") == ClientConfig(host="mx.example.org", port=25)
    named = ClientConfig(host="mail.example.org", port=587)
    assert dialled("192.0.2.1", 2525, named) == named
    assert dialled(path="/run/lmtp.sock") == ClientConfig()


class Own:
    """A socket with this address of its own."""

    def __init__(self, address: object) -> None:
        self.address = address

    def getpeername(self) -> object:
        raise NotImplementedError

    def getsockname(self) -> object:
        if isinstance(self.address, OSError):
            raise self.address
        return self.address


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (("203.0.113.9", 50000), "[203.0.113.9]"),
        (("2001:db8::9", 50000, 0, 0), "[IPv6:2001:db8::9]"),
        (("::ffff:203.0.113.9", 50000, 0, 0), "[203.0.113.9]"),
        (("fe80::1%eth0", 50000, 0, 2), "[IPv6:fe80::1]"),
        ("", "[127.0.0.1]"),
        ((3, 4_000_000_000), "[127.0.0.1]"),  # of AF_VSOCK
        (("00:11:22:33:44:55", 1), "[127.0.0.1]"),  # of AF_BLUETOOTH
        (OSError(), "[127.0.0.1]"),
    ],
)
def test_what_a_client_calls_itself(address: object, name: str) -> None:
    """RFC 5321 §4.1.3."""
    assert own_name(Own(address)) == name


@pytest.mark.parametrize("port", [0, -1, 65536, 65561])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="pass a number from 1 to 65535"):
        dialled("mx.example.org", port, ClientConfig(port=25))


@pytest.mark.parametrize("host", ["mx.example.org:25", "smtp://mx.example.org", "[::1]"])
def test_a_host_is_a_name_or_an_address_alone(host: str) -> None:
    """The resolver would say that there is no such name."""
    listening = partial(blocking.start_server, Service(), ServerConfig.relay("mx.example.org"))
    for wrong in (dialled, listening):
        with pytest.raises(ValueError, match="pass a name or an address alone, a port beside it"):
            wrong(host, 25)
    with pytest.raises(ValueError, match=r"^local_addr is "):
        dialled("mx.example.org", local_addr=host)


def test_one_thing_is_dialled() -> None:
    unconnected = socket()
    unconnected.close()
    wrongs: list[Callable[[], object]] = [
        lambda: dialled(),
        lambda: dialled("mx.example.org", path="/run/lmtp.sock"),
        lambda: dialled("mx.example.org", sock=unconnected),
        lambda: dialled(path="/run/lmtp.sock", local_addr="192.0.2.1"),
    ]
    for wrong in wrongs:
        with pytest.raises(TypeError, match=r"connect\(\) takes"):
            wrong()
