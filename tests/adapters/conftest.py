"""Certificates, and the adapters by name."""

import ssl

import pytest
import trustme
from tests.adapters.servers import SERVERS

from smtpwire.adapters.tls import TlsConfig


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> TlsConfig:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    return TlsConfig(context, der)


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """A context of its own for each test; the system's authorities would take 25 ms to read."""
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


@pytest.fixture(params=SERVERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
