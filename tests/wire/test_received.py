"""The trace header: RFC 5321 §4.4, RFC 3848, RFC 6531 §4.3, RFC 8314 §4.3, RFC 6710 §7."""

import email.utils
import itertools
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpwire.wire.address import Address
from smtpwire.wire.received import (
    CIPHER_SUITES,
    WITH_PROTOCOLS,
    received_header,
    with_protocol,
)

NOW = datetime(2026, 11, 25, 3, 4, 5, tzinfo=UTC)


def header(
    from_name: str = "c.example",
    by: str = "mx.example",
    protocol: str = "ESMTP",
    timestamp: datetime = NOW,
    peer_address: str = "",
    peer_name: str = "",
    id: str = "",
    recipients: tuple[Address, ...] = (),
    tls_cipher: str = "",
    priority: int | None = None,
) -> str:
    octets = received_header(
        from_name=from_name,
        by=by,
        protocol=protocol,
        timestamp=timestamp,
        peer_address=peer_address,
        peer_name=peer_name,
        id=id,
        recipients=recipients,
        tls_cipher=tls_cipher,
        priority=priority,
    )
    text = octets.decode()
    assert text.endswith("\r\n")
    unfolded = text[:-2].replace("\r\n ", " ")
    assert not re.search(r"[\r\n\0]", unfolded)
    return unfolded


DATE = "Wed, 25 Nov 2026 03:04:05 +0000"


def test_the_least() -> None:
    assert header() == f"Received: from c.example by mx.example with ESMTP; {DATE}"


def test_everything_there_is_in_the_order_of_the_grammar() -> None:
    octets = received_header(
        from_name="c.example",
        peer_name="host.example",
        peer_address="192.0.2.1",
        by="mx.example",
        protocol="ESMTPSA",
        id="abc.123",
        recipients=[Address("b", "example.com")],
        tls_cipher="TLS_AES_256_GCM_SHA384",
        priority=-3,
        timestamp=NOW,
    )
    assert octets == (
        b"Received: from c.example (host.example [192.0.2.1]) by mx.example with ESMTPSA\r\n"
        b" id abc.123 for <b@example.com> tls TLS_AES_256_GCM_SHA384 priority -3;\r\n"
        b" Wed, 25 Nov 2026 03:04:05 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("192.0.2.1", "([192.0.2.1])"),
        ("2001:db8::1", "([IPv6:2001:db8::1])"),
        ("fe80::1%eth0", "([IPv6:fe80::1])"),
    ],
)
def test_the_address_of_the_connection(address: str, shown: str) -> None:
    assert header(peer_address=address).startswith(f"Received: from c.example {shown} by ")


def test_a_literal_as_the_name() -> None:
    text = header(from_name="[IPv6:2001:db8::1]", by="[192.0.2.2]")
    assert text.startswith("Received: from [IPv6:2001:db8::1] by [192.0.2.2] with")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("my_host-", "my_host-"),
        ("evil(comment", "evil?comment"),
        ("a;b)\\", "a?b??"),
        ("[1.2.3]", "?1.2.3?"),
        ("[x:(]", "?x???"),
        ('x"<@>,', "x?????"),
    ],
)
def test_names_the_peer_chose_break_nothing(name: str, shown: str) -> None:
    assert f" from {shown} by " in header(from_name=name)
    assert f"({shown} [192.0.2.1])" in header(peer_name=name, peer_address="192.0.2.1")


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nb", "a\nb", "a\0b", "bücher", "x" * 256])
def test_names_that_no_command_can_have_brought(bad: str) -> None:
    with pytest.raises(ValueError, match="name of the peer"):
        header(from_name=bad)


@pytest.mark.parametrize("bad", ["", "a b", "a(b", "a\r\nb", "[1.2.3]", "bücher", "a\0"])
def test_what_cannot_be_this_host(bad: str) -> None:
    with pytest.raises(ValueError, match="by cannot stand"):
        header(by=bad)


@pytest.mark.parametrize("bad", ["", "A B", "E;", "E(", "E\r\n", "É"])
def test_what_cannot_be_a_protocol(bad: str) -> None:
    with pytest.raises(ValueError, match="protocol cannot stand"):
        header(protocol=bad)


@pytest.mark.parametrize("bad", ["x y", "a;b", "a(b", "<a", "a\r\n b", "<a b@c>", "<>", "é"])
def test_what_cannot_be_an_id(bad: str) -> None:
    with pytest.raises(ValueError, match="id cannot stand"):
        header(id=bad)


@pytest.mark.parametrize("bad", ["host.example", "1.2.3", "1::2::3", "1.2.3.4)\r\n", "%eth0"])
def test_what_cannot_be_an_address(bad: str) -> None:
    with pytest.raises(ValueError, match="peer_address"):
        header(peer_address=bad)


def test_a_message_id_as_the_id() -> None:
    assert " id <1.2@mx.example>; " in header(id="<1.2@mx.example>")


@pytest.mark.parametrize("id", ["<1.2@mx.example", "1.2@mx.example>", "<>", "<<1>>", "<1 >"])
def test_half_a_message_id(id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        header(id=id)


# -- the FOR clause


def test_for_with_one_recipient() -> None:
    assert ' for <"a b"@example.com>; ' in header(recipients=(Address("a b", "example.com"),))
    twice = (Address("a", "example.com"), Address("a", "example.com"))
    assert " for <a@example.com>; " in header(recipients=twice)


@pytest.mark.parametrize(
    "recipients",
    [
        (),
        (Address("a", "example.com"), Address("b", "example.com")),
        (Address("Postmaster", ""),),
        (Address("ø", "example.com"),),
    ],
)
def test_without_for(recipients: tuple[Address, ...]) -> None:  # RFC 5321 §7.6
    assert " for " not in header(recipients=recipients)


def test_utf8_where_the_message_has_smtputf8() -> None:  # RFC 6531 §3.7.3
    text = header(protocol="UTF8SMTP", recipients=(Address("ø", "bücher.example"),))
    assert " for <ø@bücher.example>; " in text


# -- the WITH clause


@pytest.mark.parametrize(
    ("expected", "lmtp", "utf8", "tls", "authenticated"),
    [
        ("ESMTP", False, False, False, False),
        ("ESMTPA", False, False, False, True),
        ("ESMTPS", False, False, True, False),
        ("ESMTPSA", False, False, True, True),
        ("LMTP", True, False, False, False),
        ("LMTPSA", True, False, True, True),
        ("UTF8SMTP", False, True, False, False),
        ("UTF8SMTPSA", False, True, True, True),
        ("UTF8LMTPS", True, True, True, False),
    ],
)
def test_with(expected: str, lmtp: bool, utf8: bool, tls: bool, authenticated: bool) -> None:
    assert with_protocol(lmtp=lmtp, utf8=utf8, tls=tls, authenticated=authenticated) == expected


def test_with_after_helo() -> None:
    assert with_protocol(extended=False, tls=True) == "SMTP"
    assert with_protocol(extended=False, lmtp=True) == "LMTP"


def test_every_registered_name_and_no_other() -> None:
    made = {"SMTP"} | {
        with_protocol(lmtp=lmtp, utf8=utf8, tls=tls, authenticated=authenticated)
        for lmtp, utf8, tls, authenticated in itertools.product((False, True), repeat=4)
    }
    assert made == set(WITH_PROTOCOLS)


def test_where_each_name_is_registered() -> None:
    sources = dict.fromkeys(WITH_PROTOCOLS, "RFC 3848")
    sources |= dict.fromkeys(("SMTP", "ESMTP"), "RFC 5321")
    sources |= {name: "RFC 6531 §4.3" for name in WITH_PROTOCOLS if name.startswith("UTF8")}
    assert sources == WITH_PROTOCOLS


# -- TLS and PRIORITY


@pytest.mark.parametrize(
    ("cipher", "suite"),
    [
        ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("DHE-RSA-AES256-SHA256", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
        ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("AES128-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256"),
        ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
        ("AES256-SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA256"),
        ("0xC02F", "0xC02F"),
    ],
)
def test_cipher_suites(cipher: str, suite: str) -> None:
    assert header(tls_cipher=cipher).endswith(f" tls {suite}; {DATE}")


@pytest.mark.parametrize("cipher", ["", "PSK-AES128-CBC-SHA", "A B", "A;", "A\r\nB"])
def test_without_a_cipher_suite(cipher: str) -> None:
    assert " tls " not in header(tls_cipher=cipher)


def test_names_of_cipher_suites_are_registered_ones() -> None:
    assert all(
        re.fullmatch(r"TLS_[A-Z0-9_]+_WITH_[A-Z0-9_]+", name) for name in CIPHER_SUITES.values()
    )


@pytest.mark.parametrize("priority", [-9, 0, 9])
def test_priorities(priority: int) -> None:
    assert header(priority=priority).endswith(f" priority {priority}; {DATE}")


@pytest.mark.parametrize("priority", [-10, 10])
def test_priorities_that_are_none(priority: int) -> None:
    with pytest.raises(ValueError, match="RFC 6710"):
        header(priority=priority)


# -- the time


@pytest.mark.parametrize(
    ("minutes", "zone"),
    [
        (0, "+0000"),
        (330, "+0530"),
        (-210, "-0330"),
        (-30, "-0030"),
        (-720, "-1200"),
        (840, "+1400"),
    ],
)
def test_zones(minutes: int, zone: str) -> None:
    moment = datetime(987, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(minutes=minutes)))
    assert header(timestamp=moment).endswith(f" 2 Jan 0987 03:04:05 {zone}")


def test_every_weekday_and_every_month() -> None:
    for days, name in enumerate(("Wed", "Thu", "Fri", "Sat", "Sun", "Mon", "Tue")):
        assert f"; {name}, " in header(timestamp=NOW + timedelta(days=days))
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
    for month, name in enumerate(months.split(), start=1):
        assert f" 25 {name} 2026 " in header(timestamp=NOW.replace(month=month))


def test_no_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        header(timestamp=datetime(2026, 1, 1))


@given(
    st.datetimes(min_value=datetime(1900, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
)
def test_times_are_read_back(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)), microsecond=0)
    _, _, date = header(timestamp=aware).partition("; ")
    assert email.utils.parsedate_to_datetime(date) == aware


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)


@given(names, names, st.emails())
def test_folded_and_of_one_piece(from_name: str, peer_name: str, recipient: str) -> None:
    octets = received_header(
        from_name=from_name,
        peer_name=peer_name,
        peer_address="192.0.2.1",
        by="mx.example",
        protocol="ESMTP",
        timestamp=NOW,
        recipients=[Address.parse(recipient)],
    )
    lines = octets.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith(b" ") for line in lines[1:])
    assert all(len(line) <= 78 or b" by " not in line for line in lines)
    text = octets.decode()
    assert text.count("(") == text.count(")") == text.count(";") == 1
