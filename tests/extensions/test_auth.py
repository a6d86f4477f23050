"""AUTH (RFC 4954): its EHLO line and its MAIL parameter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import comes_back, increments, mail, offer_comes_back, refuses_mail

from smtpwire.extensions import AUTH, parameters
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail
from smtpwire.wire.parameter import Parameters


def test_a_server_lists_its_mechanisms() -> None:
    # RFC 4954 §3
    assert AUTH(("SCRAM-SHA-256", "PLAIN")).line == "AUTH SCRAM-SHA-256 PLAIN"


def test_a_client_reads_them_in_either_case_and_each_once() -> None:
    # RFC 4954 §8; what is no mechanism's name is passed over
    assert AUTH.read("plain LOGIN PLAIN CRAM.MD5").parsed == ("PLAIN", "LOGIN")
    assert AUTH.read("").parsed == ()
    assert AUTH.read("PLAıN LOGIN").parsed == ("LOGIN",)


@given(st.lists(st.from_regex(r"[A-Z0-9_-]{1,20}", fullmatch=True), unique=True))
def test_every_list_comes_back(mechanisms: list[str]) -> None:
    offer_comes_back(AUTH, tuple(mechanisms))


def test_a_client_tells_who_submitted_the_message() -> None:
    # RFC 4954 §5, its example
    who = Address.parse("e=mc2@example.com")
    command = Mail(None, Parameters(parameters.AUTH(who)))
    assert bytes(command) == b"MAIL FROM:<> AUTH=e+3Dmc2@example.com"


def test_a_server_reads_who_submitted_the_message() -> None:
    # RFC 4954 §5: a mailbox, or <> where it is not known
    given = mail("AUTH=e+3Dmc2@example.com", AUTH(()))
    assert given[parameters.AUTH] == Address("e=mc2", "example.com")
    unknown = mail("AUTH=<>", AUTH(()))
    assert unknown[parameters.AUTH] is None
    assert parameters.AUTH in unknown


@pytest.mark.parametrize("wrong", ["AUTH", "AUTH=nobody", "AUTH=a+0D@b.c", "AUTH=a+3d@b.c"])
def test_a_server_refuses_what_is_no_mailbox(wrong: str) -> None:
    # RFC 4954 §5, RFC 3461 §4
    assert refuses_mail(wrong, AUTH(("PLAIN",))) == 501


def test_an_address_beyond_ascii_cannot_be_written() -> None:
    # RFC 3461 §4: xtext is ASCII
    with pytest.raises(ValueError, match="ASCII"):
        parameters.AUTH(Address("é", "example.com"))


@given(
    st.none()
    | st.builds(
        Address,
        st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=">")).filter(
            bool
        ),
        st.just("example.com"),
    )
)
def test_every_mailbox_comes_back(who: Address | None) -> None:
    comes_back(parameters.AUTH, who)


def test_the_line_may_be_longer() -> None:
    # RFC 4954 §3 (6)
    assert increments(AUTH) == {"MAIL": 500}
