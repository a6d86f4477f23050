"""What a case expects of a server, as assertions: every word of it stands in a table here."""

import re
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from tests.cases.case import Case, Expected
from tests.cases.server_run import ServerResult, replies_in

from smtpwire.engine.events import (
    Authenticated,
    AuthenticationFailed,
    Closed,
    CloseReason,
    EndOfMessage,
    InvalidCommand,
    MessageAborted,
)
from smtpwire.engine.need import Need
from smtpwire.engine.state import State
from smtpwire.extensions import parameters as p
from smtpwire.sasl import PasswordLogin, SecretRequest, TokenLogin
from smtpwire.wire.command import Data, Hello, Mail, Noop, Quit, Rcpt, Rset, StartTls

__all__ = ["check_server", "unmapped_in"]

Check: TypeAlias = Callable[[Case, ServerResult], None]


# -- words the tables are made of


def _all(*checks: Check) -> Check:
    def check(case: Case, result: ServerResult) -> None:
        for each in checks:
            each(case, result)

    return check


def _that(name: str, holds: Callable[[ServerResult], bool]) -> Check:
    def check(case: Case, result: ServerResult) -> None:
        assert holds(result), f"{case.id}: {name}"

    return check


def _in_state(*states: State) -> Check:
    return _that(f"the state is one of {states}", lambda result: result.state in states)


def _told(*kinds: type[object]) -> Check:
    return _that(f"one of {kinds} was told", lambda result: result.has(*kinds))


def _never(*kinds: type[object]) -> Check:
    return _that(f"none of {kinds} was told", lambda result: not result.has(*kinds))


def _no_code(code: int) -> Check:
    return _that(f"no {code} was sent", lambda result: code not in result.codes)


def _no_octets(*forbidden: bytes) -> Check:
    return _that(
        f"none of {forbidden} was sent",
        lambda result: not any(octets in result.sent for octets in forbidden),
    )


def _end_of_data(octets: bytes) -> int:
    """How many octets there are up to and with the end of the data."""
    return (b"\r\n" + octets).index(b"\r\n.\r\n") + 3


def _answered_at_the_end(case: Case, result: ServerResult) -> None:
    end = _end_of_data(case.octets)
    early = [octets for at, octets in result.sent_at if at < end]
    assert not early, f"{case.id}: sent before the end of the data: {early}"


def _challenges(result: ServerResult) -> list[bytes]:
    return [a2b_base64(reply.lines[0]) for reply in result.replies if reply.code == 334]


OPEN: Final = _that("the session goes on", lambda result: result.state is not State.CLOSED)
CLOSED: Final = _that("the session is over", lambda result: result.need is Need.CLOSE)
SOUND: Final = _that(
    "the session is in a defined state: it goes on, or one event says why it ended",
    lambda result: (
        (result.need is Need.CLOSE) == result.has(Closed)
        and (result.state is State.CLOSED) == result.has(Closed)
    ),
)
SILENT: Final = _that("nothing was sent", lambda result: not result.sent)
ACCEPTED: Final = _that(
    "every reply is positive", lambda result: all(code < 400 for code in result.codes)
)
REFUSED: Final = _that(
    "something was refused", lambda result: any(code >= 400 for code in result.codes)
)
NO_MESSAGE: Final = _all(
    _that("no message was delivered", lambda result: not result.delivered), _never(EndOfMessage)
)
ONE_MESSAGE: Final = _that("one message was delivered", lambda result: len(result.delivered) == 1)
NO_TRANSACTION: Final = _that("no transaction is open", lambda result: result.envelope is None)
TRANSACTION: Final = _all(
    _in_state(State.MAIL, State.RCPT),
    _that("a transaction is open", lambda result: result.envelope is not None),
)
IN_SYNC: Final = _all(
    OPEN,
    _that("the last command was understood", lambda result: result.codes[-1] == 250),
    _in_state(State.READY),
)
AUTHENTICATED: Final = _all(
    _told(Authenticated),
    _that("there is an identity", lambda result: result.identity is not None),
    _in_state(State.READY),
)
NOT_AUTHENTICATED: Final = _all(
    _never(Authenticated), _that("there is no identity", lambda result: result.identity is None)
)
AUTH_FAILED: Final = _all(NOT_AUTHENTICATED, _told(AuthenticationFailed), OPEN)
IN_AN_EXCHANGE: Final = _all(
    NOT_AUTHENTICATED,
    _in_state(State.AUTH),
    _that("a challenge was sent last", lambda result: result.codes[-1] == 334),
)


def _tls_octets_kept(case: Case, result: ServerResult) -> None:
    assert result.state is State.TLS
    assert result.need is Need.TLS
    assert result.trailing == case.chunks[1]


def _one_question_at_a_time(case: Case, result: ServerResult) -> None:
    """The second recipient was not asked about before the first was answered."""
    asked = [str(event.address) for event in result.told if isinstance(event, Rcpt)]
    assert asked == ["b@example.com", "d@example.com"]
    assert result.envelope is not None
    assert [str(path) for path in result.envelope.forward_paths] == ["d@example.com"]


def _in_step(case: Case, result: ServerResult) -> None:
    if 354 in result.codes:
        assert result.codes.count(354) == 1
        assert result.need is Need.CLOSE, "QUIT was understood"
        assert len(result.messages) == 1
    else:
        assert not result.messages


def _one_reply_to_the_message(case: Case, result: ServerResult) -> None:
    assert len(result.codes) == 2
    _answered_at_the_end(case, result)
    OPEN(case, result)


OUTCOMES: Final[Mapping[str, Check]] = {
    "": SOUND,
    # parsing
    "transaction_open": TRANSACTION,
    "connection_closed_after_reply": _all(
        CLOSED, _that("it was answered", lambda result: bool(result.codes))
    ),
    "command_accepted": _all(ACCEPTED, OPEN, _never(InvalidCommand)),
    "command_rejected": _all(REFUSED, NO_MESSAGE),
    "command_rejected_or_closed": _all(REFUSED, NO_MESSAGE),
    "no_crash": _all(SOUND, OPEN),
    "session_continues": OPEN,
    "connection_may_close": SOUND,
    "incomplete_line_waits": _all(
        SILENT, OPEN, _that("more is waited for", lambda result: result.need is Need.DATA)
    ),
    "single_command": _that("one reply", lambda result: len(result.codes) == 1),
    "parsed": _told(Rcpt),
    "by_mode": SOUND,
    "codes_distinguish": _all(OPEN, REFUSED, NO_MESSAGE),
    # messages
    "message_delivered": _all(ONE_MESSAGE, OPEN, _in_state(State.READY), NO_TRANSACTION),
    "message_delivered_or_policy_reject": _all(
        _told(EndOfMessage), OPEN, _in_state(State.READY), NO_TRANSACTION
    ),
    "message_rejected_after_real_end": _all(
        NO_MESSAGE,
        OPEN,
        _in_state(State.READY),
        _told(MessageAborted),
        _that("one reply", lambda result: len(result.codes) == 1),
        _answered_at_the_end,
    ),
    "message_ends_here": _all(OPEN, _in_state(State.READY), NO_TRANSACTION, _answered_at_the_end),
    "message_delivered_then_closed": _all(ONE_MESSAGE, CLOSED, _told(Quit)),
    "octets_kept_or_rejected": _all(OPEN, _in_state(State.READY), _answered_at_the_end),
    "empty_message": _that(
        "an empty message came to its end",
        lambda result: [message.content for message in result.messages] == [b""],
    ),
    "one_message": _all(ONE_MESSAGE, OPEN),
    "no_message": _all(NO_MESSAGE, SOUND),
    "no_message_in_sync": _all(NO_MESSAGE, IN_SYNC),
    "in_sync_no_message": _all(NO_MESSAGE, OPEN),
    "in_sync": IN_SYNC,
    "message_not_accepted": _all(
        REFUSED, _that("no message was delivered", lambda result: not result.delivered)
    ),
    "one_reply_then_in_sync": _one_reply_to_the_message,
    "two_replies_in_rcpt_order": _all(
        ONE_MESSAGE, _that("two replies", lambda result: len(result.codes) == 2)
    ),
    "transaction_cleared": NO_TRANSACTION,
    "no_transaction": NO_TRANSACTION,
    "closed_no_message": _all(CLOSED, NO_MESSAGE),
    # pipelining
    "data_mode": _all(
        _in_state(State.DATA),
        _that("354 was the last word", lambda result: result.codes[-1] == 354),
    ),
    "replies_in_command_order": _one_question_at_a_time,
    "greeting_first": _that(
        "the greeting came first", lambda result: result.codes[0] in (220, 421, 554)
    ),
    "no_desync": _in_step,
    # TLS
    "tls_aborted": CLOSED,
    "tls_bytes_handed_over": _tls_octets_kept,
    "starttls_refused_mid_transaction": _all(OPEN, _never(StartTls)),
    # AUTH
    "authenticated": AUTHENTICATED,
    "authenticated_after_retry": _all(AUTHENTICATED, _told(AuthenticationFailed)),
    "waits_for_password": IN_AN_EXCHANGE,
    "challenge_sent": IN_AN_EXCHANGE,
    "auth_failed": AUTH_FAILED,
    "auth_failed_session_continues": _all(AUTH_FAILED, IN_SYNC),
    "auth_cancelled": _all(AUTH_FAILED, IN_SYNC),
    "response_passed_to_mechanism": _told(TokenLogin),
    # EHLO
    "ehlo_reply": _all(
        _in_state(State.READY),
        _that("the client's name is known", lambda result: result.hello is not None),
    ),
    "helo_session": _that(
        "HELO was taken", lambda result: result.hello is not None and result.hello.verb == "HELO"
    ),
    "lmtp_ready": _all(
        _in_state(State.READY),
        _that(
            "LHLO was taken",
            lambda result: result.hello is not None and result.hello.verb == "LHLO",
        ),
    ),
    # limits and errors
    "closed": _all(CLOSED, NO_MESSAGE),
    "closed_early": _all(CLOSED, _never(Mail, Rcpt, Data)),
    "closed_or_discarding": _that(
        "it is over, or goes on reading",
        lambda result: result.need is Need.CLOSE or result.wants_data,
    ),
    "discarding": _that("it goes on reading", lambda result: result.wants_data),
    "not_smtp": _never(Hello, Mail),
    "well_formed_reply": _that("one reply", lambda result: len(result.codes) == 1),
}
"""What ``outcome`` says, by its words."""


# -- must_not


def _invalid_lines(result: ServerResult) -> list[bytes]:
    return [event.line for event in result.told if isinstance(event, InvalidCommand)]


def _no_line(start: bytes) -> Check:
    return _that(
        f"no line {start!r} was read as a command",
        lambda result: not any(line.startswith(start) for line in _invalid_lines(result)),
    )


def _message_is_not_changed(case: Case, result: ServerResult) -> None:
    """In these cases no line begins with a dot, so that nothing is to be taken away."""
    for message in result.delivered:
        assert message.content == case.octets[: _end_of_data(case.octets) - 3]


def _hi_is_content(case: Case, result: ServerResult) -> None:
    assert not any(line.startswith(b"hi") for line in _invalid_lines(result))
    if 354 in result.codes:
        assert [message.content for message in result.messages] == [b"hi\r\n"]


def _at_the_end_or_closed(case: Case, result: ServerResult) -> None:
    if result.state is not State.CLOSED:
        _answered_at_the_end(case, result)


def _quit_was_answered(case: Case, result: ServerResult) -> None:
    assert result.codes[-1] in (221, 421, 554)
    assert result.need is Need.CLOSE


def _nothing_after_421(case: Case, result: ServerResult) -> None:
    assert 421 not in result.codes[:-1]


def _memory_is_bounded(case: Case, result: ServerResult) -> None:
    """More has come than the backlog may hold, and still more is wanted: it was dropped."""
    assert len(case.octets) > case.given.limits["line_hard_limit"]
    assert result.wants_data or result.need is Need.CLOSE


def _no_line_starts_with_250(case: Case, result: ServerResult) -> None:
    assert not re.search(rb"(?:\A|[\r\n])250", result.sent)


SURVIVES: Final = _all(
    SOUND, _that("it was answered", lambda result: bool(result.codes) or bool(result.told))
)
NO_QUIT: Final = _all(_never(Quit), _no_code(221))
NO_CREDENTIALS_ASKED: Final = _never(PasswordLogin, SecretRequest, TokenLogin)

MUST_NOT: Final[Mapping[str, Check]] = {
    "parse the sender as empty": _that(
        "no MAIL has the null reverse-path",
        lambda result: all(
            event.address is not None for event in result.told if isinstance(event, Mail)
        ),
    ),
    "swallow NOOP as message text": _all(
        _told(Noop), _that("there is no content", lambda result: not result.content), _never(Data)
    ),
    "truncate the line at NUL and treat it as NOOP": _that(
        "one NOOP only", lambda result: [type(event) for event in result.told].count(Noop) == 1
    ),
    "raise out of the engine": SURVIVES,
    "raise a decode error": SURVIVES,
    "crash": SURVIVES,
    "answer 250": _no_code(250),
    "execute QUIT": _all(NO_QUIT, OPEN),
    "answer twice": _that("at most one reply", lambda result: len(result.codes) <= 1),
    "end the message at the malformed sequence": _answered_at_the_end,
    "deliver two messages": _that(
        "one message at most", lambda result: len(result.messages) <= 1 and result.bodies == 0
    ),
    "run the text after it as commands": _never(Mail, Rcpt, Data, InvalidCommand),
    "silently change the octets without being asked to": _message_is_not_changed,
    "decode and re-encode the body": _message_is_not_changed,
    "answer 354": _all(_no_code(354), _never(Data)),
    "answer 354 afterwards": _all(_no_code(354), _never(Data)),
    "drop QUIT silently": _quit_was_answered,
    "send 250 before the greeting": _that(
        "the greeting came first", lambda result: result.codes[0] != 250
    ),
    "treat 'hi' as a command after 354": _hi_is_content,
    "run MAIL FROM after the handshake": _never(Mail),
    "answer MAIL at all": _all(
        _never(Mail),
        _no_line(b"MAIL"),
        _that("nothing but STARTTLS and EHLO was answered", lambda result: len(result.codes) <= 2),
    ),
    "start TLS": _all(
        _never(StartTls),
        _no_code(220),
        _that("there is no handshake", lambda result: result.need is not Need.TLS),
    ),
    "answer 220": _no_code(220),
    "send a trailing NUL in the prompt": _that(
        "no prompt has a NUL", lambda result: b"\0" not in b"".join(_challenges(result))
    ),
    "send an empty prompt": _that("no prompt is empty", lambda result: all(_challenges(result))),
    "use the user name as password": _that(
        "no password was made up",
        lambda result: (
            not any(
                isinstance(event, PasswordLogin) and event.password in ("", "user")
                for event in result.told
            )
        ),
    ),
    "fall back to authzid as the identity": _that(
        "nobody was taken for admin",
        lambda result: (
            result.identity is None
            and not any(
                isinstance(event, PasswordLogin) and event.authcid == "admin"
                for event in result.told
            )
        ),
    ),
    "answer 221 as QUIT": NO_QUIT,
    "check the credentials": NO_CREDENTIALS_ASKED,
    "echo them in the reply": _no_octets(b"AHVzZXIAcGFzcw", b"pass", b"user"),
    "500 line too long": _no_code(500),
    "send a multi-line HELO reply with keywords": _that(
        "HELO's reply has one line", lambda result: len(result.replies[0].lines) == 1
    ),
    "echo the octets": _no_octets(b"\x1b", b"\x07", b"[31m"),
    "silently use one of them": _all(_never(Mail), NO_TRANSACTION),
    "read the nine octets as a command": _all(
        _never(Mail),
        _no_line(b"MAIL"),
        _that("NOOP was read", lambda result: result.has(Noop)),
    ),
    "deliver a message": NO_MESSAGE,
    "execute RSET": _never(Rset),
    "keep all the octets in memory": _memory_is_bounded,
    "answer in the middle of data": _answered_at_the_end,
    "read the rest of the message as commands": _never(InvalidCommand),
    "answer before the end marker without closing": _at_the_end_or_closed,
    "answer NOOP": _never(Noop),
    "reach a mail transaction": _all(_never(Mail, Rcpt, Data), NO_TRANSACTION),
    "treat any line as a greeting": _all(
        _never(Hello), _that("no name is known", lambda result: result.hello is None)
    ),
    "emit a line starting with 250": _no_line_starts_with_250,
    "leave the client waiting": _that("it was answered", lambda result: bool(result.codes)),
    "send anything after 421": _nothing_after_421,
    "deliver the half": NO_MESSAGE,
}
"""What must not happen, by its words."""


# -- the other members of ``expect``


def _state_still_authenticated(case: Case, result: ServerResult) -> None:
    assert result.identity is not None
    assert result.identity.authcid == "user"


STATES_AFTER: Final[Mapping[str, Check]] = {
    "no transaction": _all(NO_TRANSACTION, _in_state(State.READY)),
    "still authenticated as user": _state_still_authenticated,
}


def _one_line_a_reply(case: Case, result: ServerResult) -> None:
    """Framing is proved for every case; here every line but the last goes on, with one code."""
    (reply,) = result.replies
    assert reply.code == 550
    *more, last = reply.octets.split(b"\r\n")[:-1]
    assert all(line.startswith(b"550-") for line in more)
    assert last.startswith(b"550 ")
    assert b"\n" not in reply.octets.replace(b"\r\n", b"")


WIRE_RULES: Final[Mapping[str, Check]] = {
    "each output line is '550-' or '550 ' text CRLF; no bare LF; last line only has '550 '": (
        _one_line_a_reply
    ),
}


def _matches(code: int, pattern: str) -> bool:
    """Whether a reply code is one of ``250|5xx``."""
    return any(
        word == str(code) or (word.endswith("xx") and word[0] == str(code)[0])
        for word in pattern.split("|")
    )


def _check_codes(case: Case, wanted: tuple[str, ...], codes: tuple[int, ...]) -> None:
    assert len(codes) == len(wanted), f"{case.id}: wanted {wanted}, sent {codes}"
    for code, pattern in zip(codes, wanted, strict=True):
        assert _matches(code, pattern), f"{case.id}: wanted {wanted}, sent {codes}"


PARAMETERS: Final[Mapping[str, Callable[[Mail], str]]] = {
    "SIZE": lambda mail: str(mail.parameters[p.SIZE]),
    "BODY": lambda mail: mail.parameters[p.BODY].value,
    "RET": lambda mail: mail.parameters[p.RET].value,
}


def _check_parameters(case: Case, wanted: Mapping[str, str], result: ServerResult) -> None:
    assert result.envelope is not None
    mail = result.envelope.mail
    assert {keyword for keyword, _ in mail.parameters.raw} == set(wanted)
    for keyword, value in wanted.items():
        assert PARAMETERS[keyword](mail) == value


def _check_envelope(case: Case, expected: Expected, result: ServerResult) -> None:
    envelope = result.envelope
    recipients = [] if envelope is None else [str(path) for path in envelope.forward_paths]
    if expected.sender is not None:
        assert envelope is not None
        reverse_path = envelope.reverse_path
        assert ("" if reverse_path is None else str(reverse_path)) == expected.sender
    if expected.recipient is not None:
        assert recipients == [expected.recipient]
    if expected.recipients is not None:
        assert recipients == list(expected.recipients)
    if expected.recipients_count >= 0:
        assert len(recipients) == expected.recipients_count
    if expected.params is not None:
        _check_parameters(case, expected.params, result)


def _check_messages(expected: Expected, result: ServerResult) -> None:
    if expected.message is not None:
        # A reply that may be a refusal leaves the application nothing to compare.
        contents = [message.content for message in result.delivered]
        assert contents in ([expected.message], [])
        assert contents or 250 not in result.codes
    if expected.messages >= 0:
        ended = len(result.messages) + sum(isinstance(e, MessageAborted) for e in result.told)
        assert ended == expected.messages


def _check_wire(case: Case, expected: Expected, result: ServerResult) -> None:
    if expected.by_chunk is not None:
        for wanted, sent in zip(expected.by_chunk, result.wire, strict=True):
            _check_codes(case, wanted, tuple(reply.code for reply in replies_in(sent)))
    if expected.wire is not None:
        assert result.sent == b"".join(expected.wire)
    for octets in expected.wire_contains:
        assert octets in result.sent
    if expected.wire_rule:
        WIRE_RULES[expected.wire_rule](case, result)
    if expected.enhanced is not None:
        refusals = [reply for reply in result.replies if reply.code in (530, 550, 553, 501)]
        assert refusals
        for reply in refusals:
            assert all(line.startswith(expected.enhanced.encode() + b" ") for line in reply.lines)


def _check_one(case: Case, expected: Expected, result: ServerResult) -> None:
    if expected.replies is not None and not expected.either:
        _check_codes(case, expected.replies, result.codes)
    _check_wire(case, expected, result)
    _check_messages(expected, result)
    _check_envelope(case, expected, result)
    if expected.authcid:
        assert result.identity is not None
        assert result.identity.authcid == expected.authcid
    if expected.state_after:
        STATES_AFTER[expected.state_after](case, result)
    OUTCOMES[expected.outcome](case, result)
    for words in expected.must_not:
        MUST_NOT[words](case, result)


def check_server(case: Case, expected: Expected, result: ServerResult, way: int | None) -> None:
    """Assert everything the case says; ``way`` is the alternative that is decided on, if one is."""
    SOUND(case, result)
    if result.state is State.CLOSED:
        closed = [event for event in result.told if isinstance(event, Closed)]
        assert len(closed) == 1
        assert closed[0] is result.told[-1]
        assert closed[0].reason is not CloseReason.ABORTED
    _check_one(case, expected, result)
    if not expected.either:
        return
    alternatives = expected.either if way is None else expected.either[way : way + 1]
    failures = []
    for alternative in alternatives:
        try:
            _check_one(case, alternative, result)
        except AssertionError as failure:
            failures.append(str(failure))
        else:
            return
    raise AssertionError(f"{case.id}: no way is right: {failures}\n{result}")


def unmapped_in(expected: Expected) -> list[str]:
    """Words of an expectation that no table has."""
    words = [
        f"{member}: {word}"
        for member, table, given in (
            ("outcome", OUTCOMES, (expected.outcome,)),
            ("must_not", MUST_NOT, expected.must_not),
            ("state_after", STATES_AFTER, (expected.state_after,) if expected.state_after else ()),
            ("wire_rule", WIRE_RULES, (expected.wire_rule,) if expected.wire_rule else ()),
            ("params", PARAMETERS, tuple(expected.params or ())),
        )
        for word in given
        if word not in table
    ]
    for alternative in expected.either:
        words += unmapped_in(alternative)
    return words
