"""What may be offered in a situation: by configuration and by ``offer()``, the same."""

from collections.abc import Callable
from typing import Final

import pytest
from tests.engine.transcript import RELAY, TLS, Session, answers, session, wait

from smtpwire.engine.events import Connected, Peer
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import PeerCertificate, TlsInfo
from smtpwire.extensions import (
    AUTH,
    CHUNKING,
    EIGHTBITMIME,
    ENHANCEDSTATUSCODES,
    LIMITS,
    PIPECONNECT,
    PIPELINING,
    REQUIRETLS,
    SIZE,
    STARTTLS,
    XCLIENT,
    XFORWARD,
    Extension,
    Offered,
    ServerLimits,
    When,
    flag,
    no_parameter,
)
from smtpwire.wire.command import ExtensionCommand, Hello, Verb
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

SHOUT: Final = Verb("XSHOUT", str, str)
MINE: Final = Extension(
    "XSHOUT", "private", "for this test", flag, no_parameter, verbs=(SHOUT,), when=When.TO_LISTED
)
SERVICE: Final = replace(
    RELAY,
    starttls=True,
    mechanisms=("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "EXTERNAL", "PLAIN"),
    scram_secret=b"shared by all processes",
    limits=replace(RELAY.limits, message=1000, recipients=3),
    xclient=frozenset({"192.0.2.1"}),
    xforward=frozenset({"192.0.2.1"}),
    pipeconnect=frozenset({"192.0.2.1"}),
    listed={"XSHOUT": frozenset({"192.0.2.1"})},
)
LISTED: Final = Peer(address="192.0.2.1")
STRANGER: Final = Peer(address="192.0.2.2")
BOUND: Final = TlsInfo("TLSv1.3", bindings={"tls-exporter": b"x"})
CERTIFIED: Final = TlsInfo("TLSv1.3", verified=True, peer=PeerCertificate(b"der", ("c.example",)))
ALL: Final = AUTH(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "EXTERNAL", "PLAIN"))


def by_offer(config: ServerConfig, *offered: Offered, **names: object) -> set[str]:
    """The lines of EHLO's reply where the application replaces the offer."""

    def offering(conn: ServerConnection, _: Request) -> None:
        told = conn.offer(*offered)
        conn.reply()
        assert conn.extensions == told

    made = session(config, answers({Hello: offering}), hello=None, **names)  # type: ignore[arg-type]
    return lines(made)


def by_configuration(config: ServerConfig, *offered: Offered, **names: object) -> set[str]:
    """The same where it stands in the configuration."""
    offer = tuple(item for item in offered if item.extension not in (AUTH, SIZE, STARTTLS))
    made = session(replace(config, offer=offer), hello=None, **names)  # type: ignore[arg-type]
    return lines(made)


def lines(made: Session) -> set[str]:
    reply = made.feed(b"EHLO c.example\r\n").decode()
    return {line[4:] for line in reply.splitlines()[1:]}


@pytest.mark.parametrize("way", [by_offer, by_configuration])
@pytest.mark.parametrize(
    ("offered", "names", "line", "told"),
    [
        (ALL, {}, "AUTH", "AUTH SCRAM-SHA-256"),
        (ALL, {"tls": TLS}, "AUTH", "AUTH SCRAM-SHA-256 PLAIN"),
        (ALL, {"tls": BOUND}, "AUTH", "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN"),
        (ALL, {"tls": CERTIFIED}, "AUTH", "AUTH SCRAM-SHA-256 EXTERNAL PLAIN"),
        (STARTTLS(True), {}, "STARTTLS", "STARTTLS"),
        (STARTTLS(True), {"tls": TLS}, "STARTTLS", ""),
        (REQUIRETLS(True), {}, "REQUIRETLS", ""),
        (REQUIRETLS(True), {"tls": TLS}, "REQUIRETLS", "REQUIRETLS"),
        (XCLIENT(("NAME", "LOGIN")), {}, "XCLIENT", ""),
        (XCLIENT(("NAME", "LOGIN")), {"peer": LISTED}, "XCLIENT", "XCLIENT NAME"),
        (XCLIENT(("LOGIN",)), {"peer": LISTED}, "XCLIENT", ""),
        (XFORWARD(("NAME",)), {}, "XFORWARD", ""),
        (XFORWARD(("NAME",)), {"peer": LISTED}, "XFORWARD", "XFORWARD NAME"),
        (PIPECONNECT(True), {}, "PIPECONNECT", ""),
        (PIPECONNECT(True), {"peer": LISTED}, "PIPECONNECT", "PIPECONNECT"),
        (MINE(True), {}, "XSHOUT", ""),
        (MINE(True), {"peer": LISTED}, "XSHOUT", "XSHOUT"),
        (LIMITS(ServerLimits(rcptmax=500)), {}, "LIMITS", "LIMITS RCPTMAX=3"),
        (LIMITS(ServerLimits(rcptmax=2)), {}, "LIMITS", "LIMITS RCPTMAX=2"),
        (LIMITS(ServerLimits(mailmax=9)), {}, "LIMITS", "LIMITS MAILMAX=9"),
        (SIZE(1001), {}, "SIZE", "SIZE 1000"),
        (SIZE(0), {}, "SIZE", "SIZE 1000"),
    ],
)
def test_what_may_be_offered(
    way: Callable[..., set[str]],
    offered: Offered,
    names: dict[str, object],
    line: str,
    told: str,
) -> None:
    found = way(SERVICE, PIPELINING(True), offered, **names)
    assert [item for item in found if item.split(" ")[0] == line] == [told] * bool(told)


@pytest.mark.parametrize(
    ("limit", "offered", "told"),
    [(1000, SIZE(999), "SIZE 999"), (0, SIZE(5), "SIZE 5"), (1000, SIZE(None), "SIZE")],
)
def test_a_smaller_size_stays(limit: int, offered: Offered, told: str) -> None:
    config = replace(RELAY, limits=replace(RELAY.limits, message=limit))
    assert by_offer(config, offered) == {told}


def test_enhanced_codes_are_offered_by_those_who_send_them() -> None:
    config = replace(RELAY, offer=(PIPELINING,))
    assert by_offer(config, ENHANCEDSTATUSCODES(True), PIPELINING(True)) == {"PIPELINING"}
    assert by_offer(RELAY, ENHANCEDSTATUSCODES(True)) == {"ENHANCEDSTATUSCODES"}


def test_cleartext_where_that_is_wanted() -> None:
    config = replace(SERVICE, cleartext_without_tls=True)
    assert by_offer(config, ALL) == {"AUTH SCRAM-SHA-256 PLAIN"}


def test_an_offer_with_the_greeting_is_restricted_too() -> None:
    made = Session(ServerConnection(SERVICE), wait)
    made.run()
    assert isinstance(made.conn.pending, Connected)
    made.conn.offer(ALL, REQUIRETLS(True), CHUNKING(True), EIGHTBITMIME(True))
    assert made.conn.extensions.lines == ("AUTH SCRAM-SHA-256", "CHUNKING", "8BITMIME")


@pytest.mark.parametrize("when", ["by offer", "by configuration"])
def test_strangers_cannot_use_what_listed_peers_may(when: str) -> None:
    offer = (PIPELINING(True), XCLIENT(("NAME",)), XFORWARD(("NAME",)), MINE(True))

    def offering(conn: ServerConnection, _: Request) -> None:
        if when == "by offer":
            conn.offer(*offer)
        conn.reply()

    config = replace(SERVICE, offer=offer)
    made = session(config, answers({Hello: offering}))
    for line in (b"XCLIENT NAME=x\r\n", b"XFORWARD NAME=x\r\n", b"XSHOUT x\r\n"):
        assert made.feed(line) == b"502 Command not implemented\r\n"


@pytest.mark.parametrize("when", ["by offer", "with the greeting", "by configuration"])
@pytest.mark.parametrize("tls", [None, TlsInfo("TLSv1.3")], ids=["in the clear", "under TLS"])
@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_strangers_are_not_offered_what_listed_peers_are(
    when: str, tls: TlsInfo | None, verb: str
) -> None:
    """One rule for every way: a private extension to listed peers is offered to these alone."""

    def offering(conn: ServerConnection, _: Request) -> None:
        conn.offer(PIPELINING(True), MINE(True))
        conn.reply()

    asked: type[Request] = Connected if when == "with the greeting" else Hello
    given = {} if when == "by configuration" else {asked: offering}
    config = replace(SERVICE, offer=(PIPELINING, MINE))
    for peer, offered in ((LISTED, verb == "EHLO"), (STRANGER, False), (Peer(), False)):
        made = Session(ServerConnection(config, tls=tls, peer=peer), answers(given))
        made.feed(b"%s c.example\r\n" % verb.encode())
        assert (b"XSHOUT" in made.sent) is offered
        assert (MINE in made.conn.extensions) is offered


def test_trust_is_looked_at_again_where_the_command_comes() -> None:
    """Were it offered to a stranger in whatever way, the verb is still not taken."""
    offer = (PIPELINING(True), XCLIENT(("NAME",)), XFORWARD(("NAME",)), MINE(True))
    config = replace(SERVICE, offer=offer)
    made = session(config)
    listed = session(config, peer=LISTED)
    made.conn._session.offering.plan = listed.conn._session.offering.plan
    for line in (b"XCLIENT NAME=x\r\n", b"XFORWARD NAME=x\r\n", b"XSHOUT x\r\n"):
        assert made.feed(line) == b"502 Command not implemented\r\n"


def test_a_private_extension_to_listed_peers() -> None:
    config = replace(SERVICE, offer=(MINE,), require_auth=True)
    made = session(config, answers({ExtensionCommand: Reply(250, "Heard")}), peer=LISTED)
    assert made.feed(b"XSHOUT x\r\n") == b"250 Heard\r\n"
