"""ETRN (RFC 1985)."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import code, read

from smtpwire.extensions import ETRN, Etrn, Offer, Profile
from smtpwire.extensions.etrn import ETRN_VERB

DOMAINS = st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9}){0,3}", fullmatch=True)
QUEUES = st.from_regex(r"[!-~]{1,30}", fullmatch=True)


def test_a_client_asks_for_its_mail() -> None:
    # RFC 1985 §5, §5.3
    assert bytes(Etrn("example.com")) == b"ETRN example.com"
    assert bytes(Etrn("example.com", "@")) == b"ETRN @example.com"
    assert bytes(Etrn("uucp", "#")) == b"ETRN #uucp"


def test_a_server_reads_it() -> None:
    # RFC 1985 §5, §5.3
    assert read("etrn example.com", ETRN(True)) == Etrn("example.com")
    assert read("ETRN @example.com", ETRN(True)) == Etrn("example.com", "@")
    assert read("ETRN #uucp!x", ETRN(True)) == Etrn("uucp!x", "#")


@pytest.mark.parametrize("wrong", ["", " @", " #", " two words", " #two words", " a_b", " %x"])
def test_a_server_refuses_what_is_no_node(wrong: str) -> None:
    # RFC 1985 §5.1
    assert code("ETRN" + wrong, ETRN(True)) == 501


def test_without_the_offer_the_verb_is_unknown() -> None:
    # RFC 5321 §4.2.4
    assert code("ETRN example.com") == 500


@pytest.mark.parametrize(
    "wrong",
    [
        Etrn(""),
        Etrn("@example.com"),
        Etrn("a b", "#"),
        Etrn("a\r\n", "#"),
        Etrn("é", "#"),
        Etrn("é"),
    ],
)
def test_a_client_cannot_write_what_is_no_node(wrong: Etrn) -> None:
    # RFC 1985 §5
    with pytest.raises(ValueError, match="RFC 1985"):
        bytes(wrong)


def test_it_stands_last_in_a_group_and_never_in_a_transaction() -> None:
    # RFC 2920 §3.1; RFC 1985 §5
    assert not ETRN_VERB.grouped
    assert not ETRN_VERB.in_transaction


@given(
    st.tuples(DOMAINS, st.sampled_from(["", "@"])) | st.tuples(QUEUES, st.just("#")),
)
def test_every_command_comes_back(given_: tuple[str, Literal["", "@", "#"]]) -> None:
    command = Etrn(*given_)
    assert read(bytes(command).decode(), ETRN(True)) == command


def test_it_is_for_relays() -> None:
    offer = Offer([ETRN(True)])
    assert ETRN in offer.restricted(Profile.RELAY, tls=False)
    assert ETRN not in offer.restricted(Profile.SUBMISSION, tls=False)
