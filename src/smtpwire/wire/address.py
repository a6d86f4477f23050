"""Mailbox addresses and paths: what stands between the angle brackets (RFC 5321 §4.1.2, §4.1.3).

The grammar is matched on octets. Every loop in it is told by its first octet from what stands
behind it, so that a match never has two ways to go and costs linear time. A possessive quantifier
stands behind a single class only: CPython up to 3.11.2 and PyPy match groups with one wrongly.
With SMTPUTF8 octets above 0x7F are let through the same grammar and then have to be valid
UTF-8 (RFC 6531 §3.3).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from typing import Final, final

from smtpwire.wire.checked import checked
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.ip import canonical_ip
from smtpwire.wire.value import field, maker, value

__all__ = [
    "DOMAIN",
    "DOT_STRING",
    "LABEL",
    "LITERAL",
    "QUOTED_STRING",
    "Address",
    "PathError",
    "PathErrorKind",
    "parse_domain",
    "parse_path",
    "written_address",
]

# -- the grammar as fragments of bytes patterns; none contains a group that captures

_ATEXT: Final = rb"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"  # RFC 5322 §3.2.3
# RFC 5321 §4.1.2, less ">": see Address.
_QTEXT: Final = rb" !#-=?-\[\]-~"
_QPAIR: Final = rb" -=?-~"
_LET_DIG: Final = rb"A-Za-z0-9"
_NON_ASCII: Final = rb"\x80-\xff"  # RFC 6531 §3.3; the decoder judges the rest
# RFC 1035 §2.3.4. A U-label's 63 octets are those of its A-label, which is not ours to compute.
_SHORT_LABEL: Final = rb"(?![A-Za-z0-9_\-]{64})"


def _dot_string(atext: bytes) -> bytes:
    return rb"[%b]++(?:\.[%b]++)*" % (atext, atext)


def _lenient_dot_string(atext: bytes) -> bytes:
    return rb"[%b.]++" % atext  # dots at the ends and in a row


def _quoted_string(qtext: bytes) -> bytes:
    return rb'"(?:[%b]++|\\[%b])*"' % (qtext, _QPAIR)


def _label(let_dig: bytes) -> bytes:
    # One run: a group repeated at its hyphens would keep its places, for a tenth of a match.
    return rb"[%b][%b\-]*+(?<!-)" % (let_dig, let_dig)


def _domain(let_dig: bytes) -> bytes:
    label = _SHORT_LABEL + _label(let_dig)
    return rb"%b(?:\.%b)*" % (label, label)


DOT_STRING: Final = _dot_string(_ATEXT)
"""A local-part that needs no quotes."""

QUOTED_STRING: Final = _quoted_string(_QTEXT)
"""A local-part in quotes; without ``>``, where a reader would see the end of the path."""

LABEL: Final = _label(_LET_DIG)
"""A label of a domain, of any length."""

DOMAIN: Final = _domain(_LET_DIG)
"""A domain of letters, digits and hyphens, each label at most 63 octets; no underscore."""

LITERAL: Final = rb"\[[!-=?-Z^-~]++\]"
"""The outer form of an address literal; what is inside is checked apart.

RFC 5321 §4.1.3 allows ``>`` inside, but a reader would see the end of the path there.
"""


def _path(dot_string: bytes, quoted_string: bytes, domain: bytes) -> bytes:
    # The source route is matched and forgotten: RFC 5321 §4.1.1.3, Appendix C.
    return rb"(?:@%b(?:,@%b)*:)?(?:(%b)|(%b))@(?:(%b)|(%b))" % (
        domain,
        domain,
        dot_string,
        quoted_string,
        domain,
        LITERAL,
    )


_UTF8_DOT: Final = _dot_string(_ATEXT + _NON_ASCII)
_UTF8_QUOTED: Final = _quoted_string(_QTEXT + _NON_ASCII)
_UTF8_DOMAIN: Final = _domain(_LET_DIG + _NON_ASCII)
_LENIENT_DOMAIN: Final = _domain(_LET_DIG + b"_")
_UTF8_LENIENT_DOMAIN: Final = _domain(_LET_DIG + b"_" + _NON_ASCII)

_PLAIN: Final = re.compile(b"(%b)@(%b)" % (DOT_STRING, DOMAIN))
# What is rarely met is compiled when first used: re keeps it.
_PATHS: Final = {
    # (utf8, lenient)
    (False, False): _path(DOT_STRING, QUOTED_STRING, DOMAIN),
    (False, True): _path(_lenient_dot_string(_ATEXT), QUOTED_STRING, _LENIENT_DOMAIN),
    (True, False): _path(_UTF8_DOT, _UTF8_QUOTED, _UTF8_DOMAIN),
    (True, True): _path(
        _lenient_dot_string(_ATEXT + _NON_ASCII), _UTF8_QUOTED, _UTF8_LENIENT_DOMAIN
    ),
}

_LENIENT_NAME: Final = rb"[!-~]++"
_UNESCAPE: Final = rb"\\(.)"
_ESCAPE: Final = r'(["\\])'

_IPV4: Final = rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_IPV6_GROUPS: Final = rb"[0-9A-Fa-f]{1,4}+(?::[0-9A-Fa-f]{1,4}+)*"
_LEADING_ZEROS: Final = r"(?<![0-9a-f])0+(?=[0-9a-f])"
_TAG: Final = rb"[A-Za-z0-9\-]*+(?<!-)"

# C0, DEL, C1 and what UTF-8 cannot encode. The C1 range would pass RFC 6531's grammar; it is
# refused since no mailbox can want a terminal's control characters.
_CONTROL: Final = "[\x00-\x1f\x7f-\x9f\ud800-\udfff]"


class PathErrorKind(Enum):
    """Why a path was refused; it chooses the reply."""

    SYNTAX = "syntax"
    """Not the grammar of RFC 5321 §4.1.2: 501 5.1.3 or 5.1.7."""

    TOO_LONG = "too long"
    """Local-part, domain or path over its limit: 501 (RFC 5321 §4.5.3.1.9)."""

    NON_ASCII = "non-ASCII"
    """Octets above 0x7F where SMTPUTF8 is not in use: 553 or 550 with X.6.7 (RFC 6531 §3.5)."""

    INVALID_UTF8 = "invalid UTF-8"
    """SMTPUTF8 is in use, and the octets are not UTF-8: 501."""


class PathError(SmtpwireError, ValueError):
    """Not a path. ``reason`` is fit for a reply: it has no octet of the peer.

    Raised by :func:`parse_path` only; the command parser turns it into a value, so that no
    peer's octets ever raise out of a connection.
    """

    def __init__(self, reason: str, kind: PathErrorKind = PathErrorKind.SYNTAX) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


@final
@value(checked=True)
class Address:
    """A mailbox, ``local-part@domain``, as it is meant and not as it was quoted.

    ``local_part`` is without quotes and backslashes, its case kept; so all quoted forms compare
    equal (RFC 5321 §4.1.2). ``domain`` is in lower case (ASCII letters only: a U-label is handed
    through), an address literal with its brackets, or "" for the bare ``Postmaster``. ``raw`` is
    the path as it came, without angle brackets but with its source route, and takes no part in
    comparisons. ``str()`` gives the form with the least quoting; :meth:`parse` takes it back.

    No address has a ``>``, whichever way it is made. RFC 5321 §4.1.2 lets it stand in quotes,
    where software that takes the first one for the end of the path reads another recipient and
    parameters of its own. A server refuses such a path with 501, a client never writes one, and
    as no mailbox should need quotes at all (§4.1.2), no mail is lost by that.

    Raises ValueError for what cannot stand in a path: controls, ``>``, a malformed domain.
    """

    local_part: str
    domain: str
    raw: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        if found := re.search(_CONTROL, self.local_part):
            raise ValueError(
                f"local_part has a control character at {found.start()} (RFC 5321 §4.1.2)"
            )
        if ">" in self.local_part:
            at = self.local_part.index(">")
            raise ValueError(f"local_part has a '>' at {at}, which would end the path")
        if self.domain == "" and self.is_postmaster:
            domain = ""  # RFC 5321 §4.5.1
        else:
            domain = _built_domain(self.domain)
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "raw", self.raw or str(self))

    @staticmethod
    def parse(text: str) -> Address:
        """Read ``local-part@domain``, quoted forms, literals and the bare ``Postmaster``.

        For applications: no source route, no display name, no angle brackets. Underscores in
        the domain, dots at the ends and in a row of the local-part (``str()`` then has quotes)
        and non-ASCII characters are accepted. Raises ValueError.
        """
        if type(text) is not str:
            text = checked("text", text, str)
        if text.startswith("@"):
            raise ValueError("an address has no source route (RFC 5321 Appendix C)")
        # No control is printable, and most addresses are.
        if not text.isprintable() and (found := re.search(_CONTROL, text)):
            raise ValueError(f"control character at {found.start()} (RFC 5321 §4.1.2)")
        octets = text.encode()
        if plain := _PLAIN.fullmatch(octets):  # what _parse_whole() would find three calls later
            at = plain.end(1)
            return proven_address(text[:at], text[at + 1 :].lower(), text)
        return _parse_whole(octets)

    @property
    def is_postmaster(self) -> bool:
        """The local part is ``postmaster`` in any case, whatever the domain (RFC 5321 §4.5.1)."""
        return self.local_part.isascii() and self.local_part.lower() == "postmaster"

    @property
    def is_literal(self) -> bool:
        """The domain is an address literal, ``[192.0.2.1]`` (RFC 5321 §4.1.3)."""
        return self.domain.startswith("[")

    @property
    def ip(self) -> str | None:
        """The IP address of an address literal in its one spelling; None for any other domain.

        See :func:`~smtpwire.wire.canonical_ip`; so ``[IPv6:::ffff:192.0.2.5]`` is 192.0.2.5.
        """
        tag, colon, rest = self.domain[1:-1].partition(":")
        if not self.is_literal or (colon and tag != "IPv6"):
            return None
        # RFC 5321 §4.1.3 allows leading zeros in both; ipaddress does not.
        return canonical_ip(re.sub(_LEADING_ZEROS, "", rest if colon else tag))

    @property
    def needs_smtputf8(self) -> bool:
        """The address has a character outside ASCII (RFC 6531 §3.2)."""
        return not (self.local_part.isascii() and self.domain.isascii())

    def __str__(self) -> str:
        local = self.local_part
        if not local.isalnum() and re.fullmatch(_UTF8_DOT, local.encode()) is None:
            escaped = re.sub(_ESCAPE, r"\\\1", local)
            local = f'"{escaped}"'
        return f"{local}@{self.domain}" if self.domain else local


def written_address(address: Address) -> bytes:
    """What stands between the angle brackets of a command, however the address was made.

    Raises TypeError for anything else than an Address, ValueError for one that would not be read
    as it is meant.
    """
    if address.__class__ is not Address:
        raise TypeError(f"the address is a {type(address).__name__}: pass Address.parse(…)")
    octets = f"{address.local_part}@{address.domain}".encode()
    return octets if _PLAIN.fullmatch(octets) else _written_unusual(address)


def _written_unusual(address: Address) -> bytes:
    octets = str(address).encode()
    if _parse_whole(octets) != address:
        raise ValueError("the address would be read as another one (RFC 5321 §4.1.2)")
    return octets


proven_address: Final = maker(Address)
"""Makes an Address of parts which a grammar has already proved; nothing is checked.

The local part without quotes, the domain in lower case, and the path as it came.
"""


def parse_path(
    octets: bytes,
    *,
    utf8: bool = False,
    postmaster: bool = False,
    lenient: bool = False,
    max_local_part: int = 64,
    max_domain: int = 255,
    max_path: int = 256,
) -> Address:
    """Parse the inside of angle brackets: a mailbox, with or without a source route.

    ``utf8``: SMTPUTF8 is in use. ``postmaster``: a bare ``Postmaster`` is legal, as in RCPT.
    ``lenient``: underscores in the domain, dots at the ends and in a row of the local-part. The
    limits are in octets as they came, the path's
    with its two brackets (RFC 5321 §4.5.3.1.1-3). Raises :class:`PathError`.
    """
    if len(octets) + 2 > max_path:
        raise PathError("path too long", PathErrorKind.TOO_LONG)
    if found := _PLAIN.fullmatch(octets):
        # The common case: no quotes, no literal, no source route, no underscore, ASCII.
        raw = octets.decode()
        at = found.end(1)
        if at > max_local_part or len(octets) - at - 1 > max_domain:
            raise _too_long(at > max_local_part)
        return proven_address(raw[:at], raw[at + 1 :].lower(), raw)
    if postmaster and octets.lower() == b"postmaster":
        raw = octets.decode()
        return proven_address(raw, "", raw)
    return _parse_unusual(octets, utf8, lenient, max_local_part, max_domain)


def _parse_whole(octets: bytes) -> Address:
    """The same for applications: everything is taken, and there is no limit."""
    whole = len(octets) + 2
    return parse_path(
        octets,
        utf8=True,
        postmaster=True,
        lenient=True,
        max_local_part=whole,
        max_domain=whole,
        max_path=whole,
    )


def _parse_unusual(
    octets: bytes, utf8: bool, lenient: bool, max_local_part: int, max_domain: int
) -> Address:
    if not octets.isascii() and not utf8:
        raise PathError("address is not ASCII", PathErrorKind.NON_ASCII)
    try:
        raw = octets.decode()
    except UnicodeDecodeError:
        raise PathError("address is not UTF-8", PathErrorKind.INVALID_UTF8) from None
    found = re.fullmatch(_PATHS[utf8, lenient], octets)
    if found is None or re.search(_CONTROL, raw):
        raise PathError("not an address: local-part@domain")
    plain, quoted, name, literal = found.groups()
    local = re.sub(_UNESCAPE, rb"\1", quoted[1:-1]) if plain is None else plain
    if len(plain or quoted) > max_local_part or len(name or literal) > max_domain:
        raise _too_long(len(plain or quoted) > max_local_part)
    # bytes.lower() knows ASCII only, so that no U-label is changed.
    domain = _literal(literal) if name is None else name.lower()
    if domain is None:
        raise PathError("not an address literal")
    return proven_address(local.decode(), domain.decode(), raw)


def _too_long(local_part: bool) -> PathError:
    what = "local part" if local_part else "domain"
    return PathError(f"{what} too long", PathErrorKind.TOO_LONG)


@cache
def _domain_pattern() -> re.Pattern[bytes]:
    """Compiled where it is first met, as it is a large one."""
    return re.compile(DOMAIN)


def parse_domain(octets: bytes, *, lenient: bool = False, max_domain: int = 255) -> str | None:
    """Parse the argument of EHLO, HELO or LHLO: a domain or an address literal, as it came.

    None if it is neither. ``lenient`` takes any printable ASCII without blanks: a server may not
    refuse mail because a host's name is odd (RFC 5321 §4.1.4). UTF-8 is never legal here
    (RFC 6531 §3.7.1).
    """
    if len(octets) > max_domain:
        return None
    if _domain_pattern().fullmatch(octets) or _literal(octets) is not None:
        return octets.decode()
    if lenient and re.fullmatch(_LENIENT_NAME, octets):
        return octets.decode()
    return None


def _built_domain(domain: str) -> str:
    """The domain an application gave, in lower case; raises ValueError."""
    if re.search(_CONTROL, domain) is None:
        octets = domain.encode()
        pattern = _LENIENT_DOMAIN if octets.isascii() else _UTF8_LENIENT_DOMAIN
        proven = octets.lower() if re.fullmatch(pattern, octets) else _literal(octets)
        if proven is not None:
            return proven.decode()
    raise ValueError("domain is neither a domain nor an address literal (RFC 5321 §4.1.2)")


def _literal(octets: bytes) -> bytes | None:
    """An address literal with its tag and hex digits in one case, or None (RFC 5321 §4.1.3)."""
    if re.fullmatch(LITERAL, octets) is None:
        return None
    inner = octets[1:-1]
    tag, colon, content = inner.partition(b":")
    if not colon:
        return octets if _is_ipv4(inner) else None
    if tag.lower() == b"ipv6":
        # Never a general literal: RFC 5321 has the tag for itself.
        return b"[IPv6:%b]" % content.lower() if _is_ipv6(content) else None
    return octets if tag and content and re.fullmatch(_TAG, tag) else None


def _is_ipv4(octets: bytes) -> bool:
    return re.fullmatch(_IPV4, octets) is not None and max(map(int, octets.split(b"."))) <= 255


def _is_ipv6(octets: bytes) -> bool:
    """IPv6-addr: eight groups, or at most six beside one ``::``; a dotted tail counts two."""
    head, compressed, tail = octets.partition(b"::")
    last = tail if compressed else head
    if b"." in last:
        before, colon, dotted = last.rpartition(b":")
        if not _is_ipv4(dotted):
            return False
        # Two groups stand in for the dotted quad, so that one count serves all four forms.
        last = before + colon + b"0:0"
    parts = (head, last) if compressed else (last,)
    total = 0
    for part in parts:
        if part and not re.fullmatch(_IPV6_GROUPS, part):
            return False
        total += part.count(b":") + 1 if part else 0
    return total <= 6 if compressed else total == 8
