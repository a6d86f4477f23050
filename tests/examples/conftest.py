"""The fixtures of the adapters' tests, and the one that is an example."""

from tests.adapters.conftest import client_context, server_tls
from tests.examples.sink import sink

__all__ = ["client_context", "server_tls", "sink"]
