"""Everything public can be copied and pickled, for queues, process pools and caches.

Out of it are what lives: connections, parsers and exchanges, and what holds a TLS context.
"""

import copy
import importlib
import inspect
import pickle
import pkgutil
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from enum import Enum
from multiprocessing import get_context
from types import ModuleType
from typing import Any, Final, get_args

import pytest
from tests.readme_parts import home

import smtpwire
from smtpwire.adapters.session import TlsConfig
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import Envelope
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import REGISTRY, AnyExtension, parameters
from smtpwire.operations import SessionError
from smtpwire.operations.operation import Stage
from smtpwire.operations.result import SendResult
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply

Copy = Callable[[Any], Any]


def pickled(protocol: int) -> Copy:
    return lambda thing: pickle.loads(pickle.dumps(thing, protocol))


COPIES: Final[dict[str, Copy]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": pickled(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}


def copies(thing: Any) -> Iterator[tuple[str, Any]]:
    """A thing copied in each way, by the way's name.

    A test for each would be six thousand, which spend most of their time in pytest itself.
    """
    for name, copied in COPIES.items():
        try:
            yield name, copied(thing)
        except Exception as error:
            error.add_note(f"by {name}")
            raise


INTERNAL: Final = (
    *("smtpwire.__main__", "smtpwire.command_line", "smtpwire.engine.client."),
    "smtpwire.testing.pytest_plugin",
)
"""Floors and tables that nobody else is to import; fixtures, which pytest alone calls."""
INSIDE: Final = ("smtpwire.engine.server.", "smtpwire.adapters.stream.")
"""Whose exceptions are caught where they arise: their parts tell one another by them."""
LIVING: Final = (TlsConfig,)
"""Values that hold something of the operating system's."""


def public() -> Iterator[tuple[str, object]]:
    """What the modules name in ``__all__``, once each."""
    seen: set[int] = set()
    found = [info.name for info in pkgutil.walk_packages(smtpwire.__path__, "smtpwire.")]
    for module in ("smtpwire", *(name for name in found if not name.startswith(INTERNAL))):
        names = vars(importlib.import_module(module))
        for name in names.get("__all__", ()):
            thing = getattr(importlib.import_module(module), name)
            # Names of types are for type checkers.
            if id(thing) not in seen and not isinstance(thing, ModuleType) and not get_args(thing):
                seen.add(id(thing))
                yield f"{module}.{name}", thing


PUBLIC: Final = dict(public())


def is_value(thing: object) -> bool:
    return isinstance(thing, type) and hasattr(thing, "__replace__") and thing not in LIVING


VALUES: Final = {name: thing for name, thing in PUBLIC.items() if is_value(thing)}
ERRORS: Final = {
    name: thing
    for name, thing in PUBLIC.items()
    if isinstance(thing, type) and issubclass(thing, BaseException) and not name.startswith(INSIDE)
}


@pytest.mark.parametrize("thing", PUBLIC.values(), ids=PUBLIC.keys())
def test_every_public_name(thing: object) -> None:
    one = isinstance(thing, Enum) or (callable(thing) and hasattr(thing, "__qualname__"))
    for way, again in copies(thing):
        assert again is thing or (again == thing and not one), way


@pytest.mark.parametrize("made", VALUES.values(), ids=VALUES.keys())
def test_every_value(made: Any) -> None:
    """Whatever its fields hold: the constructor, which could object, is not asked again."""
    item = object.__new__(made)
    fields = [name for name in made.__slots__ if name != "__dict__"]
    for name in fields:
        object.__setattr__(item, name, (name, 1))
    for way, again in copies(item):
        assert type(again) is made, way
        assert [getattr(again, name) for name in fields] == [(name, 1) for name in fields], way


def example(made: type[BaseException]) -> BaseException:
    """One of these errors, each with something in every place that has no default."""
    known: dict[str, object] = {
        "reply": Reply(550, "no", "5.0.0"),
        "result": SendResult(()),
        "stage": Stage.GREETING,
        "offset": 3,
        "octet": b"\n",
    }
    if "__init__" not in {
        name
        for each in made.__mro__
        for name in vars(each)
        if each.__module__.startswith("smtpwire")
    }:
        return made("the reason")
    names = [
        each.name
        for each in inspect.signature(made).parameters.values()
        if each.default is each.empty
    ]
    return made(*(known.get(name, f"<{name}>") for name in names))


def test_every_error_has_the_base_and_stands_in_readme() -> None:
    """A table there says what is raised, by whom, and what it means."""
    section = home("table: errors").read_text().partition("## Errors\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    assert [made for made in ERRORS.values() if not issubclass(made, SmtpwireError)] == []
    assert documented == {made.__name__ for made in ERRORS.values()} - {"SmtpwireError"}


@pytest.mark.parametrize("made", ERRORS.values(), ids=ERRORS.keys())
def test_every_error(made: type[BaseException]) -> None:
    error = example(made)
    error.add_note("while it was raining")
    for way, again in copies(error):
        assert type(again) is made, way
        seen = (str(again), again.args, vars(again))
        assert seen == (str(error), error.args, vars(error)), way


MAILS: Final = {
    "null": Mail(None),
    "BODY": Mail(Address("a", "a.example"), Parameters(parameters.BODY(parameters.Body.EIGHTBITMIME))),
    "RET": Mail(Address("a", "a.example"), Parameters(parameters.RET(parameters.Ret.HDRS), parameters.SIZE(3))),
}  # fmt: skip
THINGS: Final[dict[str, object]] = {
    **{f"Mail {name}": mail for name, mail in MAILS.items()},
    "Envelope": Envelope(MAILS["BODY"], (Rcpt(Address("b c", "b.example")),)),
    "ClientConfig": ClientConfig(),
    "relay": ServerConfig.relay("mx.example"),
    "submission": ServerConfig.submission("mx.example"),
    "submissions": ServerConfig.submissions("mx.example"),
    "lmtp": ServerConfig.lmtp("mx.example"),
    "Offer": REGISTRY.read(()),
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS.keys())
def test_what_an_application_keeps(thing: object) -> None:
    for way, again in copies(thing):
        assert type(again) is type(thing), way
        assert again == thing, way


def test_a_copied_registry_reads_as_the_first() -> None:
    for way, again in copies(REGISTRY):
        assert again.extensions == REGISTRY.extensions, way
        for extension in again:
            assert isinstance(extension, AnyExtension)
            assert extension == REGISTRY.by_keyword[extension.keyword], way


def refuse(reason: str) -> None:
    raise SessionError(Reply(554, "no", "5.0.0"), Stage.GREETING, reason)


def test_an_error_comes_out_of_a_process_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        error = pool.submit(refuse, "closed today").exception()
    assert isinstance(error, SessionError)
    assert (error.reply, error.stage, error.reason) == (
        Reply(554, "no", "5.0.0"),
        Stage.GREETING,
        "closed today",
    )
