"""What a server makes of each command, and of each answer to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    CloseReason,
    Connected,
    Identity,
    Peer,
    ServerRequest,
)
from smtpwire.engine.need import NEED_TLS
from smtpwire.engine.quota import Quota
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_auth import ServerAuth
from smtpwire.engine.server_config import hello_octets, serialise
from smtpwire.engine.server_core import CLOSED, READY, Item, Replies, ServerCore
from smtpwire.engine.state import State
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import (
    EXPN,
    SIZE,
    STARTTLS,
    XCLIENT,
    XFORWARD,
    Atrn,
    Etrn,
    Unavailable,
    XClient,
    XForward,
)
from smtpwire.extensions import parameters as p
from smtpwire.extensions.parameters import Body
from smtpwire.sasl import family
from smtpwire.wire.command import (
    NO_PARAMETERS,
    Data,
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
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import replace

__all__ = ["ServerCommands"]

SENDER_OK: Final = ReplyKind.SENDER_OK
RECIPIENT_OK: Final = ReplyKind.RECIPIENT_OK
GOODBYE: Final = ReplyKind.GOODBYE
MAIL: Final = State.MAIL
RCPT: Final = State.RCPT
# RFC 5321 §3.2, RFC 2033 §4.1
GREETED_BY: Final[Mapping[bool, frozenset[str]]] = {
    False: frozenset({"EHLO", "HELO"}),
    True: frozenset({"LHLO"}),
}


class ServerCommands(ServerAuth):
    """Commands of the session and the transaction: each is refused, answered or asked."""

    __slots__ = ()

    # -- commands: a handler returns the question the command is, or has queued what it told

    def _on_hello(self, command: Hello) -> ServerRequest | None:
        if command.verb not in GREETED_BY[self._lmtp]:
            self._refuse(Reply(500, "Command not recognized", "5.5.1"))
            return None
        if self._forbidden(command, command.verb) or self._is_junk():
            return None
        return command

    def _on_mail(self, command: Mail) -> ServerRequest | None:
        if not (self._unhindered and self._state is READY):
            if self._forbidden(command, "MAIL"):
                return None
            if self._quota is not None and not self._quota.allows(command):
                if not self._is_junk():
                    self._refuse(self._config.texts[ReplyKind.TOO_MANY_MESSAGES], counts=False)
                return None
        if command.parameters is not NO_PARAMETERS and self._has_bad_parameters(command):
            return None
        return command

    def _on_rcpt(self, command: Rcpt) -> ServerRequest | None:
        over = len(self._recipients) >= self._plan.recipients
        if not (self._unhindered and (self._state is MAIL or self._state is RCPT)):
            if self._forbidden(command, "RCPT"):
                return None
            if self._quota is not None and not self._quota.allows(command):
                over = True
        if over:
            self._excess_recipients += 1
            if self._excess_recipients > self._config.limits.excess_recipients:
                self._too_many(ReplyKind.TOO_MANY_REFUSED_RECIPIENTS)
                return None
            reply = self._config.texts[ReplyKind.TOO_MANY_RECIPIENTS]
            self._refuse(reply, counts=False)  # the accepted ones stay (RFC 5321 §4.5.3.1.10)
            return None
        if command.parameters is not NO_PARAMETERS and self._has_bad_parameters(command):
            return None
        return command

    def _has_bad_parameters(self, command: Mail | Rcpt) -> bool:
        parameters = command.parameters
        offer = self._plan.offer
        limit = offer.get(SIZE)
        if limit and parameters.get(p.SIZE, 0) > limit:  # RFC 1870 §6.1
            self._refuse_kind(ReplyKind.TOO_LARGE)
            return True
        error = offer.check(parameters)
        if error is not None:
            self._refuse(Reply(error.code, error.reason, error.enhanced))
        return error is not None

    def _on_data(self, command: Data) -> ServerRequest | None:
        if self._state is MAIL:  # RFC 5321 §3.3, RFC 2033 §4.2
            self._refuse_kind(ReplyKind.NO_RECIPIENTS)
            return None
        allowed = self._unhindered and self._state is RCPT
        if not allowed and self._forbidden(command, "DATA"):
            return None
        if self._binary:
            self._refuse_kind(ReplyKind.BAD_SEQUENCE)  # RFC 3030 §3
            return None
        return command

    def _on_rset(self, command: Rset) -> ServerRequest | None:
        if self._forbidden(command, "RSET") or self._is_junk():
            return None
        self._excused = 0
        self._write(self._octets(ReplyKind.RESET))
        self._state = self._state.commands["RSET"]
        self._forget_transaction(Aborted.RESET)
        self._tell(command)
        return None

    def _on_noop(self, command: Noop) -> None:
        self._answer_at_once(command, "NOOP", ReplyKind.NOOP)

    def _on_help(self, command: Help) -> None:
        self._answer_at_once(command, "HELP", ReplyKind.HELP)

    def _answer_at_once(self, command: Noop | Help, verb: str, kind: ReplyKind) -> None:
        if self._forbidden(command, verb) or self._is_junk():
            return
        self._write(self._octets(kind))
        self._must_flush = True
        self._tell(command)

    def _on_vrfy(self, command: Vrfy) -> ServerRequest | None:
        if self._forbidden(command, "VRFY") or self._is_junk():
            return None
        return command

    def _on_expn(self, command: Expn) -> ServerRequest | None:
        if EXPN not in self._plan.offer:
            self._refuse_kind(ReplyKind.NOT_IMPLEMENTED)
            return None
        if self._forbidden(command, "EXPN") or self._is_junk():
            return None
        return command

    def _on_quit(self, command: Quit) -> ServerRequest | None:
        self._write(self._octets(GOODBYE))
        self._tell(command)
        reason = CloseReason.QUIT if self._refused is None else CloseReason.REFUSED
        self._close(reason, self._text(GOODBYE))
        return None

    def _on_starttls(self, command: StartTls) -> ServerRequest | None:
        if self._tls is not None or self._identity is not None:  # RFC 3207 §4.2; R91
            self._refuse_kind(ReplyKind.TLS_ACTIVE)
        elif STARTTLS not in self._plan.offer:  # nor is it after HELO
            self._refuse_kind(ReplyKind.TLS_NOT_AVAILABLE)
        elif "STARTTLS" not in self._state.commands:
            self._refuse_kind(ReplyKind.BAD_SEQUENCE)
        else:
            return command
        return None

    def _on_xclient(self, command: XClient) -> ServerRequest | None:
        return self._on_attributes(command, command.attributes, self._plan.offer.get(XCLIENT))

    def _on_xforward(self, command: XForward) -> ServerRequest | None:
        return self._on_attributes(command, command.attributes, self._plan.offer.get(XFORWARD))

    def _on_attributes(
        self, command: XClient | XForward, given: tuple[str, ...], offered: tuple[str, ...] | None
    ) -> ServerRequest | None:
        """A client says only what it was asked for (XCLIENT_README, XFORWARD_README)."""
        if not set(given) <= set(offered or ()):
            self._refuse(Reply(501, "Attribute not offered", "5.5.4"))
            return None
        return self._on_extension(command)

    def _on_atrn(self, command: Atrn) -> ServerRequest | None:
        if self._identity is None:  # RFC 2645 §5.2.1
            self._refuse_kind(ReplyKind.AUTH_REQUIRED)
            return None
        return self._on_extension(command)

    # -- answers: each checks the replies before anything changes

    def _answer_connected(self, _: Connected, replies: Replies) -> None:
        reply = self._one(replies, 220) if replies else None
        self._must_flush = True
        self._enter("(greeting)")
        if reply is None:
            self._say_kind(ReplyKind.GREETING)
            return
        if not reply.is_positive:
            self._refused = reply
            self._excuse()
        self._write(serialise(reply, enhanced=False))  # RFC 2034 §4: none in the greeting
        self._settle(reply)

    def _answer_hello(self, hello: Hello, replies: Replies) -> None:
        reply = self._one(replies, 250) if replies else None
        self._must_flush = True
        if reply is not None and not reply.is_positive:
            self._excuse()
            self._write(serialise(reply, enhanced=False))  # RFC 2034 §4: none on EHLO
            self._settle(reply)
            return
        extended = hello.verb != "HELO"
        self._write(self._hello_octets(reply, extended=extended))
        self._hello = hello
        self._excused = 0
        self._plan = self._full if extended else self._config.bare_plan
        limits = self._plan.limits
        if limits is None:
            self._quota = None
        elif self._quota is None:
            self._quota = Quota(limits)
        else:
            self._quota.limits = limits
        self._weigh_requirements()
        self._state = self._state.commands[hello.verb]
        self._forget_transaction(Aborted.RESET)
        self._settle(None)

    def _hello_octets(self, reply: Reply | None, *, extended: bool) -> bytes:
        if reply is None:
            return self._full.hello if extended else self._octets(ReplyKind.HELLO)
        first = reply.lines[0] or self._config.host
        lines = self._full.offer.lines if extended else ()  # RFC 5321 §3.2: HELO gets one line
        return hello_octets(first, lines)

    def _answer_mail(self, mail: Mail, replies: Replies) -> None:
        parameters = mail.parameters
        plain = parameters is NO_PARAMETERS
        utf8 = not plain and p.SMTPUTF8 in parameters
        reply = self._one(replies, None, utf8=utf8) if replies else None
        if reply is None or reply.is_positive:
            self._state = self._state.commands["MAIL"]
            self._mail = mail
            self._excused = 0
            self._utf8 = utf8
            self._prdr = not plain and p.PRDR in parameters
            self._binary = not plain and parameters.get(p.BODY) is Body.BINARYMIME
        else:
            self._excuse()
        if reply is None:
            self._say_kind(SENDER_OK)
            return
        self._say(reply, utf8=utf8)
        if not reply.is_positive:
            self._wasted()

    def _answer_rcpt(self, rcpt: Rcpt, replies: Replies) -> None:
        reply = self._one(replies, None, utf8=self._utf8) if replies else None
        if reply is None and not self._is_ours(rcpt):
            reply = self._text(ReplyKind.RELAYING_DENIED)
        if reply is None or reply.is_positive:
            self._state = self._state.commands["RCPT"]
            self._recipients.append(rcpt)
        if reply is None:
            self._say_kind(RECIPIENT_OK)
            return
        self._say(reply, utf8=self._utf8)
        if not reply.is_positive:
            self._count_refused_recipient()

    def _is_ours(self, rcpt: Rcpt) -> bool:
        """Whether a default answer may take this recipient: it never relays for just anybody."""
        if rcpt.address.domain in self._config.domains:
            return True
        identity = self._identity
        return identity is not None and not family(identity.mechanism).anonymous

    def _count_refused_recipient(self) -> None:
        self._refused_recipients += 1
        self._excuse()
        if self._refused_recipients > self._config.limits.refused_recipients:
            self._over_budget(ReplyKind.TOO_MANY_REFUSED_RECIPIENTS)

    def _answer_starttls(self, _: StartTls, replies: Replies) -> None:
        reply = self._one(replies, 220) if replies else None
        if reply is not None and not reply.is_positive:
            if reply.is_transient and reply.code not in (421, 454):
                raise LocalProtocolError("STARTTLS is refused with 454 or 5yz (RFC 3207 §4)")
            self._must_flush = True
            self._say(reply)
            self._wasted()
            return
        if self._input.waiting:  # came in plaintext, would be taken as encrypted: R89
            kind = ViolationKind.PLAINTEXT_BEHIND_STARTTLS
            offset = self._input.offset
            self._answered()
            self._violation(kind, offset, ReplyKind.PLAINTEXT_BEHIND_STARTTLS)
            return
        self._forget_transaction(Aborted.RESET)
        self._enter("STARTTLS")
        self._backlog = 0
        self._step = ServerCommands._await_tls
        if reply is None:
            self._say_kind(ReplyKind.TLS_READY)
        else:
            self._say(reply)

    def _await_tls(self) -> Item | None:
        return NEED_TLS

    def _answer_vrfy(self, query: Vrfy, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.CANNOT_VERIFY, utf8=query.smtputf8)

    def _answer_expn(self, query: Expn, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.NOT_IMPLEMENTED, utf8=query.smtputf8)

    def _answer_query(self, replies: Replies, kind: ReplyKind, *, utf8: bool = False) -> None:
        reply = self._one(replies, None, utf8=utf8) if replies else None
        self._must_flush = True
        if reply is None:
            self._say_kind(kind)
        else:
            self._say(reply, utf8=utf8)

    def _answer_etrn(self, _: Etrn, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.QUEUE_REFUSED)

    def _answer_extension(self, _: ServerRequest, replies: Replies) -> None:
        self._answer_query(replies, ReplyKind.REFUSED)

    def _answer_atrn(self, _: Atrn, replies: Replies) -> None:
        accepted = bool(replies) and self._one(replies, None).is_positive
        self._answer_query(replies, ReplyKind.REFUSED)
        if accepted and self._state is not CLOSED:
            self._reversed = True
            self._trailing = self._input.take(self._config.limits.trailing)
            self._close(CloseReason.REVERSED)

    def _answer_xclient(self, client: XClient, replies: Replies) -> None:
        if not replies or not self._one(replies, 220).is_positive:
            self._answer_query(replies, ReplyKind.REFUSED)
            return
        self._answered()  # nothing is sent: the greeting that follows is the reply
        self._peer = _overridden(self._peer, client)
        self._hello = None
        self._identity = None
        if isinstance(client.login, str):
            self._identity = Identity(client.login, client.login, "XCLIENT")
        self._plan = self._full
        self._unhindered = False
        self._state = self._state.commands["XCLIENT"]
        self._step = ServerCore._greet
        if self._shutdown is not None:
            self._settle(None)


def _overridden(peer: Peer, client: XClient) -> Peer:
    """What XCLIENT says over what was known; what it does not say stays."""
    said = {
        "name": client.name,
        "address": client.address,
        "port": client.port,
        "protocol": client.protocol,
        "hello": client.hello,
        "login": client.login,
        "destination_address": client.destination_address,
        "destination_port": client.destination_port,
    }
    unknown = {"port": 0, "destination_port": 0}
    changes: dict[str, Any] = {
        field: unknown.get(field, "") if isinstance(value, Unavailable) else value
        for field, value in said.items()
        if value is not None
    }
    return replace(peer, **changes)
