"""Nothing an application hands in can end its argument early, or smuggle in another one.

Each string with CR, LF, NUL, octets above 127, ``>``, blanks or a parameter in it is refused before
an octet leaves, or is sent as one line which the other side reads as the same value.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest
from tests.engine.client_dialogue import ALICE, BOB, VERIFIED
from tests.sasl.conversation import client_config, server_config

from smtpwire import (
    REGISTRY,
    Address,
    Anonymous,
    Atrn,
    BearerToken,
    BodyChunk,
    Burl,
    ClientConfig,
    ClientConnection,
    Command,
    Connected,
    Data,
    Etrn,
    Expn,
    Extension,
    ExtensionCommand,
    ExternalIdentity,
    Hello,
    Help,
    InvalidCommand,
    Leniency,
    LocalProtocolError,
    Mail,
    Need,
    Noop,
    Offer,
    Offered,
    Parameter,
    Parameters,
    Password,
    ProtocolViolation,
    Quit,
    Rcpt,
    Registry,
    Reply,
    ReplyKind,
    Request,
    SaslError,
    ServerConfig,
    ServerConnection,
    Verb,
    Vrfy,
    XClient,
    XForward,
    extensions,
    parameters,
    received_header,
    replace,
)
from smtpwire.operations import open_session, send_mail, verify
from smtpwire.sasl import (
    MECHANISMS,
    AnonymousLogin,
    Ask,
    Challenge,
    ClientMechanismConfig,
    ExternalLogin,
    Failed,
    PasswordLogin,
    PlainPassword,
    SecretRequest,
    Succeeded,
    TokenLogin,
    client_mechanism,
    server_mechanism,
)
from smtpwire.testing import drain, every_split
from smtpwire.wire.address import proven_address
from smtpwire.wire.command import parse_command
from smtpwire.wire.ehlo import parse_ehlo
from smtpwire.wire.parameter import Given
from smtpwire.wire.reply_parser import ReplyParser

HOSTILE: Final = (
    *(
        "\r\nRSET",
        "\r\nRSET\r\n",
        "\r",
        "\n",
        "\r\n",
        "\0",
        "\x7f",
        "\x1b[2J",
        "\t",
        "\x0b",
        "\x0c",
    ),
    *("é", "\x80", "\x85", "\u2028", "\ud800", "ſ", "٣"),
    *(
        ">",
        "> SIZE=1",
        "> RET=FULL <",
        "<",
        " ",
        " SIZE=1",
        " SMTPUTF8",
        " LAST",
        "=",
        "+0D+0A",
        ",",
    ),
    *('"', "\\", '"\r\n', "@", ":", ";", "(", "\r\n250 OK", "\n250-AUTH PLAIN", "\x01", "%0d%0a"),
)


def hostile(word: str = "a") -> Iterator[str]:
    """Every hostile string before, within and behind a harmless word."""
    for piece in HOSTILE:
        yield from (piece + word, word + piece + word, word + piece)


EVERYTHING: Final = Offer(
    [
        extensions.SIZE(10**9),
        extensions.AUTH(("PLAIN",)),
        extensions.LIMITS(extensions.ServerLimits(rcptmax=1000)),
        extensions.FUTURERELEASE.read("9999 2099-01-01T00:00:00Z"),
        extensions.DELIVERBY(None),
        *(
            entry.read(
                "imap"
                if entry is extensions.BURL
                else "NAME ADDR PORT PROTO HELO LOGIN IDENT SOURCE"
            )
            if entry in (extensions.BURL, extensions.XCLIENT, extensions.XFORWARD)
            else entry.read("")
            for entry in REGISTRY
            if entry.keyword
            not in (
                "SIZE",
                "AUTH",
                "LIMITS",
                "FUTURERELEASE",
                "DELIVERBY",
                "STARTTLS",
                "PIPECONNECT",
                "X_PIPE_CONNECT",
            )
        ),
    ]
)
X_PARAMETER: Final[Parameter[str]] = Parameter("X-FREE", lambda raw: raw or "", lambda text: text)
X_VERB: Final[Verb[str]] = Verb("XFREE", str, str)
X_FREE: Final = Extension(
    "X-FREE",
    "",
    "takes anything",
    str,
    str,
    mail=(X_PARAMETER,),
    rcpt=(X_PARAMETER,),
    verbs=(X_VERB,),
)
ALL: Final = Registry((*REGISTRY, X_FREE))


def greeted() -> ClientConnection:
    """A client that was offered everything."""
    conn = ClientConnection(ClientConfig(registry=ALL), tls=VERIFIED)
    lines = ["mx.example.com", *EVERYTHING.lines, "X-FREE"]
    reply = "".join(f"250-{line}\r\n" for line in lines) + "250 DSN\r\n"
    conn.receive_data(b"220 mx.example.com ESMTP\r\n")
    drain(conn)
    conn.send(Hello("c.example"))
    conn.data_to_send()
    conn.receive_data(reply.encode())
    drain(conn)
    return conn


# -- what a client's application hands in


def _mail(parameter: Parameter[Any], value: Any) -> Command:
    return Mail(ALICE, Parameters(parameter(value)))


def _mail_utf8(address: Address) -> Command:
    return Mail(address, Parameters(parameters.SMTPUTF8(True)))


COMMANDS: Final[dict[str, Callable[[str], Command]]] = {
    "EHLO": Hello,
    "HELO": lambda text: Hello(text, "HELO"),
    "an address that is parsed": lambda text: Mail(Address.parse(text)),
    "an address that is parsed, with SMTPUTF8": lambda text: _mail_utf8(Address.parse(text)),
    "local-part": lambda text: Mail(Address(text, "example.com")),
    "local-part, with SMTPUTF8": lambda text: _mail_utf8(Address(text, "example.com")),
    "domain": lambda text: Mail(Address("a", text)),
    "domain, with SMTPUTF8": lambda text: _mail_utf8(Address("a", f"{text}.example")),
    "address literal": lambda text: Mail(Address("a", f"[{text}]")),
    "tagged literal": lambda text: Mail(Address("a", f"[tag:{text}]")),
    "the path as it came": lambda text: Mail(Address("a", "b.example", text)),
    "forward-path": lambda text: Rcpt(Address(text, "example.com")),
    "a local-part that nobody checked": lambda text: Mail(proven_address(text, "example.com", "")),
    "a domain that nobody checked": lambda text: Mail(proven_address("a", text, "")),
    "a forward-path that nobody checked": lambda text: Rcpt(
        proven_address(text, "example.com", "a@example.com")
    ),
    "the EHLO verb": lambda text: Hello("c.example", cast("Any", text)),
    "ENVID": lambda text: _mail(parameters.ENVID, text),
    "AUTH=": lambda text: _mail(parameters.AUTH, Address(text, "example.com")),
    "SUBMITTER": lambda text: _mail(parameters.SUBMITTER, Address(text, "example.com")),
    "TRANSID": lambda text: _mail(parameters.TRANSID, f"<{text}@example.com>"),
    "SOLICIT": lambda text: _mail(parameters.SOLICIT, (text,)),
    "MTRK": lambda text: Mail(
        ALICE, Parameters(parameters.ENVID("e@x.example"), parameters.MTRK(parameters.Mtrk(text)))
    ),
    "ORCPT's type": lambda text: _rcpt(parameters.Orcpt(text, "a@b.example")),
    "ORCPT": lambda text: _rcpt(parameters.Orcpt("rfc822", text)),
    "ORCPT in UTF-8": lambda text: _rcpt(parameters.Orcpt("utf-8", text)),
    "a parameter of one's own": lambda text: _mail(X_PARAMETER, text),
    "a parameter of one's own, as it came": lambda text: Mail(
        ALICE, Parameters(X_PARAMETER.read(text))
    ),
    "a parameter that nobody made": lambda text: Rcpt(
        BOB, Parameters(Given("X-FREE", text, X_PARAMETER, text))
    ),
    "a parameter's keyword": lambda text: Mail(
        ALICE, Parameters(Given(text, None, X_PARAMETER, text))
    ),
    "NOOP": Noop,
    "HELP": Help,
    "VRFY": Vrfy,
    "VRFY with SMTPUTF8": lambda text: Vrfy(text, smtputf8=True),
    "EXPN": Expn,
    "ETRN": Etrn,
    "ETRN with its subdomains": lambda text: Etrn(text, "@"),
    "ETRN queue": lambda text: Etrn(text, "#"),
    "ATRN": lambda text: Atrn((text,)),
    "BURL": lambda text: Burl(f"imap://{text}"),
    "XCLIENT": lambda text: XClient(hello=text),
    "XCLIENT's name": lambda text: XClient(name=text),
    "XCLIENT's address": lambda text: XClient(address=text),
    "XCLIENT's protocol": lambda text: XClient(protocol=text),
    "XCLIENT's reverse name": lambda text: XClient(reverse_name=text),
    "XCLIENT's destination": lambda text: XClient(destination_address=text),
    "XCLIENT's other value": lambda text: XClient(others=(("X", text),)),
    "XCLIENT's login": lambda text: XClient(login=text),
    "XCLIENT's others": lambda text: XClient(others=((text, "x"),)),
    "XFORWARD's name": lambda text: XForward(name=text),
    "XFORWARD's address": lambda text: XForward(address=text),
    "XFORWARD's HELO name": lambda text: XForward(hello=text),
    "XFORWARD's protocol": lambda text: XForward(protocol=text),
    "XFORWARD's others": lambda text: XForward(others=((text, "x"),)),
    "XFORWARD": lambda text: XForward(ident=text),
    "a verb": lambda text: ExtensionCommand(text, "x"),
    "a verb's argument": lambda text: ExtensionCommand("XFREE", text),
    "a verb's typed argument": lambda text: X_VERB(text),
}
INSIDE: Final = frozenset(
    {
        "forward-path",
        "a forward-path that nobody checked",
        "ORCPT's type",
        "ORCPT",
        "ORCPT in UTF-8",
        "a parameter that nobody made",
    }
)

NEVER_SENT: Final = frozenset({"the path as it came"})


def _rcpt(orcpt: parameters.Orcpt) -> Command:
    return Rcpt(BOB, Parameters(parameters.ORCPT(orcpt)))


def prepared(slot: str) -> ClientConnection:
    """A client where this command may come."""
    conn = greeted()
    if slot in INSIDE or slot == "BURL":
        in_transaction(conn)
    if slot == "BURL":
        conn.send(Rcpt(BOB))
        conn.data_to_send()
        conn.receive_data(b"250 OK\r\n")
        drain(conn)
    return conn


def in_transaction(conn: ClientConnection) -> ClientConnection:
    conn.send(Mail(ALICE))
    conn.data_to_send()
    conn.receive_data(b"250 OK\r\n")
    drain(conn)
    return conn


def send(conn: ClientConnection, make: Callable[[str], Command], text: str) -> Command | None:
    """Send it; None where that was refused."""
    try:
        return conn.send(make(text))
    except (ValueError, LocalProtocolError):
        return None


@pytest.mark.parametrize("slot", COMMANDS)
def test_a_command_is_one_line_with_one_meaning_or_refused(slot: str) -> None:
    conn = prepared(slot)
    taken = 0
    refused = 0
    state = conn.state
    for text in hostile():
        command = send(conn, COMMANDS[slot], text)
        octets = conn.data_to_send()
        if command is None:
            refused += 1
            assert octets == b"", text
            continue
        taken += 1
        assert octets.endswith(b"\r\n")
        line = octets[:-2]
        assert not any(control in line for control in b"\r\n\0\x7f\t\x0b\x0c\x1b\x01"), text
        assert (
            line.isascii()
            or b"SMTPUTF8" in line
            or isinstance(command, Noop | Help | ExtensionCommand | Mail | Rcpt)
        ), text
        assert read(line) == command, text
        conn.receive_data(b"550 no\r\n")
        drain(conn)
        if slot == "BURL":  # after a refused one, nothing but RSET can follow
            conn = prepared(slot)
        assert conn.state is state
    assert refused > 20 or slot in NEVER_SENT, "at least the line ends and NUL"
    assert taken + refused == 3 * len(HOSTILE)


def read(line: bytes) -> Command:
    """What a server makes of a line."""
    offer = Offer([*EVERYTHING, X_FREE("")])
    return parse_command(line, offer.grammar(Leniency(odd_hello_names=True)), utf8=True)


def test_operations_refuse_before_an_octet_leaves() -> None:
    """What is no address raises at once; what is one goes out as one."""
    for text in hostile():
        for sender, recipient in (
            (f"{text}@example.com", "b@example.org"),
            ("a@example.com", text),
        ):
            conn = greeted()
            operation = send_mail(conn, sender, [recipient], b"x\r\n")
            try:
                next(operation)
            except ValueError:
                assert conn.data_to_send() == b""
                continue
            octets = conn.data_to_send()
            assert octets.startswith(b"MAIL FROM:<")
            assert all(read(line) for line in octets.split(b"\r\n")[:-1])
            assert octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r") <= 3
    for route in ("@y.example:b@x.example", "@y.example,@z.example:b@x.example"):
        conn = greeted()
        with pytest.raises(ValueError, match="no source route"):
            next(send_mail(conn, "a@example.com", [route], b"x\r\n"))
        assert conn.data_to_send() == b""
    for text in hostile("c.example"):
        try:
            conn = ClientConnection(ClientConfig(text))
        except ValueError:
            continue
        conn.receive_data(b"220 mx.example\r\n")
        next(open_session(conn))
        assert isinstance(read(conn.data_to_send()[:-2]), Hello)
    for text in hostile("bob"):
        conn = greeted()
        try:
            next(verify(conn, text))
        except LocalProtocolError:
            assert conn.data_to_send() == b""
        else:
            assert isinstance(read(conn.data_to_send()[:-2]), Vrfy)


class Named:
    """A mechanism with a name and a first message of the test's."""

    client_first = True
    complete = True
    mutual = server_proven = False
    error = ""

    def __init__(self, name: str, message: bytes = b"") -> None:
        self.name = name
        self._message = message

    def initial(self) -> bytes:
        return self._message

    def step(self, challenge: bytes) -> bytes:
        return self._message

    def answer(self, data: bytes) -> bytes:
        raise NotImplementedError


def test_a_mechanism_s_name_is_one_that_was_offered() -> None:
    conn = greeted()
    for text in hostile("PLAIN"):
        with pytest.raises(LocalProtocolError):
            conn.authenticate(Named(text))
        assert conn.data_to_send() == b""
    assert "\r\n" not in EVERYTHING.lines


def test_a_mechanism_s_name_is_one_even_if_such_was_offered() -> None:
    """What the server offers is no proof: such names are not taken over from its lines."""
    for text in hostile("X"):
        if "\n" in text or "\r" in text or "\ud800" in text or not text.isascii():
            continue
        conn = ClientConnection(tls=VERIFIED)
        conn.receive_data(b"220 mx.example\r\n")
        drain(conn)
        conn.send(Hello("c.example"))
        conn.data_to_send()
        conn.receive_data(f"250-mx.example\r\n250 AUTH {text}\r\n".encode())
        drain(conn)
        offered = conn.extensions.get(extensions.AUTH) or ()
        assert all(parse_command(b"AUTH " + name.encode(), PLAIN_GRAMMAR) for name in offered)


PLAIN_GRAMMAR: Final = Offer().grammar(Leniency())


def test_what_a_mechanism_says_is_base64() -> None:
    for text in hostile():
        if "\ud800" in text:
            continue
        conn = greeted()
        conn.authenticate(Named("PLAIN", text.encode()))
        octets = conn.data_to_send()
        assert octets.startswith(b"AUTH PLAIN ")
        assert not set(octets[11:-2]) & set(b"\r\n\0 *")
        conn.receive_data(b"334 \r\n")
        drain(conn)
        response = conn.data_to_send()
        assert response.endswith(b"\r\n")
        assert not set(response[:-2]) & set(b"\r\n\0 *")


# -- what goes into a SASL message


def sasl_config(host: str = "mx.example.org") -> ClientMechanismConfig:
    return client_config(host=host)


def exchange(mechanism: str, credentials: Any, host: str = "mx.example.org") -> Any:
    """What the server understood: its last question and how it ended; None where refused before."""
    try:
        client = client_mechanism(mechanism, credentials, sasl_config(host))
    except (SaslError, ValueError):
        return None
    server = server_mechanism(mechanism, server_config(realm="example.org"))
    step = server.start(client.initial())
    asked: Any = None
    for _ in range(8):
        match step:
            case Challenge(data):
                try:
                    response = client.step(data)
                except SaslError:
                    return None
                assert isinstance(response, bytes)
                step = server.step(response)
            case Ask(SecretRequest() as question):
                asked = question
                step = server.supply(PlainPassword("pencil"))
            case Ask(question):
                asked = question
                step = server.answer(True)
            case Succeeded() | Failed():
                return asked, step
    raise AssertionError("no end")


WITH_NAMES: Final = [name for name in MECHANISMS if name not in ("EXTERNAL", "ANONYMOUS")]


@pytest.mark.parametrize(
    "mechanism",
    [
        name
        for name in WITH_NAMES
        if "PLUS" not in name and "OAUTH" not in name and name != "XOAUTH2"
    ],
)
def test_a_user_s_name_is_one_name(mechanism: str) -> None:
    """No name reaches into the password, nor becomes another identity (RFC 4616 §2, RFC 5802 §5.1)."""
    understood = 0
    for text in hostile("user"):
        result = exchange(mechanism, Password(text, "pencil"))
        if result is None:
            continue
        asked, step = result
        if isinstance(step, Failed):
            continue
        understood += 1
        assert isinstance(asked, PasswordLogin | SecretRequest)
        assert asked.authcid == step.authcid
        assert _prepared(asked.authcid) == _prepared(text)
        assert step.authzid == ""
        if isinstance(asked, PasswordLogin):
            assert asked.password == "pencil"
    assert understood > 20


def _prepared(text: str) -> str:
    """The hostile strings' forms under SASLprep, as far as names that are taken have any."""
    return text.replace("ſ", "s").replace("\u2028", "")


@pytest.mark.parametrize("mechanism", ["PLAIN", "DIGEST-MD5", "SCRAM-SHA-256"])
def test_an_authorization_identity_is_one_identity(mechanism: str) -> None:
    for text in hostile("admin"):
        result = exchange(mechanism, Password("user", "pencil", text))
        if result is None or isinstance(result[1], Failed):
            continue
        assert result[1].authcid == "user"
        assert _prepared(result[1].authzid) == _prepared(text)


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_token_is_one_token(mechanism: str) -> None:
    for text in hostile("user"):
        result = exchange(mechanism, BearerToken(text, "token"))
        if result is not None and isinstance(result[1], Succeeded):
            assert _prepared(result[0].authcid) == _prepared(text)
            assert result[0].token == "token"
        result = exchange(mechanism, BearerToken("user", text))
        if result is not None and isinstance(result[1], Succeeded):
            assert result[0] == TokenLogin("user", text, mechanism, result[0].host, result[0].port)
        result = exchange(mechanism, BearerToken("user", "token"), host=text)
        if result is not None and isinstance(result[1], Succeeded):
            assert result[0].token == "token"
            assert result[0].host in (text, "")


def test_other_credentials_are_one_string() -> None:
    for text in hostile():
        result = exchange("EXTERNAL", ExternalIdentity(text))
        if result is not None and isinstance(result[0], ExternalLogin):
            assert _prepared(result[0].authzid) == _prepared(text)
        result = exchange("ANONYMOUS", Anonymous(text))
        if result is not None and isinstance(result[0], AnonymousLogin):
            assert _prepared(result[0].trace) == _prepared(text)


# -- what a server's application hands in


def asked(config: ServerConfig, octets: bytes = b"") -> ServerConnection:
    """A server whose last question is pending, its output taken."""
    conn = ServerConnection(config)
    assert isinstance(conn.next_event(), Request)
    for line in octets.split(b"\n")[:-1]:
        conn.reply()
        assert conn.next_event() is Need.DATA
        conn.data_to_send()
        conn.receive_data(line + b"\n")
        assert isinstance(conn.next_event(), Request)
    return conn


def replies(octets: bytes) -> list[Reply]:
    parser = ReplyParser(enhanced=False)
    parser.receive_data(octets)
    found: list[Reply] = []
    while (reply := parser.next_reply()) is not None:
        assert isinstance(reply, Reply), (reply, octets)
        found.append(reply)
    assert parser.offset == len(octets)
    return found


RELAY: Final = ServerConfig.relay("mx.example", ("d.example",))
QUESTIONS: Final = {
    "the greeting": b"",
    "EHLO": b"EHLO c.example\r\n",
    "MAIL": b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n",
    "MAIL with SMTPUTF8": b"EHLO c.example\r\nMAIL FROM:<a@b.example> SMTPUTF8\r\n",
    "VRFY": b"EHLO c.example\r\nVRFY a\r\n",
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("code", [220, 250, 451, 550])
def test_a_reply_is_one_reply(question: str, code: int) -> None:
    refused = 0
    for text in hostile():
        conn = asked(RELAY, QUESTIONS[question])
        try:
            conn.reply(Reply(code, text))
        except (ValueError, LocalProtocolError):
            refused += 1
            assert conn.pending is not None, "nothing has changed"
            assert conn.data_to_send() == b""
            continue
        octets = conn.data_to_send()
        assert [reply.code for reply in replies(octets)] == [code]
        assert octets.isascii() or "UTF8" in question
        if question == "EHLO" and code == 250:
            assert keywords(octets) == keywords_of(RELAY)
    assert refused > 10


def keywords(octets: bytes) -> list[str]:
    return [item.line for item in parse_ehlo(replies(octets)[0]).keywords]


def keywords_of(config: ServerConfig) -> list[str]:
    conn = asked(config, QUESTIONS["EHLO"])
    conn.reply()
    return keywords(conn.data_to_send())


def test_an_enhanced_code_is_one() -> None:
    for text in hostile("5.1.1"):
        with pytest.raises(ValueError, match="enhanced"):
            Reply(550, "no", text)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda text: replace(RELAY, host=text), id="host"),
        pytest.param(
            lambda text: replace(RELAY, replies={ReplyKind.GREETING: Reply(220, text)}),
            id="greeting",
        ),
        pytest.param(
            lambda text: replace(RELAY, replies={ReplyKind.HELLO: Reply(250, text)}), id="hello"
        ),
        pytest.param(
            lambda text: replace(RELAY, replies={ReplyKind.SENDER_OK: Reply(250, text)}), id="MAIL"
        ),
        pytest.param(
            lambda text: replace(RELAY, offer=(*RELAY.offer, X_FREE(text))),
            id="an extension's value",
        ),
        pytest.param(
            lambda text: replace(RELAY, offer=(*RELAY.offer, Offered(X_FREE, text, text))),
            id="an offer's text",
        ),
        pytest.param(
            lambda text: replace(RELAY, offer=(*RELAY.offer, replace(X_FREE, keyword=text)(""))),
            id="an extension's keyword",
        ),
        pytest.param(
            lambda text: replace(RELAY, mechanisms=(text,), cleartext_without_tls=True),
            id="mechanism",
        ),
        pytest.param(
            lambda text: replace(
                RELAY,
                mechanisms=(text,),
                custom_mechanisms={text: lambda config: server_mechanism("PLAIN", config)},
            ),
            id="a mechanism of one's own",
        ),
    ],
)
def test_a_configuration_says_one_thing(make: Callable[[str], ServerConfig]) -> None:
    refused = 0
    for text in hostile():
        try:
            config = make(text)
        except ValueError:
            refused += 1
            continue
        check_speech(ServerConnection(config))
    assert refused > 15


def check_speech(conn: ServerConnection) -> None:
    """Greeting, EHLO, MAIL: one reply each, and EHLO's keywords are as many as were offered."""
    assert isinstance(conn.next_event(), Connected)
    conn.reply()
    assert [reply.code for reply in replies(conn.data_to_send())] == [220]
    conn.next_event()
    conn.receive_data(b"EHLO c.example\r\n")
    assert isinstance(conn.next_event(), Hello)
    conn.reply()
    (reply,) = replies(conn.data_to_send())
    assert reply.code == 250
    assert len(reply.lines) == 1 + len(conn.extensions)
    assert all(line.isascii() for line in reply.lines)
    read = REGISTRY.read(parse_ehlo(reply).keywords)
    assert sorted(read.keywords) == sorted(keyword.upper() for keyword in conn.extensions.keywords)
    assert read.get(extensions.AUTH) == conn.extensions.get(extensions.AUTH)
    conn.next_event()
    conn.receive_data(b"MAIL FROM:<a@b.example>\r\n")
    assert isinstance(conn.next_event(), Mail)
    conn.reply()
    assert [reply.code for reply in replies(conn.data_to_send())] == [250]


def test_a_suffix_is_no_second_reply() -> None:
    refused = 0
    for text in hostile():
        try:
            conn = ServerConnection(RELAY, reply_suffix=text)
        except ValueError:
            refused += 1
            continue
        conn.next_event()
        conn.reply()
        conn.next_event()
        conn.data_to_send()
        conn.receive_data(b"NONSENSE\r\n")
        conn.next_event()
        octets = conn.data_to_send()
        assert [reply.code for reply in replies(octets)] == [500]
        assert octets.isascii()
    assert refused > 10


def test_an_offer_for_a_session_is_one_line_an_extension() -> None:
    refused = 0
    for text in hostile():
        conn = ServerConnection(RELAY)
        assert isinstance(conn.next_event(), Connected)
        try:
            conn.offer(extensions.PIPELINING(True), Offered(X_FREE, text, text))
        except (ValueError, LocalProtocolError):
            refused += 1
            assert conn.pending is not None
            continue
        check_speech_after_greeting(conn)
    assert refused > 15


def check_speech_after_greeting(conn: ServerConnection) -> None:
    conn.reply()
    conn.next_event()
    conn.data_to_send()
    conn.receive_data(b"EHLO c.example\r\n")
    assert isinstance(conn.next_event(), Request)
    conn.reply()
    (reply,) = replies(conn.data_to_send())
    assert len(reply.lines) == 3
    assert parse_ehlo(reply).keywords[1].keyword == "X-FREE"


# -- the trace header

FIELDS: Final[dict[str, Any]] = {
    "from_name": "c.example",
    "by": "mx.example",
    "protocol": "ESMTP",
    "peer_address": "192.0.2.1",
    "peer_name": "c.example",
    "id": "A1",
    "tls_cipher": "TLS_AES_128_GCM_SHA256",
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_trace_header_is_one_header(field: str) -> None:
    harmless = received_header(**FIELDS, timestamp=NOW, recipients=[BOB])
    clauses = [word for word in harmless.split() if word in CLAUSES]
    for text in hostile():
        try:
            header = received_header(**{**FIELDS, field: text}, timestamp=NOW, recipients=[BOB])
        except ValueError:
            continue
        assert header.endswith(b"\r\n")
        assert header.isascii()
        lines = header[:-2].split(b"\r\n")
        assert all(line.startswith(b" ") for line in lines[1:])
        assert not set(b"".join(lines)) & set(b"\r\n\0")
        found = [word for word in header.split() if word in CLAUSES]
        assert found in (clauses, [word for word in clauses if word != b"tls"])
        assert header.count(b";") == 1
        assert header.count(b"(") == header.count(b")") == 1


NOW: Final = datetime(2026, 11, 25, tzinfo=UTC)
CLAUSES: Final = (b"from", b"by", b"with", b"id", b"for", b"tls")


# -- Python's traps: what its methods on text take for more than SMTP means by it


def told(*lines: bytes, config: ServerConfig = RELAY) -> list[object]:
    """What a server tells of these lines, each answered by default."""
    conn = ServerConnection(config)
    events: list[object] = []
    for data in (b"", *(line + b"\r\n" for line in lines)):
        if data and conn.wants_data:
            conn.receive_data(data)
        while (item := conn.next_event()) not in (Need.DATA, Need.CLOSE, Need.TLS):
            if item is Need.WRITE:
                conn.data_to_send()
                continue
            events.append(item)
            if isinstance(item, Request):
                conn.reply()
        conn.data_to_send()
    return events[1:]


def codes(*lines: bytes, config: ServerConfig = RELAY) -> list[int]:
    """The codes of the refusals."""
    return [
        event.reply.code
        for event in told(*lines, config=config)
        if isinstance(event, InvalidCommand)
    ]


HELLO: Final = b"EHLO c.example"
MAIL: Final = b"MAIL FROM:<a@b.example>"
RCPT: Final = b"RCPT TO:<c@d.example>"
EXTENDED: Final = replace(
    RELAY,
    offer=(*RELAY.offer, extensions.DSN, extensions.SUBMITTER),
    starttls=True,
    mechanisms=("PLAIN",),
    cleartext_without_tls=True,
)


@pytest.mark.parametrize("verb", ["ſTARTTLS", "STARTTLſ", "ſtarttls", "ＥＨＬＯ x.example", "ehlo\u00a0x.example", "dıta"])  # fmt: skip
def test_verbs_are_ascii(verb: str) -> None:
    """``"ſtarttls".upper()`` is STARTTLS."""
    events = told(HELLO, verb.encode(), config=EXTENDED)
    assert [type(event) for event in events] == [Hello, InvalidCommand]
    assert codes(HELLO, verb.encode(), config=EXTENDED) == [500]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (MAIL + " ſIZE=1".encode(), 501),
        (MAIL + " BODY=8BITMıME".encode(), 501),
        (MAIL + b" RET=HDR\xc5\xbf", 501),
        ("MAıL FROM:<a@b.example>".encode(), 500),
        ("MAIL FROM\u2236<a@b.example>".encode(), 501),
        ("AUTH PLAıN".encode(), 501),
        ("AUTH ＰＬＡＩＮ".encode(), 501),
    ],
)
def test_keywords_and_values_are_ascii(line: bytes, code: int) -> None:
    assert codes(HELLO, line, config=EXTENDED) == [code]


@pytest.mark.parametrize("number", ["1_0", "٣", "+1", "-1", "1.0", "1e3", "0x10", "²", "１", "", "9" * 21, "\u00a01"])  # fmt: skip
def test_numbers_are_ascii_digits(number: str) -> None:
    """``int("1_0")`` is 10, and ``int("٣")`` is 3."""
    assert codes(HELLO, MAIL + f" SIZE={number}".encode()) == [501]
    events = told(HELLO, MAIL, RCPT, f"BDAT {number}".encode(), b"QUIT")
    assert not [event for event in events if isinstance(event, Data | Quit)]
    offer = REGISTRY.read(parse_ehlo(ehlo(f"SIZE {number}")).keywords)
    assert offer.get(extensions.SIZE) is None


@pytest.mark.parametrize("code", ["٢٢٠", "2_0", "+25", " 25", "25", "²50", "2²0", "２５０"])
def test_reply_codes_are_three_ascii_digits(code: str) -> None:
    conn = ClientConnection()
    conn.receive_data(f"{code} mx.example\r\n".encode())
    events, need = drain(conn)
    assert isinstance(events[0], ProtocolViolation)
    assert need is Need.CLOSE


@pytest.mark.parametrize("status", ["٥.1.1", "5.١.1", "5.1.1_0", "5.1.0001", "5.01.1", "5.1.²"])
def test_status_codes_are_ascii_digits(status: str) -> None:
    parser = ReplyParser(enhanced=True)
    parser.receive_data(f"550 {status} no\r\n".encode())
    assert parser.next_reply() == Reply(550, f"{status} no")


def ehlo(*lines: str) -> Reply:
    return Reply(250, "\n".join(("mx.example", *lines)))


@pytest.mark.parametrize("line", ["ſTARTTLS", "STARTTLſ", "\u00a0STARTTLS", "STARTTLS\u00a0", "\u2028STARTTLS", "ＳＴＡＲＴＴＬＳ"])  # fmt: skip
def test_offered_keywords_are_ascii(line: str) -> None:
    assert extensions.STARTTLS not in REGISTRY.read(parse_ehlo(ehlo(line)).keywords)


def test_offered_mechanisms_are_ascii() -> None:
    offer = REGISTRY.read(
        parse_ehlo(ehlo("AUTH PLAıN ＰＬＡＩＮ\u00a0LOGIN CRAM-MD5 ſCRAM-SHA-1")).keywords
    )
    assert offer[extensions.AUTH] == ("CRAM-MD5",)


NOT_LINE_ENDS: Final = ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
"""What ``str.splitlines()`` takes for line ends besides CR and LF; of bytes only those two."""


@pytest.mark.parametrize("end", NOT_LINE_ENDS)
def test_only_crlf_ends_a_line(end: str) -> None:
    octets = end.encode()
    assert codes(HELLO, b"NOOP" + octets + b"QUIT", b"NOOP " + octets + b"QUIT") in (
        [500, 501],
        [500, 500],
    )
    assert not [
        event for event in told(HELLO, b"NOOP " + octets + b"QUIT") if isinstance(event, Quit)
    ]
    body = b"x" + octets + b"." + octets + b"\r\n.." + octets + b"x"
    events = told(HELLO, MAIL, RCPT, b"DATA", body, b".")
    content = b"".join(event.data for event in events if isinstance(event, BodyChunk))
    assert content == b"x" + octets + b"." + octets + b"\r\n." + octets + b"x\r\n"
    parser = ReplyParser(enhanced=False)
    parser.receive_data(b"250-a" + octets + b"550 b\r\n250 c\r\n")
    reply = parser.next_reply()
    assert isinstance(reply, Reply)
    assert reply.code == 250
    assert len(reply.lines) == 2


def test_domains_are_lower_cased_in_ascii_only() -> None:
    """``"K".lower()`` (the Kelvin sign) is k, and İ becomes two characters."""
    for domain in ("\u212a.example", "\u0130.example"):
        address = Address("a", domain)
        assert address.domain == domain
        assert Address.parse(f"a@{domain}").domain == domain
    assert not Address("Poſtmaster", "example.com").is_postmaster
    with pytest.raises(ValueError, match="domain"):
        Address("Poſtmaster", "")


@pytest.mark.parametrize("text", ["+0D+0A", "+00", "+7F", "+80", "+C3+A9", "+0a", "+2b", "+", "+2", "+G0", "a+1Bb", "٣"])  # fmt: skip
@pytest.mark.parametrize(
    "line",
    [
        "MAIL FROM:<a@b.example> ENVID={}",
        "MAIL FROM:<a@b.example> AUTH={}@b.example",
        "MAIL FROM:<a@b.example> SUBMITTER={}@b.example",
    ],
)
def test_xtext_holds_printable_ascii_only(line: str, text: str) -> None:
    """RFC 3461 §4: what it decodes to must not be a line end, nor any other control."""
    assert codes(HELLO, line.format(text).encode(), config=EXTENDED) == [501]


@pytest.mark.parametrize("text", ["+0D+0A", "+00", "+C3+A9", "+0a"])
def test_xtext_of_a_recipient_holds_printable_ascii_only(text: str) -> None:
    line = f"RCPT TO:<c@d.example> ORCPT=rfc822;{text}".encode()
    assert codes(HELLO, MAIL, line, config=EXTENDED) == [501]


# -- secrets are redacted line by line, however they arrive

SECRET: Final = b"AHVzZXIAcGVuY2ls"
LEAKS: Final = [
    b"AUTH PLAIN " + SECRET + b"\r\n",  # refused: not offered
    b"auth  plain   " + SECRET + b"\r\n",
    b"AUTH PLAIN=" + SECRET + b"\r\n",
    b"AUTH\tPLAIN " + SECRET + b"\r\n",
    b"AUTHPLAIN " + SECRET + b"\r\n",
    b" AUTH PLAIN " + SECRET + b"\r\n",
    b"AUTH " + SECRET + b" PLAIN\r\n",
    b"AUTH PLAIN " + SECRET + b"\n",
    b"AUTH PLAIN " + SECRET + b"\rNOOP\r\n",
    b"NOOP\rAUTH PLAIN " + SECRET + b"\r\n",
    b"AUTH PLAIN\r\n" + SECRET + b"\r\n",  # refused, and the client sends its response all the same
    b"AUTH LOGIN\r\ndXNlcg==\r\n" + SECRET + b"\r\n",
    b"AUTH PLAIN x\r\n" + SECRET + b"\r\n",
    b"AUTH XOAUTH2 " + SECRET + b" " + b"A" * 13000 + b"\r\n",
]


@pytest.mark.parametrize("octets", LEAKS, ids=lambda octets: repr(octets[:28]))
@pytest.mark.parametrize("offered", [False, True])
def test_no_secret_is_shown_at_any_split(octets: bytes, offered: bool) -> None:
    config = (
        replace(RELAY, mechanisms=("PLAIN", "LOGIN"), cleartext_without_tls=True)
        if offered
        else RELAY
    )
    octets = b"EHLO c.example\r\n" + octets + b"QUIT\r\n"
    splits = (
        every_split(octets) if len(octets) < 1000 else iter([[octets], [octets[:30], octets[30:]]])
    )
    for chunks in splits:
        shown: list[bytes] = []
        conn = ServerConnection(config)
        conn.trace = lambda direction, traced, shown=shown: shown.append(traced)
        events: list[object] = []
        for chunk in (b"", *chunks):
            if chunk and conn.wants_data:
                conn.receive_data(chunk)
            while (item := conn.next_event()) not in (Need.DATA, Need.CLOSE):
                if item is Need.WRITE:
                    conn.data_to_send()
                    continue
                events.append(item)
                if isinstance(item, Request):
                    conn.reply()
            conn.data_to_send()
        assert SECRET not in b"".join(shown), chunks
        assert SECRET.decode() not in repr(events), chunks
        assert "pencil" not in repr(events), chunks
        assert b"EHLO c.example\r\n" in shown
