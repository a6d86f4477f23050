"""Our client → real servers: what is sent is what they deliver, and what they say is told right."""

import asyncio
import base64
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
import trio
from tests.interop.conftest import Shows
from tests.interop.peers import dovecot
from tests.interop.peers.certificates import Authority
from tests.interop.peers.exim import NewerExim
from tests.interop.peers.registry import SERVERS, Servers
from tests.interop.peers.server import PASSWORD, Delivered, ServerPeer
from tests.interop.peers.smtp_server import SmtpServer
from tests.interop.peers.smtp_sink import SmtpSink
from tests.interop.sender import Dialogue, configuration, connected, session, tls_of

from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter
from smtpwire.engine.errors import SessionLimitError
from smtpwire.extensions import (
    BINARYMIME,
    CHUNKING,
    DSN,
    EIGHTBITMIME,
    LIMITS,
    PIPELINING,
    PRDR,
    SMTPUTF8,
    STARTTLS,
    parameters,
)
from smtpwire.extensions.deliver_by import ByMode, DeliverBy
from smtpwire.extensions.dsn import Notify, Orcpt, Ret
from smtpwire.extensions.etrn import Etrn
from smtpwire.extensions.xclient import XClient
from smtpwire.extensions.xforward import XForward
from smtpwire.operations import (
    ConnectionLost,
    LoginFailed,
    SendResult,
    ServiceRefused,
    SessionError,
    Stage,
    UnsendableError,
    reset,
    verify,
)
from smtpwire.operations.operation import ask
from smtpwire.sasl import Anonymous, BearerToken, Credentials, ExternalIdentity, Password
from smtpwire.wire.address import Address
from smtpwire.wire.command import Expn, Hello, Mail, Rcpt
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.status import Disposition

pytestmark = pytest.mark.interop

DONE, RETRY = Disposition.DONE, Disposition.RETRY
PERMANENT, UNKNOWN = Disposition.PERMANENT, Disposition.UNKNOWN

SENDER: Final = "a@client.test"
_serials = itertools.count()


def message(*, ascii_only: bool = False, lines: int = 4000) -> tuple[bytes, bytes]:
    """A message with every trap, and the marker by which it is found again."""
    marker = b"interop-%d@client.test" % next(_serials)
    text = "plain" if ascii_only else "Grüße, 8 bit"
    header = (
        b"From: a@client.test\r\nTo: x@example.test\r\nSubject: interop\r\n"
        b"Message-ID: <" + marker + b">\r\nDate: Wed, 25 Nov 2026 00:00:00 +0000\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    )
    body = b".leading dot\r\n..two dots\r\n.\r\nafter a lone dot\r\n" + text.encode() + b"\r\n"
    body += b"x" * 990 + b"\r\n\r\n\r\n" + b"of many lines\r\n.and dots\r\n" * lines
    return header + body, marker


LISTENERS: Final = [
    (name, listener) for name, peer in SERVERS.items() for listener in peer.listeners
]


def delivered(peer: ServerPeer, listener: str, marker: bytes, count: int = 1) -> list[Delivered]:
    """What the server made of it; Dovecot relays what is submitted."""
    if isinstance(peer, dovecot.Dovecot) and listener.startswith("submission"):
        assert peer._sink is not None
        return peer._sink.wait_for(marker, count)
    return peer.wait_for(marker, count)


def outcomes(result: SendResult) -> list[tuple[str, Disposition]]:
    return [(str(item.recipient), item.outcome) for item in result.recipients]


def recipients_for(peer: ServerPeer, listener: str) -> list[str]:
    if peer.rejects and not listener.startswith("submission"):
        return [peer.recipient, "reject5@example.test", "reject4@example.test"]
    return [peer.recipient]


EXPECTED: Final = {"reject5@example.test": PERMANENT, "reject4@example.test": RETRY}


@pytest.mark.parametrize("starttls", [False, True], ids=["", "STARTTLS"])
@pytest.mark.parametrize("chunking", [False, True], ids=["DATA", "BDAT"])
@pytest.mark.parametrize(("name", "listener"), LISTENERS)
def test_a_message_is_delivered(
    name: str, listener: str, chunking: bool, starttls: bool, servers: Servers, shows: Shows
) -> None:
    peer = servers(name)
    if starttls and not offers_starttls(peer, listener):
        return
    with session(peer, listener, starttls=starttls) as (client, dialogue):
        if chunking and CHUNKING not in client.conn.extensions:
            return
        content, marker = message(ascii_only=EIGHTBITMIME not in client.conn.extensions)
        recipients = recipients_for(peer, listener)
        result = client.send_mail(SENDER, recipients, content, chunking=chunking)
        assert outcomes(result) == [
            (recipient, EXPECTED.get(recipient, DONE)) for recipient in recipients
        ], str(dialogue)
        for item in result.recipients:
            assert item.reply is not None
        again = client.send_mail(SENDER, recipients[:1], b"Subject: again\r\n\r\n.\r\n")
        assert outcomes(again) == [(recipients[0], DONE)]
    (stored,) = delivered(peer, listener, marker)
    assert stored.message == content
    assert stored.envelope.reverse_path == SENDER
    assert stored.envelope.forward_paths == (peer.recipient,)
    shows("servers", name, *dialogue.features(listener))


def offers_starttls(peer: ServerPeer, listener: str) -> bool:
    if listener not in ("smtp", "lmtp"):
        return False
    with session(peer, listener) as (client, _):
        return STARTTLS in client.conn.extensions


# -- authentication


MECHANISMS: Final = [
    (name, mechanism)
    for name, peer in SERVERS.items()
    for mechanism in peer.mechanisms
    if (name, mechanism) != ("dovecot", "EXTERNAL")  # it has no account for a certificate
] + [("exim", "EXTERNAL")]


def credentials_for(peer: ServerPeer, mechanism: str, *, wrong: bool = False) -> Credentials:
    match mechanism:
        case "EXTERNAL":
            return ExternalIdentity("user")
        case "ANONYMOUS":
            return Anonymous("someone")
        case "OAUTHBEARER" | "XOAUTH2" if isinstance(peer, dovecot.Dovecot):
            return BearerToken("user", dovecot.token(key=b"other" if wrong else dovecot._KEY))
        case "XOAUTH2":
            return BearerToken("user", "other" if wrong else "token")
    # Where the challenge names the realm, it does not belong to the name.
    user = "user" if mechanism == "DIGEST-MD5" else peer.user
    return Password(user, "wrong" if wrong else PASSWORD)


def authenticating(peer: ServerPeer) -> str:
    """The listener with STARTTLS for those who authenticate."""
    return "submission" if "submission" in peer.listeners else peer.listeners[0]


@pytest.mark.parametrize(("name", "mechanism"), MECHANISMS)
def test_a_mechanism(name: str, mechanism: str, servers: Servers, shows: Shows) -> None:
    peer = servers(name)
    listener = authenticating(peer)
    credentials = credentials_for(peer, mechanism)
    certificate = mechanism == "EXTERNAL"
    opened = session(peer, listener, credentials, mechanism, starttls=True, certificate=certificate)
    with opened as (client, dialogue):
        identity = client.conn.identity
        assert identity is not None
        assert identity.mechanism == mechanism
        content, _ = message(ascii_only=EIGHTBITMIME not in client.conn.extensions, lines=1)
        result = client.send_mail(SENDER, [peer.recipient], content)
        assert outcomes(result) == [(peer.recipient, DONE)], str(dialogue)
    shows("servers", name, *dialogue.features(listener))


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [item for item in MECHANISMS if item[1] not in ("EXTERNAL", "ANONYMOUS", "LOGIN")],
)
def test_wrong_credentials(name: str, mechanism: str, servers: Servers) -> None:
    """The refusal is told once, and no other mechanism is tried; the session can still be ended."""
    peer = servers(name)
    credentials = credentials_for(peer, mechanism, wrong=True)
    opened = connected(peer, authenticating(peer), starttls=True)
    with opened as (client, dialogue):
        with pytest.raises(LoginFailed) as failed:
            client.open_session(credentials)
        assert failed.value.reply is not None
        assert failed.value.reply.code in (535, 454), str(dialogue)
        assert client.conn.identity is None
        assert len([line for line in dialogue.sent if line.startswith("AUTH ")]) == 1


# -- extensions


def test_notifications_are_asked_for(servers: Servers, shows: Shows) -> None:
    for name in ("postfix", "exim", "sendmail", "opensmtpd", "smtp-server", "smtp-sink"):
        peer = servers(name)
        mail = Mail(
            Address.parse(SENDER),
            Parameters(parameters.RET(Ret.HDRS), parameters.ENVID("id+1=a")),
        )
        rcpt = Rcpt(
            Address.parse(peer.recipient),
            Parameters(
                parameters.NOTIFY(frozenset({Notify.FAILURE, Notify.DELAY})),
                parameters.ORCPT(Orcpt("rfc822", "o+1@example.test")),
            ),
        )
        with session(peer, "smtp") as (client, dialogue):
            assert DSN in client.conn.extensions
            content, marker = message(lines=1)
            assert outcomes(client.send_mail(mail, [rcpt], content)) == [(peer.recipient, DONE)]
        (stored,) = delivered(peer, "smtp", marker)
        if stored.envelope.mail_parameters:
            assert {"RET=HDRS"} <= {word.upper() for word in stored.envelope.mail_parameters}
            assert any("id" in word for word in stored.envelope.mail_parameters)
        shows("servers", name, *dialogue.features("smtp"))


@pytest.mark.parametrize("name", [name for name in SERVERS if name not in ("sendmail", "dovecot")])
def test_names_beyond_ascii(name: str, servers: Servers, shows: Shows) -> None:
    peer = servers(name)
    listener = peer.listeners[0]
    recipient = "jörg@example.test"
    content, marker = message(lines=1)
    content = "Subject: Grüße\r\n".encode() + content
    with session(peer, listener) as (client, dialogue):
        if SMTPUTF8 not in client.conn.extensions:
            with pytest.raises(UnsendableError) as unsendable:
                client.send_mail("rené@client.test", [recipient], content)
            assert unsendable.value.extension == "SMTPUTF8"
            return
        if name == "chasquid":  # it takes mail for its one user
            recipient = peer.recipient
        result = client.send_mail("rené@client.test", [recipient], content)
        assert outcomes(result) == [(recipient, DONE)], str(dialogue)
    (stored,) = delivered(peer, listener, marker)
    assert stored.message == content
    shows("servers", name, *dialogue.features(listener))


def test_exim_answers_for_each_recipient(servers: Servers, shows: Shows) -> None:
    """PRDR: one of two refuses the content."""
    peer = servers("exim")
    content, marker = message(lines=1)
    for chunking in (False, True):
        with session(peer, "smtp") as (client, dialogue):
            assert PRDR in client.conn.extensions
            recipients = ["x@example.test", "prdr5@example.test"]
            result = client.send_mail(SENDER, recipients, content, chunking=chunking)
            assert outcomes(result) == [(recipients[0], DONE), (recipients[1], PERMANENT)]
            reply = result.recipients[1].reply
            assert reply is not None
            assert "refused after data" in reply.text, str(dialogue)
        shows("servers", "exim", *dialogue.features("smtp"))
    first, second = delivered(peer, "smtp", marker, 2)
    assert first.message == second.message == content


def test_exim_tells_its_limits(servers: Servers, shows: Shows) -> None:
    """RFC 9422: more recipients than RCPTMAX are told in several transactions, none is refused."""
    peer = servers("exim-4.98")
    content, marker = message(lines=1)
    with session(peer, "smtp") as (client, dialogue):
        told = client.conn.extensions[LIMITS]
        assert told.rcptmax == NewerExim.recipients
        assert told.mailmax is not None
        recipients = [f"r{number}@example.test" for number in range(2 * NewerExim.recipients + 1)]
        result = client.send_mail(SENDER, recipients, content)
        assert outcomes(result) == [(recipient, DONE) for recipient in recipients], str(dialogue)
        assert len([line for line in dialogue.sent if line.startswith("MAIL ")]) == 3
    stored = delivered(peer, "smtp", marker, 3)
    taken = [recipient for item in stored for recipient in item.envelope.forward_paths]
    assert sorted(taken) == recipients
    shows("servers", "exim-4.98", "LIMITS", *dialogue.features("smtp"))


def test_what_is_beyond_the_limits_is_not_sent(servers: Servers) -> None:
    peer = servers("exim-4.98")
    with session(peer, "smtp") as (client, dialogue):
        most = NewerExim.recipients
        client.conn.send(Mail(Address.parse(SENDER)))
        for number in range(most):
            client.conn.send(Rcpt(Address.parse(f"r{number}@example.test")))
        with pytest.raises(SessionLimitError):
            client.conn.send(Rcpt(Address.parse(f"r{most}@example.test")))
        assert client.run(reset(client.conn)) is not None, str(dialogue)


@pytest.mark.parametrize("name", ["smtp-server-lmtp", "dovecot"])
def test_lmtp_answers_for_each_recipient(name: str, servers: Servers, shows: Shows) -> None:
    peer = servers(name)
    late, outcome = {
        "smtp-server-lmtp": ("late5@example.test", RETRY),
        "dovecot": ("nobody@localhost", PERMANENT),
    }[name]
    content, marker = message(lines=1)
    with session(peer, "lmtp") as (client, dialogue):
        result = client.send_mail(SENDER, [late, peer.recipient], content)
        assert outcomes(result) == [(late, outcome), (peer.recipient, DONE)], str(dialogue)
    stored = delivered(peer, "lmtp", marker)
    assert stored[0].message == content
    shows("servers", name, *dialogue.features("lmtp"))


def test_postfix_starts_a_queue(servers: Servers, shows: Shows) -> None:
    peer = servers("postfix")
    with session(peer, "smtp") as (client, dialogue):
        reply = client.run(ask(client.conn, Etrn("example.test"), Stage.COMMAND))
        assert reply.code == 250, str(dialogue)
        reply = client.run(ask(client.conn, Etrn("elsewhere.test"), Stage.COMMAND))
        assert reply.code == 459
    shows("servers", "postfix", *dialogue.features("smtp"))


def test_postfix_believes_whom_it_speaks_with(servers: Servers, shows: Shows) -> None:
    peer = servers("postfix")
    content, marker = message(lines=1)
    with session(peer, "smtp") as (client, dialogue):
        forward = XForward(name="from.test", address="192.0.2.7", hello="hello.test")
        assert client.run(ask(client.conn, forward, Stage.COMMAND)).code == 250
        assert outcomes(client.send_mail(SENDER, [peer.recipient], content)) == [
            (peer.recipient, DONE)
        ]
        spoken_for = XClient(name="spike.test", address="127.0.0.9", hello="spike.test")
        assert client.run(ask(client.conn, spoken_for, Stage.COMMAND)).code == 220
        assert client.run(ask(client.conn, Hello("again.test"), Stage.HELLO)).code == 250
        assert outcomes(client.send_mail(SENDER, [peer.recipient], content)) == [
            (peer.recipient, DONE)
        ]
    assert len(delivered(peer, "smtp", marker, 2)) == 2
    log = peer.log()
    assert "client=spike.test[127.0.0.9]" in log
    assert "orig_client=from.test[192.0.2.7]" in log
    shows("servers", "postfix", *dialogue.features("smtp"))


def test_sendmail_delivers_within_a_time(servers: Servers, shows: Shows) -> None:
    peer = servers("sendmail")
    content, marker = message(lines=1)
    by = parameters.BY(DeliverBy(3600, ByMode.NOTIFY))
    with session(peer, "smtp") as (client, dialogue):
        mail = Mail(Address.parse(SENDER), Parameters(by))
        assert outcomes(client.send_mail(mail, [peer.recipient], content)) == [
            (peer.recipient, DONE)
        ]
        reply = client.run(ask(client.conn, Expn("list"), Stage.COMMAND))
        assert reply.code == 250
        assert "<list@localhost" in reply.text
        assert client.verify("postmaster").code == 250
    delivered(peer, "smtp", marker)
    shows("servers", "sendmail", *dialogue.features("smtp"))


def test_no_hop_without_tls(servers: Servers, shows: Shows) -> None:
    """REQUIRETLS is offered inside TLS alone."""
    peer = servers("smtp-server")
    content, marker = message(lines=1)
    with session(peer, "smtp") as (client, _), pytest.raises(UnsendableError):
        client.send_mail(SENDER, [peer.recipient], content, require_tls=True)
    with session(peer, "smtp", starttls=True) as (client, dialogue):
        result = client.send_mail(SENDER, [peer.recipient], content, require_tls=True)
        assert outcomes(result) == [(peer.recipient, DONE)]
    assert isinstance(peer, SmtpServer)
    record = next(r for r in peer.records() if marker.decode() in _text(r["data"]))
    assert (
        record["envelope"]["requireTLS"] or "REQUIRETLS" in record["envelope"]["mailFrom"]["args"]
    )
    shows("servers", "smtp-server", *dialogue.features("smtp"))


def _text(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")


def test_an_old_server_gets_no_eight_bits(servers: Servers) -> None:
    peer = servers("postfix")
    with session(peer, "old") as (client, dialogue):
        for absent in (EIGHTBITMIME, CHUNKING, DSN, SMTPUTF8, PIPELINING, BINARYMIME):
            assert absent not in client.conn.extensions
        content, _ = message()
        with pytest.raises(UnsendableError) as unsendable:
            client.send_mail(SENDER, [peer.recipient], content)
        assert unsendable.value.extension == "8BITMIME"
        assert not [line for line in dialogue.sent if line.startswith("MAIL")]


def test_exim_ends_the_session_at_a_recipient(servers: Servers) -> None:
    """521 to RCPT, and the connection is closed: what was not answered is tried again."""
    peer = servers("exim")
    content, _ = message(lines=1)
    config = configuration(peer, "smtp")
    with blocking.connect("127.0.0.1", peer.ports["smtp"], config) as client:
        client.open_session()
        recipients = ["x@example.test", "drop@example.test", "y@example.test"]
        result = client.send_mail(SENDER, recipients, content)
    assert [outcome for _, outcome in outcomes(result)] == [RETRY, PERMANENT, RETRY]


# -- the other adapters


def test_asyncio(servers: Servers) -> None:
    async def send(peer: ServerPeer, listener: str, starttls: bool) -> bytes:
        config = configuration(peer, listener, starttls=starttls)
        port = peer.ports[listener]
        content, marker = message()
        client = await asyncio_adapter.connect("127.0.0.1", port, config, tls=tls_of(peer, config))
        async with client:
            await client.open_session(Password(peer.user, PASSWORD) if starttls else None)
            for chunking in (False, CHUNKING in client.conn.extensions):
                result = await client.send_mail(
                    SENDER, recipients_for(peer, listener), content, chunking=chunking
                )
                assert result.recipients[0].outcome is DONE
        return marker

    async def main() -> None:
        for name in ("postfix", "exim", "dovecot"):
            peer = servers(name)
            listener = peer.listeners[0]
            marker = await send(peer, listener, starttls=listener == "smtp")
            assert len(delivered(peer, listener, marker, 2)) == 2
        await send(servers("postfix"), "smtps", starttls=False)

    asyncio.run(main())


def test_trio(servers: Servers) -> None:
    async def main() -> None:
        for name, listener, starttls in (
            ("postfix", "smtp", True),
            ("exim", "smtps", False),
            ("dovecot", "lmtp", False),
        ):
            peer = servers(name)
            config = configuration(peer, listener, starttls=starttls)
            content, marker = message()
            client = await trio_adapter.connect(
                "127.0.0.1", peer.ports[listener], config, tls=tls_of(peer, config)
            )
            async with client:
                await client.open_session(Password(peer.user, PASSWORD) if starttls else None)
                result = await client.send_mail(SENDER, recipients_for(peer, listener), content)
                assert result.recipients[0].outcome is DONE
            (stored,) = delivered(peer, listener, marker)
            assert stored.message == content

    trio.run(main)


# -- faults


Fault = tuple[str, str]

# What becomes of a message to two recipients: by switch (5yz, 4yz, the connection is dropped, 421
# and dropped) and by the command at which it happens.
FAULTS: Final[dict[Fault, Disposition | type[SessionError]]] = {
    ("-f", "CONNECT"): ServiceRefused,
    ("-r", "CONNECT"): ServiceRefused,
    ("-q", "CONNECT"): ConnectionLost,
    ("-Q", "CONNECT"): ServiceRefused,
    ("-f", "EHLO"): DONE,  # 500, and HELO will do
    ("-r", "EHLO"): ServiceRefused,
    ("-q", "EHLO"): ConnectionLost,
    ("-Q", "EHLO"): ServiceRefused,
    ("-f", "MAIL"): PERMANENT,
    ("-r", "MAIL"): RETRY,
    ("-q", "MAIL"): RETRY,
    ("-Q", "MAIL"): RETRY,
    ("-f", "RCPT"): PERMANENT,
    ("-r", "RCPT"): RETRY,
    ("-q", "RCPT"): RETRY,
    ("-Q", "RCPT"): RETRY,
    ("-f", "DATA"): PERMANENT,
    ("-r", "DATA"): RETRY,
    ("-q", "DATA"): RETRY,
    ("-Q", "DATA"): RETRY,
    ("-f", "."): PERMANENT,
    ("-r", "."): RETRY,
    ("-q", "."): UNKNOWN,
    ("-Q", "."): RETRY,
    ("-f", "RSET"): DONE,
    ("-q", "RSET"): DONE,
    ("-Q", "RSET"): DONE,
    ("-f", "QUIT"): DONE,
    ("-r", "QUIT"): DONE,
    ("-q", "QUIT"): DONE,
    ("-Q", "QUIT"): DONE,
    ("-f", "VRFY"): DONE,
    ("-q", "VRFY"): DONE,
    ("-Q", "VRFY"): DONE,
}


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "lock-step"])
@pytest.mark.parametrize("lmtp", [False, True], ids=["SMTP", "LMTP"])
@pytest.mark.parametrize("switch", ["-f", "-r", "-q", "-Q"])
def test_a_fault_at_every_command(
    switch: str, lmtp: bool, pipelining: bool, authority: Authority, shows: Shows
) -> None:
    faults = [fault for fault in FAULTS if fault[0] == switch]
    with ThreadPoolExecutor(4) as pool:
        for fault, found in zip(
            faults,
            pool.map(lambda fault: outcome_of(fault, lmtp, pipelining, authority), faults),
            strict=True,
        ):
            expected = FAULTS[fault]
            if lmtp and fault == ("-f", "EHLO"):
                expected = ServiceRefused  # LMTP has no HELO
            assert found == expected, fault
    shows("servers", "smtp-sink", "faults at every command")


def outcome_of(
    fault: Fault, lmtp: bool, pipelining: bool, authority: Authority
) -> Disposition | type[SessionError]:
    """What our client makes of a fault; every recipient must fare alike."""
    switch, command = fault
    if lmtp and command == "EHLO":
        command = "LHLO"
    switches = [switch, command, *(["-L"] * lmtp), *(["-p"] * (not pipelining))]
    content, _ = message(ascii_only=True, lines=1)
    with SmtpSink(authority, switches) as sink:
        config = configuration(sink, "lmtp" if lmtp else "smtp")
        client = blocking.connect("127.0.0.1", sink.ports["smtp"], config)
        dialogue = Dialogue(client.conn)
        try:
            client.open_session()
        except SessionError as error:
            client.close()
            return type(error)
        result = client.send_mail(SENDER, ["x@example.test", "y@example.test"], content)
        first, second = (item.outcome for item in result.recipients)
        assert first is second, str(dialogue)
        for operation in (verify(client.conn, "x"), reset(client.conn)):
            try:
                client.run(operation)
            except ConnectionLost:
                assert switch in ("-q", "-Q"), str(dialogue)
        reply = client.quit()
        if command == "RSET":
            assert reply is None, str(dialogue)  # what a refused RSET was to end stays open
        elif switch in ("-f", "-r") and command != "QUIT":
            assert reply is not None, str(dialogue)
            assert reply.code == 221
        return first


@pytest.mark.parametrize(
    ("switches", "absent"),
    [
        (("-p",), "PIPELINING"),
        (("-8",), "8BITMIME"),
        (("-E",), "ENHANCEDSTATUSCODES"),
        (("-N",), "DSN"),
        (("-a",), "AUTH"),
        (("-e",), "SIZE"),
        (("-P",), "nothing"),
        (("-L",), "nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_smtp_sink_hides_an_extension(
    switches: tuple[str, ...], absent: str, authority: Authority, shows: Shows
) -> None:
    content, marker = message(ascii_only=True)
    listener = "lmtp" if "-L" in switches else "smtp"
    with SmtpSink(authority, switches) as sink:
        sink.ports["lmtp"] = sink.ports["smtp"]
        with session(sink, listener) as (client, dialogue):
            assert absent not in client.conn.extensions.keywords
            if absent == "8BITMIME":
                with pytest.raises(UnsendableError):
                    client.send_mail(SENDER, [sink.recipient], content + b"\xff\r\n")
            result = client.send_mail(SENDER, [sink.recipient], content)
            assert outcomes(result) == [(sink.recipient, DONE)]
        (stored,) = sink.wait_for(marker)
        assert stored.message == content
    shows("servers", "smtp-sink", *dialogue.features(listener))
