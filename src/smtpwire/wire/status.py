"""What replies mean, as data: basic codes, enhanced codes, and what a client is to make of one
(RFC 5321 §4.2, RFC 3463, RFC 5248).

Nothing here is a closed list: a code that is not in it is understood by its first digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, final

from smtpwire.wire.checked import checked
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import END_OF_DATA
from smtpwire.wire.table import Table
from smtpwire.wire.value import value

__all__ = [
    "BASIC_CODES",
    "DONE",
    "ENHANCED_CODES",
    "SUBJECTS",
    "BasicCode",
    "Disposition",
    "EnhancedCode",
    "classify",
    "describe",
]

SMTP: Final = "RFC 5321"  # cited by this name only, so that its successor is one change
AUTH: Final = "RFC 4954"


@final
@value
class BasicCode:
    """A three-digit reply code, its meaning and where it is defined.

    ``meaning``: a few words. ``source``: the RFC and its section.
    """

    code: int
    meaning: str
    source: str


_BASIC: Final = (
    BasicCode(211, "system status, or help", f"{SMTP} §4.2.3"),
    BasicCode(214, "help", f"{SMTP} §4.2.3"),
    BasicCode(220, "service ready", f"{SMTP} §4.2.3"),
    BasicCode(221, "service closing the connection", f"{SMTP} §4.2.3"),
    BasicCode(235, "authentication succeeded", f"{AUTH} §6"),
    BasicCode(250, "done", f"{SMTP} §4.2.3"),
    BasicCode(251, "not local, will forward", f"{SMTP} §3.4"),
    BasicCode(252, "cannot verify, will accept the message", f"{SMTP} §3.5.3"),
    BasicCode(253, "messages for the node are pending", "RFC 1985 §5.1"),
    BasicCode(334, "challenge follows", f"{AUTH} §4"),
    BasicCode(353, "replies for each recipient follow", "draft-hall-prdr"),
    BasicCode(354, "start the message", f"{SMTP} §4.2.3"),
    BasicCode(355, "the offset to resume at follows", "RFC 1845"),
    BasicCode(421, "service not available, closing the connection", f"{SMTP} §4.2.3"),
    BasicCode(422, "password transition needed", "RFC 5248 §2.4"),
    BasicCode(432, "password transition needed", f"{AUTH} §6"),
    BasicCode(450, "mailbox unavailable for now", f"{SMTP} §4.2.3"),
    BasicCode(451, "local error in processing", f"{SMTP} §4.2.3"),
    BasicCode(452, "insufficient storage, or too many recipients", f"{SMTP} §4.5.3.1.10"),
    BasicCode(453, "no mail for the domains asked for", "RFC 2645"),
    BasicCode(454, "temporary failure of authentication or TLS", f"{AUTH} §6, RFC 3207 §4"),
    BasicCode(455, "cannot take the parameters for now", f"{SMTP} §4.2.3"),
    BasicCode(458, "unable to queue messages for the node", "RFC 1985 §5.1"),
    BasicCode(459, "node not allowed", "RFC 1985 §5.1"),
    BasicCode(500, "command unrecognized, or line too long", f"{SMTP} §4.2.3"),
    BasicCode(501, "syntax error in parameters or arguments", f"{SMTP} §4.2.3"),
    BasicCode(502, "command not implemented", f"{SMTP} §4.2.4"),
    BasicCode(503, "bad sequence of commands", f"{SMTP} §4.2.3"),
    BasicCode(504, "parameter not implemented", f"{SMTP} §4.2.3"),
    BasicCode(521, "host never takes mail", "RFC 7504 §3"),
    BasicCode(523, "encryption needed", "RFC 5248 §2.4"),
    BasicCode(524, "encryption needed for the mechanism", "RFC 5248 §2.4"),
    BasicCode(525, "account disabled", "RFC 5248 §2.4"),
    BasicCode(530, "authentication or TLS required first", f"{AUTH} §6, RFC 3207 §4"),
    BasicCode(533, "not authorized", "RFC 5248 §2.4"),
    BasicCode(534, "mechanism too weak", f"{AUTH} §6"),
    BasicCode(535, "credentials invalid", f"{AUTH} §6"),
    BasicCode(538, "encryption needed for the mechanism", f"{AUTH} §6"),
    BasicCode(550, "mailbox unavailable, or refused by policy", f"{SMTP} §4.2.3"),
    BasicCode(551, "not local, try another path", f"{SMTP} §3.4"),
    BasicCode(552, "over the storage allocation", f"{SMTP} §4.2.3"),
    BasicCode(553, "mailbox name not allowed", f"{SMTP} §4.2.3"),
    BasicCode(554, "transaction failed, or no SMTP service here", f"{SMTP} §4.2.3"),
    BasicCode(555, "parameters not recognized or not implemented", f"{SMTP} §4.2.3"),
    BasicCode(556, "domain takes no mail", "RFC 7504 §4"),
)

BASIC_CODES: Final[Mapping[int, BasicCode]] = Table({row.code: row for row in _BASIC})
"""The basic codes by number."""


@final
@value
class EnhancedCode:
    """An enhanced status code, whatever its class: its text and the basic codes it goes with.

    ``basic`` is empty where the registry gives none.

    ``subject`` and ``detail``: the second and the third number. ``text``: its meaning. ``source``:
    the RFC that registered it.
    """

    subject: int
    detail: int
    text: str
    basic: tuple[int, ...]
    source: str

    def __str__(self) -> str:
        return f"X.{self.subject}.{self.detail}"


SUBJECTS: Final[Mapping[int, str]] = Table(
    {
        0: "other or undefined status",
        1: "addressing",
        2: "mailbox",
        3: "mail system",
        4: "network and routing",
        5: "mail delivery protocol",
        6: "message content or media",
        7: "security or policy",
    }
)
"""What the second number means, known also where the third is not (RFC 3463 §2)."""

_ENHANCED: Final = (
    EnhancedCode(0, 0, "other undefined status", (), "RFC 3463 §3.1"),
    EnhancedCode(1, 0, "other address status", (), "RFC 3463 §3.2"),
    EnhancedCode(1, 1, "bad destination mailbox address", (451, 550), "RFC 3463 §3.2"),
    EnhancedCode(1, 2, "bad destination system address", (), "RFC 3463 §3.2"),
    EnhancedCode(1, 3, "bad destination mailbox address syntax", (501,), "RFC 3463 §3.2"),
    EnhancedCode(1, 4, "destination mailbox address ambiguous", (), "RFC 3463 §3.2"),
    EnhancedCode(1, 5, "destination address valid", (250,), "RFC 3463 §3.2"),
    EnhancedCode(1, 6, "destination mailbox has moved", (), "RFC 3463 §3.2"),
    EnhancedCode(1, 7, "bad sender's mailbox address syntax", (), "RFC 3463 §3.2"),
    EnhancedCode(1, 8, "bad sender's system address", (451, 501), "RFC 3463 §3.2"),
    EnhancedCode(1, 9, "relayed to a mailer without this extension", (), "RFC 3886 §3.3.4"),
    EnhancedCode(1, 10, "recipient address has null MX", (556,), "RFC 7505"),
    EnhancedCode(2, 0, "other or undefined mailbox status", (), "RFC 3463 §3.3"),
    EnhancedCode(2, 1, "mailbox disabled, not accepting messages", (), "RFC 3463 §3.3"),
    EnhancedCode(2, 2, "mailbox full", (552,), "RFC 3463 §3.3"),
    EnhancedCode(2, 3, "message over the mailbox's length limit", (552,), "RFC 3463 §3.3"),
    EnhancedCode(2, 4, "mailing list expansion problem", (450, 452), "RFC 3463 §3.3"),
    EnhancedCode(
        3,
        0,
        "other or undefined mail system status",
        (221, 250, 421, 451, 550, 554),
        "RFC 3463 §3.4",
    ),
    EnhancedCode(3, 1, "mail system full", (452,), "RFC 3463 §3.4"),
    EnhancedCode(3, 2, "system not accepting network messages", (453, 521), "RFC 3463 §3.4"),
    EnhancedCode(3, 3, "system not capable of selected features", (), "RFC 3463 §3.4"),
    EnhancedCode(3, 4, "message too big for system", (552, 554), "RFC 3463 §3.4"),
    EnhancedCode(3, 5, "system incorrectly configured", (), "RFC 3463 §3.4"),
    EnhancedCode(3, 6, "requested priority was changed", (250, 251), "RFC 6710 §10"),
    EnhancedCode(4, 0, "other or undefined network or routing status", (), "RFC 3463 §3.5"),
    EnhancedCode(4, 1, "no answer from host", (451,), "RFC 3463 §3.5"),
    EnhancedCode(4, 2, "bad connection", (421,), "RFC 3463 §3.5"),
    EnhancedCode(4, 3, "directory server failure", (451, 550), "RFC 3463 §3.5"),
    EnhancedCode(4, 4, "unable to route", (), "RFC 3463 §3.5"),
    EnhancedCode(4, 5, "mail system congestion", (451,), "RFC 3463 §3.5"),
    EnhancedCode(4, 6, "routing loop detected", (), "RFC 3463 §3.5"),
    EnhancedCode(4, 7, "delivery time expired", (), "RFC 3463 §3.5"),
    EnhancedCode(
        5,
        0,
        "other or undefined protocol status",
        (220, 250, 251, 252, 253, 451, 452, 454, 458, 459, 501, 502, 503, 554),
        "RFC 3463 §3.6",
    ),
    EnhancedCode(
        5,
        1,
        "invalid command",
        (430, 500, 501, 503, 530, 550, 554, 555),
        "RFC 3463 §3.6",
    ),
    EnhancedCode(5, 2, "syntax error", (500, 501, 502, 550, 555), "RFC 3463 §3.6"),
    EnhancedCode(5, 3, "too many recipients", (451,), "RFC 3463 §3.6"),
    EnhancedCode(
        5, 4, "invalid command arguments", (451, 501, 502, 503, 504, 550, 555), "RFC 3463 §3.6"
    ),
    EnhancedCode(5, 5, "wrong protocol version", (), "RFC 3463 §3.6"),
    EnhancedCode(5, 6, "authentication exchange line is too long", (500,), f"{AUTH} §6"),
    EnhancedCode(6, 0, "other or undefined media error", (), "RFC 3463 §3.7"),
    EnhancedCode(6, 1, "media not supported", (), "RFC 3463 §3.7"),
    EnhancedCode(6, 2, "conversion required and prohibited", (), "RFC 3463 §3.7"),
    EnhancedCode(6, 3, "conversion required but not supported", (554,), "RFC 3463 §3.7"),
    EnhancedCode(6, 4, "conversion with loss performed", (250,), "RFC 3463 §3.7"),
    EnhancedCode(6, 5, "conversion failed", (), "RFC 3463 §3.7"),
    EnhancedCode(6, 6, "message content not available", (554,), "RFC 4468 §5"),
    EnhancedCode(6, 7, "non-ASCII address not permitted", (550, 553), "RFC 6531 §4.2"),
    EnhancedCode(6, 8, "UTF-8 reply required, not permitted", (252, 550, 553), "RFC 6531 §4.2"),
    EnhancedCode(6, 9, "UTF-8 header not transferable", (550, 554), "RFC 6531 §4.2"),
    EnhancedCode(6, 10, "UTF-8 reply required: X.6.8 is meant", (), "RFC 6531 §4.2"),
    EnhancedCode(
        7,
        0,
        "other or undefined security status",
        (220, 235, 450, 454, 500, 501, 503, 504, 530, 535, 550),
        "RFC 3463 §3.8",
    ),
    EnhancedCode(
        7,
        1,
        "delivery not authorized, message refused",
        (451, 454, 502, 503, 533, 550, 551),
        "RFC 3463 §3.8",
    ),
    EnhancedCode(7, 2, "mailing list expansion prohibited", (550,), "RFC 3463 §3.8"),
    EnhancedCode(7, 3, "security conversion required, not possible", (), "RFC 3463 §3.8"),
    EnhancedCode(7, 4, "security features not supported", (504,), "RFC 3463 §3.8"),
    EnhancedCode(7, 5, "cryptographic failure", (), "RFC 3463 §3.8"),
    EnhancedCode(7, 6, "cryptographic algorithm not supported", (), "RFC 3463 §3.8"),
    EnhancedCode(7, 7, "message integrity failure", (), "RFC 3463 §3.8"),
    EnhancedCode(7, 8, "authentication credentials invalid", (535, 554), f"{AUTH} §6"),
    EnhancedCode(7, 9, "authentication mechanism is too weak", (534,), f"{AUTH} §6"),
    EnhancedCode(7, 10, "encryption needed", (523,), "RFC 5248 §2.4"),
    EnhancedCode(7, 11, "encryption required for the mechanism", (524, 538), f"{AUTH} §6"),
    EnhancedCode(7, 12, "a password transition is needed", (422, 432), f"{AUTH} §6"),
    EnhancedCode(7, 13, "user account disabled", (525,), "RFC 5248 §2.4"),
    EnhancedCode(7, 14, "trust relationship required", (535, 554), "RFC 5248 §2.4"),
    EnhancedCode(7, 15, "priority level is too low", (450, 550), "RFC 6710 §10"),
    EnhancedCode(7, 16, "message too big for its priority", (552,), "RFC 6710 §10"),
    EnhancedCode(7, 17, "mailbox owner has changed", (), "RFC 7293"),
    EnhancedCode(7, 18, "domain owner has changed", (), "RFC 7293"),
    EnhancedCode(7, 19, "ownership test cannot be completed", (), "RFC 7293"),
    EnhancedCode(7, 20, "no passing DKIM signature found", (550,), "RFC 7372"),
    EnhancedCode(7, 21, "no acceptable DKIM signature found", (550,), "RFC 7372"),
    EnhancedCode(7, 22, "no author-matched DKIM signature found", (550,), "RFC 7372"),
    EnhancedCode(7, 23, "SPF validation failed", (550,), "RFC 7372"),
    EnhancedCode(7, 24, "SPF validation error", (451, 550), "RFC 7372"),
    EnhancedCode(7, 25, "reverse DNS validation failed", (550,), "RFC 7372"),
    EnhancedCode(7, 26, "multiple authentication checks failed", (550,), "RFC 7372"),
    EnhancedCode(7, 27, "sender address has null MX", (550,), "RFC 7505"),
    EnhancedCode(7, 28, "mail flood detected", (), "the IANA registry"),
    EnhancedCode(7, 29, "ARC validation failure", (550,), "RFC 8617"),
    EnhancedCode(7, 30, "REQUIRETLS support required", (550,), "RFC 8689 §7"),
)

ENHANCED_CODES: Final[Mapping[tuple[int, int], EnhancedCode]] = Table(
    {(row.subject, row.detail): row for row in _ENHANCED}
)
"""The registered codes by subject and detail; basic codes from RFC 5248 table 1 and later rows."""


class Disposition(Enum):
    """What a client is to make of a reply, or of none."""

    DONE = "done"
    """What was asked for has been done."""

    CONTINUE = "continue"
    """So far so good; the command goes on with the message or an answer (3yz)."""

    RETRY = "retry"
    """Refused for now: the same may succeed later (4yz; RFC 5321 §4.2.1)."""

    PERMANENT = "permanent"
    """Refused: not to be repeated unchanged (5yz; RFC 5321 §4.2.1)."""

    UNKNOWN = "unknown"
    """The message was handed over and no verdict came: it may have been delivered, and another
    attempt may duplicate it (RFC 5321 §4.5.3.2.6)."""

    PROTOCOL_ERROR = "protocol error"
    """No reply this command can have: the connection is out of step and to be closed."""


# Bound once: an attribute of an enum costs as much as a small function on CPython 3.11.
DONE: Final = Disposition.DONE
_CONTINUE: Final = Disposition.CONTINUE
_RETRY: Final = Disposition.RETRY
_UNKNOWN: Final = Disposition.UNKNOWN
_PROTOCOL_ERROR: Final = Disposition.PROTOCOL_ERROR

_BY_SEVERITY: Final[Mapping[int, Disposition]] = Table(
    {
        2: Disposition.DONE,
        3: Disposition.CONTINUE,
        4: Disposition.RETRY,
        5: Disposition.PERMANENT,
    }
)


def classify(command: str, reply: Reply | None) -> Disposition:
    """What a reply to a command means, by its first digit; unknown codes included.

    ``command``: a verb in upper case, or ``wire.sequences.GREETING`` or ``END_OF_DATA``; "BDAT" is
    a chunk that is not the last. ``reply``: None where the connection was lost or fell silent
    before. Raises TypeError alone: for what is neither.
    """
    command = checked("command", command, str)
    if reply is None:
        return _WITHOUT_REPLY.get(command, _RETRY)
    if checked("reply", reply, Reply).code == 221 and command != "QUIT":
        # Closing: as 421, which counts as 451 (RFC 5321 §3.8). But it is no verdict on a message.
        return _UNKNOWN if command == END_OF_DATA else _RETRY
    if command == "RCPT" and reply.code == 552 and reply.status in (None, (5, 5, 3)):
        return _RETRY  # too many recipients, RFC 821's way (RFC 5321 §4.5.3.1.10)
    found = _BY_SEVERITY.get(reply.severity, _PROTOCOL_ERROR)
    if (found is _CONTINUE and not _goes_on(command, reply.code)) or (
        found is DONE and command == "DATA"
    ):
        found = _PROTOCOL_ERROR
    if found is _PROTOCOL_ERROR and command == END_OF_DATA:
        return _UNKNOWN  # the message has left, and this is no verdict
    return found


# Lost before the dot counts as 451 (RFC 5321 §3.8, §4.5.3.2); after QUIT nothing is lost.
_WITHOUT_REPLY: Final[Mapping[str, Disposition]] = Table({END_OF_DATA: _UNKNOWN, "QUIT": DONE})


def _goes_on(command: str, code: int) -> bool:
    """A 3yz reply is one of the command's own."""
    if command in ("DATA", "AUTH"):
        return True  # 354, 334 and whatever else starts with 3 (RFC 5321 §4.3.2)
    # Only where the extension was asked for: PRDR after the dot, CHECKPOINT at MAIL.
    return (command, code) in ((END_OF_DATA, 353), ("MAIL", 355))


def describe(reply: Reply) -> str:
    """A short meaning of the reply, from its enhanced code or else its basic code.

    Of an unknown detail the subject is told (RFC 3463 §2); "" where nothing is known.
    """
    _, subject, detail = checked("reply", reply, Reply).status or (0, 0, 0)
    if found := ENHANCED_CODES.get((subject, detail)):
        specific = found.text
    else:
        specific = SUBJECTS.get(subject, "")
    basic = BASIC_CODES.get(reply.code)
    # X.0.n says no more than the class, and the basic code does.
    if basic and (subject == 0 or not specific):
        return basic.meaning
    return specific if reply.status else ""
