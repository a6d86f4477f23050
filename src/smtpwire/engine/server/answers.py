"""What the answer to a question does: README's table of questions, as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from smtpwire.engine.events import ServerRequest
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server.session import Replies, Session
from smtpwire.wire.command import Expn, Vrfy

__all__ = ["Answer", "grant"]

Answer: TypeAlias = Callable[[Session, Any, Replies], None]
"""Takes the replies given, none being the default: raises LocalProtocolError, or answers."""


def grant(default: ReplyKind, *, granted: Callable[[Session, Any], None] | None = None) -> Answer:
    """A question whose answer waits for nothing: 2yz grants what was asked, 4yz and 5yz refuse it.

    ``default``: what is said where no reply is given. ``granted``: what a 2yz that is given does.
    """

    def answer(session: Session, question: ServerRequest, replies: Replies) -> None:
        if not replies:
            session.outbox.hurry()
            session.answer_by_default(default)
            return
        utf8 = isinstance(question, Vrfy | Expn) and question.smtputf8  # RFC 6531 §3.7.4.2
        reply, octets = session.accept(replies, utf8=utf8)
        session.outbox.hurry()
        session.answer(reply, octets)
        if granted is not None and reply.is_positive:
            granted(session, question)

    return answer
