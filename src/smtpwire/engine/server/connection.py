"""The server's side of a connection: octets in, events and replies out (RFC 5321, RFC 2033)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast, final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    CloseReason,
    CommandQuestion,
    Connected,
    EndOfMessage,
    Envelope,
    Identity,
    Peer,
    ServerRequest,
)
from smtpwire.engine.need import NEED_REPLY, Need
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.restrictions import restricted
from smtpwire.engine.server import body, commands, login
from smtpwire.engine.server.answers import Answer, answer_extension, answer_query
from smtpwire.engine.server.lines import CommandReader, Rule
from smtpwire.engine.server.outbox import Trace
from smtpwire.engine.server.reader import Item
from smtpwire.engine.server.session import CLOSED, HANDSHAKING, Session
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.stats import Stats
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import (
    AUTH,
    STARTTLS,
    Offer,
    Offered,
    Profile,
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
    from smtpwire.sasl import StoredSecret
    from smtpwire.wire.command import ExtensionRequest

__all__ = ["ServerConnection"]

RULES: Final[Mapping[type[Command], Rule]] = {
    Hello: Rule("", commands.hello),
    Mail: Rule("MAIL", commands.mail),
    Rcpt: Rule("RCPT", commands.rcpt),
    Data: Rule("DATA", body.data),
    Bdat: Rule("", body.bdat),
    Rset: Rule("RSET", commands.rset),
    Noop: Rule("NOOP", commands.noop),
    Help: Rule("HELP", commands.help_),
    Quit: Rule("", commands.quit_),
    Vrfy: Rule("VRFY", commands.vrfy),
    Expn: Rule("", commands.expn),
    StartTls: Rule("", commands.starttls),
    Auth: Rule("", login.auth),
}
"""What a command must be to be taken, by its class; all others are an extension's."""

ANSWERS: Final[Mapping[type[Request], Answer]] = {
    Connected: commands.answer_connected,
    Hello: commands.answer_hello,
    Mail: commands.answer_mail,
    Rcpt: commands.answer_rcpt,
    Data: body.answer_data,
    EndOfMessage: body.answer_end,
    StartTls: commands.answer_starttls,
    Vrfy: answer_query,
    Expn: answer_query,
    CommandQuestion: commands.answer_command,
    PasswordLogin: login.answer_login,
    TokenLogin: login.answer_login,
    ExternalLogin: login.answer_login,
    AnonymousLogin: login.answer_login,
    SecretRequest: login.answer_secret,
    AuthorizationRequest: login.answer_authorization,
}
"""What an answer does, by the class of the question; all others are an extension's."""

SPECIAL_RULES: Final[Mapping[str, Rule]] = {
    "ATRN": Rule("", commands.atrn),
    "BURL": Rule("BURL", body.burl),
    "XCLIENT": Rule("", commands.xclient),
    "XFORWARD": Rule("", commands.xforward),
}
"""What an extension's command must be beyond what its entry says, by ``special``: its file is
loaded where it is first met."""

SPECIAL_ANSWERS: Final[Mapping[str, Answer]] = {
    "ATRN": commands.answer_atrn,
    "BURL": body.answer_burl,
    "XCLIENT": commands.answer_xclient,
}
"""What an answer to it does."""

COMMANDS: Final = CommandReader(RULES, SPECIAL_RULES, Rule("", commands.extension))


@final
class ServerConnection:
    """One connection, seen from the server: feed it what arrives, answer what it asks.

    config: the service. tls: the TLS layer under it, where that was there from the first octet
    (port 465); the profile SUBMISSIONS needs it. peer: who connected. reply_suffix: added to the
    text of every refusal the engine makes by itself, as a session id or a help URL.

    Raises ValueError where the profile needs TLS and there is none, and for a suffix that no
    reply can have.
    """

    __slots__ = ("_session",)

    def __init__(
        self,
        config: ServerConfig,
        *,
        tls: TlsInfo | None = None,
        peer: Peer | None = None,
        reply_suffix: str = "",
    ) -> None:
        given: object = config
        if type(given) is not ServerConfig:
            checked("config", given, ServerConfig)
        if tls is not None:
            checked("tls", tls, TlsInfo | None)
        elif config.profile is Profile.SUBMISSIONS:
            raise ValueError("this profile has TLS from the first octet: give tls= (RFC 8314 §3.3)")
        if peer is not None:
            checked("peer", peer, Peer | None)
        if type(reply_suffix) is not str:
            checked("reply_suffix", reply_suffix, str)
        self._session = session = Session(config, COMMANDS, tls, peer, reply_suffix)
        if config.proxy and session.client.peer.proxy is None:
            from smtpwire.engine.server.proxy import ProxyHeaderReader

            session.hand_over(ProxyHeaderReader())
            if "PROXY" not in session.client.listed:
                session.close(CloseReason.VIOLATION, error="not a trusted proxy")

    # -- the kernel: what an adapter calls

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets from the peer; ``b""`` is the end of the stream, and may come twice.

        Never raises for what the peer sent. Raises LocalProtocolError where the backlog had
        already reached ``Limits.backlog``: see ``wants_data``; nothing has been taken then.
        """
        if type(data) is not bytes:
            checked("data", data, OCTETS)
            data = bytes(data)
        session = self._session
        received = session.input
        waiting = received.waiting
        if not data:
            received.end()
            return
        if waiting >= received.limit:  # none is taken during a handshake and after the end
            _receive_in_vain(session, data)
            return
        if waiting:
            received.feed(data)
            return
        # What feed() does where nothing waits: a call less, as in data_to_send().
        received.buffer = data
        received.position = 0
        received.waiting = size = len(data)
        received.received += size
        if not session.outbox.sent:
            session.refuse_early_talk()

    def next_event(self) -> Item:
        """The next event, or who must act; at a Need, calling again gives the same Need.

        At ``Need.DATA`` a time-out runs, always. What had been handed out counts as written.
        """
        session = self._session
        outbox = session.outbox
        outbox.being_written = False
        while True:
            if session.events:
                item: Item | None = session.events.pop(0)
            elif session.pending is not None:
                item = NEED_REPLY
            else:
                item = session.reader.read(session)
            if item is not None:
                break
        if outbox.traced:
            session.call_trace(item)
            if isinstance(item, Need):  # what the trace called may have changed who must act
                return self.next_event()
        return item

    def data_to_send(self) -> bytes:
        """Everything queued so far, to be written in order; it is handed out once.

        Where there is something, ``timeout`` is the time for writing it until ``next_event()``.
        """
        outbox = self._session.outbox
        octets = outbox.queue
        if not octets:
            return b""
        if outbox.before:
            octets = outbox.all_of_it()
        outbox.queue = b""
        outbox.sent += len(octets)
        outbox.urgent = False
        outbox.being_written = True
        outbox.writes += 1
        return octets

    def tls_started(self, tls: TlsInfo) -> None:
        """The handshake is done: everything said before is forgotten (RFC 3207 §4.2).

        Raises LocalProtocolError unless the Need is TLS and the 220 has been handed out.
        """
        session = self._session
        if session.state is not HANDSHAKING or session.outbox.queue:
            raise LocalProtocolError("there is no TLS to be started")
        session.input.open(session.config.limits.backlog)
        session.client.secure(tls)
        session.offering.start_over()
        session.tally.steps += 1
        session.enter("(handshake)")
        session.listen()

    def tls_failed(self, reason: str = "") -> None:
        """The handshake failed: the connection is over.

        Raises LocalProtocolError unless the Need is TLS.
        """
        if self._session.state is not HANDSHAKING:
            raise LocalProtocolError("there is no TLS to fail")
        self._session.close(CloseReason.TLS_FAILED, error=reason)

    def timed_out(self) -> None:
        """The time ``timeout`` named has passed: 421 4.4.2 and the end.

        Where only a write can have been too slow (a question is pending, the session has ended)
        nothing more is queued. Write nothing more to a stream whose write was too slow. After the
        end it changes nothing: a timer may be over after ``shutdown()`` was called from outside.
        Raises LocalProtocolError where a question is pending and nothing is being written.
        """
        session = self._session
        outbox = session.outbox
        if session.state is CLOSED:
            outbox.being_written = False
            return
        if self.timeout is None:
            raise LocalProtocolError("no time-out is running: look at timeout first")
        outbox.being_written = False
        if session.pending is not None:
            outbox.clear()
            session.close(CloseReason.TIMEOUT)
            return
        reply = outbox.text(ReplyKind.TIMEOUT)
        if session.state is not HANDSHAKING:
            outbox.say(ReplyKind.TIMEOUT)
        session.close(CloseReason.TIMEOUT, reply)

    def session_timed_out(self) -> None:
        """The time ``session_timeout`` named has passed: 421 4.4.2 and the end, as ``shutdown()``.

        A pending question stays answerable, and the 421 follows its reply. After the end it changes
        nothing. Raises LocalProtocolError where the configuration has no such time.
        """
        session = self._session
        if session.config.timeouts.session is None:
            raise LocalProtocolError("there is no Timeouts.session that could be over")
        session.end_when_answered(session.outbox.text(ReplyKind.TIMEOUT), CloseReason.TIMEOUT)

    def abort(self, error: str = "") -> None:
        """End at once, sending nothing more: the transport is lost or the handler cancelled.

        It may be called at any time, as ``shutdown()``: ``next_event()`` then gives what is to be
        told (``MessageAborted``) and ``Closed``. After the end it changes nothing.
        """
        session = self._session
        if session.state is not CLOSED:
            session.outbox.clear()
            session.close(CloseReason.ABORTED, error=error)

    # -- what the application calls

    def reply(self, *replies: Reply, to: Request | None = None) -> None:
        """Answer the pending question; without an argument, as the engine does by default.

        The reply's class is the decision. ``to``: the question meant, so that a late answer
        cannot hit the next one. While a body comes and nothing is pending, a 4yz or 5yz is the
        early verdict on the message. A 421 is followed by shutdown. After the end of the data
        LMTP and PRDR take one reply a recipient, at once or one by one; a 421 among them comes
        behind those that accept a recipient.

        Raises LocalProtocolError where nothing is pending, another question is, or the reply is
        not legal for it (the table stands in the engine's README.md), TypeError for what is no
        Reply; nothing has changed then.
        """
        given: tuple[object, ...] = replies
        for reply in given:
            if not isinstance(reply, Reply):
                checked("reply", reply, Reply)
        session = self._session
        pending = session.asked() if session.events else session.pending
        if pending is None:
            body.early_verdict(session, replies, to)
        elif to is not None and to is not pending:
            raise LocalProtocolError("that question is no longer pending")
        else:
            try:  # a subscript costs half of what get() does
                answer = ANSWERS[type(pending)]
            except KeyError:  # an extension's
                special = cast("ExtensionRequest", pending).special
                answer = SPECIAL_ANSWERS.get(special, answer_extension)
            answer(session, pending, replies)

    def supply(self, secret: StoredSecret | None, *, to: Request | None = None) -> None:
        """Answer a SecretRequest with what is stored for the user; None: there is no such user.

        A secret that the mechanism cannot use is taken as None, for the client chooses the
        mechanism: by any other answer it would learn who exists. AuthenticationFailed tells it.
        Raises LocalProtocolError where no SecretRequest is pending, another one is, or this is no
        stored secret at all; nothing has changed then.
        """
        login.supply(self._session, secret, to)

    def shutdown(self, reply: Reply | None = None) -> None:
        """End the session with 421 as soon as no reply is owed (RFC 5321 §3.8).

        A pending question stays answerable, and the 421 follows its reply. A body that comes is
        aborted at once. It may be called at any time, also before the first ``next_event()`` and
        from outside a handler: then whoever pulls the events has to be told to call
        ``next_event()`` again, which gives what is to be told and ``Closed``. A second call, or one
        after the end, changes nothing. Raises LocalProtocolError for a reply other than 421.
        """
        if reply is not None:
            checked("reply", reply, Reply)
        self._session.shut_down(reply)

    def offer(self, *extensions: Offered) -> Offer:
        """Replace what this session offers, while Connected or Hello is pending (for proxies).

        What holds for ``ServerConfig`` holds here: what may not be offered in the present
        situation is left out, such as XCLIENT to a client that is not listed or PLAIN before TLS,
        and SIZE and LIMITS promise no more than the service takes. STARTTLS and AUTH are offered
        only where named here. Gives what will be offered; it holds until TLS starts.

        Raises LocalProtocolError at any other time, and for what this service can never offer;
        nothing has changed then.
        """
        session = self._session
        pending = session.asked()
        if not isinstance(pending, Connected | Hello):
            raise LocalProtocolError("the offer can be replaced only in Connected and Hello")
        extensions = checked("extensions", extensions, tuple[Offered, ...])
        entries = {offered.extension.keyword: offered.extension for offered in extensions}
        config = session.config
        if STARTTLS.keyword in entries and not config.starttls:
            raise LocalProtocolError("STARTTLS needs ServerConfig(starttls=True)")
        offer = Offer(extensions)
        mechanisms = offer.get(AUTH)
        try:
            config.check_offer(entries)
            config.check_mechanisms(mechanisms or ())
            plan = config.plan_for(restricted(offer, config, session.client.offer_conditions()))
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error
        session.offering.replace(plan, at_once=isinstance(pending, Connected))
        return plan.offer

    def reverse(self, config: ClientConfig) -> ClientConnection:
        """After an accepted ATRN: the engine of the opposite role, for the same connection.

        This one has ended, ``Closed(REVERSED)``; its output is to be sent first (RFC 2645 §5.3).
        Raises LocalProtocolError at any other time.
        """
        session = self._session
        if not session.reversed:
            raise LocalProtocolError("roles are reversed after an accepted ATRN only")
        from smtpwire.engine.client import ClientConnection

        client = ClientConnection(config, tls=session.client.tls, peer=session.client.peer)
        session.reversed = False
        if session.input.trailing:
            client.receive_data(session.input.trailing)
        if session.input.ended:
            client.receive_data(b"")
        return client

    # -- what may be read at any time

    @property
    def trace(self) -> Trace | None:
        """Called with each line and reply, secrets redacted, once it has taken effect."""
        return self._session.outbox.trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._session.outbox.trace_with(trace)

    @property
    def config(self) -> ServerConfig:
        """The service, as it was given."""
        return self._session.config

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._session.state

    @property
    def pending(self) -> ServerRequest | None:
        """The question that waits for an answer, once ``next_event()`` has given it."""
        return self._session.asked()

    @property
    def replies_owed(self) -> int:
        """How many replies ``reply()`` still takes for the pending question."""
        session = self._session
        pending = session.asked()
        verdicts = session.transaction.verdicts
        if isinstance(pending, EndOfMessage) and verdicts is not None:
            return verdicts.owed
        return 0 if pending is None else 1

    @property
    def envelope(self) -> Envelope | None:
        """The transaction so far; None outside one."""
        return self._session.transaction.envelope

    @property
    def hello(self) -> Hello | None:
        """The EHLO, HELO or LHLO that was accepted last."""
        return self._session.client.hello

    @property
    def extensions(self) -> Offer:
        """What this session offers."""
        return self._session.offering.plan.offer

    @property
    def tls(self) -> TlsInfo | None:
        """The TLS layer, if there is one."""
        return self._session.client.tls

    @property
    def identity(self) -> Identity | None:
        """Who authenticated; None until 235."""
        return self._session.client.identity

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._session.client.peer

    @property
    def wants_data(self) -> bool:
        """Whether the adapter may read; else it must pause."""
        session = self._session
        if isinstance(session.pending, StartTls):
            return False
        return session.input.waiting < session.input.limit

    @property
    def reusable(self) -> bool:
        """Always False: a server does not choose what comes next."""
        return False

    @property
    def eof_received(self) -> bool:
        """The peer has closed its side."""
        return self._session.input.ended

    @property
    def trailing_data(self) -> bytes:
        """Octets for the TLS layer that came with what was read before it."""
        return self._session.input.trailing

    @property
    def timeout(self) -> Timeout | None:
        """How long to wait for the peer, in ``seconds``; None where it is not its turn.

        At every ``Need.DATA`` a time-out runs. From ``data_to_send()``, where that handed out
        octets, until the next ``next_event()`` it is the time for writing them, in every state,
        also while a question is pending and after the end: a peer that reads nothing is noticed
        (RFC 5321 §4.5.3.2).
        """
        session = self._session
        state, outbox = session.state, session.outbox
        if not outbox.being_written and (session.pending is not None or state is CLOSED):
            return None
        timeouts = session.config.timeouts
        if state is CLOSED:
            seconds = timeouts.quit
        elif state is HANDSHAKING:
            seconds = timeouts.handshake
        elif state is State.DATA or state is State.CHUNKS or session.reader.reads_body:
            seconds = timeouts.block
        else:
            seconds = timeouts.command
        return Timeout(seconds, session.tally.progress + outbox.replies + outbox.writes)

    @property
    def session_timeout(self) -> float | None:
        """Seconds that the whole session may take (``Timeouts.session``); None: any time.

        Start a timer with it once, when the engine is made, beside that of ``timeout``; on expiry
        call ``session_timed_out()`` and then ``next_event()``.
        """
        return self._session.config.timeouts.session

    @property
    def stats(self) -> Stats:
        """What went through so far."""
        session = self._session
        received, outbox, tally = session.input, session.outbox, session.tally
        return Stats(
            received.before + received.received,
            outbox.sent,
            tally.commands,
            outbox.replies,
            tally.errors,
            tally.messages,
            tally.failed_authentications,
        )

    def __repr__(self) -> str:
        session = self._session
        return f"<ServerConnection {session.config.host} {session.state.value}>"


def _receive_in_vain(session: Session, data: bytes) -> None:
    """Octets while none are taken: those behind STARTTLS, after the end, or one too many."""
    if session.state is HANDSHAKING:
        _octets_behind_starttls(session, data)
    elif session.state is not CLOSED:
        raise LocalProtocolError("the backlog is full: read only while wants_data is True")


def _octets_behind_starttls(session: Session, data: bytes) -> None:
    if not session.outbox.queue:  # the 220 has left: these are TLS's, never parsed
        session.input.keep(data, session.config.limits.trailing)
        return
    # The 220 has not left, so they came in plaintext: an attack (CVE-2011-0411).
    session.outbox.clear()
    session.violation(ViolationKind.PLAINTEXT_BEHIND_STARTTLS, session.input.offset, None)
