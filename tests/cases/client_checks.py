"""What a case expects of a client, as assertions: every word of it stands in a table here."""

import re
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from tests.cases.case import ENHANCED_ABSENT, Expected, Told
from tests.cases.client_run import TLS, ClientResult, ClientRun, command, token_of

from smtpwire.engine.events import (
    AuthenticationEnded,
    AuthenticationOutcome,
    Cause,
    Closed,
    CloseReason,
    EndOfData,
    Greeting,
    ReplyReceived,
    ServiceClosing,
    Unanswered,
)
from smtpwire.engine.need import Need
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation
from smtpwire.wire.command import Bdat, Command, Hello, Mail, Noop, Rset, StartTls
from smtpwire.wire.reply import Reply

__all__ = ["check_client", "unmapped_in"]

Check: TypeAlias = Callable[[ClientRun, ClientResult], None]


# -- words the tables are made of


def _all(*checks: Check) -> Check:
    def check(run: ClientRun, result: ClientResult) -> None:
        for each in checks:
            each(run, result)

    return check


def _that(name: str, holds: Callable[[ClientResult], bool]) -> Check:
    def check(run: ClientRun, result: ClientResult) -> None:
        assert holds(result), f"{run.case.id}: {name}"

    return check


def _needs(need: Need) -> Check:
    return _that(f"the need is {need}", lambda result: result.need is need)


def _in_state(*states: State) -> Check:
    return _that(f"the state is one of {states}", lambda result: result.state in states)


def _sent(octets: bytes) -> Check:
    return _that(f"{octets!r} was sent", lambda result: result.sent == octets)


def _never(*kinds: type[object]) -> Check:
    return _that(f"none of {kinds} was told", lambda result: not result.has(*kinds))


def _refuses(line: str) -> Check:
    """The engine does not take this command now."""

    def check(run: ClientRun, result: ClientResult) -> None:
        assert run.refuses(lambda: run.conn.send(command(line))), f"{line} was taken"

    return check


def _replies(result: ClientResult) -> list[Reply]:
    return [event.reply for event in result.events if isinstance(event, ReplyReceived)]


def _ended_auth(result: ClientResult) -> AuthenticationEnded:
    (ended,) = (event for event in result.events if isinstance(event, AuthenticationEnded))
    return ended


def _auth_ended(*outcomes: AuthenticationOutcome) -> Check:
    return _that(
        f"AUTH ended as one of {outcomes}", lambda result: _ended_auth(result).outcome in outcomes
    )


def _closed_by(*reasons: CloseReason) -> Check:
    def check(run: ClientRun, result: ClientResult) -> None:
        last = result.events[-1]
        assert isinstance(last, Closed)
        assert last.reason in reasons

    return _all(_needs(Need.CLOSE), check)


IDLE: Final = _needs(Need.COMMAND)
SOUND: Final = _that(
    "the session is in a defined state: it goes on, or one event says why it ended",
    lambda result: (
        (result.need is Need.CLOSE) == result.has(Closed)
        and (result.state is State.CLOSED) == result.has(Closed)
        and [type(event) for event in result.events].count(Closed) <= 1
    ),
)
NOTHING_SENT: Final = _sent(b"")
NOT_AUTHENTICATED: Final = _all(
    _that("there is no identity", lambda result: result.identity is None),
    _that(
        "no success was told",
        lambda result: (
            not any(
                isinstance(event, AuthenticationEnded)
                and event.outcome is AuthenticationOutcome.SUCCEEDED
                for event in result.events
            )
        ),
    ),
)
NO_MORE_COMMANDS: Final = _all(
    _refuses("MAIL FROM:<a@example.com>"), _refuses("EHLO c.example"), _refuses("RSET")
)
PROTOCOL_ERROR: Final = _all(
    _that(
        "a fatal violation was told",
        lambda result: any(
            isinstance(event, ProtocolViolation) and event.fatal for event in result.events
        ),
    ),
    _closed_by(CloseReason.VIOLATION),
    NO_MORE_COMMANDS,
)


def _canonical(run: ClientRun, result: ClientResult) -> None:
    """Complete, and no CR or LF but in CRLF."""
    assert (b"\r\n" + result.sent).endswith(b"\r\n.\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", result.sent)
    assert not result.refused


def _refused_before_write(run: ClientRun, result: ClientResult) -> None:
    """Of a message the octets before may have left, but never its end."""
    assert result.refused
    if run.case.given.input_kind == "app_message_chunks":
        assert b".\r\n" not in result.sent
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", result.sent)
        assert run.refuses(lambda: run.conn.send(Rset()))  # the body is still open
    else:
        assert not result.sent


def _token_sent(run: ClientRun, result: ClientResult) -> None:
    _is_token(run, result.sent)


def _is_token(run: ClientRun, line: bytes) -> None:
    assert line.endswith(b"\r\n")
    assert a2b_base64(line) == f"user=user\1auth=Bearer {token_of(run.case)}\1\1".encode()


def _token_after_challenge(run: ClientRun, result: ClientResult) -> None:
    run.receive(b"334 \r\n")
    _is_token(run, run.take_sent())


def _response_sent(run: ClientRun, result: ClientResult) -> None:
    response = a2b_base64(result.sent)
    for octets in run.case.expected.response_contains:
        assert octets in response


def _quotes_are_escaped(run: ClientRun, result: ClientResult) -> None:
    pair = rb'[a-z-]+=(?:"(?:[^"\\]|\\.)*"|[^",\s]+)'
    assert re.fullmatch(rb"%b(?:,%b)*" % (pair, pair), a2b_base64(result.sent))


def _second_held(run: ClientRun, result: ClientResult) -> None:
    """The second waits for the reply to the first, and leaves then."""
    assert result.need is Need.DATA
    if not result.refused:
        run.receive(b"250 ok\r\n")
        assert run.take_sent() == b"RCPT TO:<b@example.com>\r\n"


def _empty_message(run: ClientRun, result: ClientResult) -> None:
    assert result.need is Need.DATA
    assert run.refuses(lambda: run.conn.send_body(b"x"))
    run.receive(b"554 no valid recipients\r\n")
    assert run.conn.envelope is None


def _one_recipient(accepted: bool) -> Check:
    def check(run: ClientRun, result: ClientResult) -> None:
        assert result.envelope is not None
        assert len(result.envelope.recipients) == accepted
        assert result.state is (State.RCPT if accepted else State.MAIL)

    return _all(IDLE, check)


def _usable(run: ClientRun, result: ClientResult) -> None:
    assert result.need is Need.COMMAND
    run.conn.send(Noop())
    run.pump()
    assert run.take_sent() == b"NOOP\r\n"


def _helo_may_follow(run: ClientRun, result: ClientResult) -> None:
    run.conn.send(Hello("c.example", "HELO"))
    run.pump()
    assert run.take_sent() == b"HELO c.example\r\n"


def _nothing_changed(run: ClientRun, result: ClientResult) -> None:
    assert result.state is State.READY
    assert result.mechanisms == ("PLAIN",)
    assert "8BITMIME" in result.keywords
    assert result.identity is not None
    _usable(run, result)


def _must_reset(run: ClientRun, result: ClientResult) -> None:
    assert run.refuses(run.conn.end_body)
    assert run.refuses(lambda: run.conn.send_body(b"x"))
    assert run.refuses(lambda: run.conn.send(command("MAIL FROM:<c@example.com>")))
    run.conn.send(Rset())
    run.pump()
    assert run.take_sent() == b"RSET\r\n"


def _refused_until_reset(run: ClientRun, result: ClientResult) -> None:
    assert result.refused
    assert not result.sent
    run.conn.send(Rset())
    run.pump()
    run.receive(b"250 ok\r\n")
    run.conn.send(command("MAIL FROM:<c@example.com>"))
    run.pump()
    assert run.take_sent() == b"RSET\r\nMAIL FROM:<c@example.com>\r\n"


def _delivery_unknown(run: ClientRun, result: ClientResult) -> None:
    (unanswered,) = (event for event in result.events if isinstance(event, Unanswered))
    assert isinstance(unanswered.command, EndOfData)
    assert unanswered.cause is Cause.LOST


def _refusal_greeting(first_digit: int) -> Check:
    return _all(
        _that(
            "the greeting was told",
            lambda result: any(
                isinstance(event, Greeting) and event.reply.severity == first_digit
                for event in result.events
            ),
        ),
        _refuses("EHLO c.example"),
        _refuses("MAIL FROM:<a@example.com>"),
        _refuses("NOOP"),
    )


REPLY: Final = _all(IDLE, _in_state(State.READY, State.MAIL, State.RCPT))

OUTCOMES: Final[Mapping[str, Check]] = {
    "": SOUND,
    # content
    "data_sent": _all(
        _canonical, _needs(Need.DATA), _that("a reply is owed", lambda r: r.replies_owed == 1)
    ),
    "sent": _all(_needs(Need.DATA), _that("it was taken", lambda result: not result.refused)),
    "normalised": _canonical,
    "refused_before_write": _refused_before_write,
    # pipelining
    "ready_to_send_data": _all(_needs(Need.BODY), _in_state(State.DATA)),
    "permanent_failure_550_reported": _all(
        _that("the 550 was told", lambda result: [r.code for r in _replies(result)] == [550]),
        _needs(Need.CLOSE),
    ),
    "empty_message_sent_and_transaction_failed": _empty_message,
    "second_command_held_or_refused": _second_held,
    # TLS
    "protocol_error": PROTOCOL_ERROR,
    "start_tls_with_buffer_discarded": _all(
        _needs(Need.TLS), _that("EHLO has no reply", lambda result: len(_replies(result)) == 1)
    ),
    "tls_refused": _all(IDLE, _in_state(State.READY)),
    "no_capabilities_known": _all(
        _that("nothing is offered", lambda result: not result.keywords), _in_state(State.HELLO)
    ),
    "session_continues": REPLY,
    # AUTH
    "client_sends_token": _token_sent,
    "authenticated": _all(
        _auth_ended(AuthenticationOutcome.SUCCEEDED),
        _that("there is an identity", lambda result: result.identity is not None),
        IDLE,
    ),
    "prompt_ignored": _needs(Need.DATA),
    "auth_cancelled": _all(_sent(b"*\r\n"), _needs(Need.DATA), NOT_AUTHENTICATED),
    "auth_started": _all(_needs(Need.DATA), _that("it was taken", lambda r: not r.refused)),
    "auth_failed": _all(_auth_ended(AuthenticationOutcome.FAILED), NOT_AUTHENTICATED, IDLE),
    "final_empty_response": _all(_needs(Need.DATA), _sent(b"\r\n"), NOT_AUTHENTICATED),
    "auth_failed_server_not_verified": _all(
        _auth_ended(AuthenticationOutcome.SERVER_NOT_PROVEN), NOT_AUTHENTICATED
    ),
    "response_sent": _all(_needs(Need.DATA), _response_sent),
    "auth_cancelled_other_mechanism_may_follow": _all(
        _auth_ended(AuthenticationOutcome.OBJECTED), NOT_AUTHENTICATED, IDLE
    ),
    "token_sent_after_334": _token_after_challenge,
    "auth_failed_temporary": _all(
        _auth_ended(AuthenticationOutcome.UNANSWERED), NOT_AUTHENTICATED, _needs(Need.CLOSE)
    ),
    "mechanisms": SOUND,
    # replies
    "reply": REPLY,
    "ready_for_ehlo": _all(IDLE, _in_state(State.HELLO)),
    "refused": _refusal_greeting(5),
    "temporary_refusal": _all(_refusal_greeting(4), _needs(Need.CLOSE)),
    "permanent_refusal": _refusal_greeting(5),
    "blank_line_ignored": REPLY,
    "lenient": REPLY,
    "session_over_not_message_failure": _all(
        _closed_by(CloseReason.SHUTDOWN), _never(ReplyReceived), NO_MORE_COMMANDS
    ),
    "message_not_accepted_connection_over": _all(
        _closed_by(CloseReason.SHUTDOWN),
        _that("no message counts", lambda result: result.stats.messages == 0),
        NO_MORE_COMMANDS,
    ),
    "delivery_unknown_retry_later": _all(_closed_by(CloseReason.EOF), _delivery_unknown),
    "recipient_accepted": _one_recipient(True),
    "recipient_refused": _one_recipient(False),
    "command_failed_session_usable": _all(
        _that("no transaction is open", lambda result: result.envelope is None), _usable
    ),
    "permanent_by_reply_code": _all(
        IDLE, _that("it is permanent", lambda result: _replies(result)[0].is_permanent)
    ),
    "command_failed": _all(
        _needs(Need.CLOSE),
        _that(
            "MAIL is told to have none of its own",
            lambda result: any(
                isinstance(event, Unanswered)
                and isinstance(event.command, Mail)
                and event.cause is Cause.CLOSING
                for event in result.events
            ),
        ),
    ),
    "closed_cleanly_enough": _closed_by(CloseReason.QUIT),
    # EHLO
    "capabilities": _all(IDLE, _in_state(State.READY)),
    "helo_session_no_extensions": _all(
        IDLE, _in_state(State.READY), _that("no extension", lambda result: not result.keywords)
    ),
    "helo_may_be_tried": _all(IDLE, _helo_may_follow),
    "session_and_capabilities_unchanged": _nothing_changed,
    # transactions
    "transaction_failed": _must_reset,
    "reset_first": _sent(b"RSET\r\n"),
    "refused_until_reset": _refused_until_reset,
}
"""What ``outcome`` says, by its words."""

ANSWERS: Final = frozenset(
    {"client_sends_token", "response_sent", "normalised", "refused_before_write", "data_sent"}
)
"""Outcomes where this side says something that ``wire`` does not tell."""


# -- must_not


def _injected_is_not_used(run: ClientRun, result: ClientResult) -> None:
    assert not result.keywords or result.keywords == ("STARTTLS", "AUTH")  # those before TLS
    if result.need is Need.TLS:
        run.conn.tls_started(TLS)
        run.pump()
        run.conn.send(Hello("c.example"))
        run.pump()
        assert run.need is Need.DATA
        assert not run.take_events()
        assert not run.conn.extensions.keywords


def _blank_line_is_no_reply(run: ClientRun, result: ClientResult) -> None:
    hellos = [
        event.reply
        for event in result.events
        if isinstance(event, ReplyReceived) and isinstance(event.command, Hello)
    ]
    assert [reply.code for reply in hellos] in ([], [250])
    assert not hellos or "8BITMIME" in result.keywords


def _whole_text(run: ClientRun, result: ClientResult) -> None:
    for reply in _replies(result):
        assert reply.text.endswith("k")


def _mechanism_refused(name: str) -> Check:
    def check(run: ClientRun, result: ClientResult) -> None:
        assert run.refuses(lambda: run.conn.authenticate(run.mechanism(name)))
        assert name not in run.conn.extensions.keywords

    return check


def _no_octets(*forbidden: str) -> Check:
    return _that(
        f"none of {forbidden} was sent",
        lambda result: not any(re.search(p.encode(), result.sent) for p in forbidden),
    )


SURVIVES: Final = _all(SOUND, _that("something was told", lambda result: bool(result.events)))
ANSWERED: Final = _that("an answer was sent", lambda result: bool(result.sent))
NO_SUCCESS: Final = _all(
    NOT_AUTHENTICATED,
    _that("no reply is positive", lambda result: not any(r.is_positive for r in _replies(result))),
    _that(
        "no greeting is positive",
        lambda result: (
            not any(
                isinstance(event, Greeting) and event.reply.is_positive for event in result.events
            )
        ),
    ),
    _that("no message counts", lambda result: result.stats.messages <= 1),
)

MUST_NOT: Final[Mapping[str, Check]] = {
    "put a bare LF on the wire": _no_octets(r"(?<!\r)\n"),
    "put a bare CR on the wire": _no_octets(r"\r(?!\n)"),
    "emit LF . CRLF": _no_octets(r"(?<!\r)\n\.\r\n", r"\r\n\.\r\n(?s:.)"),
    "report only a connection error": _that(
        "the reply was told before the end",
        lambda result: isinstance(result.events[0], ReplyReceived),
    ),
    "send the real message": _sent(b".\r\n"),
    "use the injected reply for the post-TLS EHLO": _injected_is_not_used,
    "start the handshake": _that("there is none", lambda result: result.need is not Need.TLS),
    "go on in clear text when TLS is required": _all(
        _refuses("MAIL FROM:<a@example.com>"), _mechanism_refused("PLAIN")
    ),
    "claim AUTH PLAIN is supported before the second EHLO": _all(
        _that("AUTH is not offered", lambda result: "AUTH" not in result.keywords),
        _mechanism_refused("PLAIN"),
    ),
    "start a second handshake": _refuses("STARTTLS"),
    "wait for more": ANSWERED,
    "index error": ANSWERED,
    "raise without answering": ANSWERED,
    "send *": _no_octets(r"\*"),
    "report success": NO_SUCCESS,
    "emit an unescaped quote inside a quoted value": _quotes_are_escaped,
    "put credentials on the wire": NOTHING_SENT,
    "believe PLAIN is offered": _all(
        _that("PLAIN is not offered", lambda result: "PLAIN" not in result.mechanisms),
        _mechanism_refused("PLAIN"),
    ),
    "try the next mechanism on the dead connection": _all(
        NOTHING_SENT, _mechanism_refused("LOGIN"), _needs(Need.CLOSE)
    ),
    "crash": SURVIVES,
    "count the blank line as the EHLO reply": _blank_line_is_no_reply,
    "truncate the text at NUL": _whole_text,
    "raise a decode error": SURVIVES,
    "wait for ever without a limit": _that(
        "it is over, or the reply was told",
        lambda result: result.need is Need.CLOSE or result.has(ReplyReceived),
    ),
    "report only 'connection lost'": _that(
        "the greeting was told", lambda result: result.has(Greeting)
    ),
    "treat as success": NO_SUCCESS,
    "treat as permanent failure of the message": _that(
        "nothing permanent was told",
        lambda result: not any(reply.is_permanent for reply in _replies(result)),
    ),
    "send RSET and wait": _all(NOTHING_SENT, _needs(Need.CLOSE)),
    "send the message": _all(
        NOTHING_SENT, _that("no body is open", lambda result: result.need is not Need.BODY)
    ),
    "treat 2xx as MAIL accepted": _all(
        _never(ReplyReceived), _that("no transaction", lambda result: result.envelope is None)
    ),
    "turn a delivered message into an error": _all(
        _never(ProtocolViolation), _closed_by(CloseReason.QUIT)
    ),
    "believe STARTTLS, AUTH or PIPELINING is offered": _all(
        _that(
            "none of them is a keyword",
            lambda result: not {"STARTTLS", "AUTH", "PIPELINING"} & {*result.keywords},
        ),
        _refuses("STARTTLS"),
        _mechanism_refused("PLAIN"),
    ),
    "take it to mean already authenticated": NOT_AUTHENTICATED,
    "drop to a broken state": _all(IDLE, _in_state(State.READY)),
    "clear the capability list": _that(
        "the list is there", lambda result: result.mechanisms == ("PLAIN",)
    ),
    "send BDAT LAST of the same message": _no_octets("LAST", "BDAT"),
    "grow without bound": _needs(Need.CLOSE),
    "send a second MAIL in an open transaction": _no_octets("MAIL"),
}
"""What must not happen, by its words."""


# -- what must be told

VERBS: Final[Mapping[str, Callable[[Command], bool]]] = {
    "MAIL": lambda sent: isinstance(sent, Mail),
    "RCPT": lambda sent: bytes(sent).startswith(b"RCPT"),
    "DATA": lambda sent: bytes(sent) == b"DATA",
    "EHLO": lambda sent: isinstance(sent, Hello) and sent.verb == "EHLO",
    "HELO": lambda sent: isinstance(sent, Hello) and sent.verb == "HELO",
    "NOOP": lambda sent: isinstance(sent, Noop),
    "STARTTLS": lambda sent: isinstance(sent, StartTls),
    "BDAT": lambda sent: isinstance(sent, Bdat),
    "end-of-data": lambda sent: isinstance(sent, EndOfData),
}


def _reply_is(reply: Reply, told: Told) -> bool:
    enhanced = None if told.enhanced == ENHANCED_ABSENT else told.enhanced
    return (
        reply.code == told.code
        and (told.lines is None or reply.lines == told.lines)
        and (told.text is None or reply.text == told.text)
        and (told.enhanced is None or reply.enhanced == enhanced)
    )


def _greeting(run: ClientRun, result: ClientResult, told: Told) -> None:
    (greeting,) = (event for event in result.events if isinstance(event, Greeting))
    assert _reply_is(greeting.reply, told)


def _closing(run: ClientRun, result: ClientResult, told: Told) -> None:
    """By an event of its own, or, where the greeting said it, by the reply of the last event."""
    replies = [event.reply for event in result.events if isinstance(event, ServiceClosing)]
    last = result.events[-1]
    assert isinstance(last, Closed)
    assert last.reply is not None
    assert replies in ([last.reply], [])
    assert replies or result.has(Greeting)
    assert told.code in (0, last.reply.code)
    assert last.reply.code in (221, 421)


def _connection_lost(run: ClientRun, result: ClientResult, told: Told) -> None:
    """Each command that was out is told to be unanswered, in order, and then the end."""
    lost = [event for event in result.events if isinstance(event, Unanswered)]
    assert len(lost) == len(told.outstanding)
    for event, verb in zip(lost, told.outstanding, strict=True):
        assert VERBS[verb](event.command)
        assert event.cause is Cause.LOST
    last = result.events[-1]
    assert isinstance(last, Closed)
    assert last.reason is CloseReason.EOF


def _auth_failed(run: ClientRun, result: ClientResult, told: Told) -> None:
    ended = _ended_auth(result)
    assert ended.outcome is not AuthenticationOutcome.SUCCEEDED
    assert ended.reply is not None
    assert ended.reply.code == told.code


def _challenge(run: ClientRun, result: ClientResult, told: Told) -> None:
    """A challenge is no event: the mechanism answers it. The empty one asks for the token."""
    assert told.data == ""
    _token_sent(run, result)


KINDS: Final[Mapping[str, Callable[[ClientRun, ClientResult, Told], None]]] = {
    "greeting": _greeting,
    "closing": _closing,
    "connection_lost": _connection_lost,
    "auth_failed": _auth_failed,
    "challenge": _challenge,
}


def _check_told(run: ClientRun, wanted: tuple[Told, ...], result: ClientResult) -> None:
    """All of it is told; replies in order, and no other ones."""
    replies = [event for event in result.events if isinstance(event, ReplyReceived)]
    expected = [told for told in wanted if told.command]
    assert len(replies) == len(expected), f"{run.case.id}: {replies}"
    for event, told in zip(replies, expected, strict=True):
        assert VERBS[told.command](event.command)
        assert _reply_is(event.reply, told), f"{event.reply!r} is not {told}"
    for told in wanted:
        if told.kind:
            KINDS[told.kind](run, result, told)


# -- the other members of ``expect``


def _check_offer(expected: Expected, result: ClientResult) -> None:
    if expected.mechanisms is not None:
        assert result.mechanisms == expected.mechanisms
    if expected.keywords is not None:
        assert sorted(result.keywords) == sorted(expected.keywords)
    if expected.size_said:
        assert result.size == expected.size
    if expected.no_limit:
        assert result.size == 0
        assert "SIZE" in result.keywords


def _check_wire(run: ClientRun, expected: Expected, result: ClientResult) -> None:
    base = run.case.expected
    if expected.wire is not None:
        assert result.sent == b"".join(expected.wire), f"{run.case.id}: {result.sent!r}"
    elif base.wire_allowed:
        assert result.sent == b"".join(base.wire_allowed)
    elif expected.outcome not in ANSWERS and not base.either:
        assert not result.sent
    if expected.by_chunk is not None:
        for wanted, told in zip(expected.by_chunk, result.told, strict=True):
            assert len(told) == len(wanted)
            assert all(isinstance(event, ReplyReceived) for event in told)


def _check_one(run: ClientRun, expected: Expected, result: ClientResult) -> None:
    _check_wire(run, expected, result)
    if expected.told is not None:
        _check_told(run, expected.told, result)
    _check_offer(expected, result)
    # First what is only looked at: some outcomes go on from here.
    for words in expected.must_not:
        MUST_NOT[words](run, result)
    OUTCOMES[expected.outcome](run, result)


def check_client(run: ClientRun, expected: Expected, result: ClientResult, way: int | None) -> None:
    """Assert everything the case says; ``way`` is the alternative that is decided on, if one is."""
    SOUND(run, result)
    _check_one(run, expected, result)
    if not expected.either:
        return
    alternatives = expected.either if way is None else expected.either[way : way + 1]
    failures = []
    for alternative in alternatives:
        try:
            _check_one(run, alternative, result)
        except AssertionError as failure:
            failures.append(str(failure))
        else:
            return
    raise AssertionError(f"{run.case.id}: no way is right: {failures}\n{result}")


def unmapped_in(expected: Expected) -> list[str]:
    """Words of an expectation that no table has."""
    told = expected.told or ()
    words = [
        f"{member}: {word}"
        for member, table, given in (
            ("outcome", OUTCOMES, (expected.outcome,)),
            ("must_not", MUST_NOT, expected.must_not),
            ("for", VERBS, tuple(each.command for each in told if each.command)),
            ("kind", KINDS, tuple(each.kind for each in told if each.kind)),
            ("outstanding", VERBS, tuple(verb for each in told for verb in each.outstanding)),
        )
        for word in given
        if word not in table
    ]
    for alternative in expected.either:
        words += unmapped_in(alternative)
    return words
