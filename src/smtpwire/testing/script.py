"""A peer that plays its part of a transcript, and says where the other side did not.

::

    script = Script('''
        ...
        C: RCPT ...
        S: 421 4.3.2 Going down
        --drop
    ''')

The lines are those of ``smtpwire.transcript``. The script plays the server, or with
``plays="client"`` the client; the other side's lines are what is expected of it. In those,

- ``...`` is whatever comes up to what follows it in the line; the case of the first word is free;
- a line that is ``...`` alone is one line, or, before another line of that side, all up to it;
- ``{name}`` is what comes there; from then on, ``{name}`` is that text, and in a line of the
  script's own it is said. ``values`` are known beforehand;
- ``… 1,024 octets`` is as many octets, whatever they are;
- before ``250 …`` of a reply its other lines, ``250-…``, need not stand.

``\\x2e``, ``\\x7b`` and ``\\x7d`` are a dot and braces that mean nothing. A line that is only
``...``, of no side, is what an ordinary dialogue has there: a server answers by itself, until the
client says what the script expects next; a client takes
a reply, or all that comes up to the reply that is expected next.

Marks: ``--drop`` closes the connection, ``--reset`` resets it, ``--wait 3`` says nothing for three
seconds, ``--starttls`` is the place of the handshake, ``--end`` expects that the other side closes.
At its end a script closes the connection.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar, final

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.events import ServerEvent
from smtpwire.engine.need import Need
from smtpwire.engine.redaction import looks_like_auth, redacted
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.extensions import CHUNKING
from smtpwire.operations.operation import Operation
from smtpwire.sasl.questions import PasswordLogin, SecretRequest
from smtpwire.sasl.stored import PlainPassword
from smtpwire.testing.pair import SIMULATED_TLS
from smtpwire.transcript import (
    Anything,
    Elided,
    Item,
    Line,
    Mark,
    Note,
    Octets,
    numbered,
    said,
    unescaped,
    visible,
    write,
)
from smtpwire.wire.checked import checked
from smtpwire.wire.command import Rcpt
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace, value

if TYPE_CHECKING:
    from smtpwire.testing.loopback import ScriptedClient, ScriptedServer

__all__ = ["Player", "Script", "ScriptDiffers", "Send", "Step", "Wait"]

R = TypeVar("R")

Role: TypeAlias = Literal["server", "client"]
_MARKS: Final = ("drop", "end", "reset", "starttls", "wait")
_TOKEN: Final = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|.)|\.\.\.|\{[a-z_][a-z0-9_]*\}|.", re.DOTALL)
_TOKEN_ALONE: Final = re.compile(r"\.\.\.|\{[a-z_][a-z0-9_]*\}")
_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_NO_VALUES: Final[Mapping[str, str]] = {}
_CONFIG: Final = ServerConfig.relay("mx.example.org")
_ANSWER: Final = Callable[[ServerEvent], object] | None


@final
class ScriptDiffers(SmtpwireError, AssertionError):
    """The other side did something else than the script says; the text shows both."""


class Step(Enum):
    """What a player needs of its driver, besides sending and waiting."""

    READ = "read"
    """Read, and ``receive_data()``; b"" at the end of the stream."""
    TLS = "TLS"
    """Do the handshake, then ``tls_started()``."""
    DROP = "drop"
    """Close the connection. It stays DROP."""
    RESET = "reset"
    """Close it with a reset. It stays RESET."""


@final
@value
class Send:
    """Send these octets."""

    octets: bytes


@final
@value
class Wait:
    """Let so many seconds pass."""

    seconds: float


@final
@value
class _Part:
    """One line of a script: its item, its number, and the text behind ``C: ``, unread."""

    item: Item
    number: int
    text: str

    @property
    def side(self) -> str:
        return self.item.side if isinstance(self.item, Line | Octets | Elided) else ""

    @property
    def anything(self) -> bool:
        return isinstance(self.item, Line) and self.text == "..."


@final
class Script:
    """A dialogue to be played: see the module. It may be played any number of times.

    ``plays``: "server" or "client". ``values``: what placeholders stand for. ``config``: of the
    server that answers at ``...``, by default a relay's; it takes mail for everybody, lets
    everybody in, and offers no CHUNKING.
    Raises ValueError for a text that is no script, with the number of the line.
    """

    def __init__(
        self,
        text: str,
        *,
        plays: Role = "server",
        values: Mapping[str, str] = _NO_VALUES,
        config: ServerConfig = _CONFIG,
    ) -> None:
        if plays not in ("server", "client"):
            raise ValueError(f'plays is {plays!r}: pass "server" or "client"')
        for name, given in checked("values", values, Mapping).items():
            checked(f"values[{name!r}]", given, str)
        self.plays: Final[Role] = plays
        # What it is told comes line by line, and chunks are not made of lines.
        offer = [item for item in checked("config", config, ServerConfig).offer if item != CHUNKING]
        self.config: Final = replace(config, offer=tuple(offer))
        self.values: Final = dict(values)
        self.parts: Final = tuple(_parts(checked("text", text, str), plays, values))

    def run(self, conn: ClientConnection, operation: Operation[R]) -> R:
        """Play the server to a client's operation, in memory; give its result.

        TLS is simulated. At ``--wait`` no time passes: where ``conn.timeout`` is no longer than
        that, the engine is told that it is over. What the operation raises is raised; but
        ScriptDiffers where the client did not keep to the script.
        """
        self._must_play("server")
        checked("conn", conn, ClientConnection)
        checked("operation", operation, Generator)
        return _run(Player(self), conn, operation)

    def call(
        self, conn: ServerConnection, answer: Callable[[ServerEvent], object] | None = None
    ) -> list[ServerEvent]:
        """Play the client to a server's engine, in memory; give the events that it told.

        ``answer`` is called with each question and answers it by ``conn.reply()``; None: the
        engine's own answers. Raises ScriptDiffers where the server does not keep to the script.
        """
        self._must_play("client")
        checked("conn", conn, ServerConnection)
        checked("answer", answer, _ANSWER)
        return _call(Player(self), conn, answer)

    def listen(self, *, timeout: float = 10.0) -> ScriptedServer:
        """Play the server at a loopback socket, in a thread: ``with script.listen() as server``.

        ``server.host`` and ``server.port`` say where. It is a context manager for ``async with``,
        too, with asyncio and with trio. Each connection is played the script from its beginning.
        At the end of the block ScriptDiffers is raised where one did not keep to it, said nothing
        for ``timeout`` seconds, or where nobody came; RuntimeError where no certificate can be made
        for its ``--starttls``.
        """
        from smtpwire.testing.loopback import ScriptedServer

        self._must_play("server")
        return ScriptedServer(self, timeout)

    def connect(self, host: str, port: int, *, timeout: float = 10.0) -> ScriptedClient:
        """Play the client to a server at a socket, in a thread; a context manager as ``listen()``.

        At the end of the block the script has been played to its end.
        """
        from smtpwire.testing.loopback import ScriptedClient

        self._must_play("client")
        return ScriptedClient(self, host, port, timeout)

    def _must_play(self, role: Role) -> None:
        if self.plays != role:
            raise ValueError(f'this script plays the {self.plays}: pass plays="{role}"')


def _parts(text: str, plays: Role, values: Mapping[str, str]) -> Iterator[_Part]:
    lines = text.split("\n")
    ours = "S" if plays == "server" else "C"
    known = set(values)
    for _, number, item in numbered(text):
        if isinstance(item, Note):
            continue
        line = lines[number - 1].strip()
        part = _Part(item, number, re.sub(r"\A(?:[0-9]+[ ]+)?[CS][:|][ ]?", "", line))
        try:
            _check(part, ours, known)
        except ValueError as error:
            if looks_like_auth(part.text.encode()):
                line = redacted(part.text.encode()).decode()
            raise ValueError(f"line {number}, {line!r}: {error}") from None
        yield part


def _check(part: _Part, ours: str, known: set[str]) -> None:
    item = part.item
    if isinstance(item, Mark):
        if item.name not in _MARKS:
            raise ValueError(f"no mark of a script, which are {', '.join(_MARKS)}")
        if item.name == "wait" and not _SECONDS.fullmatch(item.argument):
            raise ValueError("pass the seconds: --wait 3")
        return
    names = {token[1:-1] for token in _TOKEN.findall(part.text) if _is_placeholder(token)}
    if part.side != ours:
        if isinstance(item, Octets) and (names or "..." in part.text):
            raise ValueError("octets without a line end are expected as they are: no ... and {}")
        _check_twice(part.text, known)
        known |= names
        return
    if isinstance(item, Elided):
        raise ValueError("elided octets cannot be said")
    if "..." in _TOKEN.findall(part.text):
        raise ValueError("... cannot be said: for three dots write \\x2e\\x2e\\x2e")
    if unknown := names - known:
        raise ValueError(f"nobody has said what {{{min(unknown)}}} is: pass it in values")


def _check_twice(text: str, known: set[str]) -> None:
    """Raise ValueError where nobody could tell where a name that comes twice ends."""
    _, gaps = _taken_apart(text, dict.fromkeys(known, b""))
    for number, name in enumerate(gaps):
        if name in gaps[:number] and name is not None and name != gaps[0]:
            raise ValueError(
                f"{{{name}}} comes twice, behind what may be anything: let a line before have it"
            )


def _is_placeholder(token: str) -> bool:
    return len(token) > 2 and token[0] == "{"


@final
class Player:
    """One run of a script, without I/O: octets in, steps out. See :class:`Step`."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._ours: Final[Literal["C", "S"]] = "S" if script.plays == "server" else "C"
        self._theirs: Final[Literal["C", "S"]] = "C" if script.plays == "server" else "S"
        self._parts = script.parts
        self._at = 0
        self._input = b""
        self._eof = False
        self._end: Step | None = None
        self._values = {name: text.encode() for name, text in script.values.items()}
        self._dialogue: list[Item] = []
        self._difference: tuple[str, str] | None = None
        self._ordinary: _Ordinary | None = None
        if self._ours == "S" and any(isinstance(part.item, Anything) for part in self._parts):
            self._ordinary = _Ordinary(script.config)
            if not isinstance(self._parts[0].item, Anything):
                self._ordinary.take()

    @property
    def dialogue(self) -> tuple[Item, ...]:
        """What has been said so far."""
        return tuple(self._dialogue)

    @property
    def difference(self) -> str:
        """The dialogue, and how it differs from the script; "" where it does not."""
        if self._difference is None:
            return ""
        expected, found = self._difference
        other = "client" if self._theirs == "C" else "server"
        left = len(self._parts) - self._at - 1
        rest = f"\n  ({left} more of the script's lines)" if left > 0 else ""
        said = "".join(f"  {line}\n" for line in write(self._dialogue).splitlines())
        where = (
            f" at line {self._parts[self._at].number}" if self._at < len(self._parts) else " there"
        )
        return f"the {other} differs from the script{where}:\n{said}- {expected}\n+ {found}{rest}"

    def receive_data(self, octets: bytes) -> None:
        """What the other side said; b"" where it has closed."""
        self._input += octets
        self._eof = self._eof or not octets

    def tls_started(self) -> None:
        """The handshake that TLS asked for is done."""
        self._dialogue.append(Mark("starttls"))
        self._at += 1
        if self._ordinary is not None:
            self._ordinary.start_tls()

    def failed(self, found: str) -> None:
        """The other side cannot go on as the script says, such as by silence: ``found``."""
        if self._at == len(self._parts) - 1 and isinstance(self._parts[-1].item, Anything):
            self._end = self._end or Step.DROP  # silence is anything, too
        elif self._end is None:
            self._differ(found)

    def next_step(self) -> Step | Send | Wait:
        """What the driver is to do now."""
        while True:
            if self._end is not None:
                return self._end
            if self._at == len(self._parts):
                self._end = Step.DROP
            elif (step := self._play(self._parts[self._at])) is not None:
                return step

    def _play(self, part: _Part) -> Step | Send | Wait | None:
        match part.item:
            case Mark():
                return self._mark(part.item)
            case Anything():
                return self._anything()
            case _ if part.side == self._ours:
                return self._say()
            case Elided(_, size):
                return self._skip(part.item, size)
            case Octets():
                return self._expect_octets(unescaped(part.text))
            case _:
                return self._expect(part)

    # -- what the script says

    def _say(self) -> Send:
        first = self._at
        while self._at < len(self._parts) and self._parts[self._at].side == self._ours:
            self._at += 1
        octets = b"".join(map(self._octets, self._parts[first : self._at]))
        if self._ordinary is not None:
            self._ordinary.answered(octets)
        return self._send(octets)

    def _octets(self, part: _Part) -> bytes:
        said = b"".join(
            self._values[token[1:-1]] if _is_placeholder(token) else _literal(token)
            for token in _TOKEN.findall(part.text)
        )
        return said + b"\r\n" * isinstance(part.item, Line)

    def _send(self, octets: bytes) -> Send:
        self._dialogue += said(self._ours, octets)
        return Send(octets)

    def _mark(self, mark: Mark) -> Step | Wait | None:
        if mark.name == "end":
            if self._input:
                self._differ(self._next_line() or "")
                return None
            if not self._eof:
                return Step.READ
            self._end = Step.DROP
        elif mark.name in ("drop", "reset"):
            self._end = Step[mark.name.upper()]
        elif mark.name == "starttls":
            return Step.TLS
        self._at += 1
        if mark.name == "wait":
            self._dialogue.append(mark)
            return Wait(float(mark.argument))
        return None

    # -- what it expects

    def _line(self) -> Line | Octets | None:
        """The next line that came; octets where LF alone ends it, or the stream."""
        end = self._input.find(b"\n") + 1
        if not end and not (self._eof and self._input):
            return None
        octets = self._input[:end] if end else self._input
        if octets.endswith(b"\r\n"):
            return Line(self._theirs, octets[:-2])
        return Octets(self._theirs, octets)

    def _taken(self, line: Line | Octets) -> None:
        self._input = self._input[len(line.octets) + 2 * isinstance(line, Line) :]
        self._dialogue.append(line)

    def _expect(self, part: _Part) -> Step | None:
        line = self._line()
        if line is None:
            return self._wanting()
        after = self._parts[self._at + 1] if self._at + 1 < len(self._parts) else None
        if part.anything and after is not None and _is_line(after, part.side):
            if self._matches(after, line):
                self._at += 2
            self._taken(line)
        elif part.anything and isinstance(line, Line):
            self._at += 1
            self._taken(line)
        elif self._matches(part, line):
            self._at += 1
            self._taken(line)
            if self._ordinary is not None:
                self._ordinary.consumed(line)
        elif _is_other_line_of(part, line):
            self._taken(line)
        else:
            self._differ(self._shown(line))
        return None

    def _expect_octets(self, octets: bytes) -> Step | None:
        if not self._eof and len(self._input) < len(octets) and octets.startswith(self._input):
            return Step.READ
        if not self._input.startswith(octets):
            said = Octets(self._theirs, self._input)
            self._differ(self._shown(said) if self._input else _CLOSED)
            return None
        self._at += 1
        self._taken(Octets(self._theirs, octets))
        return None

    def _skip(self, item: Elided, size: int) -> Step | None:
        if len(self._input) < size:
            return self._wanting()
        self._input = self._input[size:]
        self._dialogue.append(item)
        self._at += 1
        return None

    def _wanting(self) -> Step | None:
        if self._eof:
            self._differ(_CLOSED)
            return None
        return Step.READ

    def _matches(self, part: _Part, line: Line | Octets) -> bool:
        if not isinstance(line, Line):
            return False
        found = _captured(part.text, line.octets, self._values)
        if found is None:
            return False
        self._values.update(found)
        return True

    def _next_line(self) -> str:
        line = self._line()
        return self._shown(Octets(self._theirs, self._input) if line is None else line)

    def _differ(self, found: str) -> None:
        expected = "(the end of the script)"
        if self._at < len(self._parts):
            part = self._parts[self._at]
            if isinstance(part.item, Anything) and self._at + 1 < len(self._parts):
                self._at += 1
                part = self._parts[self._at]
            expected = f"{part.side}: {part.text}" if part.side else part.text
            if part.side == "C" and self._holds_a_secret(part.text):
                expected = self._shown(Line("C", part.text.encode()))
        if found == expected:
            found += " (another secret)"
        self._difference = (visible(expected), visible(found))
        self._end = Step.DROP

    def _holds_a_secret(self, text: str) -> bool:
        """Whether a line of the script is AUTH or a response, or BURL, and gives its words."""
        last = self._dialogue[-1] if self._dialogue else None
        words = text.split()
        if isinstance(last, Line) and last.side == "S" and last.octets.startswith(b"334"):
            secrets = words
        elif looks_like_auth(text.encode()):
            secrets = words[2:]
        else:
            secrets = words[1:] if words[:1] == ["BURL"] else []
        return not all(map(_TOKEN_ALONE.fullmatch, secrets))

    def _shown(self, item: Item) -> str:
        """An item behind what has been said, which tells what in it is a secret."""
        return write([*self._dialogue, item]).splitlines()[-1]

    # -- where anything may come

    def _anything(self) -> Step | Send | None:
        following = self._parts[self._at + 1] if self._at + 1 < len(self._parts) else None
        if self._ordinary is None:
            return self._any_reply(following)
        if octets := self._ordinary.take():
            return self._send(octets)
        if following is not None and following.side != self._theirs:
            self._at += 1
            return None
        line = self._line()
        if line is None:
            return self._wanting_any(following)
        self._taken(line)
        if following is not None and self._matches(following, line):
            self._at += 2
            self._ordinary.consumed(line)
            return None
        self._ordinary.receive_data(_octets_of(line))
        return None

    def _any_reply(self, following: _Part | None) -> Step | None:
        """Up to the expected reply; one reply, if it is the client's turn; or all that comes."""
        line = self._line()
        if line is None:
            return self._wanting_any(following)
        self._taken(line)
        if following is None:
            return None
        if following.side == self._theirs:
            self._at += 2 * self._matches(following, line)
        elif re.match(rb"[0-9]{3}(?:[ ]|\Z)", line.octets):
            self._at += 1
        return None

    def _wanting_any(self, following: _Part | None) -> Step | None:
        if self._eof and following is None:
            self._end = Step.DROP
            return None
        return self._wanting()


_CLOSED: Final = "(the connection was closed)"


def _is_line(part: _Part, side: str) -> bool:
    return isinstance(part.item, Line) and part.side == side and not part.anything


def _is_other_line_of(part: _Part, line: Line | Octets) -> bool:
    """Whether a reply goes on behind this line, to the one that is expected."""
    code = part.text[:3].encode()
    return (
        part.side == "S"
        and re.fullmatch(rb"[0-9]{3}", code) is not None
        and line.octets.startswith(code + b"-")
        and part.text[3:4] != "-"
    )


def _octets_of(line: Line | Octets) -> bytes:
    return line.octets + b"\r\n" * isinstance(line, Line)


def _literal(token: str) -> bytes:
    return unescaped(token)


def _captured(text: str, line: bytes, values: Mapping[str, bytes]) -> dict[str, bytes] | None:
    """What the names in an expected line stand for, where this line is it; else None.

    ``...`` takes as much as it can, a name as little. The time is in proportion to the line, or to
    its square where a name comes twice: only the first one may.
    """
    chunks, gaps = _taken_apart(text, values)
    if gaps and gaps[0] is not None and gaps[0] in gaps[1:]:
        return _captured_twice(text, line, values, chunks[0], gaps[0])
    starts = [_starts(pattern, line) for pattern, _ in chunks]
    starts[0] = starts[0][:1] if starts[0][:1] == [0] else []
    starts[-1] = [start for start in starts[-1] if start + chunks[-1][1] == len(line)]
    last, limit = [0] * len(chunks), len(line)  # where each can stand at the latest
    for number in reversed(range(len(chunks))):
        fitting = bisect_right(starts[number], limit - chunks[number][1])
        if not fitting:
            return None
        last[number] = starts[number][fitting - 1]
        limit = last[number] - (number > 0 and gaps[number - 1] is not None)
    found, at = dict[str, bytes](), chunks[0][1]
    for name, places, latest, (_, size) in zip(gaps, starts[1:], last[1:], chunks[1:], strict=True):
        start = latest
        if name is not None:
            start = places[bisect_left(places, at + 1)]
            found[name] = line[at:start]
        at = start + size
    return found


def _starts(pattern: bytes, line: bytes) -> list[int]:
    return [found.start() for found in re.finditer(b"(?=%s)" % pattern, line)]


def _captured_twice(
    text: str, line: bytes, values: Mapping[str, bytes], chunk: tuple[bytes, int], name: str
) -> dict[str, bytes] | None:
    """The same where the first name, of which nothing is known, comes again in the line."""
    pattern, start = chunk
    if not re.match(pattern, line):
        return None
    for end in range(start + 1, len(line) + 1):
        value = {name: line[start:end]}
        found = _captured(text, line, {**values, **value})
        if found is not None:
            return value | found
    return None


def _taken_apart(
    text: str, values: Mapping[str, bytes]
) -> tuple[list[tuple[bytes, int]], list[str | None]]:
    """An expected line: patterns of octets, with how many these are, and what is between them.

    That is a name, or None for ``...``. The verb may be in either case (RFC 5321 §2.4).
    """
    chunks, gaps = [(b"", 0)], list[str | None]()
    verb, end = True, ":" if text.upper().startswith(("MAIL FROM:", "RCPT TO:")) else " "
    for token in _TOKEN.findall(text):
        name = token[1:-1] if _is_placeholder(token) else ""
        if token == "..." or (name and name not in values):  # noqa: S105 - a token of the text
            gaps.append(name or None)
            chunks.append((b"", 0))
        else:
            octets = values[name] if name else _literal(token)
            pattern = re.escape(octets)
            if verb and not name:
                pattern = b"(?i:%s)" % pattern
            before, size = chunks[-1]
            chunks[-1] = before + pattern, size + len(octets)
        verb = verb and token != end
    return chunks, gaps


@final
class _Ordinary:
    """The server behind ``...``: an engine that takes mail for everybody.

    It is told what the script answered in its stead as far as that changes its state.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._conn = ServerConnection(config)
        self._consumed = b""

    @property
    def closed(self) -> bool:
        """Whether the session has ended, as by QUIT."""
        return self._conn.state is State.CLOSED

    def receive_data(self, octets: bytes) -> None:
        """What the client said that is left to it."""
        self._consumed = b""
        if not self.closed:
            self._conn.receive_data(octets)

    def take(self) -> bytes:
        """What it answers."""
        taken = b""
        while True:
            item = self._conn.next_event()
            if isinstance(item, Request):
                self._answer(item)
            elif isinstance(item, Need):
                taken += self._conn.data_to_send()
                if item is not Need.WRITE:
                    return taken

    def _answer(self, question: Request) -> None:
        conn = self._conn
        match question:
            case Rcpt():
                conn.reply(Reply(250, "Recipient OK", "2.1.5"))
            case PasswordLogin():
                conn.reply(Reply(235, "Authenticated", "2.7.0"))
            case SecretRequest():
                conn.supply(PlainPassword("password"))
            case _:
                conn.reply()

    def consumed(self, line: Line | Octets) -> None:
        """The script answers this line."""
        self._consumed += _octets_of(line)

    def answered(self, octets: bytes) -> None:
        """The script's answer: what it grants has happened."""
        granted = octets[:1] in (b"2", b"3") or self._conn.state is State.DATA
        if self._consumed and granted and not self.closed:
            self._conn.receive_data(self._consumed)
            self.take()
        self._consumed = b""

    def start_tls(self) -> None:
        """A new session, without a greeting."""
        self._conn = ServerConnection(self._config, tls=SIMULATED_TLS)
        self.take()


# -- in memory


def _run(player: Player, conn: ClientConnection, operation: Operation[R]) -> R:
    try:
        while True:
            _meet(player, conn, next(operation))
    except StopIteration as stop:
        result: R = stop.value
    except Exception as error:
        _raise_difference(player, error)
        raise
    if octets := conn.data_to_send():
        player.receive_data(octets)
    while (step := player.next_step()) not in (Step.DROP, Step.RESET):
        if step is Step.READ:
            player.receive_data(b"")
        elif step is Step.TLS:
            player.failed(_NO_HANDSHAKE)
    _raise_difference(player, None)
    return result


_NO_HANDSHAKE: Final = "(no handshake)"
_SILENCE: Final = "(nothing: it waits)"
_RESET: Final = "connection reset by peer"


def _meet(player: Player, conn: ClientConnection, need: Need) -> None:
    """Let the player act until it waits for the client."""
    if need is Need.BODY:
        raise TypeError("the content is HANDED_IN: pass the content itself")
    if octets := conn.data_to_send():
        player.receive_data(octets)
    moved = need is Need.WRITE
    while True:
        step = player.next_step()
        if isinstance(step, Send):
            conn.receive_data(step.octets)
            moved = True
        elif isinstance(step, Wait):
            if conn.timeout is not None and conn.timeout.seconds <= step.seconds:
                conn.timed_out()
                moved = True
        elif step is Step.TLS and need is Need.TLS:
            player.tls_started()
            conn.tls_started(SIMULATED_TLS)
            return
        elif step is Step.RESET:
            conn.abort(_RESET)
            return
        elif step is Step.DROP:
            if need is Need.TLS:
                conn.tls_failed("the connection was closed")
            else:
                conn.receive_data(b"")
            return
        elif moved:
            return
        else:
            player.failed(_SILENCE if step is Step.READ else _NO_HANDSHAKE)


def _call(
    player: Player, conn: ServerConnection, answer: Callable[[ServerEvent], object] | None
) -> list[ServerEvent]:
    events: list[ServerEvent] = []
    while True:
        need = _pull(conn, events, answer)
        if octets := conn.data_to_send():
            player.receive_data(octets)
        if need is Need.WRITE:
            continue
        if need is Need.CLOSE:
            player.receive_data(b"")
        step = player.next_step()
        match step:
            case Send(said) if need is not Need.CLOSE:
                conn.receive_data(said)
            case Wait(seconds):
                if conn.timeout is not None and conn.timeout.seconds <= seconds:
                    conn.timed_out()
            case Step.TLS if need is Need.TLS:
                player.tls_started()
                conn.tls_started(SIMULATED_TLS)
            case Step.TLS:
                player.failed(_NO_HANDSHAKE)
            case Step.READ if not octets:
                player.failed(_SILENCE)
            case Step.DROP | Step.RESET:
                if step is Step.RESET:
                    conn.abort(_RESET)
                elif need is not Need.CLOSE:
                    conn.receive_data(b"")
                _pull(conn, events, answer)
                _raise_difference(player, None)
                return events
            case _:
                pass


def _pull(
    conn: ServerConnection,
    events: list[ServerEvent],
    answer: Callable[[ServerEvent], object] | None,
) -> Need:
    while not isinstance(item := conn.next_event(), Need):
        events.append(item)
        if isinstance(item, Request):
            if answer is None:
                conn.reply()
            else:
                answer(item)
    return item


def _raise_difference(player: Player, error: Exception | None) -> None:
    if player.difference:
        raise ScriptDiffers(player.difference) from error
