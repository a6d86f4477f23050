"""What a caller hands in, checked at once against its annotation: most have no type checker.

A word of the wrong type must not pass for a setting: ``security="starttls"`` is the enum's member
or an error, never something else than what was meant. An error says what to pass. It never shows
what was given where the type was wrong: that may be a secret.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Set
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from smtpwire.wire.table import Table

__all__ = [
    "OCTETS",
    "Check",
    "check_field",
    "check_host",
    "check_keyword",
    "check_own_name",
    "check_port",
    "check_seconds",
    "checked",
    "exact_class",
    "known_names",
    "nearest",
    "seconds_left",
    "type_of",
    "wanted",
]

T = TypeVar("T")

Check: TypeAlias = Callable[[object], object]
"""Gives back what was given, or what it stands for: an enum's member, a tuple."""
_Reading: TypeAlias = tuple[Check, str]
"""What takes a value, or raises _Mismatch; and what to pass, in words without an article."""

OCTETS: Final = bytes | bytearray | memoryview
"""What a call takes as octets: never an int, which ``bytes()`` makes NULs of."""

_MOST_SECONDS: Final = 1e9  # 31 years: what every clock and system call can still count
_MORE_THAN_A_HOST: Final = re.compile(r"[\0-\x20\x7f/@]|\A\[|\A[^:]*:[^:]*\Z")
"""An address of IPv6 has two colons and more."""
_NO_OWN_NAME: Final = re.compile(r"[^\[].*[:/@]|\[.*[^\]]\Z")
_FEW: Final = 9
"""Members of an enum which an error lists; of more it names the nearest."""
_PLAIN: Final[Mapping[object, tuple[type, ...]]] = {int: (int,), float: (float, int)}
_NO_SEQUENCE: Final = (str, bytes, bytearray, memoryview, Mapping)


class _Mismatch(Exception):
    """What was found is not what the annotation says; what the caller gets is of type ``error``."""

    def __init__(self, found: str, error: type[Exception] = TypeError, hint: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.error = error
        self.hint = hint

    def inside(self, what: str) -> _Mismatch:
        """The same, found in what holds several."""
        return _Mismatch(f"{what} with {self.found}", self.error, self.hint)


def checked(name: str, given: T, kind: Hashable) -> T:
    """An argument of this class, or as any annotation has it; an enum's also by its value.

    Raises TypeError for a wrong type, ValueError for a word that no member has.
    """
    found: object = type(given)
    if found is kind:
        return given
    result: Any = _argument(name, kind)(given)
    made: T = result
    return made


@cache
def _argument(name: str, kind: Hashable) -> Check:
    return check_field(name, kind)


def known_names(where: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise TypeError for an unknown keyword; the message names the nearest one."""
    for name in given:
        if name not in known:
            raise TypeError(f"{where} has no {name!r}{_nearest(name, known)}")


def check_keyword(name: str, keyword: str) -> None:
    """Raise ValueError for what no line can have (RFC 5321 §4.1.1.1), or not as tables hold it."""
    letters = keyword.replace("-", "").replace("_", "")  # "_" is in keywords that are in use
    is_word = letters.isalnum() and keyword.isascii() and keyword[0] not in "-_"
    if not (is_word and keyword == keyword.upper()):
        raise ValueError(
            f"{name} is {keyword!r}: pass letters in upper case, digits and hyphens"
            " (RFC 5321 §4.1.1.1)"
        )


def check_host(name: str, host: str) -> None:
    """Raise ValueError for more than a host's name or address, and for what is no name.

    That is a port, a URL, brackets, blanks; and a label that the resolver would not look up.
    """
    if not host:
        return  # and no codec is loaded
    if _MORE_THAN_A_HOST.search(host):
        raise ValueError(f"{name} is {host!r}: pass a name or an address alone, a port beside it")
    try:
        host.encode("idna")  # as Python's sockets do
    except UnicodeError:
        raise ValueError(
            f"{name} is {host!r}: pass a name whose labels have 1 to 63 octets (RFC 1035 §2.3.4)"
        ) from None


def check_own_name(name: str, host: str) -> None:
    """Raise ValueError for what no host can say that it is: with a port, a URL, a bare address."""
    if _NO_OWN_NAME.match(host):
        raise ValueError(
            f"{name} is {host!r}: pass a domain or an address literal, as [192.0.2.1], without a"
            " port (RFC 5321 §4.1.3)"
        )


def check_port(name: str, port: int) -> None:
    """Raise ValueError outside 0 to 65535: systems wrap it to another. 0 is any, or unknown."""
    if not 0 <= port <= 65535:
        raise ValueError(f"{name} is {port}: pass 0 to 65535")


def check_seconds(name: str, seconds: float) -> None:
    """Raise ValueError for 0 or less, more than 31 years, infinity and NaN."""
    if not 0 < seconds <= _MOST_SECONDS:  # NaN is neither
        raise ValueError(f"{name} is {seconds}: pass seconds, more than 0 and at most 1e9")


def seconds_left(name: str, seconds: float) -> float:
    """What is left of a time: 0 where it is over. Raises as :func:`check_seconds`."""
    if not checked(name, seconds, float) <= 0:  # NaN is neither
        check_seconds(name, seconds)
    return max(seconds, 0)


def check_field(name: str, kind: object, module: str = "") -> Check:
    """What checks a field or an argument: ``kind`` is its annotation, as text that of a module.

    The annotation is read when the first value comes. Raises as :func:`checked` does.
    """
    made: list[_Reading] = []

    def check(given: object) -> object:
        if not made:
            made.append(_reading(_evaluated(kind, module) if isinstance(kind, str) else kind))
        take, words = made[0]
        try:
            return take(given)
        except _Mismatch as found:
            text = f"{name} is {found.found}: pass {_article(words)}{found.hint}"
            raise found.error(text) from None

    return check


def exact_class(kind: object, module: str = "") -> type | None:
    """The class whose objects need no further look, however else the annotation may be met."""
    found: Any = _evaluated(kind, module) if isinstance(kind, str) else kind
    if get_origin(found) in (Union, UnionType):
        found = get_args(found)[0]
    return found if isinstance(found, type) and get_origin(found) is None else None


def nearest(word: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """The known word that is meant by a misspelt one, "" where none is like it."""
    from difflib import get_close_matches  # for errors only

    return next(iter(get_close_matches(word, known, 1, cutoff)), "")


def _nearest(word: str, known: Collection[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def wanted(function: Callable[..., object]) -> str:
    """What a function takes first, as an error goes on: ": pass an int"; "" where nothing says."""
    from inspect import signature  # for errors only

    try:
        first = next(iter(signature(function).parameters.values()))
        kind = first.annotation
        if kind is first.empty:
            return ""
        _, words = _reading(
            _evaluated(kind, function.__module__) if isinstance(kind, str) else kind
        )
    except Exception:  # no signature, or names of an application's that are not there
        return ""
    return "" if words == "anything" else f": pass {_article(words)}"


def _article(words: str) -> str:
    if words.startswith(("bytes", "None", "'")):
        return words
    return f"an {words}" if words[0] in "aeioAEIO" else f"a {words}"


def type_of(given: object) -> str:
    """What an error says of a value that it must not show."""
    return "None" if given is None else _article(type(given).__name__)


# -- reading annotations


class _Names(dict[str, object]):
    """A module's names; what it imports for type checkers only is known by its class's name."""

    def __missing__(self, name: str) -> object:
        if hasattr(builtins, name):
            raise KeyError(name)
        return type(name, (_NotLoaded,), {})


class _NotLoaded:
    """Stands for a class that is not loaded."""


def _evaluated(annotation: str, module: str) -> object:
    # The text is the source code's own.
    return eval(annotation, {}, _Names(vars(sys.modules[module])))  # noqa: S307


def _reading(kind: Any) -> _Reading:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        enums_first = sorted(arguments, key=lambda each: not _is_enum(each))
        return _one_of([_reading(each) for each in enums_first], NoneType in arguments)
    if origin is Literal:
        return _literal(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is frozenset:
        return _set(_reading(arguments[0]))
    if origin is Mapping:
        return _mapping(_reading(arguments[0]), _reading(arguments[1]))
    if origin is Callable:
        return _instance(Callable, "callable")
    kind = origin or kind
    if kind in (Any, object) or not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return _anything, "anything"  # not a class: a type variable
    if _is_enum(kind):
        return _enum(kind)
    if issubclass(kind, _NotLoaded):
        return _by_name(kind.__name__)
    if kind in _PLAIN:
        return _number(_PLAIN[kind], kind.__name__)
    # AnyVerb and the like are bases without a type parameter: a caller passes a Verb.
    return _instance(kind, "None" if kind is NoneType else kind.__name__.removeprefix("Any"))


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _anything(given: object) -> object:
    return given


def _instance(kind: Any, words: str) -> _Reading:
    def take(given: object) -> object:
        if isinstance(given, kind):
            return given
        if isinstance(given, str) and hasattr(kind, "parse"):
            raise _Mismatch(type_of(given), hint=f" ({words}.parse(…) reads a str)")
        raise _Mismatch(type_of(given))

    return take, words


def _number(kinds: tuple[type, ...], words: str) -> _Reading:
    """True and False are ints to Python, and no number to anybody."""

    def take(given: object) -> object:
        if isinstance(given, kinds) and not isinstance(given, bool):
            return given
        raise _Mismatch(type_of(given))

    return take, words


def _by_name(name: str) -> _Reading:
    def take(given: object) -> object:
        if any(each.__name__ == name for each in type(given).__mro__):
            return given
        raise _Mismatch(type_of(given))

    return take, name


def _enum(kind: type[Enum]) -> _Reading:
    """A member, or its value where that is a word."""
    words = [member.value for member in kind if isinstance(member.value, str)]
    few = 0 < len(words) <= _FEW

    def take(given: object) -> object:
        if isinstance(given, kind):
            return given
        if not isinstance(given, str):
            raise _Mismatch(type_of(given))
        try:
            return kind(given)
        except ValueError:
            hint = "" if few else _nearest(given, words)
            raise _Mismatch(repr(given), ValueError, hint) from None

    return take, f"{kind.__name__} ({_listed(words)})" if few else kind.__name__


def _literal(choices: tuple[object, ...]) -> _Reading:
    def take(given: object) -> object:
        if given in choices:
            return given
        if isinstance(given, str):
            raise _Mismatch(repr(given), ValueError)
        raise _Mismatch(type_of(given))

    return take, _listed(choices)


def _listed(values: Collection[object]) -> str:
    *others, last = map(repr, values)
    return f"{', '.join(others)} or {last}" if others else last


def _one_of(readings: list[_Reading], or_none: bool) -> _Reading:
    """What is a word of an enum is its member, and a word of none is told as one."""

    def take(given: object) -> object:
        if given is None and or_none:  # what most optional fields hold: no mismatch for each type
            return None
        mismatches: list[_Mismatch] = []
        for each, _ in readings:
            try:
                return each(given)
            except _Mismatch as mismatch:
                mismatches.append(mismatch)
        raise max(mismatches, key=lambda mismatch: mismatch.error is ValueError)

    return take, " or ".join(words for _, words in readings)


def _tuple(arguments: tuple[Any, ...]) -> _Reading:
    """``tuple[X, ...]``, of any sequence or iterator; ``tuple[X, Y]``, a tuple of two."""
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        each, words = _reading(arguments[0])

        def take(given: object) -> object:
            if isinstance(given, (*_NO_SEQUENCE, Set)) or not isinstance(given, Iterable):
                raise _Mismatch(type_of(given))
            return _taken(given, each, "tuple")

        return take, f"tuple of {words}"
    readings = [_reading(each) for each in arguments]

    def take_fixed(given: object) -> object:
        if not isinstance(given, tuple) or len(given) != len(readings):
            raise _Mismatch(type_of(given))
        return tuple(take(item) for (take, _), item in zip(readings, given, strict=True))

    return take_fixed, f"tuple ({', '.join(words for _, words in readings)})"


def _set(reading: _Reading) -> _Reading:
    each, words = reading

    def take(given: object) -> object:
        if isinstance(given, _NO_SEQUENCE) or not isinstance(given, Iterable):
            raise _Mismatch(type_of(given))
        return frozenset(_taken(given, each, "set"))

    return take, f"frozenset of {words}"


def _mapping(keys: _Reading, values: _Reading) -> _Reading:
    take_key, key_words = keys
    take_value, value_words = values

    def take(given: object) -> object:
        if not isinstance(given, Mapping):
            raise _Mismatch(type_of(given))
        return Table(
            zip(
                _taken(given, take_key, "mapping"),
                _taken(given.values(), take_value, "mapping"),
                strict=True,
            )
        )

    return take, f"mapping from {key_words} to {value_words}"


def _taken(items: Iterable[object], take: Check, what: str) -> tuple[object, ...]:
    try:
        return tuple([take(item) for item in items])
    except _Mismatch as mismatch:
        raise mismatch.inside(_article(what)) from None
