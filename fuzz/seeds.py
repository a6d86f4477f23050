"""Inputs made from what there is: the tests' protocol cases, recorded sessions, the doors.

They are made anew for each run, so that nothing is kept twice.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.cases.case import CASES, Case
from tests.transcripts.sessions import Session, sessions

from fuzz.dialogue import SEPARATOR

__all__ = ["FUZZ", "SEEDS", "Seed", "inputs"]

FUZZ: Final = Path(__file__).parent

Seed = tuple[str, bytes]
"""A name, and an input."""

_ACTIONS: Final = {
    b"EHLO": b"E",
    b"LHLO": b"E",
    b"HELO": b"H",
    b"MAIL": b"M",
    b"RCPT": b"R",
    b"DATA": b"D",
    b"BDAT": b"C",
    b"RSET": b"S",
    b"NOOP": b"N",
    b"VRFY": b"V",
    b"STAR": b"T",
    b"AUTH": b"4",
    b"QUIT": b"Q",
}
"""What the client of ``client_bytes`` does for a command."""


def of_clients() -> Iterator[Seed]:
    """What clients sent: choices, then their octets."""
    for case in CASES:
        if case.role == "server" and case.chunks:
            before = "".join(f"{line}\r\n" for line in case.given.after).encode()
            yield case.id, _service(case) + b"000" + before + b"".join(case.chunks)
    for number, session in enumerate(sessions()):
        service = b"4" if session.lmtp else b"2" if b"AUTH " in session.octets("C") else b"0"
        yield f"session-{number}", service + b"000" + session.octets("C")


def _service(case: Case) -> bytes:
    """Which of the target's services is most like that of the case."""
    if case.given.profile == "lmtp":
        return b"4"
    return b"2" if case.given.profile == "submission" else b"0"


def of_servers() -> Iterator[Seed]:
    """What servers said: choices, then parts, each behind what the client did before it."""
    for case in CASES:
        if case.role == "client" and case.given.input_kind == "octets":
            parts = [b" 220 mx.example\r\n"]
            for line in case.given.after:
                _turn(parts, line.partition(": ")[0] or "C", line.partition(": ")[2].encode())
            _turn(parts, "S", b"".join(case.chunks))
            yield case.id, b"000" + SEPARATOR.join(parts)
    for number, session in enumerate(sessions()):
        yield f"session-{number}", (b"2" if session.lmtp else b"0") + b"00" + _replies(session)


def _turn(parts: list[bytes], side: str, octets: bytes) -> None:
    """A command begins a part; what the server says belongs to the last one."""
    if side == "C":
        parts.append(_ACTIONS.get(octets[:4].upper(), b" "))
    else:
        parts[-1] += octets if octets.endswith(b"\n") else octets + b"\r\n"


def _replies(session: Session) -> bytes:
    """The parts of a recorded session: a line of the client is an action, a body is one, too."""
    parts = [b" "]
    for chunk in session.chunks:
        if chunk.side == "S":
            parts[-1] += chunk.data
            continue
        if parts[-1].endswith(b"\n") and b"354" in parts[-1][-60:]:
            parts += [b"B", b"."]
            continue
        verbs = [line[:4].upper() for line in chunk.data.split(b"\r\n")]
        for verb in verbs:
            if verb in _ACTIONS:  # else a response, or content
                parts += [b"C", b"B", b"."] if verb == b"BDAT" else [_ACTIONS[verb]]
    return SEPARATOR.join(parts)


def of_doors() -> Iterator[Seed]:
    """Each door with what fits."""
    from fuzz.targets.doors import DOORS

    for number, name in enumerate(DOORS):
        yield f"door-{number}", f"{name}\n".encode()


SEEDS: Final[dict[str, Callable[[], Iterator[Seed]]]] = {
    "server_bytes": of_clients,
    "client_bytes": of_servers,
    "doors": of_doors,
}


def inputs(target: str, *folders: str) -> Iterator[bytes]:
    """Everything that a run of a target begins with, or what these folders have, and the seeds."""
    for folder in folders or ("corpus", "regressions"):
        for path in sorted((FUZZ / folder / target).glob("*")):
            yield path.read_bytes()
    for _, octets in SEEDS.get(target, tuple)():
        yield octets
