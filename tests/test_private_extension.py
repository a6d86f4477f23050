"""An extension of one's own: keyword, MAIL parameter and verb, without touching the package.

It stands between ``extension starts`` and ``extension ends``, in under twenty lines.
"""

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, Final

import pytest

from smtpwire import (
    REGISTRY,
    Address,
    ClientConfig,
    ClientConnection,
    Command,
    ExtensionCommand,
    Hello,
    InvalidCommand,
    LocalProtocolError,
    Mail,
    Parameter,
    Parameters,
    Reply,
    ReplyReceived,
    Request,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    UnwritableError,
    Verb,
    operations,
    replace,
)
from smtpwire.extensions import Extension
from smtpwire.testing import ConnectionPair

# extension starts


def parse_color(text: str | None) -> tuple[int, int, int]:
    found = re.fullmatch(r"([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3})", text or "")
    if found is None:
        raise ValueError("not red,green,blue")
    return int(found[1]), int(found[2]), int(found[3])


def format_color(color: tuple[int, int, int]) -> str:
    return ",".join(map(str, color))


COLOR: Final = Parameter("COLOR", parse_color, format_color)
PAINT: Final = Verb("PAINT", parse_color, format_color)
X_COLOR: Final = Extension(
    "X-COLOR", "private", "messages have colors", str, str, mail=(COLOR,), verbs=(PAINT,)
)

# extension ends

CLIENT: Final = ClientConfig("c.example", registry=REGISTRY + (X_COLOR,))  # noqa: RUF005
RELAY: Final = ServerConfig.relay("mx.example")
SERVER: Final = replace(RELAY, offer=(*RELAY.offer, X_COLOR("RGB CMYK")))
ALICE: Final = Address.parse("alice@example.com")


@pytest.mark.parametrize("word", ["", "-", "-X", "x-shade", "X SHADE", "X=SHADE", "X-SCHÖN", "Xſ"])
def test_a_keyword_is_one_that_a_line_can_have_in_upper_case(word: str) -> None:
    """RFC 5321 §4.1.1.1: else it would be offered, and never met."""
    makes: list[Callable[[], object]] = [
        lambda: Extension(word, "private", "shades", str, str),
        lambda: Parameter(word, str, str),
        lambda: Verb(word, str, str),
    ]
    for make in makes:
        with pytest.raises(ValueError, match=r"pass letters in upper case, digits and hyphens"):
            make()


def test_what_a_configuration_offers_is_told_by_its_class() -> None:
    wrong: Any = ("DSN",)
    with pytest.raises(TypeError, match=r"pass a tuple of Extension or Offered$"):
        ServerConfig.relay("mx.example.org", offer=wrong)


def test_a_verb_that_nobody_registered_says_where_to() -> None:
    pair = joined()
    with pytest.raises(UnwritableError, match=r"ClientConfig\.registry names yours"):
        pair.run(operations.command(pair.client, ExtensionCommand("XUNKNOWN", "")))


def test_it_is_under_twenty_lines() -> None:
    source = inspect.getsource(sys.modules[__name__])
    body = source.split("# extension starts\n")[1].split("# extension ends\n")[0]
    assert len([line for line in body.split("\n") if line.strip()]) < 20


def joined(server: ServerConfig = SERVER, client: ClientConfig = CLIENT) -> ConnectionPair:
    """Both sides after EHLO; the server mixes one color and no other."""
    conn = ServerConnection(server)

    def answer(event: ServerEvent) -> None:
        if isinstance(event, ExtensionCommand):
            known = event.parsed(PAINT) == (255, 0, 0)
            conn.reply(Reply(250, "Red", "2.0.0") if known else Reply(550, "No such color"))
        else:
            conn.reply()

    pair = ConnectionPair(ClientConnection(client), conn, answer=answer)
    pair.settle()
    send(pair, Hello("c.example"))
    return pair


def send(pair: ConnectionPair, command: Command) -> Reply:
    pair.client.send(command)
    pair.settle()
    event = pair.client_events[-1]
    assert isinstance(event, ReplyReceived)
    assert event.command is command
    return event.reply


def test_the_keyword() -> None:
    pair = joined()
    assert pair.client.extensions[X_COLOR] == "RGB CMYK"
    assert "X-COLOR" in pair.client.extensions


def test_the_parameter() -> None:
    pair = joined()
    mail = Mail(ALICE, Parameters(COLOR((255, 128, 0))))
    assert send(pair, mail).code == 250
    received = pair.server_events[-1]
    assert received == mail
    assert isinstance(received, Mail)
    red, green, blue = received.parameters[COLOR]
    assert (red, green, blue) == (255, 128, 0)
    assert str(received.parameters) == "COLOR=255,128,0"


def test_the_verb() -> None:
    pair = joined()
    assert send(pair, PAINT((255, 0, 0))) == Reply(250, "Red", "2.0.0")
    received = pair.server_events[-1]
    assert received == ExtensionCommand("PAINT", "255,0,0")
    assert isinstance(received, ExtensionCommand)
    assert isinstance(received, Request)
    assert received.parsed(PAINT) == (255, 0, 0)
    assert send(pair, PAINT((0, 0, 0))).code == 550


def test_malformed_ones_are_refused_by_the_server() -> None:
    server = ServerConnection(SERVER)
    server.next_event()
    server.reply()
    for line, code in (
        (b"EHLO c.example\r\n", 0),
        (b"PAINT red\r\n", 501),
        (b"paint 1,2,3\r\n", 0),
        (b"MAIL FROM:<a@b.example> COLOR=red\r\n", 501),
        (b"MAIL FROM:<a@b.example> COLOR\r\n", 501),
        (b"MAIL FROM:<a@b.example> COLOR=1,2,3 COLOR=1,2,3\r\n", 501),
    ):
        server.next_event()
        server.data_to_send()
        server.receive_data(line)
        event = server.next_event()
        if code:
            assert isinstance(event, InvalidCommand)
            assert event.reply.code == code
        else:
            assert isinstance(event, Request)
            server.reply()


def test_nothing_of_it_is_sent_where_it_is_not_offered() -> None:
    pair = joined(RELAY)
    for command in (Mail(ALICE, Parameters(COLOR((1, 2, 3)))), PAINT((1, 2, 3))):
        with pytest.raises(LocalProtocolError, match="X-COLOR"):
            pair.client.send(command)
        assert pair.client.data_to_send() == b""


def test_who_does_not_know_it_refuses_it() -> None:
    server = ServerConnection(RELAY)
    server.next_event()
    server.reply()
    codes = []
    for line in (
        b"EHLO c.example\r\n",
        b"PAINT 1,2,3\r\n",
        b"MAIL FROM:<a@b.example> COLOR=1,2,3\r\n",
    ):
        server.next_event()
        server.data_to_send()
        server.receive_data(line)
        event = server.next_event()
        if isinstance(event, Request):
            server.reply()
        elif isinstance(event, InvalidCommand):
            codes.append(event.reply.code)
    assert codes == [500, 555]


def test_a_client_that_does_not_know_it_keeps_the_keyword() -> None:
    pair = joined(client=ClientConfig("c.example"))
    assert [item.line for item in pair.client.extensions.unknown] == ["X-COLOR RGB CMYK"]
    assert "X-COLOR" in pair.client.extensions
    assert X_COLOR not in pair.client.extensions
