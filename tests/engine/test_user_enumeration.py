"""Nobody learns which users exist: not from replies, and not from how much is computed.

The client chooses the mechanism, and the application has stored what it has stored: whatever
the two are, a user who cannot log in this way is one who does not exist.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import pytest
from tests.engine.transcript import RELAY, Session, answers, session

from smtpwire.engine.events import Authenticated, AuthenticationFailed
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.sasl import (
    MECHANISMS,
    ClientMechanismConfig,
    DigestMD5Secret,
    Password,
    PlainPassword,
    ScramSecret,
    SecretRequest,
    StoredSecret,
    client_mechanism,
    derive_digest_md5,
    derive_scram,
)
from smtpwire.wire.value import replace

WITH_SECRET: Final = [name for name in MECHANISMS if name.startswith(("SCRAM", "CRAM", "DIGEST"))]
BINDINGS: Final = {"tls-exporter": b"binding"}
TLS: Final = TlsInfo("TLSv1.3", bindings=BINDINGS)
SERVICE: Final = replace(
    RELAY,
    mechanisms=MECHANISMS,
    scram_secret=b"shared by all processes",
    realm="mx.example",
)
SERVICES: Final = {
    "as delivered": SERVICE,
    "only ScramSecrets": replace(SERVICE, stores_passwords=False),
    "5000 iterations": replace(SERVICE, scram_iterations=5000),
}
ITERATIONS: Final = {name: config.scram_iterations for name, config in SERVICES.items()}


@cache
def stored(iterations: int) -> dict[str, StoredSecret]:
    """The forms in which alice's password may be stored."""
    return {
        "password": PlainPassword("pass"),
        "no password": PlainPassword(""),
        "password beyond ASCII": PlainPassword("p\xe4ss\u0436"),
        "of another realm": derive_digest_md5("alice", "elsewhere", "pass"),
        "of this realm": derive_digest_md5("alice", "mx.example", "pass"),
        **{
            name: derive_scram("pass", name, iterations=iterations)
            for name in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")
        },
    }


FORMS: Final = list(stored(4096))


@contextmanager
def counted(counts: Counter[str]) -> Iterator[None]:
    """Count every digest, HMAC and derivation, with the iterations it takes."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (hashlib, "md5"),
            (hashlib, "new"),
            (hashlib, "pbkdf2_hmac"),
            (hmac, "new"),
            (hmac, "digest"),
        ):
            original = getattr(module, name)

            def counting(
                *args: object, _name: str = name, _original: object = original, **options: object
            ) -> object:
                iterations = args[3] if _name == "pbkdf2_hmac" else ""
                counts[f"{_name} {iterations}"] += 1
                assert callable(_original)
                return _original(*args, **options)

            patch.setattr(module, name, counting)
        yield


def attempt(
    service: ServerConfig, mechanism: str, secret: StoredSecret | None, password: str
) -> tuple[list[str], Counter[str], Session]:
    """Let alice try: the replies without what is random in them, what was computed, the session."""
    made = session(service, answers({SecretRequest: lambda conn, _: conn.supply(secret)}), tls=TLS)
    config = ClientMechanismConfig(
        host="mx.example", bindings=BINDINGS, binding_type="tls-exporter", plus_offered=True
    )
    client = client_mechanism(mechanism, Password("alice", password), config)
    initial = client.initial()
    given = b"" if initial is None else b" " + b64encode(initial)
    counts: Counter[str] = Counter()
    replies: list[str] = []
    line = b"AUTH %b%b\r\n" % (mechanism.encode(), given)
    while True:
        with counted(counts):
            reply = made.feed(line)
        if not reply.startswith(b"334 "):
            return [*replies, reply.decode()], counts, made
        challenge = b64decode(reply[4:])
        replies.append(f"334 with {len(challenge)} octets")
        response = client.step(challenge)
        assert isinstance(response, bytes)
        line = b64encode(response) + b"\r\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mechanism", WITH_SECRET)
@pytest.mark.parametrize("setting", SERVICES)
def test_a_user_cannot_be_told_from_one_who_does_not_exist(
    setting: str, mechanism: str, form: str
) -> None:
    service = SERVICES[setting]
    secret = stored(ITERATIONS[setting])[form]
    wrong = attempt(service, mechanism, secret, "wrong")
    unknown = attempt(service, mechanism, None, "wrong")
    assert wrong[0] == unknown[0]
    assert wrong[0][-1].startswith("535 5.7.8 ")
    assert wrong[1] == unknown[1]
    right = attempt(service, mechanism, secret, "pass")
    [told] = [
        event
        for event in right[2].events
        if isinstance(event, Authenticated | AuthenticationFailed)
    ]
    if isinstance(told, AuthenticationFailed):  # the mechanism cannot use what is stored
        assert right[0] == unknown[0]
        assert right[1] == unknown[1]
        of_use = form in ("no password", "password beyond ASCII")
        assert ("cannot use what is stored" in told.reason) is not (
            of_use and told.reason == "credentials refused"
        )


@pytest.mark.parametrize("mechanism", WITH_SECRET)
def test_what_can_be_used_gets_in(mechanism: str) -> None:
    forms = stored(4096)
    base = mechanism.removesuffix("-PLUS")
    usable = {
        "CRAM-MD5": ["password"],
        "DIGEST-MD5": ["password", "of this realm"],
    }.get(base, ["password", base])
    for form, secret in forms.items():
        replies, _, made = attempt(SERVICE, mechanism, secret, "pass")
        assert replies[-1].startswith("235 ") is (form in usable), form
        assert (made.conn.identity is not None) is (form in usable)


def test_the_application_is_told_what_the_client_is_not() -> None:
    secret = derive_scram("pass", "SCRAM-SHA-256")
    for mechanism in ("CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1"):
        made = attempt(SERVICE, mechanism, secret, "pass")[2]
        [told] = [event for event in made.events if isinstance(event, AuthenticationFailed)]
        assert told.reason == (
            f"{mechanism} cannot use what is stored for the user: "
            "ScramSecret('SCRAM-SHA-256', iterations=4096, <redacted>)"
        )
        assert told.reason.encode() not in made.sent


@pytest.mark.parametrize("mechanism", [name for name in WITH_SECRET if name.startswith("SCRAM")])
def test_the_salt_of_who_does_not_exist_is_the_same_every_time(mechanism: str) -> None:
    """A salt that changes, or is of another length, would tell as much as a reply."""
    seen = set()
    for secret in (None, DigestMD5Secret("r", bytes(16)), PlainPassword("pass")):
        for _ in range(2):
            made = attempt(SERVICE, mechanism, secret, "wrong")[2]
            [challenge] = [
                b64decode(line[4:]) for line in made.sent.split(b"\r\n") if line[:4] == b"334 "
            ]
            seen.add(challenge.split(b",", 1)[1])
    [only] = seen
    salt, iterations = only.split(b",")
    derived = derive_scram("pass", "SCRAM-SHA-256")
    assert isinstance(derived, ScramSecret)
    assert len(b64decode(salt[2:])) == len(derived.salt)
    assert iterations == b"i=%d" % derived.iterations
