"""What applications make themselves refuses the wrong type at once, for every public class."""

import inspect
import logging
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest

import smtpwire
from smtpwire import (
    REGISTRY,
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
    LineEndings,
    Mail,
    Need,
    Noop,
    Offer,
    Offered,
    Parameters,
    Password,
    Peer,
    PeerCertificate,
    PlainPassword,
    Policy,
    Profile,
    Rcpt,
    Registry,
    Reply,
    ReplyKind,
    Security,
    ServerConfig,
    ServerConnection,
    Timeouts,
    TlsInfo,
    Verb,
    ViolationKind,
    Vrfy,
    XClient,
    XForward,
    classify,
    derive_scram,
    describe,
    extensions,
    operations,
    parameters,
    received_header,
    replace,
    sasl,
    testing,
    tls_server_end_point,
    transcript,
)
from smtpwire.adapters.tls import TlsConfig
from smtpwire.extensions import When
from smtpwire.extensions.future_release import FutureRelease
from smtpwire.extensions.limits import ServerLimits
from smtpwire.operations import TlsRequired, alone, open_session, quit, reset, send_mail
from smtpwire.testing import every_split

BOB = Address("bob", "example.org")
LOGGER = logging.getLogger("smtpwire.test")
SERVER = ServerConfig.relay("mx.example.org", policies={ViolationKind.PIPELINING: Policy.CLOSE})

VALUES: list[Any] = [
    BOB,
    Anonymous(),
    BearerToken("alice", "token"),
    DigestMD5Secret("example.org", b"x" * 16),
    ExternalIdentity(),
    Password("alice", "wonderland"),
    PlainPassword("wonderland"),
    derive_scram("wonderland"),
    ClientConfig(),
    Envelope(Mail(BOB), (Rcpt(BOB),)),
    extensions.SIZE,
    FutureRelease(60, datetime(2099, 1, 1, tzinfo=UTC)),
    Leniency(),
    Limits(),
    extensions.SIZE(10),
    parameters.SIZE,
    parameters.DeliverBy(60, parameters.ByMode.RETURN),
    parameters.Mtrk("QUJD"),
    parameters.Rrvs(datetime(2020, 1, 1, tzinfo=UTC)),
    Peer(),
    PeerCertificate(b""),
    Registry(),
    Reply(250),
    ServerConfig.relay("mx.example.org"),
    ServerLimits(),
    Timeouts(),
    TlsConfig(ssl.create_default_context()),
    TlsInfo(),
    Verb("X", str, str),
]
"""Made by applications, once: checked by their constructors."""

COMMANDS: list[Any] = [
    Mail(BOB),
    Rcpt(BOB),
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
    Vrfy("bob"),
    XClient("c.example"),
    XForward("c.example"),
]
"""Parsed for every line, too: the type is looked at where they are made, the rest in the line."""

BY_OTHERS = {
    # what the engine tells
    *("AnonymousLogin", "Authenticated", "AuthenticationEnded", "AuthenticationFailed"),
    *("AuthorizationRequest", "BodyChunk", "Closed", "Connected", "EndOfMessage", "EndOfData"),
    "CommandQuestion",
    *("ExtensionsChanged", "ExternalLogin", "Greeting", "Identity", "InvalidCommand"),
    *("MessageAborted", "PasswordLogin", "ProtocolViolation", "ProxyHeader", "ProxyRefused"),
    *("ReplyReceived", "SecretRequest", "ServiceClosing", "Stats", "Timeout", "TokenLogin"),
    "Unanswered",
    # abstract, or of no fields
    *("ClientMechanism", "ServerMechanism", "Command", "ExtensionRequest", "Request", "Service"),
    *("Quit", "Rset", "StartTls"),
    # tested below
    *("ClientConnection", "ServerConnection", "Offer", "Parameters", "ProxyReader"),
}


def fields(item: Any) -> dict[str, object]:
    names = inspect.signature(type(item)).parameters
    return {name: getattr(item, name) for name in names}


EVERY_FIELD = [(item, name) for item in VALUES for name in fields(item)]


def named(found: object) -> str:
    return found if isinstance(found, str) else type(found).__name__


def test_every_public_class_is_looked_at() -> None:
    listed = BY_OTHERS | {type(item).__name__ for item in (*VALUES, *COMMANDS)}
    for name in vars(smtpwire)["__all__"]:
        made = getattr(smtpwire, name)
        if isinstance(made, type) and not issubclass(made, Enum | Exception):
            assert name in listed


@pytest.mark.parametrize(("item", "name"), EVERY_FIELD, ids=named)
def test_a_field_of_the_wrong_type_is_refused_by_name(item: Any, name: str) -> None:
    if (type(item), name) == (Offered, "parsed"):
        return  # of any type
    for wrong in (object(), [object()], {object(): object()}):
        with pytest.raises(TypeError, match=name):
            type(item)(**fields(item) | {name: wrong})


@pytest.mark.parametrize("item", VALUES, ids=named)
def test_a_misspelt_field_is_refused(item: Any) -> None:
    for name in fields(item):
        with pytest.raises(TypeError, match=r"has no|unexpected"):
            type(item)(**fields(item), **{f"{name}_": None})


@pytest.mark.parametrize("item", COMMANDS, ids=named)
def test_a_command_of_the_wrong_type_is_never_made(item: Command) -> None:
    for name in fields(item):
        with pytest.raises(TypeError, match=rf"^{type(item).__name__}.{name} is an object: pass "):
            replace(item, **{name: object()})


# -- words for what an enum has: the mode of failure that made "starttls" no TLS


@pytest.mark.parametrize("member", Security)
def test_security_by_its_word(member: Security) -> None:
    word: Any = member.value
    assert ClientConfig(security=word).security is member


def test_the_word_starttls_asks_for_tls() -> None:
    word: Any = "starttls"
    conn = ClientConnection(ClientConfig(security=word))
    conn.receive_data(b"220 mx.example.org\r\n")
    opening = open_session(conn)
    next(opening)
    conn.data_to_send()
    conn.receive_data(b"250 mx.example.org\r\n")
    with pytest.raises(TlsRequired):
        next(opening)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClientConfig(security="start-tls"),  # type: ignore[arg-type]  # what is tested
        lambda: replace(ClientConfig(), security="TLS"),
        lambda: replace(ServerConfig.relay("mx"), profile="smtp"),
        lambda: replace(ServerConfig.relay("mx"), line_endings="rejct"),
        lambda: replace(ServerConfig.relay("mx"), policies={"pipelining": "close"}),
        lambda: replace(ServerConfig.relay("mx"), replies={"greeting": Reply(220)}),
        lambda: Extension("X", "", "", str, str, when="tls"),  # type: ignore[arg-type]  # tested
        lambda: parameters.BODY("8bit"),  # type: ignore[arg-type]  # what is tested
        lambda: parameters.RET("full"),  # type: ignore[arg-type]  # what is tested
        lambda: parameters.NOTIFY(["ALWAYS"]),  # type: ignore[arg-type]  # what is tested
        lambda: parameters.DeliverBy(60, "X"),  # type: ignore[arg-type]  # what is tested
    ],
)
def test_a_word_that_no_enum_has_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=" pass a "):
        make()


def test_words_stand_for_members_everywhere() -> None:
    config = replace(
        ServerConfig.relay("mx.example.org"),
        profile="lmtp",
        line_endings="normalise",
        policies={ViolationKind.PIPELINING.value: "close"},
        replies={"the greeting": Reply(220, "hello")},
    )
    assert config.profile is Profile.LMTP
    assert config.line_endings is LineEndings.NORMALISE
    assert config.policy(ViolationKind.PIPELINING) is Policy.CLOSE
    assert config.texts[ReplyKind.GREETING].text == "mx.example.org hello"
    words: Mapping[str, Any] = {"when": "under TLS", "profiles": ["lmtp"]}
    extension = Extension("X", "", "", str, str, **words)
    assert (extension.when, extension.profiles) == (When.UNDER_TLS, frozenset({Profile.LMTP}))
    by: Any = parameters.DeliverBy(60, "R")  # type: ignore[arg-type]  # what is tested
    assert by.mode is parameters.ByMode.RETURN
    word: Any = "8BITMIME"
    assert str(parameters.BODY(word)) == "BODY=8BITMIME"
    assert str(parameters.NOTIFY(["DELAY", "FAILURE"])) == "NOTIFY=FAILURE,DELAY"  # type: ignore[arg-type]  # tested


# -- what cannot be


@pytest.mark.parametrize("name", fields(Timeouts()))
@pytest.mark.parametrize("seconds", [0, -1, 1e10, float("inf"), float("nan")])
def test_what_is_no_time(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=rf"^Timeouts\.{name} is "):
        Timeouts(**{name: seconds})


@pytest.mark.parametrize("name", fields(Limits()))
def test_what_is_no_limit(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^Limits\.{name} is -1: pass [01] or more$"):
        Limits(**{name: -1})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hello_name": "my host"}, "neither a domain"),
        ({"hello_name": "höst.example"}, "neither a domain"),
        ({"hello_name": "a\r\nb"}, "control character"),
        ({"hello_name": "mx.example:25"}, "ClientConfig.hello_name is 'mx.example:25': pass a dom"),
        ({"hello_name": "2001:db8::1"}, "ClientConfig.hello_name is '2001:db8::1': pass a domain"),
        ({"host": "mx example"}, "ClientConfig.host"),
        ({"host": "mx..example"}, "ClientConfig.host"),
        ({"host": "mx.example:25"}, "ClientConfig.host"),
        ({"host": "mx\n.example"}, "ClientConfig.host"),
        ({"port": 65536}, "ClientConfig.port is 65536: pass 0 to 65535"),
        ({"port": -1}, "ClientConfig.port is -1"),
        ({"chunk_size": 0}, "ClientConfig.chunk_size is 0"),
    ],
)
def test_a_client_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClientConfig(**settings)


@pytest.mark.parametrize("name", ["port", "destination_port"])
def test_a_peer_s_port(name: str) -> None:
    ports: dict[str, Any] = {name: 70000}
    with pytest.raises(ValueError, match=rf"^Peer\.{name} is 70000"):
        Peer(**ports)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda wrong: ServerConnection(wrong), "config"),
        (lambda wrong: ServerConnection(ServerConfig.relay("mx"), tls=wrong), "tls"),
        (lambda wrong: ServerConnection(ServerConfig.relay("mx"), peer=wrong), "peer"),
        (lambda wrong: ServerConnection(ServerConfig.relay("mx"), reply_suffix=wrong), "suffix"),
        (lambda wrong: ClientConnection(wrong), "config"),
        (lambda wrong: ClientConnection(tls=wrong), "tls"),
        (lambda wrong: ClientConnection(peer=wrong), "peer"),
        (lambda wrong: Parameters(wrong), "pass parameters with their values"),
        (lambda wrong: Offer([wrong]), "pass extensions with their values"),
        (lambda wrong: REGISTRY + wrong, "Registry"),
        (lambda wrong: REGISTRY.__add__([wrong]), "Registry"),
        (lambda wrong: Address.parse(wrong), "text"),
        (lambda wrong: parameters.BY(wrong), "BY does not take an object"),
        (lambda wrong: parameters.BODY(wrong), "BODY"),
        (lambda wrong: extensions.LIMITS(wrong), "LIMITS does not take an object"),
    ],
)
def test_a_wrong_argument_is_a_type_error(make: Callable[[Any], object], said: str) -> None:
    with pytest.raises(TypeError, match=f"{said}|object expected; got"):  # the latter: compiled
        make(object())


RECEIVED: dict[str, Any] = {
    "from_name": "c.example",
    "by": "mx.example.org",
    "protocol": "ESMTP",
    "timestamp": datetime(2020, 1, 1, tzinfo=UTC),
    "peer_address": "192.0.2.1",
    "peer_name": "c.example",
    "id": "x",
    "recipients": (BOB,),
    "tls_cipher": "TLS_AES_128_GCM_SHA256",
    "priority": 1,
}


@pytest.mark.parametrize("name", RECEIVED)
def test_an_argument_of_a_received_header(name: str) -> None:
    assert received_header(**RECEIVED).startswith(
        b"Received: from c.example (c.example [192.0.2.1])"
    )
    with pytest.raises(TypeError, match=r" is an object|with an object"):
        received_header(**RECEIVED | {name: object()})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        # look-ups
        (lambda wrong: Parameters()[wrong], "is no parameter: pass one, as parameters.SIZE"),
        (lambda wrong: Parameters().get(wrong), "is no parameter: pass one, as parameters.SIZE"),
        (lambda wrong: wrong in Parameters(), "is no parameter: pass one, as parameters.SIZE"),
        (lambda wrong: Parameters().without(wrong), "is no parameter"),
        (lambda wrong: Parameters().having(wrong), "pass parameters with their values"),
        (lambda wrong: Offer()[wrong], "is no extension: pass one, as extensions.SIZE"),
        (lambda wrong: Offer().get(wrong), "is no extension: pass one, as extensions.SIZE"),
        (lambda wrong: wrong in Offer(), "is no extension: pass one, as extensions.SIZE"),
        # extensions
        (lambda wrong: Offer(wrong), "pass extensions with their values"),
        (lambda wrong: Offer((), wrong), "^unknown is an object: pass a tuple of EhloKeyword$"),
        (lambda wrong: Offer().grammar(Leniency(), command_line=wrong), "^command_line is an obj"),
        (lambda wrong: Offer().restricted(wrong, tls=True), "^profile is an object: pass a Prof"),
        (lambda wrong: REGISTRY.read(wrong), "^keywords is an object: pass a tuple of EhloKey"),
        (lambda wrong: REGISTRY.read([wrong]), "^keywords is a tuple with an object: pass a tup"),
        (lambda wrong: extensions.SIZE.read(wrong), "^parameters is an object: pass a str$"),
        (lambda wrong: extensions.AUTH(wrong), "^AUTH does not take an object: pass a tuple of s"),
        (lambda wrong: parameters.SIZE.read(wrong), "^raw is an object: pass a str$"),
        (lambda wrong: parameters.BY(wrong), "^BY does not take an object: pass a DeliverBy$"),
        # configurations and connections
        (lambda wrong: ServerConfig.relay("mx", wrong), "^local_domains is an object: pass an I"),
        (lambda wrong: SERVER.policy(wrong), "^kind is an object: pass a ViolationKind$"),
        (lambda wrong: SERVER.plan(wrong), "^conditions is an object: pass an OfferConditions$"),
        (lambda wrong: SERVER.plan_for(wrong), "^offer is an object: pass an Offer$"),
        (lambda wrong: SERVER.check_offer(wrong), "^entries is an object: pass a mapping from"),
        (lambda wrong: SERVER.check_mechanisms(wrong), "^names is an object: pass a tuple of str"),
        (lambda wrong: Peer().behind(wrong), "^header is an object: pass a ProxyHeader$"),
        (lambda wrong: asked().offer(wrong), "^extensions is a tuple with an object: pass a tup"),
        # functions
        (lambda wrong: next(operations.advance(wrong)), "^conn is an object: pass a ClientConn"),
        (lambda wrong: next(operations.ask(wrong, Noop())), "^conn is an object: pass a Client"),
        (lambda wrong: next(operations.verify(wrong, "é")), "^conn is an object: pass a C"),
        (
            lambda wrong: next(operations.serve(wrong, wrong, SERVER, wrong, wrong)),
            "^session.conn is None: pass a ServerConnection$",
        ),
        (lambda wrong: tls_server_end_point(wrong), "^certificate is an object: pass bytes$"),
        (lambda wrong: derive_scram("x", iterations=wrong), "^iterations is an object: pass an i"),
        (lambda wrong: sasl.family(wrong), "^name is an object: pass a str$"),
        (lambda wrong: sasl.binds(wrong), "^name is an object: pass a str$"),
        (lambda wrong: sasl.check_mechanism("X", wrong), "^known is an object: pass a tuple of s"),
        (lambda wrong: sasl.server_mechanism(wrong, wrong), "^mechanism is an object: pass a str$"),
        (
            lambda wrong: sasl.server_mechanism("X", wrong, mechanisms=wrong),
            "^mechanisms is an object: pass a Mapping$",
        ),
        (
            lambda wrong: sasl.client_mechanism("X", wrong, wrong, mechanisms=wrong),
            "^mechanisms is an object: pass a Mapping$",
        ),
        (
            lambda wrong: sasl.choose_mechanism((), Anonymous(), tls=wrong, bindings={}),
            "^tls is an object: pass a TlsInfo, or None",
        ),
        (lambda wrong: transcript.octets_of(wrong, "C"), "^items is an object: pass an Iterable$"),
        (lambda wrong: transcript.elide(wrong, more_than=1), "^items is an object: pass an Iter"),
        (lambda wrong: transcript.without_secrets(wrong), "^items is an object: pass an Iterable"),
        (lambda wrong: transcript.without_echoes(wrong), "^items is an object: pass an Iterable$"),
        (lambda wrong: transcript.unescaped(wrong), "^text is an object: pass a str$"),
        (lambda wrong: transcript.elide([], more_than=wrong), "^more_than is an object: pass an int"),
        (lambda wrong: transcript.write([], session=wrong), "^session is an object: pass an int or"),
        (lambda wrong: transcript.log_trace(wrong, "client"), "^logger is an object: pass a loggi"),
        (lambda wrong: transcript.log_trace(LOGGER, "client", name=wrong), "^name is an object: pas"),
        (lambda wrong: transcript.log_trace(LOGGER, "client", level=wrong), "^level is an object: p"),
        (lambda wrong: derive_scram("x", salt=wrong), "^salt is an object: pass bytes or None$"),
        (lambda wrong: testing.sink(lmtp=wrong), "^lmtp is an object: pass a bool$"),
        (lambda wrong: ExtensionCommand("X").parsed(wrong), "^verb is an object: pass a Verb$"),
        (lambda wrong: classify(wrong, None), "^command is an object: pass a str$"),
        (lambda wrong: classify("MAIL", wrong), "^reply is an object: pass a Reply$"),
        (lambda wrong: describe(wrong), "^reply is an object: pass a Reply$"),
        (lambda wrong: replace(wrong), "^replace.. does not take an object: pass a value of"),
    ],
)  # fmt: skip
def test_what_is_asked_with_the_wrong_type(call: Callable[[Any], object], said: str) -> None:
    """The words say what to pass; before, they were Python's own of an attribute inside."""
    with pytest.raises(TypeError, match=f"{said}|object expected; got"):  # the latter: compiled
        call(object())


@pytest.mark.parametrize(
    "call",
    [
        transcript.without_secrets,
        transcript.without_echoes,
        transcript.write,
        transcript.elide,
        lambda text: transcript.octets_of(text, "C"),
    ],
)
def test_the_text_of_a_transcript_is_no_items_of_it(call: Callable[[Any], object]) -> None:
    """Its characters would come back as they are, with the secrets that were to be redacted."""
    with pytest.raises(TypeError, match=r"^items has a str: pass items, such as read\(\) gives$"):
        call("C: AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=")


def test_a_side_that_nobody_is() -> None:
    with pytest.raises(ValueError, match=r'^side is .client.: pass "C" for the client'):
        transcript.octets_of([], "client")  # type: ignore[arg-type] # it would be nothing


@pytest.mark.parametrize(
    "command",
    [
        Hello("\udc80"),
        Vrfy("\udc80"),
        ExtensionCommand("X", "\udc80"),
        Etrn("\udc80.example"),
        Atrn(("\udc80.example",)),
    ],
    ids=named,
)
def test_a_lone_surrogate_is_no_text(command: Command) -> None:
    with pytest.raises(ValueError, match=r"surrogate|not a") as caught:
        bytes(command)
    assert not isinstance(caught.value, UnicodeError)


def test_a_lone_surrogate_in_a_transcript() -> None:
    with pytest.raises(ValueError, match="a lone surrogate stands for no octets") as caught:
        transcript.unescaped("\udc80")
    assert not isinstance(caught.value, UnicodeError)


def test_what_parameters_and_offers_do_not_have() -> None:
    with pytest.raises(KeyError, match="SIZE"):
        Parameters()[parameters.SIZE]
    with pytest.raises(KeyError, match="SIZE"):
        Offer()[extensions.SIZE]


@pytest.mark.parametrize(
    "table",
    [
        REGISTRY.secrets,
        REGISTRY.verbs,
        REGISTRY.parameters,
        Offer().mail,
        Offer().rcpt,
        Offer().listed_verbs,
        SERVER.policies,
        SERVER.replies,
        SERVER.custom_mechanisms,
        SERVER.listed,
        SERVER.entries,
        SERVER.texts,
        SERVER.octets,
        SERVER.trust,
    ],
    ids=range(14),
)
def test_the_tables_of_a_value_that_never_changes(table: Any) -> None:
    with pytest.raises(TypeError, match="this table cannot be changed"):
        table["x"] = None


@pytest.mark.parametrize(
    "make",
    [
        lambda: extensions.AUTH("PLAIN"),  # type: ignore[arg-type]  # AUTH P L A I N
        lambda: extensions.SIZE("10"),  # type: ignore[arg-type]  # parsed would not be an int
        lambda: extensions.SIZE(1.5),  # type: ignore[arg-type]  # what is tested
        lambda: extensions.STARTTLS(False),
    ],
)
def test_an_offer_that_would_not_read_back(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="would be it"):
        make()


def test_a_parameter_without_a_value_is_given_or_left_out() -> None:
    for wrong in (False, "no", 1):
        given: Any = wrong
        with pytest.raises(ValueError, match="given as True, or left out"):
            parameters.SMTPUTF8(given)


def ready() -> ClientConnection:
    conn = ClientConnection()
    conn.receive_data(b"220 mx.example.org\r\n")
    opening = open_session(conn)
    next(opening)
    conn.data_to_send()
    conn.receive_data(b"250 mx.example.org\r\n")
    with pytest.raises(StopIteration):
        next(opening)
    return conn


def asked() -> ServerConnection:
    conn = ServerConnection(ServerConfig.relay("mx.example.org"))
    conn.next_event()
    return conn


def sending() -> ClientConnection:
    """In the middle of a body."""
    conn = ready()
    for command in (Mail(BOB), Rcpt(BOB), Data()):
        conn.send(command)
        while conn.next_event() is not Need.DATA:
            pass
        conn.data_to_send()
        conn.receive_data(b"354 go\r\n" if isinstance(command, Data) else b"250 OK\r\n")
    while conn.next_event() is not Need.BODY:
        pass
    return conn


@pytest.mark.parametrize("wrong", [5, None, "250 OK\r\n", [0x32], True])
@pytest.mark.parametrize(
    ("make", "call"),
    [
        (asked, "receive_data"),
        (ready, "receive_data"),
        (ready, "send"),
        (sending, "send_body"),
    ],
)
def test_a_call_with_the_wrong_type_changes_nothing(
    make: Callable[[], Any], call: str, wrong: object
) -> None:
    """``bytes(5)`` is five NULs, and None was the end of the stream."""
    conn = make()
    before = (conn.next_event(), conn.stats)
    with pytest.raises(TypeError, match=r"(data|command|chunk) is .*: pass "):
        getattr(conn, call)(wrong)
    assert (conn.next_event(), conn.stats) == before
    assert conn.data_to_send() == b""
    assert not conn.eof_received


# -- sender and recipients


@pytest.mark.parametrize(
    ("sender", "recipients", "said"),
    [
        ("a@example.com", "bob@example.org", r"^recipients is a str: pass a list"),
        ("a@example.com", b"bob@example.org", r"^recipients is bytes: pass a list"),
        ("a@example.com", BOB, r"^recipients is an Address: pass a list"),
        ("a@example.com", Rcpt(BOB), r"^recipients is a Rcpt: pass a list"),
        ("a@example.com", None, r"^recipients is None: pass a list"),
        ("a@example.com", [b"bob@example.org"], r"^an address is bytes: pass a str or an Address"),
        ("a@example.com", [None], r"^an address is None"),
        ("a@example.com", [Mail(BOB)], r"^an address is a Mail"),
        (b"a@example.com", [BOB], r"^an address is bytes"),
        (0, [BOB], r"^an address is an int"),
        (False, [BOB], r"^an address is a bool"),
        (Rcpt(BOB), [BOB], r"^an address is a Rcpt"),
    ],
)  # fmt: skip
def test_what_is_no_sender_and_no_list_of_recipients(
    sender: Any, recipients: Any, said: str
) -> None:
    conn = ready()
    with pytest.raises(TypeError, match=said):
        next(send_mail(conn, sender, recipients, b""))
    assert conn.data_to_send() == b""


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda wrong: next(open_session(wrong)), "^conn is a str: pass a ClientConnection"),
        (lambda wrong: next(send_mail(wrong, BOB, [BOB], b"")), "^conn is a str"),
        (lambda wrong: next(reset(wrong)), "^conn is a str"),
        (lambda wrong: next(quit(wrong)), "^conn is a str"),
        (lambda wrong: next(operations.command(wrong, Noop())), "^conn is a str"),
        (lambda wrong: next(alone(ready(), wrong)), "^operation is a str: pass a Generator"),
        (lambda wrong: asked().shutdown(wrong), "^reply is a str: pass a Reply"),
        (lambda wrong: next(every_split(wrong)), "^data is a str: pass bytes"),
    ],
)
def test_what_an_operation_is_not_given(call: Callable[[Any], object], said: str) -> None:
    with pytest.raises(TypeError, match=f"{said}|object expected; got"):  # the latter: compiled
        call("mx.example.org")


@pytest.mark.parametrize("text", ["Bob <bob@example.org>", "<bob@example.org>"])
def test_a_name_beside_the_address(text: str) -> None:
    for sender, recipient in ((text, "bob@example.org"), ("a@example.com", text)):
        conn = ready()
        with pytest.raises(ValueError, match="pass the address alone"):
            next(send_mail(conn, sender, [recipient], b""))
        assert conn.data_to_send() == b""
