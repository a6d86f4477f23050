"""Calls whose values have the right types, and lie where what is taken ends: rows for ``doors``.

A row is what is called, or a state of a connection and a method of it, and what is passed. What of
REFUSED is passed is refused in words; what of TAKEN is, is taken.
"""

from array import array
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from smtpwire import (
    Address,
    Atrn,
    Auth,
    Bdat,
    Burl,
    ClientConfig,
    ClientConnection,
    EndOfData,
    Etrn,
    ExtensionCommand,
    Help,
    Mail,
    Noop,
    Offer,
    Parameter,
    Parameters,
    Password,
    Peer,
    Policy,
    Profile,
    Reply,
    ReplyKind,
    ScramSecret,
    ServerConfig,
    ServerConnection,
    Timeouts,
    TlsInfo,
    Verb,
    ViolationKind,
    Vrfy,
    XClient,
    XForward,
    derive_scram,
    extensions,
    parameters,
    sasl,
    transcript,
    wire,
)
from smtpwire.engine.client.canonical import send_canonical
from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.state import mermaid
from smtpwire.engine.trust import TrustList
from smtpwire.extensions import FutureRelease, catalogue
from smtpwire.extensions.historic import VERB_VERB
from smtpwire.sasl import ClientExchange, ClientMechanismConfig, Failed
from smtpwire.testing import Script
from smtpwire.wire import ENHANCED_CODES, EhloKeyword, EhloResponse, format_proxy_header
from smtpwire.wire.proxy import ProxyCommand, ProxyHeader, ProxyTransport
from smtpwire.wire.table import Table

__all__ = ["REFUSED", "TAKEN", "Edge"]


class Edge(NamedTuple):
    """What is called: anything, or "client.send" of a state that ``doors`` has; and with what."""

    call: str | Callable[..., Any]
    arguments: tuple[Any, ...]
    given: Mapping[str, Any]


def _edge(call: str | Callable[..., Any], /, *arguments: Any, **given: Any) -> Edge:
    return Edge(call, arguments, given)


def _relay(**settings: Any) -> Edge:
    return _edge(ServerConfig.relay, "mx.example.org", **settings)


def _header(*fields: Any, checksum: bool = False) -> Edge:
    return _edge(format_proxy_header, ProxyHeader(*fields), checksum=checksum)


_MAPPED: Final = "::ffff:192.0.2.1"
_MOMENT: Final = datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
_LATE: Final = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-3)))
_SERVED: Final = ServerConfig.relay("mx.example.org", timeouts=Timeouts(session=60.0))
_LISTED: Final = ServerConfig.relay(
    "mx.example.org",
    proxy=frozenset({"192.0.2.1", "::ffff:198.51.100.0/120", "2001:db8::/32"}),
)
_NOT_ALONE: Final = Offer([extensions.SIZE(9), extensions.BINARYMIME(True)])
_LOCAL, _PROXY = ProxyCommand.LOCAL, ProxyCommand.PROXY
_UNSPEC, _TCP4, _TCP6 = ProxyTransport.UNSPEC, ProxyTransport.TCP4, ProxyTransport.TCP6
_V4: Final = ("192.0.2.1", 1), ("192.0.2.2", 25)
_V6: Final = ("2001:db8::1", 1), ("2001:db8::2", 25)

_REFUSED_CONFIGURATIONS: Final = (
    _relay(policies={ViolationKind.TOO_MUCH: Policy.NOTE}),
    _relay(replies={ReplyKind.GREETING: Reply(250)}),
    _relay(replies={ReplyKind.NOT_IMPLEMENTED: Reply(250)}),
    _relay(replies={ReplyKind.HELP: Reply(550)}),
    _relay(replies={ReplyKind.HELP: Reply(250, "\u00fc")}),
    _relay(offer=(extensions.SIZE(9),)),
    _relay(offer=(extensions.BURL,)),
    _relay(offer=(extensions.BINARYMIME,)),
    _relay(offer_order=("DSN",), offer=()),
    _relay(mechanisms=("SCRAM-SHA-256",), scram_secret=b"x" * 16, scram_iterations=4095),
    _relay(listed={"XCLIENT": frozenset({"192.0.2.1"})}),
    _relay(local_domains=("a b.example",)),
    _relay(proxy=frozenset({"mx.example.org"})),
    _edge(TrustList, "192.0.2.1"),
    _edge(TrustList, [5]),
    _edge(ClientConfig, chunk_size=0),
    _edge(ScramSecret, "SCRAM-SHA-256", b"", 4096, b"x" * 32, b"x" * 32),
    _edge(derive_scram, "wonderland", "SCRAM-MD5"),
    _edge(derive_scram, "wonderland", iterations=4095),
    _edge(sasl.check_credentials, 5),
    _edge(
        sasl.choose_mechanism,
        *(("SCRAM-SHA-256-PLUS",), Password("a", "b")),
        tls=5,
        bindings={},
    ),
    _edge(Failed, "no", text="\u00fc"),
    _edge(Table[str, str]().clear),
)
_REFUSED_VALUES: Final = (
    _edge(Bdat, -1),
    _edge(Auth, "PLAIN", "no base64!"),
    _edge(ExtensionCommand, "X", " y"),
    _edge(Help, "\u00fc"),
    _edge(Vrfy, "x SMTPUTF8"),
    _edge(Vrfy, "\u00fc"),
    _edge(Mail, Address("Postmaster", "")),
    _edge(Address, "bob>", ""),
    _edge(Atrn, ("a b",)),
    _edge(Atrn, ("a.example,b.example",)),
    _edge(Burl, "no URI"),
    _edge(Burl, "imap://x LAST"),
    _edge(Etrn, ""),
    _edge(Etrn, "@c.example"),
    _edge(XClient, port=99999),
    _edge(XClient, name="x" * 256),
    _edge(XClient, others={"NAME": "c.example"}),
    _edge(XForward, others={"NAME": "c.example"}),
    _edge(ExtensionCommand("X", "y").parsed, Verb("Y", str, str)),
    _edge(ExtensionCommand("VERB", "y").parsed, VERB_VERB),
    _edge(ExtensionCommand("VERB", "y", secret=True).parsed, VERB_VERB),
    _edge(Verb("Y", str, str.upper), 5),
    _edge(Parameter("Y", str, str), "a b"),
    _edge(Parameters, parameters.SIZE(9), parameters.SIZE(10)),
    _edge(parameters.SOLICIT.read, "x" * 1000),
    _edge(parameters.RRVS.read, "0001-01-01T00:00:00+01:00"),
    _edge(parameters.HOLDUNTIL, datetime(2030, 1, 1)),
    _edge(parameters.HOLDUNTIL, _LATE),
    _edge(Offer, 5),
    _edge(EhloKeyword, "\u00fc"),
    _edge(EhloResponse, "two words"),
    _edge(EhloResponse, "mx", "\n"),
    _edge(wire.format_reply, Reply(250), limit=10),
    _edge(transcript.Elided, "C", -1),
    _edge(transcript.Mark, "Two Words"),
    _edge(transcript.Line, "X", b""),
    _edge(transcript.Note, " blanks "),
    _edge(transcript.octets_of, [transcript.Elided("C", 5)], "C"),
    _edge(transcript.unescaped, "\udc80"),
    _header(3, _PROXY, _TCP4, *_V4),
    _header(1, _LOCAL, _UNSPEC),
    _header(1, _PROXY, ProxyTransport.UDP4, *_V4),
    _header(2, _LOCAL, _TCP4, *_V4),
    _header(2, _PROXY, _TCP4, *_V4, ((1, b"x" * 65_535),)),
    _header(2, _PROXY, ProxyTransport.UNIX_STREAM, *_V4),
    _header(2, _PROXY, _TCP4),
    _header(2, _PROXY, _TCP4, ("192.0.2.1", 65_536), ("192.0.2.2", 25)),
    _header(2, _PROXY, _TCP4, *_V4, ((3, b"1234"),)),
    _header(2, _PROXY, _TCP4, *_V6),
)
_REFUSED_BY_CONNECTIONS: Final = (
    _edge("client.receive_data", array("d", [0.5])),
    _edge("client that may send.send"),
    _edge("client that may send.send", Auth("PLAIN")),
    _edge("client that may send.send", Bdat(1)),
    _edge("client that may send.send", EndOfData()),
    _edge("client that may send.send", Mail(Address("Postmaster", ""))),
    _edge("client that may send.send", Noop("x" * 600)),
    _edge("client that may send.send", Help("\u00fc")),
    _edge("client that may send.send", ExtensionCommand("NOOP", "\u00fc")),
    _edge("client behind CR.end_body"),
    _edge("client behind CR in a chunk.end_body"),
    _edge("server.receive_data", array("d", [0.5])),
    _edge("server.session_timed_out"),
    _edge("server that is asked.reply", Reply(250), Reply(250)),
    _edge("server that is asked.reply", to=Noop()),
    _edge("server that is asked.shutdown", Reply(250)),
    _edge("server that is asked.offer", extensions.BINARYMIME(True)),
    _edge("server that is asked without TLS.offer", extensions.STARTTLS(True)),
    _edge("server that is asked for a secret.reply", Reply(235)),
    _edge("server that is asked for a secret.supply", 5),
    _edge(ServerConnection, ServerConfig.submissions("mx.example.org")),
    _edge(ServerConnection, _SERVED, reply_suffix="\0"),
    _edge("client that may send.send", ExtensionCommand("ETRN", "\u00fc")),
    _edge("client in an operation.begin_operation"),
    _edge("server that is full.receive_data", b"x"),
    _edge(send_canonical, ClientConnection(), b"x"),
    _edge("server that has a message.reply", Reply(250), Reply(250)),
    _edge(Script, "", plays="both"),
    _edge(Script("S: 220 mx").connect, "mx.example.org", 25),
    _edge(Script("S: 220 mx", plays="client").listen),
)
REFUSED: Final = (*_REFUSED_CONFIGURATIONS, *_REFUSED_VALUES, *_REFUSED_BY_CONNECTIONS)
"""ValueError, TypeError or LocalProtocolError, and a connection is as it was."""

TAKEN: Final = (
    _relay(policies={ViolationKind.PIPELINING: Policy.CLOSE}),
    _relay(replies={ReplyKind.SHUTDOWN: Reply(421, "later")}),
    _relay(replies={ReplyKind.HELP: Reply(214, "none\nat all")}),
    _relay(replies={ReplyKind.NOT_IMPLEMENTED: Reply(502, "no")}),
    _relay(listed={"X": frozenset({"192.0.2.1", "10.0.0.0/8", "::ffff:198.51.100.0/120"})}),
    _edge(TrustList(()).__contains__, "192.0.2.1"),
    _edge(_LISTED.trusted, _MAPPED),
    _edge(_LISTED.trusted, "2001:db8::1"),
    _edge(_LISTED.trusted, "a socket's path"),
    _edge(ClientConnection, tls=TlsInfo(), peer=Peer("192.0.2.1", 25)),
    _edge(
        Parameters(parameters.SIZE(9)).having,
        parameters.SIZE(10),
        parameters.BODY(parameters.Body.EIGHTBITMIME),
    ),
    _edge(parameters.RRVS.read, "2030-01-01T00:00:00+01:00"),
    _edge(parameters.SIZE(9).__eq__, 5),
    _edge(ENHANCED_CODES[1, 1].__str__),
    _edge(ExtensionCommand("VERB").parsed, VERB_VERB),
    _edge(VERB_VERB, None),
    _edge(XForward, name="c.example"),
    _edge(Address.parse, "bob@[IPv6:2001:db8::0001]"),
    _edge(Peer("192.0.2.1", 25).behind, ProxyHeader(2, _LOCAL, _UNSPEC)),
    _edge(_NOT_ALONE.restricted, Profile.RELAY, tls=True),
    _edge(extensions.FUTURERELEASE, FutureRelease(60, _MOMENT)),
    _edge(ProxyHeader, 2, _PROXY, _TCP4, *_V4, ((1, b"smtp"),)),
    _edge(COMMANDS.get, "MAIL"),
    _edge(
        sasl.client_mechanism,
        *("PLAIN", Password("a", "b"), ClientMechanismConfig()),
        mechanisms={"PLAIN": lambda credentials, config: ClientExchange("PLAIN")},
    ),
    _edge(ServerConnection(_SERVED).session_timed_out),
    _edge("client that was given up.begin_operation"),
    _edge("client that turned.reverse", _SERVED),
    _edge("server before TLS.receive_data", b"x"),
    _edge("server in a body.reply", Reply(421)),
    _header(2, _LOCAL, _UNSPEC),
    _header(2, _PROXY, _TCP6, ("192.0.2.1", 1), ("2001:db8::2", 25)),
    _header(2, _PROXY, ProxyTransport.UNIX_STREAM),
    _edge("client.receive_data", bytearray(b"220 mx\r\n")),
    _edge("client.receive_data", memoryview(b"220 mx\r\n")),
    _edge("server.receive_data", memoryview(b"EHLO c.example\r\n")),
    _edge("server that is asked for a secret.reply"),
    _edge("server that is asked.offer", extensions.SIZE(10**9)),
    _edge("server that turned.reverse", ClientConfig()),
    _edge(mermaid),
    _edge(catalogue.table),
    *(_edge(dir, room) for room in (wire, extensions, sasl)),
)
