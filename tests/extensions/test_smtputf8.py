"""SMTPUTF8 (RFC 6531)."""

import pytest
from tests.extensions.reading import comes_back, increments, mail, read, refuses_mail

from smtpwire.extensions import EIGHTBITMIME, SMTPUTF8, Offer, Profile, parameters
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_asks_for_it() -> None:
    # RFC 6531 §3.4
    command = Mail(Address("jörg", "example.com"), Parameters(parameters.SMTPUTF8(True)))
    assert bytes(command).decode() == "MAIL FROM:<jörg@example.com> SMTPUTF8"


def test_a_server_reads_it() -> None:
    # RFC 6531 §3.3
    command = read("MAIL FROM:<jörg@example.com> smtputf8", SMTPUTF8(True))
    assert isinstance(command, Mail)
    assert command.parameters[parameters.SMTPUTF8] is True
    assert command.address == Address("jörg", "example.com")


def test_it_takes_no_value() -> None:
    # RFC 6531 §3.1 (4)
    assert refuses_mail("SMTPUTF8=yes", SMTPUTF8(True)) == 501


def test_without_the_offer_it_is_unknown() -> None:
    # RFC 5321 §4.1.1.11
    assert refuses_mail("SMTPUTF8") == 555


def test_a_parameter_not_wanted_is_left_out() -> None:
    with pytest.raises(ValueError, match="left out"):
        parameters.SMTPUTF8(False)
    comes_back(parameters.SMTPUTF8, True)


def test_a_client_ignores_what_a_server_puts_behind_the_keyword() -> None:
    # RFC 6531 §3.1 (3)
    assert SMTPUTF8.read("whatever").parsed is True
    assert mail("SMTPUTF8", SMTPUTF8.read("whatever"))[parameters.SMTPUTF8]


def test_it_is_not_offered_without_8bitmime() -> None:
    # RFC 6531 §3.1 (8)
    alone = Offer([SMTPUTF8(True)]).restricted(Profile.RELAY, tls=False)
    both = Offer([SMTPUTF8(True), EIGHTBITMIME(True)]).restricted(Profile.RELAY, tls=False)
    assert alone.keywords == ()
    assert both.keywords == ("SMTPUTF8", "8BITMIME")


def test_the_line_may_be_longer() -> None:
    # RFC 6531 §3.1 (5)
    assert increments(SMTPUTF8) == {"MAIL": 10}
