"""Where everything that a client has queued would lead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, final

from smtpwire.engine.client.kinds import MAIL, RCPT, Kind
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.state import (
    STATE_CLOSED,
    STATE_GREETING,
    STATE_MAIL,
    STATE_RCPT,
    State,
)
from smtpwire.wire.command import NO_PARAMETERS, Command
from smtpwire.wire.parameter import Parameters

__all__ = ["Mark", "Outlook"]

Mark: TypeAlias = tuple[
    State, int, Parameters, int, Command | None, int, int, frozenset[str] | None
]
"""An outlook as it was, to come back to."""


@final
class Outlook:
    """The place of the session if every command that is queued succeeds.

    A command is checked against it and then noted in it. Where a command is refused, it is made
    anew of those that are left.

    Attributes:
        leads_to: the state after all of them.
        transactions: how many have been begun; the number of the latest.
        parameters: of the latest MAIL.
        recipients: of the latest transaction, accepted or not yet answered.
        closed_by: nothing may be queued behind this command before its reply.
        mails: MAILs in this session.
        rcpts: RCPTs in the latest transaction, the refused ones too.
        domains: of the recipients in this session, where the server limits them; None: of nobody.
    """

    __slots__ = (
        "closed_by",
        "domains",
        "leads_to",
        "mails",
        "parameters",
        "rcpts",
        "recipients",
        "transactions",
    )

    def __init__(self) -> None:
        self.leads_to: State = STATE_GREETING
        self.transactions: int = 0
        self.parameters: Parameters = NO_PARAMETERS
        self.recipients: int = 0
        self.closed_by: Command | None = None
        self.mails: int = 0
        self.rcpts: int = 0
        self.domains: set[str] | None = None

    def check(self, kind: Kind) -> State:
        """Where a command leads from here; LocalProtocolError where it may not be sent."""
        target = self.leads_to.commands.get(kind.word)
        if target is None:
            raise self.out_of_order(kind.word)
        return target

    def check_extension(self, kind: Kind) -> State:
        """The same for a command of an extension, which the table of transitions may not know."""
        state = self.leads_to
        if state not in kind.states:
            raise self.out_of_order(kind.word)
        return state.commands.get(kind.word, state)

    def out_of_order(self, verb: str) -> LocalProtocolError:
        """The error that a command is which may not be sent from here."""
        if self.leads_to is STATE_CLOSED:
            return LocalProtocolError("the connection has ended")
        state = self.leads_to
        first = "; open_session() comes first" if state is STATE_GREETING else ""
        return LocalProtocolError(
            f"{verb} is out of order: the state is {state.value} (RFC 5321 §4.1.4){first}"
        )

    def note(self, command: Command, kind: Kind, target: State) -> None:
        """A command is queued that leads to the state ``check`` gave."""
        self.leads_to = target
        if kind.blocking:
            self.closed_by = command

    def note_mail(self, parameters: Parameters) -> None:
        """MAIL is queued: a transaction begins."""
        self.leads_to = STATE_MAIL
        self.transactions += 1
        self.parameters = parameters
        self.recipients = self.rcpts = 0
        self.mails += 1

    def note_rcpt(self) -> None:
        """RCPT is queued."""
        self.leads_to = STATE_RCPT
        self.recipients += 1
        self.rcpts += 1

    def recipient_refused(self, transaction: int) -> None:
        """A RCPT of this transaction was refused; with the last one its body becomes impossible."""
        if transaction == self.transactions:
            self.recipients -= 1
            if not self.recipients and self.leads_to is STATE_RCPT:
                self.leads_to = STATE_MAIL

    def settle(self, state: State) -> None:
        """Nothing is queued that leads on from this state."""
        self.leads_to = state

    def reopen(self) -> None:
        """The reply has come: more may be queued."""
        self.closed_by = None

    def replan(self, state: State, accepted: int, kinds: Iterable[Kind]) -> None:
        """Something was refused: find out where the commands that are left lead from here.

        ``accepted``: recipients of the open transaction.
        """
        for kind in kinds:
            state = state.commands.get(kind.word, state)
            accepted = 0 if kind is MAIL else accepted + (kind is RCPT)
        self.leads_to = state
        self.recipients = accepted

    def mark(self) -> Mark:
        """What it is now."""
        return (
            self.leads_to,
            self.transactions,
            self.parameters,
            self.recipients,
            self.closed_by,
            self.mails,
            self.rcpts,
            None if self.domains is None else frozenset(self.domains),
        )

    def restore(self, mark: Mark) -> None:
        """Be again what it was: nothing that was noted since has been queued."""
        self.leads_to = mark[0]
        self.transactions = mark[1]
        self.parameters = mark[2]
        self.recipients = mark[3]
        self.closed_by = mark[4]
        self.mails = mark[5]
        self.rcpts = mark[6]
        self.domains = None if mark[7] is None else set(mark[7])

    def forget_session(self) -> None:
        """The server has forgotten all: nothing is queued, and LIMITS counts from 0 again."""
        self.mails = 0
        self.domains = None
