"""A proxy: each command goes to the server behind, and its reply comes back as it is.

python proxy.py 2525 mail.example.org 25
"""

import asyncio
import sys
from contextlib import suppress

from smtpwire import (
    ClientConnection,
    Closed,
    Command,
    Connected,
    Data,
    Hello,
    Mail,
    MessageAborted,
    Need,
    Rcpt,
    Reply,
    ReplyReceived,
    Rset,
    ServerConfig,
)
from smtpwire.adapters.asyncio import Client, connect, start_server
from smtpwire.operations import Operation, SessionError, advance, alone
from smtpwire.service import Message, Service, Session

DOWN = Reply(421, "The server behind is away", "4.4.1")


class Proxy(Service):
    """One for each connection, with a client of its own."""

    behind = ("localhost", 25)
    _client: Client

    async def connected(self, session: Session, question: Connected, /) -> Reply | None:
        try:
            self._client = await connect(*self.behind)
            await self._client.open_session()
        except (OSError, SessionError):
            return DOWN
        return None

    def hello(self, session: Session, command: Hello, /) -> None:
        theirs = self._client.conn.extensions
        session.conn.offer(*[each for each in session.conn.extensions if each.extension in theirs])

    async def mail(self, session: Session, command: Mail, /) -> Reply:
        return await self._client.command(command)

    async def rcpt(self, session: Session, command: Rcpt, /) -> Reply:
        return await self._client.command(command)

    async def message(self, session: Session, message: Message, /) -> Reply:
        return await self._client.run(content(self._client.conn, message.content))

    async def rset(self, session: Session, command: Rset, /) -> None:
        await self._client.reset()

    async def aborted(self, session: Session, news: MessageAborted, /) -> None:
        with suppress(SessionError):
            await self._client.reset()

    async def closed(self, session: Session, news: Closed, /) -> None:
        if hasattr(self, "_client"):
            await self._client.quit()


def content(conn: ClientConnection, octets: bytes) -> Operation[Reply]:
    """DATA, the content, and the verdict: what follows MAIL and RCPT."""
    return alone(conn, _content(conn, octets))


def _content(conn: ClientConnection, octets: bytes) -> Operation[Reply]:
    command: Command = conn.send(Data())
    while True:
        match (yield from advance(conn)):
            case ReplyReceived(answered, reply) if (
                answered is command and not reply.is_intermediate
            ):
                return reply
            case Need.BODY:
                conn.send_body(octets)
                command = conn.end_body()
            case _:
                pass


async def serve(port: int) -> None:
    async with await start_server(Proxy, ServerConfig.relay("proxy"), "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    Proxy.behind = sys.argv[2], int(sys.argv[3])
    asyncio.run(serve(int(sys.argv[1])))
