"""SMTPUTF8: addresses and headers in UTF-8 (RFC 6531)."""

from __future__ import annotations

from typing import Final

from smtpwire.extensions.grammar import valueless
from smtpwire.extensions.registry import Extension, flag, no_parameter

__all__ = ["SMTPUTF8", "SMTPUTF8_PARAMETER"]

SMTPUTF8_PARAMETER: Final = valueless("SMTPUTF8")
"""MAIL ``SMTPUTF8``: the envelope or the headers need it (§3.4); takes no value (§3.1)."""

SMTPUTF8: Final[Extension[bool]] = Extension(
    "SMTPUTF8",
    "RFC 6531",
    "addresses and headers in UTF-8",
    flag,  # §3.1 (3): what a server puts there is ignored
    no_parameter,
    mail=(SMTPUTF8_PARAMETER,),
    increments=(("MAIL", 10),),  # §3.1 (7)
    requires=("8BITMIME",),  # §3.1 (8)
)
"""SMTPUTF8, RFC 6531: addresses and headers in UTF-8. Its value in an offer is True."""
