"""The server's side of a connection: octets in, events and replies out (RFC 5321, RFC 2033)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    CloseReason,
    Connected,
    EndOfMessage,
    Envelope,
    Identity,
    Peer,
    ServerRequest,
    proven_envelope,
)
from smtpwire.engine.need import NEED_REPLY
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.restrictions import restricted
from smtpwire.engine.server_commands import ServerCommands
from smtpwire.engine.server_core import (
    CLOSED,
    HANDSHAKE,
    READ_COMMAND,
    Item,
    Replies,
)
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import (
    AUTH,
    STARTTLS,
    Atrn,
    Burl,
    Etrn,
    Offer,
    Offered,
    XClient,
    XForward,
)
from smtpwire.sasl import (
    AnonymousLogin,
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    SecretRequest,
    TokenLogin,
)
from smtpwire.wire.checked import OCTETS, checked
from smtpwire.wire.command import (
    Auth,
    Bdat,
    Command,
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
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

if TYPE_CHECKING:
    from smtpwire.engine.client import ClientConnection
    from smtpwire.engine.client_config import ClientConfig

__all__ = ["ServerConnection"]


PROGRESS: Final = 4096
"""Octets of a body that count as a block (RFC 5321 §4.5.3.2.5 gives none)."""


@final
class ServerConnection(ServerCommands):
    """One connection, seen from the server: feed it what arrives, answer what it asks.

    config: the service. tls: the TLS layer under it, where that was there from the first octet
    (port 465); the profile SUBMISSIONS needs it. peer: who connected. reply_suffix: added to the
    text of every refusal the engine makes by itself, as a session id or a help URL.

    Raises ValueError where the profile needs TLS and there is none, and for a suffix that no
    reply can have.
    """

    __slots__ = ()

    # -- the kernel: what an adapter calls

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets from the peer; ``b""`` is the end of the stream, and may come twice.

        Never raises for what the peer sent. Raises LocalProtocolError where the backlog had
        already reached ``Limits.backlog``: see ``wants_data``; nothing has been taken then.
        """
        if type(data) is not bytes:
            checked("data", data, OCTETS)
        waiting = self._input.waiting
        if not data:
            self._eof = True
            return
        if waiting >= self._backlog:  # none is taken during a handshake and after the end
            self._receive_in_vain(data)
            return
        self._input.feed(data)
        if not self._octets_sent and not waiting:
            self._early_talk()

    def _receive_in_vain(self, data: bytes | bytearray | memoryview) -> None:
        if self._state is HANDSHAKE:
            self._octets_behind_starttls(data)
        elif self._state is not CLOSED:
            raise LocalProtocolError("the backlog is full: read only while wants_data is True")

    def next_event(self) -> Item:
        """The next event, or who must act; at a Need, calling again gives the same Need.

        At ``Need.DATA`` a time-out runs, always. What had been handed out counts as written.
        """
        self._writing = False
        while True:
            if self._events:
                item: Item | None = self._events.pop(0)
            elif self._pending is not None:
                item = NEED_REPLY
            else:
                step = self._step
                item = step(self)
            if item is not None:
                break
        if self._traced:
            self._call_trace(item)
        return item

    def data_to_send(self) -> bytes:
        """Everything queued so far, to be written in order; it is handed out once.

        Where there is something, ``timeout`` is the time for writing it until ``next_event()``.
        """
        output = self._output
        if not output:
            return b""
        octets = b"".join(output)
        output.clear()
        self._octets_sent += self._output_size
        self._output_size = 0
        self._must_flush = False
        self._writing = True
        self._serial += 1  # the timer starts anew, once a write
        return octets

    def tls_started(self, tls: TlsInfo) -> None:
        """The handshake is done: everything said before is forgotten (RFC 3207 §4.2).

        Raises LocalProtocolError unless the Need is TLS and the 220 has been handed out.
        """
        if self._state is not State.TLS or self._output:
            raise LocalProtocolError("there is no TLS to be started")
        self._tls = tls
        self._trailing = b""
        self._octets_received += self._input.received
        self._input.clear()
        self._peer = self._socket_peer
        self._hello = None
        self._identity = None
        self._plan = self._full = self._full_plan()
        self._quota = None
        self._unhindered = False
        self._backlog = self._config.limits.backlog
        self._serial += 1
        self._state = self._state.commands["(handshake)"]
        self._step = READ_COMMAND

    def tls_failed(self, reason: str = "") -> None:
        """The handshake failed: the connection is over.

        Raises LocalProtocolError unless the Need is TLS.
        """
        if self._state is not State.TLS:
            raise LocalProtocolError("there is no TLS to fail")
        self._close(CloseReason.TLS_FAILED, error=reason)

    def timed_out(self) -> None:
        """The time ``timeout`` named has passed: 421 4.4.2 and the end.

        Where only a write can have been too slow (a question is pending, the session has ended)
        nothing more is queued. Write nothing more to a stream whose write was too slow. After the
        end it changes nothing: a timer may be over after ``shutdown()`` was called from outside.
        Raises LocalProtocolError where a question is pending and nothing is being written.
        """
        if self._state is CLOSED:
            self._writing = False
            return
        if self.timeout is None:
            raise LocalProtocolError("no time-out is running: look at timeout first")
        self._writing = False
        if self._pending is not None:
            self._output.clear()
            self._output_size = 0
            self._close(CloseReason.TIMEOUT)
            return
        reply = self._text(ReplyKind.TIMEOUT)
        if self._state is not State.TLS:
            self._write(self._octets(ReplyKind.TIMEOUT))
        self._close(CloseReason.TIMEOUT, reply)

    def session_timed_out(self) -> None:
        """The time ``session_timeout`` named has passed: 421 4.4.2 and the end, as ``shutdown()``.

        A pending question stays answerable, and the 421 follows its reply. After the end it changes
        nothing. Raises LocalProtocolError where the configuration has no such time.
        """
        if self._config.timeouts.session is None:
            raise LocalProtocolError("there is no Timeouts.session that could be over")
        self._end_when_answered(self._text(ReplyKind.TIMEOUT), CloseReason.TIMEOUT)

    def abort(self, error: str = "") -> None:
        """End at once, sending nothing more: the transport is lost or the handler cancelled.

        It may be called at any time, as ``shutdown()``: ``next_event()`` then gives what is to be
        told (``MessageAborted``) and ``Closed``. After the end it changes nothing.
        """
        if self._state is CLOSED:
            return
        self._output.clear()
        self._output_size = 0
        self._close(CloseReason.ABORTED, error=error)

    # -- what the application calls

    def reply(self, *replies: Reply, to: Request | None = None) -> None:
        """Answer the pending question; without an argument, as the engine does by default.

        The reply's class is the decision. ``to``: the question meant, so that a late answer
        cannot hit the next one. While a body comes and nothing is pending, a 4yz or 5yz is the
        early verdict on the message. A 421 is followed by shutdown. After the end of the data
        LMTP and PRDR take one reply a recipient, at once or one by one.

        Raises LocalProtocolError where nothing is pending, another question is, or the reply is
        not legal for it (the table stands in README), TypeError for what is no Reply; nothing has
        changed then.
        """
        _check_replies(replies)
        pending = self._asked() if self._events else self._pending
        if pending is None:
            self._early_verdict(replies, to)
        elif to is not None and to is not pending:
            raise LocalProtocolError("that question is no longer pending")
        else:
            answer = _ANSWERS.get(type(pending)) or ServerCommands._answer_extension
            answer(self, pending, replies)

    def offer(self, *extensions: Offered) -> Offer:
        """Replace what this session offers, while Connected or Hello is pending (for proxies).

        What holds for ``ServerConfig`` holds here: what may not be offered in the present
        situation is left out, such as XCLIENT to a client that is not listed or PLAIN before TLS,
        and SIZE and LIMITS promise no more than the service takes. STARTTLS and AUTH are offered
        only where named here. Gives what will be offered; it holds until TLS starts.

        Raises LocalProtocolError at any other time, and for what this service can never offer;
        nothing has changed then.
        """
        if not isinstance(self._asked(), Connected | Hello):
            raise LocalProtocolError("the offer can be replaced only in Connected and Hello")
        entries = {offered.extension.keyword: offered.extension for offered in extensions}
        config = self._config
        if STARTTLS.keyword in entries and not config.starttls:
            raise LocalProtocolError("STARTTLS needs ServerConfig(starttls=True)")
        offer = Offer(extensions)
        mechanisms = offer.get(AUTH)
        try:
            config.check_offer(entries)
            config.check_mechanisms(mechanisms or ())
            plan = config.plan_for(restricted(offer, config, self._offer_conditions()))
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error
        self._full = plan
        if isinstance(self._pending, Connected):
            self._plan = self._full  # a Hello may still be refused, and then changes nothing
        return plan.offer

    def reverse(self, config: ClientConfig) -> ClientConnection:
        """After an accepted ATRN: the engine of the opposite role, for the same connection.

        This one has ended, ``Closed(REVERSED)``; its output is to be sent first (RFC 2645 §5.3).
        Raises LocalProtocolError at any other time.
        """
        if not self._reversed:
            raise LocalProtocolError("roles are reversed after an accepted ATRN only")
        from smtpwire.engine.client import ClientConnection

        self._reversed = False
        client = ClientConnection(config, tls=self._tls, peer=self._peer)
        if self._trailing:
            client.receive_data(self._trailing)
        if self._eof:
            client.receive_data(b"")
        return client

    # -- what may be read at any time

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def pending(self) -> ServerRequest | None:
        """The question that waits for an answer, once ``next_event()`` has given it."""
        return self._asked()

    @property
    def replies_owed(self) -> int:
        """How many replies ``reply()`` still takes for the pending question."""
        pending = self._asked()
        if isinstance(pending, EndOfMessage):
            return self._owed
        return 0 if pending is None else 1

    @property
    def envelope(self) -> Envelope | None:
        """The transaction so far; None outside one."""
        return None if self._mail is None else proven_envelope(self._mail, tuple(self._recipients))

    @property
    def hello(self) -> Hello | None:
        """The EHLO, HELO or LHLO that was accepted last."""
        return self._hello

    @property
    def extensions(self) -> Offer:
        """What this session offers."""
        return self._plan.offer

    @property
    def tls(self) -> TlsInfo | None:
        """The TLS layer, if there is one."""
        return self._tls

    @property
    def identity(self) -> Identity | None:
        """Who authenticated; None until 235."""
        return self._identity

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._peer

    @property
    def wants_data(self) -> bool:
        """Whether the adapter may read; else it must pause."""
        if isinstance(self._pending, StartTls):
            return False
        return self._input.waiting < self._backlog

    @property
    def reusable(self) -> bool:
        """Always False: a server does not choose what comes next."""
        return False

    @property
    def eof_received(self) -> bool:
        """The peer has closed its side."""
        return self._eof

    @property
    def trailing_data(self) -> bytes:
        """Octets for the TLS layer that came with what was read before it."""
        return self._trailing

    @property
    def timeout(self) -> Timeout | None:
        """How long to wait for the peer; None while the application or nobody is to act.

        At every ``Need.DATA`` a time-out runs. From ``data_to_send()``, where that handed out
        octets, until the next ``next_event()`` it is the time for writing them, in every state,
        also while a question is pending and after the end: a peer that reads nothing is noticed
        (RFC 5321 §4.5.3.2).
        """
        if not self._writing and (self._pending is not None or self._state is CLOSED):
            return None
        timeouts = self._config.timeouts
        if self._state is CLOSED:
            seconds = timeouts.quit
        elif self._state is HANDSHAKE:
            seconds = timeouts.handshake
        elif self._stray_left or self._state is State.DATA or self._state is State.CHUNKS:
            seconds = timeouts.block
        else:
            seconds = timeouts.command
        progress = self._commands + self._replies + self._body_octets // PROGRESS + self._serial
        return Timeout(seconds, progress)

    @property
    def session_timeout(self) -> float | None:
        """Seconds that the whole session may take (``Timeouts.session``); None: any time.

        Start a timer with it once, when the engine is made, beside that of ``timeout``; on expiry
        call ``session_timed_out()`` and then ``next_event()``.
        """
        return self._config.timeouts.session

    @property
    def stats(self) -> Stats:
        """What went through so far."""
        return Stats(
            self._octets_received + self._input.received,
            self._octets_sent,
            self._commands,
            self._replies,
            self._errors,
            self._messages,
            self._auth_failures,
        )

    def __repr__(self) -> str:
        return f"<ServerConnection {self._config.host} {self._state.value}>"


_HANDLERS: Final[
    Mapping[type[Command], Callable[[ServerConnection, Any], ServerRequest | None]]
] = {
    Hello: ServerConnection._on_hello,
    Mail: ServerConnection._on_mail,
    Rcpt: ServerConnection._on_rcpt,
    Data: ServerConnection._on_data,
    Bdat: ServerConnection._on_bdat,
    Rset: ServerConnection._on_rset,
    Noop: ServerConnection._on_noop,
    Help: ServerConnection._on_help,
    Quit: ServerConnection._on_quit,
    Vrfy: ServerConnection._on_vrfy,
    Expn: ServerConnection._on_expn,
    StartTls: ServerConnection._on_starttls,
    Auth: ServerConnection._on_auth,
    Etrn: ServerConnection._on_extension,
    Atrn: ServerConnection._on_atrn,
    Burl: ServerConnection._on_burl,
    XClient: ServerConnection._on_xclient,
    XForward: ServerConnection._on_xforward,
    ExtensionCommand: ServerConnection._on_extension,
}

ServerConnection.HANDLERS = _HANDLERS

_ANSWERS: Final[Mapping[type[Request], Callable[[ServerConnection, Any, Replies], None]]] = {
    Connected: ServerConnection._answer_connected,
    Hello: ServerConnection._answer_hello,
    Mail: ServerConnection._answer_mail,
    Rcpt: ServerConnection._answer_rcpt,
    Data: ServerConnection._answer_data,
    EndOfMessage: ServerConnection._answer_end,
    StartTls: ServerConnection._answer_starttls,
    Vrfy: ServerConnection._answer_vrfy,
    Expn: ServerConnection._answer_expn,
    Etrn: ServerConnection._answer_etrn,
    Atrn: ServerConnection._answer_atrn,
    Burl: ServerConnection._answer_burl,
    XClient: ServerConnection._answer_xclient,
    XForward: ServerConnection._answer_extension,
    ExtensionCommand: ServerConnection._answer_extension,
    PasswordLogin: ServerConnection._answer_login,
    TokenLogin: ServerConnection._answer_login,
    ExternalLogin: ServerConnection._answer_login,
    AnonymousLogin: ServerConnection._answer_login,
    SecretRequest: ServerConnection._answer_secret,
    AuthorizationRequest: ServerConnection._answer_authorization,
}


def _check_replies(replies: tuple[object, ...]) -> None:
    for reply in replies:
        if not isinstance(reply, Reply):
            checked("reply", reply, Reply)
