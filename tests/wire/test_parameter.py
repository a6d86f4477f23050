"""Parameters of MAIL and RCPT: RFC 5321 §4.1.1.11, §4.1.2."""

from typing import Any, Final

import pytest

from smtpwire.wire.parameter import (
    Given,
    Parameter,
    ParameterError,
    Parameters,
    format_parameters,
    parse_parameters,
)


def _number(raw: str | None) -> int:
    if raw is None or not raw.isdigit():
        raise ValueError("no number")
    return int(raw)


def _nothing(raw: str | None) -> bool:
    if raw is not None:
        raise ValueError("takes no value")
    return True


SIZE: Final = Parameter("SIZE", _number, str)
FLAG: Final = Parameter("FLAG", _nothing, lambda given: None)
TEXT: Final = Parameter("TEXT", str, str)
KNOWN: Final = {item.keyword: item for item in (SIZE, FLAG, TEXT)}


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("", ()),
        (" SIZE=1", (("SIZE", "1"),)),
        ("  flag   Size=2 ", (("FLAG", None), ("SIZE", "2"))),
        ("TEXT=ü!<", (("TEXT", "ü!<"),)),
    ],
)
def test_read(text: str, raw: tuple[tuple[str, str | None], ...]) -> None:
    assert parse_parameters(text, KNOWN).raw == raw


@pytest.mark.parametrize(
    ("text", "keyword", "reason", "unknown"),
    [
        ("X=1", "X", "not recognized", True),
        ("SIZE=1 SIZE=1", "SIZE", "given twice", False),
        ("SIZE", "SIZE", "no number", False),
        ("FLAG=1", "FLAG", "takes no value", False),
        ("SIZE=", "SIZE", "malformed", False),
        ("TEXT=a=b", "TEXT", "malformed", False),
        ("TEXT=a\tb", "TEXT", "malformed", False),
        ("-X", "", "malformed", False),
        ("ü", "", "malformed", False),
    ],
)
def test_refused(text: str, keyword: str, reason: str, unknown: bool) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_parameters(text, KNOWN)
    error = caught.value
    assert (error.keyword, error.reason, error.unknown) == (keyword, reason, unknown)
    assert str(error) == f"{keyword or 'parameter'}: {reason}"


def test_written() -> None:
    given = Parameters(SIZE(7), FLAG(True), TEXT("x"))
    assert format_parameters(given) == str(given) == "SIZE=7 FLAG TEXT=x"
    assert repr(given) == "Parameters(SIZE=7 FLAG TEXT=x)"
    assert [str(item) for item in given] == ["SIZE=7", "FLAG", "TEXT=x"]
    assert parse_parameters(format_parameters(given), KNOWN) == given


@pytest.mark.parametrize("value", ["", "a b", "a\r\nDATA", "a=b", "\x7f"])
def test_what_would_not_be_read_as_that_one_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="is no parameter"):
        TEXT(value)
    with pytest.raises(ValueError, match="is no parameter"):
        format_parameters(Parameters(Given("TEXT", value, TEXT, value)))


def test_looked_up_by_the_parameter() -> None:
    given = Parameters(SIZE(7))
    assert given[SIZE] == given.get(SIZE) == 7
    assert (given.get(TEXT), given.get(TEXT, "none")) == (None, "none")
    assert SIZE in given
    assert TEXT not in given
    with pytest.raises(KeyError, match="TEXT"):
        given[TEXT]


def test_one_stands_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Parameters(SIZE(1), SIZE(2))


def test_others_made_of_one() -> None:
    given = Parameters(SIZE(1), FLAG(True))
    assert given.without(SIZE, TEXT) == Parameters(FLAG(True))
    assert given.having(TEXT("x"), SIZE(2)) == Parameters(SIZE(2), FLAG(True), TEXT("x"))
    assert given == Parameters(SIZE(1), FLAG(True))


def test_values() -> None:
    assert Parameters(SIZE(1)) == Parameters(SIZE(1))
    assert hash(Parameters(SIZE(1))) == hash(Parameters(SIZE(1)))
    assert Parameters(SIZE(1)) != Parameters(SIZE(2))
    assert Parameters(SIZE(1), FLAG(True)) != Parameters(FLAG(True), SIZE(1))
    assert Parameters() != ()
    assert SIZE(1) != Given("SIZE", "01", SIZE, 1)
    assert SIZE(1) != TEXT("1")
    assert SIZE(1) != "SIZE=1"
    assert repr(SIZE) == "Parameter(SIZE)"


def test_a_value_that_is_none_is_told_with_its_parameter() -> None:
    """Also where the words of ``parse`` are Python's own."""
    plain = Parameter("X-PRIO", lambda raw: int(raw or ""), str)
    for parameter, value, said in (
        (plain, "high", r"^'X-PRIO=high' is no X-PRIO: invalid literal for int\(\)"),
        (SIZE, -1, "^'SIZE=-1' is no SIZE: no number$"),
    ):
        wrong: Any = value
        with pytest.raises(ValueError, match=said):
            parameter(wrong)


def test_a_parameter_equals_nothing_else() -> None:
    given = SIZE(1)
    assert (given == SIZE(1)) is True
    assert (given == SIZE(2)) is False
    assert (given == 1) is False
