"""VERB and ONEX."""

import pytest
from tests.extensions.reading import code, read

from smtpwire.extensions import ONEX, VERB, Extension
from smtpwire.extensions.historic import ONEX_VERB, VERB_VERB
from smtpwire.wire.command import ExtensionCommand, Verb

BOTH = [(VERB, VERB_VERB), (ONEX, ONEX_VERB)]


@pytest.mark.parametrize(("extension", "verb"), BOTH, ids=repr)
def test_the_verb_is_parsed(extension: Extension[bool], verb: Verb[None]) -> None:
    command = read(verb.name, extension(True))
    assert command == verb(None) == ExtensionCommand(verb.name)
    assert bytes(command) == verb.name.encode()


@pytest.mark.parametrize(("extension", "verb"), BOTH, ids=repr)
def test_it_takes_no_argument(extension: Extension[bool], verb: Verb[None]) -> None:
    assert code(f"{verb.name} please", extension(True)) == 501


@pytest.mark.parametrize(("extension", "verb"), BOTH, ids=repr)
def test_without_the_offer_it_is_unknown(extension: Extension[bool], verb: Verb[None]) -> None:
    # RFC 5321 §4.2.4
    assert code(verb.name) == 500
