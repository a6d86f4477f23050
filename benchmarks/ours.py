"""smtpwire's side of the figures, written as an application would write it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain, cycle, repeat
from typing import Final

from benchmarks.contents import CHUNK, chunked, content, stuffed
from benchmarks.dialogue import BODY, DATA, EHLO, MAIL, RCPT, RECIPIENT, SENDER, Step
from benchmarks.harness import Work
from benchmarks.peers.scramp_server import ACCOUNT
from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters.asyncio import ServerProtocol
from smtpwire.adapters.blocking import connect
from smtpwire.adapters.session import Session
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import (
    BodyChunk,
    EndOfMessage,
    ReplyReceived,
    ServerEvent,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.violation import ProtocolViolation
from smtpwire.operations import MailObject, SendResult
from smtpwire.sasl import (
    Ask,
    Challenge,
    ScramSecret,
    ServerMechanismConfig,
    Succeeded,
    server_mechanism,
)
from smtpwire.service import Message, Service
from smtpwire.wire.address import Address
from smtpwire.wire.body import DotDecoder
from smtpwire.wire.command import Data, Hello, Mail, Noop, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

__all__ = [
    "asyncio_connections",
    "blocking_batches",
    "blocking_connections",
    "client_flights",
    "client_messages",
    "commands_in_one_chunk",
    "connections",
    "continuation_lines",
    "decoding",
    "dropping_chunks",
    "dropping_text",
    "idle_connections",
    "idle_server",
    "octets_while_a_reply_is_owed",
    "one_octet_deliveries",
    "plain_session",
    "protocol_with_async_handler",
    "protocol_with_plain_handler",
    "protocol_with_service",
    "receive_and_drop",
    "receive_and_keep",
    "recipients",
    "recipients_of_messages",
    "scram_exchanges",
    "send_iterable",
    "server_connections",
    "server_messages",
]


_RELAY: Final = ServerConfig.relay("mx.example.org", ("example.org",))
_CLIENT: Final = ClientConfig(hello_name="client.example.com")
_UNLIMITED: Final = replace(_RELAY, limits=Limits(message=0, recipients=10**6, junk=10**6))


def decoding(chunks: list[bytes]) -> Work:
    """Decode the body of one message, strictly."""

    def work(count: int) -> None:
        for _ in range(count):
            decoder = DotDecoder()
            for chunk in chunks:
                decoder.decode(chunk)
        if not decoder.finished or decoder.violation is not None:
            raise RuntimeError("the body was not decoded")

    return work


# --- the server ---------------------------------------------------------------------------

# Looked up once: on CPython 3.11 a member costs as much as a call.
READ: Final = Need.DATA
WRITE: Final = Need.WRITE


class _Server:
    """A server which accepts everything, and keeps each message until the next one."""

    def __init__(self, config: ServerConfig = _RELAY, *, keep: bool = True) -> None:
        self._conn = ServerConnection(config)
        self._keep = keep
        self._body: list[bytes] = []
        self.message = b""
        _greet(self._conn)
        self.receive(EHLO)

    def receive(self, data: bytes) -> bytes:
        """Take what one read gave, return what is to be written last."""
        conn = self._conn
        conn.receive_data(data)
        while True:
            item = conn.next_event()
            if item is READ:
                return conn.data_to_send()
            match item:
                case EndOfMessage():
                    self.message = b"".join(self._body)
                    self._body.clear()
                    conn.reply()
                case Request():
                    conn.reply()
                case BodyChunk(octets):
                    if self._keep:
                        self._body.append(octets)
                case Need():
                    if item is not WRITE:
                        return conn.data_to_send()
                    conn.data_to_send()


def _greet(conn: ServerConnection) -> None:
    """Answer the question which a new connection is, and wait for a command."""
    conn.next_event()
    conn.reply()
    conn.next_event()
    conn.data_to_send()


def _accepted(replies: bytes) -> None:
    if not replies.startswith((b"2", b"3")):
        raise RuntimeError(f"refused: {replies[:200]!r}")


def server_messages(steps: tuple[Step, ...]) -> Work:
    """Send messages over one connection, whose greeting and EHLO are not timed."""
    return _messages(_UNLIMITED, [step.data for step in steps])


def _messages(config: ServerConfig, writes: list[bytes], *, keep: bool = True) -> Work:
    server = _Server(config, keep=keep)

    def work(count: int) -> None:
        receive = server.receive
        for _ in range(count):
            for data in writes:
                replies = receive(data)
        _accepted(replies)

    return work


def server_connections(steps: tuple[Step, ...]) -> Work:
    """Make a connection, and make the steps behind its EHLO."""
    writes = [step.data for step in steps if step.data != EHLO]

    def work(count: int) -> None:
        for _ in range(count):
            receive = _Server().receive
            for data in writes:
                replies = receive(data)
        _accepted(replies)

    return work


def idle_server() -> object:
    """A connection which has been greeted and has said EHLO."""
    conn = ServerConnection(_RELAY)
    _greet(conn)
    conn.receive_data(EHLO)
    conn.next_event()
    conn.reply()
    conn.next_event()
    conn.data_to_send()
    return conn


def dropping_chunks(body: bytes, *, check: bool) -> Work:
    """Receive messages by BDAT in deliveries of 64 KiB, and drop their content as it comes.

    The chunks are as large as this package's client sends them.

    ``check``: bare CR and LF are looked for, as by default.
    """
    *most, last = chunked(body, _CLIENT.chunk_size)
    stream = b"".join(b"BDAT %d\r\n%b" % (len(chunk), chunk) for chunk in most)
    stream += b"BDAT %d LAST\r\n%b" % (len(last), last)
    writes = [MAIL + RCPT, *chunked(stream)]
    return _messages(replace(_UNLIMITED, check_chunks=check), writes, keep=False)


def _received(chunks: Iterable[bytes]) -> Work:
    """Make a connection and receive the chunks."""

    def work(count: int) -> None:
        for _ in range(count):
            server = _Server(_UNLIMITED)
            for chunk in chunks:
                replies = server.receive(chunk)
        _accepted(replies)

    return work


def commands_in_one_chunk(count: int) -> Work:
    """Receive so many transactions of three commands in one chunk."""
    return _received([(MAIL + RCPT + b"RSET\r\n") * count])


def recipients(count: int) -> Work:
    """Receive one message for so many recipients, its envelope in one write."""
    return _received([*chunked(MAIL + RCPT * count + DATA), BODY])


def recipients_of_messages(count: int) -> Work:
    """Receive so many messages over one connection, each for a hundred recipients."""
    envelope = chunked(MAIL + RCPT * 100 + DATA)
    return _received([*envelope, BODY] * count)


def connections(count: int) -> Work:
    """Make so many connections at a time, and receive one message over each, all in step."""
    writes = [MAIL + RCPT + DATA, BODY]

    def work(repetitions: int) -> None:
        for _ in range(repetitions):
            servers = [_Server() for _ in range(count)]
            for data in writes:
                for server in servers:
                    replies = server.receive(data)
        _accepted(replies)

    return work


def idle_connections(count: int) -> Work:
    """Make so many connections and keep them, each behind its EHLO."""

    def work(repetitions: int) -> None:
        for _ in range(repetitions):
            kept = [idle_server() for _ in range(count)]
            kept.clear()

    return work


def octets_while_a_reply_is_owed(count: int) -> Work:
    """Receive so many times three commands, each time by itself, before EHLO is answered."""

    def work(repetitions: int) -> None:
        for _ in range(repetitions):
            conn = ServerConnection(_UNLIMITED)
            _greet(conn)
            conn.receive_data(EHLO)
            conn.next_event()
            for _ in range(count):
                conn.receive_data(MAIL + RCPT + b"RSET\r\n")
            while True:
                match conn.next_event():
                    case Need.DATA:
                        break
                    case Need.WRITE:
                        conn.data_to_send()
                    case Need.REPLY | Request():
                        conn.reply()
            _accepted(conn.data_to_send())

    return work


def one_octet_deliveries(count: int) -> Work:
    """Receive one message of so many octets, octet by octet."""
    message = MAIL + RCPT + DATA + stuffed(content("text", count))
    return _received([message[index : index + 1] for index in range(len(message))])


def _text_chunks(octets: int) -> Iterator[bytes]:
    """The same chunk of whole lines again and again, then the end of the data."""
    chunk = content("text", CHUNK)
    for _ in range(octets // len(chunk)):
        yield chunk
    yield b".\r\n"


def dropping_text(octets: int) -> Work:
    """Receive messages by DATA, all of the same chunk, and drop their content as it comes.

    So the engine is what is timed. Were they kept, or each chunk another, twice the body would find
    half the room in the processor's caches: 8 MiB copied and joined without any engine take four
    times as long as 4 MiB, and the compiled one needs no longer for all it does besides.
    """
    return _messages(_UNLIMITED, [MAIL + RCPT + DATA, *_text_chunks(octets)], keep=False)


def receive_and_drop(octets: int) -> None:
    """Receive one message and drop its chunks as they come."""
    server = _Server(_UNLIMITED, keep=False)
    server.receive(MAIL + RCPT + DATA)
    for chunk in _text_chunks(octets):
        replies = server.receive(chunk)
    _accepted(replies)


def receive_and_keep(octets: int) -> bytes:
    """Receive one message, keep its chunks and join them."""
    server = _Server(_UNLIMITED)
    server.receive(MAIL + RCPT + DATA)
    for chunk in _text_chunks(octets):
        replies = server.receive(chunk)
    _accepted(replies)
    return server.message


# --- the client ---------------------------------------------------------------------------

_LOOPBACK: Final = "127.0.0.1"
_SENDER: Final = Address.parse(SENDER)
_RECIPIENT: Final = Address.parse(RECIPIENT)


_HELLO: Final = (
    b"220 mx.example.org ESMTP\r\n",
    b"250-mx.example.org\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
)
_MESSAGE: Final = (b"250 OK\r\n250 OK\r\n354 go on\r\n", b"250 OK\r\n")


class _Client:
    """A client, and what each read of its gives behind greeting and EHLO."""

    def __init__(self, replies: Iterable[bytes]) -> None:
        self._conn = conn = ClientConnection(_CLIENT)
        self._replies: Iterator[bytes] = chain(_HELLO, replies)
        self.exchange()
        conn.send(Hello("client.example.com"))
        self.exchange()

    def exchange(self) -> Need:
        """Write what there is, read replies, until the application must act."""
        conn = self._conn
        while True:
            item = conn.next_event()
            if isinstance(item, ReplyReceived):
                self.reply = item.reply
            elif item is READ:
                conn.data_to_send()
                conn.receive_data(next(self._replies))
            elif item is WRITE:
                conn.data_to_send()
            elif isinstance(item, Need):  # the application's turn, and nothing to flush
                return item
            elif isinstance(item, ProtocolViolation):
                raise RuntimeError(item)

    def ask(self, command: Noop) -> Reply:
        """Send a command by itself."""
        self._conn.send(command)
        self.exchange()
        return self.reply

    def send(self, body: Iterable[bytes]) -> Reply:
        """Send a message whose content comes in chunks."""
        self.open()
        self.fill(body)
        self.exchange()
        return self.reply

    def open(self) -> Reply:
        """Send an envelope, up to the reply that asks for the content."""
        self._conn.send(Mail(_SENDER), Rcpt(_RECIPIENT), Data())
        self.exchange()
        return self.reply

    def fill(self, body: Iterable[bytes]) -> None:
        """Queue the content, and its end."""
        conn = self._conn
        for index, chunk in enumerate(body):
            if index:
                self.exchange()
            conn.send_body(chunk)
        conn.end_body()


def _taken(reply: Reply) -> None:
    if reply.code != 250:
        raise RuntimeError(f"refused: {reply}")


def client_messages(message: bytes) -> Work:
    """Send the message over one connection, whose EHLO is not timed."""
    client = _Client(cycle(_MESSAGE))
    body = chunked(message)

    def work(count: int) -> None:
        for _ in range(count):
            reply = client.send(body)
        _taken(reply)

    return work


def client_flights(message: bytes) -> Work:
    """The same, and each next envelope leaves with the dot before it (RFC 2920 §3.1)."""
    envelope, rest = _MESSAGE
    client = _Client(chain([envelope], repeat(rest + envelope)))
    body = chunked(message)
    client.open()

    def work(count: int) -> None:
        for _ in range(count):
            client.fill(body)
            reply = client.open()
        if reply.code != 354:
            raise RuntimeError(f"refused: {reply}")

    return work


def send_iterable(octets: int) -> None:
    """Send one message whose content is made as it is sent."""
    chunk = content("text", CHUNK)
    _taken(_Client(_MESSAGE).send(chunk for _ in range(octets // len(chunk))))


def continuation_lines(count: int) -> Work:
    """Read a reply of so many lines, which arrive one by one."""

    def work(repetitions: int) -> None:
        for _ in range(repetitions):
            client = _Client(chain(repeat(b"250-more\r\n", count - 1), [b"250 OK\r\n"]))
            _taken(client.ask(Noop()))

    return work


def blocking_connections(port: int, message: bytes, messages: int) -> Work:
    """Make a connection on loopback and send the messages over it, one after another."""

    def work(count: int) -> None:
        for _ in range(count):
            with connect(_LOOPBACK, port, _CLIENT) as client:
                client.open_session()
                for _ in range(messages):
                    _all_taken(client.send_mail(SENDER, [RECIPIENT], message))

    return work


def blocking_batches(port: int, message: bytes, messages: int) -> Work:
    """Make a connection on loopback and send the messages over it, none awaiting the one before."""

    def work(count: int) -> None:
        for _ in range(count):
            batch = [MailObject(SENDER, (RECIPIENT,), message) for _ in range(messages)]
            with connect(_LOOPBACK, port, _CLIENT) as client:
                client.open_session()
                for result in client.send_many(batch):
                    _all_taken(result)

    return work


def asyncio_connections(loop: asyncio.AbstractEventLoop, port: int, message: bytes) -> Work:
    """Make a connection on loopback for each message."""

    async def connections(count: int) -> None:
        for _ in range(count):
            async with await asyncio_adapter.connect(_LOOPBACK, port, _CLIENT) as client:
                await client.open_session()
                _all_taken(await client.send_mail(SENDER, [RECIPIENT], message))

    return lambda count: loop.run_until_complete(connections(count))


def _all_taken(result: SendResult) -> None:
    if result.refused:
        raise RuntimeError(f"refused: {result}")


# --- the asyncio adapter ------------------------------------------------------------------


def plain_session(session: Session) -> Callable[[ServerEvent], None]:
    """A handler that never waits: it accepts everything, keeps and joins each message."""
    conn = session.conn
    body: list[bytes] = []

    def handle(event: ServerEvent) -> None:
        match event:
            case EndOfMessage():
                b"".join(body)
                body.clear()
                conn.reply()
            case Request():
                conn.reply()
            case BodyChunk(octets):
                body.append(octets)

    return handle


def _async_session(session: Session) -> Callable[[ServerEvent], Awaitable[None]]:
    """The same, written as a coroutine function."""
    plain = plain_session(session)

    async def handle(event: ServerEvent) -> None:
        plain(event)

    return handle


def protocol_with_plain_handler(loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """A server's protocol for one connection."""
    return ServerProtocol(plain_session, _UNLIMITED)


def protocol_with_async_handler(loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """A server's protocol for one connection, whose handler is a coroutine function."""
    return ServerProtocol(_async_session, _UNLIMITED)


class _Kept(Service):
    """The same as a Service."""

    def message(self, session: Session, message: Message, /) -> None:
        """Keep it no longer."""


def protocol_with_service(loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """A server's protocol for one connection, with a Service that all share."""
    return ServerProtocol(_KEPT, _UNLIMITED)


_KEPT: Final = _Kept()


# --- SCRAM --------------------------------------------------------------------------------

_SECRET: Final = ScramSecret(
    "SCRAM-SHA-256", ACCOUNT.salt, ACCOUNT.iterations, ACCOUNT.stored_key, ACCOUNT.server_key
)


def scram_exchanges(count: int) -> None:
    """Play the server's side so many times; the keys are derived already."""
    client_first, client_final = ACCOUNT.client_first.encode(), ACCOUNT.client_final.encode()
    config = ServerMechanismConfig(
        scram_secret=b"salts of unknown users",
        nonce=lambda: ACCOUNT.server_nonce,
        stores_passwords=False,  # else everybody costs what deriving from a password costs
    )
    for _ in range(count):
        server = server_mechanism("SCRAM-SHA-256", config)
        asked = server.start(client_first)
        server.supply(_SECRET)
        final = server.step(client_final)
        outcome = server.step(b"")
    if not isinstance(asked, Ask) or final != Challenge(ACCOUNT.server_final.encode()):
        raise RuntimeError("smtpwire did not accept the proof")
    if not isinstance(outcome, Succeeded):
        raise TypeError(outcome)
