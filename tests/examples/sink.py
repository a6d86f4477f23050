"""A pytest fixture: a server that keeps what it is sent, and the port it listens at."""

from collections.abc import Iterator

import pytest

from smtpwire import Reply, ServerConfig
from smtpwire.adapters.blocking import start_server
from smtpwire.service import Message, Service, Session


class Sink(list[Message], Service):
    def rcpt(self, session: Session, command: object, /) -> Reply:
        return Reply(250)

    def message(self, session: Session, message: Message, /) -> None:
        self.append(message)


@pytest.fixture
def sink() -> Iterator[tuple[Sink, int]]:
    with start_server(sink := Sink(), ServerConfig.relay("sink"), "127.0.0.1", 0) as server:
        yield sink, server.sockets[0].getsockname()[1]
