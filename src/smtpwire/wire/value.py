"""The one decorator of the house's values: commands, events, replies, addresses.

It makes of a class what ``dataclasses.dataclass(frozen=True, slots=True)`` would, in a fifth of the
time at import and with a cheaper constructor: there are over a hundred of them, several are built
for every command, and ``dataclasses`` alone costs more to import than the whole of ``wire``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import partial, wraps
from operator import attrgetter
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, dataclass_transform, final, overload

from smtpwire.wire.checked import check_field, exact_class, known_names, type_of

__all__ = ["Request", "differences", "field", "maker", "replace", "value"]

Make: TypeAlias = Callable[..., Any]
make: Make | None
try:  # in C, where it was built
    from smtpwire.wire._make import make
except ImportError:
    make = None

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")


@final
class _Missing:
    """No default. ``help()`` shows a sentinel by its ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


_MISSING: Final = _Missing()


@final
class _Field:
    """How a field differs from a plain one."""

    __slots__ = ("compare", "default", "factory", "kw_only", "repr")

    def __init__(
        self, default: object, factory: object, repr: bool, compare: bool, kw_only: bool
    ) -> None:
        self.default = default
        self.factory = factory
        self.repr = repr
        self.compare = compare
        self.kw_only = kw_only


@overload
def field(*, default: T, repr: bool = True, compare: bool = True, kw_only: bool = False) -> T: ...
@overload
def field(
    *,
    default_factory: Callable[[], T],
    repr: bool = True,
    compare: bool = True,
    kw_only: bool = False,
) -> T: ...
@overload
def field(*, repr: bool = True, compare: bool = True, kw_only: bool = False) -> Any: ...
def field(
    *,
    default: object = _MISSING,
    default_factory: object = _MISSING,
    repr: bool = True,
    compare: bool = True,
    kw_only: bool = False,
) -> object:
    """A field that is more than its type and default, as ``dataclasses.field`` has it.

    ``repr=False`` keeps it out of ``repr()``, ``compare=False`` out of equality and hash.
    """
    return _Field(default, default_factory, repr, compare, kw_only)


@overload
def value(cls: type[C], /) -> type[C]: ...
@overload
def value(
    *, kw_only: bool = False, checked: bool = False, typed: bool = False, terse: bool = False
) -> Callable[[type[C]], type[C]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(
    cls: type[C] | None = None,
    /,
    *,
    kw_only: bool = False,
    checked: bool = False,
    typed: bool = False,
    terse: bool = False,
) -> type[C] | Callable[[type[C]], type[C]]:
    """Make a class a frozen, slotted value: fields from annotations, equality by value.

    ``kw_only``: its constructor takes keywords only. ``checked``: each field is checked against its
    annotation, as ``wire.checked`` has it, and a misspelt keyword names the nearest: for what
    applications make, once for many connections. ``typed``: the former alone, where the right class
    costs a comparison: for what parsers make, too. ``terse``: ``repr()`` shows only what is not as
    by default: for what has many fields. A class that declares
    ``__slots__ = ("__dict__",)`` may have cached properties. What the class defines itself
    (``__repr__``, ``__eq__`` …) stays; ``__post_init__`` is called last by the constructor.
    Write ``@final`` above the decorator: type checkers see finality only where it stands.
    """
    if cls is None:
        return lambda cls: _make(cls, kw_only, checked, typed, terse)
    return _make(cls, kw_only, checked, typed, terse)


def _make(cls: type[C], kw_only: bool, checked: bool, typed: bool, terse: bool) -> type[C]:
    own = dict(cls.__dict__)
    fields = {
        name: _field(own.pop(name, _MISSING), kw_only)
        for name, annotation in cls.__annotations__.items()
        if "ClassVar" not in str(annotation)
    }
    extra = own.pop("__slots__", ())
    for name in ("__dict__", "__weakref__", *extra):
        own.pop(name, None)
    own["__slots__"] = (*fields, *extra)
    own["__match_args__"] = tuple(name for name, item in fields.items() if not item.kw_only)
    for name, method in _methods(cls, fields).items():
        own.setdefault(name, method)
    own["__shown__"] = tuple(name for name, item in fields.items() if item.repr)
    if terse:
        own["__repr__"] = _terse(fields)
    made: Any = type(cls.__name__, cls.__bases__, own)
    made.__qualname__ = cls.__qualname__
    if "__init__" not in own and (fields or hasattr(cls, "__post_init__")):
        made.__init__ = _Constructor(fields, checked, typed)
    result: type[C] = made
    return result


def _field(default: object, kw_only: bool) -> _Field:
    if not isinstance(default, _Field):
        return _Field(default, _MISSING, True, True, kw_only)
    default.kw_only = default.kw_only or kw_only
    return default


@final
class _Constructor:
    """``__init__``, written when it is first wanted: most classes of an import are never called."""

    __slots__ = ("_checked", "_fields", "_typed")

    def __init__(self, fields: dict[str, _Field], checked: bool, typed: bool) -> None:
        self._fields = fields
        self._checked = checked
        self._typed = typed

    def __get__(self, item: object, cls: type) -> object:
        # inspect.signature() binds it to the class itself, from Python 3.13 on.
        asked = item if isinstance(item, type) else cls
        made: Any = next((base for base in asked.__mro__ if "__match_args__" in vars(base)), asked)
        written = _written(made, self._fields, self._checked, self._typed)
        made.__init__ = _strict(made, written, self._fields) if self._checked else written
        return made.__init__ if item is None else made.__init__.__get__(item, cls)


def _written(
    cls: type, fields: dict[str, _Field], checked: bool, typed: bool
) -> Callable[..., None]:
    """Write ``__init__``: the slots' own setters go past ``__setattr__``, which refuses."""
    known: dict[str, object] = {"missing": _MISSING}
    arguments, body = ["self"], list[str]()
    keywords = list[str]()
    for name, item in fields.items():
        known[f"set_{name}"] = cls.__dict__[name].__set__
        argument, given = name, name
        if item.default is not _MISSING:
            known[f"default_{name}"] = item.default
            argument = f"{name}=default_{name}"
        elif item.factory is not _MISSING:
            known[f"factory_{name}"] = item.factory
            argument = f"{name}=missing"
            given = f"factory_{name}() if {name} is missing else {name}"
        if checked or typed:
            annotation = cls.__annotations__[name]
            where = f"{cls.__qualname__}.{name}"
            known[f"check_{name}"] = check_field(where, annotation, cls.__module__)
            given = f"check_{name}({given})"
            exact = exact_class(annotation, cls.__module__) if typed else None
            if exact is not None:
                known[f"class_{name}"] = exact
                given = f"{name} if {name}.__class__ is class_{name} else {given}"
            if item.default is not _MISSING:
                given = f"{name} if {name} is default_{name} else {given}"
        (keywords if item.kw_only else arguments).append(argument)
        body.append(f"    set_{name}(self, {given})")
    if hasattr(cls, "__post_init__"):
        body.append("    self.__post_init__()")
    if keywords:
        arguments += ["*", *keywords]
    source = [f"def make({', '.join(known)}):", f" def __init__({', '.join(arguments)}):"]
    source += [*(body or ["    pass"]), " return __init__"]
    # Its globals are the module's: there typing.get_type_hints() looks the names of its types up.
    home = sys.modules.get(cls.__module__, sys.modules[__name__])
    made: dict[str, Any] = {}
    exec("\n".join(source), vars(home), made)  # noqa: S102 - only names of fields stand in it
    constructor = made["make"](**known)
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    constructor.__annotations__ = {name: cls.__annotations__[name] for name in fields}
    constructor.__annotations__["return"] = "None"
    constructor.__module__ = cls.__module__  # where the names of its types are found
    result: Callable[..., None] = constructor
    return result


def maker(cls: Callable[P, C]) -> Callable[P, C]:
    """A function that makes this value of all its fields, by position, and checks nothing.

    For what the engine makes of parts that it has proved: in C a third of a constructor's work, in
    Python four fifths. What the constructor checks and derives does not happen, defaults neither.
    The class is not a generic one.
    """
    made: Any = cls
    in_python = while_open if MAY_CHANGE_CLASS else by_setters
    return in_python(made) if make is None else in_c(make, made)


# Without the GIL every thread stops for a change of class; PyPy makes slow code of it; the JIT of
# CPython 3.15 goes on with the class from before, so that type() tells the wrong one.
_JIT: Final[Any] = getattr(sys, "_jit", None)
MAY_CHANGE_CLASS: Final = (
    sys.implementation.name == "cpython"
    and getattr(sys, "_is_gil_enabled", lambda: True)()
    and not (_JIT and _JIT.is_enabled())
)


def in_c(make: Make, cls: type) -> Callable[..., Any]:
    """Fill the slots in one call."""
    return partial(make, cls, tuple(vars(cls)[name] for name in _slots(cls)))


def while_open(cls: type) -> Callable[..., Any]:
    """Fill a value of a class which does not refuse, and close it by giving it its own class.

    Nobody else sees it before. Both classes have the same slots, so that this may be done.
    """
    # Calling the class costs less than object.__new__(), which packs its arguments and checks them.
    own = {"__slots__": _slots(cls), "__init__": object.__init__}
    opened = type(f"_Open{cls.__name__}", cls.__bases__, own)
    lines = [f"made.{name} = {name}" for name in _slots(cls)]
    known: dict[str, object] = {"opened": opened, "closed": cls}
    return _filled(cls, known, ["made = opened()", *lines, "made.__class__ = closed"])


def by_setters(cls: type) -> Callable[..., Any]:
    """Fill it by the slots' own setters, past ``__setattr__``, which refuses."""
    known: dict[str, object] = {f"set_{name}": vars(cls)[name].__set__ for name in _slots(cls)}
    lines = [f"set_{name}(made, {name})" for name in _slots(cls)]
    return _filled(
        cls, known | {"new": object.__new__, "closed": cls}, ["made = new(closed)", *lines]
    )


def _filled(cls: type, known: dict[str, object], lines: list[str]) -> Callable[..., Any]:
    source = [f"def make({', '.join(_slots(cls))}):", *lines, "return made"]
    exec("\n    ".join(source), known)  # noqa: S102 - only names of fields stand in it
    made: Any = known["make"]
    result: Callable[..., Any] = made
    return result


def _slots(cls: type) -> tuple[str, ...]:
    slots: Any = cls
    names: tuple[str, ...] = slots.__slots__
    return names


def _strict(
    cls: type, written: Callable[..., None], fields: Collection[str]
) -> Callable[..., None]:
    """The constructor of a checked class: Python's own TypeError names no nearest keyword."""

    @wraps(written)
    def construct(self: object, /, *arguments: object, **given: object) -> None:
        if given:
            known_names(cls.__qualname__, given, fields)
        written(self, *arguments, **given)

    construct.__annotations__ = written.__annotations__  # from CPython 3.14 on wraps() does not
    return construct


def _methods(cls: type, fields: dict[str, _Field]) -> dict[str, object]:
    name = cls.__qualname__
    shown = tuple(name for name, item in fields.items() if item.repr)
    compared = [name for name, item in fields.items() if item.compare]
    key: Callable[[object], object] = attrgetter(*compared) if compared else type

    def show(self: object) -> str:
        return f"{name}({', '.join(f'{item}={getattr(self, item)!r}' for item in shown)})"

    def equal(self: object, other: object) -> object:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return key(self) == key(other)

    def hashed(self: object) -> int:
        return hash(key(self))

    def reduced(self: object) -> tuple[object, ...]:
        return _rebuilt, (type(self), tuple(getattr(self, item) for item in fields))

    def replaced(self: object, /, **changes: object) -> object:
        known_names(name, changes, fields)
        given = {item: getattr(self, item) for item in fields}
        return type(self)(**given | changes)

    methods: dict[str, object] = {
        "__repr__": show,
        "__reduce__": reduced,
        "__replace__": replaced,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
    }
    if "__eq__" not in cls.__dict__:
        methods |= {"__eq__": equal, "__hash__": hashed}
    return methods


def _terse(fields: dict[str, _Field]) -> Callable[[object], str]:
    def show(self: object) -> str:
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, item in fields.items()
            if item.repr and getattr(self, name) != _default(item)
        ]
        return f"{type(self).__qualname__}({', '.join(changed)})"

    return show


def _default(item: _Field) -> object:
    factory: Any = item.factory
    return item.default if factory is _MISSING else factory()


def differences(item: C, other: C) -> list[str]:
    """The fields of a value that are not another's, each as ``repr()`` would show it."""
    shown: Any = item
    return [
        f"{name}={getattr(item, name)!r}"
        for name in shown.__shown__
        if getattr(item, name) != getattr(other, name)
    ]


def _refuse(self: object, name: str, value: object = None) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be changed")


def _rebuilt(cls: type[C], values: tuple[object, ...]) -> C:
    """A copy, or what was pickled: the same fields without asking the constructor."""
    made = object.__new__(cls)
    slots: Any = cls
    for name, item in zip(slots.__slots__, values, strict=False):
        object.__setattr__(made, name, item)
    return made


def replace(item: C, /, **changes: object) -> C:
    """The same value with some fields changed: what ``copy.replace`` is from Python 3.13 on.

    Raises what the constructor raises: TypeError for a name that is no field, ValueError for
    fields that contradict one another.
    """
    changeable: Any = item
    if isinstance(item, type) or not hasattr(item, "__replace__"):
        raise TypeError(f"replace() does not take {type_of(item)}: pass a value of this package")
    result: C = changeable.__replace__(**changes)
    return result


class Request:
    """The mark of a question: an event that owes the peer an answer.

    Each one is a fresh object, so that identity tells which question an answer is for.
    """

    __slots__ = ()
