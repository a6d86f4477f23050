"""Which mechanism a client takes, and why none."""

from dataclasses import dataclass

import pytest

from smtpwire.sasl import (
    MECHANISMS,
    Anonymous,
    BearerToken,
    Choice,
    ChoicePolicy,
    Credentials,
    ExternalIdentity,
    NoMechanism,
    Password,
    choose_mechanism,
    offers_plus,
)


@dataclass(frozen=True)
class Tls:
    version: str = "TLSv1.3"
    verified: bool = True


VERIFIED = Tls()
UNVERIFIED = Tls(verified=False)
PASSWORD = Password("user", "pass")
EXPORTER = {"tls-exporter": b"exported"}
UNIQUE = {"tls-unique": b"finished"}
END_POINT = {"tls-server-end-point": b"hash"}


def _name(choice: Choice | NoMechanism) -> str:
    return choice.name if isinstance(choice, Choice) else ""


def test_the_strongest_first() -> None:
    offered = set(MECHANISMS)
    order = []
    while True:
        choice = choose_mechanism(offered, PASSWORD, tls=VERIFIED, bindings=EXPORTER)
        if isinstance(choice, NoMechanism):
            break
        order.append(choice.name)
        offered.remove(choice.name)
    assert order == [
        "SCRAM-SHA-512-PLUS",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "DIGEST-MD5",
        "CRAM-MD5",
        "PLAIN",
        "LOGIN",
    ]


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (BearerToken("u", "t"), "OAUTHBEARER"),
        (ExternalIdentity(), "EXTERNAL"),
        (Anonymous(), "ANONYMOUS"),
    ],
)
def test_by_kind_of_credentials(credentials: Credentials, expected: str) -> None:
    choice = choose_mechanism(MECHANISMS, credentials, tls=VERIFIED, bindings={})
    assert choice == Choice(expected)


@pytest.mark.parametrize("tls", [None, UNVERIFIED])
def test_without_verified_tls_only_scram_is_automatic(tls: Tls | None) -> None:
    assert _name(choose_mechanism(MECHANISMS, PASSWORD, tls=tls, bindings={})) == "SCRAM-SHA-512"
    others = [name for name in MECHANISMS if not name.startswith("SCRAM")]
    for name in others:
        assert _name(choose_mechanism([name], PASSWORD, tls=tls, bindings={})) == ""
        assert _name(choose_mechanism([name], BearerToken("u", "t"), tls=tls, bindings={})) == ""


@pytest.mark.parametrize(
    ("offered", "tls", "policy", "expected"),
    [
        ("PLAIN", None, ChoicePolicy(cleartext_without_tls=True), "PLAIN"),
        ("PLAIN", UNVERIFIED, ChoicePolicy(cleartext_without_tls=True), ""),
        ("PLAIN", UNVERIFIED, ChoicePolicy(cleartext_without_verification=True), "PLAIN"),
        ("PLAIN", None, ChoicePolicy(cleartext_without_verification=True), ""),
        ("CRAM-MD5", None, ChoicePolicy(md5_without_verified_tls=True), "CRAM-MD5"),
        ("DIGEST-MD5", UNVERIFIED, ChoicePolicy(md5_without_verified_tls=True), "DIGEST-MD5"),
        ("CRAM-MD5", None, ChoicePolicy(cleartext_without_tls=True), ""),
    ],
)
def test_each_exception_has_its_switch(
    offered: str, tls: Tls | None, policy: ChoicePolicy, expected: str
) -> None:
    assert _name(choose_mechanism([offered], PASSWORD, tls=tls, bindings={}, policy=policy)) == (
        expected
    )


@pytest.mark.parametrize(
    ("version", "bindings", "policy", "expected"),
    [
        ("TLSv1.3", EXPORTER, ChoicePolicy(), Choice("SCRAM-SHA-256-PLUS", "tls-exporter")),
        ("TLSv1.3", UNIQUE, ChoicePolicy(), Choice("SCRAM-SHA-256")),
        ("TLSv1.2", UNIQUE, ChoicePolicy(), Choice("SCRAM-SHA-256-PLUS", "tls-unique")),
        ("TLSv1.2", EXPORTER, ChoicePolicy(), Choice("SCRAM-SHA-256")),
        ("TLSv1.3", END_POINT, ChoicePolicy(), Choice("SCRAM-SHA-256")),
        (
            "TLSv1.3",
            END_POINT,
            ChoicePolicy(binding_type="tls-server-end-point"),
            Choice("SCRAM-SHA-256-PLUS", "tls-server-end-point"),
        ),
        ("TLSv1.3", EXPORTER, ChoicePolicy(binding_type="tls-unique"), Choice("SCRAM-SHA-256")),
        ("TLSv1.3", {"tls-exporter": b""}, ChoicePolicy(), Choice("SCRAM-SHA-256")),
    ],
)
def test_channel_binding_by_the_default_type_or_the_one_named(
    version: str, bindings: dict[str, bytes], policy: ChoicePolicy, expected: Choice
) -> None:
    offered = ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
    tls = Tls(version)
    assert choose_mechanism(offered, PASSWORD, tls=tls, bindings=bindings, policy=policy) == (
        expected
    )


def test_without_tls_there_is_nothing_to_bind_to() -> None:
    choice = choose_mechanism(["SCRAM-SHA-256"], PASSWORD, tls=None, bindings=EXPORTER)
    assert choice == Choice("SCRAM-SHA-256", "")


def test_what_this_client_could_bind_to_is_told_for_a_mechanism_without_plus() -> None:
    choice = choose_mechanism(["SCRAM-SHA-256"], PASSWORD, tls=VERIFIED, bindings=EXPORTER)
    assert choice == Choice("SCRAM-SHA-256", "tls-exporter")


def test_no_binding_without_tls() -> None:
    choice = choose_mechanism(["SCRAM-SHA-1-PLUS"], PASSWORD, tls=None, bindings=EXPORTER)
    assert choice == NoMechanism("SCRAM-SHA-1-PLUS needs a channel binding")


def test_a_refused_mechanism_is_left_out() -> None:
    offered = ["SCRAM-SHA-256", "PLAIN"]
    choice = choose_mechanism(
        offered, PASSWORD, tls=VERIFIED, bindings={}, refused=["SCRAM-SHA-256"]
    )
    assert choice == Choice("PLAIN")
    none = choose_mechanism(offered, PASSWORD, tls=VERIFIED, bindings={}, refused=offered)
    assert none == NoMechanism("the server has refused PLAIN")


def test_the_same_credentials_are_not_tried_again() -> None:
    none = choose_mechanism(
        MECHANISMS, PASSWORD, tls=VERIFIED, bindings={}, failed=["SCRAM-SHA-256"]
    )
    assert none == NoMechanism("the server has refused these credentials")


@pytest.mark.parametrize("which", ["refused", "failed"])
def test_after_a_failed_plus_nothing_is_tried(which: str) -> None:
    names = {which: ["SCRAM-SHA-256-PLUS"]}
    none = choose_mechanism(
        MECHANISMS,
        PASSWORD,
        tls=VERIFIED,
        bindings=EXPORTER,
        refused=names.get("refused", ()),
        failed=names.get("failed", ()),
    )
    assert isinstance(none, NoMechanism)
    assert "channel binding" in none.reason


def test_only_mechanisms_which_the_application_allows() -> None:
    policy = ChoicePolicy(mechanisms=("PLAIN",))
    assert choose_mechanism(
        MECHANISMS, PASSWORD, tls=VERIFIED, bindings={}, policy=policy
    ) == Choice("PLAIN")
    offered = ["LOGIN", "SCRAM-SHA-256", "EXTERNAL"]
    none = choose_mechanism(offered, PASSWORD, tls=VERIFIED, bindings={}, policy=policy)
    assert none == NoMechanism(
        "the policy takes none of what is offered and fits: SCRAM-SHA-256, LOGIN"
    )


def test_an_authorization_identity_needs_a_mechanism_which_carries_it() -> None:
    credentials = Password("user", "pass", "admin")
    offered = ["CRAM-MD5", "LOGIN", "PLAIN"]
    assert choose_mechanism(offered, credentials, tls=VERIFIED, bindings={}) == Choice("PLAIN")
    none = choose_mechanism(offered[:2], credentials, tls=VERIFIED, bindings={})
    assert none == NoMechanism("LOGIN cannot carry an authorization identity")


@pytest.mark.parametrize("offered", [[], ["PLAIN-CLIENTTOKEN"], ["GSSAPI"], ["\u017fCRAM-SHA-1"]])
def test_names_are_whole_words_in_ascii(offered: list[str]) -> None:
    none = choose_mechanism(offered, PASSWORD, tls=VERIFIED, bindings={})
    assert isinstance(none, NoMechanism)
    assert none.reason.startswith("the server offers no mechanism")


def test_what_is_offered_instead_is_told() -> None:
    none = choose_mechanism(["NTLM", "GSSAPI"], PASSWORD, tls=VERIFIED, bindings={})
    assert none == NoMechanism("the server offers no mechanism for these credentials: GSSAPI, NTLM")
    for nothing in ([], ["ad\0min"], ["X" * 21], ["GSS\r\nAPI"]):
        none = choose_mechanism(nothing, PASSWORD, tls=VERIFIED, bindings={})
        assert none == NoMechanism("the server offers no mechanism")
    many = choose_mechanism([f"X-{n}" for n in range(9999)], PASSWORD, tls=VERIFIED, bindings={})
    assert isinstance(many, NoMechanism)
    assert len(many.reason) < 500


def test_names_in_lower_case() -> None:
    assert choose_mechanism(["plain"], PASSWORD, tls=VERIFIED, bindings={}) == Choice("PLAIN")


def test_whether_a_list_has_plus() -> None:
    assert offers_plus(["PLAIN", "scram-sha-1-plus"])
    assert not offers_plus(["PLAIN", "SCRAM-SHA-1"])


def test_reasons_can_be_printed() -> None:
    none = choose_mechanism(["PLAIN"], PASSWORD, tls=None, bindings={})
    assert none == NoMechanism("PLAIN reveals the secret and is not used without TLS")
