"""The octets that a server sends, cut into replies."""

from __future__ import annotations

from typing import Final, final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.limits import Limits
from smtpwire.wire.reply_parser import ReplyParser

__all__ = ["EXCERPT", "ReplyStream"]

EXCERPT: Final = 80
"""Characters that are shown of what a peer sent amiss."""


@final
class ReplyStream:
    """The parser, with the places in its octets that tell which command a reply answers.

    Attributes:
        parser: what cuts the octets into replies.
        received: octets given to the parser: since the connection began, or since TLS did.
        start: where in them the next reply starts. Equal to ``received``: there is none of it yet.
        at: where the last reply started, or what was no reply.
        octets_received: so far, under TLS and before.
        replies: read so far.
        eof: the peer has ended its stream.
        trails: what comes now is nobody's reply: it is kept for TLS, or for the opposite role.
    """

    __slots__ = (
        "_limits",
        "_trailing",
        "_untraced",
        "at",
        "eof",
        "octets_received",
        "parser",
        "received",
        "replies",
        "start",
        "trails",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.parser: ReplyParser = _new_parser(limits)
        self._trailing = bytearray()
        self._untraced = bytearray()
        self.received: int = 0
        self.start: int = 0
        self.at: int = 0
        self.octets_received: int = 0
        self.replies: int = 0
        self.eof: bool = False
        self.trails: bool = False

    def receive(self, data: bytes | bytearray | memoryview, traced: bool) -> None:
        """Take octets. LocalProtocolError where the backlog is full; nothing has changed then.

        ``traced``: they are shown to a trace once they have been read.
        """
        if self.trails:
            self._trail(data)
            return
        if self.received - self.parser.offset >= self._limits.backlog:
            raise LocalProtocolError("the backlog is full: read only while wants_data is True")
        size = len(data)
        self.received += size
        self.octets_received += size
        if traced:
            self._untraced += data
        self.parser.receive_data(data)

    @property
    def has_room(self) -> bool:
        """Whether more may be taken."""
        return self.received - self.parser.offset < self._limits.backlog

    @property
    def trailing(self) -> bytes:
        """What was kept and never parsed."""
        return bytes(self._trailing)

    def allow_challenges(self) -> None:
        """The very first challenge may be as long as RFC 4954 §4 lets any line be."""
        limits = self._limits
        self.parser.max_line = min(max(limits.reply_line, limits.sasl_line), limits.backlog)

    def end_challenges(self) -> None:
        """A line may be as long as that of any reply."""
        self.parser.max_line = min(self._limits.reply_line, self._limits.backlog)

    def expect_tls(self) -> None:
        """What comes now is TLS's."""
        self.trails = True

    def restart(self) -> None:
        """TLS has started: what it carries is counted from 0."""
        self.parser = _new_parser(self._limits)
        self._untraced.clear()
        self.received = self.start = 0
        self.eof = self.trails = False

    def stop(self) -> None:
        """Nothing more is read; a trace shows what has come."""
        self.start = self.received
        self.trails = False

    def take_half(self) -> str:
        """How a reply that was not complete starts, in printable ASCII; it is forgotten."""
        octets = self.parser.take_rest()
        return octets[:EXCERPT].decode("latin-1").encode("unicode_escape").decode()

    def hand_over(self) -> None:
        """At the end: what follows the last reply is the opposite role's, to trace too."""
        rest = self.parser.take_rest()
        self._trail(rest)
        if rest:
            del self._untraced[-len(rest) :]
        self.trails = True

    def handed_over(self) -> None:
        """The opposite role has it: nothing more is kept."""
        self.trails = False

    def take_untraced(self) -> bytes:
        """What has been read since a trace last saw it."""
        size = self.start - (self.received - len(self._untraced))
        octets = bytes(self._untraced[: max(size, 0)])
        del self._untraced[: len(octets)]
        return octets

    def _trail(self, data: bytes | bytearray | memoryview) -> None:
        room = self._limits.trailing - len(self._trailing)
        if room > 0:
            self._trailing += bytes(data[:room])


def _new_parser(limits: Limits) -> ReplyParser:
    # Status codes are read whether or not they were offered: the text that looks like one, of the
    # right class on every line, is one; and the greeting comes before any offer.
    return ReplyParser(
        enhanced=True,
        max_line=min(limits.reply_line, limits.backlog),
        max_lines=limits.reply_lines,
        max_octets=min(limits.reply, limits.backlog - 1),
    )
