"""The client's side of a connection: commands out, octets in, events out (RFC 5321, RFC 2033)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, final, overload

from smtpwire.engine.client.commands import queue, queue_all, queue_answer, queue_auth
from smtpwire.engine.client.offered import NO_OFFER
from smtpwire.engine.client.replies import read
from smtpwire.engine.client.session import Item, Session
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    ClientEvent,
    Closed,
    CloseReason,
    Direction,
    EndOfData,
    Envelope,
    Identity,
    Peer,
    proven_envelope,
)
from smtpwire.engine.need import ClientNeed, Need
from smtpwire.engine.state import (
    STATE_CLOSED,
    STATE_GREETING,
    STATE_READY,
    STATE_TLS,
    State,
)
from smtpwire.engine.stats import Stats
from smtpwire.engine.timeouts import Timeout
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import Offer
from smtpwire.sasl import ClientMechanism
from smtpwire.wire.checked import checked
from smtpwire.wire.command import Auth, Command
from smtpwire.wire.octets import octets_of

if TYPE_CHECKING:
    from smtpwire.engine.server import ServerConnection
    from smtpwire.engine.server_config import ServerConfig

__all__ = ["ClientConnection", "Trace"]

C = TypeVar("C", bound=Command)
Trace: TypeAlias = Callable[[Direction, bytes], None]
_NOBODY: Final = Peer()


@final
class ClientConnection:
    """One connection, seen from the client: feed it what arrives, send commands, pull events.

    config: the client. tls: the TLS layer under it where that was there from the first octet
    (port 465). peer: who was dialled.

    It sends nothing by itself but the lone dot after a 354 without an accepted recipient. What may
    be written before earlier replies have come, it writes (RFC 2920); the rest waits its turn.
    Every command ends in exactly one ReplyReceived or Unanswered, an AUTH in one
    AuthenticationEnded; the end of the data has one a recipient in LMTP and PRDR. Only
    ``Data(chunking=True)`` ends with neither once the body is open.
    """

    __slots__ = ("_given_up", "_session", "_turn", "trace")

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        tls: TlsInfo | None = None,
        peer: Peer | None = None,
    ) -> None:
        config = ClientConfig() if config is None else checked("config", config, ClientConfig)
        if tls is not None:  # a union is made for the words of the error alone
            checked("tls", tls, TlsInfo | None)
        if peer is not None:
            checked("peer", peer, Peer | None)
        self.trace: Trace | None = None
        """Called with the direction and the octets, secrets redacted, after they took effect."""
        self._session = Session(config, tls, _NOBODY if peer is None else peer)
        self._turn = [None]  # taken by the operation that runs: list.pop() is atomic
        self._given_up = False  # the last one never came to its end

    def __repr__(self) -> str:
        session = self._session
        return f"ClientConnection(state={session.state.value!r}, peer={session.peer!r})"

    # -- the three calls of the adapter

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets from the peer; ``b""`` is the end of the stream, and may come twice.

        Never raises for what the peer sent. Raises LocalProtocolError where the backlog had
        already reached ``Limits.backlog``: see ``wants_data``; TypeError for what is no buffer of
        octets. Nothing has been taken then.
        """
        if type(data) is not bytes:
            data = octets_of(data, "data")
        session = self._session
        stream = session.stream
        if not data:
            stream.eof = True
        elif session.state is not STATE_CLOSED or stream.trails:
            stream.receive(data, self.trace is not None)

    def next_event(self) -> ClientEvent | ClientNeed:
        """The next event, or who must act; at a Need, calling again gives the same Need.

        At ``Need.DATA`` a time-out runs: see ``timeout``.
        """
        session = self._session
        session.pipeline.writing = False
        if session.events or self.trace is not None:
            return self._next_traced()
        stream = session.stream
        return session.who_acts() if stream.received == stream.start else read(session)

    def data_to_send(self) -> bytes:
        """Everything that may be written now, in order; it is handed out once.

        From here to the next ``next_event()``, ``timeout`` is the time for writing it.
        """
        session = self._session
        pipeline = session.pipeline
        if pipeline.held:
            offered = session.offered
            if session.state is not STATE_GREETING or offered.assumed:  # RFC 5321 §4.3.1
                recipients = bool(session.transaction.accepted)
                pipeline.release(session.stream.received, offered.pipelining, recipients)
        if not pipeline.out:
            return b""
        if self.trace is not None:
            pipeline.show(self.trace)
        return pipeline.take()

    # -- what the application calls

    @overload
    def send(self, command: C, /) -> C: ...
    @overload
    def send(self, *commands: Command) -> tuple[Command, ...]: ...
    def send(self, *commands: Command) -> Command | tuple[Command, ...]:
        """Queue a command, or several, and return them: the replies will come with these objects.

        Each is checked against the state reached if every command queued before it succeeds.
        Raises LocalProtocolError where one is out of order, or is what ``ClientConfig``
        forbids; UnwritableError, a kind of it, where one needs what the server does not offer, or
        no line can carry it; SessionLimitError, another, where LIMITS is used up (RFC 9422). None
        of them is queued then, and nothing has changed.
        """
        if len(commands) == 1:
            queue(self._session, commands[0])
            return commands[0]
        if not commands:
            raise TypeError("send() takes a command, or several")
        queue_all(self._session, commands)
        return commands

    def send_body(self, chunk: bytes | bytearray | memoryview) -> None:
        """Send a part of the content, in any cut; dots and framing are the engine's.

        Raises LocalProtocolError where no body is open, and where the chunk has CR or LF alone (RFC
        5321 §2.3.8), which only BODY=BINARYMIME may carry (RFC 3030 §3); TypeError for what is no
        buffer of octets. Nothing has changed then.
        """
        if type(chunk) is not bytes:
            chunk = octets_of(chunk)
        session = self._session
        if session.body is None:
            raise LocalProtocolError("no body is open")
        session.body.send(chunk, False)
        session.pipeline.progress += 1

    def end_body(self) -> EndOfData:
        """End the content: the final dot, or the last chunk. Returns the command it is.

        Raises LocalProtocolError where no body is open, or its last octet is a CR alone.
        """
        session = self._session
        if session.body is None:
            raise LocalProtocolError("no body is open")
        return session.end_body(session.body)

    def authenticate(
        self, mechanism: ClientMechanism, *, authcid: str = "", authzid: str = ""
    ) -> Auth:
        """Begin a SASL exchange and let the mechanism play it (RFC 4954 §4).

        Returns the AUTH command that will end in an AuthenticationEnded. ``authcid`` and
        ``authzid`` are for ``identity``: who the credentials are of.
        Raises LocalProtocolError out of order, where the mechanism is not offered, and for one that
        hands its secret over without verified TLS, TypeError for what is no mechanism, and what a
        mechanism of your own raises instead of its initial response; nothing has changed then.
        """
        return queue_auth(self._session, mechanism, authcid, authzid)

    def answer(self, data: bytes) -> None:
        """Go on with an exchange whose mechanism gave PENDING: it is given ``data``.

        Raises LocalProtocolError where none waits, TypeError for what is no bytes.
        """
        data = checked("data", data, bytes)
        exchange = self._session.exchange
        if exchange is None or not exchange.waiting:
            raise LocalProtocolError("no mechanism waits for an answer")
        queue_answer(self._session, exchange, exchange.answer(data))

    # -- one operation at a time

    def begin_operation(self) -> None:
        """Take the connection for one operation: its replies are to be read by nobody else.

        Every one of ``smtpwire.operations`` does so at its first step. Raises LocalProtocolError
        where another is running, in any task or thread; nothing has changed then, for it too.
        Where the last one was given up while replies were owed, the connection is aborted:
        nobody would know what they are the replies to.
        """
        try:
            self._turn.pop()
        except IndexError:
            raise LocalProtocolError(
                "another operation is running on this connection: wait for its end,"
                " or use a connection each"
            ) from None
        if self._given_up and self.busy:
            self.abort("an operation was given up while replies were owed")

    def end_operation(self, *, given_up: bool = False) -> None:
        """Give the connection back; only who has taken it may do so."""
        self._given_up = given_up
        self._turn.append(None)

    # -- what the adapter tells

    def tls_started(self, tls: TlsInfo) -> None:
        """The handshake has succeeded: all that was known of the server is forgotten.

        Raises LocalProtocolError where none was asked for.
        """
        self._check_handshake()
        self._session.start_tls(tls)

    def tls_failed(self, reason: str = "") -> None:
        """The handshake has failed: the connection ends. Raises LocalProtocolError as above."""
        self._check_handshake()
        self._session.end(CloseReason.TLS_FAILED, error=reason)

    def _check_handshake(self) -> None:
        if self._session.state is not STATE_TLS:
            raise LocalProtocolError("no TLS handshake was asked for")

    def timed_out(self) -> None:
        """The time of ``timeout`` is over: the connection ends (RFC 5321 §4.5.3.2)."""
        if self._session.state is not STATE_CLOSED:
            self._session.end(CloseReason.TIMEOUT)

    def abort(self, error: str = "") -> None:
        """End at once, in any state, and drop what is queued: the transport is lost."""
        if self._session.state is not STATE_CLOSED:
            self._session.end(CloseReason.ABORTED, error=error)

    def reverse(self, config: ServerConfig) -> ServerConnection:
        """After an accepted ATRN: the engine of the opposite role, for the same connection.

        This one has ended, ``Closed(REVERSED)`` (RFC 2645 §5.3).
        Raises LocalProtocolError at any other time.
        """
        session = self._session
        stream = session.stream
        if session.closed is None or not stream.trails:
            raise LocalProtocolError("roles are reversed after an accepted ATRN only")
        from smtpwire.engine.server import ServerConnection

        server = ServerConnection(config, tls=session.tls, peer=session.peer)
        stream.handed_over()
        trailing = stream.trailing
        if trailing:
            server.receive_data(trailing)
        if stream.eof:
            server.receive_data(b"")
        return server

    # -- read-only

    @property
    def state(self) -> State:
        """Where the session is, as far as replies have come."""
        return self._session.state

    @property
    def pending(self) -> Command | None:
        """The oldest command that waits for its reply."""
        flight = self._session.pipeline.flight
        return flight[0].command if flight else None

    @property
    def replies_owed(self) -> int:
        """How many replies the server owes for what was written."""
        session = self._session
        flight = session.pipeline.flight
        owed = len(flight)
        if flight and flight[0].kind.ends_body and session.transaction.verdicts >= 0:
            owed += len(session.transaction.unanswered()) - 1
        return owed

    @property
    def envelope(self) -> Envelope | None:
        """The open transaction with its accepted recipients."""
        transaction = self._session.transaction
        mail = transaction.mail
        return None if mail is None else proven_envelope(mail, tuple(transaction.accepted))

    @property
    def extensions(self) -> Offer:
        """What the latest EHLO reply offered; nothing before it, after HELO, and before EHLO under
        TLS."""
        offered = self._session.offered
        return NO_OFFER if offered.assumed else offered.offer

    @property
    def extensions_before_tls(self) -> Offer | None:
        """What was offered before STARTTLS; None where it was not used."""
        return self._session.offer_before_tls

    @property
    def tls(self) -> TlsInfo | None:
        """The TLS layer, or None."""
        return self._session.tls

    @property
    def identity(self) -> Identity | None:
        """Who is authenticated, from 235 on."""
        return self._session.identity

    @property
    def peer(self) -> Peer:
        """Who was dialled, as given at construction."""
        return self._session.peer

    @property
    def config(self) -> ClientConfig:
        """The configuration."""
        return self._session.config

    @property
    def wants_data(self) -> bool:
        """Whether the adapter should read: not during a handshake, with a full backlog, or after
        the end."""
        session = self._session
        state, stream = session.state, session.stream
        if state is STATE_TLS or state is STATE_CLOSED or stream.eof:
            return False
        return stream.has_room

    @property
    def reusable(self) -> bool:
        """Idle, ready for a transaction, and nothing has come that says otherwise: for pools."""
        session = self._session
        pipeline, stream = session.pipeline, session.stream
        return (
            session.state is STATE_READY
            and session.outlook.leads_to is STATE_READY
            and not (session.events or pipeline.flight or pipeline.held or pipeline.out)
            and not (stream.eof or stream.received != stream.start)
        )

    @property
    def closed(self) -> Closed | None:
        """How the connection ended, as its last event tells it; None while it has not."""
        return self._session.closed

    @property
    def busy(self) -> bool:
        """Whether a reply is owed, a command is not yet written, a body is open, or a handshake is
        due.

        Where it is False, what the server says next was not asked for.
        """
        session = self._session
        return (
            bool(session.pipeline.flight or session.pipeline.held)
            or session.body is not None
            or session.exchange is not None
            or session.state is STATE_TLS
        )

    @property
    def eof_received(self) -> bool:
        """The peer has ended its stream; what came before may still have to be pulled."""
        return self._session.stream.eof

    @property
    def trailing_data(self) -> bytes:
        """Octets which came while TLS was due, or after the end: never parsed, bounded."""
        return self._session.stream.trailing

    @property
    def timeout(self) -> Timeout | None:
        """How long to wait now, in ``seconds``; None in the application's turn (RFC 5321 §4.5.3.2).

        It always runs at ``Need.DATA`` and ``Need.TLS``, half a reply included; and once
        ``data_to_send()`` has handed octets out, up to the next ``next_event()``, as the time for
        writing them: ``Timeouts.block`` while a body is open, else that of the oldest command in
        flight, the dot included. The serial moves with every complete reply, every piece of a body
        and every write, never with half a reply.
        """
        session = self._session
        pipeline, stream = session.pipeline, session.stream
        timeouts = session.config.timeouts
        is_open = session.body is not None
        if session.state is STATE_GREETING:
            seconds = timeouts.greeting
        elif session.state is STATE_TLS:
            seconds = timeouts.handshake
        elif pipeline.body_octets or (pipeline.writing and is_open):
            seconds = timeouts.block
        elif pipeline.flight or pipeline.held:
            oldest = pipeline.flight[0] if pipeline.flight else pipeline.held[0]
            seconds = oldest.kind.seconds(timeouts)
        elif stream.received != stream.start and not is_open:
            seconds = timeouts.command  # half a reply that nobody asked for
        else:
            return None
        return Timeout(seconds, stream.replies + pipeline.progress)

    @property
    def stats(self) -> Stats:
        """Counts since the connection began."""
        session = self._session
        return Stats(
            octets_received=session.stream.octets_received,
            octets_sent=session.pipeline.octets_sent,
            commands=session.pipeline.commands,
            replies=session.stream.replies,
            errors=session.errors,
            messages=session.messages,
            authentications_failed=session.authentications_failed,
        )

    # -- tracing

    def _next_traced(self) -> Item:
        session = self._session
        stream = session.stream
        if session.events:
            item: Item = session.events.pop(0)
        elif stream.received == stream.start:
            item = session.who_acts()
        else:
            item = read(session)
        trace = self.trace
        if trace is not None and (octets := stream.take_untraced()):
            try:
                trace("received", session.pipeline.without_echoes(octets))
            except BaseException:
                # What a trace raises changes nothing: the event is still to come.
                if not isinstance(item, Need):
                    session.events.insert(0, item)
                raise
            if isinstance(item, Need):  # what the trace called may have changed who must act
                return self.next_event()
        return item
