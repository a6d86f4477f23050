"""What an extension is: one entry from which parser, limits, EHLO reply and checks follow."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from enum import Enum
from functools import cached_property
from importlib import import_module
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

from smtpwire.wire.checked import check_keyword, checked, type_of, wanted
from smtpwire.wire.command import COMMAND_LINE, AnyVerb, CommandError, Grammar, Leniency
from smtpwire.wire.ehlo import EhloKeyword
from smtpwire.wire.parameter import AnyParameter, Parameters
from smtpwire.wire.table import Table
from smtpwire.wire.value import value

__all__ = [
    "AnyExtension",
    "Check",
    "Extension",
    "Offer",
    "Offered",
    "Profile",
    "Registry",
    "Row",
    "When",
    "flag",
    "no_parameter",
]

P = TypeVar("P")


class Profile(Enum):
    """What a service is for; it decides which extensions it may offer."""

    RELAY = "relay"
    """Port 25, between servers (RFC 5321)."""
    SUBMISSION = "submission"
    """Port 587: STARTTLS, then AUTH (RFC 6409)."""
    SUBMISSIONS = "submissions"
    """Port 465: TLS from the first octet (RFC 8314 §3.3)."""
    LMTP = "lmtp"
    """Local delivery with a reply a recipient (RFC 2033)."""


ANY_PROFILE: Final = frozenset(Profile)
SUBMISSION_ONLY: Final = frozenset({Profile.SUBMISSION, Profile.SUBMISSIONS})


class When(Enum):
    """When in a connection an extension may be offered."""

    ALWAYS = "always"
    BEFORE_TLS = "before TLS"
    UNDER_TLS = "under TLS"
    TO_LISTED = "to listed peers"
    """Only to peers which the configuration lists, since it takes their word (XCLIENT) or lets
    them break a rule (PIPECONNECT). Its verbs need neither TLS nor AUTH where the service
    requires those of others."""


class AnyExtension:
    """An extension whose EHLO parameter's type is not known: what registries hold."""

    __slots__ = ()
    keyword: str
    rfc: str
    summary: str
    mail: tuple[AnyParameter, ...]
    rcpt: tuple[AnyParameter, ...]
    verbs: tuple[AnyVerb, ...]
    increments: tuple[tuple[str, int], ...]
    requires: tuple[str, ...]
    profiles: frozenset[Profile]
    when: When
    check: Check | None
    default: str

    def read(self, parameters: str) -> Offered:
        """The extension as a peer's EHLO line offers it; ValueError where that is malformed."""
        raise NotImplementedError


@final
@value(checked=True)
class Offered:
    """An extension in an EHLO reply, with its parameters: as text and as parsed."""

    extension: AnyExtension
    parameters: str
    parsed: object

    @property
    def line(self) -> str:
        """The EHLO line: keyword and parameters."""
        keyword = self.extension.keyword
        return f"{keyword} {self.parameters}" if self.parameters else keyword


def _proven_offered(extension: AnyExtension, parameters: str, parsed: object) -> Offered:
    """Make an Offered of what needs no check: an EHLO reply has one for each extension."""
    offered = _new(Offered)
    _set_extension(offered, extension)
    _set_parameters(offered, parameters)
    _set_parsed(offered, parsed)
    return offered


# The slots' own setters, as a frozen class leaves no others.
_new: Final = object.__new__
_Setter: TypeAlias = Callable[[Offered, object], None]
_set_extension: Final[_Setter] = Offered.__dict__["extension"].__set__
_set_parameters: Final[_Setter] = Offered.__dict__["parameters"].__set__
_set_parsed: Final[_Setter] = Offered.__dict__["parsed"].__set__


def flag(parameters: str) -> bool:
    """The grammar of keywords without parameters; what a peer puts there is ignored (R105)."""
    return True


def no_parameter(offered: bool) -> str:
    """The inverse of :func:`flag`."""
    return ""


@final
@value(checked=True)
class Extension(AnyExtension, Generic[P]):
    """One extension: everything the house knows of it.

    ``parse`` and ``format`` are the two directions of its EHLO parameters' grammar; ``parse``
    raises ValueError where they are malformed. ``increments`` are the octets it adds to a verb's
    command line. ``requires`` names the keywords it is never offered without. ``check`` judges what
    no parameter's own grammar can: it is given the offer and all parameters of a MAIL or RCPT and
    returns what refuses the command, or None. ``default`` are its EHLO parameters where a server's
    configuration offers the extension without a value.
    Calling an extension with a value gives what an offer holds: ``SIZE(10_000_000)``.

    ``keyword``: in EHLO, upper case. ``rfc``, ``summary``: for tables. ``mail``, ``rcpt``: the
    parameters it allows there. ``verbs``: the commands it brings. ``profiles``: the services that
    may offer it. ``when``: under which conditions.
    """

    keyword: str
    rfc: str
    summary: str
    parse: Callable[[str], P]
    format: Callable[[P], str]
    mail: tuple[AnyParameter, ...] = ()
    rcpt: tuple[AnyParameter, ...] = ()
    verbs: tuple[AnyVerb, ...] = ()
    increments: tuple[tuple[str, int], ...] = ()
    requires: tuple[str, ...] = ()
    profiles: frozenset[Profile] = ANY_PROFILE
    when: When = When.ALWAYS
    check: Check | None = None
    default: str = ""

    def __post_init__(self) -> None:
        check_keyword("Extension.keyword", self.keyword)

    def read(self, parameters: str) -> Offered:
        parameters = checked("parameters", parameters, str)
        return _proven_offered(self, parameters, self.parse(parameters))

    def __call__(self, value: P) -> Offered:
        """The extension offered with this parameter; TypeError for what it does not take."""
        try:
            offered = self.read(self.format(value))
        except (AttributeError, TypeError) as error:
            said = wanted(self.format) or f": {error}"
            raise TypeError(f"{self.keyword} does not take {type_of(value)}{said}") from error
        if offered.parsed != value:
            raise TypeError(f"{self.keyword} does not take {value!r}: {offered.line!r} would be it")
        return offered

    def __repr__(self) -> str:
        return f"Extension({self.keyword})"


@final
class Offer:
    """What one EHLO reply offers: typed look-up, and what commands are then read against.

    ``offer[extensions.SIZE]`` is an int; ``in`` takes an extension or a keyword; keywords that no
    entry knows are kept with their parameters in ``unknown``, each line of one that came twice.
    Of an extension offered twice the last parameters count.
    """

    def __init__(
        self, offered: Iterable[Offered] = (), unknown: Iterable[EhloKeyword] = ()
    ) -> None:
        try:
            self._offered: Mapping[str, Offered] = {
                item.extension.keyword: item for item in offered
            }
        except (AttributeError, TypeError):
            raise TypeError("pass extensions with their values: Offer([SIZE(9)])") from None
        any_of_them: Any = unknown
        self.unknown: Final[tuple[EhloKeyword, ...]] = checked("unknown", any_of_them, _KEYWORDS)

    def __getitem__(self, extension: Extension[P]) -> P:
        # An Offered is only made by the extension of its keyword, so parsed is a P.
        parsed: Any = self._offered[_keyword(extension)].parsed
        result: P = parsed
        return result

    def get(self, extension: Extension[P]) -> P | None:
        """The extension's parameter, or None where it is not offered."""
        return self[extension] if _keyword(extension) in self._offered else None

    def __contains__(self, extension: AnyExtension | str) -> bool:
        """Whether it can be used, or, of a keyword, whether a line has it."""
        if isinstance(extension, str):
            return extension in self.keywords
        return _keyword(extension) in self._offered

    def __iter__(self) -> Iterator[Offered]:
        return iter(self._offered.values())

    def __len__(self) -> int:
        return len(self._offered) + len(self.unknown)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Offer):
            return NotImplemented
        return self.lines == other.lines

    def __hash__(self) -> int:
        return hash(self.lines)

    def __repr__(self) -> str:
        return f"Offer({', '.join(self.lines)})"

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The EHLO lines, one an extension: keyword and parameters."""
        known = (item.line for item in self._offered.values())
        return (*known, *(item.raw for item in self.unknown))

    @cached_property
    def keywords(self) -> tuple[str, ...]:
        """The keywords offered, each once, in order."""
        return tuple(dict.fromkeys((*self._offered, *(item.keyword for item in self.unknown))))

    def line_limits(self, command_line: int = COMMAND_LINE) -> Mapping[str, int]:
        """Octets of a command line with CRLF, by verb, where not ``command_line``.

        Each extension adds its increment (RFC 5321 §4.5.3.1.4).
        """
        command_line = checked("command_line", command_line, int)
        limits: dict[str, int] = {}
        for item in self._offered.values():
            for verb, octets in item.extension.increments:
                limits[verb] = limits.get(verb, command_line) + octets
        return limits

    @cached_property
    def listed_verbs(self) -> Mapping[str, str]:
        """The verbs that only listed peers may use, with the keyword that brings each."""
        return Table(
            (verb.name, keyword)
            for keyword, item in self._offered.items()
            if item.extension.when is When.TO_LISTED
            for verb in item.extension.verbs
        )

    @cached_property
    def mail(self) -> Mapping[str, AnyParameter]:
        """The parameters MAIL may have, by keyword."""
        return Table((p.keyword, p) for item in self for p in item.extension.mail)

    @cached_property
    def rcpt(self) -> Mapping[str, AnyParameter]:
        """The parameters RCPT may have, by keyword."""
        return Table((p.keyword, p) for item in self for p in item.extension.rcpt)

    def check(self, parameters: Parameters) -> CommandError | None:
        """What refuses the parameters of a MAIL or RCPT: together, or by what is offered.

        None where nothing does. The error's reason has no octet of the peer.
        """
        for item in self:
            check = item.extension.check
            error = None if check is None else check(self, parameters)
            if error is not None:
                return error
        return None

    def restricted(
        self, profile: Profile, *, tls: bool, listed: Container[str] = frozenset()
    ) -> Offer:
        """What of this a service may offer now: by profile, TLS, and what else is offered.

        ``listed``: keywords of those When.TO_LISTED for which the configuration lists the peer.
        """
        profile = checked("profile", profile, Profile)
        now = (When.ALWAYS, When.UNDER_TLS if tls else When.BEFORE_TLS)
        kept = {
            keyword: item
            for keyword, item in self._offered.items()
            if profile in item.extension.profiles
            and (
                item.extension.when in now
                or (item.extension.when is When.TO_LISTED and keyword in listed)
            )
        }
        # One that goes can take others with it.
        while lacking := [
            keyword
            for keyword, item in kept.items()
            if not kept.keys() >= set(item.extension.requires)
        ]:
            for keyword in lacking:
                del kept[keyword]
        return Offer(kept.values(), self.unknown)

    def grammar(
        self,
        leniency: Leniency,
        recognized: frozenset[bytes] = frozenset(),
        command_line: int = COMMAND_LINE,
    ) -> Grammar:
        """What a server that offers this reads commands against."""
        limits = self.line_limits(command_line)
        return Grammar(
            mail=self.mail,
            rcpt=self.rcpt,
            verbs={verb.name.encode(): verb for item in self for verb in item.extension.verbs},
            command_line=command_line,
            recognized=recognized,
            line_limits={verb.encode(): limit for verb, limit in limits.items()},
            smtputf8="SMTPUTF8" in self._offered,
            leniency=leniency,
        )


def _keyword(extension: AnyExtension) -> str:
    if isinstance(extension, AnyExtension):
        return extension.keyword
    raise TypeError(f"{type_of(extension)} is no extension: pass one, as extensions.SIZE")


_KEYWORDS: Final = tuple[EhloKeyword, ...]

Check: TypeAlias = Callable[[Offer, Parameters], CommandError | None]
"""Judges the parameters of a MAIL or RCPT together: what refuses the command, or None."""


@final
@value
class Row:
    """An extension of the catalogue that is loaded where it is first met.

    ``keyword``: its own. ``place``: its file in this package and its entry's name there.
    ``verbs``: those it brings. ``secret``: their arguments hold secrets.
    """

    keyword: str
    place: str
    verbs: tuple[str, ...] = ()
    secret: bool = False

    @property
    def entry(self) -> AnyExtension:
        """The extension itself."""
        module, name = self.place.split(".")
        found: AnyExtension = getattr(import_module(f"smtpwire.extensions.{module}"), name)
        return found


def _loaded(item: AnyExtension | Row) -> AnyExtension:
    return item.entry if isinstance(item, Row) else item


@final
class _Entries(Mapping[str, AnyExtension]):
    """The entries of a registry by keyword; a look-up loads one that only stands in a row."""

    def __init__(self, items: Iterable[AnyExtension | Row]) -> None:
        self._items = {item.keyword: item for item in items}

    def __getitem__(self, keyword: str) -> AnyExtension:
        return _loaded(self._items[keyword])

    def __contains__(self, keyword: object) -> bool:
        return keyword in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


@final
@value(checked=True)
class Registry:
    """The extensions known to one side: what it can read in an offer, and which verbs it knows.

    ``registry + (MINE,)`` is a registry with private entries added; an entry replaces one of the
    same keyword. ``extensions`` are entries, and rows of those not yet loaded; to go through the
    registry gives entries only.
    """

    __slots__ = ("__dict__",)  # for the look-ups, computed once

    extensions: tuple[AnyExtension | Row, ...] = ()

    def __repr__(self) -> str:
        """As short as the signatures of both configurations want it."""
        return f"<Registry of {len(self.extensions)} extensions>"

    def __add__(self, more: Iterable[AnyExtension]) -> Registry:
        more = checked("what is added to a Registry", more, tuple[AnyExtension, ...])
        by_keyword = {item.keyword: item for item in (*self.extensions, *more)}
        return Registry(tuple(by_keyword.values()))

    def __iter__(self) -> Iterator[AnyExtension]:
        return map(_loaded, self.extensions)

    @cached_property
    def by_keyword(self) -> Mapping[str, AnyExtension]:
        """The entries by keyword."""
        return _Entries(self.extensions)

    @cached_property
    def secrets(self) -> Mapping[str, bool]:
        """The verbs of all extensions, and whether a secret stands in the argument."""
        found: dict[str, bool] = {}
        for item in self.extensions:
            if isinstance(item, Row):
                found |= dict.fromkeys(item.verbs, item.secret)
            else:
                found |= {verb.name: verb.secret for verb in item.verbs}
        return Table(found)

    @cached_property
    def verbs(self) -> Mapping[str, AnyExtension]:
        """Which extension brings a verb."""
        return Table((verb.name, entry) for entry in self for verb in entry.verbs)

    @cached_property
    def parameters(self) -> Mapping[tuple[str, str], AnyExtension]:
        """Which extension brings a parameter, the first of several: ("MAIL", keyword) …"""
        found: dict[tuple[str, str], AnyExtension] = {}
        for entry in self:
            for parameter in entry.mail:
                found.setdefault(("MAIL", parameter.keyword), entry)
            for parameter in entry.rcpt:
                found.setdefault(("RCPT", parameter.keyword), entry)
        return Table(found)

    def read(self, keywords: Iterable[EhloKeyword]) -> Offer:
        """A peer's EHLO lines as an offer; never raises: what is malformed counts as unknown."""
        offered: list[Offered] = []
        unknown: list[EhloKeyword] = []
        for item in checked("keywords", keywords, _KEYWORDS):
            entry = self.by_keyword.get(item.keyword)
            try:
                if entry is None:
                    raise ValueError("no such entry")
                offered.append(entry.read(item.parameters))
            except ValueError:
                unknown.append(item)
        return Offer(offered, unknown)
