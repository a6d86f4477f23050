"""Equal words in every adapter: what the adapters' README says of them is what they take."""

import inspect
import math
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from smtpwire import ClientConfig, ServerConfig, Service, adapters
from smtpwire.adapters import asyncio, blocking, trio

README = (Path(adapters.__path__[0]) / "README.md").read_text()
CLIENTS = {"blocking": blocking, "asyncio": asyncio, "trio": trio}


def words(table: str) -> list[str]:
    """The first column of a table of the README."""
    _, _, rest = README.partition(f"<!-- table: {table} -->\n")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [found[1] for row in rows if (found := re.match(r"\| `(\w+)` \|", row))]


def parameters(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    found = inspect.signature(function).parameters.values()
    return [(item.name, item.kind, item.default) for item in found]


@pytest.mark.parametrize("adapter", CLIENTS)
def test_connect_takes_the_same_words_everywhere(adapter: str) -> None:
    connect = CLIENTS[adapter].connect
    assert [name for name, _, _ in parameters(connect)] == words("connect")
    assert parameters(connect) == parameters(blocking.connect)
    assert connect.__doc__ == blocking.connect.__doc__


async def called(function: Callable[..., object], *arguments: object) -> None:
    made = function(*arguments)
    if inspect.isawaitable(made):
        await made


@pytest.mark.parametrize("adapter", CLIENTS)
def test_what_is_no_config_and_no_session_is_told_at_once(adapter: str) -> None:
    module, config = CLIENTS[adapter], ServerConfig.relay("mx.example.org")

    def refused(function: Callable[..., object], *arguments: object, error: str) -> None:
        with pytest.raises(TypeError, match=error):
            called(function, *arguments).send(None)  # nothing is awaited before

    client = ClientConfig()
    refused(module.connect, "127.0.0.1", 25, "client.example", error="a str: pass a ClientConfig")
    refused(module.connect, "127.0.0.1", 25, config, error="a ServerConfig: pass a ClientConfig")
    refused(module.start_server, print, "mx.example.org", error="a str: pass a ServerConfig")
    refused(module.start_server, print, client, error="a ClientConfig: pass a ServerConfig")
    refused(module.start_server, None, config, error="session is None: pass a ")
    refused(module.start_server, config, print, error="session is a ServerConfig: pass a ")


@pytest.mark.parametrize("adapter", CLIENTS)
def test_clients_have_the_same_methods_everywhere(adapter: str) -> None:
    client = CLIENTS[adapter].Client
    public = {name for name in dir(client) if not name.startswith("_")}
    public -= {"begin", "conn"}  # of which this page tells elsewhere
    assert public == set(words("Client"))
    assert isinstance(client.reusable, property)
    for name in public - {"reusable"}:
        ours, theirs = parameters(getattr(client, name)), parameters(getattr(blocking.Client, name))
        extra = [("content", inspect.Parameter.POSITIONAL_OR_KEYWORD, None)]
        assert ours in (theirs, theirs + extra)  # the asynchronous run() takes content as well


@pytest.mark.parametrize("adapter", CLIENTS)
def test_start_server_takes_the_same_words_everywhere(adapter: str) -> None:
    start_server = CLIENTS[adapter].start_server
    assert [name for name, _, _ in parameters(start_server)] == words("start_server")
    assert parameters(start_server) == parameters(blocking.start_server)


@pytest.mark.parametrize("adapter", CLIENTS)
def test_servers_have_the_same_methods_everywhere(adapter: str) -> None:
    server = CLIENTS[adapter].Server
    public = {name for name in dir(server) if not name.startswith("_")}
    assert public == set(words("Server"))
    assert parameters(server.shutdown) == parameters(blocking.Server.shutdown)
    entered = "__enter__" if adapter == "blocking" else "__aenter__"
    assert hasattr(server, entered)


@pytest.mark.parametrize("adapter", CLIENTS)
def test_sessions_have_the_same_methods_everywhere(adapter: str) -> None:
    module = CLIENTS[adapter]
    session = asyncio.ServerProtocol if module is asyncio else getattr(module, "ServerSession")  # noqa: B009
    for name in set(words("Session")) - {"conn"}:
        assert parameters(getattr(session, name)) == [
            ("self", inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty)
        ]


WRONG_DIALS: dict[str, tuple[dict[str, object], type[Exception], str]] = {
    "host": ({"host": ("a", 25)}, TypeError, "host is a tuple: pass a str"),
    "octets": ({"host": b"a"}, TypeError, "host is bytes: pass a str"),
    "an empty label": ({"host": "mx..b"}, ValueError, "host is 'mx..b': pass a name whose labels"),
    "mailbox": ({"host": "a@mx"}, ValueError, "host is 'a@mx': pass a name or an address alone"),
    "name of a server": ({"server_name": "m" * 64}, ValueError, "': pass a name whose labels have"),
    "timeout": ({"timeout": "3"}, TypeError, "timeout is a str: pass a float"),
    "no timeout": ({"timeout": None}, TypeError, "timeout is None: pass a float"),
    "no time": ({"timeout": 0}, ValueError, "timeout is 0: pass seconds, more than 0"),
    "not a number": ({"timeout": math.nan}, ValueError, "pass seconds, more than 0"),
    "too long": (
        {"timeout": math.inf},
        ValueError,
        "timeout is inf: pass seconds, more than 0 and",
    ),
    "server_name": ({"server_name": b"a"}, TypeError, "server_name is bytes: pass a str"),
    "local_addr": ({"local_addr": None}, TypeError, "local_addr is None: pass a str"),
    "path": ({"host": "", "path": b"/a"}, TypeError, "path is bytes: pass a str"),
    "sock": ({"host": "", "sock": 5}, TypeError, "sock is an int: pass a socket or None"),
    "port": ({"port": "25"}, TypeError, "port is a str: pass an int"),
    "no port": ({"port": True}, TypeError, "port is a bool: pass an int"),
    "high port": ({"port": 65536}, ValueError, "port 65536: pass a number from 1 to 65535"),
    "no TLS": (
        {"tls": ssl.create_default_context()},
        ValueError,
        "pass ClientConfig(security=Security.STARTTLS), or",
    ),
}


@pytest.mark.parametrize("adapter", CLIENTS)
@pytest.mark.parametrize("what", WRONG_DIALS)
def test_what_cannot_be_dialled_is_told_at_once(adapter: str, what: str) -> None:
    words, error, text = WRONG_DIALS[what]
    with pytest.raises(error, match=re.escape(text)):
        called(lambda: CLIENTS[adapter].connect(**{"host": "127.0.0.1"} | words)).send(None)


WRONG_PLACES: dict[str, tuple[dict[str, object], type[Exception], str]] = {
    "host": ({"host": b"a"}, TypeError, "host is bytes: pass a str or None"),
    "path": ({"path": 5}, TypeError, "path is an int: pass a str or None"),
    "sock": ({"sock": 5}, TypeError, "sock is an int: pass a socket or None"),
    "two": ({"host": "127.0.0.1", "path": "/a"}, TypeError, "takes one of these: a host, path="),
    "no host": ({"host": ""}, ValueError, "host is empty: pass a name or an address, or None"),
    "host of an empty label": ({"host": "mx..b"}, ValueError, "host is 'mx..b': pass a name whose"),
    "mailbox": ({"host": "a@mx"}, ValueError, "host is 'a@mx': pass a name or an address alone"),
    "port": ({"port": "25"}, TypeError, "port is a str: pass an int"),
    "no port": ({"port": True}, TypeError, "port is a bool: pass an int"),
    "no name": ({"path": ""}, ValueError, "path is empty: pass the name of a socket file"),
    "high port": ({"port": 65536}, ValueError, "port 65536: pass a number from 0 to 65535"),
    "reuse_port": ({"reuse_port": 1}, TypeError, "reuse_port is an int: pass a bool"),
    "reuse_port of a path": ({"path": "/a", "reuse_port": True}, TypeError, "with a host only"),
    "connections": ({"max_connections": "5"}, TypeError, "max_connections is a str: pass an int"),
    "none at all": ({"max_connections": 0}, ValueError, "max_connections is 0: pass at least 1"),
    "of a peer": (
        {"max_connections_per_peer": 0},
        ValueError,
        "max_connections_per_peer is 0: pass at least 1",
    ),
}


@pytest.mark.parametrize("adapter", CLIENTS)
@pytest.mark.parametrize("what", WRONG_PLACES)
def test_where_nobody_can_listen_is_told_at_once(adapter: str, what: str) -> None:
    words, error, text = WRONG_PLACES[what]
    config = ServerConfig.relay("mx.example.org")
    with pytest.raises(error, match=re.escape(text)):
        called(lambda: CLIENTS[adapter].start_server(print, config, **words)).send(None)


@pytest.mark.parametrize("adapter", CLIENTS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_a_socket_that_is_not_bound_is_told_at_once(adapter: str, family: int) -> None:
    """Linux would listen at a port that nobody knows, on all addresses."""
    config = ServerConfig.relay("mx.example.org")
    with (
        socket.socket(family) as unbound,
        pytest.raises(ValueError, match=r"^sock is not bound: call its bind\(\) with an address"),
    ):
        called(lambda: CLIENTS[adapter].start_server(Service, config, sock=unbound)).send(None)


@pytest.mark.parametrize("adapter", CLIENTS)
def test_a_socket_that_is_connected_is_told_at_once(adapter: str) -> None:
    config = ServerConfig.relay("mx.example.org")
    one, other = socket.socketpair()
    with one, other, pytest.raises(ValueError, match=r"^sock is connected: pass one that is bound"):
        called(lambda: CLIENTS[adapter].start_server(Service, config, sock=one)).send(None)
