"""The blocking client waits in the kernel, for a moment: one call of the system, and right ends."""

import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from struct import unpack
from threading import Event, Thread, Timer, get_ident

import pytest
from tests.adapters.handlers import Mailbox
from tests.adapters.servers import serving

from smtpwire.adapters import blocking, kernel_time
from smtpwire.adapters.kernel_time import timeval_layout, wait_a_moment
from smtpwire.adapters.serving import now
from smtpwire.adapters.stream import Transport
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import CloseReason
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.operations import ConnectionLost, MailObject

RELAY = ServerConfig.relay("mx.example.org", local_domains=["example.org"])
MESSAGE = b"Subject: x\r\n\r\ntext\r\n"
TO = ["b@example.org"]


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    timeval_layout.cache_clear()
    yield
    timeval_layout.cache_clear()


# -- the layout


def test_what_is_set_comes_back() -> None:
    layout = timeval_layout()
    assert layout is not None
    with socket.socket() as sock:
        wait_a_moment(sock, layout)
        assert unpack(layout, sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)) in {
            (0, 2_000),  # the kernel rounds up to its own ticks, of 1, 4 or 10 ms
            (0, 4_000),
            (0, 10_000),
        }


def test_what_has_come_is_read_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "_wait_for", None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = blocking._Waiting(ours, timeval_layout() or "")
        theirs.send(b"x")
        assert now(transport.receive(1, 60.0)) == b"x"


@pytest.mark.parametrize("layouts", [(), ("@ii",)])
def test_an_unknown_layout_is_none(monkeypatch: pytest.MonkeyPatch, layouts: object) -> None:
    monkeypatch.setattr(kernel_time, "_LAYOUTS", layouts)
    assert timeval_layout() is None


def test_windows_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_time, "_POSIX", False)
    assert timeval_layout() is None


def test_without_it_python_keeps_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_time, "_LAYOUTS", ())
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        with blocking.connect("127.0.0.1", port) as client:
            client.open_session()
            assert client.send_mail("a@example.com", TO, MESSAGE).accepted
            assert client.poll()
        mailbox.wait_for_end()
    assert mailbox.messages == [MESSAGE]


# -- how many calls


class Counting(socket.socket):
    """A socket that counts what is called of it."""

    counts: Counter[str]

    def __getattribute__(self, name: str) -> object:
        if name in ("send", "sendall", "recv", "recv_into", "setsockopt", "settimeout"):
            super().__getattribute__("counts")[name] += 1
        return super().__getattribute__(name)


def test_a_message_is_four_calls_and_one_of_many_is_two() -> None:
    mailbox = Mailbox()
    with serving("blocking", mailbox, RELAY) as port:
        sock = Counting()
        sock.counts = Counter()
        sock.connect(("127.0.0.1", port))
        with blocking.connect(sock=sock) as client:
            client.open_session()
            client.send_mail("a@example.com", TO, MESSAGE)
            sock.counts.clear()
            for _ in range(10):
                client.send_mail("a@example.com", TO, MESSAGE)
            assert sock.counts["send"] == 20
            assert sock.counts["recv"] >= 20  # more where the reply takes longer than a moment
            sock.counts.clear()
            client.send_many([MailObject("a@example.com", TO, MESSAGE)] * 10)
            assert sock.counts["send"] == 11
            assert sock.counts["recv"] >= 11
            assert sock.counts["setsockopt"] == 0
        mailbox.wait_for_end()
    assert len(mailbox.messages) == 21


# -- when a time is over


@pytest.fixture(params=["in the kernel", "by poll()"])
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    """One whose peer says nothing, and reads nothing."""
    ours, theirs = socket.socketpair()
    layout = timeval_layout() or ""
    with ours, theirs:
        made = blocking._Transport(ours)
        yield made if request.param == "by poll()" else blocking._Waiting(ours, layout)


@contextmanager
def interrupted(most: int = 100) -> Iterator[list[int]]:
    """Signals come meanwhile, again and again, up to so many; the list is of those that came."""
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    over, whom = Event(), get_ident()

    def interrupt() -> None:
        while not over.wait(0.02) and len(came) < most:
            signal.pthread_kill(whom, signal.SIGUSR1)

    thread = Thread(target=interrupt)
    thread.start()
    try:
        yield came
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_signals_put_no_end_off(transport: Transport) -> None:  # PEP 475
    with interrupted() as came:
        with pytest.raises(TimeoutError):
            now(transport.receive(1, 0.2))
        with pytest.raises(TimeoutError):
            now(transport.send(bytes(10_000_000), 0.2))
    assert 0 < len(came) < 100


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 0.0005, 0.05])
def test_a_time_may_be_short(transport: Transport, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        now(transport.receive(1, seconds))


@pytest.mark.parametrize("seconds", [None, 1e6])
def test_a_time_may_be_long(seconds: float | None) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = blocking._Waiting(ours, timeval_layout() or "")
        later = Timer(0.05, theirs.send, [b"x"])
        later.start()
        assert now(transport.receive(1, seconds)) == b"x"
        later.join()


def test_writing_to_a_peer_that_reads_slowly(transport: Transport) -> None:
    with pytest.raises(TimeoutError):
        now(transport.send(bytes(10_000_000), 0.05))


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = ClientConfig(timeouts=Timeouts.all(0.05))
        client = blocking.connect("127.0.0.1", listener.getsockname()[1], config)
        with pytest.raises(ConnectionLost):
            client.open_session()
        assert client.conn.closed is not None
        assert client.conn.closed.reason is CloseReason.TIMEOUT
        client.close()
