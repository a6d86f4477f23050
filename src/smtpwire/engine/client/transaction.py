"""A transaction, as far as replies have come."""

from __future__ import annotations

from typing import Final, final

from smtpwire.extensions import parameters as p
from smtpwire.extensions.body import BODY_BINARYMIME
from smtpwire.wire.command import NO_PARAMETERS, Mail, Rcpt

__all__ = ["NO_TRANSACTION", "Transaction"]


@final
class Transaction:
    """The accepted MAIL, the accepted RCPTs, and how many of their own replies have come.

    Attributes:
        mail: None where there is no transaction.
        accepted: the recipients.
        verdicts: of the replies a recipient after the data, how many have come; below 0 where one
            reply counts for all, as in PRDR before its 353.
        prdr: MAIL had PRDR.
        failed: a chunk was refused or the body given up: only RSET leads on (RFC 3030 §2).
    """

    __slots__ = ("_lmtp", "accepted", "failed", "mail", "prdr", "verdicts")

    def __init__(self, mail: Mail | None, lmtp: bool = False) -> None:
        self._lmtp = lmtp
        self.mail: Mail | None = mail
        parameters = NO_PARAMETERS if mail is None else mail.parameters
        self.prdr: bool = parameters is not NO_PARAMETERS and p.PRDR in parameters
        self.accepted: list[Rcpt] = []
        self.verdicts = 0 if lmtp else -1
        self.failed: bool = False

    @property
    def is_binary(self) -> bool:
        """MAIL had BODY=BINARYMIME: octets of any kind (RFC 3030 §3)."""
        return self.mail is not None and self.mail.parameters.get(p.BODY) is BODY_BINARYMIME

    def begin_verdicts(self) -> None:
        """PRDR's 353: a reply a recipient follows."""
        self.verdicts = 0

    def next_recipient(self) -> Rcpt | None:
        """Whose reply has come now; None: it is PRDR's final one."""
        at = self.verdicts
        self.verdicts = at + 1
        return self.accepted[at] if at < len(self.accepted) else None

    @property
    def is_answered(self) -> bool:
        """Whether LMTP's last reply has come; PRDR's is the one that is no recipient's."""
        return self._lmtp and self.verdicts >= len(self.accepted)

    def unanswered(self) -> list[Rcpt | None]:
        """Whose reply after the data is still to come; None is PRDR's final one."""
        final: list[Rcpt | None] = [] if self._lmtp else [None]
        return [*self.accepted[self.verdicts :], *final]


NO_TRANSACTION: Final = Transaction(None)
"""Between transactions; it is never changed."""
