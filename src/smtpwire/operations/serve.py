"""What a server does with a connection, as a generator: no I/O, and no colour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import BodyChunk, CommandQuestion, Peer, ServerEvent, ServerRequest
from smtpwire.engine.need import NEED_CLOSE, NEED_DATA, NEED_REPLY, NEED_TLS, NEED_WRITE, Need
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.sasl import (
    AnonymousLogin,
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    SecretRequest,
    TokenLogin,
)
from smtpwire.wire.checked import checked, type_of
from smtpwire.wire.command import StartTls
from smtpwire.wire.reply import Reply

if TYPE_CHECKING:
    from logging import Logger, LoggerAdapter

    _Log: TypeAlias = Logger | LoggerAdapter[Logger]

__all__ = ["Handler", "ServeStep", "Serving", "Session", "SessionFactory", "serve", "who"]


class Session(Protocol):
    """One connection of a server, as its handler sees it."""

    @property
    def conn(self) -> ServerConnection:
        """The engine: ``reply()``, ``supply()``, ``offer()`` and what it knows."""

    def flush(self) -> Awaitable[None] | None:
        """Send what is queued now. The adapter does so itself before a handler suspends."""

    def shutdown(self) -> None:
        """End the session with 421, once the question that may be pending is answered.

        From a handler or from anywhere else: it only asks, and waits for nothing.
        """

    def close(self) -> None:
        """Drop the connection as it stands; what is queued is not sent. From anywhere, too."""


Handler: TypeAlias = Callable[[ServerEvent], Awaitable[None] | None]
"""Called with each event, one after another; answers the questions among them."""

SessionFactory: TypeAlias = Callable[[Session], Handler]
"""Called once a connection."""

ServeStep: TypeAlias = Literal[Need.DATA, Need.WRITE, Need.TLS, Need.CLOSE] | Awaitable[None]
"""What the server's loop asks of its driver: to do what a Need names, or to await a handler."""

Serving: TypeAlias = Generator[ServeStep, None, None]
"""A server's loop: see :func:`serve`."""

TURN: Final = 0.005
"""Seconds for which one connection's events are handled before others have their turn."""

FREE: Final = 3
"""So many events of a turn are pulled before the clock is first looked at: most turns have fewer.

After what ended a connection no more are left: MessageAborted, Closed and CLOSE.
"""

_CREDENTIALS: Final = (
    PasswordLogin,
    TokenLogin,
    ExternalLogin,
    AnonymousLogin,
    SecretRequest,
    AuthorizationRequest,
)
_TLS_TROUBLE: Final = Reply(454, "TLS not available due to temporary reason", "4.7.0")


def serve(
    session: Session,
    factory: SessionFactory,
    config: ServerConfig,
    logger: Logger | LoggerAdapter[Logger],
    clock: Callable[[], float],
) -> Serving:
    """Make a handler and give it one event after another, to the connection's end.

    At every Need flush ``conn.data_to_send()``, do what it names and go on with ``next()``: at
    DATA read and ``receive_data()``; at WRITE wait until the peer has room, and let other
    connections have their turn; at TLS the handshake, ``tls_started()`` or ``tls_failed()``; at
    CLOSE close, and it is over. An awaitable is what a handler has returned: await it, flush
    whenever it suspends, and ``throw()`` what it raises (its own GeneratorExit as the cause of a
    RuntimeError, for that one is how you abandon the generator). What fails in the driver itself,
    or interrupts it, is thrown in as well.

    Whatever happens, one place decides here. A handler that raises, or leaves its question
    unanswered, is logged, and each reply still owed is 451 (credentials and STARTTLS: 454); at a
    BodyChunk that is the early verdict. A factory that raises is a 421. What fails in the driver
    ends the connection. The handler is always told of the end, once, by MessageAborted where a
    message was open and by Closed. What is no Exception (a cancellation, KeyboardInterrupt), or is
    raised by ``logger``, ends the connection too, and is raised when the handler has been told:
    close without a word then.

    ``clock``: seconds, monotonic; by it a turn ends.
    """
    given: Any = getattr(session, "conn", None)
    conn: ServerConnection = checked("session.conn", given, ServerConnection)
    interruption: BaseException | None = None
    try:
        handler = factory(session)
        if not callable(handler):
            raise TypeError(
                f"the session factory returned {type_of(handler)}: return the handler, a function"
                " of an event"
            )
    except (Exception, GeneratorExit) as error:
        _Trouble(conn, config, logger).no_handler(error)
        handler = _ignore
    turn_ends, free = 0.0, FREE
    while True:
        item = None
        given_away = False  # it is the driver that acts, or abandons the connection
        try:
            if free:
                free -= 1
                if not free:
                    turn_ends = clock() + TURN
                item = conn.next_event()
            else:
                item = conn.next_event() if clock() < turn_ends else NEED_WRITE
            if item is NEED_DATA or item is NEED_WRITE or item is NEED_TLS:
                free = FREE
                given_away = True
                yield item
                continue
            if item is NEED_CLOSE:
                break
            if item is NEED_REPLY:
                _Trouble(conn, config, logger).unanswered()
                continue
            waiting: Any = handler(item)
            if waiting is not None:
                if type(waiting) is Need:  # it would be the loop's own word to its driver
                    raise TypeError(f"the handler returned {waiting}, which nobody can await")
                given_away = True
                yield waiting
        except (Exception, GeneratorExit) as error:
            if given_away and isinstance(error, GeneratorExit):
                raise
            try:
                _Trouble(conn, config, logger).failed(item, error)
            except BaseException as worse:  # the log's own trouble, for one
                interruption = interruption or worse
                conn.abort(f"interrupted by {type(worse).__name__}")
        except BaseException as error:
            interruption = interruption or error
            conn.abort(f"interrupted by {type(error).__name__}")
    if interruption is not None:
        try:
            raise interruption
        finally:
            del interruption  # which knows this frame: a cycle would wait for the collector
    yield NEED_CLOSE


def _ignore(event: ServerEvent) -> None:
    """The handler where none could be made."""


class _Trouble:
    """What is done about what goes wrong in a session: a line in the log, an answer, or the end."""

    def __init__(self, conn: ServerConnection, config: ServerConfig, logger: _Log) -> None:
        self._conn, self._config, self._logger = conn, config, logger

    def no_handler(self, error: BaseException) -> None:
        """The factory raised: the peer, which waits for the greeting, gets 421."""
        self._logger.error("%s: no handler could be made", who(self._conn.peer), exc_info=error)
        text = self._config.texts[ReplyKind.TROUBLE].text
        self._conn.shutdown(Reply(421, text, "4.3.0"))

    def failed(self, item: ServerEvent | Need | None, error: BaseException) -> None:
        """A handler raised at an event, or else the driver or a trace."""
        conn, peer = self._conn, who(self._conn.peer)
        if item is None or isinstance(item, Need):
            self._logger.error("%s: the session failed", peer, exc_info=error)
            conn.abort(f"{type(error).__name__}: {error}")
            return
        if isinstance(error, LocalProtocolError) and conn.state is State.CLOSED:
            self._logger.info("%s: the connection ended before %r was answered", peer, item)
        else:
            self._logger.error("%s: handler failed at %r", peer, item, exc_info=error)
        if conn.pending is item:
            self._answer(conn.pending)
        elif isinstance(item, BodyChunk):
            with suppress(LocalProtocolError):  # the verdict has been given already
                conn.reply(self._config.texts[ReplyKind.TROUBLE])

    def unanswered(self) -> None:
        """A handler returned, and its question is still pending."""
        question = self._conn.pending
        self._logger.error(
            "%s: handler left %r unanswered: it has to call session.conn.reply()",
            who(self._conn.peer),
            question,
        )
        self._answer(question)

    def _answer(self, item: ServerRequest | None) -> None:
        if isinstance(item, CommandQuestion):  # the engine needs nobody's words for these
            self._conn.reply()
            return
        reply = self._config.texts[ReplyKind.TROUBLE]
        if isinstance(item, StartTls):
            reply = _TLS_TROUBLE
        elif isinstance(item, _CREDENTIALS):
            reply = self._config.texts[ReplyKind.AUTH_TROUBLE]
        try:
            self._conn.reply(*[reply] * self._conn.replies_owed)
        except LocalProtocolError as error:  # such as an answer that a custom reply cannot be
            self._logger.error("%s: no answer to %r", who(self._conn.peer), item, exc_info=error)
            self._conn.abort(str(error))


def who(peer: Peer) -> str:
    """A peer, in a line of the log."""
    if ":" in peer.address:
        return f"[{peer.address}]:{peer.port}"
    return f"{peer.address}:{peer.port}" if peer.address else "unknown peer"
