"""EmailMessages on their way: who gets them, and in what form by what the server offers."""

import email
import pickle
import subprocess
import sys
from contextlib import suppress
from email.message import EmailMessage, Message
from email.policy import SMTP, SMTPUTF8, Compat32, default
from typing import Any, TypeVar

import pytest

from smtpwire import operations
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import BodyChunk, EndOfMessage, Envelope
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.extensions import CHUNKING, EIGHTBITMIME, ENHANCEDSTATUSCODES, PIPELINING, parameters
from smtpwire.extensions import SMTPUTF8 as SMTPUTF8_OFFER
from smtpwire.operations import (
    MessageRefused,
    Operation,
    RecipientResult,
    SendResult,
    UnsendableError,
    command,
    open_session,
    send_message,
)
from smtpwire.wire.address import Address
from smtpwire.wire.command import Auth, Bdat, Data, Expn, Mail, Noop, Rcpt, StartTls
from smtpwire.wire.reply import Reply
from smtpwire.wire.status import Disposition
from smtpwire.wire.value import Request

R = TypeVar("R")
ALL = (PIPELINING, EIGHTBITMIME, ENHANCEDSTATUSCODES, SMTPUTF8_OFFER)
NO_UTF8 = (PIPELINING, EIGHTBITMIME)
BARE = (PIPELINING,)


class Pair:
    """A client and a server that takes mail, joined."""

    def __init__(self, *offer: Any, refuse: dict[str, Reply] | None = None) -> None:
        self.client = ClientConnection(ClientConfig("client.example.com"))
        self.server = ServerConnection(ServerConfig(host="mx.example.org", offer=offer))
        self.refuse = refuse or {}
        self.taken: list[tuple[Envelope, bytes]] = []
        self.body: list[bytes] = []

    def opened(self) -> "Pair":
        self.run(open_session(self.client))
        return self

    def run(self, operation: Operation[R]) -> R:
        for _ in range(1000):
            try:
                next(operation)
            except StopIteration as end:
                result: R = end.value
                return result
            finally:
                self.pull()
        raise AssertionError("no end")

    def pull(self) -> None:
        if octets := self.client.data_to_send():
            self.server.receive_data(octets)
        while (item := self.server.next_event()) not in (Need.DATA, Need.CLOSE):
            match item:
                case Need():
                    self.client.receive_data(self.server.data_to_send())
                case BodyChunk(data):
                    self.body.append(data)
                case EndOfMessage(envelope):
                    self.taken.append((envelope, b"".join(self.body)))
                    self.body = []
                    self.server.reply()
                case Rcpt(address):
                    self.server.reply(
                        self.refuse.get(address.local_part, Reply(250, "OK", "2.1.5"))
                    )
                case Request():
                    self.server.reply()
                case _:
                    pass
        if octets := self.server.data_to_send():
            self.client.receive_data(octets)

    def send(self, message: Any, *arguments: Any, **options: Any) -> tuple[Envelope, bytes]:
        result = self.run(send_message(self.client, message, *arguments, **options))
        assert result.refused == ()
        return self.taken.pop()


def note(**fields: str) -> EmailMessage:
    message = EmailMessage()
    for name, text in (
        {"from_": "Alice <alice@example.com>", "to": "bob@example.org"} | fields
    ).items():
        message[name.rstrip("_").replace("_", "-").title()] = text
    message["Subject"] = "Greetings"
    message.set_content("Hello\n.dot\n")
    return message


def recipients(envelope: Envelope) -> list[str]:
    return [str(address) for address in envelope.forward_paths]


# -- who


def test_sender_and_recipients_are_the_header_s_and_bcc_is_not_sent() -> None:
    message = note(
        to='Bob <bob@example.org>, "Carol, of C" <carol@example.org>',
        cc="team: dave@example.org, bob@example.org;",
        bcc="eve@example.org",
    )
    before = message.as_bytes()
    envelope, content = Pair(*ALL).opened().send(message)
    assert str(envelope.reverse_path) == "alice@example.com"
    assert recipients(envelope) == [
        f"{name}@example.org" for name in ("bob", "carol", "dave", "eve")
    ]
    assert b"eve" not in content
    assert b"\r\n\r\nHello\r\n.dot\r\n" in content
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert message.as_bytes() == before


def test_who_sends_is_sender_before_from() -> None:
    message = note(from_="a@example.com, b@example.com", sender="secretary@example.com")
    assert str(Pair(*ALL).opened().send(message)[0].reverse_path) == "secretary@example.com"


def test_what_is_given_goes_before_the_header() -> None:
    pair = Pair(*ALL).opened()
    envelope, _ = pair.send(note(), "", ["x@example.org", Rcpt(Address.parse("y@example.org"))])
    assert envelope.reverse_path is None
    assert recipients(envelope) == ["x@example.org", "y@example.org"]
    envelope, _ = pair.send(note(), Mail(Address.parse("z@example.com")))
    assert str(envelope.reverse_path) == "z@example.com"
    assert recipients(envelope) == ["bob@example.org"]


def test_a_resent_message_goes_to_whom_it_is_resent() -> None:
    message = note(bcc="eve@example.org")
    message["Resent-Date"] = "Sat, 28 Nov 2026 12:00:00 +0000"
    message["Resent-From"] = "relay@example.com"
    message["Resent-To"] = "new@example.org"
    message["Resent-Bcc"] = "hidden@example.org"
    envelope, content = Pair(*ALL).opened().send(message)
    assert str(envelope.reverse_path) == "relay@example.com"
    assert recipients(envelope) == ["new@example.org", "hidden@example.org"]
    assert b"hidden" not in content
    message["Resent-Date"] = "Sat, 28 Nov 2026 13:00:00 +0000"
    pair = Pair(*ALL).opened()
    with pytest.raises(UnsendableError, match="resent 2 times: pass its sender and its recipients"):
        pair.send(message)
    assert recipients(pair.send(message, "a@example.com", ["b@example.org"])[0]) == [
        "b@example.org"
    ]


def test_messages_of_the_old_kind_are_taken() -> None:
    message: Any = email.message_from_string(
        "From: Alice <alice@example.com>\nTo: bob@example.org\nTo: carol@example.org\n\nFrom here\n"
    )
    assert not isinstance(message, EmailMessage)
    envelope, content = Pair(*ALL).opened().send(message)
    assert recipients(envelope) == ["bob@example.org", "carol@example.org"]
    assert content.endswith(b"\r\n\r\nFrom here\r\n")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"from_": ""}, "the message has no From: pass a sender"),
        ({"to": "undisclosed-recipients:;"}, "there is no recipient"),
        ({"to": "nonsense"}, "To has 'nonsense'"),
        ({"from_": "<>"}, "From has"),
    ],
)
def test_a_message_that_names_nobody_is_told(fields: dict[str, str], error: str) -> None:
    pair = Pair(*ALL).opened()
    message = note(**fields)
    with pytest.raises(UnsendableError, match=error):
        pair.send(message)
    assert pair.client.reusable


# -- in what form


def text(content: str, **fields: str) -> EmailMessage:
    message = note(**fields)
    message.set_content(content, cte="8bit")
    return message


def test_text_beyond_ascii_goes_as_it_is_only_where_that_is_offered() -> None:
    message = text("Grüße\n", from_="Jürgen <j@example.com>")
    envelope, content = Pair(*ALL).opened().send(message)
    assert "Grüße".encode() in content
    assert envelope.mail.parameters[parameters.BODY].value == "8BITMIME"
    assert parameters.SMTPUTF8 not in envelope.mail.parameters  # a display name needs none
    assert b"From: =?utf-8?" in content
    envelope, content = Pair(*BARE).opened().send(message)
    assert content.isascii()
    assert parameters.BODY not in envelope.mail.parameters
    again = email.message_from_bytes(content, policy=default)
    assert isinstance(again, EmailMessage)
    assert again.get_content() == "Grüße\r\n".replace("\r\n", "\n")


def test_an_address_beyond_ascii_needs_smtputf8() -> None:
    for message in (
        note(from_="jürgen@example.com"),
        note(to="bob@bücher.example", cc="c@example.org"),
        note(sender="jürgen@example.com"),
        note(reply_to="jürgen@example.com"),
        note(cc="jürgen@example.com"),
    ):
        envelope, content = Pair(*ALL).opened().send(message)
        assert parameters.SMTPUTF8 in envelope.mail.parameters
        assert "ü".encode() in content
        pair = Pair(*NO_UTF8).opened()
        with pytest.raises(UnsendableError, match="does not offer SMTPUTF8") as caught:
            pair.send(message)
        assert caught.value.extension == "SMTPUTF8"
    assert (
        parameters.SMTPUTF8
        in Pair(*ALL).opened().send(note(), "jürgen@example.com")[0].mail.parameters
    )
    asked = Mail(
        Address.parse("a@example.com"), Mail(None).parameters.having(parameters.SMTPUTF8(True))
    )
    assert parameters.SMTPUTF8 in Pair(*ALL).opened().send(note(), asked)[0].mail.parameters


def test_a_policy_that_allows_utf8_asks_for_nothing_that_is_not_needed() -> None:
    message = EmailMessage(policy=SMTPUTF8)
    message["From"] = "Jürgen <j@example.com>"
    message["To"] = "bob@example.org"
    message.set_content("Hello\n")
    envelope, content = Pair(*BARE).opened().send(message)
    assert content.isascii()
    assert [each.keyword for each in envelope.mail.parameters] == ["SIZE"]


def test_a_domain_goes_in_a_labels_where_they_are_made() -> None:
    pair = Pair(*BARE).opened()
    envelope, _ = pair.send(
        note(), None, ["bob@bücher.example"], idna=lambda domain: domain.encode("idna").decode()
    )
    assert recipients(envelope) == ["bob@xn--bcher-kva.example"]


def test_a_message_of_the_old_kind_with_such_an_address_is_told() -> None:
    message: Any = Message()
    message["From"] = "jürgen@example.com"
    message["To"] = "b@example.org"
    message.set_payload("x\n")
    with pytest.raises(UnsendableError, match="of the old kind: make it an EmailMessage"):
        Pair(*ALL).opened().send(message)


SIGNED = """\
From: a@example.com
To: b@example.org
Content-Type: multipart/signed; boundary=x

--x
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße
--x
Content-Type: application/pgp-signature

none
--x--
"""


def test_what_cannot_be_encoded_is_told() -> None:
    signed = email.message_from_bytes(SIGNED.encode(), policy=SMTP)
    _, content = Pair(*ALL).opened().send(signed)
    assert content.replace(b"\r\n", b"\n").rstrip() == SIGNED.encode().rstrip()
    with pytest.raises(UnsendableError, match="what is signed must not be encoded anew") as caught:
        Pair(*BARE).opened().send(signed)
    assert caught.value.extension == "8BITMIME"
    unknown = b"From: a@example.com\nTo: b@example.org\nContent-Type: image/x\nContent-Transfer-Encoding: 8bit\n\n\xff\n"
    message = email.message_from_bytes(unknown, policy=SMTP)
    assert Pair(*ALL).opened().send(message)[1].endswith(b"\r\n\r\n\xff\r\n")
    with pytest.raises(UnsendableError, match="8BITMIME; a part cannot be encoded anew"):
        Pair(*BARE).opened().send(message)
    preamble = SIGNED.replace("signed", "mixed").replace("--x", "préambule\n--x", 1)
    message = email.message_from_bytes(preamble.encode(), policy=SMTP)
    with pytest.raises(UnsendableError, match="the server does not offer 8BITMIME"):
        Pair(*BARE).opened().send(message)
    binary = note()
    binary.add_attachment(b"\n\xff", "application", "x", cte="binary")
    with pytest.raises(UnsendableError, match="the encoding binary: give it base64") as caught:
        Pair(*ALL, CHUNKING).opened().send(binary)
    assert caught.value.extension == "BINARYMIME"


# -- at the door, and at the end


def test_what_is_no_message_and_no_option_is_told() -> None:
    pair = Pair(*ALL)
    wrong: Any = b"From: a@example.com\r\n\r\n"
    with pytest.raises(TypeError, match=r"message is bytes: pass an email.message.EmailMessage"):
        send_message(pair.client, wrong)
    option: Any = {"body": "8BITMIME"}
    with pytest.raises(TypeError, match="send_message has no 'body'"):
        send_message(pair.client, note(), **option)
    with pytest.raises(
        LocalProtocolError, match=r"no session is open: call open_session\(\) first"
    ):
        pair.run(send_message(pair.client, note()))


def test_an_ended_connection_is_a_result() -> None:
    pair = Pair(*ALL).opened()
    pair.client.receive_data(b"")
    while not isinstance(pair.client.next_event(), Need):
        pass
    result = pair.run(send_message(pair.client, note(to="jürgen@example.org")))
    assert [item.outcome for item in result.recipients] == [Disposition.RETRY]
    assert result.retry == result.refused


def test_email_is_loaded_by_sending_only() -> None:
    program = "import sys, smtpwire.operations, smtpwire.service; print('email' in sys.modules)"
    bare = [sys.executable, "-I", "-c", program]
    assert subprocess.run(bare, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_result_tells_whom_to_try_again() -> None:
    refuse = {"full": Reply(452, "Full", "4.2.2"), "no": Reply(550, "Nobody", "5.1.1")}
    pair = Pair(*ALL, refuse=refuse).opened()
    to = "bob@example.org, full@example.org, no@example.org"
    result = pair.run(send_message(pair.client, note(to=to)))
    assert [str(item.recipient) for item in result.retry] == ["full@example.org"]
    assert [str(item.recipient) for item in result.permanent] == ["no@example.org"]
    assert result.unknown == ()
    with pytest.raises(MessageRefused) as caught:
        result.raise_for_refused()
    words = "full@example.org: 452 4.2.2 Full; no@example.org: 550 5.1.1 Nobody"
    assert str(caught.value) == f"2 refused, 1 accepted: {words}"
    assert caught.value.result is result
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.result) == (str(caught.value), result)
    lost = RecipientResult(Address.parse("x@y.example"), None, Disposition.UNKNOWN, "DATA", "lost")
    assert SendResult((lost,)).unknown == (lost,)
    with pytest.raises(MessageRefused, match=r"1 refused: x@y\.example: lost"):
        SendResult((lost,)).raise_for_refused()
    SendResult(()).raise_for_refused()


# -- commands and operations of one's own


def test_a_command_of_one_s_own_has_its_reply() -> None:
    pair = Pair(*ALL).opened()
    assert pair.run(command(pair.client, Noop())).code == 250
    assert pair.run(command(pair.client, Expn("staff"))).code == 502
    for wrong, name in (
        (Data(), "send_mail"),
        (Bdat(1, True), "send_mail"),
        (StartTls(), "open_session"),
        (Auth("PLAIN"), "authenticate"),
    ):
        with pytest.raises(
            TypeError, match=rf"{type(wrong).__name__} is no command by itself: use {name}\(\)"
        ):
            command(pair.client, wrong)
    text: Any = "NOOP"
    with pytest.raises(TypeError, match="command is a str: pass a Command"):
        command(pair.client, text)
    assert pair.client.reusable


def test_the_operation_in_the_package_s_docstring_runs() -> None:
    document = operations.__doc__ or ""
    _, _, rest = document.partition("drives it::\n\n")
    example = "\n".join(line[4:] for line in rest.partition("\nFor one command")[0].splitlines())
    pair = Pair(*ALL).opened()
    replies: list[dict[str, Reply]] = []

    class Client:
        conn = pair.client

        def run(self, operation: Operation[dict[str, Reply]]) -> None:
            replies.append(pair.run(operation))

    names = {"client": Client(), "Expn": Expn, "alone": operations.alone, "ask": operations.ask}
    exec(compile(f"from __future__ import annotations\n{example}", "docstring", "exec"), names)
    assert {name: reply.code for name, reply in replies[0].items()} == {
        "staff": 502,
        "friends": 502,
    }


# -- what would become another header, or another address


class Credulous(Compat32):
    """Takes any name of a field, as `email` does up to CPython 3.13."""

    def header_store_parse(self, name: str, value: str) -> tuple[str, str]:
        return name, value


@pytest.mark.parametrize("rest", ["\nBcc: eve@example.net", "\nno name", "\n\nIt was not me"])
def test_no_field_of_the_header_begins_another(rest: str) -> None:
    message: Message = Message(Credulous())
    message["From"], message["To"] = "a@example.com", "b@example.org"
    message["Subject"] = "Hello" + rest
    with pytest.raises(UnsendableError, match="a line end within the field Subject of the header"):
        Pair(*ALL).opened().send(message)
    assert message["Subject"] == "Hello" + rest
    assert type(message.policy) is Credulous
    message.replace_header("Subject", "Hello,\n world")
    assert b"Subject: Hello,\r\n world\r\n" in Pair(*ALL).opened().send(message)[1]
    message["X: y\r\nBcc"] = "eve@example.net"
    with pytest.raises(UnsendableError, match=r"'X: y\\r\\nBcc' is no name of a field"):
        Pair(*ALL).opened().send(message)


def test_a_line_end_behind_a_field_ends_no_header() -> None:
    message = note()
    message.replace_header("Subject", "Hello\n")
    with suppress(UnsendableError):  # some encode it, with others an empty line would stand there
        _, content = Pair(*ALL).opened().send(message)
        assert b"Content-Type: " in content.partition(b"\r\n\r\n")[0]


def test_a_field_that_cannot_be_written_is_told() -> None:
    message = note(message_id="<\u00fc@example.com>")
    with pytest.raises(UnsendableError, match="the field Message-Id cannot be written: 'ascii'"):
        Pair(*ALL).opened().send(message)


def test_a_charset_that_is_none_of_octets_goes_as_it_is() -> None:
    raw = (
        b"From: a@example.com\nTo: b@example.org\nContent-Type: text/plain; charset=idna\n\n\xff\n"
    )
    message = email.message_from_bytes(raw)
    assert Pair(*ALL).opened().send(message)[1].endswith(b"\r\n\r\n\xff\r\n")
    with pytest.raises(UnsendableError, match="8BITMIME; a part cannot be encoded anew"):
        Pair(*BARE).opened().send(message)


NO_LISTS = (
    "a@",
    "a@example.org; b@example.org",  # up to CPython 3.13 email drops what stands behind ";"
    "a@example.org b@example.org",
    "a@example.org <b@example.org>",
    "friends: a@example.org b@example.org;",
    "a@[192.0.2.1",
    "a: b: c@example.org;;",
    "=?utf-8?q?a=0Ab?= <a@example.org>",
)
"""What each Python's email reads otherwise: it raises what it likes, or drops somebody."""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("policy", [email.policy.compat32, SMTP])
def test_a_list_of_addresses_may_be_folded_anywhere(policy: Any, end: str) -> None:
    header = "From:\n Alice\n A.\n <alice@example.com>\nTo: b@example.org,\n\tc\n @example.org\n"
    message = email.message_from_string(header.replace("\n", end) + "\nx\n", policy=policy)
    envelope, _ = Pair(*ALL).opened().send(message)
    assert str(envelope.reverse_path) == "alice@example.com"
    assert recipients(envelope) == ["b@example.org", "c@example.org"]


@pytest.mark.parametrize("policy", [email.policy.compat32, SMTP])
@pytest.mark.parametrize("text", NO_LISTS)
def test_text_that_is_no_list_of_addresses_reaches_nobody(text: str, policy: Any) -> None:
    for header, name in (
        (f"From: a@example.com\nTo: b@example.org\nCc: {text}\n", "Cc"),
        (f"From: {text}\nTo: b@example.org\n", "From"),
    ):
        message = email.message_from_string(f"{header}\nx\n", policy=policy)
        with pytest.raises(UnsendableError, match=rf"{name} is no list of addresses \(RFC 5322"):
            Pair(*ALL).opened().send(message)
    if policy is email.policy.compat32:  # which is not read when it is written
        envelope, content = Pair(*ALL).opened().send(message, "a@example.com", ["b@example.org"])
        assert recipients(envelope) == ["b@example.org"]
        assert content.startswith(f"From: {text}\r\n".encode())


def test_octets_that_are_no_text_are_nobody_s_address() -> None:
    raw = b"From: a@example.com\nTo: b@example.org\nBcc: \xc3\xa9@example.org\n\nx\n"
    for policy in (email.policy.compat32, SMTP):
        pair = Pair(*ALL).opened()
        with pytest.raises(UnsendableError, match="Bcc has "):
            pair.send(email.message_from_bytes(raw, policy=policy))
