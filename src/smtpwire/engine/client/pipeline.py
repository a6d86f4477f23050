"""What a client has queued, what waits for its reply, and when each is written (RFC 2920 §3.1)."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from itertools import chain
from typing import Final, Literal, final

from smtpwire.engine.client.kinds import AUTH, DATA, MAIL, OPEN, RCPT, RESPONSE, RSET, Kind
from smtpwire.engine.events import EndOfData
from smtpwire.engine.limits import Limits
from smtpwire.engine.redaction import REDACTED, redacted, without_echoes, without_proofs
from smtpwire.wire.command import Command

__all__ = ["Pipeline", "Step"]

_GROUPED: Final = (RCPT, MAIL, RSET)
"""They may stand anywhere in a group (RFC 2920 §3.1)."""
_USUAL: Final = (RCPT, DATA, MAIL, RSET)
"""They may stand behind those, and take up room in the window."""


@final
class Step:
    """A command from the queue to its reply.

    Attributes:
        command: the application's object.
        kind: its row of the rules.
        octets: what is written; none for a body in chunks that is to open, and of what the window
            does not count none once it is written: sixty-four chunks would be 16 MiB.
        transaction: the number of the one it belongs to, or 0.
        started: octets that had come from the peer when it was handed out: what started before
            them is no reply to it.
    """

    __slots__ = ("command", "kind", "octets", "started", "transaction")

    def __init__(self, command: Command, kind: Kind, octets: bytes, transaction: int = 0) -> None:
        self.command: Command = command
        self.kind: Kind = kind
        self.octets: bytes = octets
        self.transaction: int = transaction
        self.started: int = 0

    @property
    def shown(self) -> bytes:
        """What a trace may show of one that is secret."""
        if self.kind is RESPONSE:
            return REDACTED + b"\r\n"
        if self.kind is AUTH:
            return redacted(self.octets[:-2]) + b"\r\n"
        return self.kind.verb.encode() + b" " + REDACTED + b"\r\n"


@final
class Pipeline:
    """Steps in order: held until they may be written, then in flight until they are answered.

    Attributes:
        held: not yet written.
        flight: written; the oldest gets the next reply.
        out: octets that ``data_to_send()`` hands out next.
        body_octets: how many of them are of a dot-stuffed body.
        commands: written so far.
        octets_sent: handed out so far.
        progress: writes and pieces of a body so far; with the replies it makes a time-out's serial.
        writing: what was handed out may still have to be written.
    """

    __slots__ = (
        "_hidden",
        "_kept_back",
        "_lmtp",
        "_most",
        "_traced",
        "_window",
        "body_octets",
        "commands",
        "flight",
        "held",
        "octets_sent",
        "out",
        "progress",
        "writing",
    )

    def __init__(self, limits: Limits, *, lmtp: bool) -> None:
        self._window = limits.flight
        self._most = limits.in_flight
        self._lmtp = lmtp
        self._hidden: dict[int, bytes] = {}  # what a trace shows instead, by place in ``out``
        self._kept_back: tuple[bytes, ...] = ()  # the last words that a trace was not shown
        self._traced = 0  # of ``out``
        self.held: list[Step] = []
        self.flight: list[Step] = []
        self.out: list[bytes] = []
        self.body_octets: int = 0
        self.commands: int = 0
        self.octets_sent: int = 0
        self.progress: int = 0
        self.writing: bool = False

    # What is called for each command has no keyword arguments: they cost half a call more.

    def release(self, received: int, pipelining: bool, recipients: bool) -> None:
        """Hand over what may be written now.

        received: octets that have come from the peer. pipelining: the server offers it.
        recipients: one has been accepted, so that a body may begin.
        """
        held, flight, out = self.held, self.flight, self.out
        room = self._room() if flight else self._window
        released = 0
        for step in held:
            kind = step.kind
            if flight:
                # In a group of the usual commands only the room counts: no call for each of them.
                fits = (
                    kind in _USUAL
                    and flight[-1].kind in _GROUPED
                    and len(flight) < self._most
                    and len(step.octets) <= room
                )
                if not pipelining or not (fits or self._may_follow(step, room)):
                    break
            elif kind.gated and (kind is OPEN or not recipients):
                break  # next_event() opens the body, or drops its command
            released += 1
            step.started = received
            flight.append(step)
            if kind.secret:
                self._hidden[len(out)] = step.shown
            octets = step.octets
            out.append(octets)
            if kind.counted:
                room -= len(octets)
            else:
                step.octets = b""  # a chunk is large, and the window does not count it
        del held[:released]  # at once: what a list has at its front is dear to take one by one
        self.commands += released

    def can_release(self, pipelining: bool) -> bool:
        """Whether the next one may be written."""
        if not self.flight:
            return True
        return pipelining and self._may_follow(self.held[0], self._room())

    def _room(self) -> int:
        """What is left of the window."""
        return self._window - sum([len(step.octets) for step in self.flight if step.kind.counted])

    def _may_follow(self, step: Step, room: int) -> bool:
        """Whether it may be written before the replies to what is in flight have come."""
        kind = step.kind
        flight = self.flight
        return (
            kind.may_follow(flight[-1].kind)
            and len(flight) < self._most
            and (not kind.counted or len(step.octets) <= room)
            and not (kind.ends_body and self._lmtp)  # RFC 2033 §4.3: it has a reply a recipient
        )

    def body_is_next(self) -> bool:
        """Whether a body is next, and nothing before it waits for its reply."""
        return bool(self.held) and not self.flight and self.held[0].kind.gated

    def holds(self, kind: Kind) -> bool:
        """Whether a command of this kind is not yet written."""
        return any(step.kind is kind for step in self.held)

    def ends_body(self) -> bool:
        """Whether the end of a body is not yet written."""
        return any(step.kind.ends_body for step in self.held)

    def take_end(self) -> Command:
        """Take out the end of the body, whatever stands before it; where none is queued, one."""
        for waiting in (self.flight, self.held):
            for step in waiting:
                if step.kind.ends_body:
                    waiting.remove(step)
                    return step.command
        return EndOfData()

    def kinds(self) -> Iterator[Kind]:
        """What is in flight, and then what is held."""
        return (step.kind for step in chain(self.flight, self.held))

    def drop(self, transaction: int = 0) -> list[Step]:
        """Take out of the queue all of it, or what belongs to a transaction."""
        dropped = [step for step in self.held if not transaction or step.transaction == transaction]
        kept = [step for step in self.held if transaction and step.transaction != transaction]
        self.held = kept
        return dropped

    def drop_before(self, kinds: Container[Kind]) -> list[Step]:
        """Take out of the queue what stands before the first command of these kinds."""
        count = 0
        while count < len(self.held) and self.held[count].kind not in kinds:
            count += 1
        dropped = self.held[:count]
        del self.held[:count]
        return dropped

    def take(self) -> bytes:
        """Hand out all that may be written."""
        out = self.out
        octets = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self.body_octets = 0
        if self._traced or self._hidden:
            self._show_no_more()
        self.writing = True
        self.progress += 1
        self.octets_sent += len(octets)
        return octets

    def count_progress(self) -> None:
        """A time-out starts anew."""
        self.progress += 1

    def clear_out(self) -> None:
        """Nothing is to be handed out any more, or to be written."""
        self.out.clear()
        self.body_octets = 0
        self.writing = False
        self._show_no_more()

    def _show_no_more(self) -> None:
        self._hidden.clear()
        self._traced = 0

    def show(self, trace: Callable[[Literal["sent", "received"], bytes], None]) -> None:
        """Show a trace what is about to be handed out, each part once even where it raises."""
        while self._traced < len(self.out):
            at = self._traced
            self._traced += 1
            octets = self.out[at]
            shown = self._hidden.get(at, octets)
            if shown is not octets:
                left = shown.split()
                words = (word for word in octets.split() if len(word) > 3 and word not in left)
                self._kept_back = (*self._kept_back, *words)[-16:]
            trace("sent", shown)

    def without_echoes(self, octets: bytes) -> bytes:
        """What a trace may show of replies: a server may repeat a line unknown to it."""
        return without_echoes(without_proofs(octets), self._kept_back)
