"""Commands, both ways: RFC 5321 §4.1.1, §4.3.2, RFC 3030, RFC 3207, RFC 4954."""

import re
from collections.abc import Callable
from traceback import format_exception
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpwire.extensions import parameters
from smtpwire.wire.address import Address, proven_address
from smtpwire.wire.command import (
    PLAIN_LINE,
    PLAIN_LINE_LIMIT,
    Auth,
    Bdat,
    Command,
    CommandError,
    Data,
    Expn,
    ExtensionCommand,
    Grammar,
    Hello,
    Help,
    Leniency,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Verb,
    Vrfy,
    parse_command,
    plain_command,
)
from smtpwire.wire.parameter import Given, Parameter, Parameters

ADDRESS = Address("a", "b.example")
LENIENT = Leniency(blank_after_colon=True, missing_brackets=True)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"EHLO c.example", Hello("c.example", "EHLO")),
        (b"HELO c.example", Hello("c.example", "HELO")),
        (b"LHLO c.example", Hello("c.example", "LHLO")),
        (b"MAIL FROM:<>", Mail(None)),
        (b"MAIL FROM:<a@b.example>", Mail(ADDRESS)),
        (b"RCPT TO:<a@b.example>", Rcpt(ADDRESS)),
        (b"DATA", Data()),
        (b"BDAT 0", Bdat(0)),
        (b"BDAT 86 LAST", Bdat(86, last=True)),
        (b"RSET", Rset()),
        (b"NOOP", Noop()),
        (b"NOOP hello", Noop("hello")),
        (b"QUIT", Quit()),
        (b"HELP", Help()),
        (b"HELP MAIL", Help("MAIL")),
        (b"VRFY Smith", Vrfy("Smith")),
        (b"EXPN staff", Expn("staff")),
        (b"STARTTLS", StartTls()),
        (b"AUTH PLAIN", Auth("PLAIN")),
        (b"AUTH PLAIN =", Auth("PLAIN", b"=")),
    ],
)
def test_written_and_read(line: bytes, command: Command) -> None:
    assert bytes(command) == line
    assert parse_command(line, Grammar()) == command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"ehlo c.example", Hello("c.example")),
        (b"EHLO   c.example \t", Hello("c.example")),
        (b"mail from:<a@B.Example>", Mail(ADDRESS)),
        (b"Rcpt To:<a@b.example>  ", Rcpt(ADDRESS)),
        (b"data ", Data()),
        (b"bdat 7  last", Bdat(7, last=True)),
        (b"auth plain", Auth("PLAIN")),
    ],
)
def test_read_in_any_case_and_with_blanks(line: bytes, command: Command) -> None:  # §4.1.1, §2.4
    assert parse_command(line, Grammar()) == command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"MAIL FROM: <a@b.example>", Mail(ADDRESS)),
        (b"MAIL FROM:   <>", Mail(None)),
        (b"RCPT TO:a@b.example", Rcpt(ADDRESS)),
        (b"RCPT TO: a@b.example", Rcpt(ADDRESS)),
        (b"RCPT TO:a@b.example  ", Rcpt(ADDRESS)),
    ],
)
def test_only_where_lenient(line: bytes, command: Command) -> None:
    assert parse_command(line, Grammar(leniency=LENIENT)) == command
    with pytest.raises(CommandError):
        parse_command(line, Grammar())


def test_parameters_behind_a_path_without_brackets() -> None:
    grammar = Grammar(mail={"TEXT": Parameter("TEXT", str, str)}, leniency=LENIENT)
    command = parse_command(b"MAIL FROM:a@b.example TEXT=x", grammar)
    assert isinstance(command, Mail)
    assert (command.address, command.parameters.raw) == (ADDRESS, (("TEXT", "x"),))
    assert bytes(command) == b"MAIL FROM:<a@b.example> TEXT=x"
    assert parse_command(bytes(command), grammar) == command


REFUSALS = [
    (b"EHLO", 501, "5.5.4", "EHLO", "EHLO needs a domain or an address literal"),
    (b"HELO a b", 501, "5.5.4", "HELO", "HELO needs a domain or an address literal"),
    (b"LHLO [1]", 501, "5.5.4", "LHLO", "LHLO needs a domain or an address literal"),
    (b"MAIL", 501, "5.5.4", "MAIL", "Expected MAIL FROM:<path>"),
    (b"MAIL FROM:", 501, "5.5.4", "MAIL", "Expected MAIL FROM:<path>"),
    (b"MAIL FROM:<a@b.example", 501, "5.5.4", "MAIL", "Expected MAIL FROM:<path>"),
    (b'MAIL FROM:<"a@b.example', 501, "5.5.4", "MAIL", "Expected MAIL FROM:<path>"),
    (b'MAIL FROM:<"a@b.example>', 501, "5.1.7", "MAIL", "not an address: local-part@domain"),
    (b'MAIL FROM:<"a@b.example> X', 555, "5.5.4", "MAIL", "Parameter not recognized"),
    (b'MAIL FROM:<"a>b"@c.example>', 501, "5.5.4", "MAIL", "Expected a blank behind the path"),
    (
        b'RCPT TO:<"a@b.example> "@c>',
        501,
        "5.5.4",
        "RCPT",
        "A parameter is KEYWORD or KEYWORD=value",
    ),
    (b"MAIL TO:<a@b.example>", 501, "5.5.4", "MAIL", "Expected MAIL FROM:<path>"),
    (b"MAIL FROM:<>x", 501, "5.5.4", "MAIL", "Expected a blank behind the path"),
    (b"MAIL FROM:<a..b@c>", 501, "5.1.7", "MAIL", "not an address: local-part@domain"),
    (b"MAIL FROM:<> X=1", 555, "5.5.4", "MAIL", "Parameter not recognized"),
    (b"MAIL FROM:<> X\xff", 501, "5.5.4", "MAIL", "Octets outside ASCII in the argument"),
    (b"MAIL FROM:<\xc3\xbc@c>", 501, "5.1.7", "MAIL", "address is not ASCII"),
    (b"RCPT FROM:<a@b.example>", 501, "5.5.4", "RCPT", "Expected RCPT TO:<path>"),
    (b"RCPT TO:<>", 501, "5.1.3", "RCPT", "not an address: local-part@domain"),
    (b"RCPT TO:<a@b.example> X", 555, "5.5.4", "RCPT", "Parameter not recognized"),
    (b"DATA now", 501, "5.5.4", "DATA", "DATA takes no argument"),
    (b"BDAT", 501, "5.5.4", "BDAT", "Expected BDAT size [LAST]"),
    (b"BDAT -1", 501, "5.5.4", "BDAT", "Expected BDAT size [LAST]"),
    (b"BDAT 111111111111111111111", 501, "5.5.4", "BDAT", "Expected BDAT size [LAST]"),
    (b"RSET x", 501, "5.5.4", "RSET", "RSET takes no argument"),
    (b"NOOP a\x00", 501, "5.5.4", "NOOP", "Control characters in the argument"),
    (b"HELP \xff", 501, "5.5.4", "HELP", "Octets outside ASCII in the argument"),
    (b"QUIT x", 501, "5.5.4", "QUIT", "QUIT takes no argument"),
    (b"VRFY", 501, "5.5.4", "VRFY", "VRFY needs an argument"),
    (b"EXPN ", 501, "5.5.4", "EXPN", "EXPN needs an argument"),
    (b"VRFY a\x7f", 501, "5.5.4", "VRFY", "Control characters in the argument"),
    (b"STARTTLS x", 501, "5.5.4", "STARTTLS", "STARTTLS takes no argument"),
    (b"AUTH", 501, "5.5.4", "AUTH", "Expected AUTH mechanism [initial-response]"),
    (b"AUTH " + b"X" * 21, 501, "5.5.4", "AUTH", "Expected AUTH mechanism [initial-response]"),
    (b"SEND FROM:<>", 502, "5.5.1", "SEND", "Command not implemented"),
    (b"SOML FROM:<>", 502, "5.5.1", "SOML", "Command not implemented"),
    (b"SAML FROM:<>", 502, "5.5.1", "SAML", "Command not implemented"),
    (b"turn", 502, "5.5.1", "TURN", "Command not implemented"),
    (b"XKNOWN", 502, "5.5.1", "XKNOWN", "Command not implemented"),
    (b"XODD y", 501, "5.5.4", "XODD", "Bad argument of XODD"),
    (b"XODD \xff", 501, "5.5.4", "XODD", "Octets outside ASCII in the argument"),
    (b"XUNKNOWN", 500, "5.5.1", "", "Command not recognized"),
    (b"", 500, "5.5.1", "", "Command not recognized"),
    (b"DATA\tx", 500, "5.5.1", "", "Command not recognized"),
]


@pytest.mark.parametrize(("line", "code", "enhanced", "verb", "reason"), REFUSALS)
def test_refused(line: bytes, code: int, enhanced: str, verb: str, reason: str) -> None:
    def odd(text: str) -> str:
        if text != "x":
            raise ValueError(text)
        return text

    grammar = Grammar(verbs={b"XODD": Verb("XODD", odd, str)}, recognized=frozenset({b"XKNOWN"}))
    with pytest.raises(CommandError) as caught:
        parse_command(line, grammar)
    error = caught.value
    assert (error.code, error.enhanced, error.verb) == (code, enhanced, verb)
    assert str(error) == error.reason == reason


def test_a_line_of_the_most_octets_is_read_and_one_more_is_not() -> None:  # RFC 5321 §4.5.3.1.4
    assert parse_command(b"NOOP " + b"x" * 505, Grammar()) == Noop("x" * 505)
    with pytest.raises(CommandError, match=r"^Line too long$") as caught:
        parse_command(b"NOOP " + b"x" * 506, Grammar())
    assert (caught.value.code, caught.value.enhanced, caught.value.verb) == (500, "5.5.2", "")


def test_an_extension_lengthens_the_lines_of_its_verb() -> None:
    grammar = Grammar(line_limits={b"NOOP": 513})
    assert parse_command(b"noop " + b"x" * 506, grammar) == Noop("x" * 506)
    with pytest.raises(CommandError, match=r"^Line too long$"):
        parse_command(b"NOOP " + b"x" * 507, grammar)
    with pytest.raises(CommandError, match=r"^Line too long$"):
        parse_command(b"HELP " + b"x" * 506, grammar)


# -- SMTPUTF8 on MAIL, RFC 6531 §3.4


def test_only_the_parameter_itself_lets_utf8_in() -> None:
    known = {
        word: Parameter(word, lambda raw: raw, lambda raw: raw)
        for word in ("SMTPUTF8", "SMTPUTF8X")
    }
    line = "MAIL FROM:<ü@b.example> ".encode()
    grammar = Grammar(mail=known, smtputf8=True)
    command = parse_command(line + b"SMTPUTF8X smtputf8", grammar)
    assert isinstance(command, Mail)
    assert command.address == Address("ü", "b.example")
    for grammar_, parameter, code in (
        (grammar, b"SMTPUTF8X", 553),
        (Grammar(mail=known), b"SMTPUTF8", 501),
    ):
        with pytest.raises(CommandError, match="address is not ASCII") as caught:
            parse_command(line + parameter, grammar_)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("line", "code", "enhanced", "reason"),
    [
        (b"MAIL FROM:<\xc3\xbc@c>", 553, "5.6.7", "address is not ASCII"),
        (b"MAIL FROM:<\xff@c>", 553, "5.6.7", "address is not ASCII"),
        (b"MAIL FROM:<\xc3\xbc@c> SMTPUTF9", 555, "5.5.4", "Parameter not recognized"),
        (b"MAIL FROM:<\xff@c> SMTPUTF8", 501, "5.1.7", "address is not UTF-8"),
        (b"MAIL FROM:<" + b"x" * 65 + b"@c>", 501, "5.1.7", "local part too long"),
        (b"RCPT TO:<\xc3\xbc@c>", 553, "5.6.7", "address is not ASCII"),
        (b"RCPT TO:<" + b"x" * 65 + b"@c>", 501, "5.1.3", "local part too long"),
        (b"RCPT TO:<a@b..c>", 501, "5.1.3", "not an address: local-part@domain"),
    ],
)
def test_paths_refused_where_smtputf8_is_offered(
    line: bytes, code: int, enhanced: str, reason: str
) -> None:
    known = {"SMTPUTF8": Parameter("SMTPUTF8", lambda raw: raw, lambda raw: raw)}
    with pytest.raises(CommandError) as caught:
        parse_command(line, Grammar(mail=known, smtputf8=True))
    error = caught.value
    assert (error.code, error.enhanced, error.reason) == (code, enhanced, reason)


# -- SMTPUTF8 in VRFY and EXPN, RFC 6531 §3.7.4


def test_queries_with_smtputf8() -> None:
    grammar = Grammar(smtputf8=True)
    for command in (Vrfy("Jörg", smtputf8=True), Expn("a b", smtputf8=True), Vrfy("Jorg")):
        assert parse_command(bytes(command), grammar) == command
    assert bytes(Vrfy("Jörg", smtputf8=True)) == "VRFY Jörg SMTPUTF8".encode()
    assert parse_command(b"EXPN x  smtputf8", grammar) == Expn("x", smtputf8=True)
    assert parse_command(b"VRFY x SMTPUTF8", Grammar()) == Vrfy("x SMTPUTF8")
    with pytest.raises(CommandError, match="needs an argument"):
        parse_command(b"VRFY", grammar)
    with pytest.raises(CommandError, match="outside ASCII"):
        parse_command("VRFY Jörg".encode(), grammar)


# -- what is not written


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Hello(""), "neither a domain nor an address literal"),
        (Hello("a b"), "neither a domain nor an address literal"),
        (Hello("ü.example"), "neither a domain nor an address literal"),
        (Hello("a\r\nDATA"), "control character"),
        (Noop("ü"), "ASCII only"),
        (Noop(" x"), "blanks around"),
        (Help("x "), "blanks around"),
        (Help("x\n"), "control character"),
        (Vrfy(""), "string without blanks"),
        (Vrfy(" "), "string without blanks"),
        (Expn(" x"), "string without blanks"),
        (Vrfy("ü"), "needs the SMTPUTF8 parameter"),
        (Expn("x smtputf8"), "read as a parameter"),
        (Auth("plain"), "not a mechanism name"),
        (Auth("X" * 21), "not a mechanism name"),
        (ExtensionCommand("X Y"), "not a verb"),
        (ExtensionCommand("XODD", "x "), "blanks around"),
    ],
)
def test_not_written(command: Command, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        bytes(command)


# -- verbs of extensions


def test_a_verb_reads_and_writes_its_argument() -> None:
    verb = Verb("XCOUNT", int, str)
    assert verb(7) == ExtensionCommand("XCOUNT", "7")
    assert bytes(verb(7)) == b"XCOUNT 7"
    assert bytes(ExtensionCommand("XCOUNT")) == b"XCOUNT"
    command = parse_command(b"xcount 7", Grammar(verbs={b"XCOUNT": verb}))
    assert command == verb(7)
    assert verb(7).parsed(verb) == 7
    with pytest.raises(ValueError, match="this is XCOUNT, not XOTHER"):
        verb(7).parsed(Verb("XOTHER", int, str))
    assert (verb.grouped, verb.in_transaction) == (False, True)
    assert repr(verb) == "Verb(XCOUNT)"


def test_a_verb_may_make_a_command_of_its_own() -> None:
    verb = Verb("XHELP", str, str, make=lambda topic: ExtensionCommand("XHELP", f"with {topic}"))
    made = parse_command(b"XHELP me", Grammar(verbs={b"XHELP": verb}))
    assert made == ExtensionCommand("XHELP", "with me")


def test_an_argument_beyond_ascii_only_in_a_transaction_with_smtputf8() -> None:
    grammar = Grammar(verbs={b"XODD": Verb("XODD", str, str)})
    line = "XODD ü".encode()
    assert parse_command(line, grammar, utf8=True) == ExtensionCommand("XODD", "ü")
    with pytest.raises(CommandError, match="outside ASCII"):
        parse_command(line, grammar)


ATOM = st.text("abcXYZ019!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=12)
LABEL = st.from_regex(r"[a-zA-Z0-9]{1,8}(-[a-zA-Z0-9]{1,8})?", fullmatch=True)


@given(
    st.sampled_from([b"MAIL FROM", b"RCPT TO"]),
    st.lists(ATOM, min_size=1, max_size=4).map(".".join),
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
)
@example(b"RCPT TO", "x" * 64, "d")
@example(b"RCPT TO", "x" * 65, "d")
@example(b"MAIL FROM", "a", "b" * 63)
@example(b"MAIL FROM", "a", "b" * 64)
def test_the_short_way_leads_where_the_long_one_does(
    verb: bytes, local_part: str, domain: str
) -> None:
    line = b"%b:<%b@%b>" % (verb, local_part.encode(), domain.encode())
    found = PLAIN_LINE.match(line + b"\r\n")
    try:
        command = parse_command(line, Grammar())
    except CommandError:
        assert found is None or found.end() > PLAIN_LINE_LIMIT
    else:
        assert found is not None
        if found.end() > PLAIN_LINE_LIMIT:
            return
        plain = plain_command(found.groups())
        assert plain == command
        assert isinstance(command, Mail | Rcpt)
        assert isinstance(plain, Mail | Rcpt)
        assert plain.address is not None
        assert plain.address.raw == f"{local_part}@{domain}"


@given(st.from_regex(PLAIN_LINE, fullmatch=True))
def test_every_plain_line_is_read_the_same_on_both_ways(octets: bytes) -> None:
    found = PLAIN_LINE.match(octets)
    assert found is not None
    if found.end() <= PLAIN_LINE_LIMIT:
        assert plain_command(found.groups()) == parse_command(octets[:-2], Grammar())


def test_data_goes_the_short_way_too() -> None:
    found = PLAIN_LINE.match(b"DATA\r\n.")
    assert found is not None
    assert (found[0], plain_command(found.groups())) == (b"DATA\r\n", Data())


@pytest.mark.parametrize(
    "line",
    [b"data", b"DATA ", b"DATA\r", b"MAIL FROM:<>", b"MAIL FROM:<a@b>\r", b"RCPT TO:<a@b> X",
     b"rcpt TO:<a@b>", b"RCPT TO:<a@b-.d>", b"RCPT TO:<a.@b>", b'RCPT TO:<"a"@b>'],
)  # fmt: skip
def test_what_is_not_plain(line: bytes) -> None:
    assert PLAIN_LINE.match(line + b"\r\n") is None


# -- the guards: the type where a command is made, what cannot be said where its line is written

ALICE = Address("alice", "a.example")
wrong: Any = "alice@a.example>\r\nRSET"
given_alone: Any = [Given("SIZE", "1\r\nRSET", parameters.SIZE, 1)]
READS = r"an Address{} \(Address.parse\(…\) reads a str\)"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Mail(wrong), "Mail.address is a str: pass " + READS.format(" or None")),
        (lambda: Rcpt(wrong), "Rcpt.address is a str: pass " + READS.format("")),
        (lambda: Rcpt(cast("Address", None)), "Rcpt.address is None: pass an Address"),
        (lambda: Mail(ALICE, wrong), "Mail.parameters is a str: pass a Parameters"),
        (lambda: Rcpt(ALICE, wrong), "Rcpt.parameters is a str: pass a Parameters"),
        (lambda: Mail(ALICE, given_alone), "Mail.parameters is a list: pass a Parameters"),
        (lambda: Vrfy("x", cast("bool", "yes")), "Vrfy.smtputf8 is a str: pass a bool"),
        (lambda: Bdat(True), "Bdat.size is a bool: pass an int"),
    ],
)
def test_a_command_is_not_made_of_something_else(make: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=f"^{said}$"):
        make()


def test_a_hello_has_one_of_three_verbs() -> None:
    verb: Any = "EHLO x\r\nRSET"
    with pytest.raises(ValueError, match=r"pass 'EHLO', 'HELO' or 'LHLO'"):
        Hello("a.example", verb)


@pytest.mark.parametrize(
    "command",
    [
        Mail(proven_address("victim@bank.example> NOTIFY=NEVER ", "x.org", "")),
        Rcpt(proven_address("a", "x.org>\r\nRSET", "")),
        Rcpt(proven_address("", "y:a@x.org", "@y:a@x.org")),
        Mail(Address("Postmaster", "")),
        Mail(ALICE, Parameters(Given("SIZE", "1\r\nRSET", parameters.SIZE, 1))),
        Mail(ALICE, Parameters(Given("X\r\n", None, parameters.SIZE, 1))),
        Auth("PLAIN", b"AAAA\r\nRSET"),
        Auth("PLAIN", b""),
        Auth("PLAIN\r\n"),
        Bdat(-1),
    ],
    ids=repr,
)
def test_a_command_that_no_line_can_say_is_not_written(command: Command) -> None:
    with pytest.raises(ValueError):
        bytes(command)


@given(
    st.from_regex(re.compile(rb'[a.\\" >@]{1,12}@[ab._]{1,4}'), fullmatch=True),
    st.sampled_from([b"MAIL FROM:<%b>", b"RCPT TO:<%b>"]),
    st.booleans(),
)
def test_an_address_taken_is_sent_on_and_taken_again(
    path: bytes, line: bytes, odd_addresses: bool
) -> None:
    grammar = Grammar(leniency=Leniency(odd_addresses=odd_addresses))
    try:
        command = parse_command(line % path, grammar)
    except CommandError:
        return
    assert isinstance(command, Mail | Rcpt)
    assert command.address is not None
    again = type(command)(Address.parse(str(command.address)))
    assert parse_command(bytes(again), grammar) == command


# -- verbs of one's own

PRIORITY = Verb("PRIO", int, str)
KEY = Verb("XKEY", int, str, secret=True)


def test_an_argument_by_its_own_grammar() -> None:
    assert PRIORITY(3) == ExtensionCommand("PRIO", "3")
    assert PRIORITY(3).parsed(PRIORITY) == 3
    with pytest.raises(ValueError, match="this is PRIO, not XKEY"):
        PRIORITY(3).parsed(KEY)


def test_an_argument_that_is_none_is_told_with_its_verb() -> None:
    high: Any = "high"
    for make in (
        lambda: PRIORITY(high),
        lambda: ExtensionCommand("PRIO", "high").parsed(PRIORITY),
    ):
        with pytest.raises(ValueError, match=r"^'high' is no argument of PRIO: invalid literal"):
            make()
    words = Verb("PRIO", lambda text: text.split(), " ".join)
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"^PRIO does not take an int$"):
        words(wrong)


def test_an_argument_that_is_a_secret_is_not_told() -> None:
    key: Any = "0042x"
    with pytest.raises(ValueError, match=r"^<redacted> is no argument of XKEY$") as raised:
        KEY(key)
    assert "0042x" not in "".join(format_exception(raised.value))
