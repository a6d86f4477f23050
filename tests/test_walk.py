"""A client and a server in every state they reach together, up to a bound; the walk can fail."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.walk.pair import Fault, Walk
from tests.walk.profiles import PROFILES

from smtpwire.engine.client import session as client_session
from smtpwire.engine.client.pipeline import Pipeline
from smtpwire.engine.client.session import Session
from smtpwire.engine.events import EndOfData, EndOfMessage
from smtpwire.engine.need import NEED_TLS
from smtpwire.engine.server import connection
from smtpwire.engine.server.body import answer_end
from smtpwire.engine.server.commands import rset
from smtpwire.engine.server.lines import Rule
from smtpwire.engine.server.outbox import Outbox
from smtpwire.wire.command import Command, Rset

pytestmark = pytest.mark.skipif(
    not (client_session.__file__ or "").endswith(".py"),
    reason="compiled engines are no plain objects",
)
DEPTH = 2


@pytest.mark.parametrize("profile", PROFILES)
def test_every_sequence_of_a_few_steps(profile: str) -> None:
    """Figures are of ``python -m tests.walk``, which goes on for as long as one likes."""
    seen = Walk(PROFILES[profile]).run(DEPTH)
    assert seen.depth == DEPTH
    assert seen.states > 1000
    assert seen.edges > seen.states


# -- planted faults


def forget_what_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "drop", lambda self, steps, reply=None: None)


def end_a_message_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_first(pipeline: Pipeline) -> Command:
        return pipeline.flight.pop(0).command if pipeline.flight else EndOfData()

    monkeypatch.setattr(Pipeline, "take_end", take_first)


def say_yes_and_mean_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(session: Any, question: Any, replies: Any) -> None:
        answer_end(session, question, ())

    monkeypatch.setitem(connection.ANSWERS, EndOfMessage, lie)


def say_no_and_mean_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Outbox.put

    def lie(outbox: Outbox, octets: bytes) -> None:
        put(outbox, octets.replace(b"250 2.0.0 taken", b"450 4.0.0 taken"))

    monkeypatch.setattr(Outbox, "put", lie)


def owe_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(session: Any, command: Any, line: bytes) -> Any:
        question = rset(session, command, line)
        session.outbox.clear()
        return question

    monkeypatch.setitem(connection.RULES, Rset, Rule("RSET", silent))


def wait_without_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.ServerConnection, "timeout", None)


def never_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_session, "NEED_CLOSE", NEED_TLS)


@pytest.mark.parametrize(
    ("plant", "profile", "words"),
    [
        (forget_what_is_queued, "relay", "queued, and to be ended|without an end"),
        (end_a_message_twice, "lmtp-chunking", "a message ended twice|ended twice, or never sent"),
        (say_yes_and_mean_no, "lock-step", "counted as done, and not delivered"),
        (say_no_and_mean_yes, "lmtp", "delivered, and counted as"),
        (owe_a_reply, "relay", "both ends wait for one another"),
        (wait_without_a_time, "relay", "no time-out"),
        (never_close, "relay", "CLOSE and Closed do not agree"),
    ],
)
def test_a_planted_fault_is_found(
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    profile: str,
    words: str,
) -> None:
    plant(monkeypatch)
    with pytest.raises(Fault, match=words):
        Walk(PROFILES[profile]).run(4)
