"""Takes a recorded session apart by means of its own, to compare the engines with."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from tests.transcripts.sessions import Session

from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import ReplyParser

Kind = Literal["command", "response", "data", "chunk", "last chunk"]

NEXT: Final[Mapping[int, Kind]] = {354: "data", 334: "response"}
"""What a client says next after a reply, where that is no command."""
BODY: Final = ("data", "chunk", "last chunk")


@dataclass(frozen=True)
class Turn:
    """What a client said at once, and the replies it got: none where the session broke off.

    ``line`` is without CRLF; of ``data`` it is the stuffed body with its final dot, of a chunk the
    BDAT line. ``content`` are the octets of content in it.
    """

    kind: Kind
    line: bytes
    content: bytes
    replies: tuple[Reply, ...]

    @property
    def verb(self) -> bytes:
        return self.line.split(b" ")[0].upper() if self.kind == "command" else b""


@dataclass(frozen=True)
class Dialogue:
    """A whole session: the greeting, the turns, what the server said unasked at the end."""

    greeting: Reply
    turns: tuple[Turn, ...]
    unasked: tuple[Reply, ...]
    rest: bytes
    """What the client sent of a line or body that it never finished."""

    @property
    def hello(self) -> Reply | None:
        """The last positive reply to EHLO or LHLO."""
        hellos = [
            turn.replies[0]
            for turn in self.turns
            if turn.verb in (b"EHLO", b"LHLO") and turn.replies and turn.replies[0].is_positive
        ]
        return hellos[-1] if hellos else None


@cache
def replies(octets: bytes) -> tuple[tuple[int, Reply], ...]:
    """The replies in a server's octets, each with where it ends."""
    parser = ReplyParser(enhanced=True, max_line=4096)
    parser.receive_data(octets)
    found: list[tuple[int, Reply]] = []
    while (reply := parser.next_reply()) is not None:
        assert isinstance(reply, Reply), (reply, octets)
        found.append((parser.offset, reply))
    assert parser.offset == len(octets)
    return tuple(found)


def unstuffed(body: bytes) -> bytes:
    """The content of a body with its final dot: line by line (RFC 5321 §4.5.2)."""
    assert body == b".\r\n" or body.endswith(b"\r\n.\r\n")
    lines = body[:-3].split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


def read(session: Session) -> Dialogue:
    """Take a session apart."""
    left = session.octets("C")
    said = deque(reply for _, reply in replies(session.octets("S")))
    greeting = said.popleft()
    turns: list[Turn] = []
    accepted = 0
    next_line: Kind = "command"

    def answers(count: int) -> tuple[Reply, ...]:
        return tuple(said.popleft() for _ in range(min(count, len(said))))

    def after_body() -> tuple[Reply, ...]:
        if session.lmtp:
            return answers(accepted)
        prdr = bool(said) and said[0].code == 353
        return answers(accepted + 2 if prdr else 1)

    while left:
        if next_line == "data":
            end = 3 if left.startswith(b".\r\n") else left.find(b"\r\n.\r\n") + 5
            if end < 5 and not left.startswith(b".\r\n"):
                break
            body, left = left[:end], left[end:]
            turns.append(Turn("data", body, unstuffed(body), after_body()))
            next_line, accepted = "command", 0
            continue
        line, crlf, rest = left.partition(b"\r\n")
        if not crlf:
            break
        left = rest
        if next_line == "response":
            turn = Turn("response", line, b"", answers(1))
        elif line[:5].upper() == b"BDAT ":
            size = int(line.split(b" ")[1])
            last = line.upper().endswith(b" LAST")
            content, left = left[:size], left[size:]
            found = after_body() if last else answers(1)
            turn = Turn("last chunk" if last else "chunk", line, content, found)
        else:
            turn = Turn("command", line, b"", answers(1))
        turns.append(turn)
        code = turn.replies[-1].code if turn.replies else 0
        if turn.verb == b"RCPT" and code // 100 == 2:
            accepted += 1
        if turn.verb in (b"MAIL", b"RSET", b"EHLO", b"LHLO", b"HELO") or turn.kind == "last chunk":
            accepted = 0
        next_line = NEXT.get(code, "command")
    return Dialogue(greeting, tuple(turns), tuple(said), left)
