"""XCLIENT (Postfix XCLIENT_README)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import code, read

from smtpwire.extensions import XCLIENT, Offer, Profile, Unavailable, XClient
from smtpwire.extensions.xclient import XCLIENT_VERB

WORDS = st.from_regex(r"[ -~]{1,40}", fullmatch=True).filter(lambda text: not text.startswith("["))
TEXTS = st.none() | st.sampled_from(Unavailable) | WORDS
PORTS = st.none() | st.sampled_from(Unavailable) | st.integers(0, 65535)
ADDRESSES = (
    st.none()
    | st.sampled_from(Unavailable)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
)


def test_a_client_tells_whom_it_acts_for() -> None:
    command = XClient(
        name="spike.example.org", address="2001:db8::1", port=25, login="a=b", hello="[x]"
    )
    assert bytes(command) == (
        b"XCLIENT NAME=spike.example.org ADDR=IPV6:2001:db8::1 PORT=25 HELO=[x] LOGIN=a+3Db"
    )


def test_a_server_reads_it() -> None:
    line = (
        "xclient name=[TempUnavail] ADDR=192.0.2.1 PORT=[UNAVAILABLE] PROTO=ESMTP HELO=a"
        " LOGIN=bob+20b DESTADDR=ipv6:::1 DESTPORT=587 REVERSE_NAME=b TTL=7"
    )
    assert read(line, XCLIENT(())) == XClient(
        Unavailable.TEMPORARILY,
        "192.0.2.1",
        Unavailable.PERMANENTLY,
        "ESMTP",
        "a",
        "bob b",
        "::1",
        587,
        "b",
        (("TTL", "7"),),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "NAME",
        "ADDR=nowhere",
        "ADDR=2001:db8::1",
        "ADDR=IPV6:192.0.2.1",
        "ADDR=[192.0.2.1]",
        "ADDR=IPV6:x",
        "ADDR=IPV6:fe80::1%eth0",  # a zone means something on one host only
        "PORT=65536",
        "PORT=-1",
        "DESTPORT=x",
        "DESTADDR=1.2.3.256",
        "LOGIN=a+0Ab",
    ],
)
def test_a_server_refuses_what_is_malformed(wrong: str) -> None:
    assert code(f"XCLIENT {wrong}", XCLIENT(())) == 501


def test_addresses_are_spelled_as_everywhere() -> None:
    command = XClient(address="2001:DB8::1", destination_address="2001:DB8:0::2")
    assert (command.address, command.destination_address) == ("2001:db8::1", "2001:db8::2")


def test_without_the_offer_the_verb_is_unknown() -> None:
    # RFC 5321 §4.2.4
    assert code("XCLIENT NAME=a") == 500


@pytest.mark.parametrize(
    "wrong",
    [
        XClient(),
        XClient(name=""),
        XClient(name="a\r\n"),
        XClient(name="[unavailable]"),
        XClient(address="x"),
        XClient(port=-1),
        XClient(others=(("NAME", "a"),)),
        XClient(others=(("a b", "a"),)),
    ],
)
def test_a_client_cannot_write_what_is_malformed(wrong: XClient) -> None:
    with pytest.raises(ValueError):
        bytes(wrong)


def test_it_stands_last_in_a_group_and_never_in_a_transaction() -> None:
    # It begins the session anew; RFC 2920 §3.1
    assert not XCLIENT_VERB.grouped
    assert not XCLIENT_VERB.in_transaction


def test_it_is_offered_to_listed_peers_only() -> None:
    offer = Offer([XCLIENT(("NAME",))])
    assert XCLIENT not in offer.restricted(Profile.RELAY, tls=False)
    assert XCLIENT in offer.restricted(Profile.RELAY, tls=False, listed={"XCLIENT"})


@given(
    st.builds(
        XClient, TEXTS, ADDRESSES, PORTS, TEXTS, TEXTS, TEXTS, ADDRESSES, PORTS, TEXTS
    ).filter(lambda client: client != XClient())
)
def test_every_command_comes_back(command: XClient) -> None:
    line = bytes(command).decode()
    parsed = XCLIENT_VERB.command(line.partition(" ")[2])
    assert parsed == command
    assert bytes(parsed).decode() == line
