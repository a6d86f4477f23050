"""What a client says to a server under test, step by step."""

from dataclasses import dataclass

from benchmarks.contents import MESSAGE, stuffed

__all__ = [
    "BODY",
    "CONNECTION",
    "DATA",
    "EHLO",
    "LOCKSTEP",
    "MAIL",
    "PIPELINED",
    "QUIT",
    "RCPT",
    "RECIPIENT",
    "SENDER",
    "Step",
    "body_steps",
]

SENDER = "alice@example.com"
RECIPIENT = "bob@example.org"

EHLO = b"EHLO client.example.com\r\n"
MAIL = b"MAIL FROM:<alice@example.com>\r\n"
RCPT = b"RCPT TO:<bob@example.org>\r\n"
DATA = b"DATA\r\n"
BODY = stuffed(MESSAGE)
QUIT = b"QUIT\r\n"


@dataclass(frozen=True, slots=True)
class Step:
    """One write of the client's, and how many replies it awaits before the next step."""

    data: bytes
    replies: int


LOCKSTEP = (Step(MAIL, 1), Step(RCPT, 1), Step(DATA, 1), Step(BODY, 1))
"""One message, a reply awaited after every command."""

PIPELINED = (Step(MAIL + RCPT + DATA, 3), Step(BODY, 1))
"""One message, its envelope in one write (RFC 2920 §3.1)."""


CONNECTION = (Step(EHLO, 1), *LOCKSTEP, Step(QUIT, 1))
"""One message a connection, after the greeting."""


def body_steps(chunks: list[bytes]) -> tuple[Step, ...]:
    """One message whose body comes in chunks, of which the last contains the end."""
    *most, last = chunks
    return (
        Step(MAIL + RCPT + DATA, 3),
        *(Step(chunk, 0) for chunk in most),
        Step(last, 1),
    )
