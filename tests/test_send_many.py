"""send_many: each envelope leaves with the end before it, and each message has one verdict."""

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.depth import examples
from tests.test_operations import EOF, MESSAGE, Driver, opened, outcomes

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import EndOfMessage, ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import LIMITS, PIPELINING
from smtpwire.extensions.limits import ServerLimits
from smtpwire.operations import (
    HANDED_IN,
    MailObject,
    SendingStopped,
    SendResult,
    UnsendableError,
    open_session,
    send_many,
)
from smtpwire.operations.send_many import check_messages
from smtpwire.testing import ConnectionPair, every_split
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import replace

DONE, RETRY = Disposition.DONE, Disposition.RETRY
PERMANENT, UNKNOWN = Disposition.PERMANENT, Disposition.UNKNOWN
OK = b"250 OK\r\n"
GO = b"354 go\r\n"
NO = b"550 no\r\n"
ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
BODY = MESSAGE + b".\r\n"


def message(
    recipients: Iterable[str] = ("b@example.org",), content: bytes | Iterable[bytes] = MESSAGE
) -> MailObject:
    return MailObject("a@example.com", recipients, content)


def each(results: list[SendResult]) -> list[Disposition]:
    """The outcomes of messages with a recipient each."""
    return [found for result in results for found in outcomes(result)]


def raising(error: BaseException) -> Iterator[bytes]:
    yield MESSAGE
    raise error


class Raising:
    """The same, which can be begun anew: it may take several transactions."""

    def __iter__(self) -> Iterator[bytes]:
        return raising(OSError("disk"))


# -- groups


def test_each_envelope_leaves_with_the_dot_before_it() -> None:  # RFC 2920 §3.1
    conn = opened(b"PIPELINING")
    written: list[bytes] = []
    operation = send_many(conn, [message(), message(), message()])
    answers = [OK + OK + GO, OK + OK + OK + GO, OK + OK + OK + GO, OK]
    for need in operation:
        assert need is Need.DATA
        written.append(conn.data_to_send())
        conn.receive_data(answers.pop(0))
    assert written == [ENVELOPE, BODY + ENVELOPE, BODY + ENVELOPE, BODY]
    assert conn.reusable


def test_without_pipelining_each_command_waits() -> None:
    conn = opened()
    driver = Driver(conn, *[OK, OK, GO, OK] * 2)
    assert each(driver.run(send_many(conn, [message(), message()]))) == [DONE, DONE]
    assert driver.said == (ENVELOPE + BODY) * 2
    assert driver.answers == []


def test_behind_a_last_chunk_rset_comes_first() -> None:  # RFC 3030 §2
    conn = opened(b"PIPELINING", b"CHUNKING")
    written: list[bytes] = []
    chunked = MailObject("a@example.com", ["b@example.org"], MESSAGE, chunking=True)
    answers = [OK + OK, OK + OK + OK + OK, OK]
    for _ in send_many(conn, [chunked, chunked]):
        written.append(conn.data_to_send())
        conn.receive_data(answers.pop(0))
    envelope, chunk = ENVELOPE.removesuffix(b"DATA\r\n"), b"BDAT 20 LAST\r\n" + MESSAGE
    assert written == [envelope, chunk + b"RSET\r\n" + envelope, chunk]
    assert conn.reusable


def test_a_refused_last_chunk_does_not_harm_the_next_message() -> None:
    conn = opened(b"PIPELINING", b"CHUNKING")
    chunked = MailObject("a@example.com", ["b@example.org"], MESSAGE, chunking=True)
    driver = Driver(conn, OK + OK, NO + OK + OK + OK, OK)
    assert each(driver.run(send_many(conn, [chunked, chunked]))) == [PERMANENT, DONE]
    assert conn.reusable


def test_a_refused_chunk_before_the_last_does_not_either() -> None:
    conn = opened(b"PIPELINING", b"CHUNKING", chunk_size=16)
    chunked = MailObject("a@example.com", ["b@example.org"], MESSAGE, chunking=True)
    driver = Driver(conn, OK + OK, NO + NO + OK + OK + OK, OK + OK)
    assert each(driver.run(send_many(conn, [chunked, chunked]))) == [PERMANENT, DONE]
    assert driver.said.count(b"RSET\r\n") == 1


def test_a_message_in_several_transactions_is_one_result() -> None:  # RFC 9422 §4.2
    conn = opened(b"PIPELINING", b"LIMITS RCPTMAX=1")
    driver = Driver(conn, OK + OK + GO, OK + OK + OK + GO, NO + OK + OK + GO, OK)
    results = driver.run(send_many(conn, [message(["b@example.org", "c@example.org"]), message()]))
    assert [outcomes(result) for result in results] == [[DONE, PERMANENT], [DONE]]
    assert driver.said.count(BODY + b"MAIL") == 2


def test_lmtp_has_a_reply_a_recipient() -> None:  # RFC 2033 §4.2
    conn = ClientConnection(ClientConfig("client.example.com", lmtp=True))
    Driver(conn, b"220 hi\r\n", b"250-mx\r\n250 PIPELINING\r\n").run(open_session(conn))
    two = ["b@example.org", "c@example.org"]
    driver = Driver(conn, OK * 3 + GO, OK + NO + OK * 3 + GO, NO + OK)
    results = driver.run(send_many(conn, [message(two), message(two)]))
    assert [outcomes(result) for result in results] == [[DONE, PERMANENT], [PERMANENT, DONE]]


def test_prdr_has_one_more() -> None:
    conn = opened(b"PIPELINING", b"PRDR")
    two = ["b@example.org", "c@example.org"]
    verdicts = b"353 one by one\r\n" + OK + NO + OK
    driver = Driver(conn, OK * 3 + GO, verdicts + OK * 3 + GO, verdicts)
    results = driver.run(send_many(conn, [message(two), message(two)]))
    assert [outcomes(result) for result in results] == [[DONE, PERMANENT]] * 2


def test_no_message_at_all() -> None:
    conn = opened()
    assert Driver(conn).run(send_many(conn, [])) == []


def test_a_message_without_recipients_is_refused_when_it_is_made() -> None:
    with pytest.raises(UnsendableError, match="there is no recipient"):
        MailObject("a@b.example", [], b"x")


# -- refusals


def test_a_refused_dot_is_one_messages_alone() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + OK + GO, NO + OK + OK + GO, OK)
    first, second = driver.run(send_many(conn, [message(), message()]))
    assert (outcomes(first), outcomes(second)) == ([PERMANENT], [DONE])
    assert first.recipients[0].command == "end of data"


def test_behind_a_refused_envelope_rset_leaves_with_the_next() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + NO + b"503 no recipients\r\n", OK + OK + OK + GO, OK)
    results = driver.run(send_many(conn, [message(), message()]))
    assert each(results) == [PERMANENT, DONE]
    assert driver.said == ENVELOPE + b"RSET\r\n" + ENVELOPE + BODY


def test_a_refused_mail_needs_no_rset() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, b"451 later\r\n" + b"503 no\r\n" * 2, OK + OK + GO, OK)
    assert each(driver.run(send_many(conn, [message(), message()]))) == [RETRY, DONE]
    assert b"RSET" not in driver.said


def test_a_server_that_takes_the_data_of_nobody_gets_a_lone_dot() -> None:  # RFC 2920 §3.1
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + NO + GO, b"554 nobody\r\n", OK + OK + GO, OK)
    assert each(driver.run(send_many(conn, [message(), message()]))) == [PERMANENT, DONE]


def test_the_last_one_that_fails_is_cleaned_up_behind() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + NO + b"503 no recipients\r\n", OK)
    assert each(driver.run(send_many(conn, [message()]))) == [PERMANENT]
    assert driver.said == ENVELOPE + b"RSET\r\n"
    assert conn.reusable


def test_where_rset_is_refused_nothing_behind_it_counts() -> None:
    conn = opened(b"PIPELINING")
    refused = OK + NO + b"503 no recipients\r\n"
    driver = Driver(conn, refused, b"500 what\r\n503 nested MAIL\r\n" + NO + NO)
    first, second, third = driver.run(send_many(conn, [message(), message(), message()]))
    assert (outcomes(first), outcomes(second), outcomes(third)) == ([PERMANENT], [RETRY], [RETRY])
    assert second.recipients[0].reason == "RSET was refused: 500 what"
    assert conn.closed is not None


# -- the end of the connection


def test_a_421_to_the_dot_refuses_it_and_all_behind() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + OK + GO, b"421 going down\r\n")
    results = driver.run(send_many(conn, [message(), message(), message()]))
    assert each(results) == [RETRY, RETRY, RETRY]
    assert [item.recipients[0].command for item in results] == ["end of data", "MAIL", "MAIL"]


def test_a_421_behind_a_verdict_leaves_the_verdict() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + OK + GO, OK + b"421 going down\r\n")
    assert each(driver.run(send_many(conn, [message(), message(), message()]))) == [
        DONE,
        RETRY,
        RETRY,
    ]


def test_of_a_dot_without_an_answer_nobody_knows() -> None:  # RFC 5321 §4.5.3.2.6
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + OK + GO, EOF)
    results = driver.run(send_many(conn, [message(), message(), message()]))
    assert each(results) == [UNKNOWN, RETRY, RETRY]
    assert {item.recipients[0].reason for item in results} == {"the server closed the connection"}


def test_of_a_dot_too_late_nobody_knows_either() -> None:
    conn = opened(b"PIPELINING")
    operation = send_many(conn, [message(), message()])
    next(operation)
    conn.data_to_send()
    conn.receive_data(OK + OK + GO)
    next(operation)
    conn.data_to_send()
    conn.timed_out()
    with pytest.raises(StopIteration) as stop:
        next(operation)
    assert each(stop.value.value) == [UNKNOWN, RETRY]


def test_a_connection_that_has_ended_tries_nothing() -> None:
    conn = opened()
    conn.abort("gone")
    assert each(Driver(conn).run(send_many(conn, [message(), message()]))) == [RETRY, RETRY]


def test_an_early_verdict_ends_the_connection_but_not_the_story() -> None:
    conn = opened(b"PIPELINING")
    pieces = message(content=iter([b"x" * 100_000, b"y"]))
    driver = Driver(conn, OK + OK + GO + b"552 too much\r\n")
    results = driver.run(send_many(conn, [pieces, message()]))
    assert each(results) == [PERMANENT, RETRY]


# -- a message's own fault


def test_what_this_server_cannot_take_is_refused_for_good() -> None:
    conn = opened(b"PIPELINING", b"SIZE 100")
    large = message(content=b"x" * 200)
    driver = Driver(conn, OK + OK + GO, OK, OK + OK + GO, OK)
    results = driver.run(send_many(conn, [message(), large, message()]))
    assert each(results) == [DONE, PERMANENT, DONE]
    assert "more than the server's 100" in results[1].recipients[0].reason


def test_an_envelope_that_no_line_can_carry_is_refused_for_good() -> None:
    conn = opened(b"PIPELINING")
    long = MailObject(Mail(Address("x" * 600, "example.com")), ["b@example.org"], MESSAGE)
    driver = Driver(conn, OK + OK + GO, OK, OK + OK + GO, OK)
    assert each(driver.run(send_many(conn, [message(), long, message()]))) == [
        DONE,
        PERMANENT,
        DONE,
    ]


def test_a_recipient_that_no_line_can_carry_leaves_the_others() -> None:
    conn = opened(b"PIPELINING", b"CHUNKING")
    long = Rcpt(Address("x" * 600, "example.com"))
    two = MailObject("a@example.com", [long, "b@example.org"], MESSAGE, chunking=True)
    driver = Driver(conn, OK + OK, OK * 4, OK)
    results = driver.run(send_many(conn, [two, two]))
    assert [outcomes(result) for result in results] == [[PERMANENT, DONE]] * 2


def test_the_last_mail_that_the_server_takes() -> None:  # RFC 9422 §4.1
    conn = opened(b"PIPELINING", b"LIMITS MAILMAX=1")
    driver = Driver(conn, OK + OK + GO, OK)
    results = driver.run(send_many(conn, [message(), message(), message()]))
    assert each(results) == [DONE, RETRY, RETRY]
    assert [item.recipients[0].session_used_up for item in results] == [False, True, True]


def test_content_that_raises_ends_the_connection_and_is_not_delivered() -> None:
    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + OK + GO, OK + OK + OK + GO)
    failing = message(content=raising(OSError("no such disk")))
    results = driver.run(send_many(conn, [message(), failing, message()]))
    assert each(results) == [DONE, RETRY, RETRY]
    assert results[1].recipients[0].reason == "the content failed: OSError: no such disk"
    assert results[2].recipients[0].reason == "the content ended early"
    assert driver.said.count(b"\r\n.\r\n") == 1


def test_content_that_cannot_even_be_begun() -> None:
    class Broken:
        def __iter__(self) -> Iterator[bytes]:
            raise OSError("no such file")

    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + OK + GO)
    results = driver.run(send_many(conn, [message(content=Broken())]))
    assert each(results) == [RETRY]


def test_a_failing_idna_is_one_messages_alone() -> None:
    def idna(domain: str) -> str:
        raise KeyError(domain)

    conn = opened(b"PIPELINING")
    odd = MailObject("a@example.com", ["b@bücher.example"], MESSAGE, idna=idna)
    driver = Driver(conn, OK + OK + GO, OK)
    results = driver.run(send_many(conn, [odd, message()]))
    assert each(results) == [RETRY, DONE]
    assert results[0].recipients[0].reason == "the message failed: KeyError: 'bücher.example'"


def test_handed_in_content_goes_with_the_rest() -> None:
    conn = opened(b"PIPELINING")
    handed = MailObject("a@example.com", ["b@example.org"], HANDED_IN)
    driver = Driver(conn, OK + OK + GO, OK + OK + OK + GO, OK, chunks=[MESSAGE])
    assert each(driver.run(send_many(conn, [message(), handed]))) == [DONE, DONE]
    assert driver.said == ENVELOPE + BODY + ENVELOPE + BODY


# -- the iterable


def test_each_is_taken_when_the_one_before_is_about_to_end() -> None:
    conn = opened(b"PIPELINING")
    taken: list[bytes] = []
    driver = Driver(conn, OK + OK + GO, OK + OK + OK + GO, OK)

    def messages() -> Iterator[MailObject]:
        for _ in range(2):
            taken.append(driver.said)
            yield message()

    driver.run(send_many(conn, messages()))
    assert taken == [b"", ENVELOPE]


def test_where_the_iterable_raises_all_before_have_their_results() -> None:
    def messages() -> Iterator[MailObject]:
        yield message()
        raise OSError("no queue")

    conn = opened(b"PIPELINING")
    driver = Driver(conn, OK + OK + GO, OK)
    with pytest.raises(SendingStopped, match="behind 1 messages: OSError: no queue") as stopped:
        driver.run(send_many(conn, messages()))
    assert each(stopped.value.results) == [DONE]
    assert isinstance(stopped.value.__cause__, OSError)
    assert conn.reusable


def test_what_is_no_message_is_told_at_once_where_that_can_be() -> None:
    conn = opened()
    with pytest.raises(TypeError, match="a message is a tuple: pass a MailObject"):
        send_many(conn, [message(), ("a@example.com", ["b@example.org"], MESSAGE)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="messages is a MailObject: pass an iterable"):
        send_many(conn, message())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="messages is a str: pass an iterable"):
        send_many(conn, "a@example.com")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="results is a tuple: pass a list"):
        send_many(conn, [], ())  # type: ignore[arg-type]
    with pytest.raises(SendingStopped, match="TypeError: a message is None"):
        Driver(conn).run(send_many(conn, iter([None])))  # type: ignore[arg-type]


def test_what_is_wrong_with_a_message_is_told_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="recipients is a str"):
        MailObject("a@example.com", "b@example.org", MESSAGE)
    with pytest.raises(ValueError, match="'b'"):
        MailObject("a@example.com", ["b"], MESSAGE)
    with pytest.raises(TypeError, match="content is a str"):
        MailObject("a@example.com", ["b@example.org"], "text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="chunkin"):
        MailObject("a@example.com", ["b@example.org"], MESSAGE, chunkin=True)  # type: ignore[call-arg]


def test_asynchronous_content_needs_a_loop() -> None:
    class Chunks:
        def __aiter__(self) -> "Chunks":
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

    odd = MailObject("a@example.com", ["b@example.org"], Chunks())
    conn = opened()
    with pytest.raises(TypeError, match="the content is asynchronous"):
        send_many(conn, (odd,))
    with pytest.raises(SendingStopped) as stopped:
        Driver(conn).run(send_many(conn, iter([odd])))
    assert isinstance(stopped.value.__cause__, TypeError)
    check_messages([odd], asynchronous=True)


def test_a_message_shows_its_envelope() -> None:
    assert repr(message()) == "MailObject(from a@example.com to b@example.org)"
    assert repr(MailObject(None, ["b@example.org"], b"")) == "MailObject(from <> to b@example.org)"


def test_a_message_can_be_sent_twice() -> None:
    conn = opened(b"PIPELINING")
    same = message()
    driver = Driver(conn, OK + OK + GO, OK + OK + NO + b"503 no\r\n", OK)
    assert each(driver.run(send_many(conn, [same, same]))) == [DONE, PERMANENT]


def test_no_session_no_messages() -> None:
    conn = ClientConnection()
    with pytest.raises(LocalProtocolError, match="no session is open"):
        Driver(conn).run(send_many(conn, [message()]))


# -- given up


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        ([], [RETRY]),
        ([OK + OK + GO], [UNKNOWN, RETRY]),
        ([OK + OK + GO, OK], [DONE, RETRY]),
        ([OK + OK + GO, OK + OK + OK + GO], [DONE, UNKNOWN]),
    ],
)
def test_what_is_known_when_it_is_given_up(answers: list[bytes], known: list[Disposition]) -> None:
    conn = opened(b"PIPELINING")
    results: list[SendResult] = []
    operation = send_many(conn, [message(), message()], results)
    next(operation)
    for answer in answers:
        conn.data_to_send()
        conn.receive_data(answer)
        next(operation)
    operation.close()
    assert each(results) == known


def test_what_a_driver_throws_in_is_no_fault_of_the_messages() -> None:
    conn = opened(b"PIPELINING")
    results: list[SendResult] = []
    operation = send_many(conn, [message(), message()], results)
    next(operation)
    conn.data_to_send()
    conn.receive_data(OK + OK + GO)
    next(operation)
    with pytest.raises(OSError, match="driver"):
        operation.throw(OSError("driver"))
    assert each(results) == [UNKNOWN, RETRY]


def test_what_a_driver_throws_in_for_content_is_the_messages_fault() -> None:
    conn = opened(b"PIPELINING")
    handed = MailObject("a@example.com", ["b@example.org"], HANDED_IN)
    operation = send_many(conn, [handed])
    next(operation)
    conn.data_to_send()
    conn.receive_data(OK + OK + GO)
    assert next(operation) is Need.BODY
    with pytest.raises(StopIteration) as stop:
        operation.throw(OSError("no such disk"))
    assert each(stop.value.value) == [RETRY]


def test_results_come_as_they_are_known() -> None:
    conn = opened(b"PIPELINING")
    results: list[SendResult] = []
    counts: list[int] = []
    answers = [OK + OK + GO, OK + OK + OK + GO, OK]
    operation = send_many(conn, [message(), message()], results)
    for _ in operation:
        counts.append(len(results))
        conn.data_to_send()
        conn.receive_data(answers.pop(0))
    assert counts == [0, 0, 1]
    assert len(results) == 2


# -- against the server's engine


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["250", "451", "550"]), min_size=1, max_size=3),
            st.sampled_from(["250", "250", "250", "452", "554", "421"]),
            st.sampled_from(["250", "250", "250", "250", "450", "553", "421"]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.integers(1, 40),
)
@settings(max_examples=examples(1), deadline=None)
def test_what_the_server_took_is_what_counts_as_done(
    plans: list[tuple[list[str], str, str, bool, bool]],
    pipelining: bool,
    rcptmax: int | None,
    cut: int,
) -> None:
    """Random refusals: whatever becomes of the others, nothing is done twice or told amiss."""
    config = ServerConfig.relay("mx.example.org", local_domains=["example.org"])
    offer = tuple(item for item in config.offer if pipelining or item is not PIPELINING)
    if rcptmax is not None:
        offer = (*offer, LIMITS(ServerLimits(rcptmax=rcptmax)))
    server = ServerConnection(replace(config, offer=offer))
    client = ClientConnection()
    delivered: Counter[str] = Counter()
    verdicts: dict[str, tuple[str, str, str]] = {}
    messages = []
    for number, (recipients, mail, end, chunked, raises) in enumerate(plans):
        names = [f"m{number}.{at}" for at in range(len(recipients))]
        verdicts |= {name: (mail, code, end) for name, code in zip(names, recipients, strict=True)}
        content: bytes | Raising = MESSAGE
        if raises and number % 3 == 2:
            content = Raising()
        sender = f"s{number}@example.com"
        to = [f"{name}@example.org" for name in names]
        messages.append(MailObject(sender, to, content, chunking=chunked))

    def answer(event: ServerEvent) -> None:
        match event:
            case Mail(address) if address is not None:
                number = int(address.local_part[1:])
                server.reply(_reply(plans[number][1]))
            case Rcpt(address):
                server.reply(_reply(verdicts[address.local_part][1]))
            case EndOfMessage(envelope):
                names = [rcpt.address.local_part for rcpt in envelope.recipients]
                end = verdicts[names[0]][2]
                if end == "250":
                    delivered.update(names)
                server.reply(_reply(end))
            case _:
                server.reply()

    def chunks(octets: bytes) -> Iterable[bytes]:
        return (octets[at : at + cut] for at in range(0, len(octets), cut))

    pair = ConnectionPair(client, server, answer=answer, chunks=chunks)
    pair.run(open_session(client))
    results = pair.run(send_many(client, iter(messages)))
    assert len(results) == len(messages)
    done = Counter(
        item.recipient.local_part
        for result in results
        for item in result.recipients
        if item.outcome is DONE
    )
    assert done == delivered
    for result in results:
        for item in result.recipients:
            mail, code, end = verdicts[item.recipient.local_part]
            if item.outcome is PERMANENT:
                assert "5" in (mail[0], code[0], end[0])
            if item.outcome in (RETRY, PERMANENT, UNKNOWN):
                assert item.recipient.local_part not in delivered


def _reply(code: str) -> Reply:
    return Reply(int(code), "so it is")


def test_every_split_of_the_replies_is_the_same() -> None:
    for pieces in every_split(NO + OK + OK + GO):
        driver = Driver(opened(b"PIPELINING"), OK + OK + GO, *pieces, OK)
        results = driver.run(send_many(driver.conn, [message(), message()]))
        assert each(results) == [PERMANENT, DONE]
