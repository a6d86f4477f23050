"""CONPERM and CONNEG: converting content on the way (RFC 4141)."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.grammar import valueless
from smtpwire.extensions.registry import Extension, flag, no_parameter

__all__ = ["CONNEG", "CONNEG_PARAMETER", "CONPERM", "CONPERM_PARAMETER"]

CONPERM_PARAMETER: Final = valueless("CONPERM")
"""MAIL ``CONPERM``: the content may be converted; else the message is returned (RFC 4141 §4.2)."""

CONPERM: Final[Extension[bool]] = Extension(
    "CONPERM",
    "RFC 4141",
    "permission to convert the content",
    flag,
    no_parameter,
    mail=(CONPERM_PARAMETER,),
    increments=(("MAIL", 8),),  # the RFC gives no figure: " CONPERM"
)
"""CONPERM, RFC 4141: permission to convert the content. Its value in an offer is True."""

CONNEG_PARAMETER: Final = valueless("CONNEG")
"""RCPT ``CONNEG``: what can the recipient's device show? (RFC 4141 §5.2)."""

CONNEG: Final[Extension[bool]] = Extension(
    "CONNEG",
    "RFC 4141",
    "the abilities of a recipient's device",
    flag,
    no_parameter,
    rcpt=(CONNEG_PARAMETER,),
    increments=(("RCPT", 7),),  # the RFC gives no figure: " CONNEG"
)
"""CONNEG, RFC 4141: the abilities of a recipient's device. Its value in an offer is True."""
