"""XFORWARD (Postfix XFORWARD_README)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import code, read
from tests.extensions.test_xclient import ADDRESSES, PORTS, TEXTS, WORDS

from smtpwire.extensions import XFORWARD, Source, Unavailable, XForward
from smtpwire.extensions.xforward import XFORWARD_VERB


def test_a_client_tells_where_the_message_came_from() -> None:
    command = XForward(name="spike.example.org", address="192.0.2.1", source=Source.LOCAL)
    assert bytes(command) == b"XFORWARD NAME=spike.example.org ADDR=192.0.2.1 SOURCE=LOCAL"
    unknown = XForward(source=Unavailable.PERMANENTLY)
    assert bytes(unknown) == b"XFORWARD SOURCE=[UNAVAILABLE]"


def test_a_server_reads_it() -> None:
    line = "XFORWARD NAME=a ADDR=IPV6:::1 PORT=25 PROTO=ESMTP HELO=b IDENT=3CF6B2 SOURCE=remote X=y"
    assert read(line, XFORWARD(())) == XForward(
        "a", "::1", 25, "ESMTP", "b", "3CF6B2", Source.REMOTE, (("X", "y"),)
    )


def test_an_address_need_not_be_one_of_ip() -> None:
    assert read("XFORWARD ADDR=uucp!host", XFORWARD(())) == XForward(address="uucp!host")
    assert read("XFORWARD ADDR=IPV6:x", XFORWARD(())) == XForward(address="IPV6:x")
    zoned = XForward(address="fe80::1%eth0")
    assert bytes(zoned) == b"XFORWARD ADDR=fe80::1%eth0"


def test_an_address_is_spelled_as_everywhere() -> None:
    assert XForward(address="2001:DB8::1").address == "2001:db8::1"


@pytest.mark.parametrize("wrong", ["", "NAME", "SOURCE=elsewhere", "PORT=x", "NAME=a NAME=b"])
def test_a_server_refuses_what_is_malformed(wrong: str) -> None:
    assert code(f"XFORWARD {wrong}", XFORWARD(())) == 501


@pytest.mark.parametrize(
    "wrong",
    [
        XForward(),
        XForward(name="\n"),
        XForward(name="[unavailable]"),
        XForward(others=(("PORT", "x"),)),
    ],
)
def test_a_client_cannot_write_what_is_malformed(wrong: XForward) -> None:
    with pytest.raises(ValueError):
        bytes(wrong)


def test_it_may_be_pipelined_but_never_stands_in_a_transaction() -> None:
    assert XFORWARD_VERB.grouped
    assert not XFORWARD_VERB.in_transaction


@given(
    st.builds(
        XForward,
        TEXTS,
        ADDRESSES | WORDS,
        PORTS,
        TEXTS,
        TEXTS,
        TEXTS,
        st.none() | st.sampled_from(Unavailable) | st.sampled_from(Source),
    ).filter(lambda client: client != XForward())
)
def test_every_command_comes_back(command: XForward) -> None:
    parsed = XFORWARD_VERB.command(bytes(command).decode().partition(" ")[2])
    assert parsed == command
