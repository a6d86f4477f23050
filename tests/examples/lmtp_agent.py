"""A delivery agent: LMTP at a UNIX socket, each recipient's mail in a Maildir of his.

python lmtp_agent.py /run/lmtp.sock /var/mail example.org
"""

import mailbox
import sys
from pathlib import Path

from smtpwire import Address, Rcpt, Reply, ServerConfig
from smtpwire.adapters.blocking import start_server
from smtpwire.service import Message, Service, Session


class Agent(Service):
    def __init__(self, root: Path) -> None:
        self._root = root

    def rcpt(self, session: Session, command: Rcpt, /) -> Reply | None:
        if self._home(command.address).is_dir():
            return None
        return Reply(550, "No such mailbox", "5.1.1")

    def message(self, session: Session, message: Message, /) -> list[Reply]:
        return [self._deliver(each, message) for each in message.envelope.forward_paths]

    def _deliver(self, address: Address, message: Message) -> Reply:
        path = message.envelope.reverse_path or ""
        content = f"Return-Path: <{path}>\r\n".encode() + message.content
        try:
            mailbox.Maildir(self._home(address)).add(content.replace(b"\r\n", b"\n"))
        except OSError as error:
            return Reply(452, f"Not delivered: {error.strerror}", "4.3.1")
        return Reply(250, "Delivered", "2.1.5")

    def _home(self, address: Address) -> Path:
        name = address.local_part
        return self._root / (name if name.isalnum() else "-")


def main(path: str, root: str, *domains: str) -> None:
    with start_server(
        Agent(Path(root)), ServerConfig.lmtp("localhost", domains), path=path
    ) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
