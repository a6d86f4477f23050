"""AUTH on the client: initial responses, challenges, outcomes, and what is never sent in the clear."""

import hmac
from base64 import b64decode, b64encode
from typing import Literal

import pytest
from tests.engine.client_dialogue import ALICE, VERIFIED, Dialogue, scenario

from smtpwire.engine.client.sasl import encode_response
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    AuthenticationEnded,
    AuthenticationOutcome,
    Cause,
    Closed,
    CloseReason,
    Identity,
    ServiceClosing,
    Unanswered,
)
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions.xclient import XClient
from smtpwire.sasl import (
    PENDING,
    Anonymous,
    BadChallengeError,
    BearerToken,
    ClientMechanism,
    ClientMechanismConfig,
    Credentials,
    ExternalIdentity,
    Password,
    Pending,
    SaslError,
    client_mechanism,
)
from smtpwire.wire.command import Auth, Data, Hello, Mail, Noop, Quit, Rset, StartTls
from smtpwire.wire.reply import Reply

Outcome = AuthenticationOutcome


def _mechanism(name: str, credentials: Credentials | None = None) -> ClientMechanism:
    if credentials is None:
        credentials = Password("user", "pass")
    config = ClientMechanismConfig(host="mx.example.com", nonce=lambda: "cn")
    return client_mechanism(name, credentials, config)


def _ready(d: Dialogue, *mechanisms: str) -> None:
    d.connect(tls=VERIFIED)
    d.greeted(f"AUTH {' '.join(mechanisms)}", "PIPELINING")


def _authenticate(d: Dialogue, mechanism: ClientMechanism, authcid: str = "") -> bytes:
    d.commands.append(d.conn.authenticate(mechanism, authcid=authcid))
    return d.flush()


def _ended(d: Dialogue) -> AuthenticationEnded:
    return next(event for event in d.events if isinstance(event, AuthenticationEnded))


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


@scenario
def test_plain_with_its_initial_response(d: Dialogue) -> None:
    _ready(d, "PLAIN")
    assert _authenticate(d, _mechanism("PLAIN"), "user") == b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n"
    before = d.conn.identity
    events = d.receive("235 2.7.0 welcome")
    assert before is None
    assert events == [
        AuthenticationEnded(_ended(d).auth, Reply(235, "welcome", "2.7.0"), Outcome.SUCCEEDED)
    ]
    assert d.conn.identity == Identity("user", "user", "PLAIN")
    assert d.conn.reusable
    with pytest.raises(LocalProtocolError, match="already authenticated"):
        d.conn.authenticate(_mechanism("PLAIN"))


def test_who_acts_as_somebody_else_is_that_one() -> None:
    d = Dialogue()
    _ready(d, "PLAIN")
    d.conn.authenticate(_mechanism("PLAIN"), authcid="user", authzid="other")
    d.flush()
    d.receive("235 2.7.0 welcome")
    assert d.conn.identity == Identity("user", "other", "PLAIN")


@scenario
def test_login_whatever_the_prompts_are(d: Dialogue) -> None:
    _ready(d, "LOGIN")
    assert _authenticate(d, _mechanism("LOGIN")) == b"AUTH LOGIN\r\n"
    assert d.receive("334 dXNlcm5hbWU6") == []
    assert d.conn.state is State.AUTH
    assert d.flush() == b"dXNlcg==\r\n"
    d.receive("334 cGFzc3dvcnQ/")
    assert d.flush() == b"cGFzcw==\r\n"
    d.receive("235 ok")
    assert _ended(d).outcome is Outcome.SUCCEEDED


@scenario
def test_a_prompt_too_many_is_cancelled(d: Dialogue) -> None:
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"))
    for line in (b"dXNlcg==\r\n", b"cGFzcw==\r\n", b"*\r\n"):
        d.receive("334 ")
        assert d.flush() == line
    d.receive("501 5.7.0 cancelled")
    assert _ended(d).outcome is Outcome.OBJECTED
    assert _ended(d).reason == "LOGIN has two prompts only"
    assert d.need() is Need.COMMAND


@scenario
def test_a_challenge_that_is_no_base64_is_cancelled(d: Dialogue) -> None:
    _ready(d, "CRAM-MD5")
    _authenticate(d, _mechanism("CRAM-MD5"))
    d.receive("334 !!!not-base64!!!")
    assert d.flush() == b"*\r\n"
    reply = Reply(501, "cancelled", "5.7.0")
    objection = "the challenge is no base64"
    assert d.receive("501 5.7.0 cancelled") == [
        AuthenticationEnded(Auth("CRAM-MD5"), reply, Outcome.OBJECTED, objection=objection)
    ]
    assert _authenticate(d, _mechanism("CRAM-MD5")) == b"AUTH CRAM-MD5\r\n", "another may follow"
    d.receive("334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UuZXhhbXBsZS5uZXQ+")
    assert b64decode(d.flush()).startswith(b"user ")
    d.receive("235 ok")


@scenario
def test_only_blanks_around_a_challenge_are_dropped(d: Dialogue) -> None:
    challenge = "_1@example.W"
    _ready(d, "CRAM-MD5")
    _authenticate(d, _mechanism("CRAM-MD5"))
    d.receive(f"334 \t {_base64(challenge)} \t")
    expected = hmac.new(b"pass", challenge.encode(), "md5").hexdigest()
    assert b64decode(d.flush()) == f"user {expected}".encode()
    d.receive("235 ok")


@scenario
def test_a_challenge_after_the_cancellation_is_a_violation(d: Dialogue) -> None:
    _ready(d, "CRAM-MD5")
    _authenticate(d, _mechanism("CRAM-MD5"))
    d.receive("334 =")
    assert d.flush() == b"*\r\n"
    assert [type(event) for event in d.receive("334 more")] == [
        ProtocolViolation,
        AuthenticationEnded,
        Closed,
    ]


@scenario
def test_success_after_the_cancellation_ends_the_connection(d: Dialogue) -> None:
    """RFC 4954 §4: 501 was due; this server holds the client logged in, who thinks it is not."""
    _ready(d, "CRAM-MD5")
    _authenticate(d, _mechanism("CRAM-MD5"))
    d.receive("334 =")
    d.flush()
    [ended, violation, closed] = d.receive("235 welcome")
    assert ended == _ended(d)
    assert (_ended(d).outcome, _ended(d).objection) == (
        Outcome.OBJECTED,
        "the challenge is no base64",
    )
    assert isinstance(violation, ProtocolViolation)
    assert (violation.kind, violation.fatal) == (ViolationKind.WRONG_REPLY, True)
    assert isinstance(closed, Closed)
    assert closed.reason is CloseReason.VIOLATION
    assert d.conn.identity is None
    assert d.need() is Need.CLOSE


@scenario
def test_a_long_initial_response_waits_for_a_challenge(d: Dialogue) -> None:
    _ready(d, "XOAUTH2")
    token = "t" * 1500
    line = _authenticate(d, _mechanism("XOAUTH2", BearerToken("user", token)))
    assert line == b"AUTH XOAUTH2\r\n"
    d.receive("334")
    assert token.encode() in b64decode(d.flush())
    d.receive("235 ok")
    assert _ended(d).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("challenge", ["334", "334 ", "334 VXNlcm5hbWU6", "334 Go on, please"])
@pytest.mark.parametrize(
    ("name", "credentials", "line"),
    [
        ("PLAIN", Password("user", "pass"), b"AHVzZXIAcGFzcw=="),
        ("EXTERNAL", ExternalIdentity("user"), b"dXNlcg=="),
        ("ANONYMOUS", Anonymous("user"), b"dXNlcg=="),
    ],
)
def test_an_initial_response_that_was_not_read_is_given_again_once(
    name: str, credentials: Credentials, line: bytes, challenge: str
) -> None:
    """RFC 4954 §4: a challenge asks for it; what it says has no meaning in these mechanisms."""
    d = Dialogue()
    _ready(d, name)
    assert _authenticate(d, _mechanism(name, credentials)) == b"AUTH %b %b\r\n" % (
        name.encode(),
        line,
    )
    d.receive(challenge)
    assert d.flush() == line + b"\r\n"
    d.receive(challenge)
    assert d.flush() == b"*\r\n"
    d.receive("501 cancelled")
    assert _ended(d).outcome is Outcome.OBJECTED


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2"])
def test_an_empty_challenge_asks_for_the_initial_response_in_any_mechanism(name: str) -> None:
    d = Dialogue()
    _ready(d, name)
    token = None if name.startswith("SCRAM") else BearerToken("user", "token")
    line = _authenticate(d, _mechanism(name, token))
    d.receive("334 ")
    assert d.flush() == line.removeprefix(f"AUTH {name} ".encode())


@scenario
def test_prompts_of_login_in_plain_text(d: Dialogue) -> None:
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"))
    for challenge, line in (("Username:", b"dXNlcg==\r\n"), ("P\xe4ssword:", b"cGFzcw==\r\n")):
        d.receive(f"334 {challenge}")
        assert d.flush() == line
    d.receive("235 ok")
    assert _ended(d).outcome is Outcome.SUCCEEDED


@scenario
def test_the_first_challenge_may_be_as_long_as_any(d: Dialogue) -> None:
    """RFC 4954 §4: 12,288 octets are held to be enough for a line of an exchange."""
    _ready(d, "X-WAIT")
    _authenticate(d, _Waiting())
    d.receive("334 " + "A" * (12288 - 6 - 2))
    assert d.need() is Need.COMMAND
    d.conn.answer(b"ticket")
    assert d.flush() == b"dGlja2V0\r\n"
    d.receive("235 ok")
    assert _ended(d).outcome is Outcome.SUCCEEDED


@scenario
def test_an_initial_response_an_octet_too_long_waits(d: Dialogue) -> None:
    _ready(d, "PLAIN")
    response = "\0user\0" + "x" * 368
    assert len(f"AUTH PLAIN {_base64(response)}\r\n") == 513  # RFC 5321 §4.5.3.1.4
    password = Password("user", "x" * 368)
    assert _authenticate(d, _mechanism("PLAIN", password)) == b"AUTH PLAIN\r\n"
    d.receive("334")
    assert d.flush() == f"{_base64(response)}\r\n".encode()


@pytest.mark.parametrize(("octets", "at_once"), [(372, True), (373, False)])
def test_an_initial_response_is_in_a_line_of_512_octets(octets: int, at_once: bool) -> None:
    d = Dialogue()
    _ready(d, "EXTERNAL")
    identity = "i" * octets
    line = _authenticate(d, _mechanism("EXTERNAL", ExternalIdentity(identity)))
    if at_once:
        assert line == f"AUTH EXTERNAL {_base64(identity)}\r\n".encode()
        assert len(line) == 512
    else:
        assert line == b"AUTH EXTERNAL\r\n"
        d.receive("334 ")
        assert d.flush() == f"{_base64(identity)}\r\n".encode()
    d.receive("235 ok")
    assert _ended(d).outcome is Outcome.SUCCEEDED


@scenario
def test_an_empty_initial_response_is_an_equals_sign(d: Dialogue) -> None:
    _ready(d, "EXTERNAL")
    assert _authenticate(d, _mechanism("EXTERNAL", ExternalIdentity())) == b"AUTH EXTERNAL =\r\n"
    d.receive("235 ok")


@scenario
def test_an_oauth_error_is_acknowledged(d: Dialogue) -> None:
    _ready(d, "XOAUTH2")
    _authenticate(d, _mechanism("XOAUTH2", BearerToken("user", "token")))
    d.receive("334 eyJzdGF0dXMiOiI0MDEifQ==")
    assert d.flush() == b"\r\n"
    d.receive("535 5.7.8 bad token")
    assert _ended(d).outcome is Outcome.FAILED
    assert _ended(d).error == '{"status":"401"}'


@scenario
def test_scram_success_without_a_proof_is_none(d: Dialogue) -> None:
    _ready(d, "SCRAM-SHA-256")
    assert _authenticate(d, _mechanism("SCRAM-SHA-256")).startswith(b"AUTH SCRAM-SHA-256 ")
    d.receive(f"334 {_base64('r=cnsn,s=c2FsdA==,i=4096')}")
    d.flush()
    events = d.receive("235 welcome")
    assert [type(event) for event in events] == [AuthenticationEnded, ProtocolViolation, Closed]
    assert _ended(d).outcome is Outcome.SERVER_NOT_PROVEN
    assert _ended(d).reason == "the server says success without having proved itself"
    assert d.conn.identity is None


@scenario
def test_scram_iterations_out_of_bounds_are_cancelled(d: Dialogue) -> None:
    _ready(d, "SCRAM-SHA-256")
    _authenticate(d, _mechanism("SCRAM-SHA-256"))
    d.receive("334 cj1jbnNuLHM9YzJGc2RBPT0saT0x")
    assert d.flush() == b"*\r\n"
    d.receive("501 cancelled")
    assert _ended(d).outcome is Outcome.SERVER_NOT_PROVEN, "no other mechanism with this password"
    assert _ended(d).reason == "the server asks for 1 iterations"
    assert d.need() is Need.COMMAND


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("535 5.7.8 wrong", Outcome.FAILED),
        ("550 no", Outcome.FAILED),
        ("454 4.7.0 later", Outcome.TEMPORARY),
        ("432 4.7.12 transition", Outcome.TEMPORARY),
        ("500 5.5.6 too long", Outcome.MECHANISM_REFUSED),
        ("501 5.5.2 no base64", Outcome.MECHANISM_REFUSED),
        ("502 5.5.1 never heard of it", Outcome.UNAVAILABLE),
        ("503 5.5.1 not now", Outcome.UNAVAILABLE),
        ("504 5.5.4 unknown", Outcome.MECHANISM_REFUSED),
        ("523 5.7.10 encrypt", Outcome.MECHANISM_REFUSED),  # RFC 5248 §3
        ("524 5.7.11 encrypt", Outcome.MECHANISM_REFUSED),
        ("525 5.7.13 disabled", Outcome.FAILED),
        ("530 5.7.0 must issue STARTTLS", Outcome.UNAVAILABLE),  # RFC 3207 §4
        ("534 5.7.9 too weak", Outcome.MECHANISM_REFUSED),
        ("538 5.7.11 encrypt", Outcome.MECHANISM_REFUSED),
    ],
)
def test_outcomes(line: str, outcome: Outcome) -> None:
    d = Dialogue()
    _ready(d, "PLAIN")
    _authenticate(d, _mechanism("PLAIN"))
    d.receive(line)
    assert _ended(d).outcome is outcome
    assert d.conn.stats.authentications_failed == 1
    assert d.conn.state is State.READY
    assert d.need() is Need.COMMAND


@scenario
def test_421_in_an_exchange(d: Dialogue) -> None:
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"))
    d.receive("334 ")
    d.flush()
    reply = Reply(421, "try later", "4.7.0")
    assert d.receive("421 4.7.0 try later") == [
        AuthenticationEnded(Auth("LOGIN"), reply, Outcome.UNANSWERED),
        ServiceClosing(reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


@scenario
def test_421_before_the_exchange_in_the_same_flight(d: Dialogue) -> None:
    _ready(d, "LOGIN")
    rset = d.conn.send(Rset())
    d.commands.append(rset)
    assert _authenticate(d, _mechanism("LOGIN")) == b"RSET\r\nAUTH LOGIN\r\n"
    events = d.receive("421 bye")
    assert AuthenticationEnded(Auth("LOGIN"), None, Outcome.UNANSWERED) in events


@scenario
def test_the_stream_ends_in_an_exchange(d: Dialogue) -> None:
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"))
    assert d.eof() == [
        AuthenticationEnded(Auth("LOGIN"), None, Outcome.UNANSWERED),
        Closed(CloseReason.EOF),
    ]


def test_nothing_goes_between_auth_and_its_end() -> None:
    d = Dialogue()
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"))
    for command in (Noop(), Mail(ALICE), Quit()):
        with pytest.raises(LocalProtocolError, match="behind Auth"):
            d.conn.send(command)
    with pytest.raises(LocalProtocolError, match="behind Auth"):
        d.conn.authenticate(_mechanism("LOGIN"))


def test_a_long_challenge_is_taken_in_an_exchange_only() -> None:
    d = Dialogue()
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"))
    d.receive("334 ")
    d.flush()
    d.receive("334 " + "A" * 8000)
    assert d.flush() == b"cGFzcw==\r\n"
    d.receive("535 no")
    d.send(Noop())
    assert isinstance(d.receive("250 " + "A" * 8000)[0], ProtocolViolation)


# -- what is refused before a single octet is written


def test_secrets_never_go_without_verified_tls() -> None:
    token = BearerToken("user", "token")
    secrets: dict[str, Credentials | None] = {
        "PLAIN": None,
        "LOGIN": None,
        "XOAUTH2": token,
        "OAUTHBEARER": token,
    }
    for name, credentials in secrets.items():
        d = Dialogue()
        d.greeted(f"AUTH {name}")
        with pytest.raises(LocalProtocolError, match="verified TLS"):
            d.conn.authenticate(_mechanism(name, credentials))
        assert d.flush() == b""
        d.connect(ClientConfig(cleartext_authentication_without_verified_tls=True))
        d.greeted(f"AUTH {name}")
        assert _authenticate(d, _mechanism(name, credentials))
    d = Dialogue()
    d.greeted("AUTH SCRAM-SHA-256")
    assert _authenticate(d, _mechanism("SCRAM-SHA-256"))


def test_the_security_setting_forbids_auth_before_tls() -> None:
    d = Dialogue()
    d.connect(ClientConfig(security=Security.STARTTLS))
    d.greeted("AUTH SCRAM-SHA-256", "STARTTLS")
    with pytest.raises(LocalProtocolError, match="AUTH before TLS"):
        d.conn.authenticate(_mechanism("SCRAM-SHA-256"))


def test_mechanisms_are_whole_words() -> None:
    d = Dialogue()
    _ready(d, "XOAUTH2", "PLAIN-CLIENTTOKEN")
    with pytest.raises(LocalProtocolError, match="AUTH PLAIN: the server does not offer"):
        d.conn.authenticate(_mechanism("PLAIN"))


def test_auth_in_a_transaction_is_out_of_order() -> None:
    d = Dialogue()
    _ready(d, "PLAIN")
    d.envelope()
    with pytest.raises(LocalProtocolError, match="AUTH is out of order"):
        d.conn.authenticate(_mechanism("PLAIN"))
    with pytest.raises(LocalProtocolError, match="see authenticate"):
        d.conn.send(Auth("PLAIN"))


def test_no_starttls_after_auth() -> None:
    """RFC 3207 §4.2."""
    d = Dialogue()
    d.connect(ClientConfig(cleartext_authentication_without_verified_tls=True))
    d.greeted("AUTH PLAIN", "STARTTLS")
    _authenticate(d, _mechanism("PLAIN"))
    d.receive("235 ok")
    with pytest.raises(LocalProtocolError, match="STARTTLS after AUTH"):
        d.conn.send(StartTls())


# -- a mechanism of the user's own


class _Waiting:
    """A mechanism that asks somebody else: step gives PENDING, answer goes on."""

    name = "X-WAIT"
    client_first = False
    complete = True
    mutual = False
    server_proven = False
    error = ""

    def initial(self) -> bytes | None:
        return None

    def step(self, challenge: bytes) -> bytes | Literal[Pending.PENDING]:
        return PENDING

    def answer(self, data: bytes) -> bytes:
        if not data:
            raise BadChallengeError("nothing came")
        return data


@scenario
def test_a_mechanism_that_waits(d: Dialogue) -> None:
    _ready(d, "X-WAIT")
    with pytest.raises(LocalProtocolError, match="no mechanism waits"):
        d.conn.answer(b"x")
    _authenticate(d, _Waiting())
    with pytest.raises(LocalProtocolError, match="no mechanism waits"):
        d.conn.answer(b"x")
    d.receive("334 ")
    assert d.need() is Need.COMMAND
    assert d.conn.timeout is None
    d.conn.answer(b"ticket")
    with pytest.raises(LocalProtocolError, match="no mechanism waits"):
        d.conn.answer(b"ticket")
    assert d.flush() == b"dGlja2V0\r\n"
    d.receive("235 ok")
    assert _ended(d).outcome is Outcome.SUCCEEDED


@scenario
def test_a_mechanism_that_waited_in_vain(d: Dialogue) -> None:
    _ready(d, "X-WAIT")
    _authenticate(d, _Waiting())
    d.receive("334 ")
    d.conn.answer(b"")
    assert d.flush() == b"*\r\n"
    d.receive("501 cancelled")
    assert (_ended(d).outcome, _ended(d).reason) == (Outcome.OBJECTED, "nothing came")


@scenario
def test_the_server_closes_while_a_mechanism_waits(d: Dialogue) -> None:
    _ready(d, "X-WAIT")
    _authenticate(d, _Waiting())
    d.receive("334 ")
    assert [type(event) for event in d.receive("421 too slow")] == [
        ServiceClosing,
        AuthenticationEnded,
        Closed,
    ]


class _Broken(_Waiting):
    """A mechanism with a bug, somewhere."""

    client_first = True

    def __init__(self, bug: str, error: Exception) -> None:
        self.bug = bug
        self.raised = error

    def break_at(self, place: str) -> None:
        if self.bug == place:
            raise self.raised

    def initial(self) -> bytes | None:
        self.break_at("initial")
        return b"begin"

    def step(self, challenge: bytes) -> bytes | Literal[Pending.PENDING]:
        self.break_at("step")
        return PENDING if self.bug == "answer" else b"response"

    def answer(self, data: bytes) -> bytes:
        self.break_at("answer")
        return data

    @property
    def mutual(self) -> bool:  # type: ignore[override]  # a plain attribute there
        self.break_at("mutual")
        return False

    @property
    def error(self) -> str:  # type: ignore[override]  # a plain attribute there
        self.break_at("error")
        return ""


class _Odd(_Waiting):
    """A mechanism whose response is no octets."""

    def step(self, challenge: bytes) -> bytes | Literal[Pending.PENDING]:
        return "response"  # type: ignore[return-value]  # that is the bug


@pytest.mark.parametrize("bug", ["step", "answer"])
@pytest.mark.parametrize("error", [ValueError("my secret"), KeyError("x"), UnicodeError("no")])
def test_a_mechanism_that_fails_is_cancelled_and_told(bug: str, error: Exception) -> None:
    d = Dialogue()
    _ready(d, "X-WAIT")
    _authenticate(d, _Broken(bug, error))
    d.receive("334 eA==")
    if bug == "answer":
        d.conn.answer(b"ticket")
    assert d.flush() == b"*\r\n"
    d.receive("501 cancelled")
    assert (_ended(d).outcome, _ended(d).exception) == (Outcome.OBJECTED, error)
    assert _ended(d).reason == f"X-WAIT failed: {type(error).__name__}"
    assert "my secret" not in repr(d.events)
    d.send(Quit())
    assert d.receive("221 bye")[-1] == Closed(CloseReason.QUIT, Reply(221, "bye"))


@scenario
def test_a_response_that_is_no_octets_is_cancelled(d: Dialogue) -> None:
    _ready(d, "X-WAIT")
    _authenticate(d, _Odd())
    d.receive("334 ")
    assert d.flush() == b"*\r\n"
    d.receive("501 cancelled")
    assert isinstance(_ended(d).exception, TypeError)


def test_a_mechanism_that_cannot_say_whether_the_server_is_proven_has_not_proven_it() -> None:
    d = Dialogue()
    error = RuntimeError("?")
    _ready(d, "X-WAIT")
    _authenticate(d, _Broken("mutual", error))
    events = d.receive("235 welcome")
    assert [type(event) for event in events] == [AuthenticationEnded, ProtocolViolation, Closed]
    assert (_ended(d).outcome, _ended(d).exception) == (Outcome.OBJECTED, error)
    assert d.conn.identity is None


def test_a_mechanism_that_cannot_say_what_was_wrong() -> None:
    error = RuntimeError("?")
    for end in (lambda d: d.receive("535 no"), Dialogue.eof, lambda d: d.conn.abort()):
        d = Dialogue()
        _ready(d, "X-WAIT")
        _authenticate(d, _Broken("error", error))
        end(d)
        d.need()
        assert (_ended(d).error, _ended(d).exception) == ("", error)


def test_a_mechanism_that_fails_before_anything_is_sent() -> None:
    """The application has called: the exception is its own, and nothing has changed."""
    d = Dialogue()
    _ready(d, "X-WAIT", "PLAIN")
    error = RuntimeError("?")
    with pytest.raises(RuntimeError) as raised:
        d.conn.authenticate(_Broken("initial", error))
    assert raised.value is error
    assert _authenticate(d, _mechanism("PLAIN")).startswith(b"AUTH PLAIN ")


@scenario
def test_the_connection_ends_behind_a_cancellation(d: Dialogue) -> None:
    _ready(d, "CRAM-MD5")
    _authenticate(d, _mechanism("CRAM-MD5"))
    d.receive("334 =")
    d.flush()
    d.eof()
    assert (_ended(d).outcome, _ended(d).reply) == (Outcome.OBJECTED, None)


class _Unable(_Waiting):
    client_first = True

    def initial(self) -> bytes | None:
        raise SaslError("no ticket")


def test_a_mechanism_that_cannot_begin() -> None:
    d = Dialogue()
    _ready(d, "X-WAIT")
    with pytest.raises(LocalProtocolError, match="no ticket"):
        d.conn.authenticate(_Unable())
    assert d.need() is Need.COMMAND


# -- no secret is shown


def test_the_trace_has_no_secret() -> None:
    seen: list[bytes] = []
    d = Dialogue()
    _ready(d, "PLAIN", "LOGIN")
    d.conn.trace = lambda direction, octets: seen.append(octets)
    _authenticate(d, _mechanism("PLAIN"))
    d.receive("535 no")
    _authenticate(d, _mechanism("LOGIN"))
    d.receive("334 ")
    d.flush()
    d.receive("334 ")
    d.flush()
    d.receive("235 ok")
    assert seen == [
        b"AUTH PLAIN <redacted>\r\n",
        b"535 no\r\n",
        b"AUTH LOGIN\r\n",
        b"334 \r\n",
        b"<redacted>\r\n",
        b"334 \r\n",
        b"<redacted>\r\n",
        b"235 ok\r\n",
    ]
    shown = repr((d.conn, d.events, d.conn.identity))
    for secret in ("pass", encode_response(b"pass").decode(), "AHVzZXIAcGFzcw"):
        assert f"{secret}'" not in shown


def test_a_trace_that_raises_at_a_challenge_changes_nothing() -> None:
    def trace(direction: str, octets: bytes) -> None:
        if direction == "received":
            raise RuntimeError(direction)

    d = Dialogue()
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"))
    d.conn.trace = trace
    d.conn.receive_data(b"334 \r\n")
    with pytest.raises(RuntimeError, match="received"):
        d.conn.next_event()
    assert d.need() is Need.DATA
    assert d.flush() == b"dXNlcg==\r\n"


@scenario
def test_auth_behind_a_refused_chunk_ends_unsent(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=3), tls=VERIFIED)
    d.greeted("AUTH CRAM-MD5", "CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.body(b"abcdef")
    assert _authenticate(d, _mechanism("CRAM-MD5")) == b"BDAT 3\r\nabc"
    d.receive("452 full")
    assert _ended(d) == AuthenticationEnded(Auth("CRAM-MD5"), None, Outcome.UNANSWERED)
    assert d.send(Rset()) == b"RSET\r\n", "nothing waits for its reply"
    d.receive("250 OK")
    assert _authenticate(d, _mechanism("CRAM-MD5")) == b"AUTH CRAM-MD5\r\n"
    d.receive("535 no")


@scenario
def test_starttls_behind_a_refused_chunk_ends_unsent(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=3))
    d.greeted("STARTTLS", "CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.body(b"abcdef")
    starttls = StartTls()
    d.send(starttls)
    assert d.receive("452 full")[-1] == Unanswered(starttls, Cause.NOT_SENT)
    assert d.send(Rset()) == b"RSET\r\n", "nothing waits for its reply"
    d.receive("250 OK")


@scenario
def test_starttls_behind_the_last_chunk_ends_unsent(d: Dialogue) -> None:
    d.greeted("STARTTLS", "CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.body(b"abc")
    starttls = StartTls()
    assert d.send(starttls) == b"BDAT 3 LAST\r\nabc"
    assert d.receive("452 full")[-1] == Unanswered(starttls, Cause.NOT_SENT)
    assert d.send(Rset()) == b"RSET\r\n", "nothing waits for its reply"
    d.receive("250 OK")


@scenario
def test_hello_behind_a_refused_chunk_is_still_waited_for(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=3))
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.body(b"abcdef")
    noop = Noop()
    d.send(noop, Hello("c.example"))
    assert d.receive("452 full")[-1] == Unanswered(noop, Cause.NOT_SENT)
    with pytest.raises(LocalProtocolError, match="behind Hello"):
        d.conn.send(Noop())
    assert d.flush() == b"EHLO c.example\r\n"
    d.receive("250 mx.example")


def test_xclient_ends_who_was_authenticated() -> None:
    d = Dialogue()
    d.connect(tls=VERIFIED)
    d.greeted("AUTH PLAIN", "XCLIENT NAME")
    _authenticate(d, _mechanism("PLAIN"), "user")
    d.receive("235 2.7.0 welcome")
    assert d.conn.identity is not None
    d.send(XClient(name="c.example"))
    d.receive("220 mx.example ESMTP")
    assert d.conn.identity is None


def test_a_trace_that_ends_the_connection_is_followed_by_the_end() -> None:
    d = Dialogue()
    d.connect(tls=VERIFIED)
    d.greeted("AUTH LOGIN")
    mechanism = client_mechanism("LOGIN", Password("user", "pass"), ClientMechanismConfig())
    d.conn.authenticate(mechanism)
    d.flush()
    d.conn.trace = lambda direction, octets: d.conn.abort("the log is full")
    d.conn.receive_data(b"334 VXNlcm5hbWU6\r\n")  # is told by no event
    assert isinstance(d.conn.next_event(), AuthenticationEnded)
    assert d.conn.next_event() == Closed(CloseReason.ABORTED, error="the log is full")
    assert d.conn.next_event() is Need.CLOSE


REPEATED = [
    ("AHVzZXIAcGFzcw==", "<redacted>"),
    ("pass, said by user", "<redacted>, said by user"),
    ("AHVzZXIAcGFzcw== and pass / pass", "<redacted> and <redacted> / <redacted>"),
    ("nothing", "nothing"),
]


@pytest.mark.parametrize(("said", "shown"), REPEATED)
def test_a_reply_that_repeats_a_secret_is_shown_without_it(said: str, shown: str) -> None:
    d = Dialogue()
    _ready(d, "PLAIN")
    _authenticate(d, _mechanism("PLAIN"), "user")
    d.receive(f"535 5.7.8 no: {said}")
    assert _ended(d).reply == Reply(535, f"no: {shown}", "5.7.8")


@pytest.mark.parametrize(("said", "shown"), REPEATED)
@pytest.mark.parametrize("code", [421, 221])
def test_nor_does_a_server_that_goes_tell_it(code: int, said: str, shown: str) -> None:
    d = Dialogue()
    _ready(d, "PLAIN")
    _authenticate(d, _mechanism("PLAIN"), "user")
    reply = Reply(code, f"no: {shown}")
    d.receive(f"{code} no: {said}")
    assert _ended(d).reply == reply
    assert ServiceClosing(reply) in d.events
    assert d.conn.closed == Closed(CloseReason.SHUTDOWN, reply)


@pytest.mark.parametrize(("said", "shown"), REPEATED)
def test_nor_does_a_reply_that_is_none(said: str, shown: str) -> None:
    d = Dialogue()
    _ready(d, "PLAIN")
    _authenticate(d, _mechanism("PLAIN"), "user")
    d.receive(f"100 {said}")
    assert d.conn.closed is not None
    assert d.conn.closed.error == f"a reply that the command cannot have: 100 {shown}"


@pytest.mark.parametrize("end", [b"535-AHVzZ\r\n550 x\r\n", b"535 AHVzZ"])
def test_of_half_a_reply_nothing_is_shown_in_an_exchange(end: bytes) -> None:
    """It may end within a secret."""
    d = Dialogue()
    _ready(d, "PLAIN")
    _authenticate(d, _mechanism("PLAIN"), "user")
    d.feed(end)
    d.eof()
    assert d.conn.closed is not None
    assert d.conn.closed.error.endswith(": <redacted>")


def test_a_trace_shows_what_is_too_short_for_a_secret() -> None:
    seen: list[bytes] = []
    d = Dialogue()
    _ready(d, "CRAM-MD5")
    d.conn.trace = lambda direction, octets: seen.append(octets)
    _authenticate(d, _mechanism("CRAM-MD5"), "user")
    d.receive("334 !")
    assert d.flush() == b"*\r\n"
    d.receive("501 * is a cancellation")
    assert seen[-2:] == [b"<redacted>\r\n", b"501 * is a cancellation\r\n"]


def test_a_response_is_not_repeated_either() -> None:
    d = Dialogue()
    _ready(d, "LOGIN")
    _authenticate(d, _mechanism("LOGIN"), "user")
    d.receive("334 VXNlcm5hbWU6")
    d.flush()
    d.receive("334 UGFzc3dvcmQ6")
    assert d.flush() == b"cGFzcw==\r\n"
    d.receive("500 cGFzcw==: unknown command")
    assert _ended(d).reply == Reply(500, "<redacted>: unknown command")
