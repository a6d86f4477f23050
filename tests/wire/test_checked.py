"""Fields and arguments are checked against their annotations: what is taken, what is said."""

import math
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, final

import pytest

from smtpwire.wire.address import Address
from smtpwire.wire.checked import (
    check_field,
    check_host,
    check_own_name,
    check_port,
    check_seconds,
    checked,
    exact_class,
    known_names,
    wanted,
)
from smtpwire.wire.table import Table
from smtpwire.wire.value import replace, value

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Numbered(Enum):
    ONE = 1


class Letter(Enum):
    A = "alpha"
    B = "beta"
    C = "gamma"
    D = "delta"
    E = "epsilon"
    F = "zeta"
    G = "eta"
    H = "theta"
    I = "iota"  # noqa: E741 - the alphabet's
    J = "kappa"


class Shape(Protocol):
    sides: int


@final
@value(checked=True)
class Paint(Generic[T]):
    colour: Colour
    size: int = 1
    "A number."
    mixed: "tuple[Colour, ...]" = ()
    price: "Decimal | None" = None
    content: "T | None" = None


def names() -> Iterator[str]:
    yield "a"


@pytest.mark.parametrize(
    ("kind", "given", "taken"),
    [
        (Colour, Colour.RED, Colour.RED),
        (Colour, "red", Colour.RED),
        (Numbered, Numbered.ONE, Numbered.ONE),
        (int, 3, 3),
        (float, 3, 3),
        (float, 3.5, 3.5),
        (bool, True, True),
        (str, "x", "x"),
        (bytes, b"x", b"x"),
        (str | None, None, None),
        (Colour | None, "green", Colour.GREEN),
        (str | Colour, "green", Colour.GREEN),
        (Colour | str, "blue", "blue"),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (tuple[str, ...], names(), ("a",)),
        (tuple[Colour, ...], ("red",), (Colour.RED,)),
        (tuple[str, int], ("a", 1), ("a", 1)),
        (tuple[tuple[str, int], ...], [("a", 1)], (("a", 1),)),
        (frozenset[Colour], ["red", Colour.RED], frozenset({Colour.RED})),
        (frozenset[str], set("ab"), frozenset("ab")),
        (Mapping[Colour, int], {"red": 1}, Table({Colour.RED: 1})),
        (Literal["a", "b"], "b", "b"),
        (Callable[[str], int], len, len),
        (list[int], [1], [1]),
        (object, 1, 1),
        (Any, 1, 1),
        (Shape, 1, 1),
    ],
)
def test_what_is_taken(kind: Any, given: object, taken: object) -> None:
    found = checked("it", given, kind)
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (Colour, 1, "it is an int: pass a Colour ('red' or 'green')"),
        (Colour, Numbered.ONE, "it is a Numbered: pass a Colour ('red' or 'green')"),
        (Numbered, 1, "it is an int: pass a Numbered"),
        (int, "3", "it is a str: pass an int"),
        (int, True, "it is a bool: pass an int"),
        (int, 3.0, "it is a float: pass an int"),
        (float, False, "it is a bool: pass a float"),
        (bool, 1, "it is an int: pass a bool"),
        (str, b"secret", "it is bytes: pass a str"),
        (bytes, bytearray(b"secret"), "it is a bytearray: pass bytes"),
        (str, None, "it is None: pass a str"),
        (str | None, 1, "it is an int: pass a str or None"),
        (tuple[str, ...], "secret", "it is a str: pass a tuple of str"),
        (tuple[str, ...], b"secret", "it is bytes: pass a tuple of str"),
        (tuple[str, ...], {"a": 1}, "it is a dict: pass a tuple of str"),
        (tuple[str, ...], {"a"}, "it is a set: pass a tuple of str"),
        (tuple[str, ...], 1, "it is an int: pass a tuple of str"),
        (tuple[str, ...], ["a", 1], "it is a tuple with an int: pass a tuple of str"),
        (tuple[str, int], ("a",), "it is a tuple: pass a tuple (str, int)"),
        (tuple[str, int], ["a", 1], "it is a list: pass a tuple (str, int)"),
        (frozenset[str], "secret", "it is a str: pass a frozenset of str"),
        (frozenset[str], 1, "it is an int: pass a frozenset of str"),
        (frozenset[str], [1], "it is a set with an int: pass a frozenset of str"),
        (Mapping[str, int], [("a", 1)], "it is a list: pass a mapping from str to int"),
        (Mapping[str, int], {1: 1}, "it is a mapping with an int: pass a mapping from str to int"),
        (Mapping[str, int], {"a": ""}, "it is a mapping with a str: pass a mapping from str to int"),
        (Literal["a"], 1, "it is an int: pass 'a'"),
        (Callable[[str], int], "len", "it is a str: pass a callable"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_a_type_error_that_does_not_show_it(
    kind: Any, given: object, said: str
) -> None:
    with pytest.raises(TypeError) as caught:
        checked("it", given, kind)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (Colour, "rde", "it is 'rde': pass a Colour ('red' or 'green')"),
        (Colour | None, "RED", "it is 'RED': pass a Colour ('red' or 'green') or None"),
        (Numbered, "ONE", "it is 'ONE': pass a Numbered"),
        (Letter, "gama", "it is 'gama': pass a Letter; did you mean 'gamma'?"),
        (Letter, "?", "it is '?': pass a Letter"),
        (Literal["a", "b", "c"], "d", "it is 'd': pass 'a', 'b' or 'c'"),
        (
            tuple[Colour, ...],
            ["red", "blue"],
            "it is a tuple with 'blue': pass a tuple of Colour ('red' or 'green')",
        ),
        (
            Mapping[Letter, int],
            {"gama": 1},
            "it is a mapping with 'gama': pass a mapping from Letter to int; did you mean 'gamma'?",
        ),
    ],
)
def test_a_word_that_no_member_has_is_a_value_error(kind: Any, given: object, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        checked("it", given, kind)
    assert str(caught.value) == said


def test_fields_are_checked_by_the_constructor_and_by_replace() -> None:
    paint = Paint[str](Colour.RED, mixed=("green",))  # type: ignore[arg-type]  # what is tested
    assert paint.mixed == (Colour.GREEN,)
    wrong: Any = "1"
    with pytest.raises(TypeError, match=r"^Paint\.size is a str: pass an int$"):
        Paint[str](Colour.RED, wrong)
    with pytest.raises(TypeError, match=r"^Paint\.size is a str: pass an int$"):
        replace(paint, size="1")


def test_a_class_that_is_not_loaded_is_known_by_its_name() -> None:
    class Decimal:
        pass

    given: Any = Decimal()
    assert Paint[str](Colour.RED, price=given).price is given
    with pytest.raises(TypeError, match=r"^Paint\.price is an int: pass a Decimal or None$"):
        replace(Paint[str](Colour.RED), price=1)


def test_a_misspelt_keyword_names_the_nearest() -> None:
    wrong: dict[str, Any] = {"color": Colour.RED}
    said = r"^Paint has no 'color'; did you mean 'colour'\?$"
    with pytest.raises(TypeError, match=said):
        Paint[str](**wrong)
    with pytest.raises(TypeError, match=said):
        replace(Paint[str](Colour.RED), **wrong)
    with pytest.raises(TypeError, match=r"^send has no 'xyz'$"):
        known_names("send", ["size", "xyz"], ["size", "body"])


def test_an_annotation_as_text_is_that_of_its_module() -> None:
    check = check_field("it", "tuple[Colour, ...]", __name__)
    assert check(["red"]) == (Colour.RED,)
    with pytest.raises(TypeError, match="pass a tuple of Colour"):
        check("red")


def test_seconds() -> None:
    for seconds in (0.001, 30, 1e9):
        check_seconds("timeout", seconds)
    for seconds in (0, -1, 1.1e9, 10**400, math.inf, math.nan):
        with pytest.raises(ValueError, match=rf"^timeout is {seconds}: pass seconds, more than 0"):
            check_seconds("timeout", seconds)


def test_hosts() -> None:
    for host in (
        "",
        "mx.example",
        "192.0.2.1",
        "::1",
        "fe80::1%eth0",
        "2001:db8::192.0.2.1",
        "mx_1",
        "mx.example.",
        "bücher.example",
    ):
        check_host("host", host)
    for host in (
        "mx:25",
        "192.0.2.1:25",
        ":25",
        "mx:",
        "[::1]",
        "[::1]:25",
        "smtp://mx",
        "m x",
        "m\0",
        "joe@mx",
    ):
        with pytest.raises(ValueError, match=r"^host is '.*': pass a name or an address alone"):
            check_host("host", host)
    for host in ("mx..example", ".mx", "m" * 64, "ü" * 60, "m\udc80"):
        with pytest.raises(ValueError, match=r"^host is '.*': pass a name whose labels have 1 to"):
            check_host("host", host)


def test_own_names() -> None:
    for host in ("mx.example", "mx_1", "[192.0.2.1]", "[IPv6:::1]", "[X-new:a/b@c]"):
        check_own_name("host", host)
    for host in ("mx:25", "::1", "smtp://mx", "joe@mx", "[192.0.2.1]:25", "[192.0.2.1"):
        with pytest.raises(ValueError, match=r"^host is '.*': pass a domain or an address literal"):
            check_own_name("host", host)


def test_ports() -> None:
    for port in (0, 25, 65535):
        check_port("port", port)
    for port in (-1, 65536, 80025):
        with pytest.raises(ValueError, match=rf"^port is {port}: pass 0 to 65535$"):
            check_port("port", port)


@pytest.mark.parametrize(
    ("kind", "exact"),
    [
        (str, str),
        ("Address | None", Address),
        (int, int),
        (Colour, Colour),
        (tuple[str, ...], None),
        (Literal["a", "b"], None),
        (bytes | bytearray, bytes),
    ],
)
def test_the_class_that_needs_no_further_look(kind: object, exact: type | None) -> None:
    assert exact_class(kind, "smtpwire.wire.address") is exact


def test_what_a_function_wants() -> None:
    def of_a_number(number: "int", other: str) -> str:
        return f"{number}{other}"

    def of_anything(item: object) -> str:
        return str(item)

    def of_nothing() -> int:
        return 0

    def of_what_says_nothing(first, second: str) -> str:  # type: ignore[no-untyped-def]  # tested
        return f"{first}{second}"

    def of_a_name_that_is_not_there(item: "nowhere.Item") -> str:  # type: ignore[name-defined]  # noqa: F821
        return str(item)

    class WithFields:
        name: str = ""

        def __call__(self, number: int) -> str:
            return f"{self.name}{number}"

    assert wanted(of_a_number) == ": pass an int"
    assert wanted(WithFields()) == ": pass an int"
    assert wanted(of_what_says_nothing) == wanted(of_a_name_that_is_not_there) == ""
    assert [wanted(each) for each in (of_anything, of_nothing, lambda item: item)] == ["", "", ""]
