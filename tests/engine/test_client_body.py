"""The client's bodies: DATA and BDAT, LMTP's and PRDR's replies, and what can go wrong in them."""

from array import array

import pytest
from tests.engine.client_dialogue import ALICE, BOB, CAROL, Dialogue, answered, scenario

from smtpwire.engine.client.canonical import send_canonical
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Cause,
    ClientEvent,
    Closed,
    CloseReason,
    EndOfData,
    Greeting,
    ReplyReceived,
    ServiceClosing,
    Unanswered,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import parameters as p
from smtpwire.extensions.burl import Burl
from smtpwire.wire.command import Bdat, Command, Data, Hello, Mail, Noop, Quit, Rcpt, Rset
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply


def _body(*chunks: bytes) -> bytes:
    d = Dialogue()
    d.greeted("SIZE")
    d.envelope()
    d.data()
    d.body(*chunks)
    return d.flush()


@pytest.mark.parametrize(
    ("chunks", "wire"),
    [
        ([b".\r\n"], b"..\r\n.\r\n"),
        ([b"hi"], b"hi\r\n.\r\n"),
        ([], b".\r\n"),
        ([b"a\r\n", b".b\r\n"], b"a\r\n..b\r\n.\r\n"),
        ([b"www", b".example.com\r\n"], b"www.example.com\r\n.\r\n"),
        ([b"a\r\n", b"", b".\r\n"], b"a\r\n..\r\n.\r\n"),
    ],
)
def test_dots(chunks: list[bytes], wire: bytes) -> None:
    assert _body(*chunks) == wire


@pytest.mark.parametrize(
    "chunk", [b"a\n.b\n", b"50%\r100%\r\n", b"x\n.\r\nMAIL FROM:<e@example.org>\r\n"]
)
def test_bare_line_ends_are_never_sent(chunk: bytes) -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.envelope()
    d.data()
    with pytest.raises(LocalProtocolError, match="bare"):
        d.conn.send_body(chunk)
    assert d.flush() == b""
    d.body(b"fine\r\n")
    assert d.flush() == b"fine\r\n.\r\n", "nothing had changed"


def test_a_cr_at_the_very_end() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.envelope()
    d.data()
    d.conn.send_body(b"x\r")
    with pytest.raises(LocalProtocolError, match="bare CR"):
        d.conn.end_body()
    d.body(b"\n")
    assert d.flush() == b"x\r\n.\r\n"


def test_no_body_without_354() -> None:
    """RFC 5321 §3.3."""
    d = Dialogue()
    d.greeted("SIZE")
    for call in (lambda: d.conn.send_body(b"x"), d.conn.end_body):
        with pytest.raises(LocalProtocolError, match="no body is open"):
            call()
    d.envelope()
    d.data()
    with pytest.raises(LocalProtocolError, match="NOOP is out of order: the state is data"):
        d.conn.send(Noop())


@scenario
def test_the_needs_of_a_body(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.data()
    assert d.need() is Need.BODY
    d.conn.send_body(b"")
    assert d.need() is Need.BODY
    d.conn.send_body(b"x\r\n")
    assert d.need() is Need.WRITE
    assert d.conn.data_to_send() == b"x\r\n"
    assert d.need() is Need.BODY
    d.body()
    assert d.need() is Need.DATA
    assert d.flush() == b".\r\n"
    d.receive("250 OK")
    assert d.need() is Need.COMMAND


def test_a_large_body_is_written_with_back_pressure() -> None:
    d = Dialogue()
    d.connect(ClientConfig(limits=Limits(output=10)))
    d.greeted("SIZE")
    d.envelope()
    d.data()
    d.conn.send_body(b"x" * 20 + b"\r\n")
    d.conn.end_body()
    assert d.need() is Need.WRITE
    assert d.conn.data_to_send() == b"x" * 20 + b"\r\n.\r\n"
    assert d.need() is Need.DATA


@scenario
def test_a_refusal_while_the_body_is_open_is_the_verdict(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.data()
    d.conn.send_body(b"first half\r\n")
    d.flush()
    reply = Reply(552, "too large", "5.3.4")
    assert d.receive("552 5.3.4 too large") == [
        ReplyReceived(EndOfData(), reply),
        Closed(CloseReason.REFUSED, reply),
    ]
    assert d.flush() == b"", "no dot"


@scenario
def test_the_verdict_when_the_dot_is_queued(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.data()
    end = d.body(b"x\r\n")
    rset = d.conn.send(Rset())
    d.commands.append(rset)
    events = d.receive("451 no")
    assert events == [
        ReplyReceived(end, Reply(451, "no")),
        Unanswered(rset, Cause.NOT_SENT, Reply(451, "no")),
        Closed(CloseReason.REFUSED, Reply(451, "no")),
    ]
    assert d.flush() == b""


def test_the_verdict_came_before_the_dot_left() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.envelope()
    d.data()
    d.conn.receive_data(b"451 no\r\n")
    end = d.body()
    d.conn.data_to_send()
    d.need()
    assert d.events[-2:] == [
        ReplyReceived(end, Reply(451, "no")),
        Closed(CloseReason.REFUSED, Reply(451, "no")),
    ]


@scenario
def test_421_while_the_body_is_open(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.data()
    reply = Reply(421, "bye")
    assert d.receive("421 bye") == [
        ReplyReceived(EndOfData(), reply),
        ServiceClosing(reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


@pytest.mark.parametrize("line", ["250 OK", "354 again", "221 bye"])
def test_success_while_the_body_is_open_is_a_violation(line: str) -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.envelope()
    d.data()
    assert [type(event) for event in d.receive(line)] == [ProtocolViolation, Closed]


@scenario
def test_after_the_dot_the_end_of_the_stream_leaves_it_unknown(d: Dialogue) -> None:
    """RFC 5321 §4.2.5, §4.5.3.2.6."""
    d.greeted("SIZE")
    d.envelope()
    d.data()
    end = d.body(b"x\r\n")
    d.flush()
    assert d.eof() == [Unanswered(end, Cause.LOST), Closed(CloseReason.EOF)]


@scenario
def test_before_the_dot_has_left_it_is_known(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.data()
    end = d.body(b"x\r\n")
    assert d.eof() == [Unanswered(end, Cause.NOT_SENT), Closed(CloseReason.EOF)]


@pytest.mark.parametrize("line", ["354 what", "000 what", "what"])
def test_after_the_dot_nonsense_leaves_it_unknown(line: str) -> None:
    d = Dialogue()
    d.greeted("SIZE")
    d.envelope()
    d.data()
    end = d.body(b"x\r\n")
    d.flush()
    violation, *events = d.receive(line)
    assert isinstance(violation, ProtocolViolation)
    assert events == [
        Unanswered(end, Cause.LOST),
        Closed(CloseReason.VIOLATION, error=f"{violation.kind.value}: {line}"),
    ]


@scenario
def test_421_after_the_dot(d: Dialogue) -> None:
    d.greeted("SIZE")
    d.envelope()
    d.data()
    end = d.body(b"x\r\n")
    d.flush()
    reply = Reply(421, "shutting down", "4.3.2")
    assert d.receive("421 4.3.2 shutting down") == [
        ReplyReceived(end, reply),
        ServiceClosing(reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


# -- BDAT


@scenario
def test_one_chunk(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.envelope()
    data = Data(chunking=True)
    assert d.send(data) == b""
    assert d.need() is Need.BODY
    assert d.conn.state is State.CHUNKS
    end = d.body(b".a\r\n", b"..\r\n")
    assert d.flush() == b"BDAT 8 LAST\r\n.a\r\n..\r\n"
    assert d.receive("250 OK") == [ReplyReceived(end, Reply(250, "OK"))]
    assert d.conn.reusable
    assert d.conn.stats.messages == 1


@scenario
def test_an_empty_message_in_chunks(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.body()
    assert d.flush() == b"BDAT 0 LAST\r\n"
    d.receive("250 OK")


@scenario
def test_chunks_behind_chunks(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=4))
    d.greeted("CHUNKING", "PIPELINING")
    assert d.send(Mail(ALICE), Rcpt(BOB), Data(chunking=True)).count(b"\r\n") == 2
    assert d.need() is Need.DATA, "all replies are to be in before the first chunk"
    d.receive("250 OK", "250 OK")
    assert d.need() is Need.BODY
    d.conn.send_body(b"0123")
    assert d.need() is Need.BODY, "the last octets wait: they may be the last chunk"
    d.conn.send_body(b"456789abcde")
    assert d.need() is Need.WRITE
    assert d.flush() == b"BDAT 4\r\n0123BDAT 4\r\n4567BDAT 4\r\n89ab"
    assert d.need() is Need.BODY
    end = d.body(b"f")
    assert d.send(Rset(), Quit()) == b"BDAT 4 LAST\r\ncdefRSET\r\nQUIT\r\n"
    events = d.receive("250 OK", "250 OK", "250 OK", "250 queued", "250 OK", "221 bye")
    assert answered(events) == [
        (Bdat, 250),
        (Bdat, 250),
        (Bdat, 250),
        (EndOfData, 250),
        (Rset, 250),
        (Quit, 221),
    ]
    assert events[3] == ReplyReceived(end, Reply(250, "queued"))


@scenario
def test_chunks_one_at_a_time_without_pipelining(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=4))
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"0123456789")
    assert d.flush() == b"BDAT 4\r\n0123"
    assert d.need() is Need.DATA, "a chunk waits for a reply"
    d.receive("250 OK")
    assert d.flush() == b"BDAT 4\r\n4567"
    assert d.need() is Need.BODY, "the next may be prepared meanwhile"
    d.body()
    assert d.flush() == b""
    d.receive("250 OK")
    assert d.flush() == b"BDAT 2 LAST\r\n89"
    d.receive("250 OK")


@scenario
def test_mail_waits_for_the_reply_to_the_last_chunk(d: Dialogue) -> None:
    d.greeted("CHUNKING", "PIPELINING")
    d.envelope()
    d.send(Data(chunking=True))
    d.body(b"x")
    assert d.send(Mail(ALICE)) == b"BDAT 1 LAST\r\nx"
    d.receive("250 OK")
    assert d.flush() == b"MAIL FROM:<alice@example.com>\r\n"
    d.receive("250 OK")


@scenario
def test_after_a_refused_chunk_only_rset(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=3))
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"abcdefgh")
    d.flush()
    assert d.receive("552 too big") == [
        ReplyReceived(Bdat(3), Reply(552, "too big")),
        Unanswered(Bdat(3), Cause.NOT_SENT),
    ]
    assert d.need() is Need.COMMAND
    assert not d.conn.reusable
    for call in (lambda: d.conn.send_body(b"x"), d.conn.end_body):
        with pytest.raises(LocalProtocolError, match="no body is open"):
            call()
    with pytest.raises(LocalProtocolError, match="Rset is needed"):
        d.conn.send(Data(chunking=True))
    with pytest.raises(LocalProtocolError, match="Rset is needed"):
        d.conn.send(Mail(ALICE))
    assert d.send(Noop()) == b"NOOP\r\n"
    d.receive("250 OK")
    assert d.send(Rset()) == b"RSET\r\n"
    d.receive("250 OK")
    assert d.conn.reusable


@scenario
def test_chunks_in_the_pipeline_behind_a_refused_one(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=3))
    d.greeted("CHUNKING", "PIPELINING")
    d.envelope()
    d.send(Data(chunking=True))
    end = d.body(b"abcdef")
    assert d.flush() == b"BDAT 3\r\nabcBDAT 3 LAST\r\ndef"
    assert d.receive("452 full", "503 failed") == [
        ReplyReceived(Bdat(3), Reply(452, "full")),
        ReplyReceived(end, Reply(503, "failed")),
    ]
    assert d.conn.state is State.CHUNKS
    d.hello("SIZE")
    assert d.conn.reusable


@scenario
def test_the_last_chunk_is_not_written_behind_a_refused_one(d: Dialogue) -> None:
    d.connect(ClientConfig(chunk_size=3))
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    end = d.body(b"abcdef")
    rset = Rset()
    d.send(Mail(ALICE), rset)
    assert d.receive("452 full")[1:] == [
        Unanswered(end, Cause.NOT_SENT),
        Unanswered(Mail(ALICE), Cause.NOT_SENT),
    ]
    assert d.flush() == b"RSET\r\n"
    d.receive("250 OK")
    assert d.conn.reusable


@scenario
def test_a_refused_last_chunk_needs_rset(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.body(b"abc")
    d.flush()
    assert answered(d.receive("554 spam")) == [(EndOfData, 554)]
    assert not d.conn.reusable
    d.send(Rset())
    d.receive("500 what")
    with pytest.raises(LocalProtocolError, match="Rset is needed"):
        d.conn.send(Data(chunking=True))
    d.send(Rset())
    d.receive("250 OK")
    assert d.conn.reusable


@scenario
def test_giving_up_a_body_in_chunks(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"never mind")
    assert d.send(Rset()) == b"RSET\r\n"
    with pytest.raises(LocalProtocolError, match="no body is open"):
        d.conn.send_body(b"x")
    d.receive("250 OK")
    assert d.conn.reusable


@scenario
def test_chunks_without_a_recipient_are_never_sent(d: Dialogue) -> None:
    d.greeted("CHUNKING", "PIPELINING")
    data = Data(chunking=True)
    d.send(Mail(ALICE), Rcpt(BOB), data)
    assert d.receive("250 OK", "550 no")[2:] == [Unanswered(data, Cause.NOT_SENT)]
    assert d.need() is Need.COMMAND
    d.send(Rset())
    d.receive("250 OK")


@scenario
def test_a_refused_mail_takes_the_chunks_along(d: Dialogue) -> None:
    d.greeted("CHUNKING", "PIPELINING")
    data = Data(chunking=True)
    d.send(Mail(ALICE), Rcpt(BOB), data)
    events = d.receive("550 no", "503 no")
    assert Unanswered(data, Cause.NOT_SENT) in events
    assert d.conn.reusable


@scenario
def test_a_body_given_up_before_it_opened(d: Dialogue) -> None:
    d.greeted("CHUNKING", "PIPELINING")
    data = Data(chunking=True)
    d.send(Mail(ALICE), Rcpt(BOB), data, Rset())
    assert d.receive("250 OK", "250 OK")[2:] == [Unanswered(data, Cause.NOT_SENT)]
    assert d.flush() == b"RSET\r\n"
    d.receive("250 OK")


@scenario
def test_a_verdict_between_chunks(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"x")
    assert answered(d.receive("452 full")) == [(EndOfData, 452)]


@scenario
def test_a_reply_nobody_asked_for_as_the_body_opens(d: Dialogue) -> None:
    # Whether it comes together with the reply that opens the body must not matter.
    d.greeted("CHUNKING")
    d.send(Mail(ALICE))
    d.receive("250 OK")
    d.send(Rcpt(BOB), Data(chunking=True))
    _, violation, closed = d.receive("250 OK", "250 OK again")
    assert violation == ProtocolViolation(ViolationKind.WRONG_REPLY, d.received - 14, fatal=True)
    assert isinstance(closed, Closed)
    assert closed.reason is CloseReason.VIOLATION


@pytest.mark.parametrize("line", ["no reply", "999 x"])
def test_what_is_no_reply_as_the_body_opens(line: str) -> None:
    def script(d: Dialogue) -> None:
        d.greeted("CHUNKING")
        d.send(Mail(ALICE))
        d.receive("250 OK")
        d.send(Rcpt(BOB), Data(chunking=True))
        _, violation, closed = d.receive("250 OK", line)
        assert isinstance(violation, ProtocolViolation)
        assert closed == Closed(CloseReason.VIOLATION, error=f"{violation.kind.value}: {line}")

    scenario(script)()


@scenario
def test_the_stream_ends_as_the_body_opens(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.send(Mail(ALICE))
    d.receive("250 OK")
    d.conn.send(Rcpt(BOB))
    d.conn.send(Data(chunking=True))
    d.flush()
    d.conn.receive_data(b"250 OK\r\n")
    d.conn.receive_data(b"")
    assert d.need() is Need.CLOSE
    assert not any(isinstance(event, Unanswered) for event in d.events), "the body was open"


@scenario
def test_a_reply_nobody_asked_for_as_a_body_without_recipients_is_given_up(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.send(Mail(ALICE))
    d.receive("250 OK")
    data = Data(chunking=True)
    d.send(Rcpt(BOB), data)
    _, unanswered, closing, closed = d.receive("550 no", "421 bye")
    assert unanswered == Unanswered(data, Cause.NOT_SENT)
    assert closing == ServiceClosing(Reply(421, "bye"))
    assert isinstance(closed, Closed)


@scenario
def test_a_verdict_when_the_last_chunk_is_queued(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    end = d.body(b"x")
    assert d.receive("452 full")[0] == ReplyReceived(end, Reply(452, "full"))


@scenario
def test_a_verdict_with_a_command_before_the_last_chunk(d: Dialogue) -> None:
    """The message ends once: not a second time as what was never sent."""
    d.connect(ClientConfig(chunk_size=2))
    d.greeted("CHUNKING", "PIPELINING")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"abc")
    assert d.flush() == b"BDAT 2\r\nab"
    noop = d.conn.send(Noop())
    end = d.body()
    d.commands.append(noop)
    bye = Reply(421, "bye")
    events = d.receive("250 OK", "421 bye")
    assert events[1:] == [
        ReplyReceived(end, bye),
        ServiceClosing(bye),
        Unanswered(noop, Cause.NOT_SENT, bye),
        Closed(CloseReason.SHUTDOWN, bye),
    ]
    assert isinstance(events[1], ReplyReceived)
    assert events[1].command is end


def test_a_verdict_that_began_before_a_chunk_was_written() -> None:
    """It is the message's, once a recipient; the chunk has none."""
    d = Dialogue()
    d.connect(ClientConfig(lmtp=True, chunk_size=2))
    d.receive("220 mx LMTP")
    d.hello("PIPELINING", "CHUNKING", lmtp=True)
    bob, carol = Rcpt(BOB), Rcpt(CAROL)
    d.send(Mail(ALICE), bob, carol, Data(chunking=True))
    d.receive("250 OK", "250 OK", "250 OK")
    d.feed(b"421 by")
    d.conn.send_body(b"abc")
    d.flush()
    (first, second, _, chunk, _) = d.feed(b"e\r\n")
    assert isinstance(first, ReplyReceived)
    assert first == ReplyReceived(EndOfData(), Reply(421, "bye"), bob)
    assert second == ReplyReceived(first.command, Reply(421, "bye"), carol)
    assert chunk == Unanswered(Bdat(2), Cause.LOST)


@pytest.mark.parametrize("leading", [Rset(), Hello("c.example")])
def test_a_body_that_was_given_up_is_not_gone_on_with(leading: Command) -> None:
    """Where RSET or EHLO is refused the server still has its chunks (RFC 3030 §2)."""

    def script(d: Dialogue) -> None:
        d.connect(ClientConfig(chunk_size=2))
        d.greeted("CHUNKING")
        d.envelope()
        d.send(Data(chunking=True))
        d.conn.send_body(b"abc")
        d.flush()
        d.receive("250 OK")
        d.send(leading)
        d.receive("550 no")
        with pytest.raises(LocalProtocolError, match="given up: Rset is needed"):
            d.conn.send(Data(chunking=True))
        d.send(Rset())
        d.receive("250 OK")
        d.envelope()

    scenario(script)()


@scenario
def test_a_reply_between_giving_up_and_rset(d: Dialogue) -> None:
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.need()
    rset = d.conn.send(Rset())
    d.commands.append(rset)
    assert [type(event) for event in d.receive("452 full")] == [
        ProtocolViolation,
        Unanswered,
        Closed,
    ]


def test_chunks_need_their_extension() -> None:
    """RFC 3030 §2."""
    d = Dialogue()
    d.greeted("BINARYMIME", "8BITMIME")
    d.envelope()
    with pytest.raises(LocalProtocolError, match="BDAT needs CHUNKING"):
        d.conn.send(Data(chunking=True))


def test_a_body_opens_once() -> None:
    d = Dialogue()
    d.greeted("CHUNKING")
    d.envelope()
    d.conn.send(Data(chunking=True))
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="already open"):
            d.conn.send(Data(chunking=True))
        d.need()
    with pytest.raises(LocalProtocolError, match="DATA is out of order"):
        d.conn.send(Data())
    with pytest.raises(LocalProtocolError, match="end_body"):
        d.conn.send(Bdat(3))


def test_binary_bodies_go_in_chunks_only() -> None:
    d = Dialogue()
    d.greeted("CHUNKING", "BINARYMIME")
    d.send(Mail(ALICE, Parameters(p.BODY(p.Body.BINARYMIME))))
    d.receive("250 OK")
    d.send(Rcpt(BOB))
    d.receive("250 OK")
    with pytest.raises(LocalProtocolError, match="needs Data"):
        d.conn.send(Data())
    d.send(Data(chunking=True))
    d.body(b"\x00\n\r")
    assert d.flush() == b"BDAT 3 LAST\r\n\x00\n\r"


@scenario
def test_behind_rset_the_next_message_survives_a_refused_last_chunk(d: Dialogue) -> None:
    """RFC 3030 §2: RSET leads on, and it has left."""
    d.greeted("PIPELINING", "CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    end = d.body(b"x\r\n")
    rset, mail, rcpt = d.conn.send(Rset(), Mail(ALICE), Rcpt(BOB))
    d.conn.send(Data(chunking=True))
    d.flush()
    no, ok = Reply(554, "no"), Reply(250, "OK")
    assert d.receive("554 no", "250 OK", "250 OK", "250 OK") == [
        ReplyReceived(end, no),
        ReplyReceived(rset, ok),
        ReplyReceived(mail, ok),
        ReplyReceived(rcpt, ok),
    ]
    d.body(b"y\r\n")
    assert d.flush() == b"BDAT 3 LAST\r\ny\r\n"


# -- LMTP


def _lmtp(d: Dialogue, *keywords: str) -> tuple[Rcpt, Rcpt, Rcpt]:
    d.connect(ClientConfig(lmtp=True))
    d.receive("220 mx LMTP")
    d.hello(*keywords, lmtp=True)
    first, second, third = Rcpt(BOB), Rcpt(CAROL), Rcpt(BOB)
    d.send(Mail(ALICE), first, second, third)
    return first, second, third


@scenario
def test_lmtp_has_a_reply_a_recipient(d: Dialogue) -> None:
    first, _, third = _lmtp(d, "PIPELINING")
    d.send(Data())
    d.receive("250 OK", "250 OK", "550 no", "250 OK", "354 go")
    end = d.body(b"x\r\n")
    d.flush()
    assert d.conn.replies_owed == 2
    assert d.receive("250 one") == [ReplyReceived(end, Reply(250, "one"), first)]
    assert d.conn.replies_owed == 1
    events = d.receive("452 full")
    assert events == [ReplyReceived(end, Reply(452, "full"), third)]
    assert isinstance(events[0], ReplyReceived)
    assert events[0].recipient is third
    assert d.conn.reusable


def test_all_replies_of_lmtp_are_owed_before_those_of_what_follows() -> None:
    d = Dialogue()
    _lmtp(d, "PIPELINING")
    d.send(Data())
    d.receive("250 OK", "250 OK", "550 no", "250 OK", "354 go")
    d.body(b"x\r\n")
    d.send(Mail(ALICE))
    assert d.conn.replies_owed == 3


@scenario
def test_lmtp_and_the_end_of_the_stream(d: Dialogue) -> None:
    """RFC 2033 §5."""
    first, second, third = _lmtp(d, "PIPELINING")
    d.send(Data())
    d.receive("250 OK", "250 OK", "250 OK", "250 OK", "354 go")
    end = d.body(b"x\r\n")
    d.flush()
    events: list[ClientEvent] = d.receive("250 one") + d.eof()
    assert events == [
        ReplyReceived(end, Reply(250, "one"), first),
        Unanswered(end, Cause.LOST, None, second),
        Unanswered(end, Cause.LOST, None, third),
        Closed(CloseReason.EOF),
    ]


@scenario
def test_lmtp_and_421(d: Dialogue) -> None:
    first, second, third = _lmtp(d, "PIPELINING")
    d.send(Data())
    d.receive("250 OK", "250 OK", "250 OK", "250 OK", "354 go")
    end = d.body(b"x\r\n")
    d.flush()
    reply = Reply(421, "bye")
    assert d.receive("250 one", "421 bye")[1:] == [
        ReplyReceived(end, reply, second),
        ServiceClosing(reply),
        Unanswered(end, Cause.CLOSING, reply, third),
        Closed(CloseReason.SHUTDOWN, reply),
    ]
    assert first is not third


@scenario
def test_lmtp_and_421_with_more_in_the_flight(d: Dialogue) -> None:
    first, second, third = _lmtp(d, "PIPELINING")
    d.send(Data())
    d.receive("250 OK", "250 OK", "250 OK", "250 OK", "354 go")
    end = d.body(b"x\r\n")
    rset = Rset()
    assert d.send(rset) == b"x\r\n.\r\nRSET\r\n"
    reply = Reply(421, "bye")
    assert d.receive("250 one", "421 bye") == [
        ReplyReceived(end, Reply(250, "one"), first),
        ReplyReceived(end, reply, second),
        ServiceClosing(reply),
        Unanswered(end, Cause.CLOSING, reply, third),
        Unanswered(rset, Cause.CLOSING, reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


@scenario
def test_lmtp_verdict_is_each_recipients(d: Dialogue) -> None:
    _lmtp(d, "PIPELINING")
    d.send(Data())
    d.receive("250 OK", "250 OK", "250 OK", "250 OK", "354 go")
    assert len(answered(d.receive("452 full"))) == 3


@scenario
def test_lmtp_354_without_a_recipient_is_the_end(d: Dialogue) -> None:
    _lmtp(d, "PIPELINING")
    d.send(Data())
    events = d.receive("250 OK", "550 no", "550 no", "550 no", "354 go")
    assert [type(event) for event in events[4:]] == [ReplyReceived, ProtocolViolation, Closed]


@scenario
def test_lmtp_last_chunk_waits_for_all_replies(d: Dialogue) -> None:
    d.connect(ClientConfig(lmtp=True, chunk_size=2))
    d.receive("220 mx LMTP")
    d.hello("PIPELINING", "CHUNKING", lmtp=True)
    rcpt = Rcpt(BOB)
    d.send(Mail(ALICE), rcpt, Data(chunking=True))
    d.receive("250 OK", "250 OK")
    end = d.body(b"abcd")
    assert d.flush() == b"BDAT 2\r\nab"
    d.receive("250 OK")
    assert d.flush() == b"BDAT 2 LAST\r\ncd"
    assert d.receive("550 no") == [ReplyReceived(end, Reply(550, "no"), rcpt)]
    assert d.conn.reusable


# -- PRDR


def _prdr(d: Dialogue) -> tuple[EndOfData, Rcpt, Rcpt]:
    d.greeted("PRDR", "PIPELINING")
    first, second = Rcpt(BOB), Rcpt(CAROL)
    d.send(Mail(ALICE, Parameters(p.PRDR(True))), first, second, Data())
    d.receive("250 OK", "250 OK", "250 OK", "354 go")
    end = d.body(b"x\r\n")
    d.flush()
    return end, first, second


@scenario
def test_prdr_has_a_reply_a_recipient_and_a_final_one(d: Dialogue) -> None:
    end, first, second = _prdr(d)
    assert d.receive("353 content analysis") == []
    assert d.conn.replies_owed == 3
    assert d.receive("250 one", "550 two", "250 done") == [
        ReplyReceived(end, Reply(250, "one"), first),
        ReplyReceived(end, Reply(550, "two"), second),
        ReplyReceived(end, Reply(250, "done")),
    ]
    assert d.conn.reusable


@scenario
def test_prdr_with_one_reply_for_all(d: Dialogue) -> None:
    end, _, _ = _prdr(d)
    assert d.receive("550 spam") == [ReplyReceived(end, Reply(550, "spam"))]
    assert d.conn.reusable


@scenario
def test_prdr_and_the_end_of_the_stream(d: Dialogue) -> None:
    end, _, second = _prdr(d)
    d.receive("353 content analysis", "250 one")
    assert d.eof() == [
        Unanswered(end, Cause.LOST, None, second),
        Unanswered(end, Cause.LOST),
        Closed(CloseReason.EOF),
    ]


@scenario
def test_prdr_and_421(d: Dialogue) -> None:
    end, first, second = _prdr(d)
    reply = Reply(421, "bye")
    assert d.receive("353 content analysis", "421 bye") == [
        ReplyReceived(end, reply, first),
        ServiceClosing(reply),
        Unanswered(end, Cause.CLOSING, reply, second),
        Unanswered(end, Cause.CLOSING, reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


@scenario
def test_prdr_and_421_as_the_final_reply(d: Dialogue) -> None:
    end, _, _ = _prdr(d)
    reply = Reply(421, "bye")
    events = d.receive("353 content analysis", "250 one", "250 two", "421 bye")
    assert events[2:] == [
        ReplyReceived(end, reply),
        ServiceClosing(reply),
        Closed(CloseReason.SHUTDOWN, reply),
    ]


@scenario
def test_prdr_has_no_second_353(d: Dialogue) -> None:
    end, first, second = _prdr(d)
    events = d.receive("353 content analysis", "353 again")
    assert events[1:] == [
        Unanswered(end, Cause.LOST, None, first),
        Unanswered(end, Cause.LOST, None, second),
        Unanswered(end, Cause.LOST),
        Closed(CloseReason.VIOLATION, error="a reply that the command cannot have: 353 again"),
    ]


@pytest.mark.parametrize("code", [350, 352, 354])
def test_no_other_3yz_opens_the_replies_of_prdr(code: int) -> None:
    d = Dialogue()
    _prdr(d)
    d.receive(f"{code} content analysis")
    assert d.conn.closed is not None
    assert d.conn.closed.reason is CloseReason.VIOLATION


# -- BURL


@scenario
def test_burl_in_one_group(d: Dialogue) -> None:
    d.greeted("BURL imap", "8BITMIME", "PIPELINING")
    burl = Burl("imap://example.com/x", last=True)
    assert d.send(Mail(ALICE), Rcpt(BOB), burl).endswith(b"BURL imap://example.com/x LAST\r\n")
    assert answered(d.receive("250 OK", "250 OK", "250 queued"))[-1] == (Burl, 250)
    assert d.conn.reusable


@scenario
def test_the_last_burl_has_a_reply_a_recipient_in_lmtp(d: Dialogue) -> None:
    first, second, third = _lmtp(d, "BURL imap", "8BITMIME", "PIPELINING")
    burl = Burl("imap://example.com/x", last=True)
    assert d.send(burl) == b"", "as many replies are owed as recipients are accepted"
    d.receive("250 OK", "250 OK", "250 OK", "250 OK")
    assert d.flush() == b"BURL imap://example.com/x LAST\r\n"
    assert d.conn.replies_owed == 3
    events: list[ClientEvent] = d.receive("250 one") + d.eof()
    assert events == [
        ReplyReceived(burl, Reply(250, "one"), first),
        Unanswered(burl, Cause.LOST, None, second),
        Unanswered(burl, Cause.LOST, None, third),
        Closed(CloseReason.EOF),
    ]


@pytest.mark.parametrize("lmtp", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_no_burl_where_no_recipient_was_accepted(last: bool, lmtp: bool) -> None:
    d = Dialogue()
    d.connect(ClientConfig(hello_name="c.example", lmtp=lmtp))
    d.greeted("BURL imap", "8BITMIME", lmtp=lmtp)
    d.send(Mail(ALICE))
    d.receive("250 OK")
    burl = Burl("imap://example.com/x", last=last)
    d.send(Rcpt(BOB), burl)
    assert d.receive("550 nobody here")[1:] == [Unanswered(burl, Cause.NOT_SENT)]
    assert d.flush() == b"", "in LMTP nothing would answer it"
    assert d.need() is Need.COMMAND
    assert d.conn.state is State.MAIL


@pytest.mark.parametrize("before", [b"", b"text\r\n", b"\r"])
@pytest.mark.parametrize(
    "chunk", [b"a\n.b\n", b"50%\r100%\r\n", b"x\n.\r\nMAIL FROM:<e@example.org>\r\n", b"\r\r"]
)
def test_bare_line_ends_are_never_sent_in_chunks_of_text(before: bytes, chunk: bytes) -> None:
    d = Dialogue()
    d.greeted("CHUNKING", "8BITMIME")
    d.send(Mail(ALICE, Parameters(p.BODY(p.Body.EIGHTBITMIME))))
    d.receive("250 OK")
    d.send(Rcpt(BOB))
    d.receive("250 OK")
    d.send(Data(chunking=True))
    d.need()
    d.conn.send_body(before)
    with pytest.raises(LocalProtocolError, match=r"bare (CR|LF) at offset [0-9]"):
        d.conn.send_body(chunk)
    d.body(b"\nfine\r\n" if before == b"\r" else b"fine\r\n")
    sent = (b"\r\n" if before == b"\r" else before) + b"fine\r\n"
    assert d.flush() == b"BDAT %d LAST\r\n%b" % (len(sent), sent), "nothing had changed"


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize(
    ("before", "between", "behind"),
    [
        (b"text\r", b"\n", b"\n.\r\nMAIL FROM:<e@example.org>\r\n"),
        (b"text\r\n", b"\r", b".\r\nMAIL FROM:<e@example.org>\r\n"),
        (b"text\r", b"", b".\r\nMAIL FROM:<e@example.org>\r\n"),
        (b"text\r", b"\n\r", b"\r\n.\r\n"),
    ],
)
def test_no_bare_line_end_where_an_operations_content_meets_what_came_between(
    before: bytes, between: bytes, behind: bytes, chunking: bool
) -> None:
    d = Dialogue()
    d.greeted("CHUNKING", "BURL imap")
    d.envelope()
    if chunking:
        d.send(Data(chunking=True))
        d.need()
    else:
        d.data()
    send_canonical(d.conn, before)
    d.conn.send_body(between)
    with pytest.raises(LocalProtocolError, match=r"bare (CR|LF) at offset [0-9]"):
        send_canonical(d.conn, behind)
    cr = (before + between).endswith(b"\r")
    send_canonical(d.conn, b"\nfine\r\n" if cr else b"fine\r\n")
    d.conn.end_body()
    sent = before + between + (b"\nfine\r\n" if cr else b"fine\r\n")
    end = b"BDAT %d LAST\r\n%b" % (len(sent), sent) if chunking else sent + b".\r\n"
    assert d.flush() == end, "nothing had changed"


def test_a_cr_at_the_very_end_of_chunks() -> None:
    d = Dialogue()
    d.greeted("CHUNKING", "BURL imap")
    d.envelope()
    d.send(Data(chunking=True))
    d.need()
    d.conn.send_body(b"x\r")
    with pytest.raises(LocalProtocolError, match="bare CR at offset 1"):
        d.conn.end_body()
    with pytest.raises(LocalProtocolError, match="bare CR at offset 1"):
        d.conn.send(Burl("imap://example.com/x"))
    d.body(b"\n")
    assert d.flush() == b"BDAT 3 LAST\r\nx\r\n"


@scenario
def test_burl_between_chunks(d: Dialogue) -> None:
    d.greeted("BURL imap", "8BITMIME", "PIPELINING", "CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.need()
    for part in (b"h", b"ea", b"d\r\n"):
        d.conn.send_body(part)
    assert (
        d.send(Burl("imap://example.com/x")) == b"BDAT 6\r\nhead\r\nBURL imap://example.com/x\r\n"
    )
    d.body(b"tail\r\n")
    assert d.flush() == b"BDAT 6 LAST\r\ntail\r\n"
    d.receive("250 OK", "250 OK", "250 queued")
    assert d.conn.reusable


@scenario
def test_burl_ends_a_body_in_chunks(d: Dialogue) -> None:
    d.greeted("BURL imap", "8BITMIME", "CHUNKING")
    d.envelope()
    d.send(Burl("imap://example.com/x"))
    d.receive("250 OK")
    d.send(Data(chunking=True))
    d.need()
    assert d.send(Burl("imap://example.com/y", last=True)) == b"BURL imap://example.com/y LAST\r\n"
    with pytest.raises(LocalProtocolError, match="no body is open"):
        d.conn.send_body(b"x")
    d.receive("554 not found")
    assert not d.conn.reusable
    d.send(Rset())
    d.receive("250 OK")


def test_the_trace_hides_the_url() -> None:
    seen: list[bytes] = []
    d = Dialogue()
    d.greeted("BURL imap", "8BITMIME")
    d.envelope()
    d.conn.trace = lambda direction, octets: seen.append(octets)
    d.send(Burl("imap://example.com/x;URLAUTH=secret", last=True))
    assert seen == [b"BURL <redacted>\r\n"]


def test_burl_needs_its_extension_and_a_recipient() -> None:
    d = Dialogue()
    d.greeted("SIZE")
    with pytest.raises(LocalProtocolError, match="BURL is out of order"):
        d.conn.send(Burl("imap://example.com/x"))
    d.envelope()
    with pytest.raises(LocalProtocolError, match="the server does not offer BURL"):
        d.conn.send(Burl("imap://example.com/x"))
    assert d.conn.state is State.RCPT
    d.send(Hello("c.example"))


def test_the_end_of_data_is_written_as_a_dot() -> None:
    assert bytes(EndOfData()) == b"."


@pytest.mark.parametrize("chunking", [False, True])
def test_every_buffer_of_octets_is_a_chunk_and_nothing_else(chunking: bool) -> None:
    """A number would be so many NULs, and wider items another count than that of their octets."""
    d = Dialogue()
    d.greeted("PIPELINING", "CHUNKING")
    d.envelope()
    d.send(Data(chunking))
    if not chunking:
        d.receive("354 go")
    for chunk in (bytearray(b"a"), memoryview(b"b"), array("B", b"c\r\n")):
        d.conn.send_body(chunk)  # type: ignore[arg-type]
    for no_chunk in (5, None, "text", array("I", [1]), memoryview(array("H", [1]))):
        with pytest.raises(TypeError):
            d.conn.send_body(no_chunk)  # type: ignore[arg-type]
    d.body()
    assert d.flush() == (b"BDAT 5 LAST\r\nabc\r\n" if chunking else b"abc\r\n.\r\n")


def test_every_buffer_of_octets_can_be_received_and_nothing_else() -> None:
    d = Dialogue()
    for part in (bytearray(b"220 "), memoryview(b"mx"), array("B", b"\r\n")):
        d.conn.receive_data(part)  # type: ignore[arg-type]
    for no_octets in (5, None, "text", array("I", [1])):
        with pytest.raises(TypeError):
            d.conn.receive_data(no_octets)  # type: ignore[arg-type]
    d.need()
    assert d.events == [Greeting(Reply(220, "mx"))]
    assert not d.conn.eof_received
