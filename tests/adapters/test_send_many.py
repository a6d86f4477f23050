"""send_many over every adapter's client."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tests.adapters.clients import Script, scripted
from tests.adapters.handlers import Mailbox
from tests.adapters.loops import LOOPS, Loop
from tests.adapters.servers import serving

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.operations import HANDED_IN, MailObject, SendResult, send_mail
from smtpwire.wire.status import Disposition

RELAY = ServerConfig.relay("mx.example.org", local_domains=["example.org"])
NOBODY = ClientConfig("client.example.com")
MESSAGE = b"Subject: x\r\n\r\ntext\r\n"
TO = ["b@example.org"]
DONE, RETRY, UNKNOWN = Disposition.DONE, Disposition.RETRY, Disposition.UNKNOWN
PIPELINED = b"250-mx.example.org\r\n250 PIPELINING\r\n"
OK, GO = b"250 OK\r\n", b"354 go\r\n"


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return LOOPS[request.param]


@pytest.fixture(params=[name for name in LOOPS if name != "blocking"])
def async_loop(request: pytest.FixtureRequest) -> Loop:
    return LOOPS[request.param]


def message(content: Any = MESSAGE) -> MailObject:
    return MailObject("a@example.com", TO, content)


def each(results: list[SendResult]) -> list[Disposition]:
    return [item.outcome for result in results for item in result.recipients]


def sent(loop: Loop, port: int, messages: Any, config: ClientConfig = NOBODY) -> list[SendResult]:
    results: list[SendResult] = []

    async def scenario() -> None:
        client = await loop.connect("127.0.0.1", port, config)
        try:
            await client.open_session()
            results.extend(await client.send_many(messages))
        finally:
            await client.close()

    loop.run(scenario)
    return results


def test_a_hundred_messages_and_each_once(loop: Loop) -> None:
    mailbox = Mailbox()
    contents = [b"Subject: %d\r\n\r\n.\r\n" % number for number in range(100)]
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(loop, port, (message(content) for content in contents))
        mailbox.wait_for_end()
    assert each(results) == [DONE] * 100
    assert mailbox.messages == contents


def test_chunks_one_by_one(loop: Loop) -> None:
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(loop, port, [message(iter([MESSAGE, b"more\r\n"])), message()])
        mailbox.wait_for_end()
    assert each(results) == [DONE, DONE]
    assert mailbox.messages == [MESSAGE + b"more\r\n", MESSAGE]


def play(server: Script) -> None:
    """A session up to the dot of the first message."""
    server.send(b"220 mx.example.org\r\n")
    server.expect(b"EHLO")
    server.send(PIPELINED)
    for word in (b"MAIL", b"RCPT", b"DATA"):
        server.expect(word)
    server.send(OK + OK + GO)
    while server.expect(b"") != b".\r\n":
        pass
    for word in (b"MAIL", b"RCPT", b"DATA"):  # they have come with the dot
        server.expect(word)


def test_a_connection_lost_behind_the_dot(loop: Loop) -> None:
    with scripted(play) as port:
        assert each(sent(loop, port, [message(), message(), message()])) == [UNKNOWN, RETRY, RETRY]


def test_a_server_that_says_nothing_to_the_dot(loop: Loop) -> None:
    over = threading.Event()

    def stall(server: Script) -> None:
        play(server)
        over.wait(30)

    config = ClientConfig("client.example.com", timeouts=Timeouts.all(0.3))
    try:
        with scripted(stall) as port:
            results = sent(loop, port, [message(), message()], config)
            over.set()
    finally:
        over.set()
    assert each(results) == [UNKNOWN, RETRY]
    assert results[0].recipients[0].reason == "the server was too slow"


def test_a_421_between_two_messages(loop: Loop) -> None:
    def go_down(server: Script) -> None:
        play(server)
        server.send(OK + b"421 going down\r\n")

    with scripted(go_down) as port:
        assert each(sent(loop, port, [message(), message(), message()])) == [DONE, RETRY, RETRY]


def failing() -> Iterator[bytes]:
    yield MESSAGE
    raise OSError("no such disk")


def test_content_that_raises(loop: Loop) -> None:
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(loop, port, [message(), message(failing()), message()])
        mailbox.wait_for_end()
    assert each(results) == [DONE, RETRY, RETRY]
    assert mailbox.messages == [MESSAGE]


def test_what_is_no_message_is_told_before_anything_is_sent(loop: Loop) -> None:
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        with pytest.raises(TypeError, match="a message is None: pass a MailObject"):
            sent(loop, port, [message(), None])
        with pytest.raises(TypeError, match="messages is None: pass an iterable"):
            sent(loop, port, None)
        mailbox.wait_for_end()
        mailbox.wait_for_end()
    assert mailbox.messages == []


def test_what_nobody_hands_in_is_not_sent(loop: Loop) -> None:
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(loop, port, [message(), message(HANDED_IN)])
        mailbox.wait_for_end()
    assert each(results) == [DONE, RETRY]
    assert results[1].recipients[0].reason.startswith("the content failed: TypeError")
    assert mailbox.messages == [MESSAGE]


def test_what_nobody_hands_in_is_told_in_words(loop: Loop) -> None:
    letter: Any = ("a@b.example", ["c@example.org"], HANDED_IN)

    async def scenario() -> None:
        calls: list[Callable[[Any], Any]] = [
            lambda client: client.send_mail(*letter),
            lambda client: client.run(send_mail(client.conn, *letter)),
        ]
        for call in calls:
            async with await loop.connect("127.0.0.1", port) as client:
                await client.open_session()
                with pytest.raises(TypeError, match=r"HANDED_IN: pass the content itself$"):
                    await call(client)

    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        loop.run(scenario)
        mailbox.wait_for_end()
        mailbox.wait_for_end()
    assert mailbox.messages == []


# -- with a loop


class Chunks:
    """What a loop can read only; it notes whether it was closed."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.closed = False
        self._chunks, self._error = chunks, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self._chunks:
                yield chunk
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


def test_asynchronous_content_among_other(async_loop: Loop) -> None:
    mailbox = Mailbox()
    first, second = Chunks(MESSAGE, b"first\r\n"), Chunks(MESSAGE, b"second\r\n")
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(async_loop, port, [message(first), message(), message(second)])
        mailbox.wait_for_end()
    assert each(results) == [DONE] * 3
    assert mailbox.messages == [MESSAGE + b"first\r\n", MESSAGE, MESSAGE + b"second\r\n"]
    assert first.closed
    assert second.closed


def test_asynchronous_content_that_raises(async_loop: Loop) -> None:
    mailbox = Mailbox()
    broken = Chunks(MESSAGE, error=OSError("no such disk"))
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(async_loop, port, [message(), message(broken), message()])
        mailbox.wait_for_end()
    assert each(results) == [DONE, RETRY, RETRY]
    assert results[1].recipients[0].reason == "the content failed: OSError: no such disk"
    assert broken.closed
    assert mailbox.messages == [MESSAGE]


class Unbegun:
    """Content that cannot even be begun."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise OSError("no such file")


def test_asynchronous_content_that_cannot_be_begun(async_loop: Loop) -> None:
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(async_loop, port, [message(), message(Unbegun()), message()])
        mailbox.wait_for_end()
    assert each(results) == [DONE, RETRY, RETRY]
    assert results[1].recipients[0].reason == "the content failed: OSError: no such file"
    assert mailbox.messages == [MESSAGE]


def test_no_message_gets_what_is_left_of_anothers_content(async_loop: Loop) -> None:
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        results = sent(async_loop, port, [message(Chunks(MESSAGE)), message(HANDED_IN)])
        mailbox.wait_for_end()
    assert each(results) == [DONE, RETRY]
    assert results[1].recipients[0].reason.endswith("pass the content itself")
    assert mailbox.messages == [MESSAGE]


def refuse_in_the_middle(server: Script) -> None:
    """The chunks of the first message are refused; those behind RSET are taken."""
    server.send(b"220 mx.example.org\r\n")
    server.expect(b"EHLO")
    server.send(b"250-mx.example.org\r\n250-CHUNKING\r\n250 PIPELINING\r\n")
    line = b""
    chunk_reply = b"552 too much\r\n"
    while chunk_reply != OK or b"LAST" not in line:
        line = server.expect(b"")
        if line.startswith(b"RSET"):
            chunk_reply = OK
        if line.startswith(b"BDAT"):
            for _ in range(int(line.split()[1])):
                server.sock.recv(1)
        server.send(chunk_reply if line.startswith(b"BDAT") else OK)


CHUNKED = ClientConfig("client.example.com", chunk_size=1000)
MANY = [b"x" * 100 + b"\r\n"] * 100_000


def test_content_that_was_begun_and_not_read_to_its_end_is_closed(async_loop: Loop) -> None:
    pieces = Chunks(*MANY)
    with scripted(refuse_in_the_middle) as port:
        results = sent(async_loop, port, [message(pieces), message(Chunks(b"y\r\n"))], CHUNKED)
    assert each(results) == [Disposition.PERMANENT, DONE]
    assert pieces.closed


async def unclosable() -> AsyncIterator[bytes]:
    """Content that fails where it is closed before its end."""
    try:
        for chunk in MANY:
            yield chunk
    finally:
        raise OSError("no such disk")


def test_content_that_cannot_be_closed_is_no_fault_of_the_next(
    async_loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted(refuse_in_the_middle) as port:
        results = sent(
            async_loop, port, [message(unclosable()), message(Chunks(b"y\r\n"))], CHUNKED
        )
    assert each(results) == [Disposition.PERMANENT, DONE]
    assert "the content of a message failed when it was closed" in caplog.text
    assert "no such disk" in caplog.text


def test_nor_does_it_hide_the_verdict_on_its_message(
    async_loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    results: list[SendResult] = []

    async def scenario(port: int) -> None:
        client = await async_loop.connect("127.0.0.1", port, CHUNKED)
        try:
            await client.open_session()
            results.append(await client.send_mail("a@example.com", TO, unclosable()))
            results.append(await client.send_mail("a@example.com", TO, Chunks(b"y\r\n")))
        finally:
            await client.close()

    with scripted(refuse_in_the_middle) as port:
        run: Callable[[], Any] = lambda: scenario(port)  # noqa: E731
        async_loop.run(run)
    assert each(results) == [Disposition.PERMANENT, DONE]
    assert "no such disk" in caplog.text


def test_results_are_there_where_it_is_cancelled(async_loop: Loop) -> None:
    seen, over = threading.Event(), threading.Event()

    def stall(server: Script) -> None:
        play(server)
        server.send(OK + OK + OK + GO)
        while server.expect(b"") != b".\r\n":
            pass
        seen.set()
        over.wait(30)

    results: list[SendResult] = []

    async def scenario(port: int) -> None:
        client = await async_loop.connect("127.0.0.1", port, NOBODY)
        await client.open_session()
        sending = client.send_many([message(), message(), message()], results)
        await async_loop.cancelled_when(seen, sending)
        await client.close()

    try:
        with scripted(stall) as port:
            run: Callable[[], Any] = lambda: scenario(port)  # noqa: E731
            async_loop.run(run)
            over.set()
    finally:
        over.set()
    assert each(results) == [DONE, UNKNOWN, RETRY]
