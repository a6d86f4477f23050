"""Transcripts: any text that is read is written so that it reads the same, and holds no secret.

Input: how long a message may be that is shown; then the text. Its octets are also what both sides
said, in turn.
"""

import re
from contextlib import suppress
from logging import DEBUG, Logger, LogRecord

from fuzz.choices import Choices
from smtpwire.engine.redaction import REDACTED
from smtpwire.transcript import (
    Elided,
    Item,
    Line,
    Note,
    Octets,
    elide,
    log_trace,
    octets_of,
    read,
    read_sessions,
    said,
    without_secrets,
    write,
)
from smtpwire.wire.octets import UNSEEN


def check(data: bytes) -> None:
    choices = Choices(data)
    most = choices.octet()
    octets = choices.rest()
    _check_text(octets.decode("utf-8", "replace"), most)
    _check_said(octets, most)


def _check_text(text: str, most: int) -> None:
    try:
        sessions = read_sessions(text)
    except ValueError as error:
        _check_names_line(str(error))
        return
    for number, items in sessions.items():
        _check_items(items, most)
        again = read_sessions(write(items, session=number))
        assert again in ({number: without_secrets(items)}, {})
        assert again or not items
    if len(sessions) < 2:
        assert read(text) == next(iter(sessions.values()), [])
        return
    with suppress(ValueError):
        read(text)
        raise AssertionError("one was chosen of several")


def _check_names_line(words: str) -> None:
    assert words.startswith("line "), words
    assert not re.search(UNSEEN, words), words


def _check_items(items: list[Item], most: int) -> None:
    open_ones = without_secrets(items)
    assert len(open_ones) == len(items)
    assert without_secrets(open_ones) == open_ones
    written = write(items)
    assert not re.search(UNSEEN, written.replace("\n", ""))
    assert read(written) == open_ones
    assert write(open_ones) == written
    hidden = {REDACTED}
    for before, after in zip(items, open_ones, strict=True):
        # Of what the server says only that is changed which repeats what was redacted before; and
        # never are line ends or the side.
        assert type(before) is type(after)
        if isinstance(before, Line | Octets) and before != after:
            assert isinstance(after, Line | Octets)
            assert before.side == after.side
            line_ends = before.octets[len(before.octets.rstrip(b"\r\n")) :]
            assert after.octets.endswith(line_ends)
            if before.side == "C":
                hidden.update(before.octets.split())
            else:
                assert _is_echo(before.octets, after.octets, hidden), (before, after)
    shorter = elide(items, more_than=most)
    for side in ("C", "S"):
        assert _size(shorter, side) == _size(items, side)
    assert all(isinstance(item, Elided) or item in items for item in shorter)


def _is_echo(before: bytes, after: bytes, hidden: set[bytes]) -> bool:
    """Whether one is the other, but for words that are hidden."""
    first, *others = after.split(REDACTED)
    ends = {len(first)} if before.startswith(first) else set()
    for other in others:
        ends = {end + len(word) for end in ends for word in hidden if before.startswith(word, end)}
        ends = {end + len(other) for end in ends if before.startswith(other, end)}
    return len(before) in ends


def _size(items: list[Item], side: str) -> int:
    """Octets that a side said, shown or not."""
    size = 0
    for item in items:
        if isinstance(item, Line | Octets) and item.side == side:
            size += len(item.octets) + 2 * isinstance(item, Line)
        elif isinstance(item, Elided) and item.side == side:
            size += item.size
    return size


def _check_said(octets: bytes, most: int) -> None:
    """What was said comes back, octet for octet, where nothing had to be redacted."""
    half = len(octets) // 2
    server = said("S", octets[:half])
    client = said("C", octets[half:])
    assert octets_of([*server, *client], "S") == octets[:half]
    assert octets_of([*server, *client], "C") == octets[half:]
    items: list[Item] = [*server, Note("then"), *client]
    _check_items(items, most)
    assert octets_of(read(write(items)), "S") == octets[:half]
    _check_logged(octets[:half], octets[half:])


def _check_logged(sent: bytes, received: bytes) -> None:
    """A line of the log is one of the transcript."""
    lines = _Lines()
    trace = log_trace(lines, "server", name="mx")
    trace("sent", sent)
    trace("received", received)
    whole = [*said("S", sent), *said("C", received)]
    assert read("\n".join(lines.said)) == whole, (lines.said, whole)


class _Lines(Logger):
    """Keeps what is logged, without the name in front."""

    def __init__(self) -> None:
        super().__init__("fuzz", DEBUG)
        self.said: list[str] = []

    def handle(self, record: LogRecord) -> None:
        name, _, line = record.getMessage().partition(" ")
        assert name == "mx"
        self.said.append(line)
