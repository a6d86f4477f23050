"""The client's session: greeting, EHLO, envelopes, flights, RSET, QUIT, and how it all ends."""

import pytest
from tests.engine.client_dialogue import ALICE, BOB, CAROL, VERIFIED, Dialogue, answered, scenario

from smtpwire import extensions
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Cause,
    Closed,
    CloseReason,
    EndOfData,
    Greeting,
    Peer,
    ReplyReceived,
    ServiceClosing,
    Unanswered,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeout, Timeouts
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import parameters as p
from smtpwire.testing import drain
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    Command,
    Data,
    Expn,
    ExtensionCommand,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply


@scenario
def test_a_session_in_lock_step(d: Dialogue) -> None:
    assert d.need() is Need.DATA
    assert d.receive("220 mx.example.com ESMTP") == [Greeting(Reply(220, "mx.example.com ESMTP"))]
    assert d.need() is Need.COMMAND
    assert d.send(Hello("c.example")) == b"EHLO c.example\r\n"
    assert d.need() is Need.DATA
    assert answered(d.receive("250-mx.example.com", "250 SIZE 1000")) == [(Hello, 250)]
    assert d.conn.state is State.READY
    assert d.conn.extensions[extensions.SIZE] == 1000
    assert d.send(Mail(ALICE)) == b"MAIL FROM:<alice@example.com>\r\n"
    assert answered(d.receive("250 OK")) == [(Mail, 250)]
    assert d.send(Rcpt(BOB)) == b"RCPT TO:<bob@example.org>\r\n"
    assert answered(d.receive("250 OK")) == [(Rcpt, 250)]
    assert d.send(Data()) == b"DATA\r\n"
    assert answered(d.receive("354 go ahead")) == [(Data, 354)]
    assert d.need() is Need.BODY
    d.body(b"Subject: hi\r\n\r\n.hello")
    assert d.flush() == b"Subject: hi\r\n\r\n..hello\r\n.\r\n"
    assert answered(d.receive("250 2.6.0 queued")) == [(EndOfData, 250)]
    assert d.need() is Need.COMMAND
    assert d.conn.reusable
    assert d.send(Quit()) == b"QUIT\r\n"
    assert answered(d.receive("221 bye")) == [(Quit, 221)]
    assert d.events[-1] == Closed(CloseReason.QUIT, Reply(221, "bye"))
    assert d.need() is Need.CLOSE


@scenario
def test_the_greeting_may_have_several_lines(d: Dialogue) -> None:
    assert d.receive("220-mx.example ESMTP", "220-no bulk mail,", "220 or else") == [
        Greeting(Reply(220, "mx.example ESMTP\nno bulk mail,\nor else"))
    ]


@scenario
def test_nothing_is_written_before_the_greeting(d: Dialogue) -> None:
    """RFC 5321 §4.3.1."""
    assert d.send(Hello("c.example")) == b""
    assert d.need() is Need.DATA
    d.receive("220 mx")
    assert d.flush() == b"EHLO c.example\r\n"
    d.receive("250 mx")


@scenario
def test_a_refused_client_can_only_quit(d: Dialogue) -> None:
    d.send(Hello("c.example"))
    refusal = Reply(554, "no", "5.7.1")
    assert d.receive("554 5.7.1 no") == [
        Greeting(refusal),
        Unanswered(Hello("c.example"), Cause.NOT_SENT, refusal),
    ]
    with pytest.raises(LocalProtocolError, match="only Quit"):
        d.conn.send(Noop())
    assert d.send(Quit()) == b"QUIT\r\n"
    assert d.receive("221 bye")[1:] == [Closed(CloseReason.REFUSED, refusal)]


@scenario
def test_a_refused_client_may_find_the_stream_ended(d: Dialogue) -> None:
    d.receive("521 mx does not accept mail")
    assert d.eof() == [Closed(CloseReason.REFUSED, Reply(521, "mx does not accept mail"))]


@scenario
def test_421_as_greeting(d: Dialogue) -> None:
    reply = Reply(421, "[TS01] deferred", "4.7.0")
    assert d.receive("421 4.7.0 [TS01] deferred") == [
        Greeting(reply),
        ServiceClosing(reply),
        Closed(CloseReason.REFUSED, reply),
    ]


@scenario
def test_a_greeting_cannot_be_3yz(d: Dialogue) -> None:
    assert d.receive("354 go")[0] == ProtocolViolation(ViolationKind.WRONG_REPLY, 0, True)


@pytest.mark.parametrize("line", ["199 hello", "600 hello", "000 hello"])
def test_nobody_asked_for_a_reply_of_no_class(line: str) -> None:
    d = Dialogue()
    assert d.receive(line)[0] == ProtocolViolation(ViolationKind.WRONG_REPLY, 0, True)


@scenario
def test_helo_after_a_refused_ehlo(d: Dialogue) -> None:
    d.receive("220 mx")
    d.send(Hello("c.example"))
    assert answered(d.receive("500 what?")) == [(Hello, 500)]
    assert d.conn.state is State.HELLO
    with pytest.raises(LocalProtocolError, match="out of order: the state is hello"):
        d.conn.send(Mail(ALICE))
    assert d.send(Hello("c.example", "HELO")) == b"HELO c.example\r\n"
    assert answered(d.receive("250-mx", "250 PIPELINING")) == [(Hello, 250)]
    assert d.conn.extensions.keywords == ()


@scenario
def test_a_second_ehlo_refused_changes_nothing(d: Dialogue) -> None:
    d.greeted("SIZE 5")
    d.send(Hello("c.example"))
    assert answered(d.receive("503 but you already said HELO")) == [(Hello, 503)]
    assert d.conn.state is State.READY
    assert d.conn.extensions[extensions.SIZE] == 5


@scenario
def test_a_second_ehlo_forgets_the_transaction_and_the_offer(d: Dialogue) -> None:
    d.greeted("SIZE 5")
    d.envelope()
    d.hello("8BITMIME")
    assert d.conn.envelope is None
    assert d.conn.extensions.keywords == ("8BITMIME",)
    assert d.conn.state is State.READY


@scenario
def test_one_flight_and_its_replies_in_one_segment(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    assert d.send(Mail(ALICE), Rcpt(BOB), Rcpt(CAROL), Data()) == (
        b"MAIL FROM:<alice@example.com>\r\n"
        b"RCPT TO:<bob@example.org>\r\n"
        b"RCPT TO:<carol@example.org>\r\n"
        b"DATA\r\n"
    )
    assert d.conn.replies_owed == 4
    assert answered(d.receive("250 OK", "250 OK", "550 no", "354 go")) == [
        (Mail, 250),
        (Rcpt, 250),
        (Rcpt, 550),
        (Data, 354),
    ]
    envelope = d.conn.envelope
    assert envelope is not None
    assert envelope.forward_paths == (BOB,)
    assert d.need() is Need.BODY


@scenario
def test_without_pipelining_one_command_at_a_time(d: Dialogue) -> None:
    d.greeted("SIZE")
    assert d.send(Mail(ALICE), Rcpt(BOB), Data()) == b"MAIL FROM:<alice@example.com>\r\n"
    d.receive("250 OK")
    assert d.flush() == b"RCPT TO:<bob@example.org>\r\n"
    d.receive("250 OK")
    assert d.flush() == b"DATA\r\n"
    d.receive("354 go")


@scenario
def test_a_verb_that_must_be_last_ends_its_group(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    assert d.send(Rset(), Noop(), Mail(ALICE), Vrfy("bob"), Rset(), Help(), Expn("list")) == (
        b"RSET\r\nNOOP\r\n"
    )
    d.receive("250 OK", "250 OK")
    assert d.flush() == b"MAIL FROM:<alice@example.com>\r\nVRFY bob\r\n"
    d.receive("250 OK", "252 cannot")
    assert d.flush() == b"RSET\r\nHELP\r\n"
    d.receive("250 OK", "214 help")
    assert d.flush() == b"EXPN list\r\n"
    d.receive("250 someone")


@scenario
def test_behind_the_dot_the_next_envelope_and_quit(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.envelope()
    d.data()
    d.body(b"one\r\n")
    assert d.send(Mail(ALICE), Rcpt(BOB), Data()) == (
        b"one\r\n.\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
    )
    assert answered(d.receive("250 one", "250 OK", "250 OK", "354 go"))[0] == (EndOfData, 250)
    d.body(b"two\r\n")
    assert d.send(Quit()) == b"two\r\n.\r\nQUIT\r\n"
    assert answered(d.receive("554 no", "221 bye")) == [(EndOfData, 554), (Quit, 221)]


@scenario
def test_noop_waits_for_the_reply_to_the_dot(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.envelope()
    d.data()
    d.body(b"")
    assert d.send(Noop()) == b".\r\n"
    d.receive("250 OK")
    assert d.flush() == b"NOOP\r\n"
    d.receive("250 OK")


@scenario
def test_after_a_refused_mail_the_rest_is_not_written(d: Dialogue) -> None:
    d.greeted("SIZE")
    mail, rcpt, data, rset = Mail(ALICE), Rcpt(BOB), Data(), Rset()
    d.send(mail, rcpt, data)
    assert d.receive("550 5.7.1 blocked") == [
        ReplyReceived(mail, Reply(550, "blocked", "5.7.1")),
        Unanswered(rcpt, Cause.NOT_SENT),
        Unanswered(data, Cause.NOT_SENT),
    ]
    assert d.need() is Need.COMMAND
    assert d.send(Mail(ALICE)) == b"MAIL FROM:<alice@example.com>\r\n"
    d.receive("250 OK")
    assert d.send(rset) == b"RSET\r\n"
    d.receive("250 OK")


@scenario
def test_a_refused_mail_takes_only_its_own_transaction_along(d: Dialogue) -> None:
    d.greeted("SIZE")
    assert d.send(Mail(ALICE), Rcpt(BOB), Rset(), Mail(ALICE), Rcpt(CAROL))
    assert d.receive("451 later")[1:] == [Unanswered(Rcpt(BOB), Cause.NOT_SENT)]
    assert d.flush() == b"RSET\r\n"
    d.receive("250 OK")
    assert d.flush() == b"MAIL FROM:<alice@example.com>\r\n"
    d.receive("250 OK")
    assert d.flush() == b"RCPT TO:<carol@example.org>\r\n"
    d.receive("250 OK")
    assert d.conn.state is State.RCPT


@scenario
def test_a_refused_mail_whose_flight_has_left(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.send(Mail(ALICE), Rcpt(BOB), Data())
    assert answered(d.receive("550 no", "503 no MAIL", "503 no MAIL")) == [
        (Mail, 550),
        (Rcpt, 503),
        (Data, 503),
    ]
    assert d.conn.state is State.READY
    assert d.conn.reusable


@scenario
def test_354_without_a_recipient_gets_a_lone_dot(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.send(Mail(ALICE), Rcpt(BOB), Data())
    d.receive("250 OK", "550 no", "354 go")
    assert d.need() is Need.DATA
    assert d.flush() == b".\r\n"
    with pytest.raises(LocalProtocolError, match="no body is open"):
        d.conn.send_body(b"the real message")
    assert answered(d.receive("554 no valid recipients")) == [(EndOfData, 554)]
    assert d.conn.reusable


@scenario
def test_354_after_a_refused_mail_gets_a_lone_dot(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.send(Mail(ALICE), Rcpt(BOB), Data())
    d.receive("550 no", "250 OK", "354 go")
    assert d.send(Mail(ALICE)) == b".\r\nMAIL FROM:<alice@example.com>\r\n"
    d.receive("503 no", "250 OK")
    assert d.conn.state is State.MAIL


@scenario
def test_data_is_not_written_when_all_recipients_were_refused(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.send(Mail(ALICE), Rcpt(BOB), Data())
    d.receive("250 OK")
    d.flush()
    assert d.receive("550 no")[1:] == [Unanswered(Data(), Cause.NOT_SENT)]
    with pytest.raises(LocalProtocolError, match="MAIL is out of order"):
        d.conn.send(Mail(ALICE))
    assert d.send(Rset()) == b"RSET\r\n"
    d.receive("250 OK")
    assert d.conn.reusable


@scenario
def test_a_refused_data_leaves_the_transaction_open(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.envelope()
    d.send(Data())
    assert answered(d.receive("451 later")) == [(Data, 451)]
    assert d.need() is Need.COMMAND
    assert not d.conn.reusable
    d.send(Rset())
    d.receive("250 OK")
    assert d.conn.reusable


@scenario
def test_data_answered_250_is_a_violation(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.send(Data())
    kinds = [type(event) for event in d.receive("250 OK")]
    assert kinds == [ProtocolViolation, Unanswered, Closed]


@scenario
def test_recipients_by_the_first_digit(d: Dialogue) -> None:
    """RFC 5321 §4.3.2."""
    d.greeted("PIPELINING")
    d.send(Mail(ALICE), *(Rcpt(BOB) for _ in range(4)))
    d.receive("250 OK", "251 will forward", "252 cannot verify", "299 new", "552 too many")
    envelope = d.conn.envelope
    assert envelope is not None
    assert len(envelope.recipients) == 3


@scenario
def test_a_duplicate_recipient_is_kept(d: Dialogue) -> None:
    """RFC 5321 §3.3."""
    d.greeted("PIPELINING")
    first, second = Rcpt(BOB), Rcpt(BOB)
    d.send(Mail(ALICE), first, second)
    events = d.receive("250 OK", "250 OK", "250 OK")
    assert [event.command for event in events if isinstance(event, ReplyReceived)][2] is second
    envelope = d.conn.envelope
    assert envelope is not None
    assert len(envelope.recipients) == 2


@scenario
def test_rset_in_a_flight(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    assert d.send(Mail(ALICE), Rcpt(BOB), Rset(), Mail(None), Rcpt(CAROL)).count(b"\r\n") == 5
    d.receive("250 OK", "550 no", "250 reset", "250 OK", "250 OK")
    envelope = d.conn.envelope
    assert envelope is not None
    assert (envelope.reverse_path, envelope.forward_paths) == (None, (CAROL,))


@scenario
def test_a_refused_rset(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.send(Rset())
    assert answered(d.receive("500 never heard of it")) == [(Rset, 500)]
    assert d.conn.state is State.RCPT


@scenario
def test_behind_a_refused_rset_nothing_is_planned_that_was_refused(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.send(Rset(), Mail(ALICE), Rcpt(BOB))
    d.receive("500 never heard of it", "250 OK", "550 no")
    with pytest.raises(LocalProtocolError, match="DATA is out of order: the state is mail"):
        d.conn.send(Data())
    d.send(Rcpt(CAROL))
    d.receive("250 OK")
    assert d.send(Data()) == b"DATA\r\n"
    d.receive("354 go ahead")


@scenario
def test_behind_a_refused_rset_the_rest_of_the_flight_is_still_planned(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    d.send(Rset(), Mail(ALICE), Rcpt(BOB))
    d.receive("500 never heard of it")
    assert d.send(Data()) == b"DATA\r\n"
    d.receive("250 OK", "250 OK", "354 go ahead")
    assert d.conn.state is State.DATA


@scenario
def test_rset_and_noop_before_ehlo(d: Dialogue) -> None:
    d.receive("220 mx")
    d.send(Rset(), Noop("text"))
    d.receive("250 OK")
    assert d.flush() == b"NOOP text\r\n"
    d.receive("250 OK")
    assert d.conn.state is State.HELLO


@scenario
def test_421_answers_the_oldest_and_ends_the_rest(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    mail, rcpt, data = Mail(ALICE), Rcpt(BOB), Data()
    d.send(mail, rcpt, data)
    reply = Reply(421, "bye", "4.3.2")
    assert d.receive("421 4.3.2 bye") == [
        ReplyReceived(mail, reply),
        ServiceClosing(reply),
        Unanswered(rcpt, Cause.CLOSING, reply),
        Unanswered(data, Cause.CLOSING, reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]
    with pytest.raises(LocalProtocolError, match="has ended"):
        d.conn.send(Quit())


@scenario
def test_221_to_anything_but_quit_is_closing(d: Dialogue) -> None:
    d.greeted("SIZE")
    mail = Mail(ALICE)
    d.send(mail)
    reply = Reply(221, "bye", "2.0.0")
    assert d.receive("221 2.0.0 bye") == [
        ServiceClosing(reply),
        Unanswered(mail, Cause.CLOSING, reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


@scenario
def test_421_while_idle(d: Dialogue) -> None:
    d.greeted("SIZE")
    reply = Reply(421, "command timeout")
    assert d.receive("421 command timeout") == [
        ServiceClosing(reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


def test_421_that_came_before_the_command_left() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.conn.receive_data(b"421 command timeout\r\n")
    rset = Rset()
    assert d.conn.send(rset) is rset
    assert d.conn.data_to_send() == b"RSET\r\n"
    reply = Reply(421, "command timeout")
    d.need()
    assert d.events[-3:] == [
        ServiceClosing(reply),
        Unanswered(rset, Cause.CLOSING, reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


def test_a_reply_that_began_before_its_command_left_is_none() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    at = d.received
    d.feed(b"25")
    assert d.need() is Need.DATA, "half a line: something is coming"
    assert not d.conn.reusable
    d.send(Noop())
    d.feed(b"0 OK\r\n")
    assert ProtocolViolation(ViolationKind.UNEXPECTED_REPLY, at, True) in d.events


@scenario
def test_a_reply_too_many_is_a_violation(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.send(Noop())
    assert [type(event) for event in d.receive("250 OK", "250 again")] == [
        ReplyReceived,
        ProtocolViolation,
        Closed,
    ]


@scenario
def test_a_reply_before_the_command_was_handed_out(d: Dialogue) -> None:
    d.greeted("SIZE")
    noop = d.conn.send(Noop())
    d.commands.append(noop)
    assert d.receive("250 OK")[1:] == [
        Unanswered(noop, Cause.NOT_SENT),
        Closed(CloseReason.VIOLATION, error="a reply nobody asked for: 250 OK"),
    ]


@scenario
def test_codes_of_no_class_are_violations(d: Dialogue) -> None:
    """RFC 5321 §4.2."""
    d.greeted("SIZE")
    d.send(Noop())
    assert [type(event) for event in d.receive("650 what")] == [
        ProtocolViolation,
        Unanswered,
        Closed,
    ]


@scenario
def test_a_3yz_where_none_can_be(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.send(Mail(ALICE))
    assert [type(event) for event in d.receive("354 go")] == [
        ProtocolViolation,
        Unanswered,
        Closed,
    ]


@pytest.mark.parametrize(
    ("octets", "kind", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", ViolationKind.MALFORMED_REPLY, "SSH-2.0-OpenSSH_9.6"),
        (b"220-mx\r\n521 blocked\r\n", ViolationKind.MIXED_CODES, "521 blocked"),
        (b"220 mx\n", ViolationKind.BARE_LF, "220 mx\\x0a"),
        (b"220 m\rx\r\n", ViolationKind.BARE_CR, "220 m\\x0d"),
        (b"220 " + b"x" * 5000, ViolationKind.LINE_TOO_LONG, "220 " + "x" * 76),
        (b"220-" + b"x" * 60 + b"\r\n" + b"220-x\r\n" * 600, ViolationKind.REPLY_TOO_LONG, "220-x"),
    ],
)
def test_streams_that_are_broken(octets: bytes, kind: ViolationKind, shown: str) -> None:
    d = Dialogue()
    d.feed(octets)
    violation, closed = d.events
    assert isinstance(violation, ProtocolViolation)
    assert (violation.kind, violation.fatal) == (kind, True)
    assert closed == Closed(CloseReason.VIOLATION, error=f"{kind.value}: {shown}")
    assert d.conn.closed is closed
    assert d.conn.stats.errors == 1


@scenario
def test_the_end_of_the_stream_while_idle(d: Dialogue) -> None:
    d.greeted("SIZE")
    assert d.eof() == [Closed(CloseReason.EOF)]
    assert d.eof() == []
    assert d.conn.eof_received


@scenario
def test_refused_mail_and_the_end_of_the_stream(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    mail, rcpt, data = Mail(ALICE), Rcpt(BOB), Data()
    d.send(mail, rcpt, data)
    d.receive("550 5.7.1 blocked")
    assert d.eof() == [
        Unanswered(rcpt, Cause.LOST),
        Unanswered(data, Cause.LOST),
        Closed(CloseReason.EOF),
    ]


def test_a_reply_unfinished_at_the_end_of_the_stream_is_none() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.send(Noop())
    d.feed(b"250 OK\r")
    assert d.eof() == [
        Unanswered(Noop(), Cause.LOST),
        Closed(CloseReason.EOF, error=r"eof inside a reply: 250 OK\r"),
    ]


@pytest.mark.parametrize("end", ["eof", "timeout"])
@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"25", "25"),
        (b"250-mx\r\n250-SIZE\r\n25", r"250-mx\r\n250-SIZE\r\n25"),
        (b"2\xff\x00", r"2\xff\x00"),
        (b"250 " + b"x" * 77, "250 " + "x" * 76),
    ],
)
def test_half_a_reply_is_traced_and_told_at_the_end(octets: bytes, shown: str, end: str) -> None:
    d = Dialogue()
    d.greeted("SIZE")
    seen = bytearray()
    d.conn.trace = lambda direction, octets: seen.extend(octets)
    d.send(Noop())
    d.feed(octets)
    if end == "eof":
        d.conn.receive_data(b"")
    else:
        d.conn.timed_out()
    assert d.need() is Need.CLOSE
    assert d.conn.closed is not None
    assert d.conn.closed.error == f"{end} inside a reply: {shown}"
    assert seen == b"NOOP\r\n" + octets


@scenario
def test_a_server_that_greets_anew_is_not_answered_by_guesswork(d: Dialogue) -> None:
    """Each later reply would be taken for the next command's."""
    d.receive("220 mx")
    hello = Hello("c.example")
    d.send(hello)
    assert d.receive("220 mx again") == [
        ProtocolViolation(ViolationKind.WRONG_REPLY, d.received - 14, fatal=True),
        Unanswered(hello, Cause.LOST),
        Closed(CloseReason.VIOLATION, error="a reply that the command cannot have: 220 mx again"),
    ]


@pytest.mark.parametrize("command", [Mail(ALICE), Rset(), Hello("c.example"), Quit()])
def test_a_greeting_that_comes_late_is_no_reply_to_any_command(command: Command) -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.send(command)
    violation, *_ = d.receive("220 mx again")
    assert isinstance(violation, ProtocolViolation)
    assert violation.kind is ViolationKind.WRONG_REPLY


def test_a_greeting_in_the_place_of_a_verdict_is_none() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.envelope()
    d.data()
    end = d.body(b"x\r\n")
    d.flush()
    assert d.receive("220 mx again")[1] == Unanswered(end, Cause.LOST)


def test_one_operation_at_a_time() -> None:
    d = Dialogue()
    d.conn.begin_operation()
    with pytest.raises(LocalProtocolError, match="another operation is running"):
        d.conn.begin_operation()
    d.conn.end_operation()
    d.conn.begin_operation()


def test_behind_an_operation_given_up_while_replies_are_owed_the_connection_ends() -> None:
    d = _ready()
    d.conn.begin_operation()
    d.conn.end_operation(given_up=True)
    d.conn.begin_operation()
    assert d.conn.closed is None, "nothing is owed"
    d.send(Noop())
    d.conn.end_operation()
    d.conn.begin_operation()
    assert d.conn.closed is None, "it came to its end"
    d.conn.end_operation(given_up=True)
    d.conn.begin_operation()
    assert d.conn.closed == Closed(
        CloseReason.ABORTED, error="an operation was given up while replies were owed"
    )


@scenario
def test_after_quit_the_end_of_the_stream_is_fine(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.send(Quit())
    assert d.eof() == [Unanswered(Quit(), Cause.LOST), Closed(CloseReason.QUIT)]


@scenario
def test_any_reply_to_quit_ends_the_session(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.send(Quit())
    assert d.receive("421 going down")[1:] == [Closed(CloseReason.QUIT, Reply(421, "going down"))]


@scenario
def test_replies_are_read_liberally(d: Dialogue) -> None:
    d.greeted("SIZE")
    for line, reply in [
        (b"250", Reply(250)),
        (b"250 ", Reply(250)),
        (b"250-\r\n250-\r\n250 ", Reply(250, "\n\n")),
        (b"550 bo\xeete pleine", Reply(550, "bo\\xeete pleine")),
        (b"550 #5.1.0 Address rejected.", Reply(550, "#5.1.0 Address rejected.")),
        (b"550 4.2.2 full", Reply(550, "4.2.2 full")),
        (b"550-5.7.1 first\r\n550 5.7.1 second", Reply(550, "first\nsecond", "5.7.1")),
        (b"550 " + b"z" * 1000, Reply(550, "z" * 1000)),
    ]:
        d.send(Noop())
        assert d.receive(line) == [ReplyReceived(Noop(), reply)]


@scenario
def test_odd_offers(d: Dialogue) -> None:
    d.greeted("AUTH=LOGIN PLAIN", "starttls", "XSTARTTLS", "size 1000", "X-ODD a b")
    assert d.conn.extensions[extensions.AUTH] == ("LOGIN", "PLAIN")
    assert d.conn.extensions[extensions.SIZE] == 1000
    assert "STARTTLS" in d.conn.extensions
    assert "X-ODD" in d.conn.extensions
    assert "PIPELINING" not in d.conn.extensions


# -- what is refused before a single octet is written


def _ready(*keywords: str, config: ClientConfig | None = None) -> Dialogue:
    d = Dialogue()
    d.connect(config)
    d.greeted(*keywords or ("SIZE",))
    return d


def test_nothing_is_queued_behind_what_decides_what_may_follow() -> None:
    d = Dialogue()
    d.receive("220 mx")
    d.conn.send(Hello("c.example"))
    with pytest.raises(LocalProtocolError, match="behind Hello"):
        d.conn.send(Mail(ALICE))
    d.flush()
    d.receive("250 mx")
    d.conn.send(Quit())
    with pytest.raises(LocalProtocolError, match="behind Quit"):
        d.conn.send(Noop())
    assert d.flush() == b"QUIT\r\n"


def test_before_the_greeting_only_hello() -> None:
    text = r"^NOOP is out of order: the state is greeting .*; open_session\(\) comes first$"
    with pytest.raises(LocalProtocolError, match=text):
        ClientConnection().send(Noop())


def test_lmtp_says_lhlo_and_smtp_does_not() -> None:
    d = Dialogue()
    with pytest.raises(LocalProtocolError, match="LHLO"):
        d.conn.send(Hello("c.example", "LHLO"))
    d.connect(ClientConfig(lmtp=True))
    with pytest.raises(LocalProtocolError, match="HELO"):
        d.conn.send(Hello("c.example", "HELO"))


def test_parameters_need_their_extension() -> None:
    """RFC 5321 §4.1.1.11."""
    d = _ready("8BITMIME", "DSN")
    for parameters, keyword in [
        (Parameters(p.SIZE(5)), "SIZE"),
        (Parameters(p.BODY(p.Body.BINARYMIME)), "BINARYMIME"),
        (Parameters(p.SMTPUTF8(True)), "SMTPUTF8"),
        (Parameters(p.REQUIRETLS(True)), "REQUIRETLS"),
    ]:
        with pytest.raises(LocalProtocolError, match=keyword):
            d.conn.send(Mail(ALICE, parameters))
    d.conn.send(Mail(ALICE))
    with pytest.raises(LocalProtocolError, match="CONNEG"):
        d.conn.send(Rcpt(BOB, Parameters(p.CONNEG(True))))


def test_the_extension_of_an_unknown_parameter_is_unknown() -> None:
    from smtpwire.extensions.grammar import valueless

    d = _ready()
    with pytest.raises(LocalProtocolError, match="MAIL X-MINE needs X-MINE"):
        d.conn.send(Mail(ALICE, Parameters(valueless("X-MINE")(True))))


def test_an_address_beyond_ascii_needs_smtputf8_in_its_mail() -> None:
    greek = Address.parse("δοκιμή@example.com")
    d = _ready("8BITMIME", "SMTPUTF8")
    with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
        d.conn.send(Mail(greek))
    d.send(Mail(ALICE))
    d.receive("250 OK")
    with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
        d.conn.send(Rcpt(greek))
    d.send(Rset())
    d.receive("250 OK")
    assert d.send(Mail(greek, Parameters(p.SMTPUTF8(True)))).startswith("MAIL FROM:<δ".encode())
    d.receive("250 OK")
    assert d.send(Rcpt(greek)).startswith("RCPT TO:<δ".encode())


def test_queries() -> None:
    d = _ready()
    with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
        d.conn.send(Vrfy("δ", smtputf8=True))
    with pytest.raises(LocalProtocolError, match="SMTPUTF8 parameter"):
        d.conn.send(Expn("δ"))
    with pytest.raises(LocalProtocolError, match="control character"):
        d.conn.send(Vrfy("bob\r\nDATA"))


def test_lines_may_be_as_long_as_the_offer_allows() -> None:
    d = _ready("DSN")
    with pytest.raises(LocalProtocolError, match="512 are allowed"):
        d.conn.send(Noop("x" * 600))
    with pytest.raises(LocalProtocolError, match="512 are allowed"):
        d.conn.send(Hello("x" * 600))
    with pytest.raises(LocalProtocolError, match="512 are allowed"):
        d.conn.send(Vrfy("x" * 600))
    long = Address("x" * 600, "example.com")
    with pytest.raises(LocalProtocolError, match="are allowed"):
        d.conn.send(Mail(Address("x" * 2000, "example.com")))
    d.conn.send(Mail(ALICE))
    d.conn.send(Rcpt(long))
    with pytest.raises(LocalProtocolError, match="are allowed"):
        d.conn.send(Rcpt(Address("x" * 2000, "example.com")))


def test_what_needs_an_extension_says_which() -> None:
    d = _ready("SIZE")
    prdr = Mail(ALICE, Parameters(p.PRDR(True)))
    with pytest.raises(LocalProtocolError, match="MAIL PRDR needs PRDR, which the server"):
        d.conn.send(prdr)
    d.conn.send(Mail(ALICE))
    notify = Rcpt(BOB, Parameters(p.NOTIFY(frozenset({p.Notify.NEVER}))))
    with pytest.raises(LocalProtocolError, match="RCPT NOTIFY needs DSN, which the server"):
        d.conn.send(notify)


def test_injections_never_reach_the_wire() -> None:
    d = Dialogue()
    d.receive("220 mx")
    with pytest.raises(LocalProtocolError, match="control"):
        d.conn.send(Hello("c.example\r\nMAIL FROM:<evil@example.org>"))
    assert d.flush() == b""
    for text in ("b@example.com>\r\nRCPT TO:<evil@example.org", "a@example.com\nDATA", "a@b> X"):
        with pytest.raises(ValueError, match=r"control|not an address"):
            Address.parse(text)


def test_a_second_mail_needs_rset_first() -> None:
    d = _ready()
    d.envelope()
    with pytest.raises(LocalProtocolError, match="MAIL is out of order: the state is rcpt"):
        d.conn.send(Mail(ALICE))


def test_data_needs_a_recipient() -> None:
    d = _ready()
    d.send(Mail(ALICE))
    with pytest.raises(LocalProtocolError, match="DATA is out of order: the state is mail"):
        d.conn.send(Data())
    d.receive("250 OK")
    d.send(Rcpt(BOB))
    d.receive("550 no")
    with pytest.raises(LocalProtocolError, match="DATA is out of order: the state is mail"):
        d.conn.send(Data())
    with pytest.raises(LocalProtocolError, match="RCPT is out of order"):
        _ready().conn.send(Rcpt(BOB))


def test_what_is_no_command_to_be_sent() -> None:
    d = _ready()
    for command in (EndOfData(),):
        with pytest.raises(LocalProtocolError, match="end_body"):
            d.conn.send(command)
    with pytest.raises(LocalProtocolError, match="no known extension"):
        d.conn.send(ExtensionCommand("XFOO"))


# -- limits


def test_limits_of_the_server_are_kept() -> None:
    d = _ready("LIMITS MAILMAX=2 RCPTMAX=1 RCPTDOMAINMAX=1")
    d.send(Mail(ALICE))
    d.receive("250 OK")
    d.send(Rcpt(BOB))
    d.receive("250 OK")
    with pytest.raises(LocalProtocolError, match="1 RCPT commands"):
        d.conn.send(Rcpt(BOB))
    d.send(Rset())
    d.receive("250 OK")
    d.send(Mail(ALICE))
    d.receive("250 OK")
    with pytest.raises(LocalProtocolError, match="1 domains"):
        d.conn.send(Rcpt(ALICE))
    d.send(Rset())
    d.receive("250 OK")
    with pytest.raises(LocalProtocolError, match="2 MAIL commands"):
        d.conn.send(Mail(ALICE))
    d.hello("SIZE")
    assert d.send(Mail(ALICE)), "a new offer replaces the old"


def test_mails_are_counted_from_the_new_session_on_under_tls() -> None:
    d = _ready("STARTTLS", "LIMITS MAILMAX=1")
    d.send(Mail(ALICE))
    d.receive("250 OK")
    d.send(Rset())
    d.receive("250 OK")
    d.send(StartTls())
    d.receive("220 go")
    d.conn.tls_started(VERIFIED)
    d.hello("LIMITS MAILMAX=1")
    d.send(Mail(ALICE))
    d.receive("250 OK")
    d.send(Rset())
    d.receive("250 OK")
    with pytest.raises(LocalProtocolError, match="1 MAIL commands"):
        d.conn.send(Mail(ALICE))


def test_limits_that_are_not_told_are_none() -> None:
    d = _ready("LIMITS MAILMAX=9")
    d.envelope(BOB, CAROL)
    assert d.conn.state is State.RCPT


def test_at_most_so_many_commands_in_flight() -> None:
    d = _ready("PIPELINING", config=ClientConfig(limits=Limits(in_flight=3)))
    out = d.send(Mail(ALICE), *(Rcpt(BOB) for _ in range(5)))
    assert out.count(b"\r\n") == 3
    d.receive("250 OK")
    assert d.flush() == b"RCPT TO:<bob@example.org>\r\n"
    assert d.conn.pending == Rcpt(BOB)


def test_the_oldest_command_is_what_is_waited_for() -> None:
    timeouts = Timeouts(mail=1.0, rcpt=2.0, data=3.0)
    d = _ready("PIPELINING", config=ClientConfig(timeouts=timeouts))
    d.conn.send(Mail(ALICE), Rcpt(BOB), Data())
    assert _seconds(d) == 1.0, "nothing has been written"
    d.flush()
    seen: list[object] = []
    for _ in range(3):
        seen.append((d.conn.pending, _seconds(d)))
        d.receive("250 OK")
    assert seen == [(Mail(ALICE), 1.0), (Rcpt(BOB), 2.0), (Data(), 3.0)]


def test_at_most_so_many_octets_in_flight() -> None:
    """RFC 2920 §3.1."""
    d = _ready("PIPELINING", config=ClientConfig(limits=Limits(flight=64)))
    assert d.send(Mail(ALICE), Rcpt(BOB), Rcpt(BOB)).count(b"\r\n") == 2
    d.receive("250 OK")
    assert d.flush() == b"RCPT TO:<bob@example.org>\r\n"


@pytest.mark.parametrize(("flight", "at_once"), [(31, True), (30, False)])
def test_a_body_takes_up_no_room_in_the_flight(flight: int, at_once: bool) -> None:
    d = _ready("PIPELINING", config=ClientConfig(limits=Limits(flight=flight)))
    d.envelope()
    d.data()
    d.body(b"x" * 1000)
    mail = b"MAIL FROM:<alice@example.com>\r\n"
    assert len(mail) == 31
    assert d.send(Mail(ALICE)) == b"x" * 1000 + b"\r\n.\r\n" + (mail if at_once else b"")
    d.receive("250 OK")
    assert d.flush() == (b"" if at_once else mail)


def test_five_thousand_recipients() -> None:
    d = _ready("PIPELINING")
    out = d.send(Mail(ALICE), *(Rcpt(BOB) for _ in range(5000)), Data())
    while b"DATA" not in out:
        d.receive(*["250 OK"] * out.count(b"\r\n"))
        out = d.flush()
    d.receive(*["250 OK"] * (out.count(b"\r\n") - 1), "354 go")
    envelope = d.conn.envelope
    assert envelope is not None
    assert len(envelope.recipients) == 5000


def test_the_backlog_is_bounded() -> None:
    conn = ClientConnection(ClientConfig(limits=Limits(backlog=10)))
    conn.receive_data(b"220 mx.example ESMTP")
    assert not conn.wants_data
    with pytest.raises(LocalProtocolError, match="backlog"):
        conn.receive_data(b"\r\n")


def test_a_line_longer_than_the_backlog_is_too_long() -> None:
    conn = ClientConnection(ClientConfig(limits=Limits(backlog=10)))
    conn.receive_data(b"220 mx.example ESMTP")
    events, need = drain(conn)
    assert events[0] == ProtocolViolation(ViolationKind.LINE_TOO_LONG, 0, fatal=True)
    assert need is Need.CLOSE


def test_a_reply_as_long_as_the_backlog_is_too_long() -> None:
    conn = ClientConnection(ClientConfig(limits=Limits(backlog=14)))
    conn.receive_data(b"220-a\r\n")
    assert drain(conn) == ([], Need.DATA)
    assert conn.wants_data is True
    conn.receive_data(b"220-b\r\n")
    events, need = drain(conn)
    assert events[0] == ProtocolViolation(ViolationKind.REPLY_TOO_LONG, 7, fatal=True)
    assert need is Need.CLOSE
    assert conn.wants_data is False


# -- time


def _seconds(d: Dialogue) -> float | None:
    timeout = d.conn.timeout
    return timeout and timeout.seconds


def test_the_figures_of_rfc_5321() -> None:  # §4.5.3.2
    """RFC 5321 §4.5.3.2."""
    minutes = 60.0
    assert Timeouts() == Timeouts(
        greeting=5 * minutes,
        mail=5 * minutes,
        rcpt=5 * minutes,
        data=2 * minutes,
        block=3 * minutes,
        end_of_data=10 * minutes,
        command=5 * minutes,
        quit=30.0,
        handshake=60.0,
    )


def test_time_is_counted_anew_with_every_reply() -> None:
    d = Dialogue()
    first = d.conn.timeout
    assert _seconds(d) == 300.0
    d.feed(b"220 m")
    assert d.conn.timeout == first, "half a line is no progress"
    d.feed(b"x\r\n")
    assert _seconds(d) is None, "it is the application's turn"
    d.hello("PIPELINING")
    d.send(Mail(ALICE), Rcpt(BOB), Data())
    seen: list[Timeout | None] = [d.conn.timeout]
    for line in ("250 OK", "250 OK", "354 go"):
        d.receive(line)
        seen.append(d.conn.timeout)
    assert [each and each.seconds for each in seen] == [300.0, 300.0, 120.0, None]
    assert len({each.serial for each in seen if each}) == 3
    d.conn.send_body(b"x\r\n")
    assert _seconds(d) == 180.0
    d.body()
    d.flush()
    assert _seconds(d) == 600.0
    d.receive("250 OK")
    d.send(Noop())
    assert _seconds(d) == 300.0
    d.receive("250 OK")
    d.send(Quit())
    assert _seconds(d) == 30.0
    d.receive("221 bye")
    assert _seconds(d) is None


def test_time_runs_behind_the_last_verdict_where_half_a_reply_has_come() -> None:
    d = Dialogue()
    d.greeted()
    d.envelope()
    d.data()
    d.body(b"x\r\n")
    d.flush()
    d.receive("250 queued")
    assert _seconds(d) is None
    d.feed(b"2")
    assert d.need() is Need.DATA
    half = d.conn.timeout
    assert half is not None
    assert half.seconds == 300.0
    d.feed(b"50")
    assert d.conn.timeout == half, "half a reply is no progress"
    d.conn.timed_out()
    assert d.need() is Need.CLOSE
    assert isinstance(d.events[-1], Closed)
    assert d.events[-1].reason is CloseReason.TIMEOUT


def test_half_a_reply_does_not_time_the_application_out() -> None:
    d = Dialogue()
    d.greeted()
    d.envelope()
    d.data()
    d.feed(b"4")
    assert d.need() is Need.BODY
    assert d.conn.timeout is None


def test_writing_a_command_is_timed_as_its_reply_is() -> None:
    d = Dialogue()
    d.greeted("PIPELINING")
    for commands, seconds in (((Noop(),), 300.0), ((Mail(ALICE), Rcpt(BOB), Data()), 300.0)):
        before = d.conn.timeout
        for command in commands:
            d.conn.send(command)
        assert d.conn.data_to_send()
        writing = d.conn.timeout
        assert writing is not None
        assert writing.seconds == seconds
        assert writing != before
        assert d.need() is Need.DATA
        assert d.conn.timeout == writing, "the wait for the reply begins with the write"
        d.receive(*["250 OK"] * len(commands))
    d.receive("450 later")


def test_the_time_of_writing_is_over_when_it_is_done() -> None:
    d = Dialogue()
    d.greeted()
    d.envelope()
    d.data()
    d.conn.send_body(b"x\r\n")
    assert d.conn.data_to_send()
    assert _seconds(d) == 180.0
    assert d.need() is Need.BODY
    assert _seconds(d) is None


@pytest.mark.parametrize("chunking", [False, True])
def test_writing_a_body_is_timed_by_the_block(chunking: bool) -> None:  # §4.5.3.2.5
    d = Dialogue()
    d.connect(ClientConfig(chunk_size=4))
    d.greeted("PIPELINING", "CHUNKING")
    d.envelope()
    if chunking:
        d.send(Data(chunking=True))
    else:
        d.data()
    assert d.need() is Need.BODY
    seen: list[Timeout | None] = []
    for _ in range(3):
        d.conn.send_body(b"text\r\n")
        assert d.conn.data_to_send()
        seen.append(d.conn.timeout)
        assert d.conn.data_to_send() == b""
        assert d.conn.timeout == seen[-1], "it lasts until next_event()"
        assert d.need() is Need.BODY
    d.body()
    assert d.conn.data_to_send()
    seen.append(d.conn.timeout)
    # What goes with the dot has its time already: no next_event() stands between them.
    last = 180.0 if chunking else 600.0
    assert [each and each.seconds for each in seen] == [180.0, 180.0, 180.0, last]
    assert len({each.serial for each in seen if each}) == 4, "every write has its own time"
    d.need()
    assert _seconds(d) == (180.0 if chunking else 600.0)


def test_no_time_runs_for_what_an_ended_connection_was_writing() -> None:
    d = Dialogue()
    d.greeted()
    d.conn.send(Noop())
    assert d.conn.data_to_send()
    d.conn.timed_out()
    assert d.conn.timeout is None
    assert d.conn.data_to_send() == b""


def test_nor_for_a_body_that_was_not_written() -> None:
    d = _ready()
    d.envelope()
    d.data()
    d.conn.send_body(b"a line\r\n")
    assert _seconds(d) == 180.0
    d.conn.timed_out()
    assert d.conn.timeout is None


def test_what_an_offer_does_not_allow_is_told_with_the_command() -> None:
    d = _ready("DELIVERBY 60")
    early = Parameters(p.BY(p.BY.parse("59;R")))
    with pytest.raises(LocalProtocolError, match=r"^MAIL: BY below the minimum of 60 seconds$"):
        d.conn.send(Mail(ALICE, early))


def test_a_busy_connection() -> None:
    d = Dialogue()
    seen = [d.conn.busy]
    d.receive("220 mx")
    d.hello()
    seen.append(d.conn.busy)
    d.conn.send(Mail(ALICE))
    seen.append(d.conn.busy)
    d.flush()
    seen.append(d.conn.busy)
    d.receive("250 OK")
    seen.append(d.conn.busy)
    d.send(Rcpt(BOB))
    d.receive("250 OK")
    d.data()
    seen.append(d.conn.busy)
    d.body()
    d.flush()
    seen.append(d.conn.busy)
    d.receive("250 OK")
    seen.append(d.conn.busy)
    assert seen == [False, False, True, True, False, True, True, False]


def test_time_is_counted_anew_with_every_part_of_a_body() -> None:
    d = Dialogue()
    d.greeted("PIPELINING")
    d.envelope()
    d.data()
    seen: list[Timeout | None] = []
    for _ in range(3):
        d.conn.send_body(b"x\r\n")
        seen.append(d.conn.timeout)
    assert [each and each.seconds for each in seen] == [180.0] * 3
    assert len({each.serial for each in seen if each}) == 3


@scenario
def test_time_out(d: Dialogue) -> None:
    d.greeted("PIPELINING")
    mail = Mail(ALICE)
    d.send(mail)
    d.conn.timed_out()
    d.need()
    assert d.events[-2:] == [Unanswered(mail, Cause.LOST), Closed(CloseReason.TIMEOUT)]
    d.conn.timed_out()
    assert d.need() is Need.CLOSE


def test_abort() -> None:
    d = _ready()
    d.conn.send(Mail(ALICE))
    d.conn.abort("the cable was cut")
    assert d.flush() == b""
    assert d.events[-2:] == [
        Unanswered(Mail(ALICE), Cause.NOT_SENT),
        Closed(CloseReason.ABORTED, error="the cable was cut"),
    ]
    d.conn.abort()
    assert d.need() is Need.CLOSE
    conn = ClientConnection()
    conn.abort()
    assert drain(conn) == ([Closed(CloseReason.ABORTED, None, "")], Need.CLOSE)


# -- what can be read


def test_stats_and_repr() -> None:
    peer = Peer("192.0.2.1", 25)
    conn = ClientConnection(peer=peer)
    assert conn.peer is peer
    assert conn.config.port == 0
    d = _ready()
    d.envelope()
    stats = d.conn.stats
    assert (stats.commands, stats.replies, stats.messages) == (3, 4, 0)
    assert stats.octets_sent == len(
        b"EHLO c.example\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.org>\r\n"
    )
    assert repr(d.conn) == f"ClientConnection(state='rcpt', peer={Peer()!r})"
    assert d.conn.identity is None
    assert d.conn.tls is None
    assert d.conn.pending is None


@pytest.mark.parametrize("chunking", [False, True])
def test_with_the_connection_the_body_ends(chunking: bool) -> None:
    d = _ready("CHUNKING")
    d.envelope()
    d.send(Data(chunking=chunking))
    if not chunking:
        d.receive("354 go ahead")
    d.conn.send_body(b"a line\r\n")
    d.conn.timed_out()
    with pytest.raises(LocalProtocolError, match="no body is open"):
        d.conn.send_body(b"another\r\n")
    with pytest.raises(LocalProtocolError, match="no body is open"):
        d.conn.end_body()
    assert d.need() is Need.CLOSE
    assert d.conn.data_to_send() == b""


def test_commands_are_counted_as_they_are_written() -> None:
    d = _ready("PIPELINING")
    d.send(Mail(ALICE))
    d.send(Rcpt(BOB))
    assert d.conn.stats.commands == 3
    d.receive("250 OK")
    d.send(Rcpt(CAROL))
    assert d.conn.stats.commands == 4


@scenario
def test_what_comes_after_the_end_is_dropped(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.send(Quit())
    d.receive("221 bye")
    assert not d.conn.wants_data
    d.conn.receive_data(b"more")
    assert d.conn.trailing_data == b""


def test_the_trace_shows_both_directions() -> None:
    seen: list[tuple[str, bytes]] = []
    d = Dialogue(lambda octets: [octets[at : at + 1] for at in range(len(octets))])
    d.conn.trace = lambda direction, octets: seen.append((direction, octets))
    d.greeted("SIZE 5", "PIPELINING")
    d.send(Mail(ALICE), Rcpt(BOB), Data())
    d.receive("250 OK", "250 OK", "354 go")
    d.body(b"hi")
    d.flush()
    assert seen == [
        ("received", b"220 mx.example.com ESMTP\r\n"),
        ("sent", b"EHLO c.example\r\n"),
        ("received", b"250-mx.example.com\r\n250-SIZE 5\r\n250 PIPELINING\r\n"),
        ("sent", b"MAIL FROM:<alice@example.com>\r\n"),
        ("sent", b"RCPT TO:<bob@example.org>\r\n"),
        ("sent", b"DATA\r\n"),
        ("received", b"250 OK\r\n"),
        ("received", b"250 OK\r\n"),
        ("received", b"354 go\r\n"),
        ("sent", b"hi"),
        ("sent", b"\r\n.\r\n"),
    ]


def test_a_trace_set_late_shows_what_comes_from_then_on() -> None:
    d = Dialogue()
    d.conn.receive_data(b"220 m")
    seen: list[bytes] = []
    d.conn.trace = lambda direction, octets: seen.append(octets)
    d.feed(b"x\r\n")
    d.conn.trace = None
    d.hello("SIZE")
    assert seen == [b"x\r\n"]


def test_a_trace_taken_away_before_the_octets_leave() -> None:
    d = Dialogue()
    d.receive("220 mx")
    seen: list[bytes] = []
    d.conn.trace = lambda direction, octets: seen.append(octets)
    d.conn.send(Hello("c.example"))
    d.need()
    d.conn.data_to_send()
    d.receive("250-mx", "250 CHUNKING")
    d.envelope()
    d.data()
    d.conn.send_body(b"x\r\n")
    before = len(seen)
    d.conn.trace = None
    assert d.flush() == b"x\r\n"
    assert len(seen) == before


def test_what_a_trace_raises_propagates_and_changes_nothing() -> None:
    def trace(direction: str, octets: bytes) -> None:
        raise RuntimeError(direction)

    d = Dialogue()
    d.conn.trace = trace
    d.conn.receive_data(b"220 mx\r\n")
    with pytest.raises(RuntimeError, match="received"):
        d.conn.next_event()
    assert d.conn.next_event() == Greeting(Reply(220, "mx"))
    d.conn.send(Hello("c.example"))
    with pytest.raises(RuntimeError, match="sent"):
        d.conn.data_to_send()
    assert d.conn.data_to_send() == b"EHLO c.example\r\n"


def test_time_begins_when_a_command_is_written() -> None:
    d = Dialogue()
    d.receive("220 mx")
    d.hello()
    d.conn.send(Noop())
    queued = d.conn.timeout
    d.flush()
    assert queued is not None
    assert d.conn.timeout is not None
    assert d.conn.timeout.serial > queued.serial


@pytest.mark.parametrize(("code", "legal"), [(200, True), (250, True), (599, True), (199, False),
                                             (300, False), (399, False), (600, False)])  # fmt: skip
def test_the_class_of_a_reply_is_what_counts(code: int, legal: bool) -> None:
    d = Dialogue()
    d.greeted()
    d.send(Mail(ALICE))
    violated = [type(event) for event in d.receive(f"{code} so")] == [
        ProtocolViolation,
        Unanswered,
        Closed,
    ]
    assert violated is not legal


def test_a_greeting_is_any_2yz() -> None:
    assert Dialogue().receive("200 hello") == [Greeting(Reply(200, "hello"))]


@pytest.mark.parametrize("code", [400, 451, 500, 559])
def test_data_refused_opens_no_body(code: int) -> None:
    d = Dialogue()
    d.greeted()
    d.envelope()
    d.send(Data())
    assert d.receive(f"{code} no") == [ReplyReceived(Data(), Reply(code, "no"))]
    assert d.need() is Need.COMMAND
    assert d.conn.state is State.RCPT
    with pytest.raises(LocalProtocolError, match="no body is open"):
        d.conn.send_body(b"x")


@pytest.mark.parametrize("code", [300, 354, 399])
def test_data_opens_the_body_with_any_3yz_and_the_dot_has_none(code: int) -> None:
    d = Dialogue()
    d.greeted()
    for command in (Mail(ALICE), Rcpt(BOB)):
        d.send(command)
        d.receive("250 OK")
    d.send(Data())
    d.receive(f"{code} go on")
    assert d.conn.state is State.DATA
    d.body(b"x")
    d.flush()
    [violation, *_] = d.receive(f"{code} go on")
    assert isinstance(violation, ProtocolViolation)
    assert violation.kind is ViolationKind.WRONG_REPLY
