"""The parts of the documents that are made from the code; run this file to bring them up to date."""

import ast
import inspect
import json
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.interop import matrix

from smtpwire import ServerConfig, ServerConnection
from smtpwire.engine import limits, state
from smtpwire.engine.commands import COMMANDS, CommandRow, extension_row
from smtpwire.engine.events import CommandQuestion
from smtpwire.engine.replies import DEFAULT_REPLIES
from smtpwire.engine.server.commands import HELPING
from smtpwire.engine.state import State
from smtpwire.extensions import REGISTRY, Atrn, Burl, Etrn, XClient, XForward, table
from smtpwire.sasl import FAMILIES, Family, binds
from smtpwire.testing import SIMULATED_TLS, drain
from smtpwire.wire.command import ExtensionCommand, ExtensionRequest
from smtpwire.wire.reply import Reply

__all__ = [
    "DOCUMENTS",
    "EXAMPLE",
    "GENERATED",
    "README",
    "ROOT",
    "example",
    "home",
    "part",
    "table_of",
]

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"
ROOMS: Final = ("src", "tests", "fuzz", "benchmarks")
DOCUMENTS: Final = (
    README,
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob(".github/*.md")),
    *(path for room in ROOMS for path in sorted(ROOT.glob(f"{room}/**/*.md"))),
)
"""Every document that has examples, links or parts made from the code."""


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


RESULTS: Final = {
    "pure": ROOT / "benchmarks" / "results.json",
    "compiled": ROOT / "benchmarks" / "results-compiled.json",
    "not optimised": ROOT / "benchmarks" / "results-unoptimised.json",
}
"""Where the last full run of each build is kept; the first two are of the reference."""


def runs() -> dict[str, dict[str, Any]]:
    """The runs that are kept, by the name of the build."""
    return {name: json.loads(path.read_text()) for name, path in RESULTS.items() if path.exists()}


def benchmarks() -> str:
    """The figures of the last full run of each build, side by side."""
    kept = runs()
    rows = []
    for name, run in kept.items():
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        build = run["build"]
        rows.append(
            f"- {name}: {build['python']}, built with {build['flags']}; {run['date'][:10]};"
            f" {versions}."
        )
    heads = "".join(
        f" goal | {name} |" if has_goals(run) else f" {name} |" for name, run in kept.items()
    )
    columns = heads.count("|")
    rows += ["", f"| # | figure | against |{heads}", "|" + "---|" * (3 + columns)]
    figures = {
        name: {figure["name"]: figure for figure in run["figures"]} for name, run in kept.items()
    }
    for name, figure in next(iter(figures.values())).items():
        cells = [str(figure["number"]), figure["figure"], figure["against"]]
        for build, run in kept.items():
            cells += figure_cells(figures[build].get(name), goals=has_goals(run))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def has_goals(run: Mapping[str, Any]) -> bool:
    """Whether the goals hold for a run: it was on an optimised build."""
    optimised: bool = run["build"]["optimised"]
    return optimised


def figure_cells(figure: Mapping[str, Any] | None, *, goals: bool) -> list[str]:
    """The goal where one holds, and the figure: in bold where it does not reach it."""
    if figure is None:
        return ["–"] * (1 + goals)
    measured = "not run"
    if "median" in figure:
        numbers = (f"{figure[name]:.3g}" for name in ("median", "min", "max"))
        unit = figure["unit"].replace("×", "")
        measured = "{} ({}–{})".format(*numbers) + (f" {unit}" if unit else "")
    if not goals:
        return [measured]
    sign = "≥" if figure["better"] == "more" else "≤"
    return [
        f"{sign} {figure['goal']:g}",
        f"**{measured}**" if figure.get("met") is False else measured,
    ]


def speed() -> str:
    """Three of the ratios, in a sentence; the builds that have goals, one behind the other."""
    kept = [run for run in runs().values() if has_goals(run)]
    figures = [{figure["name"]: figure for figure in run["figures"]} for run in kept]

    def times(name: str) -> str:
        first, *compiled = [f"{each[name]['median']:.2g}" for each in figures]
        return f"{first} times" + "".join(f" ({each} compiled)" for each in compiled)

    return (
        f"On {kept[0]['build']['python']} in memory the server engine takes"
        f" {times('server-lockstep')} as many messages a second as aiosmtpd, the asyncio adapter"
        f" {times('adapter-lockstep')}; the client sends 25 MiB {times('send-base64')} as fast as"
        " smtplib."
    )


PORTS: Final = {"relay": "25", "submission": "587", "submissions": "465", "lmtp": "24, a socket"}


def profiles() -> str:
    """What each preset of a server offers, as it says it to EHLO."""
    every, more = _said()
    rows = ["| `ServerConfig` | port | offers in plaintext | under TLS |", "|---|---|---|---|"]
    for name, words in more.items():
        cells = " | ".join(", ".join(each) or "–" for each in words)
        rows.append(f"| `{name}()` | {PORTS[name]} | {cells} |")
    rows.append(f"| each | | {', '.join(every)} | the same |")
    return "\n".join(rows)


def offers() -> str:
    """The same in a sentence."""
    every, more = _said()
    said = []
    for name, (plain, tls) in more.items():
        words = [*plain, *(f"{word} under TLS" for word in tls)]
        said.append(f"`{name}()` (port {PORTS[name]}) {', '.join(words) or 'no more'}")
    return f"Each server offers {', '.join(every)}; {'; '.join(said)}."


Words: TypeAlias = list[str]


def _said() -> tuple[Words, dict[str, tuple[Words, Words]]]:
    """The keywords of all presets, and those beyond, by preset: in plaintext, and under TLS."""
    said = {name: _offers(name) for name in PORTS}
    every = [word for word in said["relay"][1] if all(word in tls for _, tls in said.values())]
    return every, {
        name: (_beyond(plain, every), _beyond(tls, every)) for name, (plain, tls) in said.items()
    }


def _beyond(words: Words, every: Words) -> Words:
    return [word for word in words if word not in every]


def _offers(preset: str) -> tuple[list[str], list[str]]:
    """The keywords in plaintext (none where there is only TLS), and under TLS."""
    make = getattr(ServerConfig, preset)
    config: ServerConfig = make("mx.example.org")
    plain = [] if config.require_tls else _ehlo(ServerConnection(config))
    return plain, _ehlo(ServerConnection(config, tls=SIMULATED_TLS))


def _ehlo(conn: ServerConnection) -> list[str]:
    verb = b"LHLO" if conn.config.profile.value == "lmtp" else b"EHLO"
    drain(conn)
    conn.reply()
    conn.data_to_send()
    conn.receive_data(verb + b" client.example.com\r\n")
    drain(conn)
    conn.reply()
    drain(conn)
    lines = conn.data_to_send().decode().splitlines()[1:]
    return [re.sub(r"^SIZE .*", "SIZE", line[4:]) for line in lines]


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
    told: dict[tuple[str, str], CommandRow] = {}
    commands: dict[tuple[str, str], list[str]] = {}
    for row in rows():
        asks = row.asks or ((own[row.word],) if row.word in own else ())
        if not asks and row.word not in COMMANDS:
            asks = (ExtensionCommand,)
        names = ", ".join(f"`{question.__name__}`" for question in asks)
        if len(asks) > 1 and row.verb in ("BDAT", "BURL"):
            continue  # the end of the data has its own row
        key = names, row.word if CommandQuestion in asks else ""  # each has its own answers
        if names:
            told.setdefault(key, row)
            commands.setdefault(key, []).append(row.word)
    for key, row in told.items():
        positive = ", ".join(map(str, HELPING)) if row.word == "HELP" else row.positive or "2yz"
        legal = f"{positive}, {'4yz, 5yz' if row.refusable else '421'}"
        of = ", ".join(dict.fromkeys(commands[key]))
        lines.append(f"| {key[0]} | {of} | {legal} | {shown(default_of(row))} |")
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


_WORDS: Final[Mapping[str, str]] = {
    "cleartext": "hands over the secret: under verified TLS only",
    "guessable": "a listener can guess the password offline",
    "salted": "a server needs `scram_secret`",
    "certified": "the client's certificate says who it is",
    "anonymous": "says nothing of who it is",
}
"""What a field of a Family means to who chooses."""


def mechanisms() -> str:
    """Every mechanism, the strongest first, with what is known of it."""
    rows = ["| mechanism | a client needs | |", "|---|---|---|"]
    for name, family in FAMILIES.items():
        rows.append(f"| {name} | `{family.credentials.__name__}` | {_known(name, family)} |")
    return "\n".join(rows)


def _known(name: str, family: Family) -> str:
    words = ["bound to the TLS channel"] if binds(name) else []
    words += [word for field, word in _WORDS.items() if getattr(family, field)]
    return "; ".join(words)


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "benchmarks": benchmarks,
    "commands": commands,
    "extensions": lambda: table().strip(),
    "interop": matrix.table,
    "limits": limits_table,
    "offers": offers,
    "mechanisms": mechanisms,
    "profiles": profiles,
    "questions": questions,
    "speed": speed,
    "states": states,
}

EXAMPLE: Final = re.compile(r"<!-- example: (\w+) -->\n```python\n(.*?)```", re.DOTALL)
"""An example: its name and its code."""


def part(name: str) -> re.Pattern[str]:
    """Where a generated part stands: between its two marks."""
    return re.compile(rf"(<!-- generated: {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def home(mark: str) -> Path:
    """The one document with this mark."""
    (found,) = (path for path in DOCUMENTS if f"<!-- {mark} -->\n" in path.read_text())
    return found


def example(name: str) -> str:
    """The code of an example."""
    examples: dict[str, str] = dict(EXAMPLE.findall(home(f"example: {name}").read_text()))
    return examples[name]


def table_of(name: str) -> list[list[str]]:
    """The cells of a table, without its head, row by row."""
    mark = f"table: {name}"
    _, _, rest = home(mark).read_text().partition(f"<!-- {mark} -->\n")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def main() -> None:
    for name, make in GENERATED.items():
        document = home(f"generated: {name}")
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
        head, rest = document.read_text().split(begin)
        document.write_text(f"{head}{begin}{make()}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    main()
