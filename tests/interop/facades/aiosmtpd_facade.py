"""aiosmtpd's SMTP and LMTP, and smtpwire's asyncio server in them.

The protocol that aiosmtpd's controllers make for each connection, with its constructor and its
hooks; what reads, decides what is legal, frames and answers is the engine. Controllers, handlers
and values are aiosmtpd's own: they meet the server only through what stands here.
"""

import asyncio
import inspect
import re
import socket
import ssl
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final
from warnings import warn

from aiosmtpd.smtp import (
    DATA_SIZE_DEFAULT,
    MISSING,
    AuthResult,
    Envelope,
    LoginPassword,
    Session,
    TLSSetupException,
    __ident__,
    log,
    login_always_fail,
    make_loop,
)

from smtpwire.adapters.asyncio import ServerProtocol
from smtpwire.adapters.session import Handler
from smtpwire.adapters.session import Session as Connection
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    BodyChunk,
    Closed,
    CloseReason,
    CommandQuestion,
    Connected,
    EndOfMessage,
    ServerEvent,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.timeouts import Timeouts
from smtpwire.extensions import (
    EIGHTBITMIME,
    HELP,
    REGISTRY,
    SIZE,
    SMTPUTF8,
    Extension,
    Offered,
    Profile,
    flag,
    no_parameter,
)
from smtpwire.extensions import parameters as p
from smtpwire.sasl import PasswordLogin
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    Data,
    Expn,
    Hello,
    Help,
    Leniency,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

from .coroutine_mechanism import CoroutineMechanism, challenge
from .statuses import as_reply

__all__ = ["LMTP", "SMTP"]

_LENIENT: Final = Leniency(
    blank_after_colon=True, missing_brackets=True, odd_hello_names=True, odd_addresses=True
)
_ANYBODY: Final = frozenset({"0.0.0.0/0", "::/0"})
_GOOD: Final = Reply(235, "2.7.0 Authentication successful")
_BAD: Final = Reply(535, "5.7.8 Authentication credentials invalid")
_WORDING: Final = {
    ReplyKind.TOO_LARGE: Reply(552, "Error: Too much mail data"),
    ReplyKind.AUTH_REQUIRED: Reply(530, "5.7.0 Authentication required"),
}
VERBS_OF_METHODS: Final = (
    *("HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "RSET", "VRFY", "EXPN"),
    *("HELP", "QUIT", "AUTH", "STARTTLS"),
)
_SYNTAX: Final = {
    "AUTH": "AUTH <mechanism>",
    "DATA": "DATA",
    "EHLO": "EHLO hostname",
    "HELO": "HELO hostname",
    "HELP": "HELP [command]",
    "MAIL": "MAIL FROM: <address> [SP <mail-parameters>]",
    "NOOP": "NOOP [ignored]",
    "QUIT": "QUIT",
    "RCPT": "RCPT TO: <address> [SP <mail-parameters>]",
    "RSET": "RSET",
    "VRFY": "VRFY <address>",
}
_INSECURE: Final = Reply(554, "Command refused due to lack of security")


class SMTP(asyncio.Protocol):
    """One connection: the engine's protocol below it, aiosmtpd's hooks above."""

    profile = Profile.RELAY
    local_part_limit = 0
    AuthLoginUsernameChallenge = "User Name\x00"
    AuthLoginPasswordChallenge = "Password\x00"

    def __init__(
        self,
        handler: Any,
        *,
        data_size_limit: int | None = DATA_SIZE_DEFAULT,
        enable_SMTPUTF8: bool = False,  # noqa: N803 - aiosmtpd's name
        decode_data: bool = False,
        hostname: str | None = None,
        ident: str | None = None,
        tls_context: ssl.SSLContext | None = None,
        require_starttls: bool = False,
        timeout: float = 300,
        auth_required: bool = False,
        auth_require_tls: bool = True,
        auth_exclude_mechanism: Iterable[str] | None = None,
        auth_callback: Callable[[str, bytes, bytes], bool] | None = None,
        command_call_limit: int | dict[str, int] | None = None,
        authenticator: Callable[..., AuthResult] | None = None,
        proxy_protocol_timeout: float | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.__ident__ = ident or __ident__
        self.loop = loop or make_loop()
        self.event_handler = handler
        assert data_size_limit is None or isinstance(data_size_limit, int)
        self.data_size_limit = data_size_limit
        self.enable_SMTPUTF8 = enable_SMTPUTF8
        self.hostname = hostname or socket.getfqdn()
        self.tls_context = tls_context
        _warn_of(tls_context)
        self.require_starttls = tls_context is not None and require_starttls
        self.session: Any = None
        self.envelope: Any = None
        self.transport: asyncio.BaseTransport | None = None
        self._decode_data = decode_data
        self._auth_required, self._auth_require_tls = auth_required, auth_require_tls
        if auth_required and not auth_require_tls:
            warn(
                "Requiring AUTH while not requiring TLS can lead to security vulnerabilities!",
                stacklevel=2,
            )
            log.warning("auth_required == True but auth_require_tls == False")
        if proxy_protocol_timeout is not None and proxy_protocol_timeout <= 0:
            raise ValueError("proxy_protocol_timeout must be > 0")
        self._proxied = proxy_protocol_timeout is not None
        self._authenticator = authenticator
        self._auth_callback = auth_callback or login_always_fail
        self._call_limits = _call_limits(command_call_limit)
        self._call_limit_default = (self._call_limits or {}).get("*", 0)
        self._auth_methods = self._find_auth_methods(auth_exclude_mechanism or ())
        self._handle_hooks: dict[str, Callable[..., Any]] = _named(handler, "handle_")
        self._ehlo_parameters = self._count_ehlo_parameters()
        self._config = self._configure(timeout)
        self._pushed: list[str] = []
        self._verdict = _BAD
        self._content: list[bytes] = []
        self._secure: bool | None = None  # what handle_STARTTLS says of the layer
        self._set_rset_state()

    # -- how it is configured

    def _find_auth_methods(self, without: Iterable[str]) -> dict[str, Callable[..., Any]]:
        found: dict[str, Callable[..., Any]] = {}
        for owner in (self, self.event_handler):
            for name, method in _named(owner, "auth_").items():
                actual = getattr(method, "__auth_mechanism_name__", name.replace("__", "-"))
                found[actual.upper()] = method
        for name in without:
            found.pop(name, None)
        words = [
            name + "(builtin)" * (getattr(method, "__func__", None) in _BUILTIN)
            for name, method in sorted(found.items())
        ]
        log.info("Available AUTH mechanisms: %s", " ".join(words))
        return found

    def _count_ehlo_parameters(self) -> int:
        hook = self._handle_hooks.get("EHLO")
        if hook is None:
            return 0
        count = len(inspect.signature(hook).parameters)
        if count == 4:
            warn(
                "Use the 5-argument handle_EHLO() hook instead of the 4-argument handle_EHLO()"
                " hook; support for the 4-argument handle_EHLO() hook will be removed in"
                " version 2.0",
                DeprecationWarning,
                stacklevel=2,
            )
        elif count != 5:
            raise RuntimeError("Unsupported EHLO Hook")
        return count

    def _configure(self, timeout: float) -> ServerConfig:
        mechanisms = {
            name: partial(self._mechanism, name, method)
            for name, method in self._auth_methods.items()
        }
        return ServerConfig(
            host=self.hostname,
            profile=self.profile,
            offer=tuple(self._always_offered()),
            limits=Limits(message=self.data_size_limit or 0),
            timeouts=Timeouts.all(timeout),
            leniency=_LENIENT,
            replies=_WORDING,
            asks=frozenset(("HELP", "NOOP", "QUIT", "RSET")),
            starttls=self.tls_context is not None,
            require_tls=self.require_starttls,
            require_auth=self._auth_required,
            mechanisms=tuple(mechanisms),
            custom_mechanisms=mechanisms,
            cleartext_without_tls=not self._auth_require_tls,
            proxy=_ANYBODY if self._proxied else frozenset(),
        )

    def _always_offered(self) -> Iterable[Extension[bool]]:
        if not self._decode_data or self.enable_SMTPUTF8:  # RFC 6531 §3.1: never without it
            yield EIGHTBITMIME
        if self.enable_SMTPUTF8:
            yield SMTPUTF8
        yield HELP

    # -- asyncio's protocol: the engine's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.session = self._create_session()
        self.session.peer = transport.get_extra_info("peername")
        log.info("Peer: %r", self.session.peer)
        tls = None if self.tls_context is None else TlsConfig(self.tls_context)
        self._below = ServerProtocol(self._begin, self._config, tls)
        self._below.connection_made(transport)
        self._staying = self.loop.create_task(self._stay())

    async def _stay(self) -> None:
        """A controller that stops cancels every task: its connections end by that."""
        try:
            await self.loop.create_future()
        finally:
            if self.transport is not None:
                self._below.cut()

    def data_received(self, data: bytes) -> None:
        self._below.data_received(data)

    def eof_received(self) -> bool:
        log.info("%r EOF received", self.session.peer)
        return self._below.eof_received()

    def pause_writing(self) -> None:
        self._below.pause_writing()

    def resume_writing(self) -> None:
        self._below.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        log.info("%r connection lost", self.session.peer)
        self._below.connection_lost(error)
        self.transport = None
        self._staying.cancel()

    # -- the session

    def _begin(self, connection: Connection) -> Handler:
        self._connection = connection
        return self._handle

    def _handle(self, event: ServerEvent) -> Awaitable[None] | None:
        if isinstance(event, Closed) and event.reason is not CloseReason.TLS_FAILED:
            return None  # the loop may be at its end, too
        heard = isinstance(event, Request) or type(event) in _ANSWERS
        return self._attend(event) if heard else None

    async def _attend(self, event: ServerEvent) -> None:
        asked = event.command if isinstance(event, CommandQuestion) else event
        try:
            reply = await self._answer(asked)
        except ConnectionResetError:
            log.info("%r Connection lost during _handle_client()", self.session.peer)
            self._connection.close()
            return
        except Exception as error:
            reply = await self._trouble(error)
        if isinstance(event, Request) and self._connection.conn.pending is event:
            self._reply(reply)

    def _reply(self, reply: Reply | None) -> None:
        conn = self._connection.conn
        hello = isinstance(conn.pending, Hello) and conn.pending.verb != "HELO"
        if hello and reply is not None and reply.code == 250:
            conn.offer(*map(_offered, filter(_KEYWORD.match, reply.lines[1:])))
        answers = () if reply is None else (reply,) * conn.replies_owed
        try:
            conn.reply(*answers)
        except LocalProtocolError as error:
            log.warning("%r %r: %s", self.session.peer, reply, error)
            trouble = Reply(451, "Local error in processing")
            can_refuse = not isinstance(conn.pending, CommandQuestion)
            conn.reply(*[trouble] * conn.replies_owed if can_refuse else ())

    async def _answer(self, event: ServerEvent) -> Reply | None:
        if refusal := self._refusal(event):
            return refusal
        own = self._own_method(event)
        if own is not None:
            reply = await self._say(own(_argument(event)))
            if reply is not None or self._connection.conn.pending is None:
                return reply
        answer = _ANSWERS.get(type(event))
        return None if answer is None else await answer(self, event)

    def _own_method(self, event: ServerEvent) -> Callable[[str], Awaitable[Any]] | None:
        """What a subclass has in place of ours, for a command that is a question."""
        name = f"smtp_{getattr(event, 'verb', '')}"
        method = getattr(type(self), name, None)
        if not isinstance(event, _OVERRIDDEN) or method in (None, SMTP.smtp_NOOP):
            return None
        found: Callable[[str], Awaitable[Any]] = getattr(self, name)
        return found

    async def smtp_NOOP(self, argument: str) -> Any:
        """Where a subclass calls what it overrides: the engine answers by itself."""
        return MISSING

    def _refusal(self, event: ServerEvent) -> Reply | None:
        """What aiosmtpd refuses before it looks at a command."""
        if self._connection.conn.tls is not None and self._secure is None:
            self._note_tls()
        if isinstance(event, Request | Noop | Help) and self._secure is False:
            return _INSECURE
        return self._over_limit(event)

    def _over_limit(self, event: ServerEvent) -> Reply | None:
        verb = getattr(event, "verb", "")
        if self._call_limits is None or not verb:
            return None
        left = self._call_limits.setdefault(verb, self._call_limit_default)
        if left < 1:
            log.warning("%r over limit for %s", self.session.peer, verb)
            return Reply(421, f"4.7.0 {verb} sent too many times")
        self._call_limits[verb] = left - 1
        return None

    def _note_tls(self) -> None:
        session = self._create_session()
        session.peer = self.session.peer
        self.session = session
        self._set_rset_state()
        conn = self._connection.conn
        session.ssl = {"tls": conn.tls}
        hook = self._handle_hooks.get("STARTTLS")
        self._secure = hook is None or bool(hook(self, session, self.envelope))

    async def _trouble(self, error: Exception) -> Reply:
        try:
            return as_reply(await self.handle_exception(error))
        except Exception as inner:
            log.exception("%r Exception in handle_exception()", self.session.peer)
            try:
                return Reply(500, f"Error: ({type(inner).__name__}) {inner}")
            except Exception:
                return Reply(500, "Error: Cannot describe error")

    async def handle_exception(self, error: Exception) -> object:
        """What is answered where a hook has raised."""
        if hasattr(self.event_handler, "handle_exception"):
            return await self.event_handler.handle_exception(error)
        log.exception("%r SMTP session exception", self.session.peer)
        return f"500 Error: ({type(error).__name__}) {error}"

    async def push(self, status: str | bytes) -> None:
        """What a hook says itself: it is the answer to what is asked."""
        text = status.decode() if isinstance(status, bytes) else status
        if self._connection.conn.pending is None:
            self._pushed.append(text)  # in an exchange of AUTH: its verdict is asked for later
            return
        self._reply(as_reply(text))
        self._below.flush()

    async def _call_handler_hook(self, command: str, *arguments: object) -> Any:
        hook = self._handle_hooks.get(command)
        if hook is None:
            return MISSING
        return await hook(self, self.session, self.envelope, *arguments)

    async def _ask(self, command: str, *arguments: object) -> Reply | None:
        """What the hook says; None where there is none, or it leaves the answer to us."""
        return await self._say(self._call_handler_hook(command, *arguments))

    async def _say(self, hook: Awaitable[Any]) -> Reply | None:
        status = await hook
        return None if status is MISSING or status is None else as_reply(status)

    def _create_session(self) -> Session:
        return Session(self.loop)

    def _create_envelope(self) -> Envelope:
        return Envelope()

    def _set_rset_state(self) -> None:
        self.envelope = self._create_envelope()

    def _set_post_data_state(self) -> None:
        self.envelope = self._create_envelope()

    # -- each question

    async def _greet(self, event: Connected) -> Reply | None:
        header = event.peer.proxy
        if header is not None:
            self.session.proxy_data = header
            if not await self._call_handler_hook("PROXY", header):
                return Reply(554, "Not through this proxy")
        return Reply(220, f"{self.hostname} {self.__ident__}")

    async def _hello(self, event: Hello) -> Reply | None:
        self._set_rset_state()
        self.session.extended_smtp = event.verb != "HELO"
        if event.verb == "HELO":
            reply = await self._ask("HELO", event.name)
            if reply is None:
                self.session.host_name = event.name
            return reply
        if hasattr(self, "ehlo_hook"):
            warn(
                "Use handler.handle_EHLO() instead of .ehlo_hook()",
                DeprecationWarning,
                stacklevel=2,
            )
            await self.ehlo_hook()
        lines = list(self._offered_lines())
        if self._ehlo_parameters == 0:
            self.session.host_name = event.name
        elif self._ehlo_parameters == 4:
            lines += as_reply(await self._call_handler_hook("EHLO", event.name)).lines
        else:
            said = [f"250-{self.hostname}", *(f"250-{line}" for line in lines)]
            said[-1] = said[-1].replace("-", " ", 1)
            return as_reply("\n".join(await self._call_handler_hook("EHLO", event.name, said)))
        return Reply(250, "\n".join([self.hostname, *lines]))

    @property
    def _tls_protocol(self) -> object:
        """What is there under TLS only."""
        return self._connection.conn.tls

    def _offered_lines(self) -> Iterable[str]:
        tls = self._connection.conn.tls is not None
        if self.data_size_limit:
            yield SIZE(self.data_size_limit).line
        yield from (entry(True).line for entry in self._always_offered() if entry is not HELP)
        if self.tls_context is not None and not tls:
            yield "STARTTLS"
        if tls or not self._auth_require_tls:
            yield "AUTH " + " ".join(sorted(self._auth_methods))
        yield "HELP"

    async def _mail(self, event: Mail) -> Reply | None:
        address = "<>" if event.address is None else _written(event.address)
        options = _options(event.parameters)
        self.envelope.smtp_utf8 = p.SMTPUTF8 in event.parameters
        reply = await self._ask("MAIL", address, options)
        if reply is None:
            self.envelope.mail_from = address
            self.envelope.mail_options.extend(options)
            reply = Reply(250, "OK")
        log.info("%r sender: %s", self.session.peer, address)
        return reply

    async def _rcpt(self, event: Rcpt) -> Reply | None:
        address, options = _written(event.address), _options(event.parameters)
        reply = await self._ask("RCPT", address, options)
        if reply is None:
            self.envelope.rcpt_tos.append(address)
            self.envelope.rcpt_options.extend(options)
            reply = Reply(250, "OK")
        log.info("%r recip: %s", self.session.peer, address)
        return reply

    async def _data(self, event: Data) -> Reply | None:
        self._content.clear()
        return None

    async def _chunk(self, event: BodyChunk) -> Reply | None:
        self._content.append(event.data)
        return None

    async def _message(self, event: EndOfMessage) -> Reply | None:
        original = b"".join(self._content)
        try:
            self.envelope.content = self._decoded(original)
        except UnicodeDecodeError:
            return Reply(500, "Error: strict ASCII mode")
        self.envelope.original_content = original
        try:
            return await self._deliver() or Reply(250, "OK")
        finally:
            self._set_post_data_state()

    def _decoded(self, content: bytes) -> str | bytes:
        if not self._decode_data:
            return content
        if self.enable_SMTPUTF8:
            return content.decode("utf-8", errors="surrogateescape")
        return content.decode("ascii")

    async def _deliver(self) -> Reply | None:
        process = getattr(self.event_handler, "process_message", None)
        if "DATA" in self._handle_hooks or process is None:
            return await self._ask("DATA")
        warn(
            "Use handler.handle_DATA() instead of .process_message()",
            DeprecationWarning,
            stacklevel=2,
        )
        envelope = self.envelope
        status = process(self.session.peer, envelope.mail_from, envelope.rcpt_tos, envelope.content)
        if inspect.isawaitable(status):
            status = await status
        return None if status is None or status is MISSING else as_reply(status)

    async def _verify(self, event: Vrfy) -> Reply | None:
        return await self._ask("VRFY", event.argument.removeprefix("<").removesuffix(">"))

    async def _reset(self, event: Rset) -> Reply | None:
        self._set_rset_state()
        if hasattr(self, "rset_hook"):
            warn(
                "Use handler.handle_RSET() instead of .rset_hook()",
                DeprecationWarning,
                stacklevel=2,
            )
            await self.rset_hook()
        return await self._ask("RSET")

    async def _noop(self, event: Noop) -> Reply | None:
        return await self._ask("NOOP", event.text or None)

    async def _quit(self, event: Quit) -> Reply | None:
        return await self._ask("QUIT")

    async def _help(self, event: Help) -> Reply | None:
        if self._auth_required and not self.session.authenticated:
            return Reply(530, "5.7.0 Authentication required")
        known = dict(_SYNTAX) if self.tls_context is None else {**_SYNTAX, "STARTTLS": "STARTTLS"}
        syntax = known.get(event.topic.upper())
        if syntax is not None:
            return Reply(250, f"Syntax: {syntax}")
        return Reply(501 if event.topic else 250, f"Supported commands: {' '.join(known)}")

    async def _end(self, event: Closed) -> Reply | None:
        await self.handle_exception(TLSSetupException())
        return None

    # -- AUTH

    def _mechanism(self, name: str, method: Callable[..., Any], _: object) -> CoroutineMechanism:
        return CoroutineMechanism(name, partial(self._authenticated, method))

    async def _authenticated(
        self, method: Callable[..., Awaitable[Any]], arguments: list[str]
    ) -> str:
        """Play a method; gives who it is. ``_verdict`` is what the client is told."""
        self._pushed.clear()
        status = await self._call_handler_hook("AUTH", arguments)
        if status is not MISSING:
            self._verdict = as_reply(status)
            return "(a hook's)"
        result = await method(self, arguments)
        self._verdict = self._judged(result)
        data = self.session.auth_data
        login = getattr(data, "login", data)
        return login.decode() if isinstance(login, bytes) and login else "(not named)"

    def _judged(self, result: Any) -> Reply:
        said = as_reply(self._pushed[-1]) if self._pushed else None
        if isinstance(result, AuthResult):
            if not result.success:
                return said or (as_reply(result.message) if result.message else _BAD)
            self.session.authenticated, self.session.auth_data = True, result.auth_data
            self.session.login_data = getattr(result.auth_data, "login", None)
            return as_reply(result.message) if result.message else _GOOD
        if result is None:
            return said or _BAD
        if result is MISSING or result is False:
            return _BAD
        self.session.login_data = result
        return _GOOD

    async def _login(self, event: PasswordLogin) -> Reply | None:
        return self._verdict

    async def challenge_auth(
        self,
        text: str | bytes,
        encode_to_b64: bool = True,
        log_client_response: bool = False,
    ) -> Any:
        """Send a challenge; gives the response. A cancelled exchange goes no further."""
        octets = text.encode() if isinstance(text, str) else text
        response = await challenge(octets)
        if log_client_response:
            warn("AUTH interaction logging is enabled!", stacklevel=2)
            warn("Sensitive information might be leaked!", stacklevel=2)
        return response

    def _authenticate(self, mechanism: str, auth_data: Any) -> AuthResult:
        if self._authenticator is not None:
            return self._authenticator(self, self.session, self.envelope, mechanism, auth_data)
        if self._auth_callback(mechanism, *auth_data):
            return AuthResult(success=True, handled=True, auth_data=auth_data)
        return AuthResult(success=False, handled=False)

    async def auth_PLAIN(self, _: object, arguments: list[str]) -> AuthResult:
        response = await self._first_response(arguments, "")
        parts = response.split(b"\0")
        if len(parts) != 3:
            await self.push("501 5.5.2 Can't split auth value")
            return AuthResult(success=False, handled=True)
        return self._authenticate("PLAIN", LoginPassword(*parts[1:]))

    async def auth_LOGIN(self, _: object, arguments: list[str]) -> AuthResult:
        login = await self._first_response(arguments, self.AuthLoginUsernameChallenge)
        password = await self.challenge_auth(self.AuthLoginPasswordChallenge)
        return self._authenticate("LOGIN", LoginPassword(login, password))

    async def _first_response(self, arguments: list[str], prompt: str) -> bytes:
        if len(arguments) == 1:
            return bytes(await self.challenge_auth(prompt))
        return b"" if arguments[1] == "=" else b64decode(arguments[1])


class LMTP(SMTP):
    """The same for LMTP."""

    profile = Profile.LMTP


def _named(owner: object, prefix: str) -> dict[str, Callable[..., Any]]:
    names = [name for name in dir(owner) if name.startswith(prefix)]
    return {name.removeprefix(prefix): getattr(owner, name) for name in names}


def _warn_of(context: ssl.SSLContext | None) -> None:
    trouble = "this might cause client connection problems"
    if context is None:
        return
    if context.verify_mode is ssl.CERT_REQUIRED:
        log.warning("tls_context.verify_mode not in {CERT_NONE, CERT_OPTIONAL}; %s", trouble)
    elif context.check_hostname:
        log.warning("tls_context.check_hostname == True; %s", trouble)


def _call_limits(limit: int | dict[str, int] | None) -> dict[str, int] | None:
    if limit is None:
        return None
    if isinstance(limit, int):
        return {"*": limit}
    if not isinstance(limit, dict):
        raise TypeError("command_call_limit must be int or Dict[str, int]")
    if not all(isinstance(value, int) for value in limit.values()):
        raise TypeError("All command_call_limit values must be int")
    return {"*": 20, **limit}


def _argument(event: Any) -> str:
    """What stands behind the verb, as its method is given it."""
    return bytes(event).partition(b" ")[2].decode()


_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(?: |$)")
"""What begins a line of the reply (RFC 5321 §4.1.1.1). A hook may say its host's name once more."""


def _offered(line: str) -> Offered:
    keyword, _, parameters = line.partition(" ")
    entry = REGISTRY.by_keyword.get(keyword.upper())
    if entry is None:
        entry = Extension(keyword.upper(), "", "a hook's own", flag, no_parameter)
    return entry.read(parameters)


def _written(address: Address) -> str:
    return address.raw


def _options(parameters: Parameters) -> list[str]:
    return [str(item).upper() for item in parameters]


_ANSWERS: Final[dict[type, Callable[[SMTP, Any], Awaitable[Reply | None]]]] = {
    Connected: SMTP._greet,
    Hello: SMTP._hello,
    Mail: SMTP._mail,
    Rcpt: SMTP._rcpt,
    Data: SMTP._data,
    BodyChunk: SMTP._chunk,
    EndOfMessage: SMTP._message,
    Vrfy: SMTP._verify,
    Rset: SMTP._reset,
    Noop: SMTP._noop,
    Quit: SMTP._quit,
    Help: SMTP._help,
    Closed: SMTP._end,
    PasswordLogin: SMTP._login,
}

_OVERRIDDEN: Final = (Hello, Mail, Rcpt, Data, Vrfy, Expn, Help, Noop, Quit, Rset)
"""Commands for which a subclass may have a method of its own; they are questions of the engine."""
for _verb in VERBS_OF_METHODS:
    setattr(SMTP, f"smtp_{_verb}", SMTP.smtp_NOOP)
_BUILTIN: Final = (SMTP.auth_LOGIN, SMTP.auth_PLAIN)
