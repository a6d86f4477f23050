"""Received headers and what replies mean: any text is refused, or stands in its one place.

Input: which protocol, what is given; then texts with record separators between.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from fuzz.choices import Choices
from fuzz.dialogue import SEPARATOR
from fuzz.oracles import check_own_words
from smtpwire import Address, Disposition, Reply, classify, describe, received_header, with_protocol
from smtpwire.wire.ip import address_literal, canonical_ip
from smtpwire.wire.sequences import END_OF_DATA, GREETING

_WHEN: Final = datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC)
_ZONES: Final = (UTC, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=14)))
_COMMANDS: Final = (
    *("MAIL", "RCPT", "DATA", "BDAT", "QUIT", "AUTH", "EHLO", END_OF_DATA, GREETING),
)


def check(data: bytes) -> None:
    choices = Choices(data)
    flags, given = choices.octet(), choices.octet()
    texts = [part.decode("utf-8", "replace") for part in choices.rest().split(SEPARATOR)]
    _check_header(flags, given, [*texts, *[""] * 7])
    _check_reply(texts)
    _check_address(texts[0])


def _check_header(flags: int, given: int, texts: list[str]) -> None:
    protocol = with_protocol(
        lmtp=bool(flags & 1),
        extended=not flags & 2,
        utf8=bool(flags & 4),
        tls=bool(flags & 8),
        authenticated=bool(flags & 16),
    )
    from_name, by, peer_address, peer_name, id, recipient, cipher, *_ = texts
    try:
        recipients = [Address.parse(recipient)] if recipient else []
        header = received_header(
            from_name=from_name,
            by=by or "mx.example.org",
            protocol=protocol,
            timestamp=_WHEN.replace(tzinfo=_ZONES[given % 3] if given != 9 else None),
            peer_address=peer_address,
            peer_name=peer_name,
            id=id,
            recipients=recipients,
            tls_cipher=cipher,
            priority=given - 20 if given > 9 else None,
        )
    except ValueError as error:
        _check_words(str(error))
        return
    lines = header.split(b"\r\n")
    assert lines[-1] == b""
    assert all(line[:1] == b" " for line in lines[1:-1])
    whole = b"".join(lines)
    assert whole.startswith(b"Received: from ")
    assert b"\r" not in whole
    assert b"\n" not in whole
    assert whole.count(b" by ") >= 1
    assert all(len(line) <= 78 or line.strip().count(b" ") <= 1 for line in lines)
    assert whole.isascii() or protocol.startswith("UTF8")


def _check_words(words: str) -> None:
    assert words.isprintable(), words


def _check_reply(texts: list[str]) -> None:
    """Whatever the reply, the command is done, goes on, is tried again or has failed."""
    for text in texts[:3]:
        code, _, rest = text.partition(" ")
        enhanced, _, words = rest.partition(" ")
        try:
            reply = Reply(int(code), words, enhanced or None)
        except ValueError:
            continue
        for command in _COMMANDS:
            meaning = classify(command, reply)
            assert isinstance(meaning, Disposition)
            assert meaning is not Disposition.DONE or reply.is_positive
            assert isinstance(classify(command, None), Disposition)
        check_own_words(describe(reply))


def _check_address(text: str) -> None:
    try:
        found = canonical_ip(text)
    except ValueError:
        return
    assert canonical_ip(found) == found
    assert address_literal(text)[0] == "["
