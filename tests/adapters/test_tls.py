"""How TLS is configured, and the layer without a socket."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from smtpwire.adapters.memory_tls import MemoryTls
from smtpwire.adapters.session import why
from smtpwire.adapters.tls import TlsConfig, TlsLayer, check_service, client_tls, tls_config
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.testing import certificate
from smtpwire.wire.value import replace


def join(client: TlsLayer, server: TlsLayer) -> tuple[TlsInfo, TlsInfo]:
    """The handshake of two layers."""
    ours = theirs = None
    while ours is None or theirs is None:
        ours = ours or client.shake_hands()
        server.receive_data(client.data_to_send())
        theirs = theirs or server.shake_hands()
        client.receive_data(server.data_to_send())
    return ours, theirs


def test_a_context_by_itself_will_do(client_context: ssl.SSLContext, server_tls: TlsConfig) -> None:
    assert tls_config(client_context, server_side=False) == TlsConfig(client_context)
    assert tls_config(server_tls, server_side=True) is server_tls
    relay = replace(ServerConfig.relay("mx.example.org"), starttls=True)
    assert check_service(lambda _: None, relay, server_tls.context) == TlsConfig(server_tls.context)


@pytest.mark.parametrize("wrong", [None, True, "cert.pem", ("cert.pem", "key.pem")])
def test_what_is_no_configuration_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"pass a TlsConfig or an ssl\.SSLContext"):
        tls_config(wrong, server_side=True)


def test_a_context_for_the_other_role_is_refused_before_a_handshake(
    client_context: ssl.SSLContext, server_tls: TlsConfig
) -> None:
    with pytest.raises(ValueError, match=r"PROTOCOL_TLS_CLIENT.*CLIENT_AUTH"):
        check_service(lambda _: None, ServerConfig.relay("mx.example.org"), client_context)
    with pytest.raises(ValueError, match=r"PROTOCOL_TLS_SERVER.*SERVER_AUTH"):
        MemoryTls(lambda size: b"", len, server_tls, server_name="localhost")


def test_the_default_of_clients_is_made_once_for_each_kind() -> None:
    assert client_tls(Security.STARTTLS) is client_tls(Security.IMPLICIT)
    assert client_tls(Security.OPPORTUNISTIC) is client_tls(Security.OPPORTUNISTIC)
    assert client_tls(Security.OPPORTUNISTIC) is not client_tls(Security.STARTTLS)


def test_the_default_of_clients_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = client_tls(Security.STARTTLS)
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    assert client_tls(Security.STARTTLS) is not before
    monkeypatch.undo()
    assert client_tls(Security.STARTTLS) is before


def test_dns_end_dot_is_left_out(client_context: ssl.SSLContext) -> None:
    asked: list[str] = []
    context = certificate().server_context()
    context.sni_callback = lambda tls, name, context: asked.append(name)
    theirs = TlsConfig(context)
    ours, _ = join(TlsLayer(TlsConfig(client_context), "localhost."), TlsLayer(theirs))
    assert asked == ["localhost"]  # RFC 6066 §3
    assert ours.verified
    assert ours.server_name == "localhost"


class Wrapping(ssl.SSLContext):
    """As PyPy's: what ``sni_callback`` was set to comes back inside of an object."""

    inner = SimpleNamespace(callback=None)

    def wrap(self, callback: object) -> None:
        self.inner = SimpleNamespace(callback=callback)


def test_a_callback_for_sni_comes_back_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = property(lambda context: context.inner, Wrapping.wrap)
    monkeypatch.setattr(Wrapping, "sni_callback", wrapped)
    asked: list[str] = []
    context = Wrapping(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda tls, name, context: asked.append(name)
    for _ in range(2):
        TlsConfig(context)
        context.inner.callback(Wrapping, "mx.example.org", context)
    assert asked == ["mx.example.org"] * 2


def test_a_binding_that_cannot_be_computed_is_none(
    client_context: ssl.SSLContext, server_tls: TlsConfig, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(tls: object) -> Mapping[str, bytes]:
        raise ZeroDivisionError("secret material")

    ours, _ = join(
        TlsLayer(TlsConfig(client_context, bindings=broken), "localhost"),
        TlsLayer(TlsConfig(server_tls.context, b"this is no certificate")),
    )
    assert set(ours.bindings) == {"tls-server-end-point"}
    assert "TlsConfig.bindings failed" in caplog.text


def test_a_server_without_a_binding_of_its_own(
    client_context: ssl.SSLContext, server_tls: TlsConfig
) -> None:
    odd = TlsConfig(server_tls.context, b"this is no certificate")
    _, theirs = join(TlsLayer(TlsConfig(client_context), "localhost"), TlsLayer(odd))
    assert theirs.bindings == {}


def test_what_is_said_and_the_end(client_context: ssl.SSLContext, server_tls: TlsConfig) -> None:
    client, server = TlsLayer(TlsConfig(client_context), "localhost"), TlsLayer(server_tls)
    join(client, server)
    client.write(b"x" * 100_000)
    server.receive_data(client.data_to_send())
    received = b""
    while (octets := server.read()) is not None:
        received += octets
    assert received == b"x" * 100_000
    client.close()
    server.receive_data(client.data_to_send())
    assert server.read() == b""


class Pin:
    """Knows one certificate; notes what it is asked about."""

    def __init__(self, der: bytes, answer: object = None) -> None:
        self.der, self.answer = der, answer
        self.asked: list[tuple[PeerCertificate, tuple[bytes, ...]]] = []

    def __call__(self, peer: PeerCertificate, chain: tuple[bytes, ...]) -> bool:
        self.asked.append((peer, chain))
        if isinstance(self.answer, Exception):
            raise self.answer
        return peer.der == self.der


def trusting(verify: Pin) -> TlsConfig:
    """Verifies by the hook alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return TlsConfig(context, verify=verify)


def test_a_hook_decides_whether_a_certificate_counts_as_verified(server_tls: TlsConfig) -> None:
    pin = Pin(server_tls.certificate)
    ours, _ = join(TlsLayer(trusting(pin), "localhost"), TlsLayer(server_tls))
    assert ours.verified
    assert ours.peer == PeerCertificate(server_tls.certificate)
    ((peer, chain),) = pin.asked
    assert peer.der == chain[0] == server_tls.certificate
    other = Pin(b"another")
    ours, _ = join(TlsLayer(trusting(other), "localhost"), TlsLayer(server_tls))
    assert not ours.verified
    assert ours.peer is None


def test_a_hook_may_be_stricter_than_the_context(
    client_context: ssl.SSLContext, server_tls: TlsConfig
) -> None:
    pin = Pin(b"another")
    config = TlsConfig(client_context, verify=pin)
    ours, _ = join(TlsLayer(config, "localhost"), TlsLayer(server_tls))
    assert not ours.verified
    assert "localhost" in pin.asked[0][0].names


def test_a_hook_that_raises_fails_the_handshake(server_tls: TlsConfig) -> None:
    pin = Pin(b"", ssl.SSLCertVerificationError("another key than yesterday"))
    with pytest.raises(ssl.SSLCertVerificationError, match="another key than yesterday"):
        join(TlsLayer(trusting(pin), "localhost"), TlsLayer(server_tls))


def test_a_hook_is_given_a_chain_of_a_session_that_is_resumed(
    client_context: ssl.SSLContext, tmp_path: Path
) -> None:
    made = certificate()
    path = tmp_path / "client.pem"
    path.write_bytes(made.server_pem)
    client_context.load_cert_chain(path)
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2  # a session is there at once
    context = made.server_context()
    context.load_verify_locations(cadata=made.trusted_pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    pin = Pin(b"")
    session: ssl.SSLSession | None = None
    for resumed in (False, True):
        server = TlsLayer(TlsConfig(context, verify=pin))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context.wrap_bio(
            incoming, outgoing, server_hostname="localhost", session=session
        )
        theirs = None
        while theirs is None:
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            server.receive_data(outgoing.read())
            theirs = server.shake_hands()
            incoming.write(server.data_to_send())
        client.do_handshake()
        session = client.session
        assert client.session_reused is resumed
    assert [chain[:1] for _, chain in pin.asked] == [(peer.der,) for peer, _ in pin.asked]
    assert len(pin.asked) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLError(1, "[SSL: X] wrong version number (_ssl.c:1006)"), "wrong version number"),
        (OSError(104, "Connection reset by peer"), "Connection reset by peer"),
        (TimeoutError(), "too slow"),
        (EOFError(), "EOFError"),
    ],
)
def test_what_an_exception_says_names_no_place_in_python_s_source(
    error: Exception, words: str
) -> None:
    assert why(error).endswith(words)


def test_who_shows_no_certificate_is_not_asked_about(
    client_context: ssl.SSLContext, server_tls: TlsConfig
) -> None:
    pin = Pin(b"")
    service = TlsConfig(server_tls.context, verify=pin)
    _, theirs = join(TlsLayer(TlsConfig(client_context), "localhost"), TlsLayer(service))
    assert not theirs.verified
    assert pin.asked == []
