"""How a server runs an AUTH exchange (RFC 4954): lines of base64, and the application's part."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from typing import Final, cast, final

from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Authenticated, AuthenticationFailed, Identity, ServerRequest
from smtpwire.engine.need import NEED_WRITE
from smtpwire.engine.policy import Policy
from smtpwire.engine.redaction import REDACTED
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.answers import default_kind
from smtpwire.engine.server.body import read_past
from smtpwire.engine.server.lines import EXCERPT, LineDropper
from smtpwire.engine.server.reader import Item, Reader
from smtpwire.engine.server.session import CLOSED, Refused, Replies, Session, announced_body
from smtpwire.engine.server_config import complete
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ViolationKind
from smtpwire.sasl import (
    Ask,
    AuthorizationRequest,
    Challenge,
    Failed,
    Question,
    SecretRequest,
    ServerMechanism,
    ServerMechanismConfig,
    ServerStep,
    StoredSecret,
    Succeeded,
    server_mechanism,
)
from smtpwire.wire.command import Auth, chunk_size
from smtpwire.wire.octets import decode_base64
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

__all__ = ["answer_authorization", "answer_login", "answer_secret", "auth", "supply"]

AUTH: Final = COMMANDS["AUTH"]
STEPS: Final = (Ask, Challenge, Succeeded, Failed)
REFUSED: Final = "the application refused"
SERVER_FIRST: Final = "an initial response where the server speaks first"


def auth(session: Session, command: Auth, line: bytes) -> None:
    """AUTH (RFC 4954 §4)."""
    session.client.expect_response()
    offered = session.offering.plan.mechanisms  # after HELO there are none
    if not offered:
        raise Refused(ReplyKind.NOT_IMPLEMENTED)
    if session.client.identity is not None:
        raise Refused(ReplyKind.BAD_SEQUENCE)
    session.check_place("AUTH")
    if command.mechanism not in offered:
        raise Refused(ReplyKind.AUTH_NO_MECHANISM)
    exchange = Exchange(command.mechanism)
    session.enter("AUTH")
    session.hand_over(exchange)
    exchange.begin(session, command.initial_response)


@final
class Exchange(Reader):
    """Lines are responses. It has the mechanism that runs, and what is to be answered in the end.

    A mechanism may be the user's own. What it raises is kept, and ends the exchange: the peer could
    make it raise as often as it liked, and the connection goes on. ``verdict``: the reply the
    application chose for the end. ``_announced``: a line among the responses that looks like BDAT
    or DATA, with a body behind it.
    """

    __slots__ = ("_announced", "_exception", "_mechanism", "_name", "_verdict")

    def __init__(self, name: str) -> None:
        self._name = name
        self._mechanism: ServerMechanism | None = None
        self._exception: Exception | None = None
        self._verdict: Reply | None = None
        self._announced = b""

    # -- lines

    def read(self, session: Session) -> Item | None:
        received, outbox = session.input, session.outbox
        if outbox.urgent and outbox.queue and received.waiting:
            return NEED_WRITE
        raw = received.take_to_lf()
        limit = min(session.config.limits.sasl_line, received.limit)
        if raw is None and received.waiting < limit:
            return session.more()
        if raw is None or len(raw) >= limit:
            if raw is not None:
                received.give_back(raw + b"\n")
            start = received.peek(EXCERPT)
            return self._break(session, ViolationKind.LINE_TOO_LONG, received.offset, start)
        offset = received.offset - len(raw) - 1
        bare_cr = raw.find(b"\r")
        if raw[-1:] != b"\r":
            return self._break(session, ViolationKind.BARE_LF, offset + len(raw), raw)
        if bare_cr < len(raw) - 1:
            received.give_back(b"\r\n")
            return self._break(session, ViolationKind.BARE_CR, offset + bare_cr, raw)
        if outbox.trace is not None:
            outbox.note_received(REDACTED + b"\r\n")
        self._take(session, raw[:-1])
        return None

    def _take(self, session: Session, line: bytes) -> None:
        """A response, or what cancels the exchange."""
        if announced_body(line):
            self._announced = line
        if line == b"*":  # RFC 4954 §4
            reply = session.outbox.text(ReplyKind.AUTH_CANCELLED)
            self.fail(session, reply, "the client cancelled")
            return
        response = decode_base64(line)
        if response is None:
            reply = session.outbox.text(ReplyKind.AUTH_MALFORMED)
            self.fail(session, reply, "the response is no base64")
        else:
            self._go_on(session, self._play(lambda mechanism: mechanism.step(response)))

    def _break(
        self, session: Session, violation: ViolationKind, offset: int, line: bytes
    ) -> Item | None:
        """A line too long or with a bare CR or LF ends the exchange; it is dropped up to CRLF."""
        announced = self._announced or line
        if session.violation(violation, offset) is not Policy.CLOSE:
            too_long = violation is ViolationKind.LINE_TOO_LONG
            kind = ReplyKind.AUTH_TOO_LONG if too_long else ReplyKind.AUTH_MALFORMED
            self.fail(session, session.outbox.text(kind), violation.value)
        if session.state is not CLOSED:
            session.hand_over(LineDropper(session, violation))
            session.close_if_unframed(announced, offset)
        return None

    # -- the mechanism

    def begin(self, session: Session, given: bytes | None) -> None:
        """Begin with the initial response as AUTH has it."""
        try:
            mechanism = server_mechanism(
                self._name, mechanism_config(session), mechanisms=session.config.custom_mechanisms
            )
            self._mechanism = mechanism
            if given is not None and not mechanism.client_first:
                reply = session.outbox.text(ReplyKind.AUTH_NO_INITIAL_RESPONSE)
                self.fail(session, reply, SERVER_FIRST)
                return
            initial = b"" if given == b"=" else given and decode_base64(given)
            if given is not None and initial is None:
                step: ServerStep = Failed("the initial response is no base64", malformed=True)
            else:
                step = checked_step(mechanism.start(initial))
        except Exception as error:
            step = self._broken(error)
        self._go_on(session, step)

    def decide(self, session: Session, reply: Reply) -> None:
        """The application's answer to a login: whatever refuses, the mechanism plays to its end."""
        self._verdict = complete(reply)
        self._go_on(session, self._play(lambda mechanism: mechanism.answer(reply.is_positive)))

    def supply(self, session: Session, secret: StoredSecret | None) -> None:
        """What is stored for the user."""
        self._go_on(session, self._play(lambda mechanism: mechanism.supply(secret)))

    def authorize(self, session: Session, reply: Reply, request: AuthorizationRequest) -> None:
        """Whether who was proved may act as somebody else."""
        verdict = self._verdict = complete(reply)
        if reply.is_positive:
            self._succeed(session, request.authcid, request.authzid)
        else:
            self.fail(session, verdict, "to act as another identity was refused")

    def _play(self, move: Callable[[ServerMechanism], ServerStep]) -> ServerStep:
        mechanism = self._mechanism
        assert mechanism is not None, "nothing is asked before the mechanism has begun"  # noqa: S101
        try:
            return checked_step(move(mechanism))
        except Exception as error:
            return self._broken(error)

    def _broken(self, error: Exception) -> Failed:
        self._exception = error
        return Failed(f"{self._name} failed: {type(error).__name__}")  # its text may hold a secret

    def _go_on(self, session: Session, step: ServerStep) -> None:
        """What the mechanism wants next, or how it has ended."""
        match step:
            case Challenge(data):
                session.outbox.hurry()
                session.outbox.put(challenge_line(data))
                session.settle()
            case Ask(question):
                session.ask_later(question)
            case Succeeded(authcid, authzid) if authzid in ("", authcid):
                self._succeed(session, authcid, authcid)
            case Succeeded(authcid, authzid):
                session.ask_later(AuthorizationRequest(authcid, authzid, self._name))
            case _:  # Failed
                self.fail(session, self._refusal(session, step), step.reason)

    # -- the end of it

    def _refusal(self, session: Session, failed: Failed) -> Reply:
        """The application's own words, if it has refused; else the mechanism's, or the engine's."""
        verdict = self._verdict
        if verdict is not None and not verdict.is_positive:
            return verdict
        if self._exception is not None:
            return session.outbox.text(ReplyKind.AUTH_TROUBLE)
        kind = ReplyKind.AUTH_MALFORMED if failed.malformed else ReplyKind.AUTH_FAILED
        reply = session.outbox.text(kind)
        return Reply(reply.code, failed.text, reply.enhanced) if failed.text else reply

    def _succeed(self, session: Session, authcid: str, authzid: str) -> None:
        reply = self._verdict or session.outbox.text(ReplyKind.AUTH_OK)
        identity = Identity(authcid, authzid, self._name)
        session.client.authenticate(identity)
        session.offering.note_authentication()
        self._leave(session, "(success)", reply)
        session.tell(Authenticated(identity))
        session.settle()

    def fail(self, session: Session, reply: Reply, reason: str) -> None:
        """Failed, cancelled or malformed: an attempt, however it ended (RFC 4954 §9)."""
        may_try_again = session.tally.spend_authentication()
        session.tally.excuse()
        self._leave(session, "(failure)", reply)
        session.tell(AuthenticationFailed(self._name, reply, reason, self._exception))
        session.settle(reply)
        if not may_try_again:
            session.end_behind_answer(ReplyKind.TOO_MANY_AUTHENTICATIONS)
        if session.state is not CLOSED:
            self._keep_body_apart(session)

    def _leave(self, session: Session, outcome: str, reply: Reply) -> None:
        """The exchange is over: commands are next."""
        session.enter(outcome)
        session.listen()
        session.outbox.put(session.outbox.octets(reply))
        session.outbox.hurry()

    def _keep_body_apart(self, session: Session) -> None:
        """A line that announced a body was taken for a response: the body is no commands."""
        line = self._announced
        match announced_body(line):
            case b"DATA":
                session.expect_unframed_body()
            case b"BDAT":
                size = chunk_size(line)
                if size is None:
                    session.close_if_unframed(line, session.input.offset)
                else:
                    reply = session.outbox.text(ReplyKind.AUTH_MALFORMED)
                    read_past(session, REDACTED, size, reply, times=0)
            case _:
                pass


def mechanism_config(session: Session) -> ServerMechanismConfig:
    """What a mechanism has to know of the service and of the TLS layer."""
    config, tls = session.config.mechanism_config, session.client.tls
    bindings = {} if tls is None else tls.bindings
    binds, name = session.offering.plan.binds, certified_name(tls)
    if not (bindings or binds or name):
        return config
    return replace(config, bindings=bindings, plus_offered=binds, external_identity=name)


def certified_name(tls: TlsInfo | None) -> str:
    """The name the client's certificate proves, if it has one."""
    if tls is None or tls.peer is None or not tls.peer.names:
        return ""
    return tls.peer.names[0]


def checked_step(step: ServerStep) -> ServerStep:
    """A mechanism of the user's own may give what is no step."""
    if not isinstance(step, STEPS):
        raise TypeError("a step is a Challenge, Ask, Succeeded or Failed")
    if isinstance(step, Challenge) and not isinstance(step.data, bytes):
        raise TypeError("a Challenge has bytes")
    if isinstance(step, Ask) and not isinstance(step.question, Question):
        raise TypeError("an Ask has a question of smtpwire.sasl")
    return step


def challenge_line(data: bytes) -> bytes:
    """A challenge as a reply: ``334`` and base64, the blank also where that is empty (§4)."""
    return b"334 " + b2a_base64(data, newline=False) + b"\r\n"


# -- answers


def running(session: Session) -> Exchange:
    """The exchange: questions of a mechanism are asked only while it reads."""
    return cast("Exchange", session.reader)


def answer_login(session: Session, _: ServerRequest, replies: Replies) -> None:
    """A default lets nobody in."""
    reply = login_verdict(session, replies)
    running(session).decide(session, reply)


def answer_authorization(session: Session, request: AuthorizationRequest, replies: Replies) -> None:
    """A default lets nobody act as somebody else."""
    reply = login_verdict(session, replies)
    running(session).authorize(session, reply, request)


def login_verdict(session: Session, replies: Replies) -> Reply:
    """235 or a refusal; the question is answered."""
    if replies:
        reply, _ = session.accept(replies, AUTH.positive)
    else:
        reply = session.outbox.text(default_kind("AUTH"))
    session.answered()
    return reply


def answer_secret(session: Session, _: SecretRequest, replies: Replies) -> None:
    """A refusal ends the exchange; the default is that there is no such user."""
    if not replies:
        supply(session, None, None)
        return
    reply, _octets = session.accept(replies, AUTH.positive)
    if reply.is_positive:
        raise LocalProtocolError("a SecretRequest is answered with supply(), 4yz or 5yz")
    session.answered()
    running(session).fail(session, complete(reply), REFUSED)


def supply(session: Session, secret: StoredSecret | None, to: Request | None) -> None:
    """What is stored for the user; None: there is no such user."""
    pending = session.asked()
    if not isinstance(pending, SecretRequest) or (to is not None and to is not pending):
        raise LocalProtocolError("no such SecretRequest is pending")
    given: object = secret
    if not isinstance(given, StoredSecret | None):
        kind = type(given).__name__
        raise LocalProtocolError(
            f"a {kind} is no stored secret: supply a PlainPassword, ScramSecret, "
            "DigestMD5Secret or None"
        )
    session.answered()
    running(session).supply(session, secret)
