"""Operations against scripts: what the client says, and what it makes of the answers."""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import TypeVar

import pytest

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import parameters
from smtpwire.extensions.parameters import Body, Notify, Ret
from smtpwire.operations import (
    END_OF_CONTENT,
    HANDED_IN,
    Chunk,
    ConnectionLost,
    Content,
    HandingIn,
    LoginFailed,
    Operation,
    RecipientResult,
    SendResult,
    ServiceRefused,
    SessionError,
    Stage,
    TlsFailed,
    TlsRequired,
    UnsendableError,
    open_session,
    quit,
    reset,
    send_mail,
    verify,
)
from smtpwire.sasl import (
    Anonymous,
    BearerToken,
    ChoicePolicy,
    ExternalIdentity,
    Password,
    PlainPassword,
    Preparation,
    SecretRequest,
)
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import Request, replace

R = TypeVar("R")

EOF = b""
DONE, RETRY = Disposition.DONE, Disposition.RETRY
PERMANENT, UNKNOWN = Disposition.PERMANENT, Disposition.UNKNOWN
MESSAGE = b"Subject: x\r\n\r\ntext\r\n"


class Driver:
    """An adapter whose server follows a script: one answer each time the client waits."""

    def __init__(
        self,
        conn: ClientConnection,
        *answers: bytes,
        tls: TlsInfo | None = SIMULATED_TLS,
        chunks: Iterable[Chunk] = (),
    ) -> None:
        self.conn = conn
        self.answers = list(answers)
        self.said = b""
        self.tls = tls
        self.chunks = iter(chunks)
        self.needs: list[Need] = []

    def run(self, operation: Operation[R]) -> R:
        handed: Chunk | HandingIn | None = None
        try:
            while True:
                need = operation.send(handed)
                handed = None
                self.needs.append(need)
                self.said += self.conn.data_to_send()
                if need is Need.DATA:
                    assert self.answers, f"the script has no answer to {self.said!r}"
                    self.conn.receive_data(self.answers.pop(0))
                elif need is Need.TLS and self.tls is not None:
                    self.conn.tls_started(self.tls)
                elif need is Need.TLS:
                    self.conn.tls_failed("bad certificate")
                elif need is Need.BODY:
                    handed = next(self.chunks, END_OF_CONTENT)
        except StopIteration as stop:
            self.said += self.conn.data_to_send()
            result: R = stop.value
            return result


def opened(*keywords: bytes, **options: object) -> ClientConnection:
    """A client after EHLO, with these keywords offered."""
    tls = SIMULATED_TLS if options.pop("under_tls", False) else None
    conn = ClientConnection(ClientConfig("client.example.com", **options), tls=tls)  # type: ignore[arg-type]
    ehlo = b"".join(b"250-%b\r\n" % keyword for keyword in (b"mx.example.org", *keywords))
    Driver(conn, b"220 mx.example.org\r\n", ehlo + b"250 HELP\r\n").run(open_session(conn))
    return conn


def client(security: Security = Security.NONE, *, lmtp: bool = False) -> ClientConnection:
    config = ClientConfig("client.example.com", host="mx.example.org", security=security, lmtp=lmtp)
    return ClientConnection(config)


def outcomes(result: SendResult) -> list[Disposition]:
    return [item.outcome for item in result.recipients]


# -- open_session


def test_a_session_is_opened() -> None:
    conn = client()
    driver = Driver(conn, b"220 hi\r\n", b"250-mx.example.org\r\n250 SIZE 1000\r\n")
    driver.run(open_session(conn))
    assert driver.said == b"EHLO client.example.com\r\n"
    assert conn.extensions.keywords == ("SIZE",)


def test_helo_follows_only_500_and_502() -> None:
    for code in (b"500", b"502"):
        conn = client()
        driver = Driver(conn, b"220 hi\r\n", code + b" what\r\n", b"250 mx.example.org\r\n")
        driver.run(open_session(conn))
        assert driver.said == b"EHLO client.example.com\r\nHELO client.example.com\r\n"
    for answer in (b"550 no\r\n", b"421 no\r\n", b"504 no\r\n"):
        conn = client()
        with pytest.raises(SessionError) as raised:
            Driver(conn, b"220 hi\r\n", answer).run(open_session(conn))
        assert raised.value.reply is not None
        assert raised.value.reply.code == int(answer[:3])


def test_no_helo_where_tls_credentials_or_lmtp_are_asked_for() -> None:
    password = Password("user", "secret")
    for conn, credentials in (
        (client(Security.STARTTLS), None),
        (client(), password),
        (client(lmtp=True), None),
    ):
        with pytest.raises(ServiceRefused) as raised:
            Driver(conn, b"220 hi\r\n", b"502 what\r\n").run(open_session(conn, credentials))
        assert raised.value.stage is Stage.HELLO
        words = "does not know LHLO" if conn.config.lmtp else "is it LMTP there?"
        assert words in raised.value.reason


def test_a_server_that_refuses_ehlo_for_another_reason_is_no_other_protocol_s() -> None:
    conn = client()
    with pytest.raises(ServiceRefused) as raised:
        Driver(conn, b"220 hi\r\n", b"550 not you\r\n").run(open_session(conn))
    assert raised.value.reason == ""


def test_lmtp_says_lhlo() -> None:
    conn = client(lmtp=True)
    driver = Driver(conn, b"220 hi\r\n", b"250 mx.example.org\r\n")
    driver.run(open_session(conn))
    assert driver.said == b"LHLO client.example.com\r\n"


@pytest.mark.parametrize("greeting", [b"554 no\r\n", b"421 later\r\n", b"450 later\r\n"])
def test_a_refused_greeting(greeting: bytes) -> None:
    conn = client()
    with pytest.raises(SessionError) as raised:
        Driver(conn, greeting).run(open_session(conn))
    assert raised.value.stage is Stage.GREETING
    assert raised.value.reply is not None
    assert raised.value.reply.code == int(greeting[:3])


def test_the_stream_ends_before_the_greeting() -> None:
    conn = client()
    with pytest.raises(ConnectionLost, match="greeting"):
        Driver(conn, EOF).run(open_session(conn))


def test_the_stream_ends_before_the_reply_to_ehlo() -> None:
    conn = client()
    with pytest.raises(ConnectionLost, match="EHLO"):
        Driver(conn, b"220 hi\r\n", EOF).run(open_session(conn))


OFFERS_TLS = b"250-mx.example.org\r\n250 STARTTLS\r\n"


def test_tls_where_it_is_required() -> None:
    conn = client(Security.STARTTLS)
    answers = (b"220 hi\r\n", OFFERS_TLS, b"220 go\r\n", b"250-mx.example.org\r\n250 SIZE\r\n")
    driver = Driver(conn, *answers)
    driver.run(open_session(conn))
    assert driver.said == (b"EHLO client.example.com\r\nSTARTTLS\r\nEHLO client.example.com\r\n")
    assert conn.extensions.keywords == ("SIZE",)
    assert conn.tls is SIMULATED_TLS


def test_tls_is_not_offered() -> None:
    """RFC 8314 §3."""
    bare = b"250 mx.example.org\r\n"
    conn = client(Security.STARTTLS)
    with pytest.raises(TlsRequired, match=r"the server does not offer STARTTLS$"):
        Driver(conn, b"220 hi\r\n", bare).run(open_session(conn))
    conn = client(Security.OPPORTUNISTIC)
    Driver(conn, b"220 hi\r\n", bare).run(open_session(conn))
    assert conn.tls is None


def test_tls_is_refused() -> None:
    conn = client(Security.STARTTLS)
    with pytest.raises(TlsRequired) as raised:
        Driver(conn, b"220 hi\r\n", OFFERS_TLS, b"454 not now\r\n").run(open_session(conn))
    assert raised.value.reply == Reply(454, "not now")
    conn = client(Security.OPPORTUNISTIC)
    Driver(conn, b"220 hi\r\n", OFFERS_TLS, b"454 not now\r\n").run(open_session(conn))
    assert conn.tls is None


def test_no_tls_where_none_is_wanted() -> None:
    conn = client()
    driver = Driver(conn, b"220 hi\r\n", OFFERS_TLS)
    driver.run(open_session(conn))
    assert b"STARTTLS" not in driver.said


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.OPPORTUNISTIC])
def test_a_failed_handshake_never_falls_back_to_clear_text(security: Security) -> None:
    """RFC 8314 §3."""
    conn = client(security)
    driver = Driver(conn, b"220 hi\r\n", OFFERS_TLS, b"220 go\r\n", tls=None)
    with pytest.raises(TlsFailed, match="bad certificate"):
        driver.run(open_session(conn))
    assert driver.said.endswith(b"STARTTLS\r\n")
    assert conn.state is State.CLOSED


def authenticating(*answers: bytes, mechanisms: bytes = b"PLAIN LOGIN") -> Driver:
    """A client under verified TLS, up to its first AUTH."""
    conn = ClientConnection(
        ClientConfig("client.example.com", host="mx.example.org", security=Security.IMPLICIT),
        tls=SIMULATED_TLS,
    )
    offer = b"250-mx.example.org\r\n250 AUTH %b\r\n" % mechanisms
    return Driver(conn, b"220 hi\r\n", offer, *answers)


def test_authentication() -> None:
    driver = authenticating(b"235 2.7.0 welcome\r\n")
    driver.run(open_session(driver.conn, Password("user", "secret")))
    assert driver.said.endswith(b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n")
    assert driver.conn.identity is not None
    assert driver.conn.identity.authcid == "user"


def test_another_mechanism_where_the_server_would_not_do_the_first() -> None:
    for code in (b"504", b"534", b"538"):
        driver = authenticating(
            code + b" no\r\n", b"334 VXNlcm5hbWU6\r\n", b"334 \r\n", b"235 ok\r\n"
        )
        driver.run(open_session(driver.conn, Password("user", "secret")))
        assert b"AUTH LOGIN" in driver.said


def test_the_same_password_is_not_tried_twice() -> None:
    driver = authenticating(b"535 5.7.8 no\r\n")
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert raised.value.reply is not None
    assert raised.value.reply.code == 535
    assert b"LOGIN" not in driver.said
    assert driver.conn.state is State.READY  # for QUIT


def test_a_trouble_of_the_server_says_nothing_of_the_password() -> None:
    driver = authenticating(b"454 4.7.0 later\r\n")
    with pytest.raises(LoginFailed, match="temporary"):
        driver.run(open_session(driver.conn, Password("user", "secret")))


def test_no_usable_mechanism() -> None:
    driver = authenticating(mechanisms=b"GSSAPI")
    with pytest.raises(LoginFailed, match="no mechanism"):
        driver.run(open_session(driver.conn, Password("user", "secret")))
    conn = client()
    driver = Driver(conn, b"220 hi\r\n", b"250 mx.example.org\r\n")
    with pytest.raises(LoginFailed):
        driver.run(open_session(conn, Password("user", "secret")))


def test_the_last_refusal_is_told_when_no_mechanism_is_left() -> None:
    driver = authenticating(b"504 no\r\n", mechanisms=b"PLAIN")
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert raised.value.reply == Reply(504, "no")


def test_credentials_that_cannot_be_sent() -> None:
    driver = authenticating()
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, Password("user", "se\0cret")))
    assert "cret" not in str(raised.value)


def test_the_other_credentials() -> None:
    for mechanism, credentials, initial in (
        (b"OAUTHBEARER", BearerToken("user", "t"), b"AUTH OAUTHBEARER "),
        (b"EXTERNAL", ExternalIdentity(), b"AUTH EXTERNAL =\r\n"),
        (b"ANONYMOUS", Anonymous("me"), b"AUTH ANONYMOUS bWU=\r\n"),
    ):
        driver = authenticating(b"235 ok\r\n", mechanisms=mechanism)
        driver.run(open_session(driver.conn, credentials))
        assert initial in driver.said


def test_a_connection_lost_in_authentication() -> None:
    driver = authenticating(EOF)
    with pytest.raises(SessionError) as raised:
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert raised.value.stage is Stage.AUTHENTICATION


@pytest.mark.parametrize("login", ["", "250-AUTH PLAIN\r\n"])
def test_a_login_without_tls_says_how_to_ask_for_it(login: str) -> None:
    conn = client()
    offer = f"250-mx.example.org\r\n{login}250 STARTTLS\r\n".encode()
    with pytest.raises(LoginFailed, match=r"it offers STARTTLS: .*Security\.STARTTLS\) asks"):
        Driver(conn, b"220 hi\r\n", offer).run(open_session(conn, Password("u", "p")))


def test_clear_text_needs_a_named_switch() -> None:
    offer = b"250-mx.example.org\r\n250 AUTH PLAIN\r\n"
    conn = client()
    with pytest.raises(LoginFailed, match="without TLS"):
        Driver(conn, b"220 hi\r\n", offer).run(open_session(conn, Password("u", "p")))
    config = ClientConfig("c.example", cleartext_authentication_without_verified_tls=True)
    conn = ClientConnection(config)
    Driver(conn, b"220 hi\r\n", offer, b"235 ok\r\n").run(open_session(conn, Password("u", "p")))
    policy = ChoicePolicy(mechanisms=("LOGIN",))
    conn = ClientConnection(config)
    with pytest.raises(LoginFailed, match="none of what is offered and fits: PLAIN"):
        Driver(conn, b"220 hi\r\n", offer).run(
            open_session(conn, Password("u", "p"), policy=policy)
        )


def test_a_server_that_does_not_prove_itself_ends_it() -> None:
    driver = authenticating(b"235 trust me\r\n", mechanisms=b"SCRAM-SHA-256 PLAIN")
    with pytest.raises(LoginFailed, match="without having proved itself") as raised:
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert raised.value.reply is None, "its success is no success"
    assert driver.conn.state is State.CLOSED
    assert b"PLAIN" not in driver.said


def test_passwords_are_hashed_as_the_configuration_spells_them() -> None:
    said = []
    for preparation in Preparation:
        driver = authenticating(b"334 eA==\r\n", b"535 no\r\n", mechanisms=b"CRAM-MD5")
        conn = ClientConnection(
            replace(driver.conn.config, preparation=preparation), tls=SIMULATED_TLS
        )
        driver.conn = conn
        with pytest.raises(LoginFailed):
            driver.run(open_session(conn, Password("\u2168", "\u2168")))
        said.append(b64decode(driver.said.split(b"\r\n")[2]))
    raw, lenient, strict = said
    assert raw.startswith("\u2168 ".encode())
    assert lenient == strict
    assert lenient.startswith(b"IX ")


def test_what_the_client_objected_to_is_not_told_as_the_servers_refusal() -> None:
    driver = authenticating(b"334 !\r\n", b"501 5.7.0 cancelled\r\n", mechanisms=b"CRAM-MD5")
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert str(raised.value) == "AUTH: the challenge is no base64"
    assert raised.value.reply is None


def test_success_behind_a_cancellation_ends_the_session() -> None:
    driver = authenticating(b"334 !\r\n", b"235 ok\r\n", mechanisms=b"CRAM-MD5 PLAIN")
    with pytest.raises(LoginFailed, match="no base64"):
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert driver.conn.state is State.CLOSED
    assert b"PLAIN" not in driver.said


def test_the_error_of_oauth_is_told() -> None:
    """RFC 7628 §3.2.2: the JSON says more than the reply."""
    driver = authenticating(
        b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", b"535 5.7.8 no\r\n", mechanisms=b"XOAUTH2"
    )
    with pytest.raises(LoginFailed, match=r'\{"status":"401"\}.*535') as raised:
        driver.run(open_session(driver.conn, BearerToken("user", "token")))
    assert raised.value.reply == Reply(535, "no", "5.7.8")


@pytest.mark.parametrize("code", [502, 503, 530])
def test_a_server_that_takes_no_auth_says_nothing_of_the_password(code: int) -> None:
    driver = authenticating(b"%d not now\r\n" % code)
    with pytest.raises(LoginFailed, match="unavailable"):
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert b"LOGIN" not in driver.said


@pytest.mark.parametrize("last", [b"", b"421 4.3.2 going down\r\n", b"junk\r\n"])
def test_a_connection_lost_in_auth_says_nothing_of_the_password(last: bytes) -> None:
    driver = authenticating(last, mechanisms=b"PLAIN")
    with pytest.raises(ConnectionLost) as raised:
        driver.run(open_session(driver.conn, Password("user", "secret")))
    assert raised.value.stage is Stage.AUTHENTICATION
    assert (raised.value.reply is not None) is last.startswith(b"421")


def test_scram_against_our_own_server() -> None:
    config = replace(
        ServerConfig.relay("mx.example.org"),
        mechanisms=("SCRAM-SHA-256",),
        scram_secret=b"shared by all processes",
    )
    server = ServerConnection(config)
    conn = client()
    for _ in open_session(conn, Password("user", "secret")):
        if octets := conn.data_to_send():
            server.receive_data(octets)
        while not isinstance(event := server.next_event(), Need):
            if isinstance(event, SecretRequest):
                server.supply(PlainPassword("secret"))
            elif isinstance(event, Request):
                server.reply()
        if octets := server.data_to_send():
            conn.receive_data(octets)
    assert conn.identity is not None
    assert server.identity is not None


# -- send_mail: the transaction

PIPELINED = (b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"SIZE 1000", b"CHUNKING", b"DSN")


def test_a_message_in_lock_step() -> None:
    conn = opened()
    answers = (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 taken\r\n")
    driver = Driver(conn, *answers)
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert driver.said == (
        b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
        b"Subject: x\r\n\r\ntext\r\n.\r\n"
    )
    assert result == SendResult(
        (RecipientResult(Address("b", "example.org"), Reply(250, "taken"), DONE),)
    )
    assert result.accepted == result.recipients
    assert result.refused == ()


def test_an_operation_ends_with_the_last_verdict_and_does_not_read_on() -> None:
    """What follows may be half a reply, and then silence."""
    for answers in (
        (b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 queued\r\n2"),
        (b"550 no\r\n503 what\r\n503 what\r\n2",),
        (b"250 ok\r\n550 no\r\n554 none\r\n", b"250 reset\r\n2"),
        (b"250 ok\r\n250 ok\r\n450 later\r\n", b"250 reset\r\n2"),
    ):
        conn = opened(*PIPELINED)
        driver = Driver(conn, *answers)
        driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
        assert driver.answers == []
        assert conn.next_event() is Need.DATA
        assert conn.timeout is not None


def test_a_message_in_one_flight() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n", b"250 taken\r\n")
    result = driver.run(
        send_mail(conn, "a@example.com", ["b@example.org", "c@example.org"], MESSAGE)
    )
    assert outcomes(result) == [DONE, PERMANENT]
    assert result.refused[0].reply is not None
    assert result.refused[0].reply.code == 550


def test_the_null_reverse_path() -> None:
    for sender in (None, ""):
        conn = opened(*PIPELINED)
        driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 taken\r\n")
        driver.run(send_mail(conn, sender, ["b@example.org"], MESSAGE))
        assert driver.said.startswith(b"MAIL FROM:<> SIZE=20\r\n")


def test_duplicates_are_kept() -> None:
    """RFC 5321 §3.3."""
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n452 later\r\n354 go\r\n", b"250 taken\r\n")
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"] * 2, MESSAGE))
    assert outcomes(result) == [DONE, RETRY]


def test_a_refused_sender() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"550 not you\r\n503 no\r\n503 no\r\n")
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert result.recipients[0].reply == Reply(550, "not you")
    assert outcomes(result) == [PERMANENT]
    assert conn.state is State.READY


def test_no_recipient_is_accepted() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n550 no\r\n554 no recipients\r\n", b"250 reset\r\n")
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert outcomes(result) == [PERMANENT]
    assert driver.said.endswith(b"DATA\r\nRSET\r\n")
    assert conn.state is State.READY


def test_a_354_although_no_recipient_was_accepted() -> None:
    """RFC 2920 §3.1: a lone dot."""
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n550 no\r\n354 go\r\n", b"554 nobody\r\n")
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert outcomes(result) == [PERMANENT]
    assert driver.said.endswith(b"DATA\r\n.\r\n")


def test_refused_data() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n451 not now\r\n", b"250 reset\r\n")
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert result.recipients[0].reply == Reply(451, "not now")
    assert outcomes(result) == [RETRY]
    assert driver.said.endswith(b"DATA\r\nRSET\r\n")


def test_a_refused_message() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"554 spam\r\n")
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert outcomes(result) == [PERMANENT]
    assert conn.state is State.READY


def test_a_verdict_in_the_middle_of_the_content() -> None:
    """What has not been ended is not delivered; the engine closes, since no dot may be sent."""
    conn = opened(*PIPELINED)

    def content() -> Iterator[bytes]:
        yield b"text\r\n"
        conn.receive_data(b"552 5.3.4 too much\r\n")
        yield b"text\r\n"
        raise AssertionError("nobody wants more")

    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n")
    result = driver.run(
        send_mail(conn, "a@example.com", ["b@example.org"], content(), chunking=False)
    )
    assert outcomes(result) == [PERMANENT]
    assert b"\r\n.\r\n" not in driver.said
    assert conn.state is State.CLOSED


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((EOF,), RETRY),
        ((b"250 ok\r\n", EOF), RETRY),
        ((b"250 ok\r\n250 ok\r\n354 go\r\n", EOF), UNKNOWN),
        ((b"250 ok\r\n250 ok\r\n354 go\r\n", b"what?\r\n"), UNKNOWN),
        ((b"421 bye\r\n",), RETRY),
        ((b"250 ok\r\n421 bye\r\n",), RETRY),
        ((b"250 ok\r\n250 ok\r\n421 bye\r\n",), RETRY),
        ((b"250 ok\r\n250 ok\r\n354 go\r\n", b"421 bye\r\n"), RETRY),
    ],
)
def test_a_lost_connection_is_a_result(answers: tuple[bytes, ...], expected: Disposition) -> None:
    conn = opened(*PIPELINED)
    result = Driver(conn, *answers).run(
        send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE)
    )
    assert outcomes(result) == [expected]
    assert conn.state is State.CLOSED


def test_another_message_on_a_connection_that_has_ended() -> None:
    conn = opened(*PIPELINED)
    Driver(conn, EOF).run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    result = Driver(conn).run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert outcomes(result) == [RETRY]


def test_the_session_goes_on_after_a_failed_transaction() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(
        conn,
        b"250 ok\r\n250 ok\r\n451 not now\r\n",
        b"250 reset\r\n",
        b"250 ok\r\n250 ok\r\n354 go\r\n",
        b"250 taken\r\n",
    )
    first = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    second = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert (outcomes(first), outcomes(second)) == ([RETRY], [DONE])


# -- send_mail: BDAT


def test_chunks() -> None:
    conn = opened(*PIPELINED, chunk_size=8)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n", b"250 ok\r\n" * 3)
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE, chunking=True))
    assert outcomes(result) == [DONE]
    assert driver.said.endswith(b"BDAT 8\r\nSubject:BDAT 8\r\n x\r\n\r\nteBDAT 4 LAST\r\nxt\r\n")
    assert b"DATA\r\n" not in driver.said


def test_a_refused_chunk() -> None:
    conn = opened(*PIPELINED, chunk_size=8)
    driver = Driver(
        conn, b"250 ok\r\n250 ok\r\n", b"552 too much\r\n503 no\r\n503 no\r\n", b"250 reset\r\n"
    )
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE, chunking=True))
    assert outcomes(result) == [PERMANENT]
    assert result.recipients[0].reply == Reply(552, "too much")
    assert conn.state is State.READY


def test_chunks_where_they_pay() -> None:
    large = b"x" * 70 + b"\r\n"
    for content, sign in ((MESSAGE, b"DATA\r\n"), (large * 3, b"BDAT")):
        conn = opened(*PIPELINED, chunk_size=100)
        driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", *[b"250 ok\r\n"] * 3)
        if sign == b"BDAT":
            driver.answers[0] = b"250 ok\r\n250 ok\r\n"
        driver.run(send_mail(conn, "a@example.com", ["b@example.org"], content))
        assert sign in driver.said


def test_chunking_wanted_and_not_offered() -> None:
    conn = opened(b"PIPELINING")
    with pytest.raises(UnsendableError, match="CHUNKING") as raised:
        Driver(conn).run(send_mail(conn, "a@b.example", ["c@d.example"], MESSAGE, chunking=True))
    assert raised.value.extension == "CHUNKING"


# -- send_mail: LMTP and PRDR


def test_lmtp_has_a_verdict_a_recipient() -> None:
    conn = client(lmtp=True)
    driver = Driver(
        conn,
        b"220 hi\r\n",
        b"250-mx.example.org\r\n250 PIPELINING\r\n",
        b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n",
        b"250 one\r\n452 full\r\n",
    )
    driver.run(open_session(conn))
    names = ["b@example.org", "nobody@example.org", "c@example.org"]
    result = driver.run(send_mail(conn, "a@example.com", names, MESSAGE))
    assert outcomes(result) == [DONE, PERMANENT, RETRY]
    assert [str(item.reply) for item in result.recipients] == ["250 one", "550 no", "452 full"]


def test_lmtp_lost_in_the_middle_of_the_verdicts() -> None:
    conn = client(lmtp=True)
    driver = Driver(
        conn,
        b"220 hi\r\n",
        b"250-mx.example.org\r\n250 PIPELINING\r\n",
        b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        b"250 one\r\n",
        EOF,
    )
    driver.run(open_session(conn))
    result = driver.run(
        send_mail(conn, "a@example.com", ["b@example.org", "c@example.org"], MESSAGE)
    )
    assert outcomes(result) == [DONE, UNKNOWN]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (b"353 each\r\n250 yes\r\n550 no\r\n250 ok\r\n", [DONE, PERMANENT]),
        (b"353 each\r\n250 yes\r\n550 no\r\n451 after all not\r\n", [RETRY, PERMANENT]),
        (b"250 for all\r\n", [DONE, DONE]),
        (b"554 for all\r\n", [PERMANENT, PERMANENT]),
    ],
)
def test_prdr(verdicts: bytes, expected: list[Disposition]) -> None:
    conn = opened(b"PIPELINING", b"PRDR")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", verdicts)
    result = driver.run(
        send_mail(conn, "a@example.com", ["b@example.org", "c@example.org"], MESSAGE)
    )
    assert b"MAIL FROM:<a@example.com> PRDR\r\n" in driver.said
    assert outcomes(result) == expected


def test_prdr_makes_no_difference_for_one_recipient() -> None:
    conn = opened(b"PIPELINING", b"PRDR")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n")
    driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert b"PRDR" not in driver.said


# -- send_mail: the plan


def sent(conn: ClientConnection, *arguments: object, **options: object) -> bytes:
    """What is said where the server accepts everything."""
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n", b"250 ok\r\n")
    driver.run(send_mail(conn, *arguments, **options))  # type: ignore[arg-type]
    return driver.said


def test_line_ends_become_crlf() -> None:
    for content in (b"a\nb\rc\r\n.d\n", b"a\r\nb\r\nc\r\n.d\r\n"):
        said = sent(opened(*PIPELINED), "a@b.example", ["c@d.example"], content)
        assert b"SIZE=13\r\n" in said
        assert said.endswith(b"DATA\r\na\r\nb\r\nc\r\n..d\r\n.\r\n")
    chunks = (b"a\nb\r", b"\nc")
    said = sent(opened(*PIPELINED), "a@b.example", ["c@d.example"], chunks, chunking=False)
    assert said.endswith(b"DATA\r\na\r\nb\r\nc\r\n.\r\n")


def test_an_email_message_just_works() -> None:
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("Hällo\n.\n")
    said = sent(opened(*PIPELINED), "a@b.example", ["c@d.example"], message.as_bytes())
    assert b"\n" not in said.replace(b"\r\n", b"")


def test_octets_beyond_ascii_need_8bitmime() -> None:
    """RFC 5321 §2.4."""
    content = "Subject: x\r\n\r\nHällo\r\n".encode()
    said = sent(opened(*PIPELINED), "a@b.example", ["c@d.example"], content)
    assert said.startswith(b"MAIL FROM:<a@b.example> BODY=8BITMIME SIZE=22\r\n")
    with pytest.raises(UnsendableError) as raised:
        sent(opened(b"PIPELINING"), "a@b.example", ["c@d.example"], content)
    assert raised.value.extension == "8BITMIME"


def test_a_header_beyond_ascii_needs_smtputf8() -> None:
    content = "Subject: Grüße\r\n\r\nHello\r\n".encode()
    said = sent(opened(*PIPELINED), "a@b.example", ["c@d.example"], content)
    assert b" SMTPUTF8 BODY=8BITMIME " in said
    with pytest.raises(UnsendableError) as raised:
        sent(opened(b"PIPELINING", b"8BITMIME"), "a@b.example", ["c@d.example"], content)
    assert raised.value.extension == "SMTPUTF8"
    legacy = opened(b"PIPELINING", b"8BITMIME")
    assert b"SMTPUTF8" not in sent(legacy, "a@b.example", ["c@d.example"], content, smtputf8=False)


def test_an_address_beyond_ascii_needs_smtputf8() -> None:
    for sender, recipient in (("grün@b.example", "c@d.example"), ("a@b.example", "grün@d.example")):
        assert b" SMTPUTF8 " in sent(opened(*PIPELINED), sender, [recipient], MESSAGE)
        with pytest.raises(UnsendableError) as raised:
            sent(opened(b"PIPELINING"), sender, [recipient], MESSAGE)
        assert raised.value.extension == "SMTPUTF8"


def test_a_message_over_the_servers_limit() -> None:
    with pytest.raises(UnsendableError, match="1000") as raised:
        sent(opened(*PIPELINED), "a@b.example", ["c@d.example"], b"x" * 1001)
    assert raised.value.extension == "SIZE"
    for offer in (b"SIZE 0", b"SIZE"):
        sent(opened(b"PIPELINING", offer), "a@b.example", ["c@d.example"], b"x" * 1001)


def test_of_an_iterable_only_what_is_said_is_claimed() -> None:
    said = sent(opened(*PIPELINED), "a@b.example", ["c@d.example"], [MESSAGE], chunking=False)
    assert said.startswith(b"MAIL FROM:<a@b.example>\r\n")
    said = sent(
        opened(*PIPELINED),
        "a@b.example",
        ["c@d.example"],
        [b"\xe4\r\n"],
        size=3,
        body=Body.EIGHTBITMIME,
        smtputf8=True,
        chunking=False,
    )
    assert said.startswith(b"MAIL FROM:<a@b.example> SMTPUTF8 BODY=8BITMIME SIZE=3\r\n")


def test_an_octet_beyond_what_is_claimed_aborts_and_never_truncates() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n")
    content = [b"Subject: x\r\n\r\n", "Hällo\r\n".encode()]
    with pytest.raises(UnsendableError) as raised:
        driver.run(send_mail(conn, "a@b.example", ["c@d.example"], content, chunking=False))
    assert raised.value.extension == "8BITMIME"
    assert conn.state is State.CLOSED
    assert conn.data_to_send() == b""
    assert b"\r\n.\r\n" not in driver.said


def test_content_that_raises_aborts() -> None:
    def content() -> Iterator[bytes]:
        yield b"Subject: x\r\n\r\n"
        raise ZeroDivisionError

    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n")
    with pytest.raises(ZeroDivisionError):
        driver.run(send_mail(conn, "a@b.example", ["c@d.example"], content(), chunking=False))
    assert conn.state is State.CLOSED


def test_binary_content_goes_as_it_is() -> None:
    conn = opened(*PIPELINED, b"BINARYMIME")
    content = b"a\nb\r\0c"
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n", b"250 ok\r\n")
    driver.run(send_mail(conn, "a@b.example", ["c@d.example"], content, body=Body.BINARYMIME))
    assert b"BODY=BINARYMIME SIZE=6\r\n" in driver.said
    assert driver.said.endswith(b"BDAT 6 LAST\r\na\nb\r\0c")


def test_binary_content_needs_both_extensions() -> None:
    for offer, missing in (((b"CHUNKING",), "BINARYMIME"), ((b"BINARYMIME",), "CHUNKING")):
        with pytest.raises(UnsendableError) as raised:
            sent(opened(*offer), "a@b.example", ["c@d.example"], b"x", body=Body.BINARYMIME)
        assert raised.value.extension == missing


def test_parameters_of_ones_own() -> None:
    mail = Mail(
        Address.parse("a@b.example"),
        Parameters(parameters.RET(Ret.HDRS), parameters.ENVID("QQ1"), parameters.SIZE(7)),
    )
    rcpt = Rcpt(
        Address.parse("c@d.example"), Parameters(parameters.NOTIFY(frozenset({Notify.NEVER})))
    )
    said = sent(opened(*PIPELINED), mail, [rcpt], MESSAGE)
    assert said.startswith(
        b"MAIL FROM:<a@b.example> SIZE=7 RET=HDRS ENVID=QQ1\r\n"
        b"RCPT TO:<c@d.example> NOTIFY=NEVER\r\n"
    )
    for sender, recipient in ((mail, "c@d.example"), ("a@b.example", rcpt)):
        with pytest.raises(UnsendableError) as raised:
            sent(opened(b"SIZE"), sender, [recipient], MESSAGE)
        assert raised.value.extension == "DSN"


def test_a_body_that_the_senders_own_mail_speaks_of() -> None:
    """The server counts on what MAIL says, whoever says it (RFC 6152 §3, RFC 3030 §3)."""

    def of(body: Body) -> Mail:
        return Mail(Address.parse("a@b.example"), Parameters(parameters.BODY(body)))

    dots = (b"PIPELINING", b"8BITMIME")
    text = b"Subject: x\r\n\r\n\xff\r\n"
    for content in (text, [text]):
        with pytest.raises(UnsendableError, match="beyond ASCII"):
            sent(opened(*dots), of(Body.SEVENBIT), ["c@d.example"], content)
        said = sent(opened(*dots), of(Body.EIGHTBITMIME), ["c@d.example"], content)
        assert said.endswith(b"DATA\r\n" + text + b".\r\n")
    text = b"\r\n\r\na\n\xff"
    for content in (text, [text]):
        conn = opened(*PIPELINED, b"BINARYMIME")
        driver = Driver(conn, b"250 ok\r\n250 ok\r\n", b"250 ok\r\n")
        driver.run(send_mail(conn, of(Body.BINARYMIME), ["c@d.example"], content))
        assert driver.said.endswith(b"BDAT 7 LAST\r\n" + text)


def test_a_body_that_is_said_twice() -> None:
    mail = Mail(Address.parse("a@b.example"), Parameters(parameters.BODY(Body.SEVENBIT)))
    with pytest.raises(UnsendableError, match="body is BINARYMIME, and MAIL says BODY=7BIT"):
        sent(opened(*PIPELINED), mail, ["c@d.example"], b"x", body=Body.BINARYMIME)
    assert b" BODY=7BIT" in sent(
        opened(*PIPELINED), mail, ["c@d.example"], b"x", body=Body.SEVENBIT
    )


def test_requiretls() -> None:
    said = sent(
        opened(b"PIPELINING", b"REQUIRETLS", under_tls=True),
        "a@b.example",
        ["c@d.example"],
        MESSAGE,
        require_tls=True,
    )
    assert said.startswith(b"MAIL FROM:<a@b.example> REQUIRETLS\r\n")
    for conn in (opened(b"REQUIRETLS"), opened(b"PIPELINING", under_tls=True)):
        with pytest.raises(UnsendableError) as raised:
            sent(conn, "a@b.example", ["c@d.example"], MESSAGE, require_tls=True)
        assert raised.value.extension == "REQUIRETLS"


def test_no_recipients_at_all() -> None:
    with pytest.raises(UnsendableError, match="no recipient"):
        sent(opened(), "a@b.example", [], MESSAGE)


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="'c d@'"):
        sent(opened(), "a@b.example", ["c d@"], MESSAGE)


def test_an_address_that_no_line_can_carry() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 taken\r\n")
    result = driver.run(
        send_mail(conn, "a@b.example", ["c@d.example", "x" * 1200 + "@d.example"], MESSAGE)
    )
    assert outcomes(result) == [DONE, PERMANENT]
    refused = result.refused[0]
    assert (refused.command, refused.reply, refused.session_used_up) == ("RCPT", None, False)
    assert "1048 are allowed" in refused.reason
    assert conn.reusable


def test_a_recipient_that_no_line_can_carry_is_refused_in_a_later_group_too() -> None:
    conn = opened(b"PIPELINING", b"LIMITS RCPTMAX=1")
    flight = (b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 taken\r\n")
    driver = Driver(conn, *flight, b"250 ok\r\n", b"250 reset\r\n", *flight)
    recipients = ["c@d.example", "x" * 1200 + "@d.example", "e@d.example"]
    result = driver.run(send_mail(conn, "a@b.example", recipients, MESSAGE))
    assert outcomes(result) == [DONE, PERMANENT, DONE]
    assert "512 are allowed" in result.refused[0].reason


def test_a_sender_that_no_line_can_carry_makes_the_message_unsendable() -> None:
    conn = opened(b"PIPELINING")
    with pytest.raises(UnsendableError, match="512 are allowed"):
        Driver(conn).run(send_mail(conn, "x" * 1200 + "@d.example", ["c@d.example"], MESSAGE))
    assert conn.reusable


# -- send_mail: LIMITS (RFC 9422)


def test_recipients_are_divided_by_the_servers_limit() -> None:
    conn = opened(b"PIPELINING", b"LIMITS RCPTMAX=2")
    names = [f"{name}@example.org" for name in "bcd"]
    driver = Driver(
        conn,
        b"250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n",
        b"250 taken\r\n",
        b"250 ok\r\n250 ok\r\n354 go\r\n",
        b"451 later\r\n",
    )
    result = driver.run(send_mail(conn, "a@example.com", names, MESSAGE))
    assert driver.said.count(b"MAIL FROM") == 2
    assert outcomes(result) == [DONE, PERMANENT, RETRY]


def test_what_can_be_read_once_goes_in_one_transaction_only() -> None:
    names = [f"{name}@example.org" for name in "bcd"]
    contents: list[Content] = [iter([MESSAGE]), HANDED_IN]
    for content in contents:
        conn = opened(b"PIPELINING", b"LIMITS RCPTMAX=2")
        with pytest.raises(UnsendableError, match="once") as raised:
            Driver(conn).run(send_mail(conn, "a@example.com", names, content))
        assert raised.value.extension == "LIMITS"
    conn = opened(b"PIPELINING", b"LIMITS RCPTMAX=2")
    flight = (b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n")
    last = (b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n")
    result = Driver(conn, *flight, *last).run(
        send_mail(conn, "a@example.com", names, [MESSAGE], chunking=False)
    )
    assert outcomes(result) == [DONE, DONE, DONE]


def test_more_transactions_than_a_session_may_have_are_for_the_next() -> None:
    conn = opened(b"PIPELINING", b"LIMITS RCPTMAX=1 MAILMAX=1")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 taken\r\n")
    result = driver.run(
        send_mail(conn, "a@example.com", ["b@example.org", "c@example.org"], MESSAGE)
    )
    assert outcomes(result) == [DONE, RETRY]
    result = driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert outcomes(result) == [RETRY]
    refused = result.refused[0]
    assert (refused.command, refused.reply, refused.session_used_up) == ("MAIL", None, True)
    assert refused.reason == "the server takes 1 MAIL commands (RFC 9422 §4.1)"
    assert conn.reusable


# -- content handed in by the driver


def test_content_handed_in() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(
        conn,
        b"250 ok\r\n250 ok\r\n354 go\r\n",
        b"250 taken\r\n",
        chunks=[b"Subject: x\n", b"\n.dot\n"],
    )
    result = driver.run(
        send_mail(conn, "a@example.com", ["b@example.org"], HANDED_IN, chunking=False)
    )
    assert outcomes(result) == [DONE]
    assert driver.said.endswith(b"DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\n")
    assert driver.needs.count(Need.BODY) == 3


def test_operations_with_content_never_ask_for_it() -> None:
    conn = opened(*PIPELINED)
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 taken\r\n")
    driver.run(send_mail(conn, "a@example.com", ["b@example.org"], MESSAGE))
    assert Need.BODY not in driver.needs


def test_a_driver_that_gives_up_leaves_nothing_that_looks_complete() -> None:
    conn = opened(*PIPELINED)
    operation = send_mail(conn, "a@example.com", ["b@example.org"], HANDED_IN, chunking=False)
    next(operation)
    conn.data_to_send()
    conn.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert next(operation) is Need.BODY
    operation.close()
    assert conn.state is State.CLOSED


def test_a_verdict_while_content_is_handed_in() -> None:
    conn = opened(*PIPELINED)

    def chunks() -> Iterator[bytes]:
        conn.receive_data(b"451 no more\r\n")
        yield b"text\r\n"

    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", chunks=chunks())
    result = driver.run(
        send_mail(conn, "a@example.com", ["b@example.org"], HANDED_IN, chunking=False)
    )
    assert outcomes(result) == [RETRY]


# -- the small ones


def test_quit() -> None:
    conn = opened()
    driver = Driver(conn, b"221 bye\r\n")
    assert driver.run(quit(conn)) == Reply(221, "bye")
    assert driver.said == b"QUIT\r\n"
    assert driver.run(quit(conn)) is None


def test_quit_that_gets_no_answer() -> None:
    conn = opened()
    assert Driver(conn, EOF).run(quit(conn)) is None
    conn = ClientConnection(ClientConfig("c.example"))
    assert Driver(conn).run(quit(conn)) is None  # not even greeted


def test_reset_and_verify() -> None:
    conn = opened(b"SMTPUTF8")
    driver = Driver(conn, b"250 ok\r\n", b"252 perhaps\r\n", b"250 <x@y.example>\r\n")
    assert driver.run(reset(conn)).code == 250
    assert driver.run(verify(conn, "postmaster")).code == 252
    assert driver.run(verify(conn, "grün")).code == 250
    assert driver.said == "RSET\r\nVRFY postmaster\r\nVRFY grün SMTPUTF8\r\n".encode()


def test_an_argument_to_verify_is_text() -> None:
    with pytest.raises(TypeError, match=r"^argument is bytes: pass a str"):
        verify(opened(), b"postmaster")  # type: ignore[arg-type]


def test_no_mail_before_tls_where_that_is_needed() -> None:
    conn = client(Security.STARTTLS)
    driver = Driver(conn, b"220 mx\r\n", b"250 mx\r\n", b"454 no\r\n")
    with pytest.raises(TlsRequired):
        driver.run(open_session(conn))
    with pytest.raises(
        LocalProtocolError, match=r"^MAIL before TLS: ClientConfig.security forbids"
    ):
        driver.run(send_mail(conn, None, ["b@c.example"], MESSAGE))


def test_on_a_connection_that_has_ended() -> None:
    conn = opened()
    assert Driver(conn, b"421 bye\r\n").run(reset(conn)) == Reply(421, "bye")
    with pytest.raises(ConnectionLost):
        Driver(opened(), EOF).run(reset(conn))
    with pytest.raises(ConnectionLost, match="has ended"):
        Driver(conn).run(reset(conn))


def test_no_secret_in_an_error() -> None:
    driver = authenticating(b"535 no\r\n")
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, Password("user", "hunter2")))
    assert "hunter2" not in repr(raised.value)


def a_label(domain: str) -> str:
    return domain.encode("idna").decode()


def test_a_domain_goes_in_a_labels_where_the_server_has_no_smtputf8() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 done\r\n")
    recipients = ["carol@bücher.example"]
    result = driver.run(send_mail(conn, "alice@bücher.example", recipients, MESSAGE, idna=a_label))
    assert b"MAIL FROM:<alice@xn--bcher-kva.example>\r\n" in driver.said
    assert b"RCPT TO:<carol@xn--bcher-kva.example>\r\n" in driver.said
    assert [item.outcome for item in result.recipients] == [DONE]


def test_a_domain_is_handed_through_where_the_server_has_smtputf8() -> None:
    conn = opened(b"PIPELINING", b"8BITMIME", b"SMTPUTF8")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 done\r\n")
    driver.run(send_mail(conn, None, ["carol@bücher.example"], MESSAGE, idna=a_label))
    assert "RCPT TO:<carol@bücher.example>\r\n".encode() in driver.said


@pytest.mark.parametrize("address", ["cärol@bücher.example", "carol@bü..cher.example"])
def test_what_no_a_label_can_mend_is_told(address: str) -> None:
    conn = opened(b"PIPELINING")

    def refusing(domain: str) -> str:
        raise ValueError("no such label")

    with pytest.raises(ValueError):
        Driver(conn).run(send_mail(conn, None, [address], MESSAGE, idna=refusing))
    with pytest.raises(UnsendableError) as caught:
        Driver(conn).run(send_mail(conn, None, ["c@bücher.example"], MESSAGE, idna=refusing))
    assert caught.value.extension == "SMTPUTF8"


def test_recipients_of_more_domains_than_a_session_may_have_wait() -> None:
    """RFC 9422 §4.3."""
    conn = opened(b"PIPELINING", b"LIMITS RCPTDOMAINMAX=1")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", b"250 done\r\n")
    recipients = ["a@one.example", "b@two.example", "c@one.example"]
    result = driver.run(send_mail(conn, None, recipients, MESSAGE))
    assert [item.outcome for item in result.recipients] == [DONE, RETRY, DONE]
    assert b"two.example" not in driver.said


def test_no_recipient_left_that_a_session_may_have() -> None:
    conn = opened(b"PIPELINING", b"LIMITS RCPTDOMAINMAX=1")
    driver = Driver(
        conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 done\r\n", b"250 ok\r\n", b"250 ok\r\n"
    )
    driver.run(send_mail(conn, None, ["a@one.example"], MESSAGE))
    result = driver.run(send_mail(conn, None, ["b@two.example"], MESSAGE))
    assert outcomes(result) == [RETRY]
    assert result.recipients[0].session_used_up
    assert conn.state is State.READY


def test_a_greeting_that_is_none() -> None:
    conn = client()
    with pytest.raises(ConnectionLost):
        Driver(conn, b"SSH-2.0-OpenSSH_9.6\r\n").run(open_session(conn))


def test_a_connection_that_has_ended_is_no_session() -> None:
    conn = client()
    conn.abort()
    assert not isinstance(conn.next_event(), Need)
    with pytest.raises(ConnectionLost):
        Driver(conn).run(open_session(conn))


def test_addresses_may_be_made_before() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 done\r\n")
    driver.run(
        send_mail(conn, Address("alice", "a.example"), [Address("bob", "b.example")], MESSAGE)
    )
    assert b"MAIL FROM:<alice@a.example>\r\nRCPT TO:<bob@b.example>\r\n" in driver.said


def test_a_verdict_in_the_middle_of_bytes() -> None:
    conn = opened(b"PIPELINING")
    content = b"x" * 78 + b"\r\n"
    operation = send_mail(conn, None, ["bob@b.example"], content * 40_000)
    conn_replies = [b"250 ok\r\n250 ok\r\n354 go\r\n"]
    result = None
    try:
        need = next(operation)
        while True:
            conn.data_to_send()
            if need is Need.DATA and conn_replies:
                conn.receive_data(conn_replies.pop())
            else:
                conn.receive_data(b"552 too large\r\n")
            need = next(operation)
    except StopIteration as stop:
        result = stop.value
    assert [item.outcome for item in result.recipients] == [PERMANENT]
