"""An engine as a value: frozen, compared, and made anew.

For each class there is one function that freezes and one that thaws, made when it is first met: a
walk calls them some million times.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from io import IncrementalNewlineDecoder
from typing import Any, Final, cast

from smtpwire.engine.client.offered import ServerOffer
from smtpwire.engine.client.transaction import NO_TRANSACTION as CLIENT_NO_TRANSACTION
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.commands import CommandRow
from smtpwire.engine.offer_plan import OfferPlan
from smtpwire.engine.server.connection import COMMANDS
from smtpwire.engine.server.reader import Reader
from smtpwire.engine.server.transaction import NO_TRANSACTION as SERVER_NO_TRANSACTION
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import Offer, Registry
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.table import Table

__all__ = ["Frozen", "freeze", "thaw"]

Frozen = tuple[object, ...]
"""A thing as plain tuples: equal for what behaves alike, and hashable."""

_IDENTICAL: Final = (ServerConfig, ClientConfig, OfferPlan, Registry, CommandRow)
"""Of these there is one each for what is equal."""
_EQUAL: Final = (Offer, Parameters, Table)
"""These are never changed, and compared by what they hold."""
_CONTAINERS: Final = (list, deque, set, bytearray, tuple)


class _Same:
    """A thing that is kept as it is; there is one mark for all things that are equal."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing


class _Again:
    """A thing met before in the same engine, by its number."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


Freezer = Callable[[Any, dict[int, _Again]], object]
Thawer = Callable[[Any, list[object]], object]
_AGAIN: Final = [_Again(number) for number in range(100)]
_marks: dict[int, _Same] = {}
"""By the identity of their things, which they keep alive."""
_equal: dict[object, _Same] = {}
_offers: dict[tuple[Offer, bool], ServerOffer] = {}
_unhashable: dict[type, list[object]] = {}
_atoms: set[type] = {type(None), bool, int, str, bytes, float}
"""Classes whose things are frozen as they are."""
_freezers: dict[type, Freezer] = {}
_thawers: dict[type, Thawer] = {}


def freeze(thing: object) -> Frozen:
    """A thing and all that belongs to it alone as a value."""
    return cast("Frozen", _freeze(thing, {}))


def thaw(frozen: Frozen) -> Any:
    """A thing that behaves as the one that was frozen."""
    return _thaw(frozen, [])


def _freeze(thing: object, met: dict[int, _Again]) -> object:
    made = type(thing)
    if made in _atoms:
        return thing
    mark = _marks.get(id(thing))
    if mark is not None:
        return mark
    return (_freezers.get(made) or _freezer(made))(thing, met)


def _thaw(frozen: Any, made: list[object]) -> object:
    kind = type(frozen)
    if kind in _atoms:
        return frozen
    if kind is _Same:
        return frozen.thing
    if kind is _Again:
        return made[frozen.number]
    return _thawers[frozen[0]](frozen, made)


def _same(thing: object) -> _Same:
    """The mark of this very thing."""
    return _marks.setdefault(id(thing), _Same(thing))


def _freezer(made: Any) -> Freezer:
    """How things of this class are frozen; remembered, with how they are thawed."""
    if issubclass(made, (Enum, type)) or not hasattr(made, "__module__"):
        _atoms.add(made)
        return lambda thing, met: thing
    if made in _CONTAINERS:
        freezer: Freezer = _freeze_container
        _thawers[made] = lambda frozen, kept: made(_thaw(each, kept) for each in frozen[1:])
    elif made is IncrementalNewlineDecoder:
        freezer = _freeze_newlines
        _thawers[made] = _thaw_newlines
    elif made is ServerOffer:
        freezer = _freeze_offered
    elif made in _IDENTICAL or (issubclass(made, Reader) and not _names(made)):
        freezer = lambda thing, met: _same(thing)  # noqa: E731
    elif made in _EQUAL or hasattr(made, "__replace__") or not _is_ours(made):
        freezer = _freeze_value
    else:
        freezer = _make_freezer(made)
        _thawers[made] = _make_thawer(made)
    _freezers[made] = freezer
    return freezer


def _is_ours(made: type) -> bool:
    return made.__module__.startswith(("smtpwire.", "tests."))


def _names(made: type) -> list[str]:
    """The attributes in the order in which they are frozen."""
    found = [vars(each).get("__slots__", ()) for each in made.__mro__]
    return sorted({name for each in found for name in each})


def _make_freezer(made: type) -> Freezer:
    """``(class, attribute, attribute ...)``, and what stands in ``__dict__`` as pairs behind it."""
    lines = [
        "def freezer(thing, met):",
        "    again = met.get(id(thing))",
        "    if again is not None: return again",
        "    met[id(thing)] = AGAIN[len(met)]",
        *(f"    v{at} = thing.{name}" for at, name in enumerate(_names(made))),
        "    return (made,",
        *(
            f" v{at} if v{at}.__class__ in atoms else freeze(v{at}, met),"
            for at in range(len(_names(made)))
        ),
    ]
    if any("__dict__" in vars(each) for each in made.__mro__):
        lines.append("*[(name, freeze(each, met)) for name, each in sorted(vars(thing).items())],")
    return cast("Freezer", _compiled([*lines, ")"], "freezer", made))


def _make_thawer(made: type) -> Thawer:
    names = _names(made)
    lines = [
        "def thawer(frozen, kept):",
        "    thing = new(made)",
        "    kept.append(thing)",
        f"    _, {''.join(f'v{at}, ' for at in range(len(names)))}*pairs = frozen",
        *(
            f"    thing.{name} = v{at} if v{at}.__class__ in atoms else thaw(v{at}, kept)"
            for at, name in enumerate(names)
        ),
        "    for name, each in pairs: setattr(thing, name, thaw(each, kept))",
        "    return thing",
    ]
    return cast("Thawer", _compiled(lines, "thawer", made))


def _compiled(lines: list[str], name: str, made: type) -> object:
    known: dict[str, Any] = {"made": made, "new": object.__new__, "AGAIN": _AGAIN}
    known |= {"atoms": _atoms, "freeze": _freeze, "thaw": _thaw}
    exec("\n".join(lines), known)
    return known[name]


def _freeze_container(thing: Any, met: dict[int, _Again]) -> Frozen:
    return (type(thing), *[_freeze(each, met) for each in thing])


def _freeze_offered(thing: ServerOffer, met: dict[int, _Again]) -> _Same:
    return _same(_offers.setdefault((thing.offer, thing.assumed), thing))


def _freeze_value(thing: object, met: dict[int, _Again]) -> _Same:
    """What is never changed stays as it is; of those that are equal, the first one met."""
    try:
        mark = _equal.get(thing)
    except TypeError:
        known = _unhashable.setdefault(type(thing), [])
        if thing not in known:
            known.append(thing)
        return _same(known[known.index(thing)])
    if mark is None:
        mark = _equal[thing] = _same(thing)
    return mark


def _freeze_newlines(thing: IncrementalNewlineDecoder, met: dict[int, _Again]) -> Frozen:
    return (IncrementalNewlineDecoder, thing.newlines, thing.getstate())


def _thaw_newlines(frozen: Any, made: list[object]) -> IncrementalNewlineDecoder:
    _, newlines, state = frozen
    decoder = IncrementalNewlineDecoder(None, False)
    for seen in (newlines,) if isinstance(newlines, str) else newlines or ():
        decoder.decode(f"x{seen}x")
    decoder.setstate(state)
    return decoder


for _thing in (CLIENT_NO_TRANSACTION, SERVER_NO_TRANSACTION, COMMANDS):
    _same(_thing)
