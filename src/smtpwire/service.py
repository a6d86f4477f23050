"""A server's application as a class: a method for each question and for each piece of news.

Without I/O and without colour: the methods may be asynchronous under the adapters that await.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from math import inf
from typing import Final, TypeAlias, cast, final

from smtpwire.engine.events import (
    Authenticated,
    AuthenticationFailed,
    BodyChunk,
    Closed,
    CommandQuestion,
    Connected,
    EndOfMessage,
    Envelope,
    Identity,
    InvalidCommand,
    MessageAborted,
    Peer,
    ServerEvent,
)
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ProtocolViolation
from smtpwire.extensions import parameters
from smtpwire.extensions.atrn import Atrn
from smtpwire.extensions.burl import Burl
from smtpwire.extensions.etrn import Etrn
from smtpwire.extensions.xclient import XClient
from smtpwire.extensions.xforward import XForward
from smtpwire.operations.serve import Handler, Session, SessionFactory
from smtpwire.sasl.questions import (
    AnonymousLogin,
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    SecretRequest,
    TokenLogin,
)
from smtpwire.sasl.registry import family
from smtpwire.sasl.stored import DigestMD5Secret, PlainPassword, ScramSecret, StoredSecret
from smtpwire.wire.checked import checked, nearest, type_of
from smtpwire.wire.command import (
    Data,
    Expn,
    ExtensionCommand,
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
from smtpwire.wire.received import received_header, with_protocol
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, field, value

__all__ = [
    "Answer",
    "Application",
    "Message",
    "PlainHandler",
    "Service",
    "Session",
    "Supply",
    "Told",
    "session_factory",
]

Answer: TypeAlias = Reply | Sequence[Reply] | Awaitable[Reply | Sequence[Reply] | None] | None
"""What a question's method gives: a Reply; None for the engine's default answer; several Replies
where each recipient has its own (LMTP, PRDR). Under an adapter that awaits a coroutine will do."""

Supply: TypeAlias = StoredSecret | Reply | Awaitable[StoredSecret | Reply | None] | None
"""What ``secret()`` gives: what is stored for the user, None for nobody, a Reply 4yz or 5yz."""

Told: TypeAlias = Awaitable[None] | None
"""What the method of a piece of news gives: nothing, or a coroutine of it."""

_EVERY_FORM: Final = (ScramSecret, PlainPassword, DigestMD5Secret)
_NO_MAIL: Final = Reply(554, "No mail is taken here", "5.3.2")  # RFC 3463 §3.4
_LOGGED_IN: Final = Reply(235, "Authentication successful", "2.7.0")
_REPLIES: Final = tuple[Reply, ...]
_WHAT_IS_STORED: Final = (
    "return what is stored, as derive_scram(password) or PlainPassword(password), or None for"
    " nobody"
)


@final
@value
class Message:
    """A whole message, as ``Service.message()`` gets it, and how it came.

    content: header and body, with CRLF, dots unstuffed; b"" where ``chunk()`` has taken it.
    size: its octets. canonical: False where bare CR or LF may stand in it, so that it must not be
        sent on by DATA as it is (RFC 3030 §3).
    hello, peer, tls, identity: as the connection has them at the end of the message.
    envelope: the transaction, with the recipients that were accepted.
    """

    envelope: Envelope
    content: bytes = field(repr=False)
    size: int
    canonical: bool
    hello: Hello | None
    peer: Peer
    tls: TlsInfo | None
    identity: Identity | None

    def trace_header(self, *, by: str, timestamp: datetime, id: str = "") -> bytes:
        """The ``Received:`` field to put before the content, with its CRLF (RFC 5321 §4.4).

        by: this host's name. timestamp: with a time zone. id: of a queue, an atom or a message id.
        Raises ValueError for what cannot stand in it.
        """
        mail, hello, tls = self.envelope.mail, self.hello, self.tls
        name = self.peer.address if hello is None else hello.name
        verb = "" if hello is None else hello.verb
        protocol = with_protocol(
            lmtp=verb == "LHLO",
            extended=verb != "HELO",
            utf8=parameters.SMTPUTF8 in mail.parameters,
            tls=tls is not None,
            authenticated=self.identity is not None,
        )
        return received_header(
            from_name=name or "unknown",
            by=by,
            protocol=protocol,
            timestamp=timestamp,
            peer_address=self.peer.address,
            peer_name=self.peer.name,
            id=id,
            recipients=self.envelope.forward_paths,
            tls_cipher="" if tls is None else tls.cipher,
            priority=mail.parameters.get(parameters.MT_PRIORITY),
        )


class Service:
    """A server's application: override what you have an answer to, or want to hear of.

    Give the class to ``start_server()``, and each connection gets an instance of its own, made
    without arguments; or give an instance, and all connections share it. Each method gets the
    session (``session.conn`` is the engine, with ``peer``, ``identity``, ``tls``, ``envelope`` …)
    and the event. It may be ``async`` with asyncio and trio.

    A method that is not overridden costs nothing. A question without one has the engine's default
    answer: 250 to MAIL, for RCPT as ``ServerConfig.local_domains`` says, a refusal to every login.
    Where there is neither ``message()`` nor ``chunk()`` nor ``data()`` no mail is taken: DATA is
    answered 554.

    ``message()`` gets the whole message, collected up to ``Limits.message``. Who streams overrides
    ``chunk()``, and nothing is collected. What was aborted is dropped before ``aborted()`` is told,
    and never runs into the next message.

    With ``secret()`` alone users log in by every mechanism that the stored form allows: PLAIN and
    LOGIN verify against it, in the same time for a user who does not exist.

    A method that raises is logged with the peer, and each reply still owed is 451 (454 for
    credentials and STARTTLS); raised in ``chunk()`` it is the verdict on the message.

    A public method with the name of none here, but nearly, or that of a verb or an event (``ehlo``,
    ``end_of_message``), is a TypeError when the class is made; so is one that cannot take a session
    and an event. Name your own helpers otherwise, or begin them with an underscore. A test may set
    a method on an instance (``inbox.rcpt = lambda session, command: None``), or on the class,
    before a server is given it.
    """

    _methods: Mapping[type[ServerEvent], Callable[..., object]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, member in vars(cls).items():
            _check_member(cls.__name__, name, member)
        _check_bases(cls)
        cls._methods = _methods_of(cls)

    def __call__(self, session: Session, /) -> Handler:
        """The handler of a session's events: a Service is a session factory."""
        if not hasattr(session, "conn"):  # a factory has given the Service for the handler
            name = type(self).__name__
            raise TypeError(
                f"{name} is called with {type_of(session)}, and not with a session: return its"
                f" handler from a session factory, {name}(…)(session)"
            )
        return _attended(self, session)

    # -- questions: each is answered by what the method gives

    def connected(self, session: Session, question: Connected, /) -> Answer:
        """The greeting: 220, or a refusal (RFC 5321 §3.1)."""

    def hello(self, session: Session, command: Hello, /) -> Answer:
        """EHLO, HELO, LHLO."""

    def mail(self, session: Session, command: Mail, /) -> Answer:
        """MAIL: whether mail of this sender is taken.

        ``command.address`` is an Address, or None for the null reverse-path ``<>`` of a bounce.
        """

    def rcpt(self, session: Session, command: Rcpt, /) -> Answer:
        """RCPT: whether mail for this recipient is taken.

        ``command.address`` is an Address. None asks the default, by ``ServerConfig.local_domains``;
        a 250 takes the recipient whatever its domain, so give none unless mail for it is yours.
        Postmaster has to be taken (RFC 5321 §4.5.1): ``command.address.is_postmaster``.
        """

    def data(self, session: Session, command: Data, /) -> Answer:
        """DATA, or the first BDAT: 354 lets the message come, 4yz and 5yz do not."""

    def message(self, session: Session, message: Message, /) -> Answer:
        """The message is complete: 2yz takes responsibility for it (RFC 5321 §6.1).

        One Reply is for all recipients; in LMTP and PRDR several are one for each, in order.
        ``message`` is a ``smtpwire.service.Message``.
        """

    def starttls(self, session: Session, command: StartTls, /) -> Answer:
        """STARTTLS: 220, 454 or 5yz."""

    def vrfy(self, session: Session, command: Vrfy, /) -> Answer:
        """VRFY."""

    def expn(self, session: Session, command: Expn, /) -> Answer:
        """EXPN."""

    def etrn(self, session: Session, command: Etrn, /) -> Answer:
        """ETRN (RFC 1985)."""

    def atrn(self, session: Session, command: Atrn, /) -> Answer:
        """ATRN (RFC 2645): 250, and ``conn.reverse()`` gives the client."""

    def burl(self, session: Session, command: Burl, /) -> Answer:
        """BURL (RFC 4468)."""

    def xclient(self, session: Session, command: XClient, /) -> Answer:
        """XCLIENT."""

    def xforward(self, session: Session, command: XForward, /) -> Answer:
        """XFORWARD."""

    def extension_command(self, session: Session, command: ExtensionCommand, /) -> Answer:
        """A verb that you registered."""

    def password_login(self, session: Session, question: PasswordLogin, /) -> Answer:
        """PLAIN and LOGIN: 235 where name and password are right. ``secret()`` serves them too."""

    def token_login(self, session: Session, question: TokenLogin, /) -> Answer:
        """OAUTHBEARER and XOAUTH2: 235 where the token is good."""

    def external_login(self, session: Session, question: ExternalLogin, /) -> Answer:
        """EXTERNAL: 235 where the client's certificate (``session.conn.tls.peer``) proves it."""

    def anonymous_login(self, session: Session, question: AnonymousLogin, /) -> Answer:
        """ANONYMOUS: 235 where anybody may in."""

    def secret(self, session: Session, question: SecretRequest, /) -> Supply:
        """What is stored for ``question.authcid``; None where there is no such user.

        Where there is no ``password_login()`` this is asked for PLAIN and LOGIN, too.
        """

    def authorization(self, session: Session, question: AuthorizationRequest, /) -> Answer:
        """235 where ``authcid``, who has proved himself, may act as ``authzid``."""

    # -- news: nothing is to be answered

    def chunk(self, session: Session, chunk: BodyChunk, /) -> Answer:
        """Octets of the message, as they come. A Reply 4yz or 5yz is the verdict: no more come."""

    def aborted(self, session: Session, news: MessageAborted, /) -> Told:
        """The message that ``data()`` let come will not be complete."""

    def authenticated(self, session: Session, news: Authenticated, /) -> Told:
        """235 is queued: the session acts for this identity."""

    def authentication_failed(self, session: Session, news: AuthenticationFailed, /) -> Told:
        """An AUTH exchange failed, and why, for a log."""

    def invalid_command(self, session: Session, news: InvalidCommand, /) -> Told:
        """A line that was no acceptable command."""

    def violation(self, session: Session, news: ProtocolViolation, /) -> Told:
        """The peer attacks, or breaks the stream."""

    def rset(self, session: Session, command: Rset, /) -> Answer:
        """RSET. Where ``ServerConfig.asks`` has it a Reply answers it: 250; else it is news."""

    def noop(self, session: Session, command: Noop, /) -> Answer:
        """NOOP, as RSET; 4yz and 5yz refuse it."""

    def help(self, session: Session, command: Help, /) -> Answer:
        """HELP, as RSET: 2yz is help with ``command.topic``, 4yz and 5yz that there is none."""

    def quit(self, session: Session, command: Quit, /) -> Answer:
        """QUIT, as RSET: 221 ends the session."""

    def closed(self, session: Session, news: Closed, /) -> Told:
        """The end, once, whatever the cause; also where it comes before ``connected()``."""


_Methods: TypeAlias = Mapping[str, Callable[..., object]]

PlainHandler: TypeAlias = Callable[[Session, ServerEvent], Awaitable[None] | None]
"""A function of a session and an event, for all connections."""

Application: TypeAlias = SessionFactory | PlainHandler | Service | type[Service]
"""What ``start_server()`` takes: a Service, as a class (an instance for each connection) or as an
instance (for all of them); a session factory, called with the session of each connection, which
gives the handler of its events; or a plain handler, called with a session and an event. The last
two are told apart by how many arguments they must have: one or two."""


def session_factory(
    application: Application, config: ServerConfig, *, awaits: bool = True
) -> SessionFactory:
    """What an application is to the server's loop. ``awaits``: the adapter can await.

    Raises TypeError for what is no application, and for a Service with asynchronous methods where
    nothing awaits; ValueError where a Service collects messages that no limit bounds.
    """
    given: object = application
    if isinstance(given, type) and issubclass(given, Service):
        _check_service(given, config, awaits)
        if _arguments(given)[0]:
            raise TypeError(
                f"{given.__name__}() wants arguments: pass an instance, which all share, or"
                f" lambda session: {given.__name__}(…)(session)"
            )
        made = given
        return lambda session: made()(session)
    if isinstance(given, Service):
        _check_service(type(given), config, awaits, _own_methods(given))
        return given
    if not callable(given):
        raise TypeError(
            f"session is {type_of(given)}: pass a Service, a function of a session that returns its"
            " handler, or a handler of a session and an event"
        )
    least, most = _arguments(given)
    if least > 2 or most < 1:
        raise TypeError(
            f"session is {_called(given)}, which cannot take a session, or a session and an event:"
            " pass a Service, or a function of one or of two arguments"
        )
    if least == 2:
        handler = cast(PlainHandler, given)
        return lambda session: partial(handler, session)
    if _is_async(given):
        raise TypeError(
            "session is an async function of a session, which nobody awaits: make the handler at"
            " once, and wait in it, at Connected"
        )
    return cast(SessionFactory, given)


def _called(function: Callable[..., object]) -> str:
    return f"{getattr(function, '__name__', type_of(function))}()"


def _is_async(function: Callable[..., object]) -> bool:
    from inspect import iscoroutinefunction

    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


def _check_service(
    service: type[Service], config: ServerConfig, awaits: bool, own: _Methods | None = None
) -> None:
    """``own``: what an instance has in place of its class's methods."""
    service._methods = _methods_of(service)  # once more: a test may have put others there
    methods = _methods_of(service, own) if own else service._methods
    checked("config", config, ServerConfig)
    if not config.limits.message and EndOfMessage in methods and BodyChunk not in methods:
        raise ValueError(
            f"{service.__name__} collects messages, and Limits.message is 0, which is no limit:"
            " give one, or override chunk()"
        )
    if awaits:
        return
    from inspect import iscoroutinefunction

    for kind, name in _NAMES.items():
        method = (own or {}).get(name, getattr(service, name))
        if kind in methods and iscoroutinefunction(method):
            raise TypeError(f"{service.__name__}.{name}() is async: this adapter awaits nothing")


# -- how a class is read


_NAMES: Final[Mapping[type[ServerEvent], str]] = {
    Connected: "connected",
    Hello: "hello",
    Mail: "mail",
    Rcpt: "rcpt",
    Data: "data",
    EndOfMessage: "message",
    StartTls: "starttls",
    Vrfy: "vrfy",
    Expn: "expn",
    Etrn: "etrn",
    Atrn: "atrn",
    Burl: "burl",
    XClient: "xclient",
    XForward: "xforward",
    ExtensionCommand: "extension_command",
    PasswordLogin: "password_login",
    TokenLogin: "token_login",
    ExternalLogin: "external_login",
    AnonymousLogin: "anonymous_login",
    SecretRequest: "secret",
    AuthorizationRequest: "authorization",
    BodyChunk: "chunk",
    MessageAborted: "aborted",
    Authenticated: "authenticated",
    AuthenticationFailed: "authentication_failed",
    InvalidCommand: "invalid_command",
    ProtocolViolation: "violation",
    Rset: "rset",
    Noop: "noop",
    Help: "help",
    Quit: "quit",
    Closed: "closed",
}
_KNOWN: Final = frozenset(_NAMES.values())
_MAY_BE_ASKED: Final = (Help, Noop, Quit, Rset)
_PREFIXES: Final = ("handle_", "on_", "smtp_")


def _in_words(name: str) -> str:
    """``EndOfMessage`` as ``end_of_message``."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


_OTHER_NAMES: Final[Mapping[str, str]] = {
    "auth": "password_login",
    "ehlo": "hello",
    "helo": "hello",
    "lhlo": "hello",
    "login": "password_login",
    "sender": "mail",
    "recipient": "rcpt",
    "greeting": "connected",
    "disconnected": "closed",
    "connection_lost": "closed",
    "start_tls": "starttls",
    **{_in_words(kind.__name__): name for kind, name in _NAMES.items()},
}
"""What a method is called by who knows the verb, the event, or another library's word."""


def _check_member(service: str, name: str, member: object, takes: int = 3) -> None:
    """Raise TypeError for a method that would never be called, or could not be."""
    if name.startswith("_"):
        return
    if name in _KNOWN:
        if not callable(member):
            raise TypeError(f"{service}.{name} is {type_of(member)}: a method has this name")
        least, most = _arguments(member)
        if not least <= takes <= most:
            self_and = "self, " if takes == 3 else ""
            raise TypeError(f"{service}.{name}() takes {self_and}the session and the event")
        return
    if not callable(member):
        return
    lower = name.lower()
    for prefix in _PREFIXES:
        word = lower.removeprefix(prefix)
        known = word if word == lower else _OTHER_NAMES.get(word, word)
        if known in _KNOWN:
            raise TypeError(_meant(service, name, known))
    least, most = _arguments(member)
    if least <= 3 <= most and (near := _OTHER_NAMES.get(lower) or nearest(lower, _KNOWN)):
        raise TypeError(_meant(service, name, near))


def _check_bases(cls: type[Service]) -> None:
    """Raise TypeError for the methods of a class beside Service that could not be called."""
    for name in _KNOWN:
        owner, *others = [base for base in cls.__mro__ if name in vars(base)]
        beside = [base for base in others if not issubclass(base, Service)]
        if owner is Service and beside:
            base = beside[0].__name__
            raise TypeError(
                f"{base}.{name}() would never be called: in {cls.__name__}'s bases put {base}"
                " before Service"
            )
        if not issubclass(owner, Service):
            _check_member(owner.__name__, name, vars(owner)[name])


def _meant(service: str, name: str, known: str) -> str:
    return f"{service}.{name}() would never be called: did you mean {known!r}?"


def _arguments(function: Callable[..., object]) -> tuple[int, float]:
    """How many positional arguments it must have, and how many it may: none if not by position."""
    from inspect import Parameter, signature  # heavy, and for each class once

    try:
        given = list(signature(function).parameters.values())
    except (TypeError, ValueError):  # of some builtins
        return 0, inf
    if any(
        item.kind is Parameter.KEYWORD_ONLY and item.default is Parameter.empty for item in given
    ):
        return len(given), 0
    if any(item.kind is Parameter.VAR_POSITIONAL for item in given):
        return 0, inf
    positional = [
        item
        for item in given
        if item.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    least = [item for item in positional if item.default is Parameter.empty]
    return len(least), len(positional)


# -- what becomes of an event


def _attended(service: Service, session: Session) -> Handler:
    """The handler of one session: gives a Service its events, and the engine its answers."""
    own = {} if _KNOWN.isdisjoint(service.__dict__) else _own_methods(service)
    methods = _methods_of(type(service), own) if own else service._methods
    conn, streams = session.conn, BodyChunk in methods
    chunks: list[bytes] = []  # of the message that is open
    collect: Callable[[bytes], None] = chunks.append if EndOfMessage in methods else _drop
    method_for, reply = methods.get, conn.reply

    def handle(event: ServerEvent) -> Awaitable[None] | None:
        kind = type(event)
        if kind is BodyChunk and not streams:
            collect(cast(BodyChunk, event).data)
            return None
        method = method_for(kind)
        if kind is Data or kind is MessageAborted:
            chunks.clear()
        if method is None:
            if isinstance(event, Request):
                reply()
            return None
        given = _message(conn, event, chunks) if isinstance(event, EndOfMessage) else event
        answer = method(service, session, given)
        if answer is None:
            if conn.pending is event:  # the method has not answered by itself
                reply()
            return None
        if isinstance(answer, Awaitable):
            return _answer_later(conn, event, answer)
        _answer(conn, event, answer)
        return None

    return handle


def _drop(octets: bytes) -> None:
    """What comes of a message that no method gets: ``data()`` alone let it come."""


def _message(conn: ServerConnection, event: EndOfMessage, chunks: list[bytes]) -> Message:
    content = b"".join(chunks)
    chunks.clear()
    return Message(
        event.envelope,
        content,
        event.size,
        event.canonical,
        conn.hello,
        conn.peer,
        conn.tls,
        conn.identity,
    )


async def _answer_later(
    conn: ServerConnection, event: ServerEvent, answer: Awaitable[object]
) -> None:
    _answer(conn, event, await answer)


def _answer(conn: ServerConnection, event: ServerEvent, answer: object) -> None:
    """Hand on what a method gave. None is the engine's own, unless the method has answered."""
    if answer is None:
        if conn.pending is event:
            conn.reply()
    elif isinstance(event, BodyChunk) and isinstance(answer, Reply):
        conn.reply(answer)
    elif isinstance(event, SecretRequest) and isinstance(answer, StoredSecret):
        conn.supply(answer, to=event)
    elif not isinstance(event, Request):
        raise TypeError(_asked_nothing(event, answer))
    elif isinstance(answer, Reply):
        conn.reply(*[answer] * (conn.replies_owed or 1), to=event)
    else:
        conn.reply(*_replies(event, answer), to=event)


def _replies(event: ServerEvent, answer: object) -> tuple[Reply, ...]:
    """Several replies, one for each recipient; TypeError and ValueError for what is none."""
    name = _method_of(event)
    if isinstance(event, SecretRequest):
        raise TypeError(f"{name} returned {type_of(answer)}: {_WHAT_IS_STORED}")
    try:
        replies = checked(name, cast(tuple[Reply, ...], answer), _REPLIES)
    except TypeError:
        raise TypeError(
            f"{name} returned {type_of(answer)}: return a Reply, as Reply(550), None for the"
            " default answer, or a tuple of Reply, one for each recipient"
        ) from None
    if not replies:  # by which reply() would say the engine's own, a 250
        raise ValueError(f"{name} returned no reply: return None to accept")
    return replies


def _method_of(event: ServerEvent) -> str:
    """The method that an event is for, as an error names it."""
    meant = event.command if isinstance(event, CommandQuestion) else event
    return f"{_NAMES[type(meant)]}()"


def _asked_nothing(event: ServerEvent, answer: object) -> str:
    text = f"{_method_of(event)} returned {type_of(answer)}: return None, for nothing is asked"
    if isinstance(event, _MAY_BE_ASKED):
        text += f" unless ServerConfig.asks has {event.verb!r}"
    return text


# -- what a class has without its own method


def _verified(service: Service, session: Session, question: PasswordLogin) -> Answer:
    """PLAIN and LOGIN by ``secret()``."""
    realm = session.conn.config.realm
    asked = SecretRequest(question.mechanism, question.authcid, realm, _EVERY_FORM)
    found = service.secret(session, asked)
    if isinstance(found, Awaitable):
        return _verified_later(session, question, found)
    return _verdict(session, question, found)


async def _verified_later(
    session: Session, question: PasswordLogin, found: Awaitable[StoredSecret | Reply | None]
) -> Reply | None:
    return _verdict(session, question, await found)


def _verdict(
    session: Session, question: PasswordLogin, found: StoredSecret | Reply | None
) -> Reply | None:
    if isinstance(found, Reply):
        return found
    if not isinstance(found, StoredSecret | None):
        raise TypeError(f"secret() returned {type_of(found)}: {_WHAT_IS_STORED}")
    from smtpwire.sasl.derive import DEFAULT_SCRAM, verify  # loads hashes

    config = session.conn.config
    salted = [name for name in config.mechanisms if family(name).salted]
    right = verify(
        found,
        question.password,
        username=question.authcid,
        preparation=config.preparation,
        mechanism=salted[0].removesuffix("-PLUS") if salted else DEFAULT_SCRAM,
        iterations=config.scram_iterations,
    )
    return _LOGGED_IN if right else None


def _command_asked(service: Service, session: Session, question: CommandQuestion) -> object:
    """HELP, NOOP, QUIT and RSET by the method that is told of them, too."""
    command = question.command
    answer: object = getattr(service, _NAMES[type(command)])(session, command)
    return answer


def _no_mail(service: Service, session: Session, command: Data) -> Reply:
    return _NO_MAIL


def _own_methods(service: Service) -> _Methods:
    """The methods that an instance has in place of its class's, by name, as tests put them there.

    Raises TypeError for what could not be called.
    """
    own = {name: member for name, member in vars(service).items() if name in _KNOWN}
    for name, member in own.items():
        _check_member(type(service).__name__, name, member, takes=2)
    return own


def _methods_of(
    cls: type[Service], own: _Methods | None = None
) -> dict[type[ServerEvent], Callable[..., object]]:
    """What is called for each kind of event, nothing for most; ``own``: those of an instance."""
    found: dict[type[ServerEvent], Callable[..., object]] = {
        kind: method
        for kind, name in _NAMES.items()
        if (method := getattr(cls, name)) is not getattr(Service, name)
    }
    for kind, name in _NAMES.items():
        if own and name in own:
            found[kind] = _without_self(own[name])
    if SecretRequest in found:
        found.setdefault(PasswordLogin, _verified)
    if any(kind in found for kind in _MAY_BE_ASKED):
        found[CommandQuestion] = _command_asked
    if not (EndOfMessage in found or BodyChunk in found):
        found.setdefault(Data, _no_mail)
    return found


def _without_self(function: Callable[..., object]) -> Callable[..., object]:
    return lambda service, session, given: function(session, given)


Service._methods = _methods_of(Service)
