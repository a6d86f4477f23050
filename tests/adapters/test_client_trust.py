"""The system's certificates are read when a client first needs them, and once: it takes long."""

import ssl
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.adapters.handlers import Mailbox
from tests.adapters.loops import LOOPS, Loop
from tests.adapters.servers import serving

from smtpwire.adapters import tls as tls_module
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.operations import SessionError, TlsFailed
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
WITH_TLS = replace(RELAY, starttls=True)
SUBMISSIONS = ServerConfig.submissions("mx.example.org")


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return LOOPS[request.param]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """What is made of contexts, and how often certificates are read."""
    counts: Counter[str] = Counter()

    def counting(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return real(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)

    counting(ssl, "create_default_context")
    counting(ssl.SSLContext, "load_default_certs")
    counting(ssl.SSLContext, "load_verify_locations")
    tls_module._client_tls.cache_clear()
    yield counts
    tls_module._client_tls.cache_clear()


def visits(loop: Loop, port: int, security: Security, tls: TlsConfig | None = None) -> list[bool]:
    """Two sessions; whether each is under TLS, or could not be."""
    found: list[bool] = []

    async def scenario() -> None:
        config = ClientConfig("client.example.com", security=security)
        for _ in range(2):
            client = await loop.connect("127.0.0.1", port, config, tls=tls)
            try:
                await client.open_session()
                found.append(client.conn.tls is not None)
            finally:
                await client.close()

    loop.run(scenario)
    return found


@pytest.mark.parametrize("security", [Security.NONE, Security.OPPORTUNISTIC])
def test_without_tls_nothing_is_read(loop: Loop, made: Counter[str], security: Security) -> None:
    with serving("blocking", Mailbox(), RELAY) as port:
        assert visits(loop, port, security) == [False, False]
    assert not made


def test_with_security_none_nothing_is_read_where_tls_is_offered(
    loop: Loop, made: Counter[str], server_tls: TlsConfig
) -> None:
    with serving("blocking", Mailbox(), WITH_TLS, server_tls) as port:
        assert visits(loop, port, Security.NONE) == [False, False]
    assert not made


def test_opportunistic_tls_verifies_nothing_and_reads_nothing(
    loop: Loop, made: Counter[str], server_tls: TlsConfig
) -> None:
    with serving("blocking", Mailbox(), WITH_TLS, server_tls) as port:
        assert visits(loop, port, Security.OPPORTUNISTIC) == [True, True]
    assert not made


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
def test_where_the_peer_is_verified_they_are_read_once(
    loop: Loop, made: Counter[str], server_tls: TlsConfig, security: Security
) -> None:
    config = SUBMISSIONS if security is Security.IMPLICIT else WITH_TLS
    with serving("blocking", Mailbox(), config, server_tls) as port:
        for _ in range(2):
            with pytest.raises(TlsFailed, match="certificate"):
                visits(loop, port, security)
    assert made["create_default_context"] == 1
    assert made["load_default_certs"] == 1


def test_with_a_context_of_the_callers_none_is_made(
    loop: Loop, made: Counter[str], server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    made.clear()
    with serving("blocking", Mailbox(), WITH_TLS, server_tls) as port:
        config = TlsConfig(client_context)
        assert visits(loop, port, Security.STARTTLS, config) == [True, True]
    assert not made


def test_a_server_that_offers_no_tls_costs_nothing_either(loop: Loop, made: Counter[str]) -> None:
    with serving("blocking", Mailbox(), RELAY) as port, pytest.raises(SessionError):
        visits(loop, port, Security.STARTTLS)
    assert not made
