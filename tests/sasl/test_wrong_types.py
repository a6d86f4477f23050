"""What is handed in by mistake is refused at once, with words that say what to pass.

Most callers have no type checker. An error never shows the value: it may be a secret.
"""

from collections.abc import Callable
from typing import Any, Final

import pytest

from smtpwire import sasl
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.need import Need
from smtpwire.testing import SIMULATED_TLS, drain
from smtpwire.wire.command import Hello
from smtpwire.wire.reply import Reply

SECRET: Final = "hunter2"
COMPILED: Final = "object expected; got"
"""What the compiled build says before the function's own words."""
# As callers without a type checker see it.
ANY: Final[Any] = sasl
SERVER: Final = {"scram_secret": bytes(16)}

WRONG: Final[dict[str, tuple[Callable[[], object], str]]] = {
    "Password, bytes": (
        lambda: ANY.Password("u", SECRET.encode()),
        "password is bytes: pass a str",
    ),
    "Password, None": (lambda: ANY.Password(None, SECRET), "username is None: pass a str"),
    "Password, authzid": (lambda: ANY.Password("u", SECRET, 1), "authzid is an int: pass a str"),
    "BearerToken, bytes": (lambda: ANY.BearerToken("u", b"hunter2"), "token is bytes: pass a str"),
    "ExternalIdentity, None": (lambda: ANY.ExternalIdentity(None), "authzid is None: pass a str"),
    "Anonymous, bytes": (lambda: ANY.Anonymous(b"x"), "trace is bytes: pass a str"),
    "PlainPassword, bytes": (lambda: ANY.PlainPassword(b"hunter2"), "bytes: pass a str"),
    "PlainPassword, None": (lambda: ANY.PlainPassword(None), "password is None: pass a str"),
    "DigestMD5Secret, hex": (
        lambda: ANY.DigestMD5Secret("r", "00" * 16),
        "ha1 is a str: pass bytes",
    ),
    "DigestMD5Secret, hex as bytes": (
        lambda: ANY.DigestMD5Secret("r", b"00" * 16),
        "ha1 has 16 octets",
    ),
    "ScramSecret, text": (
        lambda: ANY.ScramSecret("SCRAM-SHA-1", "salt", 4096, bytes(20), bytes(20)),
        "salt is a str: pass bytes",
    ),
    "ScramSecret, lower case": (
        lambda: ANY.ScramSecret("scram-sha-1", b"salt", 4096, bytes(20), bytes(20)),
        "pass one of SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512",
    ),
    "ScramSecret, -PLUS": (
        lambda: ANY.ScramSecret("SCRAM-SHA-1-PLUS", b"salt", 4096, bytes(20), bytes(20)),
        "pass one of SCRAM-SHA-1, ",
    ),
    "ScramSecret, keys": (
        lambda: ANY.ScramSecret("SCRAM-SHA-256", b"salt", 4096, bytes(32), bytes(20)),
        "the keys of SCRAM-SHA-256 have 32 octets each",
    ),
    "ScramSecret, no salt": (
        lambda: ANY.ScramSecret("SCRAM-SHA-1", b"", 4096, bytes(20), bytes(20)),
        "has a salt",
    ),
    "ScramSecret, no iterations": (
        lambda: ANY.ScramSecret("SCRAM-SHA-1", b"salt", 0, bytes(20), bytes(20)),
        "iterations from 1 on",
    ),
    "derive_scram, bytes": (lambda: ANY.derive_scram(b"hunter2"), "password is bytes: pass a str"),
    "derive_scram, a word": (
        lambda: ANY.derive_scram(SECRET, preparation="saslprep"),
        "preparation is 'saslprep': pass a Preparation",
    ),
    "derive_scram, lower case": (
        lambda: ANY.derive_scram(SECRET, "scram-sha-1"),
        "no such SCRAM mechanism: 'scram-sha-1'; pass one of SCRAM-SHA-1",
    ),
    "derive_digest_md5, bytes": (
        lambda: ANY.derive_digest_md5("u", "r", b"hunter2"),
        "password is bytes: pass a str",
    ),
    "saslprep, bytes": (lambda: ANY.saslprep(b"hunter2"), "text is bytes: pass a str"),
    "ChoicePolicy, a word": (
        lambda: ANY.ChoicePolicy(mechanisms="PLAIN"),
        "mechanisms is a str: pass a tuple of str",
    ),
    "ChoicePolicy, yes": (
        lambda: ANY.ChoicePolicy(cleartext_without_tls="no"),
        "cleartext_without_tls is a str: pass a bool",
    ),
    "ChoicePolicy, misspelt": (
        lambda: ANY.ChoicePolicy(cleartext_without_TLS=True),
        "did you mean 'cleartext_without_tls'",
    ),
    "ServerMechanismConfig, text": (
        lambda: ANY.ServerMechanismConfig(scram_secret=SECRET),
        "scram_secret is a str: pass bytes",
    ),
    "ServerMechanismConfig, hosts": (
        lambda: ANY.ServerMechanismConfig(**SERVER, hosts="mx.example"),
        "hosts is a str: pass a tuple of str",
    ),
    "ClientMechanismConfig, port": (
        lambda: ANY.ClientMechanismConfig(port="587"),
        "port is a str: pass an int",
    ),
    "ClientMechanismConfig, a port beyond": (
        lambda: ANY.ClientMechanismConfig(port=65536 + 25),
        "port is 65561: pass 0 to 65535",
    ),
    "client_mechanism, a tuple": (
        lambda: ANY.client_mechanism("PLAIN", ("u", SECRET), sasl.ClientMechanismConfig()),
        r"credentials are a tuple: pass Password\(username, password\)",
    ),
    "client_mechanism, bytes": (
        lambda: ANY.client_mechanism(b"PLAIN", sasl.Anonymous(), sasl.ClientMechanismConfig()),
        "mechanism is bytes: pass a str",
    ),
    "choose_mechanism, a word": (
        lambda: ANY.choose_mechanism(
            "PLAIN LOGIN", sasl.Password("u", SECRET), tls=None, bindings={}
        ),
        "offered is a str: pass a frozenset of str",
    ),
    "choose_mechanism, a word refused": (
        lambda: ANY.choose_mechanism(
            ["PLAIN"], sasl.Password("u", SECRET), tls=None, bindings={}, refused="PLAIN"
        ),
        "refused is a str: pass a frozenset of str",
    ),
    "choose_mechanism, a word failed": (
        lambda: ANY.choose_mechanism(
            ["PLAIN"], sasl.Password("u", SECRET), tls=None, bindings={}, failed="PLAIN"
        ),
        "^failed is a str: pass a frozenset of str",
    ),
    "choose_mechanism, a tuple": (
        lambda: ANY.choose_mechanism(["PLAIN"], ("u", SECRET), tls=None, bindings={}),
        "credentials are a tuple: pass Password",
    ),
    "offers_plus, a word": (
        lambda: ANY.offers_plus("SCRAM-SHA-1-PLUS"),
        "offered is a str: pass a frozenset of str",
    ),
}


def _any(given: object) -> Any:
    return given


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_refused_at_once(mistake: str) -> None:
    make, words = WRONG[mistake]
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        make()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "mistake",
    ["PLAIN", ("u", SECRET), sasl.Password("u", SECRET), sasl.PlainPassword(SECRET), None],
    ids=lambda mistake: type(mistake).__name__,
)
def test_authenticate_takes_mechanisms_only(mistake: object) -> None:
    conn = _ready()
    kind = type(mistake).__name__
    with pytest.raises(
        TypeError, match=rf"mechanism is a {kind}: pass what sasl.client_m|{COMPILED}"
    ):
        conn.authenticate(_any(mistake))
    assert drain(conn) == ([], Need.COMMAND)
    mechanism = sasl.client_mechanism(
        "PLAIN", sasl.Password("u", SECRET), sasl.ClientMechanismConfig()
    )
    for names in ({"authcid": b"u"}, {"authzid": None}):
        with pytest.raises(TypeError, match=rf"pass a str|{COMPILED}"):
            conn.authenticate(mechanism, **_any(names))
    assert drain(conn) == ([], Need.COMMAND)
    conn.authenticate(mechanism)


def test_an_answer_is_bytes() -> None:
    with pytest.raises(TypeError, match=rf"data is a str: pass bytes|{COMPILED}"):
        _ready().answer(_any("ticket"))


LOGINS: Final = {
    "ANONYMOUS": (b"trace",),
    "EXTERNAL": (b"u",),
    "LOGIN": (b"u", b"hunter2"),
    "OAUTHBEARER": (b"n,,\x01auth=Bearer hunter2\x01\x01",),
    "PLAIN": (b"\0u\0hunter2",),
    "XOAUTH2": (b"user=u\x01auth=Bearer hunter2\x01\x01",),
}
"""By mechanism: what the client says until a login is asked for."""


@pytest.mark.parametrize("wrong", [Reply(535), "no", 1, None], ids=repr)
@pytest.mark.parametrize("name", LOGINS)
def test_nobody_is_let_in_by_what_is_merely_true(name: str, wrong: object) -> None:
    """A refusal is true, and so is a coroutine that nobody has awaited."""
    server = sasl.server_mechanism(name, sasl.ServerMechanismConfig(scram_secret=bytes(16)))
    first, *others = LOGINS[name]
    step = server.start(first)
    for response in others:
        step = server.step(response)
    assert isinstance(step, sasl.Ask)
    with pytest.raises(TypeError, match=rf"accepted is .*: pass a bool|{COMPILED}"):
        server.answer(_any(wrong))
    assert isinstance(server.answer(True), sasl.Succeeded), "nothing has changed"


EXCHANGES: Final[dict[str, sasl.Credentials]] = {
    "ANONYMOUS": sasl.Anonymous(),
    "CRAM-MD5": sasl.Password("u", SECRET),
    "DIGEST-MD5": sasl.Password("u", SECRET),
    "EXTERNAL": sasl.ExternalIdentity(),
    "LOGIN": sasl.Password("u", SECRET),
    "OAUTHBEARER": sasl.BearerToken("u", SECRET),
    "PLAIN": sasl.Password("u", SECRET),
    "SCRAM-SHA-256": sasl.Password("u", SECRET),
    "XOAUTH2": sasl.BearerToken("u", SECRET),
}


@pytest.mark.parametrize("wrong", [SECRET, 5, None, [b"x"]], ids=repr)
@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_takes_octets(name: str, wrong: object) -> None:
    server = sasl.server_mechanism(name, sasl.ServerMechanismConfig(scram_secret=bytes(16)))
    client = sasl.client_mechanism(name, EXCHANGES[name], sasl.ClientMechanismConfig())
    client.initial()
    complete = client.complete
    for call, what in ((server.step, "response"), (client.step, "challenge")):
        with pytest.raises(TypeError, match=rf"^{what} is .*: pass bytes|{COMPILED}") as caught:
            call(_any(wrong))
        assert SECRET not in str(caught.value)
    assert client.complete is complete


def _ready() -> ClientConnection:
    conn = ClientConnection(ClientConfig(host="mx.example"), tls=SIMULATED_TLS)
    conn.receive_data(b"220 mx.example\r\n")
    drain(conn)
    conn.send(Hello("c.example"))
    conn.data_to_send()
    conn.receive_data(b"250-mx.example\r\n250 AUTH PLAIN\r\n")
    drain(conn)
    return conn
