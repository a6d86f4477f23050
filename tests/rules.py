"""The rules of the RFCs and what shows them; run this file to bring README.md beside it up to date.

``rules.txt`` has a line a rule: its number, who keeps it, its sections, the rule, and its tests. A
test is a case of ``tests/cases`` by its id, or ``folder/file::name`` without the words "test_" and
".py". A rule that is not followed has "!" and the reason in their place.
"""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["README", "RULES", "Rule", "document", "named_by", "sections"]

TESTS: Final = Path(__file__).parent
README: Final = TESTS / "README.md"
_DOCUMENT: Final = re.compile(r"RFC (\d+)|(LOGIN draft)|§([0-9A-Z]+(?:\.[0-9]+)*)")
_HEAD: Final = """# Tests

```sh
python -m pytest tests/wire tests/engine -q                    # the fast loop: the rooms you are in
python -m pytest -n auto --dist worksteal                      # all that needs no peers, on all cores;
                                                               # with 2 of them fastest with -n 5, since many tests wait
python -m pytest --hypothesis-profile=thorough                 # four times as many examples, and long inputs cut at every place
python -m pytest -m interop                                    # real peers: see interop/README.md
python -m tests.walk --profile relay                           # client and server in every state they reach
python -m tests.adapters.stress                                # clients that reset, stall and vanish
.ci/run                                                        # everything, from nothing, on Debian
```

| a test of | goes to |
|---|---|
| a protocol rule, in one dialogue | `cases/cases.json`: octets, decisions, what is expected; it runs in every split |
| a parser, an engine, an extension, a mechanism | the folder of its room: `wire/`, `engine/`, `extensions/`, `sasl/` |
| every adapter alike | `adapters/test_acceptance.py`; what one alone has, `adapters/test_<adapter>.py`; see [`adapters/`](adapters/README.md) |
| an operation | `test_operations*.py` |
| a real program | [`interop/`](interop/README.md); what it once said, `transcripts/` and [`dialogues/`](dialogues/README.md) |
| what holds in every state of a client and its server | `walk/`: `test_walk.py` goes a few steps, `python -m tests.walk` as far as asked |
| a whole program as users write it | [`examples/`](examples/README.md) |
| what documents say | `test_readme.py`: every block of Python runs, every table is fresh |
| what is public, and its docstrings | `test_public_api.py`; `public.txt` lists it, which `python -m tests.public` writes anew |

No test measures time. Servers are on loopback, at port 0. Every test can fail: see it do so once.

## What the tests notice

Of each floor 500 single changes were drawn by chance: a comparison, a number, a word, a flag, a branch or a statement; a change is killed where one of the tests that cover its line fails or never ends.
Equivalent are `is` for `==` and the reverse, as a kind, and what was read and found to change nothing that can be observed: a short way or a cache not taken, slots, a first value that is always replaced, the size of a piece, the last for the first of only one, a possessive repeat, what stands for no value and is refused as well.

| floor | changes | killed | equivalent | noticed of the others |
|---|---|---|---|---|
| `wire` | 500 | 456 | 44 | 100 % |
| `extensions` | 500 | 491 | 9 | 100 % |
| `sasl` | 500 | 486 | 14 | 100 % |
| `engine` | 500 | 454 | 43 | 99.3 % |
| `operations` | 500 | 437 | 58 | 98.9 % |

Those of `extensions` and `sasl` are a second sample, drawn anew. At first 480 and 475 of them were killed, 97.8 % and 97.7 % of what is not equivalent. For the 11 and 11 that were left there are tests by now; tried again, all of them are killed.

## From rule to test

What SMTP demands, in half a line each, and the tests that show it. Each of them names the section in its docstring or a comment, a case in `cases/cases.json`.
`D-…` are cases: `python -m pytest tests/cases -k D-DOT-001` runs one. This page is made from `rules.txt` by `python -m tests.rules`.

| rule | | section | role | shown by |
|---|---|---|---|---|
"""
_NOT_FOLLOWED: Final = """
## Not followed

Rules that are others' to keep here, with the reason.

| rule | | section | reason |
|---|---|---|---|
"""


class Rule(NamedTuple):
    """A rule, and how it is shown, or why not."""

    number: int
    role: str
    sections: str
    says: str
    tests: tuple[str, ...]
    reason: str


def _read() -> Iterator[Rule]:
    for line in TESTS.joinpath("rules.txt").read_text().splitlines():
        number, role, sections_, says, shown = line.split("|")
        reason = shown[1:] if shown.startswith("!") else ""
        yield Rule(
            int(number), role, sections_, says, () if reason else tuple(shown.split()), reason
        )


RULES: Final = tuple(_read())


def sections(text: str) -> set[tuple[str, str]]:
    """The sections that a text names, each with its document; ("5321", "") is a document alone."""
    found: set[tuple[str, str]] = set()
    document_ = ""
    for rfc, draft, section in _DOCUMENT.findall(text):
        if section and document_:
            found.add((document_, section))
        elif rfc or draft:
            document_ = rfc or draft
            found.add((document_, ""))
    return found


def named_by(test: str) -> set[tuple[str, str]]:
    """The sections that a test names; KeyError where there is no such test."""
    if test.startswith("D-"):
        return sections(_cases()[test])
    file, _, name = test.partition("::")
    return sections(_functions(file)[f"test_{name}"])


@cache
def _cases() -> dict[str, str]:
    cases = json.loads(TESTS.joinpath("cases", "cases.json").read_text())
    return {case["id"]: case["rfc"] for case in cases}


@cache
def _functions(file: str) -> dict[str, str]:
    """The text of each test of a file, and what the file says of all of them."""
    text = TESTS.joinpath(file + ".py").read_text()
    lines, module = text.splitlines(), ast.parse(text)
    return {
        node.name: f"{ast.get_docstring(module)}\n"
        + "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in module.body
        if isinstance(node, ast.FunctionDef)
    }


def document() -> str:
    """What README.md has to say."""
    shown = "".join(
        f"| R{rule.number} | {_cell(rule.says)} | {rule.sections} | {rule.role} |"
        f" {', '.join(f'`{test}`' for test in rule.tests)} |\n"
        for rule in RULES
        if rule.tests
    )
    left = "".join(
        f"| R{rule.number} | {_cell(rule.says)} | {rule.sections} | {_cell(rule.reason)} |\n"
        for rule in RULES
        if rule.reason
    )
    return _HEAD + shown + _NOT_FOLLOWED + left


def _cell(text: str) -> str:
    return text.replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    README.write_text(document())
