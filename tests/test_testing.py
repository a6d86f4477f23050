"""What users' tests are given: every split, drain, a pair of engines in memory."""

import pytest

from smtpwire import testing
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Closed, CloseReason, EndOfMessage, ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.operations import HANDED_IN, ServiceRefused, TlsFailed, open_session, quit, send_mail
from smtpwire.testing import SIMULATED_TLS, ConnectionPair, drain, every_split
from smtpwire.wire.address import Address
from smtpwire.wire.command import Data, Hello, Mail, Quit, Rcpt, StartTls
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import replace

CONFIG = replace(
    ServerConfig.relay("mx.example.com", ("example.org", "example.com")), starttls=True
)


def _pair() -> tuple[ClientConnection, ServerConnection]:
    return ClientConnection(), ServerConnection(CONFIG)


@pytest.mark.parametrize(
    ("data", "splits"),
    [
        (b"", [[]]),
        (b"a", [[b"a"]]),
        (b"ab", [[b"ab"], [b"a", b"b"]]),
        (b"abc", [[b"abc"], [b"a", b"b", b"c"], [b"a", b"bc"], [b"ab", b"c"]]),
    ],
)
def test_every_split(data: bytes, splits: list[list[bytes]]) -> None:
    assert list(every_split(data)) == splits


def test_drain() -> None:
    client, server = _pair()
    assert drain(client) == ([], Need.DATA)
    events, need = drain(server)
    assert len(events) == 1
    assert need is Need.REPLY


def test_a_session_with_tls() -> None:
    pair = ConnectionPair(*_pair())
    pair.settle()
    for hello in ("before.example", "after.example"):
        pair.client.send(Hello(hello))
        pair.settle()
        if pair.client.tls is None:
            pair.client.send(StartTls())
            pair.settle()
    assert pair.client.tls is pair.server.tls is SIMULATED_TLS
    pair.client.send(Quit())
    pair.settle()
    assert pair.client_events[-1] == Closed(CloseReason.QUIT, Reply(221, "Goodbye", "2.0.0"))
    assert isinstance(pair.server_events[-1], Closed)


@pytest.mark.parametrize("side", ["client_tls", "server_tls"])
def test_a_handshake_that_fails(side: str) -> None:
    client, server = _pair()
    pair = (
        ConnectionPair(client, server, client_tls=None)
        if side == "client_tls"
        else ConnectionPair(client, server, server_tls=None)
    )
    pair.settle()
    client.send(Hello("c.example"))
    pair.settle()
    client.send(StartTls())
    pair.settle()
    for events in (pair.client_events, pair.server_events):
        last = events[-1]
        assert isinstance(last, Closed)
        assert last.reason is CloseReason.TLS_FAILED


def test_octets_in_the_way_of_the_handshake() -> None:
    client, server = _pair()
    pair = ConnectionPair(client, server)
    pair.settle()
    client.send(Hello("c.example"))
    pair.settle()
    client.send(StartTls())
    pair.pull_client()
    pair.deliver_to_server()
    pair.pull_server()
    pair.to_server.append(b"EHLO injected.example\r\n")
    pair.settle()
    assert (client.state, server.state) == (State.CLOSED, State.CLOSED)


def test_answers_may_come_later() -> None:
    asked: list[ServerEvent] = []
    client, server = _pair()
    pair = ConnectionPair(client, server, answer=asked.append)
    pair.settle()
    assert len(asked) == 1
    server.reply(Reply(554, "no"))
    pair.settle()
    assert len(pair.client_events) == 1
    client.send(Quit())
    pair.settle()
    assert client.next_event() is Need.CLOSE


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_what_is_sent_may_arrive_in_pieces(size: int) -> None:
    client, server = _pair()
    pair = ConnectionPair(
        client,
        server,
        chunks=lambda octets: [octets[at : at + size] for at in range(0, len(octets), size)],
    )
    pair.settle()
    client.send(Hello("c.example"))
    pair.settle()
    address = Address("alice", "example.com")
    for command in (Mail(address), Rcpt(address), Data()):
        client.send(command)
    pair.settle()
    client.send_body(b"x" * 100_000)
    client.end_body()
    pair.settle()
    ends = [event for event in pair.server_events if isinstance(event, EndOfMessage)]
    assert [end.size for end in ends] == [100_002]


def test_what_comes_after_the_end_is_dropped() -> None:
    client, server = _pair()
    pair = ConnectionPair(client, server)
    pair.settle()
    server.shutdown()
    client.send(Hello("c.example"))
    pair.settle()
    assert not pair.to_client
    assert not pair.to_server
    pair.to_client.append(b"more")
    pair.to_server.append(b"more")
    pair.settle()
    assert not pair.to_client
    assert not pair.to_server


def test_a_side_that_wants_no_data_is_given_none() -> None:
    client, server = _pair()
    pair = ConnectionPair(client, server, client_tls=None)
    pair.settle()
    client.send(Hello("c.example"))
    pair.settle()
    client.send(StartTls())
    pair.pull_client()
    pair.to_server.append(b"x")
    pair.deliver_to_server()
    pair.pull_server()
    assert pair.deliver_to_server() is False
    assert pair.deliver_to_client() is True
    pair.pull_client()
    pair.to_client.append(b"x")
    assert pair.deliver_to_client() is False
    assert (list(pair.to_client), list(pair.to_server)) == ([b"x"], [b"x"])


def test_a_server_that_has_to_write_first() -> None:
    server = ServerConnection(replace(CONFIG, limits=replace(CONFIG.limits, output=10)))
    pair = ConnectionPair(ClientConnection(), server)
    pair.settle()
    pair.to_server.append(b"NOOP\r\n" * 20)
    pair.deliver_to_server()
    pair.pull_server()
    assert len(pair.to_client) > 1


def test_the_end_of_one_side_is_told_to_the_other() -> None:
    client, server = _pair()
    pair = ConnectionPair(client, server)
    pair.settle()
    server.abort()
    pair.settle()
    assert pair.client_events[-1] == Closed(CloseReason.EOF)


# -- an operation over a pair


@pytest.mark.parametrize("chunks", [False, True])
def test_an_operation_over_a_pair(chunks: bool) -> None:
    config = replace(ClientConfig(), security=Security.STARTTLS, host="mx.example.com")
    pair = ConnectionPair(
        ClientConnection(config),
        ServerConnection(CONFIG),
        chunks=lambda octets: (
            [octets[at : at + 7] for at in range(0, len(octets), 7)] if chunks else [octets]
        ),
    )
    pair.run(open_session(pair.client))
    assert pair.client.tls is SIMULATED_TLS
    content = b"x" * 200_000
    result = pair.run(send_mail(pair.client, "a@example.com", ["b@example.org"], content))
    assert result.recipients[0].outcome is Disposition.DONE
    assert [event.size for event in pair.server_events if isinstance(event, EndOfMessage)] == [
        200_002
    ]
    assert pair.client_events == []
    pair.run(quit(pair.client))
    assert isinstance(pair.server_events[-1], Closed)


def test_an_operation_that_fails_over_a_pair() -> None:
    client, server = _pair()
    pair = ConnectionPair(client, server, answer=lambda event: server.reply(Reply(554, "no")))
    with pytest.raises(ServiceRefused):
        pair.run(open_session(client))


def test_an_operation_that_would_wait_for_ever() -> None:
    client, server = _pair()
    pair = ConnectionPair(client, server, answer=lambda event: None)
    with pytest.raises(RuntimeError, match=r"the server too: Need\.REPLY"):
        pair.run(open_session(client))


def test_an_operation_with_content_handed_in() -> None:
    client, server = _pair()
    pair = ConnectionPair(client, server)
    pair.run(open_session(client))
    with pytest.raises(TypeError, match="HANDED_IN"):
        pair.run(send_mail(client, "a@example.com", ["b@example.org"], HANDED_IN))


def test_a_handshake_that_fails_in_an_operation() -> None:
    client = ClientConnection(replace(ClientConfig(), security=Security.STARTTLS, host="mx"))
    pair = ConnectionPair(client, ServerConnection(CONFIG), client_tls=None)
    with pytest.raises(TlsFailed):
        pair.run(open_session(client))


def test_names_are_loaded_when_used() -> None:
    assert set(testing.__all__) == set(dir(testing))
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Scripts'"):
        getattr(testing, "Scripts")  # noqa: B009 - what is tested
