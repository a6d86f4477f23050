"""A submission service: users and queue in sqlite, TLS from a file, logins by SCRAM or PLAIN.

python submission.py add mail.db alice wonderland alice@example.org
python submission.py serve mail.db server.pem --port 587
"""

import argparse
import asyncio
import signal
import sqlite3
import ssl
from contextlib import closing
from datetime import UTC, datetime
from secrets import token_bytes, token_hex

from smtpwire import Mail, Reply, ScramSecret, SecretRequest, ServerConfig, derive_scram
from smtpwire.adapters.asyncio import start_server
from smtpwire.service import Message, Service, Session

HOST = "mail.example.org"
TABLES = """
CREATE TABLE IF NOT EXISTS user (name TEXT PRIMARY KEY, secret TEXT, address TEXT);
CREATE TABLE IF NOT EXISTS queue (id TEXT PRIMARY KEY, sender TEXT, content BLOB);
CREATE TABLE IF NOT EXISTS recipient (message TEXT, address TEXT);
CREATE TABLE IF NOT EXISTS service (scram_secret BLOB);
"""


def opened(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.executescript(TABLES)
    if database.execute("SELECT 1 FROM service").fetchone() is None:
        database.execute("INSERT INTO service VALUES (?)", (token_bytes(32),))
    database.commit()
    return database


class Submission(Service):
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def secret(self, session: Session, question: SecretRequest, /) -> ScramSecret | None:
        found = self._of_user("secret", question.authcid)
        return ScramSecret.from_text(found) if found else None

    def mail(self, session: Session, command: Mail, /) -> Reply | None:
        identity = session.conn.identity
        if identity and str(command.address) == self._of_user("address", identity.authcid):
            return None
        return Reply(553, "This is not your address", "5.7.1")

    def message(self, session: Session, message: Message, /) -> Reply:
        queued = token_hex(8)
        trace = message.trace_header(by=HOST, timestamp=datetime.now(UTC), id=queued)
        rows = [(queued, str(address)) for address in message.envelope.forward_paths]
        sender = str(message.envelope.reverse_path)
        with self._database:
            self._database.execute(
                "INSERT INTO queue VALUES (?, ?, ?)", (queued, sender, trace + message.content)
            )
            self._database.executemany("INSERT INTO recipient VALUES (?, ?)", rows)
        return Reply(250, f"Queued as {queued}", "2.0.0")

    def _of_user(self, column: str, name: str) -> str:
        query = f"SELECT {column} FROM user WHERE name = ?"
        row = self._database.execute(query, (name,)).fetchone()
        return str(row[0]) if row else ""


async def serve(database: sqlite3.Connection, certificate: str, port: int) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    (secret,) = database.execute("SELECT scram_secret FROM service").fetchone()
    mechanisms = ("SCRAM-SHA-256", "PLAIN")
    config = ServerConfig.submission(HOST, mechanisms=mechanisms, scram_secret=secret)
    async with await start_server(Submission(database), config, "127.0.0.1", port, tls=tls):
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("add", "serve"))
    parser.add_argument("database", type=opened)
    parser.add_argument("rest", nargs="+")
    parser.add_argument("--port", type=int, default=587)
    given = parser.parse_args(arguments)
    with closing(given.database) as database:
        if given.command == "serve":
            asyncio.run(serve(database, given.rest[0], given.port))
            return
        name, password, address = given.rest
        row = (name, derive_scram(password).to_text(), address)
        with database:
            database.execute("INSERT OR REPLACE INTO user VALUES (?, ?, ?)", row)


if __name__ == "__main__":
    main()
