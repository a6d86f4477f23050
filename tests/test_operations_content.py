"""What is content and what is not: judged before the server has heard a word."""

import re
from array import array
from collections.abc import AsyncIterator, Iterable, Iterator
from email.message import EmailMessage
from io import StringIO
from typing import Any, Final

import pytest
from tests.test_operations import DONE, PERMANENT, PIPELINED, RETRY, Driver, opened, outcomes

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client.canonical import send_canonical
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.state import State
from smtpwire.extensions.parameters import Body
from smtpwire.operations import (
    END_OF_CONTENT,
    HANDED_IN,
    Chunk,
    Content,
    HandingIn,
    UnsendableError,
    send_mail,
)
from smtpwire.operations.content import checked_content
from smtpwire.operations.transaction import PIECE

TEXT: Final = b"Subject: x\r\n\r\ntext\r\n"
REPLIES: Final = (b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 taken\r\n")


def sent(content: Content, chunks: Iterable[Chunk] = (), **options: object) -> bytes:
    """The octets that stand between 354 and the final dot."""
    conn = opened(*PIPELINED)
    driver = Driver(conn, *REPLIES, chunks=chunks)
    result = driver.run(
        send_mail(conn, "a@b.example", ["c@d.example"], content, chunking=False, **options)  # type: ignore[arg-type]
    )
    assert outcomes(result) == [DONE]
    _, _, body = driver.said.partition(b"DATA\r\n")
    return body.removesuffix(b".\r\n")


BUFFERS: Final = [bytearray(TEXT), memoryview(TEXT), memoryview(TEXT).cast("c"), array("B", TEXT)]


@pytest.mark.parametrize("content", BUFFERS, ids=lambda each: type(each).__name__)
def test_every_buffer_of_octets_is_content_and_a_chunk(content: Chunk) -> None:
    assert sent(content) == TEXT
    assert sent([content]) == TEXT
    assert sent(iter([content])) == TEXT
    assert sent(HANDED_IN, [content]) == TEXT


class Empty:
    """An iterable whose truth is False."""

    def __iter__(self) -> Iterator[bytes]:
        yield TEXT

    def __bool__(self) -> bool:
        return False


def test_an_iterable_is_content_whatever_its_truth() -> None:
    assert sent(Empty()) == TEXT


async def asynchronous() -> AsyncIterator[bytes]:
    yield TEXT


NO_CONTENT: Final = [
    (None, "NoneType"),
    (0, "int"),
    (5, "int"),
    (TEXT.decode(), "^the content is a str: pass bytes, as by content.encode()$"),
    ("", "content.encode()"),
    (EmailMessage(), "^the content is of EmailMessage: pass its as_bytes()$"),
    (StringIO("text"), "^the content is a file in text mode: open it in binary mode, with 'rb'$"),
    (array("I", [1, 2]), "format 'I'"),
    (memoryview(array("H", [1])), "format 'H'"),
    (asynchronous(), "^the content is asynchronous: pass HANDED_IN, and the chunks at Need.BODY$"),
    (END_OF_CONTENT, "HandingIn"),
    ([b"x", "y"], "str"),
    ([1, 2], "int"),
    ((b"x", None), "NoneType"),
]


@pytest.mark.parametrize(("content", "hint"), NO_CONTENT)
def test_what_is_no_content_is_refused_before_the_envelope(content: Content, hint: str) -> None:
    conn = opened(*PIPELINED)
    with pytest.raises(TypeError, match=".*".join(hint.split("()"))):
        send_mail(conn, "a@b.example", ["c@d.example"], content)
    assert conn.data_to_send() == b""
    assert conn.reusable


@pytest.mark.parametrize("chunk", [None, "text", 3, array("I", [1]), EmailMessage(), [b"x"]])
@pytest.mark.parametrize("handed_in", [False, True])
@pytest.mark.parametrize("chunking", [False, True])
def test_what_is_no_chunk_aborts_and_never_counts_as_done(
    chunk: Chunk, handed_in: bool, chunking: bool
) -> None:
    conn = opened(*PIPELINED)
    flight = b"250 ok\r\n250 ok\r\n" + (b"" if chunking else b"354 go\r\n")
    chunks = [b"Subject: x\r\n\r\n", chunk]
    driver = Driver(conn, flight, chunks=chunks)
    content: Content = HANDED_IN if handed_in else iter(chunks)
    operation = send_mail(conn, "a@b.example", ["c@d.example"], content, chunking=chunking)
    with pytest.raises(TypeError, match="pass bytes"):
        driver.run(operation)
    assert conn.state is State.CLOSED
    assert not driver.said.endswith(b"\r\n.\r\n")
    assert b"LAST" not in driver.said


def test_the_words_of_handing_in() -> None:
    assert [each.value for each in HandingIn] == ["handed in", "end of content"]


def test_a_driver_that_hands_in_nothing_is_told() -> None:
    conn = opened(*PIPELINED)
    operation = send_mail(conn, None, ["c@d.example"], HANDED_IN, chunking=False)
    next(operation)
    conn.data_to_send()
    conn.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    next(operation)
    with pytest.raises(TypeError, match="NoneType"):
        next(operation)
    assert conn.state is State.CLOSED


def test_content_is_handed_back_as_it_is() -> None:
    chunks = iter([TEXT])
    assert checked_content(chunks) is chunks
    assert checked_content(HANDED_IN) is HANDED_IN
    assert checked_content(TEXT) is TEXT


def test_binary_chunks_go_as_they_are() -> None:
    conn = opened(*PIPELINED, b"BINARYMIME")
    driver = Driver(conn, b"250 ok\r\n250 ok\r\n", b"250 ok\r\n")
    content = [b"a\nb\r", b"\0c"]
    driver.run(send_mail(conn, None, ["c@d.example"], content, body=Body.BINARYMIME))
    assert driver.said.endswith(b"BDAT 6 LAST\r\na\nb\r\0c")


def test_large_octets_go_piece_by_piece() -> None:
    text = (b"x" * 78 + b"\r\n") * 3000
    driver = Driver(opened(b"PIPELINING"), *REPLIES)
    driver.run(send_mail(driver.conn, None, ["c@d.example"], text))
    assert driver.said.endswith(b"DATA\r\n" + text + b".\r\n")


@pytest.mark.parametrize("chunking", [False, True])
def test_a_crlf_between_two_pieces_is_one(chunking: bool) -> None:
    text = b"x" * (PIECE - 1) + b"\r\n.y\r\n"
    replies = (b"250 ok\r\n250 ok\r\n", b"250 taken\r\n") if chunking else REPLIES
    driver = Driver(opened(b"PIPELINING", b"CHUNKING"), *replies)
    driver.run(send_mail(driver.conn, None, ["c@d.example"], text, chunking=chunking))
    stuffed = text if chunking else text.replace(b"\n.", b"\n..") + b".\r\n"
    assert driver.said.endswith(stuffed)


def test_content_that_was_looked_through_needs_an_open_body_too() -> None:
    with pytest.raises(LocalProtocolError, match="no body is open"):
        send_canonical(opened(*PIPELINED), TEXT)


# -- what is said of it


def test_an_option_that_is_none_names_the_nearest() -> None:
    conn = opened(*PIPELINED)
    with pytest.raises(
        TypeError, match=r"^send_mail has no 'requiretls'.*did you mean 'require_tls'"
    ):
        send_mail(conn, None, ["c@d.example"], TEXT, requiretls=True)  # type: ignore[call-arg]
    assert conn.data_to_send() == b""


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", "3"), ("size", True), ("smtputf8", "no"), ("require_tls", "no"), ("chunking", 1),
     ("idna", "idna")],
)  # fmt: skip
def test_an_option_of_the_wrong_type_is_refused(name: str, value: object) -> None:
    conn = opened(*PIPELINED)
    with pytest.raises(TypeError, match=name):
        send_mail(conn, None, ["c@d.example"], TEXT, **{name: value})  # type: ignore[arg-type]


def test_a_size_is_a_count() -> None:
    with pytest.raises(ValueError, match=r"^size is -1: pass a count of octets$"):
        send_mail(opened(*PIPELINED), None, ["c@d.example"], [TEXT], size=-1)


def test_a_size_may_be_nothing_and_is_not_passed() -> None:
    assert sent([b""], size=0) == b""
    for content in ([b"abcd\r\n"], [b"ab", b"cd\r\n"]):
        assert sent(content, size=6) == b"abcd\r\n"
        with pytest.raises(UnsendableError):
            sent(content, size=5)


@pytest.mark.parametrize("name", ["size", "body", "smtputf8", "idna"])
def test_what_is_none_is_not_said(name: str) -> None:
    assert sent([TEXT], (), **{name: None}) == TEXT


def test_whether_tls_is_required_is_said_or_not() -> None:
    with pytest.raises(TypeError, match=r"^require_tls is None: pass a bool$"):
        sent(TEXT, require_tls=None)


def test_a_body_is_one_of_three() -> None:
    assert sent(b"\xff\r\n", body="8BITMIME") == b"\xff\r\n"
    conn = opened(*PIPELINED)
    with pytest.raises(ValueError, match="8BITMIME"):
        send_mail(conn, None, ["c@d.example"], TEXT, body="8bit")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        send_mail(conn, None, ["c@d.example"], TEXT, body=8)  # type: ignore[arg-type]
    assert sent(TEXT, body=None) == TEXT


def refused(content: Content, **options: object) -> tuple[str, ClientConnection]:
    conn = opened(*PIPELINED)
    driver = Driver(conn, REPLIES[0], chunks=[b"\xff\r\n", b"more"])
    with pytest.raises(UnsendableError) as raised:
        driver.run(
            send_mail(conn, None, ["c@d.example"], content, chunking=False, **options)  # type: ignore[arg-type]
        )
    return raised.value.extension, conn


def test_what_is_claimed_is_held_of_octets_as_of_an_iterable() -> None:
    contents: list[Content] = [b"\xff\r\n", [b"\xff\r\n"], HANDED_IN]
    for content in contents:
        extension, _ = refused(content, body=Body.SEVENBIT)
        assert extension == "8BITMIME"
    contents = [TEXT, [TEXT], HANDED_IN]
    for content in contents:
        extension, _ = refused(content, size=2, body=Body.EIGHTBITMIME)
        assert extension == ""
    _, conn = refused(TEXT, size=2)
    assert conn.reusable, "of octets it is known before anything is sent"


@pytest.mark.parametrize(
    ("offered", "content", "recipients", "options", "reason"),
    [
        (
            b"SIZE",
            TEXT,
            1,
            {"size": 2},
            "the content has more octets than size=2 says (RFC 1870 §6)",
        ),
        (b"SIZE 9", TEXT, 1, {}, "20 octets are more than the server's 9"),
        (
            b"8BITMIME",
            b"\xff\r\n",
            1,
            {"body": Body.SEVENBIT},
            "octets beyond ASCII, and body= does not say so",
        ),
        (b"SIZE", TEXT, 1, {"require_tls": True}, "REQUIRETLS needs verified TLS"),
        (b"SIZE", TEXT + b"\xff", 1, {}, "the server does not offer 8BITMIME"),
        (
            b"BINARYMIME",
            TEXT,
            1,
            {"body": Body.BINARYMIME},
            "BINARYMIME needs CHUNKING (RFC 3030 §3)",
        ),
        (b"SIZE", TEXT, 1, {"chunking": True}, "the server does not offer CHUNKING"),
        (b"SIZE", TEXT, 0, {}, "there is no recipient"),
        (
            b"LIMITS RCPTMAX=1",
            HANDED_IN,
            2,
            {},
            "2 recipients need 2 transactions here, and the content can be read only once",
        ),
    ],
)
def test_what_cannot_be_sent_says_why(
    offered: bytes, content: Content, recipients: int, options: dict[str, Any], reason: str
) -> None:
    conn = opened(offered)
    with pytest.raises(UnsendableError, match=f"^{re.escape(reason)}$"):
        Driver(conn).run(send_mail(conn, None, ["c@d.example"] * recipients, content, **options))
    assert conn.reusable


def test_an_address_with_its_name_is_told_how_to_stand() -> None:
    conn = opened()
    told = "pass the address alone, without name and angle brackets"
    with pytest.raises(ValueError, match=f"^'C <c@d.example>': .*: {told}$"):
        Driver(conn).run(send_mail(conn, None, ["C <c@d.example>"], TEXT))
    with pytest.raises(ValueError, match=r"^'c': not an address: local-part@domain$"):
        Driver(conn).run(send_mail(conn, None, ["c"], TEXT))


def test_a_size_may_be_an_estimate_from_above() -> None:
    assert sent(TEXT, size=1000) == TEXT
    assert sent([TEXT], size=len(TEXT)) == TEXT


def test_content_that_breaks_its_claim_in_a_later_group_is_told_beside_what_was_delivered() -> None:
    class Changing:
        """Reads differently the second time."""

        def __init__(self) -> None:
            self._texts = [TEXT, b"\xff\r\n"]

        def __iter__(self) -> Iterator[bytes]:
            return iter([self._texts.pop(0)])

    conn = opened(*PIPELINED, b"LIMITS RCPTMAX=1")
    driver = Driver(conn, *REPLIES, REPLIES[0])
    content = Changing()
    recipients = ["c@d.example", "e@d.example"]
    result = driver.run(send_mail(conn, None, recipients, content, chunking=False))
    assert outcomes(result) == [DONE, PERMANENT]
    assert (result.refused[0].command, result.refused[0].reply) == ("DATA", None)
    assert "beyond ASCII" in result.refused[0].reason


def test_content_that_fails_in_a_later_group_is_told_beside_what_was_delivered() -> None:
    class Failing:
        """Can be read once."""

        def __init__(self) -> None:
            self._texts = [TEXT]

        def __iter__(self) -> Iterator[bytes]:
            yield b"Subject: x\r\n"
            if not self._texts:
                raise OSError("the disk has gone")
            yield self._texts.pop()

    conn = opened(*PIPELINED, b"LIMITS RCPTMAX=1")
    driver = Driver(conn, *REPLIES, REPLIES[0])
    recipients = ["c@d.example", "e@d.example", "g@d.example"]
    result = driver.run(send_mail(conn, None, recipients, Failing(), chunking=False))
    assert outcomes(result) == [DONE, RETRY, RETRY]
    failed, untried = result.refused
    assert (failed.command, failed.reply) == ("DATA", None)
    assert failed.reason == "the content failed: OSError: the disk has gone"
    assert (untried.command, untried.reason) == ("MAIL", "the content ended early")
    assert conn.state is State.CLOSED, "the second message must not look complete"


@pytest.mark.parametrize("last", [False, True], ids=["before a chunk", "at the end"])
@pytest.mark.parametrize("handed_in", [False, True], ids=["iterable", "handed in"])
def test_a_connection_closed_while_the_content_is_made_is_a_result(
    handed_in: bool, last: bool
) -> None:
    conn = opened(*PIPELINED)

    def made() -> Iterator[bytes]:
        yield TEXT
        conn.abort("closed by the application")
        if not last:
            yield TEXT

    driver = Driver(conn, REPLIES[0], chunks=made() if handed_in else ())
    content: Content = HANDED_IN if handed_in else made()
    result = driver.run(send_mail(conn, None, ["c@d.example"], content, chunking=False))
    assert outcomes(result) == [RETRY], "it never looked complete"
    refused = result.refused[0]
    assert (refused.command, refused.reason) == ("DATA", "closed by the application")
