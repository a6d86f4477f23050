"""Peers as fixtures. A server starts when a test first asks for it and serves the whole run."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.interop.peers.certificates import Authority
from tests.interop.peers.registry import SERVERS, Servers
from tests.interop.peers.server import ServerPeer


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority of this run, with the certificates of server and client."""
    return Authority(Path(tmp_path_factory.mktemp("certificates")))


@pytest.fixture(scope="session")
def running_servers() -> Iterator[dict[str, ServerPeer]]:
    """The servers started so far; all are stopped at the end of the run."""
    running: dict[str, ServerPeer] = {}
    yield running
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: server.stop(), running.values()))


@pytest.fixture
def servers(
    authority: Authority, running_servers: dict[str, ServerPeer], request: pytest.FixtureRequest
) -> Iterator[Servers]:
    """Start server peers by name, or take those which run already."""
    used: list[ServerPeer] = []

    def server(name: str) -> ServerPeer:
        if name not in running_servers:
            peer = SERVERS[name](authority)
            peer.start()
            running_servers[name] = peer
        used.append(running_servers[name])
        return running_servers[name]

    yield server
    for peer in used:
        request.node.add_report_section("teardown", f"log of {peer.name}", peer.log()[-20000:])
