"""What a server makes of the commands of the session and the envelope, and of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import CloseReason, CommandQuestion, Connected, ServerRequest
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.answers import answer_extension, default_kind
from smtpwire.engine.server.reader import GREETING, HANDSHAKE
from smtpwire.engine.server.session import CLOSED, OverBudget, Refused, Replies, Session
from smtpwire.engine.server.transaction import Transaction
from smtpwire.engine.server_config import hello_octets, serialise
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import EXPN, SIZE, STARTTLS
from smtpwire.extensions.size import SIZE_PARAMETER
from smtpwire.extensions.smtputf8 import SMTPUTF8_PARAMETER
from smtpwire.wire.command import (
    NO_PARAMETERS,
    Command,
    Expn,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply

if TYPE_CHECKING:
    from smtpwire.extensions import Atrn, XClient, XForward

__all__: list[str] = []

# Bound once: a member looked up on its enum costs as much as a small call on CPython 3.11.
SENDER_OK: Final = default_kind("MAIL")
RECIPIENT_OK: Final = default_kind("RCPT")
GOODBYE: Final = default_kind("QUIT")
WELCOME: Final = default_kind("(greeting)")
FORGOTTEN: Final = default_kind("RSET")
HELPING: Final = (*COMMANDS["HELP"].replies.success, 250)
"""What may help: 211 and 214 (RFC 5321 §4.3.2), and 250, as some servers say."""
UNRECOGNIZED: Final = Reply(500, "Command not recognized", "5.5.1")
NOT_OFFERED: Final = Reply(501, "Attribute not offered", "5.5.4")
# RFC 5321 §3.2, RFC 2033 §4.1
GREETED_BY: Final[Mapping[bool, frozenset[str]]] = {
    False: frozenset({"EHLO", "HELO"}),
    True: frozenset({"LHLO"}),
}


# -- the greeting


def answer_connected(session: Session, _: Connected, replies: Replies) -> None:
    """220 begins the session; a refusal of the service stands for all that comes (RFC 7504)."""
    reply = octets = None
    if replies:
        reply, octets = session.accept(replies, COMMANDS["(greeting)"].positive)
    outbox = session.outbox
    outbox.urgent = True
    outbox.in_greeting = False
    session.state = session.state.commands["(greeting)"]
    session.reader = session.commands
    if reply is None or octets is None:
        session.answer_by_default(WELCOME)
        return
    if not reply.is_positive:
        session.refusal = reply
        session.tally.excuse()
    session.answer(reply, octets)


# -- EHLO, HELO, LHLO


def hello(session: Session, command: Hello, line: bytes) -> Hello:
    """EHLO, HELO and LHLO (RFC 5321 §4.1.1.1)."""
    if command.verb not in GREETED_BY[session.lmtp]:
        raise Refused(UNRECOGNIZED)
    session.check_place(command.verb)
    session.check_junk()
    return command


def answer_hello(session: Session, question: Hello, replies: Replies) -> None:
    """250 puts the offer in force; whatever was before is as after RSET (§4.1.4)."""
    reply = None
    if replies:
        reply = session.accept(replies, COMMANDS[question.verb].positive)[0]
    outbox = session.outbox
    outbox.urgent = True
    if reply is not None and not reply.is_positive:
        session.tally.excuse()
        session.answer(reply, serialise(reply, enhanced=False))  # RFC 2034 §4: none on EHLO
        return
    extended = question.verb != "HELO"
    outbox.put(hello_reply(session, reply, extended=extended))
    session.client.hello = question
    session.tally.excused = 0
    session.offering.put_in_force(extended=extended)
    session.state = session.state.commands[question.verb]
    session.forget_transaction()
    session.settle()


def hello_reply(session: Session, reply: Reply | None, *, extended: bool) -> bytes:
    """The application's first line, or the service's own; and what is offered."""
    plan = session.offering.ehlo
    if reply is None:
        return plan.hello if extended else session.outbox.octets_of(ReplyKind.HELLO)
    first = reply.lines[0] or session.config.host
    return hello_octets(first, plan.offer.lines if extended else ())  # RFC 5321 §3.2: HELO has one


# -- the envelope: MAIL, RCPT, RSET


def mail(session: Session, command: Mail, line: bytes) -> Mail:
    """MAIL (RFC 5321 §4.1.1.2)."""
    quota = session.offering.quota
    if quota is not None and not quota.allows(command):
        session.check_junk()
        raise Refused(ReplyKind.TOO_MANY_MESSAGES, counts=False)
    if command.parameters is not NO_PARAMETERS:
        check_parameters(session, command.parameters)
    return command


def answer_mail(session: Session, question: Mail, replies: Replies) -> None:
    """2yz opens the transaction."""
    if not replies:
        session.state = session.state.commands["MAIL"]
        session.transaction = Transaction(question)
        session.tally.excused = 0
        session.answer_by_default(SENDER_OK)
        return
    utf8 = question.parameters is not NO_PARAMETERS and SMTPUTF8_PARAMETER in question.parameters
    reply, octets = session.accept(replies, utf8=utf8)
    if reply.is_positive:
        session.state = session.state.commands["MAIL"]
        session.transaction = Transaction(question)
        session.tally.excused = 0
        session.answer(reply, octets)
    else:
        session.tally.excuse()
        session.answer(reply, octets)
        session.count_wasted()


def rcpt(session: Session, command: Rcpt, line: bytes) -> Rcpt:
    """RCPT (RFC 5321 §4.1.1.3)."""
    offering = session.offering
    over = len(session.transaction.recipients) >= offering.plan.recipients
    if offering.quota is not None and not offering.quota.allows(command):
        over = True
    if over:
        if not session.tally.spend_excess_recipient():
            raise OverBudget(ReplyKind.TOO_MANY_REFUSED_RECIPIENTS)
        # The accepted ones stay (RFC 5321 §4.5.3.1.10).
        raise Refused(ReplyKind.TOO_MANY_RECIPIENTS, counts=False)
    if command.parameters is not NO_PARAMETERS:
        check_parameters(session, command.parameters)
    return command


def answer_rcpt(session: Session, question: Rcpt, replies: Replies) -> None:
    """2yz adds the recipient."""
    transaction = session.transaction
    if not replies:
        if is_ours(session, question):
            session.state = session.state.commands["RCPT"]
            transaction.recipients.append(question)
            session.answer_by_default(RECIPIENT_OK)
            return
        replies = (session.outbox.text(ReplyKind.RELAYING_DENIED),)
    reply, octets = session.accept(replies, utf8=transaction.utf8)
    if reply.code < 400:
        session.state = session.state.commands["RCPT"]
        transaction.recipients.append(question)
        session.answer(reply, octets)
        return
    session.answer(reply, octets)
    session.tally.excuse()
    if not session.tally.spend_refused_recipient():
        session.end_behind_answer(ReplyKind.TOO_MANY_REFUSED_RECIPIENTS)


def is_ours(session: Session, rcpt: Rcpt) -> bool:
    """Whether a default answer may take this recipient: it never relays for just anybody."""
    return rcpt.address.domain in session.config.domains or session.client.has_account


def check_parameters(session: Session, parameters: Parameters) -> None:
    """The parameters are offered, agree with one another, and promise no too large message."""
    offer = session.offering.plan.offer
    limit = offer.get(SIZE)
    if limit and parameters.get(SIZE_PARAMETER, 0) > limit:  # RFC 1870 §6.1
        raise Refused(ReplyKind.TOO_LARGE)
    error = offer.check(parameters)
    if error is not None:
        raise Refused(Reply(error.code, error.reason, error.enhanced))


def rset(session: Session, command: Rset, line: bytes) -> CommandQuestion | None:
    """RSET (RFC 5321 §4.1.1.5)."""
    session.check_junk()
    session.tally.forget_refusals()
    asks = "RSET" in session.config.asks
    if not asks:
        session.outbox.say(FORGOTTEN)
    session.enter("RSET")
    session.forget_transaction()
    if asks:
        return CommandQuestion(command)
    session.tell(command)
    return None


# -- what the engine answers at once, unless the service asks


def noop(session: Session, command: Noop, line: bytes) -> CommandQuestion | None:
    """NOOP (RFC 5321 §4.1.1.9)."""
    return answer_at_once(session, command)


def help_(session: Session, command: Help, line: bytes) -> CommandQuestion | None:
    """HELP (RFC 5321 §4.1.1.8)."""
    return answer_at_once(session, command)


def answer_at_once(session: Session, command: Noop | Help) -> CommandQuestion | None:
    """What needs no decision of the application's."""
    session.check_junk()
    if command.verb in session.config.asks:
        return CommandQuestion(command)
    session.outbox.say(default_kind(command.verb))
    session.outbox.hurry()
    session.tell(command)
    return None


def quit_(session: Session, command: Quit, line: bytes) -> CommandQuestion | None:
    """QUIT, which is taken anywhere (RFC 5321 §4.1.1.10)."""
    if "QUIT" in session.config.asks:
        return CommandQuestion(command)
    session.outbox.say(GOODBYE)
    session.tell(command)
    part(session, session.outbox.text(GOODBYE))
    return None


def part(session: Session, reply: Reply) -> None:
    """QUIT is answered."""
    reason = CloseReason.QUIT if session.refusal is None else CloseReason.REFUSED
    session.close(reason, reply)


def answer_command(session: Session, question: CommandQuestion, replies: Replies) -> None:
    """The application's words; those of QUIT end the session."""
    row = COMMANDS[question.command.verb]
    outbox = session.outbox
    reply = octets = None
    if replies:
        reply, octets = session.accept(replies, row.positive)
        if not (reply.is_positive or row.refusable or reply.code == 421):
            raise LocalProtocolError(f"{row.word} cannot be refused: {row.positive} answers it")
        if row.word == "HELP" and reply.is_positive and reply.code not in HELPING:
            raise LocalProtocolError(f"{reply.code} is no help: 211, 214 or 250 is")
    if not row.grouped:
        outbox.hurry()
    if row.word == "QUIT" and (reply is None or reply.is_positive):
        outbox.put(outbox.octets_of(GOODBYE) if octets is None else octets)
        part(session, reply or outbox.text(GOODBYE))
    elif reply is None or octets is None:
        session.answer_by_default(default_kind(row.word))
    else:
        session.answer(reply, octets)


# -- VRFY, EXPN, and verbs of extensions


def vrfy(session: Session, command: Vrfy, line: bytes) -> Vrfy:
    """VRFY (RFC 5321 §3.5)."""
    session.check_junk()
    return command


def expn(session: Session, command: Expn, line: bytes) -> Expn:
    """EXPN, where it is offered (RFC 5321 §3.5.2)."""
    if EXPN not in session.offering.plan.offer:
        raise Refused(ReplyKind.NOT_IMPLEMENTED)
    session.check_place("EXPN")
    session.check_junk()
    return command


def extension(session: Session, command: Command, line: bytes) -> ServerRequest:
    """A verb that an offered extension brings: its entry says where it may stand.

    A listed client's verbs are its own, and come before TLS and AUTH; others need those.
    """
    verb = line.rstrip(b" \t").partition(b" ")[0].upper()
    offering = session.offering
    row = offering.plan.rows[verb]
    keyword = offering.plan.offer.listed_verbs.get(row.word)
    if keyword is None:
        if (required := offering.required_before(row)) is not None:
            raise Refused(required)
    elif keyword not in session.client.listed:
        raise Refused(ReplyKind.NOT_IMPLEMENTED)
    if session.state not in row.states:
        raise Refused(ReplyKind.BAD_SEQUENCE)
    session.check_junk()
    return cast("ServerRequest", command)  # every verb's command is a question


def xclient(session: Session, command: XClient, line: bytes) -> ServerRequest:
    """XCLIENT, with what it was asked for (XCLIENT_README)."""
    from smtpwire.extensions.xclient import XCLIENT

    check_attributes(command.attributes, session.offering.plan.offer.get(XCLIENT))
    return extension(session, command, line)


def xforward(session: Session, command: XForward, line: bytes) -> ServerRequest:
    """XFORWARD, with what it was asked for (XFORWARD_README)."""
    from smtpwire.extensions.xforward import XFORWARD

    check_attributes(command.attributes, session.offering.plan.offer.get(XFORWARD))
    return extension(session, command, line)


def check_attributes(given: tuple[str, ...], offered: tuple[str, ...] | None) -> None:
    """A client says only what it was asked for."""
    if not set(given) <= set(offered or ()):
        raise Refused(NOT_OFFERED)


def atrn(session: Session, command: Atrn, line: bytes) -> ServerRequest:
    """ATRN, of clients that authenticated (RFC 2645 §5.2.1)."""
    if session.client.identity is None:
        raise Refused(ReplyKind.AUTH_REQUIRED)
    return extension(session, command, line)


def answer_atrn(session: Session, question: Atrn, replies: Replies) -> None:
    """2yz ends this role; what has come is the other's (RFC 2645 §5.3)."""
    answer_extension(session, question, replies)
    if replies and replies[0].is_positive and session.state is not CLOSED:
        session.reversed = True
        limit = session.config.limits.trailing
        session.input.keep(session.input.take(limit), limit)
        session.close(CloseReason.REVERSED)


# -- STARTTLS


def starttls(session: Session, command: StartTls, line: bytes) -> StartTls:
    """STARTTLS (RFC 3207 §4)."""
    client = session.client
    if client.tls is not None or client.identity is not None:  # RFC 3207 §4.2
        raise Refused(ReplyKind.TLS_ACTIVE)
    if STARTTLS not in session.offering.plan.offer:  # nor is it after HELO
        raise Refused(ReplyKind.TLS_NOT_AVAILABLE)
    if "STARTTLS" not in session.state.commands:
        raise Refused(ReplyKind.BAD_SEQUENCE)
    return command


def answer_starttls(session: Session, _: StartTls, replies: Replies) -> None:
    """220 begins the handshake, if nothing came in plaintext behind STARTTLS."""
    reply = octets = None
    if replies:
        reply, octets = session.accept(replies, COMMANDS["STARTTLS"].positive)
    if reply is not None and octets is not None and not reply.is_positive:
        if reply.is_transient and reply.code not in (421, 454):
            raise LocalProtocolError("STARTTLS is refused with 454 or 5yz (RFC 3207 §4)")
        session.outbox.hurry()
        session.answer(reply, octets)
        session.count_wasted()
        return
    if session.input.waiting:  # it would be taken as encrypted (CVE-2011-0411)
        kind = ViolationKind.PLAINTEXT_BEHIND_STARTTLS
        session.violation(kind, session.input.offset, ReplyKind.PLAINTEXT_BEHIND_STARTTLS)
        return
    session.forget_transaction()
    session.enter("STARTTLS")
    session.input.shut()
    session.hand_over(HANDSHAKE)
    if reply is None or octets is None:
        session.answer_by_default(default_kind("STARTTLS"))
    else:
        session.answer(reply, octets)


# -- XCLIENT


def answer_xclient(session: Session, question: XClient, replies: Replies) -> None:
    """220 is not sent: the greeting that follows is the reply (XCLIENT_README)."""
    from smtpwire.extensions.xclient import XCLIENT_VERB

    if not replies or not session.accept(replies, XCLIENT_VERB.positive)[0].is_positive:
        answer_extension(session, question, replies)
        return
    session.client.take_xclient(question)
    session.offering.await_hello()
    session.enter("XCLIENT")
    session.outbox.begin()
    session.hand_over(GREETING)
    session.settle()
