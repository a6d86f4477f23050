"""Names, passwords, stored secrets, certificates and offers of mechanisms: any text, any octets.

Input: credentials, preparation, TLS, policy; then two texts with a record separator between.
"""

from typing import Final

from fuzz.choices import Choices
from fuzz.dialogue import SEPARATOR
from fuzz.oracles import check_own_words
from smtpwire.engine.tls import TlsInfo
from smtpwire.sasl import (
    FAMILIES,
    MECHANISMS,
    Anonymous,
    BearerToken,
    Choice,
    ChoicePolicy,
    ClientMechanismConfig,
    Credentials,
    DigestMD5Secret,
    ExternalIdentity,
    Password,
    PlainPassword,
    Preparation,
    SaslprepError,
    ScramSecret,
    UnusableCredentialsError,
    choose_mechanism,
    client_mechanism,
    derive_digest_md5,
    offers_plus,
    saslprep,
    tls_server_end_point,
    verify,
)

_PREPARATIONS: Final = tuple(Preparation)
_TLS: Final = (None, TlsInfo("TLSv1.3", verified=True), TlsInfo("TLSv1.2"), TlsInfo("TLSv1.3"))
_BINDINGS: Final = {"tls-unique": b"finished", "tls-exporter": b"exported"}
_POLICIES: Final = (
    ChoicePolicy(),
    ChoicePolicy(cleartext_without_tls=True),
    ChoicePolicy(cleartext_without_verification=True, md5_without_verified_tls=True),
    ChoicePolicy(binding_type="tls-unique", mechanisms=("PLAIN", "SCRAM-SHA-256-PLUS")),
)
_ITERATIONS: Final = 1


def check(data: bytes) -> None:
    choices = Choices(data)
    kind, preparation = choices.below(5), _PREPARATIONS[choices.below(3)]
    tls, policy = _TLS[choices.below(4)], _POLICIES[choices.below(4)]
    first, _, second = choices.rest().partition(SEPARATOR)
    one, other = (each.decode("utf-8", "surrogateescape") for each in (first, second))
    _check_saslprep(one)
    _check_stored(one)
    _check_certificate(first)
    _check_passwords(one, other or one, preparation)
    credentials = _credentials(kind, one, other)
    _check_choice(other.split(), credentials, tls, policy)
    for name in MECHANISMS:
        _check_sendable(name, credentials)


def _check_saslprep(text: str) -> None:
    for stored in (False, True):
        try:
            prepared = saslprep(text, stored=stored)
        except SaslprepError as error:
            check_own_words(str(error))
        else:
            assert saslprep(prepared, stored=stored) == prepared
            assert text.isascii() is False or prepared == text


def _check_stored(text: str) -> None:
    try:
        secret = ScramSecret.from_text(text)
    except ValueError as error:
        _check_hidden(text, str(error))
    else:
        assert ScramSecret.from_text(secret.to_text()) == secret
        assert not verify(secret, "guess")


def _check_hidden(secret: str, words: str) -> None:
    assert words.isprintable(), words
    assert len(secret) < 9 or secret not in words


def _check_certificate(octets: bytes) -> None:
    try:
        binding = tls_server_end_point(octets)
    except ValueError as error:
        check_own_words(str(error))
    else:
        assert len(binding) >= 28


def _check_passwords(right: str, given: str, preparation: Preparation) -> None:
    """It is the one, or it is not; whatever is stored says the same."""
    plain = verify(PlainPassword(right), given, preparation=preparation, iterations=_ITERATIONS)
    assert plain or right != given or not right or "\0" in right or not _fits(right, preparation)
    assert not verify(None, given, preparation=preparation, iterations=_ITERATIONS)
    try:
        stored = derive_digest_md5("user", "example.org", right)
    except ValueError as error:
        _check_hidden(right, str(error))
        return
    known = verify(stored, given, username="user", preparation=preparation, iterations=_ITERATIONS)
    assert isinstance(stored, DigestMD5Secret)
    assert known or not plain or preparation is not Preparation.RAW


def _fits(text: str, preparation: Preparation) -> bool:
    if preparation is not Preparation.STRICT:
        return True
    try:
        return bool(saslprep(text, stored=True))
    except SaslprepError:
        return False


def _credentials(kind: int, one: str, other: str) -> Credentials:
    match kind:
        case 0:
            return Password(one, other)
        case 1:
            return Password("user", one, other)
        case 2:
            return BearerToken(one, other)
        case 3:
            return ExternalIdentity(one)
        case _:
            return Anonymous(one)


def _check_choice(
    offered: list[str], credentials: Credentials, tls: TlsInfo | None, policy: ChoicePolicy
) -> None:
    """The last of an offer may have been refused, and one with a mark have failed."""
    refused = offered[-1:] if len(offered) > 2 else []
    failed = [name for name in offered if name.startswith("!")]
    bindings = _BINDINGS if tls is not None else {}
    chosen = choose_mechanism(
        offered,
        credentials,
        tls=tls,
        bindings=bindings,
        refused=refused,
        failed=failed,
        policy=policy,
    )
    if not isinstance(chosen, Choice):
        assert chosen.reason.isprintable()
        return
    assert chosen.name in {name.upper() for name in offered}
    assert chosen.name not in refused
    assert not failed
    row = FAMILIES[chosen.name]
    assert isinstance(credentials, row.credentials)
    verified = tls is not None and tls.verified
    if row.cleartext and not verified:
        assert (
            policy.cleartext_without_tls if tls is None else policy.cleartext_without_verification
        )
    assert not chosen.name.endswith("-PLUS") or (chosen.binding_type and offers_plus(offered))
    assert not policy.mechanisms or chosen.name in policy.mechanisms


def _check_sendable(name: str, credentials: Credentials) -> None:
    """What cannot be said is refused before anything has been sent."""
    config = ClientMechanismConfig(host="mx.example.org", nonce=lambda: "c0")
    try:
        mechanism = client_mechanism(name, credentials, config)
        initial = mechanism.initial()
    except UnusableCredentialsError as error:
        check_own_words(str(error))
        return
    assert isinstance(initial, bytes) is mechanism.client_first
    assert repr(mechanism)
