"""A transaction of a server: MAIL, the recipients accepted, the body (RFC 5321 §3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from smtpwire.engine.events import Aborted, Envelope, MessageAborted, proven_envelope
from smtpwire.engine.server.reader import Reader
from smtpwire.extensions.body import BODY_PARAMETER
from smtpwire.extensions.body import Body as BodyType
from smtpwire.extensions.prdr import PRDR_PARAMETER
from smtpwire.extensions.smtputf8 import SMTPUTF8_PARAMETER
from smtpwire.wire.command import NO_PARAMETERS, Mail, Rcpt
from smtpwire.wire.reply import Reply

if TYPE_CHECKING:
    from smtpwire.engine.server.session import Session

__all__ = ["Body", "Transaction", "Verdicts"]


class Body(Reader):
    """The body of one message while it comes.

    ``open``: the application was told of it and not yet of its end. ``size``: octets of content
    handed on. ``refusal``: what its end, or that of the chunk, is answered with in any case; from
    then on content is dropped. ``failed``: a chunk was answered with it: what follows is 503.
    """

    __slots__ = ("failed", "open", "refusal", "size")
    open: bool
    size: int
    refusal: Reply | None
    failed: bool

    def discard(self) -> None:
        """The content does not matter any more."""

    def fail(self, session: Session, reply: Reply, reason: Aborted) -> None:
        """The message will not be taken; its octets are read past and answered at their end."""
        self.refuse(session, reply)
        self.open = False
        self.discard()
        session.tell(MessageAborted(reason, reply))

    def refuse(self, session: Session, reply: Reply) -> None:
        """This is what the octets to come are answered with."""
        self.refusal = reply
        session.tally.drop_anew()

    def fail_chunks(self, session: Session) -> None:
        """A chunk has been refused: of those in the pipeline behind it none is an error of its own.

        RFC 3030 §2 has a server be prepared for them.
        """
        self.failed = True
        session.tally.excuse_chunks()


@final
class Verdicts:
    """The replies after the data where there is one a recipient: LMTP (RFC 2033 §4.2) and PRDR.

    ``owed``: how many are still to come; ``replies``: those that were given.
    """

    __slots__ = ("owed", "replies")

    def __init__(self, owed: int) -> None:
        self.owed: int = owed
        self.replies: list[Reply] = []

    def add(self, replies: list[Reply]) -> None:
        """These were given."""
        self.replies += replies
        self.owed -= len(replies)


@final
class Transaction:
    """What MAIL opened. ``utf8``, ``prdr`` and ``binary``: what its parameters asked for."""

    __slots__ = ("binary", "body", "mail", "prdr", "recipients", "utf8", "verdicts")

    def __init__(self, mail: Mail | None) -> None:
        self.mail: Mail | None = mail
        self.recipients: list[Rcpt] = []
        self.body: Body | None = None
        self.verdicts: Verdicts | None = None
        parameters = NO_PARAMETERS if mail is None else mail.parameters
        self.utf8: bool = False
        self.prdr: bool = False
        self.binary: bool = False
        if parameters is not NO_PARAMETERS:
            self.utf8 = SMTPUTF8_PARAMETER in parameters
            self.prdr = PRDR_PARAMETER in parameters
            self.binary = parameters.get(BODY_PARAMETER) is BodyType.BINARYMIME

    @property
    def envelope(self) -> Envelope | None:
        """MAIL and the recipients so far; None outside a transaction."""
        return None if self.mail is None else proven_envelope(self.mail, tuple(self.recipients))


NO_TRANSACTION: Final = Transaction(None)
"""What there is outside one. Nothing is put into it: the table of states forbids what would."""
