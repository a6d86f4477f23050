"""How a client queues commands and bodies, and when each is written (RFC 2920 §3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpwire.engine.client_core import ClientCore
from smtpwire.engine.errors import LocalProtocolError, SessionLimitError, UnwritableError
from smtpwire.engine.events import (
    EndOfData,
)
from smtpwire.engine.flight import (
    AUTH,
    BURL,
    BURL_LAST,
    CHUNK,
    DATA,
    GROUPED,
    HELLO,
    IN_CHUNKS,
    IN_CLOSED,
    IN_DATA,
    IN_GREETING,
    IN_MAIL,
    IN_RCPT,
    IN_READY,
    LAST,
    MAIL,
    OPEN,
    OTHER,
    QUIT,
    RCPT,
    RESPONSE,
    RSET,
    STARTTLS,
    Kind,
    Place,
)
from smtpwire.engine.redaction import REDACTED, redacted
from smtpwire.extensions import parameters as p
from smtpwire.extensions.atrn import Atrn
from smtpwire.extensions.burl import Burl
from smtpwire.extensions.xclient import XClient
from smtpwire.wire.body import BareLineEnding
from smtpwire.wire.command import (
    COMMAND_LINE,
    NO_PARAMETERS,
    Auth,
    Bdat,
    Command,
    Data,
    Expn,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)

if TYPE_CHECKING:
    pass

__all__ = ["ClientQueue", "before_tls", "shown"]


class ClientQueue(ClientCore):
    """Commands are checked against the state they will meet, held, and released in flights."""

    __slots__ = ()

    # -- commands

    def _target(self, kind: Kind) -> Place:
        """Where the command leads from the state planned; LocalProtocolError where it may not."""
        target = self._planned.moves.get(kind.word)
        if target is None:
            raise self._out_of_order(kind.word)
        return target

    def _out_of_order(self, verb: str) -> LocalProtocolError:
        if self._planned is IN_CLOSED:
            return LocalProtocolError("the connection has ended")
        state = self._planned.state.value
        return LocalProtocolError(f"{verb} is out of order: the state is {state} (RFC 5321 §4.1.4)")

    def _check_not_blocked(self, command: Command) -> None:
        if self._place is IN_CLOSED:
            raise LocalProtocolError("the connection has ended")
        if self._blocked is not None:
            name = type(self._blocked).__name__
            raise LocalProtocolError(f"nothing can be queued behind {name} before its reply")
        if self._refusal is not None and not isinstance(command, Quit):
            raise LocalProtocolError("the server refuses service: only Quit can be sent")
        if (
            self._must_reset
            and self._planned is IN_CHUNKS
            and not isinstance(command, Rset | Hello | Quit | Noop | Help | Vrfy | Expn)
        ):
            raise LocalProtocolError("a chunk was refused: Rset is needed (RFC 3030 §2)")

    def _line(self, command: Command) -> bytes:
        try:
            return command.__bytes__() + b"\r\n"  # bytes(command) costs one more call
        except ValueError as error:
            raise UnwritableError(str(error)) from error

    def _queue(
        self, command: Command, kind: Kind, line: bytes, target: Place, transaction: int = 0
    ) -> None:
        self._held.append((command, kind, line, transaction))
        self._planned = target
        if kind.blocking:
            self._blocked = command

    def _queue_hello(self, command: Hello) -> None:
        if self._lmtp is not (command.verb == "LHLO"):
            raise LocalProtocolError(f"{command.verb} is not of this protocol (RFC 2033 §4.1)")
        if self._planned is IN_GREETING:
            target = IN_READY  # it is written when the greeting has come
        else:
            target = self._target(HELLO)
        line = self._line(command)
        self._terms.check_line(command.verb, line)
        self._drop_chunks()
        self._queue(command, HELLO, line, target)
        if self._early:
            self._blocked = None

    def _queue_mail(self, command: Mail) -> None:
        if self._planned is not IN_READY:
            raise self._out_of_order("MAIL")
        if self._guarded:
            raise before_tls("MAIL")
        line = self._line(command)
        parameters = command.parameters
        if parameters is not NO_PARAMETERS or self._terms.limited or not _is_plain(line):
            self._check_mail(command, line)
        self._mails_sent += 1
        self._transaction += 1
        self._planned_parameters = parameters
        self._hopeful = 0
        self._rcpts_sent = 0
        self._held.append((command, MAIL, line, self._transaction))
        self._planned = IN_MAIL

    def _check_mail(self, command: Mail, line: bytes) -> None:
        terms = self._terms
        terms.check_mail(command.parameters)
        self._check_requiretls(command)
        if not line.isascii() and p.SMTPUTF8 not in command.parameters:
            raise UnwritableError("MAIL beyond ASCII needs SMTPUTF8 (RFC 6531 §3.4)")
        terms.check_line("MAIL", line)
        self._check_mailmax()

    def _check_mailmax(self) -> None:
        limit = self._terms.limits.mailmax
        if limit is not None and self._mails_sent >= limit:
            raise SessionLimitError(f"the server takes {limit} MAIL commands (RFC 9422 §4.1)")

    def _check_requiretls(self, command: Mail) -> None:
        if p.REQUIRETLS not in command.parameters:
            return
        if self._tls is None or not (
            self._tls.verified or self._config.requiretls_without_verified_tls
        ):
            raise UnwritableError("REQUIRETLS needs verified TLS (RFC 8689 §4.2.1)")

    def _queue_rcpt(self, command: Rcpt) -> None:
        if self._planned is not IN_MAIL and self._planned is not IN_RCPT:
            raise self._out_of_order("RCPT")
        line = self._line(command)
        parameters = command.parameters
        if parameters is not NO_PARAMETERS or self._terms.limited or not _is_plain(line):
            self._check_rcpt(command, line)
        self._rcpts_sent += 1
        self._hopeful += 1
        self._held.append((command, RCPT, line, self._transaction))
        self._planned = IN_RCPT

    def _check_rcpt(self, command: Rcpt, line: bytes) -> None:
        terms = self._terms
        terms.check_rcpt(command.parameters)
        if not line.isascii() and p.SMTPUTF8 not in self._planned_parameters:
            raise UnwritableError("RCPT beyond ASCII needs SMTPUTF8 on MAIL (RFC 6531 §3.4)")
        terms.check_line("RCPT", line)
        self._check_rcptmax(command)

    def _check_rcptmax(self, command: Rcpt) -> None:
        limits = self._terms.limits
        if limits.rcptmax is not None and self._rcpts_sent >= limits.rcptmax:
            raise SessionLimitError(
                f"the server takes {limits.rcptmax} RCPT commands a transaction (RFC 9422 §4.2)"
            )
        if limits.rcptdomainmax is not None:
            self._count_domain(command.address.domain, limits.rcptdomainmax)

    def _count_domain(self, domain: str, most: int) -> None:
        if domain not in self._domains and len(self._domains) >= most:
            raise SessionLimitError(f"the server takes {most} domains a session (RFC 9422 §4.3)")
        self._domains.add(domain)

    def _queue_data(self, command: Data) -> None:
        if command.chunking:
            self._queue_open(command)
            return
        if self._planned is not IN_RCPT:
            raise self._out_of_order("DATA")
        parameters = self._planned_parameters
        if parameters is not NO_PARAMETERS and parameters.get(p.BODY) is p.Body.BINARYMIME:
            raise UnwritableError("BODY=BINARYMIME needs Data(chunking=True) (RFC 3030 §3)")
        self._held.append((command, DATA, b"DATA\r\n", self._transaction))
        self._planned = IN_DATA

    def _queue_open(self, command: Data) -> None:
        if self._chunking or any(item[1] is OPEN for item in self._held):
            raise LocalProtocolError("the body is already open")
        target = self._target(OPEN)
        self._terms.check_offered("CHUNKING", "BDAT")
        self._held.append((command, OPEN, b"", self._transaction))
        self._planned = target

    def _queue_starttls(self, command: StartTls) -> None:
        target = self._target(STARTTLS)
        if self._tls is not None:
            raise LocalProtocolError("TLS is already active (RFC 3207 §4.2)")
        if self._identity is not None:
            raise LocalProtocolError("STARTTLS after AUTH is refused by servers, and rightly")
        self._terms.check_offered("STARTTLS", "STARTTLS")
        self._queue(command, STARTTLS, b"STARTTLS\r\n", target)

    def _queue_rset(self, command: Rset) -> None:
        target = self._target(RSET)
        self._drop_chunks()
        self._queue(command, RSET, b"RSET\r\n", target)

    def _queue_quit(self, command: Quit) -> None:
        target = self._target(QUIT)
        self._drop_chunks()
        self._queue(command, QUIT, b"QUIT\r\n", target)

    def _queue_other(self, command: Noop | Help) -> None:
        target = self._target(OTHER)
        line = self._line(command)
        self._terms.check_line(type(command).__name__.upper(), line)
        self._queue(command, OTHER, line, target)

    def _queue_query(self, command: Vrfy | Expn) -> None:
        target = self._target(OTHER)
        verb = type(command).__name__.upper()
        if command.smtputf8:
            self._terms.check_offered("SMTPUTF8", f"{verb} SMTPUTF8")
        line = self._line(command)
        self._terms.check_line(verb, line)
        self._queue(command, OTHER, line, target)

    def _queue_rare(self, command: Command) -> None:
        match command:
            case Rset():
                self._queue_rset(command)
            case Hello():
                self._queue_hello(command)
            case Quit():
                self._queue_quit(command)
            case StartTls():
                self._queue_starttls(command)
            case Noop() | Help():
                self._queue_other(command)
            case Vrfy() | Expn():
                self._queue_query(command)
            case Burl():
                self._queue_burl(command)
            case Auth() | Bdat() | EndOfData():
                name = type(command).__name__
                raise LocalProtocolError(
                    f"{name} is not sent as such: see authenticate(), send_body() and end_body()"
                )
            case _:
                self._queue_extension(command)

    def _queue_extension(self, command: Command) -> None:
        line = self._line(command)
        verb = line[:-2].partition(b" ")[0].decode().upper()
        grammar = self._terms.verb(verb)
        self._terms.check_line(verb, line)
        target = self._target(OTHER)
        if not grammar.in_transaction and self._planned is not IN_READY:
            raise self._out_of_order(verb)
        if not line.isascii() and not self._utf8_is_agreed():
            raise UnwritableError(f"{verb} beyond ASCII needs SMTPUTF8 on MAIL (RFC 6531 §3.3)")
        self._queue(command, GROUPED if grammar.grouped else OTHER, line, target)
        if isinstance(command, Atrn | XClient):
            self._blocked = command

    def _utf8_is_agreed(self) -> bool:
        return self._planned is not IN_READY and p.SMTPUTF8 in self._planned_parameters

    def _queue_burl(self, command: Burl) -> None:
        kind = BURL_LAST if command.last else BURL
        target = self._target(kind)
        line = self._line(command)
        self._terms.check_offered("BURL", "BURL")
        self._terms.check_line("BURL", line)
        self._end_text()
        if self._parts:  # the octets before it go as a chunk of their own (RFC 4468 §3.2)
            self._queue_chunk(Bdat(self._parts_size), b"".join(self._parts))
            self._parts, self._parts_size = [], 0
        if command.last:
            self._close_body()
        self._queue(command, kind, line, target, self._transaction)

    # -- the body

    def _end_text(self) -> None:
        """Refuse a CR alone as the last octet before the end, or before what BURL fetches."""
        if self._guard is not None:
            try:
                self._guard.end()
            except BareLineEnding as error:
                raise LocalProtocolError(str(error)) from error

    def _cut_chunks(self) -> None:
        """Queue whole chunks, and keep at least one octet for the last."""
        size = self._config.chunk_size
        content = memoryview(b"".join(self._parts))
        end = (len(content) - 1) // size * size
        for start in range(0, end, size):
            self._queue_chunk(Bdat(size), content[start : start + size])
        self._parts = [bytes(content[end:])]
        self._parts_size = len(content) - end

    def _queue_chunk(self, command: Bdat | EndOfData, content: bytes | memoryview) -> None:
        last = isinstance(command, EndOfData)
        line = bytes(Bdat(len(content), last))
        octets = b"".join((line, b"\r\n", content))
        self._held.append((command, LAST if last else CHUNK, octets, self._transaction))

    # -- writing

    def _release(self) -> None:
        """Hand over to ``data_to_send`` what may be written now."""
        if self._place is IN_GREETING and not self._early:
            return  # RFC 5321 §4.3.1
        held, flight, out = self._held, self._flight, self._out
        received, trace = self._received, self.trace
        room = self._limits.flight - self._window() if flight else 0
        before = len(flight)
        while held:
            command, kind, octets, transaction = held[0]
            size = len(octets) if kind.counted else 0
            if flight:
                if not self._may_follow(kind, size, room):
                    break
            elif kind.gated and not self._is_in_turn(kind):
                break
            else:
                room = self._limits.flight
            room -= size
            flight.append((command, kind, transaction, received, size))
            held.popleft()
            out.append(octets)
            if trace is not None:
                self._traced.append(("sent", shown(kind, octets)))
        self._commands += len(flight) - before

    def _window(self) -> int:
        """The octets of the commands in flight."""
        return sum([size for _, _, _, _, size in self._flight])

    def _is_in_turn(self, kind: Kind) -> bool:
        """Whether a body may begin now: else next_event() opens it, or drops its command."""
        return kind is DATA and bool(self._accepted)

    def _may_follow(self, kind: Kind, size: int, room: int) -> bool:
        """Whether this may be written before the replies to what is in flight have come."""
        flight = self._flight
        return (
            self._terms.pipelining
            and kind.may_follow(flight[-1][1])
            and len(flight) < self._limits.in_flight
            and (size <= room or not size)
            and not (kind is LAST and self._lmtp)  # RFC 2033 §4.3: it has a reply a recipient
        )

    def _can_release(self) -> bool:
        _, kind, octets, _ = self._held[0]
        size = len(octets) if kind.counted else 0
        room = self._limits.flight - self._window()
        return not self._flight or self._may_follow(kind, size, room)


def before_tls(verb: str) -> LocalProtocolError:
    return LocalProtocolError(f"{verb} before TLS: ClientConfig.security forbids it")


def _is_plain(line: bytes) -> bool:
    """Nothing in a line of this length and these octets needs an extension."""
    return len(line) <= COMMAND_LINE and line.isascii()


def shown(kind: Kind, octets: bytes) -> bytes:
    """What a trace may show of a command."""
    if kind is AUTH:
        return redacted(octets[:-2]) + b"\r\n"
    if kind is RESPONSE:
        return REDACTED + b"\r\n"
    if kind is BURL or kind is BURL_LAST:  # the URL may be a key to a mailbox: RFC 4467
        return b"BURL " + REDACTED + b"\r\n"
    return octets
