"""SCRAM, RFC 5802 and RFC 7677."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scramp import ScramClient, ScramMechanism  # type: ignore[import-untyped]  # it has no types
from scramp.core import ScramException  # type: ignore[import-untyped]  # it has no types
from tests.sasl.conversation import (
    SCRAM_SECRET,
    Transcript,
    Users,
    client_config,
    converse,
    server_config,
)

from smtpwire.sasl import (
    Ask,
    BadChallengeError,
    Challenge,
    ClientMechanism,
    DigestMD5Secret,
    Failed,
    IterationCountError,
    Password,
    PlainPassword,
    Preparation,
    ScramSecret,
    SecretRequest,
    ServerMechanism,
    ServerNotProvenError,
    StoredSecret,
    Succeeded,
    UnusableCredentialsError,
    client_mechanism,
    derive_scram,
    server_mechanism,
)
from smtpwire.wire.value import replace

BARE = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]
EVERY = [*BARE, *(f"{name}-PLUS" for name in BARE)]
BINDINGS = {
    "tls-unique": b"unique",
    "tls-server-end-point": b"end point",
    "tls-exporter": b"exporter",
}
SECRET = derive_scram("pass", salt=b"0123456789abcdef")
CLIENT_FIRST = b"n,,n=user,r=c0"
SERVER_FIRST = b"r=c0s0,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096"


def _client(
    mechanism: str = "SCRAM-SHA-256",
    *,
    username: str = "user",
    password: str = "pass",
    authzid: str = "",
    bindings: Mapping[str, bytes] | None = None,
    binding_type: str = "",
    plus_offered: bool = False,
) -> ClientMechanism:
    config = client_config(
        bindings=bindings, binding_type=binding_type, plus_offered=plus_offered, nonce="c0"
    )
    return client_mechanism(mechanism, Password(username, password, authzid), config)


def _server(mechanism: str = "SCRAM-SHA-256") -> ServerMechanism:
    return server_mechanism(mechanism, server_config(nonce="s0", bindings=BINDINGS))


# --- whole exchanges ----------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", EVERY)
@pytest.mark.parametrize("binding_type", BINDINGS)
def test_every_mechanism_with_every_binding(mechanism: str, binding_type: str) -> None:
    client = _client(
        mechanism,
        bindings=BINDINGS,
        binding_type=binding_type,
        plus_offered=mechanism.endswith("-PLUS"),
    )
    server = _server(mechanism)
    log: Transcript = []
    users = Users(passwords={"user": "pass"})
    assert converse(client, server, users.decide, log) == Succeeded("user")
    assert client.complete
    assert client.server_proven
    assert [who for who, _ in log] == ["C", "S", "C", "S", "C"]
    flag = f"p={binding_type}" if mechanism.endswith("-PLUS") else "y"
    assert log[0][1].startswith(flag.encode() + b",,n=user,r=")
    assert users.asked == [SecretRequest(mechanism, "user", "", (ScramSecret, PlainPassword))]


def test_without_an_initial_response_the_server_asks_with_an_empty_challenge() -> None:
    assert _server().start(None) == Challenge(b"")


def test_an_authorization_identity() -> None:
    client = _client(authzid="ad=min,x")
    assert client.initial() == b"n,a=ad=3Dmin=2Cx,n=user,r=c0"
    outcome = converse(client, _server(), Users(passwords={"user": "pass"}).decide)
    assert outcome == Succeeded("user", "ad=min,x")


@given(
    st.text(st.characters(exclude_categories=["C"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_any_user_and_any_password(username: str, password: str) -> None:
    try:
        client = _client(username=username, password=password)
        secret = derive_scram(password, preparation=Preparation.LENIENT)
    except (UnusableCredentialsError, ValueError):
        return  # SASLprep leaves nothing of one of them or refuses the name
    outcome = converse(client, _server(), lambda server, _: server.supply(secret))
    assert isinstance(outcome, Succeeded)
    plain = PlainPassword(password)
    outcome = converse(
        _client(username=username, password=password),
        _server(),
        lambda server, _: server.supply(plain),
    )
    assert isinstance(outcome, Succeeded)


# --- against an independent implementation ------------------------------------------------

ORACLE_TEXT = st.text(
    st.one_of(
        st.sampled_from(",= \"\\'/+\xa0\xad\xe9\u2168\u0436"),
        st.characters(min_codepoint=33, max_codepoint=126),
    ),
    min_size=1,
    max_size=20,
).filter(lambda text: text.strip("\xad") != "")


@pytest.mark.parametrize("mechanism", BARE)
@given(username=ORACLE_TEXT, password=ORACLE_TEXT)
@settings(max_examples=20)
def test_our_client_and_the_oracles_server(mechanism: str, username: str, password: str) -> None:
    oracle = ScramMechanism(mechanism)
    info = oracle.make_auth_info(password, iteration_count=4096)
    server = oracle.make_server(lambda _: info)
    client = _client(mechanism, username=username, password=password)
    initial = client.initial()
    assert initial is not None
    server.set_client_first(initial.decode())
    final = client.step(server.get_server_first().encode())
    assert isinstance(final, bytes)
    server.set_client_final(final.decode())
    assert client.step(server.get_server_final().encode()) == b""
    assert client.server_proven


@pytest.mark.parametrize("mechanism", BARE)
@given(username=ORACLE_TEXT, password=ORACLE_TEXT, stored=st.booleans())
@settings(max_examples=20)
def test_the_oracles_client_and_our_server(
    mechanism: str, username: str, password: str, stored: bool
) -> None:
    client = ScramClient([mechanism], username, password)
    server = _server(mechanism)
    secret: StoredSecret = PlainPassword(password)
    if stored:
        secret = derive_scram(password, mechanism, preparation=Preparation.LENIENT)
    assert isinstance(server.start(client.get_client_first().encode()), Ask)
    first = server.supply(secret)
    assert isinstance(first, Challenge)
    client.set_server_first(first.data.decode())
    final = server.step(client.get_client_final().encode())
    assert isinstance(final, Challenge)
    client.set_server_final(final.data.decode())  # raises if our proof is wrong
    assert isinstance(server.step(b""), Succeeded)


@pytest.mark.parametrize("mechanism", BARE)
@pytest.mark.parametrize("binding_type", ["tls-unique", "tls-server-end-point"])
def test_channel_binding_with_the_oracle(mechanism: str, binding_type: str) -> None:
    binding = (binding_type, BINDINGS[binding_type])
    plus = f"{mechanism}-PLUS"
    oracle = ScramMechanism(plus)
    info = oracle.make_auth_info("pass", iteration_count=4096)
    theirs = oracle.make_server(lambda _: info, channel_binding=binding)
    client = _client(plus, bindings=BINDINGS, binding_type=binding_type, plus_offered=True)
    initial = client.initial()
    assert initial is not None
    theirs.set_client_first(initial.decode())
    final = client.step(theirs.get_server_first().encode())
    assert isinstance(final, bytes)
    theirs.set_client_final(final.decode())
    assert client.step(theirs.get_server_final().encode()) == b""

    their_client = ScramClient([plus], "user", "pass", channel_binding=binding)
    server = _server(plus)
    server.start(their_client.get_client_first().encode())
    first = server.supply(PlainPassword("pass"))
    assert isinstance(first, Challenge)
    their_client.set_server_first(first.data.decode())
    proof = server.step(their_client.get_client_final().encode())
    assert isinstance(proof, Challenge)
    their_client.set_server_final(proof.data.decode())


def test_the_oracle_finds_a_wrong_password_too() -> None:
    oracle = ScramMechanism("SCRAM-SHA-256")
    info = oracle.make_auth_info("pass", iteration_count=4096)
    server = oracle.make_server(lambda _: info)
    client = _client(password="wrong")
    initial = client.initial()
    assert initial is not None
    server.set_client_first(initial.decode())
    final = client.step(server.get_server_first().encode())
    assert isinstance(final, bytes)
    with pytest.raises(ScramException):
        server.set_client_final(final.decode())
    assert client.step(server.get_server_final().encode()) == b""
    assert client.error == "invalid-proof"
    assert not client.server_proven


# --- the server reads ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,",
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n,,n=,r=c0",
        b"n,,r=c0,n=user",
        b"x,,n=user,r=c0",
        b"n,n=user,r=c0",
        b"n,,m=ext,n=user,r=c0",
        b"n,,n=user,r=c0,m=ext",
        b"n,,n=us=2Xer,r=c0",
        b"n,,n=us=2cer,r=c0",
        b"n,,n=user=,r=c0",
        b"n,,n=us\0er,r=c0",
        b"n,,n=us\ner,r=c0",
        b"n,,n=user\xff,r=c0",
        b"n,,n=\xc2\xad,r=c0",
        b"n,,n=user,r=c 0",
        b"n,,n=user,r=c\xe9",
        b"n,,n=user,r=c0,",
        b"n,,n=user,r=c0,x",
        b"n,,n=user,r=c0\n",
        b"n,a=,n=user,r=c0",
        b"n,a=\xff,n=user,r=c0",
        b"n,a=\xc2\xad,n=user,r=c0",
        b"n,a=a\nb,n=user,r=c0",
        b"p=,,n=user,r=c0",
        b"p=tls_unique,,n=user,r=c0",
    ],
)
def test_a_malformed_first_message(message: bytes) -> None:
    step = _server().start(message)
    assert isinstance(step, Failed)
    assert step.malformed


def test_optional_extensions_are_ignored() -> None:
    server = _server()
    server.start(b"n,,n=user,r=c0,x=1,y=a=b")
    first = server.supply(SECRET)
    assert first == Challenge(SERVER_FIRST)


@pytest.mark.parametrize(
    ("mechanism", "plus_offered", "header"),
    [
        ("SCRAM-SHA-256", True, b"y,,"),  # we did offer -PLUS: somebody cut it out
        ("SCRAM-SHA-256", True, b"p=tls-unique,,"),  # GS2 with p= has the -PLUS name
        ("SCRAM-SHA-256", False, b"p=tls-unique,,"),
        ("SCRAM-SHA-256-PLUS", True, b"n,,"),
        ("SCRAM-SHA-256-PLUS", True, b"y,,"),
        ("SCRAM-SHA-256-PLUS", True, b"p=tls-unknown,,"),
        ("SCRAM-SHA-256-PLUS", True, b"p=tls-empty,,"),
    ],
)
def test_a_channel_binding_which_must_fail(
    mechanism: str, plus_offered: bool, header: bytes
) -> None:
    """RFC 5802 §6."""
    bindings = {**BINDINGS, "tls-empty": b""}
    config = server_config(nonce="s0", bindings=bindings, plus_offered=plus_offered)
    step = server_mechanism(mechanism, config).start(header + b"n=user,r=c0")
    assert step == Failed("the channel binding is not acceptable")


@pytest.mark.parametrize("header", [b"y,,", b"n,,"])
def test_the_flags_which_are_good_without_plus(header: bytes) -> None:
    """RFC 5802 §6."""
    step = _server().start(header + b"n=user,r=c0")
    assert isinstance(step, Ask)
    config = server_config(plus_offered=True, bindings=BINDINGS)
    step = server_mechanism("SCRAM-SHA-256", config).start(b"n,,n=user,r=c0")
    assert isinstance(step, Ask)  # a client which cannot bind may still come


def test_different_channels_fail() -> None:
    client = _client(
        "SCRAM-SHA-1-PLUS", bindings={"tls-unique": b"other"}, binding_type="tls-unique"
    )
    outcome = converse(client, _server("SCRAM-SHA-1-PLUS"), Users({"user": "pass"}).decide)
    assert outcome == Failed("credentials refused")


def _final() -> bytes:
    client = _client()
    client.initial()
    final = client.step(SERVER_FIRST)
    assert isinstance(final, bytes)
    return final


def test_a_good_final_message() -> None:
    server = _server()
    server.start(CLIENT_FIRST)
    server.supply(SECRET)
    assert isinstance(server.step(_final()), Challenge)
    assert server.step(b"") == Succeeded("user")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"c=biws", b"c=eSws"),  # y,,
        (b"c=biws", b"c=biws="),
        (b"r=c0s0", b"r=c0s1"),
        (b"r=c0s0", b"r=c0"),
        (b"r=c0s0", b"r=c0s0,x=1"),  # what the proof covers is not what was sent
        (b"p=", b"p=AAAA"),
        (b"=,p=", b"=,q="),
        (b",p=", b",m=1,p="),
        (b"c=biws,", b""),
        (b"p=", b"p=!"),
        (b"p=", b"p==="),
        (b"p=", b"p=A"),
    ],
)
def test_a_final_message_which_fails(old: bytes, new: bytes) -> None:
    server = _server()
    server.start(CLIENT_FIRST)
    server.supply(SECRET)
    assert isinstance(
        server.step(_final().replace(old, new, 1) + b"x" * (old not in _final())), Failed
    )


def test_every_octet_of_the_final_message_counts() -> None:
    final = _final()
    for position in range(len(final)):
        for changed in (final[:position], final[:position] + b"~" + final[position + 1 :]):
            server = _server()
            server.start(CLIENT_FIRST)
            server.supply(SECRET)
            assert isinstance(server.step(changed), Failed)


@pytest.mark.parametrize(
    "response",
    [b"", b"c=biws", _final()[:-1], _final() + b",x", _final().partition(b",p=")[0] + b",p=AAAA"],
)
def test_a_malformed_final_message(response: bytes) -> None:
    server = _server()
    server.start(CLIENT_FIRST)
    server.supply(SECRET)
    assert server.step(response) == Failed("malformed client-final-message", malformed=True)


def test_the_answer_to_the_proof_is_empty() -> None:
    """RFC 4954 §4."""
    server = _server()
    server.start(CLIENT_FIRST)
    server.supply(SECRET)
    server.step(_final())
    step = server.step(b"x")
    assert isinstance(step, Failed)
    assert step.malformed


# --- users who do not exist ---------------------------------------------------------------


def _challenge_for(secret: StoredSecret | None, user: bytes, *, derives: bool = True) -> bytes:
    config = server_config(nonce="s0", stores_passwords=derives, iterations=5000)
    server = server_mechanism("SCRAM-SHA-256", config)
    server.start(b"n,,n=" + user + b",r=c0")
    first = server.supply(secret)
    assert isinstance(first, Challenge)
    return first.data


def test_unknown_users_and_those_with_a_password_get_a_salt_of_one_kind() -> None:
    known = _challenge_for(PlainPassword("pass"), b"user")
    assert _challenge_for(None, b"user") == known
    assert _challenge_for(PlainPassword("changed"), b"user") == known
    assert _challenge_for(None, b"user", derives=False) == known
    salt = known.split(b",")[1].removeprefix(b"s=")
    assert len(b64decode(salt)) == 16  # as long as derive_scram() makes them
    other = _challenge_for(None, b"other")
    assert other != known
    assert [len(other), other[:7], other[-7:]] == [len(known), b"r=c0s0,", b",i=5000"]


def test_the_salt_is_the_same_after_an_upgrade() -> None:
    # One that changed would tell that the user's password is stored, or that there is no user.
    assert _challenge_for(None, b"user") == b"r=c0s0,s=GPlv1qKC/dy0HndMcjKjcw==,i=5000"


def test_the_salt_depends_on_secret_mechanism_and_prepared_name() -> None:
    salts = {_challenge_for(None, "us\u2168er".encode()), _challenge_for(None, b"usIXer")}
    assert len(salts) == 1
    other = replace(server_config(nonce="s0", iterations=5000), scram_secret=b"another")
    server = server_mechanism("SCRAM-SHA-256", other)
    server.start(b"n,,n=usIXer,r=c0")
    step = server.supply(None)
    assert isinstance(step, Challenge)
    salts.add(step.data)
    server = server_mechanism("SCRAM-SHA-512", replace(other, scram_secret=SCRAM_SECRET))
    server.start(b"n,,n=usIXer,r=c0")
    step = server.supply(None)
    assert isinstance(step, Challenge)
    salts.add(step.data)
    assert len(salts) == 3


def test_plus_and_bare_share_the_salt() -> None:
    config = server_config(nonce="s0", bindings=BINDINGS)
    challenges = set()
    for name, header in (("SCRAM-SHA-1", b"n,,"), ("SCRAM-SHA-1-PLUS", b"p=tls-unique,,")):
        server = server_mechanism(name, config)
        server.start(header + b"n=user,r=c0")
        challenges.add(server.supply(None))
    assert len(challenges) == 1


@pytest.mark.parametrize(
    ("secret", "derives"),
    [
        *((secret, True) for secret in (None, PlainPassword("wrong"), PlainPassword(""), SECRET)),
        *((secret, False) for secret in (None, SECRET)),
    ],
)
def test_all_failures_are_one(secret: StoredSecret | None, derives: bool) -> None:
    config = server_config(stores_passwords=derives)
    server = server_mechanism("SCRAM-SHA-256", config)
    client = _client(password="guess")
    log: Transcript = []
    outcome = converse(client, server, lambda server, _: server.supply(secret), log)
    assert outcome == Failed("credentials refused")
    assert [who for who, _ in log] == ["C", "S", "C"]
    assert not client.complete


def test_where_no_password_is_stored_none_is_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    final = _final()
    derived: list[int] = []

    def counted(hash_name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        derived.append(iterations)
        return bytes(32)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    for secret, kind in ((None, Failed), (SECRET, Challenge)):
        server = server_mechanism(
            "SCRAM-SHA-256", server_config(nonce="s0", stores_passwords=False)
        )
        server.start(CLIENT_FIRST)
        server.supply(secret)
        assert isinstance(server.step(final), kind)
    assert derived == []


@pytest.mark.parametrize("derives", [True, False])
@pytest.mark.parametrize("secret", [None, PlainPassword(""), DigestMD5Secret("", bytes(16))])
def test_nobody_gets_in_with_an_empty_password(secret: StoredSecret | None, derives: bool) -> None:
    # Our client has none that is empty; another's proof of it is made here (RFC 5802 §3).
    server = server_mechanism("SCRAM-SHA-256", server_config(nonce="s0", stores_passwords=derives))
    server.start(CLIENT_FIRST)
    first = server.supply(secret)
    assert isinstance(first, Challenge)
    salt = b64decode(first.data.split(b",")[1].removeprefix(b"s="))
    client_key = hmac.digest(
        hashlib.pbkdf2_hmac("sha256", b"", salt, 4096), b"Client Key", "sha256"
    )
    message = b"n=user,r=c0," + first.data + b",c=biws,r=c0s0"
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
    step = server.step(b"c=biws,r=c0s0,p=" + b64encode(proof))
    assert isinstance(step, Failed)
    assert not step.malformed


@pytest.mark.parametrize(
    "secret", [derive_scram("pass", "SCRAM-SHA-1"), DigestMD5Secret("", bytes(16))]
)
def test_a_secret_of_no_use_fails_as_an_unknown_user_does(secret: StoredSecret) -> None:
    unknown, server = _server(), _server()
    unknown.start(CLIENT_FIRST)
    server.start(CLIENT_FIRST)
    assert server.supply(secret) == unknown.supply(None)
    step = server.step(_final())
    assert step == Failed(f"SCRAM-SHA-256 cannot use what is stored for the user: {secret!r}")
    assert unknown.step(_final()) == Failed("credentials refused")


def test_without_stored_passwords_a_password_is_of_no_use() -> None:
    """It would cost a derivation where users who do not exist cost none."""
    config = server_config(nonce="s0", stores_passwords=False)
    server = server_mechanism("SCRAM-SHA-256", config)
    assert server.start(CLIENT_FIRST) == Ask(
        SecretRequest("SCRAM-SHA-256", "user", "", (ScramSecret,))
    )
    server.supply(PlainPassword("pass"))
    step = server.step(_final())
    assert isinstance(step, Failed)
    assert "cannot use what is stored" in step.reason


# --- the client reads ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=c0s0",
        b"r=c0s0,s=MDEy",
        b"r=c0s0,s=MDEy,i=",
        b"r=c0s0,s=MDEy,i=0",
        b"r=c0s0,s=MDEy,i=04096",
        b"r=c0s0,s=MDEy,i=-4096",
        b"r=c0s0,s=MDEy,i=99999999999",
        "r=c0s0,s=MDEy,i=\u0664\u0660\u0669\u0666".encode(),
        b"r=c0s0,s=,i=4096",
        b"r=c0s0,s=MDE,i=4096",
        b"r=c0s0,s=MDF=,i=4096",
        b"r=c0s0,s=MB==,i=4096",
        b"r=c0s0,s=!,i=4096",
        b"s=MDEy,r=c0s0,i=4096",
        b"m=1,r=c0s0,s=MDEy,i=4096",
        b"r=c0s0,s=MDEy,i=4096,m=1",
        b"e=other-error",
    ],
)
def test_a_bad_first_challenge(challenge: bytes) -> None:
    client = _client()
    client.initial()
    with pytest.raises(BadChallengeError) as caught:
        client.step(challenge)
    assert not caught.value.terminal


@pytest.mark.parametrize("nonce", [b"c0", b"c1s0", b"xc0s0", b"c"])
def test_a_foreign_nonce_is_terminal(nonce: bytes) -> None:
    client = _client()
    client.initial()
    with pytest.raises(ServerNotProvenError) as caught:
        client.step(b"r=" + nonce + b",s=MDEy,i=4096")
    assert caught.value.terminal


@pytest.mark.parametrize("iterations", [1, 4095, 1_000_001, 4_000_000_000])
def test_iterations_out_of_bounds_are_terminal(iterations: int) -> None:
    client = _client()
    client.initial()
    with pytest.raises(IterationCountError) as caught:
        client.step(b"r=c0s0,s=MDEy,i=%d" % iterations)
    assert caught.value.terminal


def test_the_bounds_can_be_set() -> None:
    config = replace(client_config(nonce="c0"), minimum_iterations=1, maximum_iterations=1)
    client = client_mechanism("SCRAM-SHA-1", Password("user", "pass"), config)
    client.initial()
    assert isinstance(client.step(b"r=c0s0,s=MDEy,i=1"), bytes)


def test_extensions_of_the_server_are_ignored() -> None:
    client, server = _client(), _server()
    initial = client.initial()
    server.start(initial)
    server.supply(SECRET)
    final = client.step(SERVER_FIRST + b",x=1")
    assert isinstance(final, bytes)
    # they are part of what is proved, so this server, which did not send them, refuses
    assert isinstance(server.step(final), Failed)


def _waiting() -> ClientMechanism:
    client = _client()
    client.initial()
    client.step(SERVER_FIRST)
    return client


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"v=",
        b"v=AAAA",
        b"v=" + b64encode(bytes(32)),
        b"v=!",
        b"x=1",
        b"rspauth=",
        b"v=AAAA,m=1",
    ],
)
def test_a_wrong_proof_is_terminal(challenge: bytes) -> None:
    client = _waiting()
    with pytest.raises(ServerNotProvenError) as caught:
        client.step(challenge)
    assert caught.value.terminal
    assert not client.server_proven
    assert not client.complete


def test_an_error_is_acknowledged_and_proves_nothing() -> None:
    client = _waiting()
    assert client.step(b"e=invalid-proof") == b""
    assert client.error == "invalid-proof"
    assert not client.server_proven
    with pytest.raises(BadChallengeError):
        client.step(b"v=AAAA")


def test_an_error_that_is_not_utf_8_is_told_as_well_as_may_be() -> None:
    client = _waiting()
    assert client.step(b"e=caf\xe9") == b""
    assert client.error == "caf\ufffd"


def test_a_good_proof_ends_the_exchange() -> None:
    client, server = _client(), _server()
    converse(client, server, lambda server, _: server.supply(SECRET))
    assert client.complete
    with pytest.raises(BadChallengeError):
        client.step(b"")


@pytest.mark.parametrize(
    ("bindings", "binding_type", "plus_offered", "flag"),
    [
        ({}, "", False, b"n"),
        ({}, "tls-unique", False, b"n"),  # it cannot bind: never y
        ({}, "", True, b"n"),
        (BINDINGS, "", False, b"n"),
        (BINDINGS, "tls-unique", False, b"y"),
        (BINDINGS, "tls-unique", True, b"n"),  # -PLUS was offered: y would be a lie
    ],
)
def test_the_flag_without_plus(
    bindings: dict[str, bytes], binding_type: str, plus_offered: bool, flag: bytes
) -> None:
    client = _client(bindings=bindings, binding_type=binding_type, plus_offered=plus_offered)
    assert client.initial() == flag + b",,n=user,r=c0"


def test_plus_binds_the_channel() -> None:
    client = _client("SCRAM-SHA-256-PLUS", bindings=BINDINGS, binding_type="tls-exporter")
    assert client.initial() == b"p=tls-exporter,,n=user,r=c0"
    final = client.step(SERVER_FIRST)
    assert isinstance(final, bytes)
    bound = b64decode(final.split(b",")[0].removeprefix(b"c="))
    assert bound == b"p=tls-exporter,,exporter"


@pytest.mark.parametrize(
    ("mechanism", "username", "password", "authzid"),
    [
        ("SCRAM-SHA-256", "", "pass", ""),
        ("SCRAM-SHA-256", "user", "", ""),
        ("SCRAM-SHA-256", "\u00ad", "pass", ""),
        ("SCRAM-SHA-256", "user", "\u00ad", ""),
        ("SCRAM-SHA-256", "user", "pass", "\u00ad"),
        ("SCRAM-SHA-256", "us\ner", "pass", ""),
        ("SCRAM-SHA-256", "user", "pass", "a\nb"),
        ("SCRAM-SHA-256", "user", "pass\ud800", ""),
        ("SCRAM-SHA-256-PLUS", "user", "pass", ""),  # nothing to bind to
    ],
)
def test_what_scram_cannot_carry(
    mechanism: str, username: str, password: str, authzid: str
) -> None:
    with pytest.raises(UnusableCredentialsError):
        _client(mechanism, username=username, password=password, authzid=authzid)


@pytest.mark.parametrize("preparation", Preparation)
def test_both_sides_prepare_in_the_same_way(preparation: Preparation) -> None:
    credentials = Password("us\u2168er", "pa\u2168ss\U0001f600")
    client = client_mechanism(
        "SCRAM-SHA-1", credentials, replace(client_config(), preparation=preparation)
    )
    server = server_mechanism("SCRAM-SHA-1", replace(server_config(), preparation=preparation))
    outcome = converse(
        client, server, lambda server, _: server.supply(PlainPassword(credentials.password))
    )
    name = "us\u2168er" if preparation is Preparation.RAW else "usIXer"
    if preparation is Preparation.STRICT:  # RFC 4013 §2.5: not as a stored string
        assert outcome == Failed("credentials refused")
    else:
        assert outcome == Succeeded(name)
