"""The grammar against a slow reference, written straight from the ABNF, in both directions."""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.wire.abnf import (
    ALPHA,
    DIGIT,
    DQUOTE,
    HEXDIG,
    Rule,
    either,
    literal,
    matches,
    octets,
    one_of,
    optional,
    repeated,
    sequence,
)

from smtpwire.wire.address import PathError, parse_domain, parse_path
from smtpwire.wire.command import CommandError, Grammar, Mail, parse_command
from smtpwire.wire.parameter import Parameter
from smtpwire.wire.xtext import decode_xtext

# RFC 5321 §4.1.2
let_dig = either(ALPHA, DIGIT)
ldh_str = sequence(repeated(either(ALPHA, DIGIT, literal("-"))), let_dig)
sub_domain = sequence(let_dig, optional(ldh_str))
domain = sequence(sub_domain, repeated(sequence(literal("."), sub_domain)))
atext = either(ALPHA, DIGIT, one_of("!#$%&'*+-/=?^_`{|}~"))  # RFC 5322 §3.2.3
atom = repeated(atext, 1)
dot_string = sequence(atom, repeated(sequence(literal("."), atom)))
qtext = octets((32, 33), (35, 91), (93, 126))
quoted_pair = sequence(octets(92), octets((32, 126)))
quoted_string = sequence(DQUOTE, repeated(either(qtext, quoted_pair)), DQUOTE)
local_part = either(dot_string, quoted_string)

# §4.1.3
snum = repeated(DIGIT, 1, 3)  # 0 through 255: looked at apart
ipv4 = sequence(snum, repeated(sequence(literal("."), snum), 3, 3))
hex_group = repeated(HEXDIG, 1, 4)
more = sequence(literal(":"), hex_group)


def groups(most: int) -> Rule:
    return optional(sequence(hex_group, repeated(more, 0, most - 1)))


ipv6_full = sequence(hex_group, repeated(more, 7, 7))
# No more than 6 groups (4 beside IPv4) in addition to the "::".
ipv6_comp = either(
    *(sequence(groups(left), literal("::"), groups(6 - left)) for left in range(1, 6)),
    sequence(groups(6), literal("::")),
    sequence(literal("::"), groups(6)),
)
ipv6v4_full = sequence(hex_group, repeated(more, 5, 5), literal(":"), ipv4)


def before_ipv4(most: int) -> Rule:
    return optional(sequence(hex_group, repeated(more, 0, most - 1), literal(":")))


ipv6v4_comp = either(
    *(sequence(groups(left), literal("::"), before_ipv4(4 - left), ipv4) for left in range(1, 4)),
    sequence(groups(4), literal("::"), ipv4),
    sequence(literal("::"), before_ipv4(4), ipv4),
)
ipv6 = sequence(literal("IPv6:"), either(ipv6_full, ipv6_comp, ipv6v4_full, ipv6v4_comp))
general = sequence(ldh_str, literal(":"), repeated(octets((33, 90), (94, 126)), 1))
address_literal = sequence(literal("["), either(ipv4, ipv6, general), literal("]"))

mailbox = sequence(local_part, literal("@"), either(domain, address_literal))
at_domain = sequence(literal("@"), domain)
source_route = sequence(at_domain, repeated(sequence(literal(","), at_domain)), literal(":"))
path = sequence(optional(source_route), mailbox)


def legal_domain(text: str) -> bool:
    """A domain or literal, less what the comments of the ABNF forbid, and less ``>``."""
    if matches(domain, text):
        return max(map(len, text.split("."))) <= 63
    if not matches(address_literal, text) or ">" in text:
        return False
    inner = text[1:-1]
    if inner.lower().startswith("ipv6:"):  # never a general literal
        if not matches(ipv6, inner):
            return False
        dotted = inner.rpartition(":")[2]
        return "." not in dotted or max(map(int, dotted.split("."))) <= 255
    return not matches(ipv4, inner) or max(map(int, inner.split("."))) <= 255


def legal_path(text: str) -> bool:
    at = text.rfind("@")
    return matches(path, text) and legal_domain(text[at + 1 :]) and ">" not in text


def accepted(text: str) -> bool:
    try:
        return parse_path(text.encode()).raw == text
    except PathError:
        return False


def every(alphabet: str | list[str], most: int) -> Iterator[str]:
    """Every text of up to ``most`` letters."""
    for length in range(most + 1):
        for letters in product(alphabet, repeat=length):
            yield "".join(letters)


@pytest.mark.parametrize(
    ("before", "alphabet", "most", "behind"),
    [
        ("", "a.", 9, "@b"),
        ("", '".a\\ ', 5, "@b"),
        ('"', '"\\a@ ', 5, '"@b'),
        ("a@", "b.-", 8, ""),
        ("a@", "b.-_[]:", 4, ""),
        ("", "a@:,.", 6, ""),
        ("@", "a@:,", 6, ":a@b"),
        ("a@[", "1.", 8, "]"),
        ("a@[x", "-:a]", 5, "]"),
        ("", '@"<> a', 5, ""),
    ],
)
def test_every_short_path(before: str, alphabet: str, most: int, behind: str) -> None:
    for middle in every(alphabet, most):
        text = before + middle + behind
        assert accepted(text) == legal_path(text), text


@pytest.mark.parametrize("behind", ["", "1.2.3.4", ":1.2.3.4", "1.2.3"])
@pytest.mark.parametrize("alphabet", [["1", ":"], ["1:", ":", "a1"], ["12345", "::", "1", ":"]])
def test_every_short_ipv6_literal(alphabet: list[str], behind: str) -> None:
    for middle in every(alphabet, {2: 9, 3: 5, 4: 4}[len(alphabet)]):
        text = f"[IPv6:{middle}{behind}]"
        assert (parse_domain(text.encode()) is not None) == legal_domain(text), text


@pytest.mark.parametrize("left", range(10))
@pytest.mark.parametrize("right", range(10))
@pytest.mark.parametrize("tail", ["", "192.0.2.1"])
def test_groups_of_ipv6_literals(left: int, right: int, tail: str) -> None:
    before, behind = ":".join(["0"] * left), ["f"] * right + [tail] * bool(tail)
    for text in (f"[IPv6:{before}::{':'.join(behind)}]", f"[IPv6:{':'.join([before, *behind])}]"):
        assert (parse_domain(text.encode()) is not None) == legal_domain(text), text


PIECES = st.lists(
    st.sampled_from([*'a1.-@"\\[]:, <>_\x00é~', "IPv6:", "1.2.3.4", "::", "a@b", "x" * 63, '"a"']),
    max_size=12,
).map("".join)


@given(PIECES)
@example("a" * 64 + "@" + "b" * 63)
@example("a@" + "b" * 64)
def test_any_path(text: str) -> None:
    at = text.rfind("@")
    short = len(text[:at].rpartition(":")[2]) <= 64 and len(text) <= 254
    if short and "é" not in text:
        assert accepted(text) == legal_path(text)


# -- RFC 3461 §4

xchar = octets((33, 42), (44, 60), (62, 126))
hexchar = sequence(literal("+"), repeated(either(DIGIT, octets((0x41, 0x46))), 2, 2))
xtext = repeated(either(xchar, hexchar))


def legal_xtext(text: str) -> bool:
    """xtext that encodes printable ASCII."""
    if not matches(xtext, text):
        return False
    return all(0x20 <= int(piece[:2], 16) <= 0x7E for piece in text.split("+")[1:])


def is_xtext(text: str) -> bool:
    try:
        decode_xtext(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("alphabet", "most"), [("a+= ", 6), ("+2Fa", 6), ("+17f", 6)])
def test_every_short_xtext(alphabet: str, most: int) -> None:
    for text in every(alphabet, most):
        assert is_xtext(text) == legal_xtext(text), text


@given(st.text(st.sampled_from("+=0123789ABCDEFGabf~! \x7f\u0662"), max_size=12))
def test_any_xtext(text: str) -> None:
    assert is_xtext(text) == legal_xtext(text)


# -- MAIL with a path and parameters, RFC 5321 §4.1.1.2

keyword = sequence(let_dig, repeated(either(ALPHA, DIGIT, literal("-"))))
parameter_value = repeated(octets((33, 60), (62, 126)), 1)
parameter = sequence(keyword, optional(sequence(literal("="), parameter_value)))
# Blanks may repeat, and stand at the end (§4.1.1).
parameters = repeated(sequence(repeated(literal(" "), 1), parameter))
mail = sequence(
    literal("MAIL FROM:<"), optional(path), literal(">"), parameters, repeated(literal(" "))
)
ANY = {
    name: Parameter(name, lambda raw: raw, lambda raw: raw) for name in ("A", "B", "AA", "AB", "A-")
}


def legal_mail(text: str) -> bool:
    inside, _, behind = text.removeprefix("MAIL FROM:<").partition(">")
    words = [word.partition("=")[0].upper() for word in behind.split(" ") if word]
    return (
        matches(mail, text)
        and (not inside or legal_path(inside))
        and all(word in ANY for word in words)
        and len(words) == len(set(words))
    )


def is_mail(text: str) -> bool:
    try:
        return isinstance(parse_command(text.encode(), Grammar(mail=ANY)), Mail)
    except CommandError:
        return False


@pytest.mark.parametrize(
    ("before", "alphabet", "most"),
    [("MAIL FROM:", '<>"a@ ', 5), ("MAIL FROM:<a@b>", "ab=- >", 5), ('MAIL FROM:<"', '"\\>@a ', 5)],
)
def test_every_short_mail(before: str, alphabet: str, most: int) -> None:
    for rest in every(alphabet, most):
        assert is_mail(before + rest) == legal_mail(before + rest), before + rest
