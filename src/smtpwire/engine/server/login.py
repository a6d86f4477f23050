"""AUTH and its questions (RFC 4954); what plays the exchange is loaded where one is tried first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpwire.engine.events import ServerRequest
from smtpwire.engine.server.session import Replies, Session
from smtpwire.wire.command import Auth
from smtpwire.wire.value import Request

if TYPE_CHECKING:
    from smtpwire.sasl import AuthorizationRequest, SecretRequest, StoredSecret

__all__ = ["answer_authorization", "answer_login", "answer_secret", "auth", "supply"]


def auth(session: Session, command: Auth, line: bytes) -> None:
    """AUTH (RFC 4954 §4)."""
    from smtpwire.engine.server import sasl

    sasl.auth(session, command, line)


def answer_login(session: Session, question: ServerRequest, replies: Replies) -> None:
    """Whether a login is good."""
    from smtpwire.engine.server import sasl

    sasl.answer_login(session, question, replies)


def answer_authorization(
    session: Session, question: AuthorizationRequest, replies: Replies
) -> None:
    """Whether who was proved may act as somebody else."""
    from smtpwire.engine.server import sasl

    sasl.answer_authorization(session, question, replies)


def answer_secret(session: Session, question: SecretRequest, replies: Replies) -> None:
    """What stands for the secret that was asked for."""
    from smtpwire.engine.server import sasl

    sasl.answer_secret(session, question, replies)


def supply(session: Session, secret: StoredSecret | None, to: Request | None) -> None:
    """The secret itself."""
    from smtpwire.engine.server import sasl

    sasl.supply(session, secret, to)
