"""The attributes of XCLIENT and XFORWARD."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.extensions.reading import offer_comes_back

from smtpwire.extensions import XCLIENT, XFORWARD, Extension
from smtpwire.extensions.client_attributes import Attributes, Unavailable, parse_names


def test_names_are_taken_in_either_case_and_values_decoded() -> None:
    given = Attributes("name=a+20b  PORT=25 X=[unavailable] Y=+5BTempUnavail]")
    assert given.text("NAME") == "a b"
    assert given.port("PORT") == 25
    assert given.text("HELO") is None
    assert given.others() == (("X", Unavailable.PERMANENTLY), ("Y", Unavailable.TEMPORARILY))


@pytest.mark.parametrize(
    "wrong",
    ["", " ", "NAME", "NAME=", "=x", "1A=x", "NAME=a NAME=b", "NAME=a+0A", "NAME=" + "x" * 256],
)
def test_what_is_no_list_of_attributes(wrong: str) -> None:
    with pytest.raises(ValueError):
        Attributes(wrong)


@pytest.mark.parametrize("extension", [XCLIENT, XFORWARD], ids=repr)
def test_a_server_lists_the_attributes_it_takes(extension: Extension[tuple[str, ...]]) -> None:
    assert extension(("NAME", "ADDR")).line == f"{extension.keyword} NAME ADDR"
    assert extension.read("name ADDR NAME ! reverse_name").parsed == (
        "NAME",
        "ADDR",
        "REVERSE_NAME",
    )


@given(st.lists(st.from_regex(r"[A-Z][A-Z0-9_-]{0,12}", fullmatch=True), unique=True))
def test_every_list_of_names_comes_back(names: list[str]) -> None:
    offer_comes_back(XCLIENT, tuple(names))
    assert parse_names(" ".join(names)) == tuple(names)
