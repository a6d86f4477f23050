"""SUBMITTER: who is responsible for this message (RFC 4405)."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.registry import Extension, flag, no_parameter
from smtpwire.wire.address import Address
from smtpwire.wire.parameter import Parameter
from smtpwire.wire.xtext import decode_xtext, encode_xtext

__all__ = ["SUBMITTER", "SUBMITTER_PARAMETER"]


def _parse(raw: str | None) -> Address:
    return Address.parse(decode_xtext(raw or ""))


def _format(submitter: Address) -> str:
    return encode_xtext(str(submitter))


SUBMITTER_PARAMETER: Final[Parameter[Address]] = Parameter("SUBMITTER", _parse, _format)
"""MAIL ``SUBMITTER``: a mailbox in xtext (RFC 4405 §4)."""

SUBMITTER: Final[Extension[bool]] = Extension(
    "SUBMITTER",
    "RFC 4405",
    "who is responsible for a message",
    flag,
    no_parameter,
    mail=(SUBMITTER_PARAMETER,),
    # The RFC gives no figure: " SUBMITTER=" and a path of RFC 5321 §4.5.3.1.3.
    increments=(("MAIL", 11 + 256),),
)
"""SUBMITTER, RFC 4405: who is responsible for a message. Its value in an offer is True."""
