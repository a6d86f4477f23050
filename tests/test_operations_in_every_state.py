"""Every operation in every state ends, raises or waits for its driver; and one runs at a time."""

import gc
from collections.abc import Callable, Mapping
from threading import Barrier, Thread
from typing import Final

import pytest
from tests.engine.client_dialogue import Dialogue
from tests.engine.test_client_walk import CONFIG, WAYS

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import CloseReason
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.operations import (
    HANDED_IN,
    ConnectionLost,
    LoginFailed,
    Operation,
    SessionError,
    UnsendableError,
    authenticate,
    open_session,
    quit,
    reset,
    send_mail,
    session,
    verify,
)
from smtpwire.sasl import ClientMechanism, Password
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.command import Data, Noop
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import replace

ALICE: Final = Password("alice", "secret")
MESSAGE: Final = b"Subject: x\r\n\r\ntext\r\n"

Begin = Callable[[ClientConnection], Operation[object]]
OPERATIONS: Final[Mapping[str, Begin]] = {
    "open_session": open_session,
    "open_session and log in": lambda conn: open_session(conn, ALICE),
    "authenticate": lambda conn: authenticate(conn, ALICE),
    "send_mail": lambda conn: send_mail(conn, "a@b.example", ["c@d.example"], MESSAGE),
    "send_mail, handed in": lambda conn: send_mail(conn, None, ["c@d.example"], HANDED_IN),
    "verify": lambda conn: verify(conn, "bob"),
    "reset": reset,
    "quit": quit,
}


def in_state(state: State, config: ClientConfig = CONFIG) -> ClientConnection:
    d = Dialogue()
    WAYS[state](d)
    assert d.conn.state is state
    return d.conn


def steps(conn: ClientConnection, operation: Operation[object], answer: bytes) -> int:
    """How often the operation asks its driver, whose server always says the same."""
    count = 0
    need: Need | None = None
    while True:
        try:
            need = next(operation)
        except (StopIteration, SessionError, LocalProtocolError):
            return count
        except TypeError:  # no chunk was handed in
            assert need is Need.BODY
            return count
        count += 1
        assert count < 30, "it goes round in a circle"
        conn.data_to_send()
        if need is Need.DATA:
            assert conn.timeout is not None
            conn.receive_data(answer)
        elif need is Need.TLS:
            conn.tls_failed("no handshake")


@pytest.mark.parametrize("answer", [b"", b"250 ok\r\n", b"334 \r\n", b"354 go\r\n", b"550 no\r\n"])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("state", State)
def test_it_never_goes_round_in_a_circle(state: State, name: str, answer: bytes) -> None:
    conn = in_state(state)
    steps(conn, OPERATIONS[name](conn), answer)
    again = OPERATIONS[name](conn)
    steps(conn, again, answer)


@pytest.mark.parametrize("name", ["send_mail", "authenticate"])
@pytest.mark.parametrize(
    "state", [each for each in State if each not in (State.READY, State.CLOSED)]
)
def test_an_operation_out_of_order_is_a_mistake_of_the_caller_s(state: State, name: str) -> None:
    conn = in_state(state)
    with pytest.raises(LocalProtocolError, match=f"its state is {state.value}"):
        next(OPERATIONS[name](conn))
    assert conn.data_to_send() == b""
    assert conn.state is state


@pytest.mark.parametrize("content", [MESSAGE, b"\xff", b"x" * 20_000_000])
def test_what_is_wrong_with_the_session_never_makes_a_message_unsendable(content: bytes) -> None:
    conn = ClientConnection(ClientConfig("c.example"))
    with pytest.raises(LocalProtocolError, match="its state is greeting"):
        next(send_mail(conn, "grün@b.example", ["c@d.example"], content))


@pytest.mark.parametrize("state", [State.GREETING, State.READY])
def test_a_connection_that_has_ended_never_makes_a_message_unsendable(state: State) -> None:
    """Whatever it offered, if it came to that, says nothing of the next connection's offer."""
    conn = in_state(state)
    conn.receive_data(b"")
    while conn.next_event() is not Need.CLOSE:
        pass
    sending = send_mail(conn, "grün@b.example", ["c@d.example", "e@d.example"], b"\xff")
    with pytest.raises(StopIteration) as stop:
        next(sending)
    results = stop.value.value.recipients
    assert [(each.outcome, each.command) for each in results] == [(Disposition.RETRY, "MAIL")] * 2
    assert results[0].reason == "the server closed the connection"


def test_mail_before_tls_is_a_mistake_of_the_caller_s() -> None:
    d = Dialogue()
    d.connect(replace(CONFIG, security=Security.STARTTLS))
    d.greeted("STARTTLS")
    with pytest.raises(LocalProtocolError, match="before TLS"):
        next(send_mail(d.conn, None, ["grün@d.example"], b"\xff"))


def test_a_server_that_refuses_service_is_no_fault_of_the_message() -> None:
    d = Dialogue()
    d.receive("554 no service")
    with pytest.raises(LocalProtocolError):
        next(send_mail(d.conn, None, ["c@d.example"], MESSAGE))
    with pytest.raises(LocalProtocolError, match="only Quit"):
        next(open_session(d.conn))
    assert finished(quit(d.conn), d.conn, b"221 bye\r\n") == b"QUIT\r\n"


# -- a session that stands is gone on with


def finished(operation: Operation[object], conn: ClientConnection, *answers: bytes) -> bytes:
    """What is said until it ends; the server gives its answers in turn."""
    left = list(answers)
    said = b""
    try:
        for need in operation:
            said += conn.data_to_send()
            if need is Need.DATA:
                conn.receive_data(left.pop(0))
            elif need is Need.TLS:
                conn.tls_started(SIMULATED_TLS)
    finally:
        said += conn.data_to_send()
    return said


def test_a_wrong_password_and_then_the_right_one() -> None:
    """RFC 4954 §9: a server gives three tries on one connection."""
    for again in (open_session, authenticate):
        conn = ClientConnection(CONFIG)
        answers = (b"220 mx\r\n", b"250-mx\r\n250 AUTH PLAIN\r\n", b"535 5.7.8 no\r\n")
        with pytest.raises(LoginFailed):
            finished(open_session(conn, Password("alice", "wrong")), conn, *answers)
        with pytest.raises(LoginFailed):
            finished(again(conn, Password("alice", "guess")), conn, b"535 5.7.8 no\r\n")
        said = finished(again(conn, ALICE), conn, b"235 2.7.0 welcome\r\n")
        assert said == b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"
        assert conn.identity is not None
        with pytest.raises(LocalProtocolError, match="already authenticated"):
            next(again(conn, ALICE))


@pytest.mark.parametrize("begin", [open_session, authenticate])
def test_what_are_no_credentials_is_refused_at_once(
    begin: Callable[..., Operation[None]],
) -> None:
    conn = in_state(State.READY)
    with pytest.raises(TypeError, match="credentials is a tuple") as raised:
        begin(conn, ("alice", "secret"))
    assert "secret" not in str(raised.value)
    with pytest.raises(TypeError, match="policy is a str"):
        begin(conn, ALICE, policy="PLAIN")


def test_an_open_session_is_left_as_it_is() -> None:
    conn = in_state(State.READY)
    assert finished(open_session(conn), conn) == b""


def test_tls_is_begun_on_an_open_session() -> None:
    d = Dialogue()
    d.connect(replace(CONFIG, security=Security.STARTTLS))
    d.greeted("STARTTLS")
    said = finished(open_session(d.conn), d.conn, b"220 go\r\n", b"250 mx\r\n")
    assert said == b"STARTTLS\r\nEHLO [127.0.0.1]\r\n"
    assert d.conn.tls is SIMULATED_TLS


def test_a_greeted_connection_is_opened() -> None:
    conn = in_state(State.HELLO)
    assert finished(open_session(conn), conn, b"250 mx\r\n") == b"EHLO [127.0.0.1]\r\n"


def test_a_command_asked_while_a_body_in_chunks_is_open_waits_for_its_reply() -> None:
    conn = in_state(State.CHUNKS)
    said = finished(verify(conn, "bob"), conn, b"2", b"52 perhaps\r\n")
    assert said == b"VRFY bob\r\n"
    assert conn.next_event() is Need.BODY


def test_a_command_queued_behind_one_that_fails_is_not_sent() -> None:
    d = Dialogue()
    d.connect(CONFIG)
    d.greeted("CHUNKING")
    d.envelope()
    d.send(Data(chunking=True))
    d.conn.send_body(b"x")
    d.conn.end_body()
    asking = verify(d.conn, "bob")
    next(asking)
    d.conn.data_to_send()
    d.conn.receive_data(b"550 no\r\n")
    with pytest.raises(LocalProtocolError, match="not sent"):
        next(asking)


class Waiting:
    """A mechanism that asks the application."""

    name = "LOGIN"
    client_first = mutual = server_proven = complete = False
    error = ""

    def initial(self) -> bytes:
        raise NotImplementedError

    def step(self, challenge: bytes) -> object:
        from smtpwire.sasl import PENDING

        return PENDING

    def answer(self, data: bytes) -> bytes:
        raise NotImplementedError


def test_a_mechanism_that_waits_for_an_answer_ends_the_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def waiting(*_: object) -> ClientMechanism:
        mechanism: ClientMechanism = Waiting()  # type: ignore[assignment]
        return mechanism

    monkeypatch.setattr(session, "client_mechanism", waiting)
    conn = in_state(State.READY)
    with pytest.raises(LoginFailed, match="LOGIN waits for an answer"):
        finished(authenticate(conn, ALICE), conn, b"334 \r\n")
    assert conn.state is State.CLOSED


# -- one at a time


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_second_operation_raises_before_anything_is_queued(name: str) -> None:
    conn = in_state(State.READY)
    first = send_mail(conn, "a@b.example", ["c@d.example"], MESSAGE)
    assert next(first) is Need.DATA
    second = OPERATIONS[name](conn)
    with pytest.raises(LocalProtocolError, match="another operation is running"):
        next(second)
    assert conn.data_to_send() == b"MAIL FROM:<a@b.example>\r\n"
    for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        conn.receive_data(answer)
        assert next(first) is Need.DATA
        conn.data_to_send()
    conn.receive_data(b"250 taken\r\n")
    with pytest.raises(StopIteration) as stop:
        next(first)
    assert [item.reply for item in stop.value.value.recipients] == [Reply(250, "taken")]
    steps(conn, OPERATIONS["reset"](conn), b"250 ok\r\n")


def test_of_many_threads_one_has_the_connection() -> None:
    conn = in_state(State.READY)
    start = Barrier(8)
    had: list[bool] = []

    def begin() -> None:
        start.wait()
        try:
            conn.begin_operation()
        except LocalProtocolError:
            had.append(False)
        else:
            had.append(True)

    threads = [Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(had) == [False] * 7 + [True]


def test_an_operation_that_never_began_does_not_stand_in_the_way() -> None:
    conn = in_state(State.READY)
    never = [reset(conn), verify(conn, "bob")]
    never[0].close()
    assert finished(reset(conn), conn, b"250 ok\r\n") == b"RSET\r\n"


def close(operation: Operation[object]) -> None:
    operation.close()


def throw(operation: Operation[object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        operation.throw(KeyboardInterrupt())


@pytest.mark.parametrize("give_up", [close, throw])
def test_an_operation_given_up_leaves_no_reply_to_the_next(
    give_up: Callable[[Operation[object]], None],
) -> None:
    conn = in_state(State.READY)
    operation = reset(conn)
    next(operation)
    conn.data_to_send()
    give_up(operation)
    with pytest.raises(ConnectionLost, match="given up while replies were owed"):
        next(reset(conn))
    assert conn.closed is not None
    assert conn.closed.reason is CloseReason.ABORTED


def test_an_operation_that_is_collected_gives_its_place_back() -> None:
    conn = in_state(State.READY)
    next(reset(conn))
    gc.collect()
    with pytest.raises(ConnectionLost, match="given up"):
        next(verify(conn, "bob"))


def test_an_operation_given_up_after_its_replies_harms_nobody() -> None:
    conn = in_state(State.READY)
    operation = reset(conn)
    next(operation)
    conn.data_to_send()
    operation.close()
    conn.receive_data(b"250 ok\r\n")
    assert not isinstance(conn.next_event(), Need)
    assert finished(reset(conn), conn, b"250 ok\r\n") == b"RSET\r\n"


def test_commands_of_one_s_own_may_be_under_way() -> None:
    conn = in_state(State.READY)
    conn.send(Noop())
    assert finished(reset(conn), conn, b"250 noop\r\n", b"250 reset\r\n") == b"NOOP\r\nRSET\r\n"


def test_an_operation_that_fails_gives_its_place_back() -> None:
    conn = in_state(State.READY)
    with pytest.raises(UnsendableError):
        next(send_mail(conn, None, [], MESSAGE))
    assert finished(reset(conn), conn, b"250 ok\r\n") == b"RSET\r\n"


# -- a refused RSET


def test_a_refused_reset_ends_the_connection() -> None:
    conn = in_state(State.RCPT)
    assert finished(reset(conn), conn, b"502 what\r\n") == b"RSET\r\n"
    assert conn.closed is not None
    assert conn.closed.error == "RSET was refused: 502 what"


def test_a_refused_reset_after_a_message_ends_the_connection() -> None:
    conn = in_state(State.READY)
    sending = send_mail(conn, None, ["c@d.example"], MESSAGE)
    answers = (b"250 ok\r\n", b"550 no\r\n", b"503 no\r\n", b"502 what\r\n")
    said = finished(sending, conn, *answers)
    assert said.endswith(b"RSET\r\n")
    assert conn.state is State.CLOSED
