"""Every extension, and the table of them."""

import subprocess
import sys

import pytest

from smtpwire import extensions
from smtpwire.extensions import REGISTRY, SIZE, AnyExtension, Registry, parameters, table
from smtpwire.wire.parameter import Parameter

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


@pytest.mark.parametrize("entry", REGISTRY.extensions, ids=repr)
def test_what_an_entry_requires_is_there(entry: AnyExtension) -> None:
    assert set(entry.requires) <= ENTRIES.keys()


@pytest.mark.parametrize("entry", REGISTRY.extensions, ids=repr)
def test_an_entry_brings_room_for_its_parameters(entry: AnyExtension) -> None:
    # RFC 5321 §4.5.3.1.4; 8BITMIME has no figure of its own
    longer = {verb for verb, _ in entry.increments}
    if entry.keyword != "8BITMIME":
        assert bool(entry.mail) == ("MAIL" in longer)
    assert bool(entry.rcpt) == ("RCPT" in longer)


def test_the_table_has_a_row_an_extension() -> None:
    assert table(Registry((SIZE, extensions.DSN))) == (
        "| keyword | source | what | brings |\n"
        "|---|---|---|---|\n"
        "| SIZE | RFC 1870 | the largest message accepted, in octets | MAIL `SIZE` |\n"
        "| DSN | RFC 3461 | delivery status notifications on demand |"
        " MAIL `RET`, MAIL `ENVID`, RCPT `NOTIFY`, RCPT `ORCPT` |\n"
    )
    assert table().count("\n") == len(ENTRIES) + 2


def test_importing_loads_no_dates_and_no_sockets() -> None:
    script = (
        "import sys; before = set(sys.modules); import smtpwire.extensions;"
        "print(*sorted({'datetime', 'socket', 'ssl', 'email'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
