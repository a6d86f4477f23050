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
from smtpwire.extensions import table

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


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "benchmarks": benchmarks,
    "extensions": lambda: table().strip(),
    "interop": matrix.table,
    "limits": limits_table,
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
