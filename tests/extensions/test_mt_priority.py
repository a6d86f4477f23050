"""MT-PRIORITY (RFC 6710)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, offer_comes_back, refuses_mail

from smtpwire.extensions import MT_PRIORITY, parameters
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_client_gives_a_priority() -> None:
    # RFC 6710 §3 (5)
    command = Mail(None, Parameters(parameters.MT_PRIORITY(-3)))
    assert bytes(command) == b"MAIL FROM:<> MT-PRIORITY=-3"


@pytest.mark.parametrize("priority", range(-9, 10))
def test_a_server_reads_it(priority: int) -> None:
    # RFC 6710 §7
    given = mail(f"MT-PRIORITY={priority}", MT_PRIORITY(""))
    assert given[parameters.MT_PRIORITY] == priority


@pytest.mark.parametrize("wrong", ["", "=10", "=-10", "=+1", "=-0", "=00", "=x", "=٣"])
def test_a_server_refuses_what_is_no_priority(wrong: str) -> None:
    # RFC 6710 §4.1 (1)
    assert refuses_mail("MT-PRIORITY" + wrong, MT_PRIORITY("")) == 501


def test_a_second_priority_is_refused() -> None:
    # RFC 6710 §4.1 (1)
    assert refuses_mail("MT-PRIORITY=1 MT-PRIORITY=1", MT_PRIORITY("")) == 501


def test_a_server_names_its_policy() -> None:
    # RFC 6710 §3 (3), §7
    assert MT_PRIORITY("MIXER").line == "MT-PRIORITY MIXER"
    assert MT_PRIORITY("").line == "MT-PRIORITY"
    assert MT_PRIORITY.read("two words").parsed == ""


@given(st.integers(-9, 9))
def test_every_priority_comes_back(priority: int) -> None:
    comes_back(parameters.MT_PRIORITY, priority)


@given(st.from_regex(r"[A-Za-z0-9._-]{0,20}", fullmatch=True))
def test_every_policy_comes_back(policy: str) -> None:
    offer_comes_back(MT_PRIORITY, policy)


def test_the_line_may_be_longer() -> None:
    # RFC 6710 §3 (6)
    assert increments(MT_PRIORITY) == {"MAIL": 15}
