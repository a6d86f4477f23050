"""The regular expressions of the package: what they may not use, and that they cost linear time.

A possessive quantifier on a group and an atomic group match wrongly on CPython 3.11.0 to 3.11.2
(Debian 12's own Python) and on PyPy: they take what they should refuse, and refuse what they should
take. A possessive quantifier on a single class, ``[a-z]++``, is sound everywhere.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

import smtpwire
from smtpwire.extensions.checkpoint import TRANSID_PARAMETER
from smtpwire.sasl import (
    BadChallengeError,
    ClientMechanismConfig,
    Failed,
    Password,
    ServerMechanismConfig,
    client_mechanism,
    server_mechanism,
)
from smtpwire.wire.address import PathError, parse_path
from smtpwire.wire.command import PLAIN_LINE, CommandError, Grammar, parse_command
from smtpwire.wire.xtext import decode_utf8_address, decode_xtext

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # prose is parsed too

Source = str | bytes

parser: Any = importlib.import_module("re._parser")
SINGLE: Final = ("IN", "LITERAL", "NOT_LITERAL", "ANY")
"""Items of one character: what a possessive quantifier may stand behind."""
HINTS: Final = re.compile(r"[*+?}]\+|\(\?>")
"""What stands in each of them, and in hardly any prose."""
PIECES: Final = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")
"""The same as text, for a piece that is no pattern by itself."""


def unsound(source: Source, flags: int = 0) -> bool:
    """Whether a pattern, or a piece of one, has a possessive group or an atomic group."""
    text = source if isinstance(source, str) else source.decode("latin-1")
    if not HINTS.search(text):
        return False
    try:
        tree = parser.parse(source, flags)
    except (re.error, OverflowError):
        return PIECES.search(text) is not None
    return any(
        repr(operation) == "ATOMIC_GROUP"
        or (
            repr(operation) == "POSSESSIVE_REPEAT"
            and [repr(item) for item, _ in argument[2]] not in [[single] for single in SINGLE]
        )
        for operation, argument in nodes(tree)
    )


def nodes(tree: Any) -> Iterator[tuple[object, Any]]:
    """Every node of what the parser of ``re`` made, at any depth."""
    if isinstance(tree, parser.SubPattern):
        for operation, argument in tree:
            yield operation, argument
            yield from nodes(argument)
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from nodes(item)


@pytest.mark.parametrize(
    "source",
    [
        "(?:ab)*+",
        "(?:a|bc)++x",
        "(ab)?+",
        "(?:ab){2,3}+",
        "(?>a)",
        "((?:a[bc])*+)",
        rb"x(?:a.)*+",
        "(?:%s)*+",
        "(?=(?:ab)*+)",
        "x|(?:ab)*+|y",
        ")(?:ab)*+",
        ")(?>",
    ],
)
def test_what_the_check_finds(source: Source) -> None:
    assert unsound(source)


@pytest.mark.parametrize("source", ["[ab]*+", "a++", ".?+", "[^a]{1,4}+", "(?:ab)*", r"\)++"])
def test_what_the_check_lets_pass(source: Source) -> None:
    assert not unsound(source)


def modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.walk_packages(smtpwire.__path__, "smtpwire.")]
    return [smtpwire, *(importlib.import_module(name) for name in names if "__main__" not in name)]


def sources_in(value: object) -> Iterator[tuple[Source, int]]:
    """The patterns and texts that a module's value holds."""
    match value:
        case re.Pattern():
            yield value.pattern, value.flags & re.VERBOSE
        case str() | bytes():
            yield value, 0
        case Mapping():
            yield from (source for item in value.values() for source in sources_in(item))
        case list() | tuple() | frozenset():
            yield from (source for item in value for source in sources_in(item))
        case type() if value.__module__.startswith("smtpwire"):
            for item in vars(value).values():
                if isinstance(item, (re.Pattern, str, bytes)):
                    yield from sources_in(item)


def sources_of(module: ModuleType) -> Iterable[tuple[Source, int]]:
    """What its names hold, each text in its source, and what it hands to ``re``."""
    for name, value in vars(module).items():
        if name != "__doc__":
            yield from sources_in(value)
    assert module.__file__ is not None
    file = Path(module.__file__)
    if file.suffix != ".py":  # compiled; its source is read where it is not
        return
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            yield node.value, 0
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            expression = compile(ast.Expression(node.args[0]), str(file), "eval")
            with suppress(NameError):  # a function's own name for what stands elsewhere
                yield from sources_in(eval(expression, dict(vars(module))))


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_no_possessive_and_no_atomic_group(module: ModuleType) -> None:
    for source, flags in sources_of(module):
        assert not unsound(source, flags), source


def test_the_patterns_are_found() -> None:
    """So that the test above does not pass for want of anything to look at."""
    from smtpwire.sasl import scram
    from smtpwire.wire import address, command

    found = {source for module in (scram, address, command) for source, _ in sources_of(module)}
    assert {address.DOMAIN, address.QUOTED_STRING, command.PLAIN_LINE.pattern} <= found
    assert any(isinstance(source, bytes) and b"=3D" in source for source in found)


# -- linear: each of these would take hours, or for ever, if a match could go two ways

PUMPS = 100_000


@pytest.mark.parametrize(
    "path",
    [
        b"a." * PUMPS + b"@",
        b"a" * PUMPS + b"\x00",
        b"a@" + b"b-" * PUMPS + b".",
        b"a@" + b"b." * PUMPS + b"-",
        b'"' + b"\\a" * PUMPS,
        b'"' + b"a" * PUMPS + b'"x@',
        b'"' + b'\\"' * PUMPS + b'"@-',
        b"@a," * PUMPS + b"@a:",
        b"@" + b"a." * PUMPS + b"a:a@",
        b"a@[" + b"x" * PUMPS,
        b"a@[IPv6:" + b"1:" * PUMPS + b"]",
        b"a@[IPv6:" + b"1111" * PUMPS + b"]",
        b"a@[x" + b"-" * PUMPS + b":y]",
        b"." * PUMPS + b"@",
    ],
    ids=lambda path: repr(path[:12]),
)
@pytest.mark.parametrize("lenient", [False, True])
def test_hostile_paths(path: bytes, lenient: bool) -> None:
    size = len(path) + 2
    for utf8 in (False, True):
        with pytest.raises(PathError):
            parse_path(
                path,
                utf8=utf8,
                lenient=lenient,
                max_local_part=size,
                max_domain=size,
                max_path=size,
            )


@pytest.mark.parametrize("start", [b"MAIL FROM:<", b"RCPT TO:<"])
@pytest.mark.parametrize(
    "rest",
    [b"a." * PUMPS, b'"' * PUMPS, b'"a"' * PUMPS, b'"\\"' * PUMPS, b"a@" + b"b-c." * PUMPS, b"<" * PUMPS, b" A=B" * PUMPS],
    ids=lambda rest: repr(rest[:6]),
)  # fmt: skip
def test_hostile_lines(start: bytes, rest: bytes) -> None:
    for line in (start + rest, start + rest + b">x", start + b"a@b>" + rest):
        assert PLAIN_LINE.match(line + b"\r\n") is None
        with pytest.raises(CommandError):
            parse_command(line, Grammar(command_line=len(line) + 2))


@pytest.mark.parametrize(
    "text",
    ["a" * PUMPS + "=", "+20" * PUMPS + "=", "a+20" * PUMPS + "+", r"\x{20}" * PUMPS + "\\="],
)
def test_hostile_xtext(text: str) -> None:
    for decode in (decode_xtext, decode_utf8_address):
        with pytest.raises(ValueError):
            decode(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SCRAM-SHA-256", b"n,,n=" + b"=2C" * PUMPS),
        ("SCRAM-SHA-256", b"n,,n=" + b"u=3D" * PUMPS + b"="),
        ("SCRAM-SHA-256", b"n,a=" + b"u=3D" * PUMPS + b"=,n=u,r=x"),
        ("SCRAM-SHA-256", b"n,,n=u,r=x" + b",z=y" * PUMPS + b","),
        ("SCRAM-SHA-256", b"n,,n=u,r=" + b"x" * PUMPS + b",m=x"),
        ("OAUTHBEARER", b"n,a=" + b"u=2C" * PUMPS + b"=,\x01\x01"),
        ("OAUTHBEARER", b"n,,\x01" + b"a=b\x01" * PUMPS),
        ("XOAUTH2", b"user=u\x01" + b"a=\x01" * PUMPS + b"="),
        ("XOAUTH2", b"user=" + b"u" * PUMPS),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:12]),
)
def test_hostile_messages_of_sasl(name: str, message: bytes) -> None:
    config = ServerMechanismConfig(scram_secret=b"x" * 32)
    step = server_mechanism(name, config).start(message)
    assert isinstance(step, Failed)
    assert step.malformed
    client = client_mechanism("DIGEST-MD5", Password("u", "p"), ClientMechanismConfig(host="a"))
    for challenge in (b'a="' + b"\\a" * 900, b'a="' + b"a" * 1900, b"a=b," * 400 + b'"'):
        with pytest.raises(BadChallengeError, match="malformed"):
            client.step(challenge)


def test_hostile_transaction_identifiers() -> None:
    for raw in ("<" + "a." * PUMPS + "@", "<a@" + "b." * PUMPS + ">", "<" + "a" * PUMPS):
        with pytest.raises(ValueError):
            TRANSID_PARAMETER.read(raw)
