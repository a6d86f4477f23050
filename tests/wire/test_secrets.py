"""What of an argument may be shown."""

import pytest

from smtpwire.wire.command import (
    Command,
    Expn,
    ExtensionCommand,
    Grammar,
    Help,
    Noop,
    Verb,
    Vrfy,
    parse_command,
)
from smtpwire.wire.secrets import REDACTED, hides_a_secret, shown_argument

KEY = "AGFsaWNlAHNlY3JldA=="


@pytest.mark.parametrize(
    "argument",
    [f"AUTH PLAIN {KEY}", f"auth\tlogin\t{KEY}", "BURL imap://key", "\x08\x08AUTH", "x\x7f"],
)
def test_what_hides_a_secret(argument: str) -> None:
    assert hides_a_secret(argument)
    assert shown_argument(argument) == REDACTED


@pytest.mark.parametrize("argument", ["", "AUTH", "author of the list", "ü", "BURL", "\u212ay"])
def test_what_does_not(argument: str) -> None:
    assert not hides_a_secret(argument)
    assert shown_argument(argument) == argument


@pytest.mark.parametrize(
    "command",
    [
        Noop(f"AUTH PLAIN {KEY}"),
        Help(f"AUTH PLAIN {KEY}"),
        Vrfy(f"AUTH PLAIN {KEY}"),
        Expn(f"AUTH PLAIN {KEY}"),
        ExtensionCommand("XPAINT", f"AUTH PLAIN {KEY}"),
        ExtensionCommand("XKEY", KEY, secret=True),
    ],
    ids=lambda command: command.verb,
)
def test_no_command_shows_one(command: Command) -> None:
    assert KEY not in repr(command)
    assert REDACTED in repr(command)
    assert KEY in bytes(command).decode()


def test_a_harmless_argument_is_shown() -> None:
    assert repr(Noop("are you there?")) == "Noop(text='are you there?')"
    assert repr(Help("MAIL")) == "Help(topic='MAIL')"
    assert repr(Vrfy("alice")) == "Vrfy(argument='alice', smtputf8=False)"
    assert repr(Expn("staff", smtputf8=True)) == "Expn(argument='staff', smtputf8=True)"
    assert repr(ExtensionCommand("X", "y")) == "ExtensionCommand(verb='X', argument='y')"


def test_a_verb_says_that_its_argument_is_a_secret() -> None:
    verb = Verb("XKEY", str, str, secret=True)
    for command in (
        verb(KEY),
        parse_command(f"XKEY {KEY}".encode(), Grammar(verbs={b"XKEY": verb})),
    ):
        assert command == ExtensionCommand("XKEY", KEY)
        assert KEY not in repr(command)
