"""Parameters of MAIL and RCPT (RFC 5321 §4.1.2, ``esmtp-param``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar, final, overload

from smtpwire.wire.checked import check_keyword, checked, type_of, wanted
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.value import value

__all__ = [
    "AnyParameter",
    "Given",
    "Parameter",
    "ParameterError",
    "Parameters",
    "format_parameters",
    "parse_parameters",
]

T = TypeVar("T")
D = TypeVar("D")

# esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-"); esmtp-value = 1*(%d33-60 / %d62-126);
# SMTPUTF8 adds UTF-8-non-ascii to the value (RFC 6531 §3.3). RFC 5321 §4.1.2.
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([^\x00-\x20=\x7f]++))?")


class AnyParameter:
    """A parameter whose value's type is not known: what registries hold."""

    __slots__ = ()
    keyword: str

    def read(self, raw: str | None) -> Given:
        """The parameter as given on the wire; ValueError where the value is malformed."""
        raise NotImplementedError


@final
@value
class Given:
    """One parameter as it stands in a command: keyword in upper case, value as on the wire.

    ``raw`` is None where no ``=`` stood. Equality is by keyword and raw value.

    ``parameter``: what read or wrote it. ``parsed``: the value, of the type that ``parameter``
    gives.
    """

    keyword: str
    raw: str | None
    parameter: AnyParameter
    parsed: object

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Given):
            return NotImplemented
        return self.keyword == other.keyword and self.raw == other.raw

    def __hash__(self) -> int:
        return hash((self.keyword, self.raw))

    def __str__(self) -> str:
        return self.keyword if self.raw is None else f"{self.keyword}={self.raw}"


@final
@value(checked=True)
class Parameter(AnyParameter, Generic[T]):
    """A parameter of MAIL or RCPT: its keyword and the two directions of its value's grammar.

    ``parse`` takes the text behind ``=`` (None where there is no ``=``) and raises ValueError
    where it is malformed; ``format`` is its inverse. Calling a parameter with a value gives what
    :class:`Parameters` takes: ``Parameters(SIZE(1000), SMTPUTF8(True))``.

    Raises ValueError for a keyword that no line can have, or that is not in upper case.
    """

    keyword: str
    parse: Callable[[str | None], T]
    format: Callable[[T], str | None]

    def __post_init__(self) -> None:
        check_keyword("Parameter.keyword", self.keyword)

    def read(self, raw: str | None) -> Given:
        if raw is not None and type(raw) is not str:
            raw = checked("raw", raw, str)
        return Given(self.keyword, raw, self, self.parse(raw))

    def __call__(self, value: T) -> Given:
        """The parameter with this value.

        Raises TypeError for what it does not take, ValueError where that cannot be written.
        """
        try:
            raw = self.format(value)
        except (AttributeError, TypeError) as error:
            said = wanted(self.format) or f": {error}"
            raise TypeError(f"{self.keyword} does not take {type_of(value)}{said}") from error
        text = self.keyword if raw is None else f"{self.keyword}={raw}"
        if _PARAMETER.fullmatch(text) is None:
            raise ValueError(f"{text!r} is no parameter (RFC 5321 §4.1.2)")
        try:
            return self.read(raw)
        except ValueError as error:
            raise ValueError(f"{text!r} is no {self.keyword}: {error}") from error

    def __repr__(self) -> str:
        return f"Parameter({self.keyword})"


@final
class Parameters:
    """The parameters of one command: ordered, hashable, typed look-up.

    ``mail.parameters[parameters.SIZE]`` is an int; ``get`` gives None or a default where the
    parameter was not given. ``raw`` is the list as on the wire.
    """

    __slots__ = ("_given",)

    def __init__(self, *given: Given) -> None:
        """ValueError where a keyword stands twice (RFC 5321 §4.1.1.11 knows no repetition)."""
        keywords = {item.keyword for item in _with_values(given)}
        if len(keywords) != len(given):
            raise ValueError("a parameter stands twice")
        self._given = given

    def __getitem__(self, parameter: Parameter[T]) -> T:
        found = self._find(parameter)
        if found is None:
            raise KeyError(parameter.keyword)
        # Given is only made by the parameter of its keyword, so parsed is a T.
        parsed: Any = found.parsed
        result: T = parsed
        return result

    @overload
    def get(self, parameter: Parameter[T]) -> T | None: ...
    @overload
    def get(self, parameter: Parameter[T], default: D) -> T | D: ...
    def get(self, parameter: Parameter[T], default: object = None) -> object:
        """The parameter's value, or this default where it was not given."""
        found = self._find(parameter)
        return default if found is None else found.parsed

    def __contains__(self, parameter: AnyParameter) -> bool:
        return self._find(parameter) is not None

    def without(self, *parameters: AnyParameter) -> Parameters:
        """The same list less the named ones: what a relay does for a hop that lacks one."""
        dropped = {_keyword(parameter) for parameter in parameters}
        return Parameters(*(item for item in self._given if item.keyword not in dropped))

    def having(self, *given: Given) -> Parameters:
        """The same list with these set: in place of one given before, else at the end."""
        new = {item.keyword: item for item in _with_values(given)}
        kept = [new.pop(item.keyword, item) for item in self._given]
        return Parameters(*kept, *new.values())

    @property
    def raw(self) -> tuple[tuple[str, str | None], ...]:
        """Keyword and undecoded value of each, in order."""
        return tuple((item.keyword, item.raw) for item in self._given)

    def _find(self, parameter: AnyParameter) -> Given | None:
        keyword = _keyword(parameter)
        for item in self._given:
            if item.keyword == keyword:
                return item
        return None

    def __reduce__(self) -> tuple[object, ...]:
        return Parameters, self._given

    def __iter__(self) -> Iterator[Given]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameters):
            return NotImplemented
        return self._given == other._given

    def __hash__(self) -> int:
        return hash(self._given)

    def __str__(self) -> str:
        return " ".join(map(str, self._given))

    def __repr__(self) -> str:
        return f"Parameters({self})"


def _keyword(parameter: AnyParameter) -> str:
    if isinstance(parameter, AnyParameter):
        return parameter.keyword
    raise TypeError(f"{type_of(parameter)} is no parameter: pass one, as parameters.SIZE")


def _with_values(given: tuple[Given, ...]) -> tuple[Given, ...]:
    for item in given:
        if not isinstance(item, Given):
            raise TypeError("pass parameters with their values: Parameters(SIZE(9))")
    return given


def format_parameters(parameters: Parameters) -> str:
    """What stands behind the path; ValueError where one would not be read as that one."""
    words = [str(item) for item in parameters]
    for word in words:
        if _PARAMETER.fullmatch(word) is None:
            raise ValueError(f"{word!r} is no parameter (RFC 5321 §4.1.2)")
    return " ".join(words)


class Known(Protocol):
    """What a list of parameters is read against: keyword in upper case -> parameter."""

    def get(self, keyword: str, /) -> AnyParameter | None: ...


GIVEN_TWICE: Final = "given twice"
"""The reason of a ParameterError for a parameter that is repeated."""


@final
class ParameterError(SmtpwireError, ValueError):
    """A parameter list the command cannot be taken with; ``unknown`` tells 555 from 501.

    ``keyword`` is empty where what is malformed begins with no known one.
    """

    def __init__(self, keyword: str, reason: str, *, unknown: bool = False) -> None:
        super().__init__(f"{keyword or 'parameter'}: {reason}")
        self.keyword = keyword
        self.reason = reason
        self.unknown = unknown


def parse_parameters(text: str, known: Known) -> Parameters:
    """Read what stands behind the path of a MAIL or RCPT command; blanks may repeat.

    Raises ParameterError: unknown (555), or malformed or repeated (501), RFC 5321 §4.1.1.11.
    """
    given: list[Given] = []
    for word in text.split(" "):
        if not word:
            continue
        match = _PARAMETER.fullmatch(word)
        if match is None:
            keyword = word.partition("=")[0].upper()
            known_one = known.get(keyword) is not None
            raise ParameterError(keyword if known_one else "", "malformed")
        keyword = match[1].upper()
        parameter = known.get(keyword)
        if parameter is None:
            raise ParameterError(keyword, "not recognized", unknown=True)
        if any(item.keyword == keyword for item in given):
            raise ParameterError(keyword, GIVEN_TWICE)
        try:
            given.append(parameter.read(match[2]))
        except ValueError as error:
            raise ParameterError(keyword, str(error)) from None
    return Parameters(*given)
