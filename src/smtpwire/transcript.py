"""A dialogue as text that people read and write: what a trace logs, and ``serve`` prints.

A line of the text is one of these::

    C: EHLO client.example.com      a line that the client said, with CRLF
    S: 250 mx.example.org           a line that the server said
    C| half a line                  octets without a line end
    C: … 1,024 octets               octets that are left out, such as those of a body
    --starttls                      a mark: what happened, or is to happen, besides octets
    ...                             anything: a script goes on as it likes
    # about the next line           a note; so is a line that starts with ``|``

The text is UTF-8. An octet that cannot be shown is ``\\x00`` to ``\\xff``; ``\\r``, ``\\n``,
``\\t`` and ``\\\\`` are written so. A number may stand in front, where the dialogues of several
connections are mixed: ``2 S: 220 mx.example.org``. Empty lines, and blanks at the end of a line,
mean nothing.

What is written holds no secrets: see :func:`without_secrets`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final, get_args

from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.redaction import REDACTED, looks_like_auth, redacted
from smtpwire.engine.redaction import without_echoes as unrepeated
from smtpwire.engine.redaction import without_secrets as shown
from smtpwire.extensions import REGISTRY
from smtpwire.wire.checked import checked, type_of
from smtpwire.wire.octets import UNSEEN
from smtpwire.wire.value import replace, value

if TYPE_CHECKING:
    from logging import Logger

__all__ = [
    "Anything",
    "Elided",
    "Item",
    "Line",
    "Mark",
    "Note",
    "Octets",
    "Side",
    "elide",
    "log_trace",
    "octets_of",
    "read",
    "read_sessions",
    "said",
    "unescaped",
    "without_echoes",
    "without_secrets",
    "write",
]

Side: TypeAlias = Literal["C", "S"]
"""Who said it: the client or the server."""


@final
@value(checked=True)
class Line:
    """A line that one side said; ``octets`` are without its CRLF."""

    side: str
    octets: bytes

    def __post_init__(self) -> None:
        _check_side(self.side)
        if b"\r\n" in self.octets:
            raise ValueError("CRLF in a Line: pass what stands before it, or use said()")


@final
@value(checked=True)
class Octets:
    """Octets that one side said without a line end behind them.

    ``octets``: as they were said.
    """

    side: str
    octets: bytes

    def __post_init__(self) -> None:
        _check_side(self.side)


@final
@value(checked=True)
class Elided:
    """So many octets of one side that are not shown.

    ``size``: how many.
    """

    side: str
    size: int

    def __post_init__(self) -> None:
        _check_side(self.side)
        if self.size < 0:
            raise ValueError(f"size is {self.size}: pass a number of octets, 0 or more")


@final
@value(checked=True)
class Mark:
    """What happened besides octets: ``starttls``, ``drop``, ``reset``, ``wait`` with seconds.

    ``name``: in lower case. ``argument``: what stands behind it.
    """

    name: str
    argument: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no mark: pass lower-case letters and hyphens")
        _check_text("argument", self.argument)


@final
@value(checked=True)
class Note:
    """A remark about the dialogue. One that starts with ``|`` is a line of a message.

    ``text``: one line.
    """

    text: str

    def __post_init__(self) -> None:
        _check_text("text", self.text)


@final
@value
class Anything:
    """Here the dialogue may go on in any way; only a script knows what to do with it."""


Item: TypeAlias = Line | Octets | Elided | Mark | Note | Anything
"""What a transcript consists of."""
_ITEMS: Final = get_args(Item)

_NAME: Final = re.compile(r"[a-z]+(?:-[a-z]+)*")


def _checked(items: Iterable[Item]) -> Iterator[Item]:
    """The items. Raises TypeError for what is none, such as a transcript's text: secrets stay."""
    for item in checked("items", items, Iterable):
        if not isinstance(item, _ITEMS):
            raise TypeError(f"items has {type_of(item)}: pass items, such as read() gives")
        yield item


def _check_side(side: str) -> None:
    if side not in ("C", "S"):
        raise ValueError(f'side is {side!r}: pass "C" for the client, "S" for the server')


def _check_text(name: str, text: str) -> None:
    if text != text.strip() or re.search(UNSEEN, text):
        raise ValueError(f"{name} is {text!r}: pass one line, without blanks around it")


# -- octets and items


def said(side: Side, octets: bytes) -> list[Line | Octets]:
    """What one side said, cut into lines; what has no CRLF behind it is the last item."""
    *lines, rest = checked("octets", octets, bytes).split(b"\r\n")
    items: list[Line | Octets] = [Line(side, line) for line in lines]
    return [*items, Octets(side, rest)] if rest else items


def octets_of(items: Iterable[Item], side: Side) -> bytes:
    """What one side said. Raises ValueError where a part of it is elided."""
    _check_side(side)
    parts = []
    for item in _checked(items):
        match item:
            case Line(said_by, octets) if said_by == side:
                parts.append(octets + b"\r\n")
            case Octets(said_by, octets) if said_by == side:
                parts.append(octets)
            case Elided(said_by, size) if said_by == side and size:
                raise ValueError(f"{size:,} octets of it are elided")
            case _:
                pass
    return b"".join(parts)


# -- reading

_ITEM: Final = re.compile(
    r"(?:(?P<session>[0-9]{1,9})[ ]+)?"
    r"(?:(?P<side>[CS])(?P<kind>[:|])[ ]?(?P<said>.*)"
    r"|--(?P<mark>[a-z][a-z-]*)(?:[ ]+(?P<argument>.*))?"
    r"|(?P<note>[#|])[ ]?(?P<text>.*)"
    r"|(?P<anything>\.\.\.))"
)
_ELIDED: Final = re.compile(r"… ([0-9][0-9,]{0,24}) octets?")
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.)|\Z)")
_CHARACTERS: Final = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}


def read(text: str) -> list[Item]:
    """The items of a transcript. Raises ValueError with the number of the line that is none.

    Also where it holds the dialogues of several connections: :func:`read_sessions` reads those.
    """
    found = read_sessions(text)
    if len(found) > 1:
        numbers = ", ".join(map(str, sorted(found)))
        raise ValueError(f"the transcript holds several connections ({numbers}): choose one")
    return next(iter(found.values()), [])


def read_sessions(text: str) -> dict[int, list[Item]]:
    """The items of each connection, by the number in front; 0 where there is none.

    A note without a number, where others have one, belongs to none and is left out.
    """
    found: dict[int, list[Item]] = {}
    for session, _, item in numbered(text):
        found.setdefault(session or 0, []).append(item)
    if len(found) > 1 and all(isinstance(item, Note) for item in found.get(0, ())):
        found.pop(0, None)
    return found


def numbered(text: str) -> Iterator[tuple[int | None, int, Item]]:
    """Each item, with the number of its connection and that of its line."""
    for number, line in enumerate(checked("text", text, str).split("\n"), 1):
        line = line.strip(" \t\r")
        if not line:
            continue
        found = _ITEM.fullmatch(line)
        if found is None:
            raise ValueError(
                f"line {number} is none of a transcript's:"  # nor shown: a password may stand there
                " begin it with C:, S:, C|, S|, --mark, # or ..."
            )
        try:
            item = _item(found)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        session = found["session"]
        yield None if session is None else int(session), number, item


def _item(found: re.Match[str]) -> Item:
    if found["side"] is not None:
        octets = unescaped(found["said"])
        if found["kind"] == "|":
            return Octets(found["side"], octets)
        if elided := _ELIDED.fullmatch(found["said"]):
            return Elided(found["side"], int(elided[1].replace(",", "")))
        return Line(found["side"], octets)
    if found["mark"] is not None:
        return Mark(found["mark"], found["argument"] or "")
    if found["note"] == "|":  # a blank behind it is the message's own
        return Note(found.string[found.start("note") :])
    if found["note"] is not None:
        return Note(found["text"].strip())
    return Anything()


def unescaped(text: str) -> bytes:
    """The octets that a text with escapes stands for. Raises ValueError for an unknown escape."""
    parts, start = [], 0
    text = checked("text", text, str)
    for found in _ESCAPE.finditer(text):
        parts.append(_encoded(text[start : found.start()]))
        if found[1]:
            parts.append(bytes.fromhex(found[1]))
        elif found[2] in _CHARACTERS:
            parts.append(_CHARACTERS[found[2]])
        else:
            raise ValueError(f"{visible(found[0])} is no escape: a backslash is written \\\\")
        start = found.end()
    parts.append(_encoded(text[start:]))
    return b"".join(parts)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate stands for no octets: write \\x80") from None


# -- writing


def write(items: Iterable[Item], *, session: int | None = None) -> str:
    """The text of a transcript, each line with its newline; secrets are redacted.

    ``session``: the number to put in front of each line. :func:`read` gives the items back, as
    :func:`without_secrets` leaves them.
    """
    front = "" if checked("session", session, int | None) is None else f"{session} "
    return "".join(f"{front}{_text(item)}\n" for item in without_secrets(items))


def _text(item: Item) -> str:
    match item:
        case Line(side, octets):
            text = _escaped(octets)
            if text.startswith("…"):
                text = "\\xe2\\x80\\xa6" + text[1:]
            return f"{side}: {text}" if text else f"{side}:"
        case Octets(side, octets):
            return f"{side}| {_escaped(octets)}"
        case Elided(side, size):
            return f"{side}: … {size:,} octet{'s' * (size != 1)}"
        case Mark(name, argument):
            return f"--{name} {argument}" if argument else f"--{name}"
        case Note(text):
            return text if text.startswith("|") else f"# {text}".rstrip()
        case _:
            return "..."


_SHORT: Final = {"\r": "\\r", "\n": "\\n", "\t": "\\t", "\\": "\\\\"}


def _escaped(octets: bytes) -> str:
    """Printable, and nothing at the end that an editor would strip."""
    parts = []
    for character in octets.decode("utf-8", "surrogateescape"):
        if character in _SHORT:
            parts.append(_SHORT[character])
        else:
            parts.append(visible(character))
    if parts and parts[-1] == " ":
        parts[-1] = "\\x20"
    return "".join(parts)


def visible(text: str) -> str:
    """The text, safe for a terminal: of each character that is not printable, its octets."""
    if text.isprintable():
        return text
    return re.sub(UNSEEN, _octets_of, text)


def _octets_of(found: re.Match[str]) -> str:
    raw = found[0].encode("utf-8", "surrogateescape")
    return "".join(f"\\x{octet:02x}" for octet in raw)


# -- what is left out


def elide(items: Iterable[Item], *, more_than: int = 0) -> list[Item]:
    """The items, with each message that is longer than ``more_than`` octets left out.

    A message is what the client says between 354 and the final dot, or after BDAT.
    """
    checked("more_than", more_than, int)
    kept: list[Item] = []
    body: list[Line | Octets | Elided] = []
    reader = _Reader()

    def end_body() -> None:
        size = sum(map(_size, body))
        if body and size > more_than:
            kept.append(Elided("C", size))
        else:
            kept.extend(body)
        body.clear()

    for item in _checked(items):
        if isinstance(item, _SAID) and reader.place(item) == "body":
            body.append(item)
        else:
            end_body()
            kept.append(item)
    end_body()
    return kept


def _size(item: Line | Octets | Elided) -> int:
    if isinstance(item, Elided):
        return item.size
    return len(item.octets) + 2 * isinstance(item, Line)


def without_secrets(items: Iterable[Item]) -> list[Item]:
    """The items, with what may be a secret redacted: the responses of AUTH, the URL of BURL.

    Of a command that nobody knows only the verb is left, since it may be an AUTH with a slip in it.
    A server's words and the content of messages are left as they are, but for what the server
    repeats of a line that was redacted. Done twice it changes no more than once.
    """
    reader = _Reader()
    return [reader.shown(item) for item in _checked(items)]


def without_echoes(items: Iterable[Item]) -> list[Item]:
    """The same of what the server said alone, so that what the client said can still be judged."""
    reader = _Reader()
    return [
        shown if isinstance(item, _SAID) and item.side == "S" else item
        for item, shown in ((item, reader.shown(item)) for item in _checked(items))
    ]


_OPEN_VERBS: Final = frozenset(
    [row.verb.encode() for row in COMMANDS.values() if row.verb and not row.secret]
    + [verb.name.encode() for entry in REGISTRY for verb in entry.verbs if not verb.secret]
)

_SAID: Final = (Line, Octets, Elided)

_Place: TypeAlias = Literal["command", "response", "body", "reply"]

_PLAIN_WORD: Final = re.compile(rb"[A-Z]?[a-z]{1,11}|[A-Z]{1,11}")
"""A word of a language, such as a reply has without repeating anything."""
_CODE: Final = re.compile(rb"([0-9]{3})(?:[ ]|\Z)")
_BDAT: Final = re.compile(rb"BDAT[ ]+([0-9]{1,15})(?:[ ]+LAST)?[ ]*", re.IGNORECASE)
"""Whole: behind a line of which a part is redacted comes no content, but commands."""


@final
class _Reader:
    """Follows a dialogue: which of the client's octets are commands, secrets, or content."""

    __slots__ = ("_auth", "_hidden", "_left", "_place")

    def __init__(self) -> None:
        self._hidden: deque[bytes] = deque(maxlen=16)  # words that a server may repeat
        self._place: _Place = "command"
        self._left = 0  # octets of a chunk
        self._auth = False  # since the first AUTH a line may be a response that came too late

    def place(self, item: Line | Octets | Elided) -> _Place:
        """What somebody said: a reply, a command, …"""
        if item.side == "S":
            self._reply(item)
            return "reply"
        if self._left:
            self._left = max(0, self._left - _size(item))
            return "body"
        if self._place == "body":
            if isinstance(item, Line) and item.octets == b".":
                self._place = "command"
                return "command"
            return "body"
        if self._place == "command" and isinstance(item, Line):
            self._command(item.octets)
            return "command"
        return self._place

    def _reply(self, item: Line | Octets | Elided) -> None:
        found = _CODE.match(item.octets) if isinstance(item, Line) else None
        if found is None:
            return
        if found[1] == b"354":
            self._place = "body"
        elif found[1] == b"334":
            self._place = "response"
        elif self._place != "command":  # a body that a trace left out, too
            self._place = "command"

    def _command(self, line: bytes) -> None:
        if looks_like_auth(line):
            self._auth = True
            self._place = "response"  # also where it did not wait for 334
        elif found := _BDAT.fullmatch(line):
            self._left = int(found[1])

    def shown(self, item: Item) -> Item:
        """The item as it may be shown."""
        if not isinstance(item, _SAID):
            return item
        place = self.place(item)
        if isinstance(item, Elided) or place == "body":
            return item
        if place == "reply":
            return self._without_echo(item)
        line = item.octets.rstrip(b"\r\n")  # line ends that are octets of their own
        end = item.octets[len(line) :]
        if place == "response":
            line = line if line == b"*" else REDACTED
        elif self._auth and line.partition(b" ")[0].upper() not in _OPEN_VERBS:
            line = redacted(line) if looks_like_auth(line) else _unknown(line)
        else:
            line = line if line in (b".", b"") else shown(line, _OPEN_VERBS)
        self._hide(item.octets, line)
        return replace(item, octets=line + end)

    def _hide(self, said: bytes, shown: bytes) -> None:
        left = shown.split()
        words = (word for word in said.split() if len(word) > 3 and word not in left)
        self._hidden.extend(word for word in words if not _PLAIN_WORD.fullmatch(word))

    def _without_echo(self, item: Line | Octets) -> Item:
        """A server that does not understand a line may say which it was."""
        octets = unrepeated(item.octets, self._hidden)
        return item if octets == item.octets else replace(item, octets=octets)


def _unknown(line: bytes) -> bytes:
    return line if line in (b".", b"") else REDACTED


# -- a trace


def log_trace(
    logger: Logger, role: Literal["client", "server"], *, name: str = "", level: int = 10
) -> Callable[[Literal["sent", "received"], bytes], None]:
    """A function for ``conn.trace`` that logs each line as a transcript's, by default as DEBUG.

    ``role``: of the engine whose trace it is. ``name`` is put in front, such as the peer's address.
    The content of messages is not traced, and no secret is. Raises ValueError for another role,
    TypeError for what is no logger: in the trace it would end a session.
    """
    if not callable(getattr(logger, "isEnabledFor", None)):
        raise TypeError(f"logger is {type_of(logger)}: pass a logging.Logger")
    checked("name", name, str)
    checked("level", level, int)
    if role not in ("client", "server"):
        raise ValueError(f'role is {role!r}: pass "client" or "server"')
    ours, theirs = ("C", "S") if role == "client" else ("S", "C")
    front = f"{name} " if name else ""

    def trace(direction: Literal["sent", "received"], octets: bytes) -> None:
        if logger.isEnabledFor(level):
            side: Side = "C" if (ours if direction == "sent" else theirs) == "C" else "S"
            for item in said(side, octets):
                logger.log(level, "%s%s", front, _text(item))

    return trace
