"""The decorator of the values: what it promises of every one of them."""

import copy
import gc
import inspect
import pickle
import sys
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import SimpleNamespace
from typing import Any, Final, Generic, TypeVar, final, get_type_hints
from unittest.mock import ANY
from weakref import ref

import pytest

from smtpwire import Limits
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail
from smtpwire.wire.value import (
    by_setters,
    differences,
    field,
    in_c,
    maker,
    replace,
    value,
    while_open,
)

T = TypeVar("T")


@final
@value
class Point:
    x: int
    y: int = 2
    label: str = field(default="", compare=False, repr=False)
    tags: list[str] = field(default_factory=list, kw_only=True)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


@final
@value(kw_only=True)
class Settings:
    __slots__ = ("__dict__",)

    size: int = 1

    @cached_property
    def doubled(self) -> int:
        return self.size * 2


@final
@value
class Box(Generic[T]):
    content: T


@final
@value
class Empty:
    pass


def test_fields_are_positional_in_order_with_defaults() -> None:
    point = Point(1)
    assert (point.x, point.y, point.label, point.tags) == (1, 2, "", [])
    assert Point(1, 3, tags=["a"]).tags == ["a"]


def test_a_factory_makes_a_fresh_default_each_time() -> None:
    assert Point(1).tags is not Point(1).tags


def test_keywords_only() -> None:
    assert Settings(size=3).size == 3
    with pytest.raises(TypeError):
        Settings(3)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(TypeError):
        Point(1, 2, "", [])  # type: ignore[call-arg]  # what is tested


def test_frozen() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match=r"^Point is frozen: x cannot be changed$"):
        point.x = 2  # type: ignore[misc]  # what is tested
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 2  # type: ignore[attr-defined]  # what is tested


def test_slotted() -> None:
    assert not hasattr(Point(1), "__dict__")
    assert Point.__slots__ == ("x", "y", "label", "tags")  # type: ignore[attr-defined]  # made


def test_equal_by_value_and_class() -> None:
    assert Empty() == Empty()
    assert Box(1) == Box(1)
    assert Box(1) != Box(2)
    assert Point(1, label="a") == Point(1, label="b")
    assert Box(1) != object()
    assert (Box(1) == object()) is False
    assert Box(1) == ANY, "another class may know better"
    assert hash(Box(1)) == hash(Box(1))
    assert {Empty(), Empty()} == {Empty()}


def test_repr_leaves_out_what_is_told_to() -> None:
    assert repr(Point(1, label="secret")) == "Point(x=1, y=2, tags=[])"
    assert repr(Empty()) == "Empty()"


@final
@value(terse=True)
class Rare:
    size: int = 1
    names: list[str] = field(default_factory=list)
    secret: str = field(default="", repr=False)


def test_a_terse_repr_shows_what_is_not_as_by_default() -> None:
    assert repr(Rare()) == repr(Rare(1, [], "hidden")) == "Rare()"
    assert repr(Rare(names=["a"])) == "Rare(names=['a'])"
    assert repr(Rare(2, ["a"])) == "Rare(size=2, names=['a'])"


def test_differences_are_shown_as_by_repr() -> None:
    assert differences(Rare(secret="hidden"), Rare()) == []
    assert differences(Rare(300, ["a"], "hidden"), Rare(int("300"), ["b"])) == ["names=['a']"]


def test_match() -> None:
    match Point(4):
        case Point(x, y):
            assert (x, y) == (4, 2)
        case _:
            pytest.fail("no match")


def test_the_constructor_checks_last() -> None:
    with pytest.raises(ValueError, match="negative"):
        Point(-1)


def test_replace() -> None:
    assert replace(Point(1, 5), x=2) == Point(2, 5)
    with pytest.raises(TypeError):
        replace(Point(1), nothing=2)
    with pytest.raises(ValueError, match="negative"):
        replace(Point(1), x=-1)


def test_what_a_class_defines_itself_stays() -> None:
    @final
    @value
    class Own:
        x: int

        def __init__(self) -> None:
            object.__setattr__(self, "x", 7)

        def __repr__(self) -> str:
            return "mine"

    assert Own().x == 7
    assert repr(Own()) == "mine"


def test_help_shows_no_address_in_memory() -> None:
    assert "object at 0x" not in str(inspect.signature(field))
    assert " = MISSING" in str(inspect.signature(field))
    assert "object at 0x" not in str(inspect.signature(Settings))


def test_generic_with_its_argument_written_out() -> None:
    assert Box[int](1) == Box(1)


def test_cached_property_where_there_is_a_dict() -> None:
    assert Settings(size=4).doubled == 8
    assert replace(Settings(size=4), size=5).doubled == 10


@pytest.mark.parametrize("item", [Point(1, 3, "x", tags=["y"]), Settings(size=9), Empty()])
def test_copies_and_pickles(item: object) -> None:
    for copied in (copy.copy(item), copy.deepcopy(item), pickle.loads(pickle.dumps(item))):
        assert copied == item


def test_fields_of_a_class_by_name_are_all_by_name() -> None:
    @final
    @value(kw_only=True)
    class Secrets:
        secret: str = field(default="", repr=False)

    assert Secrets(secret="x") != Secrets()
    assert vars(Secrets)["__match_args__"] == ()
    with pytest.raises(TypeError):
        Secrets("x")  # type: ignore[call-arg]


def test_a_signature_says_the_types() -> None:
    found = inspect.signature(Point).parameters
    assert [found[name].annotation for name in ("x", "label", "tags")] == [int, str, list[str]]
    assert str(inspect.signature(Mail)).startswith("(address: 'Address | None', parameters: ")
    assert vars(Mail)["__init__"].__module__ == "smtpwire.wire.command"


def test_the_types_of_a_constructor_are_found() -> None:
    """Their names are looked up where the class stands."""
    assert get_type_hints(Mail.__init__)["address"] == Address | None
    assert get_type_hints(Mail.__init__)["return"] is type(None)
    assert get_type_hints(Limits.__init__)["output"] is int, "a checked one, which is wrapped"


def test_a_value_of_a_module_that_is_not_loaded() -> None:
    names: dict[str, Any] = {"__name__": "nowhere"}
    source = "from smtpwire.wire.value import value\n@value\nclass Lost:\n    x: int = 3\n"
    exec(source, names)
    assert names["Lost"]().x == 3


def test_a_signature_can_be_asked_before_the_first_value_is_made() -> None:
    """inspect binds the constructor to the class itself, from Python 3.13 on."""

    @value
    class Fresh:
        number: int
        word: str = "x"

    bound = vars(Fresh)["__init__"].__get__(Fresh, type(Fresh))
    assert list(inspect.signature(bound).parameters) == ["number", "word"]
    assert list(inspect.signature(Fresh).parameters) == ["number", "word"]


def test_a_class_below_a_value_has_its_constructor_whichever_is_made_first() -> None:
    @value
    class Above:
        x: int

    class Below(Above):
        pass

    assert Below(1).x == Above(1).x == 1
    assert "__init__" not in vars(Below)


# --- makers ----------------------------------------------------------------------------------


@final
@value
class Crate:
    content: object


def make(made: type, slots: tuple[Any, ...], *values: object) -> object:
    """What the C code does."""
    if len(slots) != len(values):
        raise TypeError("not so many")
    item: object = object.__new__(made)
    for slot, each in zip(slots, values, strict=True):
        slot.__set__(item, each)
    return item


MAKERS: Final[dict[str, Callable[[Any], Callable[..., Any]]]] = {
    "as built": maker,
    "in C": lambda cls: in_c(make, cls),
    "while open": while_open,
    "by setters": by_setters,
}


@pytest.mark.parametrize("way", MAKERS.values(), ids=MAKERS.keys())
def test_what_a_maker_makes_is_no_other_value(way: Callable[[Any], Callable[..., Any]]) -> None:
    made = way(Point)(1, 2, "one", ["tag"])
    assert type(made) is Point
    assert (made.x, made.y, made.label, made.tags) == (1, 2, "one", ["tag"])
    assert made == Point(1, 2, tags=["tag"])
    assert repr(made) == repr(Point(1, 2, tags=["tag"]))
    with pytest.raises(AttributeError, match=r"^Point is frozen: x cannot be changed$"):
        made.x = 2  # type: ignore[misc]  # what is tested
    assert not hasattr(made, "__dict__")
    box = way(Crate)((1, 2))
    assert hash(box) == hash(Crate((1, 2)))
    for again in (
        copy.copy(box),
        copy.deepcopy(box),
        pickle.loads(pickle.dumps(box)),
        replace(box),
    ):
        assert type(again) is Crate
        assert again == box


@pytest.mark.parametrize("way", MAKERS.values(), ids=MAKERS.keys())
def test_a_maker_checks_nothing_and_takes_all_fields(
    way: Callable[[Any], Callable[..., Any]],
) -> None:
    assert way(Point)(-1, 2, "", []).x == -1
    assert type(way(Empty)()) is Empty
    wrong: list[tuple[object, ...]] = [(), (1,), (1, 2, "", []) * 2]
    for given in wrong:
        with pytest.raises(TypeError):
            way(Point)(*given)


class Counted:
    __slots__ = ()

    def __init__(self) -> None:
        raise AssertionError("no constructor is asked")


@final
@value
class Coin(Counted):
    worth: int


@pytest.mark.parametrize("way", MAKERS.values(), ids=MAKERS.keys())
def test_a_maker_asks_no_constructor_of_a_base(way: Callable[[Any], Callable[..., Any]]) -> None:
    assert way(Coin)(5) == Coin(5)


class Item:
    """What a weak reference may point at."""


@pytest.mark.parametrize("way", MAKERS.values(), ids=MAKERS.keys())
def test_what_a_maker_makes_is_collected(way: Callable[[Any], Callable[..., Any]]) -> None:
    circle: list[object] = [item := Item()]
    seen = ref(item)
    circle.append(way(Crate)(circle))
    del circle, item
    gc.collect()
    assert seen() is None


in_c_only: Final = pytest.mark.skipif(
    find_spec("smtpwire.wire._make") is None, reason="a pure build has no C code"
)


@in_c_only
def test_what_the_c_code_refuses() -> None:
    compiled: Any = import_module("smtpwire.wire._make")
    slots = (vars(Crate)["content"],)
    item = object()
    before = sys.getrefcount(item)
    for wrong in (
        (),
        (Crate,),
        ("Crate", slots, item),
        (Crate, list(slots), item),
        (Crate, slots),
        (Crate, slots, item, item),
        (Crate, (vars(Point)["x"],), item),  # of another class
        (Crate, (*slots, vars(Point)["x"]), item, item),
        (Crate, ("content",), item),
        (Crate, (vars(Crate)["__repr__"],), item),
        (object, ()),
        (int, ()),
        (type, ()),
        (ValueError, ()),
    ):
        with pytest.raises(TypeError):
            compiled.make(*wrong)
    del wrong
    assert sys.getrefcount(item) == before
    assert compiled.make(Crate, slots, item) == Crate(item)
    assert sys.getrefcount(item) == before


@pytest.mark.parametrize("on", [False, True])
def test_no_class_changes_under_a_jit(on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of CPython 3.15 goes on with the class from before."""
    monkeypatch.setattr(sys, "_jit", SimpleNamespace(is_enabled=lambda: on), raising=False)
    spec = find_spec("smtpwire.wire.value")
    assert spec is not None
    assert spec.loader is not None
    anew = module_from_spec(spec)
    spec.loader.exec_module(anew)
    free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    assert anew.MAY_CHANGE_CLASS is (sys.implementation.name == "cpython" and not free and not on)
