"""The operations of a session: opening it, ending it, and the small ones between."""

from __future__ import annotations

from typing import Final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import AuthenticationEnded, AuthenticationOutcome, Closed, Greeting
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.extensions import AUTH, SMTPUTF8, STARTTLS
from smtpwire.operations.operation import (
    AuthenticationFailed,
    Operation,
    ServiceRefused,
    SessionError,
    Stage,
    TlsRequired,
    advance,
    ask,
    ended,
)
from smtpwire.sasl import (
    BearerToken,
    ChoicePolicy,
    ClientMechanism,
    ClientMechanismConfig,
    Credentials,
    ExternalIdentity,
    NoMechanism,
    Password,
    SaslError,
    choose_mechanism,
    client_mechanism,
    offers_plus,
)
from smtpwire.wire.command import Hello, Quit, Rset, StartTls, Vrfy
from smtpwire.wire.reply import Reply

__all__ = ["open_session", "quit", "reset", "verify"]

_ANOTHER_MAY_DO: Final = (AuthenticationOutcome.MECHANISM_REFUSED, AuthenticationOutcome.OBJECTED)
_NO_EHLO: Final = (500, 502)  # RFC 5321 §4.1.4: try HELO


def open_session(
    conn: ClientConnection,
    credentials: Credentials | None = None,
    *,
    policy: ChoicePolicy | None = None,
) -> Operation[None]:
    """Greeting, EHLO, TLS as ``ClientConfig.security`` says, EHLO again, authentication.

    HELO is tried only after 500 or 502, and never in LMTP, under TLS, or where TLS or
    ``credentials`` are asked for. Of the mechanisms offered the strongest usable one is taken;
    ``policy`` names exceptions. Raises SessionError.
    """
    yield from _greeting(conn)
    security = conn.config.security
    needs_ehlo = credentials is not None or security in (Security.STARTTLS, Security.IMPLICIT)
    yield from _hello(conn, may_fall_back=not needs_ehlo)
    if security in (Security.STARTTLS, Security.OPPORTUNISTIC) and conn.tls is None:
        yield from _start_tls(conn, required=security is Security.STARTTLS)
    if credentials is not None:
        yield from _authenticate(conn, credentials, policy)


def _greeting(conn: ClientConnection) -> Operation[None]:
    while True:
        match (yield from advance(conn, Stage.GREETING)):
            case Greeting(reply):
                if reply.is_positive:
                    return
                raise ServiceRefused(reply, Stage.GREETING)
            case Closed() as closed:
                raise ended(closed, Stage.GREETING)


def _hello(conn: ClientConnection, *, may_fall_back: bool) -> Operation[None]:
    lmtp = conn.config.lmtp
    name = conn.config.hello_name
    reply = yield from ask(conn, Hello(name, "LHLO" if lmtp else "EHLO"), Stage.HELLO)
    if reply.code in _NO_EHLO and may_fall_back and not lmtp and conn.tls is None:
        reply = yield from ask(conn, Hello(name, "HELO"), Stage.HELLO)
    if not reply.is_positive:
        raise ServiceRefused(reply, Stage.HELLO)


def _start_tls(conn: ClientConnection, *, required: bool) -> Operation[None]:
    if STARTTLS not in conn.extensions:
        if required:
            raise TlsRequired(None, Stage.TLS, "the server does not offer STARTTLS")
        return
    reply = yield from ask(conn, StartTls(), Stage.TLS)
    if reply.is_positive:
        yield from _shake_hands(conn)
        yield from _hello(conn, may_fall_back=False)
    elif required:
        raise TlsRequired(reply, Stage.TLS)


def _shake_hands(conn: ClientConnection) -> Operation[None]:
    while True:
        match (yield from advance(conn, Stage.TLS)):
            case Need.COMMAND:
                return
            case Closed() as closed:
                raise ended(closed, Stage.TLS)


def _authenticate(
    conn: ClientConnection, credentials: Credentials, policy: ChoicePolicy | None
) -> Operation[None]:
    """The strongest usable mechanism; another one only where the server would not do it."""
    if policy is None and conn.config.cleartext_authentication_without_verified_tls:
        policy = ChoicePolicy(cleartext_without_tls=True, cleartext_without_verification=True)
    refused: list[str] = []
    last: AuthenticationEnded | None = None
    while True:
        offered = conn.extensions.get(AUTH) or ()
        bindings = {} if conn.tls is None else conn.tls.bindings
        choice = choose_mechanism(
            offered,
            credentials,
            tls=conn.tls,
            bindings=bindings,
            refused=refused,
            policy=policy,
        )
        if isinstance(choice, NoMechanism):
            raise _authentication_failed(last, choice.reason)
        config = ClientMechanismConfig(
            host=conn.config.host,
            port=conn.config.port,
            bindings=bindings,
            binding_type=choice.binding_type,
            plus_offered=offers_plus(offered),
            preparation=conn.config.preparation,
        )
        try:
            mechanism = client_mechanism(choice.name, credentials, config)
        except SaslError as error:
            raise AuthenticationFailed(None, Stage.AUTHENTICATION, str(error)) from error
        end = yield from _exchange(conn, mechanism, credentials)
        if end.outcome is AuthenticationOutcome.SUCCEEDED:
            return
        if end.outcome is AuthenticationOutcome.UNANSWERED:
            raise (yield from _lost(conn))
        last = end
        if end.outcome not in _ANOTHER_MAY_DO or conn.state is State.CLOSED:
            raise _authentication_failed(end, end.outcome.value)
        refused.append(choice.name)


def _authentication_failed(end: AuthenticationEnded | None, otherwise: str) -> AuthenticationFailed:
    """What ended the last exchange, if there was one, and whose words say why."""
    if end is None:
        return AuthenticationFailed(None, Stage.AUTHENTICATION, otherwise)
    # The reply to a cancellation is no verdict of the server's.
    reply = None if end.objection else end.reply
    failed = AuthenticationFailed(reply, Stage.AUTHENTICATION, end.reason or otherwise)
    failed.__cause__ = end.exception
    return failed


def _lost(conn: ClientConnection) -> Operation[SessionError]:
    """The connection ended before the server's verdict: nothing is said of the credentials."""
    while True:
        match (yield from advance(conn, Stage.AUTHENTICATION)):
            case Closed() as closed:
                return ended(closed, Stage.AUTHENTICATION)


def _exchange(
    conn: ClientConnection, mechanism: ClientMechanism, credentials: Credentials
) -> Operation[AuthenticationEnded]:
    match credentials:
        case Password(username, _, authzid):
            conn.authenticate(mechanism, authcid=username, authzid=authzid)
        case BearerToken(username):
            conn.authenticate(mechanism, authcid=username)
        case ExternalIdentity(authzid):
            conn.authenticate(mechanism, authzid=authzid)
        case _:  # Anonymous: there are no others
            conn.authenticate(mechanism, authcid="anonymous")
    while True:
        match (yield from advance(conn, Stage.AUTHENTICATION)):
            case AuthenticationEnded() as end:  # comes before any other end
                return end


def quit(conn: ClientConnection) -> Operation[Reply | None]:
    """QUIT, and wait for its reply; None where none came. Nothing depends on it."""
    try:
        return (yield from ask(conn, Quit(), Stage.COMMAND))
    except (SessionError, LocalProtocolError):
        return None


def reset(conn: ClientConnection) -> Operation[Reply]:
    """RSET: forget the transaction; also a way to ask whether the server is still there."""
    return (yield from ask(conn, Rset(), Stage.COMMAND))


def verify(conn: ClientConnection, argument: str) -> Operation[Reply]:
    """VRFY: what the server says of a mailbox; 252 says nothing (RFC 5321 §3.5.3).

    A name beyond ASCII needs SMTPUTF8: ValueError without it.
    """
    smtputf8 = not argument.isascii() and SMTPUTF8 in conn.extensions
    return (yield from ask(conn, Vrfy(argument, smtputf8), Stage.COMMAND))
