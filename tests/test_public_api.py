"""The flat API: what type checkers see is what there is, and nothing of it does I/O."""

import ast
import importlib.util
import inspect
import pydoc
import re
import subprocess
import sys
from datetime import datetime
from email.message import Message
from functools import cached_property
from inspect import isroutine
from itertools import pairwise
from logging import Logger, LoggerAdapter
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Final, get_type_hints

import pytest
from tests.public import LIST, listing, members, public_modules

import smtpwire

NAMES: list[str] = vars(smtpwire)["__all__"]
BARE = "pass" if sys.implementation.name == "cpython" else "import hashlib"
"""PyPy's ``hashlib`` is part of its ``ssl``, which does I/O."""
FORBIDDEN = {
    "socket",
    "ssl",
    "asyncio",
    "trio",
    "select",
    "selectors",
    "threading",
    "email",
    "importlib.metadata",
}
LAZY = ("smtpwire", "smtpwire.wire", "smtpwire.extensions", "smtpwire.sasl")
ENGINE = ("wire", "extensions", "sasl", "engine", "operations", "service", "transcript", "testing")


LOADED_WHERE_USED: Final = {
    "ClientConnection": smtpwire.ClientConnection,
    "ClientEvent": smtpwire.ClientEvent,
    "ClientFactory": smtpwire.sasl.ClientFactory,
    "ClientMechanism": smtpwire.ClientMechanism,
    "ClientMechanismConfig": smtpwire.sasl.ClientMechanismConfig,
    "Logger": Logger,
    "LoggerAdapter": LoggerAdapter,
    "Message": Message,
    "ProxyHeader": smtpwire.ProxyHeader,
    "ServerConnection": smtpwire.ServerConnection,
    "ServerEvent": smtpwire.ServerEvent,
    "ServerFactory": smtpwire.sasl.ServerFactory,
    "ServerMechanism": smtpwire.ServerMechanism,
    "ServerMechanismConfig": smtpwire.sasl.ServerMechanismConfig,
    "StoredSecret": smtpwire.sasl.StoredSecret,
    "datetime": datetime,
}
"""What is imported for type checkers alone, since most programs do without it."""
SOCKETS = {
    f"smtpwire.testing.{name}" for name in ("collector", "listener", "loopback", "pytest_plugin")
}
"""What of it opens sockets, and is loaded only where one is wanted."""


def modules() -> list[str]:
    root = Path(smtpwire.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] in ENGINE:
            found.append(".".join(("smtpwire", *parts)).removesuffix(".__init__"))
    return found


def loaded_by(statement: str) -> set[str]:
    """What a fresh interpreter has in ``sys.modules`` after the statement."""
    program = f"{statement}\nimport sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_every_name_is_there() -> None:
    for name in NAMES:
        assert getattr(smtpwire, name) is not None
    assert dir(smtpwire) == NAMES
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(smtpwire, "nothing")  # noqa: B009 - what is tested


@pytest.mark.parametrize("name", modules())
def test_what_a_module_names_is_there(name: str) -> None:
    module = importlib.import_module(name)
    named: list[str] = getattr(module, "__all__", [])
    assert len(set(named)) == len(named)
    assert [each for each in named if not hasattr(module, each)] == []


def test_the_list_of_public_names_is_fresh() -> None:
    assert LIST.read_text() == listing(), "run: python -m tests.public"


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_a_public_module_lists_its_names(module: ModuleType) -> None:
    """What loads names when they are used lists them all the same, and knows no others."""
    assert set(dir(module)) >= set(vars(module)["__all__"])
    with pytest.raises(AttributeError, match="'nothing'"):
        getattr(module, "nothing")  # noqa: B009 - what is tested


def test_adapters_are_listed_without_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert dir(smtpwire.adapters) == ["asyncio", "blocking", "memory_tls", "tls"]


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_every_public_name_has_its_types_at_hand(module: ModuleType) -> None:
    """typing.get_type_hints() finds them, but for what is loaded where it is used."""
    for name, found in members(module):
        for each in (found, getattr(found, "__init__", None)):
            if isinstance(each, type | FunctionType):
                assert isinstance(get_type_hints(each, localns=LOADED_WHERE_USED), dict), name


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_every_public_name_is_documented(module: ModuleType) -> None:
    """By a docstring of its own, its public methods and its fields included."""
    assert module.__doc__
    # A compiled class has none when it runs; its source is the same.
    written = [each for each in members(module) if not hasattr(each[1], "__mypyc_attrs__")]
    undocumented = [
        *(name for name, found in written if not docstring_of(module, name, found)),
        *(
            f"{name}.{part}"
            for name, found in written
            if isinstance(found, type)
            for part in (*methods_without_docstring(found), *fields_without_a_word(found))
        ),
    ]
    assert undocumented == []


def test_help_begins_with_the_map() -> None:
    """Behind it pydoc has every class in full, as for each module that lists its names."""
    page = pydoc.plain(pydoc.render_doc(smtpwire)).partition("\nCLASSES\n")[0]
    assert len(page.splitlines()) <= 60
    for name, found in members(smtpwire):
        if inspect.ismodule(found):
            assert f"smtpwire.{name}" in page
    assert all(f"``{name}``" in page for name in ("ServerConnection", "ClientConnection"))


def docstring_of(module: ModuleType, name: str, found: object) -> str | None:
    if inspect.ismodule(found) or inspect.isclass(found) or inspect.isroutine(found):
        return found.__doc__
    if hasattr(found, "cache_info"):  # a function, behind functools.cache
        return found.__doc__
    homes = [
        each
        for title, each in sorted(sys.modules.items())
        if title.startswith("smtpwire") and vars(each).get(name) is found
    ]
    documented = (strings_behind(source_of(each).body) for each in homes)
    return next((strings[name] for strings in documented if name in strings), None)


def source_of(module: ModuleType) -> ast.Module:
    """Parsed; that of a compiled one stands beside it."""
    path = Path(smtpwire.__file__).parent.joinpath(*module.__name__.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def strings_behind(body: list[ast.stmt]) -> dict[str, str]:
    """The docstrings of what is assigned, by its name."""
    found = {}
    for node, behind in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if (
            isinstance(targets[0], ast.Name)
            and isinstance(behind, ast.Expr)
            and isinstance(behind.value, ast.Constant)
        ):
            found[targets[0].id] = str(behind.value.value)
    return found


def methods_without_docstring(cls: type) -> list[str]:
    return [
        name
        for name, found in vars(cls).items()
        if not name.startswith("_")
        and (isinstance(found, property | classmethod | cached_property) or isroutine(found))
        and not inspect.getdoc(getattr(cls, name))
    ]


def fields_without_a_word(cls: type) -> list[str]:
    """Fields of a value that have no docstring, and that its class's does not name."""
    if not hasattr(cls, "__match_args__"):
        return []
    (tree,) = (
        node
        for node in source_of(sys.modules[cls.__module__]).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    strings = strings_behind(tree.body)
    said = ast.get_docstring(tree) or ""
    return [
        name
        for name in cls.__annotations__
        if name not in strings and not re.search(rf"\b{name}\b", said)
    ]


def test_the_stub_names_the_same() -> None:
    stub = ast.parse(Path(smtpwire.__file__).with_suffix(".pyi").read_text())
    imported = {"__version__"}
    listed: list[str] = []
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("smtpwire"):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            listed = ast.literal_eval(node.value)
    assert imported == set(listed) == set(NAMES)


def loaded_anew(name: str) -> ModuleType:
    """pytest loads its fixtures, and the package with them, before it measures coverage."""
    known = importlib.import_module(name)
    assert known.__file__ is not None
    spec = importlib.util.spec_from_file_location(name, known.__file__)
    assert spec is not None
    assert spec.loader is not None
    anew = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(anew)
    return anew


@pytest.mark.parametrize("name", LAZY)
def test_a_package_loaded_anew_gives_the_same_names(name: str) -> None:
    known, anew = importlib.import_module(name), loaded_anew(name)
    assert anew is not known
    assert set(anew.__all__) <= set(dir(anew))
    for public in anew.__all__:
        found = getattr(anew, public)
        assert found == getattr(known, public)
        assert isinstance(found, ModuleType) or vars(anew)[public] is found, "looked up once"
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'Servr'"):
        _ = anew.Servr


@pytest.mark.parametrize("wrong", [False, True])
def test_a_python_whose_patterns_are_wrong_is_told(
    wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def match(pattern: str, text: str) -> object:
        return re.search(pattern.replace("++", "*") if wrong else pattern, text)

    monkeypatch.setattr(sys.implementation, "name", "another")
    monkeypatch.setattr(re, "match", match)
    if not wrong:
        assert dir(loaded_anew("smtpwire")) == NAMES
        return
    with pytest.raises(ImportError, match=r"needs CPython 3\.11 or PyPy 8") as raised:
        loaded_anew("smtpwire")
    assert "\n" not in str(raised.value)


def test_dir_tells_what_is_public() -> None:
    assert dir(smtpwire) == smtpwire.__all__
    assert dir(smtpwire.wire) == sorted(smtpwire.wire.__all__)


def test_the_version_is_the_distribution_s() -> None:
    pyproject = Path(__file__).parent.parent / "pyproject.toml"
    assert f'version = "{smtpwire.__version__}"' in pyproject.read_text()


def test_nothing_that_does_io_is_loaded() -> None:
    statement = "import smtpwire; [getattr(smtpwire, name) for name in smtpwire.__all__]"
    assert (loaded_by(statement) - loaded_by(BARE)) & FORBIDDEN == set()


def test_no_module_of_the_engine_loads_io() -> None:
    statement = "import " + ", ".join(name for name in modules() if name not in SOCKETS)
    assert (loaded_by(statement) - loaded_by(BARE)) & FORBIDDEN == set()


def test_the_server_loads_no_hash() -> None:
    statement = "from smtpwire import ServerConnection, ServerConfig, ClientConnection"
    assert (loaded_by(statement) - loaded_by("pass")) & {
        "hashlib",
        "hmac",
        "unicodedata",
        "stringprep",
    } == set()


FLOORS = {
    "wire": 0,
    "extensions": 1,
    "sasl": 1,
    "engine": 2,
    "operations": 3,
    "transcript": 3,
    "service": 4,
    "adapters": 5,
    "testing": 6,
    "command_line": 7,
    "__main__": 8,
}


def imports_of(path: Path) -> set[str]:
    """The floors that a module imports from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "smtpwire" and len(parts) > 1 and parts[1] in FLOORS:
                found.add(parts[1])
    return found


def test_imports_go_down_only() -> None:
    root = Path(smtpwire.__file__).parent
    for path in root.rglob("*.py"):
        floor = path.relative_to(root).with_suffix("").parts[0]
        if floor == "__init__":
            continue
        for imported in imports_of(path):
            if imported != floor:
                assert FLOORS[imported] < FLOORS[floor], f"{path} imports from {imported}"


def test_no_module_of_the_engine_reads_a_clock() -> None:
    root = Path(smtpwire.__file__).parent
    for path in root.rglob("*.py"):
        if path.relative_to(root).parts[0] in ENGINE:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    assert all(alias.name != "time" for alias in node.names), path
                if isinstance(node, ast.ImportFrom):
                    assert node.module != "time", path
