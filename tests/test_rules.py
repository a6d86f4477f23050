"""Every rule has a test that names its section, and README.md says which; tests of single rules."""

import pytest
from tests.engine.client_dialogue import ALICE, BOB, Dialogue
from tests.engine.transcript import LMTP, RELAY, answers, session
from tests.rules import README, RULES, Rule, document, named_by, sections

from smtpwire import (
    ClientConfig,
    EndOfMessage,
    Expn,
    Hello,
    LocalProtocolError,
    Mail,
    Noop,
    Parameters,
    Rcpt,
    Reply,
    ReplyReceived,
    ServerConfig,
    extensions,
    replace,
)
from smtpwire import parameters as p
from smtpwire.extensions.dsn import Notify, Orcpt, Ret

IDS = [f"R{rule.number}" for rule in RULES]


# -- the table


def test_all_rules_are_there() -> None:
    assert [rule.number for rule in RULES] == list(range(1, 151))
    assert {rule.role for rule in RULES} == {"client", "server", "both"}
    assert all(sections(rule.sections) for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_a_rule_has_tests_that_name_its_section(rule: Rule) -> None:
    assert bool(rule.tests) is not bool(rule.reason)
    wanted = sections(rule.sections)
    within = {document for document, section in wanted if section}
    exact = {each for each in wanted if each[1] or each[0] not in within}
    for test in rule.tests:
        assert named_by(test) & exact, f"{test} does not name {rule.sections}"


def test_sections_are_read_with_their_documents() -> None:
    assert sections("RFC 5321 §2.4, §4.1.1; RFC 3848") == {
        ("5321", ""),
        ("5321", "2.4"),
        ("5321", "4.1.1"),
        ("3848", ""),
    }


def test_a_test_that_is_not_there_is_found_out() -> None:
    with pytest.raises(KeyError):
        named_by("test_rules::there_is_no_such_test")
    with pytest.raises(KeyError):
        named_by("D-NON-001")


@pytest.mark.once
def test_the_table_is_fresh() -> None:
    assert README.read_text() == document(), "run: python -m tests.rules"


# -- single rules


def test_the_least_that_a_server_takes() -> None:
    """RFC 5321 §4.5.3.1.1, §4.5.3.1.2, §4.5.3.1.3, §4.5.3.1.6, §4.5.3.1.7, §4.5.3.1.8."""
    made = session(replace(RELAY, offer=()))
    local, name = "x" * 64, ".".join(["x" * 63] * 2 + ["x" * 61])
    for path in (f"<{local}@{name[3:]}>", f"<{local}@d.example>", f"<@{name}:{'x' * 61}@d>"):
        assert len(path) <= 256
        assert made.feed(f"MAIL FROM:{path}\r\n".encode()).startswith(b"250 "), path
        made.feed(b"RSET\r\n")
    made.feed(b"MAIL FROM:<a@b.example>\r\n")
    for number in range(100):
        assert made.feed(b"RCPT TO:<r%d@d.example>\r\n" % number).startswith(b"250 ")
    made.feed(b"DATA\r\n")
    line = b"." + b"y" * 998 + b"\r\n"
    assert len(line) == 1001, "1,000, and the dot that is doubled does not count"
    content = line * 64 + b"z" * (65536 - 64 * 1000 - 2) + b"\r\n"
    assert made.feed(content + b".\r\n").startswith(b"250 ")
    assert len(made.content) == 65536
    end = made.events[-1]
    assert isinstance(end, EndOfMessage)
    assert len(end.envelope.recipients) == 100


def test_the_least_that_a_client_takes() -> None:
    """RFC 5321 §4.5.3.1.5: a line of a reply with 512 octets."""
    d = Dialogue()
    d.connect(ClientConfig())
    d.greeted("SIZE")
    d.send(Noop())
    (event,) = d.receive("250 " + "x" * 506)
    assert isinstance(event, ReplyReceived)
    assert len(event.reply.text) == 506


def test_expn_is_offered_where_it_is_at_work() -> None:
    """RFC 5321 §3.5.2: it must stand in the reply to EHLO; where it does not, it is 502."""
    staff = Reply(250, "<alice@d.example>\n<bob@d.example>")
    config = replace(RELAY, offer=(*RELAY.offer, extensions.EXPN))
    made = session(config, answers({Expn: staff}))
    assert b"EXPN" in made.feed(b"EHLO c.example\r\n")
    assert made.feed(b"EXPN staff\r\n").endswith(b"\r\n250 2.0.0 <bob@d.example>\r\n")
    made = session(RELAY, answers({Expn: staff}))
    assert b"EXPN" not in made.feed(b"EHLO c.example\r\n")
    assert made.feed(b"EXPN staff\r\n").startswith(b"502 ")


def test_nothing_of_what_came_early_is_lost() -> None:
    """RFC 2920 §3.2: a server must not lose what is in its buffer when it answers."""
    made = session()
    early = b"".join(b"NOOP\r\nMAIL FROM:<a@b.example>\r\nRSET\r\n" for _ in range(20))
    assert made.feed(early + b"VRFY b").count(b"250 ") == 60
    assert made.feed(b"ob\r\n").startswith(b"252 ")


@pytest.mark.parametrize("name", ["müller.example", "mx.δοκιμή.example"])
def test_names_in_ehlo_stay_ascii(name: str) -> None:
    """RFC 6531 §3.7.1: the names of both ends go as A-labels, with SMTPUTF8 and without."""
    with pytest.raises(ValueError, match="neither a domain nor an address literal"):
        ClientConfig(hello_name=name)
    with pytest.raises(ValueError, match="neither a domain nor an address literal"):
        bytes(Hello(name))
    with pytest.raises(ValueError, match="is no host's name"):
        ServerConfig.relay(name)
    made = session(hello=None)
    assert made.feed(f"EHLO {name}\r\n".encode()).startswith(b"501 ")


def test_valid_parameters_of_dsn_change_no_reply() -> None:
    """RFC 3461 §5.1: the codes are those of the commands without them."""
    made = session(replace(RELAY, offer=(*RELAY.offer, extensions.DSN)))
    plain = made.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRSET\r\n")
    assert plain == made.feed(
        b"MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ314159\r\n"
        b"RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d.example\r\nRSET\r\n"
    )


def test_nothing_of_dsn_goes_where_it_is_not_offered() -> None:
    """RFC 3461 §5.2: a client sends none of its parameters to a server without it."""
    d = Dialogue()
    d.connect(ClientConfig())
    d.greeted("SIZE")
    for parameters in (Parameters(p.RET(Ret.FULL)), Parameters(p.ENVID("QQ314159"))):
        with pytest.raises(LocalProtocolError, match="DSN"):
            d.conn.send(Mail(ALICE, parameters))
    d.send(Mail(ALICE))
    d.receive("250 OK")
    notify = Parameters(p.NOTIFY(frozenset({Notify.NEVER})))
    for parameters in (notify, Parameters(p.ORCPT(Orcpt("rfc822", "bob@example.org")))):
        with pytest.raises(LocalProtocolError, match="DSN"):
            d.conn.send(Rcpt(BOB, parameters))


def test_what_lmtp_offers() -> None:
    """RFC 2033 §5: PIPELINING and ENHANCEDSTATUSCODES must be there, 8BITMIME should."""
    made = session(LMTP, hello=None)
    keywords = {line[4:].split(b" ")[0] for line in made.feed(b"LHLO c.example\r\n").splitlines()}
    assert {b"PIPELINING", b"ENHANCEDSTATUSCODES", b"8BITMIME"} <= keywords
