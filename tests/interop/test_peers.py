"""The peers themselves: each server starts, takes a message and stops."""

import smtplib
import socket
import time

import pytest
from tests.interop.peers.clients import CLIENTS, Order, Variant, run, variants
from tests.interop.peers.registry import SERVERS, Servers
from tests.interop.peers.server import PASSWORD, ServerPeer

pytestmark = pytest.mark.interop

TLS_AT_ONCE = {"smtps", "submissions", "lmtps"}
# The listener which takes a message without authentication
OPEN = {"dovecot": "lmtp", "smtp-server-lmtp": "lmtp", "aiosmtpd-lmtp": "lmtp"}


def connect(peer: ServerPeer, listener: str) -> smtplib.SMTP:
    port = peer.ports[listener]
    if listener in TLS_AT_ONCE:
        context = peer.authority.client_context()
        client = smtplib.SMTP_SSL("localhost", port, "client.test", timeout=10, context=context)
        client.ehlo_msg = "lhlo" if listener == "lmtps" else "ehlo"
        return client
    if listener == "lmtp":
        return smtplib.LMTP("localhost", port, "client.test", timeout=10)
    return smtplib.SMTP("localhost", port, "client.test", timeout=10)


def message(marker: str) -> bytes:
    return (
        "From: a@client.test\r\nTo: x@example.test\r\n"
        f"Subject: {marker}\r\nMessage-ID: <{marker}@client.test>\r\nDate: Wed, 25 Nov 2026 00:00:00 +0000\r\n"
        "\r\nhello\r\n.dot\r\n..dots\r\n\r\nend\r\n"
    ).encode()


@pytest.mark.parametrize("name", SERVERS)
def test_every_listener_answers_ehlo(name: str, servers: Servers) -> None:
    peer = servers(name)
    for listener in peer.listeners:
        with connect(peer, listener) as client:
            assert client.ehlo()[0] == 250
            if listener == "submission" or (listener == "smtp" and client.has_extn("starttls")):
                client.starttls(context=peer.authority.client_context())
                assert client.ehlo()[0] == 250


@pytest.mark.parametrize("name", SERVERS)
def test_a_message_is_delivered(name: str, servers: Servers) -> None:
    peer = servers(name)
    sent = message(f"{name}.{time.monotonic_ns()}")
    with connect(peer, OPEN.get(name, "smtp")) as client:
        assert client.sendmail("a@client.test", [peer.recipient], sent) == {}
    (delivered,) = peer.wait_for(sent.split(b"\r\n")[3])
    assert delivered.message == sent
    assert delivered.envelope.reverse_path == "a@client.test"
    assert delivered.envelope.forward_paths == (peer.recipient,)


@pytest.mark.parametrize(
    "name", [name for name, peer in SERVERS.items() if peer.rejects and "smtp" in peer.listeners]
)
def test_recipients_are_refused(name: str, servers: Servers) -> None:
    peer = servers(name)
    with connect(peer, "smtp") as client:
        client.ehlo()
        client.mail("a@client.test")
        assert client.rcpt("reject5@example.test")[0] // 10 == 55
        assert client.rcpt("reject4@example.test")[0] // 10 == 45


@pytest.mark.parametrize("name", [name for name, peer in SERVERS.items() if peer.mechanisms])
def test_the_account_is_known(name: str, servers: Servers) -> None:
    peer = servers(name)
    listener = "submission" if "submission" in peer.listeners else peer.listeners[0]
    with connect(peer, listener) as client:
        client.ehlo()
        client.starttls(context=peer.authority.client_context())
        client.ehlo()
        offered = client.esmtp_features["auth"].split()
        assert set(peer.mechanisms) - {"EXTERNAL"} <= set(offered)
        assert client.login(peer.user, PASSWORD)[0] == 235


@pytest.mark.parametrize("name", SERVERS)
def test_a_stopped_server_is_gone(name: str, servers: Servers) -> None:
    started = servers(name)
    with SERVERS[name](started.authority) as peer:
        directory, ports = peer.directory, peer.ports
    assert not directory.exists()
    for port in ports.values():
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            pass


def order(peer: ServerPeer, variant: Variant) -> Order:
    listeners = ["smtp", "smtps"]
    if "lmtp" in peer.listeners:
        listeners = ["lmtp", "lmtps"]
    return Order(
        host="localhost" if variant.client in ("smtplib", "aiosmtplib") else "127.0.0.1",
        port=peer.ports[listeners[variant.tls == "implicit"]],
        authority=peer.authority,
        tls=variant.tls,
        auth=variant.auth,
        user=peer.user,
        recipients=(peer.recipient,),
        message=message(f"{variant}.{time.monotonic_ns()}"),
        protocol=variant.protocol,
        switches=variant.switches,
    )


@pytest.mark.parametrize("variant", variants([]), ids=str)
def test_a_client_sends(variant: Variant, servers: Servers) -> None:
    peer = servers("postfix")
    given = order(peer, variant)
    ended = run(variant.client, given)
    assert ended.returncode == 0, ended.stdout.decode(errors="replace")
    client = CLIENTS[variant.client]
    if not client.sends or variant.client == "smtp-source":
        return
    (delivered,) = peer.wait_for(given.subject.encode())
    assert delivered.envelope.forward_paths == (peer.recipient,)
    if client.exact:
        assert delivered.message == given.message
