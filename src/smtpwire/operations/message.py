"""What a message needs of the server: planned from envelope, content and offer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any, Final, TypeAlias, TypedDict, final, get_args, get_type_hints

from smtpwire.engine.client import ClientConnection
from smtpwire.extensions import (
    BINARYMIME,
    CHUNKING,
    EIGHTBITMIME,
    LIMITS,
    PRDR,
    REQUIRETLS,
    SIZE,
    SMTPUTF8,
    AnyExtension,
    Offer,
    Registry,
    parameters,
)
from smtpwire.extensions.body import BODY_BINARYMIME, BODY_EIGHTBITMIME, BODY_SEVENBIT
from smtpwire.extensions.parameters import Body
from smtpwire.extensions.size import counted_size
from smtpwire.operations.content import HANDED_IN, Content
from smtpwire.wire.address import Address
from smtpwire.wire.body import normalised
from smtpwire.wire.checked import checked, known_names, type_of
from smtpwire.wire.command import NO_PARAMETERS, Mail, Rcpt, proven_mail, proven_rcpt
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.parameter import Given, Parameters
from smtpwire.wire.value import value

__all__ = [
    "MESSAGE_OPTIONS",
    "MessageOptions",
    "Plan",
    "Recipient",
    "SendOptions",
    "Sender",
    "UnsendableError",
    "beyond_ascii",
    "check_claimed_size",
    "checked_options",
    "mail_of",
    "plan",
    "rcpts_of",
]

Sender: TypeAlias = str | Address | Mail | None
"""An address, as text or parsed; None or "" is the null reverse-path; a Mail has parameters."""
Recipient: TypeAlias = str | Address | Rcpt
"""An address, as text or parsed; a Rcpt has parameters."""


class MessageOptions(TypedDict, total=False):
    """What may be said of any message, whatever it is made of.

    require_tls: every hop is to be under verified TLS (RFC 8689).
    chunking: BDAT or DATA; None, as by default: whichever suits.
    idna: makes A-labels of a domain in Unicode, as ``idna.encode`` of the package of that name
        does. Called where the server has no SMTPUTF8 and a domain is all that would need it; what
        it raises comes out as UnsendableError. Without it domains are handed through as they are.
    """

    require_tls: bool
    chunking: bool | None
    idna: Callable[[str], str] | None


class SendOptions(MessageOptions, TypedDict, total=False):
    """What may be said of a message besides its envelope and content.

    size: octets with CRLFs; of bytes they are counted.
    body: what octets the content is of, where the sender is no Mail that says so; bytes are looked
        through. A member, or its value.
    smtputf8: its header needs SMTPUTF8 (RFC 6531 §3.4); bytes are looked through.
    require_tls, chunking, idna: see :class:`MessageOptions`.

    What is said must hold: content with more octets than ``size``, or beyond ASCII where ``body``
    does not say so, is not sent.
    """

    size: int | None
    body: Body | None
    smtputf8: bool | None


_OPTIONS: Final = get_type_hints(SendOptions)
_OPTIONAL: Final = frozenset(
    {name for name, kind in _OPTIONS.items() if NoneType in get_args(kind)}
)
_SEQUENCES: Final = (list, tuple)  # a union would be made anew for each message
_EIGHT_BIT: Final = (BODY_EIGHTBITMIME, BODY_BINARYMIME)
MESSAGE_OPTIONS: Final = frozenset(get_type_hints(MessageOptions))
"""The names of what may be said of any message."""


def checked_options(
    options: SendOptions, where: str = "send_mail", known: Collection[str] = _OPTIONS
) -> SendOptions:
    """The options, of their types. Raises TypeError for unknown names and wrong types, ValueError
    for a word that no enum has and a size below 0."""
    if not options:
        return {}
    known_names(where, options, known)
    taken: Any = {
        name: value if value is None and name in _OPTIONAL else checked(name, value, _OPTIONS[name])
        for name, value in options.items()
    }
    size = options.get("size")
    if size is not None and size < 0:
        raise ValueError(f"size is {size}: pass a count of octets")
    result: SendOptions = taken
    return result


@final
class UnsendableError(SmtpwireError, ValueError):
    """This message cannot be sent to this server as it is; nothing of it has been sent.

    ``extension``: the keyword of what the server does not offer, or whose bound the message
    breaks (SIZE); "" where the message itself is at fault.
    """

    def __init__(self, reason: str, extension: str = "") -> None:
        super().__init__(reason)
        self.extension = extension


@final
@value
class Plan:
    """How a message goes out: its MAIL, its recipients by transaction, and the form of its body."""

    mail: Mail
    transactions: tuple[tuple[Rcpt, ...], ...]
    content: Content
    chunking: bool
    eight_bit: bool
    normalise: bool
    canonical: bool
    """Every CR and LF of the content is known to be part of a CRLF."""
    size: int | None


@final
@value
class _Scan:
    """What is known of a content: its octets' number and nature."""

    content: Content
    size: int | None
    body: Body | None
    smtputf8: bool


def plan(
    conn: ClientConnection,
    sender: Sender,
    recipients: Iterable[Recipient],
    content: Content,
    options: SendOptions,
) -> Plan:
    """Plan it, or raise UnsendableError; ValueError and TypeError for a wrong address."""
    offer = conn.extensions
    mail = mail_of(sender)
    rcpts = rcpts_of(recipients)
    idna = options.get("idna")
    if idna is not None and SMTPUTF8 not in offer:
        mail = Mail(mail.address and _in_a_labels(mail.address, idna), mail.parameters)
        rcpts = tuple([Rcpt(_in_a_labels(rcpt.address, idna), rcpt.parameters) for rcpt in rcpts])
    body = _said_of_body(mail, options.get("body"))
    scan = _scan(content, options.get("size"), body, options.get("smtputf8"))
    planned = _parameters(conn, offer, scan, _beyond_ascii(mail, rcpts), options)
    if len(rcpts) > 1 and PRDR in offer:
        planned = planned.having(parameters.PRDR(True))
    if mail.parameters is not NO_PARAMETERS:
        planned = planned.having(*mail.parameters)
    mail = proven_mail(mail.address, planned)
    special = [rcpt for rcpt in rcpts if rcpt.parameters is not NO_PARAMETERS]
    # SIZE alone is what most have, and it is there because it is offered.
    if special or (planned is not NO_PARAMETERS and not _is_size_alone(planned)):
        _check_offered(offer, conn.config.registry, mail, special)
    groups = _transactions(offer, rcpts)
    if len(groups) > 1 and (content is HANDED_IN or isinstance(content, Iterator)):
        raise UnsendableError(
            f"{len(rcpts)} recipients need {len(groups)} transactions here, and the content "
            "can be read only once",
            LIMITS.keyword,
        )
    return Plan(
        mail,
        groups,
        scan.content,
        _chunking(conn, offer, options.get("chunking"), scan),
        eight_bit=scan.body in _EIGHT_BIT,
        normalise=scan.body is not BODY_BINARYMIME,
        canonical=scan.body is not BODY_BINARYMIME and isinstance(scan.content, bytes),
        size=scan.size,
    )


def _parameters(
    conn: ClientConnection, offer: Offer, scan: _Scan, utf8: bool, options: SendOptions
) -> Parameters:
    """What MAIL says of the content. ``utf8``: its envelope needs SMTPUTF8."""
    given: list[Given] = []
    if utf8 or scan.smtputf8:
        given.append(parameters.SMTPUTF8(True))
    if scan.body in _EIGHT_BIT:
        given.append(parameters.BODY(scan.body))
    if scan.size is not None and SIZE in offer:
        _check_size(offer, scan.size)
        octets = scan.content
        given.append(
            counted_size(octets) if isinstance(octets, bytes) else parameters.SIZE(scan.size)
        )
    if options.get("require_tls"):
        _check_tls(conn)
        given.append(parameters.REQUIRETLS(True))
    return Parameters(*given) if given else NO_PARAMETERS


def _is_size_alone(planned: Parameters) -> bool:
    return len(planned) == 1 and parameters.SIZE in planned


def mail_of(sender: Sender) -> Mail:
    """The MAIL of a sender. Raises TypeError and ValueError for a wrong address."""
    if isinstance(sender, Mail):
        return sender
    address = None if sender is None or sender == "" else _address(sender, _known)
    return proven_mail(address, NO_PARAMETERS)


def rcpts_of(recipients: Iterable[Recipient]) -> tuple[Rcpt, ...]:
    """Fresh objects: replies are matched by identity, and a caller may give one twice.

    Raises TypeError and ValueError for a wrong address, UnsendableError where there is none.
    """
    given: object = recipients
    # A list is what most give: an abstract class is asked about the rest only.
    if not isinstance(given, _SEQUENCES) and (
        isinstance(given, str | bytes) or not isinstance(given, Iterable)
    ):
        raise TypeError(f"recipients is {type_of(given)}: pass a list of addresses, also for one")
    rcpts = tuple([_rcpt(item) for item in recipients])
    if not rcpts:
        raise UnsendableError("there is no recipient")
    return rcpts


def _rcpt(item: Recipient) -> Rcpt:
    if isinstance(item, Rcpt):
        return Rcpt(item.address, item.parameters)
    return proven_rcpt(_address(item), NO_PARAMETERS)


_known: Final = lru_cache(maxsize=64)(Address.parse)
"""Most clients have few senders, and say them again and again."""


def _address(item: str | Address, parse: Callable[[str], Address] = Address.parse) -> Address:
    if isinstance(item, Address):
        return item
    try:
        return parse(item)
    except TypeError:
        raise TypeError(f"an address is {type_of(item)}: pass a str or an Address") from None
    except ValueError as error:
        hint = ": pass the address alone, without name and angle brackets" if "<" in item else ""
        raise ValueError(f"{item!r}: {error}{hint}") from error


def _in_a_labels(address: Address, idna: Callable[[str], str]) -> Address:
    """RFC 6531 §3.2: a server without SMTPUTF8 may be given the domain in A-labels."""
    if address.domain.isascii() or not address.local_part.isascii():
        return address
    try:
        return Address(address.local_part, idna(address.domain))
    except ValueError as error:
        raise UnsendableError(f"{address}: {error}", SMTPUTF8.keyword) from error


def _said_of_body(mail: Mail, body: Body | None) -> Body | None:
    """What the option says, or the sender's own MAIL: the server counts on that (RFC 6152 §3)."""
    if mail.parameters is NO_PARAMETERS:
        return body
    own = mail.parameters.get(parameters.BODY)
    if own is None or body is None:
        return own or body
    if own is not body:
        raise UnsendableError(f"body is {body.value}, and MAIL says BODY={own.value}")
    return own


def _beyond_ascii(mail: Mail, rcpts: Sequence[Rcpt]) -> bool:
    """RFC 6531 §3.4: the parameter is for envelopes and headers that need it."""
    sender = mail.address is not None and mail.address.needs_smtputf8
    return sender or bool([rcpt for rcpt in rcpts if rcpt.address.needs_smtputf8])


def _scan(content: Content, size: int | None, body: Body | None, smtputf8: bool | None) -> _Scan:
    """Look bytes through; of anything else only what was said is known."""
    if not isinstance(content, bytes):
        return _Scan(content, size, body, bool(smtputf8))
    if body is not BODY_BINARYMIME:
        content = normalised(content)
    if size is not None:
        check_claimed_size(len(content), size)
    ascii_only = content.isascii()
    if body is None:
        body = None if ascii_only else BODY_EIGHTBITMIME
    elif body is BODY_SEVENBIT and not ascii_only:
        raise beyond_ascii()
    if smtputf8 is None:
        # RFC 6531 §3.4: UTF-8 in the header needs it, in the body it does not.
        smtputf8 = not ascii_only and not _header(content).isascii()
    return _Scan(content, len(content), body, smtputf8)


def check_claimed_size(octets: int, claimed: int) -> None:
    """Raise UnsendableError for more octets than ``size=`` says: the server counts on it."""
    if octets > claimed:
        raise UnsendableError(f"the content has more octets than size={claimed} says (RFC 1870 §6)")


def beyond_ascii() -> UnsendableError:
    """Octets that were not claimed: no server need take them (RFC 6152 §3)."""
    return UnsendableError("octets beyond ASCII, and body= does not say so", "8BITMIME")


def _header(content: bytes) -> bytes:
    end = content.find(b"\r\n\r\n")
    return content if end < 0 else content[:end]


def _check_size(offer: Offer, size: int) -> None:
    limit = offer[SIZE]
    if limit and size > limit:  # 0 and None: none, or none told (RFC 1870 §4)
        raise UnsendableError(f"{size} octets are more than the server's {limit}", SIZE.keyword)


def _check_tls(conn: ClientConnection) -> None:
    tls, any_tls = conn.tls, conn.config.requiretls_without_verified_tls
    if tls is None or not (tls.verified or any_tls):  # RFC 8689 §4.2.1
        raise UnsendableError("REQUIRETLS needs verified TLS", REQUIRETLS.keyword)


def _check_offered(offer: Offer, registry: Registry, mail: Mail, rcpts: Sequence[Rcpt]) -> None:
    """Every parameter needs its extension (RFC 5321 §4.1.1.11)."""
    known = registry.parameters
    given = [("MAIL", mail.parameters)] if mail.parameters else []
    given += [("RCPT", rcpt.parameters) for rcpt in rcpts]
    for verb, items in given:
        for item in items:
            entry = known.get((verb, item.keyword))
            keyword = item.keyword if entry is None else entry.keyword
            if item.keyword == "BODY":
                keyword = _body_extension(mail).keyword
            if keyword not in offer:
                raise UnsendableError(f"the server does not offer {keyword}", keyword)
    if mail.parameters.get(parameters.BODY) is BODY_BINARYMIME and CHUNKING not in offer:
        raise UnsendableError("BINARYMIME needs CHUNKING (RFC 3030 §3)", CHUNKING.keyword)


def _body_extension(mail: Mail) -> AnyExtension:
    """8BITMIME and BINARYMIME share the parameter BODY."""
    binary = mail.parameters.get(parameters.BODY) is BODY_BINARYMIME
    return BINARYMIME if binary else EIGHTBITMIME


def _transactions(offer: Offer, rcpts: tuple[Rcpt, ...]) -> tuple[tuple[Rcpt, ...], ...]:
    """The recipients in groups of RCPTMAX (RFC 9422 §4.2)."""
    limits = offer.get(LIMITS)
    if limits is None or not limits.rcptmax:
        return (rcpts,)
    most = limits.rcptmax
    return tuple(rcpts[at : at + most] for at in range(0, len(rcpts), most))


def _chunking(conn: ClientConnection, offer: Offer, wanted: bool | None, scan: _Scan) -> bool:
    """BDAT where it must be, where it is asked for, and where it pays: a large message.

    The server then refuses it after a chunk instead of at its end.
    """
    if CHUNKING not in offer:
        if wanted:
            raise UnsendableError("the server does not offer CHUNKING", CHUNKING.keyword)
        return False
    if scan.body is BODY_BINARYMIME:
        return True  # RFC 3030 §3
    if wanted is None:
        return scan.size is None or scan.size > conn.config.chunk_size
    return wanted
