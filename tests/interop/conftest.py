"""Peers as fixtures. A server starts when a test first asks for it and serves the whole run.

What the tests show with which peer is collected; with SMTPWIRE_MATRIX=write in the environment a
complete run writes it to matrix.json.
"""

import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pytest
from tests.interop import matrix
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


class Shows(Protocol):
    """``shows("clients", "curl", "STARTTLS")``: noted where the test passes."""

    def __call__(self, kind: matrix.Kind, peer: str, *features: str) -> None: ...


_SHOWN = pytest.StashKey[list[tuple[matrix.Kind, str, tuple[str, ...]]]]()
_ROWS = pytest.StashKey[matrix.Rows]()
_WHOLE = pytest.StashKey[bool]()
_SHOWING = ("clients", "relays", "servers", "sasl_peers", "the_matrix")


@pytest.fixture
def shows(request: pytest.FixtureRequest) -> Shows:
    """Note what a test has shown with a peer."""
    shown = request.node.stash.setdefault(_SHOWN, [])

    def note(kind: matrix.Kind, peer: str, *features: str) -> None:
        shown.append((kind, peer, features))

    return note


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> matrix.Rows:
    """What the tests before this one have shown; it skips where some of them did not run."""
    if not request.config.stash.get(_WHOLE, True):
        pytest.skip("the matrix is that of a complete run")
    return request.config.stash[_ROWS]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = matrix.empty()


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("interop"):
            item.config.stash[_WHOLE] = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The matrix is looked at last."""
    items.sort(key=lambda item: item.name == "test_the_matrix_is_fresh")
    modules = {item.path.name for item in items}
    config.stash[_WHOLE] = {f"test_{name}.py" for name in _SHOWING} <= modules


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and report.passed:
        for kind, peer, features in item.stash.get(_SHOWN, []):
            matrix.add(item.config.stash[_ROWS], kind, peer, features)
    elif item.get_closest_marker("interop") and not report.passed:
        item.config.stash[_WHOLE] = False
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    whole = session.config.stash.get(_WHOLE, False)
    if os.environ.get("SMTPWIRE_MATRIX") == "write" and whole:
        matrix.MATRIX.write_text(matrix.dump(session.config.stash[_ROWS]))
