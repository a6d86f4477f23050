"""One of several processes that serve at one port: it is imported anew in each."""

import asyncio
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final

import trio
from tests.adapters.handlers import Mailbox

from smtpwire.adapters import asyncio as asyncio_adapter
from smtpwire.adapters import blocking
from smtpwire.adapters import trio as trio_adapter
from smtpwire.adapters.session import Session
from smtpwire.engine.events import ServerEvent
from smtpwire.engine.server_config import ServerConfig
from smtpwire.wire.command import Rcpt
from smtpwire.wire.reply import Reply

__all__ = ["ADAPTERS", "HOST", "serve"]

HOST: Final = "127.0.0.1"

Serve = Callable[[Mailbox, ServerConfig, int, Connection], None]


def serve(adapter: str, config: ServerConfig, port: int, parent: Connection) -> None:
    """Serve until ``parent`` says so; then tell it how many messages came to this process."""
    mailbox = Mailbox(say_who)
    ADAPTERS[adapter](mailbox, config, port, parent)
    parent.send(len(mailbox.messages))


def say_who(session: Session, event: ServerEvent) -> None:
    """Every recipient is told the number of the process that took it."""
    if isinstance(event, Rcpt):
        session.conn.reply(Reply(250, f"process {os.getpid()}", "2.1.5"))


def serve_blocking(mailbox: Mailbox, config: ServerConfig, port: int, parent: Connection) -> None:
    with blocking.start_server(mailbox, config, HOST, port, reuse_port=True):
        parent.send(os.getpid())
        parent.recv()


def serve_asyncio(mailbox: Mailbox, config: ServerConfig, port: int, parent: Connection) -> None:
    async def main() -> None:
        server = await asyncio_adapter.start_server(mailbox, config, HOST, port, reuse_port=True)
        parent.send(os.getpid())
        await asyncio.to_thread(parent.recv)
        await server.shutdown()

    asyncio.run(main())


def serve_trio(mailbox: Mailbox, config: ServerConfig, port: int, parent: Connection) -> None:
    async def main() -> None:
        server = await trio_adapter.start_server(mailbox, config, HOST, port, reuse_port=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            parent.send(os.getpid())
            await trio.to_thread.run_sync(parent.recv)
            await server.shutdown()

    trio.run(main)


ADAPTERS: Final[dict[str, Serve]] = {
    "blocking": serve_blocking,
    "asyncio": serve_asyncio,
    "trio": serve_trio,
}
