"""The table of commands: whole, and in keeping with the states and the RFCs."""

import copy
import pickle
from collections.abc import Callable

import pytest

from smtpwire.engine.commands import BEGINNINGS, COMMANDS, GIVEN, GROUPED, CommandRow, extension_row
from smtpwire.engine.events import EndOfData
from smtpwire.engine.replies import DEFAULT_REPLIES, ReplyKind
from smtpwire.engine.state import TRANSITIONS, State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.extensions import REGISTRY
from smtpwire.extensions.atrn import ATRN_VERB, Atrn
from smtpwire.extensions.burl import BURL_VERB, Burl
from smtpwire.extensions.etrn import ETRN_VERB, Etrn
from smtpwire.extensions.xclient import XCLIENT_VERB, XClient
from smtpwire.extensions.xforward import XFORWARD_VERB, XForward
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    VERBS,
    AnyVerb,
    Auth,
    Bdat,
    Command,
    Data,
    Expn,
    ExtensionCommand,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Verb,
    Vrfy,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import COMMAND_REPLIES, CommandReplies

POSTMASTER = Address("Postmaster", "")
ROWS = list(COMMANDS.values())
EXTENSION_VERBS: list[AnyVerb] = [verb for entry in REGISTRY for verb in entry.verbs]
STEPS = {"(success)", "(failure)", "(handshake)"}  # of AUTH and of TLS: no reply of their own


def words(*rows: CommandRow) -> set[str]:
    return {row.word for row in rows}


def test_every_word_of_the_states_has_a_row() -> None:
    known = {word for row in TRANSITIONS.values() for word in row}
    brought = {verb.name for verb in EXTENSION_VERBS}
    assert known - STEPS == (set(COMMANDS) | (known & brought))
    assert set(COMMANDS) <= known


def test_every_verb_has_a_row() -> None:
    assert {row.verb.encode() for row in ROWS} - {b"", b"BURL"} == VERBS


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_row_stands_in_the_states_of_the_table(row: CommandRow) -> None:
    assert row.states == {state for state in State if row.word in state.commands}
    assert row.states


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_default_is_a_reply_that_the_command_can_have(row: CommandRow) -> None:
    assert isinstance(row.default, ReplyKind)
    reply = DEFAULT_REPLIES[row.default]
    if reply.code < 400 and row.positive:
        assert reply.code == row.positive
    usual = (*row.replies.success, *row.replies.intermediate)
    if row.positive:
        assert row.positive in usual


@pytest.mark.parametrize("row", [*ROWS, *map(extension_row, EXTENSION_VERBS)], ids=repr)
def test_a_time_out_is_a_field_of_timeouts(row: CommandRow) -> None:
    timeouts = Timeouts()
    assert row.seconds(timeouts) == getattr(timeouts, row.timeout)


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_every_question_is_asked_for_one_command(row: CommandRow) -> None:
    for question in row.asks:
        for other in ROWS:
            if other.verb != row.verb and question in other.asks:
                # Data is asked for DATA and BDAT, EndOfMessage at every end, CommandQuestion
                # where the service asks.
                ends, hellos = {"DATA", "BDAT", "BURL", ""}, {"EHLO", "HELO", "LHLO"}
                kinds = (ends, hellos, {"HELP", "NOOP", "QUIT", "RSET"})
                assert any({row.verb, other.verb} <= kind for kind in kinds)


def test_what_may_stand_in_a_group() -> None:  # RFC 2920 §3.1, RFC 3030 §2
    assert {b"MAIL", b"RCPT", b"RSET", b"BDAT"} == GROUPED
    assert {b"EHLO", b"HELO", b"LHLO", b"AUTH", b"MAIL"} == BEGINNINGS


GROUP = ("MAIL", "RCPT", "RSET", "XFORWARD")
BODIES = ("BDAT", "BDAT LAST", "BURL", "BURL LAST", "(end of data)")


@pytest.mark.parametrize(
    ("word", "behind"),
    [
        ("EHLO", GROUP),
        ("MAIL", (*GROUP, "EHLO", "(end of data)")),
        ("RCPT", GROUP),
        ("DATA", GROUP),
        ("BDAT", ("BDAT", "BURL")),
        ("BDAT LAST", ("BDAT", "BURL")),
        ("BURL", (*GROUP, "BDAT", "BURL")),
        ("BURL LAST", (*GROUP, "BDAT", "BURL")),
        ("(end of data)", ()),
        ("RSET", (*GROUP, *BODIES)),
        ("QUIT", (*GROUP, *BODIES)),
        ("NOOP", GROUP),
        ("VRFY", GROUP),
        ("STARTTLS", GROUP),
        ("AUTH", GROUP),
        ("ETRN", GROUP),
        ("XFORWARD", GROUP),
    ],
)
def test_what_a_client_writes_behind_what(word: str, behind: tuple[str, ...]) -> None:
    """RFC 2920 §3.1, RFC 3030 §2, RFC 4468 §3.2."""
    extensions = [extension_row(verb) for verb in EXTENSION_VERBS if verb.name != "BURL"]
    rows = {row.word: row for row in (*ROWS, *extensions)}
    assert {other for other, row in rows.items() if rows[word].may_follow(row)} == set(behind)


def test_what_may_come_before_tls_and_before_auth() -> None:
    """RFC 3207 §4, RFC 4954 §6; without STARTTLS no AUTH could come."""
    assert words(*(row for row in ROWS if row.before_tls)) == {
        "EHLO",
        "LHLO",
        "NOOP",
        "QUIT",
        "STARTTLS",
    }
    assert words(*(row for row in ROWS if row.before_auth)) == {
        *("EHLO", "HELO", "LHLO", "NOOP", "QUIT", "STARTTLS"),
        *("AUTH", "RSET"),
    }


def test_what_has_a_secret() -> None:
    assert words(*(row for row in ROWS if row.secret)) == {"AUTH", "BURL", "BURL LAST"}


def test_what_an_intermediate_reply_answers() -> None:
    found = words(*(row for row in ROWS if row.intermediate))
    assert found == {"AUTH", "DATA", "BDAT LAST", "BURL LAST", "(end of data)"}


def test_a_row_tells_its_command() -> None:
    assert repr(COMMANDS["BDAT LAST"]) == "<the row of BDAT LAST>"
    assert COMMANDS["BDAT LAST"].verb == "BDAT"
    assert COMMANDS["(end of data)"].verb == ""


def test_a_verb_of_an_extension_has_its_row_in_its_entry() -> None:
    etrn = extension_row(ETRN_VERB)
    assert etrn.word == etrn.verb == "ETRN"
    assert etrn.states == {State.READY}
    assert etrn.default == Reply(458, "Unable to queue messages", "4.7.0")  # RFC 1985 §5.1
    assert etrn.replies.success == (250, 251, 252, 253)
    assert etrn.replies.errors == (458, 459, 500, 501)
    assert not etrn.grouped
    assert extension_row(XFORWARD_VERB).grouped
    assert extension_row(XCLIENT_VERB).positive == 220
    assert extension_row(XCLIENT_VERB).blocking
    assert extension_row(ATRN_VERB).blocking
    assert extension_row(BURL_VERB) is COMMANDS["BURL"]


def test_burls_row_says_what_its_verb_says() -> None:
    row = COMMANDS["BURL"]
    assert row.replies == BURL_VERB.replies
    assert row.timeout == BURL_VERB.timeout
    assert row.grouped is COMMANDS["BURL LAST"].grouped is BURL_VERB.grouped is True
    assert row.secret is COMMANDS["BURL LAST"].secret is BURL_VERB.secret is True


def test_a_private_verb_says_what_it_is() -> None:
    plain = extension_row(Verb("XASK", str, str))
    assert plain.states == {State.READY, State.MAIL, State.RCPT}
    assert plain.default is ReplyKind.REFUSED
    assert (plain.grouped, plain.blocking, plain.secret, plain.positive) == (False, False, False, 0)
    made = extension_row(
        Verb(
            "XKEY",
            str,
            str,
            grouped=True,
            in_transaction=False,
            blocking=True,
            secret=True,
            replies=CommandReplies((259,), (553,)),
            positive=259,
            default=Reply(553),
            timeout="end_of_data",
        )
    )
    assert made.states == {State.READY}
    assert (made.grouped, made.blocking, made.secret, made.positive) == (True, True, True, 259)
    assert made.default == Reply(553)
    assert made.seconds(Timeouts(end_of_data=7.0)) == 7.0


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda row: pickle.loads(pickle.dumps(row))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copied_row_is_the_row(copied: Callable[[CommandRow], CommandRow]) -> None:
    for row in ROWS:
        assert copied(row) is row
    etrn = extension_row(ETRN_VERB)
    again = copied(etrn)
    assert [getattr(again, name) for name in GIVEN] == [getattr(etrn, name) for name in GIVEN]
    assert again.seconds(Timeouts(command=5.0)) == 5.0


def test_the_usual_replies_are_those_of_the_wire() -> None:
    for word, replies in COMMAND_REPLIES.items():
        row = COMMANDS.get(word) or COMMANDS[f"({word})"]
        assert row.replies is replies


class Odd(Command):
    """A private one, which does not say its verb."""

    def __bytes__(self) -> bytes:
        return b"XODD 1"


@pytest.mark.parametrize(
    "command",
    [
        *(Hello("c.example", "EHLO"), Hello("c.example", "HELO"), Hello("c.example", "LHLO")),
        *(Mail(None), Rcpt(POSTMASTER), Data(), Bdat(1, last=True), Rset(), Noop(), Quit()),
        *(Help(), Vrfy("a"), Expn("a"), StartTls(), Auth("PLAIN"), Etrn("a.example"), Atrn()),
        *(Burl("imap://a.example/"), XClient("a"), XForward("a")),
        *(ExtensionCommand("XPAINT", "red"), Odd()),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_command_knows_its_verb(command: Command) -> None:
    assert command.verb == bytes(command).partition(b" ")[0].decode()


def test_the_end_of_the_data_has_its_row_too() -> None:
    assert EndOfData().verb in COMMANDS
