"""CONPERM and CONNEG (RFC 4141)."""

from tests.extensions.reading import (
    comes_back,
    increments,
    mail,
    rcpt,
    refuses_mail,
    refuses_rcpt,
)

from smtpwire.extensions import CONNEG, CONPERM, parameters
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.parameter import Parameters


def test_a_client_permits_conversion() -> None:
    # RFC 4141 §4.2
    assert bytes(Mail(None, Parameters(parameters.CONPERM(True)))) == b"MAIL FROM:<> CONPERM"


def test_a_client_asks_for_abilities() -> None:
    # RFC 4141 §5.2
    command = Rcpt(Address("b", "example.org"), Parameters(parameters.CONNEG(True)))
    assert bytes(command) == b"RCPT TO:<b@example.org> CONNEG"


def test_a_server_reads_both() -> None:
    # RFC 4141 §4.2, §5.2
    assert mail("CONPERM", CONPERM(True))[parameters.CONPERM]
    assert rcpt("CONNEG", CONNEG(True))[parameters.CONNEG]


def test_neither_takes_a_value_nor_stands_elsewhere() -> None:
    # RFC 4141 §4.3, RFC 5321 §4.1.1.11
    assert refuses_mail("CONPERM=1", CONPERM(True)) == 501
    assert refuses_rcpt("CONNEG=1", CONNEG(True)) == 501
    assert refuses_rcpt("CONPERM", CONPERM(True)) == 555
    assert refuses_mail("CONNEG", CONNEG(True)) == 555


def test_the_lines_may_be_longer() -> None:
    assert increments(CONPERM) == {"MAIL": 8}
    assert increments(CONNEG) == {"RCPT": 7}
    comes_back(parameters.CONPERM, True)
    comes_back(parameters.CONNEG, True)
