"""How a server runs an AUTH exchange (RFC 4954)."""

from __future__ import annotations

from typing import Final, cast

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Authenticated,
    AuthenticationFailed,
    Identity,
    ServerRequest,
)
from smtpwire.engine.need import NEED_WRITE
from smtpwire.engine.policy import Policy
from smtpwire.engine.redaction import REDACTED
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_body import ServerBody
from smtpwire.engine.server_config import complete
from smtpwire.engine.server_core import (
    CLOSED,
    EXCERPT,
    Item,
    Replies,
    ServerCore,
    announced_body,
)
from smtpwire.engine.server_exchange import ServerExchange, challenge_line
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ViolationKind
from smtpwire.sasl import (
    Ask,
    AuthorizationRequest,
    Challenge,
    Failed,
    SecretRequest,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    Succeeded,
    offers_plus,
)
from smtpwire.wire.command import (
    Auth,
    chunk_size,
)
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = ["ServerAuth"]

REFUSED: Final = "the application refused"


class ServerAuth(ServerBody):
    """AUTH: lines of base64 to the mechanism and back, and the application's part in it."""

    __slots__ = ()

    # -- commands and responses

    def _on_auth(self, command: Auth) -> None:
        self._redact = True  # until it succeeds: what follows may be its response
        offered = self._plan.mechanisms  # after HELO there are none
        if not offered:
            self._refuse_kind(ReplyKind.NOT_IMPLEMENTED)
        elif self._identity is not None:
            self._refuse_kind(ReplyKind.BAD_SEQUENCE)
        elif self._forbidden(command, "AUTH"):
            return
        elif command.mechanism not in offered:
            self._refuse_kind(ReplyKind.AUTH_NO_MECHANISM)
        else:
            self._begin_exchange(command)

    def _begin_exchange(self, command: Auth) -> None:
        exchange = self._exchange = ServerExchange(command.mechanism)
        self._state = self._state.commands["AUTH"]
        self._step = ServerAuth._read_response
        factories = self._config.custom_mechanisms
        step = exchange.start(self._mechanism_config, factories, command.initial_response)
        if step is None:
            reason = "an initial response where the server speaks first"
            self._end_exchange(self._text(ReplyKind.AUTH_NO_INITIAL_RESPONSE), reason)
        else:
            self._exchange_step(step)

    def _mechanism_config(self) -> ServerMechanismConfig:
        config, tls = self._config, self._tls
        return ServerMechanismConfig(
            scram_secret=config.scram_secret,
            iterations=config.scram_iterations,
            stores_passwords=config.stores_passwords,
            hosts=(config.host, *config.aliases),
            realm=config.realm,
            preparation=config.preparation,
            bindings={} if tls is None else tls.bindings,
            plus_offered=offers_plus(self._plan.mechanisms),
            external_identity=_certified_name(tls),
        )

    def _read_response(self) -> Item | None:
        if self._must_flush and self._output and self._input.waiting:
            return NEED_WRITE
        raw = self._input.take_to_lf()
        limit = min(self._config.limits.sasl_line, self._backlog)
        if raw is None and self._input.waiting < limit:
            return self._more()
        self._line = REDACTED
        if raw is None or len(raw) >= limit:
            if raw is not None:
                self._input.give_back(raw + b"\n")
            start = self._input.peek(EXCERPT)
            return self._break_exchange(ViolationKind.LINE_TOO_LONG, self._input.offset, start)
        offset = self._input.offset - len(raw) - 1
        bare_cr = raw.find(b"\r")
        if raw[-1:] != b"\r":
            offset += len(raw)
            return self._break_exchange(ViolationKind.BARE_LF, offset, raw)
        if bare_cr < len(raw) - 1:
            self._input.give_back(b"\r\n")
            return self._break_exchange(ViolationKind.BARE_CR, offset + bare_cr, raw)
        if self.trace is not None:
            self._traced.append(("received", REDACTED + b"\r\n"))
        line = raw[:-1]
        exchange = self._running_exchange()
        if announced_body(line):
            exchange.announced = line
        if line == b"*":  # RFC 4954 §4
            self._end_exchange(self._text(ReplyKind.AUTH_CANCELLED), "the client cancelled")
            return None
        response = decode_base64(line)
        if response is None:
            self._end_exchange(self._text(ReplyKind.AUTH_MALFORMED), "the response is no base64")
        else:
            self._exchange_step(exchange.step(response))
        return None

    def _break_exchange(self, violation: ViolationKind, offset: int, line: bytes) -> Item | None:
        """A line too long or with a bare CR or LF ends the exchange; it is dropped up to CRLF."""
        announced = self._running_exchange().announced or line
        if self._violation(violation, offset) is not Policy.CLOSE:
            too_long = violation is ViolationKind.LINE_TOO_LONG
            kind = ReplyKind.AUTH_TOO_LONG if too_long else ReplyKind.AUTH_MALFORMED
            self._end_exchange(self._text(kind), violation.value)
        if self._state is not CLOSED:
            self._step = ServerCore._drop_line
            self._close_if_unframed(announced, offset)
            self._begin_to_drop(violation)
        return None

    # -- the exchange

    def _running_exchange(self) -> ServerExchange:
        return cast("ServerExchange", self._exchange)

    def _exchange_step(self, step: ServerStep) -> None:
        match step:
            case Challenge(data):
                self._must_flush = True
                self._write(challenge_line(data))
                self._settle(None)
            case Ask(question):
                self._ask_later(question)
            case Succeeded(authcid, authzid) if authzid in ("", authcid):
                self._authenticated(authcid, authcid)
            case Succeeded(authcid, authzid):
                name = self._running_exchange().name
                self._ask_later(AuthorizationRequest(authcid, authzid, name))
            case _:  # Failed
                self._end_exchange(self._refusal(step), step.reason)

    def _refusal(self, failed: Failed) -> Reply:
        """The application's own words, if it has refused; else the engine's."""
        exchange = self._running_exchange()
        verdict = exchange.verdict
        if verdict is not None and not verdict.is_positive:
            return verdict
        if exchange.exception is not None:
            return self._text(ReplyKind.AUTH_TROUBLE)
        malformed = failed.malformed
        return self._text(ReplyKind.AUTH_MALFORMED if malformed else ReplyKind.AUTH_FAILED)

    def _authenticated(self, authcid: str, authzid: str) -> None:
        exchange = self._running_exchange()
        reply = exchange.verdict or self._text(ReplyKind.AUTH_OK)
        self._identity = Identity(authcid, authzid, exchange.name)
        self._redact = False
        self._weigh_requirements()
        self._leave_exchange("(success)")
        self._write(self._serialised(reply))
        self._must_flush = True
        self._tell(Authenticated(self._identity))
        self._settle(None)

    def _end_exchange(self, reply: Reply, reason: str) -> None:
        """Failed, cancelled or malformed: an attempt, however it ended (RFC 4954 §9)."""
        exchange = self._running_exchange()
        self._auth_failures += 1
        self._excuse()
        self._leave_exchange("(failure)")
        self._write(self._serialised(reply))
        self._must_flush = True
        self._tell(AuthenticationFailed(exchange.name, reply, reason, exchange.exception))
        self._settle(reply)
        if self._auth_failures >= self._config.limits.authentications:
            self._over_budget(ReplyKind.TOO_MANY_AUTHENTICATIONS)
        if self._state is not CLOSED:
            self._keep_apart(exchange.announced)

    def _keep_apart(self, line: bytes) -> None:
        """A line that announced a body was taken for a response: the body is no commands."""
        match announced_body(line):
            case b"DATA":
                self._watch_for_body()
            case b"BDAT":
                size = chunk_size(line)
                if size is None:
                    self._close_if_unframed(line, self._input.offset)
                else:
                    self._read_past(size, self._text(ReplyKind.AUTH_MALFORMED), replies=0)
            case _:
                pass

    def _leave_exchange(self, outcome: str) -> None:
        self._exchange = None
        self._enter(outcome)

    # -- answers

    def _answer_login(self, _: ServerRequest, replies: Replies) -> None:
        """A default lets nobody in; whatever refuses, the mechanism plays to its end."""
        exchange = self._running_exchange()
        reply = self._one(replies, 235) if replies else self._text(ReplyKind.AUTH_FAILED)
        exchange.verdict = complete(reply)
        self._answered()
        self._exchange_step(exchange.answer(reply.is_positive))

    def _answer_secret(self, _: SecretRequest, replies: Replies) -> None:
        if not replies:
            self.supply(None)
            return
        reply = self._one(replies, 235)
        if reply.is_positive:
            raise LocalProtocolError("a SecretRequest is answered with supply(), 4yz or 5yz")
        self._answered()
        self._end_exchange(complete(reply), REFUSED)

    def _answer_authorization(self, request: AuthorizationRequest, replies: Replies) -> None:
        exchange = self._running_exchange()
        reply = self._one(replies, 235) if replies else self._text(ReplyKind.AUTH_FAILED)
        exchange.verdict = complete(reply)
        self._answered()
        if reply.is_positive:
            self._authenticated(request.authcid, request.authzid)
        else:
            self._end_exchange(exchange.verdict, "to act as another identity was refused")

    def supply(self, secret: StoredSecret | None, *, to: Request | None = None) -> None:
        """Answer a SecretRequest with what is stored for the user; None: there is no such user.

        A secret that the mechanism cannot use is taken as None, for the client chooses the
        mechanism: by any other answer it would learn who exists. AuthenticationFailed tells it.
        Raises LocalProtocolError where no SecretRequest is pending, another one is, or this is no
        stored secret at all; nothing has changed then.
        """
        pending = self._asked()
        if not isinstance(pending, SecretRequest) or (to is not None and to is not pending):
            raise LocalProtocolError("no such SecretRequest is pending")
        given: object = secret
        if not isinstance(given, StoredSecret | None):
            kind = type(given).__name__
            raise LocalProtocolError(
                f"a {kind} is no stored secret: supply a PlainPassword, ScramSecret, "
                "DigestMD5Secret or None"
            )
        self._answered()
        self._exchange_step(self._running_exchange().supply(secret))


def _certified_name(tls: TlsInfo | None) -> str:
    if tls is None or tls.peer is None or not tls.peer.names:
        return ""
    return tls.peer.names[0]
