"""What a client makes of each reply: to the commands it sent, and of those nobody asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from smtpwire.engine.client_core import NO_OFFER
from smtpwire.engine.client_queue import ClientQueue
from smtpwire.engine.client_sasl import Exchange
from smtpwire.engine.events import (
    AuthenticationOutcome,
    Cause,
    ClientEvent,
    CloseReason,
    EndOfData,
    ExtensionsChanged,
    Greeting,
    ReplyReceived,
    ServiceClosing,
)
from smtpwire.engine.flight import (
    AUTH,
    BURL,
    BURL_LAST,
    CHUNK,
    DATA,
    DOT,
    GROUPED,
    HELLO,
    IN_AUTH,
    IN_CHUNKS,
    IN_DATA,
    IN_GREETING,
    IN_HELLO,
    IN_MAIL,
    IN_RCPT,
    IN_READY,
    IN_TLS,
    LAST,
    MAIL,
    OTHER,
    QUIT,
    RCPT,
    RESPONSE,
    RSET,
    STARTTLS,
    Kind,
)
from smtpwire.engine.terms import Terms
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import Offer
from smtpwire.extensions import parameters as p
from smtpwire.extensions.atrn import Atrn
from smtpwire.extensions.xclient import XClient
from smtpwire.wire.body import DotEncoder
from smtpwire.wire.command import (
    NO_PARAMETERS,
    Command,
    Hello,
    Mail,
    Rcpt,
)
from smtpwire.wire.ehlo import parse_ehlo
from smtpwire.wire.reply import Reply

if TYPE_CHECKING:
    pass

__all__ = ["REPLIES", "ClientReplies"]

_PRDR_FIRST: Final = 353


class ClientReplies(ClientQueue):
    """A reply changes the state, and becomes an event."""

    __slots__ = ()

    # -- by the kind of command

    def _take_greeting(self, reply: Reply) -> ClientEvent:
        if reply.is_intermediate:
            return self._violation(ViolationKind.WRONG_REPLY, reply)
        if reply.is_positive:
            self._place = IN_HELLO
            if self._planned is IN_GREETING:
                self._planned = IN_HELLO
            return Greeting(reply)
        self._refusal = reply
        if reply.code == 421:
            self._events.append(ServiceClosing(reply))
        if reply.code == 421 or self._flight:
            self._end(CloseReason.REFUSED, reply, cause=Cause.CLOSING)
            return Greeting(reply)
        # RFC 5321 §3.1, §4.1.1.10: the server waits for QUIT, and the client owes it.
        self._drop_held(reply)
        self._blocked = None
        self._forget_session()
        return Greeting(reply)

    def _reply_hello(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        self._blocked = None
        early, self._early = self._early, False
        if not reply.is_positive:
            if early:
                self._terms = Terms(NO_OFFER, self._config.registry)
                return self._offer_changed(command, reply)
            self._replan()
            return ReplyReceived(command, reply)
        helo = isinstance(command, Hello) and command.verb == "HELO"
        offer = NO_OFFER if helo else self._config.registry.read(parse_ehlo(reply).keywords)
        relied_on = self._terms.offer
        self._terms = Terms(offer, self._config.registry)
        if early and offer != relied_on:
            return self._offer_changed(command, reply)
        self._forget_transaction()
        self._place = IN_READY
        if self._before_tls is not None and self._tls is not None:
            self._compare_offers(self._before_tls, offer)
        return ReplyReceived(command, reply)

    def _compare_offers(self, before: Offer, after: Offer) -> None:
        old = [line for line in before.lines if line != "STARTTLS"]
        if old != list(after.lines):
            mechanisms = Terms(before, self._config.registry).mechanisms
            differ = mechanisms != self._terms.mechanisms
            self._events.append(ExtensionsChanged(before, after, differ))

    def _offer_changed(self, command: Command, reply: Reply) -> ClientEvent:
        """The offer that was relied on is not the server's: what was built on it has failed."""
        if self._flight:
            self._violate(ViolationKind.CHANGED_OFFER, reply)
        else:
            self._drop_held(None)
            self._place = self._planned = IN_READY if reply.is_positive else IN_HELLO
        return ReplyReceived(command, reply)

    def _reply_mail(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.code < 300 and isinstance(command, Mail):
            self._mail = command
            self._place = IN_MAIL
            parameters = command.parameters
            self._prdr = parameters is not NO_PARAMETERS and p.PRDR in parameters
        else:
            self._drop_held(None, transaction)
            self._replan()
        return ReplyReceived(command, reply)

    def _reply_rcpt(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.code < 300 and self._mail is not None and isinstance(command, Rcpt):
            self._accepted.append(command)
            self._place = IN_RCPT
        elif transaction == self._transaction:
            self._hopeful -= 1
            if not self._hopeful and self._planned is IN_RCPT:
                self._planned = IN_MAIL
        return ReplyReceived(command, reply)

    def _reply_data(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.code < 300:
            self._restore(command, kind, transaction)
            return self._violation(ViolationKind.WRONG_REPLY, reply)
        if reply.code >= 400:
            self._replan()
        elif self._accepted:
            self._place = IN_DATA
            self._encoder = DotEncoder()
        elif self._lmtp:  # RFC 2033 §4.2: 503 was due, and a dot would get no answer
            self._violate(ViolationKind.WRONG_REPLY, reply)
        else:  # RFC 2920 §3.1
            self._place = IN_DATA
            self._held.appendleft((EndOfData(), DOT, b".\r\n", transaction))
            self._replan()
        return ReplyReceived(command, reply)

    def _reply_end(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent | None:
        """A reply to the dot, or to the last chunk."""
        if self._lmtp or self._prdr:
            return self._recipient_reply(command, kind, transaction, reply)
        if 300 <= reply.code < 400:
            self._restore(command, kind, transaction)
            return self._violation(ViolationKind.WRONG_REPLY, reply)
        self._message_ended(kind, reply)
        return ReplyReceived(command, reply)

    def _recipient_reply(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent | None:
        """One of the replies a recipient (RFC 2033 §4.2); PRDR has one before and one after."""
        if reply.is_intermediate:
            self._restore(command, kind, transaction)
            if self._lmtp or reply.code != _PRDR_FIRST or self._answered >= 0:
                return self._violation(ViolationKind.WRONG_REPLY, reply)
            self._answered = 0
            return None
        if not self._per_recipient():  # PRDR without 353: it counts for all
            self._message_ended(kind, reply)
            return ReplyReceived(command, reply)
        index = max(self._answered, 0)
        self._answered = index + 1
        recipient = self._accepted[index] if index < len(self._accepted) else None
        if recipient is None or (self._lmtp and self._answered == len(self._accepted)):
            self._message_ended(DOT, reply)
        else:
            self._restore(command, kind, transaction)
        return ReplyReceived(command, reply, recipient)

    def _message_ended(self, kind: Kind, reply: Reply) -> None:
        self._forget_transaction()
        if reply.code < 300:
            self._messages += 1
            self._place = IN_READY
        elif kind is not DOT:  # RFC 3030 §2: the state is indeterminate
            self._chunk_refused()
        else:
            self._place = IN_READY

    def _reply_chunk(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.is_positive:
            self._place = IN_CHUNKS
        else:
            self._chunk_refused()
        return ReplyReceived(command, reply)

    def _chunk_refused(self) -> None:
        """RFC 3030 §2: no more chunks, and only RSET leads on."""
        self._place = IN_CHUNKS
        self._close_body()
        self._must_reset = True
        held = list(self._held)
        resets = (at for at, item in enumerate(held) if item[1] in (RSET, HELLO, QUIT))
        kept = next(resets, len(held))
        for item in held[:kept]:
            self._end_unsent(item, None)
        self._held = deque(held[kept:])
        self._replan()

    def _reply_rset(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if reply.is_positive:
            self._forget_transaction()
            if self._place is not IN_HELLO:
                self._place = IN_READY
        else:
            self._replan()
        return ReplyReceived(command, reply)

    def _reply_quit(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if self._refusal is not None:
            self._end(CloseReason.REFUSED, self._refusal)
        else:
            self._end(CloseReason.QUIT, reply)
        return ReplyReceived(command, reply)

    def _reply_starttls(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        self._blocked = None
        if not reply.is_positive:
            self._replan()
        elif self._received != self._start:  # RFC 3207 §4: it may be anybody's
            self._violate(ViolationKind.PLAINTEXT_BEHIND_STARTTLS)
        else:
            self._blocked = command
            self._forget_transaction()
            self._place = self._planned = IN_TLS
        return ReplyReceived(command, reply)

    def _reply_auth(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent | None:
        exchange = self._exchange
        if exchange is None or (reply.is_intermediate and exchange.cancelled):
            return self._violation(ViolationKind.WRONG_REPLY, reply)
        if reply.is_intermediate:
            self._place = IN_AUTH
            response = exchange.respond(reply.text)
            if response is not None:
                self._respond(exchange, response)
            return None
        ended = exchange.ended(reply)
        self._leave_exchange()
        self._blocked = None
        self._place = self._planned = IN_READY
        if ended.outcome is AuthenticationOutcome.SUCCEEDED:
            self._identity = exchange.identity
        else:
            self._failed_authentications += 1
            if reply.is_positive:  # it holds us logged in, and we do not hold it to be the server
                self._violate(ViolationKind.WRONG_REPLY)
        return ended

    def _respond(self, exchange: Exchange, line: bytes) -> None:
        self._held.append((exchange.auth, RESPONSE, line + b"\r\n", 0))

    def _reply_other(
        self, command: Command, kind: Kind, transaction: int, reply: Reply
    ) -> ClientEvent:
        if isinstance(command, XClient):
            self._blocked = None
            if reply.is_positive:  # the session starts anew, and 220 is its greeting
                self._forget_session()
        elif isinstance(command, Atrn):
            self._blocked = None
            if reply.is_positive:
                self._reversed = True
                rest = self._parser.take_rest()
                self._trail(rest)
                if rest:  # they are the other engine's, to trace too
                    del self._untraced[-len(rest) :]
                    self._received = self._start
                self._end(CloseReason.REVERSED, reply)
        return ReplyReceived(command, reply)

    # -- what nobody asked for

    def _unasked(self, reply: Reply) -> ClientEvent:
        self._take_turns()
        if not 200 <= reply.code < 600:
            return self._violation(ViolationKind.WRONG_REPLY, reply)
        if self._place is IN_GREETING:
            return self._take_greeting(reply)
        if self._place is IN_DATA or (self._place is IN_CHUNKS and self._body_unfinished()):
            return self._verdict(reply)
        if reply.code != 421:
            return self._violation(ViolationKind.UNEXPECTED_REPLY, reply)
        self._events.append(ServiceClosing(reply))
        self._end(CloseReason.SHUTDOWN, reply, cause=Cause.CLOSING)
        return self._events.popleft()

    def _body_unfinished(self) -> bool:
        return self._chunking or any(item[1].ends_body for item in self._held)

    def _verdict(self, reply: Reply) -> ClientEvent:
        """A reply while the body is open: 4yz and 5yz refuse the message. No dot, close."""
        if not (reply.is_transient or reply.is_permanent):
            return self._violation(ViolationKind.WRONG_REPLY, reply)
        end: Command = EndOfData()
        if self._flight:  # it has left, but the reply had started to come before
            end = self._flight.popleft()[0]
        elif self._held and self._held[0][1].ends_body:
            end = self._held.popleft()[0]
        recipients: list[Rcpt | None] = [*self._accepted] if self._lmtp else [None]
        self._events.extend(ReplyReceived(end, reply, recipient) for recipient in recipients)
        if reply.code == 421:
            self._events.append(ServiceClosing(reply))
            self._end(CloseReason.SHUTDOWN, reply)
        else:
            self._end(CloseReason.REFUSED, reply)
        return self._events.popleft()

    def _service_closing(self, reply: Reply) -> ClientEvent:
        """421, or 221 out of turn: it answers the oldest command, and ends the rest."""
        command = self._flight[0][0]
        exchange = self._exchange
        if exchange is not None and exchange.auth is command:
            self._leave_exchange()
            self._events.append(exchange.unanswered(reply))
        elif reply.code == 421:
            self._events.append(ReplyReceived(command, reply, self._take_recipient()))
        self._events.append(ServiceClosing(reply))
        self._end(CloseReason.SHUTDOWN, reply, cause=Cause.CLOSING)
        return self._events.popleft()

    def _take_recipient(self) -> Rcpt | None:
        """The recipient whose reply comes now, if it has one of its own; forget who waited."""
        kind = self._flight[0][1]
        if kind.ends_body and self._per_recipient():
            index = max(self._answered, 0)
            self._answered = index + 1
            if index < len(self._accepted):
                if self._lmtp and index + 1 == len(self._accepted):
                    self._flight.popleft()
                return self._accepted[index]
        self._flight.popleft()
        return None


Handler: TypeAlias = Callable[[ClientReplies, Command, Kind, int, Reply], ClientEvent | None]
REPLIES: Final[Mapping[Kind, Handler]] = {
    HELLO: ClientReplies._reply_hello,
    MAIL: ClientReplies._reply_mail,
    RCPT: ClientReplies._reply_rcpt,
    DATA: ClientReplies._reply_data,
    CHUNK: ClientReplies._reply_chunk,
    LAST: ClientReplies._reply_end,
    DOT: ClientReplies._reply_end,
    BURL: ClientReplies._reply_chunk,
    BURL_LAST: ClientReplies._reply_end,
    RSET: ClientReplies._reply_rset,
    QUIT: ClientReplies._reply_quit,
    STARTTLS: ClientReplies._reply_starttls,
    AUTH: ClientReplies._reply_auth,
    RESPONSE: ClientReplies._reply_auth,
    OTHER: ClientReplies._reply_other,
    GROUPED: ClientReplies._reply_other,
}
"""How a reply is taken, by the kind of the command it answers; None: it tells nothing."""
