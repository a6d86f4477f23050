"""Our mechanisms against GNU SASL and Cyrus SASL, message by message, in both roles."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from tests.interop.conftest import Shows
from tests.interop.peers.sasl import PEERS, Account, Cyrus, Gsasl, SaslPeerError
from tests.interop.peers.server import PASSWORD

from smtpwire.sasl import (
    Anonymous,
    AnonymousLogin,
    Ask,
    Challenge,
    ClientMechanismConfig,
    Credentials,
    ExternalIdentity,
    ExternalLogin,
    Failed,
    Password,
    PasswordLogin,
    Pending,
    PlainPassword,
    Preparation,
    SaslError,
    SecretRequest,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    Succeeded,
    client_mechanism,
    derive_digest_md5,
    derive_scram,
    server_mechanism,
)
from smtpwire.sasl.stored import StoredSecret

pytestmark = pytest.mark.interop

SCRAM: Final = ("SCRAM-SHA-1", "SCRAM-SHA-256")
COMMON: Final = ("PLAIN", "LOGIN", "ANONYMOUS", "EXTERNAL", "CRAM-MD5", "DIGEST-MD5", *SCRAM)
WITH_PASSWORD: Final = ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", *SCRAM)
# GNU SASL has no SHA-512; both SHA-224 and SHA-384, which Cyrus SASL has, are no mechanisms here.
HAS: Final = {"libgsasl": COMMON, "libsasl2": (*COMMON, "SCRAM-SHA-512")}
ALL: Final = [(peer, mechanism) for peer, mechanisms in HAS.items() for mechanism in mechanisms]
PLUS: Final = [
    (peer, f"{mechanism}-PLUS", kind)
    for peer, mechanisms in HAS.items()
    for mechanism in mechanisms
    if mechanism.startswith("SCRAM-")
    for kind in ("tls-exporter", "tls-unique")
]
OCTETS: Final = bytes(range(32))


@contextmanager
def peer_of(name: str, role: str, mechanism: str, account: Account) -> Iterator[Gsasl | Cyrus]:
    peer = PEERS[name]("client" if role == "client" else "server", mechanism, account)
    try:
        yield peer
    finally:
        peer.close()


# -- ours as the client


def credentials(mechanism: str, account: Account) -> Credentials:
    match mechanism:
        case "EXTERNAL":
            return ExternalIdentity()
        case "ANONYMOUS":
            return Anonymous(account.user)
    return Password(account.user, account.password, account.authzid)


def our_client(
    peer: str,
    mechanism: str,
    ours: Account,
    theirs: Account,
    preparation: Preparation = Preparation.RAW,
) -> bool:
    """Whether both sides are content at the end."""
    kind = ours.binding[0] if ours.binding else ""
    config = ClientMechanismConfig(
        host=ours.host,
        bindings=dict([ours.binding]) if ours.binding else {},
        binding_type=kind,
        plus_offered=mechanism.endswith("-PLUS"),
        preparation=preparation,
    )
    client = client_mechanism(mechanism, credentials(mechanism, ours), config)
    with peer_of(peer, "server", mechanism, theirs) as server:
        try:
            said, done = server.step(client.initial() if client.client_first else None)
            while not done or said is not None:
                response = client.step(said or b"")
                assert not isinstance(response, Pending)
                if done:  # the last word came with success, which in SMTP is a 334 before 235
                    assert response == b""
                    break
                said, done = server.step(response)
        except (SaslError, SaslPeerError):
            return False
    return client.server_proven or not client.mutual


# -- ours as the server


def our_server(
    peer: str,
    mechanism: str,
    ours: Account,
    theirs: Account,
    secret: StoredSecret | None = None,
) -> Succeeded | Failed | SaslPeerError:
    """How it ends: our verdict, or the peer's refusal to go on."""
    config = ServerMechanismConfig(
        scram_secret=b"shared by all processes",
        hosts=(ours.host,),
        realm=ours.realm,
        bindings=dict([ours.binding]) if ours.binding else {},
        plus_offered=mechanism.endswith("-PLUS"),
        external_identity=ours.user,
    )
    server = server_mechanism(mechanism, config)
    known = secret or PlainPassword(ours.password)
    with peer_of(peer, "client", mechanism, theirs) as client:
        try:
            initial = client.step(None)[0] if server.client_first else None
            step = server.start(initial or (b"" if mechanism == "EXTERNAL" else initial))
            while True:
                match step:
                    case Challenge(data):
                        step = server.step(client.step(data)[0] or b"")
                    case Ask():
                        step = decide(server, step, ours, known)
                    case Succeeded() | Failed():
                        return step
        except SaslPeerError as error:
            return error


def decide(server: ServerMechanism, ask: Ask, ours: Account, known: StoredSecret) -> ServerStep:
    match ask.question:
        case SecretRequest(_, authcid):
            return server.supply(known if authcid == ours.user else None)
        case PasswordLogin(authcid, password):
            return server.answer((authcid, password) == (ours.user, ours.password))
        case AnonymousLogin() | ExternalLogin():
            return server.answer(True)
    raise AssertionError(ask)


# -- right


@pytest.mark.parametrize(("peer", "mechanism"), ALL)
def test_our_client_with_their_server(peer: str, mechanism: str, shows: Shows) -> None:
    assert our_client(peer, mechanism, Account(), Account())
    shows("libraries", f"{peer} server", f"AUTH {mechanism}")


@pytest.mark.parametrize(("peer", "mechanism"), ALL)
def test_their_client_with_our_server(peer: str, mechanism: str, shows: Shows) -> None:
    ended = our_server(peer, mechanism, Account(), Account())
    name = "" if mechanism == "ANONYMOUS" else "user"
    assert isinstance(ended, Succeeded)
    assert ended.authcid in (name, "anonymous")
    shows("libraries", f"{peer} client", f"AUTH {mechanism}")


@pytest.mark.parametrize(("peer", "mechanism", "kind"), PLUS)
def test_channel_binding(peer: str, mechanism: str, kind: str, shows: Shows) -> None:
    bound = Account(binding=(kind, OCTETS))
    assert our_client(peer, mechanism, bound, bound)
    assert our_server(peer, mechanism, bound, bound) == Succeeded("user")
    shows("libraries", f"{peer} client", f"AUTH {mechanism}")
    shows("libraries", f"{peer} server", f"AUTH {mechanism}")


@pytest.mark.parametrize("peer", HAS)
@pytest.mark.parametrize("mechanism", ["PLAIN", "DIGEST-MD5", *SCRAM])
def test_an_identity_to_act_as(peer: str, mechanism: str) -> None:
    """Cyrus SASL's server has nobody who may act as another: it is tried as a client alone."""
    acting = Account(authzid="admin")
    assert our_server(peer, mechanism, Account(), acting) == Succeeded("user", "admin")
    if peer == "libgsasl":
        assert our_client(peer, mechanism, acting, Account())


@pytest.mark.parametrize("peer", HAS)
def test_what_is_stored_instead_of_the_password(peer: str) -> None:
    for mechanism in SCRAM:
        secret: StoredSecret = derive_scram(PASSWORD, mechanism)
        assert our_server(peer, mechanism, Account(), Account(), secret) == Succeeded("user")
    secret = derive_digest_md5("user", "localhost", PASSWORD)
    assert our_server(peer, "DIGEST-MD5", Account(), Account(), secret) == Succeeded("user")


# -- wrong


@pytest.mark.parametrize(
    ("peer", "mechanism"), [item for item in ALL if item[1] in (*WITH_PASSWORD, "SCRAM-SHA-512")]
)
def test_a_wrong_password(peer: str, mechanism: str) -> None:
    wrong = Account(password="wrong")
    assert not our_client(peer, mechanism, wrong, Account())
    ended = our_server(peer, mechanism, Account(), wrong)
    assert isinstance(ended, Failed)
    assert not ended.malformed
    unknown = our_server(peer, mechanism, Account(), Account(user="nobody"))
    assert unknown == ended


@pytest.mark.parametrize(("peer", "mechanism", "kind"), PLUS)
def test_a_wrong_binding(peer: str, mechanism: str, kind: str) -> None:
    """Two TLS connections with somebody between them."""
    one, other = Account(binding=(kind, OCTETS)), Account(binding=(kind, OCTETS[::-1]))
    assert not our_client(peer, mechanism, one, other)
    ended = our_server(peer, mechanism, one, other)
    assert isinstance(ended, Failed)


@pytest.mark.parametrize("peer", HAS)
def test_another_type_of_binding(peer: str) -> None:
    one, other = Account(binding=("tls-exporter", OCTETS)), Account(binding=("tls-unique", OCTETS))
    assert not our_client(peer, "SCRAM-SHA-256-PLUS", one, other)
    assert isinstance(our_server(peer, "SCRAM-SHA-256-PLUS", one, other), Failed)


@pytest.mark.parametrize("peer", HAS)
def test_scram_without_plus_where_a_binding_is_there(peer: str) -> None:
    """RFC 5802 §6: y says that the server offered no -PLUS; who did offer it sees the attack."""
    bound = Account(binding=("tls-exporter", OCTETS))
    assert our_client(peer, "SCRAM-SHA-256", bound, Account())
    ended = our_server(peer, "SCRAM-SHA-256", Account(), bound)
    if peer == "libgsasl":  # as a client it insists on -PLUS where it could bind
        assert isinstance(ended, SaslPeerError)
    else:
        assert ended == Succeeded("user")


# -- where the two part ways


LATIN1: Final = Account(user="usér", realm="localhost")


def test_digest_md5_hashes_names_within_latin1_as_the_rfc_says() -> None:
    """RFC 2831 §2.1.2.1: what ISO 8859-1 has is hashed as such. GNU SASL hashes UTF-8 instead: its
    server refuses our client, and our server, which has the password, takes its client's hash;
    one that has only the RFC's hash cannot."""
    assert our_client("libsasl2", "DIGEST-MD5", LATIN1, LATIN1)
    assert our_server("libsasl2", "DIGEST-MD5", LATIN1, LATIN1) == Succeeded("usér")
    assert not our_client("libgsasl", "DIGEST-MD5", LATIN1, LATIN1)
    assert our_server("libgsasl", "DIGEST-MD5", LATIN1, LATIN1) == Succeeded("usér")
    stored = derive_digest_md5(LATIN1.user, LATIN1.realm, LATIN1.password)
    assert isinstance(our_server("libgsasl", "DIGEST-MD5", LATIN1, LATIN1, stored), Failed)


@pytest.mark.parametrize("peer", HAS)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", *SCRAM])
def test_a_name_beyond_ascii(peer: str, mechanism: str) -> None:
    assert our_client(peer, mechanism, LATIN1, LATIN1)
    assert our_server(peer, mechanism, LATIN1, LATIN1) == Succeeded("usér")


def test_an_unprepared_password() -> None:
    """RFC 5802 §2.2: passwords are prepared with SASLprep, so that what looks alike is alike. GNU
    SASL does, Cyrus SASL does not, and we do where the configuration says so."""
    typed, stored = Account(password="pen\u00adcil"), Account(password="pencil")
    for peer in HAS:
        assert not our_client(peer, "SCRAM-SHA-256", typed, stored)
        assert our_client(peer, "SCRAM-SHA-256", typed, stored, Preparation.LENIENT)
    assert our_server("libgsasl", "SCRAM-SHA-256", stored, typed) == Succeeded("user")
    assert isinstance(our_server("libsasl2", "SCRAM-SHA-256", stored, typed), Failed)
