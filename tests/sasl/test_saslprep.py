"""RFC 4013: mapping, normalisation, what is prohibited, both directions of writing."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp.core import ScramException  # type: ignore[import-untyped]  # it has no types
from scramp.utils import saslprep as oracle  # type: ignore[import-untyped]  # it has no types

from smtpwire.sasl import Preparation, SaslprepError, saslprep
from smtpwire.sasl.saslprep import prepared_name, prepared_password


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # 1: SOFT HYPHEN mapped to nothing
        ("user", "user"),  # 2: no transformation
        ("USER", "USER"),  # 3: case preserved
        ("\u00aa", "a"),  # 4: output is NFKC
        ("\u2168", "IX"),  # 5: output is NFKC, will match 1
    ],
)
def test_the_examples_of_rfc4013_section3(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared
    assert saslprep(text, stored=True) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031"])
def test_the_refused_examples_of_rfc4013_section3(text: str) -> None:
    with pytest.raises(SaslprepError):
        saslprep(text)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("", ""),
        ("\u00ad", ""),
        ("a\u00a0b", "a b"),
        ("a\u200bb", "a b"),  # in both tables: C.1.2, a space, stands first in §2.1
        ("a\u3000b", "a b"),
        ("\u0627\u0031\u0627", "\u06271\u0627"),
        ("pass\u2168\u00a0word", "passIX word"),
        ("e\u0301", "\u00e9"),
    ],
)
def test_mapping_and_normalisation(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text",
    [
        "a\x7f",
        "a\u0085",
        "\u2028",
        "\u06dd",
        "\ue000",  # private use
        "\ufdd0",  # no character
        "\ud800",  # surrogate
        "\ufff9",  # inappropriate for plain text
        "\u2ff0",  # inappropriate for canonical representation
        "\u202e",  # changes display
        "\U000e0041",  # tagging
        "a\u0627",
        "\u0627a\u0627",
        "\u0627 1",
        "1\u0627",
    ],
)
def test_what_is_prohibited(text: str) -> None:
    with pytest.raises(SaslprepError) as caught:
        saslprep(text)
    assert text not in str(caught.value)


def test_unassigned_code_points_pass_as_query_and_not_as_stored_string() -> None:
    """RFC 4013 §2.5."""
    assert saslprep("\U0001f600") == "\U0001f600"
    with pytest.raises(SaslprepError):
        saslprep("\U0001f600", stored=True)


@pytest.mark.parametrize(
    "text",
    [
        "a\u20f0\u0316",  # from Unicode 4.1 on they change places
        "a\u0897\u0316",  # from Unicode 16 on, too
        "\U000105d2\u0307",  # from Unicode 16 on they compose U+105C9
        "\U00011131\U00011127",  # from Unicode 6.1 on
    ],
)
def test_what_unicode_3_2_had_not_assigned_stays_where_and_what_it_is(text: str) -> None:
    assert saslprep(text) == text
    assert saslprep(f"\u00aa{text}\u2168") == f"a{text}IX"


def test_each_python_prepares_alike() -> None:
    """In places where the Unicodes of Pythons differ, and where 3.2's has something to do."""
    places = (
        *((0x20, 0x700), (0x880, 0xFFF), (0x1100, 0x1200), (0x1AB0, 0x2200), (0x3000, 0x3400)),
        *((0xA7C0, 0xA800), (0xAC00, 0xAC80), (0xD7B0, 0xD800), (0xF900, 0xFFF0)),
        *((0x105C0, 0x105F0), (0x10A00, 0x11140), (0x11380, 0x113D0), (0x1D100, 0x1D800)),
        *((0x1E000, 0x1E100), (0x1F600, 0x1F640), (0x2F800, 0x2FA20)),
    )
    letters = [chr(point) for first, end in places for point in range(first, end)]
    chance, digest = random.Random(4013), hashlib.sha256()
    for _ in range(4000):
        text = "".join(chance.choices(letters, k=chance.randint(1, 5)))
        for stored in (False, True):
            try:
                said = saslprep(text, stored=stored)
            except SaslprepError as error:
                said = str(error)
            digest.update(f"{said}\n".encode("utf-8", "surrogatepass"))
    assert digest.hexdigest() == "2c587ec1a8f764732fe0a6ba4d40fc6c135c8e3161d0849a6019c487d6cc3ccd"


@given(st.text(st.characters(exclude_characters="\u200b")))
def test_the_stored_profile_agrees_with_the_oracle(text: str) -> None:
    try:
        expected = oracle(text)
    except ScramException:
        with pytest.raises(SaslprepError):
            saslprep(text, stored=True)
    else:
        assert saslprep(text, stored=True) == expected


@given(st.text())
def test_a_prepared_string_is_prepared(text: str) -> None:
    try:
        once = saslprep(text, stored=True)
    except SaslprepError:
        return
    assert saslprep(once, stored=True) == once


@pytest.mark.parametrize("preparation", Preparation)
@pytest.mark.parametrize("control", ["\0", "\n", "\r", "\x7f", "\x9f", "\u2028", "\u2029"])
def test_a_name_with_controls_is_none_however_it_is_prepared(
    control: str, preparation: Preparation
) -> None:
    assert prepared_name(f"us{control}er", preparation) is None


def test_names_have_no_fall_back() -> None:
    refused = "\ue000"
    assert prepared_name(refused, Preparation.LENIENT) is None
    assert prepared_name(refused, Preparation.STRICT) is None
    assert prepared_name(refused, Preparation.RAW) == refused


def test_passwords_fall_back_to_what_they_are() -> None:
    assert prepared_password("I\u00adX", Preparation.LENIENT) == "IX"
    assert prepared_password("\ue000", Preparation.LENIENT) == "\ue000"
    assert prepared_password("\ue000", Preparation.STRICT) is None
    assert prepared_password("I\u00adX", Preparation.RAW) == "I\u00adX"


def test_a_stored_password_equals_what_a_client_makes_of_it() -> None:
    emoji = "\u2168\U0001f600"
    assert prepared_password(emoji, Preparation.LENIENT, stored=True) == "IX\U0001f600"
    assert prepared_password(emoji, Preparation.LENIENT) == "IX\U0001f600"
    assert prepared_password(emoji, Preparation.STRICT) == "IX\U0001f600"
    assert prepared_password(emoji, Preparation.STRICT, stored=True) is None


def test_each_preparation_has_its_word() -> None:
    assert [each.value for each in Preparation] == ["raw", "lenient", "strict"]
