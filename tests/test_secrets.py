"""Nothing that shows itself shows a secret: no repr, str, trace, exception or log, in either role.

Every mechanism is driven through both engines, with the right password and with a wrong one. All
that could end up in a log or in the output of a failing test is collected, and searched for each
secret in the spellings it might have there.
"""

import logging
import traceback
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import pytest
from tests.engine.transcript import Session
from tests.in_memory import Wire

from smtpwire import (
    Anonymous,
    AnonymousLogin,
    Auth,
    AuthenticationEnded,
    AuthenticationFailed,
    BearerToken,
    BodyChunk,
    Burl,
    ClientConfig,
    ClientConnection,
    Credentials,
    DigestMD5Secret,
    ExternalIdentity,
    ExternalLogin,
    Hello,
    LocalProtocolError,
    Need,
    Password,
    PasswordLogin,
    PeerCertificate,
    PlainPassword,
    Reply,
    Request,
    ScramSecret,
    SecretRequest,
    ServerConfig,
    ServerConnection,
    TlsInfo,
    TokenLogin,
    derive_digest_md5,
    derive_scram,
    operations,
    replace,
)
from smtpwire.extensions import BURL
from smtpwire.operations import SessionError, open_session
from smtpwire.sasl import MECHANISMS, ChoicePolicy, ClientMechanismConfig, client_mechanism
from smtpwire.testing import every_split

PASSWORD: Final = "correct horse"
WRONG: Final = "battery staple"
TOKEN: Final = "ya29.mountain-goat"
SHARED: Final = b"of all processes of a service"
BINDING: Final = b"exported keying material"
HOST: Final = "mx.example"
TLS: Final = TlsInfo(
    "TLSv1.3",
    "TLS_AES_128_GCM_SHA256",
    verified=True,
    bindings={"tls-exporter": BINDING},
    peer=PeerCertificate(b"certificate", ("user",)),
    server_name=HOST,
)
STORED: Final = {
    name: derive_scram(PASSWORD, name, salt=b"0123456789abcdef")
    for name in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")
}
HA1: Final = derive_digest_md5("user", "realm.example", PASSWORD)
SECRETS: Final = [
    *(PASSWORD.encode(), WRONG.encode(), TOKEN.encode(), SHARED, BINDING, HA1.ha1),
    *(key for secret in STORED.values() for key in (secret.stored_key, secret.server_key)),
]
SERVER: Final = replace(
    ServerConfig.relay(HOST), mechanisms=MECHANISMS, scram_secret=SHARED, realm="realm.example"
)


def spellings(secret: bytes) -> Iterator[str]:
    yield repr(secret)[2:-1]
    yield secret.hex()
    for filler in (b"", b"\0", b"\0\0"):  # base64 at each of its three offsets
        encoded = b64encode(filler + secret).decode()
        yield encoded[4 * bool(filler) : -4]


NEEDLES: Final = [spelling for secret in SECRETS for spelling in spellings(secret)]


@dataclass
class Shown:
    """All that anybody could come to see."""

    texts: list[str] = field(default_factory=list)

    def add(self, *things: object) -> None:
        for thing in things:
            self.texts += [repr(thing), str(thing)]
            if isinstance(thing, BaseException):
                self.texts += traceback.format_exception(thing)

    def trace(self, direction: str, octets: bytes) -> None:
        self.texts.append(octets.decode("latin-1"))

    def check(self) -> None:
        whole = "\n".join(self.texts)
        for needle in NEEDLES:
            assert needle not in whole, next(text for text in self.texts if needle in text)[:200]


def test_the_test_would_see_a_secret() -> None:
    for leak in (
        PASSWORD,
        b"\0user\0" + PASSWORD.encode(),
        b64encode(b"\0user\0" + PASSWORD.encode()).decode(),
        HA1.ha1,
        STORED["SCRAM-SHA-1"].server_key.hex(),
        ("nested", {"password": WRONG}),
        ValueError(f"bad token {TOKEN}"),
    ):
        shown = Shown()
        shown.add(leak)
        with pytest.raises(AssertionError):
            shown.check()


def credentials_for(mechanism: str, *, good: bool) -> Credentials:
    match mechanism:
        case "OAUTHBEARER" | "XOAUTH2":
            return BearerToken("user", TOKEN)
        case "EXTERNAL":
            return ExternalIdentity("")
        case "ANONYMOUS":
            return Anonymous("trace")
    return Password("user", PASSWORD if good else WRONG)


@dataclass
class Accounts:
    """The server's application; ``derived``: it keeps no password but what is made of one."""

    shown: Shown
    good: bool
    derived: bool

    def __call__(self, conn: ServerConnection, question: Request) -> None:
        self.shown.add(question, conn, conn.pending)
        match question:
            case PasswordLogin(_, password):
                conn.reply(Reply(235) if password == PASSWORD else Reply(535))
            case TokenLogin() | ExternalLogin() | AnonymousLogin():
                conn.reply(Reply(235) if self.good else Reply(535))
            case SecretRequest():
                self.supply(conn, question)
            case _:
                conn.reply()

    def supply(self, conn: ServerConnection, request: SecretRequest) -> None:
        secret: PlainPassword | ScramSecret | DigestMD5Secret = PlainPassword(PASSWORD)
        if self.derived and ScramSecret in request.accepts:
            secret = STORED[request.mechanism.removesuffix("-PLUS")]
        elif self.derived and DigestMD5Secret in request.accepts:
            secret = HA1
        with pytest.raises(LocalProtocolError) as caught:
            conn.supply(PASSWORD)  # type: ignore[arg-type]  # that is the mistake
        self.shown.add(caught.value)
        self.shown.add(secret)
        conn.supply(secret)


class Watched:
    """A client whose commands and events are shown."""

    __class__ = ClientConnection  # type: ignore[assignment]  # to those who ask what it is

    def __init__(self, conn: ClientConnection, shown: Shown) -> None:
        self._conn = conn
        self._shown = shown

    def next_event(self) -> object:
        item = self._conn.next_event()
        self._shown.add(item, self._conn)
        return item

    def authenticate(self, *args: object, **names: object) -> Auth:
        self._shown.add(args)
        auth = self._conn.authenticate(*args, **names)  # type: ignore[arg-type]  # handed through
        self._shown.add(auth)
        return auth

    def __getattr__(self, name: str) -> object:
        return getattr(self._conn, name)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("good", [True, False], ids=["right", "wrong"])
@pytest.mark.parametrize("derived", [True, False], ids=["derived", "password"])
def test_every_mechanism_in_both_roles(
    mechanism: str, good: bool, derived: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = Shown()
    credentials = credentials_for(mechanism, good=good)
    config = ClientConfig("c.example", host=HOST)
    conn = ClientConnection(config, tls=TLS)
    server = Session(ServerConnection(SERVER, tls=TLS), Accounts(shown, good, derived))
    conn.trace = server.conn.trace = shown.trace
    wire = Wire(cast("ClientConnection", Watched(conn, shown)), server)
    policy = ChoicePolicy(mechanisms=(mechanism,))
    shown.add(credentials, config, SERVER, TLS, policy, conn, server.conn, wire)
    ended: SessionError | None = None
    try:
        wire.run(open_session(wire.client, credentials, policy=policy))
    except SessionError as error:
        ended = error
        shown.add(error, error.reply, error.reason)
    wire.flush()
    shown.add(*server.events, conn, server.conn, conn.identity, server.conn.identity, conn.stats)
    shown.texts += [record.getMessage() for record in caplog.records]
    shown.check()
    assert (ended is None) == good
    assert (server.conn.identity is not None) == good
    told = [event for event in server.events if isinstance(event, AuthenticationFailed)]
    assert len(told) == (not good)
    auth = [text for text in shown.texts if text.startswith("AUTH ")]
    assert auth, "the traces show that there was an AUTH"
    assert all(
        text in (f"AUTH {mechanism}\r\n", f"AUTH {mechanism} <redacted>\r\n") for text in auth
    )
    proofs = [text for text in shown.texts if text == "334 <redacted>\r\n"]
    assert len(proofs) == 2 * (good and mechanism.startswith(("SCRAM-", "DIGEST-"))), "seen by both"
    challenges = [text[4:] for text in shown.texts if text.startswith("334 ")]
    assert not [text for text in challenges if b64decode(text)[:8].startswith((b"v=", b"rspauth="))]
    responses = [text for text in shown.texts if text == "<redacted>\r\n"]
    assert len(responses) % 2 == 0, "each is seen by both sides"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"])
def test_what_refuses_to_send_a_secret_does_not_tell_it(mechanism: str) -> None:
    """Without verified TLS these hand the secret to whoever listens: LocalProtocolError."""
    shown = Shown()
    credentials = credentials_for(mechanism, good=True)
    policy = ChoicePolicy(mechanisms=(mechanism,))
    for tls in (None, replace(TLS, verified=False)):
        wire, conn = opened(tls, shown)
        wire.run(open_session(conn))
        made = client_mechanism(mechanism, credentials, ClientMechanismConfig(host=HOST))
        with pytest.raises(LocalProtocolError) as caught:
            conn.authenticate(made, authcid="user")
        shown.add(caught.value, made, conn)
        wire, conn = opened(tls, shown)
        with pytest.raises(operations.LoginFailed) as refused:
            wire.run(open_session(conn, credentials, policy=policy))
        shown.add(refused.value)
        assert b"AUTH" not in wire.sent
    shown.check()


def opened(tls: TlsInfo | None, shown: Shown) -> tuple[Wire, ClientConnection]:
    conn = ClientConnection(tls=tls)
    conn.trace = shown.trace
    config = replace(SERVER, cleartext_without_tls=True)
    return Wire(conn, Session(ServerConnection(config))), conn


def test_a_server_that_repeats_what_it_was_told() -> None:
    """As some do with a line that they do not understand; no split of the reply shows it either."""
    said = b64encode(f"\0user\0{PASSWORD}".encode())
    refusal = b"500-5.5.1 unknown: AUTH PLAIN " + said + b"\r\n500 5.5.1 (" + said + b")\r\n"
    for pieces in every_split(refusal):
        shown = Shown()
        conn = ClientConnection(tls=TLS)
        conn.trace = shown.trace
        conn.receive_data(b"220 mx.example\r\n")
        conn.next_event()
        conn.send(Hello("c.example"))
        conn.data_to_send()
        conn.receive_data(b"250-mx.example\r\n250 AUTH PLAIN\r\n")
        conn.next_event()
        password = Password("user", PASSWORD)
        made = client_mechanism("PLAIN", password, ClientMechanismConfig(host=HOST))
        conn.authenticate(made, authcid="user")
        assert said in conn.data_to_send()
        for piece in pieces:
            conn.receive_data(piece)
            conn.next_event()
        shown.check()
        assert any("unknown: AUTH PLAIN <redacted>" in text for text in shown.texts)


def test_a_server_that_is_not_proven_learns_and_shows_nothing() -> None:
    """A challenge that lies ends the exchange; what the error says has no secret in it."""
    for mechanism, challenges in (
        ("SCRAM-SHA-256", [b"r=other,s=QQ==,i=4096"]),
        ("SCRAM-SHA-256", [b"nonsense"]),
        ("DIGEST-MD5", [b'nonce="x",algorithm=md5-sess,realm="r"', b"rspauth=00"]),
        ("CRAM-MD5", [b""]),
        ("LOGIN", [b"Username:", b"Password:", b"Again:"]),
    ):
        shown = Shown()
        conn = ClientConnection(tls=TLS)
        conn.trace = shown.trace
        conn.receive_data(b"220 mx.example\r\n")
        conn.next_event()
        conn.send(Hello("c.example"))
        conn.data_to_send()
        conn.receive_data(b"250-mx.example\r\n250 AUTH " + mechanism.encode() + b"\r\n")
        conn.next_event()
        password = Password("user", PASSWORD)
        made = client_mechanism(mechanism, password, ClientMechanismConfig(host=HOST))
        shown.add(conn.authenticate(made, authcid="user"))
        conn.data_to_send()
        for challenge in challenges:
            conn.receive_data(b"334 " + b64encode(challenge) + b"\r\n")
            shown.add(conn.next_event(), made)
            conn.data_to_send()
        conn.receive_data(b"501 cancelled\r\n")
        end = conn.next_event()
        shown.add(end, conn)
        assert isinstance(end, AuthenticationEnded)
        assert conn.identity is None
        shown.check()


KEY: Final = b64encode(b"\0user\0" + PASSWORD.encode())
SLIPS: Final = (
    b"AUHT PLAIN " + KEY,
    b"AUT PLAIN " + KEY,
    b"AUTHPLAIN " + KEY,
    b"AUTH PLAIN" + KEY,
    b"AUTH\tPLAIN " + KEY,
    b"AUTH PLAIN " + KEY + b" x",
    b"AUTH PLAIN " + PASSWORD.encode(),
    b"AUTH PLAIN\0" + KEY,
    b"AUTH: PLAIN " + KEY,
    b"\0AUTH PLAIN " + KEY,
    b"\xef\xbb\xbfAUTH PLAIN " + KEY,
    b"\xff\xfb\x18\xff\xfd\x01AUTH PLAIN " + KEY,
    b"NOOP\x08\x08\x08\x08AUTH PLAIN " + KEY,
    b"NOOP \x08\x08\x08\x08\x08AUTH PLAIN " + KEY,
    b"A\x7fAUTH PLAIN " + KEY,
    b"\x1b[AAUTH PLAIN " + KEY,
    b"QUIT AUTH PLAIN " + KEY,
    b"RSET\rAUTH PLAIN " + KEY,
    b"AUTH PLAIN " + KEY + b"\r",
    b"AUTH PLAIN " + KEY + b"\n",
    b"AUTHENTICATE PLAIN " + KEY,
    b"X-AUTH PLAIN " + KEY,
    b". AUTH PLAIN " + KEY,
    b'"AUTH" PLAIN ' + KEY,
    b"a1 LOGIN user " + PASSWORD.encode(),
    b"USER user " + PASSWORD.encode(),
    b"PASS " + PASSWORD.encode(),
    KEY,
    b64encode(PASSWORD.encode()),
    b"AUHT PLAIN " + KEY * 1000,
    KEY * 1000,
    b"BURL imap://user@mail.example/;urlauth=" + KEY,
    b"BURL imap://user@mail.example/;urlauth=" + KEY + b" LAST",
    b"BURL " + KEY,
    b"BURL\timap://user@mail.example/;urlauth=" + KEY,
    b"BRUL imap://user@mail.example/;urlauth=" + KEY,
)
BURLING: Final = replace(
    ServerConfig.submission(HOST),
    require_auth=False,
    mechanisms=("PLAIN",),
    cleartext_without_tls=True,
    offer=(*ServerConfig.relay(HOST).offer, BURL(("imap",))),
)


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: repr(slip[:30]))
@pytest.mark.parametrize(
    "before", [b"", b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\n", b"AUTH CRAM-MD5\r\n"]
)
def test_a_line_with_a_slip_shows_no_secret(slip: bytes, before: bytes) -> None:
    """Of what was not understood, or whose verb has secrets, only the verb is shown."""
    octets = slip + b"\r\nNOOP\r\n"
    splits = list(every_split(octets)) if len(slip) < 200 else [[octets]]
    for config in (BURLING, replace(SERVER, cleartext_without_tls=True)):
        for chunks in splits:
            shown = Shown()
            made = Session(ServerConnection(config))
            made.run()
            made.feed(b"EHLO c.example\r\n" + before)
            made.conn.trace = shown.trace
            for chunk in chunks:
                if not made.at(Need.CLOSE):
                    made.feed(chunk)
                    shown.add(*made.events, made.conn, made.conn.pending)
            assert shown.texts
            shown.check()


def test_what_is_no_credential_but_private_is_not_shown_either() -> None:
    """A BURL's URL may open a mailbox (RFC 4467), and a message is nobody's but its readers'."""
    url = "imap://user@mail.example/INBOX;uid=1;urlauth=submit+user:internal:91354a473744909de610943775f92038"
    assert "91354a" not in repr(Burl(url, last=True))
    assert "private" not in repr(BodyChunk(b"private " * 100_000))
    assert len(repr(BodyChunk(b"x" * 1_000_000))) < 100
