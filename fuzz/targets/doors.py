"""The doors of the package: what is handed in is taken, or refused in words that say what to pass.

Most who call it have no type checker. Input: the name of a door in a line, any other stands for
some door; then an octet an argument: 0 is one that fits, any other is one of the values below, of
which few do. One octet more is an argument by a name that there is not. The doors of ``edges.py``
have their arguments, and it says whether these are taken.
"""

import inspect
import re
import ssl
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from enum import Enum
from functools import cache, partial
from types import GeneratorType
from typing import Any, Final, NamedTuple, get_type_hints
from zlib import crc32

import smtpwire
from fuzz.choices import Choices
from fuzz.edges import REFUSED, TAKEN, Edge
from smtpwire import (
    Address,
    Anonymous,
    Atrn,
    Auth,
    Bdat,
    BearerToken,
    Burl,
    ClientConfig,
    ClientConnection,
    Command,
    Data,
    DigestMD5Secret,
    Envelope,
    Etrn,
    Expn,
    Extension,
    ExtensionCommand,
    ExternalIdentity,
    Hello,
    Help,
    Leniency,
    Limits,
    LocalProtocolError,
    Mail,
    Need,
    Noop,
    Offer,
    Parameter,
    Parameters,
    Password,
    PasswordLogin,
    Peer,
    PeerCertificate,
    PlainPassword,
    Policy,
    Quit,
    Rcpt,
    Registry,
    Reply,
    ReplyKind,
    Rset,
    Security,
    ServerConfig,
    ServerConnection,
    SmtpwireError,
    StartTls,
    Timeouts,
    TlsInfo,
    Verb,
    ViolationKind,
    Vrfy,
    XClient,
    XForward,
    derive_scram,
    extensions,
    operations,
    parameters,
    sasl,
    transcript,
)
from smtpwire.adapters.tls import TlsConfig
from smtpwire.engine.server_settings import ServerSettings
from smtpwire.extensions.future_release import FutureRelease
from smtpwire.extensions.limits import ServerLimits
from smtpwire.sasl import ClientMechanismConfig, client_mechanism
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.checked import checked

_BOB: Final = Address("bob", "example.org")
_SERVER: Final = ServerConfig.relay(
    "mx.example.org",
    ("example.org",),
    offer=(extensions.PIPELINING, extensions.CHUNKING, extensions.ATRN),
    policies={ViolationKind.PIPELINING: Policy.CLOSE},
    starttls=True,
    mechanisms=("CRAM-MD5", "PLAIN"),
    cleartext_without_tls=True,
)
_DATA: Final = Data()
_WITHOUT_TLS: Final = ServerConfig.relay("mx.example.org", asks=frozenset({"HELP"}))
_OFFER: Final = Offer([extensions.SIZE(9), extensions.PIPELINING(True)])
_MECHANISM: Final = client_mechanism("PLAIN", Password("a", "b"), ClientMechanismConfig())

_ITEMS: Final[tuple[Any, ...]] = (
    _BOB,
    Anonymous(),
    BearerToken("alice", "token"),
    DigestMD5Secret("example.org", b"x" * 16),
    ExternalIdentity(),
    Password("alice", "wonderland"),
    PlainPassword("wonderland"),
    derive_scram("wonderland", salt=b"saltsalt"),
    ClientConfig(),
    Envelope(Mail(_BOB), (Rcpt(_BOB),)),
    FutureRelease(60, datetime(2099, 1, 1, tzinfo=UTC)),
    Leniency(),
    Limits(),
    extensions.SIZE(10),
    parameters.DeliverBy(60, parameters.ByMode.RETURN),
    parameters.Mtrk("QUJD"),
    parameters.Rrvs(datetime(2020, 1, 1, tzinfo=UTC)),
    Peer("192.0.2.1", 4711),
    PeerCertificate(b""),
    Registry((extensions.SIZE,)),
    Reply(250),
    _SERVER,
    ServerLimits(),
    Timeouts(),
    TlsConfig(ssl.create_default_context()),
    TlsInfo(),
    Verb("X", str, str),
    _OFFER,
    Parameters(parameters.SIZE(9), parameters.PRDR(True)),
    Mail(_BOB),
    Rcpt(_BOB),
    Data(),
    Atrn(("example.org",)),
    Auth("PLAIN"),
    Bdat(1),
    Burl("imap://example.org/"),
    Etrn("example.org"),
    Expn("list"),
    ExtensionCommand("X", "y"),
    Hello("c.example"),
    Help("x"),
    Noop("x"),
    Quit(),
    Rset(),
    StartTls(),
    Vrfy("bob"),
    XClient("c.example"),
    XForward("c.example"),
    *(item for item in vars(extensions).values() if isinstance(item, Extension)),
    *(item for item in vars(parameters).values() if isinstance(item, Parameter)),
)
"""One of each class that applications make, whose methods are called; they never change."""
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, 0, 5, -1, 10**30, 1.5, float("nan"), "", "text", "a@b.example", "mx\r\n", "é"),
    *("\udc80", "SIZE", b"", b"250 fine\r\n", bytearray(b"x"), [], ["text"], (), ("text",), {}),
    *({ViolationKind.BARE_LF: Policy.CLOSE}, {ReplyKind.GREETING: Reply(250)}, (True,), ("",)),
    *((extensions.BURL,), (extensions.BINARYMIME,), (extensions.SIZE,), ("SCRAM-SHA-256",)),
    *({"XCLIENT": frozenset({"192.0.2.1"})}, {"X": frozenset({"192.0.2.1"})}, ("a b.example",)),
    *({ReplyKind.GREETING: Reply(220, "mx\nand more")}, {ViolationKind.TOO_MUCH: Policy.NOTE}),
    *(Address("\u00fc", "example.org"), Mail(Address("\u00fc", "example.org")), Vrfy("\u00fc")),
    *({"text": frozenset({"text"})}, (_BOB,), [_BOB, _BOB], "PLAIN", ("PLAIN",), "TLSv1.3"),
    *({"text": 5}, set(), frozenset({"text"}), object(), int, len, [object()], {object(): 1}, [[]]),
    *(Security.STARTTLS, ReplyKind.GREETING, ViolationKind.PIPELINING, Need.DATA, iter(())),
    *(_MECHANISM, SIMULATED_TLS, _OFFER, *_ITEMS),
)
_SETTINGS: Final = tuple(ServerSettings.__annotations__)
_SPECIAL: Final = ("__getitem__", "__contains__", "__call__", "__add__", "__eq__")
_INNER: Final = re.compile(
    r"object (?:is not|has no|cannot|does not|of type)|object of type|unsupported operand"
    r"|argument of type|unhashable|not supported between|bytes-like|codec can't|invalid literal"
    r"|could not convert|cannot convert|values to unpack|sequence item|must be (?:a|str|int)"
    r"|expected (?:str|a)|too large|exceeds the limit"
)
"""Python's own words for what was not looked at before it was used."""
_SIGNATURE: Final = re.compile(r"positional argument|keyword argument|keyword-only argument")


class Door(NamedTuple):
    """A call of the public API."""

    make: Callable[[], Any]
    """Gives what has the method, or what is called."""
    method: str = ""
    edge: Edge | None = None
    """What is passed in any case."""
    taken: bool | None = None
    """Whether that is taken; of what an input chooses, nobody knows."""


# -- connections in several states


def _client(*replies: bytes, data: Data = _DATA) -> ClientConnection:
    conn = ClientConnection()
    commands = iter((Hello("c.example"), Mail(_BOB), Rcpt(_BOB), data))
    for reply in replies:
        conn.receive_data(reply)
        while not isinstance(conn.next_event(), Need):
            pass
        with suppress(StopIteration):
            conn.send(next(commands))
            conn.next_event()
            conn.data_to_send()
    return conn


def _client_then(command: Command, *replies: bytes) -> ClientConnection:
    conn = _client(b"220 mx\r\n")
    conn.receive_data(b"250-mx\r\n250-STARTTLS\r\n250-ATRN\r\n250 AUTH PLAIN\r\n")
    while not isinstance(conn.next_event(), Need):
        pass
    conn.send(command)
    conn.next_event()
    conn.data_to_send()
    for reply in replies:
        conn.receive_data(reply)
    while not isinstance(conn.next_event(), Need):
        pass
    return conn


def _client_behind_cr(*replies: bytes, data: Data = _DATA) -> ClientConnection:
    """In a body that has come to a CR, whose LF is still to come."""
    before = b"220 mx\r\n", b"250-mx\r\n250 CHUNKING\r\n", b"250 OK\r\n", b"250 OK\r\n"
    conn = _client(*before, *replies, data=data)
    conn.send_body(b"text\r")
    return conn


def _client_in_operation() -> ClientConnection:
    conn = _client(b"220 mx\r\n")
    conn.begin_operation()
    return conn


def _client_given_up() -> ClientConnection:
    """In the middle of an operation that nobody goes on with."""
    conn = _client(b"220 mx\r\n", b"250 mx\r\n")
    conn.begin_operation()
    conn.end_operation(given_up=True)
    return conn


def _server(octets: bytes, config: ServerConfig = _SERVER) -> ServerConnection:
    """What is asked is answered, but for what is asked last."""
    conn = ServerConnection(config)
    lines = octets.splitlines(keepends=True)
    while True:
        item = conn.next_event()
        if item is Need.REPLY and lines:
            conn.reply(*([Reply(235)] if isinstance(conn.pending, PasswordLogin) else []))
        elif isinstance(item, Need):
            conn.data_to_send()
            if item is Need.REPLY or not lines:
                return conn
            conn.receive_data(lines.pop(0))


def _server_turned() -> ServerConnection:
    """What the other role sends came early, and the end of the stream."""
    conn = _server(_EHLO + _LOGIN + b"ATRN example.org\r\n")
    conn.receive_data(b"220 mx\r\n")
    conn.receive_data(b"")
    conn.reply(Reply(250))
    while not isinstance(conn.next_event(), Need):
        pass
    return conn


def _server_full() -> ServerConnection:
    """Nobody answers it, and the client goes on."""
    conn = _server(b"")
    while conn.wants_data:
        conn.receive_data(b"x" * 4096)
    while not isinstance(conn.next_event(), Need):
        pass
    return conn


def _server_before_tls() -> ServerConnection:
    """Its 220 to STARTTLS has not left."""
    conn = _server(_EHLO + b"STARTTLS\r\n")
    conn.reply()
    return conn


_EHLO: Final = b"EHLO c.example\r\n"
_TO_ONE: Final = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@example.org>\r\n"
_LOGIN: Final = b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n"
_DIGEST: Final = b"AUTH CRAM-MD5\r\n" + b2a_base64(b"alice " + b"0" * 32, newline=False)
_CONNECTIONS: Final[dict[str, Callable[[], Any]]] = {
    "client": _client,
    "client that may send": partial(_client_then, Noop(), b"250 OK\r\n"),
    "client that waits": partial(_client, b"220 mx\r\n", b"250 mx\r\n"),
    "client in a body": partial(
        _client, b"220 mx\r\n", b"250 mx\r\n", *[b"250 OK\r\n"] * 2, b"354 go\r\n"
    ),
    "client behind CR": partial(_client_behind_cr, b"354 go\r\n"),
    "client behind CR in a chunk": partial(_client_behind_cr, data=Data(chunking=True)),
    "client in an operation": _client_in_operation,
    "client that was given up": _client_given_up,
    "client that said QUIT": partial(_client_then, Quit(), b"221 bye\r\n"),
    "client that asked for TLS": partial(_client_then, StartTls(), b"220 go\r\n"),
    "client that turned": partial(_client_then, Atrn(("example.org",)), b"250 now\r\nEHLO x\r\n"),
    "server": partial(_server, b""),
    "server that is asked": partial(_server, b"EHLO c.example\r\n"),
    "server that is asked for a sender": partial(_server, _EHLO + b"MAIL FROM:<a@b.example>\r\n"),
    "server that is asked for a body": partial(_server, _EHLO + _TO_ONE + b"DATA\r\n"),
    "server that has a message": partial(_server, _EHLO + _TO_ONE + b"DATA\r\nx\r\n.\r\n"),
    "server in a body": partial(_server, _EHLO + _TO_ONE + b"DATA\r\nx\r\n"),
    "server that is asked for TLS": partial(_server, _EHLO + b"STARTTLS\r\n"),
    "server that is asked for a secret": partial(_server, _EHLO + _DIGEST + b"\r\n"),
    "server that is asked for help": partial(_server, _EHLO + b"HELP\r\n", _WITHOUT_TLS),
    "server that is asked to turn": partial(_server, _EHLO + _LOGIN + b"ATRN example.org\r\n"),
    "server that turned": _server_turned,
    "server before TLS": _server_before_tls,
    "server that is full": _server_full,
    "server that is asked without TLS": partial(_server, _EHLO, _WITHOUT_TLS),
}


# -- the doors


def _same(item: Any) -> Any:
    return item


_METHODS: Final = (type(_same), classmethod, staticmethod)


def _of_items() -> Iterator[tuple[str, Door]]:
    for item in _ITEMS:
        kind = type(item)
        named = repr(item) if kind in (Extension, Parameter) else kind.__name__
        yield kind.__name__, Door(partial(_same, kind))
        for name in dir(kind):
            found = inspect.getattr_static(kind, name)
            if name in _SPECIAL or (name[0] != "_" and isinstance(found, _METHODS)):
                yield f"{named}.{name}", Door(partial(_same, item), name)


def _of_functions() -> Iterator[tuple[str, Door]]:
    for room in (smtpwire, operations, sasl, transcript):
        for name in vars(room)["__all__"]:
            found = getattr(room, name)
            if inspect.isfunction(found):
                yield f"{room.__name__}.{name}", Door(partial(_same, found))


def _of_connections() -> Iterator[tuple[str, Door]]:
    for named, make in _CONNECTIONS.items():
        kind = type(make())
        yield kind.__name__, Door(partial(_same, kind))
        for method in dir(kind):
            if method[0] != "_" and inspect.isfunction(inspect.getattr_static(kind, method)):
                yield f"{named}.{method}", Door(make, method)


_MADE: Final[dict[object, Callable[[], Any]]] = {
    ClientConnection: _CONNECTIONS["client that may send"],
    ServerConnection: _CONNECTIONS["server that is asked"],
}


def _of_edges() -> Iterator[tuple[str, Door]]:
    for word, taken, edges in (("refused", False, REFUSED), ("taken", True, TAKEN)):
        for number, edge in enumerate(edges):
            if isinstance(edge.call, str):
                state, _, method = edge.call.partition(".")
                door = Door(_CONNECTIONS[state], method)
            else:
                door = Door(partial(_same, edge.call))
            yield f"{word} {number}", door._replace(edge=edge, taken=taken)


DOORS: Final = dict([*_of_items(), *_of_functions(), *_of_connections(), *_of_edges()])
_NAMES: Final = tuple(DOORS)


def check(data: bytes) -> None:
    line, _, octets = data.partition(b"\n")
    name = line.decode("latin-1")
    door = DOORS.get(name) or DOORS[_NAMES[crc32(line) % len(_NAMES)]]
    item = door.make()
    call = getattr(item, door.method) if door.method else item
    arguments, given = door.edge[1:] if door.edge else _arguments(call, Choices(octets))
    before = _observed(item)
    try:
        made = call(*arguments, **given)
        if isinstance(made, GeneratorType):  # an operation
            next(made, None)
        elif isinstance(made, Command):
            bytes(made)
    except (TypeError, ValueError, LocalProtocolError) as error:
        words = str(error)
        assert not door.taken, (door, words)
        misnamed = door.edge is None and _SIGNATURE.search(words)
        assert misnamed or not _INNER.search(words), (door, arguments, given, words)
        assert _observed(item) == before, (door, arguments, given)
        _look_at(copy(error))
    except SmtpwireError:  # how an operation ends that was begun as it should, and the like
        assert not door.method
    except KeyError:  # as of any mapping: what is asked for is of the right type, and not there
        assert door.method == "__getitem__", (door, arguments)
    else:
        assert door.taken is not False, door
        _look_at(made)
    _look_at(item)


def _look_at(item: object) -> None:
    """Whatever can be read of it is there; a copy is the same."""
    if not type(item).__module__.startswith("smtpwire") or isinstance(item, Enum):
        return
    for name in dir(type(item)):
        if name[0] != "_" and not callable(inspect.getattr_static(type(item), name)):
            found = getattr(item, name)
            if isinstance(found, Mapping):
                for inner in (found, *found.values()):
                    _look_at(inner)
    assert repr(item)
    if type(item).__eq__ is not object.__eq__:
        again = copy(item)
        assert again == item
        with suppress(TypeError):  # of what cannot be looked up: a field is a mapping
            assert hash(again) == hash(item)


def _arguments(call: Any, choices: Choices) -> tuple[Iterable[Any], Mapping[str, Any]]:
    """One for each parameter, while the input says which; those without a default in any case."""
    arguments: list[Any] = []
    given: dict[str, Any] = {}
    for parameter in _parameters(call):
        kind = parameter.kind
        if kind is parameter.VAR_KEYWORD:
            if choices:
                given[_SETTINGS[choices.below(len(_SETTINGS))]] = _argument(
                    call, "", choices.octet()
                )
            continue
        if not choices and parameter.default is not parameter.empty:
            break
        argument = _argument(call, parameter.name, choices.octet())
        if kind is parameter.KEYWORD_ONLY:
            given[parameter.name] = argument
        else:
            arguments.append(argument)
    if choices:
        given["no_such_name"] = None
    return arguments, given


def _parameters(call: Any) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(call).parameters.values()
    except ValueError:  # it is compiled, and tells none
        return ()


def _argument(call: Any, name: str, octet: int) -> Any:
    if octet:
        return _VALUES[octet % len(_VALUES)]
    annotation = _annotations(getattr(call, "__func__", call)).get(name, object)
    if annotation in _MADE:
        return _MADE[annotation]()
    return _fitting(annotation)


@cache
def _annotations(call: Any) -> dict[str, Any]:
    called: Any = call
    try:
        return get_type_hints(called.__init__ if isinstance(call, type) else called)
    except (NameError, TypeError):  # what is imported for type checkers only; a slot's wrapper
        return {}


@cache
def _fitting(annotation: Any) -> Any:
    """The first of the values that the annotation takes."""
    for value in _VALUES:
        with suppress(TypeError, ValueError):
            return checked("value", value, annotation)
    return None


def _observed(item: object) -> object:
    """What an application sees of a connection."""
    if not isinstance(item, ClientConnection | ServerConnection):
        return None
    pending = item.pending if isinstance(item, ServerConnection) else None
    state = (item.next_event(), item.state, item.replies_owed, item.eof_received)
    return (*state, item.wants_data, item.timeout, item.stats, pending)
