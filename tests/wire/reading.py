"""Reads replies, whole or in pieces."""

from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import DELIVERIES, LINES, ReplyError, ReplyParser

__all__ = ["forget", "read"]


def forget() -> None:
    """All that parsers remember of replies: so every line is read anew."""
    for known in (*DELIVERIES, *LINES):
        known.clear()


def read(*chunks: bytes, **settings: int) -> list[Reply | ReplyError]:
    """All a parser makes of the chunks; it is asked after each of them, and remembers nothing."""
    forget()
    parser = ReplyParser(enhanced=bool(settings.pop("enhanced", True)), **settings)
    items: list[Reply | ReplyError] = []
    for chunk in chunks:
        parser.receive_data(chunk)
        while (item := parser.next_reply()) is not None:
            items.append(item)
            if isinstance(item, ReplyError):
                assert parser.next_reply() is item
                assert not parser.pending
                break
    return items[: next((n + 1 for n, i in enumerate(items) if isinstance(i, ReplyError)), None)]
