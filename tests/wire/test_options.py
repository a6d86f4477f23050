"""What help() and inspect show of options that a TypedDict names."""

import inspect
import pydoc
from collections.abc import Callable
from typing import TypedDict, Unpack, get_type_hints

import pytest

from smtpwire import operations
from smtpwire.adapters import asyncio, blocking, trio
from smtpwire.operations import MailObject, MessageOptions, SendOptions, send_mail, send_message
from smtpwire.wire.options import shows_options


class Options(TypedDict, total=False):
    size: int | None
    loud: bool


@shows_options(Options)
def act(number: int, **options: Unpack[Options]) -> str:
    return f"{number} {options}"


def test_each_option_is_shown_with_its_type_and_default() -> None:
    shown = "(number: int, *, size: int | None = None, loud: bool = False) -> str"
    assert str(inspect.signature(act)) == shown
    assert f"act{shown}" in pydoc.plain(pydoc.render_doc(act))
    assert get_type_hints(act)["number"] is int


def test_it_is_called_as_it_stands() -> None:
    assert act(1, loud=True) == "1 {'loud': True}"


CLIENTS = (asyncio.Client, blocking.Client, trio.Client)
TAKERS: list[tuple[Callable[..., object], type]] = [
    (send_mail, SendOptions),
    (send_message, MessageOptions),
    (MailObject, SendOptions),
    *((client.send_mail, SendOptions) for client in CLIENTS),
    *((client.send_message, MessageOptions) for client in CLIENTS),
]


@pytest.mark.parametrize(("function", "options"), TAKERS)
def test_whatever_sends_shows_its_options(function: Callable[..., object], options: type) -> None:
    shown = inspect.signature(function).parameters
    kinds = get_type_hints(options)
    assert {name: shown[name].annotation for name in kinds} == kinds
    assert {shown[name].kind for name in kinds} == {inspect.Parameter.KEYWORD_ONLY}
    assert all(name in str(operations.SendOptions.__doc__) for name in kinds)
