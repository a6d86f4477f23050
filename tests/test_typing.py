"""The unions of events are closed for a type checker, and look-ups give the types they promise.

The two programs are checked as they stand, and once with each case left out: that must be an error.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from typing import Final, get_args

import pytest

from smtpwire import Request
from smtpwire.engine.events import ClientEvent, ServerEvent, ServerRequest

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        sys.implementation.name != "cpython", reason="mypy is to be had for CPython"
    ),
]

SERVER: Final = """
from typing import assert_never

import smtpwire as s


def act(item: s.ServerEvent | s.ServerNeed) -> None:
    match item:
{cases}
        case _:
            assert_never(item)
"""
CLIENT: Final = """
from typing import assert_never

import smtpwire as s


def act(item: s.ClientEvent | s.ClientNeed) -> None:
    match item:
{cases}
        case _:
            assert_never(item)
"""
SERVER_NEEDS: Final = ("DATA", "WRITE", "REPLY", "TLS", "CLOSE")
CLIENT_NEEDS: Final = ("DATA", "WRITE", "COMMAND", "BODY", "TLS", "CLOSE")


def needs(names: tuple[str, ...]) -> list[str]:
    return [f"s.Need.{name}" for name in names]


def members(union: object) -> list[type]:
    """The classes of a union."""
    return list(get_args(union))


def classes(members: Iterable[type]) -> list[str]:
    return [f"s.{member.__name__}()" for member in members]


ALL_SERVER: Final = [*needs(SERVER_NEEDS), *classes(members(ServerEvent))]
ALL_CLIENT: Final = [*needs(CLIENT_NEEDS), *classes(members(ClientEvent))]
INFORMATION: Final = classes(
    member for member in members(ServerEvent) if not issubclass(member, Request)
)

LOOK_UPS: Final = """
from smtpwire import (
    ClientConnection, Extension, ExtensionCommand, Mail, Parameter, Rcpt, ServerConnection, Verb,
    extensions, parameters,
)


def parse(text: str | None) -> tuple[str, int]:
    return text or "", 1


def parse_argument(text: str) -> tuple[str, int]:
    return text, 1


def format(pair: tuple[str, int]) -> str:
    return pair[0]


def parse_list(text: str) -> list[str]:
    return [text]


X = Parameter("X", parse, format)
X_THING = Extension("X-THING", "", "", parse_list, lambda texts: texts[0], mail=(X,))
PAINT = Verb("PAINT", parse_argument, format)


def look(conn: ClientConnection, server: ServerConnection, mail: Mail, rcpt: Rcpt) -> None:
    reveal_type(conn.extensions[extensions.SIZE])
    reveal_type(conn.extensions[extensions.AUTH])
    reveal_type(conn.extensions.get(extensions.LIMITS))
    reveal_type(conn.extensions[extensions.PIPELINING])
    reveal_type(conn.extensions[X_THING])
    reveal_type(mail.parameters[parameters.SIZE])
    reveal_type(mail.parameters.get(parameters.SIZE))
    reveal_type(mail.parameters.get(parameters.SIZE, 0))
    reveal_type(mail.parameters[parameters.BODY])
    reveal_type(mail.parameters[parameters.SMTPUTF8])
    reveal_type(mail.parameters[parameters.AUTH])
    reveal_type(rcpt.parameters[parameters.NOTIFY])
    reveal_type(rcpt.parameters[parameters.ORCPT])
    reveal_type(mail.parameters[X])
    reveal_type(conn.send(mail))
    reveal_type(conn.next_event())
    reveal_type(server.pending)


def paint(command: ExtensionCommand) -> None:
    reveal_type(command.parsed(PAINT))
"""
REVEALED: Final = [
    "int | None",
    "tuple[str, ...]",
    "smtpwire.extensions.limits.ServerLimits | None",
    "bool",
    "list[str]",
    "int",
    "int | None",
    "int",
    "smtpwire.extensions.body.Body",
    "bool",
    "smtpwire.wire.address.Address | None",
    "frozenset[smtpwire.extensions.dsn.Notify]",
    "smtpwire.extensions.dsn.Orcpt",
    "tuple[str, int]",
    "smtpwire.wire.command.Mail",
    "ClientEvent",
    "ServerRequest",
    "tuple[str, int]",
]
UNIONS: Final = {"ClientEvent": ClientEvent, "ServerRequest": ServerRequest}
MISUSE: Final = """
from smtpwire import (
    ClientConnection, ClientNeed, Mail, Need, Parameters, Rcpt, Reply, ServerConnection,
    extensions, parameters,
)


def misuse(conn: ClientConnection, server: ServerConnection, mail: Mail) -> None:
    conn.send(Reply(250))
    conn.send_body("text")
    server.reply(250)
    server.supply("pencil")
    extensions.SIZE("large")
    parameters.SIZE("large")
    Parameters(parameters.SIZE)
    mail.address = None
    wrong: str = mail.parameters[parameters.SIZE]
    conn.extensions[parameters.SIZE]
    Mail("alice@example.com")
    Rcpt(None)
    case: ClientNeed = Need.REPLY
"""
TYPOS: Final = """
from smtpwire import Limits, ServerConfig, Timeouts

ServerConfig.submission("mx", mechanisms=("PLAIN",), limits=Limits(message=1), local_domains=("d",))
ServerConfig.relay("mx", ("d.example",), timeouts=Timeouts.all(30))
ServerConfig.submission("mx", mechanism=("PLAIN",))
ServerConfig.relay("mx", limits=3)
ServerConfig.lmtp("mx", profile="relay")
Limits(mesage=1)
Limits(512)
Timeouts(30)
"""


def program(template: str, cases: list[str]) -> str:
    lines = "".join(f"        case {case}:\n            pass\n" for case in cases)
    return template.format(cases=lines.rstrip("\n"))


def programs() -> dict[str, str]:
    """Every program that is checked, by the name of its module."""
    found = {
        "server": program(SERVER, ALL_SERVER),
        "client": program(CLIENT, ALL_CLIENT),
        # a question need not be named: they are all one class
        "server_by_class": program(SERVER, [*needs(SERVER_NEEDS), "s.Request()", *INFORMATION]),
        "look_ups": LOOK_UPS,
        "misuse": MISUSE,
        "typos": TYPOS,
    }
    for role, template, cases in (("server", SERVER, ALL_SERVER), ("client", CLIENT, ALL_CLIENT)):
        for at in range(len(cases)):
            left = cases[:at] + cases[at + 1 :]
            found[f"{role}_without_{at}"] = program(template, left)
    return found


@pytest.fixture(scope="module")
def checked(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> dict[str, list[str]]:
    """What mypy --strict says of each program."""
    folder = tmp_path_factory.mktemp("programs")
    for name, text in programs().items():
        folder.joinpath(f"{name}.py").write_text(text)
    kept = getattr(pytestconfig, "cache", None)  # which one may have switched off
    cache = folder if kept is None else kept.mkdir("mypy")
    config = folder / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", f"--config-file={config}", f"--cache-dir={cache}", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    said: dict[str, list[str]] = {name: [] for name in programs()}
    for line in done.stdout.splitlines():
        if match := re.match(r"(\w+)\.py:(\d+): (error|note): (.*)", line):
            said[match[1]].append(f"{match[3]}: {match[4]}")
    return said


def test_the_unions_are_what_it_says() -> None:
    assert len(ALL_SERVER) > 30
    assert len(ALL_CLIENT) == 14
    assert len(INFORMATION) == 11


@pytest.mark.parametrize("name", ["server", "client", "server_by_class"])
def test_every_event_and_need_is_named(checked: dict[str, list[str]], name: str) -> None:
    assert checked[name] == []


@pytest.mark.parametrize(("role", "cases"), [("server", ALL_SERVER), ("client", ALL_CLIENT)])
def test_a_case_left_out_is_an_error(
    checked: dict[str, list[str]], role: str, cases: list[str]
) -> None:
    for at, case in enumerate(cases):
        (error,) = checked[f"{role}_without_{at}"]
        assert "assert_never" in error
        missing = case.removeprefix("s.").removesuffix("()").removeprefix("Need.")
        assert re.search(rf"\b{missing}\b", error), error


def test_look_ups_have_the_types_they_promise(checked: dict[str, list[str]]) -> None:
    revealed = [
        line.removeprefix('note: Revealed type is "').removesuffix('"').replace("builtins.", "")
        for line in checked["look_ups"]
    ]
    assert len(revealed) == len(REVEALED), revealed
    for found, expected in zip(revealed, REVEALED, strict=True):
        if expected in UNIONS:
            names = {member.__name__ for member in members(UNIONS[expected])}
            assert names <= set(re.findall(r"\w+", found)), found
            assert "Any" not in found
        else:
            assert re.sub(r"tuple\[[^=]*, fallback=([\w.]+)\]", r"\1", found) == expected


def test_misuse_is_an_error(checked: dict[str, list[str]]) -> None:
    errors = [line for line in checked["misuse"] if line.startswith("error")]
    wrong = MISUSE.split("-> None:\n")[1].strip().split("\n")
    assert len(errors) == len(wrong), errors


def test_a_typo_in_a_configuration_is_an_error(checked: dict[str, list[str]]) -> None:
    """The two calls before them are right."""
    errors = [line for line in checked["typos"] if line.startswith("error")]
    names = ("mechanism", "limits", "profile", "mesage", "Limits", "Timeouts")
    for error, name in zip(errors, names, strict=True):
        assert f'"{name}"' in error
