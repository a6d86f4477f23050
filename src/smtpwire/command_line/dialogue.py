"""A dialogue with what each line is: which reply belongs to which command, and what is content."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from smtpwire.transcript import Elided, Item, Line, Octets, Side, said
from smtpwire.wire.octets import UNSEEN
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import END_OF_DATA, GREETING

__all__ = ["Entry", "Kind", "follow", "is_lmtp", "reply_of"]

Kind: TypeAlias = Literal["command", "response", "content", "reply", "note"]

_REPLY: Final = re.compile(rb"([0-9]{3})(?:([ -])(.*))?", re.DOTALL)
_GREETINGS: Final = (220, 421, 521, 554, 0)
_ENHANCED: Final = re.compile(r"([245]\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2}))(?: |\Z)")


@dataclass(eq=False)
class Entry:
    """An item, and what is known of it.

    ``verb``: of a command, or GREETING or END_OF_DATA, in upper case. ``replies``: of what the
    client said, in order; ``answers``: of a reply, which entry it answers, if any; ``reply``: of a
    reply's last line, the whole of it where it is one.
    """

    item: Item
    kind: Kind
    verb: str = ""
    replies: list[Reply] = field(default_factory=list)
    answers: Entry | None = None
    reply: Reply | None = None


def is_lmtp(items: Iterable[Item]) -> bool:
    """Whether it is LMTP: the client says LHLO."""
    return any(
        isinstance(item, Line) and item.side == "C" and item.octets[:5].upper() == b"LHLO "
        for item in items
    )


def reply_of(lines: list[bytes]) -> Reply | None:
    """The reply that these lines are; None where they are none."""
    texts, codes = [], set()
    for line in lines:
        found = _REPLY.fullmatch(line)
        if found is None:
            return None
        codes.add(int(found[1]))
        texts.append((found[3] or b"").decode("utf-8", "backslashreplace"))
    (code, *others) = codes
    shared = {match[1] if (match := _ENHANCED.match(text)) else None for text in texts}
    enhanced = shared.pop() if len(shared) == 1 else None
    if others or (enhanced is not None and enhanced[0] != str(code)[0]):
        enhanced = None
    if enhanced is not None:
        texts = [text[len(enhanced) + 1 :] for text in texts]
    text = "\n".join(re.sub(UNSEEN, "", text) for text in texts)
    try:
        return None if others else Reply(code, text, enhanced)
    except ValueError:
        return None


def follow(items: Iterable[Item]) -> list[Entry]:
    """Each item with what it is."""
    given = _joined(items)
    follower = _Follower(is_lmtp(given))
    return [follower.entry(item) for item in given]


def _joined(items: Iterable[Item]) -> list[Item]:
    """A line that came in pieces is one line, and what has line ends inside is several."""
    joined: list[Item] = []
    pieces: list[Octets] = []  # of a line that has not ended
    for item in items:
        goes_on = isinstance(item, Line | Octets) and pieces and item.side == pieces[0].side
        if isinstance(item, Octets) and (goes_on or not pieces):
            pieces.append(item)
        elif isinstance(item, Line) and goes_on:
            joined += _said([*pieces, Octets(item.side, item.octets + b"\r\n")])
            pieces = []
        else:
            joined += _said(pieces)
            pieces = [item] if isinstance(item, Octets) else []
            joined += [] if pieces else [item]
    return [*joined, *_said(pieces)]


def _said(pieces: list[Octets]) -> list[Line | Octets]:
    """What one side said, in lines as far as they end; nothing for none."""
    if not pieces:
        return []
    side: Side = "C" if pieces[0].side == "C" else "S"
    return said(side, b"".join(piece.octets for piece in pieces))


class _Follower:
    """Reads a dialogue from its beginning."""

    def __init__(self, lmtp: bool) -> None:
        self._lmtp = lmtp
        self._place: Literal["command", "response", "content"] = "command"
        self._left = 0  # octets of a chunk
        greeting = Entry(Line("S", b""), "reply", GREETING)
        self._owed: deque[Entry] = deque([greeting])
        self._lines: list[bytes] = []
        self._begun = False  # the client has spoken
        self._accepted = 0

    def entry(self, item: Item) -> Entry:
        if not isinstance(item, Line | Octets | Elided):
            return Entry(item, "note")
        if item.side == "S":
            return self._said(item)
        if self._left > 0:
            self._left -= item.size if isinstance(item, Elided) else len(item.octets) + 2
            return Entry(item, "content")
        if self._place == "content" or isinstance(item, Elided):
            if not (isinstance(item, Line) and item.octets == b"."):
                return Entry(item, "content")
            self._place = "command"
            return self._owes(Entry(item, "command", END_OF_DATA), self._recipients())
        if self._place == "response":
            return self._owes(Entry(item, "response", "AUTH"))
        return self._command(item)

    def _owes(self, entry: Entry, replies: int = 1) -> Entry:
        self._owed.extend([entry] * replies)
        return entry

    def _recipients(self) -> int:
        return max(1, self._accepted) if self._lmtp else 1

    def _command(self, item: Line | Octets) -> Entry:
        self._begun = True
        words = item.octets.upper().split()
        verb = words[0].decode("ascii", "replace") if words else ""
        if item.octets == b".":
            return self._owes(Entry(item, "command", END_OF_DATA), self._recipients())
        if verb == "BDAT" and len(words) > 1 and words[1].isdigit() and len(words[1]) < 12:
            self._left = int(words[1])
            if words[-1] == b"LAST":
                return self._owes(Entry(item, "command", END_OF_DATA), self._recipients())
        if verb in ("MAIL", "RSET", "EHLO", "LHLO", "HELO"):
            self._accepted = 0
        return self._owes(Entry(item, "command", verb))

    def _said(self, item: Line | Octets | Elided) -> Entry:
        entry = Entry(item, "reply")
        if isinstance(item, Elided):
            return entry
        if self._place == "content" and not self._owed:  # a trace leaves the content out
            self._owes(Entry(Elided("C", 0), "content", END_OF_DATA), self._recipients())
            self._place = "command"
        self._lines.append(item.octets)
        entry.answers = self._owed[0] if self._owed else None
        if _REPLY.fullmatch(item.octets) and item.octets[3:4] == b"-":
            return entry
        lines, self._lines = self._lines, []
        entry.reply = reply = reply_of(lines)
        code = 0 if reply is None else reply.code
        greetings = (0, 220) if self._begun else _GREETINGS
        if self._owed and self._owed[0].verb == GREETING and code not in greetings:
            self._owed.popleft()  # the beginning of the dialogue is missing
            entry.answers = self._owed[0] if self._owed else None
        if self._owed:
            answered = self._owed.popleft()
            if reply is not None:
                answered.replies.append(reply)
                self._answered(answered, reply)
        return entry

    def _answered(self, entry: Entry, reply: Reply) -> None:
        self._place = "command"
        if reply.code == 334:
            self._place = "response"
        elif reply.code == 354:
            self._place = "content"
        elif entry.verb == "RCPT" and reply.is_positive:
            self._accepted += 1
