"""What the adapters share, by itself."""

import ssl

import pytest

from smtpwire.adapters.client import dialled
from smtpwire.adapters.session import Deadline, peer_of
from smtpwire.adapters.tls import TlsConfig, check_tls, client_tls
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Peer
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeout
from smtpwire.wire.value import replace


def test_the_count_starts_anew_only_when_the_value_changes() -> None:
    now = 100.0
    deadline = Deadline(lambda: now)
    assert deadline.left(Timeout(10, 1)) == 10
    now = 104.0
    assert deadline.left(Timeout(10, 1)) == 6
    assert deadline.left(None) is None
    now = 109.0
    assert deadline.left(Timeout(10, 1)) == 1
    now = 120.0
    assert deadline.left(Timeout(10, 1)) == 0
    assert deadline.left(Timeout(10, 2)) == 10
    assert deadline.left(Timeout(5, 2)) == 5


def test_who_is_at_the_other_end() -> None:
    assert peer_of(("192.0.2.1", 25)) == Peer("192.0.2.1", 25)
    assert peer_of(("2001:db8::1", 25, 0, 0)) == Peer("2001:db8::1", 25)
    for unknown in ("/run/lmtp.sock", "", None):
        assert peer_of(unknown) == Peer()


def test_a_clients_tls_is_verified_but_for_opportunistic_use() -> None:
    for security in Security:
        context = client_tls(security).context
        opportunistic = security is Security.OPPORTUNISTIC
        assert context.check_hostname is not opportunistic
        assert (context.verify_mode is ssl.CERT_NONE) is opportunistic


def test_tls_needs_a_certificate() -> None:
    relay = ServerConfig.relay("mx.example.org")
    tls = TlsConfig(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
    check_tls(relay, None)
    for config in (replace(relay, starttls=True), ServerConfig.submissions("mx.example.org")):
        check_tls(config, tls)
        with pytest.raises(ValueError, match="needs tls="):
            check_tls(config, None)


def test_what_is_dialled_is_known_unless_named_otherwise() -> None:
    assert dialled(None, "mx.example.org", 25) == ClientConfig(host="mx.example.org", port=25)
    named = ClientConfig(host="mail.example.org", port=587)
    assert dialled(named, "192.0.2.1", 2525) == named
