"""ATRN (RFC 2645)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import code, read

from smtpwire.extensions import ATRN, Atrn
from smtpwire.extensions.atrn import ATRN_VERB


def test_a_client_asks_for_the_mail_of_its_domains() -> None:
    # RFC 2645 §5.2.1
    assert bytes(Atrn(("example.org", "example.com"))) == b"ATRN example.org,example.com"
    assert bytes(Atrn()) == b"ATRN"


def test_a_server_reads_them() -> None:
    # RFC 2645 §5.2.1
    assert read("atrn example.org,example.com", ATRN(True)) == Atrn(("example.org", "example.com"))
    assert read("ATRN", ATRN(True)) == Atrn()


@pytest.mark.parametrize("wrong", ["localhost", "a.b,", "a.b, c.d", "[192.0.2.1]", "a_.b", ",a.b"])
def test_a_server_refuses_what_is_no_list_of_domains(wrong: str) -> None:
    # RFC 2645 §5.2.1
    assert code(f"ATRN {wrong}", ATRN(True)) == 501


@pytest.mark.parametrize("wrong", [("",), ("a.b,c.d",), ("a.b\r\n",), ("x",), ("é.b",)])
def test_a_client_cannot_write_what_is_no_list_of_domains(wrong: tuple[str, ...]) -> None:
    # RFC 2645 §5.2.1
    with pytest.raises(ValueError, match="list of domains"):
        bytes(Atrn(wrong))


def test_it_stands_last_in_a_group_and_never_in_a_transaction() -> None:
    # RFC 2920 §3.1; RFC 2645 §5.2
    assert not ATRN_VERB.grouped
    assert not ATRN_VERB.in_transaction


@given(st.lists(st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9}){1,3}", fullmatch=True), max_size=5))
def test_every_command_comes_back(domains: list[str]) -> None:
    command = Atrn(tuple(domains))
    assert read(bytes(command).decode(), ATRN(True)) == command
