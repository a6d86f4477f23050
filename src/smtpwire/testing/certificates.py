"""A certificate made for the test, and contexts of TLS that use it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    import ssl

__all__ = ["Certificate", "certificate"]

NAMES: Final = ("localhost", "127.0.0.1", "::1")


@final
class Certificate:
    """A certificate for ``localhost`` and the loopback addresses.

    ``server_pem`` holds the certificate and its key, ``trusted_pem`` what a client has to trust;
    both as PEM. The two contexts are ready for use.
    """

    def __init__(self, server_pem: bytes, trusted_pem: bytes) -> None:
        self.server_pem: Final = server_pem
        self.trusted_pem: Final = trusted_pem

    def server_context(self) -> ssl.SSLContext:
        """For a server."""
        import ssl
        from pathlib import Path
        from tempfile import TemporaryDirectory

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with TemporaryDirectory() as directory:  # ssl reads keys from files only
            path = Path(directory, "server.pem")
            path.write_bytes(self.server_pem)
            context.load_cert_chain(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this certificate alone, and verifies the name."""
        import ssl

        return ssl.create_default_context(cadata=self.trusted_pem.decode("ascii"))


@cache
def certificate() -> Certificate:
    """The certificate of this process's tests, made when it is first asked for.

    By ``trustme`` where that is installed, else by the command ``openssl``, version 1.1.1 or newer.
    Raises RuntimeError where there is neither, or the command fails.
    """
    try:
        import trustme
    except ImportError:
        return _by_openssl()
    authority = trustme.CA()
    issued = authority.issue_cert(*NAMES)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return Certificate(issued.private_key_pem.bytes() + chain, authority.cert_pem.bytes())


def _by_openssl() -> Certificate:
    import subprocess
    from pathlib import Path
    from shutil import which
    from tempfile import TemporaryDirectory

    command = which("openssl")
    if command is None:
        raise RuntimeError(
            "no certificate can be made for the test: install trustme (pip install trustme)"
            " or the command openssl"
        )
    with TemporaryDirectory() as directory:
        key, made = Path(directory, "key.pem"), Path(directory, "certificate.pem")
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
        words = (
            f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -addext {names}"
        )
        run = subprocess.run(  # noqa: S603 - found in the PATH, and nothing in it is a user's
            [command, *words.split(), "-subj", "/CN=localhost", "-keyout", key, "-out", made],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise RuntimeError(f"openssl made no certificate for the test: {run.stderr.strip()}")
        public = made.read_bytes()
        return Certificate(key.read_bytes() + public, public)
