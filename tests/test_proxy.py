"""A proxy of under sixty lines: server role in front, client role behind, the same commands through.

It stands between ``proxy starts`` and ``proxy ends``; what follows moves octets and looks.
"""

import hashlib
import inspect
import sys
from collections.abc import Generator, Iterator
from typing import Final

import pytest
from tests.memory import traced_memory

from smtpwire import (
    Address,
    BodyChunk,
    ClientConfig,
    ClientConnection,
    Closed,
    Command,
    Connected,
    Data,
    Disposition,
    EndOfMessage,
    Hello,
    Limits,
    Mail,
    MessageAborted,
    Need,
    Parameters,
    Quit,
    Rcpt,
    Reply,
    ReplyReceived,
    Request,
    Rset,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    State,
    Unanswered,
    Vrfy,
    extensions,
    parameters,
    replace,
)
from smtpwire.operations import Operation, SendResult, open_session, quit, send_mail, verify

# proxy starts

LOST: Final = Reply(451, "The server behind is not to be reached", "4.4.1")
NOT_OURS: Final = ("STARTTLS", "AUTH")  # they belong to one connection


def proxy(front: ServerConnection, back: ClientConnection) -> Generator[None, None, None]:
    """Pass on what comes in front to the server behind; octets move at each yield."""
    yield from answer(back, back.send(Hello("proxy.example")))
    while True:
        match front.next_event():
            case Need.CLOSE:
                return
            case Need():
                if back.state is State.CLOSED and front.state is not State.DATA:
                    front.shutdown()
                yield
            case Connected():
                front.reply()
            case Hello():
                offer = [item for item in back.extensions if item.extension.keyword not in NOT_OURS]
                front.offer(*offer)
                front.reply()
            case Data() as data:
                front.reply(*(yield from verdict(back, back.send(data))))
            case BodyChunk(octets) if back.state is not State.CLOSED:
                back.send_body(octets)
                if refusal := (yield from verdict(back)):
                    front.reply(*refusal)
            case EndOfMessage():
                front.reply((yield from answer(back, back.end_body())))
            case MessageAborted():
                back.abort("the message in front is not complete")
            case Rset() | Quit() as command:
                yield from answer(back, back.send(command))
            case Mail() | Rcpt() | Vrfy() as question:
                front.reply((yield from answer(back, back.send(question))))
            case Request():
                front.reply()


def answer(back: ClientConnection, command: Command) -> Generator[None, None, Reply]:
    """The reply to a command."""
    while True:
        match back.next_event():
            case ReplyReceived(sent, reply) if sent is command:
                return reply
            case Unanswered() | Closed():
                return LOST
            case Need():
                yield


def verdict(
    back: ClientConnection, data: Data | None = None
) -> Generator[None, None, tuple[Reply, ...]]:
    """Wait until the server behind takes more of the body, or says that it will not."""
    while (item := back.next_event()) is not Need.BODY:
        match item:
            case ReplyReceived(_, reply) if reply.code >= 400:
                return (reply,)
            case Unanswered() | Closed():
                return (LOST,)
            case Need():
                yield
    return ()


# proxy ends


def test_it_is_under_sixty_lines() -> None:
    source = inspect.getsource(sys.modules[__name__])
    body = source.split("# proxy starts\n")[1].split("# proxy ends\n")[0]
    lines = [line for line in body.split("\n") if line.strip() and not line.strip().startswith("#")]
    assert len(lines) < 60


class Behind:
    """The server behind: it refuses one recipient, and takes messages without keeping them."""

    def __init__(self, config: ServerConfig) -> None:
        self.conn = ServerConnection(config)
        self.asked: list[Request] = []
        self.sizes: list[int] = []
        self.hashes: list[str] = []
        self._hash = hashlib.sha256()

    def run(self) -> bytes:
        """Act up to the next Need; what is to be sent."""
        out = b""
        while True:
            item = self.conn.next_event()
            if isinstance(item, BodyChunk):
                self._hash.update(item.data)
            elif isinstance(item, Need):
                out += self.conn.data_to_send()
                if item is not Need.WRITE:
                    return out
            else:
                self.tell(item)

    def tell(self, event: ServerEvent) -> None:
        if isinstance(event, Data):
            self._hash = hashlib.sha256()
        if isinstance(event, EndOfMessage):
            self.sizes.append(event.size)
            self.hashes.append(self._hash.hexdigest())
        if isinstance(event, Request):
            self.asked.append(event)
            self.conn.reply(*self.replies_to(event))

    def replies_to(self, question: Request) -> tuple[Reply, ...]:
        match question:
            case Rcpt(Address("nobody")):
                return (Reply(550, "No such user here", "5.1.1"),)
            case EndOfMessage():
                return (Reply(250, "Queued as 4711", "2.6.0"),)
            case Vrfy():
                return (Reply(250, "<bob@example.org>", "2.1.5"),)
        return ()


class Chain:
    """A client, the proxy, the server behind; their octets move at each step of the client's."""

    def __init__(self, config: ServerConfig) -> None:
        self.client = ClientConnection(ClientConfig("c.example"))
        # What the proxy offers is what the server behind does; its own bounds are no less.
        self.front = ServerConnection(PROXY)
        self.back = ClientConnection(ClientConfig("proxy.example"))
        self.behind = Behind(config)
        self._proxy = proxy(self.front, self.back)

    def run(self, operation: Operation[SendResult | Reply | None]) -> SendResult | Reply | None:
        while True:
            try:
                next(operation)
            except StopIteration as end:
                result: SendResult | Reply | None = end.value
                return result
            self.move()

    def move(self) -> None:
        """Until nothing moves any more."""
        moving = True
        while moving:
            moving = self.pass_on(self.client.data_to_send(), self.front)
            next(self._proxy, None)
            moving = self.pass_on(self.front.data_to_send(), self.client) or moving
            moving = self.pass_on(self.back.data_to_send(), self.behind.conn) or moving
            moving = self.pass_on(self.behind.run(), self.back) or moving

    def pass_on(self, octets: bytes, to: ClientConnection | ServerConnection) -> bool:
        if octets and to.wants_data:
            to.receive_data(octets)
        return bool(octets)


PROXY: Final = replace(ServerConfig.relay("proxy.example"), limits=Limits(message=0))
BEHIND: Final = replace(
    ServerConfig.relay("mx.example", ("example.org", "example.com")),
    offer=(*ServerConfig.relay("mx.example").offer, extensions.DSN, extensions.BINARYMIME),
    limits=Limits(message=100 * 1024 * 1024),
)


def opened(config: ServerConfig = BEHIND) -> Chain:
    chain = Chain(config)
    chain.run(open_session(chain.client))
    return chain


MAIL: Final = Mail(
    Address.parse("alice@example.com"),
    Parameters(parameters.RET(parameters.Ret.HDRS), parameters.ENVID("QQ+314")),
)
RCPT: Final = Rcpt(
    Address.parse("bob@example.org"),
    Parameters(
        parameters.NOTIFY(frozenset({parameters.Notify.SUCCESS, parameters.Notify.FAILURE})),
        parameters.ORCPT(parameters.Orcpt("rfc822", "Bob+list@example.org")),
    ),
)
NOBODY: Final = Rcpt(Address.parse("nobody@example.org"))
CONTENT: Final = b"Subject: x\r\n\r\n.dot\r\n..two\r\n.\r\nend\r\n"


@pytest.mark.parametrize("chunking", [False, True])
def test_a_message_with_all_its_parameters(chunking: bool) -> None:
    """RFC 3461 §5.2.1."""
    chain = opened()
    assert extensions.DSN in chain.client.extensions
    assert extensions.SIZE in chain.client.extensions
    assert chain.client.extensions[extensions.SIZE] == 100 * 1024 * 1024
    result = chain.run(send_mail(chain.client, MAIL, [RCPT, NOBODY], CONTENT, chunking=chunking))
    assert isinstance(result, SendResult)
    bob, nobody = result.recipients
    assert bob.outcome is Disposition.DONE
    assert bob.reply == Reply(250, "Queued as 4711", "2.6.0")
    assert nobody.outcome is Disposition.PERMANENT
    assert nobody.reply == Reply(550, "No such user here", "5.1.1")
    mail, rcpt, refused, data, end = chain.behind.asked[2:]
    assert isinstance(mail, Mail)
    assert mail.address == MAIL.address
    assert mail.parameters[parameters.SIZE] == len(CONTENT)
    assert mail.parameters.without(parameters.SIZE) == MAIL.parameters
    assert rcpt == RCPT
    assert refused == NOBODY
    assert data == Data(chunking)
    assert isinstance(end, EndOfMessage)
    assert end.envelope.recipients == (RCPT,)
    assert chain.behind.hashes == [hashlib.sha256(CONTENT).hexdigest()]


def test_a_session_goes_on() -> None:
    chain = opened()
    for chunking in (True, False, True):
        result = chain.run(send_mail(chain.client, MAIL, [RCPT], CONTENT, chunking=chunking))
        assert isinstance(result, SendResult)
        assert result.accepted
    assert chain.run(verify(chain.client, "bob")) == Reply(250, "<bob@example.org>", "2.1.5")
    assert chain.run(quit(chain.client)) == Reply(221, "Goodbye", "2.0.0")
    chain.move()
    assert chain.front.state is chain.back.state is chain.behind.conn.state is State.CLOSED
    assert len(set(chain.behind.hashes)) == 1
    assert chain.behind.sizes == [len(CONTENT)] * 3


def test_no_recipient_is_taken() -> None:
    chain = opened()
    result = chain.run(send_mail(chain.client, MAIL, [NOBODY], CONTENT))
    assert isinstance(result, SendResult)
    assert [item.reply for item in result.refused] == [Reply(550, "No such user here", "5.1.1")]
    assert chain.run(quit(chain.client)) is not None
    assert not chain.behind.sizes


def test_what_is_not_offered_behind_is_not_offered_in_front() -> None:
    """RFC 3461 §5.2."""
    chain = opened(replace(BEHIND, offer=(extensions.PIPELINING,)))
    assert set(chain.client.extensions.keywords) == {"PIPELINING", "SIZE"}


def test_a_message_that_is_refused_on_the_way() -> None:
    chain = opened(replace(BEHIND, limits=Limits(message=1000)))
    content = iter([b"x" * 62 + b"\r\n"] * 100)
    result = chain.run(send_mail(chain.client, "a@b.example", [RCPT], content, chunking=False))
    assert isinstance(result, SendResult)
    (item,) = result.recipients
    assert item.outcome is Disposition.PERMANENT
    assert item.reply is not None
    assert item.reply.code == 552


def test_the_server_behind_is_lost() -> None:
    chain = opened()
    chain.behind.conn.abort()
    chain.back.receive_data(b"")
    result = chain.run(send_mail(chain.client, MAIL, [RCPT], CONTENT))
    assert isinstance(result, SendResult)
    assert result.recipients[0].outcome is Disposition.RETRY
    assert chain.front.state is State.CLOSED


LINES: Final = [b"%062d\r\n" % number for number in range(1000)]
BLOCK: Final = b"".join(b".\r\n" + line if at % 20 == 0 else line for at, line in enumerate(LINES))


def large(octets: int) -> Iterator[bytes]:
    """A content with lone dots, in blocks of about 64 KiB."""
    for _ in range(octets // len(BLOCK)):
        yield BLOCK


@pytest.mark.parametrize("chunking", [False, True])
def test_fifty_mebibytes_in_constant_memory(chunking: bool) -> None:
    chain = opened()
    octets = 50 * 1024 * 1024
    with traced_memory() as memory:
        result = chain.run(
            send_mail(chain.client, "a@b.example", [RCPT], large(octets), chunking=chunking)
        )
        _, peak = memory()
    assert isinstance(result, SendResult)
    assert result.accepted
    assert chain.behind.sizes == [octets // len(BLOCK) * len(BLOCK)]
    expected = hashlib.sha256()
    for block in large(octets):
        expected.update(block)
    assert chain.behind.hashes == [expected.hexdigest()]
    assert peak < 4 * 1024 * 1024
