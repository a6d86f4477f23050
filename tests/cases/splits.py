"""The ways to cut a case's input into what arrives at once."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from tests.cases.case import Case
from tests.depth import splits

__all__ = ["Way", "ways"]

Way: TypeAlias = list[list[bytes]]
"""Chunk by chunk, the pieces that arrive one after another."""


def ways(case: Case, chunks: Sequence[bytes], waits_behind: bytes | None = None) -> Iterator[Way]:
    """Whole, one octet at a time, in two at every place that is tried; and as given.

    Where the borders between the chunks are fixed, this is done inside each chunk. Strings and
    commands that an application hands in are not cut. Behind the last octet of ``waits_behind``,
    which stands once in the only chunk, there is a border in any case.
    """
    if waits_behind is not None:
        (whole,) = chunks
        before, _, after = whole.partition(waits_behind)
        first = before + waits_behind
        yield from ([[*pieces, after]] for pieces in splits(first))
        yield from ([[first, *pieces]] for pieces in splits(after))
        return
    if case.given.input_kind not in ("octets", "app_message_chunks"):
        yield [[chunk] for chunk in chunks]
        return
    if not case.is_fixed:
        if len(chunks) != 1:
            yield [list(chunks)]
        for pieces in splits(b"".join(chunks)):
            yield [pieces]
        return
    yield [[chunk] for chunk in chunks]
    yield [[bytes([octet]) for octet in chunk] for chunk in chunks]
    for place, chunk in enumerate(chunks):
        for at in range(1, len(chunk)):
            way = [[other] for other in chunks]
            way[place] = [chunk[:at], chunk[at:]]
            yield way
