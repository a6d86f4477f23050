"""Real clients → our asyncio server: what they send is what arrives."""

import dataclasses
import json
import mailbox
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from tests.interop.conftest import Shows
from tests.interop.peers.certificates import Authority
from tests.interop.peers.clients import CLIENTS, EXTRAS, Order, Tls, Variant, run, variants
from tests.interop.receiver import LOOPBACK, Receiver, offer, receiving
from tests.test_command_line import serve

from smtpwire.adapters.session import Session
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.events import (
    Authenticated,
    AuthenticationFailed,
    CloseReason,
    EndOfMessage,
    Identity,
    ServerEvent,
)
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import parameters
from smtpwire.extensions.parameters import Body
from smtpwire.extensions.xclient import XClient
from smtpwire.sasl import MECHANISMS, PlainPassword, SecretRequest
from smtpwire.wire.command import Expn, Mail, Vrfy
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

pytestmark = pytest.mark.interop

HEADER: Final = (
    b"From: a@client.test\r\nTo: x@example.test\r\nSubject: interop\r\n"
    b"Message-ID: <1@client.test>\r\nDate: Wed, 25 Nov 2026 00:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
)
MESSAGE: Final = (
    HEADER
    + b".leading dot\r\n..two dots\r\n.\r\nafter a lone dot\r\n"
    + "Grüße, 8 bit\r\n".encode()
    + b"x" * 990
    + b"\r\n\r\n\r\n"
    + b"of many lines\r\n.and dots\r\n" * 4000
)
# Twisted's sends what is longer than a line may be, and Net::SMTP sends character by character.
PLAIN_MESSAGE: Final = HEADER + b".leading dot\r\n..two dots\r\n.\r\nafter a lone dot\r\n"
SCRAM_SECRET: Final = b"shared by all processes"
# These make a message of their own, of these lines, or put fields before what they are given.
COMPOSED: Final = {
    **dict.fromkeys(("mutt", "s-nail", "git"), b".dot\r\n"),
    "sendemail": b"hello\r\nno dot\r\n",
    "dma": MESSAGE,
    "ssmtp": MESSAGE.partition(b"\r\n\r\n")[2],
}
# They have a transaction for each recipient, or for one alone.
ONE_BY_ONE: Final = ("smtp-source", "dma")
# They close the connection without QUIT.
WITHOUT_QUIT: Final = ("nodemailer", "emailjs", "twisted")
# s_client sends all lines of its input at once, as soon as there is TLS: before the greeting, if it
# is quick, and behind EHLO, which must be the last in its group.
HASTY: Final = {"openssl": frozenset({ViolationKind.EARLY_TALK, ViolationKind.PIPELINING})}


def configuration(variant: Variant) -> ServerConfig:
    """The server which a variant needs."""
    if variant.protocol == "lmtp":
        config = ServerConfig.lmtp("mx.test")
    elif variant.tls == "implicit":
        config = ServerConfig.submissions("mx.test")
    elif variant.auth:
        config = ServerConfig.submission("mx.test")
    else:
        config = ServerConfig.relay("mx.test")
    return replace(
        config,
        offer=offer(config.profile),
        starttls=variant.tls == "starttls",
        require_auth=bool(variant.auth),
        mechanisms=mechanisms_for(variant) if variant.auth else (),
        cleartext_without_tls=True,
        scram_secret=SCRAM_SECRET,
        aliases=("localhost", "127.0.0.1"),  # by these the clients here know it
        realm="localhost" if variant.client == "gsasl" else "",  # it sends one in any case
        xclient=LOOPBACK if variant.label == "xclient" else frozenset(),
    )


def mechanisms_for(variant: Variant) -> tuple[str, ...]:
    """All there are, unless the client would take another one than it is told."""
    if (variant.client, variant.auth) == ("curl", "XOAUTH2"):
        return ("XOAUTH2", "PLAIN")
    if variant.client == "dma":
        return (variant.auth,)
    return MECHANISMS


def order(variant: Variant, authority: Authority, port: int) -> Order:
    recipients: tuple[str, ...] = ("x@example.test", "y@example.test")
    one = not CLIENTS[variant.client].sends or variant.client in ONE_BY_ONE
    if one or (variant.client, variant.protocol) == ("smtplib", "lmtp"):  # it reads one reply
        recipients = recipients[:1]
    return Order(
        host="localhost" if variant.client in ("smtplib", "aiosmtplib") else "127.0.0.1",
        port=port,
        authority=authority,
        tls=variant.tls,
        auth=variant.auth,
        recipients=recipients,
        message=PLAIN_MESSAGE if variant.client == "esmtp" else MESSAGE,
        protocol=variant.protocol,
        switches=variant.switches,
    )


def tls_for(variant: Variant, authority: Authority) -> TlsConfig | None:
    if variant.tls == "none":
        return None
    return TlsConfig(authority.server_context(ask_certificate=variant.auth == "EXTERNAL"))


def check_endings(variant: Variant, receiver: Receiver) -> None:
    reason = CloseReason.EOF if variant.client in WITHOUT_QUIT else CloseReason.QUIT
    receiver.check_endings(reason, HASTY.get(variant.client, frozenset()))


def check_message(variant: Variant, given: Order, receiver: Receiver) -> None:
    """What arrived is what was to be sent, once."""
    (message,) = receiver.messages
    assert str(message.envelope.reverse_path) == given.sender
    assert sorted(message.recipients) == sorted(given.recipients)  # esmtp sorts by its own taste
    if CLIENTS[variant.client].exact:
        assert message.content == given.message
    else:
        assert COMPOSED.get(variant.client, b"") in message.content
        assert given.subject.encode() in message.content
    assert (message.tls is not None) == (variant.tls != "none")
    said = message.envelope.mail.parameters.get(parameters.SIZE)
    if CLIENTS[variant.client].exact and said is not None:
        assert abs(said - len(message.content)) <= 1 + given.message.count(b"\n")


ALL: Final = [
    variant
    for variant in variants(MECHANISMS)
    if not (variant.auth.endswith("-PLUS") and variant.client == "gsasl")
]


@pytest.mark.parametrize("variant", ALL, ids=str)
def test_a_client_sends(variant: Variant, authority: Authority, shows: Shows) -> None:
    with receiving(configuration(variant), tls_for(variant, authority)) as receiver:
        given = order(variant, authority, receiver.port)
        ended = run(variant.client, given)
        output = ended.stdout.decode(errors="replace")
        assert ended.returncode == 0, output + receiver.dialogue()
        receiver.wait_for_end()
        check_endings(variant, receiver)
    if CLIENTS[variant.client].sends and variant.client != "smtp-source":
        check_message(variant, given, receiver)
    if variant.auth:
        assert [
            session.identity.mechanism for session in receiver.sessions if session.identity
        ] == [variant.auth]
    shows("clients", variant.client, *receiver.features())


# -- what single clients can do besides


SENDING: Final = [
    variant
    for variant in EXTRAS
    if variant.label not in ("quit-after-rcpt", "drop-after-data", "vrfy", "expn")
    and variant.client not in ("smtp-source", "gsasl")
]


@pytest.mark.parametrize("variant", SENDING, ids=str)
def test_a_client_sends_in_another_way(
    variant: Variant, authority: Authority, shows: Shows
) -> None:
    with receiving(configuration(variant), tls_for(variant, authority)) as receiver:
        given = order(variant, authority, receiver.port)
        ended = run(variant.client, given)
        output = ended.stdout.decode(errors="replace")
        assert ended.returncode == 0, output + receiver.dialogue()
        receiver.wait_for_end()
        check_endings(variant, receiver)
    check_message(variant, given, receiver)
    features = receiver.features()
    for label, feature in SHOWN_BY.items():
        if label in variant.label:
            features.add(feature)
            check_shown(feature, receiver)
    shows("clients", variant.client, *features)


SHOWN_BY: Final = {
    "pipeline": "PIPELINING",
    "prdr": "PRDR",
    "xclient": "XCLIENT",
    "dsn": "DSN",
    "8bitmime": "8BITMIME",
    "mail-auth": "AUTH=",
}


def check_shown(feature: str, receiver: Receiver) -> None:
    """The extension was not only spoken of, it came to what it is for."""
    (message,) = receiver.messages
    (session,) = receiver.sessions
    given = message.envelope.mail.parameters
    match feature:
        case "PRDR":
            assert parameters.PRDR in given
            replies = [line for line in session.lines if line.startswith("s: 353")]
            assert len(replies) == 1
        case "XCLIENT":
            assert session.of(XClient)
            assert session.session.conn.peer.address == "192.0.2.9"
            assert session.session.conn.peer.name == "n.test"
        case "DSN":
            notify = [parameters.NOTIFY in rcpt.parameters for rcpt in message.envelope.recipients]
            assert all(notify)
            assert parameters.RET in given
        case "8BITMIME":
            assert given[parameters.BODY] is Body.EIGHTBITMIME
        case "AUTH=":
            assert given[parameters.AUTH] is None


def test_esmtp_sends_chunks(authority: Authority, shows: Shows) -> None:
    variant = Variant("esmtp")
    with receiving(configuration(variant)) as receiver:
        given = order(variant, authority, receiver.port)
        assert run("esmtp", given).returncode == 0, receiver.dialogue()
        receiver.wait_for_end()
    check_message(variant, given, receiver)
    assert "CHUNKING" in receiver.features()


@pytest.mark.parametrize(
    ("label", "count", "recipients"), [("load", 40, 1), ("reuse", 4, 3), ("lmtp", 2, 3)]
)
def test_smtp_source(
    label: str, count: int, recipients: int, authority: Authority, shows: Shows
) -> None:
    (variant,) = (v for v in EXTRAS if v.client == "smtp-source" and v.label == label)
    with receiving(configuration(variant)) as receiver:
        ended = run("smtp-source", order(variant, authority, receiver.port))
        assert ended.returncode == 0, ended.stdout.decode()
        receiver.wait_for_end()
        receiver.check_endings()
    assert len(receiver.messages) == count
    assert {len(message.recipients) for message in receiver.messages} == {recipients}
    shows("clients", "smtp-source", *receiver.features())


def test_swaks_quits_after_rcpt(authority: Authority) -> None:
    variant = Variant("swaks", switches=("--quit-after", "RCPT"))
    with receiving(configuration(variant)) as receiver:
        assert run("swaks", order(variant, authority, receiver.port)).returncode == 0
        receiver.wait_for_end()
        receiver.check_endings()
    assert receiver.messages == []


def test_swaks_drops_the_connection_in_data(authority: Authority) -> None:
    """Nothing that is cut off is a message."""
    variant = Variant("swaks", switches=("--drop-after", "DATA"))
    with receiving(configuration(variant)) as receiver:
        run("swaks", order(variant, authority, receiver.port))
        receiver.wait_for_end()
    assert receiver.messages == []
    (session,) = receiver.sessions
    assert session.closed is not None
    assert session.closed.reason in (CloseReason.EOF, CloseReason.ABORTED)


@pytest.mark.parametrize(
    ("switches", "kind", "shown"),
    [(("--no-upload",), Vrfy, "VRFY"), (("-X", "EXPN"), Expn, "EXPN")],
    ids=["VRFY", "EXPN"],
)
def test_curl_asks(
    switches: tuple[str, ...], kind: type, shown: str, authority: Authority, shows: Shows
) -> None:
    variant = Variant("curl", switches=switches)
    with receiving(configuration(variant)) as receiver:
        ended = run("curl", order(variant, authority, receiver.port))
        assert ended.returncode == 0, ended.stdout.decode() + receiver.dialogue()
        receiver.wait_for_end()
        receiver.check_endings()
    (session,) = receiver.sessions
    assert session.of(kind)
    assert b"x@example.test" in ended.stdout
    shows("clients", "curl", shown)


def test_curl_sends_to_a_name_beyond_ascii(authority: Authority, shows: Shows) -> None:
    variant = Variant("curl")
    with receiving(configuration(variant)) as receiver:
        given = replace_recipients(
            order(variant, authority, receiver.port), "jörg@example.test", sender="rené@client.test"
        )
        ended = run("curl", given)
        assert ended.returncode == 0, ended.stdout.decode() + receiver.dialogue()
        receiver.wait_for_end()
        receiver.check_endings()
    check_message(variant, given, receiver)
    assert "SMTPUTF8" in receiver.features()
    shows("clients", "curl", "SMTPUTF8")


def replace_recipients(given: Order, *recipients: str, sender: str = "a@client.test") -> Order:
    return dataclasses.replace(given, recipients=recipients, sender=sender)


def test_curl_gives_auth_what_is_no_mailbox(authority: Authority) -> None:
    """RFC 4954 §5: the parameter is a mailbox in xtext or ``<>``; ``<a@b.test>`` is neither."""
    variant = Variant("curl", "starttls", "PLAIN", switches=("--mail-auth", "a@b.test"))
    with receiving(configuration(variant), tls_for(variant, authority)) as receiver:
        ended = run("curl", order(variant, authority, receiver.port))
        assert ended.returncode != 0
        receiver.wait_for_end()
        receiver.check_endings()
    (session,) = receiver.sessions
    assert "s: 501 5.5.4 Bad parameter: AUTH\r\n" in session.lines


def test_curl_passes_bare_line_feeds_on(authority: Authority) -> None:
    """RFC 5321 §2.3.8: they are refused, at the true end of the message, and nothing is stored."""
    variant = Variant("curl")
    smuggled = b"Subject: x\r\n\r\none\n.\nMAIL FROM:<evil@client.test>\r\n"
    with receiving(configuration(variant)) as receiver:
        given = dataclasses.replace(order(variant, authority, receiver.port), message=smuggled)
        ended = run("curl", given)
        assert ended.returncode != 0
        receiver.wait_for_end()
    assert receiver.messages == []
    (session,) = receiver.sessions
    assert len(session.of(Mail)) == 1
    assert {violation.kind for violation in session.violations} == {ViolationKind.BARE_LF}


# -- refusals


REPORTING: Final = ("smtplib", "aiosmtplib", "nodemailer", "net-smtp")
"""Clients whose last line is the recipients refused."""


@pytest.mark.parametrize("client", REPORTING)
def test_refused_recipients_are_reported_one_by_one(client: str, authority: Authority) -> None:
    variant = Variant(client)
    with receiving(configuration(variant)) as receiver:
        given = replace_recipients(
            order(variant, authority, receiver.port),
            *("x@example.test", "reject5@example.test", "reject4@example.test"),
        )
        ended = run(client, given)
        assert ended.returncode == 0, ended.stdout.decode() + receiver.dialogue()
        receiver.wait_for_end()
    refused = json.loads(ended.stdout.decode().strip().rpartition("\n")[2])
    assert refused == {"reject5@example.test": 550, "reject4@example.test": 450}
    (message,) = receiver.messages
    assert message.recipients == ("x@example.test",)
    assert message.content == given.message


@pytest.mark.parametrize(
    ("client", "switches"),
    [("swaks", ()), ("swaks", ("--pipeline",)), ("curl", ("--mail-rcpt-allowfails",))],
)
def test_one_recipient_of_two_is_refused(
    client: str, switches: tuple[str, ...], authority: Authority
) -> None:
    variant = Variant(client, switches=switches)
    with receiving(configuration(variant)) as receiver:
        given = replace_recipients(
            order(variant, authority, receiver.port), "x@example.test", "reject5@example.test"
        )
        run(client, given)
        receiver.wait_for_end()
        receiver.check_endings()
    (message,) = receiver.messages
    assert message.recipients == ("x@example.test",)
    assert message.content == given.message


@pytest.mark.parametrize("client", ["nullmailer", "ssmtp"])
def test_one_refused_recipient_ends_it_all(client: str, authority: Authority) -> None:
    variant = Variant(client)
    with receiving(configuration(variant)) as receiver:
        given = replace_recipients(
            order(variant, authority, receiver.port), "x@example.test", "reject5@example.test"
        )
        ended = run(client, given)
        assert ended.returncode != 0, receiver.dialogue()
        receiver.wait_for_end()
    assert receiver.messages == []


def test_dma_hears_of_a_refusal(authority: Authority) -> None:
    """A session for each recipient, and one with the null reverse-path for the notification."""
    variant = Variant("dma")
    with receiving(configuration(variant)) as receiver:
        given = replace_recipients(
            order(variant, authority, receiver.port), "x@example.test", "reject5@example.test"
        )
        run("dma", given)
        receiver.wait_for_end(3)
    assert [message.recipients for message in receiver.messages] == [("x@example.test",)]
    senders = [str(event.address or "") for event in mails(receiver)]
    assert sorted(senders) == ["", given.sender, given.sender]


def mails(receiver: Receiver) -> list[Mail]:
    events = [event for session in receiver.sessions for event in session.events]
    return [event for event in events if isinstance(event, Mail)]


@pytest.mark.parametrize("pipeline", [True, False])
def test_swaks_hears_of_every_recipient_by_prdr(pipeline: bool, authority: Authority) -> None:
    """The second recipient refuses the content: 353, 250, 550, and 250 for those who did not."""

    def decide(session: Session, event: ServerEvent) -> bool:
        if not isinstance(event, EndOfMessage):
            return False
        session.conn.reply(Reply(250, "Taken", "2.0.0"), Reply(550, "Not I", "5.7.1"))
        return True

    switches = ("--prdr", *(["--pipeline"] * pipeline))
    variant = Variant("swaks", switches=switches)
    with receiving(configuration(variant), decide=decide) as receiver:
        ended = run("swaks", order(variant, authority, receiver.port))
        receiver.wait_for_end()
        receiver.check_endings()
    output = ended.stdout.decode()
    assert [
        line[4:7]
        for line in output.splitlines()
        if line.startswith("<") and line[4:7] in ("353", "550")
    ] == ["353", "550"]
    assert "550 5.7.1 Not I" in output


@pytest.mark.parametrize("client", ["swaks", "nodemailer", "msmtp"])
def test_lmtp_has_a_reply_for_each_recipient(client: str, authority: Authority) -> None:
    def decide(session: Session, event: ServerEvent) -> bool:
        if not isinstance(event, EndOfMessage):
            return False
        session.conn.reply(Reply(250, "Taken", "2.0.0"), Reply(452, "Full", "4.2.2"))
        return True

    variant = Variant(client, protocol="lmtp")
    with receiving(configuration(variant), decide=decide) as receiver:
        run(client, order(variant, authority, receiver.port))
        receiver.wait_for_end()
    (session,) = receiver.sessions
    assert "s: 250 2.0.0 Taken\r\n" in session.lines
    assert "s: 452 4.2.2 Full\r\n" in session.lines


FIRST_MECHANISM: Final = [
    (name, mechanism)
    for name, client in CLIENTS.items()
    for mechanism in client.mechanisms
    if mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-256")
    and (mechanism != "LOGIN" or name in ("curl", "s-nail"))
    and (mechanism != "CRAM-MD5" or name in ("swaks", "nodemailer"))
]


@pytest.mark.parametrize(("client", "mechanism"), FIRST_MECHANISM)
def test_a_wrong_password_lets_nobody_in(client: str, mechanism: str, authority: Authority) -> None:
    tls: Tls = "starttls" if "starttls" in CLIENTS[client].tls else "none"
    variant = Variant(client, tls, mechanism)
    with receiving(configuration(variant), tls_for(variant, authority)) as receiver:
        given = dataclasses.replace(order(variant, authority, receiver.port), password="wrong")
        ended = run(client, given)
        assert ended.returncode != 0, receiver.dialogue()
        receiver.wait_for_end()
    failures = [
        event for session in receiver.sessions for event in session.of(AuthenticationFailed)
    ]
    assert failures
    for failure in failures:
        assert isinstance(failure, AuthenticationFailed)
        assert failure.reply.code == 535
    assert receiver.messages == []
    assert all(session.identity is None for session in receiver.sessions)


# -- channel binding


def test_gsasl_binds_to_tls_unique(authority: Authority, shows: Shows) -> None:
    """TLS 1.2, where Python's ssl tells tls-unique."""
    for mechanism in ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"):
        switches = ("--priority=NORMAL:-VERS-TLS1.3",)
        variant = Variant("gsasl", "starttls", mechanism, switches=switches)
        with receiving(configuration(variant), tls_for(variant, authority)) as receiver:
            ended = run("gsasl", order(variant, authority, receiver.port))
            assert ended.returncode == 0, ended.stdout.decode() + receiver.dialogue()
            receiver.wait_for_end()
            receiver.check_endings()
        (session,) = receiver.sessions
        assert session.identity == Identity("user", "user", mechanism)
        shows("clients", "gsasl", f"AUTH {mechanism} (tls-unique)")


@pytest.mark.parametrize("right", [True, False])
def test_gsasl_binds_to_tls_exporter(right: bool, authority: Authority, shows: Shows) -> None:
    """TLS 1.3 by pyOpenSSL, which tells tls-exporter: a server of a few lines."""
    config = configuration(Variant("gsasl", "starttls", "SCRAM-SHA-256-PLUS"))
    with exporting(config, authority, "pencil" if right else "other") as (port, events):
        variant = Variant("gsasl", "starttls", "SCRAM-SHA-256-PLUS")
        ended = run("gsasl", order(variant, authority, port))
        assert (ended.returncode == 0) is right, ended.stdout.decode()
    found = [event.identity for event in events if isinstance(event, Authenticated)]
    assert found == [Identity("user", "user", "SCRAM-SHA-256-PLUS")] * right
    shows("clients", "gsasl", "AUTH SCRAM-SHA-256-PLUS (tls-exporter)")


@contextmanager
def exporting(
    config: ServerConfig, authority: Authority, password: str
) -> Iterator[tuple[int, list[ServerEvent]]]:
    """One session of a server under pyOpenSSL's TLS."""
    ssl = pytest.importorskip("OpenSSL.SSL")
    context = ssl.Context(ssl.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(str(authority.certificate))
    context.use_privatekey_file(str(authority.key))
    events: list[ServerEvent] = []

    def serve() -> None:
        plain, _ = listener.accept()
        plain.settimeout(10)
        stream: Any = plain
        conn = ServerConnection(config)
        while (item := conn.next_event()) is not Need.CLOSE:
            if not isinstance(item, Need):
                events.append(item)
                answer_with(conn, item, password)
                continue
            stream.sendall(conn.data_to_send())
            if item is Need.DATA:
                conn.receive_data(received(stream))
            elif item is Need.TLS:
                plain.settimeout(None)  # pyOpenSSL wants a socket that blocks
                stream = ssl.Connection(context, plain)
                stream.set_accept_state()
                stream.do_handshake()
                binding = stream.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
                version = stream.get_protocol_version_name()
                conn.tls_started(TlsInfo(version, bindings={"tls-exporter": binding}))
        stream.sendall(conn.data_to_send())
        plain.close()

    def received(stream: Any) -> bytes:
        try:
            return bytes(stream.recv(65536))
        except ssl.Error:
            return b""

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], events
        thread.join(10)
        assert not thread.is_alive()


def answer_with(conn: ServerConnection, event: ServerEvent, password: str) -> None:
    if isinstance(event, SecretRequest):
        conn.supply(PlainPassword(password))
    elif isinstance(event, Request):
        conn.reply()


# -- the debugging server


def test_the_debugging_server(authority: Authority, tmp_path: Path, shows: Shows) -> None:
    """``python -m smtpwire serve`` with smtplib, swaks and curl: a Maildir with what they sent."""
    pem = tmp_path / "cert.pem"
    pem.write_bytes(authority.certificate.read_bytes() + authority.key.read_bytes())
    options = ("--maildir", str(tmp_path / "box"), "--cert", str(pem), "--auth", "user:pencil")
    sent = 0
    with serve("--profile", "submission", *options) as served:
        for client, mechanism in (
            *(("smtplib", "PLAIN"), ("smtplib", "CRAM-MD5"), ("swaks", "LOGIN")),
            *(("swaks", "DIGEST-MD5"), ("curl", "PLAIN"), ("curl", "DIGEST-MD5")),
            *(("msmtp", "SCRAM-SHA-256"), ("mutt", "SCRAM-SHA-256")),
        ):
            given = order(Variant(client, "starttls", mechanism), authority, served.port)
            ended = run(client, given)
            assert ended.returncode == 0, ended.stdout.decode()
            sent += client != "mutt"
        assert served.end() == 0
    messages = delivered(tmp_path / "box")
    assert all(message.startswith(b"Return-Path: <a@client.test>\r\nR") for message in messages)
    assert [message.endswith(MESSAGE) for message in messages].count(True) == sent


def delivered(directory: Path) -> list[bytes]:
    box = mailbox.Maildir(str(directory))
    return [box.get_bytes(key) for key in box.iterkeys()]
