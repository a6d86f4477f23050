"""How a dialogue is shown: each line with its meaning, what is wrong with it, what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, final

from smtpwire.command_line.advice import advice_on
from smtpwire.command_line.dialogue import Entry
from smtpwire.command_line.judge import Finding, Findings
from smtpwire.command_line.output import json_of, printable, show
from smtpwire.extensions import REGISTRY
from smtpwire.transcript import Elided, Item, Mark, Note, Octets, without_secrets, write
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import END_OF_DATA, GREETING
from smtpwire.wire.status import BASIC_CODES, ENHANCED_CODES, classify, describe

__all__ = [
    "Style",
    "as_json",
    "meaning_of",
    "show_dialogue",
    "show_verdict",
    "style_of",
    "width_of",
]

MEANINGS: Final[Mapping[str, str]] = {
    "EHLO": "who I am; which extensions are there? (RFC 5321)",
    "HELO": "who I am, without extensions (RFC 5321)",
    "LHLO": "who I am, in LMTP: a verdict a recipient (RFC 2033)",
    "STARTTLS": "go on under TLS (RFC 3207)",
    "AUTH": "who sends, proved; here redacted (RFC 4954)",
    "MAIL": "a transaction begins: the sender, reverse-path",
    "RCPT": "a recipient, forward-path",
    "DATA": "the content is to follow, dot-stuffed",
    "BDAT": "content follows, counted and not stuffed (RFC 3030)",
    END_OF_DATA: "the end of the message: the server's verdict is asked",
    "RSET": "forget the transaction",
    "NOOP": "nothing; is the server there?",
    "VRFY": "is there such a mailbox?",
    "EXPN": "who is on this list?",
    "HELP": "help",
    "QUIT": "that was all",
    "XCLIENT": "whom I speak for: a proxy's word (Postfix)",
    "XFORWARD": "whom the message came from: a filter's word (Postfix)",
    "ETRN": "send what is queued for this node (RFC 1985)",
}


@final
class Style:
    """Colours on a terminal, none where it is piped or NO_COLOR is set (no-color.org)."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def __call__(self, colour: str, text: str) -> str:
        """The text in this colour."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colours and text else text


_COLOURS: Final = {"client": "36", "good": "32", "wait": "33", "bad": "31", "dim": "2", "bold": "1"}


def style_of() -> Style:
    """What standard output is written in."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Style(sys.stdout.isatty() and not plain)


def width_of() -> int:
    """Columns of the terminal; 0 where it is none, and no line is cut."""
    if not sys.stdout.isatty():
        return 0
    with suppress(OSError):
        return os.get_terminal_size(sys.stdout.fileno()).columns
    return 80


def meaning_of(entry: Entry) -> str:
    """What a line of a dialogue means."""
    item = entry.item
    if entry.kind in ("command", "response"):
        return MEANINGS.get(entry.verb, "")
    if entry.kind == "content" and isinstance(item, Elided):
        return "content, left out"
    if entry.kind != "reply" or isinstance(item, Elided | Mark | Note) or not _is_said(item):
        return ""
    text = item.octets.decode("utf-8", "replace")  # type: ignore[union-attr] # _is_said
    hello = entry.answers is not None and entry.answers.verb in ("EHLO", "LHLO")
    if hello and text[:3] == "250" and (extension := _extension(text[4:])):
        return extension
    return "" if entry.reply is None else _of_reply(entry.reply)


def _is_said(item: Item) -> bool:
    return hasattr(item, "octets")


def _extension(text: str) -> str:
    keyword = text.partition(" ")[0].upper()
    entry = REGISTRY.by_keyword.get(keyword.partition("=")[0])
    return "" if entry is None else f"{entry.summary} ({entry.rfc})"


def _of_reply(reply: Reply) -> str:
    basic = BASIC_CODES.get(reply.code)
    if reply.code < 400 and basic is not None:
        return basic.meaning
    return describe(reply)


def _colour(entry: Entry) -> str:
    if entry.kind != "reply":
        return "client" if entry.kind != "note" else "dim"
    first = write([entry.item])[3:4]
    return {"4": "wait", "5": "bad"}.get(first, "good")


def show_dialogue(entries: list[Entry], findings: Findings) -> None:
    """Each line, what it means, and which rule it breaks."""
    style, columns = style_of(), width_of()
    lines = [line.rstrip("\n") for line in _lines(entries)]
    left = min(max((len(line) for line in lines), default=0), 60, columns // 2 or 48)
    for number, (entry, line) in enumerate(zip(entries, lines, strict=True)):
        meaning = meaning_of(entry)
        shown = line
        if meaning and len(shown) > left and columns:
            shown = f"{shown[: left - 1]}…"
        padding = " " * (left - len(shown)) if meaning else ""
        coloured = style(_colour(entry), shown)
        show(f"{coloured}{padding}  {style('dim', meaning)}".rstrip() if meaning else coloured)
        for finding in findings.get(number, ()):
            show(style("bad", f"   !! {_found(finding)}"))
            if finding.ours:
                show(style("dim", f"      our server would answer: {printable(finding.ours)}"))


def _lines(entries: Iterable[Entry]) -> list[str]:
    items = without_secrets(entry.item for entry in entries)
    return [_shown(item) for item in items]


def _shown(item: Item) -> str:
    """One line; without_secrets() has seen the whole dialogue already."""
    if item == Elided("C", 0):
        return "C: …"
    if isinstance(item, Octets) or not _is_said(item):
        return write([item])
    text = printable(item.octets)  # type: ignore[union-attr] # _is_said
    return f"{item.side}: {text}".rstrip()  # type: ignore[union-attr] # _is_said


def _found(finding: Finding) -> str:
    source = f" ({finding.source})" if finding.source else ""
    return f"the {finding.who}: {printable(finding.text)}{source}"


def refusals(entries: Iterable[Entry]) -> list[tuple[Entry, Reply]]:
    """The refusals, in order: the command and the reply."""
    return [
        (entry.answers or entry, entry.reply)
        for entry in entries
        if entry.reply is not None and entry.reply.severity in (4, 5)
    ]


def show_verdict(entries: list[Entry]) -> None:
    """Why it failed, and what to do; or that nothing was refused."""
    style = style_of()
    found = refusals(entries)
    if not found:
        show(style("good", "Nothing was refused."))
        return
    for command, reply in found:
        show("")
        show(style("bold", f"Refused: {_what(command)}"))
        show(f"  the server said: {printable(str(reply))}")
        meaning = _of_reply(reply)
        source = _source(reply)
        show(f"  this means: {meaning or 'nothing known of this code'}{source}")
        show(f"  again? {_again(command, reply)}")
        show(f"  what to do: {advice_on(reply)}")


def _what(command: Entry) -> str:
    if command.verb in (GREETING, ""):
        return "the connection, by the greeting" if command.verb else "(what came before it)"
    if command.verb == END_OF_DATA:
        return "the message, after its last line"
    if command.kind == "response" or command.verb == "AUTH":
        return "the login (AUTH)"
    return f"{_shown(next(iter(without_secrets([command.item]))))[3:]}"


def _source(reply: Reply) -> str:
    _, subject, detail = reply.status or (0, -1, -1)
    row = ENHANCED_CODES.get((subject, detail))
    if row is not None:
        return f" ({reply.enhanced}, {row.source})"
    basic = BASIC_CODES.get(reply.code)
    return f" ({reply.code}, {basic.source})" if basic is not None else ""


def _again(command: Entry, reply: Reply) -> str:
    outcome = classify(command.verb or "MAIL", reply).value
    return {
        "retry": "yes, later: it is refused for now (RFC 5321 §4.2.1)",
        "permanent": "no: the same will be refused again (RFC 5321 §4.2.1)",
    }.get(outcome, outcome)


def as_json(entries: list[Entry], findings: Findings, form: str = "") -> str:
    """The same as one JSON object."""
    dialogue = [
        {
            "line": line.rstrip("\n"),
            "meaning": meaning_of(entry),
            "findings": [
                {
                    "who": finding.who,
                    "rule": finding.text,
                    "source": finding.source,
                    "our_answer": finding.ours or None,
                }
                for finding in findings.get(number, ())
            ],
        }
        for number, (entry, line) in enumerate(zip(entries, _lines(entries), strict=True))
    ]
    refused = [
        {
            "command": _what(command),
            "code": reply.code,
            "enhanced": reply.enhanced,
            "text": reply.text,
            "meaning": _of_reply(reply),
            "outcome": classify(command.verb or "MAIL", reply).value,
            "advice": advice_on(reply),
        }
        for command, reply in refusals(entries)
    ]
    result: dict[str, object] = {"dialogue": dialogue, "refused": refused}
    return json_of(({"form": form} if form else {}) | result)
