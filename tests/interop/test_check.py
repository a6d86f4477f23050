"""``check`` against real servers: it sends no mail, and finds what is known of them."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from tests.interop.peers.registry import Servers

pytestmark = pytest.mark.interop


def checked(port: int, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "smtpwire", "check", f"localhost:{port}", "--json", *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode in (0, 1), run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("name", ["postfix", "exim", "aiosmtpd"])
def test_servers_with_tls(name: str, servers: Servers) -> None:
    server = servers(name)
    before = len(server.delivered())
    found = checked(server.ports[server.listeners[0]], "--cafile", str(server.authority.ca))
    assert found["greeting"].startswith("220 ")
    assert found["tls"]["how"] == "STARTTLS"
    assert found["tls"]["verified"], found["tls"]["error"]
    assert "STARTTLS" in found["extensions"]
    assert found["limits"]["SIZE"].isdigit()
    assert found["clients"]["submission client"].startswith("would log in by ")
    assert not any("does not verify" in text for text in found["warnings"])
    assert len(server.delivered()) == before


def test_smtp_sink(servers: Servers) -> None:
    server = servers("smtp-sink")
    found = checked(server.ports[server.listeners[0]])
    assert found["tls"]["how"] == "none"
    assert "STARTTLS is not offered: everything goes in clear text (RFC 3207)" in found["warnings"]


def test_serve() -> None:
    command = [sys.executable, "-m", "smtpwire", "serve", "--port", "0", "--all-extensions"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        assert process.stdout is not None
        listening = re.match(r"# listening at \S+ port (\d+)", process.stdout.readline())
        assert listening is not None
        found = checked(int(listening[1]))
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert "CHUNKING" in found["extensions"]
    assert found["warnings"] == [
        "STARTTLS is not offered: everything goes in clear text (RFC 3207)"
    ]
