"""Paths and mailboxes: RFC 5321 §4.1.2, §4.1.3, RFC 6531 §3.3."""

import copy
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpwire.wire.address import (
    DOMAIN,
    DOT_STRING,
    LITERAL,
    QUOTED_STRING,
    Address,
    PathError,
    PathErrorKind,
    parse_domain,
    parse_path,
    proven_address,
    written_address,
)


@pytest.mark.parametrize(
    ("path", "local_part", "domain"),
    [
        (b"user@example.com", "user", "example.com"),
        (b"User.Name+tag@Mail.Example.COM", "User.Name+tag", "mail.example.com"),
        pytest.param(b'"odd user"@example.com', "odd user", "example.com", id="D-ADR-005"),
        pytest.param(b'"a\\"b\\\\c"@example.com', 'a"b\\c', "example.com", id="D-ADR-006"),
        pytest.param(
            b"@hosta.example,@hostb.example:b@example.com", "b", "example.com", id="D-ADR-008"
        ),
        (b"@hosta.example:b@example.com", "b", "example.com"),
        pytest.param(b"b@[192.0.2.5]", "b", "[192.0.2.5]", id="D-ADR-010"),
        pytest.param(
            b"SRS0=I7TD=ft=s.example=mailer+x/y@example.org",
            "SRS0=I7TD=ft=s.example=mailer+x/y",
            "example.org",
            id="D-ADR-017",
        ),
        (b'"Joe\\,Smith"@example.com', "Joe,Smith", "example.com"),
        (b'""@example.com', "", "example.com"),
        (b'"plain"@a', "plain", "a"),
        (b"b@1.2.3.4", "b", "1.2.3.4"),
        (b"b@a--b.x-1.c", "b", "a--b.x-1.c"),
        (b"b@[IPV6:2001:DB8::19]", "b", "[IPv6:2001:db8::19]"),
        (b"b@[IPv6:1:2:3:4:5:6:7:8]", "b", "[IPv6:1:2:3:4:5:6:7:8]"),
        (b"b@[IPv6:::]", "b", "[IPv6:::]"),
        (b"b@[IPv6:::1]", "b", "[IPv6:::1]"),
        (b"b@[IPv6:1:2:3:4:5:6::]", "b", "[IPv6:1:2:3:4:5:6::]"),
        (b"b@[255.255.255.255]", "b", "[255.255.255.255]"),
        (b"b@[IPv6:1:2:3:4:5:6:192.0.2.1]", "b", "[IPv6:1:2:3:4:5:6:192.0.2.1]"),
        (b"b@[IPv6:1:2::3:4:192.0.2.1]", "b", "[IPv6:1:2::3:4:192.0.2.1]"),
        (b"b@[IPv6:::192.0.2.1]", "b", "[IPv6:::192.0.2.1]"),
        (b"b@[x-net:Some!thing]", "b", "[x-net:Some!thing]"),
    ],
)
def test_accepted(path: bytes, local_part: str, domain: str) -> None:
    address = parse_path(path)
    assert (address.local_part, address.domain) == (local_part, domain)
    assert address.raw == path.decode()


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"user",
        b"user@",
        b"@example.com",
        b"a b@example.com",
        pytest.param(b'""leftover@example.com', id="D-ADR-007"),
        pytest.param(b"@hosta.example:@hostb.example:b@example.com", id="D-ADR-009"),
        b"@hosta.example,hostb.example:b@example.com",
        b"@[192.0.2.1]:b@example.com",
        pytest.param(b"b@[999.1.1.1]", id="D-ADR-011"),
        b"b@[]",
        b"b@[1.2.3]",
        b"b@[1.2.3.4.5]",
        b"b@[1.2.3.0004]",
        b"b@[IPv6:1::2::3]",
        b"b@[IPv6:12345::]",
        b"b@[::1]",
        b"b@[1.2.3.4",
        b"b@[IPv6:]",
        b"b@[IPv6:1:2:3:4:5:6:7]",
        b"b@[IPv6:1:2:3:4:5:6:7:8:9]",
        b"b@[IPv6:1:2:3:4:5:6:7::]",
        b"b@[IPv6:1:2:3::4:5:192.0.2.1]",
        b"b@[IPv6:1:::192.0.2.1]",
        b"b@[IPv6:::192.0.2.256]",
        b"b@[IPv6:192.0.2.1::]",
        b"b@[IPv6:g::]",
        b"b@[x-:y]",
        b"b@[x:]",
        pytest.param(b"b@[IPv6:" + b"0:" * 60 + b"1]", id="D-ADR-012"),
        pytest.param(b"a..b@example.com", id="D-ADR-016"),
        b".a@example.com",
        b"a.@example.com",
        b"a@example..com",
        b"a@.example.com",
        b"a@example.com.",
        b"a@-example.com",
        b"a@example-.com",
        b"a@under_score.example",
        b"a@" + b"x" * 64,
        pytest.param(b";sleep 66;", id="D-ADR-018"),
        pytest.param(b"b\x07@example.com", id="D-ADR-019"),
        b"b\x00@example.com",
        b'"b\n"@example.com',
        b"a@b@example.com",
        b"Postmaster",
        b"foo@x.example> ORCPT=rfc822;a@y.example",
        b'"a>b"@example.com',
        b'"a\\>b"@example.com',
        b'"victim@bank.example> NOTIFY=NEVER "@x.org',
    ],
)
def test_refused(path: bytes) -> None:
    with pytest.raises(PathError) as caught:
        parse_path(path)
    assert caught.value.kind is PathErrorKind.SYNTAX
    assert caught.value.reason == str(caught.value)
    with pytest.raises(PathError):
        parse_path(path, utf8=True)


@pytest.mark.parametrize("path", [b"Postmaster", b"PostMaster", b"POSTMASTER"])
def test_bare_postmaster_in_any_case(path: bytes) -> None:  # D-ADR-004
    address = parse_path(path, postmaster=True)
    assert address.is_postmaster
    assert address.domain == ""
    assert address.raw == str(address) == path.decode()


def test_postmaster_with_a_domain_is_postmaster_too() -> None:
    assert parse_path(b"postMASTER@example.com").is_postmaster
    assert not parse_path(b"postmaster.x@example.com").is_postmaster
    assert not Address("po\u017ftmaster", "example.com").is_postmaster


@pytest.mark.parametrize("local_part", ["a..b", ".a", "a.", "..", "ø..b"])
def test_dots_anywhere_only_where_lenient(local_part: str) -> None:
    path = f"{local_part}@example.com".encode()
    with pytest.raises(PathError):
        parse_path(path, utf8=True)
    address = parse_path(path, utf8=True, lenient=True)
    assert (address.local_part, address.raw) == (local_part, path.decode())
    assert str(address) == f'"{local_part}"@example.com'
    assert parse_path(str(address).encode(), utf8=True) == address
    assert Address.parse(path.decode()) == address


def test_underscores_only_where_lenient() -> None:
    assert parse_path(b"a@my_host.example", lenient=True).domain == "my_host.example"
    assert parse_path("ø@my_host.example".encode(), utf8=True, lenient=True).domain == (
        "my_host.example"
    )


# -- limits, RFC 5321 §4.5.3.1.1-3


def test_the_sizes_everybody_must_accept_are_accepted() -> None:
    assert parse_path(b"x" * 64 + b"@example.com").local_part == "x" * 64
    name = b".".join([b"x" * 63] * 3)
    assert parse_path(b"x" * 62 + b"@" + name).domain == name.decode()


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (b"x" * 65 + b"@example.com", "local part"),
        (b'"' + b"x" * 63 + b'"@example.com', "local part"),
        (b"x@" + b".".join([b"x" * 63] * 4), "path"),
        (b"@" + b"x.y," * 63 + b":x@y", "path"),
    ],
)
def test_too_long(path: bytes, what: str) -> None:
    with pytest.raises(PathError, match=f"^{what} too long$") as caught:
        parse_path(path)
    assert caught.value.kind is PathErrorKind.TOO_LONG


def test_the_limits_where_the_caller_names_none() -> None:  # RFC 5321 §4.5.3.1.1-3
    def domain(octets: int) -> bytes:
        return (b"x" * 49 + b".") * ((octets - 1) // 50) + b"x" * ((octets - 1) % 50 + 1)

    assert len(domain(255)) == 255
    longest = b"x" * 64 + b"@" + domain(189)
    assert len(longest) + 2 == 256
    assert parse_path(longest).domain == domain(189).decode()
    with pytest.raises(PathError, match=r"^path too long$"):
        parse_path(b"x" * 64 + b"@" + domain(190))
    assert parse_path(b"x@" + domain(255), max_path=999).domain == domain(255).decode()
    with pytest.raises(PathError, match=r"^domain too long$"):
        parse_path(b"x@" + domain(256), max_path=999)


@pytest.mark.parametrize("domain", [b"example.com", b"[192.0.2.1]", b"[x:yyyyyyyyy]"])
def test_the_limits_are_the_callers(domain: bytes) -> None:
    assert parse_path(b"x" * 65 + b"@" + domain, max_local_part=65).local_part == "x" * 65
    with pytest.raises(PathError, match=r"^domain too long$"):
        parse_path(b"x@" + domain, max_domain=10)


@pytest.mark.parametrize("domain", [b"example.com", b"[192.0.2.1]", b"[x:yyyyyyyyy]"])
def test_a_domain_of_the_most_octets_is_taken(domain: bytes) -> None:
    path, most = b"x@" + domain, len(domain)
    assert parse_path(path, max_domain=most).raw == path.decode()
    with pytest.raises(PathError, match=r"^domain too long$"):
        parse_path(path, max_domain=most - 1)
    assert parse_path(path, max_path=len(path) + 2).raw == path.decode()
    with pytest.raises(PathError, match=r"^path too long$"):
        parse_path(path, max_path=len(path) + 1)


# -- SMTPUTF8, RFC 6531


def test_utf8_without_smtputf8() -> None:  # D-ADR-020
    with pytest.raises(PathError) as caught:
        parse_path("dø@example.com".encode())
    assert caught.value.kind is PathErrorKind.NON_ASCII


def test_utf8_with_smtputf8() -> None:
    address = parse_path('"d ø"@BÜCHER.Example'.encode(), utf8=True)
    assert address.local_part == "d ø"
    assert address.domain == "bÜcher.example"  # U-labels are handed through
    assert address.needs_smtputf8
    assert not parse_path(b"d@example.com", utf8=True).needs_smtputf8


def test_malformed_utf8() -> None:  # D-ADR-021
    with pytest.raises(PathError) as caught:
        parse_path(b"\xc3(\xff@example.com", utf8=True)
    assert caught.value.kind is PathErrorKind.INVALID_UTF8


@pytest.mark.parametrize("text", ["a\x85b@example.com", "a@exam\x9bple.com"])
def test_c1_controls_are_refused(text: str) -> None:
    with pytest.raises(PathError) as caught:
        parse_path(text.encode(), utf8=True)
    assert caught.value.kind is PathErrorKind.SYNTAX


# -- the value


def test_all_quoted_forms_are_one_address() -> None:  # RFC 5321 §4.1.2
    forms = [
        b"joe@example.com",
        b'"joe"@example.com',
        b'"j\\oe"@EXAMPLE.com',
        b"@a:joe@example.com",
    ]
    addresses = [parse_path(form) for form in forms]
    assert len(set(addresses)) == 1
    assert {str(address) for address in addresses} == {"joe@example.com"}
    assert [address.raw for address in addresses] == [form.decode() for form in forms]


def test_local_parts_keep_their_case() -> None:
    """RFC 5321 §2.4."""
    assert parse_path(b"Joe@example.com") != parse_path(b"joe@example.com")


def test_an_address_is_a_plain_value() -> None:
    address = parse_path(b'"a b"@example.com')
    assert repr(address) == "Address(local_part='a b', domain='example.com')"
    assert copy.copy(address) == pickle.loads(pickle.dumps(address)) == address
    assert proven_address("a b", "example.com", "") == address
    assert not address.is_literal
    assert Address("a", "[192.0.2.1]").is_literal
    with pytest.raises(AttributeError):
        address.domain = "x"  # type: ignore[misc]  # frozen, which is the point


def test_built_by_the_application() -> None:
    address = Address("Joe Doe", "Example.COM")
    assert (address.domain, address.raw) == ("example.com", '"Joe Doe"@example.com')
    assert Address("a", "x", "@y:a@x").raw == "@y:a@x"
    assert str(Address("Postmaster", "")) == "Postmaster"
    assert str(Address("ø", "bücher.example")) == "ø@bücher.example"
    assert str(Address("a", "[IPV6:2001:DB8::1]")) == "a@[IPv6:2001:db8::1]"


@pytest.mark.parametrize(
    "local_part",
    [
        "a\r\nDATA",
        "a\nb",
        "a\rb",
        "a\0b",
        "a\tb",
        "a\x7f",
        "a\x80",
        "\ud800",
        "a> x",
        "b@example.com>",
    ],
)
def test_local_parts_refused_at_once(local_part: str) -> None:  # D-ADR-031 to D-ADR-033
    with pytest.raises(ValueError, match="local_part"):
        Address(local_part, "example.com")


@pytest.mark.parametrize(
    "domain",
    ["", "x\r\nDATA", "x y", "x>", "x.", "-x", "[1.2.3]", "[x", "x\ud800", "ø\x85", "x" * 64],
)
def test_domains_refused_at_once(domain: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        Address("a", domain)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a@b.example", Address("a", "b.example")),
        ('"a b"@b.example', Address("a b", "b.example")),
        ("a@[192.0.2.1]", Address("a", "[192.0.2.1]")),
        ("a@my_host.example", Address("a", "my_host.example")),
        ("dø@bücher.example", Address("dø", "bücher.example")),
        ("postmaster", Address("postmaster", "")),
        ("x" * 300 + "@b.example", Address("x" * 300, "b.example")),
    ],
)
def test_parse_for_applications(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(text).raw == text


@pytest.mark.parametrize(
    "text",
    ["", "a", "<a@b>", "a@b\r\n", "a@b\nDATA", "@x:a@b", '"a>b"@c', "a b@c", "\ud800@x", "A <a@b>"],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


semantic_local_parts = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=">"), max_size=30
)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join) | st.sampled_from(
    ["[192.0.2.1]", "[IPv6:::1]", "[x-net:anything]", "bücher.example"]
)


@given(semantic_local_parts, domains)
def test_format_and_parse_are_inverse(local_part: str, domain: str) -> None:
    address = Address(local_part, domain)
    assert Address.parse(str(address)) == address
    limit = 1000
    assert (
        parse_path(str(address).encode(), utf8=True, max_local_part=limit, max_path=limit)
        == address
    )


@given(st.binary(max_size=40), st.booleans(), st.booleans(), st.booleans())
def test_no_octets_raise_anything_else(
    octets: bytes, utf8: bool, postmaster: bool, lenient: bool
) -> None:
    try:
        address = parse_path(octets, utf8=utf8, postmaster=postmaster, lenient=lenient)
    except PathError:
        return
    assert parse_path(str(address).encode(), utf8=utf8, postmaster=True, lenient=lenient) == address


@given(st.from_regex(re.compile(rb"(?:@a,@b-c:)?[a.\"\\ ]{0,6}@[a.\-\[\]:1]{0,8}"), fullmatch=True))
def test_near_misses_raise_nothing_else(octets: bytes) -> None:
    try:
        address = parse_path(octets)
    except PathError:
        return
    assert address.raw == octets.decode()


# -- what a client writes


@given(
    st.binary(max_size=40)
    | st.from_regex(re.compile(rb'[a.\\\\" >@]{1,12}@[a-c.]{1,4}'), fullmatch=True)
)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_a_server_took_goes_on_as_it_is_meant(lenient: bool, octets: bytes) -> None:
    try:
        taken = parse_path(octets, utf8=True, postmaster=True, lenient=lenient)
    except PathError:
        return
    assert Address.parse(str(taken)) == taken
    written = written_address(taken)
    assert b">" not in written
    # The next server is strict.
    strict = b"_" not in taken.domain.encode()
    assert parse_path(written, utf8=True, postmaster=True, lenient=not strict) == taken


HAND_MADE = [
    ("victim@bank.example> NOTIFY=NEVER ", "x.org"),
    ("a\r\nDATA", "x.org"),
    ("a", "x.org\r\nDATA"),
    ("a", "x.org> SIZE=1"),
    ("a", "x@y.org"),
    ("", "y,@z:a@x.org"),
    ("a b", "X.org"),
    ("a", ""),
    ("", ""),
    ("a", "[x]"),
    ("a\0", "x.org"),
    ("\ud800", "x.org"),
    ("a\x85", "x.org"),
]


@pytest.mark.parametrize(("local_part", "domain"), HAND_MADE)
def test_an_address_made_by_hand_gets_past_nobody(local_part: str, domain: str) -> None:
    with pytest.raises(ValueError):
        written_address(proven_address(local_part, domain, "a@x.org"))


@pytest.mark.parametrize("thing", ["a@x.org", "a@x.org>\r\nDATA", b"a@x.org", None, 1])
def test_what_is_no_address_is_not_written(thing: Any) -> None:
    with pytest.raises(TypeError, match=f"is a {type(thing).__name__}: pass Address.parse"):
        written_address(thing)


# -- the argument of EHLO


@pytest.mark.parametrize(
    "name",
    [
        b"c.example",
        b"C.Example",
        b"localhost",
        b"[192.0.2.1]",
        pytest.param(b"[IPV6:2001:db8::19]", id="D-EHL-014"),
    ],
)
def test_names_of_hosts(name: bytes) -> None:
    assert parse_domain(name) == name.decode()
    assert parse_domain(name, lenient=True) == name.decode()


def test_a_name_of_255_octets_is_taken() -> None:  # RFC 5321 §4.5.3.1.2
    name = b"x." * 127 + b"x"
    assert parse_domain(name) == name.decode()
    assert parse_domain(name, max_domain=254) is None


def test_odd_names_only_where_lenient() -> None:  # D-EHL-015
    assert parse_domain(b"my_laptop-.local") is None
    assert parse_domain(b"my_laptop-.local", lenient=True) == "my_laptop-.local"


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"a b",
        pytest.param(b"c\x1b[31m\x07.example", id="D-EHL-019"),
        b"c.example\r",
        "bücher.example".encode(),
        b"x." * 127 + b"xx",
    ],
)
def test_names_never_taken(name: bytes) -> None:
    assert parse_domain(name) is None
    assert parse_domain(name, lenient=True) is None


# -- the fragments for other parsers


def test_fragments_serve_in_larger_patterns() -> None:
    line = re.compile(rb"FROM:<(%b)@(%b)>" % (DOT_STRING, DOMAIN))
    found = line.fullmatch(b"FROM:<a.b@c.example>")
    assert found is not None
    assert found.groups() == (b"a.b", b"c.example")
    assert re.fullmatch(QUOTED_STRING, b'"a \\" b"')
    assert re.fullmatch(LITERAL, b"[192.0.2.1]")


@pytest.mark.parametrize("pattern", [DOT_STRING, DOMAIN, QUOTED_STRING])
def test_fragments_are_linear(pattern: bytes) -> None:
    hostile = b'"' + b"\\a" * 100_000 if pattern == QUOTED_STRING else b"a-" * 100_000
    assert re.fullmatch(pattern + rb"!", hostile) is None


def test_an_address_literal_cannot_end_the_path_it_stands_in() -> None:
    # Legal by RFC 5321 §4.1.3, yet whoever reads the path takes the first > for its end.
    with pytest.raises(ValueError, match="neither a domain nor an address literal"):
        Address("a", "[tag:>x]")
    with pytest.raises(PathError):
        parse_path(b"a@[tag:>x]")
