"""What replies mean: RFC 5321 §4.2, §4.3.2, RFC 3463, RFC 5248."""

import pytest

from smtpwire.wire.reply import Reply, proven_reply
from smtpwire.wire.sequences import ANY_COMMAND, COMMAND_REPLIES, END_OF_DATA, GREETING
from smtpwire.wire.status import (
    BASIC_CODES,
    ENHANCED_CODES,
    SUBJECTS,
    Disposition,
    classify,
    describe,
)

DONE = Disposition.DONE
CONTINUE = Disposition.CONTINUE
RETRY = Disposition.RETRY
PERMANENT = Disposition.PERMANENT
UNKNOWN = Disposition.UNKNOWN
PROTOCOL_ERROR = Disposition.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("command", "reply", "disposition"),
    [
        (GREETING, Reply(220), DONE),
        pytest.param(GREETING, Reply(421, "", "4.7.0"), RETRY, id="D-REP-011"),
        pytest.param(GREETING, Reply(521), PERMANENT, id="D-REP-012"),
        (GREETING, Reply(450), RETRY),
        (GREETING, Reply(554), PERMANENT),
        (GREETING, Reply(354), PROTOCOL_ERROR),
        (GREETING, None, RETRY),
        ("EHLO", Reply(250), DONE),
        ("EHLO", Reply(502), PERMANENT),
        ("MAIL", Reply(250), DONE),
        ("MAIL", Reply(354), PROTOCOL_ERROR),
        ("MAIL", Reply(355), CONTINUE),
        ("MAIL", Reply(452), RETRY),
        ("MAIL", Reply(552), PERMANENT),
        pytest.param("MAIL", Reply(530, "", "5.7.0"), PERMANENT, id="D-REP-019"),
        pytest.param("MAIL", Reply(221), RETRY, id="D-REP-023"),
        ("MAIL", None, RETRY),
        pytest.param("RCPT", Reply(251), DONE, id="D-REP-017"),
        ("RCPT", Reply(252), DONE),
        ("RCPT", Reply(450), RETRY),
        ("RCPT", Reply(550, "", "5.1.1"), PERMANENT),
        pytest.param("RCPT", Reply(552, "", "5.5.3"), RETRY, id="D-REP-018"),
        ("RCPT", Reply(552, "Too many recipients"), RETRY),
        ("RCPT", Reply(552, "", "5.2.2"), PERMANENT),
        ("RCPT", Reply(354), PROTOCOL_ERROR),
        ("DATA", Reply(354), CONTINUE),
        ("DATA", proven_reply(399, "", None), CONTINUE),
        pytest.param("DATA", Reply(250), PROTOCOL_ERROR, id="D-REP-016"),
        ("DATA", Reply(451), RETRY),
        ("DATA", Reply(554), PERMANENT),
        ("BDAT", Reply(250), DONE),
        ("BDAT", Reply(354), PROTOCOL_ERROR),
        ("BDAT", None, RETRY),
        (END_OF_DATA, Reply(250), DONE),
        (END_OF_DATA, Reply(353), CONTINUE),
        (END_OF_DATA, Reply(452), RETRY),
        (END_OF_DATA, Reply(552), PERMANENT),
        pytest.param(END_OF_DATA, Reply(421, "", "4.3.2"), RETRY, id="D-REP-014"),
        pytest.param(END_OF_DATA, None, UNKNOWN, id="D-REP-015"),
        (END_OF_DATA, Reply(354), UNKNOWN),
        (END_OF_DATA, proven_reply(699, "", None), UNKNOWN),
        ("AUTH", Reply(334), CONTINUE),
        ("AUTH", Reply(235), DONE),
        ("AUTH", Reply(454), RETRY),
        ("AUTH", Reply(535), PERMANENT),
        ("STARTTLS", Reply(220), DONE),
        ("STARTTLS", Reply(454), RETRY),
        ("QUIT", Reply(221), DONE),
        pytest.param("QUIT", None, DONE, id="D-REP-024"),
        ("XUNHEARD", Reply(259), DONE),
        ("XUNHEARD", Reply(459), RETRY),
        ("XUNHEARD", proven_reply(199, "", None), PROTOCOL_ERROR),
        ("XUNHEARD", proven_reply(599, "", None), PERMANENT),
        ("XUNHEARD", proven_reply(600, "", None), PROTOCOL_ERROR),
    ],
)
def test_classified(command: str, reply: Reply | None, disposition: Disposition) -> None:
    assert classify(command, reply) is disposition


@pytest.mark.parametrize("command", COMMAND_REPLIES)
def test_any_command_may_meet_the_end_of_the_service(command: str) -> None:
    assert classify(command, Reply(421)) is RETRY
    assert set(ANY_COMMAND) == {421, 500, 501}


@pytest.mark.parametrize("command", COMMAND_REPLIES)
def test_the_usual_replies_have_their_class(command: str) -> None:  # RFC 5321 §4.3.2
    replies = COMMAND_REPLIES[command]
    assert replies.source.startswith("RFC ")
    for code in replies.success:
        assert classify(command, Reply(code)) is DONE
    for code in replies.intermediate:
        assert classify(command, Reply(code)) is CONTINUE
    for code in replies.errors:
        assert classify(command, Reply(code)) in (RETRY, PERMANENT)
    for code in (*replies.success, *replies.intermediate, *replies.errors):
        assert code in BASIC_CODES


def test_the_sequences_of_commands_and_replies() -> None:
    """RFC 5321 §4.3.2, RFC 7504, RFC 3030 §2, RFC 3207 §4, RFC 4954 §4."""
    table = """
        GREETING 220 / 521 554
        EHLO 250 / 502 504 550
        HELO 250 / 502 504 550
        LHLO 250 / 502 504 550
        MAIL 250 / 451 452 455 503 550 552 553 555
        RCPT 250 251 / 450 451 452 455 503 550 551 552 553 555 556
        DATA 354 / 450 451 452 503 550 552 554
        BDAT 250 / 451 452 503 552 554
        END_OF_DATA 353 250 / 450 451 452 550 552 554
        RSET 250 /
        VRFY 250 251 252 / 502 504 550 551 553
        EXPN 250 252 / 500 502 504 550
        HELP 211 214 / 502 504
        NOOP 250 /
        QUIT 221 /
        STARTTLS 220 / 454 501
        AUTH 334 235 / 432 454 503 504 530 534 535 538
    """
    names = {GREETING: "GREETING", END_OF_DATA: "END_OF_DATA"}
    made = [
        " ".join(
            [
                names.get(command, command),
                *(str(code) for code in (*replies.intermediate, *replies.success)),
                "/",
                *(str(code) for code in replies.errors),
            ]
        )
        for command, replies in COMMAND_REPLIES.items()
    ]
    assert made == [line.strip() for line in table.strip().splitlines()]


def test_what_is_no_command_has_a_name() -> None:
    assert (GREETING, END_OF_DATA) == ("greeting", "end of data")


def test_who_says_which_replies_are_usual() -> None:
    rows = COMMAND_REPLIES.items()
    assert {name: row.source for name, row in rows if row.source != "RFC 5321 §4.3.2"} == {
        GREETING: "RFC 5321 §4.3.2, RFC 7504 §3",
        "LHLO": "RFC 2033 §4.1",
        "RCPT": "RFC 5321 §4.3.2, RFC 7504 §4",
        "BDAT": "RFC 3030 §2",
        "STARTTLS": "RFC 3207 §4",
        "AUTH": "RFC 4954 §4, §6",
    }


def test_codes_are_sound() -> None:
    for code, basic in BASIC_CODES.items():
        assert Reply(code).code == basic.code
        assert basic.meaning
        assert basic.source


def test_enhanced_codes_are_sound() -> None:  # RFC 3463 §2
    for (subject, detail), entry in ENHANCED_CODES.items():
        assert (entry.subject, entry.detail) == (subject, detail)
        assert subject in SUBJECTS
        assert entry.text
        assert entry.source
        assert str(entry) == f"X.{subject}.{detail}"
        assert all(200 <= code <= 559 for code in entry.basic)
        assert list(entry.basic) == sorted(set(entry.basic))


def test_what_each_code_means_and_who_says_so() -> None:
    table = """
        211 system status, or help (RFC 5321 §4.2.3)
        214 help (RFC 5321 §4.2.3)
        220 service ready (RFC 5321 §4.2.3)
        221 service closing the connection (RFC 5321 §4.2.3)
        235 authentication succeeded (RFC 4954 §6)
        250 done (RFC 5321 §4.2.3)
        251 not local, will forward (RFC 5321 §3.4)
        252 cannot verify, will accept the message (RFC 5321 §3.5.3)
        253 messages for the node are pending (RFC 1985 §5.1)
        334 challenge follows (RFC 4954 §4)
        353 replies for each recipient follow (draft-hall-prdr)
        354 start the message (RFC 5321 §4.2.3)
        355 the offset to resume at follows (RFC 1845)
        421 service not available, closing the connection (RFC 5321 §4.2.3)
        422 password transition needed (RFC 5248 §2.4)
        432 password transition needed (RFC 4954 §6)
        450 mailbox unavailable for now (RFC 5321 §4.2.3)
        451 local error in processing (RFC 5321 §4.2.3)
        452 insufficient storage, or too many recipients (RFC 5321 §4.5.3.1.10)
        453 no mail for the domains asked for (RFC 2645)
        454 temporary failure of authentication or TLS (RFC 4954 §6, RFC 3207 §4)
        455 cannot take the parameters for now (RFC 5321 §4.2.3)
        458 unable to queue messages for the node (RFC 1985 §5.1)
        459 node not allowed (RFC 1985 §5.1)
        500 command unrecognized, or line too long (RFC 5321 §4.2.3)
        501 syntax error in parameters or arguments (RFC 5321 §4.2.3)
        502 command not implemented (RFC 5321 §4.2.4)
        503 bad sequence of commands (RFC 5321 §4.2.3)
        504 parameter not implemented (RFC 5321 §4.2.3)
        521 host never takes mail (RFC 7504 §3)
        523 encryption needed (RFC 5248 §2.4)
        524 encryption needed for the mechanism (RFC 5248 §2.4)
        525 account disabled (RFC 5248 §2.4)
        530 authentication or TLS required first (RFC 4954 §6, RFC 3207 §4)
        533 not authorized (RFC 5248 §2.4)
        534 mechanism too weak (RFC 4954 §6)
        535 credentials invalid (RFC 4954 §6)
        538 encryption needed for the mechanism (RFC 4954 §6)
        550 mailbox unavailable, or refused by policy (RFC 5321 §4.2.3)
        551 not local, try another path (RFC 5321 §3.4)
        552 over the storage allocation (RFC 5321 §4.2.3)
        553 mailbox name not allowed (RFC 5321 §4.2.3)
        554 transaction failed, or no SMTP service here (RFC 5321 §4.2.3)
        555 parameters not recognized or not implemented (RFC 5321 §4.2.3)
        556 domain takes no mail (RFC 7504 §4)
    """
    made = [f"{code} {row.meaning} ({row.source})" for code, row in BASIC_CODES.items()]
    assert made == [line.strip() for line in table.strip().splitlines()]


def test_what_each_enhanced_code_means_and_who_says_so() -> None:
    table = """
        X.0.0 other undefined status (RFC 3463 §3.1)
        X.1.0 other address status (RFC 3463 §3.2)
        X.1.1 bad destination mailbox address (RFC 3463 §3.2)
        X.1.2 bad destination system address (RFC 3463 §3.2)
        X.1.3 bad destination mailbox address syntax (RFC 3463 §3.2)
        X.1.4 destination mailbox address ambiguous (RFC 3463 §3.2)
        X.1.5 destination address valid (RFC 3463 §3.2)
        X.1.6 destination mailbox has moved (RFC 3463 §3.2)
        X.1.7 bad sender's mailbox address syntax (RFC 3463 §3.2)
        X.1.8 bad sender's system address (RFC 3463 §3.2)
        X.1.9 relayed to a mailer without this extension (RFC 3886 §3.3.4)
        X.1.10 recipient address has null MX (RFC 7505)
        X.2.0 other or undefined mailbox status (RFC 3463 §3.3)
        X.2.1 mailbox disabled, not accepting messages (RFC 3463 §3.3)
        X.2.2 mailbox full (RFC 3463 §3.3)
        X.2.3 message over the mailbox's length limit (RFC 3463 §3.3)
        X.2.4 mailing list expansion problem (RFC 3463 §3.3)
        X.3.0 other or undefined mail system status (RFC 3463 §3.4)
        X.3.1 mail system full (RFC 3463 §3.4)
        X.3.2 system not accepting network messages (RFC 3463 §3.4)
        X.3.3 system not capable of selected features (RFC 3463 §3.4)
        X.3.4 message too big for system (RFC 3463 §3.4)
        X.3.5 system incorrectly configured (RFC 3463 §3.4)
        X.3.6 requested priority was changed (RFC 6710 §10)
        X.4.0 other or undefined network or routing status (RFC 3463 §3.5)
        X.4.1 no answer from host (RFC 3463 §3.5)
        X.4.2 bad connection (RFC 3463 §3.5)
        X.4.3 directory server failure (RFC 3463 §3.5)
        X.4.4 unable to route (RFC 3463 §3.5)
        X.4.5 mail system congestion (RFC 3463 §3.5)
        X.4.6 routing loop detected (RFC 3463 §3.5)
        X.4.7 delivery time expired (RFC 3463 §3.5)
        X.5.0 other or undefined protocol status (RFC 3463 §3.6)
        X.5.1 invalid command (RFC 3463 §3.6)
        X.5.2 syntax error (RFC 3463 §3.6)
        X.5.3 too many recipients (RFC 3463 §3.6)
        X.5.4 invalid command arguments (RFC 3463 §3.6)
        X.5.5 wrong protocol version (RFC 3463 §3.6)
        X.5.6 authentication exchange line is too long (RFC 4954 §6)
        X.6.0 other or undefined media error (RFC 3463 §3.7)
        X.6.1 media not supported (RFC 3463 §3.7)
        X.6.2 conversion required and prohibited (RFC 3463 §3.7)
        X.6.3 conversion required but not supported (RFC 3463 §3.7)
        X.6.4 conversion with loss performed (RFC 3463 §3.7)
        X.6.5 conversion failed (RFC 3463 §3.7)
        X.6.6 message content not available (RFC 4468 §5)
        X.6.7 non-ASCII address not permitted (RFC 6531 §4.2)
        X.6.8 UTF-8 reply required, not permitted (RFC 6531 §4.2)
        X.6.9 UTF-8 header not transferable (RFC 6531 §4.2)
        X.6.10 UTF-8 reply required: X.6.8 is meant (RFC 6531 §4.2)
        X.7.0 other or undefined security status (RFC 3463 §3.8)
        X.7.1 delivery not authorized, message refused (RFC 3463 §3.8)
        X.7.2 mailing list expansion prohibited (RFC 3463 §3.8)
        X.7.3 security conversion required, not possible (RFC 3463 §3.8)
        X.7.4 security features not supported (RFC 3463 §3.8)
        X.7.5 cryptographic failure (RFC 3463 §3.8)
        X.7.6 cryptographic algorithm not supported (RFC 3463 §3.8)
        X.7.7 message integrity failure (RFC 3463 §3.8)
        X.7.8 authentication credentials invalid (RFC 4954 §6)
        X.7.9 authentication mechanism is too weak (RFC 4954 §6)
        X.7.10 encryption needed (RFC 5248 §2.4)
        X.7.11 encryption required for the mechanism (RFC 4954 §6)
        X.7.12 a password transition is needed (RFC 4954 §6)
        X.7.13 user account disabled (RFC 5248 §2.4)
        X.7.14 trust relationship required (RFC 5248 §2.4)
        X.7.15 priority level is too low (RFC 6710 §10)
        X.7.16 message too big for its priority (RFC 6710 §10)
        X.7.17 mailbox owner has changed (RFC 7293)
        X.7.18 domain owner has changed (RFC 7293)
        X.7.19 ownership test cannot be completed (RFC 7293)
        X.7.20 no passing DKIM signature found (RFC 7372)
        X.7.21 no acceptable DKIM signature found (RFC 7372)
        X.7.22 no author-matched DKIM signature found (RFC 7372)
        X.7.23 SPF validation failed (RFC 7372)
        X.7.24 SPF validation error (RFC 7372)
        X.7.25 reverse DNS validation failed (RFC 7372)
        X.7.26 multiple authentication checks failed (RFC 7372)
        X.7.27 sender address has null MX (RFC 7505)
        X.7.28 mail flood detected (the IANA registry)
        X.7.29 ARC validation failure (RFC 8617)
        X.7.30 REQUIRETLS support required (RFC 8689 §7)
    """
    made = [f"{row} {row.text} ({row.source})" for row in ENHANCED_CODES.values()]
    assert made == [line.strip() for line in table.strip().splitlines()]


def test_what_each_subject_is() -> None:  # RFC 3463 §2
    assert SUBJECTS == {
        0: "other or undefined status",
        1: "addressing",
        2: "mailbox",
        3: "mail system",
        4: "network and routing",
        5: "mail delivery protocol",
        6: "message content or media",
        7: "security or policy",
    }


def test_the_basic_codes_of_the_registry() -> None:  # RFC 5248 §2, and IANA's list since
    table = """
        X.1.1 451 550
        X.1.3 501
        X.1.5 250
        X.1.8 451 501
        X.1.10 556
        X.2.2 552
        X.2.3 552
        X.2.4 450 452
        X.3.0 221 250 421 451 550 554
        X.3.1 452
        X.3.2 453 521
        X.3.4 552 554
        X.3.6 250 251
        X.4.1 451
        X.4.2 421
        X.4.3 451 550
        X.4.5 451
        X.5.0 220 250 251 252 253 451 452 454 458 459 501 502 503 554
        X.5.1 430 500 501 503 530 550 554 555
        X.5.2 500 501 502 550 555
        X.5.3 451
        X.5.4 451 501 502 503 504 550 555
        X.5.6 500
        X.6.3 554
        X.6.4 250
        X.6.6 554
        X.6.7 550 553
        X.6.8 252 550 553
        X.6.9 550 554
        X.7.0 220 235 450 454 500 501 503 504 530 535 550
        X.7.1 451 454 502 503 533 550 551
        X.7.2 550
        X.7.4 504
        X.7.8 535 554
        X.7.9 534
        X.7.10 523
        X.7.11 524 538
        X.7.12 422 432
        X.7.13 525
        X.7.14 535 554
        X.7.15 450 550
        X.7.16 552
        X.7.20 550
        X.7.21 550
        X.7.22 550
        X.7.23 550
        X.7.24 451 550
        X.7.25 550
        X.7.26 550
        X.7.27 550
        X.7.29 550
        X.7.30 550
    """
    made = [f"{entry} {' '.join(map(str, entry.basic))}" for entry in ENHANCED_CODES.values()]
    listed = [line.strip() for line in table.strip().splitlines()]
    assert [line for line in made if not line.endswith(" ")] == listed


def test_the_registry_is_whole() -> None:
    details = {subject: [d for s, d in ENHANCED_CODES if s == subject] for subject in SUBJECTS}
    assert details == {
        0: [0],
        1: list(range(11)),
        2: list(range(5)),
        3: list(range(7)),
        4: list(range(8)),
        5: list(range(7)),
        6: list(range(11)),
        7: list(range(31)),
    }


@pytest.mark.parametrize(  # as RFC 5248 §3.4 and the documents behind it register them
    ("subject_and_detail", "basic"),
    [
        ((1, 1), (451, 550)),
        ((1, 3), (501,)),
        ((1, 5), (250,)),
        ((2, 2), (552,)),
        ((2, 4), (450, 452)),
        ((3, 1), (452,)),
        ((4, 2), (421,)),
        ((5, 6), (500,)),
        ((6, 7), (550, 553)),
        ((6, 8), (252, 550, 553)),
        ((6, 9), (550, 554)),
        ((7, 4), (504,)),
        ((7, 8), (535, 554)),
        ((7, 9), (534,)),
        ((7, 10), (523,)),
        ((7, 13), (525,)),
        ((7, 14), (535, 554)),
        ((7, 16), (552,)),
        ((7, 30), (550,)),
    ],
)
def test_registered_with(subject_and_detail: tuple[int, int], basic: tuple[int, ...]) -> None:
    assert ENHANCED_CODES[subject_and_detail].basic == basic


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(550, "", "5.1.1"), "bad destination mailbox address"),
        (Reply(550, "", "5.7.999"), "security or policy"),
        (Reply(550, "", "5.99.1"), "mailbox unavailable, or refused by policy"),
        (Reply(550), "mailbox unavailable, or refused by policy"),
        (Reply(250, "", "2.0.0"), "done"),
        (Reply(558), ""),
        (Reply(558, "", "5.0.0"), "other undefined status"),
        (Reply(558, "", "5.99.1"), ""),
    ],
)
def test_described(reply: Reply, text: str) -> None:
    assert describe(reply) == text
