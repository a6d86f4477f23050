"""No message hides a second one: neither in what our server takes nor in what our client sends.

A look-alike of the end of data is a dot with anything of CR, LF, CRLF, NUL and nothing on each side
of it. Behind it stands a whole transaction that must never be taken for one (RFC 5321 §4.1.1.4:
the end of data is CRLF.CRLF and nothing else).
"""

from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest
from tests.engine.client_dialogue import ALICE, BOB
from tests.engine.transcript import Session, check_brackets
from tests.in_memory import Wire

from smtpwire import (
    ClientConnection,
    Data,
    EndOfMessage,
    Hello,
    LineEndings,
    LocalProtocolError,
    Mail,
    MessageAborted,
    Need,
    Rcpt,
    Request,
    ServerConfig,
    ServerConnection,
    extensions,
    replace,
)
from smtpwire.extensions.parameters import Body
from smtpwire.operations import open_session, send_mail
from smtpwire.testing import every_split

CRLF: Final = b"\r\n"
SIDES: Final = (b"\r", b"\n", b"\r\n", b"\0", b"")
# Two on each side, too: CR CR LF and LF CR LF are met as line ends.
WIDE_SIDES: Final = tuple(dict.fromkeys(a + b for a, b in product(SIDES, SIDES)))
SMUGGLED: Final = (
    b"MAIL FROM:<mallory@evil.example>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nIt was not me"
)
BEGINNING: Final = (
    b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<r@example.org>\r\nDATA\r\n"
)
ENDING: Final = b"\r\n.\r\nQUIT\r\n"


def is_end(before: bytes, after: bytes) -> bool:
    """Whether it is no look-alike but the end itself."""
    return before.endswith(CRLF) and after.startswith(CRLF)


def look_alikes(sides: tuple[bytes, ...] = SIDES) -> Iterator[tuple[bytes, bytes]]:
    for before, after in product(sides, sides):
        if not is_end(before, after):
            yield before, after


def content_with(before: bytes, after: bytes) -> bytes:
    return b"Subject: first\r\n\r\nHello" + before + b"." + after + SMUGGLED


LOOK_ALIKES: Final = [content_with(*pair) for pair in look_alikes()]
# The body begins as if a CRLF stood before it.
AT_THE_START: Final = [
    b"." + after + SMUGGLED for after in WIDE_SIDES if not after.startswith(CRLF)
]
WIDE: Final = [content_with(*pair) for pair in look_alikes(WIDE_SIDES)]

every_policy = pytest.mark.parametrize("policy", LineEndings)


def unstuffed(body: bytes) -> bytes:
    """RFC 5321 §4.5.2, line by line; only CRLF ends a line."""
    lines = body.split(CRLF)
    return CRLF.join(line[1:] if line.startswith(b".") else line for line in lines) + CRLF


def normalised(content: bytes) -> bytes:
    return content.replace(CRLF, b"\n").replace(b"\r", b"\n").replace(b"\n", CRLF)


def is_canonical(content: bytes) -> bool:
    return content.count(b"\r") == content.count(b"\n") == content.count(CRLF)


# -- what the server takes


def received(policy: LineEndings, chunks: list[bytes]) -> Session:
    server = Session(
        ServerConnection(replace(ServerConfig.relay("mx.example"), line_endings=policy))
    )
    server.run()
    server.feed(BEGINNING)
    for chunk in chunks:
        server.feed(chunk)
    return server


def check_one_transaction(server: Session, policy: LineEndings, body: bytes) -> None:
    assert server.need is Need.CLOSE, "QUIT was behind the true end"
    check_brackets(server.events)
    mails = [event for event in server.events if isinstance(event, Mail)]
    assert [str(mail.address) for mail in mails] == ["a@b.example"]
    ends = [event for event in server.events if isinstance(event, EndOfMessage | MessageAborted)]
    assert len(ends) == 1
    plain = unstuffed(body)
    if policy is LineEndings.REJECT and not is_canonical(body):
        assert isinstance(ends[0], MessageAborted)
        assert plain.startswith(server.content)
        assert server.sent.count(b"\r\n554 5.6.0") == 1
    else:
        assert isinstance(ends[0], EndOfMessage)
        assert server.content == (normalised(plain) if policy is LineEndings.NORMALISE else plain)
        assert ends[0].canonical == is_canonical(server.content)


@every_policy
@pytest.mark.parametrize("body", LOOK_ALIKES + AT_THE_START, ids=lambda body: repr(body[:28]))
def test_the_server_sees_one_transaction_at_every_split(policy: LineEndings, body: bytes) -> None:
    # Cut where it could matter: around the look-alike and the true end.
    critical = body[: body.index(SMUGGLED) + 1][-12:]
    start, rest = body[: body.index(critical)], body[body.index(critical) + len(critical) :]
    for chunks in every_split(critical):
        server = received(policy, [start + chunks[0], *chunks[1:], rest + ENDING])
        check_one_transaction(server, policy, body)
    for chunks in every_split(ENDING):
        server = received(policy, [body + chunks[0], *chunks[1:]])
        check_one_transaction(server, policy, body)
    octets = body + ENDING
    server = received(policy, [octets[at : at + 1] for at in range(len(octets))])
    check_one_transaction(server, policy, body)


@every_policy
def test_the_server_sees_one_transaction_with_wider_look_alikes(policy: LineEndings) -> None:
    assert len(WIDE) > 200
    for body in WIDE:
        check_one_transaction(received(policy, [body + ENDING]), policy, body)


@every_policy
def test_the_true_end_is_an_end(policy: LineEndings) -> None:
    """The test would see a second transaction."""
    server = received(policy, [content_with(CRLF, CRLF) + ENDING])
    assert [type(event) for event in server.events].count(Mail) == 2


@every_policy
@pytest.mark.parametrize(("before", "after"), list(look_alikes()))
def test_a_message_that_is_passed_on_does_not_change_its_end(
    policy: LineEndings, before: bytes, after: bytes
) -> None:
    """What normalising makes of a look-alike is content, and is stuffed when it is sent on."""
    server = received(policy, [content_with(before, after) + ENDING])
    if isinstance(server.events[-3], MessageAborted):
        return
    content = server.content
    if policy is LineEndings.PRESERVE and not is_canonical(content):
        with pytest.raises(LocalProtocolError):
            sent_strictly([content])
        return
    check_nothing_hides(sent_strictly([content]))


# -- what the client sends


def lax_lines(octets: bytes) -> list[bytes]:
    """Lines as the laxest of receivers reads them: CR, LF and CRLF all end one."""
    return octets.replace(CRLF, b"\n").replace(b"\r", b"\n").split(b"\n")


def check_nothing_hides(octets: bytes) -> None:
    """The one line with a lone dot is the last."""
    assert octets.endswith(CRLF)
    lines = lax_lines(octets)
    assert lines.index(b".") == len(lines) - 2
    assert octets == b".\r\n" or octets.endswith(b"\r\n.\r\n")
    assert b"\r\n.\r\n" not in octets[:-1]


def opened() -> ClientConnection:
    """A client with an open body."""
    conn = ClientConnection()
    conn.receive_data(b"220 mx.example\r\n")
    conn.next_event()
    for command, reply in (
        (Hello("c.example"), b"250 mx.example\r\n"),
        (Mail(ALICE), b"250 OK\r\n"),
        (Rcpt(BOB), b"250 OK\r\n"),
        (Data(), b"354 go ahead\r\n"),
    ):
        conn.send(command)
        conn.data_to_send()
        conn.receive_data(reply)
        while not isinstance(conn.next_event(), Need):
            pass
    assert conn.next_event() is Need.BODY
    return conn


def sent_strictly(chunks: list[bytes]) -> bytes:
    """All that the client sends for a content; LocalProtocolError where it will not."""
    conn = opened()
    for chunk in chunks:
        conn.send_body(chunk)
    conn.end_body()
    return conn.data_to_send()


@pytest.mark.parametrize("content", LOOK_ALIKES + AT_THE_START, ids=lambda body: repr(body[:28]))
def test_the_strict_client_sends_no_look_alike(content: bytes) -> None:
    for chunks in every_split(content):
        conn = opened()
        sent = b""
        try:
            for chunk in chunks:
                conn.send_body(chunk)
                sent += conn.data_to_send()
            conn.end_body()
        except LocalProtocolError:
            assert not is_canonical(content)
            # What has left before is the beginning of one body, and no end of it.
            assert b"." not in lax_lines(sent + conn.data_to_send())[:-1]
            assert MARK not in sent
        else:
            assert is_canonical(content)
            check_nothing_hides(sent + conn.data_to_send())


MARK: Final = b"It was not me"


@pytest.mark.parametrize("tail", [b"\r", b"\r\n.\r", b".\r", b"x\r"])
def test_the_strict_client_does_not_end_with_half_a_line_end(tail: bytes) -> None:
    conn = opened()
    conn.send_body(b"Hello" + tail)
    with pytest.raises(LocalProtocolError):
        conn.end_body()
    conn.send_body(b"\n")  # nothing has changed: the other half may still come
    conn.end_body()
    check_nothing_hides(conn.data_to_send())


# -- both


def hop(content: bytes, *, chunking: bool, body: Body | None = None) -> Wire:
    """Send a message to a server of ours; what it saw of it, and what the client sent for it."""
    config = ServerConfig.relay("mx.example")
    if body is Body.BINARYMIME:
        config = replace(config, offer=(*config.offer, extensions.BINARYMIME))
    wire = Wire(ClientConnection(), Session(ServerConnection(config)))
    wire.run(open_session(wire.client))
    wire.server.events.clear()
    wire.sent = b""
    result = wire.run(
        send_mail(
            wire.client, "a@b.example", ["r@example.org"], content, chunking=chunking, body=body
        )
    )
    assert result.accepted
    return wire


def check_one_message(wire: Wire, content: bytes) -> None:
    events = wire.server.events
    assert [type(event) for event in events if isinstance(event, Request)] == [
        Mail,
        Rcpt,
        Data,
        EndOfMessage,
    ]
    assert wire.server.content == content
    assert not wire.server.refusals


@pytest.mark.parametrize("content", LOOK_ALIKES + AT_THE_START, ids=lambda body: repr(body[:28]))
def test_in_by_bdat_out_by_data(content: bytes) -> None:
    """Bare line ends arrive legally in BDAT (RFC 3030 §3), and must not leave by DATA."""
    inward = hop(content, chunking=True, body=Body.BINARYMIME)
    check_one_message(inward, content)
    end = inward.server.events[-1]
    assert isinstance(end, EndOfMessage)
    assert end.canonical == is_canonical(content)
    if not end.canonical:
        with pytest.raises(LocalProtocolError):
            sent_strictly([inward.server.content])
    outward = hop(inward.server.content, chunking=False)
    end_of_data = outward.sent.index(b"DATA\r\n") + len(b"DATA\r\n")
    check_nothing_hides(outward.sent[end_of_data:])
    check_one_message(outward, with_final_crlf(normalised(content)))


def test_in_by_bdat_out_by_data_with_wider_look_alikes() -> None:
    for content in WIDE:
        outward = hop(content, chunking=False)
        check_nothing_hides(outward.sent[outward.sent.index(b"DATA\r\n") + 6 :])
        check_one_message(outward, with_final_crlf(normalised(content)))


def with_final_crlf(content: bytes) -> bytes:
    return content if content.endswith(CRLF) else content + CRLF


@pytest.mark.parametrize("content", LOOK_ALIKES, ids=lambda body: repr(body[:28]))
def test_the_normalising_client_sends_no_look_alike_however_it_is_fed(content: bytes) -> None:
    whole = hop(content, chunking=False).sent
    for at in range(content.index(b"Hello"), content.index(SMUGGLED) + 2):
        wire = Wire(ClientConnection(), Session(ServerConnection(ServerConfig.relay("mx.example"))))
        wire.run(open_session(wire.client))
        wire.sent = b""
        chunks = iter([content[:at], content[at:]])
        operation = send_mail(
            wire.client,
            "a@b.example",
            ["r@example.org"],
            chunks,
            chunking=False,
            size=len(normalised(content)),
        )
        wire.run(operation)
        assert wire.sent == whole
