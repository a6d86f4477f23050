"""Whom a default answer takes mail for: a service relays for nobody unless it is told to."""

from collections.abc import Callable
from typing import Final

import pytest
from tests.engine.transcript import Session, answers, session

from smtpwire.engine.events import Peer
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import XCLIENT, XClient
from smtpwire.sasl import AnonymousLogin, PasswordLogin
from smtpwire.wire.command import Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

HOST: Final = "mx.example"
OURS: Final = ("Example.ORG", "[192.0.2.1]")
DENIED: Final = b"550 5.7.1 Relaying denied\r\n"
TAKEN: Final = b"250 2.1.5 Recipient OK\r\n"


def engine_s_own(conn: ServerConnection, question: Request) -> None:
    conn.reply()


def ready(config: ServerConfig, login: bytes = b"", peer: Peer | None = None) -> Session:
    """A transaction in which recipients are answered by the engine's default."""
    answer = answers(
        {
            Rcpt: engine_s_own,
            PasswordLogin: Reply(235),
            AnonymousLogin: Reply(235),
            XClient: Reply(220),
        }
    )
    verb = "LHLO" if config.profile is ServerConfig.lmtp(HOST).profile else "EHLO"
    made = session(config, answer, hello=f"{verb} c.example", peer=peer)
    if login:
        made.feed(login)
    assert made.feed(b"MAIL FROM:<a@b.example>\r\n").startswith(b"250 ")
    return made


@pytest.mark.parametrize("make", [ServerConfig.relay, ServerConfig.lmtp])
@pytest.mark.parametrize(
    ("path", "told"),
    [
        (b"c@example.org", TAKEN),
        (b"c@EXAMPLE.org", TAKEN),
        (b"c@[192.0.2.1]", TAKEN),
        (b"Postmaster", TAKEN),
        (b"c@example.com", DENIED),
        (b"c@sub.example.org", DENIED),
        (b"postmaster@example.com", DENIED),
        (b"c%example.com@example.org", TAKEN),
        (b'"c@example.org"@example.com', DENIED),
    ],
)
def test_mail_for_local_domains_is_taken(
    make: Callable[..., ServerConfig],
    path: bytes,
    told: bytes,
) -> None:
    made = ready(make(HOST, OURS))
    assert made.feed(b"RCPT TO:<%b>\r\n" % path) == told


@pytest.mark.parametrize("make", [ServerConfig.relay, ServerConfig.lmtp])
def test_without_local_domains_none_is_taken(make: Callable[..., ServerConfig]) -> None:
    made = ready(make(HOST))
    assert made.feed(b"RCPT TO:<c@mx.example>\r\n") == DENIED
    assert made.conn.envelope is not None
    assert not made.conn.envelope.recipients
    assert made.feed(b"RCPT TO:<postmaster>\r\n") == TAKEN  # RFC 5321 §4.5.1


SUBMISSION: Final = replace(
    ServerConfig.submission(HOST), mechanisms=("PLAIN", "ANONYMOUS"), cleartext_without_tls=True
)


def test_who_has_authenticated_may_send_to_everybody() -> None:
    made = ready(SUBMISSION, b"AUTH PLAIN AGEAYg==\r\n")
    assert made.feed(b"RCPT TO:<c@example.com>\r\n") == TAKEN
    relay = replace(ServerConfig.relay(HOST), mechanisms=("PLAIN",), cleartext_without_tls=True)
    made = ready(relay, b"AUTH PLAIN AGEAYg==\r\n")
    assert made.feed(b"RCPT TO:<c@example.com>\r\n") == TAKEN


def test_but_nobody_else_of_a_submission_service() -> None:
    open_ = replace(SUBMISSION, require_auth=False)
    assert ready(open_).feed(b"RCPT TO:<c@example.com>\r\n") == DENIED
    made = ready(SUBMISSION, b"AUTH ANONYMOUS eA==\r\n")
    assert made.conn.identity is not None
    assert made.feed(b"RCPT TO:<c@example.com>\r\n") == DENIED


def test_a_login_that_a_trusted_proxy_tells_of() -> None:
    front = replace(
        SUBMISSION,
        offer=(*SUBMISSION.offer, XCLIENT),
        xclient=frozenset({"192.0.2.1"}),
        xclient_login=True,
    )
    made = ready(front, b"XCLIENT LOGIN=user\r\nEHLO c.example\r\n", Peer("192.0.2.1"))
    assert made.feed(b"RCPT TO:<c@example.com>\r\n") == TAKEN


def test_the_application_s_own_answer_may_be_any() -> None:
    made = ready(ServerConfig.relay(HOST, OURS))
    made.answer = answers({Rcpt: Reply(250, "For once")})
    assert made.feed(b"RCPT TO:<c@example.com>\r\n") == b"250 2.0.0 For once\r\n"


def test_recipients_that_are_denied_are_counted() -> None:
    config = ServerConfig.relay(HOST, OURS)
    made = ready(replace(config, limits=replace(config.limits, refused_recipients=2)))
    sent = made.feed(b"RCPT TO:<c@example.com>\r\n" * 3)
    assert sent.startswith(DENIED * 3 + b"421 4.7.0 ")


def test_other_words() -> None:
    reply = Reply(554, "No relaying, see https://mx.example/", "5.7.1")
    config = replace(ServerConfig.relay(HOST), replies={ReplyKind.RELAYING_DENIED: reply})
    made = ready(config)
    assert made.feed(b"RCPT TO:<c@example.com>\r\n").startswith(b"554 5.7.1 No relaying, see")


@pytest.mark.parametrize("domain", ["", "a b", "x@example.org", "example.org>", "-", "a..b", "@"])
def test_what_is_no_domain_is_refused_at_once(domain: str) -> None:
    with pytest.raises(ValueError, match="local_domains"):
        ServerConfig.relay(HOST, [domain])


def test_one_string_is_no_list_of_domains() -> None:
    with pytest.raises(ValueError, match="not one string"):
        ServerConfig.relay(HOST, "example.org")
