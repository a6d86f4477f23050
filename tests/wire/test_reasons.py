"""What is said of a value that cannot stand on the wire: what is wrong, and by which rule."""

import re
from collections.abc import Callable

import pytest

from smtpwire.wire.address import Address
from smtpwire.wire.body import DotDecoder, DotEncoder, LineEndings
from smtpwire.wire.command import (
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
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Verb,
    Vrfy,
    parse_command,
)
from smtpwire.wire.ehlo import EhloKeyword, EhloResponse
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.octets import parse_number
from smtpwire.wire.parameter import Parameter, Parameters
from smtpwire.wire.reply import Reply, format_reply
from smtpwire.wire.xtext import (
    decode_utf8_address,
    decode_xtext,
    encode_unitext_address,
    encode_xtext,
)

LEVEL: Parameter[int] = Parameter("XLEVEL", lambda raw: parse_number(raw or ""), str)
WORD = Verb("XWORD", parse_number, str)
KEY = Verb("XKEY", parse_number, str, secret=True)
ENDED = DotEncoder()
ENDED.end()


def decoded() -> None:
    decoder = DotDecoder(LineEndings.REJECT)
    decoder.decode(b".\r\n")
    decoder.decode(b"x")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Address("\n", "a"), "local_part has a control character at 0 (RFC 5321 §4.1.2)"),
        (
            lambda: Address("a", "b c"),
            "domain is neither a domain nor an address literal (RFC 5321 §4.1.2)",
        ),
        (lambda: Address.parse("@a:b@c"), "an address has no source route (RFC 5321 Appendix C)"),
        (lambda: Address.parse("a\n@b"), "control character at 1 (RFC 5321 §4.1.2)"),
        (lambda: Address.parse("a"), "not an address: local-part@domain"),
        (lambda: Address.parse("a@[b]"), "not an address literal"),
        (decoded, "the end of data has already come"),
        (lambda: ENDED.encode(b"x"), "the content has already ended"),
        (ENDED.end, "the content has already ended"),
        (
            lambda: bytes(Hello("a\n")),
            "the EHLO name holds a control character: 'a\\n' (RFC 5321 §4.1.2)",
        ),
        (
            lambda: bytes(Hello("a b")),
            "'a b' is neither a domain nor an address literal (RFC 5321 §4.1.1.1)",
        ),
        (
            lambda: bytes(Mail(Address("postmaster", ""))),
            "a reverse-path has a domain (RFC 5321 §4.1.2)",
        ),
        (lambda: bytes(Bdat(-1)), "a chunk has no -1 octets (RFC 3030 §2)"),
        (
            lambda: bytes(Vrfy(" a")),
            "VRFY needs a string without blanks around it (RFC 5321 §4.1.1.6)",
        ),
        (lambda: bytes(Vrfy("é")), "'é' needs the SMTPUTF8 parameter (RFC 6531 §3.7.4)"),
        (
            lambda: bytes(Vrfy("a SMTPUTF8")),
            "VRFY: the end of the string would be read as a parameter",
        ),
        (lambda: bytes(Vrfy("a\0")), "VRFY holds a control character: 'a\\x00' (RFC 5321 §4.1.2)"),
        (lambda: bytes(Auth("a b")), "'a b' is not a mechanism name (RFC 4422 §3.1)"),
        (lambda: bytes(Auth("PLAIN", b"\n")), "the initial response is not base64 (RFC 4954 §4)"),
        (lambda: ExtensionCommand("XWORD", "1").parsed(KEY), "this is XWORD, not XKEY"),
        (lambda: bytes(ExtensionCommand("1")), "'1' is not a verb (RFC 5321 §4.1.1)"),
        (lambda: EhloKeyword("é"), "keyword is not of printable ASCII (RFC 5321 §4.1.1.1)"),
        (lambda: EhloKeyword("A", "\0"), "parameters have a control character (RFC 5321 §4.1.1.1)"),
        (lambda: EhloResponse("a b"), "domain is not one word (RFC 5321 §4.1.1.1)"),
        (lambda: EhloResponse("a", "\0"), "greeting has a control character (RFC 5321 §4.1.1.1)"),
        (lambda: parse_number("x"), "not a number of 1 to 20 digits"),
        (lambda: parse_number("7", most=6), "not between 0 and 6"),
        (lambda: LEVEL(-1), "'XLEVEL=-1' is no XLEVEL: not a number of 1 to 20 digits"),
        (lambda: Parameters(LEVEL(1), LEVEL(1)), "a parameter stands twice"),
        (lambda: Parameter("X", str, str)("a b"), "'X=a b' is no parameter (RFC 5321 §4.1.2)"),
        (lambda: Reply(200 - 1), "reply code 199 is not [2-5][0-5][0-9] (RFC 5321 §4.2)"),
        (lambda: Reply(250, "\0"), "reply text has a control character at 0 (RFC 5321 §4.2)"),
        (
            lambda: Reply(250, "", "2"),
            "enhanced '2' is no status code like '5.1.1' (RFC 3463 §2)",
        ),
        (
            lambda: Reply(550, "", "4.1.1"),
            "enhanced '4.1.1' is not of the class of 550 (RFC 2034 §4)",
        ),
        (
            lambda: format_reply(Reply(250, "é")),
            "reply text is not ASCII at 0 and SMTPUTF8 not in use (RFC 6531 §3.7.4)",
        ),
        (lambda: decode_xtext("é"), "not xtext of printable ASCII (RFC 3461 §4)"),
        (lambda: encode_xtext("é"), "xtext encodes printable ASCII only (RFC 3461 §4)"),
        (lambda: decode_utf8_address("\\x{0}"), "not an encoded UTF-8 address (RFC 6533 §3)"),
        (
            lambda: encode_unitext_address(""),
            "an address is not empty and has no controls (RFC 6531 §3.3)",
        ),
    ],
)
def test_of_a_value(make: Callable[[], object], reason: str) -> None:
    with pytest.raises((ValueError, SmtpwireError), match=f"^{re.escape(reason)}$"):
        make()


@pytest.mark.parametrize(
    ("line", "code", "enhanced", "reason", "verb"),
    [
        (b"NOOP " + b"x" * 506, 500, "5.5.2", "Line too long", ""),
        (b"SEND FROM:<>", 502, "5.5.1", "Command not implemented", "SEND"),
        (b"HALLO", 500, "5.5.1", "Command not recognized", ""),
        (b"VRFY \xff", 501, "5.5.4", "Octets outside ASCII in the argument", "VRFY"),
        (b"VRFY \xc3\xa9", 501, "5.5.4", "Octets outside ASCII in the argument", "VRFY"),
        (b"VRFY a\0", 501, "5.5.4", "Control characters in the argument", "VRFY"),
        (b"HELP \xc3\xa9", 501, "5.5.4", "Octets outside ASCII in the argument", "HELP"),
        (b"NOOP \xc3\xa9", 501, "5.5.4", "Octets outside ASCII in the argument", "NOOP"),
        (b"EHLO", 501, "5.5.4", "EHLO needs a domain or an address literal", "EHLO"),
        (b"MAIL TO:<>", 501, "5.5.4", "Expected MAIL FROM:<path>", "MAIL"),
        (b"RCPT TO:a@b", 501, "5.5.4", "Expected RCPT TO:<path>", "RCPT"),
        (b"MAIL FROM:<>x", 501, "5.5.4", "Expected a blank behind the path", "MAIL"),
        (b"MAIL FROM:<> X=1", 555, "5.5.4", "Parameter not recognized", "MAIL"),
        (b"MAIL FROM:<> =", 501, "5.5.4", "A parameter is KEYWORD or KEYWORD=value", "MAIL"),
        (b"VRFY", 501, "5.5.4", "VRFY needs an argument", "VRFY"),
        (b"RSET x", 501, "5.5.4", "RSET takes no argument", "RSET"),
        (b"AUTH", 501, "5.5.4", "Expected AUTH mechanism [initial-response]", "AUTH"),
        (b"BDAT x", 501, "5.5.4", "Expected BDAT size [LAST]", "BDAT"),
        (b"XWORD x", 501, "5.5.4", "Bad argument of XWORD", "XWORD"),
        (b"MAIL FROM:<> XLEVEL=x", 501, "5.5.4", "Bad parameter: XLEVEL", "MAIL"),
        (b"MAIL FROM:<> XLEVEL=1 XLEVEL=1", 501, "5.5.4", "Repeated parameter: XLEVEL", "MAIL"),
    ],
)
def test_of_a_command(line: bytes, code: int, enhanced: str, reason: str, verb: str) -> None:
    grammar = Grammar(mail={"XLEVEL": LEVEL}, verbs={b"XWORD": WORD})
    with pytest.raises(CommandError) as refused:
        parse_command(line, grammar)
    error = refused.value
    assert (error.code, error.enhanced, error.reason, error.verb) == (code, enhanced, reason, verb)


def test_what_is_not_printable_need_not_be_a_control() -> None:
    # RFC 6531 §3.7.4: a soft hyphen is a character as any other
    assert bytes(Vrfy("a\u00adb", smtputf8=True)) == "VRFY a\u00adb SMTPUTF8".encode()


@pytest.mark.parametrize("blanks", [b" ", b"\t", b"  ", b" \t", b"\t "])
def test_blanks_at_the_end_of_a_line_are_no_part_of_it(blanks: bytes) -> None:
    # RFC 5321 §4.1.1
    assert parse_command(b"VRFY a" + blanks, Grammar()) == Vrfy("a")


def test_a_command_takes_no_other_types() -> None:
    wrong: dict[str, Callable[[object], Command]] = {
        "Data.chunking": Data,  # type: ignore[dict-item]
        "Hello.name": Hello,  # type: ignore[dict-item]
        "Vrfy.argument": Vrfy,  # type: ignore[dict-item]
        "Bdat.size": Bdat,  # type: ignore[dict-item]
    }
    for name, make in wrong.items():
        with pytest.raises(TypeError, match=f"^{name} is bytes: pass "):
            make(b"1")


def test_a_command_knows_its_verb() -> None:
    written: list[Command] = [
        Vrfy("a"),
        Expn("a"),
        Noop(),
        Help(),
        Quit(),
        Rset(),
        Data(),
        StartTls(),
        Bdat(0),
    ]
    written += [Hello("a"), Mail(None), Rcpt(Address("a", "b.example")), Auth("PLAIN")]
    for command in written:
        assert bytes(command).split()[0].decode() == command.verb
