"""A client and a server joined: what both applications and the network do, an input decides.

Input: the service; then one octet a step, as ``Session.do`` reads it.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar, final

from fuzz.choices import Choices
from fuzz.dialogue import client
from fuzz.oracles import (
    check_commands_end,
    check_one_end,
    check_recipients_told,
    check_server_brackets,
    flushed,
    replies_of,
)
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    BodyChunk,
    Cause,
    ClientEvent,
    EndOfData,
    EndOfMessage,
    MessageAborted,
    ReplyReceived,
    ServerEvent,
    ServiceClosing,
    Unanswered,
)
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.violation import ProtocolViolation
from smtpwire.extensions import (
    BINARYMIME,
    CHUNKING,
    EIGHTBITMIME,
    ENHANCEDSTATUSCODES,
    PIPELINING,
    PRDR,
)
from smtpwire.extensions import parameters as p
from smtpwire.sasl import PasswordLogin, PlainPassword, SaslError, SecretRequest
from smtpwire.testing import SIMULATED_TLS
from smtpwire.wire.address import Address
from smtpwire.wire.command import (
    Command,
    Data,
    Hello,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

C = TypeVar("C", bound=Command)

_PASSWORD: Final = "correct-horse"
_OFFER: Final = (PIPELINING, EIGHTBITMIME, ENHANCEDSTATUSCODES, CHUNKING, BINARYMIME, PRDR)
_MANY: Final = Limits(errors=1000, junk=1000, authentications=1000, refused_recipients=1000)
_RELAY: Final = ServerConfig(
    host="mx.example.org",
    local_domains=("example.org",),
    offer=_OFFER,
    limits=_MANY,
    starttls=True,
    mechanisms=("SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"),
    cleartext_without_tls=True,
    scram_secret=b"shared by all processes",
    stores_passwords=False,
)
_LMTP: Final = replace(
    ServerConfig.lmtp("mx.example.org", ("example.org",)),
    limits=_MANY,
)
_CLIENT: Final = ClientConfig(
    hello_name="client.example.org",
    chunk_size=16,
    cleartext_authentication_without_verified_tls=True,
)
_SMALL: Final = Limits(flight=100, in_flight=3, output=64)
_SERVICES: Final = (
    (_CLIENT, _RELAY),
    (_CLIENT, replace(_RELAY, offer=(CHUNKING, EIGHTBITMIME))),
    (replace(_CLIENT, limits=_SMALL), replace(_RELAY, limits=replace(_MANY, output=128))),
    (replace(_CLIENT, lmtp=True), _LMTP),
    (
        replace(_CLIENT, lmtp=True, limits=_SMALL),
        replace(_LMTP, limits=replace(_MANY, recipients=2)),
    ),
    (_CLIENT, replace(_RELAY, limits=replace(_MANY, message=60, recipients=2))),
)
_INJECTED_COMMAND: Final = b"NOOP injected\r\n"
_INJECTED_REPLY: Final = b"250 injected\r\n"
_SERIAL: Final = re.compile(rb"\r\nmessage (\d+)\r\n\Z")
_STEPS: Final = 300


def check(data: bytes) -> None:
    choices = Choices(data)
    session = Session(*_SERVICES[choices.below(len(_SERVICES))])
    for octet in choices.rest()[:_STEPS]:
        session.do(chr(octet))
    session.finish()
    session.check()


@final
class Session:
    """Both engines, both applications, and the network between."""

    def __init__(self, client_config: ClientConfig, server_config: ServerConfig) -> None:
        self.client = ClientConnection(client_config)
        self.server = ServerConnection(server_config)
        self.client_events: list[ClientEvent] = []
        self.server_events: list[ServerEvent] = []
        self._client_need: Need = Need.DATA
        self._server_need: Need = Need.DATA
        self._to_client = bytearray()
        self._to_server = bytearray()
        self._client_sent = 0
        self._replies = bytearray()
        self._attacked = False
        self._disturbed = False  # a side has ended, or will, before all is said
        self._commands: list[Command] = []
        self._bodies: list[Command] = []
        # the client's application
        self._transaction = 0
        self._ended: dict[int, int] = {}  # EndOfData by identity -> transaction
        # the server's application
        self._answers: list[str] = []
        self._answers_late = False
        self._content = bytearray()
        self._verdicts: dict[int, list[int]] = {}  # transaction -> codes
        self._questions: dict[int, EndOfMessage] = {}  # transaction -> what asked for them
        self._handshake_fails = False
        self._settle()

    # -- one step

    def do(self, step: str) -> None:
        """What a letter stands for; what is not legal now changes nothing."""
        action = _STEPS_BY_LETTER.get(step)
        if action is None:
            return
        with suppress(LocalProtocolError):
            action(self)
        self._pull()

    def _send(self, command: C) -> C:
        self.client.send(command)
        self._commands.append(command)
        return command

    def hello(self) -> None:
        lmtp = self.client.config.lmtp
        self._send(Hello("client.example.org", "LHLO" if lmtp else "EHLO"))

    def helo(self) -> None:
        self._send(Hello("client.example.org", "HELO"))

    def mail(self, *parameters: bool) -> None:
        address = Address(f"t{self._transaction + 1}", "example.com")
        given = Parameters(p.PRDR(True)) if parameters else Parameters()
        self._send(Mail(address, given))
        self._transaction += 1

    def mail_prdr(self) -> None:
        self.mail(True)

    def rcpt(self) -> None:
        self._send(Rcpt(Address(f"t{self._transaction}", "example.org")))

    def data(self) -> None:
        self._send(Data())

    def chunks(self) -> None:
        command = Data(chunking=True)
        self.client.send(command)
        self._bodies.append(command)

    def body(self) -> None:
        self.client.send_body(b"line\r\n.\r\n..\r\nMAIL FROM:<smuggled@example.com>\r\n")

    def bare(self) -> None:
        self.client.send_body(b"a\n.\nb\r.\rc")

    def end(self) -> None:
        self.client.send_body(b"\r\nmessage %d\r\n" % self._transaction)
        end = self.client.end_body()
        self._commands.append(end)
        self._ended[id(end)] = self._transaction

    def rset(self) -> None:
        self._send(Rset())

    def noop(self) -> None:
        self._send(Noop())

    def vrfy(self) -> None:
        self._send(Vrfy("user"))

    def quit(self) -> None:
        self._send(Quit())

    def starttls(self) -> None:
        self._send(StartTls())

    def scram(self) -> None:
        self._authenticate("SCRAM-SHA-256", _PASSWORD)

    def cram(self) -> None:
        self._authenticate("CRAM-MD5", _PASSWORD)

    def login(self) -> None:
        self._authenticate("LOGIN", _PASSWORD)

    def wrong_password(self) -> None:
        self._authenticate("PLAIN", "guess")

    def _authenticate(self, name: str, password: str) -> None:
        try:
            mechanism = client(name, password, "")
        except SaslError as error:
            raise LocalProtocolError(str(error)) from error
        self._commands.append(self.client.authenticate(mechanism))

    # -- the server's application

    def accept(self) -> None:
        self._answers.append("")

    def refuse(self) -> None:
        self._answers.append("550")

    def refuse_for_now(self) -> None:
        self._answers.append("450")

    def closing(self) -> None:
        self._disturbed = True
        self._answers.append("421")

    def be_late(self) -> None:
        self._answers_late = not self._answers_late
        if not self._answers_late:
            self._answer_pending()

    def early_verdict(self) -> None:
        question = self.server.pending
        self.server.reply(Reply(550, "Refused early"))
        if isinstance(question, EndOfMessage):  # late for early: it is the verdict, or one of them
            self._verdicts.setdefault(self._check_message(question), []).append(550)

    def shut_down(self) -> None:
        self._disturbed = True
        self.server.shutdown()

    def _answer_pending(self) -> None:
        question = self.server.pending
        if question is not None:
            self._answer(question)

    def _answer(self, question: Request) -> None:
        word = self._answers.pop(0) if self._answers else ""
        if isinstance(question, EndOfMessage):
            self._answer_message(question, word)
        elif word:
            self._refuse(question, Reply(int(word), "Refused"))
        elif isinstance(question, SecretRequest):
            self.server.supply(PlainPassword(_PASSWORD), to=question)
        elif isinstance(question, PasswordLogin) and question.password == _PASSWORD:
            self.server.reply(Reply(235, "Welcome"), to=question)
        else:
            self.server.reply(to=question)

    def _refuse(self, question: Request, reply: Reply) -> None:
        try:
            self.server.reply(reply, to=question)
        except LocalProtocolError:  # not every code is for every question
            assert self.server.pending is question
            self.server.reply(to=question)

    def _answer_message(self, question: EndOfMessage, word: str) -> None:
        transaction = self._check_message(question)
        owed = self.server.replies_owed
        code = int(word) if word else 250
        codes = [250, code, 250][:owed] if owed > 1 else [code]
        codes += [250] * (owed - len(codes))
        if 421 in codes:
            codes = codes[: codes.index(421) + 1]
        self.server.reply(*(Reply(each, "Verdict") for each in codes), to=question)
        self._verdicts.setdefault(transaction, []).extend(codes)

    def _check_message(self, question: EndOfMessage) -> int:
        """Envelope and content are of one transaction, and whole."""
        match = _SERIAL.search(self._content)
        assert match is not None, bytes(self._content)
        transaction = int(match[1])
        envelope = question.envelope
        assert envelope.mail.address is not None
        locals_ = {path.local_part for path in (envelope.mail.address, *envelope.forward_paths)}
        assert locals_ == {f"t{transaction}"}, (locals_, transaction)
        assert self._questions.setdefault(transaction, question) is question
        assert transaction in self._ended.values()
        return transaction

    # -- the network

    def one_to_server(self) -> None:
        self._to_server = self._deliver_to_server(1)

    def some_to_server(self) -> None:
        self._to_server = self._deliver_to_server(7)

    def all_to_server(self) -> None:
        self._to_server = self._deliver_to_server(len(self._to_server))

    def one_to_client(self) -> None:
        self._to_client = self._deliver_to_client(1)

    def some_to_client(self) -> None:
        self._to_client = self._deliver_to_client(7)

    def all_to_client(self) -> None:
        self._to_client = self._deliver_to_client(len(self._to_client))

    def _deliver_to_server(self, most: int) -> bytearray:
        part = bytes(self._to_server[:most])
        if part and (self.server.wants_data or self._server_need is Need.TLS):
            self.server.receive_data(part)
            return self._to_server[most:]
        return self._to_server

    def _deliver_to_client(self, most: int) -> bytearray:
        part = bytes(self._to_client[:most])
        if part and (self.client.wants_data or self._client_need is Need.TLS):
            self.client.receive_data(part)
            return self._to_client[most:]
        return self._to_client

    def inject_command(self) -> None:
        """Somebody on the path adds octets; he cannot under TLS."""
        if self.server.tls is None:
            self._attacked = True
            self._to_server += _INJECTED_COMMAND

    def inject_reply(self) -> None:
        if self.client.tls is None:
            self._attacked = True
            self._to_client += _INJECTED_REPLY

    def lose_to_server(self) -> None:
        self._disturbed = True
        self.server.receive_data(b"")

    def lose_to_client(self) -> None:
        self._disturbed = True
        self.client.receive_data(b"")

    def client_waits_too_long(self) -> None:
        self._disturbed = True
        self.client.timed_out()

    def server_waits_too_long(self) -> None:
        self._disturbed = True
        self.server.timed_out()

    def abort_client(self) -> None:
        self._disturbed = True
        self.client.abort("the transport is lost")

    def abort_server(self) -> None:
        self._disturbed = True
        self.server.abort("the handler was cancelled")

    def fail_handshake(self) -> None:
        self._disturbed = True
        self._handshake_fails = True

    def settle(self) -> None:
        self._settle()

    # -- both adapters

    def _settle(self) -> None:
        """Go on until nothing moves."""
        for _ in range(10_000):
            before = self._progress()
            self._pull()
            self.all_to_client()
            self.all_to_server()
            self._pull()
            self._shake_hands()
            if self._progress() == before:
                return
        raise AssertionError("it does not come to rest")

    def _progress(self) -> tuple[object, ...]:
        return (
            len(self.client_events),
            len(self.server_events),
            self.client.stats.octets_received,
            self.server.stats.octets_received,
            len(self._to_client),
            len(self._to_server),
            self._client_need,
            self._server_need,
            self.server.pending,
        )

    def _pull(self) -> None:
        self._pull_client()
        self._pull_server()

    def _pull_client(self) -> None:
        while True:
            item = self.client.next_event()
            if not isinstance(item, Need):
                self.client_events.append(item)
                continue
            sent = flushed(self.client, item)
            self._client_sent += len(sent)
            self._to_server += sent
            self._client_need = item
            if item is Need.CLOSE:
                self._to_client.clear()
            if item is not Need.WRITE:
                return

    def _pull_server(self) -> None:
        while True:
            item = self.server.next_event()
            if isinstance(item, Need):
                sent = flushed(self.server, item)
                self._replies += sent
                self._to_client += sent
                self._server_need = item
                if item is Need.CLOSE:
                    self._to_server.clear()
                if item is not Need.WRITE:
                    return
                continue
            self._told(item)

    def _told(self, event: ServerEvent) -> None:
        self.server_events.append(event)
        match event:
            case Data():
                self._content.clear()
            case BodyChunk(data):
                self._content += data
            case _:
                pass
        if isinstance(event, Request) and not self._answers_late:
            self._answer(event)

    def _shake_hands(self) -> None:
        if not (self._client_need is self._server_need is Need.TLS):
            return
        if self._handshake_fails:
            self.client.tls_failed("the handshake failed")
            self.server.tls_failed("the handshake failed")
        else:
            self.client.tls_started(SIMULATED_TLS)
            self.server.tls_started(SIMULATED_TLS)
            # What was said in plaintext is gone, and so is whoever said it.
            self._to_client.clear()
            self._to_server.clear()
            self._server_tls_at = len(self.server_events)
            self._client_tls_at = len(self.client_events)
        self._pull()

    _server_tls_at = -1
    _client_tls_at = -1

    # -- the end

    def finish(self) -> None:
        """Answer what is asked, let everything arrive, close."""
        self._answers_late = False
        self._answer_pending()
        self._settle()
        if not (self._attacked or self._disturbed):
            assert self.client.replies_owed == 0
            assert self.server.replies_owed == 0
        self._end(self.client.tls_failed, self._client_need)
        self._end(self.server.tls_failed, self._server_need)
        self.client.receive_data(b"")
        self.server.receive_data(b"")
        self._settle()

    def _end(self, tls_failed: Callable[[str], None], need: Need) -> None:
        if need is Need.TLS:
            tls_failed("the other side is not there")

    def check(self) -> None:
        """What holds of every session, when it is over."""
        assert self.client.next_event() is Need.CLOSE
        assert self.server.next_event() is Need.CLOSE
        assert self.client.stats.octets_sent == self._client_sent
        check_one_end(self.client_events)
        check_one_end(self.server_events)
        check_server_brackets(self.server_events)
        check_commands_end(self.client_events, self._commands, self._bodies)
        check_recipients_told(self.client_events)
        replies_of(bytes(self._replies))
        self._check_tls()
        if not self._attacked:
            self._check_honest()

    def _check_tls(self) -> None:
        if self._server_tls_at >= 0:
            assert "injected" not in repr(self.server_events[self._server_tls_at :])
            assert "injected" not in repr(self.client_events[self._client_tls_at :])

    def _check_honest(self) -> None:
        """Between the two of us nobody breaks the protocol, and both know the same."""
        violations = [
            event
            for event in (*self.client_events, *self.server_events)
            if isinstance(event, ProtocolViolation)
        ]
        assert not violations, (self.client_events, self.server_events)
        codes: dict[int, list[int]] = {}
        for event in self.client_events:
            if isinstance(event, ReplyReceived) and isinstance(event.command, EndOfData):
                transaction = self._ended.get(id(event.command), -1)
                codes.setdefault(transaction, []).append(event.reply.code)
        for transaction, heard in codes.items():
            said = self._verdicts.get(transaction)
            if said is None:  # refused before its end
                assert not any(code < 400 for code in heard), (transaction, heard)
            elif heard[-1] == 421:  # the verdict, or the end of the service in its place
                assert said[: len(heard) - 1] == heard[:-1], (transaction, said, heard)
            elif 421 in said:
                _check_closing(said, heard)
            else:
                assert said[: len(heard)] == heard, (transaction, said, heard)
                assert self._disturbed or said == heard, (transaction, said, heard)
        if not self._disturbed:
            for event in self.client_events:
                assert not isinstance(event, ServiceClosing)
                assert not isinstance(event, Unanswered) or event.cause is Cause.NOT_SENT
        aborted = sum(isinstance(event, MessageAborted) for event in self.server_events)
        messages = sum(isinstance(event, EndOfMessage) for event in self.server_events)
        begun = sum(isinstance(event, Data) for event in self.server_events)
        assert aborted + messages <= begun


def _check_closing(said: list[int], heard: list[int]) -> None:
    """The session ends among the verdicts of PRDR: what was accepted is heard all the same.

    Those behind the 421 are told 451, since in PRDR the overall reply decides, which comes last.
    """
    at = said.index(421)
    assert heard[:at] == said[:at][: len(heard)], (said, heard)
    assert all(code == 451 for code in heard[at:-1]), (said, heard)
    assert heard[-1] in (451, *said[:at]), (said, heard)


_STEPS_BY_LETTER: Final[dict[str, Callable[[Session], None]]] = {
    "E": Session.hello,
    "H": Session.helo,
    "M": Session.mail,
    "P": Session.mail_prdr,
    "R": Session.rcpt,
    "D": Session.data,
    "C": Session.chunks,
    "B": Session.body,
    "b": Session.bare,
    ".": Session.end,
    "S": Session.rset,
    "N": Session.noop,
    "V": Session.vrfy,
    "Q": Session.quit,
    "T": Session.starttls,
    "A": Session.scram,
    "c": Session.cram,
    "L": Session.login,
    "a": Session.wrong_password,
    "2": Session.accept,
    "5": Session.refuse,
    "4": Session.refuse_for_now,
    "1": Session.closing,
    "w": Session.be_late,
    "v": Session.early_verdict,
    "X": Session.shut_down,
    ")": Session.one_to_server,
    "]": Session.some_to_server,
    ">": Session.all_to_server,
    "(": Session.one_to_client,
    "[": Session.some_to_client,
    "<": Session.all_to_client,
    "i": Session.inject_command,
    "j": Session.inject_reply,
    "$": Session.lose_to_server,
    "&": Session.lose_to_client,
    "~": Session.client_waits_too_long,
    "^": Session.server_waits_too_long,
    "!": Session.abort_client,
    "#": Session.abort_server,
    "f": Session.fail_handshake,
    "_": Session.settle,
}
