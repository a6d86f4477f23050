"""How the engine's classes hang together: ``python -m benchmarks.structure``.

Three gauges for each class, its bases within the package taken as parts of it: how many attributes
an instance has; how many of them are written from two files or more; which share of its calls of
methods of its own, ``self.method()``, leads to another file. A class that is cut into files by
inheritance scores high in all three.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import smtpwire

__all__ = ["Gauges", "gauges", "main"]

PACKAGE = Path(smtpwire.__file__).parent


@dataclass(slots=True)
class _Class:
    """A class as its file has it."""

    name: str
    path: Path
    bases: tuple[str, ...]
    methods: frozenset[str]
    slots: frozenset[str]
    body: ast.ClassDef


@dataclass(frozen=True, slots=True)
class Gauges:
    """What was counted of one class and its bases."""

    name: str
    attributes: int
    written_from_several: tuple[str, ...]
    calls: int
    calls_elsewhere: int
    files: tuple[str, ...] = field(default=())

    @property
    def share(self) -> float:
        """Of the calls of its own methods, those that lead to another file."""
        return self.calls_elsewhere / self.calls if self.calls else 0.0


def _strings(node: ast.expr) -> frozenset[str]:
    if isinstance(node, ast.Tuple | ast.List):
        constants = [item.value for item in node.elts if isinstance(item, ast.Constant)]
        return frozenset(name for name in constants if isinstance(name, str))
    return frozenset()


def _slots(body: ast.ClassDef) -> frozenset[str]:
    """The attributes declared, by ``__slots__`` or as annotated fields."""
    named: frozenset[str] = frozenset()
    for statement in body.body:
        if isinstance(statement, ast.Assign):
            targets = [item.id for item in statement.targets if isinstance(item, ast.Name)]
            named |= _strings(statement.value) if "__slots__" in targets else frozenset()
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and "ClassVar" not in ast.unparse(statement.annotation)
        ):
            named |= {statement.target.id}
    return named


def _classes(folder: Path) -> Iterator[_Class]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
                bases = tuple(base.id for base in node.bases if isinstance(base, ast.Name))
                yield _Class(node.name, path, bases, frozenset(methods), _slots(node), node)


def _written(tree: ast.AST) -> Iterator[str]:
    """The names of the attributes that the code assigns to; a constructor's own do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.attr
        yield from _written(node)


def _role(path: Path) -> str:
    """Whose file this is: a server's, a client's, or both roles'."""
    names = {part.partition("_")[0].removesuffix(".py") for part in path.parts[-2:]}
    return next((role for role in ("server", "client") if role in names), "")


def _own_calls(body: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(body):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "self":
                yield node.func.attr


def _whole(part: _Class, known: dict[str, _Class]) -> list[_Class]:
    """The class and its bases in the same folder."""
    parts = [part]
    for base in part.bases:
        if base in known:
            parts += _whole(known[base], known)
    return parts


def _measure(parts: list[_Class], writers: dict[str, set[Path]]) -> Gauges:
    attributes = frozenset[str]().union(*(part.slots for part in parts))
    roles = {"", _role(parts[0].path)}
    several = [
        name
        for name in sorted(attributes)
        if sum(_role(path) in roles for path in writers.get(name, ())) > 1
    ]
    calls = elsewhere = 0
    for part in parts:
        for method in _own_calls(part.body):
            owner = next((other for other in parts if method in other.methods), None)
            calls += owner is not None
            elsewhere += owner is not None and owner.path != part.path
    files = tuple(dict.fromkeys(part.path.name for part in parts))
    return Gauges(parts[0].name, len(attributes), tuple(several), calls, elsewhere, files)


def gauges(folder: Path = PACKAGE / "engine") -> list[Gauges]:
    """Measure every class below a folder, those with most attributes first.

    An attribute counts as written wherever one of its name is assigned to in a file of the same
    role: a name that two classes share is counted for both.
    """
    classes = list(_classes(folder))
    known = {part.name: part for part in classes}
    writers: dict[str, set[Path]] = {}
    for path in sorted(folder.rglob("*.py")):
        for name in _written(ast.parse(path.read_text("utf-8"))):
            writers.setdefault(name, set()).add(path)
    measured = [_measure(_whole(part, known), writers) for part in classes]
    return sorted(measured, key=lambda item: (-item.attributes, item.name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each class of more attributes than asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure", description=__doc__)
    parser.add_argument("--folder", type=Path, default=PACKAGE / "engine")
    parser.add_argument("--least", type=int, default=10, help="attributes of a class that is shown")
    options = parser.parse_args(arguments)
    row = "{:<22}{:>11}{:>16}{:>8}{:>11}  {}"
    print(row.format("class", "attributes", "from >= 2 files", "calls", "elsewhere", "files"))
    for item in gauges(options.folder):
        if item.attributes >= options.least:
            several = len(item.written_from_several)
            files = " ".join(item.files)
            cells = (item.name, item.attributes, several, item.calls, f"{item.share:.0%}", files)
            print(row.format(*cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
