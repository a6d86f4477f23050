"""The server's loop as a generator: what it asks of its driver, and what it does about trouble."""

import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest
from tests.adapters.handlers import Mailbox, answer

from smtpwire.engine.events import (
    BodyChunk,
    Closed,
    CloseReason,
    Connected,
    EndOfMessage,
    MessageAborted,
    Peer,
    ServerEvent,
)
from smtpwire.engine.need import Need
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.tls import TlsInfo
from smtpwire.operations import Handler, ServeStep, Session, serve
from smtpwire.operations.serve import TURN, who
from smtpwire.sasl import PasswordLogin
from smtpwire.wire.command import Hello, Mail, StartTls
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

RELAY = ServerConfig.relay("mx.example.org")
HELLO = b"EHLO client.example.com\r\n"
MESSAGE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Driven:
    """A session, and a driver by hand."""

    def __init__(
        self,
        factory: Callable[[Session], Handler],
        config: ServerConfig = RELAY,
        tls: TlsInfo | None = None,
    ) -> None:
        self.conn = ServerConnection(config, tls=tls, peer=Peer("192.0.2.1", 12345))
        self.clock = Clock()
        self.written = b""
        self.serving = serve(self, factory, config, logging.getLogger("smtpwire"), self.clock)

    def flush(self) -> None:
        self.written += self.conn.data_to_send()

    def shutdown(self) -> None:
        self.conn.shutdown()

    def close(self) -> None:
        self.conn.abort()

    def step(self, received: bytes = b"", error: BaseException | None = None) -> ServeStep:
        """What is asked for next, behind every WRITE; ``written`` is what was written up to it."""
        if received:
            self.conn.receive_data(received)
        self.written = b""
        step = next(self.serving) if error is None else self.serving.throw(error)
        self.flush()
        while step is Need.WRITE:
            step = next(self.serving)
            self.flush()
        return step


def on(kind: type[ServerEvent], step: Callable[[Session], Awaitable[None] | None]) -> Mailbox:
    """A handler that does something at one kind of event before it answers."""
    return Mailbox(lambda session, event: step(session) if isinstance(event, kind) else None)


def failing(session: Session) -> None:
    raise ZeroDivisionError


def leave_unanswered(kind: type[ServerEvent]) -> Callable[[Session], Handler]:
    def factory(session: Session) -> Handler:
        return lambda event: None if isinstance(event, kind) else answer(session, event)

    return factory


class Later:
    """An awaitable that a driver may await, or may say of what it likes."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield


def later(kind: type[ServerEvent], mailbox: Mailbox | None = None) -> Callable[[Session], Handler]:
    """At one kind of event a handler that is awaited; at others as the mailbox does."""

    def factory(session: Session) -> Handler:
        handle = (mailbox or Mailbox())(session)
        return lambda event: Later() if isinstance(event, kind) else handle(event)

    return factory


def test_a_session_to_its_end() -> None:
    mailbox = Mailbox()
    session = Driven(mailbox)
    assert session.step() is Need.DATA
    assert session.written.startswith(b"220 ")
    assert session.step(HELLO + MESSAGE) is Need.DATA
    assert session.written.endswith(b"354 Go ahead\r\n")
    assert session.step(b"text\r\n.\r\nQUIT\r\n") is Need.CLOSE
    assert session.written.endswith(b"221 2.0.0 Goodbye\r\n")
    assert mailbox.messages == [b"text\r\n"]
    with pytest.raises(StopIteration):
        next(session.serving)


def test_what_a_handler_returns_is_awaited_by_the_driver() -> None:
    session = Driven(later(Mail))
    session.step()
    assert isinstance(session.step(HELLO + MESSAGE), Later)
    session.conn.reply()
    assert session.step() is Need.DATA
    assert session.written.endswith(b"354 Go ahead\r\n")


def test_a_turn_ends_between_two_events() -> None:
    handled = 0

    def slow(session: Session) -> None:
        nonlocal handled
        handled += 1
        driven.clock.now += TURN / 3.9

    driven = Driven(on(Mail, slow))
    driven.step()
    driven.step(HELLO)
    driven.conn.receive_data(b"MAIL FROM:<a@b.example>\r\nRSET\r\n" * 20)
    turns = []
    while next(driven.serving) is Need.WRITE:
        turns.append(handled)
        driven.flush()
    assert turns == [5, 10, 15, 20]


def test_a_turn_begins_anew_when_the_peer_has_been_waited_for() -> None:
    session = Driven(Mailbox())
    session.step()
    session.clock.now += 1000
    session.conn.receive_data(HELLO)
    assert next(session.serving) is Need.DATA


@pytest.mark.parametrize("how", ["raised", "thrown"])
def test_a_handler_that_raises_is_a_451(how: str, caplog: pytest.LogCaptureFixture) -> None:
    session = Driven(on(Mail, failing) if how == "raised" else later(Mail))
    session.step()
    session.conn.receive_data(HELLO + b"MAIL FROM:<a@b.example>\r\n")
    step = session.step()
    if how == "thrown":
        assert not isinstance(step, Need)
        session.step(error=ZeroDivisionError())
    assert session.written.endswith(b"451 4.3.0 Local error in processing\r\n")
    (record,) = caplog.records
    assert record.getMessage().startswith("192.0.2.1:12345: handler failed at Mail(")
    assert record.exc_info is not None


def test_at_a_part_of_the_body_it_is_the_verdict() -> None:
    session = Driven(on(BodyChunk, failing))
    session.step()
    session.step(HELLO + MESSAGE)
    session.step(b"text\r\n")
    session.step(b"more\r\n.\r\n")
    assert session.written == b"451 4.3.0 Local error in processing\r\n"


def test_behind_a_verdict_nothing_is_left_to_say() -> None:
    def refuse(session: Session) -> None:
        session.conn.reply(Reply(554, "No"))
        raise ZeroDivisionError

    session = Driven(on(BodyChunk, refuse))
    session.step()
    session.step(HELLO + MESSAGE)
    session.step(b"text\r\n.\r\n")
    assert session.written.startswith(b"554 ")


def test_one_that_raises_where_nothing_is_owed_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = Driven(on(Closed, failing))
    session.step()
    assert session.step(b"QUIT\r\n") is Need.CLOSE
    assert "Closed" in caplog.text


@pytest.mark.parametrize("question", [Connected, Hello, Mail, EndOfMessage])
def test_a_question_that_is_left_is_a_451(
    question: type[ServerEvent], caplog: pytest.LogCaptureFixture
) -> None:
    session = Driven(leave_unanswered(question))
    written = b""
    for received in (b"", HELLO, MESSAGE, b"text\r\n.\r\n"):
        session.step(received)
        written += session.written
    assert b"451 " in written
    (record,) = caplog.records
    said = record.getMessage()
    assert said.startswith(f"192.0.2.1:12345: handler left {question.__name__}(")
    assert said.endswith(" unanswered: it has to call session.conn.reply()")


def test_credentials_that_are_left_are_a_454() -> None:
    config = replace(RELAY, mechanisms=("PLAIN",), cleartext_without_tls=True)
    session = Driven(leave_unanswered(PasswordLogin), config)
    session.step()
    session.step(HELLO + b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n")
    assert session.written.endswith(b"454 4.7.0 Temporary authentication failure\r\n")


def test_starttls_that_is_left_is_a_454_whatever_the_texts() -> None:
    """RFC 3207 §4 has no other code for it."""
    config = replace(
        RELAY,
        starttls=True,
        replies={ReplyKind.AUTH_TROUBLE: Reply(432, "Later"), ReplyKind.TROUBLE: Reply(452, "No")},
    )
    session = Driven(leave_unanswered(StartTls), config)
    session.step()
    session.step(HELLO + b"STARTTLS\r\n")
    assert session.written.endswith(b"454 4.7.0 TLS not available due to temporary reason\r\n")


def test_an_answer_that_cannot_be_given_ends_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox = on(Mail, failing)
    session = Driven(mailbox)
    session.step()
    texts = {**RELAY.texts, ReplyKind.TROUBLE: Reply(354, "no")}
    monkeypatch.setitem(vars(RELAY), "texts", texts)
    assert session.step(HELLO + b"MAIL FROM:<a@b.example>\r\n") is Need.CLOSE
    assert [end.reason for end in mailbox.endings] == [CloseReason.ABORTED]
    assert "no answer" in caplog.text


def test_a_late_answer_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    def gone(session: Session) -> None:
        session.conn.abort("gone")
        session.conn.reply()

    caplog.set_level(logging.INFO)
    session = Driven(on(Mail, gone))
    session.step()
    assert session.step(HELLO + b"MAIL FROM:<a@b.example>\r\n") is Need.CLOSE
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_where_no_handler_can_be_made_the_greeting_is_421(caplog: pytest.LogCaptureFixture) -> None:
    def factory(session: Session) -> Handler:
        raise ZeroDivisionError

    session = Driven(factory)
    assert session.step() is Need.CLOSE
    assert session.written == b"421 Local error in processing\r\n"
    (record,) = caplog.records
    assert record.getMessage() == "192.0.2.1:12345: no handler could be made"


def test_a_factory_that_forgets_to_return_its_handler(caplog: pytest.LogCaptureFixture) -> None:
    session = Driven(lambda session: None)  # type: ignore[arg-type,return-value]  # the mistake
    assert session.step() is Need.CLOSE
    assert session.written == b"421 Local error in processing\r\n"
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == (
        "the session factory returned None: return the handler, a function of an event"
    )


def test_what_fails_in_the_driver_ends_it_and_the_handler_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mailbox = Mailbox()
    session = Driven(mailbox)
    session.step()
    session.step(HELLO + MESSAGE)
    session.step(b"half a mess")
    assert session.step(error=ZeroDivisionError("in the driver")) is Need.CLOSE
    assert isinstance(mailbox.events[-2], MessageAborted)
    (end,) = mailbox.endings
    assert end.reason is CloseReason.ABORTED
    assert end.error == "ZeroDivisionError: in the driver"
    assert "192.0.2.1:12345: the session failed" in caplog.text


def test_a_trace_that_raises_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    def trace(*_: object) -> None:
        raise ZeroDivisionError

    mailbox = Mailbox()
    session = Driven(mailbox)
    session.conn.trace = trace
    assert session.step() is Need.CLOSE
    assert "the session failed" in caplog.text
    assert len(mailbox.endings) == 1


class Interruption(BaseException):
    """A cancellation, or Ctrl-C."""


def interrupt(session: Session) -> None:
    raise Interruption


@pytest.mark.parametrize("where", ["in a handler", "while one is awaited", "at a Need"])
def test_an_interruption_is_raised_when_the_handler_has_been_told(where: str) -> None:
    mailbox = on(Mail, interrupt)
    session = Driven(mailbox if where == "in a handler" else later(Mail, mailbox))
    session.step()
    received = HELLO + b"MAIL FROM:<a@b.example>\r\n" * (where != "at a Need")
    if where != "in a handler":
        session.step(received)
    with pytest.raises(Interruption):
        session.step(*((received,) if where == "in a handler" else (b"", Interruption())))
    assert [end.reason for end in mailbox.endings] == [CloseReason.ABORTED]
    assert session.conn.state is State.CLOSED


def test_a_second_interruption_changes_nothing() -> None:
    mailbox = on(Closed, interrupt)
    session = Driven(mailbox)
    session.step()
    first = Interruption()
    with pytest.raises(Interruption) as raised:
        session.step(error=first)
    assert raised.value is first


def test_a_loop_that_is_closed_asks_for_nothing() -> None:
    session = Driven(Mailbox())
    session.step()
    session.serving.close()
    with pytest.raises(StopIteration):
        next(session.serving)


def test_nor_does_one_that_is_closed_while_it_awaits_a_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = Driven(later(Mail))
    session.step()
    session.step(HELLO + b"MAIL FROM:<a@b.example>\r\n")
    session.serving.close()
    session.flush()
    assert session.conn.pending is not None
    assert caplog.records == []


def test_a_factory_that_raises_generator_exit_is_a_421() -> None:
    def factory(session: Session) -> Handler:
        raise GeneratorExit

    session = Driven(factory)
    session.step()
    assert session.written == b"421 Local error in processing\r\n"


def test_shutdown_in_the_factory_and_in_a_handler() -> None:
    def factory(session: Session) -> Handler:
        session.shutdown()
        return Mailbox()(session)

    at_once = Driven(factory)
    assert at_once.step() is Need.CLOSE
    assert at_once.written.startswith(b"421 ")
    behind = Driven(on(Mail, lambda session: session.shutdown()))
    behind.step()
    assert behind.step(HELLO + b"MAIL FROM:<a@b.example>\r\nNOOP\r\n") is Need.CLOSE
    assert behind.written.endswith(b"250 2.1.0 Sender OK\r\n421 4.3.2 Service shutting down\r\n")


def test_a_peer_in_the_log() -> None:
    assert who(Peer("192.0.2.1", 25)) == "192.0.2.1:25"
    assert who(Peer("2001:db8::1", 25)) == "[2001:db8::1]:25"
    assert who(Peer()) == "unknown peer"
