"""Every extension, and the table of them."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpwire import extensions
from smtpwire.extensions import (
    REGISTRY,
    SIZE,
    AnyExtension,
    Extension,
    Registry,
    Row,
    flag,
    no_parameter,
    parameters,
    table,
)
from smtpwire.extensions.atrn import ATRN_VERB
from smtpwire.extensions.burl import BURL_VERB
from smtpwire.extensions.etrn import ETRN_VERB
from smtpwire.extensions.xclient import XCLIENT_VERB
from smtpwire.extensions.xforward import XFORWARD_VERB
from smtpwire.wire.command import AnyVerb, ExtensionRequest
from smtpwire.wire.parameter import AnyParameter, Parameter
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import CommandReplies

T = TypeVar("T")

ENTRIES = {entry.keyword: entry for entry in REGISTRY}


def test_every_entry_is_public_by_its_keyword() -> None:
    names = {keyword.replace("-", "_") for keyword in ENTRIES} - {"8BITMIME"} | {"EIGHTBITMIME"}
    assert names <= set(extensions.__all__)
    assert len(ENTRIES) == 35


def test_every_parameter_is_public_by_its_keyword() -> None:
    for _, keyword in REGISTRY.parameters:
        parameter = getattr(parameters, keyword.replace("-", "_"))
        assert isinstance(parameter, Parameter)
        assert parameter.keyword == keyword


POSTFIX = (421, 501, 503, 550)  # both of its READMEs
USUAL: dict[AnyVerb, CommandReplies] = {
    ATRN_VERB: CommandReplies((250,), (450, 451, 453, 530), source="RFC 2645 §5.2.1"),
    BURL_VERB: CommandReplies((250,), (554,), source="RFC 4468 §5"),
    ETRN_VERB: CommandReplies((250, 251, 252, 253), (458, 459, 500, 501), source="RFC 1985 §5.1"),
    XCLIENT_VERB: CommandReplies((220,), POSTFIX, source="XCLIENT_README"),
    XFORWARD_VERB: CommandReplies((250,), POSTFIX, source="XFORWARD_README"),
}


@pytest.mark.parametrize(("verb", "replies"), USUAL.items(), ids=repr)
def test_the_usual_replies_to_a_verb(verb: AnyVerb, replies: CommandReplies) -> None:
    assert verb.replies == replies


def test_what_a_verb_s_reply_means() -> None:
    # XCLIENT_README: a new greeting says yes; RFC 1985 §5.1: no queue is started by default
    assert {verb.name: verb.positive for verb in USUAL if verb.positive} == {"XCLIENT": 220}
    refused = Reply(458, "Unable to queue messages", "4.7.0")
    assert {verb.name: verb.default for verb in USUAL if verb.default} == {"ETRN": refused}


def test_what_follows_a_verb_waits_for_its_reply_where_the_session_changes() -> None:
    # RFC 2645 §5.3: the roles swap; XCLIENT_README: the session starts anew
    assert {verb.name for verb in USUAL if verb.blocking} == {"ATRN", "XCLIENT"}


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        (ATRN_VERB, ""),
        (BURL_VERB, "imap://a LAST"),
        (ETRN_VERB, "example.com"),
        (XCLIENT_VERB, "NAME=a"),
        (XFORWARD_VERB, "NAME=a"),
    ],
)
def test_a_command_of_its_own_class_knows_its_verb(verb: AnyVerb, argument: str) -> None:
    command = verb.command(argument)
    assert isinstance(command, ExtensionRequest)
    assert command.verb == verb.name
    assert command.special == ("" if verb is ETRN_VERB else verb.name)


@pytest.mark.parametrize("entry", list(REGISTRY), ids=repr)
def test_what_an_entry_requires_is_there(entry: AnyExtension) -> None:
    assert set(entry.requires) <= ENTRIES.keys()


@pytest.mark.parametrize("entry", list(REGISTRY), ids=repr)
def test_an_entry_brings_room_for_its_parameters(entry: AnyExtension) -> None:
    # RFC 5321 §4.5.3.1.4; 8BITMIME has no figure of its own
    longer = {verb for verb, _ in entry.increments}
    if entry.keyword != "8BITMIME":
        assert bool(entry.mail) == ("MAIL" in longer)
    assert bool(entry.rcpt) == ("RCPT" in longer)


PARAMETERS = [parameter for entry in REGISTRY for parameter in (*entry.mail, *entry.rcpt)]
VERBS = [verb for entry in REGISTRY for verb in entry.verbs]
# Octets which the grammars care about, letters of their words, and traps beyond ASCII.
TEXT = st.text(st.sampled_from('+-=<>;:,.@\\x{}"[]/# 0129ADZTabſıé٣\u2028\x85'), max_size=12)


def taken(read: Callable[[], T]) -> T | None:
    """What was read, None where a ValueError refused it; nothing else may be raised."""
    try:
        return read()
    except ValueError:
        return None


@pytest.mark.parametrize("parameter", PARAMETERS, ids=repr)
@given(text=TEXT)
def test_a_parameter_refuses_or_can_be_written_again(parameter: AnyParameter, text: str) -> None:
    given_ = taken(lambda: parameter.read(text))
    if given_ is not None:
        assert isinstance(parameter, Parameter)
        assert parameter.format(given_.parsed) is None or parameter(given_.parsed)


@pytest.mark.parametrize("entry", list(REGISTRY), ids=repr)
@given(text=TEXT)
def test_an_ehlo_line_is_refused_or_read(entry: AnyExtension, text: str) -> None:
    offered = taken(lambda: entry.read(text))
    assert offered is None or offered.extension is entry


@pytest.mark.parametrize("verb", VERBS, ids=repr)
@given(argument=TEXT)
def test_a_command_is_refused_or_can_be_sent_on(verb: AnyVerb, argument: str) -> None:
    command = taken(lambda: verb.command(argument))
    if command is not None:
        line = bytes(command).decode()
        assert verb.command(line[len(verb.name) + 1 :]) == command


def test_the_table_has_a_row_an_extension() -> None:
    assert table(Registry((SIZE, extensions.DSN))) == (
        "| keyword | source | what | brings |\n"
        "|---|---|---|---|\n"
        "| SIZE | RFC 1870 | the largest message accepted, in octets | MAIL `SIZE` |\n"
        "| DSN | RFC 3461 | delivery status notifications on demand |"
        " MAIL `RET`, MAIL `ENVID`, RCPT `NOTIFY`, RCPT `ORCPT` |\n"
    )
    assert table().count("\n") == len(ENTRIES) + 2


def test_the_engine_names_no_verb_of_an_extension_for_its_own_sake() -> None:
    """ETRN is its file and a row of the catalogue; what stands above may have words about it."""
    package = Path(extensions.__file__).parents[1]
    below = ("wire", "sasl", "extensions", "engine", "operations")
    named = {
        path.relative_to(package).as_posix()
        for floor in below
        for path in (package / floor).rglob("*.py")
        if re.search(r"\betrn\b", path.read_text("utf-8"), re.IGNORECASE)
    }
    assert named == {"extensions/etrn.py", "extensions/catalogue.py", "extensions/__init__.py"}


def test_importing_loads_no_dates_and_no_sockets() -> None:
    script = (
        "import sys; before = set(sys.modules); import smtpwire.extensions;"
        "print(*sorted({'datetime', 'socket', 'ssl', 'email'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_the_docstring_of_the_parameters_tells_the_type_of_each() -> None:
    told = re.findall(
        r"^    ([A-Z_0-9]+) +(MAIL|RCPT)  (.+?)  +\S", str(parameters.__doc__), re.MULTILINE
    )
    typed = {
        name: annotation.removeprefix("Final[Parameter[").removesuffix("]]")
        for name, annotation in vars(parameters)["__annotations__"].items()
    }
    allowed = {
        (verb, parameter.keyword)
        for entry in REGISTRY
        for verb, given in (("MAIL", entry.mail), ("RCPT", entry.rcpt))
        for parameter in given
    }
    assert {name: kind for name, _, kind in told} == typed
    assert {(verb, getattr(parameters, name).keyword) for name, verb, _ in told} == allowed


@pytest.mark.parametrize(
    "row", [item for item in REGISTRY.extensions if isinstance(item, Row)], ids=lambda r: r.keyword
)
def test_a_row_says_what_its_entry_says(row: Row) -> None:
    assert row.entry.keyword == row.keyword
    assert tuple(verb.name for verb in row.entry.verbs) == row.verbs
    assert all(verb.secret is row.secret for verb in row.entry.verbs)
    assert REGISTRY.by_keyword[row.keyword] is row.entry


def test_an_entry_takes_the_place_of_a_row() -> None:
    mine = Extension("DSN", "mine", "my own", flag, no_parameter)
    registry = REGISTRY + (mine,)  # noqa: RUF005 - as the README has it
    assert registry.by_keyword["DSN"] is mine
    assert len(registry.by_keyword) == len(REGISTRY.by_keyword)
    assert "RRVS" in registry.by_keyword
    assert "NOTHING" not in registry.by_keyword


LOADED = """
import sys
from smtpwire import ServerConfig, ServerConnection
conn = ServerConnection(ServerConfig.relay("mx.example", ["d.example"]))
for line in (b"EHLO c.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"WHAT"):
    conn.receive_data(line + b"\\r\\n")
    while not str(conn.next_event()).startswith("Need"):
        if conn.pending is not None:
            conn.reply()
    conn.data_to_send()
print(*sys.modules)
from smtpwire.extensions import REGISTRY
from smtpwire.wire.ehlo import EhloKeyword
REGISTRY.read([EhloKeyword("DSN")])
print(*sys.modules)
"""


def test_what_is_rare_is_loaded_where_it_is_met() -> None:
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    server, client = (set(line.split()) for line in run.stdout.splitlines())
    rare = {
        f"smtpwire.extensions.{item.place.partition('.')[0]}"
        for item in REGISTRY.extensions
        if isinstance(item, Row)
    }
    assert "smtpwire.extensions.size" in server
    assert "smtpwire.engine.server.sasl" not in server
    assert {name for name in server if name.startswith("smtpwire.sasl.")} == {
        "smtpwire.sasl.credentials",
        "smtpwire.sasl.questions",
        "smtpwire.sasl.registry",
        "smtpwire.sasl.saslprep",
    }
    assert not rare & server
    assert rare & client == {"smtpwire.extensions.dsn"}
