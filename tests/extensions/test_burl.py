"""BURL (RFC 4468)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import code, increments, offer_comes_back, read

from smtpwire.extensions import BURL, EIGHTBITMIME, Burl, Offer, Profile
from smtpwire.extensions.burl import BURL_VERB

URL = "imap://harry@gryffindor.example.com/outbox;uidvalidity=1/;uid=25;urlauth=submit+harry:internal:91"


def test_a_client_sends_a_url_instead_of_a_body() -> None:
    # RFC 4468 §3.5
    assert bytes(Burl(URL, last=True)) == f"BURL {URL} LAST".encode()
    assert bytes(Burl(URL)) == f"BURL {URL}".encode()


def test_a_server_reads_it() -> None:
    # RFC 4468 §3.5
    assert read(f"burl {URL} last", BURL(("imap",))) == Burl(URL, last=True)
    assert read(f"BURL {URL}", BURL(())) == Burl(URL)


@pytest.mark.parametrize(
    "wrong", ["", " LAST", " no-url", " imap:", f" {URL} FIRST", f" {URL} LAST x"]
)
def test_a_server_refuses_what_is_no_url(wrong: str) -> None:
    # RFC 4468 §3.5
    assert code("BURL" + wrong, BURL(())) == 501


def test_without_the_offer_the_verb_is_unknown() -> None:
    # RFC 5321 §4.2.4
    assert code(f"BURL {URL} LAST") == 500


@pytest.mark.parametrize(
    "wrong", ["", "imap", "imap://a b", "imap://a\r\nQUIT", "imap://é", "imap://a LAST"]
)
def test_a_client_cannot_write_what_is_no_url(wrong: str) -> None:
    # RFC 4468 §3.5
    with pytest.raises(ValueError, match="URI"):
        bytes(Burl(wrong))


def test_the_url_is_not_shown() -> None:
    # RFC 4467: it can be a key to a mailbox
    assert "urlauth" not in repr(Burl(URL))


def test_it_stands_anywhere_in_a_group_and_in_a_transaction() -> None:
    # RFC 4468 §3.2
    assert BURL_VERB.grouped
    assert BURL_VERB.in_transaction


@given(st.from_regex(r"imap://[!-~]{1,40}", fullmatch=True), st.booleans())
def test_every_command_comes_back(url: str, last: bool) -> None:
    command = Burl(url, last)
    assert read(bytes(command).decode(), BURL(())) == command


@given(st.lists(st.from_regex(r"[!-~]{1,20}", fullmatch=True)))
def test_every_list_of_schemes_comes_back(schemes: list[str]) -> None:
    # RFC 4468 §3.1 (3)
    offer_comes_back(BURL, tuple(schemes))


def test_it_is_for_submission_and_needs_8bitmime() -> None:
    # RFC 4468 §3.1 (1), §4
    offer = Offer([BURL(("imap",)), EIGHTBITMIME(True)])
    assert "BURL" in offer.restricted(Profile.SUBMISSION, tls=True)
    assert "BURL" not in offer.restricted(Profile.RELAY, tls=True)
    assert "BURL" not in Offer([BURL(())]).restricted(Profile.SUBMISSION, tls=True)


def test_the_line_may_be_longer() -> None:
    assert increments(BURL) == {"BURL": 1536}
    assert read("BURL imap://" + "x" * 2000, BURL(())) == Burl("imap://" + "x" * 2000)
    assert code("BURL imap://" + "x" * 2040, BURL(())) == 500
