"""Transcripts: any text that is read is written so that it reads the same, and holds no secret.

Input: how long a message may be that is shown; then the text. Its octets are also what both sides
said, in turn.
"""

from fuzz.choices import Choices
from smtpwire.transcript import (
    Elided,
    Item,
    Line,
    Note,
    Octets,
    elide,
    octets_of,
    read,
    read_sessions,
    said,
    without_secrets,
    write,
)


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


def _check_names_line(words: str) -> None:
    assert words.startswith("line "), words


def _check_items(items: list[Item], most: int) -> None:
    open_ones = without_secrets(items)
    assert len(open_ones) == len(items)
    assert without_secrets(open_ones) == open_ones
    written = write(items)
    assert written.isascii() or written.replace("\n", "").isprintable()
    assert read(written) == open_ones
    assert write(open_ones) == written
    for before, after in zip(items, open_ones, strict=True):
        # Only what the client says is changed, and never its line ends or its side.
        assert type(before) is type(after)
        if isinstance(before, Line | Octets) and before != after:
            assert before.side == "C"
            assert isinstance(after, Line | Octets)
            line_ends = before.octets[len(before.octets.rstrip(b"\r\n")) :]
            assert after.octets.endswith(line_ends)
    shorter = elide(items, more_than=most)
    for side in ("C", "S"):
        assert _size(shorter, side) == _size(items, side)
    assert all(isinstance(item, Elided) or item in items for item in shorter)


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
