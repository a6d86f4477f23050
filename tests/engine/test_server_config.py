"""A service's configuration: profiles, what follows from it, and what contradicts itself."""

import re

import pytest

from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.policy import DEFAULT_POLICIES, POSSIBLE_POLICIES, Policy
from smtpwire.engine.replies import DEFAULT_REPLIES, ReplyKind
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import (
    AUTH,
    BINARYMIME,
    BURL,
    ETRN,
    LIMITS,
    PIPELINING,
    PRDR,
    REQUIRETLS,
    SIZE,
    SMTPUTF8,
    STARTTLS,
    Extension,
    Profile,
    When,
    flag,
    no_parameter,
)
from smtpwire.sasl.plain import PlainServer
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

HOST = "mx.example"
RELAY = ServerConfig.relay(HOST)


def test_the_profiles() -> None:
    assert RELAY.profile is Profile.RELAY
    assert not RELAY.require_auth
    submission = ServerConfig.submission(HOST)
    assert (submission.starttls, submission.require_auth, submission.require_tls) == (
        True,
        True,
        False,
    )
    submissions = ServerConfig.submissions(HOST)
    assert (submissions.starttls, submissions.require_auth, submissions.require_tls) == (
        False,
        True,
        True,
    )
    assert ServerConfig.lmtp(HOST).profile is Profile.LMTP


def test_a_connection_knows_its_service() -> None:
    config = ServerConfig.relay("mx.example")
    assert ServerConnection(config).config is config


def test_variants() -> None:
    config = replace(RELAY, host="other.example")
    assert config.octets[ReplyKind.GREETING] == b"220 other.example ESMTP\r\n"
    assert RELAY.octets[ReplyKind.GREETING] == b"220 mx.example ESMTP\r\n"


@pytest.mark.parametrize(
    "host", ["", "mx example", "mx\r\n250 x", "mx\nx", "mx\r", "mx\0", "é.example"]
)
def test_a_host_that_would_split_the_greeting(host: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f"{host!r} is no host's name")):
        ServerConfig.relay(host)


@pytest.mark.parametrize("host", ["mx.example:25", "::1", "smtp://mx.example", "[192.0.2.1]:25"])
def test_a_host_is_a_domain_or_a_literal_alone(host: str) -> None:
    with pytest.raises(ValueError, match=f"^ServerConfig.host is {re.escape(repr(host))}: pass a"):
        ServerConfig.relay(host)
    ServerConfig.relay("[IPv6:::1]")


def test_what_is_derived_is_not_offered_twice() -> None:
    with pytest.raises(ValueError, match=r"^offer has SIZE, which limits=Limits\(message=…\) off"):
        ServerConfig.relay(HOST, offer=(SIZE(10),))
    with pytest.raises(ValueError, match=r"^offer has STARTTLS, which starttls=True offers"):
        ServerConfig.relay(HOST, offer=(STARTTLS,))


@pytest.mark.parametrize(
    ("profile", "offer"),
    [
        (Profile.RELAY, (BURL(()),)),
        (Profile.LMTP, (PRDR,)),
        (Profile.SUBMISSION, (ETRN,)),
        (Profile.RELAY, (BINARYMIME,)),
        (Profile.RELAY, (SMTPUTF8,)),
        (Profile.RELAY, (LIMITS,)),
        (Profile.RELAY, (SIZE(10),)),
        (Profile.RELAY, (STARTTLS,)),
        (Profile.RELAY, (AUTH(("PLAIN",)),)),
    ],
)
def test_offers_that_cannot_be(profile: Profile, offer: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        ServerConfig(host=HOST, profile=profile, offer=offer)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ViolationKind)
@pytest.mark.parametrize("policy", Policy)
def test_policies(kind: ViolationKind, policy: Policy) -> None:
    if policy in POSSIBLE_POLICIES.get(kind, ()):
        assert replace(RELAY, policies={kind: policy}).policy(kind) is policy
    else:
        with pytest.raises(ValueError, match="not possible"):
            replace(RELAY, policies={kind: policy})


def test_the_default_policies_are_possible() -> None:
    assert DEFAULT_POLICIES.keys() == POSSIBLE_POLICIES.keys()
    for kind, policy in DEFAULT_POLICIES.items():
        assert policy in POSSIBLE_POLICIES[kind]
        assert RELAY.policy(kind) is policy


# -- replies


def test_trouble_at_a_login_is_a_temporary_failure() -> None:  # RFC 4954 §6
    reply = DEFAULT_REPLIES[ReplyKind.AUTH_TROUBLE]
    assert (reply.code, reply.enhanced) == (454, "4.7.0")


@pytest.mark.parametrize("kind", ReplyKind)
def test_a_reply_may_have_other_words(kind: ReplyKind) -> None:
    code = DEFAULT_REPLIES[kind].code
    config = replace(RELAY, replies={kind: Reply(code, "Other words")})
    octets = config.octets[kind]
    assert b"Other words\r\n" in octets
    enhanced = kind not in (ReplyKind.GREETING, ReplyKind.HELLO) and code // 100 != 3
    assert (b"%d.0.0 " % (code // 100) in octets) is enhanced


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        (ReplyKind.GREETING, Reply(554)),
        (ReplyKind.HELLO, Reply(251)),
        (ReplyKind.SEND_DATA, Reply(250)),
        (ReplyKind.MESSAGE_OK, Reply(550)),
        (ReplyKind.MESSAGE_OK, Reply(354)),
        (ReplyKind.AUTH_OK, Reply(250)),
        (ReplyKind.TLS_READY, Reply(250)),
        (ReplyKind.TIMEOUT, Reply(451)),
        (ReplyKind.BAD_SEQUENCE, Reply(250)),
        (ReplyKind.BAD_SEQUENCE, Reply(421)),
        (ReplyKind.GOODBYE, Reply(250)),
        (ReplyKind.NOOP, Reply(250, "é")),
    ],
)
def test_a_reply_cannot_change_what_it_decides(kind: ReplyKind, reply: Reply) -> None:
    with pytest.raises(ValueError, match="reply"):
        replace(RELAY, replies={kind: reply})


def test_a_refusal_may_be_another_refusal() -> None:
    config = replace(RELAY, replies={ReplyKind.NOT_IMPLEMENTED: Reply(500, "What?", "5.5.1")})
    assert config.octets[ReplyKind.NOT_IMPLEMENTED] == b"500 5.5.1 What?\r\n"


def test_the_text_of_ehlo() -> None:
    config = replace(RELAY, replies={ReplyKind.HELLO: Reply(250, "at your service\nX-FAKE")})
    plan = ServerConnection(config).extensions
    assert "X-FAKE" not in plan.keywords
    assert config.plan_for(plan).hello.startswith(b"250-mx.example at your service\r\n250-PIPE")


# -- mechanisms


def test_mechanisms() -> None:
    with pytest.raises(ValueError, match="no mechanism"):
        replace(RELAY, mechanisms=("GSSAPI",))
    with pytest.raises(ValueError, match="scram_secret"):
        replace(RELAY, mechanisms=("SCRAM-SHA-256",))
    replace(RELAY, mechanisms=("SCRAM-SHA-256",), scram_secret=b"shared by all processes")
    own = {"GSSAPI": lambda config: PlainServer("GSSAPI", config)}
    config = replace(RELAY, mechanisms=("GSSAPI",), custom_mechanisms=own)
    assert ServerConnection(config).extensions[AUTH] == ("GSSAPI",)


def test_no_secret_in_its_repr() -> None:
    assert "hush" not in repr(replace(RELAY, scram_secret=b"hush, hush, hush, hush"))


def test_one_plan_for_each_situation() -> None:
    config = replace(RELAY, offer=(PIPELINING, REQUIRETLS), starttls=True)
    one, two = ServerConnection(config), ServerConnection(config)
    assert one.extensions is two.extensions
    assert STARTTLS in one.extensions
    assert REQUIRETLS not in one.extensions


def test_an_extension_is_offered_when_it_says() -> None:
    clear, secured = (
        Extension(f"X-{when.name}", "none", "for this test", flag, no_parameter, when=when)
        for when in (When.BEFORE_TLS, When.UNDER_TLS)
    )
    config = replace(RELAY, offer=(clear, secured))
    before, under = ServerConnection(config), ServerConnection(config, tls=TlsInfo("TLSv1.3"))
    assert before.extensions.keywords == ("X-BEFORE_TLS", "SIZE")
    assert under.extensions.keywords == ("X-UNDER_TLS", "SIZE")


def test_of_a_handshake_nothing_is_assumed() -> None:
    assert TlsInfo() == TlsInfo(
        version="", cipher="", verified=False, bindings={}, peer=None, server_name="", alpn=""
    )
    assert PeerCertificate(b"") == PeerCertificate(der=b"", names=())


def test_scram_needs_a_secret_worth_the_name_and_enough_iterations() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        replace(RELAY, mechanisms=("SCRAM-SHA-256",), scram_secret=b"x" * 15)
    replace(RELAY, mechanisms=("SCRAM-SHA-256",), scram_secret=b"x" * 16)
    secret = b"shared by all processes"
    with pytest.raises(ValueError, match="4096"):
        replace(RELAY, mechanisms=("SCRAM-SHA-256",), scram_secret=secret, scram_iterations=4095)
    for iterations in (4095, 0, -1):  # also where no mechanism has them
        with pytest.raises(ValueError, match="4096"):
            replace(RELAY, scram_iterations=iterations)


def test_no_line_is_longer_than_the_backlog() -> None:
    """Else such a line could neither be read nor answered."""
    conn = ServerConnection(replace(RELAY, limits=Limits(backlog=100)))
    conn.next_event()
    conn.reply()
    conn.next_event()
    conn.data_to_send()
    conn.receive_data(b"N" * 100)
    while conn.next_event() is not Need.DATA:
        pass
    assert conn.data_to_send().startswith(b"500 ")
    assert conn.wants_data


@pytest.mark.parametrize("kind", [ReplyKind.NOOP, ReplyKind.GREETING, ReplyKind.TIMEOUT])
def test_a_reply_that_cannot_be_sent_is_named(kind: ReplyKind) -> None:
    reply = Reply(DEFAULT_REPLIES[kind].code, "grüß")
    with pytest.raises(ValueError, match=f"^the reply for {kind} cannot be sent: reply text"):
        replace(RELAY, replies={kind: reply})
