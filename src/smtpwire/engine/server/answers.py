"""Answers to questions whose reply waits for nothing: the table of commands has the default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.session import Replies, Session
from smtpwire.wire.command import Expn, ExtensionRequest, Vrfy
from smtpwire.wire.reply import Reply

__all__ = ["Answer", "answer_extension", "answer_query", "default_kind"]

Answer: TypeAlias = Callable[[Session, Any, Replies], None]
"""Takes the replies given, none being the default: raises LocalProtocolError, or answers."""


def default_kind(word: str) -> ReplyKind:
    """What the engine answers where the application leaves it the decision."""
    kind = COMMANDS[word].default
    assert isinstance(kind, ReplyKind), f"{word} has no reply of its own"  # noqa: S101
    return kind


def answer_query(session: Session, question: Vrfy | Expn, replies: Replies) -> None:
    """2yz tells what was asked (RFC 5321 §3.5)."""
    utf8 = question.smtputf8  # RFC 6531 §3.7.4.2
    answer_or_default(session, replies, default_kind(question.verb), utf8=utf8)


def answer_extension(session: Session, question: ExtensionRequest, replies: Replies) -> None:
    """2yz grants what was asked; a default does only where the verb's entry says so."""
    row = session.offering.plan.rows.get(question.verb.upper().encode())
    default = None if row is None else row.default
    answer_or_default(session, replies, default or ReplyKind.REFUSED)


def answer_or_default(
    session: Session, replies: Replies, default: ReplyKind | Reply, *, utf8: bool = False
) -> None:
    """Queue the reply given, or the default; no input may hold it back."""
    if not replies and isinstance(default, ReplyKind):
        session.outbox.hurry()
        session.answer_by_default(default)
        return
    if isinstance(default, Reply):
        replies = replies or (session.outbox.suffixed(default),)
    reply, octets = session.accept(replies, utf8=utf8)
    session.outbox.hurry()
    session.answer(reply, octets)
