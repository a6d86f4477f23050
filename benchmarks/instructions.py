"""Instructions a piece of work costs, counted by valgrind: ``python -m benchmarks.instructions``.

A count does not depend on what else the machine does, so two versions can be told apart by less
than a percent. Each dialogue runs twice, with two lengths; the difference is what one more costs,
without the start of the interpreter and without what happens once.
"""

import argparse
import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from benchmarks import ours
from benchmarks.build import this_build
from benchmarks.contents import MESSAGE, stuffed
from benchmarks.dialogue import (
    BODY,
    CONNECTION,
    DATA,
    EHLO,
    LOCKSTEP,
    MAIL,
    PIPELINED,
    RCPT,
    RECIPIENT,
    SENDER,
    Step,
)
from benchmarks.harness import MissingToolError, Work
from benchmarks.memory import MakeProtocol, connections, event_loop, messages
from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.events import BodyChunk
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.tls import TlsInfo
from smtpwire.extensions import DSN, parameters
from smtpwire.operations import Operation, open_session, send_mail
from smtpwire.sasl import Password, PasswordLogin
from smtpwire.wire.address import Address
from smtpwire.wire.command import Mail, Rcpt
from smtpwire.wire.parameter import Parameters
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace

__all__ = ["DIALOGUES", "count", "main"]

_FEW, _MANY = 20, 60
"""The two lengths of a run."""
_MOST = 10**9
_READ, _WRITE = Need.DATA, Need.WRITE
_LIMITS = Limits(message=0, recipients=_MOST, junk=_MOST, errors=_MOST, refused_recipients=_MOST)
_RELAY = replace(ServerConfig.relay("mx.example.org"), limits=_LIMITS)
_WITH_EXTENSIONS = replace(_RELAY, offer=(*_RELAY.offer, DSN))
_SUBMISSIONS = replace(ServerConfig.submissions("mx.example.org"), limits=_LIMITS)
_TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", verified=True)
_ACCEPTED = Reply(250, "OK", "2.1.5")
_LOGGED_IN = Reply(235, "Welcome", "2.7.0")


class _Server:
    """A server's engine, and an application that takes everything."""

    def __init__(self, config: ServerConfig = _RELAY, tls: TlsInfo | None = None) -> None:
        self._conn = ServerConnection(config, tls=tls)
        self._body: list[bytes] = []
        self.play([b"", EHLO])

    def play(self, writes: Sequence[bytes]) -> None:
        """Receive each, and answer what is asked."""
        conn = self._conn
        for data in writes:
            if data:
                conn.receive_data(data)
            while (item := conn.next_event()) is not _READ:
                match item:
                    case Rcpt():
                        conn.reply(_ACCEPTED)
                    case PasswordLogin():
                        conn.reply(_LOGGED_IN)
                    case Request():
                        self._body.clear()
                        conn.reply()
                    case BodyChunk(octets):
                        self._body.append(octets)
                    case Need():
                        if item is not _WRITE:
                            raise RuntimeError(item)
                        conn.data_to_send()
            conn.data_to_send()


def _server(writes: Sequence[bytes], config: ServerConfig = _RELAY) -> Work:
    server = _Server(config)

    def work(count: int) -> None:
        for _ in range(count):
            server.play(writes)

    return work


def _server_connections(
    writes: Sequence[bytes], config: ServerConfig = _RELAY, tls: TlsInfo | None = None
) -> Work:
    def work(count: int) -> None:
        for _ in range(count):
            _Server(config, tls).play(writes)

    return work


_MAIL_PARAMETERS = (
    b"MAIL FROM:<alice@example.com> SIZE=%d BODY=8BITMIME RET=HDRS ENVID=id42\r\n" % len(MESSAGE)
)
_RCPT_PARAMETERS = (
    b"RCPT TO:<bob@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.org\r\n"
)
_PLAIN = b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"


# --- asyncio's adapter, in memory ----------------------------------------------------------


def _adapter(
    steps: tuple[Step, ...], make: MakeProtocol = ours.protocol_with_plain_handler
) -> Work:
    """One connection's messages; the loop and the transport are counted as well."""

    def work(count: int) -> None:
        with event_loop() as loop:
            messages(loop, make, steps)(count)

    return work


def _adapter_connections(steps: tuple[Step, ...]) -> Work:
    def work(count: int) -> None:
        with event_loop() as loop:
            connections(loop, ours.protocol_with_plain_handler, steps)(count)

    return work


# --- the client ---------------------------------------------------------------------------

_OFFERED = ("PIPELINING", "SIZE 0", "8BITMIME", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES")
_SENT_TO = Address.parse(RECIPIENT)


class _Client:
    """A client's engine, driven through operations, and a peer with its replies ready."""

    def __init__(
        self,
        offered: Sequence[str] = _OFFERED,
        credentials: Password | None = None,
        config: ClientConfig | None = None,
        tls: TlsInfo | None = None,
    ) -> None:
        self._conn = ClientConnection(config or ClientConfig("client.example.com"), tls=tls)
        lines = ("mx.example.org", *offered)
        ehlo = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
        replies = [b"220 mx.example.org\r\n", ehlo.encode(), b"235 2.7.0 Welcome\r\n"]
        self.run(open_session(self._conn, credentials), iter(replies))

    def run(self, operation: Operation[object], replies: Iterator[bytes]) -> None:
        """Drive the operation; each read gives the next of the replies."""
        conn = self._conn
        for need in operation:
            conn.data_to_send()
            if need is _READ:
                conn.receive_data(next(replies))
        conn.data_to_send()

    def send(
        self,
        replies: Sequence[bytes],
        mail: str | Mail = SENDER,
        rcpts: Sequence[str | Rcpt] = (RECIPIENT,),
        *,
        chunking: bool | None = None,
    ) -> None:
        """Send the message."""
        operation = send_mail(self._conn, mail, rcpts, MESSAGE, chunking=chunking)
        self.run(operation, iter(replies))


_OK = b"250 2.0.0 OK\r\n"
_GO_ON = b"354 go on\r\n"
_REFUSED = b"550 5.7.1 no\r\n"


def _client(
    replies: Sequence[bytes],
    offered: Sequence[str] = _OFFERED,
    mail: str | Mail = SENDER,
    rcpts: Sequence[str | Rcpt] = (RECIPIENT,),
    *,
    chunking: bool | None = None,
) -> Work:
    client = _Client(offered)

    def work(count: int) -> None:
        for _ in range(count):
            client.send(replies, mail, rcpts, chunking=chunking)

    return work


def _client_connections(replies: Sequence[bytes], *, login: bool = False) -> Work:
    credentials = Password("alice", "secret") if login else None
    offered = (*_OFFERED, "AUTH PLAIN") if login else _OFFERED
    config = ClientConfig("client.example.com", security=Security.IMPLICIT) if login else None

    def work(count: int) -> None:
        for _ in range(count):
            client = _Client(offered, credentials, config, _TLS if login else None)
            client.send(replies)

    return work


_WITH_DSN = Mail(
    Address.parse(SENDER),
    Parameters(parameters.RET(parameters.Ret.HDRS), parameters.ENVID("id42")),
)
_NOTIFIED = Rcpt(_SENT_TO, Parameters(parameters.NOTIFY(frozenset({parameters.Notify.SUCCESS}))))
_FLIGHT = [_OK + _OK + _GO_ON, _OK]
_IN_CHUNKS = [_OK + _OK, _OK]

DIALOGUES: dict[str, Callable[[], Work]] = {
    "server lock-step": lambda: _server([MAIL, RCPT, DATA, BODY]),
    "server pipelined": lambda: _server([MAIL + RCPT + DATA, BODY]),
    "server parameters": lambda: _server(
        [_MAIL_PARAMETERS, _RCPT_PARAMETERS, DATA, BODY], _WITH_EXTENSIONS
    ),
    "server BDAT": lambda: _server([MAIL + RCPT, b"BDAT %d LAST\r\n" % len(MESSAGE) + MESSAGE]),
    "server refused": lambda: _server([b"RCPT TO:<a@example.org>\r\n", b"XYZZY\r\n", b"MAIL\r\n"]),
    "server connection": lambda: _server_connections([MAIL, RCPT, DATA, stuffed(MESSAGE)]),
    "server AUTH": lambda: _server_connections([_PLAIN], _SUBMISSIONS, _TLS),
    "server 100 recipients": lambda: _server([MAIL + RCPT * 100 + DATA, BODY]),
    "asyncio lock-step": lambda: _adapter(LOCKSTEP),
    "asyncio pipelined": lambda: _adapter(PIPELINED),
    "asyncio coroutines": lambda: _adapter(LOCKSTEP, ours.protocol_with_async_handler),
    "asyncio connection": lambda: _adapter_connections(CONNECTION),
    "client engine": lambda: ours.client_messages(MESSAGE),
    "client lock-step": lambda: _client([_OK, _OK, _GO_ON, _OK], offered=("8BITMIME",)),
    "client pipelined": lambda: _client(_FLIGHT),
    "client parameters": lambda: _client(_FLIGHT, mail=_WITH_DSN, rcpts=(_NOTIFIED,)),
    "client BDAT": lambda: _client(_IN_CHUNKS, chunking=True),
    "client refused": lambda: _client([_REFUSED * 3, _OK]),
    "client connection": lambda: _client_connections(_FLIGHT),
    "client AUTH": lambda: _client_connections(_FLIGHT, login=True),
    "client 100 recipients": lambda: _client(
        [_OK * 64, _OK * 37 + _GO_ON, _OK], rcpts=(RECIPIENT,) * 100
    ),
}
"""What is counted: a message, a connection with one, or a few commands that are refused.

"client engine" is figure 12: no operation. The other clients are driven through operations.
"""


# --- counting -----------------------------------------------------------------------------

_COLLECTED = re.compile(r"Collected : ([0-9]+)")


_CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def _play(name: str, times: int, cache: str, *tool: str) -> str:
    """Play the dialogue so many times in a process; what the tool says of it."""
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [*tool, sys.executable, "-m", "benchmarks.instructions", "--play", name, str(times)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stderr


def _instructions(name: str, times: int, cache: str) -> int:
    """What a process executes that plays the dialogue so many times."""
    said = _play(name, times, cache, *_CALLGRIND)
    found = _COLLECTED.search(said)
    if found is None:
        raise RuntimeError(said)
    return int(found[1])


def count(name: str) -> int:
    """The instructions that one more of this dialogue costs."""
    if which("valgrind") is None:
        raise MissingToolError("valgrind is not installed: apt-get install valgrind")
    with TemporaryDirectory() as cache:
        _play(name, 1, cache)  # writes the byte code: neither run that is counted compiles
        few, many = (_instructions(name, times, cache) for times in (_FEW, _MANY))
    return (many - few) // (_MANY - _FEW)


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, print a line a dialogue, and compare with an earlier run where one is given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=DIALOGUES, default=DIALOGUES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there too")
    parser.add_argument("--against", type=Path, metavar="FILE", help="such a file, to compare with")
    parser.add_argument("--play", nargs=2, metavar=("NAME", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.play:
        name, times = options.play
        gc.disable()  # as the harness does: a collection in one of two runs would be counted
        DIALOGUES[name]()(int(times))
        return 0
    earlier = json.loads(options.against.read_text("utf-8")) if options.against else {}
    print(this_build())
    counts = {}
    for name in options.only:
        counts[name] = count(name)
        change = f"{counts[name] / earlier[name] - 1:+8.1%}" if name in earlier else ""
        print(f"{name:<24}{counts[name]:>12,}{change}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
