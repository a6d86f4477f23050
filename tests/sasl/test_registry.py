"""Mechanisms by name, mechanisms of one's own, and what is loaded when."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
from tests.engine.transcript import Session
from tests.in_memory import Wire
from tests.sasl.conversation import client_config, server_config

import smtpwire
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Identity
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.operations import open_session
from smtpwire.sasl import (
    FAMILIES,
    MECHANISMS,
    PENDING,
    Anonymous,
    AnonymousLogin,
    Ask,
    BearerToken,
    Challenge,
    Choice,
    ChoicePolicy,
    ClientMechanism,
    ClientMechanismConfig,
    Credentials,
    ExternalIdentity,
    ExternalLogin,
    Failed,
    Family,
    NoMechanism,
    Password,
    PasswordLogin,
    Pending,
    Preparation,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    Succeeded,
    TokenLogin,
    UnusableCredentialsError,
    choose_mechanism,
    client_mechanism,
    family,
    plain,
    server_mechanism,
)
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

BINDING = {"tls-unique": b"finished"}
SERVER_FIRST = {"LOGIN", "CRAM-MD5", "DIGEST-MD5"}
MUTUAL = {name for name in MECHANISMS if name.startswith("SCRAM")} | {"DIGEST-MD5"}


def _credentials(mechanism: str) -> Credentials:
    match mechanism:
        case "OAUTHBEARER" | "XOAUTH2":
            return BearerToken("user", "token")
        case "EXTERNAL":
            return ExternalIdentity()
        case "ANONYMOUS":
            return Anonymous()
        case _:
            return Password("user", "pass")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_has_both_roles(mechanism: str) -> None:
    config = client_config(bindings=BINDING, binding_type="tls-unique")
    client = client_mechanism(mechanism, _credentials(mechanism), config)
    server = server_mechanism(mechanism, server_config())
    assert client.name == server.name == mechanism
    assert client.client_first == (mechanism not in SERVER_FIRST)
    # a LOGIN server takes a user name as initial response, a client need not know that
    assert server.client_first == (mechanism not in SERVER_FIRST - {"LOGIN"})
    assert client.mutual == (mechanism in MUTUAL)
    assert (client.complete, client.server_proven, client.error) == (False, False, "")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_credentials_of_another_kind_are_refused_before_anything_is_sent(mechanism: str) -> None:
    config = client_config(bindings=BINDING, binding_type="tls-unique")
    fitting = type(_credentials(mechanism))
    for credentials in (Password("u", "p"), BearerToken("u", "t"), ExternalIdentity(), Anonymous()):
        if not isinstance(credentials, fitting):
            needs = f"^{mechanism} needs {fitting.__name__} credentials$"
            with pytest.raises(UnusableCredentialsError, match=needs):
                client_mechanism(mechanism, credentials, config)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("GSSAPI", "known are SCRAM-SHA-512-PLUS, "),
        ("plain", "pass 'PLAIN' "),
        ("PLAIN-PLUS", "known are "),
        ("SCRAM-MD5", "known are "),
        ("", "known are "),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    for begin in (
        lambda: server_mechanism(name, server_config()),
        lambda: client_mechanism(name, Password("u", "p"), client_config()),
        lambda: ChoicePolicy(mechanisms=(name,)),
    ):
        with pytest.raises(ValueError, match=f"{name!r} is no mechanism known here: {hint}"):
            begin()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1"])
def test_a_mechanism_asks_only_what_it_has_to_ask(mechanism: str) -> None:
    server = server_mechanism(mechanism, server_config())
    client = client_mechanism(mechanism, Password("u", "p"), client_config())
    if mechanism == "PLAIN":
        with pytest.raises(RuntimeError, match=r"^PLAIN asks for no secret$"):
            server.supply(None)
    else:
        with pytest.raises(RuntimeError, match=r"^SCRAM-SHA-1 asks no login$"):
            server.answer(True)
    with pytest.raises(RuntimeError, match=f"^{mechanism} waits for nothing$"):
        client.answer(b"")


def test_configurations_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        ServerMechanismConfig(b"")  # type: ignore[call-arg] # what has no type checks
    with pytest.raises(TypeError, match="positional"):
        ClientMechanismConfig("mx.example")  # type: ignore[call-arg] # likewise
    with pytest.raises(TypeError, match="scram_secret"):
        ServerMechanismConfig(scram_secret="")  # type: ignore[arg-type] # likewise
    with pytest.raises(TypeError, match="host"):
        ClientMechanismConfig(host=b"")  # type: ignore[arg-type] # likewise


def test_what_is_not_said() -> None:
    assert PasswordLogin("u", "p") == PasswordLogin("u", "p", authzid="", mechanism="PLAIN")
    assert TokenLogin("u", "t") == TokenLogin("u", "t", "OAUTHBEARER", host="", port=0)
    assert ExternalLogin() == ExternalLogin(authzid="", mechanism="EXTERNAL")
    assert AnonymousLogin() == AnonymousLogin(trace="", mechanism="ANONYMOUS")
    assert Succeeded("u") == Succeeded("u", authzid="")
    assert Failed("why") == Failed("why", malformed=False)
    assert Choice("PLAIN") == Choice("PLAIN", binding_type="")
    server = ServerMechanismConfig(scram_secret=b"")
    assert server == ServerMechanismConfig(
        scram_secret=b"",
        iterations=4096,
        stores_passwords=True,
        service="smtp",
        hosts=(),
        realm="",
        bindings={},
        plus_offered=False,
        external_identity="",
        oauth_error={},
        preparation=Preparation.RAW,
        nonce=server.nonce,
    )
    client = ClientMechanismConfig()
    assert client == ClientMechanismConfig(
        host="",
        port=0,
        service="smtp",
        bindings={},
        binding_type="",
        plus_offered=False,
        minimum_iterations=4096,
        maximum_iterations=1_000_000,
        preparation=Preparation.RAW,
        nonce=client.nonce,
    )


# --- one's own ----------------------------------------------------------------------------


class TicketServer:
    """A mechanism as a user may write it: a ticket, which the application judges."""

    name = "X-TICKET"
    client_first = True

    def __init__(self, config: ServerMechanismConfig) -> None:
        self._realm = config.realm

    def start(self, initial: bytes | None) -> ServerStep:
        return self.step(initial) if initial else Challenge(b"ticket for " + self._realm.encode())

    def step(self, response: bytes) -> ServerStep:
        return Ask(PasswordLogin("ticket holder", response.decode("ascii"), "", self.name))

    def answer(self, accepted: bool) -> ServerStep:
        return Succeeded("ticket holder") if accepted else Failed("no such ticket")

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        raise RuntimeError("never asked")


class TicketClient:
    """Its other side, which must wait until a ticket has been fetched."""

    name = "X-TICKET"
    client_first = False
    mutual = False
    server_proven = False
    error = ""

    def __init__(self, credentials: Credentials, config: ClientMechanismConfig) -> None:
        self.complete = False
        self.wanted = b""

    def initial(self) -> bytes | None:
        return None

    def step(self, challenge: bytes) -> Literal[Pending.PENDING]:
        self.wanted = challenge
        return PENDING

    def answer(self, data: bytes) -> bytes:
        self.complete = True
        return data


def test_a_mechanism_of_ones_own() -> None:
    server: ServerMechanism = server_mechanism(
        "X-TICKET", server_config(realm="example.org"), mechanisms={"X-TICKET": TicketServer}
    )
    ticket_client = TicketClient(Anonymous(), client_config())
    client: ClientMechanism = client_mechanism(
        "X-TICKET",
        Anonymous(),
        client_config(),
        mechanisms={"X-TICKET": lambda credentials, config: ticket_client},
    )
    assert client.initial() is None
    challenge = server.start(None)
    assert isinstance(challenge, Challenge)
    assert client.step(challenge.data) is PENDING
    assert ticket_client.wanted == b"ticket for example.org"
    response = client.answer(b"T-1")  # fetched in the meantime
    assert server.step(response) == Ask(PasswordLogin("ticket holder", "T-1", "", "X-TICKET"))
    assert server.answer(True) == Succeeded("ticket holder")
    assert client.complete


def test_ones_own_goes_before_the_one_here_and_leaves_the_rest() -> None:
    own = {"PLAIN": TicketServer}
    assert server_mechanism("PLAIN", server_config(), mechanisms=own).name == "X-TICKET"
    assert server_mechanism("LOGIN", server_config(), mechanisms=own).name == "LOGIN"
    clients = {"PLAIN": TicketClient}
    password = Password("u", "p")
    assert client_mechanism("LOGIN", password, client_config(), mechanisms=clients).name == "LOGIN"


def test_of_a_mechanism_that_nobody_knows_here_the_defaults_hold() -> None:
    unknown = family("GSSAPI")
    assert (unknown.module, unknown.classes, unknown.credentials) == ("", "", Password)
    assert unknown.authzid
    others = (
        *(unknown.cleartext, unknown.guessable, unknown.one_round_trip, unknown.prompted),
        *(unknown.salted, unknown.certified, unknown.anonymous),
    )
    assert not any(others)


# --- a row each ---------------------------------------------------------------------------


@pytest.fixture
def own_row(monkeypatch: pytest.MonkeyPatch) -> str:
    """A mechanism as one would be added: a file with two classes, and a row."""
    own = ModuleType("smtpwire.sasl.own")
    vars(own).update(OwnServer=plain.PlainServer, OwnClient=plain.PlainClient)
    monkeypatch.setitem(sys.modules, "smtpwire.sasl.own", own)
    row = Family(module="own", classes="Own", credentials=Password, cleartext=True, prompted=True)
    assert isinstance(FAMILIES, dict)
    monkeypatch.setitem(FAMILIES, "OWN", row)
    return "OWN"


def test_a_new_mechanism_is_a_file_and_a_row(own_row: str) -> None:
    """Nothing else must be told of it: not the choice, the offer, the engines or their guards."""
    config = replace(ServerConfig.relay("mx.example"), mechanisms=(own_row,))
    accounts = {"user": "pass"}

    def answer(conn: ServerConnection, question: Request) -> None:
        if isinstance(question, PasswordLogin):
            assert question.mechanism == own_row
            known = accounts.get(question.authcid) == question.password
            conn.reply(Reply(235 if known else 535))
        else:
            conn.reply()

    client = ClientConnection(ClientConfig(host="mx.example"), tls=SIMULATED_TLS)
    wire = Wire(client, Session(ServerConnection(config, tls=SIMULATED_TLS), answer))
    wire.run(open_session(client, Password("user", "pass")))
    assert client.identity == Identity("user", "user", own_row)


def test_a_new_row_has_its_guards(own_row: str) -> None:
    none = choose_mechanism([own_row], Password("u", "p"), tls=None, bindings={})
    assert none == NoMechanism("OWN reveals the secret and is not used without TLS")
    service = replace(ServerConfig.relay("mx.example"), mechanisms=(own_row,))
    made = Session(ServerConnection(service))
    assert own_row.encode() not in made.feed(b"EHLO c.example\r\n")
    made = Session(ServerConnection(service, tls=SIMULATED_TLS))
    made.run()
    assert b"AUTH OWN\r\n" in made.feed(b"EHLO c.example\r\n")


def test_no_mechanism_is_named_but_in_its_row_and_its_own_file() -> None:
    """What depends on a mechanism is a column. Presets and defaults are no such thing."""
    allowed = {
        "sasl/registry.py",
        "sasl/questions.py",  # which mechanism a question is of, where nobody says
        "sasl/derive.py",  # the hash of each SCRAM, and the default
        "sasl/stored.py",  # how long the keys of each SCRAM are
        "engine/server_config.py",  # what submission offers
        "command_line/demo.py",
        "testing/collector.py",  # what a sink offers
    }
    root = Path(smtpwire.__file__).parent
    named = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for name in MECHANISMS
        if f'"{name}"' in path.read_text("utf-8") and name != "LOGIN"  # XCLIENT's word as well
    }
    assert named <= allowed


# --- loading ------------------------------------------------------------------------------

HEAVY = ("hashlib", "hmac", "unicodedata", "stringprep", "secrets", "json")
INPUT_OUTPUT = ("socket", "ssl") if sys.implementation.name == "cpython" else ()
"""PyPy's ``hashlib`` is part of its ``ssl``."""


@pytest.mark.parametrize(
    ("program", "loaded"),
    [
        ("import smtpwire.sasl", set()),
        (
            "from smtpwire.sasl import ServerMechanismConfig, server_mechanism\n"
            "server_mechanism('PLAIN', ServerMechanismConfig(scram_secret=b'')).start(b'\\0u\\0p')",
            set(),
        ),
        (
            "from smtpwire.sasl import ServerMechanismConfig, server_mechanism\n"
            "server_mechanism('SCRAM-SHA-1', ServerMechanismConfig(scram_secret=b''))",
            {"hashlib", "hmac"},
        ),
    ],
)
def test_nothing_is_loaded_which_is_not_used(program: str, loaded: set[str]) -> None:
    before = "import sys; before = set(sys.modules)\n"  # what an interpreter has of itself
    show = f"\nprint(*[name for name in {HEAVY + INPUT_OUTPUT!r} if name in {{*sys.modules}} - before])"
    out = subprocess.run(
        [sys.executable, "-c", before + program + show], capture_output=True, check=True, text=True
    )
    assert set(out.stdout.split()) == loaded
