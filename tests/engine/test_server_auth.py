"""AUTH (RFC 4954): the engine runs the mechanism, the application answers what it alone knows."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final

import pytest
from tests.engine.transcript import (
    RELAY,
    TLS,
    Session,
    answers,
    by_default,
    feed_all,
    in_turn,
    play,
    session,
    state_of,
    wait,
)

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Authenticated,
    AuthenticationFailed,
    Closed,
    CloseReason,
    Identity,
    InvalidCommand,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.policy import Policy
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.sasl import (
    AnonymousLogin,
    Ask,
    AuthorizationRequest,
    Challenge,
    ClientMechanismConfig,
    ExternalLogin,
    Failed,
    Password,
    PasswordLogin,
    PlainPassword,
    Preparation,
    SecretRequest,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    TokenLogin,
    client_mechanism,
)
from smtpwire.sasl.plain import PlainServer
from smtpwire.testing import every_split
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

ALL: Final = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "CRAM-MD5",
    "OAUTHBEARER",
    "XOAUTH2",
    "PLAIN",
    "LOGIN",
    "EXTERNAL",
    "ANONYMOUS",
)
SERVICE: Final = replace(
    RELAY,
    mechanisms=ALL,
    cleartext_without_tls=True,
    scram_secret=b"shared by all processes",
    starttls=True,
)
CERTIFIED: Final = TlsInfo(
    "TLSv1.3",
    bindings={"tls-exporter": b"binding"},
    peer=PeerCertificate(b"der", ("c.example", "d.example")),
)


def check_password(conn: ServerConnection, login: Request) -> None:
    assert isinstance(login, PasswordLogin)
    conn.reply(*((Reply(235, "Welcome"),) if login.password == "pass" else ()))


ACCEPTING: Final = answers(
    {
        PasswordLogin: check_password,
        TokenLogin: Reply(235, "Welcome"),
        ExternalLogin: Reply(235, "Welcome"),
        AnonymousLogin: Reply(235, "Welcome"),
        SecretRequest: lambda conn, request: conn.supply(
            PlainPassword("pass") if request == replace(request, authcid="user") else None
        ),
    }
)


def authenticating(
    answer: Callable[[ServerConnection, Request], object] = ACCEPTING,
    config: ServerConfig = SERVICE,
    tls: TlsInfo | None = None,
) -> Session:
    return session(config, answer, tls=tls)


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def outcomes(made: Session) -> list[object]:
    kinds = Authenticated | AuthenticationFailed | InvalidCommand | Closed
    return [event for event in made.events if isinstance(event, kinds)]


# -- mechanisms


@pytest.mark.parametrize(
    ("transcript", "identity"),
    [
        (
            r"""
            C: AUTH PLAIN AHVzZXIAcGFzcw==
            S: 235 2.0.0 Welcome
            """,
            Identity("user", "user", "PLAIN"),
        ),
        (
            r"""
            C: auth plain
            S: 334\x20
            C: AHVzZXIAcGFzcw==
            S: 235 2.0.0 Welcome
            """,
            Identity("user", "user", "PLAIN"),
        ),
        (
            r"""
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: dXNlcg==
            S: 334 UGFzc3dvcmQ6
            C: cGFzcw==
            S: 235 2.0.0 Welcome
            """,
            Identity("user", "user", "LOGIN"),
        ),
        (
            r"""
            C: AUTH LOGIN dXNlcg==
            S: 334 UGFzc3dvcmQ6
            C: cGFzcw==
            S: 235 2.0.0 Welcome
            """,
            Identity("user", "user", "LOGIN"),
        ),
        (
            r"""
            C: AUTH OAUTHBEARER bixhPXVzZXIsAWF1dGg9QmVhcmVyIHRva2VuAQE=
            S: 235 2.0.0 Welcome
            """,
            Identity("user", "user", "OAUTHBEARER"),
        ),
        (
            r"""
            C: AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIHRva2VuAQE=
            S: 235 2.0.0 Welcome
            """,
            Identity("user", "user", "XOAUTH2"),
        ),
        (
            r"""
            C: AUTH ANONYMOUS =
            S: 235 2.0.0 Welcome
            """,
            Identity("anonymous", "anonymous", "ANONYMOUS"),
        ),
    ],
)
def test_a_good_proof(transcript: str, identity: Identity) -> None:
    made = play(authenticating, transcript + "C: NOOP\nS: 250 2.0.0 OK")
    assert made.conn.identity == identity
    assert Authenticated(identity) in made.events
    assert made.conn.state is State.READY


@pytest.mark.parametrize(
    ("response", "identity"),
    [("=", "c.example"), (base64("c.example"), "c.example")],
)
def test_external(response: str, identity: str) -> None:
    made = play(
        lambda: authenticating(tls=CERTIFIED),
        rf"""
        C: AUTH EXTERNAL {response}
        S: 235 2.0.0 Welcome
        """,
    )
    assert made.conn.identity == Identity(identity, identity, "EXTERNAL")


def test_external_without_a_name_in_the_certificate() -> None:
    nameless = TlsInfo("TLSv1.3", peer=PeerCertificate(b"der"))
    made = authenticating(tls=nameless)
    assert made.feed(f"AUTH EXTERNAL {base64('user')}\r\n".encode()).startswith(b"235 ")
    assert made.conn.identity == Identity("user", "user", "EXTERNAL")


@pytest.mark.parametrize("line", ["PLAIN AHVzZXIAcGFzcw==", "EXTERNAL ="])
def test_commands_may_follow_where_one_response_is_all(line: str) -> None:  # RFC 4954 §4
    strict = replace(SERVICE, policies={ViolationKind.PIPELINING: Policy.ANSWER})
    made = authenticating(config=strict, tls=CERTIFIED)
    assert made.feed(f"AUTH {line}\r\nNOOP\r\n".encode()) == (
        b"235 2.0.0 Welcome\r\n250 2.0.0 OK\r\n"
    )


@pytest.mark.parametrize("line", ["PLAIN", "LOGIN", "ANONYMOUS ="])
def test_nothing_may_follow_where_more_is_to_come(line: str) -> None:  # RFC 4954 §4
    strict = replace(SERVICE, policies={ViolationKind.PIPELINING: Policy.ANSWER})
    made = authenticating(config=strict)
    assert made.feed(f"AUTH {line}\r\nNOOP\r\n".encode()) == (
        b"503 5.5.1 Bad sequence of commands\r\n250 2.0.0 OK\r\n"
    )


def exchange(
    made: Session,
    mechanism: str,
    password: str,
    username: str = "user",
    preparation: Preparation = Preparation.RAW,
) -> bytes:
    """Play a client to the end; give the last reply."""
    tls = made.conn.tls
    config = ClientMechanismConfig(
        host="mx.example",
        bindings={} if tls is None else tls.bindings,
        binding_type="tls-exporter" if mechanism.endswith("-PLUS") else "",
        preparation=preparation,
    )
    client = client_mechanism(mechanism, Password(username, password), config)
    initial = client.initial()
    line = f"AUTH {mechanism}".encode()
    reply = made.feed(line + (b"" if initial is None else b" " + b64encode(initial)) + b"\r\n")
    while reply.startswith(b"334 "):
        challenge = b64decode(reply[4:])
        try:
            response = client.step(challenge)
        except Exception:
            return made.feed(b"*\r\n")
        assert isinstance(response, bytes)
        reply = made.feed(b64encode(response) + b"\r\n")
    return reply


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "CRAM-MD5", "SCRAM-SHA-256-PLUS"])
def test_a_secret_is_asked_for(mechanism: str) -> None:
    made = authenticating(tls=CERTIFIED if mechanism.endswith("-PLUS") else None)
    assert exchange(made, mechanism, "pass") == b"235 2.7.0 Authentication succeeded\r\n"
    assert made.conn.identity == Identity("user", "user", mechanism)
    [request] = [event for event in made.events if isinstance(event, SecretRequest)]
    assert (request.mechanism, request.authcid) == (mechanism, "user")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "CRAM-MD5"])
def test_an_unknown_user_looks_like_a_wrong_password(mechanism: str) -> None:
    wrong, unknown = authenticating(), authenticating()
    assert exchange(wrong, mechanism, "wrong") == exchange(unknown, mechanism, "pass", "nobody")
    assert wrong.sent.count(b"334 ") == unknown.sent.count(b"334 ")
    assert [type(event) for event in wrong.events] == [type(event) for event in unknown.events]
    assert wrong.conn.identity is None


def test_a_secret_request_takes_supply_or_a_refusal() -> None:
    for refusal in (Reply(454, "Later"), Reply(550, "No"), Reply(421, "Enough")):
        made = authenticating(wait)
        exchange(made, "SCRAM-SHA-256", "pass")
        request = made.conn.pending
        assert isinstance(request, SecretRequest)
        before = state_of(made.conn)
        calls: tuple[Callable[[], object], ...] = (
            lambda: made.conn.reply(Reply(235)),  # noqa: B023
            lambda: made.conn.reply(Reply(250)),  # noqa: B023
            lambda: made.conn.reply(Reply(454), Reply(454)),  # noqa: B023
            lambda: made.conn.supply(object()),  # type: ignore[arg-type]  # noqa: B023
            lambda: made.conn.supply(None, to=AnonymousLogin()),  # noqa: B023
        )
        for call in calls:
            with pytest.raises(LocalProtocolError):
                call()
            assert state_of(made.conn) == before
        with pytest.raises(LocalProtocolError, match=r"^a object is no stored secret: supply a Pl"):
            made.conn.supply(object())  # type: ignore[arg-type]
        made.conn.reply(refusal, to=request)
        assert made.run().startswith(b"%d " % refusal.code)
        assert made.at(Need.CLOSE) is (refusal.code == 421)


def test_the_default_is_no_secret() -> None:
    for answer in (by_default, answers({SecretRequest: lambda c, r: c.supply(None, to=r)})):
        made = authenticating(answer)
        assert exchange(made, "CRAM-MD5", "pass").startswith(b"535 5.7.8")


def test_a_shutdown_while_a_secret_is_looked_up() -> None:
    made = authenticating(wait)
    exchange(made, "SCRAM-SHA-256", "pass")
    made.conn.shutdown()
    made.conn.supply(PlainPassword("pass"))
    sent = made.run()
    assert sent.startswith(b"334 ")
    assert sent.endswith(b"421 4.3.2 Service shutting down\r\n")
    assert made.at(Need.CLOSE)


# -- refusals


def three_tries() -> Session:
    return authenticating(config=replace(SERVICE, limits=Limits(authentications=3)))


def test_wrong_passwords_and_the_third_is_the_last() -> None:
    """RFC 4954 §9."""
    made = play(
        three_tries,
        r"""
        C: AUTH PLAIN AHVzZXIAd3Jvbmc=
        S: 535 5.7.8 Authentication credentials invalid
        C: EHLO c.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-CHUNKING
        S: 250-SMTPUTF8
        S: 250-SIZE 52428800
        S: 250-STARTTLS
        S: 250 AUTH SCRAM-SHA-256 CRAM-MD5 OAUTHBEARER XOAUTH2 PLAIN LOGIN ANONYMOUS
        C: AUTH PLAIN
        S: 334\x20
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: AUTH LOGIN %%%
        S: 501 5.5.2 Cannot read the response
        S: 421 4.7.0 Too many failed authentications
        """,
    )
    assert made.conn.identity is None
    assert made.conn.stats.authentications_failed == 3
    assert made.closed == Closed(
        CloseReason.ERRORS, Reply(421, "Too many failed authentications", "4.7.0")
    )
    failed = [event for event in made.events if isinstance(event, AuthenticationFailed)]
    assert [(event.mechanism, event.reply.code) for event in failed] == [
        ("PLAIN", 535),
        ("PLAIN", 501),
        ("LOGIN", 501),
    ]


def test_starttls_does_not_reset_the_count() -> None:
    made = three_tries()
    for _ in range(2):
        made.feed(b"AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n")
    made.feed(b"STARTTLS\r\n")
    made.conn.tls_started(TLS)
    made.run()
    made.feed(b"EHLO c.example\r\n")
    assert made.feed(b"AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n").endswith(
        b"421 4.7.0 Too many failed authentications\r\n"
    )


def test_by_default_a_client_may_try_three_mechanisms_twice() -> None:
    made = authenticating()
    for _ in range(5):
        assert made.feed(b"AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n").startswith(b"535")
    assert b"421" in made.feed(b"AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n")


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("", "501 5.5.4 Expected AUTH mechanism [initial-response]"),
        ("PLAIN a b", "501 5.5.4 Expected AUTH mechanism [initial-response]"),
        ("PLA\\xffN", "501 5.5.4 Expected AUTH mechanism [initial-response]"),
        ("A" * 21, "501 5.5.4 Expected AUTH mechanism [initial-response]"),
        ("GSSAPI", "504 5.5.4 Mechanism not available"),
        ("SCRAM-SHA-256-PLUS", "504 5.5.4 Mechanism not available"),
        ("EXTERNAL", "504 5.5.4 Mechanism not available"),
    ],
)
def test_what_begins_no_exchange(argument: str, reply: str) -> None:
    made = play(authenticating, f"C: AUTH {argument}\nS: {reply}")
    assert made.conn.stats.authentications_failed == 0
    [refused] = [event for event in made.events if isinstance(event, InvalidCommand)]
    assert b" a" not in refused.line


@pytest.mark.parametrize(
    "response", ["=a", "a", "ab=", "abc=d", "====", "YQ=", "Y Q=", "-_", "\\xff"]
)
def test_base64_is_strict(response: str) -> None:
    made = play(
        authenticating,
        rf"""
        C: AUTH PLAIN
        S: 334\x20
        C: {response}
        S: 501 5.5.2 Cannot read the response
        """,
    )
    assert made.conn.state is State.READY


def test_what_a_mechanism_cannot_read_is_malformed() -> None:
    play(authenticating, "C: AUTH PLAIN YWJj\nS: 501 5.5.2 Cannot read the response")
    play(authenticating, "C: AUTH PLAIN =\nS: 501 5.5.2 Cannot read the response")


def test_a_server_first_mechanism_takes_no_initial_response() -> None:
    for response in ("=", "YWJj"):
        made = play(
            authenticating,
            f"C: AUTH CRAM-MD5 {response}\nS: 501 5.7.0 This mechanism takes no initial response",
        )
        assert made.conn.stats.authentications_failed == 1


def test_out_of_sequence() -> None:
    play(
        authenticating,
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: AUTH PLAIN AHVzZXIAcGFzcw==
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 OK
        C: AUTH PLAIN AHVzZXIAcGFzcw==
        S: 235 2.0.0 Welcome
        C: AUTH PLAIN AHVzZXIAcGFzcw==
        S: 503 5.5.1 Bad sequence of commands
        C: STARTTLS
        S: 503 5.5.1 STARTTLS not possible now
        C: EHLO c.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-CHUNKING
        S: 250-SMTPUTF8
        S: 250-SIZE 52428800
        S: 250-STARTTLS
        S: 250 AUTH SCRAM-SHA-256 CRAM-MD5 OAUTHBEARER XOAUTH2 PLAIN LOGIN ANONYMOUS
        C: AUTH PLAIN AHVzZXIAcGFzcw==
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


def test_before_hello_and_after_helo() -> None:
    made = session(SERVICE, ACCEPTING, hello=None)
    assert made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n").startswith(b"503 ")
    made.feed(b"HELO c.example\r\n")  # it has no extensions (RFC 5321 §3.2)
    assert made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n").startswith(b"502 ")
    made.feed(b"EHLO c.example\r\n")
    assert made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n").startswith(b"235 ")


def test_not_offered() -> None:
    play(session, "C: AUTH PLAIN AHVzZXIAcGFzcw==\nS: 502 5.5.1 Command not implemented")
    secured = replace(SERVICE, cleartext_without_tls=False, mechanisms=("PLAIN",))
    play(
        lambda: session(secured),
        "C: AUTH PLAIN AHVzZXIAcGFzcw==\nS: 502 5.5.1 Command not implemented",
    )


def test_the_application_words_its_refusal() -> None:
    for refusal in (Reply(454, "Later", "4.7.0"), Reply(432, "Change it", "4.7.12")):
        made = authenticating(answers({PasswordLogin: refusal}))
        reply = made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
        assert reply == f"{refusal.code} {refusal.enhanced} {refusal.text}\r\n".encode()
        reason = "credentials refused"
        assert AuthenticationFailed("PLAIN", refusal, reason) in made.events


def test_421_to_a_login() -> None:
    made = authenticating(answers({PasswordLogin: Reply(421, "Enough")}))
    assert made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n") == b"421 4.0.0 Enough\r\n"
    assert [type(event) for event in made.events[1:]] == [AuthenticationFailed, Closed]


# -- another identity

BOSS: Final = base64("boss\0user\0pass")


@pytest.mark.parametrize(
    ("answer", "reply", "identity"),
    [
        ((), "535 5.7.8 Authentication credentials invalid", None),
        (Reply(550, "Not him", "5.7.1"), "550 5.7.1 Not him", None),
        (Reply(235, "As him"), "235 2.0.0 As him", Identity("user", "boss", "PLAIN")),
    ],
)
def test_acting_as_somebody_else_is_asked_for(
    answer: Reply | tuple[Reply, ...], reply: str, identity: Identity | None
) -> None:
    made = play(
        lambda: authenticating(
            answers({PasswordLogin: Reply(235), AuthorizationRequest: answer}),
        ),
        f"C: AUTH PLAIN {BOSS}\nS: {reply}",
    )
    assert AuthorizationRequest("user", "boss", "PLAIN") in made.events
    assert made.conn.identity == identity


def test_checking_a_password_lets_nobody_in_as_somebody_else() -> None:
    made = authenticating()
    assert made.feed(f"AUTH PLAIN {BOSS}\r\n".encode()).startswith(b"535 5.7.8")


def test_who_claims_himself_is_not_asked() -> None:
    made = authenticating()
    made.feed(f"AUTH PLAIN {base64(chr(0).join(('user', 'user', 'pass')))}\r\n".encode())
    assert not any(isinstance(event, AuthorizationRequest) for event in made.events)
    assert made.conn.identity == Identity("user", "user", "PLAIN")


def test_a_shutdown_between_the_two_questions() -> None:
    made = authenticating(wait)
    made.feed(f"AUTH PLAIN {BOSS}\r\n".encode())
    made.conn.shutdown()
    made.conn.reply(Reply(235))
    assert made.run() == b""
    assert isinstance(made.conn.pending, AuthorizationRequest)
    made.conn.reply(Reply(235, "As him"))
    assert made.run() == b"235 2.0.0 As him\r\n421 4.3.2 Service shutting down\r\n"


# -- OAuth's error, and mechanisms of one's own


def test_a_refused_token_has_its_error_told_first() -> None:  # RFC 7628 §3.2.2
    for acknowledgement in ("AQ==", "", "*"):
        made = play(
            lambda: authenticating(answers({TokenLogin: Reply(535, "No", "5.7.8")})),
            rf"""
            C: AUTH OAUTHBEARER bixhPXVzZXIsAWF1dGg9QmVhcmVyIHRva2VuAQE=
            S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=
            C: {acknowledgement}
            S: {"501 5.7.0 Authentication cancelled" if acknowledgement == "*" else "535 5.7.8 No"}
            """,
        )
        assert made.conn.stats.authentications_failed == 1


def test_421_to_a_token_follows_the_error() -> None:
    made = authenticating(answers({TokenLogin: Reply(421, "Enough")}))
    made.feed(b"AUTH OAUTHBEARER bixhPXVzZXIsAWF1dGg9QmVhcmVyIHRva2VuAQE=\r\n")
    assert made.feed(b"AQ==\r\n") == b"421 4.0.0 Enough\r\n"


class Fickle(PlainServer):
    """Fails although the application agreed."""

    def answer(self, accepted: bool) -> ServerStep:
        return Failed("changed its mind")


class Endless(PlainServer):
    """Asks for ever."""

    def step(self, response: bytes) -> ServerStep:
        return Challenge(b"again")


OWN: Final = replace(
    SERVICE,
    mechanisms=("X-FICKLE", "X-ENDLESS"),
    custom_mechanisms={
        "X-FICKLE": lambda config: Fickle("X-FICKLE", config),
        "X-ENDLESS": lambda config: Endless("X-ENDLESS", config),
    },
)


def test_a_mechanism_has_the_last_word() -> None:
    made = play(
        lambda: authenticating(config=OWN),
        r"""
        C: AUTH X-FICKLE AHVzZXIAcGFzcw==
        S: 535 5.7.8 Authentication credentials invalid
        """,
    )
    assert made.conn.identity is None


class Wordy(PlainServer):
    """Says itself why it fails."""

    def answer(self, accepted: bool) -> ServerStep:
        return Failed("expired", text="Password expired: set another at https://id.example")


def test_a_mechanism_may_say_why_it_failed() -> None:
    config = replace(
        SERVICE,
        mechanisms=("X-WORDY",),
        custom_mechanisms={"X-WORDY": lambda config: Wordy("X-WORDY", config)},
    )
    made = authenticating(config=config)
    words = b"Password expired: set another at https://id.example"
    assert made.feed(b"AUTH X-WORDY AHVzZXIAcGFzcw==\r\n") == b"535 5.7.8 " + words + b"\r\n"
    for wrong in ("two\r\nlines", "grün", "\0"):
        with pytest.raises(ValueError, match=r"Failed.text is not printable ASCII"):
            Failed("expired", text=wrong)


class Broken(PlainServer):
    """A mechanism with a bug."""

    def __init__(self, bug: str, config: ServerMechanismConfig) -> None:
        super().__init__("X-BROKEN", config)
        self.bug = bug

    def start(self, initial: bytes | None) -> ServerStep:
        match self.bug:
            case "start":
                raise KeyError("my secret")
            case "no step":
                return "go on"  # type: ignore[return-value]  # that is the bug
            case "no octets":
                return Challenge("go on")  # type: ignore[arg-type]  # that is the bug
            case "no question":
                return Ask("who are you")  # type: ignore[arg-type]  # that is the bug
            case "supply":
                return Ask(SecretRequest("X-BROKEN", "user", "", (PlainPassword,)))
            case "answer":
                return Ask(PasswordLogin("user", "pass"))
        return Challenge(b"")

    def step(self, response: bytes) -> ServerStep:
        raise ValueError("my secret")

    def answer(self, accepted: bool) -> ServerStep:
        raise ValueError("my secret")

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        raise ValueError("my secret")


def unable(config: ServerMechanismConfig) -> Broken:
    raise OSError("my secret")


@pytest.mark.parametrize(
    ("bug", "error"),
    [
        ("factory", OSError),
        ("start", KeyError),
        ("no step", TypeError),
        ("no octets", TypeError),
        ("no question", TypeError),
        ("step", ValueError),
        ("answer", ValueError),
        ("supply", ValueError),
    ],
)
def test_a_mechanism_that_fails_ends_the_exchange_and_nothing_else(
    bug: str, error: type[Exception]
) -> None:
    factory = unable if bug == "factory" else lambda config: Broken(bug, config)
    config = replace(SERVICE, mechanisms=("X-BROKEN",), custom_mechanisms={"X-BROKEN": factory})
    made = authenticating(config=config)
    reply = made.feed(b"AUTH X-BROKEN\r\n")
    if bug == "step":
        assert reply == b"334 \r\n"
        reply = made.feed(b"YWJj\r\n")
    assert reply == b"454 4.7.0 Temporary authentication failure\r\n"
    [told] = [event for event in made.events if isinstance(event, AuthenticationFailed)]
    assert type(told.exception) is error
    assert told.reason == f"X-BROKEN failed: {error.__name__}"
    assert "my secret" not in repr(made.events)
    assert made.feed(b"NOOP\r\n") == b"250 2.0.0 OK\r\n"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["AUTH PLAIN", "*"], "the client cancelled"),
        (["AUTH PLAIN", "!"], "the response is no base64"),
        (["AUTH PLAIN !"], "the initial response is no base64"),
        (["AUTH CRAM-MD5 YWJj"], "an initial response where the server speaks first"),
        (["AUTH PLAIN YWJj"], "PLAIN wants exactly two NULs"),
        (["AUTH PLAIN AHVzZXIAd3Jvbmc="], "credentials refused"),
        (["AUTH PLAIN", "YW\rJj"], "CR without LF"),
        (
            [f"AUTH PLAIN {base64('boss' + chr(0) + 'user' + chr(0) + 'pass')}"],
            "to act as another identity was refused",
        ),
    ],
)
def test_why_it_failed_is_told_for_a_log(lines: list[str], reason: str) -> None:
    made = authenticating()
    for line in lines:
        made.feed(line.encode() + b"\r\n")
    [told] = [event for event in made.events if isinstance(event, AuthenticationFailed)]
    assert (told.reason, told.exception) == (reason, None)


@pytest.mark.parametrize(
    ("dialled", "code"),
    [("mx.example", 235), ("mail.example", 235), ("192.0.2.1", 235), ("other.example", 535)],
)
def test_digest_md5_by_whichever_name_the_client_has_dialled(dialled: str, code: int) -> None:
    """RFC 2831 §2.1.2: the host of digest-uri is one of the names of this service."""
    config = replace(SERVICE, mechanisms=("DIGEST-MD5",), aliases=("mail.example", "192.0.2.1"))
    made = authenticating(config=config, tls=CERTIFIED)
    reply = made.feed(b"AUTH DIGEST-MD5\r\n")
    mechanism = client_mechanism(
        "DIGEST-MD5", Password("user", "pass"), ClientMechanismConfig(host=dialled)
    )
    while reply.startswith(b"334 "):
        response = mechanism.step(b64decode(reply[4:]))
        assert isinstance(response, bytes)
        reply = made.feed(b64encode(response) + b"\r\n")
    assert reply.startswith(b"%d " % code)


def test_a_factory_is_told_of_the_connection() -> None:
    seen: list[ServerMechanismConfig] = []

    def factory(config: ServerMechanismConfig) -> PlainServer:
        seen.append(config)
        return PlainServer("PLAIN", config)

    made = authenticating(
        config=replace(
            SERVICE,
            custom_mechanisms={"PLAIN": factory},
            realm="r",
            aliases=("mail.example",),
        ),
        tls=CERTIFIED,
    )
    made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
    [config] = seen
    assert config.hosts == ("mx.example", "mail.example")
    assert config.realm == "r"
    assert config.bindings == {"tls-exporter": b"binding"}
    assert config.plus_offered
    assert config.external_identity == "c.example"


# -- how names and passwords are prepared (RFC 4013)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
@pytest.mark.parametrize("preparation", Preparation)
def test_one_setting_says_how_passwords_are_spelled(
    preparation: Preparation, mechanism: str
) -> None:
    """The client types what NFKC makes another string of; the service has that one."""
    stored = "pa\u2168ss" if preparation is Preparation.RAW else "paIXss"

    def check(conn: ServerConnection, login: Request) -> None:
        assert isinstance(login, PasswordLogin)
        conn.reply(Reply(235 if login.password == stored else 535))

    answer = answers(
        {PasswordLogin: check, SecretRequest: lambda conn, _: conn.supply(PlainPassword(stored))}
    )
    made = authenticating(answer, replace(SERVICE, preparation=preparation))
    reply = exchange(made, mechanism, "pa\u2168ss", preparation=preparation)
    assert reply.startswith(b"235 ")


def test_passwords_are_not_prepared_unless_that_is_asked_for() -> None:
    made = authenticating(wait)
    made.feed(b"AUTH PLAIN " + b64encode("\0us\u2168er\0pa\u2168ss".encode()) + b"\r\n")
    login = made.conn.pending
    assert isinstance(login, PasswordLogin)
    assert (login.authcid, login.password) == ("us\u2168er", "pa\u2168ss")


# -- lines of the exchange


@pytest.mark.parametrize(
    ("line", "kind", "reply"),
    [
        ("YWJj\\n", ViolationKind.BARE_LF, "501 5.5.2 Cannot read the response"),
        ("YW\\rJj\\r\\n", ViolationKind.BARE_CR, "501 5.5.2 Cannot read the response"),
        ("*\\n*\\r\\n", ViolationKind.BARE_LF, "501 5.5.2 Cannot read the response"),
    ],
)
def test_a_broken_line_ends_the_exchange(line: str, kind: ViolationKind, reply: str) -> None:
    end = "" if line.endswith("\\r\\n") else "\\r\\n"
    made = play(
        authenticating,
        rf"""
        C: AUTH PLAIN
        S: 334\x20
        C| {line}
        S: {reply}
        {"C| " + end if end else ""}
        """.rstrip()
        + "\nC: NOOP\nS: 250 2.0.0 OK",
    )
    assert made.arrivals(kind) == [kind]
    assert made.conn.stats.authentications_failed == 1


@pytest.mark.parametrize(
    ("line", "kind", "behind"),
    [
        (b"YWJj\n", ViolationKind.BARE_LF, 4),
        (b"YW\rJj\r\n", ViolationKind.BARE_CR, 2),
        (b"\r\r\n", ViolationKind.BARE_CR, 0),
    ],
)
def test_a_broken_line_is_told_with_its_place(
    line: bytes, kind: ViolationKind, behind: int
) -> None:
    made = authenticating()
    made.feed(b"AUTH PLAIN\r\n")
    before = made.conn.stats.octets_received
    made.feed(line)
    [told] = [event for event in made.events if isinstance(event, ProtocolViolation)]
    assert (told.kind, told.offset) == (kind, before + behind)


def test_a_broken_line_may_end_the_connection() -> None:
    config = replace(SERVICE, policies={ViolationKind.BARE_LF: Policy.CLOSE})
    made = authenticating(config=config)
    made.feed(b"AUTH PLAIN\r\n")
    assert made.feed(b"YWJj\n") == b"421 4.7.0 Protocol violation\r\n"
    assert made.at(Need.CLOSE)


SHORT: Final = replace(SERVICE, limits=replace(Limits(), sasl_line=1000))


def test_the_longest_line() -> None:
    line = b64encode(b"x" * 747)  # 996 octets, 998 with CRLF
    assert len(line) == 996
    for octets, reply in (
        (line + b"\r\n", b"501 5.5.2 Cannot read the response\r\n"),
        (line + b"AAAA\r\n", b"500 5.5.6 Authentication line too long\r\n"),
    ):
        for chunks in ([octets], [octets[:-1], octets[-1:]], [octets[:9], octets[9:]]):
            made = authenticating(config=SHORT)
            made.feed(b"AUTH PLAIN\r\n")
            made.sent = b""
            feed_all(made, chunks)
            assert made.sent == reply
            assert made.feed(b"NOOP\r\n") == b"250 2.0.0 OK\r\n"
            assert made.conn.stats.authentications_failed == 1


def test_an_initial_response_may_be_as_long() -> None:
    message = base64("user=user\x01auth=Bearer " + "t" * 600 + "\x01\x01")
    line = f"AUTH XOAUTH2 {message}".encode()
    assert 512 < len(line) < 998
    made = authenticating(config=SHORT)
    assert made.feed(line + b"\r\n") == b"235 2.0.0 Welcome\r\n"
    made = authenticating(config=SHORT)
    assert made.feed(line + b"A" * 200 + b"\r\n") == b"500 5.5.6 Authentication line too long\r\n"
    assert made.feed(b"NOOP" + b" " * 600 + b"\r\n").startswith(b"250")
    assert made.feed(b"NOOP " + b"x" * 600 + b"\r\n") == b"500 5.5.2 Line too long\r\n"


def test_an_endless_exchange_is_a_line_at_a_time() -> None:
    made = authenticating(config=OWN)
    made.feed(b"AUTH X-ENDLESS =\r\n")
    for _ in range(100):
        assert made.feed(b"YWJj\r\n") == b"334 YWdhaW4=\r\n"
    assert made.feed(b"*\r\n").startswith(b"501 ")


def test_the_challenge_is_not_held_back() -> None:
    """What follows a challenge is the client's guess; it is answered in its turn."""
    for chunks in every_split(b"AUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nNOOP\r\n"):
        made = authenticating()
        feed_all(made, chunks)
        assert made.sent == (
            b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.0.0 Welcome\r\n250 2.0.0 OK\r\n"
        )


def test_the_end_of_the_stream_in_an_exchange() -> None:
    made = authenticating()
    made.feed(b"AUTH LOGIN\r\ndXN")
    made.end()
    assert made.events[-1] == Closed(CloseReason.EOF, None, "the stream ended inside a line")
    assert made.conn.identity is None


def test_no_identity_until_235() -> None:
    """RFC 4954 §4."""
    made = authenticating(wait)
    made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
    assert made.conn.identity is None
    assert "'pass'" not in repr(made.events)
    made.conn.reply(Reply(535))
    made.run()
    assert made.conn.identity is None


# -- what needs AUTH or TLS first

EXEMPT_FROM_AUTH: Final = {"EHLO c", "HELO c", "NOOP", "RSET", "QUIT", "STARTTLS", "AUTH PLAIN"}
EXEMPT_FROM_TLS: Final = {"EHLO c", "NOOP", "QUIT", "STARTTLS"}
COMMANDS: Final = (
    *("EHLO c", "HELO c", "NOOP", "RSET", "QUIT", "STARTTLS", "AUTH PLAIN"),
    *("MAIL FROM:<>", "RCPT TO:<c@d.example>", "DATA", "BDAT 0", "BDAT 0 LAST", "VRFY c", "HELP"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_530_to_what_is_not_exempt(command: str) -> None:
    made = session(replace(SERVICE, require_auth=True), in_turn(*[()] * 3))
    reply = made.feed(command.encode() + b"\r\n")
    assert reply.startswith(b"530 5.7.0 Authentication required") is (
        command not in EXEMPT_FROM_AUTH
    )
    made = session(replace(SERVICE, require_tls=True), in_turn(*[()] * 3))
    reply = made.feed(command.encode() + b"\r\n")
    assert reply.startswith(b"530 5.7.0 Must issue a STARTTLS") is (command not in EXEMPT_FROM_TLS)


def test_after_auth_mail_is_taken() -> None:
    play(
        lambda: session(replace(SERVICE, require_auth=True), ACCEPTING),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 530 5.7.0 Authentication required
        C: AUTH PLAIN AHVzZXIAcGFzcw==
        S: 235 2.0.0 Welcome
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        """,
    )


def test_a_challenge_is_not_held_back() -> None:  # RFC 2920 §3.2
    made = authenticating()
    made.conn.receive_data(b"AUTH LOGIN\r\ndXNlcg==\r\n")
    while not isinstance(item := made.conn.next_event(), Need):
        made.tell(item)
    assert item is Need.WRITE
    assert made.conn.data_to_send() == b"334 VXNlcm5hbWU6\r\n"
    assert made.run() == b"334 UGFzc3dvcmQ6\r\n"


def test_a_response_may_be_as_long_as_the_backlog_and_no_longer() -> None:
    made = authenticating(config=replace(SERVICE, limits=Limits(backlog=600)))
    made.feed(b"AUTH PLAIN\r\n")
    assert made.feed(b"x" * 599) == b""
    assert made.conn.wants_data
    assert made.feed(b"x") == b"500 5.5.6 Authentication line too long\r\n"
    assert made.conn.wants_data


@pytest.mark.parametrize(
    "line",
    [
        b"AUTH PLAIN !\r\n",
        b"AUTH PLAIN AHVzZXIAd3Jvbmc=\r\n",
        b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n",
    ],
)
def test_the_end_of_an_exchange_is_not_held_back(line: bytes) -> None:  # RFC 2920 §3.2
    made = authenticating()
    made.conn.receive_data(line + b"NOOP\r\n")
    while not isinstance(item := made.conn.next_event(), Need):
        made.tell(item)
    assert item is Need.WRITE
    assert b"250" not in made.conn.data_to_send()
