"""The protocol cases as values: ``cases.json``, every member read by name, none overlooked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, final

__all__ = ["CASES", "ENHANCED_ABSENT", "Case", "Expected", "Fields", "Given", "Happening", "Told"]

T = TypeVar("T")

ENHANCED_ABSENT: Final = "no enhanced code"
"""``"enhanced": null``: there must be none."""


@final
class Fields:
    """An object of JSON: each member is read by name and type, and ``end()`` wants all read."""

    def __init__(self, where: str, raw: object) -> None:
        if not isinstance(raw, dict):
            raise TypeError(f"{where} is no object: {raw!r}")
        self._where = where
        self._raw: dict[str, object] = {str(name): value for name, value in raw.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def _pop(self, name: str, kind: type[T], default: T) -> T:
        value = self._raw.pop(name, default)
        if not isinstance(value, kind):
            raise TypeError(f"{self._where}: {name} is no {kind.__name__}: {value!r}")
        return value

    def text(self, name: str, default: str = "") -> str:
        return self._pop(name, str, default)

    def octets(self, name: str) -> bytes | None:
        """A text each of whose characters is one octet; None where there is none."""
        return self.text(name).encode("latin-1") if name in self else None

    def number(self, name: str, default: int = -1) -> int:
        return self._pop(name, int, default)

    def flag(self, name: str, default: bool = False) -> bool:
        return self._pop(name, bool, default)

    def items(self, name: str) -> tuple[object, ...]:
        empty: list[object] = []
        return tuple(self._pop(name, list, empty))

    def texts(self, name: str) -> tuple[str, ...] | None:
        """None where the member is absent: an empty list says something."""
        return tuple(map(str, self.items(name))) if name in self else None

    def inner(self, name: str) -> "Fields":
        """An object in it; an empty one where the member is absent."""
        return Fields(f"{self._where}.{name}", self._raw.pop(name, {}))

    def is_null(self, name: str) -> bool:
        """Whether the member is there and null; it is then read."""
        if name in self._raw and self._raw[name] is None:
            del self._raw[name]
            return True
        return False

    def kind(self, name: str) -> type[object]:
        return type(self._raw.get(name))

    def rest(self) -> Mapping[str, object]:
        """All members not yet read."""
        rest, self._raw = self._raw, {}
        return rest

    def end(self) -> None:
        if self._raw:
            raise ValueError(f"{self._where}: nobody reads {sorted(self._raw)}")


@final
@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens after a chunk: the end of the stream, a decision of the application."""

    after_chunk: int
    name: str
    recipient: str = ""
    code: int = 0
    results: Mapping[str, int] | None = None
    """A reply code a recipient."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What holds before the first chunk."""

    profile: str
    tls: bool
    after: tuple[str, ...]
    fixed: bool
    """The chunks' borders are part of the case."""
    extensions: tuple[str, ...] | None
    credentials: Mapping[str, str]
    input_kind: str
    happenings: tuple[Happening, ...]
    mechanism: str
    limits: Mapping[str, int]
    mode: str
    bare_newlines: str
    outstanding: tuple[str, ...]
    command: str
    reject: tuple[str, ...]
    reject_text: str
    reject_enhanced: str | None
    refuse_hello: tuple[str, ...]
    tls_required: bool
    """The client's policy."""
    user: str
    password: str
    require_auth: bool
    require_tls: bool
    auth_requires_tls: bool
    server_nonce: str
    client_nonce: str
    token_octets: int
    use: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a client's caller must be told."""

    kind: str
    command: str
    code: int
    text: str | None
    lines: tuple[str, ...] | None
    enhanced: str | None
    outstanding: tuple[str, ...]
    data: str | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of it; each of ``either`` is one way for all of it to be right."""

    outcome: str
    replies: tuple[str, ...] | None
    by_chunk: tuple[tuple[str, ...], ...] | None
    either: tuple["Expected", ...]
    must_not: tuple[str, ...]
    told: tuple[Told, ...] | None
    wire: tuple[bytes, ...] | None
    wire_contains: tuple[bytes, ...]
    wire_allowed: tuple[bytes, ...]
    wire_rule: str
    message: bytes | None
    messages: int
    mechanisms: tuple[str, ...] | None
    keywords: tuple[str, ...] | None
    size_said: bool
    size: int | None
    no_limit: bool
    sender: str | None
    recipient: str | None
    recipients: tuple[str, ...] | None
    recipients_count: int
    params: Mapping[str, str] | None
    enhanced: str | None
    state_after: str
    authcid: str
    response_contains: tuple[bytes, ...]
    same_for: tuple[bytes, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case."""

    id: str
    title: str
    role: str
    area: str
    source: str
    rfc: str
    confidence: str
    given: Given
    chunks: tuple[bytes, ...]
    expected: Expected

    @property
    def octets(self) -> bytes:
        """All chunks as one."""
        return b"".join(self.chunks)

    @property
    def is_fixed(self) -> bool:
        """Whether the borders between the chunks must stay where they are."""
        last = len(self.chunks) - 1
        between = any(happening.after_chunk < last for happening in self.given.happenings)
        return self.given.fixed or self.expected.by_chunk is not None or between


def _latin(texts: tuple[str, ...] | None) -> tuple[bytes, ...] | None:
    return None if texts is None else tuple(text.encode("latin-1") for text in texts)


def _happening(where: str, raw: object) -> Happening:
    fields = Fields(where, raw)
    after, name = fields.number("after_chunk"), fields.text("event")
    recipient, code = fields.text("recipient"), fields.number("code", 0)
    results = {key: int(str(value)) for key, value in fields.rest().items()}
    return Happening(after, name, recipient, code, results or None)


def _given(where: str, fields: Fields) -> Given:
    fields.text("role"), fields.text("note")
    chunking = fields.text("chunking")
    tls_required = fields.kind("policy") is str and fields.text("policy") == "tls required"
    policy = fields.inner("policy")
    limits = fields.inner("limits")
    given = Given(
        profile=fields.text("profile"),
        tls=fields.flag("tls"),
        after=fields.texts("after") or (),
        fixed=chunking.startswith("fixed"),
        extensions=fields.texts("extensions"),
        credentials={name: str(word) for name, word in fields.inner("credentials").rest().items()},
        input_kind=fields.text("input_kind", "octets"),
        happenings=tuple(_happening(where, raw) for raw in fields.items("events")),
        mechanism=fields.text("mechanism"),
        limits={name: int(str(value)) for name, value in limits.rest().items()},
        mode=fields.text("mode"),
        bare_newlines=fields.text("bare_newline_policy"),
        outstanding=fields.texts("outstanding") or (),
        command=fields.text("command"),
        reject=policy.texts("reject") or (),
        reject_text=policy.text("reject_text"),
        reject_enhanced=policy.text("enhanced") or None,
        refuse_hello=policy.texts("refuse_ehlo") or (),
        tls_required=tls_required,
        user=fields.text("user"),
        password=fields.text("password"),
        require_auth=fields.flag("require_auth"),
        require_tls=fields.flag("require_tls"),
        auth_requires_tls=fields.flag("auth_requires_tls"),
        server_nonce=fields.text("server_nonce"),
        client_nonce=fields.text("client_nonce"),
        token_octets=fields.number("token_octets", 0),
        use=fields.text("use"),
    )
    fields.text("authzid")  # always empty
    policy.end()
    fields.end()
    return given


def _told(where: str, raw: object) -> Told:
    fields = Fields(where, raw)
    enhanced = ENHANCED_ABSENT if fields.is_null("enhanced") else fields.text("enhanced") or None
    text = fields.text("text") if "text" in fields else None
    told = Told(
        kind=fields.text("kind"),
        command=fields.text("for"),
        code=fields.number("code", 0),
        text=text,
        lines=fields.texts("lines") or fields.texts("lines_without_enhanced"),
        enhanced=enhanced,
        outstanding=fields.texts("outstanding") or (),
        data=fields.text("data") if "data" in fields else None,
    )
    fields.end()
    return told


def _by_chunk(fields: Fields) -> tuple[tuple[str, ...], ...] | None:
    if "by_chunk" not in fields:
        return None
    rows = []
    for raw in fields.items("by_chunk"):
        row: list[object] = raw if isinstance(raw, list) else []
        rows.append(tuple(map(str, row)))
    return tuple(rows)


def _expected(where: str, fields: Fields) -> Expected:
    fields.text("note")
    size_said = "size" in fields
    size = None if fields.is_null("size") or not size_said else fields.number("size")
    params = fields.inner("params").rest() if "params" in fields else None
    told = fields.items("events") if "events" in fields else None
    expected = Expected(
        outcome=fields.text("outcome"),
        replies=fields.texts("replies"),
        by_chunk=_by_chunk(fields),
        either=tuple(
            _expected(f"{where}.either", Fields(where, raw)) for raw in fields.items("either")
        ),
        must_not=fields.texts("must_not") or (),
        told=None if told is None else tuple(_told(where, raw) for raw in told),
        wire=_latin(fields.texts("wire")),
        wire_contains=_latin(fields.texts("wire_contains")) or (),
        wire_allowed=_latin(fields.texts("wire_allowed")) or (),
        wire_rule=fields.text("wire_rule"),
        message=fields.octets("message"),
        messages=fields.number("messages"),
        mechanisms=fields.texts("mechanisms"),
        keywords=fields.texts("keywords"),
        size_said=size_said,
        size=size,
        no_limit=fields.flag("no_limit"),
        sender=fields.text("sender") if "sender" in fields else None,
        recipient=fields.text("recipient") if "recipient" in fields else None,
        recipients=fields.texts("recipients"),
        recipients_count=fields.number("recipients_count"),
        params=None if params is None else {key: str(value) for key, value in params.items()},
        enhanced=fields.text("enhanced") or None,
        state_after=fields.text("state_after"),
        authcid=fields.text("authcid"),
        response_contains=_latin(fields.texts("response_contains")) or (),
        same_for=_latin(fields.texts("same_for")) or (),
    )
    fields.end()
    return expected


def _case(raw: object) -> Case:
    fields = Fields("case", raw)
    name = fields.text("id")
    case = Case(
        id=name,
        title=fields.text("title"),
        role=fields.text("role"),
        area=fields.text("area"),
        source=fields.text("source"),
        rfc=fields.text("rfc"),
        confidence=fields.text("confidence"),
        given=_given(name, fields.inner("given_context")),
        chunks=_latin(fields.texts("input_chunks")) or (),
        expected=_expected(name, fields.inner("expect")),
    )
    fields.end()
    return case


def _load() -> tuple[Case, ...]:
    raw: list[object] = json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))
    return tuple(_case(item) for item in raw)


CASES: Final = _load()
"""All cases, in their order."""
