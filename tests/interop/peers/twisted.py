"""Twisted's ESMTP: a server without PIPELINING and 8BITMIME, a delivery for each recipient."""

from tests.interop.peers.python_server import PythonServer


class Twisted(PythonServer):
    name = "twisted"
    script = "twisted_server.py"
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5")
