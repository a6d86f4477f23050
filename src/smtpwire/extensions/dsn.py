"""DSN: which delivery status notifications the sender wants (RFC 3461, RFC 6533 §3)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final, final

from smtpwire.extensions.grammar import ascii_upper, one_of
from smtpwire.extensions.registry import Extension, flag, no_parameter
from smtpwire.wire.checked import check_field
from smtpwire.wire.parameter import Parameter
from smtpwire.wire.value import value
from smtpwire.wire.xtext import (
    decode_utf8_address,
    decode_xtext,
    encode_unitext_address,
    encode_utf8_address,
    encode_xtext,
)

__all__ = [
    "DSN",
    "ENVID_PARAMETER",
    "NOTIFY_PARAMETER",
    "ORCPT_PARAMETER",
    "ORCPT_UNITEXT_PARAMETER",
    "RET_PARAMETER",
    "Notify",
    "Orcpt",
    "Ret",
]


class Ret(Enum):
    """How much of the message a notification of failure returns (RFC 3461 §4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


RET_PARAMETER: Final = one_of("RET", Ret)
"""MAIL ``RET`` (RFC 3461 §4.3)."""

_ENVID_LENGTH: Final = 100  # RFC 3461 §4.4


def _parse_envid(raw: str | None) -> str:
    if not raw or len(raw) > _ENVID_LENGTH:
        raise ValueError("not 1 to 100 characters")
    return decode_xtext(raw)


ENVID_PARAMETER: Final[Parameter[str]] = Parameter("ENVID", _parse_envid, encode_xtext)
"""MAIL ``ENVID``: the sender's own identifier of this transaction, printable ASCII (§4.4)."""


class Notify(Enum):
    """When the sender wants to be told (RFC 3461 §4.1)."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


_NOTIFY: Final = {choice.value: choice for choice in Notify}


def _parse_notify(raw: str | None) -> frozenset[Notify]:
    try:
        chosen = frozenset(_NOTIFY[word] for word in ascii_upper(raw or "").split(","))
    except KeyError:
        raise ValueError("not NEVER or a list of SUCCESS, FAILURE, DELAY") from None
    if Notify.NEVER in chosen and len(chosen) > 1:
        raise ValueError("NEVER stands by itself")
    return chosen


_CHOSEN: Final = check_field("NOTIFY", frozenset[Notify])


def _format_notify(chosen: frozenset[Notify]) -> str:
    taken: Any = _CHOSEN(chosen)
    return ",".join(choice.value for choice in Notify if choice in taken)


NOTIFY_PARAMETER: Final[Parameter[frozenset[Notify]]] = Parameter(
    "NOTIFY", _parse_notify, _format_notify
)
"""RCPT ``NOTIFY``: never empty; NEVER only by itself (RFC 3461 §4.1)."""


@final
@value
class Orcpt:
    """A recipient as the sender first gave it (RFC 3461 §4.2).

    ``address_type`` is ``rfc822``, ``utf-8`` (RFC 6533 §3) or another; ``address`` is decoded. It
    need not be an address of that type. A relay passes on what came: ``parameters.raw`` has it.
    """

    address_type: str
    address: str


_ORCPT_LENGTH: Final = 500  # RFC 3461 §4.2
# RFC 822 §3.3, atom, less what an esmtp-value cannot hold.
_ADDRESS_TYPE: Final = r"[!#-'*+\-/0-9?A-Z^-~]++"


def _parse_orcpt(raw: str | None) -> Orcpt:
    address_type, semicolon, address = (raw or "").partition(";")
    if not semicolon or re.fullmatch(_ADDRESS_TYPE, address_type) is None:
        raise ValueError("needs an address type and an address")
    if len((raw or "").encode(errors="surrogatepass")) > _ORCPT_LENGTH:
        raise ValueError("longer than 500 characters")
    if address_type.upper() != "UTF-8":
        return Orcpt(address_type, decode_xtext(address))
    try:
        return Orcpt(address_type, decode_utf8_address(address))
    except ValueError:
        # RFC 6533 §3: what is only labelled so is passed on without alteration.
        return Orcpt(address_type, decode_xtext(address))


def _format_orcpt(orcpt: Orcpt) -> str:
    encoded = encode_utf8_address(orcpt.address) if _is_utf8(orcpt) else encode_xtext(orcpt.address)
    return f"{orcpt.address_type};{encoded}"


def _is_utf8(orcpt: Orcpt) -> bool:
    # An empty address is not of that type, only labelled so.
    return ascii_upper(orcpt.address_type) == "UTF-8" and orcpt.address != ""


def _format_orcpt_unitext(orcpt: Orcpt) -> str:
    if not _is_utf8(orcpt):
        return _format_orcpt(orcpt)
    return f"{orcpt.address_type};{encode_unitext_address(orcpt.address)}"


ORCPT_PARAMETER: Final[Parameter[Orcpt]] = Parameter("ORCPT", _parse_orcpt, _format_orcpt)
"""RCPT ``ORCPT``; written in ASCII, for any server (RFC 3461 §4.2, RFC 6533 §3)."""

ORCPT_UNITEXT_PARAMETER: Final[Parameter[Orcpt]] = Parameter(
    "ORCPT", _parse_orcpt, _format_orcpt_unitext
)
"""The same parameter, written in UTF-8, for a server that offers SMTPUTF8 (RFC 6533 §3)."""

DSN: Final[Extension[bool]] = Extension(
    "DSN",
    "RFC 3461",
    "delivery status notifications on demand",
    flag,
    no_parameter,
    mail=(RET_PARAMETER, ENVID_PARAMETER),
    rcpt=(NOTIFY_PARAMETER, ORCPT_PARAMETER),
    # RFC 3461 §5.4 wants 1036 octets of RCPT; RFC 3885 §2 has ENVID at 107 and ORCPT at 507,
    # to which " RET=HDRS" and " NOTIFY=SUCCESS,FAILURE,DELAY" come.
    increments=(("MAIL", 107 + 9), ("RCPT", 507 + 29)),
)
"""DSN, RFC 3461: delivery status notifications on demand. Its value in an offer is True."""
