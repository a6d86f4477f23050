"""Published tables stay as they were made."""

from collections.abc import Callable
from typing import Any

import pytest

from smtpwire.wire.table import Table


def assign(table: Any) -> None:
    table["a"] = 2


def delete(table: Any) -> None:
    del table["a"]


def join(table: Any) -> None:
    table |= {"b": 2}


CHANGES: list[Callable[[Any], object]] = [
    assign,
    delete,
    join,
    lambda table: table.clear(),
    lambda table: table.pop("a"),
    lambda table: table.popitem(),
    lambda table: table.setdefault("b", 2),
    lambda table: table.update(b=2),
]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_changes_it(change: Callable[[Any], object]) -> None:
    table = Table({"a": 1})
    with pytest.raises(TypeError, match="cannot be changed"):
        change(table)
    assert table == {"a": 1}


def test_a_changed_one_is_a_dict() -> None:
    assert type(Table({"a": 1}) | {"a": 2}) is dict
