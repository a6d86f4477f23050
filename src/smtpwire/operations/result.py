"""What became of a message: a result a recipient."""

from __future__ import annotations

from typing import final

from smtpwire.wire.address import Address
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import value

__all__ = ["MessageRefused", "RecipientResult", "SendResult"]


@final
@value
class RecipientResult:
    """What became of the message for one recipient.

    reply: the one that decided; None where none came.
    outcome: DONE, RETRY (later), PERMANENT, or UNKNOWN: the message had left and no verdict came,
        so that another attempt may deliver it twice (RFC 5321 §4.5.3.2.6).
    command: what was refused or lost: "MAIL", "RCPT", "DATA", "BDAT" (a chunk before the last), or
        ``END_OF_DATA``; "" where the outcome is DONE.
    reason: why, where no reply says it: how the connection ended, or why nothing was sent.
    session_used_up: the server takes no more of it in this session (RFC 9422), and the recipient
        was not tried: another connection may go on at once.
    """

    recipient: Address
    reply: Reply | None
    outcome: Disposition
    command: str = ""
    reason: str = ""
    session_used_up: bool = False


@final
@value
class SendResult:
    """What became of the message, recipient by recipient, in order, duplicates kept.

    ``recipients``: a result each.
    """

    recipients: tuple[RecipientResult, ...]

    @property
    def accepted(self) -> tuple[RecipientResult, ...]:
        """The recipients the server has taken responsibility for."""
        return tuple(item for item in self.recipients if item.outcome is Disposition.DONE)

    @property
    def refused(self) -> tuple[RecipientResult, ...]:
        """All others: refused now or for good, or not known."""
        return tuple(item for item in self.recipients if item.outcome is not Disposition.DONE)

    @property
    def retry(self) -> tuple[RecipientResult, ...]:
        """Those to try again later: refused with 4yz, or not tried."""
        return self._with(Disposition.RETRY)

    @property
    def permanent(self) -> tuple[RecipientResult, ...]:
        """Those refused for good: tell the sender (RFC 5321 §6.1)."""
        return self._with(Disposition.PERMANENT)

    @property
    def unknown(self) -> tuple[RecipientResult, ...]:
        """Those of whom nobody knows: another attempt may deliver the message twice."""
        return self._with(Disposition.UNKNOWN)

    def raise_for_refused(self) -> None:
        """Raise MessageRefused unless every recipient was accepted."""
        if self.refused:
            raise MessageRefused(self)

    def _with(self, outcome: Disposition) -> tuple[RecipientResult, ...]:
        return tuple(item for item in self.recipients if item.outcome is outcome)


@final
class MessageRefused(SmtpwireError):
    """Not every recipient was accepted; ``result`` tells of each. The session goes on."""

    def __init__(self, result: SendResult) -> None:
        words = [f"{item.recipient}: {item.reply or item.reason}" for item in result.refused]
        accepted = f", {len(result.accepted)} accepted" if result.accepted else ""
        super().__init__(f"{len(words)} refused{accepted}: {'; '.join(words)}")
        self.result = result
