"""PRDR (draft-hall-prdr-00)."""

from tests.extensions.reading import comes_back, increments, mail, refuses_mail

from smtpwire.extensions import PRDR, Offer, Profile, parameters
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_asks_for_a_reply_a_recipient() -> None:
    # draft-hall-prdr-00 §4.2
    assert bytes(Mail(None, Parameters(parameters.PRDR(True)))) == b"MAIL FROM:<> PRDR"


def test_a_server_reads_it() -> None:
    # draft-hall-prdr-00 §4.2
    assert mail("PRDR", PRDR(True))[parameters.PRDR]
    assert refuses_mail("PRDR=1", PRDR(True)) == 501
    assert refuses_mail("PRDR") == 555


def test_lmtp_has_such_replies_of_its_own() -> None:
    # RFC 2033 §4.2
    offer = Offer([PRDR(True)])
    assert PRDR in offer.restricted(Profile.RELAY, tls=False)
    assert PRDR not in offer.restricted(Profile.LMTP, tls=False)


def test_the_line_may_be_longer() -> None:
    assert increments(PRDR) == {"MAIL": 5}
    comes_back(parameters.PRDR, True)
