"""Every bound of the engine, with its reason."""

from __future__ import annotations

from typing import Final, final

from smtpwire.wire.value import value

__all__ = ["Limits"]

# With 0 of these nothing would ever come through.
_NEVER_ZERO: Final = frozenset(
    {
        "command_line",
        "sasl_line",
        "recipients",
        "backlog",
        "output",
        "reply_line",
        "reply_lines",
        "reply",
        "flight",
        "in_flight",
    }
)


@final
@value(kw_only=True, checked=True, terse=True)
class Limits:
    """How much of anything a connection takes before it answers, refuses or closes.

    Octets unless said otherwise. RFC 5321 §4.5.3.1 gives floors for most; the defaults keep to
    them and bound everything a peer could grow. Raises ValueError for less than 0, and for
    0 where nothing would ever come through.
    """

    command_line: int = 512
    """A command line with CRLF, before the offered extensions' increments; beyond: 500
    (RFC 5321 §4.5.3.1.4)."""
    sasl_line: int = 12288
    """A line of a SASL exchange, and the AUTH line; beyond: 500 5.5.6 (RFC 4954 §4)."""
    message: int = 50 * 1024 * 1024
    """A message's content; offered as SIZE; 0 is no limit; beyond: 552 (RFC 1870)."""
    recipients: int = 1000
    """Accepted recipients of one transaction; beyond: 452 (RFC 5321 §4.5.3.1.8: at least 100)."""
    excess_recipients: int = 10_000
    """Recipients answered 452 because they were too many, since the last accepted message; beyond:
    421 (a long list is sent on in further transactions, RFC 5321 §4.5.3.1.10)."""
    refused_recipients: int = 200
    """Recipients refused since the last accepted message: address harvesting; beyond: 421."""
    errors: int = 20
    """Commands answered with an error of the client's making since the last accepted message; what
    was sent in the hope of a refused one is none (up to ``recipients``); beyond: 421."""
    junk: int = 100
    """Commands that moved no mail since the last accepted message: EHLO, HELP, VRFY, EXPN, NOOP,
    RSET, those of extensions, empty chunks, and MAIL, DATA, STARTTLS and messages that the
    application refused; beyond: 421."""
    authentications: int = 6
    """Failed, cancelled and malformed AUTH exchanges in a connection; the last is answered, then
    421 (RFC 4954 §9: not before 3; a client that tries three mechanisms with a mistyped password
    has a second go)."""
    backlog: int = 256 * 1024
    """Octets received and not yet parsed: at it ``wants_data`` is False, and beyond it
    ``receive_data()`` raises."""
    output: int = 64 * 1024
    """Octets of replies or commands queued: at it the Need is WRITE, before another is read."""
    swallow: int = 100 * 1024 * 1024
    """Octets of a refused body, or of an over-long line, read and dropped; beyond: 421. A chunk
    that is announced as more than may be taken and dropped is refused at once, with 421 behind."""
    trailing: int = 64 * 1024
    """Octets kept unparsed for the TLS layer; the rest is dropped."""
    reply_line: int = 4096
    """A reply line the client takes (RFC 5321 §4.5.3.1.5 says 512); beyond: fatal."""
    reply_lines: int = 512
    """Lines of one reply the client takes; beyond: fatal."""
    reply: int = 64 * 1024
    """Octets of one reply the client takes; beyond: fatal."""
    flight: int = 16 * 1024
    """Octets of commands a client has in flight (RFC 2920 §3.1: the window)."""
    in_flight: int = 64
    """Commands a client has in flight."""

    def __post_init__(self) -> None:
        for name in type(self).__annotations__:
            least = 1 if name in _NEVER_ZERO else 0
            if getattr(self, name) < least:
                raise ValueError(f"Limits.{name} is {getattr(self, name)}: pass {least} or more")
