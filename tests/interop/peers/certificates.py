"""A certificate authority for one run of the tests, with a server's and a client's certificate."""

import shutil
import ssl
from pathlib import Path

import pytest


class Authority:
    """Certificates as files: the server is ``localhost`` and 127.0.0.1, the client is ``user``."""

    def __init__(self, directory: Path) -> None:
        trustme = pytest.importorskip("trustme", reason="it makes the certificates")
        authority = trustme.CA()
        server = authority.issue_cert("localhost", "127.0.0.1", common_name="localhost")
        client = authority.issue_cert("user@localhost", common_name="user")
        self.ca = directory / "ca.pem"
        self.certificate = directory / "cert.pem"
        self.key = directory / "key.pem"
        self.client_certificate = directory / "client-cert.pem"
        self.client_key = directory / "client-key.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        server.cert_chain_pems[0].write_to_path(str(self.certificate))
        server.private_key_pem.write_to_path(str(self.key))
        client.cert_chain_pems[0].write_to_path(str(self.client_certificate))
        client.private_key_pem.write_to_path(str(self.client_key))

    def copy_to(self, directory: Path) -> None:
        """Copy ca.pem, cert.pem and key.pem; daemons which drop root must be able to read them."""
        for file in (self.ca, self.certificate, self.key):
            shutil.copy(file, directory)
            (directory / file.name).chmod(0o644)

    def client_context(self, *, certificate: bool = False) -> ssl.SSLContext:
        """A context which trusts this authority alone, with the client's certificate if asked."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate:
            context.load_cert_chain(str(self.client_certificate), str(self.client_key))
        return context

    def server_context(self, *, ask_certificate: bool = False) -> ssl.SSLContext:
        """A context for a server, which asks for a client's certificate (optional) if told so."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.certificate), str(self.key))
        if ask_certificate:
            context.load_verify_locations(str(self.ca))
            context.verify_mode = ssl.CERT_OPTIONAL
        return context
