"""Sessions for tests: what a server's application does, and what it saw."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import trio

from smtpwire.adapters.session import Handler, Session
from smtpwire.engine.events import BodyChunk, Closed, EndOfMessage, ServerEvent
from smtpwire.sasl import PasswordLogin, PlainPassword, SecretRequest
from smtpwire.wire.command import Data, Rcpt
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = ["Mailbox", "answer", "pause"]

Step = Callable[[Session, ServerEvent], Awaitable[None] | None]


class Mailbox:
    """Takes every message; notes every event of every session.

    ``step`` is called first with each event; what it leaves unanswered is answered as usual. Where
    it returns an awaitable, so does the handler.
    """

    def __init__(self, step: Step | None = None) -> None:
        self.step = step
        self.events: list[ServerEvent] = []
        self.messages: list[bytes] = []
        self.sessions: list[Session] = []
        self._closed = threading.Semaphore(0)

    def __call__(self, session: Session) -> Handler:
        self.sessions.append(session)
        body: list[bytes] = []

        def handle(event: ServerEvent) -> Awaitable[None] | None:
            self.events.append(event)
            if isinstance(event, BodyChunk):
                body.append(event.data)
            elif isinstance(event, EndOfMessage):
                self.messages.append(b"".join(body))
            elif isinstance(event, Data):
                body.clear()
            waiting = None if self.step is None else self.step(session, event)
            if waiting is not None:
                return finish(waiting, event)
            end(event)
            return None

        async def finish(waiting: Awaitable[None], event: ServerEvent) -> None:
            await waiting
            end(event)

        def end(event: ServerEvent) -> None:
            answer(session, event)
            if isinstance(event, Closed):
                self._closed.release()

        return handle

    @property
    def endings(self) -> list[Closed]:
        """How the sessions ended."""
        return [event for event in self.events if isinstance(event, Closed)]

    def wait_for_end(self) -> Closed:
        """Wait until a session has ended."""
        assert self._closed.acquire(timeout=60)
        return self.endings[-1]


def pause(adapter: str, seconds: float) -> Awaitable[None] | None:
    """Wait in a handler, in the adapter's way."""
    match adapter:
        case "blocking" | "fifth":
            time.sleep(seconds)
            return None
        case "trio":
            return trio.sleep(seconds)
    return asyncio.sleep(seconds)


def answer(session: Session, event: ServerEvent) -> None:
    conn = session.conn
    if conn.pending is not event:
        return
    match event:
        case Rcpt(address) if address.local_part == "nobody":
            conn.reply(Reply(550, "No such user here", "5.1.1"))
        case Rcpt():
            conn.reply(Reply(250, "Recipient OK", "2.1.5"))
        case PasswordLogin(password=password):
            conn.reply(Reply(235 if password == "secret" else 535, "So be it"))
        case SecretRequest():
            conn.supply(PlainPassword("secret"))
        case Request():
            conn.reply()
