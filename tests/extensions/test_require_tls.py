"""REQUIRETLS (RFC 8689)."""

from tests.extensions.reading import comes_back, increments, mail, refuses_mail

from smtpwire.extensions import REQUIRETLS, Offer, Profile, parameters
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_demands_tls_on_the_whole_way() -> None:
    # RFC 8689 §2
    command = Mail(None, Parameters(parameters.REQUIRETLS(True)))
    assert bytes(command) == b"MAIL FROM:<> REQUIRETLS"


def test_a_server_reads_it() -> None:
    # RFC 8689 §2 (4)
    assert mail("requiretls", REQUIRETLS(True))[parameters.REQUIRETLS]


def test_it_takes_no_value() -> None:
    # RFC 8689 §2 (4), (8)
    assert refuses_mail("REQUIRETLS=1", REQUIRETLS(True)) == 501


def test_it_is_offered_only_under_tls() -> None:
    # RFC 8689 §2
    offer = Offer([REQUIRETLS(True)])
    assert offer.restricted(Profile.RELAY, tls=False).keywords == ()
    assert offer.restricted(Profile.LMTP, tls=True).keywords == ("REQUIRETLS",)


def test_the_line_may_be_longer() -> None:
    # RFC 8689 §2 (5)
    assert increments(REQUIRETLS) == {"MAIL": 11}
    comes_back(parameters.REQUIRETLS, True)
