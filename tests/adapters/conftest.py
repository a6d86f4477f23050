"""Certificates, and the adapters by name."""

import ssl

import pytest
from tests.adapters.servers import SERVERS

from smtpwire.adapters.tls import TlsConfig
from smtpwire.testing import certificate


@pytest.fixture(scope="session")
def server_tls() -> TlsConfig:
    made = certificate()
    first = made.server_pem[made.server_pem.index(ssl.PEM_HEADER.encode()) :]
    end = first.index(ssl.PEM_FOOTER.encode()) + len(ssl.PEM_FOOTER)
    return TlsConfig(made.server_context(), ssl.PEM_cert_to_DER_cert(first[:end].decode()))


@pytest.fixture
def client_context() -> ssl.SSLContext:
    """A context of its own for each test; the system's authorities would take 25 ms to read."""
    return certificate().client_context()


@pytest.fixture(params=SERVERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
