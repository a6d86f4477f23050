"""EHLO replies: RFC 5321 §4.1.1.1 and what servers make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpwire.extensions import REGISTRY, SIZE
from smtpwire.wire.ehlo import EhloKeyword, EhloResponse, format_ehlo, parse_ehlo
from smtpwire.wire.reply import Reply
from smtpwire.wire.reply_parser import ReplyParser


def parse(octets: bytes) -> EhloResponse:
    parser = ReplyParser()
    parser.receive_data(octets)
    reply = parser.next_reply()
    assert isinstance(reply, Reply)
    return parse_ehlo(reply)


def keywords(octets: bytes) -> dict[str, str]:
    return {item.keyword: item.parameters for item in parse(octets).keywords}


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param(
            b"250-mx.example\r\n250-AUTH=LOGIN PLAIN\r\n250 8BITMIME\r\n",
            {"AUTH": "LOGIN PLAIN", "8BITMIME": ""},
            id="D-EHL-001",
        ),
        pytest.param(
            b"250-mx.example\r\n250-AUTH LOGIN PLAIN\r\n250-AUTH=LOGIN PLAIN\r\n250 HELP\r\n",
            {"AUTH": "LOGIN PLAIN", "HELP": ""},
            id="D-EHL-002",
        ),
        (
            b"250-mx.example\r\n250-AUTH=LOGIN\r\n250-SIZE\r\n250 AUTH PLAIN LOGIN\r\n",
            {"AUTH": "LOGIN PLAIN", "SIZE": ""},
        ),
        (
            b"250-mx.example\r\n250-8BITMIME\r\n250-AUTH LOGIN\r\n250 AUTH=LOGIN\r\n",
            {"8BITMIME": "", "AUTH": "LOGIN"},
        ),
        pytest.param(
            b"250-mx.example\r\n250-AUTH\r\n250 SIZE\r\n", {"AUTH": "", "SIZE": ""}, id="D-EHL-003"
        ),
        (b"250-mx.example\r\n250-AUTH\r\n250 AUTH PLAIN\r\n", {"AUTH": "PLAIN"}),
        pytest.param(
            b"250-mx.example\r\n250-starttls\r\n250-Auth login\r\n250 size 1000\r\n",
            {"STARTTLS": "", "AUTH": "login", "SIZE": "1000"},
            id="D-EHL-004",
        ),
        pytest.param(
            b"250-mx.example Hello\r\n250-SIZE 69920427\r\n250 STARTTLS\r\n",
            {"SIZE": "69920427", "STARTTLS": ""},
            id="D-EHL-005",
        ),
        pytest.param(b"250 mx.example\r\n", {}, id="D-EHL-006"),
        pytest.param(
            b"250-SIZE 10 is what we call this host\r\n250 8BITMIME\r\n",
            {"8BITMIME": ""},
            id="D-EHL-007",
        ),
        pytest.param(
            b"250-mx.example\r\n250-XSTARTTLS\r\n250-AUTHINFO PLAIN\r\n250 NOPIPELINING\r\n",
            {"XSTARTTLS": "", "AUTHINFO": "PLAIN", "NOPIPELINING": ""},
            id="D-EHL-008",
        ),
        (b"250-mx.example\r\n250 SIZE=10\r\n", {"SIZE": "10"}),
        (b"250-mx.example\r\n250-SIZE 1\r\n250 SIZE 2\r\n", {"SIZE": "2"}),
        (b"250-mx.example\r\n250-STARTTLS now or never\r\n250 \r\n", {"STARTTLS": "now or never"}),
        (
            b"250-mx.example\r\n250-\tSIZE \t 10\t\r\n250  PIPELINING \r\n",
            {"SIZE": "10", "PIPELINING": ""},
        ),
        (
            b"250-mx.example\r\n250 LIMITS RCPTMAX=20 MAILMAX=5\r\n",
            {"LIMITS": "RCPTMAX=20 MAILMAX=5"},
        ),
        (
            b"250-mx.example\r\n250-X_PIPECONNECT\r\n250 X-EXPS=LOGIN\r\n",
            {"X_PIPECONNECT": "", "X-EXPS": "LOGIN"},
        ),
        ("250-mx.example\r\n250-ſtarttls\r\n250 =\r\n".encode(), {}),
        ("250-mx.example\r\n250 STARTTLSſ\r\n".encode(), {}),
    ],
)
def test_keywords(octets: bytes, expected: dict[str, str]) -> None:
    assert keywords(octets) == expected


def test_the_name_and_the_greeting() -> None:
    response = parse(b"250-mx.example  at your\tservice \r\n250 HELP\r\n")
    assert response == EhloResponse("mx.example", "at your service", (EhloKeyword("HELP"),))
    assert parse(b"250\r\n") == EhloResponse("")
    assert parse(b"250 b\xfccher\r\n") == EhloResponse("b\\xfccher")


def test_lines_are_kept_as_they_came() -> None:
    response = parse(b"250-x\r\n250-Size=10\r\n250-AUTH=A \r\n250 AUTH B\r\n")
    assert [item.raw for item in response.keywords] == ["Size=10", "AUTH A B"]
    assert [item.line for item in response.keywords] == ["SIZE 10", "AUTH A B"]


def test_mechanisms_of_one_line_stay_as_they_came() -> None:
    [auth] = parse(b"250-x\r\n250 AUTH=PLAIN LOGIN PLAIN\r\n").keywords
    assert (auth.raw, auth.parameters) == ("AUTH=PLAIN LOGIN PLAIN", "PLAIN LOGIN PLAIN")


def test_unknown_keywords_are_kept_with_their_parameters() -> None:
    response = parse(b"250-x\r\n250-X-Private One  two\r\n250 HELP\r\n")
    assert response.keywords[0] == EhloKeyword("X-PRIVATE", "One two")


def test_an_unknown_keyword_that_comes_twice_is_kept_twice() -> None:
    """Exchange says ``X-EXPS GSSAPI NTLM`` and ``X-EXPS=LOGIN``: neither takes the other's place."""
    response = parse(b"250-x\r\n250-X-EXPS GSSAPI NTLM\r\n250-SIZE 1\r\n250 X-EXPS=LOGIN\r\n")
    assert response.keywords == (
        EhloKeyword("X-EXPS", "GSSAPI NTLM"),
        EhloKeyword("SIZE", "1"),
        EhloKeyword("X-EXPS", "LOGIN"),
    )
    offer = REGISTRY.read(response.keywords)
    assert [item.raw for item in offer.unknown] == ["X-EXPS GSSAPI NTLM", "X-EXPS=LOGIN"]
    assert offer.keywords == ("SIZE", "X-EXPS")


def test_of_an_extension_that_comes_twice_the_last_parameters_count() -> None:
    response = parse(b"250-x\r\n250-SIZE 1\r\n250-HELP\r\n250 SIZE 2\r\n")
    offer = REGISTRY.read(response.keywords)
    assert (offer[SIZE], offer.keywords) == (2, ("SIZE", "HELP"))


def test_formatted() -> None:  # RFC 5321 §4.1.1.1
    response = EhloResponse(
        "mx.example", "hello", (EhloKeyword("size", "10"), EhloKeyword("Pipelining"))
    )
    assert format_ehlo(response) == Reply(250, "mx.example hello\nSIZE 10\nPIPELINING")
    assert format_ehlo(EhloResponse("mx.example")) == Reply(250, "mx.example")


@pytest.mark.parametrize(
    ("keyword", "parameters"),
    [("", ""), ("A B", ""), ("A=B", ""), ("ſIZE", ""), ("A\n", ""), ("A", "b\r\nC"), ("A", "\0")],
)
def test_keywords_no_line_can_carry(keyword: str, parameters: str) -> None:
    with pytest.raises(ValueError, match="RFC 5321"):
        EhloKeyword(keyword, parameters)


@pytest.mark.parametrize(
    ("domain", "greeting"),
    [("a b", ""), ("a\n", ""), ("a\tb", ""), ("", "hi"), ("a", "b\nSIZE"), ("a", "\x1b[1m")],
)
def test_first_lines_that_are_none(domain: str, greeting: str) -> None:
    with pytest.raises(ValueError, match="RFC 5321"):
        EhloResponse(domain, greeting)


names = st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,8}", fullmatch=True)
words = st.lists(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=5)
)
lines = st.builds(EhloKeyword, names, words.map(" ".join))


@given(
    st.sampled_from(["mx.example", "[192.0.2.1]"]),
    words,
    st.lists(lines, unique_by=lambda k: k.keyword == "AUTH" or object()),
)
def test_format_and_parse_are_inverse(
    domain: str, greeting: list[str], items: list[EhloKeyword]
) -> None:
    response = EhloResponse(domain, " ".join(greeting), tuple(items))
    assert parse_ehlo(format_ehlo(response)) == response


@given(st.lists(st.binary(max_size=12).filter(lambda line: not {10, 13} & set(line)), min_size=1))
def test_no_octets_raise(texts: list[bytes]) -> None:
    last = texts.pop()
    octets = b"".join(b"250-%b\r\n" % text for text in texts) + b"250 %b\r\n" % last
    response = parse(octets)
    again = parse_ehlo(format_ehlo(response))
    assert (again.domain, again.keywords) == (response.domain, response.keywords)


@pytest.mark.parametrize(
    "line", ["size 9", "AUTH=LOGIN  PLAIN", "X-a\tb \t c ", " DSN ", "é", "A é"]
)
def test_a_keyword_read_is_one_made_by_its_constructor(line: str) -> None:
    for item in parse_ehlo(Reply(250, f"mx.example\n{line}")).keywords:
        keyword, parameters = item.keyword.lower(), item.parameters
        made = EhloKeyword(keyword, parameters, line)
        assert (made, made.raw, made.line) == (item, item.raw, item.line)
