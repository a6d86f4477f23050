"""Reading what peers delivered."""

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.interop.peers.requirements import find
from tests.interop.peers.server import PASSWORD, Delivered, Envelope


def read_maildir(maildir: Path) -> list[Delivered]:
    """The messages of a maildir; the envelope from the fields added on final delivery."""
    return [_from_fields(octets) for octets in _contents(maildir / "new")]


def _from_fields(octets: bytes) -> Delivered:
    head = octets.replace(b"\r\n", b"\n").partition(b"\n\n")[0]

    def values(*names: str) -> tuple[str, ...]:
        pattern = rf"(?im)^(?:{'|'.join(names)}): *<?([^<>\n]*)>?$".encode()
        return tuple(value.decode() for value in re.findall(pattern, head))

    sender = values("Return-Path")
    recipients = values("X-Original-To", "Envelope-To") or values("Delivered-To")
    return Delivered(octets, Envelope(sender[0] if sender else "", recipients))


def read_deliveries(directory: Path) -> list[Delivered]:
    """What data/deliver.sh wrote: sender, recipients, an empty line, the message."""
    messages = []
    for octets in _contents(directory):
        envelope, _, message = octets.partition(b"\n\n")
        sender, *recipients = envelope.decode().split("\n")
        messages.append(Delivered(message, Envelope(sender, tuple(recipients))))
    return messages


def read_queue(directory: Path) -> list[Delivered]:
    """What mailfront wrote: sender, recipients and nothing, each with a NUL behind, the message."""
    messages = []
    for octets in _contents(directory):
        envelope, _, message = octets.partition(b"\0\0")
        sender, *recipients = envelope.decode().split("\0")
        messages.append(Delivered(message, Envelope(sender, tuple(recipients))))
    return messages


def read_sink(directory: Path) -> list[Delivered]:
    """What smtp-sink -d wrote: its own fields, Received, the message and one more line end."""
    messages = []
    for octets in _contents(directory):
        fields, received, rest = octets.partition(b"Received:")
        commands: dict[str, list[str]] = {"Mail": [], "Rcpt": []}
        for verb, argument in re.findall(r"(?m)^X-(Mail|Rcpt)-Args: (.*)$", fields.decode()):
            commands[verb].append(argument)
        sender, *mail_parameters = commands["Mail"][0].split(" ")
        recipients = [argument.split(" ") for argument in commands["Rcpt"]]
        envelope = Envelope(
            sender.strip("<>"),
            tuple(recipient[0].strip("<>") for recipient in recipients),
            tuple(mail_parameters),
            tuple(tuple(recipient[1:]) for recipient in recipients),
        )
        messages.append(Delivered((received + rest).removesuffix(b"\n"), envelope))
    return messages


def read_records(directory: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """Content and record of the JSON files which our scripts around servers write."""
    records = [json.loads(octets) for octets in _contents(directory, "*.json")]
    return [(base64.b64decode(record["data"]), record) for record in records]


def _contents(directory: Path, pattern: str = "[!.]*") -> list[bytes]:
    files = sorted(directory.glob(pattern), key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [file.read_bytes() for file in files]


def make_cyrus_accounts(database: Path, *users: str) -> None:
    """Put users of the realm ``localhost`` into a database of Cyrus SASL."""
    for user in users:
        subprocess.run(
            [find("saslpasswd2") or "", "-p", "-c", "-f", str(database), "-u", "localhost", user],
            input=PASSWORD.encode() + b"\n",
            check=True,
            capture_output=True,
        )


def cyrus_configuration(database: Path | str, mechanisms: tuple[str, ...]) -> str:
    """A configuration of Cyrus SASL which looks passwords up in ``database``."""
    return (
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
        f"sasldb_path: {database}\nmech_list: {' '.join(mechanisms)}\n"
    )
