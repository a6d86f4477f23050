"""The operations of a session: opening it, ending it, and the small ones between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import AuthenticationEnded, AuthenticationOutcome, EndOfData, Greeting
from smtpwire.engine.need import NEED_TLS, Need
from smtpwire.engine.security import Security
from smtpwire.engine.state import State
from smtpwire.extensions import AUTH, SMTPUTF8, STARTTLS
from smtpwire.operations.operation import (
    LoginFailed,
    Operation,
    ServiceRefused,
    SessionError,
    Stage,
    TlsRequired,
    advance,
    alone,
    ask,
    lost,
    not_open,
    reset_session,
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
from smtpwire.wire.checked import checked
from smtpwire.wire.command import Auth, Bdat, Command, Data, Hello, Quit, StartTls, Vrfy
from smtpwire.wire.reply import Reply

__all__ = ["authenticate", "command", "open_session", "quit", "reset", "verify"]

_ANOTHER_MAY_DO: Final = (AuthenticationOutcome.MECHANISM_REFUSED, AuthenticationOutcome.OBJECTED)
_POLICY: Final = ChoicePolicy | None
_CREDENTIALS: Final = Credentials | None
_LOOPBACK: Final = "[127.0.0.1]"
_NO_EHLO: Final = (500, 502)  # RFC 5321 §4.1.4: try HELO
_OTHER_PROTOCOL: Final = {
    False: "is it LMTP there? ClientConfig(lmtp=True) speaks it",
    True: "it does not know LHLO; is it SMTP there, without ClientConfig(lmtp=True)?",
}
"""Why a verb may be unknown: RFC 2033 §4.1."""


def open_session(
    conn: ClientConnection,
    credentials: Credentials | None = None,
    *,
    policy: ChoicePolicy | None = None,
) -> Operation[None]:
    """Greeting, EHLO, TLS as ``ClientConfig.security`` says, EHLO again, authentication.

    HELO is tried only after 500 or 502, and never in LMTP, under TLS, or where TLS or
    ``credentials`` are asked for. Of the mechanisms offered the strongest usable one is taken;
    ``policy`` names exceptions. A session that stands between transactions is gone on with: only
    what is missing is done. Raises SessionError; LocalProtocolError where a transaction is open;
    TypeError for a value that is not credentials.
    """
    credentials = checked("credentials", credentials, _CREDENTIALS)
    policy = checked("policy", policy, _POLICY)
    return alone(conn, _open_session(conn, credentials, policy))


def _open_session(
    conn: ClientConnection, credentials: Credentials | None, policy: ChoicePolicy | None
) -> Operation[None]:
    if _state(conn) is State.GREETING:
        yield from _greeting(conn)
    security = conn.config.security
    needs_ehlo = credentials is not None or security in (Security.STARTTLS, Security.IMPLICIT)
    if _state(conn) is State.HELLO:
        yield from _hello(conn, may_fall_back=not needs_ehlo)
    _check_ready(conn)
    if security in (Security.STARTTLS, Security.OPPORTUNISTIC) and conn.tls is None:
        yield from _start_tls(conn, required=security is Security.STARTTLS)
    if credentials is not None:
        yield from _authenticate(conn, credentials, policy)


def authenticate(
    conn: ClientConnection, credentials: Credentials, *, policy: ChoicePolicy | None = None
) -> Operation[None]:
    """Log in on an open session: after a refused login, with other credentials, once more.

    A server gives a few tries on one connection (RFC 4954 §9: at least three), then ends it.
    Raises LoginFailed, and ConnectionLost; LocalProtocolError where no session is open, a
    transaction is, or somebody is logged in; TypeError for a value that is not credentials.
    """
    credentials = checked("credentials", credentials, Credentials)
    policy = checked("policy", policy, _POLICY)
    return alone(conn, _authenticate(conn, credentials, policy))


def _state(conn: ClientConnection) -> State:
    """Where it is now: it has moved since it was looked at last."""
    return conn.state


def _check_ready(conn: ClientConnection) -> None:
    if conn.closed is not None:
        raise lost(conn, Stage.COMMAND)
    if conn.state is not State.READY:
        raise not_open(conn)


def _greeting(conn: ClientConnection) -> Operation[None]:
    """RFC 5321 §3.1. In this state nothing else can be first, but the end."""
    while True:
        match (yield from advance(conn, Stage.GREETING)):
            case Greeting(reply):
                if reply.is_positive:
                    return
                raise ServiceRefused(reply, Stage.GREETING)
            case _:
                pass


def _hello(conn: ClientConnection, *, may_fall_back: bool) -> Operation[None]:
    lmtp = conn.config.lmtp
    name = conn.config.hello_name or _LOOPBACK
    reply = yield from ask(conn, Hello(name, "LHLO" if lmtp else "EHLO"), Stage.HELLO)
    if reply.code in _NO_EHLO and may_fall_back and not lmtp and conn.tls is None:
        reply = yield from ask(conn, Hello(name, "HELO"), Stage.HELLO)
    if not reply.is_positive:
        unknown = reply.code in _NO_EHLO
        raise ServiceRefused(reply, Stage.HELLO, _OTHER_PROTOCOL[lmtp] if unknown else "")


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
    while _state(conn) is State.TLS:
        yield NEED_TLS
    if conn.closed is not None:
        raise lost(conn, Stage.TLS)


def _authenticate(
    conn: ClientConnection, credentials: Credentials, policy: ChoicePolicy | None
) -> Operation[None]:
    """The strongest usable mechanism; another one only where the server would not do it."""
    _check_ready(conn)
    if conn.identity is not None:
        raise LocalProtocolError("already authenticated (RFC 4954 §4)")
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
            raise _authentication_failed(last, choice.reason + _what_tls_would_do(conn))
        config = ClientMechanismConfig(
            host=conn.config.host.removesuffix("."),  # DNS's end dot is no part of a name in SASL
            port=conn.config.port,
            bindings=bindings,
            binding_type=choice.binding_type,
            plus_offered=offers_plus(offered),
            preparation=conn.config.preparation,
        )
        try:
            mechanism = client_mechanism(choice.name, credentials, config)
        except SaslError as error:
            raise LoginFailed(None, Stage.AUTHENTICATION, str(error)) from error
        end = yield from _exchange(conn, mechanism, credentials)
        if end.outcome is AuthenticationOutcome.SUCCEEDED:
            return
        if end.outcome is AuthenticationOutcome.UNANSWERED:
            raise lost(conn, Stage.AUTHENTICATION)  # nothing is said of the credentials
        last = end
        if end.outcome not in _ANOTHER_MAY_DO or conn.state is State.CLOSED:
            raise _authentication_failed(end, end.outcome.value)
        refused.append(choice.name)


def _what_tls_would_do(conn: ClientConnection) -> str:
    """Without it a server offers few mechanisms, and a client uses few (RFC 4954 §4)."""
    if conn.tls is not None or STARTTLS not in conn.extensions:
        return ""
    return "; it offers STARTTLS: ClientConfig(security=Security.STARTTLS) asks for it"


def _authentication_failed(end: AuthenticationEnded | None, otherwise: str) -> LoginFailed:
    """What ended the last exchange, if there was one, and whose words say why."""
    if end is None:
        return LoginFailed(None, Stage.AUTHENTICATION, otherwise)
    # The reply to a cancellation is no verdict of the server's.
    reply = None if end.objection else end.reply
    failed = LoginFailed(reply, Stage.AUTHENTICATION, end.reason or otherwise, end.outcome)
    failed.__cause__ = end.exception
    return failed


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
            case Need.COMMAND | Need.BODY:
                conn.abort("nobody answers the mechanism")
                reason = f"{mechanism.name} waits for an answer that no operation can give"
                raise LoginFailed(None, Stage.AUTHENTICATION, reason)
            case _:
                pass


def quit(conn: ClientConnection) -> Operation[Reply | None]:
    """QUIT, and wait for its reply; None where none came. Nothing depends on it."""
    return alone(conn, _quit(conn))


def _quit(conn: ClientConnection) -> Operation[Reply | None]:
    try:
        return (yield from ask(conn, Quit(), Stage.COMMAND))
    except (SessionError, LocalProtocolError):
        return None


def reset(conn: ClientConnection) -> Operation[Reply]:
    """RSET: forget the transaction; also a way to ask whether the server is still there.

    A refused one ends the connection: what it was to end stays open for ever.
    """
    return alone(conn, reset_session(conn))


def verify(conn: ClientConnection, argument: str) -> Operation[Reply]:
    """VRFY: what the server says of a mailbox; 252 says nothing (RFC 5321 §3.5.3).

    A name beyond ASCII needs SMTPUTF8. Raises UnwritableError without it, and for a name that no
    line can carry.
    """
    argument = checked("argument", argument, str)
    conn = checked("conn", conn, ClientConnection)
    smtputf8 = not argument.isascii() and SMTPUTF8 in conn.extensions
    return alone(conn, ask(conn, Vrfy(argument, smtputf8), Stage.COMMAND))


def command(conn: ClientConnection, command: Command) -> Operation[Reply]:
    """Send a command of your own making, and wait for its reply: ``Noop()``, ``Expn("list")``, a
    verb that you registered.

    Raises LocalProtocolError where the command is out of order, nothing having been sent; TypeError
    for what is no command, and for one with which more begins than a reply: those have operations.
    """
    command = checked("command", command, Command)
    for kind, operation in _MORE_THAN_A_REPLY.items():
        if isinstance(command, kind):
            raise TypeError(f"{kind.__name__} is no command by itself: use {operation}()")
    return alone(conn, ask(conn, command))


_MORE_THAN_A_REPLY: Final[Mapping[type[Command], str]] = {
    Auth: "authenticate",
    StartTls: "open_session",
    Data: "send_mail",
    Bdat: "send_mail",
    EndOfData: "send_mail",
}
