"""Grammars that several extensions share."""

import pytest

from smtpwire.extensions.grammar import ascii_upper


@pytest.mark.parametrize(
    ("text", "upper"),
    [("never", "NEVER"), ("ſuccess", "ſuccess"), ("", ""), ("delay é", "delay é")],
)
def test_only_ascii_is_put_in_upper_case(text: str, upper: str) -> None:
    assert ascii_upper(text) == upper
