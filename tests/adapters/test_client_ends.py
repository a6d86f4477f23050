"""How every adapter's client ends: servers that stall, cancellation, and no descriptor left."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.clients import Script, scripted
from tests.adapters.handlers import Mailbox
from tests.adapters.loops import CONTRACT, LOOPS, Loop, no_descriptor_left
from tests.adapters.servers import serving

from smtpwire.adapters import client as client_module
from smtpwire.adapters import tls as tls_module
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import CloseReason
from smtpwire.engine.security import Security
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.operations import ConnectionLost, LoginFailed, SessionError, Stage, TlsFailed
from smtpwire.sasl import Password
from smtpwire.testing import certificate
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import replace

SHORT = 0.15
MESSAGE = b"Subject: x\r\n\r\ntext\r\n"
LARGE = b"x" * 78 + b"\r\n"
LAYERS = [Security.NONE, Security.STARTTLS, Security.IMPLICIT]
NOBODY = ClientConfig("client.example.com")


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return LOOPS[request.param]


@pytest.fixture(params=[name for name in LOOPS if name != "blocking"])
def async_loop(request: pytest.FixtureRequest) -> Loop:
    """Those that have tasks, which can be cancelled."""
    return LOOPS[request.param]


@pytest.fixture(params=CONTRACT)
def any_loop(request: pytest.FixtureRequest) -> Loop:
    """A client by the contract alone as well."""
    return CONTRACT[request.param]


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    with no_descriptor_left():
        yield


class Server(Script):
    """A server by hand that speaks over the layer it is given."""

    def __init__(self, script: Script, layer: Security, tls: TlsConfig, signs: "Signs") -> None:
        super().__init__(script.sock)
        self.script, self.layer, self.tls = script, layer, tls
        self.over, self.stalls = signs.over, signs.stalls

    def secure(self) -> None:
        self.start_tls(self.tls.context)
        self.script.sock = self.sock  # to be closed with it

    def begin(self) -> None:
        if self.layer is Security.IMPLICIT:
            self.secure()

    def greet(self) -> None:
        self.begin()
        self.send(b"220 mx.example.org\r\n")

    def hello(self) -> None:
        """Up to the last EHLO's reply."""
        self.greet()
        self.expect(b"EHLO")
        if self.layer is Security.STARTTLS:
            self.send(b"250-mx.example.org\r\n250 STARTTLS\r\n")
            self.expect(b"STARTTLS")
            self.send(b"220 Go ahead\r\n")
            self.secure()
            self.expect(b"EHLO")
        self.send(b"250 mx.example.org\r\n")

    def envelope(self) -> None:
        self.hello()
        for verb, reply in ((b"MAIL", b"250"), (b"RCPT", b"250"), (b"DATA", b"354")):
            self.expect(verb)
            self.send(reply + b" ok\r\n")

    def dribble(self, octets: bytes) -> None:
        """Octet by octet, each in good time by itself, for as long as anybody listens."""
        try:
            for octet in octets * 1000:
                self.send(bytes((octet,)))
                if self.over.wait(SHORT / 5):
                    return
        except OSError:
            return

    def stall(self) -> None:
        """Say nothing and read nothing."""
        self.stalls.set()
        assert self.over.wait(10)


class Signs:
    """What a test and its server tell each other."""

    def __init__(self) -> None:
        self.stalls, self.over = threading.Event(), threading.Event()


@contextmanager
def playing(
    play: Callable[[Server], None], layer: Security, tls: TlsConfig
) -> Iterator[tuple[int, Signs]]:
    signs = Signs()
    with scripted(lambda script: play(Server(script, layer, tls, signs))) as port:
        try:
            yield port, signs
        finally:
            signs.over.set()


def configured(layer: Security, **timeouts: float) -> ClientConfig:
    return replace(NOBODY, host="localhost", security=layer, timeouts=Timeouts(**timeouts))


async def opened(loop: Loop, port: int, config: ClientConfig, **named: Any) -> None:
    client = await loop.connect("127.0.0.1", port, config, **named)
    await client.open_session()


# -- a server that stalls


def no_greeting(server: Server) -> None:
    server.begin()
    server.stall()


def half_a_greeting(server: Server) -> None:
    server.begin()
    server.send(b"220-mx.example.org\r\n22")
    server.stall()


def a_greeting_octet_by_octet(server: Server) -> None:
    server.begin()
    server.dribble(b"220-mx.example.org\r\n")


def no_reply_to_ehlo(server: Server) -> None:
    server.greet()
    server.expect(b"EHLO")
    server.stall()


STALLS = [
    (no_greeting, "greeting"),
    (half_a_greeting, "greeting"),
    (a_greeting_octet_by_octet, "greeting"),
    (no_reply_to_ehlo, "command"),
]


@pytest.mark.parametrize(
    ("layer", "play", "figure"),
    [
        pytest.param(layer, play, figure, id=f"{layer}-{play.__name__}")
        for layer in LAYERS
        for play, figure in STALLS
        if layer is not Security.STARTTLS or play is no_reply_to_ehlo  # the greeting is before TLS
    ],
)
def test_a_session_that_is_not_opened_in_time(
    any_loop: Loop,
    layer: Security,
    play: Callable[[Server], None],
    figure: str,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
) -> None:
    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            client = await any_loop.connect(
                "127.0.0.1", port, configured(layer, **{figure: SHORT}), tls=client_context
            )
            with pytest.raises(ConnectionLost):
                await client.open_session()
            assert client.conn.closed.reason is CloseReason.TIMEOUT
            with pytest.raises(ConnectionLost):
                await client.verify("postmaster")

    any_loop.run(scenario)


def test_a_handshake_that_does_not_end_in_time(
    any_loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"EHLO")
        server.send(b"250-mx.example.org\r\n250 STARTTLS\r\n")
        server.expect(b"STARTTLS")
        server.send(b"220 Go ahead\r\n")
        server.sock.recv(1)  # in the same segment as the 220 it would be plaintext behind it
        server.dribble(b"\x16\x03\x03\x3f\xff" + bytes(0x3FFF))

    async def scenario() -> None:
        with playing(play, Security.STARTTLS, server_tls) as (port, _):
            config = configured(Security.STARTTLS, handshake=SHORT)
            client = await any_loop.connect("127.0.0.1", port, config, tls=client_context)
            with pytest.raises(SessionError) as raised:
                await client.open_session()
            assert raised.value.stage is Stage.TLS
            assert client.conn.closed.reason is CloseReason.TIMEOUT

    any_loop.run(scenario)


def test_a_handshake_from_the_first_octet_that_does_not_end_in_time(
    loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    async def scenario() -> None:
        with playing(Server.stall, Security.NONE, server_tls) as (port, _):
            config = configured(Security.IMPLICIT, handshake=SHORT)
            with pytest.raises(TlsFailed, match=r"^TLS: too slow$"):
                await loop.connect("127.0.0.1", port, config, tls=client_context)

    loop.run(scenario)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_server_that_reads_no_more_after_354(
    any_loop: Loop, layer: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.envelope()
        server.stall()

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            config = configured(layer, block=SHORT)
            client = await any_loop.connect("127.0.0.1", port, config, tls=client_context)
            await client.open_session()
            result = await client.send_mail("a@example.com", ["b@example.org"], LARGE * 200_000)
            assert client.conn.closed.reason is CloseReason.TIMEOUT
            assert [item.outcome for item in result.recipients] == [Disposition.RETRY]

    any_loop.run(scenario)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_server_that_reads_no_more_and_has_said_why(
    loop: Loop, layer: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.envelope()
        server.send(b"552 5.3.4 Too large\r\n")
        server.stall()

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            config = configured(layer, block=SHORT)
            client = await loop.connect("127.0.0.1", port, config, tls=client_context)
            await client.open_session()
            result = await client.send_mail("a@example.com", ["b@example.org"], LARGE * 200_000)
            (recipient,) = result.recipients
            assert recipient.outcome is Disposition.PERMANENT
            assert recipient.reply.code == 552
            await client.close()

    loop.run(scenario)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_server_that_does_not_answer_the_dot(
    any_loop: Loop, layer: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.envelope()
        server.stall()

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            config = configured(layer, end_of_data=SHORT)
            client = await any_loop.connect("127.0.0.1", port, config, tls=client_context)
            await client.open_session()
            result = await client.send_mail("a@example.com", ["b@example.org"], MESSAGE)
            assert client.conn.closed.reason is CloseReason.TIMEOUT
            assert [item.outcome for item in result.recipients] == [Disposition.UNKNOWN]

    any_loop.run(scenario)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_server_that_does_not_answer_quit(
    any_loop: Loop, layer: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.hello()
        server.expect(b"QUIT")
        server.stall()

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            config = configured(layer, quit=SHORT)
            async with await any_loop.connect(
                "127.0.0.1", port, config, tls=client_context
            ) as client:
                await client.open_session()
            assert client.conn.closed.reason is CloseReason.TIMEOUT

    any_loop.run(scenario)


# -- a client that is left, closed or cancelled


@pytest.mark.parametrize("layer", LAYERS)
def test_leaving_the_block_by_an_exception_closes_without_quit(
    loop: Loop, layer: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.hello()
        assert server.rest() == b""

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            config = configured(layer)
            client = await loop.connect("127.0.0.1", port, config, tls=client_context)
            await client.open_session()
            with pytest.raises(ZeroDivisionError):
                async with client:
                    raise ZeroDivisionError

    loop.run(scenario)


@pytest.mark.parametrize("layer", LAYERS)
def test_closing_does_not_wait_for_a_server_that_does_not_read(
    async_loop: Loop, layer: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.envelope()
        server.stall()

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, signs):
            client = await async_loop.connect(
                "127.0.0.1", port, configured(layer), tls=client_context
            )
            await client.open_session()
            sending = client.send_mail("a@example.com", ["b@example.org"], LARGE * 200_000)
            await async_loop.cancelled_when(signs.stalls, sending)
            assert client.conn.state is State.CLOSED
            with pytest.raises(ConnectionLost):
                await client.verify("postmaster")
            await client.close()
            await client.close()

    async_loop.run(scenario)


def test_a_handshake_from_the_first_octet_that_is_cancelled(
    async_loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    async def scenario() -> None:
        with playing(Server.stall, Security.NONE, server_tls) as (port, signs):
            config = configured(Security.IMPLICIT)
            connecting = async_loop.connect("127.0.0.1", port, config, tls=client_context)
            await async_loop.cancelled_when(signs.stalls, connecting)

    async_loop.run(scenario)


def test_a_handshake_after_starttls_that_is_cancelled(
    async_loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"EHLO")
        server.send(b"250-mx.example.org\r\n250 STARTTLS\r\n")
        server.expect(b"STARTTLS")
        server.send(b"220 Go ahead\r\n")
        server.stall()

    async def scenario() -> None:
        with playing(play, Security.STARTTLS, server_tls) as (port, signs):
            config = configured(Security.STARTTLS)
            client = await async_loop.connect("127.0.0.1", port, config, tls=client_context)
            await async_loop.cancelled_when(signs.stalls, client.open_session())
            assert client.conn.state is State.CLOSED

    async_loop.run(scenario)


# -- another handshake


class Renegotiating:
    """OpenSSL's own server, for no module of Python's asks for another handshake."""

    def __init__(self, pem: Path) -> None:
        options = ["-accept", "0", "-cert", str(pem), "-key", str(pem), "-tls1_2", "-crlf"]
        self.process = subprocess.Popen(
            ["openssl", "s_server", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.port = int(self.expect(b"ACCEPT").rpartition(b":")[2])

    def expect(self, word: bytes) -> bytes:
        """The next line with this word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if word in line:
                return line
        raise AssertionError(f"no {word!r}")

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")

    def play(self) -> None:
        self.expect(b"CIPHER is")
        self.say(b"220 mx.example.org ESMTP")
        self.expect(b"EHLO")
        self.say(b"250 mx.example.org")
        self.expect(b"VRFY")
        self.say(b"r")  # to s_server a command

    def __enter__(self) -> "Renegotiating":
        self.player = threading.Thread(target=self.play)
        self.player.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.player.join()
        self.process.communicate()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_a_server_that_asks_for_another_handshake(any_loop: Loop, tmp_path: Path) -> None:
    """It would change what ``conn.tls`` says, channel bindings and certificate included."""
    made = certificate()
    pem = tmp_path / "server.pem"
    pem.write_bytes(made.server_pem)

    async def scenario() -> None:
        with Renegotiating(pem) as server:
            config, tls = configured(Security.IMPLICIT, command=9.0), made.client_context()
            client = await any_loop.connect("127.0.0.1", server.port, config, tls=tls)
            await client.open_session()
            with pytest.raises(ConnectionLost, match="another handshake, which is refused"):
                await client.verify("me")
            await client.close()

    any_loop.run(scenario)


# -- a handshake that fails


def resets_in_the_handshake(server: Server) -> None:
    server.sock.recv(1)
    server.reset()


def speaks_no_tls(server: Server) -> None:
    server.send(b"220 mx.example.org\r\n")
    server.rest()


def ends_in_the_handshake(server: Server) -> None:
    server.sock.recv(1)
    server.sock.close()


@pytest.mark.parametrize("play", [resets_in_the_handshake, speaks_no_tls, ends_in_the_handshake])
def test_a_handshake_from_the_first_octet_that_fails(
    loop: Loop,
    play: Callable[[Server], None],
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
) -> None:
    async def scenario() -> None:
        with playing(play, Security.NONE, server_tls) as (port, _):
            config = configured(Security.IMPLICIT)
            with pytest.raises(TlsFailed, match=r"^TLS: .+") as raised:
                await loop.connect("127.0.0.1", port, config, tls=client_context)
            assert raised.value.stage is Stage.IMPLICIT_TLS
            assert raised.value.reason
            hinted = "is it Security.STARTTLS there?" in raised.value.reason
            assert hinted == (play is speaks_no_tls)

    loop.run(scenario)


def test_a_server_that_is_gone_before_the_handshake(
    loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    async def scenario() -> None:
        with playing(Server.reset, Security.NONE, server_tls) as (port, _):
            config = configured(Security.IMPLICIT)
            with pytest.raises((TlsFailed, OSError)):  # it may be seen in connecting already
                await loop.connect("127.0.0.1", port, config, tls=client_context)

    loop.run(scenario)


@pytest.mark.parametrize("layer", [Security.STARTTLS, Security.IMPLICIT])
@pytest.mark.parametrize("name", [".".join(["x" * 60] * 5)], ids=["of 304 octets"])
def test_a_name_that_no_server_can_have(
    loop: Loop,
    layer: Security,
    name: str,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
) -> None:
    def play(server: Server) -> None:
        if layer is Security.STARTTLS:
            server.send(b"220 mx.example.org\r\n")
            server.expect(b"EHLO")
            server.send(b"250-mx.example.org\r\n250 STARTTLS\r\n")
            server.expect(b"STARTTLS")
            server.send(b"220 Go ahead\r\n")
        assert server.rest() == b""

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _), pytest.raises(TlsFailed):
            await opened(loop, port, configured(layer), tls=client_context, server_name=name)

    loop.run(scenario)


@pytest.mark.parametrize("layer", [Security.STARTTLS, Security.IMPLICIT])
def test_whatever_is_raised_in_a_handshake_ends_the_connection(
    loop: Loop,
    layer: Security,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("an odd certificate")

    def play(server: Server) -> None:
        with pytest.raises((AssertionError, OSError)):
            server.hello()

    monkeypatch.setattr(tls_module, "tls_info", broken)

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            opening = opened(loop, port, configured(layer), tls=client_context)
            with pytest.raises(TlsFailed, match="an odd certificate"):
                await opening

    loop.run(scenario)


def test_what_comes_with_the_end_of_the_handshake_is_kept(
    loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    """In TLS 1.2 the server has the last word of it, and may go on in the same segment."""

    def play(server: Server) -> None:
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"EHLO")
        server.send(b"250-mx.example.org\r\n250 STARTTLS\r\n")
        server.expect(b"STARTTLS")
        server.send(b"220 Go ahead\r\n")
        layer = tls_module.TlsLayer(server.tls)
        while layer.shake_hands() is None:
            server.send(layer.data_to_send())
            layer.receive_data(server.sock.recv(65536))
        layer.write(b"421 4.3.2 I have to go\r\n")
        server.send(layer.data_to_send())
        server.rest()

    client_context.maximum_version = ssl.TLSVersion.TLSv1_2

    async def scenario() -> None:
        with playing(play, Security.STARTTLS, server_tls) as (port, _):
            client = await loop.connect(
                "127.0.0.1", port, configured(Security.STARTTLS), tls=client_context
            )
            with pytest.raises(SessionError) as raised:
                await client.open_session()
            assert raised.value.reply is not None
            assert raised.value.reply.code == 421
            await client.close()

    loop.run(scenario)


def test_no_context_is_made_where_none_is_needed(
    loop: Loop, server_tls: TlsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(server: Server) -> None:
        server.hello()
        server.expect(b"QUIT")
        server.send(b"221 Bye\r\n")

    monkeypatch.setattr(client_module, "client_tls", None)

    async def scenario() -> None:
        with playing(play, Security.NONE, server_tls) as (port, _):
            async with await loop.connect("127.0.0.1", port) as client:
                await client.open_session()

    loop.run(scenario)


# -- one operation at a time


@pytest.mark.parametrize("kind", ["verify", "poll", "send_mail", "quit"])
def test_a_second_operation_is_refused_and_the_first_is_unharmed(
    loop: Loop, kind: str, server_tls: TlsConfig
) -> None:
    """The second one begins where the first hands its content in: between two of its writes."""

    def second(client: Any) -> Awaitable[object]:
        match kind:
            case "verify":
                return client.verify("postmaster")  # type: ignore[no-any-return]
            case "poll":
                return client.poll()  # type: ignore[no-any-return]
            case "quit":
                return client.quit()  # type: ignore[no-any-return]
        return client.send_mail("a@example.com", ["c@example.org"], MESSAGE)  # type: ignore[no-any-return]

    def play(server: Server) -> None:
        server.envelope()
        assert server.expect(b"Subject") == b"Subject: x\r\n"
        assert server.expect(b"\r\n") == b"\r\n"
        assert server.expect(b"text") == b"text\r\n"
        assert server.expect(b".") == b".\r\n"
        server.send(b"250 ok\r\n")
        server.expect(b"QUIT")
        server.send(b"221 Bye\r\n")

    async def scenario() -> None:
        with playing(play, Security.NONE, server_tls) as (port, _):
            async with await loop.connect("127.0.0.1", port, NOBODY) as client:
                await client.open_session()

                def refused() -> Iterator[bytes]:
                    yield b"Subject: x\r\n"
                    with pytest.raises(LocalProtocolError, match="one at a time"):
                        second(client).__await__().send(None)
                    yield b"\r\ntext\r\n"

                result = await client.send_mail("a@example.com", ["b@example.org"], refused())
                assert [item.outcome for item in result.recipients] == [Disposition.DONE]
                assert client.reusable

    loop.run(scenario)


def test_of_many_threads_one_has_its_turn(server_tls: TlsConfig) -> None:
    arrived = threading.Event()

    def play(server: Server) -> None:
        server.hello()
        assert server.expect(b"RSET") == b"RSET\r\n"
        arrived.set()
        assert server.over.wait(10)
        server.send(b"250 ok\r\n")
        assert server.rest() == b""

    from smtpwire.adapters import blocking

    with playing(play, Security.NONE, server_tls) as (port, signs):
        client = blocking.connect("127.0.0.1", port, NOBODY)
        client.open_session()
        refusals: list[LocalProtocolError] = []
        replies: list[int] = []

        def reset() -> None:
            try:
                replies.append(client.reset().code)
            except LocalProtocolError as refusal:
                refusals.append(refusal)
                if len(refusals) == 7:
                    signs.over.set()

        threads = [threading.Thread(target=reset) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert arrived.is_set()
        assert len(refusals) == 7
        assert replies == [250]
        client.close()


def test_closing_in_another_thread_ends_the_operation(server_tls: TlsConfig) -> None:
    arrived = threading.Event()

    def play(server: Server) -> None:
        server.hello()
        server.expect(b"RSET")
        arrived.set()
        assert server.rest() == b""

    from smtpwire.adapters import blocking

    with playing(play, Security.NONE, server_tls) as (port, _):
        client = blocking.connect("127.0.0.1", port, NOBODY)
        client.open_session()

        def close() -> None:
            assert arrived.wait(10)
            client.close()

        thread = threading.Thread(target=close)
        thread.start()
        with pytest.raises(ConnectionLost, match="closed by the application"):
            client.reset()
        thread.join(10)


def test_closing_while_the_content_is_made_is_no_fault_of_the_server(server_tls: TlsConfig) -> None:
    def play(server: Server) -> None:
        server.envelope()
        server.rest()

    from smtpwire.adapters import blocking

    with playing(play, Security.NONE, server_tls) as (port, _):
        client = blocking.connect("127.0.0.1", port, NOBODY)
        client.open_session()

        def content() -> Iterator[bytes]:
            yield b"Subject: x\r\n\r\n"
            client.close()
            yield b"text\r\n"

        result = client.send_mail("a@example.com", ["b@example.org"], content())
    (recipient,) = result.recipients
    assert recipient.outcome is Disposition.RETRY
    assert recipient.reason == "closed by the application"


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("what", ["verify", "close"])
def test_another_task_is_refused_or_closes(
    async_loop: Loop,
    what: str,
    layer: Security,
    server_tls: TlsConfig,
    client_context: ssl.SSLContext,
) -> None:
    def play(server: Server) -> None:
        server.hello()
        assert server.expect(b"RSET") == b"RSET\r\n"
        if what == "verify":
            assert server.over.wait(10)
            server.send(b"250 ok\r\n")
        assert server.rest() == b""

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, signs):
            client = await async_loop.connect(
                "127.0.0.1", port, configured(layer), tls=client_context
            )
            await client.open_session()

            async def first() -> None:
                if what == "verify":
                    assert (await client.reset()).code == 250
                else:
                    with pytest.raises(ConnectionLost):
                        await client.reset()

            async def other() -> None:
                if what == "close":
                    await client.close()
                    return
                with pytest.raises(LocalProtocolError, match="one at a time"):
                    await client.verify("postmaster")
                signs.over.set()

            await async_loop.meanwhile(first(), other())
            await client.close()

    async_loop.run(scenario)


# -- logging in again


def test_the_right_password_after_a_wrong_one(
    loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    config = replace(
        ServerConfig.submissions("mx.example.org"),
        mechanisms=("SCRAM-SHA-256", "PLAIN"),
        scram_secret=b"shared by all processes",
    )

    async def scenario() -> None:
        with serving("blocking", Mailbox(), config, server_tls) as port:
            client = await loop.connect(
                "127.0.0.1", port, configured(Security.IMPLICIT), tls=client_context
            )
            with pytest.raises(LoginFailed):
                await client.open_session(Password("user", "wrong"))
            await client.authenticate(Password("user", "secret"))
            assert client.conn.identity.authcid == "user"
            await client.quit()

    loop.run(scenario)


# -- pools


@pytest.mark.parametrize("layer", LAYERS)
def test_an_idle_session_is_of_use_until_the_server_says_otherwise(
    loop: Loop, layer: Security, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    polled, said = threading.Event(), threading.Event()

    def play(server: Server) -> None:
        server.hello()
        assert polled.wait(10)
        server.send(b"421 4.3.2 I have to go\r\n")
        said.set()
        server.stall()

    async def scenario() -> None:
        with playing(play, layer, server_tls) as (port, _):
            client = await loop.connect("127.0.0.1", port, configured(layer), tls=client_context)
            await client.open_session()
            assert await client.poll()
            assert client.reusable
            polled.set()
            assert said.wait(10)
            while await client.poll():
                pass  # loopback takes its time
            assert not client.reusable
            assert client.conn.closed.reason is CloseReason.SHUTDOWN
            await client.close()

    loop.run(scenario)


# -- what is dialled


def test_a_unix_socket(loop: Loop, tmp_path: Any) -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("there are none here")
    path = str(tmp_path / "lmtp.sock")

    def play() -> None:
        sock, _ = listener.accept()
        server = Script(sock)
        server.send(b"220 mx.example.org\r\n")
        server.expect(b"LHLO")
        server.send(b"250 mx.example.org\r\n")
        server.expect(b"QUIT")
        server.send(b"221 Bye\r\n")
        sock.close()

    async def scenario() -> None:
        config = replace(NOBODY, lmtp=True)
        async with await loop.connect(path=path, config=config) as client:
            await client.open_session()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=play)
        thread.start()
        loop.run(scenario)
        thread.join(10)


def test_a_unix_socket_that_is_not_there(loop: Loop, tmp_path: Any) -> None:
    async def scenario() -> None:
        with pytest.raises(FileNotFoundError):
            await loop.connect(path=str(tmp_path / "lmtp.sock"))

    loop.run(scenario)


def test_a_socket_that_is_connected(
    loop: Loop, server_tls: TlsConfig, client_context: ssl.SSLContext
) -> None:
    def play(server: Server) -> None:
        server.hello()
        server.expect(b"QUIT")
        server.send(b"221 Bye\r\n")

    async def scenario() -> None:
        with playing(play, Security.STARTTLS, server_tls) as (port, _):
            sock = socket.create_connection(("127.0.0.1", port))
            config = replace(NOBODY, security=Security.STARTTLS)
            async with await loop.connect(
                config=config, sock=sock, tls=client_context, server_name="localhost."
            ) as client:
                await client.open_session()
                assert client.conn.tls.verified
                assert client.conn.tls.server_name == "localhost"

    loop.run(scenario)


def test_where_the_connection_comes_from(loop: Loop) -> None:
    seen: list[str] = []

    def play(script: Script) -> None:
        seen.append(script.sock.getpeername()[0])

    async def scenario() -> None:
        with scripted(play) as port:
            client = await loop.connect("127.0.0.1", port, local_addr="127.0.0.2")
            await client.close()

    loop.run(scenario)
    assert seen == ["127.0.0.2"]


def calls_itself(loop: Loop, listener: socket.socket, **dialled: Any) -> bytes:
    """The name in EHLO of a client that was given none, to a server at this listening socket."""
    said: list[bytes] = []

    def serve() -> None:
        with listener.accept()[0] as accepted:
            accepted.sendall(b"220 mx.example.org\r\n")
            said.append(accepted.recv(1000))
            accepted.sendall(b"250 mx.example.org\r\n")
            accepted.recv(1000)  # QUIT
            accepted.sendall(b"221 Bye\r\n")

    async def scenario() -> None:
        async with await loop.connect(**dialled) as client:
            await client.open_session()

    server = threading.Thread(target=serve)
    with listener:
        server.start()
        loop.run(scenario)
        server.join()
    return said[0].removeprefix(b"EHLO ").rstrip()


@pytest.mark.parametrize(
    ("host", "source", "name"),
    [
        ("127.0.0.1", "", b"[127.0.0.1]"),
        ("127.0.0.1", "127.0.0.2", b"[127.0.0.2]"),
        ("::1", "", b"[IPv6:::1]"),
    ],
)
def test_who_is_given_no_name_says_its_socket_s_own_address(
    loop: Loop, host: str, source: str, name: bytes
) -> None:
    """RFC 5321 §4.1.4."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    port = listener.getsockname()[1]
    assert calls_itself(loop, listener, host=host, port=port, local_addr=source) == name


def test_a_socket_that_was_handed_in_names_the_client_too(loop: Loop) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sock = socket.create_connection(listener.getsockname(), source_address=("127.0.0.3", 0))
    assert calls_itself(loop, listener, sock=sock) == b"[127.0.0.3]"


def test_a_unix_socket_does_not_leave_this_host(loop: Loop, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    path = str(tmp_path / "smtp")
    listener.bind(path)
    listener.listen()
    assert calls_itself(loop, listener, path=path) == b"[127.0.0.1]"


def test_a_name_that_was_given_stays(loop: Loop) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    named = calls_itself(loop, listener, host="127.0.0.1", port=port, config=NOBODY)
    assert named == b"client.example.com"


def test_nobody_listens(loop: Loop) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(OSError):
            await loop.connect("127.0.0.1", port)

    loop.run(scenario)


def test_a_connection_that_does_not_come_about_in_time(loop: Loop) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            port = listener.getsockname()[1]
            waiting = [socket.socket() for _ in range(4)]
            for sock in waiting:  # the queue is full, and nobody accepts
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            with pytest.raises(TimeoutError):
                await loop.connect("127.0.0.1", port, timeout=SHORT)
            for sock in waiting:
                sock.close()

    loop.run(scenario)


# -- who is dialled


def test_who_was_dialled_is_known(loop: Loop) -> None:
    with scripted(lambda server: server.send(b"220 mx.example.org\r\n")) as port:

        async def scenario() -> None:
            client = await loop.connect("localhost", port, NOBODY)
            assert (client.conn.peer.address, client.conn.peer.port) == ("127.0.0.1", port)
            await client.close()

        loop.run(scenario)


def test_who_does_not_listen_is_told_in_the_same_way_everywhere(loop: Loop) -> None:
    """By one address or by several, of which the last one is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async def scenario() -> None:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(ConnectionRefusedError):
                await loop.connect(host, port, NOBODY)

    loop.run(scenario)
