"""The delivery part of a relay: a queue in a directory, who is tried when, and what bounces.

python relay.py /var/spool/relay                    # delivers until it is interrupted
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from pathlib import Path
from secrets import token_hex

from smtpwire import Address, ClientConfig, Security
from smtpwire.adapters.asyncio import connect
from smtpwire.operations import RecipientResult, SendResult, SessionError, UnsendableError

Hosts = Callable[[str], Awaitable[list[tuple[str, int]]]]
"""The hosts that take mail for a domain, best first: an MX look-up in earnest."""

GIVE_UP = 5 * 86400.0
PAUSES = (300.0, 900.0, 3600.0, 4 * 3600.0)


@dataclass
class Queued:
    """A message and who has not got it yet."""

    sender: str
    recipients: list[str]
    since: float = field(default_factory=time.time)
    tries: int = 0
    due: float = 0.0


class Queue:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, sender: str, recipients: Iterable[str], content: bytes) -> str:
        name = token_hex(8)
        self._directory.joinpath(f"{name}.eml").write_bytes(content)
        self.keep(name, Queued(sender, list(recipients)))
        return name

    def keep(self, name: str, item: Queued) -> None:
        """The envelope is written last, and whole: what has none is not in the queue."""
        new = self._directory / f"{name}.new"
        new.write_text(json.dumps(asdict(item)))
        new.rename(self._directory / f"{name}.json")

    def drop(self, name: str) -> None:
        for suffix in ("json", "eml"):
            self._directory.joinpath(f"{name}.{suffix}").unlink()

    def due(self, now: float) -> list[tuple[str, Queued, bytes]]:
        found = []
        for path in sorted(self._directory.glob("*.json")):
            item = Queued(**json.loads(path.read_text()))
            if item.due <= now:
                found.append((path.stem, item, path.with_suffix(".eml").read_bytes()))
        return found


class Relay:
    def __init__(self, queue: Queue, hosts: Hosts, name: str = "relay.example.org") -> None:
        self._queue, self._hosts = queue, hosts
        self._config = ClientConfig(name, security=Security.OPPORTUNISTIC)

    async def deliver(self, now: float) -> None:
        """Try once what is due."""
        for name, item, content in self._queue.due(now):
            by_domain: dict[str, list[str]] = defaultdict(list)
            for recipient in item.recipients:
                by_domain[Address.parse(recipient).domain].append(recipient)
            tries = [self._to(each, item.sender, to, content) for each, to in by_domain.items()]
            done = await asyncio.gather(*tries)
            self._settle(name, item, [each for left in done for each in left], now)

    async def _to(
        self, domain: str, sender: str, recipients: list[str], content: bytes
    ) -> list[tuple[str, str]]:
        """Who has not got it, and why for good; "" is to be tried again."""
        for host, port in await self._hosts(domain):
            try:
                async with await connect(host, port, self._config) as client:
                    await client.open_session()
                    return _left(await client.send_mail(sender, recipients, content))
            except UnsendableError as error:
                return [(each, str(error)) for each in recipients]
            except (OSError, SessionError):
                continue  # the next host may take it
        return [(each, "") for each in recipients]

    def _settle(self, name: str, item: Queued, left: list[tuple[str, str]], now: float) -> None:
        failed = [(each, why) for each, why in left if why]
        item.recipients = [each for each, why in left if not why]
        if now - item.since > GIVE_UP:
            failed += [(each, "no host has taken it in time") for each in item.recipients]
            item.recipients = []
        if failed and item.sender:
            self._queue.add("", [item.sender], _bounce(item.sender, failed))
        if not item.recipients:
            self._queue.drop(name)
            return
        item.due = now + PAUSES[min(item.tries, len(PAUSES) - 1)]
        item.tries += 1
        self._queue.keep(name, item)


def _left(result: SendResult) -> list[tuple[str, str]]:
    def why(item: RecipientResult) -> str:
        return str(item.reply or item.reason)

    again = [(str(item.recipient), "") for item in (*result.retry, *result.unknown)]
    return again + [(str(item.recipient), why(item)) for item in result.permanent]


def _bounce(sender: str, failed: list[tuple[str, str]]) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "MAILER-DAEMON@relay.example.org", sender
    message["Subject"] = "Undelivered mail"
    message.set_content("".join(f"<{recipient}>: {why}\n" for recipient, why in failed))
    return message.as_bytes()


async def run(directory: Path, hosts: Hosts) -> None:
    relay = Relay(Queue(directory), hosts)
    while True:
        await relay.deliver(time.time())
        await asyncio.sleep(1)


async def localhost(domain: str) -> list[tuple[str, int]]:
    return [("localhost", 25)]


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), localhost))
