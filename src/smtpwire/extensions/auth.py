"""AUTH: who is sending (RFC 4954)."""

from __future__ import annotations

import re
from typing import Final

from smtpwire.extensions.grammar import ascii_upper
from smtpwire.extensions.registry import Extension
from smtpwire.wire.address import Address
from smtpwire.wire.parameter import Parameter
from smtpwire.wire.xtext import decode_xtext, encode_xtext

__all__ = ["AUTH", "AUTH_PARAMETER"]


def _parse(raw: str | None) -> Address | None:
    if not raw:
        raise ValueError("needs a mailbox or <>")
    text = decode_xtext(raw)
    return None if text == "<>" else Address.parse(text)


def _format(submitter: Address | None) -> str:
    return "<>" if submitter is None else encode_xtext(str(submitter))


AUTH_PARAMETER: Final[Parameter[Address | None]] = Parameter("AUTH", _parse, _format)
"""MAIL ``AUTH``: who submitted the message; None: ``<>``, not known or not trusted (§5).

Whether it was given at all, ``parameters.AUTH in mail.parameters`` tells.
"""

_MECHANISM: Final = r"[A-Z0-9_-]{1,20}"  # RFC 4422 §3.1


def _parse_mechanisms(parameters: str) -> tuple[str, ...]:
    names = ascii_upper(parameters).split(" ")  # case-insensitive: §8
    return tuple(dict.fromkeys(name for name in names if re.fullmatch(_MECHANISM, name)))


def _format_mechanisms(mechanisms: tuple[str, ...]) -> str:
    return " ".join(mechanisms)


AUTH: Final[Extension[tuple[str, ...]]] = Extension(
    "AUTH",
    "RFC 4954",
    "authentication; the SASL mechanisms",
    _parse_mechanisms,
    _format_mechanisms,
    mail=(AUTH_PARAMETER,),
    increments=(("MAIL", 500),),  # §3 (6)
)
"""Its value: the mechanisms' names in upper case, as ordered by the server, each once."""
