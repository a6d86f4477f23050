"""The parts of README that are made from the code; run this file to bring them up to date."""

import ast
import inspect
import json
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.interop import matrix

from smtpwire.engine import limits, state
from smtpwire.engine.commands import COMMANDS, CommandRow, extension_row
from smtpwire.engine.replies import DEFAULT_REPLIES
from smtpwire.engine.state import State
from smtpwire.extensions import REGISTRY, Atrn, Burl, Etrn, XClient, XForward, table
from smtpwire.wire.command import ExtensionCommand, ExtensionRequest
from smtpwire.wire.reply import Reply

README: Final = Path(__file__).parent.parent / "README.md"


def limits_table() -> str:
    """Every bound with its default and what happens at it, from the fields' docstrings."""
    body = next(
        node for node in ast.parse(inspect.getsource(limits)).body if isinstance(node, ast.ClassDef)
    ).body
    rows = ["| `Limits` | default | what it bounds, and what happens |", "|---|---|---|"]
    defaults = limits.Limits()
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            if not isinstance(text, ast.Expr) or not isinstance(text.value, ast.Constant):
                raise AssertionError(f"{field.target.id} has no docstring")
            name = field.target.id
            said = " ".join(str(text.value.value).split())
            rows.append(f"| `{name}` | {getattr(defaults, name):,} | {said} |")
    return "\n".join(rows)


def states() -> str:
    """The state diagram."""
    return f"```mermaid\n{state.mermaid()}\n```"


RESULTS: Final = README.parent / "benchmarks" / "results.json"


def benchmarks() -> str:
    """The ratios of the last full run that was kept."""
    run = json.loads(RESULTS.read_text())
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    rows = [
        f"Of {run['date'][:10]}: {versions}.",
        "",
        "| # | figure | against | median (least–most) | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    for figure in run["figures"]:
        sign = "≥" if figure["better"] == "more" else "≤"
        measured, met = "not run", figure["missing"] or "–"
        if "median" in figure:
            numbers = (f"{figure[name]:.3g}" for name in ("median", "min", "max"))
            measured = "{} ({}–{})".format(*numbers) + figure["unit"].replace("×", "")
            met = "yes" if figure["met"] else "**no**"
        rows.append(
            f"| {figure['number']} | {figure['figure']} | {figure['against']} | {measured} |"
            f" {sign} {figure['goal']:g} | {met} |"
        )
    return "\n".join(rows)


QUESTIONS: Final[tuple[type[ExtensionRequest], ...]] = (Etrn, Atrn, Burl, XClient, XForward)
"""The questions of extensions that have a class of their own."""


def rows() -> list[CommandRow]:
    """The rows of the commands of every session, then those of the extensions' verbs."""
    brought = [extension_row(verb) for entry in REGISTRY for verb in entry.verbs]
    return [*COMMANDS.values(), *(row for row in brought if row.word not in COMMANDS)]


def default_of(row: CommandRow) -> Reply:
    """What a server answers whose application has no answer of its own."""
    if isinstance(row.default, Reply):
        return row.default
    if row.default is None:
        raise AssertionError(f"{row.word} has no default")
    return DEFAULT_REPLIES[row.default]


def questions() -> str:
    """Which question a command becomes, and what may answer it."""
    own: dict[str, type[ExtensionRequest]] = {vars(each)["verb"]: each for each in QUESTIONS}
    lines = ["| question | of | legal | default |", "|---|---|---|---|"]
    told: dict[tuple[str, ...], CommandRow] = {}
    commands: dict[tuple[str, ...], list[str]] = {}
    for row in rows():
        asks = row.asks or ((own[row.word],) if row.word in own else ())
        if not asks and row.word not in COMMANDS:
            asks = (ExtensionCommand,)
        names = tuple(f"`{question.__name__}`" for question in asks)
        if len(asks) > 1 and row.verb in ("BDAT", "BURL"):
            continue  # the end of the data has its own row
        if names:
            told.setdefault(names, row)
            commands.setdefault(names, []).append(row.word)
    for names, row in told.items():
        legal = f"{row.positive or '2yz'}, 4yz, 5yz"
        of = ", ".join(dict.fromkeys(commands[names]))
        lines.append(f"| {', '.join(names)} | {of} | {legal} | {shown(default_of(row))} |")
    return "\n".join(lines)


def shown(reply: Reply) -> str:
    return " ".join(filter(None, (str(reply.code), reply.enhanced)))


def group(row: CommandRow) -> str:
    """Where it may stand among pipelined commands."""
    if not row.verb:
        return "–"
    return "anywhere" if row.grouped else "last"


def commands() -> str:
    """Every command: where it may come, how it may be grouped, and what answers it."""
    head = ("command", "states", "in a group", "replies", "time-out")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows():
        states = ", ".join(state.value for state in State if state in row.states)
        usual = (*row.replies.intermediate, *row.replies.success, *row.replies.errors)
        lines.append(
            f"| {row.word} | {states} | {group(row)} |"
            f" {' '.join(map(str, usual))} | `{row.timeout}` |"
        )
    return "\n".join(lines)


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "benchmarks": benchmarks,
    "commands": commands,
    "extensions": lambda: table().strip(),
    "interop": matrix.table,
    "limits": limits_table,
    "questions": questions,
    "states": states,
}


def part(name: str) -> re.Pattern[str]:
    """Where a generated part stands: between its two marks."""
    return re.compile(rf"(<!-- generated: {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def example(name: str) -> str:
    """The code of an example."""
    found = re.search(
        rf"<!-- example: {name} -->\n```python\n(.*?)```", README.read_text(), re.DOTALL
    )
    if found is None:
        raise AssertionError(f"README has no example {name}")
    return found[1]


def main() -> None:
    text = README.read_text()
    for name, make in GENERATED.items():
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}{make()}\n{end}{rest.partition(end)[2]}"
    README.write_text(text)


if __name__ == "__main__":
    main()
