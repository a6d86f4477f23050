"""What a client makes of each reply: to the commands it sent, and of those nobody asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from smtpwire.engine.client.body import DotBody
from smtpwire.engine.client.commands import queue_answer
from smtpwire.engine.client.kinds import DOT, HELLO, QUIT, RSET, Kind
from smtpwire.engine.client.offered import ServerOffer, nothing_offered, offer_of
from smtpwire.engine.client.pipeline import Step
from smtpwire.engine.client.session import Item, Session
from smtpwire.engine.client.transaction import NO_TRANSACTION, Transaction
from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.events import (
    AuthenticationOutcome,
    Cause,
    ClientEvent,
    CloseReason,
    EndOfData,
    ExtensionsChanged,
    Greeting,
    ServiceClosing,
    reply_received,
)
from smtpwire.engine.state import (
    STATE_AUTH,
    STATE_CHUNKS,
    STATE_DATA,
    STATE_GREETING,
    STATE_HELLO,
    STATE_MAIL,
    STATE_RCPT,
    STATE_READY,
    STATE_TLS,
)
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import Offer
from smtpwire.wire.command import Command, Hello, Mail, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import ReplyError, ReplyErrorKind

__all__ = ["read"]

_DONE: Final = 250
_GREETING: Final = 220
_PRDR_FIRST: Final = 353
_CLOSING: Final = (221, 421)
"""The server ends the connection; 221 answers QUIT, and says so too where nobody asked for it."""
_LEADS_ON: Final = (RSET, HELLO, QUIT)
"""What may still be sent where a chunk was refused."""
_VIOLATIONS: Final[Mapping[ReplyErrorKind, ViolationKind]] = {
    ReplyErrorKind.MALFORMED: ViolationKind.MALFORMED_REPLY,
    ReplyErrorKind.MIXED_CODES: ViolationKind.MIXED_CODES,
    ReplyErrorKind.LINE_TOO_LONG: ViolationKind.LINE_TOO_LONG,
    ReplyErrorKind.REPLY_TOO_LONG: ViolationKind.REPLY_TOO_LONG,
    ReplyErrorKind.BARE_LF: ViolationKind.BARE_LF,
    ReplyErrorKind.BARE_CR: ViolationKind.BARE_CR,
}


def read(session: Session) -> Item:
    """Match the next reply with the oldest command in flight, by counting (RFC 2920 §3.1)."""
    stream = session.stream
    parser = stream.parser
    ready = parser.ready
    reply: Reply | ReplyError | None
    if ready:  # parser.next_reply(), without a call for each reply
        line, reply = ready.pop()
        parser.offset += len(line) + 2
    else:
        reply = parser.next_reply()
        if not isinstance(reply, Reply):
            return session.who_acts() if reply is None else _broken(session, reply)
    # Here and not by a call for each reply, which is 0.4 % of a message.
    at = stream.at = stream.start
    stream.start = parser.offset
    stream.replies += 1
    flight = session.pipeline.flight
    # What started to come before the command was handed out is no reply to it.
    if not flight or flight[0].started > at or session.state is STATE_GREETING:
        return _unasked(session, reply)
    step = flight[0]
    kind = step.kind
    code = reply.code
    if code != _DONE:  # which most replies are, and which fits every command
        if code in _CLOSING and kind is not QUIT:
            return _service_closing(session, reply)
        # RFC 5321 §4.2: no such class, or a 3yz where none can be. In the place of any other reply
        # 220 is a server that greets anew: each reply would be taken for the next command's.
        if (
            not 200 <= code < 600
            or (300 <= code < 400 and not kind.intermediate)
            or (code == _GREETING and kind.positive != _GREETING and kind.word in COMMANDS)
        ):
            return session.violation(ViolationKind.WRONG_REPLY, reply)
    flight.pop(0)
    event = _HANDLERS.get(kind.word, _other)(session, step, reply)
    if event is not None:
        return event
    return session.who_acts() if stream.received == stream.start else read(session)


def _broken(session: Session, error: ReplyError) -> ClientEvent:
    """What came is no reply."""
    session.stream.at = error.offset
    session.begin_bodies()
    return session.violation(_VIOLATIONS[error.kind], error.excerpt)


def _wrong(session: Session, step: Step, reply: Reply) -> ClientEvent:
    """A reply that cannot be this command's: it is still owed one."""
    session.pipeline.flight.insert(0, step)
    return session.violation(ViolationKind.WRONG_REPLY, reply)


# -- greeting and EHLO


def _greeting(session: Session, reply: Reply) -> ClientEvent:
    if reply.is_intermediate:
        return session.violation(ViolationKind.WRONG_REPLY, reply)
    outlook, pipeline = session.outlook, session.pipeline
    if reply.is_positive:
        session.state = STATE_HELLO
        if outlook.leads_to is STATE_GREETING:
            outlook.settle(STATE_HELLO)
        return Greeting(reply)
    session.refusal = reply
    if reply.code == 421:
        session.events.append(ServiceClosing(reply))
    if reply.code == 421 or pipeline.flight:
        session.end(CloseReason.REFUSED, reply, cause=Cause.CLOSING)
        return Greeting(reply)
    # RFC 5321 §3.1, §4.1.1.10: the server waits for QUIT, and the client owes it.
    session.drop(pipeline.drop(), reply)
    outlook.reopen()
    session.forget()
    return Greeting(reply)


def _hello(session: Session, step: Step, reply: Reply) -> ClientEvent:
    command = step.command
    registry = session.config.registry
    relied_on = session.offered
    session.outlook.reopen()
    if not reply.is_positive:
        if relied_on.assumed:
            session.offered = nothing_offered(registry)
            return _offer_changed(session, command, reply)
        session.replan()
        return reply_received(command, reply, None)
    helo = isinstance(command, Hello) and command.verb == "HELO"
    session.offered = nothing_offered(registry) if helo else offer_of(reply, registry)
    offer = session.offered.offer
    if relied_on.assumed and offer != relied_on.offer:
        return _offer_changed(session, command, reply)
    session.transaction = NO_TRANSACTION
    session.state = STATE_READY
    if session.offer_before_tls is not None and session.tls is not None:
        _compare_offers(session, session.offer_before_tls, offer)
    return reply_received(command, reply, None)


def _compare_offers(session: Session, before: Offer, after: Offer) -> None:
    old = [line for line in before.lines if line != "STARTTLS"]
    if old != list(after.lines):
        mechanisms = ServerOffer(before, session.config.registry).mechanisms
        differ = mechanisms != session.offered.mechanisms
        session.events.append(ExtensionsChanged(before, after, differ))


def _offer_changed(session: Session, command: Command, reply: Reply) -> ClientEvent:
    """The offer that was relied on is not the server's: what was built on it has failed."""
    pipeline = session.pipeline
    if pipeline.flight:
        session.violate(ViolationKind.CHANGED_OFFER, reply)
    else:
        session.drop(pipeline.drop())
        session.state = STATE_READY if reply.is_positive else STATE_HELLO
        session.outlook.settle(session.state)
    return reply_received(command, reply, None)


# -- the transaction


def _mail(session: Session, step: Step, reply: Reply) -> ClientEvent:
    command = step.command
    if reply.code < 300 and isinstance(command, Mail):
        session.transaction = Transaction(command, session.config.lmtp)
        session.state = STATE_MAIL
    else:
        session.drop(session.pipeline.drop(step.transaction))
        session.replan()
    return reply_received(command, reply, None)


def _rcpt(session: Session, step: Step, reply: Reply) -> ClientEvent:
    command = step.command
    transaction = session.transaction
    if reply.code < 300 and transaction.mail is not None and isinstance(command, Rcpt):
        transaction.accepted.append(command)
        session.state = STATE_RCPT
    else:
        session.outlook.recipient_refused(step.transaction)
    return reply_received(command, reply, None)


def _data(session: Session, step: Step, reply: Reply) -> ClientEvent:
    if reply.code < 300:
        return _wrong(session, step, reply)
    if reply.code >= 400:
        session.replan()
    elif session.transaction.accepted:
        session.state = STATE_DATA
        session.body = DotBody(session.pipeline, step.transaction)
    elif session.config.lmtp:  # RFC 2033 §4.2: 503 was due, and a dot would get no answer
        session.violate(ViolationKind.WRONG_REPLY, reply)
    else:  # RFC 2920 §3.1
        session.state = STATE_DATA
        session.pipeline.held.insert(0, Step(EndOfData(), DOT, b".\r\n", step.transaction))
        session.replan()
    return reply_received(step.command, reply, None)


def _chunk(session: Session, step: Step, reply: Reply) -> ClientEvent:
    if reply.is_positive:
        session.state = STATE_CHUNKS
    else:
        session.transaction.failed = True
        _chunk_refused(session)
    return reply_received(step.command, reply, None)


def _chunk_refused(session: Session) -> None:
    """RFC 3030 §2: no more chunks, and only RSET leads on."""
    session.state = STATE_CHUNKS
    session.body = None
    pipeline = session.pipeline
    if not any(step.kind in _LEADS_ON for step in pipeline.flight):  # else it is led on from there
        session.drop(pipeline.drop_before(_LEADS_ON))
    session.replan()


def _end_of_data(session: Session, step: Step, reply: Reply) -> ClientEvent | None:
    """A reply to the dot, or to the last chunk."""
    transaction = session.transaction
    if reply.is_intermediate:
        # Of PRDR's replies one comes before those of the recipients.
        if not transaction.prdr or transaction.verdicts >= 0 or reply.code != _PRDR_FIRST:
            return _wrong(session, step, reply)
        session.pipeline.flight.insert(0, step)
        transaction.begin_verdicts()
        return None
    if transaction.verdicts < 0:
        _message_ended(session, step.kind, reply)
        return reply_received(step.command, reply, None)
    recipient = transaction.next_recipient()
    if recipient is None or transaction.is_answered:
        _message_ended(session, DOT, reply)
    else:
        session.pipeline.flight.insert(0, step)
    return reply_received(step.command, reply, recipient)


def _message_ended(session: Session, kind: Kind, reply: Reply) -> None:
    session.transaction = NO_TRANSACTION
    if reply.code < 300:
        session.messages += 1
        session.state = STATE_READY
    elif kind is DOT:
        session.state = STATE_READY
    else:  # RFC 3030 §2: the state is indeterminate
        session.transaction = Transaction(None)
        session.transaction.failed = True
        _chunk_refused(session)


def _rset(session: Session, step: Step, reply: Reply) -> ClientEvent:
    if reply.is_positive:
        session.transaction = NO_TRANSACTION
        if session.state is not STATE_HELLO:
            session.state = STATE_READY
    else:
        session.replan()
    return reply_received(step.command, reply, None)


# -- the session


def _quit(session: Session, step: Step, reply: Reply) -> ClientEvent:
    if session.refusal is not None:
        session.end(CloseReason.REFUSED, session.refusal)
    else:
        session.end(CloseReason.QUIT, reply)
    return reply_received(step.command, reply, None)


def _starttls(session: Session, step: Step, reply: Reply) -> ClientEvent:
    stream, outlook = session.stream, session.outlook
    if not reply.is_positive:
        outlook.reopen()
        session.replan()
    elif stream.received != stream.start:  # RFC 3207 §4: it may be anybody's
        session.violate(ViolationKind.PLAINTEXT_BEHIND_STARTTLS)
    else:
        stream.expect_tls()
        session.transaction = NO_TRANSACTION
        session.state = STATE_TLS
        outlook.settle(STATE_TLS)
    return reply_received(step.command, reply, None)


def _auth(session: Session, step: Step, reply: Reply) -> ClientEvent | None:
    exchange = session.exchange
    if exchange is None or (reply.is_intermediate and exchange.cancelled):
        return session.violation(ViolationKind.WRONG_REPLY, reply)
    if reply.is_intermediate:
        session.state = STATE_AUTH
        response = exchange.respond(reply.text)
        if response is not None:
            queue_answer(session, exchange, response)
        return None
    ended = exchange.ended(reply)
    session.leave_exchange()
    session.outlook.reopen()
    session.state = STATE_READY
    session.outlook.settle(STATE_READY)
    if ended.outcome is AuthenticationOutcome.SUCCEEDED:
        session.identity = exchange.identity
    else:
        session.authentications_failed += 1
        if reply.is_positive:  # it holds us logged in, and we do not hold it to be the server
            session.violate(ViolationKind.WRONG_REPLY)
    return ended


def _other(session: Session, step: Step, reply: Reply) -> ClientEvent:
    """NOOP and its like: nothing changes."""
    return reply_received(step.command, reply, None)


def _xclient(session: Session, step: Step, reply: Reply) -> ClientEvent:
    session.outlook.reopen()
    if reply.is_positive:  # the session starts anew, and 220 is its greeting
        session.forget()
    else:
        session.replan()
    return reply_received(step.command, reply, None)


def _atrn(session: Session, step: Step, reply: Reply) -> ClientEvent:
    session.outlook.reopen()
    if reply.is_positive:
        session.end(CloseReason.REVERSED, reply)
        session.stream.hand_over()
    return reply_received(step.command, reply, None)


# -- what nobody asked for


def _unasked(session: Session, reply: Reply) -> ClientEvent:
    session.begin_bodies()
    if not 200 <= reply.code < 600:
        return session.violation(ViolationKind.WRONG_REPLY, reply)
    state = session.state
    if state is STATE_GREETING:
        return _greeting(session, reply)
    if state is STATE_DATA or (state is STATE_CHUNKS and _body_unfinished(session)):
        return _verdict(session, reply)
    if reply.code != 421:
        return session.violation(ViolationKind.UNEXPECTED_REPLY, reply)
    session.events.append(ServiceClosing(reply))
    session.end(CloseReason.SHUTDOWN, reply, cause=Cause.CLOSING)
    return session.events.pop(0)


def _body_unfinished(session: Session) -> bool:
    return session.body is not None or session.pipeline.ends_body()


def _verdict(session: Session, reply: Reply) -> ClientEvent:
    """A reply while the body is open: 4yz and 5yz refuse the message. No dot, close."""
    if not (reply.is_transient or reply.is_permanent):
        return session.violation(ViolationKind.WRONG_REPLY, reply)
    end = session.pipeline.take_end()
    accepted = session.transaction.accepted
    recipients: list[Rcpt | None] = [*accepted] if session.config.lmtp else [None]
    session.events.extend(reply_received(end, reply, recipient) for recipient in recipients)
    if reply.code == 421:
        session.events.append(ServiceClosing(reply))
        session.end(CloseReason.SHUTDOWN, reply)
    else:
        session.end(CloseReason.REFUSED, reply)
    return session.events.pop(0)


def _service_closing(session: Session, reply: Reply) -> ClientEvent:
    """421, or 221 out of turn: it answers the oldest command, and ends the rest."""
    command = session.pipeline.flight[0].command
    exchange = session.exchange
    if exchange is not None and exchange.auth is command:
        reply = exchange.shown(reply)
        session.leave_exchange()
        session.events.append(exchange.unanswered(reply))
    elif reply.code == 421:
        session.events.append(reply_received(command, reply, _take_recipient(session)))
    session.events.append(ServiceClosing(reply))
    session.end(CloseReason.SHUTDOWN, reply, cause=Cause.CLOSING)
    return session.events.pop(0)


def _take_recipient(session: Session) -> Rcpt | None:
    """The recipient whose reply comes now, if it has one of its own; forget who waited."""
    flight = session.pipeline.flight
    transaction = session.transaction
    if not flight[0].kind.ends_body or transaction.verdicts < 0:
        flight.pop(0)
        return None
    recipient = transaction.next_recipient()
    if recipient is None or transaction.is_answered:
        flight.pop(0)
    return recipient


_Handler: TypeAlias = Callable[[Session, Step, Reply], ClientEvent | None]
_HANDLERS: Final[Mapping[str, _Handler]] = {
    "EHLO": _hello,
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _data,
    "BDAT": _chunk,
    "BDAT LAST": _end_of_data,
    "(end of data)": _end_of_data,
    "BURL": _chunk,
    "BURL LAST": _end_of_data,
    "RSET": _rset,
    "QUIT": _quit,
    "STARTTLS": _starttls,
    "AUTH": _auth,
    "XCLIENT": _xclient,
    "ATRN": _atrn,
}
"""How a reply is taken, by the word of the command it answers; None: it tells nothing."""
