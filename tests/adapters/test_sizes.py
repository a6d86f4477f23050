"""The adapters stay so thin that one may copy them: code lines, counted.

A code line is a line with a token that is no comment and no docstring, the lines of a statement
over several lines included. Imports, ``__all__`` and constants, being no part of a class or a
function, are not counted, nor are the names in ``__slots__``. A server is what drives its loop;
what listens, and what moves octets, is counted by itself, and what several adapters share is
counted once.
"""

import ast
import io
import tokenize
from pathlib import Path
from types import ModuleType

import pytest

from smtpwire import adapters, operations

LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)

LIMITS = {
    # what drives the server's loop over a transport that is waited for, and then in one adapter
    ("serving", "*"): 145,
    ("blocking", "ServerSession"): 30,
    ("trio", "ServerSession"): 60,
    # the same, where a loop's callbacks drive it
    ("callbacks", "*"): 160,
    ("asyncio", "ServerProtocol _tell_why"): 100,
    ("link", "*"): 50,
    ("eager", "*"): 140,
    # how octets are moved: of a client, and of a server that is not asyncio's
    ("blocking", "_Transport"): 55,
    ("blocking", "_send_all _end _wait_for"): 15,
    ("blocking", "_Waiting"): 35,
    ("kernel_time", "*"): 25,
    ("trio", "_Transport _as_oserror"): 60,
    ("asyncio", "_Transport"): 30,
    # what listens
    ("listening", "*"): 225,
    ("blocking", "Server start_server"): 95,
    ("trio", "Server start_server"): 100,
    ("asyncio", "Server start_server"): 90,
    # a client: its operations, and what dials
    ("client", "AsyncClient"): 150,
    ("client", "_Contents _Nobody _close"): 40,
    ("client", "Turn Dialled _why_no_tls"): 60,
    ("stream", "*"): 135,
    ("blocking", "Client"): 65,
    ("blocking", "connect _dial _transport"): 45,
    ("trio", "Client connect _the_last"): 50,
    ("asyncio", "Client connect _dial _dial_one"): 60,
    # time; what comes before a session, and TLS
    ("session", "*"): 80,
    ("channel", "*"): 100,
    ("tls", "*"): 180,
    ("memory_tls", "*"): 45,
    ("log", "*"): 12,
}


def is_no_code(node: ast.AST) -> bool:
    """A string that stands alone, or the names of a class's slots."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"


def no_code(tree: ast.Module) -> set[int]:
    """The lines of docstrings and of slots."""
    return {
        line
        for node in ast.walk(tree)
        if is_no_code(node) and isinstance(node, ast.stmt)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def code_lines(module: str, room: ModuleType = adapters) -> dict[str, int]:
    """The code lines of each class and function of an adapter, decorators included."""
    source = (Path(room.__path__[0]) / f"{module}.py").read_text()
    tree = ast.parse(source)
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    } - no_code(tree)
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            start = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            found[node.name] = len(code & set(range(start, (node.end_lineno or start) + 1)))
    return found


@pytest.mark.parametrize(("module", "names"), LIMITS)
def test_what_is_to_be_copied_is_short(module: str, names: str) -> None:
    found = code_lines(module)
    counted = sum(found.values() if names == "*" else (found[name] for name in names.split()))
    assert counted <= LIMITS[module, names]


def test_the_servers_loop_is_short() -> None:
    assert sum(code_lines("serve", operations).values()) <= 120


@pytest.mark.parametrize("module", sorted({module for module, _ in LIMITS}))
def test_nothing_is_left_out(module: str) -> None:
    counted = {name for key, names in LIMITS if key == module for name in names.split()}
    assert counted == {"*"} or counted == set(code_lines(module))
