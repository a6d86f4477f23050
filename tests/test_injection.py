"""Nothing an application hands in can end its argument early, or smuggle in another one.

Each string with CR, LF, NUL, octets above 127, ``>``, blanks or a parameter in it is refused before
an octet leaves, or is sent as one line which the other side reads as the same value.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from smtpwire import (
    REGISTRY,
    Address,
    Anonymous,
    Atrn,
    BearerToken,
    Burl,
    ClientConfig,
    ClientConnection,
    Command,
    Connected,
    Etrn,
    Expn,
    Extension,
    ExtensionCommand,
    ExternalIdentity,
    Hello,
    Help,
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
from smtpwire.testing import drain
from smtpwire.wire.command import parse_command
from smtpwire.wire.ehlo import parse_ehlo
from smtpwire.wire.parameter import Given
from smtpwire.wire.reply import ReplyParser
from tests.engine.client_dialogue import ALICE, BOB, VERIFIED
from tests.sasl.conversation import client_config, server_config

HOSTILE: Final = (
    *("\r\nRSET", "\r\nRSET\r\n", "\r", "\n", "\r\n", "\0", "\x7f", "\x1b[2J", "\t", "\x0b", "\x0c"),
    *("é", "\x80", "\x85", "\u2028", "\ud800", "ſ", "٣"),
    *(">", "> SIZE=1", "> RET=FULL <", "<", " ", " SIZE=1", " SMTPUTF8", " LAST", "=", "+0D+0A", ","),
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
            entry.read("imap" if entry is extensions.BURL else "NAME ADDR PORT PROTO HELO LOGIN IDENT SOURCE")
            if entry in (extensions.BURL, extensions.XCLIENT, extensions.XFORWARD)
            else entry.read("")
            for entry in REGISTRY
            if entry.keyword
            not in ("SIZE", "AUTH", "LIMITS", "FUTURERELEASE", "DELIVERBY", "STARTTLS", "PIPECONNECT", "X_PIPE_CONNECT")
        ),
    ]
)
X_PARAMETER: Final[Parameter[str]] = Parameter("X-FREE", lambda raw: raw or "", lambda text: text)
X_VERB: Final[Verb[str]] = Verb("XFREE", str, str)
X_FREE: Final = Extension(
    "X-FREE", "", "takes anything", str, str, mail=(X_PARAMETER,), rcpt=(X_PARAMETER,), verbs=(X_VERB,)
)
ALL: Final = REGISTRY + (X_FREE,)


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
    "ETRN queue": lambda text: Etrn(text, "#"),
    "ATRN": lambda text: Atrn((text,)),
    "BURL": lambda text: Burl(f"imap://{text}"),
    "XCLIENT": lambda text: XClient(hello=text),
    "XCLIENT's login": lambda text: XClient(login=text),
    "XCLIENT's others": lambda text: XClient(others=((text, "x"),)),
    "XFORWARD": lambda text: XForward(ident=text),
    "a verb": lambda text: ExtensionCommand(text, "x"),
    "a verb's argument": lambda text: ExtensionCommand("XFREE", text),
    "a verb's typed argument": lambda text: X_VERB(text),
}
INSIDE: Final = frozenset({"forward-path", "ORCPT's type", "ORCPT", "ORCPT in UTF-8", "a parameter that nobody made"})

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
        assert line.isascii() or b"SMTPUTF8" in line or isinstance(command, Noop | Help | ExtensionCommand | Mail | Rcpt), text
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
