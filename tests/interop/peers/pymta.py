"""pymta: a server without extensions, in processes that share a port."""

from tests.interop.peers.python_server import PythonServer


class Pymta(PythonServer):
    name = "pymta"
    script = "pymta_server.py"
    listeners = ("smtp",)
