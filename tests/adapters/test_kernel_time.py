"""The blocking client's time is kept by the kernel: one call of the system each, and right ends."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from struct import unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.handlers import Mailbox
from tests.adapters.servers import serving

from smtpwire.adapters import blocking, kernel_time
from smtpwire.adapters.kernel_time import KernelTimeout, timeval_layout
from smtpwire.adapters.serving import now
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
        KernelTimeout(sock, socket.SO_RCVTIMEO, layout).begin(2.5)
        assert unpack(layout, sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)) in {
            (1, 252_000),  # the kernel rounds up to its own ticks, of 1, 4 or 10 ms
            (1, 250_000),
            (1, 260_000),
        }


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
            assert sock.counts == {"send": 20, "recv": 20}
            sock.counts.clear()
            client.send_many([MailObject("a@example.com", TO, MESSAGE)] * 10)
            assert sock.counts == {"send": 11, "recv": 11}
        mailbox.wait_for_end()
    assert len(mailbox.messages) == 21


# -- when a time is over


class Kernel:
    """A socket's options, and a clock that only a call which waits moves on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.limit = 0.0
        self.changes = 0

    def setsockopt(self, level: int, option: int, time: bytes) -> None:
        whole, part = unpack("@ll", time)
        self.limit = whole + part / 1e6
        assert self.limit > 0
        assert part < 1_000_000
        self.changes += 1

    def wait(self, until: float = 1e9) -> None:
        """A call that ends when the time is over which is set, or by an octet of the peer's."""
        self.now = min(self.now + self.limit, max(until, self.now)) if self.limit else until


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(kernel_time, "monotonic", lambda: made.now)
    return made


def waited(kernel: Kernel, timeout: KernelTimeout, seconds: float) -> float:
    """How long a call lasts that nothing comes to."""
    begun = kernel.now
    end = timeout.begin(seconds)
    with suppress(TimeoutError):
        while kernel.now < begun + 2 * seconds + 1:
            kernel.wait()
            timeout.go_on(end)
    return kernel.now - begun


def over(kernel: Kernel) -> KernelTimeout:
    return KernelTimeout(kernel, socket.SO_RCVTIMEO, "@ll")  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [300.0, 0.15, 1e-7, 200_000.0])
def test_a_call_ends_when_its_time_is_over(kernel: Kernel, seconds: float) -> None:
    timeout = over(kernel)
    for _ in range(3):
        assert waited(kernel, timeout, seconds) == pytest.approx(seconds, abs=1e-5)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=10))
def test_whatever_came_before_it(times: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kernel = Kernel()
        patch.setattr(kernel_time, "monotonic", lambda: kernel.now)
        timeout = over(kernel)
        for seconds in times:
            assert waited(kernel, timeout, seconds) == pytest.approx(seconds, abs=1e-4)


def test_a_peer_that_dribbles_costs_few_changes_and_ends_in_time(kernel: Kernel) -> None:
    timeout = over(kernel)
    begun, left = kernel.now, 300.0
    while left > 1:
        timeout.begin(left)
        kernel.wait(kernel.now + 1.0)  # an octet a second
        left = begun + 300 - kernel.now
    assert kernel.changes < 15
    assert kernel.now <= begun + 300


def test_without_a_time_it_waits_for_ever(kernel: Kernel) -> None:
    timeout = over(kernel)
    assert timeout.begin(None) is None
    assert kernel.changes == 0
    timeout.begin(10)
    timeout.go_on(None)  # and where the kernel gives up, it is called again


def test_many_calls_in_time_change_nothing(kernel: Kernel) -> None:
    timeout = over(kernel)
    for number in range(1000):
        timeout.begin(300 - number / 10_000)
    assert kernel.changes == 1


# -- a peer that reads slowly


class Slow(Kernel):
    """Takes one octet for each time that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = b""

    def setblocking(self, flag: bool) -> None:
        assert flag

    def send(self, octets: memoryview) -> int:
        self.wait()
        self.taken += bytes(octets[:1])
        return 1


def test_writing_octet_by_octet_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(kernel_time, "monotonic", lambda: slow.now)
    transport = blocking._Waiting(slow, "@ll")  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        now(transport.send(b"x" * 1000, 60.0))
    assert slow.now == pytest.approx(1060, abs=1e-3)
    assert len(slow.taken) < 5


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = ClientConfig(timeouts=Timeouts.all(0.05))
        client = blocking.connect("127.0.0.1", listener.getsockname()[1], config)
        with pytest.raises(ConnectionLost):
            client.open_session()
        assert client.conn.closed is not None
        assert client.conn.closed.reason is CloseReason.TIMEOUT
        client.close()
