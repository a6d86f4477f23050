"""What a server counts of one session: for its limits, its statistics and its timer."""

from __future__ import annotations

from typing import final

from smtpwire.engine.limits import Limits

__all__ = ["Tally"]

PROGRESS = 4096
"""Octets of a body that count as a block (RFC 5321 §4.5.3.2.5 gives none)."""


@final
class Tally:
    """Counts, and the budgets of ``Limits`` that they are held against.

    ``commands``: command lines read. ``content``: octets of bodies. ``steps``: what else starts the
    timer anew, such as an answer. ``dropped``: octets read past since the last refusal.
    ``excused``: how many refusals may still follow from the last one without being errors.
    """

    __slots__ = (
        "_errors_forgiven",
        "_limits",
        "commands",
        "content",
        "dropped",
        "errors",
        "excess_recipients",
        "excused",
        "failed_authentications",
        "junk",
        "messages",
        "refused_recipients",
        "steps",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.commands: int = 0
        self.content: int = 0
        self.steps: int = 0
        self.dropped: int = 0
        self.errors: int = 0
        self._errors_forgiven = 0  # those before the last message that was accepted
        self.excused: int = 0
        self.junk: int = 0
        self.excess_recipients: int = 0
        self.refused_recipients: int = 0
        self.failed_authentications: int = 0
        self.messages: int = 0

    @property
    def progress(self) -> int:
        """Grows with everything that starts the timer anew, except replies and writes."""
        return self.commands + self.content // PROGRESS + self.steps

    def message_accepted(self) -> None:
        """Mail has moved: what a client may waste is counted anew."""
        self.messages += 1
        self.junk = 0
        self.excess_recipients = 0
        self.refused_recipients = 0
        self._errors_forgiven = self.errors

    def excuse(self) -> None:
        """A refusal: commands that were sent in the hope of success are no errors of their own.

        These are a group's recipients, or the chunks of a body, which come in a row (RFC 3030
        §4.2). What is dropped of them is counted together, and anew for the next refusal.
        """
        self.dropped = 0
        self.excused = self._limits.recipients

    def excuse_chunks(self) -> None:
        """A chunk was refused: those behind it are no errors; what is dropped counts on."""
        self.excused = self._limits.recipients

    def forget_refusals(self) -> None:
        """A command succeeded that begins something new: nothing follows from what was refused."""
        self.excused = 0

    def error(self, *, counts: bool, follows: bool) -> bool:
        """Count a refusal of the engine's; True where it is an error and follows from no other."""
        if follows and self.excused:
            self.excused -= 1
            return False
        self.errors += counts
        return True

    @property
    def has_too_many_errors(self) -> bool:
        """Whether the budget of errors is spent."""
        return self.errors - self._errors_forgiven > self._limits.errors

    def spend_junk(self) -> bool:
        """Count a command that moves no mail; False where it is one too many."""
        self.junk += 1
        return self.junk <= self._limits.junk

    def spend_excess_recipient(self) -> bool:
        """Count a recipient above the limit; False where it is one too many."""
        self.excess_recipients += 1
        return self.excess_recipients <= self._limits.excess_recipients

    def spend_refused_recipient(self) -> bool:
        """Count a recipient the application refused; False where it is one too many."""
        self.refused_recipients += 1
        return self.refused_recipients <= self._limits.refused_recipients

    def spend_authentication(self) -> bool:
        """Count a failed AUTH (RFC 4954 §9); False where no other may follow."""
        self.failed_authentications += 1
        return self.failed_authentications < self._limits.authentications

    def drop_anew(self) -> None:
        """What is dropped from now on is counted by itself."""
        self.dropped = 0

    def spend_dropped(self, octets: int) -> bool:
        """Count octets that are dropped; False where they are too many."""
        self.dropped += octets
        return self.dropped <= self._limits.swallow

    @property
    def may_drop(self) -> int:
        """How many octets may still be dropped."""
        return self._limits.swallow - self.dropped
