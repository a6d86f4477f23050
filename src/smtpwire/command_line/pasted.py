"""Dialogues as other programs show them: what somebody has in a terminal when mail fails."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeAlias, final

from smtpwire.transcript import Elided, Item, Line, Mark, Note, Side, read
from smtpwire.wire.octets import UNSEEN
from smtpwire.wire.value import value

__all__ = ["Pasted", "connections", "read_pasted"]


@final
@value
class Pasted:
    """A dialogue, and whose form it was in."""

    form: str
    items: tuple[Item, ...]


def read_pasted(text: str) -> Pasted:
    """The dialogue in a text, in whichever form has most lines of it; "replies" where all that is
    found are replies by themselves, and no items where there is nothing.
    """
    text = _COLOURS.sub("", text)
    lines = text.replace("\r\n", "\n").split("\n")
    found = [Pasted(form, tuple(reader(lines))) for form, reader in _FORMS]
    with suppress(ValueError):
        found.insert(0, Pasted("transcript", tuple(read(text))))
    return max(found, key=lambda each: (sum(map(_counts, each.items)), each.form != "replies"))


_COLOURS: Final = re.compile(r"\x1b\[[0-9;]{0,99}m")


def connections(items: Iterable[Item]) -> list[list[Item]]:
    """The same, a list for each connection: one begins with a greeting behind a 221, a 421, or
    another greeting, and behind a mark that says that it was dropped.

    Those with a greeting only, as of who looks whether the server runs, are left out where others
    are not.
    """
    found: list[list[Item]] = [[]]
    last = b""
    for item in items:
        if isinstance(item, Line):
            greets = item.side == "S" and item.octets[:4] in _OPENING and last in _ENDING
            if greets or found[-1][-1:] == [_DROPPED]:
                found.append([])
            ends = item.side == "S" and item.octets[3:4] != b"-"
            last = item.octets[:3] if ends else b""
        found[-1].append(item)
    return [each for each in found if any(map(_tells, each))] or found[-1:]


_DROPPED: Final = Mark("drop")
_OPENING: Final = (b"220 ", b"220-")
_ENDING: Final = (b"220", b"221", b"421")


def _tells(item: Item) -> bool:
    """More than that a server is there."""
    return isinstance(item, Line) and (item.side == "C" or item.octets[:1] in (b"4", b"5"))


def _by_process(lines: Iterable[str], number: re.Pattern[str]) -> list[list[str]]:
    """The lines of a log in which several processes write, a list for each process.

    A line without a number belongs to the one before it.
    """
    groups: dict[str, list[str]] = {}
    process = ""
    for line in lines:
        if found := number.match(line):
            process = found[1]
        groups.setdefault(process, []).append(line)
    return list(groups.values())


def _apart(parts: Iterable[list[Item]]) -> list[Item]:
    """What each process has said, with a mark in between."""
    items: list[Item] = []
    for part in filter(None, parts):
        items += [_DROPPED, *part] if items else part
    return items


def _counts(item: Item) -> int:
    return isinstance(item, Line)


_Reader: TypeAlias = Callable[[list[str]], list[Item]]

_REPLY: Final = re.compile(r"[2-5][0-5][0-9](?:[ -].*)?")
_COMMAND: Final = re.compile(
    r"(?:EHLO|HELO|LHLO|MAIL FROM:|RCPT TO:|DATA|BDAT|RSET|NOOP|QUIT|VRFY|EXPN|HELP|STARTTLS|AUTH"
    r"|XCLIENT|XFORWARD|ETRN)\b.*|(?:MAIL|RCPT)\b.*",
    re.IGNORECASE | re.ASCII,
)


def _line(side: Side, text: str) -> Line:
    return Line(side, text.encode("utf-8", "surrogateescape").replace(b"\r\n", b""))


def _other(side: Side) -> Side:
    return "S" if side == "C" else "C"


# -- swaks

_SWAKS: Final = re.compile(r"(?: (?:->|~>) |(?P<server><(?:- |~ |\*\*|~\*) ))(?P<text>.*)")
_SENT: Final = re.compile(r"[0-9]+ lines sent")


def _swaks(lines: list[str]) -> list[Item]:
    items: list[Item] = []
    for line in lines:
        found = _SWAKS.fullmatch(line)
        if found is None:
            if line.startswith("=== TLS started"):
                items.append(Mark("starttls"))
            elif line.startswith("*** "):
                items.append(_note(line[4:]))
        elif found["server"] is not None:
            items.append(_line("S", found["text"]))
        elif _SENT.fullmatch(found["text"]):
            items += [Elided("C", 0), Line("C", b".")]
        else:
            items.append(_line("C", found["text"]))
    return items


def _note(text: str) -> Note:
    shown = re.sub(UNSEEN, "", text)
    return Note(shown.strip())


# -- Exim with -d or -v

_EXIM: Final = re.compile(r" {0,6}(?:[0-9]{1,9} )?\s*SMTP(?P<way><<|>>|[|+]>) (?P<text>.*)")
_EXIM_PROCESS: Final = re.compile(
    r" {0,6}([0-9]{1,9}) \s*(?:SMTP(?:<<|>>|[|+]>) |\s{6}[2-5][0-5][0-9][ -])"
)
_EXIM_MORE: Final = re.compile(r" {0,6}(?:[0-9]{1,9} )?\s{6,}(?P<text>[2-5][0-5][0-9][ -].*)")


def _exim(lines: list[str]) -> list[Item]:
    return _apart(map(_exim_process, _by_process(lines, _EXIM_PROCESS)))


def _exim_process(lines: list[str]) -> list[Item]:
    """It is the client where the first reply came in, and the server where it went out."""
    said: list[tuple[bool, str]] = []
    for line in lines:
        if found := _EXIM.fullmatch(line):
            said.append((found["way"] == "<<", found["text"]))
        elif said and (found := _EXIM_MORE.fullmatch(line)):
            said.append((said[-1][0], found["text"]))
        elif "TLS session" in line or line.lstrip().startswith("TLS active"):
            said.append((False, ""))
    first = next((each for each in said if _REPLY.fullmatch(each[1])), (True, ""))
    incoming: Side = "S" if first[0] else "C"
    items: list[Item] = []
    for came, text in said:
        side = incoming if came else _other(incoming)
        if not text:
            items.append(Mark("starttls"))
        elif text.startswith("writing message and terminating"):
            items += [Elided("C", 0), Line("C", b".")]
        else:
            items.append(_line(side, text))
            if side == "C" and (chunk := _CHUNK.match(text)):
                items.append(Elided("C", int(chunk[1])))
    return items


_CHUNK: Final = re.compile(r"BDAT ([0-9]{1,12})\b", re.ASCII)


# -- Postfix's log, with debug_peer_list or -v, and what it says of a delivery

# Each part has a bound, so that the time of a line does not grow with its square.
_POSTFIX: Final = re.compile(
    r"(?:.*\bpostfix(?:-[\w.-]{1,99})?/(?:[\w.-]{1,99}/){0,4}(?P<program>\w{1,99})\[[0-9]{1,9}\]: )"
    r"(?P<way>[<>]) \S+\[[^]]*\](?::[0-9]+)?: (?P<text>.*)",
    re.ASCII,
)
_POSTFIX_PROCESS: Final = re.compile(r"[^\[]{1,999}\[([0-9]{1,9})\]: ")
_SAID: Final = re.compile(
    r"\bsaid: (?P<reply>[2-5][0-5][0-9][ -].*?)"
    r"(?:\(in reply to (?P<command>[\w ]{1,40}?)(?: command)?\))?\)?\Z",
    re.ASCII,
)
_REJECT: Final = re.compile(
    r".*\breject(?:_warning)?: (?P<command>[A-Z]+) from \S{1,999}: (?P<reply>[45][0-5][0-9] .*?)"
    r"(?:; from=.*)?",
    re.ASCII,
)


def _postfix(lines: list[str]) -> list[Item]:
    return _apart(map(_postfix_process, _by_process(lines, _POSTFIX_PROCESS)))


def _postfix_process(lines: list[str]) -> list[Item]:
    items: list[Item] = []
    for line in lines:
        if found := _POSTFIX.fullmatch(line):
            serving = found["program"].endswith("smtpd")
            incoming: Side = "C" if serving else "S"
            items.append(
                _line(incoming if found["way"] == "<" else _other(incoming), found["text"])
            )
        elif "TLS connection established" in line and items:
            items.append(Mark("starttls"))
    return items


def _postfix_deliveries(lines: list[str]) -> list[Item]:
    items: list[Item] = []
    for line in _joined(lines):
        found = _REJECT.fullmatch(line) or _SAID.search(line.rstrip())
        if found is None:
            continue
        command = {"end of DATA": "."}.get(found["command"] or "", found["command"] or "")
        if command:
            items.append(_line("C", command))
        items.append(_line("S", found["reply"].rstrip()))
    return items


def _joined(lines: list[str]) -> list[str]:
    """Bounces fold their lines."""
    joined: list[list[str]] = []
    for line in lines:
        if joined and line.startswith((" ", "\t")) and line.strip():
            joined[-1].append(line.strip())
        else:
            joined.append([line])
    return [" ".join(parts) for parts in joined]


# -- Exim's main log

_EXIM_LOG: Final = re.compile(
    r".*\bSMTP error from remote mail server after (?P<command>.{1,999}?): "
    r"(?:host \S{1,255} \[[^]]{1,99}\]: )?"
    r"(?P<reply>[2-5][0-5][0-9][ -].*)",
    re.ASCII,
)


def _exim_log(lines: list[str]) -> list[Item]:
    items: list[Item] = []
    for line in lines:
        if found := _EXIM_LOG.fullmatch(line):
            command = found["command"].removeprefix("pipelined ")
            items.append(_line("C", "." if command.startswith("end of data") else command))
            items.append(_line("S", found["reply"]))
    return items


# -- openssl s_client, telnet, nc: the replies and what was typed stand as they are


_RESPONSE: Final = re.compile(r"(?![0-9]+\Z)\S+")  # typed behind a 334; tshark has numbers
_LATE: Final = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}")  # the same behind an AUTH that was refused


def _terminal(lines: list[str]) -> list[Item]:
    items: list[Item] = []
    body, ends = False, "." in lines
    response: re.Pattern[str] | None = None
    for line in lines:
        if body:
            body = line != "."
            items.append(_line("C", line))
        elif _REPLY.fullmatch(line):
            if not (items and items[-1] == _line("S", line)):  # s_client shows STARTTLS's again
                items.append(_line("S", line))
            body = line.startswith("354") and ends
            if response is not None:
                response = _RESPONSE if line.startswith("334") else _LATE
        elif _COMMAND.fullmatch(line):
            items.append(_line("C", line))
            response = _LATE if line[:4].upper() == "AUTH" else None
        elif response is not None and response.fullmatch(line):
            items.append(_line("C", line))
        elif line.startswith("Verify return code:") and not items:
            items.append(Mark("starttls"))
    return items


# -- tshark -z follow,tcp,ascii,0

_LENGTH: Final = re.compile(r"(?P<tab>\t?)(?P<size>[0-9]+)")


def _tshark(lines: list[str]) -> list[Item]:
    if not any(line.startswith("Follow: tcp") for line in lines):
        return []
    chunks: list[tuple[bool, list[str]]] = []
    left = 0
    for line in lines:
        if left <= 0 and (found := _LENGTH.fullmatch(line)):
            chunks.append((bool(found["tab"]), []))
            left = int(found["size"])
        elif chunks and left > 0:
            chunks[-1][1].append(line)
            left -= len(line.encode()) + 2
    first = next((tab for tab, said in chunks if said and _REPLY.fullmatch(said[0])), False)
    return [
        _line("S" if tab == first else "C", line) for tab, said in chunks for line in said if line
    ]


# -- smtplib's set_debuglevel(1)

_SMTPLIB: Final = re.compile(r"(?:[0-9:.]+ )?(?P<what>send|reply): (?P<text>.*)")


def _smtplib(lines: list[str]) -> list[Item]:
    items: list[Item] = []
    for line in lines:
        found = _SMTPLIB.fullmatch(line)
        if found is None or found["text"][:1] not in ("'", '"', "b"):
            continue
        try:
            given = ast.literal_eval(found["text"])
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # too deep for the parser
            continue
        octets = given if isinstance(given, bytes) else str(given).encode("utf-8", "surrogatepass")
        side: Side = "C" if found["what"] == "send" else "S"
        items += [Line(side, each) for each in octets.removesuffix(b"\r\n").split(b"\r\n")]
    return items


# -- anything with replies in it

_ANYWHERE: Final = re.compile(
    r"(?:^|[\s:>|'\"])([45][0-5][0-9](?:[ -][245]\.[0-9]+\.[0-9]+)?[ -]\S.*)"
)


def _replies(lines: Iterable[str]) -> list[Item]:
    return [_line("S", found[1]) for line in lines if (found := _ANYWHERE.search(line))]


_FORMS: Final[tuple[tuple[str, _Reader], ...]] = (
    ("swaks", _swaks),
    ("Exim, debugging", _exim),
    ("Exim's log", _exim_log),
    ("Postfix, debugging", _postfix),
    ("Postfix's log, or a bounce", _postfix_deliveries),
    ("tshark, follow", _tshark),
    ("smtplib, set_debuglevel", _smtplib),
    ("openssl s_client, or a terminal", _terminal),
    ("replies", _replies),
)
