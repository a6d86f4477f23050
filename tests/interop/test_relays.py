"""Mail servers which relay to our asyncio server, by SMTP and by LMTP."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import pytest
from tests.interop.conftest import Shows
from tests.interop.peers.certificates import Authority
from tests.interop.peers.exim import NewerExim
from tests.interop.peers.registry import RELAYS
from tests.interop.peers.server import Delivered, Envelope, Relay, ServerPeer
from tests.interop.receiver import LOOPBACK, Received, Receiver, offer, receiving

from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import CloseReason
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import (
    CHUNKING,
    LIMITS,
    PIPECONNECT,
    PRDR,
    AnyExtension,
    ServerLimits,
    parameters,
)
from smtpwire.extensions.dsn import Notify
from smtpwire.sasl import MECHANISMS
from smtpwire.wire.command import Mail
from smtpwire.wire.value import replace

pytestmark = pytest.mark.interop

SENDER: Final = "a@client.test"
# What is offered to single relays; the others are offered all there are.
MECHANISMS_FOR: Final = {"slimta": ("CRAM-MD5", "LOGIN", "PLAIN")}
_serials = itertools.count()


def message() -> bytes:
    header = (
        b"From: a@client.test\r\nTo: x@relay.test\r\nSubject: relayed\r\n"
        b"Message-ID: <relayed-%d@client.test>\r\nDate: Wed, 25 Nov 2026 00:00:00 +0000\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    )
    body = b".leading dot\r\n..two dots\r\n.\r\nafter a lone dot\r\n" + "Grüße\r\n".encode()
    body += b"x" * 900 + b"\r\n\r\n\r\n" + b"of many lines\r\n.and dots\r\n" * 2000
    return header % next(_serials) + body


@contextmanager
def relaying(
    name: str,
    authority: Authority,
    *,
    tls: Literal["none", "encrypt"] = "none",
    mechanism: str = "",
    without: tuple[AnyExtension, ...] = (),
    pipe_connect: bool = False,
    limits: ServerLimits | None = None,
) -> Iterator[tuple[ServerPeer, Receiver, Receiver]]:
    """A relay in front of two servers of ours."""
    offered = tuple(entry for entry in offer(ServerConfig.relay("mx.test").profile))
    smtp_config = replace(
        ServerConfig.relay("mx.test"),
        offer=tuple(entry for entry in offered if entry not in without)
        + ((PIPECONNECT,) if pipe_connect else ())
        + ((LIMITS(limits),) if limits is not None else ()),
        starttls=tls != "none",
        require_auth=bool(mechanism),
        mechanisms=MECHANISMS_FOR.get(name, MECHANISMS) if mechanism else (),
        cleartext_without_tls=True,
        scram_secret=b"shared by all processes",
        aliases=("localhost", "127.0.0.1"),
        xforward=LOOPBACK,
        pipeconnect=LOOPBACK if pipe_connect else frozenset(),
    )
    lmtp_config = ServerConfig.lmtp("mx.test")
    lmtp_config = replace(lmtp_config, offer=offer(lmtp_config.profile), xforward=LOOPBACK)
    certificate = TlsConfig(authority.server_context()) if tls != "none" else None
    with receiving(smtp_config, certificate) as smtp, receiving(lmtp_config) as lmtp:
        relay = Relay(
            smtp=smtp.port, lmtp=lmtp.port, tls=tls, mechanism=mechanism, pipe_connect=pipe_connect
        )
        with RELAYS[name](authority, relay) as peer:
            yield peer, smtp, lmtp


def content_of(received: Received) -> bytes:
    """Without the trace fields of the relay."""
    return Delivered(received.content, Envelope("", ())).message


def wait_for(receiver: Receiver, count: int, name: str) -> list[Received]:
    seconds = 30 if name == "opensmtpd" else 15  # its queue is run every few seconds
    receiver.wait(lambda: sum(len(m.recipients) for m in receiver.messages) >= count, seconds)
    return receiver.messages


def check_endings(receiver: Receiver, name: str) -> None:
    """QUIT; OpenSMTPD keeps its connection for a while, here until it is stopped."""
    receiver.wait_for_end()
    expected = CloseReason.EOF if name == "opensmtpd" else CloseReason.QUIT
    for session in receiver.sessions:
        assert session.closed is not None
        if session.messages:
            assert session.closed.reason is expected, receiver.dialogue()
            assert session.violations == []


@pytest.mark.parametrize("tls", ["none", "encrypt"])
@pytest.mark.parametrize("name", RELAYS)
def test_a_relay_sends_on(
    name: str, tls: Literal["none", "encrypt"], authority: Authority, shows: Shows
) -> None:
    content = message()
    recipients = ["x@relay.test", "y@relay.test"]
    with relaying(name, authority, tls=tls) as (peer, smtp, _):
        peer.inject(content, SENDER, recipients, ["BODY=8BITMIME"])
        messages = wait_for(smtp, 2, name)
        assert {content_of(received) for received in messages} == {content}
        assert {str(received.envelope.reverse_path) for received in messages} == {SENDER}
        taken = [recipient for received in messages for recipient in received.recipients]
        assert sorted(taken) == recipients
        assert all((received.tls is not None) == (tls == "encrypt") for received in messages)
    check_endings(smtp, name)
    shows("relays", name, *smtp.features())


@pytest.mark.parametrize("name", [name for name in RELAYS if name not in ("sendmail", "dovecot")])
def test_a_relay_delivers_by_lmtp(name: str, authority: Authority, shows: Shows) -> None:
    content = message()
    recipients = ["x@lmtp.test", "y@lmtp.test"]
    with relaying(name, authority) as (peer, _, lmtp):
        peer.inject(content, SENDER, [*recipients, "reject5@lmtp.test"], ["BODY=8BITMIME"])
        messages = wait_for(lmtp, 2, name)
        assert {content_of(received) for received in messages} == {content}
        taken = [recipient for received in messages for recipient in received.recipients]
        assert sorted(taken) == recipients
    check_endings(lmtp, name)
    shows("relays", name, *lmtp.features())


@pytest.mark.parametrize("name", ["postfix", "exim", "opensmtpd", "dovecot"])
def test_notifications_are_asked_for(name: str, authority: Authority, shows: Shows) -> None:
    with relaying(name, authority) as (peer, smtp, _):
        peer.inject(
            message(),
            SENDER,
            ["x@relay.test"],
            ["RET=HDRS", "ENVID=id+2B1"],
            ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;o+2B1@relay.test"],
        )
        (received,) = wait_for(smtp, 1, name)
    given = received.envelope.mail.parameters
    assert given[parameters.ENVID] == "id+1"
    (rcpt,) = received.envelope.recipients
    assert rcpt.parameters[parameters.NOTIFY] == frozenset({Notify.FAILURE, Notify.DELAY})
    assert rcpt.parameters[parameters.ORCPT].address == "o+1@relay.test"
    shows("relays", name, *smtp.features())


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [
        *(("postfix", mechanism) for mechanism in ("SCRAM-SHA-256", "DIGEST-MD5", "PLAIN")),
        ("exim", "CRAM-MD5"),
        ("opensmtpd", "PLAIN"),
        *(("haraka", mechanism) for mechanism in ("CRAM-MD5", "PLAIN")),
        *(("slimta", mechanism) for mechanism in ("CRAM-MD5", "PLAIN")),
        ("exim-4.98", "CRAM-MD5"),
    ],
)
def test_a_relay_authenticates(
    name: str, mechanism: str, authority: Authority, shows: Shows
) -> None:
    content = message()
    tls: Literal["none", "encrypt"] = "encrypt" if mechanism == "PLAIN" else "none"
    with relaying(name, authority, tls=tls, mechanism=mechanism) as (peer, smtp, _):
        peer.inject(content, SENDER, ["x@relay.test"], ["BODY=8BITMIME"])
        (received,) = wait_for(smtp, 1, name)
    assert received.identity is not None
    assert received.identity.authcid == "user"
    assert received.identity.mechanism == mechanism
    assert content_of(received) == content
    shows("relays", name, *smtp.features())


def test_exim_asks_for_a_reply_for_each_recipient(authority: Authority, shows: Shows) -> None:
    """PRDR, by chunks and by DATA; the body comes in one write with QUIT behind it."""
    for without in ((), (CHUNKING,)):
        with relaying("exim", authority, without=without) as (peer, smtp, _):
            content = message()
            peer.inject(content, SENDER, ["x@relay.test", "y@relay.test"], ["BODY=8BITMIME"])
            (received,) = wait_for(smtp, 2, "exim")
            assert content_of(received) == content
            assert parameters.PRDR in received.envelope.mail.parameters
        (session,) = (session for session in smtp.sessions if session.messages)
        assert [line[3:6] for line in session.lines if line.startswith("s: 353")] == ["353"]
        assert ("CHUNKING" in smtp.features()) is (without == ())
        check_endings(smtp, "exim")
        shows("relays", "exim", "PIPELINING", *smtp.features())


def test_exim_speaks_before_the_greeting(authority: Authority, shows: Shows) -> None:
    """PIPECONNECT: the second connection relies on what the first was offered."""
    with relaying("exim", authority, pipe_connect=True, without=(PRDR,)) as (peer, smtp, _):
        for count in (1, 2, 3):
            content = message()
            peer.inject(content, SENDER, ["x@relay.test"], ["BODY=8BITMIME"])
            messages = wait_for(smtp, count, "exim")
            assert content_of(messages[-1]) == content
        smtp.wait_for_end()
        smtp.wait(lambda: " L* " in peer.log())  # so Exim's log notes its use
    check_endings(smtp, "exim")
    shows("relays", "exim", "PIPECONNECT", *smtp.features())


def test_exim_heeds_our_limits(authority: Authority, shows: Shows) -> None:
    """RFC 9422: RCPTMAX, MAILMAX; what is beyond is told in other transactions and sessions."""
    told = ServerLimits(mailmax=2, rcptmax=2)
    recipients = [f"r{number}@relay.test" for number in range(7)]
    with relaying("exim-4.98", authority, limits=told) as (peer, smtp, _):
        # What it takes in a transaction is its own limit.
        content = message()
        for at in range(0, len(recipients), NewerExim.recipients):
            group = recipients[at : at + NewerExim.recipients]
            peer.inject(content, SENDER, group, ["BODY=8BITMIME"])
        messages = wait_for(smtp, len(recipients), "exim-4.98")
    assert {content_of(received) for received in messages} == {content}
    taken = [recipient for received in messages for recipient in received.recipients]
    assert sorted(taken) == recipients
    assert max(len(received.recipients) for received in messages) == 2
    assert max(len(session.of(Mail)) for session in smtp.sessions) <= 2
    check_endings(smtp, "exim-4.98")
    shows("relays", "exim-4.98", "LIMITS", *smtp.features())


def test_postfix_tells_whom_it_speaks_for(authority: Authority, shows: Shows) -> None:
    """XFORWARD, and refusals of single recipients."""
    content = message()
    with relaying("postfix", authority) as (peer, smtp, _):
        peer.inject(content, SENDER, ["x@relay.test", "reject5@relay.test"], ["BODY=8BITMIME"])
        (received,) = wait_for(smtp, 1, "postfix")
        assert received.recipients == ("x@relay.test",)
        assert content_of(received) == content
        smtp.wait(lambda: "550 5.1.1 No such user here" in peer.log())
    (session,) = (session for session in smtp.sessions if session.messages)
    assert "XFORWARD" in session.features()
    shows("relays", "postfix", "PIPELINING", *smtp.features())
