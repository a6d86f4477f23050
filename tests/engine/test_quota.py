"""What LIMITS promises is held (RFC 9422)."""

from tests.engine.transcript import RELAY, TLS, Session, answers, play, session

from smtpwire.engine.server import ServerConnection
from smtpwire.extensions import LIMITS, ServerLimits
from smtpwire.wire.command import Hello, Mail
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace


def limited(
    mailmax: int | None = None, rcptmax: int | None = None, rcptdomainmax: int | None = None
) -> Session:
    limits = LIMITS(ServerLimits(mailmax, rcptmax, rcptdomainmax))
    return session(replace(RELAY, offer=(*RELAY.offer, limits)))


def test_messages_of_a_session() -> None:
    play(
        lambda: limited(mailmax=2),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<a@b.example>
        S: 452 4.5.3 Too many messages in this session
        """,
    )


def test_a_refused_command_counts_too() -> None:
    limits = LIMITS(ServerLimits(1, None, None))
    config = replace(RELAY, offer=(*RELAY.offer, limits))
    made = session(config, answers({Mail: Reply(550, "No")}))
    assert made.feed(b"MAIL FROM:<>\r\n") == b"550 5.0.0 No\r\n"
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"452 4.5.3")


def test_recipients_of_a_transaction() -> None:
    play(
        lambda: limited(rcptmax=1),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<c@d.example>
        S: 452 4.5.3 Too many recipients
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        """,
    )


def test_domains_of_a_session() -> None:
    play(
        lambda: limited(rcptdomainmax=2),
        r"""
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<e@D.EXAMPLE>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<c@e.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<c@f.example>
        S: 452 4.5.3 Too many recipients
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<c@f.example>
        S: 452 4.5.3 Too many recipients
        C: RCPT TO:<c@d.example>
        S: 250 2.1.5 Recipient OK
        """,
    )


def test_another_ehlo_starts_no_count_anew() -> None:
    made = limited(mailmax=1)
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"250 ")
    assert made.feed(b"EHLO c.example\r\n").startswith(b"250-")
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"452 4.5.3")


def test_tls_starts_the_count_anew() -> None:  # RFC 3207 §4.2
    limits = LIMITS(ServerLimits(mailmax=1))
    made = session(replace(RELAY, starttls=True, offer=(*RELAY.offer, limits)))
    assert made.feed(b"MAIL FROM:<>\r\nRSET\r\n").startswith(b"250 ")
    assert made.feed(b"STARTTLS\r\n").startswith(b"220 ")
    made.conn.tls_started(TLS)
    made.run()
    assert made.feed(b"EHLO c.example\r\n").startswith(b"250-")
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"250 ")


def test_helo_has_no_extensions_and_no_limits() -> None:
    made = limited(mailmax=1)
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"250 ")
    assert made.feed(b"HELO c.example\r\n").startswith(b"250 ")
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"250 ")


def test_the_newest_offer_is_what_holds() -> None:
    """As a client reads it: the limits of the last EHLO (RFC 9422 §3.6); what counts goes on."""
    most = iter((1, 2))

    def offering(conn: ServerConnection, _: Request) -> None:
        conn.offer(LIMITS(ServerLimits(mailmax=next(most))))
        conn.reply()

    made = session(RELAY, answers({Hello: offering}), hello=None)
    made.feed(b"EHLO c\r\n")
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"250 ")
    assert made.feed(b"EHLO c\r\n").endswith(b"250 LIMITS MAILMAX=2\r\n")
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"250 ")
    made.feed(b"RSET\r\n")
    assert made.feed(b"MAIL FROM:<>\r\n").startswith(b"452 ")


def test_a_new_offer_may_allow_less_than_there_was() -> None:
    most = iter((2, 1))

    def offering(conn: ServerConnection, _: Request) -> None:
        conn.offer(LIMITS(ServerLimits(rcptdomainmax=next(most))))
        conn.reply()

    made = session(RELAY, answers({Hello: offering}), hello=None)
    made.feed(b"EHLO c\r\n")
    taken = b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<c@e.example>\r\n"
    assert b"452" not in made.feed(taken)
    made.feed(b"EHLO c\r\n")
    made.feed(b"MAIL FROM:<>\r\n")
    assert made.feed(b"RCPT TO:<c@f.example>\r\n").startswith(b"452 4.5.3")
