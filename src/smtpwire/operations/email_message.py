"""Sending what Python's ``email`` package makes: envelope and octets out of an EmailMessage.

``email`` is loaded when a message is sent, and by nothing else here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Unpack, cast, final

from smtpwire.engine.client import ClientConnection
from smtpwire.extensions import EIGHTBITMIME, SMTPUTF8, parameters
from smtpwire.operations.message import (
    MESSAGE_OPTIONS,
    MessageOptions,
    Recipient,
    Sender,
    SendOptions,
    UnsendableError,
    checked_options,
    rcpts_of,
)
from smtpwire.operations.operation import Operation, alone
from smtpwire.operations.result import SendResult
from smtpwire.operations.send import check_open, send
from smtpwire.wire.address import Address
from smtpwire.wire.checked import type_of
from smtpwire.wire.command import Mail
from smtpwire.wire.options import shows_options
from smtpwire.wire.value import value

if TYPE_CHECKING:
    from email.message import Message
    from email.policy import Policy

__all__ = ["address_specs", "send_message"]

_RECIPIENTS: Final = ("To", "Cc", "Bcc")
_ADDRESSES: Final = ("From", "Sender", "Reply-To", "To", "Cc")


@shows_options(MessageOptions)
def send_message(
    conn: ClientConnection,
    message: Message,
    sender: Sender = None,
    recipients: Iterable[Recipient] | None = None,
    **options: Unpack[MessageOptions],
) -> Operation[SendResult]:
    """Send an ``email.message.EmailMessage`` as :func:`send_mail` sends octets.

    sender: None takes it from the header, Sender before From; "" is the null reverse-path.
    recipients: None takes To, Cc and Bcc, each address once. Where there is a Resent-Date the
        fields named Resent-… are taken (RFC 5322 §3.6.6); where there are several such blocks both
        must be given.
    options: see :class:`MessageOptions`.

    Bcc and Resent-Bcc are not sent, and the message stays as it is. Lines end with CRLF. SMTPUTF8
    is asked for where an address needs it and no more; text beyond ASCII goes as it is where the
    server has 8BITMIME, and is encoded in base64 or quoted-printable where it has not.

    Raises as :func:`send_mail` does, and UnsendableError before anything is sent: for a message
    that names no sender or nobody to send to, or in a field that is no list of addresses; one that
    needs SMTPUTF8 where the server has none; a line end within a field of the header; a part that
    is binary; and for octets beyond ASCII that must not be encoded anew, since they are signed
    (RFC 1847 §2.1), where the server has no 8BITMIME.
    """
    from email.message import Message

    given: object = message
    if not isinstance(given, Message):
        raise TypeError(f"message is {type_of(given)}: pass an email.message.EmailMessage")
    taken = checked_options(cast(SendOptions, options), "send_message", MESSAGE_OPTIONS)
    return alone(conn, _send_message(conn, message, sender, recipients, taken))


def _send_message(
    conn: ClientConnection,
    message: Message,
    sender: Sender,
    recipients: Iterable[Recipient] | None,
    options: SendOptions,
) -> Operation[SendResult]:
    header = _Header(message, resent=sender is None or recipients is None)
    sender = header.sender() if sender is None else sender
    recipients = header.recipients() if recipients is None else rcpts_of(recipients)
    content = b""
    if conn.closed is None:
        check_open(conn)
        utf8 = header.needs_utf8() or _asks_for_utf8(sender)
        content = _octets(conn, message, utf8)
        options["smtputf8"] = utf8
    return (yield from send(conn, sender, recipients, content, options))


def _asks_for_utf8(sender: Sender) -> bool:
    return isinstance(sender, Mail) and parameters.SMTPUTF8 in sender.parameters


@final
class _Header:
    """The addresses of a message's header."""

    def __init__(self, message: Message, *, resent: bool) -> None:
        self._message = message
        blocks = len(message.get_all("Resent-Date", ())) if resent else 0
        if blocks > 1:
            raise UnsendableError(
                f"the message has been resent {blocks} times: pass its sender and its recipients"
            )
        self._prefix = "Resent-" if blocks else ""

    def sender(self) -> Address:
        """RFC 5322 §3.6.2: Sender, where there is one, is who sends; else the first author."""
        for name in ("Sender", "From"):
            for found in self._addresses(self._prefix + name):
                return found
        raise UnsendableError(f"the message has no {self._prefix}From: pass a sender")

    def recipients(self) -> tuple[Address, ...]:
        """Each of them once."""
        names = [self._prefix + name for name in _RECIPIENTS]
        return tuple(dict.fromkeys(each for name in names for each in self._addresses(name)))

    def needs_utf8(self) -> bool:
        """RFC 6531 §3.4: an address beyond ASCII has no other spelling."""
        names = [prefix + name for prefix in ("", "Resent-") for name in _ADDRESSES]
        return any(not spec.isascii() for name in names for spec in self._read(name)[0])

    def _addresses(self, name: str) -> Iterator[Address]:
        specs, whole = self._read(name)
        if not whole:
            raise _no_list(name)
        for spec in specs:
            if "\ufffd" in spec:  # what email makes of octets without a charset
                raise UnsendableError(f"{name} has {spec!r}: octets that are no text")
            try:
                yield Address.parse(spec)
            except ValueError as error:
                raise UnsendableError(f"{name} has {spec!r}: {error}") from error

    def _read(self, name: str) -> tuple[list[str], bool]:
        """What :func:`_specs` gives of each field of that name."""
        try:
            fields: list[Any] = self._message.get_all(name, [])
        except Exception:  # those of a message that was parsed are read now
            return [], False
        read = [_specs(name, field) for field in fields]
        return [spec for specs, _ in read for spec in specs], all(whole for _, whole in read)


def address_specs(name: str, field: object) -> list[str]:
    """The addresses in a field of the header, without display names, groups taken apart.

    field: text, or what an EmailMessage has of it. Raises UnsendableError where it is no list of
    addresses (RFC 5322 §3.4).
    """
    specs, whole = _specs(name, field)
    if not whole:
        raise _no_list(name)
    return specs


_FOLD: Final = re.compile(r"[\r\n]+(?=[ \t])")
_LOST: Final = re.compile(r"invalid (?:address|mailbox) in|inside domain-literal")
"""How email names the defect of a list that it has not read to its end."""


def _specs(name: str, field: object) -> tuple[list[str], bool]:
    """The addresses that email finds in it, and whether these are all.

    Of text that is no list of addresses some Pythons drop what they do not understand, such as all
    that stands behind ``;``, and others raise one exception or another.
    """
    from email.headerregistry import HeaderRegistry

    try:
        header: Any = field
        if not hasattr(field, "addresses"):
            header = HeaderRegistry()(name, _FOLD.sub("", str(field)))
        specs = [address.addr_spec for address in header.addresses]
    except Exception:
        return [], False
    defects = getattr(header, "defects", ())
    return specs, not any(_LOST.search(str(defect)) for defect in defects)


def _no_list(name: str) -> UnsendableError:
    return UnsendableError(f"{name} is no list of addresses (RFC 5322 §3.4)")


# -- the octets


@final
@value
class _Form:
    """What a message is made of, as far as it bears on how it may be sent."""

    beyond_ascii: bool
    binary: bool
    signed: bool


def _form(message: Message) -> _Form:
    parts = list(message.walk())
    encodings = {
        str(part.get("Content-Transfer-Encoding", "7bit")).strip().lower() for part in parts
    }
    return _Form(
        beyond_ascii=any(map(_is_beyond_ascii, parts)),
        binary="binary" in encodings,
        signed=any(part.get_content_type() == "multipart/signed" for part in parts),
    )


def _is_beyond_ascii(part: Message) -> bool:
    try:
        payload = part.get_payload()
    except UnicodeError:  # a charset that is none of octets, such as idna
        return True
    return isinstance(payload, str) and not payload.isascii()


_FIELD_NAME: Final = re.compile(r"[!-9;-~]+")
"""RFC 5322 §3.6.8."""
_LINE_END: Final = re.compile(rb"(?:\r\n|\r(?!\n)|\n)(?![ \t])")
"""In a field, an end of the line that folds nothing (RFC 5322 §2.2.3): behind it another begins."""


def _check_names(message: Message) -> None:
    """Raise UnsendableError for a name that would begin another field: email looks at none."""
    for part in message.walk():
        for name in part:
            if not _FIELD_NAME.fullmatch(name):
                raise UnsendableError(f"{name!r} is no name of a field (RFC 5322 §3.6.8)")


def _octets(conn: ClientConnection, message: Message, utf8: bool) -> bytes:
    """The message as this server takes it."""
    if utf8 and SMTPUTF8 not in conn.extensions:
        raise UnsendableError(
            "an address in the header is beyond ASCII, and the server does not offer SMTPUTF8",
            SMTPUTF8.keyword,
        )
    _check_names(message)
    form, eight_bit = _form(message), EIGHTBITMIME in conn.extensions
    if form.binary:
        raise UnsendableError("a part has the encoding binary: give it base64", "BINARYMIME")
    if form.signed and form.beyond_ascii and not eight_bit:
        raise _not_in_seven_bits("what is signed must not be encoded anew (RFC 1847 §2.1)")
    try:
        return _flat(message, _checking(_policy(message, utf8, eight_bit)))
    except (LookupError, UnicodeError) as error:  # no charset, one that nobody knows, the wrong one
        raise _not_in_seven_bits(f"a part cannot be encoded anew: {error}") from error


def _not_in_seven_bits(why: str) -> UnsendableError:
    return UnsendableError(
        f"octets beyond ASCII, and the server does not offer 8BITMIME; {why}", EIGHTBITMIME.keyword
    )


def _policy(message: Message, utf8: bool, eight_bit: bool) -> Policy[Any]:
    from email.policy import EmailPolicy

    policy: Policy[Any] = message.policy
    policy = policy.clone(cte_type="8bit" if eight_bit else "7bit")
    if isinstance(policy, EmailPolicy):
        return policy.clone(utf8=utf8)
    if utf8:
        raise UnsendableError(
            "a header beyond ASCII, in a message of the old kind: make it an EmailMessage",
            SMTPUTF8.keyword,
        )
    return policy


def _checking(policy: Policy[Any]) -> Policy[Any]:
    """The same policy, whose fields are checked when they are written.

    Not every Python looks for line ends within them, and what email raises for the same field is
    another thing under each.
    """
    kind: Any = _checking_kind(type(policy))
    made: Policy[Any] = object.__new__(kind)
    vars(made).update(vars(policy))
    return made


@cache
def _checking_kind(kind: Any) -> type:
    def fold_binary(self: object, name: str, text: str) -> bytes:
        from email.errors import HeaderParseError

        try:
            field: bytes = kind.fold_binary(self, name, text)
        except HeaderParseError as error:
            raise _line_end_in(name) from error
        except Exception as error:
            raise UnsendableError(f"the field {name} cannot be written: {error}") from error
        if _LINE_END.search(field.removesuffix(b"\r\n")) or not field.endswith(b"\r\n"):
            raise _line_end_in(name)
        return field

    return type(kind.__name__, (kind,), {"fold_binary": fold_binary})


def _line_end_in(name: str) -> UnsendableError:
    return UnsendableError(f"a line end within the field {name} of the header (RFC 5322 §2.2)")


def _flat(message: Message, policy: Policy[Any]) -> bytes:
    from copy import copy
    from email.generator import BytesGenerator
    from io import BytesIO

    message = copy(message)  # whose fields are its own, as soon as one is deleted
    del message["Bcc"]
    del message["Resent-Bcc"]
    written = BytesIO()
    BytesGenerator(written, mangle_from_=False, policy=policy).flatten(message, linesep="\r\n")
    return written.getvalue()
