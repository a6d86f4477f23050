"""A SASL mechanism of one's own that waits for a look-up, and what a client does meanwhile."""

from base64 import b64encode
from typing import Final

import pytest
from tests.engine.transcript import RELAY, Session, session, state_of, wait

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Authenticated,
    AuthenticationFailed,
    Closed,
    CloseReason,
    InvalidCommand,
)
from smtpwire.engine.need import Need
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.sasl import Ask, Failed, SecretRequest, ServerStep, StoredSecret, Succeeded
from smtpwire.sasl.mechanism import Challenge, ServerExchange
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace


class Device(StoredSecret):
    """What is known of a device: a stored form of one's own."""

    def __init__(self, owner: str, pin: bytes) -> None:
        self.owner = owner
        self.pin = pin


class DeviceServer(ServerExchange):
    """The client names its device; when that has been looked up it is asked for a PIN."""

    device: Device | None = None
    asked = False

    def step(self, response: bytes) -> ServerStep:
        if not self.asked:
            self.asked = True
            name = response.decode("ascii", "replace")
            return Ask(SecretRequest(self.name, name, "", (Device,)))
        if self.device is None or response != self.device.pin:
            return Failed("a wrong PIN", text="Type the PIN that the display shows")
        return Succeeded(self.device.owner)

    def supply(self, secret: StoredSecret | None) -> ServerStep:
        self.device = secret if isinstance(secret, Device) else None
        return Challenge(b"PIN")


SERVICE: Final = replace(
    RELAY,
    mechanisms=("X-DEVICE",),
    custom_mechanisms={"X-DEVICE": lambda config: DeviceServer("X-DEVICE", config)},
    timeouts=Timeouts(session=600),
)
BEGIN: Final = b"AUTH X-DEVICE " + b64encode(b"tv") + b"\r\n"
PIN: Final = b64encode(b"1234") + b"\r\n"
ALICE: Final = Device("alice", b"1234")


def waiting(config: ServerConfig = SERVICE) -> Session:
    """A session whose application looks the device up, and takes its time."""
    made = session(config, wait)
    made.feed(BEGIN)
    assert made.at(Need.REPLY)
    assert made.conn.pending == SecretRequest("X-DEVICE", "tv", "", (Device,))
    assert made.conn.timeout is None
    assert made.sent == b""
    return made


def test_the_exchange_goes_on_when_the_look_up_is_done() -> None:
    made = waiting()
    made.conn.supply(ALICE)
    assert made.run() == b"334 UElO\r\n"
    assert made.feed(PIN) == b"235 2.7.0 Authentication succeeded\r\n"
    assert isinstance(made.events[-1], Authenticated)
    assert made.conn.identity is not None
    assert made.conn.identity.authcid == "alice"


def test_who_is_unknown_sees_the_same_until_the_end() -> None:
    made = waiting()
    made.conn.supply(None)
    assert made.run() == b"334 UElO\r\n"
    assert made.feed(PIN) == b"535 5.7.8 Type the PIN that the display shows\r\n"


def test_the_look_up_may_refuse() -> None:
    made = waiting()
    made.conn.reply(Reply(454, "The directory is away", "4.7.0"))
    assert made.run() == b"454 4.7.0 The directory is away\r\n"
    assert made.conn.state is State.READY


@pytest.mark.parametrize(
    ("impatient", "failed"),
    [
        (b"*\r\n", True),
        (PIN, False),
        (b"NOOP\r\n", True),
        (b"MAIL FROM:<a@b.example>\r\n", True),
        (b"!\r\n", True),
    ],
)
def test_nothing_is_read_before_the_look_up_is_done(impatient: bytes, failed: bool) -> None:
    """What the client says meanwhile answers the challenge that follows, for better or worse."""
    made = waiting()
    assert made.feed(impatient) == b""
    assert made.conn.state is State.AUTH
    made.conn.supply(ALICE)
    made.run()
    assert made.sent.startswith(b"334 UElO\r\n")
    assert (made.conn.identity is None) == failed
    assert any(isinstance(event, AuthenticationFailed) for event in made.events) == failed
    assert not any(isinstance(event, InvalidCommand) for event in made.events)
    assert made.conn.envelope is None


def test_too_much_meanwhile_is_not_read() -> None:
    made = waiting()
    made.conn.receive_data(b"x" * made.conn.config.limits.backlog)
    assert not made.conn.wants_data
    with pytest.raises(LocalProtocolError):
        made.conn.receive_data(b"x")


def test_a_client_that_goes_meanwhile() -> None:
    made = waiting()
    made.end()
    assert made.at(Need.REPLY)
    made.conn.supply(ALICE)
    made.run()
    assert made.closed == Closed(CloseReason.EOF)
    assert made.conn.identity is None


@pytest.mark.parametrize("shut_down", [False, True])
def test_a_look_up_that_comes_too_late_raises_and_lets_nobody_in(shut_down: bool) -> None:
    made = waiting()
    question = made.conn.pending
    if shut_down:
        made.conn.shutdown()
    made.conn.abort("the handler was cancelled")
    made.run()
    before = state_of(made.conn)
    for to in (question, None):
        with pytest.raises(LocalProtocolError):
            made.conn.supply(ALICE, to=to)
        with pytest.raises(LocalProtocolError):
            made.conn.reply(Reply(535), to=to)
    assert state_of(made.conn) == before
    assert made.conn.identity is None
    assert made.sent == b""


def test_a_late_look_up_never_answers_another_exchange() -> None:
    made = waiting()
    first = made.conn.pending
    made.conn.reply(Reply(454, "Later", "4.7.0"))
    made.run()
    made.feed(BEGIN)
    assert made.conn.pending == first
    assert made.conn.pending is not first
    with pytest.raises(LocalProtocolError):
        made.conn.supply(ALICE, to=first)
    made.conn.supply(None, to=made.conn.pending)
    made.run()
    made.feed(PIN)
    assert made.conn.identity is None


def test_the_end_of_the_session_s_time_waits_for_the_answer() -> None:
    for timed_out in (True, False):
        made = waiting()
        if timed_out:
            made.conn.session_timed_out()
        else:
            made.conn.shutdown()
        assert made.run() == b""
        made.conn.supply(ALICE)
        made.run()
        assert made.at(Need.CLOSE)
        assert made.sent.splitlines()[-1].startswith(b"421 ")
        assert made.conn.identity is None


def test_a_secret_of_one_s_own_is_nothing_to_other_mechanisms() -> None:
    """The client chooses the mechanism, and gets no further by a stored form it cannot use."""
    config = replace(SERVICE, mechanisms=("CRAM-MD5",))
    made = session(config, wait)
    made.feed(b"AUTH CRAM-MD5\r\n")
    made.feed(b64encode(b"tv " + b"0" * 32) + b"\r\n")
    made.conn.supply(ALICE)
    made.run()
    assert made.sent.splitlines()[-1].startswith(b"535 ")
    [told] = [event for event in made.events if isinstance(event, AuthenticationFailed)]
    assert told.reason.startswith("CRAM-MD5 cannot use what is stored for the user")
    assert "1234" not in told.reason
