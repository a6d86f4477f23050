"""8BITMIME and BINARYMIME (RFC 6152, RFC 3030 §3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, refuses_mail

from smtpwire.extensions import BINARYMIME, CHUNKING, EIGHTBITMIME, Offer, Profile, parameters
from smtpwire.extensions.parameters import Body
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_tells_what_octets_the_body_has() -> None:
    # RFC 6152 §2
    command = Mail(None, Parameters(parameters.BODY(Body.EIGHTBITMIME)))
    assert bytes(command) == b"MAIL FROM:<> BODY=8BITMIME"


def test_a_server_reads_it_in_either_case() -> None:
    # RFC 6152 §2, RFC 3030 §3
    both = EIGHTBITMIME(True), BINARYMIME(True)
    assert mail("BODY=7bit", *both)[parameters.BODY] is Body.SEVENBIT
    assert mail("BODY=8BitMime", *both)[parameters.BODY] is Body.EIGHTBITMIME
    assert mail("body=BINARYMIME", *both)[parameters.BODY] is Body.BINARYMIME


@pytest.mark.parametrize("wrong", ["BODY", "BODY=9BIT", "BODY=8BITMIME BODY=8BITMIME"])
def test_a_server_refuses_what_is_no_body(wrong: str) -> None:
    # RFC 6152 §2
    assert refuses_mail(wrong, EIGHTBITMIME(True)) == 501


def test_a_word_that_only_upper_case_makes_one_is_refused() -> None:
    # "ı".upper() is I
    with pytest.raises(ValueError, match="not one of"):
        parameters.BODY.parse("8BıTMIME")


def test_each_extension_brings_its_own_value_only() -> None:
    # RFC 3030 §3, RFC 6152 §2: in either order of the offer
    assert refuses_mail("BODY=BINARYMIME", EIGHTBITMIME(True)) == 501
    assert refuses_mail("BODY=8BITMIME", BINARYMIME(True)) == 501
    assert refuses_mail("BODY=7BIT", BINARYMIME(True)) == 250
    assert refuses_mail("BODY=BINARYMIME", BINARYMIME(True), EIGHTBITMIME(True)) == 250


def test_binary_bodies_need_chunks() -> None:
    # RFC 3030 §3
    alone = Offer([BINARYMIME(True)]).restricted(Profile.RELAY, tls=False)
    both = Offer([BINARYMIME(True), CHUNKING(True)]).restricted(Profile.RELAY, tls=False)
    assert alone.keywords == ()
    assert both.keywords == ("BINARYMIME", "CHUNKING")


@given(st.sampled_from(Body))
def test_every_body_comes_back(body: Body) -> None:
    comes_back(parameters.BODY, body)


def test_the_line_may_be_longer() -> None:
    # RFC 3030 §3 (8); RFC 6152 has no figure
    assert increments(BINARYMIME) == {"MAIL": 16}
    assert increments(EIGHTBITMIME) == {}
