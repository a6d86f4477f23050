"""Why a session ended and a recipient was refused, in words: true and whole."""

from typing import Final

import pytest
from tests.test_operations import (
    DONE,
    EOF,
    MESSAGE,
    OFFERS_TLS,
    PERMANENT,
    PIPELINED,
    RETRY,
    UNKNOWN,
    Driver,
    authenticating,
    client,
    opened,
)

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import AuthenticationOutcome
from smtpwire.engine.security import Security
from smtpwire.engine.tls import TlsInfo
from smtpwire.operations import (
    ConnectionLost,
    LoginFailed,
    RecipientResult,
    ServiceRefused,
    SessionError,
    Stage,
    open_session,
    reset,
    send_mail,
)
from smtpwire.sasl import BearerToken, Password
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import END_OF_DATA
from smtpwire.wire.status import Disposition, classify

ALICE: Final = Password("alice", "secret")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (EOF, "the server closed the connection"),
        (b"garbage\r\n", "a line that is no reply: garbage"),
        (b"250 mx\n", r"LF without CR: 250 mx\x0a"),
        (b"150 wait\r\n", "a reply that the command cannot have: 150 wait"),
        (b"220 mx again\r\n", "a reply that the command cannot have: 220 mx again"),
    ],
)
@pytest.mark.parametrize("stage", ["EHLO", "greeting"])
def test_every_end_has_its_reason(answer: bytes, reason: str, stage: str) -> None:
    if stage == "greeting" and answer.startswith(b"220"):
        return
    conn = client()
    answers = (answer,) if stage == "greeting" else (b"220 mx\r\n", answer)
    with pytest.raises(ConnectionLost) as raised:
        Driver(conn, *answers).run(open_session(conn))
    assert raised.value.stage.value == stage
    silent = stage == "greeting" and answer == EOF
    hint = " (is it Security.IMPLICIT there?)" if silent else ""
    assert raised.value.reason == reason + hint
    assert str(raised.value) == f"{stage}: {reason}{hint}"


@pytest.mark.parametrize(
    ("said", "tls", "hint"),
    [
        (b"", None, " (is it Security.IMPLICIT there?)"),
        (b"220-m", None, None),
        (b"", TlsInfo(), ""),
    ],
)
def test_a_server_that_says_nothing_may_wait_for_tls(
    said: bytes, tls: TlsInfo | None, hint: str | None
) -> None:
    """RFC 8314 §3.3: at port 465 it is the client's turn, and both wait."""
    conn = ClientConnection(ClientConfig("client.example.com"), tls=tls)
    operation = open_session(conn)
    next(operation)
    if said:
        conn.receive_data(said)
        next(operation)
    conn.timed_out()
    with pytest.raises(ConnectionLost) as raised:
        next(operation)
    if hint is None:
        assert "IMPLICIT" not in raised.value.reason
    else:
        assert raised.value.reason == f"the server was too slow{hint}"


def test_each_stage_has_a_name() -> None:
    assert [stage.value for stage in Stage] == [
        *("greeting", "EHLO", "STARTTLS", "TLS", "AUTH", "command"),
    ]


def test_a_time_out_says_so() -> None:
    conn = client()
    operation = open_session(conn)
    next(operation)
    conn.receive_data(b"220 mx\r\n")
    next(operation)
    conn.data_to_send()
    conn.receive_data(b"250-mx\r\n25")
    next(operation)
    conn.timed_out()
    with pytest.raises(ConnectionLost, match=r"EHLO: timeout inside a reply: 250-mx\\r\\n25"):
        next(operation)


def test_a_server_of_another_protocol_is_named() -> None:
    conn = client()
    with pytest.raises(ConnectionLost, match=r"greeting: .* SSH-2\.0-OpenSSH_9\.6$"):
        Driver(conn, b"SSH-2.0-OpenSSH_9.6\r\n").run(open_session(conn))


def test_a_server_that_greets_anew_under_tls_is_not_believed() -> None:
    """Each of its replies would be taken for the next command's."""
    conn = client(Security.STARTTLS)
    answers = (b"220 hi\r\n", OFFERS_TLS, b"220 go\r\n", b"220 hi again\r\n")
    with pytest.raises(ConnectionLost, match="220 hi again"):
        Driver(conn, *answers).run(open_session(conn))


def test_an_idle_server_s_421_keeps_its_text() -> None:
    for pulled in (False, True):
        conn = opened(*PIPELINED)
        conn.receive_data(b"421 4.3.2 going down\r\n")
        while pulled and conn.closed is None:
            conn.next_event()
        with pytest.raises(ConnectionLost, match="going down") as raised:
            Driver(conn).run(reset(conn))
        assert raised.value.reply == Reply(421, "going down", "4.3.2")
        result = Driver(conn).run(send_mail(conn, None, ["b@c.example"], MESSAGE))
        assert result.recipients[0].reason == (
            "the server has ended the service: 421 4.3.2 going down"
        )


# -- authentication


@pytest.mark.parametrize("answer", [EOF, b"garbage\r\n", b"421 4.3.2 going down\r\n"])
def test_a_connection_lost_in_authentication_says_nothing_of_the_password(answer: bytes) -> None:
    driver = authenticating(answer)
    with pytest.raises(ConnectionLost) as raised:
        driver.run(open_session(driver.conn, ALICE))
    assert raised.value.stage is Stage.AUTHENTICATION
    assert raised.value.reason


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"535 5.7.8 no\r\n", AuthenticationOutcome.FAILED),
        (b"454 4.7.0 later\r\n", AuthenticationOutcome.TEMPORARY),
        (b"530 5.7.0 TLS first\r\n", AuthenticationOutcome.UNAVAILABLE),
        (b"503 5.5.1 no\r\n", AuthenticationOutcome.UNAVAILABLE),
    ],
)
def test_what_was_wrong_with_a_login_is_told(answer: bytes, outcome: AuthenticationOutcome) -> None:
    driver = authenticating(answer)
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, ALICE))
    assert raised.value.outcome is outcome


def test_what_the_client_objects_to_is_not_told_as_the_server_s_refusal() -> None:
    driver = authenticating(b"334 %%%\r\n", b"501 cancelled\r\n", mechanisms=b"CRAM-MD5")
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, ALICE))
    assert raised.value.reply is None
    assert raised.value.outcome is AuthenticationOutcome.OBJECTED
    assert "no base64" in raised.value.reason


def test_oauth_s_words_are_told() -> None:
    error = b"eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0="  # {"status":"invalid_token"}
    driver = authenticating(
        b"334 " + error + b"\r\n", b"535 5.7.8 no\r\n", mechanisms=b"OAUTHBEARER"
    )
    with pytest.raises(LoginFailed, match="invalid_token") as raised:
        driver.run(open_session(driver.conn, BearerToken("alice", "t0ken")))
    assert raised.value.reply == Reply(535, "no", "5.7.8")


def test_no_exchange_has_no_outcome() -> None:
    driver = authenticating(mechanisms=b"GSSAPI")
    with pytest.raises(LoginFailed) as raised:
        driver.run(open_session(driver.conn, ALICE))
    assert raised.value.outcome is None


def test_a_refused_service_is_told_by_its_reply() -> None:
    conn = client()
    with pytest.raises(ServiceRefused, match="554 no"):
        Driver(conn, b"554 no\r\n").run(open_session(conn))


def test_a_failed_handshake_keeps_its_reason() -> None:
    conn = client(Security.STARTTLS)
    answers = (b"220 hi\r\n", OFFERS_TLS, b"220 go\r\n")
    with pytest.raises(SessionError) as raised:
        Driver(conn, *answers, tls=None).run(open_session(conn))
    assert raised.value.reason == "bad certificate"
    assert raised.value.stage is Stage.TLS


def test_the_host_has_no_end_dot_in_an_exchange() -> None:
    """RFC 2831 §2.1.2: the digest-uri names the host; DNS's end dot is no part of its name."""
    seen = []
    for host in ("mx.example.org", "mx.example.org."):
        conn = ClientConnection(
            ClientConfig("c.example", host=host, security=Security.IMPLICIT), tls=SIMULATED_TLS
        )
        answers = (b"220 hi\r\n", b"250-mx\r\n250 AUTH OAUTHBEARER\r\n", b"235 ok\r\n")
        driver = Driver(conn, *answers)
        driver.run(open_session(conn, BearerToken("alice", "t0ken")))
        seen.append(driver.said)
    assert seen[0] == seen[1]


# -- recipients

FLIGHT: Final = b"250 ok\r\n250 ok\r\n354 go\r\n"


def result_of(*answers: bytes, lmtp: bool = False) -> RecipientResult:
    if lmtp:
        conn = ClientConnection(ClientConfig("c.example", lmtp=True), tls=SIMULATED_TLS)
        offer = b"250-mx\r\n250 PIPELINING\r\n"
        Driver(conn, b"220 mx\r\n", offer).run(open_session(conn))
    else:
        conn = opened(*PIPELINED)
    result = Driver(conn, *answers).run(send_mail(conn, None, ["b@c.example"], MESSAGE))
    return result.recipients[0]


def told(result: RecipientResult) -> tuple[str, Disposition, int | None, str]:
    code = None if result.reply is None else result.reply.code
    return result.command, result.outcome, code, result.reason


CLOSED: Final = "the server closed the connection"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((FLIGHT, b"250 ok\r\n"), ("", DONE, 250, "")),
        ((b"550 a\r\n503 b\r\n503 c\r\n",), ("MAIL", PERMANENT, 550, "")),
        ((b"250 a\r\n450 b\r\n503 c\r\n", b"250 reset\r\n"), ("RCPT", RETRY, 450, "")),
        ((b"250 a\r\n250 b\r\n451 c\r\n", b"250 reset\r\n"), ("DATA", RETRY, 451, "")),
        ((FLIGHT, b"554 no\r\n"), (END_OF_DATA, PERMANENT, 554, "")),
        ((EOF,), ("MAIL", RETRY, None, CLOSED)),
        ((b"250 a\r\n", EOF), ("RCPT", RETRY, None, CLOSED)),
        ((b"250 a\r\n250 b\r\n", EOF), ("DATA", RETRY, None, CLOSED)),
        ((FLIGHT, EOF), (END_OF_DATA, UNKNOWN, None, CLOSED)),
        ((FLIGHT, b"25", EOF), (END_OF_DATA, UNKNOWN, None, "eof inside a reply: 25")),
        ((b"250 a\r\nwhat\r\n",), ("RCPT", RETRY, None, "a line that is no reply: what")),
        ((FLIGHT, b"221 bye\r\n"), (END_OF_DATA, UNKNOWN, 221, "")),
        ((FLIGHT, b"421 bye\r\n"), (END_OF_DATA, RETRY, 421, "")),
        ((b"250 a\r\n421 bye\r\n",), ("RCPT", RETRY, 421, "")),
    ],
)
@pytest.mark.parametrize("lmtp", [False, True])
def test_what_was_refused_and_why(
    answers: tuple[bytes, ...], expected: tuple[str, Disposition, int | None, str], lmtp: bool
) -> None:
    assert told(result_of(*answers, lmtp=lmtp)) == expected


def test_a_421_says_why_of_everybody_who_had_no_answer() -> None:
    conn = opened(*PIPELINED)
    recipients = ["a@c.example", "b@c.example", "d@c.example"]
    driver = Driver(conn, b"250 a\r\n250 b\r\n421 bye\r\n")
    result = driver.run(send_mail(conn, None, recipients, MESSAGE))
    assert [told(each) for each in result.recipients] == [
        ("DATA", RETRY, 421, ""),
        ("RCPT", RETRY, 421, ""),
        ("RCPT", RETRY, 421, ""),
    ]


def test_221_in_the_place_of_a_verdict_is_none() -> None:
    """The message has left: whether it was taken nobody knows (RFC 5321 §4.5.3.2.6)."""
    assert classify(END_OF_DATA, Reply(221)) is UNKNOWN
    assert classify("DATA", Reply(221)) is RETRY
