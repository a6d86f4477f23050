"""The ``Received:`` trace header a server puts before a message (RFC 5321 §4.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from smtpwire.wire.address import Address, parse_domain, written_address
from smtpwire.wire.checked import checked
from smtpwire.wire.table import Table

__all__ = ["CIPHER_SUITES", "WITH_PROTOCOLS", "received_header", "with_protocol"]

WITH_PROTOCOLS: Final[Mapping[str, str]] = Table(
    {
        "SMTP": "RFC 5321",
        "ESMTP": "RFC 5321",
        "ESMTPA": "RFC 3848",
        "ESMTPS": "RFC 3848",
        "ESMTPSA": "RFC 3848",
        "LMTP": "RFC 3848",
        "LMTPA": "RFC 3848",
        "LMTPS": "RFC 3848",
        "LMTPSA": "RFC 3848",
        "UTF8SMTP": "RFC 6531 §4.3",
        "UTF8SMTPA": "RFC 6531 §4.3",
        "UTF8SMTPS": "RFC 6531 §4.3",
        "UTF8SMTPSA": "RFC 6531 §4.3",
        "UTF8LMTP": "RFC 6531 §4.3",
        "UTF8LMTPA": "RFC 6531 §4.3",
        "UTF8LMTPS": "RFC 6531 §4.3",
        "UTF8LMTPSA": "RFC 6531 §4.3",
    }
)
"""The registered values of the WITH clause and where each is defined."""

_KEY_EXCHANGES: Final = (
    ("ECDHE-ECDSA-", "ECDHE_ECDSA"),
    ("ECDHE-RSA-", "ECDHE_RSA"),
    ("DHE-RSA-", "DHE_RSA"),
    ("", "RSA"),
)
_CIPHERS: Final = (
    ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"),
    ("AES128-GCM-SHA256", "AES_128_GCM_SHA256"),
    ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256"),
    ("AES256-SHA384", "AES_256_CBC_SHA384"),
    ("AES256-SHA256", "AES_256_CBC_SHA256"),
    ("AES128-SHA256", "AES_128_CBC_SHA256"),
    ("AES256-SHA", "AES_256_CBC_SHA"),
    ("AES128-SHA", "AES_128_CBC_SHA"),
)

CIPHER_SUITES: Final[Mapping[str, str]] = Table(
    {
        f"{openssl}{cipher}": f"TLS_{exchange}_WITH_{suite}"
        for openssl, exchange in _KEY_EXCHANGES
        for cipher, suite in _CIPHERS
    }
)
"""Registered names of cipher suites by the names OpenSSL has for them below TLS 1.3."""

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

_RECIPIENTS: Final = tuple[Address, ...]
_FOLD: Final = 78  # RFC 5322 §2.1.1
_PRINTABLE: Final = re.compile(r"[!-~]{1,255}")
_NOT_OF_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
# A general literal may hold anything, "(" and ";" too (RFC 5321 §4.1.3).
_PLAIN_LITERAL: Final = re.compile(r"\[[A-Za-z0-9:.-]{1,255}\]")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
_ATOM: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.@]{1,255}")
_SUITE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}|0x[0-9A-Fa-f]{4}")  # RFC 8314 §4.3


def with_protocol(
    *,
    lmtp: bool = False,
    extended: bool = True,
    utf8: bool = False,
    tls: bool = False,
    authenticated: bool = False,
) -> str:
    """The value of the WITH clause (RFC 3848, RFC 6531 §4.3).

    ``extended``: EHLO and not HELO opened the session; ``utf8``: MAIL had SMTPUTF8.
    """
    if not (extended or lmtp):
        return "SMTP"
    base = "LMTP" if lmtp else "SMTP" if utf8 else "ESMTP"
    return f"{'UTF8' if utf8 else ''}{base}{'S' if tls else ''}{'A' if authenticated else ''}"


def received_header(
    *,
    from_name: str,
    by: str,
    protocol: str,
    timestamp: datetime,
    peer_address: str = "",
    peer_name: str = "",
    id: str = "",
    recipients: Sequence[Address] = (),
    tls_cipher: str = "",
    priority: int | None = None,
) -> bytes:
    """One ``Received:`` header field with its CRLF, folded at 78 octets where that can be.

    ``from_name``: the argument of EHLO as it came; what has no place in a name is shown as
    ``?``. ``by``: this host. ``protocol``: from :func:`with_protocol`. ``timestamp``: with a time
    zone. ``peer_address``: the client's IP address; ``peer_name``: its name by reverse look-up.
    ``id``: an atom or message id. ``recipients``: of the transaction; the FOR clause is there for
    a single one only, since it would tell blind copies (RFC 5321 §7.6). ``tls_cipher``: as
    Python's ssl or the registry names it; an unknown one is left out (RFC 8314 §4.3).
    ``priority``: of MT-PRIORITY (RFC 6710 §7).

    Raises ValueError where an argument cannot stand in the header.
    """
    recipients = checked("recipients", recipients, _RECIPIENTS)
    clauses = [
        f"from {_shown_name(checked('from_name', from_name, str))}",
        *_tcp_info(peer_name, peer_address),
        f"by {_own_name(checked('by', by, str))}",
        f"with {_matched(_ATOM, checked('protocol', protocol, str), 'protocol')}",
        *([f"id {_message_id(checked('id', id, str))}"] if id else []),
        *_for(recipients, protocol.startswith("UTF8")),
        *_tls(tls_cipher),
        *_priority(priority),
    ]
    return _fold(["Received:", *clauses[:-1], f"{clauses[-1]};", _date_time(timestamp)]).encode()


def _fold(words: list[str]) -> str:
    """Words joined by blanks, on lines of at most 78 octets where a word leaves room."""
    lines = [words[0]]
    for word in words[1:]:
        if len(f"{lines[-1]} {word}".encode()) <= _FOLD:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    return "\r\n".join([*lines, ""])


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"{what} cannot stand in a Received header (RFC 5321 §4.4)")
    return text


def _shown_name(name: str) -> str:
    """A name the peer chose, free of what could open a comment or end a clause."""
    _matched(_PRINTABLE, name, "name of the peer")
    if _is_literal(name):
        return name
    return _NOT_OF_A_NAME.sub("?", name)


def _own_name(by: str) -> str:
    return by if _is_literal(by) else _matched(_HOST, by, "by")


def _is_literal(name: str) -> bool:
    return bool(_PLAIN_LITERAL.fullmatch(name)) and parse_domain(name.encode()) is not None


def _tcp_info(name: str, address: str) -> list[str]:
    """What the connection itself tells, in a comment."""
    if not checked("peer_address", address, str):
        return []
    address, _, _ = address.partition("%")  # a zone means something on this host only
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    if not _is_literal(literal):
        raise ValueError("peer_address is not an IP address")
    return [
        f"({_shown_name(name)} {literal})" if checked("peer_name", name, str) else f"({literal})"
    ]


def _message_id(text: str) -> str:
    bare = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    _matched(_ID, bare, "id")
    return text


def _for(recipients: Sequence[Address], utf8: bool) -> list[str]:
    if len(set(recipients)) != 1:
        return []
    address = recipients[0]
    # Without the SMTPUTF8 parameter trace fields are ASCII (RFC 6531 §3.7.3); a path has a domain.
    if not address.domain or (address.needs_smtputf8 and not utf8):
        return []
    return [f"for <{written_address(address).decode()}>"]


def _tls(cipher: str) -> list[str]:
    suite = CIPHER_SUITES.get(checked("tls_cipher", cipher, str), cipher)
    return [f"tls {suite}"] if _SUITE.fullmatch(suite) else []


def _priority(priority: int | None) -> list[str]:
    if priority is None:
        return []
    if not -9 <= checked("priority", priority, int) <= 9:
        raise ValueError("priority is not between -9 and 9 (RFC 6710 §7)")
    return [f"priority {priority}"]


def _date_time(timestamp: datetime) -> str:
    """RFC 5322 §3.3, four digits of year and a numeric zone, whatever the locale."""
    offset = checked("timestamp", timestamp, datetime).utcoffset()
    if offset is None:
        raise ValueError("timestamp has no time zone (RFC 5321 §4.4)")
    minutes = int(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    day = f"{_WEEKDAYS[timestamp.weekday()]}, {timestamp.day} {_MONTHS[timestamp.month - 1]}"
    clock = f"{timestamp.hour:02}:{timestamp.minute:02}:{timestamp.second:02}"
    zone = f"{'-' if minutes < 0 else '+'}{hours:02}{rest:02}"
    return f"{day} {timestamp.year:04} {clock} {zone}"
