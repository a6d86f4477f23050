"""NO-SOLICITING (RFC 3865)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, offer_comes_back, refuses_mail

from smtpwire.extensions import NO_SOLICITING, REGISTRY, parameters
from smtpwire.wire.command import Mail
from smtpwire.wire.ehlo import EhloKeyword
from smtpwire.wire.parameter import Parameters

CLASSES = st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9._:-]{0,20}", fullmatch=True), max_size=20)


def test_a_server_posts_what_is_not_wanted() -> None:
    # RFC 3865 §2.1
    assert NO_SOLICITING(("net.example:ADV",)).line == "NO-SOLICITING net.example:ADV"
    assert NO_SOLICITING(()).line == "NO-SOLICITING"  # §2.2: "no-op"


def test_a_client_names_the_message_s_classes() -> None:
    # RFC 3865 §2.3
    command = Mail(None, Parameters(parameters.SOLICIT(("org.example:ADV:ADLT",))))
    assert bytes(command) == b"MAIL FROM:<> SOLICIT=org.example:ADV:ADLT"


def test_a_server_reads_them() -> None:
    # RFC 3865 §2.2
    given = mail("SOLICIT=net.example:ADV,org.example:ADV:ADLT", NO_SOLICITING(()))
    assert given[parameters.SOLICIT] == ("net.example:ADV", "org.example:ADV:ADLT")
    assert mail("SOLICIT=" + "x" * 999, NO_SOLICITING(()))


@pytest.mark.parametrize("wrong", ["", "=1st", "=a,", "=a;b", "=" + "x" * 1000])
def test_a_server_refuses_what_is_no_class(wrong: str) -> None:
    # RFC 3865 §2.2
    assert refuses_mail("SOLICIT" + wrong, NO_SOLICITING(())) == 501


def test_a_malformed_line_counts_for_nothing() -> None:
    # RFC 3865 §2.2
    assert NO_SOLICITING not in REGISTRY.read([EhloKeyword("NO-SOLICITING", "two words")])


@given(CLASSES.filter(bool))
def test_every_list_comes_back(classes: list[str]) -> None:
    comes_back(parameters.SOLICIT, tuple(classes))


@given(CLASSES)
def test_every_offer_comes_back(classes: list[str]) -> None:
    offer_comes_back(NO_SOLICITING, tuple(classes))


def test_the_line_may_be_longer() -> None:
    assert increments(NO_SOLICITING) == {"MAIL": 1008}
