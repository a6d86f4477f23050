"""What a server has to say: replies as the service words them, until they are handed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Direction
from smtpwire.engine.redaction import without_proofs
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_config import ServerConfig, complete, serialise
from smtpwire.wire.reply import Reply, format_reply

__all__ = ["Outbox", "Trace"]

Trace: TypeAlias = Callable[[Direction, bytes], None]
REMEMBERED: Final = 256
"""Replies that are kept as they are sent."""
NOTHING_TRACED: Final[list[tuple[Direction, bytes]]] = []
"""Of all that have no trace, so that they need no list. Nothing is put into it."""
SHORT: Final = 512
"""Octets of the longest of them."""
NOTHING_BEFORE: Final[list[bytes]] = []
"""Of nearly all, so that they need no list. Nothing is put into it."""
PIECE: Final = 2048
"""Octets of replies that are joined one by one; what is more is put aside and joined at once."""


@final
class Outbox:
    """Replies in order, and what a trace is to be told.

    ``queue``: what is to be written, empty only where nothing is; ``before``: what stands before
    it, in pieces. ``room``: with so many octets in the queue there are enough to be written.
    ``urgent``: a reply among them must not wait for more input (RFC 2920 §3.2). ``sent``:
    octets handed out so far, in ``writes`` pieces. ``being_written``: nobody has said yet that the
    last of these left. ``replies``: replies queued so far. ``traced``: what the trace was not told
    yet.
    """

    __slots__ = (
        "_config",
        "_octets",
        "_suffix",
        "before",
        "being_written",
        "in_greeting",
        "queue",
        "replies",
        "room",
        "sent",
        "trace",
        "traced",
        "urgent",
        "writes",
    )

    def __init__(self, config: ServerConfig, suffix: str) -> None:
        if suffix:
            try:
                serialise(Reply(500, suffix), enhanced=False)
            except ValueError as error:
                raise ValueError(f"reply_suffix {suffix!r} cannot be sent: {error}") from None
        self._config = config
        self._octets = config.octets
        self._suffix = suffix
        self.queue: bytes = b""
        self.before: list[bytes] = NOTHING_BEFORE
        self.room: int = config.limits.output
        self.urgent: bool = False
        self.in_greeting: bool = True
        """What is said stands in the greeting's place: it has no enhanced code (RFC 2034 §4)."""
        self.sent: int = 0
        self.writes: int = 0
        self.being_written: bool = False
        self.replies: int = 0
        self.trace: Trace | None = None
        self.traced: list[tuple[Direction, bytes]] = NOTHING_TRACED

    # -- wording

    def text(self, kind: ReplyKind) -> Reply:
        """The service's own reply of this kind."""
        return self.suffixed(self._config.texts[kind])

    def suffixed(self, reply: Reply) -> Reply:
        """A refusal of the engine's has the suffix of this connection."""
        if self._suffix and reply.code >= 400:
            return Reply(reply.code, f"{reply.text} {self._suffix}", reply.enhanced)
        return reply

    def octets(self, reply: Reply, *, utf8: bool = False) -> bytes:
        """A reply as it is sent. Raises LocalProtocolError where it cannot be."""
        if reply.enhanced is None or self.in_greeting:
            return self._formatted(reply, utf8)
        return self.completed(reply, utf8=utf8)

    def completed(self, reply: Reply, *, utf8: bool) -> bytes:
        """The same with an enhanced code, where there may be one.

        A service says the same few things again and again: they are kept, for all sessions.
        """
        if self.in_greeting:
            return self._formatted(reply, utf8)
        key = reply.code, reply.text, reply.enhanced, utf8
        known = self._config.known_replies
        octets = known.get(key)
        if octets is None:
            octets = self._formatted(complete(reply), utf8)
            if len(known) < REMEMBERED and len(octets) <= SHORT:
                known[key] = octets
        return octets

    def _formatted(self, reply: Reply, utf8: bool) -> bytes:
        if reply.enhanced is not None and (self.in_greeting or not self._config.enhanced):
            reply = Reply(reply.code, reply.text)
        try:
            return format_reply(reply, utf8=utf8)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error

    def octets_of(self, kind: ReplyKind) -> bytes:
        """The service's own reply of this kind, as it is sent."""
        if self._suffix or self.in_greeting:
            return self.octets(self.text(kind))
        return self._octets[kind]

    # -- queueing

    def put(self, octets: bytes) -> None:
        """Queue a reply."""
        self.queue = self._behind_queue(octets) if self.queue else octets
        self.replies += 1
        if self.trace is not None:
            self.traced.append(("sent", without_proofs(octets)))

    def _behind_queue(self, octets: bytes) -> bytes:
        """The queue with this behind it."""
        if len(self.queue) < PIECE:
            return self.queue + octets
        if not self.before:
            self.before = []
        self.before.append(self.queue)
        self.room -= len(self.queue)
        return octets

    def all_of_it(self) -> bytes:
        """What is queued, where there is something before it."""
        octets = b"".join((*self.before, self.queue))
        self.clear()
        return octets

    def say(self, kind: ReplyKind) -> None:
        """Queue the service's own reply of this kind."""
        # What put() does, once more: a call less for every reply.
        octets = self._octets[kind]
        if self._suffix or self.in_greeting:
            octets = self.octets_of(kind)
        self.queue = self._behind_queue(octets) if self.queue else octets
        self.replies += 1
        if self.trace is not None:
            self.traced.append(("sent", octets))

    def hurry(self) -> None:
        """What is queued must not wait for more input (RFC 2920 §3.2)."""
        self.urgent = True

    def begin(self) -> None:
        """A greeting is to come."""
        self.in_greeting = True

    def clear(self) -> None:
        """Drop what is queued: nobody will read it."""
        self.queue, self.before = b"", NOTHING_BEFORE
        self.room = self._config.limits.output

    # -- the trace

    def trace_with(self, trace: Trace | None) -> None:
        """From now on this is told."""
        self.trace = trace
        self.traced = [*self.traced]

    def note_received(self, octets: bytes) -> None:
        """A line came, and there is a trace; ``octets`` are what may be shown of it."""
        self.traced.append(("received", octets))

    def call_trace(self) -> None:
        """Tell the trace what it was not told yet, once; what it raises passes through."""
        traced, self.traced = self.traced, []
        for direction, octets in traced:
            if self.trace is not None:
                self.trace(direction, octets)
