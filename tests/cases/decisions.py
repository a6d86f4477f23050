"""What the cases leave open and is decided here, with the reason; and what their notes say."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

__all__ = [
    "BORDERS_THAT_MATTER",
    "DATA_ENDS_A_GROUP",
    "DECISIONS",
    "MESSAGE_LIMIT",
    "OTHER_SIZES",
    "PROOFS",
    "Decision",
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which of the case's ways to be right is taken, or what is done instead, and why."""

    why: str
    alternative: int | None = None
    replies: tuple[str, ...] | None = None
    """The replies instead of the case's: it is decided otherwise."""
    outcome: str = ""
    must_not: tuple[str, ...] = ()
    both_modes: bool = False
    """The alternatives are the strict and the lenient setting: both are run."""


DECISIONS: Final[Mapping[str, Decision]] = MappingProxyType(
    {
        "D-PAR-013": Decision(
            why="No leniency for line ends exists, not even to be asked for: two servers that "
            "disagree on where a line ends are what smuggling is made of (RFC 5321 §2.3.8: CR and "
            "LF only as CRLF). The line is refused once and dropped up to its CRLF.",
            replies=("500",),
            outcome="session_continues",
            must_not=("answer 250",),
        ),
        "D-PAR-020": Decision(
            why="Blanks in a row behind a verb change no meaning, in either mode.", alternative=0
        ),
        "D-ADR-016": Decision(why="A named leniency, off by default.", both_modes=True),
        "D-DOT-013": Decision(
            why="NUL is content: both settings concern CR and LF, and nothing else.",
            alternative=1,
        ),
        "D-BDT-006": Decision(
            why="How many octets follow is not known, and none may be read as a command: the "
            "case's note allows closing behind the 501 (RFC 3030 §2).",
            replies=("501", "421"),
            outcome="closed",
        ),
        "D-BDT-012": Decision(
            why="The verb is known, so the chunk is read past whatever becomes of it: a body is "
            "never read as commands (RFC 3030 §2).",
            alternative=2,
        ),
        "D-ERR-002": Decision(
            why="What speaks another protocol is no client, and what comes next may be chosen by "
            "an attacker: 421 and the end.",
            alternative=0,
        ),
        "D-LIM-009": Decision(
            why="As the case says; commands that move no mail have a budget of their own, which "
            "is larger (Limits.junk)."
        ),
        "D-AUT-031": Decision(
            why="The words of LOGIN's prompts mean nothing (draft-murchison-sasl-login §2.1): so "
            "there is nothing in them that must be decoded.",
            alternative=0,
        ),
        "D-REP-010": Decision(
            why="RFC 5321 §2.3.8: a bare LF ends no line; liberal about text, strict about framing.",
            alternative=1,
        ),
        "D-EHL-011": Decision(
            why="As the case says: a 503 is told as what it is; trying HELO is the caller's affair."
        ),
    }
)
"""Every case of low confidence stands here, and others whose choice is a setting."""

MESSAGE_LIMIT: Final[Mapping[str, int]] = {"D-ADR-023": 10_485_760}
"""Said in the case's note."""

OTHER_SIZES: Final[Mapping[str, Mapping[bytes, int | None]]] = {
    # Said in the case's title and note. RFC 1870 §5: at most 20 digits.
    "D-EHL-009": {
        b"250-mx.example\r\n250 SIZE\r\n": None,
        b"250-mx.example\r\n250 SIZE unlimited\r\n": None,
        b"250-mx.example\r\n250 SIZE 18446744073709551616\r\n": 18446744073709551616,
        b"250-mx.example\r\n250 SIZE 99999999999999999999\r\n": 99999999999999999999,
        b"250-mx.example\r\n250 SIZE 100000000000000000000\r\n": None,
    }
}
"""Further inputs of a case, and the size then known."""

PROOFS: Final = frozenset({"D-AUT-034"})
"""The case's note: "given a matching rspauth; a wrong one must end in failure". The one written
there matches no exchange; it is run as it stands, and with the right one in its place."""

BORDERS_THAT_MATTER: Final[Mapping[str, int]] = {
    # Octets read in one piece with STARTTLS are the attack; those that come once the 220 has been
    # handed out are the TLS layer's (RFC 3207 §4.2). So a border behind the tenth octet matters.
    "D-TLS-001": len("STARTTLS\r\n"),
    # The same for a client: behind the 220, in one piece with it or not.
    "D-TLS-009": len("220 go\r\n"),
}
"""Where a border between two reads must change the result: runs with and without it are compared
each among themselves."""

DATA_ENDS_A_GROUP: Final[Mapping[str, bytes]] = {
    "D-PAR-008": b"DATA now\r\n",
    "D-BDT-007": b"DATA\r\n",
    "D-ERR-007": b"DATA\r\n",
    "D-STA-005": b"DATA\r\n",
    "D-STA-006": b"RSET\r\nDATA\r\n",
}
"""Cases that send more behind a DATA which is refused. What comes before the refusal has left is
an unframed body, and ends the connection: so these wait there, as RFC 2920 §3.1 has it."""
