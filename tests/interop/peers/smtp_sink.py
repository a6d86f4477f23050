"""Postfix's smtp-sink: takes everything, or injects the fault its switches name."""

import os
from collections.abc import Sequence

from tests.interop.peers.certificates import Authority
from tests.interop.peers.mailbox import read_sink
from tests.interop.peers.process import Process
from tests.interop.peers.requirements import find
from tests.interop.peers.server import Delivered, ServerPeer


class SmtpSink(ServerPeer):
    """No TLS, and AUTH takes any password.

    Switches (CMD is one or several of CONNECT HELO EHLO LHLO MAIL RCPT VRFY DATA . RSET NOOP QUIT):
    -f CMD 5yz; -r CMD 4yz; -q CMD drop the connection; -Q CMD 421 and drop; -B or -b TEXT the reply;
    -P "PIX" greeting; -e HELO only; -L LMTP; -p -8 -E -N -a -C -F hide PIPELINING, 8BITMIME,
    ENHANCEDSTATUSCODES, DSN, AUTH, XCLIENT, XFORWARD; -W CMD:SECONDS, -H, -A delay.
    """

    name = "smtp-sink"
    listeners = ("smtp",)
    rejects = False

    def __init__(self, authority: Authority, switches: Sequence[str] = ()) -> None:
        super().__init__(authority)
        self.switches = tuple(switches)

    def launch(self) -> Process:
        self.subdirectory("dump", 0o777)
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        dump = str(self.directory / "dump" / "%Y%m%d%H%M%S.")
        return Process(
            self.directory,
            [
                *(find("smtp-sink") or "", "-4", *user, "-h", "localhost", "-d", dump),
                *(*self.switches, f"127.0.0.1:{self.ports['smtp']}", "100"),
            ],
        )

    def delivered(self) -> list[Delivered]:
        return read_sink(self.directory / "dump")
